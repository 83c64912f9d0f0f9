/* CMA-ES: the check values of evolution.md 6.1, 6.4 and 17.2, invariance, state, hostile input. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cost_functions.h"
#include "optim/cmaes_internal.h"

enum { N_MAX = 200 };

static mg_cma *make(const mg_cma_options *options)
{
    mg_error err;
    mg_cma *cma = NULL;
    assert_ok(mg_cma_create(options, &cma, &err), &err);
    return cma;
}

static void run_generation(mg_cma *cma, cost_function *cost, double *best)
{
    double x[N_MAX];
    double costs[64];
    for (int64_t k = 0; k < mg_cma_population(cma); k++) {
        mg_cma_ask(cma, k, x);
        costs[k] = cost(x, cma->n);
        *best = fmin(*best, costs[k]);
    }
    mg_cma_tell(cma, costs, NULL);
}

/* Evaluations until cost 1e-9, from all coordinates at start_value; -1 when the limit came first.
 */
static int64_t evaluations_to_target(mg_cma_options options, double start_value,
                                     cost_function *cost, int64_t limit)
{
    double start[N_MAX];
    for (int64_t i = 0; i < options.dimension; i++) {
        start[i] = start_value;
    }
    options.start = start;
    mg_cma *cma = make(&options);
    double best = INFINITY;
    int64_t evaluations = 0;
    while (best > 1e-9 && evaluations < limit) {
        run_generation(cma, cost, &best);
        evaluations += mg_cma_population(cma);
    }
    mg_cma_destroy(cma);
    return best <= 1e-9 ? evaluations : -1;
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static void assert_median(mg_cma_options options, double start, cost_function *cost,
                          int64_t expected)
{
    int64_t counts[15];
    int64_t runs = options.dimension > 100 ? 1 : 15;
    for (int64_t run = 0; run < runs; run++) {
        options.seed = (uint64_t)(run + 1);
        counts[run] = evaluations_to_target(options, start, cost, expected * 4);
        assert_true(counts[run] > 0);
    }
    qsort(counts, (size_t)runs, sizeof(counts[0]), compare_int64);
    double ratio = (double)counts[runs / 2] / (double)expected;
    if (ratio < 0.75 || ratio > 1.25) {
        fail_msg("median %lld evaluations, expected %lld", (long long)counts[runs / 2],
                 (long long)expected);
    }
}

typedef struct constants_row {
    mg_cma_kind kind;
    int64_t n, lambda;
    double mu_eff, mu_neg, c_s, d_s, c_c, c_1, c_mu, a_neg; /* 0 = not in the table */
} constants_row;

static void assert_digits(double value, double expected, double unit)
{
    if (expected != 0.0 && fabs(value - expected) > unit) {
        fail_msg("%.9g, expected %.9g", value, expected);
    }
}

static void constants_match_the_check_values(void **state)
{
    (void)state;
    const constants_row rows[] = {
        { MG_CMA_FULL, 6, 9, 2.84061, 3.48687, 0.34974, 1.34974, 0.40865, 0.035631, 0.035686,
          1.9985 },
        { MG_CMA_FULL, 64, 16, 4.84092, 6.35072, 0.092644, 1.092644, 0.059803, 0.000469, 0.001398,
          1.3352 },
        { MG_CMA_FULL, 384, 21, 6.19569, 8.27725, 0.020738, 1.020738, 0.010350, 0.000013, 0.000058,
          1.2303 },
        { MG_CMA_SEP, 384, 21, 0, 0, 0, 0, 0.051895, 0.002363, 0.009897, 0 },
        { MG_CMA_SEP, 64, 16, 0, 0, 0, 0, 0.13362, 0.012488, 0.033504, 0 },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(rows); i++) {
        const constants_row *row = &rows[i];
        mg_cma_options options = { .kind = row->kind, .dimension = row->n, .active = true };
        mg_cma_constants k;
        mg_cma_constants_compute(&options, &k);
        assert_int_equal(mg_cma_default_population(row->n), row->lambda);
        assert_digits(k.mu_eff, row->mu_eff, 1e-5);
        assert_digits(k.mu_neg, row->mu_neg, 1e-5);
        assert_digits(k.c_s, row->c_s, row->n == 6 ? 1e-5 : 1e-6);
        assert_digits(k.d_s, row->d_s, row->n == 6 ? 1e-5 : 1e-6);
        assert_digits(k.c_c, row->c_c, row->c_c > 0.1 ? 1e-5 : 1e-6);
        assert_digits(k.c_1, row->c_1, 1e-6);
        assert_digits(k.c_mu, row->c_mu, 1e-6);
        assert_digits(k.a_neg, row->a_neg, 1e-4);
        mg_free(k.weights);
    }
}

static void weights_of_six_genes_match(void **state)
{
    (void)state;
    const double expected[] = { 0.4937, 0.2811, 0.1567, 0.0685 };
    mg_cma_options options = { .kind = MG_CMA_FULL, .dimension = 6, .active = true };
    mg_cma_constants k;
    mg_cma_constants_compute(&options, &k);
    double negative = 0.0;
    for (int i = 0; i < 9; i++) {
        if (i < 4) {
            assert_true(fabs(k.weights[i] - expected[i]) <= 0.5001e-4);
        } else {
            negative += k.weights[i];
        }
    }
    assert_true(fabs(negative + k.a_neg) < 1e-12);
    mg_free(k.weights);
}

static void full_positive_needs_the_expected_evaluations(void **state)
{
    (void)state;
    mg_cma_options o = { .kind = MG_CMA_FULL, .dimension = 6, .sigma = 0.5 };
    assert_median(o, 1.0, sphere, 880);
    o.dimension = 10;
    assert_median(o, 1.0, sphere, 1490);
    assert_median(o, 1.0, ellipsoid, 5900);
    assert_median(o, 1.0, rotated_ellipsoid, 5830);
    o.sigma = 0.2;
    assert_median(o, 0.0, rosenbrock, 6100);
}

static void full_active_needs_the_expected_evaluations(void **state)
{
    (void)state;
    mg_cma_options o = { .kind = MG_CMA_FULL, .dimension = 6, .sigma = 0.5, .active = true };
    assert_median(o, 1.0, sphere, 970);
    o.dimension = 10;
    assert_median(o, 1.0, sphere, 1530);
    assert_median(o, 1.0, ellipsoid, 4220);
    assert_median(o, 1.0, rotated_ellipsoid, 4150);
    o.sigma = 0.2;
    assert_median(o, 0.0, rosenbrock, 5140);
}

static void diagonal_forms_need_the_expected_evaluations(void **state)
{
    (void)state;
    mg_cma_options o = { .kind = MG_CMA_SEP, .dimension = 6, .sigma = 0.5, .sep_classic = true };
    assert_median(o, 1.0, sphere, 745);
    o.dimension = 10;
    assert_median(o, 1.0, sphere, 1260);
    assert_median(o, 1.0, ellipsoid, 2630);
    o.dimension = 200;
    assert_median(o, 1.0, ellipsoid, 65900);
    o = (mg_cma_options){ .kind = MG_CMA_SEP, .dimension = 6, .sigma = 0.5, .active = true };
    assert_median(o, 1.0, sphere, 745);
    o.dimension = 10;
    assert_median(o, 1.0, sphere, 1240);
    assert_median(o, 1.0, ellipsoid, 2160);
    o.dimension = 200;
    assert_median(o, 1.0, ellipsoid, 59700);
}

static void diagonal_forms_do_not_converge_on_the_rotated_ellipsoid(void **state)
{
    (void)state;
    double start[10];
    for (int i = 0; i < 10; i++) {
        start[i] = 1.0;
    }
    for (int classic = 0; classic < 2; classic++) {
        mg_cma_options o = { .kind = MG_CMA_SEP,
                             .dimension = 10,
                             .start = start,
                             .sigma = 0.5,
                             .active = classic == 0,
                             .sep_classic = classic == 1,
                             .seed = 1 };
        assert_int_equal(evaluations_to_target(o, 1.0, rotated_ellipsoid, 40000), -1);
    }
}

static void limited_memory_needs_the_expected_evaluations(void **state)
{
    (void)state;
    mg_cma_options o = { .kind = MG_CMA_LM_MA, .dimension = 200, .sigma = 0.5 };
    assert_median(o, 1.0, sphere, 19300);
}

static double shifted_sphere(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += (x[i] - 0.3) * (x[i] - 0.3);
    }
    return sum;
}

