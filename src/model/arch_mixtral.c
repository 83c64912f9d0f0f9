/* model/arch_mixtral.c - Mixtral: Mistral's attention, a router and experts in place of the MLP.
 *
 * The experts are stored one by one, or fused by newer releases. */
#include "model/arch_internal.h"

static const char *const names[] = { "MixtralForCausalLM", NULL };
static const char *const model_types[] = { "mixtral", NULL };

static const mg_arch_tensor tensors[] = {
    MG_TENSORS_OUTSIDE_LAYERS,
    MG_TENSORS_TWO_NORMS,
    MG_TENSORS_ATTENTION,
    { "model.layers.N.block_sparse_moe.gate.weight", MG_PART_ROUTER, MG_WHEN_ALWAYS },
    { "model.layers.N.block_sparse_moe.experts.J.w1.weight", MG_PART_EXPERT_GATE, MG_WHEN_ALWAYS },
    { "model.layers.N.block_sparse_moe.experts.J.w3.weight", MG_PART_EXPERT_UP, MG_WHEN_ALWAYS },
    { "model.layers.N.block_sparse_moe.experts.J.w2.weight", MG_PART_EXPERT_DOWN, MG_WHEN_ALWAYS },
    { "model.layers.N.mlp.gate.weight", MG_PART_ROUTER, MG_WHEN_ALWAYS },
    { "model.layers.N.mlp.experts.gate_up_proj", MG_PART_EXPERTS_GATE_UP, MG_WHEN_ALWAYS },
    { "model.layers.N.mlp.experts.down_proj", MG_PART_EXPERTS_DOWN, MG_WHEN_ALWAYS },
};

const mg_arch mg_arch_mixtral = {
    .family = "Mixtral",
    .names = names,
    .model_types = model_types,
    .tensors = tensors,
    .tensor_count = MG_ARRAY_COUNT(tensors),
    .norm = MG_NORM_RMS,
};
