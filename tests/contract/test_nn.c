/* tests/contract/test_nn.c - every operation of compute/ops_nn.h, on every device.
 *
 * A case runs on ref and then on each device; outputs must agree within the device's tolerance,
 * which is none for a CPU: the same bits on any instruction set, with or without threads. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "base/pool.h"
#include "compute/cuda_device.h"
#include "compute/device.h"
#include "compute/ops_nn.h"

#define OUTPUT_FLOATS_MAX (1 << 20)

typedef struct target {
    const char *name;
    const mg_device *device;
    mg_stream *stream;
    double tolerance; /* of the error's norm over the result's; 0 = the same bits */
} target;

/* ref first; the others are compared with it. */
static target targets[10];
static int64_t target_count;
static mg_pool *pool;
static float *expected;
static float *actual;

static void add_target(const char *name, const mg_device *device, mg_pool *threads,
                       double tolerance)
{
    mg_error err;
    target *t = &targets[target_count++];
    t->name = name;
    t->tolerance = tolerance;
    t->device = device;
    assert_ok(device->stream_create(device, threads, &t->stream, &err), &err);
}

static int set_up(void **state)
{
    (void)state;
    pool = mg_pool_create(3);
    add_target("ref", mg_device_ref(), NULL, 0.0);
    add_target("base", mg_device_cpu(MG_ISA_BASE), NULL, 0.0);
    if (mg_isa_best() >= MG_ISA_AVX2) {
        add_target("avx2", mg_device_cpu(MG_ISA_AVX2), NULL, 0.0);
        add_target("avx2, threads", mg_device_cpu(MG_ISA_AVX2), pool, 0.0);
    } else {
        print_message("SKIPPED: this machine has no AVX2\n");
    }
    if (mg_isa_best() >= MG_ISA_AVX512) {
        add_target("avx512", mg_device_cpu(MG_ISA_AVX512), NULL, 0.0);
        add_target("avx512, threads", mg_device_cpu(MG_ISA_AVX512), pool, 0.0);
    } else {
        print_message("SKIPPED: this machine has no AVX-512\n");
    }
    if (mg_isa_best() >= MG_ISA_AVX512_BF16) {
        add_target("avx512_bf16", mg_device_cpu(MG_ISA_AVX512_BF16), NULL, 0.0);
        add_target("avx512_bf16, threads", mg_device_cpu(MG_ISA_AVX512_BF16), pool, 0.0);
    } else {
        print_message("SKIPPED: this machine has no dot products of bfloat16\n");
    }
    const char *why;
    if (mg_cuda_count(&why) > 0) {
        /* Products of bfloat16 weights round their rows to bfloat16 first. */
        mg_error err;
        const mg_device *card;
        assert_ok(mg_device_cuda(0, &card, &err), &err);
        add_target("cuda", card, NULL, 1e-2);
    } else {
        print_message("SKIPPED: no card to test: %s\n", why);
    }
    expected = mg_new_array(float, OUTPUT_FLOATS_MAX);
    actual = mg_new_array(float, OUTPUT_FLOATS_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int64_t t = 0; t < target_count; t++) {
        targets[t].device->stream_destroy(targets[t].stream);
    }
    mg_free(expected);
    mg_free(actual);
    mg_pool_destroy(pool);
    return 0;
}

/* --- Memory of a device, filled and read through the seam */

static void *device_block(const target *t, const void *from, size_t bytes)
{
    mg_error err;
    void *block = NULL;
    assert_ok(t->device->alloc(t->device, bytes > 0 ? bytes : 1, "test", &block, &err), &err);
    if (from != NULL) {
        assert_ok(t->device->upload(t->stream, block, from, bytes, &err), &err);
    }
    return block;
}

static void device_read(const target *t, void *to, const void *from, size_t bytes)
{
    mg_error err;
    assert_ok(t->device->download(t->stream, to, from, bytes, &err), &err);
    assert_ok(t->device->stream_wait(t->stream, &err), &err);
}

static uint64_t random_state;

static void random_seed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
}

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

/* In [-1, 1). */
static float random_float(void)
{
    return (float)((double)random_bits() / 1073741824.0 - 1.0);
}

static float *random_block(const target *t, int64_t count, float scale)
{
    float *host = mg_new_array(float, count);
    for (int64_t i = 0; i < count; i++) {
        host[i] = scale * random_float();
    }
    float *block = (float *)device_block(t, host, (size_t)count * sizeof(float));
    mg_free(host);
    return block;
}

static void device_free(const target *t, const void *block)
{
    t->device->free(t->device, (void *)(uintptr_t)block);
}

static mg_weight packed_weight(const target *t, int64_t out_dim, int64_t in_dim, mg_dtype dtype,
                               mg_dtype source_dtype)
{
    mg_error err;
    mg_weight weight = { NULL, out_dim, in_dim, dtype };
    size_t bytes = 0;
    assert_ok(t->device->nn->packed_bytes(&weight, &bytes, &err), &err);
    weight.data = device_block(t, NULL, bytes);
    int64_t count = out_dim * in_dim;
    float *plain = mg_new_array(float, count);
    for (int64_t i = 0; i < count; i++) {
        plain[i] = random_float();
    }
    size_t source_bytes = 0;
    assert_true(mg_dtype_bytes(source_dtype, count, &source_bytes));
    char *host = mg_new_array(char, (int64_t)source_bytes + 1);
    mg_dtype_convert(host + 1, source_dtype, plain, MG_F32, count);
    char *source = (char *)device_block(t, host, source_bytes + 1);
    /* In two parts, from an odd address. */
    int64_t first = out_dim / 3;
    mg_pack_args args = { weight, 0, first, source + 1, source_dtype };
    assert_ok(t->device->nn->pack(t->stream, &args, &err), &err);
    args.row_first = first;
    args.row_count = out_dim - first;
    args.source = source + 1 + (size_t)(first * in_dim) * (source_bytes / (size_t)MG_MAX(count, 1));
    assert_ok(t->device->nn->pack(t->stream, &args, &err), &err);
    device_free(t, source);
    mg_free(host);
    mg_free(plain);
    return weight;
}

/* --- Cases: run on a target, leave their outputs in out, return how many floats that are */

typedef int64_t case_function(const target *t, const int64_t *params, float *out);

static void assert_same_bits(const char *name, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        bool both_nan = isnan(expected[i]) && isnan(actual[i]);
        if (!both_nan && memcmp(&expected[i], &actual[i], sizeof(float)) != 0) {
            fail_msg("%s: value %lld of %lld is %.9g, expected %.9g", name, (long long)i,
                     (long long)count, (double)actual[i], (double)expected[i]);
        }
    }
}

/* NaN where NaN is expected, and else near by the norm of the error. */
static void assert_near(const target *t, int64_t count)
{
    double error = 0.0;
    double size = 0.0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(expected[i]) != isnan(actual[i])) {
            fail_msg("%s: value %lld of %lld is %.9g, expected %.9g", t->name, (long long)i,
                     (long long)count, (double)actual[i], (double)expected[i]);
        }
        if (isfinite(expected[i])) {
            double d = (double)actual[i] - (double)expected[i];
            error += d * d;
            size += (double)expected[i] * (double)expected[i];
        }
    }
    if (!(sqrt(error) <= t->tolerance * sqrt(size))) {
        fail_msg("%s: relative error %.3g over %lld values, allowed is %.3g", t->name,
                 sqrt(error / size), (long long)count, t->tolerance);
    }
}

