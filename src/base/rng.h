/* base/rng.h - the two random generators of merganser.
 *
 * Philox 4x32-10 (Salmon et al., SC 2011) is counter-based: a draw is a pure function of a key and
 * a counter, so that no result depends on the order in which threads work (evolution.md 2). MT19937
 * (Matsumoto and Nishimura 1998) reproduces the CPU stream of PyTorch, which mergekit's masks use
 * (merging.md 3.5).  Thread-safety: Philox is pure; an mg_mt19937 belongs to one thread. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

typedef struct mg_philox_key {
    uint32_t word[2]; /* run seed, stream tag */
} mg_philox_key;

/* The four words of the block at counter (a, b, c, d). */
void mg_philox(mg_philox_key key, const uint32_t counter[4], uint32_t words_out[4]);

/* (x + 0.5) * 2^-32 of a word, and the 53-bit version of two words: never 0, never 1. */
double mg_uniform32(uint32_t word);
double mg_uniform53(uint32_t high, uint32_t low);

/* Stream tags: one for each use of chance, so that no two uses share draws. */
enum {
    MG_STREAM_SAMPLE = 1, /* optimiser samples: counter (generation, candidate, coordinate, 0) */
    MG_STREAM_MASK = 2,   /* merge masks: counter (element index low, high, tensor hash, model) */
    MG_STREAM_ITEMS = 3,  /* order of questions */
    MG_STREAM_TIES = 4,
    MG_STREAM_BOOTSTRAP = 5,
    MG_STREAM_TEXT = 6, /* sampling of tokens */
    MG_STREAM_POLISH = 7,
    MG_STREAM_RESTART = 8,   /* regimes and starts of restarts */
    MG_STREAM_VARIATION = 9, /* parents, crossover, mutation: counter from generation << 32 */
    MG_STREAM_ANCHORS = 10,  /* clusters of questions */
    MG_STREAM_HALVES = 11    /* halves of a generation's questions, candidates asked again */
};

/* A sequential generator over Philox for code that wants "the next number": seed and stream name
 * it. */
typedef struct mg_rng {
    mg_philox_key key;
    uint64_t counter; /* next block */
    uint32_t words[4];
    int used; /* words of the block already given out */
} mg_rng;

mg_rng mg_rng_make(uint64_t seed, uint32_t stream);
uint32_t mg_rng_word(mg_rng *rng);
double mg_rng_uniform(mg_rng *rng);               /* in (0, 1), 53 bits */
double mg_rng_normal(mg_rng *rng);                /* standard normal, by inverse CDF */
uint64_t mg_rng_below(mg_rng *rng, uint64_t end); /* 0 .. end-1, unbiased */

/* Inverse of the standard normal distribution function (Wichura 1988, AS 241), p in (0, 1). */
double mg_normal_quantile(double p);

/* torch.manual_seed(seed) and the words it then gives on the CPU. */
typedef struct mg_mt19937 {
    uint32_t state[624];
    int next; /* index of the next word; 624 = refill first */
} mg_mt19937;

void mg_mt19937_seed(mg_mt19937 *mt, uint32_t seed);
/* Python's random.seed / numpy init_by_array with the key words. */
void mg_mt19937_seed_array(mg_mt19937 *mt, const uint32_t *key, int64_t count);
uint32_t mg_mt19937_word(mg_mt19937 *mt);

MG_END_C
