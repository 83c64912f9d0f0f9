/* tests/contract/test_mix_order.c - 16-bit keys and their partition, on every CPU device.
 *
 * What ref gives is compared with a partition of whole items, exchange for exchange, and what the
 * devices give with ref. */
#include "support.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"
#include "compute/device.h"
#include "compute/ops_mix.h"
#include "contract/targets.h"

#define COUNT_MAX 70001

static const int64_t sizes[] = { 1, 7, 16, 63, 64, 65, 129, 1000, 5000, COUNT_MAX };

/* --- Keys and masks --------------------------------------------------------------------------- */

typedef struct keys_result {
    uint16_t keys[COUNT_MAX];
    int64_t below;
    int64_t tally[MG_SHORT_KEY_COUNT];
    uint64_t bits[COUNT_MAX / 64 + 1];
    uint32_t tracks[COUNT_MAX + MG_TRACK_SLACK];
    int64_t track_count;
} keys_result;

/* Values near a base, exact zeros, infinities and NaNs. */
static void fill_pair(void *base, void *x, mg_dtype dtype, int64_t count, uint64_t seed)
{
    mg_rng rng = mg_rng_make(seed, MG_STREAM_ITEMS);
    const size_t width = (size_t)(mg_dtype_bits(dtype) / 8);
    for (int64_t i = 0; i < count; i++) {
        double a = 0.02 * mg_rng_normal(&rng);
        double b = i % 3 == 0 ? a : a + 0.002 * mg_rng_normal(&rng);
        b = i % 97 == 5 ? (double)NAN : i % 101 == 7 ? (double)INFINITY : b;
        mg_dtype_convert((char *)base + (size_t)i * width, dtype, &a, MG_F64, 1);
        mg_dtype_convert((char *)x + (size_t)i * width, dtype, &b, MG_F64, 1);
    }
}

static void run_keys(const target *t, const mg_mix_input *base, const mg_mix_input *x,
                     mg_dtype work, int64_t count, const int range[2], keys_result *r)
{
    mg_error err;
    memset(r, 0, sizeof(*r));
    mg_short_keys_args args = { *base,   *x,       work,     count % 2 == 0, count,
                                r->keys, range[0], range[1], &r->below,      r->tally };
    assert_ok(t->device->mix->short_keys(t->stream, &args, &err), &err);
    mg_short_mask_args mask = { r->keys, count,     r->keys[count / 2],
                                r->bits, r->tracks, &r->track_count };
    t->device->mix->short_mask(t->stream, &mask);
    memset(r->tracks + r->track_count, 0, MG_TRACK_SLACK * sizeof(uint32_t));
}

static void keys_order_as_magnitudes_and_are_counted(void **state)
{
    (void)state;
    static const mg_dtype dtypes[] = { MG_BF16, MG_F16, MG_F32 };
    static const int ranges[][2] = { { 0, MG_SHORT_KEY_COUNT - 1 }, { 0x3a00, 0x3b80 }, { 7, 7 } };
    static float base[COUNT_MAX], x[COUNT_MAX];
    keys_result *expected = mg_new(keys_result);
    keys_result *found = mg_new(keys_result);
    for (int64_t c = 0; c < MG_ARRAY_COUNT(sizes) * 3 * 2; c++) {
        const int64_t count = sizes[c % MG_ARRAY_COUNT(sizes)];
        const mg_dtype dtype = dtypes[c / MG_ARRAY_COUNT(sizes) % 3];
        const mg_dtype work = dtypes[c / MG_ARRAY_COUNT(sizes) / 3];
        const int *range = ranges[c % 3];
        mg_mix_input inputs[2] = { { base, dtype }, { x, dtype } };
        fill_pair(base, x, dtype, count, (uint64_t)c);
        run_keys(&targets[0], &inputs[0], &inputs[1], work, count, range, expected);
        for (int64_t i = 1; i < target_count; i++) {
            run_keys(&targets[i], &inputs[0], &inputs[1], work, count, range, found);
            if (memcmp(found, expected, sizeof(*found)) != 0) {
                fail_msg("%s differs for %lld elements", targets[i].name, (long long)count);
            }
        }
    }
    mg_free(found);
    mg_free(expected);
}

static void a_nan_is_one_above_infinity(void **state)
{
    (void)state;
    float base[3] = { 0.0f, 0.0f, 1.0f };
    float x[3] = { INFINITY, NAN, -1.0f };
    mg_mix_input inputs[2] = { { base, MG_F32 }, { x, MG_F32 } };
    static const int range[2] = { 0, MG_SHORT_KEY_COUNT - 1 };
    keys_result *r = mg_new(keys_result);
    for (int64_t i = 0; i < target_count; i++) {
        run_keys(&targets[i], &inputs[0], &inputs[1], MG_BF16, 3, range, r);
        assert_int_equal(r->keys[0], 0x7f80);
        assert_int_equal(r->keys[1], 0x7f81);
        assert_int_equal(r->keys[2], 0x4000);
        run_keys(&targets[i], &inputs[0], &inputs[1], MG_F16, 2, range, r);
        assert_int_equal(r->keys[0], 0x7c00 ^ 0x7fff);
        assert_int_equal(r->keys[1], 0x7c01 ^ 0x7fff);
    }
    mg_free(r);
}

/* --- Partition -------------------------------------------------------------------------------- */

typedef struct part_state {
    mg_partition_args args;
    uint16_t keys[COUNT_MAX];
    uint32_t tracks[2][COUNT_MAX + 2 * MG_TRACK_SLACK];
    uint64_t bits[COUNT_MAX / 64 + 1];
} part_state;

