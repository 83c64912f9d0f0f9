/* optim/cmaes.h - covariance matrix adaptation, ask and tell (evolution.md 6).
 *
 * Minimises a cost over vectors; it has never heard of language models.  All draws are functions of
 * (seed, generation, candidate, coordinate), so that a state and the told costs decide everything.
 * Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772; learning-rate adaptation:
 * Nomura et al., arXiv 2304.03473.  Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

typedef enum mg_cma_kind { MG_CMA_FULL, MG_CMA_SEP, MG_CMA_LM_MA } mg_cma_kind;
typedef enum mg_bound_kind { MG_BOUND_NONE, MG_BOUND_TRANSFORM, MG_BOUND_RESAMPLE } mg_bound_kind;

typedef struct mg_cma_options {
    mg_cma_kind kind;
    int64_t dimension;
    int64_t population;    /* 0 = 4 + floor(3 ln n) */
    const double *start;   /* dimension */
    double sigma;          /* initial step, in units of scale */
    const double *scale;   /* dimension; NULL = all 1 */
    const double *lower, *upper; /* dimension; NULL = unbounded */
    mg_bound_kind bounds;
    bool active;           /* negative weights */
    bool adapt_learning_rate; /* LRA-CMA (8.3) */
    bool noisy;            /* ignore tolfun-like stops */
    uint64_t seed;
} mg_cma_options;

typedef struct mg_cma mg_cma;

MG_MUST_CHECK mg_status mg_cma_create(const mg_cma_options *options, mg_cma **cma_out,
                                      mg_error *err);
void mg_cma_destroy(mg_cma *cma); /* NULL is fine */

int64_t mg_cma_population(const mg_cma *cma);
int64_t mg_cma_generation(const mg_cma *cma);
/* Candidate k (0 .. population-1) of the current generation, repaired into bounds, to x_out. */
void mg_cma_ask(mg_cma *cma, int64_t k, double *x_out);
/* The costs of the whole generation (population); violations may be NULL (all 0). */
void mg_cma_tell(mg_cma *cma, const double *costs, const double *violations);
/* The distribution mean, repaired into bounds. */
void mg_cma_mean(const mg_cma *cma, double *x_out);
double mg_cma_sigma(const mg_cma *cma);
/* NULL while the run should go on, else the name of the criterion of 6.8 that stopped it. */
const char *mg_cma_stop(const mg_cma *cma);

/* The whole state as bytes (exact doubles, versioned), and back.  A restored optimiser continues
 * bit for bit.  MG_ERR_FORMAT. */
void mg_cma_save(const mg_cma *cma, mg_buf *out);
MG_MUST_CHECK mg_status mg_cma_load(const mg_cma_options *options, mg_str state, mg_cma **cma_out,
                                    mg_error *err);

MG_END_C
