/* infer/sample.h - which token comes next: penalties, the truncations, and the draw (models.md 6).
 *
 * A draw is a pure function of seed, stream and step, so that an answer does not depend on what
 * else is in the batch.  Thread-safety: one thread at a time. */
#pragma once

#include "base/compiler.h"

#include <stdbool.h>

MG_BEGIN_C

/* All zero: greedy, with the model's own repetition penalty. */
typedef struct mg_sampling {
    double temperature;        /* 0 = greedy, lowest id on ties */
    int64_t top_k;             /* 0 = off */
    double top_p;              /* 0 or 1 = off */
    double min_p;              /* 0 = off */
    double repetition_penalty; /* 0 = that of generation_config.json, 1 = off */
    uint64_t seed;             /* with the request's index it names the stream of draws */
} mg_sampling;

typedef struct mg_sampler mg_sampler;

mg_sampler *mg_sampler_create(int64_t vocab);
void mg_sampler_destroy(mg_sampler *sampler); /* NULL is fine */

/* The id that follows ids.  logits (vocab, finite) are overwritten.  penalty counts for sampling's
 * repetition_penalty. */
int32_t mg_sampler_next(mg_sampler *sampler, const mg_sampling *sampling, double penalty,
                        const int32_t *ids, int64_t id_count, uint64_t stream, uint64_t step,
                        float *logits);

MG_END_C
