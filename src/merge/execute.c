/* merge/execute.c - the loop over a plan's jobs.
 *
 * For each output tensor: room in the sink, inputs as contiguous memory (nearly always the mapped
 * file itself), the method, a look for values that are not finite.  Scratch grows to what the
 * largest tensor needs and is reused. */
#include "merge/execute.h"

#include <sys/random.h>

#include "base/log.h"
#include "merge/plan_internal.h"

typedef struct executor {
    const mg_plan *plan;
    const mg_execute_options *options;
    mg_sink *sink;
    mg_job job;             /* what stays from tensor to tensor is set once */
    mg_job_input *inputs;   /* room for the largest input count */
    mg_scratch *gathered;   /* by input: tensors that lie in parts on disk */
    mg_scratch rows;        /* embeddings in the order of the output's tokens */
    mg_scratch device_rows; /* the same on a device without host memory */
    int64_t input_cap;
    mg_mt19937 mt;
    mg_resident *resident; /* sources on a device without host memory, else NULL */
    mg_scratch out;        /* there: room for a tensor whose sink wants host memory */
    void *host_out;        /* that sink's room, NULL = job.out is the sink's own */
    uint32_t *flags;       /* there: by job, set when a result is not finite; NULL = none */
} executor;

/* What a method asks of a device without host memory. */
typedef struct method_needs {
    const char *name;
    bool order;         /* ranks: there in the order of elements alone */
    bool order_in_part; /* the same, where the first parameter is a share below 1 */
    bool masks;         /* draws: there with the search's masks alone */
    bool formulas;      /* compute/ops_formula.h */
} method_needs;

static const method_needs needs[] = {
    /* name, order, order_in_part, masks, formulas */
    { "ties", true, false, false, false },
    { "breadcrumbs", true, false, false, false },
    { "breadcrumbs_ties", true, false, false, false },
    { "della", false, false, true, false },
    { "della_linear", false, false, true, false },
    { "sce", false, true, false, true },
    { "model_stock", false, false, false, true },
    { "nearswap", false, false, false, true },
    { "nuslerp", false, false, false, true },
    { "multislerp", false, false, false, true },
    { "karcher", false, false, false, true },
    { "arcee_fusion", false, false, false, true },
    { "ram", false, false, false, true },
    { "ramplus_tl", false, false, false, true },
};

/* What an adapter stores whole may have another type than the weight it stands for. */
static bool is_cast(const mg_layout_source *source)
{
    return source->parts[0]->dtype != source->dtype;
}

/* A tensor that is not stored as it is wanted, into scratch index: with its adapter, in another
 * type, or joined from its parts. */
static mg_status prepare(executor *ex, const mg_plan_input *input, int64_t index, mg_error *err)
{
    const mg_layout_source *source = &input->source;
    mg_scratch *scratch = &ex->gathered[index];
    if (scratch->bytes < source->bytes) {
        mg_free_aligned(scratch->data);
        scratch->data = NULL;
        scratch->bytes = 0;
        MG_TRY(mg_memory_try(source->bytes, "an input of a merge", &scratch->data, err));
        scratch->bytes = source->bytes;
    }
    if (input->adapter != NULL) {
        return mg_adapter_apply(input->adapter, source->parts[0], source->dtype, ex->job.device,
                                ex->job.stream, ex->job.pool, scratch->data, err);
    }
    if (is_cast(source)) {
        mg_dtype_convert(scratch->data, source->dtype, source->parts[0]->data,
                         source->parts[0]->dtype, mg_shape_count(&source->parts[0]->shape));
        return MG_OK;
    }
    size_t at = 0;
    for (int64_t i = 0; i < source->part_count; i++) {
        memcpy((char *)scratch->data + at, source->parts[i]->data, source->parts[i]->bytes);
        at += source->parts[i]->bytes;
    }
    return MG_OK;
}

