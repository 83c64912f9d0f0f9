#include "support.h"

#include <pthread.h>

#include "text/json.h"
#include "text/regex.h"

static mg_regex *compile(const char *pattern, mg_regex_dialect dialect)
{
    mg_regex *regex;
    mg_error err;
    assert_ok(mg_regex_compile(mg_str_of(pattern), dialect, &regex, &err), &err);
    return regex;
}

/* All matches as tests/golden/regex/make.py writes them for Python. */
static void show_matches(const mg_regex *regex, mg_str text, mg_buf *out)
{
    mg_regex_match match = MG_REGEX_MATCH_START;
    bool found;
    mg_error err;
    for (;;) {
        assert_ok(mg_regex_next(regex, text, &found, &match, &err), &err);
        if (!found) {
            return;
        }
        mg_buf_add_text(out, out->size > 0 ? " " : "");
        for (int g = 0; g <= mg_regex_group_count(regex); g++) {
            mg_buf_printf(out, "%s%lld,%lld", g > 0 ? ";" : "", (long long)match.begin[g],
                          (long long)match.end[g]);
        }
    }
}

/* The text cut at its matches, as a JSON list. */
static void show_pieces(const mg_regex *regex, mg_str text, mg_buf *out)
{
    mg_regex_match match = MG_REGEX_MATCH_START;
    bool found;
    mg_error err;
    size_t done = 0;
    for (;;) {
        assert_ok(mg_regex_next(regex, text, &found, &match, &err), &err);
        size_t begin = found ? (size_t)match.begin[0] : text.size;
        size_t end = found ? (size_t)match.end[0] : text.size;
        mg_str pieces[2] = { mg_str_slice(text, done, begin), mg_str_slice(text, begin, end) };
        for (int i = 0; i < 2; i++) {
            if (pieces[i].size > 0) {
                mg_buf_add_text(out, out->size > 0 ? ", " : "");
                mg_json_write_str(out, pieces[i], false);
            }
        }
        done = end;
        if (!found) {
            return;
        }
    }
}

static int compare_case(const mg_value *one, const mg_value *texts, mg_regex_dialect dialect)
{
    mg_str pattern = one->items[0].string;
    const mg_value *expected = &one->items[1];
    mg_regex *regex = NULL;
    mg_error err;
    int differences = 0;
    mg_status status = mg_regex_compile(pattern, dialect, &regex, &err);
    if ((status == MG_OK) != (expected->kind == MG_LIST)) {
        print_message("%.*s: %s\n", MG_STR_ARG(pattern), status == MG_OK ? "taken" : err.message);
        differences++;
    }
    for (int64_t i = 0; status == MG_OK && differences == 0 && i < texts->count; i++) {
        mg_buf got = { 0 };
        mg_buf wanted = { 0 };
        if (dialect == MG_REGEX_PYTHON) {
            show_matches(regex, texts->items[i].string, &got);
            mg_buf_add(&wanted, expected->items[i].string);
        } else {
            show_pieces(regex, texts->items[i].string, &got);
            mg_json_write(&wanted, &expected->items[i], NULL);
            mg_str inner = mg_str_slice(mg_buf_view(&wanted), 1, wanted.size - 1);
            mg_buf copy = { 0 };
            mg_buf_add(&copy, inner);
            mg_buf_release(&wanted);
            wanted = copy;
        }
        if (!mg_str_equal(mg_buf_view(&got), mg_buf_view(&wanted))) {
            print_message("%.*s on '%.*s':\n  expected %.*s\n  got      %.*s\n",
                          MG_STR_ARG(pattern), MG_STR_ARG(texts->items[i].string),
                          MG_STR_ARG(mg_buf_view(&wanted)), MG_STR_ARG(mg_buf_view(&got)));
            differences++;
        }
        mg_buf_release(&got);
        mg_buf_release(&wanted);
    }
    mg_regex_destroy(regex);
    return differences;
}

