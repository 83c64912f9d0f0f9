/* compute/cpu/mix_cpu.c - the launchers of merging on the CPU.
 *
 * Element-wise work is cut into blocks that any thread may take.  Reductions are cut by shape alone
 * and put together in order, so that the number of threads cannot be seen in a result.  Whatever
 * involves float64 goes to the plain version: it is rare, and exact there. */
#include "base/memory.h"
#include "compute/cpu/kernels_internal.h"
#include "compute/cpu/mix_kernels_internal.h"

static const mg_mix_kernels *kernels_of(const mg_stream *stream)
{
    return mg_stream_kernels(stream)->isa >= MG_ISA_AVX512 ? &mg_mix_kernels_avx512
                                                           : &mg_mix_kernels_avx2;
}

static int64_t block_count(int64_t count)
{
    return (count + MG_MIX_BLOCK - 1) / MG_MIX_BLOCK;
}

static int64_t block_size(int64_t count, int64_t block)
{
    return MG_MIN(MG_MIX_BLOCK, count - block * MG_MIX_BLOCK);
}

/* What a pool task needs; args is the operation's. */
typedef struct launch {
    mg_stream *stream;
    const mg_mix_kernels *kernels;
    const void *args;
    int64_t count;
    void *out; /* of reductions */
} launch;

static void run_blocks(mg_stream *stream, const void *args, int64_t count, void *out,
                       mg_pool_task *task)
{
    launch l = { stream, kernels_of(stream), args, count, out };
    int64_t blocks = block_count(count);
    mg_pool_run(blocks > 1 ? stream->pool : NULL, blocks, task, &l);
}

/* --- Element by element ----------------------------------------------------------------------- */

static void average_block(void *context, int64_t block, int worker)
{
    const launch *l = (const launch *)context;
    (void)worker;
    l->kernels->average((const mg_average_args *)l->args, block * MG_MIX_BLOCK,
                        block_size(l->count, block));
}

static mg_status average_cpu(mg_stream *stream, const mg_average_args *args, mg_error *err)
{
    bool wide = args->work == MG_F64 || args->out_dtype == MG_F64;
    for (int64_t i = 0; i < args->input_count; i++) {
        wide = wide || args->inputs[i].dtype == MG_F64;
    }
    if (wide) {
        return mg_mix_ops_ref.average(stream, args, err);
    }
    run_blocks(stream, args, args->count, NULL, average_block);
    return MG_OK;
}

static void blend_block(void *context, int64_t block, int worker)
{
    const launch *l = (const launch *)context;
    (void)worker;
    l->kernels->blend((const mg_blend_args *)l->args, block * MG_MIX_BLOCK,
                      block_size(l->count, block));
}

static mg_status blend_cpu(mg_stream *stream, const mg_blend_args *args, mg_error *err)
{
    if (args->work == MG_F64 || args->out_dtype == MG_F64 || args->x.dtype == MG_F64 ||
        args->y.dtype == MG_F64) {
        return mg_mix_ops_ref.blend(stream, args, err);
    }
    run_blocks(stream, args, args->count, NULL, blend_block);
    return MG_OK;
}

static void scale_block(void *context, int64_t block, int worker)
{
    const launch *l = (const launch *)context;
    (void)worker;
    l->kernels->scale((const mg_scale_args *)l->args, block * MG_MIX_BLOCK,
                      block_size(l->count, block));
}

static mg_status scale_cpu(mg_stream *stream, const mg_scale_args *args, mg_error *err)
{
    if (args->work == MG_F64 || args->out_dtype == MG_F64 || args->x.dtype == MG_F64) {
        return mg_mix_ops_ref.scale(stream, args, err);
    }
    run_blocks(stream, args, args->count, NULL, scale_block);
    return MG_OK;
}

static void task_block(void *context, int64_t block, int worker)
{
    const launch *l = (const launch *)context;
    l->kernels->task((const mg_task_args *)l->args, block * MG_MIX_BLOCK,
                     block_size(l->count, block), (float *)mg_stream_scratch(l->stream, worker));
}

static mg_status task_cpu(mg_stream *stream, const mg_task_args *args, mg_error *err)
{
    MG_ASSERT(args->source_count > 0 && args->source_count <= MG_MIX_INPUTS_MAX);
    bool wide = args->work == MG_F64 || args->out_dtype == MG_F64 || args->base.dtype == MG_F64;
    for (int64_t i = 0; i < args->source_count; i++) {
        wide = wide || args->sources[i].x.dtype == MG_F64;
    }
    if (wide) {
        return mg_mix_ops_ref.task(stream, args, err);
    }
    run_blocks(stream, args, args->count, NULL, task_block);
    if (args->tail > 0) {
        mg_mix_task_ref(args, args->count - args->tail); /* once more, in the other order */
    }
    return MG_OK;
}

static void keys_block(void *context, int64_t block, int worker)
{
    const launch *l = (const launch *)context;
    (void)worker;
    l->kernels->keys((const mg_keys_args *)l->args, block * MG_MIX_BLOCK,
                     block_size(l->count, block));
}

