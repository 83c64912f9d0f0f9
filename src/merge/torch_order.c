/* merge/torch_order.c - libstdc++'s sort, nth_element and partial_sort, exchange for exchange.
 *
 * Hoare's partition stops on the left at the first key that is not below the pivot, on the right
 * at the last that is not above it, exchanges both and goes on.  The i-th stop on the left always
 * meets the i-th on the right, so both sides' stops are collected a block at a time without
 * branches, which gives the same exchanges several times faster (Edelkamp and Weiss,
 * BlockQuicksort, 2016). */
#include "merge/torch_order_internal.h"

#include <math.h>
#include <string.h>

/* Parts of at most this many items are left to the insertion sort. */
#define SORT_SMALL 16
/* nth_element stops at parts of at most this many. */
#define SELECT_SMALL 3
/* topk sorts a heap when the kept share is at most one in this many. */
#define HEAP_SHARE 64
#define BLOCK 128 /* items whose stops are collected together; fits a byte */

uint32_t mg_order_key(float magnitude, bool descending)
{
    uint32_t key = UINT32_C(0x7fc00000); /* above infinity */
    if (!isnan(magnitude)) {
        memcpy(&key, &magnitude, sizeof(key));
    }
    return descending ? ~key : key;
}

static bool below(uint64_t a, uint64_t b)
{
    return (a >> 32) < (b >> 32);
}

static void exchange(uint64_t *a, uint64_t *b)
{
    uint64_t keep = *a;
    *a = *b;
    *b = keep;
}

int mg_order_depth(int64_t count)
{
    int depth = 0;
    for (; count > 1; count >>= 1) {
        depth += 2;
    }
    return depth;
}

/* The median of a, b and c changes places with *to. */
static void put_median(uint64_t *to, uint64_t *a, uint64_t *b, uint64_t *c)
{
    if (below(*a, *b)) {
        exchange(to, below(*b, *c) ? b : below(*a, *c) ? c : a);
    } else {
        exchange(to, below(*a, *c) ? a : below(*b, *c) ? c : b);
    }
}

/* Stops of one side that wait for partners. */
typedef struct stops {
    uint8_t offset[BLOCK];
    int next;
    int count;
} stops;

static void find_left(stops *s, const uint64_t *items, uint64_t pivot)
{
    const uint64_t lowest = pivot << 32; /* of the items that stop */
    s->next = 0;
    int count = 0;
#pragma GCC unroll 8
    for (int i = 0; i < BLOCK; i++) {
        s->offset[count] = (uint8_t)i;
        count += items[i] >= lowest;
    }
    s->count = count;
}

static void find_right(stops *s, const uint64_t *items_end, uint64_t pivot)
{
    const uint64_t highest = pivot << 32 | UINT32_MAX; /* of the items that stop */
    s->next = 0;
    int count = 0;
#pragma GCC unroll 8
    for (int i = 0; i < BLOCK; i++) {
        s->offset[count] = (uint8_t)i;
        count += items_end[-1 - i] <= highest;
    }
    s->count = count;
}

/* Parts [first, last) around items[first - 1]'s key; where the right part begins is returned. */
static int64_t partition(uint64_t *items, int64_t first, int64_t last)
{
    const uint64_t pivot = items[first - 1] >> 32;
    stops left = { { 0 }, 0, 0 };
    stops right = { { 0 }, 0, 0 };
    int64_t left_block = first, right_block = last;
    int64_t low = first, high = last; /* nothing in between has been looked at */
    while (high - low >= 2 * (int64_t)BLOCK) {
        if (left.count == 0) {
            left_block = low;
            find_left(&left, items + low, pivot);
            low += BLOCK;
        }
        if (right.count == 0) {
            right_block = high;
            find_right(&right, items + high, pivot);
            high -= BLOCK;
        }
        int pairs = left.count < right.count ? left.count : right.count;
        for (int i = 0; i < pairs; i++) {
            exchange(&items[left_block + left.offset[left.next + i]],
                     &items[right_block - 1 - right.offset[right.next + i]]);
        }
        left.next += pairs;
        left.count -= pairs;
        right.next += pairs;
        right.count -= pairs;
    }
    /* Stops without a partner are found again. */
    low = left.count > 0 ? left_block + left.offset[left.next] : low;
    high = right.count > 0 ? right_block - right.offset[right.next] : high;
    for (;;) {
        while ((items[low] >> 32) < pivot) {
            low++;
        }
        high--;
        while (pivot < (items[high] >> 32)) {
            high--;
        }
        if (low >= high) {
            return low;
        }
        exchange(&items[low], &items[high]);
        low++;
    }
}

static int64_t part(uint64_t *items, int64_t first, int64_t last)
{
    int64_t middle = first + (last - first) / 2;
    put_median(&items[first], &items[first + 1], &items[middle], &items[last - 1]);
    return partition(items, first + 1, last);
}

