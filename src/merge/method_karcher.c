/* merge/method_karcher.c - the point on the unit sphere with the least squared distance to all
 * models (merging.md 4.5; arXiv 2603.04972), found by steps along the mean tangent. */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"
#include "merge/torch_math_internal.h"

#include <math.h>

enum { PARAM_MAX_ITER, PARAM_TOL };

static const mg_method_param params[] = {
    { "max_iter", MG_PARAM_INT, MG_PARAM_SHARED, false, 10.0 },
    { "tol", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 1e-5 },
};

/* Scalars of the reference that are Python numbers stay double; alphas multiply as float32. */
typedef struct task {
    const mg_job *job;
    float *units; /* those of models whose norm counts, behind each other */
    int64_t count;
    float *mean;
    float *tangent;
    float alpha;
    float factor[MG_MIX_INPUTS_MAX]; /* theta / sin theta, 0 = skipped */
    float dots[MG_MIX_INPUTS_MAX];
    float divisor;
    float cosine, sine;
    float *target; /* of divide_range */
} task;

static void divide_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        s->target[e] = mg_work(s->job, s->target[e] / s->divisor);
    }
}

static void divide(const mg_job *job, task *s, float *target, float divisor)
{
    s->target = target;
    s->divisor = divisor;
    mg_tools_run(job, job->count, MG_MIX_BLOCK, divide_range, s);
}

/* Sums over models run element by element inside, which makes vector code of them. */
static void mean_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    const mg_job *job = s->job;
    const float alpha = s->alpha;
    float *mean = s->mean;
    memset(mean + first, 0, (size_t)count * sizeof(float));
    for (int64_t k = 0; k < s->count; k++) {
        const float *unit = s->units + k * job->count;
        for (int64_t e = first; e < first + count; e++) {
            mean[e] = mg_work(job, mean[e] + mg_work(job, alpha * unit[e]));
        }
    }
}

static void tangent_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    const mg_job *job = s->job;
    const float *mean = s->mean;
    float *tangent = s->tangent;
    memset(tangent + first, 0, (size_t)count * sizeof(float));
    for (int64_t k = 0; k < s->count; k++) {
        const float *unit = s->units + k * job->count;
        const float dot = s->dots[k];
        const float factor = s->factor[k];
        if (factor == 0.0f) {
            continue;
        }
        for (int64_t e = first; e < first + count; e++) {
            float along = mg_work(job, dot * mean[e]);
            float across = mg_work(job, unit[e] - along);
            tangent[e] = mg_work(job, tangent[e] + mg_work(job, factor * across));
        }
    }
}

static void step_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        s->mean[e] = mg_formula_karcher_step(s->mean[e], s->tangent[e], s->cosine, s->sine,
                                             s->divisor, s->job->work);
    }
}

static void scale_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        s->mean[e] = mg_work(s->job, s->divisor * s->mean[e]);
    }
}

static float dot_of(const mg_job *job, const float *x, const float *y)
{
    return job->work == MG_F32 ? mg_torch_dot(x, y, job->count, job->torch_threads)
                               : mg_work(job, mg_torch_dot_half(x, y, job->count));
}

/* The model's factor, from the dot product of its direction and the mean. */
static void set_factor(const mg_job *job, task *s, int64_t k, float dot, double tol)
{
    s->dots[k] = dot > 1.0f ? 1.0f : dot < -1.0f ? -1.0f : dot;
    float theta = mg_work(job, mg_torch_acos(s->dots[k]));
    float ratio = mg_work(job, theta / mg_work(job, mg_torch_sin(theta)));
    s->factor[k] = (double)theta < tol ? 0.0f : mg_work(job, s->alpha * ratio);
}

