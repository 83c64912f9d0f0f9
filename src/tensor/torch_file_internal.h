/* tensor/torch_file_internal.h - a PyTorch checkpoint (.bin), read without running what is in it.
 */
#pragma once

#include "base/error.h"
#include "base/fs.h"
#include "tensor/view.h"

MG_BEGIN_C

typedef struct mg_torch_file mg_torch_file;

/* Maps the file at path: a zip archive (since PyTorch 1.6) or the form before it.  Views borrow
 * from the file; they lie in the mapping unless their strides had to be straightened.
 * MG_ERR_NOT_FOUND, MG_ERR_IO, MG_ERR_FORMAT, MG_ERR_UNSUPPORTED, MG_ERR_LIMIT, MG_ERR_MEMORY. */
MG_MUST_CHECK mg_status mg_torch_file_open(const char *path, mg_torch_file **file_out,
                                           mg_error *err);
/* The same for bytes in memory, which must outlive the file (for tests and fuzzing). */
MG_MUST_CHECK mg_status mg_torch_file_parse(const void *data, size_t size, mg_torch_file **file_out,
                                            mg_error *err);
void mg_torch_file_close(mg_torch_file *file); /* NULL is fine */

int64_t mg_torch_file_count(const mg_torch_file *file);
mg_view mg_torch_file_at(const mg_torch_file *file, int64_t index); /* in name order */
mg_mapping mg_torch_file_mapping(const mg_torch_file *file);        /* borrowed */

MG_END_C
