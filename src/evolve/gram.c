/* evolve/gram.c - see gram.h.
 *
 * Tensors are summed by themselves, chunk by chunk in a fixed order, and then in the order of their
 * names: the result does not depend on threads. */
#include "evolve/gram.h"

#include <string.h>

#include "base/memory.h"
#include "evolve/genome.h"

#define CHUNK 16384 /* elements */

int64_t mg_gram_segment(mg_str tensor, int64_t layers)
{
    for (int64_t i = 0; mg_genome_layer_filters[i] != NULL; i++) {
        mg_str filter = mg_str_of(mg_genome_layer_filters[i]);
        int64_t at = mg_str_find(tensor, filter, 0);
        if (at < 0) {
            continue;
        }
        mg_str rest = mg_str_slice(tensor, (size_t)at + filter.size, tensor.size);
        mg_str number;
        int64_t layer = -1;
        if (mg_str_split(&rest, '.', &number) && mg_str_to_int(number, &layer) && layer >= 0 &&
            layer < layers) {
            return layer + 1;
        }
    }
    for (int64_t i = 0; mg_genome_embedding_filters[i] != NULL; i++) {
        if (mg_str_find(tensor, mg_str_of(mg_genome_embedding_filters[i]), 0) >= 0) {
            return 0;
        }
    }
    return layers + 1;
}

typedef struct job {
    const mg_checkpoint *base;
    const mg_checkpoint **models;
    int64_t count;
    double *sums;        /* (tensors of base, count, count) */
    mg_status *statuses; /* by tensor */
    mg_error *errors;
} job;

/* One chunk of the differences of all models, to deltas (count, CHUNK). */
static void read_chunk(const job *j, const mg_view *base, const mg_view *const *views,
                       int64_t begin, int64_t size, float *values, float *deltas)
{
    size_t width = (size_t)mg_dtype_bits(base->dtype) / 8;
    mg_dtype_convert(values, MG_F32, (const char *)base->data + (size_t)begin * width, base->dtype,
                     size);
    for (int64_t m = 0; m < j->count; m++) {
        float *delta = deltas + m * CHUNK;
        if (views[m] == NULL) {
            memset(delta, 0, (size_t)size * sizeof(float));
            continue;
        }
        width = (size_t)mg_dtype_bits(views[m]->dtype) / 8;
        mg_dtype_convert(delta, MG_F32, (const char *)views[m]->data + (size_t)begin * width,
                         views[m]->dtype, size);
        for (int64_t i = 0; i < size; i++) {
            delta[i] -= values[i];
        }
    }
}

static mg_status sum_tensor(const job *j, int64_t index, mg_error *err)
{
    mg_view base = mg_checkpoint_at(j->base, index);
    double *sums = j->sums + index * j->count * j->count;
    if (!mg_dtype_is_float(base.dtype)) {
        return MG_OK;
    }
    const mg_view **views = mg_new_array(const mg_view *, j->count);
    float *values = mg_new_array(float, CHUNK);
    float *deltas = mg_new_array(float, j->count *CHUNK);
    mg_status status = MG_OK;
    int64_t total = mg_shape_count(&base.shape);
    MG_TRY_OR_DONE(mg_checkpoint_prepare(j->base, &base, err));
    for (int64_t m = 0; m < j->count; m++) {
        const mg_view *view = mg_checkpoint_find(j->models[m], base.name);
        bool usable = view != NULL && mg_dtype_is_float(view->dtype) &&
                      mg_shape_equal(&view->shape, &base.shape);
        views[m] = usable ? view : NULL;
        if (usable) {
            MG_TRY_OR_DONE(mg_checkpoint_prepare(j->models[m], view, err));
        }
    }
    for (int64_t begin = 0; begin < total; begin += CHUNK) {
        int64_t size = MG_MIN(CHUNK, total - begin);
        read_chunk(j, &base, views, begin, size, values, deltas);
        for (int64_t a = 0; a < j->count; a++) {
            for (int64_t b = 0; b <= a; b++) {
                double sum = 0.0;
                for (int64_t i = 0; i < size; i++) {
                    sum += (double)deltas[a * CHUNK + i] * (double)deltas[b * CHUNK + i];
                }
                sums[a * j->count + b] += sum;
            }
        }
    }

done:
    mg_free(views);
    mg_free(values);
    mg_free(deltas);
    return status;
}

static void run_tensor(void *context, int64_t index, int worker)
{
    (void)worker;
    job *j = context;
    j->statuses[index] = sum_tensor(j, index, &j->errors[index]);
}

mg_status mg_gram_compute(mg_model_set *models, const mg_model_ref *base, const mg_model_ref *refs,
                          int64_t count, int64_t layers, mg_pool *pool, double *sizes_out,
                          double *gram_out, mg_error *err)
{
    mg_snapshot *snapshot;
    mg_status status = MG_OK;
    job j = { .models = mg_new_array(const mg_checkpoint *, count), .count = count };
    MG_TRY_OR_DONE(mg_model_set_get(models, base, &snapshot, err));
    j.base = snapshot->checkpoint;
    for (int64_t m = 0; m < count; m++) {
        MG_TRY_OR_DONE(mg_model_set_get(models, &refs[m], &snapshot, err));
        j.models[m] = snapshot->checkpoint;
    }
    int64_t tensors = mg_checkpoint_count(j.base);
    j.sums = mg_new_array(double, MG_MAX(tensors * count * count, 1));
    j.statuses = mg_new_array(mg_status, MG_MAX(tensors, 1));
    j.errors = mg_new_array(mg_error, MG_MAX(tensors, 1));
    mg_pool_run(pool, tensors, run_tensor, &j);
    for (int64_t g = 0; g < layers + 2; g++) {
        sizes_out[g] = 0.0;
    }
    memset(gram_out, 0, (size_t)((layers + 2) * count * count) * sizeof(double));
    for (int64_t t = 0; t < tensors; t++) {
        if (j.statuses[t] != MG_OK) {
            status = mg_fail(err, j.statuses[t], "%s", j.errors[t].message);
            goto done;
        }
        mg_view view = mg_checkpoint_at(j.base, t);
        int64_t segment = mg_gram_segment(view.name, layers);
        sizes_out[segment] += (double)mg_shape_count(&view.shape);
        for (int64_t a = 0; a < count; a++) {
            for (int64_t b = 0; b < count; b++) {
                double sum = j.sums[(t * count + MG_MAX(a, b)) * count + MG_MIN(a, b)];
                gram_out[(segment * count + a) * count + b] += sum;
            }
        }
    }

done:
    mg_free(j.models);
    mg_free(j.sums);
    mg_free(j.statuses);
    mg_free(j.errors);
    return status;
}
