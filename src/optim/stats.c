/* optim/stats.c - see stats.h. */
#include "optim/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"

mg_interval mg_wilson(double successes, double n, double z)
{
    MG_ASSERT(n > 0.0);
    double p = successes / n;
    double z2 = z * z;
    double centre = p + z2 / (2.0 * n);
    double half = z * sqrt(fmax(0.0, p * (1.0 - p)) / n + z2 / (4.0 * n * n));
    mg_interval interval = { fmax(0.0, (centre - half) / (1.0 + z2 / n)),
                             fmin(1.0, (centre + half) / (1.0 + z2 / n)) };
    return interval;
}

/* ln of the binomial coefficient. */
static double log_choose(int64_t n, int64_t k)
{
    return lgamma((double)n + 1.0) - lgamma((double)k + 1.0) - lgamma((double)(n - k) + 1.0);
}

double mg_mcnemar(int64_t b, int64_t c)
{
    MG_ASSERT(b >= 0 && c >= 0);
    int64_t n = b + c;
    int64_t least = MG_MIN(b, c);
    double log_half = (double)n * log(2.0);
    double sum = 0.0;
    for (int64_t i = 0; i <= least; i++) {
        double term = exp(log_choose(n, i) - log_half);
        sum += i == least ? 0.5 * term : term;
    }
    return fmin(1.0, 2.0 * sum);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* Value at share p of the sorted values, linear between neighbours. */
static double percentile(const double *sorted, int64_t count, double p)
{
    double place = p * (double)(count - 1);
    int64_t below = (int64_t)place;
    int64_t above = MG_MIN(below + 1, count - 1);
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

mg_interval mg_bootstrap_mean(const double *differences, int64_t count, int64_t draws,
                              uint64_t seed)
{
    MG_ASSERT(count > 0 && draws > 1);
    double *means = mg_new_array(double, draws);
    mg_rng rng = mg_rng_make(seed, MG_STREAM_BOOTSTRAP);
    for (int64_t d = 0; d < draws; d++) {
        double sum = 0.0;
        for (int64_t i = 0; i < count; i++) {
            sum += differences[mg_rng_below(&rng, (uint64_t)count)];
        }
        means[d] = sum / (double)count;
    }
    qsort(means, (size_t)draws, sizeof(double), compare_doubles);
    mg_interval interval = { percentile(means, draws, 0.025), percentile(means, draws, 0.975) };
    mg_free(means);
    return interval;
}

/* Regularised upper incomplete gamma function: series below a + 1, continued fraction above. */
static double gamma_upper(double a, double x)
{
    double front = exp(-x + a * log(x) - lgamma(a));
    if (x < a + 1.0) {
        double term = 1.0 / a;
        double sum = term;
        for (int i = 1; i < 1000 && term > sum * 1e-16; i++) {
            term *= x / (a + (double)i);
            sum += term;
        }
        return 1.0 - front * sum;
    }
    double b = x + 1.0 - a;
    double c = 1e300;
    double d = 1.0 / b;
    double h = d;
    for (int i = 1; i < 1000; i++) { /* modified Lentz */
        double an = -(double)i * ((double)i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        double change = d * c;
        h *= change;
        if (fabs(change - 1.0) < 1e-16) {
            break;
        }
    }
    return front * h;
}

double mg_chi_square_tail(double x, int64_t dof)
{
    MG_ASSERT(dof > 0);
    return x <= 0.0 ? 1.0 : fmin(1.0, fmax(0.0, gamma_upper((double)dof / 2.0, x / 2.0)));
}

void mg_mean_error(const double *values, int64_t count, double *mean_out, double *error_out)
{
    MG_ASSERT(count > 0);
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) {
        sum += values[i];
    }
    double mean = sum / (double)count;
    double squares = 0.0;
    for (int64_t i = 0; i < count; i++) {
        squares += (values[i] - mean) * (values[i] - mean);
    }
    *mean_out = mean;
    *error_out = count > 1 ? sqrt(squares / (double)(count - 1) / (double)count) : 0.0;
}
