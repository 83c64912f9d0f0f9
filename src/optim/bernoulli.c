/* optim/bernoulli.c - see bernoulli.h; the names follow evolution.md 6.7. */
#include "optim/bernoulli.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"

#define ALPHA_SNR 1.5
#define STREAM_BITS 32 /* the sample stream's sibling for bits */

struct mg_bernoulli {
    int64_t count;
    uint64_t seed;
    double q_min;
    double *q;              /* count */
    double *s;              /* count: smoothed direction */
    double *g;              /* count: scratch */
    double gam, del, delta; /* normaliser of s, inverse step, step */
};

mg_bernoulli *mg_bernoulli_create(const double *start, int64_t count, uint64_t seed)
{
    MG_ASSERT(count >= 1);
    mg_bernoulli *bits = mg_new(mg_bernoulli);
    bits->count = count;
    bits->seed = seed;
    bits->q_min = 1.0 - pow(0.73, 1.0 / (double)count);
    bits->q = mg_new_array(double, count);
    bits->s = mg_new_array(double, count);
    bits->g = mg_new_array(double, count);
    bits->del = 1.0;
    bits->delta = 1.0;
    for (int64_t i = 0; i < count; i++) {
        bits->q[i] = fmin(fmax(start[i], bits->q_min), 1.0 - bits->q_min);
    }
    return bits;
}

void mg_bernoulli_destroy(mg_bernoulli *bits)
{
    if (bits != NULL) {
        mg_free(bits->q);
        mg_free(bits->s);
        mg_free(bits->g);
        mg_free(bits);
    }
}

int64_t mg_bernoulli_count(const mg_bernoulli *bits)
{
    return bits->count;
}

double mg_bernoulli_floor(const mg_bernoulli *bits)
{
    return bits->q_min;
}

const double *mg_bernoulli_probabilities(const mg_bernoulli *bits)
{
    return bits->q;
}

void mg_bernoulli_ask(const mg_bernoulli *bits, int64_t generation, int64_t candidate,
                      bool *bits_out)
{
    mg_philox_key key = { { (uint32_t)(bits->seed ^ (bits->seed >> 32)), STREAM_BITS } };
    for (int64_t i = 0; i < bits->count; i++) {
        uint32_t counter[4] = { (uint32_t)generation, (uint32_t)candidate, (uint32_t)i, 0 };
        uint32_t words[4];
        mg_philox(key, counter, words);
        bits_out[i] = mg_uniform53(words[0], words[1]) < bits->q[i];
    }
}

void mg_bernoulli_tell(mg_bernoulli *bits, const bool *sample, const int64_t *order,
                       const double *weights, int64_t weight_count)
{
    int64_t b = bits->count;
    double f_norm = 0.0;
    for (int64_t i = 0; i < b; i++) {
        double g = 0.0;
        for (int64_t k = 0; k < weight_count; k++) {
            g += weights[k] * ((sample[order[k] * b + i] ? 1.0 : 0.0) - bits->q[i]);
        }
        bits->g[i] = g;
        f_norm += g * g / (bits->q[i] * (1.0 - bits->q[i]));
    }
    f_norm = sqrt(f_norm);
    if (f_norm < 1e-12) {
        return;
    }
    double beta = bits->delta / sqrt((double)b);
    double s_norm = 0.0;
    for (int64_t i = 0; i < b; i++) {
        double f = bits->g[i] / sqrt(bits->q[i] * (1.0 - bits->q[i]));
        bits->s[i] = (1.0 - beta) * bits->s[i] + sqrt(beta * (2.0 - beta)) * f / f_norm;
        s_norm += bits->s[i] * bits->s[i];
        double q = bits->q[i] + bits->delta / f_norm * bits->g[i];
        bits->q[i] = fmin(fmax(q, bits->q_min), 1.0 - bits->q_min);
    }
    bits->gam = (1.0 - beta) * (1.0 - beta) * bits->gam + beta * (2.0 - beta);
    /* beta may not exceed 1, or the averages above would stop being averages. */
    bits->del =
        fmax(1.0 / sqrt((double)b), bits->del * exp(beta * (bits->gam - s_norm / ALPHA_SNR)));
    bits->delta = 1.0 / bits->del;
}

void mg_bernoulli_save(const mg_bernoulli *bits, mg_buf *out)
{
    double scalars[3] = { bits->gam, bits->del, bits->delta };
    mg_buf_add(out, mg_str_make((const char *)&bits->count, sizeof(bits->count)));
    mg_buf_add(out, mg_str_make((const char *)scalars, sizeof(scalars)));
    mg_buf_add(out, mg_str_make((const char *)bits->q, (size_t)bits->count * sizeof(double)));
    mg_buf_add(out, mg_str_make((const char *)bits->s, (size_t)bits->count * sizeof(double)));
}

mg_status mg_bernoulli_load(mg_bernoulli *bits, mg_str state, mg_error *err)
{
    size_t vector_bytes = (size_t)bits->count * sizeof(double);
    int64_t count = 0;
    double scalars[3];
    if (state.size != sizeof(count) + sizeof(scalars) + 2 * vector_bytes) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the switches has %zu bytes, expected %zu",
                       state.size, sizeof(count) + sizeof(scalars) + 2 * vector_bytes);
    }
    memcpy(&count, state.data, sizeof(count));
    if (count != bits->count) {
        return mg_fail(err, MG_ERR_FORMAT, "state of %lld switches, expected %lld",
                       (long long)count, (long long)bits->count);
    }
    memcpy(scalars, state.data + sizeof(count), sizeof(scalars));
    memcpy(bits->q, state.data + sizeof(count) + sizeof(scalars), vector_bytes);
    memcpy(bits->s, state.data + sizeof(count) + sizeof(scalars) + vector_bytes, vector_bytes);
    bits->gam = scalars[0];
    bits->del = scalars[1];
    bits->delta = scalars[2];
    return MG_OK;
}

void mg_bits_limit(double *x, int64_t count, int64_t max, const double *probabilities)
{
    int64_t set = 0;
    for (int64_t i = 0; i < count; i++) {
        set += x[i] != 0.0 ? 1 : 0;
    }
    for (; set > max; set--) {
        int64_t least = -1;
        for (int64_t i = 0; i < count; i++) {
            if (x[i] != 0.0 && (least < 0 || probabilities[i] <= probabilities[least])) {
                least = i;
            }
        }
        x[least] = 0.0;
    }
}
