/* evolve/finalists.c - the end of a search: the mean, the polish around it, who is chosen among. */
#include <math.h>
#include <string.h>

#include "evolve/loop_internal.h"

#define BEST_EVER_FINALISTS 20

static void add_finalist(mg_loop_candidate **finalists, int64_t *count, mg_loop_candidate *c)
{
    for (int64_t i = 0; i < *count; i++) {
        if (finalists[i] == c) {
            return;
        }
    }
    if (c != NULL && !c->failed) {
        finalists[(*count)++] = c;
    }
}

/* The best samples by search score; with a mean that is trusted more, none of them. */
static void add_best_samples(const mg_loop *loop, mg_loop_candidate **finalists, int64_t *count)
{
    for (int64_t place = 0; place < BEST_EVER_FINALISTS; place++) {
        mg_loop_candidate *best = NULL;
        for (int64_t i = 0; i < loop->candidate_count; i++) {
            mg_loop_candidate *c = loop->candidates[i];
            if (c == NULL || c->failed || isnan(c->search_score) || /* NaN: of earlier questions */
                strcmp(c->kind, "sample") != 0) {
                continue;
            }
            bool taken = false;
            for (int64_t f = 0; f < *count; f++) {
                taken = taken || finalists[f] == c;
            }
            bool better = best == NULL || c->violation < best->violation ||
                          (c->violation == best->violation && c->search_score > best->search_score);
            if (!taken && better) {
                best = c;
            }
        }
        if (best == NULL) {
            return;
        }
        finalists[(*count)++] = best;
    }
}

/* Means of earlier runs of the optimiser. */
static void add_run_means(const mg_loop *loop, mg_loop_candidate **finalists, int64_t *count)
{
    for (int64_t i = 0; i < loop->candidate_count && *count < MG_RESTART_MAX; i++) {
        mg_loop_candidate *c = loop->candidates[i];
        if (c != NULL && strcmp(c->kind, "mean") == 0 && mg_str_starts(c->label, MG_RUN_LABEL)) {
            add_finalist(finalists, count, c);
        }
    }
}

/* The mean to polish: the best on the search questions, of equals the latest.  Failed ones leave
 * the list. */
static mg_loop_candidate *best_mean(mg_loop_candidate **means, int64_t *count)
{
    mg_loop_candidate *best = NULL;
    int64_t kept = 0;
    for (int64_t i = 0; i < *count; i++) {
        mg_loop_candidate *c = means[i];
        if (c->failed) {
            continue;
        }
        means[kept++] = c;
        if (best == NULL || c->violation < best->violation ||
            (c->violation == best->violation && c->search_score >= best->search_score)) {
            best = c;
        }
    }
    *count = kept;
    return best;
}

mg_status mg_loop_finish(mg_loop *loop, const mg_progress_state *state, const double *mean,
                         mg_loop_candidate **winner_out, mg_error *err)
{
    int64_t sources = loop->o->fitness->source_count;
    int64_t next = mg_loop_next_id(loop, state);
    mg_loop_candidate *finalists[MG_RESTART_MAX + BEST_EVER_FINALISTS + 8];
    mg_loop_candidate *polished[2];
    int64_t polished_count = 0;
    int64_t count = 0;
    const mg_search_config *search = loop->o->search;
    if (search->polish_share > 0.0) {
        double rate = search->polish_share / (1.0 - search->polish_share);
        double share = search->minutes > 0.0 ? rate * (double)state->asked
                                             : search->polish_share * (double)loop->budget;
        /* What the optimiser has left of its part: less than a generation, or it stopped early. */
        double left =
            search->minutes > 0.0 ? 0.0 : (double)MG_MAX(loop->evaluations_total - state->asked, 0);
        mg_loop_plan_polish(loop, (int64_t)((share + left) * (double)loop->search.count));
    }
    if (loop->held_out.count > 0) { /* the best snapshot is the result */
        add_finalist(finalists, &count, mg_loop_candidate_at(loop, loop->best_id));
        loop->phase = "choice";
        return mg_loop_choose(loop, finalists, count, winner_out, err);
    }
    if (loop->pick_count > 0) {        /* a front has no mean */
        if (mg_loop_estimates(loop)) { /* estimates choose nothing: all questions are asked */
            MG_TRY(mg_loop_widen(loop, err));
            MG_TRY(mg_loop_store_sets(loop, err));
            MG_TRY(
                mg_loop_evaluate(loop, loop->picks, loop->pick_count, &loop->search, false, err));
        }
        for (int64_t i = 0; i < loop->pick_count; i++) {
            add_finalist(finalists, &count, loop->picks[i]);
        }
        add_finalist(finalists, &count, mg_loop_candidate_at(loop, loop->best_id));
        add_finalist(finalists, &count, mg_loop_candidate_at(loop, sources));
        return mg_loop_choose(loop, finalists, count, winner_out, err);
    }
    loop->phase = "mean";
    add_run_means(loop, finalists, &count);
    finalists[count++] =
        mg_loop_candidate_make(loop, next++, "mean", mg_str_of(""), state->generation, 0, mean, -1);
    MG_TRY(mg_loop_evaluate(loop, finalists, count, &loop->search, true, err));
    mg_loop_candidate *centre = best_mean(finalists, &count);
    if (loop->polish_count > 0 && centre != NULL) {
        loop->phase = "polish";
        MG_TRY(mg_loop_get_bits(loop, centre, err));
        MG_TRY(mg_loop_polish(loop, centre->genome, centre->id, &next, polished, &polished_count,
                              err));
    }
    for (int64_t i = 0; i < polished_count; i++) {
        add_finalist(finalists, &count, polished[i]);
    }
    if (search->preset->best_ever) {
        add_best_samples(loop, finalists, &count);
    }
    if (loop->o->stage.index == 0 || count == 0) { /* a later stage begins with these: its result is
                                                      what it has found beside them */
        add_finalist(finalists, &count, mg_loop_candidate_at(loop, sources));
        add_finalist(finalists, &count, mg_loop_candidate_at(loop, sources + 1));
    }
    return mg_loop_choose(loop, finalists, count, winner_out, err);
}
