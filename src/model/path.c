/* model/path.c - see path.h.
 *
 * A path is a model whose layers are copies of the descriptions of other models' layers: the same
 * device memory under new indexes.  The forward pass and the cache see an ordinary model of
 * hop_count layers.
 *
 * A norm of x / sqrt(mean x^2 + epsilon) is blind to factors on x but for epsilon.  Its epsilon
 * grows with the square of the factors so far, so that it is blind altogether: then a path and the
 * ordinary model with its factors folded in (evolution.md 4.5) are one function. */
#include "model/path.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/ops_mix.h"
#include "model/model_internal.h"

/* What two models must have in common, as one number each. */
typedef struct trait {
    const char *name;
    double a, b;
} trait;

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b)); /* NaN: neither file has it */
}

static bool same_frequencies(const float *a, const float *b, int64_t count)
{
    if (a == NULL || b == NULL || count == 0) {
        return a == b || count == 0;
    }
    return memcmp(a, b, (size_t)count * sizeof(float)) == 0;
}

static bool same_rope(const mg_rope_plan *a, const mg_rope_plan *b)
{
    return a->kind == b->kind && a->half == b->half && a->switch_length == b->switch_length &&
           same_number(a->theta, b->theta) && same_number(a->factor, b->factor) &&
           a->attention_factor == b->attention_factor &&
           same_frequencies(a->frequencies, b->frequencies, a->half) &&
           same_frequencies(a->long_frequencies, b->long_frequencies, a->half);
}

static mg_status check_numbers(const mg_model_config *a, const mg_model_config *b, mg_error *err)
{
    const trait traits[] = {
        { "hidden_size", (double)a->hidden_size, (double)b->hidden_size },
        { "intermediate_size", (double)a->intermediate_size, (double)b->intermediate_size },
        { "num_attention_heads", (double)a->head_count, (double)b->head_count },
        { "num_key_value_heads", (double)a->kv_head_count, (double)b->kv_head_count },
        { "head_dim", (double)a->head_dim, (double)b->head_dim },
        { "the epsilon of the norms", a->norm_epsilon, b->norm_epsilon },
        { "sliding_window", (double)a->sliding_window, (double)b->sliding_window },
        { "hidden_act", (double)a->activation, (double)b->activation },
        { "num_local_experts", (double)a->expert_count, (double)b->expert_count },
        { "num_experts_per_tok", (double)a->experts_per_token, (double)b->experts_per_token },
        { "attention_bias", a->attention_bias, b->attention_bias },
        { "mlp_bias", a->mlp_bias, b->mlp_bias },
        { "use_parallel_residual", a->parallel_residual, b->parallel_residual },
        { "qk_layernorm", a->qk_norm, b->qk_norm },
        { "partial_rotary_factor", a->partial_rotary, b->partial_rotary },
        { "attn_logit_softcapping", a->attention_softcap, b->attention_softcap },
        { "query_pre_attn_scalar", a->query_pre_attn_scalar, b->query_pre_attn_scalar },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(traits); i++) {
        if (!same_number(traits[i].a, traits[i].b)) {
            return mg_fail(err, MG_ERR_UNSUPPORTED, "%s is %g in one and %g in the other",
                           traits[i].name, traits[i].a, traits[i].b);
        }
    }
    return MG_OK;
}

static mg_status check_arch(const mg_arch *a, const mg_arch *b, mg_error *err)
{
    if (a != b) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "one is a %s, the other a %s", a->family,
                       b->family);
    }
    return MG_OK;
}

static mg_status check_rope(bool same, mg_error *err)
{
    return same ? MG_OK
                : mg_fail(err, MG_ERR_UNSUPPORTED, "their rotary embeddings are not the same");
}

static bool same_factors(const double *a, const double *b, int64_t count)
{
    return count == 0 || memcmp(a, b, (size_t)count * sizeof(double)) == 0;
}

static bool same_rope_config(const mg_rope *a, const mg_rope *b)
{
    return a->kind == b->kind && same_number(a->theta, b->theta) &&
           same_number(a->factor, b->factor) &&
           same_number(a->low_freq_factor, b->low_freq_factor) &&
           same_number(a->high_freq_factor, b->high_freq_factor) &&
           same_number(a->beta_fast, b->beta_fast) && same_number(a->beta_slow, b->beta_slow) &&
           same_number(a->mscale, b->mscale) && same_number(a->mscale_all_dim, b->mscale_all_dim) &&
           same_number(a->attention_factor, b->attention_factor) && a->truncate == b->truncate &&
           a->original_max_position == b->original_max_position &&
           a->factor_count == b->factor_count &&
           same_factors(a->short_factor, b->short_factor, a->factor_count) &&
           same_factors(a->long_factor, b->long_factor, a->factor_count);
}

