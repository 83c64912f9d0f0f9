/* tokenizer/chars_internal.h - code points of text that is known to be valid UTF-8.
 *
 * Everything behind mg_tokenizer_encode's check works on valid text, so decoding needs no tests.
 * Thread-safety: pure functions. */
#pragma once

#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

/* U+2581, the space of SentencePiece vocabularies. */
#define MG_METASPACE "\xE2\x96\x81"
#define MG_METASPACE_CHAR 0x2581

/* The code point at p and its length in bytes. */
static inline int32_t mg_char_decode(const char *p, size_t *bytes_out)
{
    unsigned char a = (unsigned char)p[0];
    if (a < 0x80) {
        *bytes_out = 1;
        return a;
    }
    if (a < 0xE0) {
        *bytes_out = 2;
        return ((a & 0x1F) << 6) | (p[1] & 0x3F);
    }
    if (a < 0xF0) {
        *bytes_out = 3;
        return ((a & 0x0F) << 12) | ((p[1] & 0x3F) << 6) | (p[2] & 0x3F);
    }
    *bytes_out = 4;
    return ((a & 0x07) << 18) | ((p[1] & 0x3F) << 12) | ((p[2] & 0x3F) << 6) | (p[3] & 0x3F);
}

/* Length in bytes of the code point that starts with lead. */
static inline size_t mg_char_bytes(char lead)
{
    unsigned char a = (unsigned char)lead;
    return a < 0x80 ? 1 : a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
}

/* Start of the code point that ends before offset (> 0). */
static inline size_t mg_char_before(mg_str text, size_t offset)
{
    do {
        offset--;
    } while (offset > 0 && ((unsigned char)text.data[offset] & 0xC0) == 0x80);
    return offset;
}

MG_END_C
