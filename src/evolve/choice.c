/* evolve/choice.c - the winner among the finalists (evolution.md 13.2).
 *
 * All finalists answer the validation questions.  The best of them there sets the mark; of those
 * that are not worse than it by more than one standard error of the paired difference, the one with
 * the best score over search and validation questions together wins: few validation questions
 * cannot tell near equals apart, all answers together tell a little more.  Without validation
 * questions the search questions decide alone.  The winner is a merge; sources are compared with,
 * not chosen. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"

/* Values of every finalist on set, and their scores. */
typedef struct table {
    const mg_item_set *set;
    double *values; /* (count, set->count) */
    double *scores; /* count */
} table;

static mg_status table_fill(mg_loop *loop, mg_loop_candidate *const *finalists, int64_t count,
                            const mg_item_set *set, table *out, mg_error *err)
{
    *out = (table){ set, mg_new_array(double, MG_MAX(count * set->count, 1)),
                    mg_new_array(double, count) };
    for (int64_t i = 0; i < count; i++) {
        double *values = out->values + i * set->count;
        MG_TRY(mg_loop_values(loop, finalists[i], set, values, err));
        out->scores[i] = set->count > 0 ? mg_loop_score(loop, set, values) : 0.0;
        if (isnan(out->scores[i])) {
            out->scores[i] = -INFINITY;
        }
    }
    return MG_OK;
}

static void table_release(table *t)
{
    mg_free(t->values);
    mg_free(t->scores);
}

/* Standard error of the difference of two scores, from the differences of their answers. */
static double paired_error(const mg_loop *loop, const table *t, int64_t a, int64_t b)
{
    double variance = 0.0;
    int64_t begin = 0;
    while (begin < t->set->count) {
        int32_t task = t->set->questions[begin].task;
        int64_t end = begin;
        double sum = 0.0;
        double squares = 0.0;
        while (end < t->set->count && t->set->questions[end].task == task) {
            double d = t->values[a * t->set->count + end] - t->values[b * t->set->count + end];
            sum += d;
            squares += d * d;
            end++;
        }
        double n = (double)(end - begin);
        double weight = loop->o->tasks[task].weight;
        variance += weight * weight * fmax(0.0, squares / n - sum / n * (sum / n)) / n;
        begin = end;
    }
    return sqrt(variance);
}

/* Index of the best score; equal ones go to the earlier finalist. */
static int64_t best_index(const double *scores, const bool *allowed, int64_t count)
{
    int64_t best = -1;
    for (int64_t i = 0; i < count; i++) {
        if ((allowed == NULL || allowed[i]) && (best < 0 || scores[i] > scores[best])) {
            best = i;
        }
    }
    return best;
}

/* Finalists that violate guards less come first: the others are out. */
static void drop_violating(mg_loop_candidate *const *finalists, int64_t count, bool *allowed)
{
    double least = INFINITY;
    for (int64_t i = 0; i < count; i++) {
        least = fmin(least, finalists[i]->violation);
    }
    for (int64_t i = 0; i < count; i++) {
        allowed[i] = finalists[i]->violation <= least;
    }
}

static mg_status pick(mg_loop *loop, mg_loop_candidate *const *finalists, int64_t count,
                      int64_t *winner_out, mg_error *err)
{
    table select = { 0 };
    table search = { 0 };
    mg_status status = MG_OK;
    double *pooled = mg_new_array(double, count);
    bool *allowed = mg_new_array(bool, count);
    MG_TRY_OR_DONE(table_fill(loop, finalists, count, &loop->select, &select, err));
    MG_TRY_OR_DONE(table_fill(loop, finalists, count, &loop->search, &search, err));
    drop_violating(finalists, count, allowed);
    double search_share =
        (double)loop->search.count / (double)(loop->search.count + loop->select.count);
    for (int64_t i = 0; i < count; i++) {
        pooled[i] = search_share * search.scores[i] + (1.0 - search_share) * select.scores[i];
    }
    if (loop->select.count > 0) {
        int64_t mark = best_index(select.scores, allowed, count);
        for (int64_t i = 0; i < count; i++) {
            double behind = select.scores[mark] - select.scores[i];
            allowed[i] =
                allowed[i] && (i == mark || behind <= paired_error(loop, &select, mark, i));
        }
    }
    *winner_out = best_index(pooled, allowed, count);

done:
    table_release(&select);
    table_release(&search);
    mg_free(pooled);
    mg_free(allowed);
    return status;
}

/* From here on progress counts who has answered, not the budget. */
static void begin_phase(mg_loop *loop, const char *name, int64_t count)
{
    loop->phase = name;
    loop->finalists = count;
    loop->finalists_done = 0;
}

mg_status mg_loop_choose(mg_loop *loop, mg_loop_candidate *const *finalists, int64_t count,
                         mg_loop_candidate **winner_out, mg_error *err)
{
    int64_t sources = loop->o->fitness->source_count;
    if (count == 0) {
        return mg_fail(err, MG_ERR_NUMERIC, "no merge of the search could be evaluated");
    }
    /* Sources answer every set too: the report compares with them. */
    mg_loop_candidate **compared = mg_new_array(mg_loop_candidate *, sources + 2);
    int64_t compared_count = 0;
    mg_status status = MG_OK;
    for (int64_t s = 0; s <= sources; s++) { /* the default merge is the last */
        mg_loop_candidate *c = mg_loop_candidate_at(loop, s);
        if (!c->failed) {
            compared[compared_count++] = c;
        }
    }
    begin_phase(loop, "choice", loop->select.count > 0 ? compared_count + count : 0);
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, compared, compared_count, &loop->select, false, err));
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, finalists, count, &loop->select, false, err));
    int64_t winner = 0;
    MG_TRY_OR_DONE(pick(loop, finalists, count, &winner, err));
    *winner_out = finalists[winner];
    compared[compared_count++] = finalists[winner];
    begin_phase(loop, "test", loop->test.count + loop->report.count > 0 ? compared_count : 0);
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, compared, compared_count, &loop->report, false, err));
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, compared, compared_count, &loop->test, false, err));
    MG_TRY_OR_DONE(mg_loop_event(loop, "winner", err, "candidate %lld (%s)",
                                 (long long)(*winner_out)->id, (*winner_out)->kind));

done:
    mg_free(compared);
    return status;
}
