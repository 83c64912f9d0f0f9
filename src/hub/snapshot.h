/* hub/snapshot.h - one model folder, opened: configuration and weights.
 *
 * Thread-safety: immutable after open; share it freely. */
#pragma once

#include "base/error.h"
#include "hub/cache.h"
#include "hub/config.h"
#include "tensor/checkpoint.h"

MG_BEGIN_C

typedef struct mg_snapshot {
    char *folder;
    mg_model_config config;
    mg_checkpoint *checkpoint;
} mg_snapshot;

/* Opens the folder that ref names.  On success the caller ends *snapshot_out with
 * mg_snapshot_close.  Quantised folders are refused.  A ref with a LoRA is refused here: merge
 * applies adapters tensor by tensor. */
MG_MUST_CHECK mg_status mg_snapshot_open(const mg_hub *hub, const mg_model_ref *ref,
                                         bool require_shapes, mg_snapshot **snapshot_out,
                                         mg_error *err);
void mg_snapshot_close(mg_snapshot *snapshot); /* NULL is fine */

MG_END_C
