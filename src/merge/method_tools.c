/* merge/method_tools.c - loops, sums and conversions over whole tensors in float32. */
#include "merge/method_tools_internal.h"

#include <math.h>

#define TOOLS_BLOCK MG_MIX_BLOCK
#define TOOLS_SUM_SLOT 7     /* scratch of mg_tools_sum */
#define TOOLS_PRODUCT_SLOT 6 /* scratch of mg_tools_product_sum */

mg_status mg_tools_check(const mg_job *job, mg_error *err)
{
    if (job->work == MG_F64) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "this method does not compute in float64: set dtype to float32");
    }
    if (job->input_count > MG_MIX_INPUTS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "at most %d models can be merged", MG_MIX_INPUTS_MAX);
    }
    return MG_OK;
}

typedef struct run_task {
    int64_t count;
    int64_t grain;
    mg_tools_range *range;
    void *context;
} run_task;

static void run_block(void *context, int64_t block, int worker)
{
    const run_task *task = (const run_task *)context;
    int64_t first = block * task->grain;
    (void)worker;
    task->range(task->context, first, MG_MIN(task->grain, task->count - first));
}

void mg_tools_run(const mg_job *job, int64_t count, int64_t grain, mg_tools_range *range,
                  void *context)
{
    run_task task = { count, grain, range, context };
    int64_t blocks = (count + grain - 1) / grain;
    mg_pool_run(blocks > 1 ? job->pool : NULL, blocks, run_block, &task);
}

typedef struct sum_task {
    int64_t count;
    mg_tools_partial *partial;
    const void *context;
    double *sums;
} sum_task;

static void sum_block(void *context, int64_t block, int worker)
{
    const sum_task *task = (const sum_task *)context;
    int64_t first = block * TOOLS_BLOCK;
    (void)worker;
    task->sums[block] =
        task->partial(task->context, first, MG_MIN(TOOLS_BLOCK, task->count - first));
}

mg_status mg_tools_sum(mg_job *job, int64_t count, mg_tools_partial *partial, const void *context,
                       double *sum_out, mg_error *err)
{
    int64_t blocks = (count + TOOLS_BLOCK - 1) / TOOLS_BLOCK;
    void *sums;
    MG_TRY(mg_job_scratch(job, TOOLS_SUM_SLOT, (size_t)(blocks + 1) * sizeof(double), &sums, err));
    sum_task task = { count, partial, context, (double *)sums };
    mg_pool_run(blocks > 1 ? job->pool : NULL, blocks, sum_block, &task);
    *sum_out = 0.0;
    for (int64_t i = 0; i < blocks; i++) {
        *sum_out += task.sums[i];
    }
    return MG_OK;
}

typedef struct load_task {
    const mg_job *job;
    const int64_t *inputs;
    int64_t input_count;
    bool delta;
    float *values;
} load_task;

static void load_input(const mg_job *job, int64_t input, int64_t first, int64_t count, float *out)
{
    const mg_mix_input *x = &job->inputs[input].x;
    const char *from =
        (const char *)x->data + (size_t)first * (size_t)(mg_dtype_bits(x->dtype) / 8);
    mg_dtype_convert(out, MG_F32, from, x->dtype, count);
    for (int64_t i = 0; i < count && job->work != x->dtype; i++) {
        out[i] = mg_work(job, out[i]);
    }
}

static void load_range(void *context, int64_t first, int64_t count)
{
    const load_task *task = (const load_task *)context;
    const mg_job *job = task->job;
    float base[1024];
    for (int64_t k = 0; k < task->input_count; k++) {
        float *out = task->values + k * job->count;
        for (int64_t at = first; at < first + count; at += MG_ARRAY_COUNT(base)) {
            int64_t n = MG_MIN(MG_ARRAY_COUNT(base), first + count - at);
            load_input(job, task->inputs[k], at, n, out + at);
            if (!task->delta) {
                continue;
            }
            load_input(job, job->base, at, n, base);
            for (int64_t i = 0; i < n; i++) {
                out[at + i] = mg_work(job, out[at + i] - base[i]);
            }
        }
    }
}

mg_status mg_tools_floats(mg_job *job, int slot, int64_t count, float **values_out, mg_error *err)
{
    void *block;
    size_t bytes;
    if (!mg_size_mul((size_t)count, sizeof(float), &bytes)) {
        return mg_fail(err, MG_ERR_MEMORY, "a tensor of %lld elements is too large",
                       (long long)count);
    }
    MG_TRY(mg_job_scratch(job, slot, bytes, &block, err));
    *values_out = (float *)block;
    return MG_OK;
}

mg_status mg_tools_load(mg_job *job, int slot, const int64_t *inputs, int64_t count, bool delta,
                        float **values_out, mg_error *err)
{
    MG_TRY(mg_tools_floats(job, slot, job->count * count, values_out, err));
    load_task task = { job, inputs, count, delta, *values_out };
    mg_tools_run(job, job->count, TOOLS_BLOCK, load_range, &task);
    return MG_OK;
}

