/* compute/ops_nn.h - what inference needs of a device: one table of operations over float32 rows.
 *
 * Every pointer in an args struct is memory of the stream's device (int32 arrays included: upload
 * them first); args themselves are host memory and are read before the call returns.  Activations
 * are float32 matrices of rows; a stride counts elements from one row to the next, so that slices
 * of a fused matrix (q | k | v) need no copies.  Weights and key/value caches live in layouts of
 * the device: only the operations here read and write them.
 *
 * Numbers.  An operation's result is fixed by its shapes alone: ref and cpu give the same bits on
 * any instruction set, for any thread count and any composition of the batch.
 *   chain  a dot product is one chain of fused multiply-adds, s = fma(a_k, b_k, s) for k = 0, 1,
 *          ..., starting from +0.
 *   pairs  a dot product with bfloat16 weights first rounds the other side to bfloat16 (nearest
 *          even); its chain then takes k = 1, 0, 3, 2, ..., with 0 behind the end: the order of the
 *          instruction that some CPUs have for it, which no longer keeps numbers below 2^-126.
 *   lanes  a sum over a vector x runs in 16 lanes, lane l taking x_l, x_(l+16), ... in that order;
 *          the lanes are then folded in halves: l += l+8, l += l+4, l += l+2, l += l+1.
 *   exp    one polynomial, the same in every backend on a CPU (compute/math_internal.h).
 * A cuda device follows the formulas within its own tolerances.
 *
 * Arguments are checked by assertion: they come from the model code, never from outside.
 * Thread-safety: as the stream. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "compute/device.h"
#include "tensor/dtype.h"

MG_BEGIN_C

/* A linear layer's matrix (out_dim, in_dim) in the device's own packed layout.  dtype is MG_F32 or
 * MG_BF16. */
typedef struct mg_weight {
    void *data; /* packed_bytes bytes from alloc (which zeroes them) */
    int64_t out_dim;
    int64_t in_dim;
    mg_dtype dtype;
} mg_weight;

/* Rows row_first .. row_first+row_count-1 of weight = the row-major matrix source (row_count,
 * in_dim), rounded to nearest even where weight's dtype is narrower.  Parts of a fused matrix (q,
 * k, v; gate, up) are packed by separate calls.  source may be unaligned. */
typedef struct mg_pack_args {
    mg_weight weight;
    int64_t row_first;
    int64_t row_count;
    const void *source;
    mg_dtype source_dtype; /* F64, F32, BF16, F16 */
} mg_pack_args;

/* out[r,o] = residual[r,o] + (chain (bfloat16 weights: pairs) over k of x[r,k] * weight[o,k] +
 * bias[o]), without the terms whose pointer is NULL. */
typedef struct mg_linear_args {
    float *out;     /* (rows, out_dim), not overlapping x */
    const float *x; /* (rows, in_dim) */
    mg_weight weight;
    const float *bias;     /* (out_dim,) or NULL */
    const float *residual; /* (rows, out_dim) with out's stride, or NULL; may be out itself */
    int64_t rows;
    int64_t x_stride;
    int64_t out_stride;
} mg_linear_args;

/* out[r,:] = scale * weight[ids[r],:].  weight is packed, so a tied head needs no second copy. */
typedef struct mg_embed_args {
    float *out;         /* (rows, in_dim), dense */
    mg_weight weight;   /* out_dim = vocabulary */
    const int32_t *ids; /* (rows,), each 0 .. out_dim-1 */
    int64_t rows;
    float scale;
} mg_embed_args;

/* out[r,:] = x[index[r],:]; out must not overlap x. */
typedef struct mg_gather_args {
    float *out;           /* (rows, dim), dense */
    const float *x;       /* (any, dim), dense */
    const int32_t *index; /* (rows,) */
    int64_t rows;
    int64_t dim;
} mg_gather_args;

