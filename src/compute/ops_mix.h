/* compute/ops_mix.h - what merging needs of a device: fused element-wise merges and a few
 * reductions.
 *
 * Rounding.  `work` is the type that mergekit's arithmetic runs in.  Every input is first cast to
 * it; then each operation is computed in float32 (float64 when work is F64) and rounded to work:
 * W(...) below (merging.md 3.1).  A result is a work value, and is cast to out_dtype when it is
 * stored. work is F64, F32, BF16 or F16; inputs and outputs also, each in its own type.
 *
 * Every result is fixed by the arguments alone, whatever the device, instruction set and number of
 * threads.  Inputs may be unaligned; out may not overlap them.  Arguments are checked by assertion.
 * Thread-safety: as the stream. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/rng.h"
#include "compute/device.h"
#include "tensor/dtype.h"

MG_BEGIN_C

#define MG_MIX_INPUTS_MAX 64

/* One tensor in device memory. */
typedef struct mg_mix_input {
    const void *data;
    mg_dtype dtype;
} mg_mix_input;

/* linear:  r = 0;  r = fma(x_i, w_i, r) for each input in order, in float32 whatever work is (in
 * float64 when work is F64);  r / divisor when divide;  one rounding to work. */
typedef struct mg_average_args {
    void *out;
    mg_dtype out_dtype;
    mg_dtype work;
    const mg_mix_input *inputs;
    const double *weights; /* float32 values unless work is F64 */
    int64_t input_count;   /* 1 .. MG_MIX_INPUTS_MAX */
    bool divide;
    double divisor;
    int64_t count;
} mg_average_args;

/* slerp's last step:  a * x + b * y in float32 (float64 when work is F64), then work. */
typedef struct mg_blend_args {
    void *out;
    mg_dtype out_dtype;
    mg_dtype work;
    mg_mix_input x, y;
    double a, b;
    int64_t count;
} mg_blend_args;

/* out = W(x * factor), or only the casts when factor is 1. */
typedef struct mg_scale_args {
    void *out;
    mg_dtype out_dtype;
    mg_dtype work;
    mg_mix_input x;
    double factor; /* used in float32 */
    int64_t count;
} mg_scale_args;

/* Which elements of a difference survive. */
typedef enum mg_mask_form {
    MG_MASK_ALL,
    MG_MASK_BITS, /* element e: bit e % 64 of word e / 64 */
    /* Philox, 8 elements a block: element e is kept iff a 16-bit half of a word is less than below.
     * The block is (b low, b high, tensor, source) with b = e / 64 * 8 + e % 32 / 4, the word is
     * e % 64 / 32 * 2 + e % 4 / 2, the half is the lower one for even e. */
    MG_MASK_COUNTER
} mg_mask_form;

typedef struct mg_mix_source {
    mg_mix_input x;
    double weight; /* a value of the step type */
    mg_mask_form mask;
    const uint64_t *bits;                    /* MG_MASK_BITS */
    uint32_t counter_tensor, counter_source; /* MG_MASK_COUNTER */
    uint32_t below;                          /* 0 .. 65535 */
    bool rescale;
    double factor; /* of rescale, a float32 value (float64 when work is F64) */
} mg_mix_source;

/* The generalised task arithmetic (merging.md 4.6):
 *   d_i = W(x_i - base);  masked-out elements become 0;  d_i = W(d_i * factor_i) when rescale
 *   y_i = W(w_i * d_i)
 *   consensus:  M = W(sum y_i) >= 0 ? 1 : -1;  only y_i with sign M count
 *   s = W(sum y_i);  D = W(sum w_i) over those that count, 1 where that is 0
 *   s = W(s / D) when normalize;  s = W(s * lambda) when lambda is not 1;  result = W(base + s)
 * Sums run in float32 in the order of the sources from 0.  `wide` leaves out every W but the last:
 * float32 steps, one rounding (evolution.md 3.1); work then only casts inputs and result. */
