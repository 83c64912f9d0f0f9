"""A merge whose writing fails, or which is killed, at every step: OUT is the old result, the new one, or absent."""
import errno
import os
import shutil
import unittest

from program import MODELS, ProgramTest, environment

LIBRARY = os.environ["MG_FAULT_LIBRARY"]
STEPS_MAX = 500
MERGE = f"""slices:
  - sources:
      - {{model: {MODELS / 'mini-ja'}, layer_range: [0, 1], parameters: {{weight: WEIGHT}}}}
      - {{model: {MODELS / 'mini-math-a'}, layer_range: [0, 1], parameters: {{weight: 0.5}}}}
merge_method: linear
dtype: bfloat16
"""


class Faults(ProgramTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists(LIBRARY):
            self.skipTest("no library to preload in this build")
        self.write("old.yml", MERGE.replace("WEIGHT", "0.5"))
        self.write("new.yml", MERGE.replace("WEIGHT", "0.7"))
        self.run_ok("merge", "old.yml", "work/out")  # one file
        self.run_ok("merge", "new.yml", "whole/out", "--out-shard-size", "300K")
        self.old, self.new = self.content("work/out"), self.content("whole/out")
        self.assertGreater(len(self.new), len(self.old) + 2)

    def content(self, folder):
        """Name -> bytes of a result, None where there is none; the card names its folder, not more."""
        folder = self.folder / folder
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else None

    def at_step(self, step, error):
        """Merges over work/out with a fault at a step: the result, None when there is no such step."""
        fired = self.folder / "fired"
        fired.unlink(missing_ok=True)
        process = self.start("merge", "new.yml", "work/out", "--overwrite", "--out-shard-size", "300K", env=environment(
            LD_PRELOAD=LIBRARY, MG_FAULT_STEP=str(step), MG_FAULT_ERROR=str(error), MG_FAULT_FILE=str(fired)))
        result = self.finish(process)
        self.assertNotIn("Sanitizer", result.err)
        return result if fired.exists() else None

    def at_every_step(self, error, exists, check):
        """Calls check with the result of each step; returns how many steps there were."""
        for step in range(1, STEPS_MAX):
            shutil.rmtree(self.folder / "work")
            (self.folder / "work").mkdir()
            if exists:
                (self.folder / "work" / "out").mkdir()
                for name, data in self.old.items():
                    (self.folder / "work" / "out" / name).write_bytes(data)
            with self.subTest(step=step, exists=exists):
                result = self.at_step(step, error)
                if result is None:
                    self.assertEqual(self.content("work/out"), self.new)
                    return step - 1
                out = self.content("work/out")
                self.assertTrue(out in (self.old if exists else None, self.new), "neither the old nor the new result")
                check(result, out)
        self.fail("there is no end of steps")

    def told(self, result, out):
        """A step that fails is told, or it was one that the result does not need; nothing else is left."""
        if result.code == 0:
            self.assertEqual(out, self.new)
        else:
            self.assertIn(result.code, (3, 4), result.err)
            self.assertRegex(result.err, "(?m)^merganser: .*(space|error|write|full|sync|create)")
        self.assertLessEqual(set(os.listdir(self.folder / "work")), {"out"})

    def killed(self, result, out):
        """Whatever a kill leaves beside OUT, the next merge does not mind it."""
        self.assertEqual(result.code, -9)
        self.run_ok("merge", "new.yml", "work/out", "--overwrite", "--out-shard-size", "300K")
        self.assertEqual(self.content("work/out"), self.new)

    def test_a_full_disk_at_every_step(self):
        self.assertGreater(self.at_every_step(errno.ENOSPC, True, self.told), 40)

    def test_a_failing_disk_at_every_step(self):
        self.assertGreater(self.at_every_step(errno.EIO, False, self.told), 40)

    def test_kill_9_at_every_step(self):
        self.assertGreater(self.at_every_step(0, True, self.killed), 40)


if __name__ == "__main__":
    unittest.main()
