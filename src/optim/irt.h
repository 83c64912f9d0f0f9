/* optim/irt.h - item response theory: what a candidate would answer to questions that it was not
 * asked (evolution.md 12.4).
 *
 * Two-parameter logistic model: candidate c answers item i rightly with probability
 * 1 / (1 + exp(-a_i (theta_c - b_i))), a discrimination, b difficulty, theta ability.  Answers are
 * in [0, 1]; NaN is "not asked".  Matrices are (candidates, items).  Maia Polo et al.,
 * "tinyBenchmarks", arXiv 2402.14992; "MERGE3", arXiv 2502.10436.  Thread-safety: one thread at a
 * time. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"

MG_BEGIN_C

#define MG_IRT_CANDIDATES_MIN 20 /* fewer: a fit says nothing */

typedef struct mg_irt {
    int64_t item_count, candidate_count;
    double *a, *b;  /* item_count */
    double *theta;  /* candidate_count: mean 0, standard deviation 1 */
    int64_t sweeps; /* that the fit took */
} mg_irt;

/* Fits items and abilities to answers.  irt_out ends with mg_irt_release. */
void mg_irt_fit(const double *answers, int64_t candidate_count, int64_t item_count,
                mg_irt *irt_out);
void mg_irt_release(mg_irt *irt); /* zeroed is fine */

/* Probability that an ability theta answers item rightly. */
double mg_irt_probability(const mg_irt *irt, int64_t item, double theta);
/* Ability from the answers of one candidate (item_count, NaN = not asked), with a normal prior
 * around centre. */
double mg_irt_ability(const mg_irt *irt, const double *answers, double centre);

/* Estimates of the mean answer over all items from those of one candidate.  weights (item_count)
 * are those of the asked items, by which their mean is taken; NULL = all alike.  mean: of the
 * answered alone; mp: with the model's expectation for the rest; gmp: halfway between both. */
typedef struct mg_irt_estimate {
    double mean, mp, gmp;
} mg_irt_estimate;

mg_irt_estimate mg_irt_estimates(const mg_irt *irt, const double *answers, const double *weights,
                                 double theta);

/* Picks count items that stand for all: k-means over vectors (item_count, width), 20 seeded
 * restarts; anchors_out (count) are the items nearest to the centres, ascending, and weights_out
 * (count) the shares of items that they stand for.  count <= item_count. */
void mg_irt_anchors(const double *vectors, int64_t item_count, int64_t width, int64_t count,
                    uint64_t seed, int64_t *anchors_out, double *weights_out);

MG_END_C
