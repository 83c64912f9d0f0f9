/* tests/unit/merge/test_method.c - small tensors through every method, against the reference's
 * numbers (merging.md 10; those that 0.1.5 changed were taken from it). */
#include "support.h"

#include <math.h>

#include "merge/method.h"

#define ELEMENTS 8

static const float base_values[ELEMENTS] = { 1, -2, 3, 0.5f, 0.25f, -1, 2, 4 };
static const float deltas[3][ELEMENTS] = {
    { 0.5f, 0.25f, -1, 0.125f, 0, 1, -0.75f, 0.0625f },
    { -0.25f, 0.5f, 0.375f, 1, 0.625f, 0.75f, -0.5f, 0 },
    { 0.75f, -0.125f, -0.5f, 0.25f, 0, -0.375f, -1.25f, 0.5f },
};

typedef struct setting {
    const char *name;
    double value[3]; /* of A, B and C */
} setting;

typedef struct expectation {
    const char *method;
    const char *models; /* of "OABC" in order; O is the base */
    setting settings[4];
    float result[ELEMENTS];
} expectation;

#define ALL(x)                                                                                     \
    {                                                                                              \
        x, x, x                                                                                    \
    }

static const expectation expectations[] = {
    { "linear",
      "AB",
      { { "weight", { 0.5, 0.25, 0 } } },
      { 1.25f, -1.6666666f, 2.4583333f, 0.9166667f, 0.4583333f, -0.0833333f, 1.3333334f,
        4.0416665f } },
    { "nuslerp",
      "AB",
      { { "weight", { 0.75, 0.25, 0 } }, { "nuslerp_flatten", ALL(0) } },
      { 1.3343475f, -1.7177969f, 2.3911512f, 0.8619888f, 0.4075624f, -0.0627679f, 1.3159814f,
        4.0572515f } },
    { "nuslerp",
      "AB",
      { { "weight", { 0.75, 0.25, 0 } },
        { "nuslerp_flatten", ALL(0) },
        { "nuslerp_row_wise", ALL(1) } },
      { 1.3692147f, -1.6917197f, 2.3485126f, 0.8477091f, 0.4307631f, -0.0627672f, 1.3150066f,
        4.0630198f } },
    { "nuslerp",
      "OAB",
      { { "weight", { 0.75, 0.25, 0 } } },
      { 1.3437014f, -1.6256933f, 2.2721062f, 0.9301006f, 0.4524561f, 0.0923148f, 1.2010095f,
        4.0530853f } },
    { "multislerp",
      "ABC",
      { { "weight", { 1, 2, 1 } } },
      { 1.2198555f, -1.7542256f, 2.8480339f, 1.1038568f, 0.5661373f, -0.4586391f, 1.2794398f,
        4.2245402f } },
    { "multislerp",
      "OABC",
      { { "weight", { 1, 2, 1 } } },
      { 1.2459592f, -1.6090686f, 2.7584579f, 1.3251963f, 0.6868222f, -0.2677011f, 0.9772925f,
        4.1897931f } },
    { "karcher",
      "ABC",
      { { NULL, ALL(0) } },
      { 1.3661547f, -1.8266377f, 2.6579068f, 0.9673161f, 0.4614842f, -0.5245665f, 1.1990671f,
        4.2718339f } },
    { "task_arithmetic",
      "OAB",
      { { "weight", { 0.5, 1, 0 } } },
      { 1.0f, -1.375f, 2.875f, 1.5625f, 0.875f, 0.25f, 1.125f, 4.03125f } },
    { "task_arithmetic",
      "OAB",
      { { "weight", { 0.5, 1, 0 } }, { "normalize", ALL(1) }, { "lambda", ALL(0.5) } },
      { 1.0f, -1.7916666f, 2.9583333f, 0.8541666f, 0.4583333f, -0.5833334f, 1.7083334f,
        4.0104165f } },
    { "ties",
      "OAB",
      { { "weight", { 0.5, 1, 0 } }, { "density", { 0.5, 0.75, 0 } } },
      { 1.5f, -1.5f, 2.0f, 1.5f, 0.875f, -0.1666667f, 1.4166667f, 4.0f } },
    { "dare_ties",
      "OAB",
      { { "weight", { 0.5, 1, 0 } }, { "density", { 0.5, 0.75, 0 } } },
      { 1.0f, -1.2727273f, 1.9464285f, 1.9545455f, 0.25f, 0.0909091f, 0.4825487f, 4.0f } },
    { "dare_linear",
      "OAB",
      { { "weight", { 0.5, 1, 0 } }, { "density", { 0.5, 0.75, 0 } } },
      { 1.0f, -1.2727273f, 1.9464285f, 1.9545455f, 0.25f, 0.0909091f, 0.4825487f, 4.0f } },
    { "della",
      "OAB",
      { { "weight", { 0.5, 1, 0 } }, { "density", { 0.5, 0.75, 0 } }, { "epsilon", ALL(0.2) } },
      { 1.0f, -1.1111112f, 1.6590909f, 2.2777777f, 0.25f, 0.3358587f, 0.9943181f, 4.0f } },
    { "della_linear",
      "OAB",
      { { "weight", { 0.5, 1, 0 } }, { "density", { 0.5, 0.75, 0 } }, { "epsilon", ALL(0.2) } },
      { 1.0f, -1.1111112f, 2.3295455f, 2.2777777f, 0.25f, 1.003788f, 1.497159f, 4.0f } },
    { "sce",
      "OABC",
      { { NULL, ALL(0) } },
      { 1.6238939f, -1.630366f, 2.2477875f, 0.9442182f, 0.875f, -0.1196341f, 1.1597254f,
        4.279314f } },
    { "sce",
      "OABC",
      { { "select_topk", ALL(0.5) } },
      { 1.5773809f, -2.0f, 2.1547618f, 0.9562694f, 0.25f, -0.1094961f, 2.0f, 4.0f } },
    { "model_stock",
      "OAC",
      { { NULL, ALL(0) } },
      { 1.4232438f, -1.9576756f, 2.4921074f, 0.6269732f, 0.25f, -0.7883781f, 1.3228099f,
        4.1904597f } },
    { "model_stock",
      "OAC",
      { { "filter_wise", ALL(1) } },
      { 1.5572979f, -1.9442703f, 2.3312423f, 0.6671894f, 0.25f, -0.8416066f, 1.4931409f,
        4.1425543f } },
    { "nearswap",
      "OA",
      { { "t", ALL(0.25) } },
      { 1.25f, -1.75f, 2.75f, 0.625f, 0.25f, -0.75f, 1.75f, 4.0625f } },
    { "arcee_fusion",
      "OA",
      { { NULL, ALL(0) } },
      { 1.5f, -2.0f, 2.0f, 0.5f, 0.25f, -1.0f, 2.0f, 4.0f } },
    { "ram",
      "OABC",
      { { "epsilon", ALL(0.3) } },
      { 1.625f, -1.5f, 2.625f, 1.5f, 0.875f, -0.5416666f, 1.1666666f, 4.5f } },
    { "ramplus_tl",
      "OABC",
      { { "epsilon", ALL(0.3) }, { "r", ALL(0.5) }, { "alpha", ALL(2) } },
      { 1.625f, -1.25f, 2.625f, 2.0f, 1.1875f, -0.5416666f, 1.1666666f, 5.0f } },
    { "passthrough", "A", { { "scale", ALL(2) } }, { 3, -3.5f, 4, 1.25f, 0.5f, 0, 2.5f, 8.125f } },
};