static double corner(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        assert_true(x[i] >= 0.0 && x[i] <= 1.0);
        sum -= x[i];
    }
    return sum;
}

static void bounded_searches_stay_inside_and_find_corners(void **state)
{
    (void)state;
    double start[6], lower[6], upper[6];
    for (int i = 0; i < 6; i++) {
        start[i] = 0.5;
        lower[i] = 0.0;
        upper[i] = 1.0;
    }
    for (int bounds = MG_BOUND_TRANSFORM; bounds <= MG_BOUND_RESAMPLE; bounds++) {
        for (int lra = 0; lra < 2; lra++) {
            mg_cma_options o = { .kind = MG_CMA_FULL,
                                 .dimension = 6,
                                 .start = start,
                                 .sigma = 1.0 / 6.0,
                                 .lower = lower,
                                 .upper = upper,
                                 .bounds = (mg_bound_kind)bounds,
                                 .active = true,
                                 .adapt_learning_rate = lra == 1,
                                 .seed = 4 };
            mg_cma *cma = make(&o);
            double best = INFINITY;
            for (int g = 0; g < 150; g++) {
                run_generation(cma, corner, &best);
            }
            double mean[6];
            mg_cma_mean(cma, mean);
            /* Resampled steps keep the mean a little away from the corner. */
            assert_true(corner(mean, 6) < (bounds == MG_BOUND_RESAMPLE ? -4.5 : -5.9));
            assert_true(best < -5.8);
            mg_cma_destroy(cma);
        }
    }
}

