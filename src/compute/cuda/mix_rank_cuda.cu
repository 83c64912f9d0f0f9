/* compute/cuda/mix_rank_cuda.cu - masks by rank of magnitude, by radix selection.
 *
 * The keys of bfloat16 magnitudes have 15 bits: one histogram in shared memory counts them all, for
 * both bounds.  Others are found with three histograms of their digits.  Elements equal to a bound
 * are taken in the order of their index, for which warps count their ties first. */
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

/* The keys of elements first .. first + 7; what is behind the last element counts as 0. */
template <bool WIDE>
__device__ static inline void keys_of(uint32_t key[MG_MIX_PIECE], const rank_keys *keys,
                                      int64_t first)
{
    float x[MG_MIX_PIECE];
    float base[MG_MIX_PIECE] = { 0 };
    mg_dtype work = WIDE ? MG_BF16 : keys->work;
    mg_mix_load_some<WIDE>(x, &keys->x, work, first, keys->count);
    if (WIDE || keys->base.data != NULL) {
        mg_mix_load_some<WIDE>(base, &keys->base, work, first, keys->count);
    }
#pragma unroll
    for (int k = 0; k < MG_MIX_PIECE; k++) {
        float d = fabsf(mg_mix_round_to(__fsub_rn(x[k], base[k]), work));
        uint32_t bits = __float_as_uint(d);
        key[k] = keys->descending ? ~bits : bits;
    }
}

static bool fits_wide(const rank_keys *keys)
{
    return keys->work == MG_BF16 && keys->base.data != NULL &&
           mg_mix_wide(keys->base.data, keys->base.dtype) &&
           mg_mix_wide(keys->x.data, keys->x.dtype) && keys->count <= UINT32_MAX;
}

/* All magnitudes of 16-bit floats, counted in the shared memory of one block a processor. */
#define SHORT_KEYS 32768
#define SHORT_BYTES (SHORT_KEYS * (int)sizeof(unsigned))
#define SHORT_THREADS 1024

/* Zeros, which fine-tunes have many of, are counted by each thread for itself. */
__device__ static inline void count_short(const uint32_t key[MG_MIX_PIECE], uint32_t turned,
                                          int64_t left, unsigned *local, unsigned *zeros)
{
#pragma unroll
    for (int k = 0; k < MG_MIX_PIECE; k++) {
        uint32_t magnitude = (key[k] ^ turned) >> 16;
        if (k < left && magnitude == 0) {
            *zeros += 1;
        } else if (k < left) {
            atomicAdd(&local[magnitude], 1u);
        }
    }
}

/* histogram[b] = elements whose magnitude is the bfloat16 of bits b. */
__global__ __launch_bounds__(SHORT_THREADS) static void short_histogram_kernel(rank_keys keys,
                                                                               unsigned *histogram)
{
    extern __shared__ unsigned local[];
    for (int i = (int)threadIdx.x; i < SHORT_KEYS; i += SHORT_THREADS) {
        local[i] = 0;
    }
    __syncthreads();
    unsigned zeros = 0;
    uint32_t turned = keys.descending ? 0xFFFFFFFFu : 0;
    int64_t step = (int64_t)gridDim.x * SHORT_THREADS * MG_MIX_PIECE;
    int64_t first = ((int64_t)blockIdx.x * SHORT_THREADS + threadIdx.x) * MG_MIX_PIECE;
    for (; first < keys.count; first += 2 * step) {
        uint32_t key[2][MG_MIX_PIECE];
        keys_of<true>(key[0], &keys, first);
        keys_of<true>(key[1], &keys, first + step);
        count_short(key[0], turned, keys.count - first, local, &zeros);
        count_short(key[1], turned, keys.count - first - step, local, &zeros);
    }
    if (zeros > 0) {
        atomicAdd(&local[0], zeros);
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < SHORT_KEYS; i += SHORT_THREADS) {
        if (local[i] > 0) {
            atomicAdd(&histogram[i], local[i]);
        }
    }
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

/* Both bounds from one histogram; rank below 0 = that bound is not looked for.  *found_out tells
 * whether the card has room for it. */
static mg_status find_short_bounds(mg_stream *stream, const rank_keys *keys, const int64_t ranks[2],
                                   void *histogram, rank_bound bounds[2], bool *found_out,
                                   mg_error *err)
{
    int room = 0;
    MG_TRY(mg_cuda_status(
        cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, stream->card),
        "rank", err));
    *found_out = room >= SHORT_BYTES;
    if (!*found_out) {
        return MG_OK;
    }
    MG_TRY(mg_cuda_status(cudaFuncSetAttribute(short_histogram_kernel,
                                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                                               SHORT_BYTES),
                          "rank", err));
    MG_TRY(mg_cuda_status(cudaMemsetAsync(histogram, 0, SHORT_BYTES, stream->handle), "rank", err));
    int64_t one_pass = (int64_t)SHORT_THREADS * MG_MIX_PIECE;
    int64_t blocks = MG_MIN((keys->count + one_pass - 1) / one_pass, stream->multiprocessors);
    short_histogram_kernel<<<(unsigned)blocks, SHORT_THREADS, SHORT_BYTES, stream->handle>>>(
        *keys, (unsigned *)histogram);
    MG_TRY(mg_cuda_launched("rank", err));
    MG_TRY(mg_cuda_status(cudaMemcpyAsync(stream->pinned, histogram, SHORT_BYTES,
                                          cudaMemcpyDeviceToHost, stream->handle),
                          "rank", err));
    MG_TRY(mg_cuda_status(cudaStreamSynchronize(stream->handle), "rank", err));
    const unsigned *counts = (const unsigned *)stream->pinned;
    for (int i = 0; i < 2; i++) {
        uint32_t at = 0; /* in order of keys */
        uint32_t turned = keys->descending ? SHORT_KEYS - 1 : 0;
        int64_t before = 0;
        if (ranks[i] < 0) {
            continue;
        }
        while (at < SHORT_KEYS - 1 && before + (int64_t)counts[at ^ turned] <= ranks[i]) {
            before += (int64_t)counts[at ^ turned];
            at++;
        }
        uint32_t bits = (at ^ turned) << 16;
        bounds[i].key = keys->descending ? ~bits : bits;
        bounds[i].before = before;
    }
    return MG_OK;
}

