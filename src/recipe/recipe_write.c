/* recipe/recipe_write.c - the canonical YAML of a recipe (merging.md 1.10).
 *
 * A document tree is built with its keys in alphabetical order, default values left out, and
 * printed by the YAML writer. */
#include "recipe/recipe.h"

#include <stdlib.h>

#include "text/yaml.h"

/* A map under construction: keys come in any order and are sorted at the end. */
typedef struct map_maker {
    mg_arena *arena;
    mg_value map;
    int64_t cap;
} map_maker;

static map_maker map_begin(mg_arena *arena, int64_t cap)
{
    map_maker maker = { arena, mg_value_of_map(arena, cap), cap };
    maker.map.count = 0;
    return maker;
}

static void map_add(map_maker *maker, mg_str key, mg_value value)
{
    MG_ASSERT(maker->map.count < maker->cap);
    mg_entry *entry = &maker->map.entries[maker->map.count++];
    entry->key = mg_value_of_str(maker->arena, key);
    entry->value = value;
}

static int compare_entries(const void *a, const void *b)
{
    return mg_str_compare(((const mg_entry *)a)->key.string, ((const mg_entry *)b)->key.string);
}

static mg_value map_end(map_maker *maker)
{
    if (maker->map.count > 1) {
        qsort(maker->map.entries, (size_t)maker->map.count, sizeof(mg_entry), compare_entries);
    }
    return maker->map;
}

static mg_value path_value(mg_arena *arena, mg_str path, mg_str revision)
{
    map_maker maker = map_begin(arena, 2);
    map_add(&maker, mg_str_of("path"), mg_value_of_str(arena, path));
    if (revision.size > 0) {
        map_add(&maker, mg_str_of("revision"), mg_value_of_str(arena, revision));
    }
    return map_end(&maker);
}

static bool has_char(mg_str text, const char *chars)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr(chars, text.data[i]) != NULL && text.data[i] != '\0') {
            return true;
        }
    }
    return false;
}

/* The string form, unless an override, or a character with a meaning in it, needs the map. */
static mg_value ref_value(mg_arena *arena, const mg_model_ref *ref)
{
    bool plain = ref->override_architecture.size == 0 && !has_char(ref->path, " \"+@") &&
                 !has_char(ref->lora_path, " \"+@");
    if (plain) {
        return mg_value_of_str(arena, mg_model_ref_text(ref, arena));
    }
    map_maker maker = map_begin(arena, 3);
    map_add(&maker, mg_str_of("model"), path_value(arena, ref->path, ref->revision));
    if (ref->lora_path.size > 0) {
        map_add(&maker, mg_str_of("lora"), path_value(arena, ref->lora_path, ref->lora_revision));
    }
    if (ref->override_architecture.size > 0) {
        map_add(&maker, mg_str_of("override_architecture"),
                mg_value_of_str(arena, ref->override_architecture));
    }
    return map_end(&maker);
}

static mg_value curve_value(mg_arena *arena, const mg_curve *curve)
{
    if (curve->count == 1) {
        return mg_value_of_double(curve->values[0]);
    }
    mg_value list = mg_value_of_list(arena, curve->count);
    for (int64_t i = 0; i < curve->count; i++) {
        list.items[i] = mg_value_of_double(curve->values[i]);
    }
    return list;
}

/* A setting as the file gives it, numbers as they are written, without what mergekit leaves out. */
static mg_value given_value(mg_arena *arena, const mg_value *given)
{
    if (given->kind == MG_LIST) {
        mg_value list = mg_value_of_list(arena, given->count);
        for (int64_t i = 0; i < given->count; i++) {
            list.items[i] = given_value(arena, &given->items[i]);
        }
        return list;
    }
    if (given->kind != MG_MAP) {
        return mg_value_copy(arena, given);
    }
    map_maker maker = map_begin(arena, 2);
    const mg_value *filter = mg_value_get(given, "filter");
    if (!mg_value_is_null(filter)) {
        map_add(&maker, mg_str_of("filter"), mg_value_copy(arena, filter));
    }
    map_add(&maker, mg_str_of("value"), mg_value_copy(arena, mg_value_get(given, "value")));
    return map_end(&maker);
}