static void insertion_sort(uint64_t *items, int64_t first, int64_t last)
{
    for (int64_t i = first + 1; i < last; i++) {
        uint64_t item = items[i];
        int64_t at = i;
        for (; at > first && below(item, items[at - 1]); at--) {
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
}

/* --- Heaps, largest on top -------------------------------------------------------------------- */

/* Puts item into the heap heap[0 .. count), whose place hole is free. */
static void sift(uint64_t *heap, int64_t hole, int64_t count, uint64_t item)
{
    const int64_t top = hole;
    int64_t child = hole;
    while (child < (count - 1) / 2) {
        child = 2 * (child + 1);
        if (below(heap[child], heap[child - 1])) {
            child--;
        }
        heap[hole] = heap[child];
        hole = child;
    }
    if (count % 2 == 0 && child == (count - 2) / 2) {
        child = 2 * (child + 1);
        heap[hole] = heap[child - 1];
        hole = child - 1;
    }
    for (int64_t parent = (hole - 1) / 2; hole > top && below(heap[parent], item);
         parent = (hole - 1) / 2) {
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = item;
}

static void make_heap(uint64_t *heap, int64_t count)
{
    for (int64_t parent = (count - 2) / 2; count >= 2 && parent >= 0; parent--) {
        sift(heap, parent, count, heap[parent]);
    }
}

/* The smallest middle items come to the front, as a heap. */
static void heap_select(uint64_t *items, int64_t middle, int64_t count)
{
    make_heap(items, middle);
    for (int64_t i = middle; i < count; i++) {
        if (below(items[i], items[0])) {
            uint64_t item = items[i];
            items[i] = items[0];
            sift(items, 0, middle, item);
        }
    }
}

static void heap_sort(uint64_t *items, int64_t count)
{
    make_heap(items, count);
    for (int64_t last = count - 1; last > 0; last--) {
        uint64_t item = items[last];
        items[last] = items[0];
        sift(items, 0, last, item);
    }
}

/* --- Sorting and selecting -------------------------------------------------------------------- */

/* Sorts the parts of [first, last) that hold begin or end strictly inside. */
static void sort_around(uint64_t *items, int64_t first, int64_t last, int depth, int64_t begin,
                        int64_t end)
{
    for (;;) {
        bool holds = (begin > first && begin < last) || (end > first && end < last);
        if (!holds) {
            return;
        }
        if (last - first <= SORT_SMALL) {
            insertion_sort(items, first, last);
            return;
        }
        if (depth-- == 0) {
            heap_sort(items + first, last - first);
            return;
        }
        int64_t cut = part(items, first, last);
        sort_around(items, cut, last, depth, begin, end);
        last = cut;
    }
}

static void sort_all(uint64_t *items, int64_t first, int64_t last, int depth)
{
    while (last - first > SORT_SMALL) {
        if (depth-- == 0) {
            heap_sort(items + first, last - first);
            return;
        }
        int64_t cut = part(items, first, last);
        sort_all(items, cut, last, depth);
        last = cut;
    }
    insertion_sort(items, first, last);
}

void mg_order_sort(uint64_t *items, int64_t count)
{
    sort_all(items, 0, count, mg_order_depth(count));
}

void mg_order_sort_around(uint64_t *items, int64_t count, int depth, int64_t boundary)
{
    sort_around(items, 0, count, depth, boundary, boundary);
}

static void set_bits(const uint64_t *items, int64_t count, uint64_t *bits)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t index = (uint32_t)items[i];
        bits[index / 64] |= UINT64_C(1) << (index % 64);
    }
}

void mg_order_select(uint64_t *items, int64_t count, int64_t first, int64_t kept, uint64_t *bits)
{
    sort_around(items, 0, count, mg_order_depth(count), first, first + kept);
    set_bits(items + first, kept, bits);
}

/* libstdc++'s introselect: afterwards items[nth] has its place. */
static void select_nth(uint64_t *items, int64_t nth, int64_t count)
{
    int64_t first = 0;
    int64_t last = count;
    int depth = mg_order_depth(count);
    while (last - first > SELECT_SMALL) {
        if (depth-- == 0) {
            heap_select(items + first, nth + 1 - first, last - first);
            exchange(&items[first], &items[nth]);
            return;
        }
        int64_t cut = part(items, first, last);
        first = cut <= nth ? cut : first;
        last = cut <= nth ? last : cut;
    }
    insertion_sort(items, first, last);
}

void mg_order_top(uint64_t *items, int64_t count, int64_t kept, uint64_t *bits)
{
    if (kept <= 0) {
        return;
    }
    kept = MG_MIN(kept, count);
    if (kept <= count / HEAP_SHARE) {
        heap_select(items, kept, count);
    } else {
        select_nth(items, kept - 1, count);
    }
    set_bits(items, kept, bits);
}
