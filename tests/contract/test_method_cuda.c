/* tests/contract/test_method_cuda.c - every merge method on a card, against the CPU.
 *
 * Methods whose numbers come from no sum over the tensor have the CPU's bits, and so have those
 * that rescale by sums of magnitudes, which the card adds in the CPU's order.  Of the others at
 * most one value in a thousand may be another than the CPU's nearest neighbour or itself (16-bit
 * types), and float32 results are within 1e-6 of the CPU's, relative to the largest value.
 * A Karcher mean steps by the arc cosines of numbers near 1, which 16 bits hold to two digits: there
 * the difference is a unit of the type in norm.  arcee_fusion takes or leaves whole changes by
 * divergences of nearly equal rows, of which the last places of an exponential leave two digits: one
 * element in a hundred, and at least one of a tensor, may be chosen otherwise.
 * Skipped, visibly, where there is no card. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "compute/cuda_device.h"
#include "merge/method.h"

#define INPUTS 6

static const mg_device *card;

static int set_up(void **state)
{
    (void)state;
    mg_error err;
    const char *why;
    if (mg_cuda_count(&why) == 0) {
        print_message("SKIPPED: no card to test: %s\n", why);
        return 0;
    }
    assert_ok(mg_device_cuda(0, &card, &err), &err);
    return 0;
}

static bool no_card(void)
{
    if (card == NULL) {
        skip();
    }
    return card == NULL;
}

/* What a case asks of a method beside its defaults. */
typedef struct method_case {
    const char *method;
    const char *param; /* NULL = none */
    double value;
    mg_mask_kind mask;
    mg_rescale_kind rescale;
    bool exact;
    int64_t inputs; /* with the base */
} method_case;

#define TORCH MG_MASK_TORCH, MG_RESCALE_DEFAULT
#define COUNTED MG_MASK_PHILOX, MG_RESCALE_DENSITY
#define COUNTED_L1 MG_MASK_PHILOX, MG_RESCALE_L1

static const method_case cases[] = {
    { "linear", NULL, 0, TORCH, true, 3 },
    { "linear", NULL, 0, TORCH, true, 6 },
    { "slerp", NULL, 0, TORCH, false, 2 },
    { "passthrough", NULL, 0, TORCH, true, 1 },
    { "task_arithmetic", NULL, 0, TORCH, true, 3 },
    { "ties", NULL, 0, TORCH, true, 3 },
    { "ties", NULL, 0, TORCH, true, 6 },
    { "breadcrumbs", NULL, 0, TORCH, true, 3 },
    { "breadcrumbs_ties", NULL, 0, TORCH, true, 3 },
    { "dare_ties", NULL, 0, TORCH, true, 3 },
    { "dare_linear", NULL, 0, TORCH, true, 3 },
    { "dare_ties", NULL, 0, COUNTED, true, 3 },
    { "dare_linear", NULL, 0, COUNTED_L1, true, 3 },
    { "dare_ties", NULL, 0, COUNTED_L1, true, 6 },
    { "della", NULL, 0, COUNTED, true, 3 },
    { "della_linear", NULL, 0, COUNTED_L1, true, 3 },
    { "della", "density", 0.0, COUNTED, true, 3 },
    { "della", "density", 0.97, COUNTED, true, 6 },
    { "nearswap", NULL, 0, TORCH, true, 2 },
    { "ram", NULL, 0, TORCH, true, 3 },
    { "ram", NULL, 0, TORCH, true, 6 },
    { "ramplus_tl", NULL, 0, TORCH, true, 3 },
    { "ramplus_tl", NULL, 0, TORCH, true, 6 },
    { "model_stock", NULL, 0, TORCH, false, 3 },
    { "model_stock", NULL, 0, TORCH, false, 6 },
    { "model_stock", "filter_wise", 1, TORCH, false, 4 },
    { "nuslerp", NULL, 0, TORCH, false, 3 },
    { "nuslerp", "nuslerp_flatten", 0, TORCH, false, 3 },
    { "nuslerp", "columns", 0, TORCH, false, 3 },
    { "multislerp", NULL, 0, TORCH, false, 3 },
    { "multislerp", NULL, 0, TORCH, false, 6 },
    { "karcher", NULL, 0, TORCH, false, 3 },
    { "karcher", NULL, 0, TORCH, false, 6 },
    { "sce", NULL, 0, TORCH, false, 3 },
    { "sce", "select_topk", 0.4, TORCH, false, 4 },
    { "sce", "select_topk", 0.4, TORCH, false, 6 },
    { "arcee_fusion", NULL, 0, TORCH, false, 2 },
};

/* Fine-tunes of a base, in host and in card memory. */
typedef struct tensors {
    void *host[INPUTS];
    void *device[INPUTS];
    mg_shape shape;
    int64_t count;
    mg_dtype dtype;
    size_t bytes;
} tensors;

