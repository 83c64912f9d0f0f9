#include "support.h"

#include "text/json.h"
#include "text/yaml.h"

static mg_value parse(mg_arena *arena, const char *text)
{
    mg_value value;
    mg_error err;
    assert_ok(mg_yaml_parse(mg_str_of(text), "t", arena, &value, &err), &err);
    return value;
}

/* tests/golden/yaml/make.py */
static void documents_load_as_in_pyyaml(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value cases;
    mg_error err;
    int differences = 0;
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/yaml/cases.json", (size_t)1 << 20, &arena,
                           &cases, &err),
              &err);
    assert_true(cases.count > 150);
    for (int64_t i = 0; i < cases.count; i++) {
        mg_str document = cases.items[i].items[0].string;
        const mg_value *expected = &cases.items[i].items[1];
        mg_value value;
        mg_buf got = { 0 };
        mg_error_clear(&err);
        mg_status status = mg_yaml_parse(document, "t", &arena, &value, &err);
        if (status == MG_OK) {
            mg_json_style style = { .ascii = true };
            mg_json_write(&got, &value, &style);
        }
        bool same = expected->kind == MG_NULL
                        ? status == MG_ERR_FORMAT
                        : status == MG_OK && mg_str_equal(mg_buf_view(&got), expected->string);
        if (!same) {
            print_message("%.*s\n  expected: %.*s\n  got:      %.*s%s\n", MG_STR_ARG(document),
                          MG_STR_ARG(expected->string), MG_STR_ARG(mg_buf_view(&got)), err.message);
            differences++;
        }
        mg_buf_release(&got);
    }
    mg_arena_release(&arena);
    assert_int_equal(differences, 0);
}

static void scalars_keep_their_place_and_source(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v = parse(&arena, "a: 1\nb:\n  - \"x\"\n  - 1e-5\n  - 007\n");
    const mg_value *list = mg_value_get(&v, "b");
    assert_int_equal(mg_value_get(&v, "a")->line, 1);
    assert_int_equal(mg_value_get(&v, "a")->column, 4);
    assert_int_equal(list->items[0].line, 3);
    assert_int_equal(list->items[0].column, 5);
    assert_false(list->items[0].plain);
    assert_true(list->items[1].plain);
    assert_int_equal(list->items[1].kind, MG_STRING);
    assert_int_equal(list->items[2].integer, 7);
    assert_true(mg_str_is(list->items[2].source, "007"));
    mg_arena_release(&arena);
}

static void local_tags_are_kept(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v = parse(&arena, "f: !function utils.process\ng: !x 5\nh: !y [1]\n");
    assert_true(mg_str_is(mg_value_get(&v, "f")->tag, "!function"));
    assert_true(mg_str_is(mg_value_get(&v, "f")->string, "utils.process"));
    assert_int_equal(mg_value_get(&v, "g")->kind, MG_STRING);
    assert_true(mg_str_is(mg_value_get(&v, "h")->tag, "!y"));
    mg_arena_release(&arena);
}

static void several_documents_make_a_list(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    assert_ok(mg_yaml_parse_all(mg_str_of("--- 1\n--- [2]\n"), "t", &arena, &v, &err), &err);
    assert_int_equal(v.count, 2);
    assert_status(mg_yaml_parse(mg_str_of("--- 1\n--- [2]\n"), "t", &arena, &v, &err),
                  MG_ERR_FORMAT);
    assert_string_equal(err.message, "t:2:5: a second document begins, expected only one");
    v = parse(&arena, "");
    assert_int_equal(v.kind, MG_NULL);
    mg_arena_release(&arena);
}

static void aliases_cannot_grow_without_bound(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_value v;
    mg_error err;
    mg_buf_add_text(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        mg_buf_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) {
            mg_buf_printf(&text, "*a%d, ", i - 1);
        }
        mg_buf_add_text(&text, "]\n");
    }
    assert_status(mg_yaml_parse(mg_buf_view(&text), "t", &arena, &v, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "aliases expand to too much"));
    mg_buf_release(&text);
    mg_arena_release(&arena);
}

static void many_keys_and_anchors_take_linear_time(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_value v;
    mg_error err;
    for (int i = 0; i < 50000; i++) {
        mg_buf_printf(&text, "%d: &a%d %d.5\n", i, i, i);
    }
    for (int i = 0; i < 50000; i++) {
        mg_buf_printf(&text, "%d.5: *a%d\n", i, i);
    }
    assert_ok(mg_yaml_parse(mg_buf_view(&text), "t", &arena, &v, &err), &err);
    assert_int_equal(v.count, 100000);
    assert_true(v.entries[99999].value.number == 49999.5);
    mg_buf_release(&text);
    mg_arena_release(&arena);
}

