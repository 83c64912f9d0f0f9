/* cli/options.c - parsing of a command's words by its table. */
#include "cli/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

const mg_option mg_common_options[] = {
    { "device", 0, NULL, MG_OPTION_TEXT, "NAME", "auto", NULL,
      "Where merges and models run: cpu, cuda (evolve: on all cards), cuda:N for one, or auto for "
      "a "
      "working GPU, else the CPU.",
      NULL },
    { "threads", 'j', "num-threads", MG_OPTION_INT, "N", NULL, NULL,
      "CPU threads to use (default: one for each CPU this process may use).", NULL },
    { "seed", 0, "random-seed", MG_OPTION_INT, "N", NULL, NULL,
      "Seed of everything random: masks, search, sampling.", NULL },
    { "dtype", 0, NULL, MG_OPTION_TEXT, "TYPE", "auto", "float32|bfloat16|float16|auto",
      "Type that models run in.", NULL },
    { "offline", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "Never ask the network.", NULL },
    { "json", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "Print the result as JSON.", NULL },
    { "quiet", 'q', NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "No progress and no notes.", NULL },
    { "verbose", 'v', NULL, MG_OPTION_COUNT, NULL, NULL, NULL, "Say more; repeat for still more.",
      NULL },
    { "help", 'h', NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "Show this help.", NULL },
};
const int64_t mg_common_option_count = MG_ARRAY_COUNT(mg_common_options);

/* What was given for one option of the table. */
typedef struct option_value {
    bool given;
    bool flag;
    int64_t integer;
    double number;
    const char *text; /* borrowed from the words or the table */
    const char **texts;
    int64_t text_count;
} option_value;

struct mg_args {
    const mg_command *command;
    char *const *words; /* as given; borrowed */
    int word_count;
    option_value *values; /* the command's options, then the common ones */
    const char **operands;
    int64_t operand_count;
    mg_arena arena;
};

static int64_t option_total(const mg_command *command)
{
    return command->option_count + mg_common_option_count;
}

static const mg_option *option_at(const mg_command *command, int64_t index)
{
    return index < command->option_count ? &command->options[index]
                                         : &mg_common_options[index - command->option_count];
}

static bool has_name(const mg_option *option, mg_str name)
{
    return mg_str_is(name, option->name) ||
           (option->alias != NULL && mg_str_is(name, option->alias));
}

/* Index of the option called name; *negated_out tells that it stood behind "no-".  -1 = none. */
static int64_t find_option(const mg_command *command, mg_str name, bool *negated_out)
{
    *negated_out = false;
    for (int64_t i = 0; i < option_total(command); i++) {
        if (has_name(option_at(command, i), name)) {
            return i;
        }
    }
    if (mg_str_starts(name, "no-")) {
        mg_str positive = mg_str_slice(name, 3, name.size);
        for (int64_t i = 0; i < option_total(command); i++) {
            const mg_option *option = option_at(command, i);
            bool can = option->kind == MG_OPTION_FLAG || option->kind == MG_OPTION_SWITCH;
            if (can && has_name(option, positive)) {
                *negated_out = true;
                return i;
            }
        }
    }
    return -1;
}

static mg_status fail_unknown(const mg_command *command, mg_str name, mg_error *err)
{
    int64_t total = option_total(command);
    const char **names = mg_new_array(const char *, total);
    for (int64_t i = 0; i < total; i++) {
        names[i] = option_at(command, i)->name;
    }
    const char *nearest = mg_str_nearest(name, names, total);
    mg_free(names);
    if (nearest != NULL) {
        return mg_fail(err, MG_ERR_USAGE, "%s has no option --%.*s; did you mean --%s?",
                       command->name, MG_STR_ARG(name), nearest);
    }
    return mg_fail(err, MG_ERR_USAGE, "%s has no option --%.*s; see 'merganser %s --help'",
                   command->name, MG_STR_ARG(name), command->name);
}

/* "5B" -> 5e9; mergekit's letters are decimal. */
static bool parse_size(const char *text, int64_t *value_out)
{
    static const struct {
        char letter;
        double factor;
    } units[] = { { 'K', 1e3 }, { 'M', 1e6 }, { 'B', 1e9 }, { 'G', 1e9 }, { 'T', 1e12 } };
    mg_str s = mg_str_of(text);
    double factor = 1;
    for (int64_t i = 0; s.size > 1 && i < MG_ARRAY_COUNT(units); i++) {
        char last = s.data[s.size - 1];
        if (last == units[i].letter || last == units[i].letter + ('a' - 'A')) {
            factor = units[i].factor;
            s.size--;
            break;
        }
    }
    double number;
    if (!mg_str_to_double(s, &number) || !(number >= 0) || number * factor > 9e18) {
        return false;
    }
    *value_out = (int64_t)(number * factor);
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    mg_str rest = mg_str_of(choices);
    mg_str choice;
    while (mg_str_split(&rest, '|', &choice)) {
        if (mg_str_is(choice, text)) {
            return true;
        }
    }
    return false;
}

