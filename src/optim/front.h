/* optim/front.h - points of several objectives: fronts, crowding, hypervolume, picks (evolution.md
 * 9).
 *
 * Objectives are minimised; arrays of points are (count, m).  Deb, Pratap, Agarwal, Meyarivan, IEEE
 * TEC 6(2), 2002.  Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"

MG_BEGIN_C

/* a dominates b: less violation, or the same and no objective worse and one better. */
bool mg_front_dominates(const double *a, double violation_a, const double *b, double violation_b,
                        int64_t m);
/* front_out (count): 0 for points that no other dominates, 1 for those that only these dominate,
 * and so on.  violations may be NULL.  Returns the number of fronts. */
int64_t mg_front_sort(const double *points, const double *violations, int64_t count, int64_t m,
                      int64_t *front_out);
/* Crowding distance of every point among those of its own front; ends of an objective get
 * infinity. */
void mg_front_crowding(const double *points, const int64_t *front, int64_t count, int64_t m,
                       double *crowding_out);

/* Volume that the points dominate below reference (m); points beyond it add nothing.  Exact, by
 * slicing: for a few hundred points of at most 4 objectives. */
double mg_hypervolume(const double *points, int64_t count, int64_t m, const double *reference);

/* Of a set of points that do not dominate each other: the one with the best rank averaged over
 * objectives, and the one farthest below the plane through the extreme points.  The first of
 * equals; count >= 1. */
int64_t mg_front_best_rank(const double *points, int64_t count, int64_t m);
int64_t mg_front_knee(const double *points, int64_t count, int64_t m);

MG_END_C
