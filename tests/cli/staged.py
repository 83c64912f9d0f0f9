"""What the tests of searches in stages share: one undisturbed search, and kills in each of its stages."""
import json

from program import MODELS
from search import SearchTest

GENOME = """genome:
  models: [{models}]
  base_model: {base}
  merge_method: dare_ties
tasks: [{{name: mini_ja_native, metric: "exact_match,none"}}]
limit: 110
search: {{{search}}}
validate: {{share: 0.2}}
"""
HYBRID = "space: hybrid, evaluations: 42, items: 20, population: 6, repeats: 1, polish: 0, refine: true, seed: 3"


def genome(search=HYBRID, more=""):
    return GENOME.format(models=", ".join(str(MODELS / m) for m in ("mini-ja", "mini-math-a")),
                         base=MODELS / "mini-base", search=search + more)


class StagedTest(SearchTest):
    search = HYBRID

    @classmethod
    def setUpClass(cls):
        """One search, that several tests look at."""
        test = cls.owner = cls("run_ok")
        test.setUp()
        test.write("search.yml", genome(cls.search))
        cls.result = test.run_ok(*test.words())
        cls.run_folder = test.folder / "run"
        cls.rows = [json.loads(line) for line in test.candidates().splitlines()]

    @classmethod
    def tearDownClass(cls):
        cls.owner.doCleanups()

    def setUp(self):
        super().setUp()
        self.write("search.yml", genome(self.search))

    def beginnings(self):
        """Ids with which the stages begin: each one's default is the result of the one before."""
        return [row["id"] for row in self.rows if row["kind"] == "default"]

    def assert_same_run(self, folder):
        self.assertEqual(self.candidates(folder), self.owner.candidates())
        names = ["best_config.yaml", "final_model/model.safetensors", "final_model/config.json"]
        names += [f"stages/{path.name}" for path in (self.run_folder / "stages").iterdir()]
        for name in names:
            self.assert_same_file(self.folder / folder / name, self.run_folder / name)
        one, other = self.report(folder), self.owner.report()
        for report in (one, other):
            del report["seconds"]
        self.assertEqual(one, other)

    def kill_in_each_stage(self):
        beginnings = self.beginnings() + [len(self.rows)]
        for stage, begin in enumerate(beginnings[:-1]):
            end = beginnings[stage + 1]
            for count in (begin + 2, end - 1):
                process = self.start(*self.words("cut"))
                self.wait_for("cut", count, process)
                process.kill()
                process.communicate()
        self.run_ok(*self.words("cut"))
        self.assert_same_run("cut")
