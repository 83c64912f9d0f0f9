/* evolve/genome_dfs.c - the data-flow space: paths through the layers of several models.
 *
 * All models' layers are stacked, A's first, and the stack is repeated: slots.  The slots that are
 * on are the hops, in order; slot 0 is always one, and A's last block is added as an extra hop when
 * the path does not end with it.  In front of hop t stands a factor: the residual stream is
 * multiplied by it.  Three encodings (evolution.md 4.2):
 *
 *   slot   [bit of each slot but the first][log factor of each slot][of the extra hop]
 *   net    [bit of each slot but the first][81 weights of a small network]
 *   paper  [value of each slot, on where it is positive][factor - 1 of each pair of layers]
 *   transition  [bit of each slot but the first][factor - 1 of each pair of layers]
 *
 * Since every block is x + F(norm(x)) with a norm that ignores scale, the path is an ordinary deep
 * model whose output projections are divided by the product P_t of the factors so far, with the
 * gains of its norms negated where P_t is negative (4.5): that is the recipe. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "evolve/genome_internal.h"

#define NET_HIDDEN 16
#define NET_WEIGHTS (NET_HIDDEN * 5 + 1) /* 3 inputs and a bias each, then the output's */
#define NET_REACH 0.5                    /* log factors lie within it */
#define PAPER_START 0.2                  /* two standard deviations */
#define P_BASE 0.977 /* A's own slots of the first repetition: two standard deviations on */
#define P_INSERT 0.067
#define FEW_INSERTIONS 4.0 /* where that would insert more than half as many layers as A has */
#define HOPS_RATIO 1.6     /* of A's layers, at most */
#define FORCED_HOPS 2      /* slot 0, and the extra hop at the end */

/* Tensors that write into the residual stream; a bias goes with its weight. */
static const char *const output_filters[] = { "o_proj", "down_proj" };
/* Gains of the norms that read it, in a layer and behind the last; biases keep their sign. */
static const char *const norm_filters[] = { "input_layernorm.weight",
                                            "post_attention_layernorm.weight",
                                            "model.norm.weight" };

/* Sizes of the parts of a vector. */
static void fill_sizes(mg_genome *g, const int64_t *layer_counts)
{
    const mg_search_config *search = &g->config->search;
    int64_t *stack = mg_arena_array(&g->arena, int64_t, g->model_count);
    for (int64_t m = 0; m < g->model_count; m++) {
        stack[m] = layer_counts[m];
        g->stack_count += layer_counts[m];
    }
    g->stack_layers = stack;
    g->layer_count = layer_counts[0];
    g->slot_count = g->stack_count * search->repeats;
    int64_t hops =
        search->hops_max > 0 ? search->hops_max : (int64_t)(HOPS_RATIO * (double)g->layer_count);
    hops = MG_MIN(hops, MG_HOPS_MAX);
    g->hops_max = MG_MAX(MG_MAX(hops, g->layer_count), FORCED_HOPS + 1);
    switch (g->encoding) {
    case MG_PATH_SLOT:
        g->bit_count = g->slot_count - 1;
        g->dimension = g->bit_count + g->slot_count + 1;
        break;
    case MG_PATH_NET:
        g->bit_count = g->slot_count - 1;
        g->dimension = g->bit_count + NET_WEIGHTS;
        break;
    case MG_PATH_PAPER:
        g->dimension = g->slot_count + g->stack_count * g->stack_count;
        break;
    case MG_PATH_TRANSITION:
        g->bit_count = g->slot_count - 1;
        g->dimension = g->bit_count + g->stack_count * g->stack_count;
        break;
    case MG_PATH_SWITCHES:
        g->bit_count = g->slot_count - 1;
        g->dimension = g->bit_count + 1;
        break;
    }
    g->bits_max = g->hops_max - FORCED_HOPS;
}

/* Chance of a slot that is not A's own, of foreign ones. */
static double insertion_share(int64_t foreign, int64_t layers)
{
    bool many = P_INSERT * (double)foreign > (double)layers / 2.0;
    return many ? FEW_INSERTIONS / (double)foreign : P_INSERT;
}

static void fill_bits(mg_genome *g)
{
    double insert = insertion_share(g->slot_count - g->layer_count, g->layer_count);
    for (int64_t b = 0; b < g->bit_count; b++) {
        bool own = b + 1 < g->layer_count;
        g->bit_start[b] = own ? P_BASE : insert;
        g->start[b] = g->standard[b] = own ? 1.0 : 0.0;
        g->scale[b] = 1.0;
        if (g->upper != NULL) {
            g->upper[b] = 1.0;
        }
    }
}

