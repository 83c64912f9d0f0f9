/* optim/nsga2.h - NSGA-II: a population spread over the front of several objectives (evolution.md
 * 9).
 *
 * Ask and tell, as cmaes.h: each generation asks as many children as there are parents; the better
 * half of both lives on.  All draws are functions of (seed, generation).  Deb, Pratap, Agarwal,
 * Meyarivan, IEEE TEC 6(2), 2002; simulated binary crossover and polynomial mutation: Deb and
 * Agrawal 1995, Deb and Goyal 1996.  Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_NSGA2_POPULATION 40
#define MG_NSGA2_POPULATION_PER_OBJECTIVE 10 /* at least */

typedef struct mg_nsga2_options {
    int64_t dimension;
    int64_t bit_count;           /* the first coordinates are bits, 0 or 1 */
    int64_t bits_max;            /* of a candidate that may be set */
    const double *bit_start;     /* bit_count: probabilities in the first generation */
    const double *start;         /* dimension: the first candidate of the first generation */
    const double *lower, *upper; /* dimension; those of bits do not count */
    int64_t population;          /* at least 4; odd ones are fine */
    int64_t objective_count;     /* 1 .. 16 */
    uint64_t seed;
} mg_nsga2_options;

/* One of the living. */
typedef struct mg_nsga2_member {
    int64_t id;
    const double *x;          /* dimension */
    const double *objectives; /* objective_count */
    double violation;
    int64_t front; /* 0 = no other member dominates it */
} mg_nsga2_member;

typedef struct mg_nsga2 mg_nsga2;

/* MG_ERR_CONFIG when the options make no search. */
MG_MUST_CHECK mg_status mg_nsga2_create(const mg_nsga2_options *options, mg_nsga2 **nsga_out,
                                        mg_error *err);
void mg_nsga2_destroy(mg_nsga2 *nsga); /* NULL is fine */

int64_t mg_nsga2_population(const mg_nsga2 *nsga);
int64_t mg_nsga2_generation(const mg_nsga2 *nsga);
/* Candidate k of the current generation. */
void mg_nsga2_ask(mg_nsga2 *nsga, int64_t k, double *x_out);
/* The whole generation: candidate k is first_id + k from now on; objectives (population,
 * objective_count) are minimised, infinity where there is no value; violations may be NULL. */
void mg_nsga2_tell(mg_nsga2 *nsga, int64_t first_id, const double *objectives,
                   const double *violations);
/* The living, best first; borrowed until the next tell.  None before the first tell. */
int64_t mg_nsga2_member_count(const mg_nsga2 *nsga);
mg_nsga2_member mg_nsga2_member_at(const mg_nsga2 *nsga, int64_t index);

/* New objectives (objective_count) of a member, before the next tell: they have become known
 * better. */
void mg_nsga2_revise(mg_nsga2 *nsga, int64_t index, const double *objectives);

/* The whole state as bytes, and back.  MG_ERR_FORMAT. */
void mg_nsga2_save(const mg_nsga2 *nsga, mg_buf *out);
MG_MUST_CHECK mg_status mg_nsga2_load(const mg_nsga2_options *options, mg_str state,
                                      mg_nsga2 **nsga_out, mg_error *err);

MG_END_C
