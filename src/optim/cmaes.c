/* optim/cmaes.c - life of an optimiser, sampling and bounds (see cmaes.h).
 *
 * A generation: mg_cma_ask draws the population on first use, mg_cma_tell sorts it (violation,
 * cost, index), updates the distribution (cmaes_update.c) and checks the stops (cmaes_stop.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "optim/bounds.h"
#include "optim/cmaes_internal.h"
#include "optim/eigen.h"

#define RESAMPLE_MAX 100
#define EIGEN_FLOOR 1e-14 /* of the largest eigenvalue */

static mg_status check_options(const mg_cma_options *o, mg_error *err)
{
    if (o->dimension < 1) {
        return mg_fail(err, MG_ERR_CONFIG, "the search has %lld genes, must have at least 1",
                       (long long)o->dimension);
    }
    if (o->population != 0 && o->population < 4) {
        return mg_fail(err, MG_ERR_CONFIG, "population is %lld, must be at least 4",
                       (long long)o->population);
    }
    if (!(o->sigma > 0.0) || !isfinite(o->sigma)) {
        return mg_fail(err, MG_ERR_CONFIG, "initial step is %g, must be above 0", o->sigma);
    }
    if (o->kind == MG_CMA_FULL && o->dimension > MG_CMA_FULL_DIMENSION_MAX) {
        return mg_fail(
            err, MG_ERR_CONFIG,
            "a full covariance for %lld genes would not adapt within any budget; at most "
            "%d genes, or the diagonal form",
            (long long)o->dimension, MG_CMA_FULL_DIMENSION_MAX);
    }
    if (o->kind == MG_CMA_LM_MA && o->adapt_learning_rate) {
        return mg_fail(
            err, MG_ERR_CONFIG,
            "learning-rate adaptation needs a covariance; the limited-memory form has none");
    }
    if (o->kind == MG_CMA_LM_MA && o->levels != NULL) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "discrete genes need a covariance; the limited-memory form has none");
    }
    if (o->bounds != MG_BOUND_NONE && (o->lower == NULL || o->upper == NULL)) {
        return mg_fail(err, MG_ERR_CONFIG, "bounds are to be kept but not given");
    }
    for (int64_t i = 0; o->bounds != MG_BOUND_NONE && i < o->dimension; i++) {
        bool discrete = o->levels != NULL && o->levels[i].count > 1;
        if (!discrete && !(o->lower[i] < o->upper[i])) {
            return mg_fail(err, MG_ERR_CONFIG, "gene %lld: lower bound %g is not below upper %g",
                           (long long)i, o->lower[i], o->upper[i]);
        }
    }
    return MG_OK;
}

bool mg_cma_discrete(const mg_cma *cma, int64_t i)
{
    return cma->levels != NULL && cma->levels[i].count > 1;
}

static void rate_init(mg_cma_rate *rate, int64_t count)
{
    rate->e = mg_new_array(double, count);
    rate->count = count;
    rate->eta = 1.0;
}

/* Copies start, scale and bounds into scaled coordinates. */
static void take_space(mg_cma *cma, const mg_cma_options *o)
{
    int64_t n = cma->n;
    bool bounded = o->bounds != MG_BOUND_NONE;
    cma->range_min = INFINITY;
    if (bounded) {
        cma->lower = mg_new_array(double, n);
        cma->upper = mg_new_array(double, n);
    }
    for (int64_t i = 0; i < n; i++) {
        double scale = o->scale != NULL ? o->scale[i] : 1.0;
        cma->unit[i] = cma->scale[i] = scale;
        cma->mean[i] = o->start[i] / scale;
        if (mg_cma_discrete(cma, i)) {
            if (bounded) {
                cma->lower[i] = -(double)INFINITY;
                cma->upper[i] = (double)INFINITY;
            }
            continue;
        }
        if (bounded) {
            cma->lower[i] = o->lower[i] / scale;
            cma->upper[i] = o->upper[i] / scale;
            cma->range_min = fmin(cma->range_min, cma->upper[i] - cma->lower[i]);
        }
        if (o->bounds == MG_BOUND_TRANSFORM) {
            cma->mean[i] = mg_bound_inverse(cma->mean[i], cma->lower[i], cma->upper[i]);
        }
    }
}

