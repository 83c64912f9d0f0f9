/* tokenizer/base64_internal.h - base64 as tokenizer files use it.
 *
 * Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

MG_BEGIN_C

/* Appends the bytes that text stands for; trailing '=' may be missing.  false (and bytes as far as
 * they were read) on any other character. */
bool mg_base64_decode(mg_buf *bytes, mg_str text);

MG_END_C
