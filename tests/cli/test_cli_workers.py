"""`evolve --workers N`: the same search in several processes, also when they are killed."""
import contextlib
import os
import random
import re
import signal
import time
import unittest
from pathlib import Path

from search import SearchTest, genome

def workers_of(pid):
    """Process ids of the worker processes that process pid has started."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            parent = int(Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
        if parent == pid and len(words) > 1 and words[1] == b"evolve-worker":
            found.append(int(entry))
    return found


class Workers(SearchTest):
    @classmethod
    def setUpClass(cls):
        """The search in one process."""
        test = cls.owner = cls("run_ok")
        test.setUp()
        cls.whole = test.run_ok(*test.words("whole"))
        cls.whole_candidates = test.candidates("whole")

    @classmethod
    def tearDownClass(cls):
        cls.owner.doCleanups()

    def setUp(self):
        super().setUp()
        self.write("search.yml", genome())

    def assert_same_search(self, storage):
        self.assertEqual(self.candidates(storage), self.whole_candidates)
        for name in ("best_config.yaml", "final_model/model.safetensors"):
            self.assert_same_file(self.folder / storage / name, self.owner.folder / "whole" / name)
        one, other = self.report(storage), self.owner.report("whole")
        for report in (one, other):
            del report["seconds"]
        self.assertEqual(one, other)

    def test_any_number_of_workers_gives_the_same_bytes(self):
        self.run_ok(*self.words("run"), "--workers", "3")
        self.assert_same_search("run")

    def test_killed_workers_are_replaced_and_change_nothing(self):
        chance = random.Random(7)
        killed = 0
        process = self.start(*self.words("run"), "--workers", "2")
        for done in (1, 5, 9):  # never the same candidate twice
            self.wait_for("run", done, process)
            workers = workers_of(process.pid)
            if process.poll() is None and workers:
                with contextlib.suppress(ProcessLookupError):  # it may just have ended
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    killed += 1
        result = self.finish(process)
        self.assertEqual(result.code, 0, result.err)
        self.assertGreater(killed, 1)
        self.assert_same_search("run")

    def test_a_killed_search_leaves_no_worker_and_goes_on_with_another_number(self):
        process = self.start(*self.words("run"), "--workers", "3")
        self.wait_for("run", 5, process)
        workers = workers_of(process.pid)
        process.kill()
        process.communicate()
        for _ in range(500):
            if not any(Path("/proc", str(pid)).exists() for pid in workers):
                break
            time.sleep(0.02)
        else:
            self.fail("workers outlive their parent")
        self.run_ok(*self.words("run"), "--workers", "2")
        self.assert_same_search("run")

    def test_a_signal_stops_cleanly_and_names_the_line_that_resumes(self):
        process = self.start(*self.words("run"), "--workers", "2")
        self.wait_for("run", 4, process)
        process.send_signal(signal.SIGINT)
        result = self.finish(process)
        self.assertEqual(result.code, 6, result.err)
        line = re.search(r"merganser (evolve search.yml .*)", result.err.splitlines()[-1])
        self.assertTrue(line, result.err)
        self.run_ok(*line.group(1).split())
        self.assert_same_search("run")

    def test_a_mistake_is_told_once_and_workers_cannot_be_started_by_hand(self):
        self.write("bad.yml", genome().replace("mini_ja_native", "mini_nowhere"))
        result = self.fails(2, *self.words("run", "bad.yml"), "--workers", "2")
        self.assertEqual(result.err.count("mini_nowhere"), 1, result.err)
        self.assertIn("--workers", self.fails(2, *self.words("run"), "--workers", "-1").err)
        result = self.fails(2, "evolve-worker", "search.yml", "--storage-path", "run")
        self.assertIn("evolve --workers", result.err)


if __name__ == "__main__":
    unittest.main()
