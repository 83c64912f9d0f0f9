/* tests/unit/sched/test_workers.c - worker processes that answer, die, refuse and stop.
 *
 * The workers are this program itself, started as "test_workers worker MODE FOLDER". */
#include "support.h"

#include <signal.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "sched/message.h"
#include "sched/worker.h"
#include "sched/workers.h"

/* --- The side of the worker: the square of a number, unless the mode says otherwise */

static volatile sig_atomic_t stopped;

static void on_term(int number)
{
    (void)number;
    stopped = 1;
}

/* True for the first caller of that name, over all processes. */
static bool is_first(const char *folder, const char *name, int64_t number)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s-%lld", folder, name, (long long)number);
    FILE *file = fopen(path, "wx");
    if (file != NULL) {
        (void)fclose(file);
    }
    return file != NULL;
}

typedef struct work {
    const char *mode, *folder;
} work;

static void answer(void *context, mg_str request, mg_buf *out)
{
    const work *w = context;
    mg_message_reader reader = { request, false };
    int64_t number = mg_message_take_int(&reader);
    if (strcmp(w->mode, "dies-once") == 0 && number % 3 == 1 &&
        is_first(w->folder, "death", number)) {
        raise(SIGKILL);
    }
    if (strcmp(w->mode, "dies-on-four") == 0 && number == 4) {
        _exit(9);
    }
    if (strcmp(w->mode, "slow") == 0) {
        for (int i = 0; i < 1000 && !stopped; i++) {
            usleep(10000);
        }
        number = stopped ? -1 : number;
    }
    if (strcmp(w->mode, "uneven") == 0) {
        usleep((useconds_t)((number * 7919 % 5) * 4000)); /* later tasks may be done first */
    }
    mg_message_put_int(out, number * number);
}

static int run_worker(const char *mode, const char *folder)
{
    mg_error err;
    work w = { mode, folder };
    if (strcmp(mode, "never-ready") == 0) {
        return 4;
    }
    if (strcmp(mode, "refuses") == 0) {
        (void)mg_fail(&err, MG_ERR_CONFIG, "no tasks here");
        mg_worker_refuse(MG_WORKER_FD, &err);
        return 0;
    }
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_term;
    sigaction(SIGTERM, &action, NULL);
    return mg_worker_serve(MG_WORKER_FD, answer, &w, &err) == MG_OK ? 0 : 1;
}

/* --- The side of the parent */

typedef struct ledger {
    int64_t next;        /* the task that must come next */
    int64_t squares[64]; /* -1 = failed */
    mg_status whys[64];
    bool stop;
} ledger;

static void request(void *context, int64_t task, mg_buf *message)
{
    (void)context;
    mg_message_put_int(message, task);
}

static void take_answer(void *context, int64_t task, mg_str message)
{
    ledger *l = context;
    mg_message_reader reader = { message, false };
    assert_int_equal(task, l->next++);
    l->squares[task] = mg_message_take_int(&reader);
    assert_false(reader.bad);
}

static void take_failure(void *context, int64_t task, const mg_error *why)
{
    ledger *l = context;
    assert_int_equal(task, l->next++);
    l->squares[task] = -1;
    l->whys[task] = why->status;
    assert_true(why->message[0] != '\0');
}

static bool is_stopped(void *context)
{
    return ((const ledger *)context)->stop;
}

static mg_status run_tasks(mg_workers *workers, int64_t count, ledger *l, mg_error *err)
{
    mg_workers_calls calls = { request, take_answer, take_failure, is_stopped, l };
    l->next = 0;
    return mg_workers_run(workers, count, &calls, err);
}

#define WORKERS_MAX 4

typedef struct setting {
    char folder[64];
    const char *command[5];
    const char *const *commands[WORKERS_MAX];
} setting;

