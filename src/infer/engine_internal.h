/* infer/engine_internal.h - the memory of an engine, and passes over a batch of runs. */
#pragma once

#include "compute/ops_nn.h"
#include "infer/engine.h"
#include "infer/sample.h"
#include "infer/stop.h"

MG_BEGIN_C

/* What one forward pass is made of, collected run by run. */
typedef struct mg_batch {
    int32_t *tokens;
    int64_t token_count;
    int64_t token_cap;
    mg_run *runs;
    int64_t run_count;
    int64_t *logit_rows;
    int32_t *targets; /* for each logit row: the token to score */
    int64_t logit_count;
    int64_t logit_cap;
} mg_batch;

struct mg_engine {
    mg_model *model;
    const mg_tokenizer *tokenizer;
    const mg_device *device;
    const mg_nn_ops *ops;
    mg_stream *stream;
    int64_t vocab;
    int64_t batch_max;    /* 0 = choose */
    int64_t cache_tokens; /* 0 = choose */
    int64_t positions_max;
    int64_t prefill_max; /* tokens of a pass */
    mg_kv_cache *cache;
    mg_batch batch;
    float *logits;          /* device (logit_cap, vocab) */
    int32_t *picked;        /* device (logit_cap): argmax */
    int32_t *targets;       /* device (logit_cap) */
    float *logprobs;        /* device (logit_cap) */
    int32_t *host_picked;   /* (logit_cap) */
    float *host_logprobs;   /* (logit_cap) */
    float *host_logits;     /* (vocab): one row, for sampling */
    mg_text_end *text_ends; /* device (logit_cap): of the texts in the slots */
    size_t bytes;           /* of the arrays above */
    int32_t *end_ids;       /* that end a text */
    int64_t end_id_count;
    int32_t *device_end_ids; /* device (end_id_count) */
    mg_sampler *sampler;     /* made when first needed */
    mg_buf text;
    mg_buf scratch;
    mg_text_piece *piece;
    void *piece_context;
    mg_engine_stop *stop;
    void *stop_context;
    mg_engine_stats stats;
};

/* Memory for slots texts of up to positions tokens, and for passes of up to prefill_max tokens or
 * one token for each slot.  Gives the number of slots to use: as many as wanted, batch_max and
 * memory allow; where memory runs out, batches and passes are halved until they fit, and stay so.
 * Where texts share a pool, not all slots may have room for a whole text; one has.  The cache is
 * empty afterwards.  MG_ERR_MEMORY when one text does not fit. */
MG_MUST_CHECK mg_status mg_engine_reserve(mg_engine *engine, int64_t slots_wanted,
                                          int64_t positions, int64_t *slots_out, mg_error *err);

void mg_batch_clear(mg_batch *batch);
/* Adds tokens ids[0 .. count-1] at positions first ..; length is that of the whole text so far. */
void mg_batch_add(mg_batch *batch, int64_t slot, const int32_t *ids, int64_t first, int64_t count,
                  int64_t length);
/* Asks for the logits of the row-th token from the end of what was added last (0 = the last). */
void mg_batch_want(mg_batch *batch, int64_t rows_before_last, int32_t target);

/* Whether a step of the batch may be followed by others before anybody looks at it. */
bool mg_engine_can_step(const mg_engine *engine);
/* Starts the batch, a step: one token of each text, all with logits.  Or starts the step behind the
 * last one with those of its rows that are given.  place (0 or 1) is where mg_engine_step_end finds
 * what it chose, in host_picked: it waits for that step only.  Allocates nothing. */
MG_MUST_CHECK mg_status mg_engine_step_begin(mg_engine *engine, int place, mg_error *err);
MG_MUST_CHECK mg_status mg_engine_step_follow(mg_engine *engine, const int32_t *rows,
                                              int64_t row_count, int place, mg_error *err);
MG_MUST_CHECK mg_status mg_engine_step_end(mg_engine *engine, int64_t row_count, int place,
                                           mg_error *err);

/* Runs the batch: host_picked has the argmax of each logit row (-1 = not finite) and, if scored,
 * host_logprobs the log-probability of each target.  decode_count of its tokens are a step of
 * decoding, for the statistics.  Allocates nothing. */
MG_MUST_CHECK mg_status mg_engine_pass(mg_engine *engine, bool scored, int64_t decode_count,
                                       mg_error *err);

MG_END_C
