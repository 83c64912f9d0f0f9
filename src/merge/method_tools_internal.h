/* merge/method_tools_internal.h - whole tensors as float32 arrays, for methods that need several
 * passes.
 *
 * Values are held in float32 and rounded to the job's work type where the reference rounds.  Loops
 * run in blocks over the job's pool; sums add their blocks in order, so that the number of threads
 * cannot be seen.  On a device without host memory the same steps are formulas of the device
 * (compute/ops_formula.h), and the arrays are drafts in its memory. */
#pragma once

#include "compute/formula_math.h"
#include "compute/ops_formula.h"
#include "merge/method.h"

MG_BEGIN_C

/* Fails for float64, which these methods do not compute in. */
MG_MUST_CHECK mg_status mg_tools_check(const mg_job *job, mg_error *err);

/* x rounded to the work type. */
static inline float mg_work(const mg_job *job, float x)
{
    return mg_formula_w(x, job->work);
}

/* Work on elements (or rows) first .. first+count-1. */
typedef void mg_tools_range(void *context, int64_t first, int64_t count);
void mg_tools_run(const mg_job *job, int64_t count, int64_t grain, mg_tools_range *range,
                  void *context);
/* The sum of what range returns for blocks of elements 0 .. count-1, added in order. */
typedef double mg_tools_partial(const void *context, int64_t first, int64_t count);
MG_MUST_CHECK mg_status mg_tools_sum(mg_job *job, int64_t count, mg_tools_partial *partial,
                                     const void *context, double *sum_out, mg_error *err);

/* The inputs given, as arrays of job->count work values behind each other in scratch slot; minus
 * the base, rounded, when delta. */
MG_MUST_CHECK mg_status mg_tools_load(mg_job *job, int slot, const int64_t *inputs, int64_t count,
                                      bool delta, float **values_out, mg_error *err);
/* room for count floats in scratch slot. */
MG_MUST_CHECK mg_status mg_tools_floats(mg_job *job, int slot, int64_t count, float **values_out,
                                        mg_error *err);
/* Stores work values as the result. */
void mg_tools_store(const mg_job *job, const float *values);
/* Norm of an array, in the order in which torch sums squares of float32. */
float mg_tools_norm(const float *x, int64_t count);
/* Norm of work values, rounded to the work type; alone says that it is torch's only result, and so
 * may be shared among its threads. */
float mg_tools_work_norm(const mg_job *job, const float *x, int64_t count, bool alone);
/* The sum over a whole tensor of x * y, each product rounded to work, in torch's order; shared says
 * that the sum is torch's only result, and so shared among its threads. */
MG_MUST_CHECK mg_status mg_tools_product_sum(mg_job *job, const float *x, const float *y,
                                             bool shared, float *sum_out, mg_error *err);
/* The sum of values of the work type in torch's order: of a whole tensor, by the job's torch
 * threads, rounded; of one of several rows, by one thread, not rounded yet. */
float mg_tools_total(const mg_job *job, const float *values, int64_t count);
float mg_tools_row_total(const mg_job *job, const float *values, int64_t count);
/* One element's values summed over models in torch's order, rounded to the work type. */
float mg_tools_model_sum(const mg_job *job, const float *values, int64_t count, int64_t element);

/* --- On a device without host memory: */

static inline bool mg_tools_on_device(const mg_job *job)
{
    return job->device->formula != NULL;
}

/* The formula of these inputs and the base, if there is one. */
mg_formula mg_tools_formula(const mg_job *job, const int64_t *inputs, int64_t count, bool delta);
/* The result, or into draft (device memory, float32) where that is not NULL. */
MG_MUST_CHECK mg_status mg_tools_apply(mg_job *job, mg_formula_kind kind, const mg_formula *formula,
                                       float *draft, mg_error *err);
/* The terms' sums over the tensor, or, where by_vector, those of each vector. */
MG_MUST_CHECK mg_status mg_tools_terms(mg_job *job, mg_formula_sum_kind kind,
                                       const mg_formula *formula, bool by_vector, double *sums_out,
                                       mg_error *err);
/* A copy of host values in scratch slot, for formula->row. */
MG_MUST_CHECK mg_status mg_tools_row(mg_job *job, int slot, const float *values, int64_t count,
                                     const float **row_out, mg_error *err);

/* Indexes of the inputs without the base; the count is returned. */
int64_t mg_tools_others(const mg_job *job, int64_t others[MG_MIX_INPUTS_MAX]);

MG_END_C
