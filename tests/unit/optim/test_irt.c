/* Item response theory: parameters recovered, estimates better than plain means (evolution.md
 * 17.13), anchors that stand for their clusters. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "optim/irt.h"

enum { CANDIDATES = 300, ITEMS = 150 };

typedef struct world {
    double theta[CANDIDATES], a[ITEMS], b[ITEMS];
    double y[CANDIDATES * ITEMS];
} world;

static world *make_world(uint64_t seed)
{
    world *w = mg_new(world);
    mg_rng rng = mg_rng_make(seed, MG_STREAM_TIES);
    for (int i = 0; i < ITEMS; i++) {
        w->a[i] = exp(0.5 * mg_rng_normal(&rng));
        w->b[i] = 1.2 * mg_rng_normal(&rng);
    }
    for (int c = 0; c < CANDIDATES; c++) {
        w->theta[c] = mg_rng_normal(&rng);
        for (int i = 0; i < ITEMS; i++) {
            double p = 1.0 / (1.0 + exp(-w->a[i] * (w->theta[c] - w->b[i])));
            w->y[c * ITEMS + i] = mg_rng_uniform(&rng) < p ? 1.0 : 0.0;
        }
    }
    return w;
}

static double correlation(const double *x, const double *y, int64_t n)
{
    double mx = 0.0, my = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (int64_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xy / sqrt(xx * yy);
}

static void parameters_of_simulated_candidates_are_recovered(void **state)
{
    (void)state;
    world *w = make_world(1);
    mg_irt irt;
    mg_irt_fit(w->y, CANDIDATES, ITEMS, &irt);
    assert_true(correlation(irt.b, w->b, ITEMS) > 0.9);
    assert_true(correlation(irt.a, w->a, ITEMS) > 0.6);
    assert_true(correlation(irt.theta, w->theta, CANDIDATES) > 0.9);
    double mean = 0.0;
    double square = 0.0;
    for (int c = 0; c < CANDIDATES; c++) {
        mean += irt.theta[c] / CANDIDATES;
        square += irt.theta[c] * irt.theta[c] / CANDIDATES;
    }
    assert_true(fabs(mean) < 1e-9 && fabs(square - 1.0) < 1e-9);
    mg_irt_release(&irt);
    mg_free(w);
}

/* 200 candidates have answered everything; 100 others 30 questions each. */
static void estimates_are_closer_than_the_plain_mean(void **state)
{
    (void)state;
    world *w = make_world(2);
    mg_irt irt;
    mg_irt_fit(w->y, 200, ITEMS, &irt);
    mg_rng rng = mg_rng_make(3, MG_STREAM_TIES);
    double errors[3] = { 0.0 };
    for (int c = 200; c < CANDIDATES; c++) {
        double answers[ITEMS];
        double truth = 0.0;
        for (int i = 0; i < ITEMS; i++) {
            answers[i] = NAN;
            truth += w->y[c * ITEMS + i] / ITEMS;
        }
        for (int asked = 0; asked < 30;) {
            int64_t i = (int64_t)mg_rng_below(&rng, ITEMS);
            asked += isnan(answers[i]) ? 1 : 0;
            answers[i] = w->y[c * ITEMS + i];
        }
        double theta = mg_irt_ability(&irt, answers, 0.0);
        mg_irt_estimate e = mg_irt_estimates(&irt, answers, NULL, theta);
        errors[0] += fabs(e.mean - truth);
        errors[1] += fabs(e.mp - truth);
        errors[2] += fabs(e.gmp - truth);
    }
    assert_true(errors[2] < 0.9 * errors[0]);
    assert_true(errors[1] < errors[0]);
    mg_irt_release(&irt);
    mg_free(w);
}

static void missing_and_fractional_answers_fit_too(void **state)
{
    (void)state;
    world *w = make_world(4);
    mg_rng rng = mg_rng_make(5, MG_STREAM_TIES);
    for (int i = 0; i < CANDIDATES * ITEMS; i++) {
        double u = mg_rng_uniform(&rng);
        w->y[i] = u < 0.6 ? (double)NAN : u < 0.7 ? 0.5 : w->y[i];
    }
    for (int i = 0; i < ITEMS; i++) { /* one candidate that nobody asked */
        w->y[i] = NAN;
    }
    mg_irt irt;
    mg_irt_fit(w->y, CANDIDATES, ITEMS, &irt);
    assert_true(correlation(irt.b, w->b, ITEMS) > 0.8);
    for (int i = 0; i < ITEMS; i++) {
        assert_true(isfinite(irt.a[i]) && isfinite(irt.b[i]) && irt.a[i] > 0.0);
    }
    mg_irt_release(&irt);
    mg_free(w);
}

