/* optim/irt.c - see irt.h; gradients and priors of evolution.md 12.4.
 *
 * The fit alternates one Newton step for each ability, difficulty and ln discrimination, halved
 * while the posterior falls; each parameter has its own one-dimensional posterior given the rest.
 */
#include "optim/irt.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"

#define PRIOR_ABILITY 2.25 /* variances */
#define PRIOR_DIFFICULTY 2.25
#define PRIOR_LOG_A 0.25
#define LOGIT_MAX 30.0
#define SWEEPS_MAX 50
#define CHANGE_MIN 1e-4
#define HALVINGS_MAX 20
#define KMEANS_RESTARTS 20
#define KMEANS_STEPS_MAX 100

static double logistic(double logit)
{
    return 1.0 / (1.0 + exp(-fmin(fmax(logit, -LOGIT_MAX), LOGIT_MAX)));
}

/* ln likelihood of one answer. */
static double log_likelihood(double y, double p)
{
    return y * log(p) + (1.0 - y) * log(1.0 - p);
}

/* Where one parameter stands among the others. */
typedef enum part { ABILITY, DIFFICULTY, LOG_A } part;

typedef struct fit {
    const double *y;
    int64_t candidates, items;
    double *theta, *b, *log_a;
} fit;

/* Posterior of one parameter at value, with gradient and curvature. */
typedef struct slope {
    double posterior, gradient, curvature;
} slope;

static slope ability_slope(const fit *f, int64_t c, double theta, double centre)
{
    double off = theta - centre;
    slope s = { -0.5 * off * off / PRIOR_ABILITY, -off / PRIOR_ABILITY, -1.0 / PRIOR_ABILITY };
    for (int64_t i = 0; i < f->items; i++) {
        double y = f->y[c * f->items + i];
        if (!isnan(y)) {
            double a = exp(f->log_a[i]);
            double p = logistic(a * (theta - f->b[i]));
            s.posterior += log_likelihood(y, p);
            s.gradient += a * (y - p);
            s.curvature -= a * a * p * (1.0 - p);
        }
    }
    return s;
}

static slope difficulty_slope(const fit *f, int64_t i, double b)
{
    double a = exp(f->log_a[i]);
    slope s = { -0.5 * b * b / PRIOR_DIFFICULTY, -b / PRIOR_DIFFICULTY, -1.0 / PRIOR_DIFFICULTY };
    for (int64_t c = 0; c < f->candidates; c++) {
        double y = f->y[c * f->items + i];
        if (!isnan(y)) {
            double p = logistic(a * (f->theta[c] - b));
            s.posterior += log_likelihood(y, p);
            s.gradient -= a * (y - p);
            s.curvature -= a * a * p * (1.0 - p);
        }
    }
    return s;
}

static slope log_a_slope(const fit *f, int64_t i, double log_a)
{
    double a = exp(log_a);
    slope s = { -0.5 * log_a * log_a / PRIOR_LOG_A, -log_a / PRIOR_LOG_A, -1.0 / PRIOR_LOG_A };
    for (int64_t c = 0; c < f->candidates; c++) {
        double y = f->y[c * f->items + i];
        if (!isnan(y)) {
            double off = f->theta[c] - f->b[i];
            double p = logistic(a * off);
            s.posterior += log_likelihood(y, p);
            s.gradient += a * off * (y - p);
            s.curvature -= a * a * off * off * p * (1.0 - p);
        }
    }
    return s;
}

static slope slope_at(const fit *f, part which, int64_t index, double value, double centre)
{
    switch (which) {
    case ABILITY:
        return ability_slope(f, index, value, centre);
    case DIFFICULTY:
        return difficulty_slope(f, index, value);
    case LOG_A:
        break;
    }
    return log_a_slope(f, index, value);
}

/* One Newton step of a parameter; returns how far it went. */
static double newton(const fit *f, part which, int64_t index, double *value, double centre)
{
    slope here = slope_at(f, which, index, *value, centre);
    double step = -here.gradient / here.curvature;
    for (int halving = 0; halving < HALVINGS_MAX; halving++) {
        if (slope_at(f, which, index, *value + step, centre).posterior >= here.posterior) {
            *value += step;
            return fabs(step);
        }
        step *= 0.5;
    }
    return 0.0;
}

/* Abilities to mean 0 and deviation 1; items follow, so that no probability changes. */
static void standardise(const fit *f)
{
    double mean = 0.0;
    double square = 0.0;
    for (int64_t c = 0; c < f->candidates; c++) {
        mean += f->theta[c] / (double)f->candidates;
    }
    for (int64_t c = 0; c < f->candidates; c++) {
        square += (f->theta[c] - mean) * (f->theta[c] - mean) / (double)f->candidates;
    }
    double deviation = square > 1e-12 ? sqrt(square) : 1.0;
    for (int64_t c = 0; c < f->candidates; c++) {
        f->theta[c] = (f->theta[c] - mean) / deviation;
    }
    for (int64_t i = 0; i < f->items; i++) {
        f->b[i] = (f->b[i] - mean) / deviation;
        f->log_a[i] += log(deviation);
    }
}

