/* model/arch_phi3.c - Phi-3 and Phi-4-mini: Llama with fused matrices, and longrope. */
#include "model/arch_internal.h"

static const char *const names[] = { "Phi3ForCausalLM", NULL };
static const char *const model_types[] = { "phi3", NULL };

static const mg_arch_tensor tensors[] = {
    MG_TENSORS_OUTSIDE_LAYERS,
    MG_TENSORS_TWO_NORMS,
    { "model.layers.N.self_attn.qkv_proj.weight", MG_PART_QKV, MG_WHEN_ALWAYS },
    { "model.layers.N.self_attn.o_proj.weight", MG_PART_OUT, MG_WHEN_ALWAYS },
    { "model.layers.N.mlp.gate_up_proj.weight", MG_PART_GATE_UP, MG_WHEN_ALWAYS },
    { "model.layers.N.mlp.down_proj.weight", MG_PART_DOWN, MG_WHEN_ALWAYS },
};

const mg_arch mg_arch_phi3 = {
    .family = "Phi-3",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_RMS,
    .rope_switch_restarts = true,
};
