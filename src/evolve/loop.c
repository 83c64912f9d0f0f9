/* evolve/loop.c - the phases of a search; see loop.h. */
#include "evolve/loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"

/* Questions are chosen by what the sources answered when the run began: a source that failed then
 * and answers now changes none of them. */
static mg_status keep_source_values(mg_loop *loop, double *values, int64_t count, mg_error *err)
{
    mg_buf kept = { 0 };
    bool found;
    size_t bytes = (size_t)count * sizeof(double);
    mg_status status = mg_loop_get_value(loop, "state/sources", &kept, &found, err);
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
    MG_TRY_OR_DONE(mg_loop_get_value(loop, "winner", &old, &found, err));
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
    mg_progress_state state = { 0 };
    mg_loop_candidate *winner = NULL;
    double *mean = mg_new_array(double, n);
    loop->replaying = true;
    MG_TRY_OR_DONE(mg_loop_load(loop, err));
    MG_TRY_OR_DONE(mg_loop_split_items(loop, err));
    MG_TRY_OR_DONE(run_references(loop, err));
    MG_TRY_OR_DONE(mg_loop_store_sets(loop, err));
    mg_loop_plan_budget(loop);
    MG_TRY_OR_DONE(mg_loop_run_optimiser(loop, &state, mean, err));
    MG_TRY_OR_DONE(mg_loop_finish(loop, &state, mean, &winner, err));
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
