"""What the tests of `evolve` share: a short search over the bundled models."""
import json
import time

from program import MODELS, TASKS, ProgramTest

GENOME = """genome:
  models: [{models}]
  base_model: {base}
  merge_method: dare_ties
tasks: [{{name: mini_ja_native, metric: "exact_match,none"}}]
search: {{evaluations: {evaluations}, items: 20, seed: 3}}
validate: {{share: 0.2}}
"""


def genome(models=("mini-ja", "mini-math-a"), evaluations=12):
    return GENOME.format(models=", ".join(str(MODELS / m) for m in models),
                         base=MODELS / "mini-base", evaluations=evaluations)


class SearchTest(ProgramTest):
    def words(self, storage="run", config="search.yml", *options):
        return ("evolve", config, "--storage-path", storage, "--task-search-path", TASKS, *options)

    def candidates(self, storage="run"):
        return self.run_ok("show", storage, "--json", "--candidates").out

    def report(self, storage="run"):
        return json.loads(self.run_ok("show", storage, "--json").out)

    def wait_for(self, storage, count, process):
        """Until count candidates are in the store, or the process has ended."""
        for _ in range(2000):
            shown = self.attempt("show", storage, "--json", "--candidates")
            if len(shown.out.splitlines()) >= count or process.poll() is not None:
                return
            time.sleep(0.02)
        self.fail("no candidates appear")
