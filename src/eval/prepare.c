/* eval/prepare.c - prompts and continuations as token ids, once for a task and a tokenizer
 * (tasks.md 10).
 *
 * A pair is encoded as the harness does: white space at the end of the context moves to the front
 * of the continuation, the whole and the context are encoded, and what the whole has more is the
 * continuation. */
#include "base/log.h"
#include "base/memory.h"
#include "eval/prompt.h"
#include "eval/runner_internal.h"
#include "text/utf8.h"

#include <inttypes.h>

typedef struct preparer {
    mg_prepared_task *prepared;
    const mg_task *task;
    mg_buf prefix;
    mg_str prefix_text; /* the decoded prefix token: a text that starts with it gets no other */
    mg_buf prompt;
    mg_buf whole;
    mg_ids context;
    mg_ids both;
} preparer;

void mg_prepared_task_destroy(mg_prepared_task *prepared)
{
    if (prepared != NULL) {
        mg_ids_release(&prepared->ids);
        mg_free(prepared->requests);
        mg_free(prepared->first);
        mg_arena_release(&prepared->arena);
        mg_free(prepared);
    }
}

bool mg_prepared_task_uses_chat(const mg_prepared_task *prepared)
{
    return prepared->chat;
}

static void add_ids(mg_ids *to, const int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        mg_ids_add(to, ids[i]);
    }
}

static void add_request(mg_prepared_task *prepared, const int32_t *context, int64_t context_count,
                        const int32_t *continuation, int64_t continuation_count)
{
    if (prepared->request_count == prepared->request_cap) {
        prepared->request_cap = prepared->request_cap > 0 ? prepared->request_cap * 2 : 256;
        prepared->requests = mg_memory_resize(prepared->requests, prepared->request_cap,
                                              sizeof(mg_prepared_request));
    }
    prepared->requests[prepared->request_count++] =
        (mg_prepared_request){ prepared->ids.count, context_count, continuation_count };
    add_ids(&prepared->ids, context, context_count);
    add_ids(&prepared->ids, continuation, continuation_count);
}

static mg_status encode(const preparer *p, mg_str text, mg_ids *ids, mg_error *err)
{
    bool special = p->prefix_text.size == 0 || text.size < p->prefix_text.size ||
                   !mg_str_equal(mg_str_slice(text, 0, p->prefix_text.size), p->prefix_text);
    ids->count = 0;
    return mg_tokenizer_encode(p->prepared->tokenizer, text, special, ids, err);
}

/* A context without text is the prefix token, unless the continuation itself starts with it. */
static mg_status add_without_context(preparer *p, mg_str continuation, mg_error *err)
{
    int32_t prefix = mg_tokenizer_prefix(p->prepared->tokenizer);
    p->both.count = 0;
    MG_TRY(mg_tokenizer_encode(p->prepared->tokenizer, continuation, false, &p->both, err));
    if (p->both.count > 1 && p->both.data[0] == prefix) {
        add_request(p->prepared, p->both.data, 1, p->both.data + 1, p->both.count - 1);
        return MG_OK;
    }
    if (prefix < 0) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "an empty prompt, and the tokenizer has neither BOS nor EOS to start with");
    }
    add_request(p->prepared, &prefix, 1, p->both.data, p->both.count);
    return MG_OK;
}

/* The last max_length + 1 tokens of context and continuation; the continuation is never cut. */
static mg_status add_cut(preparer *p, int64_t context_count, mg_error *err)
{
    int64_t continuation_count = p->both.count - MG_MIN(context_count, p->both.count);
    int64_t most = p->prepared->max_length + 1;
    if (continuation_count >= most || continuation_count == 0) {
        return mg_fail(err, MG_ERR_LIMIT,
                       "a continuation of %" PRId64 " tokens; the model takes 1 to %" PRId64,
                       continuation_count, p->prepared->max_length);
    }
    int64_t kept = MG_MIN(context_count, most - continuation_count);
    const int32_t *context = p->context.data + (context_count - kept);
    add_request(p->prepared, context, kept, p->both.data + context_count, continuation_count);
    return MG_OK;
}

