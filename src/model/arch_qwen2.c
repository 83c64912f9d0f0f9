/* model/arch_qwen2.c - Qwen 2 and 2.5: Llama with biases on q, k and v. */
#include "model/arch_internal.h"

static const char *const names[] = { "Qwen2ForCausalLM", NULL };
static const char *const model_types[] = { "qwen2", NULL };

static const mg_arch_tensor tensors[] = {
    MG_TENSORS_OUTSIDE_LAYERS,           MG_TENSORS_TWO_NORMS, MG_TENSORS_ATTENTION,
    MG_TENSORS_QKV_BIAS(MG_WHEN_ALWAYS), MG_TENSORS_GATED_MLP,
};

const mg_arch mg_arch_qwen2 = {
    .family = "Qwen2",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_RMS,
};
