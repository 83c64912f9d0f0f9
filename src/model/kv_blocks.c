/* model/kv_blocks.c - a pool of blocks with counted uses. */
#include "model/kv_blocks_internal.h"

#include <string.h>

#include "base/memory.h"

void mg_kv_blocks_init(mg_kv_blocks *blocks, int64_t block_positions, int64_t slot_count,
                       int64_t width, int64_t block_count)
{
    MG_ASSERT(block_positions > 0 && width > 0 && block_count >= width);
    blocks->block_positions = block_positions;
    blocks->slot_count = slot_count;
    blocks->width = width;
    blocks->block_count = block_count;
    blocks->table = mg_new_array(int32_t, slot_count * width);
    blocks->counts = mg_new_array(int64_t, slot_count);
    blocks->uses = mg_new_array(int32_t, block_count);
    blocks->spare = mg_new_array(int32_t, block_count);
    blocks->stale = mg_new_array(bool, slot_count);
    for (int64_t i = 0; i < block_count; i++) {
        blocks->spare[i] = (int32_t)(block_count - 1 - i); /* the lowest is taken first */
    }
    blocks->spare_count = block_count;
}

void mg_kv_blocks_release(mg_kv_blocks *blocks)
{
    mg_free(blocks->table);
    mg_free(blocks->counts);
    mg_free(blocks->uses);
    mg_free(blocks->spare);
    mg_free(blocks->stale);
    memset(blocks, 0, sizeof(*blocks));
}

static int64_t blocks_for(const mg_kv_blocks *blocks, int64_t position_count)
{
    return (position_count + blocks->block_positions - 1) / blocks->block_positions;
}

static int32_t take(mg_kv_blocks *blocks)
{
    MG_ASSERT(blocks->spare_count > 0);
    int32_t block = blocks->spare[--blocks->spare_count];
    blocks->uses[block] = 1;
    return block;
}

static void give_back(mg_kv_blocks *blocks, int32_t block)
{
    if (--blocks->uses[block] == 0) {
        blocks->spare[blocks->spare_count++] = block;
    }
}

bool mg_kv_blocks_grow(mg_kv_blocks *blocks, int64_t slot, int64_t position_count)
{
    int64_t wanted = blocks_for(blocks, position_count);
    int64_t have = blocks->counts[slot];
    MG_ASSERT(slot >= 0 && slot < blocks->slot_count && wanted <= blocks->width);
    if (wanted - have > blocks->spare_count) {
        return false;
    }
    for (int64_t i = have; i < wanted; i++) {
        blocks->table[slot * blocks->width + i] = take(blocks);
        blocks->counts[slot] = i + 1;
        blocks->stale[slot] = true;
    }
    return true;
}

void mg_kv_blocks_trim(mg_kv_blocks *blocks, int64_t slot, int64_t position_count)
{
    MG_ASSERT(slot >= 0 && slot < blocks->slot_count);
    for (int64_t i = blocks->counts[slot]; i > blocks_for(blocks, position_count); i--) {
        give_back(blocks, blocks->table[slot * blocks->width + i - 1]);
        blocks->counts[slot] = i - 1;
    }
}

int64_t mg_kv_blocks_share(mg_kv_blocks *blocks, int64_t from, int64_t to, int64_t position_count,
                           mg_kv_block_copy *copy_out)
{
    const int32_t *source = blocks->table + from * blocks->width;
    int32_t *target = blocks->table + to * blocks->width;
    int64_t full = position_count / blocks->block_positions;
    int64_t rest = position_count % blocks->block_positions;
    copy_out->from = -1;
    copy_out->to = -1;
    copy_out->position_count = rest;
    MG_ASSERT(blocks_for(blocks, position_count) <= blocks->counts[from]);
    if (from == to) {
        mg_kv_blocks_trim(blocks, to, position_count);
        if (rest == 0 || blocks->uses[target[full]] == 1) {
            return position_count;
        }
        if (blocks->spare_count > 0) { /* the others keep theirs */
            copy_out->from = target[full];
            copy_out->to = take(blocks);
            give_back(blocks, copy_out->from);
            target[full] = copy_out->to;
            blocks->stale[to] = true;
            return position_count;
        }
        mg_kv_blocks_trim(blocks, to, position_count - rest);
        return position_count - rest;
    }
    mg_kv_blocks_trim(blocks, to, 0);
    for (int64_t i = 0; i < full; i++) {
        target[i] = source[i];
        blocks->uses[source[i]]++;
    }
    blocks->counts[to] = full;
    blocks->stale[to] = true;
    if (rest == 0 || blocks->spare_count == 0) {
        return position_count - rest;
    }
    copy_out->from = source[full];
    copy_out->to = take(blocks);
    target[full] = copy_out->to;
    blocks->counts[to] = full + 1;
    return position_count;
}
