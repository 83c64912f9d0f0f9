"""`evolve` and `show` end to end: the folder, the table, refusals, bad candidates."""
import json
import os
import re
import shutil
import sqlite3
import unittest

from program import HERE, MINI, MODELS, TASKS, change_tensor
from search import SearchTest, genome

class Evolve(SearchTest):
    @classmethod
    def setUpClass(cls):
        """One search, that several tests look at."""
        test = cls("run_ok")
        test.setUp()
        cls.world = test.folder
        cls.owner = test
        test.write("search.yml", genome())
        cls.result = test.run_ok(*test.words())

    @classmethod
    def tearDownClass(cls):
        cls.owner.doCleanups()

    def setUp(self):
        super().setUp()
        self.write("search.yml", genome())

    def test_the_folder_holds_what_the_manual_says(self):
        names = os.listdir(self.world / "run")
        for name in ("run.db", "best_config.yaml", "final_model", "report.md", "metrics.csv", "tb"):
            self.assertIn(name, names)
        rows = (self.world / "run" / "metrics.csv").read_text().splitlines()
        self.assertGreater(len(rows), 12)
        self.assertEqual({row.count(",") for row in rows}, {rows[0].count(",")})
        self.assertTrue(os.listdir(self.world / "run" / "tb"))
        self.assertIn("mini-math-a", (self.world / "run" / "report.md").read_text())

    def test_the_table_has_sources_default_and_winner_with_intervals(self):
        for part in ("mini-ja", "mini-math-a", "default merge", "winner", "95 %", "run/best_config.yaml",
                     "run/final_model", "merganser merge run/best_config.yaml"):
            self.assertIn(part, self.result.out)
        self.assertRegex(self.result.out, r"\[\d+\.\d, \d+\.\d\]")
        self.assertNotIn("\033", self.result.out + self.result.err)

    def test_sources_and_default_merge_come_first(self):
        rows = [json.loads(line) for line in self.owner.candidates().splitlines()]
        self.assertEqual([row["kind"] for row in rows[:3]], ["source", "source", "default"])
        self.assertEqual([row["id"] for row in rows], list(range(len(rows))))
        for row in rows:
            self.assertIs(row["failed"], False)
            self.assertTrue(0 <= row["score"] <= 1)

    def test_a_group_is_its_tasks_with_weights_by_their_sizes(self):
        self.write("tasks/both.yaml", "group: both\ntask: [mini_ja_native, mini_en_test]\n"
                   "aggregate_metric_list: [{metric: exact_match, weight_by_size: true}]\n")
        scores = []
        metric = 'metric: "exact_match,none"'
        for name, tasks in (("group", f"[{{name: both, weight: 3, {metric}}}]"),
                            ("plain", f"[{{name: mini_ja_native, weight: 1, {metric}}}, "
                                      f"{{name: mini_en_test, weight: 2, {metric}}}]")):
            self.write(f"{name}.yml", genome(evaluations=5).replace(
                '[{name: mini_ja_native, metric: "exact_match,none"}]', tasks))
            self.run_ok(*self.words(name, f"{name}.yml"), "--task-search-path", "tasks", "--no-save-final-model")
            scores.append([json.loads(line)["score"] for line in self.candidates(name).splitlines()])
        for a, b in zip(*scores):
            self.assertAlmostEqual(a, b)
        self.assertEqual(len(scores[0]), len(scores[1]))
        self.write("bad.yml", genome().replace('mini_ja_native, metric: "exact_match', 'both, metric: "acc'))
        result = self.fails(2, *self.words("bad", "bad.yml"), "--task-search-path", "tasks")
        self.assertIn("group 'both' has no entry in aggregate_metric_list for 'acc,none'", result.err)

    def test_a_source_scores_as_eval_says(self):
        limited = self.run_ok("eval", MODELS / "mini-math-a", "--tasks", "mini_ja_native", "--include-path",
                              TASKS, "--log-samples", "s.jsonl")
        self.assertIn("exact_match", limited.out)
        right = {}
        for line in (self.folder / "s.jsonl").read_text().splitlines():
            sample = json.loads(line)
            right[sample["doc_id"]] = sample["exact_match"]
        self.assertEqual(len(right), 126)
        row = [r for r in self.owner.report()["rows"] if r["label"].endswith("mini-math-a")][0]
        self.assertAlmostEqual(row["search"]["score"] * 20, round(row["search"]["score"] * 20), places=6)

    def test_best_config_merges_to_the_final_model_bit_for_bit(self):
        again = self.folder / "again"
        self.run_ok("merge", self.world / "run" / "best_config.yaml", again)
        self.assert_same_file(again / "model.safetensors", self.world / "run/final_model/model.safetensors")
        config = (self.world / "run" / "best_config.yaml").read_text()
        self.assertIn(str(MODELS / "mini-base"), config)
        self.assertIn("philox", config)

    def test_best_config_evaluated_in_memory_scores_as_the_merged_folder(self):
        answers = []
        for model in (self.world / "run" / "best_config.yaml", self.world / "run" / "final_model"):
            out = self.run_ok("eval", model, "--tasks", "mini_ja_native", "--include-path", TASKS,
                              "--log-samples", "s.jsonl", "--limit", "40").out
            samples = (self.folder / "s.jsonl").read_text()
            answers.append((out, samples))
        self.assertEqual(answers[0], answers[1])

    def test_the_same_command_again_does_nothing_more(self):
        shutil.copytree(self.world / "run", self.folder / "run")
        before = self.candidates()
        config = (self.folder / "run" / "best_config.yaml").read_bytes()
        weights = os.stat(self.folder / "run/final_model/model.safetensors").st_mtime_ns
        result = self.run_ok(*self.words())
        self.assertEqual(self.candidates(), before)
        self.assertEqual((self.folder / "run" / "best_config.yaml").read_bytes(), config)
        self.assertEqual(os.stat(self.folder / "run/final_model/model.safetensors").st_mtime_ns, weights)
        self.assertEqual(result.out.split("candidates")[0], self.result.out.split("candidates")[0])

    def test_the_same_seed_gives_the_same_search(self):
        self.run_ok(*self.words("run", "search.yml", "--threads", "1", "--no-save-final-model"))
        self.assertEqual(self.candidates(), self.owner.candidates())
        self.assert_same_file(self.folder / "run/best_config.yaml", self.world / "run/best_config.yaml")
        self.assertNotIn("final_model", os.listdir(self.folder / "run"))

    def test_changes_are_refused_naming_what_changed(self):
        changes = {
            "mini_ja_train": genome().replace('mini_ja_native, metric: "exact_match,none"', "mini_ja_train"),
            "mini-math-b": genome(("mini-ja", "mini-math-b")),
            "merge_method": genome().replace("dare_ties", "ties"),
            "seed": genome().replace("seed: 3", "seed: 4"),
            "search.preset": genome().replace("seed: 3", "seed: 3, preset: tiny, optimiser: nsga2"),
            "polish": genome().replace("seed: 3", "seed: 3, polish: 0.2"),
            "restarts": genome().replace("seed: 3", "seed: 3, restarts: 2"),
        }
        shutil.copytree(self.world / "run", self.folder / "run")
        before = self.candidates()
        for what, text in changes.items():
            with self.subTest(what=what):
                self.write("changed.yml", text)
                result = self.fails(2, *self.words("run", "changed.yml"))
                self.assertIn(what.split("_")[-1], result.err)
        result = self.fails(2, *self.words("run", "search.yml", "--dtype", "bfloat16"))
        self.assertIn("--dtype", result.err)
        self.assertEqual(self.candidates(), before)

    def test_changed_weights_and_questions_are_refused_naming_the_file(self):
        self.copy_model("mini-ja", "mine")
        shutil.copytree(MINI / "data", self.folder / "data")
        shutil.copytree(TASKS, self.folder / "tasks")
        self.write("search.yml", genome(evaluations=4).replace(str(MODELS / "mini-ja"), "mine"))
        words = ("evolve", "search.yml", "--storage-path", "run", "--task-search-path", "tasks")
        self.run_ok(*words, "--no-save-final-model")
        name = "model.norm.weight"
        kept = (self.folder / "mine/model.safetensors").read_bytes()
        change_tensor(self.folder / "mine", name,
                      lambda dtype, shape, data: (dtype, shape, data[2:4] + data[2:]))
        result = self.fails(2, *words)
        self.assertIn("mine", result.err)
        (self.folder / "mine/model.safetensors").write_bytes(kept)
        data = self.folder / "data" / "mgsm_mini_ja_train.jsonl"
        data.write_text(data.read_text().replace("答えは66", "答えは67").replace("66}", "67}")
                        .replace('"answer_number": 66', '"answer_number": 67'))
        result = self.fails(2, *words)
        self.assertIn("mini_ja_native", result.err)

    def test_a_larger_budget_continues(self):
        shutil.copytree(self.world / "run", self.folder / "run")
        before = [json.loads(line) for line in self.candidates().splitlines()]
        self.run_ok(*self.words("run", "search.yml", "--max-fevals", "24"))
        after = [json.loads(line) for line in self.candidates().splitlines()]
        self.assertGreater(len(after), len(before))

    def test_show_takes_the_last_of_several_draws(self):
        shutil.copytree(self.world / "run", self.folder / "run")
        store = sqlite3.connect(self.folder / "run" / "run.db")
        for draw, score in ((8, 0.1), (9, 0.2), (10, 0.3)):
            store.execute("insert into score values (4, ?, -1, ?, 20, 1)", (f"search/{draw}", score))
        store.commit()
        store.close()
        row = [row for row in map(json.loads, self.candidates().splitlines()) if row["id"] == 4][0]
        self.assertEqual(row["score"], 0.3)

    def test_a_tie_breaker_asks_for_likelihoods_and_enters_no_score(self):
        self.write("search.yml", genome().replace("seed: 3", "seed: 3, tie_breaker: true"))
        self.run_ok(*self.words("run", "search.yml", "--no-save-final-model"))
        self.run_ok(*self.words("two", "search.yml", "--no-save-final-model", "--workers", "2"))
        self.assertEqual(self.candidates("run"), self.candidates("two"))
        stores = [sqlite3.connect(self.folder / name / "run.db") for name in ("run", "two")]
        rows = [store.execute("select * from answer order by candidate, task, item").fetchall() for store in stores]
        likelihoods = [store.execute("select value from score where task = -3").fetchall() for store in stores]
        for store in stores:
            store.close()
        self.assertEqual(*rows)
        self.assertEqual(*likelihoods)
        self.assertTrue(likelihoods[0] and all(value < 0 for value, in likelihoods[0]))
        for row in map(json.loads, self.candidates("run").splitlines()):
            if row["score"] is not None and row["kind"] == "sample":
                self.assertAlmostEqual(20 * row["score"], round(20 * row["score"]))

    def test_a_tie_breaker_needs_cma_es(self):
        self.write("search.yml", genome().replace("seed: 3", "seed: 3, tie_breaker: true, optimiser: nsga2"))
        self.assertIn("'tie_breaker' belongs to CMA-ES", self.fails(2, *self.words()).err)

    def test_show_of_a_folder_without_a_search_says_so(self):
        result = self.fails(3, "show", self.folder)
        self.assertIn("no search", result.err)


