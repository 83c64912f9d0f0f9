"""A run with 100,000 recorded candidates: `show` answers in under a second."""
import random
import resource
import sqlite3
import struct
import unittest

from search import SearchTest, genome

CANDIDATES = 100000
SECONDS = 1.0


class LongRun(SearchTest):
    def grow(self, storage):
        """Adds samples with scores and answers to a finished run until it has CANDIDATES."""
        chance = random.Random(5)
        db = sqlite3.connect(self.folder / storage / "run.db")
        first = db.execute("SELECT max(id) + 1 FROM candidate").fetchone()[0]
        bytes_ = len(db.execute("SELECT genome FROM candidate WHERE kind = 'sample'").fetchone()[0])
        genes = bytes_ // 8
        values = [chance.random() * 0.5 for _ in range(first, CANDIDATES)]
        db.executemany("INSERT INTO candidate VALUES (?, 'sample', '', ?, ?, ?, 0, '')",
                       ((i, i // 12, i % 12, struct.pack(f"{genes}d", *[value] * genes))
                        for i, value in enumerate(values, first)))
        for task in (-1, 0):
            db.executemany("INSERT INTO score VALUES (?, 'search', ?, ?, 20, 0.5)",
                           ((i, task, value) for i, value in enumerate(values, first)))
        db.executemany("INSERT INTO answer VALUES (?, 0, ?, ?, 'an answer')",
                       ((i, item, float(item % 3 == 0)) for i in range(first, CANDIDATES, 10)
                        for item in range(20)))
        db.commit()
        return db

    def seconds_of(self, *words):
        """Processor time of a run: the machine may be busy with others."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = self.run_ok(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def test_a_hundred_thousand_candidates_show_in_under_a_second(self):
        self.write("search.yml", genome(evaluations=12))
        self.run_ok(*self.words())
        before = self.report()
        db = self.grow("run")
        result, seconds = self.seconds_of("show", "run")
        self.assertIn(f"{CANDIDATES} candidates", result.out)
        self.assertLess(seconds, SECONDS)
        self.assertEqual(self.report()["rows"], before["rows"])
        # The same run before its end: the best so far is looked for.
        best = db.execute("SELECT max(value) FROM score WHERE item_set = 'search' AND task = -1 "
                          "AND candidate >= 2").fetchone()[0]
        db.execute("DELETE FROM meta WHERE key IN ('winner', 'finalists')")
        db.commit()
        result, seconds = self.seconds_of("show", "run", "--json")
        self.assertLess(seconds, SECONDS)
        report = self.report()
        self.assertFalse(report["finished"])
        winner = [row for row in report["rows"] if row["id"] == report["winner"]][0]
        shown = db.execute("SELECT value FROM score WHERE item_set = 'search' AND task = -1 "
                           "AND candidate = ?", (winner["id"],)).fetchone()[0]
        self.assertEqual(shown, best)
        self.assertEqual(len(self.candidates().splitlines()), CANDIDATES)


if __name__ == "__main__":
    unittest.main()
