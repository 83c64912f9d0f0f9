/* eval/task.h - an lm-evaluation-harness task, loaded: rows, prompts, requests, metrics (tasks.md).
 *
 * Thread-safety: immutable after loading, but for the python worker, which is locked inside. */
#pragma once

#include "base/error.h"
#include "hub/cache.h"
#include "text/value.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

typedef enum mg_output_type {
    MG_GENERATE_UNTIL,
    MG_MULTIPLE_CHOICE,
    MG_LOGLIKELIHOOD,
    MG_LOGLIKELIHOOD_ROLLING
} mg_output_type;

/* How tasks are found and run; the same for all tasks of a run. */
typedef struct mg_task_options {
    const char *const *include_paths; /* searched for task YAML files; a name may also be a path */
    int64_t include_count;
    const mg_hub *hub;
    double limit;        /* 0 = all; below 1 a share of the rows, else a number of rows */
    int64_t num_fewshot; /* -1 = as the file says */
    bool apply_chat_template;
    mg_str chat_template; /* one of the model's templates by name; empty = its default */
    bool fewshot_as_multiturn;
    bool predict_only; /* answers without scores: the metric bypass alone */
    mg_str system_instruction;
    uint64_t fewshot_seed;       /* 1234 in the harness */
    const char *python;          /* NULL = python3 */
    double python_timeout_s;     /* for one call; 0 = 60 */
    const char *working_folder;  /* data_files are relative to it, then to the task's folder; NULL =
                                  * the process's */
    const char *prepared_folder; /* cache of prepared data sets; NULL = beside the hub's */
    const mg_value *gen_kwargs;  /* a map merged over generation_kwargs; NULL = none */
    bool confirm_unsafe_code;
    bool (*stop)(void *context); /* asked while such a call runs; NULL = never */
    void *stop_context;
    struct mg_python *worker; /* one worker for several tasks, borrowed; NULL = one of its own */
} mg_task_options;

typedef struct mg_task mg_task;

/* Loads the task called name, or the task file of that path.  All mistakes of its files are in err.
 * Groups and tags are opened through eval/suite.h.  MG_ERR_NOT_FOUND names the nearest task,
 * MG_ERR_CONFIG, MG_ERR_UNSUPPORTED. */
MG_MUST_CHECK mg_status mg_task_open(const char *name, const mg_task_options *options,
                                     mg_task **task_out, mg_error *err);
void mg_task_close(mg_task *task); /* NULL is fine */

mg_str mg_task_name(const mg_task *task);
int64_t mg_task_item_count(const mg_task *task);     /* evaluated rows */
int64_t mg_task_original_count(const mg_task *task); /* rows before the limit */
int64_t mg_task_fewshot_count(const mg_task *task);
const mg_value *mg_task_metadata(const mg_task *task);            /* NULL = none */
const mg_value *mg_task_item(const mg_task *task, int64_t index); /* the row */
mg_output_type mg_task_output_type(const mg_task *task);
/* Hash of everything that decides an answer's score: prompts, targets, functions, metrics
 * (buffer of MG_HASH_TEXT_BYTES). */
void mg_task_hash(const mg_task *task, char *text_out);
mg_value mg_task_target(const mg_task *task, int64_t index); /* doc_to_target of a row; borrows */
int64_t mg_task_filter_count(const mg_task *task);
mg_str mg_task_filter(const mg_task *task, int64_t index); /* name */
/* Hash of the rows alone: the same questions, however they are asked and scored. */
void mg_task_rows_hash(const mg_task *task, char *text_out);
/* The metric keys the task reports ("acc,none", ...). */
int64_t mg_task_metric_count(const mg_task *task);
mg_str mg_task_metric(const mg_task *task, int64_t index);
int64_t mg_task_metric_find(const mg_task *task, mg_str key); /* -1 = none */

MG_END_C
