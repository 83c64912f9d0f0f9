/* store/event.h - what happened in a run, in order, for people and for the dashboard.
 *
 * Thread-safety: as store.h. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

MG_BEGIN_C

typedef struct mg_event_row {
    int64_t id;
    double time; /* seconds since 1970 */
    mg_str kind, text;
} mg_event_row;

MG_MUST_CHECK mg_status mg_event_add(mg_store *store, double time, const char *kind, mg_str text,
                                     mg_error *err);
/* Events with ids above after, oldest first, at most limit; they live in arena. */
MG_MUST_CHECK mg_status mg_event_list(mg_store *store, int64_t after, int64_t limit,
                                      mg_arena *arena, mg_event_row **rows_out, int64_t *count_out,
                                      mg_error *err);

MG_END_C
