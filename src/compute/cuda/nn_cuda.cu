/* compute/cuda/nn_cuda.cu - the operations of inference that move bytes: embedding, norms,
 * rotation, cache, activations, and what is read off the logits.
 *
 * Activations are float32 rows; caches and weights are bfloat16 or float32, row-major. */
#include <math.h>

#include "compute/cuda/cuda_internal.h"

#define MG_CUDA_THREADS 256
#define ARGMAX_THREADS 1024

static inline unsigned blocks_of(int64_t count, int64_t threads)
{
    return (unsigned)((count + threads - 1) / threads);
}

__device__ static inline float widen(const float *x)
{
    return *x;
}

__device__ static inline float widen(const __nv_bfloat16 *x)
{
    return __bfloat162float(*x);
}

__device__ static inline void narrow(float *to, float x)
{
    *to = x;
}

__device__ static inline void narrow(__nv_bfloat16 *to, float x)
{
    *to = __float2bfloat16_rn(x);
}

__device__ static float warp_sum(float x)
{
    for (int step = 16; step > 0; step /= 2) {
        x += __shfl_xor_sync(0xFFFFFFFFu, x, step);
    }
    return x;
}

__device__ static float warp_max(float x)
{
    for (int step = 16; step > 0; step /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, step));
    }
    return x;
}

/* Sum over the block, given to every thread.  shared has one float for each warp. */
__device__ static float block_sum(float x, float *shared)
{
    x = warp_sum(x);
    int warp = (int)threadIdx.x / 32;
    int warps = (int)blockDim.x / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        shared[warp] = x;
    }
    __syncthreads();
    x = (int)threadIdx.x % 32 < warps ? shared[threadIdx.x % 32] : 0;
    return warp_sum(x);
}

__device__ static float block_max(float x, float *shared)
{
    x = warp_max(x);
    int warp = (int)threadIdx.x / 32;
    int warps = (int)blockDim.x / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        shared[warp] = x;
    }
    __syncthreads();
    x = (int)threadIdx.x % 32 < warps ? shared[threadIdx.x % 32] : -INFINITY;
    return warp_max(x);
}

template <typename T> __global__ static void embed_kernel(mg_embed_args args)
{
    int64_t dim = args.weight.in_dim;
    int64_t row = blockIdx.x;
    const T *from = (const T *)args.weight.data + (int64_t)args.ids[row] * dim;
    for (int64_t i = threadIdx.x; i < dim; i += blockDim.x) {
        args.out[row * dim + i] = args.scale * widen(from + i);
    }
}

static mg_status cuda_embed(mg_stream *stream, const mg_embed_args *args, mg_error *err)
{
    mg_cuda_twin_drop(stream);
    if (args->rows == 0) {
        return MG_OK;
    }
    if (args->weight.dtype == MG_BF16) {
        embed_kernel<__nv_bfloat16>
            <<<(unsigned)args->rows, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    } else {
        embed_kernel<float><<<(unsigned)args->rows, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    }
    return mg_cuda_launched("embed", err);
}

__global__ static void gather_kernel(mg_gather_args args)
{
    int64_t row = blockIdx.x;
    const float *from = args.x + (int64_t)args.index[row] * args.dim;
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        args.out[row * args.dim + i] = from[i];
    }
}

static mg_status cuda_gather(mg_stream *stream, const mg_gather_args *args, mg_error *err)
{
    mg_cuda_twin_drop(stream);
    if (args->rows == 0) {
        return MG_OK;
    }
    gather_kernel<<<(unsigned)args->rows, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    return mg_cuda_launched("gather", err);
}

