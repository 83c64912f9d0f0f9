#!/usr/bin/env python3
"""bench/compare_eval.py - the 252 Japanese questions of the mini world: merganser against lm-evaluation-harness.

usage: compare_eval.py MERGANSER PYTHON [--batch 32,64,128]

PYTHON has lm_eval, transformers and datasets.  Both start anew for each run, which counts; the harness runs
at each batch size.  Prints CSV: what, seconds, score, answers that differ from the first harness run's.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TASKS = ROOT / "examples/mini/tasks"
TASK = "mini_ja_test"


def run(command, folder, environment=None):
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr[-2000:]}")
    return time.monotonic() - start


def lines_of(pattern, folder):
    path = next(pathlib.Path(folder).rglob(pattern))
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def text_of(line):
    answer = line["resps"][0]
    return answer if isinstance(answer, str) else answer[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("merganser")
    parser.add_argument("python")
    parser.add_argument("--batch", default="32,64,128")
    parser.add_argument("--model", default=str(ROOT / "examples/mini/models/mini-ja"))
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.merganser).resolve())
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    rows, reference = [], None
    for batch in arguments.batch.split(","):
        with tempfile.TemporaryDirectory() as out:
            seconds = run([arguments.python, "-m", "lm_eval", "--model", "hf", "--model_args",
                           f"pretrained={arguments.model},dtype=float32", "--device", "cpu", "--batch_size", batch,
                           "--tasks", TASK, "--include_path", str(TASKS), "--output_path", out, "--log_samples"],
                          TASKS, offline)
            answers = sorted(lines_of("samples_*.jsonl", out), key=lambda line: line["doc_id"])
        texts = [text_of(line) for line in answers]
        reference = reference or texts
        rows.append((f"lm_eval hf batch {batch}", seconds, answers, texts))
    with tempfile.TemporaryDirectory() as out:
        seconds = run([program, "eval", arguments.model, "--tasks", str(TASKS / f"{TASK}.yaml"), "--dtype", "float32",
                       "--log-samples", f"{out}/samples.jsonl"], ROOT)
        answers = lines_of("samples.jsonl", out)
        rows.append(("merganser", seconds, answers, [text_of(line) for line in answers]))
    print("what,seconds,score,different_answers")
    for what, seconds, answers, texts in rows:
        score = sum(line["acc"] for line in answers) / len(answers)
        different = sum(a != b for a, b in zip(texts, reference))
        print(f"{what},{seconds:.2f},{score:.4f},{different}")
    best = min(seconds for what, seconds, _, _ in rows if what != "merganser")
    print(f"speedup over the best batch size,{best / rows[-1][1]:.1f},,")


main()
