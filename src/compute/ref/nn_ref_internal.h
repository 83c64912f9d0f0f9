/* compute/ref/nn_ref_internal.h - the operations of ops_nn.h in plain C, by file. */
#pragma once

#include "compute/ops_nn.h"

MG_BEGIN_C

/* linear_ref.c */
mg_status mg_packed_bytes_ref(const mg_weight *weight, size_t *bytes_out, mg_error *err);
mg_status mg_pack_ref(mg_stream *stream, const mg_pack_args *args, mg_error *err);
mg_status mg_linear_ref(mg_stream *stream, const mg_linear_args *args, mg_error *err);
mg_status mg_embed_ref(mg_stream *stream, const mg_embed_args *args, mg_error *err);
mg_status mg_gather_ref(mg_stream *stream, const mg_gather_args *args, mg_error *err);

/* attention_ref.c */
mg_status mg_kv_bytes_ref(const mg_kv *kv, size_t *bytes_out, mg_error *err);
mg_status mg_kv_store_ref(mg_stream *stream, const mg_kv_store_args *args, mg_error *err);
mg_status mg_kv_copy_ref(mg_stream *stream, const mg_kv_copy_args *args, mg_error *err);
mg_status mg_attention_ref(mg_stream *stream, const mg_attention_args *args, mg_error *err);

/* experts_ref.c */
mg_status mg_route_ref(mg_stream *stream, const mg_route_args *args, mg_error *err);
mg_status mg_combine_ref(mg_stream *stream, const mg_combine_args *args, mg_error *err);
mg_status mg_experts_ref(mg_stream *stream, const mg_experts_args *args, mg_error *err);

/* The fixed order of a sum over 16 lanes: folded in halves; lanes is left changed. */
static inline float mg_fold_lanes_ref(float lanes[16])
{
    for (int half = 8; half >= 1; half /= 2) {
        for (int l = 0; l < half; l++) {
            lanes[l] = lanes[l] + lanes[l + half];
        }
    }
    return lanes[0];
}

MG_END_C
