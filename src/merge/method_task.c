/* merge/method_task.c - the methods of generalised task arithmetic (merging.md 4.6).
 *
 * Each source's difference to the base may be thinned out (sparsify.h), is weighted, and the sum -
 * perhaps of those only that agree with the majority's sign - is added to the base.  The methods
 * differ in how they thin out and in their defaults. */
#include "merge/method_internal.h"

#include <math.h>
#include <stdio.h>

#include "merge/sparsify_internal.h"

enum {
    PARAM_WEIGHT,
    PARAM_DENSITY,
    PARAM_NORMALIZE,
    PARAM_RESCALE,
    PARAM_LAMBDA,
    PARAM_INT8_MASK, /* an intermediate type of the reference, without effect on numbers */
    PARAM_EXTRA      /* gamma or epsilon */
};

#define TASK_PARAMS(normalize, rescale)                                                            \
    { "weight", MG_PARAM_FLOAT, MG_PARAM_NON_BASE, true, 0.0 },                                    \
        { "density", MG_PARAM_FLOAT, MG_PARAM_NON_BASE, false, 1.0 },                              \
        { "normalize", MG_PARAM_BOOL, MG_PARAM_SHARED, false, normalize },                         \
        { "rescale", MG_PARAM_BOOL, MG_PARAM_SHARED, false, rescale },                             \
        { "lambda", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 1.0 },                                 \
    {                                                                                              \
        "int8_mask", MG_PARAM_BOOL, MG_PARAM_SHARED, false, 0.0                                    \
    }

/* What the sources' values are multiplied with, and D without consensus. */
static void set_weights(mg_job *job, mg_task_args *args, mg_mix_source *sources)
{
    mg_dtype step = args->wide && job->work != MG_F64 ? MG_F32 : job->work;
    float weights[MG_MIX_INPUTS_MAX];
    double sum = 0.0;
    int64_t at = 0;
    for (int64_t i = 0; i < job->input_count; i++) {
        if (i == job->base) {
            continue;
        }
        sources[at].weight = mg_mix_round(job->inputs[i].params[PARAM_WEIGHT], step);
        if (sources[at].mask == MG_MASK_COUNTER && sources[at].below == 0) {
            sources[at].weight = 0.0; /* a density too small to count (evolution.md 3.1) */
        }
        weights[at] = (float)sources[at].weight;
        sum += sources[at].weight;
        at++;
    }
    bool half = step == MG_BF16 || step == MG_F16;
    args->divisor =
        step == MG_F64 ? sum : mg_mix_round((double)mg_mix_torch_sum(weights, at, half), step);
    if (fabs(args->divisor) < 1e-8) {
        args->divisor = 1.0;
    }
}

static mg_status merge_task(mg_job *job, bool consensus, mg_sparsifier sparsifier, mg_error *err)
{
    if (job->input_count > MG_MIX_INPUTS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "at most %d models can be merged", MG_MIX_INPUTS_MAX);
    }
    if (job->input_count == 1) {
        return mg_job_copy(job, job->base, err);
    }
    mg_sparsify_args sparsify[MG_MIX_INPUTS_MAX];
    mg_mix_source sources[MG_MIX_INPUTS_MAX];
    memset(sources, 0, sizeof(sources));
    mg_task_args args;
    memset(&args, 0, sizeof(args));
    bool random = sparsifier == MG_SPARSIFY_RANDOM;
    args.wide = random && job->mask == MG_MASK_PHILOX;
    int64_t at = 0;
    for (int64_t i = 0; i < job->input_count; i++) {
        if (i == job->base) {
            continue;
        }
        sources[at].x = job->inputs[i].x;
        const double *params = job->inputs[i].params;
        sparsify[at] = (mg_sparsify_args){ sparsifier,
                                           i,
                                           at,
                                           params[PARAM_DENSITY],
                                           params[PARAM_EXTRA],
                                           job->params[PARAM_RESCALE] != 0.0 };
        at++;
    }
    MG_TRY(mg_sparsify(job, sparsify, at, sources, err));
    args.out = job->out;
    args.out_dtype = job->out_dtype;
    args.work = job->work;
    args.base = job->inputs[job->base].x;
    args.sources = sources;
    args.source_count = at;
    args.consensus = consensus;
    args.normalize = job->params[PARAM_NORMALIZE] != 0.0;
    args.lambda = job->params[PARAM_LAMBDA];
    args.key = job->mask_key;
    args.count = job->count;
    /* Sums of fewer models are the same in either order. */
    bool torch = job->mask == MG_MASK_TORCH && job->order == MG_ORDER_TORCH;
    args.tail = torch && at >= 5 && job->device->host_memory ? MG_MIX_TAIL(job->count) : 0;
    set_weights(job, &args, sources);
    return job->device->mix->task(job->stream, &args, err);
}

