/* compute/cuda/attention_few_cuda.cu - attention of runs with few queries: steps of generation.
 *
 * A block takes up to 8 or 16 rows, which stand in the columns of its fragments (scores = K Q^T,
 * out = V^T P^T): that halves the registers, and with room for three halves of a tile four blocks
 * fit on a processor.  Its warps take 16 of each 64 keys and join their results at the end.  With
 * few blocks the keys are split over blocks too, and the last of them to finish joins their
 * results, in order.  Runs of more rows are left alone. */
#include "compute/cuda/attention_internal.h"

#define SPLITS_MAX 32
#define DECODE_BLOCKS 528 /* that run at once on the larger cards, for splits */

/* Where a warp or a split leaves its part: 16 rows of D outputs, 16 maxima (base 2), 16 sums. */
#define PART_STRIDE(d) ((d) + 4) /* of a row: the padding spreads the rows over the banks */
#define PART_TOPS(d) (16 * PART_STRIDE(d))
#define PART_SUMS(d) (PART_TOPS(d) + 16)
#define PART_FLOATS(d) (PART_TOPS(d) + 32)

/* What a warp of decode_kernel knows of GROUPS * 8 rows.  A thread holds rows lane % 4 * 2 and the
 * next one of each group: components lane / 4 and + 8 of every 16 of the output. */
template <int D, int GROUPS> struct column_state {
    float out[GROUPS][D / 16][4];
    float top[GROUPS][2];
    float sum[GROUPS][2];
    int position[GROUPS][2]; /* of the row's query, -1 without one */
};

/* An 8 x 8 matrix of bfloat16 in a warp's fragments, transposed. */
__device__ static inline unsigned transpose(unsigned x)
{
    unsigned y;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}

/* The queries of the rows as second operands: row lane / 4 of each group. */
template <int D, int GROUPS>
__device__ static void load_columns(unsigned q[GROUPS][D / 16][2], const tile *t,
                                    const mg_attention_args *args)
{
    const int lane = (int)threadIdx.x % 32;
    int64_t dim = args->kv.head_dim;
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        fragment_row row = row_of(t, g * 8 + lane / 4);
        const float *from = args->q + row.row * args->q_stride + row.head * dim;
#pragma unroll
        for (int d = 0; d < D / 16; d++) {
#pragma unroll
            for (int part = 0; part < 2; part++) {
                int at = d * 16 + part * 8 + lane % 4 * 2;
                bool used = row.used && at < dim;
                q[g][d][part] = used ? pack_pair(from[at], from[at + 1]) : 0;
            }
        }
    }
}

template <int D, int GROUPS>
__device__ static void column_state_init(column_state<D, GROUPS> *state, const tile *t)
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
#pragma unroll
        for (int d = 0; d < D / 16; d++) {
            state->out[g][d][0] = state->out[g][d][1] = 0;
            state->out[g][d][2] = state->out[g][d][3] = 0;
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            state->top[g][i] = -INFINITY;
            state->sum[g][i] = 0;
            state->position[g][i] = row_of(t, g * 8 + lane % 4 * 2 + i).position;
        }
    }
}

/* The weights p of 16 keys, from first_key on and in shared memory at keys, as second operands; the
 * state follows the new maxima. */
template <int D, int GROUPS>
__device__ static void weigh_columns(unsigned p[GROUPS][2], column_state<D, GROUPS> *state,
                                     const unsigned q[GROUPS][D / 16][2], const bf16 *keys,
                                     int first_key, const mg_attention_args *args)
{
    const int lane = (int)threadIdx.x % 32;
    const float log2e = 1.44269504f;
    float s[GROUPS][4] = {};
#pragma unroll
    for (int d = 0; d < D / 16; d++) {
        unsigned k[4];
        load_matrices(k, keys + lane % 16 * (D + 8) + d * 16 + lane / 16 * 8);
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            multiply(s[g], k, q[g][d][0], q[g][d][1]);
        }
    }
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        float shrink[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int position = state->position[g][i];
            float top = state->top[g][i];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int key = first_key + lane / 4 + half * 8;
                bool seen =
                    key <= position && (args->window == 0 || key > position - (int)args->window);
                float x = s[g][half * 2 + i] * args->scale;
                if (args->softcap > 0) {
                    x = args->softcap * tanhf(x / args->softcap);
                }
                s[g][half * 2 + i] = seen ? x * log2e : -INFINITY;
                top = fmaxf(top, s[g][half * 2 + i]);
            }
            top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 4));
            top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 8));
            top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 16));
            float safe = top == -INFINITY ? 0 : top;
            shrink[i] = exp2f(state->top[g][i] - safe);
            state->top[g][i] = top;
            s[g][i] = exp2f(s[g][i] - safe);
            s[g][2 + i] = exp2f(s[g][2 + i] - safe);
            state->sum[g][i] = state->sum[g][i] * shrink[i] + s[g][i] + s[g][2 + i];
        }