void mg_irt_fit(const double *answers, int64_t candidate_count, int64_t item_count, mg_irt *irt_out)
{
    *irt_out = (mg_irt){ .item_count = item_count,
                         .candidate_count = candidate_count,
                         .a = mg_new_array(double, MG_MAX(item_count, 1)),
                         .b = mg_new_array(double, MG_MAX(item_count, 1)),
                         .theta = mg_new_array(double, MG_MAX(candidate_count, 1)) };
    fit f = { answers, candidate_count, item_count, irt_out->theta, irt_out->b, irt_out->a };
    double change = INFINITY;
    while (change >= CHANGE_MIN && irt_out->sweeps < SWEEPS_MAX) {
        change = 0.0;
        for (int64_t c = 0; c < candidate_count; c++) {
            change = fmax(change, newton(&f, ABILITY, c, &f.theta[c], 0.0));
        }
        for (int64_t i = 0; i < item_count; i++) {
            change = fmax(change, newton(&f, DIFFICULTY, i, &f.b[i], 0.0));
            change = fmax(change, newton(&f, LOG_A, i, &f.log_a[i], 0.0));
        }
        irt_out->sweeps++;
    }
    standardise(&f);
    for (int64_t i = 0; i < item_count; i++) {
        irt_out->a[i] = exp(irt_out->a[i]);
    }
}

void mg_irt_release(mg_irt *irt)
{
    mg_free(irt->a);
    mg_free(irt->b);
    mg_free(irt->theta);
    *irt = (mg_irt){ 0 };
}

double mg_irt_probability(const mg_irt *irt, int64_t item, double theta)
{
    return logistic(irt->a[item] * (theta - irt->b[item]));
}

double mg_irt_ability(const mg_irt *irt, const double *answers, double centre)
{
    double *log_a = mg_new_array(double, MG_MAX(irt->item_count, 1));
    for (int64_t i = 0; i < irt->item_count; i++) {
        log_a[i] = log(irt->a[i]);
    }
    fit f = { answers, 1, irt->item_count, NULL, irt->b, log_a };
    double theta = centre;
    for (int64_t sweep = 0; sweep < SWEEPS_MAX; sweep++) {
        if (newton(&f, ABILITY, 0, &theta, centre) < CHANGE_MIN) {
            break;
        }
    }
    mg_free(log_a);
    return theta;
}

mg_irt_estimate mg_irt_estimates(const mg_irt *irt, const double *answers, const double *weights,
                                 double theta)
{
    double weight_sum = 0.0;
    double mean = 0.0;
    double expected = 0.0;
    int64_t asked = 0;
    for (int64_t i = 0; i < irt->item_count; i++) {
        if (isnan(answers[i])) {
            expected += mg_irt_probability(irt, i, theta);
        } else {
            double weight = weights != NULL ? weights[i] : 1.0;
            mean += weight * answers[i];
            weight_sum += weight;
            asked++;
        }
    }
    int64_t open = irt->item_count - asked;
    expected = open > 0 ? expected / (double)open : 0.0;
    mean = weight_sum > 0.0 ? mean / weight_sum : expected;
    double share = irt->item_count > 0 ? (double)asked / (double)irt->item_count : 0.0;
    double mp = share * mean + (1.0 - share) * expected;
    return (mg_irt_estimate){ mean, mp, 0.5 * mean + 0.5 * mp };
}