/* One context and its continuation; the context stands in p->prompt. */
static mg_status add_pair(preparer *p, mg_str context, mg_str delimiter, mg_str continuation,
                          mg_error *err)
{
    mg_buf_clear(&p->whole);
    if (context.size == 0) {
        mg_buf_add(&p->whole, delimiter);
        mg_buf_add(&p->whole, continuation);
        return add_without_context(p, mg_buf_view(&p->whole), err);
    }
    mg_buf_add(&p->whole, context);
    mg_buf_add(&p->whole, delimiter);
    mg_buf_add(&p->whole, continuation);
    mg_str bare = mg_unicode_trim(context, false, true);
    MG_TRY(encode(p, mg_buf_view(&p->whole), &p->both, err));
    MG_TRY(encode(p, bare, &p->context, err));
    if (p->context.count == 0) { /* white space alone, and a tokenizer without BOS */
        return add_without_context(p, mg_buf_view(&p->whole), err);
    }
    return add_cut(p, p->context.count, err);
}

static mg_status prepare_choices(preparer *p, int64_t item, mg_error *err)
{
    const mg_task *task = p->task;
    const mg_row_text *row = &task->rows[item];
    mg_str delimiter = mg_prompt_choice_delimiter(task, p->prepared->chat);
    int64_t count = row->choices.count;
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || task->multiple_input > 0) {
            mg_buf_clear(&p->prompt);
            MG_TRY(mg_prompt_render(task, p->prepared->tokenizer, p->prepared->chat, item,
                                    task->multiple_input > 0 ? i : -1, &p->prompt, err));
        }
        const mg_value *text = task->multiple_input > 0 ? &row->target : &row->choices.items[i];
        MG_TRY(add_pair(p, mg_buf_view(&p->prompt), delimiter,
                        mg_prompt_text(&p->prepared->arena, text), err));
    }
    for (int64_t i = 0; task->uses_mutual_info && i < count; i++) {
        MG_TRY(add_pair(p, mg_str_make("", 0), delimiter, row->choices.items[i].string, err));
    }
    return MG_OK;
}

/* Windows over a whole text: the first from the prefix token, each next one with as much context as
 * fits, cut to what the continuation leaves room for. */
static mg_status prepare_rolling(preparer *p, int64_t item, mg_error *err)
{
    mg_str text = mg_prompt_text(&p->prepared->arena, &p->task->rows[item].target);
    int32_t prefix = mg_tokenizer_prefix(p->prepared->tokenizer);
    int64_t most = p->prepared->max_length;
    MG_TRY(encode(p, text, &p->both, err));
    if (prefix < 0) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "the tokenizer has neither BOS nor EOS to start a text with");
    }
    const int32_t *ids = p->both.data;
    int64_t done = MG_MIN(most, p->both.count);
    if (done > 0) {
        add_request(p->prepared, &prefix, 1, ids, done);
    }
    while (done < p->both.count) {
        int64_t count = MG_MIN(p->both.count - done, most);
        int64_t end = done + count;
        int64_t begin = MG_MAX(end - most - 1, 0);
        add_request(p->prepared, ids + begin, end - count - begin, ids + done, count);
        done = end;
    }
    return MG_OK;
}

static mg_status prepare_generation(preparer *p, int64_t item, mg_error *err)
{
    mg_prepared_task *prepared = p->prepared;
    int64_t room = prepared->max_length - p->task->max_new_tokens;
    mg_buf_clear(&p->prompt);
    MG_TRY(
        mg_prompt_render(p->task, prepared->tokenizer, prepared->chat, item, -1, &p->prompt, err));
    MG_TRY(encode(p, mg_buf_view(&p->prompt), &p->context, err));
    if (room < 1) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "%" PRId64
                       " new tokens leave no room for a prompt: the model takes %" PRId64,
                       p->task->max_new_tokens, prepared->max_length);
    }
    if (p->context.count == 0) {
        return mg_fail(err, MG_ERR_CONFIG, "an empty prompt, which gives no tokens");
    }
    int64_t kept = MG_MIN(p->context.count, room);
    add_request(prepared, p->context.data + (p->context.count - kept), kept, NULL, 0);
    return MG_OK;
}

