/* tests/unit/infer/test_sample.c - truncations and draws over small distributions. */
#include "support.h"

#include <math.h>

#include "infer/sample.h"

#define VOCAB 6

static const mg_generation_rules no_rules = { 1.0, 0, NULL, 0 };

/* Probabilities 0.4, 0.3, 0.15, 0.1, 0.04, 0.01 in a mixed order. */
static const double probabilities[VOCAB] = { 0.1, 0.4, 0.01, 0.3, 0.04, 0.15 };

static void frequencies(const mg_sampling *sampling, double *out)
{
    mg_sampler *sampler = mg_sampler_create(VOCAB);
    const int64_t draws = 40000;
    int64_t counts[VOCAB] = { 0 };
    for (int64_t i = 0; i < draws; i++) {
        float logits[VOCAB];
        for (int64_t v = 0; v < VOCAB; v++) {
            logits[v] = (float)log(probabilities[v]);
        }
        counts[mg_sampler_next(sampler, sampling, &no_rules, NULL, 0, 5, (uint64_t)i, logits)]++;
    }
    for (int64_t v = 0; v < VOCAB; v++) {
        out[v] = (double)counts[v] / (double)draws;
    }
    mg_sampler_destroy(sampler);
}

static void check(mg_sampling sampling, const double *want)
{
    double got[VOCAB];
    sampling.seed = 7;
    frequencies(&sampling, got);
    for (int64_t v = 0; v < VOCAB; v++) {
        if (want[v] == 0.0) {
            assert_true(got[v] == 0.0);
        }
        assert_true(fabs(got[v] - want[v]) < 0.012); /* about 5 standard errors */
    }
}

static void draws_follow_the_distribution(void **state)
{
    (void)state;
    mg_sampling sampling = { .temperature = 1.0 };
    check(sampling, probabilities);
}

static void temperature_sharpens(void **state)
{
    (void)state;
    mg_sampling sampling = { .temperature = 0.5 };
    double want[VOCAB];
    double total = 0.0;
    for (int64_t v = 0; v < VOCAB; v++) {
        want[v] = probabilities[v] * probabilities[v];
        total += want[v];
    }
    for (int64_t v = 0; v < VOCAB; v++) {
        want[v] /= total;
    }
    check(sampling, want);
}

static void top_k_keeps_the_likeliest(void **state)
{
    (void)state;
    mg_sampling sampling = { .temperature = 1.0, .top_k = 2 };
    static const double want[VOCAB] = { 0, 0.4 / 0.7, 0, 0.3 / 0.7, 0, 0 };
    check(sampling, want);
    sampling.top_k = 100;
    check(sampling, probabilities);
}

static void top_p_keeps_the_smallest_sufficient_set(void **state)
{
    (void)state;
    mg_sampling sampling = { .temperature = 1.0, .top_p = 0.75 };
    static const double want[VOCAB] = { 0, 0.4 / 0.85, 0, 0.3 / 0.85, 0, 0.15 / 0.85 };
    check(sampling, want);
    sampling.top_p = 1e-9; /* at least one stays */
    static const double first[VOCAB] = { 0, 1, 0, 0, 0, 0 };
    check(sampling, first);
}

static void top_p_counts_what_top_k_leaves(void **state)
{
    (void)state;
    /* Of 0.4 and 0.3 the first alone has 57 %. */
    mg_sampling sampling = { .temperature = 1.0, .top_k = 2, .top_p = 0.5 };
    static const double want[VOCAB] = { 0, 1, 0, 0, 0, 0 };
    check(sampling, want);
}

static void min_p_is_relative_to_the_likeliest(void **state)
{
    (void)state;
    mg_sampling sampling = { .temperature = 1.0, .min_p = 0.3 };
    static const double want[VOCAB] = { 0, 0.4 / 0.85, 0, 0.3 / 0.85, 0, 0.15 / 0.85 };
    check(sampling, want);
}

