/* cli/cmd_score.c - log-probabilities of continuations, and the perplexity of a text. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/running.h"
#include "text/json.h"
#include "text/utf8.h"

#define MG_LENGTH_MAX 268435456
#define MG_TEXT_BYTES_MAX ((size_t)1 << 30)

static const mg_option options[] = {
    { "requests", 0, NULL, MG_OPTION_TEXT, "FILE", NULL, NULL,
      "JSON lines, each with a context and a continuation (- for standard input).", NULL },
    { "text", 0, NULL, MG_OPTION_TEXT, "FILE", NULL, NULL, "A text whose perplexity is wanted.",
      NULL },
    { "max-length", 0, NULL, MG_OPTION_INT, "N", "0", NULL,
      "Tokens that the model sees at most; 0 = what it was made for.", NULL },
    { "batch-size", 'b', NULL, MG_OPTION_INT, "N", "0", NULL,
      "Requests computed together; 0 = as many as pay.", NULL },
};

typedef struct score_job {
    mg_cli *cli;
    mg_running running;
    mg_arena arena;
    int64_t max_length;
    mg_request_list list;       /* ids: context and continuation in one */
    mg_score_request *requests; /* of list */
    double logprob;             /* sum over all requests, for --text */
    bool failed;
} score_job;

static void add_request(score_job *job, const mg_value *value, mg_ids ids, int64_t context_count)
{
    mg_score_request request = { ids.data, context_count, ids.data + context_count,
                                 ids.count - context_count };
    void *requests = job->requests;
    int64_t index = mg_request_list_add(&job->list, value, ids, &requests, sizeof(request));
    job->requests = (mg_score_request *)requests;
    job->requests[index] = request;
}

/* An empty context is the prefix token; where the text begins with that, it is the context. */
static mg_status encode_bare(score_job *job, mg_str continuation, mg_ids *ids, mg_error *err)
{
    int32_t prefix = mg_tokenizer_prefix(job->running.tokenizer);
    if (prefix < 0) {
        return mg_fail(err, MG_ERR_FORMAT, "the context is empty, and the model has no BOS or EOS");
    }
    mg_ids_add(ids, prefix);
    MG_TRY(mg_tokenizer_encode(job->running.tokenizer, continuation, false, ids, err));
    if (ids->count > 1 && ids->data[1] == prefix) {
        ids->count--;
        memmove(ids->data, ids->data + 1, (size_t)ids->count * sizeof(int32_t));
    }
    return MG_OK;
}

/* Context and continuation as texts: the ids of both together, cut where the context's end.  White
 * space at the end of the context counts for the continuation (tasks.md 10.2). */
static mg_status encode_pair(score_job *job, mg_str context, mg_str continuation, mg_ids *ids,
                             int64_t *context_count_out, mg_error *err)
{
    mg_status status = MG_OK;
    const mg_tokenizer *tokenizer = job->running.tokenizer;
    mg_ids alone = { NULL, 0, 0 };
    mg_buf whole = { NULL, 0, 0 };
    mg_str kept = mg_unicode_trim(context, false, true);
    if (context.size == 0) {
        *context_count_out = 1;
        return encode_bare(job, continuation, ids, err);
    }
    mg_str bos = mg_tokenizer_token(tokenizer, mg_tokenizer_prefix(tokenizer));
    bool special =
        bos.size == 0 || context.size < bos.size || memcmp(context.data, bos.data, bos.size) != 0;
    mg_buf_add(&whole, context);
    mg_buf_add(&whole, continuation);
    MG_TRY_OR_DONE(mg_tokenizer_encode(tokenizer, kept, special, &alone, err));
    MG_TRY_OR_DONE(mg_tokenizer_encode(tokenizer, mg_buf_view(&whole), special, ids, err));
    *context_count_out = MG_MIN(alone.count, ids->count);

done:
    mg_ids_release(&alone);
    mg_buf_release(&whole);
    return status;
}