static void learning_rate_adaptation_still_converges(void **state)
{
    (void)state;
    double start[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    for (int kind = MG_CMA_FULL; kind <= MG_CMA_SEP; kind++) {
        mg_cma_options o = { .kind = (mg_cma_kind)kind,
                             .dimension = 8,
                             .start = start,
                             .sigma = 0.5,
                             .active = true,
                             .adapt_learning_rate = true,
                             .seed = 9 };
        mg_cma *cma = make(&o);
        double best = INFINITY;
        for (int g = 0; g < 600; g++) {
            run_generation(cma, shifted_sphere, &best);
        }
        assert_true(best < 1e-6);
        mg_cma_destroy(cma);
    }
}

static uint32_t noise_counter;

static double noisy_sphere(const double *x, int64_t n)
{
    uint32_t counter[4] = { noise_counter++, 0, 0, 0 };
    uint32_t words[4];
    mg_philox_key key = { { 3, 99 } };
    mg_philox(key, counter, words);
    return sphere(x, n) + mg_normal_quantile(mg_uniform53(words[0], words[1]));
}

static void learning_rates_fall_under_noise_and_the_mean_beats_plain(void **state)
{
    (void)state;
    double start[6] = { 2, 2, 2, 2, 2, 2 };
    double quality[2] = { 0.0, 0.0 };
    for (int lra = 0; lra < 2; lra++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            mg_cma_options o = { .kind = MG_CMA_FULL,
                                 .dimension = 6,
                                 .start = start,
                                 .sigma = 1.0,
                                 .active = true,
                                 .noisy = true,
                                 .adapt_learning_rate = lra == 1,
                                 .seed = seed };
            mg_cma *cma = make(&o);
            double best = INFINITY;
            for (int g = 0; g < 300; g++) {
                run_generation(cma, noisy_sphere, &best);
            }
            double mean[6];
            mg_cma_mean(cma, mean);
            quality[lra] += sphere(mean, 6);
            assert_true(lra == 0 || mg_cma_learning_rate(cma) < 0.9);
            mg_cma_destroy(cma);
        }
    }
    assert_true(quality[1] < quality[0]);
}

