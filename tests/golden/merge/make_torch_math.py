"""Writes torch_math.txt: values of torch's sin, cos, acos, dot and sum on the CPU.

Run with an environment that has torch (any 2.x, CPU).  Lines are
    sin|cos|acos BITS BITS                  argument and result, float32
    dot|half|sum COUNT THREADS BITS         of values_of(COUNT, 1) and values_of(COUNT, 2)
    column TAIL COUNT BITS                  the sum over COUNT rows of 40 columns, of column 0 or 39
where half is a dot product of float16 and BITS is its float32 value.
"""
import os
import struct

import torch

here = os.path.dirname(os.path.abspath(__file__))


def bits(value):
    return "%08x" % struct.unpack("<I", struct.pack("<f", float(value)))[0]


def values_of(count, seed):
    """Multiples of 2^-12 in [-1, 1): exact in float16 where they are small."""
    x, out = seed, []
    for _ in range(count):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(((x >> 40) % 8192 - 4096) / 4096)
    return torch.tensor(out)


lines = []
generator = torch.Generator().manual_seed(1)
for name, low, high, count in (("sin", 0, 3.2, 200), ("sin", 0, 0.01, 40), ("sin", -50, 50, 60), ("cos", 0, 3.2, 200),
                               ("cos", -50, 50, 60), ("acos", -0.5, 0.5, 200), ("acos", -1, -0.5, 100),
                               ("acos", 0.5, 1, 100), ("acos", 0.99, 1, 100)):
    x = (torch.rand(count, generator=generator, dtype=torch.float64) * (high - low) + low).float()
    y = getattr(torch, name)(x)
    lines += [f"{name} {bits(a)} {bits(b)}" for a, b in zip(x, y)]
for name, values in (("acos", (1.0, -1.0, 0.0, 0.5, -0.5)), ("sin", (0.0,)), ("cos", (0.0,))):
    x = torch.tensor(values)
    lines += [f"{name} {bits(a)} {bits(b)}" for a, b in zip(x, getattr(torch, name)(x))]
for threads in (1, 2, 3, 4):
    torch.set_num_threads(threads)
    for count in (1, 3, 7, 15, 16, 31, 200, 8191, 8192, 8193, 10000, 20003, 70001):
        a, b = values_of(count, 1), values_of(count, 2)
        lines.append(f"dot {count} {threads} {bits(torch.dot(a, b))}")
        lines.append(f"sum {count} {threads} {bits(a.sum())}")
        if threads == 1:
            lines.append(f"half {count} {threads} {bits(torch.dot(a.half(), b.half()))}")
for count in (1, 4, 5, 7, 15, 16, 17, 40, 64, 300, 5000):
    table = values_of(count * 40, 3).reshape(count, 40).sum(0)
    lines += [f"column 0 {count} {bits(table[0])}", f"column 1 {count} {bits(table[39])}"]
with open(os.path.join(here, "torch_math.txt"), "w") as out:
    out.write("\n".join(lines) + "\n")
