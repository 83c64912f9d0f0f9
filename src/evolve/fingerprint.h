/* evolve/fingerprint.h - what a search must keep to be continued: models, tasks, genes, seed.
 *
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "store/store.h"

MG_BEGIN_C

/* Named facts of a run, in order.  Zero-initialised is empty. */
typedef struct mg_fingerprint {
    mg_buf text; /* "NAME\tVALUE\n" lines; line ends and tabs inside are spelled */
} mg_fingerprint;

void mg_fingerprint_release(mg_fingerprint *fingerprint);
/* name is what a person is told when value differs: "the model mini-ja". */
void mg_fingerprint_add(mg_fingerprint *fingerprint, const char *name, const char *format, ...)
    MG_PRINTF(3, 4);
/* Stores the facts in a new run; in an old one, differing or missing facts are MG_ERR_CONFIG, all
 * of them named. */
MG_MUST_CHECK mg_status mg_fingerprint_check(const mg_fingerprint *fingerprint, mg_store *store,
                                             const char *folder, mg_error *err);

MG_END_C
