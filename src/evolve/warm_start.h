/* evolve/warm_start.h - good candidates of earlier runs, from which a search begins (evolution.md
 * 6.2, end).
 *
 * They are copied into the search's own store when it begins: the earlier runs may vanish then.
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

MG_BEGIN_C

/* Reads the best tenth of each run in folders into points_out (count, dimension), which lives in
 * arena: from store when they are there already, else from the folders and then into store.  genes
 * is what mg_store "genes" of a run with the same genes holds, one a line.  MG_ERR_CONFIG when a
 * folder's genes are others, the first of them named, or when it has no scored merge. */
MG_MUST_CHECK mg_status mg_warm_start_read(mg_store *store, const mg_str *folders,
                                           int64_t folder_count, mg_str genes, int64_t dimension,
                                           mg_arena *arena, const double **points_out,
                                           int64_t *count_out, mg_error *err);

MG_END_C
