/* cli/running.c - opens models to run, reads requests, writes the heads of replies. */
#include "cli/running.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "text/json.h"

#define MG_REQUESTS_BYTES_MAX ((size_t)4 << 30)

mg_dtype mg_running_dtype(const mg_cli *cli, const mg_model_config *config)
{
    mg_dtype dtype = mg_cli_dtype(cli);
    if (dtype == MG_F16) {
        mg_note("models do not run in float16: float32 is used, which holds the same weights");
        return MG_F32;
    }
    if (dtype == MG_F32 || dtype == MG_BF16) {
        return dtype;
    }
    return config->dtype == MG_BF16 ? MG_BF16 : MG_F32;
}

static bool interrupted(void *context)
{
    (void)context;
    return mg_cli_interrupted();
}

mg_status mg_running_open(mg_cli *cli, const char *reference, const mg_engine_options *options,
                          mg_running *running_out, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_stream *stream = NULL;
    const mg_device *device = NULL;
    mg_model_ref ref;
    mg_running *running = running_out;
    memset(running, 0, sizeof(*running));

    MG_TRY_OR_DONE(mg_model_ref_parse(mg_str_of(reference), &arena, &ref, err));
    MG_TRY_OR_DONE(mg_snapshot_open(mg_cli_hub(cli), &ref, true, &running->snapshot, err));
    MG_TRY_OR_DONE(mg_tokenizer_open(running->snapshot->folder, &running->tokenizer, err));
    MG_TRY_OR_DONE(mg_cli_device(cli, &device, err));
    const mg_model_config *config = &running->snapshot->config;
    MG_TRY_OR_DONE(
        mg_model_create(config, device, mg_running_dtype(cli, config), &running->model, err));
    MG_TRY_OR_DONE(device->stream_create(device, mg_cli_pool(cli), &stream, err));
    status = mg_model_load(running->model, running->snapshot->checkpoint, stream, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%s", running->snapshot->folder);
        goto done;
    }
    MG_TRY_OR_DONE(mg_engine_create(running->model, running->tokenizer, mg_cli_pool(cli), options,
                                    &running->engine, err));
    mg_engine_stop_when(running->engine, interrupted, NULL);

done:
    if (device != NULL) {
        device->stream_destroy(stream);
    }
    if (status != MG_OK) {
        mg_running_close(running);
    }
    mg_arena_release(&arena);
    return status;
}

void mg_running_note_rules(const mg_running *running, const mg_sampling *sampling)
{
    mg_generation_rules rules = mg_sampling_rules(sampling, running->model);
    if (rules.repetition_penalty != 1.0 && sampling->repetition_penalty <= 0.0) {
        mg_note("generation_config.json: repetition_penalty %g is in force unless another is given",
                rules.repetition_penalty);
    }
    if (rules.no_repeat_ngram > 0) {
        mg_note("generation_config.json: no_repeat_ngram_size %lld is in force",
                (long long)rules.no_repeat_ngram);
    }
    if (rules.suppressed_count > 0) {
        mg_note("generation_config.json: %lld suppressed tokens are never generated",
                (long long)rules.suppressed_count);
    }
}

void mg_running_close(mg_running *running)
{
    if (running != NULL) {
        mg_engine_destroy(running->engine);
        mg_model_destroy(running->model);
        mg_tokenizer_close(running->tokenizer);
        mg_snapshot_close(running->snapshot);
        memset(running, 0, sizeof(*running));
    }
}

static mg_status read_standard_input(mg_bytes *bytes_out, mg_error *err)
{
    mg_buf text = { NULL, 0, 0 };
    char piece[65536];
    size_t got;
    while ((got = fread(piece, 1, sizeof(piece), stdin)) > 0) {
        mg_buf_add(&text, mg_str_make(piece, got));
        if (text.size > MG_REQUESTS_BYTES_MAX) {
            mg_buf_release(&text);
            return mg_fail(err, MG_ERR_LIMIT, "standard input is longer than %zu bytes",
                           MG_REQUESTS_BYTES_MAX);
        }
    }
    if (ferror(stdin)) {
        mg_buf_release(&text);
        return mg_fail(err, MG_ERR_IO, "standard input: %s", strerror(errno));
    }
    bytes_out->data = (unsigned char *)text.data;
    bytes_out->size = text.size;
    return MG_OK;
}

