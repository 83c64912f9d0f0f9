/* infer/generate.c - continuous batching of generation.
 *
 * A text sits in a slot of the cache.  It waits with pending tokens (its prompt, later the token it
 * was given last); a pass computes them and gives it the next token:
 *
 *   queue -> admit -> [prefill pass, in chunks] -> decode passes -> done -> slot is free
 *
 * Prompts go first, so that the decode passes are as full as they can be; a decode step joins a
 * pass whose prompts leave it room.  Requests are admitted in the order of their prompts, which
 * share what they begin with (prefix_internal.h).
 *
 * Where the device can, a step is started before anybody has looked at the one before: the device
 * itself makes the next tokens of what was chosen, and stops at ids that end texts and at lengths.
 * The host follows one step behind, with stop strings and all else that ends a text; what was
 * computed of it meanwhile is thrown away.
 *
 * Where the texts share a pool of keys and values, each takes what it needs as it grows.  When the
 * pool is empty, what ended texts left is given up first, then the youngest texts are parked: they
 * give back what they have, and are computed anew once there is room.  The oldest goes on in any
 * case. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "infer/engine_internal.h"
#include "infer/prefix_internal.h"

typedef struct mg_text {
    const mg_generate_request *request;
    int64_t index;         /* of the request; -1 = the slot is free */
    int32_t *ids;          /* prompt as cut, then what was generated */
    const int32_t *prompt; /* the request's own, as cut: outlives the text */
    int64_t prompt_count;
    int64_t count;   /* of ids */
    int64_t new_max; /* tokens to generate at most */
    mg_generation_rules rules;
    mg_stops stops;
    size_t streamed;  /* bytes of text handed out */
    bool is_parked;   /* gave back its keys and values */
    bool is_waiting;  /* for room in the cache: left out of the pass that is being collected */
    bool is_decoding; /* in the pass that is being collected */
} mg_text;

/* A prompt, cut to what fits. */
typedef struct mg_prompt {
    const int32_t *ids;
    int64_t count;
    int64_t index; /* of the request */
} mg_prompt;

typedef struct mg_generator {
    mg_engine *engine;
    const mg_generate_request *requests;
    int64_t count;
    mg_generation_done *done;
    void *context;
    mg_text *texts; /* slot_count */
    int64_t slot_count;
    int64_t live;
    int64_t *order;     /* the slots of the live texts, oldest first */
    mg_prompt *prompts; /* sorted */
    int64_t next;       /* the first prompt not admitted yet */
    mg_held *held;      /* slot_count: what is in the cache of each text */
    int32_t *ids;       /* memory of the texts */
    int64_t *rows;      /* for each logit row of a pass: its slot */
    int64_t *next_rows; /* the same for the step started ahead of it */
    int32_t *going_on;  /* and the rows of the one before that it goes on with */
    mg_stops stops;     /* of the request admitted last: many share theirs */
} mg_generator;

static mg_status check_request(const mg_engine *engine, const mg_generate_request *request,
                               int64_t index, mg_error *err)
{
    MG_ASSERT(request->id_count > 0 && request->max_new_tokens > 0);
    for (int64_t i = 0; i < request->id_count; i++) {
        if (request->ids[i] < 0 || request->ids[i] >= engine->vocab) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "request %lld: token id %d is outside the model's %lld",
                           (long long)index, request->ids[i], (long long)engine->vocab);
        }
    }
    return MG_OK;
}

