/* optim/noise.c - see noise.h; names follow evolution.md 8. */
#include "optim/noise.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"

#define HALF_RATE 0.15
#define UH_THETA 0.5
#define UH_RATE 0.3

double mg_split_half(const double *first, const double *second, int64_t count)
{
    double mean_a = 0.0;
    double mean_b = 0.0;
    double aa = 0.0;
    double bb = 0.0;
    double ab = 0.0;
    for (int64_t i = 0; i < count; i++) {
        mean_a += first[i] / (double)count;
        mean_b += second[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        aa += (first[i] - mean_a) * (first[i] - mean_a);
        bb += (second[i] - mean_b) * (second[i] - mean_b);
        ab += (first[i] - mean_a) * (second[i] - mean_b);
    }
    if (!(aa > 0.0) || !(bb > 0.0)) {
        return 0.0;
    }
    double r = ab / sqrt(aa * bb);
    return 2.0 * r / (1.0 + fabs(r));
}

double mg_split_half_items(double items, double rho, double low, double high)
{
    return fmin(fmax(items * exp(HALF_RATE * (0.5 - rho)), low), high);
}

int64_t mg_uh_choose(const double *costs, int64_t lambda, double u, int64_t *indexes_out)
{
    double wanted = 2.0 + (double)lambda / 20.0;
    int64_t count = (int64_t)floor(wanted);
    count = MG_MIN(count + (wanted - floor(wanted) > u ? 1 : 0), lambda);
    int64_t first = count - count / 2;
    bool *taken = mg_new_array(bool, lambda);
    for (int64_t i = 0; i < first; i++) {
        indexes_out[i] = i;
        taken[i] = true;
    }
    for (int64_t k = first; k < count; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < lambda; i++) {
            if (!taken[i] && (best < 0 || costs[i] < costs[best])) {
                best = i;
            }
        }
        indexes_out[k] = best;
        taken[best] = true;
    }
    mg_free(taken);
    return count;
}

/* Place of value number index among all 2 lambda costs (the old ones first); equal ones rank in
 * their order. */
static int64_t place(const double *costs, const double *again, int64_t lambda, int64_t index)
{
    double own = index < lambda ? costs[index] : again[index - lambda];
    int64_t rank = 0;
    for (int64_t i = 0; i < 2 * lambda; i++) {
        double other = i < lambda ? costs[i] : again[i - lambda];
        rank += other < own || (other == own && i < index) ? 1 : 0;
    }
    return rank;
}

/* The (50 theta)-th percentile of |r - centre| over r = 1 .. 2 lambda - 1, linear between
 * the middles of their shares. */
static double percentile(double centre, int64_t lambda)
{
    int64_t count = 2 * lambda - 1;
    double *values = mg_new_array(double, count);
    for (int64_t r = 1; r <= count; r++) { /* insertion sort: lambda is small */
        double value = fabs((double)r - centre);
        int64_t at = r - 1;
        for (; at > 0 && values[at - 1] > value; at--) {
            values[at] = values[at - 1];
        }
        values[at] = value;
    }
    double x = fmin(fmax(0.5 * UH_THETA * (double)count - 0.5, 0.0), (double)(count - 1));
    int64_t below = (int64_t)floor(x);
    int64_t above = MG_MIN(below + 1, count - 1);
    double result = values[below] + (x - (double)below) * (values[above] - values[below]);
    mg_free(values);
    return result;
}

double mg_uh_measure(const double *costs, const double *again, int64_t lambda,
                     const int64_t *indexes, int64_t count)
{
    MG_ASSERT(count >= 1);
    double sum = 0.0;
    for (int64_t k = 0; k < count; k++) {
        int64_t r0 = place(costs, again, lambda, indexes[k]);
        int64_t r1 = place(costs, again, lambda, lambda + indexes[k]);
        int64_t sign = r0 > r1 ? 1 : r0 < r1 ? -1 : 0;
        double change = fabs((double)(r0 - r1 - sign));
        double limit = 0.5 * (percentile((double)(r0 + 1 - (r0 > r1 ? 1 : 0)), lambda) +
                              percentile((double)(r1 + 1 - (r1 > r0 ? 1 : 0)), lambda));
        sum += change - fmax(limit, 1.0); /* one place in 2 lambda is always fine */
    }
    return sum / (double)count;
}

void mg_uh_treat(mg_uh *uh, double measured, int64_t dimension, double low, double high)
{
    double a = 1.0 + 2.0 / ((double)dimension + 10.0);
    uh->smoothed += UH_RATE * (measured - uh->smoothed);
    bool noisy = uh->smoothed > 0.0;
    uh->sigma_factor = noisy ? a : 1.0;
    uh->items = fmin(fmax(uh->items * (noisy ? a : pow(a, -0.25)), low), high);
}
