/* compute/cpu/mix_kernels_internal.h - what an instruction set offers to the launchers of
 * mix_cpu.c.
 *
 * Every kernel works on elements first .. first+count-1 of its args; first is a multiple of 64. The
 * kernels are mix_kernels.inc, compiled once for each instruction set. */
#pragma once

#include "base/compiler.h"
#include "compute/mix_internal.h"
#include "compute/ops_mix.h"

MG_BEGIN_C

/* Elements that a kernel takes through its buffers at a time: they stay in the first-level cache.
 */
#define MG_MIX_CHUNK 1024

typedef struct mg_mix_kernels {
    void (*average)(const mg_average_args *args, int64_t first, int64_t count);
    void (*blend)(const mg_blend_args *args, int64_t first, int64_t count);
    void (*scale)(const mg_scale_args *args, int64_t first, int64_t count);
    /* values has room for 64 floats of each source, aligned to 64. */
    void (*task)(const mg_task_args *args, int64_t first, int64_t count, float *values);
    /* Adds the whole rows of the range to the two cascades. */
    void (*delta_sum)(const mg_delta_sum_args *args, int64_t first, int64_t count,
                      mg_mix_cascade *all, mg_mix_cascade *kept);
    /* |W(x - base)| of at most MG_MIX_CHUNK elements. */
    void (*magnitudes)(const mg_mix_input *x, const mg_mix_input *base, mg_dtype work,
                       int64_t first, int64_t count, float *out);
    /* Of 64 magnitudes, which are above (else below) the one with bits value, which equal it. */
    void (*compare)(const float *magnitudes, uint32_t value, bool above, uint64_t *beyond_out,
                    uint64_t *equal_out);
    /* One block of MG_MIX_BLOCK elements at most: sums of x*x, y*y and x*y. */
    void (*dot)(const mg_dot_args *args, int64_t first, int64_t count, double sums_out[3]);
    /* The norm of one chunk of mg_angle_args. */
    float (*norm)(const mg_mix_input *x, mg_dtype work, int64_t first, int64_t count);
    /* The sum of x / norm_x * (y / norm_y) over a chunk, or a part of one. */
    float (*cosine)(const mg_angle_args *args, int64_t first, int64_t count, float norm_x,
                    float norm_y);
    void (*keys)(const mg_keys_args *args, int64_t first, int64_t count);
    /* Adds to the counts. */
    void (*short_keys)(const mg_short_keys_args *args, int64_t first, int64_t count, int64_t *below,
                       uint32_t *tally);
    void (*short_mask)(const mg_short_mask_args *args);
    void (*partition)(mg_partition_args *args);
    void (*product)(const mg_product_args *args);
    void (*bernoulli)(const mg_bernoulli_args *args);
    bool (*finite)(const mg_finite_args *args, int64_t first, int64_t count);
} mg_mix_kernels;

extern const mg_mix_kernels mg_mix_kernels_avx2;
extern const mg_mix_kernels mg_mix_kernels_avx512;
extern const mg_mix_ops mg_mix_ops_cpu;
/* The rank operation (mix_rank_cpu.c). */
mg_status mg_mix_rank_cpu(mg_stream *stream, const mg_rank_args *args, mg_error *err);
/* 16-bit keys (mix_order_cpu.c). */
mg_status mg_mix_short_keys_cpu(mg_stream *stream, const mg_short_keys_args *args, mg_error *err);
void mg_mix_short_mask_cpu(const mg_stream *stream, const mg_short_mask_args *args);
/* The kernel for MG_ISA_AVX512_BF16 (mix_partition_vbmi2.c). */
void mg_mix_partition_vbmi2(mg_partition_args *args);
void mg_mix_partition_cpu(const mg_stream *stream, mg_partition_args *args);
/* DELLA's mask (mix_row_mask_cpu.c). */
mg_status mg_mix_row_mask_cpu(mg_stream *stream, const mg_row_mask_args *args, mg_error *err);

MG_END_C
