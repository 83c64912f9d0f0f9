/* recipe/recipe_read.c - a document tree becomes an mg_recipe (merging.md 1).
 *
 * Validation is lenient where mergekit's is: numeric strings and booleans count as numbers, unknown
 * keys are ignored with a warning.  Reading goes on after a mistake, so that all are told together.
 */
#include "recipe/recipe.h"

#include <math.h>

#include "base/fs.h"
#include "base/map.h"
#include "text/yaml.h"

#define RECIPE_ITEMS_MAX 100000   /* sources, slices or values of one list */
#define RECIPE_DOCUMENTS_MAX 1000 /* of one file */

typedef struct reader {
    mg_arena *arena;
    mg_diagnostics *diagnostics;
} reader;

/* Of equal keys the last one counts, as in PyYAML; it is seldom what was meant. */
static void warn_repeated_keys(reader *r, const mg_value *map)
{
    for (int64_t i = 0; i < map->count; i++) {
        const mg_value *key = &map->entries[i].key;
        if (map->entries[i].repeated) {
            mg_diagnose_warn(r->diagnostics, &map->entries[i].value,
                             "key '%.*s' is there again, its value from before is ignored",
                             MG_STR_ARG(key->kind == MG_STRING ? key->string : key->source));
        }
    }
}

/* Warns of each key of map that known lacks. */
static void warn_unknown_keys(reader *r, const mg_value *map, const char *const *known,
                              int64_t known_count)
{
    warn_repeated_keys(r, map);
    for (int64_t i = 0; i < map->count; i++) {
        const mg_value *key = &map->entries[i].key;
        bool found = false;
        for (int64_t k = 0; k < known_count && !found; k++) {
            found = key->kind == MG_STRING && mg_str_is(key->string, known[k]);
        }
        if (found) {
            continue;
        }
        mg_str name = key->kind == MG_STRING ? key->string : key->source;
        const char *nearest = mg_str_nearest(name, known, known_count);
        mg_diagnose_warn(r->diagnostics, key, "unknown key '%.*s' is ignored%s%s%s",
                         MG_STR_ARG(name), nearest != NULL ? " (did you mean '" : "",
                         nearest != NULL ? nearest : "", nearest != NULL ? "'?)" : "");
    }
}

#define WARN_UNKNOWN_KEYS(r, map, known) warn_unknown_keys(r, map, known, MG_ARRAY_COUNT(known))

static const mg_value *get(const mg_value *map, const char *key)
{
    const mg_value *value = mg_value_get(map, key);
    return mg_value_is_null(value) ? NULL : value;
}

/* A list of 1 .. RECIPE_ITEMS_MAX items under key, or NULL; an empty list counts as absent. */
static const mg_value *get_list(reader *r, const mg_value *map, const char *key)
{
    const mg_value *list = get(map, key);
    if (list == NULL) {
        return NULL;
    }
    if (list->kind != MG_LIST) {
        mg_diagnose(r->diagnostics, list, "'%s' is %s, must be a list", key,
                    mg_kind_name(list->kind));
        return NULL;
    }
    if (list->count > RECIPE_ITEMS_MAX) {
        mg_diagnose(r->diagnostics, list, "'%s' has %lld items, at most %d are allowed", key,
                    (long long)list->count, RECIPE_ITEMS_MAX);
        return NULL;
    }
    return list->count > 0 ? list : NULL;
}

/* A text; numbers and booleans are taken as they were written (a model folder called 7). */
static mg_str get_text(reader *r, const mg_value *map, const char *key)
{
    const mg_value *value = get(map, key);
    if (value == NULL) {
        return mg_str_make(NULL, 0);
    }
    if (value->kind == MG_STRING) {
        return mg_arena_copy(r->arena, value->string);
    }
    mg_diagnose(r->diagnostics, value, "'%s' is %s, must be a text", key,
                mg_kind_name(value->kind));
    return mg_str_make(NULL, 0);
}

