/* tests/unit/merge/test_adapter.c - LoRA folders: read, refused, applied. */
#include "support.h"

#include "base/fs.h"
#include "merge/adapter.h"
#include "tensor/safetensors.h"

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/merganser-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    mg_error err;
    return mg_folder_remove(folder, &err) != MG_OK;
}

static void write_config(const char *text)
{
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    assert_ok(mg_file_write_atomic(mg_path_join(&arena, folder, "adapter_config.json").data,
                                   mg_str_of(text), &err),
              &err);
    mg_arena_release(&arena);
}

static mg_view view_of(const char *name, const float *data, int64_t rows, int64_t columns)
{
    mg_view view = { mg_str_of(name), data, (size_t)(rows * columns) * sizeof(float), MG_F32,
                     mg_shape_2d(rows, columns) };
    return view;
}

static void write_weights(const mg_view *views, int64_t count)
{
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    assert_ok(mg_safetensors_write(mg_path_join(&arena, folder, "adapter_model.safetensors").data,
                                   views, count, &err),
              &err);
    mg_arena_release(&arena);
}

static const float a[2 * 3] = { 1, 2, 3, 4, 5, 6 };
static const float b[2 * 2] = { 1, 0, 0, -1 };

static void write_pair(const char *config)
{
    const mg_view views[] = { view_of("base_model.model.m.q_proj.lora_A.weight", a, 2, 3),
                              view_of("base_model.model.m.q_proj.lora_B.weight", b, 2, 2),
                              view_of("base_model.model.lm_head.weight", a, 2, 3) };
    write_config(config);
    write_weights(views, 3);
}

static void a_target_adds_the_scaled_product(void **state)
{
    (void)state;
    mg_error err;
    mg_adapter *adapter;
    write_pair("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4}");
    assert_ok(mg_adapter_open(folder, &adapter, &err), &err);
    const mg_adapter_target *target = mg_adapter_find(adapter, mg_str_of("m.q_proj.weight"));
    assert_non_null(target);
    assert_null(mg_adapter_find(adapter, mg_str_of("m.k_proj.weight")));
    const float w[6] = { 10, 20, 30, 40, 50, 60 };
    const float expected[6] = { 12, 24, 36, 32, 40, 48 };
    float out[6];
    mg_view weight = view_of("m.q_proj.weight", w, 2, 3);
    assert_ok(mg_adapter_check(target, &weight, &err), &err);
    assert_ok(mg_adapter_apply(target, &weight, MG_F32, mg_device_ref(), NULL, NULL, out, &err),
              &err);
    assert_memory_equal(out, expected, sizeof(out));
    mg_view other = view_of("m.q_proj.weight", w, 3, 2);
    assert_status(mg_adapter_check(target, &other, &err), MG_ERR_FORMAT);
    target = mg_adapter_find(adapter, mg_str_of("lm_head.weight"));
    assert_non_null(target);
    assert_non_null(target->replacement);
    mg_adapter_close(adapter);
}

static void products_are_fused_and_added_in_the_order_of_ranks(void **state)
{
    (void)state;
    mg_error err;
    mg_adapter *adapter;
    /* -1 + (1 + 2^-12)^2: the square's last bit is lost where it is rounded by itself. */
    const float left[2] = { 1.0f, 1.0f + 0x1p-12f };
    const float right[2] = { -1.0f, 1.0f + 0x1p-12f };
    const mg_view views[] = { view_of("base_model.model.m.q_proj.lora_A.weight", right, 2, 1),
                              view_of("base_model.model.m.q_proj.lora_B.weight", left, 1, 2) };
    write_config("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 2}");
    write_weights(views, 2);
    assert_ok(mg_adapter_open(folder, &adapter, &err), &err);
    const mg_adapter_target *target = mg_adapter_find(adapter, mg_str_of("m.q_proj.weight"));
    const float zero = 0.0f;
    float out;
    mg_view weight = view_of("m.q_proj.weight", &zero, 1, 1);
    assert_ok(mg_adapter_apply(target, &weight, MG_F32, mg_device_ref(), NULL, NULL, &out, &err),
              &err);
    assert_true(out == 0x1p-11f + 0x1p-24f);
    mg_adapter_close(adapter);
}

static void a_stored_base_is_rounded_to_the_type_of_the_result(void **state)
{
    (void)state;
    mg_error err;
    mg_adapter *adapter;
    write_pair("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4}");
    assert_ok(mg_adapter_open(folder, &adapter, &err), &err);
    const mg_adapter_target *target = mg_adapter_find(adapter, mg_str_of("m.q_proj.weight"));
    const float w[6] = { 1.0f + 0x1p-8f, 20, 30, 40, 50, 60 };
    uint16_t out[6];
    mg_view weight = view_of("m.q_proj.weight", w, 2, 3);
    assert_ok(mg_adapter_apply(target, &weight, MG_BF16, mg_device_ref(), NULL, NULL, out, &err),
              &err);
    assert_true(mg_bf16_to_f32(out[0]) == 3.0f);
    assert_true(mg_bf16_to_f32(out[3]) == 32.0f);
    mg_adapter_close(adapter);
}

static void patterns_and_rank_stabilising_change_the_scale(void **state)
{
    (void)state;
    mg_error err;
    mg_adapter *adapter;
    write_pair("{\"peft_type\": \"LORA\", \"lora_alpha\": 4, \"use_rslora\": true,"
               " \"alpha_pattern\": {\"q_proj\": 8}}");
    assert_ok(mg_adapter_open(folder, &adapter, &err), &err);
    const mg_adapter_target *target = mg_adapter_find(adapter, mg_str_of("m.q_proj.weight"));
    assert_true(target->scale > 5.656 && target->scale < 5.658);
    mg_adapter_close(adapter);
}

static void other_kinds_of_adapters_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        const char *expected;
    } cases[] = {
        { "{\"peft_type\": \"LORA\", \"lora_alpha\": 4, \"use_dora\": true}", "use_dora" },
        { "{\"peft_type\": \"IA3\"}", "peft_type is not LORA" },
        { "{\"peft_type\": \"LORA\", \"lora_alpha\": 4, \"bias\": \"all\"}", "train biases" },
        { "{\"peft_type\": \"LORA\"}", "'lora_alpha' must be a number" },
        { "[]", "peft_type is not LORA" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_error err;
        mg_adapter *adapter;
        write_pair(cases[i].config);
        assert_int_not_equal(mg_adapter_open(folder, &adapter, &err), MG_OK);
        assert_non_null(strstr(err.message, cases[i].expected));
        assert_null(adapter);
    }
}

static void matrices_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_adapter *adapter;
    const mg_view views[] = { view_of("base_model.model.m.q_proj.lora_A.weight", a, 3, 2),
                              view_of("base_model.model.m.q_proj.lora_B.weight", b, 2, 2) };
    write_config("{\"peft_type\": \"LORA\", \"lora_alpha\": 4}");
    write_weights(views, 2);
    assert_status(mg_adapter_open(folder, &adapter, &err), MG_ERR_FORMAT);
    write_weights(views, 1);
    assert_status(mg_adapter_open(folder, &adapter, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "m.q_proj.weight"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_adds_the_scaled_product),
        cmocka_unit_test(products_are_fused_and_added_in_the_order_of_ranks),
        cmocka_unit_test(a_stored_base_is_rounded_to_the_type_of_the_result),
        cmocka_unit_test(patterns_and_rank_stabilising_change_the_scale),
        cmocka_unit_test(other_kinds_of_adapters_are_refused_by_name),
        cmocka_unit_test(matrices_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
