/* evolve/generations.c - the optimiser's part of a search: generation by generation, run by run. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/explorer.h"
#include "evolve/loop_internal.h"

#define TIE_WEIGHT 1e-3

static mg_status open_optimiser(mg_loop *loop, mg_progress_state *state, mg_explorer **explorer_out,
                                mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf bytes = { 0 };
    bool found = false;
    state->kind = mg_loop_choose_kind(loop);
    mg_loop_first_run(loop, &state->restart);
    MG_TRY_OR_DONE(mg_loop_load_state(loop, state, &found, err));
    loop->control.items = (double)mg_loop_control_first(loop);
    if (found && loop->o->search->items_auto) {
        MG_TRY_OR_DONE(mg_loop_get_value(loop, "state/items", &bytes, &found, err));
        MG_TRY_OR_DONE(mg_loop_control_load(loop, mg_buf_view(&bytes), err));
        mg_buf_clear(&bytes);
        found = true;
    }
    if (found) {
        MG_TRY_OR_DONE(mg_loop_get_value(loop, "state/optimiser", &bytes, &found, err));
    }
    MG_TRY_OR_DONE(mg_loop_open_run(loop, state->kind, &state->restart, mg_buf_view(&bytes),
                                    explorer_out, err));

done:
    mg_buf_release(&bytes);
    return status;
}

void mg_loop_plan_budget(mg_loop *loop)
{
    const mg_search_config *search = loop->o->search;
    int64_t n = loop->search.count;
    int64_t references = loop->o->fitness->source_count + 2;
    int64_t total = search->evaluations > 0 ? search->evaluations
                    : search->questions > 0 ? MG_MAX(search->questions / n, 1)
                                            : INT32_MAX; /* minutes alone */
    /* With a limit of time the optimiser gets its share of that, and the polish is planned when it
     * is known how many questions fit (mg_loop_finish). */
    bool timed = search->minutes > 0.0;
    double share = timed ? 0.0 : search->polish_share;
    int64_t polish = mg_loop_plan_polish(loop, (int64_t)(share * (double)total * (double)n));
    bool counts_all = search->preset->encoding == MG_ENCODING_NATIVE;
    int64_t others = counts_all ? references + 1 + (polish + n - 1) / n : 0;
    loop->evaluations_total = MG_MAX(total - others, 1);
    loop->counts_all = counts_all;
    loop->budget = total < INT32_MAX ? total : 0;
}

static bool budget_spent(const mg_loop *loop, const mg_progress_state *state, int64_t population)
{
    double limit = loop->o->search->minutes * 60.0 * (1.0 - loop->o->search->polish_share);
    if (limit > 0.0 && mg_loop_seconds(loop) >= limit) {
        return true;
    }
    if (loop->o->search->items_auto) { /* as many questions as without */
        int64_t next = population * mg_loop_control_items(loop);
        double all = (double)loop->evaluations_total * (double)mg_loop_control_first(loop);
        return loop->control.spent > 0 && (double)(loop->control.spent + next) > all;
    }
    /* mergekit-evolve looks once a generation, and may go beyond its budget by less than one. */
    if (loop->o->search->preset->encoding == MG_ENCODING_MERGEKIT) {
        return state->asked >= loop->evaluations_total;
    }
    return state->asked > 0 && state->asked + population > loop->evaluations_total;
}

static mg_status check_failures(mg_loop_candidate *const *candidates, int64_t count,
                                int64_t generation, mg_error *err)
{
    int64_t failed = 0;
    const mg_loop_candidate *first = NULL;
    for (int64_t k = 0; k < count; k++) {
        failed += candidates[k]->failed ? 1 : 0;
        first = first == NULL && candidates[k]->failed ? candidates[k] : first;
    }
    if (2 * failed <= count) {
        return MG_OK;
    }
    return mg_fail(
        err, MG_ERR_NUMERIC,
        "%lld of %lld candidates of generation %lld failed, the first with: %.*s; with the "
        "cause gone, the same command goes on from here",
        (long long)failed, (long long)count, (long long)generation, MG_STR_ARG(first->note));
}

