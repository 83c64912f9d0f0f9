/* model/model.h - a decoder-only language model bound to a device (models.md 3 to 5).
 *
 * A model is a shape (from config.json), weights in the device's own layout, and a forward pass
 * over a batch of token runs.  Weights come through mg_model_sink: from a checkpoint on disk or
 * straight from a merge, again and again for the candidates of a search. Thread-safety: forward
 * passes over one model may run together if their caches and streams differ; filling the weights
 * needs the model alone. */
#pragma once

#include "base/error.h"
#include "base/pool.h"
#include "compute/device.h"
#include "hub/config.h"
#include "hub/snapshot.h"
#include "tensor/sink.h"

MG_BEGIN_C

typedef struct mg_model mg_model;

/* An empty model of that shape.  dtype is the type weights are kept and multiplied in: MG_F32 or
 * MG_BF16.  config is copied as far as it is needed.
 * MG_ERR_UNSUPPORTED names an unknown architecture or a missing operation. */
MG_MUST_CHECK mg_status mg_model_create(const mg_model_config *config, const mg_device *device,
                                        mg_dtype dtype, mg_model **model_out, mg_error *err);
void mg_model_destroy(mg_model *model); /* NULL is fine */

/* The sink that takes this model's tensors by their checkpoint names (borrowed from model; close is
 * a no-op).  Its finish fails, naming the tensor, when one is missing or has a non-finite value:
 * MG_ERR_FORMAT, MG_ERR_NUMERIC.  Unknown tensors are ignored, with one note. */
mg_sink *mg_model_sink(mg_model *model, mg_stream *stream);
/* Copies all tensors of a checkpoint into the sink. */
MG_MUST_CHECK mg_status mg_model_load(mg_model *model, const mg_checkpoint *checkpoint,
                                      mg_stream *stream, mg_error *err);

int64_t mg_model_vocab(const mg_model *model); /* rows of the head */
int64_t mg_model_max_positions(const mg_model *model);
size_t mg_model_bytes(const mg_model *model); /* weights */
const mg_device *mg_model_device(const mg_model *model);
mg_dtype mg_model_dtype(const mg_model *model); /* of the weights */
/* The ids that end a text, as the folder's files say; borrowed. */
const int32_t *mg_model_eos(const mg_model *model, int64_t *count_out);
/* What generation_config.json asks of every generation that says nothing else (models.md 6). */
typedef struct mg_generation_rules {
    double repetition_penalty; /* 1 = off */
    int64_t no_repeat_ngram;   /* so many tokens never follow each other twice, 0 = off */
    const int32_t *suppressed; /* ids that are never chosen; borrowed */
    int64_t suppressed_count;
} mg_generation_rules;
mg_generation_rules mg_model_generation_rules(const mg_model *model);
/* The rotation of a key may depend on the length of its text (dynamic and longrope): then keys of a
 * common prefix cannot be shared. */
bool mg_model_rope_depends_on_length(const mg_model *model);
/* A text that grows beyond this many tokens must be computed anew from its start; 0 = never. */
int64_t mg_model_restart_length(const mg_model *model);

/* Keys and values of up to slot_count sequences of up to position_count tokens each.  Where the
 * device takes a cache in blocks, they share a pool of token_count tokens (at least position_count;
 * 0 = so many that all slots may be full), and a slot has what its text needs.  Elsewhere every
 * slot has its full length, and token_count says nothing. */
typedef struct mg_kv_cache mg_kv_cache;
MG_MUST_CHECK mg_status mg_kv_cache_create(const mg_model *model, int64_t slot_count,
                                           int64_t position_count, int64_t token_count,
                                           mg_kv_cache **cache_out, mg_error *err);
