/* merge/method.h - the table of merge methods and what each gets to do its work.
 *
 * A method is a row of mg_methods: its parameters, what inputs it takes, and a function that
 * computes one output tensor.  plan.c resolves the parameters; execute.c prepares the inputs and
 * calls it. Thread-safety: the table is immutable; a job belongs to the execution that made it. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/rng.h"
#include "compute/device.h"
#include "compute/ops_mix.h"
#include "recipe/recipe.h"
#include "tensor/view.h"

MG_BEGIN_C

#define MG_METHOD_PARAMS_MAX 8

typedef enum mg_param_scope {
    MG_PARAM_SHARED,  /* one value for a tensor */
    MG_PARAM_INPUT,   /* one for each input */
    MG_PARAM_NON_BASE /* one for each input but the base */
} mg_param_scope;

typedef enum mg_param_type { MG_PARAM_FLOAT, MG_PARAM_BOOL, MG_PARAM_INT } mg_param_type;

typedef struct mg_method_param {
    const char *name;
    mg_param_type type;
    mg_param_scope scope;
    bool required;
    double fallback; /* NaN = none */
} mg_method_param;

typedef enum mg_base_policy {
    MG_BASE_IGNORED, /* the base is an input like any other */
    MG_BASE_OPTIONAL,
    MG_BASE_REQUIRED
} mg_base_policy;

/* What happens to an optional tensor that only some models have. */
typedef enum mg_singleton_policy {
    MG_SINGLETON_MERGE,     /* the ordinary rules decide */
    MG_SINGLETON_COPY,      /* a single input is copied */
    MG_SINGLETON_COPY_BASE, /* a single input is copied if it is the base */
    MG_SINGLETON_BASE       /* too few inputs: the base is copied, or the only input */
} mg_singleton_policy;

/* One input of the tensor at hand, whole and contiguous in host memory. */
typedef struct mg_job_input {
    mg_mix_input x;
    mg_str model;         /* for messages */
    int64_t source_index; /* place among the slice's sources without the base; -1 = the base */
    double params[MG_METHOD_PARAMS_MAX]; /* by index of mg_method.params; NaN = none */
} mg_job_input;

/* One block of memory that grows and is reused from tensor to tensor. */
typedef struct mg_scratch {
    void *data;
    size_t bytes;
} mg_scratch;

#define MG_JOB_SCRATCH_COUNT 8

typedef struct mg_job {
    mg_str name; /* of the output tensor */
    mg_shape shape;
    int64_t count; /* elements */
    const mg_job_input *inputs;
    int64_t input_count;
    int64_t base; /* index of the base among inputs, -1 = none */
    double params[MG_METHOD_PARAMS_MAX];
    mg_dtype work;
    void *out;
    mg_dtype out_dtype;

    const mg_device *device;
    mg_stream *stream;
    mg_pool *pool;
    mg_mask_kind mask;
    mg_philox_key mask_key;
    mg_rescale_kind rescale;
    mg_order_kind order;
    mg_mt19937 *mt;    /* mergekit's stream, at this tensor's place */
    int torch_threads; /* see mg_execute_options; 0 = 1 */
    mg_scratch scratch[MG_JOB_SCRATCH_COUNT];
} mg_job;

typedef struct mg_method {
    const char *name;
    const char *title; /* as the model card calls it */
    const char *link;  /* NULL = none */
    mg_base_policy base;
    int64_t inputs_min, inputs_max;     /* max 0 = any number */
    int64_t non_base_min, non_base_max; /* max 0 = any number */
    mg_singleton_policy singleton;
    const mg_method_param *params;
    int64_t param_count;
    bool wide_result; /* float32 even where 16-bit inputs are merged, as in the reference */
    /* MG_ERR_MEMORY, MG_ERR_CONFIG (a parameter that does not fit this tensor), MG_ERR_NUMERIC. */
    mg_status (*merge)(mg_job *job, mg_error *err);
} mg_method;

/* All methods, and the one called name (NULL when there is none). */
extern const mg_method *const mg_methods[];
extern const int64_t mg_method_count;
const mg_method *mg_method_find(mg_str name);

/* At least bytes in slot index (0 .. MG_JOB_SCRATCH_COUNT-1); contents are undefined. */
MG_MUST_CHECK mg_status mg_job_scratch(mg_job *job, int index, size_t bytes, void **block_out,
                                       mg_error *err);
void mg_job_scratch_release(mg_job *job);
/* out = one input, cast to work and out_dtype. */
MG_MUST_CHECK mg_status mg_job_copy(mg_job *job, int64_t input, mg_error *err);

MG_END_C
