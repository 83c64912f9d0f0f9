/* model/arch_gpt_neox.c - GPT-NeoX: layer norms, q, k, v grouped by head, a plain MLP. */
#include "model/arch_internal.h"

static const char *const names[] = { "GPTNeoXForCausalLM", NULL };
static const char *const model_types[] = { "gpt_neox", NULL };

static const mg_arch_tensor tensors[] = {
    { "gpt_neox.embed_in.weight", MG_PART_EMBEDDING, MG_WHEN_ALWAYS },
    { "gpt_neox.final_layer_norm.weight", MG_PART_FINAL_NORM, MG_WHEN_ALWAYS },
    { "gpt_neox.final_layer_norm.bias", MG_PART_FINAL_NORM_BIAS, MG_WHEN_ALWAYS },
    { "embed_out.weight", MG_PART_HEAD, MG_WHEN_UNTIED },
    { "gpt_neox.layers.N.input_layernorm.weight", MG_PART_ATTENTION_NORM, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.input_layernorm.bias", MG_PART_ATTENTION_NORM_BIAS, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.post_attention_layernorm.weight", MG_PART_MLP_NORM, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.post_attention_layernorm.bias", MG_PART_MLP_NORM_BIAS, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.attention.query_key_value.weight", MG_PART_QKV_BY_HEAD, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.attention.query_key_value.bias", MG_PART_QKV_BY_HEAD_BIAS,
      MG_WHEN_ATTENTION_BIAS },
    { "gpt_neox.layers.N.attention.dense.weight", MG_PART_OUT, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.attention.dense.bias", MG_PART_OUT_BIAS, MG_WHEN_ATTENTION_BIAS },
    { "gpt_neox.layers.N.mlp.dense_h_to_4h.weight", MG_PART_UP, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.mlp.dense_h_to_4h.bias", MG_PART_UP_BIAS, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.mlp.dense_4h_to_h.weight", MG_PART_DOWN, MG_WHEN_ALWAYS },
    { "gpt_neox.layers.N.mlp.dense_4h_to_h.bias", MG_PART_DOWN_BIAS, MG_WHEN_ALWAYS },
};

const mg_arch mg_arch_gpt_neox = {
    .family = "GPT-NeoX",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_LAYER,
    .may_be_parallel = true,
};
