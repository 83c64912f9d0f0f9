/* Stages: what they may spend, where they begin in the store, whose layers are taken. */
#include "support.h"

#include <math.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/attraction.h"
#include "evolve/search_config.h"
#include "evolve/search_internal.h"
#include "evolve/stage.h"
#include "evolve/warm_start.h"
#include "store/run.h"

static mg_error err;

static void read_search(const char *search, mg_evolve_config *config)
{
    char path[] = "/tmp/mg_stages_XXXXXX";
    char text[512];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(
        text, sizeof(text),
        "genome: {models: [a, b], base_model: c, merge_method: ties}\ntasks: [t]\nsearch: %s\n",
        search);
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
    mg_evolve_overrides none = { 0 };
    assert_ok(mg_evolve_config_read(path, &none, config, &err), &err);
    unlink(path);
}

static void a_hybrid_budget_is_shared_by_its_stages(void **state)
{
    (void)state;
    mg_evolve_config config;
    read_search("{space: hybrid, evaluations: 1000, refine: true}", &config);
    assert_int_equal(config.stage_count, 3);
    assert_int_equal(config.stages[0].kind, MG_STAGE_SEARCH);
    assert_int_equal(config.stages[1].kind, MG_STAGE_PATHS);
    assert_int_equal(config.stages[2].kind, MG_STAGE_REFINE);
    assert_int_equal(config.stages[0].search.evaluations, 400);
    assert_int_equal(config.stages[1].search.evaluations, 400);
    assert_int_equal(config.stages[2].search.evaluations, 200);
    assert_int_equal(config.stages[1].search.space, MG_SPACE_DFS);
    assert_int_equal(config.stages[1].search.population, 32);
    assert_true(config.stages[2].search.sigma == 0.05);
    mg_evolve_config_release(&config);
}

static void the_papers_hybrid_spends_what_the_paper_spent(void **state)
{
    (void)state;
    mg_evolve_config config;
    read_search("{preset: paper-hybrid}", &config);
    assert_int_equal(config.stage_count, 2);
    assert_int_equal(config.search.space, MG_SPACE_HYBRID);
    assert_int_equal(config.stages[0].search.evaluations, 1000);
    assert_int_equal(config.stages[1].search.evaluations, 12900);
    assert_int_equal(config.stages[1].search.population, 128);
    assert_int_equal(config.stages[1].search.rotate, 1);
    assert_int_equal(config.stages[1].search.preset->held_out, 200);
    assert_int_equal(config.stages[1].search.path_encoding, MG_PATH_PAPER);
    mg_evolve_config_release(&config);
}

static void thorough_is_coarse_first_unless_a_granularity_is_named(void **state)
{
    (void)state;
    mg_evolve_config config;
    read_search("{preset: thorough}", &config);
    assert_int_equal(config.stage_count, 2);
    assert_int_equal(config.stages[0].search.granularity, MG_GRANULARITY_MODEL);
    assert_int_equal(config.stages[1].search.granularity, MG_GRANULARITY_ANCHORS);
    assert_int_equal(config.stages[0].search.questions + config.stages[1].search.questions, 200000);
    mg_evolve_config_release(&config);
    read_search("{preset: thorough, granularity: class}", &config);
    assert_int_equal(config.stage_count, 1);
    assert_int_equal(config.stages[0].search.questions, 200000);
    mg_evolve_config_release(&config);
}

static void put_candidate(mg_store *store, int64_t id)
{
    mg_candidate_row row = { .id = id, .kind = mg_str_of("sample") };
    assert_ok(mg_run_put_candidate(store, &row, &err), &err);
}

static int64_t candidate_count(mg_store *store)
{
    mg_arena arena = { 0 };
    mg_candidate_row *rows;
    int64_t count;
    assert_ok(mg_run_candidates(store, &arena, &rows, &count, &err), &err);
    mg_arena_release(&arena);
    return count;
}

static void a_stage_from_another_origin_begins_anew(void **state)
{
    (void)state;
    char folder[] = "/tmp/mg_stage_XXXXXX";
    assert_non_null(mkdtemp(folder));
    mg_store *store;
    int64_t first;
    bool found;
    mg_buf value = { 0 };
    assert_ok(mg_store_open(folder, &store, NULL, &err), &err);
    mg_stage second = { .index = 1, .count = 3, .first_id = 5 };
    mg_stage third = { .index = 2, .count = 3, .first_id = 8 };
    for (int64_t id = 0; id < 5; id++) {
        put_candidate(store, id);
    }
    assert_ok(mg_stage_first_id(store, 1, &first, &err), &err);
    assert_int_equal(first, 0);
    assert_ok(mg_stage_begin(store, &second, "one", &err), &err);
    for (int64_t id = 5; id < 8; id++) {
        put_candidate(store, id);
    }
    assert_ok(mg_stage_begin(store, &third, "two", &err), &err);
    put_candidate(store, 8);
    assert_ok(mg_store_put(store, "stage/3/state/loop", mg_str_of("x"), &err), &err);
    assert_ok(mg_stage_begin(store, &second, "one", &err), &err); /* goes on: nothing is lost */
    assert_int_equal(candidate_count(store), 9);
    assert_ok(mg_stage_first_id(store, 2, &first, &err), &err);
    assert_int_equal(first, 8);
    assert_ok(mg_stage_begin(store, &second, "other", &err), &err);
    assert_int_equal(candidate_count(store), 5);
    assert_ok(mg_stage_first_id(store, 2, &first, &err), &err);
    assert_int_equal(first, 0);
    assert_ok(mg_store_get(store, "stage/3/state/loop", &value, &found, &err), &err);
    assert_int_equal(value.size, 0);
    mg_buf_release(&value);
    mg_store_close(store);
    assert_ok(mg_folder_remove(folder, &err), &err);
}