mg_status mg_cma_create(const mg_cma_options *options, mg_cma **cma_out, mg_error *err)
{
    *cma_out = NULL;
    MG_TRY(check_options(options, err));
    int64_t n = options->dimension;
    mg_cma *cma = mg_new(mg_cma);
    cma->options = *options;
    cma->options.start = cma->options.scale = cma->options.lower = cma->options.upper = NULL;
    cma->options.covariance = NULL;
    cma->levels = options->levels;
    cma->n = n;
    cma->lambda = options->population > 0 ? options->population : mg_cma_default_population(n);
    mg_cma_constants_compute(options, &cma->k);
    cma->sigma = options->sigma;
    cma->unit = mg_new_array(double, n);
    cma->scale = mg_new_array(double, n);
    if (options->levels != NULL) {
        cma->stretch = mg_new_array(double, n);
        for (int64_t i = 0; i < n; i++) {
            cma->stretch[i] = 1.0;
        }
    }
    cma->mean = mg_new_array(double, n);
    take_space(cma, options);
    cma->p_s = mg_new_array(double, n);
    cma->p_c = mg_new_array(double, n);
    cma->d = mg_new_array(double, n);
    cma->y = mg_new_array(double, cma->lambda *n);
    cma->injected = mg_new_array(bool, cma->lambda);
    cma->order = mg_new_array(int64_t, cma->lambda);
    cma->costs = mg_new_array(double, cma->lambda);
    bool full = options->kind == MG_CMA_FULL;
    cma->scratch = mg_new_array(double, 4 * n + (full ? 2 * n * n : 0));
    if (options->kind == MG_CMA_LM_MA) {
        cma->z = mg_new_array(double, cma->lambda *n);
        cma->direction_count = 4 + (int64_t)floor(3.0 * log((double)n));
        cma->directions = mg_new_array(double, cma->direction_count *n);
    } else {
        cma->c = mg_new_array(double, full ? n *n : n);
        cma->b = full ? mg_new_array(double, n *n) : NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        cma->d[i] = 1.0;
        if (cma->c != NULL) {
            cma->c[full ? i * n + i : i] = 1.0;
        }
        if (full) {
            cma->b[i * n + i] = 1.0;
        }
    }
    if (options->covariance != NULL && cma->c != NULL) {
        memcpy(cma->c, options->covariance, (size_t)(full ? n * n : n) * sizeof(double));
        mg_cma_decompose(cma);
    }
    if (options->adapt_learning_rate) {
        rate_init(&cma->rate_mean, n);
        rate_init(&cma->rate_cov, full ? n * n : n);
    }
    *cma_out = cma;
    return MG_OK;
}

void mg_cma_destroy(mg_cma *cma)
{
    if (cma == NULL) {
        return;
    }
    double *const blocks[] = { cma->unit,
                               cma->stretch,
                               cma->scale,
                               cma->lower,
                               cma->upper,
                               cma->mean,
                               cma->p_s,
                               cma->p_c,
                               cma->c,
                               cma->b,
                               cma->d,
                               cma->directions,
                               cma->y,
                               cma->z,
                               cma->costs,
                               cma->history_best,
                               cma->history_median,
                               cma->scratch,
                               cma->rate_mean.e,
                               cma->rate_cov.e,
                               cma->k.weights };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(blocks); i++) {
        mg_free(blocks[i]);
    }
    mg_free(cma->injected);
    mg_free(cma->order);
    mg_free(cma);
}

int64_t mg_cma_population(const mg_cma *cma)
{
    return cma->lambda;
}

int64_t mg_cma_generation(const mg_cma *cma)
{
    return cma->generation;
}

const mg_cma_constants *mg_cma_constants_view(const mg_cma *cma)
{
    return &cma->k;
}

const int64_t *mg_cma_order(const mg_cma *cma)
{
    return cma->order;
}

double mg_cma_sigma(const mg_cma *cma)
{
    return cma->sigma;
}

