"""`evolve` in several stages: parameter space, paths through its winner, both; one folder, one run.db."""
import json
import unittest

from program import MODELS, TASKS
from search import SearchTest
from staged import HYBRID, StagedTest, genome


class Hybrid(StagedTest):
    def test_every_stage_begins_with_the_result_of_the_one_before(self):
        stages = self.owner.report()["stages"]
        self.assertEqual([stage["title"] for stage in stages],
                         ["parameter space", "data flow", "genes and factors"])
        defaults = [row for row in self.rows if row["kind"] == "default"]
        self.assertEqual(len(defaults), 3)
        score = {row["id"]: row["score"] for row in self.rows}
        winners = [stage["winner"] for stage in stages]
        for before, begin in zip(winners, defaults[1:]):
            self.assertEqual(score[before], begin["score"])
            self.assertIn("winner of", begin["label"])
        ids = [row["id"] for row in self.rows]
        self.assertEqual(ids, list(range(len(ids))))
        self.assertTrue(stages[1]["against_before"]["set"] == "held-out")

    def test_the_report_names_every_stage(self):
        for text in (self.result.out, (self.run_folder / "report.md").read_text()):
            self.assertRegex(text, r"The winner of data flow is (NOT shown to be )?better than "
                                   r"the winner of parameter space")
        self.assertEqual(len([row for row in self.owner.report()["rows"] if row["kind"] == "default"]), 1)

    def test_every_recipe_rebuilds_and_the_best_is_the_final_model(self):
        self.run_ok("merge", self.run_folder / "best_config.yaml", "again")
        self.assert_same_file(self.folder / "again" / "model.safetensors",
                              self.run_folder / "final_model" / "model.safetensors")
        for recipe in sorted((self.run_folder / "stages").iterdir()):
            self.run_ok("merge", recipe, recipe.stem)
            self.run_ok("generate", recipe.stem, "--prompt", "1+1=", "--max-new-tokens", "2")
        self.assertEqual([path.name for path in sorted((self.run_folder / "stages").iterdir())],
                         ["1-ps.yaml", "2-dfs.yaml", "3-refined.yaml"])
        self.assertEqual([path.name for path in self.folder.iterdir() if "parts" in path.name], [])
        path = (self.run_folder / "stages" / "2-dfs.yaml").read_text()
        self.assertIn("name: parameter-space-winner", path)
        card = (self.folder / "2-dfs" / "README.md").read_text()
        self.assertNotIn(".parts", card)
        self.assertIn("* parameter-space-winner", card)
        self.assertIn("---", path)

    def test_the_recipe_of_a_path_scores_as_the_path_did(self):
        path = self.owner.report()["stages"][1]["winner"]
        self.run_ok("merge", self.run_folder / "stages" / "2-dfs.yaml", "path")
        self.run_ok("eval", "path", "--tasks", "mini_ja_native", "--include-path", TASKS, "--limit", "110",
                    "--log-samples", "s.jsonl")
        samples = [json.loads(line) for line in (self.folder / "s.jsonl").read_text().splitlines()]
        right = sum(sample["exact_match"] for sample in samples)
        row = [row for row in self.owner.report()["rows"] if row["id"] == path][0]
        known = sum(round(row[part]["score"] * row[part]["questions"])
                    for part in ("search", "held_out") if row.get(part))
        self.assertLessEqual(known, right)

    def test_killed_in_each_stage_the_search_ends_in_the_same_bytes(self):
        self.kill_in_each_stage()

    def test_workers_give_the_same_stages(self):
        self.run_ok(*self.words("shared"), "--workers", "2")
        self.assert_same_run("shared")

    def test_finished_it_asks_nothing_again(self):
        before = self.owner.candidates()
        again = self.owner.run_ok(*self.owner.words())
        self.assertEqual(self.owner.candidates(), before)
        self.assertEqual(again.out.splitlines()[:4], self.result.out.splitlines()[:4])


class Partner(SearchTest):
    search = HYBRID

    def mistake(self, search, *words):
        self.write("search.yml", genome(search))
        result = self.fails(2, *self.words())
        for word in words:
            self.assertIn(word, result.err)
        self.assertFalse((self.folder / "run").exists())

    def test_an_unknown_partner_is_refused_before_anything_runs(self):
        self.mistake(HYBRID + ", partner: nowhere/at-all", "nowhere/at-all")

    def test_a_partner_of_another_shape_is_refused_before_anything_runs(self):
        odd = self.copy_model("mini-ja", "odd")
        config = json.loads((odd / "config.json").read_text())
        config["hidden_size"] = 64
        (odd / "config.json").write_text(json.dumps(config))
        self.mistake(HYBRID + f", partner: {odd}", "hidden_size")

    def test_keys_of_one_space_are_mistakes_in_another(self):
        self.mistake("space: ps, partner: a/b", "partner")
        self.mistake("space: ps, refine: true", "refine")
        self.mistake("space: hybrid, staged: true", "staged")
        self.mistake("space: hybrid, preset: thorugh", "thorough")

    def test_a_named_partner_gives_its_layers_and_cannot_be_changed_later(self):
        small = HYBRID.replace("evaluations: 42", "evaluations: 24").replace("refine: true", "refine: false")
        self.write("search.yml", genome(small + f", partner: {MODELS / 'mini-base'}"))
        result = self.run_ok(*self.words())
        self.assertIn("mini-base", result.err)
        self.write("search.yml", genome(small + f", partner: {MODELS / 'mini-ja'}"))
        self.assertIn("search.partner", self.fails(2, *self.words()).err)


if __name__ == "__main__":
    unittest.main()
