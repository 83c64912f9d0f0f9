/* Wilson, McNemar, bootstrap and chi-square against values computed by hand or with exact tables.
 */
#include "support.h"

#include <math.h>

#include "optim/stats.h"

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance)) {
        fail_msg("%.12g, expected %.12g", value, expected);
    }
}

static void wilson_matches_its_table(void **state)
{
    (void)state;
    mg_interval i = mg_wilson(81.0, 263.0, MG_Z95); /* Newcombe 1998, table I */
    assert_near(i.low, 0.2553, 5e-5);
    assert_near(i.high, 0.3662, 5e-5);
    i = mg_wilson(15.0, 148.0, MG_Z95);
    assert_near(i.low, 0.0624, 5e-5);
    assert_near(i.high, 0.1605, 5e-5);
    i = mg_wilson(0.0, 20.0, MG_Z95);
    assert_near(i.low, 0.0, 0.0);
    assert_near(i.high, 0.1611, 5e-5);
    i = mg_wilson(29.0, 29.0, MG_Z95);
    assert_near(i.low, 0.8830, 5e-5);
    assert_near(i.high, 1.0, 1e-15);
}

static void mcnemar_is_the_exact_mid_p(void **state)
{
    (void)state;
    assert_near(mg_mcnemar(0, 0), 1.0, 0.0);
    assert_near(mg_mcnemar(0, 1), 0.5, 1e-12);
    assert_near(mg_mcnemar(0, 5), 0.03125, 1e-12); /* 2 * 0.5 / 32 */
    assert_near(mg_mcnemar(1, 5), 2.0 * (1 + 3) / 64.0, 1e-12);
    assert_near(mg_mcnemar(5, 1), mg_mcnemar(1, 5), 0.0);
    assert_near(mg_mcnemar(3, 3), 1.0, 1e-12);
    assert_near(mg_mcnemar(2, 7), 2.0 * (1 + 9 + 18) / 512.0, 1e-12);
}

static void mcnemar_of_thousands_does_not_overflow(void **state)
{
    (void)state;
    double p = mg_mcnemar(5000, 5200);
    assert_true(p > 0.04 && p < 0.06);
    assert_true(mg_mcnemar(0, 100000) == 0.0);
}

static void bootstrap_interval_holds_the_mean_and_is_repeatable(void **state)
{
    (void)state;
    double values[200];
    for (int i = 0; i < 200; i++) {
        values[i] = (i % 10) < 3 ? 1.0 : 0.0;
    }
    mg_interval a = mg_bootstrap_mean(values, 200, 10000, 7);
    mg_interval b = mg_bootstrap_mean(values, 200, 10000, 7);
    assert_true(a.low == b.low && a.high == b.high);
    assert_near(a.low, 0.30 - 1.96 * 0.0324, 0.006);
    assert_near(a.high, 0.30 + 1.96 * 0.0324, 0.006);
}

/* Resampled means of k ones in n values are binomial: their exact 2.5 and 97.5 % quantiles. */
static void bootstrap_has_the_quantiles_of_the_exact_table(void **state)
{
    (void)state;
    const double one_of_three[] = { 0.0, 1.0, 0.0 };          /* P(3 of 3) = 0.037 > 0.025 */
    const double one_of_five[] = { 0.0, 0.0, 0.0, 1.0, 0.0 }; /* P(<= 2) = 0.942, P(<= 3) = 0.993 */
    const double half_of_eight[] = { 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0 }; /* P(<= 1) = 0.035 */
    mg_interval i = mg_bootstrap_mean(one_of_three, 3, 10000, 1);
    assert_near(i.low, 0.0, 1e-12);
    assert_near(i.high, 1.0, 1e-12);
    i = mg_bootstrap_mean(one_of_five, 5, 10000, 1);
    assert_near(i.low, 0.0, 1e-12);
    assert_near(i.high, 0.6, 1e-12);
    i = mg_bootstrap_mean(half_of_eight, 8, 10000, 1);
    assert_near(i.low, 0.125, 1e-12);
    assert_near(i.high, 0.875, 1e-12);
}

static void bootstrap_of_equal_values_has_no_width(void **state)
{
    (void)state;
    const double values[3] = { 0.25, 0.25, 0.25 };
    mg_interval i = mg_bootstrap_mean(values, 3, 100, 1);
    assert_near(i.low, 0.25, 0.0);
    assert_near(i.high, 0.25, 0.0);
}

static void chi_square_tail_matches_its_table(void **state)
{
    (void)state;
    assert_near(mg_chi_square_tail(3.841458821, 1), 0.05, 1e-9);
    assert_near(mg_chi_square_tail(14.06714045, 7), 0.05, 1e-9);
    assert_near(mg_chi_square_tail(1.239042306, 7), 0.99, 1e-9);
    assert_near(mg_chi_square_tail(0.0, 3), 1.0, 0.0);
}

static void mean_and_error_of_small_samples(void **state)
{
    (void)state;
    const double values[4] = { 1, 2, 3, 4 };
    double mean, error;
    mg_mean_error(values, 4, &mean, &error);
    assert_near(mean, 2.5, 1e-15);
    assert_near(error, sqrt(5.0 / 3.0 / 4.0), 1e-15);
    mg_mean_error(values, 1, &mean, &error);
    assert_near(error, 0.0, 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_matches_its_table),
        cmocka_unit_test(mcnemar_is_the_exact_mid_p),
        cmocka_unit_test(mcnemar_of_thousands_does_not_overflow),
        cmocka_unit_test(bootstrap_interval_holds_the_mean_and_is_repeatable),
        cmocka_unit_test(bootstrap_has_the_quantiles_of_the_exact_table),
        cmocka_unit_test(bootstrap_of_equal_values_has_no_width),
        cmocka_unit_test(chi_square_tail_matches_its_table),
        cmocka_unit_test(mean_and_error_of_small_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
