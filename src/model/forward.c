/* model/forward.c - the forward pass of every family (models.md 3).
 *
 * Rows are tokens.  Each step writes float32 rows that the next reads:
 *
 *   x = embedding
 *   for each layer
 *       normed = norm(x);  qkv = normed Wqkv;  norm and rotate heads;  store k, v
 *       heads = attention(q);  x += heads Wo
 *       normed = norm(x);  x += mlp(normed)
 *   logits = norm(x of the rows asked for) Whead
 *
 * A path (path.h) multiplies x by a factor in front of each layer, and its norms see epsilon times
 * the square of the factors so far.
 * In the last layer only those rows go on behind the store of keys and values.  A parallel layer
 * takes the second norm before attention is added.  Parts that a family lacks have no data, and
 * their steps are left out. */
#include <string.h>

#include "base/hash.h"
#include "compute/ops_mix.h"
#include "model/model_internal.h"

/* Recorded passes come in steps of rows, so that a batch that shrinks meets few of them. */
#define MG_RECORDED_ROWS_STEP 8
#define MG_RECORDED_ROWS_MAX 512

typedef struct mg_pass {
    const mg_model *model;
    const mg_nn_ops *ops;
    mg_kv_cache *cache;
    mg_workspace *space;
    mg_stream *stream;
    int64_t rows;
    int64_t run_count;
    int64_t run_rows_max;
    int64_t out_rows; /* rows that get logits */
    bool all_rows_out;
    float epsilon; /* of the norms of the residual stream, here */
    /* device arrays, each with an entry for a row or a run */
    const int32_t *tokens;
    const int32_t *positions;
    const int32_t *slots;
    const int32_t *turn_rows; /* rows of the rotary table */
    const int32_t *out_index; /* rows that get logits */
    const mg_kv_run *runs;
    const mg_kv_run *out_runs; /* the same queries one by one */
} mg_pass;

static mg_status check_args(const mg_model *model, const mg_forward_args *args, mg_error *err)
{
    int64_t total = 0;
    for (int64_t i = 0; i < args->run_count; i++) {
        const mg_run *run = &args->runs[i];
        if (run->slot < 0 || run->slot >= args->cache->slots || run->first < 0 || run->count < 1 ||
            run->count > args->cache->positions - run->first) {
            return mg_fail(err, MG_ERR_LIMIT,
                           "tokens %lld to %lld do not fit a cache of %lld positions",
                           (long long)run->first, (long long)(run->first + run->count - 1),
                           (long long)args->cache->positions);
        }
        if (!mg_kv_cache_grow(args->cache, run->slot, run->first + run->count)) {
            return mg_fail(err, MG_ERR_LIMIT, "the cache of %lld tokens is full",
                           (long long)mg_kv_cache_tokens(args->cache));
        }
        total += run->count;
    }
    MG_ASSERT(total == args->token_count && total > 0);
    for (int64_t i = 0; i < args->token_count; i++) {
        if (args->tokens[i] < 0 || args->tokens[i] >= model->config.vocab_size) {
            return mg_fail(err, MG_ERR_FORMAT, "token id %d is outside the model's %lld",
                           args->tokens[i], (long long)model->config.vocab_size);
        }
    }
    return MG_OK;
}

/* Cosines and sines of each row, for scalings that follow the length of the text. */
static mg_status make_turns(const mg_pass *pass, const mg_forward_args *args, mg_error *err)
{
    const mg_rope_plan *plan = &pass->model->rope;
    mg_workspace *space = pass->space;
    const mg_device *device = pass->model->device;
    float *cosines = space->host_turns;
    float *sines = cosines + pass->rows * plan->half;
    float *frequencies = sines + pass->rows * plan->half;
    int64_t row = 0;
    for (int64_t i = 0; i < args->run_count; i++) {
        const mg_run *run = &args->runs[i];
        mg_rope_frequencies(plan, run->length > 0 ? run->length : run->first + run->count,
                            frequencies);
        for (int64_t t = 0; t < run->count; t++, row++) {
            mg_rope_turn(plan, frequencies, run->first + t, cosines + row * plan->half,
                         sines + row * plan->half);
        }
    }
    size_t bytes = (size_t)(pass->rows * plan->half) * sizeof(float);
    MG_TRY(device->upload(pass->stream, space->turn_cos, cosines, bytes, err));
    return device->upload(pass->stream, space->turn_sin, sines, bytes, err);
}

