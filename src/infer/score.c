/* infer/score.c - log-probabilities of continuations (tasks.md 10.3).
 *
 * Requests with equal contexts form a group, which sits in one slot of the cache.  Its first
 * request is computed whole; each further one goes back to the last token of the context and
 * overwrites what its predecessor stored behind it.  Groups advance side by side, pass by pass, and
 * share what their contexts begin with (prefix_internal.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/engine_internal.h"
#include "infer/prefix_internal.h"

/* A request as it is computed: context as cut, then the continuation. */
typedef struct mg_scored {
    const int32_t *context;
    int64_t context_count;
    const int32_t *continuation;
    int64_t continuation_count;
    int64_t index; /* of the request */
    int64_t group; /* of equal contexts */
    bool reported;
} mg_scored;

/* What a slot works on. */
typedef struct mg_scoring {
    int64_t at;       /* in the sorted list; -1 = the slot is free */
    int64_t computed; /* input tokens of it that are done */
    double logprob;
    bool is_greedy;
    bool failed;
    float *token_logprobs;
} mg_scoring;

typedef struct mg_scorer {
    mg_engine *engine;
    mg_scored *list; /* sorted: equal contexts lie together */
    int64_t count;
    mg_score_done *done;
    void *context;
    mg_scoring *slots;
    int64_t slot_count;
    int64_t live;
    int64_t next;
    mg_held *held;       /* slot_count: what is in the cache of each context */
    float *logprobs;     /* memory of the slots */
    int32_t *joined;     /* a stretch of tokens across context and continuation */
    int64_t *row_slots;  /* for each logit row of a pass */
    int64_t *row_tokens; /* and its place in the continuation */
} mg_scorer;

static int compare_scored(const void *left, const void *right)
{
    const mg_scored *a = (const mg_scored *)left;
    const mg_scored *b = (const mg_scored *)right;
    int order = mg_ids_compare(a->context, a->context_count, b->context, b->context_count);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* Tokens that go through the model: all but the last. */
static int64_t input_count(const mg_scored *item)
{
    return item->context_count + item->continuation_count - 1;
}

static mg_status check_ids(const mg_engine *engine, const int32_t *ids, int64_t count,
                           int64_t index, mg_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= engine->vocab) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "request %lld: token id %d is outside the model's %lld",
                           (long long)index, ids[i], (long long)engine->vocab);
        }
    }
    return MG_OK;
}

/* Cuts contexts, sorts, and finds the longest input. */
static mg_status plan(mg_scorer *scorer, const mg_score_request *requests, int64_t *positions_out,
                      mg_error *err)
{
    int64_t limit = scorer->engine->positions_max;
    int64_t longest = 1;
    for (int64_t i = 0; i < scorer->count; i++) {
        const mg_score_request *request = &requests[i];
        MG_ASSERT(request->context_count > 0 && request->continuation_count >= 0);
        MG_TRY(check_ids(scorer->engine, request->context, request->context_count, i, err));
        MG_TRY(
            check_ids(scorer->engine, request->continuation, request->continuation_count, i, err));
        if (request->continuation_count > limit) {
            return mg_fail(err, MG_ERR_LIMIT,
                           "request %lld: a continuation of %lld tokens is longer than %lld",
                           (long long)i, (long long)request->continuation_count, (long long)limit);
        }
        int64_t keep = MG_MIN(limit + 1 - request->continuation_count, request->context_count);
        int64_t cut = request->context_count - keep;
        mg_scored item = { request->context + cut,
                           keep,
                           request->continuation,
                           request->continuation_count,
                           i,
                           0,
                           false };
        scorer->list[i] = item;
        longest = MG_MAX(longest, input_count(&item));
    }
    qsort(scorer->list, (size_t)scorer->count, sizeof(mg_scored), compare_scored);
    for (int64_t i = 1; i < scorer->count; i++) {
        const mg_scored *last = &scorer->list[i - 1];
        mg_scored *item = &scorer->list[i];
        bool same = mg_ids_compare(last->context, last->context_count, item->context,
                                   item->context_count) == 0;
        item->group = last->group + (same ? 0 : 1);
    }
    *positions_out = longest;
    return MG_OK;
}

static void begin_item(mg_scoring *slot, int64_t at, int64_t computed)
{
    slot->at = at;
    slot->computed = computed;
    slot->logprob = 0.0;
    slot->is_greedy = true;
    slot->failed = false;
}

static mg_status report(mg_scorer *scorer, const mg_scoring *slot, mg_error *err)
{
    mg_score result;
    mg_scored *item = &scorer->list[slot->at];
    item->reported = true;
    result.logprob = slot->failed ? (double)NAN : slot->logprob;
    result.token_logprobs = slot->token_logprobs;
    result.is_greedy = slot->is_greedy && !slot->failed;
    result.failed = slot->failed;
    if (!scorer->done(scorer->context, item->index, &result)) {
        return mg_fail(err, MG_ERR_INTERRUPTED, "scoring was cancelled");
    }
    return MG_OK;
}

