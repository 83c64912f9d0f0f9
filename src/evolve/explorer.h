/* evolve/explorer.h - the optimiser of a search behind one interface: CMA-ES over numbers with bits
 * beside them where the space has any (evolution.md 4.4, 6.6, 6.7), NSGA-II over both (9), or an
 * archive of linear forms (11).
 *
 * A vector holds the bits first, as 0 and 1, then the numbers.  Thread-safety: one thread at a
 * time. */
#pragma once

#include <stdbool.h>

#include "evolve/loop.h"
#include "optim/cmaes.h"
#include "optim/niches.h"
#include "optim/nsga2.h"

MG_BEGIN_C

typedef enum mg_explorer_kind {
    MG_EXPLORER_GRADIENT, /* CMA-ES; bits by adaptive natural gradient */
    MG_EXPLORER_MARGIN,   /* CMA-ES; bits as discrete coordinates of it */
    MG_EXPLORER_NSGA2,
    MG_EXPLORER_NICHES
} mg_explorer_kind;

typedef struct mg_explorer_options {
    mg_explorer_kind kind;
    mg_cma_options cma;      /* of the numbers alone; NSGA-II takes population and seed from it */
    int64_t objective_count; /* NSGA-II */
    mg_niches_options niches;
} mg_explorer_options;

/* What a generation was worth; all (population), objectives (population, objective_count). */
typedef struct mg_explorer_told {
    int64_t first_id;         /* of candidate 0 */
    const double *costs;      /* CMA-ES */
    const double *objectives; /* NSGA-II: minimised */
    const double *violations;
    const double *answers; /* niches: (population, items), rows of failed ones begin with NaN */
} mg_explorer_told;

typedef struct mg_explorer mg_explorer;

/* space is borrowed. */
MG_MUST_CHECK mg_status mg_explorer_create(const mg_explorer_options *options,
                                           const mg_loop_space *space, mg_explorer **explorer_out,
                                           mg_error *err);
/* Restores what mg_explorer_save wrote for the same options.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_explorer_load(const mg_explorer_options *options,
                                         const mg_loop_space *space, mg_str state,
                                         mg_explorer **explorer_out, mg_error *err);
void mg_explorer_save(const mg_explorer *explorer, mg_buf *out);
void mg_explorer_destroy(mg_explorer *explorer); /* NULL is fine */

int64_t mg_explorer_population(const mg_explorer *explorer);
void mg_explorer_ask(mg_explorer *explorer, int64_t k, double *x_out);
void mg_explorer_tell(mg_explorer *explorer, const mg_explorer_told *told);
/* The mean of the numbers, and of each bit what is more probable.  NSGA-II: its best member. */
void mg_explorer_mean(const mg_explorer *explorer, double *x_out);
/* Probability of each bit; NULL without bits.  Borrowed until the next tell. */
const double *mg_explorer_probabilities(const mg_explorer *explorer);
double mg_explorer_sigma(const mg_explorer *explorer); /* 0: has no step */
double mg_explorer_learning_rate(const mg_explorer *explorer);
const char *mg_explorer_stop(const mg_explorer *explorer);
/* Multiplies the step of CMA-ES by factor; not for NSGA-II. */
void mg_explorer_scale_step(mg_explorer *explorer, double factor);
/* Generations that CMA-ES has been told. */
int64_t mg_explorer_generation(const mg_explorer *explorer);
/* Gives CMA-ES over numbers alone, in the diagonal form, a full covariance; options as at creation
 * but for the form. */
MG_MUST_CHECK mg_status mg_explorer_to_full(mg_explorer *explorer,
                                            const mg_explorer_options *options, mg_error *err);
/* The population of NSGA-II; NULL for CMA-ES. */
mg_nsga2 *mg_explorer_nsga2(const mg_explorer *explorer);

/* The archive of the niches; NULL for others. */
mg_niches *mg_explorer_niches(const mg_explorer *explorer);

MG_END_C
