/* optim/restart.h - what the next run of an optimiser looks like after one has stopped
 * (evolution.md 7).
 *
 * IPOP doubles the population each time.  BIPOP keeps two budgets and runs the regime that has
 * spent less: large populations 2^k times the first, or small ones with small steps and few
 * evaluations.  Auger and Hansen, CEC 2005; Hansen, GECCO 2009.  All draws are functions of (seed,
 * index).  Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_RESTART_MAX 9

typedef enum mg_restart_kind { MG_RESTART_IPOP, MG_RESTART_BIPOP } mg_restart_kind;

typedef struct mg_restart {
    mg_restart_kind kind;
    uint64_t seed;
    int64_t population_first;
    int64_t index; /* of the run: 0 = the first */
    /* The run. */
    int64_t population;
    double sigma_factor;     /* of the first run's initial step */
    int64_t evaluations_max; /* 0 = not limited */
    /* BIPOP's books. */
    bool small;                       /* regime of the run; the first counts as small */
    int64_t doublings;                /* k of the last large run */
    int64_t spent_small, spent_large; /* evaluations */
    int64_t spent_large_last;         /* of the last large run */
} mg_restart;

void mg_restart_init(mg_restart *restart, mg_restart_kind kind, int64_t population, uint64_t seed);
/* The run described has ended after evaluations: describes the next. */
void mg_restart_next(mg_restart *restart, int64_t evaluations);

/* A line of text, and back.  MG_ERR_FORMAT. */
void mg_restart_save(const mg_restart *restart, mg_buf *out);
/* restart is initialised with the same kind, population and seed. */
MG_MUST_CHECK mg_status mg_restart_load(mg_restart *restart, mg_str state, mg_error *err);

MG_END_C
