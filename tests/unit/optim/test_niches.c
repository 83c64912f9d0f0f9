/* M2N2: shared fitness and attraction by hand, members against dense vectors, two experts that
 * complement each other (evolution.md 17.7), state. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "optim/niches.h"

enum { SEGMENTS = 4, EXPERTS = 2, DIMENSION = SEGMENTS * EXPERTS, ITEMS = 40, PER_SEGMENT = 50 };

static void rare_answers_are_worth_more(void **state)
{
    (void)state;
    const double scores[3 * 4] = { 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0 };
    double fitness[3], attraction[3];
    mg_niches_fitness(scores, 3, 4, fitness);
    assert_true(fabs(fitness[0] - (1.0 / 3.0 + 1.0)) < 1e-6);
    assert_true(fabs(fitness[1] - (1.0 / 3.0 + 1.0)) < 1e-6);
    assert_true(fabs(fitness[2] - 1.0 / 3.0) < 1e-6);
    mg_niches_attraction(scores, 3, 4, 0, attraction);
    assert_true(attraction[0] == 0.0 && attraction[2] == 0.0);
    assert_true(fabs(attraction[1] - 1.0) < 1e-6);
}

static void real_scores_count_from_the_worst(void **state)
{
    (void)state;
    const double scores[2 * 2] = { 0.5, 0.9, 0.7, 0.9 };
    double fitness[2];
    mg_niches_fitness(scores, 2, 2, fitness);
    assert_true(fabs(fitness[0]) < 1e-6 && fabs(fitness[1] - 0.2) < 1e-6);
}

/* Dense experts, and what the options say of them. */
typedef struct world {
    float dense[EXPERTS][SEGMENTS * PER_SEGMENT];
    double sizes[SEGMENTS], gram[SEGMENTS * EXPERTS * EXPERTS];
} world;

static void make_world(world *w)
{
    mg_rng rng = mg_rng_make(8, MG_STREAM_TIES);
    for (int k = 0; k < EXPERTS; k++) {
        for (int i = 0; i < SEGMENTS * PER_SEGMENT; i++) {
            w->dense[k][i] = (float)mg_rng_normal(&rng) + (k == 1 ? 0.3F * w->dense[0][i] : 0.0F);
        }
    }
    for (int g = 0; g < SEGMENTS; g++) {
        w->sizes[g] = PER_SEGMENT;
        for (int a = 0; a < EXPERTS; a++) {
            for (int b = 0; b < EXPERTS; b++) {
                double sum = 0.0;
                for (int i = 0; i < PER_SEGMENT; i++) {
                    int at = g * PER_SEGMENT + i;
                    sum += (double)w->dense[a][at] * (double)w->dense[b][at];
                }
                w->gram[(g * EXPERTS + a) * EXPERTS + b] = sum;
            }
        }
    }
}

static mg_niches_options options_of(const world *w, uint64_t seed)
{
    return (mg_niches_options){ .segment_count = SEGMENTS,
                                .expert_count = EXPERTS,
                                .sizes = w->sizes,
                                .gram = w->gram,
                                .item_count = ITEMS,
                                .seed = seed };
}

static void materialise(const world *w, const double *x, double *dense)
{
    for (int i = 0; i < SEGMENTS * PER_SEGMENT; i++) {
        dense[i] = 0.0;
        for (int k = 0; k < EXPERTS; k++) {
            dense[i] += x[i / PER_SEGMENT * EXPERTS + k] * (double)w->dense[k][i];
        }
    }
}

