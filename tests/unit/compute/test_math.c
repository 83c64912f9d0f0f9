/* tests/unit/compute/test_math.c - the shared transcendental functions against the C library. */
#include "support.h"

#include <math.h>

#include "compute/math_internal.h"

/* |a - b| in units in the last place of b. */
static double ulps(float a, double b)
{
    int exponent = 0;
    (void)frexp(b, &exponent);
    return fabs((double)a - b) / ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
}

static void exp_is_within_two_units_in_the_last_place(void **state)
{
    (void)state;
    for (int i = -1030000; i <= 887000; i += 7) {
        float x = (float)i * 1e-4f;
        assert_true(ulps(mg_exp(x), exp((double)x)) <= 2.0);
    }
}

static void exp_is_exact_at_its_ends(void **state)
{
    (void)state;
    assert_true(mg_exp(0.0f) == 1.0f);
    assert_true(mg_exp(-0.0f) == 1.0f);
    assert_true(mg_exp(-INFINITY) == 0.0f);
    assert_true(mg_exp(-104.0f) == 0.0f);
    assert_true(mg_exp(-103.0f) > 0.0f);
    assert_true(isfinite(mg_exp(88.7f)));
    assert_true(isinf(mg_exp(88.8f)));
    assert_true(isinf(mg_exp(INFINITY)));
    assert_true(isnan(mg_exp(NAN)));
}

static void tanh_and_erf_are_close(void **state)
{
    (void)state;
    for (int i = -100000; i <= 100000; i++) {
        float x = (float)i * 1e-4f;
        assert_true(fabs((double)mg_tanh(x) - tanh((double)x)) <= 1.5e-7);
        assert_true(fabs((double)mg_erf(x) - erf((double)x)) <= 1.5e-7);
    }
    assert_true(ulps(mg_tanh(1e-5f), tanh((double)1e-5f)) <= 2.0);
}

static void odd_functions_are_odd_and_nan_stays_nan(void **state)
{
    (void)state;
    static const float values[] = { 0.0f, 1e-6f, 0.3f, 0.625f, 0.9f, 1.0f, 3.0f, 80.0f, INFINITY };
    for (int i = 0; i < (int)MG_ARRAY_COUNT(values); i++) {
        assert_true(mg_tanh(-values[i]) == -mg_tanh(values[i]));
        assert_true(mg_erf(-values[i]) == -mg_erf(values[i]));
    }
    assert_true(mg_tanh(INFINITY) == 1.0f);
    assert_true(mg_erf(INFINITY) == 1.0f);
    assert_true(isnan(mg_tanh(NAN)));
    assert_true(isnan(mg_erf(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_two_units_in_the_last_place),
        cmocka_unit_test(exp_is_exact_at_its_ends),
        cmocka_unit_test(tanh_and_erf_are_close),
        cmocka_unit_test(odd_functions_are_odd_and_nan_stays_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
