/* evolve/report_front.h - the front that a search with several objectives has found (evolution.md
 * 9).
 *
 * Thread-safety: functions are independent. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "optim/stats.h"
#include "store/store.h"

MG_BEGIN_C

typedef struct mg_front_score {
    double value;
    mg_interval interval; /* 95 % */
} mg_front_score;

typedef struct mg_front_row {
    int64_t id;
    mg_str picks;                 /* "balanced knee", or empty */
    const mg_front_score *scores; /* by task of the front */
} mg_front_row;

typedef struct mg_front {
    const mg_str *tasks; /* those with a weight */
    int64_t task_count;
    const int64_t *items; /* questions, by task */
    const mg_front_row *rows;
    int64_t row_count;  /* 0 = the search has no front */
    double hypervolume; /* above the worst source of each task; NaN with more than 4 tasks */
} mg_front;

/* Lives in arena. */
MG_MUST_CHECK mg_status mg_front_read(mg_store *store, mg_arena *arena, mg_front *front_out,
                                      mg_error *err);
/* A table with a sentence, or nothing when there is no front. */
void mg_front_text(const mg_front *front, bool markdown, mg_buf *out);
/* The value of a JSON field: an object, or null. */
void mg_front_json(const mg_front *front, mg_buf *out);

MG_END_C
