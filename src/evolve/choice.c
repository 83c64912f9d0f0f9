/* evolve/choice.c - the winner among the finalists (evolution.md 12.2, 13.2).
 *
 * The finalists race over the validation questions, in blocks in one random order: after each block
 * a finalist whose paired difference to the best so far is surely below zero stops answering.  The
 * best of those that answered all of them sets the mark; of those that are not worse than it by
 * more than one standard error of the paired difference, the one with the best score over search
 * and validation questions together wins: few validation questions cannot tell near equals apart,
 * all answers together tell a little more.  Without validation questions the search questions
 * decide alone.  The winner is a merge; sources are compared with, not chosen. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "evolve/questions.h"

#define BLOCK 25      /* questions between two looks at the race */
#define DROP_MIN 50   /* questions before the first finalist may be dropped */
#define DROP_SIGMAS 2 /* standard errors below the best so far */

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
    for (int64_t begin = 0, end; begin < t->set->count; begin = end) {
        double sum = 0.0;
        double squares = 0.0;
        end = mg_questions_task_end(t->set->questions, t->set->count, begin);
        for (int64_t i = begin; i < end; i++) {
            double d = t->values[a * t->set->count + i] - t->values[b * t->set->count + i];
            sum += d;
            squares += d * d;
        }
        double n = (double)(end - begin);
        double weight = loop->o->tasks[t->set->questions[begin].task].weight;
        variance += weight * weight * fmax(0.0, squares / n - sum / n * (sum / n)) / n;
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

/* Keeps those that violate their guards least. */
static void keep_least_violating(mg_loop_candidate **list, int64_t *count)
{
    double least = INFINITY;
    int64_t kept = 0;
    for (int64_t i = 0; i < *count; i++) {
        least = fmin(least, list[i]->violation);
    }
    for (int64_t i = 0; i < *count; i++) {
        if (list[i]->violation <= least) {
            list[kept++] = list[i];
        }
    }
    *count = kept;
}

/* Takes out of list who has failed; when that is everyone, the first one's reason ends the run. */
static mg_status drop_failed(mg_loop_candidate **list, int64_t *count, mg_error *err)
{
    const mg_loop_candidate *first = list[0];
    int64_t kept = 0;
    for (int64_t i = 0; i < *count; i++) {
        if (!list[i]->failed) {
            list[kept++] = list[i];
        }
    }
    *count = kept;
    return kept > 0 ? MG_OK
                    : mg_fail(err, MG_ERR_NUMERIC,
                              "every finalist failed on questions beyond those of the search, the "
                              "best with: %.*s; with the cause gone, the same command goes on",
                              MG_STR_ARG(first->note));
}

/* The first count questions of a random order of the validation questions, sorted. */
static mg_item_set race_questions(mg_loop *loop, const int64_t *order, int64_t count)
{
    if (count == loop->select.count) {
        return loop->select;
    }
    mg_item_set set = { mg_arena_printf(&loop->arena, "race/%lld", (long long)count).data,
                        mg_arena_array(&loop->arena, mg_question, count), count };
    for (int64_t i = 0; i < count; i++) {
        set.questions[i] = loop->select.questions[order[i]];
    }
    qsort(set.questions, (size_t)count, sizeof(set.questions[0]), mg_question_compare);
    return set;
}

/* Takes out of alive (count) who is surely worse on set than the best there. */
static mg_status drop_losers(mg_loop *loop, mg_loop_candidate **alive, int64_t *count,
                             const mg_item_set *set, mg_error *err)
{
    table scores = { 0 };
    mg_status status = MG_OK;
    int64_t kept = 0;
    MG_TRY_OR_DONE(table_fill(loop, alive, *count, set, &scores, err));
    int64_t best = best_index(scores.scores, NULL, *count);
    for (int64_t i = 0; i < *count; i++) {
        double behind = scores.scores[best] - scores.scores[i];
        bool lost =
            set->count >= DROP_MIN && behind > DROP_SIGMAS * paired_error(loop, &scores, best, i);
        if (alive[i]->failed || lost) {
            alive[i]->raced = set->count;
        } else {
            alive[kept++] = alive[i];
        }
    }
    *count = MG_MAX(kept, 1);

done:
    table_release(&scores);
    return status;
}

/* The finalists that answered every validation question, in their order; *count those. */
static mg_status race(mg_loop *loop, mg_loop_candidate **alive, int64_t *count, mg_error *err)
{
    int64_t total = loop->select.count;
    int64_t *order = mg_new_array(int64_t, MG_MAX(total, 1));
    mg_rng rng = mg_rng_make(loop->o->search->seed + 2, MG_STREAM_ITEMS);
    mg_status status = MG_OK;
    mg_loop_shuffle(order, total, &rng);
    for (int64_t asked = 0; asked < total;) {
        asked = MG_MIN(asked + BLOCK, total);
        mg_item_set set = race_questions(loop, order, asked);
        const mg_item_set *asks = asked == total ? &loop->select : &set;
        MG_TRY_OR_DONE(mg_loop_evaluate(loop, alive, *count, asks, false, err));
        if (asked < total) {
            MG_TRY_OR_DONE(drop_losers(loop, alive, count, asks, err));
        }
    }

done:
    mg_free(order);
    return status;
}

/* For the report: who raced, and how many questions those answered who did not finish. */
static mg_status store_finalists(mg_loop *loop, mg_loop_candidate *const *finalists, int64_t count,
                                 mg_error *err)
{
    mg_buf text = { 0 };
    for (int64_t i = 0; i < count; i++) {
        mg_buf_printf(&text, "%lld %lld\n", (long long)mg_loop_store_id(loop, finalists[i]->id),
                      (long long)finalists[i]->raced);
    }
    mg_status status = mg_loop_put_value(loop, "finalists", mg_buf_view(&text), err);
    mg_buf_release(&text);
    return status;
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
    double search_share =
        (double)loop->search.count / (double)(loop->search.count + loop->select.count);
    for (int64_t i = 0; i < count; i++) {
        pooled[i] = search_share * search.scores[i] + (1.0 - search_share) * select.scores[i];
    }
    if (loop->select.count > 0) {
        int64_t mark = best_index(select.scores, NULL, count);
        for (int64_t i = 0; i < count; i++) {
            double behind = select.scores[mark] - select.scores[i];
            allowed[i] = i == mark || behind <= paired_error(loop, &select, mark, i);
        }
    }
    *winner_out = best_index(pooled, loop->select.count > 0 ? allowed : NULL, count);

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
    mg_loop_candidate **alive = mg_new_array(mg_loop_candidate *, count);
    int64_t compared_count = 0;
    int64_t alive_count = count;
    mg_status status = MG_OK;
    memcpy(alive, finalists, (size_t)count * sizeof(alive[0]));
    for (int64_t s = 0; s <= sources; s++) { /* the default merge is the last */
        mg_loop_candidate *c = mg_loop_candidate_at(loop, s);
        if (!c->failed) {
            compared[compared_count++] = c;
        }
    }
    MG_TRY_OR_DONE(drop_failed(alive, &alive_count, err));
    keep_least_violating(alive, &alive_count);
    int64_t blocks = (loop->select.count + BLOCK - 1) / BLOCK;
    begin_phase(loop, "choice", blocks > 0 ? compared_count + blocks * count : 0);
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, compared, compared_count, &loop->select, false, err));
    MG_TRY_OR_DONE(race(loop, alive, &alive_count, err));
    MG_TRY_OR_DONE(drop_failed(alive, &alive_count, err));
    MG_TRY_OR_DONE(store_finalists(loop, finalists, count, err));
    int64_t winner = 0;
    MG_TRY_OR_DONE(pick(loop, alive, alive_count, &winner, err));
    *winner_out = alive[winner];
    compared[compared_count++] = alive[winner];
    begin_phase(loop, "test", loop->test.count + loop->report.count > 0 ? compared_count : 0);
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, compared, compared_count, &loop->report, false, err));
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, compared, compared_count, &loop->test, false, err));
    MG_TRY_OR_DONE(mg_loop_event(loop, "winner", err, "candidate %lld (%s)",
                                 (long long)(*winner_out)->id, (*winner_out)->kind));

    if (loop->select.count == 0 && loop->test.count == 0) {
        MG_TRY_OR_DONE(mg_loop_half_out(loop, err));
    }

done:
    mg_free(alive);
    mg_free(compared);
    return status;
}
