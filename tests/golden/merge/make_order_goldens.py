#!/usr/bin/env python3
"""Writes order.txt: the order in which torch leaves equal values on the CPU.

    make_order_goldens.py     (in an environment with torch)

Each line is KIND VALUES KEPT CRC.  KIND is ascending, descending or topk; VALUES is COUNT:MODULUS for
the sequence x -> x * 6364136223846793005 + 1442695040888963407 from 1, of which (x >> 33) % MODULUS is
taken, or the name of a list in killer.txt, on which quicksort recurses too deeply and a heap takes over;
CRC is the CRC-32 of the indexes as little-endian 32-bit numbers (sorted by index for topk).
"""
import os
import zlib

import numpy
import torch

torch.set_num_threads(1)


def sequence(count, modulus):
    x, out = 1, []
    for _ in range(count):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append((x >> 33) % modulus)
    return out


def killer(count):
    """McIlroy's adversary against a quicksort with the median of the second, middle and last."""
    gas, values, solid, candidate = count, {}, 0, None
    order = list(range(count))

    def less(a, b):
        nonlocal solid, candidate
        for i in (a, b):
            values.setdefault(i, gas)
        if values[a] == gas and values[b] == gas:
            frozen = a if a == candidate else b
            values[frozen] = solid
            solid += 1
        if values[a] == gas:
            candidate = a
        elif values[b] == gas:
            candidate = b
        return values[a] < values[b]

    def sort(first, last):
        while last - first > 16:
            a, b, c = first + 1, first + (last - first) // 2, last - 1
            x, y, z = (order[i] for i in (a, b, c))
            if less(x, y):
                chosen = b if less(y, z) else c if less(x, z) else a
            else:
                chosen = a if less(x, z) else c if less(y, z) else b
            order[first], order[chosen] = order[chosen], order[first]
            pivot, low, high = order[first], first + 1, last
            while True:
                while less(order[low], pivot):
                    low += 1
                high -= 1
                while less(pivot, order[high]):
                    high -= 1
                if low >= high:
                    break
                order[low], order[high] = order[high], order[low]
                low += 1
            sort(low, last)
            last = low

    sort(0, count)
    return [values.get(i, gas) // 2 for i in range(count)]


def crc(indexes):
    return zlib.crc32(numpy.asarray(indexes, dtype="<u4").tobytes())


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    lists = {f"{n}:{m}": sequence(n, m) for n, m in
             ((1, 1), (16, 3), (17, 3), (100, 7), (257, 40), (1000, 1), (5000, 100), (70001, 3000))}
    hard = killer(700)
    with open(f"{here}/killer.txt", "w") as file:
        file.write("".join(f"{value}\n" for value in hard))
    lists["killer"] = hard
    with open(f"{here}/order.txt", "w") as file:
        for name, values in lists.items():
            x = torch.tensor(values, dtype=torch.float32)
            for kind in ("ascending", "descending"):
                file.write(f"{kind} {name} 0 {crc(torch.argsort(x, descending=kind == 'descending')):08x}\n")
            for kept in sorted({1, len(values) // 100, len(values) // 3, len(values)} - {0}):
                indexes = torch.topk(x, kept).indices.sort().values
                file.write(f"topk {name} {kept} {crc(indexes):08x}\n")


main()
