/* tokenizer/detokenize_internal.h - the decoder of tokenizer.json (tokenizers.md 7.2).
 *
 * A chain of steps over a list of token strings, whose results are joined at the end.
 * Thread-safety: immutable after reading. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

#define MG_DECODE_STEPS_MAX 16

typedef enum mg_decode_kind {
    MG_DECODE_REPLACE,
    MG_DECODE_BYTE_FALLBACK,
    MG_DECODE_FUSE,
    MG_DECODE_STRIP,
    MG_DECODE_METASPACE,
    MG_DECODE_BYTE_LEVEL,
    MG_DECODE_BPE
} mg_decode_kind;

typedef struct mg_decode_step {
    mg_decode_kind kind;
    mg_str pattern; /* REPLACE; STRIP: one character; METASPACE: its replacement; BPE: the suffix */
    mg_str content; /* REPLACE */
    int64_t start;  /* STRIP: at most so many at either end */
    int64_t stop;
    bool keep_first; /* METASPACE with prepend_scheme never */
} mg_decode_step;

/* Zero-initialised has no decoder: the tokens are joined with spaces. */
typedef struct mg_detokenizer {
    mg_decode_step steps[MG_DECODE_STEPS_MAX];
    int64_t count;
    bool present; /* a decoder, even if it is an empty sequence */
} mg_detokenizer;

MG_MUST_CHECK mg_status mg_detokenizer_read(const mg_value *json, mg_arena *arena,
                                            mg_detokenizer *detokenizer_out, mg_error *err);
void mg_detokenizer_add(mg_detokenizer *detokenizer, const mg_decode_step *step);

/* A list of strings in one buffer: string i ends at ends[i] and starts where the one before it
 * ends. */
typedef struct mg_token_list {
    mg_buf bytes;
    int64_t *ends;
    int64_t count;
    int64_t cap;
} mg_token_list;
void mg_token_list_release(mg_token_list *list); /* NULL or zeroed is fine */
void mg_token_list_add(mg_token_list *list, mg_str token);

/* Appends the text of tokens, which is used up. */
void mg_detokenizer_apply(const mg_detokenizer *detokenizer, mg_token_list *tokens,
                          mg_buf *text_out);
/* transformers' clean_up_tokenization_spaces, on the text from byte offset from on. */
void mg_detokenize_clean_up(mg_buf *text, size_t from);

MG_END_C
