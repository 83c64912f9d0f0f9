/* base/fs.h - files and folders: bounded reads, mappings, and outputs that appear whole or not at
 * all.
 *
 * Paths are UTF-8 C strings.  Thread-safety: functions are independent; objects belong to one
 * thread. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/str.h"

MG_BEGIN_C

/* Reads a regular file of at most bytes_max bytes whole.  *bytes_out belongs to the caller, who
 * ends it with mg_bytes_release.  MG_ERR_NOT_FOUND, MG_ERR_IO, MG_ERR_LIMIT, MG_ERR_MEMORY. */
MG_MUST_CHECK mg_status mg_file_read(const char *path, size_t bytes_max, mg_bytes *bytes_out,
                                     mg_error *err);

/* Where a file written as path ends up: path itself, or what its symbolic links lead to, which need
 * not be there yet.  *target_out lives in arena.  MG_ERR_IO for links without end. */
MG_MUST_CHECK mg_status mg_file_target(mg_arena *arena, const char *path, const char **target_out,
                                       mg_error *err);
/* Writes text to path, through links, by way of a temporary sibling: write, fsync, rename, fsync of
 * the folder.  MG_ERR_IO, also for a device, pipe or folder, which the rename would replace;
 * MG_ERR_SPACE. */
MG_MUST_CHECK mg_status mg_file_write_atomic(const char *path, mg_str text, mg_error *err);
MG_MUST_CHECK mg_status mg_file_copy(const char *from, const char *to, mg_error *err);

bool mg_path_exists(const char *path);
bool mg_path_is_folder(const char *path);
bool mg_path_is_file(const char *path);
bool mg_path_is_link(const char *path); /* symbolic, wherever it leads */
/* "a/b": folder and name joined by one slash; an absolute name wins. */
mg_str mg_path_join(mg_arena *arena, const char *folder, const char *name);
/* The part before the last slash ("." when there is none), and the part behind it (trailing slashes
 * ignored). */
mg_str mg_path_folder(mg_arena *arena, const char *path);
mg_str mg_path_name(mg_arena *arena, const char *path);
/* Absolute path with links resolved; MG_ERR_NOT_FOUND. */
MG_MUST_CHECK mg_status mg_path_real(mg_arena *arena, const char *path, mg_str *path_out,
                                     mg_error *err);
MG_MUST_CHECK mg_status mg_folder_make(const char *path, mg_error *err); /* with its parents */
/* Names in a folder without "." and "..", sorted by bytes; they live in arena. */
MG_MUST_CHECK mg_status mg_folder_list(const char *path, mg_arena *arena, mg_str **names_out,
                                       int64_t *count_out, mg_error *err);
/* Removes a folder and all in it (never follows links); a missing one is fine. */
MG_MUST_CHECK mg_status mg_folder_remove(const char *path, mg_error *err);
/* Free bytes for this user on the file system that holds path (or its nearest existing parent). */
MG_MUST_CHECK mg_status mg_fs_free_bytes(const char *path, size_t *bytes_out, mg_error *err);

/* A read-only mapping of a whole file. */
typedef struct mg_mapping {
    const unsigned char *data; /* NULL for an empty file */
    size_t size;
} mg_mapping;
MG_MUST_CHECK mg_status mg_mapping_open(const char *path, mg_mapping *mapping_out, mg_error *err);
void mg_mapping_close(mg_mapping *mapping); /* NULL or zeroed is fine */

/* An output folder in the making.  It is filled under a temporary name beside its target and
 * becomes the target by one rename in mg_staging_finish; closing without finish removes it. */
typedef struct mg_staging mg_staging;
/* MG_ERR_EXISTS when target is a non-empty folder (or a file) and overwrite is false, or a link to
 * nothing; a link to a folder stands for that folder. */
MG_MUST_CHECK mg_status mg_staging_open(const char *target, bool overwrite,
                                        mg_staging **staging_out, mg_error *err);
const char *mg_staging_path(const mg_staging *staging); /* write here; borrowed */
MG_MUST_CHECK mg_status mg_staging_finish(mg_staging *staging, mg_error *err);
void mg_staging_close(mg_staging *staging); /* NULL is fine */

MG_END_C