static int32_t turn_row(const mg_pass *pass, const mg_run *run, int64_t position, int64_t row)
{
    const mg_rope_plan *plan = &pass->model->rope;
    int64_t length = run->length > 0 ? run->length : run->first + run->count;
    if (plan->kind == MG_ROPE_DYNAMIC) {
        return (int32_t)row;
    }
    if (plan->kind == MG_ROPE_LONGROPE && length > plan->switch_length) {
        return (int32_t)(pass->cache->positions + position);
    }
    return (int32_t)position;
}

/* The device's integers of a pass: MG_PASS_INTS stretches of `rows` each. */
static void place_ints(mg_pass *pass)
{
    int32_t *device = pass->space->ints;
    pass->tokens = device;
    pass->positions = device + pass->rows;
    pass->slots = device + 2 * pass->rows;
    pass->turn_rows = device + 3 * pass->rows;
    pass->out_index = device + 4 * pass->rows;
    pass->runs = (const mg_kv_run *)(const void *)(device + 5 * pass->rows);
    pass->out_runs = (const mg_kv_run *)(const void *)(device + 9 * pass->rows);
}

/* Lays the pass's integers out in the same way and uploads them. */
static mg_status make_ints(mg_pass *pass, const mg_forward_args *args, mg_error *err)
{
    int32_t *host = pass->space->host_ints;
    int32_t *device = pass->space->ints;
    int64_t rows = pass->rows;
    int32_t *positions = host + rows;
    int32_t *slots = host + 2 * rows;
    int32_t *turns = host + 3 * rows;
    int32_t *out_index = host + 4 * rows;
    mg_kv_run *runs = (mg_kv_run *)(void *)(host + 5 * rows);
    mg_kv_run *out_runs = (mg_kv_run *)(void *)(host + 9 * rows);
    memcpy(host, args->tokens, (size_t)args->token_count * sizeof(int32_t));
    int64_t row = 0;
    for (int64_t i = 0; i < args->run_count; i++) {
        const mg_run *run = &args->runs[i];
        mg_kv_run *out = &runs[i];
        out->slot = (int32_t)run->slot;
        out->first = (int32_t)run->first;
        out->count = (int32_t)run->count;
        out->row = (int32_t)row;
        pass->run_rows_max = MG_MAX(pass->run_rows_max, run->count);
        for (int64_t t = 0; t < run->count; t++, row++) {
            positions[row] = (int32_t)(run->first + t);
            slots[row] = (int32_t)run->slot;
            turns[row] = turn_row(pass, run, run->first + t, row);
        }
    }
    for (; row < rows; row++) { /* what fills up a recorded pass: texts of one token */
        mg_kv_run filler = { (int32_t)pass->cache->slots, 0, 1, (int32_t)row };
        mg_run first_token = { pass->cache->slots, 0, 1, 0 };
        host[row] = 0;
        positions[row] = 0;
        slots[row] = filler.slot;
        turns[row] = turn_row(pass, &first_token, 0, row);
        runs[row] = filler;
    }
    for (int64_t i = 0; i < args->logit_count; i++) {
        int64_t at = args->logit_rows[i];
        MG_ASSERT(at >= 0 && at < rows && (i == 0 || at > args->logit_rows[i - 1]));
        out_index[i] = (int32_t)at;
        out_runs[i].slot = slots[at];
        out_runs[i].first = positions[at];
        out_runs[i].count = 1;
        out_runs[i].row = (int32_t)at;
    }
    if (device != host) {
        MG_TRY(pass->model->device->upload(pass->stream, device, host,
                                           (size_t)(rows * MG_PASS_INTS) * sizeof(int32_t), err));
    }
    place_ints(pass);
    return MG_OK;
}

