/* eval/score_rows.c - answers of a run to collected values: filters, native metrics, functions of
 * the user (tasks.md 11 and 12).
 *
 * All rows go through each filter together and through each function in one call_many, so that a
 * run of the search costs the worker one message. */
#include "base/memory.h"
#include "eval/runner_internal.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <math.h>

static mg_value *keep(mg_eval_run *run, mg_value value)
{
    mg_value *copy = mg_arena_new(&run->arena, mg_value);
    *copy = value;
    return copy;
}

static void set_number(mg_eval_run *run, mg_run_row *row, int64_t key, double number)
{
    row->values[key] = keep(run, mg_value_of_double(number));
}

static void fail_row(mg_eval_run *run, mg_run_row *row, const char *message)
{
    if (!row->failed) {
        row->failed = true;
        row->failure = MG_ERR_USER_CODE;
        row->message = mg_arena_copy(&run->arena, mg_str_of(message)).data;
    }
}

/* What Python's str() gives. */
static mg_str text_of(mg_eval_run *run, const mg_value *value)
{
    if (value->kind == MG_STRING) {
        return value->string;
    }
    mg_buf text = { 0 };
    mg_python_print(&text, value, false);
    mg_str copy = mg_arena_copy(&run->arena, mg_buf_view(&text));
    mg_buf_release(&text);
    return copy;
}

static bool is_true(const mg_value *value)
{
    double number = 0;
    if (value->kind == MG_BOOL) {
        return value->boolean;
    }
    if (mg_value_to_double(value, &number)) {
        return number != 0;
    }
    return value->kind == MG_STRING ? value->string.size > 0 : value->count > 0;
}

/* ---- multiple_choice ---- */

/* numpy's argmax: the first maximum, a NaN beats all. */
static int64_t argmax(const double *values, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(values[i])) {
            return i;
        }
        best = values[i] > values[best] ? i : best;
    }
    return best;
}

#define GOLD_NONE (-100)

/* Whether text is choice index, or where choices are the letters of one text stands in it there:
 * Python finds texts in a text as it finds items in a list. */
static bool is_choice(const mg_value *choices, bool letters, int64_t index, mg_str text)
{
    if (!letters) {
        return mg_str_equal(choices->items[index].string, text);
    }
    size_t at = 0;
    for (int64_t i = index; i < choices->count && at < text.size; i++) {
        mg_str letter = choices->items[i].string;
        if (!mg_str_equal(mg_str_slice(text, at, at + letter.size), letter)) {
            return false;
        }
        at += letter.size;
    }
    return at == text.size;
}

static int64_t gold_index(const mg_value *gold, const mg_value *choices, bool letters)
{
    int64_t index;
    if (gold->kind == MG_BOOL) {
        index = gold->boolean ? 1 : 0;
    } else if (gold->kind == MG_STRING) {
        for (int64_t i = 0; i < choices->count; i++) {
            if (is_choice(choices, letters, i, gold->string)) {
                return i;
            }
        }
        return GOLD_NONE;
    } else if (!mg_value_to_int(gold, &index)) {
        return GOLD_NONE;
    }
    return index < choices->count ? index : GOLD_NONE;
}

/* The right choices of a row: one, or several where doc_to_target gives a list. */
typedef struct golds {
    const mg_value *value;
    const mg_value *choices;
    bool several;
    bool letters; /* choices are the letters of a text */
} golds;

static bool is_gold(const golds *g, int64_t index)
{
    if (!g->several) {
        return gold_index(g->value, g->choices, g->letters) == index;
    }
    for (int64_t i = 0; i < g->value->count; i++) {
        if (gold_index(&g->value->items[i], g->choices, g->letters) == index) {
            return true;
        }
    }
    return false;
}

static bool gold_is_greedy(const golds *g, const mg_score *scores)
{
    int64_t count = g->several ? g->value->count : 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t index =
            gold_index(g->several ? &g->value->items[i] : g->value, g->choices, g->letters);
        if (index == GOLD_NONE) {
            continue;
        }
        index = index < 0 ? index + g->choices->count : index;
        if (index >= 0 && scores[index].is_greedy) {
            return true;
        }
    }
    return false;
}

static mg_value pair(mg_eval_run *run, mg_value a, mg_value b)
{
    mg_value list = mg_value_of_list(&run->arena, 2);
    list.items[0] = a;
    list.items[1] = b;
    return list;
}

