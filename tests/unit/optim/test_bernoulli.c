/* The natural gradient over bits solves one-max and leading ones (evolution.md 17.5). */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "optim/bernoulli.h"
#include "optim/cmaes.h"

enum { BITS = 64, POPULATION = 16, GENERATIONS = 3000 };

typedef double cost_function(const bool *bits);

static double one_max(const bool *bits)
{
    double cost = 0.0;
    for (int i = 0; i < BITS; i++) {
        cost += bits[i] ? 0.0 : 1.0;
    }
    return cost;
}

static double leading_ones(const bool *bits)
{
    int i = 0;
    while (i < BITS && bits[i]) {
        i++;
    }
    return (double)(BITS - i);
}

/* Generation in which cost reached 0; GENERATIONS when it never did.  No probability leaves its
 * range on the way. */
static int solve(cost_function *cost, uint64_t seed, mg_buf *state_out)
{
    double start[BITS];
    for (int i = 0; i < BITS; i++) {
        start[i] = 0.5;
    }
    mg_cma_options options = { .dimension = BITS, .population = POPULATION };
    mg_cma_constants k;
    mg_cma_constants_compute(&options, &k);
    mg_bernoulli *bits = mg_bernoulli_create(start, BITS, seed);
    static bool sample[POPULATION * BITS];
    int solved = GENERATIONS;
    for (int g = 0; g < GENERATIONS && solved == GENERATIONS; g++) {
        double costs[POPULATION];
        int64_t order[POPULATION];
        for (int c = 0; c < POPULATION; c++) {
            mg_bernoulli_ask(bits, g, c, sample + c * BITS);
            costs[c] = cost(sample + c * BITS);
            int at = c;
            while (at > 0 && costs[order[at - 1]] > costs[c]) {
                order[at] = order[at - 1];
                at--;
            }
            order[at] = c;
            solved = costs[c] == 0.0 ? MG_MIN(solved, g) : solved;
        }
        mg_bernoulli_tell(bits, sample, order, k.weights, k.mu);
        for (int i = 0; i < BITS; i++) {
            double q = mg_bernoulli_probabilities(bits)[i];
            assert_true(q >= mg_bernoulli_floor(bits) && q <= 1.0 - mg_bernoulli_floor(bits));
        }
    }
    if (state_out != NULL) {
        mg_bernoulli_save(bits, state_out);
    }
    mg_bernoulli_destroy(bits);
    mg_free(k.weights);
    return solved;
}

static void one_max_of_64_bits_is_solved(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        assert_true(solve(one_max, seed, NULL) < 500);
    }
}

static void leading_ones_of_64_bits_is_solved(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        assert_true(solve(leading_ones, seed, NULL) < GENERATIONS);
    }
}

static void floor_matches_the_paper_list(void **state)
{
    (void)state;
    double start[192] = { 0.0 };
    mg_bernoulli *bits = mg_bernoulli_create(start, 192, 1);
    assert_true(fabs(mg_bernoulli_floor(bits) - 0.00164) < 5e-6);
    mg_bernoulli_destroy(bits);
}

static void saved_state_comes_back(void **state)
{
    (void)state;
    mg_buf saved = { 0 };
    mg_buf again = { 0 };
    (void)solve(one_max, 3, &saved);
    double start[BITS] = { 0.0 };
    mg_bernoulli *bits = mg_bernoulli_create(start, BITS, 3);
    mg_error err;
    assert_ok(mg_bernoulli_load(bits, mg_buf_view(&saved), &err), &err);
    mg_bernoulli_save(bits, &again);
    assert_true(mg_str_equal(mg_buf_view(&saved), mg_buf_view(&again)));
    saved.size--;
    assert_status(mg_bernoulli_load(bits, mg_buf_view(&saved), &err), MG_ERR_FORMAT);
    mg_bernoulli_destroy(bits);
    mg_buf_release(&saved);
    mg_buf_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_max_of_64_bits_is_solved),
        cmocka_unit_test(leading_ones_of_64_bits_is_solved),
        cmocka_unit_test(floor_matches_the_paper_list),
        cmocka_unit_test(saved_state_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
