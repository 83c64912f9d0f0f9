/* tokenizer/added_internal.h - tokens that are cut out of the text before the model sees it
 * (tokenizers.md 3).
 *
 * Two sets of patterns: raw ones are looked for in the text as it comes, normalised ones behind the
 * normaliser.  Matching is leftmost-longest and never overlaps.
 * Thread-safety: immutable after mg_added_finish. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "base/str.h"
#include "tokenizer/char_class_internal.h"
#include "tokenizer/normalize_internal.h"
#include "tokenizer/trie_internal.h"

MG_BEGIN_C

typedef struct mg_added_token {
    mg_str content;
    int32_t id;
    bool single_word; /* not inside a word */
    bool lstrip;      /* takes the white space before it along */
    bool rstrip;
    bool normalized;
    bool special;
} mg_added_token;

typedef struct mg_added_patterns {
    mg_trie trie;     /* values are indexes of tokens */
    bool starts[256]; /* bytes that some pattern starts with */
    bool any;
} mg_added_patterns;

/* Zero-initialised is empty. */
typedef struct mg_added {
    mg_added_token *tokens; /* contents live in the owner's arena */
    int64_t count;
    int64_t cap;
    mg_map by_content; /* index of a token */
    mg_map by_id;      /* the same, keyed by the four bytes of the id */
    int32_t *ids;      /* keys of by_id */
    mg_added_patterns raw;
    mg_added_patterns normal;
    mg_char_classes *classes; /* when a token must stand alone */
} mg_added;

void mg_added_release(mg_added *added); /* NULL or zeroed is fine */
/* Adds a token or replaces the flags of the one with that content; once special stays special.  An
 * empty content is passed over.  content is borrowed. */
void mg_added_set(mg_added *added, const mg_added_token *token);
/* Called once, after the last token. */
MG_MUST_CHECK mg_status mg_added_finish(mg_added *added, const mg_normalizer *normalizer,
                                        mg_error *err);
const mg_added_token *mg_added_by_content(const mg_added *added, mg_str content); /* or NULL */
const mg_added_token *mg_added_by_id(const mg_added *added, int32_t id);          /* or NULL */

/* Where a split of one text stands; zero-initialised is its start. */
typedef struct mg_added_split {
    size_t searched; /* the search goes on here */
    size_t used;     /* end of the last piece that was given out */
    bool done;
} mg_added_split;

/* The next stretch: plain text (may be empty) and the token behind it (NULL at the end of the
 * text). false when the text is used up. */
bool mg_added_next(const mg_added *added, const mg_added_patterns *patterns, mg_str text,
                   mg_added_split *split, mg_str *plain_out, const mg_added_token **token_out);

MG_END_C
