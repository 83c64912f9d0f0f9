/* Discrete coordinates: probabilities stay above the margin, and searches over integers and bits
 * reach optima at which plain rounding freezes (evolution.md 6.6). */
#include "support.h"

#include <math.h>

#include "base/rng.h"
#include "optim/cmaes_internal.h"

enum { N = 20, POPULATION_MAX = 64 };

static const double bit_values[2] = { 0, 1 };
static const double integer_values[21] = { -10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0,
                                           1,   2,  3,  4,  5,  6,  7,  8,  9,  10 };
static const double uneven_values[4] = { -2, 0, 1, 5 };

static double above(double threshold, double mean, double deviation)
{
    return 0.5 * erfc((threshold - mean) / deviation / sqrt(2.0));
}

static void numbers_take_the_nearest_level(void **state)
{
    (void)state;
    mg_levels levels = { uneven_values, 4 };
    const double pairs[][2] = { { -9, -2 }, { -1.1, -2 }, { -0.9, 0 }, { 0.4, 0 },
                                { 0.6, 1 }, { 2.9, 1 },   { 3.1, 5 },  { 99, 5 } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(pairs); i++) {
        assert_true(mg_levels_nearest(&levels, pairs[i][0]) == pairs[i][1]);
    }
}

static void outer_levels_leave_the_margin_beyond_their_threshold(void **state)
{
    (void)state;
    mg_levels levels = { bit_values, 2 };
    for (int side = 0; side < 2; side++) {
        double mean = side == 0 ? -3.0 : 4.0;
        double stretch = 1.0;
        mg_margin_correct(&levels, 0.01, 0.2, &mean, &stretch);
        double other = above(0.5, mean, 0.2);
        assert_true(fabs((side == 0 ? other : 1.0 - other) - 0.01) < 1e-9);
        assert_true(stretch == 1.0);
        double kept = mean = side == 0 ? 0.4 : 0.6; /* probable enough: left alone */
        mg_margin_correct(&levels, 0.01, 0.2, &mean, &stretch);
        assert_true(mean == kept);
    }
}

static void inner_levels_keep_half_the_margin_on_either_side(void **state)
{
    (void)state;
    mg_levels levels = { integer_values, 21 };
    mg_rng rng = mg_rng_make(5, MG_STREAM_TIES);
    for (int i = 0; i < 2000; i++) {
        double mean = 18.0 * mg_rng_uniform(&rng) - 9.0;
        double centre = mg_levels_nearest(&levels, mean);
        double deviation = exp(8.0 * mg_rng_uniform(&rng) - 7.0);
        double stretch = exp(mg_rng_normal(&rng));
        double old_mean = mean;
        double old_stretch = stretch;
        double margin = 0.001 + 0.1 * mg_rng_uniform(&rng);
        double old_low = 1.0 - above(centre - 0.5, mean, deviation * stretch);
        double old_high = above(centre + 0.5, mean, deviation * stretch);
        mg_margin_correct(&levels, margin, deviation, &mean, &stretch);
        double low = 1.0 - above(centre - 0.5, mean, deviation * stretch);
        double high = above(centre + 0.5, mean, deviation * stretch);
        assert_true(mg_levels_nearest(&levels, mean) == centre);
        assert_true(low > margin / 2.0 - 1e-9 && high > margin / 2.0 - 1e-9);
        if (fmin(old_low, old_high) > margin / 2.0) {
            assert_true(mean == old_mean && stretch == old_stretch);
        }
    }
}

/* Half the coordinates are integers, best at 3; the others numbers, best at 0. */
static double sphere_of_integers(const double *x)
{
    double sum = 0.0;
    for (int i = 0; i < N; i++) {
        double d = i < N / 2 ? x[i] - 3.0 : x[i];
        sum += d * d;
    }
    return sum;
}

/* Half the coordinates are bits, best all set. */
static double sphere_one_max(const double *x)
{
    double sum = N / 2;
    for (int i = 0; i < N; i++) {
        sum += i < N / 2 ? -x[i] : x[i] * x[i];
    }
    return sum;
}

typedef struct problem {
    double (*cost)(const double *x);
    mg_levels levels;
    double start, sigma;
} problem;

static const problem problems[2] = {
    { sphere_of_integers, { integer_values, 21 }, -6.0, 2.0 },
    { sphere_one_max, { bit_values, 2 }, 0.0, 0.5 },
};

