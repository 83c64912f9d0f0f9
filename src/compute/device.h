/* compute/device.h - THE BACKEND SEAM: a device is memory and two tables of operations.
 *
 * ops_nn.h holds what inference needs, ops_mix.h what merging needs.  `ref` is plain C and the
 * definition of right; `cpu` starts as a copy of ref and overrides what it does faster; `cuda`
 * keeps everything on the card.  A missing operation fails, by name, when a model is bound: nothing
 * falls back silently.  Thread-safety: a device is immutable; a stream belongs to one thread at a
 * time. */
#pragma once

#include "base/compiler.h"
#include "base/error.h"
#include "base/pool.h"

MG_BEGIN_C

typedef struct mg_device mg_device;
typedef struct mg_stream mg_stream;
struct mg_nn_ops;
struct mg_mix_ops;
struct mg_formula_ops;

#define MG_FETCH_BYTES 4096

struct mg_device {
    const char *name; /* "ref", "cpu (avx512)", "cuda:0 (...)" */
    const struct mg_nn_ops *nn;
    const struct mg_mix_ops *mix;
    /* Memory of the device, aligned to 64 bytes at least and zeroed.  MG_ERR_MEMORY, naming what.
     */
    mg_status (*alloc)(const mg_device *device, size_t bytes, const char *what, void **block_out,
                       mg_error *err);
    void (*free)(const mg_device *device, void *block); /* NULL is fine */
    /* Between host and device memory, in stream order; returns when the host side may be reused. */
    mg_status (*upload)(mg_stream *stream, void *to, const void *from, size_t bytes, mg_error *err);
    mg_status (*download)(mg_stream *stream, void *to, const void *from, size_t bytes,
                          mg_error *err);
    /* A stream runs operations in order.  pool (may be NULL) is borrowed and used by cpu devices.
     */
    mg_status (*stream_create)(const mg_device *device, mg_pool *pool, mg_stream **stream_out,
                               mg_error *err);
    mg_status (*stream_wait)(mg_stream *stream, mg_error *err); /* until all is done */
    void (*stream_destroy)(mg_stream *stream);                  /* NULL is fine */
    /* OPTIONAL pair: a download in two parts.  fetch_begin has bytes (at most MG_FETCH_BYTES)
     * copied in stream order; fetch_end waits for them, but not for what was started after them,
     * and gives them out.  Two can be on their way: as place 0 and place 1. */
    mg_status (*fetch_begin)(mg_stream *stream, int place, const void *from, size_t bytes,
                             mg_error *err);
    mg_status (*fetch_end)(mg_stream *stream, int place, void *to, size_t bytes, mg_error *err);
    bool host_memory; /* alloc gives memory the host can touch */
    /* OPTIONAL, NULL where memory is the host's: the free bytes of the device's, and all. */
    mg_status (*memory)(const mg_device *device, size_t *free_out, size_t *total_out,
                        mg_error *err);
    /* OPTIONAL pair, NULL where starting an operation costs next to nothing: sequences of
     * operations that are recorded once and run again as a whole.  sequence_begin sets
     * *replayed_out when the sequence known under key has just been started again: the caller then
     * leaves its operations out, and does not call sequence_end.  Otherwise it runs them and ends
     * with sequence_end, good telling whether all went well.  Under one key the operations and
     * their arguments are always the same (what lies in device memory may differ); in between
     * nothing is copied to or from the host. */
    mg_status (*sequence_begin)(mg_stream *stream, uint64_t key, bool *replayed_out, mg_error *err);
    mg_status (*sequence_end)(mg_stream *stream, bool good, mg_error *err);
    /* OPTIONAL: NULL means that methods made of formulas read the inputs themselves. */
    const struct mg_formula_ops *formula;
};

typedef enum mg_isa { MG_ISA_BASE, MG_ISA_AVX2, MG_ISA_AVX512, MG_ISA_AVX512_BF16 } mg_isa;

/* The plain C device. */
const mg_device *mg_device_ref(void);
/* The CPU device with the best kernels of this machine, at most isa_max (for tests: all must be
 * right).  MG_ISA_AVX512 means F, BW, VL, DQ; MG_ISA_AVX512_BF16 adds dot products of bfloat16
 * and VBMI2. */
const mg_device *mg_device_cpu(mg_isa isa_max);
mg_isa mg_isa_best(void); /* what this machine offers */
const char *mg_isa_name(mg_isa isa);

MG_END_C
