/* compute/cuda/experts_cuda.cu - rows dealt out to experts on the card: no score or output of an
 * expert goes to the host, and in steps no count either. */
#include <math.h>

#include "compute/cuda/cuda_internal.h"

#define THREADS 256

/* One thread for each row. */
__global__ static void choose_kernel(mg_route_args args)
{
    int64_t row = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (row >= args.rows) {
        return;
    }
    float *scores = args.scores + row * args.expert_count;
    int32_t *chosen = args.chosen + row * args.keep;
    float *weights = args.weights + row * args.keep;
    float largest = scores[0];
    for (int64_t e = 1; e < args.expert_count; e++) {
        largest = fmaxf(largest, scores[e]);
    }
    float sum = 0;
    for (int64_t e = 0; e < args.expert_count; e++) {
        scores[e] = expf(scores[e] - largest);
        sum += scores[e];
    }
    float kept = 0;
    for (int64_t i = 0; i < args.keep; i++) {
        int64_t best = -1;
        for (int64_t e = 0; e < args.expert_count; e++) {
            /* Scores that are not numbers choose the first experts: the result stays NaN. */
            if (scores[e] != -1.0f && (best < 0 || scores[e] > scores[best])) {
                best = e;
            }
        }
        chosen[i] = (int32_t)best;
        weights[i] = scores[best] / sum;
        kept += weights[i];
        scores[best] = -1.0f;
    }
    for (int64_t i = 0; i < args.keep; i++) {
        weights[i] /= kept;
    }
}

/* One block for each expert: counts the pairs of the experts before it, then gives its own pairs
 * their places, in order. */
__global__ static void deal_kernel(mg_route_args args)
{
    __shared__ int warps[THREADS / 32];
    __shared__ int before;
    const int expert = (int)blockIdx.x;
    const int lane = (int)threadIdx.x % 32;
    const int warp = (int)threadIdx.x / 32;
    const int64_t pairs = args.rows * args.keep;
    if (threadIdx.x == 0) {
        before = 0;
    }
    __syncthreads();
    int smaller = 0;
    for (int64_t i = threadIdx.x; i < pairs; i += THREADS) {
        smaller += args.chosen[i] < expert ? 1 : 0;
    }
    atomicAdd(&before, smaller);
    __syncthreads();
    int place = before;
    if (threadIdx.x == 0) {
        args.first[expert] = place;
    }
    for (int64_t at = 0; at < pairs; at += THREADS) {
        int64_t i = at + threadIdx.x;
        bool mine = i < pairs && args.chosen[i] == expert;
        unsigned ballot = __ballot_sync(0xFFFFFFFFu, mine);
        if (lane == 0) {
            warps[warp] = __popc(ballot);
        }
        __syncthreads();
        int ahead = __popc(ballot & ((1u << lane) - 1));
        int total = 0;
        for (int w = 0; w < THREADS / 32; w++) {
            ahead += w < warp ? warps[w] : 0;
            total += warps[w];
        }
        if (mine) {
            args.index[place + ahead] = (int32_t)(i / args.keep);
            args.places[i] = place + ahead;
        }
        place += total;
        __syncthreads();
    }
    if (expert == args.expert_count - 1 && threadIdx.x == 0) {
        args.first[args.expert_count] = place;
    }
}

mg_status mg_cuda_route(mg_stream *stream, const mg_route_args *args, mg_error *err)
{
    MG_ASSERT(args->keep <= args->expert_count && args->keep <= MG_EXPERTS_KEPT_MAX);
    if (args->rows > 0) {
        choose_kernel<<<(unsigned)((args->rows + THREADS - 1) / THREADS), THREADS, 0,
                        stream->handle>>>(*args);
    }
    deal_kernel<<<(unsigned)args->expert_count, THREADS, 0, stream->handle>>>(*args);
    return mg_cuda_launched("route", err);
}

/* One block for each row. */
__global__ static void combine_kernel(mg_combine_args args)
{
    __shared__ int order[MG_EXPERTS_KEPT_MAX];
    int64_t row = blockIdx.x;
    const int32_t *chosen = args.chosen + row * args.keep;
    const float *weights = args.weights + row * args.keep;
    const int32_t *places = args.places + row * args.keep;
    if ((int)threadIdx.x < args.keep) { /* its rank among the row's experts */
        int rank = 0;
        for (int i = 0; i < args.keep; i++) {
            rank += chosen[i] < chosen[threadIdx.x] ? 1 : 0;
        }
        order[rank] = (int)threadIdx.x;
    }
    __syncthreads();
    for (int64_t d = threadIdx.x; d < args.dim; d += blockDim.x) {
        float sum = 0;
        for (int i = 0; i < args.keep; i++) {
            sum += weights[order[i]] * args.outputs[places[order[i]] * args.dim + d];
        }
        args.x[row * args.dim + d] += sum;
    }
}

