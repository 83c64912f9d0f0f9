/* evolve/genome_dfs.c - the data-flow space: paths through the layers of several models.
 *
 * All models' layers are stacked, A's first, and the stack is repeated: slots.  The slots whose bit
 * is on are the hops, in order; slot 0 is always one, and A's last block is added as an extra hop
 * when the path does not end with it.  In front of hop t stands a factor exp(g): the residual
 * stream is multiplied by it.  Since every block is x + F(norm(x)) with a norm that ignores scale,
 * the path is an ordinary deep model whose output projections are divided by the product P_t of the
 * factors so far (evolution.md 4.5); that is the recipe, a passthrough of one-layer slices, and
 * also what is scored. */
#include <math.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/genome_internal.h"

#define P_BASE 0.977 /* A's own slots of the first repetition: two standard deviations on */
#define P_INSERT 0.067
#define FEW_INSERTIONS 4.0 /* where that would insert more than half as many layers as A has */
#define HOPS_RATIO 1.6     /* of A's layers, at most */
#define FORCED_HOPS 2      /* slot 0, and the extra hop at the end */

/* Tensors that write into the residual stream; a bias goes with its weight. */
static const char *const output_filters[] = { "o_proj", "down_proj" };

mg_genome *mg_genome_create_path(const mg_evolve_config *config, const int64_t *layer_counts)
{
    const mg_search_config *search = &config->search;
    mg_genome *g = mg_new(mg_genome);
    g->config = config;
    g->form = FORM_PATH;
    g->model_count = config->genome.model_count;
    int64_t *stack = mg_arena_array(&g->arena, int64_t, g->model_count);
    for (int64_t m = 0; m < g->model_count; m++) {
        stack[m] = layer_counts[m];
        g->stack_count += layer_counts[m];
    }
    g->stack_layers = stack;
    g->layer_count = layer_counts[0];
    g->slot_count = g->stack_count * search->repeats;
    g->bit_count = g->slot_count - 1;
    int64_t hops =
        search->hops_max > 0 ? search->hops_max : (int64_t)(HOPS_RATIO * (double)g->layer_count);
    g->bits_max = MG_MAX(MG_MAX(hops, g->layer_count) - FORCED_HOPS, 1);
    int64_t number_count = g->slot_count + 1;
    g->dimension = g->bit_count + number_count;
    g->start = mg_arena_array(&g->arena, double, g->dimension);
    g->standard = mg_arena_array(&g->arena, double, g->dimension);
    g->lower = mg_arena_array(&g->arena, double, g->dimension);
    g->upper = mg_arena_array(&g->arena, double, g->dimension);
    g->scale = mg_arena_array(&g->arena, double, g->dimension);
    g->bit_start = mg_arena_array(&g->arena, double, MG_MAX(g->bit_count, 1));
    g->gates = mg_arena_array(&g->arena, int64_t, number_count);
    int64_t foreign = g->slot_count - g->layer_count;
    bool many = P_INSERT * (double)foreign > (double)g->layer_count / 2.0;
    double insert = many ? FEW_INSERTIONS / (double)foreign : P_INSERT;
    for (int64_t b = 0; b < g->bit_count; b++) {
        bool own = b + 1 < g->layer_count;
        g->bit_start[b] = own ? P_BASE : insert;
        g->start[b] = g->standard[b] = own ? 1.0 : 0.0;
        g->upper[b] = g->scale[b] = 1.0;
    }
    for (int64_t i = 0; i < number_count; i++) {
        g->gates[i] = i == 0 || i == g->slot_count ? -1 : i - 1;
        g->lower[g->bit_count + i] = -1.0;
        g->upper[g->bit_count + i] = 1.0;
        g->scale[g->bit_count + i] = 1.0;
    }
    return g;
}

int64_t mg_genome_bit_count(const mg_genome *genome)
{
    return genome->bit_count;
}

int64_t mg_genome_bits_max(const mg_genome *genome)
{
    return genome->bits_max;
}

const double *mg_genome_bit_start(const mg_genome *genome)
{
    return genome->bit_start;
}

