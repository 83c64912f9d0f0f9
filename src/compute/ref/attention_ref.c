/* compute/ref/attention_ref.c - the key/value cache and attention in plain C.
 *
 * The cache is row-major (blocks, kv_heads, 2, positions, head_dim): keys, then values of a head.
 */
#include "compute/ref/nn_ref_internal.h"

#include <math.h>
#include <string.h>

#include "compute/device_internal.h"
#include "compute/math_internal.h"

static int64_t element_bytes(const mg_kv *kv)
{
    return kv->dtype == MG_BF16 ? 2 : 4;
}

mg_status mg_kv_bytes_ref(const mg_kv *kv, size_t *bytes_out, mg_error *err)
{
    *bytes_out = 0;
    if (kv->dtype != MG_F32 && kv->dtype != MG_BF16) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "keys and values cannot be kept as %s",
                       mg_dtype_name(kv->dtype));
    }
    size_t slot_bytes = 0;
    MG_TRY(mg_size_of(kv->kv_heads, kv->positions, kv->head_dim, 2 * (size_t)element_bytes(kv),
                      &slot_bytes, err));
    return mg_size_of(kv->blocks, 1, 1, slot_bytes, bytes_out, err);
}

static char *key_at(const mg_kv *kv, int64_t slot, int64_t head, int64_t position)
{
    int64_t block = slot;
    if (kv->table != NULL) {
        MG_ASSERT(position >= 0 && position / kv->positions < kv->table_width);
        block = kv->table[slot * kv->table_width + position / kv->positions];
        position %= kv->positions;
    }
    MG_ASSERT(block >= 0 && block < kv->blocks && position >= 0 && position < kv->positions);
    return (char *)kv->data + (((block * kv->kv_heads + head) * 2) * kv->positions + position) *
                                  kv->head_dim * element_bytes(kv);
}

static char *value_at(const mg_kv *kv, int64_t slot, int64_t head, int64_t position)
{
    return key_at(kv, slot, head, position) + kv->positions * kv->head_dim * element_bytes(kv);
}

static float number_at(const mg_kv *kv, const char *row, int64_t d)
{
    return kv->dtype == MG_BF16 ? mg_bf16_to_f32(((const uint16_t *)(const void *)row)[d])
                                : ((const float *)(const void *)row)[d];
}

mg_status mg_kv_store_ref(mg_stream *stream, const mg_kv_store_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    const mg_kv *kv = &args->kv;
    for (int64_t r = 0; r < args->rows; r++) {
        for (int64_t h = 0; h < kv->kv_heads; h++) {
            int64_t at = r * args->x_stride + h * kv->head_dim;
            mg_dtype_convert(key_at(kv, args->slots[r], h, args->positions[r]), kv->dtype,
                             args->k + at, MG_F32, kv->head_dim);
            mg_dtype_convert(value_at(kv, args->slots[r], h, args->positions[r]), kv->dtype,
                             args->v + at, MG_F32, kv->head_dim);
        }
    }
    return MG_OK;
}

mg_status mg_kv_copy_ref(mg_stream *stream, const mg_kv_copy_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    const mg_kv *kv = &args->kv;
    MG_ASSERT(args->position_count >= 0 && args->position_count <= kv->positions);
    if (args->from == args->to || args->position_count == 0) {
        return MG_OK;
    }
    mg_kv blocks = *kv; /* from and to are no slots */
    blocks.table = NULL;
    size_t bytes = (size_t)(args->position_count * kv->head_dim * element_bytes(kv));
    for (int64_t h = 0; h < kv->kv_heads; h++) {
        memcpy(key_at(&blocks, args->to, h, 0), key_at(&blocks, args->from, h, 0), bytes);
        memcpy(value_at(&blocks, args->to, h, 0), value_at(&blocks, args->from, h, 0), bytes);
    }
    return MG_OK;
}

static float score(const mg_attention_args *args, const float *q, const char *k)
{
    float sum = 0.0f;
    for (int64_t d = 0; d < args->kv.head_dim; d++) {
        sum = fmaf(q[d] * args->scale, number_at(&args->kv, k, d), sum);
    }
    return args->softcap > 0.0f ? args->softcap * mg_tanh(sum / args->softcap) : sum;
}

/* One query (head_dim values at q) at position i against the keys first .. i. */
static void attend_ref(const mg_attention_args *args, const float *q, int64_t slot, int64_t kv_head,
                       int64_t i, float *out)
{
    const mg_kv *kv = &args->kv;
    int64_t dim = kv->head_dim;
    int64_t first = args->window > 0 ? MG_MAX(i - args->window + 1, 0) : 0;
    float m = -INFINITY;
    float l = 0.0f;
    memset(out, 0, (size_t)dim * sizeof(float));
    int64_t block = first - first % MG_ATTENTION_BLOCK;
    for (; block <= i; block += MG_ATTENTION_BLOCK) {
        float p[MG_ATTENTION_BLOCK];
        float lanes[16] = { 0 };
        int64_t begin = MG_MAX(first, block);
        int64_t end = MG_MIN(i + 1, block + MG_ATTENTION_BLOCK);
        float m_new = m;
        for (int64_t j = begin; j < end; j++) {
            p[j - block] = score(args, q, key_at(kv, slot, kv_head, j));
            m_new = p[j - block] > m_new ? p[j - block] : m_new;
        }
        float shrink = mg_exp(m - m_new);
        for (int64_t j = begin; j < end; j++) {
            p[j - block] = mg_exp(p[j - block] - m_new);
            lanes[j % 16] = lanes[j % 16] + p[j - block];
        }
        l = fmaf(l, shrink, mg_fold_lanes_ref(lanes));
        for (int64_t d = 0; d < dim; d++) {
            out[d] = out[d] * shrink;
            for (int64_t j = begin; j < end; j++) {
                float v = number_at(kv, value_at(kv, slot, kv_head, j), d);
                out[d] = fmaf(p[j - block], v, out[d]);
            }
        }
        m = m_new;
    }
    for (int64_t d = 0; d < dim; d++) {
        out[d] = out[d] / l;
    }
}

mg_status mg_attention_ref(mg_stream *stream, const mg_attention_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    int64_t group = args->heads / args->kv.kv_heads;
    MG_ASSERT(group * args->kv.kv_heads == args->heads);
    for (int64_t n = 0; n < args->run_count; n++) {
        mg_kv_run run = args->runs[n];
        for (int64_t t = 0; t < run.count; t++) {
            for (int64_t h = 0; h < args->heads; h++) {
                int64_t at = h * args->kv.head_dim;
                attend_ref(args, args->q + (run.row + t) * args->q_stride + at, run.slot, h / group,
                           run.first + t, args->out + (run.row + t) * args->out_stride + at);
            }
        }
    }
    return MG_OK;
}
