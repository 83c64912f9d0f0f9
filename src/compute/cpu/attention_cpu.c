/* compute/cpu/attention_cpu.c - the key/value cache and attention of the CPU device.
 *
 * Keys lie with 16 positions side by side, so that a score is a chain per lane; values lie row by
 * row, padded to whole vectors (layout: kernels_internal.h). */
#include "compute/cpu/nn_cpu_internal.h"

#include <string.h>

#include "compute/cpu/kernels_internal.h"

/* Kernels read up to one vector of 16 past a row of values. */
#define KV_PAD_BYTES 64

mg_status mg_kv_bytes_cpu(const mg_kv *kv, size_t *bytes_out, mg_error *err)
{
    *bytes_out = 0;
    if (kv->dtype != MG_F32 && kv->dtype != MG_BF16) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "keys and values cannot be kept as %s",
                       mg_dtype_name(kv->dtype));
    }
    if (kv->head_dim < 1 || kv->head_dim > MG_ATTENTION_HEAD_DIM_MAX) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "heads of %lld values are not supported (1 to %d)",
                       (long long)kv->head_dim, MG_ATTENTION_HEAD_DIM_MAX);
    }
    if (kv->positions < 1 || kv->positions > INT32_MAX - 16) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%lld positions are not supported",
                       (long long)kv->positions);
    }
    size_t slot_bytes = 0;
    MG_TRY(mg_size_of(kv->kv_heads, mg_kv_head_elements(kv), 1, (size_t)mg_kv_element_bytes(kv),
                      &slot_bytes, err));
    MG_TRY(mg_size_of(kv->blocks, 1, 1, slot_bytes, bytes_out, err));
    *bytes_out += KV_PAD_BYTES;
    return MG_OK;
}

/* One head of one token: the key goes to every 16th element, the value to a row. */
static void store_f32(float *key, float *value, const float *k, const float *v, int64_t dim)
{
    for (int64_t d = 0; d < dim; d++) {
        key[d * 16] = k[d];
    }
    memcpy(value, v, (size_t)dim * sizeof(float));
}

static void store_bf16(uint16_t *key, uint16_t *value, const float *k, const float *v, int64_t dim)
{
    for (int64_t d = 0; d < dim; d++) {
        key[d * 16] = mg_bf16_from_f32(k[d]);
        value[d] = mg_bf16_from_f32(v[d]);
    }
}

static void store_row(const mg_kv_store_args *args, int64_t r)
{
    const mg_kv *kv = &args->kv;
    int64_t dim = kv->head_dim;
    int64_t dim16 = (dim + 15) / 16 * 16;
    int64_t position = args->positions[r];
    MG_ASSERT(args->slots[r] >= 0 && args->slots[r] < kv->blocks);
    MG_ASSERT(position >= 0 && position < kv->positions);
    int64_t key_at = position / 16 * dim * 16 + position % 16;
    int64_t value_at = position * dim16;
    for (int64_t h = 0; h < kv->kv_heads; h++) {
        const float *k = args->k + r * args->x_stride + h * dim;
        const float *v = args->v + r * args->x_stride + h * dim;
        void *keys = mg_kv_keys(kv, args->slots[r], h);
        void *values = mg_kv_values(kv, args->slots[r], h);
        if (kv->dtype == MG_BF16) {
            store_bf16((uint16_t *)keys + key_at, (uint16_t *)values + value_at, k, v, dim);
        } else {
            store_f32((float *)keys + key_at, (float *)values + value_at, k, v, dim);
        }
    }
}

static void store_task(void *void_args, int64_t index, int worker)
{
    (void)worker;
    store_row((const mg_kv_store_args *)void_args, index);
}

mg_status mg_kv_store_cpu(mg_stream *stream, const mg_kv_store_args *args, mg_error *err)
{
    (void)err;
    mg_kv_store_args copy = *args;
    int64_t elements = args->rows * args->kv.kv_heads * args->kv.head_dim;
    mg_pool_run(elements < MG_PARALLEL_ELEMENTS_MIN ? NULL : stream->pool, args->rows, store_task,
                &copy);
    return MG_OK;
}