static mg_value gold_value(mg_eval_run *run, const golds *g)
{
    if (!g->several) {
        return mg_value_of_int(gold_index(g->value, g->choices, g->letters));
    }
    mg_value list = mg_value_of_list(&run->arena, g->value->count);
    for (int64_t i = 0; i < list.count; i++) {
        list.items[i] = mg_value_of_int(gold_index(&g->value->items[i], g->choices, g->letters));
    }
    return list;
}

/* The log-likelihoods as shares that add up to 1, or as they are. */
static mg_value list_of_doubles(mg_eval_run *run, const double *lls, int64_t count, bool softmax)
{
    mg_value list = mg_value_of_list(&run->arena, count);
    double sum = 0;
    double most = lls[argmax(lls, count)];
    for (int64_t i = 0; i < count; i++) {
        sum += exp(lls[i] - most);
    }
    for (int64_t i = 0; i < count; i++) {
        list.items[i] = mg_value_of_double(softmax ? exp(lls[i] - most) / sum : lls[i]);
    }
    return list;
}

/* The choice with the largest log-likelihood per character or per byte. */
static int64_t argmax_normed(const double *lls, const mg_value *choices, bool bytes)
{
    double *normed = mg_new_array(double, choices->count);
    for (int64_t i = 0; i < choices->count; i++) {
        mg_str text = choices->items[i].string;
        normed[i] = lls[i] / (double)(bytes ? (int64_t)text.size : mg_utf8_count(text));
    }
    int64_t best = argmax(normed, choices->count);
    mg_free(normed);
    return best;
}

static void score_choice_metric(mg_eval_run *run, mg_run_row *row, const mg_metric *metric,
                                int64_t key, const golds *g, const double *lls)
{
    int64_t count = g->choices->count;
    int64_t said = argmax(lls, count);
    switch (metric->kind) {
    case MG_METRIC_ACC:
        set_number(run, row, key, is_gold(g, said));
        return;
    case MG_METRIC_ACC_NORM:
        set_number(run, row, key, is_gold(g, argmax_normed(lls, g->choices, false)));
        return;
    case MG_METRIC_ACC_BYTES:
        set_number(run, row, key, is_gold(g, argmax_normed(lls, g->choices, true)));
        return;
    case MG_METRIC_EXACT_MATCH:
        row->values[key] = keep(run, mg_value_of_int(gold_is_greedy(g, row->scores)));
        return;
    case MG_METRIC_F1:
    case MG_METRIC_MCC:
        row->values[key] = keep(run, pair(run, gold_value(run, g), mg_value_of_int(said)));
        return;
    case MG_METRIC_BRIER_SCORE:
    case MG_METRIC_LIKELIHOOD:
        row->values[key] = keep(
            run, pair(run, gold_value(run, g),
                      list_of_doubles(run, lls, count, metric->kind == MG_METRIC_BRIER_SCORE)));
        return;
    case MG_METRIC_ACC_MUTUAL_INFO:
        if (row->response_count == 2 * count) {
            double *gains = mg_new_array(double, count);
            for (int64_t i = 0; i < count; i++) {
                gains[i] = lls[i] - row->scores[count + i].logprob;
            }
            int64_t best = argmax(gains, count);
            set_number(run, row, key, !g->several && is_gold(g, best));
            mg_free(gains);
        }
        return;
    case MG_METRIC_BYPASS:
        row->values[key] = keep(run, mg_value_null);
        return;
    default:
        return;
    }
}

static void score_choices(mg_eval_run *run, mg_run_row *row, int64_t filter)
{
    const mg_task *task = run->task;
    const mg_row_text *text = &task->rows[row->item];
    golds g = { task->multiple_input > 0 ? &text->text : &text->target, &text->choices,
                task->multiple_target && text->target.kind == MG_LIST && task->multiple_input == 0,
                task->choices_are_letters };
    double *lls = mg_new_array(double, g.choices->count);
    for (int64_t i = 0; i < g.choices->count; i++) {
        lls[i] = row->scores[i].logprob;
    }
    for (int64_t m = 0; m < task->metric_count; m++) {
        score_choice_metric(run, row, &task->metrics[m], filter * task->metric_count + m, &g, lls);
    }
    mg_free(lls);
}

/* ---- loglikelihood, rolling ---- */

