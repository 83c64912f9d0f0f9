/* eval/task_internal.h - a loaded task: fields, rows and what the fields say about each row.
 *
 * task_read.c fills the first part from the files, task_data.c the rows, field.c and fewshot.c what
 * is computed from them; prompt.c and runner.c read it.  Thread-safety: as task.h. */
#pragma once

#include "data/dataset.h"
#include "eval/filter.h"
#include "eval/metric.h"
#include "eval/python.h"
#include "eval/task.h"
#include "eval/task_index.h"
#include "eval/task_settings.h"
#include "infer/hopeless.h"
#include "text/regex.h"
#include "text/template.h"

MG_BEGIN_C

typedef enum mg_field_kind {
    MG_FIELD_NONE,
    MG_FIELD_VALUE,   /* an int, a list or a mapping written in the file */
    MG_FIELD_TEXT,    /* a column name or a template */
    MG_FIELD_FUNCTION /* !function */
} mg_field_kind;

typedef struct mg_field {
    mg_field_kind kind;
    const char *key;        /* "doc_to_text", for messages */
    const mg_value *value;  /* MG_FIELD_VALUE */
    mg_str text;            /* MG_FIELD_TEXT */
    mg_template *template_; /* MG_FIELD_TEXT, compiled; owned unless shared */
    bool shared;            /* template_ belongs to another field */
    mg_function function;
    mg_str where; /* "FILE:LINE" */
} mg_field;

/* How the fields of a row are read (tasks.md 7). */
typedef enum mg_field_role {
    MG_ROLE_TEXT,
    MG_ROLE_TARGET,
    MG_ROLE_CHOICE,
    MG_ROLE_PLAIN /* description, gen_prefix: text */
} mg_field_role;

/* How to ask and answer: once for the evaluated rows, once for the examples. */
typedef struct mg_format {
    mg_field text, target, choice, prefix;
    mg_str target_delimiter;
    mg_str fewshot_delimiter;
} mg_format;

typedef struct mg_fewshot {
    mg_str sampler;            /* "default", "first_n" */
    mg_function sampler_class; /* instead of the name */
    mg_str split;              /* empty = chosen by rule */
    mg_function process_docs;
    const mg_value *samples; /* list of rows */
    mg_function samples_function;
    mg_format format;
    int64_t count;     /* examples of each prompt */
    bool excludes_row; /* examples come from the evaluated split */
} mg_fewshot;

/* What the fields say about one row. */
typedef struct mg_row_text {
    mg_value text, target, choices, prefix, description;
} mg_row_text;

struct mg_task {
    mg_arena arena;
    mg_task_options
        options; /* strings in it are borrowed for the call of open only, but for these: */
    bool apply_chat_template, fewshot_as_multiturn;
    int *chat_noted; /* atomic: 1 once the note about a missing chat template is out */
    mg_str system_instruction, chat_template;

    mg_str name, alias;
    mg_settings settings;
    mg_output_type output_type;
    mg_format format;
    mg_field description;
    mg_function process_docs, process_results, custom_dataset;
    mg_fewshot fewshot;
    int64_t repeats;
    mg_filter *filters;
    int64_t filter_count;
    mg_metric *metrics;
    int64_t metric_count;
    mg_str *keys; /* filter_count x metric_count: "acc,none" */
    bool uses_mutual_info;
    bool bypasses;

    mg_value generation; /* generate_until: the keyword arguments */
    int64_t max_new_tokens;
    mg_hopeless hopeless; /* `stop_early` in the block `merganser` of the metadata */
    mg_regex *answer;     /* there: an answer that holds it and more is complete; NULL = none */
    mg_str answer_pattern;

    mg_python *python; /* started by its first call */
    bool owns_python;
    mg_dataset *docs;
    mg_dataset *pool; /* of examples; NULL when it is docs or there is none */
    const mg_value *const *pool_rows;
    int64_t pool_count;
    int64_t item_count;
    mg_row_text *rows;       /* item_count */
    mg_row_text *pool_texts; /* pool_count; filled where used */
    int32_t *shots;          /* item_count x fewshot.count: indexes into the pool */
    int64_t multiple_input;  /* number of choices, 0 = the usual single input */
    bool multiple_target;
    bool choices_are_letters; /* doc_to_choice gave a text */
};

/* Collects mistakes, one a line. */
typedef struct mg_problems {
    mg_buf text;
    mg_status status; /* of the first */
} mg_problems;
void mg_problem(mg_problems *problems, mg_status status, const mg_setting *setting,
                const mg_value *value, const char *format, ...) MG_PRINTF(5, 6);

/* task_read.c: settings to struct; functions are checked against the index's roots. */
MG_MUST_CHECK mg_status mg_task_read(mg_task *task, const mg_task_index *index, mg_error *err);
/* task_data.c: rows, examples, field values. */
MG_MUST_CHECK mg_status mg_task_load(mg_task *task, mg_error *err);
/* A worker for the tasks of index; end it with mg_python_destroy. */
mg_python *mg_task_worker(const mg_task_index *index, const mg_task_options *options);
/* The files of a task alone, without its data: for counting what can be read. */
MG_MUST_CHECK mg_status mg_task_read_settings(const mg_task_index *index, mg_str name,
                                              const mg_settings *settings,
                                              const mg_task_options *options, mg_task **task_out,
                                              mg_error *err);
/* Opens from settings that index found: what mg_task_open does after finding. */
MG_MUST_CHECK mg_status mg_task_open_settings(const mg_task_index *index, mg_str name,
                                              const mg_settings *settings,
                                              const mg_task_options *options, mg_task **task_out,
                                              mg_error *err);

/* field.c: evaluates field for count rows into values (stride is the distance of two values). */
MG_MUST_CHECK mg_status mg_field_evaluate(mg_task *task, const mg_field *field, mg_field_role role,
                                          bool has_choices, const mg_value *const *rows,
                                          int64_t count, mg_value *const *values_out,
                                          mg_error *err);
/* Compiles the template of a text field. */
MG_MUST_CHECK mg_status mg_field_compile(mg_field *field, mg_error *err);
void mg_field_release(mg_field *field);

/* fewshot.c: which examples each row gets; fills shots. */
MG_MUST_CHECK mg_status mg_fewshot_choose(mg_task *task, const mg_value *const *rows,
                                          mg_error *err);

MG_END_C
