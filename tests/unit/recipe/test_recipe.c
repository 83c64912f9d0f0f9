/* tests/unit/recipe/test_recipe.c - reading, judging and writing merge configurations. */
#include "support.h"

#include <math.h>

#include "recipe/recipe.h"
#include "text/yaml.h"

typedef struct reading {
    mg_arena arena;
    mg_recipe recipe;
    mg_status status;
    mg_error err; /* all mistakes */
} reading;

static reading read_text(const char *text)
{
    reading r;
    memset(&r, 0, sizeof(r));
    mg_value *document = mg_arena_new(&r.arena, mg_value);
    assert_ok(mg_yaml_parse(mg_str_of(text), "r.yml", &r.arena, document, &r.err), &r.err);
    mg_diagnostics diagnostics;
    memset(&diagnostics, 0, sizeof(diagnostics));
    diagnostics.file = mg_str_of("r.yml");
    r.status = mg_recipe_from_value(document, &r.arena, &diagnostics, &r.recipe);
    mg_error_clear(&r.err);
    assert_int_equal(mg_diagnostics_finish(&diagnostics, &r.err), r.status);
    mg_diagnostics_release(&diagnostics);
    return r;
}

static void end(reading *r)
{
    mg_arena_release(&r->arena);
}

static double value_of(const mg_settings *settings, const char *name, const char *tensor, double t)
{
    const mg_setting *setting = mg_settings_find(settings, mg_str_of(name));
    if (setting == NULL) {
        return (double)NAN;
    }
    const mg_curve *curve = mg_setting_match(setting, mg_str_of(tensor));
    return curve != NULL ? mg_curve_at(curve, t) : (double)NAN;
}

static void a_models_file_is_read_whole(void **state)
{
    (void)state;
    reading r = read_text("merge_method: dare_ties\n"
                          "base_model: org/base@v1\n"
                          "models:\n"
                          "  - model: org/a+me/lora\n"
                          "    parameters: {weight: 1e-5, density: [0.1, 0.9]}\n"
                          "  - model: {model: 'odd+name', lora: null}\n"
                          "    parameters: {weight: '0.25'}\n"
                          "parameters: {normalize: true, int8_mask: 1}\n"
                          "dtype: torch.bfloat16\n"
                          "merganser: {mask: philox, seed: 7}\n");
    assert_int_equal(r.status, MG_OK);
    assert_true(mg_str_is(r.recipe.method, "dare_ties"));
    assert_true(r.recipe.has_base);
    assert_true(mg_str_is(r.recipe.base.revision, "v1"));
    assert_int_equal(r.recipe.module_count, 1);
    const mg_recipe_slice *slice = &r.recipe.modules[0].slices[0];
    assert_int_equal(slice->source_count, 2);
    assert_true(mg_str_is(slice->sources[0].model.lora_path, "me/lora"));
    assert_true(mg_str_is(slice->sources[1].model.path, "odd+name"));
    assert_true(value_of(&slice->sources[0].settings, "weight", "x", 0) == 1e-5);
    assert_true(value_of(&slice->sources[1].settings, "weight", "x", 0) == 0.25);
    assert_true(value_of(&r.recipe.settings, "normalize", "x", 0) == 1.0);
    assert_int_equal(r.recipe.dtype, MG_BF16);
    assert_int_equal(r.recipe.out_dtype, MG_DTYPE_COUNT);
    assert_int_equal(r.recipe.mask, MG_MASK_PHILOX);
    assert_int_equal(r.recipe.mask_seed, 7);
    end(&r);
}

static void gradients_interpolate_between_their_values(void **state)
{
    (void)state;
    const double values[] = { 0, 0.5, 0.3, 0.7, 1 };
    const mg_curve curve = { values, 5 };
    assert_true(mg_curve_at(&curve, 0.0) == 0.0);
    assert_true(mg_curve_at(&curve, 10.0 / 39.0) == 0.4948717948717949);
    assert_true(mg_curve_at(&curve, 1.0) == 1.0);
    const mg_curve constant = { values + 2, 1 };
    assert_true(mg_curve_at(&constant, 0.77) == 0.3);
}

