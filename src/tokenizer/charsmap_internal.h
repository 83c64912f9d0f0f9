/* tokenizer/charsmap_internal.h - SentencePiece's compiled replacement table (tokenizers.md 8.2).
 *
 * Layout: u32 little-endian size of the trie in bytes, the trie (a double array of u32 units), then
 * replacement strings, each ended by NUL; a leaf's value is an offset into them.  It comes from
 * outside: every step is bounds-checked.
 * Thread-safety: immutable. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_charsmap mg_charsmap;

/* Copies bytes.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_charsmap_create(mg_str bytes, mg_charsmap **charsmap_out, mg_error *err);
MG_MUST_CHECK mg_status mg_charsmap_create_base64(mg_str text, mg_charsmap **charsmap_out,
                                                  mg_error *err);
void mg_charsmap_destroy(mg_charsmap *charsmap); /* NULL is fine */

/* Appends text with replacements as the tokenizers library makes them: per grapheme cluster, and
 * the shortest key that a chunk starts with replaces the whole chunk. */
MG_MUST_CHECK mg_status mg_charsmap_apply(const mg_charsmap *charsmap, mg_str text, mg_buf *out,
                                          mg_error *err);

/* The longest key that text starts with, as sentencepiece takes it: *bytes_out of text become
 * *replacement_out.  false when there is none. */
bool mg_charsmap_longest(const mg_charsmap *charsmap, mg_str text, size_t *bytes_out,
                         mg_str *replacement_out);

MG_END_C
