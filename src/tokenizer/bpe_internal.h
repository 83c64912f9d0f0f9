/* tokenizer/bpe_internal.h - byte-pair encoding of one word: ranked merges over a queue.
 *
 * A word is a pre-token; without a pre-tokeniser it is a whole text.  Two things keep that fast and
 * change nothing: a word is cut where no merge can ever join (mg_bpe_cut), and the merges of a
 * piece are taken from a heap, O(n log n). Thread-safety: immutable after mg_bpe_finish; each
 * thread brings its own scratch. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab_internal.h"

MG_BEGIN_C

typedef struct mg_bpe_options {
    mg_str unk_token; /* used when has_unk; lives as long as the model */
    bool has_unk;
    bool fuse_unk;
    bool byte_fallback;
    bool ignore_merges;
    mg_str prefix; /* continuing_subword_prefix, usually empty */
    mg_str suffix; /* end_of_word_suffix, usually empty */
} mg_bpe_options;

/* One slot of the merge table; left < 0 = free. */
typedef struct mg_bpe_merge {
    int32_t left;
    int32_t right;
    int32_t rank; /* 0 is merged first */
    int32_t id;   /* of the result */
} mg_bpe_merge;

typedef struct mg_bpe {
    const mg_vocab *vocab; /* borrowed */
    mg_bpe_options options;
    mg_bpe_merge *merges; /* open addressing */
    int64_t merge_slots;  /* a power of two */
    int64_t merge_count;
    int32_t ranks;     /* merges added so far */
    int32_t *char_ids; /* (65536) id of a code point of the BMP that is a token, -1 = none */
    int32_t byte_ids[256];
    int32_t unk_id;
    uint64_t
        *joints; /* bits: adjacent code points that some merge result holds; false hits allowed */
    uint64_t joint_mask;
    bool can_cut;
} mg_bpe;

typedef struct mg_bpe_symbol {
    int32_t id;
    int32_t previous; /* -1 = none */
    int32_t next;     /* -1 = none */
    int32_t pair_id;  /* what this and the next merge into; -1 = nothing, or consumed */
} mg_bpe_symbol;

typedef struct mg_bpe_candidate {
    uint64_t key; /* rank, then index of the left symbol */
    int32_t id;   /* of the result */
} mg_bpe_candidate;

/* Zero-initialised is empty; grows and is used again. */
typedef struct mg_bpe_scratch {
    mg_bpe_symbol *symbols;
    int64_t symbol_cap;
    mg_bpe_candidate *heap;
    int64_t heap_count;
    int64_t heap_cap;
    mg_buf text;
} mg_bpe_scratch;
void mg_bpe_scratch_release(mg_bpe_scratch *scratch); /* NULL or zeroed is fine */

void mg_bpe_release(mg_bpe *bpe); /* NULL or zeroed is fine */
void mg_bpe_init(mg_bpe *bpe, const mg_vocab *vocab, const mg_bpe_options *options);
/* The next merge by rank.  MG_ERR_FORMAT when a part or the result is not in the vocabulary. */
MG_MUST_CHECK mg_status mg_bpe_add_merge(mg_bpe *bpe, mg_str left, mg_str right, mg_error *err);
/* The same by ids, which must be in the vocabulary, with a rank of the caller's: equal ranks are
 * merged from left to right. */
MG_MUST_CHECK mg_status mg_bpe_add_ranked(mg_bpe *bpe, int32_t left, int32_t right, int32_t id,
                                          int32_t rank, mg_error *err);
/* Called once, after the last merge. */
void mg_bpe_finish(mg_bpe *bpe);

/* Appends the ids of word (valid UTF-8, less than 2 GiB). */
MG_MUST_CHECK mg_status mg_bpe_encode(const mg_bpe *bpe, mg_bpe_scratch *scratch, mg_str word,
                                      mg_ids *ids_out, mg_error *err);

/* Bytes of the first part of word that is encoded on its own: no merge reaches over its end. */
size_t mg_bpe_cut(const mg_bpe *bpe, mg_str word);
/* The token of a code point that stands alone, -1 = none. */
static inline int32_t mg_bpe_char_id(const mg_bpe *bpe, int32_t code_point)
{
    return code_point < 0x10000 ? bpe->char_ids[code_point] : -1;
}

MG_END_C
