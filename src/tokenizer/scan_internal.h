/* tokenizer/scan_internal.h - hand-written scanners for the split patterns of well-known models.
 *
 * Each does what its regular expression does (tokenizers.md 5.2), 10 to 50 times faster; the tests
 * compare the two.  Every pattern matches at every place, so a scan cuts the text into pieces
 * without gaps.  Thread-safety: pure functions. */
#pragma once

#include "base/str.h"
#include "tokenizer/char_class_internal.h"

MG_BEGIN_C

typedef enum mg_scan_kind {
    MG_SCAN_NONE,
    MG_SCAN_GPT2,
    MG_SCAN_CL100K, /* Llama 3: numbers in groups of up to three */
    MG_SCAN_QWEN,   /* the same with single digits */
    MG_SCAN_TEKKEN, /* Mistral Nemo: words are cut where the case changes */
    MG_SCAN_O200K   /* the same with contractions and numbers of up to three digits */
} mg_scan_kind;

/* The pattern that GPT-2's byte-level pre-tokeniser has built in. */
extern const char mg_scan_gpt2_pattern[];

/* The scanner of a pattern, MG_SCAN_NONE when there is none. */
mg_scan_kind mg_scan_find(mg_str pattern);
/* The pattern of a scanner (not of MG_SCAN_NONE). */
const char *mg_scan_pattern(mg_scan_kind kind);

/* Bytes of the piece that text (valid, not empty) starts with. */
size_t mg_scan_piece(mg_scan_kind kind, const mg_char_classes *classes, mg_str text);

MG_END_C
