/* cli/evaluating.h - the parts of `eval`: the model, a merge in memory or a folder; the samples
 * file; the comparison of two of them.
 *
 * Thread-safety: one thread at a time. */
#pragma once

#include <stdio.h>

#include "cli/cli.h"
#include "cli/running.h"
#include "eval/runner.h"
#include "merge/plan.h"

MG_BEGIN_C

/* A model to evaluate. */
typedef struct mg_evaluated {
    mg_running running; /* its snapshot is NULL for a merge */
    mg_model_set *set;  /* of a merge */
    mg_plan *plan;
} mg_evaluated;

/* reference names a folder or a cached repository, or is the file of a merge configuration, which
 * is then merged into the engine; nothing is written. */
MG_MUST_CHECK mg_status mg_evaluated_open(mg_cli *cli, const char *reference,
                                          const mg_engine_options *options,
                                          mg_evaluated *evaluated_out, mg_error *err);
void mg_evaluated_close(mg_evaluated *evaluated); /* NULL or zeroed is fine */

/* Appends the lines of one item to the samples file: one for each filter. */
MG_MUST_CHECK mg_status mg_sample_write(FILE *file, const mg_task *task,
                                        const mg_prepared_task *prepared,
                                        const mg_item_result *result, mg_error *err);

/* Prints the paired comparison of two samples files (or of two result files beside which they lie).
 * metric NULL = the first that both have. */
MG_MUST_CHECK mg_status mg_samples_compare(mg_cli *cli, const char *a, const char *b,
                                           const char *metric, mg_error *err);

MG_END_C
