/* evolve/attraction.h - which model has what another one lacks (evolution.md 11).
 *
 * Thread-safety: functions are independent. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

/* values (member_count, item_count) are scores by question, NaN for a member that has none.
 * Returns the member other than `to` with the greatest attraction
 *
 *   g(to, B) = sum over questions of c / (z + eps) * max(0, s_B - s_to)
 *
 * where z sums the members' scores and c is their greatest, 1 at least.  Where nobody can answer
 * what `to` cannot, the one with the best mean; of equal ones the first; -1 = there is none. */
int64_t mg_attraction_choose(const double *values, int64_t member_count, int64_t item_count,
                             int64_t to);

MG_END_C
