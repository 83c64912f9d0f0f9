/* The file of a search: what mergekit-evolve accepts, the blocks beside it, every mistake at once.
 */
#include "support.h"

#include <math.h>
#include <unistd.h>

#include "base/fs.h"
#include "evolve/search_config.h"

static mg_error err;

static mg_status read_with(const char *text, const mg_evolve_overrides *overrides,
                           mg_evolve_config *config)
{
    char path[] = "/tmp/mg_config_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
    mg_status status = mg_evolve_config_read(path, overrides, config, &err);
    unlink(path);
    return status;
}

static mg_status read_text(const char *text, mg_evolve_config *config)
{
    mg_evolve_overrides none = { 0 };
    return read_with(text, &none, config);
}

static void file_of_mergekit_evolve_reads_unchanged(void **state)
{
    (void)state;
    mg_evolve_config c;
    assert_ok(read_text("genome:\n"
                        "    models:\n"
                        "        - WizardLMTeam/WizardMath-7B-V1.1\n"
                        "        - GAIR/Abel-7B-002\n"
                        "        - augmxnt/shisa-gamma-7b-v1\n"
                        "    merge_method: dare_ties\n"
                        "    base_model: mistralai/Mistral-7B-v0.1\n"
                        "    layer_granularity: 8\n"
                        "    allow_negative_weights: true\n"
                        "    filters: [self_attn]\n"
                        "    normalize: false\n"
                        "tasks:\n"
                        "    - name: mgsm_train\n"
                        "      weight: 2.0\n"
                        "      metric: acc,none\n"
                        "    - other_task\n"
                        "limit: 100\n"
                        "num_fewshot: 4\n"
                        "apply_chat_template: false\n",
                        &c),
              &err);
    assert_int_equal(c.genome.model_count, 3);
    assert_true(mg_str_is(c.genome.models[1].path, "GAIR/Abel-7B-002"));
    assert_true(c.genome.has_base && c.genome.allow_negative_weights);
    assert_int_equal(c.genome.layer_granularity, 8);
    assert_true(c.genome.has_normalize && !c.genome.normalize);
    assert_int_equal(c.tasks.count, 2);
    assert_true(c.tasks.items[0].weight == 2.0);
    assert_true(mg_str_is(c.tasks.items[1].metric, "acc,none"));
    assert_true(c.limit == 100.0 && c.num_fewshot == 4 && !c.apply_chat_template);
    assert_true(c.fewshot_as_multiturn);
    assert_true(c.search.weight_low == -0.5);
    assert_true(c.search.questions == 50000);
    mg_evolve_config_release(&c);
}

static const char base[] = "genome: {models: [a, b], base_model: o, merge_method: dare_ties}\n"
                           "tasks: [t]\n";

static void budgets_come_from_preset_file_and_command_line(void **state)
{
    (void)state;
    mg_evolve_config c;
    char text[512];
    assert_ok(read_text(base, &c), &err);
    assert_int_equal(c.search.evaluations, 0);
    assert_int_equal(c.search.questions, 50000);
    assert_int_equal(c.search.items, 110);
    assert_int_equal(c.search.granularity, MG_GRANULARITY_ANCHORS);
    mg_evolve_config_release(&c);
    snprintf(text, sizeof(text), "%ssearch: {evaluations: 200, items: 50}\n", base);
    assert_ok(read_text(text, &c), &err);
    assert_int_equal(c.search.evaluations, 200);
    assert_int_equal(c.search.questions, 0);
    assert_int_equal(c.search.items, 50);
    mg_evolve_config_release(&c);
    snprintf(text, sizeof(text), "%ssearch: {items: 20000}\n", base);
    assert_ok(read_text(text, &c), &err);
    assert_int_equal(c.search.questions, 20000);
    assert_int_equal(c.search.items, 71);
    mg_evolve_config_release(&c);
    mg_evolve_overrides o = {
        .evaluations = 33, .has_seed = true, .seed = 9, .sigma = 0.5, .population = 20
    };
    assert_ok(read_with(text, &o, &c), &err);
    assert_int_equal(c.search.evaluations, 33);
    assert_int_equal(c.search.seed, 9);
    assert_int_equal(c.search.population, 20);
    assert_true(c.search.sigma == 0.5);
    mg_evolve_config_release(&c);
}