static void tell_generation(mg_loop *loop, const mg_progress_state *state,
                            const mg_explorer *explorer, mg_loop_candidate *const *candidates,
                            int64_t count)
{
    if (loop->o->generation == NULL) {
        return;
    }
    mg_loop_generation g = { .generation = state->generation,
                             .evaluations = loop->evaluations,
                             .best = -INFINITY,
                             .best_ever = loop->best_score,
                             .sigma = mg_explorer_sigma(explorer),
                             .learning_rate = mg_explorer_learning_rate(explorer) };
    int64_t scored = 0;
    for (int64_t k = 0; k < count; k++) {
        if (!candidates[k]->failed) {
            g.best = fmax(g.best, candidates[k]->search_score);
            g.mean += candidates[k]->search_score;
            scored++;
        }
    }
    g.mean /= (double)MG_MAX(scored, 1);
    loop->o->generation(loop->o->context, &g);
}

/* Sets of different sizes count as different draws; the first is number 0. */
static int64_t epoch_of_items(const mg_loop *loop, int64_t items)
{
    return items == mg_loop_control_first(loop) ? 0 : items;
}

/* Which draw of questions a generation answers. */
static int64_t epoch_of(const mg_loop *loop, int64_t generation)
{
    if (loop->o->search->items_auto) {
        return epoch_of_items(loop, mg_loop_control_items(loop));
    }
    return mg_loop_rotates(loop) ? generation / loop->o->search->rotate : 0;
}

/* That of the generation told last. */
static int64_t epoch_told(const mg_loop *loop, const mg_progress_state *state)
{
    if (loop->o->search->items_auto) {
        return loop->control.told > 0 ? epoch_of_items(loop, loop->control.told) : 0;
    }
    return epoch_of(loop, MG_MAX(state->generation - 1, 0));
}

/* Default merge and start point have answered every question that may be asked. */
static mg_status adopt_first_merges(mg_loop *loop, mg_error *err)
{
    int64_t sources = loop->o->fitness->source_count;
    mg_loop_candidate *merges[] = { mg_loop_candidate_at(loop, sources),
                                    mg_loop_candidate_at(loop, sources + 1) };
    return mg_loop_evaluate(loop, merges, 2, &loop->search, false, err);
}

/* The optimiser's mean as a candidate of its own. */
static mg_loop_candidate *make_mean(mg_loop *loop, mg_progress_state *state,
                                    const mg_explorer *explorer, mg_str label)
{
    double *x = mg_new_array(double, loop->o->space.dimension);
    mg_explorer_mean(explorer, x);
    mg_loop_candidate *c = mg_loop_candidate_make(loop, mg_loop_next_id(loop, state), "mean", label,
                                                  state->generation, 0, x, -1);
    state->extra++;
    mg_free(x);
    return c;
}

/* Scores that are known on the present questions. */
static mg_status adopt_all_stored(mg_loop *loop, mg_error *err)
{
    for (int64_t i = 0; i < loop->candidate_count; i++) {
        mg_loop_candidate *c = loop->candidates[i];
        bool mine = c != NULL && (strcmp(c->kind, "sample") == 0 || strcmp(c->kind, "mean") == 0);
        if (mine) {
            MG_TRY(mg_loop_adopt_stored(loop, c, &loop->search, err));
            MG_TRY(mg_loop_adopt_stored(loop, c, &loop->held_out, err));
        }
    }
    return MG_OK;
}

/* New questions: scores on the old ones are compared with nothing any more, so that the best so far
 * and the mean answer the new ones too (evolution.md 8.1). */