/* Pieces between runs of white space; an empty one at an edge counts, as re.split gives it. */
static int64_t count_words(mg_str text)
{
    int64_t words = 1;
    bool in_space = false;
    size_t bytes;
    for (size_t at = 0; at < text.size; at += bytes) {
        bool space = mg_unicode_is_python_space(mg_utf8_decode(text, at, &bytes));
        words += space && !in_space;
        in_space = space;
    }
    return words;
}

static void score_likelihood(mg_eval_run *run, mg_run_row *row, int64_t filter)
{
    const mg_task *task = run->task;
    mg_str target = text_of(run, &task->rows[row->item].target);
    for (int64_t m = 0; m < task->metric_count; m++) {
        int64_t key = filter * task->metric_count + m;
        mg_value ll = mg_value_of_double(row->scores[0].logprob);
        switch (task->metrics[m].kind) {
        case MG_METRIC_ACC:
            row->values[key] = keep(run, mg_value_of_int(row->scores[0].is_greedy));
            break;
        case MG_METRIC_PERPLEXITY:
            row->values[key] = keep(run, ll);
            break;
        case MG_METRIC_WORD_PERPLEXITY:
            row->values[key] = keep(run, pair(run, ll, mg_value_of_int(count_words(target))));
            break;
        case MG_METRIC_BYTE_PERPLEXITY:
        case MG_METRIC_BITS_PER_BYTE:
            row->values[key] = keep(run, pair(run, ll, mg_value_of_int((int64_t)target.size)));
            break;
        case MG_METRIC_BYPASS:
            row->values[key] = keep(run, mg_value_null);
            break;
        default:
            break;
        }
    }
}

/* ---- generate_until ---- */

/* The right answer: a choice, a list of answers, or the target as text. */
static const mg_value *generation_gold(mg_eval_run *run, const mg_run_row *row)
{
    const mg_row_text *text = &run->task->rows[row->item];
    const mg_value *target = &text->target;
    if (text->choices.kind == MG_LIST && target->kind == MG_INT) {
        int64_t index =
            target->integer < 0 ? target->integer + text->choices.count : target->integer;
        if (index >= 0 && index < text->choices.count) {
            return &text->choices.items[index];
        }
    }
    if (target->kind == MG_STRING || (run->task->multiple_target && target->kind == MG_LIST)) {
        return target;
    }
    return keep(run, mg_value_of_str(&run->arena, target->kind == MG_NULL ? mg_str_of("None")
                                                                          : text_of(run, target)));
}

static mg_status score_exact_match(mg_eval_run *run, mg_run_row *row, const mg_metric *metric,
                                   int64_t key, const mg_value *gold, const mg_value *said,
                                   mg_error *err)
{
    double best = 0;
    int64_t count = gold->kind == MG_LIST ? gold->count : 1;
    for (int64_t i = 0; i < count && said->kind == MG_STRING; i++) {
        double score;
        const mg_value *one = gold->kind == MG_LIST ? &gold->items[i] : gold;
        MG_TRY(mg_exact_match(metric, text_of(run, one), said->string, &score, err));
        best = MG_MAX(best, score);
    }
    set_number(run, row, key, best);
    return MG_OK;
}

static mg_status score_generation(mg_eval_run *run, mg_run_row *row, int64_t filter, mg_error *err)
{
    const mg_task *task = run->task;
    const mg_value *gold = generation_gold(run, row);
    const mg_value *said = &row->filtered[filter].items[0];
    for (int64_t m = 0; m < task->metric_count; m++) {
        int64_t key = filter * task->metric_count + m;
        switch (task->metrics[m].kind) {
        case MG_METRIC_EXACT_MATCH:
            MG_TRY(score_exact_match(run, row, &task->metrics[m], key, gold, said, err));
            break;
        case MG_METRIC_PAIR:
            row->values[key] = keep(run, pair(run, *gold, *said));
            break;
        case MG_METRIC_BYPASS:
            row->values[key] = keep(run, mg_value_null);
            break;
        default:
            break;
        }
    }
    return MG_OK;
}

/* ---- functions of the user ---- */

typedef struct call_context {
    mg_eval_run *run;
    int64_t filter;
    int64_t metric;    /* of a metric function; -1 = process_results */
    int64_t *row_of;   /* call -> row */
    bool *is_true_out; /* several right answers: call -> truth */
} call_context;

