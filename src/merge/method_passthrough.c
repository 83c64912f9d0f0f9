/* merge/method_passthrough.c - one input, perhaps times a number (merging.md 4.11). */
#include "merge/method_internal.h"

#include <math.h>

enum { PARAM_SCALE };

static const mg_method_param params[] = {
    { "scale", MG_PARAM_FLOAT, MG_PARAM_INPUT, false, NAN },
};

static mg_status merge(mg_job *job, mg_error *err)
{
    double scale = job->inputs[0].params[PARAM_SCALE];
    mg_scale_args args = {
        job->out,  job->out_dtype, job->work, job->inputs[0].x, isnan(scale) ? 1.0 : scale,
        job->count
    };
    return job->device->mix->scale(job->stream, &args, err);
}

const mg_method mg_method_passthrough = {
    .name = "passthrough",
    .title = "Passthrough",
    .base = MG_BASE_IGNORED,
    .inputs_min = 1,
    .inputs_max = 1,
    .singleton = MG_SINGLETON_MERGE,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