static mg_status norm(const mg_pass *pass, float *out, const float *x, const mg_vector *weight,
                      const mg_vector *bias, int64_t rows, mg_error *err)
{
    const mg_model *model = pass->model;
    int64_t dim = model->config.hidden_size;
    float epsilon = pass->epsilon;
    if (model->arch->norm == MG_NORM_RMS) {
        mg_rmsnorm_args args = { out,  x,   weight->data, rows,    1,
                                 dim,  dim, dim,          epsilon, model->arch->norm_offset,
                                 false };
        return pass->ops->rmsnorm(pass->stream, &args, err);
    }
    mg_layernorm_args args = { out, x,   weight->data, bias->data, rows, 1,
                               dim, dim, dim,          epsilon,    false };
    return pass->ops->layernorm(pass->stream, &args, err);
}

/* In place on `heads` heads of each row, which begin at x. */
static mg_status norm_heads(const mg_pass *pass, float *x, const mg_vector *weight, int64_t heads,
                            int64_t stride, mg_error *err)
{
    const mg_model *model = pass->model;
    int64_t dim = model->config.head_dim;
    bool by_head = weight->count > dim;
    float epsilon = (float)model->config.norm_epsilon;
    if (weight->data == NULL) {
        return MG_OK;
    }
    if (model->arch->norm == MG_NORM_RMS) {
        mg_rmsnorm_args args = { x,      x,      weight->data, pass->rows, heads,
                                 dim,    stride, stride,       epsilon,    model->arch->norm_offset,
                                 by_head };
        return pass->ops->rmsnorm(pass->stream, &args, err);
    }
    mg_layernorm_args args = { x,   x,      weight->data, NULL,    pass->rows, heads,
                               dim, stride, stride,       epsilon, by_head };
    return pass->ops->layernorm(pass->stream, &args, err);
}

static mg_status linear(const mg_pass *pass, float *out, const float *x, const mg_weight *weight,
                        const float *bias, const float *residual, int64_t rows, int64_t x_stride,
                        mg_error *err)
{
    mg_linear_args args = { out, x, *weight, bias, residual, rows, x_stride, weight->out_dim };
    return pass->ops->linear(pass->stream, &args, err);
}

/* x += norm(y), y being overwritten. */
static mg_status add_normed(const mg_pass *pass, float *x, float *y, const mg_vector *weight,
                            int64_t rows, mg_error *err)
{
    mg_vector no_bias = { NULL, 0, 0 };
    mg_pass plain = *pass; /* what the layer adds has no factors in it */
    plain.epsilon = (float)pass->model->config.norm_epsilon;
    MG_TRY(norm(&plain, y, y, weight, &no_bias, rows, err));
    mg_add_args add = { x, x, y, rows * pass->model->config.hidden_size };
    return pass->ops->add(pass->stream, &add, err);
}

/* x += heads Wo or, where a norm stands behind, x += norm(heads Wo).  scratch: (rows, H). */
static mg_status add_projection(const mg_pass *pass, float *x, float *scratch, const float *input,
                                int64_t input_stride, const mg_weight *weight,
                                const mg_vector *bias, const mg_vector *after, int64_t rows,
                                mg_error *err)
{
    if (after->data == NULL) {
        return linear(pass, x, input, weight, bias->data, x, rows, input_stride, err);
    }
    MG_TRY(linear(pass, scratch, input, weight, bias->data, NULL, rows, input_stride, err));
    return add_normed(pass, x, scratch, after, rows, err);
}

