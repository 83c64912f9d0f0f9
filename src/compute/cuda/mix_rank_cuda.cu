/* compute/cuda/mix_rank_cuda.cu - masks by rank of magnitude, by radix selection.
 *
 * The key at a bound is found with three histograms of its digits; elements equal to it are taken
 * in the order of their index, for which blocks count their ties first. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/mix_cuda_internal.h"

/* Ranks by radix: the order of keys is the order of the wanted ranks. */
typedef struct rank_keys {
    mg_mix_input base, x;
    mg_dtype work;
    bool descending;
    int64_t count;
} rank_keys;

__device__ static inline uint32_t key_of(const rank_keys *keys, int64_t e)
{
    uint32_t bits = __float_as_uint(mg_mix_magnitude(&keys->x, &keys->base, keys->work, e));
    return keys->descending ? ~bits : bits;
}

#define RADIX_BITS 11
#define RADIX (1 << RADIX_BITS)

/* Copies of a block's histogram: most magnitudes share a few digits, and neighbours that count in
 * different copies do not wait for each other. */
#define COPIES 4

/* Counts the digits at shift of keys whose higher bits equal prefix. */
__global__ static void histogram_kernel(rank_keys keys, uint32_t prefix, int shift,
                                        int prefix_shift, unsigned long long *histogram)
{
    __shared__ unsigned local[RADIX * COPIES];
    for (int i = (int)threadIdx.x; i < RADIX * COPIES; i += MG_MIX_THREADS) {
        local[i] = 0;
    }
    __syncthreads();
    int copy = (int)threadIdx.x % COPIES;
    int64_t step = (int64_t)gridDim.x * blockDim.x;
#pragma unroll 4
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < keys.count; e += step) {
        uint32_t key = key_of(&keys, e);
        if (prefix_shift >= 32 || key >> prefix_shift == prefix) {
            atomicAdd(&local[(key >> shift & (RADIX - 1)) * COPIES + copy], 1u);
        }
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < RADIX; i += MG_MIX_THREADS) {
        unsigned sum = 0;
        for (int c = 0; c < COPIES; c++) {
            sum += local[i * COPIES + c];
        }
        if (sum > 0) {
            atomicAdd(&histogram[i], (unsigned long long)sum);
        }
    }
}

/* The key at a rank, and how many elements come before the first of that key. */
typedef struct rank_bound {
    uint32_t key;
    int64_t before;
} rank_bound;

static mg_status find_bound(mg_stream *stream, const rank_keys *keys, int64_t rank,
                            unsigned long long *histogram, rank_bound *bound_out, mg_error *err)
{
    static const int shifts[] = { 21, 10, 0 };
    static const int prefix_shifts[] = { 32, 21, 10 };
    uint32_t prefix = 0;
    int64_t before = 0;
    int passes = keys->work == MG_BF16 ? 2 : 3; /* the lower half of a bfloat16 is zeros */
    for (int pass = 0; pass < passes; pass++) {
        int digits = pass == 2 ? 10 : RADIX_BITS;
        MG_TRY(mg_cuda_status(
            cudaMemsetAsync(histogram, 0, RADIX * sizeof(*histogram), stream->handle), "rank",
            err));
        histogram_kernel<<<mg_mix_blocks(stream, keys->count), MG_MIX_THREADS, 0, stream->handle>>>(
            *keys, prefix, shifts[pass], prefix_shifts[pass], histogram);
        MG_TRY(mg_cuda_launched("rank", err));
        MG_TRY(mg_cuda_status(cudaMemcpyAsync(stream->pinned, histogram, RADIX * sizeof(*histogram),
                                              cudaMemcpyDeviceToHost, stream->handle),
                              "rank", err));
        MG_TRY(mg_cuda_status(cudaStreamSynchronize(stream->handle), "rank", err));
        const unsigned long long *counts = (const unsigned long long *)stream->pinned;
        /* The last pass looks at 10 bits; its histogram also holds the bit above, which the prefix
         * fixes. */
        uint32_t mask = (uint32_t)(1 << digits) - 1;
        uint32_t high = pass == 2 ? (prefix & 1) << 10 : 0;
        uint32_t digit = 0;
        while (digit < mask && before + (int64_t)counts[high | digit] <= rank) {
            before += (int64_t)counts[high | digit];
            digit++;
        }
        prefix = prefix << digits | digit;
    }
    bound_out->key = passes == 3 ? prefix : prefix << 10 | (keys->descending ? (1u << 10) - 1 : 0);
    bound_out->before = before;
    return MG_OK;
}

/* Elements of one warp: a multiple of 64, so that warps write whole words. */
#define RANK_WARP 2048
#define RANK_WARPS (MG_MIX_THREADS / 32)

__global__ static void count_ties_kernel(rank_keys keys, uint32_t low, uint32_t high,
                                         unsigned *ties)
{
    int64_t warp = ((int64_t)blockIdx.x * MG_MIX_THREADS + threadIdx.x) / 32;
    int64_t begin = warp * RANK_WARP;
    int64_t end = min(begin + (int64_t)RANK_WARP, keys.count);
    int lane = (int)threadIdx.x % 32;
    unsigned low_count = 0;
    unsigned high_count = 0;
#pragma unroll 4
    for (int64_t e = begin + lane; e < end; e += 32) {
        uint32_t key = key_of(&keys, e);
        low_count += key == low;
        high_count += key == high;
    }
    for (int step = 16; step > 0; step /= 2) {
        low_count += __shfl_down_sync(0xFFFFFFFFu, low_count, step);
        high_count += __shfl_down_sync(0xFFFFFFFFu, high_count, step);
    }
    if (lane == 0 && begin < keys.count) {
        ties[warp * 2] = low_count;
        ties[warp * 2 + 1] = high_count;
    }
}

