/* model/kv_blocks_internal.h - which blocks of a cache each slot has.
 *
 * A slot is a list of blocks, of block_positions tokens each, that grows with its text.  Slots
 * whose texts begin alike have blocks in common: a block goes back to the pool with its last user.
 * Blocks in common are full, and so never written again.  Host memory only.  Thread-safety: none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

MG_BEGIN_C

typedef struct mg_kv_blocks {
    int64_t block_positions;
    int64_t slot_count;
    int64_t width;       /* blocks of the longest slot */
    int64_t block_count; /* of the pool */
    int32_t *table;      /* (slot_count, width): the first counts[slot] of a row are the slot's */
    int64_t *counts;     /* (slot_count) */
    int32_t *uses;       /* (block_count): slots that have it */
    int32_t *spare;      /* blocks that nobody has */
    int64_t spare_count;
    bool *stale; /* (slot_count): the row changed since whoever reads the table cleared this */
} mg_kv_blocks;

/* A block whose first tokens are to be copied; from < 0 = none. */
typedef struct mg_kv_block_copy {
    int32_t from;
    int32_t to;
    int64_t position_count;
} mg_kv_block_copy;

void mg_kv_blocks_init(mg_kv_blocks *blocks, int64_t block_positions, int64_t slot_count,
                       int64_t width, int64_t block_count);
void mg_kv_blocks_release(mg_kv_blocks *blocks);
/* Gives the slot room for its first position_count positions; false, and nothing changes, when the
 * pool has too few blocks. */
bool mg_kv_blocks_grow(mg_kv_blocks *blocks, int64_t slot, int64_t position_count);
/* Gives back what lies behind the blocks of the first position_count positions. */
void mg_kv_blocks_trim(mg_kv_blocks *blocks, int64_t slot, int64_t position_count);
/* Slot `to` (which may be `from`) gets the first position_count positions of slot from and nothing
 * else: full blocks are shared, the rest of them is to be copied as *copy_out says.  Returns how
 * many positions that are: whole blocks only where the pool has none for the copy. */
int64_t mg_kv_blocks_share(mg_kv_blocks *blocks, int64_t from, int64_t to, int64_t position_count,
                           mg_kv_block_copy *copy_out);

MG_END_C