/* q, k and v of all rows: projected, normed, rotated, stored. */
static mg_status project_heads(const mg_pass *pass, int64_t index, mg_error *err)
{
    const mg_model *model = pass->model;
    const mg_model_config *c = &model->config;
    const mg_layer *layer = &model->layers[index];
    mg_workspace *space = pass->space;
    const mg_weight *weight = &layer->matrices[MG_MATRIX_QKV].weight;
    int64_t stride = weight->out_dim;
    float *q = space->qkv;
    float *k = q + c->head_count * c->head_dim;
    float *v = k + c->kv_head_count * c->head_dim;
    MG_TRY(linear(pass, q, space->normed, weight, layer->vectors[MG_VECTOR_QKV_BIAS].data, NULL,
                  pass->rows, c->hidden_size, err));
    MG_TRY(norm_heads(pass, q, &layer->vectors[MG_VECTOR_Q_NORM], c->head_count, stride, err));
    MG_TRY(norm_heads(pass, k, &layer->vectors[MG_VECTOR_K_NORM], c->kv_head_count, stride, err));
    bool local = model->arch->local_rope && c->layer_is_sliding[index];
    const mg_rope_table *table = local ? &pass->cache->rope_local : &pass->cache->rope;
    bool by_row = !local && model->rope.kind == MG_ROPE_DYNAMIC;
    mg_rope_args rope = { q,
                          by_row ? space->turn_cos : table->cosines,
                          by_row ? space->turn_sin : table->sines,
                          local ? pass->positions : pass->turn_rows,
                          pass->rows,
                          stride,
                          c->head_count + c->kv_head_count,
                          c->head_dim,
                          model->rotary_dim };
    mg_kv_store_args store = {
        pass->cache->layers[index], k, v, stride, pass->slots, pass->positions, pass->rows
    };
    if (pass->ops->rope_store != NULL) {
        mg_rope_store_args both = { rope, store };
        return pass->ops->rope_store(pass->stream, &both, err);
    }
    MG_TRY(pass->ops->rope(pass->stream, &rope, err));
    return pass->ops->kv_store(pass->stream, &store, err);
}

static mg_status attend(const mg_pass *pass, int64_t index, bool out_rows_only, mg_error *err)
{
    const mg_model *model = pass->model;
    const mg_model_config *c = &model->config;
    int64_t width = c->head_count * c->head_dim;
    mg_attention_args args = { pass->space->heads,
                               pass->space->qkv,
                               model->layers[index].matrices[MG_MATRIX_QKV].weight.out_dim,
                               width,
                               pass->cache->layers[index],
                               c->head_count,
                               out_rows_only ? pass->out_runs : pass->runs,
                               out_rows_only ? pass->out_rows : pass->run_count,
                               out_rows_only ? pass->out_rows : pass->rows,
                               out_rows_only ? 1 : pass->run_rows_max,
                               model->attention_scale,
                               (float)c->attention_softcap,
                               c->layer_is_sliding[index] ? c->sliding_window : 0 };
    return pass->ops->attention(pass->stream, &args, err);
}

static mg_status gather(const mg_pass *pass, float *out, const float *x, int64_t dim, mg_error *err)
{
    mg_gather_args args = { out, x, pass->out_index, pass->out_rows, dim };
    return pass->ops->gather(pass->stream, &args, err);
}

/* x += mlp(normed) as one operation. */
static mg_status add_whole_mlp(const mg_pass *pass, const mg_layer *layer, float *x, int64_t rows,
                               mg_error *err)
{
    const mg_model *model = pass->model;
    mg_workspace *space = pass->space;
    int64_t hidden = model->config.hidden_size;
    const mg_vector *after = &layer->vectors[MG_VECTOR_AFTER_MLP_NORM];
    bool plain = after->data == NULL;
    mg_mlp_args args = { plain ? x : space->normed,
                         space->normed,
                         layer->matrices[MG_MATRIX_GATE_UP].weight,
                         layer->matrices[MG_MATRIX_DOWN].weight,
                         layer->vectors[MG_VECTOR_DOWN_BIAS].data,
                         plain ? x : NULL,
                         space->mlp,
                         rows,
                         hidden,
                         hidden,
                         model->activation };
    MG_TRY(pass->ops->mlp(pass->stream, &args, err));
    return plain ? MG_OK : add_normed(pass, x, space->normed, after, rows, err);
}

