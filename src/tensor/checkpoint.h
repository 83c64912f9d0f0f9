/* tensor/checkpoint.h - all weight files of one model folder as one name space.
 *
 * Looks for model.safetensors, then its index, then pytorch_model.bin and its index (models.md 1).
 * Files are mapped when opened; nothing is read until a view is used.
 * Thread-safety: immutable after open; share it freely. */
#pragma once

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "tensor/view.h"

MG_BEGIN_C

typedef struct mg_checkpoint mg_checkpoint;

/* MG_ERR_NOT_FOUND when folder holds no weights, MG_ERR_FORMAT for a damaged file or index. */
MG_MUST_CHECK mg_status mg_checkpoint_open(const char *folder, mg_checkpoint **checkpoint_out,
                                           mg_error *err);
/* One weight file by itself, safetensors or PyTorch (told by its first bytes): an adapter, a shard.
 */
MG_MUST_CHECK mg_status mg_checkpoint_open_file(const char *path, mg_checkpoint **checkpoint_out,
                                                mg_error *err);
void mg_checkpoint_close(mg_checkpoint *checkpoint); /* NULL is fine */

int64_t mg_checkpoint_count(const mg_checkpoint *checkpoint);
/* The index-th tensor by name order (bytes).  Views borrow from the checkpoint. */
mg_view mg_checkpoint_at(const mg_checkpoint *checkpoint, int64_t index);
/* NULL when there is no tensor of that name. */
const mg_view *mg_checkpoint_find(const mg_checkpoint *checkpoint, mg_str name);
size_t mg_checkpoint_bytes(const mg_checkpoint *checkpoint); /* of all tensors */
/* 32 hex digits: a content hash of names, types, shapes and data (buffer of MG_HASH_TEXT_BYTES). */
void mg_checkpoint_hash(const mg_checkpoint *checkpoint, char *text_out);

/* To be called before a view is read: checks that its file has not shrunk since it was opened
 * (reading behind the end of a mapped file kills the process), and asks the system to read the data
 * ahead. MG_ERR_IO. */
MG_MUST_CHECK mg_status mg_checkpoint_prepare(const mg_checkpoint *checkpoint, const mg_view *view,
                                              mg_error *err);
/* How many bytes of a view the system holds in its cache now, to the page: those are read fast. */
size_t mg_checkpoint_cached_bytes(const mg_checkpoint *checkpoint, const mg_view *view);
/* Gives the pages of a view back, so that they do not count as memory of this process; reading it
 * again brings them back. */
void mg_checkpoint_forget(const mg_checkpoint *checkpoint, const mg_view *view);

MG_END_C
