/* evolve/search_stages.c - how a stage of a search begins, from the results before it.
 *
 * The winner of the parameter space stands in a path's recipe under a name of its own: its recipe
 * is a document of that name, the path the document behind it.  In the search it is merged in
 * memory. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "evolve/attraction.h"
#include "evolve/questions.h"
#include "evolve/search_internal.h"
#include "store/run.h"

#define MERGED_NAME "parameter-space-winner"

/* The questions that told the best of a stage. */
static mg_status read_questions(mg_search *s, int64_t index, mg_question **questions_out,
                                int64_t *count_out, mg_error *err)
{
    mg_stage stage = { .index = index, .count = s->o->config->stage_count };
    char key[MG_STAGE_KEY_BYTES];
    mg_buf bytes = { 0 };
    bool found;
    mg_stage_key(&stage, "set/search", key);
    mg_status status = mg_store_get(s->store, key, &bytes, &found, err);
    *count_out = (int64_t)(bytes.size / sizeof(mg_question));
    *questions_out = mg_arena_array(&s->arena, mg_question, MG_MAX(*count_out, 1));
    if (bytes.size > 0) {
        memcpy(*questions_out, bytes.data, (size_t)*count_out * sizeof(mg_question));
    }
    mg_buf_release(&bytes);
    return status;
}

/* The source that can answer what the winner of the stage before cannot (evolution.md 5). */
static mg_status choose_partner(mg_search *s, int64_t index, mg_model_ref *partner_out,
                                int64_t *layers_out, mg_error *err)
{
    const mg_evolve_config *file = s->o->config;
    int64_t sources = file->genome.model_count;
    mg_question *questions;
    int64_t count;
    MG_TRY(read_questions(s, index - 1, &questions, &count, err));
    double *values = mg_arena_array(&s->arena, double, MG_MAX((sources + 1) * count, 1));
    for (int64_t m = 0; m <= sources; m++) {
        int64_t id = m < sources ? m : s->stages[index - 1].result.winner;
        MG_TRY(mg_questions_values(s->store, id, questions, count, values + m * count, err));
    }
    int64_t chosen = mg_attraction_choose(values, sources + 1, count, sources);
    if (chosen < 0) {
        return mg_fail(err, MG_ERR_NUMERIC,
                       "no source could be evaluated, so none can lend its layers to the winner");
    }
    *partner_out = file->genome.models[chosen];
    *layers_out = s->layer_counts[chosen];
    return MG_OK;
}

static mg_status find_partner(mg_search *s, int64_t index, mg_model_ref *partner_out,
                              int64_t *layers_out, mg_error *err)
{
    const mg_evolve_config *file = s->o->config;
    if (!file->has_partner) {
        return choose_partner(s, index, partner_out, layers_out, err);
    }
    mg_snapshot *snapshot;
    *partner_out = file->partner;
    MG_TRY(mg_model_set_get(s->models, &file->partner, &snapshot, err));
    *layers_out = snapshot->config.layer_count;
    return MG_OK;
}

/* Paths through the layers of the winner before and of a partner. */
static mg_status prepare_paths(mg_search *s, int64_t index, mg_error *err)
{
    mg_search_stage *stage = &s->stages[index];
    const mg_search_stage *before = &s->stages[index - 1];
    mg_model_ref *stacks = mg_arena_array(&s->arena, mg_model_ref, 2);
    int64_t layers[2] = { s->layer_counts[0], 0 };
    stacks[0] = (mg_model_ref){ .path = mg_str_of(MERGED_NAME) };
    MG_TRY(find_partner(s, index, &stacks[1], &layers[1], err));
    mg_genome_recipe(before->genome, before->result.genome, &s->arena, &stage->root);
    stage->config.genome.models = stacks;
    stage->config.genome.model_count = 2;
    stage->stacks = stacks;
    stage->stack_count = 2;
    stage->genome = mg_genome_create_path(&stage->config, layers, &stage->root);
    mg_str partner = mg_model_ref_text(&stacks[1], &s->arena);
    mg_note("the winner of the parameter space shares paths with %.*s", MG_STR_ARG(partner));
    return MG_OK;
}