void mg_cma_scale_step(mg_cma *cma, double factor)
{
    MG_ASSERT(factor > 0.0 && !cma->sampled);
    cma->sigma *= factor;
}

double mg_cma_learning_rate(const mg_cma *cma)
{
    return cma->options.adapt_learning_rate ? cma->rate_mean.eta : 1.0;
}

double mg_cma_deviation(const mg_cma *cma, int64_t i)
{
    double variance = 1.0;
    if (cma->options.kind == MG_CMA_FULL) {
        variance = cma->c[i * cma->n + i];
    } else if (cma->options.kind == MG_CMA_SEP) {
        variance = cma->c[i];
    }
    return cma->sigma * sqrt(variance) * cma->scale[i];
}

const char *mg_cma_stop(const mg_cma *cma)
{
    return cma->stop[0] != '\0' ? cma->stop : NULL;
}

void mg_cma_repair(const mg_cma *cma, double *x_out, const double *x)
{
    for (int64_t i = 0; i < cma->n; i++) {
        if (mg_cma_discrete(cma, i)) {
            x_out[i] = mg_levels_nearest(&cma->levels[i], x[i] * cma->scale[i]) / cma->scale[i];
            continue;
        }
        switch (cma->options.bounds) {
        case MG_BOUND_NONE:
            x_out[i] = x[i];
            break;
        case MG_BOUND_TRANSFORM:
            x_out[i] = mg_bound_transform(x[i], cma->lower[i], cma->upper[i]);
            break;
        case MG_BOUND_RESAMPLE: /* inside already, but for rounding */
            x_out[i] = mg_bound_clip(x[i], cma->lower[i], cma->upper[i]);
            break;
        }
    }
}

/* From scaled coordinates, repaired, to the caller's; levels come out exact. */
static void to_caller(const mg_cma *cma, double *x)
{
    for (int64_t i = 0; i < cma->n; i++) {
        x[i] *= cma->scale[i];
        if (mg_cma_discrete(cma, i)) {
            x[i] = mg_levels_nearest(&cma->levels[i], x[i]);
        }
    }
}

void mg_cma_mean(const mg_cma *cma, double *x_out)
{
    mg_cma_repair(cma, x_out, cma->mean);
    to_caller(cma, x_out);
}

double mg_cma_centre(const mg_cma *cma, int64_t i)
{
    return cma->mean[i] * cma->scale[i];
}

/* After a correction the scale of a coordinate is another; its mean keeps its place. */
void mg_cma_keep_margins(mg_cma *cma)
{
    double margin = 1.0 / ((double)cma->n * (double)cma->lambda);
    for (int64_t i = 0; cma->levels != NULL && i < cma->n; i++) {
        if (!mg_cma_discrete(cma, i)) {
            continue;
        }
        double mean = cma->mean[i] * cma->scale[i];
        double deviation = mg_cma_deviation(cma, i) / cma->stretch[i];
        mg_margin_correct(&cma->levels[i], margin, deviation, &mean, &cma->stretch[i]);
        cma->scale[i] = cma->unit[i] * cma->stretch[i];
        cma->mean[i] = mean / cma->scale[i];
    }
}

/* Standard normals of candidate k; attempt counts the draws of resampling. */
static void draw(const mg_cma *cma, int64_t k, int attempt, double *z)
{
    uint64_t seed = cma->options.seed;
    mg_philox_key key = { { (uint32_t)(seed ^ (seed >> 32)), MG_STREAM_SAMPLE } };
    for (int64_t i = 0; i < cma->n; i++) {
        uint32_t counter[4] = { (uint32_t)cma->generation, (uint32_t)k, (uint32_t)i,
                                (uint32_t)attempt };
        uint32_t words[4];
        mg_philox(key, counter, words);
        z[i] = mg_normal_quantile(mg_uniform53(words[0], words[1]));
    }
}

/* y = C^1/2 z in the form of this kind: B D z, sqrt(C) z, or the product of the LM-MA directions.
 */