/* One block for each group of each row. */
__global__ static void rmsnorm_kernel(mg_rmsnorm_args args, __nv_bfloat16 *twin)
{
    __shared__ float shared[32];
    int64_t row = blockIdx.x / args.groups;
    int64_t group = blockIdx.x % args.groups;
    const float *x = args.x + row * args.x_stride + group * args.dim;
    float *out = args.out + row * args.out_stride + group * args.dim;
    const float *weight = args.weight + (args.weight_per_group ? group * args.dim : 0);
    float sum = 0;
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        sum = fmaf(x[i], x[i], sum);
    }
    sum = block_sum(sum, shared);
    float scale = 1.0f / sqrtf(sum / (float)args.dim + args.epsilon);
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        float y = x[i] * scale * (weight[i] + args.weight_offset);
        out[i] = y;
        if (twin != NULL) {
            twin[row * args.dim + i] = __float2bfloat16_rn(y);
        }
    }
}

#define NORM_PIECES 4 /* of 4 values, in the registers of one thread */

/* Whole rows of 16-byte pieces, read once. */
__global__ static void rmsnorm_row_kernel(mg_rmsnorm_args args, __nv_bfloat16 *twin)
{
    __shared__ float shared[32];
    int64_t row = blockIdx.x;
    int pieces = (int)(args.dim / 4);
    const float4 *weight = (const float4 *)args.weight;
    float4 x[NORM_PIECES];
    float sum = 0;
    const float4 *from = (const float4 *)(args.x + row * args.x_stride);
#pragma unroll
    for (int k = 0; k < NORM_PIECES; k++) {
        int i = (int)threadIdx.x + k * (int)blockDim.x;
        x[k] = i < pieces ? from[i] : make_float4(0, 0, 0, 0);
        sum = fmaf(x[k].x, x[k].x, fmaf(x[k].y, x[k].y, sum));
        sum = fmaf(x[k].z, x[k].z, fmaf(x[k].w, x[k].w, sum));
    }
    sum = block_sum(sum, shared);
    float scale = 1.0f / sqrtf(sum / (float)args.dim + args.epsilon);
    float4 *out = (float4 *)(args.out + row * args.out_stride);
#pragma unroll
    for (int k = 0; k < NORM_PIECES; k++) {
        int i = (int)threadIdx.x + k * (int)blockDim.x;
        if (i < pieces) {
            float4 w = weight[i];
            float4 y = make_float4(x[k].x * scale * (w.x + args.weight_offset),
                                   x[k].y * scale * (w.y + args.weight_offset),
                                   x[k].z * scale * (w.z + args.weight_offset),
                                   x[k].w * scale * (w.w + args.weight_offset));
            out[i] = y;
            if (twin != NULL) {
                __nv_bfloat162 *to = (__nv_bfloat162 *)(twin + row * args.dim) + i * 2;
                to[0] = __floats2bfloat162_rn(y.x, y.y);
                to[1] = __floats2bfloat162_rn(y.z, y.w);
            }
        }
    }
}

