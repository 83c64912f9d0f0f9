/* cli/running.h - a model folder, opened and loaded for generate, score and the like.
 *
 * Thread-safety: one thread at a time. */
#pragma once

#include "cli/cli.h"
#include "hub/snapshot.h"
#include "infer/engine.h"
#include "text/value.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

typedef struct mg_running {
    mg_snapshot *snapshot;
    mg_tokenizer *tokenizer;
    mg_model *model;
    mg_engine *engine;
} mg_running;

/* Opens the folder or cached repository that reference names, in the type of --dtype. */
MG_MUST_CHECK mg_status mg_running_open(mg_cli *cli, const char *reference,
                                        const mg_engine_options *options, mg_running *running_out,
                                        mg_error *err);
void mg_running_close(mg_running *running); /* NULL or zeroed is fine */
/* Says which rules of generation_config.json change the answers. */
void mg_running_note_rules(const mg_running *running, const mg_sampling *sampling);

/* The type that --dtype means for a model: auto is the type it is stored in. */
mg_dtype mg_running_dtype(const mg_cli *cli, const mg_model_config *config);

/* Calls line for each line of a JSON-lines file ("-" is standard input) that is not blank.  A line
 * that is no JSON map arrives with value NULL and the reason in message. */
typedef mg_status mg_json_line(void *context, const mg_value *value, const char *message,
                               mg_error *err);
MG_MUST_CHECK mg_status mg_json_lines_read(const char *path, mg_arena *arena, mg_json_line *line,
                                           void *context, mg_error *err);

/* A reply's head, {"id": ID - null where value is NULL - and {"id": ID, "error": "..."}\n whole. */
void mg_reply_begin(mg_buf *reply, const mg_value *value);
void mg_reply_error(mg_buf *reply, const mg_value *value, const char *message);

/* The requests of generate and score: for each the line it came from and its tokens. */
typedef struct mg_request_list {
    const mg_value **values; /* NULL where there is no line */
    mg_ids *ids;
    int64_t count;
    int64_t cap;
    int64_t answered;
    mg_buf reply; /* being written */
} mg_request_list;

/* Adds a request, whose ids the list takes over, and gives its index.  *requests, the caller's own
 * array beside the list's, gets room for it. */
int64_t mg_request_list_add(mg_request_list *list, const mg_value *value, mg_ids ids,
                            void **requests, size_t request_bytes);
/* Prints the reply that was written. */
void mg_request_list_put(mg_request_list *list, mg_cli *cli);
/* Answers a line that is no request. */
void mg_request_list_refuse(mg_request_list *list, mg_cli *cli, const mg_value *value,
                            const char *message);
void mg_request_list_release(mg_request_list *list);

/* Appends the ids of a list of integers within the model's vocabulary.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_ids_of_value(const mg_value *list, const char *key, int64_t vocab,
                                        mg_ids *ids_out, mg_error *err);

MG_END_C
