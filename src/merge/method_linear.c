/* merge/method_linear.c - weighted average of all inputs (merging.md 4.1; arXiv 2203.05482).
 *
 * The base model is an input like any other.  The accumulator is float32 whatever the work type is.
 */
#include "merge/method_internal.h"

enum { PARAM_WEIGHT, PARAM_NORMALIZE };

static const mg_method_param params[] = {
    { "weight", MG_PARAM_FLOAT, MG_PARAM_INPUT, true, 0.0 },
    { "normalize", MG_PARAM_BOOL, MG_PARAM_SHARED, false, 1.0 },
};

static mg_status merge(mg_job *job, mg_error *err)
{
    if (job->input_count > MG_MIX_INPUTS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "linear merges at most %d models", MG_MIX_INPUTS_MAX);
    }
    mg_mix_input inputs[MG_MIX_INPUTS_MAX];
    double weights[MG_MIX_INPUTS_MAX];
    float narrow[MG_MIX_INPUTS_MAX];
    double wide_sum = 0.0;
    for (int64_t i = 0; i < job->input_count; i++) {
        double weight = job->inputs[i].params[PARAM_WEIGHT];
        narrow[i] = (float)weight;
        wide_sum += weight;
        inputs[i] = job->inputs[i].x;
        weights[i] = job->work == MG_F64 ? weight : (double)narrow[i];
    }
    mg_average_args args = { job->out,
                             job->out_dtype,
                             job->work,
                             inputs,
                             weights,
                             job->input_count,
                             job->params[PARAM_NORMALIZE] != 0.0,
                             job->work == MG_F64
                                 ? wide_sum
                                 : (double)mg_mix_torch_sum(narrow, job->input_count, false),
                             job->count };
    return job->device->mix->average(job->stream, &args, err);
}

const mg_method mg_method_linear = {
    .name = "linear",
    .title = "Linear",
    .link = "https://arxiv.org/abs/2203.05482",
    .base = MG_BASE_IGNORED,
    .inputs_min = 1,
    .singleton = MG_SINGLETON_MERGE,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
