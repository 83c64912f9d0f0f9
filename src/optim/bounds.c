/* optim/bounds.c - the quadratic bound map (see bounds.h; formulas of evolution.md 6.5). */
#include "optim/bounds.h"

#include <math.h>

/* Widths of the two curved zones. */
static void zone_widths(double lower, double upper, double *a_lower, double *a_upper)
{
    double half = (upper - lower) / 2.0;
    *a_lower = fmin(half, 0.05 * fmax(1.0, fabs(lower)));
    *a_upper = fmin(half, 0.05 * fmax(1.0, fabs(upper)));
}

double mg_bound_clip(double x, double lower, double upper)
{
    return x < lower ? lower : x > upper ? upper : x;
}

double mg_bound_transform(double x, double lower, double upper)
{
    double a_lower;
    double a_upper;
    zone_widths(lower, upper, &a_lower, &a_upper);
    /* The period starts at low: one half of it rises through the box, the other falls. */
    double period = 2.0 * (upper - lower + a_lower + a_upper);
    double low = lower - 2.0 * a_lower - (upper - lower) / 2.0;
    double high = upper + 2.0 * a_upper + (upper - lower) / 2.0;
    if (x < low) {
        x += period * (1.0 + floor((low - x) / period));
    }
    if (x > high) {
        x -= period * (1.0 + floor((x - high) / period));
    }
    if (x < lower - a_lower) {
        x = 2.0 * (lower - a_lower) - x;
    }
    if (x > upper + a_upper) {
        x = 2.0 * (upper + a_upper) - x;
    }
    if (x < lower + a_lower) {
        double from_turn = x - (lower - a_lower);
        x = lower + from_turn * from_turn / (4.0 * a_lower);
    } else if (x > upper - a_upper) {
        double from_turn = x - (upper + a_upper);
        x = upper - from_turn * from_turn / (4.0 * a_upper);
    }
    return mg_bound_clip(x, lower, upper); /* rounding may miss the bound by one ulp */
}

double mg_bound_inverse(double y, double lower, double upper)
{
    double a_lower;
    double a_upper;
    zone_widths(lower, upper, &a_lower, &a_upper);
    y = mg_bound_clip(y, lower, upper);
    if (y < lower + a_lower) {
        return lower - a_lower + 2.0 * sqrt(a_lower * (y - lower));
    }
    if (y > upper - a_upper) {
        return upper + a_upper - 2.0 * sqrt(a_upper * (upper - y));
    }
    return y;
}

double mg_bound_restrict(double x, double lower, double upper)
{
    double a_lower;
    double a_upper;
    zone_widths(lower, upper, &a_lower, &a_upper);
    return mg_bound_clip(x, lower - a_lower, upper + a_upper);
}