/* RMS norm of each group of dim values; group g of row r starts at x + r*x_stride + g*dim (heads of
 * a fused matrix), whole rows are groups = 1:
 *   out = (x * (1 / sqrt(lanes(x*x) / dim + epsilon))) * (weight + weight_offset)
 * where lanes(x*x) accumulates by fma. */
typedef struct mg_rmsnorm_args {
    float *out; /* may be x itself, then with the same stride */
    const float *x;
    const float *weight; /* (dim,), or (groups, dim) when weight_per_group */
    int64_t rows;
    int64_t groups;
    int64_t dim;
    int64_t x_stride;
    int64_t out_stride;
    float epsilon;
    float weight_offset; /* 0, or 1 for Gemma */
    bool weight_per_group;
} mg_rmsnorm_args;

/* Layer norm, groups as in mg_rmsnorm_args:
 *   mean = lanes(x) / dim;  d = x - mean;  var = lanes(d*d) / dim  (by fma)
 *   out = fma(d * (1 / sqrt(var + epsilon)), weight, bias), a NULL bias counting as +0. */
typedef struct mg_layernorm_args {
    float *out; /* may be x itself, then with the same stride */
    const float *x;
    const float *weight; /* (dim,), or (groups, dim) when weight_per_group */
    const float *bias;   /* as weight, or NULL */
    int64_t rows;
    int64_t groups;
    int64_t dim;
    int64_t x_stride;
    int64_t out_stride;
    float epsilon;
    bool weight_per_group;
} mg_layernorm_args;

/* Rotates heads in place, "half split" form (models.md 3): with h = rotary_dim/2, for m < h
 *   y[m] = fma(x[m], cos, -(x[m+h] * sin));  y[m+h] = fma(x[m+h], cos, x[m] * sin)
 * components from rotary_dim on stay.  Head g of row r starts at x + r*x_stride + g*head_dim: with
 * q | k | v in one matrix, heads = query plus key heads rotates both at once. */
typedef struct mg_rope_args {
    float *x;
    const float *cos_table; /* (positions, rotary_dim/2) */
    const float *sin_table;
    const int32_t *positions; /* (rows,): rows of the tables */
    int64_t rows;
    int64_t x_stride;
    int64_t heads;
    int64_t head_dim;
    int64_t rotary_dim; /* even, at most head_dim */
} mg_rope_args;

/* Keys and values of one layer, in blocks of `positions` tokens.  Without a table slot s is block
 * s.  With one, position p of slot s lies at p % positions in block table[s * table_width +
 * p / positions]: slots then grow block by block, and may have blocks in common. */
typedef struct mg_kv {
    void *data; /* kv_bytes bytes from alloc */
    int64_t blocks;
    int64_t positions; /* of a block; with a table: kv_block of the device's operations */
    int64_t kv_heads;
    int64_t head_dim;
    mg_dtype dtype; /* MG_F32, or MG_BF16: rounded when stored (nearest even), widened when read */
    const int32_t *table; /* (slots, table_width), or NULL */
    int64_t table_width;
} mg_kv;

/* Row r's key and value heads go to position positions[r] of slot slots[r]. */
typedef struct mg_kv_store_args {
    mg_kv kv;
    const float *k; /* row r: kv_heads * head_dim values from k + r*x_stride */
    const float *v;
    int64_t x_stride;
    const int32_t *slots;     /* (rows,) */
    const int32_t *positions; /* (rows,) */
    int64_t rows;
} mg_kv_store_args;

/* rope, then kv_store of the rotated keys and of the values, as one operation.  store's rows are
 * those of rope, whose x holds q | k | v: the keys are its last kv_heads heads, and the values
 * follow them.  The keys in x may stay unrotated: only the cache has them afterwards. */
typedef struct mg_rope_store_args {
    mg_rope_args rope;
    mg_kv_store_args store;
} mg_rope_store_args;

/* The first position_count tokens of block from become those of block to (prefix sharing). */
typedef struct mg_kv_copy_args {
    mg_kv kv;
    int64_t from;
    int64_t to;
    int64_t position_count;
} mg_kv_copy_args;

