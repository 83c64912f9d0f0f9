#include "support.h"

#include <math.h>

#include "text/json.h"
#include "text/value.h"

static mg_value parse(mg_arena *arena, const char *text)
{
    mg_value value;
    mg_error err;
    assert_ok(mg_json_parse(mg_str_of(text), "t", arena, &value, &err), &err);
    return value;
}

static void keys_are_found_along_a_dotted_path(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v = parse(&arena, "{\"a\": {\"b\": [1], \"c\": null}}");
    assert_int_equal(mg_value_path(&v, "a.b")->count, 1);
    assert_null(mg_value_path(&v, "a.x.c"));
    assert_null(mg_value_path(&v, "a.b.c"));
    assert_null(mg_value_get(NULL, "a"));
    assert_true(mg_value_is_null(mg_value_path(&v, "a.c")));
    assert_true(mg_value_is_null(NULL));
    mg_arena_release(&arena);
}

static void numbers_convert_only_without_loss(void **state)
{
    (void)state;
    int64_t integer = 0;
    double number = 0.0;
    mg_value v = mg_value_of_double(3.0);
    assert_true(mg_value_to_int(&v, &integer));
    assert_int_equal(integer, 3);
    v = mg_value_of_double(3.5);
    assert_false(mg_value_to_int(&v, &integer));
    v = mg_value_of_double(9223372036854775808.0);
    assert_false(mg_value_to_int(&v, &integer));
    v = mg_value_of_double(-9223372036854775808.0);
    assert_true(mg_value_to_int(&v, &integer));
    v = mg_value_of_double((double)NAN);
    assert_false(mg_value_to_int(&v, &integer));
    v = mg_value_of_bool(true);
    assert_false(mg_value_to_int(&v, &integer));
    assert_false(mg_value_to_double(&v, &number));
    v = mg_value_of_int(2);
    assert_true(mg_value_to_double(&v, &number));
    assert_true(number == 2.0);
}

static void equality_is_pythons(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    static const struct {
        const char *a;
        const char *b;
        bool equal;
    } cases[] = {
        { "3", "3.0", true },
        { "1", "true", true },
        { "0", "false", true },
        { "null", "false", false },
        { "\"1\"", "1", false },
        { "[1, [2]]", "[1.0, [2]]", true },
        { "[1]", "[1, 2]", false },
        { "{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", true },
        { "{\"a\": 1}", "{\"a\": 2}", false },
        { "{\"a\": 1}", "{\"b\": 1}", false },
        { "9007199254740993", "9007199254740992.0", false },
        { "NaN", "NaN", false },
        { "[]", "{}", false },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_value a = parse(&arena, cases[i].a);
        mg_value b = parse(&arena, cases[i].b);
        if (mg_value_equal(&a, &b) != cases[i].equal || mg_value_equal(&b, &a) != cases[i].equal) {
            fail_msg("%s == %s must be %d", cases[i].a, cases[i].b, cases[i].equal);
        }
    }
    mg_arena_release(&arena);
}

static void a_copy_outlives_its_source(void **state)
{
    (void)state;
    mg_arena source = { 0 };
    mg_arena target = { 0 };
    mg_value v = parse(&source, "{\"a\": [\"x\", {\"b\": 1.5}], \"c\": true}");
    mg_value copy = mg_value_copy(&target, &v);
    assert_true(mg_value_equal(&v, &copy));
    mg_arena_release(&source);
    assert_true(mg_str_is(mg_value_get(&copy, "a")->items[0].string, "x"));
    assert_int_equal(mg_value_get(&copy, "a")->items[0].string.data[1], '\0');
    mg_arena_release(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_along_a_dotted_path),
        cmocka_unit_test(numbers_convert_only_without_loss),
        cmocka_unit_test(equality_is_pythons),
        cmocka_unit_test(a_copy_outlives_its_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
