/* optim/noise.h - how much of a generation's ranking is noise, and how many questions that asks for
 * (evolution.md 8.2, 8.4).
 *
 * Rank changes: Hansen, Niederberger, Guzzella, Koumoutsakos, IEEE TEC 13(1), 2009.
 * Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"

MG_BEGIN_C

/* Reliability rho = 2r / (1 + |r|) of scores whose two halves (count each) correlate by r; 0 when a
 * half does not vary. */
double mg_split_half(const double *first, const double *second, int64_t count);
/* Questions for the next generation: more while rho is below one half, fewer above. */
double mg_split_half_items(double items, double rho, double low, double high);

/* Which candidates are to be asked again: 2 + lambda/20 of them (u in (0, 1) decides about the
 * fraction), the first half in the order of sampling, the others the best of the rest.  Fills
 * indexes_out (lambda); returns how many. */
int64_t mg_uh_choose(const double *costs, int64_t lambda, double u, int64_t *indexes_out);
/* Mean rank change beyond what is no more than chance: above 0 means noise.  costs and again
 * (lambda) agree but for the candidates of indexes (count >= 1). */
double mg_uh_measure(const double *costs, const double *again, int64_t lambda,
                     const int64_t *indexes, int64_t count);

/* What the measurements so far ask for. */
typedef struct mg_uh {
    double smoothed;     /* s_bar */
    double items;        /* questions of the next generation */
    double sigma_factor; /* by which the step grows now */
} mg_uh;

void mg_uh_treat(mg_uh *uh, double measured, int64_t dimension, double low, double high);

MG_END_C