/* Moves a slot on while its item is complete: to the next of its group, or to freedom. */
static mg_status advance(mg_scorer *scorer, mg_scoring *slot, mg_error *err)
{
    while (slot->at >= 0) {
        const mg_scored *item = &scorer->list[slot->at];
        if (item->continuation_count > 0 && slot->computed < input_count(item)) {
            return MG_OK;
        }
        MG_TRY(report(scorer, slot, err));
        int64_t at = slot->at + 1;
        while (at < scorer->count && scorer->list[at].group == item->group &&
               scorer->list[at].reported) {
            at++;
        }
        if (at == scorer->count || scorer->list[at].group != item->group) {
            slot->at = -1;
            scorer->live--;
            return MG_OK;
        }
        /* Keys that depend on the length of the text are of no use to another text. */
        bool reuse = !mg_model_rope_depends_on_length(scorer->engine->model);
        begin_item(slot, at, reuse ? MG_MIN(slot->computed, item->context_count - 1) : 0);
    }
    return MG_OK;
}

/* Puts the next group into a slot. */
static mg_status admit(mg_scorer *scorer, int64_t index, mg_error *err)
{
    int64_t first = scorer->next;
    while (scorer->next < scorer->count &&
           scorer->list[first].group == scorer->list[scorer->next].group) {
        scorer->next++;
    }
    mg_scoring *slot = &scorer->slots[index];
    begin_item(slot, first, 0);
    scorer->live++;
    MG_TRY(advance(scorer, slot, err)); /* past empty continuations */
    if (slot->at < 0) {
        return MG_OK;
    }
    const mg_scored *item = &scorer->list[slot->at];
    return mg_prefix_begin(scorer->engine, scorer->held, scorer->slot_count, index, item->context,
                           item->context_count, true, err);
}

static int32_t token_at(const mg_scored *item, int64_t position)
{
    return position < item->context_count ? item->context[position]
                                          : item->continuation[position - item->context_count];
}

/* Adds as much of the slot's item to the pass as there is room for. */
static void collect(mg_scorer *scorer, int64_t index)
{
    mg_batch *batch = &scorer->engine->batch;
    mg_scoring *slot = &scorer->slots[index];
    mg_held *held = &scorer->held[index];
    if (slot->at < 0 || held->source >= 0) {
        return;
    }
    const mg_scored *item = &scorer->list[slot->at];
    if (slot->computed == 0 && !mg_model_rope_depends_on_length(scorer->engine->model)) {
        slot->computed = MG_MIN(held->computed, item->context_count - 1); /* of other texts */
    }
    int64_t first = slot->computed;
    int64_t scored_from = item->context_count - 1; /* the first position whose logits count */
    int64_t take = MG_MIN(input_count(item) - first, batch->token_cap - batch->token_count);
    int64_t rows_room = batch->logit_cap - batch->logit_count;
    take = MG_MIN(take, MG_MAX(scored_from - first, 0) + rows_room);
    if (take <= 0) {
        return;
    }
    for (int64_t i = 0; i < take; i++) {
        scorer->joined[i] = token_at(item, first + i);
    }
    mg_batch_add(batch, index, scorer->joined, first, take, input_count(item));
    for (int64_t i = MG_MAX(scored_from - first, 0); i < take; i++) {
        int64_t token = first + i - scored_from;
        scorer->row_slots[batch->logit_count] = index;
        scorer->row_tokens[batch->logit_count] = token;
        mg_batch_want(batch, take - 1 - i, item->continuation[token]);
    }
    slot->computed += take;
    held->computed = MG_MAX(held->computed, MG_MIN(slot->computed, item->context_count));
}

static void take_row(mg_scorer *scorer, int64_t row)
{
    const mg_engine *engine = scorer->engine;
    mg_scoring *slot = &scorer->slots[scorer->row_slots[row]];
    float logprob = engine->host_logprobs[row];
    slot->token_logprobs[scorer->row_tokens[row]] = logprob;
    slot->logprob += (double)logprob;
    slot->is_greedy = slot->is_greedy && engine->host_picked[row] == engine->batch.targets[row];
    slot->failed = slot->failed || engine->host_picked[row] < 0 || !isfinite(logprob);
}

/* The last token of a group's context went through the pass as logit row `row`: requests of that
 * group that want one token have all they need. */
