/* evolve/evaluate.c - candidates, their answers and the store between them.
 *
 * Every finished candidate is one transaction: its row, its answers, its scores.  Answers of a
 * candidate that was cut off are kept as well; only the missing questions are asked again. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "evolve/questions.h"
#include "store/event.h"
#include "store/run.h"

/* Tasks of score rows that are no task. */
enum { LIKELIHOOD = -3, VIOLATION = -2, WEIGHTED_SUM = -1 };

#define LIKELIHOOD_MIN (-500.0) /* of one reference answer: half a right answer, as a tie-breaker */

static const char *const kinds[] = { "source", "default", "start", "sample", "mean", "polish" };

bool mg_loop_stopped(const mg_loop *loop)
{
    return __atomic_load_n(&loop->broken, __ATOMIC_ACQUIRE) != 0 ||
           (loop->o->stop != NULL && loop->o->stop(loop->o->context));
}

double mg_loop_seconds(const mg_loop *loop)
{
    return loop->seconds_before + mg_clock_now(loop->o->clock) - loop->seconds_begin;
}

void mg_loop_show_progress(mg_loop *loop)
{
    if (loop->o->progress == NULL) {
        return;
    }
    int64_t beside = loop->counts_all ? 0 : loop->o->fitness->source_count + 2;
    int64_t done = loop->evaluations - MG_MIN(beside, loop->evaluations);
    if (loop->counts_all && loop->search.count > 0) {
        done += loop->polished / loop->search.count;
    }
    mg_loop_progress progress = {
        .phase = loop->phase,
        .evaluations = loop->budget > 0 ? MG_MIN(done, loop->budget) : done,
        .evaluations_total = loop->budget,
        .beside = MG_MIN(beside, loop->evaluations),
        .finalists = loop->finalists,
        .finalists_done = loop->finalists_done,
        .questions = loop->questions,
        .best = loop->best_id >= 0 ? loop->best_score : (double)NAN,
        .seconds = mg_clock_now(loop->o->clock) - loop->seconds_begin,
    };
    loop->o->progress(loop->o->context, &progress);
}

mg_status mg_loop_event(mg_loop *loop, const char *kind, mg_error *err, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return mg_event_add(loop->o->store, (double)time(NULL), kind, mg_str_of(text), err);
}

mg_loop_candidate *mg_loop_candidate_at(mg_loop *loop, int64_t id)
{
    return id >= 0 && id < loop->candidate_count ? loop->candidates[id] : NULL;
}

/* The candidate before c with its genome, as long as there is one. */
static const mg_loop_candidate *twin_of(const mg_loop *loop, const mg_loop_candidate *c)
{
    size_t bytes = (size_t)loop->o->space.dimension * sizeof(double);
    const mg_loop_candidate *twin =
        c->genome != NULL && c->twin >= 0 && c->twin < loop->candidate_count
            ? loop->candidates[c->twin]
            : NULL;
    bool same = twin != NULL && twin->genome != NULL && memcmp(twin->genome, c->genome, bytes) == 0;
    return same ? twin : NULL;
}

/* Equal genomes are never evaluated twice: the first one's answers are everyone's. */
static void find_twin(mg_loop *loop, mg_loop_candidate *c)
{
    size_t bytes = (size_t)loop->o->space.dimension * sizeof(double);
    mg_str key = mg_str_make((const char *)c->genome, bytes);
    c->twin = mg_map_get(&loop->genomes, key, -1);
    if (c->twin >= c->id || twin_of(loop, c) == NULL) { /* forgotten meanwhile */
        c->twin = -1;
        mg_map_set(&loop->genomes, key, c->id);
    }
}