typedef struct mg_task_args {
    void *out;
    mg_dtype out_dtype;
    mg_dtype work;
    bool wide;
    mg_mix_input base;
    const mg_mix_source *sources;
    int64_t source_count; /* 1 .. MG_MIX_INPUTS_MAX */
    bool consensus;
    bool normalize;
    double divisor; /* D without consensus */
    double lambda;
    mg_philox_key key;
    int64_t count;
    int64_t tail; /* the last elements, whose models are summed as in mg_mix_model_sum's tail */
} mg_task_args;

/* Sums of |W(x - base)| over all elements and over those that bits keeps, in the order in which
 * torch's float32 sum on one thread runs (mg_mix_torch_sum), for the L1 rescale.  half: pairs are
 * joined first, as torch does for 16-bit tensors.  Results are not rounded to work.  Without bits
 * (NULL) a counter keeps elements, as MG_MASK_COUNTER says. */
typedef struct mg_delta_sum_args {
    mg_mix_input base, x;
    mg_dtype work;
    bool half;
    const uint64_t *bits;
    int64_t count;
    double *all_out;  /* host memory */
    double *kept_out; /* host memory */
    uint32_t counter_tensor, counter_source, below;
    mg_philox_key key;
} mg_delta_sum_args;

/* A mask of the elements whose |W(x - base)|, in order of magnitude with the lower index first
 * among equals, has a rank in [first, first + kept); rank 0 is the largest when descending, else
 * the smallest.  bits has (count + 63) / 64 words; bits behind count are 0.  base.data NULL means
 * zeros; x and work are then F32. */
typedef struct mg_rank_args {
    mg_mix_input base, x;
    mg_dtype work;
    bool descending;
    int64_t first, kept;
    int64_t count;
    uint64_t *bits;
} mg_rank_args;

/* DELLA's mask with the search's draws.  Row r of length elements stride apart begins at
 * r / stride * stride * length + r % stride; there are count / length of them.  An element with
 * rank q among the |W(x - base)| of its row, smallest first and the lower index first among equals,
 * is kept iff its 16-bit draw (MG_MASK_COUNTER) is less than below[q]; 0x10000 keeps all.  bits as
 * in mg_rank_args. */
typedef struct mg_row_mask_args {
    mg_mix_input base, x;
    mg_dtype work;
    int64_t length, stride;
    const uint32_t *below; /* (length,) host memory */
    uint32_t counter_tensor, counter_source;
    mg_philox_key key;
    int64_t count; /* a multiple of length; 2^32 elements in a row at most */
    uint64_t *bits;
} mg_row_mask_args;

/* items[e] = key << 32 | e:  key is the bits of |W(x - base)| as float32, so that keys order as
 * magnitudes do, 0x7fc00000 for every NaN; all its bits are turned round when descending. */
typedef struct mg_keys_args {
    mg_mix_input base, x;
    mg_dtype work; /* not F64 */
    bool descending;
    int64_t count; /* at most 2^32 */
    uint64_t *items;
} mg_keys_args;

/* keys[e] = the 16-bit float |W(x - base)|, whose 15 bits order as magnitudes do, one above
 * infinity for every NaN; all 15 are turned round when descending.  Counted on the way: how many
 * keys are below low, and how many are low + k, for k = 0 .. high - low. */
#define MG_SHORT_KEY_COUNT 32768
typedef struct mg_short_keys_args {
    mg_mix_input base, x;
    mg_dtype work; /* BF16 or F16 */
    bool descending;
    int64_t count; /* at most 2^32 */
    uint16_t *keys;
    int low, high; /* 0 <= low <= high < MG_SHORT_KEY_COUNT */
    int64_t *below_out;
    int64_t *tally; /* room for MG_SHORT_KEY_COUNT; host memory */
} mg_short_keys_args;

#define MG_TRACK_SLACK 16 /* indexes before and behind those in use that may be touched */

/* bits[e] = keys[e] <= limit, zeros behind count; tracks = those e whose key is limit, in order. */
typedef struct mg_short_mask_args {
    const uint16_t *keys;
    int64_t count; /* at most 2^32 */
    uint16_t limit;
    uint64_t *bits;
    uint32_t *tracks; /* and MG_TRACK_SLACK more, which are overwritten */
    int64_t *track_count_out;
} mg_short_mask_args;