mg_status mg_json_lines_read(const char *path, mg_arena *arena, mg_json_line *line, void *context,
                             mg_error *err)
{
    mg_bytes bytes = { NULL, 0 };
    mg_status status = MG_OK;
    int64_t number = 0;
    bool piped = strcmp(path, "-") == 0;
    MG_TRY_OR_DONE(piped ? read_standard_input(&bytes, err)
                         : mg_file_read(path, MG_REQUESTS_BYTES_MAX, &bytes, err));
    mg_str rest = mg_str_make((const char *)bytes.data, bytes.size);
    mg_str text;
    while (mg_str_split(&rest, '\n', &text)) {
        number++;
        if (mg_str_trim(text).size == 0) {
            continue;
        }
        mg_error reason;
        char name[64];
        mg_value *value = mg_arena_new(arena, mg_value);
        (void)snprintf(name, sizeof(name), "line %lld", (long long)number);
        mg_error_clear(&reason);
        if (mg_json_parse(text, name, arena, value, &reason) != MG_OK) {
            value = NULL;
        } else if (value->kind != MG_MAP) {
            (void)mg_fail(&reason, MG_ERR_FORMAT, "%s: expected an object", name);
            value = NULL;
        }
        MG_TRY_OR_DONE(line(context, value, reason.message, err));
    }

done:
    mg_bytes_release(&bytes);
    return status;
}

void mg_reply_begin(mg_buf *reply, const mg_value *value)
{
    const mg_value *id = mg_value_get(value, "id");
    mg_buf_add_text(reply, "{\"id\": ");
    mg_json_write(reply, id != NULL ? id : &mg_value_null, NULL);
}

void mg_reply_error(mg_buf *reply, const mg_value *value, const char *message)
{
    mg_reply_begin(reply, value);
    mg_buf_add_text(reply, ", \"error\": ");
    mg_json_write_str(reply, mg_str_of(message), false);
    mg_buf_add_text(reply, "}\n");
}

int64_t mg_request_list_add(mg_request_list *list, const mg_value *value, mg_ids ids,
                            void **requests, size_t request_bytes)
{
    if (list->count == list->cap) {
        list->cap = MG_MAX(2 * list->cap, 16);
        list->values =
            (const mg_value **)mg_memory_resize(list->values, list->cap, sizeof(const mg_value *));
        list->ids = (mg_ids *)mg_memory_resize(list->ids, list->cap, sizeof(mg_ids));
        *requests = mg_memory_resize(*requests, list->cap, request_bytes);
    }
    list->values[list->count] = value;
    list->ids[list->count] = ids;
    return list->count++;
}

void mg_request_list_put(mg_request_list *list, mg_cli *cli)
{
    mg_cli_printf(cli, "%s", list->reply.data);
    mg_buf_clear(&list->reply);
}

void mg_request_list_refuse(mg_request_list *list, mg_cli *cli, const mg_value *value,
                            const char *message)
{
    mg_reply_error(&list->reply, value, message);
    mg_request_list_put(list, cli);
}

void mg_request_list_release(mg_request_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        mg_ids_release(&list->ids[i]);
    }
    mg_free(list->ids);
    mg_free(list->values);
    mg_buf_release(&list->reply);
}

mg_status mg_ids_of_value(const mg_value *list, const char *key, int64_t vocab, mg_ids *ids_out,
                          mg_error *err)
{
    if (list->kind != MG_LIST) {
        return mg_fail(err, MG_ERR_FORMAT, "'%s' must be a list of token ids", key);
    }
    for (int64_t i = 0; i < list->count; i++) {
        int64_t id = -1;
        if (!mg_value_to_int(&list->items[i], &id) || id < 0 || id >= vocab) {
            return mg_fail(err, MG_ERR_FORMAT, "'%s': item %lld is not a token id below %lld", key,
                           (long long)i, (long long)vocab);
        }
        mg_ids_add(ids_out, (int32_t)id);
    }
    return MG_OK;
}
