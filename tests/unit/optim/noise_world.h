/* tests/unit/optim/noise_world.h - the noise bench of evolution.md 17.12 for an optimiser alone:
 * questions whose answers are right by chance.  For a test and a bench. */
#pragma once

#include "optim/cmaes.h"

enum { NOISE_GENES = 6, NOISE_ITEMS = 1069 };

typedef struct noise_search {
    const double *optimum; /* NOISE_GENES */
    int64_t questions, items;
    mg_bound_kind bounds;
    bool active, lra;
    uint64_t seed;
} noise_search;

/* In percent. */
typedef struct noise_outcome {
    double mean, best; /* what they are worth: the mean, and the best sample */
    double luck;       /* by which that sample's score in the search lies above it */
} noise_outcome;

extern const double noise_optimum[NOISE_GENES]; /* the bench's own */

void noise_world_make(void); /* before the others */
/* The expected score of x, in percent. */
double noise_truth(const double *x, const double *optimum);
noise_outcome noise_search_run(const noise_search *search);
