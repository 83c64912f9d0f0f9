/* evolve/search_internal.h - what search.c, search_inputs.c, search_stages.c and search_results.c
 * share: everything that one search holds.
 *
 * Thread-safety: one thread; only broken is read by threads at work. */
#pragma once

#include "eval/suite.h"
#include "evolve/fingerprint.h"
#include "evolve/genome.h"
#include "evolve/loop.h"
#include "evolve/outputs.h"
#include "evolve/search.h"
#include "merge/plan.h"
#include "sched/workers.h"

MG_BEGIN_C

/* A stage from the moment when what it begins with is known. */
typedef struct mg_search_stage {
    mg_evolve_config config; /* the file's, with this stage's settings and models; never released */
    mg_genome *genome;
    const mg_model_ref *stacks; /* of paths; NULL = the sources */
    int64_t stack_count;
    mg_recipe root;            /* the merge that is the first stack, where there is one */
    const char *standard_name; /* of what it begins with; NULL = default merge */
    mg_loop_result result;
} mg_search_stage;

typedef struct mg_search {
    const mg_search_options *o;
    mg_arena arena;
    mg_suite **suites; /* one for each name of the configuration; they own the tasks */
    int64_t suite_count;
    mg_task **tasks;
    mg_loop_task *roles;
    int64_t *metrics;
    int64_t task_count;
    mg_model_set *models;
    int64_t *layer_counts; /* by model */
    mg_search_stage stages[MG_STAGES_MAX];
    int64_t current; /* the stage under way */
    bool is_past;    /* it has ended in an earlier process */
    char phase[96];  /* of progress */
    mg_fitness *fitness;
    mg_workers *workers; /* NULL = candidates are evaluated in this process */
    mg_store *store;     /* of a worker: open for reading, where a stage asks for it */
    mg_outputs *outputs;
    const double *warm_points; /* of earlier runs, for the first stage */
    int64_t warm_count;
    int broken;            /* not 0 once file_status is; read by threads at work, atomically */
    mg_status file_status; /* first failure inside a callback that returns nothing */
    mg_error file_error;
} mg_search;

/* search_inputs.c: opens tasks and models, makes the first stage's genome and a first plan. */
MG_MUST_CHECK mg_status mg_search_open_inputs(mg_search *search, mg_error *err);
/* What has to stay as it is while a search is continued. */
void mg_search_add_facts(mg_search *search, mg_fingerprint *facts);

/* search_stages.c: the genome of a later stage, from the results before it. */
MG_MUST_CHECK mg_status mg_search_prepare_stage(mg_search *search, int64_t index, mg_error *err);
/* What it depends on, hashed. */
void mg_search_stage_origin(mg_search *search, int64_t index, char origin_out[40]);

/* search_results.c: the recipe of a stage that has ended, for people. */
MG_MUST_CHECK mg_status mg_search_keep_stage(mg_search *search, int64_t index, mg_error *err);
/* The stage whose result is the search's. */
int64_t mg_search_best_stage(const mg_search *search);
/* final_model and its recipe; where stages cannot be told apart, the models of both. */
MG_MUST_CHECK mg_status mg_search_save_models(mg_search *search, int64_t best, mg_error *err);
MG_MUST_CHECK mg_status mg_search_write_report(mg_search *search, mg_error *err);

MG_END_C