static void shape(const mg_cma *cma, double *y, const double *z)
{
    int64_t n = cma->n;
    if (cma->options.kind == MG_CMA_FULL) {
        for (int64_t i = 0; i < n; i++) {
            double sum = 0.0;
            for (int64_t j = 0; j < n; j++) {
                sum += cma->b[i * n + j] * (cma->d[j] * z[j]);
            }
            y[i] = sum;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        y[i] = cma->d[i] * z[i];
    }
    int64_t used = MG_MIN(cma->generation, cma->direction_count);
    for (int64_t s = 0; s < used; s++) {
        const double *m = cma->directions + s * n;
        double a = 1.0 / (pow(1.5, (double)s) * (double)n);
        double dot = 0.0;
        for (int64_t i = 0; i < n; i++) {
            dot += m[i] * y[i];
        }
        for (int64_t i = 0; i < n; i++) {
            y[i] = (1.0 - a) * y[i] + a * m[i] * dot;
        }
    }
}

static bool inside(const mg_cma *cma, const double *y)
{
    for (int64_t i = 0; i < cma->n; i++) {
        double x = cma->mean[i] + cma->sigma * y[i];
        if (x < cma->lower[i] || x > cma->upper[i]) {
            return false;
        }
    }
    return true;
}

/* Coordinates beyond the invertible part of the map go to its end, and the update sees them there:
 * the mean, a weighted average, stays where every image has one point, and can reach the bounds.
 * Left free, it would be one of many points with its image, and noise would drive it from one to
 * the next. */
static void restrict_sample(const mg_cma *cma, double *y)
{
    for (int64_t i = 0; i < cma->n; i++) {
        double x = cma->mean[i] + cma->sigma * y[i];
        double inside_x =
            mg_cma_discrete(cma, i) ? x : mg_bound_restrict(x, cma->lower[i], cma->upper[i]);
        if (inside_x != x) {
            y[i] = (inside_x - cma->mean[i]) / cma->sigma;
        }
    }
}

/* Candidate k; with resampling bounds, the last resort after many draws outside is the cut. */
static void sample_one(mg_cma *cma, int64_t k)
{
    int64_t n = cma->n;
    double *y = cma->y + k * n;
    double *z = cma->z != NULL ? cma->z + k * n : cma->scratch;
    bool resample = cma->options.bounds == MG_BOUND_RESAMPLE;
    for (int attempt = 0; attempt < RESAMPLE_MAX; attempt++) {
        draw(cma, k, attempt, z);
        shape(cma, y, z);
        if (cma->options.bounds == MG_BOUND_NONE || (resample && inside(cma, y))) {
            return;
        }
        if (!resample) {
            restrict_sample(cma, y);
            return;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        double x = mg_bound_clip(cma->mean[i] + cma->sigma * y[i], cma->lower[i], cma->upper[i]);
        y[i] = (x - cma->mean[i]) / cma->sigma;
    }
}

void mg_cma_sample(mg_cma *cma)
{
    if (cma->sampled) {
        return;
    }
    for (int64_t k = 0; k < cma->lambda; k++) {
        if (!cma->injected[k]) {
            sample_one(cma, k);
        }
    }
    cma->sampled = true;
}

void mg_cma_ask(mg_cma *cma, int64_t k, double *x_out)
{
    MG_ASSERT(k >= 0 && k < cma->lambda);
    mg_cma_sample(cma);
    for (int64_t i = 0; i < cma->n; i++) {
        x_out[i] = cma->mean[i] + cma->sigma * cma->y[k * cma->n + i];
    }
    mg_cma_repair(cma, x_out, x_out);
    to_caller(cma, x_out);
}

void mg_cma_whiten(const mg_cma *cma, double *out, const double *v)
{
    int64_t n = cma->n;
    if (cma->options.kind != MG_CMA_FULL) {
        for (int64_t i = 0; i < n; i++) {
            out[i] = v[i] / cma->d[i];
        }
        return;
    }
    double *rotated = cma->scratch + n; /* D^-1 B^T v */
    for (int64_t j = 0; j < n; j++) {
        rotated[j] = 0.0;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++) {
            rotated[j] += cma->b[i * n + j] * v[i];
        }
    }
    for (int64_t j = 0; j < n; j++) {
        rotated[j] /= cma->d[j];
    }
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < n; j++) {
            sum += cma->b[i * n + j] * rotated[j];
        }
        out[i] = sum;
    }
}

