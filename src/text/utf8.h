/* text/utf8.h - UTF-8 and Unicode properties (utf8proc).
 *
 * Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

/* Decodes the code point at offset (< size) and its length in bytes; an invalid byte gives -1 and
 * the length of the maximal ill-formed prefix (at least 1). */
int32_t mg_utf8_decode(mg_str s, size_t offset, size_t *bytes_out);
/* Writes 1 to 4 bytes; returns how many. */
size_t mg_utf8_encode(int32_t code_point, char out[4]);
bool mg_utf8_valid(mg_str s);
/* Appends s with every maximal ill-formed sequence replaced by U+FFFD. */
void mg_utf8_repair(mg_buf *buf, mg_str s);
int64_t mg_utf8_count(mg_str s); /* code points */
/* Byte offset of the index-th code point, clamped to size. */
size_t mg_utf8_offset(mg_str s, int64_t index);

bool mg_unicode_is_letter(int32_t c);       /* L* */
bool mg_unicode_is_number(int32_t c);       /* N* */
bool mg_unicode_is_decimal(int32_t c);      /* Nd */
bool mg_unicode_is_mark(int32_t c);         /* M* */
bool mg_unicode_is_punctuation(int32_t c);  /* P* */
bool mg_unicode_is_white_space(int32_t c);  /* the White_Space property */
bool mg_unicode_is_python_space(int32_t c); /* str.isspace: White_Space and U+001C-001F */
bool mg_unicode_is_word(int32_t c);         /* \w: letters, marks, numbers, connector punctuation */
bool mg_unicode_is_printable(int32_t c);    /* str.isprintable */
bool mg_unicode_is_lower(int32_t c);        /* Ll */
bool mg_unicode_is_upper(int32_t c);        /* Lu */

typedef enum mg_normal_form { MG_NFC, MG_NFD, MG_NFKC, MG_NFKD } mg_normal_form;
/* Appends the normal form of valid text. */
void mg_unicode_normalize(mg_buf *buf, mg_str text, mg_normal_form form);
/* Appends str.lower() and str.upper() of valid text: full mappings, final sigma. */
void mg_unicode_lower(mg_buf *buf, mg_str text);
void mg_unicode_upper(mg_buf *buf, mg_str text);
int32_t mg_unicode_lower_char(int32_t c);      /* the simple mapping of one code point */
void mg_unicode_title(mg_buf *buf, int32_t c); /* appends the title case of one code point */
mg_str mg_unicode_trim(mg_str s, bool left, bool right); /* Python white space */

MG_END_C
