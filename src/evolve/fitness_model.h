/* evolve/fitness_model.h - candidates as real models: merged in memory, run on the engine, scored.
 *
 * Paths run over their models' weights, which are read, or merged, once and stay: a candidate
 * copies none.  Where the merge belongs to what is searched for, each candidate makes that anew.
 * Small models are evaluated one candidate a thread; a large one gets all threads.  No candidate
 * touches the disk.  Thread-safety: as fitness.h. */
#pragma once

#include "base/pool.h"
#include "compute/device.h"
#include "eval/task.h"
#include "evolve/fitness.h"
#include "evolve/genome.h"
#include "merge/plan.h"

MG_BEGIN_C

/* All pointers are borrowed and must outlive the fitness. */
typedef struct mg_model_fitness_options {
    const mg_genome *genome;
    mg_model_set *models; /* every source and the base are open already */
    const mg_hub *hub;
    const mg_device *device;
    mg_pool *pool;
    mg_dtype dtype; /* of the weights in the engine: MG_F32 or MG_BF16; MG_DTYPE_COUNT = choose */
    const mg_model_ref *sources;
    int64_t source_count;
    /* Models of the paths, where genome is one; NULL = the sources.  Where genome has a root, that
     * stands for the first. */
    const mg_model_ref *stacks;
    int64_t stack_count;
    mg_task *const *tasks;
    const int64_t *metrics; /* per task: index of the metric that is the score */
    int64_t task_count;
    uint64_t seed;
    bool allow_crimes;
    bool one_at_a_time; /* candidates come singly: small models get all threads too */
} mg_model_fitness_options;

MG_MUST_CHECK mg_status mg_model_fitness_create(const mg_model_fitness_options *options,
                                                mg_fitness **fitness_out, mg_error *err);

MG_END_C
