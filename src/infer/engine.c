/* infer/engine.c - an engine's memory, and one pass over a batch. */
#include "infer/engine.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "infer/engine_internal.h"

/* Choices where the options leave them open: on the CPU, and on a device with memory of its own,
 * which is as fast as its batches are large. */
#define MG_BATCH_CHOSEN 128
#define MG_PREFILL_CHOSEN 256
#define MG_DEVICE_BATCH_CHOSEN 256
#define MG_DEVICE_PREFILL_CHOSEN 8192
#define MG_DEVICE_SHARE 0.8 /* of the free memory, for keys and values */
#define MG_PREFILL_LEAST 64 /* where memory is short */
#define MG_POSITIONS_MAX (INT64_C(1) << 28)
#define MG_CACHE_BYTES_CHOSEN ((size_t)2 << 30)
#define MG_LOGIT_BYTES_CHOSEN ((size_t)256 << 20)

/* The ids that end texts: the model's, else the tokenizer's. */
static void take_end_ids(mg_engine *engine)
{
    int64_t count = 0;
    const int32_t *ids = mg_model_eos(engine->model, &count);
    int32_t own = engine->tokenizer != NULL ? mg_tokenizer_eos(engine->tokenizer) : -1;
    if (count == 0 && own >= 0) {
        ids = &own;
        count = 1;
    }
    engine->end_ids = mg_new_array(int32_t, count);
    engine->end_id_count = count;
    if (count > 0) {
        memcpy(engine->end_ids, ids, (size_t)count * sizeof(int32_t));
    }
}

mg_status mg_engine_create(mg_model *model, const mg_tokenizer *tokenizer, mg_pool *pool,
                           const mg_engine_options *options, mg_engine **engine_out, mg_error *err)
{
    *engine_out = NULL;
    mg_status status = MG_OK;
    mg_engine *engine = mg_new(mg_engine);
    mg_engine_options none = { 0 };
    const mg_engine_options *chosen = options != NULL ? options : &none;
    int64_t model_max = mg_model_max_positions(model);
    engine->model = model;
    engine->tokenizer = tokenizer;
    engine->device = mg_model_device(model);
    engine->ops = engine->device->nn;
    engine->vocab = mg_model_vocab(model);
    engine->batch_max = MG_MAX(chosen->batch_max, 0);
    engine->cache_tokens = MG_MAX(chosen->cache_tokens, 0);
    engine->positions_max =
        chosen->positions_max > 0 ? MG_MIN(chosen->positions_max, MG_POSITIONS_MAX) : model_max;
    engine->prefill_max = chosen->prefill_tokens_max > 0 ? chosen->prefill_tokens_max
                          : engine->device->host_memory  ? MG_PREFILL_CHOSEN
                                                         : MG_DEVICE_PREFILL_CHOSEN;
    MG_TRY_OR_DONE(engine->device->stream_create(engine->device, pool, &engine->stream, err));
    take_end_ids(engine);
    *engine_out = engine;
    engine = NULL; /* handed over */

done:
    mg_engine_destroy(engine);
    return status;
}

static void release_batch(mg_engine *engine)
{
    const mg_device *device = engine->device;
    mg_free(engine->batch.tokens);
    mg_free(engine->batch.runs);
    mg_free(engine->batch.logit_rows);
    mg_free(engine->batch.targets);
    mg_free(engine->host_picked);
    mg_free(engine->host_logprobs);
    device->free(device, engine->logits);
    device->free(device, engine->picked);
    device->free(device, engine->targets);
    device->free(device, engine->logprobs);
    device->free(device, engine->text_ends);
    device->free(device, engine->device_end_ids);
    memset(&engine->batch, 0, sizeof(engine->batch));
    engine->host_picked = NULL;
    engine->host_logprobs = NULL;
    engine->logits = NULL;
    engine->picked = NULL;
    engine->targets = NULL;
    engine->logprobs = NULL;
    engine->text_ends = NULL;
    engine->device_end_ids = NULL;
    engine->bytes = 0;
}

void mg_engine_destroy(mg_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    mg_kv_cache_destroy(engine->cache);
    release_batch(engine);
    mg_free(engine->end_ids);
    engine->device->stream_destroy(engine->stream);
    mg_sampler_destroy(engine->sampler);
    mg_free(engine->host_logits);
    mg_buf_release(&engine->text);
    mg_buf_release(&engine->scratch);
    mg_free(engine);
}

