/* sched/worker.h - the side of a worker process: it answers requests until its parent is done.
 *
 * workers.h starts it with its end of a socket as descriptor MG_WORKER_FD.  First it says that it
 * is ready, or why it cannot work; then it answers one request after the other.  It does not
 * outlive its parent.  Thread-safety: one thread. */
#pragma once

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_WORKER_FD 3

/* Appends the answer to a request. */
typedef void mg_worker_answer(void *context, mg_str request, mg_buf *answer);

/* Says that the worker is ready, and answers until the parent closes the socket: MG_OK then. */
MG_MUST_CHECK mg_status mg_worker_serve(int fd, mg_worker_answer *answer, void *context,
                                        mg_error *err);
/* Tells the parent why this worker cannot work: its run ends with that. */
void mg_worker_refuse(int fd, const mg_error *why);

MG_END_C
