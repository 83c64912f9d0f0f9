/* evolve/half_out.c - an honest number where no question can be spared (evolution.md 1, 13).
 *
 * Fewer than 100 questions are all given to the search.  The best of many candidates by the score
 * that the search saw then owes a part of it to luck.  What the choice is worth without that luck:
 * all candidates are ranked on a random half of the questions, and the best is scored on the other
 * half; this is averaged over many halvings.  Still, the optimiser itself has seen both halves. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"

#define HALVINGS 50

typedef struct halves {
    mg_loop *loop;
    double *values; /* (count, questions) */
    int64_t count;  /* merges with every answer */
    bool *first;    /* questions of the first half */
} halves;

static mg_status read_values(halves *h, mg_error *err)
{
    mg_loop *loop = h->loop;
    int64_t n = loop->search.count;
    for (int64_t i = 0; i < loop->candidate_count; i++) {
        const mg_loop_candidate *c = loop->candidates[i];
        if (c == NULL || c->genome == NULL || c->failed || isnan(c->search_score)) {
            continue;
        }
        double *values = h->values + h->count * n;
        bool complete = true;
        MG_TRY(mg_loop_values(loop, c, &loop->search, values, err));
        for (int64_t q = 0; q < n; q++) {
            complete = complete && !isnan(values[q]);
        }
        h->count += complete ? 1 : 0;
    }
    return MG_OK;
}

static double half_score(const halves *h, int64_t candidate, bool first)
{
    const mg_item_set *set = &h->loop->search;
    return mg_loop_half_score(h->loop, set, h->values + candidate * set->count, h->first, first);
}

/* The score on the other half of who is best on this one. */
static double cross_score(const halves *h, bool chooses)
{
    int64_t best = 0;
    double best_score = -INFINITY;
    for (int64_t i = 0; i < h->count; i++) {
        double score = half_score(h, i, chooses);
        if (score > best_score) {
            best_score = score;
            best = i;
        }
    }
    return half_score(h, best, !chooses);
}

mg_status mg_loop_half_out(mg_loop *loop, mg_error *err)
{
    int64_t n = loop->search.count;
    halves h = { loop, mg_new_array(double, MG_MAX(loop->candidate_count * n, 1)), 0,
                 mg_new_array(bool, MG_MAX(n, 1)) };
    int64_t *order = mg_new_array(int64_t, MG_MAX(n, 1));
    mg_rng rng = mg_rng_make(loop->o->search->seed + 3, MG_STREAM_ITEMS);
    double sum = 0.0;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(read_values(&h, err));
    if (h.count == 0 || n < 2) {
        goto done;
    }
    for (int halving = 0; halving < HALVINGS; halving++) {
        mg_loop_shuffle(order, n, &rng);
        for (int64_t i = 0; i < n; i++) {
            h.first[order[i]] = i < n / 2;
        }
        sum += cross_score(&h, true) + cross_score(&h, false);
    }
    char text[64];
    int size =
        snprintf(text, sizeof(text), "%.17g %lld", sum / (2.0 * HALVINGS), (long long)h.count);
    MG_TRY_OR_DONE(mg_store_put(loop->o->store, "half_out", mg_str_make(text, (size_t)size), err));

done:
    mg_free(h.values);
    mg_free(h.first);
    mg_free(order);
    return status;
}