/* Elements of one warp: a multiple of 64, so that warps write whole words. */
#define RANK_WARP 2048
#define RANK_WARPS (MG_MIX_THREADS / 32)

/* Ties of a warp's elements, or before them: of the lower bound, of the upper one. */
typedef struct tie_counts {
    int64_t low, high;
} tie_counts;

template <bool WIDE>
__global__ static void count_ties_kernel(rank_keys keys, uint32_t low, uint32_t high,
                                         tie_counts *ties)
{
    int64_t warp = ((int64_t)blockIdx.x * MG_MIX_THREADS + threadIdx.x) / 32;
    int64_t begin = warp * RANK_WARP;
    int64_t end = min(begin + (int64_t)RANK_WARP, keys.count);
    int lane = (int)threadIdx.x % 32;
    unsigned low_count = 0;
    unsigned high_count = 0;
#pragma unroll 4
    for (int64_t first = begin + lane * MG_MIX_PIECE; first < end; first += 32 * MG_MIX_PIECE) {
        uint32_t key[MG_MIX_PIECE];
        keys_of<WIDE>(key, &keys, first);
#pragma unroll
        for (int k = 0; k < MG_MIX_PIECE; k++) {
            low_count += first + k < end && key[k] == low;
            high_count += first + k < end && key[k] == high;
        }
    }
    for (int step = 16; step > 0; step /= 2) {
        low_count += __shfl_down_sync(0xFFFFFFFFu, low_count, step);
        high_count += __shfl_down_sync(0xFFFFFFFFu, high_count, step);
    }
    if (lane == 0 && begin < keys.count) {
        ties[warp].low = low_count;
        ties[warp].high = high_count;
    }
}

#define SCAN_THREADS 1024

/* Replaces each of count entries by the sum of those before it; one block. */
__global__ __launch_bounds__(SCAN_THREADS) static void scan_ties_kernel(tie_counts *ties,
                                                                        int64_t count)
{
    __shared__ tie_counts sums[SCAN_THREADS];
    int thread = (int)threadIdx.x;
    int64_t share = (count + SCAN_THREADS - 1) / SCAN_THREADS;
    int64_t begin = min(thread * share, count);
    int64_t end = min(begin + share, count);
    tie_counts sum = { 0, 0 };
    for (int64_t i = begin; i < end; i++) {
        sum.low += ties[i].low;
        sum.high += ties[i].high;
    }
    sums[thread] = sum;
    for (int step = 1; step < SCAN_THREADS; step *= 2) {
        __syncthreads();
        tie_counts from = { 0, 0 };
        if (thread >= step) {
            from = sums[thread - step];
        }
        __syncthreads();
        sums[thread].low += from.low;
        sums[thread].high += from.high;
    }
    tie_counts before = { sums[thread].low - sum.low, sums[thread].high - sum.high };
    for (int64_t i = begin; i < end; i++) {
        tie_counts own = ties[i];
        ties[i] = before;
        before.low += own.low;
        before.high += own.high;
    }
}

/* Ties in the lanes before this one, and in *all_out those of the warp; both of a pair of counts in
 * 16 bits each. */
__device__ static inline unsigned ties_before(unsigned own, int lane, unsigned *all_out)
{
    unsigned sum = own;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        unsigned from = __shfl_up_sync(0xFFFFFFFFu, sum, step);
        sum += lane >= step ? from : 0;
    }
    *all_out = __shfl_sync(0xFFFFFFFFu, sum, 31);
    return sum - own;
}

