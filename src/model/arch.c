/* model/arch.c - finds a family and expands its table for one configuration. */
#include "model/arch_internal.h"

#include <stdio.h>
#include <string.h>

static const mg_arch *const arches[] = {
    &mg_arch_llama,    &mg_arch_mistral,  &mg_arch_qwen2,   &mg_arch_qwen3,
    &mg_arch_gemma,    &mg_arch_gemma2,   &mg_arch_gemma3,  &mg_arch_phi3,
    &mg_arch_gpt_neox, &mg_arch_stablelm, &mg_arch_mixtral,
};

static bool listed(mg_str text, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (mg_str_is(text, *names)) {
            return true;
        }
    }
    return false;
}

mg_status mg_arch_find(const mg_model_config *config, const mg_arch **arch_out, mg_error *err)
{
    *arch_out = NULL;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(arches); i++) {
        if (listed(config->architecture, arches[i]->names)) {
            *arch_out = arches[i];
            return MG_OK;
        }
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(arches); i++) {
        if (listed(config->model_type, arches[i]->model_types)) {
            *arch_out = arches[i];
            return MG_OK;
        }
    }
    return mg_fail(
        err, MG_ERR_UNSUPPORTED,
        "models of architecture '%.*s' (model_type '%.*s') cannot be run; known families: "
        "Llama, Mistral, Qwen2, Qwen3, Gemma 1 to 3, Phi-3, GPT-NeoX, StableLM, Mixtral",
        MG_STR_ARG(config->architecture), MG_STR_ARG(config->model_type));
}

static bool applies(mg_when when, const mg_model_config *config)
{
    switch (when) {
    case MG_WHEN_ALWAYS:
        return true;
    case MG_WHEN_UNTIED:
        return !config->tie_embeddings;
    case MG_WHEN_ATTENTION_BIAS:
        return config->attention_bias;
    case MG_WHEN_MLP_BIAS:
        return config->mlp_bias;
    case MG_WHEN_QK_NORM:
        return config->qk_norm;
    case MG_WHEN_SEQUENTIAL:
        return !config->parallel_residual;
    }
    return false;
}

bool mg_arch_has(const mg_arch *arch, const mg_model_config *config, mg_part part)
{
    for (int64_t i = 0; i < arch->tensor_count; i++) {
        if (arch->tensors[i].part == part && applies(arch->tensors[i].when, config)) {
            return true;
        }
    }
    return false;
}

static mg_shape part_shape(mg_part part, const mg_model_config *c)
{
    int64_t q = c->head_count * c->head_dim;
    int64_t kv = c->kv_head_count * c->head_dim;
    mg_shape shape = mg_shape_1d(c->hidden_size);
    switch (part) {
    case MG_PART_EMBEDDING:
    case MG_PART_HEAD:
        return mg_shape_2d(c->vocab_size, c->hidden_size);
    case MG_PART_Q:
        return mg_shape_2d(q, c->hidden_size);
    case MG_PART_K:
    case MG_PART_V:
        return mg_shape_2d(kv, c->hidden_size);
    case MG_PART_QKV:
        return mg_shape_2d(q + 2 * kv, c->hidden_size);
    case MG_PART_QKV_BY_HEAD:
        return mg_shape_2d(3 * q, c->hidden_size);
    case MG_PART_OUT:
        return mg_shape_2d(c->hidden_size, q);
    case MG_PART_GATE:
    case MG_PART_UP:
    case MG_PART_EXPERT_GATE:
    case MG_PART_EXPERT_UP:
        return mg_shape_2d(c->intermediate_size, c->hidden_size);
    case MG_PART_GATE_UP:
        return mg_shape_2d(2 * c->intermediate_size, c->hidden_size);
    case MG_PART_DOWN:
    case MG_PART_EXPERT_DOWN:
        return mg_shape_2d(c->hidden_size, c->intermediate_size);
    case MG_PART_ROUTER:
        return mg_shape_2d(c->expert_count, c->hidden_size);
    case MG_PART_EXPERTS_GATE_UP:
    case MG_PART_EXPERTS_DOWN:
        shape.rank = 3;
        shape.dims[0] = c->expert_count;
        shape.dims[1] = part == MG_PART_EXPERTS_DOWN ? c->hidden_size : 2 * c->intermediate_size;
        shape.dims[2] = part == MG_PART_EXPERTS_DOWN ? c->intermediate_size : c->hidden_size;
        return shape;
    case MG_PART_Q_NORM:
    case MG_PART_K_NORM:
    case MG_PART_Q_NORM_OF_HEAD:
    case MG_PART_K_NORM_OF_HEAD:
        return mg_shape_1d(c->head_dim);
    case MG_PART_Q_BIAS:
        return mg_shape_1d(q);
    case MG_PART_K_BIAS:
    case MG_PART_V_BIAS:
        return mg_shape_1d(kv);
    case MG_PART_QKV_BY_HEAD_BIAS:
        return mg_shape_1d(3 * q);
    case MG_PART_GATE_BIAS:
    case MG_PART_UP_BIAS:
        return mg_shape_1d(c->intermediate_size);
    case MG_PART_ATTENTION_NORM:
    case MG_PART_ATTENTION_NORM_BIAS:
    case MG_PART_AFTER_ATTENTION_NORM:
    case MG_PART_MLP_NORM:
    case MG_PART_MLP_NORM_BIAS:
    case MG_PART_AFTER_MLP_NORM:
    case MG_PART_FINAL_NORM:
    case MG_PART_FINAL_NORM_BIAS:
    case MG_PART_OUT_BIAS:
    case MG_PART_DOWN_BIAS:
        break;
    }
    return shape;
}

