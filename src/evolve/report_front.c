/* evolve/report_front.c - see report_front.h.
 *
 * "front" in the store has a line for each candidate: its number, then which picks it is.  Scores
 * are those on the questions of the search. */
#include "evolve/report_front.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "evolve/fitness.h"
#include "evolve/questions.h"
#include "optim/front.h"
#include "store/run.h"
#include "text/json.h"

#define ROWS_MAX 4096
#define TASKS_MAX 64
#define VOLUME_TASKS_MAX 4 /* more take too long to measure */

typedef struct reader {
    mg_store *store;
    mg_arena *arena;
    mg_str tasks[TASKS_MAX];
    int32_t indexes[TASKS_MAX]; /* among the tasks of the run */
    int64_t items[TASKS_MAX];
    int64_t task_count;
    mg_buf questions; /* of the search */
} reader;

static const mg_question *questions_of(const reader *r, int64_t *count_out)
{
    *count_out = (int64_t)(r->questions.size / sizeof(mg_question));
    return (const mg_question *)(const void *)r->questions.data;
}

/* Tasks that have a weight and questions in the search. */
static mg_status read_tasks(reader *r, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    int64_t count;
    mg_status status = mg_store_get(r->store, "tasks", &text, &found, err);
    mg_str rest = mg_arena_copy(r->arena, mg_buf_view(&text));
    mg_str line;
    const mg_question *questions = questions_of(r, &count);
    for (int32_t index = 0; status == MG_OK && mg_str_split(&rest, '\n', &line); index++) {
        mg_str weight_text;
        double weight = 0.0;
        int64_t items = 0;
        bool fine =
            mg_str_split(&line, ' ', &weight_text) && mg_str_to_double(weight_text, &weight);
        for (int64_t i = 0; i < count; i++) {
            items += questions[i].task == index ? 1 : 0;
        }
        if (fine && weight > 0.0 && items > 0 && r->task_count < TASKS_MAX) {
            r->tasks[r->task_count] = line;
            r->items[r->task_count] = items;
            r->indexes[r->task_count++] = index;
        }
    }
    mg_buf_release(&text);
    return status;
}

/* Scores of one candidate, by task; NaN where an answer is missing. */
static mg_status read_scores(reader *r, int64_t id, mg_front_score *scores, mg_error *err)
{
    mg_status status = MG_OK;
    int64_t count;
    const mg_question *questions = questions_of(r, &count);
    double *all = mg_new_array(double, MG_MAX(count, 1));
    MG_TRY_OR_DONE(mg_questions_values(r->store, id, questions, count, all, err));
    for (int64_t t = 0; t < r->task_count; t++) {
        double *values = mg_new_array(double, r->items[t]);
        int64_t known = 0;
        bool shares = true;
        for (int64_t i = 0; i < count; i++) {
            if (questions[i].task == r->indexes[t] && !isnan(all[i])) {
                values[known++] = all[i];
                shares = shares && all[i] >= 0.0 && all[i] <= 1.0;
            }
        }
        double mean = NAN;
        double error = 0.0;
        if (known == r->items[t]) {
            mg_mean_error(values, known, &mean, &error);
        }
        double n = (double)r->items[t];
        scores[t].value = mean;
        scores[t].interval = shares && !isnan(mean)
                                 ? mg_wilson(mean * n, n, MG_Z95)
                                 : (mg_interval){ mean - MG_Z95 * error, mean + MG_Z95 * error };
        mg_free(values);
    }

done:
    mg_free(all);
    return status;
}

static bool complete(const reader *r, const mg_front_score *scores)
{
    for (int64_t t = 0; t < r->task_count; t++) {
        if (isnan(scores[t].value)) {
            return false;
        }
    }
    return true;
}

static mg_status read_rows(reader *r, mg_str text, mg_front *front, mg_error *err)
{
    mg_front_row *rows = mg_arena_array(r->arena, mg_front_row, ROWS_MAX);
    mg_str line;
    while (front->row_count < ROWS_MAX && mg_str_split(&text, '\n', &line)) {
        mg_str id;
        mg_front_row row = { 0 };
        if (!mg_str_split(&line, ' ', &id) || !mg_str_to_int(id, &row.id)) {
            continue;
        }
        mg_front_score *scores = mg_arena_array(r->arena, mg_front_score, r->task_count);
        MG_TRY(read_scores(r, row.id, scores, err));
        row.picks = mg_arena_copy(r->arena, line);
        row.scores = scores;
        if (complete(r, scores)) {
            rows[front->row_count++] = row;
        }
    }
    front->rows = rows;
    return MG_OK;
}

/* Volume above the worst source. */
static mg_status measure(reader *r, mg_front *front, mg_error *err)
{
    int64_t m = r->task_count;
    mg_candidate_row *references;
    int64_t count;
    double worst[TASKS_MAX];
    mg_front_score scores[TASKS_MAX];
    double *points = mg_arena_array(r->arena, double, front->row_count *m);
    for (int64_t t = 0; t < m; t++) {
        worst[t] = -INFINITY;
    }
    MG_TRY(mg_run_references(r->store, r->arena, &references, &count, err));
    for (int64_t i = 0; i < count; i++) {
        if (!mg_str_is(references[i].kind, "source") || references[i].failed) {
            continue;
        }
        MG_TRY(read_scores(r, references[i].id, scores, err));
        for (int64_t t = 0; t < m && complete(r, scores); t++) {
            worst[t] = fmax(worst[t], -scores[t].value);
        }
    }
    for (int64_t i = 0; i < front->row_count; i++) {
        for (int64_t t = 0; t < m; t++) {
            points[i * m + t] = -front->rows[i].scores[t].value;
        }
    }
    bool measured = m <= VOLUME_TASKS_MAX;
    front->hypervolume =
        measured ? mg_hypervolume(points, front->row_count, m, worst) : (double)NAN;
    return MG_OK;
}