static mg_status read_request(score_job *job, const mg_value *value, mg_error *err)
{
    mg_status status = MG_OK;
    mg_ids ids = { NULL, 0, 0 };
    int64_t context_count = 0;
    int64_t vocab = mg_model_vocab(job->running.model);
    const mg_value *context_ids = mg_value_get(value, "context_ids");
    const mg_value *continuation_ids = mg_value_get(value, "continuation_ids");
    const mg_value *context = mg_value_get(value, "context");
    const mg_value *continuation = mg_value_get(value, "continuation");
    if (context_ids != NULL && continuation_ids != NULL) {
        MG_TRY_OR_DONE(mg_ids_of_value(context_ids, "context_ids", vocab, &ids, err));
        context_count = ids.count;
        MG_TRY_OR_DONE(mg_ids_of_value(continuation_ids, "continuation_ids", vocab, &ids, err));
    } else if (context != NULL && continuation != NULL && context->kind == MG_STRING &&
               continuation->kind == MG_STRING) {
        MG_TRY_OR_DONE(
            encode_pair(job, context->string, continuation->string, &ids, &context_count, err));
    } else {
        status = mg_fail(err, MG_ERR_FORMAT,
                         "expected 'context' and 'continuation' as texts, or 'context_ids' and "
                         "'continuation_ids'");
        goto done;
    }
    if (context_count == 0) {
        status = mg_fail(err, MG_ERR_FORMAT, "the context has no tokens");
        goto done;
    }
    if (ids.count - context_count > job->max_length) {
        status = mg_fail(err, MG_ERR_LIMIT, "the continuation has %lld tokens, at most %lld fit",
                         (long long)(ids.count - context_count), (long long)job->max_length);
        goto done;
    }
    add_request(job, value, ids, context_count);
    memset(&ids, 0, sizeof(ids)); /* handed over */

done:
    mg_ids_release(&ids);
    return status;
}

static mg_status take_line(void *context, const mg_value *value, const char *message, mg_error *err)
{
    (void)err;
    score_job *job = (score_job *)context;
    mg_error reason;
    mg_error_clear(&reason);
    if (value == NULL || read_request(job, value, &reason) != MG_OK) {
        mg_request_list_refuse(&job->list, job->cli, value,
                               value == NULL ? message : reason.message);
    }
    return MG_OK;
}

static bool take_score(void *context, int64_t index, const mg_score *result)
{
    score_job *job = (score_job *)context;
    mg_buf *reply = &job->list.reply;
    job->list.answered++;
    if (result->failed) {
        mg_reply_error(reply, job->list.values[index], "logits are not finite");
    } else {
        mg_reply_begin(reply, job->list.values[index]);
        mg_buf_add_text(reply, ", \"logprob\": ");
        mg_buf_add_double(reply, result->logprob);
        mg_buf_add_text(reply, ", \"token_logprobs\": [");
        for (int64_t i = 0; i < job->requests[index].continuation_count; i++) {
            mg_buf_add_text(reply, i > 0 ? ", " : "");
            mg_buf_add_double(reply, (double)result->token_logprobs[i]);
        }
        mg_buf_printf(reply, "], \"is_greedy\": %s}\n", result->is_greedy ? "true" : "false");
    }
    mg_request_list_put(&job->list, job->cli);
    mg_cli_progress(job->cli, "scores", job->list.answered, job->list.count, NULL);
    return !mg_cli_interrupted();
}

static bool add_score(void *context, int64_t index, const mg_score *result)
{
    (void)index;
    score_job *job = (score_job *)context;
    job->list.answered++;
    job->failed = job->failed || result->failed;
    job->logprob += result->logprob;
    mg_cli_progress(job->cli, "windows", job->list.answered, job->list.count, NULL);
    return !mg_cli_interrupted();
}

/* Windows over a text: each predicts up to max_length tokens from those before (tasks.md 10.3). */
static void add_windows(score_job *job, const mg_ids *all)
{
    int64_t most = job->max_length;
    for (int64_t begin = 1; begin < all->count; begin += most) {
        int64_t end = MG_MIN(begin + most, all->count);
        int64_t from = begin == 1 ? 0 : end - most - 1;
        mg_ids window = { NULL, 0, 0 };
        for (int64_t i = from; i < end; i++) {
            mg_ids_add(&window, all->data[i]);
        }
        add_request(job, NULL, window, begin - from);
    }
}