#pragma unroll
        for (int d = 0; d < D / 16; d++) {
            state->out[g][d][0] *= shrink[0];
            state->out[g][d][1] *= shrink[1];
            state->out[g][d][2] *= shrink[0];
            state->out[g][d][3] *= shrink[1];
        }
        p[g][0] = transpose(pack_pair(s[g][0], s[g][1]));
        p[g][1] = transpose(pack_pair(s[g][2], s[g][3]));
    }
}

/* Adds 16 values with those weights to the output. */
template <int D, int GROUPS>
__device__ static void add_columns(column_state<D, GROUPS> *state, const unsigned p[GROUPS][2],
                                   const bf16 *values)
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int d = 0; d < D / 16; d++) {
        unsigned v[4];
        load_matrices_transposed(v, values + (lane % 8 + lane / 16 * 8) * (D + 8) + d * 16 +
                                        lane / 8 % 2 * 8);
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            multiply(state->out[g][d], v, p[g][0], p[g][1]);
        }
    }
}

/* The factors of count parts of a row whose maxima lie step floats apart from tops on; the row's
 * maximum goes to *top_out. */
__device__ static inline void part_factors(float *factors_out, const float *tops, int count,
                                           int step, float *top_out)
{
    float top = -INFINITY;
    for (int k = 0; k < count; k++) {
        top = fmaxf(top, tops[k * step]);
    }
    float safe = top == -INFINITY ? 0 : top;
    for (int k = 0; k < count; k++) {
        factors_out[k] = exp2f(tops[k * step] - safe);
    }
    *top_out = top;
}

/* Leaves a warp's state as a part. */
template <int D, int GROUPS>
__device__ static void put_part(const column_state<D, GROUPS> *state, float *part)
{
    const int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int row = g * 8 + lane % 4 * 2 + i;
            float sum = state->sum[g][i];
            sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 4);
            sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 8);
            sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 16);
#pragma unroll
            for (int d = 0; d < D / 16; d++) {
                part[row * PART_STRIDE(D) + d * 16 + lane / 4] = state->out[g][d][i];
                part[row * PART_STRIDE(D) + d * 16 + lane / 4 + 8] = state->out[g][d][2 + i];
            }
            if (lane / 4 == 0) {
                part[PART_TOPS(D) + row] = state->top[g][i];
                part[PART_SUMS(D) + row] = sum;
            }
        }
    }
}

/* Joins the first row_count rows of the warps' parts in shared memory; the result lies behind them.
 */
template <int D> __device__ static void join_warps(int row_count, float *shared)
{
    float *joined = shared + WARPS * PART_FLOATS(D);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < row_count * (D / 4); i += THREADS) {
        int row = i / (D / 4);
        int at = row * PART_STRIDE(D) + i % (D / 4) * 4;
        float factors[WARPS];
        float top;
        part_factors(factors, shared + PART_TOPS(D) + row, WARPS, PART_FLOATS(D), &top);
        float4 total = make_float4(0, 0, 0, 0);
        float sum = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            const float *part = shared + w * PART_FLOATS(D);
            float4 x = *(const float4 *)(part + at);
            total.x += factors[w] * x.x;
            total.y += factors[w] * x.y;
            total.z += factors[w] * x.z;
            total.w += factors[w] * x.w;
            sum += factors[w] * part[PART_SUMS(D) + row];
        }
        *(float4 *)(joined + at) = total;
        if (i % (D / 4) == 0) {
            joined[PART_TOPS(D) + row] = top;
            joined[PART_SUMS(D) + row] = sum;
        }
    }
    __syncthreads();
}

/* Joins the splits of one run and key/value head, whose parts begin at parts.  shared: factors and
 * sums of SPLITS_MAX parts of 16 rows. */
