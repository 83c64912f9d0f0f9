/* NSGA-II: fronts and volumes against counting by hand, ZDT1 (evolution.md 17.6), state, bits. */
#include "support.h"

#include <math.h>

#include "base/rng.h"
#include "optim/front.h"
#include "optim/nsga2.h"

enum { N = 30, POPULATION = 100 };

static void fronts_peel_off_one_by_one(void **state)
{
    (void)state;
    const double points[] = { 1, 4, 2, 2, 4, 1, 2, 4, 3, 3, 5, 5, 1, 4 };
    int64_t front[7];
    const int64_t expected[7] = { 0, 0, 0, 1, 1, 2, 0 }; /* the last repeats the first */
    assert_int_equal(mg_front_sort(points, NULL, 7, 2, front), 3);
    assert_memory_equal(front, expected, sizeof(expected));
    const double violations[7] = { 1, 0, 0, 0, 0, 0, 2 };
    const int64_t constrained[7] = { 3, 0, 0, 1, 1, 2, 4 };
    assert_int_equal(mg_front_sort(points, violations, 7, 2, front), 5);
    assert_memory_equal(front, constrained, sizeof(constrained));
}

static void crowding_counts_gaps_of_the_own_front(void **state)
{
    (void)state;
    const double points[] = { 0, 10, 2, 6, 5, 5, 10, 0, 11, 11 };
    const int64_t front[5] = { 0, 0, 0, 0, 1 };
    double crowding[5];
    mg_front_crowding(points, front, 5, 2, crowding);
    assert_true(isinf(crowding[0]) && isinf(crowding[3]) && isinf(crowding[4]));
    assert_true(fabs(crowding[1] - (0.5 + 0.5)) < 1e-12);
    assert_true(fabs(crowding[2] - (0.8 + 0.6)) < 1e-12);
}

static void hypervolume_counts_every_cell_once(void **state)
{
    (void)state;
    const double two[] = { 1, 3, 2, 2, 3, 1, 2.5, 2.5, 9, 0 };
    const double corner[4] = { 4, 4, 4, 4 };
    assert_true(fabs(mg_hypervolume(two, 5, 2, corner) - 6.0) < 1e-12);
    assert_true(mg_hypervolume(two, 0, 2, corner) == 0.0);
    /* Random points on a grid of unit cells: counted cell by cell. */
    mg_rng rng = mg_rng_make(3, MG_STREAM_TIES);
    for (int64_t m = 1; m <= 4; m++) {
        double points[12 * 4];
        int64_t cells = 0;
        for (int64_t i = 0; i < 12 * m; i++) {
            points[i] = (double)mg_rng_below(&rng, 5);
        }
        for (int64_t cell = 0; cell < 256; cell++) {
            bool dominated = false;
            for (int64_t p = 0; p < 12 && !dominated; p++) {
                dominated = true;
                for (int64_t o = 0; o < m; o++) {
                    dominated = dominated && points[p * m + o] <= (double)((cell >> (2 * o)) & 3);
                }
            }
            cells += dominated && cell < ((int64_t)1 << (2 * m)) ? 1 : 0;
        }
        assert_true(fabs(mg_hypervolume(points, 12, m, corner) - (double)cells) < 1e-9);
    }
}

static void picks_are_the_balanced_point_and_the_knee(void **state)
{
    (void)state;
    const double points[] = { 0, 10, 1, 3, 6, 2, 10, 0 };
    assert_int_equal(mg_front_knee(points, 4, 2), 1);
    assert_int_equal(mg_front_best_rank(points, 4, 2), 0); /* all alike: the first */
    const double three[] = { 0, 9, 9, 1, 1, 1, 9, 0, 9, 9, 9, 0 };
    assert_int_equal(mg_front_best_rank(three, 4, 3), 1);
    assert_int_equal(mg_front_knee(three, 4, 3), 1);
    assert_int_equal(mg_front_knee(points, 1, 2), 0);
}

static void zdt1(const double *x, double *f)
{
    double g = 0.0;
    for (int i = 1; i < N; i++) {
        g += x[i];
    }
    g = 1.0 + 9.0 * g / (N - 1);
    f[0] = x[0];
    f[1] = g * (1.0 - sqrt(x[0] / g));
}

static mg_nsga2_options zdt1_options(const double *start, const double *lower, const double *upper)
{
    return (mg_nsga2_options){ .dimension = N,
                               .start = start,
                               .lower = lower,
                               .upper = upper,
                               .population = POPULATION,
                               .objective_count = 2,
                               .seed = 1 };
}