static mg_value setting_value(mg_arena *arena, const mg_setting *setting)
{
    if (setting->where != NULL) {
        return given_value(arena, setting->where);
    }
    if (setting->condition_count == 1 && setting->conditions[0].filter.size == 0) {
        return curve_value(arena, &setting->conditions[0].curve);
    }
    mg_value list = mg_value_of_list(arena, setting->condition_count);
    for (int64_t i = 0; i < setting->condition_count; i++) {
        const mg_condition *condition = &setting->conditions[i];
        map_maker maker = map_begin(arena, 2);
        if (condition->filter.size > 0) {
            map_add(&maker, mg_str_of("filter"), mg_value_of_str(arena, condition->filter));
        }
        map_add(&maker, mg_str_of("value"), curve_value(arena, &condition->curve));
        list.items[i] = map_end(&maker);
    }
    return list;
}

static void add_settings(map_maker *maker, const mg_settings *settings)
{
    if (settings->count == 0) {
        return;
    }
    map_maker inner = map_begin(maker->arena, settings->count);
    for (int64_t i = 0; i < settings->count; i++) {
        map_add(&inner, settings->items[i].name, setting_value(maker->arena, &settings->items[i]));
    }
    map_add(maker, mg_str_of("parameters"), map_end(&inner));
}

static mg_value source_value(mg_arena *arena, const mg_recipe_source *source)
{
    map_maker maker = map_begin(arena, 3);
    map_add(&maker, mg_str_of("model"), ref_value(arena, &source->model));
    if (source->has_range) {
        mg_value range = mg_value_of_list(arena, 2);
        range.items[0] = mg_value_of_int(source->layer_begin);
        range.items[1] = mg_value_of_int(source->layer_end);
        map_add(&maker, mg_str_of("layer_range"), range);
    }
    add_settings(&maker, &source->settings);
    return map_end(&maker);
}

static mg_value sources_value(mg_arena *arena, const mg_recipe_slice *slice)
{
    mg_value list = mg_value_of_list(arena, slice->source_count);
    for (int64_t i = 0; i < slice->source_count; i++) {
        list.items[i] = source_value(arena, &slice->sources[i]);
    }
    return list;
}

/* Adds `models` or `slices`. */
static void add_body(map_maker *maker, const mg_recipe_module *module)
{
    mg_arena *arena = maker->arena;
    if (!module->explicit_slices) {
        map_add(maker, mg_str_of("models"), sources_value(arena, &module->slices[0]));
        return;
    }
    mg_value list = mg_value_of_list(arena, module->slice_count);
    for (int64_t i = 0; i < module->slice_count; i++) {
        const mg_recipe_slice *slice = &module->slices[i];
        map_maker inner = map_begin(arena, 3);
        map_add(&inner, mg_str_of("sources"), sources_value(arena, slice));
        if (slice->has_base) {
            map_add(&inner, mg_str_of("base_model"), ref_value(arena, &slice->base));
        }
        add_settings(&inner, &slice->settings);
        list.items[i] = map_end(&inner);
    }
    map_add(maker, mg_str_of("slices"), list);
}

static void add_modules(map_maker *maker, const mg_recipe *recipe)
{
    if (recipe->module_count == 1 && recipe->modules[0].name.size == 0) {
        add_body(maker, &recipe->modules[0]);
        return;
    }
    map_maker modules = map_begin(maker->arena, recipe->module_count);
    for (int64_t i = 0; i < recipe->module_count; i++) {
        map_maker module = map_begin(maker->arena, 2);
        add_body(&module, &recipe->modules[i]);
        add_settings(&module, &recipe->modules[i].settings);
        map_add(&modules, recipe->modules[i].name, map_end(&module));
    }
    map_add(maker, mg_str_of("modules"), map_end(&modules));
}

