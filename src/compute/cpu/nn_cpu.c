/* compute/cpu/nn_cpu.c - launchers of the row-wise operations, and the table of the CPU device. */
#include "compute/cpu/nn_cpu_internal.h"

#include <string.h>

#include "compute/cpu/kernels_internal.h"
#include "compute/ref/nn_ref_internal.h"

typedef struct rows_context {
    mg_rows_kernel *kernel;
    const void *args;
    int64_t rows;
    int64_t pieces;
    int64_t unit; /* pieces begin at multiples of it */
} rows_context;

static void rows_task(void *void_context, int64_t index, int worker)
{
    (void)worker;
    const rows_context *context = (const rows_context *)void_context;
    int64_t units = (context->rows + context->unit - 1) / context->unit;
    int64_t first = mg_piece_first(units, context->pieces, index) * context->unit;
    int64_t end = mg_piece_first(units, context->pieces, index + 1) * context->unit;
    end = MG_MIN(end, context->rows);
    if (first < end) {
        context->kernel(context->args, first, end - first);
    }
}

/* Runs kernel over rows, which cost about row_elements values each. */
static mg_status run_rows(mg_stream *stream, mg_rows_kernel *kernel, const void *args, int64_t rows,
                          int64_t row_elements, int64_t unit)
{
    rows_context context = { kernel, args, rows, 1, unit };
    MG_ASSERT(rows >= 0);
    if (rows == 0) {
        return MG_OK;
    }
    if (rows * row_elements >= MG_PARALLEL_ELEMENTS_MIN) {
        context.pieces = MG_MIN((int64_t)mg_pool_threads(stream->pool), rows);
    }
    mg_pool_run(stream->pool, context.pieces, rows_task, &context);
    return MG_OK;
}

static mg_status rmsnorm_cpu(mg_stream *stream, const mg_rmsnorm_args *args, mg_error *err)
{
    (void)err;
    return run_rows(stream, mg_stream_kernels(stream)->rmsnorm, args, args->rows,
                    args->groups * args->dim, 1);
}

static mg_status layernorm_cpu(mg_stream *stream, const mg_layernorm_args *args, mg_error *err)
{
    (void)err;
    return run_rows(stream, mg_stream_kernels(stream)->layernorm, args, args->rows,
                    args->groups * args->dim, 1);
}

static mg_status rope_cpu(mg_stream *stream, const mg_rope_args *args, mg_error *err)
{
    (void)err;
    MG_ASSERT(args->rotary_dim % 2 == 0 && args->rotary_dim <= args->head_dim);
    return run_rows(stream, mg_stream_kernels(stream)->rope, args, args->rows,
                    args->heads * args->rotary_dim, 1);
}

/* An activation costs several times what a copy does. */
static mg_status gate_cpu(mg_stream *stream, const mg_gate_args *args, mg_error *err)
{
    (void)err;
    return run_rows(stream, mg_stream_kernels(stream)->gate, args, args->rows, args->dim * 2, 1);
}

static mg_status add_cpu(mg_stream *stream, const mg_add_args *args, mg_error *err)
{
    (void)err;
    return run_rows(stream, mg_stream_kernels(stream)->add, args, args->count, 1, 16);
}

static mg_status softcap_cpu(mg_stream *stream, const mg_softcap_args *args, mg_error *err)
{
    (void)err;
    return run_rows(stream, mg_stream_kernels(stream)->softcap, args, args->count, 4, 16);
}

static mg_status argmax_cpu(mg_stream *stream, const mg_argmax_args *args, mg_error *err)
{
    (void)err;
    return run_rows(stream, mg_stream_kernels(stream)->argmax, args, args->rows, args->dim, 1);
}

static mg_status logprob_cpu(mg_stream *stream, const mg_logprob_args *args, mg_error *err)
{
    (void)err;
    return run_rows(stream, mg_stream_kernels(stream)->logprob, args, args->rows, args->dim * 4, 1);
}

static mg_status nonfinite_cpu(mg_stream *stream, const mg_nonfinite_args *args, mg_error *err)
{
    (void)err;
    *args->count_out = mg_stream_kernels(stream)->nonfinite(args->x, args->count, args->dtype);
    return MG_OK;
}

/* What moves plain rows is ref's. */
const mg_nn_ops mg_nn_ops_cpu = {
    .packed_bytes = mg_packed_bytes_cpu,
    .kv_bytes = mg_kv_bytes_cpu,
    .pack = mg_pack_cpu,
    .linear = mg_linear_cpu,
    .embed = mg_embed_cpu,
    .gather = mg_gather_ref,
    .rmsnorm = rmsnorm_cpu,
    .layernorm = layernorm_cpu,
    .rope = rope_cpu,
    .kv_store = mg_kv_store_cpu,
    .kv_copy = mg_kv_copy_cpu,
    .attention = mg_attention_cpu,
    .gate = gate_cpu,
    .add = add_cpu,
    .softcap = softcap_cpu,
    .argmax = argmax_cpu,
    .logprob = logprob_cpu,
    .nonfinite = nonfinite_cpu,
    .route = mg_route_ref,
    .combine = mg_combine_ref,
};
