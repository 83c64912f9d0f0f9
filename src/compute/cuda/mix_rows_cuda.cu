/* compute/cuda/mix_rows_cuda.cu - DELLA's mask: ranks within rows, then the search's draws.
 *
 * A block sorts one row by the bits of its magnitudes: a stable radix sort, eight bits a pass, of
 * places in the row.  A warp owns a stretch of the row and takes 32 places at a time; places with
 * the same digit find each other by a vote, so that a counter for each digit and warp is enough.
 * Rows lie in shared memory where they fit, else in the workspace. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/mix_cuda_internal.h"

#define ROW_THREADS 512
#define ROW_WARPS (ROW_THREADS / 32)
#define DIGITS 256
#define ROOM_BYTES_MAX ((size_t)1 << 28) /* of the workspace for long rows */

typedef struct row_params {
    mg_mix_input base, x;
    mg_dtype work;
    int64_t length, stride;
    int64_t rows;
    const uint32_t *below; /* device memory */
    uint32_t counter_tensor, counter_source;
    mg_philox_key key;
    uint32_t *bits;
    uint32_t *room;  /* three rows for each block, NULL = shared memory */
    int first_shift; /* lower bits of all magnitudes are 0 */
} row_params;

/* counts becomes the sum of what stands before, DIGITS * ROW_WARPS entries. */
__device__ static void scan_counts(uint32_t *counts, uint32_t *warp_totals)
{
    const int share = DIGITS * ROW_WARPS / ROW_THREADS;
    int thread = (int)threadIdx.x;
    int lane = thread % 32;
    uint32_t total = 0;
    for (int i = 0; i < share; i++) {
        total += counts[thread * share + i];
    }
    uint32_t before = total;
    for (int step = 1; step < 32; step *= 2) {
        uint32_t other = __shfl_up_sync(0xFFFFFFFFu, before, step);
        before += lane >= step ? other : 0;
    }
    if (lane == 31) {
        warp_totals[thread / 32] = before;
    }
    before -= total;
    __syncthreads();
    for (int w = 0; w < thread / 32; w++) {
        before += warp_totals[w];
    }
    for (int i = 0; i < share; i++) {
        uint32_t count = counts[thread * share + i];
        counts[thread * share + i] = before;
        before += count;
    }
    __syncthreads();
}

/* One pass over the places from: counts them by digit, or with to set puts them there. */
__device__ static void walk_digits(const uint32_t *keys, const uint32_t *from, uint32_t *to,
                                   int64_t length, int shift, uint32_t *counts)
{
    int lane = (int)threadIdx.x % 32;
    int warp = (int)threadIdx.x / 32;
    int64_t stretch = (length + ROW_THREADS - 1) / ROW_THREADS * 32;
    int64_t begin = warp * stretch;
    int64_t end = min(begin + stretch, length);
    for (int64_t at = begin; at < end; at += 32) {
        bool in = at + lane < end;
        uint32_t place = in ? from[at + lane] : 0;
        unsigned digit = in ? keys[place] >> shift & (DIGITS - 1) : DIGITS;
        unsigned peers = __match_any_sync(0xFFFFFFFFu, digit);
        unsigned before = __popc(peers & ((1u << lane) - 1));
        uint32_t *count = &counts[digit % DIGITS * ROW_WARPS + warp];
        if (in && to != NULL) {
            to[*count + before] = place;
        }
        __syncwarp();
        if (in && before == 0) {
            *count += __popc(peers);
        }
        __syncwarp();
    }
}

/* Sets the bits of 32 neighbours, which may lie in two words. */
__device__ static void put_bits(uint32_t *bits, int64_t first, unsigned kept)
{
    int shift = (int)(first % 32);
    if (kept << shift != 0) {
        atomicOr(&bits[first / 32], kept << shift);
    }
    if (shift > 0 && kept >> (32 - shift) != 0) {
        atomicOr(&bits[first / 32 + 1], kept >> (32 - shift));
    }
}

__device__ static void draw_row(const row_params *p, int64_t first, const uint32_t *below)
{
    for (int64_t at = 0; at < p->length; at += ROW_THREADS) {
        int64_t i = at + threadIdx.x;
        int64_t e = first + i * p->stride;
        bool keep = i < p->length &&
                    mg_mix_drawn(p->key, p->counter_tensor, p->counter_source, below[i], e);
        if (p->stride > 1) {
            if (keep) {
                atomicOr(&p->bits[e / 32], 1u << (e % 32));
            }
            continue;
        }
        unsigned kept = __ballot_sync(0xFFFFFFFFu, keep);
        if (threadIdx.x % 32 == 0 && kept != 0) {
            put_bits(p->bits, e, kept);
        }
    }
}

