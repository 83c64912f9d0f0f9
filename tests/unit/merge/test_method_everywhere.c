/* Every method on every kernel and any number of threads; properties of linear merges. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "merge/method.h"

#define INPUTS 3
#define ROWS 140
#define COLUMNS 1003 /* several blocks, and a tail */
#define COUNT ((int64_t)ROWS * COLUMNS)

static const mg_dtype dtypes[] = { MG_F32, MG_BF16, MG_F16 };
static float values[INPUTS][COUNT];
static uint32_t tensors[INPUTS][COUNT]; /* room for any type */

static int set_up(void **state)
{
    (void)state;
    mg_rng rng = mg_rng_make(7, MG_STREAM_ITEMS);
    for (int64_t e = 0; e < COUNT; e++) {
        values[0][e] = (float)(0.02 * mg_rng_normal(&rng));
        for (int i = 1; i < INPUTS; i++) {
            values[i][e] = values[0][e] + (float)(0.004 * mg_rng_normal(&rng));
        }
    }
    return 0;
}

static void fill(mg_dtype dtype)
{
    for (int i = 0; i < INPUTS; i++) {
        mg_dtype_convert(tensors[i], dtype, values[i], MG_F32, COUNT);
    }
}

static double value_of(const mg_method_param *param)
{
    if (strcmp(param->name, "density") == 0) {
        return 0.6;
    }
    return param->required ? 0.4 : param->fallback;
}

/* Inputs and parameters that the method takes: a base, where it knows one, and two others. */
static void prepare(const mg_method *method, mg_dtype dtype, mg_job *job, mg_job_input *inputs)
{
    bool has_base = method->base != MG_BASE_IGNORED;
    int64_t count = method->inputs_max > 0 ? MG_MIN(method->inputs_max, INPUTS) : INPUTS;
    memset(inputs, 0, INPUTS * sizeof(*inputs));
    memset(job, 0, sizeof(*job));
    for (int i = 0; i < INPUTS; i++) {
        inputs[i].x.data = tensors[i];
        inputs[i].x.dtype = dtype;
        inputs[i].source_index = has_base ? i - 1 : i;
        for (int64_t k = 0; k < method->param_count; k++) {
            inputs[i].params[k] = value_of(&method->params[k]);
        }
    }
    for (int64_t k = 0; k < method->param_count; k++) {
        job->params[k] = value_of(&method->params[k]);
    }
    job->name = mg_str_of("model.layers.0.mlp.up_proj.weight");
    job->shape = mg_shape_2d(ROWS, COLUMNS);
    job->count = COUNT;
    job->inputs = inputs;
    job->input_count = count;
    job->base = has_base ? 0 : -1;
    job->work = dtype;
    job->out_dtype = dtype;
}

static void execute(const mg_method *method, mg_job *job, const mg_device *device, int threads,
                    void *out)
{
    mg_error err;
    mg_mt19937 mt;
    mg_mt19937_seed(&mt, 42);
    mg_pool *pool = threads > 0 ? mg_pool_create(threads) : NULL;
    job->device = device;
    job->pool = pool;
    job->mt = &mt;
    job->out = out;
    assert_ok(device->stream_create(device, pool, &job->stream, &err), &err);
    assert_ok(method->merge(job, &err), &err);
    device->stream_destroy(job->stream);
    mg_job_scratch_release(job);
    mg_pool_destroy(pool);
}

static void every_method_gives_the_same_bytes_on_every_kernel_and_thread_count(void **state)
{
    (void)state;
    static uint32_t expected[COUNT], out[COUNT];
    static const int threads[] = { 0, 2, 7 };
    mg_job job;
    mg_job_input inputs[INPUTS];
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        size_t bytes = (size_t)COUNT * (size_t)(mg_dtype_bits(dtypes[d]) / 8);
        fill(dtypes[d]);
        for (int64_t m = 0; m < mg_method_count; m++) {
            const mg_method *method = mg_methods[m];
            prepare(method, dtypes[d], &job, inputs);
            execute(method, &job, mg_device_ref(), 0, expected);
            for (int isa = 0; isa <= (int)mg_isa_best(); isa++) {
                for (int64_t t = 0; t < MG_ARRAY_COUNT(threads); t++) {
                    memset(out, 0x55, bytes);
                    execute(method, &job, mg_device_cpu((mg_isa)isa), threads[t], out);
                    if (memcmp(out, expected, bytes) != 0) {
                        fail_msg("%s in %s: kernels %d with %d threads differ from ref",
                                 method->name, mg_dtype_name(dtypes[d]), isa, threads[t]);
                    }
                }
            }
        }
    }
}

