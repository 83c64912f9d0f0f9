/* tests/unit/optim/cost_functions.h - the functions of evolution.md 17.2, for tests and benches. */
#pragma once

#include <stdint.h>

enum { COST_TURNED = 10 }; /* dimensions of the rotation */

typedef double cost_function(const double *x, int64_t n);

double sphere(const double *x, int64_t n);
double ellipsoid(const double *x, int64_t n);
/* The ellipsoid behind cost_rotation; n is COST_TURNED. */
double rotated_ellipsoid(const double *x, int64_t n);
double rosenbrock(const double *x, int64_t n);

/* A random rotation, (COST_TURNED, COST_TURNED), once cost_rotation_make has filled it. */
extern double cost_rotation[COST_TURNED * COST_TURNED];
void cost_rotation_make(void);
