/* compute/cuda/mix_sums_cuda.cu - sums over whole tensors.
 *
 * Dot products are taken in float64 in a fixed order of blocks, so that they do not change from run
 * to run; they may differ from the CPU's in the last place.  The sums of differences that masks
 * rescale by have the CPU's bits: torch's cascade (compute/mix.c) is a tree whose lowest two levels
 * hold nearly all additions, 32 lanes each, and a warp walks through one group of them; what is
 * left, a few hundred numbers, is added on the host. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/mix_cuda_internal.h"
#include "compute/mix_internal.h"

/* Sums over blocks of MG_MIX_BLOCK elements, three a block, in float64. */
__device__ static void block_sums(double sums[3], double *out)
{
    __shared__ double shared[3][MG_MIX_THREADS];
    int thread = (int)threadIdx.x;
    for (int k = 0; k < 3; k++) {
        shared[k][thread] = sums[k];
    }
    for (int half = MG_MIX_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        for (int k = 0; k < 3 && thread < half; k++) {
            shared[k][thread] += shared[k][thread + half];
        }
    }
    __syncthreads();
    if (thread < 3) {
        out[(int64_t)blockIdx.x * 3 + thread] = shared[thread][0];
    }
}

/* Threads take pieces in turn, wide or not, so that the order is the same for any address. */
template <bool WIDE> __global__ static void dot_kernel(mg_dot_args args, double *out)
{
    int64_t begin = (int64_t)blockIdx.x * MG_MIX_BLOCK;
    int64_t end = min(begin + (int64_t)MG_MIX_BLOCK, args.count);
    double sums[3] = { 0, 0, 0 };
#pragma unroll 4
    for (int64_t e = begin + threadIdx.x * MG_MIX_PIECE; e < end;
         e += MG_MIX_THREADS * MG_MIX_PIECE) {
        float x[MG_MIX_PIECE];
        float y[MG_MIX_PIECE];
        mg_mix_load_some<WIDE>(x, &args.x, args.work, e, end);
        mg_mix_load_some<WIDE>(y, &args.y, args.work, e, end);
#pragma unroll
        for (int k = 0; k < MG_MIX_PIECE; k++) {
            sums[0] += (double)x[k] * (double)x[k];
            sums[1] += (double)y[k] * (double)y[k];
            sums[2] += (double)x[k] * (double)y[k];
        }
    }
    __syncthreads();
    block_sums(sums, out);
}

/* Adds the blocks' sums on the host, in order. */
static mg_status add_blocks(mg_stream *stream, const void *device_sums, int64_t blocks,
                            double total[3], mg_error *err)
{
    total[0] = total[1] = total[2] = 0;
    int64_t at_once = (int64_t)(MG_CUDA_PINNED_BYTES / (3 * sizeof(double)));
    for (int64_t first = 0; first < blocks; first += at_once) {
        int64_t count = MG_MIN(blocks - first, at_once);
        const double *from = (const double *)device_sums + first * 3;
        MG_TRY(
            mg_cuda_status(cudaMemcpyAsync(stream->pinned, from, (size_t)count * 3 * sizeof(double),
                                           cudaMemcpyDeviceToHost, stream->handle),
                           "sums", err));
        MG_TRY(mg_cuda_status(cudaStreamSynchronize(stream->handle), "sums", err));
        const double *sums = (const double *)stream->pinned;
        for (int64_t i = 0; i < count * 3; i++) {
            total[i % 3] += sums[i];
        }
    }
    return MG_OK;
}

mg_status mg_cuda_dot(mg_stream *stream, const mg_dot_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->work, err));
    int64_t blocks = (args->count + MG_MIX_BLOCK - 1) / MG_MIX_BLOCK;
    void *sums = NULL;
    double total[3];
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, (size_t)blocks * 3 * sizeof(double),
                                 &sums, err));
    if (blocks > 0) {
        bool wide = args->work == MG_BF16 && mg_mix_wide(args->x.data, args->x.dtype) &&
                    mg_mix_wide(args->y.data, args->y.dtype);
        void (*kernel)(mg_dot_args, double *) = wide ? dot_kernel<true> : dot_kernel<false>;
        kernel<<<(unsigned)blocks, MG_MIX_THREADS, 0, stream->handle>>>(*args, (double *)sums);
        MG_TRY(mg_cuda_launched("dot", err));
    }
    MG_TRY(add_blocks(stream, sums, blocks, total, err));
    *args->xx_out = total[0];
    *args->yy_out = total[1];
    *args->xy_out = total[2];
    return MG_OK;
}

