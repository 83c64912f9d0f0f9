/* evolve/anchors.c - searching on a few questions that stand for all (evolution.md 12.4).
 *
 * Candidates answer anchors alone; sources, the default merge and the start point have answered
 * every question.  From both an item response model follows, and from that what a candidate would
 * score on all questions.  Such estimates guide the search and nothing else: at the end the
 * finalists answer everything. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "optim/irt.h"

#define TASK_DISTANCE 2.0      /* between questions of different tasks, in answers */
#define FIT_CANDIDATES_MAX 300 /* the newest samples that a fit looks at */

bool mg_loop_estimates(const mg_loop *loop)
{
    return loop->o->search->estimate;
}

void mg_loop_choose_anchors(mg_loop *loop, int64_t wanted)
{
    int64_t total = loop->pool.count;
    int64_t sources = loop->o->fitness->source_count;
    int64_t tasks = loop->o->fitness->task_count;
    int64_t width = sources + tasks;
    double *vectors = mg_new_array(double, total *width);
    int64_t *anchors = mg_new_array(int64_t, wanted);
    double *weights = mg_new_array(double, wanted);
    for (int64_t i = 0; i < total; i++) {
        for (int64_t s = 0; s < sources; s++) {
            double value = loop->source_values[s * total + i];
            vectors[i * width + s] = isnan(value) ? 0.5 : value;
        }
        vectors[i * width + sources + loop->pool.questions[i].task] = TASK_DISTANCE;
    }
    mg_irt_anchors(vectors, total, width, wanted, loop->o->search->seed, anchors, weights);
    loop->anchor_weights = mg_arena_array(&loop->arena, double, total);
    for (int64_t a = 0; a < wanted; a++) {
        loop->search.questions[a] = loop->pool.questions[anchors[a]];
        loop->anchor_weights[anchors[a]] = weights[a];
    }
    loop->search.count = wanted;
    mg_free(vectors);
    mg_free(anchors);
    mg_free(weights);
}

/* Who has answered what: rows of pool.count values, NaN where a question was not asked. */
typedef struct matrix {
    const mg_loop_candidate **rows;
    double *values;
    int64_t count;
} matrix;

static mg_status add_row(mg_loop *loop, matrix *m, const mg_loop_candidate *c, mg_error *err)
{
    int64_t total = loop->pool.count;
    if (c == NULL || c->failed) {
        return MG_OK;
    }
    double *values = m->values + m->count * total;
    MG_TRY(mg_loop_values(loop, c, &loop->pool, values, err));
    bool reference = c->id < loop->o->fitness->source_count + 2;
    for (int64_t i = 0; i < total; i++) {
        /* What a finalist of an earlier end has answered beyond the anchors does not count. */
        bool known = reference || loop->anchor_weights == NULL || loop->anchor_weights[i] > 0.0;
        values[i] = known ? values[i] : (double)NAN;
    }
    m->rows[m->count++] = c;
    return MG_OK;
}

/* References, the living, and the newest samples up to those of this generation. */
static mg_status read_matrix(mg_loop *loop, const mg_nsga2 *nsga, int64_t end_id, matrix *m,
                             mg_error *err)
{
    int64_t references = loop->o->fitness->source_count + 2;
    int64_t newest = MG_MAX(references, end_id - FIT_CANDIDATES_MAX);
    int64_t living = mg_nsga2_member_count(nsga);
    int64_t cap = references + living + FIT_CANDIDATES_MAX;
    m->rows = mg_new_array(const mg_loop_candidate *, cap);
    m->values = mg_new_array(double, cap * loop->pool.count);
    for (int64_t id = 0; id < references; id++) {
        MG_TRY(add_row(loop, m, mg_loop_candidate_at(loop, id), err));
    }
    for (int64_t i = 0; i < living; i++) {
        int64_t id = mg_nsga2_member_at(nsga, i).id;
        if (id < newest) {
            MG_TRY(add_row(loop, m, mg_loop_candidate_at(loop, id), err));
        }
    }
    for (int64_t id = newest; id < end_id; id++) {
        MG_TRY(add_row(loop, m, mg_loop_candidate_at(loop, id), err));
    }
    return MG_OK;
}

