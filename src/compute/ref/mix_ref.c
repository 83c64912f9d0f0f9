/* compute/ref/mix_ref.c - the operations of merging in plain C: the definition of right.
 *
 * Values travel as double.  One operation on float32 values, done in double and rounded to float32,
 * gives the correctly rounded float32 result, so one rounding function serves every work type. */
#include <math.h>

#include "base/memory.h"
#include "compute/mix_internal.h"

#include <stdlib.h>

static double load(const mg_mix_input *input, int64_t index, mg_dtype work)
{
    double x;
    const char *at =
        (const char *)input->data + (size_t)index * (size_t)(mg_dtype_bits(input->dtype) / 8);
    mg_dtype_convert(&x, MG_F64, at, input->dtype, 1);
    return mg_mix_round(x, work);
}

static void store(void *out, mg_dtype out_dtype, int64_t index, double value)
{
    char *at = (char *)out + (size_t)index * (size_t)(mg_dtype_bits(out_dtype) / 8);
    mg_dtype_convert(at, out_dtype, &value, MG_F64, 1);
}

/* The type that steps outside of W run in. */
static mg_dtype step_dtype(mg_dtype work)
{
    return work == MG_F64 ? MG_F64 : MG_F32;
}

static mg_status average_ref(mg_stream *stream, const mg_average_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    mg_dtype step = step_dtype(args->work);
    for (int64_t e = 0; e < args->count; e++) {
        double r = 0.0;
        for (int64_t i = 0; i < args->input_count; i++) {
            double x = load(&args->inputs[i], e, args->work);
            double w = args->weights[i];
            r = step == MG_F64 ? fma(x, w, r) : (double)fmaf((float)x, (float)w, (float)r);
        }
        if (args->divide) {
            r = mg_mix_round(r / args->divisor, step);
        }
        store(args->out, args->out_dtype, e, mg_mix_round(r, args->work));
    }
    return MG_OK;
}

static mg_status blend_ref(mg_stream *stream, const mg_blend_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    mg_dtype step = step_dtype(args->work);
    for (int64_t e = 0; e < args->count; e++) {
        double ax = mg_mix_round(args->a * load(&args->x, e, args->work), step);
        double by = mg_mix_round(args->b * load(&args->y, e, args->work), step);
        double r = mg_mix_round(ax + by, step);
        store(args->out, args->out_dtype, e, mg_mix_round(r, args->work));
    }
    return MG_OK;
}

static mg_status scale_ref(mg_stream *stream, const mg_scale_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    double factor = mg_mix_round(args->factor, step_dtype(args->work));
    for (int64_t e = 0; e < args->count; e++) {
        double x = load(&args->x, e, args->work);
        store(args->out, args->out_dtype, e, mg_mix_round(x * factor, args->work));
    }
    return MG_OK;
}

static bool source_keeps(const mg_task_args *args, const mg_mix_source *source, int64_t e)
{
    if (source->mask == MG_MASK_BITS) {
        return (source->bits[e / 64] >> (e % 64) & 1) != 0;
    }
    if (source->mask == MG_MASK_COUNTER) {
        return mg_mix_counter_keeps(args->key, source->counter_tensor, source->counter_source,
                                    source->below, e);
    }
    return true;
}

/* A sum over models: in float32 in torch's order, in float64 in order. */
static double model_sum(const double *values, int64_t count, bool tail, mg_dtype step)
{
    float narrow[MG_MIX_INPUTS_MAX];
    double sum = 0.0;
    if (step == MG_F64) {
        for (int64_t i = 0; i < count; i++) {
            sum += values[i];
        }
        return sum;
    }
    for (int64_t i = 0; i < count; i++) {
        narrow[i] = (float)values[i];
    }
    return (double)mg_mix_model_sum(narrow, count, tail);
}