static mg_workers *open_workers(setting *s, const char *mode, int count)
{
    strcpy(s->folder, "/tmp/test_workers_XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    s->command[0] = "/proc/self/exe";
    s->command[1] = "worker";
    s->command[2] = mode;
    s->command[3] = s->folder;
    s->command[4] = NULL;
    for (int i = 0; i < WORKERS_MAX; i++) {
        s->commands[i] = s->command;
    }
    mg_workers_options options = { s->commands, count, 2 };
    return mg_workers_create(&options);
}

static void close_workers(setting *s, mg_workers *workers)
{
    mg_error err;
    mg_workers_destroy(workers);
    assert_ok(mg_folder_remove(s->folder, &err), &err);
}

static void answers_come_in_the_order_of_tasks(void **state)
{
    (void)state;
    for (int count = 1; count <= WORKERS_MAX; count++) {
        setting s;
        ledger l = { 0 };
        mg_error err;
        mg_workers *workers = open_workers(&s, "uneven", count);
        for (int64_t tasks = 0; tasks <= 40; tasks += 20) { /* the same processes each time */
            assert_ok(run_tasks(workers, tasks, &l, &err), &err);
            assert_int_equal(l.next, tasks);
            for (int64_t i = 0; i < tasks; i++) {
                assert_int_equal(l.squares[i], i * i);
            }
        }
        close_workers(&s, workers);
    }
}

static void a_worker_that_dies_is_replaced_and_its_task_tried_again(void **state)
{
    (void)state;
    setting s;
    ledger l = { 0 };
    mg_error err;
    mg_workers *workers = open_workers(&s, "dies-once", 3);
    assert_ok(run_tasks(workers, 12, &l, &err), &err);
    assert_int_equal(l.next, 12);
    for (int64_t i = 0; i < 12; i++) {
        assert_int_equal(l.squares[i], i * i);
    }
    close_workers(&s, workers);
}

static void a_task_over_which_two_workers_end_fails_alone(void **state)
{
    (void)state;
    setting s;
    ledger l = { 0 };
    mg_error err;
    mg_workers *workers = open_workers(&s, "dies-on-four", 2);
    assert_ok(run_tasks(workers, 10, &l, &err), &err);
    for (int64_t i = 0; i < 10; i++) {
        assert_int_equal(l.squares[i], i == 4 ? -1 : i * i);
    }
    assert_int_equal(l.whys[4], MG_ERR_DEVICE);
    close_workers(&s, workers);
}

static void workers_that_never_get_ready_end_the_run(void **state)
{
    (void)state;
    setting s;
    ledger l = { 0 };
    mg_error err;
    mg_workers *workers = open_workers(&s, "never-ready", 2);
    assert_status(run_tasks(workers, 5, &l, &err), MG_ERR_DEVICE);
    assert_non_null(strstr(err.message, "exit status 4"));
    close_workers(&s, workers);
}

static void a_worker_that_refuses_ends_the_run_with_its_message(void **state)
{
    (void)state;
    setting s;
    ledger l = { 0 };
    mg_error err;
    mg_workers *workers = open_workers(&s, "refuses", 1);
    assert_status(run_tasks(workers, 5, &l, &err), MG_ERR_CONFIG);
    assert_string_equal(err.message, "no tasks here");
    assert_int_equal(l.next, 0);
    close_workers(&s, workers);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    setting s;
    ledger l = { 0 };
    mg_error err;
    mg_workers *workers = open_workers(&s, "", 1);
    s.command[0] = "/nowhere/merganser";
    assert_status(run_tasks(workers, 5, &l, &err), MG_ERR_IO);
    assert_non_null(strstr(err.message, "/nowhere/merganser"));
    close_workers(&s, workers);
}

/* Says stop when it has been asked a few times. */
static bool stops_soon(void *context)
{
    ledger *l = context;
    return ++l->squares[63] > 4;
}

static void a_stop_asks_busy_workers_and_begins_nothing_more(void **state)
{
    (void)state;
    setting s;
    ledger l = { 0 };
    mg_error err;
    mg_workers *workers = open_workers(&s, "slow", 2);
    mg_workers_calls calls = { request, take_answer, take_failure, stops_soon, &l };
    assert_ok(mg_workers_run(workers, 5, &calls, &err), &err);
    assert_int_equal(l.next, 5);
    for (int64_t i = 0; i < 5; i++) { /* a stopped worker says -1 */
        assert_int_equal(l.squares[i], i < 2 ? 1 : -1);
        assert_int_equal(l.whys[i], i < 2 ? MG_OK : MG_ERR_INTERRUPTED);
    }
    close_workers(&s, workers);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "worker") == 0) {
        return run_worker(argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_the_order_of_tasks),
        cmocka_unit_test(a_worker_that_dies_is_replaced_and_its_task_tried_again),
        cmocka_unit_test(a_task_over_which_two_workers_end_fails_alone),
        cmocka_unit_test(workers_that_never_get_ready_end_the_run),
        cmocka_unit_test(a_worker_that_refuses_ends_the_run_with_its_message),
        cmocka_unit_test(a_program_that_is_not_there_is_an_error),
        cmocka_unit_test(a_stop_asks_busy_workers_and_begins_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
