/* The python worker: values, prints, failures that name file, line and function, hangs and crashes.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "eval/python.h"
#include "eval/python_internal.h"
#include "text/json.h"

static const char source[] =
    "import os, sys, time\n"                                   /* 1 */
    "def double(x):\n    return x * 2\n"                       /* 2 */
    "def shout(x):\n    print('noise' * 1000)\n    return x\n" /* 4 */
    "def fail_on_two(x):\n    if x == 2:\n        raise ValueError('two is bad')\n    return x\n"
    "def odd(x):\n    return [float('nan'), float('inf'), (1, 2), {3}, None, b'hi', {'k': 1}]\n"
    "def thing(x):\n    return object()\n"
    "def hang_on_two(x):\n    while x == 2:\n        time.sleep(0.01)\n    return x\n"
    "def die_on_two(x):\n    if x == 2:\n        os._exit(3)\n    return x\n"
    "def crash(x):\n    os.kill(os.getpid(), 11)\n"
    "def leave(x):\n    sys.exit(1)\n"
    "def forge(x):\n    os.write(3, b'{\"id\": 99}\\n')\n    return x\n"
    "def rows(dataset):\n"
    "    return dataset.filter(lambda d: d['n'] > 1).map(lambda d: {'m': d['n'] * 10})\n"
    "def not_rows(dataset):\n    return {'a': 1}\n";

