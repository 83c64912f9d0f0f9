#include "support.h"

#include "text/utf8.h"

static void ill_formed_text_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *repaired; /* one U+FFFD for each maximal ill-formed prefix */
    } cases[] = {
        { "ok", "ok" },
        { "a\x80z", "a\xEF\xBF\xBDz" },
        { "\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xE3\x81", "\xEF\xBF\xBD" },
        { "\xE3\x81z", "\xEF\xBF\xBDz" },
        { "\xF0\x9F\x98", "\xEF\xBF\xBD" },
        { "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80" },
        { "long ascii text, then \xFF at the end",
          "long ascii text, then \xEF\xBF\xBD at the end" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_buf buf = { 0 };
        mg_utf8_repair(&buf, mg_str_of(cases[i].text));
        assert_string_equal(buf.data, cases[i].repaired);
        assert_int_equal(mg_utf8_valid(mg_str_of(cases[i].text)),
                         strcmp(cases[i].text, cases[i].repaired) == 0);
        mg_buf_release(&buf);
    }
}

static void every_code_point_survives_coding(void **state)
{
    (void)state;
    for (int32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 61) {
        char bytes[4];
        size_t size;
        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }
        mg_str s = mg_str_make(bytes, mg_utf8_encode(c, bytes));
        assert_int_equal(mg_utf8_decode(s, 0, &size), c);
        assert_int_equal(size, s.size);
    }
}

static void offsets_count_code_points(void **state)
{
    (void)state;
    mg_str s = mg_str_of("a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80");
    assert_int_equal(mg_utf8_count(s), 4);
    assert_int_equal(mg_utf8_offset(s, 0), 0);
    assert_int_equal(mg_utf8_offset(s, 2), 3);
    assert_int_equal(mg_utf8_offset(s, 3), 6);
    assert_int_equal(mg_utf8_offset(s, 99), s.size);
    assert_int_equal(mg_utf8_offset(s, -1), 0);
}

static void properties_answer_as_unicode_says(void **state)
{
    (void)state;
    assert_true(mg_unicode_is_letter(0x3042));
    assert_false(mg_unicode_is_letter('1'));
    assert_true(mg_unicode_is_decimal(0xFF11));
    assert_false(mg_unicode_is_decimal(0xB2));
    assert_true(mg_unicode_is_number(0xB2));
    assert_true(mg_unicode_is_mark(0x301));
    assert_true(mg_unicode_is_punctuation(0x3002));
    assert_true(mg_unicode_is_word('_'));
    assert_false(mg_unicode_is_word('-'));
    assert_true(mg_unicode_is_white_space(0x3000));
    assert_false(mg_unicode_is_white_space(0x1C));
    assert_true(mg_unicode_is_python_space(0x1C));
    assert_false(mg_unicode_is_white_space(0x180E));
    assert_false(mg_unicode_is_printable(0x3000));
    assert_true(mg_unicode_is_printable(' '));
    assert_false(mg_unicode_is_letter(-1));
    assert_false(mg_unicode_is_printable(0x110000));
    int spaces = 0;
    for (int32_t c = 0; c < 0x110000; c++) {
        spaces += mg_unicode_is_python_space(c);
    }
    assert_int_equal(spaces, 29);
}

static void case_is_mapped_in_full(void **state)
{
    (void)state;
    mg_buf buf = { 0 };
    mg_unicode_upper(&buf, mg_str_of("stra\xC3\x9F"
                                     "e \xEF\xAC\x81 \xC3\xA9"));
    assert_string_equal(buf.data, "STRASSE FI \xC3\x89");
    mg_buf_clear(&buf);
    /* A sigma at the end of a word has its own form. */
    mg_unicode_lower(&buf,
                     mg_str_of("\xCE\x9F\xCE\xA3 \xCE\xA3\xCE\x9F \xCE\xA3 A\xCE\xA3. \xC4\xB0"));
    assert_string_equal(buf.data,
                        "\xCE\xBF\xCF\x82 \xCF\x83\xCE\xBF \xCF\x83 a\xCF\x82. i\xCC\x87");
    mg_buf_release(&buf);
}

