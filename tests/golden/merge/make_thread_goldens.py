#!/usr/bin/env python3
"""Writes threads.txt: merges whose L1 rescale depends on torch's threads, from live mergekit 0.1.5.

    make_thread_goldens.py MODELS     (in an environment with mergekit and torch; recipes/ is there)

Lines "NAME DTYPE THREADS HASH", hashes as in hashes.txt.  torch.set_num_threads sets how many parts a
sum is made of, on a machine with any number of CPUs.
"""
import os
import sys
import tempfile

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge

from fingerprint import fingerprint


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    os.chdir(sys.argv[1])
    with open(f"{here}/threads.txt", "w") as out, tempfile.TemporaryDirectory() as work:
        for name in ("dare_ties", "dare_linear"):
            with open(f"{here}/recipes/{name}.yml") as file:
                config = yaml.safe_load(file)
            for dtype in ("float32", "bfloat16"):
                for threads in (2, 3):
                    torch.set_num_threads(threads)
                    run_merge(MergeConfiguration.model_validate(dict(config, dtype=dtype)), work,
                              MergeOptions(random_seed=42, quiet=True, copy_tokenizer=False,
                                           write_model_card=False))
                    hashed = fingerprint(work + "/model.safetensors")
                    out.write(f"{name} {dtype} {threads} {hashed:08x}\n")


main()
