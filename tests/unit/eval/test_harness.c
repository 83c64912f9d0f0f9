/* Tasks of every output type against lm-evaluation-harness: prompts byte for byte, request tokens
 * id for id, and with the same answers the same filtered responses, metrics and standard errors.
 * The engine here is a stand-in that gives the recorded answers in order (tests/golden/tasks). */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fs.h"
#include "eval/suite_report.h"
#include "eval/suite.h"
#include "text/json.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/tasks/"
#define EXPECTED_BYTES_MAX ((size_t)64 << 20)

/* The recorded requests of the task group under test. */
static const mg_value *asked;
static int64_t next_request;
static int64_t wrong_ids;

static bool same_ids(const mg_value *expected, const int32_t *ids, int64_t count)
{
    bool same = expected->count == count;
    for (int64_t i = 0; same && i < count; i++) {
        same = expected->items[i].integer == ids[i];
    }
    return same;
}

mg_status mg_engine_generate(mg_engine *engine, const mg_generate_request *requests, int64_t count,
                             mg_generation_done *done, void *context, mg_error *err)
{
    (void)engine;
    (void)err;
    for (int64_t i = 0; i < count; i++) {
        assert_true(next_request < asked->count);
        const mg_value *entry = &asked->items[next_request++];
        wrong_ids += !same_ids(&entry->items[0], requests[i].ids, requests[i].id_count);
        mg_generation result = { .text = entry->items[1].string, .nonfinite_at = -1 };
        assert_true(done(context, i, &result));
    }
    return MG_OK;
}

mg_status mg_engine_score(mg_engine *engine, const mg_score_request *requests, int64_t count,
                          mg_score_done *done, void *context, mg_error *err)
{
    (void)engine;
    (void)err;
    for (int64_t i = 0; i < count; i++) {
        assert_true(next_request < asked->count);
        const mg_value *entry = &asked->items[next_request++];
        wrong_ids +=
            !same_ids(&entry->items[0], requests[i].context, requests[i].context_count) ||
            !same_ids(&entry->items[1], requests[i].continuation, requests[i].continuation_count);
        mg_score result = { .is_greedy = entry->items[3].boolean };
        assert_true(mg_value_to_double(&entry->items[2], &result.logprob));
        assert_true(done(context, i, &result));
    }
    return MG_OK;
}

typedef struct fixture {
    mg_arena arena;
    mg_value expected;
    mg_tokenizer *tokenizer;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(fixture));
    mg_error err;
    assert_ok(
        mg_json_read(GOLDEN "expected.json", EXPECTED_BYTES_MAX, &f->arena, &f->expected, &err),
        &err);
    assert_ok(mg_tokenizer_open(MG_SOURCE_DIR "/examples/mini/models/mini-ja", &f->tokenizer, &err),
              &err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    mg_tokenizer_close(f->tokenizer);
    mg_arena_release(&f->arena);
    free(f);
    return 0;
}

/* What compares one task. */
typedef struct checker {
    const char *name;
    const mg_task *task;
    const mg_prepared_task *prepared;
    mg_task_results *results;
    const mg_value *rows;
    int64_t failures;
} checker;

static void complain(checker *check, int64_t item, const char *what, const mg_value *expected,
                     const mg_value *got)
{
    mg_buf text = { 0 };
    mg_json_write(&text, expected, NULL);
    mg_buf_add_text(&text, "\n  got ");
    mg_json_write(&text, got, NULL);
    print_message("%s, row %d, %s:\n  expected %s\n", check->name, (int)item, what, text.data);
    mg_buf_release(&text);
    check->failures++;
}

static bool same_value(const mg_value *a, const mg_value *b)
{
    double x;
    double y;
    if (a->kind == MG_LIST && b->kind == MG_LIST && a->count == b->count) {
        for (int64_t i = 0; i < a->count; i++) {
            if (!same_value(&a->items[i], &b->items[i])) {
                return false;
            }
        }
        return true;
    }
    if (mg_value_to_double(a, &x) && mg_value_to_double(b, &y)) {
        return fabs(x - y) <= 1e-9 * fmax(1, fabs(x)) || (isnan(x) && isnan(y));
    }
    return mg_value_equal(a, b);
}