static void fill_numbers(mg_genome *g)
{
    int64_t number_count = g->dimension - g->bit_count;
    mg_rng rng = mg_rng_make(g->config->search.seed, MG_STREAM_TIES);
    for (int64_t i = 0; i < number_count; i++) {
        int64_t at = g->bit_count + i;
        g->scale[at] = 1.0;
        g->gates[i] = -1;
        switch (g->encoding) {
        case MG_PATH_SLOT:
            g->gates[i] = i == 0 || i == g->slot_count ? -1 : i - 1;
            g->lower[at] = -1.0;
            g->upper[at] = 1.0;
            break;
        case MG_PATH_NET: /* the output's weights stay 0, so that all factors begin at 1 */
            g->start[at] = g->standard[at] = i < NET_HIDDEN * 4 ? mg_rng_normal(&rng) : 0.0;
            break;
        case MG_PATH_PAPER:
            g->start[at] = g->standard[at] = i < g->layer_count ? PAPER_START : 0.0;
            break;
        case MG_PATH_TRANSITION:
        case MG_PATH_SWITCHES:
            break;
        }
    }
}

mg_genome *mg_genome_create_path(const mg_evolve_config *config, const int64_t *layer_counts,
                                 const mg_recipe *root)
{
    mg_genome *g = mg_new(mg_genome);
    g->config = config;
    g->path_models = config->genome.models;
    g->root = root;
    g->form = FORM_PATH;
    g->encoding = config->search.path_encoding;
    g->model_count = config->genome.model_count;
    fill_sizes(g, layer_counts);
    g->start = mg_arena_array(&g->arena, double, g->dimension);
    g->standard = mg_arena_array(&g->arena, double, g->dimension);
    g->scale = mg_arena_array(&g->arena, double, g->dimension);
    if (g->encoding == MG_PATH_SLOT) {
        g->lower = mg_arena_array(&g->arena, double, g->dimension);
        g->upper = mg_arena_array(&g->arena, double, g->dimension);
    }
    g->bit_start = mg_arena_array(&g->arena, double, MG_MAX(g->bit_count, 1));
    g->gates = mg_arena_array(&g->arena, int64_t, g->dimension - g->bit_count);
    fill_bits(g);
    fill_numbers(g);
    return g;
}