/* x += mlp(normed) */
static mg_status add_mlp(const mg_pass *pass, const mg_layer *layer, float *x, int64_t rows,
                         mg_error *err)
{
    const mg_model *model = pass->model;
    mg_workspace *space = pass->space;
    if (layer->expert_down != NULL) {
        return mg_experts_forward(model, layer, space->experts, x, space->normed, rows,
                                  pass->stream, err);
    }
    const mg_weight *gate_up = &layer->matrices[MG_MATRIX_GATE_UP].weight;
    int64_t inner = model->config.intermediate_size;
    int64_t stride = gate_up->out_dim;
    if (pass->ops->mlp != NULL && stride > inner &&
        layer->vectors[MG_VECTOR_GATE_UP_BIAS].data == NULL) {
        return add_whole_mlp(pass, layer, x, rows, err);
    }
    MG_TRY(linear(pass, space->mlp, space->normed, gate_up,
                  layer->vectors[MG_VECTOR_GATE_UP_BIAS].data, NULL, rows,
                  model->config.hidden_size, err));
    mg_gate_args gate = { space->mlp,
                          space->mlp,
                          stride > inner ? space->mlp + inner : NULL,
                          rows,
                          inner,
                          stride,
                          stride,
                          model->activation };
    MG_TRY(pass->ops->gate(pass->stream, &gate, err));
    return add_projection(
        pass, x, space->normed, space->mlp, stride, &layer->matrices[MG_MATRIX_DOWN].weight,
        &layer->vectors[MG_VECTOR_DOWN_BIAS], &layer->vectors[MG_VECTOR_AFTER_MLP_NORM], rows, err);
}

/* The epsilon of the norms in a layer, or of the final norm when index is one behind the last. */
static float epsilon_at(const mg_model *model, int64_t index)
{
    return model->hop_epsilons != NULL ? model->hop_epsilons[index]
                                       : (float)model->config.norm_epsilon;
}

/* x *= the factor in front of a layer of a path. */
static mg_status scale_stream(const mg_pass *pass, int64_t index, float *x, mg_error *err)
{
    const mg_model *model = pass->model;
    if (model->hop_scales == NULL || model->hop_scales[index] == 1.0f) {
        return MG_OK;
    }
    mg_scale_args args = { x,
                           MG_F32,
                           MG_F32,
                           { x, MG_F32 },
                           (double)model->hop_scales[index],
                           pass->rows * model->config.hidden_size };
    return model->device->mix->scale(pass->stream, &args, err);
}

/* One layer.  *x_inout is the residual stream; the last layer narrows it to the rows that get
 * logits, and leaves it alone when there are none. */
static mg_status run_layer(const mg_pass *pass, int64_t index, float **x_inout, mg_error *err)
{
    const mg_model *model = pass->model;
    const mg_model_config *c = &model->config;
    const mg_layer *layer = &model->layers[index];
    const mg_vector *vectors = layer->vectors;
    mg_workspace *space = pass->space;
    float *x = *x_inout;
    const float *heads = space->heads;
    int64_t rows = pass->rows;
    int64_t width = c->head_count * c->head_dim;
    bool narrow = index == c->layer_count - 1 && !pass->all_rows_out;

    MG_TRY(scale_stream(pass, index, x, err));
    MG_TRY(norm(pass, space->normed, x, &vectors[MG_VECTOR_ATTENTION_NORM],
                &vectors[MG_VECTOR_ATTENTION_NORM_BIAS], rows, err));
    MG_TRY(project_heads(pass, index, err));
    if (narrow && pass->out_rows == 0) {
        return MG_OK;
    }
    MG_TRY(attend(pass, index, narrow, err));
    if (narrow) {
        MG_TRY(gather(pass, space->heads_out, heads, width, err));
        MG_TRY(gather(pass, space->x_out, x, c->hidden_size, err));
        heads = space->heads_out;
        x = space->x_out;
        rows = pass->out_rows;
    }
    const mg_vector *mlp_norm = &vectors[MG_VECTOR_MLP_NORM];
    const mg_vector *mlp_bias = &vectors[MG_VECTOR_MLP_NORM_BIAS];
    if (c->parallel_residual) {
        /* The MLP's input comes from x as it was; the norm is taken again where rows were dropped
         * or the layer has only one. */
        bool own = mlp_norm->data != NULL;
        MG_TRY(norm(pass, space->normed, x, own ? mlp_norm : &vectors[MG_VECTOR_ATTENTION_NORM],
                    own ? mlp_bias : &vectors[MG_VECTOR_ATTENTION_NORM_BIAS], rows, err));
    }
    MG_TRY(add_projection(pass, x, space->normed, heads, width,
                          &layer->matrices[MG_MATRIX_OUT].weight, &vectors[MG_VECTOR_OUT_BIAS],
                          &vectors[MG_VECTOR_AFTER_ATTENTION_NORM], rows, err));
    if (!c->parallel_residual) {
        MG_TRY(norm(pass, space->normed, x, mlp_norm, mlp_bias, rows, err));
    }
    *x_inout = x;
    return add_mlp(pass, layer, x, rows, err);
}

