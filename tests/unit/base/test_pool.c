/* tests of base/pool.h */
#include "support.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/pool.h"

#define COUNT_MAX 1000

typedef struct counts {
    atomic_int done[COUNT_MAX];
    atomic_int workers_out_of_range;
    int threads;
} counts;

static void count_index(void *context, int64_t index, int worker)
{
    counts *c = context;
    atomic_fetch_add(&c->done[index], 1);
    if (worker < 0 || worker >= c->threads) {
        atomic_fetch_add(&c->workers_out_of_range, 1);
    }
}

static void every_index_runs_exactly_once(void **state)
{
    (void)state;
    static const int threads[] = { 1, 2, 3, 8 };
    for (int t = 0; t < 4; t++) {
        mg_pool *pool = mg_pool_create(threads[t]);
        for (int round = 0; round < 300; round++) {
            static counts c;
            memset(&c, 0, sizeof(c));
            c.threads = mg_pool_threads(pool);
            int64_t count = (round * 37) % COUNT_MAX;
            mg_pool_run(pool, count, count_index, &c);
            for (int64_t i = 0; i < COUNT_MAX; i++) {
                assert_int_equal(atomic_load(&c.done[i]), i < count);
            }
            assert_int_equal(atomic_load(&c.workers_out_of_range), 0);
            if (round % 100 == 0) {
                (void)usleep(2000); /* long enough for the workers to fall asleep */
            }
        }
        mg_pool_destroy(pool);
    }
}

static void no_pool_means_the_caller(void **state)
{
    (void)state;
    static counts c;
    c.threads = 1;
    mg_pool_run(NULL, 5, count_index, &c);
    assert_int_equal(atomic_load(&c.done[4]), 1);
    assert_int_equal(mg_pool_threads(NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_runs_exactly_once),
        cmocka_unit_test(no_pool_means_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