/* The tensor of an input: in host memory, or, where resident, the copy that the device keeps. */
static mg_status gather(executor *ex, const mg_plan_input *input, int64_t index, bool resident,
                        mg_error *err)
{
    mg_job_input *to = &ex->inputs[index];
    const mg_layout_source *source = &input->source;
    bool stored = source->part_count == 1 && input->adapter == NULL && !is_cast(source);
    to->x.dtype = source->dtype;
    to->x.data = source->parts[0]->data;
    to->model = ex->plan->refs[input->model].path;
    to->source_index = input->source_index;
    memcpy(to->params, input->params, sizeof(to->params));
    /* Parts that are joined have more bytes than the first alone, which the key is of. */
    const void *key = input->adapter != NULL ? (const void *)input->adapter
                      : is_cast(source)      ? (const void *)source->parts[0]
                                             : source->parts[0]->data;
    if (resident) {
        const void *copy;
        MG_TRY(mg_resident_get(ex->resident, ex->job.stream, key, stored ? key : NULL,
                               source->bytes, &copy, err));
        if (copy != NULL) {
            to->x.data = copy;
            return MG_OK;
        }
    } else if (stored) {
        return MG_OK;
    }
    MG_TRY(prepare(ex, input, index, err));
    to->x.data = ex->gathered[index].data;
    return resident ? mg_resident_get(ex->resident, ex->job.stream, key, to->x.data, source->bytes,
                                      &to->x.data, err)
                    : MG_OK;
}

/* The rows of all inputs in the order of the plan's vocabulary, as float32 values of the work type.
 */
static mg_status move_rows(executor *ex, const mg_plan_job *planned, mg_error *err)
{
    const mg_vocabulary *vocabulary = ex->plan->vocabulary;
    int64_t columns = planned->count / MG_MAX(vocabulary->row_count, 1);
    if (planned->work == MG_F64) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "vocabularies merge in 32 bits at most");
    }
    size_t bytes = (size_t)planned->count * sizeof(float);
    size_t all;
    if (!mg_size_mul(bytes, (size_t)planned->input_count, &all)) {
        return mg_fail(err, MG_ERR_MEMORY, "is too large");
    }
    if (ex->rows.bytes < all) {
        mg_free_aligned(ex->rows.data);
        ex->rows.data = NULL;
        ex->rows.bytes = 0;
        MG_TRY(mg_memory_try(all, "rows of tokens", &ex->rows.data, err));
        ex->rows.bytes = all;
    }
    mg_vocabulary_input *moves = mg_new_array(mg_vocabulary_input, planned->input_count);
    for (int64_t i = 0; i < planned->input_count; i++) {
        moves[i].model = planned->inputs[i].model;
        moves[i].data = ex->inputs[i].x.data;
        moves[i].dtype = ex->inputs[i].x.dtype;
        moves[i].rows = planned->inputs[i].stored_rows;
        moves[i].out = (float *)ex->rows.data + i * planned->count;
        ex->inputs[i].x.data = moves[i].out;
        ex->inputs[i].x.dtype = MG_F32;
    }
    mg_status status = mg_vocabulary_apply(vocabulary, moves, planned->input_count, planned->base,
                                           columns, planned->work, ex->job.pool, err);
    mg_free(moves);
    return status;
}

/* The moved rows into the device's memory, where it is not the host's. */
static mg_status upload_rows(executor *ex, const mg_plan_job *planned, mg_error *err)
{
    const mg_device *device = ex->job.device;
    size_t bytes = (size_t)(planned->count * planned->input_count) * sizeof(float);
    if (ex->device_rows.bytes < bytes) {
        device->free(device, ex->device_rows.data);
        ex->device_rows.data = NULL;
        ex->device_rows.bytes = 0;
        MG_TRY(device->alloc(device, bytes, "rows of tokens", &ex->device_rows.data, err));
        ex->device_rows.bytes = bytes;
    }
    for (int64_t i = 0; i < planned->input_count; i++) {
        ex->inputs[i].x.data = (const float *)ex->device_rows.data + i * planned->count;
    }
    return device->upload(ex->job.stream, ex->device_rows.data, ex->rows.data, bytes, err);
}