static void a_partner_knows_what_the_winner_does_not(void **state)
{
    (void)state;
    const double values[4][5] = {
        { 1, 1, 1, 0, 0 }, /* as good as the winner, but nothing new */
        { 0, 0, 0, 1, 0 }, /* one new question, which it alone can answer */
        { 0, 1, 1, 0, 0 },
        { 1, 1, 1, 0, 0 }, /* the winner */
    };
    assert_int_equal(mg_attraction_choose(values[0], 4, 5, 3), 1);
    /* A question that many can answer weighs less than a rare one. */
    const double rare[5][3] = {
        { 0, 1, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 1, 0 }, { 1, 0, 0 },
    };
    assert_int_equal(mg_attraction_choose(rare[0], 5, 3, 4), 2);
    /* Where nobody has anything new: the best. */
    const double none[3][2] = { { 0, 0 }, { 1, 0 }, { 1, 1 } };
    assert_int_equal(mg_attraction_choose(none[0], 3, 2, 2), 1);
    const double failed[2][2] = { { (double)NAN, (double)NAN }, { 1, 1 } };
    assert_int_equal(mg_attraction_choose(failed[0], 2, 2, 1), -1);
}

static void a_stage_that_breaks_guards_is_no_result_nor_what_comes_from_it(void **state)
{
    (void)state;
    mg_evolve_config config = { .stage_count = 3 };
    mg_search_options options = { .config = &config };
    mg_search *s = mg_new(mg_search);
    s->o = &options;
    s->stages[1].result.gain = 0.1;
    s->stages[2].result.gain = 0.1;
    assert_int_equal(mg_search_best_stage(s), 2);
    s->stages[1].result.violation = 0.05; /* the third begins there, and breaks them no further */
    assert_int_equal(mg_search_best_stage(s), 0);
    s->stages[2].result.violation = -0.05;
    assert_int_equal(mg_search_best_stage(s), 2);
    s->stages[2].result.gain = -0.2;
    s->stages[2].result.violation = -0.06; /* keeps guards that the first breaks */
    assert_int_equal(mg_search_best_stage(s), 2);
    mg_free(s);
}

static void put_scored(mg_store *store, int64_t id, double gene, double value)
{
    mg_candidate_row row = {
        .id = id, .kind = mg_str_of("sample"), .genome = &gene, .genome_count = 1
    };
    mg_score_row score = {
        .candidate = id, .item_set = mg_str_of("search"), .task = -1, .value = value, .items = 10
    };
    assert_ok(mg_run_put_candidate(store, &row, &err), &err);
    assert_ok(mg_run_put_score(store, &score, &err), &err);
}

static void a_warm_start_takes_vectors_of_the_first_stage_alone(void **state)
{
    (void)state;
    char folder[] = "/tmp/mg_warm_XXXXXX";
    char own[] = "/tmp/mg_warm_own_XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_non_null(mkdtemp(own));
    mg_store *earlier;
    mg_store *store;
    mg_arena arena = { 0 };
    const double *points;
    int64_t count;
    mg_stage second = { .index = 1, .count = 2, .first_id = 3 };
    assert_ok(mg_store_open(folder, &earlier, NULL, &err), &err);
    assert_ok(mg_store_put(earlier, "genes", mg_str_of("ties\nweight\n"), &err), &err);
    put_scored(earlier, 1, 0.25, 0.5);
    put_scored(earlier, 2, 0.5, 0.6);
    assert_ok(mg_stage_begin(earlier, &second, "one", &err), &err);
    put_scored(earlier, 3, 7.0, 0.9); /* as many genes, and other ones */
    mg_store_close(earlier);
    assert_ok(mg_store_open(own, &store, NULL, &err), &err);
    mg_str name = mg_str_of(folder);
    assert_ok(mg_warm_start_read(store, &name, 1, mg_str_of("ties\nweight\n"), 1, &arena, &points,
                                 &count, &err),
              &err);
    assert_int_equal(count, 1);
    assert_true(points[0] == 0.5);
    mg_arena_release(&arena);
    mg_store_close(store);
    assert_ok(mg_folder_remove(folder, &err), &err);
    assert_ok(mg_folder_remove(own, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hybrid_budget_is_shared_by_its_stages),
        cmocka_unit_test(the_papers_hybrid_spends_what_the_paper_spent),
        cmocka_unit_test(thorough_is_coarse_first_unless_a_granularity_is_named),
        cmocka_unit_test(a_stage_from_another_origin_begins_anew),
        cmocka_unit_test(a_partner_knows_what_the_winner_does_not),
        cmocka_unit_test(a_stage_that_breaks_guards_is_no_result_nor_what_comes_from_it),
        cmocka_unit_test(a_warm_start_takes_vectors_of_the_first_stage_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
