/* evolve/genome_ps.c - the parameter space; see genome.h.
 *
 * Forms of the recipes: one group gives `models:` (mergekit's encoding: one slice over all layers,
 * as mergekit-evolve writes it); runs of layers give one slice a group; anchors one slice a layer,
 * so that every layer gets its own interpolated value and the embedding and head those of the ends;
 * blocks one slice a run, with conditions that tell layers from the ends. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "evolve/genome_internal.h"
#include "evolve/searchable.h"

#define DENSITY_MIN 0.01 /* below it a model counts as weight 0 */
#define CLASS_COUNT 3
#define LAYER_FILTERS (MG_ARRAY_COUNT(mg_genome_layer_filters) - 1)
#define EMBEDDING_FILTERS (MG_ARRAY_COUNT(mg_genome_embedding_filters) - 1)

/* Parts of tensor names inside layers, and of embeddings: Llama and kin, GPT-2 and Falcon. */
const char *const mg_genome_layer_filters[] = { ".layers.", ".h.", NULL };
const char *const mg_genome_embedding_filters[] = { "embed", "wte", NULL };

/* Sets of the granularity `class`; tensors that no filter matches are the third. */
static const char *const class_filters[CLASS_COUNT - 1] = { "attn", "mlp" };
static const char *const class_names[CLASS_COUNT] = { "attention", "mlp", "norms and embeddings" };

static int64_t gene_index(const mg_genome *g, int64_t group, int64_t model, int64_t set,
                          int64_t parameter)
{
    return ((group * g->model_count + model) * g->set_count + set) * g->parameter_count + parameter;
}

/* Groups, from the file's keys or from the block `search`. */
static mg_status choose_form(mg_genome *g, mg_error *err)
{
    const mg_search_config *search = &g->config->search;
    const mg_genome_config *file = &g->config->genome;
    int64_t layers = g->layer_count;
    g->group_count = 1;
    g->run_layers = layers;
    g->run_count = 1;
    switch (search->granularity) {
    case MG_GRANULARITY_MODEL:
        g->form = FORM_MODELS;
        return MG_OK;
    case MG_GRANULARITY_ANCHORS:
        g->form = FORM_ANCHORS;
        g->anchor_count = search->granularity_count;
        g->own_ends = search->own_ends;
        g->group_count = g->anchor_count + (g->own_ends ? 2 : 0);
        return MG_OK;
    case MG_GRANULARITY_BLOCKS:
        g->form = FORM_BLOCKS;
        g->run_layers = MG_MIN(search->granularity_count, layers);
        g->run_count = (layers + g->run_layers - 1) / g->run_layers;
        g->group_count = g->run_count + 2;
        return MG_OK;
    case MG_GRANULARITY_FILE:
        break;
    }
    int64_t step = file->layer_granularity;
    if (step > 0 && layers % step != 0) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "%.*s: 'layer_granularity' is %lld, must divide the %lld layers of %.*s",
                       MG_STR_ARG(g->config->path), (long long)step, (long long)layers,
                       MG_STR_ARG(file->models[0].path));
    }
    g->run_layers = step > 0 ? step : layers;
    g->group_count = g->run_count = layers / g->run_layers;
    g->form = file->smooth ? FORM_SMOOTH : FORM_RUNS;
    if (g->form == FORM_RUNS && g->group_count == 1 && !g->mergekit) {
        g->form = FORM_MODELS;
    }
    return MG_OK;
}

static void fill_gene(mg_genome *g, int64_t index, double start, double standard, double low,
                      double high)
{
    g->start[index] = start;
    g->standard[index] = standard;
    g->scale[index] = 1.0;
    if (!g->mergekit) {
        g->lower[index] = low;
        g->upper[index] = high;
        g->scale[index] = high - low;
    }
}