static int compare_prompts(const void *left, const void *right)
{
    const mg_prompt *a = (const mg_prompt *)left;
    const mg_prompt *b = (const mg_prompt *)right;
    int order = mg_ids_compare(a->ids, a->count, b->ids, b->count);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* Cuts the prompts on the left, finds the longest text, and sorts. */
static mg_status plan(mg_generator *gen, int64_t *positions_out, mg_error *err)
{
    int64_t limit = gen->engine->positions_max;
    int64_t longest = 1;
    for (int64_t i = 0; i < gen->count; i++) {
        const mg_generate_request *request = &gen->requests[i];
        MG_TRY(check_request(gen->engine, request, i, err));
        int64_t keep = limit - request->max_new_tokens;
        if (keep < 1) { /* no room for the whole answer: the prompt, then as much as fits */
            keep = MG_MAX(limit - 1, 1);
        }
        int64_t cut = MG_MAX(request->id_count - keep, 0);
        mg_prompt prompt = { request->ids + cut, request->id_count - cut, i };
        gen->prompts[i] = prompt;
        longest = MG_MAX(longest, MG_MIN(prompt.count + request->max_new_tokens, limit));
    }
    qsort(gen->prompts, (size_t)gen->count, sizeof(mg_prompt), compare_prompts);
    *positions_out = longest;
    return MG_OK;
}

/* The text that was generated so far. */
static mg_str decode_text(mg_generator *gen, const mg_text *text)
{
    mg_engine *engine = gen->engine;
    mg_buf_clear(&engine->text);
    if (engine->tokenizer != NULL) {
        mg_tokenizer_decode(engine->tokenizer, text->ids + text->prompt_count,
                            text->count - text->prompt_count, true, &engine->text);
    }
    return mg_stops_cut(&text->stops, mg_buf_view(&engine->text));
}

static void stream_piece(mg_generator *gen, mg_text *text, mg_str certain)
{
    mg_engine *engine = gen->engine;
    if (certain.size > text->streamed) {
        engine->piece(engine->piece_context, mg_str_slice(certain, text->streamed, certain.size));
        text->streamed = certain.size;
    }
}

static void leave_order(mg_generator *gen, int64_t slot)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < gen->live; i++) {
        if (gen->order[i] != slot) {
            gen->order[kept++] = gen->order[i];
        }
    }
    gen->live = kept;
}

/* Reports the text and frees its slot. */
static mg_status end_text(mg_generator *gen, mg_text *text, mg_finish finish, mg_error *err)
{
    mg_generation result;
    int64_t new_count = text->count - text->prompt_count;
    result.ids = text->ids + text->prompt_count;
    result.id_count = new_count;
    result.text = decode_text(gen, text);
    result.finish = finish;
    result.nonfinite_at = finish == MG_FINISH_FAILED ? new_count : -1;
    if (gen->engine->piece != NULL && gen->count == 1) {
        stream_piece(gen, text, result.text);
    }
    int64_t index = text->index;
    text->index = -1;
    leave_order(gen, text - gen->texts);
    if (!gen->done(gen->context, index, &result)) {
        return mg_fail(err, MG_ERR_INTERRUPTED, "generation was cancelled");
    }
    return MG_OK;
}

static mg_status admit(mg_generator *gen, int64_t slot, mg_error *err)
{
    mg_engine *engine = gen->engine;
    const mg_prompt *prompt = &gen->prompts[gen->next++];
    const mg_generate_request *request = &gen->requests[prompt->index];
    mg_text *text = &gen->texts[slot];
    if (engine->tokenizer != NULL &&
        (gen->stops.texts != request->stops || gen->stops.count != request->stop_count)) {
        MG_TRY(mg_stops_make(engine->tokenizer, request->stops, request->stop_count, &gen->stops,
                             err));
    }
    text->request = request;
    text->index = prompt->index;
    text->prompt = prompt->ids;
    text->prompt_count = prompt->count;
    text->count = text->prompt_count;
    text->new_max = MG_MIN(request->max_new_tokens, engine->positions_max - text->prompt_count);
    text->rules = mg_sampling_rules(&request->sampling, engine->model);
    text->stops = gen->stops;
    text->streamed = 0;
    text->is_parked = false;
    gen->order[gen->live++] = slot;
    if (text->new_max <= 0) {
        return end_text(gen, text, MG_FINISH_LENGTH, err);
    }
    memcpy(text->ids, prompt->ids, (size_t)prompt->count * sizeof(int32_t));
    mg_text_end end = { (int32_t)(text->prompt_count + text->new_max - 2),
                        request->ignore_eos ? 1 : 0 };
    MG_TRY(
        engine->device->upload(engine->stream, engine->text_ends + slot, &end, sizeof(end), err));
    return mg_prefix_begin(engine, gen->held, gen->slot_count, slot, prompt->ids, prompt->count,
                           true, err);
}

/* Gives up what one of the ended texts left in the cache; false when none left anything. */
static bool forget_ended(mg_generator *gen)
{
    for (int64_t slot = 0; slot < gen->slot_count; slot++) {
        if (gen->texts[slot].index < 0 && mg_kv_cache_slot_tokens(gen->engine->cache, slot) > 0) {
            mg_prefix_forget(gen->engine, gen->held, slot);
            return true;
        }
    }
    return false;
}

/* Whether a text of so many tokens can begin, and all that run can grow by a block: what ended
 * texts left counts as free. */