#define TASK_METHOD(id, title, link, consensus, sparsifier, ...)                                   \
    static const mg_method_param params_##id[] = { __VA_ARGS__ };                                  \
    static mg_status merge_##id(mg_job *job, mg_error *err)                                        \
    {                                                                                              \
        return merge_task(job, consensus, sparsifier, err);                                        \
    }                                                                                              \
    const mg_method mg_method_##id = { #id,                                                        \
                                       title,                                                      \
                                       link,                                                       \
                                       MG_BASE_REQUIRED,                                           \
                                       1,                                                          \
                                       0,                                                          \
                                       0,                                                          \
                                       0,                                                          \
                                       MG_SINGLETON_MERGE,                                         \
                                       params_##id,                                                \
                                       MG_ARRAY_COUNT(params_##id),                                \
                                       false,                                                      \
                                       merge_##id };

#define PARAM_OF(name, fallback)                                                                   \
    {                                                                                              \
        name, MG_PARAM_FLOAT, MG_PARAM_NON_BASE, false, fallback                                   \
    }

TASK_METHOD(task_arithmetic, "Task Arithmetic", "https://arxiv.org/abs/2212.04089", false,
            MG_SPARSIFY_NONE, TASK_PARAMS(0.0, 0.0))
TASK_METHOD(ties, "TIES", "https://arxiv.org/abs/2306.01708", true, MG_SPARSIFY_MAGNITUDE,
            TASK_PARAMS(1.0, 0.0))
TASK_METHOD(dare_ties, "DARE TIES", "https://arxiv.org/abs/2311.03099", true, MG_SPARSIFY_RANDOM,
            TASK_PARAMS(0.0, 1.0))
TASK_METHOD(dare_linear, "Linear DARE", "https://arxiv.org/abs/2311.03099", false,
            MG_SPARSIFY_RANDOM, TASK_PARAMS(0.0, 1.0))
TASK_METHOD(breadcrumbs, "Model Breadcrumbs", "https://arxiv.org/abs/2312.06795", false,
            MG_SPARSIFY_OUTLIERS, TASK_PARAMS(0.0, 0.0), PARAM_OF("gamma", 0.01))
TASK_METHOD(breadcrumbs_ties, "Model Breadcrumbs with TIES", "https://arxiv.org/abs/2312.06795",
            true, MG_SPARSIFY_OUTLIERS, TASK_PARAMS(0.0, 0.0), PARAM_OF("gamma", 0.01))
TASK_METHOD(della, "DELLA", "https://arxiv.org/abs/2406.11617", true, MG_SPARSIFY_DELLA,
            TASK_PARAMS(1.0, 1.0), PARAM_OF("epsilon", 0.15))
TASK_METHOD(della_linear, "Linear DELLA", "https://arxiv.org/abs/2406.11617", false,
            MG_SPARSIFY_DELLA, TASK_PARAMS(0.0, 1.0), PARAM_OF("epsilon", 0.15))

static bool one_of(const mg_method *method, const mg_method *a, const mg_method *b)
{
    return method == a || method == b;
}

const char *mg_method_task_mistake(const mg_method *method, const double *params, mg_mask_kind mask,
                                   char *text, size_t text_bytes)
{
    if (one_of(method, &mg_method_dare_ties, &mg_method_dare_linear)) {
        double density = params[PARAM_DENSITY];
        (void)snprintf(text, text_bytes, "'density' is %g, must not be negative", density);
        return density < 0.0 ? "density" : NULL;
    }
    if (one_of(method, &mg_method_breadcrumbs, &mg_method_breadcrumbs_ties)) {
        double density = params[PARAM_DENSITY];
        double gamma = params[PARAM_EXTRA];
        bool wrong = density < 0.0;
        (void)snprintf(text, text_bytes, "'%s' is %g, must be in [0, 1]",
                       wrong ? "density" : "gamma", wrong ? density : gamma);
        return wrong                                              ? "density"
               : density < 1.0 && !(gamma >= 0.0 && gamma <= 1.0) ? "gamma"
                                                                  : NULL;
    }
    if (one_of(method, &mg_method_della, &mg_method_della_linear) && mask == MG_MASK_TORCH) {
        double density = params[PARAM_DENSITY];
        double epsilon = params[PARAM_EXTRA];
        bool thins = density > 0.0 && density < 1.0;
        bool fits = density + fabs(epsilon) < 1.0 && density - fabs(epsilon) > 0.0;
        (void)snprintf(text, text_bytes,
                       "'density' %g and 'epsilon' %g: density - epsilon and density + epsilon "
                       "must lie inside (0, 1)",
                       density, epsilon);
        return thins && !fits ? "epsilon" : NULL;
    }
    return NULL;
}