/* Numbers as pydantic's lax mode takes them. */
static bool to_number(const mg_value *value, double *number_out)
{
    if (value->kind == MG_BOOL) {
        *number_out = value->boolean ? 1.0 : 0.0;
        return true;
    }
    if (value->kind == MG_STRING) {
        mg_str text = mg_str_trim(value->string);
        if (mg_str_is(text, "true") || mg_str_is(text, "false")) {
            *number_out = mg_str_is(text, "true") ? 1.0 : 0.0;
            return true;
        }
        return mg_str_to_double(text, number_out);
    }
    return mg_value_to_double(value, number_out);
}

static mg_curve read_curve(reader *r, const mg_value *value, mg_str name)
{
    mg_curve curve = { NULL, 0 };
    int64_t count = value->kind == MG_LIST ? value->count : 1;
    const mg_value *items = value->kind == MG_LIST ? value->items : value;
    if (count == 0 || count > RECIPE_ITEMS_MAX) {
        mg_diagnose(r->diagnostics, value, "'%.*s' is a list of %lld values, must have 1 to %d",
                    MG_STR_ARG(name), (long long)count, RECIPE_ITEMS_MAX);
        return curve;
    }
    double *numbers = mg_arena_array(r->arena, double, count);
    for (int64_t i = 0; i < count; i++) {
        if (!to_number(&items[i], &numbers[i])) {
            mg_diagnose(r->diagnostics, &items[i], "'%.*s' is %s, must be a number",
                        MG_STR_ARG(name), mg_kind_name(items[i].kind));
            return curve;
        }
        if (!isfinite(numbers[i])) {
            mg_diagnose(r->diagnostics, &items[i], "'%.*s' is not a finite number",
                        MG_STR_ARG(name));
            return curve;
        }
    }
    curve.values = numbers;
    curve.count = count;
    return curve;
}

static mg_condition read_condition(reader *r, const mg_value *value, mg_str name)
{
    static const char *const known[] = { "filter", "value" };
    mg_condition condition = { { NULL, 0 }, { NULL, 0 }, value };
    WARN_UNKNOWN_KEYS(r, value, known);
    condition.filter = get_text(r, value, "filter");
    const mg_value *of = get(value, "value");
    if (of == NULL) {
        mg_diagnose(r->diagnostics, value, "condition of '%.*s' has no 'value'", MG_STR_ARG(name));
        return condition;
    }
    condition.curve = read_curve(r, of, name);
    return condition;
}

/* false when value sets nothing (an empty list counts as absent). */
static bool read_setting(reader *r, const mg_value *value, mg_str name, mg_setting *setting)
{
    if (value->kind == MG_NULL || (value->kind == MG_LIST && value->count == 0)) {
        return false;
    }
    setting->name = name;
    setting->where = value;
    bool conditions = value->kind == MG_MAP;
    const mg_value *items = value;
    int64_t count = 1;
    if (value->kind == MG_LIST && value->items[0].kind == MG_MAP) {
        conditions = true;
        items = value->items;
        count = value->count;
    }
    if (count > RECIPE_ITEMS_MAX) {
        mg_diagnose(r->diagnostics, value, "'%.*s' has too many conditions", MG_STR_ARG(name));
        return false;
    }
    mg_condition *list = mg_arena_array(r->arena, mg_condition, count);
    setting->conditions = list;
    setting->condition_count = count;
    for (int64_t i = 0; i < count; i++) {
        if (!conditions) {
            list[i].where = value;
            list[i].curve = read_curve(r, value, name);
        } else if (items[i].kind == MG_MAP) {
            list[i] = read_condition(r, &items[i], name);
        } else {
            mg_diagnose(r->diagnostics, &items[i],
                        "'%.*s' mixes conditions and plain values, must be one or the other",
                        MG_STR_ARG(name));
        }
    }
    return true;
}

static mg_settings read_settings(reader *r, const mg_value *map)
{
    mg_settings settings = { NULL, 0 };
    const mg_value *parameters = get(map, "parameters");
    if (parameters == NULL) {
        return settings;
    }
    if (parameters->kind != MG_MAP) {
        mg_diagnose(r->diagnostics, parameters, "'parameters' is %s, must be a map",
                    mg_kind_name(parameters->kind));
        return settings;
    }
    mg_setting *items = mg_arena_array(r->arena, mg_setting, parameters->count);
    settings.items = items;
    warn_repeated_keys(r, parameters);
    for (int64_t i = 0; i < parameters->count; i++) {
        const mg_entry *entry = &parameters->entries[i];
        if (entry->key.kind != MG_STRING) {
            mg_diagnose(r->diagnostics, &entry->key, "parameter name is %s, must be a text",
                        mg_kind_name(entry->key.kind));
            continue;
        }
        mg_str name = mg_arena_copy(r->arena, entry->key.string);
        if (read_setting(r, &entry->value, name, &items[settings.count])) {
            settings.count++;
        }
    }
    return settings;
}

