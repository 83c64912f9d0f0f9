/* hub/config_internal.h - class defaults and the reading of single keys. */
#pragma once

#include "hub/config.h"

MG_BEGIN_C

/* What a class assumes for a key that its config.json leaves out.  For sizes, 0 means that there is
 * no default, and -1 (key/value heads) "as many as heads". */
typedef struct mg_family_defaults {
    mg_family family;
    const char *architectures[4]; /* closed by NULL */
    const char *model_types[3];
    int64_t vocab_size, hidden_size, intermediate_size, layer_count, head_count, kv_head_count;
    int64_t head_dim; /* 0 = hidden_size / head_count */
    int64_t max_positions;
    const char *activation;
    double norm_epsilon;
    double theta;
    double partial_rotary;
    int64_t sliding_window; /* 0 = none */
    bool tie_embeddings;
    bool attention_bias;
    bool parallel_residual;
    int32_t bos_id, eos_id, pad_id; /* -1 = none */
} mg_family_defaults;

/* The defaults of the class, of the model type where the class is unknown, or those of no class. */
const mg_family_defaults *mg_family_find(mg_str architecture, mg_str model_type);

/* The value of key; NULL when it is absent.  A null is returned as it is. */
const mg_value *mg_config_get(const mg_model_config *config, const char *key);
/* Reads a number into *value_out, which holds the default, when key is there and not null.  False,
 * with err filled, when it is not an integer in [min, max]. */
MG_MUST_CHECK mg_status mg_config_int(const mg_value *map, const char *key, int64_t min,
                                      int64_t max, int64_t *value_out, mg_error *err);
MG_MUST_CHECK mg_status mg_config_double(const mg_value *map, const char *key, double min,
                                         double max, double *value_out, mg_error *err);
MG_MUST_CHECK mg_status mg_config_bool(const mg_value *map, const char *key, bool *value_out,
                                       mg_error *err);

/* Reads rope, rope_local and partial_rotary; the shapes are there already. */
MG_MUST_CHECK mg_status mg_config_read_rope(mg_model_config *config,
                                            const mg_family_defaults *defaults, mg_error *err);

MG_END_C