int64_t mg_genome_hops_max(const mg_genome *genome)
{
    return genome->hops_max;
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

bool mg_genome_counts_pairs(const mg_genome *genome)
{
    return genome->form == FORM_PATH && genome->encoding == MG_PATH_TRANSITION;
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

/* "mini-ja layer 3" for a layer of the stack. */
static mg_str layer_name(const mg_genome *g, int64_t slot, mg_arena *arena)
{
    int64_t model;
    int64_t layer;
    slot_place(g, slot, &model, &layer);
    mg_str path = mg_arena_copy(arena, g->path_models[model].path);
    mg_str name = mg_path_name(arena, path.data);
    return mg_arena_printf(arena, "%.*s layer %lld", MG_STR_ARG(name), (long long)layer);
}

mg_str mg_genome_path_gene_name(const mg_genome *g, int64_t index, mg_arena *arena)
{
    bool bit = index < g->bit_count;
    int64_t number = index - g->bit_count;
    int64_t slot = bit ? index + 1 : number;
    if (!bit && g->encoding == MG_PATH_SWITCHES) {
        return mg_str_of("nothing");
    }
    if (!bit && g->encoding == MG_PATH_NET) {
        return mg_arena_printf(arena, "network[%lld]", (long long)number);
    }
    int64_t first_pair = g->encoding == MG_PATH_PAPER        ? g->slot_count
                         : g->encoding == MG_PATH_TRANSITION ? 0
                                                             : INT64_MAX;
    if (!bit && number >= first_pair) {
        int64_t pair = number - first_pair;
        mg_str from = layer_name(g, pair / g->stack_count, arena);
        mg_str to = layer_name(g, pair % g->stack_count, arena);
        return mg_arena_printf(arena, "scale[%.*s to %.*s]", MG_STR_ARG(from), MG_STR_ARG(to));
    }
    if (slot == g->slot_count) {
        return mg_str_of("scale[last hop]");
    }
    mg_str name = layer_name(g, slot, arena);
    bool is_switch = bit || g->encoding == MG_PATH_PAPER;
    return mg_arena_printf(arena, "%s[%.*s, pass %lld]", is_switch ? "on" : "scale",
                           MG_STR_ARG(name), (long long)(slot / g->stack_count + 1));
}

/* Which slots are on.  The paper's paths are cut where they are too long: slots of the smallest
 * value go first, of equal ones the last; bits have been cut when they were drawn. */
static void read_slots(const mg_genome *g, const double *x, bool *on)
{
    int64_t hops = FORCED_HOPS;
    on[0] = true;
    for (int64_t q = 1; q < g->slot_count; q++) {
        on[q] = g->encoding == MG_PATH_PAPER ? x[q] > 0.0 : x[q - 1] != 0.0;
        hops += on[q] ? 1 : 0;
    }
    while (g->encoding == MG_PATH_PAPER && hops > MG_MAX(g->hops_max, g->layer_count + 1)) {
        int64_t least = -1;
        for (int64_t q = 1; q < g->slot_count; q++) {
            if (on[q] && (least < 0 || x[q] <= x[least])) {
                least = q;
            }
        }
        on[least] = false;
        hops--;
    }
}

/* exp(c tanh(network(from / M, to / M, t / H))) */
static double net_scale(const mg_genome *g, const double *weights, int64_t from, int64_t to,
                        double share)
{
    const double inputs[3] = { (double)from / (double)g->stack_count,
                               (double)to / (double)g->stack_count, share };
    const double *biases = weights + 3 * NET_HIDDEN;
    const double *outputs = weights + 4 * NET_HIDDEN;
    double sum = outputs[NET_HIDDEN];
    for (int64_t h = 0; h < NET_HIDDEN; h++) {
        double value = biases[h];
        for (int64_t i = 0; i < 3; i++) {
            value += weights[3 * h + i] * inputs[i];
        }
        sum += outputs[h] * tanh(value);
    }
    return exp(NET_REACH * tanh(sum));
}

/* The factor in front of hop t of count, which goes between two layers of the stack. */
static double hop_scale(const mg_genome *g, const double *x, int64_t slot, int64_t from, int64_t to,
                        int64_t t, int64_t count)
{
    const double *numbers = x + g->bit_count;
    switch (g->encoding) {
    case MG_PATH_SLOT:
        return exp(numbers[slot]);
    case MG_PATH_NET:
        return t == 0 ? 1.0 : net_scale(g, numbers, from, to, (double)(t + 1) / (double)count);
    case MG_PATH_PAPER:
        return t == 0 ? 1.0 : 1.0 + numbers[g->slot_count + from * g->stack_count + to];
    case MG_PATH_TRANSITION:
        return t == 0 ? 1.0 : 1.0 + numbers[from * g->stack_count + to];
    case MG_PATH_SWITCHES:
        break;
    }
    return 1.0;
}

int64_t mg_genome_hops(const mg_genome *g, const double *x, mg_hop *hops_out)
{
    if (g->form == FORM_REFINED) {
        return mg_genome_refined_hops(g, x, hops_out);
    }
    bool *on = mg_new_array(bool, g->slot_count);
    int64_t count = 0;
    int64_t last = 0;
    read_slots(g, x, on);
    for (int64_t q = 0; q < g->slot_count; q++) {
        count += on[q] ? 1 : 0;
        last = on[q] ? q % g->stack_count : last;
    }
    bool extra = last != g->layer_count - 1;
    count += extra ? 1 : 0;
    MG_ASSERT(count <= g->hops_max + FORCED_HOPS);
    int64_t from = 0;
    int64_t t = 0;
    for (int64_t q = 0; q <= g->slot_count; q++) {
        bool end = q == g->slot_count;
        if (end ? !extra : !on[q]) {
            continue;
        }
        int64_t to = end ? g->layer_count - 1 : q % g->stack_count;
        mg_hop *hop = &hops_out[t];
        slot_place(g, to, &hop->model, &hop->layer);
        hop->scale = (float)hop_scale(g, x, q, from, to, t, count);
        from = to;
        t++;
    }
    mg_free(on);
    return count;
}

void mg_genome_pairs_played(const mg_genome *g, const double *x, bool *relevant)
{
    mg_hop *hops = mg_new_array(mg_hop, g->hops_max + FORCED_HOPS);
    int64_t count = mg_genome_hops(g, x, hops);
    int64_t from = 0;
    for (int64_t t = 0; t < count; t++) {
        int64_t to = hops[t].layer;
        for (int64_t m = 0; m < hops[t].model; m++) {
            to += g->stack_layers[m];
        }
        if (t > 0) {
            relevant[from * g->stack_count + to] = true;
        }
        from = to;
    }
    mg_free(hops);
}

void mg_genome_start_at_path(mg_genome *g, const double *switches, const double *factors)
{
    MG_ASSERT(g->encoding == MG_PATH_SLOT);
    double *x = mg_new_array(double, g->dimension);
    bool *on = mg_new_array(bool, g->slot_count);
    int64_t foreign = g->slot_count - g->layer_count;
    int64_t hop = 0;
    int64_t last = 0;
    read_slots(g, switches, on);
    for (int64_t q = 0; q < g->slot_count; q++) {
        if (q > 0) {
            x[q - 1] = on[q] ? 1.0 : 0.0;
            g->bit_start[q - 1] = on[q] ? P_BASE : insertion_share(foreign, g->layer_count);
        }
        x[g->bit_count + q] = on[q] ? factors[hop++] : 0.0;
        last = on[q] ? q % g->stack_count : last;
    }
    x[g->bit_count + g->slot_count] = last != g->layer_count - 1 ? factors[hop] : 0.0;
    mg_genome_start_at(g, x);
    mg_free(on);
    mg_free(x);
}

static void add_condition(mg_setting *setting, mg_condition *conditions, const char *filter,
                          double value, mg_arena *arena)
{
    double *number = mg_arena_array(arena, double, 1);
    *number = value;
    conditions[setting->condition_count++] =
        (mg_condition){ mg_str_of(filter), { number, 1 }, NULL };
}

/* The factors on the tensors of a layer that comes behind a product of factors. */
static mg_settings fold(double product, bool last, mg_arena *arena)
{
    if (product == 1.0) {
        return (mg_settings){ NULL, 0 };
    }
    int64_t cap = MG_ARRAY_COUNT(output_filters) + MG_ARRAY_COUNT(norm_filters) + 1;
    mg_setting *setting = mg_arena_array(arena, mg_setting, 1);
    mg_condition *conditions = mg_arena_array(arena, mg_condition, cap);
    *setting = (mg_setting){ mg_str_of("scale"), conditions, 0, NULL };
    for (int64_t f = 0; f < MG_ARRAY_COUNT(output_filters); f++) {
        add_condition(setting, conditions, output_filters[f], 1.0 / product, arena);
    }
    for (int64_t f = 0; product < 0.0 && f < (last ? 3 : 2); f++) {
        add_condition(setting, conditions, norm_filters[f], -1.0, arena);
    }
    add_condition(setting, conditions, "", 1.0, arena);
    return (mg_settings){ setting, 1 };
}

void mg_hops_recipe(const mg_hop *hops, int64_t count, const mg_model_ref *models, mg_arena *arena,
                    mg_recipe *recipe_out)
{
    mg_recipe_slice *slices = mg_arena_array(arena, mg_recipe_slice, count);
    mg_recipe_source *sources = mg_arena_array(arena, mg_recipe_source, count);
    double product = 1.0;
    bool scaled = false;
    for (int64_t t = 0; t < count; t++) {
        product *= (double)hops[t].scale;
        scaled = scaled || product != 1.0;
        sources[t] = (mg_recipe_source){ .model = models[hops[t].model],
                                         .has_range = true,
                                         .layer_begin = hops[t].layer,
                                         .layer_end = hops[t].layer + 1,
                                         .settings = fold(product, t == count - 1, arena) };
        slices[t] = (mg_recipe_slice){ .sources = &sources[t], .source_count = 1 };
    }
    mg_recipe_module *module = mg_arena_array(arena, mg_recipe_module, 1);
    *module = (mg_recipe_module){ .explicit_slices = true, .slices = slices, .slice_count = count };
    *recipe_out = (mg_recipe){ .method = mg_str_of("passthrough"),
                               .modules = module,
                               .module_count = 1,
                               .dtype = scaled ? MG_F32 : MG_DTYPE_COUNT,
                               .out_dtype = MG_DTYPE_COUNT };
}

void mg_genome_path_recipe(const mg_genome *g, const double *x, mg_arena *arena,
                           mg_recipe *recipe_out)
{
    mg_hop *hops = mg_new_array(mg_hop, g->hops_max + FORCED_HOPS);
    int64_t count = mg_genome_hops(g, x, hops);
    mg_hops_recipe(hops, count, g->path_models, arena, recipe_out);
    mg_free(hops);
}
