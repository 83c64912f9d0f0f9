"""`evolve` in other stages than the hybrid's, and what a larger budget does to stages."""
import json
import unittest

from search import SearchTest
from staged import HYBRID, StagedTest, genome


class Thorough(StagedTest):
    search = "preset: thorough, evaluations: 40, items: 20, population: 6, polish: 0, seed: 3"

    def test_genes_of_the_whole_model_come_first(self):
        stages = self.owner.report()["stages"]
        self.assertEqual([stage["title"] for stage in stages], ["genes of the whole model", "finer genes"])
        sizes = [len(row["genome"]) for row in self.rows if row["kind"] == "default"]
        self.assertEqual(sizes, [4, 12])
        winner = [row for row in self.rows if row["id"] == stages[0]["winner"]][0]
        begin = [row for row in self.rows if row["kind"] == "default"][1]
        self.assertEqual(begin["genome"], winner["genome"] * 3)

    def test_killed_in_each_stage_the_search_ends_in_the_same_bytes(self):
        self.kill_in_each_stage()


class OtherStages(SearchTest):
    def test_a_path_can_be_searched_for_in_stages(self):
        text = genome("space: dfs, staged: true, evaluations: 60, items: 20, population: 6, repeats: 1, polish: 0")
        self.write("search.yml", "".join(line for line in text.splitlines(True)
                                         if "base_model" not in line and "merge_method" not in line))
        self.run_ok(*self.words())
        stages = self.report()["stages"]
        self.assertEqual(len(stages), 3)
        rows = [json.loads(line) for line in self.candidates().splitlines()]
        switches, scales, both = [next(row for row in rows if row["id"] == stage["winner"]) for stage in stages]
        self.assertEqual(len(switches["genome"]), 15 + 1)
        self.assertEqual(len(both["genome"]), 15 + 17)
        begin = [row for row in rows if row["kind"] == "default"]
        self.assertEqual([begin[1]["score"], begin[2]["score"]], [switches["score"], scales["score"]])
        self.assertEqual(begin[2]["genome"][:15], switches["genome"][:15])
        self.run_ok("merge", "run/best_config.yaml", "again")
        self.assert_same_file(self.folder / "again" / "model.safetensors",
                              self.folder / "run" / "final_model" / "model.safetensors")

    def test_the_papers_hybrid_runs(self):
        self.write("search.yml", genome("preset: paper-hybrid, evaluations: 60, items: 20, population: 8, repeats: 1"))
        self.run_ok(*self.words())
        rows = [json.loads(line) for line in self.candidates().splitlines()]
        second = [row for row in rows if row["kind"] == "default"][1]["id"]
        self.assertEqual(len([row for row in rows if row["kind"] == "mean" and row["id"] > second]), 3)
        self.run_ok("merge", "run/best_config.yaml", "again")

    def test_more_evaluations_go_on_as_if_they_had_been_given_at_once(self):
        small = HYBRID.replace("refine: true", "refine: false")
        for run, budgets in (("once", (36,)), ("twice", (24, 36))):
            for budget in budgets:
                self.write("search.yml", genome(small.replace("evaluations: 42", f"evaluations: {budget}")))
                self.run_ok(*self.words(run))
        self.assertEqual(self.candidates("once"), self.candidates("twice"))
        self.assert_same_file(self.folder / "once" / "best_config.yaml", self.folder / "twice" / "best_config.yaml")


if __name__ == "__main__":
    unittest.main()
