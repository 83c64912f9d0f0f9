/* evolve/archive.c - the archive of the preset niches in a search (evolution.md 11). */
#include <math.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"

mg_niches_options mg_loop_niches_options(const mg_loop *loop)
{
    const mg_niche_space *space = loop->o->niches;
    MG_ASSERT(space != NULL);
    int64_t experts = loop->o->fitness->source_count;
    return (mg_niches_options){ .segment_count = space->segment_count,
                                .expert_count = experts,
                                .sizes = space->sizes,
                                .gram = space->gram,
                                .item_count = loop->search.count,
                                .archive = MG_MAX(MG_NICHES_ARCHIVE, 2 * experts),
                                .batch = loop->o->search->population,
                                .seed = loop->o->search->seed };
}

mg_status mg_loop_add_experts(mg_loop *loop, mg_niches *niches, mg_error *err)
{
    int64_t sources = loop->o->fitness->source_count;
    double *values = mg_new_array(double, MG_MAX(loop->search.count, 1));
    int64_t added = 0;
    mg_status status = MG_OK;
    for (int64_t s = 0; s < sources; s++) {
        const mg_loop_candidate *c = mg_loop_candidate_at(loop, s);
        MG_TRY_OR_DONE(mg_loop_values(loop, c, &loop->search, values, err));
        bool complete = !c->failed;
        for (int64_t i = 0; i < loop->search.count; i++) {
            complete = complete && !isnan(values[i]);
        }
        if (complete) {
            mg_niches_add_expert(niches, s, s, values);
            added++;
        }
    }
    if (added < 2) {
        status = mg_fail(err, MG_ERR_NUMERIC,
                         "fewer than two sources can be evaluated: there is nothing to cross");
    }

done:
    mg_free(values);
    return status;
}

mg_status mg_loop_answers(mg_loop *loop, mg_loop_candidate *const *candidates, int64_t count,
                          double *answers_out, mg_error *err)
{
    int64_t items = loop->search.count;
    for (int64_t k = 0; k < count; k++) {
        double *own = answers_out + k * items;
        MG_TRY(mg_loop_values(loop, candidates[k], &loop->search, own, err));
        bool complete = !candidates[k]->failed;
        for (int64_t i = 0; i < items; i++) {
            complete = complete && !isnan(own[i]);
        }
        own[0] = complete ? own[0] : (double)NAN;
    }
    return MG_OK;
}

void mg_loop_pick_from_niches(mg_loop *loop, const mg_niches *niches, mg_loop_candidate **picks_out,
                              int64_t *count_out)
{
    *count_out = 0;
    for (int64_t i = 0; i < mg_niches_member_count(niches) && *count_out < MG_FRONT_PICKS; i++) {
        mg_loop_candidate *c = mg_loop_candidate_at(loop, mg_niches_member_at(niches, i).id);
        if (c != NULL && !c->failed && c->genome != NULL) {
            picks_out[(*count_out)++] = c;
        }
    }
}
