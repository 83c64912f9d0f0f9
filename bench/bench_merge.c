/* bench/bench_merge.c - merge methods beside a plain copy of as many bytes, in memory.
 *
 *     bench_merge [THREADS [ELEMENTS [ROUNDS]]]
 *
 * Four tensors - a base and three sources - become one.  gb_per_s counts every byte read and
 * written once; copy_share is that rate over the rate of a copy by the same threads, measured in
 * the same run (a copy reads and writes each byte).  The best of the rounds counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/pool.h"
#include "merge/method.h"

#define TENSOR_COUNT 4
#define COPY_BLOCK ((size_t)1 << 20)

typedef struct bench {
    mg_pool *pool;
    const mg_device *device;
    mg_stream *stream;
    int64_t elements;
    int rounds;
    mg_dtype dtype;
    size_t bytes; /* of one tensor */
    char *tensors[TENSOR_COUNT];
    char *out;
    double copy_rate;
} bench;

static void die(const mg_error *err)
{
    (void)fprintf(stderr, "bench_merge: %s\n", err->message);
    exit(4);
}

typedef struct copy_task {
    const bench *b;
} copy_task;

/* The first tensors are copied to the last ones, block by block: as much memory as a merge touches.
 */
static void copy_block(void *context, int64_t index, int worker)
{
    const bench *b = ((const copy_task *)context)->b;
    size_t from = (size_t)index * COPY_BLOCK;
    size_t size = MG_MIN(COPY_BLOCK, b->bytes - from);
    (void)worker;
    memcpy(b->out + from, b->tensors[0] + from, size);
    memcpy(b->tensors[2] + from, b->tensors[1] + from, size);
}

static double measure_copy(const bench *b)
{
    double best = INFINITY;
    copy_task task = { b };
    for (int r = 0; r < b->rounds + 1; r++) {
        double start = mg_clock_now(NULL);
        mg_pool_run(b->pool, (int64_t)((b->bytes + COPY_BLOCK - 1) / COPY_BLOCK), copy_block,
                    &task);
        double seconds = mg_clock_now(NULL) - start;
        best = seconds < best ? seconds : best;
    }
    return 4.0 * (double)b->bytes / best;
}

static void set_params(const mg_method *method, mg_job *job, mg_job_input *inputs)
{
    for (int64_t k = 0; k < method->param_count; k++) {
        const mg_method_param *param = &method->params[k];
        double value = param->fallback;
        if (strcmp(param->name, "density") == 0) {
            value = 0.6;
        } else if (param->required) {
            value = 0.4;
        }
        job->params[k] = value;
        for (int i = 0; i < TENSOR_COUNT; i++) {
            inputs[i].params[k] = value;
        }
    }
}

static void run(const bench *b, const char *name, mg_mask_kind mask, const char *label)
{
    mg_error err;
    const mg_method *method = mg_method_find(mg_str_of(name));
    if (method == NULL) {
        return;
    }
    mg_job_input inputs[TENSOR_COUNT];
    memset(inputs, 0, sizeof(inputs));
    mg_job job;
    memset(&job, 0, sizeof(job));
    mg_mt19937 mt;
    mg_mt19937_seed(&mt, 42);
    int64_t count = method->inputs_max == 0 ? TENSOR_COUNT : method->inputs_max;
    for (int i = 0; i < TENSOR_COUNT; i++) {
        inputs[i].x.data = b->tensors[i];
        inputs[i].x.dtype = b->dtype;
        inputs[i].source_index = i - 1;
    }
    job.name = mg_str_of("model.layers.0.mlp.up_proj.weight");
    job.shape = mg_shape_2d(b->elements / 4096, 4096);
    job.count = b->elements;
    job.inputs = inputs;
    job.input_count = count;
    job.work = b->dtype;
    job.out = b->out;
    job.out_dtype = b->dtype;
    job.device = b->device;
    job.stream = b->stream;
    job.pool = b->pool;
    job.mask = mask;
    job.mask_key = mg_rng_make(42, MG_STREAM_MASK).key;
    job.mt = &mt;
    set_params(method, &job, inputs);
    double best = INFINITY;
    for (int r = 0; r < b->rounds + 1; r++) {
        double start = mg_clock_now(NULL);
        if (method->merge(&job, &err) != MG_OK) {
            die(&err);
        }
        double seconds = mg_clock_now(NULL) - start;
        best = seconds < best ? seconds : best;
    }
    double rate = (double)(count + 1) * (double)b->bytes / best;
    printf("%s,%s,%s,%d,%lld,%.4f,%.2f,%.2f\n", label, mg_dtype_name(b->dtype), b->device->name,
           mg_pool_threads(b->pool), (long long)b->elements, best, rate / 1e9, rate / b->copy_rate);
    (void)fflush(stdout);
    mg_job_scratch_release(&job);
}

