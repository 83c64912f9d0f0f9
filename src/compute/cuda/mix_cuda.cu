/* compute/cuda/mix_cuda.cu - the operations of merging: one read of every input, one write.
 *
 * Element-wise results have the bits of the CPU: every step is one correctly rounded float32
 * operation, contraction is spelled out where it is meant, and masks come from the same counters.
 * Sums over a whole tensor are taken in float64 in a fixed order of blocks, so that they do not
 * change from run to run; they may differ from the CPU's in the last place.  float64 merges run on
 * the CPU. */
#include <cuda_fp16.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/cuda_internal.h"

#define THREADS 256
#define GROUP 16 /* elements of one thread in the fast kernel: two pieces of 16 bytes */

static unsigned blocks_of(int64_t count)
{
    return (unsigned)((count + THREADS - 1) / THREADS);
}

static mg_status check_types(mg_dtype work, mg_dtype out, mg_error *err)
{
    if (work == MG_F64 || out == MG_F64) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "float64 merges run on the CPU: use --device cpu");
    }
    return MG_OK;
}

static mg_status launched(const char *what, mg_error *err)
{
    return mg_cuda_launched(what, err);
}

__device__ static inline float round_to(float x, mg_dtype dtype)
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

__device__ static inline float load_as(const mg_mix_input *input, int64_t i, mg_dtype work)
{
    switch (input->dtype) {
    case MG_BF16: {
        float x = __bfloat162float(((const __nv_bfloat16 *)input->data)[i]);
        return work == MG_F16 ? round_to(x, work) : x;
    }
    case MG_F16: {
        float x = __half2float(((const __half *)input->data)[i]);
        return work == MG_BF16 ? round_to(x, work) : x;
    }
    case MG_F64:
        return round_to((float)((const double *)input->data)[i], work);
    default:
        return round_to(((const float *)input->data)[i], work);
    }
}

__device__ static inline void store_as(void *out, mg_dtype dtype, int64_t i, float x)
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

/* The inputs of an average by value: a kernel's arguments hold 4 KiB. */
typedef struct average_inputs {
    mg_mix_input inputs[MG_MIX_INPUTS_MAX];
    float weights[MG_MIX_INPUTS_MAX];
} average_inputs;

__global__ static void average_kernel(mg_average_args args, average_inputs in)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < args.count; e += step) {
        float r = 0;
        for (int64_t i = 0; i < args.input_count; i++) {
            r = __fmaf_rn(load_as(&in.inputs[i], e, args.work), in.weights[i], r);
        }
        if (args.divide) {
            r = __double2float_rn((double)r / args.divisor);
        }
        store_as(args.out, args.out_dtype, e, round_to(r, args.work));
    }
}

/* Blocks for a loop over count elements: enough to fill the card several times over. */
static unsigned loop_blocks(const mg_stream *stream, int64_t count)
{
    return MG_MAX(MG_MIN(blocks_of(count), (unsigned)stream->multiprocessors * 16), 1u);
}

static mg_status average_cuda(mg_stream *stream, const mg_average_args *args, mg_error *err)
{
    MG_TRY(check_types(args->work, args->out_dtype, err));
    average_inputs in;
    memset(&in, 0, sizeof(in));
    for (int64_t i = 0; i < args->input_count; i++) {
        in.inputs[i] = args->inputs[i];
        in.weights[i] = (float)args->weights[i];
    }
    average_kernel<<<loop_blocks(stream, args->count), THREADS, 0, stream->handle>>>(*args, in);
    return launched("average", err);
}

__global__ static void blend_kernel(mg_blend_args args)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < args.count; e += step) {
        float ax = __double2float_rn(args.a * (double)load_as(&args.x, e, args.work));
        float by = __double2float_rn(args.b * (double)load_as(&args.y, e, args.work));
        store_as(args.out, args.out_dtype, e, round_to(__fadd_rn(ax, by), args.work));
    }
}

static mg_status blend_cuda(mg_stream *stream, const mg_blend_args *args, mg_error *err)
{
    MG_TRY(check_types(args->work, args->out_dtype, err));
    blend_kernel<<<loop_blocks(stream, args->count), THREADS, 0, stream->handle>>>(*args);
    return launched("blend", err);
}

__global__ static void scale_kernel(mg_scale_args args)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    float factor = (float)args.factor;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < args.count; e += step) {
        float x = __fmul_rn(load_as(&args.x, e, args.work), factor);
        store_as(args.out, args.out_dtype, e, round_to(x, args.work));
    }
}

