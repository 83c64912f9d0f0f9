/* compute/cuda/formula_cuda.cu - the formulas of ops_formula.h: one pass each over all sources.
 *
 * A kernel is made for each formula, with room for four inputs in registers or for all that a merge
 * may have.  This file is compiled without contraction: the steps of formula_math.h have the bits
 * of the CPU.  Sums are float64; a block adds one stretch or one vector, whose threads, warps and
 * blocks are joined in an order that shapes alone give. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/formula_cuda_internal.h"

#define MG_FORMULA_ROUND(x, work) mg_mix_round_to(x, work)
#include "compute/formula_math.h"

#define THREADS MG_MIX_THREADS
#define WARPS (THREADS / 32)
#define TERMS 10  /* of a pass over few inputs: all there are */
enum { FEW = 4 }; /* inputs that stay in registers */

/* What a formula knows of one element. */
template <int MOST> struct element {
    float x[MOST];
    float base;
    float mean;
    int64_t vector;
};

template <int MOST>
__device__ static inline void load_element(const mg_formula *f, int64_t e, element<MOST> *to)
{
    bool kept = f->bits == NULL || (f->bits[e / 64] >> (e % 64) & 1) != 0;
    to->base = f->base.data != NULL ? mg_mix_load(&f->base, e, f->work) : 0;
    to->mean = f->mean != NULL ? f->mean[e] : 0;
    if (f->mean != NULL && f->mean_divisor != 0) {
        to->mean = mg_formula_w(to->mean / f->mean_divisor, f->work);
    }
    to->vector = 0;
    if (f->row_length > 0) {
        to->vector = f->row_stride > 1 ? e % f->row_stride : e / f->row_length;
    }
#pragma unroll(MOST <= FEW ? MOST : 1)
    for (int k = 0; k < MOST; k++) {
        if (k < f->input_count) {
            float x = mg_mix_load(&f->inputs[k], e, f->work);
            x = f->delta ? mg_formula_w(x - to->base, f->work) : x;
            if (f->unit) {
                bool by_row = k < MG_FORMULA_ROWS && f->row[k] != NULL;
                float length = by_row ? f->row[k][to->vector] : f->length[k];
                x = mg_formula_w(x / length, f->work);
            }
            to->x[k] = kept ? x : x * 0.0f;
        }
    }
}

__device__ static inline float scalar_of(const mg_formula *f, int i, int64_t vector)
{
    return i < MG_FORMULA_ROWS && f->row[i] != NULL ? f->row[i][vector] : f->scalar[i];
}

template <int MOST>
__device__ static inline float multi_mean(const mg_formula *f, const element<MOST> *at)
{
    return mg_formula_multi_mean(at->x, 1, f->input_count, f->weight, f->work);
}

/* The mean direction as a unit vector. */
template <int MOST>
__device__ static inline float multi_unit(const mg_formula *f, const element<MOST> *at)
{
    return mg_formula_w(multi_mean(f, at) / f->scalar[3], f->work);
}

template <int MOST>
__device__ static inline float multi_tangent(const mg_formula *f, const element<MOST> *at,
                                             float unit)
{
    return mg_formula_multi_tangent(at->x, 1, f->input_count, unit, f->dot, f->weight, f->work);
}

template <int MOST>
__device__ static inline float multislerp(const mg_formula *f, const element<MOST> *at)
{
    float unit = multi_unit(f, at);
    return mg_formula_multi(unit, multi_tangent(f, at, unit), f->scalar[0], f->scalar[1],
                            f->scalar[2], f->work);
}

template <int MOST>
__device__ static inline float karcher_tangent(const mg_formula *f, const element<MOST> *at)
{
    return mg_formula_karcher_tangent(at->x, 1, f->input_count, at->mean, f->dot, f->weight,
                                      f->work);
}

/* r on top of the base, where there is one. */
__device__ static inline float on_base(const mg_formula *f, float base, float r)
{
    return f->base.data != NULL ? mg_formula_w(base + r, f->work) : r;
}