static mg_status device_array(mg_engine *engine, int64_t count, int64_t width, void **block_out,
                              mg_error *err)
{
    size_t bytes = 0;
    if (!mg_size_mul((size_t)count, (size_t)width, &bytes) || !mg_size_mul(bytes, 4, &bytes)) {
        return mg_fail(err, MG_ERR_MEMORY, "no memory for %lld rows of logits", (long long)count);
    }
    MG_TRY(engine->device->alloc(engine->device, bytes, "logits", block_out, err));
    engine->bytes += bytes;
    return MG_OK;
}

static mg_status reserve_batch(mg_engine *engine, int64_t token_cap, int64_t logit_cap,
                               mg_error *err)
{
    mg_batch *batch = &engine->batch;
    if (batch->token_cap >= token_cap && batch->logit_cap >= logit_cap) {
        return MG_OK;
    }
    release_batch(engine);
    void *block = NULL;
    MG_TRY(device_array(engine, logit_cap, engine->vocab, &block, err));
    engine->logits = (float *)block;
    MG_TRY(device_array(engine, logit_cap, 1, &block, err));
    engine->picked = (int32_t *)block;
    MG_TRY(device_array(engine, logit_cap, 1, &block, err));
    engine->targets = (int32_t *)block;
    MG_TRY(device_array(engine, logit_cap, 1, &block, err));
    engine->logprobs = (float *)block;
    MG_TRY(device_array(engine, logit_cap, 2, &block, err));
    engine->text_ends = (mg_text_end *)block;
    MG_TRY(device_array(engine, engine->end_id_count, 1, &block, err));
    engine->device_end_ids = (int32_t *)block;
    MG_TRY(engine->device->upload(engine->stream, block, engine->end_ids,
                                  (size_t)engine->end_id_count * sizeof(int32_t), err));
    engine->host_picked = mg_new_array(int32_t, logit_cap);
    engine->host_logprobs = mg_new_array(float, logit_cap);
    batch->tokens = mg_new_array(int32_t, token_cap);
    batch->runs = mg_new_array(mg_run, token_cap);
    batch->logit_rows = mg_new_array(int64_t, logit_cap);
    batch->targets = mg_new_array(int32_t, logit_cap);
    batch->token_cap = token_cap;
    batch->logit_cap = logit_cap;
    return MG_OK;
}

/* Bytes for keys and values, where the options leave them open. */
static mg_status cache_room(const mg_engine *engine, size_t *room_out, mg_error *err)
{
    const mg_device *device = engine->device;
    *room_out = MG_CACHE_BYTES_CHOSEN;
    if (device->memory != NULL) {
        size_t room = 0;
        size_t total = 0;
        MG_TRY(device->memory(device, &room, &total, err));
        room += engine->cache != NULL ? mg_kv_cache_bytes(engine->cache) : 0;
        *room_out = (size_t)((double)room * MG_DEVICE_SHARE);
    }
    return MG_OK;
}

/* How many texts of up to positions tokens to run together, and how many tokens they share. */
static mg_status choose_sizes(const mg_engine *engine, int64_t slots_wanted, int64_t positions,
                              int64_t logits_max, int64_t *slots_out, int64_t *tokens_out,
                              mg_error *err)
{
    size_t room = 0;
    int64_t block = mg_kv_block_tokens(engine->model);
    int64_t unit = block > 0 ? block : positions; /* what the cache grows by */
    size_t unit_bytes = MG_MAX(mg_kv_slot_bytes(engine->model, unit), (size_t)1);
    int64_t most = engine->device->memory != NULL ? MG_DEVICE_BATCH_CHOSEN : MG_BATCH_CHOSEN;
    int64_t slots = engine->batch_max > 0 ? engine->batch_max : MG_MIN(most, logits_max);
    MG_TRY(cache_room(engine, &room, err));
    int64_t fit = (int64_t)MG_MIN(room / unit_bytes, (size_t)INT32_MAX);
    if (block == 0) {
        slots = engine->batch_max > 0 ? slots : MG_MIN(slots, MG_MAX(fit, 1));
    }
    int64_t tokens = engine->cache_tokens > 0 ? engine->cache_tokens : fit * unit;
    *slots_out = MG_MAX(MG_MIN(slots, slots_wanted), 1);
    *tokens_out = MG_MAX(tokens, positions);
    return MG_OK;
}

/* Whether the cache at hand will do: a little more free memory than at its making changes nothing.
 */
