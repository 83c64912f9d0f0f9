/* tokenizer/unicode_gap_internal.h - code points that the tokenizers library knows otherwise.
 *
 * Its normalisation and punctuation come from crates with tables older than ours (Unicode 8 to 12),
 * its digits and character classes from newer ones (Unicode 16).  Ids must be equal to its, so the
 * differences are listed here; they were found by asking it about every code point.
 * Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"

MG_BEGIN_C

/* Characters that have bits of char_class_internal.h for the library only; both ends belong to the
 * range. */
typedef struct mg_class_range {
    int32_t first;
    int32_t last;
    uint8_t bits;
} mg_class_range;
/* *ranges_out points to all of them; returns how many. */
int64_t mg_reference_early_classes(const mg_class_range **ranges_out);

bool mg_reference_is_punctuation(int32_t c); /* category P */
bool mg_reference_is_number(int32_t c);      /* category N */
bool mg_reference_is_mark(int32_t c);        /* category M */
/* No normal form changes c or moves it: it was not assigned yet. */
bool mg_reference_never_normalizes(int32_t c);
MG_END_C
