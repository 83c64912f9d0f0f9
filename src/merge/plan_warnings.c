/* merge/plan_warnings.c - doubtful things that a plan shows before any weight is read.
 *
 * Each kind is told once, with the first tensor that it meets and how many there are. */
#include <math.h>

#include "merge/plan_internal.h"

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
        }
    }
    return job->input_count > 1;
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

static bool head_is_untied(const mg_plan *plan, const mg_plan_job *job)
{
    (void)plan;
    return job->unties;
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
}
