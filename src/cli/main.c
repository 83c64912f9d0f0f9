/* cli/main.c - finds the command, runs it, and turns its status into an exit code. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/terminal.h"

static void print(const mg_buf *text)
{
    (void)fwrite(text->data, 1, text->size, stdout);
}

static int report(mg_status status, const mg_error *err)
{
    if (status != MG_OK && status != MG_FINDINGS) {
        mg_buf safe = { 0 };
        mg_terminal_escape(
            &safe, mg_str_of(err->message[0] != '\0' ? err->message : mg_status_text(status)));
        /* Every mistake of a configuration stands on a line of its own. */
        mg_str rest = mg_buf_view(&safe);
        mg_str line;
        while (mg_str_split(&rest, '\n', &line)) {
            (void)fprintf(stderr, "merganser: %.*s\n", MG_STR_ARG(line));
        }
        mg_buf_release(&safe);
    }
    if (fflush(stdout) != 0 && errno != EPIPE) {
        (void)fprintf(stderr, "merganser: cannot write standard output: %s\n", strerror(errno));
        return status == MG_OK ? mg_status_exit_code(MG_ERR_IO) : mg_status_exit_code(status);
    }
    return mg_status_exit_code(status);
}

/* The notes of options that are accepted but do nothing here. */
static void note_ignored(const mg_command *command, const mg_args *args)
{
    for (int64_t i = 0; i < command->option_count; i++) {
        const mg_option *option = &command->options[i];
        if (option->ignored != NULL && mg_args_given(args, option->name)) {
            mg_note("--%s: %s", option->name, option->ignored);
        }
    }
}

static mg_status run_command(const mg_command *command, int word_count, char **words, mg_error *err)
{
    mg_status status = MG_OK;
    mg_args *args = NULL;
    mg_cli *cli = NULL;
    MG_TRY_OR_DONE(mg_args_parse(command, word_count, words, &args, err));
    if (mg_args_flag(args, "help")) {
        mg_buf text = { 0 };
        mg_help_command(command, &text);
        print(&text);
        mg_buf_release(&text);
        goto done;
    }
    MG_TRY_OR_DONE(mg_cli_create(args, &cli, err));
    note_ignored(command, args);
    MG_TRY_OR_DONE(command->run(cli, args, err));

done:
    mg_cli_destroy(cli);
    mg_args_destroy(args);
    return status;
}

/* What stands where a command is expected, but is none: --help, --version, man, completion. */
static bool run_special(const char *word, int word_count, char **words, mg_status *status_out,
                        mg_error *err)
{
    mg_buf text = { 0 };
    *status_out = MG_OK;
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        mg_buf_printf(&text, "merganser %s\n", MG_VERSION);
    } else if (strcmp(word, "man") == 0) {
        mg_help_man(&text);
    } else if (strcmp(word, "completion") == 0) {
        mg_help_completion_bash(&text);
    } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
               strcmp(word, "help") == 0) {
        const mg_command *command = word_count > 1 ? mg_command_find(words[1]) : NULL;
        if (word_count > 1 && command == NULL) {
            *status_out = mg_fail(err, MG_ERR_USAGE, "there is no command '%s'", words[1]);
        } else if (command != NULL) {
            mg_help_command(command, &text);
        } else {
            mg_help_overview(&text);
        }
    } else {
        return false;
    }
    print(&text);
    mg_buf_release(&text);
    return true;
}

static mg_status fail_unknown_command(const char *word, mg_error *err)
{
    const char **names = mg_new_array(const char *, mg_command_count);
    for (int64_t i = 0; i < mg_command_count; i++) {
        names[i] = mg_commands[i]->name;
    }
    const char *nearest = mg_str_nearest(mg_str_of(word), names, mg_command_count);
    mg_free(names);
    if (nearest != NULL) {
        return mg_fail(err, MG_ERR_USAGE, "there is no command '%s'; did you mean '%s'?", word,
                       nearest);
    }
    return mg_fail(err, MG_ERR_USAGE, "there is no command '%s'; see 'merganser --help'", word);
}

int main(int argc, char **argv)
{
    mg_error err;
    mg_status status = MG_OK;
    mg_error_clear(&err);
    mg_cli_catch_signals();
    if (argc < 2) {
        mg_buf text = { 0 };
        mg_help_overview(&text);
        (void)fputs(text.data, stderr);
        mg_buf_release(&text);
        return mg_status_exit_code(MG_ERR_USAGE);
    }
    if (run_special(argv[1], argc - 1, argv + 1, &status, &err)) {
        return report(status, &err);
    }
    const mg_command *command = mg_command_find(argv[1]);
    status = command != NULL ? run_command(command, argc - 2, argv + 2, &err)
                             : fail_unknown_command(argv[1], &err);
    return report(status, &err);
}