static void the_first_matching_condition_counts(void **state)
{
    (void)state;
    reading r = read_text("merge_method: linear\n"
                          "models: [{model: a, parameters: {weight: [{filter: mlp, value: 1},\n"
                          "  {filter: mlp.up, value: 2}, {value: [3, 5]}], density: {filter: q, "
                          "value: 9}}}]\n");
    assert_int_equal(r.status, MG_OK);
    const mg_settings *settings = &r.recipe.modules[0].slices[0].sources[0].settings;
    assert_true(value_of(settings, "weight", "layers.0.mlp.up_proj", 0.5) == 1.0);
    assert_true(value_of(settings, "weight", "norm", 0.5) == 4.0);
    assert_true(value_of(settings, "density", "q_proj", 0.0) == 9.0);
    assert_true(isnan(value_of(settings, "density", "k_proj", 0.0)));
    end(&r);
}

static void all_mistakes_are_told_together_with_their_places(void **state)
{
    (void)state;
    reading r = read_text("dtype: bfloat61\n"
                          "models:\n"
                          "  - parameters: {weight: much}\n"
                          "  - model: a@b@c\n"
                          "merganser: {mask: fog, order: size}\n"
                          "tokenizer_source: base\n"
                          "tokenizer: {source: base}\n");
    assert_int_equal(r.status, MG_ERR_CONFIG);
    assert_non_null(strstr(r.err.message, "r.yml:1:1: 'merge_method' is missing"));
    assert_non_null(strstr(r.err.message, "r.yml:1:8: 'dtype' is 'bfloat61'"));
    assert_non_null(strstr(r.err.message, "did you mean 'bfloat16'?"));
    assert_non_null(strstr(r.err.message, "r.yml:3:5: model entry has no 'model'"));
    assert_non_null(strstr(r.err.message, "r.yml:3:26: 'weight' is"));
    assert_non_null(strstr(r.err.message, "r.yml:4:12: "));
    assert_non_null(strstr(r.err.message, "'mask' is 'fog', must be philox or torch"));
    assert_non_null(strstr(r.err.message, "'order' is 'size', must be torch or index"));
    assert_non_null(strstr(r.err.message, "exclude each other"));
    end(&r);
}

static void wrong_structures_are_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        { "7\n", "must be a map" },
        { "merge_method: linear\n", "exactly one of" },
        { "merge_method: linear\nmodels: [{model: a}]\nslices: [{sources: []}]\n",
          "exactly one of" },
        { "merge_method: linear\nmodels: a\n", "must be a list" },
        { "merge_method: linear\nmodels: [a]\n", "must be a map with 'model'" },
        { "merge_method: linear\nmodels: [{model: a}, {model: a}]\n", "is named twice" },
        { "merge_method: linear\nslices: [7]\n", "slice is" },
        { "merge_method: linear\nslices: [{parameters: {}}]\n", "no 'sources'" },
        { "merge_method: linear\nslices: [{sources: [{model: a}]}]\n", "no 'layer_range'" },
        { "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [3]}]}]\n",
          "two whole numbers" },
        { "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [3, 1]}]}]\n",
          "0 <= begin <= end" },
        { "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 1]}, {model: b, "
          "layer_range: [0, 2]}]}]\n",
          "they must be equal" },
        { "merge_method: linear\nmodules: {x: {}}\n", "either 'models' or 'slices'" },
        { "merge_method: linear\nmodels: [{model: a, parameters: [1]}]\n",
          "'parameters' is a list, must be a map" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: .nan}}]\n",
          "not a finite number" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: [{filter: x}]}}]\n",
          "has no 'value'" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: [{value: 1}, 2]}}]\n",
          "mixes conditions" },
        { "merge_method: linear\nmodels: [{model: ''}]\n", "" },
        { "merge_method: linear\nmodels: [{model: [a]}]\n", "must be a model reference" },
        { "merge_method: linear\nmodels: [{model: a+b+c}]\n", "" },
        { "merge_method: linear\nmodels: [{model: a}]\ndtype: int64\n", "must be bfloat16" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        reading r = read_text(cases[i].text);
        if (r.status != MG_ERR_CONFIG || strstr(r.err.message, cases[i].expected) == NULL) {
            fail_msg("case %lld gave '%s', expected '%s'", (long long)i, r.err.message,
                     cases[i].expected);
        }
        end(&r);
    }
}