static mg_status enter_epoch(mg_loop *loop, mg_progress_state *state, const mg_explorer *explorer,
                             mg_error *err)
{
    mg_loop_candidate *known[2] = { mg_loop_candidate_at(loop, loop->best_id), NULL };
    mg_loop_choose_items(loop, epoch_of(loop, state->generation));
    mg_loop_forget_scores(loop);
    if (loop->held_out.count > 0) {
        return MG_OK; /* snapshots are told apart by other questions */
    }
    MG_TRY(adopt_first_merges(loop, err));
    MG_TRY(mg_loop_store_sets(loop, err));
    if (loop->o->search->items_auto) { /* sets are met again, and the mean would cost too much */
        MG_TRY(adopt_all_stored(loop, err));
        return known[0] != NULL ? mg_loop_evaluate(loop, known, 1, &loop->search, true, err)
                                : MG_OK;
    }
    known[1] = make_mean(loop, state, explorer, mg_str_of(""));
    int64_t first = known[0] != NULL ? 0 : 1;
    return mg_loop_evaluate(loop, known + first, 2 - first, &loop->search, true, err);
}

/* What earlier processes have scored in the present epoch. */
static mg_status replay(mg_loop *loop, const mg_progress_state *state, mg_error *err)
{
    int64_t epoch = epoch_told(loop, state);
    if (epoch != loop->epoch) {
        mg_loop_choose_items(loop, epoch);
        mg_loop_forget_scores(loop);
        if (loop->held_out.count == 0) {
            MG_TRY(adopt_first_merges(loop, err));
        }
        MG_TRY(mg_loop_store_sets(loop, err));
    }
    MG_TRY(adopt_all_stored(loop, err));
    loop->evaluations = MG_MAX(loop->evaluations, mg_loop_next_id(loop, state));
    loop->replaying = false;
    return mg_loop_tell_improved(loop, err);
}

/* The generation's best and the mean that came out of it answer questions that rank no generation:
 * the best snapshot is the result (evolution.md 4.4). */
static mg_status take_snapshot(mg_loop *loop, mg_progress_state *state, const mg_explorer *explorer,
                               mg_loop_candidate *const *candidates, int64_t count, mg_error *err)
{
    mg_loop_candidate *shown[2] = { NULL, make_mean(loop, state, explorer, mg_str_of("")) };
    for (int64_t k = 0; k < count; k++) {
        mg_loop_candidate *c = candidates[k];
        bool better =
            !c->failed &&
            (shown[0] == NULL || c->violation < shown[0]->violation ||
             (c->violation == shown[0]->violation && c->search_score > shown[0]->search_score));
        shown[0] = better ? c : shown[0];
    }
    MG_ASSERT(shown[0] != NULL); /* else the generation has failed */
    return mg_loop_evaluate(loop, shown, 2, &loop->held_out, true, err);
}

/* A thousandth of what one question adds to the score, for each unit of likelihood: it tells equal
 * scores apart (evolution.md 1). */
static double tie_breaker(const mg_loop *loop, const mg_loop_candidate *c)
{
    double weights = 0.0;
    for (int64_t t = 0; t < loop->o->fitness->task_count; t++) {
        const mg_loop_task *task = &loop->o->tasks[t];
        weights += task->role == MG_ROLE_SEARCH ? fabs(task->weight) : 0.0;
    }
    return TIE_WEIGHT * weights / (double)loop->search.count * c->likelihood;
}

static double cost_of(const mg_loop *loop, const mg_loop_candidate *c)
{
    if (c->failed) {
        return INFINITY;
    }
    double penalty = loop->o->penalty != NULL ? loop->o->penalty(loop->o->context, c->genome) : 0.0;
    return penalty - c->search_score - tie_breaker(loop, c);
}

