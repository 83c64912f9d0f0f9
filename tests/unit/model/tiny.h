/* tests/unit/model/tiny.h - a model of a few numbers, made by hand, for tests of model and infer.
 */
#pragma once

#include "support.h"

#include "base/memory.h"
#include "hub/config.h"
#include "model/model.h"
#include "model/model_internal.h"

#define TINY_VOCAB 40
#define TINY_POSITIONS 48

/* A Llama of two layers. */
static inline mg_model_config tiny_config(void)
{
    mg_model_config config;
    memset(&config, 0, sizeof(config));
    config.architecture = mg_str_of("LlamaForCausalLM");
    config.vocab_size = TINY_VOCAB;
    config.hidden_size = 16;
    config.intermediate_size = 24;
    config.layer_count = 2;
    config.head_count = 4;
    config.kv_head_count = 2;
    config.head_dim = 4;
    config.max_positions = TINY_POSITIONS;
    config.norm_epsilon = 1e-5;
    config.rope.theta = 10000.0;
    config.partial_rotary = 1.0;
    config.repetition_penalty = 1.0;
    return config;
}

/* Numbers of a tensor by a formula: of its place only, not of its spelling. */
static inline void tiny_values(const mg_tensor_slot *slot, float scale, float *values)
{
    uint32_t x = 12345u + (uint32_t)slot->part * 131071u + (uint32_t)(slot->layer + 1) * 8191u +
                 (uint32_t)slot->index * 524287u;
    for (int64_t i = 0; i < mg_shape_count(&slot->shape); i++) {
        x = x * 1664525u + 1013904223u;
        float unit = (float)(x >> 8) / 8388608.0f - 1.0f;
        values[i] = slot->shape.rank == 1 ? 1.0f + 0.2f * unit : scale * unit;
    }
}

/* Reserves and commits one tensor of the model. */
static inline void tiny_give(mg_sink *sink, const mg_tensor_slot *slot, float scale)
{
    mg_error err;
    mg_view spec = { 0 };
    void *data = NULL;
    spec.name = slot->name;
    spec.dtype = MG_F32;
    spec.shape = slot->shape;
    spec.bytes = (size_t)mg_shape_count(&slot->shape) * sizeof(float);
    assert_ok(sink->ops->reserve(sink, &spec, &data, &err), &err);
    tiny_values(slot, scale, (float *)data);
    assert_ok(sink->ops->commit(sink, &err), &err);
}

static inline void tiny_fill(mg_model *model, mg_stream *stream)
{
    mg_error err;
    mg_sink *sink = mg_model_sink(model, stream);
    for (int64_t i = 0; i < model->filler.slot_count; i++) {
        tiny_give(sink, &model->filler.slots[i], 0.6f);
    }
    assert_ok(sink->ops->finish(sink, &err), &err);
}

static inline mg_model *tiny_model(const mg_device *device, mg_stream **stream_out)
{
    mg_error err;
    mg_model *model = NULL;
    mg_model_config config = tiny_config();
    assert_ok(mg_model_create(&config, device, MG_F32, &model, &err), &err);
    assert_ok(device->stream_create(device, NULL, stream_out, &err), &err);
    tiny_fill(model, *stream_out);
    return model;
}
