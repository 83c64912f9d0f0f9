/* merge/method_ram.c - reinforced agent merging, and its tensor-local plus form (merging.md 4.12;
 * arXiv 2601.13572).
 *
 * Differences above epsilon are active.  Where one model is active its difference counts in full,
 * where several are, their mean.  The plus form raises the former by how much a model shares; its
 * factors are float32, and so is what it returns. */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"

#include <math.h>

enum { PARAM_EPSILON, PARAM_R, PARAM_ALPHA };

static const mg_method_param params_ram[] = {
    { "epsilon", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 1e-5 },
};
static const mg_method_param params_plus[] = {
    { "epsilon", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 1e-5 },
    { "r", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 0.1 },
    { "alpha", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 0.2 },
};

typedef struct task {
    const mg_job *job;
    const float *deltas;
    int64_t model_count;
    float *base; /* becomes the result */
    float epsilon;
    float raise[MG_MIX_INPUTS_MAX]; /* of the plus form */
    bool plus;
    int64_t model; /* of counts */
    bool shared;
} task;

/* Elements where the model is active together with others, or alone. */
static double count_active(const void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    int64_t found = 0;
    for (int64_t e = first; e < first + count; e++) {
        if (fabsf(s->deltas[s->model * s->job->count + e]) > s->epsilon) {
            int active =
                mg_formula_active(s->deltas + e, s->job->count, s->model_count, s->epsilon);
            found += s->shared ? active > 1 : active == 1;
        }
    }
    return (double)found;
}

/* The same from five models on, where torch's order shows. */
static float many_ram(const task *s, int64_t e)
{
    const mg_job *job = s->job;
    int active = mg_formula_active(s->deltas + e, job->count, s->model_count, s->epsilon);
    float terms[MG_MIX_INPUTS_MAX];
    for (int64_t k = 0; k < s->model_count; k++) {
        float delta = s->deltas[k * job->count + e];
        bool counts = fabsf(delta) > s->epsilon;
        float alone = counts && active == 1 ? delta : 0.0f;
        float together = counts && active > 1 ? mg_work(job, delta / (float)active) : 0.0f;
        terms[k] = s->plus ? alone * s->raise[k] + together : mg_work(job, alone + together);
    }
    bool tail = e >= job->count - MG_MIX_TAIL(job->count);
    float sum = mg_mix_model_sum(terms, s->model_count, tail);
    return s->plus ? s->base[e] + sum : mg_work(job, s->base[e] + mg_work(job, sum));
}

static void merge_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    const mg_job *job = s->job;
    const float *raise = s->plus ? s->raise : NULL;
    for (int64_t e = first; e < first + count; e++) {
        if (s->model_count >= 5) {
            s->base[e] = many_ram(s, e);
            continue;
        }
        s->base[e] = mg_formula_ram(s->deltas + e, job->count, s->model_count, s->base[e],
                                    s->epsilon, raise, job->work);
    }
}

/* What raises a model's lonely differences, by how many it shares and how many it has alone. */
static float raise_of(const mg_job *job, double shared, double unique)
{
    const float epsilon = (float)job->params[PARAM_EPSILON];
    const float alpha = (float)job->params[PARAM_ALPHA];
    float divisor = (float)unique < epsilon ? epsilon : (float)unique;
    float share = (float)shared / divisor;
    share = share < 0.0f ? 0.0f : share > alpha ? alpha : share;
    return 1.0f + (float)job->params[PARAM_R] * share;
}

static mg_status set_raises(mg_job *job, task *s, mg_error *err)
{
    for (s->model = 0; s->model < s->model_count; s->model++) {
        double shared, unique;
        s->shared = true;
        MG_TRY(mg_tools_sum(job, job->count, count_active, s, &shared, err));
        s->shared = false;
        MG_TRY(mg_tools_sum(job, job->count, count_active, s, &unique, err));
        s->raise[s->model] = raise_of(job, shared, unique);
    }
    return MG_OK;
}

static mg_status merge_on_device(mg_job *job, const int64_t *others, int64_t count, bool plus,
                                 mg_error *err)
{
    double sums[2 * MG_MIX_INPUTS_MAX];
    mg_formula f = mg_tools_formula(job, others, count, true);
    f.scalar[0] = mg_work(job, (float)job->params[PARAM_EPSILON]);
    if (!plus) {
        return mg_tools_apply(job, MG_FORMULA_RAM, &f, NULL, err);
    }
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_ACTIVE, &f, false, sums, err));
    for (int64_t k = 0; k < count; k++) {
        f.weight[k] = raise_of(job, sums[k], sums[count + k]);
    }
    return mg_tools_apply(job, MG_FORMULA_RAM_PLUS, &f, NULL, err);
}

static mg_status merge_ram(mg_job *job, bool plus, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    int64_t others[MG_MIX_INPUTS_MAX];
    int64_t count = mg_tools_others(job, others);
    if (count == 0) {
        return mg_job_copy(job, job->base, err);
    }
    if (mg_tools_on_device(job)) {
        return merge_on_device(job, others, count, plus, err);
    }
    float *deltas, *base;
    MG_TRY(mg_tools_load(job, 0, others, count, true, &deltas, err));
    MG_TRY(mg_tools_load(job, 1, &job->base, 1, false, &base, err));
    task s;
    memset(&s, 0, sizeof(s));
    s.job = job;
    s.deltas = deltas;
    s.model_count = count;
    s.base = base;
    s.epsilon = mg_work(job, (float)job->params[PARAM_EPSILON]);
    s.plus = plus;
    if (plus) {
        MG_TRY(set_raises(job, &s, err));
    }
    mg_tools_run(job, job->count, MG_MIX_BLOCK, merge_range, &s);
    mg_tools_store(job, base);
    return MG_OK;
}

static mg_status merge_plain(mg_job *job, mg_error *err)
{
    return merge_ram(job, false, err);
}

static mg_status merge_plus(mg_job *job, mg_error *err)
{
    return merge_ram(job, true, err);
}

const mg_method mg_method_ram = {
    .name = "ram",
    .title = "Reinforced Agent Merging",
    .link = "https://arxiv.org/abs/2601.13572",
    .base = MG_BASE_REQUIRED,
    .inputs_min = 1,
    .params = params_ram,
    .param_count = MG_ARRAY_COUNT(params_ram),
    .merge = merge_plain,
};

const mg_method mg_method_ramplus_tl = {
    .name = "ramplus_tl",
    .title = "Reinforced Agent Merging Plus (Tensor-Local)",
    .link = "https://arxiv.org/abs/2601.13572",
    .base = MG_BASE_REQUIRED,
    .inputs_min = 1,
    .params = params_plus,
    .param_count = MG_ARRAY_COUNT(params_plus),
    .wide_result = true,
    .merge = merge_plus,
};
