"""Makes data/mgsm_mini_ja_select.jsonl: questions of the mini world that neither the train nor the test
set has, for choosing between the results of a search.

usage: make_select.py [--seed 9001] [--count 126]
"""
import argparse
import json
import pathlib

import world

data = pathlib.Path(__file__).resolve().parent.parent / "data"
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=9001)
parser.add_argument("--count", type=int, default=126)
arguments = parser.parse_args()

known = set()
for name in ("mgsm_mini_ja_train", "mgsm_mini_ja_test"):
    with open(data / f"{name}.jsonl", encoding="utf-8") as file:
        known.update(json.loads(line)["question"] for line in file)

chosen = []
maker = world.World(arguments.seed)
while len(chosen) < arguments.count:
    problem = maker.problem("ja", world.OPS[len(chosen) % len(world.OPS)], 1)
    if problem["question"] not in known:
        known.add(problem["question"])
        chosen.append(problem)

with open(data / "mgsm_mini_ja_select.jsonl", "w", encoding="utf-8") as file:
    for problem in chosen:
        file.write(json.dumps(problem, ensure_ascii=False) + "\n")
