#include "support.h"

#include <math.h>

#include "text/json.h"

static void values_carry_their_place(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    assert_ok(mg_json_parse(mg_str_of("{\n  \"\xE3\x81\x82\": [1,\n 2]}"), "t", &arena, &v, &err),
              &err);
    assert_int_equal(v.line, 1);
    assert_int_equal(v.column, 1);
    assert_int_equal(v.entries[0].key.line, 2);
    assert_int_equal(v.entries[0].key.column, 3);
    const mg_value *list = &v.entries[0].value;
    assert_int_equal(list->column, 8); /* code points, not bytes */
    assert_int_equal(list->items[1].line, 3);
    assert_int_equal(list->items[1].column, 2);
    mg_arena_release(&arena);
}

static void numbers_are_read_as_python_reads_them(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    const char *text = "[9223372036854775807, 9223372036854775808, -9223372036854775808, 1e400,"
                       " -1e400, 1.0, -0, 1E+2, NaN, Infinity, -Infinity, 1e-400]";
    assert_ok(mg_json_parse(mg_str_of(text), "t", &arena, &v, &err), &err);
    assert_int_equal(v.items[0].kind, MG_INT);
    assert_int_equal(v.items[0].integer, INT64_MAX);
    assert_int_equal(v.items[1].kind, MG_FLOAT);
    assert_true(v.items[1].number == 9223372036854775808.0);
    assert_int_equal(v.items[2].integer, INT64_MIN);
    assert_true(isinf(v.items[3].number) && v.items[3].number > 0);
    assert_true(isinf(v.items[4].number) && v.items[4].number < 0);
    assert_int_equal(v.items[5].kind, MG_FLOAT);
    assert_int_equal(v.items[6].kind, MG_INT);
    assert_true(v.items[7].number == 100.0);
    assert_true(isnan(v.items[8].number));
    assert_true(isinf(v.items[9].number));
    assert_true(v.items[10].number < 0);
    assert_true(v.items[11].number == 0.0);
    mg_arena_release(&arena);
}

static void strings_keep_nuls_and_pair_surrogates(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    const char *text = "\"a\\u0000b\\ud83d\\ude00\\/\\\"\"";
    assert_ok(mg_json_parse(mg_str_of(text), "t", &arena, &v, &err), &err);
    assert_int_equal(v.string.size, 9);
    assert_memory_equal(v.string.data, "a\0b\xF0\x9F\x98\x80/\"", 9);
    mg_arena_release(&arena);
}

static void a_duplicate_key_keeps_its_place_and_the_last_value(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    assert_ok(mg_json_parse(mg_str_of("{\"a\": 1, \"b\": 2, \"a\": 3}"), "t", &arena, &v, &err),
              &err);
    assert_int_equal(v.count, 2);
    assert_true(mg_str_is(v.entries[0].key.string, "a"));
    assert_int_equal(v.entries[0].value.integer, 3);

    /* The same in a map that is large enough for the hash. */
    mg_buf text = { 0 };
    mg_buf_add_char(&text, '{');
    for (int i = 0; i < 500; i++) {
        mg_buf_printf(&text, "%s\"k%d\": %d", i > 0 ? ", " : "", i % 100, i);
    }
    mg_buf_add_char(&text, '}');
    assert_ok(mg_json_parse(mg_buf_view(&text), "t", &arena, &v, &err), &err);
    assert_int_equal(v.count, 100);
    assert_int_equal(mg_value_get(&v, "k7")->integer, 407);
    mg_buf_release(&text);
    mg_arena_release(&arena);
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "", "f:1:1: the text ends where a value is expected" },
        { " [1,\n 2,]", "f:2:4: expected a value" },
        { "{\"a\" 1}", "f:1:6: expected ':' behind a key" },
        { "{a: 1}", "f:1:2: expected a key in double quotes" },
        { "[1 2]", "f:1:4: expected ',' or ']' in a list" },
        { "{\"a\": 1", "f:1:8: expected ',' or '}' in a map" },
        { "\"abc", "f:1:1: string without an end" },
        { "\"a\tb\"", "f:1:3: control character in a string, expected an escape" },
        { "\"\\x\"", "f:1:3: unknown escape in a string" },
        { "\"\\u12g4\"", "f:1:4: expected four hexadecimal digits behind \\u" },
        { "\"\\ud800\"", "f:1:2: unpaired surrogate" },
        { "\"\\udc00\"", "f:1:2: unpaired surrogate" },
        { "\"\\ud800\\u0041\"", "f:1:2: unpaired surrogate" },
        { "01", "f:1:1: not a number" },
        { "1.", "f:1:1: number without digits behind its point" },
        { "1e", "f:1:1: number without digits in its exponent" },
        { "-", "f:1:1: not a number" },
        { "{} []", "f:1:4: more text behind the value" },
        { "nul", "f:1:1: expected a value" },
        { "'a'", "f:1:1: expected a value" },
        { "\"\xC0\x80\"", "f:1:2: not valid UTF-8" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_arena arena = { 0 };
        mg_value v;
        mg_error err;
        assert_status(mg_json_parse(mg_str_of(cases[i].text), "f", &arena, &v, &err),
                      MG_ERR_FORMAT);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(v.kind, MG_NULL);
        mg_arena_release(&arena);
    }
}