/* Starts, ranges and the default merge (evolution.md 3.2, merging.md 8.2). */
static void fill_space(mg_genome *g)
{
    const mg_search_config *search = &g->config->search;
    int64_t n = g->dimension;
    g->start = mg_arena_array(&g->arena, double, n);
    g->standard = mg_arena_array(&g->arena, double, n);
    g->scale = mg_arena_array(&g->arena, double, n);
    if (!g->mergekit) {
        g->lower = mg_arena_array(&g->arena, double, n);
        g->upper = mg_arena_array(&g->arena, double, n);
    }
    for (int64_t i = 0; i < n; i++) {
        bool weight = i % g->parameter_count == 0;
        if (g->single_t) {
            fill_gene(g, i, 0.5, 0.5, 0.0, 1.0);
        } else if (g->mergekit) {
            double share = 1.0 / (double)g->model_count;
            fill_gene(g, i, weight ? share : 1.0, 0.5, 0.0, 0.0);
        } else if (weight) {
            fill_gene(g, i, 0.5, 0.5, search->weight_low, search->weight_high);
        } else {
            fill_gene(g, i, 0.5, 0.5, g->method->density_margin, 1.0 - g->method->density_margin);
        }
    }
    if (g->config->random_init) {
        mg_rng rng = mg_rng_make(search->seed, MG_STREAM_TIES);
        for (int64_t i = 0; i < n; i++) {
            double u = mg_rng_uniform(&rng);
            g->start[i] = g->mergekit ? u : g->lower[i] + u * g->scale[i];
        }
    }
}

mg_status mg_genome_create(const mg_evolve_config *config, int64_t layer_count,
                           mg_genome **genome_out, mg_error *err)
{
    *genome_out = NULL;
    mg_status status = MG_OK;
    mg_genome *g = mg_new(mg_genome);
    g->config = config;
    g->method = mg_searchable_find(config->genome.method);
    MG_ASSERT(g->method != NULL); /* checked when the file was read */
    g->layer_count = layer_count;
    g->mergekit = config->search.preset->encoding == MG_ENCODING_MERGEKIT;
    g->model_count = config->genome.model_count;
    if (g->method->interpolates && !g->mergekit) {
        if (g->model_count == 2) {
            g->single_t = true;
            g->model_count = 1;
        } else {
            g->mergekit = true; /* which two models to take is only in mergekit's encoding */
        }
    }
    MG_TRY_OR_DONE(choose_form(g, err));
    if (g->method->interpolates && g->form == FORM_SMOOTH) {
        g->form = FORM_RUNS;
    }
    g->set_count = config->search.by_class ? CLASS_COUNT : config->genome.filter_count + 1;
    g->parameter_count = g->method->has_density ? 2 : 1;
    g->dimension = g->group_count * g->model_count * g->set_count * g->parameter_count;
    fill_space(g);
    *genome_out = g;
    g = NULL;

done:
    mg_genome_destroy(g);
    return status;
}

void mg_genome_destroy(mg_genome *genome)
{
    if (genome != NULL) {
        mg_arena_release(&genome->arena);
        mg_free(genome);
    }
}

void mg_genome_start_at(mg_genome *genome, const double *start)
{
    memcpy(genome->start, start, (size_t)genome->dimension * sizeof(double));
    memcpy(genome->standard, start, (size_t)genome->dimension * sizeof(double));
}

int64_t mg_genome_dimension(const mg_genome *genome)
{
    return genome->dimension;
}

const double *mg_genome_start(const mg_genome *genome)
{
    return genome->start;
}

const double *mg_genome_default(const mg_genome *genome)
{
    return genome->standard;
}

const double *mg_genome_lower(const mg_genome *genome)
{
    return genome->lower;
}

const double *mg_genome_upper(const mg_genome *genome)
{
    return genome->upper;
}

const double *mg_genome_scale(const mg_genome *genome)
{
    return genome->scale;
}

