/* merge/method_nuslerp.c - spherical interpolation of two models, or of their differences to a
 * base, whole or row by row (merging.md 4.3). */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"
#include "merge/torch_math_internal.h"

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
    float *products;   /* room for a tensor */
    double t;
    int64_t length;
    int64_t stride;
} task;

/* Colinear vectors have a sine of 1. */
typedef struct coefficients {
    float a, b, sine;
} coefficients;

static coefficients coefficients_of(const mg_job *job, double t, float cosine)
{
    coefficients c;
    cosine = cosine > 1.0f ? 1.0f : cosine < -1.0f ? -1.0f : cosine;
    if (mg_work(job, 1.0f - mg_work(job, cosine * cosine)) <= COLINEAR_MAX) {
        c.a = (float)(1.0 - t);
        c.b = (float)t;
        c.sine = 1.0f;
        return c;
    }
    float theta = mg_work(job, mg_torch_acos(cosine));
    c.sine = mg_work(job, mg_torch_sin(theta));
    c.a = mg_work(job, mg_torch_sin(mg_work(job, (float)(1.0 - t) * theta)));
    c.b = mg_work(job, mg_torch_sin(mg_work(job, (float)t * theta)));
    return c;
}

static void put(const task *s, int64_t e, const coefficients *c)
{
    float r = mg_formula_nuslerp(s->x[e], s->y[e], c->a, c->b, c->sine, s->job->work);
    s->out[e] = s->base != NULL ? mg_work(s->job, s->base[e] + r) : r;
}

static float clamp_norm(const mg_job *job, float norm)
{
    norm = mg_work(job, norm);
    float least = mg_work(job, NORM_MIN);
    return norm < least ? least : norm;
}

static float unit_product(const mg_job *job, float x, float norm_x, float y, float norm_y)
{
    return mg_work(job, mg_work(job, x / norm_x) * mg_work(job, y / norm_y));
}

/* The norm of a vector that may not be contiguous: torch adds a column's squares one by one. */
static float vector_norm(const task *s, const float *x, int64_t at)
{
    if (s->stride == 1) {
        return clamp_norm(s->job, mg_tools_work_norm(s->job, x + at, s->length, false));
    }
    float sum = 0.0f;
    for (int64_t i = 0; i < s->length; i++) {
        sum += x[at + i * s->stride] * x[at + i * s->stride];
    }
    return clamp_norm(s->job, sqrtf(sum));
}

static float vector_cosine(const task *s, int64_t at, float norm_x, float norm_y)
{
    for (int64_t i = 0; i < s->length; i++) {
        int64_t e = at + i * s->stride;
        s->products[e] = unit_product(s->job, s->x[e], norm_x, s->y[e], norm_y);
    }
    if (s->stride == 1) {
        return mg_tools_row_total(s->job, s->products + at, s->length);
    }
    bool tail = at >= s->stride - MG_MIX_TAIL(s->stride);
    return mg_mix_column_sum(s->products + at, s->stride, s->length, tail);
}

