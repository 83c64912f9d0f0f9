/* hub/config_rope.c - rotary parameters in their older and newer forms (models.md 2 and 4).
 *
 *     older: "rope_theta": N, "rope_scaling": {"type" or "rope_type": ..., ...}
 *     newer: "rope_parameters": {"rope_theta": N, "rope_type": ..., ...}
 *     newer, by layer type: "rope_parameters": {"full_attention": {...}, "sliding_attention":
 * {...}}
 */
#include <math.h>

#include "base/log.h"
#include "hub/config_internal.h"

#define THETA_MAX 1e15
#define FACTOR_MAX 1e9
#define POSITIONS_MAX ((int64_t)1 << 40)

/* rotary components R of a head */
static int64_t rotary_dim(const mg_model_config *config)
{
    return (int64_t)((double)config->head_dim * config->partial_rotary);
}

static mg_status read_kind(const mg_model_config *config, const mg_value *map, mg_rope_kind *kind,
                           mg_error *err)
{
    static const struct {
        const char *name;
        mg_rope_kind kind;
    } kinds[] = {
        { "default", MG_ROPE_DEFAULT }, { "linear", MG_ROPE_LINEAR },
        { "dynamic", MG_ROPE_DYNAMIC }, { "llama3", MG_ROPE_LLAMA3 },
        { "yarn", MG_ROPE_YARN },       { "longrope", MG_ROPE_LONGROPE },
        { "su", MG_ROPE_LONGROPE },
    };
    *kind = MG_ROPE_DEFAULT;
    const mg_value *name = mg_value_get(map, "rope_type");
    if (mg_value_is_null(name)) {
        name = mg_value_get(map, "type");
    }
    if (mg_value_is_null(name)) {
        return MG_OK;
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        if (name->kind == MG_STRING && mg_str_is(name->string, kinds[i].name)) {
            *kind = kinds[i].kind;
            if (config->family == MG_FAMILY_PHI3 && *kind == MG_ROPE_YARN) {
                *kind = MG_ROPE_LONGROPE; /* so the first Phi-3 files called it */
            }
            return MG_OK;
        }
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "rope type '%.*s' is not supported",
                   MG_STR_ARG(name->string));
}

static mg_status read_factor_list(mg_model_config *config, const mg_value *map, const char *key,
                                  const double **list_out, mg_error *err)
{
    *list_out = NULL;
    const mg_value *list = mg_value_get(map, key);
    int64_t expected = rotary_dim(config) / 2;
    if (list == NULL || list->kind != MG_LIST || list->count != expected) {
        return mg_fail(err, MG_ERR_FORMAT, "longrope needs %s with %lld numbers", key,
                       (long long)expected);
    }
    double *numbers = mg_arena_array(&config->arena, double, list->count);
    for (int64_t i = 0; i < list->count; i++) {
        if (!mg_value_to_double(&list->items[i], &numbers[i]) || !(numbers[i] > 0) ||
            numbers[i] > FACTOR_MAX) {
            return mg_fail(err, MG_ERR_FORMAT, "%s[%lld] is not a positive number", key,
                           (long long)i);
        }
    }
    *list_out = numbers;
    return MG_OK;
}

static mg_status require(double value, const char *key, mg_error *err)
{
    return isnan(value) ? mg_fail(err, MG_ERR_FORMAT, "rope scaling needs '%s'", key) : MG_OK;
}

/* YaRN's factor is the one given.  Some releases of the reference took the ratio of lengths
 * instead. */
static void settle_yarn_factor(const mg_model_config *config, mg_rope *rope)
{
    if (rope->original_max_position == 0) {
        return;
    }
    double ratio = (double)config->max_positions / (double)rope->original_max_position;
    if (isnan(rope->factor)) {
        rope->factor = ratio;
    } else if (fabs(rope->factor - ratio) > 1e-6 * ratio) {
        mg_warn("yarn: factor is %g, but the lengths give %g; the factor is used", rope->factor,
                ratio);
    }
}

/* What the chosen kind needs is there and fits. */
static mg_status check_rope(mg_model_config *config, const mg_value *map, mg_rope *rope,
                            mg_error *err)
{
    switch (rope->kind) {
    case MG_ROPE_DEFAULT:
        return MG_OK;
    case MG_ROPE_LINEAR:
    case MG_ROPE_DYNAMIC:
        return require(rope->factor, "factor", err);
    case MG_ROPE_LLAMA3:
        MG_TRY(require(rope->factor, "factor", err));
        MG_TRY(require(rope->low_freq_factor, "low_freq_factor", err));
        MG_TRY(require(rope->high_freq_factor, "high_freq_factor", err));
        if (rope->high_freq_factor <= rope->low_freq_factor) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "high_freq_factor is %g, must be above low_freq_factor %g",
                           rope->high_freq_factor, rope->low_freq_factor);
        }
        if (rope->original_max_position == 0) {
            rope->original_max_position = config->max_positions;
        }
        return MG_OK;
    case MG_ROPE_YARN:
        settle_yarn_factor(config, rope);
        return require(rope->factor, "factor", err);
    case MG_ROPE_LONGROPE:
        if (rope->original_max_position == 0) {
            rope->original_max_position =
                config->family == MG_FAMILY_PHI3 ? 4096 : config->max_positions;
        }
        MG_TRY(read_factor_list(config, map, "short_factor", &rope->short_factor, err));
        MG_TRY(read_factor_list(config, map, "long_factor", &rope->long_factor, err));
        rope->factor_count = rotary_dim(config) / 2;
        return MG_OK;
    }
    return MG_OK;
}