static mg_str group_name(const mg_genome *g, int64_t group, mg_arena *arena)
{
    switch (g->form) {
    case FORM_MODELS:
        break;
    case FORM_RUNS:
    case FORM_SMOOTH:
        if (g->group_count > 1) {
            return mg_arena_printf(arena, ", layers %lld-%lld", (long long)(group * g->run_layers),
                                   (long long)((group + 1) * g->run_layers - 1));
        }
        break;
    case FORM_PATH: /* named in genome_dfs.c */
    case FORM_REFINED:
        break;
    case FORM_ANCHORS:
        if (group >= g->anchor_count) {
            return mg_str_of(group == g->anchor_count ? ", embedding" : ", head");
        }
        return mg_arena_printf(arena, ", anchor %lld", (long long)group);
    case FORM_BLOCKS:
        if (group == 0) {
            return mg_str_of(", embedding");
        }
        if (group == g->group_count - 1) {
            return mg_str_of(", head");
        }
        return mg_arena_printf(arena, ", layers %lld-%lld",
                               (long long)((group - 1) * g->run_layers),
                               (long long)(MG_MIN(group * g->run_layers, g->layer_count) - 1));
    }
    return mg_str_of("");
}

static mg_str set_filter(const mg_genome *g, int64_t set)
{
    if (set == g->set_count - 1) {
        return mg_str_of("");
    }
    return g->config->search.by_class ? mg_str_of(class_filters[set])
                                      : g->config->genome.filters[set];
}

mg_str mg_genome_gene_name(const mg_genome *g, int64_t index, mg_arena *arena)
{
    if (g->form == FORM_PATH) {
        return mg_genome_path_gene_name(g, index, arena);
    }
    if (g->form == FORM_REFINED) {
        return mg_genome_refined_gene_name(g, index, arena);
    }
    int64_t parameter = index % g->parameter_count;
    int64_t set = index / g->parameter_count % g->set_count;
    int64_t model = index / (g->parameter_count * g->set_count) % g->model_count;
    int64_t group = index / (g->parameter_count * g->set_count * g->model_count);
    mg_str set_name = mg_str_of("");
    if (g->config->search.by_class) {
        set_name = mg_arena_printf(arena, ", %s", class_names[set]);
    } else if (g->set_count > 1) {
        mg_str filter = set_filter(g, set);
        set_name = filter.size > 0 ? mg_arena_printf(arena, ", %.*s", MG_STR_ARG(filter))
                                   : mg_str_of(", rest");
    }
    mg_str path = g->config->genome.models[model].path;
    mg_str model_name = mg_path_name(arena, mg_arena_copy(arena, path).data);
    mg_str where = group_name(g, group, arena);
    return mg_arena_printf(arena, "%s[%.*s%.*s%.*s]",
                           g->single_t      ? "t"
                           : parameter == 0 ? "weight"
                                            : "density",
                           MG_STR_ARG(model_name), MG_STR_ARG(where), MG_STR_ARG(set_name));
}

static double within_margin(const mg_genome *g, double density)
{
    double margin = g->method->density_margin;
    return fmax(fmin(density, 1.0 - margin), margin);
}

/* What a gene's value means: merging.md 8.3, evolution.md 3.2. */
static double decode(const mg_genome *g, const double *x, int64_t group, int64_t model, int64_t set,
                     int64_t parameter)
{
    double value = x[gene_index(g, group, model, set, parameter)];
    if (g->method->interpolates) {
        return value;
    }
    if (g->mergekit) {
        if (parameter == 1) {
            return within_margin(g, fmin(fabs(value), 1.0));
        }
        return g->config->genome.allow_negative_weights ? value : fabs(value);
    }
    if (!g->method->has_density) {
        return value;
    }
    double density = x[gene_index(g, group, model, set, 1)];
    if (parameter == 1) {
        return within_margin(g, fmax(density, DENSITY_MIN));
    }
    return density < DENSITY_MIN ? 0.0 : value;
}

