/* eval/runner.c - one run: the engine answers the listed items, then they are scored and handed out
 * in order. */
#include "eval/runner.h"

#include "base/memory.h"
#include "eval/runner_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Which row and which of its answers an engine request belongs to. */
typedef struct engine_slot {
    int64_t row;
    int64_t response; /* request of the row, or repeat of its only prompt */
} engine_slot;

typedef struct engine_work {
    mg_eval_run *run;
    engine_slot *slots;
} engine_work;

static void mark_nonfinite(mg_eval_run *run, mg_run_row *row, int64_t step)
{
    if (!row->failed) {
        row->failed = true;
        row->failure = MG_ERR_NUMERIC;
        row->message =
            step < 0 ? "the logits are not finite"
                     : mg_arena_printf(&run->arena,
                                       "the logits are not finite at new token %" PRId64, step)
                           .data;
    }
}

static bool take_generation(void *context, int64_t index, const mg_generation *result)
{
    engine_work *work = context;
    mg_run_row *row = &work->run->rows[work->slots[index].row];
    int64_t repeat = work->slots[index].response;
    mg_value text = mg_value_of_str(&work->run->arena, result->text);
    row->responses[0].items[repeat] = text;
    row->texts[repeat] = text.string;
    if (result->finish == MG_FINISH_FAILED) {
        mark_nonfinite(work->run, row, result->nonfinite_at);
    }
    return true;
}

/* The pattern of the task stands in the text and cannot grow any more: something follows it. */
static mg_status answer_is_complete(const void *context, mg_str text, bool *complete_out,
                                    mg_error *err)
{
    const mg_regex *pattern = context;
    mg_regex_match match;
    bool found;
    *complete_out = false;
    MG_TRY(mg_regex_search(pattern, text, 0, &found, &match, err));
    *complete_out = found && (size_t)match.end[0] < text.size;
    return MG_OK;
}

static mg_status generate(mg_eval_run *run, mg_engine *engine, mg_error *err)
{
    mg_prepared_task *prepared = run->prepared;
    int64_t repeats = run->task->repeats;
    int64_t count = run->count * repeats;
    mg_generate_request *requests = mg_new_array(mg_generate_request, count + 1);
    engine_work work = { run, mg_new_array(engine_slot, count + 1) };
    mg_status (*complete)(const void *, mg_str, bool *, mg_error *) =
        run->task->answer != NULL ? answer_is_complete : NULL;
    for (int64_t i = 0; i < count; i++) {
        /* all first answers, then all second ones: equal prompts lie apart, which costs nothing */
        mg_run_row *row = &run->rows[i % run->count];
        const mg_prepared_request *at = &prepared->requests[prepared->first[row->item]];
        work.slots[i] = (engine_slot){ i % run->count, i / run->count };
        requests[i] = (mg_generate_request){ .ids = prepared->ids.data + at->offset,
                                             .id_count = at->context_count,
                                             .max_new_tokens = run->task->max_new_tokens,
                                             .stops = prepared->stops,
                                             .stop_count = prepared->stop_count,
                                             .hopeless = run->task->hopeless,
                                             .complete = complete,
                                             .complete_context = run->task->answer,
                                             .sampling = prepared->sampling };
    }
    for (int64_t i = 0; i < run->count; i++) {
        mg_run_row *row = &run->rows[i];
        row->response_count = 1;
        row->responses = mg_arena_array(&run->arena, mg_value, 1);
        row->responses[0] = mg_value_of_list(&run->arena, repeats);
        row->texts = mg_arena_array(&run->arena, mg_str, repeats);
    }
    mg_status status = mg_engine_generate(engine, requests, count, take_generation, &work, err);
    mg_free(requests);
    mg_free(work.slots);
    return status;
}

static bool take_score(void *context, int64_t index, const mg_score *result)
{
    engine_work *work = context;
    mg_run_row *row = &work->run->rows[work->slots[index].row];
    mg_score *score = &row->scores[work->slots[index].response];
    if (work->run->task->output_type == MG_LOGLIKELIHOOD_ROLLING) {
        row->scores[0].logprob += result->logprob; /* the windows of one text */
    } else {
        score->logprob = result->logprob;
        score->is_greedy = result->is_greedy;
    }
    if (result->failed) {
        mark_nonfinite(work->run, row, -1);
    }
    return true;
}

static mg_value score_value(mg_eval_run *run, const mg_score *score)
{
    mg_value number = mg_value_of_double(score->logprob);
    if (run->task->output_type == MG_LOGLIKELIHOOD_ROLLING) {
        return number;
    }
    mg_value pair = mg_value_of_list(&run->arena, 2);
    pair.items[0] = number;
    pair.items[1] = mg_value_of_bool(score->is_greedy);
    return pair;
}

/* Likelihoods are the same however often they are asked: repeats are copies. */
static void list_scores(mg_eval_run *run, mg_run_row *row)
{
    row->responses = mg_arena_array(&run->arena, mg_value, row->response_count);
    for (int64_t k = 0; k < row->response_count; k++) {
        row->responses[k] = mg_value_of_list(&run->arena, run->task->repeats);
        for (int64_t r = 0; r < run->task->repeats; r++) {
            row->responses[k].items[r] = score_value(run, &row->scores[k]);
        }
    }
}

