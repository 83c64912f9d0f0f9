"""`check`: what a merge or a search would do, and what is wrong with it, found before any weight is read."""
import json
import os
import unittest

from program import MODELS, SOURCE, ProgramTest, read_tensors, write_tensors

JA = MODELS / "mini-ja"
BASE = MODELS / "mini-base"


def merge(method, *entries, more=""):
    models = ", ".join(f"{{model: {path}, parameters: {parameters}}}" for path, parameters in entries)
    return f"merge_method: {method}\nmodels: [{models}]\n{more}"


class Check(ProgramTest):
    def check(self, text, *options):
        self.write("merge.yml", text)
        result = self.attempt("check", "merge.yml", "--json", *options)
        self.assertIn(result.code, (0, 1), result.err)
        found = json.loads(result.out)
        self.assertEqual(result.code, 1 if found["findings"] else 0)
        return found

    def finds(self, expected, text, *options):
        found = self.check(text, *options)
        self.assertRegex("\n".join(found["findings"]), expected)
        return found

    def variant(self, name, config=None, tokenizer_config=None, tensors=None, tokenizer=None):
        """A copy of mini-ja with changes: new keys, or functions that change what they get."""
        folder = self.copy_model("mini-ja", name)
        for file, change in (("config.json", config), ("tokenizer_config.json", tokenizer_config)):
            if change:
                path = folder / file
                path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        if tokenizer:
            path = folder / "tokenizer.json"
            content = json.loads(path.read_text())
            tokenizer(content)
            path.write_text(json.dumps(content))
        if tensors:
            content = read_tensors(folder)
            tensors(content)
            write_tensors(folder / "model.safetensors", content)
        return name

    def with_ja(self, other, more=""):
        return merge("linear", (JA, "{weight: 0.5}"), (other, "{weight: 0.5}"), more=more)

    def test_a_sound_merge_has_no_findings_and_a_forecast(self):
        found = self.check(self.with_ja(MODELS / "mini-math-a"))
        self.assertEqual(found["findings"], [])
        self.assertEqual((found["tensors"], found["layers"]), (75, 8))
        self.assertEqual(found["largest"]["shape"], [1024, 128])
        self.run_ok("merge", "merge.yml", "out")
        written = (self.folder / "out" / "model.safetensors").stat().st_size
        self.assertLess(abs(found["output_bytes"] - written) / written, 0.01)

    def test_vocabularies_that_do_not_match(self):
        def swap(content):
            vocab = content["model"]["vocab"]
            first, second = (text for text in vocab if vocab[text] in (300, 301))
            vocab[first], vocab[second] = vocab[second], vocab[first]

        def add(content):
            content["added_tokens"].append({**content["added_tokens"][-1], "id": 1024, "content": "<new>"})
        swapped = self.variant("swapped", tokenizer=swap)
        self.finds("vocabulary mismatch: 2 of its tokens have another number", self.with_ja(swapped))
        self.assertEqual(self.check(self.with_ja(swapped, "tokenizer_source: union\n"))["findings"], [])
        self.finds("1 of its tokens are not in .*<new>", self.with_ja(self.variant("more", tokenizer=add)))
        self.finds("config.json says 1029 tokens, .* has 1024 rows",
                   self.with_ja(self.variant("rows", config={"vocab_size": 1029})))

    def test_special_tokens_that_conflict(self):
        self.finds("another eos_token_id", self.with_ja(self.variant("eos", config={"eos_token_id": 5})))
        self.finds("its eos_token is 'X'", self.with_ja(self.variant("text", tokenizer_config={"eos_token": "X"})))

        def flag(content):
            content["added_tokens"][0]["lstrip"] = not content["added_tokens"][0]["lstrip"]
        self.finds("special token .* has lstrip",
                   self.with_ja(self.variant("flag", tokenizer=flag), "tokenizer_source: union\n"))

    def test_tokenizers_and_chat_templates_that_are_missing(self):
        bare = self.folder / self.variant("bare")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (bare / name).unlink()
        self.finds("bare: has no tokenizer: its tokens", self.with_ja("bare"))
        self.finds("bare: has no tokenizer, and neither will", merge("linear", ("bare", "{weight: 1}")))
        chat = self.variant("chat", tokenizer_config={"chat_template": "{{ messages }}"})
        self.finds("has a chat template, the result takes", self.with_ja(chat))
        self.finds("auto, and no model has one", self.with_ja(JA.parent / "mini-math-a", "chat_template: auto\n"))

    def test_heads_that_are_missing_or_untied(self):
        bare = self.variant("headless", tensors=lambda content: content.pop("lm_head.weight"))
        self.finds("headless: missing head", self.with_ja(bare))
        self.finds("its embedding stands in", self.with_ja(bare))
        tied = self.variant("tied", config={"tie_word_embeddings": True},
                            tensors=lambda content: content.pop("lm_head.weight"))
        self.finds("a tensor of its own, where the base model ties it",
                   merge("linear", (tied, "{weight: 1}"), (JA, "{weight: 1}")))

    def test_layers(self):
        def part(first, last):
            return f"merge_method: passthrough\nslices: [{{sources: [{{model: {JA}, layer_range: [{first}, {last}]}}]}}]\n"
        self.finds("ends at 12, model .* has 8 layers", part(6, 12))
        self.finds("must be 0 <= begin <= end", part(4, 2))
        self.finds("layer ranges are empty", part(4, 4))
        self.finds("gives 6 layers", self.with_ja(self.variant("six", config={"num_hidden_layers": 6})))
        self.finds("lacks tensor model.layers.3.mlp.up_proj.weight", self.with_ja(self.variant(
            "holed", tensors=lambda content: content.pop("model.layers.3.mlp.up_proj.weight"))))

    def test_types_that_surprise(self):
        def widen(content):
            for name, (_, shape, data) in content.items():
                pairs = (data[at:at + 2] for at in range(0, len(data), 2))
                content[name] = ("F32", shape, b"".join(b"\0\0" + pair for pair in pairs))
        found = self.finds("different types and 'dtype' is not set", self.with_ja(self.variant("wide", tensors=widen)))
        self.assertTrue(any("another type than config.json says" in line for line in found["findings"]))
        self.finds("float16, whose largest number", self.with_ja(MODELS / "mini-math-a", "dtype: float16\n"))
        self.finds("a wider type", self.with_ja(MODELS / "mini-math-a", "out_dtype: float32\n"))

    def test_weights_and_densities_that_make_no_sense(self):
        self.finds("layers.7.* the weights sum to zero",
                   merge("linear", (JA, "{weight: [1, 1]}"), (BASE, "{weight: [0, -1]}")))
        base = f"base_model: {BASE}\n"
        self.finds("'density' is outside", merge("ties", (JA, "{weight: 1, density: 1.5}"), more=base))
        self.finds("'density' is 0", merge("ties", (JA, "{weight: 1, density: 0}"), more=base))
        self.finds("'lambda' is 0", merge("task_arithmetic", (JA, "{weight: 1}"), more=base + "parameters: {lambda: 0}\n"))
        self.finds("'t' is outside", merge("slerp", (JA, "{}"), more=base + "parameters: {t: 2}\n"))
        self.finds("all weights are zero", merge("linear", (JA, "{weight: 0}")))
        self.finds("did you mean 'weight'", merge("linear", (JA, "{weight: 1, wieght: 2}")))

    def test_numbers_of_configurations_that_differ(self):
        self.finds("rope_theta is 500000", self.with_ja(self.variant("theta", config={"rope_theta": 500000.0})))
        self.finds("attention heads is 8", self.with_ja(self.variant("heads", config={"num_attention_heads": 8})))

    def test_the_folder_to_write(self):
        text = self.with_ja(MODELS / "mini-math-a")
        self.assertEqual(self.check(text, "new/deeper")["findings"], [])
        self.variant("full")
        self.finds("full: is not empty", text, "full")
        self.finds("a model of the merge itself", self.with_ja("full"), "full")

    def test_several_documents_are_checked_as_far_as_their_models_are_there(self):
        first = self.with_ja(MODELS / "mini-math-a")
        last = merge("linear", ("one", "{weight: 1}"))
        self.assertEqual(self.check(f"name: one\n{first}---\n{last}")["tensors"], 75)
        self.finds("did you mean 'linear'", f"name: one\n{first}---\n{last.replace('linear', 'linaer')}")
        self.finds("gone: no such folder", f"name: one\n{first.replace(str(JA), 'gone')}---\n{last}")

    def test_mistakes_in_names_of_documents_are_found(self):
        first = self.with_ja(MODELS / "mini-math-a")
        last = merge("linear", ("one", "{weight: 1}"))
        self.finds("'../one' must be a plain file name", f"name: ../one\n{first}---\n{last}")
        self.finds("two documents have the name 'one'", f"name: one\n{first}---\nname: one\n{first}---\n{last}")
        self.finds("the merge 'one' needs itself", f"name: one\n{last}---\n{last}")
        self.assertEqual(self.check(f"name: one\n{first}---\nname: two\n{last}")["findings"], [])

    def test_methods_that_cost_more_take_more_time(self):
        text = merge("karcher", (JA, "{}"), (MODELS / "mini-math-a", "{}"))
        self.assertGreater(self.check(text)["seconds"], 0)

    def test_a_search_is_checked_with_its_tasks_and_its_first_merge(self):
        os.symlink(SOURCE / "examples", self.folder / "examples")
        result = self.run_ok("check", "examples/mini/evolve.yml", "--task-search-path", "examples/mini/tasks", "--json")
        found = json.loads(result.out)
        self.assertEqual((found["tensors"], found["search"]["tasks"], found["search"]["evaluations"]), (75, 3, 200))
        self.assertGreater(found["search"]["questions"], 126)
        self.write("search.yml", "genome: {models: [a, b], merge_method: linear}\ntasks: [t]\n")
        result = self.attempt("check", "search.yml")
        self.assertEqual(result.code, 1)
        for part in ("a: no such folder", "b: no such folder", "'t'"):
            self.assertIn(part, result.out)


if __name__ == "__main__":
    unittest.main()
