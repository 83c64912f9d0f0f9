/* Noise measures: halves that agree or not, rank changes as `cma` counts them (tests/golden/optim).
 */
#include "support.h"

#include <math.h>

#include "base/rng.h"
#include "optim/noise.h"

static void halves_that_agree_are_reliable(void **state)
{
    (void)state;
    const double a[4] = { 1, 2, 3, 4 };
    const double b[4] = { 2, 4, 6, 8 };
    const double c[4] = { 4, 3, 2, 1 };
    const double flat[4] = { 1, 1, 1, 1 };
    const double half[4] = { 1, -1, 1, -1 };
    assert_true(fabs(mg_split_half(a, b, 4) - 1.0) < 1e-12);
    assert_true(fabs(mg_split_half(a, c, 4) + 1.0) < 1e-12);
    assert_true(mg_split_half(a, flat, 4) == 0.0);
    double r = -2.0 / sqrt(5.0 * 4.0);
    assert_true(fabs(mg_split_half(a, half, 4) - 2.0 * r / (1.0 + fabs(r))) < 1e-12);
}

static void items_follow_the_reliability_within_their_limits(void **state)
{
    (void)state;
    assert_true(fabs(mg_split_half_items(100, 0.5, 50, 1000) - 100.0) < 1e-12);
    assert_true(fabs(mg_split_half_items(100, 0.0, 50, 1000) - 100.0 * exp(0.075)) < 1e-9);
    assert_true(mg_split_half_items(51, 1.0, 50, 1000) == 50.0);
    assert_true(mg_split_half_items(990, -1.0, 50, 1000) == 1000.0);
}

static void rank_changes_are_those_of_cma(void **state)
{
    (void)state;
    FILE *file = fopen(MG_SOURCE_DIR "/tests/golden/optim/uh.txt", "r");
    assert_non_null(file);
    long long lambda;
    int cases = 0;
    while (fscanf(file, "%lld", &lambda) == 1) {
        long long count;
        int64_t indexes[64];
        int64_t chosen[64];
        double costs[64], again[64], expected;
        assert_int_equal(fscanf(file, "%lld", &count), 1);
        for (int64_t i = 0; i < count; i++) {
            long long index;
            assert_int_equal(fscanf(file, "%lld", &index), 1);
            indexes[i] = index;
        }
        for (int64_t i = 0; i < 2 * lambda; i++) {
            double *to = i < lambda ? &costs[i] : &again[i - lambda];
            assert_int_equal(fscanf(file, "%lf", to), 1);
        }
        assert_int_equal(fscanf(file, "%lf", &expected), 1);
        double measured = mg_uh_measure(costs, again, lambda, indexes, count);
        if (fabs(measured - expected) > 1e-9) {
            fail_msg("case %d: %.12g, expected %.12g", cases, measured, expected);
        }
        double fraction = 2.0 + (double)lambda / 20.0 - floor(2.0 + (double)lambda / 20.0);
        bool up = count > (int64_t)floor(2.0 + (double)lambda / 20.0);
        int64_t own = mg_uh_choose(costs, lambda, up ? fraction / 2.0 : 0.999999, chosen);
        assert_int_equal(own, count);
        assert_memory_equal(chosen, indexes, (size_t)count * sizeof(int64_t));
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 40);
}

static void noise_asks_for_more_questions_and_wider_steps(void **state)
{
    (void)state;
    mg_uh uh = { 0.0, 100.0, 1.0 };
    mg_uh_treat(&uh, 5.0, 10, 50, 1000);
    assert_true(fabs(uh.smoothed - 1.5) < 1e-12);
    assert_true(fabs(uh.items - 110.0) < 1e-9 && fabs(uh.sigma_factor - 1.1) < 1e-12);
    mg_uh_treat(&uh, -10.0, 10, 50, 1000);
    assert_true(uh.smoothed < 0.0 && uh.sigma_factor == 1.0);
    assert_true(fabs(uh.items - 110.0 * pow(1.1, -0.25)) < 1e-9);
    for (int i = 0; i < 200; i++) {
        mg_uh_treat(&uh, 5.0, 10, 50, 1000);
    }
    assert_true(uh.items == 1000.0);
    for (int i = 0; i < 300; i++) {
        mg_uh_treat(&uh, -5.0, 10, 50, 1000);
    }
    assert_true(uh.items == 50.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_that_agree_are_reliable),
        cmocka_unit_test(items_follow_the_reliability_within_their_limits),
        cmocka_unit_test(rank_changes_are_those_of_cma),
        cmocka_unit_test(noise_asks_for_more_questions_and_wider_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