template <int D>
__device__ static void join_splits(const mg_attention_args *args, const tile *t, int splits,
                                   const float *parts, float *shared, bf16 *twin)
{
    float *factors = shared;
    float *sums = shared + 16 * SPLITS_MAX;
    for (int i = (int)threadIdx.x; i < t->rows * splits; i += THREADS) {
        const float *part = parts + i % splits * PART_FLOATS(D) + i / splits;
        factors[i / splits * SPLITS_MAX + i % splits] = __ldcg(part + PART_TOPS(D));
        sums[i / splits * SPLITS_MAX + i % splits] = __ldcg(part + PART_SUMS(D));
    }
    __syncthreads();
    if ((int)threadIdx.x < t->rows) {
        float *mine = factors + threadIdx.x * SPLITS_MAX;
        float top;
        part_factors(mine, mine, splits, 1, &top);
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < t->rows * (D / 4); i += THREADS) {
        int row = i / (D / 4);
        float x[4] = { 0, 0, 0, 0 };
        float sum = 0;
#pragma unroll 4
        for (int s = 0; s < splits; s++) {
            float4 part = __ldcg((const float4 *)(parts + s * PART_FLOATS(D) +
                                                  row * PART_STRIDE(D) + i % (D / 4) * 4));
            float factor = factors[row * SPLITS_MAX + s];
            x[0] += factor * part.x;
            x[1] += factor * part.y;
            x[2] += factor * part.z;
            x[3] += factor * part.w;
            sum += factor * sums[row * SPLITS_MAX + s];
        }
        fragment_row place = row_of(t, row);
        for (int k = 0; k < 4; k++) {
            int d = i % (D / 4) * 4 + k;
            if (d < args->kv.head_dim) {
                put_result(args, &place, d, x[k] / sum, twin);
            }
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

/* The halves of a block's tiles in the order of their use, keys and values in turn: half h goes to
 * place h % 3, and is on its way while the two before it are used.  An empty group is committed
 * where no half is left, so that the groups can be counted. */
template <int D>
__device__ static void load_next(bf16 *places, int h, int half_count, const mg_kv *kv,
                                 const tile *t, int begin)
{
    if (h < half_count) {
        load_half<D>(places + h % 3 * KEYS * (D + 8), kv, t, begin + h / 2 * KEYS, h % 2 == 1);
    }
    copy_commit();
}

template <int D, int GROUPS>
__global__ __launch_bounds__(THREADS, GROUPS *D <= 128 ? 4 : 2) static void decode_kernel(
    mg_attention_args args, int splits, float *parts, unsigned *turns, bf16 *twin)
{
    extern __shared__ __align__(16) unsigned char shared[];
    bf16 *places = (bf16 *)shared;
    const int warp = (int)threadIdx.x / 32;
    int kv_head = (int)blockIdx.y;
    int split = (int)blockIdx.x;
    int run = (int)blockIdx.z;
    tile t;
    if (!find_tile(&t, &args, run, kv_head, 0, GROUPS * 8) || t.rows > GROUPS * 8) {
        return;
    }
    int tile_count = (t.key_end - t.key_begin + KEYS - 1) / KEYS;
    int first = tile_count * split / splits;
    int begin = t.key_begin + first * KEYS;
    int half_count = 2 * (tile_count * (split + 1) / splits - first);
    load_next<D>(places, 0, half_count, &args.kv, &t, begin);
    load_next<D>(places, 1, half_count, &args.kv, &t, begin);
    unsigned q[GROUPS][D / 16][2];
    unsigned p[GROUPS][2];
    column_state<D, GROUPS> state;
    load_columns<D, GROUPS>(q, &t, &args);
    column_state_init<D, GROUPS>(&state, &t);
    for (int h = 0; h < half_count; h += 2) {
        const int row = warp * 16 * (D + 8);
        copy_wait<1>();
        __syncthreads();
        load_next<D>(places, h + 2, half_count, &args.kv, &t, begin);
        weigh_columns<D, GROUPS>(p, &state, q, places + h % 3 * KEYS * (D + 8) + row,
                                 begin + h / 2 * KEYS + warp * 16, &args);
        copy_wait<1>();
        __syncthreads();
        load_next<D>(places, h + 3, half_count, &args.kv, &t, begin);
        add_columns<D, GROUPS>(&state, p, places + (h + 1) % 3 * KEYS * (D + 8) + row);
    }
    copy_wait<0>();
    __syncthreads();
    float *joined = (float *)shared;
    put_part<D, GROUPS>(&state, joined + warp * PART_FLOATS(D));
    join_warps<D>(t.rows, joined);
    joined += WARPS * PART_FLOATS(D);
    if (splits > 1) {
        int64_t group = (int64_t)run * gridDim.y + kv_head;
        float *group_parts = parts + group * splits * PART_FLOATS(D);
        float *part = group_parts + split * PART_FLOATS(D);
        for (int i = (int)threadIdx.x; i < t.rows * (D / 4); i += THREADS) {
            int at = i / (D / 4) * PART_STRIDE(D) + i % (D / 4) * 4;
            *(float4 *)(part + at) = *(const float4 *)(joined + at);
        }
        if ((int)threadIdx.x < t.rows) {
            part[PART_TOPS(D) + threadIdx.x] = joined[PART_TOPS(D) + threadIdx.x];
            part[PART_SUMS(D) + threadIdx.x] = joined[PART_SUMS(D) + threadIdx.x];
        }
        if (is_last_block(turns + group, (unsigned)splits)) {
            join_splits<D>(&args, &t, splits, group_parts, (float *)shared, twin);
        }
        return;
    }
    for (int i = (int)threadIdx.x; i < t.rows * D; i += THREADS) {
        fragment_row row = row_of(&t, i / D);
        if (i % D < args.kv.head_dim) {
            float x = joined[i / D * PART_STRIDE(D) + i % D];
            put_result(&args, &row, i % D, x / joined[PART_SUMS(D) + i / D], twin);
        }
    }
}

/* Runs of few queries, GROUPS * 8 rows at most; with few of them the keys are split so that the
 * card is full. */
template <int D, int GROUPS>
static mg_status launch_decode(mg_stream *stream, const mg_attention_args *args, bf16 *twin,
                               mg_error *err)
{
    size_t halves_bytes = (size_t)3 * KEYS * (D + 8) * sizeof(bf16);
    size_t join_bytes = (size_t)(WARPS + 1) * PART_FLOATS(D) * sizeof(float);
    size_t bytes = MG_MAX(halves_bytes, join_bytes);
    int64_t blocks = args->run_count * args->kv.kv_heads;
    int64_t reach = args->kv.table != NULL ? args->kv.table_width : 1; /* blocks of a slot */
    int64_t useful = (reach * args->kv.positions + KEYS - 1) / KEYS;
    int64_t wanted = MG_MIN(MG_MIN(DECODE_BLOCKS / blocks, useful), (int64_t)SPLITS_MAX);
    int splits = (int)MG_MAX(wanted, (int64_t)1);
    void *parts = NULL;
    void *turns = NULL;
    if (splits > 1) {
        MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_TURNS, (size_t)blocks * sizeof(unsigned),
                                     &turns, err));
        MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_ATTENTION,
                                     (size_t)(blocks * splits) * PART_FLOATS(D) * sizeof(float),
                                     &parts, err));
    }
    MG_TRY(mg_cuda_status(cudaFuncSetAttribute(decode_kernel<D, GROUPS>,
                                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                                               (int)bytes),
                          "attention", err));
    dim3 grid((unsigned)splits, (unsigned)args->kv.kv_heads, (unsigned)args->run_count);
    decode_kernel<D, GROUPS><<<grid, THREADS, bytes, stream->handle>>>(
        *args, splits, (float *)parts, (unsigned *)turns, twin);
    return mg_cuda_launched("attention", err);
}

template <int D>
static mg_status launch_few(mg_stream *stream, const mg_attention_args *args, bf16 *twin,
                            mg_error *err)
{
    int64_t group = args->heads / args->kv.kv_heads;
    return args->run_rows_max * group <= 8 ? launch_decode<D, 1>(stream, args, twin, err)
                                           : launch_decode<D, 2>(stream, args, twin, err);
}

mg_status mg_cuda_attention_few(mg_stream *stream, const mg_attention_args *args,
                                __nv_bfloat16 *twin, mg_error *err)
{
    int64_t dim = args->kv.head_dim;
    if (dim <= 32) {
        return launch_few<32>(stream, args, twin, err);
    }
    if (dim <= 64) {
        return launch_few<64>(stream, args, twin, err);
    }
    if (dim <= 96) {
        return launch_few<96>(stream, args, twin, err);
    }
    if (dim <= 128) {
        return launch_few<128>(stream, args, twin, err);
    }
    return launch_few<256>(stream, args, twin, err);
}
