/* tests/unit/merge/test_torch_order.c - the order of equal values, against live torch. */
#include "crc32.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/fs.h"
#include "merge/torch_order_internal.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/merge"

/* The values that a line of order.txt names. */
static int64_t make_values(const char *name, float **values_out)
{
    int64_t count = 0;
    float *values = mg_new_array(float, 100000);
    char *end;
    if (strcmp(name, "killer") == 0) {
        mg_bytes text;
        mg_error err;
        assert_ok(mg_file_read(GOLDEN "/killer.txt", 1 << 16, &text, &err), &err);
        mg_str rest = mg_str_make((const char *)text.data, text.size);
        mg_str line;
        while (mg_str_split(&rest, '\n', &line) && line.size > 0) {
            values[count++] = strtof(line.data, NULL);
        }
        mg_bytes_release(&text);
    } else {
        count = strtol(name, &end, 10);
        uint64_t modulus = strtoul(end + 1, NULL, 10);
        uint64_t x = 1;
        for (int64_t i = 0; i < count; i++) {
            x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            values[i] = (float)((x >> 33) % modulus);
        }
    }
    *values_out = values;
    return count;
}

static uint64_t *make_items(const float *values, int64_t count, bool descending)
{
    uint64_t *items = mg_new_array(uint64_t, count);
    for (int64_t i = 0; i < count; i++) {
        items[i] = (uint64_t)mg_order_key(values[i], descending) << 32 | (uint64_t)i;
    }
    return items;
}

static uint32_t crc_of_items(const uint64_t *items, int64_t count)
{
    uint32_t *indexes = mg_new_array(uint32_t, count);
    for (int64_t i = 0; i < count; i++) {
        indexes[i] = (uint32_t)items[i];
    }
    uint32_t crc = test_crc32(indexes, (size_t)count * sizeof(uint32_t));
    mg_free(indexes);
    return crc;
}

static uint32_t crc_of_bits(const uint64_t *bits, int64_t count)
{
    uint32_t *indexes = mg_new_array(uint32_t, count);
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        if ((bits[i / 64] >> (i % 64) & 1) != 0) {
            indexes[found++] = (uint32_t)i;
        }
    }
    uint32_t crc = test_crc32(indexes, (size_t)found * sizeof(uint32_t));
    mg_free(indexes);
    return crc;
}

/* Whether selecting places gives what sorting gives, for ranges all over the sequence. */
static void check_selections(const float *values, int64_t count, bool descending,
                             const uint64_t *sorted)
{
    uint64_t *bits = mg_new_array(uint64_t, (count + 63) / 64);
    uint64_t *expected = mg_new_array(uint64_t, (count + 63) / 64);
    size_t bytes = (size_t)((count + 63) / 64) * sizeof(uint64_t);
    for (int64_t first = 0; first <= count; first += count / 5 + 1) {
        for (int64_t kept = 0; first + kept <= count; kept += count / 7 + 1) {
            memset(bits, 0, bytes);
            memset(expected, 0, bytes);
            for (int64_t i = first; i < first + kept; i++) {
                uint32_t index = (uint32_t)sorted[i];
                expected[index / 64] |= UINT64_C(1) << (index % 64);
            }
            uint64_t *items = make_items(values, count, descending);
            mg_order_select(items, count, first, kept, bits);
            mg_free(items);
            assert_memory_equal(bits, expected, bytes);
        }
    }
    mg_free(expected);
    mg_free(bits);
}