class BadCandidates(SearchTest):
    def test_a_candidate_that_overflows_is_marked_failed_and_the_search_goes_on(self):
        """The row of a token that no text has holds values near the largest float: merges with small
        densities make infinities of it, the others are as good as ever."""
        bad = self.copy_model("mini-ja", "bad")
        name = "model.embed_tokens.weight"
        change_tensor(bad, name, lambda dtype, shape, data: (dtype, shape, b"\xb0\x7e" * shape[1] +
                                                             data[2 * shape[1]:]))
        self.write("search.yml", genome(evaluations=20).replace(f"{MODELS / 'mini-ja'}", "bad"))
        result = self.run_ok(*self.words())
        rows = [json.loads(line) for line in self.candidates().splitlines()]
        failed = [row for row in rows if row["failed"]]
        self.assertTrue(0 < len(failed) < len(rows) / 2, rows)
        for row in rows:
            if row["kind"] != "polish":  # most of these drop out of their race early
                self.assertEqual(row["failed"], row["score"] is None)
            self.assertEqual(name in row["note"], row["failed"])
        self.assertIn(f"candidate {failed[0]['id']} failed: {name}", result.err)
        self.run_ok("merge", "run/best_config.yaml", "again")
        self.assert_same_file(self.folder / "again/model.safetensors",
                              self.folder / "run/final_model/model.safetensors")

    def test_a_source_with_nan_ends_the_search_with_the_tensor_s_name(self):
        bad = self.copy_model("mini-ja", "bad")
        name = "model.layers.3.mlp.up_proj.weight"
        change_tensor(bad, name, lambda dtype, shape, data: (dtype, shape, b"\xc0\x7f" + data[2:]))
        self.write("search.yml", genome(evaluations=6).replace(f"{MODELS / 'mini-ja'}", "bad"))
        result = self.fails(3, *self.words())
        self.assertIn(name, result.err.splitlines()[-1])
        rows = [json.loads(line) for line in self.candidates().splitlines()]
        self.assertEqual([row["label"] for row in rows if row["failed"]][0], "bad")
        self.assertNotIn("best_config.yaml", os.listdir(self.folder / "run"))

    def test_mistakes_of_a_search_file_are_reported_together(self):
        self.write("search.yml", f"""genome:
  models: [{MODELS / 'mini-ja'}, {MODELS / 'mini-math-a'}]
  base_model: {MODELS / 'mini-base'}
  merge_method: dare_tie
  layer_granularty: 4
tasks: [mini_ja_native]
search: {{evaluations: none, presett: quick}}
""")
        result = self.fails(2, *self.words())
        for place in ("search.yml:4:", "search.yml:5:", "search.yml:7:"):
            self.assertIn(place, result.err)
        for nearest in ("dare_ties", "layer_granularity", "preset"):
            self.assertIn(f"'{nearest}'", result.err)
        self.assert_only(self.folder, "search.yml")

    def test_public_benchmarks_are_guarded(self):
        self.write("search.yml", genome().replace(
            '{name: mini_ja_native, metric: "exact_match,none"}', "gsm8k"))
        result = self.fails(2, *self.words())
        self.assertIn("gsm8k", result.err)

    def test_missing_things_are_named_before_any_folder_is_made(self):
        cases = {"mini_ja_nativ": genome().replace("mini_ja_native", "mini_ja_nativ"),
                 "mini-jo": genome(("mini-jo", "mini-math-a")),
                 "layer_granularity": genome().replace("  merge_method", "  layer_granularity: 3\n  merge_method")}
        for what, text in cases.items():
            with self.subTest(what=what):
                self.write("search.yml", text)
                result = self.attempt(*self.words())
                self.assertIn(result.code, (2, 3), result.err)
                self.assertIn(what, result.err)
                self.assert_only(self.folder, "search.yml")
        result = self.fails(2, "evolve", "search.yml")
        self.assertIn("--storage-path", result.err)