static mg_status prepare_item(preparer *p, int64_t item, mg_error *err)
{
    mg_status status;
    switch (p->task->output_type) {
    case MG_MULTIPLE_CHOICE:
        status = prepare_choices(p, item, err);
        break;
    case MG_LOGLIKELIHOOD:
        mg_buf_clear(&p->prompt);
        status = mg_prompt_render(p->task, p->prepared->tokenizer, p->prepared->chat, item, -1,
                                  &p->prompt, err);
        if (status == MG_OK) {
            mg_str target = mg_prompt_text(&p->prepared->arena, &p->task->rows[item].target);
            status = add_pair(p, mg_buf_view(&p->prompt), mg_str_make("", 0), target, err);
        }
        break;
    case MG_LOGLIKELIHOOD_ROLLING:
        status = prepare_rolling(p, item, err);
        break;
    default:
        status = prepare_generation(p, item, err);
        break;
    }
    if (status != MG_OK) {
        mg_error_prefix(err, "task '%.*s': row %" PRId64, MG_STR_ARG(p->task->name), item);
    }
    return status;
}

/* What doc_to_target gives, of several the first; empty = none. */
static mg_str reference_of(preparer *p, int64_t item)
{
    const mg_value *target = &p->task->rows[item].target;
    if (target->kind == MG_LIST && target->count > 0) {
        target = &target->items[0];
    }
    return mg_prompt_text(&p->prepared->arena, target);
}

static mg_status prepare_reference(preparer *p, int64_t item, mg_error *err)
{
    mg_prepared_task *prepared = p->prepared;
    mg_str reference = reference_of(p, item);
    mg_buf_clear(&p->prompt);
    MG_TRY(
        mg_prompt_render(p->task, prepared->tokenizer, prepared->chat, item, -1, &p->prompt, err));
    if (reference.size == 0) {
        return mg_fail(err, MG_ERR_CONFIG, "task '%.*s': row %" PRId64 " has no doc_to_target",
                       MG_STR_ARG(p->task->name), item);
    }
    return add_pair(p, mg_buf_view(&p->prompt), mg_prompt_choice_delimiter(p->task, prepared->chat),
                    reference, err);
}

/* The stop strings: the task's, then the text of the EOS token. */
static void prepare_stops(mg_prepared_task *prepared)
{
    const mg_value *until = mg_value_get(&prepared->task->generation, "until");
    mg_buf eos = { 0 };
    int32_t id = mg_tokenizer_eos(prepared->tokenizer);
    int64_t count = until->kind == MG_LIST ? until->count : until->kind == MG_STRING ? 1 : 0;
    prepared->stops = mg_arena_array(&prepared->arena, mg_str, count + 1);
    for (int64_t i = 0; i < count; i++) {
        mg_str stop = until->kind == MG_LIST ? until->items[i].string : until->string;
        if (stop.size > 0) {
            prepared->stops[prepared->stop_count++] = stop;
        }
    }
    if (id >= 0) {
        mg_tokenizer_decode(prepared->tokenizer, &id, 1, false, &eos);
    }
    if (eos.size > 0) {
        prepared->stops[prepared->stop_count++] =
            mg_arena_copy(&prepared->arena, mg_buf_view(&eos));
    }
    mg_buf_release(&eos);
}

static double number_option(const mg_value *options, const char *key, double fallback)
{
    const mg_value *value = mg_value_get(options, key);
    double number = fallback;
    if (value != NULL && value->kind == MG_STRING) {
        (void)mg_str_to_double(value->string, &number); /* YAML reads 1e-5 as a text */
    } else if (!mg_value_is_null(value)) {
        (void)mg_value_to_double(value, &number);
    }
    return number;
}

