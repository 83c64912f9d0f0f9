/* optim/bounds.h - smooth maps of the whole line into a box (evolution.md 6.5).
 *
 * The optimiser moves freely; what is evaluated is the image of its point.  The map is the identity
 * in the middle, quadratic near the bounds and periodic outside.  Thread-safety: pure functions. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

/* The image of x in [lower, upper]; lower < upper. */
double mg_bound_transform(double x, double lower, double upper);
/* A point of [lower, upper] whose image is y: the inverse of the map on its invertible part. */
double mg_bound_inverse(double y, double lower, double upper);
/* x cut to the part of the line where the map is invertible: its ends have the bounds as images. */
double mg_bound_restrict(double x, double lower, double upper);
/* x cut to [lower, upper]. */
double mg_bound_clip(double x, double lower, double upper);

MG_END_C
