/* store/run.h - candidates, their scores and every answer.
 *
 * Thread-safety: as store.h. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

MG_BEGIN_C

typedef struct mg_candidate_row {
    int64_t id;
    mg_str kind, label;
    int64_t generation, place;
    const double *genome;
    int64_t genome_count;
    bool failed;
    mg_str note;
} mg_candidate_row;

typedef struct mg_score_row {
    int64_t candidate;
    mg_str item_set;
    int64_t task; /* -1: the weighted sum; -2: how far the guarded tasks stay below their guards */
    double value; /* finite */
    int64_t items;
    double seconds;
} mg_score_row;

typedef struct mg_answer_row {
    int64_t task, item;
    double value; /* NaN = failed */
    mg_str text;
} mg_answer_row;

/* Writes over a row of the same key. */
MG_MUST_CHECK mg_status mg_run_put_candidate(mg_store *store, const mg_candidate_row *row,
                                             mg_error *err);
MG_MUST_CHECK mg_status mg_run_put_score(mg_store *store, const mg_score_row *row, mg_error *err);
MG_MUST_CHECK mg_status mg_run_put_answers(mg_store *store, int64_t candidate,
                                           const mg_answer_row *rows, int64_t count, mg_error *err);

/* Forgets every candidate with an id of at least first, with scores and answers. */
MG_MUST_CHECK mg_status mg_run_drop_from(mg_store *store, int64_t first, mg_error *err);

/* All candidates in the order of their ids; scores of one item set (NULL: all) in the order of
 * candidates; answers of one candidate in the order of (task, item).  The rows live in arena. */
MG_MUST_CHECK mg_status mg_run_candidates(mg_store *store, mg_arena *arena,
                                          mg_candidate_row **rows_out, int64_t *count_out,
                                          mg_error *err);
/* Of those with an id of at least first, the next limit ones. */
MG_MUST_CHECK mg_status mg_run_candidates_from(mg_store *store, int64_t first, int64_t limit,
                                               mg_arena *arena, mg_candidate_row **rows_out,
                                               int64_t *count_out, mg_error *err);
/* Sources, the default merge and the start point. */
MG_MUST_CHECK mg_status mg_run_references(mg_store *store, mg_arena *arena,
                                          mg_candidate_row **rows_out, int64_t *count_out,
                                          mg_error *err);
MG_MUST_CHECK mg_status mg_run_counts(mg_store *store, int64_t *candidates_out, int64_t *failed_out,
                                      mg_error *err);
/* Of those with an id of at least first, the one with the best weighted sum on item_set: the least
 * below its guards, then the highest, then the earliest; -1 = none. */
MG_MUST_CHECK mg_status mg_run_best(mg_store *store, const char *item_set, int64_t first,
                                    int64_t *id_out, mg_error *err);
MG_MUST_CHECK mg_status mg_run_scores(mg_store *store, const char *item_set, mg_arena *arena,
                                      mg_score_row **rows_out, int64_t *count_out, mg_error *err);
MG_MUST_CHECK mg_status mg_run_answers(mg_store *store, int64_t candidate, mg_arena *arena,
                                       mg_answer_row **rows_out, int64_t *count_out, mg_error *err);
/* Seconds of work of all candidates, and how many evaluations of one on a set that was. */
MG_MUST_CHECK mg_status mg_run_seconds(mg_store *store, double *seconds_out,
                                       int64_t *evaluations_out, mg_error *err);

MG_END_C
