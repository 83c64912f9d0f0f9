/* compute/ref/experts_ref.c - rows dealt out to experts, and what these give added up. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "compute/ref/nn_ref_internal.h"

#include "compute/device_internal.h"

/* One row's experts and their weights; scores are overwritten. */
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

mg_status mg_route_ref(mg_stream *stream, const mg_route_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    int64_t experts = args->expert_count;
    MG_ASSERT(args->keep <= experts && args->keep <= MG_EXPERTS_KEPT_MAX);
    memset(args->first, 0, (size_t)(experts + 1) * sizeof(int32_t));
    for (int64_t r = 0; r < args->rows; r++) {
        choose(args->scores + r * experts, experts, args->keep, args->chosen + r * args->keep,
               args->weights + r * args->keep);
    }
    for (int64_t i = 0; i < args->rows * args->keep; i++) {
        args->first[args->chosen[i] + 1]++;
    }
    for (int64_t e = 0; e < experts; e++) {
        args->first[e + 1] += args->first[e];
    }
    for (int64_t i = 0; i < args->rows * args->keep; i++) {
        int32_t at = args->first[args->chosen[i]]++;
        args->index[at] = (int32_t)(i / args->keep);
        args->places[i] = at;
    }
    for (int64_t e = experts; e > 0; e--) { /* each first was moved to its end */
        args->first[e] = args->first[e - 1];
    }
    args->first[0] = 0;
    return MG_OK;
}

/* The entries of row r in ascending order of their experts. */
static void order_entries(const mg_combine_args *args, int64_t row, int64_t *order_out)
{
    const int32_t *chosen = args->chosen + row * args->keep;
    for (int64_t i = 0; i < args->keep; i++) {
        int64_t at = i;
        while (at > 0 && chosen[order_out[at - 1]] > chosen[i]) {
            order_out[at] = order_out[at - 1];
            at--;
        }
        order_out[at] = i;
    }
}

mg_status mg_combine_ref(mg_stream *stream, const mg_combine_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    int64_t order[MG_EXPERTS_KEPT_MAX];
    for (int64_t r = 0; r < args->rows; r++) {
        order_entries(args, r, order);
        for (int64_t d = 0; d < args->dim; d++) {
            float sum = 0.0f;
            for (int64_t i = 0; i < args->keep; i++) {
                int64_t entry = r * args->keep + order[i];
                sum += args->weights[entry] * args->outputs[args->places[entry] * args->dim + d];
            }
            args->x[r * args->dim + d] += sum;
        }
    }
    return MG_OK;
}

mg_status mg_experts_ref(mg_stream *stream, const mg_experts_args *args, mg_error *err)
{
    for (int64_t e = 0; e < args->expert_count; e++) {
        const mg_weight *gate_up = &args->gate_up[e];
        int64_t hidden = gate_up->in_dim;
        int64_t inner = args->down[e].in_dim;
        int64_t first = args->first[e];
        int64_t rows = args->first[e + 1] - first;
        float *mid = args->scratch + first * 2 * inner;
        mg_linear_args up = {
            mid, args->x + first * hidden, *gate_up, NULL, NULL, rows, hidden, 2 * inner
        };
        mg_gate_args gate = { mid,   mid,       mid + inner, rows,
                              inner, 2 * inner, 2 * inner,   args->activation };
        mg_linear_args down = {
            args->out + first * hidden, mid, args->down[e], NULL, NULL, rows, 2 * inner, hidden
        };
        MG_TRY(mg_linear_ref(stream, &up, err));
        MG_TRY(mg_nn_ops_ref.gate(stream, &gate, err));
        MG_TRY(mg_linear_ref(stream, &down, err));
    }
    return MG_OK;
}
