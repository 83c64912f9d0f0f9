/* Task files: the article's own, mistakes with file and line, functions inside the include paths,
 * failing rows, groups, hashes. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fs.h"
#include "eval/runner.h"
#include "eval/suite.h"
#include "eval/task.h"

/* What the stand-in engine answers, whatever is asked. */
static const char *answer = "";
static bool fails;

mg_status mg_engine_generate(mg_engine *engine, const mg_generate_request *requests, int64_t count,
                             mg_generation_done *done, void *context, mg_error *err)
{
    (void)engine;
    (void)err;
    (void)requests;
    for (int64_t i = count - 1; i >= 0; i--) { /* any order of completion */
        mg_generation result = { .text = mg_str_of(answer),
                                 .nonfinite_at = fails ? 3 : -1,
                                 .finish = fails ? MG_FINISH_FAILED : MG_FINISH_EOS };
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
        mg_score result = { .logprob = -(double)requests[i].continuation_count, .failed = fails };
        assert_true(done(context, i, &result));
    }
    return MG_OK;
}

typedef struct fixture {
    mg_arena arena;
    char root[64];
    mg_tokenizer *tokenizer;
    mg_task_options options;
    mg_task_results *results;
    int64_t next; /* items come in ascending order */
    char message[512];
} fixture;

static void put(fixture *f, const char *name, const char *text)
{
    mg_error err;
    mg_str path = mg_path_join(&f->arena, f->root, name);
    assert_ok(mg_folder_make(mg_path_folder(&f->arena, path.data).data, &err), &err);
    assert_ok(mg_file_write_atomic(path.data, mg_str_of(text), &err), &err);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(fixture));
    mg_error err;
    strcpy(f->root, "/tmp/mg-task-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    assert_ok(mg_tokenizer_open(MG_SOURCE_DIR "/examples/mini/models/mini-ja", &f->tokenizer, &err),
              &err);
    f->options = (mg_task_options){
        .num_fewshot = -1, .fewshot_seed = 1234, .python_timeout_s = 20, .working_folder = f->root
    };
    put(f, "rows.jsonl",
        "{\"q\": \"one\", \"n\": 1, \"c\": [\"a\", \"bb\"]}\n"
        "{\"q\": \"two\", \"n\": 0, \"c\": [\"ccc\", \"d\"]}\n");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_tokenizer_close(f->tokenizer);
    assert_ok(mg_folder_remove(f->root, &err), &err);
    mg_arena_release(&f->arena);
    free(f);
    return 0;
}

#define HEAD                                                                                       \
    "dataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n"

static mg_status open_task(fixture *f, const char *text, mg_task **task, mg_error *err)
{
    put(f, "t.yaml", text);
    const char *path = mg_path_join(&f->arena, f->root, "t.yaml").data;
    return mg_task_open(path, &f->options, task, err);
}

static bool take(void *context, const mg_item_result *result)
{
    fixture *f = context;
    assert_int_equal(result->item, f->next++);
    mg_task_results_add(f->results, result);
    if (result->message != NULL) {
        snprintf(f->message, sizeof(f->message), "%s", result->message);
    }
    return true;
}

/* Runs all items; the value of metric 0. */
static double run(fixture *f, const mg_task *task)
{
    mg_error err;
    mg_prepared_task *prepared;
    assert_ok(mg_prepare_task(task, f->tokenizer, 512, &prepared, &err), &err);
    f->results = mg_task_results_create(task);
    f->next = 0;
    f->message[0] = '\0';
    assert_ok(mg_run_items(prepared, NULL, NULL, 0, take, f, &err), &err);
    double value = mg_task_results_value(f->results, 0);
    mg_task_results_destroy(f->results);
    mg_prepared_task_destroy(prepared);
    return value;
}

