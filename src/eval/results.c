/* eval/results.c - collected values of a task, and what they come to. */
#include "base/memory.h"
#include "eval/runner.h"
#include "eval/task_internal.h"

#include <math.h>

/* The values of one key, in the order they came. */
typedef struct column {
    mg_str key;
    const mg_metric *metric;
    const mg_value **values;
    int64_t count;
    int64_t cap;
} column;

struct mg_task_results {
    const mg_task *task;
    mg_arena arena;
    column *columns;
    int64_t column_count;
    int64_t column_cap;
    int64_t item_count;
    int64_t failed_count;
    const char *failure;
    bool extra_is_known; /* a function of metric_list gave those metrics */
    mg_metric extra;     /* how metrics are aggregated that no metric_list names: mostly the mean */
};

static column *add_column(mg_task_results *results, mg_str key, const mg_metric *metric)
{
    if (results->column_count == results->column_cap) {
        results->column_cap = results->column_cap > 0 ? results->column_cap * 2 : 8;
        results->columns = mg_memory_resize(results->columns, results->column_cap, sizeof(column));
    }
    column *added = &results->columns[results->column_count++];
    *added = (column){ .key = key, .metric = metric };
    return added;
}

mg_task_results *mg_task_results_create(const mg_task *task)
{
    mg_task_results *results = mg_new(mg_task_results);
    results->task = task;
    results->extra.name = mg_str_of("metric");
    for (int64_t m = 0; m < task->metric_count; m++) {
        /* a function that returns a dict lends its aggregation to the keys of the dict */
        bool lends = task->metrics[m].kind == MG_METRIC_FUNCTION ||
                     task->metrics[m].kind == MG_METRIC_LIBRARY;
        if (lends && !results->extra_is_known) {
            results->extra.aggregation = task->metrics[m].aggregation;
            results->extra.aggregator = task->metrics[m].aggregator;
            results->extra.higher_is_better = task->metrics[m].higher_is_better;
            results->extra_is_known = true;
        }
    }
    for (int64_t i = 0; i < mg_task_metric_count(task); i++) {
        add_column(results, task->keys[i], &task->metrics[i % task->metric_count]);
    }
    return results;
}

void mg_task_results_destroy(mg_task_results *results)
{
    if (results != NULL) {
        for (int64_t i = 0; i < results->column_count; i++) {
            mg_free(results->columns[i].values);
        }
        mg_free(results->columns);
        mg_arena_release(&results->arena);
        mg_free(results);
    }
}

static void add_value(mg_task_results *results, column *to, const mg_value *value)
{
    if (to->count == to->cap) {
        to->cap = to->cap > 0 ? to->cap * 2 : 64;
        to->values = mg_memory_resize(to->values, to->cap, sizeof(mg_value *));
    }
    mg_value *copy = mg_arena_new(&results->arena, mg_value);
    *copy = mg_value_copy(&results->arena, value);
    to->values[to->count++] = copy;
}

static column *find_extra(mg_task_results *results, mg_str key)
{
    for (int64_t i = mg_task_metric_count(results->task); i < results->column_count; i++) {
        if (mg_str_equal(results->columns[i].key, key)) {
            return &results->columns[i];
        }
    }
    return add_column(results, mg_arena_copy(&results->arena, key), &results->extra);
}

void mg_task_results_add(mg_task_results *results, const mg_item_result *item)
{
    results->item_count++;
    if (item->failed) {
        results->failed_count++;
        if (results->failure == NULL) {
            const char *message = item->message != NULL ? item->message : "failed";
            results->failure =
                mg_arena_printf(&results->arena, "row %lld: %s", (long long)item->item, message)
                    .data;
        }
        return;
    }
    for (int64_t i = 0; i < mg_task_metric_count(results->task); i++) {
        mg_value number;
        if (item->values != NULL && item->values[i] != NULL) {
            add_value(results, &results->columns[i], item->values[i]);
        } else if (item->values == NULL && !isnan(item->metrics[i])) {
            number = mg_value_of_double(item->metrics[i]); /* an item read back from a store */
            add_value(results, &results->columns[i], &number);
        }
    }
    for (int64_t i = 0; item->extras != NULL && i < item->extras->count; i++) {
        const mg_entry *entry = &item->extras->entries[i];
        add_value(results, find_extra(results, entry->key.string), &entry->value);
    }
}

mg_status mg_task_results_compute(const mg_task_results *results, int64_t metric_index,
                                  double *value_out, mg_error *err)
{
    MG_ASSERT(metric_index >= 0 && metric_index < results->column_count);
    const column *from = &results->columns[metric_index];
    mg_status status = mg_aggregate(from->metric, results->task->python, from->values, from->count,
                                    value_out, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "task '%.*s': %.*s", MG_STR_ARG(results->task->name),
                        MG_STR_ARG(from->key));
    }
    return status;
}

mg_status mg_task_results_compute_stderr(const mg_task_results *results, int64_t metric_index,
                                         int64_t iterations, mg_pool *pool, double *value_out,
                                         mg_error *err)
{
    MG_ASSERT(metric_index >= 0 && metric_index < results->column_count);
    const column *from = &results->columns[metric_index];
    return mg_aggregate_stderr(from->metric, from->values, from->count, iterations, pool, value_out,
                               err);
}

double mg_task_results_value(const mg_task_results *results, int64_t metric_index)
{
    double value;
    return mg_task_results_compute(results, metric_index, &value, NULL) == MG_OK ? value
                                                                                 : (double)NAN;
}

double mg_task_results_stderr(const mg_task_results *results, int64_t metric_index)
{
    double value;
    mg_status status =
        mg_task_results_compute_stderr(results, metric_index, 100000, NULL, &value, NULL);
    return status == MG_OK ? value : (double)NAN;
}

int64_t mg_task_results_metric_count(const mg_task_results *results)
{
    return results->column_count;
}

mg_str mg_task_results_metric(const mg_task_results *results, int64_t metric_index)
{
    MG_ASSERT(metric_index >= 0 && metric_index < results->column_count);
    return results->columns[metric_index].key;
}

bool mg_task_results_direction(const mg_task_results *results, int64_t metric_index,
                               bool *higher_out)
{
    MG_ASSERT(metric_index >= 0 && metric_index < results->column_count);
    const column *from = &results->columns[metric_index];
    *higher_out = from->metric->higher_is_better;
    return from->metric != &results->extra || results->extra_is_known;
}

int64_t mg_task_results_value_count(const mg_task_results *results, int64_t metric_index)
{
    MG_ASSERT(metric_index >= 0 && metric_index < results->column_count);
    return results->columns[metric_index].count;
}

int64_t mg_task_results_item_count(const mg_task_results *results)
{
    return results->item_count;
}

int64_t mg_task_results_failed_count(const mg_task_results *results)
{
    return results->failed_count;
}

const char *mg_task_results_failure(const mg_task_results *results)
{
    return results->failure;
}
