/* optim/eigen.c - cyclic Jacobi and tridiagonal QL (see eigen.h).
 *
 * Jacobi: sweeps over all pairs (p, q), each rotated to zero; converges quadratically.  QL: the
 * matrix is brought to tridiagonal form by Householder reflections that are accumulated, then the
 * implicit Wilkinson-shifted QL iteration chases the off-diagonal to zero, rotating the vectors
 * along. */
#include "optim/eigen.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

#define JACOBI_SWEEPS_MAX 100
#define QL_STEPS_MAX 200 /* per eigenvalue; two or three are usual */

/* Sorts the pairs ascending by value; columns move with their values. */
static void sort_pairs(double *values, double *vectors, int64_t n)
{
    for (int64_t i = 0; i + 1 < n; i++) {
        int64_t least = i;
        for (int64_t j = i + 1; j < n; j++) {
            if (values[j] < values[least]) {
                least = j;
            }
        }
        if (least == i) {
            continue;
        }
        double value = values[i];
        values[i] = values[least];
        values[least] = value;
        for (int64_t r = 0; r < n; r++) {
            double entry = vectors[r * n + i];
            vectors[r * n + i] = vectors[r * n + least];
            vectors[r * n + least] = entry;
        }
    }
}

/* Zeroes a[p][q] by one rotation of rows and columns p and q, accumulated in vectors. */
static void jacobi_rotate(double *a, double *vectors, int64_t n, int64_t p, int64_t q)
{
    double apq = a[p * n + q];
    double theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    double t = fabs(theta) > 1e150
                   ? 0.5 / theta
                   : copysign(1.0, theta) / (fabs(theta) + sqrt(theta * theta + 1.0));
    double c = 1.0 / sqrt(t * t + 1.0);
    double s = t * c;
    a[p * n + p] -= t * apq;
    a[q * n + q] += t * apq;
    a[p * n + q] = a[q * n + p] = 0.0;
    for (int64_t r = 0; r < n; r++) {
        if (r != p && r != q) {
            double arp = a[r * n + p];
            double arq = a[r * n + q];
            a[r * n + p] = a[p * n + r] = c * arp - s * arq;
            a[r * n + q] = a[q * n + r] = s * arp + c * arq;
        }
        double vrp = vectors[r * n + p];
        double vrq = vectors[r * n + q];
        vectors[r * n + p] = c * vrp - s * vrq;
        vectors[r * n + q] = s * vrp + c * vrq;
    }
}

void mg_eigen_jacobi(double *values, double *vectors, const double *matrix, int64_t n)
{
    double *a = mg_new_array(double, n *n);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++) {
            a[i * n + j] = i >= j ? matrix[i * n + j] : matrix[j * n + i];
            vectors[i * n + j] = i == j ? 1.0 : 0.0;
        }
    }
    for (int sweep = 0; sweep < JACOBI_SWEEPS_MAX; sweep++) {
        bool rotated = false;
        for (int64_t p = 0; p < n; p++) {
            for (int64_t q = p + 1; q < n; q++) {
                /* An entry that cannot change the sum of its two diagonals counts as zero. */
                double weight = 1e-17 * sqrt(fabs(a[p * n + p]) * fabs(a[q * n + q]));
                if (fabs(a[p * n + q]) > weight) {
                    jacobi_rotate(a, vectors, n, p, q);
                    rotated = true;
                }
            }
        }
        if (!rotated) {
            break;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        values[i] = a[i * n + i];
    }
    mg_free(a);
    sort_pairs(values, vectors, n);
}

/* Householder reduction: v holds the matrix and becomes the accumulated transformation, d the
 * diagonal, e the sub-diagonal in e[1..n-1]. */
