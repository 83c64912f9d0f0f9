/* compute/cuda/attention_cuda.cu - causal attention over the cache on tensor cores.
 *
 * Tiled with running maximum and sum (FlashAttention-2: Dao, arXiv 2307.08691).  The query heads
 * that share a key/value head are packed into the rows of one tile: row r of a run is query
 * r / group, head r % group, so that a decode step with grouped heads fills its tile as far as it
 * can.
 *
 *   prefill  a block takes 64 rows; its 4 warps take 16 rows each and walk over all keys
 *   decode   a block takes up to 16 rows (a run of few queries); its warps take 16 of each 64 keys
 *            and join their results at the end; with few blocks the keys are split over blocks
 *            too, and the last of them to finish joins their results, in order
 *
 * Both kernels are launched over all runs, and each leaves the other's runs alone.  Caches in
 * float32 and head sizes that are no multiple of 8 go through a plain kernel. */
#include <math.h>

#include "compute/cuda/cuda_internal.h"

#define WARPS 4
#define THREADS (WARPS * 32)
#define KEYS 64 /* keys of one tile */
#define SPLITS_MAX 32
#define DECODE_BLOCKS 264 /* of splits: two for each multiprocessor of the larger cards */

typedef __nv_bfloat16 bf16;

__device__ static inline unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

/* 16 bytes from global to shared memory without waiting; zeros when not present. */
__device__ static inline void copy_async(void *to, const void *from, bool present)
{
    int bytes = present ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes));
}

__device__ static inline void copy_commit(void)
{
    asm volatile("cp.async.commit_group;");
}

template <int PENDING> __device__ static inline void copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING));
}