template <mg_formula_kind KIND, int MOST>
__device__ static inline float formula_value(const mg_formula *f, const element<MOST> *at)
{
    const float *x = at->x;
    switch (KIND) {
    case MG_FORMULA_NEARSWAP:
        return mg_formula_nearswap(at->base, x[0], f->scalar[0], f->work);
    case MG_FORMULA_RAM:
        return mg_formula_ram(x, 1, f->input_count, at->base, f->scalar[0], NULL, f->work);
    case MG_FORMULA_RAM_PLUS:
        return mg_formula_ram(x, 1, f->input_count, at->base, f->scalar[0], f->weight, f->work);
    case MG_FORMULA_STOCK:
        return mg_formula_stock(x, 1, f->input_count, at->base, scalar_of(f, 0, at->vector),
                                f->work);
    case MG_FORMULA_NUSLERP:
        return on_base(f, at->base,
                       mg_formula_nuslerp(x[0], x[1], scalar_of(f, 0, at->vector),
                                          scalar_of(f, 1, at->vector), scalar_of(f, 2, at->vector),
                                          f->work));
    case MG_FORMULA_MULTISLERP:
        return on_base(f, at->base, multislerp(f, at));
    case MG_FORMULA_MULTISLERP_PLAIN:
        return on_base(f, at->base,
                       mg_formula_multi_plain(x[0], x[1], f->weight[0], f->weight[1], f->work));
    case MG_FORMULA_KARCHER_MEAN:
        return mg_formula_karcher_mean(x, 1, f->input_count, f->scalar[0], f->work);
    case MG_FORMULA_KARCHER_STEP:
        return mg_formula_karcher_step(at->mean, karcher_tangent(f, at), f->scalar[0], f->scalar[1],
                                       f->scalar[2], f->work);
    case MG_FORMULA_KARCHER_SCALE:
        return mg_formula_w(f->scalar[0] * at->mean, f->work);
    case MG_FORMULA_VARIANCE:
        return mg_formula_variance(x, 1, f->input_count, f->work);
    case MG_FORMULA_SCE:
        return mg_formula_sce(x, 1, f->input_count, at->base, f->weight, f->work);
    case MG_FORMULA_IMPORTANCE:
        return mg_formula_importance(at->base, x[0], scalar_of(f, 0, at->vector), f->work);
    case MG_FORMULA_FUSION:
        return mg_formula_fusion(
            at->base, x[0],
            mg_formula_importance(at->base, x[0], scalar_of(f, 0, at->vector), f->work),
            f->scalar[1], f->work);
    }
    return 0;
}

template <mg_formula_kind KIND, int MOST>
__global__ static void formula_kernel(const __grid_constant__ mg_formula f, void *out,
                                      mg_dtype out_dtype, uint32_t *flag)
{
    unsigned most = 0;
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t e = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; e < f.count; e += step) {
        element<MOST> at;
        load_element(&f, e, &at);
        float r = formula_value<KIND, MOST>(&f, &at);
        most = mg_mix_watch(most, r);
        mg_mix_store(out, out_dtype, e, r);
    }
    mg_mix_watch_end(flag, most, out_dtype);
}

template <mg_formula_kind KIND>
static void launch_formula(const mg_stream *stream, const mg_formula_args *args)
{
    const mg_formula *f = args->formula;
    unsigned blocks = mg_mix_blocks(stream, f->count);
    uint32_t *flag = args->draft ? NULL : stream->watched;
    if (f->input_count <= FEW) {
        formula_kernel<KIND, FEW>
            <<<blocks, THREADS, 0, stream->handle>>>(*f, args->out, args->out_dtype, flag);
    } else {
        formula_kernel<KIND, MG_MIX_INPUTS_MAX>
            <<<blocks, THREADS, 0, stream->handle>>>(*f, args->out, args->out_dtype, flag);
    }
}