mg_loop_candidate *mg_loop_candidate_make(mg_loop *loop, int64_t id, const char *kind, mg_str label,
                                          int64_t generation, int64_t place, const double *genome,
                                          int64_t source)
{
    while (id >= loop->candidate_cap) {
        int64_t cap = MG_MAX(64, 2 * loop->candidate_cap);
        loop->candidates = mg_memory_resize(loop->candidates, cap, sizeof(loop->candidates[0]));
        loop->candidate_cap = cap;
    }
    while (loop->candidate_count <= id) {
        loop->candidates[loop->candidate_count++] = NULL;
    }
    mg_loop_candidate *c = loop->candidates[id];
    if (c == NULL) {
        c = loop->candidates[id] = mg_arena_new(&loop->arena, mg_loop_candidate);
        c->search_score = NAN;
        c->twin = -1;
        c->mark = NAN;
        if (genome != NULL) {
            int64_t n = loop->o->space.dimension;
            double *copy = mg_arena_array(&loop->arena, double, n);
            memcpy(copy, genome, (size_t)n * sizeof(double));
            c->genome = copy;
        }
    }
    bool is_new = c->kind == NULL;
    c->id = id;
    c->kind = kind;
    c->label = mg_arena_copy(&loop->arena, label);
    c->generation = generation;
    c->place = place;
    c->source = source;
    if (is_new && c->genome != NULL) {
        find_twin(loop, c);
    }
    return c;
}

static const char *kind_of(mg_str text)
{
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        if (mg_str_is(text, kinds[i])) {
            return kinds[i];
        }
    }
    return "sample";
}

static mg_str score_key(mg_arena *arena, int64_t id, mg_str set)
{
    return mg_arena_printf(arena, "%lld/%.*s", (long long)id, MG_STR_ARG(set));
}

/* Remembers that the store has this score. */
static void remember_score(mg_loop *loop, int64_t id, mg_str set, mg_stored_score score)
{
    if (loop->stored_count == loop->stored_cap) {
        loop->stored_cap = MG_MAX(256, 2 * loop->stored_cap);
        loop->stored_scores =
            mg_memory_resize(loop->stored_scores, loop->stored_cap, sizeof(loop->stored_scores[0]));
    }
    loop->stored_scores[loop->stored_count] = score;
    mg_map_set(&loop->stored, score_key(&loop->arena, id, set), loop->stored_count++);
}

static mg_status load_answer_count(mg_loop *loop, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    mg_status status = mg_store_get(loop->o->store, "answers", &text, &found, err);
    if (status == MG_OK && found && !mg_str_to_int(mg_buf_view(&text), &loop->questions_before)) {
        status = mg_fail(err, MG_ERR_FORMAT, "run.db: the number of answers is damaged");
    }
    mg_buf_release(&text);
    return status;
}

mg_status mg_loop_load(mg_loop *loop, mg_error *err)
{
    MG_TRY(load_answer_count(loop, err));
    mg_candidate_row *rows;
    mg_score_row *scores;
    int64_t count;
    int64_t n = loop->o->space.dimension;
    MG_TRY(mg_run_candidates(loop->o->store, &loop->arena, &rows, &count, err));
    for (int64_t i = 0; i < count; i++) {
        bool source = rows[i].genome_count == 0;
        int64_t id = mg_loop_local_id(loop, rows[i].id);
        if (id < 0 && rows[i].id >= 0) {
            continue; /* another stage's */
        }
        if (id < 0 || id > INT32_MAX || (!source && rows[i].genome_count != n)) {
            return mg_fail(err, MG_ERR_FORMAT, "run.db: candidate %lld does not fit the search",
                           (long long)rows[i].id);
        }
        mg_loop_candidate *c = mg_loop_candidate_make(
            loop, id, kind_of(rows[i].kind), rows[i].label, rows[i].generation, rows[i].place,
            rows[i].genome, source ? rows[i].place : -1);
        c->failed = rows[i].failed;
        c->note = rows[i].note;
    }
    MG_TRY(mg_run_scores(loop->o->store, NULL, &loop->arena, &scores, &count, err));
    mg_stored_score score = { 0 };
    for (int64_t i = 0; i < count;
         i++) { /* of one set: likelihood and violation, if any; the sum */
        int64_t id = mg_loop_local_id(loop, scores[i].candidate);
        if (scores[i].task == LIKELIHOOD) {
            score.likelihood = scores[i].value;
        } else if (scores[i].task == VIOLATION) {
            score.violation = scores[i].value;
        } else if (scores[i].task == WEIGHTED_SUM) {
            score.value = scores[i].value;
            if (id >= 0) {
                remember_score(loop, id, scores[i].item_set, score);
            }
            score = (mg_stored_score){ 0 };
        }
    }
    return MG_OK;
}

