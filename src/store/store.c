/* store/store.c - opening, locking, transactions and named values (see store.h). */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/store_internal.h"

#define APPLICATION_ID 0x4d476576 /* "MGev" */
#define BUSY_TIMEOUT_MS 10000     /* a reader may hold the file for a moment */

static const char *const statement_text[MG_SQL_COUNT] = {
#define STATEMENT_TEXT(name, sql) sql,
    MG_STORE_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

mg_status mg_store_fail(mg_store *store, int code, const char *what, mg_error *err)
{
    mg_status status = MG_ERR_IO;
    switch (code & 0xff) {
    case SQLITE_FULL:
        status = MG_ERR_SPACE;
        break;
    case SQLITE_NOMEM:
        status = MG_ERR_MEMORY;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR:
        status = MG_ERR_FORMAT;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        status = MG_ERR_BUSY;
        break;
    default:
        break;
    }
    return mg_fail(err, status, "%s: %s: %s", store->path, what,
                   store->db != NULL ? sqlite3_errmsg(store->db) : sqlite3_errstr(code));
}

mg_status mg_store_enter(mg_store *store, enum mg_store_statement which,
                         sqlite3_stmt **statement_out, mg_error *err)
{
    *statement_out = NULL;
    pthread_mutex_lock(&store->mutex);
    sqlite3_stmt **slot = &store->statements[which];
    if (*slot == NULL) {
        int code = sqlite3_prepare_v3(store->db, statement_text[which], -1,
                                      SQLITE_PREPARE_PERSISTENT, slot, NULL);
        if (code != SQLITE_OK) {
            mg_status status = mg_store_fail(store, code, "cannot be used", err);
            pthread_mutex_unlock(&store->mutex);
            return status;
        }
    }
    *statement_out = *slot;
    return MG_OK;
}

void mg_store_leave(mg_store *store, sqlite3_stmt *statement)
{
    if (statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
        pthread_mutex_unlock(&store->mutex);
    }
}

mg_status mg_store_step(mg_store *store, sqlite3_stmt *statement, bool *row_out, mg_error *err)
{
    int code = sqlite3_step(statement);
    *row_out = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        bool reading = sqlite3_stmt_readonly(statement) != 0;
        return mg_store_fail(store, code, reading ? "cannot be read" : "cannot be written", err);
    }
    return MG_OK;
}

mg_status mg_store_finish_step(mg_store *store, sqlite3_stmt *statement, mg_error *err)
{
    bool row = true;
    while (row) {
        MG_TRY(mg_store_step(store, statement, &row, err));
    }
    return MG_OK;
}

void mg_store_bind_text(sqlite3_stmt *statement, int index, mg_str text)
{
    sqlite3_bind_text64(statement, index, text.data != NULL ? text.data : "", text.size,
                        SQLITE_TRANSIENT, SQLITE_UTF8);
}

mg_str mg_store_column_text(sqlite3_stmt *statement, int index, mg_arena *arena)
{
    const char *text = (const char *)sqlite3_column_text(statement, index);
    int bytes = sqlite3_column_bytes(statement, index);
    return mg_arena_copy(arena, mg_str_make(text, text != NULL ? (size_t)bytes : 0));
}

/* The lock is the kernel's and ends with the process, so a file left behind never blocks. */
static mg_status take_lock(mg_store *store, const char *folder, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_status status = MG_OK;
    const char *path = mg_path_join(&arena, folder, "run.lock").data;
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->lock_fd < 0) {
        status = mg_fail(err, errno == ENOSPC ? MG_ERR_SPACE : MG_ERR_IO,
                         "%s: cannot be opened: %s", path, strerror(errno));
    } else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        status = mg_fail(err, MG_ERR_BUSY,
                         "%s: another process is searching in this folder; stop it, or choose "
                         "another --storage-path",
                         folder);
    }
    mg_arena_release(&arena);
    return status;
}

/* A folder without a search must be empty: what lies in it belongs to someone else.  Names with a
 * leading dot are the system's. */
static mg_status check_folder(const mg_store *store, const char *folder, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_str *names;
    int64_t count;
    mg_status status = MG_OK;
    if (mg_path_exists(store->path)) {
        return MG_OK;
    }
    MG_TRY_OR_DONE(mg_folder_list(folder, &arena, &names, &count, err));
    for (int64_t i = 0; i < count && status == MG_OK; i++) {
        if (!mg_str_starts(names[i], ".") && !mg_str_starts(names[i], "run.")) {
            status = mg_fail(err, MG_ERR_EXISTS,
                             "%s: holds no search, but '%.*s'; give --storage-path an empty or a "
                             "new folder",
                             folder, MG_STR_ARG(names[i]));
        }
    }

done:
    mg_arena_release(&arena);
    return status;
}

static mg_status run_sql(mg_store *store, const char *sql, const char *what, mg_error *err)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? MG_OK : mg_store_fail(store, code, what, err);
}

/* The single integer that sql gives. */
static mg_status read_number(mg_store *store, const char *sql, int64_t *number_out, mg_error *err)
{
    *number_out = 0;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            *number_out = sqlite3_column_int64(statement, 0);
        }
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? MG_OK
                              : mg_store_fail(store, code, "is no database of a search", err);
}

/* Refuses files of other programs and of other formats. */
static mg_status check_format(mg_store *store, mg_error *err)
{
    int64_t application = 0;
    int64_t format = 0;
    MG_TRY(read_number(store, "PRAGMA application_id", &application, err));
    MG_TRY(read_number(store, "PRAGMA user_version", &format, err));
    if (application != APPLICATION_ID) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: is no database of a search", store->path);
    }
    if (format != MG_STORE_FORMAT) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "%s: has format %lld, this program reads format %d; use another "
                       "--storage-path",
                       store->path, (long long)format, MG_STORE_FORMAT);
    }
    return MG_OK;
}