/* How many tensors the placeholder J of a row stands for. */
static int64_t index_count(mg_part part, const mg_model_config *config)
{
    switch (part) {
    case MG_PART_EXPERT_GATE:
    case MG_PART_EXPERT_UP:
    case MG_PART_EXPERT_DOWN:
        return config->expert_count;
    case MG_PART_Q_NORM_OF_HEAD:
        return config->head_count;
    case MG_PART_K_NORM_OF_HEAD:
        return config->kv_head_count;
    default:
        return 1;
    }
}

static bool has_layer(const char *name)
{
    return strstr(name, ".N.") != NULL;
}

/* The name of a row for one layer and index. */
static mg_str expand_name(const char *name, int64_t layer, int64_t index, mg_arena *arena)
{
    const char *n = strstr(name, ".N.");
    if (n == NULL) {
        return mg_arena_copy(arena, mg_str_of(name));
    }
    const char *rest = n + 3;
    const char *j = strstr(rest, ".J.");
    int head_bytes = (int)(n - name);
    if (j == NULL) {
        return mg_arena_printf(arena, "%.*s.%lld.%s", head_bytes, name, (long long)layer, rest);
    }
    return mg_arena_printf(arena, "%.*s.%lld.%.*s.%lld.%s", head_bytes, name, (long long)layer,
                           (int)(j - rest), rest, (long long)index, j + 3);
}

void mg_arch_expand(const mg_arch *arch, const mg_model_config *config, mg_arena *arena,
                    mg_tensor_slot **slots_out, int64_t *count_out)
{
    int64_t count = 0;
    for (int64_t i = 0; i < arch->tensor_count; i++) {
        const mg_arch_tensor *row = &arch->tensors[i];
        if (applies(row->when, config)) {
            count +=
                (has_layer(row->name) ? config->layer_count : 1) * index_count(row->part, config);
        }
    }
    mg_tensor_slot *slots = mg_arena_array(arena, mg_tensor_slot, count);
    int64_t used = 0;
    for (int64_t i = 0; i < arch->tensor_count; i++) {
        const mg_arch_tensor *row = &arch->tensors[i];
        if (!applies(row->when, config)) {
            continue;
        }
        bool layered = has_layer(row->name);
        int64_t indexes = index_count(row->part, config);
        for (int64_t layer = 0; layer < (layered ? config->layer_count : 1); layer++) {
            for (int64_t index = 0; index < indexes; index++) {
                mg_tensor_slot *slot = &slots[used++];
                slot->name = expand_name(row->name, layer, index, arena);
                slot->part = row->part;
                slot->layer = layered ? layer : -1;
                slot->index = index;
                slot->shape = part_shape(row->part, config);
            }
        }
    }
    *slots_out = slots;
    *count_out = count;
}
