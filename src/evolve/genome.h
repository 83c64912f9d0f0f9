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
/* The data-flow space over the stacks of layers of all models; layer_counts has one number each.
 * Where root is not NULL, the first model is the merge that it describes (borrowed), which its name
 * stands for in the path's own recipe. */
mg_genome *mg_genome_create_path(const mg_evolve_config *config, const int64_t *layer_counts,
                                 const mg_recipe *root);
/* One path, whose log factors are the genes, behind those of parameters where that is not NULL: a
 * genome (borrowed) whose merge is the first of models and called as that is.  The start is hops,
 * and genes for parameters.  models are borrowed. */
mg_genome *mg_genome_create_refined(const mg_evolve_config *config, const mg_genome *parameters,
                                    const double *genes, const mg_model_ref *models,
                                    const mg_hop *hops, int64_t hop_count);
void mg_genome_destroy(mg_genome *genome); /* NULL is fine */

/* Another vector to begin with, which is also the default; genome keeps a copy. */
void mg_genome_start_at(mg_genome *genome, const double *start);
/* The same for a genome of bits and slot factors: the bits of switches, and one log factor for each
 * hop of theirs; bits are probably what they are. */
void mg_genome_start_at_path(mg_genome *genome, const double *switches, const double *factors);

/* What is a bit: see mg_loop_space. */
int64_t mg_genome_bit_count(const mg_genome *genome);
int64_t mg_genome_bits_max(const mg_genome *genome);
const double *mg_genome_bit_start(const mg_genome *genome);
const int64_t *mg_genome_gates(const mg_genome *genome);
/* Whether the numbers are factors of pairs of layers beside bits; then sets relevant (by number)
 * for the pairs that the path of x crosses: the others are as good as not there. */
bool mg_genome_counts_pairs(const mg_genome *genome);
void mg_genome_pairs_played(const mg_genome *genome, const double *x, bool *relevant);

/* Whether a vector is a path; then its hops, at most mg_genome_hops_max; returns how many. */
bool mg_genome_is_path(const mg_genome *genome);
int64_t mg_genome_hops_max(const mg_genome *genome);
int64_t mg_genome_hops(const mg_genome *genome, const double *x, mg_hop *hops_out);
/* The merge that is the path's first model, in arena; false when that is a model as it is.  It
 * depends on x alone where mg_genome_root_varies. */
bool mg_genome_root(const mg_genome *genome, const double *x, mg_arena *arena,
                    mg_recipe *recipe_out);
bool mg_genome_root_varies(const mg_genome *genome);
/* Hops as an ordinary deep model: a passthrough recipe with their factors folded into the weights,
 * in float32 where there are factors, so that it answers as the path does. */
void mg_hops_recipe(const mg_hop *hops, int64_t count, const mg_model_ref *models, mg_arena *arena,
                    mg_recipe *recipe_out);

/* Parts of tensor names inside layers, and of embeddings; NULL ends both lists. */
extern const char *const mg_genome_layer_filters[];
extern const char *const mg_genome_embedding_filters[];

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

/* As mg_genome_recipe, with the merge that a path's first model is before it: returns 1 or 2, the
 * last one is the result.  A path that is no more than that merge is that merge alone. */
#define MG_GENOME_RECIPES_MAX 2
int64_t mg_genome_recipes(const mg_genome *genome, const double *x, mg_arena *arena,
                          mg_recipe recipes_out[MG_GENOME_RECIPES_MAX]);

MG_END_C