static void check_arguments(checker *check, const mg_value *row, int64_t item)
{
    mg_arena arena = { 0 };
    mg_error err;
    mg_value arguments;
    assert_ok(mg_prepared_task_arguments(check->prepared, item, &arena, &arguments, &err), &err);
    const mg_value *expected = mg_value_get(row, "arguments");
    bool same = expected->count == arguments.count;
    for (int64_t i = 0; same && i < expected->count; i++) {
        for (int64_t k = 0; same && k < expected->items[i].count; k++) {
            same = mg_value_equal(&expected->items[i].items[k], &arguments.items[i].items[k]);
        }
    }
    if (!same) {
        complain(check, item, "arguments", expected, &arguments);
    }
    mg_arena_release(&arena);
}

/* The value of metric,filter that the item gave, or NULL. */
static const mg_value *value_of(const checker *check, const mg_item_result *result, mg_str metric,
                                mg_str filter)
{
    mg_arena arena = { 0 };
    mg_str key = mg_arena_printf(&arena, "%.*s,%.*s", MG_STR_ARG(metric), MG_STR_ARG(filter));
    int64_t index = mg_task_metric_find(check->task, key);
    const mg_value *value =
        index >= 0 ? result->values[index] : mg_value_get_str(result->extras, key);
    mg_arena_release(&arena);
    return value;
}

static bool check_item(void *context, const mg_item_result *result)
{
    checker *check = context;
    mg_task_results_add(check->results, result);
    if (result->failed) {
        print_message("%s, row %d failed: %s\n", check->name, (int)result->item, result->message);
        check->failures++;
        return true;
    }
    for (int64_t i = 0; i < check->rows->count; i++) {
        const mg_value *row = &check->rows->items[i];
        mg_str filter = mg_value_get(row, "filter")->string;
        if (mg_value_get(row, "doc_id")->integer != result->item) {
            continue;
        }
        check_arguments(check, row, result->item);
        for (int64_t f = 0; f < mg_task_filter_count(check->task); f++) {
            const mg_value *filtered = mg_value_get(row, "filtered");
            if (mg_str_equal(mg_task_filter(check->task, f), filter) &&
                !same_value(filtered, &result->filtered[f])) {
                complain(check, result->item, "filtered", filtered, &result->filtered[f]);
            }
        }
        const mg_value *metrics = mg_value_get(row, "metrics");
        for (int64_t m = 0; m < metrics->count; m++) {
            const mg_entry *entry = &metrics->entries[m];
            const mg_value *got = value_of(check, result, entry->key.string, filter);
            if (got == NULL || !same_value(&entry->value, got)) {
                complain(check, result->item, entry->key.string.data, &entry->value,
                         got != NULL ? got : &mg_value_null);
            }
        }
    }
    return true;
}

static int64_t check_results(const char *name, const mg_value *expected, const mg_value *report)
{
    const mg_value *tasks = mg_value_get(expected, "results");
    int64_t failures = 0;
    for (int64_t t = 0; t < tasks->count; t++) {
        const mg_value *ours =
            mg_value_get_str(mg_value_get(report, "results"), tasks->entries[t].key.string);
        const mg_value *theirs = &tasks->entries[t].value;
        for (int64_t i = 0; i < theirs->count; i++) {
            const mg_value *got = mg_value_get_str(ours, theirs->entries[i].key.string);
            if (got == NULL || !same_value(&theirs->entries[i].value, got)) {
                mg_buf text = { 0 };
                mg_json_write(&text, &theirs->entries[i].value, NULL);
                mg_buf_add_text(&text, ", got ");
                mg_json_write(&text, got != NULL ? got : &mg_value_null, NULL);
                print_message("%s: %s of %s: expected %s\n", name,
                              theirs->entries[i].key.string.data, tasks->entries[t].key.string.data,
                              text.data);
                mg_buf_release(&text);
                failures++;
            }
        }
    }
    return failures;
}