/* linear of the three tensors: order[i] is the tensor of input i. */
static void run_linear(mg_dtype dtype, const int *order, const double *weights, bool normalize,
                       void *out)
{
    mg_job job;
    mg_job_input inputs[INPUTS];
    const mg_method *method = mg_method_find(mg_str_of("linear"));
    prepare(method, dtype, &job, inputs);
    assert_string_equal(method->params[0].name, "weight");
    assert_string_equal(method->params[1].name, "normalize");
    for (int i = 0; i < INPUTS; i++) {
        inputs[i].x.data = tensors[order[i]];
        inputs[i].params[0] = weights[i];
    }
    job.params[1] = normalize ? 1.0 : 0.0;
    execute(method, &job, mg_device_cpu(mg_isa_best()), 2, out);
}

static void a_single_weight_gives_its_source(void **state)
{
    (void)state;
    static uint32_t out[COUNT];
    static const int order[] = { 0, 1, 2 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        size_t bytes = (size_t)COUNT * (size_t)(mg_dtype_bits(dtypes[d]) / 8);
        fill(dtypes[d]);
        for (int i = 0; i < INPUTS; i++) {
            for (int normalize = 0; normalize < 2; normalize++) {
                double weights[INPUTS] = { 0.0, 0.0, 0.0 };
                weights[i] = 1.0;
                run_linear(dtypes[d], order, weights, normalize != 0, out);
                assert_memory_equal(out, tensors[i], bytes);
            }
        }
    }
}

/* Products are summed in the order of the sources: the last bit may differ. */
static void the_order_of_sources_does_not_matter(void **state)
{
    (void)state;
    static uint32_t first[COUNT], out[COUNT];
    static float a[COUNT], b[COUNT];
    static const int orders[][3] = { { 0, 1, 2 }, { 2, 0, 1 }, { 1, 2, 0 }, { 2, 1, 0 } };
    static const double weights[] = { 0.2, 0.3, 0.7 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        const double places = dtypes[d] == MG_F32    ? 0x1p-22
                              : dtypes[d] == MG_BF16 ? 0x1p-7
                                                     : 0x1p-10;
        fill(dtypes[d]);
        run_linear(dtypes[d], orders[0], weights, true, first);
        mg_dtype_convert(a, MG_F32, first, dtypes[d], COUNT);
        for (int64_t p = 1; p < MG_ARRAY_COUNT(orders); p++) {
            double permuted[INPUTS];
            for (int i = 0; i < INPUTS; i++) {
                permuted[i] = weights[orders[p][i]];
            }
            run_linear(dtypes[d], orders[p], permuted, true, out);
            mg_dtype_convert(b, MG_F32, out, dtypes[d], COUNT);
            int64_t different = 0;
            for (int64_t e = 0; e < COUNT; e++) {
                double allowed = places * fabs((double)a[e]) + 0x1p-23; /* or float16's least */
                different += fabs((double)a[e] - (double)b[e]) > allowed;
            }
            assert_int_equal(different, 0);
        }
    }
}

static void weights_scaled_by_a_power_of_two_change_no_normalized_merge(void **state)
{
    (void)state;
    static uint32_t first[COUNT], out[COUNT];
    static float a[COUNT], b[COUNT];
    static const int order[] = { 0, 1, 2 };
    static const double weights[] = { 0.2, 0.3, 0.7 }, scaled[] = { 0.8, 1.2, 2.8 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        size_t bytes = (size_t)COUNT * (size_t)(mg_dtype_bits(dtypes[d]) / 8);
        fill(dtypes[d]);
        run_linear(dtypes[d], order, weights, true, first);
        run_linear(dtypes[d], order, scaled, true, out);
        assert_memory_equal(out, first, bytes);
        run_linear(dtypes[d], order, weights, false, first);
        run_linear(dtypes[d], order, scaled, false, out);
        mg_dtype_convert(a, MG_F32, first, dtypes[d], COUNT);
        mg_dtype_convert(b, MG_F32, out, dtypes[d], COUNT);
        for (int64_t e = 0; e < COUNT; e++) {
            /* float16's smallest values have fewer digits than four times as large ones. */
            if (fabsf(a[e]) > 0x1p-14f) {
                assert_true(4.0f * a[e] == b[e]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_gives_the_same_bytes_on_every_kernel_and_thread_count),
        cmocka_unit_test(a_single_weight_gives_its_source),
        cmocka_unit_test(the_order_of_sources_does_not_matter),
        cmocka_unit_test(weights_scaled_by_a_power_of_two_change_no_normalized_merge),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
