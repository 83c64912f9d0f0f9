/* optim/bernoulli.h - adaptive natural gradient over independent bits (evolution.md 6.7).
 *
 * Each bit has a probability of being one; the sorted population moves the probabilities, and the
 * signal-to-noise ratio of that movement sets the step.  The default for the switches of the
 * data-flow space.  Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_bernoulli mg_bernoulli;

/* start holds count probabilities.  count >= 1. */
mg_bernoulli *mg_bernoulli_create(const double *start, int64_t count, uint64_t seed);
void mg_bernoulli_destroy(mg_bernoulli *bits); /* NULL is fine */

int64_t mg_bernoulli_count(const mg_bernoulli *bits);
double mg_bernoulli_floor(const mg_bernoulli *bits); /* q_min; no probability leaves [it, 1 - it] */
const double *mg_bernoulli_probabilities(const mg_bernoulli *bits);
/* The bits of candidate in generation: a pure function of state, seed and both numbers. */
void mg_bernoulli_ask(const mg_bernoulli *bits, int64_t generation, int64_t candidate,
                      bool *bits_out);
/* sample (population, count) holds the bits of the candidates, order their indexes from best to
 * worst, weights the positive weights of the first weight_count of them (summing to 1). */
void mg_bernoulli_tell(mg_bernoulli *bits, const bool *sample, const int64_t *order,
                       const double *weights, int64_t weight_count);

void mg_bernoulli_save(const mg_bernoulli *bits, mg_buf *out);
/* Restores a state saved by an object of the same count.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_bernoulli_load(mg_bernoulli *bits, mg_str state, mg_error *err);

/* Clears the least probable set ones of count bits x until at most max are left; of equally
 * probable ones the later goes first. */
void mg_bits_limit(double *x, int64_t count, int64_t max, const double *probabilities);

MG_END_C