/* Whether a candidate with that score comes before the best so far.  Equal scores: the lower id, so
 * that the order in which candidates finish does not matter. */
static bool is_better(const mg_loop *loop, const mg_loop_candidate *c, double score,
                      double violation)
{
    return loop->best_id < 0 || violation < loop->best_violation ||
           (violation == loop->best_violation &&
            (score > loop->best_score || (score == loop->best_score && c->id < loop->best_id)));
}

/* The best so far may be among what is forgotten: it is looked for anew. */
static void find_best(mg_loop *loop)
{
    loop->best_id = -1;
    for (int64_t i = 0; i < loop->candidate_count; i++) {
        const mg_loop_candidate *c = loop->candidates[i];
        if (c != NULL && c->genome != NULL && !c->failed && !isnan(c->mark) &&
            is_better(loop, c, c->mark, c->mark_violation)) {
            loop->best_id = c->id;
            loop->best_score = c->mark;
            loop->best_violation = c->mark_violation;
        }
    }
}

/* What an end that is to be moved has left for reports.  Stages before this one have ended for
 * good. */
static mg_status forget_end(mg_loop *loop, mg_error *err)
{
    static const char *const names[] = { "winner", "finalists", "spread", "half_out", "front" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        MG_TRY(mg_loop_put_value(loop, names[i], mg_str_of(""), err));
    }
    if (loop->o->stage.index == 0) {
        MG_TRY(mg_store_put(loop->o->store, "stages", mg_str_of(""), err));
    }
    return mg_store_put(loop->o->store, "winner", mg_str_of(""), err);
}

mg_status mg_loop_forget_from(mg_loop *loop, int64_t id, bool with_end, mg_error *err)
{
    mg_score_row *scores;
    int64_t count;
    MG_TRY(mg_run_scores(loop->o->store, NULL, &loop->arena, &scores, &count, err));
    for (int64_t i = 0; i < count; i++) {
        int64_t scored = mg_loop_local_id(loop, scores[i].candidate);
        if (scored >= id && scores[i].task == WEIGHTED_SUM) {
            mg_map_set(&loop->stored, score_key(&loop->arena, scored, scores[i].item_set), -1);
        }
    }
    mg_status status = MG_OK;
    MG_TRY(mg_store_begin(loop->o->store, err));
    MG_TRY_OR_DONE(mg_run_drop_from(loop->o->store, mg_loop_store_id(loop, id), err));
    if (with_end) {
        MG_TRY_OR_DONE(forget_end(loop, err));
    }
    if (loop->o->stage.index + 1 < loop->o->stage.count) { /* later candidates went with them */
        mg_stage next = { .index = loop->o->stage.index + 1 };
        char key[MG_STAGE_KEY_BYTES];
        mg_stage_key(&next, "begin", key);
        MG_TRY_OR_DONE(mg_store_put(loop->o->store, key, mg_str_of(""), err));
    }
    MG_TRY_OR_DONE(mg_store_commit(loop->o->store, err));
    loop->candidate_count = MG_MIN(loop->candidate_count, id);
    if (loop->best_id >= id) {
        find_best(loop);
    }

done:
    if (status != MG_OK) {
        mg_store_rollback(loop->o->store);
    }
    return status;
}

void mg_loop_forget_scores(mg_loop *loop)
{
    bool judged = mg_loop_judge(loop) == &loop->search;
    for (int64_t i = 0; i < loop->candidate_count; i++) {
        if (loop->candidates[i] != NULL) {
            loop->candidates[i]->search_score = NAN;
            loop->candidates[i]->mark = judged ? (double)NAN : loop->candidates[i]->mark;
        }
    }
    loop->best_id = judged ? -1 : loop->best_id;
}