static void preset_rope(mg_rope *rope, double theta)
{
    memset(rope, 0, sizeof(*rope));
    rope->theta = theta;
    rope->factor = (double)NAN;
    rope->low_freq_factor = (double)NAN;
    rope->high_freq_factor = (double)NAN;
    rope->beta_fast = (double)NAN;
    rope->beta_slow = (double)NAN;
    rope->mscale = (double)NAN;
    rope->mscale_all_dim = (double)NAN;
    rope->attention_factor = (double)NAN;
    rope->truncate = true;
}

/* Reads one set from map (NULL: the plain rotation by theta). */
static mg_status read_rope(mg_model_config *config, const mg_value *map, double theta,
                           mg_rope *rope, mg_error *err)
{
    static const struct {
        const char *key;
        size_t offset;
        double min;
    } numbers[] = {
        { "factor", offsetof(mg_rope, factor), 1e-6 },
        { "low_freq_factor", offsetof(mg_rope, low_freq_factor), 1e-6 },
        { "high_freq_factor", offsetof(mg_rope, high_freq_factor), 1e-6 },
        { "beta_fast", offsetof(mg_rope, beta_fast), 0 },
        { "beta_slow", offsetof(mg_rope, beta_slow), 0 },
        { "mscale", offsetof(mg_rope, mscale), 0 },
        { "mscale_all_dim", offsetof(mg_rope, mscale_all_dim), 0 },
        { "attention_factor", offsetof(mg_rope, attention_factor), 1e-6 },
    };

    preset_rope(rope, theta);
    if (map == NULL || map->kind != MG_MAP) {
        return MG_OK;
    }
    MG_TRY(read_kind(config, map, &rope->kind, err));
    MG_TRY(mg_config_double(map, "rope_theta", 1e-6, THETA_MAX, &rope->theta, err));
    for (int64_t i = 0; i < MG_ARRAY_COUNT(numbers); i++) {
        double *number = (double *)(void *)((char *)rope + numbers[i].offset);
        MG_TRY(mg_config_double(map, numbers[i].key, numbers[i].min, FACTOR_MAX, number, err));
    }
    /* The reference takes 0 for absent in these. */
    double *zero_is_absent[] = { &rope->beta_fast, &rope->beta_slow, &rope->mscale,
                                 &rope->mscale_all_dim };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(zero_is_absent); i++) {
        if (*zero_is_absent[i] <= 0) {
            *zero_is_absent[i] = (double)NAN;
        }
    }
    MG_TRY(mg_config_bool(map, "truncate", &rope->truncate, err));
    MG_TRY(mg_config_int(map, "original_max_position_embeddings", 1, POSITIONS_MAX,
                         &rope->original_max_position, err));
    /* A key of the model wins over one inside. */
    MG_TRY(mg_config_int(config->text, "original_max_position_embeddings", 1, POSITIONS_MAX,
                         &rope->original_max_position, err));
    return check_rope(config, map, rope, err);
}

static mg_status read_partial(mg_model_config *config, const mg_value *newer, mg_error *err)
{
    static const char *const keys[] = { "rope_pct", "rotary_pct", "partial_rotary_factor" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(keys); i++) {
        MG_TRY(mg_config_double(config->text, keys[i], 0, 1, &config->partial_rotary, err));
    }
    MG_TRY(mg_config_double(newer, "partial_rotary_factor", 0, 1, &config->partial_rotary, err));
    int64_t rotary = rotary_dim(config);
    if (rotary <= 0 || rotary % 2 != 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "the rotary dimension is %lld (head_dim %lld times %g), must be even and "
                       "above 0",
                       (long long)rotary, (long long)config->head_dim, config->partial_rotary);
    }
    return MG_OK;
}

mg_status mg_config_read_rope(mg_model_config *config, const mg_family_defaults *defaults,
                              mg_error *err)
{
    double theta = defaults->theta;
    MG_TRY(mg_config_double(config->text, "rotary_emb_base", 1e-6, THETA_MAX, &theta, err));
    MG_TRY(mg_config_double(config->text, "rope_theta", 1e-6, THETA_MAX, &theta, err));
    double theta_local = 1e4;
    MG_TRY(
        mg_config_double(config->text, "rope_local_base_freq", 1e-6, THETA_MAX, &theta_local, err));

    const mg_value *older = mg_value_get(config->text, "rope_scaling");
    const mg_value *newer = mg_value_get(config->text, "rope_parameters");
    const mg_value *full = mg_value_get(newer, "full_attention");
    const mg_value *sliding = mg_value_get(newer, "sliding_attention");
    bool nested = full != NULL || sliding != NULL;
    const mg_value *main_map = nested ? full : newer;
    if (mg_value_is_null(main_map)) {
        main_map = older;
    }
    config->partial_rotary = defaults->partial_rotary;
    MG_TRY(read_partial(config, main_map, err));
    MG_TRY(read_rope(config, main_map, theta, &config->rope, err));
    if (nested) {
        return read_rope(config, sliding, theta_local, &config->rope_local, err);
    }
    if (config->family == MG_FAMILY_GEMMA3) {
        preset_rope(&config->rope_local, theta_local);
    } else {
        config->rope_local = config->rope;
    }
    return MG_OK;
}
