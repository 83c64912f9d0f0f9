"""`merge`, `inspect` and `check` end to end; bytes equal to mergekit's are the business of tests/golden."""
import json
import os
import struct
import unittest

from program import (MODELS, ProgramTest, bfloat16, change_tensor, model_list, read_header,
                     read_tensors, write_tensors)

LINEAR = "models:\n" + model_list(("mini-ja", "{weight: 0.25}"), ("mini-math-a", "{weight: 0.75}")) + (
    "merge_method: linear\ndtype: bfloat16\n")
DARE = "models:\n" + model_list(("mini-ja", "{weight: 0.5, density: 0.5}"),
                                ("mini-math-a", "{weight: 0.4, density: 0.7}")) + (
    f"merge_method: dare_ties\nbase_model: {MODELS / 'mini-base'}\ndtype: bfloat16\n")
Q0 = "model.layers.0.self_attn.q_proj.weight"
Q7 = "model.layers.7.self_attn.q_proj.weight"
DOWN0 = "model.layers.0.mlp.down_proj.weight"


def rounded(value):
    """A float as bfloat16 holds it, ties to even."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return struct.unpack("<f", struct.pack("<I", (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000))[0]


def make_adapter(test):
    """A folder lora with an adapter of Q0 that changes nothing."""
    q = "base_model.model." + Q0[:-len("weight")]
    (test.folder / "lora").mkdir()
    write_tensors(test.folder / "lora" / "adapter_model.safetensors",
                  {q + "lora_A.weight": ("F32", (2, 128), bytes(1024)),
                   q + "lora_B.weight": ("F32", (128, 2), bytes(1024))})
    test.write("lora/adapter_config.json", json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2,
                                                       "target_modules": ["q_proj"]}))


class Merge(ProgramTest):
    def merge(self, text, out="out", *options):
        self.write("merge.yml", text)
        result = self.run_ok("merge", "merge.yml", out, *options)
        return result

    def expect_mix(self, name, a, b, share, tensors):
        """tensors[name] is (1 - share) * a + share * b, to bfloat16's precision."""
        left, right = bfloat16(a[name][2]), bfloat16(b[name][2])
        for x, y, z in zip(left[:200], right[:200], bfloat16(tensors[name][2])[:200]):
            want = (1 - share) * x + share * y
            self.assertAlmostEqual(z, want, delta=abs(want) / 100 + 1e-6)

    def test_linear_is_the_weighted_mean_of_its_models(self):
        result = self.merge(LINEAR)
        self.assertEqual(result.out, "out\n")
        self.assert_only(self.folder, "merge.yml", "out")
        merged, a, b = (read_tensors(f) for f in
                        (self.folder / "out", MODELS / "mini-ja", MODELS / "mini-math-a"))
        self.assertEqual(sorted(merged), sorted(a))
        for name in a:
            self.assertEqual(merged[name][:2], a[name][:2])
        self.expect_mix(Q0, a, b, 0.75, merged)
        self.expect_mix("model.norm.weight", a, b, 0.75, merged)

    def test_the_folder_is_a_whole_model(self):
        self.merge(LINEAR)
        names = os.listdir(self.folder / "out")
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                     "README.md", "mergekit_config.yml"):
            self.assertIn(name, names)
        answer = self.run_ok("generate", "out", "--prompt", "問題:3+4は?\n答え:", "--max-new-tokens", "8")
        self.assertTrue(answer.out.strip())
        again = self.run_ok("merge", self.folder / "out" / "mergekit_config.yml", "again")
        self.assertEqual(again.out, "again\n")
        self.assert_same_tensors(self.folder / "out", self.folder / "again")

    def test_passthrough_of_one_model_copies_every_byte(self):
        self.merge("models:\n" + model_list(("mini-ja", None)) + "merge_method: passthrough\n")
        self.assert_same_tensors(self.folder / "out", MODELS / "mini-ja")

    def test_slices_stack_layers_and_config_json_counts_them(self):
        self.merge(f"""slices:
  - sources: [{{model: {MODELS / 'mini-ja'}, layer_range: [0, 6]}}]
  - sources: [{{model: {MODELS / 'mini-math-a'}, layer_range: [2, 8]}}]
merge_method: passthrough
dtype: bfloat16
""")
        config = json.loads((self.folder / "out" / "config.json").read_text())
        self.assertEqual(config["num_hidden_layers"], 12)
        merged, a, b = (read_tensors(f) for f in
                        (self.folder / "out", MODELS / "mini-ja", MODELS / "mini-math-a"))
        self.assertEqual(merged[Q0], a[Q0])
        self.assertEqual(merged["model.layers.6.self_attn.q_proj.weight"],
                         b["model.layers.2.self_attn.q_proj.weight"])
        self.assertEqual(merged["model.layers.11.mlp.down_proj.weight"],
                         b["model.layers.7.mlp.down_proj.weight"])
        self.run_ok("generate", "out", "--prompt", "1", "--max-new-tokens", "4")

    def test_gradients_run_over_depth_and_filters_choose_tensors(self):
        self.merge("models:\n" + model_list(
            ("mini-ja", "{weight: [1, 0]}"),
            ("mini-math-a", "{weight: [{filter: mlp, value: 0}, {value: [0, 1]}]}")) +
            "merge_method: linear\nparameters: {normalize: false}\ndtype: bfloat16\n")
        merged, a, b = (read_tensors(f) for f in
                        (self.folder / "out", MODELS / "mini-ja", MODELS / "mini-math-a"))
        self.assertEqual(merged[Q0], a[Q0])
        self.assertEqual(merged[Q7], b[Q7])
        self.assertEqual(merged[DOWN0], a[DOWN0])
        last = set(bfloat16(merged["model.layers.7.mlp.down_proj.weight"][2]))
        self.assertTrue(last <= {0.0}, "the filter takes the second model's MLP out")
        self.expect_mix("model.layers.3.self_attn.q_proj.weight", a, b, 3 / 7, merged)

    def test_a_seed_gives_the_same_random_masks_again(self):
        self.merge(DARE, "a", "--seed", "42")
        self.merge(DARE, "b", "--random-seed=42")
        self.merge(DARE, "c", "--seed", "43")
        self.assert_same_file(self.folder / "a/model.safetensors", self.folder / "b/model.safetensors")
        self.assertNotEqual(read_tensors(self.folder / "a")[Q0], read_tensors(self.folder / "c")[Q0])

    def test_the_number_of_threads_changes_no_bit(self):
        self.merge(DARE, "one", "--seed", "7", "--threads", "1")
        self.merge(DARE, "three", "--seed", "7", "--threads", "3")
        self.assert_same_file(self.folder / "one/model.safetensors", self.folder / "three/model.safetensors")

    def test_every_method_of_the_main_job_writes_a_model(self):
        two = [("mini-ja", "{weight: 0.5, density: 0.6}"), ("mini-math-a", "{weight: 0.4, density: 0.6}")]
        base = f"base_model: {MODELS / 'mini-base'}\ndtype: bfloat16\n"
        for method in ("task_arithmetic", "ties", "dare_linear", "dare_ties"):
            with self.subTest(method=method):
                self.merge("models:\n" + model_list(*two) + f"merge_method: {method}\n" + base, method)
                self.assertEqual(len(read_tensors(self.folder / method)), 75)
        self.merge("models:\n" + model_list(("mini-ja", None), ("mini-math-a", None)) +
                   f"merge_method: slerp\nbase_model: {MODELS / 'mini-ja'}\nparameters: {{t: 0.5}}\n"
                   "dtype: bfloat16\n", "slerp")
        self.assertEqual(len(read_tensors(self.folder / "slerp")), 75)

    def test_shards_have_an_index_and_hold_the_same_tensors(self):
        self.merge(LINEAR, "whole")
        self.merge(LINEAR, "shards", "--out-shard-size", "1M")
        files = sorted(p.name for p in (self.folder / "shards").glob("*.safetensors"))
        self.assertGreater(len(files), 2)
        self.assertRegex(files[0], r"^model-00001-of-0000\d\.safetensors$")
        index = json.loads((self.folder / "shards" / "model.safetensors.index.json").read_text())
        self.assertEqual(sorted(set(index["weight_map"].values())), files)
        for name, file in index["weight_map"].items():
            self.assertIn(name, read_header(self.folder / "shards" / file)[0])
        self.assert_same_tensors(self.folder / "whole", self.folder / "shards")
        self.run_ok("generate", "shards", "--prompt", "1", "--max-new-tokens", "2")

    def test_types_of_arithmetic_and_of_files_are_chosen(self):
        self.merge(LINEAR.replace("dtype: bfloat16", "dtype: float32\nout_dtype: float16"))
        self.assertEqual({t[0] for t in read_tensors(self.folder / "out").values()}, {"F16"})

    def test_a_full_folder_is_refused_and_overwrite_replaces_it(self):
        self.write("out/precious.txt", "mine")
        self.write("merge.yml", LINEAR)
        result = self.fails(2, "merge", "merge.yml", "out")
        self.assertIn("out", result.err)
        self.assertIn("--overwrite", result.err)
        self.assert_only(self.folder / "out", "precious.txt")
        self.run_ok("merge", "merge.yml", "out", "--overwrite")
        self.assertNotIn("precious.txt", os.listdir(self.folder / "out"))
        self.assertTrue((self.folder / "out" / "model.safetensors").exists())
        self.assert_only(self.folder, "merge.yml", "out")

    def test_a_model_that_is_merged_is_not_replaced(self):
        self.copy_model("mini-ja", "models/ja")
        self.write("merge.yml", LINEAR.replace(str(MODELS / "mini-ja"), "models/ja"))
        os.symlink("models", self.folder / "link")
        for out in ("models/ja", "models", "link/ja", "./models/"):
            with self.subTest(out=out):
                result = self.fails(2, "merge", "merge.yml", out, "--overwrite")
                self.assertIn("'models/ja' that is merged", result.err)
        self.assert_only(self.folder / "models", "ja")
        self.assert_same_tensors(self.folder / "models/ja", MODELS / "mini-ja")
        self.run_ok("merge", "merge.yml", "models/new")

    def test_an_adapter_and_a_source_of_tokens_are_not_replaced_either(self):
        make_adapter(self)
        self.copy_model("mini-ja", "tokens")
        ja = MODELS / "mini-ja"
        self.write("merge.yml", f"merge_method: linear\nmodels: [{{model: {ja}+lora, parameters: {{weight: 1}}}}]\n"
                   "tokenizer: {source: tokens}\n")
        for out in ("lora", "tokens"):
            with self.subTest(out=out):
                self.assertIn("that is merged into it", self.fails(2, "merge", "merge.yml", out, "--overwrite").err)
        self.assertTrue((self.folder / "lora" / "adapter_config.json").exists())
        self.run_ok("merge", "merge.yml", "out")

    def test_a_link_to_a_folder_stands_for_it(self):
        (self.folder / "disk").mkdir()
        os.symlink("disk", self.folder / "out")
        self.merge(LINEAR, "out/")
        self.assertTrue((self.folder / "out").is_symlink())
        self.assertTrue((self.folder / "disk" / "model.safetensors").exists())
        self.assertIn("not empty", self.fails(2, "merge", "merge.yml", "out").err)
        self.run_ok("merge", "merge.yml", "out", "--overwrite")
        self.assertTrue((self.folder / "out").is_symlink())
        self.assert_only(self.folder, "disk", "merge.yml", "out")
        os.symlink("nothing", self.folder / "astray")
        self.assertIn("a link to nothing", self.fails(2, "merge", "merge.yml", "astray").err)
        self.assertIn("no name for a new folder", self.fails(2, "merge", "merge.yml", "disk/..", "--overwrite").err)

    def test_an_empty_folder_is_filled(self):
        (self.folder / "out").mkdir()
        self.merge(LINEAR)
        self.assertTrue((self.folder / "out" / "model.safetensors").exists())

    def test_options_of_mergekit_without_meaning_are_noted_and_ignored(self):
        self.write("merge.yml", LINEAR)
        result = self.run_ok("merge", "merge.yml", "out", "--lazy-unpickle", "--clone-tensors",
                             "--trust-remote-code", "--no-async-write", "--write-threads", "4",
                             "--low-cpu-memory", "--allow-crimes", "--transformers-cache", "x")
        self.assertIn("--lazy-unpickle", result.err)
        self.assertEqual(result.out, "out\n")

    def test_documents_that_all_have_names_need_no_out(self):
        one = "merge_method: passthrough\nmodels:\n" + model_list(("mini-ja", None))
        self.write("merge.yml", f"name: a\n{one}---\nname: b\n{one.replace(str(MODELS / 'mini-ja'), 'a')}")
        self.assertIn("--intermediate-dir", self.fails(2, "merge", "merge.yml").err)
        result = self.run_ok("merge", "merge.yml", "-I", "parts")
        self.assertEqual(result.out, "parts\n")
        self.assert_only(self.folder / "parts", "a", "b")
        recorded = (self.folder / "parts" / "b" / "mergekit_config.yml").read_text()
        self.assertEqual(recorded, "merge_method: passthrough\nmodules:\n  default:\n    slices:\n    - sources:\n"
                                   "      - layer_range: [0, 8]\n        model: parts/a")
        self.write("last.yml", f"name: a\n{one}---\n{one.replace(str(MODELS / 'mini-ja'), 'a')}")
        self.assertIn("needs OUT", self.fails(2, "merge", "last.yml", "-I", "parts").err)
        self.assertEqual(self.run_ok("merge", "last.yml", "-I", "parts", "--out-path", "out").out, "out\n")
        self.assertIn("given twice", self.fails(2, "merge", "last.yml", "out", "--out-path", "more").err)

    def test_the_tokenizer_of_old_configurations_is_found(self):
        self.merge(LINEAR + f"tokenizer_source: model:{MODELS / 'mini-base'}\n")
        self.assertTrue((self.folder / "out" / "tokenizer.json").exists())
        self.copy_model("mini-ja", "bare")
        (self.folder / "bare" / "tokenizer.json").unlink()
        self.write("merge.yml", "merge_method: passthrough\nmodels: [{model: bare}]\ntokenizer_source: union\n")
        self.assertIn("bare: has no tokenizer.json", self.fails(3, "merge", "merge.yml", "none").err)

    def test_a_model_of_two_classes_is_refused_until_one_is_named(self):
        self.copy_model("mini-ja", "two")
        path = self.folder / "two" / "config.json"
        config = json.loads(path.read_text())
        name = config["architectures"][0]
        path.write_text(json.dumps(dict(config, architectures=[name, "OtherForCausalLM"])))
        self.write("merge.yml", "merge_method: passthrough\nmodels: [{model: two}]\n")
        self.assertIn("lists 2 classes", self.fails(2, "merge", "merge.yml", "out").err)
        self.merge("merge_method: passthrough\nmodels: [{model: {model: two, override_architecture: %s}}]\n" % name)
        self.assertEqual(json.loads((self.folder / "out" / "config.json").read_text())["architectures"], [name])

    def test_json_and_quiet(self):
        self.write("merge.yml", LINEAR)
        result = self.run_ok("merge", "merge.yml", "out", "--json", "--quiet")
        self.assertEqual(json.loads(result.out), {"path": "out"})
        self.assertEqual(result.err, "")

    def test_nan_stops_the_merge_naming_the_tensor_and_leaves_nothing(self):
        bad = self.copy_model("mini-ja", "bad")
        change_tensor(bad, DOWN0, lambda dtype, shape, data: (dtype, shape, b"\xc0\x7f" + data[2:]))
        self.write("merge.yml", LINEAR.replace(str(MODELS / "mini-ja"), "bad"))
        result = self.fails(3, "merge", "merge.yml", "out")
        self.assertIn(DOWN0, result.err)
        self.assert_only(self.folder, "merge.yml", "bad")
        self.run_ok("merge", "merge.yml", "out", "--allow-nonfinite")

    def test_shapes_that_do_not_fit_are_named_with_nothing_left(self):
        bad = self.copy_model("mini-ja", "bad")
        change_tensor(bad, DOWN0, lambda dtype, shape, data: (dtype, (shape[0], shape[1] - 1),
                                                              data[:shape[0] * (shape[1] - 1) * 2]))
        self.write("merge.yml", LINEAR.replace(str(MODELS / "mini-ja"), "bad"))
        result = self.fails(2, "merge", "merge.yml", "out")
        self.assertIn(DOWN0, result.err)
        self.assertRegex(result.err, r"351")
        self.assert_only(self.folder, "merge.yml", "bad")


