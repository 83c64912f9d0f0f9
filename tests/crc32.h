/* tests/crc32.h - the checksum of goldens: CRC-32, as Python's zlib.crc32 gives it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <zlib.h>

static inline uint32_t test_crc32(const void *data, size_t size)
{
    return (uint32_t)crc32_z(0, (const unsigned char *)data, size);
}
