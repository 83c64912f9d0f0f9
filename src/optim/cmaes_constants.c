/* optim/cmaes_constants.c - population size, weights and learning rates (evolution.md 6.1, 6.4). */
#include <math.h>

#include "base/memory.h"
#include "optim/cmaes.h"

int64_t mg_cma_default_population(int64_t dimension)
{
    return 4 + (int64_t)floor(3.0 * log((double)dimension));
}

static void full_rates(mg_cma_constants *k, double n, double lambda)
{
    double mu_eff = k->mu_eff;
    k->c_c = (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n);
    k->c_1 = 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff) * fmin(1.0, lambda / 6.0);
    k->c_mu =
        fmin(1.0 - k->c_1, 2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0) * (n + 2.0) + mu_eff));
}

static void sep_rates(mg_cma_constants *k, double n, double lambda, bool classic)
{
    double mu_eff = k->mu_eff;
    if (classic) {
        full_rates(k, n, lambda);
        k->c_1 *= (n + 2.0) / 3.0;
        k->c_mu *= (n + 2.0) / 3.0;
        k->c_1 = fmin(k->c_1, 1.0);
        k->c_mu = fmin(k->c_mu, 1.0 - k->c_1);
        k->c_c = 4.0 / (n + 4.0);
        return;
    }
    k->c_c = (1.0 + 1.0 / n + mu_eff / n) / (sqrt(n) + 1.0 / n + 2.0 * mu_eff / n);
    k->c_1 = 1.0 / (n + 2.0 * sqrt(n) + mu_eff / n);
    k->c_mu = fmin(1.0 - k->c_1,
                   (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / (n + 4.0 * sqrt(n) + mu_eff / 2.0));
}

/* Positive weights sum to 1, negative ones to -a_neg. */
static void scale_weights(mg_cma_constants *k, int64_t lambda, double a_neg)
{
    double positive = 0.0;
    double negative = 0.0;
    for (int64_t i = 0; i < lambda; i++) {
        if (k->weights[i] >= 0.0) {
            positive += k->weights[i];
        } else {
            negative -= k->weights[i];
        }
    }
    for (int64_t i = 0; i < lambda; i++) {
        if (k->weights[i] >= 0.0) {
            k->weights[i] /= positive;
        } else {
            k->weights[i] = a_neg > 0.0 ? k->weights[i] * a_neg / negative : 0.0;
        }
    }
}

static double effective(const double *weights, int64_t begin, int64_t end)
{
    double sum = 0.0;
    double squares = 0.0;
    for (int64_t i = begin; i < end; i++) {
        sum += weights[i];
        squares += weights[i] * weights[i];
    }
    return squares > 0.0 ? sum * sum / squares : 0.0;
}

void mg_cma_constants_compute(const mg_cma_options *options, mg_cma_constants *constants_out)
{
    int64_t lambda = options->population > 0 ? options->population
                                             : mg_cma_default_population(options->dimension);
    double n = (double)options->dimension;
    mg_cma_constants *k = constants_out;
    *k = (mg_cma_constants){ .mu = lambda / 2 };
    k->weights = mg_new_array(double, lambda);
    bool limited = options->kind == MG_CMA_LM_MA;
    for (int64_t i = 0; i < lambda; i++) {
        double rank = log((double)(i + 1));
        k->weights[i] = limited ? fmax(0.0, log((double)k->mu + 0.5) - rank)
                                : log(((double)lambda + 1.0) / 2.0) - rank;
    }
    k->mu_eff = effective(k->weights, 0, k->mu);
    k->mu_neg = effective(k->weights, k->mu, lambda);
    k->chi_n = sqrt(n) * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
    k->c_s = (k->mu_eff + 2.0) / (n + k->mu_eff + 5.0);
    k->d_s = 1.0 + 2.0 * fmax(0.0, sqrt((k->mu_eff - 1.0) / (n + 1.0)) - 1.0) + k->c_s;
    if (options->kind == MG_CMA_SEP) {
        sep_rates(k, n, (double)lambda, options->sep_classic);
    } else {
        full_rates(k, n, (double)lambda);
    }
    if (k->c_mu > 0.0) {
        k->a_neg = fmin(1.0 + k->c_1 / k->c_mu, 1.0 + 2.0 * k->mu_neg / (k->mu_eff + 2.0));
        k->a_neg = fmax(0.0, fmin(k->a_neg, (1.0 - k->c_1 - k->c_mu) / (n * k->c_mu)));
    }
    scale_weights(k, lambda, options->active && !limited ? k->a_neg : 0.0);
}
