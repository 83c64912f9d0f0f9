/* infer/prefix_internal.h - keys and values that one text can take over from another.
 *
 * Every slot of the cache remembers the text whose keys and values it holds, also when that text
 * has ended.  A new one takes over the longest beginning that some slot has computed; where a slot
 * is about to compute a longer one, it waits for that.  So the texts in the cache form a tree: what
 * a group of them has in common is computed once, whichever and however many groups there are.
 * Texts should come sorted, so that groups meet in the cache.
 * Thread-safety: as the engine. */
#pragma once

#include "infer/engine_internal.h"

MG_BEGIN_C

typedef struct mg_held {
    const int32_t *ids; /* what will be in the slot; borrowed for as long as it may be there */
    int64_t count;
    int64_t computed; /* of ids: tokens with keys and values */
    int64_t source;   /* the slot whose tokens are waited for; -1 = none */
    int64_t awaited;  /* tokens to take over from there */
} mg_held;

/* Puts a text of count ids into a slot that is free, and takes over what can be had of all but its
 * last token.  While held[slot].source >= 0 nothing of it may be computed; may_wait = false lets it
 * wait for nothing. */
MG_MUST_CHECK mg_status mg_prefix_begin(mg_engine *engine, mg_held *held, int64_t slot_count,
                                        int64_t slot, const int32_t *ids, int64_t count,
                                        bool may_wait, mg_error *err);
/* Gives up what is held of a text: it is begun anew, or never again.  Who waits for it already goes
 * on waiting. */
void mg_prefix_forget(mg_engine *engine, mg_held *held, int64_t slot);
/* Ends the waiting of texts whose beginning has been computed: to be called behind each pass,
 * before a slot is given to another text. */
MG_MUST_CHECK mg_status mg_prefix_settle(mg_engine *engine, mg_held *held, int64_t slot_count,
                                         mg_error *err);

/* The order of texts by their ids; a text comes behind its own beginning. */
int mg_ids_compare(const int32_t *a, int64_t a_count, const int32_t *b, int64_t b_count);

MG_END_C
