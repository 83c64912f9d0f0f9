/* model/experts.c - a mixture of experts in place of the MLP (models.md 5.6).
 *
 * The router's scores deal the rows out on the device: rows of one expert lie together, pass
 * through its matrices in one go, and are added back in ascending order of experts.  In passes of
 * few rows the host learns nothing of that, so that they can be recorded; for longer ones it learns
 * how many rows each expert has, which makes better products. */
#include <string.h>

#include "base/memory.h"
#include "model/model_internal.h"

struct mg_expert_space {
    const mg_device *device;
    float *scores;   /* (tokens, X) */
    float *input;    /* (tokens * k, H) */
    float *inner;    /* (tokens * k, 2*I) */
    float *output;   /* (tokens * k, H) */
    float *weights;  /* (tokens, k), and below: see mg_route_args */
    int32_t *chosen; /* (tokens, k) */
    int32_t *places; /* (tokens, k) */
    int32_t *index;  /* (tokens * k) */
    int32_t *first;  /* X + 1 */
    int32_t *host_first;
    mg_weight *gate_up; /* of a layer's experts, in host memory */
    mg_weight *down;
};

/* Rows of a pass up to which the device is left alone: 32 for each of Mixtral's experts. */
#define MG_EXPERTS_ROWS 128

static mg_status alloc_ints(const mg_device *device, int64_t count, int32_t **out, size_t *bytes,
                            mg_error *err)
{
    float *numbers = NULL;
    MG_TRY(mg_alloc_floats(device, count, 1, "experts", &numbers, bytes, err));
    *out = (int32_t *)numbers;
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
    const char *what = "experts";
    space->device = device;
    if (c->experts_per_token > MG_EXPERTS_KEPT_MAX) {
        status = mg_fail(err, MG_ERR_UNSUPPORTED, "%lld experts for each token, at most %d",
                         (long long)c->experts_per_token, MG_EXPERTS_KEPT_MAX);
        goto done;
    }
    MG_TRY_OR_DONE(
        mg_alloc_floats(device, tokens_cap, c->expert_count, what, &space->scores, bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, dealt, hidden, what, &space->input, bytes, err));
    MG_TRY_OR_DONE(
        mg_alloc_floats(device, dealt, 2 * c->intermediate_size, what, &space->inner, bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, dealt, hidden, what, &space->output, bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, dealt, 1, what, &space->weights, bytes, err));
    MG_TRY_OR_DONE(alloc_ints(device, dealt, &space->chosen, bytes, err));
    MG_TRY_OR_DONE(alloc_ints(device, dealt, &space->places, bytes, err));
    MG_TRY_OR_DONE(alloc_ints(device, dealt, &space->index, bytes, err));
    MG_TRY_OR_DONE(alloc_ints(device, c->expert_count + 1, &space->first, bytes, err));
    space->host_first = mg_new_array(int32_t, c->expert_count + 1);
    space->gate_up = mg_new_array(mg_weight, c->expert_count);
    space->down = mg_new_array(mg_weight, c->expert_count);
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
    device->free(device, space->weights);
    device->free(device, space->chosen);
    device->free(device, space->places);
    device->free(device, space->index);
    device->free(device, space->first);
    mg_free(space->host_first);
    mg_free(space->gate_up);
    mg_free(space->down);
    mg_free(space);
}

/* The dealt rows through their experts: output = down(act(gate) * up). */
static mg_status run_experts(const mg_model *model, const mg_layer *layer, mg_expert_space *space,
                             mg_stream *stream, mg_error *err)
{
    const mg_model_config *c = &model->config;
    int64_t inner = c->intermediate_size;
    for (int64_t e = 0; e < c->expert_count; e++) {
        int64_t first = space->host_first[e];
        int64_t rows = space->host_first[e + 1] - first;
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

bool mg_experts_stay_on_device(const mg_model *model, int64_t rows)
{
    return model->config.expert_count == 0 ||
           (model->ops->experts != NULL && rows <= MG_EXPERTS_ROWS);
}

/* The same as one operation. */
static mg_status run_together(const mg_model *model, const mg_layer *layer, mg_expert_space *space,
                              int64_t places, mg_stream *stream, mg_error *err)
{
    int64_t count = model->config.expert_count;
    for (int64_t e = 0; e < count; e++) {
        space->gate_up[e] = layer->expert_gate_up[e].weight;
        space->down[e] = layer->expert_down[e].weight;
    }
    mg_experts_args args = { space->output,  space->input, space->first,
                             space->gate_up, space->down,  space->inner,
                             places,         count,        model->activation };
    return model->ops->experts(stream, &args, err);
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
    mg_linear_args route = {
        space->scores, normed,         layer->matrices[MG_MATRIX_ROUTER].weight, NULL, NULL, rows,
        hidden,        c->expert_count
    };
    MG_TRY(model->ops->linear(stream, &route, err));
    mg_route_args deal = { space->chosen, space->weights,  space->places,
                           space->index,  space->first,    space->scores,
                           rows,          c->expert_count, keep };
    MG_TRY(model->ops->route(stream, &deal, err));
    mg_gather_args gather = { space->input, normed, space->index, dealt, hidden };
    MG_TRY(model->ops->gather(stream, &gather, err));
    if (mg_experts_stay_on_device(model, rows)) {
        MG_TRY(run_together(model, layer, space, dealt, stream, err));
    } else {
        MG_TRY(device->download(stream, space->host_first, space->first,
                                (size_t)(c->expert_count + 1) * sizeof(int32_t), err));
        MG_TRY(run_experts(model, layer, space, stream, err));
    }
    mg_combine_args add = { x,    space->output, space->chosen, space->weights, space->places,
                            rows, keep,          hidden };
    return model->ops->combine(stream, &add, err);
}
