/* tests/unit/model/test_weights.c - what a model takes, refuses and notices about its tensors. */
#include "tiny.h"

#include <math.h>

typedef struct fixture {
    const mg_device *device;
    mg_model_config config;
    mg_model *model;
    mg_stream *stream;
    mg_error err;
} fixture;

static void open_fixture(fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->device = mg_device_ref();
    f->config = tiny_config();
    assert_ok(mg_model_create(&f->config, f->device, MG_F32, &f->model, &f->err), &f->err);
    assert_ok(f->device->stream_create(f->device, NULL, &f->stream, &f->err), &f->err);
}

static void close_fixture(fixture *f)
{
    f->device->stream_destroy(f->stream);
    mg_model_destroy(f->model);
}

static mg_status finish_without(fixture *f, const char *left_out)
{
    mg_sink *sink = mg_model_sink(f->model, f->stream);
    for (int64_t i = 0; i < f->model->filler.slot_count; i++) {
        if (!mg_str_is(f->model->filler.slots[i].name, left_out)) {
            tiny_give(sink, &f->model->filler.slots[i], 0.5f);
        }
    }
    return sink->ops->finish(sink, &f->err);
}

static void missing_tensor_is_named(void **state)
{
    (void)state;
    static const char *const names[] = { "model.layers.1.self_attn.k_proj.weight",
                                         "model.norm.weight", "lm_head.weight" };
    fixture f;
    open_fixture(&f);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        assert_status(finish_without(&f, names[i]), MG_ERR_FORMAT);
        assert_non_null(strstr(f.err.message, names[i]));
    }
    assert_ok(finish_without(&f, "nothing"), &f.err);
    close_fixture(&f);
}

static void value_that_is_not_finite_is_named(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f);
    static const char *const names[] = { "model.layers.0.mlp.down_proj.weight",
                                         "model.layers.1.input_layernorm.weight" };
    for (int64_t n = 0; n < MG_ARRAY_COUNT(names); n++) {
        mg_sink *sink = mg_model_sink(f.model, f.stream);
        for (int64_t i = 0; i < f.model->filler.slot_count; i++) {
            const mg_tensor_slot *slot = &f.model->filler.slots[i];
            if (!mg_str_is(slot->name, names[n])) {
                tiny_give(sink, slot, 0.5f);
                continue;
            }
            mg_view spec = { 0 };
            void *data = NULL;
            spec.name = slot->name;
            spec.dtype = MG_BF16;
            spec.shape = slot->shape;
            spec.bytes = (size_t)mg_shape_count(&slot->shape) * 2;
            assert_ok(sink->ops->reserve(sink, &spec, &data, &f.err), &f.err);
            memset(data, 0, spec.bytes);
            ((uint16_t *)data)[3] = 0x7f80; /* infinity */
            ((uint16_t *)data)[5] = 0x7fc0; /* NaN */
            assert_ok(sink->ops->commit(sink, &f.err), &f.err);
        }
        assert_status(sink->ops->finish(sink, &f.err), MG_ERR_NUMERIC);
        assert_non_null(strstr(f.err.message, names[n]));
        assert_non_null(strstr(f.err.message, "2 values"));
    }
    assert_ok(finish_without(&f, "nothing"), &f.err); /* the next candidate is not affected */
    close_fixture(&f);
}

static void wrong_shape_and_type_are_refused(void **state)
{
    (void)state;
    fixture f;
    void *data = NULL;
    open_fixture(&f);
    mg_sink *sink = mg_model_sink(f.model, f.stream);
    mg_view spec = { 0 };
    spec.name = mg_str_of("model.norm.weight");
    spec.dtype = MG_F32;
    spec.shape = mg_shape_1d(17);
    spec.bytes = 17 * sizeof(float);
    assert_status(sink->ops->reserve(sink, &spec, &data, &f.err), MG_ERR_FORMAT);
    assert_non_null(strstr(f.err.message, "[17]"));
    spec.shape = mg_shape_1d(16);
    spec.dtype = MG_I32;
    assert_status(sink->ops->reserve(sink, &spec, &data, &f.err), MG_ERR_UNSUPPORTED);
    close_fixture(&f);
}

