"""Tables of wrong configurations and damaged inputs: each ends with its message and code, and leaves nothing."""
import re
import shutil
import unittest

import damaged_inputs
import wrong_configs
from program import MODELS, ProgramTest, change_tensor

NAMES = {"JA": "mini-ja", "MA": "mini-math-a", "MB": "mini-math-b", "BASE": "mini-base"}


def codes_of(code):
    return code if isinstance(code, tuple) else (code,)


class WrongConfigurations(ProgramTest):
    def setUp(self):
        super().setUp()
        narrow = self.copy_model("mini-ja", "narrow")
        change_tensor(narrow, "model.norm.weight", lambda dtype, shape, data: (dtype, (shape[0] // 2,),
                                                                               data[:len(data) // 2]))

    def content(self, text):
        if isinstance(text, bytes):
            return text
        for name, folder in NAMES.items():
            text = re.sub(rf"\b{name}\b", str(MODELS / folder), text)
        return text.replace("NARROW", "narrow").encode()

    def test_every_wrong_configuration_is_told_and_leaves_nothing(self):
        self.assertGreaterEqual(len(wrong_configs.CASES), 60)
        for what, text, part, *rest in wrong_configs.CASES:
            with self.subTest(what=what):
                (self.folder / "config.yml").write_bytes(self.content(text))
                result = self.fails(None, "merge", "config.yml", "out", "--intermediate-dir", "parts")
                self.assertIn(result.code, codes_of(rest[0] if rest else 2), result.err)
                self.assertRegex(result.err, part)
                self.assert_only(self.folder, "config.yml", "narrow")

    def test_check_finds_them_too(self):
        for what, text, _, *_ in wrong_configs.CASES:
            with self.subTest(what=what):
                (self.folder / "config.yml").write_bytes(self.content(text))
                result = self.attempt("check", "config.yml")
                seen = result.code in (1, 2, 3) or what in wrong_configs.CHECK_PASSES
                self.assertTrue(seen, result.out + result.err)
                self.assert_only(self.folder, "config.yml", "narrow")


class DamagedInputs(ProgramTest):
    def test_every_damaged_input_is_told_and_leaves_nothing(self):
        self.assertGreaterEqual(len(damaged_inputs.CASES), 40)
        for case in damaged_inputs.CASES:
            with self.subTest(what=case.what):
                bad = self.copy_model("mini-ja", "bad")
                case.damage(bad)
                self.write("config.yml", case.config.replace("BAD", "bad").replace("GOOD", str(MODELS / "mini-math-a")))
                result = self.fails(None, "merge", "config.yml", "out")
                self.assertIn(result.code, codes_of(case.code), result.err)
                self.assertRegex(result.err, case.part)
                self.attempt("inspect", "bad")
                self.attempt("check", "config.yml")
                self.assert_only(self.folder, "bad", "config.yml")
                shutil.rmtree(bad)


if __name__ == "__main__":
    unittest.main()
