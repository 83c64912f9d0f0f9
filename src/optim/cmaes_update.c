/* optim/cmaes_update.c - the distribution after one generation (evolution.md 6.2, 6.4, 8.3). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "optim/cmaes_internal.h"

#define FLAT_GENERATIONS_MAX 5
#define LRA_ALPHA 1.4
#define LRA_GAMMA 0.1
#define LRA_BETA_MEAN 0.1
#define LRA_BETA_COV 0.03

static double squared(const double *v, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) {
        sum += v[i] * v[i];
    }
    return sum;
}

static bool plays(const mg_cma *cma, const bool *relevant, int64_t candidate, int64_t i)
{
    return relevant == NULL || relevant[candidate * cma->n + i];
}

/* y_w = sum of the positive weights times y; a coordinate without a part adds nothing. */
static void weighted_step(const mg_cma *cma, const bool *relevant, double *step)
{
    for (int64_t i = 0; i < cma->n; i++) {
        step[i] = 0.0;
    }
    for (int64_t r = 0; r < cma->k.mu; r++) {
        int64_t candidate = cma->order[r];
        for (int64_t i = 0; i < cma->n; i++) {
            if (plays(cma, relevant, candidate, i)) {
                step[i] += cma->k.weights[r] * cma->y[candidate * cma->n + i];
            }
        }
    }
}

/* y_w with every raw sample: what the step-size path follows. */
static void raw_step(const mg_cma *cma, double *step)
{
    weighted_step(cma, NULL, step);
}

/* Updates p_s and p_c; returns h, which holds p_c still while sigma grows fast. */
static bool update_paths(mg_cma *cma, const double *step, const double *raw, double *white)
{
    const mg_cma_constants *k = &cma->k;
    mg_cma_whiten(cma, white, raw);
    double rate = sqrt(k->c_s * (2.0 - k->c_s) * k->mu_eff);
    for (int64_t i = 0; i < cma->n; i++) {
        cma->p_s[i] = (1.0 - k->c_s) * cma->p_s[i] + rate * white[i];
    }
    double length = sqrt(squared(cma->p_s, cma->n));
    double settled = sqrt(1.0 - pow(1.0 - k->c_s, 2.0 * (double)(cma->generation + 1)));
    bool h = length / settled < (1.4 + 2.0 / ((double)cma->n + 1.0)) * k->chi_n;
    rate = h ? sqrt(k->c_c * (2.0 - k->c_c) * k->mu_eff) : 0.0;
    for (int64_t i = 0; i < cma->n; i++) {
        cma->p_c[i] = (1.0 - k->c_c) * cma->p_c[i] + rate * step[i];
    }
    return h;
}

/* The weight of rank r in the rank-mu update; a bad candidate's is scaled to its own length. */
static double rank_weight(const mg_cma *cma, int64_t r, double *white)
{
    double weight = cma->k.weights[r];
    if (weight < 0.0) {
        mg_cma_whiten(cma, white, cma->y + cma->order[r] * cma->n);
        weight *= (double)cma->n / (squared(white, cma->n) + 1e-8);
    }
    return weight;
}

static void update_covariance_full(mg_cma *cma, bool h, double *white)
{
    const mg_cma_constants *k = &cma->k;
    int64_t n = cma->n;
    double weight_sum = 0.0;
    for (int64_t r = 0; r < cma->lambda; r++) {
        weight_sum += k->weights[r];
    }
    double keep =
        1.0 + (h ? 0.0 : k->c_1 * k->c_c * (2.0 - k->c_c)) - k->c_1 - k->c_mu * weight_sum;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            cma->c[i * n + j] = keep * cma->c[i * n + j] + k->c_1 * cma->p_c[i] * cma->p_c[j];
        }
    }
    for (int64_t r = 0; r < cma->lambda; r++) {
        if (k->weights[r] == 0.0) {
            continue;
        }
        double weight = k->c_mu * rank_weight(cma, r, white);
        const double *y = cma->y + cma->order[r] * n;
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j <= i; j++) {
                cma->c[i * n + j] += weight * y[i] * y[j];
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < i; j++) {
            cma->c[j * n + i] = cma->c[i * n + j];
        }
    }
}

