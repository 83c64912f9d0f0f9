/* tokenizer/normalize_internal.h - the normaliser of tokenizer.json (tokenizers.md 4).
 *
 * A list of steps, run once over every piece between added tokens.
 * Thread-safety: immutable after reading; each thread brings its own scratch. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "text/regex.h"
#include "text/utf8.h"
#include "text/value.h"

MG_BEGIN_C

#define MG_NORMAL_STEPS_MAX 32

typedef enum mg_normal_kind {
    MG_NORMAL_PREPEND,
    MG_NORMAL_REPLACE_TEXT,
    MG_NORMAL_REPLACE_REGEX,
    MG_NORMAL_FORM, /* NFC, NFD, NFKC, NFKD */
    MG_NORMAL_LOWERCASE,
    MG_NORMAL_STRIP,
    MG_NORMAL_STRIP_ACCENTS,
    MG_NORMAL_NMT,
    MG_NORMAL_BYTE_LEVEL,
    MG_NORMAL_CHARSMAP,
    MG_NORMAL_SENTENCEPIECE /* charsmap may be NULL */
} mg_normal_kind;

struct mg_charsmap;

typedef struct mg_normal_step {
    mg_normal_kind kind;
    mg_str pattern; /* of REPLACE_TEXT */
    mg_str content; /* what is prepended or put in */
    mg_regex *regex;
    mg_normal_form form;
    bool left; /* STRIP */
    bool right;
    struct mg_charsmap *charsmap;
    bool add_prefix; /* SENTENCEPIECE: a space in front, or behind with as_suffix */
    bool as_suffix;
    bool squeeze; /* no leading, trailing or repeated spaces */
    bool escape;  /* spaces become U+2581 */
} mg_normal_step;

/* Zero-initialised is the identity. */
typedef struct mg_normalizer {
    mg_normal_step steps[MG_NORMAL_STEPS_MAX];
    int64_t count;
} mg_normalizer;

void mg_normalizer_release(mg_normalizer *normalizer); /* NULL or zeroed is fine */
/* Reads the JSON object (NULL or null is the identity).  Strings go to arena.  MG_ERR_FORMAT,
 * MG_ERR_UNSUPPORTED naming the type. */
MG_MUST_CHECK mg_status mg_normalizer_read(const mg_value *json, mg_arena *arena,
                                           mg_normalizer *normalizer_out, mg_error *err);
/* Steps that sentencepiece models are built from. */
void mg_normalizer_add_prepend(mg_normalizer *normalizer, mg_str content);
void mg_normalizer_add_replace(mg_normalizer *normalizer, mg_str pattern, mg_str content);

void mg_normalizer_add_form(mg_normalizer *normalizer, mg_normal_form form);
/* SentencePiece's own normaliser; step->charsmap goes to the normaliser. */
void mg_normalizer_add_sentencepiece(mg_normalizer *normalizer, const mg_normal_step *step);

/* The normal form of valid text: text itself when there are no steps, else borrowed from scratch
 * until the next call.  *kept_start_out (may be NULL) tells whether the first character of text is
 * still there in some form.  MG_ERR_LIMIT when a regular expression needs too many steps. */
MG_MUST_CHECK mg_status mg_normalizer_apply(const mg_normalizer *normalizer, mg_str text,
                                            mg_buf scratch[2], mg_str *text_out,
                                            bool *kept_start_out, mg_error *err);

/* Every match of regex in text as the reference finds them: left to right, an empty match directly
 * behind the last one is passed over.  *at is where to go on and starts as 0; *last_end starts as
 * -1. */
MG_MUST_CHECK mg_status mg_matches_next(const mg_regex *regex, mg_str text, size_t *at,
                                        int64_t *last_end, bool *found_out, size_t *begin_out,
                                        size_t *end_out, mg_error *err);

/* The pattern of Replace and Split: {"String": text} or {"Regex": text}; exactly one output is set.
 */
MG_MUST_CHECK mg_status mg_pattern_read(const mg_value *json, const char *what, mg_arena *arena,
                                        mg_str *text_out, mg_str *regex_out, mg_error *err);

MG_END_C