mg_status mg_front_read(mg_store *store, mg_arena *arena, mg_front *front_out, mg_error *err)
{
    *front_out = (mg_front){ 0 };
    reader r = { .store = store, .arena = arena };
    mg_buf text = { 0 };
    bool found;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_get(store, "front", &text, &found, err));
    if (!found || text.size == 0) {
        goto done;
    }
    MG_TRY_OR_DONE(mg_store_get(store, "set/search", &r.questions, &found, err));
    MG_TRY_OR_DONE(read_tasks(&r, err));
    if (r.task_count == 0) {
        goto done;
    }
    MG_TRY_OR_DONE(read_rows(&r, mg_buf_view(&text), front_out, err));
    mg_str *tasks = mg_arena_array(arena, mg_str, r.task_count);
    int64_t *items = mg_arena_array(arena, int64_t, r.task_count);
    for (int64_t t = 0; t < r.task_count; t++) {
        tasks[t] = r.tasks[t];
        items[t] = r.items[t];
    }
    front_out->tasks = tasks;
    front_out->items = items;
    front_out->task_count = r.task_count;
    MG_TRY_OR_DONE(measure(&r, front_out, err));

done:
    mg_buf_release(&text);
    mg_buf_release(&r.questions);
    return status;
}

/* One cell of 24 columns, or of as many as it takes. */
static void add_cell(mg_buf *out, mg_str text, bool markdown)
{
    if (markdown) {
        mg_buf_printf(out, "| %.*s ", MG_STR_ARG(text));
    } else {
        mg_buf_printf(out, "%-24.*s  ", MG_STR_ARG(text));
    }
}

void mg_front_text(const mg_front *front, bool markdown, mg_buf *out)
{
    mg_arena arena = { 0 };
    if (front->row_count == 0) {
        return;
    }
    mg_buf_printf(out,
                  "\nThe front: %lld merge%s of which none is better than another on every task",
                  (long long)front->row_count, front->row_count == 1 ? "" : "s");
    if (!isnan(front->hypervolume)) {
        mg_buf_printf(out, "; hypervolume above the worst sources %.4f", front->hypervolume);
    }
    mg_buf_add_text(out, ".\n\n");
    add_cell(out, mg_str_of("score in %, 95 %"), markdown);
    for (int64_t t = 0; t < front->task_count; t++) {
        add_cell(out,
                 mg_arena_printf(&arena, "%.*s (%lld)", MG_STR_ARG(front->tasks[t]),
                                 (long long)front->items[t]),
                 markdown);
    }
    mg_buf_add_text(out, markdown ? "|\n| --- " : "\n");
    for (int64_t t = 0; markdown && t < front->task_count; t++) {
        mg_buf_add_text(out, "| --- ");
    }
    mg_buf_add_text(out, markdown ? "|\n" : "");
    for (int64_t i = 0; i < front->row_count; i++) {
        const mg_front_row *row = &front->rows[i];
        add_cell(out,
                 mg_arena_printf(&arena, "%lld%s%.*s", (long long)row->id,
                                 row->picks.size > 0 ? " " : "", MG_STR_ARG(row->picks)),
                 markdown);
        for (int64_t t = 0; t < front->task_count; t++) {
            const mg_front_score *s = &row->scores[t];
            add_cell(out,
                     mg_arena_printf(&arena, "%.1f [%.1f, %.1f]", 100.0 * s->value,
                                     100.0 * s->interval.low, 100.0 * s->interval.high),
                     markdown);
        }
        mg_buf_add_text(out, markdown ? "|\n" : "\n");
    }
    mg_arena_release(&arena);
}

void mg_front_json(const mg_front *front, mg_buf *out)
{
    if (front->row_count == 0) {
        mg_buf_add_text(out, "null");
        return;
    }
    mg_buf_add_text(out, "{\"hypervolume\": ");
    if (isnan(front->hypervolume)) {
        mg_buf_add_text(out, "null");
    } else {
        mg_buf_printf(out, "%.17g", front->hypervolume);
    }
    mg_buf_add_text(out, ", \"tasks\": [");
    for (int64_t t = 0; t < front->task_count; t++) {
        mg_buf_add_text(out, t > 0 ? ", " : "");
        mg_json_write_str(out, front->tasks[t], false);
    }
    mg_buf_add_text(out, "], \"merges\": [");
    for (int64_t i = 0; i < front->row_count; i++) {
        const mg_front_row *row = &front->rows[i];
        mg_buf_printf(out, "%s{\"id\": %lld, \"picks\": ", i > 0 ? ", " : "", (long long)row->id);
        mg_json_write_str(out, row->picks, false);
        mg_buf_add_text(out, ", \"scores\": [");
        for (int64_t t = 0; t < front->task_count; t++) {
            mg_buf_printf(out, "%s%.17g", t > 0 ? ", " : "", row->scores[t].value);
        }
        mg_buf_add_text(out, "]}");
    }
    mg_buf_add_text(out, "]}");
}