static bool cache_suffices(const mg_engine *engine, int64_t slots, int64_t positions,
                           int64_t tokens)
{
    const mg_kv_cache *cache = engine->cache;
    int64_t block = mg_kv_block_tokens(engine->model);
    if (cache == NULL || mg_kv_cache_slots(cache) < slots ||
        mg_kv_cache_positions(cache) < positions) {
        return false;
    }
    int64_t useful = block > 0 ? slots * ((positions + block - 1) / block * block) : 0;
    return mg_kv_cache_tokens(cache) >= MG_MIN(useful, tokens - tokens / 8);
}

static mg_status reserve_for(mg_engine *engine, int64_t slots, int64_t positions, int64_t tokens,
                             int64_t logits_max, mg_error *err)
{
    int64_t token_cap = MG_MAX(engine->prefill_max, slots);
    int64_t logit_cap = MG_MAX(MG_MIN(token_cap, logits_max), slots);
    if (!cache_suffices(engine, slots, positions, tokens)) {
        mg_kv_cache_destroy(engine->cache);
        engine->cache = NULL;
    }
    MG_TRY(reserve_batch(engine, token_cap, logit_cap, err));
    if (engine->cache == NULL) {
        MG_TRY(mg_kv_cache_create(engine->model, slots, positions, tokens, &engine->cache, err));
    }
    mg_kv_cache_clear(engine->cache);
    return mg_kv_cache_reserve(engine->cache, engine->batch.token_cap, err);
}

mg_status mg_engine_reserve(mg_engine *engine, int64_t slots_wanted, int64_t positions,
                            int64_t *slots_out, mg_error *err)
{
    int64_t slots = 0;
    int64_t tokens = 0;
    size_t row_bytes = (size_t)engine->vocab * sizeof(float);
    int64_t logits_max = MG_MAX((int64_t)(MG_LOGIT_BYTES_CHOSEN / row_bytes), 1);
    MG_TRY(choose_sizes(engine, slots_wanted, positions, logits_max, &slots, &tokens, err));
    mg_status status = reserve_for(engine, slots, positions, tokens, logits_max, err);
    while (status == MG_ERR_MEMORY && (slots > 1 || engine->prefill_max > MG_PREFILL_LEAST)) {
        /* Smaller passes over fewer texts, from now on. */
        slots = MG_MAX(slots / 2, 1);
        tokens = MG_MAX(tokens / 2, positions);
        engine->batch_max = slots;
        engine->cache_tokens = tokens;
        if (engine->prefill_max > MG_PREFILL_LEAST) {
            engine->prefill_max = MG_MAX(engine->prefill_max / 2, (int64_t)MG_PREFILL_LEAST);
        }
        mg_kv_cache_destroy(engine->cache);
        engine->cache = NULL;
        release_batch(engine);
        status = reserve_for(engine, slots, positions, tokens, logits_max, err);
    }
    MG_TRY(status);
    size_t bytes = engine->bytes + mg_model_bytes(engine->model) + mg_kv_cache_bytes(engine->cache);
    engine->stats.peak_bytes = MG_MAX(engine->stats.peak_bytes, bytes);
    *slots_out = slots;
    return MG_OK;
}

void mg_batch_clear(mg_batch *batch)
{
    batch->token_count = 0;
    batch->run_count = 0;
    batch->logit_count = 0;
}

void mg_batch_add(mg_batch *batch, int64_t slot, const int32_t *ids, int64_t first, int64_t count,
                  int64_t length)
{
    MG_ASSERT(count > 0 && batch->token_count + count <= batch->token_cap);
    mg_run run = { slot, first, count, length };
    memcpy(batch->tokens + batch->token_count, ids, (size_t)count * sizeof(int32_t));
    batch->token_count += count;
    batch->runs[batch->run_count++] = run;
}

void mg_batch_want(mg_batch *batch, int64_t rows_before_last, int32_t target)
{
    MG_ASSERT(batch->logit_count < batch->logit_cap);
    batch->logit_rows[batch->logit_count] = batch->token_count - 1 - rows_before_last;
    batch->targets[batch->logit_count] = target;
    batch->logit_count++;
}

static mg_status forward(mg_engine *engine, mg_error *err)
{
    const mg_batch *batch = &engine->batch;
    mg_forward_args args = {
        engine->cache,    batch->tokens,     batch->token_count, batch->runs,
        batch->run_count, batch->logit_rows, batch->logit_count, engine->logits
    };
    return mg_model_forward(engine->model, &args, engine->stream, err);
}

static mg_status pick(mg_engine *engine, int64_t row_count, mg_error *err)
{
    mg_argmax_args args = { engine->picked, engine->logits, row_count, engine->vocab };
    return engine->ops->argmax(engine->stream, &args, err);
}