static void compare_targets(case_function *function, const int64_t *params)
{
    random_seed(1);
    int64_t count = function(&targets[0], params, expected);
    assert_true(count <= OUTPUT_FLOATS_MAX);
    for (int64_t t = 1; t < target_count; t++) {
        random_seed(1);
        assert_int_equal(function(&targets[t], params, actual), count);
        if (targets[t].tolerance > 0.0) {
            assert_near(&targets[t], count);
        } else {
            assert_same_bits(targets[t].name, count);
        }
    }
}

/* params: rows, out, in, dtype, source dtype, with bias, residual (1 other, 2 out itself) */
static int64_t linear_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t rows = params[0];
    int64_t out_dim = params[1];
    int64_t in_dim = params[2];
    int64_t x_stride = in_dim + 3;
    int64_t out_stride = out_dim + 5;
    mg_weight weight = packed_weight(t, out_dim, in_dim, (mg_dtype)params[3], (mg_dtype)params[4]);
    float *x = random_block(t, rows * x_stride, 1.0f);
    float *bias = random_block(t, out_dim, 1.0f);
    float *residual = random_block(t, rows * out_stride, 1.0f);
    float *result = random_block(t, rows * out_stride, 1.0f);
    mg_linear_args args = { .out = params[6] == 2 ? residual : result,
                            .x = x,
                            .weight = weight,
                            .bias = params[5] != 0 ? bias : NULL,
                            .residual = params[6] != 0 ? residual : NULL,
                            .rows = rows,
                            .x_stride = x_stride,
                            .out_stride = out_stride };
    assert_ok(t->device->nn->linear(t->stream, &args, &err), &err);
    /* The whole block: what lies between the rows must be untouched. */
    device_read(t, out, args.out, (size_t)(rows * out_stride) * sizeof(float));
    device_free(t, weight.data);
    device_free(t, x);
    device_free(t, bias);
    device_free(t, residual);
    device_free(t, result);
    return rows * out_stride;
}

static void linear_gives_the_same_bits(void **state)
{
    (void)state;
    static const int64_t rows[] = { 1, 2, 3, 4, 5, 7, 13, 14, 15, 29 };
    static const int64_t shapes[][2] = { { 1, 1 },    { 7, 5 },    { 31, 16 },  { 32, 128 },
                                         { 33, 129 }, { 70, 383 }, { 97, 384 }, { 130, 385 } };
    for (int64_t r = 0; r < MG_ARRAY_COUNT(rows); r++) {
        for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
            int64_t params[] = {
                rows[r], shapes[s][0], shapes[s][1], MG_F32, MG_F32, s % 2, s % 3
            };
            compare_targets(linear_case, params);
            params[3] = MG_BF16;
            compare_targets(linear_case, params);
        }
    }
}

static void linear_takes_every_source_type(void **state)
{
    (void)state;
    static const int64_t dtypes[] = { MG_F64, MG_F32, MG_BF16, MG_F16 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        int64_t params[] = { 3, 50, 40, MG_F32, dtypes[d], 0, 0 };
        compare_targets(linear_case, params);
        params[3] = MG_BF16;
        compare_targets(linear_case, params);
    }
}

static void linear_is_right_over_blocks_of_rows_columns_and_k(void **state)
{
    (void)state;
    int64_t params[] = { 230, 560, 800, MG_F32, MG_F32, 1, 2 };
    compare_targets(linear_case, params);
    int64_t few[] = { 2, 900, 1500, MG_BF16, MG_BF16, 1, 1 };
    compare_targets(linear_case, few);
}

static void linear_of_nothing_is_bias_and_residual(void **state)
{
    (void)state;
    int64_t no_k[] = { 3, 40, 0, MG_F32, MG_F32, 1, 1 };
    compare_targets(linear_case, no_k);
    int64_t no_rows[] = { 0, 40, 8, MG_F32, MG_F32, 1, 1 };
    compare_targets(linear_case, no_rows);
}

/* params: rows, vocabulary, dim, dtype */
static int64_t embed_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t rows = params[0];
    int64_t dim = params[2];
    mg_weight weight = packed_weight(t, params[1], dim, (mg_dtype)params[3], MG_F32);
    int32_t *host = mg_new_array(int32_t, rows);
    for (int64_t r = 0; r < rows; r++) {
        host[r] = (int32_t)(random_bits() % (uint32_t)params[1]);
    }
    host[0] = (int32_t)params[1] - 1;
    int32_t *ids = (int32_t *)device_block(t, host, (size_t)rows * sizeof(int32_t));
    float *result = random_block(t, rows * dim, 1.0f);
    mg_embed_args args = { result, weight, ids, rows, 1.5f };
    assert_ok(t->device->nn->embed(t->stream, &args, &err), &err);
    device_read(t, out, result, (size_t)(rows * dim) * sizeof(float));
    float *picked = random_block(t, rows * dim, 1.0f);
    int32_t index[3] = { (int32_t)rows - 1, 0, (int32_t)rows - 1 };
    int32_t *device_index = (int32_t *)device_block(t, index, sizeof(index));
    mg_gather_args gather = { picked, result, device_index, 3, dim };
    assert_ok(t->device->nn->gather(t->stream, &gather, &err), &err);
    device_read(t, out + rows * dim, picked, (size_t)(3 * dim) * sizeof(float));
    mg_free(host);
    device_free(t, weight.data);
    device_free(t, ids);
    device_free(t, result);
    device_free(t, picked);
    device_free(t, device_index);
    return (rows + 3) * dim;
}

static void embed_and_gather_give_the_same_bits(void **state)
{
    (void)state;
    int64_t f32[] = { 9, 77, 37, MG_F32 };
    compare_targets(embed_case, f32);
    int64_t bf16[] = { 300, 65, 128, MG_BF16 };
    compare_targets(embed_case, bf16);
}

/* params: rows, groups, dim, weight per group, in place, layer norm, bias, weight offset */
static int64_t norm_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t rows = params[0];
    int64_t groups = params[1];
    int64_t dim = params[2];
    int64_t stride = groups * dim + 7;
    float *x = random_block(t, rows * stride, 3.0f);
    float *weight = random_block(t, groups * dim, 1.0f);
    float *bias = random_block(t, groups * dim, 1.0f);
    float *result = random_block(t, rows * stride, 1.0f);
    float *to = params[4] != 0 ? x : result;
    if (params[5] != 0) {
        mg_layernorm_args args = { .out = to,
                                   .x = x,
                                   .weight = weight,
                                   .bias = params[6] != 0 ? bias : NULL,
                                   .rows = rows,
                                   .groups = groups,
                                   .dim = dim,
                                   .x_stride = stride,
                                   .out_stride = stride,
                                   .epsilon = 1e-5f,
                                   .weight_per_group = params[3] != 0 };
        assert_ok(t->device->nn->layernorm(t->stream, &args, &err), &err);
    } else {
        mg_rmsnorm_args args = { .out = to,
                                 .x = x,
                                 .weight = weight,
                                 .rows = rows,
                                 .groups = groups,
                                 .dim = dim,
                                 .x_stride = stride,
                                 .out_stride = stride,
                                 .epsilon = 1e-6f,
                                 .weight_offset = (float)params[7],
                                 .weight_per_group = params[3] != 0 };
        assert_ok(t->device->nn->rmsnorm(t->stream, &args, &err), &err);
    }
    device_read(t, out, to, (size_t)(rows * stride) * sizeof(float));
    device_free(t, x);
    device_free(t, weight);
    device_free(t, bias);
    device_free(t, result);
    return rows * stride;
}

