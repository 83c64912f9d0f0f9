/* cli/cmd_tokenize.c - a model's tokenizer by hand: encode, decode, render a chat. */
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/running.h"
#include "text/json.h"
#include "tokenizer/chat.h"

#include <string.h>
#include <time.h>

static const mg_option options[] = {
    { "requests", 0, NULL, MG_OPTION_TEXT, "FILE", NULL, NULL,
      "JSON lines (- for standard input) instead of TEXT.", NULL },
    { "special-tokens", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL,
      "Add the tokens that the model expects around a text, such as BOS.", NULL },
    { "chat", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Put TEXT into the model's chat template first, as a message of the user.", NULL },
};

typedef struct tokenize_job {
    mg_cli *cli;
    mg_arena arena;
    mg_tokenizer *tokenizer;
    mg_ids ids;
    mg_buf text;
    mg_buf reply;
} tokenize_job;

/* Ids are what a large file of requests is mostly answered with, so printf is left out. */
static void add_ids(mg_buf *out, const mg_ids *ids, const char *separator)
{
    for (int64_t i = 0; i < ids->count; i++) {
        char digits[12];
        size_t at = sizeof(digits);
        int32_t rest = ids->data[i]; /* never negative */
        do {
            digits[--at] = (char)('0' + rest % 10);
            rest /= 10;
        } while (rest > 0);
        mg_buf_add_text(out, i > 0 ? separator : "");
        mg_buf_add(out, mg_str_make(digits + at, sizeof(digits) - at));
    }
}

static void reply_ids(tokenize_job *job)
{
    mg_buf_add_text(&job->reply, ", \"ids\": [");
    add_ids(&job->reply, &job->ids, ", ");
    mg_buf_add_text(&job->reply, "]}\n");
}

static void reply_text(tokenize_job *job)
{
    mg_buf_add_text(&job->reply, ", \"text\": ");
    mg_json_write_str(&job->reply, mg_buf_view(&job->text), false);
    mg_buf_add_text(&job->reply, "}\n");
}

/* An optional switch of a request. */
static mg_status read_switch(const mg_value *request, const char *key, bool fallback,
                             bool *value_out, mg_error *err)
{
    const mg_value *value = mg_value_get(request, key);
    *value_out = fallback;
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    if (value->kind != MG_BOOL) {
        return mg_fail(err, MG_ERR_FORMAT, "'%s' must be true or false", key);
    }
    *value_out = value->boolean;
    return MG_OK;
}

static mg_status render_messages(tokenize_job *job, const mg_value *request, mg_error *err)
{
    mg_chat_args chat;
    memset(&chat, 0, sizeof(chat));
    const mg_value *tools = mg_value_get(request, "tools");
    chat.messages = mg_value_get(request, "messages");
    chat.tools = mg_value_is_null(tools) ? NULL : tools;
    chat.template_args = mg_value_get(request, "template_args");
    chat.now = (int64_t)time(NULL);
    MG_TRY(read_switch(request, "add_generation_prompt", false, &chat.add_generation_prompt, err));
    MG_TRY(
        read_switch(request, "continue_final_message", false, &chat.continue_final_message, err));
    return mg_chat_render(job->tokenizer, &chat, &job->text, err);
}

static mg_status encode_text(tokenize_job *job, const mg_value *request, mg_error *err)
{
    const mg_value *text = mg_value_get(request, "text");
    bool special;
    if (text->kind != MG_STRING) {
        return mg_fail(err, MG_ERR_FORMAT, "'text' must be a text");
    }
    MG_TRY(read_switch(request, "add_special_tokens", true, &special, err));
    return mg_tokenizer_encode(job->tokenizer, text->string, special, &job->ids, err);
}

static mg_status decode_ids(tokenize_job *job, const mg_value *request, mg_error *err)
{
    bool skip;
    MG_TRY(read_switch(request, "skip_special_tokens", false, &skip, err));
    MG_TRY(mg_ids_of_value(mg_value_get(request, "ids"), "ids", INT32_MAX, &job->ids, err));
    mg_tokenizer_decode(job->tokenizer, job->ids.data, job->ids.count, skip, &job->text);
    return MG_OK;
}

/* Fills job->ids (an encode) or job->text. */
static mg_status answer(tokenize_job *job, const mg_value *request, mg_error *err)
{
    bool has_text = mg_value_get(request, "text") != NULL;
    bool has_ids = mg_value_get(request, "ids") != NULL;
    bool has_messages = mg_value_get(request, "messages") != NULL;
    if (has_text + has_ids + has_messages != 1) {
        return mg_fail(err, MG_ERR_FORMAT, "expected one of 'text', 'ids', 'messages'");
    }
    return has_text  ? encode_text(job, request, err)
           : has_ids ? decode_ids(job, request, err)
                     : render_messages(job, request, err);
}

static mg_status take_line(void *context, const mg_value *value, const char *message, mg_error *err)
{
    tokenize_job *job = context;
    mg_error reason;
    mg_error_clear(&reason);
    mg_buf_clear(&job->reply);
    mg_buf_clear(&job->text);
    job->ids.count = 0;
    if (value == NULL) {
        mg_reply_error(&job->reply, value, message);
    } else if (answer(job, value, &reason) != MG_OK) {
        mg_reply_error(&job->reply, value, reason.message);
    } else {
        mg_reply_begin(&job->reply, value);
        if (mg_value_get(value, "text") != NULL) {
            reply_ids(job);
        } else {
            reply_text(job);
        }
    }
    mg_cli_put_text(job->cli, mg_buf_view(&job->reply));
    return mg_cli_interrupted() ? mg_fail(err, MG_ERR_INTERRUPTED, "interrupted") : MG_OK;
}

/* TEXT as the only message of a conversation, to job->text. */
static mg_status render_single(tokenize_job *job, mg_str text, mg_error *err)
{
    mg_chat_args chat;
    memset(&chat, 0, sizeof(chat));
    mg_value messages = mg_value_of_list(&job->arena, 1);
    messages.items[0] = mg_value_of_map(&job->arena, 2);
    mg_entry *entries = messages.items[0].entries;
    entries[0].key = mg_value_of_str(&job->arena, mg_str_of("role"));
    entries[0].value = mg_value_of_str(&job->arena, mg_str_of("user"));
    entries[1].key = mg_value_of_str(&job->arena, mg_str_of("content"));
    entries[1].value = mg_value_of_str(&job->arena, text);
    chat.messages = &messages;
    chat.add_generation_prompt = true;
    chat.now = (int64_t)time(NULL);
    return mg_chat_render(job->tokenizer, &chat, &job->text, err);
}

/* One line of ids, and one of the tokens they stand for; with --json one object. */
static void print_single(tokenize_job *job)
{
    mg_buf *out = &job->reply;
    mg_buf_add_text(out, mg_cli_json(job->cli) ? "{\"ids\": [" : "");
    add_ids(out, &job->ids, mg_cli_json(job->cli) ? ", " : " ");
    mg_buf_add_text(out, mg_cli_json(job->cli) ? "], \"tokens\": [" : "\n");
    for (int64_t i = 0; i < job->ids.count; i++) {
        mg_str token = mg_tokenizer_token(job->tokenizer, job->ids.data[i]);
        mg_buf_add_text(out, i == 0 ? "" : mg_cli_json(job->cli) ? ", " : " ");
        if (mg_cli_json(job->cli)) {
            mg_json_write_str(out, token, false);
        } else {
            mg_buf_add(out, token);
        }
    }
    mg_buf_add_text(out, mg_cli_json(job->cli) ? "]}\n" : "\n");
    mg_cli_put_text(job->cli, mg_buf_view(out));
}

static mg_status tokenize_single(tokenize_job *job, const mg_args *args, mg_error *err)
{
    mg_str text = mg_str_of(mg_args_operand(args, 1));
    bool special = mg_args_flag(args, "special-tokens");
    if (mg_args_flag(args, "chat")) {
        MG_TRY(render_single(job, text, err));
        text = mg_buf_view(&job->text);
        special = false;
    }
    MG_TRY(mg_tokenizer_encode(job->tokenizer, text, special, &job->ids, err));
    print_single(job);
    return MG_OK;
}

static mg_status run_tokenize(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    tokenize_job job;
    mg_model_ref ref;
    mg_str folder;
    const char *path = mg_args_text(args, "requests");
    memset(&job, 0, sizeof(job));
    job.cli = cli;
    if ((mg_args_operand_count(args) == 2) == (path != NULL)) {
        return mg_fail(err, MG_ERR_USAGE, "expected either TEXT or --requests");
    }
    MG_TRY_OR_DONE(mg_model_ref_parse(mg_str_of(mg_args_operand(args, 0)), &job.arena, &ref, err));
    MG_TRY_OR_DONE(
        mg_hub_locate(mg_cli_hub(cli), ref.path, ref.revision, &job.arena, &folder, err));
    MG_TRY_OR_DONE(mg_tokenizer_open(folder.data, &job.tokenizer, err));
    MG_TRY_OR_DONE(path != NULL ? mg_json_lines_read(path, &job.arena, take_line, &job, err)
                                : tokenize_single(&job, args, err));

done:
    mg_cli_flush(cli);
    mg_tokenizer_close(job.tokenizer);
    mg_ids_release(&job.ids);
    mg_buf_release(&job.text);
    mg_buf_release(&job.reply);
    mg_arena_release(&job.arena);
    return status;
}

const mg_command mg_command_tokenize = {
    "tokenize",
    "MODEL [TEXT]",
    1,
    2,
    "Show how a model's tokenizer encodes, decodes and renders chats.",
    "Prints the ids of TEXT and the tokens they stand for.  --requests takes JSON lines {\"id\", "
    "\"text\", \"add_special_tokens\"} and prints {\"id\", \"ids\"}; {\"id\", \"ids\", "
    "\"skip_special_tokens\"} and prints {\"id\", \"text\"}; or {\"id\", \"messages\", "
    "\"add_generation_prompt\", \"tools\", \"template_args\"} and prints {\"id\", \"text\"} from "
    "the model's chat template.",
    "merganser tokenize examples/mini/models/mini-ja '問題:3+4は?'",
    options,
    MG_ARRAY_COUNT(options),
    run_tokenize,
};