static double sum_of(const double *values, int64_t begin, int64_t end)
{
    double sum = 0.0;
    for (int64_t i = begin; i < end; i++) {
        sum += values[i];
    }
    return sum;
}

double mg_loop_score(const mg_loop *loop, const mg_item_set *set, const double *values)
{
    double score = 0.0;
    for (int64_t begin = 0, end; begin < set->count; begin = end) {
        end = mg_questions_task_end(set->questions, set->count, begin);
        double weight = loop->o->tasks[set->questions[begin].task].weight;
        score += weight * sum_of(values, begin, end) / (double)(end - begin);
    }
    return score;
}

double mg_loop_half_score(const mg_loop *loop, const mg_item_set *set, const double *values,
                          const bool *side, bool which)
{
    double score = 0.0;
    for (int64_t begin = 0, end; begin < set->count; begin = end) {
        double sum = 0.0;
        int64_t count = 0;
        end = mg_questions_task_end(set->questions, set->count, begin);
        for (int64_t i = begin; i < end; i++) {
            sum += side[i] == which ? values[i] : 0.0;
            count += side[i] == which ? 1 : 0;
        }
        double weight = loop->o->tasks[set->questions[begin].task].weight;
        score += count > 0 ? weight * sum / (double)count : 0.0;
    }
    return score;
}

/* How far guarded tasks stay below their guards, summed. */
static double violation_of(const mg_loop *loop, const mg_item_set *set, const double *values)
{
    double violation = 0.0;
    for (int64_t begin = 0, end; begin < set->count; begin = end) {
        const mg_loop_task *task = &loop->o->tasks[set->questions[begin].task];
        end = mg_questions_task_end(set->questions, set->count, begin);
        if (task->has_guard) {
            double mean = sum_of(values, begin, end) / (double)(end - begin);
            violation += fmax(0.0, task->guard - mean);
        }
    }
    return violation;
}

mg_status mg_loop_values(mg_loop *loop, const mg_loop_candidate *candidate, const mg_item_set *set,
                         double *values_out, mg_error *err)
{
    return mg_questions_values(loop->o->store, mg_loop_store_id(loop, candidate->id),
                               set->questions, set->count, values_out, err);
}

/* Of the reference answers behind the questions of set in asked, in the mean. */
static double likelihood_of(const mg_item_set *set, const mg_item_set *asked, const double *values)
{
    double sum = 0.0;
    for (int64_t i = set->count; i < asked->count; i++) {
        sum += fmax(values[i], LIKELIHOOD_MIN); /* also where it is minus infinity */
    }
    return sum / (double)MG_MAX(asked->count - set->count, 1);
}

/* One call of mg_loop_evaluate. */
typedef struct evaluation {
    mg_loop *loop;
    const mg_item_set *set;
    const mg_item_set *asked;       /* set, or what begins with it */
    mg_loop_candidate **candidates; /* of the jobs */
    mg_job *jobs;
    double **values; /* all of asked, of each job: known ones are filled in */
    bool last_try;   /* what fails now has failed */
} evaluation;

static mg_status write_candidate(mg_loop *loop, const mg_loop_candidate *c, mg_error *err)
{
    mg_candidate_row row = {
        .id = mg_loop_store_id(loop, c->id),
        .kind = mg_str_of(c->kind),
        .label = c->label,
        .generation = c->generation,
        .place = c->source >= 0 ? c->source : c->place,
        .genome = c->genome,
        .genome_count = c->genome != NULL ? loop->o->space.dimension : 0,
        .failed = c->failed,
        .note = c->note,
    };
    return mg_run_put_candidate(loop->o->store, &row, err);
}

