/* hub/config.c - config.json and generation_config.json as structs.
 *
 * Reading goes in two steps.  What merging needs (classes, types, the tree itself) must be sound.
 * What running needs (sizes, rotation, windows) is checked number by number; when the caller does
 * not need it, a failure there leaves the remaining fields at 0. */
#include "hub/config.h"

#include "base/fs.h"
#include "hub/config_internal.h"
#include "text/json.h"

#define CONFIG_BYTES_MAX ((size_t)64 << 20) /* some files list every quantised layer */

/* Ceilings far above any model, low enough that products of three cannot overflow. */
#define VOCAB_MAX ((int64_t)INT32_MAX)
#define WIDTH_MAX ((int64_t)1 << 24)
#define LAYERS_MAX ((int64_t)1 << 16)
#define POSITIONS_MAX ((int64_t)1 << 40)

const mg_value *mg_config_get(const mg_model_config *config, const char *key)
{
    const mg_value *value = mg_value_get(config->text, key);
    return value != NULL ? value : mg_value_get(&config->root, key);
}

mg_status mg_config_int(const mg_value *map, const char *key, int64_t min, int64_t max,
                        int64_t *value_out, mg_error *err)
{
    const mg_value *value = mg_value_get(map, key);
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    int64_t number;
    if (!mg_value_to_int(value, &number) || number < min || number > max) {
        return mg_fail(err, MG_ERR_FORMAT, "'%s' must be an integer from %lld to %lld", key,
                       (long long)min, (long long)max);
    }
    *value_out = number;
    return MG_OK;
}

mg_status mg_config_double(const mg_value *map, const char *key, double min, double max,
                           double *value_out, mg_error *err)
{
    const mg_value *value = mg_value_get(map, key);
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    double number;
    if (!mg_value_to_double(value, &number) || !(number >= min && number <= max)) {
        return mg_fail(err, MG_ERR_FORMAT, "'%s' must be a number from %g to %g", key, min, max);
    }
    *value_out = number;
    return MG_OK;
}

mg_status mg_config_bool(const mg_value *map, const char *key, bool *value_out, mg_error *err)
{
    const mg_value *value = mg_value_get(map, key);
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    if (value->kind != MG_BOOL) {
        return mg_fail(err, MG_ERR_FORMAT, "'%s' must be true or false", key);
    }
    *value_out = value->boolean;
    return MG_OK;
}

/* One id, a list of them, or null. */
static mg_status read_eos(const mg_value *value, mg_model_config *config, mg_error *err)
{
    bool is_list = value->kind == MG_LIST;
    int64_t count = is_list ? value->count : value->kind == MG_NULL ? 0 : 1;
    if (count > MG_ARRAY_COUNT(config->eos_ids)) {
        return mg_fail(err, MG_ERR_LIMIT, "eos_token_id has %lld ids, at most %lld are handled",
                       (long long)count, (long long)MG_ARRAY_COUNT(config->eos_ids));
    }
    config->eos_count = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t id;
        if (!mg_value_to_int(is_list ? &value->items[i] : value, &id) || id > VOCAB_MAX) {
            return mg_fail(err, MG_ERR_FORMAT, "eos_token_id is no token id");
        }
        if (id >= 0) { /* some files write -1 for none */
            config->eos_ids[config->eos_count++] = (int32_t)id;
        }
    }
    return MG_OK;
}

static mg_status read_id(const mg_value *value, const char *key, int32_t *id_out, mg_error *err)
{
    if (value == NULL) {
        return MG_OK;
    }
    int64_t id = -1;
    if (value->kind != MG_NULL && (!mg_value_to_int(value, &id) || id > VOCAB_MAX)) {
        return mg_fail(err, MG_ERR_FORMAT, "'%s' is no token id", key);
    }
    *id_out = id < 0 ? -1 : (int32_t)id;
    return MG_OK;
}

static mg_status read_ids(mg_model_config *config, const mg_family_defaults *defaults,
                          mg_error *err)
{
    config->bos_id = defaults->bos_id;
    config->pad_id = defaults->pad_id;
    if (defaults->eos_id >= 0) {
        config->eos_ids[0] = defaults->eos_id;
        config->eos_count = 1;
    }
    MG_TRY(read_id(mg_config_get(config, "bos_token_id"), "bos_token_id", &config->bos_id, err));
    MG_TRY(read_id(mg_config_get(config, "pad_token_id"), "pad_token_id", &config->pad_id, err));
    const mg_value *eos = mg_config_get(config, "eos_token_id");
    return eos != NULL ? read_eos(eos, config, err) : MG_OK;
}

