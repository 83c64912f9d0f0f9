/* cli/help.c - help, man page and completion, all from the same tables. */
#include "cli/help.h"

#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"

#define MG_HELP_COLUMN 34 /* where the sentences begin */
#define MG_HELP_WIDTH 98

/* Appends text wrapped at MG_HELP_WIDTH; the cursor is at column, later lines are indented to it.
 */
static void add_wrapped(mg_buf *out, const char *text, size_t column)
{
    size_t at = column;
    mg_str rest = mg_str_of(text);
    mg_str word;
    bool first = true;
    while (mg_str_split(&rest, ' ', &word)) {
        if (!first && at + 1 + word.size > MG_HELP_WIDTH) {
            mg_buf_printf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (!first) {
            mg_buf_add_char(out, ' ');
            at++;
        }
        mg_buf_add(out, word);
        at += word.size;
        first = false;
    }
    mg_buf_add_char(out, '\n');
}

static void option_left(const mg_option *option, mg_buf *out)
{
    if (option->letter != 0) {
        mg_buf_printf(out, "-%c, ", option->letter);
    } else {
        mg_buf_add_text(out, "    ");
    }
    bool negatable = option->kind == MG_OPTION_FLAG && option->fallback != NULL;
    mg_buf_printf(out, "--%s%s", negatable ? "[no-]" : "", option->name);
    if (option->value_name != NULL) {
        bool optional = option->kind == MG_OPTION_SWITCH;
        mg_buf_printf(out, optional ? "[=%s]" : " %s", option->value_name);
    }
}

static void option_sentence(const mg_option *option, mg_buf *out)
{
    if (option->ignored != NULL) {
        mg_buf_printf(out, "Accepted for compatibility: %s", option->ignored);
        return;
    }
    mg_buf_add_text(out, option->help);
    if (option->choices != NULL) {
        mg_buf_printf(out, " One of %s.", option->choices);
    }
    if (option->alias != NULL) {
        mg_buf_printf(out, " Also --%s.", option->alias);
    }
    if (option->fallback != NULL) {
        mg_buf_printf(out, " Default: %s.", option->fallback);
    }
}

static void add_option(mg_buf *out, const mg_option *option)
{
    size_t begin = out->size;
    mg_buf_add_text(out, "  ");
    option_left(option, out);
    size_t width = out->size - begin;
    if (width + 2 > MG_HELP_COLUMN) {
        mg_buf_printf(out, "\n%*s", MG_HELP_COLUMN, "");
    } else {
        mg_buf_printf(out, "%*s", (int)(MG_HELP_COLUMN - width), "");
    }
    mg_buf sentence = { 0 };
    option_sentence(option, &sentence);
    add_wrapped(out, sentence.data, MG_HELP_COLUMN);
    mg_buf_release(&sentence);
}

void mg_help_overview(mg_buf *out)
{
    mg_buf_add_text(out,
                    "merganser " MG_VERSION ": evolutionary model merging as one native program\n\n"
                    "usage: merganser <command> [operands] [options]\n\ncommands:\n");
    for (int64_t i = 0; i < mg_command_count; i++) {
        mg_buf_printf(out, "  %-10s %s\n", mg_commands[i]->name, mg_commands[i]->summary);
    }
    mg_buf_add_text(out,
                    "\n'merganser <command> --help' explains one command.  Exit codes: 0 done, "
                    "1 findings,\n2 usage or configuration, 3 input missing or damaged, "
                    "4 out of memory, disk or device,\n5 network, 6 interrupted (run again to "
                    "resume), 70 internal error.\n");
}

void mg_help_command(const mg_command *command, mg_buf *out)
{
    mg_buf_printf(out, "usage: merganser %s %s [options]\n\n", command->name, command->operands);
    add_wrapped(out, command->summary, 0);
    if (command->details != NULL) {
        mg_buf_add_char(out, '\n');
        mg_str rest = mg_str_of(command->details);
        mg_str line;
        while (mg_str_split(&rest, '\n', &line)) {
            char *text = mg_str_dup(line);
            add_wrapped(out, text, 0);
            mg_free(text);
        }
    }
    if (command->example != NULL) {
        mg_buf_printf(out, "\nexample:\n  %s\n", command->example);
    }
    if (command->option_count > 0) {
        mg_buf_add_text(out, "\noptions:\n");
    }
    for (int64_t i = 0; i < command->option_count; i++) {
        add_option(out, &command->options[i]);
    }
    mg_buf_add_text(out, "\noptions of every command:\n");
    for (int64_t i = 0; i < mg_common_option_count; i++) {
        add_option(out, &mg_common_options[i]);
    }
}

/* Appends text with what troff would take for markup escaped. */
static void add_troff(mg_buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\' || *c == '-') {
            mg_buf_add_char(out, '\\');
        }
        if (c == text && (*c == '.' || *c == '\'')) {
            mg_buf_add_text(out, "\\&");
        }
        mg_buf_add_char(out, *c);
    }
}

static void add_man_option(mg_buf *out, const mg_option *option)
{
    mg_buf part = { 0 };
    mg_buf_add_text(out, ".TP\n.B ");
    option_left(option, &part);
    add_troff(out, mg_str_of(part.data).data + strspn(part.data, " "));
    mg_buf_add_char(out, '\n');
    mg_buf_clear(&part);
    option_sentence(option, &part);
    add_troff(out, part.data);
    mg_buf_add_char(out, '\n');
    mg_buf_release(&part);
}

void mg_help_man(mg_buf *out)
{
    mg_buf_add_text(out, ".TH MERGANSER 1\n.SH NAME\nmerganser \\- evolutionary model merging\n"
                         ".SH SYNOPSIS\n.B merganser\n<command> [operands] [options]\n"
                         ".SH COMMANDS\n");
    for (int64_t i = 0; i < mg_command_count; i++) {
        const mg_command *command = mg_commands[i];
        mg_buf_printf(out, ".SS %s %s\n", command->name, command->operands);
        add_troff(out, command->summary);
        mg_buf_add_char(out, '\n');
        for (int64_t j = 0; j < command->option_count; j++) {
            add_man_option(out, &command->options[j]);
        }
    }
    mg_buf_add_text(out, ".SH OPTIONS OF EVERY COMMAND\n");
    for (int64_t i = 0; i < mg_common_option_count; i++) {
        add_man_option(out, &mg_common_options[i]);
    }
}

void mg_help_completion_bash(mg_buf *out)
{
    mg_buf_add_text(out, "_merganser() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words\n"
                         "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"");
    for (int64_t i = 0; i < mg_command_count; i++) {
        mg_buf_printf(out, "%s ", mg_commands[i]->name);
    }
    mg_buf_add_text(out, "\"\n    else\n        case ${COMP_WORDS[1]} in\n");
    for (int64_t i = 0; i < mg_command_count; i++) {
        const mg_command *command = mg_commands[i];
        mg_buf_printf(out, "        %s) words=\"", command->name);
        for (int64_t j = 0; j < command->option_count; j++) {
            mg_buf_printf(out, "--%s ", command->options[j].name);
        }
        mg_buf_add_text(out, "\" ;;\n");
    }
    mg_buf_add_text(out, "        esac\n        words=\"$words");
    for (int64_t i = 0; i < mg_common_option_count; i++) {
        mg_buf_printf(out, " --%s", mg_common_options[i].name);
    }
    mg_buf_add_text(out, "\"\n    fi\n    COMPREPLY=($(compgen -f -W \"$words\" -- \"$cur\"))\n}\n"
                         "complete -F _merganser merganser\n");
}