static bool divides_by_16_bytes(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* Threads for a group of dim values: a power of two of warps. */
static unsigned group_threads(int64_t dim)
{
    unsigned threads = 32;
    while (threads < 512 && threads * 4 < dim) {
        threads *= 2;
    }
    return threads;
}

static mg_status cuda_rmsnorm(mg_stream *stream, const mg_rmsnorm_args *args, mg_error *err)
{
    if (args->rows * args->groups == 0) {
        return MG_OK;
    }
    __nv_bfloat16 *twin = NULL;
    mg_cuda_twin_drop(stream);
    if (args->groups == 1) {
        MG_TRY(mg_cuda_twin_begin(stream, args->out, args->rows, args->dim, args->out_stride, &twin,
                                  err));
    }
    unsigned threads = group_threads(args->dim);
    if (args->groups == 1 && args->dim % 4 == 0 && args->x_stride % 4 == 0 &&
        args->out_stride % 4 == 0 && args->dim <= (int64_t)threads * 4 * NORM_PIECES &&
        divides_by_16_bytes(args->x) && divides_by_16_bytes(args->out) &&
        divides_by_16_bytes(args->weight)) {
        rmsnorm_row_kernel<<<(unsigned)args->rows, threads, 0, stream->handle>>>(*args, twin);
        return mg_cuda_launched("rmsnorm", err);
    }
    rmsnorm_kernel<<<(unsigned)(args->rows * args->groups), threads, 0, stream->handle>>>(*args,
                                                                                          twin);
    return mg_cuda_launched("rmsnorm", err);
}

__global__ static void layernorm_kernel(mg_layernorm_args args, __nv_bfloat16 *twin)
{
    __shared__ float shared[32];
    int64_t row = blockIdx.x / args.groups;
    int64_t group = blockIdx.x % args.groups;
    const float *x = args.x + row * args.x_stride + group * args.dim;
    float *out = args.out + row * args.out_stride + group * args.dim;
    int64_t weight_offset = args.weight_per_group ? group * args.dim : 0;
    float sum = 0;
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        sum += x[i];
    }
    float mean = block_sum(sum, shared) / (float)args.dim;
    sum = 0;
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        float d = x[i] - mean;
        sum = fmaf(d, d, sum);
    }
    float scale = 1.0f / sqrtf(block_sum(sum, shared) / (float)args.dim + args.epsilon);
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        float bias = args.bias != NULL ? args.bias[weight_offset + i] : 0;
        float y = fmaf((x[i] - mean) * scale, args.weight[weight_offset + i], bias);
        out[i] = y;
        if (twin != NULL) {
            twin[row * args.dim + i] = __float2bfloat16_rn(y);
        }
    }
}

static mg_status cuda_layernorm(mg_stream *stream, const mg_layernorm_args *args, mg_error *err)
{
    if (args->rows * args->groups == 0) {
        return MG_OK;
    }
    __nv_bfloat16 *twin = NULL;
    mg_cuda_twin_drop(stream);
    if (args->groups == 1) {
        MG_TRY(mg_cuda_twin_begin(stream, args->out, args->rows, args->dim, args->out_stride, &twin,
                                  err));
    }
    layernorm_kernel<<<(unsigned)(args->rows * args->groups), group_threads(args->dim), 0,
                       stream->handle>>>(*args, twin);
    return mg_cuda_launched("layernorm", err);
}

/* One thread for each pair of components. */
__global__ static void rope_kernel(mg_rope_args args)
{
    int64_t half = args.rotary_dim / 2;
    int64_t per_row = args.heads * half;
    int64_t row = blockIdx.y;
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= per_row) {
        return;
    }
    int64_t head = i / half;
    int64_t m = i % half;
    float *x = args.x + row * args.x_stride + head * args.head_dim + m;
    int64_t entry = (int64_t)args.positions[row] * half + m;
    float c = args.cos_table[entry];
    float s = args.sin_table[entry];
    float a = x[0];
    float b = x[half];
    x[0] = fmaf(a, c, -(b * s));
    x[half] = fmaf(b, c, a * s);
}

static mg_status cuda_rope(mg_stream *stream, const mg_rope_args *args, mg_error *err)
{
    mg_cuda_twin_drop(stream);
    int64_t per_row = args->heads * (args->rotary_dim / 2);
    const mg_rope_args whole = *args;
    /* The y dimension of a grid ends at 65535. */
    for (int64_t first = 0; first < whole.rows && per_row > 0; first += 65535) {
        mg_rope_args part = whole;
        part.rows = MG_MIN(whole.rows - first, (int64_t)65535);
        part.x = whole.x + first * whole.x_stride;
        part.positions = whole.positions + first;
        dim3 grid(blocks_of(per_row, MG_CUDA_THREADS), (unsigned)part.rows);
        rope_kernel<<<grid, MG_CUDA_THREADS, 0, stream->handle>>>(part);
    }
    return mg_cuda_launched("rope", err);
}