static void tensor_given_twice_is_refused(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f);
    mg_sink *sink = mg_model_sink(f.model, f.stream);
    tiny_give(sink, &f.model->filler.slots[0], 0.5f);
    mg_view spec = { 0 };
    void *data = NULL;
    spec.name = f.model->filler.slots[0].name;
    spec.dtype = MG_F32;
    spec.shape = f.model->filler.slots[0].shape;
    spec.bytes = (size_t)mg_shape_count(&spec.shape) * sizeof(float);
    assert_ok(sink->ops->reserve(sink, &spec, &data, &f.err), &f.err);
    assert_status(sink->ops->commit(sink, &f.err), MG_ERR_FORMAT);
    close_fixture(&f);
}

static void unknown_tensor_is_taken_and_ignored(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f);
    mg_sink *sink = mg_model_sink(f.model, f.stream);
    mg_view spec = { 0 };
    void *data = NULL;
    spec.name = mg_str_of("model.layers.0.self_attn.rotary_emb.inv_freq");
    spec.dtype = MG_U8;
    spec.shape = mg_shape_1d(1000);
    spec.bytes = 1000;
    assert_ok(sink->ops->reserve(sink, &spec, &data, &f.err), &f.err);
    memset(data, 255, 1000);
    assert_ok(sink->ops->commit(sink, &f.err), &f.err);
    assert_status(sink->ops->finish(sink, &f.err), MG_ERR_FORMAT); /* the others are missing */
    close_fixture(&f);
}

static void refill_allocates_nothing(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f);
    tiny_fill(f.model, f.stream);
    mg_memory_forbid(true); /* aborts in debug builds */
    mg_memory_fail_at(1);   /* and large blocks fail in any */
    tiny_fill(f.model, f.stream);
    mg_memory_fail_at(0);
    mg_memory_forbid(false);
    close_fixture(&f);
}

static void creation_survives_every_failing_allocation(void **state)
{
    (void)state;
    mg_error err;
    mg_model_config config = tiny_config();
    for (int64_t n = 1; n < 200; n++) {
        mg_model *model = NULL;
        mg_memory_fail_at(n);
        mg_status status = mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err);
        mg_memory_fail_at(0);
        if (status == MG_OK) {
            mg_model_destroy(model);
            assert_true(n > 5);
            return;
        }
        assert_status(status, MG_ERR_MEMORY);
        assert_null(model);
    }
    fail_msg("creation never succeeded");
}

static void absurd_configurations_are_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_model *model = NULL;
    mg_model_config config = tiny_config();
    config.architecture = mg_str_of("BertForMaskedLM");
    assert_status(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err),
                  MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "BertForMaskedLM"));
    config = tiny_config();
    config.kv_head_count = 3;
    assert_status(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err), MG_ERR_FORMAT);
    config = tiny_config();
    config.partial_rotary = 0.3; /* one rotary component */
    assert_status(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err), MG_ERR_FORMAT);
    config = tiny_config();
    config.hidden_size = INT64_MAX / 2;
    assert_status(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err), MG_ERR_FORMAT);
    config = tiny_config();
    config.layer_count = 0;
    assert_status(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err), MG_ERR_FORMAT);
    config = tiny_config();
    assert_status(mg_model_create(&config, mg_device_ref(), MG_I8, &model, &err),
                  MG_ERR_UNSUPPORTED);
}

