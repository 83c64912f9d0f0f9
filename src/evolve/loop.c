/* evolve/loop.c - the phases of a search; see loop.h.
 *
 * What is not a function of stored answers lies in two values of the store, written in one
 * transaction after each generation: "state/optimiser", the optimiser's own bytes, and
 * "state/loop", the counters below.  A continued run loads both and evaluates the generation that
 * was under way; candidates that it finds answered cost nothing. */
#include "evolve/loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "evolve/explorer.h"
#include "store/run.h"

#define BEST_EVER_FINALISTS 20
#define RUN_LABEL "run " /* of the means of the optimiser's earlier runs */

/* The optimiser's part of the run.  When it was finished under another budget, a larger one goes on
 * with it, and what came after it is forgotten. */
typedef struct progress_state {
    mg_cma_kind kind;   /* decided once: a later budget does not change it */
    int64_t generation; /* over all restarts */
    int64_t asked;      /* candidates in told generations */
    int64_t extra;      /* means that were evaluated beside them */
    int64_t run_begin;  /* asked, when the optimiser's present run began */
    mg_restart restart; /* what that run looks like */
    bool finished;      /* the phase is over */
} progress_state;

int64_t mg_loop_store_id(const mg_loop *loop, int64_t id)
{
    int64_t sources = loop->o->fitness->source_count;
    bool later = loop->o->stage.index > 0 && id >= sources;
    return later ? id - sources + loop->o->stage.first_id : id;
}

int64_t mg_loop_local_id(const mg_loop *loop, int64_t store_id)
{
    const mg_stage *stage = &loop->o->stage;
    int64_t sources = loop->o->fitness->source_count;
    if (stage->end_id > 0 && store_id >= stage->end_id) {
        return -1;
    }
    if (stage->index == 0 || store_id < sources) {
        return store_id;
    }
    return store_id >= stage->first_id ? store_id - stage->first_id + sources : -1;
}

mg_status mg_loop_put_value(mg_loop *loop, const char *name, mg_str value, mg_error *err)
{
    char key[MG_STAGE_KEY_BYTES];
    mg_stage_key(&loop->o->stage, name, key);
    return mg_store_put(loop->o->store, key, value, err);
}

/* An empty value counts as none. */
static mg_status get_value(mg_loop *loop, const char *name, mg_buf *value_out, bool *found_out,
                           mg_error *err)
{
    char key[MG_STAGE_KEY_BYTES];
    mg_stage_key(&loop->o->stage, name, key);
    mg_status status = mg_store_get(loop->o->store, key, value_out, found_out, err);
    *found_out = status == MG_OK && *found_out && value_out->size > 0;
    return status;
}

/* The first candidate behind the generations that have been told. */
static int64_t next_id(const mg_loop *loop, const progress_state *state)
{
    return loop->o->fitness->source_count + 2 + state->asked + state->extra;
}

static mg_status save_state(mg_loop *loop, const progress_state *state, const mg_explorer *explorer,
                            mg_error *err)
{
    mg_store *store = loop->o->store;
    mg_buf bytes = { 0 };
    mg_buf counters = { 0 };
    mg_status status = MG_OK;
    mg_explorer_save(explorer, &bytes);
    mg_buf_printf(&counters, "%d %lld %lld %lld %d %.17g %lld %.17g %lld ", (int)state->kind,
                  (long long)state->generation, (long long)state->asked,
                  (long long)state->run_begin, state->finished ? 1 : 0, mg_loop_seconds(loop),
                  (long long)loop->evaluations_total, loop->o->search->minutes,
                  (long long)state->extra);
    mg_restart_save(&state->restart, &counters);
    MG_TRY_OR_DONE(mg_store_begin(store, err));
    MG_TRY_OR_DONE(mg_loop_put_value(loop, "state/optimiser", mg_buf_view(&bytes), err));
    MG_TRY_OR_DONE(mg_loop_put_value(loop, "state/loop", mg_buf_view(&counters), err));
    if (loop->o->search->items_auto) {
        mg_buf_clear(&counters);
        mg_loop_control_save(loop, &counters);
        MG_TRY_OR_DONE(mg_loop_put_value(loop, "state/items", mg_buf_view(&counters), err));
    }
    MG_TRY_OR_DONE(mg_store_commit(store, err));

done:
    if (status != MG_OK) {
        mg_store_rollback(store);
    }
    mg_buf_release(&bytes);
    mg_buf_release(&counters);
    return status;
}

