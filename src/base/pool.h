/* base/pool.h - one pool of worker threads, made in cli and passed down.
 *
 * Work is a function called once for each index of a range.  Which thread takes which index is left
 * open, so results must not depend on it: give each index its own output.
 * Thread-safety: one mg_pool_run at a time; it must not be called from inside a task. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

typedef struct mg_pool mg_pool;

/* task is called with index 0 .. count-1; worker is 0 .. mg_pool_threads()-1, for scratch memory.
 */
typedef void mg_pool_task(void *context, int64_t index, int worker);

/* threads <= 0: one per CPU this process may use (affinity and cgroup quota respected). */
mg_pool *mg_pool_create(int threads);
void mg_pool_destroy(mg_pool *pool); /* NULL is fine */
int mg_pool_threads(const mg_pool *pool);
/* Returns when every index is done.  pool may be NULL: then all runs on the caller as worker 0. */
void mg_pool_run(mg_pool *pool, int64_t count, mg_pool_task *task, void *context);
/* CPUs this process may use. */
int mg_cpu_count(void);

MG_END_C
