/* merge/method_multislerp.c - interpolation of several models on a sphere (merging.md 4.4).
 *
 * Directions are projected to the tangent space at their weighted mean, averaged there, and
 * projected back; the length is the weighted mean of lengths.  With a base the differences to it
 * are meant. */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"
#include "merge/torch_math_internal.h"

#include <math.h>

enum { PARAM_WEIGHT, PARAM_NORMALIZE, PARAM_EPS };

static const mg_method_param params[] = {
    { "weight", MG_PARAM_FLOAT, MG_PARAM_NON_BASE, true, 0.0 },
    { "normalize_weights", MG_PARAM_BOOL, MG_PARAM_SHARED, false, 1.0 },
    { "eps", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 1e-8 },
};

typedef struct task {
    const mg_job *job;
    const float *x; /* by model */
    int64_t count;  /* models */
    float weights[MG_MIX_INPUTS_MAX];
    float lengths[MG_MIX_INPUTS_MAX]; /* norm + eps */
    float dots[MG_MIX_INPUTS_MAX];
    float *mean;
    float *tangent;
    const float *base; /* NULL = none */
    float mean_norm;
    float cosine, ratio, length;
    int64_t model; /* of a dot product */
} task;

static float unit(const task *s, int64_t k, int64_t e)
{
    return mg_work(s->job, s->x[k * s->job->count + e] / s->lengths[k]);
}

static void round_range(const mg_job *job, float *x, int64_t first, int64_t count)
{
    for (int64_t e = first; e < first + count; e++) {
        x[e] = mg_work(job, x[e]);
    }
}

/* From so many models on torch's order of addition shows; sums over fewer run element by element
 * inside, which makes vector code of them. */
#define ORDERED_MIN 5

static void many_mean(const task *s, int64_t first, int64_t count)
{
    const mg_job *job = s->job;
    for (int64_t e = first; e < first + count; e++) {
        float terms[MG_MIX_INPUTS_MAX];
        for (int64_t k = 0; k < s->count; k++) {
            float unit = mg_work(job, s->x[k * job->count + e] / s->lengths[k]);
            terms[k] = mg_work(job, unit * s->weights[k]);
        }
        s->mean[e] = mg_tools_model_sum(job, terms, s->count, e);
    }
}

static void many_tangent(const task *s, int64_t first, int64_t count)
{
    const mg_job *job = s->job;
    for (int64_t e = first; e < first + count; e++) {
        float terms[MG_MIX_INPUTS_MAX];
        for (int64_t k = 0; k < s->count; k++) {
            float unit = mg_work(job, s->x[k * job->count + e] / s->lengths[k]);
            float across = mg_work(job, unit - mg_work(job, s->dots[k] * s->mean[e]));
            terms[k] = mg_work(job, across * s->weights[k]);
        }
        s->tangent[e] = mg_tools_model_sum(job, terms, s->count, e);
    }
}

static void mean_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    const mg_job *job = s->job;
    float *mean = s->mean;
    if (s->count >= ORDERED_MIN) {
        many_mean(s, first, count);
        return;
    }
    memset(mean + first, 0, (size_t)count * sizeof(float));
    for (int64_t k = 0; k < s->count; k++) {
        const float *x = s->x + k * job->count;
        const float length = s->lengths[k];
        const float weight = s->weights[k];
        for (int64_t e = first; e < first + count; e++) {
            mean[e] += mg_work(job, mg_work(job, x[e] / length) * weight);
        }
    }
    round_range(job, mean, first, count);
}

static void normalize_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        s->mean[e] = mg_work(s->job, s->mean[e] / s->mean_norm);
    }
}

static void unit_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        s->tangent[e] = unit(s, s->model, e);
    }
}

