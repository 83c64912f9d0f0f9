/* bench/bench_optim.c - evaluations that the optimisers need on the functions of evolution.md 17.2.
 *
 * CSV: median over runs of the evaluations until a cost of 1e-9; -1 where the median run does not
 * get there within 20 times the expected number.  usage: bench_optim [runs] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cost_functions.h"
#include "optim/cmaes.h"

enum { N_MAX = 200, POPULATION_MAX = 64 };

typedef struct problem {
    const char *name;
    cost_function *cost;
    int64_t n;
    double start, sigma;
} problem;

static const problem problems[] = {
    { "sphere", sphere, 6, 1.0, 0.5 },
    { "sphere", sphere, 10, 1.0, 0.5 },
    { "ellipsoid", ellipsoid, 10, 1.0, 0.5 },
    { "rotated ellipsoid", rotated_ellipsoid, 10, 1.0, 0.5 },
    { "rosenbrock", rosenbrock, 10, 0.0, 0.2 },
    { "ellipsoid", ellipsoid, 200, 1.0, 0.5 },
    { "sphere", sphere, 200, 1.0, 0.5 },
};

enum { PROBLEMS = sizeof(problems) / sizeof(problems[0]) };

typedef struct form {
    const char *name;
    mg_cma_kind kind;
    bool active, classic;
    int64_t expected[PROBLEMS]; /* evolution.md 17.2; 0 = not asked */
} form;

static const form forms[] = {
    { "full", MG_CMA_FULL, false, false, { 880, 1490, 5900, 5830, 6100, 0, 0 } },
    { "full active", MG_CMA_FULL, true, false, { 970, 1530, 4220, 4150, 5140, 0, 0 } },
    { "sep classic", MG_CMA_SEP, false, true, { 745, 1260, 2630, 5830, 0, 65900, 0 } },
    { "sep active", MG_CMA_SEP, true, false, { 745, 1240, 2160, 4150, 0, 59700, 0 } },
    { "lm-ma", MG_CMA_LM_MA, false, false, { 0, 0, 0, 0, 0, 0, 19300 } },
};

/* Evaluations until the cost is 1e-9; limit when it never is. */
static int64_t run(const problem *p, const form *f, uint64_t seed, int64_t limit)
{
    double start[N_MAX], x[N_MAX], costs[POPULATION_MAX];
    for (int64_t i = 0; i < p->n; i++) {
        start[i] = p->start;
    }
    mg_cma_options options = { .kind = f->kind,
                               .dimension = p->n,
                               .start = start,
                               .sigma = p->sigma,
                               .active = f->active,
                               .sep_classic = f->classic,
                               .seed = seed };
    mg_cma *cma = NULL;
    mg_status status = mg_cma_create(&options, &cma, NULL);
    MG_ASSERT(status == MG_OK);
    double best = INFINITY;
    int64_t evaluations = 0;
    while (best > 1e-9 && evaluations < limit) {
        for (int64_t k = 0; k < mg_cma_population(cma); k++) {
            mg_cma_ask(cma, k, x);
            costs[k] = p->cost(x, p->n);
            best = fmin(best, costs[k]);
        }
        evaluations += mg_cma_population(cma);
        mg_cma_tell(cma, costs, NULL);
    }
    mg_cma_destroy(cma);
    return best <= 1e-9 ? evaluations : limit;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

int main(int argc, char **argv)
{
    int64_t runs = argc > 1 ? strtoll(argv[1], NULL, 10) : 51;
    runs = MG_MAX(runs, 1);
    int64_t *counts = mg_new_array(int64_t, runs);
    cost_rotation_make();
    printf("form,function,n,runs,median,expected\n");
    for (int64_t f = 0; f < MG_ARRAY_COUNT(forms); f++) {
        for (int64_t p = 0; p < PROBLEMS; p++) {
            int64_t expected = forms[f].expected[p];
            if (expected == 0) {
                continue;
            }
            for (int64_t r = 0; r < runs; r++) {
                counts[r] = run(&problems[p], &forms[f], (uint64_t)r + 1, 20 * expected);
            }
            qsort(counts, (size_t)runs, sizeof(counts[0]), compare);
            int64_t median = counts[runs / 2];
            bool sep_turned = forms[f].kind == MG_CMA_SEP && problems[p].cost == rotated_ellipsoid;
            printf("%s,%s,%lld,%lld,%lld,%lld\n", forms[f].name, problems[p].name,
                   (long long)problems[p].n, (long long)runs,
                   median < 20 * expected ? (long long)median : -1LL,
                   sep_turned ? -1LL : (long long)expected);
            fflush(stdout);
        }
    }
    mg_free(counts);
    return 0;
}
