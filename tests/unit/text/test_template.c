/* What the golden files cannot say: messages, limits, the sandbox, native values. */
#include "support.h"

#include "text/json.h"
#include "text/template.h"

static const char variables_text[] =
    "{\"n\": 3, \"s\": \"text\", \"xs\": [1, 2], \"d\": {\"k\": 1}, \"choices\": [\"a\", \"b\"]}";

/* Compiles and renders; the status of the first step that fails. */
static mg_status render(const char *source, mg_template_profile profile, mg_buf *out, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_value variables;
    mg_template *template_ = NULL;
    mg_error_clear(err);
    assert_ok(mg_json_parse(mg_str_of(variables_text), "v", &arena, &variables, err), err);
    mg_status status = mg_template_compile(mg_str_of(source), "t", profile, &template_, err);
    if (status == MG_OK) {
        status = mg_template_render(template_, &variables, 0, out, err);
    }
    mg_template_destroy(template_);
    mg_arena_release(&arena);
    return status;
}

static void mistakes_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *message;
    } cases[] = {
        { "a\n  {{ n + }}", "t:2:10: an expression is missing before the end of the tag" },
        { "{% for x in xs %}", "t:1:18: the template ends before 'endfor'" },
        { "\xE3\x81\x82{{ 'x }}", "t:1:5: string without an end" },
        { "{{ n|foo }}", "t:1:6: no filter named 'foo'" },
        { "{{ n is foo }}", "t:1:9: no test named 'foo'" },
        { "{% foo %}", "t:1:4: unknown tag 'foo'" },
        { "{{ n", "t:1:1: '{{' without '}}'" },
        { "{% if n", "t:1:1: '{%' without '%}'" },
        { "{{ (n] }}", "t:1:6: a bracket closes that was not opened" },
        { "{{ missing }}", "t:1:1: 'missing' is undefined" },
        { "\n{{ d.q.r }}", "t:2:4: 'dict object' has no attribute 'q'" },
        { "{{ 1 / 0 }}", "t:1:6: division by zero" },
        { "{{ s + 1 }}", "t:1:6: '+' does not work between 'str' and 'int'" },
        { "{{ 9223372036854775807 + 1 }}", "t:1:24: an integer grows beyond 64 bits" },
        { "{{ 9223372036854775808 }}", "t:1:4: integer of more than 64 bits" },
        { "{{ n.__class__ }}", "t:1:1: 'int object' has no attribute '__class__'" },
        { "{{ xs.append(1) }}", "t:1:4: 'list object' has no attribute 'append'" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_buf out = { 0 };
        mg_error err;
        assert_true(render(cases[i].source, MG_TEMPLATE_TASK, &out, &err) != MG_OK);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(out.size, 0);
        mg_buf_release(&out);
    }
}

static void raise_exception_gives_its_message(void **state)
{
    (void)state;
    mg_buf out = { 0 };
    mg_error err;
    mg_buf_add_text(&out, "before");
    assert_status(render("x{{ raise_exception('no system role') }}", MG_TEMPLATE_CHAT, &out, &err),
                  MG_ERR_USER_CODE);
    assert_string_equal(err.message, "no system role");
    assert_true(mg_str_is(mg_buf_view(&out), "before")); /* nothing of the failed render stays */
    mg_buf_release(&out);
}

static void work_is_limited(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ 'abc' * 999999999999 }}",
        "{{ 'a'.ljust(99999999999) }}",
        "{{ 'a'|center(99999999999) }}",
        "{{ range(9999999) }}",
        "{{ '%999999999d' % 1 }}",
        "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}"
        "{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}"
        "{% endfor %}{{ ns.x }}",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(sources); i++) {
        mg_buf out = { 0 };
        mg_error err;
        mg_status status = render(sources[i], MG_TEMPLATE_CHAT, &out, &err);
        if (status != MG_ERR_LIMIT) {
            fail_msg("%s: %s %s", sources[i], mg_status_name(status), err.message);
        }
        mg_buf_release(&out);
    }
}