/* first: how many elements of the lower bound's key to leave out; last: how many of the upper
 * bound's key to take, both as ranks.  starts holds the ties before each warp's elements.  A lane
 * writes the byte of its piece; words have a whole number of pieces. */
template <bool WIDE>
__global__ static void rank_bits_kernel(rank_keys keys, rank_bound low, rank_bound high,
                                        int64_t first, int64_t last, const tie_counts *starts,
                                        uint8_t *bits)
{
    int64_t warp = ((int64_t)blockIdx.x * MG_MIX_THREADS + threadIdx.x) / 32;
    int64_t begin = warp * RANK_WARP;
    int lane = (int)threadIdx.x % 32;
    if (begin >= keys.count) {
        return;
    }
    int64_t low_seen = low.before + starts[warp].low;
    int64_t high_seen = high.before + starts[warp].high;
#pragma unroll 2
    for (int64_t at = begin; at < begin + RANK_WARP; at += 32 * MG_MIX_PIECE) {
        int64_t e = at + lane * MG_MIX_PIECE;
        uint32_t key[MG_MIX_PIECE];
        unsigned own = 0;
        unsigned all = 0;
        keys_of<WIDE>(key, &keys, e);
#pragma unroll
        for (int k = 0; k < MG_MIX_PIECE; k++) {
            bool in = e + k < keys.count;
            own += (in && key[k] == low.key ? 1u : 0) + (in && key[k] == high.key ? 0x10000u : 0);
        }
        unsigned before = ties_before(own, lane, &all);
        int64_t low_rank = low_seen + (before & 0xFFFF);
        int64_t high_rank = high_seen + (before >> 16);
        unsigned byte = 0;
#pragma unroll
        for (int k = 0; k < MG_MIX_PIECE; k++) {
            bool is_low = key[k] == low.key;
            bool is_high = key[k] == high.key;
            bool above = is_low ? low_rank >= first : key[k] > low.key;
            bool under = is_high ? high_rank < last : key[k] < high.key;
            byte |= (e + k < keys.count && above && under ? 1u : 0) << k;
            low_rank += is_low;
            high_rank += is_high;
        }
        if (e < (keys.count + 63) / 64 * 64) {
            bits[e / MG_MIX_PIECE] = (uint8_t)byte;
        }
        low_seen += all & 0xFFFF;
        high_seen += all >> 16;
    }
}

template <bool WIDE>
static mg_status write_bits(const mg_stream *stream, const rank_keys *keys,
                            const rank_bound bounds[2], const mg_rank_args *args, tie_counts *ties,
                            mg_error *err)
{
    int64_t parts = (args->count + RANK_WARP - 1) / RANK_WARP;
    unsigned blocks = (unsigned)((parts + RANK_WARPS - 1) / RANK_WARPS);
    cudaStream_t handle = stream->handle;
    count_ties_kernel<WIDE>
        <<<blocks, MG_MIX_THREADS, 0, handle>>>(*keys, bounds[0].key, bounds[1].key, ties);
    MG_TRY(mg_cuda_launched("rank", err));
    scan_ties_kernel<<<1, SCAN_THREADS, 0, handle>>>(ties, parts);
    MG_TRY(mg_cuda_launched("rank", err));
    rank_bits_kernel<WIDE><<<blocks, MG_MIX_THREADS, 0, handle>>>(
        *keys, bounds[0], bounds[1], args->first, args->first + args->kept, ties,
        (uint8_t *)args->bits);
    return mg_cuda_launched("rank", err);
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
    void *histogram = NULL;
    rank_bound bounds[2] = { { 0, 0 },
                             { 0xFFFFFFFFu, 0 } }; /* where there is nothing to look for */
    int64_t last = args->first + args->kept;       /* the rank behind the last one kept */
    const int64_t ranks[2] = { args->first > 0 ? args->first : -1,
                               last < args->count ? last - 1 : -1 };
    bool wide = fits_wide(&keys);
    bool found = false;
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE,
                                 SHORT_BYTES + (size_t)parts * sizeof(tie_counts), &histogram,
                                 err));
    tie_counts *ties = (tie_counts *)(void *)((char *)histogram + SHORT_BYTES);
    if (wide && (ranks[0] >= 0 || ranks[1] >= 0)) {
        MG_TRY(find_short_bounds(stream, &keys, ranks, histogram, bounds, &found, err));
    }
    for (int i = 0; i < 2 && !found; i++) {
        if (ranks[i] >= 0) {
            MG_TRY(find_bound(stream, &keys, ranks[i], (unsigned long long *)histogram, &bounds[i],
                              err));
        }
    }
    return wide ? write_bits<true>(stream, &keys, bounds, args, ties, err)
                : write_bits<false>(stream, &keys, bounds, args, ties, err);
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