__global__
__launch_bounds__(ROW_THREADS) static void row_mask_kernel(const __grid_constant__ row_params p)
{
    extern __shared__ uint32_t shared_rows[];
    __shared__ uint32_t counts[DIGITS * ROW_WARPS];
    __shared__ uint32_t warp_totals[ROW_WARPS];
    uint32_t *keys = p.room != NULL ? p.room + (int64_t)blockIdx.x * 3 * p.length : shared_rows;
    uint32_t *from = keys + p.length;
    uint32_t *to = from + p.length;
    for (int64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
        int64_t first = row / p.stride * p.stride * p.length + row % p.stride;
        for (int64_t i = threadIdx.x; i < p.length; i += ROW_THREADS) {
            keys[i] =
                __float_as_uint(mg_mix_magnitude(&p.x, &p.base, p.work, first + i * p.stride));
            from[i] = (uint32_t)i;
        }
        for (int shift = p.first_shift; shift < 32; shift += 8) {
            for (int i = (int)threadIdx.x; i < DIGITS * ROW_WARPS; i += ROW_THREADS) {
                counts[i] = 0;
            }
            __syncthreads();
            walk_digits(keys, from, NULL, p.length, shift, counts);
            __syncthreads();
            scan_counts(counts, warp_totals);
            walk_digits(keys, from, to, p.length, shift, counts);
            __syncthreads();
            uint32_t *sorted = to;
            to = from;
            from = sorted;
        }
        for (int64_t q = threadIdx.x; q < p.length; q += ROW_THREADS) {
            to[from[q]] = p.below[q];
        }
        __syncthreads();
        draw_row(&p, first, to);
        __syncthreads();
    }
}

/* How much shared memory a block may ask for beside its own. */
static mg_status shared_most(const mg_stream *stream, size_t *bytes_out, mg_error *err)
{
    int bytes = 0;
    MG_TRY(mg_cuda_status(
        cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, stream->card),
        "row_mask", err));
    size_t own = (DIGITS * ROW_WARPS + ROW_WARPS) * sizeof(uint32_t);
    *bytes_out = (size_t)bytes > own ? (size_t)bytes - own : 0;
    return MG_OK;
}

mg_status mg_cuda_row_mask(mg_stream *stream, const mg_row_mask_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->work, err));
    row_params p;
    memset(&p, 0, sizeof(p));
    p.base = args->base;
    p.x = args->x;
    p.work = args->work;
    p.length = args->length;
    p.stride = args->stride;
    p.rows = args->count / args->length;
    p.counter_tensor = args->counter_tensor;
    p.counter_source = args->counter_source;
    p.key = args->key;
    p.bits = (uint32_t *)args->bits;
    p.first_shift = args->work == MG_BF16 ? 16 : args->work == MG_F16 ? 13 : 0;
    MG_TRY(mg_cuda_status(cudaMemsetAsync(args->bits, 0,
                                          (size_t)((args->count + 63) / 64) * sizeof(uint64_t),
                                          stream->handle),
                          "row_mask", err));
    if (p.rows == 0) {
        return MG_OK;
    }
    size_t table_bytes = (size_t)p.length * sizeof(uint32_t);
    size_t row_bytes = 3 * table_bytes;
    size_t most = 0;
    MG_TRY(shared_most(stream, &most, err));
    int64_t blocks = MG_MIN(p.rows, (int64_t)stream->multiprocessors * 4);
    bool fits = row_bytes <= most;
    if (!fits) {
        blocks = MG_MAX(MG_MIN(blocks, (int64_t)(ROOM_BYTES_MAX / row_bytes)), 1);
    }
    void *block = NULL;
    size_t room_bytes = fits ? 0 : row_bytes * (size_t)blocks;
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, table_bytes + room_bytes, &block, err));
    MG_TRY(stream->device->upload(stream, block, args->below, table_bytes, err));
    p.below = (const uint32_t *)block;
    p.room = fits ? NULL : (uint32_t *)block + p.length;
    size_t dynamic = fits ? row_bytes : 0;
    MG_TRY(mg_cuda_status(cudaFuncSetAttribute(row_mask_kernel,
                                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                                               (int)dynamic),
                          "row_mask", err));
    row_mask_kernel<<<(unsigned)blocks, ROW_THREADS, dynamic, stream->handle>>>(p);
    return mg_cuda_launched("row_mask", err);
}