__device__ static inline void load_matrices(unsigned r[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}

__device__ static inline void load_matrices_transposed(unsigned r[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}

/* c (16 x 8) += a (16 x 16) * b (16 x 8), float32 accumulation. */
__device__ static inline void multiply(float c[4], const unsigned a[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ static inline unsigned pack_pair(float x, float y)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
    return *(unsigned *)&pair;
}

/* Which rows of which run a block works on. */
typedef struct tile {
    mg_kv_run run;
    int kv_head;
    int group;     /* query heads for each key/value head */
    int rows;      /* of the run: count * group */
    int row_first; /* of the block */
    int key_begin; /* a multiple of KEYS */
    int key_end;   /* behind the last key any row sees */
} tile;

/* A thread's two rows of a 16-row fragment: where their queries stand. */
typedef struct fragment_row {
    bool used;
    int position;
    int64_t row; /* of q and out */
    int head;
} fragment_row;

__device__ static fragment_row row_of(const tile *t, int row)
{
    fragment_row f;
    f.used = row < t->rows;
    int query = f.used ? row / t->group : 0;
    f.position = f.used ? t->run.first + query : -1;
    f.row = (int64_t)t->run.row + query;
    f.head = t->kv_head * t->group + (f.used ? row % t->group : 0);
    return f;
}

/* Loads the KEYS x D tile of keys and of values that begins at key. */
template <int D>
__device__ static void load_tile(bf16 *keys, bf16 *values, const mg_kv *kv, const tile *t, int key)
{
    const int chunks = D / 8;
    int64_t base = ((int64_t)t->run.slot * kv->kv_heads + t->kv_head) * kv->positions;
    int64_t plane = kv->slots * kv->kv_heads * kv->positions * kv->head_dim;
    const bf16 *from = (const bf16 *)kv->data;
    for (int i = (int)threadIdx.x; i < KEYS * chunks; i += THREADS) {
        int row = i / chunks;
        int d = i % chunks * 8;
        bool present = key + row < t->key_end && d < kv->head_dim;
        int64_t at = present ? (base + key + row) * kv->head_dim + d : 0;
        copy_async(keys + row * (D + 8) + d, from + at, present);
        copy_async(values + row * (D + 8) + d, from + plane + at, present);
    }
    copy_commit();
}

/* The running state of a warp: 16 rows of output with their maxima and sums. */
template <int D> struct warp_state {
    float out[D / 8][4];
    float top[2];
    float sum[2];
};

/* Takes NT * 8 keys, from first_key on and in shared memory at keys and values, into the state. */
template <int D, int NT>
__device__ static void take_keys(warp_state<D> *state, const unsigned q[D / 16][4],
                                 const bf16 *keys, const bf16 *values, int first_key,
                                 const fragment_row rows[2], const mg_attention_args *args)
{
    const int lane = (int)threadIdx.x % 32;
    const float log2e = 1.44269504f;
    float s[NT][4];
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

/* Fills what the block works on; false when there is nothing to do. */
__device__ static bool find_tile(tile *t, const mg_attention_args *args, int run, int kv_head,
                                 int row_first, int block_rows)
{
    t->run = args->runs[run];
    t->kv_head = kv_head;
    t->group = (int)(args->heads / args->kv.kv_heads);
    t->rows = t->run.count * t->group;
    t->row_first = row_first;
    if (row_first >= t->rows) {
        return false;
    }
    int row_last = min(row_first + block_rows, t->rows) - 1;
    t->key_end = t->run.first + row_last / t->group + 1;
    int low = args->window > 0 ? t->run.first + row_first / t->group - (int)args->window + 1 : 0;
    t->key_begin = max(low, 0) / KEYS * KEYS;
    return true;
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
        take_keys<D, KEYS / 8>(&state, q, keys, keys + KEYS * (D + 8), key, rows, &args);
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

/* One component of a result, and of its twin where there is one.  Runs may stand in scattered rows;
 * those behind the twin's end have none, and no product reads such a result as it is. */
__device__ static inline void put_result(const mg_attention_args *args, const fragment_row *row,
                                         int d, float x, bf16 *twin)
{
    int64_t dim = args->kv.head_dim;
    args->out[row->row * args->out_stride + row->head * dim + d] = x;
    if (twin != NULL && row->row < args->rows) {
        twin[(row->row * args->heads + row->head) * dim + d] = __float2bfloat16_rn(x);
    }
}

/* Where a split leaves its part: out[D], top (base 2), sum, for each of 16 rows. */
#define PART_FLOATS(d) (16 * ((d) + 2))

/* Joins the first row_count rows of the warps' states through shared memory; the result lies behind
 * the warps' parts. */
template <int D>
__device__ static void join_warps(const warp_state<D> *state, int row_count, float *shared)
{
    const int warp = (int)threadIdx.x / 32;
    const int lane = (int)threadIdx.x % 32;
    float *mine = shared + warp * PART_FLOATS(D);
    for (int i = 0; i < 2; i++) {
        int row = lane / 4 + i * 8;
        float *part = mine + row * (D + 2);
        for (int d = 0; d < D / 8; d++) {
            part[d * 8 + lane % 4 * 2] = state->out[d][2 * i];
            part[d * 8 + lane % 4 * 2 + 1] = state->out[d][2 * i + 1];
        }
        if (lane % 4 == 0) {
            part[D] = state->top[i];
            part[D + 1] = state->sum[i];
        }
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < row_count * (D + 2); i += THREADS) {
        int row = i / (D + 2);
        int at = i % (D + 2);
        float top = -INFINITY;
        for (int w = 0; w < WARPS; w++) {
            top = fmaxf(top, shared[w * PART_FLOATS(D) + row * (D + 2) + D]);
        }
        float safe = top == -INFINITY ? 0 : top;
        float total = 0;
        for (int w = 0; w < WARPS; w++) {
            const float *part = shared + w * PART_FLOATS(D) + row * (D + 2);
            total += exp2f(part[D] - safe) * part[at];
        }
        /* The warps' parts are still being read: results go behind them. */
        shared[WARPS * PART_FLOATS(D) + i] = at == D ? top : total;
    }
    __syncthreads();
}

/* Joins the splits of one run and key/value head, whose parts begin at parts. */
template <int D>
__device__ static void join_splits(const mg_attention_args *args, const tile *t, int splits,
                                   const float *parts, bf16 *twin)
{
    for (int i = (int)threadIdx.x; i < t->rows * D; i += THREADS) {
        int row = i / D;
        float top = -INFINITY;
        for (int s = 0; s < splits; s++) {
            top = fmaxf(top, __ldcg(parts + s * PART_FLOATS(D) + row * (D + 2) + D));
        }
        float safe = top == -INFINITY ? 0 : top;
        float total = 0;
        float sum = 0;
        for (int s = 0; s < splits; s++) {
            const float *part = parts + s * PART_FLOATS(D) + row * (D + 2);
            float scale = exp2f(__ldcg(part + D) - safe);
            total += scale * __ldcg(part + i % D);
            sum += scale * __ldcg(part + D + 1);
        }
        fragment_row place = row_of(t, row);
        if (i % D < args->kv.head_dim) {
            put_result(args, &place, i % D, total / sum, twin);
        }
    }
}

/* True in the last of count blocks that share *turn to come here, when all of them have written
 * their parts; *turn is 0 again afterwards. */
__device__ static bool is_last_block(unsigned *turn, unsigned count)
{
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(turn, 1u) == count - 1;
        if (last) {
            *turn = 0;
        }
    }
    __syncthreads();
    __threadfence();
    return last;
}

template <int D>
__global__ __launch_bounds__(THREADS) static void decode_kernel(mg_attention_args args, int splits,
                                                                float *parts, unsigned *turns,
                                                                bf16 *twin)
{
    extern __shared__ __align__(16) unsigned char shared[];
    bf16 *tiles = (bf16 *)shared;
    const int stage_size = 2 * KEYS * (D + 8);
    const int warp = (int)threadIdx.x / 32;
    const int lane = (int)threadIdx.x % 32;
    int kv_head = (int)blockIdx.y;
    int split = (int)blockIdx.x;
    int run = (int)blockIdx.z;
    tile t;
    mg_cuda_await();
    mg_cuda_let_next_begin();
    if (!find_tile(&t, &args, run, kv_head, 0, 16) || t.rows > 16) {
        return;
    }
    int tile_count = (t.key_end - t.key_begin + KEYS - 1) / KEYS;
    int begin = t.key_begin + tile_count * split / splits * KEYS;
    int end = min(t.key_begin + tile_count * (split + 1) / splits * KEYS, t.key_end);
    if (begin < end) {
        load_tile<D>(tiles, tiles + KEYS * (D + 8), &args.kv, &t, begin);
    }
    fragment_row rows[2] = { row_of(&t, lane / 4), row_of(&t, lane / 4 + 8) };
    unsigned q[D / 16][4];
    warp_state<D> state;
    load_queries<D>(q, rows, &args);
    state_init<D>(&state);
    int stage = 0;
    for (int key = begin; key < end; key += KEYS) {
        if (key + KEYS < end) {
            bf16 *next = tiles + (1 - stage) * stage_size;
            load_tile<D>(next, next + KEYS * (D + 8), &args.kv, &t, key + KEYS);
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        bf16 *keys = tiles + stage * stage_size + warp * 16 * (D + 8);
        take_keys<D, 2>(&state, q, keys, keys + KEYS * (D + 8), key + warp * 16, rows, &args);
        __syncthreads();
        stage = 1 - stage;
    }
    state_close<D>(&state);
    float *joined = (float *)shared;
    join_warps<D>(&state, t.rows, joined);
    joined += WARPS * PART_FLOATS(D);
    if (splits > 1) {
        int64_t group = (int64_t)run * gridDim.y + kv_head;
        float *group_parts = parts + group * splits * PART_FLOATS(D);
        float *part = group_parts + split * PART_FLOATS(D);
        for (int i = (int)threadIdx.x; i < t.rows * (D + 2); i += THREADS) {
            part[i] = joined[i];
        }
        if (is_last_block(turns + group, (unsigned)splits)) {
            join_splits<D>(&args, &t, splits, group_parts, twin);
        }
        return;
    }
    for (int i = (int)threadIdx.x; i < t.rows * D; i += THREADS) {
        fragment_row row = row_of(&t, i / D);
        const float *part = joined + i / D * (D + 2);
        if (i % D < args.kv.head_dim) {
            put_result(&args, &row, i % D, part[i % D] / part[D + 1], twin);
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
    int64_t base = ((int64_t)run.slot * kv.kv_heads + kv_head) * kv.positions * kv.head_dim;
    int64_t plane = kv.slots * kv.kv_heads * kv.positions * kv.head_dim;
    const T *keys = (const T *)kv.data + base;
    const T *values = keys + plane;
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
        float s = 0;
        for (int i = 0; i * 32 + lane < kv.head_dim; i++) {
            s += mine[i] * (float)keys[key * kv.head_dim + i * 32 + lane];
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
            out[i] = out[i] * shrink + p * (float)values[key * kv.head_dim + i * 32 + lane];
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
    size_t join_bytes = (size_t)(WARPS + 1) * PART_FLOATS(D) * sizeof(float);
    size_t decode_bytes = MG_MAX(tile_bytes, join_bytes);
    unsigned kv_heads = (unsigned)args->kv.kv_heads;
    bf16 *twin = NULL;
    MG_TRY(mg_cuda_twin_begin(stream, args->out, args->rows, args->heads * args->kv.head_dim,
                              args->out_stride, &twin, err));
    for (int64_t first = 0; first < args->run_count; first += 65535) {
        mg_attention_args part = *args;
        part.runs += first;
        part.run_count = MG_MIN(args->run_count - first, (int64_t)65535);
        unsigned runs = (unsigned)part.run_count;
        if (rows_max > 16) {
            MG_TRY(mg_cuda_status(cudaFuncSetAttribute(prefill_kernel<D>,
                                                       cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                       (int)tile_bytes),
                                  "attention", err));
            dim3 grid((unsigned)((rows_max + 63) / 64), kv_heads, runs);
            prefill_kernel<D><<<grid, THREADS, tile_bytes, stream->handle>>>(part, twin);
        }
        /* Runs of few queries; with few of them the keys are split so that the card is full. */
        int64_t blocks = part.run_count * args->kv.kv_heads;
        int64_t wanted = (DECODE_BLOCKS + blocks - 1) / blocks;
        int64_t useful = (args->kv.positions + KEYS - 1) / KEYS;
        int splits = (int)MG_MAX(MG_MIN(MG_MIN(wanted, useful), (int64_t)SPLITS_MAX), (int64_t)1);
        void *parts = NULL;
        void *turns = NULL;
        if (splits > 1) {
            MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_TURNS,
                                         (size_t)blocks * sizeof(unsigned), &turns, err));
            MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_ATTENTION,
                                         (size_t)(blocks * splits) * PART_FLOATS(D) * sizeof(float),
                                         &parts, err));
        }
        MG_TRY(mg_cuda_status(cudaFuncSetAttribute(decode_kernel<D>,
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   (int)decode_bytes),
                              "attention", err));
        MG_TRY(mg_cuda_launch_early(stream, "attention", decode_kernel<D>,
                                    dim3((unsigned)splits, kv_heads, runs), THREADS, decode_bytes,
                                    err, part, splits, (float *)parts, (unsigned *)turns, twin));
        MG_TRY(mg_cuda_launched("attention", err));
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