static mg_status formula_apply(mg_stream *stream, const mg_formula_args *args, mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->formula->work, args->out_dtype, err));
    switch (args->kind) {
#define MG_FORMULA_CASE(kind)                                                                      \
    case kind:                                                                                     \
        launch_formula<kind>(stream, args);                                                        \
        break;
        MG_FORMULA_CASE(MG_FORMULA_NEARSWAP)
        MG_FORMULA_CASE(MG_FORMULA_RAM)
        MG_FORMULA_CASE(MG_FORMULA_RAM_PLUS)
        MG_FORMULA_CASE(MG_FORMULA_STOCK)
        MG_FORMULA_CASE(MG_FORMULA_NUSLERP)
        MG_FORMULA_CASE(MG_FORMULA_MULTISLERP)
        MG_FORMULA_CASE(MG_FORMULA_MULTISLERP_PLAIN)
        MG_FORMULA_CASE(MG_FORMULA_KARCHER_MEAN)
        MG_FORMULA_CASE(MG_FORMULA_KARCHER_STEP)
        MG_FORMULA_CASE(MG_FORMULA_KARCHER_SCALE)
        MG_FORMULA_CASE(MG_FORMULA_VARIANCE)
        MG_FORMULA_CASE(MG_FORMULA_SCE)
        MG_FORMULA_CASE(MG_FORMULA_IMPORTANCE)
        MG_FORMULA_CASE(MG_FORMULA_FUSION)
#undef MG_FORMULA_CASE
    }
    return mg_cuda_launched("formula", err);
}

/* --- Sums ------------------------------------------------------------------------------------- */

/* Products of pairs are counted by their second input: (0,1), (0,2), (1,2), (0,3), ... */
template <int MOST>
__device__ static inline float pair_product(const mg_formula *f, const element<MOST> *at, int pair)
{
    int b = 1;
    while (pair >= b) {
        pair -= b;
        b++;
    }
    return mg_formula_w(at->x[pair] * at->x[b], f->work);
}

template <mg_formula_sum_kind KIND, int MOST>
__device__ static inline double term_of(const mg_formula *f, const element<MOST> *at, int term)
{
    const float *x = at->x;
    int n = (int)f->input_count;
    switch (KIND) {
    case MG_FORMULA_SUM_SQUARES:
        return (double)x[term] * (double)x[term];
    case MG_FORMULA_SUM_ANGLES:
        return term < n ? (double)x[term] * (double)x[term] : (double)pair_product(f, at, term - n);
    case MG_FORMULA_SUM_PRODUCT:
        return (double)mg_formula_w(x[0] * x[1], f->work);
    case MG_FORMULA_SUM_ENERGY:
        return (double)mg_formula_w(x[term] * x[term], f->work);
    case MG_FORMULA_SUM_ACTIVE: {
        int active = mg_formula_active(x, 1, n, f->scalar[0]);
        bool mine = fabsf(x[term % n]) > f->scalar[0];
        return mine && (term < n ? active > 1 : active == 1) ? 1 : 0;
    }
    case MG_FORMULA_SUM_NONZERO:
        return x[0] != 0 ? 1 : 0;
    case MG_FORMULA_SUM_MEAN:
        return (double)at->mean * (double)at->mean;
    case MG_FORMULA_SUM_MULTI: {
        double mean = (double)multi_mean(f, at);
        return mean * mean;
    }
    case MG_FORMULA_SUM_MULTI_DOT:
        return (double)mg_formula_w(x[term] * multi_unit(f, at), f->work);
    case MG_FORMULA_SUM_MULTI_TANGENT: {
        double tangent = (double)multi_tangent(f, at, multi_unit(f, at));
        return tangent * tangent;
    }
    case MG_FORMULA_SUM_KARCHER_DOT:
        return (double)at->mean * (double)x[term];
    case MG_FORMULA_SUM_KARCHER_TANGENT: {
        double tangent = (double)karcher_tangent(f, at);
        return tangent * tangent;
    }
    }
    return 0;
}

/* The elements of one block's sums. */
typedef struct segments {
    int64_t length; /* the last segment of a tensor may be shorter */
    int64_t stride; /* above 1: segment s begins at s */
    int first;      /* of the terms */
    int terms;      /* in all */
} segments;

/* Adds up count values of each thread of the block: out[t], t < count. */
__device__ static void add_block(const double *values, int count, double *out)
{
    __shared__ double warps[TERMS][WARPS];
    int lane = (int)threadIdx.x % 32;
    int warp = (int)threadIdx.x / 32;
#pragma unroll
    for (int t = 0; t < TERMS; t++) {
        double sum = values[t];
        for (int step = 16; step > 0; step /= 2) {
            sum += __shfl_down_sync(0xFFFFFFFFu, sum, step);
        }
        if (lane == 0) {
            warps[t][warp] = sum;
        }
    }
    __syncthreads();
    if ((int)threadIdx.x < count) {
        double sum = 0;
        for (int w = 0; w < WARPS; w++) {
            sum += warps[threadIdx.x][w];
        }
        out[threadIdx.x] = sum;
    }
}

