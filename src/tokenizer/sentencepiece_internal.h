/* tokenizer/sentencepiece_internal.h - SentencePiece's model file, a protobuf (tokenizers.md 9).
 *
 *     ModelProto       1 pieces (repeated)   2 trainer_spec   3 normalizer_spec
 *     piece            1 text   2 score (float)   3 type
 *     trainer_spec     3 model_type   24 treat_whitespace_as_suffix   35 byte_fallback
 *                      40-43 unk, bos, eos, pad id
 *     normalizer_spec  2 precompiled_charsmap   3 add_dummy_prefix   4 remove_extra_whitespaces
 *                      5 escape_whitespaces
 *
 * Other fields are skipped.  Thread-safety: functions are independent. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/vocab_internal.h"

MG_BEGIN_C

typedef enum mg_piece_type {
    MG_PIECE_NORMAL = 1,
    MG_PIECE_UNKNOWN = 2,
    MG_PIECE_CONTROL = 3,
    MG_PIECE_USER_DEFINED = 4,
    MG_PIECE_UNUSED = 5,
    MG_PIECE_BYTE = 6
} mg_piece_type;

typedef struct mg_piece {
    mg_str text; /* borrowed from the file's bytes */
    float score;
    mg_piece_type type;
} mg_piece;

typedef enum mg_sentencepiece_kind {
    MG_SENTENCEPIECE_UNIGRAM = 1,
    MG_SENTENCEPIECE_BPE = 2
} mg_sentencepiece_kind;

typedef struct mg_sentencepiece {
    mg_piece *pieces;
    int64_t count;
    int64_t cap;
    mg_sentencepiece_kind kind;
    bool whitespace_as_suffix;
    bool byte_fallback;
    int32_t unk_id;
    int32_t bos_id; /* -1 = none */
    int32_t eos_id;
    int32_t pad_id;
    mg_str charsmap; /* borrowed; empty = the identity */
    bool add_dummy_prefix;
    bool remove_extra_whitespaces;
    bool escape_whitespaces;
} mg_sentencepiece;

void mg_sentencepiece_release(mg_sentencepiece *model); /* NULL or zeroed is fine */
/* Reads and checks the bytes of a model file, from which the result borrows.  MG_ERR_FORMAT,
 * MG_ERR_UNSUPPORTED for word and character models. */
MG_MUST_CHECK mg_status mg_sentencepiece_parse(mg_str bytes, mg_sentencepiece *model_out,
                                               mg_error *err);

/* A merge that a vocabulary with scores implies. */
typedef struct mg_piece_merge {
    int32_t left; /* ids */
    int32_t right;
    int32_t left_chars; /* code points */
    int32_t right_chars;
    float score; /* of the result */
    int32_t index;
} mg_piece_merge;

/* All splits of pieces into two pieces of vocab (the pieces and their ids), best score first, then
 * longer left and longer right part. *merges_out belongs to the caller (mg_free). */
MG_MUST_CHECK mg_status mg_sentencepiece_merges(const mg_sentencepiece *model,
                                                const mg_vocab *vocab, mg_piece_merge **merges_out,
                                                int64_t *count_out, mg_error *err);

MG_END_C
