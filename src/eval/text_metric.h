/* eval/text_metric.h - corpus BLEU, chrF, chrF++ and TER with sacrebleu's defaults.
 *
 * Each pair is counted once; the value of a resample is a sum over its pairs.
 * Thread-safety: immutable after creation. */
#pragma once

#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

typedef enum mg_text_metric_kind {
    MG_TEXT_BLEU,       /* 13a tokens, n-grams up to 4, exponential smoothing */
    MG_TEXT_CHRF,       /* characters up to 6, beta 2 */
    MG_TEXT_CHRF_WORDS, /* chrF++: words up to 2 besides */
    MG_TEXT_TER         /* edits for each wanted word, in lower case */
} mg_text_metric_kind;

typedef struct mg_text_metric mg_text_metric;

/* pairs are lists [reference or list of references, response].  MG_ERR_FORMAT, MG_ERR_LIMIT. */
MG_MUST_CHECK mg_status mg_text_metric_create(mg_text_metric_kind kind,
                                              const mg_value *const *pairs, int64_t count,
                                              mg_text_metric **metric_out, mg_error *err);
void mg_text_metric_destroy(mg_text_metric *metric); /* NULL is fine */
/* The score of all pairs (draw NULL), or of the count pairs that draw lists. */
double mg_text_metric_value(const mg_text_metric *metric, const int32_t *draw);

MG_END_C