/* PATH[@REV], or {path, revision}. */
static void read_path(reader *r, const mg_value *value, const char *key, mg_str *path_out,
                      mg_str *revision_out)
{
    if (value->kind == MG_MAP) {
        static const char *const known[] = { "path", "revision" };
        WARN_UNKNOWN_KEYS(r, value, known);
        *path_out = get_text(r, value, "path");
        *revision_out = get_text(r, value, "revision");
        if (path_out->size == 0) {
            mg_diagnose(r->diagnostics, value, "'%s' has no 'path'", key);
        }
        return;
    }
    if (value->kind != MG_STRING || value->string.size == 0) {
        mg_diagnose(r->diagnostics, value, "'%s' is %s, must be a model reference", key,
                    value->kind == MG_STRING ? "empty" : mg_kind_name(value->kind));
        return;
    }
    mg_str rest = mg_arena_copy(r->arena, value->string);
    int64_t at = mg_str_find(rest, mg_str_of("@"), 0);
    if (at >= 0 && mg_str_find(rest, mg_str_of("@"), (size_t)at + 1) >= 0) {
        mg_diagnose(r->diagnostics, value, "'%.*s' has more than one '@'", MG_STR_ARG(rest));
        return;
    }
    *path_out = at < 0 ? rest : mg_str_slice(rest, 0, (size_t)at);
    if (at >= 0) {
        *revision_out = mg_str_slice(rest, (size_t)at + 1, rest.size);
    }
}

static mg_model_ref read_ref(reader *r, const mg_value *value, const char *key)
{
    mg_model_ref ref = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
    if (value->kind == MG_STRING) {
        mg_error err;
        mg_error_clear(&err);
        if (mg_model_ref_parse(value->string, r->arena, &ref, &err) != MG_OK) {
            mg_diagnose(r->diagnostics, value, "%s", err.message);
        }
        return ref;
    }
    if (value->kind == MG_INT || value->kind == MG_FLOAT) {
        ref.path = mg_arena_copy(r->arena, value->source);
        return ref;
    }
    if (value->kind != MG_MAP) {
        mg_diagnose(r->diagnostics, value, "'%s' is %s, must be a model reference", key,
                    mg_kind_name(value->kind));
        return ref;
    }
    static const char *const known[] = { "model", "lora", "override_architecture" };
    WARN_UNKNOWN_KEYS(r, value, known);
    const mg_value *model = get(value, "model");
    if (model == NULL) {
        mg_diagnose(r->diagnostics, value, "'%s' has no 'model'", key);
        return ref;
    }
    read_path(r, model, "model", &ref.path, &ref.revision);
    const mg_value *lora = get(value, "lora");
    if (lora != NULL) {
        read_path(r, lora, "lora", &ref.lora_path, &ref.lora_revision);
    }
    ref.override_architecture = get_text(r, value, "override_architecture");
    return ref;
}

static void read_layer_range(reader *r, const mg_value *map, mg_recipe_source *source)
{
    const mg_value *range = get(map, "layer_range");
    if (range == NULL) {
        mg_diagnose(r->diagnostics, map, "source of a slice has no 'layer_range'");
        return;
    }
    double begin = 0.0;
    double end = 0.0;
    if (range->kind != MG_LIST || range->count != 2 || !to_number(&range->items[0], &begin) ||
        !to_number(&range->items[1], &end) || begin != trunc(begin) || end != trunc(end)) {
        mg_diagnose(r->diagnostics, range, "'layer_range' must be two whole numbers [begin, end)");
        return;
    }
    if (begin < 0 || end < begin || end > RECIPE_ITEMS_MAX) {
        mg_diagnose(r->diagnostics, range,
                    "'layer_range' is [%.0f, %.0f], must be 0 <= begin <= end <= %d", begin, end,
                    RECIPE_ITEMS_MAX);
        return;
    }
    source->has_range = true;
    source->layer_begin = (int64_t)begin;
    source->layer_end = (int64_t)end;
}