/* Runs what name stands for with the recorded answers; returns the number of differences. */
static int64_t run_golden(const fixture *f, const char *name, const mg_value *expected)
{
    const char *include = GOLDEN "files";
    mg_task_options options = {
        .include_paths = &include, .include_count = 1, .num_fewshot = -1, .fewshot_seed = 1234
    };
    mg_error err;
    mg_suite *suite;
    mg_arena arena = { 0 };
    int64_t failures = 0;
    if (mg_suite_open(&name, 1, &options, &suite, &err) != MG_OK) {
        print_message("%s: %s\n", name, err.message);
        return 1;
    }
    asked = mg_value_get(expected, "asked");
    next_request = 0;
    wrong_ids = 0;
    int64_t count = mg_suite_task_count(suite);
    mg_task_results **results = calloc((size_t)count, sizeof(*results));
    for (int64_t t = 0; t < count; t++) {
        mg_task *task = mg_suite_task(suite, t);
        mg_prepared_task *prepared;
        assert_ok(mg_prepare_task(task, f->tokenizer, 512, &prepared, &err), &err);
        results[t] = mg_task_results_create(task);
        const mg_value *rows =
            mg_value_get_str(mg_value_get(expected, "tasks"), mg_task_name(task));
        assert_non_null(rows);
        checker check = { name, task, prepared, results[t], rows, 0 };
        for (int64_t item = 0; item < mg_task_item_count(task); item++) {
            mg_status status = mg_run_items(prepared, NULL, &item, 1, check_item, &check, &err);
            if (status != MG_OK) {
                print_message("%s: row %d: %s\n", name, (int)item, err.message);
                failures++;
            }
        }
        failures += check.failures;
        mg_prepared_task_destroy(prepared);
    }
    if (wrong_ids > 0 || next_request != asked->count) {
        print_message("%s: %d of %d requests with other ids, %d asked\n", name, (int)wrong_ids,
                      (int)asked->count, (int)next_request);
        failures++;
    }
    mg_report_options report_options = { .bootstrap_iterations = 2000 };
    mg_value report;
    if (mg_report_build(suite, results, &report_options, &arena, &report, &err) == MG_OK) {
        failures += check_results(name, expected, &report);
    } else {
        print_message("%s: %s\n", name, err.message);
        failures++;
    }
    for (int64_t t = 0; t < count; t++) {
        mg_task_results_destroy(results[t]);
    }
    free(results);
    mg_arena_release(&arena);
    mg_suite_close(suite);
    return failures;
}

static void prompts_requests_and_scores_are_the_harness_s(void **state)
{
    const fixture *f = *state;
    int64_t failures = 0;
    int64_t tasks = 0;
    assert_true(f->expected.count >= 40);
    for (int64_t i = 0; i < f->expected.count; i++) {
        const mg_entry *entry = &f->expected.entries[i];
        int64_t wrong = run_golden(f, entry->key.string.data, &entry->value);
        failures += wrong > 0;
        tasks++;
    }
    print_message("%d of %d tasks as the harness\n", (int)(tasks - failures), (int)tasks);
    assert_int_equal(failures, 0);
}

/* The tokenizer of mini-ja with a chat template, in a folder of its own. */
static mg_tokenizer *open_with_template(const char *folder, mg_str chat_template)
{
    static const char *const model = MG_SOURCE_DIR "/examples/mini/models/mini-ja/";
    mg_error err;
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_value config;
    mg_tokenizer *tokenizer;
    assert_ok(mg_json_read(mg_arena_printf(&arena, "%stokenizer_config.json", model).data,
                           EXPECTED_BYTES_MAX, &arena, &config, &err),
              &err);
    mg_value more = mg_value_of_map(&arena, config.count + 1);
    memcpy(more.entries, config.entries, (size_t)config.count * sizeof(mg_entry));
    more.entries[config.count].key = mg_value_of_str(&arena, mg_str_of("chat_template"));
    more.entries[config.count].value = mg_value_of_str(&arena, chat_template);
    mg_json_write(&text, &more, NULL);
    assert_ok(mg_file_write_atomic(mg_path_join(&arena, folder, "tokenizer_config.json").data,
                                   mg_buf_view(&text), &err),
              &err);
    assert_ok(mg_file_copy(mg_arena_printf(&arena, "%stokenizer.json", model).data,
                           mg_path_join(&arena, folder, "tokenizer.json").data, &err),
              &err);
    assert_ok(mg_tokenizer_open(folder, &tokenizer, &err), &err);
    mg_buf_release(&text);
    mg_arena_release(&arena);
    return tokenizer;
}