static bool has_room(const mg_generator *gen, int64_t token_count)
{
    const mg_kv_cache *cache = gen->engine->cache;
    int64_t block = mg_kv_block_tokens(gen->engine->model);
    int64_t wanted = token_count;
    int64_t room = mg_kv_cache_free_tokens(cache);
    for (int64_t slot = 0; slot < gen->slot_count; slot++) {
        int64_t held = mg_kv_cache_slot_tokens(cache, slot);
        room += gen->texts[slot].index < 0 ? held : 0;
        wanted += gen->texts[slot].index >= 0 && held > 0 ? block : 0;
    }
    return block == 0 || wanted <= room;
}

/* Parks the youngest text that has keys and values, unless the one at place `place` of the order
 * comes first. */
static bool park_younger(mg_generator *gen, int64_t place)
{
    for (int64_t i = gen->live - 1; i > place; i--) {
        int64_t slot = gen->order[i];
        if (mg_kv_cache_slot_tokens(gen->engine->cache, slot) > 0) {
            mg_prefix_forget(gen->engine, gen->held, slot);
            gen->texts[slot].is_parked = true;
            return true;
        }
    }
    return false;
}

/* Gives the live texts room for the tokens they wait with, the oldest first. */
static mg_status make_room(mg_generator *gen, mg_error *err)
{
    mg_engine *engine = gen->engine;
    for (int64_t i = 0; i < gen->live; i++) {
        int64_t slot = gen->order[i];
        mg_text *text = &gen->texts[slot];
        text->is_waiting = text->is_parked && !has_room(gen, text->count);
        if (text->is_waiting || gen->held[slot].source >= 0) {
            continue;
        }
        if (text->is_parked) {
            text->is_parked = false;
            MG_TRY(mg_prefix_begin(engine, gen->held, gen->slot_count, slot, text->prompt,
                                   text->prompt_count, false, err));
        }
        while (!mg_kv_cache_grow(engine->cache, slot, text->count)) {
            if (!forget_ended(gen) && !park_younger(gen, i)) {
                text->is_waiting = true;
                break;
            }
        }
    }
    return MG_OK;
}