static void writing_is_canonical_and_reads_back_the_same(void **state)
{
    (void)state;
    reading r = read_text("merge_method: dare_ties\n"
                          "models:\n"
                          "- parameters: {weight: [{value: 2, filter: mlp}, {value: [1, 0.5]}],\n"
                          "    density: 1.0e-5}\n"
                          "  model: org/a@r\n"
                          "base_model: org/b\n"
                          "dtype: bfloat16\n"
                          "merganser: {seed: 5, mask: philox, order: index}\n");
    assert_int_equal(r.status, MG_OK);
    mg_buf text = { NULL, 0, 0 };
    mg_recipe_write(&r.recipe, &text);
    assert_string_equal(text.data, "base_model: org/b\n"
                                   "dtype: bfloat16\n"
                                   "merganser:\n"
                                   "  mask: philox\n"
                                   "  order: index\n"
                                   "  seed: 5\n"
                                   "merge_method: dare_ties\n"
                                   "models:\n"
                                   "- model: org/a@r\n"
                                   "  parameters:\n"
                                   "    density: 1.0e-05\n"
                                   "    weight:\n"
                                   "    - filter: mlp\n"
                                   "      value: 2\n"
                                   "    - value: [1, 0.5]\n");
    reading again = read_text(text.data);
    assert_int_equal(again.status, MG_OK);
    mg_buf second = { NULL, 0, 0 };
    mg_recipe_write(&again.recipe, &second);
    assert_string_equal(text.data, second.data);
    mg_buf_release(&second);
    mg_buf_release(&text);
    end(&again);
    end(&r);
}

static void slices_are_written_with_their_ranges(void **state)
{
    (void)state;
    reading r = read_text("merge_method: passthrough\n"
                          "slices:\n"
                          "- sources: [{model: a, layer_range: [0, 4]}]\n"
                          "- sources: [{model: b, layer_range: [2, 4], parameters: {scale: 2}}]\n"
                          "  base_model: a\n"
                          "  parameters: {t: [0, 1]}\n");
    assert_int_equal(r.status, MG_OK);
    mg_buf text = { NULL, 0, 0 };
    mg_recipe_write(&r.recipe, &text);
    assert_string_equal(text.data, "merge_method: passthrough\n"
                                   "slices:\n"
                                   "- sources:\n"
                                   "  - layer_range: [0, 4]\n"
                                   "    model: a\n"
                                   "- base_model: a\n"
                                   "  parameters:\n"
                                   "    t: [0, 1]\n"
                                   "  sources:\n"
                                   "  - layer_range: [2, 4]\n"
                                   "    model: b\n"
                                   "    parameters:\n"
                                   "      scale: 2\n");
    mg_buf_release(&text);
    end(&r);
}

static void an_empty_list_counts_as_absent(void **state)
{
    (void)state;
    reading r = read_text("merge_method: linear\nslices: []\nmodels: [{model: a, parameters: "
                          "{weight: []}}]\n");
    assert_int_equal(r.status, MG_OK);
    assert_int_equal(r.recipe.modules[0].slices[0].sources[0].settings.count, 0);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_models_file_is_read_whole),
        cmocka_unit_test(gradients_interpolate_between_their_values),
        cmocka_unit_test(the_first_matching_condition_counts),
        cmocka_unit_test(all_mistakes_are_told_together_with_their_places),
        cmocka_unit_test(wrong_structures_are_mistakes),
        cmocka_unit_test(writing_is_canonical_and_reads_back_the_same),
        cmocka_unit_test(slices_are_written_with_their_ranges),
        cmocka_unit_test(an_empty_list_counts_as_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
