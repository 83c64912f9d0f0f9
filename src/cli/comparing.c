/* cli/comparing.c - `eval --compare A B`: the answers of two samples files, question by question.
 *
 * Answers are matched by task, filter and row number, and the rows must be the same: two files
 * about different questions cannot be compared. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/map.h"
#include "base/memory.h"
#include "cli/evaluating.h"
#include "optim/stats.h"
#include "text/json.h"

#define MG_DRAWS 10000
#define MG_REPORT_BYTES_MAX ((size_t)1 << 30)

/* The lines of one file. */
typedef struct samples {
    mg_arena arena;
    const mg_value **lines;
    int64_t count;
    int64_t cap;
    mg_map index; /* "task/filter/row" -> line */
} samples;

typedef struct pairing {
    double *a, *b, *differences;
    int64_t count;
} pairing;

static mg_status keep_line(void *context, const mg_value *value, const char *message, mg_error *err)
{
    samples *file = context;
    const mg_value *task = mg_value_get(value, "task");
    const mg_value *filter = mg_value_get(value, "filter");
    int64_t row;
    if (value == NULL) {
        return mg_fail(err, MG_ERR_FORMAT, "%s", message);
    }
    if (task == NULL || task->kind != MG_STRING || filter == NULL || filter->kind != MG_STRING ||
        !mg_value_to_int(mg_value_get(value, "doc_id"), &row)) {
        return mg_fail(err, MG_ERR_FORMAT, "a line without task, filter and doc_id");
    }
    if (file->count == file->cap) {
        file->cap = MG_MAX(2 * file->cap, 256);
        file->lines =
            (const mg_value **)mg_memory_resize(file->lines, file->cap, sizeof(const mg_value *));
    }
    mg_str key = mg_arena_printf(&file->arena, "%.*s/%.*s/%lld", MG_STR_ARG(task->string),
                                 MG_STR_ARG(filter->string), (long long)row);
    if (!mg_map_set(&file->index, key, file->count)) {
        return mg_fail(err, MG_ERR_FORMAT, "row %lld of task '%.*s' stands there twice",
                       (long long)row, MG_STR_ARG(task->string));
    }
    file->lines[file->count++] = value;
    return MG_OK;
}

static void put(samples *file, mg_value *map, mg_str key, const mg_value *value)
{
    map->entries[map->count].key = mg_value_of_str(&file->arena, key);
    map->entries[map->count++].value = *value;
}

/* The part of a key "METRIC,FILTER" before or behind its comma. */
static mg_str part_of(mg_str key, bool filter)
{
    int64_t comma = mg_str_find(key, mg_str_of(","), 0);
    size_t at = comma < 0 ? key.size : (size_t)comma;
    return filter ? mg_str_slice(key, at + 1, key.size) : mg_str_slice(key, 0, at);
}

/* The line of one item and filter, with all metrics of that filter. */
static mg_status spread_item(samples *file, const mg_value *task, const mg_value *entry,
                             mg_str filter, int64_t item, mg_error *err)
{
    const mg_value *metrics = mg_value_get(entry, "metrics");
    const mg_value *scores = &mg_value_get(entry, "scores")->items[item];
    mg_value *line = mg_arena_new(&file->arena, mg_value);
    mg_value row = mg_value_of_int(item);
    mg_value name = mg_value_of_str(&file->arena, filter);
    if (scores->kind != MG_LIST || scores->count != metrics->count) {
        return mg_fail(err, MG_ERR_FORMAT, "scores of task '%.*s' are damaged",
                       MG_STR_ARG(task->string));
    }
    *line = mg_value_of_map(&file->arena, 4 + metrics->count);
    line->count = 0;
    put(file, line, mg_str_of("task"), task);
    put(file, line, mg_str_of("doc_id"), &row);
    put(file, line, mg_str_of("doc"), mg_value_get(entry, "hash"));
    put(file, line, mg_str_of("filter"), &name);
    for (int64_t m = 0; m < metrics->count; m++) {
        if (mg_str_equal(part_of(metrics->items[m].string, true), filter)) {
            put(file, line, part_of(metrics->items[m].string, false), &scores->items[m]);
        }
    }
    return keep_line(file, line, "", err);
}

