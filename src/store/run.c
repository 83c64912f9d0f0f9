/* store/run.c - see run.h. */
#include "store/run.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "store/store_internal.h"

mg_status mg_run_put_candidate(mg_store *store, const mg_candidate_row *row, mg_error *err)
{
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_PUT_CANDIDATE, &statement, err));
    sqlite3_bind_int64(statement, 1, row->id);
    mg_store_bind_text(statement, 2, row->kind);
    mg_store_bind_text(statement, 3, row->label);
    sqlite3_bind_int64(statement, 4, row->generation);
    sqlite3_bind_int64(statement, 5, row->place);
    sqlite3_bind_blob64(statement, 6, row->genome_count > 0 ? (const void *)row->genome : "",
                        (sqlite3_uint64)row->genome_count * sizeof(double), SQLITE_STATIC);
    sqlite3_bind_int(statement, 7, row->failed ? 1 : 0);
    mg_store_bind_text(statement, 8, row->note);
    mg_status status = mg_store_finish_step(store, statement, err);
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_run_put_score(mg_store *store, const mg_score_row *row, mg_error *err)
{
    MG_ASSERT(isfinite(row->value));
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_PUT_SCORE, &statement, err));
    sqlite3_bind_int64(statement, 1, row->candidate);
    mg_store_bind_text(statement, 2, row->item_set);
    sqlite3_bind_int64(statement, 3, row->task);
    sqlite3_bind_double(statement, 4, row->value);
    sqlite3_bind_int64(statement, 5, row->items);
    sqlite3_bind_double(statement, 6, row->seconds);
    mg_status status = mg_store_finish_step(store, statement, err);
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_run_put_answers(mg_store *store, int64_t candidate, const mg_answer_row *rows,
                             int64_t count, mg_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        sqlite3_stmt *statement;
        MG_TRY(mg_store_enter(store, MG_SQL_PUT_ANSWER, &statement, err));
        sqlite3_bind_int64(statement, 1, candidate);
        sqlite3_bind_int64(statement, 2, rows[i].task);
        sqlite3_bind_int64(statement, 3, rows[i].item);
        if (isnan(rows[i].value)) {
            sqlite3_bind_null(statement, 4);
        } else {
            sqlite3_bind_double(statement, 4, rows[i].value);
        }
        mg_store_bind_text(statement, 5, rows[i].text);
        mg_status status = mg_store_finish_step(store, statement, err);
        mg_store_leave(store, statement);
        MG_TRY(status);
    }
    return MG_OK;
}

static mg_status run_with_number(mg_store *store, enum mg_store_statement which, int64_t number,
                                 mg_error *err)
{
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, which, &statement, err));
    sqlite3_bind_int64(statement, 1, number);
    mg_status status = mg_store_finish_step(store, statement, err);
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_run_drop_from(mg_store *store, int64_t first, mg_error *err)
{
    MG_TRY(run_with_number(store, MG_SQL_DROP_CANDIDATES, first, err));
    MG_TRY(run_with_number(store, MG_SQL_DROP_SCORES, first, err));
    return run_with_number(store, MG_SQL_DROP_ANSWERS, first, err);
}

/* The number that a counting statement gives for its one argument. */
static mg_status count_rows(mg_store *store, enum mg_store_statement which, const char *text,
                            int64_t number, int64_t *count_out, mg_error *err)
{
    *count_out = 0;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, which, &statement, err));
    if (text != NULL) {
        mg_store_bind_text(statement, 1, mg_str_of(text));
    } else if (which == MG_SQL_ANSWER_COUNT) {
        sqlite3_bind_int64(statement, 1, number);
    }
    bool row = false;
    mg_status status = mg_store_step(store, statement, &row, err);
    if (status == MG_OK && row) {
        *count_out = sqlite3_column_int64(statement, 0);
    }
    mg_store_leave(store, statement);
    return status;
}

