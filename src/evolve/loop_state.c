/* evolve/loop_state.c - what a search keeps in its store beside candidates.
 *
 * What is not a function of stored answers lies in two values, written in one transaction after
 * each generation: "state/optimiser", the optimiser's own bytes, and "state/loop", the counters of
 * mg_progress_state.  A continued run loads both and evaluates the generation that was under way;
 * candidates that it finds answered cost nothing. */
#include <stdio.h>
#include <string.h>

#include "evolve/loop_internal.h"

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

mg_status mg_loop_get_value(mg_loop *loop, const char *name, mg_buf *value_out, bool *found_out,
                            mg_error *err)
{
    char key[MG_STAGE_KEY_BYTES];
    mg_stage_key(&loop->o->stage, name, key);
    mg_status status = mg_store_get(loop->o->store, key, value_out, found_out, err);
    *found_out = status == MG_OK && *found_out && value_out->size > 0;
    return status;
}

int64_t mg_loop_next_id(const mg_loop *loop, const mg_progress_state *state)
{
    return loop->o->fitness->source_count + 2 + state->asked + state->extra;
}

mg_status mg_loop_save_state(mg_loop *loop, const mg_progress_state *state,
                             const mg_explorer *explorer, mg_error *err)
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

mg_status mg_loop_load_state(mg_loop *loop, mg_progress_state *state, bool *found_out,
                             mg_error *err)
{
    mg_buf text = { 0 };
    mg_status status = mg_loop_get_value(loop, "state/loop", &text, found_out, err);
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
        return mg_loop_forget_from(loop, mg_loop_next_id(loop, state), true, err);
    }
    return MG_OK;
}

mg_status mg_loop_store_sets(mg_loop *loop, mg_error *err)
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

static void bits_name(int64_t mean_id, char name_out[32])
{
    snprintf(name_out, 32, "bits/%lld", (long long)mean_id);
}

mg_status mg_loop_put_bits(mg_loop *loop, const mg_loop_candidate *mean,
                           const double *probabilities, mg_error *err)
{
    char name[32];
    bits_name(mean->id, name);
    size_t bytes = (size_t)loop->o->space.bit_count * sizeof(double);
    return mg_loop_put_value(loop, name, mg_str_make((const char *)probabilities, bytes), err);
}

mg_status mg_loop_get_bits(mg_loop *loop, const mg_loop_candidate *mean, mg_error *err)
{
    char name[32];
    mg_buf bytes = { 0 };
    bool found;
    size_t size = (size_t)loop->o->space.bit_count * sizeof(double);
    bits_name(mean->id, name);
    mg_status status = mg_loop_get_value(loop, name, &bytes, &found, err);
    if (status == MG_OK && found && bytes.size == size && loop->bit_probabilities != NULL) {
        memcpy(loop->bit_probabilities, bytes.data, size);
    }
    mg_buf_release(&bytes);
    return status;
}
