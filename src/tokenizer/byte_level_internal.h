/* tokenizer/byte_level_internal.h - bytes as printable characters, the alphabet of GPT-2
 * vocabularies.
 *
 * Bytes 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF stand for the code point of the same number, the other
 * 68, in order, for U+0100, U+0101 and so on.  Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

MG_BEGIN_C

/* Appends the character of every byte. */
void mg_byte_level_encode(mg_buf *buf, mg_str bytes);
/* Appends the bytes of every character; false (and nothing appended) when one is not in the
 * alphabet. */
bool mg_byte_level_decode(mg_buf *buf, mg_str text);

MG_END_C
