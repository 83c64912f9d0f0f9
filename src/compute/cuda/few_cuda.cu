/* compute/cuda/few_cuda.cu - products of few rows, which are as fast as their weights can be read.
 *
 * out^T (out_dim, rows) = W (out_dim, in_dim) * x^T on mma.m16n8k16, W being the first operand.  A
 * block takes 16 rows of W; its warps take pieces of 128 columns in turn and add their results up
 * at the end, in order, so that a sum depends on the shape alone.
 *
 * A product's terms may be added in any order as long as both operands have the same: a thread
 * loads 16 bytes, 8 neighbouring columns of a row, and calls the first four of them columns 2j,
 * 2j+1, 2j+8, 2j+9 of one multiplication and the other four the same of the next (j = lane % 4).
 * So fragments come straight from device memory, without a detour through shared memory. */
#include "compute/cuda/cuda_internal.h"

#define WARPS 4
#define THREADS (WARPS * 32)
#define TILE 16   /* rows of W for each block */
#define PIECE 128 /* columns */
#define CHUNKS (PIECE / 32)

typedef __nv_bfloat16 bf16;

/* A thread's share of a piece of W: two rows, CHUNKS times 8 columns. */
typedef struct piece_w {
    uint4 low[CHUNKS];  /* row lane / 4 */
    uint4 high[CHUNKS]; /* row lane / 4 + 8 */
} piece_w;

/* 16 bytes that are read once. */
__device__ static inline uint4 load_once(const bf16 *from)
{
    uint4 x;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(from));
    return x;
}

__device__ static inline void load_w(piece_w *w, const bf16 *low, const bf16 *high)
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        w->low[c] = load_once(low + c * 32);
        w->high[c] = load_once(high + c * 32);
    }
}

/* c (16 x 8) += a (16 x 16) * b (16 x 8). */
__device__ static inline void multiply(float c[4], unsigned a0, unsigned a1, unsigned a2,
                                       unsigned a3, unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/* Takes a piece; x is the thread's place in the piece's columns of row lane / 4. */
template <int GROUPS>
__device__ static inline void take_piece(float sums[GROUPS][4], const piece_w *w, const bf16 *x,
                                         int64_t group_stride, int rows_left)
{
    uint4 b[GROUPS][CHUNKS];
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            b[g][c] = g * 8 < rows_left ? *(const uint4 *)(x + g * group_stride + c * 32)
                                        : make_uint4(0, 0, 0, 0);
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            multiply(sums[g], w->low[c].x, w->high[c].x, w->low[c].y, w->high[c].y, b[g][c].x,
                     b[g][c].y);
            multiply(sums[g], w->low[c].z, w->high[c].z, w->low[c].w, w->high[c].w, b[g][c].z,
                     b[g][c].w);
        }
    }
}

/* What a block computes: rows low_first .. +7 and high_first .. +7 of W times all rows of x. */
typedef struct few_args {
    const bf16 *weight; /* (out_dim, in_dim) */
    const bf16 *x;      /* (rows, in_dim) */
    int64_t in_dim;
    int rows;
    /* sums of a plain product */
    float *out;
    int64_t out_stride;
    const float *bias;
    const float *residual;
    /* of a gated one */
    bf16 *joined; /* (rows, inner) */
    int64_t inner;
    mg_nn_activation activation;
} few_args;

