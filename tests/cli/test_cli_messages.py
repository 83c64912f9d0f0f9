"""What is said and where: help, exit codes, places of mistakes, standard output, terminals."""
import json
import os
import pty
import select
import subprocess
import time
import unittest

from program import MODELS, PROGRAM, TASKS, ProgramTest, environment, model_list
from search import genome

COMMANDS = ("merge", "evolve", "eval", "generate", "score", "tokenize", "render", "inspect", "check", "show",
            "doctor")
LINEAR = "models:\n" + model_list(("mini-ja", "{weight: 0.5}"), ("mini-math-a", "{weight: 0.5}")) + (
    "merge_method: linear\ndtype: bfloat16\n")


class Help(ProgramTest):
    def test_every_command_explains_itself(self):
        overview = self.run_ok("--help").out
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assertRegex(overview, rf"\n  {command} +\S")
                text = self.run_ok(command, "--help").out
                self.assertIn(f"usage: merganser {command}", text)
                self.assertRegex(text, r"example:\n  merganser \S+")
                self.assertEqual(self.run_ok("help", command).out, text)
                for option in ("--json", "--quiet", "--threads", "--device", "--seed", "--dtype", "--offline"):
                    self.assertIn(option, text)
                self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_man_page_and_completion_know_every_command(self):
        for what in ("man", "completion"):
            text = self.run_ok(what).out
            for command in COMMANDS:
                self.assertIn(command, text)

    def test_version(self):
        self.assertRegex(self.run_ok("--version").out, r"^merganser \d+\.\d+\.\d+\n$")

    def test_doctor_says_what_this_machine_has(self):
        values = json.loads(self.run_ok("doctor", "--json").out)
        self.assertIn("python3", values)
        self.assertIn("cpu", self.run_ok("doctor").out)


class Usage(ProgramTest):
    def test_wrong_words_get_code_2_and_the_nearest_name(self):
        cases = [
            ((), "usage"), (("merg",), "'merge'"), (("merge",), "usage"),
            (("merge", "a", "b", "c"), "'c'"), (("merge", "a", "b", "--overwite"), "--overwrite"),
            (("merge", "a", "b", "--threads"), "--threads"), (("merge", "a", "b", "--threads", "x"), "'x'"),
            (("merge", "a", "b", "--dtype=int3"), "float32"),
            (("merge", "a", "b", "--out-shard-size", "5X"), "5X"), (("merge", "a", "b", "-Z"), "-Z"),
            (("doctor", "--device", "abacus"), "abacus"),
        ]
        for words, part in cases:
            with self.subTest(words=words):
                result = self.attempt(*words)
                if words != ("doctor", "--device", "abacus"):
                    self.assertEqual((result.code, result.out), (2, ""), result.err)
                    self.assertIn(part, result.err)

    def test_options_stand_between_operands_and_take_values_either_way(self):
        self.write("merge.yml", LINEAR)
        self.run_ok("merge", "--quiet", "merge.yml", "--threads=1", "out", "--seed", "3")
        self.run_ok("merge", "--", "merge.yml", "again")

    def test_missing_files_are_named_with_code_3(self):
        for words in (("merge", "none.yml", "out"), ("inspect", "none"), ("check", "none.yml"), ("show", "none"),
                      ("generate", "none", "--prompt", "x"), ("tokenize", "none", "x"),
                      ("score", MODELS / "mini-ja", "--requests", "none"),
                      ("eval", "none", "--tasks", "mini_ja_native", "--include-path", TASKS),
                      ("evolve", "none.yml", "--storage-path", "s")):
            with self.subTest(words=words):
                result = self.fails(3, *words)
                self.assertIn("none", result.err)
                self.assertEqual(os.listdir(self.folder), [])


class Places(ProgramTest):
    def test_all_mistakes_of_a_configuration_come_together_with_their_places(self):
        self.write("bad.yml", f"""models:
  - model: {MODELS / 'mini-ja'}
    parameters: {{weigth: 0.5}}
  - model: {MODELS / 'mini-math-a'}
    parameters: {{weight: hello, density: 1.4}}
merge_method: dare_ties
base_modle: {MODELS / 'mini-base'}
dtype: bfloat61
out_dtype: 5
""")
        for words in (("merge", "bad.yml", "out"), ("check", "bad.yml")):
            with self.subTest(words=words):
                result = self.attempt(*words)
                self.assertEqual(result.code, 2 if words[0] == "merge" else 1, result.err)
                text = result.out + result.err
                for line in (5, 7, 8, 9):
                    self.assertRegex(text, rf"bad\.yml:{line}:\d+: ")
                for nearest in ("base_model", "bfloat16"):
                    self.assertIn(f"'{nearest}'", text)
        self.assert_only(self.folder, "bad.yml")

    def test_parameters_are_checked_before_any_weight_is_read(self):
        self.write("bad.yml", LINEAR.replace("weight: 0.5", "weigth: 0.5", 1).replace(
            "merge_method: linear", f"merge_method: ties\nbase_model: {MODELS / 'mini-base'}"))
        result = self.attempt("merge", "bad.yml", "out")
        self.assertEqual(result.code, 2, result.err)
        self.assertRegex(result.err, r"bad\.yml:3:\d+: ")
        self.assertIn("'weight'", result.err)
        self.assert_only(self.folder, "bad.yml")

    def test_an_unknown_method_gets_the_nearest_name(self):
        self.write("bad.yml", LINEAR.replace("linear", "linaer"))
        result = self.fails(2, "merge", "bad.yml", "out")
        self.assertRegex(result.err, r"bad\.yml:6:15: .*'linaer'.*'linear'")

    def test_a_missing_model_is_told_with_the_other_mistakes(self):
        self.write("merge.yml", f"""merge_method: linear
dtype: bfloat61
models:
  - model: {MODELS / 'mini-ja'}
    parameters: {{weight: much}}
  - model: nowhere/at/all
    parameters: {{weight: 1}}
""")
        result = self.fails(2, "merge", "merge.yml", "out")
        for place in ("merge.yml:2:", "merge.yml:5:", "merge.yml:6:"):
            self.assertIn(place, result.err)

    def test_broken_yaml_has_a_place(self):
        for text, place in (("models: [\n", r"bad\.yml:\d+:\d+"), ("a: b: c\n", r"bad\.yml:1:\d+"),
                            ("\tx: 1\n", r"bad\.yml:1:\d+"), ("", r"bad\.yml"), ("- 1\n", r"bad\.yml:1:1"),
                            ("a: &x [*x]\n", r"bad\.yml")):
            with self.subTest(text=text):
                self.write("bad.yml", text)
                result = self.fails(2, "merge", "bad.yml", "out")
                self.assertRegex(result.err, place)

    def test_a_missing_model_is_named_at_its_place(self):
        self.write("bad.yml", LINEAR.replace("mini-math-a", "mini-math-z"))
        result = self.attempt("merge", "bad.yml", "out")
        self.assertIn(result.code, (2, 3))
        self.assertRegex(result.err, r"bad\.yml:4:\d+: .*mini-math-z")
        self.assert_only(self.folder, "bad.yml")


