/* model/arch_gemma.c - Gemma 1, 2 and the text part of 3.
 *
 * All scale the embeddings by sqrt(H) and multiply norms by 1 + w; 2 and 3 also norm what attention
 * and MLP give; 3 norms query and key heads, and rotates its sliding layers by frequencies of their
 * own.  Soft caps and windows are in the configuration. */
#include "model/arch_internal.h"

static const char *const names_1[] = { "GemmaForCausalLM", NULL };
static const char *const model_types_1[] = { "gemma", NULL };
static const char *const names_2[] = { "Gemma2ForCausalLM", NULL };
static const char *const model_types_2[] = { "gemma2", NULL };
static const char *const names_3[] = { "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration",
                                       NULL };
static const char *const model_types_3[] = { "gemma3_text", "gemma3", NULL };

static const mg_arch_tensor tensors_1[] = {
    MG_TENSORS_OUTSIDE_LAYERS, MG_TENSORS_TWO_NORMS, MG_TENSORS_ATTENTION,
    MG_TENSORS_ATTENTION_BIAS, MG_TENSORS_GATED_MLP,
};

static const mg_arch_tensor tensors_2[] = {
    MG_TENSORS_OUTSIDE_LAYERS, MG_TENSORS_FOUR_NORMS, MG_TENSORS_ATTENTION,
    MG_TENSORS_ATTENTION_BIAS, MG_TENSORS_GATED_MLP,
};

static const mg_arch_tensor tensors_3[] = {
    MG_TENSORS_OUTSIDE_LAYERS, MG_TENSORS_FOUR_NORMS, MG_TENSORS_ATTENTION,
    MG_TENSORS_ATTENTION_BIAS, MG_TENSORS_QK_NORM,    MG_TENSORS_GATED_MLP,
};

const mg_arch mg_arch_gemma = {
    .family = "Gemma",
    .names = names_1,
    .model_types = model_types_1,
    .tensors = tensors_1,
    .tensor_count = MG_ARRAY_COUNT(tensors_1),
    .norm = MG_NORM_RMS,
    .norm_offset = 1.0f,
    .embedding_scaled = true,
    .gelu_tanh_only = true,
};

const mg_arch mg_arch_gemma2 = {
    .family = "Gemma 2",
    .names = names_2,
    .model_types = model_types_2,
    .tensors = tensors_2,
    .tensor_count = MG_ARRAY_COUNT(tensors_2),
    .norm = MG_NORM_RMS,
    .norm_offset = 1.0f,
    .embedding_scaled = true,
    .gelu_tanh_only = true,
};

const mg_arch mg_arch_gemma3 = {
    .family = "Gemma 3",
    .names = names_3,
    .model_types = model_types_3,
    .tensors = tensors_3,
    .tensor_count = MG_ARRAY_COUNT(tensors_3),
    .prefix = "language_model.",
    .norm = MG_NORM_RMS,
    .norm_offset = 1.0f,
    .embedding_scaled = true,
    .gelu_tanh_only = true,
    .local_rope = true,
};
