/* compute/cuda/mix_cuda.cu - element-wise merges: one read of every input, one write.
 *
 * Results have the bits of the CPU: every step is one correctly rounded float32 operation,
 * contraction is spelled out where it is meant, and masks come from the same counters.  Each thread
 * remembers the largest magnitude it has stored, so that no second pass has to look for results
 * that are not finite.  float64 merges run on the CPU.
 *
 * Sums are in mix_sums_cuda.cu, masks by rank in mix_rank_cuda.cu and mix_rows_cuda.cu. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/mix_cuda_internal.h"

#define GROUP 16 /* elements of one thread in the fast kernel: two pieces of 16 bytes */

/* The inputs of an average by value: a kernel's arguments hold 4 KiB. */
typedef struct average_inputs {
    mg_mix_input inputs[MG_MIX_INPUTS_MAX];
    float weights[MG_MIX_INPUTS_MAX];
} average_inputs;

/* A float32 quotient: float64 would give the same bits, since 53 digits hold 2 * 24 + 2. */
__device__ static inline float average_end(const mg_average_args *args, float sum)
{
    float r = args->divide ? __fdiv_rn(sum, (float)args->divisor) : sum;
    return mg_mix_round_to(r, args->work);
}

__device__ static inline unsigned average_element(const mg_average_args *args,
                                                  const average_inputs *in, int64_t e)
{
    float r = 0;
    for (int64_t i = 0; i < args->input_count; i++) {
        r = __fmaf_rn(mg_mix_load(&in->inputs[i], e, args->work), in->weights[i], r);
    }
    r = average_end(args, r);
    mg_mix_store(args->out, args->out_dtype, e, r);
    return mg_mix_watch(0, r);
}

__global__ static void average_kernel(const __grid_constant__ mg_average_args args,
                                      const __grid_constant__ average_inputs in, uint32_t *flag)
{
    unsigned most = 0;
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < args.count; e += step) {
        most = max(most, average_element(&args, &in, e));
    }
    mg_mix_watch_end(flag, most, args.out_dtype);
}

#define AT_ONCE 4 /* inputs whose pieces are on their way together */

/* bfloat16 all through: a thread takes a piece, the last one the elements behind them. */
__global__ __launch_bounds__(MG_MIX_THREADS) static void average_pieces_kernel(
    const __grid_constant__ mg_average_args args, const __grid_constant__ average_inputs in,
    uint32_t *flag)
{
    int64_t piece = (int64_t)blockIdx.x * MG_MIX_THREADS + threadIdx.x;
    int64_t end = min((piece + 1) * MG_MIX_PIECE, args.count);
    unsigned most = 0;
    if (piece >= args.count / MG_MIX_PIECE) {
        for (int64_t e = piece * MG_MIX_PIECE; e < end; e++) {
            most = max(most, average_element(&args, &in, e));
        }
        mg_mix_watch_end(flag, most, MG_BF16);
        return;
    }
    float r[MG_MIX_PIECE] = { 0 };
    for (int first = 0; first < (int)args.input_count; first += AT_ONCE) {
        float x[AT_ONCE][MG_MIX_PIECE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (first + i < (int)args.input_count) {
                mg_mix_load_piece(x[i], in.inputs[first + i].data, piece);
            }
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            if (first + i < (int)args.input_count) {
#pragma unroll
                for (int k = 0; k < MG_MIX_PIECE; k++) {
                    r[k] = __fmaf_rn(x[i][k], in.weights[first + i], r[k]);
                }
            }
        }
    }
#pragma unroll
    for (int k = 0; k < MG_MIX_PIECE; k++) {
        r[k] = args.divide ? __fdiv_rn(r[k], (float)args.divisor) : r[k];
        most = mg_mix_watch(most, r[k]);
    }
    mg_mix_store_piece(args.out, piece, r);
    mg_mix_watch_end(flag, most, MG_BF16);
}

/* Blocks of kernels whose threads take a piece each, with one thread for the rest. */
static unsigned piece_blocks(int64_t count)
{
    int64_t pieces = (count + MG_MIX_PIECE - 1) / MG_MIX_PIECE;
    return (unsigned)((pieces + MG_MIX_THREADS - 1) / MG_MIX_THREADS);
}