template <mg_formula_sum_kind KIND, int MOST>
__global__ static void sum_kernel(const __grid_constant__ mg_formula f, segments part, double *out)
{
    int64_t segment = blockIdx.x;
    int64_t stride = part.stride > 1 ? part.stride : 1;
    int64_t begin = part.stride > 1 ? segment : segment * part.length;
    int64_t length = part.stride > 1 ? part.length : min(part.length, f.count - begin);
    int first = MOST <= FEW ? 0 : part.first; /* a constant: terms find their inputs in registers */
    double sums[TERMS];
#pragma unroll
    for (int t = 0; t < TERMS; t++) {
        sums[t] = 0;
    }
    for (int64_t i = threadIdx.x; i < length; i += THREADS) {
        element<MOST> at;
        load_element(&f, begin + i * stride, &at);
#pragma unroll
        for (int t = 0; t < TERMS; t++) {
            if (first + t < part.terms) {
                sums[t] += term_of<KIND, MOST>(&f, &at, first + t);
            }
        }
    }
    add_block(sums, min(part.terms - first, TERMS), out + segment * part.terms + first);
}

template <mg_formula_sum_kind KIND>
static void launch_sum(const mg_stream *stream, const mg_formula *f, segments part, int64_t count,
                       double *out)
{
    unsigned blocks = (unsigned)count;
    if (f->input_count <= FEW) {
        sum_kernel<KIND, FEW><<<blocks, THREADS, 0, stream->handle>>>(*f, part, out);
        return;
    }
    for (part.first = 0; part.first < part.terms; part.first += TERMS) {
        sum_kernel<KIND, MG_MIX_INPUTS_MAX><<<blocks, THREADS, 0, stream->handle>>>(*f, part, out);
    }
}

static void launch_sum_of(const mg_stream *stream, const mg_formula_sum_args *args, segments part,
                          int64_t count, double *out)
{
    switch (args->kind) {
#define MG_SUM_CASE(kind)                                                                          \
    case kind:                                                                                     \
        launch_sum<kind>(stream, args->formula, part, count, out);                                 \
        break;
        MG_SUM_CASE(MG_FORMULA_SUM_SQUARES)
        MG_SUM_CASE(MG_FORMULA_SUM_ANGLES)
        MG_SUM_CASE(MG_FORMULA_SUM_PRODUCT)
        MG_SUM_CASE(MG_FORMULA_SUM_ENERGY)
        MG_SUM_CASE(MG_FORMULA_SUM_ACTIVE)
        MG_SUM_CASE(MG_FORMULA_SUM_NONZERO)
        MG_SUM_CASE(MG_FORMULA_SUM_MEAN)
        MG_SUM_CASE(MG_FORMULA_SUM_MULTI)
        MG_SUM_CASE(MG_FORMULA_SUM_MULTI_DOT)
        MG_SUM_CASE(MG_FORMULA_SUM_MULTI_TANGENT)
        MG_SUM_CASE(MG_FORMULA_SUM_KARCHER_DOT)
        MG_SUM_CASE(MG_FORMULA_SUM_KARCHER_TANGENT)
#undef MG_SUM_CASE
    }
}

static mg_status formula_sum(mg_stream *stream, const mg_formula_sum_args *args, mg_error *err)
{
    const mg_formula *f = args->formula;
    MG_TRY(mg_mix_check_types(f->work, f->work, err));
    int64_t terms = mg_formula_terms(args->kind, f->input_count);
    segments part = { args->by_vector ? f->row_length : MG_MIX_BLOCK,
                      args->by_vector ? f->row_stride : 1, 0, (int)terms };
    int64_t count = (f->count + part.length - 1) / part.length;
    void *block = NULL;
    size_t bytes = (size_t)(count * terms) * sizeof(double);
    memset(args->sums_out, 0, args->by_vector ? bytes : (size_t)terms * sizeof(double));
    if (count == 0) {
        return MG_OK;
    }
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, bytes, &block, err));
    launch_sum_of(stream, args, part, count, (double *)block);
    MG_TRY(mg_cuda_launched("sums of a formula", err));
    if (args->by_vector) {
        return stream->device->download(stream, args->sums_out, block, bytes, err);
    }
    double *sums = mg_new_array(double, count *terms);
    mg_status status = stream->device->download(stream, sums, block, bytes, err);
    for (int64_t i = 0; i < count * terms; i++) {
        args->sums_out[i % terms] += sums[i];
    }
    mg_free(sums);
    return status;
}