static int compare_keys(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* count keys of which about distinct differ, their median of three first, after a few others. */
static void make_state(part_state *s, int64_t count, uint64_t distinct, uint64_t seed)
{
    static uint16_t sorted[COUNT_MAX];
    mg_rng rng = mg_rng_make(seed, MG_STREAM_ITEMS);
    memset(s, 0, sizeof(*s));
    const int64_t first = count > 20 ? (int64_t)(seed % 5) : 0;
    for (int64_t i = 0; i < count; i++) {
        s->keys[i] = (uint16_t)mg_rng_below(&rng, distinct);
    }
    uint16_t three[3] = { s->keys[first + 1], s->keys[(first + count) / 2], s->keys[count - 1] };
    qsort(three, 3, sizeof(three[0]), compare_keys);
    for (int64_t at = first + 1; at < count; at++) {
        bool is_one = at == first + 1 || at == (first + count) / 2 || at == count - 1;
        if (is_one && s->keys[at] == three[1]) {
            s->keys[at] = s->keys[first];
            s->keys[first] = three[1];
            break;
        }
    }
    memcpy(sorted, s->keys, sizeof(sorted));
    qsort(sorted + first, (size_t)(count - first), sizeof(sorted[0]), compare_keys);
    const int64_t boundary = first + 1 + (int64_t)mg_rng_below(&rng, (uint64_t)(count - first - 1));
    s->args.first = first;
    s->args.last = count;
    s->args.boundary = boundary;
    s->args.tracked = sorted[boundary];
    memset(s->bits, 0xff, sizeof(s->bits));
    for (int64_t i = first; i < count; i++) {
        if (s->keys[i] == s->args.tracked) {
            s->tracks[0][MG_TRACK_SLACK + s->args.end++] = (uint32_t)i;
        }
    }
}

static void run_partition(const target *t, const part_state *from, part_state *to)
{
    memcpy(to, from, sizeof(*to));
    to->args.keys = to->keys;
    to->args.tracks = to->tracks[0] + MG_TRACK_SLACK;
    to->args.other = to->tracks[1] + MG_TRACK_SLACK;
    to->args.bits = to->bits;
    t->device->mix->partition(t->stream, &to->args);
    assert_ptr_equal(to->args.tracks, to->tracks[1] + MG_TRACK_SLACK);
}

static void check_same(const part_state *a, const part_state *b, const char *name)
{
    const mg_partition_args *x = &a->args, *y = &b->args;
    if (x->first != y->first || x->last != y->last || x->end - x->begin != y->end - y->begin ||
        memcmp(a->keys + x->first, b->keys + x->first,
               (size_t)(x->last - x->first) * sizeof(uint16_t)) != 0 ||
        memcmp(x->tracks + x->begin, y->tracks + y->begin,
               (size_t)(x->end - x->begin) * sizeof(uint32_t)) != 0 ||
        memcmp(a->bits, b->bits, sizeof(a->bits)) != 0) {
        fail_msg("%s differs", name);
    }
}

/* The whole partition, of items with their indexes. */
static void partition_whole(const part_state *from, part_state *to)
{
    static uint32_t index[COUNT_MAX];
    memcpy(to, from, sizeof(*to));
    mg_partition_args *p = &to->args;
    uint16_t *keys = to->keys;
    const uint16_t pivot = keys[p->first];
    for (int64_t i = 0; i < p->last; i++) {
        index[i] = (uint32_t)i;
    }
    int64_t low = p->first + 1;
    int64_t high = p->last;
    for (;; low++) {
        while (keys[low] < pivot) {
            low++;
        }
        high--;
        while (pivot < keys[high]) {
            high--;
        }
        if (low >= high) {
            break;
        }
        uint16_t key = keys[low];
        uint32_t i = index[low];
        keys[low] = keys[high];
        index[low] = index[high];
        keys[high] = key;
        index[high] = i;
    }
    const bool left = p->boundary <= low;
    for (int64_t i = low; i < p->last && left; i++) {
        if (keys[i] == p->tracked) {
            to->bits[index[i] / 64] &= ~(UINT64_C(1) << (index[i] % 64));
        }
    }
    p->first = left ? p->first : low;
    p->last = left ? low : p->last;
    p->tracks = to->tracks[1];
    p->begin = 0;
    p->end = 0;
    for (int64_t i = p->first; i < p->last; i++) {
        if (keys[i] == p->tracked) {
            p->tracks[p->end++] = index[i];
        }
    }
}

static void a_part_is_that_of_the_whole_partition(void **state)
{
    (void)state;
    static const uint64_t distinct[] = { 2, 3, 10, 300, MG_SHORT_KEY_COUNT };
    part_state *from = mg_new(part_state);
    part_state *whole = mg_new(part_state);
    part_state *part = mg_new(part_state);
    for (uint64_t seed = 0; seed < 300; seed++) {
        const int64_t count = seed % 50 == 0 ? COUNT_MAX : 4 + (int64_t)(seed * 37 % 2500);
        make_state(from, count, distinct[seed % MG_ARRAY_COUNT(distinct)], seed);
        partition_whole(from, whole);
        for (int64_t i = 0; i < target_count; i++) {
            run_partition(&targets[i], from, part);
            check_same(whole, part, targets[i].name);
        }
    }
    mg_free(part);
    mg_free(whole);
    mg_free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_order_as_magnitudes_and_are_counted),
        cmocka_unit_test(a_nan_is_one_above_infinity),
        cmocka_unit_test(a_part_is_that_of_the_whole_partition),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
