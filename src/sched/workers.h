/* sched/workers.h - worker processes that pull numbered tasks, and their answers in order.
 *
 *   idle --request--> busy --answer--> idle        a process that ends over a task is started anew,
 *    ^                 |                           and the task is tried again, `tries` times in
 *    +---- started ----+ ended                     all; then the task fails, and the run goes on
 *
 * Which worker takes which task is left open, so answers must not depend on it; they are handed out
 * in ascending order of tasks, whatever the order in which they come.  Processes are started when
 * first needed and stay between runs.  Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_workers mg_workers;

typedef struct mg_workers_options {
    /* The argument vector of each worker, ended by NULL; the first word is the program's path.
     * Borrowed. */
    const char *const *const *commands;
    int worker_count;
    int tries; /* of a task, at least 1 */
} mg_workers_options;

/* What a run calls, always on the caller's thread. */
typedef struct mg_workers_calls {
    void (*request)(void *context, int64_t task, mg_buf *request); /* appends it */
    void (*answer)(void *context, int64_t task, mg_str answer);
    /* Instead of an answer.  MG_ERR_DEVICE: tries workers ended over it; MG_ERR_INTERRUPTED: it was
     * not begun when stop said true. */
    void (*failed)(void *context, int64_t task, const mg_error *why);
    /* Asked several times a second, NULL = never.  Once it says true, busy workers get SIGTERM, and
     * their answers are awaited. */
    bool (*stop)(void *context);
    void *context;
} mg_workers_calls;

mg_workers *mg_workers_create(const mg_workers_options *options);
/* Closes the sockets and waits for the processes to end; those that do not are killed. */
void mg_workers_destroy(mg_workers *workers); /* NULL is fine */

/* Runs tasks 0 .. count-1; each is answered or failed exactly once, in ascending order.  Fails when
 * workers cannot be started, end before they are ready, or refuse (worker.h): tasks that had no
 * answer by then get none. */
MG_MUST_CHECK mg_status mg_workers_run(mg_workers *workers, int64_t count,
                                       const mg_workers_calls *calls, mg_error *err);

MG_END_C