/* Whether an aggregation can take the value; what it wants is in *expected. */
static bool fits(mg_aggregation aggregation, const mg_value *value, const char **expected)
{
    double number;
    bool numeric = value->kind == MG_BOOL || mg_value_to_double(value, &number);
    switch (aggregation) {
    case MG_AGGREGATE_MEAN:
    case MG_AGGREGATE_MEDIAN:
    case MG_AGGREGATE_PERPLEXITY:
        *expected = "a finite number";
        return numeric && (value->kind == MG_BOOL || isfinite(number) ||
                           (isinf(number) && aggregation == MG_AGGREGATE_PERPLEXITY));
    case MG_AGGREGATE_NANMEAN:
        *expected = "a number";
        return numeric;
    case MG_AGGREGATE_WEIGHTED_PERPLEXITY:
    case MG_AGGREGATE_BITS_PER_BYTE:
    case MG_AGGREGATE_F1:
    case MG_AGGREGATE_MCC:
        *expected = "a pair";
        return value->kind == MG_LIST && value->count == 2;
    default:
        return true;
    }
}

static mg_aggregation aggregation_of(const mg_task *task, mg_str name)
{
    for (int64_t m = 0; m < task->metric_count; m++) {
        if (mg_str_equal(task->metrics[m].name, name)) {
            return task->metrics[m].aggregation;
        }
    }
    return MG_AGGREGATE_MEAN;
}

static void fail_value(mg_eval_run *run, mg_run_row *row, const mg_function *function, mg_str name,
                       const mg_value *value, const char *expected)
{
    double number;
    const char *what = mg_value_to_double(value, &number) && isnan(number) ? "NaN"
                       : mg_value_to_double(value, &number) && isinf(number)
                           ? "infinity"
                           : mg_kind_name(value->kind);
    fail_row(run, row,
             mg_arena_printf(&run->arena, "%.*s: returned %s for '%.*s', expected %s",
                             MG_STR_ARG(mg_function_place(function)), what, MG_STR_ARG(name),
                             expected)
                 .data);
}

/* Keeps one metric of a mapping that a function returned. */
static void keep_metric(mg_eval_run *run, mg_run_row *row, int64_t filter, mg_str name,
                        const mg_value *value, const mg_function *function,
                        mg_aggregation aggregation)
{
    const mg_task *task = run->task;
    const char *expected = "";
    mg_value copy = mg_value_copy(&run->arena, value);
    if (!fits(aggregation, value, &expected)) {
        fail_value(run, row, function, name, value, expected);
        return;
    }
    for (int64_t m = 0; m < task->metric_count; m++) {
        if (mg_str_equal(task->metrics[m].name, name)) {
            row->values[filter * task->metric_count + m] = keep(run, copy);
            return;
        }
    }
    mg_value more = mg_value_of_map(&run->arena, row->extras.count + 1);
    for (int64_t i = 0; i < row->extras.count; i++) {
        more.entries[i] = row->extras.entries[i];
    }
    mg_str key = mg_arena_printf(&run->arena, "%.*s,%.*s", MG_STR_ARG(name),
                                 MG_STR_ARG(task->filters[filter].name));
    more.entries[row->extras.count].key = mg_value_of_str(&run->arena, key);
    more.entries[row->extras.count].value = copy;
    row->extras = more;
}

static mg_status take_results(void *context, int64_t index, const mg_value *value,
                              const char *failure, mg_error *err)
{
    (void)err;
    call_context *call = context;
    mg_eval_run *run = call->run;
    const mg_function *function = &run->task->process_results;
    mg_run_row *row = &run->rows[call->row_of[index]];
    if (failure != NULL) {
        fail_row(run, row, failure);
        return MG_OK;
    }
    if (value->kind != MG_MAP) {
        fail_row(run, row,
                 mg_arena_printf(&run->arena, "%.*s: returned %s, expected a dict of metrics",
                                 MG_STR_ARG(mg_function_place(function)), mg_kind_name(value->kind))
                     .data);
        return MG_OK;
    }
    for (int64_t i = 0; i < value->count; i++) {
        mg_str name = value->entries[i].key.string;
        keep_metric(run, row, call->filter, name, &value->entries[i].value, function,
                    aggregation_of(run->task, name));
    }
    return MG_OK;
}