mg_status mg_cuda_combine(mg_stream *stream, const mg_combine_args *args, mg_error *err)
{
    mg_cuda_twin_drop(stream);
    if (args->rows == 0) {
        return MG_OK;
    }
    combine_kernel<<<(unsigned)args->rows, THREADS, 0, stream->handle>>>(*args);
    return mg_cuda_launched("combine", err);
}

/* The matrices of all experts, alike but for their data. */
typedef struct expert_matrices {
    const void *data[MG_EXPERTS_MAX];
    int64_t out_dim;
    int64_t in_dim;
} expert_matrices;

/* out (places, out_dim) from x; one warp for each number, any type and size. */
template <typename T>
__global__ static void plain_product_kernel(const __grid_constant__ expert_matrices matrices,
                                            const int32_t *first, float *out, const float *x,
                                            int64_t x_stride)
{
    const int lane = (int)threadIdx.x % 32;
    int64_t o = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    int place = (int)blockIdx.y;
    if (o >= matrices.out_dim) {
        return;
    }
    int expert = 0;
    while (place >= first[expert + 1]) {
        expert++;
    }
    const T *row = (const T *)matrices.data[expert] + o * matrices.in_dim;
    float sum = 0;
    for (int64_t i = lane; i < matrices.in_dim; i += 32) {
        sum = fmaf(x[place * x_stride + i], (float)row[i], sum);
    }
    for (int step = 16; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xFFFFFFFFu, sum, step);
    }
    if (lane == 0) {
        out[place * matrices.out_dim + o] = sum;
    }
}

static mg_status plain_product(mg_stream *stream, const mg_experts_args *args,
                               const mg_weight *weights, float *out, const float *x,
                               int64_t x_stride, mg_error *err)
{
    expert_matrices matrices = {};
    for (int64_t e = 0; e < args->expert_count; e++) {
        matrices.data[e] = weights[e].data;
    }
    matrices.out_dim = weights[0].out_dim;
    matrices.in_dim = weights[0].in_dim;
    const int64_t warps = THREADS / 32;
    dim3 grid((unsigned)((matrices.out_dim + warps - 1) / warps), (unsigned)args->places);
    if (weights[0].dtype == MG_BF16) {
        plain_product_kernel<__nv_bfloat16>
            <<<grid, THREADS, 0, stream->handle>>>(matrices, args->first, out, x, x_stride);
    } else {
        plain_product_kernel<float>
            <<<grid, THREADS, 0, stream->handle>>>(matrices, args->first, out, x, x_stride);
    }
    return mg_cuda_launched("experts", err);
}

mg_status mg_cuda_experts(mg_stream *stream, const mg_experts_args *args, mg_error *err)
{
    int64_t inner = args->down[0].in_dim;
    int64_t hidden = args->gate_up[0].in_dim;
    MG_ASSERT(args->expert_count <= MG_EXPERTS_MAX && args->places <= 65535);
    if (args->places == 0) {
        return MG_OK;
    }
    bool fits = true;
    for (int64_t e = 0; e < args->expert_count; e++) {
        fits =
            fits && mg_cuda_few_fits(&args->gate_up[e], 1) && mg_cuda_few_fits(&args->down[e], 1);
    }
    if (!fits) {
        mg_cuda_twin_drop(stream);
        mg_gate_args gate = { args->scratch, args->scratch,   args->scratch + inner,
                              args->places,  inner,           2 * inner,
                              2 * inner,     args->activation };
        MG_TRY(plain_product(stream, args, args->gate_up, args->scratch, args->x, hidden, err));
        MG_TRY(mg_cuda_gate(stream, &gate, err));
        mg_cuda_twin_drop(stream);
        return plain_product(stream, args, args->down, args->out, args->scratch, 2 * inner, err);
    }
    void *x = NULL;
    int64_t x_stride = 0;
    MG_TRY(mg_cuda_convert_rows(stream, args->x, args->places, hidden, hidden, &x, &x_stride, err));
    mg_cuda_twin_drop(stream);
    __nv_bfloat16 *joined = (__nv_bfloat16 *)args->scratch;
    MG_TRY(mg_cuda_few_experts_gated(stream, args, (const __nv_bfloat16 *)x, joined, err));
    return mg_cuda_few_experts_down(stream, args, joined, err);
}
