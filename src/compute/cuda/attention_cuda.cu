/* compute/cuda/attention_cuda.cu - causal attention over the cache on tensor cores.
 *
 * Tiled with running maximum and sum (FlashAttention-2: Dao, arXiv 2307.08691).  A block takes 64
 * rows; its 4 warps take 16 rows each and walk over all keys, with two tiles of keys and values in
 * shared memory.  Runs of few queries go to attention_few_cuda.cu: both kernels are launched over
 * all runs, and each leaves the other's alone.  Caches in float32 and head sizes that are no
 * multiple of 8 go through a plain kernel. */
#include "compute/cuda/attention_internal.h"

/* Both halves of the tile that begins at key. */
template <int D>
__device__ static void load_tile(bf16 *keys, bf16 *values, const mg_kv *kv, const tile *t, int key)
{
    load_half<D>(keys, kv, t, key, false);
    load_half<D>(values, kv, t, key, true);
    copy_commit();
}

/* The running state of a warp: 16 rows of output with their maxima and sums. */
template <int D> struct warp_state {
    float out[D / 8][4];
    float top[2];
    float sum[2];
};

/* The weights s of NT * 8 keys, from first_key on and in shared memory at keys; the state's maxima,
 * sums and output follow the new maxima. */
template <int D, int NT>
__device__ static void weigh_keys(float s[NT][4], warp_state<D> *state, const unsigned q[D / 16][4],
                                  const bf16 *keys, int first_key, const fragment_row rows[2],
                                  const mg_attention_args *args)
{
    const int lane = (int)threadIdx.x % 32;
    const float log2e = 1.44269504f;
    for (int n = 0; n < NT; n++) {
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
        for (int d = 0; d < D; d += 32) {
            unsigned b[4];
            load_matrices(b, keys + (n * 8 + lane % 8) * (D + 8) + d + lane / 8 * 8);
            multiply(s[n], q[d / 16], b[0], b[1]);
            multiply(s[n], q[d / 16 + 1], b[2], b[3]);
        }
    }
    float top[2] = { state->top[0], state->top[1] };
#pragma unroll
    for (int n = 0; n < NT; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const fragment_row *row = &rows[i / 2];
            int key = first_key + n * 8 + lane % 4 * 2 + i % 2;
            bool seen = key <= row->position &&
                        (args->window == 0 || key > row->position - (int)args->window);
            float x = s[n][i] * args->scale;
            if (args->softcap > 0) {
                x = args->softcap * tanhf(x / args->softcap);
            }
            s[n][i] = seen ? x * log2e : -INFINITY;
            top[i / 2] = fmaxf(top[i / 2], s[n][i]);
        }
    }
    float shrink[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        top[i] = fmaxf(top[i], __shfl_xor_sync(0xFFFFFFFFu, top[i], 1));
        top[i] = fmaxf(top[i], __shfl_xor_sync(0xFFFFFFFFu, top[i], 2));
        float safe = top[i] == -INFINITY ? 0 : top[i];
        shrink[i] = exp2f(state->top[i] - safe);
        state->top[i] = top[i];
        state->sum[i] *= shrink[i];
        top[i] = safe;
    }
#pragma unroll
    for (int n = 0; n < NT; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            s[n][i] = exp2f(s[n][i] - top[i / 2]);
            state->sum[i / 2] += s[n][i];
        }
    }
#pragma unroll
    for (int d = 0; d < D / 8; d++) {
        state->out[d][0] *= shrink[0];
        state->out[d][1] *= shrink[0];
        state->out[d][2] *= shrink[1];
        state->out[d][3] *= shrink[1];
    }
}

/* Adds NT * 8 values with those weights to the output. */
template <int D, int NT>
__device__ static void add_values(warp_state<D> *state, const float s[NT][4], const bf16 *values)
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < NT / 2; k++) {
        unsigned p[4] = { pack_pair(s[2 * k][0], s[2 * k][1]), pack_pair(s[2 * k][2], s[2 * k][3]),
                          pack_pair(s[2 * k + 1][0], s[2 * k + 1][1]),
                          pack_pair(s[2 * k + 1][2], s[2 * k + 1][3]) };
#pragma unroll
        for (int d = 0; d < D; d += 16) {
            unsigned b[4];
            load_matrices_transposed(b,
                                     values + (k * 16 + lane % 16) * (D + 8) + d + lane / 16 * 8);
            multiply(state->out[d / 8], p, b[0], b[1]);
            multiply(state->out[d / 8 + 1], p, b[2], b[3]);
        }
    }
}

