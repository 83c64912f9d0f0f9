/* evolve/attraction.c - see attraction.h. */
#include "evolve/attraction.h"

#include <math.h>
#include <stdbool.h>

#define EPSILON 1e-9

/* Attraction of member b for member a; NaN when one of them has no scores. */
static double attraction(const double *values, int64_t members, int64_t items, int64_t a, int64_t b)
{
    double sum = 0.0;
    for (int64_t i = 0; i < items; i++) {
        double z = 0.0;
        double c = 1.0;
        for (int64_t m = 0; m < members; m++) {
            double value = values[m * items + i];
            z += isnan(value) ? 0.0 : value;
            c = fmax(c, value); /* a NaN loses */
        }
        double more = values[b * items + i] - values[a * items + i];
        sum += isnan(more) ? more : c / (z + EPSILON) * fmax(0.0, more);
    }
    return sum;
}

static double mean(const double *values, int64_t items, int64_t member)
{
    double sum = 0.0;
    for (int64_t i = 0; i < items; i++) {
        sum += values[member * items + i];
    }
    return sum;
}

int64_t mg_attraction_choose(const double *values, int64_t member_count, int64_t item_count,
                             int64_t to)
{
    int64_t best = -1;
    double best_pull = 0.0;
    double best_mean = 0.0;
    for (int64_t m = 0; m < member_count; m++) {
        double pull = attraction(values, member_count, item_count, to, m);
        if (m == to || isnan(pull)) {
            continue;
        }
        double m_mean = mean(values, item_count, m);
        bool better =
            best < 0 || pull > best_pull || (pull == 0.0 && best_pull == 0.0 && m_mean > best_mean);
        if (better) {
            best = m;
            best_pull = pull;
            best_mean = m_mean;
        }
    }
    return best;
}