/* Sampling without do_sample happens when there is a temperature; do_sample: false forbids it. */
static void prepare_sampling(mg_prepared_task *prepared)
{
    const mg_value *options = &prepared->task->generation;
    const mg_value *sample = mg_value_get(options, "do_sample");
    bool says = sample != NULL && sample->kind == MG_BOOL;
    double temperature = number_option(options, "temperature", says && sample->boolean ? 1.0 : 0.0);
    if ((says && !sample->boolean) || temperature <= 0) {
        temperature = 0;
    }
    prepared->sampling.temperature = temperature;
    prepared->sampling.repetition_penalty = number_option(options, "repetition_penalty", 0);
    if (temperature > 0) {
        prepared->sampling.top_p = number_option(options, "top_p", 0);
        prepared->sampling.min_p = number_option(options, "min_p", 0);
        prepared->sampling.top_k = (int64_t)number_option(options, "top_k", 0);
        prepared->sampling.seed = (uint64_t)number_option(options, "seed", 0);
    }
}

static void preparer_init(preparer *p, mg_prepared_task *prepared)
{
    *p = (preparer){ .prepared = prepared, .task = prepared->task };
    int32_t id = mg_tokenizer_prefix(prepared->tokenizer);
    if (id >= 0) {
        mg_tokenizer_decode(prepared->tokenizer, &id, 1, false, &p->prefix);
    }
    p->prefix_text = mg_buf_view(&p->prefix);
}

static void preparer_release(preparer *p)
{
    mg_buf_release(&p->prefix);
    mg_buf_release(&p->prompt);
    mg_buf_release(&p->whole);
    mg_ids_release(&p->context);
    mg_ids_release(&p->both);
}

mg_status mg_prepare_task(const mg_task *task, const mg_tokenizer *tokenizer, int64_t max_length,
                          mg_prepared_task **prepared_out, mg_error *err)
{
    *prepared_out = NULL;
    mg_status status = MG_OK;
    mg_prepared_task *prepared = mg_new(mg_prepared_task);
    preparer p;
    prepared->task = task;
    prepared->tokenizer = tokenizer;
    prepared->max_length = max_length;
    prepared->chat = task->apply_chat_template && mg_tokenizer_has_chat_template(tokenizer);
    if (task->apply_chat_template && !prepared->chat &&
        __atomic_exchange_n(task->chat_noted, 1, __ATOMIC_RELAXED) == 0) {
        mg_note("task '%.*s': the model has no chat template, so prompts are plain text",
                MG_STR_ARG(task->name));
    }
    preparer_init(&p, prepared);
    if (task->output_type == MG_GENERATE_UNTIL) {
        prepare_stops(prepared);
        prepare_sampling(prepared);
    }
    prepared->first = mg_new_array(int64_t, task->item_count + 1);
    for (int64_t i = 0; i < task->item_count; i++) {
        prepared->first[i] = prepared->request_count;
        MG_TRY_OR_DONE(prepare_item(&p, i, err));
    }
    prepared->first[task->item_count] = prepared->request_count;
    *prepared_out = prepared;
    prepared = NULL;

done:
    mg_prepared_task_destroy(prepared);
    preparer_release(&p);
    return status;
}

mg_status mg_prepare_references(mg_prepared_task *prepared, mg_error *err)
{
    MG_ASSERT(prepared->task->output_type == MG_GENERATE_UNTIL);
    if (prepared->has_references) {
        return MG_OK;
    }
    preparer p;
    mg_status status = MG_OK;
    preparer_init(&p, prepared);
    prepared->request_count = prepared->first[prepared->task->item_count];
    for (int64_t i = 0; i < prepared->task->item_count; i++) {
        MG_TRY_OR_DONE(prepare_reference(&p, i, err));
    }
    prepared->has_references = true;

done:
    preparer_release(&p);
    return status;
}