/* The decoded value at layer for anchors: linear between the two anchors around it. */
static double decode_anchor(const mg_genome *g, const double *x, int64_t layer, int64_t model,
                            int64_t set, int64_t parameter)
{
    double place = g->layer_count > 1 ? (double)layer / (double)(g->layer_count - 1) *
                                            (double)(g->anchor_count - 1)
                                      : 0.0;
    int64_t below = MG_MIN((int64_t)place, g->anchor_count - 1);
    int64_t above = MG_MIN(below + 1, g->anchor_count - 1);
    double share = place - (double)below;
    double low = decode(g, x, below, model, set, parameter);
    double high = decode(g, x, above, model, set, parameter);
    return (1.0 - share) * low + share * high;
}

static mg_curve constant(mg_arena *arena, double value)
{
    double *values = mg_arena_array(arena, double, 1);
    values[0] = value;
    return (mg_curve){ values, 1 };
}

/* One setting of one value. */
static mg_settings single_setting(const char *name, double value, mg_arena *arena)
{
    mg_condition *condition = mg_arena_array(arena, mg_condition, 1);
    mg_setting *setting = mg_arena_array(arena, mg_setting, 1);
    *condition = (mg_condition){ mg_str_of(""), constant(arena, value), NULL };
    *setting = (mg_setting){ mg_str_of(name), condition, 1, NULL };
    return (mg_settings){ setting, 1 };
}

/* The value of one parameter in slice. */
static mg_curve curve_of(const mg_genome *g, const double *x, int64_t slice, int64_t model,
                         int64_t set, int64_t parameter, mg_arena *arena)
{
    if (g->form == FORM_ANCHORS) {
        return constant(arena, decode_anchor(g, x, slice, model, set, parameter));
    }
    if (g->form == FORM_SMOOTH && g->group_count > 1) {
        double *values = mg_arena_array(arena, double, g->group_count);
        for (int64_t group = 0; group < g->group_count; group++) {
            values[group] = decode(g, x, group, model, set, parameter);
        }
        return (mg_curve){ values, g->group_count };
    }
    int64_t group = g->form == FORM_BLOCKS ? slice + 1 : g->form == FORM_SMOOTH ? 0 : slice;
    return constant(arena, decode(g, x, group, model, set, parameter));
}

/* One parameter's conditions in slice: the sets; where the ends have genes of their own, the values
 * of layers stand behind a filter and what is outside the layers takes the genes of its end. */
static mg_setting make_setting(const mg_genome *g, const double *x, int64_t slice, int64_t model,
                               int64_t parameter, mg_arena *arena)
{
    bool ends = g->form == FORM_BLOCKS || g->own_ends;
    int64_t first_group = g->own_ends ? g->anchor_count : 0;
    int64_t cap = g->set_count + LAYER_FILTERS + EMBEDDING_FILTERS;
    mg_condition *conditions = mg_arena_array(arena, mg_condition, cap);
    int64_t count = 0;
    for (int64_t set = 0; set < g->set_count; set++) {
        mg_curve curve = curve_of(g, x, slice, model, set, parameter, arena);
        mg_str filter = set_filter(g, set);
        if (!ends || filter.size > 0) { /* a class filter matches layers alone */
            conditions[count++] = (mg_condition){ filter, curve, NULL };
            continue;
        }
        mg_curve first = constant(arena, decode(g, x, first_group, model, set, parameter));
        mg_curve last = constant(arena, decode(g, x, g->group_count - 1, model, set, parameter));
        for (int64_t i = 0; i < LAYER_FILTERS; i++) {
            conditions[count++] =
                (mg_condition){ mg_str_of(mg_genome_layer_filters[i]), curve, NULL };
        }
        for (int64_t i = 0; i < EMBEDDING_FILTERS; i++) {
            conditions[count++] =
                (mg_condition){ mg_str_of(mg_genome_embedding_filters[i]), first, NULL };
        }
        conditions[count++] = (mg_condition){ mg_str_of(""), last, NULL };
    }
    const char *name = g->single_t ? "t" : parameter == 0 ? "weight" : "density";
    return (mg_setting){ mg_str_of(name), conditions, count, NULL };
}