static mg_status read_single_tokens(mg_scorer *scorer, int64_t row, mg_error *err)
{
    mg_engine *engine = scorer->engine;
    const mg_scoring *slot = &scorer->slots[scorer->row_slots[row]];
    const mg_scored *first = &scorer->list[slot->at];
    bool is_first = slot->at == 0 || first[-1].group != first->group;
    if (!is_first ||
        (mg_model_rope_depends_on_length(engine->model) && first->continuation_count > 1)) {
        return MG_OK;
    }
    for (int64_t at = slot->at + 1; at < scorer->count && scorer->list[at].group == first->group;
         at++) {
        const mg_scored *item = &scorer->list[at];
        if (item->continuation_count != 1) {
            continue;
        }
        float logprob = 0.0f;
        mg_logprob_args args = { engine->logprobs, engine->logits + row * engine->vocab,
                                 engine->targets, 1, engine->vocab };
        MG_TRY(engine->device->upload(engine->stream, engine->targets, item->continuation,
                                      sizeof(int32_t), err));
        MG_TRY(engine->ops->logprob(engine->stream, &args, err));
        MG_TRY(engine->device->download(engine->stream, &logprob, engine->logprobs, sizeof(float),
                                        err));
        bool failed = engine->host_picked[row] < 0 || !isfinite(logprob);
        mg_scoring single = {
            at,     0,       (double)logprob, engine->host_picked[row] == item->continuation[0],
            failed, &logprob
        };
        MG_TRY(report(scorer, &single, err));
    }
    return MG_OK;
}

static mg_status run(mg_scorer *scorer, mg_error *err)
{
    mg_engine *engine = scorer->engine;
    while (scorer->next < scorer->count || scorer->live > 0) {
        MG_TRY(mg_prefix_settle(engine, scorer->held, scorer->slot_count, err));
        for (int64_t i = 0; i < scorer->slot_count && scorer->next < scorer->count; i++) {
            if (scorer->slots[i].at < 0) {
                MG_TRY(admit(scorer, i, err));
            }
        }
        if (scorer->live == 0) {
            continue;
        }
        mg_batch_clear(&engine->batch);
        for (int64_t i = 0; i < scorer->slot_count; i++) {
            collect(scorer, i);
        }
        MG_TRY(mg_engine_pass(engine, true, 0, err));
        for (int64_t row = 0; row < engine->batch.logit_count; row++) {
            take_row(scorer, row);
        }
        for (int64_t row = 0; row < engine->batch.logit_count; row++) {
            if (scorer->row_tokens[row] == 0) {
                MG_TRY(read_single_tokens(scorer, row, err));
            }
        }
        for (int64_t i = 0; i < scorer->slot_count; i++) {
            MG_TRY(advance(scorer, &scorer->slots[i], err));
        }
    }
    return MG_OK;
}

static int64_t group_count(const mg_scorer *scorer)
{
    return scorer->count > 0 ? scorer->list[scorer->count - 1].group + 1 : 0;
}

mg_status mg_engine_score(mg_engine *engine, const mg_score_request *requests, int64_t count,
                          mg_score_done *done, void *context, mg_error *err)
{
    mg_status status = MG_OK;
    int64_t positions = 0;
    mg_scorer scorer = { 0 };
    scorer.engine = engine;
    scorer.count = count;
    scorer.done = done;
    scorer.context = context;
    scorer.list = mg_new_array(mg_scored, count);
    MG_TRY_OR_DONE(plan(&scorer, requests, &positions, err));
    MG_TRY_OR_DONE(
        mg_engine_reserve(engine, group_count(&scorer), positions, &scorer.slot_count, err));
    /* Lengths are known: as many run together as fit whole. */
    int64_t block = MG_MAX(mg_kv_block_tokens(engine->model), (int64_t)1);
    int64_t whole = (positions + block - 1) / block * block;
    scorer.slot_count = MG_MIN(scorer.slot_count, mg_kv_cache_tokens(engine->cache) / whole);
    scorer.slots = mg_new_array(mg_scoring, scorer.slot_count);
    scorer.held = mg_new_array(mg_held, scorer.slot_count);
    scorer.logprobs = mg_new_array(float, scorer.slot_count *(positions + 1));
    scorer.joined = mg_new_array(int32_t, engine->batch.token_cap);
    scorer.row_slots = mg_new_array(int64_t, engine->batch.logit_cap);
    scorer.row_tokens = mg_new_array(int64_t, engine->batch.logit_cap);
    for (int64_t i = 0; i < scorer.slot_count; i++) {
        scorer.slots[i].at = -1;
        scorer.held[i].source = -1;
        scorer.slots[i].token_logprobs = scorer.logprobs + i * (positions + 1);
    }
    MG_TRY_OR_DONE(run(&scorer, err));

done:
    mg_free(scorer.list);
    mg_free(scorer.slots);
    mg_free(scorer.held);
    mg_free(scorer.logprobs);
    mg_free(scorer.joined);
    mg_free(scorer.row_slots);
    mg_free(scorer.row_tokens);
    return status;
}