/* count queries of one sequence, in rows row .. row+count-1, at positions first .. first+count-1 of
 * slot; their own keys and values are already stored. */
typedef struct mg_kv_run {
    int32_t slot;
    int32_t first;
    int32_t count;
    int32_t row;
} mg_kv_run;

/* Causal attention of any mix of prefill and decode runs.  Query head h uses key/value head
 * h / (heads / kv_heads).  For the query at position i, with j from max(0, i - window + 1) (0
 * without window) to i:
 *   s_j = chain over d of (q_d * scale) * k_(j,d);  with a soft cap c: s_j = c * tanh(s_j / c)
 * then, in blocks of MG_ATTENTION_BLOCK positions counted from position 0, in ascending order:
 *   m' = max(m, max of s_j in the block);  a = exp(m - m')  (m = -infinity before the first)
 *   p_j = exp(s_j - m');  l = fma(l, a, lanes(p) with lane = j mod 16)
 *   o_d = o_d * a, then o_d = fma(p_j, v_(j,d), o_d) for j ascending
 *   out_d = o_d / l */
#define MG_ATTENTION_BLOCK 256

typedef struct mg_attention_args {
    float *out;     /* (rows, heads * head_dim), not overlapping q */
    const float *q; /* (rows, heads * head_dim) */
    int64_t q_stride;
    int64_t out_stride;
    mg_kv kv;
    int64_t heads; /* a multiple of kv_heads */
    const mg_kv_run *runs;
    int64_t run_count;
    int64_t rows;         /* sum of the runs' counts */
    int64_t run_rows_max; /* largest count: sizes the launch */
    float scale;
    float softcap;  /* 0 = none */
    int64_t window; /* 0 = none */
} mg_attention_args;

typedef enum mg_nn_activation { MG_NN_SILU, MG_NN_GELU, MG_NN_GELU_TANH } mg_nn_activation;

/* out = act(gate) * up, or act(gate) where up is NULL.  silu x / (1 + exp(-x)); gelu by erf; the
 * tanh form of gelu as x / (1 + exp(-2u)), u = sqrt(2/pi) * (x + 0.044715 x^3). */
typedef struct mg_gate_args {
    float *out;        /* (rows, dim); may be gate or up itself, then with the same stride */
    const float *gate; /* (rows, dim) with x_stride */
    const float *up;   /* as gate, or NULL */
    int64_t rows;
    int64_t dim;
    int64_t x_stride;
    int64_t out_stride;
    mg_nn_activation activation;
} mg_gate_args;

/* A whole gated MLP:  out = residual + (act(gate) * up) Wdown, with gate | up = x Wgate_up; without
 * the residual where it is NULL.  Intermediate values may be kept in the weights' type. */
typedef struct mg_mlp_args {
    float *out;             /* (rows, H) with out_stride; may be x */
    const float *x;         /* (rows, H) with x_stride */
    mg_weight gate_up;      /* (2 * I, H): I rows of gate, I rows of up */
    mg_weight down;         /* (H, I) */
    const float *down_bias; /* (H,) or NULL */
    const float *residual;  /* as out, or NULL; may be out itself */
    float *scratch;         /* (rows, 2 * I), dense; lost */
    int64_t rows;
    int64_t x_stride;
    int64_t out_stride;
    mg_nn_activation activation;
} mg_mlp_args;

/* Deals rows out to experts.  Row r goes to the `keep` experts of the largest softmax of
 * scores[r,:], the lower index first on ties, with weights = softmax over the sum of those kept.
 * The rows * keep pairs then stand in the order of their experts, rows ascending within one:
 *   place p holds row index[p];  expert e has the places first[e] .. first[e+1]-1
 * Entry r*keep+i of chosen, weights and places is row r's i-th expert, its weight and its place.
 * Rows whose scores are not numbers choose the first experts, with weights that are none either. */
