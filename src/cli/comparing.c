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

static mg_status read_samples(const char *path, samples *file, mg_error *err)
{
    mg_status status = mg_json_lines_read(path, &file->arena, keep_line, file, err);
    if (status == MG_OK && file->count == 0) {
        status = mg_fail(err, MG_ERR_FORMAT, "no answers in it");
    }
    if (status != MG_OK) {
        mg_error_prefix(err, "%s (expected a file that eval --log-samples wrote)", path);
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
        a += pairs->a[i] / (double)pairs->count;
        b += pairs->b[i] / (double)pairs->count;
        won += pairs->b[i] > pairs->a[i];
        lost += pairs->a[i] > pairs->b[i];
        binary = binary && (pairs->a[i] == 0 || pairs->a[i] == 1) &&
                 (pairs->b[i] == 0 || pairs->b[i] == 1);
    }
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
    if (!any) {
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
