/* evolve/report.c - reads the numbers of a report; report_text.c prints them. */
#include "evolve/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/fitness.h"
#include "evolve/questions.h"
#include "store/run.h"

#define TASKS_MAX 4096
#define FINALISTS_MAX 64
#define BOOTSTRAP_DRAWS 10000
#define SIGNIFICANT 0.05
#define THIN_ITEMS 200 /* fewer honest questions: gains below 7 points drown */

typedef struct question_set {
    const mg_question *questions;
    int64_t count;
} question_set;

typedef struct reader {
    mg_store *store;
    mg_arena *arena;
    double *weights; /* of tasks */
    int64_t task_count;
    question_set search, select, report, test;
    mg_candidate_row *references; /* sources, the default merge, the start point */
    int64_t reference_count;
    int64_t source_count;
    /* Of several stages: where the candidates of each begin, and the questions that tell its best;
     * the first has those above. */
    int64_t first_ids[MG_STAGES_MAX];
    question_set stage_search[MG_STAGES_MAX];
    int64_t stage_count; /* that have begun */
} reader;

static mg_status read_set(reader *r, const char *key, question_set *set_out, mg_error *err)
{
    mg_buf bytes = { 0 };
    bool found;
    mg_status status = mg_store_get(r->store, key, &bytes, &found, err);
    if (status == MG_OK && found) {
        set_out->count = (int64_t)(bytes.size / sizeof(mg_question));
        mg_question *questions = mg_arena_array(r->arena, mg_question, MG_MAX(set_out->count, 1));
        if (set_out->count > 0) {
            memcpy(questions, bytes.data, (size_t)set_out->count * sizeof(mg_question));
        }
        for (int64_t i = 0; i < set_out->count; i++) {
            if (questions[i].task < 0 || questions[i].task >= r->task_count) {
                status = mg_fail(err, MG_ERR_FORMAT, "run.db: '%s' names an unknown task", key);
            }
        }
        set_out->questions = questions;
    }
    mg_buf_release(&bytes);
    return status;
}

static mg_status read_tasks(reader *r, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    mg_status status = mg_store_get(r->store, "tasks", &text, &found, err);
    if (status == MG_OK && found) {
        r->weights = mg_arena_array(r->arena, double, TASKS_MAX);
        mg_str rest = mg_buf_view(&text);
        mg_str line;
        while (r->task_count < TASKS_MAX && mg_str_split(&rest, '\n', &line) && line.size > 0) {
            mg_str weight;
            if (!mg_str_split(&line, ' ', &weight) ||
                !mg_str_to_double(weight, &r->weights[r->task_count])) {
                status = mg_fail(err, MG_ERR_FORMAT, "run.db: the list of tasks is damaged");
                break;
            }
            r->task_count++;
        }
    }
    mg_buf_release(&text);
    return status;
}

/* The candidate's values on set, NaN where unanswered; *complete_out when there are none of those.
 */
static mg_status read_values(reader *r, int64_t candidate, const question_set *set, double *values,
                             bool *complete_out, mg_error *err)
{
    mg_status status =
        mg_questions_values(r->store, candidate, set->questions, set->count, values, err);
    *complete_out = status == MG_OK && set->count > 0;
    for (int64_t i = 0; *complete_out && i < set->count; i++) {
        *complete_out = !isnan(values[i]);
    }
    return status;
}

/* Weighted sum over tasks of the mean, and its standard error. */
static double weighted(const reader *r, const question_set *set, const double *values,
                       double *error_out, int64_t *task_count_out)
{
    double score = 0.0;
    double variance = 0.0;
    int64_t begin = 0;
    *task_count_out = 0;
    while (begin < set->count) {
        int32_t task = set->questions[begin].task;
        int64_t end = mg_questions_task_end(set->questions, set->count, begin);
        double mean;
        double error;
        mg_mean_error(values + begin, end - begin, &mean, &error);
        score += r->weights[task] * mean;
        variance += r->weights[task] * r->weights[task] * error * error;
        begin = end;
        (*task_count_out)++;
    }
    *error_out = sqrt(variance);
    return score;
}