template <typename T> __global__ static void kv_store_kernel(mg_kv_store_args args)
{
    mg_kv kv = args.kv;
    int64_t row = blockIdx.x;
    int64_t plane = kv.blocks * kv.kv_heads * kv.positions * kv.head_dim;
    int64_t first = mg_cuda_kv_row(&kv, args.slots[row], 0, args.positions[row]);
    T *keys = (T *)kv.data;
    for (int64_t i = threadIdx.x; i < kv.kv_heads * kv.head_dim; i += blockDim.x) {
        int64_t head = i / kv.head_dim;
        int64_t at = (first + head * kv.positions) * kv.head_dim + i % kv.head_dim;
        narrow(keys + at, args.k[row * args.x_stride + i]);
        narrow(keys + plane + at, args.v[row * args.x_stride + i]);
    }
}

static mg_status cuda_kv_store(mg_stream *stream, const mg_kv_store_args *args, mg_error *err)
{
    if (args->rows == 0) {
        return MG_OK;
    }
    if (args->kv.dtype == MG_BF16) {
        kv_store_kernel<__nv_bfloat16>
            <<<(unsigned)args->rows, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    } else {
        kv_store_kernel<float><<<(unsigned)args->rows, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    }
    return mg_cuda_launched("kv_store", err);
}

/* WIDTH neighbouring numbers, 1 or 4. */
template <int WIDTH> __device__ static inline void read_piece(float x[WIDTH], const float *from)
{
    if (WIDTH == 4) {
        *(float4 *)x = *(const float4 *)from;
    } else {
        x[0] = from[0];
    }
}

template <int WIDTH> __device__ static inline void write_piece(float *to, const float x[WIDTH])
{
    if (WIDTH == 4) {
        *(float4 *)to = *(const float4 *)x;
    } else {
        to[0] = x[0];
    }
}

template <int WIDTH>
__device__ static inline void write_piece(__nv_bfloat16 *to, const float x[WIDTH])
{
    if (WIDTH == 4) {
        __nv_bfloat162 pairs[2] = { __floats2bfloat162_rn(x[0], x[1]),
                                    __floats2bfloat162_rn(x[2], x[3]) };
        *(uint2 *)to = *(const uint2 *)pairs;
    } else {
        to[0] = __float2bfloat16_rn(x[0]);
    }
}

/* One thread for each piece of components that rotate with another piece, of the other components
 * of q and k, and of v: the queries turn in place, the keys on their way into the cache. */
template <typename T, int WIDTH> __global__ static void rope_store_kernel(mg_rope_store_args args)
{
    mg_rope_args rope = args.rope;
    mg_kv kv = args.store.kv;
    int64_t row = blockIdx.x;
    int i = (int)(blockIdx.y * blockDim.x + threadIdx.x) * WIDTH;
    int dim = (int)kv.head_dim;
    int half = (int)rope.rotary_dim / 2;
    int per_head = dim - half;
    int turned = (int)rope.heads * per_head;
    int first_key = (int)(rope.heads - kv.kv_heads);
    int64_t step = kv.positions * dim; /* from head to head */
    float low[WIDTH];
    float high[WIDTH];
    if (i >= turned + (int)kv.kv_heads * dim) {
        return;
    }
    T *keys = (T *)kv.data +
              mg_cuda_kv_row(&kv, args.store.slots[row], 0, args.store.positions[row]) * dim;
    if (i >= turned) {
        int64_t plane = kv.blocks * kv.kv_heads * step;
        int v = i - turned;
        read_piece<WIDTH>(low, args.store.v + row * args.store.x_stride + v);
        write_piece<WIDTH>(keys + plane + v / dim * step + v % dim, low);
        return;
    }
    int head = i / per_head;
    int m = i % per_head;
    float *at = rope.x + row * rope.x_stride + head * dim;
    T *key = keys + (head - first_key) * step;
    if (m >= half) { /* does not rotate */
        if (head >= first_key) {
            read_piece<WIDTH>(low, at + m + half);
            write_piece<WIDTH>(key + m + half, low);
        }
        return;
    }
    float a[WIDTH];
    float b[WIDTH];
    float c[WIDTH];
    float s[WIDTH];
    int64_t entry = (int64_t)rope.positions[row] * half + m;
    read_piece<WIDTH>(a, at + m);
    read_piece<WIDTH>(b, at + m + half);
    read_piece<WIDTH>(c, rope.cos_table + entry);
    read_piece<WIDTH>(s, rope.sin_table + entry);
#pragma unroll
    for (int k = 0; k < WIDTH; k++) {
        low[k] = fmaf(a[k], c[k], -(b[k] * s[k]));
        high[k] = fmaf(b[k], c[k], a[k] * s[k]);
    }
    if (head >= first_key) {
        write_piece<WIDTH>(key + m, low);
        write_piece<WIDTH>(key + m + half, high);
    } else {
        write_piece<WIDTH>(at + m, low);
        write_piece<WIDTH>(at + m + half, high);
    }
}

