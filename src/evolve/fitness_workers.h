/* evolve/fitness_workers.h - candidates evaluated in worker processes, one process each card.
 *
 * The parent's fitness sends genome and questions, a worker's fitness answers them; both describe
 * the same tasks and sources.  Jobs are done in their order, and what a candidate answers depends
 * on neither worker nor company, so a search with workers equals the one without.  A worker that
 * dies is started anew and its candidate tried once more; then that candidate fails.
 * Thread-safety: as fitness.h. */
#pragma once

#include "evolve/fitness.h"
#include "sched/workers.h"

MG_BEGIN_C

/* What a worker must know before it can evaluate goes in front of each request: the setting, bytes
 * that the search writes and its worker reads. */

/* description gives tasks and sources, and is never evaluated; the result owns it.  dimension is
 * that of the genomes; setting is copied; workers are borrowed. */
mg_fitness *mg_worker_fitness_create(mg_fitness *description, int64_t dimension, mg_str setting,
                                     mg_workers *workers);

/* Makes the fitness for a setting, called when it changes; the fitness before is the caller's to
 * end. */
typedef mg_status mg_fitness_prepare(void *context, mg_str setting, mg_fitness **fitness_out,
                                     int64_t *dimension_out, mg_error *err);

/* The worker's side: evaluates what comes in on the socket fd until the parent closes it. */
MG_MUST_CHECK mg_status mg_fitness_serve(mg_fitness_prepare *prepare, void *context, int fd,
                                         mg_error *err);

MG_END_C
