/* hub/layout.c - the collection of layouts, and questions to one of them. */
#include "hub/layout.h"

#include "base/fs.h"
#include "base/memory.h"
#include "hub/layout_internal.h"
#include "text/json.h"

#define DEFINITION_BYTES_MAX ((size_t)16 << 20)
#define LAYERS_MAX 100000
#define EXPERTS_MAX 65536

struct mg_layouts {
    mg_arena arena;
    const mg_layout **items; /* built-in ones first */
    int64_t count;
    int64_t cap;
    int64_t builtin_count;
};

static void add_layout(mg_layouts *layouts, const mg_layout *layout)
{
    if (layouts->count == layouts->cap) {
        layouts->cap = layouts->cap > 0 ? 2 * layouts->cap : 128;
        layouts->items = (const mg_layout **)mg_memory_resize(layouts->items, layouts->cap,
                                                              sizeof(const mg_layout *));
    }
    layouts->items[layouts->count++] = layout;
}

mg_layouts *mg_layouts_create(void)
{
    mg_layouts *layouts = mg_new(mg_layouts);
    int64_t row = 0;
    while (row < mg_layout_row_count) {
        add_layout(layouts, mg_layout_from_rows(&layouts->arena, &row));
    }
    layouts->builtin_count = layouts->count;
    return layouts;
}

void mg_layouts_destroy(mg_layouts *layouts)
{
    if (layouts == NULL) {
        return;
    }
    mg_free(layouts->items);
    mg_arena_release(&layouts->arena);
    mg_free(layouts);
}

int64_t mg_layouts_count(const mg_layouts *layouts)
{
    return layouts->count;
}

const mg_layout *mg_layouts_at(const mg_layouts *layouts, int64_t index)
{
    MG_ASSERT(index >= 0 && index < layouts->count);
    return layouts->items[index];
}

mg_status mg_layouts_parse(mg_layouts *layouts, mg_str text, const char *name, mg_error *err)
{
    mg_value root;
    mg_layout *layout;
    MG_TRY(mg_json_parse(text, name, &layouts->arena, &root, err));
    MG_TRY(mg_layout_from_json(&layouts->arena, &root, name, &layout, err));
    add_layout(layouts, layout);
    return MG_OK;
}

mg_status mg_layouts_read(mg_layouts *layouts, const char *path, mg_error *err)
{
    mg_value root;
    mg_layout *layout;
    MG_TRY(mg_json_read(path, DEFINITION_BYTES_MAX, &layouts->arena, &root, err));
    MG_TRY(mg_layout_from_json(&layouts->arena, &root, path, &layout, err));
    add_layout(layouts, layout);
    return MG_OK;
}

mg_status mg_layouts_read_folder(mg_layouts *layouts, const char *folder, mg_error *err)
{
    mg_str *names;
    int64_t count;
    MG_TRY(mg_folder_list(folder, &layouts->arena, &names, &count, err));
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_ends(names[i], ".json")) {
            mg_str path = mg_path_join(&layouts->arena, folder, names[i].data);
            MG_TRY(mg_layouts_read(layouts, path.data, err));
        }
    }
    return MG_OK;
}

static bool is_for(const mg_layout *layout, mg_str architecture)
{
    for (int64_t i = 0; i < layout->architecture_count; i++) {
        if (mg_str_equal(layout->architectures[i], architecture)) {
            return true;
        }
    }
    return false;
}

/* Among the layouts with index in [begin, end): the only one of that class, else the newest one of
 * that model type. */
static const mg_layout *find_in(const mg_layouts *layouts, int64_t begin, int64_t end,
                                mg_str architecture, mg_str model_type)
{
    const mg_layout *only = NULL;
    const mg_layout *typed = NULL;
    int64_t found = 0;
    for (int64_t i = begin; i < end; i++) {
        const mg_layout *layout = layouts->items[i];
        if (!is_for(layout, architecture)) {
            continue;
        }
        found++;
        only = layout;
        if (mg_str_equal(layout->model_type, model_type)) {
            typed = layout;
        }
    }
    return found == 1 ? only : typed;
}

/* A copy of base with one module whose layer weights the caller replaces. */
static mg_layout *copy_with_module(mg_layouts *layouts, const mg_layout *base, const char *class_,
                                   const char *model_type, mg_layout_module **module_out)
{
    mg_layout *layout = mg_arena_new(&layouts->arena, mg_layout);
    *layout = *base;
    mg_str *architecture = mg_arena_new(&layouts->arena, mg_str);
    *architecture = mg_str_of(class_);
    layout->architectures = architecture;
    layout->architecture_count = 1;
    layout->model_type = mg_str_of(model_type);
    mg_layout_module *module = mg_arena_new(&layouts->arena, mg_layout_module);
    *module = base->modules[0];
    layout->modules = module;
    layout->module_count = 1;
    *module_out = module;
    return layout;
}

static mg_status read_count(const mg_value *config, const char *key, int64_t max,
                            int64_t *count_out, mg_error *err)
{
    if (!mg_value_to_int(mg_value_get(config, key), count_out) || *count_out < 0 ||
        *count_out > max) {
        return mg_fail(err, MG_ERR_FORMAT, "config.json: '%s' must be a number up to %lld", key,
                       (long long)max);
    }
    return MG_OK;
}