static mg_status write_scores(mg_loop *loop, const mg_loop_candidate *c, const evaluation *e,
                              const double *values, double seconds, mg_error *err)
{
    const mg_item_set *set = e->set;
    for (int64_t begin = 0, end; begin < set->count; begin = end) {
        end = mg_questions_task_end(set->questions, set->count, begin);
        mg_score_row row = { .candidate = mg_loop_store_id(loop, c->id),
                             .item_set = mg_str_of(set->name),
                             .task = set->questions[begin].task,
                             .value = sum_of(values, begin, end) / (double)(end - begin),
                             .items = end - begin };
        MG_TRY(mg_run_put_score(loop->o->store, &row, err));
    }
    mg_score_row row = { .candidate = mg_loop_store_id(loop, c->id),
                         .item_set = mg_str_of(set->name),
                         .task = VIOLATION,
                         .value = violation_of(loop, set, values),
                         .items = set->count };
    if (row.value > 0.0) {
        MG_TRY(mg_run_put_score(loop->o->store, &row, err));
    }
    if (e->asked != set) {
        row.task = LIKELIHOOD;
        row.value = likelihood_of(set, e->asked, values);
        MG_TRY(mg_run_put_score(loop->o->store, &row, err));
    }
    row.task = WEIGHTED_SUM;
    row.value = mg_loop_score(loop, set, values);
    row.seconds = seconds;
    return mg_run_put_score(loop->o->store, &row, err);
}

static mg_status write_answers(mg_loop *loop, const mg_loop_candidate *c, const mg_job *job,
                               mg_error *err)
{
    int64_t id = mg_loop_store_id(loop, c->id);
    for (int64_t i = 0; i < job->question_count; i++) {
        if (isnan(job->values[i])) {
            continue;
        }
        mg_answer_row row = { .task = job->questions[i].task,
                              .item = job->questions[i].item,
                              .value = job->values[i],
                              .text = job->texts[i] };
        MG_TRY(mg_run_put_answers(loop->o->store, id, &row, 1, err));
        loop->questions += row.task < loop->o->fitness->task_count ? 1 : 0;
    }
    char text[32];
    int size =
        snprintf(text, sizeof(text), "%lld", (long long)(loop->questions_before + loop->questions));
    return mg_store_put(loop->o->store, "answers", mg_str_make(text, (size_t)size), err);
}

mg_status mg_loop_tell_improved(mg_loop *loop, mg_error *err)
{
    if (loop->replaying || loop->best_id < 0 || loop->o->improved == NULL) {
        return MG_OK;
    }
    const mg_loop_candidate *best = loop->candidates[loop->best_id];
    return loop->o->improved(loop->o->context, mg_loop_store_id(loop, best->id), best->genome,
                             loop->best_score, err);
}

/* A known score enters the candidate and the best so far. */
static mg_status adopt_score(mg_loop *loop, mg_loop_candidate *c, const mg_item_set *set,
                             mg_stored_score score, mg_error *err)
{
    if (set == &loop->search) {
        c->search_score = score.value;
        c->violation = score.violation;
        c->likelihood = score.likelihood;
        loop->evaluations++;
    }
    if (set != mg_loop_judge(loop)) {
        return MG_OK;
    }
    c->mark = score.value;
    c->mark_violation = score.violation;
    if (c->genome == NULL || !is_better(loop, c, score.value, score.violation)) {
        return MG_OK;
    }
    loop->best_id = c->id;
    loop->best_score = score.value;
    loop->best_violation = score.violation;
    return mg_loop_tell_improved(loop, err);
}

static void tell_recorded(mg_loop *loop, const mg_loop_candidate *c, const mg_item_set *set,
                          double score, double seconds)
{
    if (loop->o->recorded == NULL) {
        return;
    }
    mg_loop_record record = {
        .id = mg_loop_store_id(loop, c->id),
        .kind = c->kind,
        .label = c->label,
        .generation = c->generation,
        .place = c->place,
        .item_set = set->name,
        .failed = c->failed,
        .note = c->note,
        .score = c->failed ? (double)NAN : score,
        .items = set->count,
        .seconds = seconds,
    };
    loop->o->recorded(loop->o->context, &record);
}

/* The job's answers among all values of set. */
static void take_values(const mg_item_set *set, const mg_job *job, double *values)
{
    int64_t next = 0;
    for (int64_t i = 0; i < set->count && next < job->question_count; i++) {
        if (mg_question_compare(&set->questions[i], &job->questions[next]) == 0) {
            values[i] = job->values[next++];
        }
    }
}

