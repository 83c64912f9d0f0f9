/* merge/documents.c - several merges from one file, in the order of what they need. */
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "merge/execute.h"

typedef enum visit { VISIT_NOT, VISIT_OPEN, VISIT_DONE } visit;

typedef struct documents {
    mg_recipe *recipes;
    int64_t count;
    mg_str *names; /* empty = the final merge */
    bool *needs;   /* (count, count): row needs column */
    visit *visited;
    int64_t *order; /* documents, each behind those it needs */
    int64_t ordered;
    mg_model_set *set;
    const mg_device *device;
    mg_pool *pool;
    const mg_merge_options *options;
    const char *intermediate;
    bool lazy;
    const char *out;
    mg_arena *arena;
} documents;

/* Where a document's mistakes are told: at its name. */
static const mg_value *place_of(const mg_recipe *recipe)
{
    return recipe->name_where != NULL ? recipe->name_where : recipe->where;
}

static mg_status check_names(const documents *d, mg_error *err)
{
    mg_diagnostics diagnostics;
    mg_map seen = { NULL, 0, 0 };
    memset(&diagnostics, 0, sizeof(diagnostics));
    for (int64_t i = 0; i < d->count; i++) {
        mg_str name = d->names[i];
        const mg_value *where = place_of(&d->recipes[i]);
        diagnostics.file = d->recipes[i].file;
        bool plain = mg_str_find(name, mg_str_of("/"), 0) < 0 && !mg_str_is(name, ".") &&
                     !mg_str_is(name, "..");
        if (!plain) {
            mg_diagnose(&diagnostics, where, "document name '%.*s' must be a plain file name",
                        MG_STR_ARG(name));
        } else if (mg_map_set(&seen, name, i)) {
            continue; /* the first of this name */
        } else if (name.size > 0) {
            mg_diagnose(&diagnostics, where, "two documents have the name '%.*s'",
                        MG_STR_ARG(name));
        } else {
            mg_diagnose(&diagnostics, where,
                        "two documents have no name: only one, the final merge, may");
        }
    }
    mg_status status = mg_diagnostics_finish(&diagnostics, err);
    mg_diagnostics_release(&diagnostics);
    mg_map_release(&seen);
    return status;
}

static bool is_finished(const char *folder, mg_arena *arena)
{
    return mg_path_is_file(mg_path_join(arena, folder, "config.json").data) &&
           (mg_path_is_file(mg_path_join(arena, folder, "model.safetensors").data) ||
            mg_path_is_file(mg_path_join(arena, folder, "model.safetensors.index.json").data));
}

/* Puts a document behind those it needs. */
static mg_status put_in_order(documents *d, int64_t index, mg_error *err)
{
    if (d->visited[index] == VISIT_OPEN) {
        const mg_recipe *recipe = &d->recipes[index];
        const mg_value *where = place_of(recipe);
        return mg_fail(err, MG_ERR_CONFIG, "%.*s:%d:%d: the merge '%.*s' needs itself",
                       MG_STR_ARG(recipe->file), where != NULL ? (int)where->line : 0,
                       where != NULL ? (int)where->column : 0, MG_STR_ARG(d->names[index]));
    }
    if (d->visited[index] == VISIT_DONE) {
        return MG_OK;
    }
    d->visited[index] = VISIT_OPEN;
    for (int64_t k = 0; k < d->count; k++) {
        if (d->needs[index * d->count + k]) {
            MG_TRY(put_in_order(d, k, err));
        }
    }
    d->visited[index] = VISIT_DONE;
    d->order[d->ordered++] = index;
    return MG_OK;
}

/* Takes the names off the recipes, and finds what needs what. */
static mg_status begin(documents *d, mg_recipe *recipes, int64_t count, const char *intermediate,
                       mg_arena *arena, mg_error *err)
{
    memset(d, 0, sizeof(*d));
    d->recipes = recipes;
    d->count = count;
    d->intermediate = intermediate;
    d->arena = arena;
    d->names = mg_arena_array(arena, mg_str, count);
    d->needs = mg_arena_array(arena, bool, count *count);
    d->visited = mg_arena_array(arena, visit, count);
    d->order = mg_arena_array(arena, int64_t, count);
    for (int64_t i = 0; i < count; i++) {
        d->names[i] = mg_arena_copy(arena, recipes[i].name);
        recipes[i].name = mg_str_of(""); /* of this file alone, not of the recipe as recorded */
    }
    MG_TRY(check_names(d, err));
    for (int64_t i = 0; i < count; i++) {
        mg_recipe_relocate(&recipes[i], d->names, count, intermediate, arena, d->needs + i * count);
    }
    return MG_OK;
}

mg_status mg_check_documents(const mg_recipe *recipes, int64_t count, mg_arena *arena,
                             mg_error *err)
{
    documents d;
    mg_recipe *copies = mg_arena_array(arena, mg_recipe, count);
    memcpy(copies, recipes, (size_t)count * sizeof(*copies));
    MG_TRY(begin(&d, copies, count, ".", arena, err));
    for (int64_t i = 0; i < count; i++) {
        MG_TRY(put_in_order(&d, i, err));
    }
    return MG_OK;
}

static mg_status run_document(const documents *d, int64_t index, mg_error *err)
{
    const char *target = d->out;
    if (d->names[index].size == 0 && d->out == NULL) {
        return MG_OK;
    }
    if (d->names[index].size > 0) {
        target = mg_path_join(d->arena, d->intermediate, d->names[index].data).data;
        if (d->lazy && is_finished(target, d->arena)) {
            mg_note("%s is there already", target);
            return MG_OK;
        }
    }
    mg_status status =
        mg_merge_to_folder(&d->recipes[index], d->set, d->device, d->pool, d->options, target, err);
    if (status != MG_OK && d->names[index].size > 0) {
        mg_error_prefix(err, "merge '%.*s'", MG_STR_ARG(d->names[index]));
    }
    return status;
}

mg_status mg_merge_documents(mg_recipe *recipes, int64_t count, mg_model_set *set,
                             const mg_device *device, mg_pool *pool,
                             const mg_merge_options *options, const char *intermediate, bool lazy,
                             const char *out, mg_arena *arena, mg_error *err)
{
    documents d;
    bool has_final = false;
    MG_TRY(begin(&d, recipes, count, intermediate, arena, err));
    d.set = set;
    d.device = device;
    d.pool = pool;
    d.options = options;
    d.lazy = lazy;
    d.out = out;
    for (int64_t i = 0; i < count; i++) {
        has_final = has_final || d.names[i].size == 0;
        if (out != NULL || d.names[i].size == 0) {
            MG_TRY(put_in_order(&d, i, err));
        }
    }
    if (out == NULL && !has_final) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "all documents have names: leave out that of the final merge");
    }
    for (int64_t i = 0; i < d.ordered; i++) {
        MG_TRY(run_document(&d, d.order[i], err));
    }
    return MG_OK;
}
