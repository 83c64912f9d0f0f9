/* merge/method_model_stock.c - between the base and the average of the others, as far as the angles
 * between their differences say (merging.md 4.8; arXiv 2403.19522). */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"

#include <math.h>

enum { PARAM_FILTER_WISE };

/* Products of norms, and denominators, below this count as this, and as singular. */
#define MODEL_STOCK_MIN 1e-6f

static const mg_method_param params[] = {
    { "filter_wise", MG_PARAM_BOOL, MG_PARAM_SHARED, false, 0.0 },
};

typedef struct task {
    const mg_job *job;
    const float *deltas; /* by model */
    float *base;         /* becomes the result */
    const float *others; /* by model */
    int64_t count;       /* models */
    float *products;     /* of rows */
    int64_t length;      /* of a row */
    float t;             /* of the whole tensor */
} task;

/* The share of the average, from the sum of the cosines between pairs. */
static float share_of(const mg_job *job, float sum, int64_t pairs, int64_t count)
{
    float cosine = mg_work(job, sum / (float)pairs);
    float n = (float)count;
    float denominator = mg_work(job, 1.0f + mg_work(job, (n - 1.0f) * cosine));
    if (fabsf(denominator) < MODEL_STOCK_MIN) {
        return 0.0f;
    }
    return mg_work(job, mg_work(job, n * cosine) / denominator);
}

static float cosine_of(const mg_job *job, float dot, float norm_a, float norm_b)
{
    float least = mg_work(job, MODEL_STOCK_MIN);
    float product = mg_work(job, norm_a * norm_b);
    float cosine = mg_work(job, dot / (product < least ? least : product));
    return cosine > 1.0f ? 1.0f : cosine < -1.0f ? -1.0f : cosine;
}

static void blend(const task *s, int64_t e, float t)
{
    const mg_job *job = s->job;
    s->base[e] = mg_formula_stock(s->others + e, job->count, s->count, s->base[e], t, job->work);
}

static void whole_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        blend(s, e, s->t);
    }
}

static float row_norm(const task *s, int64_t model, int64_t first)
{
    return mg_tools_work_norm(s->job, s->deltas + model * s->job->count + first, s->length, false);
}

/* products has room for the row at the same place. */
static float row_dot(const task *s, int64_t a, int64_t b, int64_t first)
{
    const float *x = s->deltas + a * s->job->count + first;
    const float *y = s->deltas + b * s->job->count + first;
    float *products = s->products + first;
    for (int64_t i = 0; i < s->length; i++) {
        products[i] = mg_work(s->job, x[i] * y[i]);
    }
    return mg_work(s->job, mg_tools_row_total(s->job, products, s->length));
}

static void row_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    float norms[MG_MIX_INPUTS_MAX];
    float cosines[MG_MIX_INPUTS_MAX * MG_MIX_INPUTS_MAX / 2];
    const int64_t rows = s->job->count / s->length;
    for (int64_t r = first; r < first + count; r++) {
        int64_t pairs = 0;
        for (int64_t a = 0; a < s->count; a++) {
            norms[a] = row_norm(s, a, r * s->length);
        }
        for (int64_t a = 0; a < s->count; a++) {
            for (int64_t b = a + 1; b < s->count; b++) {
                float dot = row_dot(s, a, b, r * s->length);
                cosines[pairs++] = cosine_of(s->job, dot, norms[a], norms[b]);
            }
        }
        bool tail = r >= rows - MG_MIX_TAIL(rows);
        float t = share_of(s->job, mg_mix_model_sum(cosines, pairs, tail), pairs, s->count);
        for (int64_t i = 0; i < s->length; i++) {
            blend(s, r * s->length + i, t);
        }
    }
}

static mg_status whole_share(mg_job *job, task *s, mg_error *err)
{
    float norms[MG_MIX_INPUTS_MAX];
    float cosines[MG_MIX_INPUTS_MAX * MG_MIX_INPUTS_MAX / 2];
    int64_t pairs = 0;
    for (int64_t a = 0; a < s->count; a++) {
        norms[a] = mg_tools_work_norm(job, s->deltas + a * job->count, job->count, true);
    }
    for (int64_t a = 0; a < s->count; a++) {
        for (int64_t b = a + 1; b < s->count; b++) {
            float dot;
            MG_TRY(mg_tools_product_sum(job, s->deltas + a * job->count, s->deltas + b * job->count,
                                        true, &dot, err));
            cosines[pairs++] = cosine_of(job, mg_work(job, dot), norms[a], norms[b]);
        }
    }
    s->t = share_of(job, mg_tools_row_total(job, cosines, pairs), pairs, s->count);
    return MG_OK;
}