static void run_generation(mg_nsga2 *s, void (*cost)(const double *x, double *f))
{
    double x[N], f[2 * POPULATION];
    for (int64_t k = 0; k < mg_nsga2_population(s); k++) {
        mg_nsga2_ask(s, k, x);
        for (int i = 0; i < N; i++) {
            assert_true(x[i] >= 0.0 && x[i] <= 1.0);
        }
        cost(x, f + 2 * k);
    }
    mg_nsga2_tell(s, mg_nsga2_generation(s) * POPULATION, f, NULL);
}

static void zdt1_reaches_the_hypervolume(void **state)
{
    (void)state;
    double start[N], lower[N], upper[N];
    for (int i = 0; i < N; i++) {
        start[i] = 0.5;
        lower[i] = 0.0;
        upper[i] = 1.0;
    }
    mg_nsga2_options o = zdt1_options(start, lower, upper);
    for (o.seed = 1; o.seed <= 3; o.seed++) {
        mg_error err;
        mg_nsga2 *s = NULL;
        assert_ok(mg_nsga2_create(&o, &s, &err), &err);
        for (int g = 0; g < 250; g++) {
            run_generation(s, zdt1);
        }
        double points[2 * POPULATION];
        const double reference[2] = { 1.1, 1.1 };
        for (int64_t i = 0; i < POPULATION; i++) {
            mg_nsga2_member member = mg_nsga2_member_at(s, i);
            points[2 * i] = member.objectives[0];
            points[2 * i + 1] = member.objectives[1];
            double f[2];
            zdt1(member.x, f);
            assert_true(f[0] == points[2 * i] && f[1] == points[2 * i + 1]);
        }
        double volume = mg_hypervolume(points, POPULATION, 2, reference);
        if (volume < 0.865 || volume > 0.8767) {
            fail_msg("hypervolume %.4f, expected 0.865 to 0.8767", volume);
        }
        mg_nsga2_destroy(s);
    }
}

static void restored_run_continues_alike(void **state)
{
    (void)state;
    mg_error err;
    double start[N], lower[N], upper[N];
    for (int i = 0; i < N; i++) {
        start[i] = 0.5;
        lower[i] = 0.0;
        upper[i] = 1.0;
    }
    mg_nsga2_options o = zdt1_options(start, lower, upper);
    o.population = 13;
    mg_nsga2 *whole = NULL;
    mg_nsga2 *part = NULL;
    mg_buf a = { 0 };
    mg_buf b = { 0 };
    assert_ok(mg_nsga2_create(&o, &whole, &err), &err);
    assert_ok(mg_nsga2_create(&o, &part, &err), &err);
    for (int g = 0; g < 12; g++) {
        mg_buf_clear(&b);
        mg_nsga2_save(part, &b);
        mg_nsga2_destroy(part);
        assert_ok(mg_nsga2_load(&o, mg_buf_view(&b), &part, &err), &err);
        run_generation(whole, zdt1);
        run_generation(part, zdt1);
    }
    mg_buf_clear(&b);
    mg_nsga2_save(whole, &a);
    mg_nsga2_save(part, &b);
    assert_true(mg_str_equal(mg_buf_view(&a), mg_buf_view(&b)));
    mg_nsga2_destroy(part);
    for (size_t size = 0; size < a.size; size += 7) {
        assert_status(mg_nsga2_load(&o, mg_str_make(a.data, size), &part, &err), MG_ERR_FORMAT);
    }
    o.seed++;
    assert_status(mg_nsga2_load(&o, mg_buf_view(&a), &part, &err), MG_ERR_FORMAT);
    mg_buf_release(&a);
    mg_buf_release(&b);
    mg_nsga2_destroy(whole);
}