void mg_cma_inject(mg_cma *cma, int64_t k, const double *x)
{
    MG_ASSERT(cma->options.kind != MG_CMA_LM_MA && k >= 0 && k < cma->lambda);
    mg_cma_sample(cma);
    int64_t n = cma->n;
    double *y = cma->y + k * n;
    double *white = cma->scratch + 2 * n;
    double length = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double scaled = x[i] / cma->scale[i];
        if (cma->options.bounds == MG_BOUND_TRANSFORM && !mg_cma_discrete(cma, i)) {
            scaled = mg_bound_inverse(scaled, cma->lower[i], cma->upper[i]);
        }
        y[i] = (scaled - cma->mean[i]) / cma->sigma;
    }
    mg_cma_whiten(cma, white, y);
    for (int64_t i = 0; i < n; i++) {
        length += white[i] * white[i];
    }
    double limit = sqrt((double)n) + 2.0 * (double)n / ((double)n + 2.0);
    double shorten = fmin(1.0, limit / sqrt(fmax(length, 1e-300)));
    for (int64_t i = 0; i < n; i++) {
        y[i] *= shorten;
    }
    cma->injected[k] = true;
}

void mg_cma_decompose(mg_cma *cma)
{
    int64_t n = cma->n;
    if (cma->options.kind == MG_CMA_SEP) {
        double largest = 0.0;
        for (int64_t i = 0; i < n; i++) {
            largest = fmax(largest, cma->c[i]);
        }
        for (int64_t i = 0; i < n; i++) {
            cma->c[i] = fmax(cma->c[i], EIGEN_FLOOR * largest);
            cma->d[i] = sqrt(cma->c[i]);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < i; j++) {
            double mean = 0.5 * (cma->c[i * n + j] + cma->c[j * n + i]);
            cma->c[i * n + j] = cma->c[j * n + i] = mean;
        }
    }
    mg_eigen_symmetric(cma->d, cma->b, cma->c, n);
    double floor_value = EIGEN_FLOOR * cma->d[n - 1];
    for (int64_t i = 0; i < n; i++) {
        cma->d[i] = sqrt(fmax(cma->d[i], floor_value));
    }
    cma->eigen_generation = cma->generation;
}

/* Sorts the population: violation, then cost, then index. */
static void rank_population(mg_cma *cma, const double *violations)
{
    for (int64_t i = 0; i < cma->lambda; i++) { /* insertion sort: stable, and lambda is small */
        int64_t at = i;
        while (at > 0) {
            int64_t other = cma->order[at - 1];
            double v = violations != NULL ? violations[i] : 0.0;
            double v_other = violations != NULL ? violations[other] : 0.0;
            bool before = v < v_other || (v == v_other && cma->costs[i] < cma->costs[other]);
            if (!before) {
                break;
            }
            cma->order[at] = other;
            at--;
        }
        cma->order[at] = i;
    }
}

static void tell(mg_cma *cma, const double *costs, const double *violations, const bool *relevant)
{
    mg_cma_sample(cma);
    for (int64_t i = 0; i < cma->lambda; i++) {
        cma->costs[i] = isnan(costs[i]) ? (double)INFINITY : costs[i];
    }
    rank_population(cma, violations);
    mg_cma_update(cma, relevant);
    mg_cma_keep_margins(cma);
    mg_cma_check_stop(cma);
    for (int64_t i = 0; i < cma->lambda; i++) {
        cma->injected[i] = false;
    }
    cma->sampled = false;
}

void mg_cma_tell(mg_cma *cma, const double *costs, const double *violations)
{
    tell(cma, costs, violations, NULL);
}

void mg_cma_tell_relevant(mg_cma *cma, const double *costs, const double *violations,
                          const bool *relevant)
{
    MG_ASSERT(cma->options.kind == MG_CMA_SEP);
    tell(cma, costs, violations, relevant);
}
