/* Python literals and printing against Python itself (tests/golden/python/make.py). */
#include "support.h"

#include "text/json.h"
#include "text/template.h"

static void read_golden(mg_arena *arena, mg_value *root)
{
    mg_error err;
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/python/cases.json", (size_t)1 << 20, arena,
                           root, &err),
              &err);
}

/* The golden form of a value: maps as {"map": [[key, value], ...]}. */
static mg_value golden_form(mg_arena *arena, const mg_value *v)
{
    if (v->kind == MG_LIST) {
        mg_value list = mg_value_of_list(arena, v->count);
        for (int64_t i = 0; i < v->count; i++) {
            list.items[i] = golden_form(arena, &v->items[i]);
        }
        return list;
    }
    if (v->kind != MG_MAP) {
        return *v;
    }
    mg_value pairs = mg_value_of_list(arena, v->count);
    for (int64_t i = 0; i < v->count; i++) {
        pairs.items[i] = mg_value_of_list(arena, 2);
        pairs.items[i].items[0] = golden_form(arena, &v->entries[i].key);
        pairs.items[i].items[1] = golden_form(arena, &v->entries[i].value);
    }
    mg_value map = mg_value_of_map(arena, 1);
    map.entries[0].key = mg_value_of_str(arena, mg_str_of("map"));
    map.entries[0].value = pairs;
    return map;
}

static void literals_are_read_as_in_python(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value root;
    int differences = 0;
    read_golden(&arena, &root);
    const mg_value *literals = mg_value_get(&root, "literals");
    assert_true(literals->count > 80);
    for (int64_t i = 0; i < literals->count; i++) {
        mg_str text = literals->items[i].items[0].string;
        const mg_value *expected = mg_value_get(&literals->items[i].items[1], "value");
        mg_value value;
        bool ok = mg_python_literal(text, &arena, &value);
        mg_value form = golden_form(&arena, &value);
        if (ok != (expected != NULL) ||
            (ok && (form.kind != expected->kind || !mg_value_equal(&form, expected)))) {
            mg_buf shown = { 0 };
            mg_json_write(&shown, &form, NULL);
            print_message("%.*s: %s %.*s\n", MG_STR_ARG(text), ok ? "read as" : "refused",
                          MG_STR_ARG(mg_buf_view(&shown)));
            mg_buf_release(&shown);
            differences++;
        }
    }
    mg_arena_release(&arena);
    assert_int_equal(differences, 0);
}

static void deep_literals_are_refused(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value value;
    char text[5000];
    memset(text, '[', sizeof(text));
    assert_false(mg_python_literal(mg_str_make(text, sizeof(text)), &arena, &value));
    memset(text, '-', sizeof(text));
    assert_false(mg_python_literal(mg_str_make(text, sizeof(text)), &arena, &value));
    assert_false(mg_python_literal(mg_str_of("'\xFF'"), &arena, &value));
    mg_arena_release(&arena);
}

static void check_print(const mg_value *one, const char *key, mg_buf *got)
{
    mg_str expected = mg_value_get(one, key)->string;
    if (!mg_str_equal(mg_buf_view(got), expected)) {
        fail_msg("%s: expected %.*s, got %.*s", key, MG_STR_ARG(expected),
                 MG_STR_ARG(mg_buf_view(got)));
    }
    mg_buf_clear(got);
}

static void values_print_as_in_python(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value root;
    mg_buf got = { 0 };
    read_golden(&arena, &root);
    const mg_value *prints = mg_value_get(&root, "prints");
    assert_true(prints->count > 80);
    for (int64_t i = 0; i < prints->count; i++) {
        const mg_value *one = &prints->items[i];
        const mg_value *value = mg_value_get(one, "value");
        mg_python_print(&got, value, true);
        check_print(one, "repr", &got);
        mg_python_print(&got, value, false);
        check_print(one, "str", &got);
        mg_json_write(&got, value, NULL);
        check_print(one, "json", &got);
        mg_json_style style = { .ascii = true };
        mg_json_write(&got, value, &style);
        check_print(one, "ascii", &got);
        style.indent = 2;
        style.sorted = true;
        mg_json_write(&got, value, &style);
        check_print(one, "indented", &got);
        mg_json_style tight = { .ascii = true, .compact = true };
        mg_json_write(&got, value, &tight);
        check_print(one, "tight", &got);
    }
    mg_buf_release(&got);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_read_as_in_python),
        cmocka_unit_test(deep_literals_are_refused),
        cmocka_unit_test(values_print_as_in_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
