/* Paths: slots, forced ends, folded factors, expected lengths (evolution.md 4, 17.10). */
#include "support.h"

#include <math.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/genome.h"

static mg_error err;

/* A genome over models a and b with the given layers. */
static mg_genome *make(const char *search, int64_t a, int64_t b, mg_evolve_config *config)
{
    char path[] = "/tmp/mg_path_XXXXXX";
    char text[256];
    const int64_t layers[2] = { a, b };
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(text, sizeof(text), "genome: {models: [a, b]}\ntasks: [t]\nsearch: %s\n", search);
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
    mg_evolve_overrides none = { 0 };
    assert_ok(mg_evolve_config_read(path, &none, config, &err), &err);
    unlink(path);
    return mg_genome_create_path(config, layers, NULL);
}

/* "a0 a1 b0:0.5 ..." : model, layer and what its projections are multiplied by. */
static void describe(const mg_genome *genome, const double *x, mg_buf *out)
{
    mg_arena arena = { 0 };
    mg_recipe recipe;
    mg_genome_recipe(genome, x, &arena, &recipe);
    assert_true(mg_str_is(recipe.method, "passthrough"));
    mg_buf_clear(out);
    for (int64_t h = 0; h < recipe.modules[0].slice_count; h++) {
        const mg_recipe_source *source = &recipe.modules[0].slices[h].sources[0];
        assert_int_equal(source->layer_end, source->layer_begin + 1);
        mg_buf_printf(out, "%s%.*s%lld", h > 0 ? " " : "", MG_STR_ARG(source->model.path),
                      (long long)source->layer_begin);
        if (source->settings.count > 0) {
            const mg_setting *scale = &source->settings.items[0];
            assert_int_equal(scale->condition_count, 3);
            assert_true(scale->conditions[2].curve.values[0] == 1.0);
            mg_buf_printf(out, ":%.3f", scale->conditions[0].curve.values[0]);
        }
    }
    mg_arena_release(&arena);
}

static void start_is_the_plain_path_of_the_first_model(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_buf text = { 0 };
    mg_genome *genome = make("{space: dfs, repeats: 3}", 3, 2, &config);
    assert_int_equal(mg_genome_bit_count(genome), 14);
    assert_int_equal(mg_genome_dimension(genome), 14 + 16);
    describe(genome, mg_genome_start(genome), &text);
    assert_string_equal(text.data, "a0 a1 a2");
    describe(genome, mg_genome_default(genome), &text);
    assert_string_equal(text.data, "a0 a1 a2");
    mg_buf_release(&text);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void paths_begin_and_end_with_the_first_model(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_buf text = { 0 };
    mg_genome *genome = make("{space: dfs, repeats: 2}", 3, 2, &config);
    double x[9 + 11] = { 0.0 };
    describe(genome, x, &text);
    assert_string_equal(text.data, "a0 a2");
    x[2] = 1.0; /* slot 3: b's first layer */
    describe(genome, x, &text);
    assert_string_equal(text.data, "a0 b0 a2");
    x[6] = 1.0; /* slot 7: a's last layer in the second pass */
    describe(genome, x, &text);
    assert_string_equal(text.data, "a0 b0 a2");
    x[4] = 1.0; /* slot 5: a's first layer again */
    x[8] = 1.0; /* slot 9: b's last layer */
    describe(genome, x, &text);
    assert_string_equal(text.data, "a0 b0 a0 a2 b1 a2");
    mg_buf_release(&text);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void factors_are_folded_as_their_running_product(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_buf text = { 0 };
    mg_genome *genome = make("{space: dfs, repeats: 1}", 3, 2, &config);
    double x[4 + 6] = { 0,   0,
                        1,   0, /* slot 3 */
                        0,   0.9,
                        0.9, 0.6931471805599453,
                        0.9, 0.6931471805599453 };
    describe(genome, x, &text); /* factors 1, 2, 2: a slot that is off says nothing */
    assert_string_equal(text.data, "a0 b0:0.500 a2:0.250");
    mg_arena arena = { 0 };
    mg_str name = mg_genome_gene_name(genome, 2, &arena);
    assert_true(mg_str_is(name, "on[b layer 0, pass 1]"));
    name = mg_genome_gene_name(genome, 9, &arena);
    assert_true(mg_str_is(name, "scale[last hop]"));
    mg_arena_release(&arena);
    mg_buf_release(&text);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void numbers_depend_on_the_bit_of_their_slot(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{space: dfs, repeats: 1}", 3, 2, &config);
    const int64_t expected[6] = { -1, 0, 1, 2, 3, -1 };
    assert_memory_equal(mg_genome_gates(genome), expected, sizeof(expected));
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void first_paths_have_the_expected_length(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{space: dfs}", 32, 32, &config);
    assert_int_equal(mg_genome_bit_count(genome), 191);
    double expected = 1.0;
    for (int64_t b = 0; b < 191; b++) {
        expected += mg_genome_bit_start(genome)[b];
    }
    /* A's own, nearly all, and eleven insertions from 160 other slots */
    assert_true(fabs(expected - (1.0 + 31.0 * 0.977 + 160.0 * 0.067)) < 1e-9);
    assert_int_equal(mg_genome_bits_max(genome), 51 - 2);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
    genome = make("{space: dfs, repeats: 9, max_hops: 40}", 32, 32, &config);
    /* 544 other slots: four insertions */
    assert_true(fabs(mg_genome_bit_start(genome)[35] - 4.0 / 544.0) < 1e-12);
    assert_int_equal(mg_genome_bits_max(genome), 38);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_is_the_plain_path_of_the_first_model),
        cmocka_unit_test(paths_begin_and_end_with_the_first_model),
        cmocka_unit_test(factors_are_folded_as_their_running_product),
        cmocka_unit_test(numbers_depend_on_the_bit_of_their_slot),
        cmocka_unit_test(first_paths_have_the_expected_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