static void update_covariance_sep(mg_cma *cma, bool h, const bool *relevant, double *white)
{
    const mg_cma_constants *k = &cma->k;
    int64_t n = cma->n;
    double *old = cma->scratch; /* C before this generation */
    memcpy(old, cma->c, (size_t)n * sizeof(double));
    double weight_sum = 0.0;
    for (int64_t r = 0; r < cma->lambda; r++) {
        weight_sum += k->weights[r];
    }
    double keep =
        1.0 + (h ? 0.0 : k->c_1 * k->c_c * (2.0 - k->c_c)) - k->c_1 - k->c_mu * weight_sum;
    for (int64_t i = 0; i < n; i++) {
        cma->c[i] = keep * old[i] + k->c_1 * cma->p_c[i] * cma->p_c[i];
    }
    for (int64_t r = 0; r < cma->lambda; r++) {
        int64_t candidate = cma->order[r];
        double weight = k->weights[r] == 0.0 ? 0.0 : rank_weight(cma, r, white);
        for (int64_t i = 0; i < n; i++) {
            double y = cma->y[candidate * n + i];
            if (plays(cma, relevant, candidate, i)) {
                cma->c[i] += k->c_mu * weight * y * y;
            } else if (k->weights[r] > 0.0) { /* its share keeps the variance as it was */
                cma->c[i] += k->c_mu * weight * old[i];
            }
        }
    }
}

/* A standard deviation above a third of the range is taken back, rows and columns alike. */
static void cap_deviations(mg_cma *cma)
{
    bool full = cma->options.kind == MG_CMA_FULL;
    int64_t n = cma->n;
    for (int64_t i = 0; i < n; i++) {
        double *variance = &cma->c[full ? i * n + i : i];
        double limit = (cma->upper[i] - cma->lower[i]) / 3.0;
        double deviation = cma->sigma * sqrt(*variance);
        if (deviation <= limit) {
            continue;
        }
        double factor = limit / deviation;
        if (!full) {
            *variance *= factor * factor;
            continue;
        }
        for (int64_t j = 0; j < n; j++) {
            cma->c[i * n + j] *= factor;
            cma->c[j * n + i] *= factor;
        }
    }
}

/* More than mu candidates with the best cost: the sample is too narrow to tell them apart. */
static void widen_when_flat(mg_cma *cma)
{
    double best = cma->costs[cma->order[0]];
    int64_t same = 0;
    for (int64_t i = 0; i < cma->lambda; i++) {
        same += cma->costs[i] == best ? 1 : 0;
    }
    if (same <= cma->k.mu) {
        cma->flat_count = 0;
        return;
    }
    cma->flat_count++;
    if (cma->flat_count <= FLAT_GENERATIONS_MAX) {
        cma->sigma *= exp(0.2 + cma->k.c_s / cma->k.d_s);
    }
}

/* Smooths a step (local coordinates) into rate and gives the new learning rate. */
static double adapt_rate(mg_cma_rate *rate, const double *step, double beta, bool first)
{
    double length = 0.0;
    double e_squared = 0.0;
    for (int64_t i = 0; i < rate->count; i++) {
        rate->e[i] = (1.0 - beta) * rate->e[i] + beta * step[i];
        length += step[i] * step[i];
        e_squared += rate->e[i] * rate->e[i];
    }
    rate->v = (1.0 - beta) * rate->v + beta * length;
    double noise = rate->v - e_squared;
    if (first || !(noise > 0.0)) {
        return rate->eta;
    }
    double snr = (e_squared - beta / (2.0 - beta) * rate->v) / noise;
    double pull = fmin(fmax(snr / (LRA_ALPHA * rate->eta) - 1.0, -1.0), 1.0);
    return fmin(1.0, rate->eta * exp(fmin(LRA_GAMMA * rate->eta, beta) * pull));
}