static void answers_that_are_all_alike_stay_finite(void **state)
{
    (void)state;
    double y[25 * 4];
    for (int i = 0; i < 100; i++) {
        y[i] = i % 4 == 0 ? 1.0 : 0.0;
    }
    mg_irt irt;
    mg_irt_fit(y, 25, 4, &irt);
    for (int i = 0; i < 4; i++) {
        assert_true(isfinite(irt.a[i]) && isfinite(irt.b[i]));
    }
    mg_irt_estimate e = mg_irt_estimates(&irt, y, NULL, irt.theta[0]);
    assert_true(e.gmp == 0.25);
    mg_irt_release(&irt);
}

static void weights_and_shares_enter_the_estimates(void **state)
{
    (void)state;
    double a[4] = { 1, 1, 1, 1 };
    double b[4] = { 0, 0, 0, 0 };
    mg_irt irt = { .item_count = 4, .a = a, .b = b };
    const double answers[4] = { 1.0, NAN, 0.0, NAN };
    const double weights[4] = { 0.75, 0.0, 0.25, 0.0 };
    mg_irt_estimate e = mg_irt_estimates(&irt, answers, weights, 0.0);
    assert_true(fabs(e.mean - 0.75) < 1e-12);
    assert_true(fabs(e.mp - 0.625) < 1e-12); /* half of it, and half of 1/2 */
    assert_true(fabs(e.gmp - 0.6875) < 1e-12);
}

/* Clusters become empty on the way: the items of the others stay theirs. */
static void anchors_of_any_vectors_are_as_many_as_wanted(void **state)
{
    (void)state;
    enum { POINTS = 24, WIDTH = 3 };
    double vectors[POINTS * WIDTH];
    int64_t anchors[POINTS];
    double weights[POINTS];
    for (uint64_t seed = 0; seed < 300; seed++) {
        mg_rng rng = mg_rng_make(seed, MG_STREAM_ITEMS);
        for (int i = 0; i < POINTS * WIDTH; i++) {
            vectors[i] = floor(6.0 * mg_rng_uniform(&rng)) / 5.0;
        }
        for (int64_t count = 1; count <= POINTS; count += 3) {
            double sum = 0.0;
            mg_irt_anchors(vectors, POINTS, WIDTH, count, seed, anchors, weights);
            for (int64_t a = 0; a < count; a++) {
                assert_true(a == 0 || anchors[a] > anchors[a - 1]);
                sum += weights[a];
            }
            assert_true(fabs(sum - 1.0) < 1e-9);
        }
    }
}

static void anchors_stand_for_their_clusters(void **state)
{
    (void)state;
    double vectors[60 * 2];
    mg_rng rng = mg_rng_make(6, MG_STREAM_TIES);
    for (int i = 0; i < 60; i++) { /* 30 around (0, 0), 20 around (5, 0), 10 around (0, 5) */
        int of = i < 30 ? 0 : i < 50 ? 1 : 2;
        vectors[2 * i] = (of == 1 ? 5.0 : 0.0) + 0.3 * mg_rng_normal(&rng);
        vectors[2 * i + 1] = (of == 2 ? 5.0 : 0.0) + 0.3 * mg_rng_normal(&rng);
    }
    int64_t anchors[3];
    double weights[3];
    mg_irt_anchors(vectors, 60, 2, 3, 1, anchors, weights);
    assert_true(anchors[0] < 30 && anchors[1] >= 30 && anchors[1] < 50 && anchors[2] >= 50);
    assert_true(fabs(weights[0] - 0.5) < 1e-12 && fabs(weights[1] - 1.0 / 3.0) < 1e-12);
    double same[20] = { 0 };
    int64_t all[10];
    double shares[10];
    mg_irt_anchors(same, 10, 2, 7, 1, all, shares); /* alike: any seven, their shares sum to 1 */
    double sum = 0.0;
    for (int i = 0; i < 7; i++) {
        assert_true(i == 0 || all[i] > all[i - 1]);
        sum += shares[i];
    }
    assert_true(fabs(sum - 1.0) < 1e-12);
    mg_irt_anchors(vectors, 60, 2, 60, 1, (int64_t[60]){ 0 }, (double[60]){ 0 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_of_simulated_candidates_are_recovered),
        cmocka_unit_test(estimates_are_closer_than_the_plain_mean),
        cmocka_unit_test(missing_and_fractional_answers_fit_too),
        cmocka_unit_test(answers_that_are_all_alike_stay_finite),
        cmocka_unit_test(weights_and_shares_enter_the_estimates),
        cmocka_unit_test(anchors_of_any_vectors_are_as_many_as_wanted),
        cmocka_unit_test(anchors_stand_for_their_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