/* process_results(row, [response of each request]) for all rows. */
static mg_status call_process_results(mg_eval_run *run, int64_t filter, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_value calls = mg_value_of_list(&arena, run->count);
    call_context context = { run, filter, -1, mg_new_array(int64_t, run->count + 1), NULL };
    calls.count = 0;
    for (int64_t i = 0; i < run->count; i++) {
        if (run->rows[i].failed) {
            continue;
        }
        mg_value *arguments = &calls.items[calls.count];
        context.row_of[calls.count++] = i;
        *arguments = mg_value_of_list(&arena, 2);
        arguments->items[0] = *mg_task_item(run->task, run->rows[i].item);
        arguments->items[1] = run->rows[i].filtered[filter];
    }
    mg_status status =
        mg_python_call_many(run->task->python, "call_many", &run->task->process_results, &calls,
                            NULL, take_results, &context, err);
    mg_free(context.row_of);
    mg_arena_release(&arena);
    return status;
}

static mg_status take_metric(void *context, int64_t index, const mg_value *value,
                             const char *failure, mg_error *err)
{
    (void)err;
    call_context *call = context;
    mg_eval_run *run = call->run;
    const mg_metric *metric = &run->task->metrics[call->metric];
    mg_run_row *row = &run->rows[call->row_of[index]];
    if (failure != NULL) {
        fail_row(run, row, failure);
        return MG_OK;
    }
    if (call->is_true_out != NULL) {
        const mg_value *own = mg_value_get_str(value, metric->name);
        call->is_true_out[index] = is_true(own != NULL ? own : value);
        return MG_OK;
    }
    if (value->kind != MG_MAP) {
        keep_metric(run, row, call->filter, metric->name, value, &metric->function,
                    metric->aggregation);
        return MG_OK;
    }
    for (int64_t i = 0; i < value->count; i++) {
        keep_metric(run, row, call->filter, value->entries[i].key.string, &value->entries[i].value,
                    &metric->function, metric->aggregation);
    }
    return MG_OK;
}

static void add_call(mg_arena *arena, mg_value *calls, const mg_value *gold, const mg_value *said)
{
    mg_value *arguments = &calls->items[calls->count++];
    *arguments = mg_value_of_list(arena, 2);
    arguments->items[0] = *gold;
    arguments->items[1] = *said;
}

/* A metric function of the user: once for each row, or for each right answer of each row. */
static mg_status call_metric(mg_eval_run *run, int64_t filter, int64_t m, mg_error *err)
{
    const mg_task *task = run->task;
    const mg_metric *metric = &task->metrics[m];
    mg_arena arena = { 0 };
    int64_t room = 0;
    for (int64_t i = 0; i < run->count; i++) {
        const mg_value *gold = generation_gold(run, &run->rows[i]);
        room += gold->kind == MG_LIST ? gold->count : 1;
    }
    mg_value calls = mg_value_of_list(&arena, room);
    call_context context = { run, filter, m, mg_new_array(int64_t, room + 1), NULL };
    bool *truths = mg_new_array(bool, room + 1);
    calls.count = 0;
    for (int64_t i = 0; i < run->count; i++) {
        mg_run_row *row = &run->rows[i];
        if (row->failed) {
            continue;
        }
        const mg_value *gold = generation_gold(run, row);
        const mg_value *said = &row->filtered[filter].items[0];
        int64_t count = task->multiple_target && gold->kind == MG_LIST ? gold->count : 1;
        for (int64_t k = 0; k < count; k++) {
            context.row_of[calls.count] = i;
            add_call(&arena, &calls, count > 1 || gold->kind == MG_LIST ? &gold->items[k] : gold,
                     said);
        }
    }
    context.is_true_out = task->multiple_target ? truths : NULL;
    mg_status status = mg_python_call_many(task->python, "score", &metric->function, &calls,
                                           metric->arguments, take_metric, &context, err);
    int64_t key = filter * task->metric_count + m;
    for (int64_t i = 0; status == MG_OK && task->multiple_target && i < run->count; i++) {
        if (!run->rows[i].failed) {
            set_number(run, &run->rows[i], key, 0); /* also where there is no right answer */
        }
    }
    for (int64_t i = 0; status == MG_OK && task->multiple_target && i < calls.count; i++) {
        mg_run_row *row = &run->rows[context.row_of[i]];
        bool before = row->values[key] != NULL && row->values[key]->number != 0;
        set_number(run, row, key, before || truths[i]);
    }
    mg_free(truths);
    mg_free(context.row_of);
    mg_arena_release(&arena);
    return status;
}

