/* The streaming reader of vocabulary and merges: what it takes, and hostile input. */
#include "support.h"

#include "base/memory.h"
#include "tokenizer/vocab_json_internal.h"

static mg_status read_map(const char *json, mg_vocab *vocab)
{
    mg_error err;
    memset(vocab, 0, sizeof(*vocab));
    return mg_vocab_read_map(mg_str_of(json), vocab, &err);
}

static void assert_map_fails(const char *json)
{
    mg_vocab vocab;
    assert_status(read_map(json, &vocab), MG_ERR_FORMAT);
    mg_vocab_release(&vocab);
}

static void strings_with_escapes_are_read(void **state)
{
    (void)state;
    mg_vocab vocab;
    assert_int_equal(
        read_map("{\"a\\n\\u00e9\" : 0,\"\\ud83d\\ude00\":1 , \"\\\"\\\\\\/\":2}", &vocab), MG_OK);
    assert_int_equal(mg_vocab_id(&vocab, mg_str_of("a\n\xC3\xA9")), 0);
    assert_int_equal(mg_vocab_id(&vocab, mg_str_of("\xF0\x9F\x98\x80")), 1);
    assert_int_equal(mg_vocab_id(&vocab, mg_str_of("\"\\/")), 2);
    assert_int_equal(mg_vocab_id(&vocab, mg_str_of("x")), -1);
    mg_vocab_release(&vocab);
}

static void the_last_id_of_a_repeated_token_wins(void **state)
{
    (void)state;
    mg_vocab vocab;
    assert_int_equal(read_map("{\"a\":0,\"b\":1,\"a\":5}", &vocab), MG_OK);
    assert_int_equal(mg_vocab_id(&vocab, mg_str_of("a")), 5);
    assert_true(mg_str_is(mg_vocab_token(&vocab, 5), "a"));
    assert_int_equal(vocab.count, 2);
    mg_vocab_release(&vocab);
}

static void gaps_between_ids_hold_no_token(void **state)
{
    (void)state;
    mg_vocab vocab;
    assert_int_equal(read_map("{\"a\":3}", &vocab), MG_OK);
    assert_null(mg_vocab_token(&vocab, 0).data);
    assert_null(mg_vocab_token(&vocab, 4).data);
    assert_null(mg_vocab_token(&vocab, -1).data);
    mg_vocab_release(&vocab);
}

static void damaged_vocabularies_are_format_errors(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\":1.5}",
        "{\"a\":-1}",
        "{\"a\":99999999}",
        "{\"a:1}",
        "{\"\\x\":1}",
        "{\"\\ud83d\":1}",
        "{\"\\ude00\":1}",
        "{\"\\ud83d\\u0041\":1}",
        "{\"a\":1}x",
        "{\"a\n\":1}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(texts); i++) {
        assert_map_fails(texts[i]);
    }
}

static mg_status join_merge(void *context, mg_str left, mg_str right, mg_error *err)
{
    (void)err;
    mg_buf_printf(context, "(%.*s|%.*s)", MG_STR_ARG(left), MG_STR_ARG(right));
    return MG_OK;
}

static void merges_come_as_texts_or_as_pairs(void **state)
{
    (void)state;
    mg_error err;
    mg_buf seen = { 0 };
    const char *json = "[\"#version: 0.2\", \"a b\", [\"c d\", \"\\u0065\"] ]";
    assert_ok(mg_merges_read(mg_str_of(json), join_merge, &seen, &err), &err);
    assert_string_equal(seen.data, "(a|b)(c d|e)");
    mg_buf_release(&seen);
}

static void damaged_merges_are_format_errors(void **state)
{
    (void)state;
    static const char *const texts[] = { "",
                                         "[",
                                         "[\"a\"]",
                                         "[\"a b c\"]",
                                         "[\" b\"]x",
                                         "[[\"a\"]]",
                                         "[[\"a\",\"b\",\"c\"]]",
                                         "[1]",
                                         "[\"a b\" \"c d\"]" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(texts); i++) {
        mg_error err;
        mg_buf seen = { 0 };
        assert_status(mg_merges_read(mg_str_of(texts[i]), join_merge, &seen, &err), MG_ERR_FORMAT);
        mg_buf_release(&seen);
    }
}

static void pieces_have_scores(void **state)
{
    (void)state;
    mg_error err;
    mg_vocab vocab = { 0 };
    double *scores;
    assert_ok(
        mg_vocab_read_pieces(mg_str_of("[[\"<unk>\", 0], [\"a\",-1.5e0]]"), &vocab, &scores, &err),
        &err);
    assert_true(scores[0] == 0.0 && scores[1] == -1.5);
    mg_free(scores);
    mg_vocab_release(&vocab);
    assert_status(mg_vocab_read_pieces(mg_str_of("[[\"a\"]]"), &vocab, &scores, &err),
                  MG_ERR_FORMAT);
    mg_vocab_release(&vocab);
}