/* out = W matrix W with the symmetric root W = B D^-1 B^T of the old distribution: rotates into the
 * eigenbasis, where W is diagonal.  The basis itself changes with time, so the result is turned
 * back. All (n, n); temp too. */
static void whiten_matrix(const mg_cma *cma, double *out, const double *matrix, double *temp)
{
    int64_t n = cma->n;
    for (int pass = 0; pass < 2; pass++) { /* temp = W x, then out = (W temp^T): x symmetric */
        const double *from = pass == 0 ? matrix : temp;
        double *to = pass == 0 ? temp : out;
        for (int64_t column = 0; column < n; column++) {
            double *v = cma->scratch + 2 * n; /* a column of from^T is a row */
            memcpy(v, from + column * n, (size_t)n * sizeof(double));
            double *white = cma->scratch + 3 * n;
            mg_cma_whiten(cma, white, v);
            for (int64_t i = 0; i < n; i++) {
                to[i * n + column] = white[i];
            }
        }
    }
}

/* Learning-rate adaptation: shortens the steps of mean and covariance that were just made. */
static void adapt_learning_rates(mg_cma *cma, const double *old_mean, double old_sigma,
                                 const double *old_c)
{
    int64_t n = cma->n;
    bool full = cma->options.kind == MG_CMA_FULL;
    bool first = cma->generation == 0;
    int64_t count = full ? n * n : n;
    double *step = mg_new_array(double, n);
    double *white = mg_new_array(double, n);
    for (int64_t i = 0; i < n; i++) {
        step[i] = (cma->mean[i] - old_mean[i]) / old_sigma;
    }
    mg_cma_whiten(cma, white, step);
    double eta_before = cma->rate_mean.eta;
    cma->rate_mean.eta = adapt_rate(&cma->rate_mean, white, LRA_BETA_MEAN, first);
    for (int64_t i = 0; i < n; i++) {
        cma->mean[i] = old_mean[i] + cma->rate_mean.eta * old_sigma * step[i];
    }

    double *change = mg_new_array(double, count); /* of sigma^2 C, in units of the old sigma^2 */
    double *local = mg_new_array(double, count);
    double grown = cma->sigma * cma->sigma / (old_sigma * old_sigma);
    for (int64_t i = 0; i < count; i++) {
        change[i] = grown * cma->c[i] - old_c[i];
    }
    if (full) {
        whiten_matrix(cma, local, change, cma->scratch + 4 * n);
    } else {
        for (int64_t i = 0; i < n; i++) {
            local[i] = change[i] / (cma->d[i] * cma->d[i]);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        local[i] /= sqrt(2.0);
    }
    cma->rate_cov.eta = adapt_rate(&cma->rate_cov, local, LRA_BETA_COV, first);
    for (int64_t i = 0; i < count; i++) {
        cma->c[i] = old_c[i] + cma->rate_cov.eta * change[i];
    }
    mg_cma_decompose(cma);
    double log_sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        log_sum += 2.0 * log(cma->d[i]);
    }
    double root = exp(log_sum / (2.0 * (double)n));
    for (int64_t i = 0; i < count; i++) {
        cma->c[i] /= root * root;
    }
    for (int64_t i = 0; i < n; i++) {
        cma->d[i] /= root;
    }
    cma->sigma = old_sigma * root * eta_before / cma->rate_mean.eta;
    cma->sigma = fmin(cma->sigma, 0.5 * cma->range_min);
    mg_free(step);
    mg_free(white);
    mg_free(change);
    mg_free(local);
}

