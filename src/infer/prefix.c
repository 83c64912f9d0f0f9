/* infer/prefix.c - finds, awaits and takes over common beginnings. */
#include "infer/prefix_internal.h"

/* So many tokens must be saved for taking them over, and for waiting, to pay. */
#define MG_PREFIX_MIN 16

int mg_ids_compare(const int32_t *a, int64_t a_count, const int32_t *b, int64_t b_count)
{
    int64_t common = MG_MIN(a_count, b_count);
    for (int64_t i = 0; i < common; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return a_count < b_count ? -1 : a_count > b_count;
}

static int64_t common_count(const int32_t *a, const int32_t *b, int64_t most)
{
    int64_t count = 0;
    while (count < most && a[count] == b[count]) {
        count++;
    }
    return count;
}

static mg_status take_over(mg_engine *engine, mg_held *held, int64_t from, int64_t to,
                           int64_t count, mg_error *err)
{
    return mg_kv_cache_share(engine->cache, from, to, count, engine->stream, &held[to].computed,
                             err);
}

mg_status mg_prefix_begin(mg_engine *engine, mg_held *held, int64_t slot_count, int64_t slot,
                          const int32_t *ids, int64_t count, bool may_wait, mg_error *err)
{
    int64_t ready = MG_PREFIX_MIN - 1;
    int64_t ready_slot = -1;
    int64_t coming = 0;
    int64_t coming_slot = -1;
    /* Keys that rotate by the length of their text are of no use to another. */
    bool is_shared = !mg_model_rope_depends_on_length(engine->model);
    for (int64_t other = 0; other < slot_count && is_shared; other++) {
        const mg_held *from = &held[other];
        int64_t common = common_count(from->ids, ids, MG_MIN(from->count, count - 1));
        int64_t computed = MG_MIN(common, from->computed);
        if (computed > ready || (computed == ready && other == slot)) {
            ready = computed;
            ready_slot = other;
        }
        if (may_wait && common > coming && other != slot) {
            coming = common;
            coming_slot = other;
        }
    }
    mg_held text = { ids, count, 0, -1, 0 };
    int64_t have = ready_slot >= 0 ? ready : 0;
    if (coming >= have + MG_PREFIX_MIN) {
        text.source = coming_slot;
        text.awaited = coming;
    }
    held[slot] = text;
    if (ready_slot >= 0 && text.source < 0) {
        return take_over(engine, held, ready_slot, slot, ready, err);
    }
    mg_kv_cache_drop(engine->cache, slot); /* what the text before it left */
    return MG_OK;
}

void mg_prefix_forget(mg_engine *engine, mg_held *held, int64_t slot)
{
    mg_kv_cache_drop(engine->cache, slot);
    held[slot].count = 0; /* nobody is to wait for it */
    held[slot].computed = 0;
    held[slot].source = -1;
}

mg_status mg_prefix_settle(mg_engine *engine, mg_held *held, int64_t slot_count, mg_error *err)
{
    for (int64_t slot = 0; slot < slot_count; slot++) {
        mg_held *text = &held[slot];
        if (text->source >= 0 && held[text->source].computed >= text->awaited) {
            int64_t from = text->source;
            text->source = -1;
            MG_TRY(take_over(engine, held, from, slot, text->awaited, err));
        }
    }
    return MG_OK;
}