static mg_status average_cuda(mg_stream *stream, const mg_average_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->out_dtype, err));
    average_inputs in;
    memset(&in, 0, sizeof(in));
    bool wide = args->work == MG_BF16 && mg_mix_wide(args->out, args->out_dtype) && args->count > 0;
    for (int64_t i = 0; i < args->input_count; i++) {
        in.inputs[i] = args->inputs[i];
        in.weights[i] = (float)args->weights[i];
        wide = wide && mg_mix_wide(in.inputs[i].data, in.inputs[i].dtype);
    }
    if (wide) {
        average_pieces_kernel<<<piece_blocks(args->count), MG_MIX_THREADS, 0, stream->handle>>>(
            *args, in, stream->watched);
    } else {
        average_kernel<<<mg_mix_blocks(stream, args->count), MG_MIX_THREADS, 0, stream->handle>>>(
            *args, in, stream->watched);
    }
    return mg_cuda_launched("average", err);
}

__device__ static inline float blend_value(const mg_blend_args *args, float x, float y)
{
    float ax = __double2float_rn(args->a * (double)x);
    float by = __double2float_rn(args->b * (double)y);
    return mg_mix_round_to(__fadd_rn(ax, by), args->work);
}

__device__ static inline unsigned blend_element(const mg_blend_args *args, int64_t e)
{
    float r = blend_value(args, mg_mix_load(&args->x, e, args->work),
                          mg_mix_load(&args->y, e, args->work));
    mg_mix_store(args->out, args->out_dtype, e, r);
    return mg_mix_watch(0, r);
}

__global__ static void blend_kernel(mg_blend_args args, uint32_t *flag)
{
    unsigned most = 0;
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < args.count; e += step) {
        most = max(most, blend_element(&args, e));
    }
    mg_mix_watch_end(flag, most, args.out_dtype);
}

/* bfloat16 all through, with coefficients that are float32 values: a product in float64 is then
 * exact, and rounds to the product in float32. */
__global__ __launch_bounds__(MG_MIX_THREADS) static void blend_pieces_kernel(mg_blend_args args,
                                                                             uint32_t *flag)
{
    int64_t piece = (int64_t)blockIdx.x * MG_MIX_THREADS + threadIdx.x;
    int64_t end = min((piece + 1) * MG_MIX_PIECE, args.count);
    unsigned most = 0;
    if (piece >= args.count / MG_MIX_PIECE) {
        for (int64_t e = piece * MG_MIX_PIECE; e < end; e++) {
            most = max(most, blend_element(&args, e));
        }
        mg_mix_watch_end(flag, most, MG_BF16);
        return;
    }
    float x[MG_MIX_PIECE];
    float y[MG_MIX_PIECE];
    mg_mix_load_piece(x, args.x.data, piece);
    mg_mix_load_piece(y, args.y.data, piece);
#pragma unroll
    for (int k = 0; k < MG_MIX_PIECE; k++) {
        x[k] = __fadd_rn(__fmul_rn((float)args.a, x[k]), __fmul_rn((float)args.b, y[k]));
        most = mg_mix_watch(most, x[k]);
    }
    mg_mix_store_piece(args.out, piece, x);
    mg_mix_watch_end(flag, most, MG_BF16);
}

static bool is_float(double x)
{
    return (double)(float)x == x;
}

static mg_status blend_cuda(mg_stream *stream, const mg_blend_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->out_dtype, err));
    if (args->work == MG_BF16 && args->count > 0 && is_float(args->a) && is_float(args->b) &&
        mg_mix_wide(args->x.data, args->x.dtype) && mg_mix_wide(args->y.data, args->y.dtype) &&
        mg_mix_wide(args->out, args->out_dtype)) {
        blend_pieces_kernel<<<piece_blocks(args->count), MG_MIX_THREADS, 0, stream->handle>>>(
            *args, stream->watched);
    } else {
        blend_kernel<<<mg_mix_blocks(stream, args->count), MG_MIX_THREADS, 0, stream->handle>>>(
            *args, stream->watched);
    }
    return mg_cuda_launched("blend", err);
}

__global__ static void scale_kernel(mg_scale_args args, uint32_t *flag)
{
    unsigned most = 0;
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    float factor = (float)args.factor;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < args.count; e += step) {
        float x = __fmul_rn(mg_mix_load(&args.x, e, args.work), factor);
        x = mg_mix_round_to(x, args.work);
        most = mg_mix_watch(most, x);
        mg_mix_store(args.out, args.out_dtype, e, x);
    }
    mg_mix_watch_end(flag, most, args.out_dtype);
}

