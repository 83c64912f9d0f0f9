/* infer/hopeless.h - answers that are given up before their end, where a task says so (evolution.md
 * 12.5).
 *
 * Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

#define MG_HOPELESS_GRAM 32     /* tokens that repeat */
#define MG_HOPELESS_TIMES 3     /* as often as this */
#define MG_HOPELESS_LANGUAGE 64 /* tokens in which one letter of the language must appear */

/* All zero: nothing is given up. */
typedef struct mg_hopeless {
    bool repeats;   /* once the last 32 tokens stand in the answer for the third time */
    int64_t script; /* 1 + index of mg_scripts: once 64 tokens hold no letter of it; 0 = any */
} mg_hopeless;

/* "japanese", "chinese", ... by index. */
extern const char *const mg_scripts[];
extern const int64_t mg_script_count;

/* Whether a letter of the script (an index of mg_scripts) is in text, which is UTF-8. */
bool mg_script_occurs(int64_t script, mg_str text);
/* Whether the generation of count tokens is given up now.  It is asked after every token; scratch
 * is overwritten. */
bool mg_hopeless_hit(const mg_hopeless *rules, const mg_tokenizer *tokenizer, const int32_t *ids,
                     int64_t count, mg_buf *scratch);

MG_END_C