static void deep_sources_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *open;
        const char *middle;
        const char *close;
    } cases[] = {
        { "(", "1", ")" },           { "[", "", "]" },     { "-", "1", "" }, { "not ", "1", "" },
        { "1 if 1 else ", "1", "" }, { "{'a':", "1", "}" }
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_buf source = { 0 };
        mg_buf out = { 0 };
        mg_error err;
        mg_buf_add_text(&source, "{{ ");
        for (int k = 0; k < 5000; k++) {
            mg_buf_add_text(&source, cases[i].open);
        }
        mg_buf_add_text(&source, cases[i].middle);
        for (int k = 0; k < 5000; k++) {
            mg_buf_add_text(&source, cases[i].close);
        }
        mg_buf_add_text(&source, " }}");
        assert_status(render(source.data, MG_TEMPLATE_CHAT, &out, &err), MG_ERR_FORMAT);
        assert_non_null(strstr(err.message, "nested too deeply"));
        mg_buf_release(&source);
        mg_buf_release(&out);
    }
}

static void a_lone_expression_has_a_native_value(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *json; /* NULL = not native */
    } cases[] = {
        { "{{ choices }}", "[\"a\", \"b\"]" },
        { "{{ [choices[1], 1, (2.5, none), {'a': true}] }}",
          "[\"b\", 1, [2.5, null], {\"a\": true}]" },
        { "{{ xs|map('string')|list }}", "[\"1\", \"2\"]" },
        { "{{ s }}", "\"text\"" },
        { "{{ n }} ", NULL },
        { "a", NULL },
        { "", NULL },
        { "{{ n }}{{ n }}", NULL },
    };
    mg_arena arena = { 0 };
    mg_value variables;
    mg_error err;
    assert_ok(mg_json_parse(mg_str_of(variables_text), "v", &arena, &variables, &err), &err);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_template *template_ = NULL;
        mg_value value;
        bool native = false;
        mg_buf json = { 0 };
        assert_ok(mg_template_compile(mg_str_of(cases[i].source), "t", MG_TEMPLATE_TASK, &template_,
                                      &err),
                  &err);
        assert_ok(mg_template_evaluate(template_, &variables, &arena, &native, &value, &err), &err);
        assert_int_equal(native, cases[i].json != NULL);
        mg_template_destroy(template_);
        if (native) {
            mg_json_write(&json, &value, NULL);
            assert_string_equal(json.data, cases[i].json);
        }
        mg_buf_release(&json);
    }
    mg_arena_release(&arena);
}

static void a_compiled_template_renders_again_and_again(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value variables;
    mg_template *template_ = NULL;
    mg_error err;
    mg_buf out = { 0 };
    assert_ok(mg_json_parse(mg_str_of(variables_text), "v", &arena, &variables, &err), &err);
    const char *source = "{% set ns = namespace(c=0) %}{% for x in xs %}{% set ns.c = ns.c + x %}"
                         "{% endfor %}{{ ns.c }},";
    assert_ok(mg_template_compile(mg_str_of(source), "t", MG_TEMPLATE_CHAT, &template_, &err),
              &err);
    for (int i = 0; i < 3; i++) {
        assert_ok(mg_template_render(template_, &variables, 0, &out, &err), &err);
    }
    assert_string_equal(out.data, "3,3,3,");
    mg_template_destroy(template_);
    mg_buf_release(&out);
    mg_arena_release(&arena);
}

static void the_task_profile_keeps_the_last_newline(void **state)
{
    (void)state;
    mg_buf out = { 0 };
    mg_error err;
    assert_ok(render("a{{ n }}\n", MG_TEMPLATE_TASK, &out, &err), &err);
    assert_string_equal(out.data, "a3\n");
    mg_buf_clear(&out);
    assert_ok(render("a{{ n }}\n", MG_TEMPLATE_CHAT, &out, &err), &err);
    assert_string_equal(out.data, "a3");
    mg_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_name_their_place),
        cmocka_unit_test(raise_exception_gives_its_message),
        cmocka_unit_test(work_is_limited),
        cmocka_unit_test(deep_sources_are_refused),
        cmocka_unit_test(a_lone_expression_has_a_native_value),
        cmocka_unit_test(a_compiled_template_renders_again_and_again),
        cmocka_unit_test(the_task_profile_keeps_the_last_newline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
