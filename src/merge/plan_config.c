/* merge/plan_config.c - config.json of the result: the donor's, with as few changes as are needed
 * (merging.md 2.11). */
#include "merge/plan_internal.h"

/* Sets a dotted key below root, a tree of our own; missing maps are made. */
static void set_path(mg_arena *arena, mg_value *root, mg_str path, mg_value value)
{
    mg_str key;
    if (!mg_str_split(&path, '.', &key)) {
        return;
    }
    mg_value *found = NULL;
    for (int64_t i = 0; i < root->count; i++) {
        if (root->entries[i].key.kind == MG_STRING &&
            mg_str_equal(root->entries[i].key.string, key)) {
            found = &root->entries[i].value;
        }
    }
    if (found == NULL) {
        mg_value grown = mg_value_of_map(arena, root->count + 1);
        if (root->count > 0) {
            memcpy(grown.entries, root->entries, (size_t)root->count * sizeof(mg_entry));
        }
        grown.entries[root->count].key = mg_value_of_str(arena, key);
        grown.entries[root->count].value = mg_value_of_map(arena, 0);
        *root = grown;
        found = &root->entries[root->count - 1].value;
    }
    if (path.size > 0) {
        if (found->kind != MG_MAP) {
            *found = mg_value_of_map(arena, 0);
        }
        set_path(arena, found, path, value);
    } else {
        *found = value;
    }
}

static void set_dtype(const mg_plan *plan, mg_arena *arena, mg_value *root)
{
    mg_dtype dtype = plan->out_dtype != MG_DTYPE_COUNT ? plan->out_dtype : plan->dtype;
    if (dtype == MG_DTYPE_COUNT) {
        return;
    }
    mg_value name = mg_value_of_str(arena, mg_str_of(mg_dtype_torch_name(dtype)));
    bool newer = mg_value_get(root, "dtype") != NULL;
    if (newer) {
        set_path(arena, root, mg_str_of("dtype"), name);
    }
    if (!newer || mg_value_get(root, "torch_dtype") != NULL) {
        set_path(arena, root, mg_str_of("torch_dtype"), name);
    }
}

/* Lists with one entry for each layer follow the layers to their new places. */
static void move_layer_lists(const mg_plan_layers *layers, int64_t old_count, mg_arena *arena,
                             mg_value *map)
{
    static const char *const names[] = { "layer_types",       "mlp_layer_types", "no_rope_layers",
                                         "layers_block_type", "attention_types", "block_types" };
    for (int64_t n = 0; n < MG_ARRAY_COUNT(names); n++) {
        const mg_value *list = mg_value_get(map, names[n]);
        if (list == NULL || list->kind != MG_LIST || list->count != old_count || old_count == 0) {
            continue;
        }
        mg_value moved = mg_value_of_list(arena, layers->count);
        for (int64_t k = 0; k < layers->count; k++) {
            moved.items[k] = list->items[MG_MIN(layers->source_layer[k], old_count - 1)];
        }
        set_path(arena, map, mg_str_of(names[n]), moved);
    }
}

/* Where root counts the layers of module; empty = nowhere.  An inferred layout does not say, so the
 * usual names are tried when there is but one module. */
static mg_str layer_count_key(const mg_plan *plan, const mg_layout_module *module,
                              const mg_value *root)
{
    static const char *const names[] = { "num_hidden_layers", "n_layer", "n_layers", "num_layers" };
    mg_str key = module->layer_count_key;
    bool guesses = key.size == 0 && plan->layout->inferred && plan->layout->module_count == 1;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names) && guesses && key.size == 0; i++) {
        int64_t count;
        if (mg_value_to_int(mg_value_get(root, names[i]), &count)) {
            key = mg_str_of(names[i]);
        }
    }
    return key;
}

static void set_layer_count(const mg_plan *plan, const mg_plan_layers *layers, mg_arena *arena,
                            mg_value *root)
{
    mg_str key = layer_count_key(plan, layers->module, root);
    if (!layers->changed || key.size == 0) {
        return;
    }
    char *dotted = mg_str_dup(key);
    const mg_value *old = mg_value_path(root, dotted);
    int64_t old_count = 0;
    (void)mg_value_to_int(old, &old_count);
    mg_value *owner = root;
    for (mg_str rest = key, part; mg_str_split(&rest, '.', &part) && rest.size > 0;) {
        for (int64_t i = 0; i < owner->count; i++) {
            if (owner->entries[i].key.kind == MG_STRING &&
                mg_str_equal(owner->entries[i].key.string, part)) {
                owner = &owner->entries[i].value;
                break;
            }
        }
    }
    move_layer_lists(layers, old_count, arena, owner);
    set_path(arena, root, key, mg_value_of_int(layers->count));
    mg_free(dotted);
}

/* The rows of the embeddings, where they are other than those of the donor, whose configuration
 * counts its own (merging.md 9, quirk 32: mergekit leaves the old number); else -1. */
static int64_t changed_rows(const mg_plan *plan, const mg_value *root)
{
    char *key = mg_str_dup(plan->layout->vocab_key);
    int64_t said = 0;
    int64_t rows = -1;
    (void)mg_value_to_int(mg_value_path(root, key), &said);
    mg_free(key);
    for (int64_t i = 0; i < plan->job_count && rows < 0; i++) {
        const mg_plan_job *job = &plan->jobs[i];
        const mg_view *own =
            job->embedding ? mg_checkpoint_find(plan->models[0]->checkpoint, job->name) : NULL;
        if (own != NULL && own->shape.rank > 0 && own->shape.dims[0] == said &&
            job->shape.dims[0] != said) {
            rows = job->shape.dims[0];
        }
    }
    return rows;
}

mg_value mg_plan_config(const mg_plan *plan, mg_arena *arena)
{
    mg_value root = mg_value_copy(arena, &plan->models[0]->config.root);
    mg_str class_ = plan->refs[0].override_architecture;
    if (class_.size > 0) {
        mg_value classes = mg_value_of_list(arena, 1);
        classes.items[0] = mg_value_of_str(arena, class_);
        set_path(arena, &root, mg_str_of("architectures"), classes);
    }
    set_dtype(plan, arena, &root);
    for (int64_t m = 0; m < plan->module_count; m++) {
        set_layer_count(plan, &plan->modules[m], arena, &root);
    }
    if (plan->vocabulary != NULL) {
        set_path(arena, &root, plan->layout->vocab_key,
                 mg_value_of_int(plan->vocabulary->row_count));
    }
    int64_t rows = plan->vocabulary == NULL ? changed_rows(plan, &root) : -1;
    if (rows >= 0) {
        set_path(arena, &root, plan->layout->vocab_key, mg_value_of_int(rows));
    }
    for (int64_t i = 0; i < plan->job_count; i++) {
        if (plan->jobs[i].unties && mg_value_get(&root, "tie_word_embeddings") != NULL) {
            set_path(arena, &root, mg_str_of("tie_word_embeddings"), mg_value_of_bool(false));
        }
    }
    return root;
}