static int compare_values(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Keys in the order of values: how many different values are smaller, or larger. */
static void make_short_keys(const float *values, int64_t count, bool descending, uint16_t *keys)
{
    float *sorted = mg_new_array(float, count);
    memcpy(sorted, values, (size_t)count * sizeof(float));
    qsort(sorted, (size_t)count, sizeof(float), compare_values);
    int64_t different = 0;
    for (int64_t i = 1; i < count; i++) {
        if (sorted[i] != sorted[different]) {
            sorted[++different] = sorted[i];
        }
    }
    for (int64_t i = 0; i < count; i++) {
        const float *at =
            bsearch(&values[i], sorted, (size_t)different + 1, sizeof(float), compare_values);
        keys[i] = (uint16_t)(descending ? different - (at - sorted) : at - sorted);
    }
    mg_free(sorted);
}

/* Whether boundaries of short keys give what sorting gives, on every device. */
static void check_boundaries(const float *values, int64_t count, bool descending,
                             const uint64_t *sorted)
{
    const mg_isa best = mg_isa_best();
    const mg_device *devices[] = { mg_device_ref(),
                                   mg_device_cpu(best < MG_ISA_AVX2 ? best : MG_ISA_AVX2),
                                   mg_device_cpu(best) };
    mg_error err;
    uint16_t *keys = mg_new_array(uint16_t, count);
    uint16_t *used = mg_new_array(uint16_t, count);
    uint64_t *bits = mg_new_array(uint64_t, (count + 63) / 64);
    uint64_t *expected = mg_new_array(uint64_t, (count + 63) / 64);
    size_t bytes = (size_t)((count + 63) / 64) * sizeof(uint64_t);
    make_short_keys(values, count, descending, keys);
    for (int64_t i = 0; i < 3 * count; i += count / 4 + 1) {
        const mg_device *device = devices[i % MG_ARRAY_COUNT(devices)];
        mg_stream *stream;
        const int64_t place = i % count + 1;
        assert_ok(device->stream_create(device, NULL, &stream, &err), &err);
        memset(expected, 0, bytes);
        for (int64_t k = 0; k < place; k++) {
            uint32_t index = (uint32_t)sorted[k];
            expected[index / 64] |= UINT64_C(1) << (index % 64);
        }
        const uint16_t limit = keys[(uint32_t)sorted[place - 1]];
        uint32_t *rooms[2];
        for (int k = 0; k < 2; k++) {
            rooms[k] =
                mg_new_array(uint32_t, (int64_t)(mg_order_short_room(count) / sizeof(uint32_t)));
        }
        mg_short_order order = { .device = device,
                                 .stream = stream,
                                 .keys = used,
                                 .count = count,
                                 .boundary = place,
                                 .limit = limit,
                                 .rooms = { rooms[0], rooms[1] },
                                 .bits = bits };
        order.split = place < count && keys[(uint32_t)sorted[place]] == limit;
        memcpy(used, keys, (size_t)count * sizeof(uint16_t));
        mg_order_short_before(&order);
        assert_memory_equal(bits, expected, bytes);
        mg_free(rooms[0]);
        mg_free(rooms[1]);
        device->stream_destroy(stream);
    }
    mg_free(expected);
    mg_free(bits);
    mg_free(used);
    mg_free(keys);
}

static void equal_values_come_in_the_order_of_torch(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes text;
    assert_ok(mg_file_read(GOLDEN "/order.txt", 1 << 16, &text, &err), &err);
    mg_str rest = mg_str_make((const char *)text.data, text.size);
    mg_str line;
    int64_t lines = 0;
    while (mg_str_split(&rest, '\n', &line)) {
        char kind[16], name[32];
        long long kept;
        unsigned expected;
        char *copy = mg_str_dup(line);
        if (sscanf(copy, "%15s %31s %lld %x", kind, name, &kept, &expected) == 4) {
            float *values;
            int64_t count = make_values(name, &values);
            bool descending = strcmp(kind, "ascending") != 0;
            uint64_t *items = make_items(values, count, descending);
            uint32_t crc;
            if (strcmp(kind, "topk") == 0) {
                uint64_t *bits = mg_new_array(uint64_t, (count + 63) / 64);
                mg_order_top(items, count, kept, bits);
                crc = crc_of_bits(bits, count);
                mg_free(bits);
            } else {
                mg_order_sort(items, count);
                crc = crc_of_items(items, count);
                check_selections(values, count, descending, items);
                check_boundaries(values, count, descending, items);
            }
            if (crc != expected) {
                fail_msg("%s: %08x", copy, crc);
            }
            mg_free(items);
            mg_free(values);
            lines++;
        }
        mg_free(copy);
    }
    assert_int_equal(lines, 48);
    mg_bytes_release(&text);
}

static void nan_is_the_largest_magnitude(void **state)
{
    (void)state;
    assert_true(mg_order_key(NAN, false) > mg_order_key(INFINITY, false));
    assert_true(mg_order_key(NAN, true) < mg_order_key(INFINITY, true));
    assert_true(mg_order_key(1.0f, true) < mg_order_key(0.5f, true));
}

static void more_than_there_are_are_all(void **state)
{
    (void)state;
    static const float values[] = { 3, 1, 2, 1, 5 };
    const int64_t count = MG_ARRAY_COUNT(values);
    for (int64_t kept = count; kept <= count + 70; kept += 35) {
        uint64_t *items = make_items(values, count, true);
        uint64_t *bits = mg_new_array(uint64_t, 1);
        mg_order_top(items, count, kept, bits);
        assert_int_equal(bits[0], 0x1f);
        mg_free(items);
        mg_free(bits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_there_are_are_all),
        cmocka_unit_test(equal_values_come_in_the_order_of_torch),
        cmocka_unit_test(nan_is_the_largest_magnitude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