/* AFMoE keeps one set of matrices for each expert; all are optional. */
static mg_status expand_afmoe(mg_layouts *layouts, const mg_layout *base, const mg_value *config,
                              const mg_layout **layout_out, mg_error *err)
{
    static const char *const parts[] = { "up_proj", "gate_proj", "down_proj" };
    int64_t experts;
    MG_TRY(read_count(config, "num_experts", EXPERTS_MAX, &experts, err));
    mg_layout_module *module;
    mg_layout *layout = copy_with_module(layouts, base, "AfmoeForCausalLM", "afmoe", &module);
    int64_t count = module->layer_weight_count + experts * MG_ARRAY_COUNT(parts);
    mg_layout_weight *weights = mg_arena_array(&layouts->arena, mg_layout_weight, count);
    memcpy(weights, module->layer, (size_t)module->layer_weight_count * sizeof(*weights));
    for (int64_t i = module->layer_weight_count; i < count; i++) {
        int64_t place = i - module->layer_weight_count;
        weights[i].name = mg_arena_printf(
            &layouts->arena, "model.layers.${layer_index}.mlp.experts.%lld.%s.weight",
            (long long)(place / MG_ARRAY_COUNT(parts)), parts[place % MG_ARRAY_COUNT(parts)]);
        weights[i].optional = true;
        weights[i].force_dtype = MG_DTYPE_COUNT;
    }
    module->layer = weights;
    module->layer_weight_count = count;
    *layout_out = layout;
    return MG_OK;
}

/* GLM-4-MoE: the first layers are dense, the others have experts in place of every .mlp. weight. */
static mg_status expand_glm4_moe(mg_layouts *layouts, const mg_layout *base, const mg_value *config,
                                 const mg_layout **layout_out, mg_error *err)
{
    static const char *const experts[] = {
        "experts.gate_up_proj",
        "experts.down_proj",
        "gate.weight",
        "gate.e_score_correction_bias",
        "shared_experts.gate_proj.weight",
        "shared_experts.up_proj.weight",
        "shared_experts.down_proj.weight",
    };
    int64_t dense;
    MG_TRY(read_count(config, "first_k_dense_replace", LAYERS_MAX, &dense, err));
    mg_layout_module *module;
    mg_layout *layout = copy_with_module(layouts, base, "Glm4MoeForCausalLM", "glm4_moe", &module);
    module->first_layer = module->layer;
    module->first_layer_weight_count = module->layer_weight_count;
    module->first_layers = dense;
    mg_layout_weight *weights = mg_arena_array(
        &layouts->arena, mg_layout_weight, module->layer_weight_count + MG_ARRAY_COUNT(experts));
    int64_t count = 0;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(experts); i++) {
        weights[count].name =
            mg_arena_printf(&layouts->arena, "model.layers.${layer_index}.mlp.%s", experts[i]);
        weights[count++].force_dtype = MG_DTYPE_COUNT;
    }
    for (int64_t i = 0; i < module->layer_weight_count; i++) {
        if (mg_str_find(module->layer[i].name, mg_str_of(".mlp."), 0) < 0) {
            weights[count++] = module->layer[i];
        }
    }
    module->layer = weights;
    module->layer_weight_count = count;
    *layout_out = layout;
    return MG_OK;
}

mg_status mg_layouts_find(mg_layouts *layouts, mg_str architecture, mg_str model_type,
                          const mg_value *config, const mg_layout **layout_out, mg_error *err)
{
    *layout_out =
        find_in(layouts, layouts->builtin_count, layouts->count, architecture, model_type);
    if (*layout_out != NULL) {
        return MG_OK;
    }
    bool afmoe = mg_str_is(architecture, "AfmoeForCausalLM");
    mg_str name = afmoe ? mg_str_of("_AfmoePartialForCausalLM") : architecture;
    const mg_layout *found = find_in(layouts, 0, layouts->builtin_count, name, model_type);
    if (found != NULL && afmoe) {
        return expand_afmoe(layouts, found, config, layout_out, err);
    }
    if (found != NULL && mg_str_is(architecture, "Glm4MoeForCausalLM")) {
        return expand_glm4_moe(layouts, found, config, layout_out, err);
    }
    *layout_out = found;
    return MG_OK;
}

mg_str mg_layouts_class_of_type(const mg_layouts *layouts, mg_str model_type)
{
    mg_str found = mg_str_make(NULL, 0);
    for (int64_t i = 0; i < layouts->count; i++) {
        const mg_layout *layout = layouts->items[i];
        if (layout->architecture_count > 0 && mg_str_equal(layout->model_type, model_type)) {
            found = layout->architectures[0];
        }
    }
    return found;
}

mg_status mg_layouts_infer(mg_layouts *layouts, const mg_snapshot *const *snapshots, int64_t count,
                           const mg_layout **layout_out, mg_error *err)
{
    *layout_out = NULL;
    mg_layout *layout;
    MG_TRY(mg_layout_from_names(&layouts->arena, snapshots, count, &layout, err));
    *layout_out = layout;
    return MG_OK;
}