static void tangent_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    const mg_job *job = s->job;
    if (s->count >= ORDERED_MIN) {
        many_tangent(s, first, count);
        return;
    }
    const float *mean = s->mean;
    float *tangent = s->tangent;
    memset(tangent + first, 0, (size_t)count * sizeof(float));
    for (int64_t k = 0; k < s->count; k++) {
        const float *x = s->x + k * job->count;
        const float length = s->lengths[k];
        const float weight = s->weights[k];
        const float dot = s->dots[k];
        for (int64_t e = first; e < first + count; e++) {
            float along = mg_work(job, dot * mean[e]);
            float across = mg_work(job, mg_work(job, x[e] / length) - along);
            tangent[e] += mg_work(job, across * weight);
        }
    }
    round_range(job, tangent, first, count);
}

static float on_base(const task *s, int64_t e, float r)
{
    return s->base != NULL ? mg_work(s->job, r + s->base[e]) : r;
}

static void result_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        float r = mg_formula_multi(s->mean[e], s->tangent[e], s->cosine, s->ratio, s->length,
                                   s->job->work);
        s->mean[e] = on_base(s, e, r);
    }
}

/* Two models whose weighted directions cancel out are averaged plainly. */
static void plain_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        float r = mg_formula_multi_plain(s->x[e], s->x[s->job->count + e], s->weights[0],
                                         s->weights[1], s->job->work);
        s->mean[e] = on_base(s, e, r);
    }
}

static void set_weights(mg_job *job, const int64_t *others, task *s)
{
    const bool half = job->work != MG_F32;
    for (int64_t k = 0; k < s->count; k++) {
        s->weights[k] = mg_work(job, (float)job->inputs[others[k]].params[PARAM_WEIGHT]);
    }
    if (job->params[PARAM_NORMALIZE] != 0.0) {
        float sum = mg_work(job, mg_mix_torch_sum(s->weights, s->count, half));
        for (int64_t k = 0; k < s->count; k++) {
            s->weights[k] = mg_work(job, s->weights[k] / sum);
        }
    }
}

/* The numbers of the last step, from the tangent's norm and the models' lengths. */
static void set_result(const mg_job *job, task *s, float tangent_norm, float eps,
                       const float *norms)
{
    float weighted[MG_MIX_INPUTS_MAX];
    for (int64_t k = 0; k < s->count; k++) {
        weighted[k] = mg_work(job, norms[k] * s->weights[k]);
    }
    float norm = mg_work(job, mg_work(job, tangent_norm) + eps);
    s->cosine = mg_work(job, mg_torch_cos(norm));
    s->ratio = mg_work(job, mg_work(job, mg_torch_sin(norm)) / norm);
    s->length = mg_work(job, mg_mix_torch_sum(weighted, s->count, job->work != MG_F32));
}

static mg_status interpolate(mg_job *job, task *s, float eps, const float *norms, mg_error *err)
{
    s->mean_norm = s->mean_norm > 0.0f ? s->mean_norm : 1.0f;
    mg_tools_run(job, job->count, MG_MIX_BLOCK, normalize_range, s);
    for (s->model = 0; s->model < s->count; s->model++) {
        float dot;
        mg_tools_run(job, job->count, MG_MIX_BLOCK, unit_range, s);
        MG_TRY(mg_tools_product_sum(job, s->tangent, s->mean, false, &dot, err));
        s->dots[s->model] = mg_work(job, dot);
    }
    mg_tools_run(job, job->count, MG_MIX_BLOCK, tangent_range, s);
    set_result(job, s, mg_tools_work_norm(job, s->tangent, job->count, true), eps, norms);
    mg_tools_run(job, job->count, MG_MIX_BLOCK, result_range, s);
    return MG_OK;
}

static mg_status cancelled_out(mg_error *err)
{
    return mg_fail(err, MG_ERR_NUMERIC,
                   "the weighted directions of the models cancel out: change the weights");
}

