/* model/arch_llama.c - Llama 2 and 3, and their many derivatives. */
#include "model/arch_internal.h"

static const char *const names[] = { "LlamaForCausalLM", "LLaMaForCausalLM", "LLaMAForCausalLM",
                                     NULL };
static const char *const model_types[] = { "llama", NULL };

static const mg_arch_tensor tensors[] = {
    MG_TENSORS_OUTSIDE_LAYERS,
    MG_TENSORS_TWO_NORMS,
    MG_TENSORS_ATTENTION,
    MG_TENSORS_ATTENTION_BIAS,
    MG_TENSORS_GATED_MLP,
    { "model.layers.N.mlp.gate_proj.bias", MG_PART_GATE_BIAS, MG_WHEN_MLP_BIAS },
    { "model.layers.N.mlp.up_proj.bias", MG_PART_UP_BIAS, MG_WHEN_MLP_BIAS },
    { "model.layers.N.mlp.down_proj.bias", MG_PART_DOWN_BIAS, MG_WHEN_MLP_BIAS },
};

const mg_arch mg_arch_llama = {
    .family = "Llama",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_RMS,
};