static tensors make_tensors(mg_dtype dtype, mg_shape shape, mg_stream *stream)
{
    mg_error err;
    tensors t = { { NULL }, { NULL }, shape, mg_shape_count(&shape), dtype, 0 };
    mg_rng rng = mg_rng_make(21, MG_STREAM_ITEMS);
    float *base = mg_new_array(float, t.count);
    float *x = mg_new_array(float, t.count);
    assert_true(mg_dtype_bytes(dtype, t.count, &t.bytes));
    for (int64_t e = 0; e < t.count; e++) {
        base[e] = 0.02f * (float)mg_rng_normal(&rng);
    }
    for (int i = 0; i < INPUTS; i++) {
        for (int64_t e = 0; e < t.count; e++) {
            x[e] = base[e] + (i == 0 ? 0.0f : 0.004f * (float)mg_rng_normal(&rng));
        }
        t.host[i] = mg_new_array(char, (int64_t)t.bytes);
        mg_dtype_convert(t.host[i], dtype, x, MG_F32, t.count);
        assert_ok(card->alloc(card, t.bytes, "test", &t.device[i], &err), &err);
        assert_ok(card->upload(stream, t.device[i], t.host[i], t.bytes, &err), &err);
    }
    mg_free(base);
    mg_free(x);
    return t;
}

static void free_tensors(tensors *t)
{
    for (int i = 0; i < INPUTS; i++) {
        mg_free(t->host[i]);
        card->free(card, t->device[i]);
    }
}

static double value_of(const method_case *c, const mg_method_param *param, int input)
{
    bool columns = c->param != NULL && strcmp(c->param, "columns") == 0;
    if (columns && strcmp(param->name, "nuslerp_flatten") == 0) {
        return 0.0;
    }
    if (columns && strcmp(param->name, "nuslerp_row_wise") == 0) {
        return 1.0;
    }
    if (c->param != NULL && strcmp(param->name, c->param) == 0) {
        return c->value;
    }
    if (strcmp(param->name, "density") == 0) {
        return 0.6;
    }
    if (strcmp(param->name, "epsilon") == 0 && strncmp(c->method, "ram", 3) == 0) {
        return 0.003;
    }
    return param->required ? 0.4 + 0.1 * (double)input : param->fallback;
}

static void run(const method_case *c, const tensors *t, bool on_card, mg_stream *stream, void *out,
                mg_dtype out_dtype)
{
    mg_error err;
    mg_job job;
    mg_job_input inputs[INPUTS];
    mg_mt19937 mt;
    const mg_method *method = mg_method_find(mg_str_of(c->method));
    assert_non_null(method);
    bool has_base = method->base != MG_BASE_IGNORED;
    memset(&job, 0, sizeof(job));
    memset(inputs, 0, sizeof(inputs));
    mg_mt19937_seed(&mt, 42);
    for (int i = 0; i < (int)c->inputs; i++) {
        inputs[i].x.data = on_card ? t->device[i] : t->host[i];
        inputs[i].x.dtype = t->dtype;
        inputs[i].source_index = has_base ? i - 1 : i;
        for (int64_t k = 0; k < method->param_count; k++) {
            inputs[i].params[k] = value_of(c, &method->params[k], i);
        }
    }
    for (int64_t k = 0; k < method->param_count; k++) {
        job.params[k] = value_of(c, &method->params[k], 0);
    }
    job.name = mg_str_of("model.layers.0.mlp.up_proj.weight");
    job.shape = t->shape;
    job.count = t->count;
    job.inputs = inputs;
    job.input_count = c->inputs;
    job.base = has_base ? 0 : -1;
    job.work = t->dtype;
    job.out = out;
    job.out_dtype = out_dtype;
    job.device = on_card ? card : mg_device_cpu(mg_isa_best());
    job.stream = stream;
    job.mask = c->mask;
    job.mask_key = mg_rng_make(9, MG_STREAM_MASK).key;
    job.rescale = c->rescale;
    job.order = MG_ORDER_INDEX;
    job.mt = &mt;
    job.torch_threads = 1;
    assert_ok(method->merge(&job, &err), &err);
    assert_ok(job.device->stream_wait(stream, &err), &err);
    mg_job_scratch_release(&job);
}

/* The place of a value among all of its type: neighbours differ by 1. */
static int64_t place_of(const void *values, int64_t e, mg_dtype dtype)
{
    int64_t magnitude;
    bool negative;
    if (dtype == MG_F32) {
        uint32_t bits = ((const uint32_t *)values)[e];
        magnitude = (int64_t)(bits & 0x7FFFFFFFu);
        negative = bits >> 31 != 0;
    } else {
        uint16_t bits = ((const uint16_t *)values)[e];
        magnitude = (int64_t)(bits & 0x7FFFu);
        negative = bits >> 15 != 0;
    }
    return negative ? -magnitude : magnitude;
}

