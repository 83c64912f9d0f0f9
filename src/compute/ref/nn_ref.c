/* compute/ref/nn_ref.c - norms, rotation, activations and choices in plain C, and ref's table. */
#include "compute/ref/nn_ref_internal.h"

#include <math.h>

#include "compute/device_internal.h"
#include "compute/math_internal.h"

static mg_status rmsnorm_ref(mg_stream *stream, const mg_rmsnorm_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t r = 0; r < args->rows; r++) {
        for (int64_t g = 0; g < args->groups; g++) {
            const float *x = args->x + r * args->x_stride + g * args->dim;
            float *out = args->out + r * args->out_stride + g * args->dim;
            const float *weight = args->weight + (args->weight_per_group ? g * args->dim : 0);
            float lanes[16] = { 0 };
            for (int64_t d = 0; d < args->dim; d++) {
                lanes[d % 16] = fmaf(x[d], x[d], lanes[d % 16]);
            }
            float mean = mg_fold_lanes_ref(lanes) / (float)args->dim;
            float factor = 1.0f / sqrtf(mean + args->epsilon);
            for (int64_t d = 0; d < args->dim; d++) {
                out[d] = (x[d] * factor) * (weight[d] + args->weight_offset);
            }
        }
    }
    return MG_OK;
}

static mg_status layernorm_ref(mg_stream *stream, const mg_layernorm_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t r = 0; r < args->rows; r++) {
        for (int64_t g = 0; g < args->groups; g++) {
            const float *x = args->x + r * args->x_stride + g * args->dim;
            float *out = args->out + r * args->out_stride + g * args->dim;
            int64_t at = args->weight_per_group ? g * args->dim : 0;
            float lanes[16] = { 0 };
            for (int64_t d = 0; d < args->dim; d++) {
                lanes[d % 16] = lanes[d % 16] + x[d];
            }
            float mean = mg_fold_lanes_ref(lanes) / (float)args->dim;
            float squares[16] = { 0 };
            for (int64_t d = 0; d < args->dim; d++) {
                float delta = x[d] - mean;
                squares[d % 16] = fmaf(delta, delta, squares[d % 16]);
            }
            float variance = mg_fold_lanes_ref(squares) / (float)args->dim;
            float factor = 1.0f / sqrtf(variance + args->epsilon);
            for (int64_t d = 0; d < args->dim; d++) {
                float bias = args->bias != NULL ? args->bias[at + d] : 0.0f;
                out[d] = fmaf((x[d] - mean) * factor, args->weight[at + d], bias);
            }
        }
    }
    return MG_OK;
}

static mg_status rope_ref(mg_stream *stream, const mg_rope_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    int64_t half = args->rotary_dim / 2;
    MG_ASSERT(2 * half == args->rotary_dim && args->rotary_dim <= args->head_dim);
    for (int64_t r = 0; r < args->rows; r++) {
        const float *cos_row = args->cos_table + args->positions[r] * half;
        const float *sin_row = args->sin_table + args->positions[r] * half;
        for (int64_t g = 0; g < args->heads; g++) {
            float *x = args->x + r * args->x_stride + g * args->head_dim;
            for (int64_t m = 0; m < half; m++) {
                float low = x[m];
                float high = x[m + half];
                x[m] = fmaf(low, cos_row[m], -(high * sin_row[m]));
                x[m + half] = fmaf(high, cos_row[m], low * sin_row[m]);
            }
        }
    }
    return MG_OK;
}

static float activate(mg_nn_activation activation, float x)
{
    switch (activation) {
    case MG_NN_SILU:
        return mg_silu(x);
    case MG_NN_GELU:
        return mg_gelu(x);
    case MG_NN_GELU_TANH:
        break;
    }
    return mg_gelu_tanh(x);
}

static mg_status gate_ref(mg_stream *stream, const mg_gate_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t r = 0; r < args->rows; r++) {
        for (int64_t d = 0; d < args->dim; d++) {
            float value = activate(args->activation, args->gate[r * args->x_stride + d]);
            if (args->up != NULL) {
                value = value * args->up[r * args->x_stride + d];
            }
            args->out[r * args->out_stride + d] = value;
        }
    }
    return MG_OK;
}

static mg_status add_ref(mg_stream *stream, const mg_add_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t i = 0; i < args->count; i++) {
        args->out[i] = args->x[i] + args->y[i];
    }
    return MG_OK;
}

static mg_status softcap_ref(mg_stream *stream, const mg_softcap_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t i = 0; i < args->count; i++) {
        args->x[i] = args->cap * mg_tanh(args->x[i] / args->cap);
    }
    return MG_OK;
}

static mg_status argmax_ref(mg_stream *stream, const mg_argmax_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t r = 0; r < args->rows; r++) {
        const float *x = args->x + r * args->dim;
        int32_t best = 0;
        for (int64_t d = 0; d < args->dim; d++) {
            if (!isfinite(x[d])) {
                best = -1;
                break;
            }
            best = x[d] > x[best] ? (int32_t)d : best;
        }
        args->ids_out[r] = best;
    }
    return MG_OK;
}

