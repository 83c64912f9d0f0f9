/* merge/method_nuslerp.c - spherical interpolation of two models, or of their differences to a
 * base, whole or row by row (merging.md 4.3). */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"

#include <math.h>

enum { PARAM_WEIGHT, PARAM_ROW_WISE, PARAM_FLATTEN };

#define NORM_MIN 1e-7f
/* A pair counts as colinear when 1 - cosine^2 is at most this. */
#define COLINEAR_MAX 1e-16f

static const mg_method_param params[] = {
    { "weight", MG_PARAM_FLOAT, MG_PARAM_NON_BASE, true, 0.0 },
    { "nuslerp_row_wise", MG_PARAM_BOOL, MG_PARAM_SHARED, false, 0.0 },
    { "nuslerp_flatten", MG_PARAM_BOOL, MG_PARAM_SHARED, false, 1.0 },
};

/* Vector r has elements at first(r) + i * stride. */
typedef struct task {
    const mg_job *job;
    const float *x, *y;
    const float *base; /* NULL = none */
    float *out;        /* may be x */
    double t;
    int64_t length;
    int64_t stride;
} task;

typedef struct coefficients {
    bool linear;
    float a, b, sine;
} coefficients;

static coefficients coefficients_of(const mg_job *job, double t, float cosine)
{
    coefficients c;
    cosine = cosine > 1.0f ? 1.0f : cosine < -1.0f ? -1.0f : cosine;
    c.linear = mg_work(job, 1.0f - mg_work(job, cosine * cosine)) <= COLINEAR_MAX;
    if (c.linear) {
        c.a = (float)(1.0 - t);
        c.b = (float)t;
        c.sine = 1.0f;
        return c;
    }
    float theta = mg_work(job, acosf(cosine));
    c.sine = mg_work(job, sinf(theta));
    c.a = mg_work(job, sinf(mg_work(job, (float)(1.0 - t) * theta)));
    c.b = mg_work(job, sinf(mg_work(job, (float)t * theta)));
    return c;
}

static float combine(const mg_job *job, const coefficients *c, float x, float y)
{
    float sum = mg_work(job, mg_work(job, c->a * x) + mg_work(job, c->b * y));
    return c->linear ? sum : mg_work(job, sum / c->sine);
}

static void put(const task *s, int64_t e, const coefficients *c)
{
    float r = combine(s->job, c, s->x[e], s->y[e]);
    s->out[e] = s->base != NULL ? mg_work(s->job, s->base[e] + r) : r;
}

static float clamp_norm(const mg_job *job, double squares)
{
    float norm = mg_work(job, (float)sqrt(squares));
    float least = mg_work(job, NORM_MIN);
    return norm < least ? least : norm;
}

static float unit_product(const mg_job *job, float x, float norm_x, float y, float norm_y)
{
    return mg_work(job, mg_work(job, x / norm_x) * mg_work(job, y / norm_y));
}

static void vector_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    const mg_job *job = s->job;
    for (int64_t r = first; r < first + count; r++) {
        int64_t at = s->stride == 1 ? r * s->length : r;
        double xx = 0.0, yy = 0.0, xy = 0.0;
        for (int64_t i = 0; i < s->length; i++) {
            int64_t e = at + i * s->stride;
            xx += (double)s->x[e] * (double)s->x[e];
            yy += (double)s->y[e] * (double)s->y[e];
        }
        float norm_x = clamp_norm(job, xx);
        float norm_y = clamp_norm(job, yy);
        for (int64_t i = 0; i < s->length; i++) {
            int64_t e = at + i * s->stride;
            xy += (double)unit_product(job, s->x[e], norm_x, s->y[e], norm_y);
        }
        coefficients c = coefficients_of(job, s->t, mg_work(job, (float)xy));
        for (int64_t i = 0; i < s->length; i++) {
            put(s, at + i * s->stride, &c);
        }
    }
}

typedef struct whole {
    const task *s;
    float norm_x, norm_y;
    coefficients c;
} whole;

static double whole_products(const void *context, int64_t first, int64_t count)
{
    const whole *w = (const whole *)context;
    double sum = 0.0;
    for (int64_t e = first; e < first + count; e++) {
        sum += (double)unit_product(w->s->job, w->s->x[e], w->norm_x, w->s->y[e], w->norm_y);
    }
    return sum;
}

static void whole_range(void *context, int64_t first, int64_t count)
{
    const whole *w = (const whole *)context;
    for (int64_t e = first; e < first + count; e++) {
        put(w->s, e, &w->c);
    }
}

static mg_status merge_whole(mg_job *job, const task *s, mg_error *err)
{
    whole w;
    memset(&w, 0, sizeof(w));
    w.s = s;
    float norm;
    double sum;
    MG_TRY(mg_tools_norm(job, s->x, job->count, &norm, err));
    w.norm_x = clamp_norm(job, (double)norm * (double)norm);
    MG_TRY(mg_tools_norm(job, s->y, job->count, &norm, err));
    w.norm_y = clamp_norm(job, (double)norm * (double)norm);
    MG_TRY(mg_tools_sum(job, job->count, whole_products, &w, &sum, err));
    w.c = coefficients_of(job, s->t, mg_work(job, (float)sum));
    mg_tools_run(job, job->count, MG_MIX_BLOCK, whole_range, &w);
    return MG_OK;
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    int64_t others[MG_MIX_INPUTS_MAX];
    (void)mg_tools_others(job, others);
    double weight_x = job->inputs[others[0]].params[PARAM_WEIGHT];
    double weight_y = job->inputs[others[1]].params[PARAM_WEIGHT];
    double total = weight_x + weight_y;
    float *values;
    float *base = NULL;
    MG_TRY(mg_tools_load(job, 0, others, 2, job->base >= 0, &values, err));
    if (job->base >= 0) {
        MG_TRY(mg_tools_load(job, 1, &job->base, 1, false, &base, err));
    }
    task s = { job,        values, values + job->count,
               base,       values, fabs(total) < 1e-6 ? 0.5 : weight_y / total,
               job->count, 1 };
    int rank = job->shape.rank;
    if (job->params[PARAM_FLATTEN] != 0.0 || rank < 2 || job->count == 0) {
        MG_TRY(merge_whole(job, &s, err));
    } else {
        bool columns = job->params[PARAM_ROW_WISE] != 0.0; /* the option's name is the other way */
        s.length = columns ? job->shape.dims[0] : job->shape.dims[rank - 1];
        s.stride = columns ? job->count / s.length : 1;
        mg_tools_run(job, job->count / s.length, 16, vector_range, &s);
    }
    mg_tools_store(job, values);
    return MG_OK;
}

const mg_method mg_method_nuslerp = {
    .name = "nuslerp",
    .title = "NuSLERP",
    .base = MG_BASE_OPTIONAL,
    .non_base_min = 2,
    .non_base_max = 2,
    .inputs_min = 1,
    .singleton = MG_SINGLETON_COPY,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
