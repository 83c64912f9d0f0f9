/* Templates against what Jinja 3.1 gives for them (tests/golden/template/make.py). */
#include "support.h"

#include "text/json.h"
#include "text/template.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/template/cases.json"

typedef struct golden {
    mg_arena arena;
    mg_value root;
} golden;

static int open_golden(void **state)
{
    golden *g = (golden *)calloc(1, sizeof(*g));
    mg_error err;
    assert_ok(mg_json_read(GOLDEN, (size_t)8 << 20, &g->arena, &g->root, &err), &err);
    *state = g;
    return 0;
}

static int close_golden(void **state)
{
    golden *g = (golden *)*state;
    mg_arena_release(&g->arena);
    free(g);
    return 0;
}

/* Renders source and compares with expected; prints and counts a difference. */
static int differs(const golden *g, const mg_value *source, mg_template_profile profile,
                   const mg_value *variables, const mg_value *expected)
{
    mg_template *template_ = NULL;
    mg_buf out = { 0 };
    mg_error err;
    mg_error_clear(&err);
    int64_t now = mg_value_get(&g->root, "now")->integer;
    mg_status status = mg_template_compile(source->string, "t", profile, &template_, &err);
    if (status == MG_OK) {
        status = mg_template_render(template_, variables, now, &out, &err);
    }
    mg_template_destroy(template_);
    const mg_value *text = mg_value_get(expected, "text");
    bool same = text != NULL ? status == MG_OK && mg_str_equal(mg_buf_view(&out), text->string)
                             : status != MG_OK;
    if (!same) {
        print_message("%s: %.*s\n  expected: %.*s\n  got:      %s%.*s\n",
                      profile == MG_TEMPLATE_CHAT ? "chat" : "task", MG_STR_ARG(source->string),
                      MG_STR_ARG(text != NULL ? text->string : mg_str_of("an error")),
                      status != MG_OK ? err.message : "", MG_STR_ARG(mg_buf_view(&out)));
    }
    mg_buf_release(&out);
    return same ? 0 : 1;
}

static void constructs_render_as_in_jinja(void **state)
{
    const golden *g = (const golden *)*state;
    const mg_value *cases = mg_value_get(&g->root, "cases");
    const mg_value *variables = mg_value_get(&g->root, "variables");
    int differences = 0;
    assert_true(cases->count > 250);
    for (int64_t i = 0; i < cases->count; i++) {
        const mg_value *one = &cases->items[i];
        const mg_value *both = mg_value_get(one, "both");
        const mg_value *source = mg_value_get(one, "source");
        differences += differs(g, source, MG_TEMPLATE_CHAT, variables,
                               both != NULL ? both : mg_value_get(one, "chat"));
        differences += differs(g, source, MG_TEMPLATE_TASK, variables,
                               both != NULL ? both : mg_value_get(one, "task"));
    }
    assert_int_equal(differences, 0);
}

static void chat_templates_render_as_in_jinja(void **state)
{
    const golden *g = (const golden *)*state;
    const mg_value *chats = mg_value_get(&g->root, "chats");
    const mg_value *templates = mg_value_get(&g->root, "templates");
    const mg_value *conversations = mg_value_get(&g->root, "conversations");
    int differences = 0;
    assert_true(chats->count > 100);
    for (int64_t i = 0; i < chats->count; i++) {
        const mg_value *one = &chats->items[i];
        int64_t conversation = mg_value_get(one, "conversation")->integer;
        differences +=
            differs(g, mg_value_get_str(templates, mg_value_get(one, "template")->string),
                    MG_TEMPLATE_CHAT, &conversations->items[conversation], one);
    }
    assert_int_equal(differences, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructs_render_as_in_jinja),
        cmocka_unit_test(chat_templates_render_as_in_jinja),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