static void model_larger_than_memory_is_refused_with_both_numbers(void **state)
{
    (void)state;
    mg_error err;
    mg_model *model = NULL;
    mg_model_config config = tiny_config();
    config.vocab_size = 1 << 27;
    config.hidden_size = 1 << 16;
    assert_status(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err), MG_ERR_MEMORY);
    assert_non_null(strstr(err.message, "weights take"));
    assert_non_null(strstr(err.message, "are free"));
    mg_stream *stream = NULL;
    mg_kv_cache *cache = NULL;
    model = tiny_model(mg_device_ref(), &stream);
    assert_status(mg_kv_cache_create(model, 1 << 20, 1 << 20, 0, &cache, &err), MG_ERR_MEMORY);
    assert_non_null(strstr(err.message, "keys and values take"));
    assert_null(cache);
    mg_device_ref()->stream_destroy(stream);
    mg_model_destroy(model);
}

static void limits_on_memory_are_kept(void **state)
{
    (void)state;
    mg_error err;
    mg_model *model = NULL;
    mg_kv_cache *cache = NULL;
    mg_stream *stream = NULL;
    mg_model_config config = tiny_config();
    config.vocab_size = 1 << 20;
    mg_memory_pretend_free(20000000);
    assert_status(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err), MG_ERR_MEMORY);
    assert_non_null(strstr(err.message, "MB, but only 20.00 MB are free"));
    model = tiny_model(mg_device_ref(), &stream);
    mg_memory_pretend_free(1000);
    assert_status(mg_kv_cache_create(model, 10, 100, 0, &cache, &err), MG_ERR_MEMORY);
    assert_non_null(strstr(err.message, "but only 0.00 MB are free"));
    mg_memory_pretend_free(SIZE_MAX);
    assert_ok(mg_kv_cache_create(model, 10, 100, 0, &cache, &err), &err);
    mg_kv_cache_destroy(cache);
    mg_device_ref()->stream_destroy(stream);
    mg_model_destroy(model);
}

static void token_outside_the_vocabulary_is_an_error(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f);
    tiny_fill(f.model, f.stream);
    mg_kv_cache *cache = NULL;
    float logits[TINY_VOCAB];
    int64_t row = 0;
    mg_run run = { 0, 0, 1, 0 };
    assert_ok(mg_kv_cache_create(f.model, 1, 8, 0, &cache, &f.err), &f.err);
    static const int32_t bad[] = { -1, TINY_VOCAB, INT32_MAX };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(bad); i++) {
        mg_forward_args args = { cache, &bad[i], 1, &run, 1, &row, 1, logits };
        assert_status(mg_model_forward(f.model, &args, f.stream, &f.err), MG_ERR_FORMAT);
    }
    int32_t good = 1;
    run.first = 8;
    mg_forward_args args = { cache, &good, 1, &run, 1, &row, 1, logits };
    assert_status(mg_model_forward(f.model, &args, f.stream, &f.err), MG_ERR_LIMIT);
    mg_kv_cache_destroy(cache);
    close_fixture(&f);
}

static void multimodal_prefixes_are_taken_off(void **state)
{
    (void)state;
    static const char *const prefixes[] = { "language_model.model.", "model.language_model." };
    mg_error err;
    mg_model_config config = tiny_config();
    config.architecture = mg_str_of("Gemma3ForConditionalGeneration");
    config.rope_local.theta = 10000.0;
    config.tie_embeddings = true;
    for (int64_t p = 0; p < MG_ARRAY_COUNT(prefixes); p++) {
        mg_model *model = NULL;
        mg_stream *stream = NULL;
        const mg_device *device = mg_device_ref();
        assert_ok(mg_model_create(&config, device, MG_F32, &model, &err), &err);
        assert_ok(device->stream_create(device, NULL, &stream, &err), &err);
        mg_sink *sink = mg_model_sink(model, stream);
        for (int64_t i = 0; i < model->filler.slot_count; i++) {
            mg_tensor_slot slot = model->filler.slots[i];
            char name[256];
            (void)snprintf(name, sizeof(name), "%s%.*s", prefixes[p], (int)slot.name.size - 6,
                           slot.name.data + 6);
            slot.name = mg_str_of(name);
            tiny_give(sink, &slot, 0.5f);
        }
        assert_ok(sink->ops->finish(sink, &err), &err);
        device->stream_destroy(stream);
        mg_model_destroy(model);
    }
}

