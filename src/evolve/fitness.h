/* evolve/fitness.h - something that answers questions for candidates: models, or a simulation.
 *
 * The search knows candidates as vectors and sources as numbers; what becomes of them is behind
 * this interface.  Thread-safety: one evaluate at a time; it may use threads inside. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

/* With task_count added to its task, a question asks for the log-probability of the reference
 * answer instead. */
typedef struct mg_question {
    int32_t task; /* index into mg_fitness.tasks */
    int32_t item;
} mg_question;

/* One candidate and the questions it is to answer. */
typedef struct mg_job {
    const double *genome;         /* NULL: a source */
    int64_t source;               /* index of the source, when genome is NULL */
    const mg_question *questions; /* ascending by (task, item) */
    int64_t question_count;
    /* Outputs, by question.  values: the metric, NaN where the model failed. */
    double *values;
    mg_str *texts; /* in arena */
    mg_arena arena;
    mg_status status; /* MG_OK, or why there are no values: MG_ERR_NUMERIC, MG_ERR_MEMORY, ... */
    mg_error error;
    double seconds; /* of work */
} mg_job;

/* Called once for each finished job, from any thread but never twice at a time. */
typedef void mg_job_done(void *context, int64_t index);

typedef struct mg_fitness_task {
    mg_str name;
    int64_t item_count;
} mg_fitness_task;

typedef struct mg_fitness mg_fitness;

typedef struct mg_fitness_ops {
    /* Runs all jobs.  A candidate that fails does so in its job; only what ends the search fails
     * here. Once stop says true, unfinished jobs end with MG_ERR_INTERRUPTED in their status. */
    mg_status (*evaluate)(mg_fitness *fitness, mg_job *jobs, int64_t count, mg_job_done *done,
                          void *context, mg_error *err);
    void (*destroy)(mg_fitness *fitness);
} mg_fitness_ops;

struct mg_fitness {
    const mg_fitness_ops *ops;
    const mg_fitness_task *tasks;
    int64_t task_count;
    const mg_str *source_names;
    int64_t source_count;
    bool (*stop)(void *context); /* NULL = never */
    void *stop_context;
};

static inline void mg_fitness_destroy(mg_fitness *fitness) /* NULL is fine */
{
    if (fitness != NULL) {
        fitness->ops->destroy(fitness);
    }
}

MG_END_C
