/* infer/sample.h - which token comes next: penalties, the truncations, and the draw (models.md 6).
 *
 * A draw is a pure function of seed, stream and step, so that an answer does not depend on what
 * else is in the batch.  Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "model/model.h"

MG_BEGIN_C

/* All zero: greedy, with the rules of generation_config.json. */
typedef struct mg_sampling {
    double temperature;        /* 0 = greedy, lowest id on ties */
    int64_t top_k;             /* 0 = off */
    double top_p;              /* 0 or 1 = off */
    double min_p;              /* 0 = off */
    double repetition_penalty; /* 0 = that of the rules, 1 = off */
    bool ignores_rules;        /* generation_config.json does not count */
    uint64_t seed;             /* with the request's index it names the stream of draws */
} mg_sampling;

typedef struct mg_sampler mg_sampler;

mg_sampler *mg_sampler_create(int64_t vocab);
void mg_sampler_destroy(mg_sampler *sampler); /* NULL is fine */

/* What holds for a request: the model's rules and what sampling says. */
mg_generation_rules mg_sampling_rules(const mg_sampling *sampling, const mg_model *model);
/* Whether the next token is the largest logit. */
bool mg_sampling_is_plain(const mg_sampling *sampling, const mg_generation_rules *rules);
/* The id that follows ids.  logits (vocab, finite) are overwritten.  rules come from
 * mg_sampling_rules. */
int32_t mg_sampler_next(mg_sampler *sampler, const mg_sampling *sampling,
                        const mg_generation_rules *rules, const int32_t *ids, int64_t id_count,
                        uint64_t stream, uint64_t step, float *logits);

MG_END_C