static mg_status run_head(const mg_pass *pass, const float *x, float *logits_out, mg_error *err)
{
    const mg_model *model = pass->model;
    const mg_weight *head =
        model->config.tie_embeddings ? &model->embedding.weight : &model->head.weight;
    MG_TRY(norm(pass, pass->space->normed, x, &model->final_norm, &model->final_norm_bias,
                pass->out_rows, err));
    MG_TRY(linear(pass, logits_out, pass->space->normed, head, NULL, NULL, pass->out_rows,
                  model->config.hidden_size, err));
    if (model->config.final_softcap > 0.0) {
        mg_softcap_args cap = { logits_out, pass->out_rows * model->config.vocab_size,
                                (float)model->config.final_softcap };
        return pass->ops->softcap(pass->stream, &cap, err);
    }
    return MG_OK;
}

static int64_t fill_up(int64_t rows)
{
    return (rows + MG_RECORDED_ROWS_STEP - 1) / MG_RECORDED_ROWS_STEP * MG_RECORDED_ROWS_STEP;
}

/* A step of generation on a device that records sequences: every run is one token. */
static bool is_recordable(const mg_model *model, const mg_forward_args *args)
{
    return model->device->sequence_begin != NULL && args->token_count == args->run_count &&
           args->logit_count == args->token_count && args->token_count <= MG_RECORDED_ROWS_MAX &&
           model->rope.kind != MG_ROPE_DYNAMIC &&
           mg_experts_stay_on_device(model, fill_up(args->token_count));
}

/* Embedding and layers; *x_out is the residual stream behind them. */
static mg_status run_layers(const mg_pass *pass, float **x_out, mg_error *err)
{
    const mg_model *model = pass->model;
    mg_embed_args embed = { pass->space->x, model->embedding.weight, pass->tokens, pass->rows,
                            model->embedding_scale };
    *x_out = pass->space->x;
    MG_TRY(pass->ops->embed(pass->stream, &embed, err));
    for (int64_t i = 0; i < model->config.layer_count; i++) {
        mg_pass here = *pass;
        here.epsilon = epsilon_at(model, i);
        MG_TRY(run_layer(&here, i, x_out, err));
    }
    return MG_OK;
}

/* The same, recorded under what its arguments depend on. */
static mg_status replay_layers(const mg_pass *pass, float **x_out, mg_error *err)
{
    const mg_device *device = pass->model->device;
    const uint64_t parts[] = { (uint64_t)(uintptr_t)pass->model, pass->cache->serial,
                               (uint64_t)(uintptr_t)pass->space->x,
                               (uint64_t)(uintptr_t)pass->space->ints, (uint64_t)pass->rows };
    bool replayed = false;
    *x_out = pass->space->x;
    MG_TRY(
        device->sequence_begin(pass->stream, mg_hash64(parts, sizeof(parts), 0), &replayed, err));
    if (replayed) {
        return MG_OK;
    }
    mg_status status = run_layers(pass, x_out, err);
    mg_status ended = device->sequence_end(pass->stream, status == MG_OK, err);
    return status != MG_OK ? status : ended;
}

static mg_pass begin_pass(const mg_model *model, mg_kv_cache *cache, mg_stream *stream)
{
    mg_pass pass = { 0 };
    pass.model = model;
    pass.ops = model->ops;
    pass.cache = cache;
    pass.space = &cache->space;
    pass.stream = stream;
    MG_ASSERT(cache->model == model);
    return pass;
}