static void patterns_match_as_in_their_engines(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value root;
    mg_error err;
    int differences = 0;
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/regex/cases.json", (size_t)1 << 20, &arena,
                           &root, &err),
              &err);
    const mg_value *texts = mg_value_get(&root, "texts");
    const mg_value *python = mg_value_get(&root, "python");
    const mg_value *oniguruma = mg_value_get(&root, "oniguruma");
    assert_true(python->count > 70 && oniguruma->count > 50);
    for (int64_t i = 0; i < python->count; i++) {
        differences += compare_case(&python->items[i], texts, MG_REGEX_PYTHON);
    }
    for (int64_t i = 0; i < oniguruma->count; i++) {
        differences += compare_case(&oniguruma->items[i], texts, MG_REGEX_ONIGURUMA);
    }
    mg_arena_release(&arena);
    assert_int_equal(differences, 0);
}

static void a_search_begins_where_it_is_told(void **state)
{
    (void)state;
    mg_regex *regex = compile("(?<=a)b|^c", MG_REGEX_PYTHON);
    mg_regex_match match;
    mg_error err;
    bool found;
    assert_ok(mg_regex_search(regex, mg_str_of("abab"), 1, &found, &match, &err), &err);
    assert_true(found);
    assert_int_equal(match.begin[0], 1); /* it still sees what stands before */
    assert_ok(mg_regex_search(regex, mg_str_of("abab"), 2, &found, &match, &err), &err);
    assert_int_equal(match.begin[0], 3);
    assert_ok(mg_regex_search(regex, mg_str_of("xc"), 1, &found, &match, &err), &err);
    assert_false(found);
    assert_ok(mg_regex_search(regex, mg_str_of("ab"), 99, &found, &match, &err), &err);
    assert_false(found);
    mg_regex_destroy(regex);
}

static void explosive_patterns_are_stopped(void **state)
{
    (void)state;
    char text[41];
    memset(text, 'a', 40);
    text[40] = '\0';
    mg_regex *regex = compile("(a|aa)+$|(a*)*\\1x", MG_REGEX_PYTHON);
    mg_regex_destroy(regex);
    regex = compile("^(([a-z])+.)+[A-Z]([a-z])+$", MG_REGEX_PYTHON);
    mg_regex_match match;
    mg_error err;
    bool found;
    assert_status(mg_regex_search(regex, mg_str_of(text), 0, &found, &match, &err), MG_ERR_LIMIT);
    assert_false(found);
    mg_regex_destroy(regex);
}

static void a_match_may_be_long(void **state)
{
    (void)state;
    size_t size = 50000;
    char *text = (char *)malloc(size);
    memset(text, 'a', size);
    mg_regex *regex = compile("(?:a|b)*c|(a|b)+", MG_REGEX_PYTHON);
    mg_regex_match match;
    mg_error err;
    bool found;
    assert_ok(mg_regex_search(regex, mg_str_make(text, size), 0, &found, &match, &err), &err);
    assert_true(found);
    assert_int_equal(match.end[0], size);
    mg_regex_destroy(regex);
    free(text);
}

static void bad_patterns_are_named(void **state)
{
    (void)state;
    mg_regex *regex;
    mg_error err;
    assert_status(mg_regex_compile(mg_str_of("a\\p{L}"), MG_REGEX_PYTHON, &regex, &err),
                  MG_ERR_FORMAT);
    assert_null(regex);
    assert_string_equal(err.message, "regular expression 'a\\p{L}', character 2: unknown escape");
    assert_status(mg_regex_compile(mg_str_of("\xFF"), MG_REGEX_PYTHON, &regex, &err),
                  MG_ERR_FORMAT);
    assert_status(mg_regex_compile(mg_str_of("(?C1)a"), MG_REGEX_ONIGURUMA, &regex, &err),
                  MG_ERR_FORMAT);
    assert_status(
        mg_regex_compile(mg_str_of("(*LIMIT_MATCH=1)a"), MG_REGEX_ONIGURUMA, &regex, &err),
        MG_ERR_FORMAT);
    char deep[2001];
    memset(deep, '(', 1000);
    memset(deep + 1000, ')', 1000);
    assert_status(mg_regex_compile(mg_str_make(deep, 2000), MG_REGEX_PYTHON, &regex, &err),
                  MG_ERR_FORMAT);
    memset(deep, '[', 1000);
    assert_status(mg_regex_compile(mg_str_make(deep, 1000), MG_REGEX_ONIGURUMA, &regex, &err),
                  MG_ERR_FORMAT);
    mg_buf many = { 0 };
    for (int i = 0; i < 40; i++) {
        mg_buf_add_text(&many, "(a)");
    }
    assert_status(mg_regex_compile(mg_buf_view(&many), MG_REGEX_PYTHON, &regex, &err),
                  MG_ERR_UNSUPPORTED);
    mg_buf_release(&many);
}