/* Samples are rotated by hand: the optimiser's y are replaced by R^T y on the rotated problem. */
static void rotation_of_the_samples_rotates_the_run(void **state)
{
    (void)state;
    enum { N = 10 };
    double start[N];
    double turned_start[N];
    for (int i = 0; i < N; i++) {
        start[i] = 1.0;
    }
    for (int i = 0; i < N; i++) { /* R^T start */
        turned_start[i] = 0.0;
        for (int j = 0; j < N; j++) {
            turned_start[i] += cost_rotation[j * N + i] * start[j];
        }
    }
    mg_cma_options o = {
        .kind = MG_CMA_FULL, .dimension = N, .start = start, .sigma = 0.5, .active = true, .seed = 2
    };
    mg_cma *plain = make(&o);
    o.start = turned_start;
    mg_cma *turned = make(&o);
    double costs[64], x[N];
    for (int g = 0; g < 40; g++) {
        int64_t lambda = mg_cma_population(plain);
        mg_cma_sample(plain);
        turned->sampled = true;
        for (int64_t k = 0; k < lambda; k++) {
            for (int i = 0; i < N; i++) {
                turned->y[k * N + i] = 0.0;
                for (int j = 0; j < N; j++) {
                    turned->y[k * N + i] += cost_rotation[j * N + i] * plain->y[k * N + j];
                }
            }
            mg_cma_ask(turned, k, x);
            costs[k] = rotated_ellipsoid(x, N);
        }
        mg_cma_tell(turned, costs, NULL);
        for (int64_t k = 0; k < lambda; k++) {
            mg_cma_ask(plain, k, x);
            costs[k] = ellipsoid(x, N);
        }
        mg_cma_tell(plain, costs, NULL);
    }
    assert_true(fabs(mg_cma_sigma(plain) / mg_cma_sigma(turned) - 1.0) < 1e-9);
    double a[N], b[N];
    mg_cma_mean(plain, a);
    mg_cma_mean(turned, b);
    assert_true(fabs(ellipsoid(a, N) / rotated_ellipsoid(b, N) - 1.0) < 1e-6);
    mg_cma_destroy(plain);
    mg_cma_destroy(turned);
}

static void restored_run_continues_bit_for_bit(void **state)
{
    (void)state;
    double start[5] = { 0.4, 0.5, 0.5, 0.6, 0.5 };
    double lower[5] = { 0, 0, 0, 0, 0 };
    double upper[5] = { 1, 1, 1, 1.5, 1 };
    double scale[5] = { 1, 1, 2, 1.5, 1 };
    for (int variant = 0; variant < 12; variant++) {
        mg_cma_options o = { .kind = (mg_cma_kind)(variant % 3),
                             .dimension = 5,
                             .start = start,
                             .sigma = 0.2,
                             .lower = lower,
                             .upper = upper,
                             .scale = scale,
                             .bounds = (mg_bound_kind)(variant / 3 % 3),
                             .active = true,
                             .adapt_learning_rate = variant < 6 && variant % 3 != 2,
                             .seed = 77 };
        mg_cma *whole = make(&o);
        mg_cma *part = make(&o);
        double best = INFINITY;
        mg_error err;
        for (int g = 0; g < 20; g++) {
            mg_buf saved = { 0 };
            run_generation(whole, rosenbrock, &best);
            run_generation(part, rosenbrock, &best);
            mg_cma_save(part, &saved);
            mg_cma_destroy(part);
            assert_ok(mg_cma_load(&o, mg_buf_view(&saved), &part, &err), &err);
            mg_buf_release(&saved);
        }
        mg_buf a = { 0 };
        mg_buf b = { 0 };
        mg_cma_save(whole, &a);
        mg_cma_save(part, &b);
        assert_true(mg_str_equal(mg_buf_view(&a), mg_buf_view(&b)));
        mg_buf_release(&a);
        mg_buf_release(&b);
        mg_cma_destroy(whole);
        mg_cma_destroy(part);
    }
}

