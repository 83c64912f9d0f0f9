"""Writes layouts.txt: for every built-in definition of mergekit, and two that it makes from a
configuration, a checksum over its weights in a model of two layers.

Run with mergekit 0.1.5.  `make.py CLASS/TYPE` prints the lines behind a checksum instead.
"""
import os
import sys
import zlib
from types import SimpleNamespace

from mergekit.architecture import arch_info_for_config
from mergekit.architecture.json_definitions import JSON_ARCHITECTURES

here = os.path.dirname(os.path.abspath(__file__))


class Config(SimpleNamespace):
    """Two layers under whatever key is asked for."""

    def __getattr__(self, name):
        return Config() if name.endswith("_config") else 2


def lines_of(architecture):
    config = Config(num_experts=3, n_routed_experts=3, first_k_dense_replace=1)
    for name in sorted(architecture.modules):
        definition = architecture.modules[name]
        module = definition.architecture
        prefix = definition.weight_prefix or ""
        layers = [module.layer_weights(i, config) or [] for i in range(2)]
        weights = module.pre_weights(config) + sum(layers, []) + module.post_weights(config)
        for weight in sorted(weights, key=lambda w: w.name):
            names = [prefix + n for n in (weight.aliases or [])]
            tied = [prefix + n for n in (weight.tied_names or [])]
            yield " ".join([name, prefix + weight.name,
                            "E" if weight.vocabulary_axis is not None else "-",
                            "?" if weight.optional else "-", weight.force_dtype or "-",
                            *("@" + n for n in names), *("~" + n for n in tied)])


wanted = [(a.architectures[0], a.expected_model_type, a) for a in JSON_ARCHITECTURES]
for name, kind in (("AfmoeForCausalLM", "afmoe"), ("Glm4MoeForCausalLM", "glm4_moe")):
    config = Config(architectures=[name], model_type=kind, num_experts=3, n_routed_experts=3,
                    first_k_dense_replace=1)
    wanted = [w for w in wanted if w[0] != name]
    wanted.append((name, kind, arch_info_for_config(config)))

rows = []
for name, kind, architecture in wanted:
    text = "\n".join(lines_of(architecture)) + "\n"
    if f"{name}/{kind}" in sys.argv[1:]:
        print(text, end="")
    rows.append(f"{name} {kind} {zlib.crc32(text.encode()):08x}")
if len(sys.argv) == 1:
    with open(os.path.join(here, "layouts.txt"), "w", encoding="utf-8") as out:
        out.write("\n".join(sorted(rows)) + "\n")