static double setting_of(const expectation *e, const mg_method_param *param, int model)
{
    for (int i = 0; i < 4; i++) {
        if (e->settings[i].name != NULL && strcmp(e->settings[i].name, param->name) == 0) {
            return e->settings[i].value[model];
        }
    }
    return param->fallback;
}

static void run(const expectation *e, float *out)
{
    mg_error err;
    const mg_method *method = mg_method_find(mg_str_of(e->method));
    assert_non_null(method);
    float values[4][ELEMENTS];
    mg_job_input inputs[4];
    memset(inputs, 0, sizeof(inputs));
    mg_job job;
    memset(&job, 0, sizeof(job));
    mg_mt19937 mt;
    mg_mt19937_seed(&mt, 42);
    job.base = -1;
    for (int64_t i = 0; e->models[i] != '\0'; i++) {
        int model = e->models[i] == 'O' ? -1 : e->models[i] - 'A';
        for (int k = 0; k < ELEMENTS; k++) {
            values[i][k] = base_values[k] + (model >= 0 ? deltas[model][k] : 0.0f);
        }
        job.base = model < 0 ? i : job.base;
        inputs[i].x.data = values[i];
        inputs[i].x.dtype = MG_F32;
        inputs[i].source_index = model;
        for (int64_t k = 0; k < method->param_count; k++) {
            inputs[i].params[k] = setting_of(e, &method->params[k], model < 0 ? 0 : model);
        }
        job.input_count++;
    }
    for (int64_t k = 0; k < method->param_count; k++) {
        job.params[k] = setting_of(e, &method->params[k], 0);
    }
    job.name = mg_str_of("x");
    job.shape = mg_shape_2d(2, 4);
    job.count = ELEMENTS;
    job.inputs = inputs;
    job.work = MG_F32;
    job.out = out;
    job.out_dtype = MG_F32;
    job.device = mg_device_cpu(mg_isa_best());
    job.mt = &mt;
    assert_ok(job.device->stream_create(job.device, NULL, &job.stream, &err), &err);
    assert_ok(method->merge(&job, &err), &err);
    job.device->stream_destroy(job.stream);
    mg_job_scratch_release(&job);
}

