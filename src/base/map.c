/* base/map.c - open addressing with linear probing, at most two thirds full. */
#include "base/map.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"

#define MG_MAP_CAP_MIN 16

struct mg_map_slot {
    mg_str key;
    int64_t value;
    uint64_t hash;
    bool used;
};

static mg_map_slot *slot_of(const mg_map *map, mg_str key, uint64_t hash)
{
    uint64_t mask = (uint64_t)map->cap - 1;
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
        mg_map_slot *slot = &map->slots[i];
        if (!slot->used || (slot->hash == hash && mg_str_equal(slot->key, key))) {
            return slot;
        }
    }
}

static void grow(mg_map *map)
{
    mg_map bigger;
    bigger.count = map->count;
    bigger.cap = MG_MAX(map->cap * 2, MG_MAP_CAP_MIN);
    bigger.slots = mg_new_array(mg_map_slot, bigger.cap);
    for (int64_t i = 0; i < map->cap; i++) {
        if (map->slots[i].used) {
            *slot_of(&bigger, map->slots[i].key, map->slots[i].hash) = map->slots[i];
        }
    }
    mg_free(map->slots);
    *map = bigger;
}

void mg_map_release(mg_map *map)
{
    if (map != NULL) {
        mg_free(map->slots);
        map->slots = NULL;
        map->count = 0;
        map->cap = 0;
    }
}

bool mg_map_set(mg_map *map, mg_str key, int64_t value)
{
    if ((map->count + 1) * 3 > map->cap * 2) {
        grow(map);
    }
    uint64_t hash = mg_hash64(key.data, key.size, 0);
    mg_map_slot *slot = slot_of(map, key, hash);
    bool is_new = !slot->used;
    if (is_new) {
        slot->used = true;
        slot->key = key;
        slot->hash = hash;
        map->count++;
    }
    slot->value = value;
    return is_new;
}

int64_t mg_map_get(const mg_map *map, mg_str key, int64_t fallback)
{
    if (map->cap == 0) {
        return fallback;
    }
    const mg_map_slot *slot = slot_of(map, key, mg_hash64(key.data, key.size, 0));
    return slot->used ? slot->value : fallback;
}

bool mg_map_has(const mg_map *map, mg_str key)
{
    return map->cap > 0 && slot_of(map, key, mg_hash64(key.data, key.size, 0))->used;
}
