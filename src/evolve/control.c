/* evolve/control.c - how many questions a generation answers, when the settings leave that to the
 * search (evolution.md 8.2, 8.4).
 *
 * The questions of a generation are the first ones of one order of the pool, in which every stretch
 * has its share of every stratum: a larger set contains the smaller one, so that little is asked
 * twice.  After each generation either the two halves of its answers, or candidates that answer
 * other questions, say how much of the ranking is noise. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "optim/noise.h"

#define ITEMS_MIN 50
#define FLOOR_RELIABILITY 0.1 /* below it, at all questions, halves do not agree ... */
#define FLOOR_GENERATIONS 10  /* ... for so long: more search is useless */

static double fewest(const mg_loop *loop)
{
    return (double)MG_MIN(ITEMS_MIN, loop->pool.count);
}

int64_t mg_loop_control_first(const mg_loop *loop)
{
    int64_t wanted = loop->o->search->items > 0 ? loop->o->search->items : 2 * ITEMS_MIN;
    return MG_MIN(MG_MAX(wanted, MG_MIN(ITEMS_MIN, loop->pool.count)), loop->pool.count);
}

int64_t mg_loop_control_items(const mg_loop *loop)
{
    return llround(loop->control.items);
}

typedef struct place {
    double key;
    int64_t item;
} place;

static int compare_places(const void *a, const void *b)
{
    const place *x = a;
    const place *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->item < y->item ? -1 : x->item > y->item ? 1 : 0;
}

void mg_loop_control_order(mg_loop *loop, const int64_t *strata, int64_t strata_count)
{
    int64_t total = loop->pool.count;
    if (loop->control.order != NULL) {
        return;
    }
    mg_rng rng = mg_rng_make(loop->o->search->seed + 1, MG_STREAM_ITEMS);
    int64_t *order = mg_new_array(int64_t, total);
    place *places = mg_new_array(place, total);
    mg_loop_shuffle(order, total, &rng);
    int64_t next = 0;
    for (int64_t s = 0; s < strata_count; s++) {
        int64_t size = 0;
        for (int64_t i = 0; i < total; i++) {
            size += strata[i] == s ? 1 : 0;
        }
        double offset = mg_rng_uniform(&rng);
        int64_t rank = 0;
        for (int64_t i = 0; i < total; i++) {
            if (strata[order[i]] == s) {
                double key = ((double)rank++ + offset) / (double)size;
                places[next++] = (place){ key, order[i] };
            }
        }
    }
    qsort(places, (size_t)total, sizeof(places[0]), compare_places);
    loop->control.order = mg_arena_array(&loop->arena, int64_t, total);
    for (int64_t i = 0; i < total; i++) {
        loop->control.order[i] = places[i].item;
    }
    mg_free(order);
    mg_free(places);
}

void mg_loop_control_take(const mg_loop *loop, int64_t begin, int64_t count, mg_item_set *set)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t item = loop->control.order[(begin + i) % loop->pool.count];
        set->questions[i] = loop->pool.questions[item];
    }
    set->count = count;
    qsort(set->questions, (size_t)count, sizeof(set->questions[0]), mg_question_compare);
}

/* A random half of the questions, as many of each task as can be. */
static void halve(const mg_loop *loop, int64_t generation, bool *second)
{
    int64_t count = loop->search.count;
    mg_rng rng = mg_rng_make(loop->o->search->seed + (uint64_t)generation, MG_STREAM_HALVES);
    int64_t *order = mg_new_array(int64_t, count);
    bool *turn = mg_new_array(bool, loop->o->fitness->task_count);
    mg_loop_shuffle(order, count, &rng);
    for (int64_t i = 0; i < count; i++) {
        int32_t task = loop->search.questions[order[i]].task;
        second[order[i]] = turn[task];
        turn[task] = !turn[task];
    }
    mg_free(order);
    mg_free(turn);
}

static mg_status control_by_halves(mg_loop *loop, int64_t generation,
                                   mg_loop_candidate *const *candidates, int64_t count,
                                   mg_error *err)
{
    mg_item_control *control = &loop->control;
    bool *second = mg_new_array(bool, loop->search.count);
    double *values = mg_new_array(double, loop->search.count);
    double *scores = mg_new_array(double, 2 * count);
    int64_t used = 0;
    mg_status status = MG_OK;
    halve(loop, generation, second);
    for (int64_t k = 0; k < count; k++) {
        if (!candidates[k]->failed) {
            MG_TRY_OR_DONE(mg_loop_values(loop, candidates[k], &loop->search, values, err));
            scores[used] = mg_loop_half_score(loop, &loop->search, values, second, false);
            scores[count + used++] = mg_loop_half_score(loop, &loop->search, values, second, true);
        }
    }
    double rho = mg_split_half(scores, scores + count, used);
    bool at_most = loop->search.count == loop->pool.count;
    control->floor = at_most && rho < FLOOR_RELIABILITY ? control->floor + 1 : 0;
    control->items =
        mg_split_half_items(control->items, rho, fewest(loop), (double)loop->pool.count);

done:
    mg_free(second);
    mg_free(values);
    mg_free(scores);
    return status;
}