static double squared_distance(const double *a, const double *b, int64_t width)
{
    double sum = 0.0;
    for (int64_t i = 0; i < width; i++) {
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sum;
}

/* State of one clustering. */
typedef struct clusters {
    const double *vectors;
    int64_t items, width, count;
    double *centres; /* (count, width) */
    int64_t *of;     /* items */
    double *nearest; /* items: scratch */
} clusters;

/* k-means++: centres far from those chosen before are more probable. */
static void choose_centres(clusters *k, mg_rng *rng)
{
    int64_t width = k->width;
    for (int64_t c = 0; c < k->count; c++) {
        double total = 0.0;
        for (int64_t i = 0; i < k->items; i++) {
            const double *v = k->vectors + i * width;
            double d = c == 0 ? 1.0 : squared_distance(v, k->centres + (c - 1) * width, width);
            k->nearest[i] = c <= 1 ? d : fmin(k->nearest[i], d);
            total += k->nearest[i];
        }
        double mark = mg_rng_uniform(rng) * total;
        int64_t chosen = 0;
        for (int64_t i = 0; i < k->items; i++) {
            chosen = k->nearest[i] > 0.0 ? i : chosen;
            mark -= k->nearest[i];
            if (mark <= 0.0 && k->nearest[i] > 0.0) {
                break;
            }
        }
        for (int64_t w = 0; w < width; w++) {
            k->centres[c * width + w] = k->vectors[chosen * width + w];
        }
    }
}

/* Assigns every item to its nearest centre; returns the sum of squared distances. */
static double assign(clusters *k, bool *changed_out)
{
    double total = 0.0;
    *changed_out = false;
    for (int64_t i = 0; i < k->items; i++) {
        int64_t best = 0;
        double least = INFINITY;
        for (int64_t c = 0; c < k->count; c++) {
            double d =
                squared_distance(k->vectors + i * k->width, k->centres + c * k->width, k->width);
            if (d < least) {
                least = d;
                best = c;
            }
        }
        *changed_out = *changed_out || k->of[i] != best;
        k->of[i] = best;
        total += least;
    }
    return total;
}

static void move_centres(clusters *k)
{
    for (int64_t c = 0; c < k->count; c++) {
        int64_t members = 0;
        for (int64_t i = 0; i < k->items; i++) {
            members += k->of[i] == c ? 1 : 0;
        }
        for (int64_t w = 0; w < k->width && members > 0; w++) {
            double sum = 0.0;
            for (int64_t i = 0; i < k->items; i++) {
                sum += k->of[i] == c ? k->vectors[i * k->width + w] : 0.0;
            }
            k->centres[c * k->width + w] = sum / (double)members;
        }
    }
}

static double cluster(clusters *k, mg_rng *rng)
{
    bool changed = true;
    choose_centres(k, rng);
    for (int64_t i = 0; i < k->items; i++) {
        k->of[i] = -1;
    }
    double total = assign(k, &changed);
    for (int64_t step = 0; changed && step < KMEANS_STEPS_MAX; step++) {
        move_centres(k);
        total = assign(k, &changed);
    }
    return total;
}

/* The item nearest to the centre of a cluster that is no anchor yet; its own alone, unless it has
 * none. */
static int64_t nearest_item(const clusters *k, int64_t cluster, int64_t members, const bool *chosen)
{
    int64_t best = -1;
    double least = INFINITY;
    for (int64_t i = 0; i < k->items; i++) {
        double d =
            squared_distance(k->vectors + i * k->width, k->centres + cluster * k->width, k->width);
        bool own = members == 0 || k->of[i] == cluster;
        if (own && !chosen[i] && (best < 0 || d < least)) {
            least = d;
            best = i;
        }
    }
    return best;
}

/* The anchor of each cluster.  Clusters that are empty come last, so that they leave everyone an
 * item: they take any, with no weight. */
static void take_anchors(const clusters *k, bool *chosen, double *weights)
{
    for (int64_t turn = 0; turn < 2 * k->count; turn++) {
        int64_t c = turn % k->count;
        int64_t members = 0;
        for (int64_t i = 0; i < k->items; i++) {
            members += k->of[i] == c ? 1 : 0;
        }
        if ((members == 0) == (turn >= k->count)) {
            int64_t best = nearest_item(k, c, members, chosen);
            MG_ASSERT(best >= 0);
            chosen[best] = true;
            weights[best] = (double)members / (double)k->items;
        }
    }
}

void mg_irt_anchors(const double *vectors, int64_t item_count, int64_t width, int64_t count,
                    uint64_t seed, int64_t *anchors_out, double *weights_out)
{
    MG_ASSERT(count >= 1 && count <= item_count);
    clusters k = { .vectors = vectors, .items = item_count, .width = width, .count = count };
    k.centres = mg_new_array(double, MG_MAX(count * width, 1));
    k.of = mg_new_array(int64_t, item_count);
    k.nearest = mg_new_array(double, item_count);
    int64_t best_restart = 0;
    double least = INFINITY;
    for (int64_t r = 0; r <= KMEANS_RESTARTS; r++) { /* the last one repeats the best */
        int64_t which = r < KMEANS_RESTARTS ? r : best_restart;
        mg_rng rng = mg_rng_make(seed, MG_STREAM_ANCHORS);
        rng.counter = (uint64_t)which << 32;
        double total = cluster(&k, &rng);
        if (total < least) {
            least = total;
            best_restart = r;
        }
    }
    bool *chosen = mg_new_array(bool, item_count);
    double *weights = mg_new_array(double, item_count);
    take_anchors(&k, chosen, weights);
    int64_t next = 0;
    for (int64_t i = 0; i < item_count; i++) {
        if (chosen[i]) {
            anchors_out[next] = i;
            weights_out[next++] = weights[i];
        }
    }
    MG_ASSERT(next == count);
    mg_free(k.centres);
    mg_free(k.of);
    mg_free(k.nearest);
    mg_free(chosen);
    mg_free(weights);
}
