/* model/arch_qwen3.c - Qwen 3: Llama with a norm on each query and key head. */
#include "model/arch_internal.h"

static const char *const names[] = { "Qwen3ForCausalLM", NULL };
static const char *const model_types[] = { "qwen3", NULL };

static const mg_arch_tensor tensors[] = {
    MG_TENSORS_OUTSIDE_LAYERS, MG_TENSORS_TWO_NORMS, MG_TENSORS_ATTENTION,
    MG_TENSORS_ATTENTION_BIAS, MG_TENSORS_QK_NORM,   MG_TENSORS_GATED_MLP,
};

const mg_arch mg_arch_qwen3 = {
    .family = "Qwen3",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_RMS,
};
