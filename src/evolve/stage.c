/* evolve/stage.c - see stage.h.
 *
 * "stage/N/begin" holds "FIRST_ID ORIGIN"; an empty value means that stage N has not begun. */
#include "evolve/stage.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "store/run.h"

/* What a stage keeps, and what hangs on it. */
static const char *const kept_names[] = { "begin",     "state/loop", "state/optimiser", "winner",
                                          "finalists", "spread",     "half_out" };

void mg_stage_key(const mg_stage *stage, const char *name, char key_out[MG_STAGE_KEY_BYTES])
{
    bool own = stage->index > 0 || (stage->count > 1 && strcmp(name, "winner") == 0);
    if (own) {
        snprintf(key_out, MG_STAGE_KEY_BYTES, "stage/%lld/%s", (long long)stage->index + 1, name);
    } else {
        snprintf(key_out, MG_STAGE_KEY_BYTES, "%s", name);
    }
}

static mg_status read_begin(mg_store *store, int64_t index, mg_buf *text_out, mg_error *err)
{
    mg_stage stage = { .index = index };
    char key[MG_STAGE_KEY_BYTES];
    bool found;
    mg_stage_key(&stage, "begin", key);
    return mg_store_get(store, key, text_out, &found, err);
}

mg_status mg_stage_first_id(mg_store *store, int64_t index, int64_t *first_id_out, mg_error *err)
{
    mg_buf text = { 0 };
    *first_id_out = 0;
    mg_status status = read_begin(store, index, &text, err);
    mg_str rest = mg_buf_view(&text);
    mg_str number;
    if (status == MG_OK && rest.size > 0 &&
        (!mg_str_split(&rest, ' ', &number) || !mg_str_to_int(number, first_id_out) ||
         *first_id_out < 1)) {
        status = mg_fail(err, MG_ERR_FORMAT, "run.db: the beginning of stage %lld is damaged",
                         (long long)index + 1);
    }
    mg_buf_release(&text);
    return status;
}

/* In one transaction, so that a crash leaves the old stage or the new one. */
static mg_status begin_anew(mg_store *store, const mg_stage *stage, mg_str begin, mg_error *err)
{
    char key[MG_STAGE_KEY_BYTES];
    mg_status status = MG_OK;
    MG_TRY(mg_store_begin(store, err));
    MG_TRY_OR_DONE(mg_run_drop_from(store, stage->first_id, err));
    for (int64_t s = stage->index; s < stage->count; s++) {
        mg_stage dropped = { .index = s, .count = stage->count };
        for (int64_t k = 0; k < MG_ARRAY_COUNT(kept_names); k++) {
            mg_stage_key(&dropped, kept_names[k], key);
            MG_TRY_OR_DONE(mg_store_put(store, key, mg_str_of(""), err));
        }
    }
    MG_TRY_OR_DONE(mg_store_put(store, "winner", mg_str_of(""), err));
    mg_stage_key(stage, "begin", key);
    MG_TRY_OR_DONE(mg_store_put(store, key, begin, err));
    MG_TRY_OR_DONE(mg_store_commit(store, err));

done:
    if (status != MG_OK) {
        mg_store_rollback(store);
    }
    return status;
}

mg_status mg_stage_begin(mg_store *store, const mg_stage *stage, const char *origin, mg_error *err)
{
    char begin[128];
    mg_buf stored = { 0 };
    snprintf(begin, sizeof(begin), "%lld %s", (long long)stage->first_id, origin);
    mg_status status = read_begin(store, stage->index, &stored, err);
    if (status == MG_OK && !mg_str_is(mg_buf_view(&stored), begin)) {
        status = begin_anew(store, stage, mg_str_of(begin), err);
    }
    mg_buf_release(&stored);
    return status;
}
