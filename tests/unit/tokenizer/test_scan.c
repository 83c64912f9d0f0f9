/* The hand-written scanners against the regular expressions that they stand for. */
#include "support.h"

#include "base/memory.h"
#include "base/rng.h"
#include "text/regex.h"
#include "text/utf8.h"
#include "tokenizer/scan_internal.h"
#include "tokenizer/unicode_gap_internal.h"

#define ROUNDS 6000

/* Code points where the patterns branch, besides random ones. */
static const int32_t edges[] = {
    ' ',    ' ',    '\n',   '\r',   '\t',   '\'',    's',     'S',     't',     'l',     'L',
    'r',    'e',    'E',    'v',    'd',    'm',     'a',     'A',     'Z',     '1',     '2',
    '/',    '.',    '_',    '-',    0,      0x0B,    0x1C,    0x85,    0xA0,    0xAA,    0xB2,
    0xDF,   0xE9,   0x130,  0x17F,  0x1C5,  0x2B0,   0x301,   0x345,   0x416,   0x436,   0x5D0,
    0x660,  0x903,  0xE01,  0x1680, 0x180E, 0x2009,  0x200B,  0x200D,  0x2019,  0x2028,  0x20DD,
    0x2160, 0x212A, 0x24B6, 0x3000, 0x3005, 0x3042,  0x30A2,  0x30FC,  0x4E00,  0xAC00,  0xE000,
    0xFE0F, 0xFF11, 0xFF21, 0xFF76, 0x378,  0x1D400, 0x1F600, 0x20BB7, 0xE0100, 0xE0041, 0x10FFFF,
};

/* Characters that our regular expressions do not know yet. */
static bool is_early(int32_t c)
{
    const mg_class_range *ranges;
    int64_t count = mg_reference_early_classes(&ranges);
    for (int64_t i = 0; i < count; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static int32_t random_code_point(mg_rng *rng)
{
    static const int32_t ends[] = { 0x80, 0x250, 0x3100, 0x10000, 0x20000, 0x110000 };
    if (mg_rng_below(rng, 4) != 0) {
        return edges[mg_rng_below(rng, (uint64_t)MG_ARRAY_COUNT(edges))];
    }
    int32_t end = ends[mg_rng_below(rng, (uint64_t)MG_ARRAY_COUNT(ends))];
    int32_t c = (int32_t)mg_rng_below(rng, (uint64_t)end);
    return (c >= 0xD800 && c <= 0xDFFF) || is_early(c) ? 'x' : c;
}

static void compare(mg_scan_kind kind, const mg_char_classes *classes, uint64_t seed)
{
    mg_error err;
    mg_regex *regex;
    mg_buf text = { 0 };
    mg_rng rng = mg_rng_make(seed, MG_STREAM_TEXT);
    assert_ok(mg_regex_compile(mg_str_of(mg_scan_pattern(kind)), MG_REGEX_ONIGURUMA, &regex, &err),
              &err);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t length = 1 + (int64_t)mg_rng_below(&rng, 12);
        mg_buf_clear(&text);
        for (int64_t i = 0; i < length; i++) {
            char bytes[4];
            mg_buf_add(&text, mg_str_make(bytes, mg_utf8_encode(random_code_point(&rng), bytes)));
        }
        for (size_t at = 0; at < text.size;) {
            bool found;
            mg_regex_match match;
            mg_str rest = mg_str_slice(mg_buf_view(&text), at, text.size);
            assert_ok(mg_regex_search(regex, mg_buf_view(&text), at, &found, &match, &err), &err);
            assert_true(found);
            assert_int_equal(match.begin[0], at);
            size_t bytes = mg_scan_piece(kind, classes, rest);
            if (bytes != (size_t)match.end[0] - at) {
                fail_msg("pattern %d, byte %zu: the scanner takes %zu, the pattern %zu", (int)kind,
                         at, bytes, (size_t)match.end[0] - at);
            }
            at += bytes;
        }
    }
    mg_buf_release(&text);
    mg_regex_destroy(regex);
}

static void every_scanner_cuts_as_its_pattern_does(void **state)
{
    (void)state;
    mg_error err;
    mg_char_classes *classes;
    assert_ok(mg_char_classes_create(&classes, &err), &err);
    for (int kind = MG_SCAN_GPT2; kind <= MG_SCAN_O200K; kind++) {
        compare((mg_scan_kind)kind, classes, (uint64_t)kind);
    }
    mg_free(classes);
}

static void every_pattern_finds_its_scanner(void **state)
{
    (void)state;
    for (int kind = MG_SCAN_GPT2; kind <= MG_SCAN_O200K; kind++) {
        mg_str pattern = mg_str_of(mg_scan_pattern((mg_scan_kind)kind));
        assert_int_equal(mg_scan_find(pattern), kind);
    }
    assert_int_equal(mg_scan_find(mg_str_of("\\s+")), MG_SCAN_NONE);
}

static void classes_agree_with_unicode_properties(void **state)
{
    (void)state;
    mg_error err;
    mg_char_classes *classes;
    assert_ok(mg_char_classes_create(&classes, &err), &err);
    assert_int_equal(mg_char_class(classes, 'a') & MG_CLASS_UPPER, 0);
    assert_true((mg_char_class(classes, 0x4E00) & MG_CLASS_UPPER) != 0);
    assert_true((mg_char_class(classes, 0x200D) & MG_CLASS_WORD) != 0);
    assert_true((mg_char_class(classes, 0xE0100) & MG_CLASS_LOWER) != 0);
    assert_int_equal(mg_char_class(classes, 0x10FFFF), 0);
    assert_int_equal(mg_char_class(classes, 0x1C), 0);
    assert_true((mg_char_class(classes, 0x31350) & MG_CLASS_LETTER) != 0); /* Unicode 15 */
    for (int32_t c = 0; c < 0x3000; c++) {
        bool space = (mg_char_class(classes, c) & MG_CLASS_SPACE) != 0;
        assert_int_equal(space, mg_unicode_is_white_space(c));
    }
    mg_free(classes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scanner_cuts_as_its_pattern_does),
        cmocka_unit_test(every_pattern_finds_its_scanner),
        cmocka_unit_test(classes_agree_with_unicode_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