/* --- torch's cascade ------------------------------------------------------------------------- */

/* Sums of a group, by [all, kept][lane]. */
typedef struct lane_sums {
    float at[2][MG_MIX_ROW];
} lane_sums;

typedef struct cascade_params {
    mg_mix_input base, x;
    mg_dtype work;
    bool half;
    const uint64_t *bits;
    uint32_t counter_tensor, counter_source, below;
    mg_philox_key key;
    int64_t count;
    int64_t rows;
    int64_t groups; /* of 2^power rows, the last one perhaps of fewer */
    int power;
} cascade_params;

/* Adds the element's magnitude to sums[0], and to sums[1] what is left of it. */
__device__ static inline void magnitude_pair(const cascade_params *p, int64_t e, float pair[2])
{
    float size = mg_mix_magnitude(&p->x, &p->base, p->work, e);
    bool keep = p->bits != NULL
                    ? (p->bits[e / 64] >> (e % 64) & 1) != 0
                    : mg_mix_drawn(p->key, p->counter_tensor, p->counter_source, p->below, e);
    pair[0] = size;
    pair[1] = keep ? size : __fmul_rn(size, 0);
}

/* A warp for each group, and one for the elements behind the last whole row, which are written down
 * one by one in two places behind the groups' sums. */
__global__ static void group_kernel(const __grid_constant__ cascade_params p, lane_sums *groups)
{
    int64_t group = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = (int)threadIdx.x % 32;
    int row_length = p.half ? 2 * MG_MIX_ROW : MG_MIX_ROW;
    float sums[2] = { 0, 0 };
    float pair[2];
    if (group > p.groups) {
        return;
    }
    if (group == p.groups) {
        for (int i = 0; i < 2; i++) {
            int64_t e = p.rows * row_length + i * 32 + lane;
            pair[0] = pair[1] = 0;
            if (e < p.count) {
                magnitude_pair(&p, e, pair);
            }
            groups[group + i].at[0][lane] = pair[0];
            groups[group + i].at[1][lane] = pair[1];
        }
        return;
    }
    int64_t end = min((group + 1) << p.power, p.rows);
    for (int64_t row = group << p.power; row < end; row++) {
        int64_t e = row * row_length + (p.half ? lane / 8 * 16 + lane % 8 : lane);
        magnitude_pair(&p, e, pair);
        if (p.half) {
            float second[2];
            magnitude_pair(&p, e + 8, second);
            pair[0] = __fadd_rn(pair[0], second[0]);
            pair[1] = __fadd_rn(pair[1], second[1]);
        }
        sums[0] = __fadd_rn(sums[0], pair[0]);
        sums[1] = __fadd_rn(sums[1], pair[1]);
    }
    groups[group].at[0][lane] = sums[0];
    groups[group].at[1][lane] = sums[1];
}

/* A warp adds 2^power whole groups. */
__global__ static void level_kernel(const lane_sums *groups, lane_sums *level, int64_t count,
                                    int power)
{
    int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = (int)threadIdx.x % 32;
    if (at >= count) {
        return;
    }
    float sums[2] = { 0, 0 };
    for (int64_t i = at << power; i < (at + 1) << power; i++) {
        sums[0] = __fadd_rn(sums[0], groups[i].at[0][lane]);
        sums[1] = __fadd_rn(sums[1], groups[i].at[1][lane]);
    }
    level[at].at[0][lane] = sums[0];
    level[at].at[1][lane] = sums[1];
}

static void add_lanes(float *to, const float *from)
{
    for (int i = 0; i < MG_MIX_ROW; i++) {
        to[i] += from[i];
    }
}

/* The end of one of the two sums: level has level_count sums of 2^power groups, tail the groups
 * behind them and then the elements behind the last row. */
