/* tests/unit/optim/noise_world.c - see noise_world.h. */
#include "noise_world.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"

enum { POPULATION_MAX = 64 };

const double noise_optimum[NOISE_GENES] = { 0.8, 0.6, 0.9, 0.4, 0.7, 0.3 };

static double difficulty[NOISE_ITEMS];

void noise_world_make(void)
{
    for (int i = 0; i < NOISE_ITEMS; i++) { /* N(0, 1.5^2) without the luck of a draw */
        difficulty[i] = 1.5 * mg_normal_quantile((i + 0.5) / NOISE_ITEMS);
    }
}

static double ability(const double *x, const double *optimum)
{
    double theta = 0.1;
    for (int i = 0; i < NOISE_GENES; i++) {
        theta -= 3.0 * (x[i] - optimum[i]) * (x[i] - optimum[i]);
    }
    return theta;
}

double noise_truth(const double *x, const double *optimum)
{
    double sum = 0.0;
    for (int i = 0; i < NOISE_ITEMS; i++) {
        sum += 100.0 / (1.0 + exp(difficulty[i] - ability(x, optimum)));
    }
    return sum / NOISE_ITEMS;
}

static mg_cma *make_optimiser(const noise_search *s)
{
    double start[NOISE_GENES], lower[NOISE_GENES], upper[NOISE_GENES];
    for (int i = 0; i < NOISE_GENES; i++) {
        start[i] = 0.5;
        lower[i] = 0.0;
        upper[i] = 1.0;
    }
    mg_cma_options options = { .kind = MG_CMA_FULL,
                               .dimension = NOISE_GENES,
                               .start = start,
                               .sigma = 1.0 / 6.0,
                               .lower = lower,
                               .upper = upper,
                               .bounds = s->bounds,
                               .active = s->active,
                               .adapt_learning_rate = s->lra,
                               .noisy = true,
                               .seed = s->seed };
    mg_cma *cma = NULL;
    mg_status status = mg_cma_create(&options, &cma, NULL);
    MG_ASSERT(status == MG_OK);
    return cma;
}

noise_outcome noise_search_run(const noise_search *s)
{
    double x[NOISE_GENES], best_x[NOISE_GENES], costs[POPULATION_MAX];
    int64_t order[NOISE_ITEMS];
    mg_cma *cma = make_optimiser(s);
    mg_rng rng = mg_rng_make(s->seed, MG_STREAM_ITEMS);
    for (int64_t i = 0; i < NOISE_ITEMS; i++) {
        int64_t j = (int64_t)mg_rng_below(&rng, (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    double best = -1.0;
    int64_t lambda = mg_cma_population(cma);
    mg_cma_mean(cma, best_x);
    for (int64_t asked = 0; (asked + lambda) * s->items <= s->questions; asked += lambda) {
        for (int64_t k = 0; k < lambda; k++) {
            mg_cma_ask(cma, k, x);
            double theta = ability(x, s->optimum);
            int64_t right = 0;
            for (int64_t i = 0; i < s->items; i++) {
                double u = mg_rng_uniform(&rng);
                right += theta - difficulty[order[i]] + log(u / (1.0 - u)) > 0.0 ? 1 : 0;
            }
            double score = 100.0 * (double)right / (double)s->items;
            costs[k] = -score;
            if (score > best) {
                best = score;
                memcpy(best_x, x, sizeof(x));
            }
        }
        mg_cma_tell(cma, costs, NULL);
    }
    mg_cma_mean(cma, x);
    double best_truth = noise_truth(best_x, s->optimum);
    noise_outcome out = { noise_truth(x, s->optimum), best_truth, best - best_truth };
    mg_cma_destroy(cma);
    return out;
}