class Article(SearchTest):
    """The set-up of the published articles, unmodified: an arrow folder, a Python metric, a genome."""

    def setUp(self):
        super().setUp()
        for name in ("genome.yml", "mgsm_train.yaml", "mgsm_metric.py", "mgsm"):
            source = HERE / "article" / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.folder / name)
        for name in ("mini-base", "mini-ja", "mini-math-a"):
            (self.folder / name).symlink_to(MODELS / name)

    def test_it_runs_as_with_mergekit_evolve(self):
        result = self.run_ok("evolve", "genome.yml", "--storage-path", "storage", "--task-search-path", ".",
                             "--max-fevals", "8", "--in-memory", "--no-merge-cuda", "--batch-size", "64",
                             "--strategy", "pool", "--no-reshard", "--random-seed", "1")
        self.assertIn("winner", result.out)
        self.assertEqual(result.err.count("chat template"), 1, result.err)
        rows = [json.loads(line) for line in self.candidates("storage").splitlines()]
        self.assertEqual(len(rows[4]["genome"]), 8)  # 2 groups of layers, 2 models, weight and density
        self.assertTrue(any(row["score"] > 0 for row in rows))
        config = (self.folder / "storage" / "best_config.yaml").read_text()
        self.assertIn("layer_range", config)
        self.run_ok("merge", "storage/best_config.yaml", "merged")
        self.assert_same_file(self.folder / "merged/model.safetensors",
                              self.folder / "storage/final_model/model.safetensors")

    def test_its_metric_is_the_last_number_as_text(self):
        self.run_ok("eval", "mini-math-a", "--tasks", "mgsm_train", "--include-path", ".",
                    "--log-samples", "samples.jsonl", "--output", "out.json")
        samples = [json.loads(line) for line in (self.folder / "samples.jsonl").read_text().splitlines()]
        self.assertEqual(len(samples), 24)
        for sample in samples:
            numbers = re.findall(r"\d+", sample["resps"][0])
            right = bool(numbers) and numbers[-1] == str(sample["doc"]["answer_number"])
            self.assertEqual(sample["acc"], 1.0 if right else 0.0)
            self.assertIsNone(sample["doc"]["answer"])
            prompt, settings = sample["arguments"][0]
            self.assertTrue(prompt.endswith(f"\n問題:{sample['doc']['question']}\n答え:"))
            self.assertEqual((settings["max_gen_toks"], settings["until"]), (256, ["\n\n"]))
        results = json.loads((self.folder / "out.json").read_text())["results"]["mgsm_train"]
        mean = sum(sample["acc"] for sample in samples) / 24
        self.assertAlmostEqual(results["acc,none"], mean)


if __name__ == "__main__":
    unittest.main()
