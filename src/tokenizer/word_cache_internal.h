/* tokenizer/word_cache_internal.h - words that were encoded before, and their ids.
 *
 * Results never depend on it.  An entry is written once, put in a free slot with one atomic
 * exchange and stays until the end; when its slots are taken a word is simply not kept.
 * Thread-safety: locked inside (without locks). */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

#define MG_WORD_CACHE_KEY_BYTES 64
#define MG_WORD_CACHE_IDS 32

typedef struct mg_word_cache mg_word_cache;

mg_word_cache *mg_word_cache_create(void);
void mg_word_cache_destroy(mg_word_cache *cache); /* NULL is fine */
/* Only words of at most MG_WORD_CACHE_KEY_BYTES bytes are kept. */
uint64_t mg_word_cache_hash(mg_str word);
/* Appends the ids of word; false when it is not there. */
bool mg_word_cache_get(const mg_word_cache *cache, mg_str word, uint64_t hash, mg_ids *ids_out);
void mg_word_cache_put(mg_word_cache *cache, mg_str word, uint64_t hash, const int32_t *ids,
                       int64_t count);

MG_END_C
