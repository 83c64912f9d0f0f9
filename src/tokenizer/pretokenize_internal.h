/* tokenizer/pretokenize_internal.h - the pre-tokeniser of tokenizer.json (tokenizers.md 5).
 *
 * A list of steps.  Each step cuts its piece and hands every part to the next one at once, so a
 * text flows through in one go and only the buffers of the steps are held. Thread-safety: immutable
 * after reading; each thread brings its own scratch. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "text/regex.h"
#include "text/value.h"
#include "tokenizer/char_class_internal.h"
#include "tokenizer/scan_internal.h"

MG_BEGIN_C

#define MG_PRE_STEPS_MAX 16

typedef enum mg_pre_kind {
    MG_PRE_SPLIT,
    MG_PRE_BYTE_LEVEL,
    MG_PRE_METASPACE,
    MG_PRE_DIGITS,
    MG_PRE_PUNCTUATION,
    MG_PRE_WHITESPACE,
    MG_PRE_WHITESPACE_SPLIT,
    MG_PRE_BERT,
    MG_PRE_FIXED_LENGTH
} mg_pre_kind;

typedef enum mg_split_behavior {
    MG_SPLIT_ISOLATED,
    MG_SPLIT_REMOVED,
    MG_SPLIT_MERGED_WITH_PREVIOUS,
    MG_SPLIT_MERGED_WITH_NEXT,
    MG_SPLIT_CONTIGUOUS
} mg_split_behavior;

typedef enum mg_prepend_scheme {
    MG_PREPEND_ALWAYS,
    MG_PREPEND_FIRST,
    MG_PREPEND_NEVER
} mg_prepend_scheme;

typedef struct mg_pre_step {
    mg_pre_kind kind;
    /* SPLIT (also inside BYTE_LEVEL): a scanner, else a regular expression, else a literal text */
    mg_scan_kind scan;
    mg_regex *regex;
    mg_str literal;
    mg_split_behavior behavior; /* also of PUNCTUATION */
    bool invert;
    bool add_prefix_space; /* BYTE_LEVEL */
    bool split;            /* BYTE_LEVEL: use_regex; METASPACE */
    mg_str replacement;    /* METASPACE */
    mg_prepend_scheme scheme;
    bool individual; /* DIGITS */
    int64_t length;  /* FIXED_LENGTH, code points */
} mg_pre_step;

/* Zero-initialised is the identity. */
typedef struct mg_pretokenizer {
    mg_pre_step steps[MG_PRE_STEPS_MAX];
    int64_t count;
    mg_char_classes *classes; /* when a step asks for them */
    /* The last step maps bytes to characters and does not do so here: the pieces are raw bytes. */
    bool raw_bytes;
} mg_pretokenizer;

void mg_pretokenizer_release(mg_pretokenizer *pretokenizer); /* NULL or zeroed is fine */
/* Reads the JSON object (NULL or null is the identity).  MG_ERR_FORMAT, MG_ERR_UNSUPPORTED naming
 * the type. */
MG_MUST_CHECK mg_status mg_pretokenizer_read(const mg_value *json, mg_arena *arena,
                                             mg_pretokenizer *pretokenizer_out, mg_error *err);
/* Steps that are not read from tokenizer.json. */
MG_MUST_CHECK mg_status mg_pretokenizer_add_byte_level(mg_pretokenizer *pretokenizer,
                                                       bool add_prefix_space, mg_error *err);
/* A pattern's isolated matches, then the byte alphabet. */
MG_MUST_CHECK mg_status mg_pretokenizer_add_split_bytes(mg_pretokenizer *pretokenizer,
                                                        mg_str pattern, bool add_prefix_space,
                                                        mg_error *err);
void mg_pretokenizer_add_metaspace(mg_pretokenizer *pretokenizer, mg_str replacement,
                                   mg_prepend_scheme scheme, bool split);

/* A stretch of a piece and whether the pattern matched it. */
typedef struct mg_pre_stretch {
    size_t begin;
    size_t end;
    bool match;
} mg_pre_stretch;

/* Zero-initialised is empty; grows and is used again. */
typedef struct mg_pre_scratch {
    mg_buf texts[MG_PRE_STEPS_MAX];
    mg_pre_stretch *stretches[MG_PRE_STEPS_MAX];
    int64_t stretch_caps[MG_PRE_STEPS_MAX];
} mg_pre_scratch;
void mg_pre_scratch_release(mg_pre_scratch *scratch); /* NULL or zeroed is fine */

/* Takes one pre-token (never empty), borrowed for the call. */
typedef mg_status mg_pre_sink(void *context, mg_str piece, mg_error *err);

/* Cuts text, which is valid; first: it starts where the original text starts. */
MG_MUST_CHECK mg_status mg_pretokenizer_apply(const mg_pretokenizer *pretokenizer,
                                              mg_pre_scratch *scratch, mg_str text, bool first,
                                              mg_pre_sink *sink, void *context, mg_error *err);

MG_END_C
