/* Eigenvalues and eigenvectors: both methods against the definition and against each other. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "optim/eigen.h"

static void fill_symmetric(double *matrix, int64_t n, uint64_t seed)
{
    mg_rng rng = mg_rng_make(seed, MG_STREAM_TIES);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            matrix[i * n + j] = matrix[j * n + i] = mg_rng_normal(&rng);
        }
    }
}

/* Largest entry of matrix - B diag(values) B^T and of B^T B - I. */
static double residual(const double *matrix, const double *values, const double *b, int64_t n)
{
    double worst = 0.0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++) {
            double rebuilt = 0.0;
            double dot = 0.0;
            for (int64_t k = 0; k < n; k++) {
                rebuilt += b[i * n + k] * values[k] * b[j * n + k];
                dot += b[k * n + i] * b[k * n + j];
            }
            worst = fmax(worst, fabs(rebuilt - matrix[i * n + j]));
            worst = fmax(worst, fabs(dot - (i == j ? 1.0 : 0.0)));
        }
    }
    return worst;
}

static void check_method(void (*method)(double *, double *, const double *, int64_t), int64_t n)
{
    double *matrix = mg_new_array(double, n *n);
    double *vectors = mg_new_array(double, n *n);
    double *values = mg_new_array(double, n);
    fill_symmetric(matrix, n, (uint64_t)n);
    method(values, vectors, matrix, n);
    assert_true(residual(matrix, values, vectors, n) < 1e-12 * (double)(n + 10));
    for (int64_t i = 0; i + 1 < n; i++) {
        assert_true(values[i] <= values[i + 1]);
    }
    mg_free(matrix);
    mg_free(vectors);
    mg_free(values);
}

static void jacobi_rebuilds_the_matrix(void **state)
{
    (void)state;
    const int64_t sizes[] = { 1, 2, 3, 7, 20, 64 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(sizes); i++) {
        check_method(mg_eigen_jacobi, sizes[i]);
    }
}

static void ql_rebuilds_the_matrix(void **state)
{
    (void)state;
    const int64_t sizes[] = { 1, 2, 3, 7, 65, 120 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(sizes); i++) {
        check_method(mg_eigen_ql, sizes[i]);
    }
}

static void both_methods_find_the_same_values(void **state)
{
    (void)state;
    enum { N = 40 };
    static double matrix[N * N], vectors[N * N];
    double jacobi[N], ql[N];
    fill_symmetric(matrix, N, 5);
    mg_eigen_jacobi(jacobi, vectors, matrix, N);
    mg_eigen_ql(ql, vectors, matrix, N);
    for (int i = 0; i < N; i++) {
        assert_true(fabs(jacobi[i] - ql[i]) < 1e-12);
    }
}

static void diagonal_and_repeated_values_are_exact(void **state)
{
    (void)state;
    const double matrix[9] = { 3, 0, 0, 0, 1, 0, 0, 0, 3 };
    double values[3], vectors[9];
    mg_eigen_symmetric(values, vectors, matrix, 3);
    assert_true(values[0] == 1.0 && values[1] == 3.0 && values[2] == 3.0);
    mg_eigen_ql(values, vectors, matrix, 3);
    assert_true(values[0] == 1.0 && values[1] == 3.0 && values[2] == 3.0);
}

static void badly_scaled_matrices_keep_their_small_values(void **state)
{
    (void)state;
    /* diag(1e-10, 1) turned by 45 degrees inside rounding */
    double c = sqrt(0.5);
    double low = 1e-10;
    double matrix[4] = { c * c * (low + 1.0), c * c * (1.0 - low), c * c * (1.0 - low),
                         c * c * (low + 1.0) };
    double values[2], vectors[4];
    mg_eigen_symmetric(values, vectors, matrix, 2);
    assert_true(fabs(values[0] - low) < 1e-15);
    assert_true(fabs(values[1] - 1.0) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jacobi_rebuilds_the_matrix),
        cmocka_unit_test(ql_rebuilds_the_matrix),
        cmocka_unit_test(both_methods_find_the_same_values),
        cmocka_unit_test(diagonal_and_repeated_values_are_exact),
        cmocka_unit_test(badly_scaled_matrices_keep_their_small_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
