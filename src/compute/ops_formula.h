/* compute/ops_formula.h - methods that are more than one weighted sum, as formulas of an element.
 *
 * A formula reads all inputs of an element at once and gives its result (mg_formula_kind), or terms
 * that are summed over the tensor (mg_formula_sum_kind), from which the next formula gets its
 * numbers.  W rounds to the type work, as in ops_mix.h; merging.md has the methods.  The steps are
 * the inline functions of compute/formula_math.h, which the CPU's methods call in their own loops:
 * results have the same bits wherever the numbers that come from sums do.  Sums run in float64 in
 * blocks whose order is fixed; the CPU adds in torch's order, so they differ in the last places.
 * Thread-safety: as the stream. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "compute/ops_mix.h"

MG_BEGIN_C

#define MG_FORMULA_SCALARS 4
#define MG_FORMULA_ROWS 3

/* x_k are the inputs: W(x_k - base) when delta, then W(x_k / length_k) when unit, then 0 where bits
 * does not keep the element. */
typedef struct mg_formula {
    mg_dtype work;
    mg_mix_input base; /* data NULL = none */
    bool delta, unit;
    int64_t input_count; /* 1 .. MG_MIX_INPUTS_MAX */
    mg_mix_input inputs[MG_MIX_INPUTS_MAX];
    float length[MG_MIX_INPUTS_MAX];
    float weight[MG_MIX_INPUTS_MAX];
    float dot[MG_MIX_INPUTS_MAX];
    float scalar[MG_FORMULA_SCALARS];
    /* Device memory: a float32 tensor, W(mean / mean_divisor) unless that is 0; NULL = zeros. */
    const float *mean;
    float mean_divisor;
    const uint64_t *bits; /* device memory, NULL = all */
    /* Vectors of row_length elements row_stride apart: vector v begins at v * row_length, or at v
     * where row_stride is above 1.  row[i] (device memory, NULL = none) has a number for each
     * vector, which stands for scalar[i], or for length_i where a sum takes unit inputs. */
    int64_t row_length, row_stride;
    const float *row[MG_FORMULA_ROWS];
    int64_t count; /* elements; whole vectors where there are any */
} mg_formula;

typedef enum mg_formula_kind {
    MG_FORMULA_NEARSWAP,         /* base and x_0; scalar: t */
    MG_FORMULA_RAM,              /* deltas; scalar: epsilon */
    MG_FORMULA_RAM_PLUS,         /* and weight: the raises */
    MG_FORMULA_STOCK,            /* base and x; scalar: t */
    MG_FORMULA_NUSLERP,          /* x_0, x_1, base if any; scalar: a, b, sine */
    MG_FORMULA_MULTISLERP,       /* units, weight, dot, base if any; scalar: cosine, ratio, length,
                                    norm of the mean */
    MG_FORMULA_MULTISLERP_PLAIN, /* x_0, x_1, weight, base if any */
    MG_FORMULA_KARCHER_MEAN,     /* units; scalar: alpha */
    MG_FORMULA_KARCHER_STEP,     /* units, mean, dot, weight: factors; scalar: cosine, sine, norm */
    MG_FORMULA_KARCHER_SCALE,    /* mean; scalar: length */
    MG_FORMULA_VARIANCE,         /* deltas */
    MG_FORMULA_SCE,              /* deltas, base, weight */
    MG_FORMULA_IMPORTANCE,       /* base and x_0; scalar: divergence */
    MG_FORMULA_FUSION            /* base and x_0; scalar: divergence, threshold */
} mg_formula_kind;

/* The terms of an element; n is input_count. */
typedef enum mg_formula_sum_kind {
    MG_FORMULA_SUM_SQUARES,   /* n: x_k^2 in float64 */
    MG_FORMULA_SUM_ANGLES,    /* n squares, then W(x_a x_b), a < b, at n + b (b - 1) / 2 + a */
    MG_FORMULA_SUM_PRODUCT,   /* 1: W(x_0 x_1) */
    MG_FORMULA_SUM_ENERGY,    /* n: W(x_k^2) */
    MG_FORMULA_SUM_ACTIVE,    /* 2 n: of ram, x_k active with others, then alone */
    MG_FORMULA_SUM_NONZERO,   /* 1: x_0 is not 0 */
    MG_FORMULA_SUM_MEAN,      /* 1: mean^2 */
    MG_FORMULA_SUM_MULTI,     /* 1: of multislerp, the square of the mean direction */
    MG_FORMULA_SUM_MULTI_DOT, /* n: W(x_k times the unit mean) */
    MG_FORMULA_SUM_MULTI_TANGENT,
    MG_FORMULA_SUM_KARCHER_DOT, /* n: mean times x_k in float64 */
    MG_FORMULA_SUM_KARCHER_TANGENT
} mg_formula_sum_kind;

static inline int64_t mg_formula_terms(mg_formula_sum_kind kind, int64_t n)
{
    switch (kind) {
    case MG_FORMULA_SUM_ANGLES:
        return n + n * (n - 1) / 2;
    case MG_FORMULA_SUM_ACTIVE:
        return 2 * n;
    case MG_FORMULA_SUM_SQUARES:
    case MG_FORMULA_SUM_ENERGY:
    case MG_FORMULA_SUM_MULTI_DOT:
    case MG_FORMULA_SUM_KARCHER_DOT:
        return n;
    default:
        return 1;
    }
}

/* out[e] = the formula's result.  draft: it is not looked through for values that are not finite
 * (mg_mix_ops.watch). */
typedef struct mg_formula_args {
    mg_formula_kind kind;
    const mg_formula *formula;
    void *out;
    mg_dtype out_dtype;
    bool draft;
} mg_formula_args;

typedef struct mg_formula_sum_args {
    mg_formula_sum_kind kind;
    const mg_formula *formula;
    bool by_vector;
    double *sums_out; /* host memory: (terms,), or (vectors, terms) */
} mg_formula_sum_args;

/* For each row of length elements, the Kullback-Leibler divergence between the softmaxes of x and
 * base (merging.md 4.10), both of the type work, to which steps and result are rounded; sums in
 * float64. */
typedef struct mg_divergence_args {
    mg_mix_input base, x;
    mg_dtype work;
    int64_t rows, length;
    float *out; /* (rows,) device memory */
} mg_divergence_args;

/* out[i] = values[places[i]] */
typedef struct mg_pick_args {
    const float *values;   /* device memory */
    const int64_t *places; /* host memory */
    int64_t count;
    float *out; /* host memory */
} mg_pick_args;

typedef struct mg_formula_ops {
    /* REQUIRED */
    mg_status (*apply)(mg_stream *stream, const mg_formula_args *args, mg_error *err);
    mg_status (*sum)(mg_stream *stream, const mg_formula_sum_args *args, mg_error *err);
    mg_status (*divergence)(mg_stream *stream, const mg_divergence_args *args, mg_error *err);
    mg_status (*pick)(mg_stream *stream, const mg_pick_args *args, mg_error *err);
} mg_formula_ops;

MG_END_C
