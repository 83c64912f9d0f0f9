/* cli/commands.h - the one table of subcommands. */
#pragma once

#include "cli/options.h"

MG_BEGIN_C

extern const mg_command mg_command_merge;
extern const mg_command mg_command_evolve;
extern const mg_command mg_command_evolve_worker; /* started by evolve; in no list */
extern const mg_command mg_command_eval;
extern const mg_command mg_command_generate;
extern const mg_command mg_command_score;
extern const mg_command mg_command_tokenize;
extern const mg_command mg_command_render;
extern const mg_command mg_command_inspect;
extern const mg_command mg_command_check;
extern const mg_command mg_command_show;
extern const mg_command mg_command_doctor;

/* In the order of the help text. */
extern const mg_command *const mg_commands[];
extern const int64_t mg_command_count;
const mg_command *mg_command_find(const char *name); /* NULL = there is none */

MG_END_C
