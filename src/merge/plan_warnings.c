/* merge/plan_warnings.c - doubtful things that a plan shows before any weight is read.
 *
 * Each kind is told once, with the first tensor that it meets and how many there are. */
#include <math.h>

#include "merge/plan_doubts_internal.h"

typedef bool doubt_test(const mg_plan *plan, const mg_plan_job *job);

static int64_t param_index(const mg_method *method, const char *name)
{
    for (int64_t k = 0; k < method->param_count; k++) {
        if (strcmp(method->params[k].name, name) == 0) {
            return k;
        }
    }
    return -1;
}

/* Sum and sum of magnitudes of the weights; false when the method has none. */
static bool weight_sums(const mg_plan *plan, const mg_plan_job *job, double *sum, double *magnitude)
{
    int64_t weight = param_index(plan->method, "weight");
    bool any = false;
    *sum = 0.0;
    *magnitude = 0.0;
    if (weight < 0 || job->action != MG_PLAN_MERGE) {
        return false;
    }
    for (int64_t i = 0; i < job->input_count; i++) {
        double w = job->inputs[i].params[weight];
        if (!isnan(w)) {
            *sum += w;
            *magnitude += fabs(w);
            any = true;
        }
    }
    return any;
}

static bool weights_cancel(const mg_plan *plan, const mg_plan_job *job)
{
    double sum, magnitude;
    int64_t normalize = param_index(plan->method, "normalize");
    return weight_sums(plan, job, &sum, &magnitude) && normalize >= 0 &&
           job->params[normalize] != 0.0 && magnitude > 0.0 && fabs(sum) < 1e-6 * magnitude;
}

static bool weights_are_zero(const mg_plan *plan, const mg_plan_job *job)
{
    double sum, magnitude;
    return weight_sums(plan, job, &sum, &magnitude) && magnitude == 0.0;
}

static bool types_differ(const mg_plan *plan, const mg_plan_job *job)
{
    for (int64_t i = 1; i < job->input_count; i++) {
        if (plan->dtype == MG_DTYPE_COUNT &&
            job->inputs[i].source.dtype != job->inputs[0].source.dtype) {
            return true;
        }
    }
    return false;
}

static bool type_is_wider(const mg_plan *plan, const mg_plan_job *job)
{
    (void)plan;
    return job->action != MG_PLAN_EQUAL && job->input_count > 0 &&
           mg_dtype_bits(job->out_dtype) > mg_dtype_bits(job->inputs[0].source.dtype);
}

static bool type_is_narrow_range(const mg_plan *plan, const mg_plan_job *job)
{
    (void)plan;
    bool wide = false;
    for (int64_t i = 0; i < job->input_count; i++) {
        mg_dtype stored = job->inputs[i].source.dtype;
        wide = wide || stored == MG_BF16 || stored == MG_F32 || stored == MG_F64;
    }
    return wide && (job->work == MG_F16 || job->out_dtype == MG_F16);
}

static bool type_is_not_the_configs(const mg_plan *plan, const mg_plan_job *job)
{
    mg_dtype said = plan->models[0]->config.dtype;
    bool stays = plan->dtype == MG_DTYPE_COUNT && plan->out_dtype == MG_DTYPE_COUNT;
    return stays && said != MG_DTYPE_COUNT && mg_dtype_is_float(job->out_dtype) &&
           job->shape.rank == 2 && job->out_dtype != said;
}

/* Whether a parameter of any input, or of all, lies outside [low, high]. */
static bool param_outside(const mg_plan *plan, const mg_plan_job *job, const char *name, double low,
                          double high)
{
    int64_t index = param_index(plan->method, name);
    if (index < 0 || job->action != MG_PLAN_MERGE) {
        return false;
    }
    bool outside = job->params[index] < low || job->params[index] > high;
    for (int64_t i = 0; i < job->input_count; i++) {
        double value = job->inputs[i].params[index];
        outside = outside || value < low || value > high; /* never of NaN, which is none */
    }
    return outside;
}

static bool density_is_outside(const mg_plan *plan, const mg_plan_job *job)
{
    return param_outside(plan, job, "density", 0.0, 1.0);
}

static bool density_is_zero(const mg_plan *plan, const mg_plan_job *job)
{
    int64_t index = param_index(plan->method, "density");
    bool zero = index >= 0 && job->action == MG_PLAN_MERGE;
    bool any = false;
    for (int64_t i = 0; i < job->input_count && zero; i++) {
        double value = job->inputs[i].params[index];
        any = any || !isnan(value);
        zero = isnan(value) || value == 0.0;
    }
    return zero && any;
}

static bool t_extrapolates(const mg_plan *plan, const mg_plan_job *job)
{
    return strcmp(plan->method->name, "slerp") == 0 && param_outside(plan, job, "t", 0.0, 1.0);
}

static bool lambda_is_zero(const mg_plan *plan, const mg_plan_job *job)
{
    int64_t index = param_index(plan->method, "lambda");
    return index >= 0 && job->action == MG_PLAN_MERGE && job->params[index] == 0.0;
}

static bool head_is_the_embedding(const mg_plan *plan, const mg_plan_job *job)
{
    bool tied = false, own = false;
    (void)plan;
    for (int64_t i = 0; i < job->input_count; i++) {
        tied = tied || job->inputs[i].source.tied;
        own = own || !job->inputs[i].source.tied;
    }
    return tied && own && !job->unties;
}

static bool head_is_untied(const mg_plan *plan, const mg_plan_job *job)
{
    (void)plan;
    return job->unties;
}

static void doubt_layers(const mg_plan *plan, mg_buf *out)
{
    for (int64_t m = 0; m < plan->module_count; m++) {
        const mg_plan_layers *layers = &plan->modules[m];
        if (layers->count == 0 && layers->changed) {
            mg_buf_printf(out, "the layer ranges are empty: the result has no layers\n");
        }
    }
}

void mg_plan_warnings(const mg_plan *plan, mg_buf *out)
{
    static const struct {
        doubt_test *test;
        const char *text;
    } doubts[] = {
        { weights_cancel, "the weights sum to zero, and are divided by their sum" },
        { weights_are_zero, "all weights are zero" },
        { types_differ, "the models store it in different types and 'dtype' is not set" },
        { type_is_wider, "it is written in a wider type than it is stored in" },
        { type_is_narrow_range, "it becomes float16, whose largest number is 65504: what is larger "
                                "becomes infinite" },
        { type_is_not_the_configs, "it is of another type than config.json says, and 'dtype' is "
                                   "not set" },
        { density_is_outside, "'density' is outside 0 to 1" },
        { density_is_zero, "'density' is 0 for all models: nothing of them is kept" },
        { t_extrapolates, "'t' is outside 0 to 1: the result lies beyond the two models" },
        { lambda_is_zero, "'lambda' is 0: the result is the base" },
        { head_is_the_embedding, "a model has none of its own: its embedding stands in" },
        { head_is_untied, "it becomes a tensor of its own, where the base model ties it" },
    };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(doubts); d++) {
        const mg_plan_job *first = NULL;
        int64_t count = 0;
        for (int64_t i = 0; i < plan->job_count; i++) {
            if (doubts[d].test(plan, &plan->jobs[i])) {
                first = first == NULL ? &plan->jobs[i] : first;
                count++;
            }
        }
        if (first != NULL) {
            mg_buf_printf(out, "%.*s%s: %s\n", MG_STR_ARG(first->name),
                          count > 1 ? " and others" : "", doubts[d].text);
        }
    }
    doubt_layers(plan, out);
    mg_plan_model_doubts(plan, out);
}
