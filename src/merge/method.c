/* merge/method.c - the table of methods and the helpers that they share. */
#include "merge/method.h"

#include "merge/method_internal.h"

const mg_method *const mg_methods[] = {
    &mg_method_linear,
    &mg_method_slerp,
    &mg_method_nuslerp,
    &mg_method_multislerp,
    &mg_method_karcher,
    &mg_method_task_arithmetic,
    &mg_method_ties,
    &mg_method_dare_ties,
    &mg_method_dare_linear,
    &mg_method_breadcrumbs,
    &mg_method_breadcrumbs_ties,
    &mg_method_della,
    &mg_method_della_linear,
    &mg_method_sce,
    &mg_method_model_stock,
    &mg_method_nearswap,
    &mg_method_arcee_fusion,
    &mg_method_ram,
    &mg_method_ramplus_tl,
    &mg_method_passthrough,
};
const int64_t mg_method_count = MG_ARRAY_COUNT(mg_methods);

const mg_method *mg_method_find(mg_str name)
{
    for (int64_t i = 0; i < mg_method_count; i++) {
        if (mg_str_is(name, mg_methods[i]->name)) {
            return mg_methods[i];
        }
    }
    return NULL;
}

mg_status mg_job_scratch(mg_job *job, int index, size_t bytes, void **block_out, mg_error *err)
{
    MG_ASSERT(index >= 0 && index < MG_JOB_SCRATCH_COUNT);
    mg_scratch *scratch = &job->scratch[index];
    if (scratch->bytes < bytes) {
        job->device->free(job->device, scratch->data);
        scratch->data = NULL;
        scratch->bytes = 0;
        MG_TRY(job->device->alloc(job->device, bytes, "scratch of a merge", &scratch->data, err));
        scratch->bytes = bytes;
    }
    *block_out = scratch->data;
    return MG_OK;
}

void mg_job_scratch_release(mg_job *job)
{
    for (int i = 0; i < MG_JOB_SCRATCH_COUNT; i++) {
        job->device->free(job->device, job->scratch[i].data);
        job->scratch[i].data = NULL;
        job->scratch[i].bytes = 0;
    }
}

mg_status mg_job_copy(mg_job *job, int64_t input, mg_error *err)
{
    mg_scale_args args = { job->out, job->out_dtype, job->work, job->inputs[input].x,
                           1.0,      job->count };
    return job->device->mix->scale(job->stream, &args, err);
}
