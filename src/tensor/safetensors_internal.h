/* tensor/safetensors_internal.h - the header of a safetensors file. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/str.h"
#include "tensor/safetensors.h"
#include "tensor/view.h"

MG_BEGIN_C

#define MG_SAFETENSORS_HEADER_BYTES_MAX ((size_t)100000000)

typedef struct mg_header_entry {
    mg_view view; /* data is NULL */
    size_t begin; /* offsets from the start of the data */
    size_t end;
} mg_header_entry;

/* Names are borrowed from the text, or live in the arena when they had escapes. */
typedef struct mg_header {
    mg_arena arena;
    mg_header_entry *entries; /* in name order */
    int64_t count;
    int64_t cap;
} mg_header;

/* Parses text, which data_bytes of data follow, and checks every rule.  Zero *header first; end it
 * with mg_header_release in any case.  MG_ERR_FORMAT, MG_ERR_MEMORY. */
MG_MUST_CHECK mg_status mg_header_parse(mg_str text, size_t data_bytes, mg_header *header,
                                        mg_error *err);
void mg_header_release(mg_header *header);

/* The order in which a writer lays out the data of a file: dtype rank, then name. */
int mg_data_order(const mg_view *a, const mg_view *b);

/* Appends the length word and the JSON header for count tensors in the order of ordered; the data
 * follow in that order without holes. */
void mg_header_write(mg_buf *buf, const mg_view *const *ordered, int64_t count);

/* The mapped file; borrowed. */
mg_mapping mg_safetensors_mapping(const mg_safetensors *file);

/* pwrite until all is written.  MG_ERR_IO, MG_ERR_SPACE; messages name path. */
MG_MUST_CHECK mg_status mg_write_at(int fd, const char *path, const void *data, size_t size,
                                    size_t offset, mg_error *err);
/* Creates path for writing, replacing what is there, with room for size bytes where the file system
 * can promise it. */
MG_MUST_CHECK mg_status mg_create_file(const char *path, size_t size, int *fd_out, mg_error *err);
/* fsync and close; *fd becomes -1 in any case. */
MG_MUST_CHECK mg_status mg_finish_file(int *fd, const char *path, mg_error *err);
MG_MUST_CHECK mg_status mg_rename_file(const char *from, const char *to, mg_error *err);

MG_END_C
