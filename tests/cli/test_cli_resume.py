"""`evolve` cut off: kill -9, signals, and a second process on the same folder."""
import os
import random
import re
import signal
import time
import unittest

from search import SearchTest, genome

KILLS = 20


class Interrupted(SearchTest):
    @classmethod
    def setUpClass(cls):
        """The search that no one disturbs."""
        test = cls.owner = cls("run_ok")
        test.setUp()
        began = time.monotonic()
        cls.whole = test.run_ok(*test.words("whole"))
        cls.seconds = time.monotonic() - began
        cls.whole_candidates = test.candidates("whole")
        cls.whole_report = test.report("whole")

    @classmethod
    def tearDownClass(cls):
        cls.owner.doCleanups()

    def setUp(self):
        super().setUp()
        self.write("search.yml", genome())

    def test_killed_at_random_moments_the_search_ends_in_the_same_bytes(self):
        chance = random.Random(20)
        kills = 0
        for _ in range(KILLS):
            process = self.start(*self.words("cut"))
            time.sleep(chance.uniform(0.005, max(0.1, self.seconds / 6)))
            if process.poll() is None:
                kills += 1
            process.kill()
            process.communicate()
        self.assertGreater(kills, KILLS // 2)
        last = self.run_ok(*self.words("cut"))
        self.assertEqual(self.candidates("cut"), self.whole_candidates)
        for name in ("best_config.yaml", "final_model/model.safetensors", "final_model/config.json"):
            self.assert_same_file(self.folder / "cut" / name, self.owner.folder / "whole" / name)
        self.assertEqual(last.out.split("candidates")[0].replace("cut", "whole"),
                         self.whole.out.split("candidates")[0])
        one, other = self.report("cut"), dict(self.whole_report)
        for report in (one, other):
            del report["seconds"]
        self.assertEqual(one, other)
        left = [name for name in os.listdir(self.folder / "cut") if "tmp" in name or "part" in name]
        self.assertEqual(left, [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["cut", "search.yml"])

    def test_a_signal_stops_cleanly_and_names_the_line_that_resumes(self):
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
                self.assertEqual(self.candidates(f"run{int(stop)}"), self.whole_candidates)

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