static mg_recipe_source read_source(reader *r, const mg_value *value, bool with_range)
{
    static const char *const known[] = { "model", "parameters", "layer_range" };
    mg_recipe_source source;
    memset(&source, 0, sizeof(source));
    source.where = value;
    if (value->kind != MG_MAP) {
        mg_diagnose(r->diagnostics, value, "model entry is %s, must be a map with 'model'",
                    mg_kind_name(value->kind));
        return source;
    }
    /* mergekit-evolve writes a layer_range into model entries, where it means nothing. */
    WARN_UNKNOWN_KEYS(r, value, known);
    const mg_value *model = get(value, "model");
    if (model == NULL) {
        mg_diagnose(r->diagnostics, value, "model entry has no 'model'");
    } else {
        source.model = read_ref(r, model, "model");
    }
    if (with_range) {
        read_layer_range(r, value, &source);
    }
    source.settings = read_settings(r, value);
    return source;
}

static void read_sources(reader *r, const mg_value *list, bool with_range, mg_recipe_slice *slice)
{
    mg_recipe_source *sources = mg_arena_array(r->arena, mg_recipe_source, list->count);
    mg_map seen = { NULL, 0, 0 };
    for (int64_t i = 0; i < list->count; i++) {
        sources[i] = read_source(r, &list->items[i], with_range);
        const mg_model_ref *model = &sources[i].model;
        mg_str key = mg_arena_printf(r->arena, "%.*s\n%.*s\n%.*s\n%.*s\n%.*s",
                                     MG_STR_ARG(model->path), MG_STR_ARG(model->revision),
                                     MG_STR_ARG(model->lora_path), MG_STR_ARG(model->lora_revision),
                                     MG_STR_ARG(model->override_architecture));
        if (model->path.size > 0 && !mg_map_set(&seen, key, i)) {
            mg_diagnose(r->diagnostics, &list->items[i],
                        "model '%.*s' is named twice, must be once in a slice",
                        MG_STR_ARG(model->path));
        }
    }
    mg_map_release(&seen);
    slice->sources = sources;
    slice->source_count = list->count;
}

static mg_recipe_slice read_slice(reader *r, const mg_value *value)
{
    static const char *const known[] = { "sources", "base_model", "parameters", "residual_weight" };
    mg_recipe_slice slice;
    memset(&slice, 0, sizeof(slice));
    slice.where = value;
    if (value->kind != MG_MAP) {
        mg_diagnose(r->diagnostics, value, "slice is %s, must be a map with 'sources'",
                    mg_kind_name(value->kind));
        return slice;
    }
    WARN_UNKNOWN_KEYS(r, value, known);
    const mg_value *base = get(value, "base_model");
    if (base != NULL) {
        slice.has_base = true;
        slice.base = read_ref(r, base, "base_model");
    }
    slice.settings = read_settings(r, value);
    const mg_value *list = get_list(r, value, "sources");
    if (list == NULL) {
        mg_diagnose(r->diagnostics, value, "slice has no 'sources'");
        return slice;
    }
    read_sources(r, list, true, &slice);
    const mg_recipe_source *first = &slice.sources[0];
    for (int64_t i = 1; i < slice.source_count; i++) {
        const mg_recipe_source *other = &slice.sources[i];
        if (first->has_range && other->has_range &&
            other->layer_end - other->layer_begin != first->layer_end - first->layer_begin) {
            mg_diagnose(r->diagnostics, other->where,
                        "source takes %lld layers, the first of its slice takes %lld: they must "
                        "be equal",
                        (long long)(other->layer_end - other->layer_begin),
                        (long long)(first->layer_end - first->layer_begin));
        }
    }
    return slice;
}