static void norms_give_the_same_bits(void **state)
{
    (void)state;
    static const int64_t dims[] = { 1, 15, 16, 17, 31, 128, 352, 1000 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dims); d++) {
        for (int64_t variant = 0; variant < 16; variant++) {
            int64_t params[] = { 5,           1 + variant % 3,   dims[d],     variant & 1,
                                 variant & 2, (variant & 4) / 4, variant & 8, (variant & 8) / 8 };
            compare_targets(norm_case, params);
        }
    }
    int64_t many[] = { 200, 1, 300, 0, 1, 0, 0, 0 };
    compare_targets(norm_case, many);
}

/* params: rows, heads, head_dim, rotary_dim */
static int64_t rope_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t rows = params[0];
    int64_t stride = params[1] * params[2] + 9;
    int64_t positions = 20;
    float *x = random_block(t, rows * stride, 1.0f);
    float *cosines = random_block(t, positions * params[3] / 2, 1.0f);
    float *sines = random_block(t, positions * params[3] / 2, 1.0f);
    int32_t *host = mg_new_array(int32_t, rows);
    for (int64_t r = 0; r < rows; r++) {
        host[r] = (int32_t)(random_bits() % (uint32_t)positions);
    }
    int32_t *at = (int32_t *)device_block(t, host, (size_t)rows * sizeof(int32_t));
    mg_rope_args args = { x, cosines, sines, at, rows, stride, params[1], params[2], params[3] };
    assert_ok(t->device->nn->rope(t->stream, &args, &err), &err);
    device_read(t, out, x, (size_t)(rows * stride) * sizeof(float));
    mg_free(host);
    device_free(t, x);
    device_free(t, cosines);
    device_free(t, sines);
    device_free(t, at);
    return rows * stride;
}

static void rope_gives_the_same_bits(void **state)
{
    (void)state;
    static const int64_t dims[][2] = { { 32, 32 },   { 80, 20 }, { 64, 16 }, { 6, 6 },
                                       { 128, 128 }, { 34, 34 }, { 8, 0 } };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dims); d++) {
        int64_t params[] = { 11, 3, dims[d][0], dims[d][1] };
        compare_targets(rope_case, params);
    }
    int64_t many[] = { 300, 6, 32, 32 };
    compare_targets(rope_case, many);
}

/* params: rows, dim, activation, with up, in place */
static int64_t gate_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t rows = params[0];
    int64_t dim = params[1];
    int64_t stride = 2 * dim;
    float *x = random_block(t, rows * stride, 12.0f);
    float *result = random_block(t, rows * stride, 1.0f);
    mg_gate_args args = { .out = params[4] != 0 ? x : result,
                          .gate = x,
                          .up = params[3] != 0 ? x + dim : NULL,
                          .rows = rows,
                          .dim = dim,
                          .x_stride = stride,
                          .out_stride = stride,
                          .activation = (mg_nn_activation)params[2] };
    assert_ok(t->device->nn->gate(t->stream, &args, &err), &err);
    device_read(t, out, args.out, (size_t)(rows * stride) * sizeof(float));
    device_free(t, x);
    device_free(t, result);
    return rows * stride;
}

static void gates_give_the_same_bits(void **state)
{
    (void)state;
    static const int64_t dims[] = { 1, 16, 33, 352 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dims); d++) {
        for (int64_t activation = MG_NN_SILU; activation <= MG_NN_GELU_TANH; activation++) {
            int64_t params[] = { 40, dims[d], activation, 1, 0 };
            compare_targets(gate_case, params);
            int64_t alone[] = { 40, dims[d], activation, 0, 1 };
            compare_targets(gate_case, alone);
        }
    }
}

/* Values of every size, then those that break things. */
static float *extreme_values(const target *t, int64_t count)
{
    static const float special[] = { 0.0f,  -0.0f,  88.0f,    -88.0f,    104.5f, -104.5f,
                                     1e30f, -1e30f, 1e-40f,   -1e-40f,   0.625f, -0.625f,
                                     1.0f,  4.0f,   INFINITY, -INFINITY, NAN };
    float *host = mg_new_array(float, count);
    for (int64_t i = 0; i < count; i++) {
        host[i] = ldexpf(random_float(), (int)(random_bits() % 40) - 32);
        if (i < MG_ARRAY_COUNT(special)) {
            host[i] = special[i];
        }
    }
    float *block = (float *)device_block(t, host, (size_t)count * sizeof(float));
    mg_free(host);
    return block;
}

/* params: count, operation (0..2 activations, 3 soft cap, 4 add, 5 add in place) */
static int64_t pointwise_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t count = params[0];
    float *x = extreme_values(t, count);
    float *y = random_block(t, count, 1.0f);
    float *result = random_block(t, count, 1.0f);
    float *to = x;
    if (params[1] <= MG_NN_GELU_TANH) {
        mg_gate_args args = { x, x, NULL, 1, count, count, count, (mg_nn_activation)params[1] };
        assert_ok(t->device->nn->gate(t->stream, &args, &err), &err);
    } else if (params[1] == 3) {
        mg_softcap_args args = { x, count, 30.0f };
        assert_ok(t->device->nn->softcap(t->stream, &args, &err), &err);
    } else {
        to = params[1] == 4 ? result : y;
        mg_add_args args = { to, x, y, count };
        assert_ok(t->device->nn->add(t->stream, &args, &err), &err);
    }
    device_read(t, out, to, (size_t)count * sizeof(float));
    device_free(t, x);
    device_free(t, y);
    device_free(t, result);
    return count;
}

static void pointwise_operations_give_the_same_bits(void **state)
{
    (void)state;
    for (int64_t operation = 0; operation <= 5; operation++) {
        int64_t params[] = { 100003, operation };
        compare_targets(pointwise_case, params);
        int64_t few[] = { 19, operation };
        compare_targets(pointwise_case, few);
    }
}

static void activations_are_close_to_the_formulas(void **state)
{
    (void)state;
    int64_t count = 4001;
    float *x = mg_new_array(float, count);
    for (int64_t i = 0; i < count; i++) {
        x[i] = (float)(i - count / 2) * 0.005f;
    }
    for (int activation = MG_NN_SILU; activation <= MG_NN_GELU_TANH + 1; activation++) {
        mg_error err;
        const target *t = &targets[0];
        memcpy(actual, x, (size_t)count * sizeof(float));
        if (activation <= MG_NN_GELU_TANH) {
            mg_gate_args args = { actual, actual, NULL,  1,
                                  count,  count,  count, (mg_nn_activation)activation };
            assert_ok(t->device->nn->gate(t->stream, &args, &err), &err);
        } else {
            mg_softcap_args args = { actual, count, 1.0f };
            assert_ok(t->device->nn->softcap(t->stream, &args, &err), &err);
        }
        for (int64_t i = 0; i < count; i++) {
            double v = (double)x[i];
            double right[4] = {
                v / (1.0 + exp(-v)), 0.5 * v * (1.0 + erf(v / sqrt(2.0))),
                0.5 * v * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (v + 0.044715 * v * v * v))), tanh(v)
            };
            double error = fabs((double)actual[i] - right[activation]);
            assert_true(error <= 3e-7 * fmax(1.0, fabs(v)));
        }
    }
    mg_free(x);
}

