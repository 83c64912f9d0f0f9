/* bench/probe.c - chains of multiply-adds per instruction set, and a sum over a large block. */
#include "probe.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#define PROBE_ROUNDS 20000
#define PROBE_CHAINS 12

/* Twelve chains hide the latency of any of these instructions. */
#define PROBE_FUNCTION(name, isa, vector, zero, half, step, first)                                 \
    __attribute__((target(isa))) static float name(void)                                           \
    {                                                                                              \
        vector sums[PROBE_CHAINS];                                                                 \
        vector x = half(0.5f);                                                                     \
        for (int c = 0; c < PROBE_CHAINS; c++) {                                                   \
            sums[c] = zero();                                                                      \
        }                                                                                          \
        for (int i = 0; i < PROBE_ROUNDS; i++) {                                                   \
            _Pragma("GCC unroll 12") for (int c = 0; c < PROBE_CHAINS; c++)                        \
            {                                                                                      \
                sums[c] = step(sums[c], x);                                                        \
            }                                                                                      \
        }                                                                                          \
        float total = 0.0f;                                                                        \
        for (int c = 0; c < PROBE_CHAINS; c++) {                                                   \
            total += first(sums[c]);                                                               \
        }                                                                                          \
        return total;                                                                              \
    }

#define STEP_AVX2(sum, x) _mm256_fmadd_ps(x, x, sum)
#define STEP_AVX512(sum, x) _mm512_fmadd_ps(x, x, sum)
#define STEP_DOT(sum, x) _mm512_dpbf16_ps(sum, (__m512bh)(x), (__m512bh)(x))

PROBE_FUNCTION(fma_avx2, "avx2,fma", __m256, _mm256_setzero_ps, _mm256_set1_ps, STEP_AVX2,
               _mm256_cvtss_f32)
PROBE_FUNCTION(fma_avx512, "avx512f", __m512, _mm512_setzero_ps, _mm512_set1_ps, STEP_AVX512,
               _mm512_cvtss_f32)
PROBE_FUNCTION(dot_avx512, "avx512f,avx512bf16", __m512, _mm512_setzero_ps, _mm512_set1_ps,
               STEP_DOT, _mm512_cvtss_f32)

__attribute__((target("avx2"))) static float read_block(const float *from, int64_t count)
{
    __m256 sums[4] = { _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                       _mm256_setzero_ps() };
    for (int64_t i = 0; i + 32 <= count; i += 32) {
        for (int v = 0; v < 4; v++) {
            sums[v] = _mm256_add_ps(sums[v], _mm256_loadu_ps(from + i + 8 * v));
        }
    }
    return _mm256_cvtss_f32(
        _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

static void fma_task(void *context, int64_t index, int worker)
{
    (void)worker;
    probe *p = (probe *)context;
    p->sinks[index % 256] = p->isa >= MG_ISA_AVX512 ? fma_avx512() : fma_avx2();
}

static void dot_task(void *context, int64_t index, int worker)
{
    (void)worker;
    probe *p = (probe *)context;
    p->sinks[index % 256] = dot_avx512();
}

static void read_task(void *context, int64_t index, int worker)
{
    (void)worker;
    probe *p = (probe *)context;
    int64_t count = (int64_t)(PROBE_READ_BYTES / sizeof(float)) / mg_pool_threads(p->pool);
    p->sinks[index % 256] = read_block(p->block + index * count, count);
}

static double seconds_of(const probe *p, mg_pool_task *task)
{
    double start = mg_clock_now(NULL);
    mg_pool_run(p->pool, mg_pool_threads(p->pool), task, (void *)(uintptr_t)p);
    return mg_clock_now(NULL) - start;
}

void probe_again(probe *p)
{
    double steps = (double)PROBE_CHAINS * PROBE_ROUNDS * mg_pool_threads(p->pool);
    double lanes = p->isa >= MG_ISA_AVX512 ? 16.0 : 8.0;
    for (int round = 0; round < 5; round++) {
        p->flops = MG_MAX(p->flops, 2.0 * lanes * steps / seconds_of(p, fma_task));
        p->read_bytes = MG_MAX(p->read_bytes, (double)PROBE_READ_BYTES / seconds_of(p, read_task));
        double dots = p->isa >= MG_ISA_AVX512_BF16 ? 64.0 * steps / seconds_of(p, dot_task) : 0.0;
        p->flops_bf16 = MG_MAX(MG_MAX(p->flops_bf16, p->flops), dots);
    }
}

void probe_open(probe *p, mg_pool *pool, mg_isa isa)
{
    mg_error err;
    void *block = NULL;
    memset(p, 0, sizeof(*p));
    p->pool = pool;
    p->isa = isa;
    if (isa == MG_ISA_BASE) {
        fprintf(stderr, "this machine has neither AVX2 nor AVX-512\n");
        exit(1);
    }
    if (mg_memory_try(PROBE_READ_BYTES, "the read probe", &block, &err) != MG_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    memset(block, 1, PROBE_READ_BYTES);
    p->block = (float *)block;
    probe_again(p);
}

void probe_close(probe *p)
{
    mg_free_aligned(p->block);
}