static void damaged_states_are_format_errors(void **state)
{
    (void)state;
    double start[3] = { 0, 0, 0 };
    mg_cma_options o = {
        .kind = MG_CMA_FULL, .dimension = 3, .start = start, .sigma = 1.0, .seed = 5
    };
    mg_cma *cma = make(&o);
    double best = INFINITY;
    run_generation(cma, sphere, &best);
    double foreign[3] = { 9, 9, 9 };
    mg_cma_inject(cma, 2, foreign);
    mg_buf saved = { 0 };
    mg_cma_save(cma, &saved);
    mg_error err;
    mg_cma *back = NULL;
    for (size_t size = 0; size < saved.size; size++) {
        assert_status(mg_cma_load(&o, mg_str_make(saved.data, size), &back, &err), MG_ERR_FORMAT);
        assert_null(back);
    }
    assert_ok(mg_cma_load(&o, mg_buf_view(&saved), &back, &err), &err);
    double a[3], b[3];
    mg_cma_ask(cma, 2, a);
    mg_cma_ask(back, 2, b);
    assert_memory_equal(a, b, sizeof(a));
    mg_cma_destroy(back);
    o.seed = 6;
    assert_status(mg_cma_load(&o, mg_buf_view(&saved), &back, &err), MG_ERR_FORMAT);
    mg_cma_destroy(cma);
    mg_buf_release(&saved);
}

static void failed_candidates_rank_last_and_the_run_goes_on(void **state)
{
    (void)state;
    double start[4] = { 1, 1, 1, 1 };
    mg_cma_options o = {
        .kind = MG_CMA_FULL, .dimension = 4, .start = start, .sigma = 0.5, .active = true, .seed = 3
    };
    mg_cma *cma = make(&o);
    double x[4], costs[16], best = INFINITY;
    for (int g = 0; g < 120; g++) {
        for (int64_t k = 0; k < mg_cma_population(cma); k++) {
            mg_cma_ask(cma, k, x);
            costs[k] = k == 3 ? (double)NAN : sphere(x, 4);
            best = k == 3 ? best : fmin(best, costs[k]);
        }
        mg_cma_tell(cma, costs, NULL);
        assert_int_equal(mg_cma_order(cma)[mg_cma_population(cma) - 1], 3);
    }
    assert_true(best < 1e-8);
    mg_cma_destroy(cma);
}

static void violations_rank_before_costs(void **state)
{
    (void)state;
    double start[3] = { 0, 0, 0 };
    mg_cma_options o = { .kind = MG_CMA_SEP, .dimension = 3, .start = start, .sigma = 1.0 };
    mg_cma *cma = make(&o);
    double costs[7] = { 1, 2, 3, 3, 0, 5, 6 };
    double violations[7] = { 0.5, 0, 0, 0, 1, 0, 0 };
    mg_cma_tell(cma, costs, violations);
    const int64_t expected[7] = { 1, 2, 3, 5, 6, 0, 4 };
    assert_memory_equal(mg_cma_order(cma), expected, sizeof(expected));
    mg_cma_destroy(cma);
}

