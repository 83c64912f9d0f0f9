/* Chat templates: where they are found, what they see, how a last message is continued. */
#include "folder.h"

#include "text/json.h"
#include "tokenizer/chat.h"

#define PLAIN_TEMPLATE                                                                             \
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"              \
    "{% if add_generation_prompt %}<assistant>{% endif %}"

static mg_tokenizer *open_folder(const folder *f)
{
    mg_error err;
    mg_tokenizer *t;
    assert_ok(mg_tokenizer_open(f->path, &t, &err), &err);
    return t;
}

/* The configuration with a template that has no quotes in it. */
static void write_template(const folder *f, const char *source)
{
    mg_buf config = { 0 };
    mg_buf_printf(&config, "{\"eos_token\":\"</s>\",\"chat_template\":\"%s\"}", source);
    folder_write(f, "tokenizer_config.json", config.data);
    mg_buf_release(&config);
}

static mg_status render(const mg_tokenizer *t, mg_chat_args args, const char *messages_json,
                        mg_buf *text, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_value messages;
    assert_ok(mg_json_parse(mg_str_of(messages_json), "messages", &arena, &messages, err), err);
    args.messages = &messages;
    mg_buf_clear(text);
    mg_status status = mg_chat_render(t, &args, text, err);
    mg_arena_release(&arena);
    return status;
}

