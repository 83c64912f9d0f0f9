/* compute/ref/linear_ref.c - matrix products and look-ups in plain C.
 *
 * Weights stay row-major (out_dim, in_dim). */
#include "compute/device_internal.h"
#include "compute/ref/nn_ref_internal.h"

#include <math.h>
#include <string.h>

static size_t element_bytes(mg_dtype dtype)
{
    return (size_t)mg_dtype_bits(dtype) / 8;
}

mg_status mg_packed_bytes_ref(const mg_weight *weight, size_t *bytes_out, mg_error *err)
{
    *bytes_out = 0;
    if (weight->dtype != MG_F32 && weight->dtype != MG_BF16) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "weights cannot be kept as %s",
                       mg_dtype_name(weight->dtype));
    }
    return mg_size_of(weight->out_dim, weight->in_dim, 1, element_bytes(weight->dtype), bytes_out,
                      err);
}

mg_status mg_pack_ref(mg_stream *stream, const mg_pack_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    const mg_weight *weight = &args->weight;
    MG_ASSERT(args->row_first >= 0 && args->row_count >= 0 &&
              args->row_count <= weight->out_dim - args->row_first);
    size_t row_bytes = (size_t)weight->in_dim * element_bytes(weight->dtype);
    mg_dtype_convert((char *)weight->data + (size_t)args->row_first * row_bytes, weight->dtype,
                     args->source, args->source_dtype, args->row_count * weight->in_dim);
    return MG_OK;
}

static float weight_at(const mg_weight *weight, int64_t row, int64_t column)
{
    int64_t index = row * weight->in_dim + column;
    if (weight->dtype == MG_BF16) {
        return mg_bf16_to_f32(((const uint16_t *)weight->data)[index]);
    }
    return ((const float *)weight->data)[index];
}

static float chain(const float *x, const mg_weight *weight, int64_t row)
{
    float sum = 0.0f;
    for (int64_t k = 0; k < weight->in_dim; k++) {
        sum = fmaf(x[k], weight_at(weight, row, k), sum);
    }
    return sum;
}

static float pairs(const float *x, const mg_weight *weight, int64_t row)
{
    float sum = 0.0f;
    for (int64_t k = 0; k < weight->in_dim; k += 2) {
        for (int64_t i = MG_MIN(k + 1, weight->in_dim - 1); i >= k; i--) {
            sum = fmaf(mg_bf16_to_f32(mg_bf16_from_f32(x[i])), weight_at(weight, row, i), sum);
        }
    }
    return sum;
}

mg_status mg_linear_ref(mg_stream *stream, const mg_linear_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    const mg_weight *weight = &args->weight;
    for (int64_t r = 0; r < args->rows; r++) {
        const float *x = args->x + r * args->x_stride;
        for (int64_t o = 0; o < weight->out_dim; o++) {
            float sum = weight->dtype == MG_BF16 ? pairs(x, weight, o) : chain(x, weight, o);
            if (args->bias != NULL) {
                sum = sum + args->bias[o];
            }
            int64_t at = r * args->out_stride + o;
            args->out[at] = args->residual != NULL ? args->residual[at] + sum : sum;
        }
    }
    return MG_OK;
}

mg_status mg_embed_ref(mg_stream *stream, const mg_embed_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    int64_t dim = args->weight.in_dim;
    for (int64_t r = 0; r < args->rows; r++) {
        int32_t id = args->ids[r];
        MG_ASSERT(id >= 0 && id < args->weight.out_dim);
        for (int64_t k = 0; k < dim; k++) {
            args->out[r * dim + k] = args->scale * weight_at(&args->weight, id, k);
        }
    }
    return MG_OK;
}

mg_status mg_gather_ref(mg_stream *stream, const mg_gather_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    for (int64_t r = 0; r < args->rows; r++) {
        MG_ASSERT(args->index[r] >= 0);
        memcpy(args->out + r * args->dim, args->x + args->index[r] * args->dim,
               (size_t)args->dim * sizeof(float));
    }
    return MG_OK;
}