static mg_status load_counters(mg_loop *loop, progress_state *state, bool *found_out, mg_error *err)
{
    mg_buf text = { 0 };
    mg_status status = get_value(loop, "state/loop", &text, found_out, err);
    if (status != MG_OK || !*found_out) {
        mg_buf_release(&text);
        return status;
    }
    int kind = 0;
    int finished = 0;
    int end = 0;
    long long generation = 0;
    long long asked = 0;
    long long begin = 0;
    long long evaluations = 0;
    long long extra = 0;
    double minutes = 0.0;
    int count =
        sscanf(text.data, "%d %lld %lld %lld %d %lf %lld %lf %lld %n", &kind, &generation, &asked,
               &begin, &finished, &loop->seconds_before, &evaluations, &minutes, &extra, &end);
    mg_str rest = mg_str_slice(mg_buf_view(&text), (size_t)end, text.size);
    bool fine = count == 9 && end > 0 && kind >= 0 && kind <= MG_CMA_LM_MA && generation >= 0 &&
                asked >= 0 && begin >= 0 && begin <= asked && extra >= 0 &&
                mg_restart_load(&state->restart, rest, NULL) == MG_OK;
    mg_buf_release(&text);
    if (!fine) {
        return mg_fail(err, MG_ERR_FORMAT, "run.db: the state of the search is damaged");
    }
    state->kind = (mg_cma_kind)kind;
    state->generation = generation;
    state->asked = asked;
    state->extra = extra;
    state->run_begin = begin;
    state->finished = finished != 0;
    bool same_budget =
        evaluations == loop->evaluations_total && minutes == loop->o->search->minutes;
    if (state->finished && !same_budget) {
        state->finished = false;
        return mg_loop_forget_from(loop, next_id(loop, state), true, err);
    }
    return MG_OK;
}

static mg_status open_optimiser(mg_loop *loop, progress_state *state, mg_explorer **explorer_out,
                                mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf bytes = { 0 };
    bool found = false;
    state->kind = mg_loop_choose_kind(loop);
    mg_loop_first_run(loop, &state->restart);
    MG_TRY_OR_DONE(load_counters(loop, state, &found, err));
    loop->control.items = (double)mg_loop_control_first(loop);
    if (found && loop->o->search->items_auto) {
        MG_TRY_OR_DONE(get_value(loop, "state/items", &bytes, &found, err));
        MG_TRY_OR_DONE(mg_loop_control_load(loop, mg_buf_view(&bytes), err));
        mg_buf_clear(&bytes);
        found = true;
    }
    if (found) {
        MG_TRY_OR_DONE(get_value(loop, "state/optimiser", &bytes, &found, err));
    }
    MG_TRY_OR_DONE(mg_loop_open_run(loop, state->kind, &state->restart, mg_buf_view(&bytes),
                                    explorer_out, err));

done:
    mg_buf_release(&bytes);
    return status;
}

/* What the report needs beside candidates: the tasks, and the questions of every set.
 * "set/search" are those that tell which candidate is the best, "set/name" is their set's name. */
static mg_status store_sets(mg_loop *loop, mg_error *err)
{
    const mg_item_set *const sets[] = { mg_loop_judge(loop), &loop->select, &loop->report,
                                        &loop->test };
    static const char *const names[] = { "set/search", "set/select", "set/report", "set/test" };
    const mg_fitness *fitness = loop->o->fitness;
    mg_buf text = { 0 };
    mg_status status = MG_OK;
    for (int64_t t = 0; t < fitness->task_count; t++) {
        mg_buf_printf(&text, "%.17g %.*s\n", loop->o->tasks[t].weight,
                      MG_STR_ARG(fitness->tasks[t].name));
    }
    MG_TRY_OR_DONE(mg_store_put(loop->o->store, "tasks", mg_buf_view(&text), err));
    MG_TRY_OR_DONE(mg_loop_put_value(loop, "set/name", mg_str_of(mg_loop_judge(loop)->name), err));
    for (int64_t i = 0; i < MG_ARRAY_COUNT(sets); i++) {
        mg_str questions = mg_str_make((const char *)sets[i]->questions,
                                       (size_t)sets[i]->count * sizeof(mg_question));
        MG_TRY_OR_DONE(mg_loop_put_value(loop, names[i], questions, err));
    }

done:
    mg_buf_release(&text);
    return status;
}

/* Questions are chosen by what the sources answered when the run began: a source that failed then
 * and answers now changes none of them. */