/* params: rows, dim, damage (0 none, 1 NaN, 2 infinity) */
static int64_t choice_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t rows = params[0];
    int64_t dim = params[1];
    float *host = mg_new_array(float, rows *dim);
    for (int64_t i = 0; i < rows * dim; i++) {
        host[i] = (float)(int)(random_bits() % 64) * 0.25f; /* ties are common */
    }
    if (params[2] != 0) {
        host[dim - 1] = params[2] == 1 ? NAN : -INFINITY;
    }
    float *x = (float *)device_block(t, host, (size_t)(rows * dim) * sizeof(float));
    int32_t *host_ids = mg_new_array(int32_t, rows);
    for (int64_t r = 0; r < rows; r++) {
        host_ids[r] = (int32_t)(random_bits() % (uint32_t)dim);
    }
    int32_t *ids = (int32_t *)device_block(t, host_ids, (size_t)rows * sizeof(int32_t));
    float *logprobs = random_block(t, rows, 1.0f);
    mg_logprob_args logprob = { logprobs, x, ids, rows, dim };
    assert_ok(t->device->nn->logprob(t->stream, &logprob, &err), &err);
    mg_argmax_args argmax = { ids, x, rows, dim };
    assert_ok(t->device->nn->argmax(t->stream, &argmax, &err), &err);
    device_read(t, out, logprobs, (size_t)rows * sizeof(float));
    device_read(t, host_ids, ids, (size_t)rows * sizeof(int32_t));
    for (int64_t r = 0; r < rows; r++) {
        out[rows + r] = (float)host_ids[r];
    }
    mg_free(host);
    mg_free(host_ids);
    device_free(t, x);
    device_free(t, ids);
    device_free(t, logprobs);
    return 2 * rows;
}

static void argmax_and_logprob_agree(void **state)
{
    (void)state;
    static const int64_t dims[] = { 1, 5, 16, 70, 1024, 1031, 5000 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dims); d++) {
        for (int64_t damage = 0; damage <= 2; damage++) {
            int64_t params[] = { 13, dims[d], damage };
            compare_targets(choice_case, params);
        }
    }
}

static void the_lowest_index_wins_and_nonfinite_rows_give_minus_one(void **state)
{
    (void)state;
    float x[3][20] = { { 0 }, { 0 }, { 0 } };
    x[0][3] = 2.0f;
    x[0][17] = 2.0f;
    x[1][19] = NAN;
    for (int64_t i = 0; i < 20; i++) {
        x[2][i] = -5.0f;
    }
    for (int64_t n = 0; n < target_count; n++) {
        mg_error err;
        const target *t = &targets[n];
        float *block = (float *)device_block(t, x, sizeof(x));
        int32_t *ids = (int32_t *)device_block(t, NULL, 3 * sizeof(int32_t));
        mg_argmax_args args = { ids, block, 3, 20 };
        assert_ok(t->device->nn->argmax(t->stream, &args, &err), &err);
        int32_t host[3];
        device_read(t, host, ids, sizeof(host));
        assert_int_equal(host[0], 3);
        assert_int_equal(host[1], -1);
        assert_int_equal(host[2], 0);
        device_free(t, block);
        device_free(t, ids);
    }
}

static void nonfinite_values_are_counted_in_every_type(void **state)
{
    (void)state;
    static const mg_dtype dtypes[] = { MG_F64, MG_F32, MG_BF16, MG_F16 };
    double values[41] = { 0 };
    values[3] = (double)NAN;
    values[40] = -(double)INFINITY;
    values[7] = 6e4;
    for (int64_t n = 0; n < target_count; n++) {
        for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
            mg_error err;
            const target *t = &targets[n];
            char host[41 * 8];
            mg_dtype_convert(host, dtypes[d], values, MG_F64, 41);
            void *block = device_block(t, host, sizeof(host));
            int64_t *count = (int64_t *)device_block(t, NULL, sizeof(int64_t));
            mg_nonfinite_args args = { count, block, 41, dtypes[d] };
            assert_ok(t->device->nn->nonfinite(t->stream, &args, &err), &err);
            int64_t found = 0;
            device_read(t, &found, count, sizeof(found));
            assert_int_equal(found, 2);
            device_free(t, block);
            device_free(t, count);
        }
    }
}

/* --- Attention */

static bool in_blocks; /* a device that takes caches in blocks gets them so */

/* Keys and values of slots texts; in blocks, these lie scattered: the table goes to *table_out (host
 * memory), which is NULL otherwise. */
static mg_kv make_cache(const target *t, int64_t slots, int64_t positions, int64_t kv_heads,
                        int64_t dim, mg_dtype dtype, int32_t **table_out)
{
    mg_error err;
    const mg_nn_ops *nn = t->device->nn;
    mg_kv kv = { NULL, slots, positions, kv_heads, dim, dtype, NULL, 0 };
    *table_out = NULL;
    if (in_blocks && nn->kv_block > 0 && t != &targets[0]) {
        kv.positions = nn->kv_block;
        kv.table_width = (positions + nn->kv_block - 1) / nn->kv_block;
        kv.blocks = slots * kv.table_width;
        *table_out = mg_new_array(int32_t, kv.blocks);
        for (int64_t i = 0; i < kv.blocks; i++) { /* 2i + 1 backwards, then 2i: all of them */
            int64_t odds = kv.blocks / 2;
            (*table_out)[i] = (int32_t)(i < odds ? 2 * (odds - 1 - i) + 1 : 2 * (i - odds));
        }
        kv.table =
            (const int32_t *)device_block(t, *table_out, (size_t)kv.blocks * sizeof(int32_t));
    }
    size_t bytes = 0;
    assert_ok(nn->kv_bytes(&kv, &bytes, &err), &err);
    kv.data = device_block(t, NULL, bytes);
    if (t->device->host_memory) {
        memset(kv.data, 0xff, bytes); /* what was never stored reads as NaN */
    }
    return kv;
}

static void free_cache(const target *t, const mg_kv *kv, int32_t *table)
{
    device_free(t, kv->data);
    if (table != NULL) {
        device_free(t, kv->table);
    }
    mg_free(table);
}

/* Copies the first count positions of slot from to slot to. */
static void copy_start(const target *t, const mg_kv *kv, const int32_t *table, int64_t from,
                       int64_t to, int64_t count)
{
    mg_error err;
    for (int64_t b = 0; b * kv->positions < count; b++) {
        mg_kv_copy_args copy = { *kv, from, to, MG_MIN(count - b * kv->positions, kv->positions) };
        if (table != NULL) {
            copy.from = table[from * kv->table_width + b];
            copy.to = table[to * kv->table_width + b];
        }
        assert_ok(t->device->nn->kv_copy(t->stream, &copy, &err), &err);
    }
}

/* Random keys and values at the first count positions of slot, from rows q | k | v. */
static void store_random(const target *t, const mg_kv *kv, int64_t heads, int64_t slot,
                         int64_t count)
{
    mg_error err;
    int64_t stride = (heads + 2 * kv->kv_heads) * kv->head_dim;
    float *x = random_block(t, count * stride, 1.0f);
    int32_t *host = mg_new_array(int32_t, 2 * count);
    for (int64_t r = 0; r < count; r++) {
        host[r] = (int32_t)slot;
        host[count + r] = (int32_t)r;
    }
    int32_t *rows = (int32_t *)device_block(t, host, (size_t)(2 * count) * sizeof(int32_t));
    const float *k = x + heads * kv->head_dim;
    const float *v = k + kv->kv_heads * kv->head_dim;
    mg_kv_store_args store = { *kv, k, v, stride, rows, rows + count, count };
    assert_ok(t->device->nn->kv_store(t->stream, &store, &err), &err);
    mg_free(host);
    device_free(t, rows);
    device_free(t, x);
}

static mg_dtype host_cache = MG_F32;

