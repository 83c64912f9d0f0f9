/* optim/cmaes_stop.c - when one run of the optimiser ends by itself (evolution.md 6.8). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "optim/cmaes_internal.h"

#define TOLX_BOUNDED 1e-3    /* of the range: merging needs no more */
#define TOLX_UNBOUNDED 1e-11 /* of the initial step */
#define TOLFUN 1e-12
#define CONDITION_MAX 1e14
#define GROWTH_MAX 1e3

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static double median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof(double), compare_doubles);
    return count % 2 == 1 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

/* Generations that the stagnation test looks back. */
static int64_t stagnation_window(const mg_cma *cma)
{
    return (int64_t)(100.0 + 100.0 * pow((double)cma->n, 1.5) / (double)cma->lambda);
}

static int64_t tolfun_window(const mg_cma *cma)
{
    return 10 + (int64_t)ceil(30.0 * (double)cma->n / (double)cma->lambda);
}

/* Appends the generation's best and median cost; what no test looks at any more is dropped. */
static void remember(mg_cma *cma)
{
    int64_t keep = MG_MAX(stagnation_window(cma), tolfun_window(cma));
    if (cma->history_count == cma->history_cap) {
        cma->history_cap = MG_MAX(64, 2 * cma->history_cap);
        size_t bytes = sizeof(double);
        cma->history_best = mg_memory_resize(cma->history_best, cma->history_cap, bytes);
        cma->history_median = mg_memory_resize(cma->history_median, cma->history_cap, bytes);
    }
    if (cma->history_count == keep) {
        size_t rest = (size_t)(keep - 1) * sizeof(double);
        memmove(cma->history_best, cma->history_best + 1, rest);
        memmove(cma->history_median, cma->history_median + 1, rest);
        cma->history_count--;
    }
    int64_t half = cma->lambda / 2;
    double lower = cma->costs[cma->order[cma->lambda % 2 == 1 ? half : half - 1]];
    double upper = cma->costs[cma->order[half]];
    cma->history_best[cma->history_count] = cma->costs[cma->order[0]];
    cma->history_median[cma->history_count] = lower == upper ? upper : 0.5 * (lower + upper);
    cma->history_count++;
}

static bool tolfun_met(const mg_cma *cma)
{
    int64_t window = tolfun_window(cma);
    if (cma->history_count < window) {
        return false;
    }
    double low = INFINITY;
    double high = -INFINITY;
    for (int64_t i = cma->history_count - window; i < cma->history_count; i++) {
        low = fmin(low, cma->history_best[i]);
        high = fmax(high, cma->history_best[i]);
    }
    return high - low < TOLFUN;
}

/* Neither the best nor the median costs of the newest 30 % are better than those of the oldest. */
static bool stagnates(const mg_cma *cma)
{
    int64_t window = stagnation_window(cma);
    if (cma->history_count < window) {
        return false;
    }
    int64_t share = MG_MAX(1, window * 3 / 10);
    double *values = mg_new_array(double, share);
    const double *const histories[2] = { cma->history_best, cma->history_median };
    bool stagnant = true;
    for (int h = 0; h < 2; h++) {
        size_t bytes = (size_t)share * sizeof(double);
        memcpy(values, histories[h] + cma->history_count - window, bytes);
        double oldest = median(values, share);
        memcpy(values, histories[h] + cma->history_count - share, bytes);
        double newest = median(values, share);
        stagnant = stagnant && newest >= oldest;
    }
    mg_free(values);
    return stagnant;
}

static double deviation(const mg_cma *cma, int64_t i)
{
    double variance = 1.0;
    if (cma->c != NULL) {
        variance = cma->c[cma->options.kind == MG_CMA_FULL ? i * cma->n + i : i];
    }
    return cma->sigma * sqrt(variance);
}

static bool tolx_met(const mg_cma *cma)
{
    bool numbers = false;
    for (int64_t i = 0; i < cma->n; i++) {
        if (mg_cma_discrete(cma, i)) {
            continue; /* its margin keeps it wide */
        }
        numbers = true;
        double limit = cma->lower != NULL ? TOLX_BOUNDED * (cma->upper[i] - cma->lower[i])
                                          : TOLX_UNBOUNDED * cma->options.sigma;
        if (deviation(cma, i) >= limit || fabs(cma->sigma * cma->p_c[i]) >= limit) {
            return false;
        }
    }
    return numbers;
}

/* The mean does not move by a fraction of the step along an axis, or along a coordinate. */
static bool without_effect(const mg_cma *cma)
{
    int64_t n = cma->n;
    int64_t axis = cma->generation % n;
    bool axis_still = true;
    for (int64_t i = 0; i < n; i++) {
        double along = cma->b != NULL ? cma->b[i * n + axis] : i == axis ? 1.0 : 0.0;
        double step = 0.1 * cma->sigma * cma->d[axis] * along;
        axis_still = axis_still && cma->mean[i] + step == cma->mean[i];
        if (cma->mean[i] + 0.2 * deviation(cma, i) == cma->mean[i]) {
            return true;
        }
    }
    return axis_still;
}

static const char *find_stop(const mg_cma *cma)
{
    int64_t n = cma->n;
    double d_max = 0.0;
    double d_min = INFINITY;
    for (int64_t i = 0; i < n; i++) {
        d_max = fmax(d_max, cma->d[i]);
        d_min = fmin(d_min, cma->d[i]);
    }
    double generations_max =
        100.0 + 150.0 * (double)((n + 3) * (n + 3)) / sqrt((double)cma->lambda);
    if ((double)cma->generation >= generations_max) {
        return "max generations";
    }
    if (tolx_met(cma)) {
        return "tolx";
    }
    if (d_max * d_max > CONDITION_MAX * d_min * d_min) {
        return "condition";
    }
    if (cma->sigma * d_max > GROWTH_MAX * cma->options.sigma) {
        return "tolfacup";
    }
    if (without_effect(cma)) {
        return "no effect";
    }
    if (cma->flat_count > 5) {
        return "flat";
    }
    if (!cma->options.noisy && tolfun_met(cma)) {
        return "tolfun";
    }
    if (stagnates(cma)) {
        return "stagnation";
    }
    return NULL;
}

void mg_cma_check_stop(mg_cma *cma)
{
    remember(cma);
    const char *stop = find_stop(cma);
    snprintf(cma->stop, sizeof(cma->stop), "%s", stop != NULL ? stop : "");
}
