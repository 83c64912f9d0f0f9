/* cli/commands.c - the table of subcommands: a new one adds its line here. */
#include "cli/commands.h"

#include <string.h>

const mg_command *const mg_commands[] = {
    &mg_command_merge,    &mg_command_eval,  &mg_command_evolve,   &mg_command_show,
    &mg_command_generate, &mg_command_score, &mg_command_tokenize, &mg_command_render,
    &mg_command_inspect,  &mg_command_check, &mg_command_doctor,
};
const int64_t mg_command_count = MG_ARRAY_COUNT(mg_commands);

const mg_command *mg_command_find(const char *name)
{
    for (int64_t i = 0; i < mg_command_count; i++) {
        if (strcmp(mg_commands[i]->name, name) == 0) {
            return mg_commands[i];
        }
    }
    return strcmp(name, mg_command_evolve_worker.name) == 0 ? &mg_command_evolve_worker : NULL;
}
