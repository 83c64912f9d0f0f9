/* tests of base/str.h and base/map.h */
#include "support.h"

#include <math.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"

static void expect_double(double value, const char *text)
{
    mg_buf buf = { 0 };
    mg_buf_add_double(&buf, value);
    assert_string_equal(buf.data, text);
    mg_buf_release(&buf);
}

static void doubles_print_as_python_repr(void **state)
{
    (void)state;
    expect_double(0.1, "0.1");
    expect_double(1.0, "1.0");
    expect_double(-0.0, "-0.0");
    expect_double(1e-5, "1e-05");
    expect_double(0.0001, "0.0001");
    expect_double(1e15, "1000000000000000.0");
    expect_double(1e16, "1e+16");
    expect_double(123456789.123, "123456789.123");
    expect_double(1.0 / 3.0, "0.3333333333333333");
    expect_double(5e-324, "5e-324");
    expect_double(INFINITY, "inf");
    expect_double(NAN, "nan");
}

static void no_number_is_written_with_more_digits_than_it_needs(void **state)
{
    (void)state;
    mg_rng rng = mg_rng_make(1, MG_STREAM_ITEMS);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)mg_rng_word(&rng) << 32 | mg_rng_word(&rng);
        char text[64];
        double value;
        memcpy(&value, &bits, sizeof(value));
        value = i % 4 == 0 ? (double)(bits % 1000) / 126.0 : value;
        value = i % 4 == 1 ? (double)(bits % 100000) / 1000.0 : value;
        value = i % 4 == 2 ? ldexp(value, -1040) : value; /* subnormal, mostly */
        int digits = 1;
        for (; digits <= 17; digits++) {
            snprintf(text, sizeof(text), "%.*e", digits - 1, value);
            if (strtod(text, NULL) == value) {
                break;
            }
        }
        mg_buf buf = { 0 };
        mg_buf_add_double(&buf, value);
        if (isfinite(value)) {
            int written = 0; /* significant ones, zeros at both ends left out */
            int zeros = 0;
            for (const char *c = buf.data; *c != '\0' && *c != 'e'; c++) {
                if (*c >= '0' && *c <= '9' && (*c != '0' || written > 0)) {
                    written++;
                    zeros = *c == '0' ? zeros + 1 : 0;
                }
            }
            assert_true(strtod(buf.data, NULL) == value);
            assert_true(written - zeros <= digits);
        }
        mg_buf_release(&buf);
    }
}

static void splitting_gives_every_part_and_empty_ones(void **state)
{
    (void)state;
    mg_str rest = mg_str_of("a,,b,");
    const char *expected[] = { "a", "", "b", "" };
    mg_str part;
    int64_t count = 0;
    while (mg_str_split(&rest, ',', &part)) {
        assert_true(count < 4 && mg_str_is(part, expected[count]));
        count++;
    }
    assert_int_equal(count, 4);
}

static void only_whole_strings_are_numbers(void **state)
{
    (void)state;
    int64_t i;
    double d;
    assert_true(mg_str_to_int(mg_str_of("-12"), &i) && i == -12);
    assert_false(mg_str_to_int(mg_str_of("12x"), &i));
    assert_false(mg_str_to_int(mg_str_of(""), &i));
    assert_false(mg_str_to_int(mg_str_of("99999999999999999999"), &i));
    assert_true(mg_str_to_double(mg_str_of("1e-5"), &d) && d == 1e-5);
    assert_false(mg_str_to_double(mg_str_of("0x10"), &d));
    assert_false(mg_str_to_double(mg_str_of(" 1"), &d));
    assert_false(mg_str_to_double(mg_str_make("1\0002", 3), &d));
}

static void the_nearest_name_is_suggested_only_when_near(void **state)
{
    (void)state;
    const char *names[] = { "linear", "dare_ties", "ties" };
    assert_string_equal(mg_str_nearest(mg_str_of("dare_tis"), names, 3), "dare_ties");
    assert_string_equal(mg_str_nearest(mg_str_of("tiess"), names, 3), "ties");
    assert_null(mg_str_nearest(mg_str_of("passthrough"), names, 3));
}

static void a_map_finds_what_was_set_last(void **state)
{
    (void)state;
    mg_map map = { 0 };
    mg_arena arena = { 0 };
    assert_int_equal(mg_map_get(&map, mg_str_of("x"), -1), -1);
    for (int64_t i = 0; i < 1000; i++) {
        assert_true(mg_map_set(&map, mg_arena_printf(&arena, "key %d", (int)i), i));
    }
    assert_false(mg_map_set(&map, mg_str_of("key 7"), 77));
    assert_int_equal(map.count, 1000);
    assert_int_equal(mg_map_get(&map, mg_str_of("key 7"), -1), 77);
    assert_int_equal(mg_map_get(&map, mg_str_of("key 999"), -1), 999);
    assert_false(mg_map_has(&map, mg_str_of("key 1000")));
    mg_map_release(&map);
    mg_arena_release(&arena);
}

static void a_long_error_is_cut_and_says_so(void **state)
{
    (void)state;
    mg_error err;
    char text[3 * MG_ERROR_MESSAGE_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(mg_fail(&err, MG_ERR_IO, "%s", text), MG_ERR_IO);
    assert_true(mg_str_ends(mg_str_of(err.message), "..."));
    (void)mg_fail(&err, MG_ERR_IO, "inner");
    mg_error_prefix(&err, "outer %d", 1);
    assert_string_equal(err.message, "outer 1: inner");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_print_as_python_repr),
        cmocka_unit_test(no_number_is_written_with_more_digits_than_it_needs),
        cmocka_unit_test(splitting_gives_every_part_and_empty_ones),
        cmocka_unit_test(only_whole_strings_are_numbers),
        cmocka_unit_test(the_nearest_name_is_suggested_only_when_near),
        cmocka_unit_test(a_map_finds_what_was_set_last),
        cmocka_unit_test(a_long_error_is_cut_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
