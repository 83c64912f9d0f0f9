/* merge/model_set.c - the models that recipes name, each opened once. */
#include "merge/plan_internal.h"

typedef struct set_entry {
    mg_model_ref ref;
    mg_snapshot *snapshot;
} set_entry;

struct mg_model_set {
    const mg_hub *hub; /* borrowed */
    mg_arena arena;    /* of the references' texts */
    mg_layouts *layouts;
    set_entry *entries;
    int64_t count;
    mg_resident *resident; /* copies on the device that merges, NULL = none yet */
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

mg_layouts *mg_model_set_layouts(mg_model_set *set)
{
    return set->layouts;
}

mg_status mg_model_set_get(mg_model_set *set, const mg_model_ref *ref, mg_snapshot **snapshot_out,
                           mg_error *err)
{
    *snapshot_out = NULL;
    for (int64_t i = 0; i < set->count; i++) {
        if (mg_model_ref_equal(&set->entries[i].ref, ref)) {
            *snapshot_out = set->entries[i].snapshot;
            return MG_OK;
        }
    }
    mg_snapshot *snapshot;
    MG_TRY(mg_snapshot_open(set->hub, ref, false, &snapshot, err));
    set->entries = (set_entry *)mg_memory_resize(set->entries, set->count + 1, sizeof(set_entry));
    set_entry *entry = &set->entries[set->count++];
    entry->ref.path = mg_arena_copy(&set->arena, ref->path);
    entry->ref.revision = mg_arena_copy(&set->arena, ref->revision);
    entry->ref.lora_path = mg_arena_copy(&set->arena, ref->lora_path);
    entry->ref.lora_revision = mg_arena_copy(&set->arena, ref->lora_revision);
    entry->ref.override_architecture = mg_arena_copy(&set->arena, ref->override_architecture);
    entry->snapshot = snapshot;
    *snapshot_out = snapshot;
    return MG_OK;
}