static mg_status keys_cpu(mg_stream *stream, const mg_keys_args *args, mg_error *err)
{
    MG_ASSERT(args->work != MG_F64 && args->count <= (int64_t)UINT32_MAX + 1);
    if (args->x.dtype == MG_F64 || args->base.dtype == MG_F64) {
        return mg_mix_ops_ref.keys(stream, args, err);
    }
    run_blocks(stream, args, args->count, NULL, keys_block);
    return MG_OK;
}

static void finite_block(void *context, int64_t block, int worker)
{
    const launch *l = (const launch *)context;
    (void)worker;
    ((bool *)l->out)[block] = l->kernels->finite((const mg_finite_args *)l->args,
                                                 block * MG_MIX_BLOCK, block_size(l->count, block));
}

static mg_status finite_cpu(mg_stream *stream, const mg_finite_args *args, mg_error *err)
{
    if (args->x.dtype == MG_F64) {
        return mg_mix_ops_ref.finite(stream, args, err);
    }
    int64_t blocks = block_count(args->count);
    void *block;
    MG_TRY(mg_memory_try((size_t)blocks, "a look for NaN", &block, err));
    run_blocks(stream, args, args->count, block, finite_block);
    *args->finite_out = true;
    for (int64_t i = 0; i < blocks; i++) {
        *args->finite_out = *args->finite_out && ((const bool *)block)[i];
    }
    mg_free_aligned(block);
    return MG_OK;
}

/* --- Sums ------------------------------------------------------------------------------------- */

static void dot_block(void *context, int64_t block, int worker)
{
    const launch *l = (const launch *)context;
    (void)worker;
    l->kernels->dot((const mg_dot_args *)l->args, block * MG_MIX_BLOCK, block_size(l->count, block),
                    (double *)l->out + 3 * block);
}

static mg_status dot_cpu(mg_stream *stream, const mg_dot_args *args, mg_error *err)
{
    if (args->work == MG_F64 || args->x.dtype == MG_F64 || args->y.dtype == MG_F64) {
        return mg_mix_ops_ref.dot(stream, args, err);
    }
    int64_t blocks = block_count(args->count);
    void *block;
    MG_TRY(mg_memory_try((size_t)blocks * 3 * sizeof(double), "sums of a merge", &block, err));
    run_blocks(stream, args, args->count, block, dot_block);
    double total[3] = { 0.0, 0.0, 0.0 };
    for (int64_t i = 0; i < blocks; i++) {
        for (int k = 0; k < 3; k++) {
            total[k] += ((const double *)block)[3 * i + k];
        }
    }
    *args->xx_out = total[0];
    *args->yy_out = total[1];
    *args->xy_out = total[2];
    mg_free_aligned(block);
    return MG_OK;
}

typedef struct angle_launch {
    const mg_mix_kernels *kernels;
    const mg_angle_args *args;
    float norm_x, norm_y;
    float *x, *y; /* by chunk: norms; then x the sums */
} angle_launch;

static void norm_chunk(void *context, int64_t chunk, int worker)
{
    const angle_launch *l = (const angle_launch *)context;
    int64_t first = chunk * MG_MIX_ANGLE_CHUNK;
    int64_t count = MG_MIN(MG_MIX_ANGLE_CHUNK, l->args->count - first);
    (void)worker;
    l->x[chunk] = l->kernels->norm(&l->args->x, l->args->work, first, count);
    l->y[chunk] = l->kernels->norm(&l->args->y, l->args->work, first, count);
}

static void cosine_chunk(void *context, int64_t chunk, int worker)
{
    const angle_launch *l = (const angle_launch *)context;
    int64_t first = chunk * MG_MIX_ANGLE_CHUNK;
    int64_t count = MG_MIN(MG_MIX_ANGLE_CHUNK, l->args->count - first);
    int64_t part;
    int part_count = mg_mix_torch_parts(count, l->args->torch_threads, &part);
    float parts[MG_MIX_TORCH_THREADS_MAX];
    (void)worker;
    for (int i = 0; i < part_count; i++) {
        int64_t n = MG_MIN(part, count - i * part);
        parts[i] = l->kernels->cosine(l->args, first + i * part, n, l->norm_x, l->norm_y);
    }
    l->x[chunk] = mg_mix_torch_join(parts, part_count, MG_F32, l->args->torch_threads);
}

static mg_status angle_cpu(mg_stream *stream, const mg_angle_args *args, mg_error *err)
{
    if (args->work == MG_F64 || args->x.dtype == MG_F64 || args->y.dtype == MG_F64) {
        return mg_mix_ops_ref.angle(stream, args, err);
    }
    int64_t chunks = (args->count + MG_MIX_ANGLE_CHUNK - 1) / MG_MIX_ANGLE_CHUNK;
    void *block;
    MG_TRY(mg_memory_try((size_t)chunks * 2 * sizeof(float), "an angle", &block, err));
    angle_launch l = {
        kernels_of(stream), args, 1.0f, 1.0f, (float *)block, (float *)block + chunks
    };
    mg_pool *pool = chunks > 1 ? stream->pool : NULL;
    mg_pool_run(pool, chunks, norm_chunk, &l);
    float norm_x = mg_mix_angle_norm(l.x, chunks);
    float norm_y = mg_mix_angle_norm(l.y, chunks);
    l.norm_x = norm_x > 1e-8f ? norm_x : 1.0f;
    l.norm_y = norm_y > 1e-8f ? norm_y : 1.0f;
    mg_pool_run(pool, chunks, cosine_chunk, &l);
    *args->cosine_out = mg_mix_angle_cosine(l.x, chunks);
    mg_free_aligned(block);
    return MG_OK;
}