/* "on" and its kin; false when it is no truth value. */
static bool parse_truth(const char *text, bool *value_out)
{
    *value_out = is_choice("on|true|True|yes|1", text);
    return *value_out || is_choice("off|false|False|no|0", text);
}

/* Takes text as the value of option; false when it does not fit the kind. */
static bool take_value(mg_args *args, const mg_option *option, option_value *value,
                       const char *text)
{
    switch (option->kind) {
    case MG_OPTION_FLAG:
        return parse_truth(text, &value->flag);
    case MG_OPTION_SWITCH:
        value->text = parse_truth(text, &value->flag) ? NULL : text;
        value->flag = value->flag || value->text != NULL;
        return true;
    case MG_OPTION_COUNT:
        value->integer++;
        return true;
    case MG_OPTION_TEXT:
        value->text = text;
        return option->choices == NULL || is_choice(option->choices, text);
    case MG_OPTION_TEXTS: {
        const char **more = mg_arena_array(&args->arena, const char *, value->text_count + 1);
        if (value->text_count > 0) {
            memcpy(more, value->texts, (size_t)value->text_count * sizeof(*more));
        }
        more[value->text_count++] = text;
        value->texts = more;
        return true;
    }
    case MG_OPTION_INT:
        return mg_str_to_int(mg_str_of(text), &value->integer);
    case MG_OPTION_NUMBER:
        return mg_str_to_double(mg_str_of(text), &value->number) && !isnan(value->number);
    case MG_OPTION_SIZE:
        return parse_size(text, &value->integer);
    }
    return false;
}

static const char *kind_text(mg_option_kind kind)
{
    switch (kind) {
    case MG_OPTION_FLAG:
        return "true or false";
    case MG_OPTION_INT:
        return "a whole number";
    case MG_OPTION_NUMBER:
        return "a number";
    case MG_OPTION_SIZE:
        return "a size such as 500M or 5B";
    default:
        return "a value";
    }
}

static mg_status set_value(mg_args *args, int64_t index, const char *text, mg_error *err)
{
    const mg_option *option = option_at(args->command, index);
    option_value *value = &args->values[index];
    value->given = true;
    if (take_value(args, option, value, text)) {
        return MG_OK;
    }
    if (option->choices != NULL) {
        return mg_fail(err, MG_ERR_USAGE, "--%s is '%s', expected one of %s", option->name, text,
                       option->choices);
    }
    return mg_fail(err, MG_ERR_USAGE, "--%s is '%s', expected %s", option->name, text,
                   kind_text(option->kind));
}

/* Whether the option does not take the next word. */
static bool stands_alone(const mg_option *option)
{
    return option->kind == MG_OPTION_FLAG || option->kind == MG_OPTION_SWITCH ||
           option->kind == MG_OPTION_COUNT;
}

/* One word that begins with "--"; *used_out counts the words taken (1 or 2). */
static mg_status take_long(mg_args *args, int word_count, char **words, int *used_out,
                           mg_error *err)
{
    *used_out = 1;
    mg_str name = mg_str_of(words[0] + 2);
    const char *text = strchr(words[0], '=');
    if (text != NULL) {
        name.size = (size_t)(text - name.data);
        text++;
    }
    bool negated;
    int64_t index = find_option(args->command, name, &negated);
    if (index < 0) {
        return fail_unknown(args->command, name, err);
    }
    const mg_option *option = option_at(args->command, index);
    if (stands_alone(option)) {
        if (text != NULL && (negated || option->kind == MG_OPTION_COUNT)) {
            return mg_fail(err, MG_ERR_USAGE, "--%.*s takes no value", MG_STR_ARG(name));
        }
        bool may_take = text == NULL && !negated && option->kind != MG_OPTION_COUNT;
        if (may_take && word_count > 1 && is_choice("true|True|false|False", words[1])) {
            text = words[1]; /* as the harness writes it */
            *used_out = 2;
        }
        return set_value(args, index, text != NULL ? text : negated ? "off" : "on", err);
    }
    if (text == NULL) {
        if (word_count < 2) {
            return mg_fail(err, MG_ERR_USAGE, "--%s needs %s", option->name,
                           kind_text(option->kind));
        }
        text = words[1];
        *used_out = 2;
    }
    return set_value(args, index, text, err);
}

/* One word of short options: "-q", "-vv", "-j4", "-j 4". */
static mg_status take_short(mg_args *args, int word_count, char **words, int *used_out,
                            mg_error *err)
{
    *used_out = 1;
    for (const char *c = words[0] + 1; *c != '\0'; c++) {
        int64_t index = 0;
        int64_t total = option_total(args->command);
        while (index < total && option_at(args->command, index)->letter != *c) {
            index++;
        }
        if (index == total) {
            return mg_fail(err, MG_ERR_USAGE, "%s has no option -%c; see 'merganser %s --help'",
                           args->command->name, *c, args->command->name);
        }
        const mg_option *option = option_at(args->command, index);
        if (stands_alone(option)) {
            MG_TRY(set_value(args, index, "on", err));
            continue;
        }
        if (c[1] != '\0') {
            return set_value(args, index, c + 1, err);
        }
        if (word_count < 2) {
            return mg_fail(err, MG_ERR_USAGE, "-%c needs %s", *c, kind_text(option->kind));
        }
        *used_out = 2;
        return set_value(args, index, words[1], err);
    }
    return MG_OK;
}

