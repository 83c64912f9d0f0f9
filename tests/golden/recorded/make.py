#!/usr/bin/env python3
"""The configurations that mergekit records where it has no text of them (mergekit-multi): cases.json.

    make.py     (in an environment with mergekit)
"""
import json
import os

import yaml
from mergekit.architecture import get_architecture_info
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, _model_out_config
from mergekit.plan import MergePlanner

TEXTS = [
    """merge_method: ties
base_model: mini-base
models:
  - {model: mini-ja, parameters: {weight: 0.3, density: 1}}
  - model: mini-math-a
    parameters: {weight: [0.1, 1], density: [{filter: mlp, value: 0.25}, {value: 0.1}]}
parameters: {normalize: true, int8_mask: 1, lambda: 1.0e-05, rescale: [true, false]}
dtype: bfloat16
""",
    """merge_method: passthrough
slices:
  - sources: [{model: mini-ja, layer_range: [0, 4]}]
  - base_model: mini-ja
    parameters: {scale: 2}
    sources: [{model: mini-base, layer_range: [4, 8], parameters: {scale: {filter: o_proj, value: 0.5}}}]
out_dtype: float32
chat_template: auto
""",
    """merge_method: slerp
base_model: mini-base
models: [{model: mini-ja}, {model: mini-base}]
parameters: {t: [0, 0.5, "1"]}
tokenizer:
  source: union
  pad_to_multiple_of: 16
  tokens: {<a>: {force: false}, a: {source: mini-ja, force: true},
           <c>: {source: {token_id: 3, model: mini-base, kind: model_token}}}
""",
    """merge_method: linear
modules: {default: {models: [{model: mini-ja}, {model: mini-base}], parameters: {weight: 1}}}
tokenizer_source: union
""",
    """merge_method: linear
models: [{model: mini-ja}]
parameters: {weight: 1, normalize: no}
tokenizer: {source: mini-ja}
chat_template: "{% for m in messages %}{{ m.content }}{% endfor %}"
""",
]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    os.chdir(os.path.join(here, "../../../examples/mini/models"))
    cases = []
    for text in TEXTS:
        config = MergeConfiguration.model_validate(yaml.safe_load(text))
        options = MergeOptions()
        info = get_architecture_info(config, options)
        MergePlanner(config, info, options, _model_out_config(config, info)).normalize_config()
        cases.append({"text": text, "recorded": config.to_yaml()})
    with open(os.path.join(here, "cases.json"), "w", encoding="utf-8") as out:
        json.dump(cases, out, indent=1)
        out.write("\n")


main()