/* A unit is what fills one sum of the cascade's last level; units are independent. */
typedef struct sum_unit {
    mg_mix_cascade all;
    mg_mix_cascade kept;
} sum_unit;

typedef struct sum_launch {
    const mg_mix_kernels *kernels;
    const mg_delta_sum_args *args;
    int64_t unit_elements;
    sum_unit *units;
} sum_launch;

static void sum_one_unit(void *context, int64_t index, int worker)
{
    const sum_launch *l = (const sum_launch *)context;
    (void)worker;
    l->kernels->delta_sum(l->args, index * l->unit_elements, l->unit_elements, &l->units[index].all,
                          &l->units[index].kept);
}

static void add_unit(mg_mix_cascade *total, const mg_mix_cascade *unit)
{
    for (int i = 0; i < MG_MIX_ROW; i++) {
        total->level[MG_MIX_CASCADE_LEVELS - 1][i] += unit->level[MG_MIX_CASCADE_LEVELS - 1][i];
    }
    total->count += unit->count;
}

/* The elements behind the last whole row, and the end of both sums. */
static void finish_sums(const sum_launch *l, sum_unit *total, int64_t done)
{
    const mg_delta_sum_args *args = l->args;
    float rest[MG_MIX_CHUNK];
    int64_t count = args->count - done;
    int64_t lead = done % 64; /* kernels start at multiples of 64 */
    l->kernels->magnitudes(&args->x, &args->base, args->work, done - lead, count + lead, rest);
    *args->all_out = (double)mg_mix_cascade_finish(&total->all, rest + lead, count, args->half);
    for (int64_t i = 0; i < count; i++) {
        int64_t e = done + i;
        rest[lead + i] *= (float)(args->bits[e / 64] >> (e % 64) & 1);
    }
    *args->kept_out = (double)mg_mix_cascade_finish(&total->kept, rest + lead, count, args->half);
}

static mg_status delta_sum_cpu(mg_stream *stream, const mg_delta_sum_args *args, mg_error *err)
{
    const int64_t row = args->half ? 2 * MG_MIX_ROW : MG_MIX_ROW;
    if (args->work == MG_F64 || args->base.dtype == MG_F64 || args->x.dtype == MG_F64 ||
        args->count < row || args->bits == NULL) {
        return mg_mix_ops_ref.delta_sum(stream, args, err);
    }
    int64_t rows = args->count / row;
    int power = mg_mix_cascade_power(rows);
    sum_launch l = { kernels_of(stream), args, row << (3 * power), NULL };
    int64_t units = rows * row / l.unit_elements;
    void *block;
    MG_TRY(mg_memory_try((size_t)(units + 1) * sizeof(sum_unit), "sums of a merge", &block, err));
    l.units = (sum_unit *)block;
    for (int64_t i = 0; i <= units; i++) {
        l.units[i].all.power = power;
        l.units[i].kept.power = power;
    }
    mg_pool_run(units > 1 ? stream->pool : NULL, units, sum_one_unit, &l);
    sum_unit *total = &l.units[units];
    for (int64_t i = 0; i < units; i++) {
        add_unit(&total->all, &l.units[i].all);
        add_unit(&total->kept, &l.units[i].kept);
    }
    int64_t done = units * l.unit_elements;
    int64_t left = rows * row - done;
    l.kernels->delta_sum(args, done, left, &total->all, &total->kept);
    finish_sums(&l, total, rows * row);
    mg_free_aligned(block);
    return MG_OK;
}

static mg_status bernoulli_cpu(mg_stream *stream, const mg_bernoulli_args *args, mg_error *err)
{
    (void)err;
    kernels_of(stream)->bernoulli(args);
    return MG_OK;
}

static mg_status product_cpu(mg_stream *stream, const mg_product_args *args, mg_error *err)
{
    (void)err;
    kernels_of(stream)->product(args);
    return MG_OK;
}

const mg_mix_ops mg_mix_ops_cpu = {
    .average = average_cpu,
    .blend = blend_cpu,
    .scale = scale_cpu,
    .task = task_cpu,
    .delta_sum = delta_sum_cpu,
    .rank = mg_mix_rank_cpu,
    .row_mask = mg_mix_row_mask_cpu,
    .dot = dot_cpu,
    .bernoulli = bernoulli_cpu,
    .finite = finite_cpu,
    .angle = angle_cpu,
    .keys = keys_cpu,
    .short_keys = mg_mix_short_keys_cpu,
    .short_mask = mg_mix_short_mask_cpu,
    .partition = mg_mix_partition_cpu,
    .product = product_cpu,
};