/* first: how many elements of the lower bound's key to leave out; last: how many of the upper
 * bound's key to take, both as ranks.  starts holds the ties before each warp's elements. */
__global__ static void rank_bits_kernel(rank_keys keys, rank_bound low, rank_bound high,
                                        int64_t first, int64_t last, const int64_t *starts,
                                        uint32_t *bits)
{
    int64_t warp = ((int64_t)blockIdx.x * MG_MIX_THREADS + threadIdx.x) / 32;
    int64_t begin = warp * RANK_WARP;
    int lane = (int)threadIdx.x % 32;
    unsigned earlier = (1u << lane) - 1;
    if (begin >= keys.count) {
        return;
    }
    int64_t low_seen = low.before + starts[warp * 2];
    int64_t high_seen = high.before + starts[warp * 2 + 1];
#pragma unroll 4
    for (int64_t at = begin; at < begin + RANK_WARP; at += 32) {
        int64_t e = at + lane;
        bool in = e < keys.count;
        uint32_t key = in ? key_of(&keys, e) : 0;
        bool is_low = in && key == low.key;
        bool is_high = in && key == high.key;
        unsigned lows = __ballot_sync(0xFFFFFFFFu, is_low);
        unsigned highs = __ballot_sync(0xFFFFFFFFu, is_high);
        bool above = is_low ? low_seen + __popc(lows & earlier) >= first : key > low.key;
        bool under = is_high ? high_seen + __popc(highs & earlier) < last : key < high.key;
        unsigned word = __ballot_sync(0xFFFFFFFFu, in && above && under);
        if (lane == 0 && at < (keys.count + 63) / 64 * 64) {
            bits[at / 32] = word;
        }
        low_seen += __popc(lows);
        high_seen += __popc(highs);
    }
}

mg_status mg_cuda_rank(mg_stream *stream, const mg_rank_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->work, err));
    size_t mask_bytes = (size_t)((args->count + 63) / 64) * sizeof(uint64_t);
    if (args->kept <= 0 || args->count == 0) {
        return mg_cuda_status(cudaMemsetAsync(args->bits, 0, mask_bytes, stream->handle), "rank",
                              err);
    }
    rank_keys keys = { args->base, args->x, args->work, args->descending, args->count };
    int64_t parts = (args->count + RANK_WARP - 1) / RANK_WARP;
    unsigned blocks = (unsigned)((parts + RANK_WARPS - 1) / RANK_WARPS);
    size_t histogram_bytes = RADIX * sizeof(unsigned long long);
    size_t ties_bytes = (size_t)parts * 2 * sizeof(int64_t);
    void *workspace = NULL;
    rank_bound low = { 0, 0 }; /* below every key, and above: nothing to look for */
    rank_bound high = { 0xFFFFFFFFu, 0 };
    int64_t last = args->first + args->kept; /* the rank behind the last one kept */
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, histogram_bytes + ties_bytes,
                                 &workspace, err));
    unsigned long long *histogram = (unsigned long long *)workspace;
    void *ties = (char *)workspace + histogram_bytes;
    if (args->first > 0) {
        MG_TRY(find_bound(stream, &keys, args->first, histogram, &low, err));
    }
    if (last < args->count) {
        MG_TRY(find_bound(stream, &keys, last - 1, histogram, &high, err));
    }
    count_ties_kernel<<<blocks, MG_MIX_THREADS, 0, stream->handle>>>(keys, low.key, high.key,
                                                                     (unsigned *)ties);
    MG_TRY(mg_cuda_launched("rank", err));
    mg_status status = MG_OK;
    unsigned *counts = mg_new_array(unsigned, parts * 2);
    int64_t *starts = mg_new_array(int64_t, parts * 2);
    MG_TRY_OR_DONE(
        stream->device->download(stream, counts, ties, (size_t)parts * 2 * sizeof(unsigned), err));
    for (int64_t i = 2; i < parts * 2; i++) {
        starts[i] = starts[i - 2] + (int64_t)counts[i - 2];
    }
    MG_TRY_OR_DONE(stream->device->upload(stream, ties, starts, ties_bytes, err));
    rank_bits_kernel<<<blocks, MG_MIX_THREADS, 0, stream->handle>>>(
        keys, low, high, args->first, last, (const int64_t *)ties, (uint32_t *)args->bits);
    MG_TRY_OR_DONE(mg_cuda_launched("rank", err));

done:
    mg_free(starts);
    mg_free(counts);
    return status;
}

/* The stream of torch is sequential: it runs on the host, and its bits go to the card. */
mg_status mg_cuda_bernoulli(mg_stream *stream, const mg_bernoulli_args *args, mg_error *err)
{
    size_t bytes = (size_t)((args->count + 63) / 64) * sizeof(uint64_t);
    void *block = NULL;
    MG_TRY(mg_memory_try(bytes, "a mask", &block, err));
    uint64_t *bits = (uint64_t *)block;
    for (int64_t e = 0; e < args->count; e++) {
        uint64_t keep = (mg_mt19937_word(args->mt) & 0xffffff) < args->below;
        bits[e / 64] |= keep << (e % 64);
    }
    mg_status status = stream->device->upload(stream, args->bits, bits, bytes, err);
    mg_free_aligned(block);
    return status;
}