static mg_status copy_equal(const executor *ex, const mg_plan_job *job, mg_error *err)
{
    const void *first = job->inputs[0].source.parts[0]->data;
    for (int64_t i = 1; i < job->input_count; i++) {
        if (memcmp(first, job->inputs[i].source.parts[0]->data, job->out_bytes) != 0) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "is not of floating-point numbers and differs between %.*s and %.*s",
                           MG_STR_ARG(ex->inputs[0].model), MG_STR_ARG(ex->inputs[i].model));
        }
    }
    return ex->job.device->upload(ex->job.stream, ex->job.out, first, job->out_bytes, err);
}

/* Where a result is not finite: an input that is not either is the place to look at. */
static mg_status name_nonfinite(executor *ex, const mg_plan_job *job, mg_error *err)
{
    for (int64_t i = 0; i < job->input_count; i++) {
        const mg_job_input *input = &ex->inputs[i];
        const mg_layout_source *source = &job->inputs[i].source;
        bool finite = true;
        size_t width;
        if (!mg_dtype_is_float(input->x.dtype) || !mg_dtype_bytes(input->x.dtype, 1, &width)) {
            continue;
        }
        int64_t count = job->rows ? job->count : (int64_t)(source->bytes / width);
        mg_finite_args args = { input->x, count, &finite };
        MG_TRY(ex->job.device->mix->finite(ex->job.stream, &args, err));
        if (!finite) {
            return mg_fail(err, MG_ERR_NUMERIC,
                           "the result holds NaN or infinity, as the tensor of %.*s does",
                           MG_STR_ARG(input->model));
        }
    }
    return mg_fail(err, MG_ERR_NUMERIC, "the result holds NaN or infinity");
}

static mg_status check_finite(executor *ex, const mg_plan_job *job, mg_error *err)
{
    if (ex->options->allow_nonfinite || !mg_dtype_is_float(job->out_dtype)) {
        return MG_OK;
    }
    bool finite = true;
    mg_finite_args args = { { ex->job.out, job->out_dtype }, job->count, &finite };
    MG_TRY(ex->job.device->mix->finite(ex->job.stream, &args, err));
    return finite ? MG_OK : name_nonfinite(ex, job, err);
}

/* Room for the result: the sink's own, or on a device without host memory the device's, to be
 * copied into the sink's afterwards when the sink knows nothing of devices. */
static mg_status reserve(executor *ex, const mg_view *spec, mg_error *err)
{
    const mg_device *device = ex->job.device;
    const mg_sink_ops *ops = ex->sink->ops;
    ex->host_out = NULL;
    if (device->host_memory) {
        return ops->reserve(ex->sink, spec, &ex->job.out, err);
    }
    if (ops->reserve_on_device != NULL) {
        return ops->reserve_on_device(ex->sink, spec, ex->job.stream, &ex->job.out, err);
    }
    if (ex->out.bytes < spec->bytes) {
        device->free(device, ex->out.data);
        ex->out.data = NULL;
        ex->out.bytes = 0;
        MG_TRY(device->alloc(device, spec->bytes, "a merged tensor", &ex->out.data, err));
        ex->out.bytes = spec->bytes;
    }
    ex->job.out = ex->out.data;
    return ops->reserve(ex->sink, spec, &ex->host_out, err);
}

/* The inputs of a planned job become those of ex->job. */
static mg_status gather_all(executor *ex, const mg_plan_job *planned, mg_error *err)
{
    mg_job *job = &ex->job;
    job->name = planned->name;
    job->shape = planned->shape;
    job->count = planned->count;
    job->inputs = ex->inputs;
    job->input_count = planned->input_count;
    job->base = planned->base;
    job->work = planned->work;
    job->out_dtype = planned->out_dtype;
    memcpy(job->params, planned->params, sizeof(job->params));
    for (int64_t i = 0; i < planned->input_count; i++) {
        bool resident =
            ex->resident != NULL && !planned->rows && planned->inputs[i].source.bytes > 0;
        MG_TRY(gather(ex, &planned->inputs[i], i, resident, err));
    }
    if (planned->rows) {
        MG_TRY(move_rows(ex, planned, err));
    }
    return planned->rows && ex->resident != NULL ? upload_rows(ex, planned, err) : MG_OK;
}

