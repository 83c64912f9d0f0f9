/* compute/cuda/cuda_internal.h - what the .cu files share: streams, workspace, launch checks.
 *
 * A launcher enqueues on the stream it is given and checks the launch: no synchronising.  Workspace
 * grows between operations when a larger batch comes; a stream that has seen its largest batch
 * allocates no more.  Thread-safety: a stream belongs to one thread at a time. */
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "base/error.h"
#include "compute/device.h"
#include "compute/ops_mix.h"
#include "compute/ops_nn.h"

MG_BEGIN_C

#define MG_CUDA_WORKSPACES 6

typedef enum mg_cuda_workspace {
    MG_CUDA_WS_ROWS,      /* rows on their way: bfloat16 inputs of a product, aligned sources */
    MG_CUDA_WS_TWIN,      /* the bfloat16 twin of the latest result */
    MG_CUDA_WS_ATTENTION, /* partial results of split attention */
    MG_CUDA_WS_BLAS,      /* cuBLASLt's own */
    MG_CUDA_WS_REDUCE,    /* partial sums, histograms, counters */
    MG_CUDA_WS_TURNS      /* which block is the last: zero before and after every operation */
} mg_cuda_workspace;

typedef struct mg_cuda_block {
    void *data;
    size_t bytes;
} mg_cuda_block;

struct mg_blas; /* linear_cuda.cu */

/* A norm, an activation or an attention is nearly always followed by a product of its result, which
 * wants bfloat16 rows: those operations write them beside their float32 result, and the product
 * that comes next takes them.  Any other operation in between drops the twin. */
typedef struct mg_cuda_twin {
    const float *of; /* the float32 result, NULL = none */
    int64_t rows;
    int64_t dim;
    int64_t stride; /* of the float32 result; the twin itself is dense */
} mg_cuda_twin;

/* A recorded sequence of operations (device.h), as a CUDA graph. */
typedef struct mg_cuda_sequence {
    uint64_t key;
    bool used;
    bool warm; /* ran once without recording: workspaces have grown, products are tuned */
    uint64_t workspace_version;
    cudaGraphExec_t graph; /* NULL = not recorded yet */
} mg_cuda_sequence;

#define MG_CUDA_SEQUENCES 64

struct mg_stream {
    const mg_device *device;
    int card;
    int multiprocessors;
    cudaStream_t handle;
    mg_cuda_block workspaces[MG_CUDA_WORKSPACES];
    void *pinned;        /* MG_CUDA_PINNED_BYTES of host memory for small results */
    char *fetched;       /* pinned: 2 places of MG_FETCH_BYTES */
    cudaEvent_t here[2]; /* behind the copy to each place */
    struct mg_blas *blas;
    mg_cuda_twin twin;
    uint32_t *watched; /* by merges: set when a result is not finite; NULL = nobody asks */
    uint64_t
        workspace_version; /* grows when a workspace moves: recorded addresses are stale then */
    bool recording;
    int current; /* the sequence between begin and end */
    mg_cuda_sequence sequences[MG_CUDA_SEQUENCES];
};

#define MG_CUDA_PINNED_BYTES ((size_t)1 << 20)

/* At least bytes of the workspace called which, in *block_out; zeros when it is new. */
MG_MUST_CHECK mg_status mg_cuda_workspace_get(mg_stream *stream, mg_cuda_workspace which,
                                              size_t bytes, void **block_out, mg_error *err);

/* Room for the twin of a result that is being written, in *block_out; NULL where a product could
 * not use it (an odd dim). */
MG_MUST_CHECK mg_status mg_cuda_twin_begin(mg_stream *stream, const float *of, int64_t rows,
                                           int64_t dim, int64_t stride, __nv_bfloat16 **block_out,
                                           mg_error *err);
/* Forgets the twin: every operation that writes float32 calls this or mg_cuda_twin_begin. */
static inline void mg_cuda_twin_drop(mg_stream *stream)
{
    stream->twin.of = NULL;
}

/* MG_ERR_MEMORY for cudaErrorMemoryAllocation, else MG_ERR_DEVICE; MG_OK for cudaSuccess. */
MG_MUST_CHECK mg_status mg_cuda_status(cudaError_t error, const char *what, mg_error *err);
/* The status of the launch just made. */
MG_MUST_CHECK mg_status mg_cuda_launched(const char *what, mg_error *err);

/* Positions of a block of a cache with a table: one tile of attention. */
#define MG_CUDA_KV_BLOCK 64

