/* Genomes against mergekit-evolve's own decoding (tests/golden/genome), and the native
 * granularities. */
#include "support.h"

#include <math.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/genome.h"
#include "text/json.h"
#include "text/yaml.h"

static mg_error err;

/* The search file with the text behind its genome block. */
static void read_config(const char *text, mg_evolve_config *config)
{
    char path[] = "/tmp/mg_genome_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
    mg_evolve_overrides none = { 0 };
    assert_ok(mg_evolve_config_read(path, &none, config, &err), &err);
    unlink(path);
}

static double number_of(const mg_value *v)
{
    double number = NAN;
    if (v->kind == MG_BOOL) {
        return v->boolean ? 1.0 : 0.0;
    }
    assert_true(mg_value_to_double(v, &number));
    return number;
}

/* Deep comparison; numbers may differ in single precision, in which mergekit computes. */
static void assert_same(const mg_value *a, const mg_value *b, const char *where)
{
    bool numbers = (a->kind == MG_INT || a->kind == MG_FLOAT || a->kind == MG_BOOL) &&
                   (b->kind == MG_INT || b->kind == MG_FLOAT || b->kind == MG_BOOL);
    if (numbers) {
        assert_true(fabs(number_of(a) - number_of(b)) < 1e-6);
        return;
    }
    if (a->kind != b->kind) {
        fail_msg("%s: %s and %s", where, mg_kind_name(a->kind), mg_kind_name(b->kind));
    }
    switch (a->kind) {
    case MG_STRING:
        assert_true(mg_str_equal(a->string, b->string));
        break;
    case MG_LIST:
        assert_int_equal(a->count, b->count);
        for (int64_t i = 0; i < a->count; i++) {
            assert_same(&a->items[i], &b->items[i], where);
        }
        break;
    case MG_MAP:
        for (int64_t i = 0; i < b->count; i++) {
            mg_str key = b->entries[i].key.string;
            if (mg_value_get_str(a, key) == NULL && !mg_str_is(key, "merganser")) {
                fail_msg("%s: key '%.*s' is not mergekit's", where, MG_STR_ARG(key));
            }
        }
        for (int64_t i = 0; i < a->count; i++) {
            mg_str key = a->entries[i].key.string;
            const mg_value *other = mg_value_get_str(b, key);
            if (other == NULL) {
                fail_msg("%s: key '%.*s' is missing", where, MG_STR_ARG(key));
            }
            assert_same(&a->entries[i].value, other, key.data);
        }
        break;
    default:
        break;
    }
}

static void mergekit_encoding_decodes_as_mergekit_does(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value cases;
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/genome/cases.json", (size_t)1 << 20, &arena,
                           &cases, &err),
              &err);
    assert_true(cases.count >= 20);
    for (int64_t c = 0; c < cases.count; c++) {
        const mg_value *item = &cases.items[c];
        mg_buf text = { 0 };
        mg_buf written = { 0 };
        mg_evolve_config config;
        mg_genome *genome = NULL;
        mg_recipe recipe;
        mg_value ours;
        mg_buf_add_text(&text, "tasks: [t]\nsearch: {preset: mergekit}\ngenome: ");
        mg_json_write(&text, mg_value_get(item, "genome"), NULL);
        mg_buf_add_char(&text, '\n');
        read_config(text.data, &config);
        assert_ok(mg_genome_create(&config, 8, &genome, &err), &err);
        const mg_value *start = mg_value_get(item, "start");
        const mg_value *x = mg_value_get(item, "x");
        assert_int_equal(mg_genome_dimension(genome), x->count);
        double *genes = mg_new_array(double, x->count);
        for (int64_t i = 0; i < x->count; i++) {
            genes[i] = number_of(&x->items[i]);
            assert_true(fabs(mg_genome_start(genome)[i] - number_of(&start->items[i])) < 1e-6);
        }
        mg_genome_recipe(genome, genes, &arena, &recipe);
        mg_recipe_write(&recipe, &written);
        assert_ok(mg_yaml_parse(mg_buf_view(&written), "ours", &arena, &ours, &err), &err);
        assert_same(mg_value_get(item, "config"), &ours, "config");
        mg_free(genes);
        mg_genome_destroy(genome);
        mg_evolve_config_release(&config);
        mg_buf_release(&text);
        mg_buf_release(&written);
    }
    mg_arena_release(&arena);
}

