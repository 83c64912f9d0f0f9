"""Writes uh.txt: rank changes as `cma` from PyPI measures them, cma.optimization_tools.NoiseHandler.

A case is a line: lambda, how many are asked again, their indexes, lambda costs, lambda costs after asking again,
and the measure of this generation alone (its smoothing is divided out)."""
import random

import numpy
from cma.optimization_tools import NoiseHandler

chance = random.Random(5)
with open("uh.txt", "w") as out:
    for case in range(40):
        lam = chance.randrange(5, 40)
        costs = [chance.gauss(0, 1) for _ in range(lam)]
        again = list(costs)
        handler = NoiseHandler(6)
        handler.cum = 1.0
        handler.fit = costs
        handler.idx = handler.indices(costs)
        for i in handler.idx:
            again[i] = costs[i] + chance.gauss(0, chance.choice([0.01, 0.3, 2.0]))
        handler.fitre = again
        handler.noiseS = 0.0
        handler.update_measure()
        assert handler.cum == 1.0
        words = [lam, len(handler.idx), *map(int, handler.idx), *costs, *again, float(handler.noiseS)]
        out.write(" ".join(repr(word) for word in words) + "\n")
