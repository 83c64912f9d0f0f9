"""`eval`: results, samples, limits; functions of users that raise, hang, print or end the process."""
import json
import os
import re
import shutil
import time
import unittest

from program import MODELS, TASKS, ProgramTest, environment, model_list

TASK = """task: own
dataset_path: json
dataset_kwargs:
  data_files: {test: rows.jsonl}
test_split: test
doc_to_text: "{{q}}\\n答え:"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 4}
process_results: !function own_metric.score
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


class Eval(ProgramTest):
    def eval(self, *options, model=MODELS / "mini-math-a", task="mini_ja_native", path=TASKS):
        return self.run_ok("eval", model, "--tasks", task, "--include-path", path, *options)

    def test_the_result_file_has_the_keys_of_the_harness(self):
        result = self.eval("--output", "out.json", "--log-samples", "s.jsonl", "--limit", "10")
        self.assertIn("mini_ja_native", result.out)
        report = json.loads((self.folder / "out.json").read_text())
        scores = report["results"]["mini_ja_native"]
        self.assertEqual(scores["alias"], "mini_ja_native")
        self.assertIn("exact_match_stderr,none", scores)
        for key in ("n-samples", "versions", "config"):
            self.assertIn(key, report)
        self.assertEqual(report["n-samples"]["mini_ja_native"], {"original": 126, "effective": 10})
        for key in ("version", "seconds"):
            self.assertIn(key, report["merganser"])
        self.assertRegex(report["merganser"]["device"], "^(cpu|cuda:)")
        samples = [json.loads(line) for line in (self.folder / "s.jsonl").read_text().splitlines()]
        self.assertEqual(sorted(s["doc_id"] for s in samples), list(range(10)))
        for sample in samples:
            for key in ("task", "doc", "arguments", "resps", "filtered_resps", "exact_match"):
                self.assertIn(key, sample)
            self.assertEqual(sample["doc"]["lang"], "ja")
        mean = sum(s["exact_match"] for s in samples) / 10
        self.assertAlmostEqual(scores["exact_match,none"], mean)
        self.assert_only(self.folder, "out.json", "s.jsonl")

    def test_json_goes_to_standard_output(self):
        report = json.loads(self.eval("--json", "--limit", "2").out)
        self.assertIn("mini_ja_native", report["results"])

    def test_generation_arguments_stand_over_those_of_the_task(self):
        self.eval("--limit", "1", "--log-samples", "s.jsonl", "--gen-kwargs",
                  "max_gen_toks=9,until=['a,b', \"+\"],temperature=0")
        sample = json.loads((self.folder / "s.jsonl").read_text())
        self.assertEqual(sample["arguments"][0][1], {"until": ["a,b", "+"], "do_sample": False,
                                                     "max_gen_toks": 9, "temperature": 0.0})
        self.assertNotIn("+", sample["resps"][0])
        self.fails(2, "eval", MODELS / "mini-ja", "--tasks", "mini_ja_native", "--include-path", TASKS,
                   "--gen-kwargs", "max_gen_toks")

    def test_patterns_folders_and_repeated_names_are_understood(self):
        base = ("eval", MODELS / "mini-ja", "--limit", "1", "--json")
        for options in (("--tasks", "mini_ja_n*,mini_en_test,mini_en_test", "--include-path", TASKS),
                        ("--tasks", "mini_?n_test", "--tasks", "*native", "--include-path", TASKS)):
            report = json.loads(self.run_ok(*base, *options).out)
            self.assertEqual(sorted(report["results"]), ["mini_en_test", "mini_ja_native"])
        report = json.loads(self.run_ok(*base, "--tasks", f"{TASKS}/").out)
        self.assertEqual(len(report["results"]), len(list(TASKS.glob("*.yaml"))))
        result = self.fails(2, *base, "--tasks", "nothing_*", "--include-path", TASKS)
        self.assertIn("nothing_*", result.err)

    def test_answers_alone_have_no_scores(self):
        report = json.loads(self.eval("--json", "--limit", "2", "--predict-only", "--log-samples", "s.jsonl",
                                      task="mini_ja_train").out)
        self.assertEqual(report["results"]["mini_ja_train"]["bypass,none"], 999)
        self.assertNotIn("acc,none", report["results"]["mini_ja_train"])
        self.assertTrue(json.loads((self.folder / "s.jsonl").read_text().splitlines()[0])["resps"][0])

    def test_a_chat_template_is_chosen_by_name(self):
        shutil.copytree(MODELS / "mini-ja", self.folder / "named")
        path = self.folder / "named" / "tokenizer_config.json"
        config = json.loads(path.read_text())
        config["chat_template"] = [{"name": name, "template": name + "{{ messages[0].content }}"}
                                   for name in ("default", "other")]
        path.write_text(json.dumps(config))
        for option, begin in (("", "default"), ("=other", "other")):
            self.eval("--limit", "1", "--log-samples", "s.jsonl", f"--apply-chat-template{option}",
                      model="named")
            prompt = json.loads((self.folder / "s.jsonl").read_text())["arguments"][0][0]
            self.assertTrue(prompt.startswith(begin), prompt)
        result = self.attempt("eval", "named", "--tasks", "mini_ja_native", "--include-path", TASKS,
                              "--apply-chat-template=third")
        self.assertIn("no chat template named 'third'", result.err)

    def test_a_share_of_the_rows_and_two_tasks_at_once(self):
        report = json.loads(self.eval("--json", "--limit", "0.05", "--tasks", "mini_en_test").out)
        self.assertEqual(report["n-samples"]["mini_ja_native"]["effective"], 7)
        self.assertEqual(report["n-samples"]["mini_en_test"]["effective"], 13)
        self.assertEqual(sorted(report["results"]), ["mini_en_test", "mini_ja_native"])

    def test_python_and_native_metrics_of_the_same_questions_agree(self):
        native = json.loads(self.eval("--json").out)["results"]["mini_ja_native"]["exact_match,none"]
        python = json.loads(self.eval("--json", task="mini_ja_train").out)["results"]["mini_ja_train"]["acc,none"]
        self.assertAlmostEqual(native, python)

    def test_answers_end_once_their_pattern_is_complete(self):
        """A sum such as 21+45= holds all that the pattern wants; what follows is not written any more."""
        samples = {}
        for name, rule in (("whole", "{}"), ("short", "{answer: '[0-9]+[+*-][0-9]+'}")):
            self.write(f"{name}.yaml", f"include: {TASKS / 'mini_ja_native.yaml'}\ntask: {name}\n"
                       f"metadata: {{version: 1.0, merganser: {{stop_early: {rule}}}}}\n")
            self.eval("--limit", "12", "--log-samples", f"{name}.jsonl", "--include-path", ".", task=name)
            lines = (self.folder / f"{name}.jsonl").read_text().splitlines()
            samples[name] = [json.loads(line)["resps"][0] for line in lines]
        for whole, short in zip(samples["whole"], samples["short"], strict=True):
            self.assertTrue(whole.startswith(short), (whole, short))
            found = re.search("[0-9]+[+*-][0-9]+", whole)
            if found and found.end() < len(whole):
                self.assertEqual(re.search("[0-9]+[+*-][0-9]+", short).group(), found.group())
                self.assertLessEqual(len(short), found.end() + 4)

    def test_a_native_metric_needs_no_python(self):
        bare = self.folder / "bin"
        bare.mkdir()
        env = dict(os.environ, PATH=str(bare))
        self.run_ok("eval", MODELS / "mini-ja", "--tasks", "mini_ja_native", "--include-path", TASKS,
                    "--limit", "2", env=env)
        result = self.attempt("eval", MODELS / "mini-ja", "--tasks", "mini_ja_train", "--include-path", TASKS,
                              "--limit", "2", env=env)
        self.assertEqual(result.code, 3)
        for part in ("python3", "mini_ja_train"):
            self.assertIn(part, result.err)

    def test_the_batch_and_the_threads_change_no_answer(self):
        runs = []
        for options in (("--batch-size", "1", "--threads", "1"), ("--batch-size", "17", "--threads", "3"), ()):
            self.eval("--limit", "20", "--log-samples", "s.jsonl", *options)
            runs.append(sorted((self.folder / "s.jsonl").read_text().splitlines()))
        self.assertEqual(runs[0], runs[1])
        self.assertEqual(runs[0], runs[2])

    def test_a_merge_configuration_is_merged_in_memory(self):
        self.write("merge.yml", "models:\n" + model_list(("mini-ja", "{weight: 0.5}"),
                                                         ("mini-math-a", "{weight: 0.5}")) +
                   "merge_method: linear\ndtype: bfloat16\n")
        self.run_ok("merge", "merge.yml", "out")
        tables = [self.eval("--limit", "30", model=model).out for model in ("merge.yml", "out")]
        self.assertEqual(tables[0], tables[1])
        self.assert_only(self.folder, "merge.yml", "out")

    def test_merges_of_several_documents_and_of_tokenizers_are_as_their_folders(self):
        both = model_list(("mini-ja", "{weight: 0.5}"), ("mini-math-a", "{weight: 0.5}"))
        self.write("several.yml", f"name: first\nmodels:\n{both}merge_method: linear\n---\nmodels:\n"
                   f"  - {{model: first, parameters: {{weight: 0.7}}}}\n"
                   f"  - {{model: {MODELS / 'mini-math-b'}, parameters: {{weight: 0.3}}}}\nmerge_method: linear\n"
                   "tokenizer: {source: union}\nchat_template: chatml\n")
        self.write("stack.yml", "merge_method: passthrough\nslices:\n"
                   f"  - sources: [{{model: {MODELS / 'mini-ja'}, layer_range: [0, 6]}}]\n"
                   f"  - sources: [{{model: {MODELS / 'mini-math-a'}, layer_range: [4, 8]}}]\n")
        place = self.folder / "temporary"
        place.mkdir()
        for name in ("several", "stack"):
            self.run_ok("merge", f"{name}.yml", name)
            lines = []
            for model in (f"{name}.yml", name):
                self.run_ok("eval", model, "--tasks", "mini_ja_native", "--include-path", TASKS, "--limit", "5",
                            "--apply-chat-template", "--log-samples", "s.jsonl",
                            env=environment(TMPDIR=str(place)))
                lines.append((self.folder / "s.jsonl").read_text())
            self.assertEqual(*lines)
            self.assertEqual("<|im_start|>" in lines[0], name == "several")
        self.assertEqual(os.listdir(place), [])

    def test_two_sample_files_are_compared(self):
        for name in ("mini-ja", "mini-math-a"):
            self.eval("--limit", "60", "--log-samples", f"{name}.jsonl", model=MODELS / name)
        result = self.run_ok("eval", "--compare", "mini-ja.jsonl", "mini-math-a.jsonl")
        self.assertIn("p", result.out)
        self.assertIn("60", result.out)
        result = self.fails(2, "eval", "--compare", "mini-ja.jsonl", "mini-math-a.jsonl", "--metric", "accuracy")
        self.assertIn("with metric 'accuracy'; the first of A is 'exact_match'", result.err)

    def test_other_files_cannot_be_compared(self):
        self.write("list.csv", "a,b\n")
        self.write("other.jsonl", '{"a": 1}\n')
        self.write("empty.jsonl", "")
        for name, reason in (("list.csv", "expected a value"), ("other.jsonl", "without task"), ("empty.jsonl", "no answers")):
            result = self.fails(3, "eval", "--compare", name, name)
            self.assertIn(f"{name}: is no file that eval --output or --log-samples wrote: ", result.err)
            self.assertIn(reason, result.err)
        result = self.fails(3, "eval", "--compare", "none.jsonl", "none.jsonl")
        self.assertEqual(result.err.count("none.jsonl"), 1, result.err)

    def test_files_that_cannot_be_written_are_told_before_the_work(self):
        os.mkdir(self.folder / "place")
        os.mkfifo(self.folder / "pipe")
        for option in ("--output", "--log-samples"):
            for name, code, message in (("place", 2, "'place' is a folder"), ("new/", 2, "'new/' is a folder"),
                                        ("pipe", 2, "'pipe' is a device or a pipe"),
                                        ("none/a.json", 3, "there is no folder 'none'")):
                with self.subTest(option=option, name=name):
                    result = self.fails(code, "eval", MODELS / "mini-ja", "--tasks", "mini_ja_test",
                                        "--include-path", TASKS, option, name)
                    self.assertIn(f"{option}: ", result.err)
                    self.assertIn(message, result.err)
                    self.assertNotIn("answering", result.err)

    def test_files_are_written_through_links(self):
        os.mkdir(self.folder / "far")
        for name in ("out.json", "s.jsonl"):
            os.symlink(f"far/{name}", self.folder / name)
        self.eval("--limit", "2", "--output", "out.json", "--log-samples", "s.jsonl")
        self.assertEqual(sorted(os.listdir(self.folder / "far")), ["out.json", "s.jsonl"])
        for name in ("out.json", "s.jsonl"):
            self.assertTrue(os.path.islink(self.folder / name))

    def test_a_second_model_is_named(self):
        result = self.fails(2, "eval", MODELS / "mini-ja", "--apply_chat_template", "tool_use", "--tasks", "mini_ja_test")
        self.assertIn("found", result.err)
        self.assertIn("'tool_use'", result.err)

    def test_unknown_tasks_get_the_nearest_name(self):
        result = self.fails(2, "eval", MODELS / "mini-ja", "--tasks", "mini_ja_nativ", "--include-path", TASKS)
        self.assertIn("did you mean 'mini_ja_native'?", result.err)
        self.fails(3, "eval", MODELS / "mini-ja", "--tasks", TASKS / "mini_ja_nativ.yaml")
        self.fails(2, "eval", MODELS / "mini-ja")


class UserFunctions(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write("own.yaml", TASK)
        self.write("rows.jsonl", "".join(json.dumps({"q": f"{i}+1は?", "a": str(i + 1)}) + "\n" for i in range(6)))

    def words(self, *options):
        return ("eval", MODELS / "mini-ja", "--tasks", "own", "--include-path", ".", "--log-samples", "s.jsonl",
                *options)

    def metric(self, body):
        self.write("own_metric.py", f"import os, sys, time\n\n\ndef score(doc, results):\n    {body}\n")

    def test_prints_of_a_function_do_not_disturb_the_result(self):
        self.metric("print('loud'); sys.stdout.flush(); os.write(1, b'louder\\n'); return {'acc': 1.0}")
        result = self.run_ok(*self.words("--json"))
        self.assertEqual(json.loads(result.out)["results"]["own"]["acc,none"], 1.0)

    def test_an_exception_is_told_with_task_function_and_line(self):
        self.metric("raise ValueError('no such luck')")
        result = self.attempt(*self.words())
        self.assertEqual(result.code, 3, result.err)
        self.assertIn("own_metric.py:5: score: ValueError: no such luck", result.err)
        self.assertIn("'own'", result.err)
        self.assertNotIn("Traceback", result.err)
        self.assertEqual(result.out, "")

    def test_a_function_that_hangs_is_ended(self):
        self.metric("time.sleep(600)")
        began = time.monotonic()
        result = self.attempt(*self.words("--python-timeout", "0.5"))
        self.assertLess(time.monotonic() - began, 60)
        self.assertEqual(result.code, 3, result.err)
        self.assertIn("own_metric.py:4: score: took longer than 0.5 s", result.err)

    def test_a_function_that_ends_its_process_is_told(self):
        for body in ("os._exit(3)", "sys.exit(0)", "os.kill(os.getpid(), 9)"):
            with self.subTest(body=body):
                self.metric(body)
                result = self.attempt(*self.words())
                self.assertEqual(result.code, 3, result.err)
                self.assertRegex(result.err, "own_metric.py:[45]: score: ")

    def test_one_failing_question_is_not_counted_as_an_answer(self):
        self.metric("return {'acc': 1.0 / (1 if doc['a'] != '3' else 0)}")
        result = self.attempt(*self.words())
        self.assertEqual(result.code, 3)
        self.assertIn("1 of 6", result.err)

    def test_values_that_are_no_numbers_are_refused(self):
        for body, what in (("return {'acc': 'yes'}", "returned a string for 'acc', expected a finite number"),
                           ("return {'acc': float('nan')}", "returned NaN for 'acc', expected a finite number"),
                           ("return 5", "returned an integer, expected a dict of metrics")):
            self.metric(body)
            result = self.attempt(*self.words())
            self.assertEqual(result.code, 3)
            self.assertIn(f"own_metric.py:4: score: {what}", result.err)

    def test_metrics_of_the_evaluate_package_run_where_it_is_installed(self):
        self.write("packages/evaluate.py", "class Metric:\n"
                   "    def compute(self, references, predictions, scale=1):\n"
                   "        hit = float(references[0] in predictions[0])\n"
                   "        return {'wer': hit * scale, 'length': len(predictions[0])}\n\n\n"
                   "def load(name):\n    return Metric()\n")
        head = TASK.split("process_results")[0].replace("test: rows.jsonl", "test: two.jsonl")
        self.write("two.jsonl", '{"q": "1+1は?", "a": ""}\n{"q": "2+2は?", "a": "never said"}\n')
        env = environment(PYTHONPATH=str(self.folder / "packages"))
        for target, scores in (('"{{a}}"', {"wer,none": 1.0, "length,none": None}),
                               ("\"{{['never', a]}}\"", {"wer,none": 0.5})):
            self.write("own.yaml", head.replace('doc_to_target: "{{a}}"', f"doc_to_target: {target}") +
                       "metric_list: [{metric: wer, aggregation: mean, higher_is_better: false, scale: 2}]\n")
            result = self.run_ok(*self.words("--json"), env=env)
            results = json.loads(result.out)["results"]["own"]
            for key, value in scores.items():
                self.assertIn(key, results)
                if value is not None:
                    self.assertEqual(results[key], value)
        result = self.attempt(*self.words(), env=environment(PYTHONPATH="/nonexistent"))
        if result.code:
            self.assertIn("pip install evaluate", result.err)

    def test_no_value_of_any_metric_is_noticed(self):
        self.metric("return {}")
        self.assertIn("no row gave a value", self.run_ok(*self.words()).err)

    def test_a_missing_file_or_function_is_named_with_its_place(self):
        result = self.attempt(*self.words())
        self.assertIn(result.code, (2, 3), result.err)
        self.assertIn("own_metric", result.err)
        self.write("own_metric.py", "def scor(doc, results):\n    return {}\n")
        result = self.attempt(*self.words())
        self.assertIn(result.code, (2, 3), result.err)
        self.assertRegex(result.err, r"own.yaml:9: \S*own_metric.py: has no function 'score'")
        self.write("own_metric.py", "def score(:\n")
        result = self.attempt(*self.words())
        self.assertIn(result.code, (2, 3), result.err)
        self.assertRegex(result.err, r"own.yaml:9: \S*own_metric.py:1")

    def test_mistakes_of_templates_are_told_with_their_place(self):
        self.metric("return {'acc': 1.0}")
        self.write("own.yaml", TASK.replace("{{q}}", "{{quest}}"))
        result = self.attempt(*self.words())
        self.assertIn(result.code, (2, 3), result.err)
        self.assertIn("quest", result.err)
        self.assertIn("own.yaml", result.err)

    def test_damaged_rows_are_told_with_file_and_line(self):
        self.metric("return {'acc': 1.0}")
        self.write("rows.jsonl", '{"q": "1", "a": "2"}\n{"q": \n')
        result = self.attempt(*self.words())
        self.assertEqual(result.code, 3, result.err)
        self.assertIn("rows.jsonl:2", result.err)
        (self.folder / "rows.jsonl").unlink()
        result = self.attempt(*self.words())
        self.assertEqual(result.code, 3, result.err)
        self.assertIn("rows.jsonl", result.err)

    def test_nothing_is_left_of_a_failed_run(self):
        self.metric("raise ValueError")
        self.attempt(*self.words("--output", "out.json"))
        self.assertFalse([n for n in os.listdir(self.folder) if "part" in n or "tmp" in n])


if __name__ == "__main__":
    unittest.main()