static mg_status scale_cuda(mg_stream *stream, const mg_scale_args *args, mg_error *err)
{
    MG_TRY(check_types(args->work, args->out_dtype, err));
    scale_kernel<<<loop_blocks(stream, args->count), THREADS, 0, stream->handle>>>(*args);
    return launched("scale", err);
}

/* Philox 4x32-10 as base/rng.c has it. */
__device__ static inline void philox(mg_philox_key key, uint32_t c0, uint32_t c1, uint32_t c2,
                                     uint32_t c3, uint32_t words[4])
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

/* A source of a task by value, numbers as the kernels use them. */
typedef struct task_source {
    mg_mix_input x;
    const uint64_t *bits;
    float weight;
    float factor; /* 1 without rescale */
    uint32_t counter_tensor, counter_source, below;
    mg_mask_form mask;
} task_source;

typedef struct task_params {
    void *out;
    mg_dtype out_dtype;
    mg_dtype work;
    mg_dtype step; /* F32 when wide */
    mg_mix_input base;
    int source_count;
    bool consensus;
    bool normalize;
    bool scaled;
    float divisor;
    float lambda;
    mg_philox_key key;
    int64_t count;
} task_params;

typedef struct task_sources {
    task_source at[MG_MIX_INPUTS_MAX];
} task_sources;

__device__ static bool keeps(const task_source *source, mg_philox_key key, int64_t e)
{
    if (source->mask == MG_MASK_BITS) {
        return (source->bits[e / 64] >> (e % 64) & 1) != 0;
    }
    if (source->mask == MG_MASK_COUNTER) {
        uint64_t block = (uint64_t)e / 64 * 8 + (uint64_t)e % 32 / 4;
        uint32_t words[4];
        philox(key, (uint32_t)block, (uint32_t)(block >> 32), source->counter_tensor,
               source->counter_source, words);
        return (words[e % 64 / 32 * 2 + e % 4 / 2] >> (e % 2 * 16) & 0xFFFF) < source->below;
    }
    return true;
}

/* What follows the sums: one element's result. */
__device__ static inline float finish_element(const task_params *p, float base, float s,
                                              float divisor)
{
    if (p->normalize) {
        s = round_to(__fdiv_rn(s, divisor), p->step);
    }
    if (p->scaled) {
        s = round_to(__fmul_rn(s, p->lambda), p->step);
    }
    return round_to(round_to(__fadd_rn(base, s), p->step), p->work);
}

/* Any types, masks and number of sources; one element at a time.  Sums of more than 16 terms run in
 * groups of 16, as the reference's do. */
__global__ static void task_kernel(task_params p, const task_sources *sources)
{
    int64_t stride = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < p.count; e += stride) {
        float y[MG_MIX_INPUTS_MAX];
        float base = load_as(&p.base, e, p.work);
        float low = 0;
        float high = 0;
        for (int i = 0; i < p.source_count; i++) {
            const task_source *source = &sources->at[i];
            float d = round_to(__fsub_rn(load_as(&source->x, e, p.work), base), p.step);
            if (source->mask != MG_MASK_ALL) {
                d = round_to(__fmul_rn(d, keeps(source, p.key, e) ? source->factor : 0), p.step);
            }
            y[i] = round_to(__fmul_rn(d, source->weight), p.step);
            low = __fadd_rn(low, y[i]);
            if (i % 16 == 15) {
                high = __fadd_rn(high, low);
                low = 0;
            }
        }
        float s = round_to(__fadd_rn(low, high), p.step);
        float divisor = p.divisor;
        if (p.consensus) {
            bool positive = s >= 0;
            float weight_low = 0;
            float weight_high = 0;
            low = high = 0;
            for (int i = 0; i < p.source_count; i++) {
                float keep = (positive ? y[i] > 0 : y[i] < 0) ? 1 : 0;
                low = __fadd_rn(low, __fmul_rn(y[i], keep));
                weight_low = __fadd_rn(weight_low, __fmul_rn(sources->at[i].weight, keep));
                if (i % 16 == 15) {
                    high = __fadd_rn(high, low);
                    weight_high = __fadd_rn(weight_high, weight_low);
                    low = weight_low = 0;
                }
            }
            s = round_to(__fadd_rn(low, high), p.step);
            divisor = round_to(__fadd_rn(weight_low, weight_high), p.step);
            divisor = divisor == 0 ? 1 : divisor;
        }
        store_as(p.out, p.out_dtype, e, finish_element(&p, base, s, divisor));
    }
}

