/* optim/cmaes_internal.h - the state of one optimiser, shared by cmaes*.c and their tests.
 *
 * Inside, coordinates are divided by options.scale.  Names follow evolution.md 6.
 * Thread-safety: as cmaes.h. */
#pragma once

#include "optim/cmaes.h"

MG_BEGIN_C

#define MG_CMA_STOP_BYTES 24

/* Learning-rate adaptation of one part (8.3). */
typedef struct mg_cma_rate {
    double *e; /* smoothed step in local coordinates */
    int64_t count;
    double v; /* smoothed squared length of the step */
    double eta;
} mg_cma_rate;

struct mg_cma {
    mg_cma_options options; /* its pointers are NULL: copies are below */
    int64_t n, lambda;
    mg_cma_constants k;
    double *unit;            /* n: scale of the options */
    double *stretch;         /* n: a of 6.6, 1 for numbers; NULL without levels */
    double *scale;           /* n, in the caller's units: unit times stretch */
    double *lower, *upper;   /* n, scaled; NULL = unbounded; infinite where there are levels */
    const mg_levels *levels; /* n, borrowed; NULL = none */
    double range_min;        /* least upper - lower, scaled; infinity when unbounded */

    int64_t generation;
    double sigma;
    double *mean, *p_s, *p_c; /* n */
    double *c;                /* (n, n) full; (n) sep; NULL for LM-MA */
    double *b;                /* (n, n) eigenvectors, full only */
    double *d;                /* n: square roots of the eigenvalues; sep: of the diagonal */
    int64_t eigen_generation;
    int64_t direction_count; /* LM-MA: s */
    double *directions;      /* (s, n) */
    mg_cma_rate rate_mean, rate_cov;

    /* The current population, a function of the state above and of the seed. */
    bool sampled;
    double *y;      /* (lambda, n): x = mean + sigma y; LM-MA: d */
    double *z;      /* (lambda, n), LM-MA only */
    bool *injected; /* lambda */

    int64_t *order;                        /* lambda */
    double *costs;                         /* lambda, of the generation told last */
    double *history_best, *history_median; /* newest last */
    int64_t history_count, history_cap;
    int64_t flat_count;           /* generations in a row with more than mu best candidates */
    char stop[MG_CMA_STOP_BYTES]; /* empty = go on */
    double *scratch;              /* 4 n + 2 n^2 for full */
};

/* Draws the whole population when that has not been done for this generation. */
void mg_cma_sample(mg_cma *cma);
/* C = B diag(d^2) B^T anew, with the floor under the eigenvalues. */
void mg_cma_decompose(mg_cma *cma);
/* out = C^-1/2 v (sep: elementwise); out and v may not overlap. */
void mg_cma_whiten(const mg_cma *cma, double *out, const double *v);
/* The update of one generation; order and costs are set. */
void mg_cma_update(mg_cma *cma, const bool *relevant);
/* Keeps the margins of discrete coordinates (6.6). */
void mg_cma_keep_margins(mg_cma *cma);
bool mg_cma_discrete(const mg_cma *cma, int64_t i);
/* The criteria of 6.8; sets cma->stop. */
void mg_cma_check_stop(mg_cma *cma);
/* The point that is evaluated for x, in scaled coordinates: the image of the bound map. */
void mg_cma_repair(const mg_cma *cma, double *x_out, const double *x);

MG_END_C