/* The block's sums, (TILE, 8 * GROUPS), in shared memory. */
template <int GROUPS>
__device__ static void multiply_tile(const few_args *args, int64_t low_first, int64_t high_first,
                                     float *sums_out)
{
    __shared__ float parts[WARPS][TILE * 8 * GROUPS];
    const int warp = (int)threadIdx.x / 32;
    const int lane = (int)threadIdx.x % 32;
    const int64_t dim = args->in_dim;
    const int64_t column = lane % 4 * 8;
    const bf16 *low = args->weight + (low_first + lane / 4) * dim + column;
    const bf16 *high = args->weight + (high_first + lane / 4) * dim + column;
    const bf16 *x = args->x + lane / 4 * dim + column;
    const int rows_left = args->rows - lane / 4;
    const int64_t step = WARPS * PIECE;
    int64_t at = warp * PIECE;
    piece_w even;
    piece_w odd;
    float sums[GROUPS][4] = {};
    if (at < dim) {
        load_w(&even, low + at, high + at);
    }
    if (at + step < dim) {
        load_w(&odd, low + at + step, high + at + step);
    }
    for (; at < dim; at += 2 * step) {
        take_piece<GROUPS>(sums, &even, x + at, 8 * dim, rows_left);
        if (at + 2 * step < dim) {
            load_w(&even, low + at + 2 * step, high + at + 2 * step);
        }
        if (at + step < dim) {
            take_piece<GROUPS>(sums, &odd, x + at + step, 8 * dim, rows_left);
        }
        if (at + 3 * step < dim) {
            load_w(&odd, low + at + 3 * step, high + at + 3 * step);
        }
    }
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        float *to = parts[warp] + lane / 4 * (8 * GROUPS) + g * 8 + lane % 4 * 2;
        *(float2 *)to = make_float2(sums[g][0], sums[g][1]);
        *(float2 *)(to + 8 * 8 * GROUPS) = make_float2(sums[g][2], sums[g][3]);
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < TILE * 8 * GROUPS; i += THREADS) {
        float sum = parts[0][i];
#pragma unroll
        for (int w = 1; w < WARPS; w++) {
            sum += parts[w][i];
        }
        sums_out[i] = sum;
    }
    __syncthreads();
}

template <int GROUPS>
__global__ __launch_bounds__(THREADS, 4) static void few_linear_kernel(few_args args)
{
    __shared__ float sums[TILE * 8 * GROUPS];
    int64_t first = (int64_t)blockIdx.x * TILE;
    multiply_tile<GROUPS>(&args, first, first + 8, sums);
    for (int i = (int)threadIdx.x; i < TILE * 8 * GROUPS; i += THREADS) {
        int row = i / TILE;
        int64_t at = first + i % TILE;
        if (row < args.rows) {
            float value = sums[i % TILE * (8 * GROUPS) + row];
            value += args.bias != NULL ? args.bias[at] : 0;
            value += args.residual != NULL ? args.residual[row * args.out_stride + at] : 0;
            args.out[row * args.out_stride + at] = value;
        }
    }
}

/* 8 components of the gate and the same of up. */
template <int GROUPS>
__global__ __launch_bounds__(THREADS, 4) static void few_gated_kernel(few_args args)
{
    __shared__ float sums[TILE * 8 * GROUPS];
    int64_t first = (int64_t)blockIdx.x * 8;
    multiply_tile<GROUPS>(&args, first, args.inner + first, sums);
    for (int i = (int)threadIdx.x; i < 8 * 8 * GROUPS; i += THREADS) {
        int row = i / 8;
        if (row < args.rows) {
            float gate = sums[i % 8 * (8 * GROUPS) + row];
            float up = sums[(i % 8 + 8) * (8 * GROUPS) + row];
            args.joined[row * args.inner + first + i % 8] =
                __float2bfloat16_rn(mg_cuda_activate(gate, args.activation) * up);
        }
    }
}

/* The same with a matrix for each expert, blockIdx.y: its rows are counted here, and taken 16 at a
 * time. */
typedef struct experts_few {
    const bf16 *weights[MG_EXPERTS_MAX];
    const int32_t *first; /* row of the experts' first place, and the end */
    few_args few;         /* but for weight and rows: of all places */
} experts_few;

__global__
__launch_bounds__(THREADS,
                  4) static void experts_linear_kernel(const __grid_constant__ experts_few args)
{
    __shared__ float sums[TILE * MG_CUDA_FEW_ROWS];
    const int end = args.first[blockIdx.y + 1];
    int64_t first = (int64_t)blockIdx.x * TILE;
    few_args here = args.few;
    here.weight = args.weights[blockIdx.y];
    for (int place = args.first[blockIdx.y]; place < end; place += MG_CUDA_FEW_ROWS) {
        here.x = args.few.x + place * here.in_dim;
        here.rows = min(end - place, MG_CUDA_FEW_ROWS);
        multiply_tile<2>(&here, first, first + 8, sums);
        for (int i = (int)threadIdx.x; i < TILE * here.rows; i += THREADS) {
            int row = i / TILE;
            here.out[(place + row) * here.out_stride + first + i % TILE] =
                sums[i % TILE * MG_CUDA_FEW_ROWS + row];
        }
    }
}