static void fill(bench *b)
{
    mg_rng rng = mg_rng_make(1, MG_STREAM_ITEMS);
    const int64_t period = MG_MIN(b->elements, 1 << 16);
    size_t element = (size_t)(mg_dtype_bits(b->dtype) / 8);
    for (int t = 0; t < TENSOR_COUNT; t++) {
        for (int64_t i = 0; i < period; i++) {
            double x = 0.02 * mg_rng_normal(&rng);
            mg_dtype_convert(b->tensors[t] + (size_t)i * element, b->dtype, &x, MG_F64, 1);
        }
        for (size_t at = (size_t)period * element; at < b->bytes; at *= 2) {
            memcpy(b->tensors[t] + at, b->tensors[t], MG_MIN(at, b->bytes - at));
        }
    }
}

static void run_dtype(bench *b, mg_dtype dtype)
{
    mg_error err;
    b->dtype = dtype;
    b->bytes = (size_t)b->elements * (size_t)(mg_dtype_bits(dtype) / 8);
    for (int t = 0; t <= TENSOR_COUNT; t++) {
        void *block;
        if (mg_memory_try(b->bytes, "tensors", &block, &err) != MG_OK) {
            die(&err);
        }
        *(t < TENSOR_COUNT ? &b->tensors[t] : &b->out) = (char *)block;
    }
    fill(b);
    b->copy_rate = measure_copy(b);
    printf("copy,%s,memcpy,%d,%lld,%.4f,%.2f,1.00\n", mg_dtype_name(dtype),
           mg_pool_threads(b->pool), (long long)b->elements, 2.0 * (double)b->bytes / b->copy_rate,
           b->copy_rate / 1e9);
    run(b, "linear", MG_MASK_TORCH, "linear");
    run(b, "task_arithmetic", MG_MASK_TORCH, "task_arithmetic");
    run(b, "slerp", MG_MASK_TORCH, "slerp");
    run(b, "dare_ties", MG_MASK_PHILOX, "dare_ties (philox)");
    run(b, "dare_linear", MG_MASK_PHILOX, "dare_linear (philox)");
    run(b, "dare_ties", MG_MASK_TORCH, "dare_ties (torch)");
    run(b, "ties", MG_MASK_TORCH, "ties");
    for (int t = 0; t < TENSOR_COUNT; t++) {
        mg_free_aligned(b->tensors[t]);
    }
    mg_free_aligned(b->out);
}

int main(int argc, char **argv)
{
    mg_error err;
    bench b;
    memset(&b, 0, sizeof(b));
    b.pool = mg_pool_create(argc > 1 ? atoi(argv[1]) : 0);
    b.elements = (argc > 2 ? atoll(argv[2]) : 33554432) / 4096 * 4096;
    b.rounds = argc > 3 ? atoi(argv[3]) : 5;
    if (b.elements <= 0) {
        (void)fprintf(stderr, "usage: bench_merge [THREADS [ELEMENTS [ROUNDS]]]\n");
        return 2;
    }
    printf("method,dtype,device,threads,elements,seconds,gb_per_s,copy_share\n");
    for (int isa = MG_ISA_AVX2; isa <= (int)mg_isa_best(); isa++) {
        b.device = mg_device_cpu((mg_isa)isa);
        if (b.device->stream_create(b.device, b.pool, &b.stream, &err) != MG_OK) {
            die(&err);
        }
        run_dtype(&b, MG_BF16);
        run_dtype(&b, MG_F32);
        b.device->stream_destroy(b.stream);
    }
    mg_pool_destroy(b.pool);
    return 0;
}