typedef struct mg_route_args {
    int32_t *chosen; /* (rows, keep) */
    float *weights;  /* (rows, keep) */
    int32_t *places; /* (rows, keep) */
    int32_t *index;  /* (rows * keep,) */
    int32_t *first;  /* (expert_count + 1,) */
    float *scores;   /* (rows, expert_count); lost */
    int64_t rows;
    int64_t expert_count;
    int64_t keep; /* at most expert_count and MG_EXPERTS_KEPT_MAX */
} mg_route_args;

#define MG_EXPERTS_MAX 256
#define MG_EXPERTS_KEPT_MAX 64

/* The dealt rows through their experts, without the host's knowing which expert has how many:
 *   out[p,:] = (act(gate) * up) Wdown of the expert e of place p, with gate | up = x[p,:] Wgate_up
 * as in mg_mlp_args.  For the few rows of a step. */
typedef struct mg_experts_args {
    float *out;               /* (places, H), dense, not overlapping x */
    const float *x;           /* (places, H), dense, by place */
    const int32_t *first;     /* (expert_count + 1,): as dealt */
    const mg_weight *gate_up; /* expert_count of (2 * I, H); host memory, as is down */
    const mg_weight *down;    /* expert_count of (H, I) */
    float *scratch;           /* (places, 2 * I), dense; lost */
    int64_t places;           /* first[expert_count] */
    int64_t expert_count;     /* at most MG_EXPERTS_MAX */
    mg_nn_activation activation;
} mg_experts_args;

/* x[r,:] += the sum over row r's experts, in ascending order, of weight * outputs[place,:], added
 * up from 0 first. */
typedef struct mg_combine_args {
    float *x;             /* (rows, dim) */
    const float *outputs; /* (rows * keep, dim), by place */
    const int32_t *chosen;
    const float *weights;
    const int32_t *places;
    int64_t rows;
    int64_t keep;
    int64_t dim;
} mg_combine_args;

/* out = x + y over count values; out may be x or y. */
typedef struct mg_add_args {
    float *out;
    const float *x;
    const float *y;
    int64_t count;
} mg_add_args;

/* x = cap * tanh(x / cap) in place over count values. */
typedef struct mg_softcap_args {
    float *x;
    int64_t count;
    float cap;
} mg_softcap_args;

/* ids_out[r] = the lowest index of the largest value of x[r,:], or -1 when the row holds a NaN or
 * an infinity. */
typedef struct mg_argmax_args {
    int32_t *ids_out; /* (rows,) */
    const float *x;   /* (rows, dim), dense */
    int64_t rows;
    int64_t dim;
} mg_argmax_args;

/* The rows of a step of generation: each is one token of a text. */
typedef struct mg_step_rows {
    int32_t *tokens;
    int32_t *positions;
    int32_t *slots;
    int32_t *turns; /* rows of the rotary table */
    mg_kv_run *runs;
} mg_step_rows;

/* Where the text of a slot ends. */
typedef struct mg_text_end {
    int32_t last;       /* position of the last token that is computed */
    int32_t ignore_ids; /* not 0: no id ends it */
} mg_text_end;

/* The step that follows another: row r of `to` goes on with row index[r] of `from`, whose token is
 * the one picked, one position on.  A row whose text has ended - an id that ends texts or none at
 * all was picked, or its last position is behind it - becomes, as does one with index -1, a filler:
 * token 0 at position 0 of the filler's slot.  A filler stays one. */
typedef struct mg_next_args {
    mg_step_rows from;
    mg_step_rows to;              /* (rows,); may overlap from in any way */
    const int32_t *picked;        /* by rows of from, as argmax gives them */
    const int32_t *index;         /* (rows,) */
    const mg_text_end *text_ends; /* by slots */
    const int32_t *end_ids;
    int64_t end_id_count;
    int64_t rows; /* at most MG_NEXT_ROWS_MAX */
    int32_t filler_slot;
} mg_next_args;

#define MG_NEXT_ROWS_MAX 512

/* out[r] = x[r,ids[r]] - max - log(sum exp(x[r,:] - max)).  The sum runs in lanes over pieces of
 * MG_LOGPROB_PIECE values, the pieces are added in float64.  NaN when the row is not finite. */
