/* A warm start: the formulas of evolution.md 6.2, and what it is good for. */
#include "support.h"

#include <math.h>

#include "base/rng.h"
#include "optim/cmaes.h"
#include "optim/warm.h"

static void two_points_give_the_values_of_the_formulas(void **state)
{
    (void)state;
    const double points[4] = { 0.2, 0.4, 0.6, 0.4 };
    double mean[2], full[4], diagonal[2], sigma;
    mg_warm_start(points, 2, 2, true, mean, full, &sigma);
    /* S = diag(0.01 + 0.04, 0.01); det 0.0005 */
    assert_true(fabs(mean[0] - 0.4) < 1e-15 && fabs(mean[1] - 0.4) < 1e-15);
    assert_true(fabs(sigma - pow(0.0005, 0.25)) < 1e-12);
    assert_true(fabs(full[0] * sigma * sigma - 0.05) < 1e-12);
    assert_true(fabs(full[3] * sigma * sigma - 0.01) < 1e-12);
    assert_true(fabs(full[1]) < 1e-12 && full[1] == full[2]);
    assert_true(fabs(full[0] * full[3] - full[1] * full[2] - 1.0) < 1e-12);
    double sigma_diagonal;
    mg_warm_start(points, 2, 2, false, mean, diagonal, &sigma_diagonal);
    assert_true(fabs(sigma_diagonal - sigma) < 1e-12);
    assert_true(fabs(diagonal[0] - full[0]) < 1e-9 && fabs(diagonal[1] - full[3]) < 1e-9);
}

static void one_point_gives_a_ball_around_it(void **state)
{
    (void)state;
    const double point[3] = { 0.1, 0.5, 0.9 };
    double mean[3], c[9], sigma;
    mg_warm_start(point, 1, 3, true, mean, c, &sigma);
    assert_true(fabs(sigma - 0.1) < 1e-12);
    for (int i = 0; i < 9; i++) {
        assert_true(fabs(c[i] - (i % 4 == 0 ? 1.0 : 0.0)) < 1e-12);
    }
}

/* A valley along the diagonal, best at (0.7, ..., 0.7). */
static double valley(const double *x, int64_t n)
{
    double along = 0.0;
    double cost = 0.0;
    for (int64_t i = 0; i < n; i++) {
        along += (x[i] - 0.7) / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        double across = x[i] - 0.7 - along;
        cost += 1000.0 * across * across;
    }
    return cost + along * along;
}

static int64_t evaluations(const mg_cma_options *options)
{
    mg_error err;
    mg_cma *cma = NULL;
    assert_ok(mg_cma_create(options, &cma, &err), &err);
    double x[6], costs[16], best = INFINITY;
    int64_t count = 0;
    while (best > 1e-3 && count < 100000) {
        for (int64_t k = 0; k < mg_cma_population(cma); k++) {
            mg_cma_ask(cma, k, x);
            costs[k] = valley(x, 6);
            best = fmin(best, costs[k]);
            count++;
        }
        mg_cma_tell(cma, costs, NULL);
    }
    mg_cma_destroy(cma);
    return count;
}

static void good_points_of_a_related_problem_save_evaluations(void **state)
{
    (void)state;
    double points[20 * 6], start[6], c[36];
    mg_rng rng = mg_rng_make(2, MG_STREAM_TIES);
    for (int p = 0; p < 20; p++) { /* along the valley, about its end */
        double place = 0.6 + 0.1 * mg_rng_normal(&rng);
        for (int i = 0; i < 6; i++) {
            points[p * 6 + i] = place + 0.003 * mg_rng_normal(&rng);
        }
    }
    int64_t cold = 0;
    int64_t warm = 0;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        mg_cma_options o = {
            .kind = MG_CMA_FULL, .dimension = 6, .start = start, .active = true, .seed = seed
        };
        for (int i = 0; i < 6; i++) {
            start[i] = 0.1 + 0.1 * i;
        }
        o.sigma = 1.0 / 6.0;
        cold += evaluations(&o);
        mg_warm_start(points, 20, 6, true, start, c, &o.sigma);
        o.covariance = c;
        warm += evaluations(&o);
    }
    assert_true(warm < cold * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_points_give_the_values_of_the_formulas),
        cmocka_unit_test(one_point_gives_a_ball_around_it),
        cmocka_unit_test(good_points_of_a_related_problem_save_evaluations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