static mg_settings model_settings(const mg_genome *g, const double *x, int64_t slice, int64_t model,
                                  mg_arena *arena)
{
    mg_setting *settings = mg_arena_array(arena, mg_setting, g->parameter_count);
    for (int64_t p = 0; p < g->parameter_count; p++) {
        settings[p] = make_setting(g, x, slice, model, p, arena);
    }
    return (mg_settings){ settings, g->parameter_count };
}

/* Whether the base stands among the models, or the method weighs nothing against it. */
static bool base_is_listed(const mg_genome *g)
{
    const mg_genome_config *genome = &g->config->genome;
    if (!g->method->needs_base) {
        return true;
    }
    for (int64_t m = 0; m < genome->model_count; m++) {
        if (mg_model_ref_equal(&genome->models[m], &genome->base)) {
            return true;
        }
    }
    return !genome->has_base;
}

static mg_recipe_source source_of(const mg_genome *g, const mg_model_ref *ref, int64_t slice)
{
    bool ranges = g->form != FORM_MODELS && g->form != FORM_SMOOTH;
    int64_t layers = g->form == FORM_ANCHORS ? 1 : g->run_layers;
    mg_recipe_source source = { .model = *ref, .has_range = ranges };
    if (ranges) {
        source.layer_begin = slice * layers;
        source.layer_end = MG_MIN((slice + 1) * layers, g->layer_count);
    }
    return source;
}

/* The two models with the largest scores of a group, and the softmax share of the second. */
static void best_pair(const mg_genome *g, const double *x, int64_t group, int64_t pair[2],
                      double *t)
{
    pair[0] = pair[1] = -1;
    for (int place = 0; place < 2; place++) {
        for (int64_t m = 0; m < g->model_count; m++) {
            double score = x[gene_index(g, group, m, 0, 0)];
            if (m != pair[0] &&
                (pair[place] < 0 || score > x[gene_index(g, group, pair[place], 0, 0)])) {
                pair[place] = m;
            }
        }
    }
    double best = x[gene_index(g, group, pair[0], 0, 0)];
    double second = x[gene_index(g, group, pair[1], 0, 0)];
    *t = exp(second - best) / (1.0 + exp(second - best));
}

static void fill_slerp_slice(const mg_genome *g, const double *x, int64_t slice,
                             mg_recipe_slice *out, mg_arena *arena)
{
    const mg_genome_config *file = &g->config->genome;
    int64_t pair[2] = { 0, 1 };
    mg_setting *t = mg_arena_array(arena, mg_setting, 1);
    if (g->single_t) {
        *t = make_setting(g, x, slice, 0, 0, arena);
    } else {
        double share;
        int64_t group = g->form == FORM_ANCHORS ? slice * g->anchor_count / g->layer_count : slice;
        best_pair(g, x, group, pair, &share);
        *t = *single_setting("t", share, arena).items;
    }
    mg_recipe_source *sources = mg_arena_array(arena, mg_recipe_source, 2);
    for (int i = 0; i < 2; i++) {
        sources[i] = source_of(g, &file->models[pair[i]], slice);
        if (file->tokenizer_source.size > 0 && !g->single_t) { /* shares of token rows */
            double second = t->conditions[0].curve.values[0];
            sources[i].settings = single_setting("weight", i == 0 ? 1.0 - second : second, arena);
        }
    }
    *out = (mg_recipe_slice){ .sources = sources,
                              .source_count = 2,
                              .has_base = true,
                              .base = file->models[pair[0]],
                              .settings = { t, 1 } };
}