void mg_kv_cache_destroy(mg_kv_cache *cache); /* NULL is fine */
int64_t mg_kv_cache_slots(const mg_kv_cache *cache);
int64_t mg_kv_cache_positions(const mg_kv_cache *cache);
size_t mg_kv_cache_bytes(const mg_kv_cache *cache); /* with the memory of passes */
/* Bytes that one slot of position_count tokens would take; SIZE_MAX when that does not fit. */
size_t mg_kv_slot_bytes(const mg_model *model, int64_t position_count);
/* Tokens of a block; 0 where slots have their full length. */
int64_t mg_kv_block_tokens(const mg_model *model);
/* Tokens that the pool holds, and those that nobody has (both in whole blocks); without a pool what
 * all slots hold, and 0. */
int64_t mg_kv_cache_tokens(const mg_kv_cache *cache);
int64_t mg_kv_cache_free_tokens(const mg_kv_cache *cache);
/* Gives slot room for its first position_count tokens; false when the pool has too few blocks.  A
 * pass does the same for what it writes. */
bool mg_kv_cache_grow(mg_kv_cache *cache, int64_t slot, int64_t position_count);
/* Tokens for which slot has room; 0 without a pool. */
int64_t mg_kv_cache_slot_tokens(const mg_kv_cache *cache, int64_t slot);
/* Gives back what slot holds, or what all of them do. */
void mg_kv_cache_drop(mg_kv_cache *cache, int64_t slot);
void mg_kv_cache_clear(mg_kv_cache *cache);
/* Makes room for passes of up to token_count tokens, so that they allocate nothing. */
MG_MUST_CHECK mg_status mg_kv_cache_reserve(mg_kv_cache *cache, int64_t token_count, mg_error *err);
/* Makes the first position_count tokens of slot from the start of slot to (prefix sharing), by
 * reference as far as they fill blocks.  *count_out is how many it has then: fewer where the pool
 * has no block for the rest.  from may be to: what lies behind is given back. */
MG_MUST_CHECK mg_status mg_kv_cache_share(mg_kv_cache *cache, int64_t from, int64_t to,
                                          int64_t position_count, mg_stream *stream,
                                          int64_t *count_out, mg_error *err);

/* A run: count tokens of one sequence at positions first .. first+count-1, written into slot. */
typedef struct mg_run {
    int64_t slot;
    int64_t first;
    int64_t count;
    int64_t length; /* of the whole text for rope scalings that look at it; 0 = first + count */
} mg_run;

/* One forward pass.  tokens holds the runs' ids one after the other.  Logits are computed for the
 * rows listed in logit_rows (indexes into tokens, ascending) and written to logits_out
 * (logit_count, vocab) in float32, in device memory of at least that size; logit_count may be 0.
 * The result for a run does not depend on the other runs of the batch. */
typedef struct mg_forward_args {
    mg_kv_cache *cache;
    const int32_t *tokens;
    int64_t token_count;
    const mg_run *runs;
    int64_t run_count;
    const int64_t *logit_rows;
    int64_t logit_count;
    float *logits_out;
} mg_forward_args;

/* A token that the model lacks, or a run outside the cache: MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_model_forward(mg_model *model, const mg_forward_args *args,
                                         mg_stream *stream, mg_error *err);

/* The pass behind a step of generation (one token for each run, all with logits, given to forward
 * or made here) without a look at what it chose: the device turns it into the next tokens, and
 * leaves the rows of texts that have ended idle.  Device pointers but for rows. */
typedef struct mg_step_args {
    mg_kv_cache *cache;  /* the last pass over it was that step; slots have room for the token */
    const int32_t *rows; /* of that step: those that go on, ascending */
    int64_t row_count;
    const int32_t *picked;               /* argmax of its logits */
    const struct mg_text_end *text_ends; /* (slots): compute/ops_nn.h */
    const int32_t *end_ids;              /* ids that end texts */
    int64_t end_id_count;
    float *logits_out; /* (row_count, vocab) */
} mg_step_args;

/* Whether steps of up to row_count rows can follow each other so. */
bool mg_model_can_step(const mg_model *model, int64_t row_count);
MG_MUST_CHECK mg_status mg_model_step(mg_model *model, const mg_step_args *args, mg_stream *stream,
                                      mg_error *err);

MG_END_C