mg_status mg_kv_copy_cpu(mg_stream *stream, const mg_kv_copy_args *args, mg_error *err)
{
    (void)stream;
    (void)err;
    const mg_kv *kv = &args->kv;
    int64_t dim = kv->head_dim;
    int64_t dim16 = (dim + 15) / 16 * 16;
    int64_t count = args->position_count;
    MG_ASSERT(args->from >= 0 && args->from < kv->blocks && args->to >= 0 && args->to < kv->blocks);
    MG_ASSERT(count >= 0 && count <= kv->positions);
    if (args->from == args->to || count == 0) {
        return MG_OK;
    }
    int64_t whole = count / 16 * 16;
    size_t bytes = (size_t)mg_kv_element_bytes(kv);
    for (int64_t h = 0; h < kv->kv_heads; h++) {
        const char *keys = mg_kv_keys(kv, args->from, h);
        char *keys_to = mg_kv_keys(kv, args->to, h);
        memcpy(keys_to, keys, (size_t)(whole * dim) * bytes);
        for (int64_t d = 0; d < dim && whole < count; d++) {
            size_t at = (size_t)(whole * dim + d * 16) * bytes;
            memcpy(keys_to + at, keys + at, (size_t)(count - whole) * bytes);
        }
        memcpy(mg_kv_values(kv, args->to, h), mg_kv_values(kv, args->from, h),
               (size_t)(count * dim16) * bytes);
    }
    return MG_OK;
}

/* --- Attention */

typedef struct attention_context {
    const mg_attention_args *args;
    const mg_cpu_kernels *kernels;
    mg_stream *stream;
    int64_t pieces; /* a run and kv head is shared by so many tasks, which take its tiles in turn */
} attention_context;

static void attention_pieces(void *void_context, int64_t index, int worker)
{
    const attention_context *context = (const attention_context *)void_context;
    const mg_attention_args *args = context->args;
    int64_t piece = index % context->pieces;
    int64_t kv_head = index / context->pieces % args->kv.kv_heads;
    mg_kv_run run = args->runs[index / context->pieces / args->kv.kv_heads];
    int64_t queries = run.count * (args->heads / args->kv.kv_heads);
    MG_ASSERT(run.slot >= 0 && run.slot < args->kv.blocks && run.first >= 0 && run.count >= 0 &&
              (int64_t)run.first + run.count <= args->kv.positions);
    mg_attention_task task = { .args = args,
                               .run = run,
                               .kv_head = kv_head,
                               .scratch = (float *)mg_stream_scratch(context->stream, worker) };
    for (int64_t n = piece * MG_ATTENTION_TILE; n < queries;
         n += context->pieces * MG_ATTENTION_TILE) {
        task.first = n;
        task.count = MG_MIN(queries - n, MG_ATTENTION_TILE);
        context->kernels->attention(&task);
    }
}

mg_status mg_attention_cpu(mg_stream *stream, const mg_attention_args *args, mg_error *err)
{
    (void)err;
    const mg_kv *kv = &args->kv;
    int64_t group = args->heads / kv->kv_heads;
    MG_ASSERT(group > 0 && group * kv->kv_heads == args->heads);
    MG_ASSERT(kv->head_dim >= 1 && kv->head_dim <= MG_ATTENTION_HEAD_DIM_MAX);
    attention_context context = { .args = args,
                                  .kernels = mg_stream_kernels(stream),
                                  .stream = stream };
    double work = 0.0;
    for (int64_t n = 0; n < args->run_count; n++) {
        const mg_kv_run *run = &args->runs[n];
        work += (double)run->count * (double)(run->first + run->count);
    }
    work *= (double)(args->heads * kv->head_dim);
    int64_t tiles = (args->run_rows_max * group + MG_ATTENTION_TILE - 1) / MG_ATTENTION_TILE;
    context.pieces = MG_MAX(MG_MIN(tiles, 32), 1);
    mg_pool_run(work < MG_PARALLEL_PRODUCTS_MIN ? NULL : stream->pool,
                args->run_count * kv->kv_heads * context.pieces, attention_pieces, &context);
    return MG_OK;
}