static mg_status spread_task(samples *file, mg_str task, const mg_value *entry, mg_error *err)
{
    const mg_value *metrics = mg_value_get(entry, "metrics");
    const mg_value *scores = mg_value_get(entry, "scores");
    mg_value name = mg_value_of_str(&file->arena, task);
    if (metrics == NULL || metrics->kind != MG_LIST || scores == NULL || scores->kind != MG_LIST ||
        mg_value_get(entry, "hash") == NULL) {
        return mg_fail(err, MG_ERR_FORMAT, "no scores of task '%.*s'", MG_STR_ARG(task));
    }
    for (int64_t m = 0; m < metrics->count; m++) {
        mg_str filter = part_of(metrics->items[m].string, true);
        bool seen = false;
        for (int64_t k = 0; k < m; k++) {
            seen = seen || mg_str_equal(part_of(metrics->items[k].string, true), filter);
        }
        for (int64_t i = 0; !seen && i < scores->count; i++) {
            MG_TRY(spread_item(file, &name, entry, filter, i, err));
        }
    }
    return MG_OK;
}

/* Whether the file is one JSON object with results. */
static bool is_report(const char *path, samples *file, mg_value *root)
{
    return mg_json_read(path, MG_REPORT_BYTES_MAX, &file->arena, root, NULL) == MG_OK &&
           mg_value_get(root, "results") != NULL;
}

static mg_status read_samples(const char *path, samples *file, mg_error *err)
{
    mg_value root;
    mg_status status = MG_OK;
    if (is_report(path, file, &root)) {
        const mg_value *items = mg_value_path(&root, "merganser.items");
        for (int64_t i = 0; items != NULL && status == MG_OK && i < items->count; i++) {
            status = spread_task(file, items->entries[i].key.string, &items->entries[i].value, err);
        }
    } else {
        status = mg_json_lines_read(path, &file->arena, keep_line, file, err);
    }
    if (status == MG_OK && file->count == 0) {
        status = mg_fail(err, MG_ERR_FORMAT, "no answers in it");
    }
    if (status == MG_ERR_FORMAT) {
        mg_error_prefix(err, "%s: is no file that eval --output or --log-samples wrote", path);
    }
    return status;
}

static void release_samples(samples *file)
{
    mg_free(file->lines);
    mg_map_release(&file->index);
    mg_arena_release(&file->arena);
}

static bool is_score(const mg_value *value, double *score_out)
{
    if (value != NULL && value->kind == MG_BOOL) {
        *score_out = value->boolean ? 1 : 0;
        return true;
    }
    return mg_value_to_double(value, score_out);
}

/* The first metric of a line: what stands behind "filter". */
static const char *first_metric(const mg_value *line)
{
    bool behind = false;
    for (int64_t i = 0; i < line->count; i++) {
        double score;
        if (behind && is_score(&line->entries[i].value, &score)) {
            return line->entries[i].key.string.data;
        }
        behind = behind || mg_str_is(line->entries[i].key.string, "filter");
    }
    return NULL;
}

static const mg_value *partner(const samples *file, const mg_value *line)
{
    mg_arena arena = { NULL, 0, 0 };
    int64_t row = 0;
    (void)mg_value_to_int(mg_value_get(line, "doc_id"), &row);
    mg_str key =
        mg_arena_printf(&arena, "%.*s/%.*s/%lld", MG_STR_ARG(mg_value_get(line, "task")->string),
                        MG_STR_ARG(mg_value_get(line, "filter")->string), (long long)row);
    int64_t found = mg_map_get(&file->index, key, -1);
    mg_arena_release(&arena);
    return found < 0 ? NULL : file->lines[found];
}

/* The scores of one task and filter that both files have. */
static mg_status pair_up(const samples *a, const samples *b, const mg_value *head,
                         const char *metric, pairing *pairs, mg_error *err)
{
    pairs->count = 0;
    for (int64_t i = 0; i < a->count; i++) {
        const mg_value *line = a->lines[i];
        if (!mg_value_equal(mg_value_get(line, "task"), mg_value_get(head, "task")) ||
            !mg_value_equal(mg_value_get(line, "filter"), mg_value_get(head, "filter"))) {
            continue;
        }
        const mg_value *other = partner(b, line);
        double x;
        double y;
        if (other == NULL || !is_score(mg_value_get(line, metric), &x) ||
            !is_score(mg_value_get(other, metric), &y)) {
            continue;
        }
        if (!mg_value_equal(mg_value_get(line, "doc"), mg_value_get(other, "doc"))) {
            return mg_fail(err, MG_ERR_CONFIG,
                           "row %lld of task '%.*s' is not the same question in both files",
                           (long long)mg_value_get(line, "doc_id")->integer,
                           MG_STR_ARG(mg_value_get(head, "task")->string));
        }
        pairs->a[pairs->count] = x;
        pairs->b[pairs->count] = y;
        pairs->differences[pairs->count++] = y - x;
    }
    return MG_OK;
}