typedef struct few_sources {
    task_source at[4];
} few_sources;

/* 8 elements, from a piece of 16 bytes. */
__device__ static inline void load_piece(float x[8], const void *data, int64_t piece)
{
    uint4 raw = __ldcs((const uint4 *)data + piece);
    const unsigned words[4] = { raw.x, raw.y, raw.z, raw.w };
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = __uint_as_float(words[i] << 16);
        x[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
    }
}

/* The sign of s as a mask: the consensus is positive where it is 0. */
__device__ static inline unsigned sign_mask(float s)
{
    return __float_as_uint(s) & 0x80000000u;
}

/* y where its sign is the consensus' sign, else 0: flipped, cut at 0, flipped back. */
__device__ static inline float agreeing(float y, unsigned sign)
{
    return fmaxf(__uint_as_float(__float_as_uint(y) ^ sign), 0.0f);
}

/* What the consensus leaves of SOURCES values; NaN stays NaN.  The divisor counts the weights. */
template <int SOURCES, bool NORMALIZE>
__device__ static inline float consensus_of(const float y[SOURCES], const few_sources *sources,
                                            float *divisor)
{
    float s = y[0];
#pragma unroll
    for (int i = 1; i < SOURCES; i++) {
        s = __fadd_rn(s, y[i]);
    }
    unsigned sign = sign_mask(s);
    float kept = agreeing(y[0], sign);
#pragma unroll
    for (int i = 1; i < SOURCES; i++) {
        kept = __fadd_rn(kept, agreeing(y[i], sign));
    }
    if (NORMALIZE) {
        float weight = 0;
#pragma unroll
        for (int i = 0; i < SOURCES; i++) {
            float keep = agreeing(y[i], sign) > 0 ? 1 : 0;
            weight = __fadd_rn(weight, __fmul_rn(sources->at[i].weight, keep));
        }
        *divisor = weight == 0 ? 1 : weight;
    }
    kept = __uint_as_float(__float_as_uint(kept) ^ sign);
    return s == s ? kept : s;
}

/* The factor of the element whose half word decides. */
__device__ static inline float factor_of(const task_source *source, uint32_t half)
{
    return half < source->below ? source->factor : 0;
}

/* y = x - base, masked and weighted, for a thread's GROUP elements in place.  Two counter blocks
 * decide all 16: words 0 and 1 the first piece's fours, words 2 and 3 the second piece's. */
__device__ static inline void weigh(float x[GROUP], const float base[GROUP],
                                    const task_source *source, mg_philox_key key, uint64_t block)
{
    if (source->mask != MG_MASK_COUNTER) {
#pragma unroll
        for (int k = 0; k < GROUP; k++) {
            x[k] = __fmul_rn(__fsub_rn(x[k], base[k]), source->weight);
        }
        return;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        uint32_t words[4];
        philox(key, (uint32_t)(block + half), (uint32_t)((block + half) >> 32),
               source->counter_tensor, source->counter_source, words);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            int at = k / 4 * 8 + half * 4 + k % 4;
            uint32_t word = words[k / 4 * 2 + k % 4 / 2];
            float factor = factor_of(source, k % 2 == 0 ? word & 0xFFFF : word >> 16);
            x[at] = __fmul_rn(__fmul_rn(__fsub_rn(x[at], base[at]), factor), source->weight);
        }
    }
}

/* The search's case: up to four bfloat16 sources in float32 steps with counter masks (or none).
 * A thread takes elements 8j .. 8j+7 and 32+8j .. 32+8j+7 of a stretch of 64, for which two counter
 * blocks suffice.  A sum's first term needs no addition to 0; only the sign of a zero could differ,
 * and the last addition of +0 sets that right. */
