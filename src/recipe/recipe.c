/* recipe/recipe.c - looking up settings, evaluating curves, moving models. */
#include "recipe/recipe.h"

#include "base/fs.h"

const mg_setting *mg_settings_find(const mg_settings *settings, mg_str name)
{
    for (int64_t i = 0; i < settings->count; i++) {
        if (mg_str_equal(settings->items[i].name, name)) {
            return &settings->items[i];
        }
    }
    return NULL;
}

const mg_curve *mg_setting_match(const mg_setting *setting, mg_str tensor_name)
{
    for (int64_t i = 0; i < setting->condition_count; i++) {
        const mg_condition *condition = &setting->conditions[i];
        if (condition->filter.size == 0 || mg_str_is(condition->filter, "*") ||
            mg_str_find(tensor_name, condition->filter, 0) >= 0) {
            return &condition->curve;
        }
    }
    return NULL;
}

double mg_curve_at(const mg_curve *curve, double t)
{
    MG_ASSERT(curve->count > 0);
    if (curve->count == 1) {
        return curve->values[0];
    }
    double scaled = t * (double)(curve->count - 1);
    int64_t low = (int64_t)scaled;
    MG_ASSERT(low >= 0 && low < curve->count);
    int64_t high = MG_MIN(curve->count - 1, low + 1);
    double part = scaled - (double)low;
    return (1.0 - part) * curve->values[low] + part * curve->values[high];
}

bool mg_recipe_method_known(mg_str name, const char **nearest_out)
{
    static const char *const names[] = { "linear",
                                         "slerp",
                                         "nuslerp",
                                         "multislerp",
                                         "karcher",
                                         "ties",
                                         "task_arithmetic",
                                         "dare_ties",
                                         "dare_linear",
                                         "della",
                                         "della_linear",
                                         "breadcrumbs",
                                         "sce",
                                         "breadcrumbs_ties",
                                         "model_stock",
                                         "nearswap",
                                         "arcee_fusion",
                                         "passthrough",
                                         "ram",
                                         "ramplus_tl" };
    *nearest_out = NULL;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        if (mg_str_is(name, names[i])) {
            return true;
        }
    }
    *nearest_out = mg_str_nearest(name, names, MG_ARRAY_COUNT(names));
    return false;
}

typedef struct mover {
    const mg_str *names;
    int64_t count;
    const char *folder;
    mg_arena *arena;
    bool *used;
} mover;

static void move_ref(const mover *m, mg_model_ref *ref)
{
    for (int64_t i = 0; i < m->count; i++) {
        if (m->names[i].size > 0 && mg_str_equal(ref->path, m->names[i])) {
            mg_str name = mg_arena_copy(m->arena, m->names[i]);
            ref->path = mg_path_join(m->arena, m->folder, name.data);
            m->used[i] = true;
            return;
        }
    }
}

/* The same for a reference in its printed form; other texts stay. */
static mg_str move_text(const mover *m, mg_str text)
{
    mg_model_ref ref;
    mg_error ignored;
    if (mg_model_ref_parse(text, m->arena, &ref, &ignored) != MG_OK) {
        return text;
    }
    mg_str path = ref.path;
    move_ref(m, &ref);
    return mg_str_equal(path, ref.path) ? text : mg_model_ref_text(&ref, m->arena);
}

/* The `tokenizer` block: its texts are references, apart from the keys and from tokens by name. */
static mg_value move_tokenizer(const mover *m, const mg_value *from)
{
    mg_value to = *from;
    if (from->kind == MG_STRING) {
        to.string = to.source = move_text(m, from->string);
    } else if (from->kind == MG_MAP) {
        to = mg_value_of_map(m->arena, from->count);
        for (int64_t i = 0; i < from->count; i++) {
            const mg_entry *entry = &from->entries[i];
            bool is_token = entry->key.kind == MG_STRING && mg_str_is(entry->key.string, "token") &&
                            entry->value.kind == MG_STRING;
            to.entries[i].key = entry->key;
            to.entries[i].value = is_token ? entry->value : move_tokenizer(m, &entry->value);
        }
        to.line = from->line;
        to.column = from->column;
    }
    return to;
}

static mg_recipe_slice move_slice(const mover *m, const mg_recipe_slice *from)
{
    mg_recipe_slice slice = *from;
    mg_recipe_source *sources = mg_arena_array(m->arena, mg_recipe_source, from->source_count);
    for (int64_t i = 0; i < from->source_count; i++) {
        sources[i] = from->sources[i];
        move_ref(m, &sources[i].model);
    }
    slice.sources = sources;
    if (slice.has_base) {
        move_ref(m, &slice.base);
    }
    return slice;
}

void mg_recipe_relocate(mg_recipe *recipe, const mg_str *names, int64_t count, const char *folder,
                        mg_arena *arena, bool *used)
{
    mover m = { names, count, folder, arena, used };
    mg_recipe_module *modules = mg_arena_array(arena, mg_recipe_module, recipe->module_count);
    for (int64_t i = 0; i < recipe->module_count; i++) {
        modules[i] = recipe->modules[i];
        mg_recipe_slice *slices = mg_arena_array(arena, mg_recipe_slice, modules[i].slice_count);
        for (int64_t k = 0; k < modules[i].slice_count; k++) {
            slices[k] = move_slice(&m, &modules[i].slices[k]);
        }
        modules[i].slices = slices;
    }
    recipe->modules = modules;
    if (recipe->has_base) {
        move_ref(&m, &recipe->base);
    }
    recipe->tokenizer_source = move_text(&m, recipe->tokenizer_source);
    if (recipe->tokenizer != NULL) {
        mg_value *tokenizer = mg_arena_new(arena, mg_value);
        *tokenizer = move_tokenizer(&m, recipe->tokenizer);
        recipe->tokenizer = tokenizer;
    }
}