static void penalty_counts_each_token_once(void **state)
{
    (void)state;
    mg_sampler *sampler = mg_sampler_create(VOCAB);
    mg_sampling greedy = { 0 };
    static const int32_t ids[] = { 1, 1, 1, 2 };
    static const mg_generation_rules mild = { 1.4, 0, NULL, 0 };
    static const mg_generation_rules strong = { 1.6, 0, NULL, 0 };
    float logits[VOCAB] = { 1.0f, 1.5f, -1.0f, 0.9f, 0.0f, 0.0f };
    assert_int_equal(mg_sampler_next(sampler, &greedy, &mild, ids, 4, 0, 0, logits), 1);
    assert_true(fabsf(logits[1] - 1.5f / 1.4f) < 1e-6f);
    assert_true(fabsf(logits[2] + 1.4f) < 1e-6f);
    float again[VOCAB] = { 1.0f, 1.5f, -1.0f, 0.9f, 0.0f, 0.0f };
    assert_int_equal(mg_sampler_next(sampler, &greedy, &strong, ids, 4, 0, 0, again), 0);
    mg_sampler_destroy(sampler);
}

static void banned_tokens_are_never_chosen(void **state)
{
    (void)state;
    mg_sampler *sampler = mg_sampler_create(VOCAB);
    static const int32_t ids[] = { 3, 4, 5, 3, 4 };
    static const int32_t suppressed[] = { 0, 1 };
    mg_generation_rules rules = { 1.0, 3, suppressed, 2 };
    mg_sampling greedy = { 0 };
    mg_sampling hot = { .temperature = 100.0, .top_k = 5, .seed = 1 };
    for (uint64_t step = 0; step < 200; step++) { /* 5 would repeat 3, 4, 5 */
        float logits[VOCAB] = { 9.0f, 8.0f, 1.0f, 2.0f, 2.0f, 7.0f };
        int32_t id = mg_sampler_next(sampler, &hot, &rules, ids, 5, 0, step, logits);
        assert_true(id >= 2 && id <= 4);
    }
    float logits[VOCAB] = { 9.0f, 8.0f, 1.0f, 2.0f, 2.0f, 7.0f };
    assert_int_equal(mg_sampler_next(sampler, &greedy, &rules, ids, 5, 0, 0, logits), 3);
    float few[VOCAB] = { 0.0f, 0.0f, 1.0f, 2.0f, 2.0f, 7.0f };
    assert_int_equal(mg_sampler_next(sampler, &greedy, &rules, ids, 2, 0, 0, few), 5);
    mg_sampler_destroy(sampler);
}

static void greedy_takes_the_lowest_id_of_equals(void **state)
{
    (void)state;
    mg_sampler *sampler = mg_sampler_create(VOCAB);
    mg_sampling greedy = { 0 };
    float logits[VOCAB] = { 0.0f, 2.0f, 1.0f, 2.0f, 2.0f, 0.0f };
    assert_int_equal(mg_sampler_next(sampler, &greedy, &no_rules, NULL, 0, 0, 0, logits), 1);
    mg_sampler_destroy(sampler);
}

static void draw_is_a_function_of_seed_stream_and_step(void **state)
{
    (void)state;
    mg_sampler *sampler = mg_sampler_create(VOCAB);
    mg_sampling sampling = { .temperature = 3.0, .seed = 1 };
    int64_t differ = 0;
    for (uint64_t step = 0; step < 64; step++) {
        float a[VOCAB] = { 0 };
        float b[VOCAB] = { 0 };
        float c[VOCAB] = { 0 };
        int32_t first = mg_sampler_next(sampler, &sampling, &no_rules, NULL, 0, 3, step, a);
        assert_int_equal(mg_sampler_next(sampler, &sampling, &no_rules, NULL, 0, 3, step, b),
                         first);
        differ += mg_sampler_next(sampler, &sampling, &no_rules, NULL, 0, 4, step, c) != first;
    }
    assert_true(differ > 32);
    mg_sampler_destroy(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(temperature_sharpens),
        cmocka_unit_test(top_k_keeps_the_likeliest),
        cmocka_unit_test(top_p_keeps_the_smallest_sufficient_set),
        cmocka_unit_test(top_p_counts_what_top_k_leaves),
        cmocka_unit_test(min_p_is_relative_to_the_likeliest),
        cmocka_unit_test(penalty_counts_each_token_once),
        cmocka_unit_test(banned_tokens_are_never_chosen),
        cmocka_unit_test(greedy_takes_the_lowest_id_of_equals),
        cmocka_unit_test(draw_is_a_function_of_seed_stream_and_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
