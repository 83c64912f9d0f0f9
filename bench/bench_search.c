/* bench/bench_search.c - the optimisers on the noise bench of evolution.md 17.12, and what they
 * cost.
 *
 * CSV: "noise" rows give the expected score, in percent, of the mean and of the best sample at the
 * end, and how far that sample's score in the search lies above it, averaged over runs; "cost" rows the seconds that one generation costs the optimiser and the
 * store. usage: bench_search [runs] */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "noise_world.h"
#include "optim/cmaes.h"
#include "store/run.h"

enum { POPULATION_MAX = 64 };

static const double on_bounds[NOISE_GENES] = { 1.0, 0.6, 1.0, 0.0, 1.0, 0.0 };

typedef struct setting {
    const char *name;
    noise_search search;
} setting;

static void bench_noise(int runs)
{
    const setting settings[] = {
        { "plain", { noise_optimum, 50000, 200, MG_BOUND_RESAMPLE, false, false, 0 } },
        { "plain", { noise_optimum, 1069000, 1069, MG_BOUND_RESAMPLE, false, false, 0 } },
        { "lra", { noise_optimum, 20000, 50, MG_BOUND_TRANSFORM, true, true, 0 } },
        { "lra", { noise_optimum, 50000, 100, MG_BOUND_TRANSFORM, true, true, 0 } },
        { "lra", { noise_optimum, 200000, 200, MG_BOUND_TRANSFORM, true, true, 0 } },
        { "plain, optimum on bounds",
          { on_bounds, 20000, 126, MG_BOUND_RESAMPLE, false, false, 0 } },
        { "lra, optimum on bounds", { on_bounds, 20000, 126, MG_BOUND_TRANSFORM, true, true, 0 } },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(settings); i++) {
        noise_search search = settings[i].search;
        noise_outcome sum = { 0 };
        for (int r = 1; r <= runs; r++) {
            search.seed = (uint64_t)r;
            noise_outcome one = noise_search_run(&search);
            sum.mean += one.mean / runs;
            sum.best += one.best / runs;
            sum.luck += one.luck / runs;
        }
        printf("noise,\"%s\",%lld,%lld,%d,%.2f,%.2f,%.2f,%.2f\n", settings[i].name,
               (long long)search.questions, (long long)search.items, runs, sum.mean, sum.best,
               sum.luck, noise_truth(search.optimum, search.optimum));
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
    noise_world_make();
    printf("what,setting,questions,items,runs,mean_or_seconds,best_sample,best_luck,optimum\n");
    bench_noise(runs > 0 ? runs : 60);
    bench_cost(6);
    bench_cost(18);
    bench_cost(100);
    bench_cost(1000);
    return 0;
}