static mg_status check_operands(const mg_args *args, mg_error *err)
{
    const mg_command *command = args->command;
    if (mg_args_flag(args, "help")) {
        return MG_OK;
    }
    if (args->operand_count < command->operand_min) {
        return mg_fail(err, MG_ERR_USAGE, "usage: merganser %s %s [options]; see --help",
                       command->name, command->operands);
    }
    if (command->operand_max >= 0 && args->operand_count > command->operand_max) {
        return mg_fail(err, MG_ERR_USAGE,
                       "'%s' is one word too many; usage: merganser %s %s [options]",
                       args->operands[command->operand_max], command->name, command->operands);
    }
    return MG_OK;
}

static void take_fallbacks(mg_args *args)
{
    for (int64_t i = 0; i < option_total(args->command); i++) {
        const mg_option *option = option_at(args->command, i);
        if (option->fallback != NULL) {
            MG_ASSERT(take_value(args, option, &args->values[i], option->fallback));
        }
    }
}

mg_status mg_args_parse(const mg_command *command, int word_count, char **words, mg_args **args_out,
                        mg_error *err)
{
    *args_out = NULL;
    mg_status status = MG_OK;
    mg_args *args = mg_new(mg_args);
    args->command = command;
    args->words = words;
    args->word_count = word_count;
    args->values = mg_new_array(option_value, option_total(command));
    args->operands = mg_new_array(const char *, word_count);
    take_fallbacks(args);
    bool options_end = false;
    for (int i = 0; i < word_count;) {
        int used = 1;
        char *word = words[i];
        if (options_end || word[0] != '-' || word[1] == '\0') {
            args->operands[args->operand_count++] = word;
        } else if (strcmp(word, "--") == 0) {
            options_end = true;
        } else if (word[1] == '-') {
            MG_TRY_OR_DONE(take_long(args, word_count - i, words + i, &used, err));
        } else {
            MG_TRY_OR_DONE(take_short(args, word_count - i, words + i, &used, err));
        }
        i += used;
    }
    MG_TRY_OR_DONE(check_operands(args, err));
    *args_out = args;
    args = NULL; /* handed over */

done:
    mg_args_destroy(args);
    return status;
}

void mg_args_destroy(mg_args *args)
{
    if (args != NULL) {
        mg_free(args->values);
        mg_free(args->operands);
        mg_arena_release(&args->arena);
        mg_free(args);
    }
}

static const option_value *value_of(const mg_args *args, const char *name)
{
    bool negated;
    int64_t index = find_option(args->command, mg_str_of(name), &negated);
    MG_ASSERT(index >= 0 && !negated);
    return &args->values[index];
}

bool mg_args_given(const mg_args *args, const char *name)
{
    return value_of(args, name)->given;
}

bool mg_args_flag(const mg_args *args, const char *name)
{
    return value_of(args, name)->flag;
}

const char *mg_args_text(const mg_args *args, const char *name)
{
    return value_of(args, name)->text;
}

int64_t mg_args_int(const mg_args *args, const char *name)
{
    return value_of(args, name)->integer;
}

double mg_args_number(const mg_args *args, const char *name)
{
    return value_of(args, name)->number;
}

int64_t mg_args_text_count(const mg_args *args, const char *name)
{
    return value_of(args, name)->text_count;
}

const char *mg_args_text_at(const mg_args *args, const char *name, int64_t index)
{
    const option_value *value = value_of(args, name);
    MG_ASSERT(index >= 0 && index < value->text_count);
    return value->texts[index];
}

int64_t mg_args_operand_count(const mg_args *args)
{
    return args->operand_count;
}

const char *mg_args_operand(const mg_args *args, int64_t index)
{
    MG_ASSERT(index >= 0 && index < args->operand_count);
    return args->operands[index];
}

static bool is_plain_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./=:,@+%";
    return word[0] != '\0' && word[strspn(word, plain)] == '\0';
}

char *const *mg_args_words(const mg_args *args, int *count_out)
{
    *count_out = args->word_count;
    return args->words;
}

void mg_args_command_line(const mg_args *args, mg_buf *out)
{
    mg_buf_printf(out, "merganser %s", args->command->name);
    for (int i = 0; i < args->word_count; i++) {
        const char *word = args->words[i];
        mg_buf_add_char(out, ' ');
        if (is_plain_word(word)) {
            mg_buf_add_text(out, word);
            continue;
        }
        mg_buf_add_char(out, '\'');
        for (const char *c = word; *c != '\0'; c++) {
            if (*c == '\'') {
                mg_buf_add_text(out, "'\\''");
            } else {
                mg_buf_add_char(out, *c);
            }
        }
        mg_buf_add_char(out, '\'');
    }
}
