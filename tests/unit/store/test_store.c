/* run.db: what goes in comes out, crashes lose nothing committed, one writer, damaged files. */
#include "support.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/event.h"
#include "store/run.h"
#include "store/store.h"

static char folder[64];
static mg_error err;

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/mg_store_XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return mg_folder_remove(folder, &err) == MG_OK ? 0 : -1;
}

static mg_store *open_store(bool *created)
{
    mg_store *store = NULL;
    assert_ok(mg_store_open(folder, &store, created, &err), &err);
    return store;
}

static void put_score(mg_store *store, int64_t id, int64_t task, double value)
{
    mg_score_row row = { .candidate = id,
                         .item_set = mg_str_of("search"),
                         .task = task,
                         .value = value,
                         .items = 10 };
    assert_ok(mg_run_put_score(store, &row, &err), &err);
}

static void best_is_within_its_guards_then_high_then_early(void **state)
{
    (void)state;
    mg_store *store = open_store(NULL);
    int64_t id = 0;
    assert_ok(mg_run_best(store, "search", 0, &id, &err), &err);
    assert_int_equal(id, -1);
    put_score(store, 0, -1, 0.9); /* a source */
    put_score(store, 5, -2, 0.2);
    put_score(store, 5, -1, 0.8);
    put_score(store, 6, -2, 0.1);
    put_score(store, 6, -1, 0.7);
    assert_ok(mg_run_best(store, "search", 1, &id, &err), &err);
    assert_int_equal(id, 6); /* both break guards: the least */
    put_score(store, 7, -1, 0.5);
    put_score(store, 8, -1, 0.6);
    put_score(store, 9, -1, 0.6);
    assert_ok(mg_run_best(store, "search", 1, &id, &err), &err);
    assert_int_equal(id, 8);
    assert_ok(mg_run_best(store, "search", 0, &id, &err), &err);
    assert_int_equal(id, 0);
    mg_store_close(store);
}

static void folders_of_other_things_are_refused(void **state)
{
    (void)state;
    char path[96];
    mg_store *store = NULL;
    snprintf(path, sizeof(path), "%s/letter.txt", folder);
    assert_ok(mg_file_write_atomic(path, mg_str_of("Dear"), &err), &err);
    assert_status(mg_store_open(folder, &store, NULL, &err), MG_ERR_EXISTS);
    assert_non_null(strstr(err.message, "letter.txt"));
    snprintf(path, sizeof(path), "%s/run.lock", folder);
    assert_false(mg_path_exists(path));
}

static void values_come_back(void **state)
{
    (void)state;
    bool created = false;
    mg_store *store = open_store(&created);
    assert_true(created);
    assert_ok(mg_store_put(store, "a", mg_str_make("x\0y", 3), &err), &err);
    assert_ok(mg_store_put(store, "a", mg_str_make("z\0y", 3), &err), &err);
    assert_ok(mg_store_put(store, "empty", mg_str_make(NULL, 0), &err), &err);
    mg_store_close(store);
    store = open_store(&created);
    assert_false(created);
    mg_buf value = { 0 };
    bool found = false;
    assert_ok(mg_store_get(store, "a", &value, &found, &err), &err);
    assert_true(found);
    assert_true(mg_str_equal(mg_buf_view(&value), mg_str_make("z\0y", 3)));
    assert_ok(mg_store_get(store, "empty", &value, &found, &err), &err);
    assert_true(found && value.size == 3);
    assert_ok(mg_store_get(store, "none", &value, &found, &err), &err);
    assert_false(found);
    mg_buf_release(&value);
    mg_store_close(store);
}