static mg_status run_generation(mg_loop *loop, mg_progress_state *state, mg_explorer *explorer,
                                mg_error *err)
{
    int64_t population = mg_explorer_population(explorer);
    int64_t first = mg_loop_next_id(loop, state);
    mg_loop_candidate **candidates = mg_new_array(mg_loop_candidate *, population);
    double *costs = mg_new_array(double, population);
    double *violations = mg_new_array(double, population);
    double *x = mg_new_array(double, loop->o->space.dimension);
    int64_t m = mg_explorer_nsga2(explorer) != NULL ? mg_loop_objective_tasks(loop, NULL) : 0;
    double *objectives = mg_new_array(double, MG_MAX(population * m, 1));
    double *answers = NULL;
    mg_status status = MG_OK;
    for (int64_t k = 0; k < population; k++) {
        mg_explorer_ask(explorer, k, x);
        candidates[k] = mg_loop_candidate_make(loop, first + k, "sample", mg_str_of(""),
                                               state->generation, k, x, -1);
    }
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, candidates, population, &loop->search, true, err));
    MG_TRY_OR_DONE(check_failures(candidates, population, state->generation, err));
    for (int64_t k = 0; k < population; k++) {
        costs[k] = cost_of(loop, candidates[k]);
        violations[k] = candidates[k]->failed ? (double)INFINITY : candidates[k]->violation;
        if (m > 0) {
            MG_TRY_OR_DONE(mg_loop_objectives(loop, candidates[k], objectives + k * m, err));
        }
    }
    if (mg_loop_estimates(loop)) {
        mg_nsga2 *nsga = mg_explorer_nsga2(explorer);
        MG_TRY_OR_DONE(mg_loop_estimate(loop, nsga, first, population, objectives, err));
    }
    if (mg_explorer_niches(explorer) != NULL) {
        answers = mg_new_array(double, population * loop->search.count);
        MG_TRY_OR_DONE(mg_loop_answers(loop, candidates, population, answers, err));
    }
    mg_explorer_told told = { first, costs, objectives, violations, answers };
    mg_explorer_tell(explorer, &told);
    state->asked += population;
    if (loop->o->search->items_auto) {
        double factor;
        MG_TRY_OR_DONE(
            mg_loop_control(loop, state->generation, candidates, costs, population, &factor, err));
        mg_explorer_scale_step(explorer, factor);
    }
    if (loop->held_out.count > 0) {
        MG_TRY_OR_DONE(take_snapshot(loop, state, explorer, candidates, population, err));
    }
    tell_generation(loop, state, explorer, candidates, population);
    state->generation++;

done:
    mg_free(candidates);
    mg_free(costs);
    mg_free(violations);
    mg_free(objectives);
    mg_free(answers);
    mg_free(x);
    return status;
}

/* The mean of a run that is over, with what the polish needs, for the end of the search. */
static mg_status keep_mean(mg_loop *loop, mg_progress_state *state, const mg_explorer *explorer,
                           mg_error *err)
{
    mg_str label =
        mg_arena_printf(&loop->arena, MG_RUN_LABEL "%lld", (long long)state->restart.index + 1);
    mg_loop_candidate *mean = make_mean(loop, state, explorer, label);
    const double *probabilities = mg_explorer_probabilities(explorer);
    if (probabilities != NULL) {
        MG_TRY(mg_loop_put_bits(loop, mean, probabilities, err));
    }
    return mg_loop_evaluate(loop, &mean, 1, &loop->search, true, err);
}

/* Why the present run of the optimiser is over; NULL while it is not. */
static const char *run_over(const mg_loop *loop, const mg_progress_state *state,
                            const mg_explorer *explorer)
{
    const mg_search_config *search = loop->o->search;
    int64_t limit = state->restart.evaluations_max;
    int64_t after = state->asked - state->run_begin + mg_explorer_population(explorer);
    if (limit > 0 && state->asked > state->run_begin && after > limit) {
        return "its share of the evaluations is spent";
    }
    bool deaf =
        search->preset->ignore_stops && (search->restarts_from_preset || search->restarts == 0);
    return deaf ? NULL : mg_explorer_stop(explorer);
}