static void the_article_s_task_runs_unmodified(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    put(f, "tasks/mgsm_train.yaml",
        "task: mgsm_train\ndataset_path: arrow\ndataset_kwargs:\n  data_files:\n"
        "    train: mgsm/train/data-00000-of-00001.arrow\n"
        "    test: mgsm/test/data-00000-of-00001.arrow\noutput_type: generate_until\n"
        "training_split: null\ntest_split: train\ndoc_to_text: \"以下に、あるタスクを説明する指示が"
        "あります。\\n問題: {{question}}\\n答え:\"\ndoc_to_target: \"\"\n"
        "process_results: !function mgsm_metric.process_results\nmetric_list:\n  - metric: acc\n"
        "    aggregation: mean\n    higher_is_better: true\nmetadata:\n  version: 1.0\n");
    put(f, "tasks/mgsm_metric.py",
        "import re\n\n\ndef process_results(doc, results):\n"
        "    numbers = re.findall(r'\\d+', results[0])\n"
        "    if not numbers:\n        return {'acc': 0.0}\n"
        "    return {'acc': 1.0 if numbers[-1] == str(doc['number']) else 0.0}\n");
    const char *splits[] = { "train", "test" };
    for (int i = 0; i < 2; i++) {
        const char *folder = mg_arena_printf(&f->arena, "%s/mgsm/%s", f->root, splits[i]).data;
        assert_ok(mg_folder_make(folder, &err), &err);
        assert_ok(mg_file_copy(mg_arena_printf(&f->arena,
                                               "%s/tests/golden/tasks/files/saved/%s/"
                                               "data-00000-of-00001.arrow",
                                               MG_SOURCE_DIR, splits[i])
                                   .data,
                               mg_path_join(&f->arena, folder, "data-00000-of-00001.arrow").data,
                               &err),
                  &err);
    }
    const char *include = mg_path_join(&f->arena, f->root, "tasks").data;
    f->options.include_paths = &include;
    f->options.include_count = 1;
    f->options.apply_chat_template = true; /* the model has none: plain prompts, with a note */
    assert_ok(mg_task_open("mgsm_train", &f->options, &task, &err), &err);
    assert_int_equal(mg_task_item_count(task), 11);
    assert_string_equal(mg_task_metric(task, 0).data, "acc,none");
    answer = "それは 7 と 58 です";
    assert_float_equal(run(f, task), 1.0 / 11, 0.2);
    answer = "no number";
    assert_float_equal(run(f, task), 0, 0);
    mg_task_close(task);
}

static void native_metrics_need_no_python(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    f->options.python = "/no/such/python";
    assert_ok(open_task(f, "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: '{{n}}'\n", &task,
                        &err),
              &err);
    answer = "1";
    assert_float_equal(run(f, task), 0.5, 0);
    mg_task_close(task);
    assert_ok(open_task(f,
                        "task: t\n" HEAD "output_type: multiple_choice\ndoc_to_text: '{{q}}'\n"
                        "doc_to_choice: c\ndoc_to_target: n\n",
                        &task, &err),
              &err);
    assert_true(run(f, task) >= 0);
    mg_task_close(task);
}

static void all_mistakes_come_together_with_file_and_line(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    assert_status(open_task(f,
                            "task: t\n" HEAD "output_type: generate_untill\ndoc_to_text: '{{ q '\n"
                            "doc_to_target: n\nmetric_list:\n  - metric: exact_mach\n"
                            "filter_list:\n  - name: x\n    filter:\n      - function: regexp\n"
                            "process_docs: nothing\nnum_fewshot: -2\n",
                            &task, &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "t.yaml:5: output_type 'generate_untill'"));
    assert_non_null(strstr(err.message, "did you mean 'generate_until'?"));
    assert_non_null(strstr(err.message, "t.yaml:6"));
    assert_non_null(strstr(err.message, "did you mean 'exact_match'?"));
    assert_non_null(strstr(err.message, "unknown filter 'regexp'; did you mean 'regex'?"));
    assert_non_null(strstr(err.message, "'process_docs' must be"));
    assert_non_null(strstr(err.message, "'num_fewshot' must be"));
}

static void functions_must_lie_inside_the_include_paths(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    assert_status(open_task(f, "task: t\n" HEAD "doc_to_text: !function os.system\n", &task, &err),
                  MG_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "t.yaml:5: !function 'os.system'"));
    put(f, "inner/t2.yaml", "task: t2\n" HEAD "doc_to_text: !function link.f\n");
    put(f, "outside.py", "def f(doc):\n    return 'x'\n");
    mg_str from = mg_path_join(&f->arena, f->root, "outside.py");
    mg_str to = mg_path_join(&f->arena, f->root, "inner/link.py");
    assert_int_equal(symlink(from.data, to.data), 0);
    const char *path = mg_path_join(&f->arena, f->root, "inner/t2.yaml").data;
    assert_status(mg_task_open(path, &f->options, &task, &err), MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "outside the include paths"));
}

