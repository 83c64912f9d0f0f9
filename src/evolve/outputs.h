/* evolve/outputs.h - the files of a storage folder beside run.db, while a search runs.
 *
 * best_config.yaml is replaced whole with each improvement; metrics.csv gets a row for each
 * evaluation; tb/ gets the scalars of each generation.  Thread-safety: one call at a time. */
#pragma once

#include "evolve/genome.h"
#include "evolve/loop.h"
#include "store/store.h"

MG_BEGIN_C

typedef struct mg_outputs mg_outputs;

/* metrics.csv is written anew from what store knows. */
MG_MUST_CHECK mg_status mg_outputs_open(const char *folder, mg_store *store,
                                        mg_outputs **outputs_out, mg_error *err);
void mg_outputs_close(mg_outputs *outputs); /* NULL is fine */

/* What x stands for becomes best_config.yaml. */
MG_MUST_CHECK mg_status mg_outputs_best(mg_outputs *outputs, const mg_genome *genome,
                                        const double *x, mg_error *err);
/* The same in a file of its own. */
MG_MUST_CHECK mg_status mg_outputs_recipe(const char *path, const mg_genome *genome,
                                          const double *x, mg_error *err);
MG_MUST_CHECK mg_status mg_outputs_record(mg_outputs *outputs, const mg_loop_record *record,
                                          mg_error *err);
MG_MUST_CHECK mg_status mg_outputs_generation(mg_outputs *outputs,
                                              const mg_loop_generation *generation, mg_error *err);

MG_END_C