static void bits_failures_and_violations_are_told_apart(void **state)
{
    (void)state;
    enum { BITS = 12, ALL = 14 };
    mg_error err;
    double start[ALL] = { 0 }, lower[ALL] = { 0 }, upper[ALL], odds[BITS], x[ALL];
    for (int i = 0; i < ALL; i++) {
        upper[i] = 1.0;
    }
    for (int i = 0; i < BITS; i++) {
        odds[i] = 0.3;
    }
    mg_nsga2_options o = { .dimension = ALL,
                           .bit_count = BITS,
                           .bits_max = BITS,
                           .bit_start = odds,
                           .start = start,
                           .lower = lower,
                           .upper = upper,
                           .population = 20,
                           .objective_count = 2,
                           .seed = 4 };
    mg_nsga2 *s = NULL;
    assert_ok(mg_nsga2_create(&o, &s, &err), &err);
    for (int g = 0; g < 60; g++) {
        double f[40], violations[20];
        for (int64_t k = 0; k < 20; k++) {
            mg_nsga2_ask(s, k, x);
            double set = 0.0;
            for (int i = 0; i < BITS; i++) {
                assert_true(x[i] == 0.0 || x[i] == 1.0);
                set += x[i];
            }
            bool failed = k == 5;
            f[2 * k] = failed ? (double)NAN : -set;
            f[2 * k + 1] = failed ? (double)INFINITY : set + x[12];
            violations[k] = failed ? (double)INFINITY : fmax(0.0, 0.5 - x[13]);
        }
        mg_nsga2_tell(s, 20 * g, f, violations);
    }
    bool all = false;
    bool none = false;
    for (int64_t i = 0; i < mg_nsga2_member_count(s); i++) {
        mg_nsga2_member member = mg_nsga2_member_at(s, i);
        assert_true(member.violation == 0.0 && member.id % 20 != 5);
        all = all || member.objectives[0] == -BITS;
        none = none || member.objectives[0] == 0.0;
    }
    assert_true(all && none);
    mg_nsga2_destroy(s);
}

/* A parent that kept bits which its answers did not come from would pass them on. */
static void no_member_has_more_bits_than_may_be_set(void **state)
{
    (void)state;
    enum { BITS = 10, MOST = 3, ALL = 12 };
    mg_error err;
    double odds[BITS], start[BITS] = { 1.0 }, x[BITS];
    for (int i = 0; i < BITS; i++) {
        odds[i] = 0.5;
    }
    mg_nsga2_options o = { .dimension = BITS,
                           .bit_count = BITS,
                           .bits_max = MOST,
                           .bit_start = odds,
                           .start = start,
                           .population = ALL,
                           .objective_count = 1,
                           .seed = 4 };
    mg_nsga2 *s = NULL;
    assert_ok(mg_nsga2_create(&o, &s, &err), &err);
    for (int g = 0; g < 20; g++) {
        double f[ALL];
        for (int64_t k = 0; k < ALL; k++) {
            mg_nsga2_ask(s, k, x);
            f[k] = 0.0;
            for (int i = 0; i < BITS; i++) {
                f[k] -= x[i];
            }
            assert_true(f[k] >= -MOST);
        }
        mg_nsga2_tell(s, ALL * g, f, NULL);
        for (int64_t m = 0; m < mg_nsga2_member_count(s); m++) {
            mg_nsga2_member member = mg_nsga2_member_at(s, m);
            double set = 0.0;
            for (int i = 0; i < BITS; i++) {
                set += member.x[i];
            }
            assert_true(set == -member.objectives[0]);
        }
    }
    mg_nsga2_destroy(s);
}

static void options_without_a_search_are_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_nsga2 *s = NULL;
    double zero[1] = { 0.0 };
    double one[1] = { 1.0 };
    mg_nsga2_options fine = { .dimension = 1,
                              .start = zero,
                              .lower = zero,
                              .upper = one,
                              .population = 4,
                              .objective_count = 1 };
    mg_nsga2_options bad[4] = { fine, fine, fine, fine };
    bad[0].population = 3;
    bad[1].objective_count = 17;
    bad[2].upper = zero;
    bad[3].lower = NULL;
    for (int i = 0; i < 4; i++) {
        assert_status(mg_nsga2_create(&bad[i], &s, &err), MG_ERR_CONFIG);
    }
    assert_ok(mg_nsga2_create(&fine, &s, &err), &err);
    mg_nsga2_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fronts_peel_off_one_by_one),
        cmocka_unit_test(crowding_counts_gaps_of_the_own_front),
        cmocka_unit_test(hypervolume_counts_every_cell_once),
        cmocka_unit_test(picks_are_the_balanced_point_and_the_knee),
        cmocka_unit_test(zdt1_reaches_the_hypervolume),
        cmocka_unit_test(restored_run_continues_alike),
        cmocka_unit_test(bits_failures_and_violations_are_told_apart),
        cmocka_unit_test(no_member_has_more_bits_than_may_be_set),
        cmocka_unit_test(options_without_a_search_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
