/* merge/method_nearswap.c - takes the other model's values where they are near the base's
 * (merging.md 4.9). */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"

enum { PARAM_T };

static const mg_method_param params[] = {
    { "t", MG_PARAM_FLOAT, MG_PARAM_SHARED, true, 0.0 },
};

typedef struct task {
    const mg_job *job;
    float *base; /* becomes the result */
    const float *other;
    float t;
} task;

static void swap_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t i = first; i < first + count; i++) {
        s->base[i] = mg_formula_nearswap(s->base[i], s->other[i], s->t, s->job->work);
    }
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    const int64_t inputs[2] = { job->base, 1 - job->base };
    float *values;
    if (mg_tools_on_device(job)) {
        mg_formula f = mg_tools_formula(job, inputs + 1, 1, false);
        f.scalar[0] = (float)job->params[PARAM_T];
        return mg_tools_apply(job, MG_FORMULA_NEARSWAP, &f, NULL, err);
    }
    MG_TRY(mg_tools_load(job, 0, inputs, 2, false, &values, err));
    task s = { job, values, values + job->count, (float)job->params[PARAM_T] };
    mg_tools_run(job, job->count, MG_MIX_BLOCK, swap_range, &s);
    mg_tools_store(job, values);
    return MG_OK;
}

const mg_method mg_method_nearswap = {
    .name = "nearswap",
    .title = "NearSwap",
    .link = "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
    .base = MG_BASE_REQUIRED,
    .inputs_min = 2,
    .inputs_max = 2,
    .singleton = MG_SINGLETON_COPY_BASE,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