/* The layers and the head, once the integers are in place. */
static mg_status run_pass(mg_pass *pass, bool recordable, float *logits_out, mg_error *err)
{
    float *x = NULL;
    MG_TRY(recordable ? replay_layers(pass, &x, err) : run_layers(pass, &x, err));
    pass->epsilon = epsilon_at(pass->model, pass->model->config.layer_count);
    return pass->out_rows > 0 ? run_head(pass, x, logits_out, err) : MG_OK;
}

mg_status mg_model_forward(mg_model *model, const mg_forward_args *args, mg_stream *stream,
                           mg_error *err)
{
    mg_pass pass = begin_pass(model, args->cache, stream);
    pass.rows = args->token_count;
    pass.run_count = args->run_count;
    pass.out_rows = args->logit_count;
    pass.all_rows_out = args->logit_count == args->token_count;
    bool recordable = is_recordable(model, args);
    if (recordable) {
        pass.rows = fill_up(pass.rows);
        pass.run_count = pass.rows;
    }
    MG_TRY(check_args(model, args, err));
    MG_TRY(mg_kv_cache_reserve(args->cache, pass.rows, err));
    pass.space->step_rows = 0;
    MG_TRY(make_ints(&pass, args, err));
    MG_TRY(mg_kv_cache_publish(args->cache, stream, err));
    if (model->rope.kind == MG_ROPE_DYNAMIC) {
        MG_TRY(make_turns(&pass, args, err));
    }
    MG_TRY(run_pass(&pass, recordable, args->logits_out, err));
    pass.space->step_rows =
        pass.all_rows_out && args->run_count == args->token_count ? pass.rows : 0;
    return MG_OK;
}

bool mg_model_can_step(const mg_model *model, int64_t row_count)
{
    return model->ops->next != NULL && model->device->fetch_begin != NULL &&
           fill_up(row_count) <= MG_NEXT_ROWS_MAX && model->rope.kind != MG_ROPE_DYNAMIC &&
           !mg_model_rope_depends_on_length(model);
}

/* The rows of the step that `rows` rows laid out in ints stand for. */
static mg_step_rows step_rows_of(int32_t *ints, int64_t rows)
{
    mg_step_rows step = { ints, ints + rows, ints + 2 * rows, ints + 3 * rows,
                          (mg_kv_run *)(void *)(ints + 5 * rows) };
    return step;
}

mg_status mg_model_step(mg_model *model, const mg_step_args *args, mg_stream *stream, mg_error *err)
{
    mg_pass pass = begin_pass(model, args->cache, stream);
    mg_workspace *space = pass.space;
    bool recordable = model->device->sequence_begin != NULL &&
                      mg_experts_stay_on_device(model, fill_up(args->row_count));
    int32_t index[MG_NEXT_ROWS_MAX];
    MG_ASSERT(args->row_count > 0 && args->row_count <= space->step_rows);
    MG_ASSERT(mg_model_can_step(model, args->row_count));
    pass.rows = recordable ? fill_up(args->row_count) : args->row_count;
    pass.run_count = pass.rows;
    pass.run_rows_max = 1;
    pass.out_rows = args->row_count;
    pass.all_rows_out = true;
    for (int64_t r = 0; r < pass.rows; r++) {
        index[r] = r < args->row_count ? args->rows[r] : -1;
    }
    mg_next_args next = { .from = step_rows_of(space->ints, space->step_rows),
                          .to = step_rows_of(space->ints, pass.rows),
                          .picked = args->picked,
                          .index = space->next_index,
                          .text_ends = args->text_ends,
                          .end_ids = args->end_ids,
                          .end_id_count = args->end_id_count,
                          .rows = pass.rows,
                          .filler_slot = (int32_t)args->cache->slots };
    space->step_rows = 0;
    place_ints(&pass);
    MG_TRY(model->device->upload(stream, space->next_index, index,
                                 (size_t)pass.rows * sizeof(int32_t), err));
    MG_TRY(mg_kv_cache_publish(args->cache, stream, err));
    MG_TRY(pass.ops->next(stream, &next, err));
    MG_TRY(run_pass(&pass, recordable, args->logits_out, err));
    space->step_rows = pass.rows;
    return MG_OK;
}
