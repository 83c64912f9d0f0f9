/* tokenizer_config.json: named tokens, flags, and what some classes do whatever the files say. */
#include "folder.h"

#include "tokenizer/tokenizer.h"

/* Opens the folder with that configuration and encodes text; the caller closes the tokenizer. */
static mg_tokenizer *open_with(const folder *f, const char *config, const char *text, mg_ids *ids)
{
    mg_error err;
    mg_tokenizer *t;
    folder_write(f, "tokenizer_config.json", config);
    assert_ok(mg_tokenizer_open(f->path, &t, &err), &err);
    ids->count = 0;
    assert_ok(mg_tokenizer_encode(t, mg_str_of(text), true, ids, &err), &err);
    return t;
}

static void assert_encodes(const char *config, const char *text, const char *expected)
{
    mg_ids ids = { NULL, 0, 0 };
    mg_buf got = { 0 };
    folder f = folder_make();
    mg_tokenizer *t = open_with(&f, config, text, &ids);
    for (int64_t i = 0; i < ids.count; i++) {
        mg_buf_printf(&got, "%s%d", i > 0 ? " " : "", ids.data[i]);
    }
    assert_string_equal(mg_buf_view(&got).data, expected);
    mg_tokenizer_close(t);
    mg_ids_release(&ids);
    mg_buf_release(&got);
    folder_remove(&f);
}

static void the_file_s_own_template_holds_for_general_classes(void **state)
{
    (void)state;
    assert_encodes("{}", "ab", "4 2 3 0 0");
    assert_encodes("{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_bos_token\":true,"
                   "\"bos_token\":\"<s>\"}",
                   "ab", "4 2 3 0 0");
}

static void llama_classes_rebuild_what_is_put_around_a_text(void **state)
{
    (void)state;
    assert_encodes("{\"tokenizer_class\":\"LlamaTokenizer\"}", "ab", "0 4 2 3");
    assert_encodes("{\"tokenizer_class\":\"LlamaTokenizerFast\",\"add_bos_token\":false,"
                   "\"add_eos_token\":true}",
                   "ab", "4 2 3 1");
    assert_encodes("{\"tokenizer_class\":\"GPTNeoXTokenizer\",\"eos_token\":\"</s>\"}", "ab",
                   "2 3");
}

static void add_prefix_space_overrides_the_pre_tokenizer(void **state)
{
    (void)state;
    assert_encodes("{\"tokenizer_class\":\"GPT2Tokenizer\"}", "ab", "2 3 0 0");
    assert_encodes("{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_prefix_space\":true}", "ab",
                   "4 2 3 0 0");
    assert_encodes("{\"add_prefix_space\":false}", "ab", "2 3 0 0");
}

static void a_missing_bos_token_with_add_bos_token_is_an_error(void **state)
{
    (void)state;
    mg_error err;
    mg_tokenizer *t;
    folder f = folder_make();
    folder_write(&f, "tokenizer_config.json",
                 "{\"tokenizer_class\":\"LlamaTokenizer\",\"bos_token\":null}");
    assert_status(mg_tokenizer_open(f.path, &t, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "bos_token"));
    folder_remove(&f);
}

static void named_tokens_have_ids(void **state)
{
    (void)state;
    mg_ids ids = { NULL, 0, 0 };
    folder f = folder_make();
    mg_tokenizer *t = open_with(&f,
                                "{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"</s>\","
                                "\"pad_token\":null,\"unk_token\":\"<new>\"}",
                                "<new></s>", &ids);
    assert_int_equal(mg_tokenizer_bos(t), 0);
    assert_int_equal(mg_tokenizer_eos(t), 1);
    assert_int_equal(mg_tokenizer_pad(t), 5); /* the unknown token stands in */
    assert_int_equal(mg_tokenizer_prefix(t), 0);
    assert_int_equal(mg_tokenizer_size(t), 6);
    assert_int_equal(ids.data[0], 5);
    assert_int_equal(ids.data[1], 1);
    assert_int_equal(mg_tokenizer_id(t, mg_str_of("<new>")), 5);
    assert_true(mg_str_is(mg_tokenizer_token(t, 5), "<new>"));
    mg_tokenizer_close(t);
    t = open_with(&f, "{}", "", &ids);
    assert_int_equal(mg_tokenizer_bos(t), -1);
    assert_int_equal(mg_tokenizer_pad(t), -1);
    assert_int_equal(mg_tokenizer_prefix(t), -1);
    mg_tokenizer_close(t);
    mg_ids_release(&ids);
    folder_remove(&f);
}

