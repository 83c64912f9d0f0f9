/* model/experts.c - a mixture of experts in place of the MLP (models.md 5.6).
 *
 * The router's scores come to the host, which deals the rows out: rows of one expert lie together,
 * pass through its matrices in one go, and are added back in ascending order of experts. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/model_internal.h"

struct mg_expert_space {
    const mg_device *device;
    float *scores;  /* device (tokens, X) */
    float *input;   /* device (tokens * k, H) */
    float *inner;   /* device (tokens * k, 2*I) */
    float *output;  /* device (tokens * k, H) */
    int32_t *index; /* device (tokens * k): the row each dealt row came from */
    float *host_scores;
    float *host_output;
    float *host_x;
    int32_t *host_index;
    int32_t *chosen;       /* (tokens, k) experts in order of score */
    float *weights;        /* (tokens, k) */
    float *dealt_weights;  /* (tokens * k) */
    int64_t *expert_first; /* X + 1: rows of expert e are expert_first[e] .. expert_first[e+1]-1 */
};

static mg_status alloc_host(int64_t a, int64_t b, float **out, mg_error *err)
{
    size_t size = 0;
    void *block = NULL;
    if (!mg_size_mul((size_t)a, (size_t)b, &size) || !mg_size_mul(size, sizeof(float), &size)) {
        return mg_fail(err, MG_ERR_MEMORY, "no memory for experts");
    }
    MG_TRY(mg_memory_try(size, "experts", &block, err));
    *out = (float *)block;
    return MG_OK;
}

mg_status mg_expert_space_create(const mg_model *model, int64_t tokens_cap,
                                 mg_expert_space **space_out, size_t *bytes, mg_error *err)
{
    *space_out = NULL;
    mg_status status = MG_OK;
    mg_expert_space *space = mg_new(mg_expert_space);
    const mg_model_config *c = &model->config;
    const mg_device *device = model->device;
    int64_t dealt = tokens_cap * c->experts_per_token;
    int64_t hidden = c->hidden_size;
    float *numbers = NULL;
    space->device = device;
    MG_TRY_OR_DONE(mg_alloc_floats(device, tokens_cap, c->expert_count, "experts", &space->scores,
                                   bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, dealt, hidden, "experts", &space->input, bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, dealt, 2 * c->intermediate_size, "experts",
                                   &space->inner, bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, dealt, hidden, "experts", &space->output, bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, dealt, 1, "experts", &numbers, bytes, err));
    space->index = (int32_t *)numbers;
    MG_TRY_OR_DONE(alloc_host(tokens_cap, c->expert_count, &space->host_scores, err));
    MG_TRY_OR_DONE(alloc_host(dealt, hidden, &space->host_output, err));
    MG_TRY_OR_DONE(alloc_host(tokens_cap, hidden, &space->host_x, err));
    MG_TRY_OR_DONE(alloc_host(dealt, 1, &space->weights, err));
    MG_TRY_OR_DONE(alloc_host(dealt, 1, &space->dealt_weights, err));
    MG_TRY_OR_DONE(alloc_host(dealt, 1, &numbers, err));
    space->host_index = (int32_t *)numbers;
    MG_TRY_OR_DONE(alloc_host(dealt, 1, &numbers, err));
    space->chosen = (int32_t *)numbers;
    space->expert_first = mg_new_array(int64_t, c->expert_count + 1);
    *space_out = space;
    space = NULL; /* handed over */

done:
    mg_expert_space_destroy(space);
    return status;
}

void mg_expert_space_destroy(mg_expert_space *space)
{
    if (space == NULL) {
        return;
    }
    const mg_device *device = space->device;
    device->free(device, space->scores);
    device->free(device, space->input);
    device->free(device, space->inner);
    device->free(device, space->output);
    device->free(device, space->index);
    mg_free_aligned(space->host_scores);
    mg_free_aligned(space->host_output);
    mg_free_aligned(space->host_x);
    mg_free_aligned(space->weights);
    mg_free_aligned(space->dealt_weights);
    mg_free_aligned(space->host_index);
    mg_free_aligned(space->chosen);
    mg_free(space->expert_first);
    mg_free(space);
}

/* The `keep` experts of the largest softmax, lower index first on ties, with weights that sum to 1.
 * scores are overwritten. */
static void choose(float *scores, int64_t expert_count, int64_t keep, int32_t *chosen_out,
                   float *weights_out)
{
    float largest = scores[0];
    for (int64_t e = 1; e < expert_count; e++) {
        largest = fmaxf(largest, scores[e]);
    }
    float sum = 0.0f;
    for (int64_t e = 0; e < expert_count; e++) {
        scores[e] = expf(scores[e] - largest);
        sum += scores[e];
    }
    float kept = 0.0f;
    for (int64_t i = 0; i < keep; i++) {
        int64_t best = -1;
        for (int64_t e = 0; e < expert_count; e++) {
            /* Scores that are not numbers choose the first experts: the result stays NaN. */
            if (scores[e] != -1.0f && (best < 0 || scores[e] > scores[best])) {
                best = e;
            }
        }
        chosen_out[i] = (int32_t)best;
        weights_out[i] = scores[best] / sum;
        kept += weights_out[i];
        scores[best] = -1.0f;
    }
    for (int64_t i = 0; i < keep; i++) {
        weights_out[i] /= kept;
    }
}

