#!/usr/bin/env python3
"""bench/compare.py - one candidate of a search, by merganser and by mergekit with lm-evaluation-harness.

A candidate is a DARE-TIES merge of the three bundled fine-tunes over their base, answering the 126
questions of mini_ja_train.  Three ways, on the same machine in the same run:

  commands   mergekit-yaml, then lm_eval --model hf: two programs, a folder between them
  loop       the best that the two libraries allow in one process: the model, the tasks and mergekit's
             plan of the files stay in memory, weights are merged and copied into the model, lm_eval
             answers in batches of 64
  merganser  a candidate of `merganser evolve`; and `merganser eval CONFIG`, a program for one candidate

usage: bench/compare.py --mergekit-python VENV/bin/python [--harness-python VENV/bin/python] [--repeat 3]

VENV is an environment with `pip install mergekit==0.1.5 "lm_eval[hf]==0.4.13"`.  Prints CSV: seconds of one candidate
(the median), its seconds of CPU, how many times longer than a candidate of `evolve`, peak memory.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "examples" / "mini" / "models"
TASKS = ROOT / "examples" / "mini" / "tasks"
TASK = "mini_ja_train"
QUESTIONS = 126
BATCH = 64
SEARCH = """genome:
  models: [{models}]
  base_model: {base}
  merge_method: dare_ties
