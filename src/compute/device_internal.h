/* compute/device_internal.h - what the host backends (ref, cpu) share: streams, memory, tables.
 *
 * On a host device memory is plain memory and an operation is done when its launcher returns.
 * Thread-safety: a stream belongs to one thread at a time; inside an operation the workers of its
 * pool each have their own scratch. */
#pragma once

#include "base/error.h"
#include "base/pool.h"
#include "compute/device.h"
#include "compute/ops_nn.h"

MG_BEGIN_C

/* Scratch of one worker: the largest user is linear_cpu.c. */
#define MG_STREAM_SCRATCH_BYTES ((size_t)384 * 1024)

struct mg_stream {
    const mg_device *device;
    mg_pool *pool; /* borrowed; NULL = all work on the caller */
    int worker_count;
    char *scratch; /* worker_count blocks of MG_STREAM_SCRATCH_BYTES, aligned to 64 */
    char fetched[2][MG_FETCH_BYTES];
};

static inline void *mg_stream_scratch(const mg_stream *stream, int worker)
{
    return stream->scratch + (size_t)worker * MG_STREAM_SCRATCH_BYTES;
}

/* The functions of a host device's table (host_device.c). */
mg_status mg_host_alloc(const mg_device *device, size_t bytes, const char *what, void **block_out,
                        mg_error *err);
void mg_host_free(const mg_device *device, void *block);
mg_status mg_host_copy(mg_stream *stream, void *to, const void *from, size_t bytes, mg_error *err);
mg_status mg_host_fetch_begin(mg_stream *stream, int place, const void *from, size_t bytes,
                              mg_error *err);
mg_status mg_host_fetch_end(mg_stream *stream, int place, void *to, size_t bytes, mg_error *err);
mg_status mg_host_stream_create(const mg_device *device, mg_pool *pool, mg_stream **stream_out,
                                mg_error *err);
mg_status mg_host_stream_wait(mg_stream *stream, mg_error *err);
void mg_host_stream_destroy(mg_stream *stream);

/* A worker's share of a range: pieces 0 .. pieces-1 split count as evenly as they can. */
static inline int64_t mg_piece_first(int64_t count, int64_t pieces, int64_t piece)
{
    int64_t base = count / pieces;
    int64_t extra = count % pieces;
    return piece * base + (piece < extra ? piece : extra);
}

/* Elements of a weight or cache whose sizes are checked; MG_ERR_MEMORY when bytes overflow. */
mg_status mg_size_of(int64_t a, int64_t b, int64_t c, size_t element_bytes, size_t *bytes_out,
                     mg_error *err);

extern const mg_nn_ops mg_nn_ops_ref;
extern const mg_nn_ops mg_nn_ops_cpu;

MG_END_C