static void a_row_that_fails_is_marked_with_the_reason(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    static const char *const bodies[][2] = {
        { "1 / 0", "m.py:2: f: ZeroDivisionError" },
        { "[1]", "m.py:1: f: returned a list, expected a dict of metrics" },
        { "{'acc': float('nan')}", "m.py:1: f: returned NaN for 'acc', expected a finite number" },
        { "{'acc': 'high'}", "returned a string for 'acc'" },
    };
    for (int i = 0; i < MG_ARRAY_COUNT(bodies); i++) {
        put(f, "m.py",
            mg_arena_printf(&f->arena, "def f(doc, results):\n    return %s\n", bodies[i][0]).data);
        assert_ok(open_task(f,
                            "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n"
                            "process_results: !function m.f\nmetric_list: [{metric: acc, "
                            "aggregation: mean}]\n",
                            &task, &err),
                  &err);
        assert_true(isnan(run(f, task)));
        if (strstr(f->message, bodies[i][1]) == NULL) {
            fail_msg("expected '%s' in '%s'", bodies[i][1], f->message);
        }
        mg_task_close(task);
    }
}

static void logits_that_are_not_finite_fail_the_row(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    fails = true;
    assert_ok(open_task(f, "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: '{{n}}'\n", &task,
                        &err),
              &err);
    assert_true(isnan(run(f, task)));
    assert_non_null(strstr(f->message, "not finite at new token 3"));
    mg_task_close(task);
    fails = false;
}

static void a_row_s_own_template_error_names_it(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    assert_true(open_task(f, "task: t\n" HEAD "doc_to_text: '{{missing}}'\ndoc_to_target: ''\n",
                          &task, &err) != MG_OK);
    assert_non_null(strstr(err.message, "t.yaml:5: doc_to_text: row 0: template:1:1: 'missing'"));
    assert_true(open_task(f,
                          "task: t\n" HEAD "doc_to_text: '{{q | nofilter}}'\ndoc_to_target: ''\n",
                          &task, &err) != MG_OK);
    assert_non_null(strstr(err.message, "t.yaml:5: doc_to_text: template:1:"));
    assert_status(open_task(f,
                            "task: t\n" HEAD "doc_to_text: '{{q}}'\ntraining_split: null\n"
                            "doc_to_target: ''\nnum_fewshot: 5\n",
                            &task, &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "examples wanted"));
}

static void a_text_as_doc_to_choice_stands_for_its_letters(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    mg_prepared_task *prepared;
    const char *choices[] = { "w", "\"{{ \\\"'\\\" + w + \\\"'\\\" }}\"",
                              "!function letters.letters" };
    put(f, "letters.py", "def letters(doc):\n    return doc['w']\n");
    put(f, "letters.jsonl",
        "{\"q\": \"one\", \"w\": \"ABC\", \"t\": \"A\"}\n{\"q\": \"two\", \"w\": \"日本\", \"t\": "
        "\"本日\"}\n"
        "{\"q\": \"three\", \"w\": \"CD\", \"t\": \"CD\"}\n{\"q\": \"four\", \"w\": \"XY\", \"t\": "
        "\"\"}\n");
    for (int i = 0; i < 3; i++) {
        mg_str text = mg_arena_printf(
            &f->arena,
            "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: letters.jsonl}}\n"
            "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{q}}'\n"
            "doc_to_choice: %s\ndoc_to_target: t\n",
            choices[i]);
        assert_ok(open_task(f, text.data, &task, &err), &err);
        assert_ok(mg_prepare_task(task, f->tokenizer, 512, &prepared, &err), &err);
        assert_int_equal(mg_prepared_task_request_count(prepared, 0), 3);
        assert_int_equal(mg_prepared_task_request_count(prepared, 1), 2);
        mg_prepared_task_destroy(prepared);
        /* 'CD' and '' stand at the front of their texts, '本日' nowhere in its */
        assert_float_equal(run(f, task), 0.75, 0);
        mg_task_close(task);
    }
}

static void a_group_that_is_named_by_its_path_finds_the_tasks_beside_it(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_suite *suite;
    put(f, "t.yaml", "task: t\n" HEAD "doc_to_text: q\ndoc_to_target: ''\n");
    put(f, "g.yaml", "group: g\ntask: [t]\n");
    const char *path = mg_path_join(&f->arena, f->root, "g.yaml").data;
    assert_ok(mg_suite_open(&path, 1, &f->options, &suite, &err), &err);
    mg_suite_close(suite);
}