/* The `models` or `slices` of map, which is the document or a module entry. */
static void read_module_body(reader *r, const mg_value *map, mg_recipe_module *module)
{
    const mg_value *models = get_list(r, map, "models");
    const mg_value *slices = get_list(r, map, "slices");
    if (models != NULL) {
        mg_recipe_slice *slice = mg_arena_new(r->arena, mg_recipe_slice);
        read_sources(r, models, false, slice);
        slice->where = models;
        module->slices = slice;
        module->slice_count = 1;
    } else if (slices != NULL) {
        mg_recipe_slice *list = mg_arena_array(r->arena, mg_recipe_slice, slices->count);
        for (int64_t i = 0; i < slices->count; i++) {
            list[i] = read_slice(r, &slices->items[i]);
        }
        module->slices = list;
        module->slice_count = slices->count;
        module->explicit_slices = true;
    }
}

static void read_modules_map(reader *r, const mg_value *map, mg_recipe *recipe)
{
    static const char *const known[] = { "models", "slices", "parameters" };
    mg_recipe_module *modules = mg_arena_array(r->arena, mg_recipe_module, map->count);
    for (int64_t i = 0; i < map->count; i++) {
        const mg_entry *entry = &map->entries[i];
        mg_recipe_module *module = &modules[i];
        module->where = &entry->value;
        if (entry->key.kind != MG_STRING || entry->key.string.size == 0 ||
            entry->value.kind != MG_MAP) {
            mg_diagnose(r->diagnostics, &entry->key, "module must be a name with a map");
            continue;
        }
        module->name = mg_arena_copy(r->arena, entry->key.string);
        WARN_UNKNOWN_KEYS(r, &entry->value, known);
        if ((get(&entry->value, "models") != NULL) == (get(&entry->value, "slices") != NULL)) {
            mg_diagnose(r->diagnostics, &entry->value,
                        "module '%.*s' must have either 'models' or 'slices'",
                        MG_STR_ARG(module->name));
            continue;
        }
        read_module_body(r, &entry->value, module);
        module->settings = read_settings(r, &entry->value);
    }
    recipe->modules = modules;
    recipe->module_count = map->count;
}

static void read_body(reader *r, const mg_value *document, mg_recipe *recipe)
{
    const mg_value *modules = get(document, "modules");
    if (modules != NULL && modules->kind != MG_MAP) {
        mg_diagnose(r->diagnostics, modules, "'modules' is %s, must be a map",
                    mg_kind_name(modules->kind));
        return;
    }
    bool has_modules = modules != NULL && modules->count > 0;
    const mg_value *models = get(document, "models");
    const mg_value *slices = get(document, "slices");
    bool has_models = models != NULL && !(models->kind == MG_LIST && models->count == 0);
    bool has_slices = slices != NULL && !(slices->kind == MG_LIST && slices->count == 0);
    if ((int)has_modules + (int)has_models + (int)has_slices != 1) {
        mg_diagnose(r->diagnostics, document,
                    "exactly one of 'models', 'slices' and 'modules' must be present");
        return;
    }
    if (has_modules) {
        read_modules_map(r, modules, recipe);
        return;
    }
    mg_recipe_module *module = mg_arena_new(r->arena, mg_recipe_module);
    module->name = mg_str_of("");
    module->where = has_models ? models : slices;
    read_module_body(r, document, module);
    recipe->modules = module;
    recipe->module_count = 1;
}

static mg_dtype read_dtype(reader *r, const mg_value *document, const char *key)
{
    mg_str text = get_text(r, document, key);
    mg_dtype dtype = MG_DTYPE_COUNT;
    if (text.size == 0) {
        return MG_DTYPE_COUNT;
    }
    if (!mg_dtype_parse_torch(text, &dtype) || !mg_dtype_is_float(dtype)) {
        static const char *const names[] = { "bfloat16", "float16", "float32", "float64" };
        const char *nearest = mg_str_nearest(text, names, MG_ARRAY_COUNT(names));
        mg_diagnose(r->diagnostics, mg_value_get(document, key),
                    "'%s' is '%.*s', must be bfloat16, float16, float32 or float64%s%s%s", key,
                    MG_STR_ARG(text), nearest != NULL ? " (did you mean '" : "",
                    nearest != NULL ? nearest : "", nearest != NULL ? "'?)" : "");
        return MG_DTYPE_COUNT;
    }
    return dtype;
}