static void fill_slice(const mg_genome *g, const double *x, int64_t slice, mg_recipe_slice *out,
                       mg_arena *arena)
{
    const mg_genome_config *file = &g->config->genome;
    if (g->method->interpolates) {
        fill_slerp_slice(g, x, slice, out, arena);
        return;
    }
    int64_t count = file->model_count + (base_is_listed(g) ? 0 : 1);
    mg_recipe_source *sources = mg_arena_array(arena, mg_recipe_source, count);
    for (int64_t m = 0; m < file->model_count; m++) {
        sources[m] = source_of(g, &file->models[m], slice);
        sources[m].settings = model_settings(g, x, slice, m, arena);
    }
    if (count > file->model_count) {
        sources[count - 1] = source_of(g, &file->base, slice);
    }
    *out = (mg_recipe_slice){ .sources = sources, .source_count = count };
}

static mg_settings global_settings(const mg_genome *g, mg_arena *arena)
{
    const mg_genome_config *file = &g->config->genome;
    bool native_default = mg_str_is(file->method, "linear"); /* others may sum to more than one */
    bool normalize = file->has_normalize ? file->normalize
                     : g->mergekit       ? g->method->normalizes
                                         : native_default;
    mg_setting *settings = mg_arena_array(arena, mg_setting, 2);
    settings[0] = *single_setting("normalize", normalize ? 1.0 : 0.0, arena).items;
    settings[1] = *single_setting("int8_mask", 1.0, arena).items;
    int64_t count = g->mergekit ? 2 : g->method->interpolates ? 0 : 1;
    return (mg_settings){ settings, count };
}

/* One seed for all genomes, or a draw of its own for each. */
static uint64_t mask_seed(const mg_genome *g, const double *x)
{
    const mg_search_config *search = &g->config->search;
    if (!search->own_masks) {
        return search->seed;
    }
    /* 53 bits: any reader of YAML takes them as a whole number. */
    return mg_hash64(x, (size_t)g->dimension * sizeof(double), search->seed) >> 11;
}

void mg_genome_recipe(const mg_genome *g, const double *x, mg_arena *arena, mg_recipe *recipe_out)
{
    if (mg_genome_is_path(g)) {
        mg_genome_path_recipe(g, x, arena, recipe_out);
        return;
    }
    const mg_genome_config *file = &g->config->genome;
    int64_t slice_count = g->form == FORM_ANCHORS  ? g->layer_count
                          : g->form == FORM_RUNS   ? g->group_count
                          : g->form == FORM_BLOCKS ? g->run_count
                                                   : 1;
    mg_recipe_slice *slices = mg_arena_array(arena, mg_recipe_slice, slice_count);
    for (int64_t s = 0; s < slice_count; s++) {
        fill_slice(g, x, s, &slices[s], arena);
    }
    mg_recipe_module *module = mg_arena_array(arena, mg_recipe_module, 1);
    bool models_form = g->form == FORM_MODELS || g->form == FORM_SMOOTH;
    *module = (mg_recipe_module){ .explicit_slices = !models_form,
                                  .slices = slices,
                                  .slice_count = slice_count };
    *recipe_out = (mg_recipe){
        .method = mg_str_of(g->method->name),
        .has_base = file->has_base,
        .base = file->base,
        .modules = module,
        .module_count = 1,
        .settings = global_settings(g, arena),
        .dtype = g->mergekit ? MG_BF16 : MG_F32,
        .out_dtype = g->mergekit ? MG_DTYPE_COUNT : MG_BF16,
        .tokenizer_source = file->tokenizer_source,
        .mask = g->method->random_masks ? MG_MASK_PHILOX : MG_MASK_TORCH,
        .mask_seed = mask_seed(g, x),
        /* Ranks and sums must come out alike on every device and computer. */
        .order = !g->method->random_masks && (g->method->needs_base || g->method->interpolates)
                     ? MG_ORDER_INDEX
                     : MG_ORDER_TORCH,
    };
    if (models_form &&
        g->method->interpolates) { /* `models:` has no place for a slice's base and t */
        recipe_out->has_base = true;
        recipe_out->base = slices[0].base;
        recipe_out->settings = slices[0].settings;
        slices[0].has_base = false;
        slices[0].settings = (mg_settings){ NULL, 0 };
    }
}