static mg_candidate_row read_candidate(sqlite3_stmt *statement, mg_arena *arena)
{
    int64_t genome_count = sqlite3_column_bytes(statement, 5) / (int64_t)sizeof(double);
    double *genome = NULL;
    if (genome_count > 0) {
        genome = mg_arena_array(arena, double, genome_count);
        memcpy(genome, sqlite3_column_blob(statement, 5), (size_t)genome_count * sizeof(double));
    }
    mg_candidate_row row = {
        .id = sqlite3_column_int64(statement, 0),
        .kind = mg_store_column_text(statement, 1, arena),
        .label = mg_store_column_text(statement, 2, arena),
        .generation = sqlite3_column_int64(statement, 3),
        .place = sqlite3_column_int64(statement, 4),
        .genome = genome,
        .genome_count = genome_count,
        .failed = sqlite3_column_int(statement, 6) != 0,
        .note = mg_store_column_text(statement, 7, arena),
    };
    return row;
}

/* All rows of a statement that is entered and bound; leaves it. */
static mg_status take_candidates(mg_store *store, sqlite3_stmt *statement, mg_arena *arena,
                                 mg_candidate_row **rows_out, int64_t *count_out, mg_error *err)
{
    int64_t cap = 0;
    int64_t count = 0;
    mg_candidate_row *rows = NULL;
    mg_status status = MG_OK;
    bool row = true;
    while (row) {
        MG_TRY_OR_DONE(mg_store_step(store, statement, &row, err));
        if (row && count == cap) {
            cap = MG_MAX(64, 2 * cap);
            rows = mg_memory_resize(rows, cap, sizeof(rows[0]));
        }
        if (row) {
            rows[count++] = read_candidate(statement, arena);
        }
    }
    *rows_out = mg_arena_array(arena, mg_candidate_row, MG_MAX(count, 1));
    if (count > 0) {
        memcpy(*rows_out, rows, (size_t)count * sizeof(rows[0]));
    }
    *count_out = count;

done:
    mg_store_leave(store, statement);
    mg_free(rows);
    return status;
}

mg_status mg_run_candidates(mg_store *store, mg_arena *arena, mg_candidate_row **rows_out,
                            int64_t *count_out, mg_error *err)
{
    *count_out = 0;
    *rows_out = NULL;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_CANDIDATES, &statement, err));
    return take_candidates(store, statement, arena, rows_out, count_out, err);
}

mg_status mg_run_candidates_from(mg_store *store, int64_t first, int64_t limit, mg_arena *arena,
                                 mg_candidate_row **rows_out, int64_t *count_out, mg_error *err)
{
    *count_out = 0;
    *rows_out = NULL;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_CANDIDATES_FROM, &statement, err));
    sqlite3_bind_int64(statement, 1, first);
    sqlite3_bind_int64(statement, 2, limit);
    return take_candidates(store, statement, arena, rows_out, count_out, err);
}

mg_status mg_run_references(mg_store *store, mg_arena *arena, mg_candidate_row **rows_out,
                            int64_t *count_out, mg_error *err)
{
    *count_out = 0;
    *rows_out = NULL;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_REFERENCES, &statement, err));
    return take_candidates(store, statement, arena, rows_out, count_out, err);
}

mg_status mg_run_counts(mg_store *store, int64_t *candidates_out, int64_t *failed_out,
                        mg_error *err)
{
    *candidates_out = 0;
    *failed_out = 0;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_COUNTS, &statement, err));
    bool row = false;
    mg_status status = mg_store_step(store, statement, &row, err);
    if (status == MG_OK && row) {
        *candidates_out = sqlite3_column_int64(statement, 0);
        *failed_out = sqlite3_column_int64(statement, 1);
    }
    mg_store_leave(store, statement);
    return status;
}

