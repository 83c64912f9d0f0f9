/* data/unpack_internal.h - the compression methods that Parquet pages and Arrow buffers use.
 *
 * Thread-safety: functions are independent. */
#pragma once

#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

typedef enum mg_packing {
    MG_PACKED_SNAPPY,
    MG_PACKED_GZIP,
    MG_PACKED_BROTLI,
    MG_PACKED_LZ4_BLOCK,
    MG_PACKED_LZ4_HADOOP, /* blocks with their lengths in front, or one bare block */
    MG_PACKED_LZ4_FRAME,
    MG_PACKED_ZSTD
} mg_packing;

/* Unpacks into exactly size bytes at out; false when the data is damaged or gives another size. */
bool mg_unpack(mg_packing packing, mg_str packed, void *out, size_t size);

MG_END_C