static void print_perplexity(const score_job *job, int64_t token_count, mg_str text)
{
    double per_token = exp(-job->logprob / (double)token_count);
    double bits_per_byte = -job->logprob / ((double)text.size * log(2.0));
    if (mg_cli_json(job->cli)) {
        mg_cli_printf(job->cli,
                      "{\"tokens\": %lld, \"bytes\": %zu, \"logprob\": %.9g, \"perplexity\": %.9g, "
                      "\"bits_per_byte\": %.9g}\n",
                      (long long)token_count, text.size, job->logprob, per_token, bits_per_byte);
    } else {
        mg_cli_printf(job->cli,
                      "perplexity     %.6g per token\nbits per byte  %.6g\ntokens         %lld\n",
                      per_token, bits_per_byte, (long long)token_count);
    }
}

static mg_status score_text(score_job *job, const char *path, mg_error *err)
{
    mg_status status = MG_OK;
    mg_bytes bytes = { NULL, 0 };
    mg_ids all = { NULL, 0, 0 };
    int32_t prefix = mg_tokenizer_prefix(job->running.tokenizer);
    MG_TRY_OR_DONE(mg_file_read(path, MG_TEXT_BYTES_MAX, &bytes, err));
    mg_str text = mg_str_make((const char *)bytes.data, bytes.size);
    if (prefix < 0) {
        status = mg_fail(err, MG_ERR_FORMAT, "the model has no BOS or EOS to begin a text with");
        goto done;
    }
    mg_ids_add(&all, prefix);
    MG_TRY_OR_DONE(mg_tokenizer_encode(job->running.tokenizer, text, true, &all, err));
    if (all.count < 2) {
        status = mg_fail(err, MG_ERR_FORMAT, "%s: the text has no tokens", path);
        goto done;
    }
    add_windows(job, &all);
    MG_TRY_OR_DONE(
        mg_engine_score(job->running.engine, job->requests, job->list.count, add_score, job, err));
    mg_cli_progress_end(job->cli);
    if (job->failed) {
        status = mg_fail(err, MG_ERR_NUMERIC, "logits are not finite");
        goto done;
    }
    print_perplexity(job, all.count - 1, text);

done:
    mg_ids_release(&all);
    mg_bytes_release(&bytes);
    return status;
}

static mg_status run_score(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    score_job job = { 0 };
    job.cli = cli;
    const char *path = mg_args_text(args, "requests");
    const char *text = mg_args_text(args, "text");
    if ((path != NULL) + (text != NULL) != 1) {
        return mg_fail(err, MG_ERR_USAGE, "expected one of --requests, --text");
    }
    if (mg_args_int(args, "max-length") < 0 || mg_args_int(args, "max-length") > MG_LENGTH_MAX ||
        mg_args_int(args, "batch-size") < 0) {
        return mg_fail(err, MG_ERR_USAGE, "expected --max-length 0 to %d, --batch-size 0 or more",
                       MG_LENGTH_MAX);
    }
    mg_engine_options engine = { .batch_max = mg_args_int(args, "batch-size"),
                                 .positions_max = mg_args_int(args, "max-length") };
    MG_TRY_OR_DONE(mg_running_open(cli, mg_args_operand(args, 0), &engine, &job.running, err));
    job.max_length =
        engine.positions_max > 0 ? engine.positions_max : mg_model_max_positions(job.running.model);
    if (text != NULL) {
        MG_TRY_OR_DONE(score_text(&job, text, err));
        goto done;
    }
    MG_TRY_OR_DONE(mg_json_lines_read(path, &job.arena, take_line, &job, err));
    MG_TRY_OR_DONE(
        mg_engine_score(job.running.engine, job.requests, job.list.count, take_score, &job, err));

done:
    mg_cli_progress_end(cli);
    mg_cli_flush(cli);
    mg_request_list_release(&job.list);
    mg_free(job.requests);
    mg_running_close(&job.running);
    mg_arena_release(&job.arena);
    return status;
}

const mg_command mg_command_score = {
    "score",
    "MODEL",
    1,
    1,
    "Log-probabilities of continuations, or the perplexity of a text.",
    "--requests takes JSON lines {\"id\", \"context_ids\", \"continuation_ids\"} or {\"id\", "
    "\"context\", "
    "\"continuation\"} and prints {\"id\", \"logprob\", \"token_logprobs\", \"is_greedy\"}.",
    "merganser score examples/mini/models/mini-ja --text README.md",
    options,
    MG_ARRAY_COUNT(options),
    run_score,
};