static mg_status run_job(executor *ex, const mg_plan_job *planned, mg_error *err)
{
    mg_job *job = &ex->job;
    MG_TRY(gather_all(ex, planned, err));
    mg_view spec = { planned->name, NULL, planned->out_bytes, planned->out_dtype, planned->shape };
    MG_TRY(reserve(ex, &spec, err));
    if (ex->flags != NULL) {
        uint32_t *flag = ex->flags + (planned - ex->plan->jobs);
        MG_TRY(job->device->mix->watch(job->stream, flag, err));
    }
    switch (planned->action) {
    case MG_PLAN_MERGE:
        MG_TRY(ex->plan->method->merge(job, err));
        break;
    case MG_PLAN_COPY:
        MG_TRY(mg_job_copy(job, 0, err));
        break;
    case MG_PLAN_EQUAL:
        MG_TRY(copy_equal(ex, planned, err));
        break;
    }
    if (ex->flags == NULL) {
        MG_TRY(job->device->stream_wait(job->stream, err));
        MG_TRY(check_finite(ex, planned, err));
    }
    if (ex->host_out != NULL) {
        MG_TRY(job->device->download(job->stream, ex->host_out, job->out, planned->out_bytes, err));
    }
    return ex->sink->ops->commit(ex->sink, err);
}

/* Where the device raised flags while it merged: one look at the end instead of one after each
 * tensor. */
static mg_status check_flags(executor *ex, mg_error *err)
{
    const mg_plan *plan = ex->plan;
    const mg_device *device = ex->job.device;
    if (ex->flags == NULL || plan->job_count == 0) {
        return MG_OK;
    }
    uint32_t *flags = mg_new_array(uint32_t, plan->job_count);
    mg_status status = device->download(ex->job.stream, flags, ex->flags,
                                        (size_t)plan->job_count * sizeof(uint32_t), err);
    for (int64_t i = 0; i < plan->job_count && status == MG_OK; i++) {
        if (flags[i] == 0) {
            continue;
        }
        status = gather_all(ex, &plan->jobs[i], err);
        if (status == MG_OK) {
            status = name_nonfinite(ex, &plan->jobs[i], err);
        }
        mg_error_prefix(err, "%.*s", MG_STR_ARG(plan->jobs[i].name));
    }
    mg_free(flags);
    return status;
}

static mg_status make_flags(executor *ex, const mg_device *device, mg_error *err)
{
    void *flags;
    if (device->host_memory || device->mix->watch == NULL || ex->options->allow_nonfinite) {
        return MG_OK;
    }
    MG_TRY(device->alloc(device, (size_t)ex->plan->job_count * sizeof(uint32_t), "a merge", &flags,
                         err));
    ex->flags = (uint32_t *)flags;
    return MG_OK;
}

static mg_status seed_stream(executor *ex, mg_error *err)
{
    uint32_t seed = (uint32_t)ex->options->seed;
    if (!ex->options->has_seed && getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        return mg_fail(err, MG_ERR_IO, "the system gives no random numbers");
    }
    mg_mt19937_seed(&ex->mt, seed);
    return MG_OK;
}

static void set_up(executor *ex, const mg_device *device, mg_pool *pool)
{
    const mg_plan *plan = ex->plan;
    for (int64_t i = 0; i < plan->job_count; i++) {
        ex->input_cap = MG_MAX(ex->input_cap, plan->jobs[i].input_count);
    }
    ex->inputs = mg_new_array(mg_job_input, ex->input_cap);
    ex->gathered = mg_new_array(mg_scratch, ex->input_cap);
    ex->job.device = device;
    ex->job.pool = pool;
    ex->job.mask = plan->mask;
    ex->job.mask_key = mg_rng_make(plan->mask_seed, MG_STREAM_MASK).key;
    ex->job.rescale = plan->rescale;
    ex->job.order = plan->order;
    ex->job.mt = &ex->mt;
    /* The search's own masks and orders know nothing of torch. */
    bool torch = plan->mask == MG_MASK_TORCH && plan->order == MG_ORDER_TORCH;
    int threads = MG_MIN(ex->options->torch_threads, MG_MIX_TORCH_THREADS_MAX);
    ex->job.torch_threads = torch ? MG_MAX(threads, 1) : 1;
}

