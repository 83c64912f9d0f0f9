/* tokenizer/unigram_internal.h - the best segmentation of a word under piece scores.
 *
 * Thread-safety: immutable after mg_unigram_finish; each thread brings its own scratch. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trie_internal.h"
#include "tokenizer/vocab_internal.h"

MG_BEGIN_C

typedef struct mg_unigram {
    const mg_vocab *vocab; /* borrowed */
    double *scores;        /* by id, owned */
    bool *hidden;          /* by id, owned: text never matches these; NULL = none */
    mg_trie trie;          /* pieces that text can match */
    int32_t *char_nodes;   /* (65536) trie node behind a code point of the BMP, 0 = none */
    int32_t unk_id;        /* -1 = none */
    double unk_score;      /* lowest score - 10 */
    bool byte_fallback;
    bool single_precision; /* sums are floats, as in sentencepiece */
    int32_t byte_ids[256];
} mg_unigram;

typedef struct mg_unigram_node {
    double score;  /* of the best way to here */
    int32_t start; /* where its last piece starts; -1 = no way leads here */
    int32_t id;    /* of that piece; -1 = one unknown character */
} mg_unigram_node;

/* Zero-initialised is empty; grows and is used again. */
typedef struct mg_unigram_scratch {
    mg_unigram_node *nodes; /* one for each byte offset of the word, and its end */
    int64_t node_cap;
    int32_t *path; /* offsets of the ends of the pieces, last first */
} mg_unigram_scratch;
void mg_unigram_scratch_release(mg_unigram_scratch *scratch); /* NULL or zeroed is fine */

void mg_unigram_release(mg_unigram *unigram); /* NULL or zeroed is fine */
/* Builds the trie and the unknown score from vocab and scores, which the caller has filled in.
 * MG_ERR_LIMIT. */
MG_MUST_CHECK mg_status mg_unigram_finish(mg_unigram *unigram, mg_error *err);
/* Appends the ids of word (valid UTF-8, less than 2 GiB).  MG_ERR_FORMAT when the word needs an
 * unknown token and there is none. */
MG_MUST_CHECK mg_status mg_unigram_encode(const mg_unigram *unigram, mg_unigram_scratch *scratch,
                                          mg_str word, mg_ids *ids_out, mg_error *err);

MG_END_C
