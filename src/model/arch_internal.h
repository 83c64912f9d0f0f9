/* model/arch_internal.h - what a model family is: a table of its tensors and a few switches.
 *
 * There is one forward pass (forward.c).  A family says which tensors of a checkpoint make up which
 * part of a layer; the pass does a step when its part is there.  What is left, such as Gemma's
 * 1 + w, are the switches of mg_arch.  A new family is a new file with a table. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "compute/ops_nn.h"
#include "hub/config.h"
#include "tensor/view.h"

MG_BEGIN_C

/* Parts of a model.  H hidden size, A heads, K key/value heads, D head dimension, I intermediate
 * size, V vocabulary, X experts. */
typedef enum mg_part {
    /* matrices */
    MG_PART_EMBEDDING,       /* (V, H) */
    MG_PART_HEAD,            /* (V, H) */
    MG_PART_Q,               /* (A*D, H) */
    MG_PART_K,               /* (K*D, H) */
    MG_PART_V,               /* (K*D, H) */
    MG_PART_QKV,             /* (A*D + 2*K*D, H): q, k, v */
    MG_PART_QKV_BY_HEAD,     /* (3*A*D, H): q, k, v of head 0, then of head 1, ... */
    MG_PART_OUT,             /* (H, A*D) */
    MG_PART_GATE,            /* (I, H) */
    MG_PART_UP,              /* (I, H) */
    MG_PART_GATE_UP,         /* (2*I, H): gate, up */
    MG_PART_DOWN,            /* (H, I) */
    MG_PART_ROUTER,          /* (X, H) */
    MG_PART_EXPERT_GATE,     /* (I, H) of expert J */
    MG_PART_EXPERT_UP,       /* (I, H) of expert J */
    MG_PART_EXPERT_DOWN,     /* (H, I) of expert J */
    MG_PART_EXPERTS_GATE_UP, /* (X, 2*I, H) */
    MG_PART_EXPERTS_DOWN,    /* (X, H, I) */
    /* vectors */
    MG_PART_ATTENTION_NORM,       /* (H): before attention */
    MG_PART_ATTENTION_NORM_BIAS,  /* (H) */
    MG_PART_AFTER_ATTENTION_NORM, /* (H): on attention's output, before it is added */
    MG_PART_MLP_NORM,             /* (H): before the MLP; where absent it sees attention's input */
    MG_PART_MLP_NORM_BIAS,        /* (H) */
    MG_PART_AFTER_MLP_NORM,       /* (H) */
    MG_PART_FINAL_NORM,           /* (H) */
    MG_PART_FINAL_NORM_BIAS,      /* (H) */
    MG_PART_Q_NORM,               /* (D): on each query head */
    MG_PART_K_NORM,               /* (D) */
    MG_PART_Q_NORM_OF_HEAD,       /* (D): on query head J */
    MG_PART_K_NORM_OF_HEAD,       /* (D): on key head J */
    MG_PART_Q_BIAS,               /* (A*D) */
    MG_PART_K_BIAS,               /* (K*D) */
    MG_PART_V_BIAS,               /* (K*D) */
    MG_PART_QKV_BY_HEAD_BIAS,     /* (3*A*D) */
    MG_PART_OUT_BIAS,             /* (H) */
    MG_PART_GATE_BIAS,            /* (I) */
    MG_PART_UP_BIAS,              /* (I) */
    MG_PART_DOWN_BIAS             /* (H) */
} mg_part;

/* When a row of a table applies. */
typedef enum mg_when {
    MG_WHEN_ALWAYS,
    MG_WHEN_UNTIED,         /* the head has weights of its own */
    MG_WHEN_ATTENTION_BIAS, /* config: attention_bias */
    MG_WHEN_MLP_BIAS,       /* config: mlp_bias */
    MG_WHEN_QK_NORM,        /* config: qk_layernorm */
    MG_WHEN_SEQUENTIAL      /* config: not use_parallel_residual */
} mg_when;

/* One tensor, or one for each layer (N in the name), head or expert (J in the name).  Rows of the
 * same part are other spellings of it: either may be stored. */
typedef struct mg_arch_tensor {
    const char *name; /* N and J stand alone between dots */
    mg_part part;
    mg_when when;
} mg_arch_tensor;

typedef enum mg_norm_kind { MG_NORM_RMS, MG_NORM_LAYER } mg_norm_kind;

typedef struct mg_arch {
    const char *family;
    const char *const *names; /* of `architectures`, NULL at the end */
    const char *const *model_types;
    const mg_arch_tensor *tensors;
    int64_t tensor_count;
    const char *prefix; /* in front of every name in multimodal files; NULL = none */
    mg_norm_kind norm;
    float norm_offset;         /* added to norm weights: 1 for Gemma */
    bool may_be_parallel;      /* config's use_parallel_residual counts */
    bool embedding_scaled;     /* embeddings times sqrt(H) */
    bool gelu_tanh_only;       /* whatever the file says */
    bool local_rope;           /* sliding layers rotate by config's rope_local */
    bool rope_switch_restarts; /* crossing into long factors recomputes all keys (models.md 10a) */
} mg_arch;

