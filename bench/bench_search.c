/* bench/bench_search.c - the optimisers on the noise bench of evolution.md 17.12, and what they
 * cost.
 *
 * CSV: "noise" rows give the expected score, in percent, of the mean and of the best sample at the
 * end, and how far that sample's score in the search lies above it, averaged over runs; "cost" rows the seconds that one generation costs the optimiser and the
 * store. usage: bench_search [runs] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "optim/cmaes.h"
#include "store/run.h"

enum { GENES = 6, ITEMS = 1069, POPULATION_MAX = 64 };

static const double inner[GENES] = { 0.8, 0.6, 0.9, 0.4, 0.7, 0.3 };
static const double on_bounds[GENES] = { 1.0, 0.6, 1.0, 0.0, 1.0, 0.0 };
static double difficulty[ITEMS];

static double ability(const double *x, const double *optimum)
{
    double theta = 0.1;
    for (int i = 0; i < GENES; i++) {
        theta -= 3.0 * (x[i] - optimum[i]) * (x[i] - optimum[i]);
    }
    return theta;
}

static double truth(const double *x, const double *optimum)
{
    double sum = 0.0;
    for (int i = 0; i < ITEMS; i++) {
        sum += 1.0 / (1.0 + exp(difficulty[i] - ability(x, optimum)));
    }
    return sum / ITEMS;
}

typedef struct setting {
    const char *name;
    const double *optimum;
    int64_t questions, items;
    mg_bound_kind bounds;
    bool active, lra;
} setting;

static void run(const setting *s, uint64_t seed, double *mean_out, double *best_out,
                double *luck_out)
{
    double start[GENES], lower[GENES], upper[GENES], x[GENES], best_x[GENES];
    double costs[POPULATION_MAX];
    int64_t order[ITEMS];
    for (int i = 0; i < GENES; i++) {
        start[i] = best_x[i] = 0.5;
        lower[i] = 0.0;
        upper[i] = 1.0;
    }
    mg_cma_options options = { .kind = MG_CMA_FULL,
                               .dimension = GENES,
                               .start = start,
                               .sigma = 1.0 / 6.0,
                               .lower = lower,
                               .upper = upper,
                               .bounds = s->bounds,
                               .active = s->active,
                               .adapt_learning_rate = s->lra,
                               .noisy = true,
                               .seed = seed };
    mg_cma *cma = NULL;
    mg_status status = mg_cma_create(&options, &cma, NULL);
    MG_ASSERT(status == MG_OK);
    mg_rng rng = mg_rng_make(seed, MG_STREAM_ITEMS);
    for (int64_t i = 0; i < ITEMS; i++) {
        int64_t j = (int64_t)mg_rng_below(&rng, (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    int64_t asked = 0;
    double best = -1.0;
    while ((asked + mg_cma_population(cma)) * s->items <= s->questions) {
        for (int64_t k = 0; k < mg_cma_population(cma); k++) {
            mg_cma_ask(cma, k, x);
            double theta = ability(x, s->optimum);
            int64_t right = 0;
            for (int64_t i = 0; i < s->items; i++) {
                double u = mg_rng_uniform(&rng);
                right += theta - difficulty[order[i]] + log(u / (1.0 - u)) > 0.0 ? 1 : 0;
            }
            costs[k] = -(double)right / (double)s->items;
            if (-costs[k] > best) {
                best = -costs[k];
                memcpy(best_x, x, sizeof(x));
            }
            asked++;
        }
        mg_cma_tell(cma, costs, NULL);
    }
    mg_cma_mean(cma, x);
    *mean_out = truth(x, s->optimum);
    *best_out = truth(best_x, s->optimum);
    *luck_out = best - *best_out;
    mg_cma_destroy(cma);
}

static void bench_noise(int runs)
{
    const setting settings[] = {
        { "plain", inner, 50000, 200, MG_BOUND_RESAMPLE, false, false },
        { "plain", inner, 1069000, 1069, MG_BOUND_RESAMPLE, false, false },
        { "lra", inner, 20000, 50, MG_BOUND_TRANSFORM, true, true },
        { "lra", inner, 50000, 100, MG_BOUND_TRANSFORM, true, true },
        { "lra", inner, 200000, 200, MG_BOUND_TRANSFORM, true, true },
        { "plain, optimum on bounds", on_bounds, 20000, 126, MG_BOUND_RESAMPLE, false, false },
        { "lra, optimum on bounds", on_bounds, 20000, 126, MG_BOUND_TRANSFORM, true, true },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(settings); i++) {
        const setting *s = &settings[i];
        double mean = 0.0;
        double best = 0.0;
        double luck = 0.0;
        for (int r = 1; r <= runs; r++) {
            double m;
            double b;
            double l;
            run(s, (uint64_t)r, &m, &b, &l);
            mean += m / runs;
            best += b / runs;
            luck += l / runs;
        }
        printf("noise,\"%s\",%lld,%lld,%d,%.2f,%.2f,%.2f,%.2f\n", s->name, (long long)s->questions,
               (long long)s->items, runs, 100.0 * mean, 100.0 * best, 100.0 * luck,
               100.0 * truth(s->optimum, s->optimum));
    }
}

/* One generation: ask, tell, save, and its candidates and state in the store. */
static void bench_cost(int64_t genes)
{
    char folder[] = "/tmp/bench_search_XXXXXX";
    mg_store *store = NULL;
    mg_cma *cma = NULL;
    if (mkdtemp(folder) == NULL || mg_store_open(folder, &store, NULL, NULL) != MG_OK) {
        fprintf(stderr, "no folder for the store\n");
        return;
    }
    double *start = mg_new_array(double, genes);
    double *x = mg_new_array(double, genes);
    mg_cma_options options = { .kind = genes > 100 ? MG_CMA_SEP : MG_CMA_FULL,
                               .dimension = genes,
                               .start = start,
                               .sigma = 0.2,
                               .active = true,
                               .adapt_learning_rate = true,
                               .noisy = true,
                               .seed = 1 };
    mg_status status = mg_cma_create(&options, &cma, NULL);
    MG_ASSERT(status == MG_OK);
    double costs[POPULATION_MAX];
    mg_buf state = { 0 };
    int64_t generations = 20;
    double begin = mg_clock_now(NULL);
    for (int64_t g = 0; g < generations; g++) {
        for (int64_t k = 0; k < mg_cma_population(cma) && status == MG_OK; k++) {
            mg_cma_ask(cma, k, x);
            costs[k] = x[0];
            mg_candidate_row row = { .id = g * POPULATION_MAX + k,
                                     .kind = mg_str_of("sample"),
                                     .genome = x,
                                     .genome_count = genes };
            status = mg_run_put_candidate(store, &row, NULL);
        }
        mg_cma_tell(cma, costs, NULL);
        mg_buf_clear(&state);
        mg_cma_save(cma, &state);
        status = status == MG_OK ? mg_store_put(store, "state", mg_buf_view(&state), NULL) : status;
    }
    double seconds = (mg_clock_now(NULL) - begin) / (double)generations;
    printf("cost,genes %lld,,,,%.6f,,,\n", (long long)genes, seconds);
    mg_buf_release(&state);
    mg_cma_destroy(cma);
    mg_store_close(store);
    mg_free(start);
    mg_free(x);
    if (mg_folder_remove(folder, NULL) != MG_OK) {
        fprintf(stderr, "%s is left behind\n", folder);
    }
}

int main(int argc, char **argv)
{
    int runs = argc > 1 ? atoi(argv[1]) : 60;
    for (int i = 0; i < ITEMS; i++) { /* N(0, 1.5^2) without the luck of a draw */
        difficulty[i] = 1.5 * mg_normal_quantile((i + 0.5) / ITEMS);
    }
    printf("what,setting,questions,items,runs,mean_or_seconds,best_sample,best_luck,optimum\n");
    bench_noise(runs > 0 ? runs : 60);
    bench_cost(6);
    bench_cost(18);
    bench_cost(100);
    bench_cost(1000);
    return 0;
}