static mg_status read_required(const mg_model_config *config, const char *key, int64_t preset,
                               int64_t max, int64_t *value_out, mg_error *err)
{
    *value_out = preset;
    MG_TRY(mg_config_int(config->text, key, 1, max, value_out, err));
    if (*value_out == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "'%s' is missing", key);
    }
    return MG_OK;
}

/* Key/value heads: an explicit null means "as many as heads", an absent key the class default. */
static mg_status read_kv_heads(mg_model_config *config, const mg_family_defaults *defaults,
                               mg_error *err)
{
    const mg_value *value = mg_value_get(config->text, "num_key_value_heads");
    bool as_heads = defaults->kv_head_count < 0 || (value != NULL && value->kind == MG_NULL) ||
                    config->family == MG_FAMILY_GPT_NEOX;
    config->kv_head_count = as_heads ? config->head_count : defaults->kv_head_count;
    if (config->family != MG_FAMILY_GPT_NEOX) {
        MG_TRY(mg_config_int(config->text, "num_key_value_heads", 1, WIDTH_MAX,
                             &config->kv_head_count, err));
    }
    if (config->head_count % config->kv_head_count != 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "%lld heads are not a multiple of %lld key and value heads",
                       (long long)config->head_count, (long long)config->kv_head_count);
    }
    return MG_OK;
}

static mg_status read_sizes(mg_model_config *config, const mg_family_defaults *defaults,
                            mg_error *err)
{
    MG_TRY(read_required(config, "vocab_size", defaults->vocab_size, VOCAB_MAX, &config->vocab_size,
                         err));
    MG_TRY(read_required(config, "hidden_size", defaults->hidden_size, WIDTH_MAX,
                         &config->hidden_size, err));
    MG_TRY(read_required(config, "intermediate_size", defaults->intermediate_size, WIDTH_MAX,
                         &config->intermediate_size, err));
    MG_TRY(read_required(config, "num_hidden_layers", defaults->layer_count, LAYERS_MAX,
                         &config->layer_count, err));
    MG_TRY(read_required(config, "num_attention_heads", defaults->head_count, LAYERS_MAX,
                         &config->head_count, err));
    MG_TRY(read_required(config, "max_position_embeddings", defaults->max_positions, POSITIONS_MAX,
                         &config->max_positions, err));
    MG_TRY(read_kv_heads(config, defaults, err));

    const mg_value *head_dim = mg_value_get(config->text, "head_dim");
    config->head_dim = head_dim == NULL ? defaults->head_dim : 0;
    MG_TRY(mg_config_int(config->text, "head_dim", 1, WIDTH_MAX, &config->head_dim, err));
    if (config->head_dim == 0) {
        if (config->hidden_size % config->head_count != 0) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "hidden_size %lld is not a multiple of %lld attention heads",
                           (long long)config->hidden_size, (long long)config->head_count);
        }
        config->head_dim = config->hidden_size / config->head_count;
    }
    if (config->head_dim > WIDTH_MAX / config->head_count) {
        return mg_fail(err, MG_ERR_FORMAT, "%lld heads of %lld are too wide",
                       (long long)config->head_count, (long long)config->head_dim);
    }
    return MG_OK;
}

static mg_status read_activation(mg_model_config *config, const mg_family_defaults *defaults,
                                 mg_error *err)
{
    static const struct {
        const char *name;
        mg_activation activation;
    } activations[] = {
        { "silu", MG_ACT_SILU },           { "swish", MG_ACT_SILU },
        { "gelu", MG_ACT_GELU },           { "gelu_python", MG_ACT_GELU },
        { "gelu_new", MG_ACT_GELU_TANH },  { "gelu_pytorch_tanh", MG_ACT_GELU_TANH },
        { "gelu_fast", MG_ACT_GELU_TANH },
    };

    const mg_value *value = mg_value_get(config->text, "hidden_activation");
    if (mg_value_is_null(value)) {
        value = mg_value_get(config->text, "hidden_act");
    }
    mg_str name = mg_str_of(defaults->activation);
    if (!mg_value_is_null(value)) {
        name = value->string; /* empty where it is no string */
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(activations); i++) {
        if (mg_str_is(name, activations[i].name)) {
            config->activation = activations[i].activation;
            if (config->family == MG_FAMILY_GEMMA && config->activation == MG_ACT_GELU) {
                config->activation = MG_ACT_GELU_TANH; /* what its first files mean by "gelu" */
            }
            return MG_OK;
        }
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "activation '%.*s' is not supported", MG_STR_ARG(name));
}