static float finish_cascade(const cascade_params *p, const lane_sums *level, int64_t level_count,
                            const lane_sums *tail, int which)
{
    mg_mix_cascade cascade;
    memset(&cascade, 0, sizeof(cascade));
    int64_t mask = ((int64_t)1 << p->power) - 1;
    for (int64_t i = 0; i < level_count; i++) {
        add_lanes(cascade.level[2], level[i].at[which]);
        if (((i + 1) & mask) == 0) {
            add_lanes(cascade.level[3], cascade.level[2]);
            memset(cascade.level[2], 0, sizeof(cascade.level[2]));
        }
    }
    int64_t tail_count = p->groups - (level_count << p->power);
    bool whole = (p->rows & mask) == 0;
    for (int64_t i = 0; i < tail_count; i++) {
        add_lanes(cascade.level[i == tail_count - 1 && !whole ? 0 : 1], tail[i].at[which]);
    }
    float rest[2 * MG_MIX_ROW];
    memcpy(rest, tail[tail_count].at[which], MG_MIX_ROW * sizeof(float));
    memcpy(rest + MG_MIX_ROW, tail[tail_count + 1].at[which], MG_MIX_ROW * sizeof(float));
    int64_t rest_count = p->count - p->rows * (p->half ? 2 * MG_MIX_ROW : MG_MIX_ROW);
    return p->rows == 0 ? mg_mix_torch_sum(rest, rest_count, p->half)
                        : mg_mix_cascade_finish(&cascade, rest, rest_count, p->half);
}

mg_status mg_cuda_delta_sum(mg_stream *stream, const mg_delta_sum_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->work, err));
    cascade_params p;
    memset(&p, 0, sizeof(p));
    p.base = args->base;
    p.x = args->x;
    p.work = args->work;
    p.half = args->half;
    p.bits = args->bits;
    p.counter_tensor = args->counter_tensor;
    p.counter_source = args->counter_source;
    p.below = args->below;
    p.key = args->key;
    p.count = args->count;
    p.rows = args->count / (args->half ? 2 * MG_MIX_ROW : MG_MIX_ROW);
    p.power = mg_mix_cascade_power(p.rows);
    p.groups = (p.rows + ((int64_t)1 << p.power) - 1) >> p.power;
    int64_t level_count = p.rows >> (2 * p.power);
    int64_t tail_first = level_count << p.power;
    int64_t tail_count = p.groups - tail_first + 2;
    void *block = NULL;
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE,
                                 (size_t)(p.groups + 2 + level_count) * sizeof(lane_sums), &block,
                                 err));
    lane_sums *groups = (lane_sums *)block;
    lane_sums *level = groups + p.groups + 2;
    group_kernel<<<(unsigned)((p.groups + 8) / 8), MG_MIX_THREADS, 0, stream->handle>>>(p, groups);
    MG_TRY(mg_cuda_launched("delta_sum", err));
    if (level_count > 0) {
        level_kernel<<<(unsigned)((level_count + 7) / 8), MG_MIX_THREADS, 0, stream->handle>>>(
            groups, level, level_count, p.power);
        MG_TRY(mg_cuda_launched("delta_sum", err));
    }
    mg_status status = MG_OK;
    lane_sums *host = mg_new_array(lane_sums, level_count + tail_count);
    MG_TRY_OR_DONE(stream->device->download(stream, host, level,
                                            (size_t)level_count * sizeof(lane_sums), err));
    MG_TRY_OR_DONE(stream->device->download(stream, host + level_count, groups + tail_first,
                                            (size_t)tail_count * sizeof(lane_sums), err));
    *args->all_out = (double)finish_cascade(&p, host, level_count, host + level_count, 0);
    *args->kept_out = (double)finish_cascade(&p, host, level_count, host + level_count, 1);

done:
    mg_free(host);
    return status;
}

mg_status mg_cuda_finite(mg_stream *stream, const mg_finite_args *args, mg_error *err)
{
    void *counter = NULL;
    int64_t broken = 0;
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, sizeof(int64_t), &counter, err));
    mg_nonfinite_args count = { (int64_t *)counter, args->x.data, args->count, args->x.dtype };
    MG_TRY(mg_nn_ops_cuda.nonfinite(stream, &count, err));
    MG_TRY(stream->device->download(stream, &broken, counter, sizeof(broken), err));
    *args->finite_out = broken == 0;
    return MG_OK;
}
