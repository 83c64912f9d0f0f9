/* compute/mix_partition.c - the plain parts of ops_mix.h's partition, for every backend.
 *
 * The i-th stop on the left exchanges its key with the i-th on the right.  Making the left side
 * needs no more than reading the right one, and the other way round.  A search beyond what was
 * exchanged last ends there: of the pair, the left place holds a key that is not above the pivot,
 * the right one a key that is not below it. */
#include "compute/mix_internal.h"

int64_t mg_partition_cut(const uint16_t *keys, uint16_t pivot, int64_t low, int64_t high)
{
    for (;; low++) {
        while (low < high && keys[low] < pivot) {
            low++;
        }
        high--;
        while (high >= low && pivot < keys[high]) {
            high--;
        }
        if (low >= high) {
            return low;
        }
    }
}

bool mg_partition_side(const mg_partition_args *args, bool *left_out)
{
    const uint16_t pivot = args->keys[args->first];
    *left_out = args->tracked < pivot;
    return args->tracked != pivot;
}

void mg_partition_clear(uint64_t *bits, uint32_t index)
{
    bits[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

mg_partition_walk mg_partition_begin(const mg_partition_args *args, bool left)
{
    mg_partition_walk walk = { args->first + 1, args->last, args->begin, args->end, args->begin };
    if (!left) {
        walk.kept = args->end;
        walk.given = args->begin;
        walk.out = args->end;
    }
    if (args->keys[args->first] == args->tracked) {
        /* The pivot stays on the left. */
        if (left) {
            args->other[walk.out++] = args->tracks[walk.kept++];
        } else {
            walk.given++;
        }
    }
    return walk;
}

static void finish_left(mg_partition_args *args, mg_partition_walk w)
{
    uint16_t *keys = args->keys;
    const uint16_t pivot = keys[args->first];
    for (;; w.low++) {
        for (; w.low < w.high && keys[w.low] < pivot; w.low++) {
            if (keys[w.low] == args->tracked) {
                args->other[w.out++] = args->tracks[w.kept++];
            }
        }
        w.high--;
        while (w.high >= w.low && pivot < keys[w.high]) {
            w.high--;
        }
        if (w.low >= w.high) {
            break;
        }
        if (keys[w.low] == args->tracked) {
            mg_partition_clear(args->bits, args->tracks[w.kept++]);
        }
        keys[w.low] = keys[w.high];
        if (keys[w.low] == args->tracked) {
            args->other[w.out++] = args->tracks[--w.given];
        }
    }
    while (w.kept < w.given) {
        mg_partition_clear(args->bits, args->tracks[w.kept++]);
    }
    args->last = w.low;
    args->end = w.out;
}

static void finish_right(mg_partition_args *args, mg_partition_walk w)
{
    uint16_t *keys = args->keys;
    const uint16_t pivot = keys[args->first];
    for (;; w.low++) {
        while (w.low < w.high && keys[w.low] < pivot) {
            w.low++;
        }
        w.high--;
        for (; w.high >= w.low && pivot < keys[w.high]; w.high--) {
            if (keys[w.high] == args->tracked) {
                args->other[--w.out] = args->tracks[--w.kept];
            }
        }
        if (w.low >= w.high) {
            break;
        }
        w.kept -= keys[w.high] == args->tracked;
        keys[w.high] = keys[w.low];
        if (keys[w.high] == args->tracked) {
            args->other[--w.out] = args->tracks[w.given++];
        }
    }
    if (w.low == w.high && keys[w.high] == args->tracked) {
        args->other[--w.out] = args->tracks[--w.kept]; /* both stopped here */
    }
    args->first = w.low;
    args->begin = w.out;
}

void mg_partition_finish(mg_partition_args *args, bool left, mg_partition_walk walk)
{
    if (left) {
        finish_left(args, walk);
    } else {
        finish_right(args, walk);
    }
    uint32_t *tracks = args->tracks;
    args->tracks = args->other;
    args->other = tracks;
}
