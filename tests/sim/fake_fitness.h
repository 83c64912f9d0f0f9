/* tests/sim/fake_fitness.h - the noise bench of evolution.md 17.12 behind the fitness interface.
 *
 * A candidate x has the ability 0.1 - 3 |x - optimum|^2; an item of difficulty b is answered
 * rightly when ability - b + logistic noise > 0, the noise hashed from (candidate, item).  Answers to
 * the first task have a text.  Faults come from a seed. */
#pragma once

#include "evolve/fitness.h"

typedef struct fake_options {
    int64_t dimension; /* 6: the bench's optimum; others repeat it */
    int64_t items, test_items;
    int64_t sources;
    double fail_share;  /* of candidates: non-finite */
    double flaky_share; /* of candidates: out of memory at the first try */
    uint64_t seed;
    double crash_share;    /* of candidates: the user's function fails at the first try */
    double *clock_seconds; /* moved on by every answer; NULL = time stands still */
    bool opposed;          /* the second task wants the mirror image of the first one's optimum */
    double lasting_effect; /* sd, in logits, of what is particular to a candidate */
    double late_share;     /* of candidates: non-finite on the second task */
    double right;          /* value of a right answer; 0 = 1 */
    bool first_source_fails;
} fake_options;

mg_fitness *fake_fitness_create(const fake_options *options);
/* The expected share of right answers of a genome over all items. */
double fake_fitness_truth(const mg_fitness *fitness, const double *genome);
int64_t fake_fitness_answers(const mg_fitness *fitness); /* given so far */
