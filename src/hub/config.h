/* hub/config.h - config.json and generation_config.json as structs (models.md 2 and 6).
 *
 * Every number is checked; the JSON tree stays available for writing it back changed.
 * Thread-safety: immutable after reading. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "tensor/dtype.h"
#include "text/value.h"

MG_BEGIN_C

typedef enum mg_activation { MG_ACT_SILU, MG_ACT_GELU, MG_ACT_GELU_TANH } mg_activation;

/* The classes whose defaults are known; MG_FAMILY_UNKNOWN can be merged but not run. */
typedef enum mg_family {
    MG_FAMILY_UNKNOWN,
    MG_FAMILY_LLAMA,
    MG_FAMILY_MISTRAL,
    MG_FAMILY_QWEN2,
    MG_FAMILY_QWEN3,
    MG_FAMILY_GEMMA,
    MG_FAMILY_GEMMA2,
    MG_FAMILY_GEMMA3,
    MG_FAMILY_PHI3,
    MG_FAMILY_GPT_NEOX,
    MG_FAMILY_STABLELM,
    MG_FAMILY_MIXTRAL
} mg_family;

typedef enum mg_rope_kind {
    MG_ROPE_DEFAULT,
    MG_ROPE_LINEAR,
    MG_ROPE_DYNAMIC,
    MG_ROPE_LLAMA3,
    MG_ROPE_YARN,
    MG_ROPE_LONGROPE
} mg_rope_kind;

/* One set of rotary parameters (models.md 4); absent numbers are NaN, absent lists empty. */
typedef struct mg_rope {
    mg_rope_kind kind;
    double theta;
    double factor;
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn */
    double mscale, mscale_all_dim;            /* yarn */
    double attention_factor;                  /* yarn, longrope */
    bool truncate;                            /* yarn, default true */
    int64_t original_max_position;            /* 0 = absent */
    const double *short_factor, *long_factor; /* longrope, in the config's arena */
    int64_t factor_count;                     /* of each list */
} mg_rope;

typedef struct mg_model_config {
    mg_arena arena;       /* owns what follows */
    mg_value root;        /* config.json as read */
    const mg_value *text; /* root, or its text_config */
    mg_str architecture;  /* architectures[0], or empty */
    mg_str model_type;
    mg_family family;    /* by architecture, else by model_type */
    bool quantized;      /* has a quantization_config: not full weights */
    mg_value generation; /* generation_config.json as read; null = there is none */
    int64_t vocab_size;
    int64_t hidden_size;
    int64_t intermediate_size;
    int64_t layer_count;
    int64_t head_count;
    int64_t kv_head_count;
    int64_t head_dim;
    int64_t max_positions;
    mg_activation activation;
    double norm_epsilon;
    mg_rope rope;
    mg_rope rope_local;     /* Gemma 3 sliding layers; kind and theta as rope elsewhere */
    double partial_rotary;  /* share of head_dim that rotates, 1 = all */
    int64_t sliding_window; /* 0 = none */
    bool *layer_is_sliding; /* layer_count flags */
    bool tie_embeddings;
    bool attention_bias; /* StableLM: its use_qkv_bias; Qwen2 has biases on q, k, v without it */
    bool mlp_bias;
    double query_pre_attn_scalar;            /* 0 = absent: scale is 1/sqrt(head_dim) */
    double attention_softcap;                /* 0 = none */
    double final_softcap;                    /* 0 = none */
    bool parallel_residual;                  /* GPT-NeoX, StableLM */
    bool qk_norm;                            /* StableLM qk_layernorm */
    int64_t expert_count, experts_per_token; /* Mixtral; 0 = dense */
    mg_dtype dtype;                          /* torch_dtype / dtype; MG_DTYPE_COUNT = not stated */
    int32_t bos_id, pad_id;                  /* -1 = none */
    int32_t eos_ids[16];
    int64_t eos_count;
    /* from generation_config.json (models.md 6); eos there replaces the one above */
    double repetition_penalty;     /* 1 = off */
    int64_t no_repeat_ngram;       /* tokens that may not follow each other twice, 0 = off */
    const int32_t *suppressed_ids; /* never generated; in the arena */
    int64_t suppressed_count;
} mg_model_config;

/* Reads folder/config.json and, where present, generation_config.json.  Zero or end *config_out
 * with mg_model_config_release.  Absent keys take the defaults of their class.  Only when
 * require_shapes is true are missing or impossible values errors (merging needs less than running):
 * else they stay 0. MG_ERR_NOT_FOUND, MG_ERR_FORMAT, MG_ERR_UNSUPPORTED for a rope or an activation
 * that is unknown. */
MG_MUST_CHECK mg_status mg_model_config_read(const char *folder, bool require_shapes,
                                             mg_model_config *config_out, mg_error *err);
void mg_model_config_release(mg_model_config *config);

MG_END_C
