/* compute/cpu/kernels_internal.h - what an instruction set offers to the launchers of the CPU
 * device.
 *
 * Launchers (linear_cpu.c, attention_cpu.c, nn_cpu.c) split the work and own the order; kernels do
 * a tile or a range of rows.  kernels_<isa>.c are the same kernels (linear_tile.inc,
 * attention_tile.inc, nn_rows.inc) compiled over the vectors of vec_<isa>.inc. */
#pragma once

#include "base/compiler.h"
#include "compute/device.h"
#include "compute/device_internal.h"
#include "compute/ops_nn.h"

MG_BEGIN_C

/* --- Matrix products.
 *
 * Packed weights are panels of panel_columns output columns; a panel is (in_dim, panel_columns),
 * the last one padded with zeros.  bfloat16 panels hold, for each even k and each column, one
 * 32-bit word with k in its low and k + 1 in its high half; where in_dim is odd, the last high
 * halves are zero.
 *
 * A task copies its rows of x, MG_LINEAR_K_BLOCK words at a time, to a constant stride (no pointers
 * per row, no conflicts in the cache) and keeps unfinished sums in scratch.  A word is a float, or
 * a pair of bfloat16 where there are dot products of them.  A block's part of a panel stays in the
 * first cache for all tiles of rows. */
#define MG_LINEAR_K_BLOCK 192
#define MG_LINEAR_A_STRIDE (MG_LINEAR_K_BLOCK + 16)
#define MG_LINEAR_ROWS_BLOCK 112
#define MG_LINEAR_COLUMNS_BLOCK 256
#define MG_LINEAR_ROWS_MAX 16 /* of one tile, in any instruction set */

typedef struct mg_linear_tile {
    const float *a;       /* (rows, k) at MG_LINEAR_A_STRIDE; of round_row for bfloat16 */
    const char *b;        /* the first panel at the first k of this block */
    size_t b_panel_bytes; /* from one panel to the next */
    const char *ahead;    /* what to fetch beside the first row of a panel */
    size_t ahead_step;    /* and from there for each further row */
    int64_t panel_rows;   /* to walk: k, or pairs of k */
    float *partial; /* (rows, columns) at MG_LINEAR_COLUMNS_BLOCK: read unless is_first, written
                       unless is_last */
    bool is_first;
    bool is_last;
    float *out; /* written when is_last: (rows, columns) at out_stride */
    const float *residual;
    const float *bias;
    int64_t out_stride;
    int64_t columns; /* of these panels that exist */
} mg_linear_tile;

typedef void mg_linear_kernel(const mg_linear_tile *tile);

/* Kernels for tiles of 1 .. rows_max rows, by rows; wide ones take wide_panels[rows] panels at
 * once, which few rows need to hide the latency of the multiply-add. */
typedef struct mg_linear_kernels {
    int64_t rows_max;
    mg_linear_kernel *single[MG_LINEAR_ROWS_MAX + 1];
    mg_linear_kernel *wide[MG_LINEAR_ROWS_MAX + 1];
    int64_t wide_panels[MG_LINEAR_ROWS_MAX + 1];
} mg_linear_kernels;

/* --- Attention.
 *
 * A slot's keys and values are, per kv head, keys (positions/16, head_dim, 16) with the position
 * innermost, then values (positions, head_dim), positions and head_dim rounded up to 16 (keys: only
 * positions).  A task is one tile of up to MG_ATTENTION_TILE consecutive queries of one run and kv
 * head; query n of them is head n mod group of token n / group. */
#define MG_ATTENTION_TILE 12
#define MG_ATTENTION_P_STRIDE (MG_ATTENTION_BLOCK + 16)
#define MG_ATTENTION_HEAD_DIM_MAX 1024

static inline int64_t mg_kv_element_bytes(const mg_kv *kv)
{
    return kv->dtype == MG_BF16 ? 2 : 4;
}

/* Keys and values of one head in one slot. */
static inline int64_t mg_kv_head_elements(const mg_kv *kv)
{
    int64_t positions = (kv->positions + 15) / 16 * 16;
    return positions * (kv->head_dim + (kv->head_dim + 15) / 16 * 16);
}

static inline char *mg_kv_keys(const mg_kv *kv, int64_t slot, int64_t kv_head)
{
    return (char *)kv->data +
           (slot * kv->kv_heads + kv_head) * mg_kv_head_elements(kv) * mg_kv_element_bytes(kv);
}

static inline char *mg_kv_values(const mg_kv *kv, int64_t slot, int64_t kv_head)
{
    return mg_kv_keys(kv, slot, kv_head) +
           (kv->positions + 15) / 16 * 16 * kv->head_dim * mg_kv_element_bytes(kv);
}

typedef struct mg_attention_task {
    const mg_attention_args *args;
    mg_kv_run run;
    int64_t kv_head;
    int64_t first; /* query of the run */
    int64_t count;
    float *scratch;
} mg_attention_task;

/* --- Everything else works on rows first .. first+count-1 of its args struct. */
typedef void mg_rows_kernel(const void *args, int64_t first, int64_t count);

typedef struct mg_cpu_kernels {
    mg_isa isa;
    int64_t panel_columns;
    mg_linear_kernels linear_f32;
    mg_linear_kernels linear_bf16;
    int64_t bf16_per_word; /* columns of x in a word of what round_row writes: 1 or 2 */
    /* count values at from as the bfloat16 kernels read them; to takes one more float. */
    void (*round_row)(float *to, const float *from, int64_t count);
    void (*attention)(const mg_attention_task *task);
    mg_rows_kernel *rmsnorm;
    mg_rows_kernel *layernorm;
    mg_rows_kernel *rope;
    mg_rows_kernel *gate;
    mg_rows_kernel *add;     /* rows are single values */
    mg_rows_kernel *softcap; /* rows are single values */
    mg_rows_kernel *argmax;
    mg_rows_kernel *logprob;
    int64_t (*nonfinite)(const void *x, int64_t count, mg_dtype dtype);
} mg_cpu_kernels;

/* A device of this folder, with the device itself first. */
typedef struct mg_cpu_device {
    mg_device device;
    const mg_cpu_kernels *kernels;
} mg_cpu_device;

static inline const mg_cpu_kernels *mg_stream_kernels(const mg_stream *stream)
{
    return ((const mg_cpu_device *)(const void *)stream->device)->kernels;
}

extern const mg_cpu_kernels mg_kernels_avx2;
extern const mg_cpu_kernels mg_kernels_avx512;
extern const mg_cpu_kernels mg_kernels_avx512_bf16;

MG_END_C
