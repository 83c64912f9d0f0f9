/* evolve/genome_refined.c - what a search for paths has found, made finer: its hops stay, their
 * factors and the genes of the merge that gives the first model's layers move together
 * (evolution.md 5); and the recipes of paths over a merge.
 *
 *   [genes of the parameter space][log factor of each hop]
 *
 * A factor keeps its sign. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/genome_internal.h"

#define REACH 1.0 /* of a log factor, up and down */

static int64_t gene_count(const mg_genome *g)
{
    return g->parameters != NULL ? g->parameters->dimension : 0;
}

mg_genome *mg_genome_create_refined(const mg_evolve_config *config, const mg_genome *parameters,
                                    const double *genes, const mg_model_ref *models,
                                    const mg_hop *hops, int64_t hop_count)
{
    mg_genome *g = mg_new(mg_genome);
    g->config = config;
    g->form = FORM_REFINED;
    g->parameters = parameters;
    g->path_models = models;
    g->hop_count = g->hops_max = hop_count;
    int64_t n = gene_count(g);
    g->dimension = n + hop_count;
    mg_hop *copy = mg_arena_array(&g->arena, mg_hop, hop_count);
    memcpy(copy, hops, (size_t)hop_count * sizeof(mg_hop));
    g->hops = copy;
    bool bounded = parameters == NULL || parameters->lower != NULL;
    double **arrays[] = { &g->start, &g->standard, &g->scale, &g->lower, &g->upper };
    for (int64_t i = 0; i < (bounded ? 5 : 3); i++) {
        *arrays[i] = mg_arena_array(&g->arena, double, g->dimension);
    }
    for (int64_t i = 0; i < g->dimension; i++) {
        bool gene = i < n;
        double start = gene ? genes[i] : log(fabs((double)hops[i - n].scale));
        g->start[i] = g->standard[i] = start;
        g->scale[i] = gene ? parameters->scale[i] : 2.0 * REACH;
        if (bounded) {
            g->lower[i] = gene ? parameters->lower[i] : start - REACH;
            g->upper[i] = gene ? parameters->upper[i] : start + REACH;
        }
    }
    return g;
}

int64_t mg_genome_refined_hops(const mg_genome *g, const double *x, mg_hop *hops_out)
{
    for (int64_t t = 0; t < g->hop_count; t++) {
        double factor = exp(x[gene_count(g) + t]);
        hops_out[t] = g->hops[t];
        hops_out[t].scale = (float)(g->hops[t].scale < 0.0f ? -factor : factor);
    }
    return g->hop_count;
}

mg_str mg_genome_refined_gene_name(const mg_genome *g, int64_t index, mg_arena *arena)
{
    int64_t n = gene_count(g);
    return index < n ? mg_genome_gene_name(g->parameters, index, arena)
                     : mg_arena_printf(arena, "scale[hop %lld]", (long long)(index - n + 1));
}

bool mg_genome_is_path(const mg_genome *genome)
{
    return genome->form == FORM_PATH || genome->form == FORM_REFINED;
}

bool mg_genome_root_varies(const mg_genome *genome)
{
    return genome->form == FORM_REFINED && genome->parameters != NULL;
}

bool mg_genome_root(const mg_genome *g, const double *x, mg_arena *arena, mg_recipe *recipe_out)
{
    if (mg_genome_root_varies(g)) {
        mg_genome_recipe(g->parameters, x, arena, recipe_out);
        return true;
    }
    if (g->root != NULL) {
        *recipe_out = *g->root;
    }
    return g->root != NULL;
}

/* The first model's layers in order, and nothing else. */
static bool is_plain(const mg_genome *g, const mg_hop *hops, int64_t count)
{
    int64_t layers = g->form == FORM_PATH ? g->layer_count : g->parameters->layer_count;
    bool plain = count == layers;
    for (int64_t t = 0; t < count && plain; t++) {
        plain = hops[t].model == 0 && hops[t].layer == t && hops[t].scale == 1.0f;
    }
    return plain;
}

int64_t mg_genome_recipes(const mg_genome *g, const double *x, mg_arena *arena,
                          mg_recipe recipes_out[MG_GENOME_RECIPES_MAX])
{
    if (!mg_genome_is_path(g) || !mg_genome_root(g, x, arena, &recipes_out[0])) {
        mg_genome_recipe(g, x, arena, &recipes_out[0]);
        return 1;
    }
    mg_hop *hops = mg_new_array(mg_hop, MG_HOPS_MAX + 2);
    int64_t count = mg_genome_hops(g, x, hops);
    bool plain = is_plain(g, hops, count);
    if (plain) {
        recipes_out[0].name = mg_str_of("");
    } else {
        recipes_out[0].name = g->path_models[0].path;
        mg_hops_recipe(hops, count, g->path_models, arena, &recipes_out[1]);
    }
    mg_free(hops);
    return plain ? 1 : 2;
}
