/* infer/engine.h - answers requests with a model: continuous batching over one KV cache.
 *
 * Requests wait in a queue; the engine prefills them in chunks, decodes all running ones together
 * and lets a new one in as soon as an old one ends.  A request's answer does not depend on its
 * batch. Thread-safety: one thread at a time. */
#pragma once

#include "base/error.h"
#include "base/pool.h"
#include "infer/hopeless.h"
#include "infer/sample.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

typedef enum mg_finish {
    MG_FINISH_STOP,
    MG_FINISH_LENGTH,
    MG_FINISH_EOS,
    MG_FINISH_FAILED
} mg_finish;

typedef struct mg_generate_request {
    const int32_t *ids; /* the prompt, special tokens included; at least one */
    int64_t id_count;
    int64_t max_new_tokens; /* at least 1; cut where the prompt leaves less room */
    const mg_str *stops;    /* stop strings: text before the first of them is the answer */
    int64_t stop_count;
    bool ignore_eos;
    mg_hopeless hopeless; /* all zero: every answer runs to its end */
    /* Whether an answer with this beginning, which no later token changes, says all that is wanted:
     * it ends with MG_FINISH_STOP.  Asked after every token; NULL = never. */
    mg_status (*complete)(const void *context, mg_str text, bool *complete_out, mg_error *err);
    const void *complete_context;
    mg_sampling sampling; /* all zero: greedy */
} mg_generate_request;

typedef struct mg_generation {
    const int32_t *ids; /* generated, the final EOS excluded */
    int64_t id_count;
    mg_str text; /* decoded without special tokens, cut at the first stop string */
    mg_finish finish;
    int64_t nonfinite_at; /* MG_FINISH_FAILED: step whose logits held a NaN or infinity, else -1 */
} mg_generation;

/* Log-probability of a continuation, sum and per token (tasks.md 10.3).  Requests with equal
 * contexts share the context's computation. */
typedef struct mg_score_request {
    const int32_t *context; /* at least one */
    int64_t context_count;
    const int32_t *continuation;
    int64_t continuation_count;
} mg_score_request;

typedef struct mg_score {
    double logprob;
    const float *token_logprobs; /* continuation_count */
    bool is_greedy;              /* every token of the continuation is the argmax */
    bool failed;                 /* logits were not finite */
} mg_score;

typedef struct mg_engine_stats {
    int64_t prefill_tokens, decode_tokens, decode_steps;
    double prefill_seconds, decode_seconds;
    size_t peak_bytes; /* of weights, cache and activations */
} mg_engine_stats;

typedef struct mg_engine_options {
    int64_t batch_max;          /* sequences decoded together; 0 = choose */
    int64_t positions_max;      /* longest sequence; 0 = what the model was made for */
    int64_t prefill_tokens_max; /* tokens of one prefill pass; 0 = choose */
    int64_t cache_tokens;       /* that have keys and values at a time, where texts share a pool of
                                 * them (a card); at least one text fits; 0 = choose */
} mg_engine_options;

typedef struct mg_engine mg_engine;

/* model and tokenizer are borrowed and must outlive the engine.  tokenizer may be NULL: then texts
 * are empty and stop strings are not looked for. */
MG_MUST_CHECK mg_status mg_engine_create(mg_model *model, const mg_tokenizer *tokenizer,
                                         mg_pool *pool, const mg_engine_options *options,
                                         mg_engine **engine_out, mg_error *err);
void mg_engine_destroy(mg_engine *engine); /* NULL is fine */

/* Called once for each request, in order of completion; result is valid during the call only.
 * false cancels the rest: the function returns MG_ERR_INTERRUPTED. */
typedef bool mg_generation_done(void *context, int64_t index, const mg_generation *result);
typedef bool mg_score_done(void *context, int64_t index, const mg_score *result);

/* A prompt that leaves no room for max_new_tokens in positions_max is cut on the left; with no room
 * at all, the answer is cut.  Texts stop at the ids of the model's files, else at the tokenizer's
 * EOS. Non-finite logits end that request alone.  MG_ERR_FORMAT for an id that the model lacks. */
MG_MUST_CHECK mg_status mg_engine_generate(mg_engine *engine, const mg_generate_request *requests,
                                           int64_t count, mg_generation_done *done, void *context,
                                           mg_error *err);
/* A context that leaves no room is cut on the left; MG_ERR_LIMIT when the continuation alone is
 * longer than positions_max. */
MG_MUST_CHECK mg_status mg_engine_score(mg_engine *engine, const mg_score_request *requests,
                                        int64_t count, mg_score_done *done, void *context,
                                        mg_error *err);
/* Streaming of a single request: called with each piece of text as it becomes certain; the pieces
 * together are the text of the result.  NULL switches it off. */
typedef void mg_text_piece(void *context, mg_str piece);
void mg_engine_stream_text(mg_engine *engine, mg_text_piece *piece, void *context);

/* Asked before each pass: true ends generate and score with MG_ERR_INTERRUPTED.  NULL = never. */
typedef bool mg_engine_stop(void *context);
void mg_engine_stop_when(mg_engine *engine, mg_engine_stop *stop, void *context);

mg_engine_stats mg_engine_stats_get(const mg_engine *engine);
void mg_engine_stats_reset(mg_engine *engine);

MG_END_C