/* Marks the layers that layer_types names as sliding. */
static mg_status read_layer_types(mg_model_config *config, const mg_value *types, mg_error *err)
{
    if (types->kind != MG_LIST || types->count != config->layer_count) {
        return mg_fail(err, MG_ERR_FORMAT, "layer_types has %lld entries for %lld layers",
                       (long long)types->count, (long long)config->layer_count);
    }
    for (int64_t i = 0; i < types->count; i++) {
        mg_str type = types->items[i].string;
        if (!mg_str_is(type, "sliding_attention") && !mg_str_is(type, "full_attention")) {
            return mg_fail(err, MG_ERR_UNSUPPORTED, "layer type '%.*s' is not supported",
                           MG_STR_ARG(type));
        }
        config->layer_is_sliding[i] = mg_str_is(type, "sliding_attention");
    }
    return MG_OK;
}

static mg_status read_window_size(mg_model_config *config, const mg_family_defaults *defaults,
                                  mg_error *err)
{
    bool is_qwen = config->family == MG_FAMILY_QWEN2 || config->family == MG_FAMILY_QWEN3;
    bool used = !is_qwen;
    MG_TRY(mg_config_bool(config->text, "use_sliding_window", &used, err));
    if (is_qwen && !used) {
        return MG_OK;
    }
    const mg_value *window = mg_value_get(config->text, "sliding_window");
    config->sliding_window = window == NULL ? defaults->sliding_window : 0;
    MG_TRY(mg_config_int(config->text, "sliding_window", 0, POSITIONS_MAX, &config->sliding_window,
                         err));
    bool both_ways = false;
    MG_TRY(mg_config_bool(config->text, "use_bidirectional_attention", &both_ways, err));
    if (config->family == MG_FAMILY_GEMMA3 && both_ways && config->sliding_window > 0) {
        config->sliding_window = config->sliding_window / 2 + 1;
    }
    return MG_OK;
}

/* Which layers look back through a window only. */
static mg_status read_windows(mg_model_config *config, const mg_family_defaults *defaults,
                              mg_error *err)
{
    config->layer_is_sliding = mg_arena_array(&config->arena, bool, config->layer_count);
    bool follows_types = true;
    int64_t first = 0;   /* layers from here on slide ... */
    int64_t pattern = 0; /* ... except every pattern-th; 0 = no exception */
    switch (config->family) {
    case MG_FAMILY_MISTRAL:
    case MG_FAMILY_MIXTRAL:
    case MG_FAMILY_PHI3:
        follows_types = false;
        break;
    case MG_FAMILY_QWEN2:
    case MG_FAMILY_QWEN3:
        first = 28;
        MG_TRY(mg_config_int(config->text, "max_window_layers", 0, LAYERS_MAX, &first, err));
        break;
    case MG_FAMILY_GEMMA2:
        pattern = 2;
        break;
    case MG_FAMILY_GEMMA3:
        pattern = 6;
        MG_TRY(mg_config_int(config->text, "sliding_window_pattern", 1, LAYERS_MAX, &pattern, err));
        break;
    default:
        return MG_OK; /* no windows in this class */
    }
    MG_TRY(read_window_size(config, defaults, err));
    const mg_value *types = mg_value_get(config->text, "layer_types");
    if (follows_types && !mg_value_is_null(types)) {
        MG_TRY(read_layer_types(config, types, err));
    } else {
        for (int64_t i = first; i < config->layer_count; i++) {
            config->layer_is_sliding[i] = pattern == 0 || (i + 1) % pattern != 0;
        }
    }
    /* Gemma 3 rotates its sliding layers differently even without a window. */
    if (config->sliding_window == 0 && config->family != MG_FAMILY_GEMMA3) {
        memset(config->layer_is_sliding, 0, (size_t)config->layer_count * sizeof(bool));
    }
    return MG_OK;
}