tasks: [{task}]
search: {{evaluations: {evaluations}, items: {questions}, seed: 1}}
"""


def recipe(share):
    """A merge configuration; share makes each one different."""
    models = "".join(f"  - model: {MODELS / name}\n    parameters: {{weight: {share}, density: 0.5}}\n"
                     for name in ("mini-ja", "mini-math-a", "mini-math-b"))
    return (f"models:\n{models}merge_method: dare_ties\nbase_model: {MODELS / 'mini-base'}\n"
            "dtype: bfloat16\n")


def run(words, cwd, **environment):
    """(seconds, seconds of CPU, MB at most) of a program that must succeed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([str(word) for word in words], cwd=cwd, env={**os.environ, **environment},
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            sys.exit(f"{words[0]} failed:\n{output.read().decode(errors='replace')[-3000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def median_of(runs):
    seconds, cpu, memory = zip(*runs)
    return statistics.median(seconds), statistics.median(cpu), max(memory)


def measure_commands(options, folder):
    runs = []
    for i in range(options.repeat):
        config, merged = folder / "merge.yml", folder / "merged"
        config.write_text(recipe(0.3 + 0.01 * i))
        shutil.rmtree(merged, ignore_errors=True)
        tool = pathlib.Path(options.mergekit_python).parent / "mergekit-yaml"
        merge_seconds, merge_cpu, merge_memory = run([tool, config, merged, "--random-seed", "1"], folder)
        eval_seconds, eval_cpu, eval_memory = run(
            [options.harness_python, "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={merged}",
             "--tasks", TASK, "--include_path", TASKS, "--device", "cpu", "--batch_size", str(BATCH)],
            TASKS, HF_HUB_OFFLINE="1")
        runs.append((merge_seconds + eval_seconds, merge_cpu + eval_cpu, max(merge_memory, eval_memory)))
    return median_of(runs)


LOOP = """
import json, sys, time
sys.path += json.loads(sys.argv[1])
folder, task_folder, task_name, batch, recipes = sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6:]
import torch, transformers, yaml
from lm_eval import evaluator, tasks
from lm_eval.models.huggingface import HFLM
from mergekit.architecture import get_architecture_info
from mergekit.config import MergeConfiguration
from mergekit.graph import Executor
from mergekit.io.tasks import LoaderCache
from mergekit.options import MergeOptions
from mergekit.plan import MergePlanner

model = transformers.AutoModelForCausalLM.from_pretrained(folder)
model.eval()
lm = HFLM(pretrained=model, tokenizer=transformers.AutoTokenizer.from_pretrained(folder), batch_size=batch,
          device="cpu")
names = tasks.get_task_dict([task_name], tasks.TaskManager(include_path=task_folder, include_defaults=False))
weights = model.state_dict()
options = MergeOptions(random_seed=1)
for text in recipes:
    began, cpu_began = time.perf_counter(), time.process_time()
    config = MergeConfiguration.model_validate(yaml.safe_load(text))
    loaders = LoaderCache()
    loaders.setup(options)
    architecture = get_architecture_info(config, options)
    torch.manual_seed(1)
    planner = MergePlanner(config, architecture, options, model.config)
    planner._plan()  # plan_in_memory() does not work with today's pydantic
    target = {task: info.name for info, task in planner._tensors}
    with torch.no_grad():
        for task, tensor in Executor(list(target)).run(quiet=True):
            weights[target[task]].copy_(tensor)
    evaluator.evaluate(lm, names, bootstrap_iters=0, log_samples=False)
    print(json.dumps([time.perf_counter() - began, time.process_time() - cpu_began]), flush=True)
"""


def measure_loop(options, folder):
    """The first candidate warms up and is not counted."""
    paths = []
    if options.harness_python != options.mergekit_python:
        paths = json.loads(subprocess.run(
            [options.harness_python, "-c", "import json, site; print(json.dumps(site.getsitepackages()))"],
            stdout=subprocess.PIPE, check=True).stdout)
    script = folder / "loop.py"
    script.write_text(LOOP)
    recipes = [recipe(0.3 + 0.01 * i) for i in range(options.repeat + 1)]
    seconds_of = folder / "loop.out"
    with open(seconds_of, "wb") as output, open(folder / "loop.err", "wb") as errors:
        process = subprocess.Popen([options.mergekit_python, script, json.dumps(paths), MODELS / "mini-base", TASKS,
                                    TASK, str(BATCH), *recipes], cwd=TASKS, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=errors, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit("the loop failed:\n" + (folder / "loop.err").read_text()[-3000:])
    times = [json.loads(line) for line in seconds_of.read_text().splitlines() if line.startswith("[")]
    return median_of([(seconds, cpu, usage.ru_maxrss / 1000) for seconds, cpu in times[1:]])


def measure_evolve(options, folder):
    """Wall clock of the search by the candidates that it has answered all questions with."""
    models = ", ".join(str(MODELS / name) for name in ("mini-ja", "mini-math-a", "mini-math-b"))
    search = folder / "search.yml"
    search.write_text(SEARCH.format(models=models, base=MODELS / "mini-base", task=TASK, questions=QUESTIONS,
                                    evaluations=options.evaluations))
    runs = []
    for i in range(options.repeat):
        storage = folder / f"run{i}"
        _, cpu, memory = run([options.program, "evolve", search, "--storage-path", storage, "--task-search-path", TASKS,
                         "--no-save-final-model"], folder)
        shown = subprocess.run([options.program, "show", storage, "--json"], stdout=subprocess.PIPE, check=True)
        report = json.loads(shown.stdout)
        candidates = report["questions"] / QUESTIONS
        runs.append((report["seconds"] / candidates, cpu / candidates, memory))
    return median_of(runs)


def measure_eval(options, folder):
    config = folder / "merge.yml"
    runs = []
    for i in range(options.repeat):
        config.write_text(recipe(0.3 + 0.01 * i))
        runs.append(run([options.program, "eval", config, "--tasks", TASK, "--include-path", TASKS], folder))
    return median_of(runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mergekit-python", required=True, help="the Python of an environment with mergekit")
    parser.add_argument("--harness-python", help="of the one with lm_eval, where it is another")
    parser.add_argument("--program", default=str(ROOT / "build" / "release" / "merganser"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=60, help="candidates of a search of merganser")
    options = parser.parse_args()
    options.harness_python = options.harness_python or options.mergekit_python
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        evolve = measure_evolve(options, folder)
        print("way,seconds,cpu_seconds,times_evolve,peak_mb", flush=True)
        ways = (("merganser evolve", lambda *_: evolve), ("merganser eval", measure_eval),
                ("mergekit and lm_eval in one process", measure_loop),
                ("mergekit-yaml and lm_eval", measure_commands))
        for way, measure in ways:
            seconds, cpu, memory = measure(options, folder)
            print(f"{way},{seconds:.3f},{cpu:.3f},{seconds / evolve[0]:.1f},{memory:.0f}", flush=True)


if __name__ == "__main__":
    main()
