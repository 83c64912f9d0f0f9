/* compute/cpu/mix_row_mask_cpu.c - DELLA's mask: ranks within rows by radix sort, then the draws.
 *
 * A row is sorted by the bits of its magnitudes, least significant byte first, which leaves equal
 * ones in the order of their index; bytes that are the same in the whole row (the lower half of
 * every bfloat16) cost one count.  Rows may share a word of the mask, so each element's threshold
 * is written down first and the mask is drawn in stretches of whole words. */
#include <math.h>

#include "base/memory.h"
#include "compute/cpu/kernels_internal.h"
#include "compute/cpu/mix_kernels_internal.h"

#define DIGITS 256
#define STRETCH ((int64_t)1 << 16) /* elements: a multiple of 64 */

typedef struct row_launch {
    const mg_row_mask_args *args;
    const mg_mix_kernels *kernels;
    uint64_t *items; /* two rows for each worker: bits of the magnitude << 32 | place in the row */
    uint32_t *below; /* by element */
} row_launch;

static int64_t row_first(const mg_row_mask_args *args, int64_t row)
{
    return row / args->stride * args->stride * args->length + row % args->stride;
}

static float value_at(const mg_mix_input *input, int64_t e, mg_dtype work)
{
    double x;
    const char *data = (const char *)input->data;
    mg_dtype_convert(&x, MG_F64, data + e * (mg_dtype_bits(input->dtype) / 8), input->dtype, 1);
    return (float)mg_mix_round(x, work);
}

static float magnitude_at(const mg_row_mask_args *args, int64_t e)
{
    float delta = value_at(&args->x, e, args->work) - value_at(&args->base, e, args->work);
    return fabsf((float)mg_mix_round((double)delta, args->work));
}

/* Magnitudes of a row as items; contiguous rows go through the vector kernels. */
static void load_row(const row_launch *l, int64_t first, uint64_t *items)
{
    const mg_row_mask_args *args = l->args;
    float magnitudes[MG_MIX_CHUNK] __attribute__((aligned(64)));
    for (int64_t at = 0; at < args->length; at += MG_MIX_CHUNK) {
        int64_t n = MG_MIN(MG_MIX_CHUNK, args->length - at);
        for (int64_t i = 0; i < n && args->stride > 1; i++) {
            magnitudes[i] = magnitude_at(args, first + (at + i) * args->stride);
        }
        if (args->stride == 1) {
            l->kernels->magnitudes(&args->x, &args->base, args->work, first + at, n, magnitudes);
        }
        for (int64_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, &magnitudes[i], sizeof(bits));
            items[at + i] = (uint64_t)bits << 32 | (uint64_t)(at + i);
        }
    }
}

/* Where the sorted items are is returned: in items or in other. */
static uint64_t *sort_row(uint64_t *items, uint64_t *other, int64_t count)
{
    for (int shift = 32; shift < 64; shift += 8) {
        int64_t places[DIGITS] = { 0 };
        for (int64_t i = 0; i < count; i++) {
            places[items[i] >> shift & (DIGITS - 1)]++;
        }
        if (places[items[0] >> shift & (DIGITS - 1)] == count) {
            continue;
        }
        int64_t place = 0;
        for (int d = 0; d < DIGITS; d++) {
            int64_t size = places[d];
            places[d] = place;
            place += size;
        }
        for (int64_t i = 0; i < count; i++) {
            other[places[items[i] >> shift & (DIGITS - 1)]++] = items[i];
        }
        uint64_t *sorted = other;
        other = items;
        items = sorted;
    }
    return items;
}

static void rank_row(void *context, int64_t row, int worker)
{
    const row_launch *l = (const row_launch *)context;
    const mg_row_mask_args *args = l->args;
    uint64_t *items = l->items + (size_t)worker * 2 * (size_t)args->length;
    int64_t first = row_first(args, row);
    load_row(l, first, items);
    const uint64_t *sorted = sort_row(items, items + args->length, args->length);
    for (int64_t q = 0; q < args->length; q++) {
        l->below[first + (int64_t)(uint32_t)sorted[q] * args->stride] = args->below[q];
    }
}

static void draw_stretch(void *context, int64_t stretch, int worker)
{
    const row_launch *l = (const row_launch *)context;
    const mg_row_mask_args *args = l->args;
    int64_t end = MG_MIN((stretch + 1) * STRETCH, args->count);
    (void)worker;
    for (int64_t e = stretch * STRETCH; e < end; e++) {
        bool keep = mg_mix_counter_keeps(args->key, args->counter_tensor, args->counter_source,
                                         l->below[e], e);
        args->bits[e / 64] |= (uint64_t)keep << (e % 64);
    }
}

mg_status mg_mix_row_mask_cpu(mg_stream *stream, const mg_row_mask_args *args, mg_error *err)
{
    MG_ASSERT(args->length > 0 && args->length <= UINT32_MAX);
    if (args->work == MG_F64 || args->x.dtype == MG_F64 || args->base.dtype == MG_F64) {
        return mg_mix_ops_ref.row_mask(stream, args, err);
    }
    mg_status status = MG_OK;
    void *items = NULL;
    void *below = NULL;
    size_t items_bytes = (size_t)stream->worker_count * 2 * (size_t)args->length * sizeof(uint64_t);
    MG_TRY_OR_DONE(mg_memory_try(items_bytes, "ranks of a merge", &items, err));
    MG_TRY_OR_DONE(
        mg_memory_try((size_t)args->count * sizeof(uint32_t), "ranks of a merge", &below, err));
    bool wide = mg_stream_kernels(stream)->isa >= MG_ISA_AVX512;
    row_launch l = { args, wide ? &mg_mix_kernels_avx512 : &mg_mix_kernels_avx2, (uint64_t *)items,
                     (uint32_t *)below };
    mg_pool_run(stream->pool, args->count / args->length, rank_row, &l);
    memset(args->bits, 0, (size_t)((args->count + 63) / 64) * sizeof(uint64_t));
    mg_pool_run(stream->pool, (args->count + STRETCH - 1) / STRETCH, draw_stretch, &l);

done:
    mg_free_aligned(below);
    mg_free_aligned(items);
    return status;
}
