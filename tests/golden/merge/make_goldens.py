#!/usr/bin/env python3
"""Writes recipes/*.yml and hashes.txt from live mergekit 0.1.5 (float32, bfloat16 and float16 on the CPU,
one thread, seed 42).

    make_goldens.py MODELS     (in an environment with mergekit and torch)

A hash is the CRC-32 of the lines "NAME CRC" of all tensors, in order of their names, where CRC is
the CRC-32 of a tensor's bytes in hexadecimal.  Only merges that equal mergekit's to the last bit are
listed.
"""
import os
import shutil
import sys
import tempfile

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge

from cases import cases
from fingerprint import fingerprint

# torch's dot product of bfloat16 depends on the processor.
NOT_EXACT = {("karcher", "bfloat16"), ("karcher_base", "bfloat16")}

torch.set_num_threads(1)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    models = os.path.abspath(sys.argv[1])
    shutil.rmtree(f"{here}/recipes", ignore_errors=True)
    os.makedirs(f"{here}/recipes")
    with open(f"{here}/hashes.txt", "w") as out, tempfile.TemporaryDirectory() as work:
        for name, config in cases(models):
            text = yaml.safe_dump(config, sort_keys=False).replace(models + "/", "")
            with open(f"{here}/recipes/{name}.yml", "w") as file:
                file.write(text)
            for dtype in ("float32", "bfloat16", "float16"):
                if (name, dtype) in NOT_EXACT:
                    continue
                run_merge(MergeConfiguration.model_validate(dict(config, dtype=dtype)), work,
                          MergeOptions(random_seed=42, quiet=True, copy_tokenizer=False,
                                       write_model_card=False))
                out.write(f"{name} {dtype} {fingerprint(work + '/model.safetensors'):08x}\n")


main()