static void print_pairing(mg_cli *cli, const mg_value *head, const char *metric,
                          const pairing *pairs)
{
    double a = 0;
    double b = 0;
    int64_t won = 0;
    int64_t lost = 0;
    bool binary = true;
    for (int64_t i = 0; i < pairs->count; i++) {
        a += pairs->a[i];
        b += pairs->b[i];
        won += pairs->b[i] > pairs->a[i];
        lost += pairs->a[i] > pairs->b[i];
        binary = binary && (pairs->a[i] == 0 || pairs->a[i] == 1) &&
                 (pairs->b[i] == 0 || pairs->b[i] == 1);
    }
    a /= (double)pairs->count;
    b /= (double)pairs->count;
    mg_interval interval = mg_bootstrap_mean(pairs->differences, pairs->count, MG_DRAWS, 0);
    double p = binary ? mg_mcnemar(lost, won) : (double)NAN;
    mg_str task = mg_value_get(head, "task")->string;
    mg_str filter = mg_value_get(head, "filter")->string;
    if (mg_cli_json(cli)) {
        mg_buf line = { NULL, 0, 0 };
        mg_buf_add_text(&line, "{\"task\": ");
        mg_json_write_str(&line, task, false);
        mg_buf_add_text(&line, ", \"metric\": ");
        mg_arena arena = { NULL, 0, 0 };
        mg_json_write_str(&line, mg_arena_printf(&arena, "%s,%.*s", metric, MG_STR_ARG(filter)),
                          false);
        mg_arena_release(&arena);
        mg_buf_printf(&line,
                      ", \"items\": %lld, \"a\": %.17g, \"b\": %.17g, \"won\": %lld, \"lost\": "
                      "%lld, \"difference\": %.17g, \"low\": %.17g, \"high\": %.17g, \"p\": ",
                      (long long)pairs->count, a, b, (long long)won, (long long)lost, b - a,
                      interval.low, interval.high);
        mg_buf_printf(&line, binary ? "%.17g}\n" : "null}\n", p);
        mg_cli_printf(cli, "%s", line.data);
        mg_buf_release(&line);
        return;
    }
    mg_cli_put_text(cli, task);
    mg_cli_printf(cli, " %s,", metric);
    mg_cli_put_text(cli, filter);
    mg_cli_printf(cli, ": %lld items\n  A %.4f\n  B %.4f\n  B wins %lld, loses %lld\n",
                  (long long)pairs->count, a, b, (long long)won, (long long)lost);
    mg_cli_printf(cli, "  B - A %+.4f, 95 %% interval %+.4f to %+.4f\n", b - a, interval.low,
                  interval.high);
    if (binary) {
        mg_cli_printf(cli, "  exact mid-p McNemar: p = %.4g\n", p);
    }
}

/* Whether an earlier line has the same task and filter. */
static bool seen_before(const samples *file, int64_t index)
{
    const mg_value *line = file->lines[index];
    for (int64_t i = 0; i < index; i++) {
        if (mg_value_equal(mg_value_get(file->lines[i], "filter"), mg_value_get(line, "filter")) &&
            mg_value_equal(mg_value_get(file->lines[i], "task"), mg_value_get(line, "task"))) {
            return true;
        }
    }
    return false;
}

mg_status mg_samples_compare(mg_cli *cli, const char *a_path, const char *b_path,
                             const char *metric, mg_error *err)
{
    mg_status status = MG_OK;
    samples a = { 0 };
    samples b = { 0 };
    pairing pairs = { 0 };
    bool any = false;
    MG_TRY_OR_DONE(read_samples(a_path, &a, err));
    MG_TRY_OR_DONE(read_samples(b_path, &b, err));
    pairs.a = mg_new_array(double, a.count);
    pairs.b = mg_new_array(double, a.count);
    pairs.differences = mg_new_array(double, a.count);
    for (int64_t i = 0; i < a.count; i++) {
        if (seen_before(&a, i)) {
            continue;
        }
        const char *name = metric != NULL ? metric : first_metric(a.lines[i]);
        if (name == NULL) {
            continue;
        }
        MG_TRY_OR_DONE(pair_up(&a, &b, a.lines[i], name, &pairs, err));
        if (pairs.count > 0) {
            any = true;
            print_pairing(cli, a.lines[i], name, &pairs);
        }
    }
    if (!any && metric != NULL) {
        const char *first = first_metric(a.lines[0]);
        status = mg_fail(err, MG_ERR_CONFIG,
                         "%s and %s have no question in common with metric '%s'%s%s%s", a_path,
                         b_path, metric, first != NULL ? "; the first of A is '" : "",
                         first != NULL ? first : "", first != NULL ? "'" : "");
    } else if (!any) {
        status = mg_fail(err, MG_ERR_CONFIG, "%s and %s have no question and metric in common",
                         a_path, b_path);
    }

done:
    mg_free(pairs.a);
    mg_free(pairs.b);
    mg_free(pairs.differences);
    release_samples(&a);
    release_samples(&b);
    return status;
}
