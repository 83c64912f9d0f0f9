"""`evolve` in the data flow space, end to end: the folder, the exported model, kill -9, refusals."""
import json
import random
import shutil
import time
import unittest

from program import MODELS, TASKS
from search import SearchTest

GENOME = """genome:
  models: [{first}, {second}]
tasks: [{{name: mini_ja_native, metric: "exact_match,none"}}]
search: {{space: dfs, population: 16, evaluations: 41, items: 30, repeats: 2, polish: 0, seed: 3{more}}}
validate: {{share: 0.2}}
"""


def flow(more="", first="mini-math-a", second="mini-ja"):
    return GENOME.format(first=MODELS / first, second=MODELS / second, more=more)


class DataFlow(SearchTest):
    @classmethod
    def setUpClass(cls):
        """One search, that several tests look at."""
        test = cls.owner = cls("run_ok")
        test.setUp()
        test.write("search.yml", flow())
        began = time.monotonic()
        cls.result = test.run_ok(*test.words())
        cls.seconds = time.monotonic() - began
        cls.run_folder = test.folder / "run"

    @classmethod
    def tearDownClass(cls):
        cls.owner.doCleanups()

    def setUp(self):
        super().setUp()
        self.write("search.yml", flow())

    def test_the_plain_path_scores_as_its_model(self):
        rows = self.owner.report()["rows"]
        source = [row for row in rows if row["label"].endswith("mini-math-a")][0]
        start = [row for row in rows if row["kind"] in ("start", "default")][0]
        self.assertEqual(start["search"], source["search"])
        kinds = [json.loads(line)["kind"] for line in self.owner.candidates().splitlines()]
        self.assertEqual(kinds[:4], ["source", "source", "default", "start"])
        self.assertGreaterEqual(kinds.count("sample"), 32)

    def test_the_final_model_is_an_ordinary_deep_model(self):
        config = json.loads((self.run_folder / "final_model" / "config.json").read_text())
        first = json.loads((MODELS / "mini-math-a" / "config.json").read_text())
        layers = config.pop("num_hidden_layers")
        self.assertEqual(config["architectures"], first["architectures"])
        self.assertTrue(8 <= layers <= 13, layers)
        self.run_ok("generate", self.run_folder / "final_model", "--prompt", "1+1=", "--max-new-tokens", "4")

    def test_the_final_model_scores_as_the_path_did(self):
        winner = [row for row in self.owner.report()["rows"] if row["kind"] not in ("source", "start")][-1]
        answers = self.run_ok("eval", self.run_folder / "final_model", "--tasks", "mini_ja_native",
                              "--include-path", TASKS, "--log-samples", "s.jsonl")
        self.assertIn("exact_match", answers.out)
        samples = (self.folder / "s.jsonl").read_text().splitlines()
        right = sum(json.loads(line)["exact_match"] for line in samples)
        known = sum(round(winner[part]["score"] * winner[part]["questions"])
                    for part in ("search", "held_out") if winner.get(part))
        self.assertLessEqual(known, right)

    def test_best_config_rebuilds_the_final_model_bit_for_bit(self):
        text = (self.run_folder / "best_config.yaml").read_text()
        self.assertIn("passthrough", text)
        self.assertIn("layer_range", text)
        self.run_ok("merge", self.run_folder / "best_config.yaml", "again")
        self.assert_same_file(self.folder / "again" / "model.safetensors",
                              self.run_folder / "final_model" / "model.safetensors")

    def test_killed_at_random_moments_the_search_ends_in_the_same_bytes(self):
        chance = random.Random(7)
        kills = 0
        for _ in range(4):
            process = self.start(*self.words("cut"))
            time.sleep(chance.uniform(0.2, 0.7) * max(0.5, self.seconds / 2))
            kills += process.poll() is None
            process.kill()
            process.communicate()
        self.assertGreater(kills, 0)
        self.run_ok(*self.words("cut"))
        self.assertEqual(self.candidates("cut"), self.owner.candidates())
        for name in ("best_config.yaml", "final_model/model.safetensors", "final_model/config.json"):
            self.assert_same_file(self.folder / "cut" / name, self.run_folder / name)

    def test_every_encoding_runs(self):
        for encoding in ("net", "transition", "paper"):
            with self.subTest(encoding=encoding):
                self.write("search.yml", flow(f", encoding: {encoding}").replace("evaluations: 41", "evaluations: 21"))
                self.run_ok(*self.words(encoding))
                self.run_ok("merge", f"{encoding}/best_config.yaml", f"{encoding}-again")

    def test_another_encoding_or_list_of_layers_is_no_continuation(self):
        shutil.copytree(self.run_folder, self.folder / "run")
        for more in (", encoding: net", ", max_hops: 12"):
            with self.subTest(more=more):
                self.write("search.yml", flow(more))
                self.assertIn("search.encoding", self.fails(2, *self.words()).err)

    def test_models_of_another_shape_are_refused_before_anything_runs(self):
        shutil.copytree(MODELS / "mini-ja", self.folder / "odd")
        path = self.folder / "odd" / "config.json"
        config = json.loads(path.read_text())
        config["rope_theta"] = 500000.0
        path.write_text(json.dumps(config))
        self.write("search.yml", flow(second=self.folder / "odd"))
        result = self.fails(2, *self.words())
        self.assertIn("cannot mix layers", result.err)
        self.assertFalse((self.folder / "run").exists())

    def test_a_method_or_another_base_model_is_a_mistake(self):
        for extra, word in (("merge_method: ties", "passthrough"), (f"base_model: {MODELS / 'mini-base'}", "first")):
            with self.subTest(extra=extra):
                self.write("search.yml", flow().replace("tasks:", f"  {extra}\ntasks:", 1))
                self.assertIn(word, self.fails(2, *self.words()).err)


if __name__ == "__main__":
    unittest.main()