static void mergekit_preset_keeps_its_ways(void **state)
{
    (void)state;
    mg_evolve_config c;
    char text[512];
    snprintf(text, sizeof(text), "%ssearch: {preset: mergekit}\n", base);
    assert_ok(read_text(text, &c), &err);
    assert_int_equal(c.search.evaluations, 100);
    assert_int_equal(c.search.items, 0);
    assert_true(c.validate_share == 0.0);
    assert_int_equal(c.search.granularity, MG_GRANULARITY_FILE);
    assert_true(c.search.sigma == 1.0 / 6.0);
    mg_evolve_config_release(&c);
}

static void data_flow_files_need_models_alone(void **state)
{
    (void)state;
    mg_evolve_config c;
    assert_ok(read_text("genome: {models: [a, b], merge_method: passthrough, base_model: a}\n"
                        "tasks: [t]\nsearch: {space: dfs, repeats: 2, max_hops: 40}\n",
                        &c),
              &err);
    assert_int_equal(c.search.space, MG_SPACE_DFS);
    assert_string_equal(c.search.preset->name, "dfs");
    assert_int_equal(c.search.repeats, 2);
    assert_int_equal(c.search.hops_max, 40);
    mg_evolve_config_release(&c);
}

static void all_mistakes_are_told_with_their_places(void **state)
{
    (void)state;
    mg_evolve_config c;
    assert_status(read_text("genome:\n"
                            "  models: []\n"
                            "  merge_method: dare_tise\n"
                            "  layer_granularity: many\n"
                            "tasks: 3\n"
                            "search: {preset: defalt, evaluations: 0, sedd: 4}\n"
                            "validate: {share: 2}\n"
                            "test: {}\n",
                            &c),
                  MG_ERR_CONFIG);
    const char *const expected[] = { ":2:",         "models",
                                     ":3:",         "did you mean 'dare_ties'",
                                     ":4:",         "layer_granularity",
                                     ":5:",         "tasks",
                                     ":6:",         "'default'",
                                     "evaluations", "sedd",
                                     ":7:",         "share" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(expected); i++) {
        if (strstr(err.message, expected[i]) == NULL) {
            fail_msg("'%s' is not in: %s", expected[i], err.message);
        }
    }
    mg_evolve_config_release(&c);
}

static void contradictions_are_mistakes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "genome: {models: [a], merge_method: ties}\ntasks: [t]\n", /* no base */
        "genome: {models: [a], merge_method: slerp}\ntasks: [t]\n",
        "genome: {models: [a, b], merge_method: slerp, smooth: true}\ntasks: [t]\n",
        "genome: {models: [a], base_model: o}\ntasks: [t]\n",
        "genome: {models: [a], base_model: o, merge_method: ties}\ntasks: []\n",
        "genome: {models: [a], base_model: o, merge_method: ties}\ntasks: [t]\n"
        "validate: {share: 0.2, tasks: [v]}\n",
        "genome: {models: [a], base_model: o, merge_method: ties}\ntasks: [t]\n"
        "search: {granularity: 'anchors:1'}\n",
        "genome: {models: [a], base_model: o, merge_method: ties}\ntasks: [t]\n"
        "search: {weights: [1, 0]}\n",
        "genome: {models: [a], base_model: o, merge_method: ties, filters: [mlp]}\ntasks: [t]\n"
        "search: {granularity: class}\n",
        "genome: {models: [a], base_model: o, merge_method: ties}\ntasks: [t]\n"
        "search: {space: dfs}\n",
        "genome: {models: [a, b], base_model: b}\ntasks: [t]\nsearch: {space: dfs}\n",
        "genome: {models: [a, b], smooth: true}\ntasks: [t]\nsearch: {space: dfs}\n",
        "genome: {models: [a, b]}\ntasks: [t]\nsearch: {space: dfs, preset: quick}\n",
        "genome: {models: [a, b]}\ntasks: [t]\nsearch: {space: hybrid}\n",
        /* what only the second space of a hybrid refuses */
        "genome: {models: [a, b], merge_method: linear}\ntasks: [t]\n"
        "search: {preset: paper-hybrid, optimiser: nsga2}\n",
        "genome: {models: [a, b], merge_method: linear}\ntasks: [t]\n"
        "search: {preset: paper-hybrid, items: auto}\n",
        "[]\n",
        "genome: [\n",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(texts); i++) {
        mg_evolve_config c;
        mg_status status = read_text(texts[i], &c);
        if (status != MG_ERR_CONFIG && status != MG_ERR_FORMAT) {
            fail_msg("%s: %s", texts[i], mg_status_name(status));
        }
        mg_evolve_config_release(&c);
    }
}

