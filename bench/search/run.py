#!/usr/bin/env python3
"""What each preset reaches on the bundled world, against evaluations and questions spent.

Every search runs over the mini models and 126 Japanese questions, chooses on 126 others, and its
winner answers 252 test questions that nothing before has seen: `test` is the honest score. Random
search draws weights in [0, 1.5] and densities in [0, 1] uniformly, and chooses among its best three
on the same validation questions. Rows are appended to --out; runs that are there already are not
repeated, so a bench that was cut off goes on with the same command.

usage: run.py --program merganser --root CHECKOUT --out bench.csv [--jobs 16] [--seeds 1-10]
              [--presets default,paper-ps,mergekit,random,dfs] [--evaluations 50,100,200]
              [--minutes 9]
"""
import argparse
import concurrent.futures
import csv
import json
import os
import pathlib
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

FIELDS = ["preset", "evaluations", "seed", "questions", "search", "held_out", "test", "seconds"]
SOURCES = ["mini-ja", "mini-math-a", "mini-math-b"]
METRIC = "exact_match,none"
RANDOM_FINALISTS = 3
QUESTIONS = {"search": 126, "select": 126, "test": 252}


class Bench:
    def __init__(self, options):
        self.program = shlex.split(options.program)
        self.root = pathlib.Path(options.root).resolve()
        self.models = self.root / "examples" / "mini" / "models"
        self.tasks = self.root / "bench" / "search" / "tasks"
        self.out = pathlib.Path(options.out)
        self.deadline = time.monotonic() + 60 * options.minutes
        self.lock = threading.Lock()
        self.done = set()
        if self.out.exists():
            with open(self.out, newline="") as file:
                self.done = {(r["preset"], int(r["evaluations"]), int(r["seed"])) for r in csv.DictReader(file)}
        else:
            self.out.write_text(",".join(FIELDS) + "\n")

    def late(self):
        return time.monotonic() > self.deadline

    def add(self, row):
        with self.lock:
            with open(self.out, "a", newline="") as file:
                csv.DictWriter(file, FIELDS).writerow(row)
            print(",".join(str(row[f]) for f in FIELDS), file=sys.stderr, flush=True)

    def call(self, *words):
        result = subprocess.run([*self.program, *map(str, words), "--threads", "1", "--quiet"],
                                cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True)
        if result.returncode != 0:
            raise RuntimeError(f"{words}: {result.stderr.decode()[-500:]}")
        return result.stdout.decode()

    def score(self, model, *names):
        """Scores of a model folder or a merge configuration on tasks of the bench."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            self.call("eval", model, "--tasks", ",".join(f"bench_{n}" for n in names),
                      "--include-path", self.tasks, "--bootstrap-iters", "0", "--output", file.name)
            results = json.loads(pathlib.Path(file.name).read_text())["results"]
        return [results[f"bench_{n}"][METRIC] for n in names]

    # The searches of the program.

    def config(self, preset, evaluations, seed):
        path = preset.endswith("dfs")
        models = ["mini-math-a", "mini-ja"] if path else SOURCES
        lines = ["genome:", f"  models: [{', '.join(str(self.models / m) for m in models)}]"]
        if not path:
            lines += [f"  base_model: {self.models / 'mini-base'}", "  merge_method: dare_ties"]
        if preset == "mergekit":
            lines += ["  layer_granularity: 4"]
        lines += [f"tasks: [{{name: bench_search, metric: '{METRIC}'}}]",
                  f"search: {{preset: {preset}, evaluations: {evaluations}, items: 126, seed: {seed}"
                  + (", space: dfs, repeats: 1" if path else "") + "}",
                  f"validate: {{tasks: [{{name: bench_select, metric: '{METRIC}'}}]}}",
                  f"test: {{tasks: [{{name: bench_test, metric: '{METRIC}'}}]}}"]
        return "\n".join(lines) + "\n"

    def evolve(self, preset, evaluations, seed):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "search.yml"
            file.write_text(self.config(preset, evaluations, seed))
            text = self.call("evolve", file, "--storage-path", pathlib.Path(folder) / "run",
                             "--task-search-path", self.tasks, "--no-save-final-model", "--json")
        report = json.loads(text)
        winner = [row for row in report["rows"] if row["id"] == report["winner"]][0]
        score = {name: winner[name]["score"] for name in ("search", "held_out", "test")}
        self.add({"preset": preset, "evaluations": evaluations, "seed": seed, **score,
                  "questions": report["questions"], "seconds": f"{time.monotonic() - begin:.1f}"})

    # Random search.

    def merge_config(self, folder, name, genes):
        lines = ["merge_method: dare_ties", f"base_model: {self.models / 'mini-base'}", "models:"]
        for model, (weight, density) in zip(SOURCES, genes):
            lines += [f"- model: {self.models / model}",
                      f"  parameters: {{weight: {weight:.6f}, density: {density:.6f}}}"]
        lines += ["parameters: {normalize: false}", "dtype: float32", "out_dtype: bfloat16",
                  "merganser: {mask: philox, seed: 1}"]
        path = pathlib.Path(folder) / f"{name}.yml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def random_search(self, budgets, seed):
        begin = time.monotonic()
        chance = random.Random(seed)
        with tempfile.TemporaryDirectory() as folder:
            scored = []
            for n in range(max(budgets)):
                genes = [(chance.uniform(0.0, 1.5), max(chance.random(), 0.01)) for _ in SOURCES]
                path = self.merge_config(folder, f"c{n}", genes)
                scored.append((-self.score(path, "search")[0], n, path))
                if self.late():
                    return
                if n + 1 in budgets:
                    best = sorted(scored)[:RANDOM_FINALISTS]
                    chosen = max(best, key=lambda c: self.score(c[2], "select")[0] - c[0])
                    select, test = self.score(chosen[2], "select", "test")
                    questions = (n + 1) * QUESTIONS["search"] + RANDOM_FINALISTS * QUESTIONS["select"] + QUESTIONS["test"]
                    self.add({"preset": "random", "evaluations": n + 1, "seed": seed, "search": -chosen[0],
                              "held_out": select, "test": test, "questions": questions,
                              "seconds": f"{time.monotonic() - begin:.1f}"})

    def references(self):
        """The sources and the default merge of evolution.md 13.2, once."""
        with tempfile.TemporaryDirectory() as folder:
            named = [(name, self.models / name) for name in SOURCES]
            named.append(("default merge", self.merge_config(folder, "default", [(0.5, 0.5)] * 3)))
            for name, model in named:
                begin = time.monotonic()
                search, select, test = self.score(model, "search", "select", "test")
                self.add({"preset": name, "evaluations": 1, "seed": 0, "search": search, "held_out": select,
                          "test": test, "questions": sum(QUESTIONS.values()),
                          "seconds": f"{time.monotonic() - begin:.1f}"})

    def jobs(self, presets, budgets, seeds):
        """The longest first."""
        jobs = []
        for seed in seeds:
            if "random" in presets and any(("random", b, seed) not in self.done for b in budgets):
                jobs.append((2 * max(budgets), self.random_search, (budgets, seed)))
            for preset in presets:
                for budget in budgets:
                    if preset != "random" and (preset, budget, seed) not in self.done:
                        jobs.append((budget * (2 if preset.endswith("dfs") else 1), self.evolve, (preset, budget, seed)))
        if ("default merge", 1, 0) not in self.done:
            jobs.append((30, self.references, ()))
        return sorted(jobs, key=lambda job: -job[0])


def summary(path):
    groups = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            groups.setdefault((row["preset"], int(row["evaluations"])), {})[row["seed"]] = row
    print("preset,evaluations,runs,questions,search,held_out,test,test_sd")
    for (preset, evaluations), rows in sorted(groups.items()):
        mean = {f: statistics.mean(float(r[f]) for r in rows.values()) for f in FIELDS[3:7]}
        tests = [float(r["test"]) for r in rows.values()]
        sd = statistics.stdev(tests) if len(tests) > 1 else 0.0
        print(f"{preset},{evaluations},{len(rows)},{mean['questions']:.0f},{100 * mean['search']:.1f},"
              f"{100 * mean['held_out']:.1f},{100 * mean['test']:.1f},{100 * sd:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="merganser", help="may hold arguments, as a shell line")
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--out", default="bench_search.csv")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", default="1-10")
    parser.add_argument("--presets", default="default,paper-ps,mergekit,random,dfs")
    parser.add_argument("--evaluations", default="50,100,200")
    parser.add_argument("--minutes", type=float, default=1e6, help="no run is begun after that")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    bench = Bench(options)
    jobs = bench.jobs(options.presets.split(","), [int(e) for e in options.evaluations.split(",")], seeds)

    def run(job):
        if not bench.late():
            try:
                job[1](*job[2])
            except Exception as error:  # one failed run must not hide the others
                print(f"run.py: {job[2]}: {error}", file=sys.stderr, flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(run, jobs))
    summary(bench.out)


if __name__ == "__main__":
    main()
