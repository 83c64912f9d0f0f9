/* evolve/questions.h - a list of questions, ascending by task and item, and the values stored for
 * it.
 *
 * Thread-safety: functions are independent; one thread at a time for a store. */
#pragma once

#include "base/error.h"
#include "evolve/fitness.h"
#include "store/store.h"

MG_BEGIN_C

/* Where the questions of the task that has the one at begin (< count) end. */
int64_t mg_questions_task_end(const mg_question *questions, int64_t count, int64_t begin);

/* The values (count) that the store has of a candidate for these questions; NaN = none. */
MG_MUST_CHECK mg_status mg_questions_values(mg_store *store, int64_t candidate,
                                            const mg_question *questions, int64_t count,
                                            double *values_out, mg_error *err);

MG_END_C
