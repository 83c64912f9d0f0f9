/* base/hash.c - XXH3 through libxxhash. */
#include "base/hash.h"

#include <stdio.h>

#include <xxhash.h>

#include "base/error.h"
#include "base/memory.h"

struct mg_hasher {
    XXH3_state_t *state;
};

uint64_t mg_hash64(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(size > 0 ? data : "", size, seed);
}

mg_hasher *mg_hasher_create(void)
{
    mg_hasher *hasher = mg_new(mg_hasher);
    hasher->state = XXH3_createState();
    MG_ASSERT(hasher->state != NULL);
    (void)XXH3_128bits_reset(hasher->state);
    return hasher;
}

void mg_hasher_add(mg_hasher *hasher, const void *data, size_t size)
{
    if (size > 0) {
        (void)XXH3_128bits_update(hasher->state, data, size);
    }
}

void mg_hasher_text(const mg_hasher *hasher, char text_out[MG_HASH_TEXT_BYTES])
{
    XXH128_hash_t hash = XXH3_128bits_digest(hasher->state);
    (void)snprintf(text_out, MG_HASH_TEXT_BYTES, "%016llx%016llx", (unsigned long long)hash.high64,
                   (unsigned long long)hash.low64);
}

void mg_hasher_destroy(mg_hasher *hasher)
{
    if (hasher != NULL) {
        (void)XXH3_freeState(hasher->state);
        mg_free(hasher);
    }
}