static mg_status read_score(reader *r, int64_t candidate, const question_set *set,
                            mg_report_score *score_out, mg_error *err)
{
    *score_out = (mg_report_score){ 0 };
    if (set->count == 0) {
        return MG_OK;
    }
    double *values = mg_new_array(double, set->count);
    bool complete;
    mg_status status = read_values(r, candidate, set, values, &complete, err);
    if (status == MG_OK && complete) {
        double error;
        int64_t tasks;
        double value = weighted(r, set, values, &error, &tasks);
        bool proportions = tasks == 1 && r->weights[set->questions[0].task] == 1.0;
        for (int64_t i = 0; i < set->count && proportions; i++) {
            proportions = values[i] >= 0.0 && values[i] <= 1.0;
        }
        *score_out = (mg_report_score){ .known = true, .value = value, .items = set->count };
        score_out->interval =
            proportions ? mg_wilson(value * (double)set->count, (double)set->count, MG_Z95)
                        : (mg_interval){ value - MG_Z95 * error, value + MG_Z95 * error };
    }
    mg_free(values);
    return status;
}

static int64_t stage_of(const reader *r, int64_t candidate)
{
    int64_t stage = r->stage_count - 1;
    while (stage > 0 && candidate < r->first_ids[stage]) {
        stage--;
    }
    return stage;
}

/* The questions of the search that a candidate was told by. */
static const question_set *search_set(const reader *r, int64_t candidate)
{
    int64_t stage = stage_of(r, candidate);
    return stage > 0 ? &r->stage_search[stage] : &r->search;
}

static mg_status fill_row(reader *r, const mg_candidate_row *candidate, mg_report_row *row,
                          mg_error *err)
{
    *row = (mg_report_row){ .id = candidate->id,
                            .kind = candidate->kind,
                            .label = candidate->label,
                            .failed = candidate->failed,
                            .note = candidate->note };
    const question_set *held_out = r->select.count > 0 ? &r->select : &r->report;
    const question_set *test = r->test.count > 0 ? &r->test : &r->report;
    MG_TRY(read_score(r, candidate->id, search_set(r, candidate->id), &row->search, err));
    MG_TRY(read_score(r, candidate->id, held_out, &row->held_out, err));
    return read_score(r, candidate->id, test, &row->test, err);
}

/* Whether every question of set moves the score alike, as one right answer more or less does. */
static bool counts_alike(const reader *r, const question_set *set)
{
    double first = 0.0;
    int64_t begin = 0;
    while (begin < set->count) {
        int32_t task = set->questions[begin].task;
        int64_t end = mg_questions_task_end(set->questions, set->count, begin);
        double share = r->weights[task] / (double)(end - begin);
        first = begin == 0 ? share : first;
        if (fabs(share - first) > 1e-9 * fabs(first)) {
            return false;
        }
        begin = end;
    }
    return true;
}

/* Turns differences of answers into what has score for its mean and spreads as the score does:
 * every task has its weight, and varies around its own mean alone. */
static void weigh(const reader *r, const question_set *set, double score, double *values)
{
    int64_t begin = 0;
    while (begin < set->count) {
        int32_t task = set->questions[begin].task;
        int64_t end = mg_questions_task_end(set->questions, set->count, begin);
        double mean;
        double error;
        mg_mean_error(values + begin, end - begin, &mean, &error);
        double share = r->weights[task] * (double)set->count / (double)(end - begin);
        for (; begin < end; begin++) {
            values[begin] = score + share * (values[begin] - mean);
        }
    }
}

/* Differences on set; better when the paired test says so.  That counts questions: where they do
 * not count alike, the interval of the weighted difference decides. */
