/* evolve/search.h - `evolve CONFIG --storage-path DIR`, whole: models, tasks, store, files, winner.
 *
 * Joins the loop with real models and keeps the storage folder (interface.md 3.2): run.db,
 * best_config.yaml, metrics.csv, tb/, report.md, final_model/.
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/pool.h"
#include "compute/device.h"
#include "evolve/loop.h"
#include "evolve/search_config.h"
#include "hub/cache.h"
#include "merge/plan.h"
#include "tensor/dtype.h"

MG_BEGIN_C

/* All pointers are borrowed. */
typedef struct mg_search_options {
    const mg_evolve_config *config;
    const char *storage;
    const mg_hub *hub;
    const mg_device *device;
    mg_pool *pool;
    mg_dtype dtype; /* of the engine's weights; MG_DTYPE_COUNT = choose */
    const char *const *task_paths;
    int64_t task_path_count;
    const char *python;      /* of task files' functions, NULL = python3 */
    double python_timeout_s; /* of one call, 0 = 60 */
    bool allow_crimes;
    bool save_final_model;
    size_t shard_bytes; /* of final_model */
    /* Worker processes that evaluate the candidates: the argument vector of each, ended by NULL,
     * for a program that calls mg_search_serve with the same options. */
    const char *const *const *worker_commands;
    int worker_count; /* 0 = candidates are evaluated in this process */
    bool (*stop)(void *context);
    void (*progress)(void *context, const mg_loop_progress *progress);
    void *context; /* of both */
} mg_search_options;

/* What a search would be, found without a weight or an answer. */
typedef struct mg_search_plan {
    int64_t genes;       /* of the first stage */
    int64_t stages;      /* one after the other */
    int64_t tasks;       /* with all roles */
    int64_t questions;   /* of all of them */
    int64_t evaluations; /* of the first stage; 0 = not limited */
} mg_search_plan;

/* Does what a run does before it begins, and no more: reads tasks, opens models, plans the merge it
 * would start with, which look is shown (NULL = nobody).  storage and device of options may be
 * NULL.  All mistakes are in err, as those of mg_search_run. */
MG_MUST_CHECK mg_status mg_search_check(const mg_search_options *options,
                                        void (*look)(void *context, const mg_plan *plan),
                                        void *context, mg_search_plan *plan_out, mg_error *err);

/* Runs the search, or continues the one in options->storage.  Everything that can be wrong with
 * files, tasks and models is reported before the first weight is read.  MG_ERR_CONFIG also when the
 * folder holds a search over other models, tasks or genes, naming them; MG_ERR_BUSY;
 * MG_ERR_INTERRUPTED. */
MG_MUST_CHECK mg_status mg_search_run(const mg_search_options *options, mg_error *err);

/* A worker of such a search: evaluates the candidates that come in on the socket fd until the
 * parent closes it.  Reads options->storage alone. */
MG_MUST_CHECK mg_status mg_search_serve(const mg_search_options *options, int fd, mg_error *err);

MG_END_C
