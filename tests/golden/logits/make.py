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
    """Each answer must be the greedy one: every token, EOS included, the largest logit of a pass over the text."""
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
        counts = dict(equal=0, near_tie=0, wrong=0, text_differs=0)
        for first in range(0, len(texts), 42):
            chunk = range(first, min(first + 42, len(texts)))
            asked = [tokenizer(texts[i])["input_ids"] for i in chunk]
            told = [replies[i]["ids"] + ([tokenizer.eos_token_id] if replies[i]["finish"] == "eos" else [])
                    for i in chunk]
            longest = max(len(a) + len(t) for a, t in zip(asked, told))
            rows = [a + t + [0] * (longest - len(a) - len(t)) for a, t in zip(asked, told)]
            with torch.no_grad():  # padding lies behind the text, which looks back only
                logits = model(torch.tensor(rows)).logits
            for k, i in enumerate(chunk):
                at = logits[k, len(asked[k]) - 1:len(asked[k]) + len(told[k]) - 1]
                behind = (at.max(dim=1).values - at[torch.arange(len(told[k])), torch.tensor(told[k])]).max().item()
                counts["equal" if behind == 0 else "near_tie" if behind <= NEAR_TIE else "wrong"] += 1
                kept = replies[i]["ids"]
                counts["text_differs"] += replies[i]["text"] != tokenizer.decode(kept, skip_special_tokens=True)
                assert replies[i]["finish"] == "eos" or len(kept) == NEW_TOKENS
        print(name, counts, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2])
    else:
        write_cases()