static void flat_costs_widen_the_step_and_then_stop(void **state)
{
    (void)state;
    double start[3] = { 0, 0, 0 };
    mg_cma_options o = {
        .kind = MG_CMA_FULL, .dimension = 3, .start = start, .sigma = 1.0, .noisy = true
    };
    mg_cma *cma = make(&o);
    double costs[7] = { 0 };
    for (int g = 0; g < 5; g++) {
        mg_cma_tell(cma, costs, NULL);
        assert_null(mg_cma_stop(cma));
    }
    mg_cma_tell(cma, costs, NULL);
    assert_string_equal(mg_cma_stop(cma), "flat");
    mg_cma_destroy(cma);
}

/* A diagonal search of a turned valley is stuck; with the covariance made full it goes on. */
static void full_form_takes_over_the_distribution(void **state)
{
    (void)state;
    enum { N = 10 };
    for (int lra = 0; lra < 2; lra++) {
        double start[N];
        mg_error err;
        for (int i = 0; i < N; i++) {
            start[i] = 1.0;
        }
        mg_cma_options o = { .kind = MG_CMA_SEP,
                             .dimension = N,
                             .start = start,
                             .sigma = 0.5,
                             .active = true,
                             .adapt_learning_rate = lra == 1,
                             .seed = 8 };
        mg_cma *sep = make(&o);
        double best = INFINITY;
        for (int g = 0; g < 200; g++) {
            run_generation(sep, rotated_ellipsoid, &best);
        }
        assert_true(best > 1e-3);
        mg_cma *full = NULL;
        o.kind = MG_CMA_FULL;
        assert_ok(mg_cma_to_full(sep, &o, &full, &err), &err);
        assert_int_equal(mg_cma_generation(full), 200);
        for (int i = 0; i < N; i++) {
            assert_true(fabs(mg_cma_deviation(full, i) / mg_cma_deviation(sep, i) - 1.0) < 1e-12);
            assert_true(mg_cma_centre(full, i) == mg_cma_centre(sep, i));
        }
        mg_buf saved = { 0 };
        mg_cma *back = NULL;
        mg_cma_save(full, &saved);
        assert_ok(mg_cma_load(&o, mg_buf_view(&saved), &back, &err), &err);
        for (int g = 0; g < (lra == 1 ? 4000 : 600) && best > 1e-9; g++) {
            run_generation(back, rotated_ellipsoid, &best);
        }
        assert_true(best <= 1e-9);
        mg_buf_release(&saved);
        mg_cma_destroy(back);
        mg_cma_destroy(full);
        mg_cma_destroy(sep);
    }
}

static void injected_points_are_shortened_to_the_length_of_a_sample(void **state)
{
    (void)state;
    enum { N = 6 };
    double start[N] = { 0 };
    mg_cma_options o = {
        .kind = MG_CMA_FULL, .dimension = N, .start = start, .sigma = 0.5, .active = true, .seed = 8
    };
    mg_cma *cma = make(&o);
    double best = INFINITY;
    for (int g = 0; g < 20; g++) {
        run_generation(cma, ellipsoid, &best);
    }
    double near[N], far[N], white[N], x[N];
    for (int i = 0; i < N; i++) {
        near[i] = cma->mean[i] + 1e-3 * cma->sigma * sqrt(cma->c[i * N + i]);
        far[i] = cma->mean[i] + 1e3;
    }
    mg_cma_inject(cma, 1, near);
    mg_cma_inject(cma, 4, far);
    mg_cma_ask(cma, 1, x);
    for (int i = 0; i < N; i++) {
        assert_true(fabs(x[i] - near[i]) <= 1e-12 * fabs(near[i]));
    }
    mg_cma_whiten(cma, white, cma->y + (int64_t)4 * N);
    assert_true(fabs(sqrt(sphere(white, N)) - (sqrt(6.0) + 12.0 / 8.0)) < 1e-9);
    mg_cma_ask(cma, 4, x);
    double step = x[0] - cma->mean[0];
    for (int i = 0; i < N; i++) { /* in the direction of the point */
        assert_true(step > 0.0 && fabs(x[i] - cma->mean[i] - step) < 1e-9 * step);
    }
    mg_cma_destroy(cma);
}