static mg_status run_pass(mg_engine *engine, bool scored, mg_error *err)
{
    const mg_batch *batch = &engine->batch;
    const mg_device *device = engine->device;
    mg_stream *stream = engine->stream;
    size_t list_bytes = (size_t)batch->logit_count * sizeof(int32_t);
    MG_TRY(forward(engine, err));
    if (batch->logit_count == 0) {
        return MG_OK;
    }
    MG_TRY(pick(engine, batch->logit_count, err));
    if (scored) {
        mg_logprob_args score = { engine->logprobs, engine->logits, engine->targets,
                                  batch->logit_count, engine->vocab };
        MG_TRY(device->upload(stream, engine->targets, batch->targets, list_bytes, err));
        MG_TRY(engine->ops->logprob(stream, &score, err));
        MG_TRY(device->download(stream, engine->host_logprobs, engine->logprobs, list_bytes, err));
    }
    return device->download(stream, engine->host_picked, engine->picked, list_bytes, err);
}

bool mg_engine_can_step(const mg_engine *engine)
{
    return mg_model_can_step(engine->model, engine->batch.run_count);
}

static mg_status check_stop(const mg_engine *engine, mg_error *err)
{
    return engine->stop != NULL && engine->stop(engine->stop_context)
               ? mg_fail(err, MG_ERR_INTERRUPTED, "interrupted")
               : MG_OK;
}

/* Behind the pass of a step: what it chose is on its way. */
static mg_status send_picked(mg_engine *engine, int64_t row_count, int place, mg_error *err)
{
    MG_TRY(pick(engine, row_count, err));
    return engine->device->fetch_begin(engine->stream, place, engine->picked,
                                       (size_t)row_count * sizeof(int32_t), err);
}

mg_status mg_engine_step_begin(mg_engine *engine, int place, mg_error *err)
{
    MG_TRY(check_stop(engine, err));
    mg_memory_forbid(true);
    mg_status status = forward(engine, err);
    status = status == MG_OK ? send_picked(engine, engine->batch.run_count, place, err) : status;
    mg_memory_forbid(false);
    return status;
}

mg_status mg_engine_step_follow(mg_engine *engine, const int32_t *rows, int64_t row_count,
                                int place, mg_error *err)
{
    mg_step_args args = { engine->cache,
                          rows,
                          row_count,
                          engine->picked,
                          engine->text_ends,
                          engine->device_end_ids,
                          engine->end_id_count,
                          engine->logits };
    MG_TRY(check_stop(engine, err));
    mg_memory_forbid(true);
    mg_status status = mg_model_step(engine->model, &args, engine->stream, err);
    status = status == MG_OK ? send_picked(engine, row_count, place, err) : status;
    mg_memory_forbid(false);
    return status;
}

mg_status mg_engine_step_end(mg_engine *engine, int64_t row_count, int place, mg_error *err)
{
    engine->stats.decode_steps++;
    engine->stats.decode_tokens += row_count;
    return engine->device->fetch_end(engine->stream, place, engine->host_picked,
                                     (size_t)row_count * sizeof(int32_t), err);
}

mg_status mg_engine_pass(mg_engine *engine, bool scored, int64_t decode_count, mg_error *err)
{
    mg_engine_stats *stats = &engine->stats;
    MG_TRY(check_stop(engine, err));
    double start = mg_clock_now(NULL);
    mg_memory_forbid(true);
    mg_status status = run_pass(engine, scored, err);
    mg_memory_forbid(false);
    double seconds = mg_clock_now(NULL) - start;
    double decoding = seconds * (double)decode_count / (double)engine->batch.token_count;
    stats->decode_tokens += decode_count;
    stats->decode_seconds += decoding;
    stats->decode_steps += decode_count > 0 ? 1 : 0;
    stats->prefill_tokens += engine->batch.token_count - decode_count;
    stats->prefill_seconds += seconds - decoding;
    return status;
}

void mg_engine_stream_text(mg_engine *engine, mg_text_piece *piece, void *context)
{
    engine->piece = piece;
    engine->piece_context = context;
}

void mg_engine_stop_when(mg_engine *engine, mg_engine_stop *stop, void *context)
{
    engine->stop = stop;
    engine->stop_context = context;
}

mg_engine_stats mg_engine_stats_get(const mg_engine *engine)
{
    return engine->stats;
}

void mg_engine_stats_reset(mg_engine *engine)
{
    size_t peak_bytes = engine->stats.peak_bytes;
    memset(&engine->stats, 0, sizeof(engine->stats));
    engine->stats.peak_bytes = peak_bytes;
}