static bool ends_texts(const mg_engine *engine, int32_t id)
{
    for (int64_t i = 0; i < engine->end_id_count; i++) {
        if (engine->end_ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* The token that follows, from logit row `row` of the pass; picked is its argmax. */
static mg_status choose_token(mg_generator *gen, const mg_text *text, int64_t row, int32_t picked,
                              int32_t *token_out, mg_error *err)
{
    mg_engine *engine = gen->engine;
    const mg_sampling *sampling = &text->request->sampling;
    *token_out = picked;
    if (mg_sampling_is_plain(sampling, &text->rules)) {
        return MG_OK;
    }
    if (engine->sampler == NULL) {
        engine->sampler = mg_sampler_create(engine->vocab);
        engine->host_logits = mg_new_array(float, engine->vocab);
    }
    MG_TRY(engine->device->download(engine->stream, engine->host_logits,
                                    engine->logits + row * engine->vocab,
                                    (size_t)engine->vocab * sizeof(float), err));
    *token_out = mg_sampler_next(engine->sampler, sampling, &text->rules, text->ids, text->count,
                                 (uint64_t)text->index,
                                 (uint64_t)(text->count - text->prompt_count), engine->host_logits);
    return MG_OK;
}

/* Whether the text says all that is wanted of it. */
static mg_status is_complete(mg_generator *gen, const mg_text *text, bool *complete_out,
                             mg_error *err)
{
    const mg_generate_request *request = text->request;
    *complete_out = false;
    if (request->complete == NULL) {
        return MG_OK;
    }
    mg_str certain = mg_stops_certain(&text->stops, decode_text(gen, text));
    return request->complete(request->complete_context, certain, complete_out, err);
}

/* Gives the text in slot its next token, from logit row `row`, and ends it where it ends. */
static mg_status advance(mg_generator *gen, int64_t slot, int64_t row, mg_error *err)
{
    mg_engine *engine = gen->engine;
    mg_text *text = &gen->texts[slot];
    int32_t token = engine->host_picked[row];
    if (token < 0) {
        return end_text(gen, text, MG_FINISH_FAILED, err);
    }
    MG_TRY(choose_token(gen, text, row, token, &token, err));
    if (!text->request->ignore_eos && ends_texts(engine, token)) {
        return end_text(gen, text, MG_FINISH_EOS, err);
    }
    text->ids[text->count++] = token;
    int64_t new_count = text->count - text->prompt_count;
    if (mg_stops_hit(&text->stops, engine->tokenizer, text->ids + text->prompt_count, new_count,
                     &engine->scratch)) {
        return end_text(gen, text, MG_FINISH_STOP, err);
    }
    if (mg_hopeless_hit(&text->request->hopeless, engine->tokenizer, text->ids + text->prompt_count,
                        new_count, &engine->scratch)) {
        return end_text(gen, text, MG_FINISH_LENGTH, err);
    }
    bool complete;
    MG_TRY(is_complete(gen, text, &complete, err));
    if (complete) {
        return end_text(gen, text, MG_FINISH_STOP, err);
    }
    if (new_count == text->new_max) {
        return end_text(gen, text, MG_FINISH_LENGTH, err);
    }
    if (engine->piece != NULL && gen->count == 1) {
        stream_piece(gen, text, mg_stops_certain(&text->stops, decode_text(gen, text)));
    }
    if (text->count - 1 == mg_model_restart_length(engine->model)) {
        gen->held[slot].computed = 0; /* the keys rotate by other factors from here on */
    }
    return MG_OK;
}

/* Adds what the text in slot waits with to the pass, as far as it fits. */
static void add_pending(mg_generator *gen, int64_t slot)
{
    mg_batch *batch = &gen->engine->batch;
    const mg_text *text = &gen->texts[slot];
    mg_held *held = &gen->held[slot];
    int64_t pending = text->count - held->computed;
    int64_t take = MG_MIN(pending, batch->token_cap - batch->token_count);
    if (take == 0) {
        return;
    }
    mg_batch_add(batch, slot, text->ids + held->computed, held->computed, take, text->count);
    held->computed += take;
    if (take == pending) {
        gen->rows[batch->logit_count] = slot;
        mg_batch_want(batch, 0, 0);
    }
}

/* Collects a pass: prompts as far as they fit, then the last token of every text that is being
 * decoded where all of these fit.  Returns how many are decoded. */
static int64_t collect(mg_generator *gen)
{
    mg_batch *batch = &gen->engine->batch;
    int64_t decoding = 0;
    mg_batch_clear(batch);
    for (int64_t slot = 0; slot < gen->slot_count; slot++) {
        mg_text *text = &gen->texts[slot];
        const mg_held *held = &gen->held[slot];
        bool is_live = text->index >= 0 && held->source < 0 && !text->is_waiting;
        text->is_decoding =
            is_live && text->count > text->prompt_count && text->count - held->computed == 1;
        if (text->is_decoding) {
            decoding++;
        } else if (is_live) {
            add_pending(gen, slot);
        }
    }
    if (decoding > batch->token_cap - batch->token_count) {
        return 0;
    }
    for (int64_t slot = 0; slot < gen->slot_count; slot++) {
        if (gen->texts[slot].is_decoding) {
            add_pending(gen, slot);
        }
    }
    return decoding;
}

/* Whether what was collected is a step that may be followed unseen: every token is its argmax. */
static bool is_plain_step(const mg_generator *gen, int64_t decoding)
{
    const mg_batch *batch = &gen->engine->batch;
    bool plain = decoding == batch->token_count && mg_engine_can_step(gen->engine);
    for (int64_t row = 0; row < batch->logit_count && plain; row++) {
        const mg_text *text = &gen->texts[gen->rows[row]];
        plain = mg_sampling_is_plain(&text->request->sampling, &text->rules);
    }
    return plain;
}

/* Whether a text could come in: a new one, or one that waits for room. */
static bool somebody_comes(const mg_generator *gen)
{
    bool has_slot = false;
    for (int64_t slot = 0; slot < gen->slot_count; slot++) {
        const mg_text *text = &gen->texts[slot];
        has_slot = has_slot || text->index < 0;
        if (text->index >= 0 && text->is_waiting && has_room(gen, text->count)) {
            return true;
        }
    }
    return has_slot && gen->next < gen->count && has_room(gen, gen->prompts[gen->next].count + 1);
}

/* The rows of the step under way, of row_count rows, that may go on before it is looked at, into
 * going_on, and their slots into next_rows.  0 when it has to be looked at first. */
static int64_t plan_ahead(mg_generator *gen, int64_t row_count)
{
    mg_engine *engine = gen->engine;
    int64_t count = 0;
    if (somebody_comes(gen)) {
        return 0;
    }
    for (int64_t row = 0; row < row_count; row++) {
        int64_t slot = gen->rows[row];
        const mg_text *text = &gen->texts[slot];
        if (text->index < 0 || text->count + 1 - text->prompt_count >= text->new_max) {
            continue; /* has ended, or ends with the token that is chosen now */
        }
        while (!mg_kv_cache_grow(engine->cache, slot, text->count + 1)) {
            if (!forget_ended(gen)) {
                return 0;
            }
        }
        gen->going_on[count] = (int32_t)row;
        gen->next_rows[count++] = slot;
    }
    return count;
}

/* The step that was collected, and those that can follow it without a look.  A row whose text has
 * ended since the step was started says nothing. */
static mg_status run_steps(mg_generator *gen, mg_error *err)
{
    mg_engine *engine = gen->engine;
    int64_t row_count = engine->batch.logit_count;
    double start = mg_clock_now(NULL);
    MG_TRY(mg_engine_step_begin(engine, 0, err));
    for (int place = 0; row_count > 0; place = 1 - place) {
        int64_t next_count = plan_ahead(gen, row_count);
        if (next_count > 0) {
            MG_TRY(mg_engine_step_follow(engine, gen->going_on, next_count, 1 - place, err));
        }
        MG_TRY(mg_engine_step_end(engine, row_count, place, err));
        for (int64_t row = 0; row < row_count; row++) {
            if (gen->texts[gen->rows[row]].index >= 0) {
                MG_TRY(advance(gen, gen->rows[row], row, err));
            }
        }
        for (int64_t row = 0; row < next_count; row++) {
            gen->held[gen->next_rows[row]].computed++;
        }
        int64_t *seen = gen->rows;
        gen->rows = gen->next_rows;
        gen->next_rows = seen;
        row_count = next_count;
    }
    engine->stats.decode_seconds += mg_clock_now(NULL) - start;
    return MG_OK;
}

static mg_status run(mg_generator *gen, mg_error *err)
{
    mg_engine *engine = gen->engine;
    while (gen->next < gen->count || gen->live > 0) {
        MG_TRY(mg_prefix_settle(engine, gen->held, gen->slot_count, err));
        for (int64_t slot = 0; slot < gen->slot_count && gen->next < gen->count; slot++) {
            if (gen->texts[slot].index < 0 && has_room(gen, gen->prompts[gen->next].count + 1)) {
                MG_TRY(admit(gen, slot, err));
            }
        }
        if (gen->live == 0) {
            continue;
        }
        MG_TRY(make_room(gen, err));
        int64_t decoding = collect(gen);
        if (is_plain_step(gen, decoding)) {
            MG_TRY(run_steps(gen, err));
            continue;
        }
        MG_TRY(mg_engine_pass(engine, false, decoding, err));
        for (int64_t row = 0; row < engine->batch.logit_count; row++) {
            MG_TRY(advance(gen, gen->rows[row], row, err));
        }
    }
    return MG_OK;
}

mg_status mg_engine_generate(mg_engine *engine, const mg_generate_request *requests, int64_t count,
                             mg_generation_done *done, void *context, mg_error *err)
{
    mg_status status = MG_OK;
    int64_t positions = 0;
    mg_generator gen = { 0 };
    gen.engine = engine;
    gen.requests = requests;
    gen.count = count;
    gen.done = done;
    gen.context = context;
    gen.prompts = mg_new_array(mg_prompt, count);
    MG_TRY_OR_DONE(plan(&gen, &positions, err));
    MG_TRY_OR_DONE(mg_engine_reserve(engine, count, positions, &gen.slot_count, err));
    gen.texts = mg_new_array(mg_text, gen.slot_count);
    gen.held = mg_new_array(mg_held, gen.slot_count);
    gen.order = mg_new_array(int64_t, gen.slot_count);
    gen.rows = mg_new_array(int64_t, engine->batch.logit_cap);
    gen.next_rows = mg_new_array(int64_t, engine->batch.logit_cap);
    gen.going_on = mg_new_array(int32_t, engine->batch.logit_cap);
    gen.ids = mg_new_array(int32_t, gen.slot_count * positions);
    for (int64_t slot = 0; slot < gen.slot_count; slot++) {
        gen.texts[slot].index = -1;
        gen.texts[slot].ids = gen.ids + slot * positions;
        gen.held[slot].source = -1;
    }
    MG_TRY_OR_DONE(run(&gen, err));

done:
    mg_free(gen.prompts);
    mg_free(gen.texts);
    mg_free(gen.held);
    mg_free(gen.order);
    mg_free(gen.rows);
    mg_free(gen.next_rows);
    mg_free(gen.going_on);
    mg_free(gen.ids);
    return status;
}
