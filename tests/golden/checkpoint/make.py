"""Writes mixed.safetensors, the file that our writer must reproduce byte for byte.

Run with an environment that has torch and safetensors.
"""
import os

import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
tensors = {
    "b.f32": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.bf16": torch.arange(4, dtype=torch.bfloat16),
    "z.i64": torch.arange(2, dtype=torch.int64),
    "c.f16": torch.arange(3, dtype=torch.float16),
    "d.bool": torch.tensor([True, False, True]),
    "e.u8": torch.arange(5, dtype=torch.uint8),
    "f.f64": torch.tensor(1.5, dtype=torch.float64),
    "g.i8": torch.arange(3, dtype=torch.int8),
    "h.f8": torch.zeros(2, dtype=torch.float8_e4m3fn),
    "i.i32": torch.arange(3, dtype=torch.int32),
    "j.i16": torch.arange(3, dtype=torch.int16),
    "empty": torch.empty(0, 7, dtype=torch.float32),
    "quote\"back\\slash\nline": torch.ones(1),
    "名前": torch.zeros(1),
}
save_file(tensors, os.path.join(here, "mixed.safetensors"), metadata={"format": "pt"})
