/* evolve/genome_internal.h - the genome that genome_ps.c and genome_dfs.c share.
 *
 * Thread-safety: as genome.h. */
#pragma once

#include "evolve/genome.h"
#include "evolve/searchable.h"

MG_BEGIN_C

/* How a vector becomes a recipe: the parameter space's groupings, or a path through layers. */
typedef enum form {
    FORM_MODELS,
    FORM_RUNS,
    FORM_SMOOTH,
    FORM_ANCHORS,
    FORM_BLOCKS,
    FORM_PATH,
    FORM_REFINED
} form;

struct mg_genome {
    const mg_evolve_config *config;
    form form;
    int64_t dimension;
    mg_arena arena;
    double *start, *standard, *lower, *upper, *scale; /* dimension */

    /* The parameter space. */
    const mg_searchable *method;
    bool mergekit; /* encoding */
    bool single_t; /* native slerp: one gene t for a group and set, no models */
    int64_t layer_count;
    int64_t run_layers; /* of a run or block */
    int64_t run_count;
    int64_t anchor_count; /* FORM_ANCHORS */
    bool own_ends;        /* there: embedding and head are groups behind the anchors */
    int64_t group_count, model_count, set_count, parameter_count;

    /* The data-flow space (evolution.md 4). */
    const int64_t *stack_layers; /* by model */
    int64_t stack_count;         /* M: layers of all models together */
    int64_t slot_count;          /* T: M times the repeats */
    mg_path_encoding encoding;
    int64_t hops_max;
    int64_t bit_count, bits_max;
    double *bit_start;
    int64_t *gates; /* by number */
    const mg_model_ref *path_models;

    const mg_recipe *root; /* NULL = the first model as it is */

    /* A path that keeps its hops. */
    const mg_genome *parameters; /* NULL = the first model as it is */
    const mg_hop *hops;
    int64_t hop_count;
};

mg_str mg_genome_path_gene_name(const mg_genome *genome, int64_t index, mg_arena *arena);
int64_t mg_genome_refined_hops(const mg_genome *genome, const double *x, mg_hop *hops_out);
mg_str mg_genome_refined_gene_name(const mg_genome *genome, int64_t index, mg_arena *arena);
void mg_genome_path_recipe(const mg_genome *genome, const double *x, mg_arena *arena,
                           mg_recipe *recipe_out);

MG_END_C