/* One side of Hoare's partition of keys[first + 1 .. last) around the pivot keys[first], exchange
 * for exchange as libstdc++ makes it:  find from the left the first key not below the pivot, from
 * the right the last not above it, exchange them, go on behind both until they meet at the cut.
 * Range [first, cut) is made where it holds place boundary inside or at its end, else [cut, last);
 * keys of the other one become undefined.
 *
 * Elements with the key tracked have their indexes follow:  tracks[begin .. end) are those of the
 * range, in order of place, before and after.  When the left side is made, the bits of those that
 * went right are cleared.  tracked must be the key that has place boundary, and the range must hold
 * a key not below the pivot behind first, and one not above it. */
typedef struct mg_partition_args {
    uint16_t *keys; /* below MG_SHORT_KEY_COUNT */
    int64_t first, last;
    int64_t boundary; /* first < boundary < last */
    uint16_t tracked;
    uint32_t *tracks, *other; /* as much room in both; changed over in every call */
    int64_t begin, end;
    uint64_t *bits;
} mg_partition_args;

/* Sums in float64 of x*x, y*y and x*y, inputs cast to work, in 16 lanes as ops_nn.h says, over
 * blocks of MG_MIX_BLOCK elements whose sums are added in order. */
#define MG_MIX_BLOCK 65536
typedef struct mg_dot_args {
    mg_mix_input x, y;
    mg_dtype work;
    int64_t count;
    double *xx_out, *yy_out, *xy_out; /* host memory */
} mg_dot_args;

/* The norms of x and y and the cosine between them as torch's float32 kernels give them, chunk by
 * chunk of MG_MIX_ANGLE_CHUNK elements: a norm sums squares in 8 lanes, the cosine sums products of
 * quotients by norms (1 where a norm is not above 1e-8) as mg_mix_torch_total does. */
#define MG_MIX_TORCH_THREADS_MAX 1024 /* torch threads whose sums can be followed */
#define MG_MIX_ANGLE_CHUNK ((int64_t)1 << 20)
typedef struct mg_angle_args {
    mg_mix_input x, y;
    mg_dtype work;
    int64_t count;
    int torch_threads;  /* see mg_mix_torch_total */
    double *cosine_out; /* host memory; in [-1, 1] */
} mg_angle_args;

/* The next count words of mt, one an element:  bit = (word & 0xffffff) < below  (torch's bernoulli
 * for a probability below / 2^24).  bits and mt are host memory. */
typedef struct mg_bernoulli_args {
    mg_mt19937 *mt;
    uint32_t below;
    int64_t count;
    uint64_t *bits;
} mg_bernoulli_args;

/* Whether all values are finite; x is of F64, F32, BF16 or F16. */
typedef struct mg_finite_args {
    mg_mix_input x;
    int64_t count;
    bool *finite_out; /* host memory */
} mg_finite_args;

/* out[o, i] = fma(b[o, rank-1], a[rank-1, i], ... fma(b[o, 0], a[0, i], 0)), a product of float32
 * matrices as torch's sum it; all host memory.  It runs on the calling thread. */
typedef struct mg_product_args {
    float *out;     /* (rows, columns) */
    const float *b; /* (rows, rank) */
    const float *a; /* (rank, columns) */
    int64_t rows, columns, rank;
} mg_product_args;

