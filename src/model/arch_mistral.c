/* model/arch_mistral.c - Mistral: Llama without biases, with a sliding window where the file has
 * one. */
#include "model/arch_internal.h"

static const char *const names[] = { "MistralForCausalLM", NULL };
static const char *const model_types[] = { "mistral", NULL };

static const mg_arch_tensor tensors[] = {
    MG_TENSORS_OUTSIDE_LAYERS,
    MG_TENSORS_TWO_NORMS,
    MG_TENSORS_ATTENTION,
    MG_TENSORS_GATED_MLP,
};

const mg_arch mg_arch_mistral = {
    .family = "Mistral",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_RMS,
};