static mg_status read_soft_cap(mg_model_config *config, const char *key, double preset,
                               double *cap_out, mg_error *err)
{
    *cap_out = mg_value_get(config->text, key) == NULL ? preset : 0;
    return mg_config_double(config->text, key, 0, 1e9, cap_out, err);
}

static mg_status read_class_keys(mg_model_config *config, const mg_family_defaults *defaults,
                                 mg_error *err)
{
    static const char *const epsilon_keys[] = { "norm_eps", "layer_norm_eps", "rms_norm_eps" };
    config->norm_epsilon = defaults->norm_epsilon;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(epsilon_keys); i++) {
        MG_TRY(mg_config_double(config->text, epsilon_keys[i], 0, 1, &config->norm_epsilon, err));
    }
    config->attention_bias = defaults->attention_bias;
    MG_TRY(mg_config_bool(config->text, "attention_bias", &config->attention_bias, err));
    MG_TRY(mg_config_bool(config->text, "mlp_bias", &config->mlp_bias, err));
    config->parallel_residual = defaults->parallel_residual;
    MG_TRY(mg_config_bool(config->text, "use_parallel_residual", &config->parallel_residual, err));

    bool has_caps = config->family == MG_FAMILY_GEMMA2 || config->family == MG_FAMILY_GEMMA3;
    if (has_caps) {
        bool old = config->family == MG_FAMILY_GEMMA2;
        config->query_pre_attn_scalar = 256;
        MG_TRY(mg_config_double(config->text, "query_pre_attn_scalar", 1e-6, 1e9,
                                &config->query_pre_attn_scalar, err));
        MG_TRY(read_soft_cap(config, "attn_logit_softcapping", old ? 50 : 0,
                             &config->attention_softcap, err));
        MG_TRY(read_soft_cap(config, "final_logit_softcapping", old ? 30 : 0,
                             &config->final_softcap, err));
    }
    if (config->family == MG_FAMILY_STABLELM) {
        MG_TRY(mg_config_bool(config->text, "use_qkv_bias", &config->attention_bias, err));
        MG_TRY(mg_config_bool(config->text, "qk_layernorm", &config->qk_norm, err));
    }
    if (config->family == MG_FAMILY_MIXTRAL) {
        config->expert_count = 8;
        config->experts_per_token = 2;
        MG_TRY(
            mg_config_int(config->text, "num_local_experts", 1, 65536, &config->expert_count, err));
        MG_TRY(mg_config_int(config->text, "num_experts_per_tok", 1, config->expert_count,
                             &config->experts_per_token, err));
    }
    return MG_OK;
}

/* All that only running needs. */
static mg_status read_for_running(mg_model_config *config, const mg_family_defaults *defaults,
                                  mg_error *err)
{
    MG_TRY(read_sizes(config, defaults, err));
    MG_TRY(read_activation(config, defaults, err));
    MG_TRY(read_class_keys(config, defaults, err));
    MG_TRY(read_windows(config, defaults, err));
    MG_TRY(mg_config_read_rope(config, defaults, err));
    return read_ids(config, defaults, err);
}

static mg_str text_of(const mg_value *value)
{
    return value != NULL && value->kind == MG_STRING ? value->string : mg_str_of("");
}

/* What every use needs: classes, type, tying. */
static void read_identity(mg_model_config *config)
{
    const mg_value *nested = mg_value_get(&config->root, "text_config");
    config->text = nested != NULL && nested->kind == MG_MAP ? nested : &config->root;
    const mg_value *classes = mg_value_get(&config->root, "architectures");
    if (classes != NULL && classes->kind == MG_LIST && classes->count > 0) {
        config->architecture = text_of(&classes->items[0]);
    }
    config->model_type = text_of(mg_value_get(&config->root, "model_type"));
    config->quantized = !mg_value_is_null(mg_config_get(config, "quantization_config"));
    config->dtype = MG_DTYPE_COUNT;
    const mg_value *dtype = mg_config_get(config, "dtype");
    if (mg_value_is_null(dtype)) {
        dtype = mg_config_get(config, "torch_dtype");
    }
    mg_dtype parsed;
    if (mg_dtype_parse_torch(text_of(dtype), &parsed)) {
        config->dtype = parsed;
    }
}

