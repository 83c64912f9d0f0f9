/* merge/sparsify_della.c - DELLA's mask: the larger a difference in its row, the likelier it stays.
 *
 * Rows run along dimension 1 (a vector is one row).  The rank r of an element in its row decides
 * the probability density - epsilon .. density + epsilon; ranks are rounded to the work type as the
 * reference rounds them, so that bfloat16 knows only about 256 of them in a row.
 *
 * With the search's own masks (evolution.md 3.1) the probability is clipped to 0 .. 1 instead of
 * refused, the draw of an element is that of its place, so that masks are nested in the density,
 * and among equal differences the lower index ranks first: the device does it all. */
#include <math.h>

#include "base/hash.h"
#include "base/pool.h"

#include "merge/sparsify_internal.h"
#include "merge/torch_order_internal.h"

/* The rows of a tensor: element i of row r is at first(r) + i * stride. */
typedef struct rows {
    int64_t row_count;
    int64_t length;
    int64_t stride;
} rows;

typedef struct rank_task {
    mg_job *job;
    const mg_mix_source *source;
    rows shape;
    uint32_t *below_of_rank; /* by rank: threshold of a 24-bit draw */
    uint32_t *below;         /* by element */
    uint64_t *scratch;       /* one row for each worker, as torch_order_internal.h's items */
} rank_task;

static rows rows_of(const mg_job *job)
{
    rows shape = { 1, job->count, 1 };
    if (job->shape.rank >= 2) {
        shape.length = job->shape.dims[1];
        for (int i = 2; i < job->shape.rank; i++) {
            shape.stride *= job->shape.dims[i];
        }
        shape.row_count = shape.length > 0 ? job->count / shape.length : 0;
    }
    return shape;
}

static int64_t row_first(const rows *shape, int64_t row)
{
    return row / shape->stride * shape->stride * shape->length + row % shape->stride;
}

static float value_at(const mg_mix_input *input, int64_t index, mg_dtype work)
{
    double x;
    size_t bytes = (size_t)(mg_dtype_bits(input->dtype) / 8);
    mg_dtype_convert(&x, MG_F64, (const char *)input->data + (size_t)index * bytes, input->dtype,
                     1);
    return (float)mg_mix_round(x, work);
}

static void rank_row(void *context, int64_t row, int worker)
{
    const rank_task *task = (const rank_task *)context;
    const mg_job *job = task->job;
    uint64_t *order = task->scratch + (size_t)worker * (size_t)task->shape.length;
    int64_t first = row_first(&task->shape, row);
    for (int64_t i = 0; i < task->shape.length; i++) {
        int64_t e = first + i * task->shape.stride;
        float delta = value_at(&task->source->x, e, job->work) -
                      value_at(&job->inputs[job->base].x, e, job->work);
        float magnitude = fabsf((float)mg_mix_round((double)delta, job->work));
        order[i] = (uint64_t)mg_order_key(magnitude, false) << 32 | (uint64_t)i;
    }
    mg_order_sort(order, task->shape.length);
    for (int64_t r = 0; r < task->shape.length; r++) {
        task->below[first + (int64_t)(uint32_t)order[r] * task->shape.stride] =
            task->below_of_rank[r];
    }
}

/* The threshold of each rank, rounded step by step as the reference's tensors are. */
static void fill_thresholds(const mg_sparsify_args *args, int64_t length, mg_dtype step,
                            uint32_t *below)
{
    /* A number in front of a tensor is rounded to the tensor's type, one behind it is not. */
    double low = mg_mix_round(args->density - args->extra, step);
    double top = mg_mix_round(mg_mix_round((double)(length - 1), step) + 1.0, step);
    double span = mg_mix_round(top - 1.0, step);
    for (int64_t r = 0; r < length; r++) {
        double rank = mg_mix_round(mg_mix_round((double)r, step) + 1.0, step);
        double part = mg_mix_round(mg_mix_round(rank - 1.0, step) / span, step);
        part = part < 0.0 ? 0.0 : part > 1.0 ? 1.0 : part;
        double twice = mg_mix_round(part * 2.0, step);
        double spread = mg_mix_round(twice * (double)(float)args->extra, step);
        double probability = mg_mix_round(spread + low, step);
        below[r] = (uint32_t)ceil(probability * 0x1p24);
    }
}