/* params: heads, kv_heads, head_dim, window, soft cap, damage, then (slot, first, count) until -1
 */
static int64_t attention_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t heads = params[0];
    int64_t dim = params[2];
    /* A card's caches are of bfloat16. */
    int32_t *table = NULL;
    mg_kv kv = make_cache(t, 4, 700, params[1], dim, t->device->host_memory ? host_cache : MG_BF16,
                          &table);
    int64_t stride = (heads + 2 * kv.kv_heads) * dim;
    int64_t total = 0;
    mg_kv_run runs[8];
    int64_t run_count = 0;
    int64_t rows_max = 0;
    for (const int64_t *run = params + 6; *run >= 0; run += 3) {
        /* Everything up to the last query is stored, the queries' own tokens among it. */
        store_random(t, &kv, heads, run[0], run[1] + run[2]);
        mg_kv_run device_run = { (int32_t)run[0], (int32_t)run[1], (int32_t)run[2],
                                 (int32_t)total };
        runs[run_count++] = device_run;
        rows_max = MG_MAX(rows_max, run[2]);
        total += run[2];
    }
    /* Slot 3 is a copy of the start of the first run's slot, with a query of its own. */
    int64_t copied = MG_MIN(params[7] + params[8], 21);
    copy_start(t, &kv, table, params[6], 3, copied);
    mg_kv_run copy_run = { 3, (int32_t)copied - 1, 1, (int32_t)total };
    runs[run_count++] = copy_run;
    total++;
    float *q = random_block(t, total * stride, 2.0f);
    if (params[5] != 0) {
        float nan_value = NAN;
        assert_ok(
            t->device->upload(t->stream, q + (total / 2) * stride, &nan_value, sizeof(float), &err),
            &err);
    }
    float *result = random_block(t, total * heads * dim, 1.0f);
    mg_kv_run *device_runs =
        (mg_kv_run *)device_block(t, runs, (size_t)run_count * sizeof(mg_kv_run));
    mg_attention_args args = { .out = result,
                               .q = q,
                               .q_stride = stride,
                               .out_stride = heads * dim,
                               .kv = kv,
                               .heads = heads,
                               .runs = device_runs,
                               .run_count = run_count,
                               .rows = total,
                               .run_rows_max = MG_MAX(rows_max, 1),
                               .scale = 1.0f / sqrtf((float)dim),
                               .softcap = (float)params[4],
                               .window = params[3] };
    assert_ok(t->device->nn->attention(t->stream, &args, &err), &err);
    device_read(t, out, result, (size_t)(total * heads * dim) * sizeof(float));
    device_free(t, q);
    device_free(t, result);
    device_free(t, device_runs);
    free_cache(t, &kv, table);
    return total * heads * dim;
}

static void attention_gives_the_same_bits(void **state)
{
    (void)state;
    static const int64_t heads[][3] = { { 4, 2, 32 },  { 1, 1, 16 }, { 3, 1, 20 },
                                        { 14, 2, 64 }, { 2, 2, 80 }, { 5, 1, 7 } };
    static const int64_t windows[] = { 0, 1, 9, 300 };
    for (int64_t h = 0; h < MG_ARRAY_COUNT(heads); h++) {
        for (int64_t w = 0; w < 2 * MG_ARRAY_COUNT(windows); w++) {
            host_cache = w % 2 == 0 ? MG_F32 : MG_BF16;
            in_blocks = (h + w) % 2 == 0;
            int64_t params[] = { heads[h][0],
                                 heads[h][1],
                                 heads[h][2],
                                 windows[w / 2],
                                 w / 2 == 2 ? 5 : 0,
                                 0,
                                 0,
                                 0,
                                 37,
                                 1,
                                 50,
                                 1,
                                 2,
                                 250,
                                 13,
                                 -1 };
            compare_targets(attention_case, params);
        }
    }
    host_cache = MG_F32;
    in_blocks = false;
}

static void attention_is_right_over_several_blocks(void **state)
{
    (void)state;
    int64_t params[] = { 4, 2, 32, 0, 0, 0, 0, 0, 530, 1, 699, 1, 2, 511, 2, -1 };
    compare_targets(attention_case, params);
    host_cache = MG_BF16;
    in_blocks = true;
    compare_targets(attention_case, params);
    host_cache = MG_F32;
    int64_t window[] = { 4, 4, 32, 257, 0, 0, 0, 0, 530, 1, 699, 1, 2, 255, 3, -1 };
    compare_targets(attention_case, window);
    in_blocks = false;
    compare_targets(attention_case, window);
}

static void a_nan_query_spoils_its_own_row_alone(void **state)
{
    (void)state;
    int64_t params[] = { 4, 2, 32, 0, 0, 1, 0, 0, 40, -1 };
    compare_targets(attention_case, params);
    int64_t bad = 0;
    for (int64_t i = 0; i < 41 * 4 * 32; i++) {
        bad += isnan(expected[i]) ? 1 : 0;
    }
    assert_int_equal(bad, 32);
}

/* The plain formula in float64, over the same random numbers. */
static void attention_is_close_to_softmax(void **state)
{
    (void)state;
    mg_error err;
    const target *t = &targets[0];
    enum { DIM = 32, COUNT = 300 };
    mg_kv kv = { NULL, 1, COUNT, 1, DIM, MG_F32, NULL, 0 };
    size_t bytes = 0;
    assert_ok(t->device->nn->kv_bytes(&kv, &bytes, &err), &err);
    kv.data = device_block(t, NULL, bytes);
    random_seed(5);
    float *x = random_block(t, COUNT * 3 * DIM, 2.0f);
    int32_t slots[COUNT] = { 0 };
    int32_t positions[COUNT];
    for (int32_t i = 0; i < COUNT; i++) {
        positions[i] = i;
    }
    mg_kv_store_args store = { kv, x + DIM, x + 2 * DIM, 3 * DIM, slots, positions, COUNT };
    assert_ok(t->device->nn->kv_store(t->stream, &store, &err), &err);
    mg_kv_run run = { 0, 0, COUNT, 0 };
    mg_attention_args args = { .out = actual,
                               .q = x,
                               .q_stride = 3 * DIM,
                               .out_stride = DIM,
                               .kv = kv,
                               .heads = 1,
                               .runs = &run,
                               .run_count = 1,
                               .rows = COUNT,
                               .run_rows_max = COUNT,
                               .scale = 0.25f };
    assert_ok(t->device->nn->attention(t->stream, &args, &err), &err);
    for (int64_t i = 0; i < COUNT; i += 23) {
        double out[DIM] = { 0 };
        double sum = 0.0;
        for (int64_t j = 0; j <= i; j++) {
            double s = 0.0;
            for (int64_t d = 0; d < DIM; d++) {
                s += (double)x[i * 3 * DIM + d] * (double)x[j * 3 * DIM + DIM + d];
            }
            double p = exp(s * 0.25);
            sum += p;
            for (int64_t d = 0; d < DIM; d++) {
                out[d] += p * (double)x[j * 3 * DIM + 2 * DIM + d];
            }
        }
        for (int64_t d = 0; d < DIM; d++) {
            assert_true(fabs(out[d] / sum - (double)actual[i * DIM + d]) < 2e-6);
        }
    }
    device_free(t, x);
    device_free(t, kv.data);
}

/* --- Joined operations: a device without one runs its parts */

/* Rows of one text: q rotated, k and v in the cache, seen through attention.
 * params: rows, heads, kv_heads, head_dim, rotary_dim */
