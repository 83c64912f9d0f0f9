/* compute/cpu/mix_order_cpu.c - the launchers of 16-bit keys and their partition. */
#include "base/memory.h"
#include "compute/cpu/kernels_internal.h"
#include "compute/cpu/mix_kernels_internal.h"

static const mg_mix_kernels *kernels_of(const mg_stream *stream)
{
    return mg_stream_kernels(stream)->isa >= MG_ISA_AVX512 ? &mg_mix_kernels_avx512
                                                           : &mg_mix_kernels_avx2;
}

typedef struct keys_launch {
    const mg_stream *stream;
    const mg_mix_kernels *kernels;
    const mg_short_keys_args *args;
} keys_launch;

/* A worker's counts, in its scratch. */
typedef struct keys_counts {
    int64_t below;
    uint32_t tally[MG_SHORT_KEY_COUNT];
} keys_counts;

static void keys_block(void *context, int64_t block, int worker)
{
    const keys_launch *l = (const keys_launch *)context;
    keys_counts *counts = (keys_counts *)mg_stream_scratch(l->stream, worker);
    const int64_t first = block * MG_MIX_BLOCK;
    l->kernels->short_keys(l->args, first, MG_MIN(MG_MIX_BLOCK, l->args->count - first),
                           &counts->below, counts->tally);
}

mg_status mg_mix_short_keys_cpu(mg_stream *stream, const mg_short_keys_args *args, mg_error *err)
{
    MG_ASSERT(args->work == MG_BF16 || args->work == MG_F16);
    MG_ASSERT(args->low >= 0 && args->low <= args->high && args->high < MG_SHORT_KEY_COUNT);
    if (args->x.dtype == MG_F64 || args->base.dtype == MG_F64) {
        return mg_mix_ops_ref.short_keys(stream, args, err);
    }
    const int64_t blocks = (args->count + MG_MIX_BLOCK - 1) / MG_MIX_BLOCK;
    const int workers = blocks > 1 ? stream->worker_count : 1;
    const size_t width = (size_t)(args->high - args->low + 1);
    for (int w = 0; w < workers; w++) {
        keys_counts *counts = (keys_counts *)mg_stream_scratch(stream, w);
        counts->below = 0;
        memset(counts->tally, 0, width * sizeof(uint32_t));
    }
    keys_launch l = { stream, kernels_of(stream), args };
    mg_pool_run(blocks > 1 ? stream->pool : NULL, blocks, keys_block, &l);
    *args->below_out = 0;
    memset(args->tally, 0, width * sizeof(*args->tally));
    for (int w = 0; w < workers; w++) {
        const keys_counts *counts = (const keys_counts *)mg_stream_scratch(stream, w);
        *args->below_out += counts->below;
        for (size_t k = 0; k < width; k++) {
            args->tally[k] += counts->tally[k];
        }
    }
    return MG_OK;
}

void mg_mix_short_mask_cpu(const mg_stream *stream, const mg_short_mask_args *args)
{
    kernels_of(stream)->short_mask(args);
}

void mg_mix_partition_cpu(const mg_stream *stream, mg_partition_args *args)
{
    MG_ASSERT(args->first < args->boundary && args->boundary < args->last);
    if (mg_stream_kernels(stream)->isa >= MG_ISA_AVX512_BF16) {
        mg_mix_partition_vbmi2(args);
    } else {
        kernels_of(stream)->partition(args);
    }
}
