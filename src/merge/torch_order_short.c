/* merge/torch_order_short.c - the same exchanges over 16-bit keys.
 *
 * Exchanges depend on keys alone, and a place divides the elements by their keys except for those
 * that share the key at that place.  So the partitions move keys of two bytes and of the elements
 * only the indexes of those that have that one key; and of the two parts only the one that holds
 * the place is made. */
#include "base/memory.h"
#include "merge/torch_order_internal.h"

/* Parts of at most this many items are left to the plain version. */
#define PART_SMALL 512

/* The part that is left, with its items for the plain version. */
static void finish_part(const mg_partition_args *part, int depth, uint64_t *items)
{
    const int64_t count = part->last - part->first;
    const int64_t boundary = part->boundary - part->first;
    int64_t next = part->begin;
    for (int64_t i = 0; i < count; i++) {
        uint64_t key = part->keys[part->first + i];
        uint32_t index = key == part->tracked ? part->tracks[next++] : 0;
        items[i] = key << 32 | index;
    }
    mg_order_sort_around(items, count, depth, boundary);
    for (int64_t i = boundary; i < count; i++) {
        if (items[i] >> 32 == part->tracked) {
            uint32_t index = (uint32_t)items[i];
            part->bits[index / 64] &= ~(UINT64_C(1) << (index % 64));
        }
    }
}

/* The number of keys that equal tracked. */
static int64_t count_tracked(const uint16_t *keys, int64_t count, uint16_t tracked)
{
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        found += keys[i] == tracked;
    }
    return found;
}

/* The first key and another one change places; so do the tracks. */
static void exchange_first(mg_partition_args *part, int64_t other)
{
    uint16_t *keys = part->keys;
    const bool first_tracked = keys[part->first] == part->tracked;
    const bool other_tracked = keys[other] == part->tracked;
    const uint16_t key = keys[part->first];
    if (first_tracked || other_tracked) {
        uint32_t *tracks = part->tracks + part->begin;
        /* Of those from the first place on, before the other. */
        int64_t before = count_tracked(keys + part->first, other - part->first, part->tracked);
        size_t bytes = sizeof(*tracks);
        uint32_t track;
        if (first_tracked && other_tracked) {
            track = tracks[0];
            tracks[0] = tracks[before];
            tracks[before] = track;
        } else if (first_tracked) {
            track = tracks[0];
            memmove(tracks, tracks + 1, (size_t)(before - 1) * bytes);
            tracks[before - 1] = track;
        } else {
            track = tracks[before];
            memmove(tracks + 1, tracks, (size_t)before * bytes);
            tracks[0] = track;
        }
    }
    keys[part->first] = keys[other];
    keys[other] = key;
}

/* The median of the second, the middle and the last key changes places with the first. */
static void put_median(mg_partition_args *part)
{
    const int64_t middle = part->first + (part->last - part->first) / 2;
    const int64_t at[3] = { part->first + 1, middle, part->last - 1 };
    const uint16_t a = part->keys[at[0]], b = part->keys[at[1]], c = part->keys[at[2]];
    int median;
    if (a < b) {
        median = b < c ? 1 : a < c ? 2 : 0;
    } else {
        median = a < c ? 0 : b < c ? 2 : 1;
    }
    exchange_first(part, at[median]);
}

size_t mg_order_short_room(int64_t equals)
{
    return (size_t)(equals + 2 * MG_TRACK_SLACK) * sizeof(uint32_t);
}

void mg_order_short_before(const mg_short_order *order)
{
    const mg_mix_ops *mix = order->device->mix;
    uint32_t *tracks = order->rooms[0] + MG_TRACK_SLACK;
    int64_t equals;
    mg_short_mask_args mask = { order->keys, order->count, order->limit,
                                order->bits, tracks,       &equals };
    mix->short_mask(order->stream, &mask);
    if (!order->split) {
        return;
    }
    uint64_t items[PART_SMALL];
    mg_partition_args part = { order->keys,
                               0,
                               order->count,
                               order->boundary,
                               order->limit,
                               tracks,
                               order->rooms[1] + MG_TRACK_SLACK,
                               0,
                               equals,
                               order->bits };
    int depth = mg_order_depth(order->count);
    while (part.first < part.boundary && part.boundary < part.last) {
        const int64_t count = part.last - part.first;
        if (count <= PART_SMALL) {
            finish_part(&part, depth, items);
            return;
        }
        if (depth-- == 0) {
            uint64_t *heap = mg_new_array(uint64_t, count);
            finish_part(&part, 0, heap);
            mg_free(heap);
            return;
        }
        put_median(&part);
        mix->partition(order->stream, &part);
    }
}
