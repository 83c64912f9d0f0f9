/* eval/runner.h - items of a task in, per-item metrics out.
 *
 * A task is prepared once for a tokenizer (prompts rendered and encoded), then run over any subset of
 * its items with any engine of that tokenizer: this is the inner loop of the search.
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

/* What one item gave. */
typedef struct mg_item_result {
    int64_t item;              /* index in the task */
    const double *metrics;     /* one per mg_task_metric, NaN = this item has none (corpus metrics) */
    const mg_str *responses;   /* generated texts; NULL for likelihood tasks */
    const mg_score *scores;    /* per request of a likelihood task; NULL otherwise */
    int64_t response_count;
    bool failed;               /* logits not finite, or the user's function failed on it */
} mg_item_result;

typedef bool mg_item_done(void *context, const mg_item_result *result);

/* Runs the listed items (NULL: all).  done is called once for each item, in ascending order of items;
 * false stops with MG_ERR_INTERRUPTED. */
MG_MUST_CHECK mg_status mg_run_items(mg_prepared_task *prepared, mg_engine *engine,
                                     const int64_t *items, int64_t count, mg_item_done *done,
                                     void *context, mg_error *err);

/* Aggregates what done received over all items: value of metric index, as the harness reports it. */
typedef struct mg_task_results mg_task_results;
mg_task_results *mg_task_results_create(const mg_task *task);
void mg_task_results_add(mg_task_results *results, const mg_item_result *item); /* copies */
double mg_task_results_value(const mg_task_results *results, int64_t metric_index);
/* Standard error as the harness computes it; NaN = "N/A". */
double mg_task_results_stderr(const mg_task_results *results, int64_t metric_index);
void mg_task_results_destroy(mg_task_results *results); /* NULL is fine */

MG_END_C