class Terminal(ProgramTest):
    def on_terminal(self, *words, **changes):
        """Runs the program with a terminal as standard error: (code, standard output, what it shows)."""
        ours, theirs = pty.openpty()
        process = self.start_on(theirs, words, environment(**changes))
        os.close(theirs)
        shown = b""
        while True:
            ready, _, _ = select.select([ours], [], [], 120)
            try:
                piece = os.read(ours, 65536) if ready else b""
            except OSError:
                piece = b""
            if not piece:
                break
            shown += piece
        out, _ = process.communicate(timeout=120)
        os.close(ours)
        return process.returncode, out.decode(), shown.decode()

    def start_on(self, terminal, words, env):
        return subprocess.Popen([PROGRAM, *map(str, words)], cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=terminal)

    def eval_words(self):
        return ("eval", MODELS / "mini-ja", "--tasks", "mini_ja_native", "--include-path", TASKS, "--limit", "30")

    def test_a_terminal_gets_a_live_line_and_a_pipe_plain_lines(self):
        code, out, shown = self.on_terminal(*self.eval_words(), TERM="xterm")
        self.assertEqual(code, 0)
        self.assertIn("\r", shown)
        self.assertIn("\033[K", shown)
        self.assertIn("mini_ja_native", out)
        self.assertNotIn("\033", out)
        piped = self.run_ok(*self.eval_words())
        self.assertNotIn("\r", piped.err)
        self.assertNotIn("\033", piped.err)
        self.assertEqual(piped.out, out)

    def test_a_dumb_terminal_gets_no_escape_codes(self):
        for changes in ({"TERM": "dumb"}, {"TERM": None}):
            code, _, shown = self.on_terminal(*self.eval_words(), **changes)
            self.assertEqual(code, 0)
            self.assertNotIn("\033", shown)

    def test_no_color_is_obeyed(self):
        code, _, shown = self.on_terminal("merge", "none.yml", "out", TERM="xterm", NO_COLOR="1")
        self.assertEqual(code, 3)
        self.assertNotRegex(shown, r"\033\[[0-9;]*m")

    def test_control_characters_never_reach_a_terminal(self):
        self.write("bad.yml", 'merge_method: "x\\e[31mred\\a"\nmodels: []\n')
        code, _, shown = self.on_terminal("merge", "bad.yml", "out", TERM="xterm")
        self.assertEqual(code, 2)
        self.assertNotIn("\033[31m", shown)
        self.assertNotIn("\a", shown)

    def test_the_first_sign_of_life_comes_at_once(self):
        self.write("search.yml", genome(evaluations=400))
        process = self.start("evolve", "search.yml", "--storage-path", "run", "--task-search-path", TASKS)
        began = time.monotonic()
        first = process.stderr.readline()
        waited = time.monotonic() - began
        process.kill()
        process.communicate()
        self.assertTrue(first.startswith(b"merganser: "), first)
        self.assertLess(waited, 5)  # 0.2 s on a machine with nothing else to do

    def test_quiet_means_quiet(self):
        self.assertEqual(self.run_ok(*self.eval_words(), "--quiet").err, "")

    def test_a_closed_standard_output_is_no_crash(self):
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.Popen([PROGRAM, "inspect", MODELS / "mini-ja"], stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        _, err = process.communicate(timeout=60)
        self.assertNotIn(b"Sanitizer", err)
        self.assertIn(process.returncode, (0, 3, 4, -13), err)

    def test_a_full_standard_output_is_told(self):
        with open("/dev/full", "w") as full:
            process = subprocess.run([PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60)
            self.assertNotEqual(process.returncode, 0)
            process = subprocess.run([PROGRAM, "inspect", MODELS / "mini-ja"], stdout=full,
                                     stderr=subprocess.PIPE, timeout=60)
            self.assertIn(process.returncode, (3, 4))
            self.assertIn(b"merganser: ", process.stderr)


if __name__ == "__main__":
    unittest.main()