static mg_status make_schema(mg_store *store, mg_error *err)
{
    char pragmas[96];
    snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, MG_STORE_FORMAT);
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(run_sql(store, "BEGIN IMMEDIATE", "cannot be written", err));
    MG_TRY_OR_DONE(run_sql(store, mg_store_schema, "cannot be written", err));
    MG_TRY_OR_DONE(run_sql(store, pragmas, "cannot be written", err));
    MG_TRY_OR_DONE(run_sql(store, "COMMIT", "cannot be written", err));

done:
    if (status != MG_OK) {
        mg_store_rollback(store);
    }
    return status;
}

static mg_store *store_new(const char *folder)
{
    mg_arena arena = { 0 };
    mg_store *store = mg_new(mg_store);
    store->lock_fd = -1;
    store->path = mg_strdup(mg_path_join(&arena, folder, "run.db").data);
    pthread_mutex_init(&store->mutex, NULL);
    mg_arena_release(&arena);
    return store;
}

static mg_status open_database(mg_store *store, int flags, mg_error *err)
{
    int code = sqlite3_open_v2(store->path, &store->db, flags | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK) {
        return mg_store_fail(store, code, "cannot be opened", err);
    }
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    return MG_OK;
}

mg_status mg_store_open(const char *folder, mg_store **store_out, bool *created_out, mg_error *err)
{
    *store_out = NULL;
    mg_status status = MG_OK;
    MG_TRY(mg_folder_make(folder, err));
    mg_store *store = store_new(folder);
    int64_t tables = 0;

    MG_TRY_OR_DONE(check_folder(store, folder, err));
    MG_TRY_OR_DONE(take_lock(store, folder, err));
    MG_TRY_OR_DONE(open_database(store, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err));
    MG_TRY_OR_DONE(read_number(store, "SELECT count(*) FROM sqlite_master", &tables, err));
    MG_TRY_OR_DONE(run_sql(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
                           "cannot be written", err));
    if (tables == 0) {
        MG_TRY_OR_DONE(make_schema(store, err));
    }
    MG_TRY_OR_DONE(check_format(store, err));
    if (created_out != NULL) {
        *created_out = tables == 0;
    }
    *store_out = store;
    store = NULL;

done:
    mg_store_close(store);
    return status;
}

mg_status mg_store_open_reader(const char *folder, mg_store **store_out, mg_error *err)
{
    *store_out = NULL;
    mg_status status = MG_OK;
    mg_store *store = store_new(folder);
    if (!mg_path_is_file(store->path)) {
        status =
            mg_fail(err, MG_ERR_NOT_FOUND, "%s: no search has been run in this folder", folder);
        goto done;
    }
    /* Writable where possible: a reader of a write-ahead log shares its index file. */
    MG_TRY_OR_DONE(open_database(store, SQLITE_OPEN_READWRITE, err));
    MG_TRY_OR_DONE(run_sql(store, "PRAGMA query_only = 1", "cannot be read", err));
    MG_TRY_OR_DONE(check_format(store, err));
    *store_out = store;
    store = NULL;

done:
    mg_store_close(store);
    return status;
}

void mg_store_close(mg_store *store)
{
    if (store == NULL) {
        return;
    }
    for (int i = 0; i < MG_SQL_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
    }
    if (store->db != NULL) {
        mg_store_rollback(store);
        sqlite3_close(store->db);
    }
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    pthread_mutex_destroy(&store->mutex);
    mg_free(store->path);
    mg_free(store);
}

static mg_status run_simple(mg_store *store, enum mg_store_statement which, mg_error *err)
{
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, which, &statement, err));
    mg_status status = mg_store_finish_step(store, statement, err);
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_store_begin(mg_store *store, mg_error *err)
{
    return run_simple(store, MG_SQL_BEGIN, err);
}

mg_status mg_store_commit(mg_store *store, mg_error *err)
{
    mg_status status = run_simple(store, MG_SQL_COMMIT, err);
    if (status != MG_OK) {
        mg_store_rollback(store);
    }
    return status;
}

void mg_store_rollback(mg_store *store)
{
    pthread_mutex_lock(&store->mutex);
    if (sqlite3_get_autocommit(store->db) == 0) {
        /* Failing here leaves the transaction to the close, which drops it as well. */
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&store->mutex);
}

mg_status mg_store_put(mg_store *store, const char *key, mg_str value, mg_error *err)
{
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_PUT, &statement, err));
    mg_store_bind_text(statement, 1, mg_str_of(key));
    sqlite3_bind_blob64(statement, 2, value.data != NULL ? value.data : "", value.size,
                        SQLITE_STATIC);
    mg_status status = mg_store_finish_step(store, statement, err);
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_store_get(mg_store *store, const char *key, mg_buf *value_out, bool *found_out,
                       mg_error *err)
{
    *found_out = false;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_GET, &statement, err));
    mg_store_bind_text(statement, 1, mg_str_of(key));
    mg_status status = mg_store_step(store, statement, found_out, err);
    if (status == MG_OK && *found_out) {
        const char *data = sqlite3_column_blob(statement, 0);
        int bytes = sqlite3_column_bytes(statement, 0);
        mg_buf_add(value_out, mg_str_make(data, data != NULL ? (size_t)bytes : 0));
    }
    mg_store_leave(store, statement);
    return status;
}