/* The share of one vector from its sums: squares, then products of pairs. */
static float share_of_sums(const mg_job *job, const double *sums, int64_t count)
{
    float cosines[MG_MIX_INPUTS_MAX * MG_MIX_INPUTS_MAX / 2];
    int64_t pairs = 0;
    for (int64_t a = 0; a < count; a++) {
        for (int64_t b = a + 1; b < count; b++) {
            float norm_a = mg_work(job, (float)sqrt(sums[a]));
            float norm_b = mg_work(job, (float)sqrt(sums[b]));
            float dot = mg_work(job, (float)sums[count + b * (b - 1) / 2 + a]);
            cosines[pairs++] = cosine_of(job, dot, norm_a, norm_b);
        }
    }
    return share_of(job, mg_tools_row_total(job, cosines, pairs), pairs, count);
}

static mg_status merge_on_device(mg_job *job, const int64_t *others, int64_t count, int64_t length,
                                 mg_error *err)
{
    mg_status status = MG_OK;
    mg_formula f = mg_tools_formula(job, others, count, true);
    bool by_row = job->params[PARAM_FILTER_WISE] != 0.0 && length > 0 && job->count > 0;
    int64_t rows = by_row ? job->count / length : 1;
    int64_t terms = mg_formula_terms(MG_FORMULA_SUM_ANGLES, count);
    double *sums = mg_new_array(double, rows *terms);
    float *shares = mg_new_array(float, rows);
    f.row_length = by_row ? length : 0;
    f.row_stride = 1;
    MG_TRY_OR_DONE(mg_tools_terms(job, MG_FORMULA_SUM_ANGLES, &f, by_row, sums, err));
    for (int64_t r = 0; r < rows; r++) {
        shares[r] = share_of_sums(job, sums + r * terms, count);
    }
    f.scalar[0] = shares[0];
    if (by_row) {
        MG_TRY_OR_DONE(mg_tools_row(job, 0, shares, rows, &f.row[0], err));
    }
    f.delta = false;
    MG_TRY_OR_DONE(mg_tools_apply(job, MG_FORMULA_STOCK, &f, NULL, err));

done:
    mg_free(shares);
    mg_free(sums);
    return status;
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    int64_t others[MG_MIX_INPUTS_MAX];
    task s;
    memset(&s, 0, sizeof(s));
    s.job = job;
    s.count = mg_tools_others(job, others);
    s.length = job->shape.rank >= 2 ? job->shape.dims[job->shape.rank - 1] : job->count;
    if (mg_tools_on_device(job)) {
        return merge_on_device(job, others, s.count, s.length, err);
    }
    float *deltas, *values;
    MG_TRY(mg_tools_load(job, 0, others, s.count, true, &deltas, err));
    MG_TRY(mg_tools_load(job, 1, others, s.count, false, &values, err));
    MG_TRY(mg_tools_load(job, 2, &job->base, 1, false, &s.base, err));
    s.deltas = deltas;
    s.others = values;
    if (job->params[PARAM_FILTER_WISE] != 0.0 && s.length > 0 && s.length < job->count) {
        MG_TRY(mg_tools_floats(job, 3, job->count, &s.products, err));
        mg_tools_run(job, job->count / s.length, 16, row_range, &s);
    } else {
        MG_TRY(whole_share(job, &s, err));
        mg_tools_run(job, job->count, MG_MIX_BLOCK, whole_range, &s);
    }
    mg_tools_store(job, s.base);
    return MG_OK;
}

const mg_method mg_method_model_stock = {
    .name = "model_stock",
    .title = "Model Stock",
    .link = "https://arxiv.org/abs/2403.19522",
    .base = MG_BASE_REQUIRED,
    .inputs_min = 3,
    .singleton = MG_SINGLETON_BASE,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