static void normal_forms_compose_and_decompose(void **state)
{
    (void)state;
    mg_buf buf = { 0 };
    mg_str text = mg_str_of("Ab\xC3\xA9 e\xCC\x81 \xEF\xBC\xA1 \xEF\xAC\x81");
    mg_unicode_normalize(&buf, text, MG_NFC);
    assert_string_equal(buf.data, "Ab\xC3\xA9 \xC3\xA9 \xEF\xBC\xA1 \xEF\xAC\x81");
    mg_buf_clear(&buf);
    mg_unicode_normalize(&buf, text, MG_NFD);
    assert_string_equal(buf.data, "Abe\xCC\x81 e\xCC\x81 \xEF\xBC\xA1 \xEF\xAC\x81");
    mg_buf_clear(&buf);
    mg_unicode_normalize(&buf, text, MG_NFKC);
    assert_string_equal(buf.data, "Ab\xC3\xA9 \xC3\xA9 A fi");
    mg_buf_clear(&buf);
    mg_unicode_normalize(&buf, mg_str_make("e\xCC\x81\0x", 5), MG_NFC);
    assert_int_equal(buf.size, 4);
    assert_memory_equal(buf.data, "\xC3\xA9\0x", 4);
    mg_buf_clear(&buf);
    mg_unicode_normalize(&buf, mg_str_of("ascii"), MG_NFKD);
    assert_string_equal(buf.data, "ascii");
    mg_buf_release(&buf);
}

/* Marks of the classes 230 and 220 by turns, behind one of class 0 that decomposes into 129, 130. */
static void a_long_run_of_marks_is_ordered_in_linear_time(void **state)
{
    (void)state;
    mg_buf text = { 0 };
    mg_buf normal = { 0 };
    mg_buf expected = { 0 };
    mg_buf_add_text(&text, "a");
    for (int i = 0; i < 300000; i++) {
        mg_buf_add_text(&text, "\xCC\x81\xCC\x96"); /* U+0301 U+0316 */
    }
    mg_buf_add_text(&text, "\xE0\xBD\xB3"); /* U+0F73 */
    mg_buf_add_text(&expected, "a\xE0\xBD\xB1\xE0\xBD\xB2");
    for (int i = 0; i < 300000; i++) {
        mg_buf_add_text(&expected, "\xCC\x96");
    }
    for (int i = 0; i < 300000; i++) {
        mg_buf_add_text(&expected, "\xCC\x81");
    }
    mg_unicode_normalize(&normal, mg_buf_view(&text), MG_NFD);
    assert_true(mg_str_equal(mg_buf_view(&normal), mg_buf_view(&expected)));
    mg_buf_release(&text);
    mg_buf_release(&normal);
    mg_buf_release(&expected);
}

static void trimming_takes_pythons_white_space(void **state)
{
    (void)state;
    mg_str s = mg_str_of("\x1C \xE3\x80\x80 a b \xC2\x85\n");
    assert_true(mg_str_is(mg_unicode_trim(s, true, true), "a b"));
    assert_true(mg_str_is(mg_unicode_trim(mg_str_of(" a "), true, false), "a "));
    assert_true(mg_str_is(mg_unicode_trim(mg_str_of(" a "), false, true), " a"));
    assert_int_equal(mg_unicode_trim(mg_str_of(" \n "), true, true).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ill_formed_text_is_found),
        cmocka_unit_test(every_code_point_survives_coding),
        cmocka_unit_test(offsets_count_code_points),
        cmocka_unit_test(properties_answer_as_unicode_says),
        cmocka_unit_test(case_is_mapped_in_full),
        cmocka_unit_test(normal_forms_compose_and_decompose),
        cmocka_unit_test(a_long_run_of_marks_is_ordered_in_linear_time),
        cmocka_unit_test(trimming_takes_pythons_white_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