typedef struct fixture {
    mg_arena arena;
    char root[64];
    mg_function function;
    mg_python *python;
    mg_buf got; /* what the calls gave, one a line */
    int64_t calls;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(fixture));
    mg_error err;
    strcpy(f->root, "/tmp/mg-python-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    f->function.file = mg_path_join(&f->arena, f->root, "user.py");
    f->function.where = mg_str_of("task.yaml:3");
    assert_ok(mg_file_write_atomic(f->function.file.data, mg_str_of(source), &err), &err);
    f->python = mg_python_create(NULL, 1.5, NULL, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_python_destroy(f->python);
    assert_ok(mg_folder_remove(f->root, &err), &err);
    mg_buf_release(&f->got);
    mg_arena_release(&f->arena);
    free(f);
    return 0;
}

static mg_status keep(void *context, int64_t index, const mg_value *value, const char *failure,
                      mg_error *err)
{
    (void)err;
    fixture *f = context;
    assert_int_equal(index, f->calls++);
    if (failure != NULL) {
        mg_buf_printf(&f->got, "! %s\n", failure);
    } else {
        mg_json_write(&f->got, value, NULL);
        mg_buf_add_char(&f->got, '\n');
    }
    return MG_OK;
}

/* Calls name with 1, 2, .. count. */
static mg_status call(fixture *f, const char *name, int64_t count, mg_error *err)
{
    f->function.name = mg_str_of(name);
    f->function.place = mg_arena_printf(&f->arena, "%.*s: %s", MG_STR_ARG(f->function.file), name);
    f->calls = 0;
    mg_buf_clear(&f->got);
    mg_value calls = mg_value_of_list(&f->arena, count);
    for (int64_t i = 0; i < count; i++) {
        calls.items[i] = mg_value_of_list(&f->arena, 1);
        calls.items[i].items[0] = mg_value_of_int(i + 1);
    }
    return mg_python_call_many(f->python, "call_many", &f->function, &calls, NULL, keep, f, err);
}

/* PATH in expected stands for the user's file. */
static void assert_got(fixture *f, const char *expected)
{
    mg_buf text = { 0 };
    mg_str rest = mg_str_of(expected);
    int64_t at;
    while ((at = mg_str_find(rest, mg_str_of("PATH"), 0)) >= 0) {
        mg_buf_add(&text, mg_str_slice(rest, 0, (size_t)at));
        mg_buf_add(&text, f->function.file);
        rest = mg_str_slice(rest, (size_t)at + 4, rest.size);
    }
    mg_buf_add(&text, rest);
    assert_string_equal(f->got.data, text.data);
    mg_buf_release(&text);
}

static void calls_give_values_and_prints_are_kept_apart(void **state)
{
    fixture *f = *state;
    mg_error err;
    assert_false(mg_python_started(f->python));
    assert_ok(call(f, "double", 3, &err), &err);
    assert_got(f, "2\n4\n6\n");
    assert_ok(call(f, "shout", 2, &err), &err);
    assert_got(f, "1\n2\n");
    assert_true(mg_python_started(f->python));
}

static void unusual_values_become_json(void **state)
{
    fixture *f = *state;
    mg_error err;
    assert_ok(call(f, "odd", 1, &err), &err);
    assert_got(f, "[NaN, Infinity, [1, 2], [3], null, \"aGk=\", {\"k\": 1}]\n");
    assert_ok(call(f, "thing", 1, &err), &err);
    assert_non_null(strstr(f->got.data, "user.py:13: thing: returned a value of type object"));
}

static void an_exception_fails_its_call_and_names_the_line(void **state)
{
    fixture *f = *state;
    mg_error err;
    assert_ok(call(f, "fail_on_two", 3, &err), &err);
    assert_got(f, "1\n! PATH:9: fail_on_two: ValueError: two is bad\n3\n");
}

static void a_hang_is_stopped_and_the_rest_goes_on(void **state)
{
    fixture *f = *state;
    mg_error err;
    double start = mg_clock_now(NULL);
    assert_ok(call(f, "hang_on_two", 3, &err), &err);
    assert_got(f, "1\n! PATH: hang_on_two: took longer than 1.5 s and was stopped\n3\n");
    assert_true(mg_clock_now(NULL) - start < 15);
}

static void a_death_of_the_worker_fails_its_call_alone(void **state)
{
    fixture *f = *state;
    mg_error err;
    assert_ok(call(f, "die_on_two", 3, &err), &err);
    assert_got(f, "1\n! PATH: die_on_two: ended the python worker (exit status 3)\n3\n");
    assert_ok(call(f, "crash", 1, &err), &err);
    assert_got(f, "! PATH: crash: crashed the python worker (signal 11)\n");
    assert_status(call(f, "crash", 10, &err), MG_ERR_USER_CODE);
    assert_ok(call(f, "double", 1, &err), &err);
}

static void leaving_and_forged_answers_are_errors(void **state)
{
    fixture *f = *state;
    mg_error err;
    (void)!call(f, "leave", 1, &err);
    assert_status(call(f, "forge", 9, &err), MG_ERR_USER_CODE);
    assert_non_null(strstr(err.message, "nonsense"));
    assert_ok(call(f, "double", 1, &err), &err);
}

static void a_missing_function_file_or_python_is_named(void **state)
{
    fixture *f = *state;
    mg_error err;
    assert_status(call(f, "nothing", 1, &err), MG_ERR_USER_CODE);
    assert_non_null(strstr(err.message, "user.py: has no function 'nothing'"));
    assert_ok(mg_file_write_atomic(f->function.file.data, mg_str_of("x = (\n"), &err), &err);
    assert_status(call(f, "double", 1, &err), MG_ERR_USER_CODE);
    assert_non_null(strstr(err.message, "SyntaxError"));
    mg_python *absent = mg_python_create("/no/such/python", 1, NULL, 0);
    mg_python *present = f->python;
    f->python = absent;
    assert_status(call(f, "double", 1, &err), MG_ERR_NOT_FOUND);
    f->python = present;
    assert_non_null(strstr(err.message, "task.yaml:3: function 'double'"));
    assert_non_null(strstr(err.message, "/no/such/python"));
    mg_python_destroy(absent);
}

static void a_changed_file_is_loaded_again(void **state)
{
    fixture *f = *state;
    mg_error err;
    assert_ok(call(f, "double", 1, &err), &err);
    assert_ok(mg_file_write_atomic(f->function.file.data,
                                   mg_str_of("def double(x):\n    return -x\n"), &err),
              &err);
    assert_ok(call(f, "double", 1, &err), &err);
    assert_got(f, "-1\n");
}

static void helpers_of_the_same_name_stay_apart(void **state)
{
    fixture *f = *state;
    mg_error err;
    static const char *const folders[] = { "one", "two" };
    mg_str first = f->function.file;
    for (int i = 0; i < 2; i++) {
        mg_str folder = mg_path_join(&f->arena, f->root, folders[i]);
        assert_ok(mg_folder_make(folder.data, &err), &err);
        assert_ok(mg_file_write_atomic(mg_path_join(&f->arena, folder.data, "helper.py").data,
                                       mg_arena_printf(&f->arena, "NAME = '%s'\n", folders[i]),
                                       &err),
                  &err);
        f->function.file = mg_path_join(&f->arena, folder.data, "task.py");
        assert_ok(mg_file_write_atomic(f->function.file.data,
                                       mg_str_of("from helper import NAME\n\n\n"
                                                 "def name(x):\n    return NAME\n"),
                                       &err),
                  &err);
        assert_ok(call(f, "name", 1, &err), &err);
        assert_string_equal(f->got.data, i == 0 ? "\"one\"\n" : "\"two\"\n");
    }
    f->function.file = first;
}

static void process_docs_gets_a_data_set(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_value members;
    mg_value made;
    f->function.name = mg_str_of("rows");
    assert_ok(mg_json_parse(mg_str_of("{\"rows\": [{\"n\": 1}, {\"n\": 2}, {\"n\": 3}], "
                                      "\"columns\": [\"n\"]}"),
                            "members", &f->arena, &members, &err),
              &err);
    /* importing a real `datasets` package may take longer than the calls of this test */
    mg_python *patient = mg_python_create(NULL, 60, NULL, 0);
    assert_ok(
        mg_python_request(patient, "map_split", &f->function, &members, &f->arena, &made, &err),
        &err);
    mg_json_write(&f->got, &made, NULL);
    assert_string_equal(f->got.data, "[{\"n\": 2, \"m\": 20}, {\"n\": 3, \"m\": 30}]");
    f->function.name = mg_str_of("not_rows");
    assert_status(
        mg_python_request(patient, "map_split", &f->function, &members, &f->arena, &made, &err),
        MG_ERR_USER_CODE);
    assert_non_null(strstr(err.message, "not_rows returned a dict"));
    mg_python_destroy(patient);
}

/* An interpreter that is none: a script of sh, which has the socket as descriptor 3. */
static mg_python *fake_python(fixture *f, const char *script, double timeout_s)
{
    mg_error err;
    const char *path = mg_path_join(&f->arena, f->root, "python").data;
    mg_str text = mg_arena_printf(&f->arena, "#!/bin/sh\n%s\n", script);
    assert_ok(mg_file_write_atomic(path, text, &err), &err);
    assert_int_equal(chmod(path, 0755), 0);
    return mg_python_create(path, timeout_s, NULL, 0);
}

static void a_python_that_does_not_start_is_told_with_the_time_it_had(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_value made;
    f->function.name = mg_str_of("rows");
    mg_python *python = fake_python(f, "exec sleep 100", 50);
    mg_python_start_within(python, 0.3);
    assert_status(
        mg_python_request(python, "map_split", &f->function, NULL, &f->arena, &made, &err),
        MG_ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "has not started within 0.3 s"));
    mg_python_destroy(python);
}