static void a_template_sees_messages_and_special_tokens(void **state)
{
    (void)state;
    mg_error err;
    mg_buf text = { 0 };
    mg_chat_args args = { 0 };
    folder f = folder_make();
    write_template(&f, PLAIN_TEMPLATE);
    mg_tokenizer *t = open_folder(&f);
    assert_true(mg_tokenizer_has_chat_template(t));
    args.add_generation_prompt = true;
    assert_ok(render(t, args, "[{\"role\":\"user\",\"content\":\"hi\"}]", &text, &err), &err);
    assert_string_equal(text.data, "<user>hi</s><assistant>");
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

static void template_arguments_are_variables(void **state)
{
    (void)state;
    mg_error err;
    mg_buf text = { 0 };
    mg_arena arena = { 0 };
    mg_value more;
    mg_chat_args args = { 0 };
    folder f = folder_make();
    write_template(&f, "{{ mood }}{{ eos_token }}{{ tools | length if tools else 0 }}");
    mg_tokenizer *t = open_folder(&f);
    assert_ok(mg_json_parse(mg_str_of("{\"mood\":\"calm\",\"eos_token\":\"!\"}"), "args", &arena,
                            &more, &err),
              &err);
    args.template_args = &more;
    assert_ok(render(t, args, "[]", &text, &err), &err);
    assert_string_equal(text.data, "calm!0");
    mg_arena_release(&arena);
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

static void a_last_message_is_continued_where_the_template_puts_it(void **state)
{
    (void)state;
    static const char messages[] = "[{\"role\":\"user\",\"content\":\"q\"},"
                                   "{\"role\":\"assistant\",\"content\":\"Answer: \"}]";
    mg_error err;
    mg_buf text = { 0 };
    mg_chat_args args = { 0 };
    folder f = folder_make();
    write_template(&f, PLAIN_TEMPLATE);
    mg_tokenizer *t = open_folder(&f);
    args.continue_final_message = true;
    assert_ok(render(t, args, messages, &text, &err), &err);
    assert_string_equal(text.data, "<user>q</s><assistant>Answer: ");
    mg_tokenizer_close(t);
    /* A template that trims: the space at the end is gone. */
    write_template(&f, "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }};{% endfor %}");
    t = open_folder(&f);
    assert_ok(render(t, args, messages, &text, &err), &err);
    assert_string_equal(text.data, "<user>q;<assistant>Answer:");
    mg_tokenizer_close(t);
    write_template(&f, "nothing of it");
    t = open_folder(&f);
    assert_status(render(t, args, messages, &text, &err), MG_ERR_FORMAT);
    args.add_generation_prompt = true;
    assert_status(render(t, args, messages, &text, &err), MG_ERR_FORMAT);
    assert_int_equal(text.size, 0);
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

static void a_raised_exception_is_the_message(void **state)
{
    (void)state;
    mg_error err;
    mg_buf text = { 0 };
    mg_chat_args args = { 0 };
    folder f = folder_make();
    write_template(&f, "part{{ raise_exception('no system here') }}");
    mg_tokenizer *t = open_folder(&f);
    assert_status(render(t, args, "[]", &text, &err), MG_ERR_USER_CODE);
    assert_non_null(strstr(err.message, "no system here"));
    assert_int_equal(text.size, 0);
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

static void a_template_file_wins_over_the_configuration(void **state)
{
    (void)state;
    mg_error err;
    mg_buf text = { 0 };
    mg_chat_args args = { 0 };
    folder f = folder_make();
    write_template(&f, "configured");
    folder_write(&f, "chat_template.jinja", "from file");
    char more[128];
    (void)snprintf(more, sizeof(more), "%s/additional_chat_templates", f.path);
    assert_ok(mg_folder_make(more, &err), &err);
    folder_write(&f, "additional_chat_templates/short.jinja", "short one");
    mg_tokenizer *t = open_folder(&f);
    assert_ok(render(t, args, "[]", &text, &err), &err);
    assert_string_equal(text.data, "from file");
    args.template_name = mg_str_of("short");
    assert_ok(render(t, args, "[]", &text, &err), &err);
    assert_string_equal(text.data, "short one");
    args.template_name = mg_str_of("absent");
    assert_status(render(t, args, "[]", &text, &err), MG_ERR_NOT_FOUND);
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

static void named_templates_and_tools_choose_theirs(void **state)
{
    (void)state;
    mg_error err;
    mg_buf text = { 0 };
    mg_value tools = mg_value_of_bool(true);
    mg_chat_args args = { 0 };
    folder f = folder_make();
    folder_write(&f, "tokenizer_config.json",
                 "{\"chat_template\":[{\"name\":\"default\",\"template\":\"d\"},"
                 "{\"name\":\"tool_use\",\"template\":\"t\"}]}");
    mg_tokenizer *t = open_folder(&f);
    assert_ok(render(t, args, "[]", &text, &err), &err);
    assert_string_equal(text.data, "d");
    args.tools = &tools;
    assert_ok(render(t, args, "[]", &text, &err), &err);
    assert_string_equal(text.data, "t");
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

static void a_broken_template_only_fails_when_it_is_asked_for(void **state)
{
    (void)state;
    mg_error err;
    mg_buf text = { 0 };
    mg_ids ids = { NULL, 0, 0 };
    mg_chat_args args = { 0 };
    folder f = folder_make();
    write_template(&f, "{% for %}");
    mg_tokenizer *t = open_folder(&f);
    assert_ok(mg_tokenizer_encode(t, mg_str_of("a"), false, &ids, &err), &err);
    assert_status(render(t, args, "[]", &text, &err), MG_ERR_FORMAT);
    mg_tokenizer_close(t);
    folder_write(&f, "tokenizer_config.json", "{}");
    t = open_folder(&f);
    assert_false(mg_tokenizer_has_chat_template(t));
    assert_status(render(t, args, "[]", &text, &err), MG_ERR_NOT_FOUND);
    mg_ids_release(&ids);
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_sees_messages_and_special_tokens),
        cmocka_unit_test(template_arguments_are_variables),
        cmocka_unit_test(a_last_message_is_continued_where_the_template_puts_it),
        cmocka_unit_test(a_raised_exception_is_the_message),
        cmocka_unit_test(a_template_file_wins_over_the_configuration),
        cmocka_unit_test(named_templates_and_tools_choose_theirs),
        cmocka_unit_test(a_broken_template_only_fails_when_it_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
