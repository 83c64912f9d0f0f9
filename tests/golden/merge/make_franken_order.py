#!/usr/bin/env python3
"""Writes franken_order.txt: the order in which live mergekit 0.1.5 writes the tensors of three frankenmerges.

    make_franken_order.py MODELS     (in an environment with mergekit; MODELS holds mini-base and its kin)

A + behind a recipe's name: its first slice is appended again.
Layers are taken more than once there, and the order of equal names on disk is that of mergekit's graph.
"""
import json
import os
import sys
import tempfile

from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge

import yaml


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    os.chdir(sys.argv[1])
    with open(f"{here}/franken_order.txt", "w") as out:
        for name in ("passthrough", "slices+", "passthrough+"):
            with open(f"{here}/recipes/{name.rstrip('+')}.yml") as file:
                config = yaml.safe_load(file)
            if name.endswith("+"):
                config["slices"].append(config["slices"][0])
            with tempfile.TemporaryDirectory() as work:
                run_merge(MergeConfiguration.model_validate(config), work,
                          MergeOptions(random_seed=42, quiet=True, copy_tokenizer=False, write_model_card=False,
                                       out_shard_size=1))
                with open(f"{work}/model.safetensors.index.json") as file:
                    names = json.load(file)["weight_map"]
            out.write("".join(f"{name} {tensor}\n" for tensor in names))


main()
