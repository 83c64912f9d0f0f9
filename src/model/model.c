/* model/model.c - makes an empty model from a configuration, and ends it. */
#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/model_internal.h"

/* Far above any model known; below, products of two sizes fit int64_t with room. */
#define MG_LAYERS_MAX 1024
#define MG_SIZE_MAX (INT64_C(1) << 28)

static mg_status check_size(int64_t value, int64_t max, const char *what, mg_error *err)
{
    if (value < 1 || value > max) {
        return mg_fail(err, MG_ERR_FORMAT, "config.json: %s is %lld, must be 1 to %lld", what,
                       (long long)value, (long long)max);
    }
    return MG_OK;
}

static mg_status check_config(const mg_model_config *config, mg_error *err)
{
    MG_TRY(check_size(config->vocab_size, MG_SIZE_MAX, "vocab_size", err));
    MG_TRY(check_size(config->hidden_size, MG_SIZE_MAX, "hidden_size", err));
    MG_TRY(check_size(config->intermediate_size, MG_SIZE_MAX, "intermediate_size", err));
    MG_TRY(check_size(config->layer_count, MG_LAYERS_MAX, "num_hidden_layers", err));
    MG_TRY(check_size(config->head_count, 65536, "num_attention_heads", err));
    MG_TRY(check_size(config->kv_head_count, config->head_count, "num_key_value_heads", err));
    MG_TRY(check_size(config->head_dim, 65536, "head_dim", err));
    MG_TRY(check_size(config->max_positions, MG_SIZE_MAX, "max_position_embeddings", err));
    MG_TRY(check_size(config->head_count * config->head_dim, MG_SIZE_MAX,
                      "num_attention_heads * head_dim", err));
    if (config->head_count % config->kv_head_count != 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "config.json: num_attention_heads is %lld, not a multiple of "
                       "num_key_value_heads %lld",
                       (long long)config->head_count, (long long)config->kv_head_count);
    }
    if (!(config->norm_epsilon >= 0.0) || isinf(config->norm_epsilon)) {
        return mg_fail(err, MG_ERR_FORMAT, "config.json: the epsilon of the norms is not a number");
    }
    return MG_OK;
}

static mg_status check_family(const mg_arch *arch, const mg_model_config *config, mg_error *err)
{
    if (mg_arch_has(arch, config, MG_PART_QKV_BY_HEAD) &&
        config->kv_head_count != config->head_count) {
        return mg_fail(err, MG_ERR_FORMAT, "config.json: %s has as many key heads as query heads",
                       arch->family);
    }
    if (mg_arch_has(arch, config, MG_PART_ROUTER)) {
        MG_TRY(check_size(config->expert_count, MG_EXPERTS_MAX, "num_local_experts", err));
        MG_TRY(check_size(config->experts_per_token, config->expert_count, "num_experts_per_tok",
                          err));
    }
    return MG_OK;
}

/* A missing operation is named here, not found out in the middle of a pass. */
static mg_status check_device(const mg_device *device, mg_error *err)
{
    const mg_nn_ops *ops = device->nn;
    if (ops == NULL) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "device %s cannot run models", device->name);
    }
#define MG_REQUIRE(operation)                                                                      \
    if (ops->operation == NULL) {                                                                  \
        return mg_fail(err, MG_ERR_UNSUPPORTED, "device %s lacks the operation '%s'",              \
                       device->name, #operation);                                                  \
    }
    MG_REQUIRE(packed_bytes)
    MG_REQUIRE(kv_bytes)
    MG_REQUIRE(pack)
    MG_REQUIRE(linear)
    MG_REQUIRE(embed)
    MG_REQUIRE(gather)
    MG_REQUIRE(rmsnorm)
    MG_REQUIRE(layernorm)
    MG_REQUIRE(rope)
    MG_REQUIRE(kv_store)
    MG_REQUIRE(kv_copy)
    MG_REQUIRE(attention)
    MG_REQUIRE(gate)
    MG_REQUIRE(add)
    MG_REQUIRE(softcap)
    MG_REQUIRE(argmax)
    MG_REQUIRE(logprob)
    MG_REQUIRE(nonfinite)
    MG_REQUIRE(route)
    MG_REQUIRE(combine)
#undef MG_REQUIRE
    return MG_OK;
}

/* Keeps the numbers of config and what the passes need of its lists. */
static void copy_config(mg_model *model, const mg_model_config *config)
{
    model->config = *config;
    mg_model_config *copy = &model->config;
    memset(&copy->arena, 0, sizeof(copy->arena));
    memset(&copy->root, 0, sizeof(copy->root));
    memset(&copy->generation, 0, sizeof(copy->generation));
    copy->text = NULL;
    copy->architecture = mg_arena_copy(&model->arena, config->architecture);
    copy->model_type = mg_arena_copy(&model->arena, config->model_type);
    copy->parallel_residual = config->parallel_residual && model->arch->may_be_parallel;
    int32_t *suppressed = mg_arena_array(&model->arena, int32_t, config->suppressed_count);
    copy->suppressed_ids = suppressed;
    copy->suppressed_count = 0;
    for (int64_t i = 0; i < config->suppressed_count; i++) {
        /* A merged vocabulary may be smaller than that of the folder which names the ids. */
        if (config->suppressed_ids[i] < config->vocab_size) {
            suppressed[copy->suppressed_count++] = config->suppressed_ids[i];
        }
    }
    copy->layer_is_sliding = mg_arena_array(&model->arena, bool, config->layer_count);
    for (int64_t i = 0; i < config->layer_count && config->layer_is_sliding != NULL; i++) {
        copy->layer_is_sliding[i] = config->layer_is_sliding[i];
    }
}