static mg_status keep_source_values(mg_loop *loop, double *values, int64_t count, mg_error *err)
{
    mg_buf kept = { 0 };
    bool found;
    size_t bytes = (size_t)count * sizeof(double);
    mg_status status = get_value(loop, "state/sources", &kept, &found, err);
    if (status == MG_OK && !found) {
        mg_str text = mg_str_make((const char *)values, bytes);
        status = mg_loop_put_value(loop, "state/sources", text, err);
    } else if (status == MG_OK && kept.size != bytes) {
        status = mg_fail(err, MG_ERR_FORMAT, "run.db: the answers of the sources are damaged");
    } else if (status == MG_OK) {
        memcpy(values, kept.data, bytes);
    }
    mg_buf_release(&kept);
    return status;
}

/* Sources, the default merge and the start point answer everything that the search may ask. */
static mg_status run_references(mg_loop *loop, mg_error *err)
{
    const mg_fitness *fitness = loop->o->fitness;
    const mg_loop_space *space = &loop->o->space;
    int64_t sources = fitness->source_count;
    mg_loop_candidate **references = mg_new_array(mg_loop_candidate *, sources + 2);
    double *values = mg_arena_array(&loop->arena, double, MG_MAX(sources * loop->pool.count, 1));
    mg_status status = MG_OK;
    loop->source_values = values;
    loop->phase = "sources";
    loop->finalists = sources + 2;
    for (int64_t s = 0; s < sources; s++) {
        references[s] =
            mg_loop_candidate_make(loop, s, "source", fitness->source_names[s], 0, s, NULL, s);
    }
    references[sources] = mg_loop_candidate_make(
        loop, sources, "default", mg_str_of(space->standard_name), 0, 0, space->standard, -1);
    references[sources + 1] =
        mg_loop_candidate_make(loop, sources + 1, "start", mg_str_of(""), 0, 0, space->start, -1);
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, references, sources + 2, &loop->pool, true, err));
    loop->finalists = 0;
    int64_t failed = 0;
    for (int64_t i = 0; i < sources + 2; i++) {
        failed += references[i]->failed ? 1 : 0;
    }
    if (failed == sources + 2) {
        status = mg_fail(err, MG_ERR_NUMERIC, "no source and no first merge can be evaluated: %.*s",
                         MG_STR_ARG(references[0]->note));
        goto done;
    }
    for (int64_t s = 0; s < sources; s++) {
        MG_TRY_OR_DONE(
            mg_loop_values(loop, references[s], &loop->pool, values + s * loop->pool.count, err));
    }
    MG_TRY_OR_DONE(keep_source_values(loop, values, sources * loop->pool.count, err));
    mg_loop_choose_items(loop, 0);
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, references, sources + 2, &loop->search, false, err));
    MG_TRY_OR_DONE(mg_loop_evaluate(loop, references, sources + 2, &loop->held_out, false, err));

done:
    mg_free(references);
    return status;
}

/* How many candidates the optimiser may ask; the rest of the budget is the references' and the
 * polish's. */
static void plan_budget(mg_loop *loop)
{
    const mg_search_config *search = loop->o->search;
    int64_t n = loop->search.count;
    int64_t references = loop->o->fitness->source_count + 2;
    int64_t total = search->evaluations > 0 ? search->evaluations
                    : search->questions > 0 ? MG_MAX(search->questions / n, 1)
                                            : INT32_MAX; /* minutes alone */
    /* With a limit of time the optimiser gets its share of that, and the polish is planned when it
     * is known how many questions fit (finish). */
    bool timed = search->minutes > 0.0;
    double share = timed ? 0.0 : search->polish_share;
    int64_t polish = mg_loop_plan_polish(loop, (int64_t)(share * (double)total * (double)n));
    bool counts_all = search->preset->encoding == MG_ENCODING_NATIVE;
    int64_t others = counts_all ? references + 1 + (polish + n - 1) / n : 0;
    loop->evaluations_total = MG_MAX(total - others, 1);
    loop->counts_all = counts_all;
    loop->budget = total < INT32_MAX ? total : 0;
}

static bool budget_spent(const mg_loop *loop, const progress_state *state, int64_t population)
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