static void check(const method_case *c, const tensors *t, const void *expected, const void *actual,
                  mg_dtype out_dtype)
{
    size_t bytes = 0;
    int64_t far = 0;
    double apart_sum = 0.0;
    double sum = 0.0;
    float most = 0.0f;
    float worst = 0.0f;
    assert_true(mg_dtype_bytes(out_dtype, t->count, &bytes));
    if (c->exact && memcmp(expected, actual, bytes) != 0) {
        fail_msg("%s of %d in %s (%lld elements) has not the CPU's bits", c->method, (int)c->inputs,
                 mg_dtype_name(t->dtype), (long long)t->count);
    }
    for (int64_t e = 0; e < t->count; e++) {
        int64_t apart = place_of(expected, e, out_dtype) - place_of(actual, e, out_dtype);
        double x[2];
        size_t at = (size_t)e * (bytes / (size_t)t->count);
        mg_dtype_convert(&x[0], MG_F64, (const char *)expected + at, out_dtype, 1);
        mg_dtype_convert(&x[1], MG_F64, (const char *)actual + at, out_dtype, 1);
        apart_sum += (x[1] - x[0]) * (x[1] - x[0]);
        sum += x[0] * x[0];
        far += apart > 1 || apart < -1;
        most = fmaxf(most, (float)fabs(x[0]));
        worst = fmaxf(worst, (float)fabs(x[1] - x[0]));
    }
    bool chooses = strcmp(c->method, "arcee_fusion") == 0;
    double unit = t->dtype == MG_BF16 ? 0x1p-8 : 0x1p-11;
    bool steps = strcmp(c->method, "karcher") == 0 && t->dtype != MG_F32;
    bool full = out_dtype == MG_F32 && t->dtype == MG_F32 && !chooses;
    int64_t far_max = chooses ? MG_MAX(t->count / 100, 1) : t->count / 1000;
    bool good = full ? worst <= 1e-6f * most : far <= far_max;
    if (steps) {
        good = sqrt(apart_sum / sum) <= unit;
    }
    if (!good) {
        fail_msg("%s of %d in %s (%lld elements): %lld far off, %g of %g, %g in norm", c->method,
                 (int)c->inputs, mg_dtype_name(t->dtype), (long long)t->count, (long long)far,
                 (double)worst, (double)most, sqrt(apart_sum / sum));
    }
}

static void compare(const method_case *c, const tensors *t, mg_stream *cpu_stream,
                    mg_stream *stream)
{
    mg_error err;
    size_t bytes = 0;
    bool wide = mg_method_find(mg_str_of(c->method))->wide_result;
    mg_dtype out_dtype = wide ? MG_F32 : t->dtype;
    assert_true(mg_dtype_bytes(out_dtype, t->count, &bytes));
    char *expected = mg_new_array(char, (int64_t)bytes);
    char *actual = mg_new_array(char, (int64_t)bytes);
    void *block;
    assert_ok(card->alloc(card, bytes, "test", &block, &err), &err);
    memset(actual, 0x55, bytes);
    assert_ok(card->upload(stream, block, actual, bytes, &err), &err);
    run(c, t, false, cpu_stream, expected, out_dtype);
    run(c, t, true, stream, block, out_dtype);
    assert_ok(card->download(stream, actual, block, bytes, &err), &err);
    check(c, t, expected, actual, out_dtype);
    card->free(card, block);
    mg_free(expected);
    mg_free(actual);
}

static void every_method_agrees_with_the_cpu(void **state)
{
    (void)state;
    static const mg_dtype dtypes[] = { MG_F32, MG_BF16, MG_F16 };
    const mg_shape shapes[] = { mg_shape_1d(67), mg_shape_2d(3, 5), mg_shape_2d(64, 96),
                                mg_shape_2d(70, 1003) };
    if (no_card()) {
        return;
    }
    mg_error err;
    mg_stream *stream = NULL;
    mg_stream *cpu_stream = NULL;
    const mg_device *cpu = mg_device_cpu(mg_isa_best());
    assert_ok(card->stream_create(card, NULL, &stream, &err), &err);
    assert_ok(cpu->stream_create(cpu, NULL, &cpu_stream, &err), &err);
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
            tensors t = make_tensors(dtypes[d], shapes[s], stream);
            for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
                compare(&cases[i], &t, cpu_stream, stream);
            }
            free_tensors(&t);
        }
    }
    cpu->stream_destroy(cpu_stream);
    card->stream_destroy(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_agrees_with_the_cpu),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