/* One step; false when the mean does not move any more. */
static bool improve(mg_job *job, task *s, double tol)
{
    for (int64_t k = 0; k < s->count; k++) {
        set_factor(job, s, k, dot_of(job, s->mean, s->units + k * job->count), tol);
    }
    mg_tools_run(job, job->count, MG_MIX_BLOCK, tangent_range, s);
    float norm;
    norm = mg_tools_norm(s->tangent, job->count);
    if ((double)norm < tol) {
        return false;
    }
    /* A number in front of a tensor is rounded to the tensor's type. */
    s->cosine = mg_work(job, mg_torch_cos(norm));
    s->sine = mg_work(job, mg_torch_sin(norm));
    s->divisor = norm;
    mg_tools_run(job, job->count, MG_MIX_BLOCK, step_range, s);
    norm = mg_tools_norm(s->mean, job->count);
    if ((double)norm > tol) {
        divide(job, s, s->mean, norm);
    }
    return true;
}

/* Loads all models, and turns those whose norm counts into unit vectors. */
static mg_status load_units(mg_job *job, task *s, double tol, float *scale_out, mg_error *err)
{
    int64_t all[MG_MIX_INPUTS_MAX];
    for (int64_t i = 0; i < job->input_count; i++) {
        all[i] = i;
    }
    MG_TRY(mg_tools_load(job, 0, all, job->input_count, false, &s->units, err));
    *scale_out = 0.0f;
    float alpha = (float)(1.0 / (double)job->input_count);
    for (int64_t i = 0; i < job->input_count; i++) {
        float *unit = s->units + i * job->count;
        float norm;
        norm = mg_tools_norm(unit, job->count);
        *scale_out += alpha * norm;
        if (!((double)norm > tol)) {
            continue;
        }
        divide(job, s, unit, norm);
        float *place = s->units + s->count * job->count;
        if (place != unit) {
            memcpy(place, unit, (size_t)job->count * sizeof(float));
        }
        s->count++;
    }
    return MG_OK;
}

static mg_status norm_on_device(mg_job *job, mg_formula_sum_kind kind, const mg_formula *f,
                                float *norm_out, mg_error *err)
{
    double sum = 0.0;
    MG_TRY(mg_tools_terms(job, kind, f, false, &sum, err));
    *norm_out = (float)sqrt(sum);
    return MG_OK;
}

/* One step from f's mean to another draft; then the new mean is f's. */
static mg_status improve_on_device(mg_job *job, task *s, mg_formula *f, float *next, double tol,
                                   bool *done_out, mg_error *err)
{
    double sums[MG_MIX_INPUTS_MAX];
    float norm;
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_KARCHER_DOT, f, false, sums, err));
    for (int64_t k = 0; k < s->count; k++) {
        set_factor(job, s, k, mg_work(job, (float)sums[k]), tol);
        f->dot[k] = s->dots[k];
        f->weight[k] = s->factor[k];
    }
    MG_TRY(norm_on_device(job, MG_FORMULA_SUM_KARCHER_TANGENT, f, &norm, err));
    *done_out = (double)norm < tol;
    if (*done_out) {
        return MG_OK;
    }
    f->scalar[0] = mg_work(job, mg_torch_cos(norm));
    f->scalar[1] = mg_work(job, mg_torch_sin(norm));
    f->scalar[2] = norm;
    MG_TRY(mg_tools_apply(job, MG_FORMULA_KARCHER_STEP, f, next, err));
    f->mean = next;
    f->mean_divisor = 0.0f;
    MG_TRY(norm_on_device(job, MG_FORMULA_SUM_MEAN, f, &norm, err));
    f->mean_divisor = (double)norm > tol ? norm : 0.0f;
    return MG_OK;
}

/* The formula of all models whose norm counts, as unit vectors. */
static mg_status units_on_device(mg_job *job, task *s, double tol, mg_formula *f, float *scale_out,
                                 mg_error *err)
{
    int64_t all[MG_MIX_INPUTS_MAX];
    double sums[MG_MIX_INPUTS_MAX];
    for (int64_t i = 0; i < job->input_count; i++) {
        all[i] = i;
    }
    *f = mg_tools_formula(job, all, job->input_count, false);
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_SQUARES, f, false, sums, err));
    float alpha = (float)(1.0 / (double)job->input_count);
    *scale_out = 0.0f;
    for (int64_t i = 0; i < job->input_count; i++) {
        float norm = (float)sqrt(sums[i]);
        *scale_out += alpha * norm;
        if ((double)norm > tol) {
            f->inputs[s->count] = job->inputs[i].x;
            f->length[s->count++] = norm;
        }
    }
    f->input_count = MG_MAX(s->count, 1);
    f->unit = s->count > 0;
    return MG_OK;
}