/* Best cost after generations of a search with margins, or with plain rounding. */
static double search(const problem *p, mg_cma_kind kind, bool lra, bool margins, uint64_t seed)
{
    mg_error err;
    double start[N], x[N], costs[POPULATION_MAX];
    mg_levels levels[N] = { { NULL, 0 } };
    for (int i = 0; i < N; i++) {
        start[i] = i < N / 2 ? p->start : 1.0;
        levels[i] = i < N / 2 ? p->levels : levels[i];
    }
    mg_cma_options o = { .kind = kind,
                         .dimension = N,
                         .start = start,
                         .sigma = p->sigma,
                         .levels = margins ? levels : NULL,
                         .active = true,
                         .adapt_learning_rate = lra,
                         .seed = seed };
    mg_cma *cma = NULL;
    assert_ok(mg_cma_create(&o, &cma, &err), &err);
    double best = INFINITY;
    for (int g = 0; g < 1500 && best > 1e-9; g++) {
        for (int64_t k = 0; k < mg_cma_population(cma); k++) {
            mg_cma_ask(cma, k, x);
            for (int i = 0; i < N / 2; i++) {
                assert_true(!margins || x[i] == mg_levels_nearest(&p->levels, x[i]));
                x[i] = mg_levels_nearest(&p->levels, x[i]);
            }
            costs[k] = p->cost(x);
            best = fmin(best, costs[k]);
        }
        mg_cma_tell(cma, costs, NULL);
    }
    mg_cma_destroy(cma);
    return best;
}

static void searches_with_margins_reach_the_optimum(void **state)
{
    (void)state;
    for (int p = 0; p < 2; p++) {
        for (int kind = MG_CMA_FULL; kind <= MG_CMA_SEP; kind++) {
            int solved = 0;
            for (uint64_t seed = 1; seed <= 10; seed++) {
                solved += search(&problems[p], (mg_cma_kind)kind, false, true, seed) <= 1e-9;
            }
            assert_true(solved >= 9);
        }
        /* slower, but with every discrete coordinate right */
        assert_true(search(&problems[p], MG_CMA_FULL, true, true, 1) < 0.5);
    }
}

static void plain_rounding_freezes(void **state)
{
    (void)state;
    int solved = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        solved += search(&problems[1], MG_CMA_FULL, false, false, seed) <= 1e-9;
    }
    assert_true(solved <= 5);
}

static void restored_run_continues_bit_for_bit(void **state)
{
    (void)state;
    mg_error err;
    double start[4] = { 0, 0, 1, 1 };
    double lower[4] = { 0, 0, -2, -2 };
    double upper[4] = { 0, 0, 2, 2 };
    double scale[4] = { 1, 2, 3, 1 };
    mg_levels levels[4] = { { bit_values, 2 }, { uneven_values, 4 }, { NULL, 0 }, { NULL, 0 } };
    for (int variant = 0; variant < 6; variant++) {
        mg_cma_options o = { .kind = variant % 2 == 0 ? MG_CMA_FULL : MG_CMA_SEP,
                             .dimension = 4,
                             .start = start,
                             .sigma = 0.3,
                             .scale = scale,
                             .lower = lower,
                             .upper = upper,
                             .bounds = (mg_bound_kind)(variant / 2),
                             .levels = levels,
                             .active = true,
                             .seed = 3 };
        mg_cma *whole = NULL;
        mg_cma *part = NULL;
        assert_ok(mg_cma_create(&o, &whole, &err), &err);
        assert_ok(mg_cma_create(&o, &part, &err), &err);
        mg_buf a = { 0 };
        mg_buf b = { 0 };
        for (int g = 0; g < 25; g++) {
            mg_cma *const both[2] = { whole, part };
            for (int w = 0; w < 2; w++) {
                double x[4], costs[8];
                for (int64_t k = 0; k < 8; k++) {
                    mg_cma_ask(both[w], k, x);
                    costs[k] = fabs(x[0] - 1.0) + fabs(x[1] - 5.0) + fabs(x[2]) + fabs(x[3] - 1.0);
                }
                mg_cma_tell(both[w], costs, NULL);
            }
            mg_buf_clear(&b);
            mg_cma_save(part, &b);
            mg_cma_destroy(part);
            assert_ok(mg_cma_load(&o, mg_buf_view(&b), &part, &err), &err);
        }
        mg_cma_save(whole, &a);
        assert_true(mg_str_equal(mg_buf_view(&a), mg_buf_view(&b)));
        assert_true(whole->stretch[1] != 1.0 || whole->mean[1] * whole->scale[1] > 3.0);
        levels[1].count = 3; /* other levels: another search */
        mg_cma *other = NULL;
        assert_status(mg_cma_load(&o, mg_buf_view(&a), &other, &err), MG_ERR_FORMAT);
        levels[1].count = 4;
        mg_buf_release(&a);
        mg_buf_release(&b);
        mg_cma_destroy(whole);
        mg_cma_destroy(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_take_the_nearest_level),
        cmocka_unit_test(outer_levels_leave_the_margin_beyond_their_threshold),
        cmocka_unit_test(inner_levels_keep_half_the_margin_on_either_side),
        cmocka_unit_test(searches_with_margins_reach_the_optimum),
        cmocka_unit_test(plain_rounding_freezes),
        cmocka_unit_test(restored_run_continues_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