/* Logits behind a few tokens. */
static void run_tokens(mg_model *model, mg_stream *stream, float *logits)
{
    static const int32_t tokens[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
    static const int64_t rows[] = { 1, 4, 7 };
    mg_error err;
    mg_kv_cache *cache = NULL;
    mg_run run = { 0, 0, MG_ARRAY_COUNT(tokens), 0 };
    assert_ok(mg_kv_cache_create(model, 1, 8, 0, &cache, &err), &err);
    mg_forward_args args = { cache, tokens, run.count, &run, 1, rows, 3, logits };
    assert_ok(mg_model_forward(model, &args, stream, &err), &err);
    mg_kv_cache_destroy(cache);
}

static const mg_tensor_slot *slot_of(const mg_model *model, mg_part part, int64_t layer,
                                     int64_t index)
{
    for (int64_t i = 0; i < model->filler.slot_count; i++) {
        const mg_tensor_slot *slot = &model->filler.slots[i];
        if (slot->part == part && slot->layer == layer && slot->index == index) {
            return slot;
        }
    }
    return NULL;
}

/* Gives the fused tensor that holds, expert after expert, what tiny_give gives one by one. */
static void give_fused(mg_model *model, mg_sink *sink, const mg_tensor_slot *fused)
{
    mg_error err;
    mg_view spec = { 0 };
    void *data = NULL;
    bool is_down = fused->part == MG_PART_EXPERTS_DOWN;
    spec.name = fused->name;
    spec.dtype = MG_F32;
    spec.shape = fused->shape;
    spec.bytes = (size_t)mg_shape_count(&fused->shape) * sizeof(float);
    assert_ok(sink->ops->reserve(sink, &spec, &data, &err), &err);
    float *values = (float *)data;
    for (int64_t e = 0; e < model->config.expert_count; e++) {
        const mg_tensor_slot *parts[] = {
            slot_of(model, is_down ? MG_PART_EXPERT_DOWN : MG_PART_EXPERT_GATE, fused->layer, e),
            is_down ? NULL : slot_of(model, MG_PART_EXPERT_UP, fused->layer, e),
        };
        for (int64_t i = 0; i < 2 && parts[i] != NULL; i++) {
            tiny_values(parts[i], 0.6f, values);
            values += mg_shape_count(&parts[i]->shape);
        }
    }
    assert_ok(sink->ops->commit(sink, &err), &err);
}

static void experts_may_be_stored_fused_or_one_by_one(void **state)
{
    (void)state;
    mg_error err;
    mg_model *model = NULL;
    mg_stream *stream = NULL;
    const mg_device *device = mg_device_ref();
    mg_model_config config = tiny_config();
    float one_by_one[3 * TINY_VOCAB];
    float fused[3 * TINY_VOCAB];
    config.architecture = mg_str_of("MixtralForCausalLM");
    config.expert_count = 5;
    config.experts_per_token = 2;
    assert_ok(mg_model_create(&config, device, MG_F32, &model, &err), &err);
    assert_ok(device->stream_create(device, NULL, &stream, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
        mg_sink *sink = mg_model_sink(model, stream);
        for (int64_t i = 0; i < model->filler.slot_count; i++) {
            const mg_tensor_slot *slot = &model->filler.slots[i];
            bool is_fused =
                slot->part == MG_PART_EXPERTS_GATE_UP || slot->part == MG_PART_EXPERTS_DOWN;
            bool is_single = slot->part == MG_PART_EXPERT_GATE || slot->part == MG_PART_EXPERT_UP ||
                             slot->part == MG_PART_EXPERT_DOWN;
            bool is_second_router =
                slot->part == MG_PART_ROUTER && mg_str_ends(slot->name, "mlp.gate.weight");
            if (is_fused && pass == 1) {
                give_fused(model, sink, slot);
            } else if (!is_fused && !is_second_router && !(is_single && pass == 1)) {
                tiny_give(sink, slot, 0.6f);
            }
        }
        assert_ok(sink->ops->finish(sink, &err), &err);
        run_tokens(model, stream, pass == 0 ? one_by_one : fused);
    }
    assert_memory_equal(one_by_one, fused, sizeof(fused));
    mg_sink *sink = mg_model_sink(model, stream); /* one expert is left out */
    for (int64_t i = 0; i < model->filler.slot_count; i++) {
        const mg_tensor_slot *slot = &model->filler.slots[i];
        if (slot->part != MG_PART_EXPERTS_GATE_UP && slot->part != MG_PART_EXPERTS_DOWN &&
            !mg_str_ends(slot->name, "mlp.gate.weight") &&
            !mg_str_is(slot->name, "model.layers.1.block_sparse_moe.experts.3.w3.weight")) {
            tiny_give(sink, slot, 0.6f);
        }
    }
    assert_status(sink->ops->finish(sink, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "model.layers.1.block_sparse_moe.experts.3.w3.weight"));
    device->stream_destroy(stream);
    mg_model_destroy(model);
}

static void suppressed_tokens_beyond_a_smaller_vocabulary_are_left_out(void **state)
{
    (void)state;
    static const int32_t suppressed[] = { 3, TINY_VOCAB, TINY_VOCAB - 1, 1000000 };
    mg_error err;
    mg_model *model = NULL;
    mg_model_config config = tiny_config();
    config.suppressed_ids = suppressed;
    config.suppressed_count = MG_ARRAY_COUNT(suppressed);
    assert_ok(mg_model_create(&config, mg_device_ref(), MG_F32, &model, &err), &err);
    mg_generation_rules rules = mg_model_generation_rules(model);
    assert_int_equal(rules.suppressed_count, 2);
    assert_int_equal(rules.suppressed[0], 3);
    assert_int_equal(rules.suppressed[1], TINY_VOCAB - 1);
    mg_model_destroy(model);
}

static void an_operation_that_the_device_lacks_is_named(void **state)
{
    (void)state;
    static const char *const names[] = { "linear", "route", "combine" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        mg_error err;
        mg_model *model = NULL;
        mg_model_config config = tiny_config();
        mg_device device = *mg_device_ref();
        mg_nn_ops ops = *device.nn;
        device.nn = &ops;
        ops.linear = i == 0 ? NULL : ops.linear;
        ops.route = i == 1 ? NULL : ops.route;
        ops.combine = i == 2 ? NULL : ops.combine;
        assert_status(mg_model_create(&config, &device, MG_F32, &model, &err), MG_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_tensor_is_named),
        cmocka_unit_test(value_that_is_not_finite_is_named),
        cmocka_unit_test(wrong_shape_and_type_are_refused),
        cmocka_unit_test(tensor_given_twice_is_refused),
        cmocka_unit_test(unknown_tensor_is_taken_and_ignored),
        cmocka_unit_test(refill_allocates_nothing),
        cmocka_unit_test(creation_survives_every_failing_allocation),
        cmocka_unit_test(absurd_configurations_are_refused),
        cmocka_unit_test(model_larger_than_memory_is_refused_with_both_numbers),
        cmocka_unit_test(limits_on_memory_are_kept),
        cmocka_unit_test(token_outside_the_vocabulary_is_an_error),
        cmocka_unit_test(multimodal_prefixes_are_taken_off),
        cmocka_unit_test(experts_may_be_stored_fused_or_one_by_one),
        cmocka_unit_test(suppressed_tokens_beyond_a_smaller_vocabulary_are_left_out),
        cmocka_unit_test(an_operation_that_the_device_lacks_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
