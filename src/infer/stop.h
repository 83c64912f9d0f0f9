/* infer/stop.h - stop strings, looked for in decoded text (tokenizers.md 7.4, tasks.md 10.4).
 *
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

/* The stop strings of a request.  They are borrowed. */
typedef struct mg_stops {
    const mg_str *texts;
    int64_t count;
    int64_t look_back; /* tokens: the longest stop string and two more */
} mg_stops;

MG_MUST_CHECK mg_status mg_stops_make(const mg_tokenizer *tokenizer, const mg_str *texts,
                                      int64_t count, mg_stops *stops_out, mg_error *err);
/* Whether the last tokens of a generation hold a stop string.  scratch is overwritten. */
bool mg_stops_hit(const mg_stops *stops, const mg_tokenizer *tokenizer, const int32_t *ids,
                  int64_t count, mg_buf *scratch);
/* For each stop string in turn, what comes before its first occurrence is kept. */
mg_str mg_stops_cut(const mg_stops *stops, mg_str text);
/* The part of an unfinished text that no later token can change: without an incomplete character
 * and the beginning of a stop string at its end. */
mg_str mg_stops_certain(const mg_stops *stops, mg_str text);

MG_END_C
