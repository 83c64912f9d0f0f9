/* hub/snapshot.c - one model folder, opened. */
#include "hub/snapshot.h"

#include "base/memory.h"

static mg_status open_parts(const mg_hub *hub, const mg_model_ref *ref, bool require_shapes,
                            mg_snapshot *snapshot, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_str folder;
    mg_status status = mg_hub_locate(hub, ref->path, ref->revision, &arena, &folder, err);
    if (status == MG_OK) {
        snapshot->folder = mg_str_dup(folder);
    }
    mg_arena_release(&arena);
    MG_TRY(status);
    MG_TRY(mg_model_config_read(snapshot->folder, require_shapes, &snapshot->config, err));
    if (ref->override_architecture.size > 0) {
        snapshot->config.architecture =
            mg_arena_copy(&snapshot->config.arena, ref->override_architecture);
    }
    if (snapshot->config.quantized) {
        return mg_fail(
            err, MG_ERR_UNSUPPORTED,
            "%s: has quantised weights (quantization_config); the full weights are needed",
            snapshot->folder);
    }
    return mg_checkpoint_open(snapshot->folder, &snapshot->checkpoint, err);
}

mg_status mg_snapshot_open(const mg_hub *hub, const mg_model_ref *ref, bool require_shapes,
                           mg_snapshot **snapshot_out, mg_error *err)
{
    *snapshot_out = NULL;
    if (ref->lora_path.size > 0) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%.*s+%.*s: a model with an adapter cannot be opened as it is",
                       MG_STR_ARG(ref->path), MG_STR_ARG(ref->lora_path));
    }
    mg_snapshot *snapshot = mg_new(mg_snapshot);
    mg_status status = open_parts(hub, ref, require_shapes, snapshot, err);
    if (status != MG_OK) {
        mg_snapshot_close(snapshot);
        return status;
    }
    *snapshot_out = snapshot;
    return MG_OK;
}

void mg_snapshot_close(mg_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    mg_checkpoint_close(snapshot->checkpoint);
    mg_model_config_release(&snapshot->config);
    mg_free(snapshot->folder);
    mg_free(snapshot);
}