mg_status mg_path_check(const mg_model_config *a, const mg_model_config *b, mg_error *err)
{
    int64_t layers = MG_MAX(a->layer_count, b->layer_count);
    if (layers > MG_HOPS_MAX) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%lld layers, a path has at most %d",
                       (long long)layers, MG_HOPS_MAX);
    }
    const mg_arch *arch_a;
    const mg_arch *arch_b;
    MG_TRY(mg_arch_find(a, &arch_a, err));
    MG_TRY(mg_arch_find(b, &arch_b, err));
    MG_TRY(check_arch(arch_a, arch_b, err));
    MG_TRY(check_numbers(a, b, err));
    return check_rope(same_rope_config(&a->rope, &b->rope) &&
                          same_rope_config(&a->rope_local, &b->rope_local),
                      err);
}

static mg_status check_match(const mg_model *a, const mg_model *b, mg_error *err)
{
    MG_TRY(check_arch(a->arch, b->arch, err));
    MG_TRY(check_numbers(&a->config, &b->config, err));
    return check_rope(same_rope(&a->rope, &b->rope) && same_rope(&a->rope_local, &b->rope_local),
                      err);
}

static bool is_scaled(const mg_hop *hops, int64_t hop_count)
{
    bool scaled = false;
    for (int64_t t = 0; t < hop_count; t++) {
        scaled = scaled || hops[t].scale != 1.0f;
    }
    return scaled;
}

/* Everything outside the layers is the first model's. */
static void borrow_ends(mg_model *path, const mg_model *first)
{
    mg_arena arena = path->arena;
    *path = *first;
    path->arena = arena;
    path->borrows = true;
    path->bytes = 0;
    path->layers = NULL;
    path->hop_scales = NULL;
    memset(&path->filler, 0, sizeof(path->filler));
}

mg_status mg_model_create_path(const mg_model *const *models, int64_t model_count,
                               const mg_hop *hops, int64_t hop_count, mg_model **model_out,
                               mg_error *err)
{
    *model_out = NULL;
    MG_ASSERT(model_count > 0);
    if (hop_count < 1 || hop_count > MG_HOPS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "a path of %lld layers, must be 1 to %d",
                       (long long)hop_count, MG_HOPS_MAX);
    }
    for (int64_t m = 1; m < model_count; m++) {
        MG_ASSERT(models[m]->device == models[0]->device && models[m]->dtype == models[0]->dtype);
        MG_TRY(check_match(models[0], models[m], err));
    }
    if (is_scaled(hops, hop_count) && models[0]->device->mix == NULL) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "device %s lacks the operation 'scale'",
                       models[0]->device->name);
    }
    mg_model *path = mg_new(mg_model);
    borrow_ends(path, models[0]);
    path->layers = mg_arena_array(&path->arena, mg_layer, hop_count);
    path->hop_scales = mg_arena_array(&path->arena, float, hop_count);
    path->config.layer_is_sliding = mg_arena_array(&path->arena, bool, hop_count);
    path->config.layer_count = hop_count;
    path->hop_epsilons = mg_arena_array(&path->arena, float, hop_count + 1);
    double product = 1.0;
    for (int64_t t = 0; t < hop_count; t++) {
        const mg_hop *hop = &hops[t];
        MG_ASSERT(hop->model >= 0 && hop->model < model_count);
        const mg_model *model = models[hop->model];
        MG_ASSERT(hop->layer >= 0 && hop->layer < model->config.layer_count);
        path->layers[t] = model->layers[hop->layer];
        path->hop_scales[t] = hop->scale;
        product *= (double)hop->scale;
        path->hop_epsilons[t] = (float)(path->config.norm_epsilon * product * product);
        path->config.layer_is_sliding[t] = model->config.layer_is_sliding[hop->layer];
    }
    path->hop_epsilons[hop_count] = (float)(path->config.norm_epsilon * product * product);
    *model_out = path;
    return MG_OK;
}

int64_t mg_model_layers(const mg_model *model)
{
    return model->config.layer_count;
}
