/* evolve/genome.h - from vectors to recipes: parameter space and data-flow space (evolution.md 3
 * and 4, merging.md 8).
 *
 * A genome is an array [group][model][set][parameter] of doubles.  A group is a part of the depth
 * (all layers, a run of layers, an anchor), a set a part of each layer (a filter, a class of
 * tensors), the parameters are those of the merge method.  In the data-flow space it is a path
 * through stacked layers; its encodings are in genome_dfs.c.  Thread-safety: immutable after
 * creation. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "evolve/search_config.h"
#include "model/path.h"
#include "recipe/recipe.h"

MG_BEGIN_C

typedef struct mg_genome mg_genome;

/* layer_count is that of the first model.  config is borrowed and must outlive the genome.
 * MG_ERR_CONFIG when the granularity does not fit the layers. */
MG_MUST_CHECK mg_status mg_genome_create(const mg_evolve_config *config, int64_t layer_count,
                                         mg_genome **genome_out, mg_error *err);
/* The data-flow space over the stacks of layers of all models; layer_counts has one number each. */
mg_genome *mg_genome_create_path(const mg_evolve_config *config, const int64_t *layer_counts);
void mg_genome_destroy(mg_genome *genome); /* NULL is fine */

/* What is a bit: see mg_loop_space. */
int64_t mg_genome_bit_count(const mg_genome *genome);
int64_t mg_genome_bits_max(const mg_genome *genome);
const double *mg_genome_bit_start(const mg_genome *genome);
const int64_t *mg_genome_gates(const mg_genome *genome);

/* Whether a vector is a path; then its hops, at most mg_genome_hops_max; returns how many. */
bool mg_genome_is_path(const mg_genome *genome);
int64_t mg_genome_hops_max(const mg_genome *genome);
int64_t mg_genome_hops(const mg_genome *genome, const double *x, mg_hop *hops_out);
/* Hops as an ordinary deep model: a passthrough recipe with their factors folded into the weights,
 * in float32 where there are factors, so that it answers as the path does. */
void mg_hops_recipe(const mg_hop *hops, int64_t count, const mg_model_ref *models, mg_arena *arena,
                    mg_recipe *recipe_out);

int64_t mg_genome_dimension(const mg_genome *genome);
/* All of mg_genome_dimension values; the bounds are NULL in mergekit's encoding, which folds
 * instead. */
const double *mg_genome_start(const mg_genome *genome);
const double *mg_genome_default(const mg_genome *genome); /* weights and densities 0.5, t 0.5 */
const double *mg_genome_lower(const mg_genome *genome);
const double *mg_genome_upper(const mg_genome *genome);
const double *mg_genome_scale(const mg_genome *genome); /* length of one step unit */
/* "weight[mini-ja, layers 0-3, mlp]"; lives in arena. */
mg_str mg_genome_gene_name(const mg_genome *genome, int64_t index, mg_arena *arena);

/* The recipe of x, in arena.  Its masks, where the method has any, come from the search's seed. */
void mg_genome_recipe(const mg_genome *genome, const double *x, mg_arena *arena,
                      mg_recipe *recipe_out);

MG_END_C