template <typename T>
static void launch_rope_store(mg_stream *stream, const mg_rope_store_args *args)
{
    const mg_kv *kv = &args->store.kv;
    const mg_rope_args *rope = &args->rope;
    int64_t half = rope->rotary_dim / 2;
    int64_t items = rope->heads * (kv->head_dim - half) + kv->kv_heads * kv->head_dim;
    bool wide = half % 4 == 0 && kv->head_dim % 4 == 0 && rope->x_stride % 4 == 0 &&
                args->store.x_stride % 4 == 0 && divides_by_16_bytes(rope->x) &&
                divides_by_16_bytes(args->store.v) && divides_by_16_bytes(rope->cos_table) &&
                divides_by_16_bytes(rope->sin_table) && divides_by_16_bytes(kv->data);
    dim3 grid((unsigned)rope->rows, blocks_of(items, MG_CUDA_THREADS * (wide ? 4 : 1)));
    if (wide) {
        rope_store_kernel<T, 4><<<grid, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    } else {
        rope_store_kernel<T, 1><<<grid, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    }
}

static mg_status cuda_rope_store(mg_stream *stream, const mg_rope_store_args *args, mg_error *err)
{
    mg_cuda_twin_drop(stream);
    if (args->rope.rows == 0) {
        return MG_OK;
    }
    if (args->store.kv.dtype == MG_BF16) {
        launch_rope_store<__nv_bfloat16>(stream, args);
    } else {
        launch_rope_store<float>(stream, args);
    }
    return mg_cuda_launched("rope_store", err);
}

static mg_status cuda_kv_copy(mg_stream *stream, const mg_kv_copy_args *args, mg_error *err)
{
    mg_kv kv = args->kv;
    size_t element = kv.dtype == MG_BF16 ? 2 : 4;
    size_t pitch = (size_t)(kv.positions * kv.head_dim) * element;
    size_t width = (size_t)(args->position_count * kv.head_dim) * element;
    for (int plane = 0; plane < 2 && width > 0; plane++) {
        char *base = (char *)kv.data + (size_t)(plane * kv.blocks * kv.kv_heads) * pitch;
        char *to = base + (size_t)(args->to * kv.kv_heads) * pitch;
        const char *from = base + (size_t)(args->from * kv.kv_heads) * pitch;
        MG_TRY(mg_cuda_status(cudaMemcpy2DAsync(to, pitch, from, pitch, width, (size_t)kv.kv_heads,
                                                cudaMemcpyDeviceToDevice, stream->handle),
                              "kv_copy", err));
    }
    return MG_OK;
}