template <int SOURCES, bool CONSENSUS, bool NORMALIZE>
__global__ __launch_bounds__(THREADS) static void task_fast_kernel(task_params p,
                                                                   few_sources sources)
{
    int64_t thread = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (thread >= p.count / GROUP) {
        return;
    }
    int64_t piece = thread / 4 * 8 + thread % 4; /* and piece + 4 */
    float base[GROUP];
    float x[SOURCES][GROUP];
    load_piece(base, p.base.data, piece);
    load_piece(base + 8, p.base.data, piece + 4);
#pragma unroll
    for (int i = 0; i < SOURCES; i++) {
        load_piece(x[i], sources.at[i].x.data, piece);
        load_piece(x[i] + 8, sources.at[i].x.data, piece + 4);
    }
#pragma unroll
    for (int i = 0; i < SOURCES; i++) {
        weigh(x[i], base, &sources.at[i], p.key, (uint64_t)thread * 2);
    }
#pragma unroll
    for (int k = 0; k < GROUP; k++) {
        float y[SOURCES];
        float divisor = p.divisor;
#pragma unroll
        for (int i = 0; i < SOURCES; i++) {
            y[i] = x[i][k];
        }
        float s = y[0];
        if (CONSENSUS) {
            s = consensus_of<SOURCES, NORMALIZE>(y, &sources, &divisor);
        } else {
#pragma unroll
            for (int i = 1; i < SOURCES; i++) {
                s = __fadd_rn(s, y[i]);
            }
        }
        s = __fadd_rn(s, 0.0f); /* -0 becomes +0 */
        if (NORMALIZE) {
            s = __fdiv_rn(s, divisor);
        }
        if (p.scaled) {
            s = __fmul_rn(s, p.lambda);
        }
        base[k] = __fadd_rn(base[k], s);
    }
    unsigned result[GROUP / 2];
#pragma unroll
    for (int k = 0; k < GROUP / 2; k++) {
        __nv_bfloat162 pair = __floats2bfloat162_rn(base[2 * k], base[2 * k + 1]);
        result[k] = *(unsigned *)&pair;
    }
    __stcs((uint4 *)p.out + piece, make_uint4(result[0], result[1], result[2], result[3]));
    __stcs((uint4 *)p.out + piece + 4, make_uint4(result[4], result[5], result[6], result[7]));
}

template <int SOURCES>
static void launch_fast(const mg_stream *stream, const task_params *p, const few_sources *sources)
{
    unsigned blocks = blocks_of(p->count / GROUP);
    cudaStream_t handle = stream->handle;
    if (p->consensus && p->normalize) {
        task_fast_kernel<SOURCES, true, true><<<blocks, THREADS, 0, handle>>>(*p, *sources);
    } else if (p->consensus) {
        task_fast_kernel<SOURCES, true, false><<<blocks, THREADS, 0, handle>>>(*p, *sources);
    } else if (p->normalize) {
        task_fast_kernel<SOURCES, false, true><<<blocks, THREADS, 0, handle>>>(*p, *sources);
    } else {
        task_fast_kernel<SOURCES, false, false><<<blocks, THREADS, 0, handle>>>(*p, *sources);
    }
}

static bool aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

static bool fits_fast(const mg_task_args *args)
{
    bool fits = args->wide && args->work == MG_BF16 && args->out_dtype == MG_BF16 &&
                args->source_count <= 4 && args->base.dtype == MG_BF16 &&
                aligned(args->base.data) && aligned(args->out) && args->count % 64 == 0;
    for (int64_t i = 0; fits && i < args->source_count; i++) {
        const mg_mix_source *source = &args->sources[i];
        fits =
            source->x.dtype == MG_BF16 && aligned(source->x.data) && source->mask != MG_MASK_BITS;
    }
    return fits;
}

/* Any types, masks and number of sources. */
static mg_status launch_general(mg_stream *stream, const task_params *p,
                                const task_sources *sources, mg_error *err)
{
    void *device_sources = NULL;
    MG_TRY(
        mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, sizeof(*sources), &device_sources, err));
    MG_TRY(mg_cuda_status(cudaMemcpyAsync(device_sources, sources, sizeof(*sources),
                                          cudaMemcpyHostToDevice, stream->handle),
                          "task", err));
    task_kernel<<<loop_blocks(stream, p->count), THREADS, 0, stream->handle>>>(
        *p, (const task_sources *)device_sources);
    return launched("task", err);
}