static mg_status interpolate_on_device(mg_job *job, task *s, mg_formula *f, float eps,
                                       const float *norms, mg_error *err)
{
    double sums[MG_MIX_INPUTS_MAX];
    f->scalar[3] = s->mean_norm > 0.0f ? s->mean_norm : 1.0f;
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_MULTI_DOT, f, false, sums, err));
    for (int64_t k = 0; k < s->count; k++) {
        f->dot[k] = mg_work(job, (float)sums[k]);
    }
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_MULTI_TANGENT, f, false, sums, err));
    set_result(job, s, (float)sqrt(sums[0]), eps, norms);
    f->scalar[0] = s->cosine;
    f->scalar[1] = s->ratio;
    f->scalar[2] = s->length;
    return mg_tools_apply(job, MG_FORMULA_MULTISLERP, f, NULL, err);
}

static mg_status merge_on_device(mg_job *job, const int64_t *others, task *s, mg_error *err)
{
    const float eps = (float)job->params[PARAM_EPS];
    float norms[MG_MIX_INPUTS_MAX];
    double sums[MG_MIX_INPUTS_MAX];
    mg_formula f = mg_tools_formula(job, others, s->count, job->base >= 0);
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_SQUARES, &f, false, sums, err));
    for (int64_t k = 0; k < s->count; k++) {
        norms[k] = mg_work(job, (float)sqrt(sums[k]));
        f.length[k] = mg_work(job, norms[k] + eps);
        f.weight[k] = s->weights[k];
    }
    f.unit = true;
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_MULTI, &f, false, sums, err));
    s->mean_norm = mg_work(job, (float)sqrt(sums[0]));
    if (!(s->mean_norm < eps)) {
        return interpolate_on_device(job, s, &f, eps, norms, err);
    }
    f.unit = false;
    return s->count == 2 ? mg_tools_apply(job, MG_FORMULA_MULTISLERP_PLAIN, &f, NULL, err)
                         : cancelled_out(err);
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    int64_t others[MG_MIX_INPUTS_MAX];
    task s;
    memset(&s, 0, sizeof(s));
    s.job = job;
    s.count = mg_tools_others(job, others);
    if (s.count == 1) {
        return mg_job_copy(job, others[0], err);
    }
    set_weights(job, others, &s);
    if (mg_tools_on_device(job)) {
        return merge_on_device(job, others, &s, err);
    }
    const float eps = (float)job->params[PARAM_EPS];
    float norms[MG_MIX_INPUTS_MAX];
    float *x, *base;
    MG_TRY(mg_tools_load(job, 0, others, s.count, job->base >= 0, &x, err));
    s.x = x;
    if (job->base >= 0) {
        MG_TRY(mg_tools_load(job, 1, &job->base, 1, false, &base, err));
        s.base = base;
    }
    MG_TRY(mg_tools_floats(job, 2, job->count, &s.mean, err));
    MG_TRY(mg_tools_floats(job, 3, job->count, &s.tangent, err));
    for (int64_t k = 0; k < s.count; k++) {
        norms[k] = mg_tools_work_norm(job, x + k * job->count, job->count, false);
        s.lengths[k] = mg_work(job, norms[k] + eps);
    }
    mg_tools_run(job, job->count, MG_MIX_BLOCK, mean_range, &s);
    s.mean_norm = mg_tools_work_norm(job, s.mean, job->count, true);
    if (s.mean_norm < eps && s.count != 2) {
        return cancelled_out(err);
    }
    if (s.mean_norm < eps) {
        mg_tools_run(job, job->count, MG_MIX_BLOCK, plain_range, &s);
    } else {
        MG_TRY(interpolate(job, &s, eps, norms, err));
    }
    mg_tools_store(job, s.mean);
    return MG_OK;
}

const mg_method mg_method_multislerp = {
    .name = "multislerp",
    .title = "Multi-SLERP",
    .link = "https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    .base = MG_BASE_OPTIONAL,
    .inputs_min = 1,
    .non_base_min = 1,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
