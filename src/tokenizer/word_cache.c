/* tokenizer/word_cache.c - a fixed table of pointers to immutable entries. */
#include "tokenizer/word_cache_internal.h"

#include "base/hash.h"
#include "base/memory.h"

#include <stdatomic.h>

#define SLOTS 65536u
#define PROBES 4u

typedef struct entry {
    uint64_t hash;
    uint16_t word_bytes;
    uint16_t id_count;
    int32_t ids[]; /* then the bytes of the word */
} entry;

struct mg_word_cache {
    _Atomic(entry *) slots[SLOTS];
};

mg_word_cache *mg_word_cache_create(void)
{
    return mg_new(mg_word_cache);
}

void mg_word_cache_destroy(mg_word_cache *cache)
{
    if (cache != NULL) {
        for (uint32_t i = 0; i < SLOTS; i++) {
            mg_free(atomic_load_explicit(&cache->slots[i], memory_order_relaxed));
        }
        mg_free(cache);
    }
}

uint64_t mg_word_cache_hash(mg_str word)
{
    return mg_hash64(word.data, word.size, 0);
}

static bool holds(const entry *e, mg_str word, uint64_t hash)
{
    return e->hash == hash && e->word_bytes == word.size &&
           memcmp(&e->ids[e->id_count], word.data, word.size) == 0;
}

bool mg_word_cache_get(const mg_word_cache *cache, mg_str word, uint64_t hash, mg_ids *ids_out)
{
    for (uint32_t i = 0; i < PROBES; i++) {
        const entry *e =
            atomic_load_explicit(&cache->slots[(hash + i) & (SLOTS - 1)], memory_order_acquire);
        if (e == NULL) {
            return false;
        }
        if (holds(e, word, hash)) {
            for (int64_t k = 0; k < e->id_count; k++) {
                mg_ids_add(ids_out, e->ids[k]);
            }
            return true;
        }
    }
    return false;
}

void mg_word_cache_put(mg_word_cache *cache, mg_str word, uint64_t hash, const int32_t *ids,
                       int64_t count)
{
    if (word.size == 0 || word.size > MG_WORD_CACHE_KEY_BYTES || count > MG_WORD_CACHE_IDS) {
        return;
    }
    for (uint32_t i = 0; i < PROBES; i++) {
        _Atomic(entry *) *slot = &cache->slots[(hash + i) & (SLOTS - 1)];
        entry *e = atomic_load_explicit(slot, memory_order_acquire);
        if (e != NULL && holds(e, word, hash)) {
            return;
        }
        if (e == NULL) {
            size_t id_bytes = (size_t)count * sizeof(int32_t);
            entry *made = mg_memory_new(1, sizeof(entry) + id_bytes + word.size);
            made->hash = hash;
            made->word_bytes = (uint16_t)word.size;
            made->id_count = (uint16_t)count;
            for (int64_t k = 0; k < count; k++) {
                made->ids[k] = ids[k];
            }
            memcpy(&made->ids[count], word.data, word.size);
            entry *expected = NULL;
            if (!atomic_compare_exchange_strong(slot, &expected, made)) {
                mg_free(made);
            }
            return;
        }
    }
}