static mg_status compare(reader *r, int64_t winner, const mg_report_row *other,
                         const question_set *set, const char *set_name, mg_report_pair *pair,
                         mg_error *err)
{
    double *a = mg_new_array(double, MG_MAX(set->count, 1));
    double *b = mg_new_array(double, MG_MAX(set->count, 1));
    bool complete_a;
    bool complete_b;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(read_values(r, winner, set, a, &complete_a, err));
    MG_TRY_OR_DONE(read_values(r, other->id, set, b, &complete_b, err));
    if (!complete_a || !complete_b) {
        goto done;
    }
    *pair = (mg_report_pair){ .known = true,
                              .other = other->label,
                              .set = mg_str_of(set_name),
                              .items = set->count,
                              .binary = counts_alike(r, set),
                              .p = NAN,
                              .chosen_by = set != &r->test && set != &r->report };
    for (int64_t i = 0; i < set->count; i++) {
        pair->binary = pair->binary && (a[i] == 0.0 || a[i] == 1.0) && (b[i] == 0.0 || b[i] == 1.0);
        pair->only_winner += a[i] > b[i] ? 1 : 0;
        pair->only_other += a[i] < b[i] ? 1 : 0;
        a[i] -= b[i];
    }
    double error;
    int64_t tasks;
    pair->difference = weighted(r, set, a, &error, &tasks);
    if (tasks > 1 || r->weights[set->questions[0].task] != 1.0) {
        weigh(r, set, pair->difference, a);
    }
    pair->interval = mg_bootstrap_mean(a, set->count, BOOTSTRAP_DRAWS, 1);
    if (pair->binary) {
        pair->p = mg_mcnemar(pair->only_winner, pair->only_other);
    }
    bool significant = pair->binary ? pair->p < SIGNIFICANT : pair->interval.low > 0.0;
    pair->better = pair->difference > 0.0 && significant;

done:
    mg_free(a);
    mg_free(b);
    return status;
}

/* The score that says most about a row: on the test, else held out, else on the search questions.
 */
static const mg_report_score *honest(const mg_report_row *row)
{
    return row->test.known ? &row->test : row->held_out.known ? &row->held_out : &row->search;
}

static mg_status compare_winner(reader *r, mg_report *report, mg_error *err)
{
    const mg_report_row *winner = &report->rows[report->winner_index];
    const question_set *set = search_set(r, winner->id);
    const char *name = "search";
    if (winner->test.known) {
        set = r->test.count > 0 ? &r->test : &r->report;
        name = r->test.count > 0 ? "test" : "held-out";
    } else if (winner->held_out.known) {
        set = &r->select;
        name = "held-out";
    }
    const mg_report_row *best = NULL;
    for (int64_t i = 0; i < report->source_count; i++) {
        const mg_report_row *row = &report->rows[i];
        if (!row->failed && honest(row)->known &&
            (best == NULL || honest(row)->value > honest(best)->value)) {
            best = row;
        }
    }
    if (best != NULL) {
        MG_TRY(compare(r, winner->id, best, set, name, &report->against_source, err));
    }
    for (int64_t i = report->source_count; i < report->row_count; i++) {
        const mg_report_row *row = &report->rows[i];
        if (mg_str_is(row->kind, "default") && row->id != winner->id && !row->failed) {
            MG_TRY(compare(r, winner->id, row, set, name, &report->against_default, err));
            mg_str label = row->label.size > 0 ? row->label : mg_str_of("default merge");
            report->against_default.other =
                mg_arena_printf(r->arena, "the %.*s", MG_STR_ARG(label));
        }
    }
    report->thin = honest(winner)->items < THIN_ITEMS || honest(winner) == &winner->search;
    if (honest(winner) == &winner->search && winner->search.known) {
        report->expected_optimism = mg_report_expected_optimism(winner->search.items);
    }
    report->optimism = winner->search.known && honest(winner) != &winner->search
                           ? winner->search.value - honest(winner)->value
                           : (double)NAN;
    return MG_OK;
}

