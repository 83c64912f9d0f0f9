/* optim/cmaes.h - covariance matrix adaptation, ask and tell (evolution.md 6).
 *
 * Minimises a cost over vectors; it has never heard of language models.  All draws are functions of
 * (seed, generation, candidate, coordinate), so that a state and the told costs decide everything.
 * Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772; learning-rate adaptation:
 * Nomura et al., arXiv 2304.03473; limited memory: Loshchilov, Glasmachers, Beyer, arXiv
 * 1705.06693. Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "optim/margin.h"

MG_BEGIN_C

typedef enum mg_cma_kind { MG_CMA_FULL, MG_CMA_SEP, MG_CMA_LM_MA } mg_cma_kind;
typedef enum mg_bound_kind { MG_BOUND_NONE, MG_BOUND_TRANSFORM, MG_BOUND_RESAMPLE } mg_bound_kind;

#define MG_CMA_FULL_DIMENSION_MAX 1000 /* above it a full covariance would never move */

typedef struct mg_cma_options {
    mg_cma_kind kind;
    int64_t dimension;
    int64_t population;       /* 0 = 4 + floor(3 ln n) */
    const double *start;      /* dimension */
    double sigma;             /* initial step, in units of scale */
    const double *scale;      /* dimension; NULL = all 1 */
    const double *covariance; /* the first C, in units of scale: (n, n) full, (n) sep; NULL = I */
    const double *lower, *upper; /* dimension; NULL = unbounded */
    mg_bound_kind bounds;
    const mg_levels *levels;  /* dimension, borrowed with the values; NULL = numbers alone.  The
                              * bounds of a coordinate with levels do not count. */
    bool active;              /* negative weights */
    bool adapt_learning_rate; /* LRA-CMA (8.3) */
    bool noisy;               /* ignore tolfun-like stops */
    bool sep_classic; /* MG_CMA_SEP: the classic constants of 6.4 instead of the fast ones */
    uint64_t seed;
} mg_cma_options;

/* The constants of 6.1 and 6.4. */
typedef struct mg_cma_constants {
    int64_t mu;
    double mu_eff, mu_neg;
    double c_s, d_s, c_c, c_1, c_mu, a_neg;
    double chi_n;
    double *weights; /* population: positive ones sum to 1, then the negative ones */
} mg_cma_constants;

/* 4 + floor(3 ln n). */
int64_t mg_cma_default_population(int64_t dimension);
/* Fills *constants_out; the caller frees its weights with mg_free. */
void mg_cma_constants_compute(const mg_cma_options *options, mg_cma_constants *constants_out);

typedef struct mg_cma mg_cma;

/* MG_ERR_CONFIG when the options contradict each other or a full covariance is asked for above
 * MG_CMA_FULL_DIMENSION_MAX. */
MG_MUST_CHECK mg_status mg_cma_create(const mg_cma_options *options, mg_cma **cma_out,
                                      mg_error *err);
void mg_cma_destroy(mg_cma *cma); /* NULL is fine */

int64_t mg_cma_population(const mg_cma *cma);
int64_t mg_cma_generation(const mg_cma *cma);
const mg_cma_constants *mg_cma_constants_view(const mg_cma *cma);
/* Candidate k (0 .. population-1) of the current generation, repaired into bounds, to x_out. */
void mg_cma_ask(mg_cma *cma, int64_t k, double *x_out);
/* Puts the foreign solution x in the place of candidate k of this generation, shortened when it is
 * too far from the mean.  Not for MG_CMA_LM_MA. */
void mg_cma_inject(mg_cma *cma, int64_t k, const double *x);
/* The costs of the whole generation (population); violations may be NULL (all 0).  A cost that is
 * no number counts as worst. */
void mg_cma_tell(mg_cma *cma, const double *costs, const double *violations);
/* As mg_cma_tell for MG_CMA_SEP where relevant (population, dimension) says which coordinates
 * played a part in a candidate's cost; the others teach nothing about their gene (4.4). */
void mg_cma_tell_relevant(mg_cma *cma, const double *costs, const double *violations,
                          const bool *relevant);
/* Multiplies the step by factor, between two generations. */
void mg_cma_scale_step(mg_cma *cma, double factor);
/* Indexes of the generation told last, best first (population); borrowed until the next tell. */
const int64_t *mg_cma_order(const mg_cma *cma);
/* The distribution mean, repaired into bounds. */
void mg_cma_mean(const mg_cma *cma, double *x_out);
/* The same without repair: where a discrete coordinate's normal distribution is centred. */
double mg_cma_centre(const mg_cma *cma, int64_t i);
double mg_cma_sigma(const mg_cma *cma);
/* Standard deviation of coordinate i in the caller's units (of a discrete one, before it takes its
 * level). */
double mg_cma_deviation(const mg_cma *cma, int64_t i);
/* Learning rate of the mean (LRA; 1 otherwise). */
double mg_cma_learning_rate(const mg_cma *cma);
/* NULL while the run should go on, else the name of the criterion of 6.8 that stopped it. */
const char *mg_cma_stop(const mg_cma *cma);

/* The same distribution with a full covariance, between two generations of MG_CMA_SEP.  options are
 * those of cma but for the kind.  *full_out is the caller's, and so is cma still. */
MG_MUST_CHECK mg_status mg_cma_to_full(const mg_cma *cma, const mg_cma_options *options,
                                       mg_cma **full_out, mg_error *err);

/* The whole state as bytes (exact doubles, versioned), and back.  A restored optimiser continues
 * bit for bit.  MG_ERR_FORMAT. */
void mg_cma_save(const mg_cma *cma, mg_buf *out);
MG_MUST_CHECK mg_status mg_cma_load(const mg_cma_options *options, mg_str state, mg_cma **cma_out,
                                    mg_error *err);

MG_END_C
