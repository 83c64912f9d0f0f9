"""`evolve` cut off: kill -9, signals, and a second process on the same folder."""
import os
import random
import re
import shutil
import signal
import sqlite3
import time
import unittest

from program import MODELS
from search import SearchTest, genome

KILLS = int(os.environ.get("MG_KILLS", 20))  # 1,000 in the long suite

PATHS = f"""genome:
  models: [{MODELS / "mini-math-a"}, {MODELS / "mini-ja"}]
tasks: [{{name: mini_ja_native, metric: "exact_match,none"}}]
search: {{space: dfs, evaluations: 12, items: 20, seed: 3, repeats: 1, population: 4%s}}
validate: {{share: 0.2}}
"""


def searching(more):
    return genome().replace("seed: 3", "seed: 3, " + more)


CONFIGS = {
    "learning rates": genome(),
    "paths": PATHS % "",
    "mergekit": searching("preset: mergekit, population: 4"),
    "the paper's paths": PATHS % ", encoding: paper, max_hops: 10",
    "full": searching("optimiser: cma, population: 4"),
    "diagonal": searching("optimiser: sep, population: 4, granularity: [anchors:3, class]"),
    "limited memory": searching("optimiser: lm-ma, population: 4"),
    "the paper's": searching("preset: paper-ps, population: 4"),
    "restarts": searching("restarts: 2, population: 4"),
    "paths by a network": PATHS % ", encoding: net",
    "a front": searching("preset: front, population: 4"),
    "few questions": searching("preset: tiny, population: 4"),
    "stages": genome().replace("search: {evaluations: 12, items: 20, seed: 3}",
                               "search: {space: hybrid, evaluations: 24, items: 20, population: 4, repeats: 1, "
                               "polish: 0, refine: true, seed: 3}"),
}


def logical_contents(storage):
    """Everything in run.db that does not tell of time and of how often the run was cut off."""
    db = sqlite3.connect(storage / "run.db")
    rows = db.execute("SELECT * FROM candidate ORDER BY id").fetchall()
    rows += db.execute("SELECT candidate, item_set, task, value, items FROM score "
                       "ORDER BY candidate, item_set, task").fetchall()
    rows += db.execute("SELECT * FROM answer ORDER BY candidate, task, item").fetchall()
    rows += db.execute("SELECT * FROM meta WHERE key NOT LIKE '%state/loop' AND key NOT LIKE '%winner' "
                       "ORDER BY key").fetchall()
    db.close()
    return rows



class Interrupted(SearchTest):
    def setUp(self):
        super().setUp()
        self.write("search.yml", genome())

    def kill_often(self, config, kills, chance):
        """Kills a search at random moments, then lets it end: the bytes of one that ran undisturbed."""
        self.write("search.yml", config)
        began = time.monotonic()
        whole = self.run_ok(*self.words("whole"))
        seconds = time.monotonic() - began
        killed = 0
        for _ in range(kills):
            process = self.start(*self.words("cut"))
            time.sleep(chance.uniform(0.005, max(0.1, seconds / 4)))
            killed += process.poll() is None
            process.kill()
            process.communicate()
        last = self.run_ok(*self.words("cut"))
        self.assertEqual(self.candidates("cut"), self.candidates("whole"))
        self.assertEqual(logical_contents(self.folder / "cut"), logical_contents(self.folder / "whole"))
        for name in ("best_config.yaml", "final_model/model.safetensors", "final_model/config.json"):
            self.assert_same_file(self.folder / "cut" / name, self.folder / "whole" / name)
        self.assertEqual(last.out.split("candidates")[0].replace("cut", "whole"),
                         whole.out.split("candidates")[0])
        one, other = self.report("cut"), self.report("whole")
        for report in (one, other):
            del report["seconds"]
        self.assertEqual(one, other)
        left = [name for name in os.listdir(self.folder / "cut") if "tmp" in name or "part" in name]
        self.assertEqual(left, [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["cut", "search.yml", "whole"])
        for name in ("cut", "whole"):
            shutil.rmtree(self.folder / name)
        return killed

    def test_killed_at_random_moments_the_search_ends_in_the_same_bytes(self):
        chance = random.Random(20)
        configs = list(CONFIGS.items()) if KILLS > 20 else list(CONFIGS.items())[:KILLS // 5]
        killed = 0
        began = 0
        while began < KILLS:
            name, config = configs[began // 5 % len(configs)]
            with self.subTest(search=name, kills=began):
                killed += self.kill_often(config, 5, chance)
            began += 5
        self.assertGreater(killed, KILLS // 2)

    def test_a_signal_stops_cleanly_and_names_the_line_that_resumes(self):
        self.run_ok(*self.words("whole"))
        whole = self.candidates("whole")
        for stop in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=stop):
                process = self.start(*self.words(f"run{int(stop)}"))
                self.wait_for(f"run{int(stop)}", 4, process)
                process.send_signal(stop)
                result = self.finish(process)
                self.assertEqual(result.code, 6, result.err)
                self.assertEqual(result.out, "")
                line = re.search(r"merganser (evolve search.yml .*)", result.err.splitlines()[-1])
                self.assertTrue(line, result.err)
                words = line.group(1).split()
                self.run_ok(*words)
                self.assertEqual(self.candidates(f"run{int(stop)}"), whole)

    def test_a_second_process_is_refused_at_once(self):
        process = self.start(*self.words("run", "search.yml", "--max-fevals", "400"))
        try:
            self.wait_for("run", 1, process)
            began = time.monotonic()
            result = self.fails(2, *self.words("run", "search.yml", "--max-fevals", "400"))
            self.assertLess(time.monotonic() - began, 10)
            self.assertIn("run", result.err)
            self.assertRegex(result.err, r"process|use")
            self.run_ok("show", "run")
        finally:
            process.kill()
            process.communicate()
        process = self.start(*self.words("run", "search.yml", "--max-fevals", "400"))
        self.wait_for("run", 2, process)
        self.assertIsNone(process.poll(), "a left-over lock blocks")
        process.kill()
        process.communicate()


if __name__ == "__main__":
    unittest.main()
