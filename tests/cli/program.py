"""What the end-to-end tests share: the program under test, small models, weight files.

MG_PROGRAM is the program, MG_SOURCE_DIR the checkout.  Every test works in a folder of its own.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["MG_PROGRAM"]
SOURCE = pathlib.Path(os.environ["MG_SOURCE_DIR"])
MINI = SOURCE / "examples" / "mini"
MODELS = MINI / "models"
TASKS = MINI / "tasks"
HERE = pathlib.Path(__file__).resolve().parent
SECONDS_MAX = 240  # of one run; a sanitized build on a busy machine is slow


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def messages(self):
        """Lines of standard error that are no progress and no notes."""
        return [line for line in self.err.splitlines() if line.startswith("merganser: ")]


def environment(**changes):
    """The environment of a run; a change to None takes a variable away."""
    variables = {name: value for name, value in os.environ.items()
                 if not name.startswith(("HF_", "TRANSFORMERS_"))}
    variables["HF_HOME"] = "/nonexistent"
    variables.update(changes)
    return {name: value for name, value in variables.items() if value is not None}


class ProgramTest(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="merganser-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *words, cwd=None, env=None, **options):
        return subprocess.Popen([PROGRAM, *map(str, words)], cwd=cwd or self.folder,
                                env=env or environment(), stdin=options.pop("stdin", subprocess.DEVNULL),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def finish(self, process, stdin=None):
        try:
            out, err = process.communicate(stdin, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Result(process.returncode, out.decode(), err.decode())

    def attempt(self, *words, text=None, **options):
        """Runs the program to its end, whatever that is; it must not crash."""
        if text is not None:
            options["stdin"] = subprocess.PIPE
        result = self.finish(self.start(*words, **options), None if text is None else text.encode())
        self.assertGreaterEqual(result.code, 0, f"signal {-result.code}: {result.err}")
        self.assertNotIn(result.code, (70, 127), result.err)
        self.assertNotIn("runtime error", result.err)
        self.assertNotIn("Sanitizer", result.err)
        return result

    def run_ok(self, *words, **options):
        result = self.attempt(*words, **options)
        self.assertEqual(result.code, 0, result.err)
        return result

    def fails(self, code, *words, **options):
        """Runs the program, which must end with code (None: not 0) and say why in `merganser: ...` lines only."""
        result = self.attempt(*words, **options)
        if code is None:
            self.assertNotEqual(result.code, 0, f"{words}: {result.out}\n{result.err}")
        else:
            self.assertEqual(result.code, code, f"{words}: {result.out}\n{result.err}")
        self.assertEqual(result.out, "")
        self.assertTrue(result.err.strip())
        for line in result.err.splitlines():
            self.assertTrue(line.startswith("merganser: "), result.err)
        return result

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def copy_model(self, name, to):
        """A copy of a bundled model that a test may change."""
        target = self.folder / to
        shutil.copytree(MODELS / name, target)
        return target

    def assert_same_file(self, a, b):
        self.assertTrue(pathlib.Path(a).read_bytes() == pathlib.Path(b).read_bytes(), f"{a} and {b} differ")

    def assert_same_tensors(self, a, b):
        a, b = read_tensors(a), read_tensors(b)
        self.assertEqual(sorted(a), sorted(b))
        for name in a:
            self.assertTrue(a[name] == b[name], f"{name} differs")

    def assert_only(self, folder, *names):
        """The folder holds these names and no left-overs."""
        self.assertEqual(sorted(os.listdir(folder)), sorted(names))


def read_header(path):
    """The header of a safetensors file and where its data begin."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(size)), 8 + size


def read_tensors(folder):
    """{name: (dtype, shape, bytes)} of all weight files of a model folder."""
    tensors = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        header, begin = read_header(path)
        data = path.read_bytes()[begin:]
        header.pop("__metadata__", None)
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            tensors[name] = (entry["dtype"], tuple(entry["shape"]), data[first:last])
    return tensors


def write_tensors(path, tensors):
    header, data, offset = {}, [], 0
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape),
                        "data_offsets": [offset, offset + len(content)]}
        data.append(content)
        offset += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def change_tensor(folder, name, change):
    """Rewrites one tensor of a model: change gets and gives (dtype, shape, bytes)."""
    tensors = read_tensors(folder)
    tensors[name] = change(*tensors[name])
    write_tensors(pathlib.Path(folder) / "model.safetensors", tensors)


def bfloat16(content):
    """The values of bfloat16 bytes, as floats."""
    pairs = struct.unpack(f"<{len(content) // 2}H", content)
    return struct.unpack(f"<{len(pairs)}f", struct.pack(f"<{len(pairs)}I", *(p << 16 for p in pairs)))


def model_list(*entries, indent="  "):
    """The lines of `models:`: bundled models with their parameters, as YAML."""
    lines = []
    for name, parameters in entries:
        lines.append(f"{indent}- model: {MODELS / name if (MODELS / name).exists() else name}")
        if parameters:
            lines.append(f"{indent}  parameters: {parameters}")
    return "\n".join(lines) + "\n"
