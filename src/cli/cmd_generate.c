/* cli/cmd_generate.c - lets a model answer: one prompt, streamed, or a file of requests. */
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/running.h"
#include "text/json.h"
#include "tokenizer/chat.h"

#define MG_NEW_TOKENS_MAX 16777216

static const mg_option options[] = {
    { "prompt", 'p', NULL, MG_OPTION_TEXT, "TEXT", NULL, NULL, "A text to continue.", NULL },
    { "chat", 0, NULL, MG_OPTION_TEXT, "TEXT", NULL, NULL,
      "A message to answer, through the model's chat template.", NULL },
    { "requests", 0, NULL, MG_OPTION_TEXT, "FILE", NULL, NULL,
      "JSON lines, each with ids, prompt or messages (- for standard input).", NULL },
    { "max-new-tokens", 'n', NULL, MG_OPTION_INT, "N", "256", NULL, "Tokens of an answer at most.",
      NULL },
    { "stop", 0, "until", MG_OPTION_TEXTS, "TEXT", NULL, NULL,
      "Text that ends an answer; may be repeated.", NULL },
    { "ignore-eos", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Go on behind the token that ends a text.", NULL },
    { "temperature", 't', NULL, MG_OPTION_NUMBER, "X", "0", NULL,
      "Draw tokens at this temperature; 0 takes the likeliest.", NULL },
    { "top-k", 0, NULL, MG_OPTION_INT, "N", "0", NULL, "Draw among the N likeliest; 0 = all.",
      NULL },
    { "top-p", 0, NULL, MG_OPTION_NUMBER, "X", "1", NULL,
      "Draw among the likeliest that together have this probability.", NULL },
    { "min-p", 0, NULL, MG_OPTION_NUMBER, "X", "0", NULL,
      "Draw among tokens of at least this share of the likeliest one's probability.", NULL },
    { "repetition-penalty", 0, NULL, MG_OPTION_NUMBER, "X", NULL, NULL,
      "Penalty on tokens that occurred; 1 = none (default: the model's own).", NULL },
    { "ignore-generation-config", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Leave aside what generation_config.json says of penalties and banned tokens.", NULL },
    { "max-length", 0, NULL, MG_OPTION_INT, "N", "0", NULL,
      "Tokens of prompt and answer together at most; 0 = what the model was made for.", NULL },
    { "batch-size", 'b', NULL, MG_OPTION_INT, "N", "0", NULL,
      "Requests answered together; 0 = as many as pay.", NULL },
    { "stats", 0, NULL, MG_OPTION_TEXT, "FILE", NULL, NULL,
      "Write tokens, seconds and memory as JSON.", NULL },
};

typedef struct generate_job {
    mg_cli *cli;
    const mg_args *args;
    mg_running running;
    mg_arena arena;
    mg_sampling sampling;
    int64_t max_new_tokens;
    mg_str *stops;
    int64_t stop_count;
    mg_request_list list;
    mg_generate_request *requests; /* of list */
    bool streamed;
    int64_t failed_at; /* token at which a single answer failed; -1 = it did not */
} generate_job;

static mg_status read_sampling(generate_job *job, mg_error *err)
{
    const mg_args *args = job->args;
    mg_sampling *sampling = &job->sampling;
    sampling->temperature = mg_args_number(args, "temperature");
    sampling->top_k = mg_args_int(args, "top-k");
    sampling->top_p = mg_args_number(args, "top-p");
    sampling->min_p = mg_args_number(args, "min-p");
    sampling->seed = mg_cli_seed(job->cli);
    bool penalised = mg_args_given(args, "repetition-penalty");
    sampling->repetition_penalty = penalised ? mg_args_number(args, "repetition-penalty") : 0.0;
    sampling->ignores_rules = mg_args_flag(args, "ignore-generation-config");
    job->max_new_tokens = mg_args_int(args, "max-new-tokens");
    if (!(sampling->temperature >= 0.0) || sampling->top_k < 0 ||
        !(sampling->top_p > 0.0 && sampling->top_p <= 1.0) ||
        !(sampling->min_p >= 0.0 && sampling->min_p <= 1.0) ||
        (penalised && !(sampling->repetition_penalty > 0.0))) {
        return mg_fail(err, MG_ERR_USAGE,
                       "expected --temperature 0 or above, --top-k 0 or above, --top-p above 0 and "
                       "at most 1, --min-p from 0 to 1, --repetition-penalty above 0");
    }
    if (job->max_new_tokens < 1 || job->max_new_tokens > MG_NEW_TOKENS_MAX) {
        return mg_fail(err, MG_ERR_USAGE, "--max-new-tokens is %lld, expected 1 to %d",
                       (long long)job->max_new_tokens, MG_NEW_TOKENS_MAX);
    }
    if (mg_args_int(args, "batch-size") < 0 || mg_args_int(args, "max-length") < 0) {
        return mg_fail(err, MG_ERR_USAGE, "--batch-size and --max-length must be 0 or more");
    }
    job->stop_count = mg_args_text_count(args, "stop");
    job->stops = mg_arena_array(&job->arena, mg_str, job->stop_count);
    for (int64_t i = 0; i < job->stop_count; i++) {
        job->stops[i] = mg_str_of(mg_args_text_at(args, "stop", i));
    }
    return MG_OK;
}

static mg_status encode_messages(generate_job *job, const mg_value *request,
                                 const mg_value *messages, mg_ids *ids, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf text = { NULL, 0, 0 };
    mg_chat_args chat = { 0 };
    chat.messages = messages;
    chat.add_generation_prompt = true;
    chat.tools = mg_value_get(request, "tools");
    chat.template_args = mg_value_get(request, "template_args");
    chat.now = (int64_t)time(NULL);
    MG_TRY_OR_DONE(mg_chat_render(job->running.tokenizer, &chat, &text, err));
    MG_TRY_OR_DONE(
        mg_tokenizer_encode(job->running.tokenizer, mg_buf_view(&text), false, ids, err));

done:
    mg_buf_release(&text);
    return status;
}

/* The prompt's ids: given, or from text, or from messages. */
static mg_status read_prompt(generate_job *job, const mg_value *value, mg_ids *ids, mg_error *err)
{
    const mg_value *given = mg_value_get(value, "ids");
    const mg_value *prompt = mg_value_get(value, "prompt");
    const mg_value *messages = mg_value_get(value, "messages");
    if ((given != NULL) + (prompt != NULL) + (messages != NULL) != 1) {
        return mg_fail(err, MG_ERR_FORMAT, "expected one of 'ids', 'prompt', 'messages'");
    }
    if (given != NULL) {
        MG_TRY(mg_ids_of_value(given, "ids", mg_model_vocab(job->running.model), ids, err));
    } else if (messages != NULL) {
        MG_TRY(encode_messages(job, value, messages, ids, err));
    } else if (prompt->kind != MG_STRING) {
        return mg_fail(err, MG_ERR_FORMAT, "'prompt' must be a text");
    } else {
        MG_TRY(mg_tokenizer_encode(job->running.tokenizer, prompt->string, true, ids, err));
    }
    if (ids->count == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "the prompt has no tokens");
    }
    return MG_OK;
}

static mg_status read_until(generate_job *job, const mg_value *until, mg_generate_request *request,
                            mg_error *err)
{
    if (mg_value_is_null(until)) {
        return MG_OK;
    }
    const mg_value *items = until->kind == MG_LIST ? until->items : until;
    int64_t count = until->kind == MG_LIST ? until->count : 1;
    mg_str *stops = mg_arena_array(&job->arena, mg_str, count);
    for (int64_t i = 0; i < count; i++) {
        if (items[i].kind != MG_STRING) {
            return mg_fail(err, MG_ERR_FORMAT, "'until' must be a list of texts");
        }
        stops[i] = items[i].string;
    }
    request->stops = stops;
    request->stop_count = count;
    return MG_OK;
}

/* line is what answers are printed for; NULL for --prompt and --chat. */
static mg_status read_request(generate_job *job, const mg_value *value, const mg_value *line,
                              mg_error *err)
{
    mg_status status = MG_OK;
    mg_ids ids = { NULL, 0, 0 };
    mg_generate_request request = { .max_new_tokens = job->max_new_tokens,
                                    .stops = job->stops,
                                    .stop_count = job->stop_count,
                                    .ignore_eos = mg_args_flag(job->args, "ignore-eos"),
                                    .sampling = job->sampling };
    const mg_value *most = mg_value_get(value, "max_new_tokens");
    MG_TRY_OR_DONE(read_prompt(job, value, &ids, err));
    MG_TRY_OR_DONE(read_until(job, mg_value_get(value, "until"), &request, err));
    if (!mg_value_is_null(most) &&
        (!mg_value_to_int(most, &request.max_new_tokens) || request.max_new_tokens < 1 ||
         request.max_new_tokens > MG_NEW_TOKENS_MAX)) {
        status = mg_fail(err, MG_ERR_FORMAT, "'max_new_tokens' must be an integer from 1 to %d",
                         MG_NEW_TOKENS_MAX);
        goto done;
    }
    request.ids = ids.data;
    request.id_count = ids.count;
    void *requests = job->requests;
    int64_t index = mg_request_list_add(&job->list, line, ids, &requests, sizeof(request));
    job->requests = (mg_generate_request *)requests;
    job->requests[index] = request;
    memset(&ids, 0, sizeof(ids)); /* handed over */

done:
    mg_ids_release(&ids);
    return status;
}

/* A line of the file; a bad one is answered at once and leaves no request. */
static mg_status take_line(void *context, const mg_value *value, const char *message, mg_error *err)
{
    (void)err;
    generate_job *job = (generate_job *)context;
    mg_error reason;
    mg_error_clear(&reason);
    if (value == NULL || read_request(job, value, value, &reason) != MG_OK) {
        mg_request_list_refuse(&job->list, job->cli, value,
                               value == NULL ? message : reason.message);
    }
    return MG_OK;
}

static const char *finish_name(mg_finish finish)
{
    switch (finish) {
    case MG_FINISH_STOP:
        return "stop";
    case MG_FINISH_LENGTH:
        return "length";
    case MG_FINISH_EOS:
        return "eos";
    case MG_FINISH_FAILED:
        break;
    }
    return "failed";
}

static void write_reply(generate_job *job, const mg_value *value, const mg_generation *result)
{
    mg_buf *reply = &job->list.reply;
    if (result->finish == MG_FINISH_FAILED) {
        mg_error reason;
        (void)mg_fail(&reason, MG_ERR_NUMERIC, "logits are not finite at token %lld",
                      (long long)result->nonfinite_at);
        mg_reply_error(reply, value, reason.message);
        return;
    }
    mg_reply_begin(reply, value);
    mg_buf_add_text(reply, ", \"ids\": [");
    for (int64_t i = 0; i < result->id_count; i++) {
        mg_buf_printf(reply, i > 0 ? ", %d" : "%d", result->ids[i]);
    }
    mg_buf_add_text(reply, "], \"text\": ");
    mg_json_write_str(reply, result->text, false);
    mg_buf_printf(reply, ", \"finish\": \"%s\"}\n", finish_name(result->finish));
}

static void take_piece(void *context, mg_str piece)
{
    generate_job *job = (generate_job *)context;
    mg_cli_put_text(job->cli, piece);
    mg_cli_flush(job->cli);
}

static bool take_answer(void *context, int64_t index, const mg_generation *result)
{
    generate_job *job = (generate_job *)context;
    job->list.answered++;
    if (job->list.values[index] == NULL) { /* a single prompt */
        job->failed_at = result->nonfinite_at;
    }
    if (job->streamed) {
        mg_cli_printf(job->cli, "\n");
        return !mg_cli_interrupted();
    }
    write_reply(job, job->list.values[index], result);
    mg_request_list_put(&job->list, job->cli);
    if (job->list.count > 1) {
        mg_cli_progress(job->cli, "answers", job->list.answered, job->list.count, NULL);
    }
    return !mg_cli_interrupted();
}

/* The request of --prompt or --chat. */
static mg_status read_single(generate_job *job, mg_error *err)
{
    const char *prompt = mg_args_text(job->args, "prompt");
    const char *chat = mg_args_text(job->args, "chat");
    mg_value value = mg_value_of_map(&job->arena, 1);
    mg_value text = mg_value_of_str(&job->arena, mg_str_of(prompt != NULL ? prompt : chat));
    value.entries[0].key =
        mg_value_of_str(&job->arena, mg_str_of(prompt != NULL ? "prompt" : "messages"));
    value.entries[0].value = text;
    if (prompt == NULL) {
        mg_value messages = mg_value_of_list(&job->arena, 1);
        mg_value message = mg_value_of_map(&job->arena, 2);
        message.entries[0].key = mg_value_of_str(&job->arena, mg_str_of("role"));
        message.entries[0].value = mg_value_of_str(&job->arena, mg_str_of("user"));
        message.entries[1].key = mg_value_of_str(&job->arena, mg_str_of("content"));
        message.entries[1].value = text;
        messages.items[0] = message;
        value.entries[0].value = messages;
    }
    job->streamed = !mg_cli_json(job->cli);
    if (job->streamed) {
        mg_engine_stream_text(job->running.engine, take_piece, job);
    }
    return read_request(job, &value, NULL, err);
}

static mg_status write_stats(const generate_job *job, const char *path, mg_error *err)
{
    mg_engine_stats stats = mg_engine_stats_get(job->running.engine);
    mg_buf text = { NULL, 0, 0 };
    mg_buf_printf(&text,
                  "{\"prefill_tokens\": %lld, \"prefill_seconds\": %.6f, \"decode_tokens\": %lld, "
                  "\"decode_seconds\": %.6f, \"decode_steps\": %lld, \"peak_bytes\": %zu}\n",
                  (long long)stats.prefill_tokens, stats.prefill_seconds,
                  (long long)stats.decode_tokens, stats.decode_seconds,
                  (long long)stats.decode_steps, stats.peak_bytes);
    mg_status status = mg_file_write_atomic(path, mg_buf_view(&text), err);
    mg_buf_release(&text);
    return status;
}

static mg_status run_generate(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    generate_job job = { 0 };
    job.cli = cli;
    job.args = args;
    job.failed_at = -1;
    const char *path = mg_args_text(args, "requests");
    const char *stats = mg_args_text(args, "stats");
    if (mg_args_given(args, "prompt") + mg_args_given(args, "chat") + (path != NULL) != 1) {
        return mg_fail(err, MG_ERR_USAGE, "expected one of --prompt, --chat, --requests");
    }
    MG_TRY_OR_DONE(read_sampling(&job, err));
    mg_engine_options engine = { .batch_max = mg_args_int(args, "batch-size"),
                                 .positions_max = mg_args_int(args, "max-length") };
    MG_TRY_OR_DONE(mg_running_open(cli, mg_args_operand(args, 0), &engine, &job.running, err));
    mg_running_note_rules(&job.running, &job.sampling);
    MG_TRY_OR_DONE(path != NULL ? mg_json_lines_read(path, &job.arena, take_line, &job, err)
                                : read_single(&job, err));
    MG_TRY_OR_DONE(mg_engine_generate(job.running.engine, job.requests, job.list.count, take_answer,
                                      &job, err));
    if (job.failed_at >= 0) {
        status = mg_fail(err, MG_ERR_NUMERIC, "logits are not finite at token %lld",
                         (long long)job.failed_at);
        goto done;
    }
    if (stats != NULL) {
        MG_TRY_OR_DONE(write_stats(&job, stats, err));
    }

done:
    mg_cli_progress_end(cli);
    mg_cli_flush(cli);
    mg_request_list_release(&job.list);
    mg_free(job.requests);
    mg_running_close(&job.running);
    mg_arena_release(&job.arena);
    return status;
}

const mg_command mg_command_generate = {
    "generate",
    "MODEL",
    1,
    1,
    "Let a model continue a text or answer a message.",
    "A single prompt is streamed as text.  --requests takes JSON lines {\"id\", \"ids\" | "
    "\"prompt\" | "
    "\"messages\", \"max_new_tokens\", \"until\"} and prints {\"id\", \"ids\", \"text\", "
    "\"finish\"} "
    "in the order in which answers are complete.",
    "merganser generate examples/mini/models/mini-ja --prompt $'問題:3+4は?\\n答え:'",
    options,
    MG_ARRAY_COUNT(options),
    run_generate,
};
