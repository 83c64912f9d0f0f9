/* merge/model_set.c - the models that recipes name, each opened once. */
#include "base/fs.h"
#include "merge/plan_internal.h"

typedef struct set_entry {
    mg_model_ref ref;
    mg_snapshot *snapshot;  /* of the base, where ref has an adapter */
    mg_adapter *adapter;    /* NULL = none */
    mg_str adapter_folder;  /* empty = none */
    mg_token_table *tokens; /* read on first use */
} set_entry;

struct mg_model_set {
    const mg_hub *hub; /* borrowed */
    mg_arena arena;    /* of the references' texts */
    mg_layouts *layouts;
    set_entry *entries;
    int64_t count;
    mg_resident *resident; /* copies on the device that merges, NULL = none yet */
    const char *told;      /* of mg_model_set_first_time */
};

mg_model_set *mg_model_set_create(const mg_hub *hub)
{
    mg_model_set *set = mg_new(mg_model_set);
    set->hub = hub;
    set->layouts = mg_layouts_create();
    return set;
}

void mg_model_set_destroy(mg_model_set *set)
{
    if (set == NULL) {
        return;
    }
    for (int64_t i = 0; i < set->count; i++) {
        mg_token_table_release(set->entries[i].tokens);
        mg_free(set->entries[i].tokens);
        mg_adapter_close(set->entries[i].adapter);
        mg_snapshot_close(set->entries[i].snapshot);
    }
    mg_resident_destroy(set->resident);
    mg_free(set->entries);
    mg_layouts_destroy(set->layouts);
    mg_arena_release(&set->arena);
    mg_free(set);
}

mg_resident *mg_model_set_resident(mg_model_set *set, const mg_device *device)
{
    if (set->resident != NULL && mg_resident_device(set->resident) != device) {
        mg_resident_destroy(set->resident);
        set->resident = NULL;
    }
    if (set->resident == NULL) {
        set->resident = mg_resident_create(device);
    }
    return set->resident;
}

bool mg_model_set_first_time(mg_model_set *set, const char *what)
{
    bool first = set->told != what;
    set->told = what;
    return first;
}

mg_status mg_model_set_read_layouts(mg_model_set *set, const char *folder, mg_error *err)
{
    return mg_layouts_read_folder(set->layouts, folder, err);
}

mg_layouts *mg_model_set_layouts(mg_model_set *set)
{
    return set->layouts;
}

static set_entry *find_entry(mg_model_set *set, const mg_model_ref *ref)
{
    for (int64_t i = 0; i < set->count; i++) {
        if (mg_model_ref_equal(&set->entries[i].ref, ref)) {
            return &set->entries[i];
        }
    }
    return NULL;
}

/* Every weight that the adapter changes must be there, and fit. */
static mg_status check_targets(const mg_adapter *adapter, const mg_checkpoint *checkpoint,
                               mg_error *err)
{
    for (int64_t i = 0; i < mg_adapter_target_count(adapter); i++) {
        mg_str name = mg_adapter_target_name(adapter, i);
        const mg_view *weight = mg_checkpoint_find(checkpoint, name);
        if (weight == NULL) {
            return mg_fail(err, MG_ERR_FORMAT, "the model has no %.*s, which the adapter changes",
                           MG_STR_ARG(name));
        }
        MG_TRY(mg_adapter_check(mg_adapter_find(adapter, name), weight, err));
    }
    return MG_OK;
}

static mg_status open_adapter(mg_model_set *set, const mg_model_ref *ref, set_entry *entry,
                              mg_error *err)
{
    MG_TRY(mg_hub_locate(set->hub, ref->lora_path, ref->lora_revision, &set->arena,
                         &entry->adapter_folder, err));
    MG_TRY(mg_adapter_open(entry->adapter_folder.data, &entry->adapter, err));
    mg_status status = check_targets(entry->adapter, entry->snapshot->checkpoint, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%.*s", MG_STR_ARG(ref->lora_path));
    }
    return status;
}

