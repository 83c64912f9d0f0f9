/* tensor/sink.h - where a merge puts its tensors: files, or an engine's weights.
 *
 * The executor asks for room (reserve), computes into it, and hands the tensor over (commit), one
 * tensor at a time and in execution order.  `tensor` writes checkpoints this way, `model` fills its
 * weights, `evolve` joins the merge with the model; neither knows the other.
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/compiler.h"
#include "base/error.h"
#include "tensor/view.h"

MG_BEGIN_C

typedef struct mg_sink mg_sink;
struct mg_stream; /* compute/device.h */

typedef struct mg_sink_ops {
    /* Room for a tensor of spec (its data is NULL): *data_out has spec->bytes, aligned to 64, and
     * is the sink's until commit.  MG_ERR_MEMORY, or MG_ERR_FORMAT for a tensor it cannot take. */
    mg_status (*reserve)(mg_sink *sink, const mg_view *spec, void **data_out, mg_error *err);
    /* The reserved tensor is complete. */
    mg_status (*commit)(mg_sink *sink, mg_error *err);
    /* All tensors were given; the last fallible step. */
    mg_status (*finish)(mg_sink *sink, mg_error *err);
    void (*close)(mg_sink *sink); /* without finish: discards */
    /* OPTIONAL: as reserve, but in the memory of the device that the sink fills, for a merge that
     * runs on that device; NULL means that the sink takes host memory only.  The room is aligned to
     * an element.  commit may come before the tensor is complete: the sink works in the order of
     * the stream writer.  Whoever writes looks for values that are not finite, and does not finish
     * with any. */
    mg_status (*reserve_on_device)(mg_sink *sink, const mg_view *spec, struct mg_stream *writer,
                                   void **data_out, mg_error *err);
} mg_sink_ops;

struct mg_sink {
    const mg_sink_ops *ops;
};

static inline void mg_sink_close(mg_sink *sink) /* NULL is fine */
{
    if (sink != NULL) {
        sink->ops->close(sink);
    }
}

/* A sink that writes safetensors shards of at most shard_bytes (0 = one file) with their index into
 * folder, as mergekit does: greedy fill in the order of commits (merging.md 6.2). */
MG_MUST_CHECK mg_status mg_sink_shards_open(const char *folder, size_t shard_bytes,
                                            mg_sink **sink_out, mg_error *err);

/* The same for a caller that knows all tensors ahead, which is faster: every byte is written once,
 * at its final place.  specs (data ignored) are in the order of the commits; a reserve for anything
 * but the next one is MG_ERR_FORMAT.  Room on the disk is asked for before each shard:
 * MG_ERR_SPACE. */
MG_MUST_CHECK mg_status mg_sink_shards_open_planned(const char *folder, size_t shard_bytes,
                                                    const mg_view *specs, int64_t count,
                                                    mg_sink **sink_out, mg_error *err);

/* A sink that only hashes what it is given: equal hashes mean equal tensors under equal names,
 * whatever the order, and mg_checkpoint_hash agrees.  text_out has MG_HASH_TEXT_BYTES and is filled
 * by finish. */
MG_MUST_CHECK mg_status mg_sink_hash_open(char *text_out, mg_sink **sink_out, mg_error *err);

MG_END_C
