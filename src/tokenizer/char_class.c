/* tokenizer/char_class.c - fills the class table by running class patterns over all code points. */
#include "tokenizer/char_class_internal.h"

#include "base/memory.h"
#include "text/regex.h"
#include "text/utf8.h"
#include "tokenizer/chars_internal.h"
#include "tokenizer/unicode_gap_internal.h"

#define BLOCK 4096 /* code points searched at a time */

/* Sets bit for every code point of [first, first + BLOCK) that regex, a run of one class, matches.
 */
static mg_status mark_block(const mg_regex *regex, mg_str text, int32_t first, uint8_t *bits,
                            uint8_t bit, mg_error *err)
{
    size_t at = 0;
    while (at < text.size) {
        bool found;
        mg_regex_match match;
        MG_TRY(mg_regex_search(regex, text, at, &found, &match, err));
        if (!found) {
            break;
        }
        size_t bytes;
        for (at = (size_t)match.begin[0]; at < (size_t)match.end[0]; at += bytes) {
            bits[mg_char_decode(text.data + at, &bytes) - first] |= bit;
        }
    }
    return MG_OK;
}

static void block_text(int32_t first, mg_buf *text)
{
    mg_buf_clear(text);
    for (int32_t c = first; c < first + BLOCK; c++) {
        char bytes[4];
        if (c < 0xD800 || c > 0xDFFF) {
            mg_buf_add(text, mg_str_make(bytes, mg_utf8_encode(c, bytes)));
        }
    }
}

static void add_early_classes(mg_char_classes *classes)
{
    const mg_class_range *ranges;
    int64_t count = mg_reference_early_classes(&ranges);
    for (int64_t i = 0; i < count; i++) {
        for (int32_t c = ranges[i].first; c <= ranges[i].last && c < MG_CLASS_PLANES; c++) {
            classes->bits[c] |= ranges[i].bits;
        }
    }
}

mg_status mg_char_classes_create(mg_char_classes **classes_out, mg_error *err)
{
    static const struct {
        const char *pattern;
        uint8_t bit;
    } runs[] = { { "\\p{L}+", MG_CLASS_LETTER },
                 { "\\p{N}+", MG_CLASS_NUMBER },
                 { "\\s+", MG_CLASS_SPACE },
                 { "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+", MG_CLASS_UPPER },
                 { "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+", MG_CLASS_LOWER },
                 { "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]+", MG_CLASS_WORD } };
    mg_status status = MG_OK;
    mg_char_classes *classes = mg_new(mg_char_classes);
    mg_regex *regexes[MG_ARRAY_COUNT(runs)] = { NULL };
    mg_buf text = { 0 };
    *classes_out = NULL;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(runs); i++) {
        MG_TRY_OR_DONE(
            mg_regex_compile(mg_str_of(runs[i].pattern), MG_REGEX_ONIGURUMA, &regexes[i], err));
    }
    for (int32_t block = 0; block < MG_CLASS_PLANES + MG_CLASS_TAGS; block += BLOCK) {
        int32_t first = block < MG_CLASS_PLANES ? block : 0xE0000;
        block_text(first, &text);
        for (int64_t i = 0; i < MG_ARRAY_COUNT(runs); i++) {
            MG_TRY_OR_DONE(mark_block(regexes[i], mg_buf_view(&text), first, classes->bits + block,
                                      runs[i].bit, err));
        }
    }
    add_early_classes(classes);
    *classes_out = classes;
    classes = NULL; /* handed over */

done:
    for (int64_t i = 0; i < MG_ARRAY_COUNT(runs); i++) {
        mg_regex_destroy(regexes[i]);
    }
    mg_buf_release(&text);
    mg_free(classes);
    return status;
}