/* The queries of a warp's 16 rows as operand fragments. */
template <int D>
__device__ static void load_queries(unsigned q[D / 16][4], const fragment_row rows[2],
                                    const mg_attention_args *args)
{
    const int lane = (int)threadIdx.x % 32;
    int64_t dim = args->kv.head_dim;
#pragma unroll
    for (int d = 0; d < D / 16; d++) {
#pragma unroll
        for (int part = 0; part < 4; part++) {
            const fragment_row *row = &rows[part % 2];
            int at = d * 16 + part / 2 * 8 + lane % 4 * 2;
            float x = 0;
            float y = 0;
            if (row->used && at < dim) {
                const float *from = args->q + row->row * args->q_stride + row->head * dim + at;
                x = from[0];
                y = from[1];
            }
            q[d][part] = pack_pair(x, y);
        }
    }
}

template <int D> __device__ static void state_init(warp_state<D> *state)
{
#pragma unroll
    for (int d = 0; d < D / 8; d++) {
        state->out[d][0] = state->out[d][1] = state->out[d][2] = state->out[d][3] = 0;
    }
    state->top[0] = state->top[1] = -INFINITY;
    state->sum[0] = state->sum[1] = 0;
}

template <int D> __device__ static void state_close(warp_state<D> *state)
{
    for (int i = 0; i < 2; i++) {
        state->sum[i] += __shfl_xor_sync(0xFFFFFFFFu, state->sum[i], 1);
        state->sum[i] += __shfl_xor_sync(0xFFFFFFFFu, state->sum[i], 2);
    }
}

template <int D>
__global__ __launch_bounds__(THREADS) static void prefill_kernel(mg_attention_args args, bf16 *twin)
{
    extern __shared__ __align__(16) unsigned char shared[];
    bf16 *tiles = (bf16 *)shared; /* 2 stages of keys and values, each KEYS x (D + 8) */
    const int stage_size = 2 * KEYS * (D + 8);
    const int warp = (int)threadIdx.x / 32;
    const int lane = (int)threadIdx.x % 32;
    tile t;
    /* The longest tiles start first: rows in descending order. */
    int block = (int)(gridDim.x - 1 - blockIdx.x);
    if (!find_tile(&t, &args, (int)blockIdx.z, (int)blockIdx.y, block * 64, 64) || t.rows <= 16) {
        return;
    }
    int row = t.row_first + warp * 16 + lane / 4;
    fragment_row rows[2] = { row_of(&t, row), row_of(&t, row + 8) };
    unsigned q[D / 16][4];
    warp_state<D> state;
    load_queries<D>(q, rows, &args);
    state_init<D>(&state);
    load_tile<D>(tiles, tiles + KEYS * (D + 8), &args.kv, &t, t.key_begin);
    int stage = 0;
    for (int key = t.key_begin; key < t.key_end; key += KEYS) {
        if (key + KEYS < t.key_end) {
            bf16 *next = tiles + (1 - stage) * stage_size;
            load_tile<D>(next, next + KEYS * (D + 8), &args.kv, &t, key + KEYS);
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        bf16 *keys = tiles + stage * stage_size;
        float s[KEYS / 8][4];
        weigh_keys<D, KEYS / 8>(s, &state, q, keys, key, rows, &args);
        add_values<D, KEYS / 8>(&state, s, keys + KEYS * (D + 8));
        __syncthreads();
        stage = 1 - stage;
    }
    state_close<D>(&state);
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float scale = state.sum[i] > 0 || isnan(state.sum[i]) ? 1 / state.sum[i] : 0;
        float *out = args.out + rows[i].row * args.out_stride + rows[i].head * args.kv.head_dim;
#pragma unroll
        for (int d = 0; d < D / 8; d++) {
            int at = d * 8 + lane % 4 * 2;
            if (rows[i].used && at < args.kv.head_dim) {
                float x = state.out[d][2 * i] * scale;
                float y = state.out[d][2 * i + 1] * scale;
                *(float2 *)(out + at) = make_float2(x, y);
                if (twin != NULL && rows[i].row < args.rows) {
                    int64_t place = (rows[i].row * args.heads + rows[i].head) * args.kv.head_dim;
                    *(unsigned *)(twin + place + at) = pack_pair(x, y);
                }
            }
        }
    }
}

