/* merge/documents.c - several merges from one file, in the order of what they need. */
#include "base/fs.h"
#include "base/log.h"
#include "merge/execute.h"

typedef enum visit { VISIT_NOT, VISIT_OPEN, VISIT_DONE } visit;

typedef struct documents {
    mg_recipe *recipes;
    int64_t count;
    mg_str *names; /* empty = the final merge */
    bool *needs;   /* (count, count): row needs column */
    visit *visited;
    mg_model_set *set;
    const mg_device *device;
    mg_pool *pool;
    const mg_merge_options *options;
    const char *intermediate;
    bool lazy;
    const char *out;
    mg_arena *arena;
} documents;

static mg_status check_names(const documents *d, mg_error *err)
{
    for (int64_t i = 0; i < d->count; i++) {
        for (int64_t k = 0; k < i; k++) {
            if (mg_str_equal(d->names[i], d->names[k])) {
                return d->names[i].size > 0
                           ? mg_fail(err, MG_ERR_CONFIG, "two documents have the name '%.*s'",
                                     MG_STR_ARG(d->names[i]))
                           : mg_fail(err, MG_ERR_CONFIG,
                                     "two documents have no name: only one, the final merge, may");
            }
        }
        bool plain = mg_str_find(d->names[i], mg_str_of("/"), 0) < 0 &&
                     !mg_str_is(d->names[i], ".") && !mg_str_is(d->names[i], "..");
        if (!plain) {
            return mg_fail(err, MG_ERR_CONFIG, "document name '%.*s' must be a plain file name",
                           MG_STR_ARG(d->names[i]));
        }
    }
    return MG_OK;
}

static bool is_finished(const char *folder, mg_arena *arena)
{
    return mg_path_is_file(mg_path_join(arena, folder, "config.json").data) &&
           (mg_path_is_file(mg_path_join(arena, folder, "model.safetensors").data) ||
            mg_path_is_file(mg_path_join(arena, folder, "model.safetensors.index.json").data));
}

static mg_status run_document(documents *d, int64_t index, mg_error *err)
{
    if (d->visited[index] == VISIT_OPEN) {
        return mg_fail(err, MG_ERR_CONFIG, "the merge '%.*s' needs itself",
                       MG_STR_ARG(d->names[index]));
    }
    if (d->visited[index] == VISIT_DONE) {
        return MG_OK;
    }
    d->visited[index] = VISIT_OPEN;
    for (int64_t k = 0; k < d->count; k++) {
        if (d->needs[index * d->count + k]) {
            MG_TRY(run_document(d, k, err));
        }
    }
    d->visited[index] = VISIT_DONE;
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
    memset(&d, 0, sizeof(d));
    d.recipes = recipes;
    d.count = count;
    d.set = set;
    d.device = device;
    d.pool = pool;
    d.options = options;
    d.intermediate = intermediate;
    d.lazy = lazy;
    d.out = out;
    d.arena = arena;
    d.names = mg_arena_array(arena, mg_str, count);
    d.needs = mg_arena_array(arena, bool, count *count);
    d.visited = mg_arena_array(arena, visit, count);
    for (int64_t i = 0; i < count; i++) {
        d.names[i] = mg_arena_copy(arena, recipes[i].name);
        recipes[i].name = mg_str_of(""); /* of this file alone, not of the recipe as recorded */
    }
    MG_TRY(check_names(&d, err));
    for (int64_t i = 0; i < count; i++) {
        mg_recipe_relocate(&recipes[i], d.names, count, intermediate, arena, d.needs + i * count);
    }
    bool has_final = false;
    for (int64_t i = 0; i < count; i++) {
        has_final = has_final || d.names[i].size == 0;
        if (out != NULL || d.names[i].size == 0) {
            MG_TRY(run_document(&d, i, err));
        }
    }
    if (out == NULL && !has_final) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "all documents have names: leave out that of the final merge");
    }
    return MG_OK;
}
