"""Memory of a merge that is no mapped file: at most twice the largest tensor's inputs in float32, and 64 MB.

Tokenizers are merged within it too, although their trees are larger than these narrow embeddings.
"""
import json
import os
import random
import struct
import time
import unittest
import zipfile

from damaged_inputs import tensor as pickled_tensor
from damaged_inputs import text as pickled_text
from program import ProgramTest, read_tensors, write_tensors

TOKENS, HIDDEN, INNER = 131072, 48, 64
MODELS = 3
LIMIT_BASE = 64 << 20
METHODS = {
    "linear": "", "slerp": "t: 0.3", "nuslerp": "", "multislerp": "", "karcher": "", "task_arithmetic": "", "ties": "",
    "dare_linear": "", "dare_ties": "", "breadcrumbs": "", "breadcrumbs_ties": "", "della": "", "della_linear": "",
    "sce": "select_topk: 0.5", "model_stock": "", "nearswap": "t: 0.001", "arcee_fusion": "", "passthrough": "",
    "ram": "", "ramplus_tl": "",
}
TWO = ("slerp", "nearswap", "arcee_fusion")  # a base and one other
NO_BASE = ("linear", "karcher", "passthrough", "nuslerp", "multislerp")


class Memory(ProgramTest):
    def setUp(self):
        super().setUp()
        noise = random.Random(1)
        for model in range(MODELS):
            block = struct.pack("<8192f", *(noise.gauss(0, 0.02) for _ in range(8192)))
            bfloat16 = b"".join(block[at + 2:at + 4] for at in range(0, len(block), 4))
            self.make_model(f"m{model}", bfloat16)

    def make_model(self, name, pattern):
        def tensor(*shape):
            count = 1
            for size in shape:
                count *= size
            return "BF16", shape, (pattern * (2 * count // len(pattern) + 1))[:2 * count]
        layer = "model.layers.0."
        tensors = {"model.embed_tokens.weight": tensor(TOKENS, HIDDEN), "model.norm.weight": tensor(HIDDEN),
                   layer + "input_layernorm.weight": tensor(HIDDEN),
                   layer + "post_attention_layernorm.weight": tensor(HIDDEN)}
        for part in "qkvo":
            tensors[layer + f"self_attn.{part}_proj.weight"] = tensor(HIDDEN, HIDDEN)
        for part, shape in (("gate", (INNER, HIDDEN)), ("up", (INNER, HIDDEN)), ("down", (HIDDEN, INNER))):
            tensors[layer + f"mlp.{part}_proj.weight"] = tensor(*shape)
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
                  "intermediate_size": INNER, "num_attention_heads": 4, "num_key_value_heads": 4, "rms_norm_eps": 1e-6,
                  "num_hidden_layers": 1, "vocab_size": TOKENS, "tie_word_embeddings": True, "hidden_act": "silu",
                  "torch_dtype": "bfloat16", "max_position_embeddings": 64}
        (self.folder / name).mkdir()
        write_tensors(self.folder / name / "model.safetensors", tensors)
        self.write(f"{name}/config.json", json.dumps(config))

    def add_tokenizer(self, name, tokens):
        self.write(f"{name}/tokenizer.json", json.dumps({
            "version": "1.0", "added_tokens": [{"id": 0, "content": tokens[0], "special": True}],
            "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": []}}))

    def make_bin(self, name, to):
        """The model as a pytorch_model.bin."""
        (self.folder / to).mkdir()
        self.write(f"{to}/config.json", (self.folder / name / "config.json").read_text())
        items = b""
        with zipfile.ZipFile(self.folder / to / "pytorch_model.bin", "w") as archive:
            for i, (key, (_, shape, data)) in enumerate(read_tensors(self.folder / name).items()):
                archive.writestr(f"archive/data/{i}", data)
                items += pickled_text(key) + pickled_tensor(str(i), len(data) // 2, shape)
            archive.writestr("archive/data.pkl", b"\x80\x02}(" + items + b"u.")

    def make_adapter(self, rank=8):
        """An adapter of the embedding."""
        (self.folder / "lora").mkdir()
        self.write("lora/adapter_config.json", json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": rank}))
        name, value = "base_model.model.model.embed_tokens.lora_embedding_", struct.pack("<f", 0.01)
        write_tensors(self.folder / "lora/adapter_model.safetensors", {
            name + "A": ("F32", (rank, TOKENS), value * rank * TOKENS),
            name + "B": ("F32", (HIDDEN, rank), value * rank * HIDDEN)})

    def peak(self, *words):
        """Bytes of anonymous memory at most, as often as it can be looked at."""
        process = self.start(*words)
        most = 0
        while process.poll() is None:
            try:
                with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                    for line in status:
                        if line.startswith("RssAnon:"):
                            most = max(most, 1024 * int(line.split()[1]))
            except OSError:
                pass
            time.sleep(0.001)
        result = self.finish(process)
        self.assertEqual(result.code, 0, result.err)
        return most

    def test_every_method_stays_within_its_bound(self):
        for method, shared in METHODS.items():
            with self.subTest(method=method):
                count = 1 if method == "passthrough" else 2 if method in TWO + ("nuslerp",) else MODELS
                models = ", ".join(f"{{model: m{i}, parameters: {{weight: 0.4, density: 0.6}}}}" for i in range(count))
                base = "" if method in NO_BASE else "base_model: m0\n"
                self.write("merge.yml", f"models: [{models}]\n{base}merge_method: {method}\ndtype: bfloat16\n"
                           f"parameters: {{{shared}}}\n")
                bound = 2 * 4 * TOKENS * HIDDEN * count + LIMIT_BASE
                peak = self.peak("merge", "merge.yml", "out", "--overwrite", "--seed", "1", "--threads", "2")
                if os.environ.get("MG_SANITIZED") == "1":
                    continue  # sanitizers take memory of their own
                self.assertLessEqual(peak, bound, f"{peak >> 20} MB, the bound is {bound >> 20} MB")
                self.assertGreater(peak, 1 << 20)
                forecast = json.loads(self.attempt("check", "merge.yml", "--threads", "2", "--json").out)["memory_bytes"]
                self.assertLessEqual(abs(forecast - peak), 0.05 * peak + (1 << 20), f"{forecast} was told, {peak} taken")


    def test_so_do_tokenizers_adapters_and_pickles_on_many_threads(self):
        common = [f"t{i}" for i in range(TOKENS - 1)]
        self.add_tokenizer("m0", ["<s>"] + common)
        self.add_tokenizer("m1", ["<s>"] + common[::-1])
        self.add_tokenizer("m2", ["<s>"] + [f"u{i}" for i in range(TOKENS // 2)] + common[TOKENS // 2:])
        self.make_bin("m1", "bin")
        self.make_adapter()
        union = "tokenizer: {source: union}\n"
        for what, method, models, more in (("union", "linear", ("m0", "m1", "m2"), union),
                                           ("union", "ties", ("m0", "m1", "m2"), union + "base_model: m0\n"),
                                           ("bin", "linear", ("m0", "bin", "m2"), ""),
                                           ("adapters", "ties", ("m0", "m1+lora", "m2+lora"), "base_model: m0\n")):
            with self.subTest(what=what, method=method):
                text = ", ".join(f"{{model: {m}, parameters: {{weight: 0.4, density: 0.6}}}}" for m in models)
                self.write("merge.yml", f"models: [{text}]\nmerge_method: {method}\ndtype: bfloat16\n{more}")
                rows = TOKENS + (TOKENS // 2 if what == "union" else 0)
                bound = 2 * 4 * rows * HIDDEN * len(models) + LIMIT_BASE
                peak = self.peak("merge", "merge.yml", "out", "--overwrite", "--seed", "1", "--threads", "16")
                self.assertLessEqual(peak, bound, f"{peak >> 20} MB, the bound is {bound >> 20} MB")


if __name__ == "__main__":
    unittest.main()