/* Some candidates answer as many other questions; the change of their ranks is the noise. */
static mg_status control_by_ranks(mg_loop *loop, int64_t generation,
                                  mg_loop_candidate *const *candidates, const double *costs,
                                  int64_t count, double *sigma_factor, mg_error *err)
{
    mg_item_control *control = &loop->control;
    mg_rng rng = mg_rng_make(loop->o->search->seed + (uint64_t)generation, MG_STREAM_HALVES);
    int64_t *indexes = mg_new_array(int64_t, count);
    double *again = mg_new_array(double, count);
    double *values = mg_new_array(double, loop->search.count);
    mg_loop_candidate **chosen = mg_new_array(mg_loop_candidate *, count);
    bool *had_failed = mg_new_array(bool, count);
    mg_arena arena = { 0 };
    int64_t asked = loop->search.count;
    mg_item_set others = { mg_arena_printf(&loop->arena, "again/%lld", (long long)asked).data,
                           mg_arena_array(&arena, mg_question, asked), 0 };
    mg_status status = MG_OK;
    mg_loop_control_take(loop, asked, asked, &others);
    int64_t chosen_count = mg_uh_choose(costs, count, mg_rng_uniform(&rng), indexes);
    for (int64_t i = 0; i < chosen_count; i++) {
        chosen[i] = candidates[indexes[i]];
        had_failed[i] = chosen[i]->failed;
    }
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, chosen, chosen_count, &others, false, err));
    memcpy(again, costs, (size_t)count * sizeof(double));
    for (int64_t i = 0; i < chosen_count; i++) {
        if (!chosen[i]->failed) {
            MG_TRY_OR_DONE(mg_loop_values(loop, chosen[i], &others, values, err));
            again[indexes[i]] =
                costs[indexes[i]] + chosen[i]->search_score - mg_loop_score(loop, &others, values);
        }
        chosen[i]->failed = had_failed[i]; /* its score on the search questions stands */
    }
    mg_uh uh = { .smoothed = control->smoothed, .items = control->items };
    int64_t numbers = loop->o->space.dimension - loop->o->space.bit_count;
    mg_uh_treat(&uh, mg_uh_measure(costs, again, count, indexes, chosen_count), numbers,
                fewest(loop), (double)loop->pool.count);
    control->smoothed = uh.smoothed;
    control->items = uh.items;
    control->spent += chosen_count * asked;
    *sigma_factor = uh.sigma_factor;

done:
    mg_arena_release(&arena);
    mg_free(indexes);
    mg_free(again);
    mg_free(values);
    mg_free(chosen);
    mg_free(had_failed);
    return status;
}

mg_status mg_loop_control(mg_loop *loop, int64_t generation, mg_loop_candidate *const *candidates,
                          const double *costs, int64_t count, double *sigma_factor, mg_error *err)
{
    *sigma_factor = 1.0;
    loop->control.told = loop->search.count;
    loop->control.spent += count * loop->search.count;
    return loop->o->search->item_control == MG_ITEMS_BY_RANKS
               ? control_by_ranks(loop, generation, candidates, costs, count, sigma_factor, err)
               : control_by_halves(loop, generation, candidates, count, err);
}

bool mg_loop_control_floor(const mg_loop *loop)
{
    return loop->control.floor >= FLOOR_GENERATIONS;
}

void mg_loop_control_save(const mg_loop *loop, mg_buf *out)
{
    const mg_item_control *c = &loop->control;
    mg_buf_printf(out, "%.17g %.17g %lld %lld %lld", c->items, c->smoothed, (long long)c->told,
                  (long long)c->spent, (long long)c->floor);
}

mg_status mg_loop_control_load(mg_loop *loop, mg_str state, mg_error *err)
{
    mg_item_control *c = &loop->control;
    char text[200];
    long long told = 0;
    long long spent = 0;
    long long floor_count = 0;
    snprintf(text, sizeof(text), "%.*s", MG_STR_ARG(state));
    int count = sscanf(text, "%lf %lf %lld %lld %lld", &c->items, &c->smoothed, &told, &spent,
                       &floor_count);
    if (count != 5 || !(c->items >= 1.0) || c->items > (double)loop->pool.count || told < 1 ||
        told > loop->pool.count || spent < 0 || floor_count < 0 || !isfinite(c->smoothed)) {
        return mg_fail(err, MG_ERR_FORMAT, "run.db: the number of questions is damaged");
    }
    c->told = told;
    c->spent = spent;
    c->floor = floor_count;
    return MG_OK;
}