typedef struct store_task {
    const mg_job *job;
    const float *values;
} store_task;

static void store_range(void *context, int64_t first, int64_t count)
{
    const store_task *task = (const store_task *)context;
    const mg_job *job = task->job;
    char *to = (char *)job->out + (size_t)first * (size_t)(mg_dtype_bits(job->out_dtype) / 8);
    mg_dtype_convert(to, job->out_dtype, task->values + first, MG_F32, count);
}

void mg_tools_store(const mg_job *job, const float *values)
{
    store_task task = { job, values };
    mg_tools_run(job, job->count, TOOLS_BLOCK, store_range, &task);
}

float mg_tools_norm(const float *x, int64_t count)
{
    return mg_mix_angle_norm(x, count);
}

/* torch sums the squares of bfloat16 as those of float32, of float16 one by one. */
float mg_tools_work_norm(const mg_job *job, const float *x, int64_t count, bool alone)
{
    if (job->work != MG_F16) {
        return mg_work(job, mg_mix_angle_norm(x, count));
    }
    int64_t part = count;
    int part_count = alone ? mg_mix_torch_parts(count, job->torch_threads, &part) : 1;
    float total = 0.0f;
    for (int k = 0; k < part_count; k++) {
        float sum = 0.0f;
        for (int64_t i = k * part; i < MG_MIN(count, (k + 1) * part); i++) {
            sum += x[i] * x[i];
        }
        total += sum;
    }
    return mg_work(job, sqrtf(total));
}

float mg_tools_total(const mg_job *job, const float *values, int64_t count)
{
    return mg_mix_torch_total(values, count, job->work, job->torch_threads);
}

float mg_tools_row_total(const mg_job *job, const float *values, int64_t count)
{
    return mg_mix_torch_sum(values, count, job->work != MG_F32);
}

typedef struct pair {
    const mg_job *job;
    const float *x;
    const float *y;
    float *products;
} pair;

static void product_range(void *context, int64_t first, int64_t count)
{
    const pair *p = (const pair *)context;
    for (int64_t i = first; i < first + count; i++) {
        p->products[i] = mg_work(p->job, p->x[i] * p->y[i]);
    }
}

mg_status mg_tools_product_sum(mg_job *job, const float *x, const float *y, bool shared,
                               float *sum_out, mg_error *err)
{
    pair p = { job, x, y, NULL };
    MG_TRY(mg_tools_floats(job, TOOLS_PRODUCT_SLOT, job->count, &p.products, err));
    mg_tools_run(job, job->count, TOOLS_BLOCK, product_range, &p);
    *sum_out = shared ? mg_tools_total(job, p.products, job->count)
                      : mg_tools_row_total(job, p.products, job->count);
    return MG_OK;
}

mg_formula mg_tools_formula(const mg_job *job, const int64_t *inputs, int64_t count, bool delta)
{
    mg_formula f;
    memset(&f, 0, sizeof(f));
    f.work = job->work;
    f.delta = delta;
    f.input_count = count;
    f.count = job->count;
    if (job->base >= 0) {
        f.base = job->inputs[job->base].x;
    }
    for (int64_t k = 0; k < count; k++) {
        f.inputs[k] = job->inputs[inputs[k]].x;
    }
    return f;
}

mg_status mg_tools_apply(mg_job *job, mg_formula_kind kind, const mg_formula *formula, float *draft,
                         mg_error *err)
{
    mg_formula_args args = { kind, formula, job->out, job->out_dtype, false };
    if (draft != NULL) {
        args.out = draft;
        args.out_dtype = MG_F32;
        args.draft = true;
    }
    return job->device->formula->apply(job->stream, &args, err);
}

mg_status mg_tools_terms(mg_job *job, mg_formula_sum_kind kind, const mg_formula *formula,
                         bool by_vector, double *sums_out, mg_error *err)
{
    mg_formula_sum_args args = { kind, formula, by_vector, sums_out };
    return job->device->formula->sum(job->stream, &args, err);
}

mg_status mg_tools_row(mg_job *job, int slot, const float *values, int64_t count,
                       const float **row_out, mg_error *err)
{
    float *room;
    *row_out = NULL;
    MG_TRY(mg_tools_floats(job, slot, count, &room, err));
    MG_TRY(job->device->upload(job->stream, room, values, (size_t)count * sizeof(float), err));
    *row_out = room;
    return MG_OK;
}

float mg_tools_model_sum(const mg_job *job, const float *values, int64_t count, int64_t element)
{
    bool tail = element >= job->count - MG_MIX_TAIL(job->count);
    return mg_work(job, mg_mix_model_sum(values, count, tail));
}

int64_t mg_tools_others(const mg_job *job, int64_t others[MG_MIX_INPUTS_MAX])
{
    int64_t count = 0;
    for (int64_t i = 0; i < job->input_count; i++) {
        if (i != job->base) {
            others[count++] = i;
        }
    }
    return count;
}