static mg_status scale_cuda(mg_stream *stream, const mg_scale_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->out_dtype, err));
    mg_cuda_twin_drop(stream); /* out may be rows on their way through a model */
    scale_kernel<<<mg_mix_blocks(stream, args->count), MG_MIX_THREADS, 0, stream->handle>>>(
        *args, stream->watched);
    return mg_cuda_launched("scale", err);
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

/* What follows the sums: one element's result. */
__device__ static inline float finish_element(const task_params *p, float base, float s,
                                              float divisor)
{
    if (p->normalize) {
        s = mg_mix_round_to(__fdiv_rn(s, divisor), p->step);
    }
    if (p->scaled) {
        s = mg_mix_round_to(__fmul_rn(s, p->lambda), p->step);
    }
    return mg_mix_round_to(mg_mix_round_to(__fadd_rn(base, s), p->step), p->work);
}

typedef struct few_sources {
    task_source at[4];
} few_sources;

/* The element's difference, masked and weighted. */
__device__ static inline float weighted(const task_params *p, const task_source *source, float base,
                                        int64_t e)
{
    float d = mg_mix_round_to(__fsub_rn(mg_mix_load(&source->x, e, p->work), base), p->step);
    if (source->mask != MG_MASK_ALL) {
        bool keep = source->mask == MG_MASK_BITS
                        ? (source->bits[e / 64] >> (e % 64) & 1) != 0
                        : mg_mix_drawn(p->key, source->counter_tensor, source->counter_source,
                                       source->below, e);
        d = mg_mix_round_to(__fmul_rn(d, keep ? source->factor : 0), p->step);
    }
    return mg_mix_round_to(__fmul_rn(d, source->weight), p->step);
}

/* Any types and masks, MOST sources at most; one element at a time.  Sums of more than 16 terms run
 * in groups of 16, as the reference's do. */
template <int MOST, typename LIST>
__global__ static void task_kernel(const __grid_constant__ task_params p,
                                   const __grid_constant__ LIST sources, uint32_t *flag)
{
    unsigned most = 0;
    int64_t stride = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < p.count; e += stride) {
        float y[MOST];
        float base = mg_mix_load(&p.base, e, p.work);
        float low = 0;
        float high = 0;
#pragma unroll(MOST <= 4 ? MOST : 1)
        for (int i = 0; i < MOST; i++) {
            if (i < p.source_count) {
                y[i] = weighted(&p, &sources.at[i], base, e);
                low = __fadd_rn(low, y[i]);
                if (i % 16 == 15) {
                    high = __fadd_rn(high, low);
                    low = 0;
                }
            }
        }
        float s = mg_mix_round_to(__fadd_rn(low, high), p.step);
        float divisor = p.divisor;
        if (p.consensus) {
            bool positive = s >= 0;
            float weight_low = 0;
            float weight_high = 0;
            low = high = 0;
#pragma unroll(MOST <= 4 ? MOST : 1)
            for (int i = 0; i < MOST; i++) {
                if (i < p.source_count) {
                    float keep = (positive ? y[i] > 0 : y[i] < 0) ? 1 : 0;
                    low = __fadd_rn(low, __fmul_rn(y[i], keep));
                    weight_low = __fadd_rn(weight_low, __fmul_rn(sources.at[i].weight, keep));
                    if (i % 16 == 15) {
                        high = __fadd_rn(high, low);
                        weight_high = __fadd_rn(weight_high, weight_low);
                        low = weight_low = 0;
                    }
                }
            }
            s = mg_mix_round_to(__fadd_rn(low, high), p.step);
            divisor = mg_mix_round_to(__fadd_rn(weight_low, weight_high), p.step);
            divisor = divisor == 0 ? 1 : divisor;
        }
        float r = finish_element(&p, base, s, divisor);
        most = mg_mix_watch(most, r);
        mg_mix_store(p.out, p.out_dtype, e, r);
    }
    mg_mix_watch_end(flag, most, p.out_dtype);
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

/* x rounded to bfloat16, where every step is. */
template <bool ROUNDED> __device__ static inline float step_of(float x)
{
    return ROUNDED ? __bfloat162float(__float2bfloat16_rn(x)) : x;
}

/* What the consensus leaves of SOURCES values; NaN stays NaN.  The divisor counts the weights. */
template <int SOURCES, bool NORMALIZE, bool ROUNDED>
__device__ static inline float consensus_of(const float y[SOURCES], const few_sources *sources,
                                            float *divisor)
{
    float s = y[0];
#pragma unroll
    for (int i = 1; i < SOURCES; i++) {
        s = __fadd_rn(s, y[i]);
    }
    s = __fadd_rn(step_of<ROUNDED>(s), 0.0f); /* what rounds to -0 is not negative */
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
        weight = step_of<ROUNDED>(weight);
        *divisor = weight == 0 ? 1 : weight;
    }
    kept = __uint_as_float(__float_as_uint(kept) ^ sign);
    return s == s ? step_of<ROUNDED>(kept) : s;
}

