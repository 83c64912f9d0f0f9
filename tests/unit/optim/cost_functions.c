/* tests/unit/optim/cost_functions.c - see cost_functions.h. */
#include "cost_functions.h"

#include <math.h>

#include "base/rng.h"

double cost_rotation[COST_TURNED * COST_TURNED];

double sphere(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sum;
}

double ellipsoid(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += pow(1e6, (double)i / (double)(n - 1)) * x[i] * x[i];
    }
    return sum;
}

double rotated_ellipsoid(const double *x, int64_t n)
{
    double turned[COST_TURNED];
    for (int64_t i = 0; i < n; i++) {
        turned[i] = 0.0;
        for (int64_t j = 0; j < n; j++) {
            turned[i] += cost_rotation[i * n + j] * x[j];
        }
    }
    return ellipsoid(turned, n);
}

double rosenbrock(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - x[i] * x[i];
        double b = 1.0 - x[i];
        sum += 100.0 * a * a + b * b;
    }
    return sum;
}

/* By Gram-Schmidt. */
void cost_rotation_make(void)
{
    enum { N = COST_TURNED };
    mg_rng rng = mg_rng_make(11, MG_STREAM_TIES);
    for (int64_t i = 0; i < N; i++) {
        double *row = cost_rotation + i * N;
        for (int64_t j = 0; j < N; j++) {
            row[j] = mg_rng_normal(&rng);
        }
        for (int64_t k = 0; k < i; k++) {
            double dot = 0.0;
            for (int64_t j = 0; j < N; j++) {
                dot += row[j] * cost_rotation[k * N + j];
            }
            for (int64_t j = 0; j < N; j++) {
                row[j] -= dot * cost_rotation[k * N + j];
            }
        }
        double length = sqrt(sphere(row, N));
        for (int64_t j = 0; j < N; j++) {
            row[j] /= length;
        }
    }
}
