/* Reports from a store that is filled by hand: numbers, sentences, running and finished. */
#include "support.h"

#include <math.h>

#include "base/fs.h"
#include "evolve/fitness.h"
#include "evolve/report.h"
#include "evolve/stage.h"
#include "store/run.h"

static mg_error err;
static char folder[64];

enum { SEARCH = 100, SELECT = 50, TEST = 200 };

static void put_set(mg_store *store, const char *key, int32_t task, int32_t first, int32_t count)
{
    mg_question questions[TEST];
    for (int32_t i = 0; i < count; i++) {
        questions[i] = (mg_question){ task, first + i };
    }
    mg_str bytes = mg_str_make((const char *)questions, (size_t)count * sizeof(mg_question));
    assert_ok(mg_store_put(store, key, bytes, &err), &err);
}

/* A candidate that gets the first right of the questions of a task right. */
static void put_answers(mg_store *store, int64_t id, int32_t task, int32_t first, int32_t count,
                        int32_t right)
{
    for (int32_t i = 0; i < count; i++) {
        mg_answer_row row = { .task = task, .item = first + i, .value = i < right ? 1.0 : 0.0 };
        assert_ok(mg_run_put_answers(store, id, &row, 1, &err), &err);
    }
}

static void put_candidate(mg_store *store, int64_t id, const char *kind, const char *label,
                          int32_t search, int32_t select, int32_t test)
{
    const double genome[2] = { 0.5, 0.5 };
    bool source = strcmp(kind, "source") == 0;
    mg_candidate_row row = { .id = id,
                             .kind = mg_str_of(kind),
                             .label = mg_str_of(label),
                             .genome = genome,
                             .genome_count = source ? 0 : 2 };
    assert_ok(mg_run_put_candidate(store, &row, &err), &err);
    put_answers(store, id, 0, 0, SEARCH, search);
    mg_score_row score = { .candidate = id,
                           .item_set = mg_str_of("search"),
                           .task = -1,
                           .value = (double)search / SEARCH,
                           .items = SEARCH,
                           .seconds = 2.0 };
    assert_ok(mg_run_put_score(store, &score, &err), &err);
    if (select >= 0) {
        put_answers(store, id, 0, SEARCH, SELECT, select);
        put_answers(store, id, 1, 0, TEST, test);
    }
}

static mg_store *make_store(int32_t winner_test)
{
    mg_store *store = NULL;
    assert_ok(mg_store_open(folder, &store, NULL, &err), &err);
    assert_ok(mg_store_put(store, "tasks", mg_str_of("1 train\n1 test\n"), &err), &err);
    assert_ok(mg_store_put(store, "answers", mg_str_of("1234"), &err), &err);
    put_set(store, "set/search", 0, 0, SEARCH);
    put_set(store, "set/select", 0, SEARCH, SELECT);
    put_set(store, "set/report", 0, 0, 0);
    put_set(store, "set/test", 1, 0, TEST);
    put_candidate(store, 0, "source", "models/mini-ja", 40, 20, 90);
    put_candidate(store, 1, "source", "models/mini-math", 50, 25, 100);
    put_candidate(store, 2, "default", "", 45, 22, 95);
    put_candidate(store, 3, "start", "", 45, -1, 0);
    put_candidate(store, 4, "sample", "", 60, -1, 0);
    put_candidate(store, 5, "mean", "", 65, 35, winner_test);
    return store;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/mg_report_XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return mg_folder_remove(folder, &err) == MG_OK ? 0 : -1;
}

