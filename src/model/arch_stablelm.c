/* model/arch_stablelm.c - StableLM: Llama's names with layer norms, in parallel where the file says
 * so.
 *
 * config's attention_bias holds this class's use_qkv_bias. */
#include "model/arch_internal.h"

static const char *const names[] = { "StableLmForCausalLM", "StableLMEpochForCausalLM", NULL };
static const char *const model_types[] = { "stablelm", "stablelm_epoch", NULL };

static const mg_arch_tensor tensors[] = {
    MG_TENSORS_OUTSIDE_LAYERS,
    { "model.norm.bias", MG_PART_FINAL_NORM_BIAS, MG_WHEN_ALWAYS },
    { "model.layers.N.input_layernorm.weight", MG_PART_ATTENTION_NORM, MG_WHEN_ALWAYS },
    { "model.layers.N.input_layernorm.bias", MG_PART_ATTENTION_NORM_BIAS, MG_WHEN_ALWAYS },
    { "model.layers.N.post_attention_layernorm.weight", MG_PART_MLP_NORM, MG_WHEN_SEQUENTIAL },
    { "model.layers.N.post_attention_layernorm.bias", MG_PART_MLP_NORM_BIAS, MG_WHEN_SEQUENTIAL },
    MG_TENSORS_ATTENTION,
    MG_TENSORS_QKV_BIAS(MG_WHEN_ATTENTION_BIAS),
    { "model.layers.N.self_attn.q_layernorm.norms.J.weight", MG_PART_Q_NORM_OF_HEAD,
      MG_WHEN_QK_NORM },
    { "model.layers.N.self_attn.k_layernorm.norms.J.weight", MG_PART_K_NORM_OF_HEAD,
      MG_WHEN_QK_NORM },
    MG_TENSORS_GATED_MLP,
};

const mg_arch mg_arch_stablelm = {
    .family = "StableLM",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_LAYER,
    .may_be_parallel = true,
};
