/* A run that is parked or killed anywhere ends in the same bytes (evolution.md 15, 17.11). */
#include "sim.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "fault_vfs.h"

static int64_t stop_countdown;

static bool countdown(void *context)
{
    (void)context;
    return stop_countdown-- <= 0;
}

static void reference(const sim *s, mg_buf *out)
{
    char folder[64];
    mg_error err;
    sim_folder(folder, sizeof(folder));
    assert_ok(sim_run(s, folder, NULL, &err), &err);
    sim_dump(folder, out);
    sim_remove(folder);
}

static void assert_same(const mg_buf *a, const mg_buf *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
}

/* Parks the run after every `step` looks at the stop flag until it is through. */
static void park_often(sim s, int64_t step)
{
    mg_buf whole = { 0 };
    mg_buf parts = { 0 };
    char folder[64];
    mg_error err;
    reference(&s, &whole);
    if (s.search.restarts > 0 && !s.search.items_auto) {
        assert_true(mg_str_find(mg_buf_view(&whole), mg_str_of("mean run 1 "), 0) >= 0);
    }
    sim_folder(folder, sizeof(folder));
    s.stop = countdown;
    int64_t rounds = 0;
    mg_status status = MG_ERR_INTERRUPTED;
    while (status == MG_ERR_INTERRUPTED) {
        stop_countdown = step + rounds;
        status = sim_run(&s, folder, NULL, &err);
        rounds++;
        assert_true(rounds < 100000);
    }
    assert_ok(status, &err);
    assert_true(rounds > 3);
    sim_dump(folder, &parts);
    assert_same(&whole, &parts);
    sim_remove(folder);
    mg_buf_release(&whole);
    mg_buf_release(&parts);
}

static void parked_default_run_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 120;
    park_often(s, 700);
}

static void parked_run_with_failures_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 100;
    s.fake.fail_share = 0.1;
    park_often(s, 997);
}

static void parked_run_with_a_tie_breaker_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 80;
    s.search.items = 40;
    s.search.tie_breaker = true;
    s.fake.flaky_share = 0.1;
    park_often(s, 997);
}

static void parked_mergekit_run_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "mergekit");
    s.search.evaluations = 60;
    park_often(s, 500);
}

static void parked_run_on_part_of_the_questions_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(12, "default");
    s.search.evaluations = 150;
    s.search.items = 50;
    park_often(s, 800);
}

static void parked_run_with_bits_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(12, "dfs");
    sim_add_bits(&s, 5, 4);
    s.search.evaluations = 200;
    park_often(s, 900);
}

static void parked_run_with_changing_questions_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 200;
    s.search.items = 40;
    s.search.rotate = 3;
    park_often(s, 800);
}

static void parked_run_with_snapshots_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(12, "paper-dfs");
    s.search.space = MG_SPACE_DFS;
    s.search.evaluations = 160;
    s.search.items = 25;
    s.search.rotate = 1;
    s.search.population = 20;
    park_often(s, 600);
}

/* Three genes and a flat world: the optimiser stops early and often. */
static void parked_run_with_restarts_ends_in_the_same_bytes(void **state)
{
    (void)state;
    for (int kind = MG_RESTART_IPOP; kind <= MG_RESTART_BIPOP; kind++) {
        sim s = sim_make(3, "default");
        s.fake.items = 20;
        s.search.optimiser = MG_OPTIMISER_CMA;
        s.search.evaluations = 3000;
        s.search.restarts = 4;
        s.search.restart = (mg_restart_kind)kind;
        s.search.restart_near_best = kind == MG_RESTART_BIPOP;
        park_often(s, 6000);
    }
}

static void parked_run_with_bits_and_restarts_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "dfs");
    sim_add_bits(&s, 4, 3);
    s.fake.items = 20;
    s.search.population = 8;
    s.search.evaluations = 3000;
    s.search.restarts = 2;
    park_often(s, 6000);
}

static void parked_warm_start_ends_in_the_same_bytes(void **state)
{
    (void)state;
    const double points[] = { 0.7, 0.6, 0.8, 0.4, 0.7, 0.4, 0.8, 0.5, 0.9, 0.5, 0.6, 0.3 };
    sim s = sim_make(6, "default");
    s.search.evaluations = 100;
    s.warm_points = points;
    s.warm_count = 2;
    park_often(s, 700);
}