/* Failures that another try may not meet. */
static bool worth_another_try(mg_status status)
{
    return status == MG_ERR_MEMORY || status == MG_ERR_USER_CODE || status == MG_ERR_DEVICE ||
           status == MG_ERR_TIMEOUT;
}

/* Stores what a job gave.  A failure that is tried again is not yet the candidate's. */
static mg_status settle(evaluation *e, int64_t index, mg_error *err)
{
    mg_loop *loop = e->loop;
    mg_job *job = &e->jobs[index];
    mg_loop_candidate *c = e->candidates[index];
    const mg_item_set *set = e->set;
    mg_status status = MG_OK;
    double *values = e->values[index];
    take_values(e->asked, job, values);
    mg_stored_score score = { .value = mg_loop_score(loop, set, values),
                              .violation = violation_of(loop, set, values),
                              .likelihood = likelihood_of(set, e->asked, values) };
    if (job->status == MG_OK &&
        !isfinite(score.value - score.violation)) { /* sums of the largest numbers */
        job->status = mg_fail(&job->error, MG_ERR_NUMERIC, "its score is not finite");
    }
    bool complete = job->status == MG_OK;
    bool again = !e->last_try && worth_another_try(job->status);
    c->failed = !complete && !again && job->status != MG_ERR_INTERRUPTED;
    c->note =
        c->failed ? mg_arena_copy(&loop->arena, mg_str_of(job->error.message)) : mg_str_of("");
    MG_TRY(mg_store_begin(loop->o->store, err));
    MG_TRY_OR_DONE(write_candidate(loop, c, err));
    MG_TRY_OR_DONE(write_answers(loop, c, job, err));
    if (complete) {
        MG_TRY_OR_DONE(write_scores(loop, c, e, values, job->seconds, err));
    }
    if (c->failed || again) {
        MG_TRY_OR_DONE(mg_loop_event(loop, again ? "again" : "failed", err, "candidate %lld: %s",
                                     (long long)mg_loop_store_id(loop, c->id), job->error.message));
    }
    MG_TRY_OR_DONE(mg_store_commit(loop->o->store, err));
    if (complete) {
        remember_score(loop, c->id, mg_str_of(set->name), score);
        MG_TRY_OR_DONE(adopt_score(loop, c, set, score, err));
        tell_recorded(loop, c, set, score.value, job->seconds);
    } else if (c->failed) {
        tell_recorded(loop, c, set, NAN, job->seconds);
    }
    loop->finalists_done += loop->finalists > 0 ? 1 : 0;
    loop->polished += strncmp(set->name, "polish/", 7) == 0 ? job->question_count : 0;
    mg_loop_show_progress(loop);

done:
    if (status != MG_OK) {
        mg_store_rollback(loop->o->store);
    }
    return status;
}

static void job_done(void *context, int64_t index)
{
    evaluation *e = context;
    if (e->loop->write_status == MG_OK) {
        e->loop->write_status = settle(e, index, &e->loop->write_error);
        if (e->loop->write_status != MG_OK) {
            __atomic_store_n(&e->loop->broken, 1, __ATOMIC_RELEASE);
        }
    }
}

/* Takes a candidate's known answers; what is left is the job. */
static mg_status prepare(evaluation *e, mg_loop_candidate *c, mg_job *job, double *values,
                         mg_error *err)
{
    const mg_item_set *set = e->asked;
    MG_TRY(mg_loop_values(e->loop, c, set, values, err));
    *job = (mg_job){ .genome = c->genome, .source = c->source };
    mg_question *questions = mg_arena_array(&job->arena, mg_question, MG_MAX(set->count, 1));
    for (int64_t i = 0; i < set->count; i++) {
        if (isnan(values[i])) {
            questions[job->question_count++] = set->questions[i];
        }
    }
    job->questions = questions;
    job->values = mg_arena_array(&job->arena, double, MG_MAX(job->question_count, 1));
    job->texts = mg_arena_array(&job->arena, mg_str, MG_MAX(job->question_count, 1));
    for (int64_t i = 0; i < job->question_count; i++) {
        job->values[i] = NAN;
    }
    return MG_OK;
}