static bool names_equal(const mg_str *a, int64_t a_count, const mg_str *b, int64_t b_count)
{
    if (a_count != b_count) {
        return false;
    }
    for (int64_t i = 0; i < a_count; i++) {
        if (!mg_str_equal(a[i], b[i])) {
            return false;
        }
    }
    return true;
}

static bool weights_equal(const mg_layout_weight *a, int64_t a_count, const mg_layout_weight *b,
                          int64_t b_count)
{
    if (a_count != b_count) {
        return false;
    }
    for (int64_t i = 0; i < a_count; i++) {
        if (!mg_str_equal(a[i].name, b[i].name) || a[i].embed != b[i].embed ||
            a[i].optional != b[i].optional || a[i].force_dtype != b[i].force_dtype ||
            !names_equal(a[i].aliases, a[i].alias_count, b[i].aliases, b[i].alias_count) ||
            !names_equal(a[i].tied, a[i].tied_count, b[i].tied, b[i].tied_count)) {
            return false;
        }
    }
    return true;
}

static bool modules_equal(const mg_layout_module *a, const mg_layout_module *b)
{
    return mg_str_equal(a->name, b->name) && a->first_layers == b->first_layers &&
           a->fixed_layer_count == b->fixed_layer_count &&
           mg_str_equal(a->layer_count_key, b->layer_count_key) &&
           weights_equal(a->pre, a->pre_count, b->pre, b->pre_count) &&
           weights_equal(a->layer, a->layer_weight_count, b->layer, b->layer_weight_count) &&
           weights_equal(a->first_layer, a->first_layer_weight_count, b->first_layer,
                         b->first_layer_weight_count) &&
           weights_equal(a->post, a->post_count, b->post, b->post_count);
}

bool mg_layout_equal(const mg_layout *a, const mg_layout *b)
{
    if (a == b) {
        return true;
    }
    if (!names_equal(a->architectures, a->architecture_count, b->architectures,
                     b->architecture_count) ||
        !mg_str_equal(a->model_type, b->model_type) || !mg_str_equal(a->vocab_key, b->vocab_key) ||
        a->module_count != b->module_count ||
        !names_equal(a->tagalong, a->tagalong_count, b->tagalong, b->tagalong_count)) {
        return false;
    }
    for (int64_t i = 0; i < a->module_count; i++) {
        if (!modules_equal(&a->modules[i], &b->modules[i])) {
            return false;
        }
    }
    return true;
}

const mg_layout_module *mg_layout_module_find(const mg_layout *layout, mg_str name)
{
    for (int64_t i = 0; i < layout->module_count; i++) {
        if (mg_str_equal(layout->modules[i].name, name)) {
            return &layout->modules[i];
        }
    }
    return NULL;
}

mg_status mg_layout_layer_count(const mg_layout_module *module, const mg_value *config,
                                int64_t *count_out, mg_error *err)
{
    *count_out = module->fixed_layer_count;
    if (module->layer_count_key.size == 0) {
        return MG_OK;
    }
    const mg_value *value = mg_value_path(config, module->layer_count_key.data);
    if (!mg_value_to_int(value, count_out) || *count_out < 0 || *count_out > LAYERS_MAX) {
        *count_out = 0;
        return mg_fail(err, MG_ERR_FORMAT,
                       "config.json: '%.*s', the number of layers, is missing or no such number",
                       MG_STR_ARG(module->layer_count_key));
    }
    return MG_OK;
}

const mg_layout_weight *mg_layout_layer_weights(const mg_layout_module *module, int64_t layer_index,
                                                int64_t *count_out)
{
    bool first = layer_index < module->first_layers;
    *count_out = first ? module->first_layer_weight_count : module->layer_weight_count;
    return first ? module->first_layer : module->layer;
}

mg_str mg_layout_name(mg_str template_, int64_t layer_index, int64_t layer_count, mg_arena *arena)
{
    static const char layer[] = "${layer_index";
    static const char layers[] = "${num_layers";
    if (mg_str_find(template_, mg_str_of("${"), 0) < 0) {
        return template_;
    }
    mg_buf buf = { 0 };
    size_t i = 0;
    while (i < template_.size) {
        mg_str rest = mg_str_slice(template_, i, template_.size);
        bool is_layer = mg_str_starts(rest, layer);
        if (!is_layer && !mg_str_starts(rest, layers)) {
            mg_buf_add_char(&buf, template_.data[i++]);
            continue;
        }
        size_t end = strlen(is_layer ? layer : layers);
        mg_str tail = mg_str_slice(rest, end, rest.size);
        int64_t shift = mg_str_starts(tail, "+1}") ? 1 : mg_str_starts(tail, "-1}") ? -1 : 0;
        mg_buf_printf(&buf, "%lld", (long long)((is_layer ? layer_index : layer_count) + shift));
        i += end + (shift != 0 ? 3 : 1);
    }
    mg_str name = mg_arena_copy(arena, mg_buf_view(&buf));
    mg_buf_release(&buf);
    return name;
}