static double weighted_mean(const double *answers, const double *weights, int64_t count)
{
    double sum = 0.0;
    double weight_sum = 0.0;
    for (int64_t i = 0; i < count; i++) {
        if (!isnan(answers[i])) {
            sum += weights[i] * answers[i];
            weight_sum += weights[i];
        }
    }
    return weight_sum > 0.0 ? sum / weight_sum : 0.0;
}

/* Estimates of every row on one task, to out (rows). */
static void estimate_task(const mg_loop *loop, const matrix *m, int64_t task, double *out)
{
    int64_t total = loop->pool.count;
    int64_t *items = mg_new_array(int64_t, total);
    int64_t count = 0;
    for (int64_t i = 0; i < total; i++) {
        if (loop->pool.questions[i].task == task) {
            items[count++] = i;
        }
    }
    double *answers = mg_new_array(double, m->count *count);
    double *weights = mg_new_array(double, count);
    for (int64_t i = 0; i < count; i++) {
        weights[i] = loop->anchor_weights != NULL ? loop->anchor_weights[items[i]] : 1.0;
        for (int64_t r = 0; r < m->count; r++) {
            answers[r * count + i] = m->values[r * total + items[i]];
        }
    }
    mg_irt irt = { 0 };
    bool fitted = m->count >= MG_IRT_CANDIDATES_MIN;
    if (fitted) {
        mg_irt_fit(answers, m->count, count, &irt);
    }
    for (int64_t r = 0; r < m->count; r++) {
        const double *own = answers + r * count;
        out[r] = fitted ? mg_irt_estimates(&irt, own, weights, irt.theta[r]).gmp
                        : weighted_mean(own, weights, count);
    }
    mg_irt_release(&irt);
    mg_free(items);
    mg_free(answers);
    mg_free(weights);
}

static int64_t row_of(const matrix *m, int64_t id)
{
    for (int64_t r = 0; r < m->count; r++) {
        if (m->rows[r]->id == id) {
            return r;
        }
    }
    return -1;
}

mg_status mg_loop_estimate(mg_loop *loop, mg_nsga2 *nsga, int64_t first_id, int64_t count,
                           double *objectives, mg_error *err)
{
    matrix m = { 0 };
    mg_status status = MG_OK;
    int64_t *tasks = mg_new_array(int64_t, MG_MAX(loop->o->fitness->task_count, 1));
    int64_t task_count = mg_loop_objective_tasks(loop, tasks);
    double *scores = NULL; /* (task, row) */
    double *own = mg_new_array(double, MG_MAX(task_count, 1));
    MG_TRY_OR_DONE(read_matrix(loop, nsga, first_id + count, &m, err));
    scores = mg_new_array(double, MG_MAX(task_count * m.count, 1));
    for (int64_t t = 0; t < task_count; t++) {
        estimate_task(loop, &m, tasks[t], scores + t * m.count);
    }
    for (int64_t k = 0; k < count; k++) {
        int64_t row = row_of(&m, first_id + k);
        for (int64_t t = 0; t < task_count; t++) {
            objectives[k * task_count + t] =
                row >= 0 ? -scores[t * m.count + row] : (double)INFINITY;
        }
    }
    /* The living are judged by the same fit as their children. */
    for (int64_t i = 0; i < mg_nsga2_member_count(nsga); i++) {
        int64_t row = row_of(&m, mg_nsga2_member_at(nsga, i).id);
        for (int64_t t = 0; row >= 0 && t < task_count; t++) {
            own[t] = -scores[t * m.count + row];
        }
        if (row >= 0) {
            mg_nsga2_revise(nsga, i, own);
        }
    }

done:
    mg_free(m.rows);
    mg_free(m.values);
    mg_free(tasks);
    mg_free(scores);
    mg_free(own);
    return status;
}

mg_status mg_loop_widen(mg_loop *loop, mg_error *err)
{
    int64_t sources = loop->o->fitness->source_count;
    mg_loop_candidate *merges[] = { mg_loop_candidate_at(loop, sources),
                                    mg_loop_candidate_at(loop, sources + 1) };
    memcpy(loop->search.questions, loop->pool.questions,
           (size_t)loop->pool.count * sizeof(mg_question));
    loop->search.count = loop->pool.count;
    loop->search.name = loop->pool.name;
    MG_ASSERT(!loop->o->search->tie_breaker); /* asked would have to follow */
    mg_loop_forget_scores(loop);
    return mg_loop_evaluate(loop, merges, 2, &loop->search, false, err);
}