static mg_status make_rope(mg_model *model, const mg_model_config *config, mg_error *err)
{
    double share = config->partial_rotary;
    if (!(share > 0.0 && share <= 1.0)) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "config.json: the rotary share of a head must be above 0, at most 1");
    }
    model->rotary_dim = (int64_t)floor((double)config->head_dim * share);
    MG_TRY(mg_rope_plan_make(&config->rope, model->rotary_dim, config->max_positions, &model->arena,
                             &model->rope, err));
    if (model->arch->local_rope) {
        MG_TRY(mg_rope_plan_make(&config->rope_local, model->rotary_dim, config->max_positions,
                                 &model->arena, &model->rope_local, err));
        if (model->rope_local.switch_length > 0) {
            return mg_fail(err, MG_ERR_UNSUPPORTED,
                           "config.json: sliding layers cannot have a rope scaling that depends "
                           "on the length");
        }
    }
    memset(&model->config.rope, 0, sizeof(model->config.rope));
    memset(&model->config.rope_local, 0, sizeof(model->config.rope_local));
    return MG_OK;
}

static void set_numbers(mg_model *model)
{
    const mg_model_config *config = &model->config;
    switch (config->activation) {
    case MG_ACT_SILU:
        model->activation = MG_NN_SILU;
        break;
    case MG_ACT_GELU:
        model->activation = MG_NN_GELU;
        break;
    case MG_ACT_GELU_TANH:
        model->activation = MG_NN_GELU_TANH;
        break;
    }
    if (model->arch->gelu_tanh_only) {
        model->activation = MG_NN_GELU_TANH;
    }
    model->embedding_scale = 1.0f;
    if (model->arch->embedding_scaled) {
        float scale = (float)sqrt((double)config->hidden_size);
        model->embedding_scale =
            model->dtype == MG_BF16 ? mg_bf16_to_f32(mg_bf16_from_f32(scale)) : scale;
    }
    double width = config->query_pre_attn_scalar > 0.0 ? config->query_pre_attn_scalar
                                                       : (double)config->head_dim;
    model->attention_scale = (float)(1.0 / sqrt(width));
}

mg_status mg_model_create(const mg_model_config *config, const mg_device *device, mg_dtype dtype,
                          mg_model **model_out, mg_error *err)
{
    *model_out = NULL;
    mg_status status = MG_OK;
    mg_model *model = mg_new(mg_model);

    MG_TRY_OR_DONE(mg_arch_find(config, &model->arch, err));
    MG_TRY_OR_DONE(check_config(config, err));
    MG_TRY_OR_DONE(check_family(model->arch, config, err));
    MG_TRY_OR_DONE(check_device(device, err));
    model->device = device;
    model->ops = device->nn;
    model->dtype = dtype;
    copy_config(model, config);
    MG_TRY_OR_DONE(make_rope(model, config, err));
    set_numbers(model);
    MG_TRY_OR_DONE(mg_model_allocate(model, err));
    MG_TRY_OR_DONE(mg_filler_init(model, err));
    *model_out = model;
    model = NULL; /* handed over */

done:
    mg_model_destroy(model);
    return status;
}

void mg_model_destroy(mg_model *model)
{
    if (model != NULL) {
        if (!model->borrows) {
            mg_filler_release(&model->filler);
            mg_model_release_weights(model);
        }
        mg_arena_release(&model->arena);
        mg_free(model);
    }
}

int64_t mg_model_vocab(const mg_model *model)
{
    return model->config.vocab_size;
}

int64_t mg_model_max_positions(const mg_model *model)
{
    return model->config.max_positions;
}

size_t mg_model_bytes(const mg_model *model)
{
    return model->bytes;
}

const mg_device *mg_model_device(const mg_model *model)
{
    return model->device;
}

mg_dtype mg_model_dtype(const mg_model *model)
{
    return model->dtype;
}

const int32_t *mg_model_eos(const mg_model *model, int64_t *count_out)
{
    *count_out = model->config.eos_count;
    return model->config.eos_ids;
}

mg_generation_rules mg_model_generation_rules(const mg_model *model)
{
    const mg_model_config *c = &model->config;
    mg_generation_rules rules = { c->repetition_penalty > 0.0 ? c->repetition_penalty : 1.0,
                                  c->no_repeat_ngram, c->suppressed_ids, c->suppressed_count };
    return rules;
}

bool mg_model_rope_depends_on_length(const mg_model *model)
{
    return model->rope.switch_length > 0;
}

int64_t mg_model_restart_length(const mg_model *model)
{
    return model->arch->rope_switch_restarts ? model->rope.switch_length : 0;
}