static mg_status score(mg_eval_run *run, mg_engine *engine, mg_error *err)
{
    mg_prepared_task *prepared = run->prepared;
    bool rolls = run->task->output_type == MG_LOGLIKELIHOOD_ROLLING;
    int64_t count = 0;
    for (int64_t i = 0; i < run->count; i++) {
        count += mg_prepared_task_request_count(prepared, run->rows[i].item);
    }
    mg_score_request *requests = mg_new_array(mg_score_request, count + 1);
    engine_work work = { run, mg_new_array(engine_slot, count + 1) };
    int64_t at = 0;
    for (int64_t i = 0; i < run->count; i++) {
        mg_run_row *row = &run->rows[i];
        int64_t own = mg_prepared_task_request_count(prepared, row->item);
        row->response_count = rolls ? 1 : own;
        row->scores = mg_arena_array(&run->arena, mg_score, MG_MAX(own, 1));
        for (int64_t k = 0; k < own; k++) {
            mg_prepared_task_request(prepared, row->item, k, &requests[at]);
            work.slots[at++] = (engine_slot){ i, k };
        }
    }
    mg_status status = mg_engine_score(engine, requests, count, take_score, &work, err);
    for (int64_t i = 0; i < run->count; i++) {
        list_scores(run, &run->rows[i]);
    }
    mg_free(requests);
    mg_free(work.slots);
    return status;
}

/* The number of a collected value; NaN for parts of an aggregation over the task. */
static double number_of(const mg_value *value)
{
    double number = (double)NAN;
    if (value != NULL && value->kind == MG_BOOL) {
        return value->boolean ? 1 : 0;
    }
    if (value != NULL && !mg_value_to_double(value, &number)) {
        number = (double)NAN;
    }
    return number;
}

static mg_status hand_out(mg_eval_run *run, mg_item_done *done, void *context, mg_error *err)
{
    int64_t keys = mg_task_metric_count(run->task);
    double *metrics = mg_new_array(double, keys + 1);
    mg_status status = MG_OK;
    for (int64_t i = 0; i < run->count && status == MG_OK; i++) {
        mg_run_row *row = &run->rows[i];
        for (int64_t k = 0; k < keys; k++) {
            metrics[k] = number_of(row->values[k]);
        }
        mg_item_result result = {
            .item = row->item,
            .metrics = metrics,
            .responses = row->texts,
            .scores = row->scores,
            .response_count = row->texts != NULL ? run->task->repeats : row->response_count,
            .failed = row->failed,
            .failure = row->failure,
            .message = row->message,
            .values = (const mg_value *const *)row->values,
            .extras = &row->extras,
            .filtered = row->filtered,
        };
        if (!done(context, &result)) {
            status = mg_fail(err, MG_ERR_INTERRUPTED,
                             "stopped after %" PRId64 " of %" PRId64 " items", i + 1, run->count);
        }
    }
    mg_free(metrics);
    return status;
}

static int compare_items(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The rows of a run in ascending order of items. */
static void make_rows(mg_eval_run *run, const int64_t *items, int64_t count)
{
    const mg_task *task = run->task;
    run->count = items != NULL ? count : task->item_count;
    int64_t *sorted = mg_new_array(int64_t, run->count + 1);
    for (int64_t i = 0; i < run->count; i++) {
        sorted[i] = items != NULL ? items[i] : i;
        MG_ASSERT(sorted[i] >= 0 && sorted[i] < task->item_count);
    }
    qsort(sorted, (size_t)run->count, sizeof(int64_t), compare_items);
    run->rows = mg_arena_array(&run->arena, mg_run_row, run->count);
    for (int64_t i = 0; i < run->count; i++) {
        mg_run_row *row = &run->rows[i];
        row->item = sorted[i];
        row->values = mg_arena_array(&run->arena, mg_value *, mg_task_metric_count(task));
        row->filtered = mg_arena_array(&run->arena, mg_value, task->filter_count);
        row->extras = mg_value_of_map(&run->arena, 0);
    }
    mg_free(sorted);
}

mg_status mg_run_items(mg_prepared_task *prepared, mg_engine *engine, const int64_t *items,
                       int64_t count, mg_item_done *done, void *context, mg_error *err)
{
    mg_status status = MG_OK;
    mg_eval_run run = { .prepared = prepared, .task = prepared->task };
    make_rows(&run, items, count);
    if (run.count == 0) {
        goto done;
    }
    if (run.task->output_type == MG_GENERATE_UNTIL) {
        MG_TRY_OR_DONE(generate(&run, engine, err));
    } else {
        MG_TRY_OR_DONE(score(&run, engine, err));
    }
    MG_TRY_OR_DONE(mg_score_rows(&run, err));
    MG_TRY_OR_DONE(hand_out(&run, done, context, err));

done:
    mg_arena_release(&run.arena);
    return status;
}

/* Where likelihoods of reference answers go. */
typedef struct references {
    double *values;
    int64_t failed; /* request whose logits were not finite; -1 = none */
} references;

static bool take_reference(void *context, int64_t index, const mg_score *result)
{
    references *r = context;
    r->values[index] = result->logprob;
    r->failed = result->failed ? index : r->failed;
    return true;
}

mg_status mg_reference_likelihoods(mg_prepared_task *prepared, mg_engine *engine,
                                   const int64_t *items, int64_t count, double *values_out,
                                   mg_error *err)
{
    references r = { values_out, -1 };
    MG_TRY(mg_prepare_references(prepared, err));
    mg_score_request *requests = mg_new_array(mg_score_request, count + 1);
    for (int64_t i = 0; i < count; i++) {
        mg_prepared_reference(prepared, items[i], &requests[i]);
    }
    mg_status status = mg_engine_score(engine, requests, count, take_reference, &r, err);
    if (status == MG_OK && r.failed >= 0) {
        status = mg_fail(err, MG_ERR_NUMERIC,
                         "the logits of the reference answer to row %" PRId64 " are not finite",
                         items[r.failed]);
    }
    mg_free(requests);
    return status;
}