static void parked_front_ends_in_the_same_bytes(void **state)
{
    (void)state;
    for (int bits = 0; bits < 2; bits++) {
        sim s = sim_make(8, bits == 1 ? "dfs" : "front");
        if (bits == 1) {
            sim_add_bits(&s, 5, 3);
        }
        s.search.optimiser = MG_OPTIMISER_NSGA2;
        s.search.polish_share = 0.0;
        s.search.rotate = 0;
        s.search.population = 9;
        s.search.evaluations = 100;
        s.fake.opposed = true;
        s.tasks[1].role = MG_ROLE_SEARCH;
        park_often(s, 1500);
    }
}

static void parked_run_with_estimates_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "tiny");
    s.search.evaluations = 70;
    s.fake.fail_share = 0.05;
    park_often(s, 500);
}

static void parked_run_with_its_own_numbers_of_questions_ends_in_the_same_bytes(void **state)
{
    (void)state;
    for (int rule = MG_ITEMS_BY_HALVES; rule <= MG_ITEMS_BY_RANKS; rule++) {
        sim s = sim_make(6, "default");
        s.fake.items = 400;
        s.search.items = 60;
        s.search.items_auto = true;
        s.search.item_control = (mg_item_rule)rule;
        s.search.evaluations = 200;
        s.search.restarts = 1;
        s.search.restart_near_best = true;
        s.search.optimiser = MG_OPTIMISER_CMA;
        park_often(s, 2500);
    }
}

static void parked_run_that_changes_its_form_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(2, "default"); /* full after 90 generations */
    s.search.optimiser = MG_OPTIMISER_SWITCH;
    s.search.evaluations = 900;
    s.fake.items = 20;
    park_often(s, 4000);
}

static void parked_niches_end_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(6, "niches");
    s.search.evaluations = 90;
    s.fake.fail_share = 0.05;
    park_often(s, 900);
}

static void parked_run_with_margins_ends_in_the_same_bytes(void **state)
{
    (void)state;
    sim s = sim_make(12, "dfs");
    sim_add_bits(&s, 5, 4);
    s.search.switches_by_margin = true;
    s.search.evaluations = 200;
    park_often(s, 900);
}

/* The value of the store in folder under key. */
static void read_value(const char *folder, const char *key, mg_buf *out)
{
    mg_error err;
    mg_store *store = NULL;
    bool found;
    assert_ok(mg_store_open_reader(folder, &store, &err), &err);
    assert_ok(mg_store_get(store, key, out, &found, &err), &err);
    assert_true(found);
    mg_store_close(store);
}

/* The strata of the questions come from the sources' answers: those that the run began with. */
static void questions_stay_when_a_failed_source_answers_after_all(void **state)
{
    (void)state;
    mg_buf before = { 0 };
    mg_buf after = { 0 };
    char folder[64];
    mg_error err;
    sim s = sim_make(6, "default");
    s.search.evaluations = 60;
    s.search.items = 40;
    s.fake.first_source_fails = true;
    s.stop = countdown;
    stop_countdown = 1000;
    sim_folder(folder, sizeof(folder));
    assert_status(sim_run(&s, folder, NULL, &err), MG_ERR_INTERRUPTED);
    read_value(folder, "set/search", &before);
    s.fake.first_source_fails = false;
    s.stop = NULL;
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    read_value(folder, "set/search", &after);
    assert_same(&before, &after);
    sim_remove(folder);
    mg_buf_release(&before);
    mg_buf_release(&after);
}

/* Whether the store in folder has value key, and how many candidates. */
static bool has_value(const char *folder, const char *key, int64_t *candidates_out)
{
    mg_error err;
    mg_store *store = NULL;
    mg_buf value = { 0 };
    int64_t failed;
    bool found;
    assert_ok(mg_store_open_reader(folder, &store, &err), &err);
    assert_ok(mg_store_get(store, key, &value, &found, &err), &err);
    assert_ok(mg_run_counts(store, candidates_out, &failed, &err), &err);
    found = found && value.size > 0;
    mg_buf_release(&value);
    mg_store_close(store);
    return found;
}

