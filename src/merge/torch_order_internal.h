/* merge/torch_order_internal.h - the order in which torch's sort leaves equal values on the CPU.
 *
 * mergekit ranks magnitudes with torch.sort, which is not stable: it is libstdc++'s introsort, and
 * which of several equal magnitudes comes first depends on every exchange it makes.  In bfloat16
 * most magnitudes are equal to others, so the same bytes need the same exchanges.  These functions
 * make them: median of three, Hoare's partition, heap sort when the recursion gets too deep, and an
 * insertion sort at the end.  The order is the same for every element type and instruction set.
 *
 * An item holds a key above its index: key << 32 | index; only keys are compared, ascending.
 * Thread-safety: pure functions over the caller's items. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "compute/device.h"
#include "compute/ops_mix.h"

MG_BEGIN_C

/* The key of a magnitude: ascending as the magnitude, NaN largest; descending turns it round. */
uint32_t mg_order_key(float magnitude, bool descending);

/* Sorts items as torch.sort does. */
void mg_order_sort(uint64_t *items, int64_t count);
/* Sets bits of the indexes that torch.sort would leave at places first .. first+kept-1.  Only the
 * parts that hold an end of that range are sorted, so the time is linear; items end in some other
 * order. */
void mg_order_select(uint64_t *items, int64_t count, int64_t first, int64_t kept, uint64_t *bits);
/* Sets bits of the indexes that torch.topk would choose as the kept smallest keys; of all where
 * there are not so many (a share of the elements may have been rounded up). */
void mg_order_top(uint64_t *items, int64_t count, int64_t kept, uint64_t *bits);

/* How often introsort divides a part of count items before it sorts a heap. */
int mg_order_depth(int64_t count);
/* Sorts, as introsort does with depth divisions left, the parts of items that hold place boundary
 * strictly inside. */
void mg_order_sort_around(uint64_t *items, int64_t count, int depth, int64_t boundary);

/* Which elements torch.sort would leave at places below boundary, of 16-bit keys
 * (torch_order_short.c). */
typedef struct mg_short_order {
    const mg_device *device; /* with host memory */
    const mg_stream *stream;
    uint16_t *keys;     /* used up */
    int64_t count;      /* 1 .. 2^32 - 1 */
    int64_t boundary;   /* 1 .. count */
    uint16_t limit;     /* the key at place boundary - 1 once keys are sorted */
    bool split;         /* place boundary has the same one */
    uint32_t *rooms[2]; /* each mg_order_short_room(elements whose key is limit) bytes */
    uint64_t *bits;     /* the result: (count + 63) / 64 words */
} mg_short_order;
size_t mg_order_short_room(int64_t equals);
/* Threads may share the stream. */
void mg_order_short_before(const mg_short_order *order);

MG_END_C