static bool stop_after_a_second(void *context)
{
    return mg_clock_now(NULL) - *(const double *)context > 1.0;
}

/* A request larger than the socket holds, to a worker that takes nothing. */
static void a_stop_is_noticed_while_a_request_is_sent(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_value made;
    mg_value members = mg_value_of_map(&f->arena, 1);
    mg_buf text = { 0 };
    for (int i = 0; i < 1 << 20; i++) {
        mg_buf_add_text(&text, "abcd");
    }
    members.entries[0].key = mg_value_of_str(&f->arena, mg_str_of("rows"));
    members.entries[0].value = mg_value_of_str(&f->arena, mg_buf_view(&text));
    f->function.name = mg_str_of("rows");
    mg_python *python = fake_python(f, "echo '{}' >&3; exec sleep 100", 50);
    double begin = mg_clock_now(NULL);
    mg_python_stop_when(python, stop_after_a_second, &begin);
    assert_status(
        mg_python_request(python, "map_split", &f->function, &members, &f->arena, &made, &err),
        MG_ERR_INTERRUPTED);
    assert_true(mg_clock_now(NULL) - begin < 10.0);
    mg_python_destroy(python);
    mg_buf_release(&text);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(calls_give_values_and_prints_are_kept_apart),
        WITH(unusual_values_become_json),
        WITH(an_exception_fails_its_call_and_names_the_line),
        WITH(a_hang_is_stopped_and_the_rest_goes_on),
        WITH(a_death_of_the_worker_fails_its_call_alone),
        WITH(leaving_and_forged_answers_are_errors),
        WITH(a_missing_function_file_or_python_is_named),
        WITH(a_changed_file_is_loaded_again),
        WITH(helpers_of_the_same_name_stay_apart),
        WITH(process_docs_gets_a_data_set),
        WITH(a_python_that_does_not_start_is_told_with_the_time_it_had),
        WITH(a_stop_is_noticed_while_a_request_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
