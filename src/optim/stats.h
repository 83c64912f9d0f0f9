/* optim/stats.h - the statistics that a report rests on (evolution.md 13.2, 12.2).
 *
 * Thread-safety: pure functions. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

#define MG_Z95 1.959963984540054 /* normal quantile of 0.975 */

typedef struct mg_interval {
    double low, high;
} mg_interval;

/* Wilson's interval for successes of n trials (successes may be fractional, n > 0). */
mg_interval mg_wilson(double successes, double n, double z);

/* Exact mid-p McNemar: b and c count the questions that only the first, only the second got right.
 * Two-sided, at most 1; 1 when b + c = 0. */
double mg_mcnemar(int64_t b, int64_t c);

/* 95 % percentile interval of the mean of differences (count), by draws resamples of the items. */
mg_interval mg_bootstrap_mean(const double *differences, int64_t count, int64_t draws,
                              uint64_t seed);

/* Upper tail of the chi-square distribution with dof degrees of freedom. */
double mg_chi_square_tail(double x, int64_t dof);

/* Mean and standard error (of the mean, sample variance; 0 for a single value). */
void mg_mean_error(const double *values, int64_t count, double *mean_out, double *error_out);

MG_END_C
