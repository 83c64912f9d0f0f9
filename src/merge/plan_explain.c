/* merge/plan_explain.c - how one output tensor comes about, in words. */
#include <math.h>

#include "merge/plan_internal.h"
#include "text/json.h"

/* The job that makes name; MG_ERR_NOT_FOUND, with the nearest name. */
static mg_status find_job(const mg_plan *plan, mg_str name, const mg_plan_job **job_out,
                          mg_error *err)
{
    for (int64_t i = 0; i < plan->job_count; i++) {
        if (mg_str_equal(plan->jobs[i].name, name)) {
            *job_out = &plan->jobs[i];
            return MG_OK;
        }
    }
    const char **names = mg_new_array(const char *, plan->job_count);
    for (int64_t i = 0; i < plan->job_count; i++) {
        names[i] = plan->jobs[i].name.data; /* arena texts end with a NUL */
    }
    const char *nearest = mg_str_nearest(name, names, plan->job_count);
    mg_free(names);
    return mg_fail(err, MG_ERR_NOT_FOUND, "the merge writes no tensor %.*s%s%s%s", MG_STR_ARG(name),
                   nearest != NULL ? ", did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
}

static void add_params(const mg_method *method, const double *params, mg_buf *out)
{
    for (int64_t k = 0; k < method->param_count; k++) {
        if (!isnan(params[k])) {
            mg_buf_printf(out, " %s=", method->params[k].name);
            mg_buf_add_double(out, params[k]);
        }
    }
}

static void add_input(const mg_plan *plan, const mg_plan_job *job, int64_t index, mg_arena *arena,
                      mg_buf *out)
{
    const mg_plan_input *input = &job->inputs[index];
    mg_str model = mg_model_ref_text(&plan->refs[input->model], arena);
    mg_buf_printf(out, "  %.*s: %.*s (%s)%s", MG_STR_ARG(model), MG_STR_ARG(input->source.label),
                  mg_dtype_name(input->source.dtype), index == job->base ? " base" : "");
    if (input->source.part_count > 1) {
        mg_buf_printf(out, " joined from %lld tensors", (long long)input->source.part_count);
    }
    if (input->adapter != NULL) {
        mg_buf_add_text(out, " with its adapter applied");
    }
    if (input->source.tied) {
        mg_buf_add_text(out, " tied");
    }
    if (job->action == MG_PLAN_MERGE) {
        add_params(plan->method, input->params, out);
    }
    mg_buf_add_char(out, '\n');
}

mg_status mg_plan_explain(const mg_plan *plan, mg_str name, mg_buf *out, mg_error *err)
{
    const mg_plan_job *job;
    MG_TRY(find_job(plan, name, &job, err));
    char shape[128];
    mg_arena arena = { NULL, 0, 0 };
    mg_buf_printf(out, "%.*s %s %s\n", MG_STR_ARG(job->name), mg_dtype_name(job->out_dtype),
                  mg_shape_text(&job->shape, shape, sizeof(shape)));
    switch (job->action) {
    case MG_PLAN_MERGE:
        mg_buf_printf(out, "method %s in %s, t=", plan->method->name, mg_dtype_name(job->work));
        mg_buf_add_double(out, job->t);
        add_params(plan->method, job->params, out);
        mg_buf_add_char(out, '\n');
        break;
    case MG_PLAN_COPY:
        mg_buf_add_text(out, "copied: only one model has it\n");
        break;
    case MG_PLAN_EQUAL:
        mg_buf_add_text(out, "copied: not of floating-point numbers, equal in all models\n");
        break;
    }
    for (int64_t i = 0; i < job->input_count; i++) {
        add_input(plan, job, i, &arena, out);
    }
    mg_arena_release(&arena);
    return MG_OK;
}

static void add_json_params(const mg_method *method, const double *params, mg_buf *out)
{
    bool first = true;
    mg_buf_add_text(out, "\"parameters\": {");
    for (int64_t k = 0; k < method->param_count; k++) {
        if (isfinite(params[k])) {
            mg_buf_printf(out, "%s\"%s\": ", first ? "" : ", ", method->params[k].name);
            mg_buf_add_double(out, params[k]);
            first = false;
        }
    }
    mg_buf_add_char(out, '}');
}

static void add_json_input(const mg_plan *plan, const mg_plan_job *job, int64_t index,
                           mg_arena *arena, mg_buf *out)
{
    const mg_plan_input *input = &job->inputs[index];
    mg_buf_add_text(out, index > 0 ? ", {\"model\": " : "{\"model\": ");
    mg_json_write_str(out, mg_model_ref_text(&plan->refs[input->model], arena), false);
    mg_buf_add_text(out, ", \"tensor\": ");
    mg_json_write_str(out, input->source.label, false);
    mg_buf_printf(out,
                  ", \"dtype\": \"%s\", \"base\": %s, \"tied\": %s, \"adapter\": %s, "
                  "\"parts\": %lld, ",
                  mg_dtype_name(input->source.dtype), index == job->base ? "true" : "false",
                  input->source.tied ? "true" : "false", input->adapter != NULL ? "true" : "false",
                  (long long)input->source.part_count);
    add_json_params(plan->method, input->params, out);
    mg_buf_add_char(out, '}');
}

mg_status mg_plan_explain_json(const mg_plan *plan, mg_str name, mg_buf *out, mg_error *err)
{
    const mg_plan_job *job;
    char shape[128];
    mg_arena arena = { NULL, 0, 0 };
    MG_TRY(find_job(plan, name, &job, err));
    mg_buf_add_text(out, "{\"name\": ");
    mg_json_write_str(out, job->name, false);
    mg_buf_printf(out,
                  ", \"dtype\": \"%s\", \"shape\": %s, \"action\": \"%s\", \"method\": "
                  "\"%s\", \"work\": \"%s\", \"t\": ",
                  mg_dtype_name(job->out_dtype), mg_shape_text(&job->shape, shape, sizeof(shape)),
                  job->action == MG_PLAN_MERGE ? "merge" : "copy", plan->method->name,
                  mg_dtype_name(job->work));
    mg_buf_add_double(out, job->t);
    mg_buf_add_text(out, ", ");
    add_json_params(plan->method, job->params, out);
    mg_buf_add_text(out, ", \"inputs\": [");
    for (int64_t i = 0; i < job->input_count; i++) {
        add_json_input(plan, job, i, &arena, out);
    }
    mg_buf_add_text(out, "]}");
    mg_arena_release(&arena);
    return MG_OK;
}