static void an_end_that_moves_is_forgotten_whole_or_not_at_all(void **state)
{
    (void)state;
    char folder[64];
    mg_error err;
    int64_t all;
    int64_t left;
    sim s = sim_make(6, "default");
    s.search.evaluations = 60;
    sim_folder(folder, sizeof(folder));
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    assert_true(has_value(folder, "winner", &all));
    s.search.evaluations = 90;
    bool there = true;
    for (int64_t writes = 0; there; writes++) {
        fault_vfs_fail_after(writes, true);
        assert_true(sim_run(&s, folder, NULL, &err) != MG_OK);
        fault_vfs_heal();
        there = has_value(folder, "winner", &left);
        assert_int_equal(has_value(folder, "finalists", &left), there);
        assert_int_equal(has_value(folder, "spread", &left), there);
        assert_int_equal(left == all, there);
    }
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    sim_remove(folder);
}

/* Who fails on validation questions has not failed on those of the search. */
static void parked_run_with_late_failures_ends_in_the_same_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        sim s = sim_make(6, "default");
        s.search.evaluations = 100;
        s.search.items = 40;
        s.search.seed = s.fake.seed = seed;
        s.tasks[1].role = MG_ROLE_SELECT;
        s.fake.late_share = 0.5;
        park_often(s, 150);
    }
}

static void run_whose_finalists_all_failed_goes_on_without_the_cause(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 100;
    s.tasks[1].role = MG_ROLE_SELECT;
    mg_buf whole = { 0 };
    mg_buf parts = { 0 };
    char folder[64];
    mg_error err;
    reference(&s, &whole);
    sim_folder(folder, sizeof(folder));
    s.fake.late_share = 1.0;
    assert_status(sim_run(&s, folder, NULL, &err), MG_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "logits are not finite"));
    assert_status(sim_run(&s, folder, NULL, &err), MG_ERR_NUMERIC);
    s.fake.late_share = 0.0;
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    sim_dump(folder, &parts);
    assert_same(&whole, &parts);
    sim_remove(folder);
    mg_buf_release(&whole);
    mg_buf_release(&parts);
}

static void killed_runs_end_in_the_same_bytes(void **state)
{
    (void)state;
    const char *kills_text = getenv("MG_SIM_KILLS");
    int64_t kills = kills_text != NULL ? strtoll(kills_text, NULL, 10) : 20;
    sim s = sim_make(6, "default");
    s.search.evaluations = 120;
    mg_buf whole = { 0 };
    mg_buf parts = { 0 };
    double begin = mg_clock_now(NULL);
    reference(&s, &whole);
    double run_seconds = mg_clock_now(NULL) - begin;
    mg_rng rng = mg_rng_make(99, MG_STREAM_TIES);
    char folder[64];
    bool complete = true;
    int64_t killed = 0;
    while (killed < kills) {
        if (complete) {
            sim_folder(folder, sizeof(folder));
        }
        pid_t child = fork();
        if (child == 0) {
            mg_error err;
            _exit(sim_run(&s, folder, NULL, &err) == MG_OK ? 0 : 1);
        }
        double wait = run_seconds * 0.6 * mg_rng_uniform(&rng);
        usleep((useconds_t)(wait * 1e6));
        kill(child, SIGKILL);
        int child_status;
        waitpid(child, &child_status, 0);
        complete = WIFEXITED(child_status);
        killed += complete ? 0 : 1;
        if (complete) {
            assert_int_equal(WEXITSTATUS(child_status), 0);
            mg_buf_clear(&parts);
            sim_dump(folder, &parts);
            assert_same(&whole, &parts);
            sim_remove(folder);
        }
    }
    if (!complete) {
        mg_error err;
        assert_ok(sim_run(&s, folder, NULL, &err), &err);
        mg_buf_clear(&parts);
        sim_dump(folder, &parts);
        assert_same(&whole, &parts);
        sim_remove(folder);
    }
    mg_buf_release(&whole);
    mg_buf_release(&parts);
}

/* A round of the polish has other questions with another budget: no score of one may be taken for
 * one of the other. */