/* Values that the tokenizers library (0.22) wrote back after reading these numbers. */
static void scores_are_rounded_as_the_tokenizers_library_does(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        double score;
    } cases[] = {
        { "-1.8885139488811218", -0x1.e375a6707bf6bp+0 }, /* the nearest double ends in 6c */
        { "-7.327604888735986", -0x1.d4f77a7ec85ebp+2 },
        { "-12345678901234567890123.5", -0x1.4ea15b273b38ap+73 },
        { "-0.000000000000000000000123456789", -0x1.2a800d15b2fe8p-73 },
        { "-3.14159265358979323846", -0x1.921fb54442d18p+1 },
        { "1e-5", 0x1.4f8b588e368f1p-17 },
        { "-2.5E+3", -2500.0 },
        { "-123456789012345678901234567890e-20", -0x1.26580b487e6b7p+30 },
        { "0.1e-9223372036854775808", 0.0 },
        { "-1e-99999999999999999999", 0.0 },
    };
    for (size_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_error err;
        mg_vocab vocab = { 0 };
        mg_buf json = { 0 };
        double *scores;
        mg_buf_add_text(&json, "[[\"a\",");
        mg_buf_add_text(&json, cases[i].number);
        mg_buf_add_text(&json, "]]");
        assert_ok(mg_vocab_read_pieces(mg_buf_view(&json), &vocab, &scores, &err), &err);
        assert_true(scores[0] == cases[i].score);
        mg_free(scores);
        mg_buf_release(&json);
        mg_vocab_release(&vocab);
    }
}

static void scores_that_are_no_json_numbers_are_format_errors(void **state)
{
    (void)state;
    static const char *const texts[] = { "[[\"a\",+1.5]]", "[[\"a\",.5]]", "[[\"a\",-.5]]",
                                         "[[\"a\",-]]",    "[[\"a\",e5]]", "[[\"a\",1e]]" };
    for (size_t i = 0; i < MG_ARRAY_COUNT(texts); i++) {
        mg_error err;
        mg_vocab vocab = { 0 };
        double *scores;
        assert_status(mg_vocab_read_pieces(mg_str_of(texts[i]), &vocab, &scores, &err),
                      MG_ERR_FORMAT);
        mg_vocab_release(&vocab);
    }
}

static void the_rest_of_the_document_keeps_everything_else(void **state)
{
    (void)state;
    mg_error err;
    mg_model_sections sections;
    const char *json = "{\"x\":[{\"vocab\":1}],\"model\":{\"merges\":[\"a b\"],\"t\":\"}\","
                       "\"vocab\":{\"a\":[0]}},\"y\":2}";
    assert_ok(mg_model_sections_find(mg_str_of(json), &sections, &err), &err);
    assert_string_equal(sections.rest.data,
                        "{\"x\":[{\"vocab\":1}],\"model\":{\"merges\":null,\"t\":\"}\","
                        "\"vocab\":null},\"y\":2}");
    assert_true(mg_str_is(sections.vocab, "{\"a\":[0]}"));
    assert_true(mg_str_is(sections.merges, "[\"a b\"]"));
    mg_model_sections_release(&sections);
}

static void deep_nesting_is_a_format_error(void **state)
{
    (void)state;
    mg_error err;
    mg_model_sections sections;
    mg_buf json = { 0 };
    mg_buf_add_text(&json, "{\"model\":");
    for (int i = 0; i < 100000; i++) {
        mg_buf_add_char(&json, '[');
    }
    assert_status(mg_model_sections_find(mg_buf_view(&json), &sections, &err), MG_ERR_FORMAT);
    mg_model_sections_release(&sections);
    mg_buf_release(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_with_escapes_are_read),
        cmocka_unit_test(the_last_id_of_a_repeated_token_wins),
        cmocka_unit_test(gaps_between_ids_hold_no_token),
        cmocka_unit_test(damaged_vocabularies_are_format_errors),
        cmocka_unit_test(merges_come_as_texts_or_as_pairs),
        cmocka_unit_test(damaged_merges_are_format_errors),
        cmocka_unit_test(pieces_have_scores),
        cmocka_unit_test(scores_are_rounded_as_the_tokenizers_library_does),
        cmocka_unit_test(scores_that_are_no_json_numbers_are_format_errors),
        cmocka_unit_test(the_rest_of_the_document_keeps_everything_else),
        cmocka_unit_test(deep_nesting_is_a_format_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