/* W(w * W(W(x - base) * factor)). */
template <bool ROUNDED>
__device__ static inline float weighted_by(float x, float base, float factor, float weight)
{
    float d = step_of<ROUNDED>(__fsub_rn(x, base));
    return step_of<ROUNDED>(__fmul_rn(step_of<ROUNDED>(__fmul_rn(d, factor)), weight));
}

/* The weighted differences of a thread's GROUP elements, in place.  Two counter blocks decide all
 * 16: words 0 and 1 the first piece's fours, words 2 and 3 the second piece's.  Of bits, each piece
 * has a byte of the stretch's word. */
template <bool ROUNDED>
__device__ static inline void weigh(float x[GROUP], const float base[GROUP],
                                    const task_source *source, mg_philox_key key, int64_t thread)
{
    if (source->mask != MG_MASK_COUNTER) {
        uint64_t bits = ~(uint64_t)0;
        if (source->mask == MG_MASK_BITS) {
            bits = source->bits[thread / 4] >> (thread % 4 * 8);
        }
#pragma unroll
        for (int k = 0; k < GROUP; k++) {
            bool keep = (bits >> (k / 8 * 32 + k % 8) & 1) != 0;
            float factor = source->mask != MG_MASK_BITS ? 1.0f : keep ? source->factor : 0.0f;
            x[k] = weighted_by<ROUNDED>(x[k], base[k], factor, source->weight);
        }
        return;
    }
    uint64_t block = (uint64_t)thread * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        uint32_t words[4];
        mg_mix_philox(key, (uint32_t)(block + half), (uint32_t)((block + half) >> 32),
                      source->counter_tensor, source->counter_source, words);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            int at = k / 4 * 8 + half * 4 + k % 4;
            uint32_t word = words[k / 4 * 2 + k % 4 / 2];
            uint32_t draw = k % 2 == 0 ? word & 0xFFFF : word >> 16;
            float factor = draw < source->below ? source->factor : 0;
            x[at] = weighted_by<ROUNDED>(x[at], base[at], factor, source->weight);
        }
    }
}

/* The search's case: up to four bfloat16 sources, in float32 steps or in rounded ones.  A thread
 * takes elements 8j .. 8j+7 and 32+8j .. 32+8j+7 of a stretch of 64, for which two counter blocks
 * suffice.  A sum's first term needs no addition to 0; only the sign of a zero could differ, and
 * the last addition of +0 sets that right. */
template <int SOURCES, bool CONSENSUS, bool NORMALIZE, bool ROUNDED>
__global__ __launch_bounds__(MG_MIX_THREADS) static void task_fast_kernel(task_params p,
                                                                          few_sources sources,
                                                                          uint32_t *flag)
{
    int64_t thread = (int64_t)blockIdx.x * MG_MIX_THREADS + threadIdx.x;
    if (thread >= p.count / GROUP) {
        return;
    }
    int64_t piece = thread / 4 * 8 + thread % 4; /* and piece + 4 */
    unsigned most = 0;
    float base[GROUP];
    float x[SOURCES][GROUP];
    mg_mix_load_piece(base, p.base.data, piece);
    mg_mix_load_piece(base + 8, p.base.data, piece + 4);
#pragma unroll
    for (int i = 0; i < SOURCES; i++) {
        mg_mix_load_piece(x[i], sources.at[i].x.data, piece);
        mg_mix_load_piece(x[i] + 8, sources.at[i].x.data, piece + 4);
    }
#pragma unroll
    for (int i = 0; i < SOURCES; i++) {
        weigh<ROUNDED>(x[i], base, &sources.at[i], p.key, thread);
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
            s = consensus_of<SOURCES, NORMALIZE, ROUNDED>(y, &sources, &divisor);
        } else {
#pragma unroll
            for (int i = 1; i < SOURCES; i++) {
                s = __fadd_rn(s, y[i]);
            }
            s = step_of<ROUNDED>(s);
        }
        s = __fadd_rn(s, 0.0f); /* -0 becomes +0 */
        if (NORMALIZE) {
            s = step_of<ROUNDED>(__fdiv_rn(s, divisor));
        }
        if (p.scaled) {
            s = step_of<ROUNDED>(__fmul_rn(s, p.lambda));
        }
        base[k] = __fadd_rn(base[k], s);
        most = mg_mix_watch(most, base[k]);
    }
    mg_mix_watch_end(flag, most, MG_BF16);
    mg_mix_store_piece(p.out, piece, base);
    mg_mix_store_piece(p.out, piece + 4, base + 8);
}