static void add_text(map_maker *maker, const char *key, mg_str text)
{
    if (text.size > 0) {
        map_add(maker, mg_str_of(key), mg_value_of_str(maker->arena, text));
    }
}

/* The `tokenizer` block with its keys sorted, without null and without what is the default. */
static mg_value tokenizer_value(mg_arena *arena, const mg_value *given)
{
    if (given->kind != MG_MAP) {
        return mg_value_copy(arena, given);
    }
    map_maker maker = map_begin(arena, given->count);
    for (int64_t i = 0; i < given->count; i++) {
        const mg_entry *entry = &given->entries[i];
        const mg_value *value = &entry->value;
        bool unforced =
            mg_str_is(entry->key.string, "force") && value->kind == MG_BOOL && !value->boolean;
        bool of_all = mg_str_is(entry->key.string, "source") && value->kind == MG_STRING &&
                      mg_str_is(value->string, "union");
        if (entry->key.kind == MG_STRING && value->kind != MG_NULL && !unforced && !of_all) {
            map_add(&maker, entry->key.string, tokenizer_value(arena, value));
        }
    }
    return map_end(&maker);
}

static void add_merganser(map_maker *maker, const mg_recipe *recipe)
{
    if (recipe->mask == MG_MASK_TORCH && recipe->rescale == MG_RESCALE_DEFAULT &&
        recipe->order == MG_ORDER_TORCH) {
        return;
    }
    map_maker block = map_begin(maker->arena, 4);
    if (recipe->mask == MG_MASK_PHILOX) {
        add_text(&block, "mask", mg_str_of("philox"));
        map_add(&block, mg_str_of("seed"), mg_value_of_int((int64_t)recipe->mask_seed));
    }
    if (recipe->rescale != MG_RESCALE_DEFAULT) {
        add_text(&block, "rescale", mg_str_of(recipe->rescale == MG_RESCALE_L1 ? "l1" : "density"));
    }
    if (recipe->order == MG_ORDER_INDEX) {
        add_text(&block, "order", mg_str_of("index"));
    }
    map_add(maker, mg_str_of("merganser"), map_end(&block));
}

void mg_recipe_write(const mg_recipe *recipe, mg_buf *out)
{
    mg_arena arena = { NULL, 0, 0 };
    map_maker maker = map_begin(&arena, 12);
    add_text(&maker, "merge_method", recipe->method);
    add_text(&maker, "name", recipe->name);
    if (recipe->has_base) {
        map_add(&maker, mg_str_of("base_model"), ref_value(&arena, &recipe->base));
    }
    add_modules(&maker, recipe);
    add_settings(&maker, &recipe->settings);
    if (recipe->dtype != MG_DTYPE_COUNT) {
        add_text(&maker, "dtype", mg_str_of(mg_dtype_torch_name(recipe->dtype)));
    }
    if (recipe->out_dtype != MG_DTYPE_COUNT) {
        add_text(&maker, "out_dtype", mg_str_of(mg_dtype_torch_name(recipe->out_dtype)));
    }
    add_text(&maker, "chat_template", recipe->chat_template);
    add_text(&maker, "tokenizer_source", recipe->tokenizer_source);
    if (recipe->tokenizer != NULL) {
        map_add(&maker, mg_str_of("tokenizer"), tokenizer_value(&arena, recipe->tokenizer));
    }
    add_merganser(&maker, recipe);
    mg_value document = map_end(&maker);
    mg_yaml_write(out, &document);
    mg_arena_release(&arena);
}

void mg_recipes_write(const mg_recipe *recipes, int64_t count, mg_buf *out)
{
    for (int64_t i = 0; i < count; i++) {
        mg_buf_add_text(out, i > 0 ? "---\n" : "");
        mg_recipe_write(&recipes[i], out);
    }
}