/* The tables of the families. */
extern const mg_arch mg_arch_llama;
extern const mg_arch mg_arch_mistral;
extern const mg_arch mg_arch_qwen2;
extern const mg_arch mg_arch_qwen3;
extern const mg_arch mg_arch_gemma;
extern const mg_arch mg_arch_gemma2;
extern const mg_arch mg_arch_gemma3;
extern const mg_arch mg_arch_phi3;
extern const mg_arch mg_arch_gpt_neox;
extern const mg_arch mg_arch_stablelm;
extern const mg_arch mg_arch_mixtral;

/* The family of config: architectures[0] if known, else model_type.  MG_ERR_UNSUPPORTED. */
MG_MUST_CHECK mg_status mg_arch_find(const mg_model_config *config, const mg_arch **arch_out,
                                     mg_error *err);

/* A tensor that a model of this shape has, expanded from a table row. */
typedef struct mg_tensor_slot {
    mg_str name;
    mg_part part;
    int64_t layer; /* -1 outside the layers */
    int64_t index; /* head or expert; 0 elsewhere */
    mg_shape shape;
    bool filled;
} mg_tensor_slot;

/* All tensors of a model with this config, in table order; names and array live in arena. */
void mg_arch_expand(const mg_arch *arch, const mg_model_config *config, mg_arena *arena,
                    mg_tensor_slot **slots_out, int64_t *count_out);
/* Whether a model of this config has the part. */
bool mg_arch_has(const mg_arch *arch, const mg_model_config *config, mg_part part);

/* Rows shared by the families that follow Llama's names. */
#define MG_TENSORS_OUTSIDE_LAYERS                                                                  \
    { "model.embed_tokens.weight", MG_PART_EMBEDDING, MG_WHEN_ALWAYS },                            \
        { "model.norm.weight", MG_PART_FINAL_NORM, MG_WHEN_ALWAYS },                               \
    {                                                                                              \
        "lm_head.weight", MG_PART_HEAD, MG_WHEN_UNTIED                                             \
    }
#define MG_TENSORS_ATTENTION                                                                       \
    { "model.layers.N.self_attn.q_proj.weight", MG_PART_Q, MG_WHEN_ALWAYS },                       \
        { "model.layers.N.self_attn.k_proj.weight", MG_PART_K, MG_WHEN_ALWAYS },                   \
        { "model.layers.N.self_attn.v_proj.weight", MG_PART_V, MG_WHEN_ALWAYS },                   \
    {                                                                                              \
        "model.layers.N.self_attn.o_proj.weight", MG_PART_OUT, MG_WHEN_ALWAYS                      \
    }
#define MG_TENSORS_QKV_BIAS(when)                                                                  \
    { "model.layers.N.self_attn.q_proj.bias", MG_PART_Q_BIAS, when },                              \
        { "model.layers.N.self_attn.k_proj.bias", MG_PART_K_BIAS, when },                          \
    {                                                                                              \
        "model.layers.N.self_attn.v_proj.bias", MG_PART_V_BIAS, when                               \
    }
#define MG_TENSORS_ATTENTION_BIAS                                                                  \
    MG_TENSORS_QKV_BIAS(MG_WHEN_ATTENTION_BIAS),                                                   \
    {                                                                                              \
        "model.layers.N.self_attn.o_proj.bias", MG_PART_OUT_BIAS, MG_WHEN_ATTENTION_BIAS           \
    }
#define MG_TENSORS_GATED_MLP                                                                       \
    { "model.layers.N.mlp.gate_proj.weight", MG_PART_GATE, MG_WHEN_ALWAYS },                       \
        { "model.layers.N.mlp.up_proj.weight", MG_PART_UP, MG_WHEN_ALWAYS },                       \
    {                                                                                              \
        "model.layers.N.mlp.down_proj.weight", MG_PART_DOWN, MG_WHEN_ALWAYS                        \
    }
#define MG_TENSORS_TWO_NORMS                                                                       \
    { "model.layers.N.input_layernorm.weight", MG_PART_ATTENTION_NORM, MG_WHEN_ALWAYS },           \
    {                                                                                              \
        "model.layers.N.post_attention_layernorm.weight", MG_PART_MLP_NORM, MG_WHEN_ALWAYS         \
    }
#define MG_TENSORS_FOUR_NORMS                                                                      \
    { "model.layers.N.input_layernorm.weight", MG_PART_ATTENTION_NORM, MG_WHEN_ALWAYS },           \
        { "model.layers.N.post_attention_layernorm.weight", MG_PART_AFTER_ATTENTION_NORM,          \
          MG_WHEN_ALWAYS },                                                                        \
        { "model.layers.N.pre_feedforward_layernorm.weight", MG_PART_MLP_NORM, MG_WHEN_ALWAYS },   \
    {                                                                                              \
        "model.layers.N.post_feedforward_layernorm.weight", MG_PART_AFTER_MLP_NORM, MG_WHEN_ALWAYS \
    }
#define MG_TENSORS_QK_NORM                                                                         \
    { "model.layers.N.self_attn.q_norm.weight", MG_PART_Q_NORM, MG_WHEN_ALWAYS },                  \
    {                                                                                              \
        "model.layers.N.self_attn.k_norm.weight", MG_PART_K_NORM, MG_WHEN_ALWAYS                   \
    }

MG_END_C