template <int SOURCES, bool ROUNDED>
static void launch_fast(const mg_stream *stream, const task_params *p, const few_sources *sources)
{
    unsigned blocks = (unsigned)((p->count / GROUP + MG_MIX_THREADS - 1) / MG_MIX_THREADS);
    cudaStream_t handle = stream->handle;
    if (p->consensus && p->normalize) {
        task_fast_kernel<SOURCES, true, true, ROUNDED>
            <<<blocks, MG_MIX_THREADS, 0, handle>>>(*p, *sources, stream->watched);
    } else if (p->consensus) {
        task_fast_kernel<SOURCES, true, false, ROUNDED>
            <<<blocks, MG_MIX_THREADS, 0, handle>>>(*p, *sources, stream->watched);
    } else if (p->normalize) {
        task_fast_kernel<SOURCES, false, true, ROUNDED>
            <<<blocks, MG_MIX_THREADS, 0, handle>>>(*p, *sources, stream->watched);
    } else {
        task_fast_kernel<SOURCES, false, false, ROUNDED>
            <<<blocks, MG_MIX_THREADS, 0, handle>>>(*p, *sources, stream->watched);
    }
}

template <int SOURCES>
static void launch_fast_of(const mg_stream *stream, const task_params *p,
                           const few_sources *sources)
{
    if (p->step == MG_BF16) {
        launch_fast<SOURCES, true>(stream, p, sources);
    } else {
        launch_fast<SOURCES, false>(stream, p, sources);
    }
}

static bool fits_fast(const mg_task_args *args)
{
    bool fits = args->work == MG_BF16 && mg_mix_wide(args->out, args->out_dtype) &&
                mg_mix_wide(args->base.data, args->base.dtype) && args->source_count <= 4 &&
                args->count % 64 == 0;
    for (int64_t i = 0; fits && i < args->source_count; i++) {
        const mg_mix_source *source = &args->sources[i];
        fits = mg_mix_wide(source->x.data, source->x.dtype);
    }
    return fits;
}

/* Any types, masks and number of sources. */
static void launch_general(const mg_stream *stream, const task_params *p,
                           const task_sources *sources)
{
    unsigned blocks = mg_mix_blocks(stream, p->count);
    if (p->source_count <= 4) {
        few_sources few;
        memcpy(few.at, sources->at, sizeof(few.at));
        task_kernel<4, few_sources>
            <<<blocks, MG_MIX_THREADS, 0, stream->handle>>>(*p, few, stream->watched);
    } else {
        task_kernel<MG_MIX_INPUTS_MAX, task_sources>
            <<<blocks, MG_MIX_THREADS, 0, stream->handle>>>(*p, *sources, stream->watched);
    }
}

static mg_status task_cuda(mg_stream *stream, const mg_task_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->out_dtype, err));
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
        launch_general(stream, &p, &sources);
        return mg_cuda_launched("task", err);
    }
    few_sources few;
    memcpy(few.at, sources.at, sizeof(few.at));
    switch (p.source_count) {
    case 1:
        launch_fast_of<1>(stream, &p, &few);
        break;
    case 2:
        launch_fast_of<2>(stream, &p, &few);
        break;
    case 3:
        launch_fast_of<3>(stream, &p, &few);
        break;
    default:
        launch_fast_of<4>(stream, &p, &few);
        break;
    }
    return mg_cuda_launched("task", err);
}

static mg_status watch_cuda(mg_stream *stream, uint32_t *flag, mg_error *err)
{
    (void)err;
    stream->watched = flag;
    return MG_OK;
}

/* In the order of ops_mix.h, which C++ wants. */
const mg_mix_ops mg_mix_ops_cuda = {
    average_cuda,
    blend_cuda,
    scale_cuda,
    task_cuda,
    mg_cuda_delta_sum,
    mg_cuda_rank,
    mg_cuda_row_mask,
    mg_cuda_dot,
    mg_cuda_bernoulli,
    mg_cuda_finite,
    NULL /* angle: from dot */,
    NULL /* keys, and what they are sorted by */,
    NULL,
    NULL,
    NULL,
    watch_cuda,
};