#define MG_LOGPROB_PIECE 1024

typedef struct mg_logprob_args {
    float *out;         /* (rows,) */
    const float *x;     /* (rows, dim), dense */
    const int32_t *ids; /* (rows,) */
    int64_t rows;
    int64_t dim;
} mg_logprob_args;

/* *count_out = how many of count values are NaN or infinite. */
typedef struct mg_nonfinite_args {
    int64_t *count_out;
    const void *x; /* maybe unaligned */
    int64_t count;
    mg_dtype dtype; /* F64, F32, BF16, F16 */
} mg_nonfinite_args;

typedef struct mg_nn_ops {
    /* REQUIRED.  Sizes of the device's layouts; MG_ERR_UNSUPPORTED for a dtype it cannot hold,
     * MG_ERR_MEMORY when the size does not fit.  data need not be set. */
    mg_status (*packed_bytes)(const mg_weight *weight, size_t *bytes_out, mg_error *err);
    mg_status (*kv_bytes)(const mg_kv *kv, size_t *bytes_out, mg_error *err);
    /* REQUIRED */
    mg_status (*pack)(mg_stream *stream, const mg_pack_args *args, mg_error *err);
    mg_status (*linear)(mg_stream *stream, const mg_linear_args *args, mg_error *err);
    mg_status (*embed)(mg_stream *stream, const mg_embed_args *args, mg_error *err);
    mg_status (*gather)(mg_stream *stream, const mg_gather_args *args, mg_error *err);
    mg_status (*rmsnorm)(mg_stream *stream, const mg_rmsnorm_args *args, mg_error *err);
    mg_status (*layernorm)(mg_stream *stream, const mg_layernorm_args *args, mg_error *err);
    mg_status (*rope)(mg_stream *stream, const mg_rope_args *args, mg_error *err);
    mg_status (*kv_store)(mg_stream *stream, const mg_kv_store_args *args, mg_error *err);
    mg_status (*kv_copy)(mg_stream *stream, const mg_kv_copy_args *args, mg_error *err);
    mg_status (*attention)(mg_stream *stream, const mg_attention_args *args, mg_error *err);
    mg_status (*gate)(mg_stream *stream, const mg_gate_args *args, mg_error *err);
    mg_status (*add)(mg_stream *stream, const mg_add_args *args, mg_error *err);
    mg_status (*softcap)(mg_stream *stream, const mg_softcap_args *args, mg_error *err);
    mg_status (*argmax)(mg_stream *stream, const mg_argmax_args *args, mg_error *err);
    mg_status (*logprob)(mg_stream *stream, const mg_logprob_args *args, mg_error *err);
    mg_status (*nonfinite)(mg_stream *stream, const mg_nonfinite_args *args, mg_error *err);
    mg_status (*route)(mg_stream *stream, const mg_route_args *args, mg_error *err);
    mg_status (*combine)(mg_stream *stream, const mg_combine_args *args, mg_error *err);
    /* OPTIONAL: NULL means the operations that they join, one after the other */
    mg_status (*rope_store)(mg_stream *stream, const mg_rope_store_args *args, mg_error *err);
    mg_status (*mlp)(mg_stream *stream, const mg_mlp_args *args, mg_error *err);
    /* OPTIONAL: NULL means a product for each expert, of as many rows as it has */
    mg_status (*experts)(mg_stream *stream, const mg_experts_args *args, mg_error *err);
    /* OPTIONAL: NULL means that the host gives every step its tokens */
    mg_status (*next)(mg_stream *stream, const mg_next_args *args, mg_error *err);
    /* Positions of a block of a cache with a table; 0 = the operations take none. */
    int64_t kv_block;
    /* OPTIONAL: where a row of a packed weight lies, when packing is a plain copy: values of the
     * weight's dtype that are written there, row after row, are packed.  NULL means it is not. */
    void *(*packed_row)(const mg_weight *weight, int64_t row);
} mg_nn_ops;

MG_END_C
