"""Runs every ```sh block of README.md, in order, in one folder that looks like a fresh checkout.

What a block would download or install is not run: `./demo` and `./check` (they run these tests),
package managers, clones, and cmake, for which the program under test stands in.  Models of the Hub are
looked up in a made-up cache whose snapshots link to the bundled models, so that the commands of the
README run as they are written.
"""
import os
import re
import subprocess
import unittest

from program import MODELS, PROGRAM, SECONDS_MAX, SOURCE, ProgramTest, environment

README = SOURCE / "README.md"
REVISION = "0123456789abcdef0123456789abcdef01234567"
# org/name as the Hub spells it, as a word of its own: no path, no address.
HUB_NAME = re.compile(r"(?<![\w./:@-])([A-Za-z][\w.-]*)/([A-Za-z][\w.-]*\d[Bb][\w.-]*)(?![\w/])")
# Words that install, download, or start this test again.
NOT_RUN = re.compile(r"^\s*(sudo|apt|apt-get|git|cmake|ctest|pip|cd|\./demo|\./check|tools/setup|python3? -m "
                     r"(venv|pip)|\S*pip install|\S*mergekit-\S+|\S*lm_eval|python3? bench/|bench/)\b")


def blocks():
    """[(line, text)] of the sh blocks."""
    text = README.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start()) + 2, match.group(1))
            for match in re.finditer(r"^```sh\n(.*?)^```", text, flags=re.M | re.S)]


def commands(block):
    """The commands of a block: lines joined where they end in a backslash or a quote is open."""
    command = ""
    for line in block.splitlines():
        command += line + "\n"
        text = re.sub(r"\\\n", "", command)
        quoted = re.sub(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", "", text)
        heredoc = re.search(r"<<-?\s*['\"]?(\w+)['\"]?", text)
        is_open = (line.endswith("\\") or "'" in re.sub(r"#.*", "", quoted) or '"' in re.sub(r"#.*", "", quoted)
                   or (heredoc and not re.search(rf"^\s*{heredoc.group(1)}\s*$", text, flags=re.M)))
        if not is_open:
            yield command
            command = ""
    if command:
        yield command


@unittest.skipUnless(README.exists(), "there is no README.md yet")
class Readme(ProgramTest):
    def setUp(self):
        super().setUp()
        for name in os.listdir(SOURCE):
            if name not in ("build", ".git"):
                (self.folder / name).symlink_to(SOURCE / name)
        program = self.folder / "build" / "release" / "merganser"
        program.parent.mkdir(parents=True)
        program.symlink_to(PROGRAM)
        tools = self.folder / "build" / "bin"
        tools.mkdir()
        (tools / "merganser").symlink_to(PROGRAM)
        hub = self.folder / "build" / "hub"
        self.fill_hub(hub)
        self.env = environment(HF_HOME=str(hub), PATH=f"{tools}:{os.environ['PATH']}", HOME=str(self.folder / "build"))

    def fill_hub(self, hub):
        """A cache with every Hub model that README.md or a file of examples names."""
        texts = [README.read_text(encoding="utf-8")]
        texts += [p.read_text(encoding="utf-8") for p in (SOURCE / "examples").rglob("*.y*ml")]
        names = sorted({match.groups() for text in texts for match in HUB_NAME.finditer(text)})
        minis = ["mini-ja", "mini-math-a", "mini-math-b"]
        for index, (owner, name) in enumerate(names):
            folder = hub / "hub" / f"models--{owner}--{name}"
            (folder / "refs").mkdir(parents=True)
            (folder / "refs" / "main").write_text(REVISION)
            (folder / "snapshots").mkdir()
            mini = "mini-base" if "base" in name.lower() or "gamma" in name.lower() else minis[index % 3]
            (folder / "snapshots" / REVISION).symlink_to(MODELS / mini)

    def test_every_block_of_commands_runs(self):
        found = blocks()
        self.assertTrue(found, "README.md shows no commands")
        ran = 0
        for line, block in found:
            kept = "".join(c for c in commands(block) if not NOT_RUN.match(c))
            if not kept.strip():
                continue
            with self.subTest(line=line):
                done = subprocess.run(["bash", "-e", "-u", "-o", "pipefail", "-c", kept], cwd=self.folder, env=self.env,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      timeout=SECONDS_MAX, check=False)
                self.assertEqual(done.returncode, 0, f"README.md:{line}\n{kept}\n{done.stdout.decode()[-3000:]}")
                ran += 1
        self.assertGreater(ran, 0, "README.md shows no command of the program")


if __name__ == "__main__":
    unittest.main()