static mg_status find_winner(reader *r, mg_report *report, int64_t *id_out, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    long long id = -1;
    mg_status status = mg_store_get(r->store, "winner", &text, &found, err);
    if (status == MG_OK && found && text.size > 0 &&
        sscanf(text.data, "%lld %lf", &id, &report->seconds) == 2) {
        report->finished = true;
        *id_out = id;
    } else if (status == MG_OK) {
        mg_stage stage = { .index = r->stage_count - 1 };
        char key[MG_STAGE_KEY_BYTES];
        mg_stage_key(&stage, "set/name", key);
        mg_buf_clear(&text);
        status = mg_store_get(r->store, key, &text, &found, err);
        if (status == MG_OK) {
            const char *set = found && text.size > 0 ? text.data : "search";
            int64_t first = stage.index > 0 ? r->first_ids[stage.index] : r->source_count;
            status = mg_run_best(r->store, set, first, id_out, err);
        }
    }
    mg_buf_release(&text);
    return status;
}

static bool is_finalist(const mg_candidate_row *row)
{
    return mg_str_is(row->kind, "mean") || mg_str_is(row->kind, "polish") ||
           mg_str_is(row->kind, "sample");
}

/* "ID TITLE" lines: what each stage that has ended found. */
static mg_status read_stages(reader *r, mg_report *report, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_get(r->store, "stages", &text, &found, err));
    mg_str rest = mg_arena_copy(r->arena, mg_buf_view(&text));
    mg_str line;
    while (report->stage_count < MG_STAGES_MAX && mg_str_split(&rest, '\n', &line) &&
           line.size > 0) {
        mg_report_stage *stage = &report->stages[report->stage_count];
        mg_str id_text;
        int64_t id;
        mg_candidate_row *row;
        int64_t count;
        if (!mg_str_split(&line, ' ', &id_text) || !mg_str_to_int(id_text, &id)) {
            status = mg_fail(err, MG_ERR_FORMAT, "run.db: the list of stages is damaged");
            goto done;
        }
        MG_TRY_OR_DONE(mg_run_candidates_from(r->store, id, 1, r->arena, &row, &count, err));
        if (count == 0 || row->id != id) {
            break; /* it is under way again */
        }
        stage->title = line;
        MG_TRY_OR_DONE(fill_row(r, row, &stage->row, err));
        if (report->stage_count > 0) {
            const question_set *set = r->select.count > 0 ? &r->select : search_set(r, id);
            const char *name = r->select.count > 0 ? "held-out" : "search";
            const mg_report_stage *before = stage - 1;
            MG_TRY_OR_DONE(compare(r, id, &before->row, set, name, &stage->against_before, err));
            stage->against_before.other =
                mg_arena_printf(r->arena, "the winner of %.*s", MG_STR_ARG(before->title));
        }
        report->stage_count++;
    }

done:
    mg_buf_release(&text);
    return status;
}

/* The stage whose result a candidate is; empty = none. */
static mg_str stage_title(const mg_report *report, int64_t candidate)
{
    mg_str title = mg_str_of("");
    for (int64_t k = 0; k < report->stage_count; k++) {
        title = report->stages[k].row.id == candidate ? report->stages[k].title : title;
    }
    return title;
}

/* The results of stages stand in the table with the rest. */
static void add_stage_rows(mg_report *report, int64_t winner)
{
    for (int64_t k = 0; k < report->stage_count; k++) {
        const mg_report_row *row = &report->stages[k].row;
        bool there = row->id == winner;
        for (int64_t i = 0; i < report->row_count; i++) {
            there = there || report->rows[i].id == row->id;
        }
        if (!there) {
            mg_report_row *added = &report->rows[report->row_count++];
            *added = *row;
            added->label = report->stages[k].title;
        }
    }
}