/* One warp for each row and head, any type and size: lanes stride over the head's components. */
template <typename T> __global__ static void plain_kernel(mg_attention_args args)
{
    mg_kv kv = args.kv;
    const int lane = (int)threadIdx.x % 32;
    const int components = 16; /* a lane's share of a head: head_dim <= 512 */
    int head = (int)blockIdx.y * WARPS + (int)threadIdx.x / 32;
    mg_kv_run run = args.runs[blockIdx.z];
    int query = (int)blockIdx.x;
    if (query >= run.count || head >= args.heads) {
        return;
    }
    int position = run.first + query;
    int64_t kv_head = head / (args.heads / kv.kv_heads);
    int64_t plane = kv.blocks * kv.kv_heads * kv.positions * kv.head_dim;
    const float *q = args.q + (run.row + query) * args.q_stride + head * kv.head_dim;
    float out[components];
    float mine[components];
    for (int i = 0; i < components; i++) {
        int d = i * 32 + lane;
        mine[i] = d < kv.head_dim ? q[d] * args.scale : 0;
        out[i] = 0;
    }
    float top = -INFINITY;
    float sum = 0;
    int begin = args.window > 0 ? max(0, position - (int)args.window + 1) : 0;
    for (int key = begin; key <= position; key++) {
        const T *keys =
            (const T *)kv.data + mg_cuda_kv_row(&kv, run.slot, kv_head, key) * kv.head_dim;
        const T *values = keys + plane;
        float s = 0;
        for (int i = 0; i * 32 + lane < kv.head_dim; i++) {
            s += mine[i] * (float)keys[i * 32 + lane];
        }
        for (int step = 16; step > 0; step /= 2) {
            s += __shfl_xor_sync(0xFFFFFFFFu, s, step);
        }
        if (args.softcap > 0) {
            s = args.softcap * tanhf(s / args.softcap);
        }
        float higher = fmaxf(top, s);
        float shrink = expf(top - higher);
        float p = expf(s - higher);
        top = higher;
        sum = sum * shrink + p;
        for (int i = 0; i * 32 + lane < kv.head_dim; i++) {
            out[i] = out[i] * shrink + p * (float)values[i * 32 + lane];
        }
    }
    float *to = args.out + (run.row + query) * args.out_stride + head * kv.head_dim;
    for (int i = 0; i * 32 + lane < kv.head_dim; i++) {
        to[i * 32 + lane] = out[i] / sum;
    }
}

template <int D>
static mg_status launch_tiled(mg_stream *stream, const mg_attention_args *args, mg_error *err)
{
    int64_t group = args->heads / args->kv.kv_heads;
    int64_t rows_max = args->run_rows_max * group;
    size_t tile_bytes = (size_t)2 * 2 * KEYS * (D + 8) * sizeof(bf16);
    bf16 *twin = NULL;
    MG_TRY(mg_cuda_twin_begin(stream, args->out, args->rows, args->heads * args->kv.head_dim,
                              args->out_stride, &twin, err));
    for (int64_t first = 0; first < args->run_count; first += 65535) {
        mg_attention_args part = *args;
        part.runs += first;
        part.run_count = MG_MIN(args->run_count - first, (int64_t)65535);
        if (rows_max > 16) {
            MG_TRY(mg_cuda_status(cudaFuncSetAttribute(prefill_kernel<D>,
                                                       cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                       (int)tile_bytes),
                                  "attention", err));
            dim3 grid((unsigned)((rows_max + 63) / 64), (unsigned)args->kv.kv_heads,
                      (unsigned)part.run_count);
            prefill_kernel<D><<<grid, THREADS, tile_bytes, stream->handle>>>(part, twin);
            MG_TRY(mg_cuda_launched("attention", err));
        }
        MG_TRY(mg_cuda_attention_few(stream, &part, twin, err));
    }
    return MG_OK;
}

static mg_status launch_plain(mg_stream *stream, const mg_attention_args *args, mg_error *err)
{
    if (args->kv.head_dim > 512) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "attention heads of %lld components",
                       (long long)args->kv.head_dim);
    }
    for (int64_t first = 0; first < args->run_count; first += 65535) {
        mg_attention_args part = *args;
        part.runs += first;
        part.run_count = MG_MIN(args->run_count - first, (int64_t)65535);
        dim3 grid((unsigned)args->run_rows_max, (unsigned)((args->heads + WARPS - 1) / WARPS),
                  (unsigned)part.run_count);
        if (args->kv.dtype == MG_BF16) {
            plain_kernel<bf16><<<grid, THREADS, 0, stream->handle>>>(part);
        } else {
            plain_kernel<float><<<grid, THREADS, 0, stream->handle>>>(part);
        }
    }
    return mg_cuda_launched("attention", err);
}

mg_status mg_cuda_attention(mg_stream *stream, const mg_attention_args *args, mg_error *err)
{
    int64_t dim = args->kv.head_dim;
    if (args->rows == 0 || args->run_count == 0) {
        return MG_OK;
    }
    if (args->kv.dtype != MG_BF16 || dim % 8 != 0 || dim > 256) {
        mg_cuda_twin_drop(stream);
        return launch_plain(stream, args, err);
    }
    if (dim <= 32) {
        return launch_tiled<32>(stream, args, err);
    }
    if (dim <= 64) {
        return launch_tiled<64>(stream, args, err);
    }
    if (dim <= 96) {
        return launch_tiled<96>(stream, args, err);
    }
    if (dim <= 128) {
        return launch_tiled<128>(stream, args, err);
    }
    return launch_tiled<256>(stream, args, err);
}
