"""Median evaluations of our CMA-ES beside those of `cma` from PyPI, on the same functions.

usage: compare_optim.py build/release/bench_optim [runs]

Prints one CSV row for each form and function of evolution.md 17.2 that both have.  `cma` runs with its
own defaults but for the form: CMA_active, CMA_diagonal."""
import csv
import io
import math
import statistics
import subprocess
import sys

import cma
import numpy


def sphere(x):
    return float(numpy.dot(x, x))


def ellipsoid(x):
    n = len(x)
    return float(numpy.dot(10.0 ** (6.0 * numpy.arange(n) / (n - 1)), numpy.square(x)))


def rosenbrock(x):
    x = numpy.asarray(x)
    return float(numpy.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


def rotated_ellipsoid():
    turn, _ = numpy.linalg.qr(numpy.random.default_rng(11).standard_normal((10, 10)))
    return lambda x: ellipsoid(turn @ x)


FUNCTIONS = {"sphere": sphere, "ellipsoid": ellipsoid, "rosenbrock": rosenbrock,
             "rotated ellipsoid": rotated_ellipsoid()}
FORMS = {"full": {"CMA_active": False}, "full active": {"CMA_active": True},
         "sep classic": {"CMA_active": False, "CMA_diagonal": True},
         "sep active": {"CMA_active": True, "CMA_diagonal": True}}


def evaluations(function, n, options, seed, limit):
    start, sigma = ([0.0] * n, 0.2) if function is rosenbrock else ([1.0] * n, 0.5)
    es = cma.CMAEvolutionStrategy(start, sigma, {
        **options, "seed": seed, "verbose": -9, "maxfevals": limit, "tolfun": 0, "tolfunhist": 0, "tolx": 0,
        "tolstagnation": 10**9, "maxiter": 10**9, "ftarget": 1e-9})
    best = math.inf
    while best > 1e-9 and es.countevals < limit:
        points = es.ask()
        costs = [function(x) for x in points]
        es.tell(points, costs)
        best = min(best, min(costs))
    return es.countevals if best <= 1e-9 else math.inf


def main():
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 51
    table = subprocess.run([sys.argv[1], str(runs)], stdout=subprocess.PIPE, text=True, check=True).stdout
    print("form,function,n,runs,merganser,cma,ratio", flush=True)
    for row in csv.DictReader(io.StringIO(table)):
        n, ours, expected = int(row["n"]), int(row["median"]), int(row["expected"])
        if row["form"] not in FORMS or expected < 0 or n > 100:
            continue
        counts = [evaluations(FUNCTIONS[row["function"]], n, FORMS[row["form"]], seed, 20 * expected)
                  for seed in range(1, runs + 1)]
        theirs = statistics.median(counts)
        print(f"{row['form']},{row['function']},{n},{runs},{ours},{theirs:.0f},{ours / theirs:.2f}", flush=True)


main()
