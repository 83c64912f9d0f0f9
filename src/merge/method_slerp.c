/* merge/method_slerp.c - along the great circle between base and other (merging.md 4.2).
 *
 * Norms and angle are those of the whole tensor; the coefficients act on the tensors themselves.
 * Nearly parallel and antiparallel pairs are interpolated linearly. */
#include "merge/method_internal.h"
#include "merge/torch_math_internal.h"

#include <math.h>

enum { PARAM_T };

/* Beyond this |cosine| the sines in the coefficients lose their meaning. */
#define SLERP_COSINE_MAX 0.9995
#define SLERP_NORM_MIN 1e-8

static const mg_method_param params[] = {
    { "t", MG_PARAM_FLOAT, MG_PARAM_SHARED, true, 0.0 },
};

/* Coefficients in float32, as the reference computes them. */
static void coefficients_f32(float t, float cosine, double *a_out, double *b_out)
{
    if (fabsf(cosine) > (float)SLERP_COSINE_MAX) {
        *a_out = (double)(1.0f - t);
        *b_out = (double)t;
        return;
    }
    float theta = mg_torch_acos(cosine);
    float sine = mg_torch_sin(theta);
    *a_out = (double)(mg_torch_sin((1.0f - t) * theta) / sine);
    *b_out = (double)(mg_torch_sin(t * theta) / sine);
}

static void coefficients_f64(double t, double cosine, double *a_out, double *b_out)
{
    if (fabs(cosine) > SLERP_COSINE_MAX) {
        *a_out = 1.0 - t;
        *b_out = t;
        return;
    }
    double theta = acos(cosine);
    *a_out = sin((1.0 - t) * theta) / sin(theta);
    *b_out = sin(t * theta) / sin(theta);
}

/* From sums over the whole tensors, where the device has no operation for the angle. */
static mg_status cosine_from_sums(mg_job *job, mg_mix_input a, mg_mix_input b, double *cosine_out,
                                  mg_error *err)
{
    double aa, bb, ab;
    mg_dot_args dot = { a, b, job->work, job->count, &aa, &bb, &ab };
    MG_TRY(job->device->mix->dot(job->stream, &dot, err));
    double norm_a = sqrt(aa) > SLERP_NORM_MIN ? sqrt(aa) : 1.0;
    double norm_b = sqrt(bb) > SLERP_NORM_MIN ? sqrt(bb) : 1.0;
    double cosine = ab / norm_a / norm_b;
    *cosine_out = cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
    return MG_OK;
}

static mg_status merge(mg_job *job, mg_error *err)
{
    mg_mix_input a = job->inputs[job->base].x;
    mg_mix_input b = job->inputs[1 - job->base].x;
    double cosine;
    if (job->device->mix->angle != NULL) {
        mg_angle_args angle = { a, b, job->work, job->count, job->torch_threads, &cosine };
        MG_TRY(job->device->mix->angle(job->stream, &angle, err));
    } else {
        MG_TRY(cosine_from_sums(job, a, b, &cosine, err));
    }
    mg_blend_args blend = { job->out, job->out_dtype, job->work, a, b, 0.0, 0.0, job->count };
    if (job->work == MG_F64) {
        coefficients_f64(job->params[PARAM_T], cosine, &blend.a, &blend.b);
    } else {
        coefficients_f32((float)job->params[PARAM_T], (float)cosine, &blend.a, &blend.b);
    }
    return job->device->mix->blend(job->stream, &blend, err);
}

const mg_method mg_method_slerp = {
    .name = "slerp",
    .title = "SLERP",
    .link = "https://en.wikipedia.org/wiki/Slerp",
    .base = MG_BASE_REQUIRED,
    .inputs_min = 2,
    .inputs_max = 2,
    .singleton = MG_SINGLETON_COPY,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