static void decomposition_waits_as_long_as_the_rates_allow(void **state)
{
    (void)state;
    double start[N_MAX] = { 0 };
    mg_cma_options o = {
        .kind = MG_CMA_FULL, .dimension = 100, .start = start, .sigma = 1.0, .active = true
    };
    mg_cma *cma = make(&o);
    double interval = fmax(1.0, 1.0 / ((cma->k.c_1 + cma->k.c_mu) * 100.0 * 10.0));
    double best = INFINITY;
    int64_t last = 0;
    for (int g = 1; g <= 20; g++) {
        run_generation(cma, sphere, &best);
        if (cma->eigen_generation != last) {
            assert_int_equal(cma->eigen_generation, g);
            assert_int_equal(g - last, (int64_t)ceil(interval));
            last = g;
        }
    }
    assert_true(last > 0);
    mg_cma_destroy(cma);
}

static void stops_are_named(void **state)
{
    (void)state;
    double start[2] = { 1, 1 };
    double lower[2] = { -2, -2 };
    double upper[2] = { 2, 2 };
    mg_cma_options o = { .kind = MG_CMA_FULL,
                         .dimension = 2,
                         .start = start,
                         .sigma = 0.5,
                         .lower = lower,
                         .upper = upper,
                         .bounds = MG_BOUND_TRANSFORM,
                         .seed = 3 };
    double best = INFINITY;
    mg_cma *cma = make(&o);
    while (mg_cma_stop(cma) == NULL) {
        run_generation(cma, sphere, &best);
    }
    assert_string_equal(mg_cma_stop(cma), "tolx");
    mg_cma_destroy(cma);

    o.bounds = MG_BOUND_NONE;
    cma = make(&o);
    while (mg_cma_stop(cma) == NULL) {
        run_generation(cma, sphere, &best);
    }
    assert_string_equal(mg_cma_stop(cma), "tolfun");
    mg_cma_destroy(cma);

    cma = make(&o); /* downhill for ever */
    while (mg_cma_stop(cma) == NULL) {
        double x[2], costs[16];
        for (int64_t k = 0; k < mg_cma_population(cma); k++) {
            mg_cma_ask(cma, k, x);
            costs[k] = x[0];
        }
        mg_cma_tell(cma, costs, NULL);
    }
    assert_string_equal(mg_cma_stop(cma), "tolfacup");
    mg_cma_destroy(cma);

    cma = make(&o);
    cma->mean[0] = 1e18; /* a step is below the last place of the mean */
    run_generation(cma, sphere, &best);
    assert_string_equal(mg_cma_stop(cma), "no effect");
    mg_cma_destroy(cma);

    o.noisy = true;
    o.bounds = MG_BOUND_TRANSFORM;
    cma = make(&o);
    mg_rng rng = mg_rng_make(3, MG_STREAM_TIES);
    while (mg_cma_stop(cma) == NULL) { /* noise alone: nothing gets better */
        double costs[16];
        for (int64_t k = 0; k < mg_cma_population(cma); k++) {
            costs[k] = mg_rng_normal(&rng);
        }
        cma->sigma = 0.5;
        mg_cma_tell(cma, costs, NULL);
    }
    const char *stop = mg_cma_stop(cma);
    assert_true(strcmp(stop, "stagnation") == 0 || strcmp(stop, "max generations") == 0);
    mg_cma_destroy(cma);
}