void mg_prepared_reference(const mg_prepared_task *prepared, int64_t item,
                           mg_score_request *request_out)
{
    MG_ASSERT(prepared->has_references && item >= 0 && item < prepared->task->item_count);
    const mg_prepared_request *at =
        &prepared->requests[prepared->first[prepared->task->item_count] + item];
    const int32_t *ids = prepared->ids.data + at->offset;
    *request_out = (mg_score_request){ ids, at->context_count, ids + at->context_count,
                                       at->continuation_count };
}

int64_t mg_prepared_task_request_count(const mg_prepared_task *prepared, int64_t item)
{
    MG_ASSERT(item >= 0 && item < prepared->task->item_count);
    return prepared->first[item + 1] - prepared->first[item];
}

void mg_prepared_task_request(const mg_prepared_task *prepared, int64_t item, int64_t request,
                              mg_score_request *request_out)
{
    MG_ASSERT(request >= 0 && request < mg_prepared_task_request_count(prepared, item));
    const mg_prepared_request *at = &prepared->requests[prepared->first[item] + request];
    const int32_t *ids = prepared->ids.data + at->offset;
    *request_out = (mg_score_request){ ids, at->context_count, ids + at->context_count,
                                       at->continuation_count };
}

static mg_value pair_of(mg_arena *arena, mg_str context, const mg_value *second)
{
    mg_value pair = mg_value_of_list(arena, 2);
    pair.items[0] = mg_value_of_str(arena, context);
    pair.items[1] = *second;
    return pair;
}

mg_status mg_prepared_task_arguments(const mg_prepared_task *prepared, int64_t item,
                                     mg_arena *arena, mg_value *arguments_out, mg_error *err)
{
    const mg_task *task = prepared->task;
    const mg_row_text *row = &task->rows[item];
    mg_status status = MG_OK;
    mg_buf prompt = { 0 };
    mg_value second;
    if (task->output_type == MG_LOGLIKELIHOOD_ROLLING) {
        *arguments_out = mg_value_of_list(arena, 1);
        arguments_out->items[0] = mg_value_of_list(arena, 1);
        arguments_out->items[0].items[0] =
            mg_value_of_str(arena, mg_prompt_text(arena, &row->target));
        return MG_OK;
    }
    bool chooses = task->output_type == MG_MULTIPLE_CHOICE;
    int64_t count = chooses ? row->choices.count : 1;
    *arguments_out = mg_value_of_list(arena, task->uses_mutual_info ? 2 * count : count);
    mg_str delimiter = mg_prompt_choice_delimiter(task, prepared->chat);
    for (int64_t i = 0; i < count; i++) {
        mg_buf_clear(&prompt);
        MG_TRY_OR_DONE(mg_prompt_render(task, prepared->tokenizer, prepared->chat, item,
                                        task->multiple_input > 0 ? i : -1, &prompt, err));
        if (task->output_type == MG_GENERATE_UNTIL) {
            second = task->generation;
        } else if (!chooses) {
            second = mg_value_of_str(arena, mg_prompt_text(arena, &row->target));
        } else {
            mg_str text = mg_prompt_text(arena, task->multiple_input > 0 ? &row->target
                                                                         : &row->choices.items[i]);
            mg_str whole =
                mg_arena_printf(arena, "%.*s%.*s", MG_STR_ARG(delimiter), MG_STR_ARG(text));
            second = mg_value_of_str(arena, whole);
        }
        arguments_out->items[i] = pair_of(arena, mg_buf_view(&prompt), &second);
    }
    for (int64_t i = 0; task->uses_mutual_info && i < count; i++) {
        mg_str whole = mg_arena_printf(arena, "%.*s%.*s", MG_STR_ARG(delimiter),
                                       MG_STR_ARG(row->choices.items[i].string));
        second = mg_value_of_str(arena, whole);
        arguments_out->items[count + i] = pair_of(arena, mg_str_make("", 0), &second);
    }

done:
    mg_buf_release(&prompt);
    return status;
}