/* A metric of the `evaluate` package, for all rows in one request. */
static mg_status call_library(mg_eval_run *run, int64_t filter, int64_t m, mg_error *err)
{
    const mg_task *task = run->task;
    const mg_metric *metric = &task->metrics[m];
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_value members = mg_value_of_map(&arena, 3);
    mg_value pairs = mg_value_of_list(&arena, run->count);
    mg_value answers;
    mg_function function = { .name = metric->name, .where = task->name };
    pairs.count = 0;
    for (int64_t i = 0; i < run->count; i++) {
        const mg_value *gold = generation_gold(run, &run->rows[i]);
        mg_value list = mg_value_of_list(&arena, 1);
        list.items[0] = *gold;
        bool one = task->multiple_target && gold->kind != MG_LIST;
        add_call(&arena, &pairs, one ? &list : gold, &run->rows[i].filtered[filter].items[0]);
    }
    members.entries[0].key = mg_value_of_str(&arena, mg_str_of("pairs"));
    members.entries[0].value = pairs;
    members.entries[1].key = mg_value_of_str(&arena, mg_str_of("keywords"));
    members.entries[1].value = metric->arguments != NULL ? *metric->arguments : mg_value_null;
    members.entries[2].key = mg_value_of_str(&arena, mg_str_of("several"));
    members.entries[2].value = mg_value_of_bool(task->multiple_target);
    MG_TRY_OR_DONE(
        mg_python_request(task->python, "library", &function, &members, &arena, &answers, err));
    for (int64_t i = 0; i < run->count && answers.kind == MG_LIST && i < answers.count; i++) {
        for (int64_t k = 0; k < answers.items[i].count; k++) {
            keep_metric(run, &run->rows[i], filter, answers.items[i].entries[k].key.string,
                        &answers.items[i].entries[k].value, &function, metric->aggregation);
        }
    }

done:
    mg_arena_release(&arena);
    return status;
}

/* ---- the whole ---- */

/* Each request's repeats through one pipeline; a row's answers become one list. */
static mg_status filter_rows(mg_eval_run *run, int64_t filter, mg_error *err)
{
    int64_t total = 0;
    for (int64_t i = 0; i < run->count; i++) {
        total += run->rows[i].response_count;
    }
    mg_value *responses = mg_new_array(mg_value, total + 1);
    const mg_value **docs = mg_new_array(const mg_value *, total + 1);
    int64_t at = 0;
    for (int64_t i = 0; i < run->count; i++) {
        for (int64_t k = 0; k < run->rows[i].response_count; k++) {
            /* filters change lists in place: each pipeline gets its own */
            responses[at] = mg_value_copy(&run->arena, &run->rows[i].responses[k]);
            docs[at++] = mg_task_item(run->task, run->rows[i].item);
        }
    }
    mg_status status = mg_filter_apply(&run->task->filters[filter], run->task->python, docs,
                                       responses, total, &run->arena, err);
    at = 0;
    for (int64_t i = 0; i < run->count && status == MG_OK; i++) {
        mg_run_row *row = &run->rows[i];
        row->filtered[filter] = mg_value_of_list(&run->arena, row->response_count);
        for (int64_t k = 0; k < row->response_count; k++) {
            row->filtered[filter].items[k] = responses[at++];
        }
    }
    mg_free(responses);
    mg_free(docs);
    return status;
}

static mg_status score_natively(mg_eval_run *run, int64_t filter, mg_error *err)
{
    for (int64_t i = 0; i < run->count; i++) {
        mg_run_row *row = &run->rows[i];
        if (row->failed) {
            continue;
        }
        if (run->task->output_type == MG_MULTIPLE_CHOICE) {
            score_choices(run, row, filter);
        } else if (run->task->output_type == MG_GENERATE_UNTIL) {
            MG_TRY(score_generation(run, row, filter, err));
        } else {
            score_likelihood(run, row, filter);
        }
    }
    return MG_OK;
}

mg_status mg_score_rows(mg_eval_run *run, mg_error *err)
{
    const mg_task *task = run->task;
    for (int64_t f = 0; f < task->filter_count; f++) {
        MG_TRY(filter_rows(run, f, err));
        if (task->process_results.file.size > 0) {
            MG_TRY(call_process_results(run, f, err));
            continue;
        }
        MG_TRY(score_natively(run, f, err));
        for (int64_t m = 0; m < task->metric_count; m++) {
            if (task->metrics[m].kind == MG_METRIC_FUNCTION) {
                MG_TRY(call_metric(run, f, m, err));
            } else if (task->metrics[m].kind == MG_METRIC_LIBRARY) {
                MG_TRY(call_library(run, f, m, err));
            }
        }
    }
    return MG_OK;
}