static void equal_keys_of_other_kinds_are_one_key(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value v = parse(&arena, "1: a\n1.0: b\ntrue: c\n'1': d\n0.5: e\n5.0e-1: f\n~: g\nnull: h\n"
                               ".nan: i\n.nan: j\n9007199254740993: k\n9007199254740992.0: l\n");
    assert_int_equal(v.count, 8);
    assert_string_equal(v.entries[0].value.string.data, "c");
    assert_string_equal(v.entries[1].value.string.data, "d");
    assert_string_equal(v.entries[2].value.string.data, "f");
    assert_string_equal(v.entries[3].value.string.data, "h");
    mg_arena_release(&arena);
}

static void hostile_documents_are_errors(void **state)
{
    (void)state;
    static const char *const documents[] = { "a: &a [*a]\n", "\xFF",    "a: \"\\q\"\n",  "[",
                                             "&a",           "a: b: c", "%YAML 9\n---\n" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(documents); i++) {
        mg_arena arena = { 0 };
        mg_value v;
        mg_error err;
        mg_status status = mg_yaml_parse(mg_str_of(documents[i]), "t", &arena, &v, &err);
        assert_true(status == MG_OK || err.message[0] == 't');
        mg_arena_release(&arena);
    }
    char deep[1000];
    memset(deep, '[', sizeof(deep));
    mg_arena arena = { 0 };
    mg_value v;
    mg_error err;
    assert_status(mg_yaml_parse(mg_str_make(deep, sizeof(deep)), "t", &arena, &v, &err),
                  MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "nested too deeply"));
    mg_arena_release(&arena);
}

static void writing_uses_block_style(void **state)
{
    (void)state;
    static const char text[] = "merge_method: ties\n"
                               "slices:\n"
                               "- sources:\n"
                               "  - layer_range: [0, 24]\n"
                               "    model: a/b\n"
                               "  - model: c\n"
                               "    parameters:\n"
                               "      weight: [0.5, 1.0e-05, 1]\n"
                               "      gradient:\n"
                               "      - filter: mlp\n"
                               "        value: 1.0\n"
                               "empty: []\n"
                               "nothing: {}\n"
                               "name: 'it''s: a \"test\"'\n"
                               "lines: \"a\\nb\"\n"
                               "call: !function utils.f\n"
                               "nested:\n"
                               "- - a\n"
                               "  - b\n"
                               "- null\n"
                               "- true\n";
    mg_arena arena = { 0 };
    mg_buf buf = { 0 };
    mg_value v = parse(&arena, text);
    mg_yaml_write(&buf, &v);
    assert_string_equal(buf.data, text);
    mg_buf_release(&buf);
    mg_arena_release(&arena);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    static const char *const strings[] = {
        "",     "a",        "1",    "1e-5",  "true",  "no",    "null",         "~",          "a: b",
        "a #b", "#a",       "- a",  "-",     "--- a", "...",   " a",           "a ",         "a\nb",
        "\x07", "\xC2\x85", "it's", "\"q\"", "=",     "<<",    "12:30",        "2020-01-01", "[a]",
        "{a}",  "a, b",     "*a",   "&a",    "!a",    "%a",    "@a",           "`a",         "a:",
        ":a",   "?a",       "? a",  "0x1F",  "0o17",  ".5",    "\xE6\x97\xA5", "a\tb",       "y",
        "\\",   "a\\nb",    "|",    ">",     "'",     "1_000", "\xEF\xBB\xBF", "inf",        ".inf",
    };
    mg_value list = mg_value_of_list(&arena, MG_ARRAY_COUNT(strings));
    for (int64_t i = 0; i < list.count; i++) {
        list.items[i] = mg_value_of_str(&arena, mg_str_of(strings[i]));
    }
    mg_value map = mg_value_of_map(&arena, list.count);
    for (int64_t i = 0; i < list.count; i++) {
        map.entries[i].key = list.items[i];
        map.entries[i].value = i % 3 == 0   ? list
                               : i % 3 == 1 ? mg_value_of_list(&arena, 0)
                                            : mg_value_of_double(1e-7 * (double)i);
    }
    mg_buf buf = { 0 };
    mg_yaml_write(&buf, &map);
    mg_value back = parse(&arena, buf.data);
    assert_true(mg_value_equal(&map, &back));
    mg_buf_release(&buf);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_load_as_in_pyyaml),
        cmocka_unit_test(scalars_keep_their_place_and_source),
        cmocka_unit_test(local_tags_are_kept),
        cmocka_unit_test(several_documents_make_a_list),
        cmocka_unit_test(aliases_cannot_grow_without_bound),
        cmocka_unit_test(many_keys_and_anchors_take_linear_time),
        cmocka_unit_test(equal_keys_of_other_kinds_are_one_key),
        cmocka_unit_test(hostile_documents_are_errors),
        cmocka_unit_test(writing_uses_block_style),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