static void rows_come_back_in_order(void **state)
{
    (void)state;
    mg_store *store = open_store(NULL);
    const double genome[3] = { 0.1, -0.0, 1e-300 };
    mg_candidate_row row = { .id = 7,
                             .kind = mg_str_of("sample"),
                             .label = mg_str_of("数学"),
                             .generation = 2,
                             .place = 1,
                             .genome = genome,
                             .genome_count = 3 };
    assert_ok(mg_run_put_candidate(store, &row, &err), &err);
    row = (mg_candidate_row){
        .id = 3, .kind = mg_str_of("source"), .failed = true, .note = mg_str_of("NaN in lm_head")
    };
    assert_ok(mg_run_put_candidate(store, &row, &err), &err);
    mg_score_row score = { .candidate = 7,
                           .item_set = mg_str_of("search"),
                           .task = -1,
                           .value = 0.5,
                           .items = 126,
                           .seconds = 0.25 };
    assert_ok(mg_run_put_score(store, &score, &err), &err);
    score.item_set = mg_str_of("select");
    assert_ok(mg_run_put_score(store, &score, &err), &err);
    const mg_answer_row answers[3] = { { .task = 1, .item = 0, .value = 1.0 },
                                       { .task = 0, .item = 5, .value = NAN },
                                       { .task = 0, .item = 4, .text = mg_str_of("答え") } };
    assert_ok(mg_run_put_answers(store, 7, answers, 3, &err), &err);

    mg_arena arena = { 0 };
    mg_candidate_row *rows;
    int64_t count;
    assert_ok(mg_run_candidates(store, &arena, &rows, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].id, 3);
    assert_true(rows[0].failed && mg_str_is(rows[0].note, "NaN in lm_head"));
    assert_memory_equal(rows[1].genome, genome, sizeof(genome));
    assert_true(mg_str_is(rows[1].label, "数学"));
    mg_score_row *scores;
    assert_ok(mg_run_scores(store, "select", &arena, &scores, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_ok(mg_run_scores(store, NULL, &arena, &scores, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_true(mg_str_is(scores[0].item_set, "search") && scores[0].value == 0.5);
    mg_answer_row *back;
    assert_ok(mg_run_answers(store, 7, &arena, &back, &count, &err), &err);
    assert_int_equal(count, 3);
    assert_true(back[0].item == 4 && mg_str_is(back[0].text, "答え") && back[0].value == 0.0);
    assert_true(isnan(back[1].value));
    assert_true(back[2].task == 1 && back[2].value == 1.0);
    double seconds;
    int64_t evaluations;
    assert_ok(mg_run_seconds(store, &seconds, &evaluations, &err), &err);
    assert_true(seconds == 0.5 && evaluations == 2);
    assert_ok(mg_run_drop_from(store, 4, &err), &err);
    assert_ok(mg_run_candidates(store, &arena, &rows, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_ok(mg_run_answers(store, 7, &arena, &back, &count, &err), &err);
    assert_int_equal(count, 0);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static void events_are_listed_after_an_id(void **state)
{
    (void)state;
    mg_store *store = open_store(NULL);
    mg_arena arena = { 0 };
    for (int i = 0; i < 5; i++) {
        assert_ok(mg_event_add(store, (double)i, "note", mg_str_of("text"), &err), &err);
    }
    mg_event_row *rows;
    int64_t count;
    assert_ok(mg_event_list(store, 2, 2, &arena, &rows, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].id, 3);
    assert_true(rows[1].time == 3.0);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static void rolled_back_writes_are_gone(void **state)
{
    (void)state;
    mg_store *store = open_store(NULL);
    assert_ok(mg_store_begin(store, &err), &err);
    assert_ok(mg_store_put(store, "k", mg_str_of("v"), &err), &err);
    mg_store_rollback(store);
    mg_store_rollback(store);
    mg_buf value = { 0 };
    bool found = true;
    assert_ok(mg_store_get(store, "k", &value, &found, &err), &err);
    assert_false(found);
    mg_store_close(store);
}

static void second_writer_is_refused_at_once_and_readers_are_not(void **state)
{
    (void)state;
    mg_store *store = open_store(NULL);
    mg_store *second = NULL;
    assert_status(mg_store_open(folder, &second, NULL, &err), MG_ERR_BUSY);
    assert_null(second);
    assert_ok(mg_store_put(store, "k", mg_str_of("v"), &err), &err);
    mg_store *reader = NULL;
    assert_ok(mg_store_open_reader(folder, &reader, &err), &err);
    mg_buf value = { 0 };
    bool found = false;
    assert_ok(mg_store_get(reader, "k", &value, &found, &err), &err);
    assert_true(found);
    assert_true(mg_store_put(reader, "k", mg_str_of("w"), &err) != MG_OK);
    mg_buf_release(&value);
    mg_store_close(reader);
    mg_store_close(store);
    store = open_store(NULL); /* the lock file that stays behind does not block */
    mg_store_close(store);
}

static void killed_writer_keeps_what_it_committed(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            mg_store *store = NULL;
            if (mg_store_open(folder, &store, NULL, NULL) != MG_OK) {
                _exit(1);
            }
            for (int64_t i = 0;; i++) {
                char key[32];
                snprintf(key, sizeof(key), "%d/%lld", round, (long long)i);
                if (mg_store_begin(store, NULL) != MG_OK ||
                    mg_store_put(store, key, mg_str_of("a"), NULL) != MG_OK ||
                    mg_store_put(store, "last", mg_str_of(key), NULL) != MG_OK ||
                    mg_store_commit(store, NULL) != MG_OK ||
                    write(ready[1], &i, sizeof(i)) != (ssize_t)sizeof(i)) {
                    _exit(1);
                }
            }
        }
        int64_t committed = 0;
        while (committed < 20 + 13 * round) {
            assert_int_equal(read(ready[0], &committed, sizeof(committed)), sizeof(committed));
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (close(ready[1]) == 0 &&
               read(ready[0], &committed, sizeof(committed)) == (ssize_t)sizeof(committed)) {
        }
        mg_store *store = open_store(NULL);
        mg_buf value = { 0 };
        bool found = false;
        char key[32];
        snprintf(key, sizeof(key), "%d/%lld", round, (long long)committed);
        assert_ok(mg_store_get(store, key, &value, &found, &err), &err);
        assert_true(found);
        mg_buf_clear(&value); /* both halves of the last transaction are there */
        assert_ok(mg_store_get(store, "last", &value, &found, &err), &err);
        mg_str last = mg_buf_view(&value);
        mg_buf other = { 0 };
        assert_ok(mg_store_get(store, last.data, &other, &found, &err), &err);
        assert_true(found);
        mg_buf_release(&value);
        mg_buf_release(&other);
        mg_store_close(store);
        close(ready[0]);
    }
}

static void foreign_and_damaged_files_are_format_errors(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    const char *path = mg_path_join(&arena, folder, "run.db").data;
    assert_ok(mg_file_write_atomic(path,
                                   mg_str_of("this is no database, but long enough to be "
                                             "looked at by the library"),
                                   &err),
              &err);
    mg_store *store = NULL;
    assert_status(mg_store_open(folder, &store, NULL, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "run.db"));
    assert_status(mg_store_open_reader(folder, &store, &err), MG_ERR_FORMAT);
    mg_arena_release(&arena);
}

static void reader_of_an_empty_folder_finds_nothing(void **state)
{
    (void)state;
    mg_store *store = NULL;
    assert_status(mg_store_open_reader(folder, &store, &err), MG_ERR_NOT_FOUND);
    assert_status(mg_store_open_reader("/nowhere/at/all", &store, &err), MG_ERR_NOT_FOUND);
}

static void hundred_thousand_candidates_open_quickly(void **state)
{
    (void)state;
    mg_store *store = open_store(NULL);
    assert_ok(mg_store_begin(store, &err), &err);
    const double genome[6] = { 0 };
    for (int64_t i = 0; i < 100000; i++) {
        mg_candidate_row row = {
            .id = i, .kind = mg_str_of("sample"), .genome = genome, .genome_count = 6
        };
        assert_ok(mg_run_put_candidate(store, &row, &err), &err);
    }
    assert_ok(mg_store_commit(store, &err), &err);
    mg_store_close(store);
    assert_ok(mg_store_open_reader(folder, &store, &err), &err);
    mg_arena arena = { 0 };
    mg_candidate_row *rows;
    int64_t count;
    assert_ok(mg_run_candidates(store, &arena, &rows, &count, &err), &err);
    assert_int_equal(count, 100000);
    mg_arena_release(&arena);
    mg_store_close(store);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        STORE_TEST(best_is_within_its_guards_then_high_then_early),
        STORE_TEST(folders_of_other_things_are_refused),
        STORE_TEST(values_come_back),
        STORE_TEST(rows_come_back_in_order),
        STORE_TEST(events_are_listed_after_an_id),
        STORE_TEST(rolled_back_writes_are_gone),
        STORE_TEST(second_writer_is_refused_at_once_and_readers_are_not),
        STORE_TEST(killed_writer_keeps_what_it_committed),
        STORE_TEST(foreign_and_damaged_files_are_format_errors),
        STORE_TEST(reader_of_an_empty_folder_finds_nothing),
        STORE_TEST(hundred_thousand_candidates_open_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