static void replacements_expand_groups(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *with;
        int64_t count;
        const char *expected; /* of "a1 b22"; NULL = an error */
    } cases[] = {
        { "\\d+", "#", 0, "a# b#" },
        { "\\d+", "#", 1, "a# b22" },
        { "([a-z])(\\d)", "\\2\\1", 0, "1a 2b2" },
        { "(?P<x>\\d)", "<\\g<x>\\g<1>\\g<0>>", 1, "a<111> b22" },
        { "(a)|b", "[\\1]", 0, "[a]1 []22" },
        { "", "-", 0, "-a-1- -b-2-2-" },
        { "x*", "-", 0, "-a-1- -b-2-2-" },
        { " ", "\\n\\\\", 0, "a1\n\\b22" },
        { " ", "\\2", 0, NULL },
        { " ", "\\q", 0, NULL },
        { " ", "\\g<x>", 0, NULL },
        { " ", "\\g<", 0, NULL },
        { "z", "\\2", 0, "a1 b22" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_regex *regex = compile(cases[i].pattern, MG_REGEX_PYTHON);
        mg_buf buf = { 0 };
        mg_error err;
        mg_status status = mg_regex_replace(regex, mg_str_of("a1 b22"), mg_str_of(cases[i].with),
                                            cases[i].count, &buf, &err);
        if (cases[i].expected == NULL) {
            assert_status(status, MG_ERR_FORMAT);
        } else {
            assert_status(status, MG_OK);
            assert_string_equal(buf.data, cases[i].expected);
        }
        mg_buf_release(&buf);
        mg_regex_destroy(regex);
    }
}

static void escaped_text_matches_itself(void **state)
{
    (void)state;
    const char *text = "a.b*[c] (d)\n#{1}|^$\\-~&\xE6\x97\xA5";
    mg_buf pattern = { 0 };
    mg_regex_escape(&pattern, mg_str_of(text));
    mg_regex *regex = compile(pattern.data, MG_REGEX_PYTHON);
    mg_regex_match match;
    mg_error err;
    bool found;
    assert_ok(mg_regex_search(regex, mg_str_of(text), 0, &found, &match, &err), &err);
    assert_true(found);
    assert_int_equal(match.end[0], strlen(text));
    mg_regex_destroy(regex);
    mg_buf_release(&pattern);
}

static void *search_often(void *context)
{
    const mg_regex *regex = (const mg_regex *)context;
    for (int i = 0; i < 2000; i++) {
        mg_regex_match match;
        bool found = false;
        if (mg_regex_search(regex, mg_str_of("xx12-34"), 0, &found, &match, NULL) != MG_OK ||
            !found || match.begin[2] != 5) {
            return (void *)1;
        }
    }
    return NULL;
}

static void one_pattern_serves_many_threads(void **state)
{
    (void)state;
    mg_regex *regex = compile("(\\d+)-(\\d+)", MG_REGEX_PYTHON);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, search_often, regex), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    mg_regex_destroy(regex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_their_engines),
        cmocka_unit_test(a_search_begins_where_it_is_told),
        cmocka_unit_test(explosive_patterns_are_stopped),
        cmocka_unit_test(a_match_may_be_long),
        cmocka_unit_test(bad_patterns_are_named),
        cmocka_unit_test(replacements_expand_groups),
        cmocka_unit_test(escaped_text_matches_itself),
        cmocka_unit_test(one_pattern_serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