static mg_status task_cuda(mg_stream *stream, const mg_task_args *args, mg_error *err)
{
    MG_TRY(check_types(args->work, args->out_dtype, err));
    task_params p;
    task_sources sources;
    memset(&p, 0, sizeof(p));
    memset(&sources, 0, sizeof(sources));
    p.out = args->out;
    p.out_dtype = args->out_dtype;
    p.work = args->work;
    p.step = args->wide ? MG_F32 : args->work;
    p.base = args->base;
    p.source_count = (int)args->source_count;
    p.consensus = args->consensus;
    p.normalize = args->normalize;
    p.scaled = args->lambda != 1.0;
    p.divisor = (float)args->divisor;
    p.lambda = (float)args->lambda;
    p.key = args->key;
    p.count = args->count;
    for (int64_t i = 0; i < args->source_count; i++) {
        const mg_mix_source *from = &args->sources[i];
        task_source *to = &sources.at[i];
        to->x = from->x;
        to->bits = from->bits;
        to->weight = (float)from->weight;
        to->factor = from->rescale ? (float)from->factor : 1.0f;
        to->counter_tensor = from->counter_tensor;
        to->counter_source = from->counter_source;
        to->below = from->below;
        to->mask = from->mask;
    }
    if (!fits_fast(args)) {
        return launch_general(stream, &p, &sources, err);
    }
    few_sources few;
    memcpy(few.at, sources.at, sizeof(few.at));
    switch (p.source_count) {
    case 1:
        launch_fast<1>(stream, &p, &few);
        break;
    case 2:
        launch_fast<2>(stream, &p, &few);
        break;
    case 3:
        launch_fast<3>(stream, &p, &few);
        break;
    default:
        launch_fast<4>(stream, &p, &few);
        break;
    }
    return launched("task", err);
}

/* Sums over blocks of MG_MIX_BLOCK elements, three a block, in float64. */
__device__ static void block_sums(double sums[3], double *out)
{
    __shared__ double shared[3][THREADS];
    int thread = (int)threadIdx.x;
    for (int k = 0; k < 3; k++) {
        shared[k][thread] = sums[k];
    }
    for (int half = THREADS / 2; half > 0; half /= 2) {
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

__global__ static void dot_kernel(mg_dot_args args, double *out)
{
    int64_t begin = (int64_t)blockIdx.x * MG_MIX_BLOCK;
    int64_t end = min(begin + (int64_t)MG_MIX_BLOCK, args.count);
    double sums[3] = { 0, 0, 0 };
    for (int64_t e = begin + threadIdx.x; e < end; e += THREADS) {
        double x = (double)load_as(&args.x, e, args.work);
        double y = (double)load_as(&args.y, e, args.work);
        sums[0] += x * x;
        sums[1] += y * y;
        sums[2] += x * y;
    }
    __syncthreads();
    block_sums(sums, out);
}

__global__ static void delta_sum_kernel(mg_delta_sum_args args, double *out)
{
    int64_t begin = (int64_t)blockIdx.x * MG_MIX_BLOCK;
    int64_t end = min(begin + (int64_t)MG_MIX_BLOCK, args.count);
    double sums[3] = { 0, 0, 0 };
    for (int64_t e = begin + threadIdx.x; e < end; e += THREADS) {
        float d = __fsub_rn(load_as(&args.x, e, args.work), load_as(&args.base, e, args.work));
        double size = (double)fabsf(round_to(d, args.work));
        sums[0] += size;
        sums[1] += (args.bits[e / 64] >> (e % 64) & 1) != 0 ? size : 0;
    }
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

static mg_status dot_cuda(mg_stream *stream, const mg_dot_args *args, mg_error *err)
{
    MG_TRY(check_types(args->work, args->work, err));
    int64_t blocks = (args->count + MG_MIX_BLOCK - 1) / MG_MIX_BLOCK;
    void *sums = NULL;
    double total[3];
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, (size_t)blocks * 3 * sizeof(double),
                                 &sums, err));
    if (blocks > 0) {
        dot_kernel<<<(unsigned)blocks, THREADS, 0, stream->handle>>>(*args, (double *)sums);
        MG_TRY(launched("dot", err));
    }
    MG_TRY(add_blocks(stream, sums, blocks, total, err));
    *args->xx_out = total[0];
    *args->yy_out = total[1];
    *args->xy_out = total[2];
    return MG_OK;
}

static mg_status delta_sum_cuda(mg_stream *stream, const mg_delta_sum_args *args, mg_error *err)
{
    MG_TRY(check_types(args->work, args->work, err));
    int64_t blocks = (args->count + MG_MIX_BLOCK - 1) / MG_MIX_BLOCK;
    void *sums = NULL;
    double total[3];
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, (size_t)blocks * 3 * sizeof(double),
                                 &sums, err));
    if (blocks > 0) {
        delta_sum_kernel<<<(unsigned)blocks, THREADS, 0, stream->handle>>>(*args, (double *)sums);
        MG_TRY(launched("delta_sum", err));
    }
    MG_TRY(add_blocks(stream, sums, blocks, total, err));
    *args->all_out = (double)(float)total[0];
    *args->kept_out = (double)(float)total[1];
    return MG_OK;
}