/* The same for the search's masks: of a 16-bit draw, 0x10000 keeps all. */
static void fill_counter_thresholds(const mg_sparsify_args *args, int64_t length, uint32_t *below)
{
    for (int64_t r = 0; r < length; r++) {
        double part = (double)r / (double)(length - 1);
        double probability = args->density - args->extra + 2.0 * args->extra * part;
        below[r] = 0x10000;
        if (probability < 1.0 && !mg_mix_counter_below(fmax(probability, 0.0), &below[r])) {
            below[r] = 0x10000;
        }
    }
}

/* The search's masks: the device ranks and draws. */
static mg_status keep_counted(mg_job *job, const mg_sparsify_args *args, const rows *shape,
                              const mg_mix_source *source, uint64_t *bits, mg_error *err)
{
    void *below;
    MG_TRY(
        mg_memory_try((size_t)shape->length * sizeof(uint32_t), "ranks of a merge", &below, err));
    fill_counter_thresholds(args, shape->length, (uint32_t *)below);
    mg_row_mask_args mask;
    memset(&mask, 0, sizeof(mask));
    mask.base = job->inputs[job->base].x;
    mask.x = source->x;
    mask.work = job->work;
    mask.length = shape->length;
    mask.stride = shape->stride;
    mask.below = (const uint32_t *)below;
    mask.counter_tensor = (uint32_t)mg_hash64(job->name.data, job->name.size, 0);
    mask.counter_source = (uint32_t)job->inputs[args->input].source_index;
    mask.key = job->mask_key;
    mask.count = job->count;
    mask.bits = bits;
    mg_status status = job->device->mix->row_mask(job->stream, &mask, err);
    mg_free_aligned(below);
    return status;
}

mg_status mg_sparsify_della(mg_job *job, const mg_sparsify_args *args, mg_mix_source *source,
                            uint64_t *bits, mg_error *err)
{
    bool counted = job->mask == MG_MASK_PHILOX;
    if (counted && args->density <= 0.0) {
        source->mask = MG_MASK_COUNTER; /* that keeps nothing */
        source->below = 0;
        return MG_OK;
    }
    source->mask = MG_MASK_BITS;
    source->bits = bits;
    if (!counted) {
        memset(bits, 0, (size_t)((job->count + 63) / 64) * sizeof(uint64_t));
    }
    if (!counted && args->density <= 0.0) {
        return MG_OK;
    }
    if (!counted && (args->density + args->extra >= 1.0 || args->density - args->extra <= 0.0)) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "density %g and epsilon %g: density +/- epsilon must lie inside (0, 1)",
                       args->density, args->extra);
    }
    rows shape = rows_of(job);
    if (shape.length < 2 || shape.length > UINT32_MAX) {
        return mg_fail(err, MG_ERR_CONFIG, "rows of %lld elements have no ranks, must be 2 or more",
                       (long long)shape.length);
    }
    if (counted) {
        return keep_counted(job, args, &shape, source, bits, err);
    }
    mg_dtype step = job->work == MG_BF16 ? MG_BF16 : MG_F32;
    int workers = job->pool != NULL ? mg_pool_threads(job->pool) : 1;
    void *thresholds, *below, *scratch;
    MG_TRY(mg_job_scratch(job, 1, (size_t)shape.length * sizeof(uint32_t), &thresholds, err));
    MG_TRY(mg_job_scratch(job, 2, (size_t)job->count * sizeof(uint32_t), &below, err));
    MG_TRY(mg_job_scratch(job, 3, (size_t)shape.length * (size_t)workers * sizeof(uint64_t),
                          &scratch, err));
    fill_thresholds(args, shape.length, step, (uint32_t *)thresholds);
    rank_task task = {
        job, source, shape, (uint32_t *)thresholds, (uint32_t *)below, (uint64_t *)scratch
    };
    mg_pool_run(job->pool, shape.row_count, rank_row, &task);
    for (int64_t e = 0; e < job->count; e++) {
        uint32_t word = mg_mt19937_word(job->mt) & 0xffffff;
        bits[e / 64] |= (uint64_t)(word < task.below[e]) << (e % 64);
    }
    return MG_OK;
}
