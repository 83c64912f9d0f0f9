/* optim/margin.c - see margin.h; names follow evolution.md 6.6. */
#include "optim/margin.h"

#include <math.h>

#include "base/error.h"
#include "base/rng.h"

/* Index of the level nearest to x. */
static int64_t nearest(const mg_levels *levels, double x)
{
    int64_t i = 0;
    while (i + 1 < levels->count && x > 0.5 * (levels->values[i] + levels->values[i + 1])) {
        i++;
    }
    return i;
}

double mg_levels_nearest(const mg_levels *levels, double x)
{
    return levels->values[nearest(levels, x)];
}

/* Upper tail of the standard normal distribution. */
static double tail(double z)
{
    return 0.5 * erfc(z / sqrt(2.0));
}

/* sqrt(chi2inv(1 - 2p)) with one degree of freedom: the distance beyond which p lies, p <= 1/2. */
static double distance(double p)
{
    return fmax(0.0, -mg_normal_quantile(p));
}

/* One neighbour only: the mean comes so close to the threshold that margin lies beyond it. */
static void correct_outer(double threshold, double side, double margin, double deviation,
                          double *mean)
{
    double beyond = tail(side * (*mean - threshold) / deviation);
    if (beyond < margin) {
        *mean = threshold + side * deviation * distance(margin);
    }
}

/* Neighbours on both sides, behind the thresholds low and high: mean and stretch follow from the
 * two raised tails. */
static void correct_inner(double low, double high, double margin, double deviation, double *mean,
                          double *stretch)
{
    double scaled = deviation * *stretch;
    double below = tail((*mean - low) / scaled);
    double above = tail((high - *mean) / scaled);
    double middle = 1.0 - below - above;
    if (below >= margin / 2.0 && above >= margin / 2.0) {
        return;
    }
    below = fmax(below, margin / 2.0);
    above = fmax(above, margin / 2.0);
    double excess = 1.0 - below - above - middle; /* not above 0 */
    double share = excess / (below + middle + above - 3.0 * margin / 2.0);
    below += share * (below - margin / 2.0);
    above += share * (above - margin / 2.0);
    double c_low = distance(below);
    double c_high = distance(above);
    *stretch = (high - low) / ((c_low + c_high) * deviation);
    *mean = (low * c_high + high * c_low) / (c_low + c_high);
}

void mg_margin_correct(const mg_levels *levels, double margin, double deviation, double *mean,
                       double *stretch)
{
    MG_ASSERT(levels->count >= 2 && margin > 0.0 && margin < 0.5 && deviation > 0.0);
    const double *v = levels->values;
    int64_t i = nearest(levels, *mean);
    if (i == 0) {
        correct_outer(0.5 * (v[0] + v[1]), -1.0, margin, deviation * *stretch, mean);
    } else if (i == levels->count - 1) {
        correct_outer(0.5 * (v[i - 1] + v[i]), 1.0, margin, deviation * *stretch, mean);
    } else {
        correct_inner(0.5 * (v[i - 1] + v[i]), 0.5 * (v[i] + v[i + 1]), margin, deviation, mean,
                      stretch);
    }
}
