/* infer/sample.c - the order of transformers: penalty, repeated n-grams, suppressed tokens,
 * temperature, top-k, top-p, min-p, draw.
 *
 * Candidates come out of a heap, largest first, until the truncations are satisfied: that costs one
 * pass over the vocabulary and a few steps for each token kept, instead of a sort. */
#include "infer/sample.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"

typedef struct mg_candidate {
    float logit;
    int32_t id;
} mg_candidate;

struct mg_sampler {
    int64_t vocab;
    mg_candidate *heap;
    mg_candidate *kept;
    double *weights; /* of kept */
    bool *seen;      /* vocab flags, all false between calls */
};

mg_sampler *mg_sampler_create(int64_t vocab)
{
    mg_sampler *sampler = mg_new(mg_sampler);
    sampler->vocab = vocab;
    sampler->heap = mg_new_array(mg_candidate, vocab);
    sampler->kept = mg_new_array(mg_candidate, vocab);
    sampler->weights = mg_new_array(double, vocab);
    sampler->seen = mg_new_array(bool, vocab);
    return sampler;
}

void mg_sampler_destroy(mg_sampler *sampler)
{
    if (sampler != NULL) {
        mg_free(sampler->heap);
        mg_free(sampler->kept);
        mg_free(sampler->weights);
        mg_free(sampler->seen);
        mg_free(sampler);
    }
}

/* Once for each distinct token of the text so far. */
static void penalise(mg_sampler *sampler, double penalty, const int32_t *ids, int64_t id_count,
                     float *logits)
{
    for (int64_t i = 0; i < id_count; i++) {
        int32_t id = ids[i];
        if (!sampler->seen[id]) {
            sampler->seen[id] = true;
            logits[id] =
                logits[id] > 0.0f ? logits[id] / (float)penalty : logits[id] * (float)penalty;
        }
    }
    for (int64_t i = 0; i < id_count; i++) {
        sampler->seen[ids[i]] = false;
    }
}

/* Tokens that would repeat the last n - 1 tokens with what followed them before. */
static void ban_repeats(int64_t n, const int32_t *ids, int64_t id_count, float *logits)
{
    if (id_count < n) {
        return;
    }
    const int32_t *tail = ids + id_count - (n - 1);
    for (int64_t i = 0; i + n <= id_count; i++) {
        if (memcmp(ids + i, tail, (size_t)(n - 1) * sizeof(int32_t)) == 0) {
            logits[ids[i + n - 1]] = -INFINITY;
        }
    }
}

mg_generation_rules mg_sampling_rules(const mg_sampling *sampling, const mg_model *model)
{
    mg_generation_rules none = { 1.0, 0, NULL, 0 };
    mg_generation_rules rules = sampling->ignores_rules ? none : mg_model_generation_rules(model);
    if (sampling->repetition_penalty > 0.0) {
        rules.repetition_penalty = sampling->repetition_penalty;
    }
    return rules;
}

bool mg_sampling_is_plain(const mg_sampling *sampling, const mg_generation_rules *rules)
{
    return sampling->temperature <= 0.0 && rules->repetition_penalty == 1.0 &&
           rules->no_repeat_ngram == 0 && rules->suppressed_count == 0;
}

static int32_t largest(const float *logits, int64_t vocab)
{
    int32_t best = 0;
    for (int64_t i = 1; i < vocab; i++) {
        best = logits[i] > logits[best] ? (int32_t)i : best;
    }
    return best;
}

static bool before(mg_candidate a, mg_candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sift_down(mg_candidate *heap, int64_t count, int64_t at)
{
    mg_candidate moved = heap[at];
    for (int64_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && before(heap[child + 1], heap[child])) {
            child++;
        }
        if (!before(heap[child], moved)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static mg_candidate pop(mg_candidate *heap, int64_t *count)
{
    mg_candidate top = heap[0];
    heap[0] = heap[--*count];
    if (*count > 0) {
        sift_down(heap, *count, 0);
    }
    return top;
}

/* Fills kept and weights (relative to the most likely token); returns how many there are. */
static int64_t truncate_candidates(mg_sampler *sampler, const mg_sampling *sampling,
                                   const float *logits)
{
    mg_candidate *heap = sampler->heap;
    int64_t left = sampler->vocab;
    double temperature = sampling->temperature;
    float top = logits[largest(logits, left)];
    double mass = 0.0;
    for (int64_t i = 0; i < left; i++) {
        heap[i].logit = logits[i];
        heap[i].id = (int32_t)i;
        mass += exp(((double)logits[i] - (double)top) / temperature);
    }
    for (int64_t i = left / 2 - 1; i >= 0; i--) {
        sift_down(heap, left, i);
    }
    int64_t most = sampling->top_k > 0 ? MG_MIN(sampling->top_k, left) : left;
    bool by_mass = sampling->top_p > 0.0 && sampling->top_p < 1.0;
    int64_t count = 0;
    if (most < left) { /* top-p counts the mass of what top-k leaves */
        mass = 0.0;
        for (; count < most; count++) {
            sampler->kept[count] = pop(heap, &left);
            sampler->weights[count] =
                exp(((double)sampler->kept[count].logit - (double)top) / temperature);
            mass += sampler->weights[count];
        }
    }
    double taken = 0.0;
    int64_t kept = 0;
    for (; kept < most; kept++) {
        if (kept == count) {
            sampler->kept[count] = pop(heap, &left);
            sampler->weights[count] =
                exp(((double)sampler->kept[count].logit - (double)top) / temperature);
            count++;
        }
        bool enough = by_mass && taken >= sampling->top_p * mass;
        bool is_banned = sampler->weights[kept] == 0.0;
        if (kept > 0 && (enough || is_banned || sampler->weights[kept] < sampling->min_p)) {
            break;
        }
        taken += sampler->weights[kept];
    }
    return kept;
}

int32_t mg_sampler_next(mg_sampler *sampler, const mg_sampling *sampling,
                        const mg_generation_rules *rules, const int32_t *ids, int64_t id_count,
                        uint64_t stream, uint64_t step, float *logits)
{
    if (rules->repetition_penalty != 1.0) {
        penalise(sampler, rules->repetition_penalty, ids, id_count, logits);
    }
    if (rules->no_repeat_ngram > 0) {
        ban_repeats(rules->no_repeat_ngram, ids, id_count, logits);
    }
    for (int64_t i = 0; i < rules->suppressed_count; i++) {
        logits[rules->suppressed[i]] = -INFINITY;
    }
    if (sampling->temperature <= 0.0) {
        return largest(logits, sampler->vocab);
    }
    int64_t count = truncate_candidates(sampler, sampling, logits);
    double total = 0.0;
    for (int64_t i = 0; i < count; i++) {
        total += sampler->weights[i];
    }
    uint64_t name[3] = { sampling->seed, stream, step };
    mg_rng rng = mg_rng_make(mg_hash64(name, sizeof(name), 0), MG_STREAM_TEXT);
    double rest = mg_rng_uniform(&rng) * total;
    for (int64_t i = 0; i < count; i++) {
        rest -= sampler->weights[i];
        if (rest < 0.0) {
            return sampler->kept[i].id;
        }
    }
    return sampler->kept[count - 1].id;
}
