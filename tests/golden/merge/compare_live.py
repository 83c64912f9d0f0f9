#!/usr/bin/env python3
"""Compares merganser's merges with live mergekit 0.1.5 on the CPU, tensor by tensor.

    compare_live.py PROGRAM MODELS [WORK]     (in an environment with mergekit and torch)

MODELS is the folder with mini-base, mini-ja, mini-math-a and mini-math-b.  For each case the share of
elements that differ and the largest difference in units in the last place is printed.
"""
import os
import shutil
import subprocess
import sys

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
from safetensors.torch import load_file

from cases import cases

torch.set_num_threads(1)


def ulps(ours, theirs):
    bits = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16,
            torch.float64: torch.int64}[ours.dtype]
    lowest = -(1 << (torch.iinfo(bits).bits - 1))

    def ordered(x):
        i = x.contiguous().view(bits).to(torch.int64)
        return torch.where(i < 0, lowest - i, i)

    return (ordered(ours) - ordered(theirs)).abs()


def compare(ours_dir, theirs_dir):
    ours = load_file(f"{ours_dir}/model.safetensors")
    theirs = load_file(f"{theirs_dir}/model.safetensors")
    if set(ours) != set(theirs):
        return f"NAMES differ: {sorted(set(ours) ^ set(theirs))[:4]}"
    total = differing = worst = 0
    for name in theirs:
        if ours[name].shape != theirs[name].shape or ours[name].dtype != theirs[name].dtype:
            return f"{name}: {ours[name].dtype}{tuple(ours[name].shape)}, mergekit {theirs[name].dtype}"
        distance = ulps(ours[name], theirs[name])
        total += distance.numel()
        differing += int((distance > 0).sum())
        worst = max(worst, int(distance.max()))
    return "same bytes" if differing == 0 else f"{differing / total:.2e} differ, at most {worst} ulp"


def main():
    program, models = sys.argv[1], os.path.abspath(sys.argv[2])
    work = sys.argv[3] if len(sys.argv) > 3 else "/tmp/compare_live"
    only = sys.argv[4].split(",") if len(sys.argv) > 4 else None
    dtypes = os.environ.get("DTYPES", "float32 bfloat16 float16").split()
    for name, config in cases(models):
        if only and name not in only:
            continue
        for dtype in dtypes:
            config = dict(config, dtype=dtype)
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
            path = f"{work}/config.yml"
            with open(path, "w") as file:
                yaml.safe_dump(config, file)
            done = subprocess.run([program, "merge", path, f"{work}/ours", "--seed", "42", "-q",
                                   "--torch-threads", "1"],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                print(f"{name:22} {dtype:9} OURS FAILED {done.stderr.strip()}")
                continue
            try:
                run_merge(MergeConfiguration.model_validate(config), f"{work}/theirs",
                          MergeOptions(random_seed=42, quiet=True, copy_tokenizer=False,
                                       write_model_card=False))
            except Exception as error:
                print(f"{name:22} {dtype:9} MERGEKIT FAILED {error}")
                continue
            print(f"{name:22} {dtype:9} {compare(f'{work}/ours', f'{work}/theirs')}", flush=True)


main()
