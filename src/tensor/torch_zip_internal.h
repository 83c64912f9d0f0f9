/* tensor/torch_zip_internal.h - the directory of a zip archive of stored (uncompressed) members. */
#pragma once

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_zip_entry {
    mg_str name; /* borrowed from the archive */
    size_t header_offset;
    size_t offset; /* of the data */
    size_t bytes;
} mg_zip_entry;

/* Zero-initialised is empty. */
typedef struct mg_zip {
    mg_zip_entry *entries; /* in the order of their data */
    int64_t count;
    mg_map by_name;
} mg_zip;

/* Reads and checks the directory of the archive in data: every member is stored, lies inside,
 * overlaps no other and has a name of its own.  End it with mg_zip_release in any case.
 * MG_ERR_FORMAT, MG_ERR_UNSUPPORTED, MG_ERR_MEMORY. */
MG_MUST_CHECK mg_status mg_zip_read(const unsigned char *data, size_t size, mg_zip *zip,
                                    mg_error *err);
void mg_zip_release(mg_zip *zip);
/* NULL when there is no member of that name. */
const mg_zip_entry *mg_zip_find(const mg_zip *zip, mg_str name);

MG_END_C
