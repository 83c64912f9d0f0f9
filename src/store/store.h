/* store/store.h - run.db: everything a search has learned, in one SQLite file.
 *
 * Write-ahead logging: a transaction is there whole or not at all, whenever the process dies.  One
 * writer owns the folder through an advisory lock on run.lock, which ends with its process; readers
 * need no lock.  Thread-safety: locked inside, but for transactions, which are one thread's. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_STORE_FORMAT 1 /* written into the file; others are refused */

typedef struct mg_store mg_store;

/* Opens folder/run.db for writing; folder and file are made when missing (*created_out, may be
 * NULL). MG_ERR_BUSY when another process searches there, MG_ERR_EXISTS for a folder of other
 * things, MG_ERR_FORMAT for a foreign or damaged file, MG_ERR_IO, MG_ERR_SPACE. */
MG_MUST_CHECK mg_status mg_store_open(const char *folder, mg_store **store_out, bool *created_out,
                                      mg_error *err);
/* Opens it for reading alone, also while another process writes.  MG_ERR_NOT_FOUND. */
MG_MUST_CHECK mg_status mg_store_open_reader(const char *folder, mg_store **store_out,
                                             mg_error *err);
void mg_store_close(mg_store *store); /* NULL is fine; an open transaction is rolled back */

/* What is written between begin and commit appears together.  They do not nest. */
MG_MUST_CHECK mg_status mg_store_begin(mg_store *store, mg_error *err);
MG_MUST_CHECK mg_status mg_store_commit(mg_store *store, mg_error *err);
void mg_store_rollback(mg_store *store); /* nothing open is fine */

/* Named values: configuration, hashes, states. */
MG_MUST_CHECK mg_status mg_store_put(mg_store *store, const char *key, mg_str value, mg_error *err);
/* Appends the value of key to value_out; *found_out is false and nothing is added when there is
 * none. */
MG_MUST_CHECK mg_status mg_store_get(mg_store *store, const char *key, mg_buf *value_out,
                                     bool *found_out, mg_error *err);

MG_END_C
