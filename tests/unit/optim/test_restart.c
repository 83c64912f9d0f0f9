/* Restarts: the populations, steps and budgets that evolution.md 7 prescribes. */
#include "support.h"

#include <math.h>

#include "optim/restart.h"

static void ipop_doubles_the_population(void **state)
{
    (void)state;
    mg_restart r;
    mg_restart_init(&r, MG_RESTART_IPOP, 9, 1);
    for (int64_t i = 0; i < MG_RESTART_MAX; i++) {
        assert_int_equal(r.population, 9 << i);
        assert_true(r.sigma_factor == 1.0 && r.evaluations_max == 0);
        mg_restart_next(&r, 100);
    }
}

static void bipop_runs_the_regime_that_has_spent_less(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        mg_restart r;
        mg_restart_init(&r, MG_RESTART_BIPOP, 10, seed);
        int64_t spent[2] = { 0, 0 }; /* large, small */
        int64_t large = 0;
        int64_t large_last = 0;
        int64_t small_runs = 0;
        for (int64_t i = 0; i < MG_RESTART_MAX; i++) {
            int64_t evaluations = r.evaluations_max > 0 ? r.evaluations_max : 500 + 37 * i;
            spent[r.small ? 1 : 0] += evaluations;
            large_last = r.small ? large_last : evaluations;
            bool small_due = large > 0 && spent[1] < spent[0];
            mg_restart_next(&r, evaluations);
            assert_int_equal(r.small, small_due);
            if (small_due) {
                small_runs++;
                assert_true(r.population >= 10 &&
                            r.population <= MG_MAX(10, 10 * (1 << large) / 2));
                assert_true(r.sigma_factor <= 1.0 && r.sigma_factor >= 0.01);
                assert_int_equal(r.evaluations_max, large_last / 2);
            } else {
                large++;
                assert_int_equal(r.population, 10 * (1 << large));
                assert_true(r.sigma_factor == 1.0 && r.evaluations_max == 0);
            }
        }
        assert_true(small_runs >= 2 && large >= 2);
    }
}

static void saved_state_continues_alike(void **state)
{
    (void)state;
    mg_error err;
    mg_restart whole;
    mg_restart part;
    mg_buf text = { 0 };
    mg_restart_init(&whole, MG_RESTART_BIPOP, 12, 7);
    mg_restart_init(&part, MG_RESTART_BIPOP, 12, 7);
    for (int64_t i = 0; i < MG_RESTART_MAX; i++) {
        mg_buf_clear(&text);
        mg_restart_save(&part, &text);
        mg_restart_init(&part, MG_RESTART_BIPOP, 12, 7);
        assert_ok(mg_restart_load(&part, mg_buf_view(&text), &err), &err);
        assert_memory_equal(&whole, &part, sizeof(whole));
        mg_restart_next(&whole, 1000 + i);
        mg_restart_next(&part, 1000 + i);
    }
    static const char *const damaged[] = { "",
                                           "1 2",
                                           "99 12 1 0 0 0 0 0 0",
                                           "1 11 1 0 0 0 0 0 0",
                                           "1 12 0 0 0 0 0 0 0",
                                           "1 12 1 -1 0 0 0 0 0" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(damaged); i++) {
        assert_status(mg_restart_load(&part, mg_str_of(damaged[i]), &err), MG_ERR_FORMAT);
    }
    mg_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipop_doubles_the_population),
        cmocka_unit_test(bipop_runs_the_regime_that_has_spent_less),
        cmocka_unit_test(saved_state_continues_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
