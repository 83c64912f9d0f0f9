/* evolve/half_out.c - an honest number where no question can be spared (evolution.md 1, 13).
 *
 * Fewer than 100 questions are all given to the search.  The best of many candidates by the score
 * that the search saw then owes a part of it to luck.  What the choice is worth without that luck:
 * all candidates are ranked on a random half of the questions, and the best is scored on the other
 * half; this is averaged over many halvings.  Still, the optimiser itself has seen both halves.
 *
 * Candidates pass one by one, so that memory does not grow with them. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"

#define HALVINGS 50

/* The best so far by one half of a halving, and what it scores on the other. */
typedef struct chosen {
    double score, other;
} chosen;

typedef struct halves {
    mg_loop *loop;
    bool *first;                /* (HALVINGS, questions): of the first half */
    chosen chosen[HALVINGS][2]; /* by the second half, by the first */
    double *values;             /* (questions) */
    int64_t count;              /* merges with every answer */
} halves;

static void draw_halves(halves *h, int64_t n)
{
    int64_t *order = mg_new_array(int64_t, n);
    mg_rng rng = mg_rng_make(h->loop->o->search->seed + 3, MG_STREAM_ITEMS);
    for (int64_t k = 0; k < HALVINGS; k++) {
        mg_loop_shuffle(order, n, &rng);
        for (int64_t i = 0; i < n; i++) {
            h->first[k * n + order[i]] = i < n / 2;
        }
    }
    mg_free(order);
}

static void enter(halves *h, int64_t n)
{
    const mg_item_set *set = &h->loop->search;
    for (int64_t k = 0; k < HALVINGS; k++) {
        double score[2];
        for (int side = 0; side < 2; side++) {
            score[side] = mg_loop_half_score(h->loop, set, h->values, h->first + k * n, side == 1);
        }
        for (int side = 0; side < 2; side++) {
            if (h->count == 0 || score[side] > h->chosen[k][side].score) {
                h->chosen[k][side] = (chosen){ score[side], score[1 - side] };
            }
        }
    }
    h->count++;
}

static bool counts(const mg_loop_candidate *c)
{
    return c != NULL && c->genome != NULL && !c->failed && !isnan(c->search_score);
}

static mg_status enter_all(halves *h, mg_error *err)
{
    mg_loop *loop = h->loop;
    int64_t n = loop->search.count;
    for (int64_t i = 0; i < loop->candidate_count; i++) {
        const mg_loop_candidate *c = loop->candidates[i];
        if (!counts(c)) {
            continue;
        }
        bool complete = true;
        MG_TRY(mg_loop_values(loop, c, &loop->search, h->values, err));
        for (int64_t q = 0; q < n; q++) {
            complete = complete && !isnan(h->values[q]);
        }
        if (complete) {
            enter(h, n);
        }
    }
    return MG_OK;
}

/* Whether the store has it for these candidates: a run that is looked at again. */
static mg_status is_known(mg_loop *loop, bool *known_out, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    double value;
    long long stored = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < loop->candidate_count; i++) {
        count += counts(loop->candidates[i]) ? 1 : 0;
    }
    mg_status status = mg_loop_get_value(loop, "half_out", &text, &found, err);
    *known_out = status == MG_OK && found && sscanf(text.data, "%lf %lld", &value, &stored) == 2 &&
                 stored == count;
    mg_buf_release(&text);
    return status;
}

mg_status mg_loop_half_out(mg_loop *loop, mg_error *err)
{
    int64_t n = loop->search.count;
    bool known;
    MG_TRY(is_known(loop, &known, err));
    if (n < 2 || known) {
        return MG_OK;
    }
    halves h = { .loop = loop,
                 .first = mg_new_array(bool, HALVINGS *n),
                 .values = mg_new_array(double, n) };
    double sum = 0.0;
    mg_status status = MG_OK;
    draw_halves(&h, n);
    MG_TRY_OR_DONE(enter_all(&h, err));
    if (h.count == 0) {
        goto done;
    }
    for (int64_t k = 0; k < HALVINGS; k++) {
        sum += h.chosen[k][1].other + h.chosen[k][0].other;
    }
    char text[64];
    int size =
        snprintf(text, sizeof(text), "%.17g %lld", sum / (2.0 * HALVINGS), (long long)h.count);
    MG_TRY_OR_DONE(mg_loop_put_value(loop, "half_out", mg_str_make(text, (size_t)size), err));

done:
    mg_free(h.first);
    mg_free(h.values);
    return status;
}
