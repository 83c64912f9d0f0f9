/* optim/warm.h - a first distribution from good points of earlier runs (evolution.md 6.2, end).
 *
 * Nomura, Watanabe, Akimoto, Ozaki, Onishi, "Warm Starting CMA-ES for Hyperparameter Optimization",
 * arXiv 2012.06932, equations 8 to 10.  Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"

MG_BEGIN_C

#define MG_WARM_SHARE 0.1 /* of the earlier points, the best ones: gamma */

/* Fits points (count, n) >= 1 of them, in units in which the box has length 1: their average plus
 * covariance alpha^2 I + scatter, split into sigma^2 C with det C = 1.  covariance_out is (n, n)
 * when full, else the n entries of the diagonal. */
void mg_warm_start(const double *points, int64_t count, int64_t n, bool full, double *mean_out,
                   double *covariance_out, double *sigma_out);

MG_END_C