static void unknown_tasks_name_the_nearest(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    put(f, "a.yaml", "task: mgsm_train\n" HEAD "doc_to_text: q\ndoc_to_target: ''\n");
    const char *include = f->root;
    f->options.include_paths = &include;
    f->options.include_count = 1;
    assert_status(mg_task_open("mgsm_trian", &f->options, &task, &err), MG_ERR_USAGE);
    assert_non_null(strstr(err.message, "did you mean 'mgsm_train'?"));
    f->options.include_count = 0;
    assert_status(mg_task_open("mgsm_train", &f->options, &task, &err), MG_ERR_USAGE);
    assert_non_null(strstr(err.message, "--include-path"));
}

static void unsupported_features_are_named(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    assert_status(open_task(f, "task: t\n" HEAD "doc_to_text: q\ndoc_to_image: x\n", &task, &err),
                  MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'doc_to_image' is not supported"));
    assert_status(open_task(f,
                            "task: t\n" HEAD "doc_to_text: q\ngeneration_kwargs: {num_beams: 4}\n",
                            &task, &err),
                  MG_ERR_UNSUPPORTED);
    assert_status(open_task(f, "task: t\n" HEAD "doc_to_text: q\nunsafe_code: true\n", &task, &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "--confirm-run-unsafe-code"));
}

static void a_filter_that_the_task_s_own_file_registers_is_found(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    put(f, "own.py",
        "from lm_eval.api.filter import Filter\n"
        "from lm_eval.api.registry import register_filter\n"
        "@register_filter(\"last_word\")\n"
        "class Last(Filter):\n"
        "    def __init__(self, mark): self.mark = mark\n"
        "    def apply(self, resps, docs): return [[t.split()[-1] + self.mark for t in r] for r in "
        "resps]\n"
        "def score(doc, results): return {'acc': float(results[0] == 'end!')}\n");
    const char *text = "task: t\n" HEAD "doc_to_text: q\ndoc_to_target: ''\n"
                       "process_results: !function own.score\n"
                       "metric_list: [{metric: acc}]\nfilter_list:\n"
                       "  - {name: none, filter: [{function: %s, mark: '!'}, "
                       "{function: take_first}]}\n";
    answer = "this is the end";
    assert_ok(open_task(f, mg_arena_printf(&f->arena, text, "last_word").data, &task, &err), &err);
    assert_true(fabs(run(f, task) - 1) < 1e-12);
    mg_task_close(task);
    assert_status(open_task(f, mg_arena_printf(&f->arena, text, "last_wort").data, &task, &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "unknown filter 'last_wort'"));
}

static void the_hash_changes_with_what_decides_a_score(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    static const char *const files[] = {
        "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n",
        "task: other\n" HEAD "doc_to_text: '{{ q }}'\ndoc_to_target: ''\n",
        "task: t\n" HEAD "doc_to_text: '{{q}}.'\ndoc_to_target: ''\n",
        "task: t\n" HEAD
        "doc_to_text: '{{q}}'\ndoc_to_target: ''\ngeneration_kwargs: {until: [x]}\n",
        "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: x\n",
        "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n"
        "metadata: {merganser: {stop_early: {repeats: true}}}\n",
        "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n"
        "metadata: {merganser: {stop_early: {script: thai}}}\n",
        "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n"
        "metadata: {merganser: {stop_early: {answer: '[0-9]+'}}}\n",
    };
    char hashes[8][64];
    for (int i = 0; i < 8; i++) {
        assert_ok(open_task(f, files[i], &task, &err), &err);
        mg_task_hash(task, hashes[i]);
        mg_task_close(task);
    }
    assert_string_equal(hashes[0], hashes[1]); /* the name and the writing do not matter */
    for (int i = 2; i < 8; i++) {
        assert_string_not_equal(hashes[0], hashes[i]);
    }
    assert_string_not_equal(hashes[5], hashes[6]);
}

static void rules_for_an_early_stop_are_checked(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    assert_status(open_task(f,
                            "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n"
                            "metadata: {merganser: {stop_early: {script: japanesse}}}\n",
                            &task, &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "did you mean 'japanese'?"));
    assert_status(open_task(f,
                            "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n"
                            "metadata: {merganser: {stop_early: 3}}\n",
                            &task, &err),
                  MG_ERR_CONFIG);
    assert_status(open_task(f,
                            "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n"
                            "metadata: {merganser: {stop_early: {answer: '([0-9'}}}\n",
                            &task, &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "'answer'"));
}

/* The stand-in engine gives minus the tokens of a continuation. */
static void reference_answers_have_a_likelihood(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    mg_prepared_task *prepared;
    const int64_t items[] = { 1, 0 };
    double values[2];
    assert_ok(open_task(f,
                        "task: t\n" HEAD "doc_to_text: '{{q}}'\n"
                        "doc_to_target: '{{[\"longer words\" if n else \"x\", \"y\"]}}'\n",
                        &task, &err),
              &err);
    assert_ok(mg_prepare_task(task, f->tokenizer, 512, &prepared, &err), &err);
    assert_ok(mg_reference_likelihoods(prepared, NULL, items, 2, values, &err), &err);
    assert_true(values[0] < 0.0 && values[1] < values[0]);
    int64_t requests = mg_prepared_task_request_count(prepared, 1);
    assert_int_equal(requests, 1); /* what the task asks has not changed */
    fails = true;
    assert_status(mg_reference_likelihoods(prepared, NULL, items, 2, values, &err), MG_ERR_NUMERIC);
    fails = false;
    mg_prepared_task_destroy(prepared);
    mg_task_close(task);
    assert_ok(
        open_task(f, "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n", &task, &err),
        &err);
    assert_ok(mg_prepare_task(task, f->tokenizer, 512, &prepared, &err), &err);
    assert_status(mg_reference_likelihoods(prepared, NULL, items, 2, values, &err), MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "row 0 has no doc_to_target"));
    mg_prepared_task_destroy(prepared);
    mg_task_close(task);
}

