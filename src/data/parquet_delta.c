/* data/parquet_delta.c - Parquet's delta encodings of integers and of byte arrays.
 *
 *   DELTA_BINARY_PACKED     varints: block size, miniblocks of a block, count; zigzag first value;
 *                           then blocks: zigzag smallest delta, one bit width for each miniblock,
 *                           the packed differences from the smallest delta
 *   DELTA_LENGTH_BYTE_ARRAY lengths so encoded, then all bytes
 *   DELTA_BYTE_ARRAY        lengths of the prefix shared with the value before, then the rest as in
 *                           DELTA_LENGTH_BYTE_ARRAY */
#include "data/parquet_internal.h"

static bool read_varint(mg_str *bytes, uint64_t *value_out)
{
    *value_out = 0;
    for (int shift = 0; shift < 64 && bytes->size > 0; shift += 7) {
        uint8_t byte = (uint8_t)bytes->data[0];
        *bytes = mg_str_slice(*bytes, 1, bytes->size);
        *value_out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return true;
        }
    }
    return false;
}

static uint64_t unzigzag(uint64_t value)
{
    return (value >> 1) ^ (0 - (value & 1));
}

/* Adds up one miniblock of differences; arithmetic wraps as the format says. */
static bool read_miniblock(mg_str *bytes, unsigned width, uint64_t smallest, int64_t size,
                           uint64_t *last, int64_t *values, int64_t count, int64_t *at)
{
    size_t packed = (size_t)size * width / 8;
    if (width > 64 || bytes->size < packed) {
        return false;
    }
    for (int64_t i = 0; i < size && *at < count; i++) {
        uint64_t difference = 0;
        for (unsigned b = 0; b < width; b++) {
            size_t bit = (size_t)i * width + b;
            uint64_t one = (uint64_t)((unsigned char)bytes->data[bit / 8] >> (bit % 8) & 1);
            difference |= one << b;
        }
        *last += smallest + difference;
        values[(*at)++] = (int64_t)*last;
    }
    *bytes = mg_str_slice(*bytes, packed, bytes->size);
    return true;
}

bool mg_parquet_delta_ints(mg_str *bytes, int64_t *values, int64_t count)
{
    uint64_t block;
    uint64_t minis;
    uint64_t total;
    uint64_t last;
    if (!read_varint(bytes, &block) || !read_varint(bytes, &minis) || !read_varint(bytes, &total) ||
        !read_varint(bytes, &last) || total != (uint64_t)count || minis == 0 || minis > 1024 ||
        block == 0 || block > 1 << 20 || block % minis != 0 || block / minis % 8 != 0) {
        return false;
    }
    last = unzigzag(last);
    int64_t at = 0;
    if (count > 0) {
        values[at++] = (int64_t)last;
    }
    while (at < count) {
        uint64_t smallest;
        if (!read_varint(bytes, &smallest) || bytes->size < minis) {
            return false;
        }
        smallest = unzigzag(smallest);
        mg_str widths = mg_str_slice(*bytes, 0, (size_t)minis);
        *bytes = mg_str_slice(*bytes, (size_t)minis, bytes->size);
        for (uint64_t m = 0; m < minis && at < count; m++) {
            if (!read_miniblock(bytes, (unsigned char)widths.data[m], smallest,
                                (int64_t)(block / minis), &last, values, count, &at)) {
                return false;
            }
        }
    }
    return true;
}

bool mg_parquet_delta_lengths(mg_str *bytes, mg_str *texts, int64_t count)
{
    int64_t *lengths = mg_new_array(int64_t, count + 1);
    bool good = mg_parquet_delta_ints(bytes, lengths, count);
    for (int64_t i = 0; good && i < count; i++) {
        good = lengths[i] >= 0 && (size_t)lengths[i] <= bytes->size;
        if (good) {
            texts[i] = mg_str_slice(*bytes, 0, (size_t)lengths[i]);
            *bytes = mg_str_slice(*bytes, (size_t)lengths[i], bytes->size);
        }
    }
    mg_free(lengths);
    return good;
}

bool mg_parquet_delta_prefixes(mg_str *bytes, int64_t *prefixes, mg_str *suffixes, int64_t count,
                               size_t *total_out)
{
    int64_t before = 0;
    *total_out = 0;
    if (!mg_parquet_delta_ints(bytes, prefixes, count) ||
        !mg_parquet_delta_lengths(bytes, suffixes, count)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        if (prefixes[i] < 0 || prefixes[i] > before) {
            return false;
        }
        before = prefixes[i] + (int64_t)suffixes[i].size;
        if (!mg_size_add(*total_out, (size_t)before, total_out)) {
            return false;
        }
    }
    return true;
}