/* Four components for each thread where the shape allows it (VECTOR), else one. */
template <bool VECTOR> __global__ static void gate_kernel(mg_gate_args args, __nv_bfloat16 *twin)
{
    const int width = VECTOR ? 4 : 1;
    int64_t row = blockIdx.y;
    int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * width;
    if (i >= args.dim) {
        return;
    }
    const float *gate = args.gate + row * args.x_stride + i;
    const float *up = args.up != NULL ? args.up + row * args.x_stride + i : NULL;
    float *out = args.out + row * args.out_stride + i;
    float x[4] = { 0, 0, 0, 0 };
    float y[4] = { 1, 1, 1, 1 };
    if (VECTOR) {
        *(float4 *)x = *(const float4 *)gate;
        if (up != NULL) {
            *(float4 *)y = *(const float4 *)up;
        }
    } else {
        x[0] = gate[0];
        y[0] = up != NULL ? up[0] : 1;
    }
    for (int k = 0; k < width; k++) {
        x[k] = mg_cuda_activate(x[k], args.activation) * y[k];
    }
    if (VECTOR) {
        *(float4 *)out = *(const float4 *)x;
        if (twin != NULL) {
            __nv_bfloat162 *to = (__nv_bfloat162 *)(twin + row * args.dim + i);
            to[0] = __floats2bfloat162_rn(x[0], x[1]);
            to[1] = __floats2bfloat162_rn(x[2], x[3]);
        }
    } else {
        out[0] = x[0];
        if (twin != NULL) {
            twin[row * args.dim + i] = __float2bfloat16_rn(x[0]);
        }
    }
}

mg_status mg_cuda_gate(mg_stream *stream, const mg_gate_args *args, mg_error *err)
{
    __nv_bfloat16 *twin = NULL;
    MG_TRY(
        mg_cuda_twin_begin(stream, args->out, args->rows, args->dim, args->out_stride, &twin, err));
    bool vector = args->dim % 4 == 0 && args->x_stride % 4 == 0 && args->out_stride % 4 == 0 &&
                  divides_by_16_bytes(args->out) && divides_by_16_bytes(args->gate) &&
                  divides_by_16_bytes(args->up);
    for (int64_t first = 0; first < args->rows; first += 65535) {
        mg_gate_args part = *args;
        part.rows = MG_MIN(args->rows - first, (int64_t)65535);
        part.out += first * args->out_stride;
        part.gate += first * args->x_stride;
        part.up = args->up != NULL ? args->up + first * args->x_stride : NULL;
        __nv_bfloat16 *part_twin = twin != NULL ? twin + first * args->dim : NULL;
        dim3 grid(blocks_of(args->dim, MG_CUDA_THREADS * (vector ? 4 : 1)), (unsigned)part.rows);
        if (vector) {
            gate_kernel<true><<<grid, MG_CUDA_THREADS, 0, stream->handle>>>(part, part_twin);
        } else {
            gate_kernel<false><<<grid, MG_CUDA_THREADS, 0, stream->handle>>>(part, part_twin);
        }
    }
    return mg_cuda_launched("gate", err);
}

__global__ static void add_kernel(mg_add_args args)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < args.count) {
        args.out[i] = args.x[i] + args.y[i];
    }
}

static mg_status cuda_add(mg_stream *stream, const mg_add_args *args, mg_error *err)
{
    mg_cuda_twin_drop(stream);
    if (args->count == 0) {
        return MG_OK;
    }
    add_kernel<<<blocks_of(args->count, MG_CUDA_THREADS), MG_CUDA_THREADS, 0, stream->handle>>>(
        *args);
    return mg_cuda_launched("add", err);
}

__global__ static void softcap_kernel(mg_softcap_args args)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < args.count) {
        args.x[i] = args.cap * tanhf(args.x[i] / args.cap);
    }
}

static mg_status cuda_softcap(mg_stream *stream, const mg_softcap_args *args, mg_error *err)
{
    mg_cuda_twin_drop(stream);
    if (args->count == 0) {
        return MG_OK;
    }
    softcap_kernel<<<blocks_of(args->count, MG_CUDA_THREADS), MG_CUDA_THREADS, 0, stream->handle>>>(
        *args);
    return mg_cuda_launched("softcap", err);
}

