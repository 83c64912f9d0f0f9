/* compute/cpu/nn_cpu_internal.h - the launchers of the CPU device, by file. */
#pragma once

#include "compute/device_internal.h"
#include "compute/ops_nn.h"

MG_BEGIN_C

/* Below these an operation stays on its caller: handing over costs a few microseconds. */
#define MG_PARALLEL_ELEMENTS_MIN 16384
#define MG_PARALLEL_PRODUCTS_MIN 400000.0

#define MG_PANEL_COLUMNS_MAX 32

/* linear_cpu.c */
mg_status mg_packed_bytes_cpu(const mg_weight *weight, size_t *bytes_out, mg_error *err);
mg_status mg_pack_cpu(mg_stream *stream, const mg_pack_args *args, mg_error *err);
mg_status mg_linear_cpu(mg_stream *stream, const mg_linear_args *args, mg_error *err);
mg_status mg_embed_cpu(mg_stream *stream, const mg_embed_args *args, mg_error *err);

/* attention_cpu.c */
mg_status mg_kv_bytes_cpu(const mg_kv *kv, size_t *bytes_out, mg_error *err);
mg_status mg_kv_store_cpu(mg_stream *stream, const mg_kv_store_args *args, mg_error *err);
mg_status mg_kv_copy_cpu(mg_stream *stream, const mg_kv_copy_args *args, mg_error *err);
mg_status mg_attention_cpu(mg_stream *stream, const mg_attention_args *args, mg_error *err);

MG_END_C
