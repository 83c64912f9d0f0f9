/* merge/tokenizer_files_internal.h - the files of a tokenizer that a merge has built. */
#pragma once

#include "merge/vocabulary.h"

MG_BEGIN_C

/* Writes vocabulary's tokenizer into the folder to: tokenizer.json, and what describes it from the
 * folder of its source, with the list of added tokens brought up to date.  MG_ERR_IO,
 * MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_tokenizer_files_write(const mg_vocabulary *vocabulary, const char *to,
                                                 mg_arena *arena, mg_error *err);

MG_END_C
