/* merge/method_arcee_fusion.c - takes those changes of the other model that matter
 * (merging.md 4.10).
 *
 * An element's importance is the size of its change times the divergence between the softmaxes of
 * its rows.  Elements above the median plus 1.5 times the interquartile range are taken.  Each step
 * rounds to the work type, as the reference's does: divergences of 16-bit models are little but
 * rounding errors, and the result hangs on them.  The result is float32.  The quartiles of a large
 * tensor come from a sample, drawn from the merge's stream as the reference draws it. */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"
#include "merge/torch_math_internal.h"

#include <math.h>
#include <stdlib.h>

#define SAMPLE_SIZE 1000000
#define SOFTMAX_FLOOR 1e-8f

typedef struct task {
    const mg_job *job;
    float *base; /* becomes the result */
    const float *other;
    float *importance;
    float *room;    /* for a tensor */
    int64_t length; /* of a row */
    float threshold;
} task;

/* The softmax of count values, kept away from zero. */
static void distribution(const mg_job *job, const float *x, int64_t count, float *out)
{
    mg_torch_softmax(x, count, out);
    for (int64_t i = 0; i < count; i++) {
        out[i] = mg_work(job, mg_work(job, out[i]) + SOFTMAX_FLOOR);
    }
}

static float logarithm(float x)
{
    return (float)log((double)x);
}

static void importance_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    const mg_job *job = s->job;
    const bool only = s->length == job->count; /* one row */
    for (int64_t r = first; r < first + count; r++) {
        const float *base = s->base + r * s->length;
        const float *other = s->other + r * s->length;
        float *p = s->importance + r * s->length;
        float *q = s->room + r * s->length;
        distribution(job, other, s->length, p);
        distribution(job, base, s->length, q);
        for (int64_t i = 0; i < s->length; i++) {
            float ratio = mg_work(job, p[i] / q[i]);
            q[i] = mg_work(job, p[i] * mg_work(job, logarithm(ratio)));
        }
        float divergence = only ? mg_tools_total(job, q, s->length)
                                : mg_work(job, mg_tools_row_total(job, q, s->length));
        for (int64_t i = 0; i < s->length; i++) {
            float change = fabsf(mg_work(job, other[i] - base[i]));
            s->importance[r * s->length + i] = mg_work(job, change * divergence);
        }
    }
}

/* The mask is float32, so the last sum is not rounded to the work type. */
static void fuse_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        float mask = s->importance[e] >= s->threshold ? 1.0f : 0.0f;
        s->base[e] += mg_work(s->job, s->other[e] - s->base[e]) * mask;
    }
}

/* NaN is largest. */
static int compare(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    if (isnan(x) || isnan(y)) {
        return (isnan(x) ? 1 : 0) - (isnan(y) ? 1 : 0);
    }
    return x < y ? -1 : x > y ? 1 : 0;
}

/* The next place of the sample, as the reference draws it. */
static int64_t draw_place(mg_job *job)
{
    uint64_t word = mg_mt19937_word(job->mt);
    if (job->count > UINT32_MAX) {
        word = word << 32 | mg_mt19937_word(job->mt);
    }
    return (int64_t)(word % (uint64_t)job->count);
}

/* From a sample, which is sorted; each step rounds to step. */
static float threshold_of(float *sample, int64_t count, mg_dtype step)
{
    qsort(sample, (size_t)count, sizeof(float), compare);
    float last = (float)(count - 1);
    float first_quartile = sample[(int64_t)(0.25f * last)];
    float median = sample[(int64_t)(0.5f * last)];
    float third_quartile = sample[(int64_t)(0.75f * last)];
    double spread = mg_mix_round((double)(third_quartile - first_quartile), step);
    spread = mg_mix_round((double)(1.5f * (float)spread), step);
    return (float)mg_mix_round((double)(median + (float)spread), step);
}

static mg_status find_threshold(mg_job *job, task *s, mg_error *err)
{
    float *sample;
    int64_t count = MG_MIN(job->count, SAMPLE_SIZE);
    MG_TRY(mg_tools_floats(job, 3, count, &sample, err));
    for (int64_t i = 0; i < count; i++) {
        sample[i] = s->importance[job->count <= SAMPLE_SIZE ? i : draw_place(job)];
    }
    s->threshold = threshold_of(sample, count, job->work);
    return MG_OK;
}

/* The same from importances in the device's memory. */
static mg_status threshold_on_device(mg_job *job, const float *importance, float *threshold_out,
                                     mg_error *err)
{
    mg_status status = MG_OK;
    int64_t count = MG_MIN(job->count, SAMPLE_SIZE);
    float *sample = mg_new_array(float, count);
    int64_t *places = mg_new_array(int64_t, count);
    for (int64_t i = 0; i < count; i++) {
        places[i] = job->count <= SAMPLE_SIZE ? i : draw_place(job);
    }
    mg_pick_args pick = { importance, places, count, sample };
    MG_TRY_OR_DONE(job->device->formula->pick(job->stream, &pick, err));
    *threshold_out = threshold_of(sample, count, job->work);

done:
    mg_free(places);
    mg_free(sample);
    return status;
}

static mg_status merge_on_device(mg_job *job, int64_t length, mg_error *err)
{
    const int64_t other = 1 - job->base;
    float *importance, *divergences;
    mg_formula f = mg_tools_formula(job, &other, 1, false);
    f.row_length = length;
    f.row_stride = 1;
    MG_TRY(mg_tools_floats(job, 0, job->count / length, &divergences, err));
    MG_TRY(mg_tools_floats(job, 1, job->count, &importance, err));
    mg_divergence_args rows = { f.base, f.inputs[0], job->work, job->count / length,
                                length, divergences };
    MG_TRY(job->device->formula->divergence(job->stream, &rows, err));
    f.row[0] = divergences;
    MG_TRY(mg_tools_apply(job, MG_FORMULA_IMPORTANCE, &f, importance, err));
    MG_TRY(threshold_on_device(job, importance, &f.scalar[1], err));
    return mg_tools_apply(job, MG_FORMULA_FUSION, &f, NULL, err);
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    const int64_t inputs[2] = { job->base, 1 - job->base };
    float *values, *importance;
    if (job->count == 0) {
        return MG_OK;
    }
    int rank = job->shape.rank;
    int64_t length = rank > 0 ? job->shape.dims[rank - 1] : 1;
    if (mg_tools_on_device(job)) {
        return merge_on_device(job, length, err);
    }
    MG_TRY(mg_tools_load(job, 0, inputs, 2, false, &values, err));
    MG_TRY(mg_tools_floats(job, 1, job->count, &importance, err));
    float *room;
    MG_TRY(mg_tools_floats(job, 2, job->count, &room, err));
    task s = { job, values, values + job->count, importance, room, length, 0.0f };
    mg_tools_run(job, job->count / s.length, 16, importance_range, &s);
    MG_TRY(find_threshold(job, &s, err));
    mg_tools_run(job, job->count, MG_MIX_BLOCK, fuse_range, &s);
    mg_tools_store(job, values);
    return MG_OK;
}

const mg_method mg_method_arcee_fusion = {
    .name = "arcee_fusion",
    .title = "Arcee Fusion",
    .link = "https://arcee.ai",
    .base = MG_BASE_REQUIRED,
    .inputs_min = 2,
    .inputs_max = 2,
    .singleton = MG_SINGLETON_COPY,
    .wide_result = true,
    .merge = merge,
};