/* Our own block, which mergekit ignores. */
static void read_merganser(reader *r, const mg_value *document, mg_recipe *recipe)
{
    static const char *const known[] = { "mask", "seed", "rescale", "order" };
    const mg_value *block = get(document, "merganser");
    if (block == NULL) {
        return;
    }
    if (block->kind != MG_MAP) {
        mg_diagnose(r->diagnostics, block, "'merganser' is %s, must be a map",
                    mg_kind_name(block->kind));
        return;
    }
    WARN_UNKNOWN_KEYS(r, block, known);
    mg_str mask = get_text(r, block, "mask");
    if (mg_str_is(mask, "philox")) {
        recipe->mask = MG_MASK_PHILOX;
    } else if (mask.size > 0 && !mg_str_is(mask, "torch")) {
        mg_diagnose(r->diagnostics, mg_value_get(block, "mask"),
                    "'mask' is '%.*s', must be philox or torch", MG_STR_ARG(mask));
    }
    mg_str rescale = get_text(r, block, "rescale");
    if (mg_str_is(rescale, "l1")) {
        recipe->rescale = MG_RESCALE_L1;
    } else if (mg_str_is(rescale, "density")) {
        recipe->rescale = MG_RESCALE_DENSITY;
    } else if (rescale.size > 0) {
        mg_diagnose(r->diagnostics, mg_value_get(block, "rescale"),
                    "'rescale' is '%.*s', must be l1 or density", MG_STR_ARG(rescale));
    }
    mg_str order = get_text(r, block, "order");
    if (mg_str_is(order, "index")) {
        recipe->order = MG_ORDER_INDEX;
    } else if (order.size > 0 && !mg_str_is(order, "torch")) {
        mg_diagnose(r->diagnostics, mg_value_get(block, "order"),
                    "'order' is '%.*s', must be torch or index", MG_STR_ARG(order));
    }
    const mg_value *seed = get(block, "seed");
    int64_t number = 0;
    if (seed != NULL && (!mg_value_to_int(seed, &number) || number < 0)) {
        mg_diagnose(r->diagnostics, seed, "'seed' must be a whole number, 0 or more");
    }
    recipe->mask_seed = (uint64_t)number;
}