void mg_mix_task_ref(const mg_task_args *args, int64_t first)
{
    const mg_dtype sum_dtype = step_dtype(args->work);
    const mg_dtype step = args->wide ? sum_dtype : args->work;
    const int64_t count = args->source_count;
    double y[MG_MIX_INPUTS_MAX];
    double kept[MG_MIX_INPUTS_MAX];
    double weights[MG_MIX_INPUTS_MAX];
    MG_ASSERT(count > 0 && count <= MG_MIX_INPUTS_MAX);
    for (int64_t e = first; e < args->count; e++) {
        const bool tail = e >= args->count - args->tail;
        double base = load(&args->base, e, args->work);
        for (int64_t i = 0; i < count; i++) {
            const mg_mix_source *source = &args->sources[i];
            double d = mg_mix_round(load(&source->x, e, args->work) - base, step);
            if (source->mask != MG_MASK_ALL) {
                double factor = source->rescale ? source->factor : 1.0;
                d = mg_mix_round(d * (source_keeps(args, source, e) ? factor : 0.0), step);
            }
            y[i] = mg_mix_round(d * source->weight, step);
        }
        double s = mg_mix_round(model_sum(y, count, tail, sum_dtype), step);
        double divisor = args->divisor;
        if (args->consensus) {
            bool positive = s >= 0.0;
            for (int64_t i = 0; i < count; i++) {
                double keep = (positive ? y[i] > 0.0 : y[i] < 0.0) ? 1.0 : 0.0;
                kept[i] = y[i] * keep;
                weights[i] = args->sources[i].weight * keep;
            }
            s = mg_mix_round(model_sum(kept, count, tail, sum_dtype), step);
            divisor = mg_mix_round(model_sum(weights, count, tail, sum_dtype), step);
            divisor = divisor == 0.0 ? 1.0 : divisor;
        }
        if (args->normalize) {
            s = mg_mix_round(s / divisor, step);
        }
        if (args->lambda != 1.0) {
            s = mg_mix_round(s * mg_mix_round(args->lambda, sum_dtype), step);
        }
        double r = mg_mix_round(base + s, step);
        store(args->out, args->out_dtype, e, mg_mix_round(r, args->work));
    }
}

static mg_status task_ref(mg_stream *stream, const mg_task_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    mg_mix_task_ref(args, 0);
    return MG_OK;
}

static double delta_abs(const mg_mix_input *x, const mg_mix_input *base, int64_t e, mg_dtype work)
{
    double from = base->data != NULL ? load(base, e, work) : 0.0;
    return fabs(mg_mix_round(load(x, e, work) - from, work));
}

static mg_status delta_sum_ref(mg_stream *stream, const mg_delta_sum_args *args, mg_error *err)
{
    (void)stream;
    float *values;
    void *block;
    MG_TRY(mg_memory_try((size_t)args->count * sizeof(float), "sums of a merge", &block, err));
    values = (float *)block;
    for (int64_t e = 0; e < args->count; e++) {
        values[e] = (float)delta_abs(&args->x, &args->base, e, args->work);
    }
    *args->all_out = (double)mg_mix_torch_sum(values, args->count, args->half);
    for (int64_t e = 0; e < args->count; e++) {
        bool keep = args->bits != NULL ? (args->bits[e / 64] >> (e % 64) & 1) != 0
                                       : mg_mix_counter_keeps(args->key, args->counter_tensor,
                                                              args->counter_source, args->below, e);
        if (!keep) {
            values[e] *= 0.0f;
        }
    }
    *args->kept_out = (double)mg_mix_torch_sum(values, args->count, args->half);
    mg_free_aligned(block);
    return MG_OK;
}

typedef struct ranked {
    uint64_t key; /* bits of the magnitude: they order as the magnitudes do, NaN last */
    int64_t index;
} ranked;

static int compare_ascending(const void *a, const void *b)
{
    const ranked *p = (const ranked *)a;
    const ranked *q = (const ranked *)b;
    if (p->key != q->key) {
        return p->key < q->key ? -1 : 1;
    }
    return p->index < q->index ? -1 : p->index > q->index;
}

static int compare_descending(const void *a, const void *b)
{
    const ranked *p = (const ranked *)a;
    const ranked *q = (const ranked *)b;
    if (p->key != q->key) {
        return p->key > q->key ? -1 : 1;
    }
    return p->index < q->index ? -1 : p->index > q->index;
}

static mg_status rank_ref(mg_stream *stream, const mg_rank_args *args, mg_error *err)
{
    (void)stream;
    void *block;
    MG_TRY(mg_memory_try((size_t)args->count * sizeof(ranked), "ranks of a merge", &block, err));
    ranked *order = (ranked *)block;
    for (int64_t e = 0; e < args->count; e++) {
        double magnitude = delta_abs(&args->x, &args->base, e, args->work);
        memcpy(&order[e].key, &magnitude, sizeof(magnitude));
        order[e].index = e;
    }
    if (args->count > 1) {
        qsort(order, (size_t)args->count, sizeof(ranked),
              args->descending ? compare_descending : compare_ascending);
    }
    memset(args->bits, 0, (size_t)((args->count + 63) / 64) * sizeof(uint64_t));
    for (int64_t r = args->first; r < args->first + args->kept; r++) {
        args->bits[order[r].index / 64] |= (uint64_t)1 << (order[r].index % 64);
    }
    mg_free_aligned(block);
    return MG_OK;
}

