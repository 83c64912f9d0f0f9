/* data/gzip.c - gzip files through zlib, members one after the other, bounded in size. */
#include "data/dataset_internal.h"

#include <zlib.h>

#include <limits.h>

#define FIRST_BYTES ((size_t)1 << 16)

/* Doubles the block at *out; false at the limit. */
static mg_status grow(mg_bytes *out, size_t *cap, size_t bytes_max, const char *name, mg_error *err)
{
    if (*cap >= bytes_max) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: unpacks to more than %zu bytes", name, bytes_max);
    }
    size_t more = MG_MIN(*cap * 2, bytes_max);
    out->data = mg_memory_resize(out->data, (int64_t)more + 1, 1);
    *cap = more;
    return MG_OK;
}

mg_status mg_gunzip(mg_str bytes, const char *name, size_t bytes_max, mg_bytes *out, mg_error *err)
{
    mg_status status = MG_OK;
    size_t cap = MG_MIN(FIRST_BYTES, bytes_max);
    size_t consumed = 0;
    z_stream stream = { 0 };
    *out = (mg_bytes){ 0 };
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
        return mg_fail(err, MG_ERR_MEMORY, "%s: no memory to unpack it", name);
    }
    out->data = mg_memory_resize(NULL, (int64_t)cap + 1, 1);
    while (true) {
        size_t piece = MG_MIN(bytes.size - consumed, (size_t)INT_MAX);
        size_t room = MG_MIN(cap - out->size, (size_t)INT_MAX);
        union {
            const char *read;
            Bytef *given;
        } input = { .read = bytes.data + consumed }; /* zlib's old interface lacks const */
        stream.next_in = input.given;
        stream.avail_in = (uInt)piece;
        stream.next_out = out->data + out->size;
        stream.avail_out = (uInt)room;
        int code = inflate(&stream, Z_NO_FLUSH);
        consumed += piece - stream.avail_in;
        out->size += room - stream.avail_out;
        if (code == Z_STREAM_END) {
            if (consumed == bytes.size) {
                break;
            }
            if (inflateReset(&stream) != Z_OK) {
                status = mg_fail(err, MG_ERR_FORMAT, "%s: damaged gzip data", name);
                goto done;
            }
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            status = mg_fail(err, MG_ERR_FORMAT, "%s: damaged gzip data", name);
            goto done;
        } else if (out->size == cap) {
            MG_TRY_OR_DONE(grow(out, &cap, bytes_max, name, err));
        } else if (consumed == bytes.size) {
            status = mg_fail(err, MG_ERR_FORMAT, "%s: gzip data ends too early", name);
            goto done;
        }
    }
    out->data[out->size] = '\0';

done:
    inflateEnd(&stream);
    if (status != MG_OK) {
        mg_bytes_release(out);
    }
    return status;
}
