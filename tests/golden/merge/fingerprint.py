"""The hash of a merge's tensors that the goldens of this folder hold: of names and bytes, in order of names."""
import zlib

import torch
from safetensors.torch import load_file


def fingerprint(path):
    lines = []
    tensors = load_file(path)
    for name in sorted(tensors):
        data = tensors[name].contiguous().view(torch.uint8).numpy().tobytes()
        lines.append(f"{name} {zlib.crc32(data):08x}\n")
    return zlib.crc32("".join(lines).encode())