static int64_t rope_store_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    const mg_nn_ops *nn = t->device->nn;
    int64_t rows = params[0];
    int64_t heads = params[1];
    int64_t dim = params[3];
    int64_t width = heads * dim;
    int32_t *table = NULL;
    in_blocks = params[0] % 2 == 0;
    mg_kv kv =
        make_cache(t, 3, rows, params[2], dim, t->device->host_memory ? MG_F32 : MG_BF16, &table);
    in_blocks = false;
    int64_t stride = width + 2 * kv.kv_heads * dim + 4;
    float *x = random_block(t, rows * stride, 1.0f);
    float *cosines = random_block(t, rows * params[4] / 2, 1.0f);
    float *sines = random_block(t, rows * params[4] / 2, 1.0f);
    float *result = random_block(t, rows * width, 1.0f);
    int32_t *host = mg_new_array(int32_t, 2 * rows);
    for (int64_t r = 0; r < rows; r++) {
        host[r] = 1;
        host[rows + r] = (int32_t)(rows - 1 - r); /* scattered over the positions */
    }
    int32_t *places = (int32_t *)device_block(t, host, (size_t)(2 * rows) * sizeof(int32_t));
    float *k = x + width;
    mg_rope_store_args both = {
        { x, cosines, sines, places + rows, rows, stride, heads + kv.kv_heads, dim, params[4] },
        { kv, k, k + kv.kv_heads * dim, stride, places, places + rows, rows }
    };
    if (nn->rope_store != NULL) {
        assert_ok(nn->rope_store(t->stream, &both, &err), &err);
    } else {
        assert_ok(nn->rope(t->stream, &both.rope, &err), &err);
        assert_ok(nn->kv_store(t->stream, &both.store, &err), &err);
    }
    mg_kv_run run = { 1, 0, (int32_t)rows, 0 };
    mg_kv_run *device_run = (mg_kv_run *)device_block(t, &run, sizeof(run));
    mg_attention_args look = { result, x,    stride, width, kv,   heads, device_run,
                               1,      rows, rows,   0.2f,  0.0f, 0 };
    assert_ok(nn->attention(t->stream, &look, &err), &err);
    device_read(t, out, result, (size_t)(rows * width) * sizeof(float));
    const void *blocks[] = { x, cosines, sines, result, places, device_run };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(blocks); i++) {
        device_free(t, blocks[i]);
    }
    free_cache(t, &kv, table);
    mg_free(host);
    return rows * width;
}

static void joined_rotation_and_store_equals_its_parts(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = { { 4, 2, 32, 32 }, { 3, 1, 80, 20 }, { 32, 8, 128, 128 },
                                         { 2, 2, 34, 34 }, { 4, 1, 64, 16 }, { 2, 1, 24, 0 } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(shapes); i++) {
        for (int64_t rows = 1; rows <= 31; rows += 15) {
            int64_t params[] = { rows, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3] };
            compare_targets(rope_store_case, params);
        }
    }
}

/* params: rows, H, I, dtype, activation, with bias, residual (0 none, 1 out itself), out is x */
static int64_t mlp_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    const mg_nn_ops *nn = t->device->nn;
    int64_t rows = params[0];
    int64_t hidden = params[1];
    int64_t inner = params[2];
    mg_dtype dtype = (mg_dtype)params[3];
    float *x = random_block(t, rows * hidden, 1.0f / sqrtf((float)hidden));
    float *result = random_block(t, rows * hidden, 1.0f);
    float *bias = random_block(t, hidden, 1.0f);
    float *scratch = random_block(t, rows * 2 * inner, 1.0f);
    mg_mlp_args args = { .out = params[7] != 0 ? x : result,
                         .x = x,
                         .gate_up = packed_weight(t, 2 * inner, hidden, dtype, MG_F32),
                         .down = packed_weight(t, hidden, inner, dtype, MG_F32),
                         .down_bias = params[5] != 0 ? bias : NULL,
                         .residual = params[6] != 0 ? result : NULL,
                         .scratch = scratch,
                         .rows = rows,
                         .x_stride = hidden,
                         .out_stride = hidden,
                         .activation = (mg_nn_activation)params[4] };
    if (nn->mlp != NULL) {
        assert_ok(nn->mlp(t->stream, &args, &err), &err);
    } else {
        mg_linear_args first = { scratch, x, args.gate_up, NULL, NULL, rows, hidden, 2 * inner };
        mg_gate_args gate = { scratch, scratch,   scratch + inner, rows,
                              inner,   2 * inner, 2 * inner,       args.activation };
        mg_linear_args second = { args.out,      scratch, args.down, args.down_bias,
                                  args.residual, rows,    2 * inner, hidden };
        assert_ok(nn->linear(t->stream, &first, &err), &err);
        assert_ok(nn->gate(t->stream, &gate, &err), &err);
        assert_ok(nn->linear(t->stream, &second, &err), &err);
    }
    device_read(t, out, args.out, (size_t)(rows * hidden) * sizeof(float));
    const void *blocks[] = { x, result, bias, scratch, args.gate_up.data, args.down.data };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(blocks); i++) {
        device_free(t, blocks[i]);
    }
    return rows * hidden;
}

static void joined_mlp_equals_its_parts(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = { { 128, 256 }, { 256, 128 }, { 64, 176 },
                                         { 40, 33 },   { 384, 640 }, { 16, 8 } };
    static const int64_t rows[] = { 1, 7, 8, 9, 16, 17, 50 };
    for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
        for (int64_t r = 0; r < MG_ARRAY_COUNT(rows); r++) {
            int64_t variant = s + r;
            int64_t params[] = { rows[r],      shapes[s][0],
                                 shapes[s][1], variant % 3 == 2 ? MG_F32 : MG_BF16,
                                 variant % 3,  variant % 2,
                                 r % 2,        r == 2 };
            compare_targets(mlp_case, params);
        }
    }
}

static void few_rows_of_large_matrices_multiply_rightly(void **state)
{
    (void)state;
    static const int64_t rows[] = { 1, 5, 8, 13, 16 };
    for (int64_t r = 0; r < MG_ARRAY_COUNT(rows); r++) {
        int64_t params[] = { rows[r], 304, 128 * (1 + 4 * r), MG_BF16, MG_BF16, r % 2, r % 3 };
        compare_targets(linear_case, params);
    }
}

/* Rows dealt to experts and added back: each expert gives its rows its number and their own. params:
 * rows, experts, keep, dim, damage */
