/* optim/front.c - see front.h. */
#include "optim/front.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

bool mg_front_dominates(const double *a, double violation_a, const double *b, double violation_b,
                        int64_t m)
{
    if (violation_a != violation_b) {
        return violation_a < violation_b;
    }
    bool better = false;
    for (int64_t i = 0; i < m; i++) {
        if (a[i] > b[i]) {
            return false;
        }
        better = better || a[i] < b[i];
    }
    return better;
}

int64_t mg_front_sort(const double *points, const double *violations, int64_t count, int64_t m,
                      int64_t *front_out)
{
    int64_t *dominators = mg_new_array(int64_t, MG_MAX(count, 1));
    bool *dominated = mg_new_array(bool, MG_MAX(count * count, 1)); /* (by, whom) */
    for (int64_t a = 0; a < count; a++) {
        front_out[a] = -1;
        for (int64_t b = 0; b < count; b++) {
            double v_a = violations != NULL ? violations[a] : 0.0;
            double v_b = violations != NULL ? violations[b] : 0.0;
            if (mg_front_dominates(points + a * m, v_a, points + b * m, v_b, m)) {
                dominated[a * count + b] = true;
                dominators[b]++;
            }
        }
    }
    int64_t front = 0;
    for (int64_t placed = 0; placed < count; front++) {
        for (int64_t a = 0; a < count; a++) {
            if (front_out[a] < 0 && dominators[a] == 0) {
                front_out[a] = front;
                placed++;
            }
        }
        for (int64_t a = 0; a < count; a++) {
            for (int64_t b = 0; front_out[a] == front && b < count; b++) {
                dominators[b] -= dominated[a * count + b] ? 1 : 0;
            }
        }
    }
    mg_free(dominators);
    mg_free(dominated);
    return front;
}

/* Orders indexes (count) by objective, stable. */
static void sort_by(const double *points, int64_t m, int64_t objective, int64_t *indexes,
                    int64_t count)
{
    for (int64_t i = 1; i < count; i++) {
        int64_t index = indexes[i];
        double value = points[index * m + objective];
        int64_t at = i;
        while (at > 0 && points[indexes[at - 1] * m + objective] > value) {
            indexes[at] = indexes[at - 1];
            at--;
        }
        indexes[at] = index;
    }
}

void mg_front_crowding(const double *points, const int64_t *front, int64_t count, int64_t m,
                       double *crowding_out)
{
    int64_t *members = mg_new_array(int64_t, MG_MAX(count, 1));
    int64_t fronts = 0;
    for (int64_t i = 0; i < count; i++) {
        crowding_out[i] = 0.0;
        fronts = MG_MAX(fronts, front[i] + 1);
    }
    for (int64_t f = 0; f < fronts; f++) {
        int64_t size = 0;
        for (int64_t i = 0; i < count; i++) {
            if (front[i] == f) {
                members[size++] = i;
            }
        }
        for (int64_t o = 0; o < m && size > 0; o++) {
            sort_by(points, m, o, members, size);
            double low = points[members[0] * m + o];
            double range = points[members[size - 1] * m + o] - low;
            crowding_out[members[0]] = INFINITY;
            crowding_out[members[size - 1]] = INFINITY;
            for (int64_t i = 1; i + 1 < size && range > 0.0 && isfinite(range); i++) {
                double gap = points[members[i + 1] * m + o] - points[members[i - 1] * m + o];
                crowding_out[members[i]] += gap / range;
            }
        }
    }
    mg_free(members);
}

/* Slices along the last objective; points are (count, stride), of which the first m entries count
 * and all lie below reference. */
static double slices(const double *points, const int64_t *members, int64_t count, int64_t stride,
                     int64_t m, const double *reference)
{
    int64_t *order = mg_new_array(int64_t, MG_MAX(count, 1));
    memcpy(order, members, (size_t)count * sizeof(int64_t));
    sort_by(points, stride, m - 1, order, count);
    double volume = 0.0;
    double best = reference[0]; /* least first objective so far, for m = 2 */
    for (int64_t i = 0; i < count; i++) {
        const double *p = points + order[i] * stride;
        if (m == 1) {
            volume = reference[0] - points[order[0] * stride];
            break;
        }
        double end = i + 1 < count ? points[order[i + 1] * stride + m - 1] : reference[m - 1];
        best = fmin(best, p[0]);
        if (end > p[m - 1]) {
            double area = m == 2 ? reference[0] - best
                                 : slices(points, order, i + 1, stride, m - 1, reference);
            volume += area * (end - p[m - 1]);
        }
    }
    mg_free(order);
    return volume;
}

double mg_hypervolume(const double *points, int64_t count, int64_t m, const double *reference)
{
    int64_t *members = mg_new_array(int64_t, MG_MAX(count, 1));
    int64_t inside = 0;
    for (int64_t i = 0; i < count; i++) {
        bool below = true;
        for (int64_t o = 0; o < m; o++) {
            below = below && points[i * m + o] < reference[o];
        }
        if (below) {
            members[inside++] = i;
        }
    }
    double volume = inside > 0 ? slices(points, members, inside, m, m, reference) : 0.0;
    mg_free(members);
    return volume;
}

int64_t mg_front_best_rank(const double *points, int64_t count, int64_t m)
{
    MG_ASSERT(count >= 1);
    int64_t best = 0;
    int64_t best_sum = INT64_MAX;
    for (int64_t i = 0; i < count; i++) {
        int64_t sum = 0; /* of twice the ranks: equal values share the middle of their places */
        for (int64_t o = 0; o < m; o++) {
            for (int64_t j = 0; j < count; j++) {
                double other = points[j * m + o];
                sum += other < points[i * m + o] ? 2 : other == points[i * m + o] ? 1 : 0;
            }
        }
        if (sum < best_sum) {
            best = i;
            best_sum = sum;
        }
    }
    return best;
}

int64_t mg_front_knee(const double *points, int64_t count, int64_t m)
{
    MG_ASSERT(count >= 1);
    int64_t best = 0;
    double best_sum = INFINITY;
    for (int64_t i = 0; i < count; i++) {
        /* With every objective scaled to [0, 1] over the front, the plane through the extreme
         * points is "the sum is 1", and the distance below it falls with the sum. */
        double sum = 0.0;
        for (int64_t o = 0; o < m; o++) {
            double low = INFINITY;
            double high = -INFINITY;
            for (int64_t j = 0; j < count; j++) {
                low = fmin(low, points[j * m + o]);
                high = fmax(high, points[j * m + o]);
            }
            sum += high > low ? (points[i * m + o] - low) / (high - low) : 0.0;
        }
        if (sum < best_sum) {
            best = i;
            best_sum = sum;
        }
    }
    return best;
}