static void sets_of_the_polish_are_named_by_their_questions(void **state)
{
    (void)state;
    sim s = sim_make(3, "default");
    char folder[64];
    mg_error err;
    mg_store *store = NULL;
    mg_arena arena = { 0 };
    mg_score_row *scores;
    int64_t count;
    int64_t polished = 0;
    sim_folder(folder, sizeof(folder));
    for (int64_t evaluations = 150; evaluations <= 300; evaluations += 150) {
        s.search.evaluations = evaluations;
        assert_ok(sim_run(&s, folder, NULL, &err), &err);
    }
    assert_ok(mg_store_open_reader(folder, &store, &err), &err);
    assert_ok(mg_run_scores(store, NULL, &arena, &scores, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        if (scores[i].task == -1 && mg_str_starts(scores[i].item_set, "polish/")) {
            char name[32];
            snprintf(name, sizeof(name), "polish/%lld", (long long)scores[i].items);
            assert_true(mg_str_is(scores[i].item_set, name));
            polished++;
        }
    }
    assert_true(polished > 10);
    mg_arena_release(&arena);
    mg_store_close(store);
    sim_remove(folder);
}

static void finished_run_asks_nothing_again(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 60;
    char folder[64];
    mg_error err;
    mg_buf a = { 0 };
    mg_buf b = { 0 };
    sim_folder(folder, sizeof(folder));
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    sim_dump(folder, &a);
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    sim_dump(folder, &b);
    assert_same(&a, &b);
    sim_remove(folder);
    mg_buf_release(&a);
    mg_buf_release(&b);
}

/* A finished run with a larger budget goes on as if it had been given that budget at once.
 * References may have answered more: a first choice may have been another. */
static void larger_budget_continues_a_finished_run(void **state)
{
    (void)state;
    sim s = sim_make(4, "default");
    s.search.evaluations = 200;
    char folders[2][64];
    mg_buf states[2] = { { 0 }, { 0 } };
    double truths[2];
    mg_error err;
    for (int run = 0; run < 2; run++) {
        sim_folder(folders[run], sizeof(folders[run]));
        if (run == 1) {
            s.search.evaluations = 150;
            assert_ok(sim_run(&s, folders[run], NULL, &err), &err);
            s.search.evaluations = 200;
        }
        assert_ok(sim_run(&s, folders[run], &truths[run], &err), &err);
        mg_store *store = NULL;
        bool found;
        assert_ok(mg_store_open_reader(folders[run], &store, &err), &err);
        assert_ok(mg_store_get(store, "state/optimiser", &states[run], &found, &err), &err);
        mg_store_close(store);
        sim_remove(folders[run]);
    }
    assert_same(&states[0], &states[1]);
    assert_true(truths[0] == truths[1]);
    mg_buf_release(&states[0]);
    mg_buf_release(&states[1]);
}

int main(void)
{
    fault_vfs_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parked_default_run_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_failures_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_a_tie_breaker_ends_in_the_same_bytes),
        cmocka_unit_test(parked_mergekit_run_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_on_part_of_the_questions_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_bits_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_changing_questions_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_snapshots_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_restarts_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_bits_and_restarts_ends_in_the_same_bytes),
        cmocka_unit_test(parked_warm_start_ends_in_the_same_bytes),
        cmocka_unit_test(parked_front_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_estimates_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_its_own_numbers_of_questions_ends_in_the_same_bytes),
        cmocka_unit_test(parked_run_that_changes_its_form_ends_in_the_same_bytes),
        cmocka_unit_test(parked_niches_end_in_the_same_bytes),
        cmocka_unit_test(parked_run_with_margins_ends_in_the_same_bytes),
        cmocka_unit_test(questions_stay_when_a_failed_source_answers_after_all),
        cmocka_unit_test(an_end_that_moves_is_forgotten_whole_or_not_at_all),
        cmocka_unit_test(parked_run_with_late_failures_ends_in_the_same_bytes),
        cmocka_unit_test(run_whose_finalists_all_failed_goes_on_without_the_cause),
        cmocka_unit_test(sets_of_the_polish_are_named_by_their_questions),
        cmocka_unit_test(killed_runs_end_in_the_same_bytes),
        cmocka_unit_test(finished_run_asks_nothing_again),
        cmocka_unit_test(larger_budget_continues_a_finished_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
