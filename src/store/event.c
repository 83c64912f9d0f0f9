/* store/event.c - see event.h. */
#include "store/event.h"

#include "store/store_internal.h"

mg_status mg_event_add(mg_store *store, double time, const char *kind, mg_str text, mg_error *err)
{
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_PUT_EVENT, &statement, err));
    sqlite3_bind_double(statement, 1, time);
    mg_store_bind_text(statement, 2, mg_str_of(kind));
    mg_store_bind_text(statement, 3, text);
    mg_status status = mg_store_finish_step(store, statement, err);
    mg_store_leave(store, statement);
    return status;
}

mg_status mg_event_list(mg_store *store, int64_t after, int64_t limit, mg_arena *arena,
                        mg_event_row **rows_out, int64_t *count_out, mg_error *err)
{
    *count_out = 0;
    mg_event_row *rows = mg_arena_array(arena, mg_event_row, MG_MAX(limit, 1));
    *rows_out = rows;
    sqlite3_stmt *statement;
    MG_TRY(mg_store_enter(store, MG_SQL_EVENTS, &statement, err));
    sqlite3_bind_int64(statement, 1, after);
    sqlite3_bind_int64(statement, 2, limit);
    mg_status status = MG_OK;
    int64_t count = 0;
    bool row = true;
    while (row && count < limit) {
        MG_TRY_OR_DONE(mg_store_step(store, statement, &row, err));
        if (row) {
            rows[count++] = (mg_event_row){
                .id = sqlite3_column_int64(statement, 0),
                .time = sqlite3_column_double(statement, 1),
                .kind = mg_store_column_text(statement, 2, arena),
                .text = mg_store_column_text(statement, 3, arena),
            };
        }
    }
    *count_out = count;

done:
    mg_store_leave(store, statement);
    return status;
}