/* log(sum exp(x - max)) with the sum of each piece in 16 lanes. */
static double log_sum(const float *x, int64_t dim, float max)
{
    double sum = 0.0;
    for (int64_t piece = 0; piece < dim; piece += MG_LOGPROB_PIECE) {
        float lanes[16] = { 0 };
        for (int64_t d = piece; d < MG_MIN(dim, piece + MG_LOGPROB_PIECE); d++) {
            lanes[d % 16] = lanes[d % 16] + mg_exp(x[d] - max);
        }
        sum += (double)mg_fold_lanes_ref(lanes);
    }
    return log(sum);
}

static mg_status logprob_ref(mg_stream *stream, const mg_logprob_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t r = 0; r < args->rows; r++) {
        const float *x = args->x + r * args->dim;
        MG_ASSERT(args->ids[r] >= 0 && args->ids[r] < args->dim);
        float max = x[0];
        bool is_finite = true;
        for (int64_t d = 0; d < args->dim; d++) {
            max = x[d] > max ? x[d] : max;
            is_finite = is_finite && isfinite(x[d]);
        }
        args->out[r] = NAN;
        if (is_finite) {
            double log_total = log_sum(x, args->dim, max);
            args->out[r] = (float)((double)x[args->ids[r]] - (double)max - log_total);
        }
    }
    return MG_OK;
}

static mg_status nonfinite_ref(mg_stream *stream, const mg_nonfinite_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    size_t element_bytes = (size_t)mg_dtype_bits(args->dtype) / 8;
    int64_t count = 0;
    for (int64_t i = 0; i < args->count; i++) {
        double value;
        mg_dtype_convert(&value, MG_F64, (const char *)args->x + (size_t)i * element_bytes,
                         args->dtype, 1);
        count += isfinite(value) ? 0 : 1;
    }
    *args->count_out = count;
    return MG_OK;
}

/* Row r of the step that follows. */
static void next_row(const mg_next_args *args, int64_t r, int32_t *token_out, mg_kv_run *run_out,
                     int32_t *turn_out)
{
    const mg_step_rows *from = &args->from;
    int32_t at = args->index[r];
    mg_kv_run filler = { args->filler_slot, 0, 1, (int32_t)r };
    *token_out = 0;
    *run_out = filler;
    *turn_out = 0;
    if (at < 0 || from->slots[at] == args->filler_slot || args->picked[at] < 0) {
        return;
    }
    const mg_text_end *end = &args->text_ends[from->slots[at]];
    bool ended = from->positions[at] >= end->last;
    for (int64_t i = 0; i < args->end_id_count && end->ignore_ids == 0; i++) {
        ended = ended || args->picked[at] == args->end_ids[i];
    }
    if (!ended) {
        *token_out = args->picked[at];
        run_out->slot = from->slots[at];
        run_out->first = from->positions[at] + 1;
        *turn_out = from->turns[at] + 1;
    }
}

static mg_status next_ref(mg_stream *stream, const mg_next_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    int32_t tokens[MG_NEXT_ROWS_MAX];
    int32_t turns[MG_NEXT_ROWS_MAX];
    mg_kv_run runs[MG_NEXT_ROWS_MAX];
    const mg_step_rows *to = &args->to;
    MG_ASSERT(args->rows <= MG_NEXT_ROWS_MAX);
    for (int64_t r = 0; r < args->rows; r++) {
        next_row(args, r, &tokens[r], &runs[r], &turns[r]);
    }
    for (int64_t r = 0; r < args->rows; r++) {
        to->tokens[r] = tokens[r];
        to->positions[r] = runs[r].first;
        to->slots[r] = runs[r].slot;
        to->turns[r] = turns[r];
        to->runs[r] = runs[r];
    }
    return MG_OK;
}

const mg_nn_ops mg_nn_ops_ref = {
    .packed_bytes = mg_packed_bytes_ref,
    .kv_bytes = mg_kv_bytes_ref,
    .pack = mg_pack_ref,
    .linear = mg_linear_ref,
    .embed = mg_embed_ref,
    .gather = mg_gather_ref,
    .rmsnorm = rmsnorm_ref,
    .layernorm = layernorm_ref,
    .rope = rope_ref,
    .kv_store = mg_kv_store_ref,
    .kv_copy = mg_kv_copy_ref,
    .attention = mg_attention_ref,
    .gate = gate_ref,
    .add = add_ref,
    .softcap = softcap_ref,
    .argmax = argmax_ref,
    .logprob = logprob_ref,
    .nonfinite = nonfinite_ref,
    .route = mg_route_ref,
    .combine = mg_combine_ref,
    .experts = mg_experts_ref,
    .next = next_ref,
    .kv_block = 4,
};
