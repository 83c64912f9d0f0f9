/* The search on the noise bench: it improves, keeps its budget, survives failures, splits honestly.
 */
#include "sim.h"

#include <math.h>

static mg_error err;

/* Mean truth of the winner over seeds. */
static double average_truth(sim s, int seeds)
{
    double sum = 0.0;
    for (int seed = 1; seed <= seeds; seed++) {
        char folder[64];
        double truth = 0.0;
        sim_folder(folder, sizeof(folder));
        s.search.seed = (uint64_t)seed;
        s.fake.seed = (uint64_t)seed;
        assert_ok(sim_run(&s, folder, &truth, &err), &err);
        sim_remove(folder);
        sum += truth;
    }
    return sum / (double)seeds;
}

static void two_hundred_evaluations_improve_the_start_by_far(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 200;
    mg_fitness *fitness = fake_fitness_create(&s.fake);
    double start = fake_fitness_truth(fitness, s.start);
    const double best[6] = { 0.8, 0.6, 0.9, 0.4, 0.7, 0.3 };
    double optimum = fake_fitness_truth(fitness, best);
    mg_fitness_destroy(fitness);
    double reached = average_truth(s, 6);
    if (reached < start + 0.6 * (optimum - start)) {
        fail_msg("reached %.3f from %.3f, optimum %.3f", reached, start, optimum);
    }
}

static void budget_counts_everything_on_search_questions(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 100;
    sim_view view;
    sim_look(&view, &s, NULL);
    int64_t answers = 0;
    int64_t samples = 0;
    for (int64_t i = 0; i < view.count; i++) {
        mg_answer_row *list;
        int64_t answer_count;
        assert_ok(
            mg_run_answers(view.store, view.rows[i].id, &view.arena, &list, &answer_count, &err),
            &err);
        for (int64_t a = 0; a < answer_count; a++) {
            answers += list[a].task == 0 ? 1 : 0;
        }
        samples += mg_str_is(view.rows[i].kind, "sample") ? 1 : 0;
    }
    /* 88 search questions; the finalists' 38 validation questions and the polished ones' rest on
     * top */
    assert_true(answers <= 100 * 88 + 9 * 38 + 2 * 88);
    assert_true(samples >= 45);
    sim_close(&view);
}

static void validation_questions_are_never_asked_of_samples(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 80;
    sim_view view;
    sim_look(&view, &s, NULL);
    bool seen[126] = { false };
    int64_t asked = 0;
    for (int64_t i = 0; i < view.count; i++) {
        mg_answer_row *list;
        int64_t answer_count;
        bool sample = mg_str_is(view.rows[i].kind, "sample");
        assert_ok(
            mg_run_answers(view.store, view.rows[i].id, &view.arena, &list, &answer_count, &err),
            &err);
        for (int64_t a = 0; sample && a < answer_count; a++) {
            assert_int_equal(list[a].task, 0);
            asked += seen[list[a].item] ? 0 : 1;
            seen[list[a].item] = true;
        }
    }
    assert_int_equal(asked, 88);
    sim_close(&view);
}

static void failing_candidates_do_not_end_the_search(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 150;
    s.fake.fail_share = 0.15;
    s.fake.flaky_share = 0.15;
    double truth;
    sim_view view;
    sim_look(&view, &s, &truth);
    int64_t failed = 0;
    for (int64_t i = 0; i < view.count; i++) {
        failed += view.rows[i].failed ? 1 : 0;
        /* what can pass at a second try has passed */
        assert_true(!view.rows[i].failed ||
                    mg_str_is(view.rows[i].note, "model.norm.weight is not finite"));
    }
    assert_true(failed > 3 && failed < view.count / 3);
    sim_close(&view);
}

