/* optim/warm.c - see warm.h. */
#include "optim/warm.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "optim/eigen.h"

#define ALPHA 0.1 /* of the box: how far from an earlier point a good one may lie */

static double scatter(const double *points, int64_t count, int64_t n, const double *mean, int64_t i,
                      int64_t j)
{
    double sum = 0.0;
    for (int64_t p = 0; p < count; p++) {
        sum += (points[p * n + i] - mean[i]) * (points[p * n + j] - mean[j]);
    }
    return sum / (double)count + (i == j ? ALPHA * ALPHA : 0.0);
}

/* ln det of a positive definite (n, n). */
static double log_determinant(const double *matrix, int64_t n)
{
    double *values = mg_new_array(double, n);
    double *vectors = mg_new_array(double, n *n);
    double sum = 0.0;
    mg_eigen_symmetric(values, vectors, matrix, n);
    for (int64_t i = 0; i < n; i++) {
        sum += log(values[i]);
    }
    mg_free(values);
    mg_free(vectors);
    return sum;
}

void mg_warm_start(const double *points, int64_t count, int64_t n, bool full, double *mean_out,
                   double *covariance_out, double *sigma_out)
{
    MG_ASSERT(count >= 1);
    for (int64_t i = 0; i < n; i++) {
        mean_out[i] = 0.0;
        for (int64_t p = 0; p < count; p++) {
            mean_out[i] += points[p * n + i] / (double)count;
        }
    }
    double log_det = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (!full) {
            covariance_out[i] = scatter(points, count, n, mean_out, i, i);
            log_det += log(covariance_out[i]);
            continue;
        }
        for (int64_t j = 0; j <= i; j++) {
            double value = scatter(points, count, n, mean_out, i, j);
            covariance_out[i * n + j] = covariance_out[j * n + i] = value;
        }
    }
    log_det = full ? log_determinant(covariance_out, n) : log_det;
    *sigma_out = exp(log_det / (2.0 * (double)n));
    for (int64_t i = 0; i < (full ? n * n : n); i++) {
        covariance_out[i] /= *sigma_out * *sigma_out;
    }
}