static int64_t stored_row(mg_loop *loop, const mg_loop_candidate *c, const mg_item_set *set)
{
    mg_arena arena = { 0 };
    int64_t row = mg_map_get(&loop->stored, score_key(&arena, c->id, mg_str_of(set->name)), -1);
    mg_arena_release(&arena);
    return row;
}

mg_status mg_loop_adopt_stored(mg_loop *loop, mg_loop_candidate *c, const mg_item_set *set,
                               mg_error *err)
{
    int64_t row = stored_row(loop, c, set);
    c->failed = c->failed && row < 0; /* if it did, then on questions that are asked later */
    bool known = set == &loop->search ? !isnan(c->search_score)
                                      : set != mg_loop_judge(loop) || !isnan(c->mark);
    if (row < 0 || known) {
        return MG_OK;
    }
    return adopt_score(loop, c, set, loop->stored_scores[row], err);
}

/* True when the candidate needs no work for set. */
static mg_status already_known(mg_loop *loop, mg_loop_candidate *c, const mg_item_set *set,
                               bool retry_failed, bool *known_out, mg_error *err)
{
    *known_out = true;
    if (c->failed && !retry_failed) {
        return MG_OK;
    }
    *known_out = stored_row(loop, c, set) >= 0;
    return mg_loop_adopt_stored(loop, c, set, err);
}

/* The answers of a first try are stored: what has none is asked again, and that alone. */
static void keep_unanswered(mg_job *job)
{
    mg_question *left = mg_arena_array(&job->arena, mg_question, MG_MAX(job->question_count, 1));
    int64_t count = 0;
    for (int64_t i = 0; i < job->question_count; i++) {
        if (isnan(job->values[i])) {
            left[count++] = job->questions[i];
        }
    }
    for (int64_t i = 0; i < count; i++) {
        job->values[i] = NAN;
        job->texts[i] = mg_str_of("");
    }
    job->questions = left;
    job->question_count = count;
    job->status = MG_OK;
}

/* Jobs hold their results until all of the call are done; failures that may pass are tried once
 * more, alone. */
static mg_status run_jobs(evaluation *e, int64_t count, mg_error *err)
{
    mg_loop *loop = e->loop;
    mg_fitness *fitness = loop->o->fitness;
    MG_TRY(fitness->ops->evaluate(fitness, e->jobs, count, job_done, e, err));
    for (int64_t i = 0; i < count && loop->write_status == MG_OK; i++) {
        if (!worth_another_try(e->jobs[i].status)) {
            continue;
        }
        if (mg_loop_stopped(loop)) { /* the second try is the next process's */
            e->jobs[i].status = MG_ERR_INTERRUPTED;
            continue;
        }
        evaluation again = { loop,        e->set,        e->asked, e->candidates + i,
                             e->jobs + i, e->values + i, true };
        keep_unanswered(&e->jobs[i]);
        MG_TRY(fitness->ops->evaluate(fitness, e->jobs + i, 1, job_done, &again, err));
    }
    if (loop->write_status != MG_OK) {
        return mg_fail(err, loop->write_status, "%s", loop->write_error.message);
    }
    for (int64_t i = 0; i < count; i++) {
        if (e->jobs[i].status == MG_ERR_INTERRUPTED) {
            return mg_fail(err, MG_ERR_INTERRUPTED, "stopped; nothing that was answered is lost");
        }
    }
    return MG_OK;
}

/* Stores what the twin has answered of the job's questions as the candidate's own; the job keeps
 * the others. */