MG_MUST_CHECK mg_status mg_blas_create(struct mg_blas **blas_out, mg_error *err);
void mg_blas_destroy(struct mg_blas *blas); /* NULL is fine */

/* Products of few rows (few_cuda.cu), which read each weight once and wait for no second pass.  x
 * is bfloat16, dense.  mg_cuda_few_fits tells whether they take the shape. */
#define MG_CUDA_FEW_ROWS 16
bool mg_cuda_few_fits(const mg_weight *weight, int64_t rows);
MG_MUST_CHECK mg_status mg_cuda_few_linear(mg_stream *stream, const mg_linear_args *args,
                                           const __nv_bfloat16 *x, mg_error *err);
/* out (rows, I) = act(gate) * up, dense, from the fused matrix of both. */
MG_MUST_CHECK mg_status mg_cuda_few_gated(mg_stream *stream, const mg_mlp_args *args,
                                          const __nv_bfloat16 *x, __nv_bfloat16 *out,
                                          mg_error *err);
/* The same for rows dealt to experts, which count them on the card: joined (places, I) from x
 * (places, H), or args->out from joined. */
MG_MUST_CHECK mg_status mg_cuda_few_experts_gated(mg_stream *stream, const mg_experts_args *args,
                                                  const __nv_bfloat16 *x, __nv_bfloat16 *joined,
                                                  mg_error *err);
MG_MUST_CHECK mg_status mg_cuda_few_experts_down(mg_stream *stream, const mg_experts_args *args,
                                                 const __nv_bfloat16 *joined, mg_error *err);

/* A dense bfloat16 copy of rows for a product, or the twin that there is; *stride_out in elements
 * (linear_cuda.cu). */
MG_MUST_CHECK mg_status mg_cuda_convert_rows(mg_stream *stream, const float *x, int64_t rows,
                                             int64_t dim, int64_t x_stride, void **x_out,
                                             int64_t *stride_out, mg_error *err);

/* experts_cuda.cu */
mg_status mg_cuda_route(mg_stream *stream, const mg_route_args *args, mg_error *err);
mg_status mg_cuda_combine(mg_stream *stream, const mg_combine_args *args, mg_error *err);
mg_status mg_cuda_experts(mg_stream *stream, const mg_experts_args *args, mg_error *err);

mg_status mg_cuda_next(mg_stream *stream, const mg_next_args *args, mg_error *err); /* next_cuda */
mg_status mg_cuda_mlp(mg_stream *stream, const mg_mlp_args *args, mg_error *err);
mg_status mg_cuda_gate(mg_stream *stream, const mg_gate_args *args, mg_error *err);
mg_status mg_cuda_pack(mg_stream *stream, const mg_pack_args *args, mg_error *err);
mg_status mg_cuda_linear(mg_stream *stream, const mg_linear_args *args, mg_error *err);
/* Attention of the runs of at most 16 rows (queries times heads of a group); 65535 runs at most. */
MG_MUST_CHECK mg_status mg_cuda_attention_few(mg_stream *stream, const mg_attention_args *args,
                                              __nv_bfloat16 *twin, mg_error *err);
mg_status mg_cuda_attention(mg_stream *stream, const mg_attention_args *args, mg_error *err);

extern const mg_nn_ops mg_nn_ops_cuda;
extern const mg_mix_ops mg_mix_ops_cuda;

MG_END_C

/* A cache is two planes, keys then values, each (blocks, kv_heads, positions, head_dim).  The row
 * of a plane where a position of a slot lies; the rows behind it are those of the next positions,
 * up to the end of the block. */
__device__ static inline int64_t mg_cuda_kv_row(const mg_kv *kv, int slot, int64_t head,
                                                int position)
{
    int64_t block = slot;
    if (kv->table != NULL) {
        block = kv->table[slot * kv->table_width + position / MG_CUDA_KV_BLOCK];
        position %= MG_CUDA_KV_BLOCK;
    }
    return (block * kv->kv_heads + head) * kv->positions + position;
}

/* act(x) of ops_nn.h. */
__device__ static inline float mg_cuda_activate(float x, mg_nn_activation activation)
{
    switch (activation) {
    case MG_NN_SILU:
        return __fdividef(x, 1 + __expf(-x));
    case MG_NN_GELU:
        return 0.5f * x * (1 + erff(x * 0.70710678f));
    default: {
        float u = 0.79788456f * (x + 0.044715f * x * x * x);
        return __fdividef(x, 1 + __expf(-2 * u));
    }
    }
}