mg_status mg_model_set_get(mg_model_set *set, const mg_model_ref *ref, mg_snapshot **snapshot_out,
                           mg_error *err)
{
    *snapshot_out = NULL;
    const set_entry *known = find_entry(set, ref);
    if (known != NULL) {
        *snapshot_out = known->snapshot;
        return MG_OK;
    }
    set_entry entry;
    memset(&entry, 0, sizeof(entry));
    mg_model_ref base = *ref;
    base.lora_path = base.lora_revision = mg_str_make(NULL, 0);
    MG_TRY(mg_snapshot_open(set->hub, &base, false, &entry.snapshot, err));
    if (ref->lora_path.size > 0) {
        mg_status status = open_adapter(set, ref, &entry, err);
        if (status != MG_OK) {
            mg_adapter_close(entry.adapter);
            mg_snapshot_close(entry.snapshot);
            return status;
        }
    }
    entry.ref.path = mg_arena_copy(&set->arena, ref->path);
    entry.ref.revision = mg_arena_copy(&set->arena, ref->revision);
    entry.ref.lora_path = mg_arena_copy(&set->arena, ref->lora_path);
    entry.ref.lora_revision = mg_arena_copy(&set->arena, ref->lora_revision);
    entry.ref.override_architecture = mg_arena_copy(&set->arena, ref->override_architecture);
    set->entries = (set_entry *)mg_memory_resize(set->entries, set->count + 1, sizeof(set_entry));
    set->entries[set->count++] = entry;
    *snapshot_out = entry.snapshot;
    return MG_OK;
}

const mg_adapter *mg_model_set_adapter(mg_model_set *set, const mg_model_ref *ref)
{
    const set_entry *entry = find_entry(set, ref);
    return entry != NULL ? entry->adapter : NULL;
}

/* Whether path, with its links resolved, is target or lies in it. */
static bool lies_in(const char *path, mg_str target, mg_arena *arena)
{
    mg_str real;
    return mg_path_real(arena, path, &real, NULL) == MG_OK && mg_str_starts(real, target.data) &&
           (real.size == target.size || real.data[target.size] == '/');
}

const mg_model_ref *mg_model_set_inside(const mg_model_set *set, mg_str target, mg_arena *arena)
{
    for (int64_t i = 0; i < set->count; i++) {
        const set_entry *entry = &set->entries[i];
        if (lies_in(entry->snapshot->folder, target, arena) ||
            (entry->adapter != NULL && lies_in(entry->adapter_folder.data, target, arena))) {
            return &entry->ref;
        }
    }
    return NULL;
}

void mg_model_set_forget_tokens(mg_model_set *set)
{
    for (int64_t i = 0; i < set->count; i++) {
        mg_token_table_release(set->entries[i].tokens);
        mg_free(set->entries[i].tokens);
        set->entries[i].tokens = NULL;
    }
}

mg_status mg_model_set_tokens(mg_model_set *set, const mg_model_ref *ref, bool tree,
                              const mg_token_table **tokens_out, mg_error *err)
{
    *tokens_out = NULL;
    mg_snapshot *snapshot;
    MG_TRY(mg_model_set_get(set, ref, &snapshot, err));
    set_entry *entry = find_entry(set, ref);
    if (entry->tokens == NULL) {
        entry->tokens = mg_new(mg_token_table);
    }
    bool read = entry->tokens->id_end > 0 || entry->tokens->root.kind != MG_NULL;
    if (!read || (tree && entry->tokens->root.kind == MG_NULL)) {
        mg_token_table_release(entry->tokens);
        mg_status status = mg_token_table_read(snapshot->folder, entry->tokens, err);
        if (status == MG_ERR_NOT_FOUND) {
            status = mg_fail(err, MG_ERR_NOT_FOUND,
                             "%s: has no tokenizer.json, by which vocabularies are merged "
                             "(transformers writes one: AutoTokenizer, then save_pretrained)",
                             snapshot->folder);
        }
        if (status != MG_OK) {
            mg_free(entry->tokens);
            entry->tokens = NULL;
            return status;
        }
    }
    if (!tree) {
        mg_token_table_drop_tree(entry->tokens);
    }
    *tokens_out = entry->tokens;
    return MG_OK;
}