__global__
__launch_bounds__(THREADS,
                  4) static void experts_gated_kernel(const __grid_constant__ experts_few args)
{
    __shared__ float sums[TILE * MG_CUDA_FEW_ROWS];
    const int end = args.first[blockIdx.y + 1];
    int64_t first = (int64_t)blockIdx.x * 8;
    few_args here = args.few;
    here.weight = args.weights[blockIdx.y];
    for (int place = args.first[blockIdx.y]; place < end; place += MG_CUDA_FEW_ROWS) {
        here.x = args.few.x + place * here.in_dim;
        here.rows = min(end - place, MG_CUDA_FEW_ROWS);
        multiply_tile<2>(&here, first, here.inner + first, sums);
        for (int i = (int)threadIdx.x; i < 8 * here.rows; i += THREADS) {
            int row = i / 8;
            float gate = sums[i % 8 * MG_CUDA_FEW_ROWS + row];
            float up = sums[(i % 8 + 8) * MG_CUDA_FEW_ROWS + row];
            here.joined[(place + row) * here.inner + first + i % 8] =
                __float2bfloat16_rn(mg_cuda_activate(gate, here.activation) * up);
        }
    }
}

bool mg_cuda_few_fits(const mg_weight *weight, int64_t rows)
{
    return weight->dtype == MG_BF16 && rows <= MG_CUDA_FEW_ROWS && weight->in_dim % PIECE == 0 &&
           weight->in_dim > 0 && weight->out_dim % TILE == 0 && (uintptr_t)weight->data % 16 == 0;
}

mg_status mg_cuda_few_linear(mg_stream *stream, const mg_linear_args *args, const bf16 *x,
                             mg_error *err)
{
    few_args few = {};
    few.weight = (const bf16 *)args->weight.data;
    few.x = x;
    few.in_dim = args->weight.in_dim;
    few.rows = (int)args->rows;
    few.out = args->out;
    few.out_stride = args->out_stride;
    few.bias = args->bias;
    few.residual = args->residual;
    unsigned blocks = (unsigned)(args->weight.out_dim / TILE);
    if (args->rows <= 8) {
        few_linear_kernel<1><<<blocks, THREADS, 0, stream->handle>>>(few);
    } else {
        few_linear_kernel<2><<<blocks, THREADS, 0, stream->handle>>>(few);
    }
    return mg_cuda_launched("linear", err);
}

mg_status mg_cuda_few_gated(mg_stream *stream, const mg_mlp_args *args, const bf16 *x, bf16 *out,
                            mg_error *err)
{
    few_args few = {};
    few.weight = (const bf16 *)args->gate_up.data;
    few.x = x;
    few.in_dim = args->gate_up.in_dim;
    few.rows = (int)args->rows;
    few.joined = out;
    few.inner = args->down.in_dim;
    few.activation = args->activation;
    unsigned blocks = (unsigned)(few.inner / 8);
    if (args->rows <= 8) {
        few_gated_kernel<1><<<blocks, THREADS, 0, stream->handle>>>(few);
    } else {
        few_gated_kernel<2><<<blocks, THREADS, 0, stream->handle>>>(few);
    }
    return mg_cuda_launched("mlp", err);
}

static experts_few few_of_experts(const mg_experts_args *args, const mg_weight *weights,
                                  const bf16 *x)
{
    experts_few few = {};
    for (int64_t e = 0; e < args->expert_count; e++) {
        few.weights[e] = (const bf16 *)weights[e].data;
    }
    few.first = args->first;
    few.few.x = x;
    few.few.in_dim = weights[0].in_dim;
    return few;
}

mg_status mg_cuda_few_experts_gated(mg_stream *stream, const mg_experts_args *args, const bf16 *x,
                                    bf16 *joined, mg_error *err)
{
    experts_few few = few_of_experts(args, args->gate_up, x);
    few.few.joined = joined;
    few.few.inner = args->down[0].in_dim;
    few.few.activation = args->activation;
    dim3 grid((unsigned)(few.few.inner / 8), (unsigned)args->expert_count);
    experts_gated_kernel<<<grid, THREADS, 0, stream->handle>>>(few);
    return mg_cuda_launched("experts", err);
}

mg_status mg_cuda_few_experts_down(mg_stream *stream, const mg_experts_args *args,
                                   const bf16 *joined, mg_error *err)
{
    experts_few few = few_of_experts(args, args->down, joined);
    few.few.out = args->out;
    few.few.out_stride = args->down[0].out_dim;
    dim3 grid((unsigned)(args->down[0].out_dim / TILE), (unsigned)args->expert_count);
    experts_linear_kernel<<<grid, THREADS, 0, stream->handle>>>(few);
    return mg_cuda_launched("experts", err);
}