static void finished_run_names_its_winner_and_tests_it(void **state)
{
    (void)state;
    mg_store *store = make_store(140);
    assert_ok(mg_store_put(store, "winner", mg_str_of("5 12.5"), &err), &err);
    mg_arena arena = { 0 };
    mg_report report;
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_true(report.finished);
    assert_int_equal(report.row_count, 5);
    assert_int_equal(report.source_count, 2);
    assert_int_equal(report.rows[report.winner_index].id, 5);
    const mg_report_row *winner = &report.rows[report.winner_index];
    assert_true(fabs(winner->test.value - 0.7) < 1e-12 && winner->test.items == TEST);
    assert_true(winner->test.interval.low > 0.63 && winner->test.interval.high < 0.76);
    assert_true(mg_str_is(report.against_source.other, "models/mini-math"));
    assert_int_equal(report.against_source.only_winner, 40);
    assert_int_equal(report.against_source.only_other, 0);
    assert_true(report.against_source.better && report.against_source.p < 1e-6);
    assert_true(fabs(report.against_source.difference - 0.2) < 1e-12);
    assert_true(report.seconds == 12.5);
    assert_int_equal(report.questions, 1234);
    assert_true(fabs(report.optimism + 0.05) < 1e-12);
    mg_buf text = { 0 };
    mg_report_text(&report, true, &text);
    assert_non_null(strstr(text.data, "mini-math "));
    assert_non_null(strstr(text.data, "winner (mean 5)"));
    assert_non_null(strstr(text.data, " evaluations, "));
    assert_non_null(
        strstr(text.data, "is better than mini-math: +20.0 points on 200 test questions"));
    mg_buf_clear(&text);
    mg_report_json(&report, &text);
    assert_non_null(strstr(text.data, "\"winner\": 5"));
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static void winner_that_is_not_better_is_called_so(void **state)
{
    (void)state;
    mg_store *store = make_store(102);
    assert_ok(mg_store_put(store, "winner", mg_str_of("5 12.5"), &err), &err);
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_report report;
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_false(report.against_source.better);
    mg_report_markdown(&report, &text);
    assert_non_null(strstr(text.data, "is NOT shown to be better than mini-math"));
    assert_non_null(strstr(text.data, "nothing that is surely better than the best source"));
    assert_null(strstr(text.data, "chosen by these questions"));
    put_set(store, "set/test", 1, 0, 0); /* nothing is left that did not choose the winner */
    mg_buf_clear(&text);
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    mg_report_text(&report, false, &text);
    assert_non_null(strstr(text.data, "on 50 held-out questions"));
    assert_non_null(strstr(text.data, "chosen by these questions too"));
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
}

/* Few questions of great weight against many of little: the pooled counts say the opposite of the
 * score. */
static void weighted_tasks_are_compared_by_the_weighted_difference(void **state)
{
    (void)state;
    mg_store *store = make_store(90); /* the winner has 10 fewer of the 200 than mini-math */
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_report report;
    mg_question both[TEST + 20];
    for (int32_t i = 0; i < TEST + 20; i++) {
        both[i] = i < 20 ? (mg_question){ 0, 1000 + i } : (mg_question){ 1, i - 20 };
    }
    mg_str bytes = mg_str_make((const char *)both, sizeof(both));
    assert_ok(mg_store_put(store, "set/test", bytes, &err), &err);
    assert_ok(mg_store_put(store, "tasks", mg_str_of("3 train\n0.1 test\n"), &err), &err);
    assert_ok(mg_store_put(store, "winner", mg_str_of("5 12.5"), &err), &err);
    const int32_t right[] = { 10, 10, 10, 0, 0, 16 };
    for (int64_t id = 0; id < 6; id++) {
        put_answers(store, id, 0, 1000, 20, right[id]);
    }
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    const mg_report_pair *pair = &report.against_source;
    assert_int_equal(pair->only_winner, 6);
    assert_int_equal(pair->only_other, 10);
    double difference = 3.0 * 6.0 / 20.0 - 0.1 * 10.0 / 200.0;
    assert_true(fabs(pair->difference - difference) < 1e-12);
    assert_true(pair->interval.low < difference && difference < pair->interval.high);
    assert_true(fabs(pair->interval.high - pair->interval.low -
                     2.0 * 1.96 * 3.0 * sqrt(0.21 / 20.0)) < 0.15);
    assert_true(isnan(pair->p) && !pair->binary);
    mg_report_text(&report, false, &text);
    assert_null(strstr(text.data, "p = "));
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static void running_search_shows_the_best_so_far(void **state)
{
    (void)state;
    mg_store *store = make_store(140);
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_report report;
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_false(report.finished);
    assert_int_equal(report.rows[report.winner_index].id, 5);
    mg_report_text(&report, false, &text);
    assert_non_null(strstr(text.data, "best so far (mean 5)"));
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
}

/* Its search score stands in a column with those of the first stage's questions. */
static void winner_of_a_later_stage_says_on_how_many_questions(void **state)
{
    (void)state;
    mg_store *store = make_store(140);
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_report report;
    mg_stage second = { .index = 1, .count = 2, .first_id = 5 };
    assert_ok(mg_stage_begin(store, &second, "one", &err), &err);
    put_set(store, "stage/2/set/search", 0, 0, 40);
    put_candidate(store, 5, "mean", "", 30, 35, 140);
    assert_ok(mg_store_put(store, "winner", mg_str_of("5 12.5"), &err), &err);
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    mg_report_text(&report, false, &text);
    assert_non_null(strstr(text.data, "75.0 on 40"));
    assert_null(strstr(text.data, "50.0 on"));
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static void empty_store_has_an_empty_report(void **state)
{
    (void)state;
    mg_store *store = NULL;
    assert_ok(mg_store_open(folder, &store, NULL, &err), &err);
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_report report;
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_int_equal(report.row_count, 0);
    mg_report_text(&report, true, &text);
    assert_non_null(strstr(text.data, "No merge has been evaluated yet"));
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static void expected_optimism_follows_its_table(void **state)
{
    (void)state;
    const int64_t items[] = { 5, 20, 100, 200, 1069 };
    const double points[] = { 0.36, 0.36, 0.15, 0.10, 0.03 };
    for (int i = 0; i < 5; i++) {
        assert_true(fabs(mg_report_expected_optimism(items[i]) - points[i]) < 1e-12);
    }
    assert_true(mg_report_expected_optimism(50) < 0.36 && mg_report_expected_optimism(50) > 0.15);
    assert_true(mg_report_expected_optimism(4000) < 0.03);
}

static void reports_tell_luck_spread_and_who_left_the_race(void **state)
{
    (void)state;
    mg_store *store = make_store(140);
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_report report;
    assert_ok(mg_store_put(store, "winner", mg_str_of("5 12.5"), &err), &err);
    assert_ok(mg_store_put(store, "finalists", mg_str_of("5 0\n4 50\n2 0\n"), &err), &err);
    assert_ok(mg_store_put(store, "spread", mg_str_of("8 105 20.5 0.0046"), &err), &err);
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_int_equal(report.finalist_count, 2); /* the default merge has a row of its own */
    mg_report_text(&report, true, &text);
    assert_non_null(strstr(text.data, "finalist (sample 4)"));
    assert_non_null(strstr(text.data, "out after 50"));
    assert_non_null(strstr(text.data, "a longer polish would pay"));
    assert_null(strstr(text.data, "to luck"));
    /* The same without any other questions. */
    put_set(store, "set/select", 0, 0, 0);
    put_set(store, "set/test", 0, 0, 0);
    assert_ok(mg_store_put(store, "half_out", mg_str_of("0.55 300"), &err), &err);
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    mg_buf_clear(&text);
    mg_report_text(&report, false, &text);
    assert_non_null(strstr(text.data, "owes about 15 points to luck"));
    assert_non_null(strstr(text.data, "the best of 300 merges reaches 55.0"));
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static void reports_tell_what_the_winners_own_stage_has_found(void **state)
{
    (void)state;
    mg_store *store = make_store(140);
    mg_arena arena = { 0 };
    mg_report report;
    put_candidate(store, 6, "default", "", 50, 24, 95);
    put_candidate(store, 7, "mean", "", 55, 25, 100);
    assert_ok(mg_store_put(store, "stage/2/begin", mg_str_of("6 origin"), &err), &err);
    put_set(store, "stage/2/set/search", 0, 0, SEARCH);
    assert_ok(mg_store_put(store, "finalists", mg_str_of("5 0\n4 50\n"), &err), &err);
    assert_ok(mg_store_put(store, "stage/2/finalists", mg_str_of("7 0\n"), &err), &err);
    assert_ok(mg_store_put(store, "half_out", mg_str_of("0.55 300"), &err), &err);
    assert_ok(mg_store_put(store, "stage/2/half_out", mg_str_of("0.50 200"), &err), &err);
    assert_ok(mg_store_put(store, "winner", mg_str_of("5 12.5"), &err), &err);
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_int_equal(report.finalist_count, 2);
    assert_int_equal(report.half_out_candidates, 300);
    assert_ok(mg_store_put(store, "winner", mg_str_of("7 12.5"), &err), &err);
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_int_equal(report.finalist_count, 1);
    assert_int_equal(report.half_out_candidates, 200);
    mg_arena_release(&arena);
    mg_store_close(store);
}

/* Two tasks: the answers of put_candidate on "train", as many right on "other" as they lack. */
static void front_shows_scores_of_each_task_and_its_picks(void **state)
{
    (void)state;
    mg_store *store = make_store(150);
    mg_question questions[SEARCH + 10];
    for (int32_t i = 0; i < SEARCH + 10; i++) {
        questions[i] = (mg_question){ i < SEARCH ? 0 : 1, i < SEARCH ? i : i - SEARCH };
    }
    const char *bytes = (const char *)questions;
    assert_ok(mg_store_put(store, "set/search", mg_str_make(bytes, sizeof(questions)), &err), &err);
    const int32_t right[6] = { 2, 3, 5, 5, 9, 4 };
    for (int64_t id = 0; id < 6; id++) {
        put_answers(store, id, 1, 0, 10, right[id]);
    }
    assert_ok(mg_store_put(store, "front", mg_str_of("4 careful\n5 balanced knee\n"), &err), &err);
    mg_arena arena = { 0 };
    mg_report report;
    mg_buf out = { 0 };
    assert_ok(mg_report_read(store, &arena, &report, &err), &err);
    assert_int_equal(report.front.row_count, 2);
    assert_int_equal(report.front.task_count, 2);
    assert_int_equal(report.front.items[1], 10);
    assert_true(fabs(report.front.rows[0].scores[0].value - 0.6) < 1e-12);
    assert_true(fabs(report.front.rows[1].scores[1].value - 0.4) < 1e-12);
    /* above (0.4, 0.2): (0.6, 0.9) and (0.65, 0.4) */
    assert_true(fabs(report.front.hypervolume - (0.2 * 0.7 + 0.05 * 0.2)) < 1e-9);
    mg_report_text(&report, false, &out);
    assert_non_null(strstr(out.data, "5 balanced knee"));
    assert_non_null(strstr(out.data, "90.0 [59.6, 98.2]"));
    mg_buf_clear(&out);
    mg_report_markdown(&report, &out);
    assert_non_null(strstr(out.data, "| 4 careful | 60.0 ["));
    mg_buf_clear(&out);
    mg_report_json(&report, &out);
    assert_non_null(strstr(out.data, "\"picks\": \"balanced knee\", \"scores\": [0.65"));
    mg_buf_release(&out);
    mg_arena_release(&arena);
    mg_store_close(store);
}

int main(void)
{
#define REPORT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        REPORT_TEST(finished_run_names_its_winner_and_tests_it),
        REPORT_TEST(winner_that_is_not_better_is_called_so),
        REPORT_TEST(weighted_tasks_are_compared_by_the_weighted_difference),
        REPORT_TEST(running_search_shows_the_best_so_far),
        REPORT_TEST(winner_of_a_later_stage_says_on_how_many_questions),
        REPORT_TEST(empty_store_has_an_empty_report),
        REPORT_TEST(expected_optimism_follows_its_table),
        REPORT_TEST(reports_tell_luck_spread_and_who_left_the_race),
        REPORT_TEST(reports_tell_what_the_winners_own_stage_has_found),
        REPORT_TEST(front_shows_scores_of_each_task_and_its_picks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