typedef struct mg_mix_ops {
    /* REQUIRED */
    mg_status (*average)(mg_stream *stream, const mg_average_args *args, mg_error *err);
    mg_status (*blend)(mg_stream *stream, const mg_blend_args *args, mg_error *err);
    mg_status (*scale)(mg_stream *stream, const mg_scale_args *args, mg_error *err);
    mg_status (*task)(mg_stream *stream, const mg_task_args *args, mg_error *err);
    mg_status (*delta_sum)(mg_stream *stream, const mg_delta_sum_args *args, mg_error *err);
    mg_status (*rank)(mg_stream *stream, const mg_rank_args *args, mg_error *err);
    mg_status (*row_mask)(mg_stream *stream, const mg_row_mask_args *args, mg_error *err);
    mg_status (*dot)(mg_stream *stream, const mg_dot_args *args, mg_error *err);
    mg_status (*bernoulli)(mg_stream *stream, const mg_bernoulli_args *args, mg_error *err);
    mg_status (*finite)(mg_stream *stream, const mg_finite_args *args, mg_error *err);
    /* OPTIONAL: NULL means from dot, which differs in the last place */
    mg_status (*angle)(mg_stream *stream, const mg_angle_args *args, mg_error *err);
    /* OPTIONAL: NULL where memory is not the host's */
    mg_status (*keys)(mg_stream *stream, const mg_keys_args *args, mg_error *err);
    mg_status (*short_keys)(mg_stream *stream, const mg_short_keys_args *args, mg_error *err);
    /* These two run at once, in the calling thread; several may call them for one stream. */
    void (*short_mask)(const mg_stream *stream, const mg_short_mask_args *args);
    void (*partition)(const mg_stream *stream, mg_partition_args *args);
    /* OPTIONAL: NULL means to look with finite.  From now on operations of this stream that store
     * results set *flag (device memory) when one of them is not finite; flag NULL ends that. */
    mg_status (*watch)(mg_stream *stream, uint32_t *flag, mg_error *err);
    /* OPTIONAL: NULL where memory is not the host's */
    mg_status (*product)(mg_stream *stream, const mg_product_args *args, mg_error *err);
} mg_mix_ops;

/* x rounded to dtype, as the double that holds it. */
double mg_mix_round(double x, mg_dtype dtype);
/* The sum of count float32 values as torch's sum over one contiguous row on one thread gives it;
 * half says that the values come from a tensor of 16-bit floats. */
float mg_mix_torch_sum(const float *values, int64_t count, bool half);
/* How many of the last of count columns torch sums in the other order: those that fill no four
 * vectors (of fewer than a vector's lanes, no four scalars). */
#define MG_MIX_TAIL(count) ((count) < 8 ? (count) % 4 : (count) % 32)
/* The sum of a column: count values stride apart; tail says that it is one of MG_MIX_TAIL. */
float mg_mix_column_sum(const float *values, int64_t stride, int64_t count, bool tail);
/* The sum of one element's values over count models as torch's sum over the first of two axes gives
 * it: in order, in groups of 16; in the tail, four sums in turn. */
float mg_mix_model_sum(const float *values, int64_t count, bool tail);
/* How torch shares a sum of count elements to one number among its threads (at least 1): parts of
 * *part_out elements, the last one smaller; the number of parts is returned. */
int mg_mix_torch_parts(int64_t count, int threads, int64_t *part_out);
/* The sum of a tensor's values of dtype (F32, BF16 or F16), rounded to it, as torch with threads
 * threads gives it: each part is summed and rounded, then the parts, 0 for a thread without one. */
float mg_mix_torch_total(const float *values, int64_t count, mg_dtype dtype, int threads);
/* The same, given the rounded sums of part_count parts. */
float mg_mix_torch_join(const float *parts, int part_count, mg_dtype dtype, int threads);
/* Whether element is kept under a counter mask: the definition, for those who have no vectors. */
bool mg_mix_counter_keeps(mg_philox_key key, uint32_t tensor, uint32_t source, uint32_t below,
                          int64_t element);
/* The norm of a vector (and of the norms of chunks), and the cosine from the sums of chunks, for
 * mg_angle_args. */
float mg_mix_angle_norm(const float *norms, int64_t count);
double mg_mix_angle_cosine(const float *sums, int64_t count);
/* The threshold of a density for MG_MASK_COUNTER: keep iff (half + 0.5) * 2^-16 < density; false
 * when every element is kept. */
bool mg_mix_counter_below(double density, uint32_t *below_out);

MG_END_C