static void tear_down(executor *ex, const mg_device *device)
{
    device->stream_destroy(ex->job.stream);
    mg_job_scratch_release(&ex->job);
    for (int64_t i = 0; i < ex->input_cap; i++) {
        mg_free_aligned(ex->gathered[i].data);
    }
    device->free(device, ex->out.data);
    device->free(device, ex->flags);
    device->free(device, ex->device_rows.data);
    mg_free_aligned(ex->rows.data);
    mg_free(ex->gathered);
    mg_free(ex->inputs);
}

/* Whether device, without host memory, cannot do the plan's method. */
static bool is_beyond(const mg_plan *plan, const mg_device *device)
{
    bool beyond = false;
    bool in_part = false;
    bool torch_order = plan->order == MG_ORDER_TORCH;
    for (int64_t i = 0; i < plan->job_count; i++) {
        in_part = in_part || plan->jobs[i].params[0] < 1.0;
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(needs) && !beyond; i++) {
        beyond = strcmp(plan->method->name, needs[i].name) == 0 &&
                 ((needs[i].order && torch_order) ||
                  (needs[i].order_in_part && in_part && torch_order) ||
                  (needs[i].masks && plan->mask == MG_MASK_TORCH) ||
                  (needs[i].formulas && device->formula == NULL));
    }
    return beyond;
}

/* Why a plan is merged on the CPU although the weights live on device, NULL = it is not. */
static const char *needs_host(const mg_plan *plan, const mg_device *device)
{
    bool wide = false;
    for (int64_t i = 0; i < plan->job_count; i++) {
        wide = wide || plan->jobs[i].work == MG_F64 || plan->jobs[i].out_dtype == MG_F64;
    }
    return device->host_memory       ? NULL
           : is_beyond(plan, device) ? plan->method->name
           : wide                    ? "merging in float64"
                                     : NULL;
}

mg_status mg_plan_execute(const mg_plan *plan, const mg_device *device, mg_pool *pool,
                          const mg_execute_options *options, mg_sink *sink, mg_error *err)
{
    mg_status status = MG_OK;
    executor ex;
    memset(&ex, 0, sizeof(ex));
    ex.plan = plan;
    ex.options = options;
    ex.sink = sink;
    if (device->mix == NULL) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "device %s cannot merge", device->name);
    }
    const char *host_only = needs_host(plan, device);
    if (host_only != NULL) {
        if (mg_model_set_first_time(plan->set, host_only)) {
            mg_note("%s runs on the CPU; the models run on %s", host_only, device->name);
        }
        device = mg_device_cpu(mg_isa_best());
    }
    if (!device->host_memory) {
        ex.resident = mg_model_set_resident(plan->set, device);
    }
    set_up(&ex, device, pool);
    MG_TRY_OR_DONE(seed_stream(&ex, err));
    MG_TRY_OR_DONE(device->stream_create(device, pool, &ex.job.stream, err));
    MG_TRY_OR_DONE(make_flags(&ex, device, err));
    for (int64_t i = 0; i < plan->job_count; i++) {
        status = run_job(&ex, &plan->jobs[i], err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%.*s", MG_STR_ARG(plan->jobs[i].name));
            goto done;
        }
        if (options->progress != NULL &&
            !options->progress(options->progress_context, i + 1, plan->job_count)) {
            status = mg_fail(err, MG_ERR_INTERRUPTED, "interrupted after %lld of %lld tensors",
                             (long long)(i + 1), (long long)plan->job_count);
            goto done;
        }
    }
    MG_TRY_OR_DONE(check_flags(&ex, err));
    MG_TRY_OR_DONE(device->stream_wait(ex.job.stream, err));
    MG_TRY_OR_DONE(sink->ops->finish(sink, err));

done:
    tear_down(&ex, device);
    return status;
}
