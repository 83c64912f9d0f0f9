/* base/pool.c - threads that take indexes from a shared counter.
 *
 * A run publishes its task under a new epoch.  Workers spin briefly for the next epoch before they
 * sleep, because the engine starts many small runs one after the other; the caller works too and
 * then waits the same way for the last worker.
 *
 *   caller: write task, epoch++ (release) -> wake sleepers -> work -> wait until running == 0
 *   worker: see epoch change (acquire) -> work -> running-- (release) -> spin, then sleep */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"

/* About 50 microseconds of looking before sleeping: longer than the gap between two operations of
 * a forward pass, shorter than anything a person would notice in the load of the machine. */
#define MG_POOL_SPIN_ROUNDS 4000

typedef struct worker_args {
    mg_pool *pool;
    int worker;
} worker_args;

struct mg_pool {
    int thread_count; /* with the caller */
    pthread_t *threads;
    worker_args *args;
    bool spin; /* false where threads outnumber CPUs: spinning would steal from the others */

    mg_pool_task *task; /* of the current epoch, written before it */
    void *context;
    int64_t count;
    _Alignas(64) atomic_uint epoch;
    _Alignas(64) atomic_int_fast64_t next; /* next index to take */
    _Alignas(64) atomic_int running;       /* workers not done with this epoch */
    atomic_bool stop;

    pthread_mutex_t mutex; /* guards sleeping with the two conditions */
    pthread_cond_t wake;
    pthread_cond_t done;
    atomic_int sleepers;
    atomic_bool caller_sleeps;
};

static void pause_once(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void take_indexes(mg_pool *pool, int worker)
{
    for (;;) {
        int64_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (index >= pool->count) {
            return;
        }
        pool->task(pool->context, index, worker);
    }
}

static unsigned wait_for_epoch(mg_pool *pool, unsigned seen)
{
    for (int i = 0; pool->spin && i < MG_POOL_SPIN_ROUNDS; i++) {
        unsigned epoch = atomic_load_explicit(&pool->epoch, memory_order_acquire);
        if (epoch != seen) {
            return epoch;
        }
        pause_once();
    }
    (void)pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    unsigned epoch;
    while ((epoch = atomic_load(&pool->epoch)) == seen) {
        (void)pthread_cond_wait(&pool->wake, &pool->mutex);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    (void)pthread_mutex_unlock(&pool->mutex);
    return epoch;
}

static void *worker_main(void *argument)
{
    worker_args *args = argument;
    mg_pool *pool = args->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_epoch(pool, seen);
        if (atomic_load(&pool->stop)) {
            return NULL;
        }
        take_indexes(pool, args->worker);
        if (atomic_fetch_sub(&pool->running, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            (void)pthread_mutex_lock(&pool->mutex);
            (void)pthread_cond_signal(&pool->done);
            (void)pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static void publish(mg_pool *pool)
{
    atomic_fetch_add(&pool->epoch, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        (void)pthread_mutex_lock(&pool->mutex);
        (void)pthread_cond_broadcast(&pool->wake);
        (void)pthread_mutex_unlock(&pool->mutex);
    }
}

/* Whole CPUs that a cgroup v2 quota grants, or 0 when there is none. */
static int cgroup_cpus(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file == NULL) {
        return 0;
    }
    long quota = 0;
    long period = 0;
    int fields = fscanf(file, "%ld %ld", &quota, &period);
    (void)fclose(file);
    if (fields != 2 || quota <= 0 || period <= 0) {
        return 0;
    }
    return (int)MG_MAX((quota + period - 1) / period, 1L);
}

int mg_cpu_count(void)
{
    cpu_set_t set;
    int count = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        count = MG_MAX(CPU_COUNT(&set), 1);
    }
    int quota = cgroup_cpus();
    return quota > 0 ? MG_MIN(count, quota) : count;
}

mg_pool *mg_pool_create(int threads)
{
    void *block = NULL;
    MG_ASSERT(mg_memory_try(sizeof(mg_pool), "the thread pool", &block, NULL) == MG_OK);
    mg_pool *pool = block;
    pool->thread_count = threads > 0 ? threads : mg_cpu_count();
    pool->spin = pool->thread_count <= mg_cpu_count();
    (void)pthread_mutex_init(&pool->mutex, NULL);
    (void)pthread_cond_init(&pool->wake, NULL);
    (void)pthread_cond_init(&pool->done, NULL);
    pool->threads = mg_new_array(pthread_t, pool->thread_count);
    pool->args = mg_new_array(worker_args, pool->thread_count);
    for (int i = 1; i < pool->thread_count; i++) {
        pool->args[i].pool = pool;
        pool->args[i].worker = i;
        if (pthread_create(&pool->threads[i], NULL, worker_main, &pool->args[i]) != 0) {
            pool->thread_count = i; /* fewer threads are slower, not wrong */
        }
    }
    return pool;
}

void mg_pool_destroy(mg_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    atomic_store(&pool->stop, true);
    publish(pool);
    for (int i = 1; i < pool->thread_count; i++) {
        (void)pthread_join(pool->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_cond_destroy(&pool->done);
    (void)pthread_mutex_destroy(&pool->mutex);
    mg_free(pool->threads);
    mg_free(pool->args);
    mg_free_aligned(pool);
}

int mg_pool_threads(const mg_pool *pool)
{
    return pool == NULL ? 1 : pool->thread_count;
}

static void wait_for_workers(mg_pool *pool)
{
    for (int i = 0; pool->spin && i < MG_POOL_SPIN_ROUNDS * 4; i++) {
        if (atomic_load_explicit(&pool->running, memory_order_acquire) == 0) {
            return;
        }
        pause_once();
    }
    (void)pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->running) > 0) {
        (void)pthread_cond_wait(&pool->done, &pool->mutex);
    }
    atomic_store(&pool->caller_sleeps, false);
    (void)pthread_mutex_unlock(&pool->mutex);
}

void mg_pool_run(mg_pool *pool, int64_t count, mg_pool_task *task, void *context)
{
    if (pool == NULL || pool->thread_count == 1 || count == 1) {
        for (int64_t i = 0; i < count; i++) {
            task(context, i, 0);
        }
        return;
    }
    if (count <= 0) {
        return;
    }
    pool->task = task;
    pool->context = context;
    pool->count = count;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store(&pool->running, pool->thread_count - 1);
    publish(pool);
    take_indexes(pool, 0);
    wait_for_workers(pool);
}