static void tridiagonalise(double *v, double *d, double *e, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        double scale = 0.0;
        double h = 0.0;
        for (int64_t k = 0; k < i; k++) {
            scale += fabs(v[i * n + k]);
        }
        if (i == 1 || scale == 0.0) {
            e[i] = v[i * n + i - 1];
            d[i] = 0.0;
            continue;
        }
        for (int64_t k = 0; k < i; k++) {
            v[i * n + k] /= scale;
            h += v[i * n + k] * v[i * n + k];
        }
        double f = v[i * n + i - 1];
        double g = f >= 0.0 ? -sqrt(h) : sqrt(h);
        e[i] = scale * g;
        h -= f * g;
        v[i * n + i - 1] = f - g;
        f = 0.0;
        for (int64_t j = 0; j < i; j++) { /* e[0..i-1] = A u / h */
            v[j * n + i] = v[i * n + j] / h;
            g = 0.0;
            for (int64_t k = 0; k <= j; k++) {
                g += v[j * n + k] * v[i * n + k];
            }
            for (int64_t k = j + 1; k < i; k++) {
                g += v[k * n + j] * v[i * n + k];
            }
            e[j] = g / h;
            f += e[j] * v[i * n + j];
        }
        double half = f / (h + h);
        for (int64_t j = 0; j < i; j++) { /* A -= u q^T + q u^T */
            f = v[i * n + j];
            e[j] = g = e[j] - half * f;
            for (int64_t k = 0; k <= j; k++) {
                v[j * n + k] -= f * e[k] + g * v[i * n + k];
            }
        }
        d[i] = h;
    }
    d[0] = 0.0;
    e[0] = 0.0;
    for (int64_t i = 0; i < n; i++) { /* accumulate the reflections */
        if (d[i] != 0.0) {
            for (int64_t j = 0; j < i; j++) {
                double g = 0.0;
                for (int64_t k = 0; k < i; k++) {
                    g += v[i * n + k] * v[k * n + j];
                }
                for (int64_t k = 0; k < i; k++) {
                    v[k * n + j] -= g * v[k * n + i];
                }
            }
        }
        d[i] = v[i * n + i];
        v[i * n + i] = 1.0;
        for (int64_t j = 0; j < i; j++) {
            v[j * n + i] = v[i * n + j] = 0.0;
        }
    }
}

/* One implicit QL sweep on the block l..m of the tridiagonal matrix. */
static void ql_sweep(double *v, double *d, double *e, int64_t n, int64_t l, int64_t m)
{
    double g = (d[l + 1] - d[l]) / (2.0 * e[l]);
    double r = hypot(g, 1.0);
    g = d[m] - d[l] + e[l] / (g + copysign(r, g));
    double s = 1.0;
    double c = 1.0;
    double p = 0.0;
    for (int64_t i = m - 1; i >= l; i--) {
        double f = s * e[i];
        double b = c * e[i];
        r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0.0) { /* the block splits here */
            d[i + 1] -= p;
            e[m] = 0.0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2.0 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        for (int64_t k = 0; k < n; k++) {
            f = v[k * n + i + 1];
            v[k * n + i + 1] = s * v[k * n + i] + c * f;
            v[k * n + i] = c * v[k * n + i] - s * f;
        }
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0.0;
}

void mg_eigen_ql(double *values, double *vectors, const double *matrix, int64_t n)
{
    double *e = mg_new_array(double, n);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++) {
            vectors[i * n + j] = i >= j ? matrix[i * n + j] : matrix[j * n + i];
        }
    }
    tridiagonalise(vectors, values, e, n);
    for (int64_t i = 1; i < n; i++) {
        e[i - 1] = e[i];
    }
    e[n - 1] = 0.0;
    for (int64_t l = 0; l < n; l++) {
        for (int step = 0; step < QL_STEPS_MAX; step++) {
            int64_t m = l;
            while (m < n - 1) {
                double around = fabs(values[m]) + fabs(values[m + 1]);
                if (fabs(e[m]) <= 1.1e-16 * around) {
                    break;
                }
                m++;
            }
            if (m == l) {
                break;
            }
            ql_sweep(vectors, values, e, n, l, m);
        }
    }
    mg_free(e);
    sort_pairs(values, vectors, n);
}

void mg_eigen_symmetric(double *values, double *vectors, const double *matrix, int64_t n)
{
    MG_ASSERT(n > 0);
    if (n <= MG_EIGEN_JACOBI_MAX) {
        mg_eigen_jacobi(values, vectors, matrix, n);
    } else {
        mg_eigen_ql(values, vectors, matrix, n);
    }
}