static mg_status take_twin_answers(evaluation *e, mg_loop_candidate *c,
                                   const mg_loop_candidate *twin, mg_job *job, double *values,
                                   mg_error *err)
{
    mg_loop *loop = e->loop;
    mg_arena arena = { 0 };
    mg_answer_row *rows;
    int64_t count;
    int64_t question = 0;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_run_answers(loop->o->store, mg_loop_store_id(loop, twin->id), &arena, &rows,
                                  &count, err));
    MG_TRY_OR_DONE(mg_store_begin(loop->o->store, err));
    MG_TRY_OR_DONE(write_candidate(loop, c, err));
    for (int64_t r = 0; r < count; r++) {
        mg_question answered = { (int32_t)rows[r].task, (int32_t)rows[r].item };
        while (question < job->question_count &&
               mg_question_compare(&job->questions[question], &answered) < 0) {
            question++;
        }
        if (question < job->question_count && !isnan(rows[r].value) &&
            mg_question_compare(&job->questions[question], &answered) == 0) {
            job->values[question] = rows[r].value;
            MG_TRY_OR_DONE(mg_run_put_answers(loop->o->store, mg_loop_store_id(loop, c->id),
                                              &rows[r], 1, err));
        }
    }
    MG_TRY_OR_DONE(mg_store_commit(loop->o->store, err));
    take_values(e->asked, job, values);
    keep_unanswered(job);

done:
    if (status != MG_OK) {
        mg_store_rollback(loop->o->store);
    }
    mg_arena_release(&arena);
    return status;
}

/* Whether c waits for its twin, which is among the jobs. */
static bool waits_for(const evaluation *e, int64_t job_count, const mg_loop_candidate *twin)
{
    for (int64_t j = 0; j < job_count; j++) {
        if (e->candidates[j] == twin) {
            return true;
        }
    }
    return false;
}

mg_status mg_loop_evaluate(mg_loop *loop, mg_loop_candidate *const *candidates, int64_t count,
                           const mg_item_set *set, bool retry_failed, mg_error *err)
{
    mg_status status = MG_OK;
    int64_t cap = MG_MAX(count, 1);
    int64_t job_count = 0;
    int64_t waiting_count = 0;
    mg_loop_candidate **waiting = mg_new_array(mg_loop_candidate *, cap);
    bool references = set == &loop->search && loop->asked.count > set->count;
    evaluation e = { loop,
                     set,
                     references ? &loop->asked : set,
                     mg_new_array(mg_loop_candidate *, cap),
                     mg_new_array(mg_job, cap),
                     mg_new_array(double *, cap),
                     false };
    for (int64_t i = 0; i < count; i++) {
        bool known;
        MG_TRY_OR_DONE(already_known(loop, candidates[i], set, retry_failed, &known, err));
        const mg_loop_candidate *twin = twin_of(loop, candidates[i]);
        if (known || set->count == 0) {
            continue;
        }
        if (twin != NULL && waits_for(&e, job_count, twin)) {
            waiting[waiting_count++] = candidates[i];
            continue;
        }
        e.candidates[job_count] = candidates[i];
        e.values[job_count] = mg_new_array(double, e.asked->count);
        job_count++;
        MG_TRY_OR_DONE(
            prepare(&e, candidates[i], &e.jobs[job_count - 1], e.values[job_count - 1], err));
        if (twin != NULL && !twin->failed) {
            MG_TRY_OR_DONE(take_twin_answers(&e, candidates[i], twin, &e.jobs[job_count - 1],
                                             e.values[job_count - 1], err));
        }
        if (e.jobs[job_count - 1].question_count == 0) { /* all answered, for another set */
            job_count--;
            status = settle(&e, job_count, err);
            mg_arena_release(&e.jobs[job_count].arena);
            mg_free(e.values[job_count]);
            MG_TRY_OR_DONE(status);
        }
    }
    if (job_count > 0) {
        MG_TRY_OR_DONE(run_jobs(&e, job_count, err));
    }
    if (waiting_count > 0) { /* their twins have answered, or failed */
        MG_TRY_OR_DONE(mg_loop_evaluate(loop, waiting, waiting_count, set, retry_failed, err));
    }

done:
    mg_free(waiting);
    for (int64_t i = 0; i < job_count; i++) {
        mg_arena_release(&e.jobs[i].arena);
        mg_free(e.values[i]);
    }
    mg_free(e.candidates);
    mg_free(e.jobs);
    mg_free(e.values);
    return status;
}
