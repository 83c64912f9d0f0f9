/* base/rng.c - Philox 4x32-10, MT19937 and the normal quantile. */
#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

void mg_philox(mg_philox_key key, const uint32_t counter[4], uint32_t words_out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words_out[0] = c0;
    words_out[1] = c1;
    words_out[2] = c2;
    words_out[3] = c3;
}

double mg_uniform32(uint32_t word)
{
    return ((double)word + 0.5) * 0x1p-32;
}

double mg_uniform53(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 12; /* 52 bits, so that + 0.5 stays exact */
    return ((double)bits + 0.5) * 0x1p-52;
}

mg_rng mg_rng_make(uint64_t seed, uint32_t stream)
{
    mg_rng rng;
    memset(&rng, 0, sizeof(rng));
    rng.key.word[0] = (uint32_t)seed;
    rng.key.word[1] = (uint32_t)(seed >> 32) ^ stream * 0x85EBCA6Bu;
    rng.used = 4;
    return rng;
}

uint32_t mg_rng_word(mg_rng *rng)
{
    if (rng->used == 4) {
        uint32_t counter[4] = { (uint32_t)rng->counter, (uint32_t)(rng->counter >> 32), 0, 0 };
        mg_philox(rng->key, counter, rng->words);
        rng->counter++;
        rng->used = 0;
    }
    return rng->words[rng->used++];
}

double mg_rng_uniform(mg_rng *rng)
{
    uint32_t high = mg_rng_word(rng);
    return mg_uniform53(high, mg_rng_word(rng));
}

double mg_rng_normal(mg_rng *rng)
{
    return mg_normal_quantile(mg_rng_uniform(rng));
}

uint64_t mg_rng_below(mg_rng *rng, uint64_t end)
{
    MG_ASSERT(end > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % end; /* a multiple of end */
    for (;;) {
        uint64_t high = mg_rng_word(rng);
        uint64_t x = high << 32 | mg_rng_word(rng);
        if (x < limit) {
            return x % end;
        }
    }
}

static double polynomial(const double *coefficients, int count, double x)
{
    double sum = 0;
    for (int i = count - 1; i >= 0; i--) {
        sum = sum * x + coefficients[i];
    }
    return sum;
}

/* AS 241, routine PPND16: relative accuracy about 1e-16. */
double mg_normal_quantile(double p)
{
    static const double a[] = { 3.3871328727963666080e0,  1.3314166789178437745e+2,
                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3 };
    static const double b[] = { 1.0,
                                4.2313330701600911252e+1,
                                6.8718700749205790830e+2,
                                5.3941960214247511077e+3,
                                2.1213794301586595867e+4,
                                3.9307895800092710610e+4,
                                2.8729085735721942674e+4,
                                5.2264952788528545610e+3 };
    static const double c[] = { 1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4 };
    static const double d[] = { 1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9 };
    static const double e[] = { 6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7 };
    static const double f[] = { 1.0,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15 };
    MG_ASSERT(p > 0 && p < 1);
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, 8, r) / polynomial(b, 8, r);
    }
    double r = sqrt(-log(q < 0 ? p : 1 - p));
    double x;
    if (r <= 5) {
        x = polynomial(c, 8, r - 1.6) / polynomial(d, 8, r - 1.6);
    } else {
        x = polynomial(e, 8, r - 5) / polynomial(f, 8, r - 5);
    }
    return q < 0 ? -x : x;
}

void mg_mt19937_seed(mg_mt19937 *mt, uint32_t seed)
{
    mt->state[0] = seed;
    for (uint32_t j = 1; j < 624; j++) {
        uint32_t previous = mt->state[j - 1];
        mt->state[j] = 1812433253u * (previous ^ (previous >> 30)) + j;
    }
    mt->next = 624;
}

void mg_mt19937_seed_array(mg_mt19937 *mt, const uint32_t *key, int64_t count)
{
    MG_ASSERT(count > 0);
    mg_mt19937_seed(mt, 19650218u);
    uint32_t *s = mt->state;
    uint32_t i = 1;
    int64_t j = 0;
    for (int64_t k = MG_MAX(count, (int64_t)624); k > 0; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1664525u)) + key[j] + (uint32_t)j;
        i++;
        j++;
        if (i >= 624) {
            s[0] = s[623];
            i = 1;
        }
        if (j >= count) {
            j = 0;
        }
    }
    for (int k = 623; k > 0; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1566083941u)) - i;
        i++;
        if (i >= 624) {
            s[0] = s[623];
            i = 1;
        }
    }
    s[0] = 0x80000000u;
    mt->next = 624;
}

static void refill(mg_mt19937 *mt)
{
    uint32_t *s = mt->state;
    for (int i = 0; i < 624; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % 624] & 0x7FFFFFFFu);
        s[i] = s[(i + 397) % 624] ^ (y >> 1) ^ (0x9908B0DFu & (0u - (y & 1u)));
    }
    mt->next = 0;
}

uint32_t mg_mt19937_word(mg_mt19937 *mt)
{
    if (mt->next >= 624) {
        refill(mt);
    }
    uint32_t y = mt->state[mt->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9D2C5680u;
    y ^= (y << 15) & 0xEFC60000u;
    return y ^ (y >> 18);
}