/* How many answers the store has, and how many it says were given. */
static void count_answers(const sim *s, int64_t *stored_out, int64_t *counted_out)
{
    sim_view view;
    sim_look(&view, s, NULL);
    mg_answer_row *list;
    mg_buf text = { 0 };
    bool found;
    *stored_out = 0;
    for (int64_t i = 0; i < view.count; i++) {
        int64_t answers;
        assert_ok(mg_run_answers(view.store, view.rows[i].id, &view.arena, &list, &answers, &err),
                  &err);
        *stored_out += answers;
    }
    assert_ok(mg_store_get(view.store, "answers", &text, &found, &err), &err);
    assert_true(found && mg_str_to_int(mg_buf_view(&text), counted_out));
    mg_buf_release(&text);
    sim_close(&view);
}

/* A second try asks what the first left open: every answer is counted once. */
static void answers_of_a_second_try_are_counted_once(void **state)
{
    (void)state;
    int64_t stored;
    int64_t counted;
    sim s = sim_make(6, "default");
    s.search.evaluations = 100;
    s.start[0] = 0.4; /* another genome than the default merge's */
    s.fake.flaky_share = 0.4;
    count_answers(&s, &stored, &counted);
    assert_int_equal(counted, stored);
}

static void second_tries_store_no_text_of_another_question(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 60;
    s.fake.flaky_share = 0.5;
    s.tasks[1].role = MG_ROLE_SEARCH;
    mg_answer_row *answers;
    int64_t answer_count;
    sim_view view;
    sim_look(&view, &s, NULL);
    for (int64_t i = 0; i < view.count; i++) {
        assert_ok(
            mg_run_answers(view.store, view.rows[i].id, &view.arena, &answers, &answer_count, &err),
            &err);
        for (int64_t a = 0; a < answer_count; a++) {
            assert_true((answers[a].text.size > 0) == (answers[a].task == 0));
        }
    }
    sim_close(&view);
}

static void a_score_beyond_all_numbers_is_a_failure(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 60;
    s.fake.right = 1e308;
    char folder[64];
    sim_folder(folder, sizeof(folder));
    assert_status(sim_run(&s, folder, NULL, &err), MG_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "its score is not finite"));
    sim_remove(folder);
}

/* The start point is the default merge; both are finalists and answer everything but the test. */
static void equal_genomes_are_evaluated_once(void **state)
{
    (void)state;
    int64_t stored;
    int64_t counted;
    sim s = sim_make(6, "default");
    s.search.evaluations = 100;
    count_answers(&s, &stored, &counted);
    assert_true(counted <= stored - 88 && counted >= stored - 126);
}

static void search_ends_with_the_reason_when_most_candidates_fail(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 150;
    s.fake.fail_share = 0.95;
    char folder[64];
    sim_folder(folder, sizeof(folder));
    assert_status(sim_run(&s, folder, NULL, &err), MG_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "model.norm.weight"));
    sim_remove(folder);
}

/* Every sample keeps to four bits; late ones have those at 0 and 2 on, and seldom (in less than
 * last_share of them) the one at 5. */
static void assert_bits_found(const sim *s, double last_share)
{
    sim_view view;
    sim_look(&view, s, NULL);
    double on[6] = { 0.0 };
    int64_t late = 0;
    for (int64_t i = 0; i < view.count; i++) {
        double set = 0.0;
        bool sample = mg_str_is(view.rows[i].kind, "sample");
        for (int b = 0; sample && b < 6; b++) {
            assert_true(view.rows[i].genome[b] == 0.0 || view.rows[i].genome[b] == 1.0);
            set += view.rows[i].genome[b];
            on[b] += view.rows[i].generation >= 12 ? view.rows[i].genome[b] : 0.0;
        }
        late += sample && view.rows[i].generation >= 12 ? 1 : 0;
        assert_true(set <= 4.0);
    }
    assert_true(late > 50);
    assert_true(on[0] / (double)late > 0.7 && on[2] / (double)late > 0.7);
    assert_true(on[5] / (double)late < last_share);
    sim_close(&view);
}

static void bits_find_their_sides_and_keep_their_limit(void **state)
{
    (void)state;
    sim s = sim_make(12, "dfs");
    sim_add_bits(&s, 6, 4); /* the best have bits 0, 1, 2 and 4 on: near 0.8, 0.6, 0.9 and 0.7 */
    s.search.evaluations = 800;
    assert_bits_found(&s, 0.4);
}

