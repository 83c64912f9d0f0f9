/* The noise bench of evolution.md 17.12: expected scores of the mean and of the best sample after a
 * search on questions whose answers are right by chance. */
#include "support.h"

#include <math.h>

#include "noise_world.h"

enum { RUNS = 60 };

static int set_up(void **state)
{
    (void)state;
    noise_world_make();
    return 0;
}

static noise_outcome average(int64_t questions, int64_t items, bool lra)
{
    noise_search search = { .optimum = noise_optimum,
                            .questions = questions,
                            .items = items,
                            .bounds = lra ? MG_BOUND_TRANSFORM : MG_BOUND_RESAMPLE,
                            .active = lra,
                            .lra = lra };
    noise_outcome sum = { 0 };
    for (search.seed = 1; search.seed <= RUNS; search.seed++) {
        noise_outcome one = noise_search_run(&search);
        sum.mean += one.mean / RUNS;
        sum.best += one.best / RUNS;
        sum.luck += one.luck / RUNS;
    }
    return sum;
}

static void assert_near(double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance) {
        fail_msg("%.2f, expected %.1f", value, expected);
    }
}

static void start_and_optimum_are_those_of_the_bench(void **state)
{
    (void)state;
    const double start[NOISE_GENES] = { 0.5, 0.5, 0.5, 0.5, 0.5, 0.5 };
    assert_near(noise_truth(start, noise_optimum), 33.8, 0.1);
    assert_near(noise_truth(noise_optimum, noise_optimum), 51.8, 0.1);
}

static void plain_search_ends_where_it_should(void **state)
{
    (void)state;
    noise_outcome few = average(50000, 200, false);
    assert_near(few.best, 50.3, 0.4);
    assert_near(few.mean, 50.5, 0.4);
    assert_near(few.luck, 7.0, 1.0);
    noise_outcome all = average((int64_t)1069 * 1000, 1069, false);
    assert_near(all.best, 51.4, 0.4);
    assert_near(all.luck, 3.7, 1.0);
}

static void adapted_rates_end_where_they_should(void **state)
{
    (void)state;
    assert_near(average(20000, 50, true).mean, 50.8, 0.4);
    assert_near(average(50000, 100, true).mean, 51.2, 0.4);
    assert_near(average(200000, 200, true).mean, 51.6, 0.4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_and_optimum_are_those_of_the_bench),
        cmocka_unit_test(plain_search_ends_where_it_should),
        cmocka_unit_test(adapted_rates_end_where_they_should),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