const int64_t *mg_genome_gates(const mg_genome *genome)
{
    return genome->gates;
}

/* Model and layer of a slot. */
static void slot_place(const mg_genome *g, int64_t slot, int64_t *model_out, int64_t *layer_out)
{
    int64_t layer = slot % g->stack_count;
    int64_t model = 0;
    while (layer >= g->stack_layers[model]) {
        layer -= g->stack_layers[model++];
    }
    *model_out = model;
    *layer_out = layer;
}

mg_str mg_genome_path_gene_name(const mg_genome *g, int64_t index, mg_arena *arena)
{
    bool bit = index < g->bit_count;
    int64_t slot = bit ? index + 1 : index - g->bit_count;
    if (slot == g->slot_count) {
        return mg_str_of("scale[last hop]");
    }
    int64_t model;
    int64_t layer;
    slot_place(g, slot, &model, &layer);
    mg_str path = mg_arena_copy(arena, g->config->genome.models[model].path);
    mg_str name = mg_path_name(arena, path.data);
    return mg_arena_printf(arena, "%s[%.*s layer %lld, pass %lld]", bit ? "on" : "scale",
                           MG_STR_ARG(name), (long long)layer,
                           (long long)(slot / g->stack_count + 1));
}

/* One hop as a slice: layer of model, its output projections divided by product. */
static void fill_hop(const mg_genome *g, int64_t model, int64_t layer, double product,
                     mg_recipe_slice *out, mg_arena *arena)
{
    mg_recipe_source *source = mg_arena_array(arena, mg_recipe_source, 1);
    *source = (mg_recipe_source){ .model = g->config->genome.models[model],
                                  .has_range = true,
                                  .layer_begin = layer,
                                  .layer_end = layer + 1 };
    if (product != 1.0) {
        int64_t filters = MG_ARRAY_COUNT(output_filters);
        mg_condition *conditions = mg_arena_array(arena, mg_condition, filters + 1);
        mg_setting *setting = mg_arena_array(arena, mg_setting, 1);
        double *values = mg_arena_array(arena, double, 2);
        values[0] = 1.0 / product;
        values[1] = 1.0;
        for (int64_t f = 0; f < filters; f++) {
            conditions[f] = (mg_condition){ mg_str_of(output_filters[f]), { &values[0], 1 }, NULL };
        }
        conditions[filters] = (mg_condition){ mg_str_of(""), { &values[1], 1 }, NULL };
        *setting = (mg_setting){ mg_str_of("scale"), conditions, filters + 1, NULL };
        source->settings = (mg_settings){ setting, 1 };
    }
    *out = (mg_recipe_slice){ .sources = source, .source_count = 1 };
}

void mg_genome_path_recipe(const mg_genome *g, const double *x, mg_arena *arena,
                           mg_recipe *recipe_out)
{
    mg_recipe_slice *slices = mg_arena_array(arena, mg_recipe_slice, g->slot_count + 1);
    const double *scales = x + g->bit_count;
    int64_t hops = 0;
    double product = 1.0;
    bool ends_well = false;
    for (int64_t slot = 0; slot < g->slot_count; slot++) {
        if (slot > 0 && x[slot - 1] == 0.0) {
            continue;
        }
        int64_t model;
        int64_t layer;
        slot_place(g, slot, &model, &layer);
        product *= exp(scales[slot]);
        fill_hop(g, model, layer, product, &slices[hops++], arena);
        ends_well = model == 0 && layer == g->layer_count - 1;
    }
    if (!ends_well) {
        product *= exp(scales[g->slot_count]);
        fill_hop(g, 0, g->layer_count - 1, product, &slices[hops++], arena);
    }
    mg_recipe_module *module = mg_arena_array(arena, mg_recipe_module, 1);
    *module = (mg_recipe_module){ .explicit_slices = true, .slices = slices, .slice_count = hops };
    *recipe_out = (mg_recipe){ .method = mg_str_of("passthrough"),
                               .modules = module,
                               .module_count = 1,
                               .dtype = MG_DTYPE_COUNT,
                               .out_dtype = MG_DTYPE_COUNT };
}