static mg_status row_mask_ref(mg_stream *stream, const mg_row_mask_args *args, mg_error *err)
{
    (void)stream;
    void *block;
    MG_TRY(mg_memory_try((size_t)args->length * sizeof(ranked), "ranks of a merge", &block, err));
    ranked *order = (ranked *)block;
    memset(args->bits, 0, (size_t)((args->count + 63) / 64) * sizeof(uint64_t));
    for (int64_t row = 0; row < args->count / args->length; row++) {
        int64_t first = row / args->stride * args->stride * args->length + row % args->stride;
        for (int64_t i = 0; i < args->length; i++) {
            int64_t e = first + i * args->stride;
            double magnitude = delta_abs(&args->x, &args->base, e, args->work);
            memcpy(&order[i].key, &magnitude, sizeof(magnitude));
            order[i].index = e;
        }
        qsort(order, (size_t)args->length, sizeof(ranked), compare_ascending);
        for (int64_t q = 0; q < args->length; q++) {
            int64_t e = order[q].index;
            if (mg_mix_counter_keeps(args->key, args->counter_tensor, args->counter_source,
                                     args->below[q], e)) {
                args->bits[e / 64] |= (uint64_t)1 << (e % 64);
            }
        }
    }
    mg_free_aligned(block);
    return MG_OK;
}

static mg_status keys_ref(mg_stream *stream, const mg_keys_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t e = 0; e < args->count; e++) {
        float magnitude = (float)delta_abs(&args->x, &args->base, e, args->work);
        uint32_t key = 0x7fc00000u;
        if (!isnan(magnitude)) {
            memcpy(&key, &magnitude, sizeof(key));
        }
        args->items[e] = (uint64_t)(args->descending ? ~key : key) << 32 | (uint64_t)e;
    }
    return MG_OK;
}

static mg_status short_keys_ref(mg_stream *stream, const mg_short_keys_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    const int infinity = args->work == MG_BF16 ? 0x7f80 : 0x7c00;
    *args->below_out = 0;
    memset(args->tally, 0, (size_t)(args->high - args->low + 1) * sizeof(*args->tally));
    for (int64_t e = 0; e < args->count; e++) {
        double magnitude = delta_abs(&args->x, &args->base, e, args->work);
        uint16_t key;
        mg_dtype_convert(&key, args->work, &magnitude, MG_F64, 1);
        key = (uint16_t)MG_MIN(key & 0x7fff, infinity + 1);
        key = args->descending ? key ^ 0x7fff : key;
        *args->below_out += key < args->low;
        if (key >= args->low && key <= args->high) {
            args->tally[key - args->low]++;
        }
        args->keys[e] = key;
    }
    return MG_OK;
}

static void short_mask_ref(const mg_stream *stream, const mg_short_mask_args *args)
{
    (void)stream;
    memset(args->bits, 0, (size_t)((args->count + 63) / 64) * sizeof(uint64_t));
    int64_t found = 0;
    for (int64_t e = 0; e < args->count; e++) {
        args->bits[e / 64] |= (uint64_t)(args->keys[e] <= args->limit) << (e % 64);
        if (args->keys[e] == args->limit) {
            args->tracks[found++] = (uint32_t)e;
        }
    }
    *args->track_count_out = found;
}

static void partition_ref(const mg_stream *stream, mg_partition_args *args)
{
    (void)stream;
    bool left;
    if (!mg_partition_side(args, &left)) {
        int64_t cut = mg_partition_cut(args->keys, args->tracked, args->first + 1, args->last);
        left = args->boundary <= cut;
    }
    mg_partition_finish(args, left, mg_partition_begin(args, left));
}

static mg_status dot_ref(mg_stream *stream, const mg_dot_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    double total[3] = { 0.0, 0.0, 0.0 };
    for (int64_t begin = 0; begin < args->count; begin += MG_MIX_BLOCK) {
        int64_t end = MG_MIN(args->count, begin + MG_MIX_BLOCK);
        double lanes[3][16] = { { 0.0 } };
        for (int64_t e = begin; e < end; e++) {
            double x = load(&args->x, e, args->work);
            double y = load(&args->y, e, args->work);
            int lane = (int)((e - begin) % 16);
            lanes[0][lane] += x * x;
            lanes[1][lane] += y * y;
            lanes[2][lane] += x * y;
        }
        for (int k = 0; k < 3; k++) {
            for (int half = 8; half > 0; half /= 2) {
                for (int lane = 0; lane < half; lane++) {
                    lanes[k][lane] += lanes[k][lane + half];
                }
            }
            total[k] += lanes[k][0];
        }
    }
    *args->xx_out = total[0];
    *args->yy_out = total[1];
    *args->xy_out = total[2];
    return MG_OK;
}