static int64_t experts_case(const target *t, const int64_t *params, float *out)
{
    mg_error err;
    int64_t rows = params[0];
    int64_t experts = params[1];
    int64_t keep = params[2];
    int64_t dim = params[3];
    int64_t dealt = rows * keep;
    size_t int_bytes = sizeof(int32_t);
    float *scores = random_block(t, rows * experts, 3.0f);
    float *x = random_block(t, rows * dim, 1.0f);
    float *outputs = random_block(t, dealt * dim, 1.0f);
    float *weights = random_block(t, dealt, 1.0f);
    int32_t *ints = (int32_t *)device_block(t, NULL, (size_t)(3 * dealt + experts + 1) * int_bytes);
    if (params[4] != 0) {
        float nan_value = NAN;
        assert_ok(t->device->upload(t->stream, scores + (rows / 2) * experts, &nan_value,
                                    sizeof(float), &err),
                  &err);
    }
    mg_route_args route = { ints, weights, ints + dealt, ints + 2 * dealt, ints + 3 * dealt, scores,
                            rows, experts, keep };
    assert_ok(t->device->nn->route(t->stream, &route, &err), &err);
    mg_combine_args combine = { x, outputs, ints, weights, ints + dealt, rows, keep, dim };
    assert_ok(t->device->nn->combine(t->stream, &combine, &err), &err);
    device_read(t, out, x, (size_t)(rows * dim) * sizeof(float));
    device_read(t, out + rows * dim, weights, (size_t)dealt * sizeof(float));
    int32_t *host = mg_new_array(int32_t, 3 * dealt + experts + 1);
    device_read(t, host, ints, (size_t)(3 * dealt + experts + 1) * int_bytes);
    int64_t count = rows * dim + dealt;
    for (int64_t i = 0; i < 3 * dealt + experts + 1; i++) {
        out[count + i] = (float)host[i]; /* small enough to be exact */
    }
    for (int64_t i = 0; i < dealt; i++) { /* each entry's place holds its row, within its expert */
        int32_t place = host[dealt + i];
        assert_int_equal(host[2 * dealt + place], i / keep);
        assert_true(place >= host[3 * dealt + host[i]] && place < host[3 * dealt + host[i] + 1]);
    }
    const void *blocks[] = { scores, x, outputs, weights, ints };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(blocks); i++) {
        device_free(t, blocks[i]);
    }
    mg_free(host);
    return count + 3 * dealt + experts + 1;
}

static void rows_are_dealt_to_experts_and_added_back(void **state)
{
    (void)state;
    static const int64_t shapes[][5] = { { 1, 8, 2, 32, 0 },   { 7, 4, 4, 17, 0 },
                                         { 300, 8, 2, 40, 0 }, { 257, 60, 6, 8, 0 },
                                         { 40, 8, 1, 300, 1 }, { 33, 16, 3, 5, 1 } };
    for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
        compare_targets(experts_case, shapes[s]);
    }
}

/* Each expert by itself: what a device without the operation does. */
static void experts_one_by_one(const target *t, const mg_experts_args *args, const int32_t *first)
{
    mg_error err;
    const mg_nn_ops *nn = t->device->nn;
    for (int64_t e = 0; e < args->expert_count; e++) {
        int64_t hidden = args->down[e].out_dim;
        int64_t inner = args->down[e].in_dim;
        int64_t rows = first[e + 1] - first[e];
        float *mid = args->scratch + first[e] * 2 * inner;
        mg_linear_args up = {
            mid, args->x + first[e] * hidden, args->gate_up[e], NULL, NULL, rows, hidden, 2 * inner
        };
        mg_gate_args gate = { mid,   mid,       mid + inner, rows,
                              inner, 2 * inner, 2 * inner,   args->activation };
        mg_linear_args down = {
            args->out + first[e] * hidden, mid, args->down[e], NULL, NULL, rows, 2 * inner, hidden
        };
        assert_ok(nn->linear(t->stream, &up, &err), &err);
        assert_ok(nn->gate(t->stream, &gate, &err), &err);
        assert_ok(nn->linear(t->stream, &down, &err), &err);
    }
}

/* params: experts, places, H, I, dtype */
static int64_t expert_products_case(const target *t, const int64_t *params, float *out)
{
    enum { MOST = 8 };
    mg_error err;
    int64_t count = params[0];
    int64_t places = params[1];
    int64_t hidden = params[2];
    int64_t inner = params[3];
    mg_dtype dtype = (mg_dtype)params[4];
    mg_weight gate_up[MOST];
    mg_weight down[MOST];
    int32_t first[MOST + 1] = { 0 };
    assert_true(count <= MOST);
    for (int64_t e = 0; e < count; e++) { /* some have no rows, the last has what is left */
        int64_t left = places - first[e];
        int64_t rows = e == count - 1 ? left : e % 3 == 1 ? 0 : left * (1 + e % 2) / 3;
        first[e + 1] = first[e] + (int32_t)rows;
        gate_up[e] = packed_weight(t, 2 * inner, hidden, dtype, MG_F32);
        down[e] = packed_weight(t, hidden, inner, dtype, MG_F32);
    }
    float *x = random_block(t, places * hidden, 1.0f);
    float *result = random_block(t, places * hidden, 1.0f);
    float *scratch = random_block(t, places * 2 * inner, 1.0f);
    int32_t *device_first = (int32_t *)device_block(t, first, sizeof(first));
    mg_experts_args args = { result,  x,      device_first, gate_up,   down,
                             scratch, places, count,        MG_NN_SILU };
    if (t->device->nn->experts != NULL) {
        assert_ok(t->device->nn->experts(t->stream, &args, &err), &err);
    } else {
        experts_one_by_one(t, &args, first);
    }
    device_read(t, out, result, (size_t)(places * hidden) * sizeof(float));
    for (int64_t e = 0; e < count; e++) {
        device_free(t, gate_up[e].data);
        device_free(t, down[e].data);
    }
    const void *blocks[] = { x, result, scratch, device_first };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(blocks); i++) {
        device_free(t, blocks[i]);
    }
    return places * hidden;
}

static void rows_go_through_the_matrices_of_their_experts(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = {
        { 4, 2, 128, 128 }, { 8, 37, 128, 256 }, { 3, 100, 256, 128 },
        { 8, 16, 40, 24 },  { 1, 7, 9, 5 },      { 5, 33, 24, 128 },
    };
    for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
        int64_t params[] = { shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3], MG_BF16 };
        compare_targets(expert_products_case, params);
        params[4] = MG_F32;
        compare_targets(expert_products_case, params);
    }
}

/* --- Steps of generation */

/* A device's integers of a step: tokens, positions, slots, turns, runs, each of `rows`. */
static mg_step_rows step_rows(int32_t *ints, int64_t rows)
{
    mg_step_rows step = { ints, ints + rows, ints + 2 * rows, ints + 3 * rows,
                          (mg_kv_run *)(void *)(ints + 4 * rows) };
    return step;
}

/* params: rows of the step before, rows, slots.  Both steps lie over each other; devices that leave
 * the operation to the host run ref's. */
static int64_t next_case(const target *t, const int64_t *params, float *out)
{
    enum { INTS = 8 };
    mg_error err;
    int64_t from = params[0];
    int64_t rows = params[1];
    int64_t slots = params[2];
    int64_t most = MG_MAX(from, rows);
    int32_t *ints = mg_new_array(int32_t, INTS * most + from + rows + 2 * slots);
    int32_t *picked = ints + INTS * most;
    int32_t *index = picked + from;
    int32_t *ends = index + rows;
    for (int64_t r = 0; r < from; r++) {
        int32_t slot = (int32_t)(random_bits() % (uint32_t)(slots + 1)); /* the last is filler */
        int32_t position = (int32_t)(random_bits() % 30);
        mg_kv_run run = { slot, position, 1, (int32_t)r };
        ints[r] = (int32_t)(random_bits() % 9);
        ints[from + r] = position;
        ints[2 * from + r] = slot;
        ints[3 * from + r] = position + 100;
        memcpy(ints + 4 * from + 4 * r, &run, sizeof(run));
        picked[r] = (int32_t)(random_bits() % 9) - 1; /* 3 and 7 are ends, -1 is a failure */
    }
    for (int64_t r = 0; r < rows; r++) {
        index[r] = (int32_t)(random_bits() % (uint32_t)(from + 1)) - 1;
    }
    for (int64_t s = 0; s < slots; s++) {
        ends[2 * s] = (int32_t)(random_bits() % 40);
        ends[2 * s + 1] = (int32_t)(random_bits() % 2);
    }
    static const int32_t end_ids[] = { 7, 3 };
    size_t bytes = (size_t)(INTS * most + from + rows + 2 * slots) * sizeof(int32_t);
    int32_t *device = (int32_t *)device_block(t, ints, bytes);
    int32_t *device_ids = (int32_t *)device_block(t, end_ids, sizeof(end_ids));
    mg_next_args args = { .from = step_rows(device, from),
                          .to = step_rows(device, rows),
                          .picked = device + (picked - ints),
                          .index = device + (index - ints),
                          .text_ends = (const mg_text_end *)(device + (ends - ints)),
                          .end_ids = device_ids,
                          .end_id_count = 2,
                          .rows = rows,
                          .filler_slot = (int32_t)slots };
    const mg_nn_ops *nn = t->device->nn->next != NULL ? t->device->nn : mg_device_ref()->nn;
    assert_ok(nn->next(t->stream, &args, &err), &err);
    device_read(t, ints, device, bytes);
    for (int64_t i = 0; i < INTS * rows; i++) {
        out[i] = (float)ints[i];
    }
    device_free(t, device);
    device_free(t, device_ids);
    mg_free(ints);
    return INTS * rows;
}