static void the_class_comes_from_the_model_where_nothing_names_one(void **state)
{
    (void)state;
    mg_error err;
    mg_tokenizer *t;
    mg_ids ids = { NULL, 0, 0 };
    folder f = folder_make();
    folder_write(&f, "config.json", "{\"model_type\":\"mistral\"}");
    assert_ok(mg_tokenizer_open(f.path, &t, &err), &err);
    assert_ok(mg_tokenizer_encode(t, mg_str_of("a"), true, &ids, &err), &err);
    assert_int_equal(ids.data[0], 0);
    assert_int_equal(mg_tokenizer_eos(t), 1);
    mg_tokenizer_close(t);
    mg_ids_release(&ids);
    folder_remove(&f);
}

static void cleaning_up_spaces_is_done_when_asked_for(void **state)
{
    (void)state;
    mg_error err;
    mg_tokenizer *t;
    mg_buf text = { 0 };
    folder f = folder_make();
    folder_write(
        &f, "tokenizer.json",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\".\":1,\"n't\":2},\"merges\":[]}}");
    folder_write(&f, "tokenizer_config.json", "{\"clean_up_tokenization_spaces\":true}");
    assert_ok(mg_tokenizer_open(f.path, &t, &err), &err);
    static const int32_t ids[] = { 0, 2, 0, 1 };
    mg_buf_add_text(&text, "kept . ");
    mg_tokenizer_decode(t, ids, 4, false, &text);
    assert_string_equal(text.data, "kept . an't a.");
    mg_buf_release(&text);
    mg_tokenizer_close(t);
    folder_remove(&f);
}

static void wrong_kinds_in_the_configuration_are_format_errors(void **state)
{
    (void)state;
    static const char *const configs[] = {
        "[]",
        "{\"tokenizer_class\":3}",
        "{\"add_prefix_space\":\"yes\"}",
        "{\"clean_up_tokenization_spaces\":1}",
        "{\"added_tokens_decoder\":{\"x\":{\"content\":\"a\"}}}",
        "{\"bos_token\":{\"content\":\"q\",\"lstrip\":3}}",
        "{",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(configs); i++) {
        mg_error err;
        mg_tokenizer *t;
        folder f = folder_make();
        folder_write(&f, "tokenizer_config.json", configs[i]);
        assert_status(mg_tokenizer_open(f.path, &t, &err), MG_ERR_FORMAT);
        assert_null(t);
        folder_remove(&f);
    }
}

static void damaged_tekken_files_are_format_errors(void **state)
{
    (void)state;
#define CONFIG                                                                                     \
    "{\"config\":{\"pattern\":\"a\",\"default_vocab_size\":300,\"default_num_special_tokens\":9},"
    static const char *const texts[] = {
        "{}",
        CONFIG "\"vocab\":3}",
        CONFIG "\"vocab\":[]}",
        CONFIG "\"vocab\":[{\"rank\":1,\"token_bytes\":\"AA==\"}]}",
        CONFIG "\"vocab\":[{\"rank\":0,\"token_bytes\":\"*\"}]}",
        CONFIG "\"vocab\":[{\"rank\":0,\"token_bytes\":\"AAAA\"}]}",
        CONFIG "\"vocab\":[{\"rank\":0,\"token_bytes\":\"AA==\"},{\"rank\":1,\"token_bytes\":"
               "\"AA==\"}]}",
    };
#undef CONFIG
    for (int64_t i = 0; i < MG_ARRAY_COUNT(texts); i++) {
        mg_error err;
        mg_tokenizer *t;
        folder f = folder_make_empty();
        folder_write(&f, "tekken.json", texts[i]);
        assert_status(mg_tokenizer_open(f.path, &t, &err), MG_ERR_FORMAT);
        assert_null(t);
        folder_remove(&f);
    }
}

static void merges_that_are_no_pairs_are_reported_with_their_line(void **state)
{
    (void)state;
    mg_error err;
    mg_tokenizer *t;
    folder f = folder_make_empty();
    folder_write(&f, "vocab.json", "{\"a\":0,\"b\":1,\"ab\":2}");
    folder_write(&f, "merges.txt", "#version: 0.2\na b\nab\n");
    assert_status(mg_tokenizer_open(f.path, &t, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "merges.txt:3"));
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_s_own_template_holds_for_general_classes),
        cmocka_unit_test(llama_classes_rebuild_what_is_put_around_a_text),
        cmocka_unit_test(add_prefix_space_overrides_the_pre_tokenizer),
        cmocka_unit_test(a_missing_bos_token_with_add_bos_token_is_an_error),
        cmocka_unit_test(named_tokens_have_ids),
        cmocka_unit_test(the_class_comes_from_the_model_where_nothing_names_one),
        cmocka_unit_test(cleaning_up_spaces_is_done_when_asked_for),
        cmocka_unit_test(wrong_kinds_in_the_configuration_are_format_errors),
        cmocka_unit_test(damaged_tekken_files_are_format_errors),
        cmocka_unit_test(merges_that_are_no_pairs_are_reported_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