static void update_limited_memory(mg_cma *cma)
{
    const mg_cma_constants *k = &cma->k;
    int64_t n = cma->n;
    double lambda = (double)cma->lambda;
    double *z_w = cma->scratch + 2 * n;
    double *d_w = cma->scratch + 3 * n;
    weighted_step(cma, NULL, d_w);
    for (int64_t i = 0; i < n; i++) {
        z_w[i] = 0.0;
    }
    for (int64_t r = 0; r < k->mu; r++) {
        for (int64_t i = 0; i < n; i++) {
            z_w[i] += k->weights[r] * cma->z[cma->order[r] * n + i];
        }
    }
    double c_p = fmin(1.0, 2.0 * lambda / (double)n);
    double rate = sqrt(k->mu_eff * c_p * (2.0 - c_p));
    for (int64_t i = 0; i < n; i++) {
        cma->mean[i] += cma->sigma * d_w[i];
        cma->p_s[i] = (1.0 - c_p) * cma->p_s[i] + rate * z_w[i];
    }
    for (int64_t s = 0; s < cma->direction_count; s++) {
        double b = fmin(1.0, lambda / (pow(4.0, (double)s) * (double)n));
        rate = sqrt(k->mu_eff * b * (2.0 - b));
        double *m = cma->directions + s * n;
        for (int64_t i = 0; i < n; i++) {
            m[i] = (1.0 - b) * m[i] + rate * z_w[i];
        }
    }
    double growth = c_p / 2.0 * (squared(cma->p_s, n) / (double)n - 1.0);
    cma->sigma *= exp(fmin(fmax(growth, -1.0), 1.0));
    cma->generation++;
}

static void remember_old(const mg_cma *cma, double **mean_out, double **c_out)
{
    int64_t count = cma->options.kind == MG_CMA_FULL ? cma->n * cma->n : cma->n;
    *mean_out = mg_new_array(double, cma->n);
    *c_out = mg_new_array(double, count);
    memcpy(*mean_out, cma->mean, (size_t)cma->n * sizeof(double));
    memcpy(*c_out, cma->c, (size_t)count * sizeof(double));
}

void mg_cma_update(mg_cma *cma, const bool *relevant)
{
    const mg_cma_constants *k = &cma->k;
    int64_t n = cma->n;
    if (cma->options.kind == MG_CMA_LM_MA) {
        update_limited_memory(cma);
        widen_when_flat(cma);
        return;
    }
    double *old_mean = NULL;
    double *old_c = NULL;
    double old_sigma = cma->sigma;
    if (cma->options.adapt_learning_rate) {
        remember_old(cma, &old_mean, &old_c);
    }
    double *step = mg_new_array(double, n);
    double *raw = mg_new_array(double, n);
    double *white = mg_new_array(double, n);
    weighted_step(cma, relevant, step);
    raw_step(cma, raw);
    bool h = update_paths(cma, step, raw, white);
    for (int64_t i = 0; i < n; i++) {
        cma->mean[i] += cma->sigma * step[i];
    }
    if (cma->options.kind == MG_CMA_FULL) {
        update_covariance_full(cma, h, white);
    } else {
        update_covariance_sep(cma, h, relevant, white);
    }
    double length = sqrt(squared(cma->p_s, n));
    double growth = k->c_s / k->d_s * (length / k->chi_n - 1.0);
    cma->sigma *= exp(fmin(fmax(growth, -1.0), 1.0));
    widen_when_flat(cma);
    if (cma->options.adapt_learning_rate) {
        adapt_learning_rates(cma, old_mean, old_sigma, old_c);
    } else if (cma->lower != NULL) {
        cap_deviations(cma);
    }
    cma->generation++;
    double interval = fmax(1.0, 1.0 / ((k->c_1 + k->c_mu) * (double)n * 10.0));
    if (cma->options.adapt_learning_rate) {
        cma->eigen_generation = cma->generation;
    } else if (cma->options.kind == MG_CMA_SEP ||
               (double)(cma->generation - cma->eigen_generation) >= interval) {
        mg_cma_decompose(cma);
    }
    mg_free(old_mean);
    mg_free(old_c);
    mg_free(step);
    mg_free(raw);
    mg_free(white);
}