static void irrelevant_coordinates_keep_their_distribution(void **state)
{
    (void)state;
    double start[4] = { 0, 0, 0, 0 };
    mg_cma_options o = {
        .kind = MG_CMA_SEP, .dimension = 4, .start = start, .sigma = 1.0, .seed = 8
    };
    mg_cma *cma = make(&o);
    bool relevant[8 * 4] = { false };
    for (int k = 0; k < 8; k++) {
        relevant[k * 4] = true;
    }
    double costs[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    mg_cma_tell_relevant(cma, costs, NULL, relevant);
    assert_true(cma->mean[0] != 0.0);
    assert_true(cma->mean[1] == 0.0);
    assert_true(fabs(cma->c[1] - (1.0 - cma->k.c_1)) < 1e-12); /* only p_c could move it */
    mg_cma_destroy(cma);
}

static void contradictory_options_are_refused(void **state)
{
    (void)state;
    double start[2000] = { 0.0 };
    mg_error err;
    mg_cma *cma = NULL;
    mg_cma_options o = { .kind = MG_CMA_FULL, .dimension = 0, .start = start, .sigma = 1.0 };
    assert_status(mg_cma_create(&o, &cma, &err), MG_ERR_CONFIG);
    o.dimension = 1001;
    assert_status(mg_cma_create(&o, &cma, &err), MG_ERR_CONFIG);
    o.dimension = 2;
    o.sigma = 0.0;
    assert_status(mg_cma_create(&o, &cma, &err), MG_ERR_CONFIG);
    o.sigma = 1.0;
    o.population = 3;
    assert_status(mg_cma_create(&o, &cma, &err), MG_ERR_CONFIG);
    o.population = 0;
    o.bounds = MG_BOUND_TRANSFORM;
    assert_status(mg_cma_create(&o, &cma, &err), MG_ERR_CONFIG);
    double same[2] = { 1.0, 1.0 };
    o.lower = o.upper = same;
    assert_status(mg_cma_create(&o, &cma, &err), MG_ERR_CONFIG);
}

static void one_gene_is_a_search_too(void **state)
{
    (void)state;
    double start[1] = { 3.0 };
    mg_cma_options o = {
        .kind = MG_CMA_FULL, .dimension = 1, .start = start, .sigma = 0.5, .active = true, .seed = 1
    };
    mg_cma *cma = make(&o);
    double best = INFINITY;
    for (int g = 0; g < 100; g++) {
        run_generation(cma, sphere, &best);
    }
    assert_true(best < 1e-9);
    mg_cma_destroy(cma);
}

int main(void)
{
    cost_rotation_make();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_match_the_check_values),
        cmocka_unit_test(weights_of_six_genes_match),
        cmocka_unit_test(full_positive_needs_the_expected_evaluations),
        cmocka_unit_test(full_active_needs_the_expected_evaluations),
        cmocka_unit_test(diagonal_forms_need_the_expected_evaluations),
        cmocka_unit_test(diagonal_forms_do_not_converge_on_the_rotated_ellipsoid),
        cmocka_unit_test(limited_memory_needs_the_expected_evaluations),
        cmocka_unit_test(bounded_searches_stay_inside_and_find_corners),
        cmocka_unit_test(learning_rate_adaptation_still_converges),
        cmocka_unit_test(learning_rates_fall_under_noise_and_the_mean_beats_plain),
        cmocka_unit_test(rotation_of_the_samples_rotates_the_run),
        cmocka_unit_test(restored_run_continues_bit_for_bit),
        cmocka_unit_test(damaged_states_are_format_errors),
        cmocka_unit_test(failed_candidates_rank_last_and_the_run_goes_on),
        cmocka_unit_test(violations_rank_before_costs),
        cmocka_unit_test(flat_costs_widen_the_step_and_then_stop),
        cmocka_unit_test(full_form_takes_over_the_distribution),
        cmocka_unit_test(injected_points_are_shortened_to_the_length_of_a_sample),
        cmocka_unit_test(decomposition_waits_as_long_as_the_rates_allow),
        cmocka_unit_test(stops_are_named),
        cmocka_unit_test(irrelevant_coordinates_keep_their_distribution),
        cmocka_unit_test(contradictory_options_are_refused),
        cmocka_unit_test(one_gene_is_a_search_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
