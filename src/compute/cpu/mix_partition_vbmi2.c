/* compute/cpu/mix_partition_vbmi2.c - the partition of 16-bit keys for AVX-512 with VBMI2, which
 * presses and spreads 32 of them at a time. */
#include "compute/cpu/mix_kernels_internal.h"
#include "compute/cpu/mix_vec_avx512.inc"

#define KEY_LANES 32

typedef __m512i key_vec;
typedef uint16_t key_cell; /* a key in a buffer */

static inline key_vec key_load(const uint16_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}
static inline void key_store(uint16_t *p, key_vec x)
{
    _mm512_storeu_si512((void *)p, x);
}
static inline key_vec key_set1(uint16_t x)
{
    return _mm512_set1_epi16((short)x);
}
#define key_get key_load
#define key_put key_store
static inline key_vec key_reverse(key_vec x)
{
    const __m512i steps =
        _mm512_set_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                         21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    return _mm512_permutexvar_epi16(steps, x);
}
static inline key_vec key_select(uint32_t bits, key_vec yes, key_vec no)
{
    return _mm512_mask_blend_epi16((__mmask32)bits, no, yes);
}
static inline key_vec key_press(key_vec x, uint32_t bits)
{
    return _mm512_maskz_compress_epi16((__mmask32)bits, x);
}
static inline key_vec key_spread(key_vec x, uint32_t bits)
{
    return _mm512_maskz_expand_epi16((__mmask32)bits, x);
}
static inline uint32_t key_less_bits(key_vec x, key_vec below)
{
    return (uint32_t)_mm512_cmplt_epu16_mask(x, below);
}
static inline uint32_t key_equal_bits(key_vec a, key_vec b)
{
    return (uint32_t)_mm512_cmpeq_epi16_mask(a, b);
}

#include "compute/cpu/mix_partition.inc"

void mg_mix_partition_vbmi2(mg_partition_args *args)
{
    partition_side(args);
}