static void a_step_follows_from_what_was_picked(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = { { 1, 1, 1 },      { 8, 8, 5 },      { 250, 250, 250 },
                                         { 256, 200, 20 }, { 17, 512, 300 }, { 512, 512, 1 } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(shapes); i++) {
        compare_targets(next_case, shapes[i]);
    }
    /* Row by row: goes on; at its last position; ended by id 3; an id that does not end it. */
    int32_t ints[8 * 4] = { 1, 2, 3, 4, /* */ 5, 9, 5, 5, /* */ 0, 1, 2, 3, /* */ 5, 9, 5, 5 };
    const int32_t picked[] = { 6, 6, 3, 3 };
    const int32_t index[] = { 0, 1, 2, 3 };
    const mg_text_end ends[] = { { 9, 0 }, { 9, 0 }, { 9, 0 }, { 9, 1 } };
    const int32_t id = 3;
    mg_error err;
    mg_step_rows rows = step_rows(ints, 4);
    mg_next_args args = { rows, rows, picked, index, ends, &id, 1, 4, 77 };
    assert_ok(mg_device_ref()->nn->next(targets[0].stream, &args, &err), &err);
    const int32_t want[] = { 6, 0, 0, 3, /* */ 6, 0, 0, 6, /* */ 0, 77, 77, 3, /* */ 6, 0, 0, 6 };
    assert_memory_equal(ints, want, sizeof(want));
}

static void a_fetch_gives_what_was_there_when_it_began(void **state)
{
    (void)state;
    for (int64_t i = 0; i < target_count; i++) {
        const target *t = &targets[i];
        const mg_device *device = t->device;
        mg_error err;
        int32_t values[3] = { 1, 2, 3 };
        int32_t seen[3] = { 0 };
        if (device->fetch_begin == NULL) {
            continue;
        }
        int32_t *block = (int32_t *)device_block(t, values, sizeof(values));
        assert_ok(device->fetch_begin(t->stream, 0, block, sizeof(values), &err), &err);
        values[0] = 7;
        assert_ok(device->upload(t->stream, block, values, sizeof(values), &err), &err);
        assert_ok(device->fetch_begin(t->stream, 1, block, sizeof(values), &err), &err);
        assert_ok(device->fetch_end(t->stream, 0, seen, sizeof(seen), &err), &err);
        assert_int_equal(seen[0], 1);
        assert_int_equal(seen[2], 3);
        assert_ok(device->fetch_end(t->stream, 1, seen, sizeof(seen), &err), &err);
        assert_int_equal(seen[0], 7);
        device_free(t, block);
    }
}

static void unknown_layouts_are_refused(void **state)
{
    (void)state;
    for (int64_t n = 0; n < target_count; n++) {
        mg_error err;
        size_t bytes = 0;
        const mg_nn_ops *nn = targets[n].device->nn;
        mg_weight weight = { NULL, 4, 4, MG_I8 };
        assert_status(nn->packed_bytes(&weight, &bytes, &err), MG_ERR_UNSUPPORTED);
        mg_weight huge = { NULL, INT64_MAX / 2, INT64_MAX / 2, MG_F32 };
        assert_status(nn->packed_bytes(&huge, &bytes, &err), MG_ERR_MEMORY);
        mg_kv kv = { NULL, 1, 1, 1, 32, MG_I8, NULL, 0 };
        assert_status(nn->kv_bytes(&kv, &bytes, &err), MG_ERR_UNSUPPORTED);
        mg_kv huge_kv = { NULL, INT64_MAX / 4, 4096, 1024, 128, MG_F32, NULL, 0 };
        assert_status(nn->kv_bytes(&huge_kv, &bytes, &err), MG_ERR_MEMORY);
    }
}

static void devices_are_named_after_their_instruction_set(void **state)
{
    (void)state;
    assert_string_equal(mg_device_ref()->name, "ref");
    assert_string_equal(mg_device_cpu(MG_ISA_BASE)->name, "cpu (base)");
    char name[32];
    snprintf(name, sizeof(name), "cpu (%s)", mg_isa_name(mg_isa_best()));
    assert_string_equal(mg_device_cpu(mg_isa_best())->name, name);
}

static void a_stream_without_memory_is_an_error(void **state)
{
    (void)state;
    mg_error err;
    mg_stream *stream = NULL;
    const mg_device *device = mg_device_cpu(MG_ISA_AVX512);
    mg_memory_fail_at(1);
    assert_status(device->stream_create(device, pool, &stream, &err), MG_ERR_MEMORY);
    mg_memory_fail_at(0);
    assert_null(stream);
    device->stream_destroy(NULL);
    device->free(device, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_gives_the_same_bits),
        cmocka_unit_test(linear_takes_every_source_type),
        cmocka_unit_test(linear_is_right_over_blocks_of_rows_columns_and_k),
        cmocka_unit_test(linear_of_nothing_is_bias_and_residual),
        cmocka_unit_test(embed_and_gather_give_the_same_bits),
        cmocka_unit_test(norms_give_the_same_bits),
        cmocka_unit_test(rope_gives_the_same_bits),
        cmocka_unit_test(gates_give_the_same_bits),
        cmocka_unit_test(pointwise_operations_give_the_same_bits),
        cmocka_unit_test(activations_are_close_to_the_formulas),
        cmocka_unit_test(argmax_and_logprob_agree),
        cmocka_unit_test(the_lowest_index_wins_and_nonfinite_rows_give_minus_one),
        cmocka_unit_test(nonfinite_values_are_counted_in_every_type),
        cmocka_unit_test(attention_gives_the_same_bits),
        cmocka_unit_test(attention_is_right_over_several_blocks),
        cmocka_unit_test(a_nan_query_spoils_its_own_row_alone),
        cmocka_unit_test(attention_is_close_to_softmax),
        cmocka_unit_test(joined_rotation_and_store_equals_its_parts),
        cmocka_unit_test(joined_mlp_equals_its_parts),
        cmocka_unit_test(few_rows_of_large_matrices_multiply_rightly),
        cmocka_unit_test(rows_are_dealt_to_experts_and_added_back),
        cmocka_unit_test(rows_go_through_the_matrices_of_their_experts),
        cmocka_unit_test(a_step_follows_from_what_was_picked),
        cmocka_unit_test(a_fetch_gives_what_was_there_when_it_began),
        cmocka_unit_test(unknown_layouts_are_refused),
        cmocka_unit_test(devices_are_named_after_their_instruction_set),
        cmocka_unit_test(a_stream_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
