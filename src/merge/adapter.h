/* merge/adapter.h - a LoRA adapter, applied tensor by tensor (merging.md 6.3).
 *
 * A target's weight becomes W + s * (B * A), product (fused, in the order of ranks) and sum in
 * float32, rounded once to the type of W; embeddings take s * (B * A) transposed, rounded before it
 * is added; modules_to_save replace a weight, and take the type of the model's.  Kinds of adapters
 * that this does not describe (DoRA, biases, other methods) are refused by name.  Thread-safety:
 * immutable after open; share it freely. */
#pragma once

#include "base/error.h"
#include "base/pool.h"
#include "compute/device.h"
#include "tensor/view.h"

MG_BEGIN_C

typedef struct mg_adapter mg_adapter;

/* What an adapter does to one tensor. */
typedef struct mg_adapter_target {
    const mg_view *replacement; /* not NULL: stands in for the weight; nothing else is set */
    const mg_view *a;           /* (rank, in), embeddings: (rank, rows) */
    const mg_view *b;           /* (out, rank), embeddings: (columns, rank) */
    const mg_view *base;        /* not NULL: the weight to start from, instead of the model's */
    double scale;
    bool embedding;  /* transposed, and stored the other way round */
    bool transposed; /* fan_in_fan_out: the weight is (in, out) */
} mg_adapter_target;

/* Opens folder.  MG_ERR_NOT_FOUND, MG_ERR_FORMAT, MG_ERR_UNSUPPORTED. */
MG_MUST_CHECK mg_status mg_adapter_open(const char *folder, mg_adapter **adapter_out,
                                        mg_error *err);
void mg_adapter_close(mg_adapter *adapter); /* NULL is fine */
int64_t mg_adapter_target_count(const mg_adapter *adapter);
/* The weight that the index-th target changes ("model.layers.0.mlp.up_proj.weight"). */
mg_str mg_adapter_target_name(const mg_adapter *adapter, int64_t index);
/* NULL when the adapter leaves the tensor called name alone. */
const mg_adapter_target *mg_adapter_find(const mg_adapter *adapter, mg_str name);
/* Whether target fits a weight of this shape; MG_ERR_FORMAT says why not. */
MG_MUST_CHECK mg_status mg_adapter_check(const mg_adapter_target *target, const mg_view *weight,
                                         mg_error *err);
/* Writes the changed weight to out, in dtype, a type of floating-point numbers (not for
 * replacements).  The device has host memory; pool may be NULL. */
MG_MUST_CHECK mg_status mg_adapter_apply(const mg_adapter_target *target, const mg_view *weight,
                                         mg_dtype dtype, const mg_device *device, mg_stream *stream,
                                         mg_pool *pool, void *out, mg_error *err);

MG_END_C