static void public_benchmarks_need_a_flag(void **state)
{
    (void)state;
    mg_evolve_config c;
    const char *text = "genome: {models: [a, b], base_model: o, merge_method: ties}\n"
                       "tasks: [gsm8k, gsm8k_train, arc_easy]\n";
    assert_status(read_text(text, &c), MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "'gsm8k'"));
    assert_non_null(strstr(err.message, "'arc_easy'"));
    assert_null(strstr(err.message, "'gsm8k_train'"));
    mg_evolve_config_release(&c);
    mg_evolve_overrides allow = { .allow_benchmark_tasks = true };
    assert_ok(read_with(text, &allow, &c), &err);
    mg_evolve_config_release(&c);
}

static void missing_file_is_not_found(void **state)
{
    (void)state;
    mg_evolve_config c;
    mg_evolve_overrides none = { 0 };
    assert_status(mg_evolve_config_read("/nowhere/evolve.yml", &none, &c, &err), MG_ERR_NOT_FOUND);
    mg_evolve_config_release(&c);
}

static void populations_come_from_the_preset_unless_the_file_has_one(void **state)
{
    (void)state;
    mg_evolve_config c;
    const struct {
        const char *search;
        int64_t population;
    } cases[] = { { "{preset: paper-dfs}", 128 },
                  { "{space: dfs}", 32 },
                  { "{space: dfs, population: 9}", 9 },
                  { "{preset: default}", 0 } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_buf text = { 0 };
        mg_buf_printf(&text, "genome: {models: [a, b]%s}\ntasks: [t]\nsearch: %s\n",
                      i < 3 ? "" : ", merge_method: linear", cases[i].search);
        assert_ok(read_text(text.data, &c), &err);
        assert_int_equal(c.search.population, cases[i].population);
        mg_evolve_config_release(&c);
        mg_buf_release(&text);
    }
}

static void nsga2_reads_with_its_presets_and_refuses_what_needs_a_mean(void **state)
{
    (void)state;
    mg_evolve_config c;
    const char *head = "genome: {models: [a, b], merge_method: linear}\ntasks: [t]\nsearch: ";
    static const char *const fine[] = { "{preset: front}", "{preset: tiny}", "{optimiser: nsga2}" };
    static const char *const bad[] = { "{preset: front, polish: 0.2}",
                                       "{preset: front, restarts: 2}",
                                       "{preset: front, warm_start: [x]}",
                                       "{preset: front, rotate: 2}",
                                       "{preset: mergekit, optimiser: nsga2}",
                                       "{preset: tiny, optimiser: lra}",
                                       "{switches: margin}" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(fine) + MG_ARRAY_COUNT(bad); i++) {
        bool good = i < MG_ARRAY_COUNT(fine);
        mg_buf text = { 0 };
        mg_buf_printf(&text, "%s%s\n", head, good ? fine[i] : bad[i - MG_ARRAY_COUNT(fine)]);
        mg_status status = read_text(text.data, &c);
        assert_int_equal(status, good ? MG_OK : MG_ERR_CONFIG);
        if (good) {
            assert_int_equal(c.search.optimiser, MG_OPTIMISER_NSGA2);
            assert_true(c.search.polish_share == 0.0 && c.search.estimate == (i == 1));
        }
        mg_evolve_config_release(&c);
        mg_buf_release(&text);
    }
}

static void number_of_questions_can_be_left_to_the_search(void **state)
{
    (void)state;
    mg_evolve_config c;
    const char *head = "genome: {models: [a, b], merge_method: linear}\ntasks: [t]\nsearch: ";
    const struct {
        const char *search;
        bool good;
    } cases[] = { { "{items: auto}", true },
                  { "{items: auto, item_control: uh, evaluations: 300}", true },
                  { "{items: 4.0e+4}", true },
                  { "{items: some}", false },
                  { "{items: 0}", false },
                  { "{items: 50, item_control: uh}", false },
                  { "{items: auto, rotate: 3}", false },
                  { "{items: auto, preset: front}", false },
                  { "{items: auto, preset: mergekit}", false } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_buf text = { 0 };
        mg_buf_printf(&text, "%s%s\n", head, cases[i].search);
        mg_status status = read_text(text.data, &c);
        assert_int_equal(status, cases[i].good ? MG_OK : MG_ERR_CONFIG);
        if (i < 2) {
            assert_true(c.search.items_auto && c.search.items == 110);
            assert_int_equal(c.search.item_control,
                             i == 1 ? MG_ITEMS_BY_RANKS : MG_ITEMS_BY_HALVES);
        }
        mg_evolve_config_release(&c);
        mg_buf_release(&text);
    }
}