static void vector_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t r = first; r < first + count; r++) {
        int64_t at = s->stride == 1 ? r * s->length : r;
        float norm_x = vector_norm(s, s->x, at);
        float norm_y = vector_norm(s, s->y, at);
        float cosine = vector_cosine(s, at, norm_x, norm_y);
        coefficients c = coefficients_of(s->job, s->t, mg_work(s->job, cosine));
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

static void whole_products(void *context, int64_t first, int64_t count)
{
    const whole *w = (const whole *)context;
    const task *s = w->s;
    for (int64_t e = first; e < first + count; e++) {
        s->products[e] = unit_product(s->job, s->x[e], w->norm_x, s->y[e], w->norm_y);
    }
}

static void whole_range(void *context, int64_t first, int64_t count)
{
    const whole *w = (const whole *)context;
    for (int64_t e = first; e < first + count; e++) {
        put(w->s, e, &w->c);
    }
}

static void merge_whole(mg_job *job, const task *s)
{
    whole w;
    memset(&w, 0, sizeof(w));
    w.s = s;
    w.norm_x = clamp_norm(job, mg_tools_work_norm(job, s->x, job->count, true));
    w.norm_y = clamp_norm(job, mg_tools_work_norm(job, s->y, job->count, true));
    mg_tools_run(job, job->count, MG_MIX_BLOCK, whole_products, &w);
    float sum = mg_tools_total(job, s->products, job->count);
    w.c = coefficients_of(job, s->t, mg_work(job, sum));
    mg_tools_run(job, job->count, MG_MIX_BLOCK, whole_range, &w);
}

/* Numbers of vectors: norms of x and y, then coefficients in their places. */
typedef struct vector_numbers {
    double *sums;
    float *row[3];
} vector_numbers;

/* The numbers of all vectors into scratch, for the formula. */
static mg_status give_rows(mg_job *job, const vector_numbers *v, int count, int64_t vectors,
                           mg_formula *f, mg_error *err)
{
    for (int i = 0; i < count; i++) {
        MG_TRY(mg_tools_row(job, i, v->row[i], vectors, &f->row[i], err));
    }
    return MG_OK;
}

static mg_status merge_vectors(mg_job *job, double t, int64_t vectors, mg_formula *f,
                               vector_numbers *v, mg_error *err)
{
    bool by_vector = f->row_length > 0;
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_SQUARES, f, by_vector, v->sums, err));
    for (int64_t r = 0; r < vectors; r++) {
        v->row[0][r] = clamp_norm(job, (float)sqrt(v->sums[2 * r]));
        v->row[1][r] = clamp_norm(job, (float)sqrt(v->sums[2 * r + 1]));
    }
    MG_TRY(give_rows(job, v, by_vector ? 2 : 0, vectors, f, err));
    f->length[0] = v->row[0][0];
    f->length[1] = v->row[1][0];
    f->unit = true;
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_PRODUCT, f, by_vector, v->sums, err));
    for (int64_t r = 0; r < vectors; r++) {
        coefficients c = coefficients_of(job, t, mg_work(job, (float)v->sums[r]));
        v->row[0][r] = c.a;
        v->row[1][r] = c.b;
        v->row[2][r] = c.sine;
    }
    MG_TRY(give_rows(job, v, by_vector ? 3 : 0, vectors, f, err));
    for (int i = 0; i < 3; i++) {
        f->scalar[i] = v->row[i][0];
    }
    f->unit = false;
    return mg_tools_apply(job, MG_FORMULA_NUSLERP, f, NULL, err);
}

/* length 0: the whole tensor is one vector. */
static mg_status merge_on_device(mg_job *job, const int64_t *others, double t, int64_t length,
                                 int64_t stride, mg_error *err)
{
    mg_formula f = mg_tools_formula(job, others, 2, job->base >= 0);
    int64_t vectors = length > 0 ? job->count / length : 1;
    vector_numbers v;
    f.row_length = length;
    f.row_stride = stride;
    v.sums = mg_new_array(double, 2 * vectors);
    for (int i = 0; i < 3; i++) {
        v.row[i] = mg_new_array(float, vectors);
    }
    mg_status status = merge_vectors(job, t, vectors, &f, &v, err);
    for (int i = 0; i < 3; i++) {
        mg_free(v.row[i]);
    }
    mg_free(v.sums);
    return status;
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    int64_t others[MG_MIX_INPUTS_MAX];
    (void)mg_tools_others(job, others);
    double weight_x = job->inputs[others[0]].params[PARAM_WEIGHT];
    double weight_y = job->inputs[others[1]].params[PARAM_WEIGHT];
    double total = weight_x + weight_y;
    double t = fabs(total) < 1e-6 ? 0.5 : weight_y / total;
    int rank = job->shape.rank;
    bool flat = job->params[PARAM_FLATTEN] != 0.0 || rank < 2 || job->count == 0;
    bool columns = job->params[PARAM_ROW_WISE] != 0.0; /* the option's name is the other way */
    int64_t length = flat ? 0 : columns ? job->shape.dims[0] : job->shape.dims[rank - 1];
    int64_t stride = !flat && columns ? job->count / length : 1;
    if (mg_tools_on_device(job)) {
        return merge_on_device(job, others, t, length, stride, err);
    }
    float *values;
    float *base = NULL;
    float *room;
    MG_TRY(mg_tools_floats(job, 2, job->count, &room, err));
    MG_TRY(mg_tools_load(job, 0, others, 2, job->base >= 0, &values, err));
    if (job->base >= 0) {
        MG_TRY(mg_tools_load(job, 1, &job->base, 1, false, &base, err));
    }
    task s = { .job = job,
               .x = values,
               .y = values + job->count,
               .base = base,
               .out = values,
               .products = room,
               .t = t,
               .length = flat ? job->count : length,
               .stride = stride };
    if (flat) {
        merge_whole(job, &s);
    } else {
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
