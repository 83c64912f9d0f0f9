/* tokenizer/char_class_internal.h - what pre-tokenisers and added tokens ask about characters.
 *
 * The table is filled through text/regex.h, so that the scanners agree with the regular expressions
 * they stand for, and completed for characters that only the reference's Unicode tables know.
 * Thread-safety: immutable. */
#pragma once

#include "base/error.h"

MG_BEGIN_C

enum {
    MG_CLASS_LETTER = 1, /* \p{L} */
    MG_CLASS_NUMBER = 2, /* \p{N} */
    MG_CLASS_SPACE = 4,  /* \s */
    MG_CLASS_UPPER = 8,  /* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
    MG_CLASS_LOWER = 16, /* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
    MG_CLASS_WORD = 32   /* \w of Unicode TR 18: Alphabetic, M, Nd, Pc, joiners */
};

/* Planes 0 to 3 and the first 4096 code points of plane 14; the rest has no class. */
#define MG_CLASS_PLANES 0x40000
#define MG_CLASS_TAGS 0x1000

typedef struct mg_char_classes {
    uint8_t bits[MG_CLASS_PLANES + MG_CLASS_TAGS];
} mg_char_classes;

/* Ended by mg_free. */
MG_MUST_CHECK mg_status mg_char_classes_create(mg_char_classes **classes_out, mg_error *err);

static inline unsigned mg_char_class(const mg_char_classes *classes, int32_t c)
{
    if (c < MG_CLASS_PLANES) {
        return classes->bits[c];
    }
    return (c >> 12) == 0xE0 ? classes->bits[MG_CLASS_PLANES + (c & (MG_CLASS_TAGS - 1))] : 0;
}

MG_END_C
