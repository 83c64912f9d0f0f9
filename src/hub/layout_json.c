/* hub/layout_json.c - layouts from definition files in mergekit's JSON form (merging.md 2.3).
 *
 *     {"architectures": [..], "model_type": "..", "num_layers_config_key": "..",
 *      "pre_weights": [W, ..], "layer_templates": {"weights": [W, ..]}, "post_weights": [W, ..]}
 *
 * or, with "kind": "modular", {"architectures", "model_type", "modules": {NAME: {"weight_prefix",
 * "architecture": {as above}}}}.  W is {"name", "is_embed" or "vocabulary_axis", "optional",
 * "aliases", "tied_names", "force_dtype"}. */
#include "hub/layout_internal.h"

#define WEIGHTS_MAX 100000

typedef struct json_reader {
    mg_arena *arena;
    const char *where;
    mg_str prefix; /* of the module */
    mg_error *err;
} json_reader;

static mg_status fail(const json_reader *reader, const mg_value *at, const char *what)
{
    return mg_fail(reader->err, MG_ERR_FORMAT, "%s:%d:%d: %s", reader->where,
                   at != NULL ? at->line : 0, at != NULL ? at->column : 0, what);
}

/* Placeholders must be ones that can be filled in. */
static bool placeholders_are_known(mg_str name)
{
    static const char *const known[] = { "layer_index}", "layer_index+1}", "layer_index-1}",
                                         "num_layers}",  "num_layers+1}",  "num_layers-1}" };
    for (size_t i = 0; i + 1 < name.size; i++) {
        if (name.data[i] != '$' || name.data[i + 1] != '{') {
            continue;
        }
        mg_str rest = mg_str_slice(name, i + 2, name.size);
        bool found = false;
        for (int64_t k = 0; k < MG_ARRAY_COUNT(known); k++) {
            found = found || mg_str_starts(rest, known[k]);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static mg_status read_name(const json_reader *reader, const mg_value *value, mg_str *name_out)
{
    if (value == NULL || value->kind != MG_STRING || value->string.size == 0) {
        return fail(reader, value, "a weight needs a name");
    }
    if (!placeholders_are_known(value->string)) {
        return fail(reader, value,
                    "unknown placeholder, expected ${layer_index} or ${num_layers}, with +1 or -1");
    }
    *name_out = mg_arena_printf(reader->arena, "%.*s%.*s", MG_STR_ARG(reader->prefix),
                                MG_STR_ARG(value->string));
    return MG_OK;
}

static mg_status read_names(const json_reader *reader, const mg_value *list,
                            const mg_str **names_out, int64_t *count_out)
{
    *names_out = NULL;
    *count_out = 0;
    if (mg_value_is_null(list)) {
        return MG_OK;
    }
    if (list->kind != MG_LIST) {
        return fail(reader, list, "expected a list of names");
    }
    mg_str *names = mg_arena_array(reader->arena, mg_str, list->count);
    for (int64_t i = 0; i < list->count; i++) {
        MG_TRY(read_name(reader, &list->items[i], &names[i]));
    }
    *names_out = names;
    *count_out = list->count;
    return MG_OK;
}

static mg_status read_flag(const json_reader *reader, const mg_value *value, bool *flag_out)
{
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    if (value->kind != MG_BOOL) {
        return fail(reader, value, "expected true or false");
    }
    *flag_out = value->boolean;
    return MG_OK;
}

static mg_status read_weight(const json_reader *reader, const mg_value *map,
                             mg_layout_weight *weight)
{
    if (map->kind != MG_MAP) {
        return fail(reader, map, "a weight must be a map");
    }
    weight->force_dtype = MG_DTYPE_COUNT;
    MG_TRY(read_name(reader, mg_value_get(map, "name"), &weight->name));
    MG_TRY(read_flag(reader, mg_value_get(map, "is_embed"), &weight->embed));
    MG_TRY(read_flag(reader, mg_value_get(map, "optional"), &weight->optional));
    const mg_value *axis = mg_value_get(map, "vocabulary_axis");
    if (!mg_value_is_null(axis)) {
        int64_t index;
        if (!mg_value_to_int(axis, &index) || index != 0) {
            return fail(reader, axis, "vocabulary_axis must be 0: tokens are rows");
        }
        weight->embed = true;
    }
    const mg_value *dtype = mg_value_get(map, "force_dtype");
    if (!mg_value_is_null(dtype) && !mg_dtype_parse_torch(dtype->string, &weight->force_dtype)) {
        return fail(reader, dtype, "unknown force_dtype");
    }
    MG_TRY(
        read_names(reader, mg_value_get(map, "aliases"), &weight->aliases, &weight->alias_count));
    return read_names(reader, mg_value_get(map, "tied_names"), &weight->tied, &weight->tied_count);
}

static mg_status read_weights(const json_reader *reader, const mg_value *list,
                              const mg_layout_weight **weights_out, int64_t *count_out)
{
    *weights_out = NULL;
    *count_out = 0;
    if (mg_value_is_null(list)) {
        return MG_OK;
    }
    if (list->kind != MG_LIST || list->count > WEIGHTS_MAX) {
        return fail(reader, list, "expected a list of weights");
    }
    mg_layout_weight *weights = mg_arena_array(reader->arena, mg_layout_weight, list->count);
    for (int64_t i = 0; i < list->count; i++) {
        MG_TRY(read_weight(reader, &list->items[i], &weights[i]));
    }
    *weights_out = weights;
    *count_out = list->count;
    return MG_OK;
}

static mg_status read_module(const json_reader *reader, mg_str name, const mg_value *map,
                             mg_layout_module *module)
{
    if (map == NULL || map->kind != MG_MAP) {
        return fail(reader, map, "expected the definition of an architecture");
    }
    module->name = mg_arena_copy(reader->arena, name);
    const mg_value *key = mg_value_get(map, "num_layers_config_key");
    const mg_value *fixed = mg_value_get(map, "override_num_layers");
    if (!mg_value_is_null(fixed)) {
        if (!mg_value_to_int(fixed, &module->fixed_layer_count) || module->fixed_layer_count < 0 ||
            module->fixed_layer_count > WEIGHTS_MAX) {
            return fail(reader, fixed, "override_num_layers must be a number of layers");
        }
    } else if (mg_value_is_null(key)) {
        module->layer_count_key = mg_str_of("num_hidden_layers");
    } else if (key->kind == MG_STRING) {
        module->layer_count_key = mg_arena_copy(reader->arena, key->string);
    } else {
        return fail(reader, key, "num_layers_config_key must be a string");
    }
    MG_TRY(
        read_weights(reader, mg_value_get(map, "pre_weights"), &module->pre, &module->pre_count));
    MG_TRY(read_weights(reader, mg_value_path(map, "layer_templates.weights"), &module->layer,
                        &module->layer_weight_count));
    return read_weights(reader, mg_value_get(map, "post_weights"), &module->post,
                        &module->post_count);
}

static mg_status read_modules(json_reader *reader, const mg_value *root, mg_layout *layout)
{
    const mg_value *kind = mg_value_get(root, "kind");
    bool modular = kind != NULL && kind->kind == MG_STRING && mg_str_is(kind->string, "modular");
    if (!modular) {
        mg_layout_module *module = mg_arena_new(reader->arena, mg_layout_module);
        layout->modules = module;
        layout->module_count = 1;
        return read_module(reader, mg_str_of("default"), root, module);
    }
    const mg_value *map = mg_value_get(root, "modules");
    if (map == NULL || map->kind != MG_MAP || map->count == 0) {
        return fail(reader, root, "a modular architecture needs 'modules'");
    }
    mg_layout_module *modules = mg_arena_array(reader->arena, mg_layout_module, map->count);
    layout->modules = modules;
    layout->module_count = map->count;
    for (int64_t i = 0; i < map->count; i++) {
        const mg_value *entry = &map->entries[i].value;
        if (!mg_value_is_null(mg_value_get(entry, "subfolder"))) {
            return fail(reader, entry, "modules in sub-folders are not supported");
        }
        const mg_value *prefix = mg_value_get(entry, "weight_prefix");
        reader->prefix = mg_str_of("");
        if (prefix != NULL && prefix->kind == MG_STRING) {
            reader->prefix = prefix->string;
        }
        MG_TRY(read_module(reader, map->entries[i].key.string, mg_value_get(entry, "architecture"),
                           &modules[i]));
    }
    reader->prefix = mg_str_of("");
    return MG_OK;
}

static mg_status read_strings(const json_reader *reader, const mg_value *list,
                              const mg_str **strings_out, int64_t *count_out)
{
    if (mg_value_is_null(list)) {
        return MG_OK;
    }
    if (list->kind != MG_LIST) {
        return fail(reader, list, "expected a list of strings");
    }
    mg_str *strings = mg_arena_array(reader->arena, mg_str, list->count);
    for (int64_t i = 0; i < list->count; i++) {
        if (list->items[i].kind != MG_STRING) {
            return fail(reader, &list->items[i], "expected a string");
        }
        strings[i] = mg_arena_copy(reader->arena, list->items[i].string);
    }
    *strings_out = strings;
    *count_out = list->count;
    return MG_OK;
}

mg_status mg_layout_from_json(mg_arena *arena, const mg_value *root, const char *where,
                              mg_layout **layout_out, mg_error *err)
{
    *layout_out = NULL;
    json_reader reader = { arena, where, mg_str_of(""), err };
    mg_layout *layout = mg_arena_new(arena, mg_layout);
    if (root->kind != MG_MAP) {
        return fail(&reader, root, "expected a map");
    }
    MG_TRY(read_strings(&reader, mg_value_get(root, "architectures"), &layout->architectures,
                        &layout->architecture_count));
    if (layout->architecture_count == 0) {
        return fail(&reader, root, "needs 'architectures', the class names it is for");
    }
    const mg_value *type = mg_value_get(root, "model_type");
    layout->model_type = mg_arena_copy(arena, type != NULL ? type->string : mg_str_of(""));
    const mg_value *vocab = mg_value_get(root, "vocab_size_config_key");
    bool has_vocab = vocab != NULL && vocab->kind == MG_STRING;
    layout->vocab_key = has_vocab ? mg_arena_copy(arena, vocab->string) : mg_str_of("vocab_size");
    MG_TRY(read_strings(&reader, mg_value_get(root, "tagalong_files"), &layout->tagalong,
                        &layout->tagalong_count));
    for (int64_t i = 0; i < layout->tagalong_count; i++) {
        mg_str file = layout->tagalong[i];
        if (file.size == 0 || memchr(file.data, '/', file.size) != NULL ||
            mg_str_find(file, mg_str_of(".."), 0) >= 0) {
            return fail(&reader, root, "tagalong_files must be plain file names");
        }
    }
    MG_TRY(read_modules(&reader, root, layout));
    *layout_out = layout;
    return MG_OK;
}
