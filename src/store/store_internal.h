/* store/store_internal.h - the database handle and its prepared statements, for the files of store.
 *
 * Thread-safety: callers hold the mutex through mg_store_enter and mg_store_leave. */
#pragma once

#include <pthread.h>

#include <sqlite3.h>

#include "base/arena.h"
#include "store/store.h"

MG_BEGIN_C

/* name, SQL */
#define MG_STORE_STATEMENTS(X)                                                                     \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(PUT, "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")      \
    X(GET, "SELECT value FROM meta WHERE key = ?")                                                 \
    X(PUT_CANDIDATE, "INSERT OR REPLACE INTO candidate VALUES (?, ?, ?, ?, ?, ?, ?, ?)")           \
    X(PUT_SCORE, "INSERT OR REPLACE INTO score VALUES (?, ?, ?, ?, ?, ?)")                         \
    X(PUT_ANSWER, "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)")                          \
    X(DROP_CANDIDATES, "DELETE FROM candidate WHERE id >= ?")                                      \
    X(DROP_SCORES, "DELETE FROM score WHERE candidate >= ?")                                       \
    X(DROP_ANSWERS, "DELETE FROM answer WHERE candidate >= ?")                                     \
    X(CANDIDATES, "SELECT * FROM candidate ORDER BY id")                                           \
    X(CANDIDATES_FROM, "SELECT * FROM candidate WHERE id >= ? ORDER BY id LIMIT ?")                \
    X(REFERENCES, "SELECT * FROM candidate WHERE kind <> 'sample' AND "                            \
                  "kind IN ('source', 'default', 'start') ORDER BY id")                            \
    X(COUNTS, "SELECT count(*), (SELECT count(*) FROM candidate WHERE failed = 1) FROM candidate") \
    X(BEST, "SELECT candidate FROM score s WHERE item_set = ?1 AND task = -1 AND "                 \
            "candidate >= ?2 AND NOT EXISTS (SELECT 1 FROM score v WHERE v.candidate = "           \
            "s.candidate AND v.item_set = ?1 AND v.task = -2) "                                    \
            "ORDER BY value DESC, candidate LIMIT 1")                                              \
    X(BEST_VIOLATING, "SELECT s.candidate FROM score s JOIN score v USING (candidate, item_set) "  \
                      "WHERE item_set = ?1 AND s.task = -1 AND v.task = -2 AND candidate >= ?2 "   \
                      "ORDER BY v.value, s.value DESC, candidate LIMIT 1")                         \
    X(SCORES, "SELECT * FROM score WHERE ?1 IS NULL OR item_set = ?1 "                             \
              "ORDER BY candidate, item_set, task")                                                \
    X(SCORE_COUNT, "SELECT count(*) FROM score WHERE ?1 IS NULL OR item_set = ?1")                 \
    X(ANSWERS,                                                                                     \
      "SELECT task, item, value, text FROM answer WHERE candidate = ? ORDER BY task, item")        \
    X(ANSWER_COUNT, "SELECT count(*) FROM answer WHERE candidate = ?")                             \
    X(TOTALS, "SELECT total(seconds), count(*) FROM score WHERE task = -1")                        \
    X(PUT_EVENT, "INSERT INTO event (time, kind, text) VALUES (?, ?, ?)")                          \
    X(EVENTS, "SELECT id, time, kind, text FROM event WHERE id > ? ORDER BY id LIMIT ?")

enum mg_store_statement {
#define MG_STORE_ENUM(name, sql) MG_SQL_##name,
    MG_STORE_STATEMENTS(MG_STORE_ENUM)
#undef MG_STORE_ENUM
        MG_SQL_COUNT
};

struct mg_store {
    sqlite3 *db;
    sqlite3_stmt *statements[MG_SQL_COUNT]; /* prepared on first use */
    pthread_mutex_t mutex;                  /* guards db and statements */
    int lock_fd;                            /* -1 for readers */
    char *path;
};

extern const char *const mg_store_schema;

/* Locks the store and hands out a reset statement; on failure nothing is locked. */
MG_MUST_CHECK mg_status mg_store_enter(mg_store *store, enum mg_store_statement which,
                                       sqlite3_stmt **statement_out, mg_error *err);
/* Resets the statement and unlocks. */
void mg_store_leave(mg_store *store, sqlite3_stmt *statement);
/* Runs a statement that gives no rows. */
MG_MUST_CHECK mg_status mg_store_finish_step(mg_store *store, sqlite3_stmt *statement,
                                             mg_error *err);
/* One row: *row_out is false at the end. */
MG_MUST_CHECK mg_status mg_store_step(mg_store *store, sqlite3_stmt *statement, bool *row_out,
                                      mg_error *err);
/* The last failure of SQLite as a status. */
mg_status mg_store_fail(mg_store *store, int code, const char *what, mg_error *err);
void mg_store_bind_text(sqlite3_stmt *statement, int index, mg_str text);
mg_str mg_store_column_text(sqlite3_stmt *statement, int index, mg_arena *arena);

MG_END_C
