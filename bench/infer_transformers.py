"""Tokens per second of `merganser generate` next to transformers, same machine, same run, same threads.

usage: infer_transformers.py PROGRAM [float32|bfloat16 ...] [--threads N] [--rounds N]
Needs torch and transformers.  A Llama-shaped model of 245 M parameters with made-up weights is written to a temporary
folder.  Both sides take turns, so that other load on the machine meets both; the best round counts.  Prints CSV.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import numpy as np
import torch
import transformers

TOKENIZER = pathlib.Path(__file__).resolve().parents[1] / "examples" / "mini" / "models" / "mini-base"
# name, texts, prompt tokens, new tokens
LOADS = [("prefill 4 x 256", 4, 256, 1), ("decode batch 1", 1, 16, 33), ("decode batch 16", 16, 16, 33)]


def make_folder(folder, dtype):
    config = transformers.LlamaConfig(
        vocab_size=32000, hidden_size=1024, intermediate_size=2816, num_hidden_layers=16, num_attention_heads=16,
        num_key_value_heads=4, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).to(dtype).eval()
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder)
    return model


def ours(program, folder, dtype, threads, prompts, new):
    with tempfile.TemporaryDirectory() as work:
        requests = pathlib.Path(work, "requests.jsonl")
        stats = pathlib.Path(work, "stats.json")
        requests.write_text("".join(json.dumps({"id": i, "ids": p}) + "\n" for i, p in enumerate(prompts)))
        subprocess.run([program, "generate", str(folder), "--requests", str(requests), "--stats", str(stats), "-q",
                        "--ignore-eos", "--max-new-tokens", str(new), "--threads", str(threads), "--dtype", dtype],
                       check=True, stdout=subprocess.DEVNULL)
        seen = json.loads(stats.read_text())
    if new == 1:
        return seen["prefill_tokens"] / seen["prefill_seconds"]
    return seen["decode_tokens"] / seen["decode_seconds"]


def theirs(model, prompts, new):
    ids = torch.tensor(prompts)

    def seconds(count):
        start = time.perf_counter()
        with torch.no_grad():
            model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=count,
                           max_new_tokens=count, pad_token_id=0)
        return time.perf_counter() - start

    if new == 1:
        return ids.numel() / seconds(1)
    return len(prompts) * (new - 1) / (seconds(new) - seconds(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("dtypes", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("dtype,load,threads,merganser_tokens_per_second,transformers_tokens_per_second,ratio")
    for dtype in args.dtypes:
        with tempfile.TemporaryDirectory() as folder:
            model = make_folder(folder, getattr(torch, dtype))
            for name, texts, prompt, new in LOADS:
                prompts = np.random.RandomState(1).randint(3, 32000, (texts, prompt)).tolist()
                best_ours = best_theirs = 0.0
                for _ in range(args.rounds):
                    best_ours = max(best_ours, ours(args.program, folder, dtype, args.threads, prompts, new))
                    best_theirs = max(best_theirs, theirs(model, prompts, new))
                print(f"{dtype},{name},{args.threads},{best_ours:.1f},{best_theirs:.1f},{best_ours / best_theirs:.2f}",
                      flush=True)


if __name__ == "__main__":
    main()