/* Ranks by radix: the order of keys is the order of the wanted ranks. */
typedef struct rank_keys {
    mg_mix_input base, x;
    mg_dtype work;
    bool descending;
    int64_t count;
} rank_keys;

__device__ static inline uint32_t key_of(const rank_keys *keys, int64_t e)
{
    float d = __fsub_rn(load_as(&keys->x, e, keys->work), load_as(&keys->base, e, keys->work));
    uint32_t bits = __float_as_uint(fabsf(round_to(d, keys->work)));
    return keys->descending ? ~bits : bits;
}

#define RADIX_BITS 11
#define RADIX (1 << RADIX_BITS)

/* Counts the digits at shift of keys whose higher bits equal prefix. */
__global__ static void histogram_kernel(rank_keys keys, uint32_t prefix, int shift,
                                        int prefix_shift, unsigned long long *histogram)
{
    __shared__ unsigned local[RADIX];
    for (int i = (int)threadIdx.x; i < RADIX; i += THREADS) {
        local[i] = 0;
    }
    __syncthreads();
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < keys.count; e += step) {
        uint32_t key = key_of(&keys, e);
        if (prefix_shift >= 32 || key >> prefix_shift == prefix) {
            atomicAdd(&local[key >> shift & (RADIX - 1)], 1u);
        }
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < RADIX; i += THREADS) {
        if (local[i] > 0) {
            atomicAdd(&histogram[i], (unsigned long long)local[i]);
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
    for (int pass = 0; pass < 3; pass++) {
        int digits = pass == 2 ? 10 : RADIX_BITS;
        MG_TRY(mg_cuda_status(
            cudaMemsetAsync(histogram, 0, RADIX * sizeof(*histogram), stream->handle), "rank",
            err));
        histogram_kernel<<<loop_blocks(stream, keys->count), THREADS, 0, stream->handle>>>(
            *keys, prefix, shifts[pass], prefix_shifts[pass], histogram);
        MG_TRY(launched("rank", err));
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
    bound_out->key = prefix;
    bound_out->before = before;
    return MG_OK;
}

/* Elements of one block: a multiple of 64, so that blocks write whole words. */
#define RANK_BLOCK 16384

__global__ static void count_ties_kernel(rank_keys keys, uint32_t low, uint32_t high,
                                         unsigned *ties)
{
    __shared__ unsigned counts[2];
    if (threadIdx.x < 2) {
        counts[threadIdx.x] = 0;
    }
    __syncthreads();
    int64_t begin = (int64_t)blockIdx.x * RANK_BLOCK;
    int64_t end = min(begin + (int64_t)RANK_BLOCK, keys.count);
    for (int64_t e = begin + threadIdx.x; e < end; e += THREADS) {
        uint32_t key = key_of(&keys, e);
        if (key == low) {
            atomicAdd(&counts[0], 1u);
        }
        if (key == high) {
            atomicAdd(&counts[1], 1u);
        }
    }
    __syncthreads();
    if (threadIdx.x < 2) {
        ties[blockIdx.x * 2 + threadIdx.x] = counts[threadIdx.x];
    }
}

/* Number of earlier threads of the block whose flag is set; *total_out for the whole block. */
__device__ static int flags_before(bool flag, int *total_out)
{
    __shared__ int warps[THREADS / 32];
    unsigned ballot = __ballot_sync(0xFFFFFFFFu, flag);
    int lane = (int)threadIdx.x % 32;
    int warp = (int)threadIdx.x / 32;
    __syncthreads();
    if (lane == 0) {
        warps[warp] = __popc(ballot);
    }
    __syncthreads();
    int before = __popc(ballot & ((1u << lane) - 1));
    int total = 0;
    for (int w = 0; w < THREADS / 32; w++) {
        before += w < warp ? warps[w] : 0;
        total += warps[w];
    }
    *total_out = total;
    return before;
}

/* first_ties: how many elements of the lower bound's key to leave out; last_ties: how many of the
 * upper bound's key to take.  starts holds each block's ties before it. */
__global__ static void rank_bits_kernel(rank_keys keys, rank_bound low, rank_bound high,
                                        int64_t first, int64_t last, const int64_t *starts,
                                        uint32_t *bits)
{
    int64_t begin = (int64_t)blockIdx.x * RANK_BLOCK;
    int64_t low_seen = low.before + starts[blockIdx.x * 2];
    int64_t high_seen = high.before + starts[blockIdx.x * 2 + 1];
    for (int64_t at = begin; at < begin + RANK_BLOCK && at < keys.count; at += THREADS) {
        int64_t e = at + threadIdx.x;
        uint32_t key = e < keys.count ? key_of(&keys, e) : 0;
        bool is_low = e < keys.count && key == low.key;
        bool is_high = e < keys.count && key == high.key;
        int low_total;
        int high_total;
        int64_t low_rank = low_seen + flags_before(is_low, &low_total);
        int64_t high_rank = high_seen + flags_before(is_high, &high_total);
        bool kept = e < keys.count && (is_low ? low_rank >= first : key > low.key) &&
                    (is_high ? high_rank < last : key < high.key);
        unsigned word = __ballot_sync(0xFFFFFFFFu, kept);
        if (threadIdx.x % 32 == 0 && e < (keys.count + 63) / 64 * 64) {
            bits[e / 32] = word;
        }
        low_seen += low_total;
        high_seen += high_total;
    }
}

static mg_status rank_cuda(mg_stream *stream, const mg_rank_args *args, mg_error *err)
{
    MG_TRY(check_types(args->work, args->work, err));
    size_t mask_bytes = (size_t)((args->count + 63) / 64) * sizeof(uint64_t);
    if (args->kept <= 0 || args->count == 0) {
        return mg_cuda_status(cudaMemsetAsync(args->bits, 0, mask_bytes, stream->handle), "rank",
                              err);
    }
    rank_keys keys = { args->base, args->x, args->work, args->descending, args->count };
    int64_t blocks = (args->count + RANK_BLOCK - 1) / RANK_BLOCK;
    size_t histogram_bytes = RADIX * sizeof(unsigned long long);
    size_t ties_bytes = (size_t)blocks * 2 * sizeof(int64_t);
    void *workspace = NULL;
    rank_bound low;
    rank_bound high;
    int64_t last = args->first + args->kept; /* the rank behind the last one kept */
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, histogram_bytes + ties_bytes,
                                 &workspace, err));
    unsigned long long *histogram = (unsigned long long *)workspace;
    void *ties = (char *)workspace + histogram_bytes;
    MG_TRY(find_bound(stream, &keys, args->first, histogram, &low, err));
    MG_TRY(find_bound(stream, &keys, last - 1, histogram, &high, err));
    count_ties_kernel<<<(unsigned)blocks, THREADS, 0, stream->handle>>>(keys, low.key, high.key,
                                                                        (unsigned *)ties);
    MG_TRY(launched("rank", err));
    mg_status status = MG_OK;
    unsigned *counts = mg_new_array(unsigned, blocks * 2);
    int64_t *starts = mg_new_array(int64_t, blocks * 2);
    MG_TRY_OR_DONE(
        stream->device->download(stream, counts, ties, (size_t)blocks * 2 * sizeof(unsigned), err));
    for (int64_t i = 2; i < blocks * 2; i++) {
        starts[i] = starts[i - 2] + (int64_t)counts[i - 2];
    }
    MG_TRY_OR_DONE(stream->device->upload(stream, ties, starts, ties_bytes, err));
    rank_bits_kernel<<<(unsigned)blocks, THREADS, 0, stream->handle>>>(
        keys, low, high, args->first, last, (const int64_t *)ties, (uint32_t *)args->bits);
    MG_TRY_OR_DONE(launched("rank", err));

done:
    mg_free(starts);
    mg_free(counts);
    return status;
}

/* The stream of torch is sequential: it runs on the host, and its bits go to the card. */
static mg_status bernoulli_cuda(mg_stream *stream, const mg_bernoulli_args *args, mg_error *err)
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

static mg_status finite_cuda(mg_stream *stream, const mg_finite_args *args, mg_error *err)
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

const mg_mix_ops mg_mix_ops_cuda = { average_cuda,   blend_cuda, scale_cuda, task_cuda,
                                     delta_sum_cuda, rank_cuda,  dot_cuda,   bernoulli_cuda,
                                     finite_cuda,    NULL /* angle: from dot */ };