class InspectAndCheck(ProgramTest):
    def test_inspect_lists_tensors_of_a_folder_a_file_and_a_configuration(self):
        self.write("merge.yml", LINEAR)
        for path in (MODELS / "mini-ja", MODELS / "mini-ja" / "model.safetensors", "merge.yml"):
            with self.subTest(path=path):
                result = self.run_ok("inspect", path)
                self.assertIn(DOWN0, result.out)
        self.assertIn("mistral", self.run_ok("inspect", MODELS / "mini-ja").out.lower())

    def test_inspect_json_is_json(self):
        for path in (MODELS / "mini-ja", MODELS / "mini-ja" / "model.safetensors"):
            for line in self.run_ok("inspect", path, "--json").out.splitlines():
                json.loads(line)

    def test_inspect_knows_adapters_and_models_with_one(self):
        make_adapter(self)
        for path, count in (("lora", 2), (f"{MODELS / 'mini-ja'}+lora", 75)):
            found = json.loads(self.run_ok("inspect", path, "--json").out)
            self.assertEqual((len(found["tensors"]), found["adapter"]), (count, [Q0]))
            self.assertIn("adapter of 1 weights", self.run_ok("inspect", path).out)
        self.fails(3, "inspect", f"{MODELS / 'mini-ja'}+gone")
        self.fails(3, "inspect", MODELS / "mini-ja" / "config.json")

    def test_explain_has_a_json_form(self):
        self.write("merge.yml", LINEAR)
        found = json.loads(self.run_ok("inspect", "merge.yml", "--explain", Q0, "--json").out)
        self.assertEqual((found["name"], found["method"], found["work"]), (Q0, "linear", "BF16"))
        self.assertEqual([i["parameters"]["weight"] for i in found["inputs"]], [0.25, 0.75])
        self.assertEqual(found["inputs"][1]["model"], str(MODELS / "mini-math-a"))

    def test_explain_names_inputs_weights_and_method(self):
        self.write("merge.yml", LINEAR)
        result = self.run_ok("inspect", "merge.yml", "--explain", Q0)
        for part in ("linear", "mini-ja", "mini-math-a", "0.25", "0.75"):
            self.assertIn(part, result.out)
        result = self.fails(3, "inspect", "merge.yml", "--explain", Q0.replace("q_proj", "q_prj"))
        self.assertIn(Q0, result.err)

    def test_check_says_what_a_merge_would_do(self):
        self.write("merge.yml", LINEAR)
        result = self.run_ok("check", "merge.yml")
        self.assertIn("75", result.out)
        self.assert_only(self.folder, "merge.yml")

    def test_check_ends_with_1_when_it_finds_problems(self):
        self.write("merge.yml", LINEAR.replace("mini-math-a", "mini-math-z"))
        result = self.attempt("check", "merge.yml")
        self.assertEqual(result.code, 1, result.err)
        self.assertIn("mini-math-z", result.out + result.err)

    def test_architectures_can_be_defined_by_files(self):
        name = json.loads((MODELS / "mini-ja" / "config.json").read_text())["architectures"][0]
        definition = {"model_type": "own", "architectures": [name], "num_layers_config_key": "num_hidden_layers",
                      "pre_weights": [{"name": "model.embed_tokens.weight", "is_embed": True}],
                      "post_weights": [],
                      "layer_templates": {"weights": [{"name": "model.layers.${layer_index}.input_layernorm.weight"}]}}
        (self.folder / "layouts").mkdir()
        self.write("layouts/own.json", json.dumps(definition))
        self.write("merge.yml", LINEAR)
        found = json.loads(self.run_ok("check", "merge.yml", "--json", "--layouts", "layouts").out)
        self.assertEqual(found["tensors"], 1 + 8)
        self.fails(3, "check", "merge.yml", "--layouts", "nowhere")

    def test_templates_without_a_layer_number_are_written_once(self):
        name = json.loads((MODELS / "mini-ja" / "config.json").read_text())["architectures"][0]
        definition = {"model_type": "own", "architectures": [name], "num_layers_config_key": "num_hidden_layers",
                      "pre_weights": [], "post_weights": [],
                      "layer_templates": {"weights": [{"name": "model.norm.weight"}]}}
        (self.folder / "layouts").mkdir()
        self.write("layouts/own.json", json.dumps(definition))
        self.write("merge.yml", LINEAR)
        self.run_ok("merge", "merge.yml", "out", "--layouts", "layouts")
        self.assertEqual(list(read_tensors(self.folder / "out")), ["model.norm.weight"])

    def test_a_file_without_a_model_has_no_architecture(self):
        found = json.loads(self.run_ok("inspect", MODELS / "mini-ja" / "model.safetensors", "--json").out)
        self.assertIsNone(found["architecture"])

    def test_embeddings_are_cut_to_the_smallest_vocabulary_when_asked(self):
        (self.folder / "long").mkdir()
        for name in ("config.json", "tokenizer.json"):
            (self.folder / "long" / name).write_bytes((MODELS / "mini-ja" / name).read_bytes())
        data = (MODELS / "mini-ja" / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header, body = json.loads(data[8:8 + size]), data[8 + size:]
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            entry = header[name]
            rows, columns = entry["shape"]
            begin, end = entry["data_offsets"]
            body += body[begin:end] + bytes(16 * columns * 2)
            entry["shape"] = [rows + 16, columns]
            entry["data_offsets"] = [len(body) - (end - begin) - 16 * columns * 2, len(body)]
        # The old places of both would be holes: the other tensors move up.
        packed = b""
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                entry["data_offsets"] = [len(packed), len(packed) + end - begin]
                packed += body[begin:end]
        text = json.dumps(header).encode()
        (self.folder / "long" / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + packed)
        config = json.loads((MODELS / "mini-ja" / "config.json").read_text())
        self.write("long/config.json", json.dumps(dict(config, vocab_size=config["vocab_size"] + 16)))
        recipe = LINEAR.replace(str(MODELS / "mini-ja"), "long")
        self.write("merge.yml", recipe)
        self.assertIn("they must be equal", self.fails(2, "merge", "merge.yml", "out").err)
        self.run_ok("merge", "merge.yml", "cut", "--unsafe-truncate-embeddings")
        self.write("plain.yml", LINEAR)
        self.run_ok("merge", "plain.yml", "plain")
        cut, plain = read_tensors(self.folder / "cut"), read_tensors(self.folder / "plain")
        self.assertEqual(cut, plain)
        # mergekit leaves the size of the base there, with which nothing loads.
        self.assertEqual(json.loads((self.folder / "cut" / "config.json").read_text())["vocab_size"],
                         config["vocab_size"])


if __name__ == "__main__":
    unittest.main()