static void tell_generation(mg_loop *loop, const progress_state *state, const mg_explorer *explorer,
                            mg_loop_candidate *const *candidates, int64_t count)
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
static int64_t epoch_told(const mg_loop *loop, const progress_state *state)
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
static mg_loop_candidate *make_mean(mg_loop *loop, progress_state *state,
                                    const mg_explorer *explorer, mg_str label)
{
    double *x = mg_new_array(double, loop->o->space.dimension);
    mg_explorer_mean(explorer, x);
    mg_loop_candidate *c = mg_loop_candidate_make(loop, next_id(loop, state), "mean", label,
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
static mg_status enter_epoch(mg_loop *loop, progress_state *state, const mg_explorer *explorer,
                             mg_error *err)
{
    mg_loop_candidate *known[2] = { mg_loop_candidate_at(loop, loop->best_id), NULL };
    mg_loop_choose_items(loop, epoch_of(loop, state->generation));
    mg_loop_forget_scores(loop);
    if (loop->held_out.count > 0) {
        return MG_OK; /* snapshots are told apart by other questions */
    }
    MG_TRY(adopt_first_merges(loop, err));
    MG_TRY(store_sets(loop, err));
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
static mg_status replay(mg_loop *loop, const progress_state *state, mg_error *err)
{
    int64_t epoch = epoch_told(loop, state);
    if (epoch != loop->epoch) {
        mg_loop_choose_items(loop, epoch);
        mg_loop_forget_scores(loop);
        if (loop->held_out.count == 0) {
            MG_TRY(adopt_first_merges(loop, err));
        }
        MG_TRY(store_sets(loop, err));
    }
    MG_TRY(adopt_all_stored(loop, err));
    loop->evaluations = MG_MAX(loop->evaluations, next_id(loop, state));
    loop->replaying = false;
    return mg_loop_tell_improved(loop, err);
}

/* The generation's best and the mean that came out of it answer questions that rank no generation:
 * the best snapshot is the result (evolution.md 4.4). */
static mg_status take_snapshot(mg_loop *loop, progress_state *state, const mg_explorer *explorer,
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

static double cost_of(const mg_loop *loop, const mg_loop_candidate *c)
{
    if (c->failed) {
        return INFINITY;
    }
    double penalty = loop->o->penalty != NULL ? loop->o->penalty(loop->o->context, c->genome) : 0.0;
    return penalty - c->search_score;
}

static mg_status run_generation(mg_loop *loop, progress_state *state, mg_explorer *explorer,
                                mg_error *err)
{
    int64_t population = mg_explorer_population(explorer);
    int64_t first = next_id(loop, state);
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

/* Probabilities of the bits around a mean: the polish draws from them. */
static void probabilities_name(int64_t mean_id, char name_out[32])
{
    snprintf(name_out, 32, "bits/%lld", (long long)mean_id);
}

/* The mean of a run that is over, with what the polish needs, for the end of the search. */
static mg_status keep_mean(mg_loop *loop, progress_state *state, const mg_explorer *explorer,
                           mg_error *err)
{
    mg_str label =
        mg_arena_printf(&loop->arena, RUN_LABEL "%lld", (long long)state->restart.index + 1);
    mg_loop_candidate *mean = make_mean(loop, state, explorer, label);
    const double *probabilities = mg_explorer_probabilities(explorer);
    if (probabilities != NULL) {
        char name[32];
        probabilities_name(mean->id, name);
        size_t bytes = (size_t)loop->o->space.bit_count * sizeof(double);
        MG_TRY(mg_loop_put_value(loop, name, mg_str_make((const char *)probabilities, bytes), err));
    }
    return mg_loop_evaluate(loop, &mean, 1, &loop->search, true, err);
}

/* Why the present run of the optimiser is over; NULL while it is not. */
static const char *run_over(const mg_loop *loop, const progress_state *state,
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
static mg_status maybe_restart(mg_loop *loop, progress_state *state, const char *reason,
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

static mg_status run_optimiser(mg_loop *loop, progress_state *state, double *mean, mg_error *err)
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
            MG_TRY_OR_DONE(save_state(loop, state, explorer, err));
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
            int64_t next = next_id(loop, state);
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
        MG_TRY_OR_DONE(save_state(loop, state, explorer, err));
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
        if (c != NULL && strcmp(c->kind, "mean") == 0 && mg_str_starts(c->label, RUN_LABEL)) {
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

/* Those of an earlier run, when its mean is the one to polish. */
static mg_status load_probabilities(mg_loop *loop, const mg_loop_candidate *mean, mg_error *err)
{
    char name[32];
    mg_buf bytes = { 0 };
    bool found;
    size_t size = (size_t)loop->o->space.bit_count * sizeof(double);
    probabilities_name(mean->id, name);
    mg_status status = get_value(loop, name, &bytes, &found, err);
    if (status == MG_OK && found && bytes.size == size && loop->bit_probabilities != NULL) {
        memcpy(loop->bit_probabilities, bytes.data, size);
    }
    mg_buf_release(&bytes);
    return status;
}

/* Mean, polish and choice. */
static mg_status finish(mg_loop *loop, const progress_state *state, const double *mean,
                        mg_loop_candidate **winner_out, mg_error *err)
{
    int64_t sources = loop->o->fitness->source_count;
    int64_t next = next_id(loop, state);
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
            MG_TRY(store_sets(loop, err));
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
        MG_TRY(load_probabilities(loop, centre, err));
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

/* A finished run that is only looked at again keeps the time it took. */
static mg_status store_winner(mg_loop *loop, int64_t winner, double *seconds_out, mg_error *err)
{
    mg_buf old = { 0 };
    bool found;
    char text[64];
    long long old_winner = -1;
    double old_seconds = 0.0;
    double seconds = mg_loop_seconds(loop);
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(get_value(loop, "winner", &old, &found, err));
    if (found && sscanf(old.data, "%lld %lf", &old_winner, &old_seconds) == 2 &&
        old_winner == winner) {
        seconds = fmax(seconds, old_seconds);
    }
    int size = snprintf(text, sizeof(text), "%lld %.17g", (long long)winner, seconds);
    MG_TRY_OR_DONE(mg_loop_put_value(loop, "winner", mg_str_make(text, (size_t)size), err));
    *seconds_out = seconds;

done:
    mg_buf_release(&old);
    return status;
}

/* What the winner is worth beside what the stage began with. */
static mg_status compare_with_default(mg_loop *loop, const mg_loop_candidate *winner,
                                      mg_loop_result *result, mg_error *err)
{
    const mg_loop_candidate *first = mg_loop_candidate_at(loop, loop->o->fitness->source_count);
    const mg_item_set *set = loop->select.count > 0 ? &loop->select : mg_loop_judge(loop);
    double *values = mg_new_array(double, set->count);
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_loop_values(loop, winner, set, values, err));
    result->gain = mg_loop_score(loop, set, values);
    result->violation = winner->mark_violation - (first->failed ? 0.0 : first->mark_violation);
    if (!first->failed) {
        MG_TRY_OR_DONE(mg_loop_values(loop, first, set, values, err));
        result->gain -= mg_loop_score(loop, set, values);
    }

done:
    mg_free(values);
    return status;
}

static mg_status run_phases(mg_loop *loop, mg_loop_result *result, mg_error *err)
{
    int64_t n = loop->o->space.dimension;
    mg_status status = MG_OK;
    progress_state state = { 0 };
    mg_loop_candidate *winner = NULL;
    double *mean = mg_new_array(double, n);
    loop->replaying = true;
    MG_TRY_OR_DONE(mg_loop_load(loop, err));
    MG_TRY_OR_DONE(mg_loop_split_items(loop, err));
    MG_TRY_OR_DONE(run_references(loop, err));
    MG_TRY_OR_DONE(store_sets(loop, err));
    plan_budget(loop);
    MG_TRY_OR_DONE(run_optimiser(loop, &state, mean, err));
    MG_TRY_OR_DONE(finish(loop, &state, mean, &winner, err));
    result->winner = mg_loop_store_id(loop, winner->id);
    result->end_id = mg_loop_store_id(loop, loop->candidate_count);
    MG_TRY_OR_DONE(compare_with_default(loop, winner, result, err));
    MG_TRY_OR_DONE(store_winner(loop, result->winner, &result->seconds, err));
    result->genome = mg_new_array(double, n);
    memcpy(result->genome, winner->genome, (size_t)n * sizeof(double));

done:
    mg_free(mean);
    return status;
}

mg_status mg_loop_run(const mg_loop_options *options, mg_loop_result *result_out, mg_error *err)
{
    *result_out = (mg_loop_result){ 0 };
    mg_loop loop = { .o = options, .best_id = -1, .phase = "sources" };
    loop.seconds_begin = mg_clock_now(options->clock);
    mg_status status = run_phases(&loop, result_out, err);
    mg_free(loop.candidates);
    mg_free(loop.stored_scores);
    mg_map_release(&loop.stored);
    mg_map_release(&loop.genomes);
    mg_arena_release(&loop.arena);
    return status;
}

void mg_loop_result_release(mg_loop_result *result)
{
    mg_free(result->genome);
    *result = (mg_loop_result){ 0 };
}
