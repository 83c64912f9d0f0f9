/* evolve/polish.c - many candidates close to the mean, halved again and again (evolution.md 13.1).
 *
 * Round r asks every candidate left twice the questions of round r-1, so that each round costs
 * about the same; the better half by all answers so far stays.  Only search questions are used. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "evolve/explorer.h"
#include "optim/bernoulli.h"
#include "optim/bounds.h"
#include "optim/stats.h"

#define CANDIDATES_MAX 64
#define FINALISTS 8
#define FIRST_MIN 10 /* questions of the first round: fewer decide nothing */
#define SPREAD 0.02  /* of the range */

/* Questions that one candidate has answered after round. */
static int64_t asked_after(const mg_loop *loop, int64_t round)
{
    int64_t total = 0;
    for (int64_t r = 0; r <= round; r++) {
        total += loop->polish_first << r;
    }
    return MG_MIN(total, loop->pool.count);
}

int64_t mg_loop_plan_polish(mg_loop *loop, int64_t budget)
{
    loop->polish_count = 0;
    loop->polish_first = 0;
    int64_t rounds = 4;
    for (int64_t count = CANDIDATES_MAX; count >= FINALISTS; count /= 2, rounds--) {
        int64_t first = MG_MIN(budget / (rounds * count), loop->pool.count / 4);
        if (first >= FIRST_MIN) {
            loop->polish_count = count;
            loop->polish_first = first;
            break;
        }
    }
    int64_t questions = 0;
    int64_t before = 0;
    int64_t left = loop->polish_count;
    for (int64_t round = 0; left >= FINALISTS && before < loop->pool.count; round++, left /= 2) {
        int64_t after = asked_after(loop, round);
        questions += left * (after - before);
        before = after;
    }
    return questions;
}

/* The first count questions of a random order of the pool, sorted.  The name says
 * how many: with another budget a round has others. */
static mg_item_set first_questions(mg_loop *loop, const int64_t *order, int64_t count)
{
    mg_item_set set = { mg_arena_printf(&loop->arena, "polish/%lld", (long long)count).data,
                        mg_arena_array(&loop->arena, mg_question, MG_MAX(count, 1)), count };
    bool *chosen = mg_new_array(bool, loop->pool.count);
    for (int64_t i = 0; i < count; i++) {
        chosen[order[i]] = true;
    }
    int64_t next = 0;
    for (int64_t i = 0; i < loop->pool.count; i++) {
        if (chosen[i]) {
            set.questions[next++] = loop->pool.questions[i];
        }
    }
    mg_free(chosen);
    return set;
}

static void draw_around(const mg_loop *loop, const double *mean, int64_t k, double *x)
{
    const mg_loop_space *space = &loop->o->space;
    mg_rng rng = mg_rng_make(loop->o->search->seed, MG_STREAM_POLISH);
    rng.counter = (uint64_t)k << 32; /* every candidate has its own stretch of the stream */
    for (int64_t i = 0; i < space->bit_count; i++) {
        x[i] = mg_rng_uniform(&rng) < loop->bit_probabilities[i] ? 1.0 : 0.0;
    }
    if (space->bit_count > 0) {
        mg_bits_limit(x, space->bit_count, space->bits_max, loop->bit_probabilities);
    }
    for (int64_t i = space->bit_count; i < space->dimension; i++) {
        x[i] = mean[i] + SPREAD * space->scale[i] * mg_rng_normal(&rng);
        if (space->lower != NULL) {
            x[i] = mg_bound_clip(x[i], space->lower[i], space->upper[i]);
        }
    }
}

/* Sorts by score on the round's set, best first; equal scores keep the order of ids. */
static mg_status rank(mg_loop *loop, mg_loop_candidate **list, int64_t count,
                      const mg_item_set *set, mg_error *err)
{
    double *scores = mg_new_array(double, count);
    double *values = mg_new_array(double, MG_MAX(set->count, 1));
    mg_status status = MG_OK;
    for (int64_t i = 0; i < count; i++) {
        mg_loop_candidate *c = list[i];
        double score = -INFINITY;
        if (!c->failed) {
            MG_TRY_OR_DONE(mg_loop_values(loop, c, set, values, err));
            score = mg_loop_score(loop, set, values);
            score = isnan(score) ? -(double)INFINITY : score;
        }
        int64_t at = i;
        while (at > 0 &&
               (score > scores[at - 1] || (score == scores[at - 1] && c->id < list[at - 1]->id))) {
            scores[at] = scores[at - 1];
            list[at] = list[at - 1];
            at--;
        }
        scores[at] = score;
        list[at] = c;
    }

done:
    mg_free(scores);
    mg_free(values);
    return status;
}

