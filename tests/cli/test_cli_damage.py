"""Hostile and damaged input, full disks: a clear error that names the thing, nothing left behind."""
import json
import os
import resource
import shutil
import struct
import subprocess
import unittest

from program import MODELS, TASKS, ProgramTest, model_list, read_header
from search import SearchTest, genome

MERGE = "models:\n" + model_list(("bad", "{weight: 0.5}"), ("mini-math-a", "{weight: 0.5}")) + (
    "merge_method: linear\ndtype: bfloat16\n")


class Damaged(ProgramTest):
    def setUp(self):
        super().setUp()
        self.bad = self.copy_model("mini-ja", "bad")
        self.weights = self.bad / "model.safetensors"
        self.write("merge.yml", MERGE)

    def refused(self, *parts, codes=(2, 3)):
        """No command may crash on the model or leave anything behind; merge names the parts."""
        result = self.attempt("merge", "merge.yml", "out")
        self.assertIn(result.code, codes, result.err)
        self.assertEqual(result.out, "")
        for part in parts:
            self.assertIn(part, result.err)
        for words in (("inspect", "bad"), ("check", "merge.yml"),
                      ("generate", "bad", "--prompt", "x", "--max-new-tokens", "1"),
                      ("eval", "bad", "--tasks", "mini_ja_native", "--include-path", TASKS, "--limit", "1")):
            self.attempt(*words)
        self.assert_only(self.folder, "bad", "merge.yml")

    def replace_header(self, change):
        header, begin = read_header(self.weights)
        data = self.weights.read_bytes()[begin:]
        text = change(header)
        text = text if isinstance(text, bytes) else json.dumps(text).encode()
        self.weights.write_bytes(struct.pack("<Q", len(text)) + text + data)

    def test_truncated_weights(self):
        content = self.weights.read_bytes()
        for size in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
            with self.subTest(size=size):
                self.weights.write_bytes(content[:size])
                self.refused("model.safetensors")

    def test_a_header_longer_than_its_file(self):
        content = self.weights.read_bytes()
        for size in (2 ** 63, 2 ** 64 - 1, len(content), 100_000_001):
            with self.subTest(size=size):
                self.weights.write_bytes(struct.pack("<Q", size) + content[8:])
                self.refused("model.safetensors")

    def test_lying_offsets_shapes_and_types(self):
        name = "model.norm.weight"

        def lie(**changes):
            return lambda header: {**header, name: {**header[name], **changes}}
        entry = read_header(self.weights)[0][name]
        first, last = entry["data_offsets"]
        kept = self.weights.read_bytes()
        for what, change in {
                "beyond": lie(data_offsets=[first, last + 2 ** 40]), "backwards": lie(data_offsets=[last, first]),
                "negative": lie(data_offsets=[-2, last]), "shape": lie(shape=[129]),
                "huge": lie(shape=[2 ** 62, 2 ** 62]), "minus": lie(shape=[-128]), "type": lie(dtype="F99"),
                "text": lie(shape="128"), "array": lambda header: b"[]", "broken": lambda header: b'{"a": ',
                "deep": lambda header: b"[" * 100000, "zero": lambda header: b"{}\0",
        }.items():
            with self.subTest(what=what):
                self.weights.write_bytes(kept)
                self.replace_header(change)
                self.refused("model.safetensors")

    def test_a_missing_tensor_is_named(self):
        self.replace_header(lambda header: {("x" + k if k == "model.norm.weight" else k): v
                                            for k, v in header.items()})
        self.refused("model.norm.weight")

    def test_an_unknown_architecture_is_named(self):
        path = self.bad / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(dict(config, architectures=["StrangeForCausalLM"], model_type="strange")))
        for words in (("generate", "bad", "--prompt", "x"),
                      ("eval", "bad", "--tasks", "mini_ja_native", "--include-path", TASKS)):
            self.assertRegex(self.fails(3, *words).err, "(?i)strange")

    def test_damaged_configurations_of_models(self):
        path = self.bad / "config.json"
        config = json.loads(path.read_text())
        for change in ({"num_hidden_layers": 10 ** 9}, {"num_hidden_layers": -1}, {"hidden_size": 0},
                       {"num_attention_heads": 0}, {"num_key_value_heads": 3}, {"vocab_size": 10 ** 12},
                       {"hidden_size": "128"}, {"head_dim": 10 ** 9}, {"rope_theta": None}):
            with self.subTest(change=change):
                path.write_text(json.dumps(dict(config, **change)))
                result = self.attempt("generate", "bad", "--prompt", "x", "--max-new-tokens", "1")
                if "rope_theta" not in change:
                    self.assertIn(result.code, (3, 4), result.err)
        for text in ("", "{", "[]", "null", "\0" * 100):
            path.write_text(text)
            result = self.fails(3, "generate", "bad", "--prompt", "x")
            self.assertIn("config.json", result.err)

    def test_damaged_tokenizers(self):
        path = self.bad / "tokenizer.json"
        content = path.read_text()
        for text in ("", "{", "{}", content[:len(content) // 2], content.replace('"BPE"', '"XYZ"')):
            path.write_text(text)
            result = self.fails(3, "tokenize", "bad", "x")
            self.assertIn("tokeniz", result.err)

    def test_shards_that_are_missing_or_lie_outside(self):
        self.run_ok("merge", "merge.yml", "sharded", "--out-shard-size", "1M")
        shutil.rmtree(self.bad)
        shutil.move(self.folder / "sharded", self.bad)
        index = self.bad / "model.safetensors.index.json"
        content = json.loads(index.read_text())
        shard = content["weight_map"]["model.norm.weight"]
        os.rename(self.bad / shard, self.folder / "away")
        result = self.attempt("merge", "merge.yml", "out")
        self.assertIn(result.code, (2, 3), result.err)
        self.assertIn(shard, result.err)
        shutil.copy(self.folder / "away", self.bad / shard)
        content["weight_map"]["model.norm.weight"] = "../away"
        index.write_text(json.dumps(content))
        result = self.attempt("merge", "merge.yml", "out")
        self.assertIn(result.code, (2, 3), result.err)
        self.assertRegex(result.err, "index.json.*(away|model.norm.weight)")
        self.assert_only(self.folder, "bad", "merge.yml", "away")

    def test_a_file_where_a_folder_is_needed(self):
        self.write("file", "x")
        result = self.fails(2, "merge", "merge.yml", "file")
        self.assertIn("file", result.err)
        result = self.attempt("merge", "merge.yml", "file/out")
        self.assertIn(result.code, (2, 3, 4), result.err)
        result = self.attempt("evolve", "merge.yml", "--storage-path", "file")
        self.assertIn(result.code, (2, 3, 4), result.err)


class FullDisk(SearchTest):
    """On a small file system of memory where that can be mounted, else under a limit on file sizes."""

    def setUp(self):
        super().setUp()
        self.write("merge.yml", MERGE.replace("model: bad", f"model: {MODELS / 'mini-ja'}"))
        self.write("search.yml", genome(evaluations=8))

    def small_disk(self, size):
        disk = self.folder / "disk"
        disk.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", disk], check=False)
        return disk

    def limit_files(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    def test_merge_says_so_and_leaves_nothing(self):
        disk = self.small_disk("2m")
        result = self.fails(4, "merge", "merge.yml", disk / "out")
        self.assertRegex(result.err, r"disk/out: .*\d MB")
        self.assertEqual(os.listdir(disk), [])

    def test_a_write_that_fails_half_way_leaves_nothing(self):
        result = self.fails(4, "merge", "merge.yml", "out", preexec_fn=self.limit_files)
        self.assertIn("out", result.err)
        self.assert_only(self.folder, "merge.yml", "search.yml")

    def test_evolve_says_so_and_goes_on_when_there_is_room_again(self):
        disk = self.small_disk("200k")
        result = self.fails(4, "evolve", "search.yml", "--storage-path", disk / "run", "--task-search-path", TASKS)
        self.assertRegex(result.err, "space|full")
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        self.run_ok("evolve", "search.yml", "--storage-path", disk / "run", "--task-search-path", TASKS)
        self.run_ok(*self.words("other"))
        self.assertEqual(self.candidates(disk / "run"), self.candidates("other"))

    def test_results_that_do_not_fit_are_not_half_written(self):
        disk = self.small_disk("16k")
        self.write("disk/block", "x" * 12000)
        words = ("eval", MODELS / "mini-ja", "--tasks", "mini_ja_native", "--include-path", TASKS, "--limit", "60")
        for option in ("--log-samples", "--output"):
            with self.subTest(option=option):
                result = self.attempt(*words, option, disk / "file")
                if option == "--log-samples":
                    self.assertEqual(result.code, 4, result.err)
                    self.assertIn(str(disk / "file"), result.err)
                if result.code != 0:
                    self.assert_only(disk, "block")


if __name__ == "__main__":
    unittest.main()