/* Ids that the vocabulary lacks are never generated anyway. */
static mg_status read_suppressed(mg_model_config *config, mg_error *err)
{
    const mg_value *list = mg_value_get(&config->generation, "suppress_tokens");
    if (mg_value_is_null(list)) {
        return MG_OK;
    }
    if (list->kind != MG_LIST) {
        return mg_fail(err, MG_ERR_FORMAT, "'suppress_tokens' must be a list of token ids");
    }
    int32_t *ids = mg_arena_array(&config->arena, int32_t, list->count);
    config->suppressed_ids = ids;
    for (int64_t i = 0; i < list->count; i++) {
        int32_t id = -1;
        MG_TRY(read_id(&list->items[i], "suppress_tokens", &id, err));
        if (id >= 0 && (config->vocab_size == 0 || id < config->vocab_size)) {
            ids[config->suppressed_count++] = id;
        }
    }
    return MG_OK;
}

static mg_status read_rules(mg_model_config *config, mg_error *err)
{
    const mg_value *generation = &config->generation;
    MG_TRY(mg_config_double(generation, "repetition_penalty", 1e-6, 1e6,
                            &config->repetition_penalty, err));
    MG_TRY(mg_config_int(generation, "no_repeat_ngram_size", 0, WIDTH_MAX, &config->no_repeat_ngram,
                         err));
    MG_TRY(read_suppressed(config, err));
    const mg_value *eos = mg_value_get(generation, "eos_token_id");
    return mg_value_is_null(eos) ? MG_OK : read_eos(eos, config, err);
}

static mg_status read_generation(mg_model_config *config, const char *path, bool required,
                                 mg_error *err)
{
    config->repetition_penalty = 1;
    if (!mg_path_exists(path)) {
        return MG_OK;
    }
    mg_status status =
        mg_json_read(path, CONFIG_BYTES_MAX, &config->arena, &config->generation, err);
    if (status == MG_OK) {
        status = read_rules(config, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%s", path);
        }
    }
    return required ? status : MG_OK;
}

mg_status mg_model_config_read(const char *folder, bool require_shapes, mg_model_config *config_out,
                               mg_error *err)
{
    memset(config_out, 0, sizeof(*config_out));
    mg_status status = MG_OK;
    mg_error ignored; /* of what this caller does not need */
    mg_arena paths = { 0 };
    mg_str path = mg_path_join(&paths, folder, "config.json");
    mg_str generation_path = mg_path_join(&paths, folder, "generation_config.json");
    MG_TRY_OR_DONE(
        mg_json_read(path.data, CONFIG_BYTES_MAX, &config_out->arena, &config_out->root, err));
    if (config_out->root.kind != MG_MAP) {
        status = mg_fail(err, MG_ERR_FORMAT, "%s: is %s, expected a map", path.data,
                         mg_kind_name(config_out->root.kind));
        goto done;
    }
    read_identity(config_out);
    mg_str model_type = text_of(mg_value_get(config_out->text, "model_type"));
    const mg_family_defaults *defaults = mg_family_find(
        config_out->architecture, model_type.size > 0 ? model_type : config_out->model_type);
    config_out->family = defaults->family;
    config_out->tie_embeddings = defaults->tie_embeddings;
    const mg_value *tied = mg_config_get(config_out, "tie_word_embeddings");
    if (tied != NULL && tied->kind == MG_BOOL) {
        config_out->tie_embeddings = tied->boolean;
    }
    mg_status running = read_for_running(config_out, defaults, require_shapes ? err : &ignored);
    if (running != MG_OK && require_shapes) {
        mg_error_prefix(err, "%s", path.data);
        status = running;
        goto done;
    }
    status = read_generation(config_out, generation_path.data, require_shapes,
                             require_shapes ? err : &ignored);

done:
    mg_arena_release(&paths);
    if (status != MG_OK) {
        mg_model_config_release(config_out);
    }
    return status;
}

void mg_model_config_release(mg_model_config *config)
{
    if (config == NULL) {
        return;
    }
    mg_arena_release(&config->arena);
    memset(config, 0, sizeof(*config));
}