/* One block for each row: every thread keeps the best of its stripe, the lowest index on ties. */
__global__ __launch_bounds__(ARGMAX_THREADS) static void argmax_kernel(mg_argmax_args args)
{
    __shared__ float best_value[ARGMAX_THREADS];
    __shared__ int best_index[ARGMAX_THREADS];
    const float *x = args.x + (int64_t)blockIdx.x * args.dim;
    int thread = (int)threadIdx.x;
    float value = -INFINITY;
    int index = 0x7FFFFFFF;
    bool finite = true;
#pragma unroll 8
    for (int64_t i = thread; i < args.dim; i += ARGMAX_THREADS) {
        float here = x[i];
        finite = finite && isfinite(here);
        if (here > value) {
            value = here;
            index = (int)i;
        }
    }
    best_value[thread] = value;
    best_index[thread] = index;
    bool sound = __syncthreads_and(finite) != 0;
    for (int step = ARGMAX_THREADS / 2; step > 0; step /= 2) {
        if (thread < step) {
            float other = best_value[thread + step];
            int other_index = best_index[thread + step];
            if (other > best_value[thread] ||
                (other == best_value[thread] && other_index < best_index[thread])) {
                best_value[thread] = other;
                best_index[thread] = other_index;
            }
        }
        __syncthreads();
    }
    if (thread == 0) {
        args.ids_out[blockIdx.x] = sound ? best_index[0] : -1;
    }
}

static mg_status cuda_argmax(mg_stream *stream, const mg_argmax_args *args, mg_error *err)
{
    if (args->rows == 0) {
        return MG_OK;
    }
    argmax_kernel<<<(unsigned)args->rows, ARGMAX_THREADS, 0, stream->handle>>>(*args);
    return mg_cuda_launched("argmax", err);
}

__global__ static void logprob_kernel(mg_logprob_args args)
{
    __shared__ float shared[32];
    const float *x = args.x + (int64_t)blockIdx.x * args.dim;
    float top = -INFINITY;
    float sound = 0; /* NaN once a value is not finite */
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        top = fmaxf(top, x[i]);
        sound += x[i] * 0.0f;
    }
    top = block_max(top, shared);
    float sum = 0;
    for (int64_t i = threadIdx.x; i < args.dim; i += blockDim.x) {
        sum += __expf(x[i] - top);
    }
    sum = block_sum(sum, shared);
    sound = block_sum(sound, shared);
    if (threadIdx.x == 0) {
        args.out[blockIdx.x] = x[args.ids[blockIdx.x]] - top - logf(sum) + sound;
    }
}

static mg_status cuda_logprob(mg_stream *stream, const mg_logprob_args *args, mg_error *err)
{
    if (args->rows == 0) {
        return MG_OK;
    }
    logprob_kernel<<<(unsigned)args->rows, MG_CUDA_THREADS, 0, stream->handle>>>(*args);
    return mg_cuda_launched("logprob", err);
}

/* A value is not finite when all bits of its exponent are set. */
template <typename WORD>
__global__ static void nonfinite_kernel(const WORD *x, int64_t count, WORD exponent,
                                        unsigned long long *found)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    unsigned long long here = 0;
    for (; i < count; i += step) {
        here += (x[i] & exponent) == exponent;
    }
    if (here > 0) {
        atomicAdd(found, here);
    }
}