/* Without chunks: float64 has digits to spare. */
static mg_status angle_f64(const mg_angle_args *args)
{
    double xx = 0.0, yy = 0.0, xy = 0.0;
    for (int64_t e = 0; e < args->count; e++) {
        double x = load(&args->x, e, args->work);
        double y = load(&args->y, e, args->work);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    double norms = (sqrt(xx) > 1e-8 ? sqrt(xx) : 1.0) * (sqrt(yy) > 1e-8 ? sqrt(yy) : 1.0);
    double cosine = xy / norms;
    *args->cosine_out = cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
    return MG_OK;
}

/* The work values of one chunk, and its norm. */
static float load_norm(const mg_mix_input *input, int64_t first, int64_t count, mg_dtype work,
                       float *values)
{
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)load(input, first + i, work);
    }
    return mg_mix_angle_norm(values, count);
}

static mg_status angle_ref(mg_stream *stream, const mg_angle_args *args, mg_error *err)
{
    (void)stream;
    if (args->work == MG_F64) {
        return angle_f64(args);
    }
    int64_t chunks = (args->count + MG_MIX_ANGLE_CHUNK - 1) / MG_MIX_ANGLE_CHUNK;
    int64_t size = MG_MIN(args->count, MG_MIX_ANGLE_CHUNK);
    void *block;
    MG_TRY(mg_memory_try((size_t)(2 * size + 2 * chunks) * sizeof(float), "an angle", &block, err));
    float *x = (float *)block;
    float *y = x + size;
    float *norms_x = y + size;
    float *norms_y = norms_x + chunks;
    for (int64_t c = 0; c < chunks; c++) {
        int64_t first = c * MG_MIX_ANGLE_CHUNK;
        int64_t n = MG_MIN(MG_MIX_ANGLE_CHUNK, args->count - first);
        norms_x[c] = load_norm(&args->x, first, n, args->work, x);
        norms_y[c] = load_norm(&args->y, first, n, args->work, y);
    }
    float norm_x = mg_mix_angle_norm(norms_x, chunks);
    float norm_y = mg_mix_angle_norm(norms_y, chunks);
    norm_x = norm_x > 1e-8f ? norm_x : 1.0f;
    norm_y = norm_y > 1e-8f ? norm_y : 1.0f;
    for (int64_t c = 0; c < chunks; c++) {
        int64_t first = c * MG_MIX_ANGLE_CHUNK;
        int64_t n = MG_MIN(MG_MIX_ANGLE_CHUNK, args->count - first);
        for (int64_t i = 0; i < n; i++) {
            float quotient_x = (float)load(&args->x, first + i, args->work) / norm_x;
            x[i] = quotient_x * ((float)load(&args->y, first + i, args->work) / norm_y);
        }
        norms_x[c] = mg_mix_torch_total(x, n, MG_F32, args->torch_threads);
    }
    *args->cosine_out = mg_mix_angle_cosine(norms_x, chunks);
    mg_free_aligned(block);
    return MG_OK;
}

static mg_status bernoulli_ref(mg_stream *stream, const mg_bernoulli_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    memset(args->bits, 0, (size_t)((args->count + 63) / 64) * sizeof(uint64_t));
    for (int64_t e = 0; e < args->count; e++) {
        if ((mg_mt19937_word(args->mt) & 0xffffff) < args->below) {
            args->bits[e / 64] |= (uint64_t)1 << (e % 64);
        }
    }
    return MG_OK;
}

static mg_status finite_ref(mg_stream *stream, const mg_finite_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    *args->finite_out = true;
    for (int64_t e = 0; e < args->count; e++) {
        if (!isfinite(load(&args->x, e, args->x.dtype))) {
            *args->finite_out = false;
        }
    }
    return MG_OK;
}

static mg_status product_ref(mg_stream *stream, const mg_product_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t o = 0; o < args->rows; o++) {
        for (int64_t i = 0; i < args->columns; i++) {
            float sum = 0.0f;
            for (int64_t r = 0; r < args->rank; r++) {
                sum = fmaf(args->b[o * args->rank + r], args->a[r * args->columns + i], sum);
            }
            args->out[o * args->columns + i] = sum;
        }
    }
    return MG_OK;
}

const mg_mix_ops mg_mix_ops_ref = {
    .average = average_ref,
    .blend = blend_ref,
    .scale = scale_ref,
    .task = task_ref,
    .delta_sum = delta_sum_ref,
    .rank = rank_ref,
    .row_mask = row_mask_ref,
    .dot = dot_ref,
    .bernoulli = bernoulli_ref,
    .finite = finite_ref,
    .angle = angle_ref,
    .keys = keys_ref,
    .short_keys = short_keys_ref,
    .short_mask = short_mask_ref,
    .partition = partition_ref,
    .product = product_ref,
};