static void limits_take_a_number_or_a_share(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_task *task;
    const double limits[] = { 1, 0.5, 0.75, 7 };
    const int64_t counts[] = { 1, 1, 2, 2 };
    for (int i = 0; i < 4; i++) {
        f->options.limit = limits[i];
        assert_ok(
            open_task(f, "task: t\n" HEAD "doc_to_text: '{{q}}'\ndoc_to_target: ''\n", &task, &err),
            &err);
        assert_int_equal(mg_task_item_count(task), counts[i]);
        assert_int_equal(mg_task_original_count(task), 2);
        mg_task_close(task);
    }
}

static void groups_that_contain_themselves_and_repeats_are_errors(void **state)
{
    fixture *f = *state;
    mg_error err;
    mg_suite *suite;
    put(f, "g.yaml", "group: loop\ntask: [loop]\n");
    put(f, "t.yaml", "task: t\n" HEAD "doc_to_text: q\ndoc_to_target: ''\n");
    put(f, "i.yaml", "include: i.yaml\ntask: i\n");
    const char *include = f->root;
    const char *names[] = { "loop", "t", "t", "i" };
    f->options.include_paths = &include;
    f->options.include_count = 1;
    assert_status(mg_suite_open(names, 1, &f->options, &suite, &err), MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "contains itself"));
    assert_status(mg_suite_open(names + 1, 2, &f->options, &suite, &err), MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "twice"));
    assert_true(mg_suite_open(names + 3, 1, &f->options, &suite, &err) != MG_OK);
    assert_non_null(strstr(err.message, "includes itself"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(the_article_s_task_runs_unmodified),
        WITH(native_metrics_need_no_python),
        WITH(all_mistakes_come_together_with_file_and_line),
        WITH(functions_must_lie_inside_the_include_paths),
        WITH(a_row_that_fails_is_marked_with_the_reason),
        WITH(logits_that_are_not_finite_fail_the_row),
        WITH(a_row_s_own_template_error_names_it),
        WITH(a_text_as_doc_to_choice_stands_for_its_letters),
        WITH(a_group_that_is_named_by_its_path_finds_the_tasks_beside_it),
        WITH(unknown_tasks_name_the_nearest),
        WITH(unsupported_features_are_named),
        WITH(a_filter_that_the_task_s_own_file_registers_is_found),
        WITH(the_hash_changes_with_what_decides_a_score),
        WITH(rules_for_an_early_stop_are_checked),
        WITH(reference_answers_have_a_likelihood),
        WITH(limits_take_a_number_or_a_share),
        WITH(groups_that_contain_themselves_and_repeats_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