static mg_status cuda_nonfinite(mg_stream *stream, const mg_nonfinite_args *args, mg_error *err)
{
    size_t bytes = (size_t)args->count * (size_t)(mg_dtype_bits(args->dtype) / 8);
    const void *x = args->x;
    unsigned long long *counter = (unsigned long long *)args->count_out;
    MG_TRY(mg_cuda_status(cudaMemsetAsync(counter, 0, sizeof(*counter), stream->handle),
                          "nonfinite", err));
    if (args->count == 0) {
        return MG_OK;
    }
    if ((uintptr_t)x % 8 != 0) {
        void *aligned = NULL;
        MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_ROWS, bytes, &aligned, err));
        MG_TRY(mg_cuda_status(
            cudaMemcpyAsync(aligned, x, bytes, cudaMemcpyDeviceToDevice, stream->handle),
            "nonfinite", err));
        x = aligned;
    }
    unsigned blocks =
        MG_MIN(blocks_of(args->count, MG_CUDA_THREADS), (unsigned)stream->multiprocessors * 8);
    switch (args->dtype) {
    case MG_F64:
        nonfinite_kernel<unsigned long long><<<blocks, MG_CUDA_THREADS, 0, stream->handle>>>(
            (const unsigned long long *)x, args->count, 0x7FF0000000000000ull, counter);
        break;
    case MG_F32:
        nonfinite_kernel<unsigned><<<blocks, MG_CUDA_THREADS, 0, stream->handle>>>(
            (const unsigned *)x, args->count, 0x7F800000u, counter);
        break;
    default:
        nonfinite_kernel<unsigned short><<<blocks, MG_CUDA_THREADS, 0, stream->handle>>>(
            (const unsigned short *)x, args->count,
            (unsigned short)(args->dtype == MG_BF16 ? 0x7F80 : 0x7C00), counter);
        break;
    }
    return mg_cuda_launched("nonfinite", err);
}

static mg_status size_of(int64_t a, int64_t b, size_t element, size_t *bytes_out, mg_error *err)
{
    if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / 16 / b)) {
        return mg_fail(err, MG_ERR_MEMORY, "a block of %lld x %lld elements is too large",
                       (long long)a, (long long)b);
    }
    *bytes_out = (size_t)(a * b) * element;
    return MG_OK;
}

static mg_status cuda_packed_bytes(const mg_weight *weight, size_t *bytes_out, mg_error *err)
{
    *bytes_out = 0;
    if (weight->dtype != MG_BF16 && weight->dtype != MG_F32) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "weights of type %s", mg_dtype_name(weight->dtype));
    }
    return size_of(weight->out_dim, weight->in_dim, weight->dtype == MG_BF16 ? 2 : 4, bytes_out,
                   err);
}

/* A packed weight is the row-major matrix itself. */
static void *cuda_packed_row(const mg_weight *weight, int64_t row)
{
    size_t element = weight->dtype == MG_BF16 ? 2 : 4;
    return (char *)weight->data + (size_t)(row * weight->in_dim) * element;
}

static mg_status cuda_kv_bytes(const mg_kv *kv, size_t *bytes_out, mg_error *err)
{
    *bytes_out = 0;
    if (kv->dtype != MG_BF16 && kv->dtype != MG_F32) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "a cache of type %s", mg_dtype_name(kv->dtype));
    }
    if (kv->kv_heads * kv->head_dim > INT32_MAX) {
        return mg_fail(err, MG_ERR_MEMORY, "a cache row is too large");
    }
    return size_of(kv->blocks * 2 * kv->positions, kv->kv_heads * kv->head_dim,
                   kv->dtype == MG_BF16 ? 2 : 4, bytes_out, err);
}

const mg_nn_ops mg_nn_ops_cuda = {
    cuda_packed_bytes, cuda_kv_bytes,     mg_cuda_pack,    mg_cuda_linear, cuda_embed,
    cuda_gather,       cuda_rmsnorm,      cuda_layernorm,  cuda_rope,      cuda_kv_store,
    cuda_kv_copy,      mg_cuda_attention, mg_cuda_gate,    cuda_add,       cuda_softcap,
    cuda_argmax,       cuda_logprob,      cuda_nonfinite,  mg_cuda_route,  mg_cuda_combine,
    cuda_rope_store,   mg_cuda_mlp,       mg_cuda_experts, mg_cuda_next,   MG_CUDA_KV_BLOCK,
    cuda_packed_row,
};
