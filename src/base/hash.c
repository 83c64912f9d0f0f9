/* base/hash.c - XXH3 through libxxhash, CRC-32 by tables. */
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

#define CRC_LANES 8 /* bytes of one step of a long text */

static uint32_t crc_byte(uint32_t crc, unsigned char byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++) {
        crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return crc;
}

/* Takes whole steps of bytes; table k has what a byte gives after k more bytes of zero. */
static uint32_t crc_steps(uint32_t crc, const unsigned char *bytes, size_t steps)
{
    uint32_t tables[CRC_LANES][256];
    for (int i = 0; i < 256; i++) {
        tables[0][i] = crc_byte(0, (unsigned char)i);
    }
    for (int k = 1; k < CRC_LANES; k++) {
        for (int i = 0; i < 256; i++) {
            uint32_t before = tables[k - 1][i];
            tables[k][i] = (before >> 8) ^ tables[0][before & 0xFFu];
        }
    }
    for (size_t step = 0; step < steps; step++, bytes += CRC_LANES) {
        uint32_t next = 0;
        for (int i = 0; i < CRC_LANES; i++) {
            unsigned char mask = i < 4 ? (unsigned char)(crc >> (8 * i)) : 0;
            next ^= tables[CRC_LANES - 1 - i][bytes[i] ^ mask];
        }
        crc = next;
    }
    return crc;
}

uint32_t mg_crc32(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = 0xFFFFFFFFu;
    size_t done = 0;
    if (size >= 4096) { /* the tables cost about that */
        done = size / CRC_LANES * CRC_LANES;
        crc = crc_steps(crc, bytes, done / CRC_LANES);
    }
    for (size_t i = done; i < size; i++) {
        crc = crc_byte(crc, bytes[i]);
    }
    return ~crc;
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