static mg_status find_best(mg_store *store, enum mg_store_statement which, const char *item_set,
                           int64_t first, int64_t *id_out, mg_error *err)
{
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, which, &statement, err));
    mg_store_bind_text(statement, 1, mg_str_of(item_set));
    sqlite3_bind_int64(statement, 2, first);
    bool row = false;
    mg_status status = mg_store_step(store, statement, &row, err);
    if (status == MG_OK && row) {
        *id_out = sqlite3_column_int64(statement, 0);
    }
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_run_best(mg_store *store, const char *item_set, int64_t first, int64_t *id_out,
                      mg_error *err)
{
    *id_out = -1;
    MG_TRY(find_best(store, MG_SQL_BEST, item_set, first, id_out, err));
    return *id_out >= 0 ? MG_OK
                        : find_best(store, MG_SQL_BEST_VIOLATING, item_set, first, id_out, err);
}

mg_status mg_run_scores(mg_store *store, const char *item_set, mg_arena *arena,
                        mg_score_row **rows_out, int64_t *count_out, mg_error *err)
{
    int64_t cap = 0;
    *count_out = 0;
    *rows_out = NULL;
    MG_TRY(count_rows(store, MG_SQL_SCORE_COUNT, item_set, 0, &cap, err));
    mg_score_row *rows = mg_arena_array(arena, mg_score_row, MG_MAX(cap, 1));
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_SCORES, &statement, err));
    if (item_set != NULL) {
        mg_store_bind_text(statement, 1, mg_str_of(item_set));
    }
    mg_status status = MG_OK;
    int64_t count = 0;
    bool row = true;
    while (row && count < cap) {
        MG_TRY_OR_DONE(mg_store_step(store, statement, &row, err));
        if (row) {
            rows[count++] = (mg_score_row){
                .candidate = sqlite3_column_int64(statement, 0),
                .item_set = mg_store_column_text(statement, 1, arena),
                .task = sqlite3_column_int64(statement, 2),
                .value = sqlite3_column_double(statement, 3),
                .items = sqlite3_column_int64(statement, 4),
                .seconds = sqlite3_column_double(statement, 5),
            };
        }
    }
    *rows_out = rows;
    *count_out = count;

done:
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_run_answers(mg_store *store, int64_t candidate, mg_arena *arena,
                         mg_answer_row **rows_out, int64_t *count_out, mg_error *err)
{
    int64_t cap = 0;
    *count_out = 0;
    *rows_out = NULL;
    MG_TRY(count_rows(store, MG_SQL_ANSWER_COUNT, NULL, candidate, &cap, err));
    mg_answer_row *rows = mg_arena_array(arena, mg_answer_row, MG_MAX(cap, 1));
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_ANSWERS, &statement, err));
    sqlite3_bind_int64(statement, 1, candidate);
    mg_status status = MG_OK;
    int64_t count = 0;
    bool row = true;
    while (row && count < cap) {
        MG_TRY_OR_DONE(mg_store_step(store, statement, &row, err));
        if (row) {
            bool failed = sqlite3_column_type(statement, 2) == SQLITE_NULL;
            rows[count++] = (mg_answer_row){
                .task = sqlite3_column_int64(statement, 0),
                .item = sqlite3_column_int64(statement, 1),
                .value = failed ? (double)NAN : sqlite3_column_double(statement, 2),
                .text = mg_store_column_text(statement, 3, arena),
            };
        }
    }
    *rows_out = rows;
    *count_out = count;

done:
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_run_seconds(mg_store *store, double *seconds_out, int64_t *evaluations_out,
                         mg_error *err)
{
    *seconds_out = 0.0;
    *evaluations_out = 0;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_TOTALS, &statement, err));
    bool row = false;
    mg_status status = mg_store_step(store, statement, &row, err);
    if (status == MG_OK && row) {
        *seconds_out = sqlite3_column_double(statement, 0);
        *evaluations_out = sqlite3_column_int64(statement, 1);
    }
    mg_store_leave(store, statement);
    return status;
}