static mg_status read_rows(reader *r, int64_t winner, mg_report *report, mg_error *err)
{
    report->source_count = r->source_count;
    report->rows = mg_arena_array(r->arena, mg_report_row, r->reference_count + MG_STAGES_MAX + 1);
    report->winner_index = -1;
    for (int64_t i = 0; i < r->reference_count; i++) {
        if (r->references[i].id == winner) {
            report->winner_index = report->row_count;
        }
        MG_TRY(fill_row(r, &r->references[i], &report->rows[report->row_count++], err));
    }
    add_stage_rows(report, winner);
    if (winner < 0 || report->winner_index >= 0) {
        return MG_OK;
    }
    mg_candidate_row *row;
    int64_t count;
    MG_TRY(mg_run_candidates_from(r->store, winner, 1, r->arena, &row, &count, err));
    if (count == 1 && row->id == winner) {
        report->winner_index = report->row_count;
        MG_TRY(fill_row(r, row, &report->rows[report->row_count], err));
        if (report->stage_count > 0) {
            report->rows[report->row_count].label = stage_title(report, winner);
        }
        report->row_count++;
    }
    return MG_OK;
}

/* The value that the stage of a candidate has stored under name. */
static mg_status get_of_stage(reader *r, int64_t candidate, const char *name, mg_buf *value_out,
                              bool *found_out, mg_error *err)
{
    mg_stage stage = { .index = stage_of(r, candidate) };
    char key[MG_STAGE_KEY_BYTES];
    mg_stage_key(&stage, name, key);
    return mg_store_get(r->store, key, value_out, found_out, err);
}

/* "ID RACED" lines, as choice.c wrote them in the winner's stage. */
static mg_status read_finalists(reader *r, int64_t winner, mg_report *report, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(get_of_stage(r, winner, "finalists", &text, &found, err));
    mg_str rest = mg_buf_view(&text);
    mg_str line;
    report->finalists = mg_arena_array(r->arena, mg_report_row, FINALISTS_MAX);
    while (report->finalist_count < FINALISTS_MAX && mg_str_split(&rest, '\n', &line) &&
           line.size > 0) {
        mg_str id_text;
        int64_t id;
        int64_t raced;
        mg_candidate_row *row;
        int64_t count;
        if (!mg_str_split(&line, ' ', &id_text) || !mg_str_to_int(id_text, &id) ||
            !mg_str_to_int(line, &raced)) {
            status = mg_fail(err, MG_ERR_FORMAT, "run.db: the list of finalists is damaged");
            goto done;
        }
        MG_TRY_OR_DONE(mg_run_candidates_from(r->store, id, 1, r->arena, &row, &count, err));
        if (count == 1 && row->id == id && is_finalist(row)) {
            mg_report_row *finalist = &report->finalists[report->finalist_count++];
            MG_TRY_OR_DONE(fill_row(r, row, finalist, err));
            finalist->raced = raced;
        }
    }

done:
    mg_buf_release(&text);
    return status;
}

/* What polish.c and half_out.c found in the winner's stage. */
static mg_status read_diagnostics(reader *r, int64_t winner, mg_report *report, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    long long first = 0;
    long long items = 0;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(get_of_stage(r, winner, "spread", &text, &found, err));
    if (found && text.size > 0 &&
        sscanf(text.data, "%lld %lld %lf %lf", &first, &items, &report->spread,
               &report->spread_p) == 4) {
        report->spread_finalists = first;
        report->spread_items = items;
    }
    mg_buf_clear(&text);
    MG_TRY_OR_DONE(get_of_stage(r, winner, "half_out", &text, &found, err));
    if (found && text.size > 0 && sscanf(text.data, "%lf %lld", &report->half_out, &first) == 2) {
        report->half_out_candidates = first;
    }

done:
    mg_buf_release(&text);
    return status;
}

