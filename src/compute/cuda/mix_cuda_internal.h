/* compute/cuda/mix_cuda_internal.h - what the kernels of merging share: values in and out, the
 * look for those that are not finite, and counters.
 *
 * Device functions are inline; launchers belong to one stream at a time. */
#pragma once

#include <cuda_fp16.h>

#include "compute/cuda/cuda_internal.h"

#define MG_MIX_THREADS 256

MG_BEGIN_C

/* mix_sums_cuda.cu */
mg_status mg_cuda_dot(mg_stream *stream, const mg_dot_args *args, mg_error *err);
mg_status mg_cuda_delta_sum(mg_stream *stream, const mg_delta_sum_args *args, mg_error *err);
mg_status mg_cuda_finite(mg_stream *stream, const mg_finite_args *args, mg_error *err);
/* mix_rank_cuda.cu */
mg_status mg_cuda_rank(mg_stream *stream, const mg_rank_args *args, mg_error *err);
mg_status mg_cuda_bernoulli(mg_stream *stream, const mg_bernoulli_args *args, mg_error *err);
/* mix_rows_cuda.cu */
mg_status mg_cuda_row_mask(mg_stream *stream, const mg_row_mask_args *args, mg_error *err);

MG_END_C

/* Blocks for a loop over count elements: enough to fill the card several times over. */
static inline unsigned mg_mix_blocks(const mg_stream *stream, int64_t count)
{
    int64_t blocks = (count + MG_MIX_THREADS - 1) / MG_MIX_THREADS;
    return (unsigned)MG_MAX(MG_MIN(blocks, (int64_t)stream->multiprocessors * 16), 1);
}

static inline mg_status mg_mix_check_types(mg_dtype work, mg_dtype out, mg_error *err)
{
    if (work == MG_F64 || out == MG_F64) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "float64 merges run on the CPU: use --device cpu");
    }
    return MG_OK;
}

__device__ static inline float mg_mix_round_to(float x, mg_dtype dtype)
{
    switch (dtype) {
    case MG_BF16:
        return __bfloat162float(__float2bfloat16_rn(x));
    case MG_F16:
        return __half2float(__float2half_rn(x));
    default:
        return x;
    }
}

__device__ static inline float mg_mix_load(const mg_mix_input *input, int64_t i, mg_dtype work)
{
    switch (input->dtype) {
    case MG_BF16: {
        float x = __bfloat162float(((const __nv_bfloat16 *)input->data)[i]);
        return work == MG_F16 ? mg_mix_round_to(x, work) : x;
    }
    case MG_F16: {
        float x = __half2float(((const __half *)input->data)[i]);
        return work == MG_BF16 ? mg_mix_round_to(x, work) : x;
    }
    case MG_F64:
        return mg_mix_round_to((float)((const double *)input->data)[i], work);
    default:
        return mg_mix_round_to(((const float *)input->data)[i], work);
    }
}

__device__ static inline void mg_mix_store(void *out, mg_dtype dtype, int64_t i, float x)
{
    switch (dtype) {
    case MG_BF16:
        ((__nv_bfloat16 *)out)[i] = __float2bfloat16_rn(x);
        return;
    case MG_F16:
        ((__half *)out)[i] = __float2half_rn(x);
        return;
    default:
        ((float *)out)[i] = x;
        return;
    }
}

/* Elements of a piece: 16 bytes of a 16-bit type. */
#define MG_MIX_PIECE 8

/* Whether pieces of a tensor can be loaded or stored at once. */
static inline bool mg_mix_wide(const void *data, mg_dtype dtype)
{
    return dtype == MG_BF16 && (uintptr_t)data % 16 == 0;
}

/* A whole piece of bfloat16 values, of an address that mg_mix_wide accepts. */
__device__ static inline void mg_mix_load_piece(float x[MG_MIX_PIECE], const void *data,
                                                int64_t piece)
{
    uint4 raw = __ldcs((const uint4 *)data + piece);
    const unsigned words[4] = { raw.x, raw.y, raw.z, raw.w };
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = __uint_as_float(words[i] << 16);
        x[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
    }
}

