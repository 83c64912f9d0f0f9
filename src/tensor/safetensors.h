/* tensor/safetensors.h - read-only access to one .safetensors file, and a writer of one.
 *
 * The file is mapped, not read: opening costs the header only.  The header comes from outside and
 * is checked in full on open (models.md 7), so every view handed out later is known to lie inside
 * the mapping.  Thread-safety: immutable after open; share it freely. */
#pragma once

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "tensor/view.h"

MG_BEGIN_C

typedef struct mg_safetensors mg_safetensors;

/* Maps the file at path.  On success *file_out belongs to the caller, who ends it with
 * mg_safetensors_close; on failure it is NULL.  MG_ERR_NOT_FOUND, MG_ERR_IO, MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_safetensors_open(const char *path, mg_safetensors **file_out,
                                            mg_error *err);
void mg_safetensors_close(mg_safetensors *file); /* NULL is fine */

int64_t mg_safetensors_count(const mg_safetensors *file);
/* The index-th tensor in the order of the names.  The view borrows from file. */
mg_view mg_safetensors_at(const mg_safetensors *file, int64_t index);
/* Finds a tensor by name.  The view borrows from file: it ends with mg_safetensors_close. */
MG_MUST_CHECK mg_status mg_safetensors_find(const mg_safetensors *file, mg_str name,
                                            mg_view *view_out, mg_error *err);

/* Parses a header alone (for tests and fuzzing): text is the JSON, data_bytes what follows it. */
MG_MUST_CHECK mg_status mg_safetensors_check_header(mg_str text, size_t data_bytes, mg_error *err);

/* Writes one file: "format": "pt", tensors by dtype rank, then name (models.md 7), fsynced.
 * The views' data are written as they are.  MG_ERR_IO, MG_ERR_SPACE. */
MG_MUST_CHECK mg_status mg_safetensors_write(const char *path, const mg_view *tensors,
                                             int64_t count, mg_error *err);

MG_END_C
