/* tokenizer/tokenizer.h - text to token ids and back, exactly as the model's own files say.
 *
 * Reads tokenizer.json, else tokenizer.model, else vocab.json and merges.txt, with
 * tokenizer_config.json (tokenizers.md 1).  Thread-safety: immutable after open; share it freely.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "text/value.h"

MG_BEGIN_C

typedef struct mg_tokenizer mg_tokenizer;

typedef struct mg_ids {
    int32_t *data;
    int64_t count;
    int64_t cap;
} mg_ids;
void mg_ids_release(mg_ids *ids); /* NULL or zeroed is fine */
void mg_ids_add(mg_ids *ids, int32_t id);

/* MG_ERR_NOT_FOUND without tokenizer files, MG_ERR_FORMAT, MG_ERR_UNSUPPORTED naming the type. */
MG_MUST_CHECK mg_status mg_tokenizer_open(const char *folder, mg_tokenizer **tokenizer_out,
                                          mg_error *err);
void mg_tokenizer_close(mg_tokenizer *tokenizer); /* NULL is fine */

/* Appends the ids of text (valid UTF-8, else MG_ERR_FORMAT); add_special applies the post-processor
 * (BOS and so on). */
MG_MUST_CHECK mg_status mg_tokenizer_encode(const mg_tokenizer *tokenizer, mg_str text,
                                            bool add_special, mg_ids *ids_out, mg_error *err);
/* Appends the text of ids; unknown ids give nothing. */
void mg_tokenizer_decode(const mg_tokenizer *tokenizer, const int32_t *ids, int64_t count,
                         bool skip_special, mg_buf *text_out);

int64_t mg_tokenizer_size(const mg_tokenizer *tokenizer);             /* highest id + 1 */
int32_t mg_tokenizer_id(const mg_tokenizer *tokenizer, mg_str token); /* -1 = none */
/* The token string of id (as in the vocabulary), empty when unknown; borrowed. */
mg_str mg_tokenizer_token(const mg_tokenizer *tokenizer, int32_t id);
int32_t mg_tokenizer_bos(const mg_tokenizer *tokenizer); /* -1 = none */
int32_t mg_tokenizer_eos(const mg_tokenizer *tokenizer);
int32_t mg_tokenizer_pad(const mg_tokenizer *tokenizer);
/* BOS, else EOS: what an empty context becomes (tasks.md 10.2); -1 = none. */
int32_t mg_tokenizer_prefix(const mg_tokenizer *tokenizer);

/* tokenizer/chat.h renders these */
bool mg_tokenizer_has_chat_template(const mg_tokenizer *tokenizer);

MG_END_C