/* Elements first .. first + 7 as work values, zeros from end on; first is a multiple of 8.  WIDE:
 * mg_mix_wide accepts the input, and work is bfloat16. */
template <bool WIDE>
__device__ static inline void mg_mix_load_some(float x[MG_MIX_PIECE], const mg_mix_input *input,
                                               mg_dtype work, int64_t first, int64_t end)
{
    if (WIDE && first + MG_MIX_PIECE <= end) {
        mg_mix_load_piece(x, input->data, first / MG_MIX_PIECE);
        return;
    }
#pragma unroll
    for (int k = 0; k < MG_MIX_PIECE; k++) {
        x[k] = first + k < end ? mg_mix_load(input, first + k, WIDE ? MG_BF16 : work) : 0;
    }
}

/* Rounds and stores what mg_mix_load_piece loads. */
__device__ static inline void mg_mix_store_piece(void *data, int64_t piece,
                                                 const float x[MG_MIX_PIECE])
{
    unsigned words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        __nv_bfloat162 pair = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
        words[i] = *(unsigned *)&pair;
    }
    __stcs((uint4 *)data + piece, make_uint4(words[0], words[1], words[2], words[3]));
}

/* |W(x - base)|; base->data NULL = zeros */
__device__ static inline float mg_mix_magnitude(const mg_mix_input *x, const mg_mix_input *base,
                                                mg_dtype work, int64_t e)
{
    float from = base->data != NULL ? mg_mix_load(base, e, work) : 0;
    float d = __fsub_rn(mg_mix_load(x, e, work), from);
    return fabsf(mg_mix_round_to(d, work));
}

/* What a thread has stored so far, as the largest bits of a magnitude: NaN and infinity are above
 * all others, and so is what becomes infinite when it is stored. */
__device__ static inline unsigned mg_mix_watch(unsigned most, float x)
{
    return max(most, __float_as_uint(x) & 0x7FFFFFFFu);
}

__device__ static inline void mg_mix_watch_end(uint32_t *flag, unsigned most, mg_dtype dtype)
{
    unsigned limit = dtype == MG_BF16 ? 0x7F7F8000u : dtype == MG_F16 ? 0x477FF000u : 0x7F800000u;
    if (flag != NULL && most >= limit) {
        *flag = 1;
    }
}

/* Philox 4x32-10 as base/rng.c has it. */
__device__ static inline void mg_mix_philox(mg_philox_key key, uint32_t c0, uint32_t c1,
                                            uint32_t c2, uint32_t c3, uint32_t words[4])
{
    uint32_t k0 = key.word[0];
    uint32_t k1 = key.word[1];
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t h0 = __umulhi(0xD2511F53u, c0);
        uint32_t l0 = 0xD2511F53u * c0;
        uint32_t h1 = __umulhi(0xCD9E8D57u, c2);
        uint32_t l1 = 0xCD9E8D57u * c2;
        c0 = h1 ^ c1 ^ k0;
        c1 = l1;
        c2 = h0 ^ c3 ^ k1;
        c3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

/* mg_mix_counter_keeps, on the card. */
__device__ static inline bool mg_mix_drawn(mg_philox_key key, uint32_t tensor, uint32_t source,
                                           uint32_t below, int64_t e)
{
    uint64_t block = (uint64_t)e / 64 * 8 + (uint64_t)e % 32 / 4;
    uint32_t words[4];
    mg_mix_philox(key, (uint32_t)block, (uint32_t)(block >> 32), tensor, source, words);
    uint32_t low = e % 4 / 2 == 0 ? words[0] : words[1];
    uint32_t high = e % 4 / 2 == 0 ? words[2] : words[3];
    return ((e % 64 < 32 ? low : high) >> (e % 2 * 16) & 0xFFFF) < below;
}