/* The winning path's factors move, and the genes of the merge before it where there is one. */
static void prepare_refined(mg_search *s, int64_t index, const mg_search_stage *merge)
{
    mg_search_stage *stage = &s->stages[index];
    const mg_search_stage *path = &s->stages[index - 1];
    mg_hop *hops = mg_new_array(mg_hop, MG_HOPS_MAX + 2);
    int64_t count = mg_genome_hops(path->genome, path->result.genome, hops);
    const mg_model_ref *models = path->stacks != NULL ? path->stacks : s->o->config->genome.models;
    stage->stacks = path->stacks;
    stage->stack_count = path->stack_count;
    stage->genome =
        mg_genome_create_refined(&stage->config, merge != NULL ? merge->genome : NULL,
                                 merge != NULL ? merge->result.genome : NULL, models, hops, count);
    mg_free(hops);
}

/* The same genes for each of the smaller groups. */
static mg_status prepare_finer(mg_search *s, int64_t index, mg_error *err)
{
    mg_search_stage *stage = &s->stages[index];
    const mg_search_stage *before = &s->stages[index - 1];
    MG_TRY(mg_genome_create(&stage->config, s->layer_counts[0], &stage->genome, err));
    int64_t n = mg_genome_dimension(stage->genome);
    int64_t group = mg_genome_dimension(before->genome); /* one group, the outermost index */
    MG_ASSERT(n % group == 0);
    double *start = mg_new_array(double, n);
    for (int64_t i = 0; i < n; i++) {
        start[i] = before->result.genome[i % group];
    }
    mg_genome_start_at(stage->genome, start);
    mg_free(start);
    return MG_OK;
}

/* Bits of the first stage, factors of the second. */
static void prepare_both(mg_search *s, int64_t index)
{
    mg_search_stage *stage = &s->stages[index];
    const mg_search_stage *switches = &s->stages[index - 2];
    const mg_search_stage *scales = &s->stages[index - 1];
    stage->genome = mg_genome_create_path(&stage->config, s->layer_counts, NULL);
    mg_genome_start_at_path(stage->genome, switches->result.genome, scales->result.genome);
}

mg_status mg_search_prepare_stage(mg_search *s, int64_t index, mg_error *err)
{
    const mg_evolve_config *file = s->o->config;
    mg_search_stage *stage = &s->stages[index];
    stage->config = *file;
    stage->config.search = file->stages[index].search;
    stage->standard_name =
        mg_arena_printf(&s->arena, "winner of %s", file->stages[index - 1].title).data;
    switch (file->stages[index].kind) {
    case MG_STAGE_SEARCH: /* the first one, made by search_inputs.c */
        MG_ASSERT(false);
        break;
    case MG_STAGE_FINER:
        return prepare_finer(s, index, err);
    case MG_STAGE_PATHS:
        return prepare_paths(s, index, err);
    case MG_STAGE_REFINE:
        prepare_refined(s, index, &s->stages[index - 2]);
        break;
    case MG_STAGE_SCALES:
        prepare_refined(s, index, NULL);
        break;
    case MG_STAGE_BOTH:
        prepare_both(s, index);
        break;
    }
    return MG_OK;
}

void mg_search_stage_origin(mg_search *s, int64_t index, char origin_out[40])
{
    const mg_search_stage *stage = &s->stages[index];
    uint64_t hash = 0;
    for (int64_t k = 0; k < index; k++) {
        size_t bytes = (size_t)mg_genome_dimension(s->stages[k].genome) * sizeof(double);
        hash = mg_hash64(s->stages[k].result.genome, bytes, hash);
    }
    for (int64_t m = 0; m < stage->stack_count; m++) {
        mg_str text = mg_model_ref_text(&stage->stacks[m], &s->arena);
        hash = mg_hash64(text.data, text.size, hash);
    }
    snprintf(origin_out, 40, "%016llx", (unsigned long long)hash);
}
