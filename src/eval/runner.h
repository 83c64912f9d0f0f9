/* eval/runner.h - items of a task in, per-item metrics out.
 *
 * A task is prepared once for a tokenizer (prompts rendered and encoded), then run over any subset
 * of its items with any engine of that tokenizer: this is the inner loop of the search.
 * Thread-safety: one thread at a time. */
#pragma once

#include "eval/task.h"
#include "infer/engine.h"

MG_BEGIN_C

typedef struct mg_prepared_task mg_prepared_task;

/* Renders and encodes every item.  task and tokenizer are borrowed.  A tokenizer without a chat
 * template gets plain prompts, with one note, when the options ask for chat. */
MG_MUST_CHECK mg_status mg_prepare_task(const mg_task *task, const mg_tokenizer *tokenizer,
                                        int64_t max_length, mg_prepared_task **prepared_out,
                                        mg_error *err);
void mg_prepared_task_destroy(mg_prepared_task *prepared); /* NULL is fine */
bool mg_prepared_task_uses_chat(const mg_prepared_task *prepared);
/* What item asks, as the harness logs it: a list with one [prompt, continuation] or [prompt,
 * generation arguments] for each request.  The strings live in arena. */
MG_MUST_CHECK mg_status mg_prepared_task_arguments(const mg_prepared_task *prepared, int64_t item,
                                                   mg_arena *arena, mg_value *arguments_out,
                                                   mg_error *err);
/* Requests of an item and their token ids: contexts and continuations (empty when generating). */
int64_t mg_prepared_task_request_count(const mg_prepared_task *prepared, int64_t item);
void mg_prepared_task_request(const mg_prepared_task *prepared, int64_t item, int64_t request,
                              mg_score_request *request_out);

/* What one item gave. */
typedef struct mg_item_result {
    int64_t item;            /* index in the task */
    const double *metrics;   /* one per mg_task_metric, NaN = this item has none (corpus metrics) */
    const mg_str *responses; /* generated texts; NULL for likelihood tasks */
    const mg_score *scores;  /* per request of a likelihood task; NULL otherwise */
    int64_t response_count;
    bool failed;                   /* logits not finite, or the user's function failed on it */
    mg_status failure;             /* MG_ERR_NUMERIC or MG_ERR_USER_CODE when it failed */
    const char *message;           /* why it failed, else NULL */
    const mg_value *const *values; /* collected values, one per mg_task_metric; NULL = none */
    const mg_value *extras; /* a map of metrics that process_results gave besides: "name,filter" */
    const mg_value *filtered; /* one list of responses per filter */
} mg_item_result;

typedef bool mg_item_done(void *context, const mg_item_result *result);

/* Runs the listed items (NULL: all).  done is called once for each item, in ascending order of
 * items; false stops with MG_ERR_INTERRUPTED. */
MG_MUST_CHECK mg_status mg_run_items(mg_prepared_task *prepared, mg_engine *engine,
                                     const int64_t *items, int64_t count, mg_item_done *done,
                                     void *context, mg_error *err);

/* The log-probability of the reference answer (doc_to_target, of several the first) of each listed
 * item, to values_out (count); of a task that generates.  MG_ERR_CONFIG for an item without one,
 * MG_ERR_NUMERIC when logits are not finite. */
MG_MUST_CHECK mg_status mg_reference_likelihoods(mg_prepared_task *prepared, mg_engine *engine,
                                                 const int64_t *items, int64_t count,
                                                 double *values_out, mg_error *err);

/* Aggregates what done received over all items: value of metric index, as the harness reports it.
 */
typedef struct mg_task_results mg_task_results;
mg_task_results *mg_task_results_create(const mg_task *task);
void mg_task_results_add(mg_task_results *results, const mg_item_result *item); /* copies */
double mg_task_results_value(const mg_task_results *results, int64_t metric_index);
/* Standard error as the harness computes it; NaN = "N/A". */
double mg_task_results_stderr(const mg_task_results *results, int64_t metric_index);
/* The same with errors told: a function of the user that fails, a value of a wrong kind. */
MG_MUST_CHECK mg_status mg_task_results_compute(const mg_task_results *results,
                                                int64_t metric_index, double *value_out,
                                                mg_error *err);
/* iterations is the bootstrap's (100,000 in the harness, 0 = none); pool may be NULL. */
MG_MUST_CHECK mg_status mg_task_results_compute_stderr(const mg_task_results *results,
                                                       int64_t metric_index, int64_t iterations,
                                                       mg_pool *pool, double *value_out,
                                                       mg_error *err);
/* Metrics of the task, then those that process_results gave besides. */
int64_t mg_task_results_metric_count(const mg_task_results *results);
mg_str mg_task_results_metric(const mg_task_results *results, int64_t metric_index);
/* Whether a higher value of the metric is better; false when nobody said. */
bool mg_task_results_direction(const mg_task_results *results, int64_t metric_index,
                               bool *higher_out);
int64_t mg_task_results_value_count(const mg_task_results *results, int64_t metric_index);
int64_t mg_task_results_item_count(const mg_task_results *results); /* received */
int64_t mg_task_results_failed_count(const mg_task_results *results);
const char *mg_task_results_failure(const mg_task_results *results); /* of the first; NULL = none */
void mg_task_results_destroy(mg_task_results *results);              /* NULL is fine */

MG_END_C