/* One conversation style of one task; returns the number of differences. */
static int64_t run_chat(const mg_value *expected, const mg_tokenizer *tokenizer)
{
    const char *include = GOLDEN "files";
    const char *name = mg_value_get(expected, "task")->string.data;
    const mg_value *system = mg_value_get(expected, "system");
    mg_task_options options = { .include_paths = &include,
                                .include_count = 1,
                                .num_fewshot = -1,
                                .fewshot_seed = 1234,
                                .limit = 3,
                                .apply_chat_template = true,
                                .fewshot_as_multiturn =
                                    mg_value_get(expected, "multiturn")->boolean,
                                .system_instruction = system->string };
    mg_error err;
    mg_task *task;
    mg_prepared_task *prepared;
    assert_ok(mg_task_open(name, &options, &task, &err), &err);
    assert_ok(mg_prepare_task(task, tokenizer, 512, &prepared, &err), &err);
    assert_true(mg_prepared_task_uses_chat(prepared));
    checker check = { name, task, prepared, NULL, NULL, 0 };
    for (int64_t item = 0; item < mg_task_item_count(task); item++) {
        mg_value row = mg_value_null;
        mg_arena arena = { 0 };
        row = mg_value_of_map(&arena, 1);
        row.entries[0].key = mg_value_of_str(&arena, mg_str_of("arguments"));
        row.entries[0].value = mg_value_get(expected, "arguments")->items[item];
        check_arguments(&check, &row, item);
        mg_arena_release(&arena);
    }
    asked = mg_value_get(expected, "asked");
    int64_t wrong = check.failures;
    int64_t at = 0;
    for (int64_t item = 0; item < mg_task_item_count(task); item++) {
        for (int64_t r = 0; r < mg_prepared_task_request_count(prepared, item); r++) {
            mg_score_request request;
            const mg_value *entry = &asked->items[at++];
            mg_prepared_task_request(prepared, item, r, &request);
            bool same =
                same_ids(&entry->items[0], request.context, request.context_count) &&
                (entry->items[1].kind != MG_LIST ||
                 same_ids(&entry->items[1], request.continuation, request.continuation_count));
            if (!same) {
                print_message("%s, row %d, request %d: other ids\n", name, (int)item, (int)r);
                wrong++;
            }
        }
    }
    mg_prepared_task_destroy(prepared);
    mg_task_close(task);
    return wrong;
}

static void chat_prompts_are_the_harness_s(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_error err;
    mg_value cases;
    char folder[] = "/tmp/mg-chat-XXXXXX";
    int64_t failures = 0;
    assert_non_null(mkdtemp(folder));
    assert_ok(mg_json_read(GOLDEN "expected_chat.json", EXPECTED_BYTES_MAX, &arena, &cases, &err),
              &err);
    for (int64_t i = 0; i < cases.count; i++) {
        mg_tokenizer *tokenizer =
            open_with_template(folder, mg_value_get(&cases.items[i], "template")->string);
        failures += run_chat(&cases.items[i], tokenizer) > 0;
        mg_tokenizer_close(tokenizer);
    }
    print_message("%d of %d conversations as the harness\n", (int)(cases.count - failures),
                  (int)cases.count);
    assert_int_equal(failures, 0);
    assert_ok(mg_folder_remove(folder, &err), &err);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_prompts_are_the_harness_s),
        cmocka_unit_test_setup_teardown(prompts_requests_and_scores_are_the_harness_s, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