static void nesting_is_limited(void **state)
{
    (void)state;
    char text[2 * MG_JSON_DEPTH_MAX + 3];
    for (int extra = 0; extra < 2; extra++) {
        size_t depth = MG_JSON_DEPTH_MAX + (size_t)extra;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        mg_arena arena = { 0 };
        mg_value v;
        mg_status status = mg_json_parse(mg_str_make(text, 2 * depth), "t", &arena, &v, NULL);
        assert_int_equal(status, extra == 0 ? MG_OK : MG_ERR_FORMAT);
        mg_arena_release(&arena);
    }
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    assert_ok(mg_json_parse(mg_str_of("\xEF\xBB\xBF[1]"), "t", &arena, &v, &err), &err);
    assert_int_equal(v.count, 1);
    mg_arena_release(&arena);
}

static void styles_change_the_layout(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    mg_buf buf = { 0 };
    const char *text = "{\"b\": [1, {}], \"a\": \"\xC3\xA9\xF0\x9F\x98\x80\x7F\", \"c\": []}";
    assert_ok(mg_json_parse(mg_str_of(text), "t", &arena, &v, &err), &err);
    mg_json_write(&buf, &v, NULL);
    assert_string_equal(buf.data, text);
    mg_buf_clear(&buf);
    mg_json_style tight = { .compact = true, .ascii = true, .sorted = true };
    mg_json_write(&buf, &v, &tight);
    assert_string_equal(buf.data, "{\"a\":\"\\u00e9\\ud83d\\ude00\\u007f\",\"b\":[1,{}],\"c\":[]}");
    mg_buf_clear(&buf);
    mg_json_style lines = { .indent = 1 };
    mg_json_write(&buf, mg_value_get(&v, "b"), &lines);
    assert_string_equal(buf.data, "[\n 1,\n {}\n]");
    mg_buf_clear(&buf);
    mg_json_style tabs = { .indent_text = "\t", .key_separator = "=", .item_separator = ";" };
    mg_json_write(&buf, mg_value_get(&v, "b"), &tabs);
    assert_string_equal(buf.data, "[\n\t1;\n\t{}\n]");
    mg_buf_release(&buf);
    mg_arena_release(&arena);
}

static void a_missing_file_is_not_found(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    assert_status(mg_json_read("/nowhere/x.json", 1000, &arena, &v, &err), MG_ERR_NOT_FOUND);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_carry_their_place),
        cmocka_unit_test(numbers_are_read_as_python_reads_them),
        cmocka_unit_test(strings_keep_nuls_and_pair_surrogates),
        cmocka_unit_test(a_duplicate_key_keeps_its_place_and_the_last_value),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(styles_change_the_layout),
        cmocka_unit_test(a_missing_file_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
