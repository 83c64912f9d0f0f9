"""Logits of a crooked path as transformers sees its export: layers repeated, two models, factors below 0.

usage: make.py PROGRAM      PROGRAM merges the recipe that evolution.md 4.5 gives; writes cases.json
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parents[2] / "examples" / "mini" / "models"
NAMES = ["mini-math-a", "mini-ja"]
# model, layer, factor in front; the last hop's decides the sign of the whole product
HOPS = [(0, 0, 1.1), (0, 1, -0.8), (0, 2, 1.0), (1, 2, 1.3), (1, 3, -1.2), (1, 3, 0.7), (0, 3, 0.9), (0, 4, 1.0),
        (1, 6, -2.0), (0, 5, 0.6)]
LAST = [(0, 7, 0.6), (0, 7, -1.4)]
TOKENS = [3 + i * 37 % 900 for i in range(24)]
ROWS = [0, 11, 23]


def recipe(hops):
    lines = ["merge_method: passthrough", "dtype: float32", "slices:"]
    product = 1.0
    for place, (model, layer, factor) in enumerate(hops):
        product *= float(torch.tensor(factor, dtype=torch.float32))
        lines += ["- sources:", f"  - model: {MODELS / NAMES[model]}", f"    layer_range: [{layer}, {layer + 1}]",
                  "    parameters:", "      scale:"]
        values = [("o_proj", 1 / product), ("down_proj", 1 / product)]
        if product < 0:
            values += [("input_layernorm.weight", -1.0), ("post_attention_layernorm.weight", -1.0)]
            if place == len(hops) - 1:
                values.append(("model.norm.weight", -1.0))
        lines += [line for name, value in values for line in (f"      - filter: {name}", f"        value: {value!r}")]
        lines.append("      - value: 1.0")
    return "\n".join(lines) + "\n"


def logits(program, hops):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "path.yml").write_text(recipe(hops))
        subprocess.run([program, "merge", folder / "path.yml", folder / "out"], check=True, capture_output=True)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder / "out", torch_dtype=torch.float32).eval()
        with torch.no_grad():
            return model(torch.tensor([TOKENS])).logits[0]


def main():
    cases = []
    for last in LAST:
        hops = HOPS + [last]
        rows = logits(sys.argv[1], hops)
        cases.append({"hops": hops, "rows": ROWS, "logits": [[float(f"{x:.8g}") for x in rows[r]] for r in ROWS]})
    out = {"models": NAMES, "tokens": TOKENS, "cases": cases}
    (HERE / "cases.json").write_text(json.dumps(out) + "\n")


main()