static void random_order(const mg_loop *loop, int64_t *order)
{
    mg_rng rng = mg_rng_make(loop->o->search->seed, MG_STREAM_POLISH);
    for (int64_t i = 0; i < loop->pool.count; i++) {
        int64_t j = (int64_t)mg_rng_below(&rng, (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
}

/* Whether the finalists differ by more than the chance of single answers: Cochran's chi-square over
 * them, in the form for any values.  They answered the same questions, whose difficulty it takes
 * out. Stored as "spread" for the report. */
static mg_status store_spread(mg_loop *loop, mg_loop_candidate *const *list, int64_t count,
                              const mg_item_set *set, mg_error *err)
{
    double *values = mg_new_array(double, MG_MAX(count * set->count, 1));
    double *sums = mg_new_array(double, MG_MAX(count, 1));
    double inside = 0.0;
    double between = 0.0;
    double mean = 0.0;
    int64_t k = 0;
    mg_status status = MG_OK;
    for (int64_t i = 0; i < count; i++) {
        if (!list[i]->failed) {
            MG_TRY_OR_DONE(mg_loop_values(loop, list[i], set, values + k++ * set->count, err));
        }
    }
    for (int64_t q = 0; q < set->count; q++) {
        double item = 0.0;
        for (int64_t i = 0; i < k; i++) {
            item += values[i * set->count + q] / (double)k;
            sums[i] += values[i * set->count + q];
        }
        for (int64_t i = 0; i < k; i++) {
            inside += pow(values[i * set->count + q] - item, 2.0);
        }
    }
    for (int64_t i = 0; i < k; i++) {
        mean += sums[i] / (double)k;
    }
    for (int64_t i = 0; i < k; i++) {
        between += (sums[i] - mean) * (sums[i] - mean);
    }
    if (k < 2 || !isfinite(between) || inside <= 0.0) {
        goto done;
    }
    double chi = (double)(k - 1) * between / inside;
    char text[96];
    int size = snprintf(text, sizeof(text), "%lld %lld %.17g %.17g", (long long)k,
                        (long long)set->count, chi, mg_chi_square_tail(chi, k - 1));
    MG_TRY_OR_DONE(mg_loop_put_value(loop, "spread", mg_str_make(text, (size_t)size), err));

done:
    mg_free(values);
    mg_free(sums);
    return status;
}

mg_status mg_loop_polish(mg_loop *loop, const double *mean, int64_t first_id, int64_t *next_id,
                         mg_loop_candidate *finalists[2], int64_t *finalist_count, mg_error *err)
{
    mg_loop_candidate *list[CANDIDATES_MAX];
    int64_t *order = mg_new_array(int64_t, loop->pool.count);
    double *x = mg_new_array(double, loop->o->space.dimension);
    mg_status status = MG_OK;
    random_order(loop, order);
    list[0] = mg_loop_candidate_at(loop, first_id); /* the mean itself */
    for (int64_t k = 1; k < loop->polish_count; k++) {
        draw_around(loop, mean, k, x);
        list[k] = mg_loop_candidate_make(loop, (*next_id)++, "polish", mg_str_of(""), 0, k, x, -1);
    }
    int64_t left = loop->polish_count;
    int64_t before = 0;
    int64_t asked = 0;
    mg_item_set set = { 0 };
    for (int64_t round = 0; left >= FINALISTS && before < loop->pool.count; round++) {
        int64_t after = asked_after(loop, round);
        loop->polished = asked;
        set = first_questions(loop, order, after);
        MG_TRY_OR_DONE(mg_loop_evaluate(loop, list, left, &set, round == 0, err));
        MG_TRY_OR_DONE(rank(loop, list, left, &set, err));
        asked += left * (after - before);
        before = after;
        left = left > FINALISTS ? left / 2 : 0;
    }
    loop->polished = asked;
    MG_TRY_OR_DONE(store_spread(loop, list, MG_MIN(loop->polish_count, FINALISTS), &set, err));
    *finalist_count = 0;
    for (int64_t i = 0; i < 2; i++) {
        if (!list[i]->failed) {
            finalists[(*finalist_count)++] = list[i];
        }
    }
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, finalists, *finalist_count, &loop->search, false, err));

done:
    mg_free(order);
    mg_free(x);
    return status;
}