/* After a run of the optimiser: another one when settings and budget allow it. */
static mg_status maybe_restart(mg_loop *loop, mg_progress_state *state, const char *reason,
                               mg_explorer **explorer, mg_error *err)
{
    MG_TRY(mg_loop_event(loop, "stop", err, "the optimiser stopped after %lld candidates: %s",
                         (long long)state->asked, reason));
    if (!mg_loop_may_restart(loop, &state->restart)) {
        state->finished = true;
        return MG_OK;
    }
    MG_TRY(keep_mean(loop, state, *explorer, err));
    mg_restart_next(&state->restart, state->asked - state->run_begin);
    state->run_begin = state->asked;
    if (loop->o->search->optimiser == MG_OPTIMISER_SWITCH) {
        state->kind = mg_loop_choose_kind(loop); /* every run begins in the diagonal form */
    }
    mg_explorer *next = NULL;
    MG_TRY(mg_loop_open_run(loop, state->kind, &state->restart, mg_str_of(""), &next, err));
    mg_explorer_destroy(*explorer);
    *explorer = next;
    return MG_OK;
}

/* The polish draws its bits from them. */
static void keep_probabilities(mg_loop *loop, const mg_explorer *explorer)
{
    const double *probabilities = mg_explorer_probabilities(explorer);
    int64_t count = loop->o->space.bit_count;
    if (probabilities != NULL) {
        loop->bit_probabilities = mg_arena_array(&loop->arena, double, count);
        memcpy(loop->bit_probabilities, probabilities, (size_t)count * sizeof(double));
    }
}

mg_status mg_loop_run_optimiser(mg_loop *loop, mg_progress_state *state, double *mean,
                                mg_error *err)
{
    mg_explorer *explorer = NULL;
    mg_status status = MG_OK;
    loop->phase = "search";
    MG_TRY_OR_DONE(open_optimiser(loop, state, &explorer, err));
    MG_TRY_OR_DONE(replay(loop, state, err));
    while (!state->finished) {
        const char *over = run_over(loop, state, explorer);
        if (over != NULL) {
            MG_TRY_OR_DONE(maybe_restart(loop, state, over, &explorer, err));
            loop->control.floor = 0;
        }
        if (over != NULL && !state->finished) { /* where a run begins is not decided twice */
            MG_TRY_OR_DONE(mg_loop_save_state(loop, state, explorer, err));
            continue;
        }
        if (mg_loop_stopped(loop)) {
            status = mg_fail(err, MG_ERR_INTERRUPTED, "stopped; nothing that was answered is lost");
            goto done;
        }
        if (state->finished || budget_spent(loop, state, mg_explorer_population(explorer))) {
            state->finished = true;
            /* A generation that was begun before the budget shrank leaves samples behind: their
             * numbers go to the mean and the polish. */
            int64_t next = mg_loop_next_id(loop, state);
            if (loop->candidate_count > next) {
                MG_TRY_OR_DONE(mg_loop_forget_from(loop, next, false, err));
            }
        } else {
            if (epoch_of(loop, state->generation) != loop->epoch) {
                MG_TRY_OR_DONE(enter_epoch(loop, state, explorer, err));
            }
            MG_TRY_OR_DONE(run_generation(loop, state, explorer, err));
            MG_TRY_OR_DONE(mg_loop_switch_form(loop, &state->kind, &state->restart, explorer, err));
        }
        MG_TRY_OR_DONE(mg_loop_save_state(loop, state, explorer, err));
    }
    mg_explorer_mean(explorer, mean);
    keep_probabilities(loop, explorer);
    if (mg_explorer_niches(explorer) != NULL) {
        mg_loop_pick_from_niches(loop, mg_explorer_niches(explorer), loop->picks,
                                 &loop->pick_count);
    } else if (mg_loop_estimates(loop)) {
        mg_loop_pick_living(loop, mg_explorer_nsga2(explorer), loop->picks, &loop->pick_count);
    } else if (mg_explorer_nsga2(explorer) != NULL) {
        MG_TRY_OR_DONE(mg_loop_pick_from_front(loop, mg_explorer_nsga2(explorer), loop->picks,
                                               &loop->pick_count, err));
    }

done:
    mg_explorer_destroy(explorer);
    return status;
}
