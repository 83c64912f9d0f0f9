/* merge/plan_recipe.c - a recipe as mergekit records it when it has no text of it (merging.md 1.10
 * and 2.4): modules by name, with slices, whose ranges are written out and whose base is a source.
 */
#include "merge/plan_internal.h"

static int64_t layers_of(const mg_plan *plan, const mg_layout_module *module,
                         const mg_model_ref *ref)
{
    int64_t count = 0;
    for (int64_t i = 0; i < plan->model_count; i++) {
        if (mg_model_ref_equal(&plan->refs[i], ref)) {
            mg_error ignored; /* the plan has asked for it already */
            if (mg_layout_layer_count(module, &plan->models[i]->config.root, &count, &ignored) !=
                MG_OK) {
                count = 0;
            }
        }
    }
    return count;
}

/* The only slice of a module that names whole models. */
static mg_recipe_slice spell_out(const mg_plan *plan, const mg_recipe *recipe,
                                 const mg_recipe_slice *from, const mg_layout_module *module,
                                 mg_arena *arena)
{
    mg_recipe_slice slice = *from;
    mg_recipe_source *sources = mg_arena_array(arena, mg_recipe_source, from->source_count + 1);
    bool has_base = false;
    for (int64_t i = 0; i < from->source_count; i++) {
        sources[i] = from->sources[i];
        has_base = has_base || mg_model_ref_equal(&sources[i].model, &recipe->base);
    }
    if (recipe->has_base && !has_base) {
        sources[slice.source_count++].model = recipe->base;
    }
    for (int64_t i = 0; i < slice.source_count; i++) {
        sources[i].has_range = true;
        sources[i].layer_begin = 0;
        sources[i].layer_end = layers_of(plan, module, &sources[i].model);
    }
    slice.sources = sources;
    return slice;
}

mg_recipe mg_plan_recorded_recipe(const mg_plan *plan, const mg_recipe *recipe, mg_arena *arena)
{
    mg_recipe recorded = *recipe;
    mg_recipe_module *modules = mg_arena_array(arena, mg_recipe_module, plan->module_count);
    for (int64_t m = 0; m < plan->module_count; m++) {
        const mg_layout_module *module = plan->modules[m].module;
        bool named = recipe->modules[0].name.size > 0;
        modules[m] = recipe->modules[named ? m : 0];
        modules[m].name = module->name;
        if (!modules[m].explicit_slices) {
            mg_recipe_slice *slice = mg_arena_new(arena, mg_recipe_slice);
            *slice = spell_out(plan, recipe, &modules[m].slices[0], module, arena);
            modules[m].slices = slice;
            modules[m].slice_count = 1;
            modules[m].explicit_slices = true;
        }
    }
    recorded.modules = modules;
    recorded.module_count = plan->module_count;
    return recorded;
}