static void methods_give_the_numbers_of_the_reference(void **state)
{
    (void)state;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(expectations); i++) {
        const expectation *e = &expectations[i];
        float out[ELEMENTS];
        run(e, out);
        for (int k = 0; k < ELEMENTS; k++) {
            float error = fabsf(out[k] - e->result[k]);
            if (!(error <= 2e-6f * fabsf(e->result[k]) + 2e-7f)) {
                fail_msg("%s %s: element %d is %.8g, expected %.8g", e->method, e->models, k,
                         (double)out[k], (double)e->result[k]);
            }
        }
    }
}

static void slerp_takes_the_base_as_its_start(void **state)
{
    (void)state;
    const float expected[ELEMENTS] = { 1.3245213f, -1.7041664f, 2.3698158f, 0.8537776f,
                                       0.4114233f, -0.0635566f, 1.3262157f, 4.0877533f };
    mg_error err;
    const mg_method *method = mg_method_find(mg_str_of("slerp"));
    float a[ELEMENTS], b[ELEMENTS], out[ELEMENTS];
    for (int k = 0; k < ELEMENTS; k++) {
        a[k] = base_values[k] + deltas[0][k];
        b[k] = base_values[k] + deltas[1][k];
    }
    mg_job_input inputs[2];
    memset(inputs, 0, sizeof(inputs));
    mg_job job;
    memset(&job, 0, sizeof(job));
    job.inputs = inputs;
    job.input_count = 2;
    job.base = 1; /* order does not matter */
    inputs[1].x.data = a;
    inputs[0].x.data = b;
    inputs[0].x.dtype = inputs[1].x.dtype = MG_F32;
    job.params[0] = 0.25;
    job.shape = mg_shape_2d(2, 4);
    job.count = ELEMENTS;
    job.work = job.out_dtype = MG_F32;
    job.out = out;
    job.device = mg_device_ref();
    assert_ok(job.device->stream_create(job.device, NULL, &job.stream, &err), &err);
    assert_ok(method->merge(&job, &err), &err);
    for (int k = 0; k < ELEMENTS; k++) {
        assert_true(fabsf(out[k] - expected[k]) < 1e-6f);
    }
    job.device->stream_destroy(job.stream);
    mg_job_scratch_release(&job);
}

static void names_are_unique_and_found(void **state)
{
    (void)state;
    const char *nearest;
    for (int64_t i = 0; i < mg_method_count; i++) {
        assert_ptr_equal(mg_method_find(mg_str_of(mg_methods[i]->name)), mg_methods[i]);
        assert_true(mg_methods[i]->param_count <= MG_METHOD_PARAMS_MAX);
        assert_true(mg_recipe_method_known(mg_str_of(mg_methods[i]->name), &nearest));
    }
    assert_null(mg_method_find(mg_str_of("dare")));
    assert_false(mg_recipe_method_known(mg_str_of("dare_tie"), &nearest));
    assert_string_equal(nearest, "dare_ties");
    assert_int_equal(mg_method_count, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_give_the_numbers_of_the_reference),
        cmocka_unit_test(slerp_takes_the_base_as_its_start),
        cmocka_unit_test(names_are_unique_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