static const char models[] = "genome: {models: [a, b], base_model: o, merge_method: dare_ties}\n"
                             "tasks: [t]\n";

/* A genome for the models above and a search block. */
static mg_genome *make(const char *search, int64_t layers, mg_evolve_config *config)
{
    mg_buf text = { 0 };
    mg_genome *genome = NULL;
    mg_buf_printf(&text, "%ssearch: %s\n", models, search);
    read_config(text.data, config);
    assert_ok(mg_genome_create(config, layers, &genome, &err), &err);
    mg_buf_release(&text);
    return genome;
}

/* What a setting gives a tensor: its first matching condition. */
static double value_for(const mg_recipe_source *source, const char *name, const char *tensor)
{
    for (int64_t s = 0; s < source->settings.count; s++) {
        const mg_setting *setting = &source->settings.items[s];
        for (int64_t c = 0; mg_str_is(setting->name, name) && c < setting->condition_count; c++) {
            mg_str filter = setting->conditions[c].filter;
            if (filter.size == 0 || mg_str_find(mg_str_of(tensor), filter, 0) >= 0) {
                return setting->conditions[c].curve.values[0];
            }
        }
    }
    return NAN;
}

static void one_group_is_a_list_of_models(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{granularity: model}", 8, &config);
    mg_arena arena = { 0 };
    mg_recipe recipe;
    const double x[4] = { 0.25, 0.5, 1.0, 0.005 };
    assert_int_equal(mg_genome_dimension(genome), 4);
    mg_genome_recipe(genome, x, &arena, &recipe);
    assert_false(recipe.modules[0].explicit_slices);
    const mg_recipe_slice *slice = &recipe.modules[0].slices[0];
    assert_int_equal(slice->source_count, 3);
    assert_true(value_for(&slice->sources[0], "weight", "w") == 0.25);
    assert_true(value_for(&slice->sources[0], "density", "w") == 0.5);
    /* a density near nothing counts as weight 0 */
    assert_true(value_for(&slice->sources[1], "weight", "w") == 0.0);
    assert_true(value_for(&slice->sources[1], "density", "w") == 0.01);
    assert_int_equal(recipe.mask, MG_MASK_PHILOX);
    mg_str name = mg_genome_gene_name(genome, 3, &arena);
    assert_true(mg_str_is(name, "density[b]"));
    mg_arena_release(&arena);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void anchors_are_interpolated_over_depth(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{granularity: 'anchors:3'}", 5, &config);
    mg_arena arena = { 0 };
    mg_recipe recipe;
    double x[12];
    for (int i = 0; i < 12; i++) {
        x[i] = 0.1 * (double)(i / 4 + 1); /* 0.1 at the first anchor, 0.3 at the last */
    }
    assert_int_equal(mg_genome_dimension(genome), 12);
    mg_genome_recipe(genome, x, &arena, &recipe);
    assert_int_equal(recipe.modules[0].slice_count, 5);
    for (int64_t layer = 0; layer < 5; layer++) {
        const mg_recipe_source *source = &recipe.modules[0].slices[layer].sources[0];
        assert_int_equal(source->layer_begin, layer);
        assert_int_equal(source->layer_end, layer + 1);
        double expected = 0.1 + 0.05 * (double)layer;
        assert_true(fabs(value_for(source, "weight", "x") - expected) < 1e-12);
    }
    mg_arena_release(&arena);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void anchors_may_have_ends_of_their_own(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{granularity: 'anchors:2', ends: own}", 5, &config);
    mg_arena arena = { 0 };
    mg_recipe recipe;
    double x[16];
    for (int i = 0; i < 16; i++) {
        x[i] = 0.1 * (double)(i / 4 + 1); /* anchors 0.1 and 0.2, embedding 0.3, head 0.4 */
    }
    assert_int_equal(mg_genome_dimension(genome), 16);
    mg_genome_recipe(genome, x, &arena, &recipe);
    const mg_recipe_slice *slices = recipe.modules[0].slices;
    assert_int_equal(recipe.modules[0].slice_count, 5);
    assert_true(value_for(&slices[0].sources[0], "weight", "model.embed_tokens.weight") == x[8]);
    assert_true(value_for(&slices[4].sources[0], "weight", "lm_head.weight") == x[12]);
    double middle = value_for(&slices[2].sources[0], "density", "model.layers.2.mlp.w");
    assert_true(fabs(middle - 0.15) < 1e-12);
    assert_true(mg_str_is(mg_genome_gene_name(genome, 8, &arena), "weight[a, embedding]"));
    assert_true(mg_str_is(mg_genome_gene_name(genome, 15, &arena), "density[b, head]"));
    mg_arena_release(&arena);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void masks_are_shared_unless_each_genome_draws_its_own(void **state)
{
    (void)state;
    const double x[2][4] = { { 0.25, 0.5, 1.0, 0.5 }, { 0.25, 0.5, 1.0, 0.6 } };
    const char *const searches[] = { "{granularity: model, seed: 7}",
                                     "{granularity: model, seed: 7, mask_seed: genome}" };
    for (int s = 0; s < 2; s++) {
        mg_evolve_config config;
        mg_genome *genome = make(searches[s], 8, &config);
        mg_arena arena = { 0 };
        mg_recipe recipe[3];
        mg_genome_recipe(genome, x[0], &arena, &recipe[0]);
        mg_genome_recipe(genome, x[1], &arena, &recipe[1]);
        mg_genome_recipe(genome, x[0], &arena, &recipe[2]);
        assert_true(recipe[0].mask_seed == recipe[2].mask_seed);
        assert_true((recipe[0].mask_seed == 7) == (s == 0));
        assert_true((recipe[0].mask_seed == recipe[1].mask_seed) == (s == 0));
        mg_arena_release(&arena);
        mg_genome_destroy(genome);
        mg_evolve_config_release(&config);
    }
}

static void blocks_have_their_own_embedding_and_head(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{granularity: 'blocks:4'}", 10, &config);
    mg_arena arena = { 0 };
    mg_recipe recipe;
    double x[20];
    assert_int_equal(mg_genome_dimension(genome), 20); /* embedding, 4 + 4 + 2 layers, head */
    for (int i = 0; i < 20; i++) {
        x[i] = 0.1 * (double)(i / 4 + 1);
    }
    mg_genome_recipe(genome, x, &arena, &recipe);
    const mg_recipe_slice *slices = recipe.modules[0].slices;
    assert_int_equal(recipe.modules[0].slice_count, 3);
    assert_int_equal(slices[2].sources[0].layer_end, 10);
    assert_true(value_for(&slices[0].sources[0], "weight", "model.embed_tokens.weight") == x[0]);
    assert_true(value_for(&slices[0].sources[0], "weight", "model.layers.0.mlp.w") == x[4]);
    assert_true(value_for(&slices[2].sources[0], "weight", "model.layers.9.mlp.w") == x[12]);
    assert_true(value_for(&slices[2].sources[0], "weight", "lm_head.weight") == x[16]);
    assert_true(value_for(&slices[2].sources[0], "weight", "model.norm.weight") == x[16]);
    mg_arena_release(&arena);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void classes_have_their_own_genes(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{granularity: [model, class]}", 4, &config);
    mg_arena arena = { 0 };
    mg_recipe recipe;
    double x[12];
    for (int i = 0; i < 12; i++) {
        x[i] = 0.05 * (double)(i + 1);
    }
    assert_int_equal(mg_genome_dimension(genome), 12);
    mg_genome_recipe(genome, x, &arena, &recipe);
    const mg_recipe_source *source = &recipe.modules[0].slices[0].sources[0];
    assert_true(value_for(source, "weight", "model.layers.0.self_attn.q_proj.weight") == x[0]);
    assert_true(value_for(source, "weight", "model.layers.0.mlp.up_proj.weight") == x[2]);
    assert_true(value_for(source, "weight", "model.norm.weight") == x[4]);
    mg_arena_release(&arena);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void native_slerp_of_two_models_has_one_gene(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = NULL;
    mg_arena arena = { 0 };
    mg_recipe recipe;
    const double x[1] = { 0.75 };
    read_config("genome: {models: [a, b], merge_method: slerp}\ntasks: [t]\n"
                "search: {granularity: model}\n",
                &config);
    assert_ok(mg_genome_create(&config, 4, &genome, &err), &err);
    assert_int_equal(mg_genome_dimension(genome), 1);
    mg_genome_recipe(genome, x, &arena, &recipe);
    assert_true(mg_str_is(recipe.base.path, "a"));
    assert_true(recipe.settings.items[0].conditions[0].curve.values[0] == 0.75);
    assert_int_equal(recipe.mask, MG_MASK_TORCH); /* nothing random: no block */
    mg_arena_release(&arena);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void written_recipes_read_back_with_the_same_numbers(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{granularity: 'anchors:3', seed: 12345678901}", 6, &config);
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_buf again = { 0 };
    mg_diagnostics diagnostics = { 0 };
    mg_recipe recipe;
    mg_recipe back;
    mg_value root;
    double x[12];
    for (int i = 0; i < 12; i++) {
        x[i] = 1.0 / (3.0 + (double)i);
    }
    mg_genome_recipe(genome, x, &arena, &recipe);
    mg_recipe_write(&recipe, &text);
    assert_ok(mg_yaml_parse(mg_buf_view(&text), "ours", &arena, &root, &err), &err);
    assert_ok(mg_recipe_from_value(&root, &arena, &diagnostics, &back), &err);
    assert_int_equal(back.mask, MG_MASK_PHILOX);
    assert_true(back.mask_seed == 12345678901u);
    mg_recipe_write(&back, &again);
    assert_true(mg_str_equal(mg_buf_view(&text), mg_buf_view(&again)));
    mg_diagnostics_release(&diagnostics);
    mg_buf_release(&text);
    mg_buf_release(&again);
    mg_arena_release(&arena);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void granularity_must_divide_the_layers(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = NULL;
    read_config("genome: {models: [a], base_model: o, merge_method: ties, layer_granularity: 3}\n"
                "tasks: [t]\n",
                &config);
    assert_status(mg_genome_create(&config, 8, &genome, &err), MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "layer_granularity"));
    assert_null(genome);
    mg_evolve_config_release(&config);
}

static void ranges_follow_preset_and_file(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_genome *genome = make("{granularity: model}", 4, &config);
    assert_true(mg_genome_lower(genome)[0] == 0.0 && mg_genome_upper(genome)[0] == 1.5);
    assert_true(mg_genome_upper(genome)[1] == 1.0 && mg_genome_scale(genome)[0] == 1.5);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
    genome = make("{granularity: model, preset: paper-ps}", 4, &config);
    assert_true(mg_genome_upper(genome)[0] == 1.0);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
    genome = make("{granularity: model, weights: [-1, 2]}", 4, &config);
    assert_true(mg_genome_lower(genome)[0] == -1.0 && mg_genome_upper(genome)[0] == 2.0);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mergekit_encoding_decodes_as_mergekit_does),
        cmocka_unit_test(one_group_is_a_list_of_models),
        cmocka_unit_test(anchors_are_interpolated_over_depth),
        cmocka_unit_test(anchors_may_have_ends_of_their_own),
        cmocka_unit_test(masks_are_shared_unless_each_genome_draws_its_own),
        cmocka_unit_test(blocks_have_their_own_embedding_and_head),
        cmocka_unit_test(classes_have_their_own_genes),
        cmocka_unit_test(native_slerp_of_two_models_has_one_gene),
        cmocka_unit_test(written_recipes_read_back_with_the_same_numbers),
        cmocka_unit_test(granularity_must_divide_the_layers),
        cmocka_unit_test(ranges_follow_preset_and_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
