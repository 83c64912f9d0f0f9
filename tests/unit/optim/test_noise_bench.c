/* The noise bench of evolution.md 17.12: expected scores of the mean and of the best sample after a
 * search on questions whose answers are right by chance. */
#include "support.h"

#include <math.h>

#include "base/rng.h"
#include "optim/cmaes.h"

enum { GENES = 6, ITEMS = 1069, RUNS = 60, POPULATION_MAX = 16 };

static const double optimum[GENES] = { 0.8, 0.6, 0.9, 0.4, 0.7, 0.3 };
static double difficulty[ITEMS];

static double ability(const double *x)
{
    double theta = 0.1;
    for (int i = 0; i < GENES; i++) {
        theta -= 3.0 * (x[i] - optimum[i]) * (x[i] - optimum[i]);
    }
    return theta;
}

/* In percent. */
static double truth(const double *x)
{
    double sum = 0.0;
    for (int i = 0; i < ITEMS; i++) {
        sum += 100.0 / (1.0 + exp(difficulty[i] - ability(x)));
    }
    return sum / ITEMS;
}

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < ITEMS; i++) { /* N(0, 1.5^2) without the luck of a draw */
        difficulty[i] = 1.5 * mg_normal_quantile((i + 0.5) / ITEMS);
    }
    return 0;
}

typedef struct outcome {
    double mean, best, luck;
} outcome;

static outcome search(int64_t questions, int64_t items, bool lra, uint64_t seed)
{
    mg_error err;
    double start[GENES], lower[GENES] = { 0 }, upper[GENES], x[GENES], best_x[GENES];
    double costs[POPULATION_MAX];
    int64_t order[ITEMS];
    for (int i = 0; i < GENES; i++) {
        start[i] = best_x[i] = 0.5;
        upper[i] = 1.0;
    }
    mg_cma_options o = { .kind = MG_CMA_FULL,
                         .dimension = GENES,
                         .start = start,
                         .sigma = 1.0 / 6.0,
                         .lower = lower,
                         .upper = upper,
                         .bounds = lra ? MG_BOUND_TRANSFORM : MG_BOUND_RESAMPLE,
                         .active = lra,
                         .adapt_learning_rate = lra,
                         .noisy = true,
                         .seed = seed };
    mg_cma *cma = NULL;
    assert_ok(mg_cma_create(&o, &cma, &err), &err);
    mg_rng rng = mg_rng_make(seed, MG_STREAM_ITEMS);
    for (int64_t i = 0; i < ITEMS; i++) {
        int64_t j = (int64_t)mg_rng_below(&rng, (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    double best = -1.0;
    int64_t lambda = mg_cma_population(cma);
    for (int64_t asked = 0; (asked + lambda) * items <= questions; asked += lambda) {
        for (int64_t k = 0; k < lambda; k++) {
            mg_cma_ask(cma, k, x);
            double theta = ability(x);
            int64_t right = 0;
            for (int64_t i = 0; i < items; i++) {
                double u = mg_rng_uniform(&rng);
                right += theta - difficulty[order[i]] + log(u / (1.0 - u)) > 0.0 ? 1 : 0;
            }
            double score = 100.0 * (double)right / (double)items;
            costs[k] = -score;
            if (score > best) {
                best = score;
                memcpy(best_x, x, sizeof(x));
            }
        }
        mg_cma_tell(cma, costs, NULL);
    }
    mg_cma_mean(cma, x);
    outcome out = { truth(x), truth(best_x), best - truth(best_x) };
    mg_cma_destroy(cma);
    return out;
}

static outcome average(int64_t questions, int64_t items, bool lra)
{
    outcome sum = { 0 };
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        outcome one = search(questions, items, lra, seed);
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
    const double start[GENES] = { 0.5, 0.5, 0.5, 0.5, 0.5, 0.5 };
    assert_near(truth(start), 33.8, 0.1);
    assert_near(truth(optimum), 51.8, 0.1);
}

static void plain_search_ends_where_it_should(void **state)
{
    (void)state;
    outcome few = average(50000, 200, false);
    assert_near(few.best, 50.3, 0.4);
    assert_near(few.mean, 50.5, 0.4);
    assert_near(few.luck, 7.0, 1.0);
    outcome all = average((int64_t)1069 * 1000, 1069, false);
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