mg_status mg_recipe_from_value(const mg_value *document, mg_arena *arena,
                               mg_diagnostics *diagnostics, mg_recipe *recipe_out)
{
    static const char *const known[] = { "merge_method", "models",        "slices",
                                         "modules",      "base_model",    "dtype",
                                         "out_dtype",    "parameters",    "tokenizer_source",
                                         "tokenizer",    "chat_template", "merganser",
                                         "name" };
    memset(recipe_out, 0, sizeof(*recipe_out));
    recipe_out->dtype = MG_DTYPE_COUNT;
    recipe_out->out_dtype = MG_DTYPE_COUNT;
    reader r = { arena, diagnostics };
    recipe_out->file = mg_arena_copy(arena, diagnostics->file);
    if (document->kind != MG_MAP) {
        mg_diagnose(diagnostics, document, "the merge configuration is %s, must be a map",
                    mg_kind_name(document->kind));
        return MG_ERR_CONFIG;
    }
    if (get(document, "genome") != NULL && get(document, "merge_method") == NULL) {
        mg_diagnose(diagnostics, document,
                    "this is the file of a search, not of a merge: 'merganser evolve' takes it");
        return MG_ERR_CONFIG;
    }
    WARN_UNKNOWN_KEYS(&r, document, known);
    recipe_out->method = get_text(&r, document, "merge_method");
    recipe_out->method_where = get(document, "merge_method");
    if (recipe_out->method_where == NULL) {
        mg_diagnose(diagnostics, document, "'merge_method' is missing");
    }
    const char *nearest;
    if (recipe_out->method.size > 0 && !mg_recipe_method_known(recipe_out->method, &nearest)) {
        mg_diagnose(diagnostics, recipe_out->method_where, "unknown merge method '%.*s'%s%s%s",
                    MG_STR_ARG(recipe_out->method), nearest != NULL ? ", did you mean '" : "",
                    nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    }
    const mg_value *base = get(document, "base_model");
    if (base != NULL) {
        recipe_out->has_base = true;
        recipe_out->base = read_ref(&r, base, "base_model");
        recipe_out->base_where = base;
    }
    read_body(&r, document, recipe_out);
    recipe_out->settings = read_settings(&r, document);
    recipe_out->dtype = read_dtype(&r, document, "dtype");
    recipe_out->out_dtype = read_dtype(&r, document, "out_dtype");
    recipe_out->chat_template = get_text(&r, document, "chat_template");
    recipe_out->chat_template_where = get(document, "chat_template");
    recipe_out->name = get_text(&r, document, "name");
    recipe_out->name_where = get(document, "name");
    recipe_out->where = document;
    recipe_out->tokenizer = get(document, "tokenizer");
    recipe_out->tokenizer_source = get_text(&r, document, "tokenizer_source");
    if (recipe_out->tokenizer != NULL && recipe_out->tokenizer_source.size > 0) {
        mg_diagnose(diagnostics, recipe_out->tokenizer,
                    "'tokenizer' and 'tokenizer_source' exclude each other");
    } else if (recipe_out->tokenizer != NULL && recipe_out->tokenizer->kind != MG_MAP) {
        mg_diagnose(diagnostics, recipe_out->tokenizer, "'tokenizer' is %s, must be a map",
                    mg_kind_name(recipe_out->tokenizer->kind));
    }
    read_merganser(&r, document, recipe_out);
    return diagnostics->count > 0 ? MG_ERR_CONFIG : MG_OK;
}

mg_status mg_recipe_read_all(const char *path, mg_arena *arena, mg_recipe **recipes_out,
                             int64_t *count_out, mg_error *err)
{
    *recipes_out = NULL;
    *count_out = 0;
    mg_status status = MG_OK;
    mg_bytes text = { NULL, 0 };
    mg_diagnostics diagnostics;
    memset(&diagnostics, 0, sizeof(diagnostics));
    diagnostics.file = mg_str_of(path);
    mg_value list;

    MG_TRY_OR_DONE(mg_file_read(path, MG_YAML_BYTES_MAX, &text, err));
    mg_str yaml = mg_str_make((const char *)text.data, text.size);
    status = mg_yaml_parse_all(yaml, path, arena, &list, err);
    if (status != MG_OK) {
        status = status == MG_ERR_FORMAT ? MG_ERR_CONFIG : status; /* the user's mistake */
        goto done;
    }
    if (list.count == 0) {
        status = mg_fail(err, MG_ERR_CONFIG, "%s: is empty, must be a merge configuration", path);
        goto done;
    }
    if (list.count > RECIPE_DOCUMENTS_MAX) {
        status = mg_fail(err, MG_ERR_CONFIG, "%s: has %lld documents, at most %d are read", path,
                         (long long)list.count, RECIPE_DOCUMENTS_MAX);
        goto done;
    }
    mg_value *kept = mg_arena_array(arena, mg_value, list.count);
    mg_recipe *recipes = mg_arena_array(arena, mg_recipe, list.count);
    for (int64_t i = 0; i < list.count; i++) {
        kept[i] = list.items[i];
        /* The count of mistakes decides below, when every document has been looked at. */
        mg_status ignored = mg_recipe_from_value(&kept[i], arena, &diagnostics, &recipes[i]);
        (void)ignored;
    }
    MG_TRY_OR_DONE(mg_diagnostics_finish(&diagnostics, err));
    if (list.count == 1) {
        recipes[0].text = mg_arena_copy(arena, yaml);
    }
    *recipes_out = recipes;
    *count_out = list.count;

done:
    mg_diagnostics_release(&diagnostics);
    mg_bytes_release(&text);
    return status;
}

mg_status mg_recipe_read(const char *path, mg_arena *arena, mg_recipe *recipe_out, mg_error *err)
{
    mg_recipe *recipes;
    int64_t count;
    MG_TRY(mg_recipe_read_all(path, arena, &recipes, &count, err));
    if (count != 1) {
        return mg_fail(err, MG_ERR_CONFIG, "%s: has %lld documents, expected one", path,
                       (long long)count);
    }
    *recipe_out = recipes[0];
    return MG_OK;
}
