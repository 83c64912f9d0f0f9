/* optim/eigen.h - eigenvalues and eigenvectors of a real symmetric matrix.
 *
 * Cyclic Jacobi up to dimension 64, Householder tridiagonalisation and implicit QL above it.  Both
 * are exact to rounding and give the same bits for the same input.  Golub and Van Loan, "Matrix
 * Computations", 8.3 and 8.5.  Thread-safety: pure functions. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

#define MG_EIGEN_JACOBI_MAX 64

/* Decomposes the symmetric matrix (n, n), of which the lower triangle is read:
 * matrix = vectors * diag(values) * vectors^T.  values (n) come out ascending, column i of vectors
 * (n, n) belongs to values[i].  matrix and vectors may not overlap. */
void mg_eigen_symmetric(double *values, double *vectors, const double *matrix, int64_t n);

/* The two methods by themselves, for any n; the tests compare them. */
void mg_eigen_jacobi(double *values, double *vectors, const double *matrix, int64_t n);
void mg_eigen_ql(double *values, double *vectors, const double *matrix, int64_t n);

MG_END_C
