/* tokenizer/vocab_json_internal.h - the two large sections of tokenizer.json, read as a stream.
 *
 * `vocab` and `merges` hold hundreds of thousands of strings; a document tree of them would take
 * most of the loading time.  They are cut out of the text, read by the scanner here, and the small
 * rest goes through text/json.h.  The scanner is strict about what it reads. Thread-safety:
 * functions are independent. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/vocab_internal.h"

MG_BEGIN_C

typedef struct mg_model_sections {
    mg_str vocab;  /* JSON text of model.vocab, empty when there is none */
    mg_str merges; /* of model.merges */
    mg_buf rest;   /* the document with null in their places */
} mg_model_sections;
void mg_model_sections_release(mg_model_sections *sections); /* NULL or zeroed is fine */
/* The views borrow from text.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_model_sections_find(mg_str text, mg_model_sections *sections_out,
                                               mg_error *err);

/* {"token": id, ...} */
MG_MUST_CHECK mg_status mg_vocab_read_map(mg_str json, mg_vocab *vocab, mg_error *err);

/* [["piece", score], ...]: *scores_out belongs to the caller (mg_free), one for each id. */
MG_MUST_CHECK mg_status mg_vocab_read_pieces(mg_str json, mg_vocab *vocab, double **scores_out,
                                             mg_error *err);

/* Called for every merge; left and right are borrowed for the call. */
typedef mg_status mg_merge_sink(void *context, mg_str left, mg_str right, mg_error *err);
/* ["left right", ...] or [["left", "right"], ...] */
MG_MUST_CHECK mg_status mg_merges_read(mg_str json, mg_merge_sink *sink, void *context,
                                       mg_error *err);

MG_END_C
