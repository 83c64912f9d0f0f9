"""`evolve` told to stop, or out of disk: it parks, says how to go on, and goes on."""
import os
import signal
import subprocess
import time
import unittest

from program import SOURCE, TASKS, environment
from search import SearchTest, genome

PARK_SECONDS = 5

SLOW_TASK = f"""include: {TASKS}/_mini_ja_yaml
task: slow
dataset_kwargs:
  data_files:
    test: {SOURCE}/examples/mini/data/mgsm_mini_ja_train.jsonl
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: TOKENS}}
process_results: !function slow.process_results
"""
SLEEP = """import time


def process_results(doc, results):
    time.sleep({seconds})
    return {{"acc": 1.0}}
"""

# Once, or as long as a file says so, the worker dies or the function fails.
FAULTY = """import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))


def there(name):
    return os.path.exists(os.path.join(HERE, name))


def process_results(doc, results):
    if there("die"):
        os.remove(os.path.join(HERE, "die"))
        os._exit(3)
    if there("broken"):
        raise RuntimeError("the judge is out")
    numbers = re.findall(r"\\d+", results[0])
    return {"acc": float(bool(numbers) and numbers[-1] == str(doc["answer_number"]))}
"""


class Stopped(SearchTest):
    def park(self, tokens, seconds):
        """Interrupts a search whose answers have so many tokens and whose metric takes so long."""
        self.write("tasks/slow.yaml", SLOW_TASK.replace("TOKENS", str(tokens)))
        self.write("tasks/slow.py", SLEEP.format(seconds=seconds))
        self.write("search.yml", genome(evaluations=400).replace("mini_ja_native", "slow")
                   .replace("exact_match,none", "acc,none").replace("items: 20, ", "items: 126, "))
        process = self.start("evolve", "search.yml", "--storage-path", "run", "--task-search-path", "tasks")
        time.sleep(5)
        self.assertIsNone(process.poll())
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        result = self.finish(process)
        self.assertLess(time.monotonic() - began, PARK_SECONDS)
        self.assertEqual(result.code, 6, result.err)
        self.assertRegex(result.err.splitlines()[-1], r"continue with: merganser evolve search.yml .*run")

    def test_long_answers_are_broken_off(self):
        self.park(400, 0)

    def test_a_call_that_takes_long_is_broken_off(self):
        self.park(4, 40)

    def test_dead_workers_and_failing_functions_are_lived_through(self):
        self.write("tasks/slow.yaml", SLOW_TASK.replace("TOKENS", "24"))
        self.write("tasks/slow.py", FAULTY)
        self.write("search.yml", genome(evaluations=24).replace("mini_ja_native", "slow")
                   .replace("exact_match,none", "acc,none").replace("seed: 3", "seed: 3, population: 4"))
        words = ("evolve", "search.yml", "--task-search-path", "tasks", "--no-save-final-model",
                 "--storage-path")
        self.run_ok(*words, "whole")
        whole = self.candidates("whole")
        self.assertNotIn('"failed": true', whole)
        self.write("tasks/die", "")  # the worker ends in the middle of a candidate, which is tried again
        process = self.start(*words, "run")
        self.wait_for("run", 6, process)
        self.assertFalse((self.folder / "tasks/die").exists())
        self.write("tasks/broken", "")  # from here on every candidate fails: the search ends
        result = self.finish(process)
        self.assertEqual(result.code, 3, result.err)
        message = result.err.splitlines()[-1]
        self.assertRegex(message, r"candidates of generation \d+ failed, .*the judge is out")
        self.assertIn("the same command goes on", message)
        shown = self.run_ok("show", "run", "--candidates").out
        self.assertIn("the judge is out", shown)
        (self.folder / "tasks/broken").unlink()
        self.run_ok(*words, "run")
        report = self.report()
        self.assertTrue(report["finished"])
        self.assertLess(report["failed"], 4)  # of a generation that had answered for the most part
        self.assertEqual(report["candidates"], len(whole.splitlines()))

    def test_a_full_disk_parks_the_search_and_space_lets_it_go_on(self):
        self.write("search.yml", genome())
        self.run_ok(*self.words("whole"))
        mount = self.folder / "small"
        mount.mkdir()
        program = os.environ["MG_PROGRAM"]
        script = f"""
            mount -t tmpfs -o size=4m tmpfs {mount} || exit 77
            head -c 3800k /dev/zero > {mount}/ballast
            {program} {' '.join(map(str, self.words(mount / 'run')))}
            echo "first $?" >&2
            {program} show {mount}/run > /dev/null
            echo "show $?" >&2
            mount -o remount,size=64m {mount}
            {program} {' '.join(map(str, self.words(mount / 'run')))}
            echo "second $?" >&2
            {program} show {mount}/run --json --candidates > candidates
            cp {mount}/run/best_config.yaml {mount}/run/final_model/model.safetensors .
        """
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=self.folder, env=environment(),
                              capture_output=True, timeout=240)
        err = done.stderr.decode()
        if done.returncode == 77 or "unshare" in err or "first" not in err:
            self.skipTest("no file system can be mounted here")
        self.assertIn("first 4", err)
        self.assertRegex(err, r"(?i)space|full")
        self.assertIn("second 0", err)
        self.assertEqual((self.folder / "candidates").read_text(), self.candidates("whole"))
        self.assert_same_file(self.folder / "best_config.yaml", self.folder / "whole/best_config.yaml")
        self.assert_same_file(self.folder / "model.safetensors", self.folder / "whole/final_model/model.safetensors")


if __name__ == "__main__":
    unittest.main()
