"""tests/golden/genome/make.py - what mergekit-evolve makes of genotypes (mergekit 0.1.5).

Run from the root of the repository, in an environment with mergekit: writes cases.json, a list of
{"genome": block of the search file, "layers", "x": flat genotype, "config": the merge configuration}.
"""
import json
import os

import numpy as np
import torch
import yaml
from mergekit.evo.genome import ModelGenome, ModelGenomeDefinition

MODELS = [f"examples/mini/models/mini-{n}" for n in ("ja", "math-a", "math-b")]
BASE = "examples/mini/models/mini-base"
GENOMES = [
    dict(models=MODELS, base_model=BASE, merge_method="dare_ties"),
    dict(models=MODELS, base_model=BASE, merge_method="dare_ties", layer_granularity=4),
    dict(models=MODELS, base_model=BASE, merge_method="dare_ties", layer_granularity=2,
         allow_negative_weights=True, normalize=False),
    dict(models=MODELS, base_model=BASE, merge_method="ties", layer_granularity=4,
         filters=["self_attn", "mlp"]),
    dict(models=MODELS, base_model=BASE, merge_method="task_arithmetic", layer_granularity=4, smooth=True),
    dict(models=MODELS, base_model=BASE, merge_method="dare_ties", layer_granularity=2, smooth=True,
         filters=["mlp"]),
    dict(models=MODELS + [BASE], base_model=BASE, merge_method="ties"),
    dict(models=MODELS, merge_method="linear", layer_granularity=8),
    dict(models=MODELS, merge_method="slerp", layer_granularity=4),
    dict(models=MODELS[:2], merge_method="slerp", tokenizer_source="base", layer_granularity=2),
]


def main():
    rng = np.random.default_rng(7)
    cases = []
    for block in GENOMES:
        genome = ModelGenome(ModelGenomeDefinition.model_validate(block))
        shape = genome.initial_genotype().shape
        for x in (genome.initial_genotype().numpy().astype(float), rng.normal(0.3, 0.7, size=shape)):
            flat = [float(np.float32(v)) for v in x.flatten()]
            tensor = torch.tensor(flat, dtype=torch.float64).view(shape)
            config = genome.genotype_merge_config(tensor)
            cases.append({"genome": block, "start": genome.initial_genotype().flatten().tolist(), "x": flat,
                          "config": yaml.safe_load(config.to_yaml())})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")


main()