static double dot(const double *a, const double *b)
{
    double sum = 0.0;
    for (int i = 0; i < SEGMENTS * PER_SEGMENT; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* Expert 0 answers the first half, expert 1 the second; a mix answers item i when its share of the
 * expert in the item's segment is large enough. */
static void answer(const double *x, double *scores)
{
    for (int i = 0; i < ITEMS; i++) {
        int expert = i < ITEMS / 2 ? 0 : 1;
        int segment = i % SEGMENTS;
        double need = 0.3 + 0.4 * (double)(i / SEGMENTS % 5) / 5.0;
        scores[i] = x[segment * EXPERTS + expert] >= need ? 1.0 : 0.0;
    }
}

static mg_niches *start(const mg_niches_options *o)
{
    mg_error err;
    mg_niches *s = NULL;
    assert_ok(mg_niches_create(o, &s, &err), &err);
    for (int k = 0; k < EXPERTS; k++) {
        double x[DIMENSION], scores[ITEMS];
        for (int i = 0; i < DIMENSION; i++) {
            x[i] = i % EXPERTS == k ? 1.0 : 0.0;
        }
        answer(x, scores);
        mg_niches_add_expert(s, k, k, scores);
    }
    return s;
}

static void run_batch(mg_niches *s, int64_t first_id)
{
    double x[DIMENSION], scores[MG_NICHES_BATCH * ITEMS];
    for (int64_t k = 0; k < mg_niches_batch(s); k++) {
        mg_niches_ask(s, k, x);
        answer(x, scores + k * ITEMS);
        if (k == 3 && first_id % 2 == 0) {
            scores[k * ITEMS] = NAN; /* it failed */
        }
    }
    mg_niches_tell(s, first_id, scores, NULL);
}

static double mean(const double *scores)
{
    double sum = 0.0;
    for (int i = 0; i < ITEMS; i++) {
        sum += scores[i] / ITEMS;
    }
    return sum;
}

/* The first children are those of the two experts: some t and split of dense slerp gives them. */
static void children_are_slerps_of_dense_parents(void **state)
{
    (void)state;
    world *w = mg_new(world);
    make_world(w);
    double dense[2][SEGMENTS * PER_SEGMENT], child[SEGMENTS * PER_SEGMENT];
    const double unit[2][DIMENSION] = { { 1, 0, 1, 0, 1, 0, 1, 0 }, { 0, 1, 0, 1, 0, 1, 0, 1 } };
    materialise(w, unit[0], dense[0]);
    materialise(w, unit[1], dense[1]);
    double angle =
        acos(dot(dense[0], dense[1]) / sqrt(dot(dense[0], dense[0]) * dot(dense[1], dense[1])));
    for (uint64_t seed = 1; seed <= 20; seed++) {
        mg_niches_options o = options_of(w, seed);
        mg_niches *s = start(&o);
        for (int64_t k = 0; k < mg_niches_batch(s); k++) {
            double x[DIMENSION];
            mg_niches_ask(s, k, x);
            materialise(w, x, child);
            /* t of the first and of the last segment, from the child's own coefficients */
            for (int g = 0; g < SEGMENTS; g++) {
                double a = x[g * EXPERTS];
                double b = x[g * EXPERTS + 1];
                double t = atan2(b * sin(angle), a + b * cos(angle)) / angle;
                for (int i = g * PER_SEGMENT; i < (g + 1) * PER_SEGMENT; i++) {
                    double slerp =
                        (sin((1.0 - t) * angle) * dense[0][i] + sin(t * angle) * dense[1][i]) /
                        sin(angle);
                    assert_true(fabs(child[i] - slerp) < 1e-5 * (fabs(slerp) + 1e-3));
                }
                assert_true(t > -1e-9 && t < 1.0 + 1e-9);
            }
            double first = atan2(x[1] * sin(angle), x[0] + x[1] * cos(angle)) / angle;
            double last = atan2(x[DIMENSION - 1] * sin(angle),
                                x[DIMENSION - 2] + x[DIMENSION - 1] * cos(angle)) /
                          angle;
            assert_true(fabs(first + last - 1.0) < 1e-9 || fabs(first - last) < 1e-9);
        }
        mg_niches_destroy(s);
    }
    mg_free(w);
}

static void two_experts_that_complement_each_other_are_both_beaten(void **state)
{
    (void)state;
    world *w = mg_new(world);
    make_world(w);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        mg_niches_options o = options_of(w, seed);
        mg_niches *s = start(&o);
        for (int64_t step = 0; step < 200; step += MG_NICHES_BATCH) {
            run_batch(s, 2 + step);
            assert_true(mg_niches_member_count(s) <= MG_NICHES_ARCHIVE);
        }
        mg_niches_member best = mg_niches_member_at(s, 0);
        assert_true(mean(best.scores) > 0.7);
        for (int64_t i = 1; i < mg_niches_member_count(s); i++) {
            assert_true(mean(mg_niches_member_at(s, i).scores) <=
                        mean(mg_niches_member_at(s, i - 1).scores));
        }
        mg_niches_destroy(s);
    }
    mg_free(w);
}

static void restored_run_continues_alike(void **state)
{
    (void)state;
    mg_error err;
    world *w = mg_new(world);
    make_world(w);
    mg_niches_options o = options_of(w, 3);
    mg_niches *whole = start(&o);
    mg_niches *part = start(&o);
    mg_buf a = { 0 };
    mg_buf b = { 0 };
    for (int64_t step = 0; step < 60; step += MG_NICHES_BATCH) {
        mg_buf_clear(&b);
        mg_niches_save(part, &b);
        mg_niches_destroy(part);
        assert_ok(mg_niches_load(&o, mg_buf_view(&b), &part, &err), &err);
        run_batch(whole, 2 + step);
        run_batch(part, 2 + step);
    }
    mg_buf_clear(&b);
    mg_niches_save(whole, &a);
    mg_niches_save(part, &b);
    assert_true(mg_str_equal(mg_buf_view(&a), mg_buf_view(&b)));
    mg_niches_destroy(part);
    for (size_t size = 0; size < a.size; size += 13) {
        assert_status(mg_niches_load(&o, mg_str_make(a.data, size), &part, &err), MG_ERR_FORMAT);
    }
    o.archive = 1;
    assert_status(mg_niches_create(&o, &part, &err), MG_ERR_CONFIG);
    mg_buf_release(&a);
    mg_buf_release(&b);
    mg_niches_destroy(whole);
    mg_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rare_answers_are_worth_more),
        cmocka_unit_test(real_scores_count_from_the_worst),
        cmocka_unit_test(children_are_slerps_of_dense_parents),
        cmocka_unit_test(two_experts_that_complement_each_other_are_both_beaten),
        cmocka_unit_test(restored_run_continues_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
