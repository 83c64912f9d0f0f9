/* data/unpack.c - see unpack_internal.h; the libraries check their input, we check the sizes. */
#include "data/unpack_internal.h"

#include <brotli/decode.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <limits.h>

static bool unpack_gzip(mg_str packed, void *out, size_t size)
{
    z_stream stream = { 0 };
    union {
        const char *read;
        Bytef *given;
    } input = { .read = packed.data }; /* zlib's old interface lacks const */
    if (packed.size > UINT_MAX || size > UINT_MAX || inflateInit2(&stream, 15 + 32) != Z_OK) {
        return false;
    }
    stream.next_in = input.given;
    stream.avail_in = (uInt)packed.size;
    stream.next_out = out;
    stream.avail_out = (uInt)size;
    bool good = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
    inflateEnd(&stream);
    return good;
}

static bool unpack_snappy(mg_str packed, void *out, size_t size)
{
    size_t stated;
    return snappy_uncompressed_length(packed.data, packed.size, &stated) == SNAPPY_OK &&
           stated == size && snappy_uncompress(packed.data, packed.size, out, &stated) == SNAPPY_OK;
}

static bool unpack_block(mg_str packed, void *out, size_t size)
{
    return packed.size <= INT_MAX && size <= INT_MAX &&
           LZ4_decompress_safe(packed.data, out, (int)packed.size, (int)size) == (int)size;
}

static size_t load_big_endian(const char *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

/* u32 unpacked bytes, u32 packed bytes, a block; again and again. */
static bool unpack_hadoop(mg_str packed, unsigned char *out, size_t size)
{
    size_t done = 0;
    size_t at = 0;
    while (packed.size - at >= 8) {
        size_t unpacked = load_big_endian(packed.data + at);
        size_t bytes = load_big_endian(packed.data + at + 4);
        at += 8;
        if (bytes > packed.size - at || unpacked > size - done ||
            !unpack_block(mg_str_slice(packed, at, at + bytes), out + done, unpacked)) {
            return false;
        }
        at += bytes;
        done += unpacked;
    }
    return at == packed.size && done == size;
}

static bool unpack_frame(mg_str packed, unsigned char *out, size_t size)
{
    LZ4F_dctx *context;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) {
        return false;
    }
    size_t at = 0;
    size_t done = 0;
    size_t hint = 1; /* 0 = the frame is whole */
    bool moves = true;
    while (moves && hint != 0 && !LZ4F_isError(hint)) {
        size_t in = packed.size - at;
        size_t room = size - done;
        hint = LZ4F_decompress(context, out + done, &room, packed.data + at, &in, NULL);
        moves = in > 0 || room > 0;
        at += in;
        done += room;
    }
    LZ4F_freeDecompressionContext(context);
    return hint == 0 && at == packed.size && done == size;
}

bool mg_unpack(mg_packing packing, mg_str packed, void *out, size_t size)
{
    size_t got = size;
    switch (packing) {
    case MG_PACKED_SNAPPY:
        return unpack_snappy(packed, out, size);
    case MG_PACKED_GZIP:
        return unpack_gzip(packed, out, size);
    case MG_PACKED_BROTLI:
        return BrotliDecoderDecompress(packed.size, (const uint8_t *)packed.data, &got, out) ==
                   BROTLI_DECODER_RESULT_SUCCESS &&
               got == size;
    case MG_PACKED_LZ4_BLOCK:
        return unpack_block(packed, out, size);
    case MG_PACKED_LZ4_HADOOP:
        return unpack_hadoop(packed, out, size) || unpack_block(packed, out, size);
    case MG_PACKED_LZ4_FRAME:
        return unpack_frame(packed, out, size);
    case MG_PACKED_ZSTD:
        got = ZSTD_decompress(out, size, packed.data, packed.size);
        return !ZSTD_isError(got) && got == size;
    }
    return false;
}