/* --- Rows of arcee_fusion, and single values -------------------------------------------------- */

/* The block's sum, or largest, of one value of each thread. */
__device__ static double join_block(double value, bool largest)
{
    __shared__ double warps[WARPS];
    for (int step = 16; step > 0; step /= 2) {
        double other = __shfl_xor_sync(0xFFFFFFFFu, value, step);
        value = largest ? fmax(value, other) : value + other;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = value;
    }
    __syncthreads();
    value = warps[0];
    for (int w = 1; w < WARPS; w++) {
        value = largest ? fmax(value, warps[w]) : value + warps[w];
    }
    return value;
}

__global__ static void divergence_kernel(mg_divergence_args args)
{
    for (int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
        int64_t first = row * args.length;
        float most[2] = { -INFINITY, -INFINITY };
        double sums[2] = { 0, 0 };
        double divergence = 0;
        for (int64_t i = threadIdx.x; i < args.length; i += THREADS) {
            most[0] = fmaxf(most[0], mg_mix_load(&args.base, first + i, args.work));
            most[1] = fmaxf(most[1], mg_mix_load(&args.x, first + i, args.work));
        }
        most[0] = (float)join_block((double)most[0], true);
        most[1] = (float)join_block((double)most[1], true);
        for (int64_t i = threadIdx.x; i < args.length; i += THREADS) {
            sums[0] += (double)expf(mg_mix_load(&args.base, first + i, args.work) - most[0]);
            sums[1] += (double)expf(mg_mix_load(&args.x, first + i, args.work) - most[1]);
        }
        float base_sum = (float)join_block(sums[0], false);
        float x_sum = (float)join_block(sums[1], false);
        for (int64_t i = threadIdx.x; i < args.length; i += THREADS) {
            float base = mg_mix_load(&args.base, first + i, args.work);
            float x = mg_mix_load(&args.x, first + i, args.work);
            float q = mg_formula_share(base, most[0], base_sum, args.work);
            float p = mg_formula_share(x, most[1], x_sum, args.work);
            divergence += (double)mg_formula_divergence(p, q, args.work);
        }
        divergence = join_block(divergence, false);
        if (threadIdx.x == 0) {
            args.out[row] = mg_formula_w((float)divergence, args.work);
        }
    }
}

static mg_status formula_divergence(mg_stream *stream, const mg_divergence_args *args,
                                    mg_error *err)
{
    MG_TRY(mg_mix_check_types(args->work, args->work, err));
    unsigned blocks = (unsigned)MG_MIN(args->rows, (int64_t)stream->multiprocessors * 8);
    if (args->rows == 0) {
        return MG_OK;
    }
    divergence_kernel<<<blocks, THREADS, 0, stream->handle>>>(*args);
    return mg_cuda_launched("divergence", err);
}

__global__ static void pick_kernel(const float *values, const int64_t *places, int64_t count,
                                   float *out)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        out[i] = values[places[i]];
    }
}

static mg_status formula_pick(mg_stream *stream, const mg_pick_args *args, mg_error *err)
{
    void *block = NULL;
    size_t places_bytes = (size_t)args->count * sizeof(int64_t);
    size_t out_bytes = (size_t)args->count * sizeof(float);
    if (args->count == 0) {
        return MG_OK;
    }
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_REDUCE, places_bytes + out_bytes, &block, err));
    float *out = (float *)((char *)block + places_bytes);
    MG_TRY(stream->device->upload(stream, block, args->places, places_bytes, err));
    unsigned blocks = (unsigned)((args->count + THREADS - 1) / THREADS);
    pick_kernel<<<blocks, THREADS, 0, stream->handle>>>(args->values, (const int64_t *)block,
                                                        args->count, out);
    MG_TRY(mg_cuda_launched("pick", err));
    return stream->device->download(stream, args->out, out, out_bytes, err);
}

const mg_formula_ops mg_formula_ops_cuda = { formula_apply, formula_sum, formula_divergence,
                                             formula_pick };