/* Scores by set: how many there are, the best, and whose. */
typedef struct set_summary {
    int64_t count, items, best_id;
    double best;
} set_summary;

static set_summary summary_of(mg_store *store, const char *set, mg_arena *arena)
{
    mg_score_row *rows;
    int64_t count;
    set_summary summary = { .best = -1.0 };
    assert_ok(mg_run_scores(store, set, arena, &rows, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        bool merge = rows[i].candidate >= 3; /* three sources */
        if (rows[i].task != -1 || !merge) {
            continue;
        }
        summary.count++;
        summary.items = rows[i].items;
        if (rows[i].value > summary.best) {
            summary.best = rows[i].value;
            summary.best_id = rows[i].candidate;
        }
    }
    return summary;
}

/* 4.4: every generation has questions of its own, the best of each and its mean meet on others. */
static void best_snapshot_of_all_generations_wins(void **state)
{
    (void)state;
    sim s = sim_make(12, "paper-dfs");
    s.search.evaluations = 86;
    s.search.items = 25;
    s.search.rotate = 1;
    s.search.population = 20;
    sim_view view;
    sim_look(&view, &s, NULL);
    mg_buf winner = { 0 };
    bool found;
    for (int generation = 0; generation < 4; generation++) {
        char set[32];
        snprintf(set, sizeof(set), generation == 0 ? "search" : "search/%d", generation);
        set_summary summary = summary_of(view.store, set, &view.arena);
        assert_int_equal(summary.items, 25);
        assert_int_equal(summary.count, generation == 0 ? 22 : 20); /* default and start */
    }
    set_summary held_out = summary_of(view.store, "held_out", &view.arena);
    assert_int_equal(held_out.items, 44); /* half of 70 % of 126 */
    assert_int_equal(held_out.count, 2 + 2 * 4);
    assert_ok(mg_store_get(view.store, "winner", &winner, &found, &err), &err);
    assert_int_equal(strtoll(winner.data, NULL, 10), held_out.best_id);
    mg_buf_release(&winner);
    sim_close(&view);
}

/* 8.1: with new questions, the mean and the best so far answer them too. */
static void changed_questions_are_answered_by_the_best_so_far(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 100;
    s.search.items = 40;
    s.search.rotate = 3;
    s.search.population = 10;
    sim_view view;
    sim_look(&view, &s, NULL);
    set_summary first = summary_of(view.store, "search", &view.arena);
    set_summary second = summary_of(view.store, "search/1", &view.arena);
    assert_int_equal(first.count, 2 + 30);
    assert_true(second.count >= 2 + 2 + 30 && second.items == 40);
    mg_score_row *rows;
    int64_t count;
    bool there = false;
    assert_ok(mg_run_scores(view.store, "search/1", &view.arena, &rows, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        there = there || rows[i].candidate == first.best_id;
    }
    assert_true(there);
    sim_close(&view);
}

static double costly_first(void *context, const double *genome)
{
    (void)context;
    return 10.0 * genome[0];
}

/* 1: secondary terms rank the samples, and no score knows of them. */
static void penalties_move_the_search_and_enter_no_score(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 200;
    s.search.polish_share = 0.0;
    s.penalty = costly_first;
    sim_view view;
    sim_look(&view, &s, NULL);
    mg_score_row *scores;
    double last = 1.0; /* the first gene of the mean, whose optimum without costs is 0.8 */
    for (int64_t i = 0; i < view.count; i++) {
        last = mg_str_is(view.rows[i].kind, "mean") ? view.rows[i].genome[0] : last;
    }
    assert_true(last < 0.3);
    assert_ok(mg_run_scores(view.store, NULL, &view.arena, &scores, &view.count, &err), &err);
    for (int64_t i = 0; i < view.count; i++) {
        assert_true(scores[i].value >= 0.0 && scores[i].value <= 1.0);
    }
    sim_close(&view);
}

static void every_preset_runs(void **state)
{
    (void)state;
    for (int64_t p = 0; p < mg_preset_count; p++) {
        if (mg_presets[p].space == MG_SPACE_HYBRID) {
            continue; /* two of the others, one after the other */
        }
        sim s = sim_make(6, mg_presets[p].name);
        s.search.evaluations = 60;
        if (mg_presets[p].space == MG_SPACE_DFS) {
            sim_add_bits(&s, 3, 2);
        }
        char folder[64];
        sim_folder(folder, sizeof(folder));
        assert_ok(sim_run(&s, folder, NULL, &err), &err);
        sim_remove(folder);
    }
}

/* The means of a search's runs, by their labels; the populations grow as IPOP says. */
static void means_of_all_runs_are_finalists(void **state)
{
    (void)state;
    sim s = sim_make(3, "default");
    s.fake.items = 20;
    s.search.optimiser = MG_OPTIMISER_CMA;
    s.search.evaluations = 2000;
    s.search.restarts = 1;
    sim_view view;
    sim_look(&view, &s, NULL);
    mg_score_row *scores;
    int64_t score_count;
    int64_t means = 0;
    int64_t places = 0;
    assert_ok(mg_run_scores(view.store, "search", &view.arena, &scores, &score_count, &err), &err);
    for (int64_t i = 0; i < view.count; i++) {
        bool mean = mg_str_is(view.rows[i].kind, "mean");
        means += mean ? 1 : 0;
        places = mg_str_is(view.rows[i].kind, "sample") ? MG_MAX(places, view.rows[i].place + 1)
                                                        : places;
        if (mean && means < 2) {
            char label[32];
            snprintf(label, sizeof(label), "run %lld", (long long)means);
            assert_true(mg_str_is(view.rows[i].label, label));
        }
    }
    assert_int_equal(means, 2);
    assert_int_equal(places, 2 * 7);
    sim_close(&view);
}

/* Two tasks that want opposite genomes: the front reaches from one to the other. */
static void front_of_two_tasks_spreads_between_them(void **state)
{
    (void)state;
    sim s = sim_make(6, "front");
    s.search.optimiser = MG_OPTIMISER_NSGA2;
    s.search.evaluations = 600;
    s.search.population = 20;
    s.fake.items = s.fake.test_items = 100;
    s.fake.opposed = true;
    s.tasks[1].role = MG_ROLE_SEARCH;
    sim_view view;
    sim_look(&view, &s, NULL);
    mg_score_row *scores;
    mg_buf front = { 0 };
    int64_t count;
    bool found;
    assert_ok(mg_store_get(view.store, "front", &front, &found, &err), &err);
    assert_ok(mg_run_scores(view.store, "search", &view.arena, &scores, &count, &err), &err);
    double best[2] = { 0.0, 0.0 };
    int64_t members = 0;
    mg_str rest = mg_buf_view(&front);
    mg_str line;
    while (mg_str_split(&rest, '\n', &line)) {
        long long id = strtoll(line.data, NULL, 10);
        double own[2] = { 0.0, 0.0 };
        for (int64_t i = 0; i < count; i++) {
            if (scores[i].candidate == id && scores[i].task >= 0) {
                own[scores[i].task] = scores[i].value;
            }
        }
        members++;
        best[0] = own[0] - own[1] > best[0] ? own[0] - own[1] : best[0];
        best[1] = own[1] - own[0] > best[1] ? own[1] - own[0] : best[1];
    }
    assert_true(found && members >= 4);
    assert_true(best[0] > 0.1 && best[1] > 0.1);
    assert_true(mg_str_find(mg_buf_view(&front), mg_str_of(" balanced"), 0) > 0);
    assert_true(mg_str_find(mg_buf_view(&front), mg_str_of(" knee"), 0) > 0);
    mg_buf_release(&front);
    sim_close(&view);
}

/* 30 of 140 questions a candidate; estimates rank better than 30 answers alone. */
static void few_questions_that_stand_for_all_improve_the_start(void **state)
{
    (void)state;
    sim s = sim_make(6, "tiny");
    s.fake.items = 200;
    s.search.evaluations = 110;
    mg_fitness *fitness = fake_fitness_create(&s.fake);
    double start = fake_fitness_truth(fitness, s.start);
    mg_fitness_destroy(fitness);
    double reached = average_truth(s, 6);
    if (reached < start + 0.06) {
        fail_msg("reached %.3f from %.3f", reached, start);
    }
    /* Samples answer the anchors alone, but for the finalists. */
    sim_view view;
    sim_look(&view, &s, NULL);
    int64_t full = 0;
    for (int64_t i = 0; i < view.count; i++) {
        mg_answer_row *list;
        int64_t answers;
        assert_ok(mg_run_answers(view.store, view.rows[i].id, &view.arena, &list, &answers, &err),
                  &err);
        if (mg_str_is(view.rows[i].kind, "sample")) {
            assert_true(answers == 30 || answers >= 140);
            full += answers > 30 ? 1 : 0;
        }
    }
    assert_true(full >= 1 && full <= 6);
    sim_close(&view);
}

/* Sets grow while the ranking is noise, and the questions spent stay within the budget. */
static void numbers_of_questions_follow_the_noise(void **state)
{
    (void)state;
    for (int rule = MG_ITEMS_BY_HALVES; rule <= MG_ITEMS_BY_RANKS; rule++) {
        sim s = sim_make(6, "default");
        s.fake.items = 600;
        s.search.items = 60;
        s.search.items_auto = true;
        s.search.item_control = (mg_item_rule)rule;
        s.search.evaluations = 400;
        s.search.polish_share = 0.0;
        sim_view view;
        sim_look(&view, &s, NULL);
        int64_t most = 0;
        int64_t least = 600;
        int64_t asked = 0;
        for (int64_t i = 0; i < view.count; i++) {
            mg_answer_row *list;
            int64_t answers;
            assert_ok(
                mg_run_answers(view.store, view.rows[i].id, &view.arena, &list, &answers, &err),
                &err);
            if (mg_str_is(view.rows[i].kind, "sample")) {
                most = MG_MAX(most, answers);
                least = MG_MIN(least, answers);
                asked += answers;
            }
        }
        assert_true(most > 60 && least >= 50 && least < most);
        /* beside them the best so far answers what is new to it, and finalists the validation */
        assert_true(asked <= 400 * 60 + 600 * 6);
        sim_close(&view);
    }
}

static void niches_end_with_a_merge_of_their_archive(void **state)
{
    (void)state;
    sim s = sim_make(6, "niches");
    s.search.evaluations = 150;
    double truth;
    sim_view view;
    sim_look(&view, &s, &truth);
    int64_t samples = 0;
    for (int64_t i = 0; i < view.count; i++) {
        samples += mg_str_is(view.rows[i].kind, "sample") ? 1 : 0;
        assert_true(!mg_str_is(view.rows[i].kind, "mean") &&
                    !mg_str_is(view.rows[i].kind, "polish"));
    }
    assert_true(samples >= 130 && samples <= 150 && truth > 0.1);
    sim_close(&view);
}

static void switches_by_margin_find_their_sides_too(void **state)
{
    (void)state;
    sim s = sim_make(12, "dfs");
    sim_add_bits(&s, 6, 4);
    s.search.evaluations = 800;
    s.search.switches_by_margin = true;
    assert_bits_found(&s, 0.5);
}

static void good_points_of_earlier_runs_help_a_short_search(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 60;
    double cold = average_truth(s, 8);
    const double points[] = { 0.7, 0.6, 0.8, 0.4, 0.7, 0.4, 0.8, 0.5, 0.9, 0.5, 0.6, 0.3 };
    s.warm_points = points;
    s.warm_count = 2;
    double warm = average_truth(s, 8);
    if (warm < cold + 0.01) {
        fail_msg("%.3f with them, %.3f without", warm, cold);
    }
    sim bits = sim_make(6, "dfs"); /* bits begin as probable as among the points */
    sim_add_bits(&bits, 3, 2);
    const double with_bits[] = { 1, 0, 1, 0.4, 0.7, 0.4, 1, 0, 1, 0.5, 0.6, 0.3 };
    bits.warm_points = with_bits;
    bits.warm_count = 2;
    bits.search.evaluations = 60;
    (void)average_truth(bits, 1);
}

static void many_genes_and_tiny_question_sets_run(void **state)
{
    (void)state;
    sim s = sim_make(48, "default");
    s.fake.items = 12;
    s.search.evaluations = 120;
    char folder[64];
    sim_folder(folder, sizeof(folder));
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    sim_remove(folder);
}

/* The score rows of a set, by candidate. */
static int64_t scored_on(const char *folder, const char *set)
{
    mg_store *store = NULL;
    mg_arena arena = { 0 };
    mg_score_row *rows;
    int64_t count;
    int64_t sums = 0;
    assert_ok(mg_store_open_reader(folder, &store, &err), &err);
    assert_ok(mg_run_scores(store, set, &arena, &rows, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        sums += rows[i].task == -1 ? 1 : 0;
    }
    mg_arena_release(&arena);
    mg_store_close(store);
    return sums;
}

static void finalists_that_are_surely_worse_leave_the_race(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.fake.items = 1200; /* 360 of them choose; the start is far below the end */
    s.search.evaluations = 200;
    s.search.items = 60;
    char folder[64];
    sim_folder(folder, sizeof(folder));
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    assert_int_equal(scored_on(folder, "race/25"), 5); /* mean, two polished, default, start */
    assert_int_equal(scored_on(folder, "race/50"), 5);
    int64_t late = scored_on(folder, "race/350");
    assert_true(late >= 1 && late < 5);
    sim_remove(folder);
}

static void without_spare_questions_halves_tell_what_the_choice_is_worth(void **state)
{
    (void)state;
    sim s = sim_make(6, "paper-ps");
    s.fake.items = 40;
    s.fake.test_items = 0;
    s.search.evaluations = 300;
    double truth = 0.0;
    double estimate = 0.0;
    long long merges = 0;
    mg_buf text = { 0 };
    mg_score_row *rows;
    int64_t count;
    bool found;
    double best = 0.0;
    sim_view view;
    sim_look(&view, &s, &truth);
    assert_ok(mg_store_get(view.store, "half_out", &text, &found, &err), &err);
    assert_true(found && sscanf(text.data, "%lf %lld", &estimate, &merges) == 2);
    assert_ok(mg_run_scores(view.store, "search", &view.arena, &rows, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        best = rows[i].task == -1 ? fmax(best, rows[i].value) : best;
    }
    assert_true(merges > 250);
    assert_true(estimate < best - 0.05); /* the best score flatters */
    assert_true(fabs(estimate - truth) < best - truth);
    mg_buf_release(&text);
    sim_close(&view);
}

/* Of eight questions most samples get the same number right; what they are worth beside that is in
 * the likelihoods, and in no score. */
static void equal_scores_are_told_apart_by_likelihoods(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.fake.items = 8;
    s.search.evaluations = 200;
    s.search.polish_share = 0.0;
    double plain = average_truth(s, 6);
    s.search.tie_breaker = true;
    double told = average_truth(s, 6);
    if (told < plain + 0.02) {
        fail_msg("reached %.3f, without likelihoods %.3f", told, plain);
    }
    mg_score_row *rows;
    mg_buf text = { 0 };
    int64_t count;
    int64_t answers;
    bool found;
    sim_view view;
    sim_look(&view, &s, NULL);
    assert_ok(mg_run_scores(view.store, "search", &view.arena, &rows, &count, &err), &err);
    int64_t samples = 0;
    for (int64_t i = 0; i < count; i++) {
        double right = 8.0 * rows[i].value;
        samples += rows[i].task == -1 ? 1 : 0;
        assert_true(rows[i].task == -3 ? rows[i].value < 0.0 : right == floor(right));
    }
    assert_ok(mg_store_get(view.store, "answers", &text, &found, &err), &err);
    assert_true(found && mg_str_to_int(mg_buf_view(&text), &answers));
    assert_true(answers <= 8 * samples + 5 * s.fake.test_items);
    mg_buf_release(&text);
    sim_close(&view);
}

static void guards_rule_out_what_breaks_them(void **state)
{
    (void)state;
    sim s = sim_make(6, "default");
    s.search.evaluations = 60;
    s.tasks[0].has_guard = true;
    s.tasks[0].guard = 2.0; /* never met: the violation alone ranks */
    char folder[64];
    double truth;
    sim_folder(folder, sizeof(folder));
    assert_ok(sim_run(&s, folder, &truth, &err), &err);
    sim_remove(folder);
}

static void thousand_small_searches_end_well(void **state)
{
    (void)state;
    const char *text = getenv("MG_SIM_RUNS");
    int64_t runs = text != NULL ? strtoll(text, NULL, 10) : 60;
    for (int64_t seed = 1; seed <= runs; seed++) {
        sim s = sim_make(1 + seed % 9, seed % 3 == 0 ? "mergekit" : "default");
        s.search.evaluations = 20 + seed % 50;
        s.search.seed = (uint64_t)seed;
        s.fake = (fake_options){ .dimension = 1 + seed % 9,
                                 .items = 1 + seed % 130,
                                 .test_items = seed % 4 * 10,
                                 .sources = 1 + seed % 4,
                                 .fail_share = seed % 5 == 0 ? 0.1 : 0.0,
                                 .flaky_share = seed % 7 == 0 ? 0.2 : 0.0,
                                 .seed = (uint64_t)seed };
        char folder[64];
        sim_folder(folder, sizeof(folder));
        mg_status status = sim_run(&s, folder, NULL, &err);
        if (status != MG_OK && (status != MG_ERR_NUMERIC || seed % 5 != 0)) {
            fail_msg("seed %lld: %s", (long long)seed, err.message);
        }
        sim_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_evaluations_improve_the_start_by_far),
        cmocka_unit_test(budget_counts_everything_on_search_questions),
        cmocka_unit_test(validation_questions_are_never_asked_of_samples),
        cmocka_unit_test(failing_candidates_do_not_end_the_search),
        cmocka_unit_test(answers_of_a_second_try_are_counted_once),
        cmocka_unit_test(second_tries_store_no_text_of_another_question),
        cmocka_unit_test(a_score_beyond_all_numbers_is_a_failure),
        cmocka_unit_test(equal_genomes_are_evaluated_once),
        cmocka_unit_test(search_ends_with_the_reason_when_most_candidates_fail),
        cmocka_unit_test(bits_find_their_sides_and_keep_their_limit),
        cmocka_unit_test(best_snapshot_of_all_generations_wins),
        cmocka_unit_test(changed_questions_are_answered_by_the_best_so_far),
        cmocka_unit_test(penalties_move_the_search_and_enter_no_score),
        cmocka_unit_test(every_preset_runs),
        cmocka_unit_test(means_of_all_runs_are_finalists),
        cmocka_unit_test(front_of_two_tasks_spreads_between_them),
        cmocka_unit_test(few_questions_that_stand_for_all_improve_the_start),
        cmocka_unit_test(numbers_of_questions_follow_the_noise),
        cmocka_unit_test(niches_end_with_a_merge_of_their_archive),
        cmocka_unit_test(switches_by_margin_find_their_sides_too),
        cmocka_unit_test(good_points_of_earlier_runs_help_a_short_search),
        cmocka_unit_test(many_genes_and_tiny_question_sets_run),
        cmocka_unit_test(finalists_that_are_surely_worse_leave_the_race),
        cmocka_unit_test(without_spare_questions_halves_tell_what_the_choice_is_worth),
        cmocka_unit_test(equal_scores_are_told_apart_by_likelihoods),
        cmocka_unit_test(guards_rule_out_what_breaks_them),
        cmocka_unit_test(thousand_small_searches_end_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
