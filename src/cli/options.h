/* cli/options.h - one table for each command drives parsing, --help, the man page and completion.
 *
 * Options may stand between operands; "--name=value" and "--name value" both work, "--" ends
 * options. Thread-safety: parsed arguments are immutable. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

typedef enum mg_option_kind {
    MG_OPTION_FLAG,   /* --name, --no-name; also --name=true and --name=false */
    MG_OPTION_SWITCH, /* --name, --no-name, or --name=TEXT: on, with a text */
    MG_OPTION_COUNT,  /* --name, repeatable: -v -v */
    MG_OPTION_TEXT,   /* --name VALUE; the last one wins */
    MG_OPTION_TEXTS,  /* --name VALUE, repeatable: all are kept in order */
    MG_OPTION_INT,    /* --name N */
    MG_OPTION_NUMBER, /* --name X */
    MG_OPTION_SIZE    /* --name N[K|M|B]: 10^3, 10^6, 10^9 as mergekit writes them; also G, T */
} mg_option_kind;

typedef struct mg_option {
    const char *name;  /* without the dashes */
    char letter;       /* short form, 0 = none */
    const char *alias; /* another long name, NULL = none */
    mg_option_kind kind;
    const char *value_name; /* "FILE", "N"; NULL for flags */
    const char
        *fallback; /* the default as it would be written, NULL = none; "on" for flags that are */
    const char *choices; /* "a|b|c": the only values allowed; NULL = any */
    const char *help;    /* one sentence */
    const char *ignored; /* not NULL: accepted for compatibility, and this says in one line why it
                          * does nothing here */
} mg_option;

struct mg_cli;
struct mg_args;

typedef struct mg_command {
    const char *name;
    const char *operands;         /* "CONFIG OUT", for the usage line */
    int operand_min, operand_max; /* -1 = any number */
    const char *summary;          /* one line */
    const char *details;          /* a paragraph or two, may be NULL */
    const char *example;          /* a command line */
    const mg_option *options;
    int64_t option_count;
    /* The result goes to standard output; MG_FINDINGS ends the program with 1. */
    mg_status (*run)(struct mg_cli *cli, const struct mg_args *args, mg_error *err);
} mg_command;

/* The options every command has (interface.md 1). */
extern const mg_option mg_common_options[];
extern const int64_t mg_common_option_count;

typedef struct mg_args mg_args;

/* Parses the words behind the command's name, which must outlive *args_out.  MG_ERR_USAGE, with the
 * nearest option. */
MG_MUST_CHECK mg_status mg_args_parse(const mg_command *command, int word_count, char **words,
                                      mg_args **args_out, mg_error *err);
void mg_args_destroy(mg_args *args); /* NULL is fine */

/* name must be in the command's table or a common option; anything else is a bug. */
bool mg_args_given(const mg_args *args, const char *name);
bool mg_args_flag(const mg_args *args, const char *name);
const char *mg_args_text(const mg_args *args, const char *name); /* NULL = not given, no default */
int64_t mg_args_int(const mg_args *args, const char *name);      /* also counts and sizes */
double mg_args_number(const mg_args *args, const char *name);
int64_t mg_args_text_count(const mg_args *args, const char *name);
const char *mg_args_text_at(const mg_args *args, const char *name, int64_t index);
int64_t mg_args_operand_count(const mg_args *args);
const char *mg_args_operand(const mg_args *args, int64_t index);
/* The words behind the command's name as they were given; borrowed. */
char *const *mg_args_words(const mg_args *args, int *count_out);
/* Appends the command as it was given, "merganser evolve ...", quoted for a shell. */
void mg_args_command_line(const mg_args *args, mg_buf *out);

MG_END_C
