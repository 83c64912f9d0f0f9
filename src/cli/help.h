/* cli/help.h - texts made from the option tables: help, man page, shell completion.
 *
 * Thread-safety: pure functions. */
#pragma once

#include "base/str.h"
#include "cli/options.h"

MG_BEGIN_C

void mg_help_overview(mg_buf *out);                           /* merganser --help */
void mg_help_command(const mg_command *command, mg_buf *out); /* merganser CMD --help */
void mg_help_man(mg_buf *out);                                /* troff of merganser(1) */
void mg_help_completion_bash(mg_buf *out);

MG_END_C
