"""Logits and greedy answers of the bundled models, from transformers 4.57 in float32.

usage: make.py                      writes cases.json for a few questions of each model
       make.py compare PROGRAM      compares `PROGRAM generate` on every question of every model
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
MINI = HERE.parents[2] / "examples" / "mini"
MODELS = ["mini-base", "mini-ja", "mini-math-a", "mini-math-b"]
FILES = ["mgsm_mini_ja_train", "mgsm_mini_ja_test", "mgsm_mini_en_test"]
NEW_TOKENS = 64
NEAR_TIE = 1e-4


def prompts():
    out = []
    for name in FILES:
        for line in (MINI / "data" / (name + ".jsonl")).read_text(encoding="utf-8").splitlines():
            out.append("問題:" + json.loads(line)["question"] + "\n答え:")
    return out


def load(name):
    folder = MINI / "models" / name
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def answer(model, ids):
    """The greedy answer, and for each of its tokens the distance to the second best."""
    with torch.no_grad():
        out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=NEW_TOKENS, output_scores=True,
                             return_dict_in_generate=True, attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                             pad_token_id=0)
    gaps = [float(t[0] - t[1]) for t in (torch.topk(s[0], 2).values for s in out.scores)]
    return out.sequences[0, len(ids):].tolist(), gaps


def write_cases():
    cases = []
    texts = prompts()
    for m, name in enumerate(MODELS):
        model, tokenizer = load(name)
        for index in (3 + m, 130 + 5 * m, 400 + 7 * m):
            ids = tokenizer(texts[index])["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -1]
            logprobs = torch.log_softmax(logits, 0)
            new, gaps = answer(model, ids)
            cases.append({"model": name, "ids": ids, "greedy": new, "gaps": [float(f"{g:.4g}") for g in gaps],
                          "logits": [float(f"{v:.7g}") for v in logits.tolist()[::16]],
                          "logsumexp": float(f"{float(logits[0] - logprobs[0]):.8g}"),
                          "text": tokenizer.decode([i for i in new if i != tokenizer.eos_token_id])})
    text = ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases)
    (HERE / "cases.json").write_text("[\n" + text + "\n]\n", encoding="utf-8")


def compare(program):
    texts = prompts()
    for name in MODELS:
        model, tokenizer = load(name)
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            for i, text in enumerate(texts):
                file.write(json.dumps({"id": i, "prompt": text, "max_new_tokens": NEW_TOKENS}) + "\n")
            file.flush()
            lines = subprocess.run([program, "generate", str(MINI / "models" / name), "--requests", file.name, "-q"],
                                   check=True, stdout=subprocess.PIPE).stdout.decode().splitlines()
        replies = {reply["id"]: reply for reply in map(json.loads, lines)}
        same = ties = wrong = texts_differ = 0
        for i, text in enumerate(texts):
            new, gaps = answer(model, tokenizer(text)["input_ids"])
            kept = [t for t in new if t != tokenizer.eos_token_id]
            got = replies[i]["ids"]
            if got == kept:
                same += 1
                texts_differ += replies[i]["text"] != tokenizer.decode(kept, skip_special_tokens=True)
                continue
            first = next((k for k in range(min(len(got), len(kept))) if got[k] != kept[k]), min(len(got), len(kept)))
            if gaps[min(first, len(gaps) - 1)] <= NEAR_TIE:
                ties += 1
            else:
                wrong += 1
                print(name, i, got, new, gaps[first])
        print(f"{name}: {same} answers equal, {ties} differ behind a near-tie, {wrong} wrong, "
              f"{texts_differ} texts differ")


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2])
    else:
        write_cases()