static mg_status read_answer_count(mg_store *store, int64_t *count_out, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    mg_status status = mg_store_get(store, "answers", &text, &found, err);
    if (status == MG_OK && found && !mg_str_to_int(mg_buf_view(&text), count_out)) {
        status = mg_fail(err, MG_ERR_FORMAT, "run.db: the number of answers is damaged");
    }
    mg_buf_release(&text);
    return status;
}

double mg_report_expected_optimism(int64_t items)
{
    static const double counts[] = { 20.0, 100.0, 200.0, 1069.0 };
    static const double points[] = { 0.36, 0.15, 0.10, 0.03 };
    double n = fmax((double)items, counts[0]);
    int last = MG_ARRAY_COUNT(counts) - 1;
    int i = 0;
    while (i < last - 1 && n > counts[i + 1]) {
        i++;
    }
    /* A power law between two entries, and beyond the last. */
    double slope = log(points[i + 1] / points[i]) / log(counts[i + 1] / counts[i]);
    return points[i] * pow(n / counts[i], slope);
}

/* Where later stages begin, what tells their best; the references are the first one's. */
static mg_status read_beginnings(reader *r, mg_error *err)
{
    r->stage_count = 1;
    for (int64_t k = 1; k < MG_STAGES_MAX; k++) {
        mg_stage stage = { .index = k };
        char key[MG_STAGE_KEY_BYTES];
        MG_TRY(mg_stage_first_id(r->store, k, &r->first_ids[k], err));
        if (r->first_ids[k] == 0) {
            break;
        }
        mg_stage_key(&stage, "set/search", key);
        MG_TRY(read_set(r, key, &r->stage_search[k], err));
        r->stage_count++;
    }
    while (r->stage_count > 1 && r->reference_count > 0 &&
           r->references[r->reference_count - 1].id >= r->first_ids[1]) {
        r->reference_count--;
    }
    return MG_OK;
}

/* What the run's tasks, sets and references are. */
static mg_status open_reader(reader *r, mg_error *err)
{
    MG_TRY(read_tasks(r, err));
    MG_TRY(read_set(r, "set/search", &r->search, err));
    MG_TRY(read_set(r, "set/select", &r->select, err));
    MG_TRY(read_set(r, "set/report", &r->report, err));
    MG_TRY(read_set(r, "set/test", &r->test, err));
    MG_TRY(mg_run_references(r->store, r->arena, &r->references, &r->reference_count, err));
    MG_TRY(read_beginnings(r, err));
    for (int64_t i = 0; i < r->reference_count; i++) {
        r->source_count += mg_str_is(r->references[i].kind, "source") ? 1 : 0;
    }
    return MG_OK;
}

mg_status mg_report_read(mg_store *store, mg_arena *arena, mg_report *report_out, mg_error *err)
{
    *report_out = (mg_report){
        .winner_index = -1, .optimism = NAN, .expected_optimism = NAN, .half_out = NAN
    };
    reader r = { .store = store, .arena = arena };
    int64_t winner = -1;
    MG_TRY(open_reader(&r, err));
    MG_TRY(mg_run_counts(store, &report_out->candidates, &report_out->failed, err));
    MG_TRY(read_answer_count(store, &report_out->questions, err));
    MG_TRY(find_winner(&r, report_out, &winner, err));
    MG_TRY(mg_run_seconds(store, &report_out->work_seconds, &report_out->evaluations, err));
    if (!report_out->finished) {
        report_out->seconds = report_out->work_seconds;
    }
    report_out->test_is_report = r.test.count == 0 && r.report.count > 0;
    MG_TRY(read_stages(&r, report_out, err));
    MG_TRY(read_rows(&r, winner, report_out, err));
    MG_TRY(read_finalists(&r, winner, report_out, err));
    MG_TRY(read_diagnostics(&r, winner, report_out, err));
    MG_TRY(mg_front_read(store, arena, &report_out->front, err));
    return report_out->winner_index >= 0 ? compare_winner(&r, report_out, err) : MG_OK;
}