static void niches_take_differences_from_a_base_and_nothing_else(void **state)
{
    (void)state;
    mg_evolve_config c;
    static const char *const genomes[] = {
        "{models: [a, b], base_model: c, merge_method: task_arithmetic}",
        "{models: [a, b], merge_method: linear}",
        "{models: [a], base_model: c, merge_method: task_arithmetic}",
        "{models: [a, b], base_model: c, merge_method: task_arithmetic, smooth: true}",
    };
    static const char *const searches[] = { "{preset: niches}",
                                            "{preset: niches, granularity: model}",
                                            "{preset: niches, optimiser: lra}",
                                            "{preset: niches, items: auto}",
                                            "{preset: niches, polish: 0.3}",
                                            "{optimiser: niches}" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(genomes) + MG_ARRAY_COUNT(searches) - 1; i++) {
        int64_t genome = MG_MIN(i, MG_ARRAY_COUNT(genomes) - 1);
        genome = i < MG_ARRAY_COUNT(genomes) ? genome : 0;
        int64_t search = i < MG_ARRAY_COUNT(genomes) ? 0 : i - MG_ARRAY_COUNT(genomes) + 1;
        mg_buf text = { 0 };
        mg_buf_printf(&text, "genome: %s\ntasks: [t]\nsearch: %s\n", genomes[genome],
                      searches[search]);
        assert_int_equal(read_text(text.data, &c), i == 0 ? MG_OK : MG_ERR_CONFIG);
        if (i == 0) {
            assert_int_equal(c.search.optimiser, MG_OPTIMISER_NICHES);
            assert_int_equal(c.search.granularity, MG_GRANULARITY_BLOCKS);
            assert_int_equal(c.search.granularity_count, 1);
        }
        mg_evolve_config_release(&c);
        mg_buf_release(&text);
    }
}

static void restarts_read_with_kind_and_place(void **state)
{
    (void)state;
    mg_evolve_config c;
    const char *head = "genome: {models: [a, b], merge_method: linear}\ntasks: [t]\n";
    mg_buf text = { 0 };
    mg_buf_printf(&text, "%ssearch: {restarts: 3, restart: bipop, restart_from: best}\n", head);
    assert_ok(read_text(text.data, &c), &err);
    assert_int_equal(c.search.restarts, 3);
    assert_int_equal(c.search.restart, MG_RESTART_BIPOP);
    assert_true(c.search.restart_near_best && !c.search.restarts_from_preset);
    mg_evolve_config_release(&c);
    assert_ok(read_text(head, &c), &err);
    assert_int_equal(c.search.restart, MG_RESTART_IPOP);
    assert_true(!c.search.restart_near_best && c.search.restarts_from_preset);
    mg_evolve_config_release(&c);
    mg_buf_clear(&text);
    mg_buf_printf(&text, "%ssearch: {restart: often}\n", head);
    assert_status(read_text(text.data, &c), MG_ERR_CONFIG);
    mg_evolve_config_release(&c);
    mg_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_of_mergekit_evolve_reads_unchanged),
        cmocka_unit_test(budgets_come_from_preset_file_and_command_line),
        cmocka_unit_test(mergekit_preset_keeps_its_ways),
        cmocka_unit_test(data_flow_files_need_models_alone),
        cmocka_unit_test(all_mistakes_are_told_with_their_places),
        cmocka_unit_test(contradictions_are_mistakes),
        cmocka_unit_test(public_benchmarks_need_a_flag),
        cmocka_unit_test(missing_file_is_not_found),
        cmocka_unit_test(populations_come_from_the_preset_unless_the_file_has_one),
        cmocka_unit_test(nsga2_reads_with_its_presets_and_refuses_what_needs_a_mean),
        cmocka_unit_test(number_of_questions_can_be_left_to_the_search),
        cmocka_unit_test(niches_take_differences_from_a_base_and_nothing_else),
        cmocka_unit_test(restarts_read_with_kind_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