static mg_status merge_on_device(mg_job *job, task *s, double tol, mg_error *err)
{
    mg_formula f;
    float scale, norm;
    float *drafts[2];
    bool done = false;
    MG_TRY(units_on_device(job, s, tol, &f, &scale, err));
    MG_TRY(mg_tools_floats(job, 1, job->count, &drafts[0], err));
    MG_TRY(mg_tools_floats(job, 2, job->count, &drafts[1], err));
    f.scalar[0] = 0.0f; /* without a mean the result is zeros */
    if (s->count == 0) {
        return mg_tools_apply(job, MG_FORMULA_KARCHER_SCALE, &f, NULL, err);
    }
    s->alpha = (float)(1.0 / (double)s->count);
    f.scalar[0] = s->alpha;
    MG_TRY(mg_tools_apply(job, MG_FORMULA_KARCHER_MEAN, &f, drafts[0], err));
    f.mean = drafts[0];
    MG_TRY(norm_on_device(job, MG_FORMULA_SUM_MEAN, &f, &norm, err));
    f.mean_divisor = norm;
    if ((double)norm < tol) {
        mg_formula first = f; /* the first direction instead */
        first.input_count = 1;
        first.scalar[0] = 1.0f;
        MG_TRY(mg_tools_apply(job, MG_FORMULA_KARCHER_MEAN, &first, drafts[0], err));
        f.mean_divisor = 0.0f;
    }
    for (int64_t i = 0; i < (int64_t)job->params[PARAM_MAX_ITER] && !done; i++) {
        MG_TRY(improve_on_device(job, s, &f, drafts[(i + 1) % 2], tol, &done, err));
    }
    f.scalar[0] = mg_work(job, scale);
    return mg_tools_apply(job, MG_FORMULA_KARCHER_SCALE, &f, NULL, err);
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    if (job->input_count == 1) {
        return mg_job_copy(job, 0, err);
    }
    const double tol = job->params[PARAM_TOL];
    task s;
    memset(&s, 0, sizeof(s));
    s.job = job;
    float scale, norm;
    if (mg_tools_on_device(job)) {
        return merge_on_device(job, &s, tol, err);
    }
    MG_TRY(load_units(job, &s, tol, &scale, err));
    MG_TRY(mg_tools_floats(job, 1, job->count, &s.mean, err));
    MG_TRY(mg_tools_floats(job, 2, job->count, &s.tangent, err));
    if (s.count == 0) {
        memset(s.mean, 0, (size_t)job->count * sizeof(float));
        mg_tools_store(job, s.mean);
        return MG_OK;
    }
    s.alpha = (float)(1.0 / (double)s.count);
    mg_tools_run(job, job->count, MG_MIX_BLOCK, mean_range, &s);
    norm = mg_tools_norm(s.mean, job->count);
    if ((double)norm < tol) {
        memcpy(s.mean, s.units, (size_t)job->count * sizeof(float));
    } else {
        divide(job, &s, s.mean, norm);
    }
    bool moves = true;
    for (int64_t i = 0; i < (int64_t)job->params[PARAM_MAX_ITER] && moves; i++) {
        moves = improve(job, &s, tol);
    }
    s.divisor = mg_work(job, scale);
    mg_tools_run(job, job->count, MG_MIX_BLOCK, scale_range, &s);
    mg_tools_store(job, s.mean);
    return MG_OK;
}

const mg_method mg_method_karcher = {
    .name = "karcher",
    .title = "Karcher Mean",
    .link = "https://arxiv.org/abs/2603.04972",
    .base = MG_BASE_IGNORED,
    .inputs_min = 1,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