/* Puts the (row, expert) pairs in order of experts, rows ascending within one. */
static void deal(mg_expert_space *space, int64_t rows, int64_t expert_count, int64_t keep)
{
    memset(space->expert_first, 0, (size_t)(expert_count + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < rows * keep; i++) {
        space->expert_first[space->chosen[i] + 1]++;
    }
    for (int64_t e = 0; e < expert_count; e++) {
        space->expert_first[e + 1] += space->expert_first[e];
    }
    for (int64_t i = 0; i < rows * keep; i++) {
        int64_t at = space->expert_first[space->chosen[i]]++;
        space->host_index[at] = (int32_t)(i / keep);
        space->dealt_weights[at] = space->weights[i];
    }
    for (int64_t e = expert_count; e > 0; e--) { /* each first was moved to its end */
        space->expert_first[e] = space->expert_first[e - 1];
    }
    space->expert_first[0] = 0;
}

/* The dealt rows through their experts: output = down(act(gate) * up). */
static mg_status run_experts(const mg_model *model, const mg_layer *layer, mg_expert_space *space,
                             mg_stream *stream, mg_error *err)
{
    const mg_model_config *c = &model->config;
    int64_t inner = c->intermediate_size;
    for (int64_t e = 0; e < c->expert_count; e++) {
        int64_t first = space->expert_first[e];
        int64_t rows = space->expert_first[e + 1] - first;
        if (rows == 0) {
            continue;
        }
        float *in = space->input + first * c->hidden_size;
        float *out = space->output + first * c->hidden_size;
        float *mid = space->inner + first * 2 * inner;
        mg_linear_args up = {
            mid, in, layer->expert_gate_up[e].weight, NULL, NULL, rows, c->hidden_size, 2 * inner
        };
        MG_TRY(model->ops->linear(stream, &up, err));
        mg_gate_args gate = { mid,   mid,       mid + inner, rows,
                              inner, 2 * inner, 2 * inner,   model->activation };
        MG_TRY(model->ops->gate(stream, &gate, err));
        mg_linear_args down = { out,       mid,           layer->expert_down[e].weight,
                                NULL,      NULL,          rows,
                                2 * inner, c->hidden_size };
        MG_TRY(model->ops->linear(stream, &down, err));
    }
    return MG_OK;
}

mg_status mg_experts_forward(const mg_model *model, const mg_layer *layer, mg_expert_space *space,
                             float *x, const float *normed, int64_t rows, mg_stream *stream,
                             mg_error *err)
{
    const mg_model_config *c = &model->config;
    const mg_device *device = model->device;
    int64_t keep = c->experts_per_token;
    int64_t hidden = c->hidden_size;
    int64_t dealt = rows * keep;
    size_t x_bytes = (size_t)(rows * hidden) * sizeof(float);
    size_t score_bytes = (size_t)(rows * c->expert_count) * sizeof(float);
    mg_linear_args route = {
        space->scores, normed,         layer->matrices[MG_MATRIX_ROUTER].weight, NULL, NULL, rows,
        hidden,        c->expert_count
    };
    MG_TRY(model->ops->linear(stream, &route, err));
    MG_TRY(device->download(stream, space->host_scores, space->scores, score_bytes, err));
    for (int64_t r = 0; r < rows; r++) {
        choose(space->host_scores + r * c->expert_count, c->expert_count, keep,
               space->chosen + r * keep, space->weights + r * keep);
    }
    deal(space, rows, c->expert_count, keep);
    MG_TRY(device->upload(stream, space->index, space->host_index, (size_t)dealt * sizeof(int32_t),
                          err));
    mg_gather_args gather = { space->input, normed, space->index, dealt, hidden };
    MG_TRY(model->ops->gather(stream, &gather, err));
    MG_TRY(run_experts(model, layer, space, stream, err));
    MG_TRY(device->download(stream, space->host_output, space->output,
                            (size_t)(dealt * hidden) * sizeof(float), err));
    /* The experts' outputs are summed first, then added to the residual stream. */
    memset(space->host_x, 0, x_bytes);
    for (int64_t i = 0; i < dealt; i++) {
        float *sum = space->host_x + space->host_index[i] * hidden;
        const float *from = space->host_output + i * hidden;
        for (int64_t k = 0; k < hidden; k++) {
            sum[k] += space->dealt_weights[i] * from[k];
        }
    }
    MG_TRY(device->upload(stream, space->output, space->host_x, x_bytes, err));
    mg_add_args add = { x, x, space->output, rows * hidden };
    return model->ops->add(stream, &add, err);
}
