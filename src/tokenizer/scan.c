/* tokenizer/scan.c - split patterns as straight code.
 *
 * An alternative is tried in the order of the pattern; each helper returns how many bytes it takes,
 * 0 when it does not match.  Backtracking is worked out by hand:
 * - `\s+(?!\S)` takes a run of white space without its last character, unless the text ends there;
 * - `\s*[\r\n]+` takes a run of white space up to its last line break;
 * - `U*L+` (tekken; U and L overlap in letters without case and marks) gives back just enough. */
#include "tokenizer/scan_internal.h"

#include "tokenizer/chars_internal.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const char mg_scan_gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const char cl100k_pattern[] = CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES;
static const char qwen_pattern[] =
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES;
static const char tekken_pattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER
    "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES;
static const char o200k_pattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER
    "+" LOWER "*" CONTRACTIONS "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES;

static const char *const patterns[] = { "",           mg_scan_gpt2_pattern, cl100k_pattern,
                                        qwen_pattern, tekken_pattern,       o200k_pattern };

mg_scan_kind mg_scan_find(mg_str pattern)
{
    for (int kind = MG_SCAN_GPT2; kind <= MG_SCAN_O200K; kind++) {
        if (mg_str_is(pattern, patterns[kind])) {
            return (mg_scan_kind)kind;
        }
    }
    return MG_SCAN_NONE;
}

const char *mg_scan_pattern(mg_scan_kind kind)
{
    return patterns[kind];
}

/* A reader of the text: the class of the code point at an offset, and its bytes. */
typedef struct reader {
    const mg_char_classes *classes;
    mg_str text;
} reader;

/* At the end of the text *bytes_out is 0 and the class is 0. */
static unsigned class_at(const reader *r, size_t at, size_t *bytes_out)
{
    if (at >= r->text.size) {
        *bytes_out = 0;
        return 0;
    }
    return mg_char_class(r->classes, mg_char_decode(r->text.data + at, bytes_out));
}

static char byte_at(const reader *r, size_t at)
{
    return at < r->text.size ? r->text.data[at] : '\0';
}

/* End of the run of code points that have one of the bits, from at. */
static size_t run(const reader *r, size_t at, unsigned bits)
{
    size_t bytes;
    while ((class_at(r, at, &bytes) & bits) != 0) {
        at += bytes;
    }
    return at;
}

/* End of the run of code points that are neither letters, numbers nor white space. */
static size_t run_of_symbols(const reader *r, size_t at)
{
    size_t bytes;
    while ((class_at(r, at, &bytes) & (MG_CLASS_LETTER | MG_CLASS_NUMBER | MG_CLASS_SPACE)) == 0 &&
           bytes > 0) {
        at += bytes;
    }
    return at;
}

static size_t run_of(const reader *r, size_t at, const char *characters)
{
    while (at < r->text.size && r->text.data[at] != '\0' &&
           strchr(characters, r->text.data[at]) != NULL) {
        at++;
    }
    return at;
}

/* 's 't 're 've 'm 'll 'd at at; with fold in any case, and U+017F is an s. */
static size_t contraction(const reader *r, size_t at, bool fold)
{
    if (byte_at(r, at) != '\'') {
        return 0;
    }
    char a = byte_at(r, at + 1);
    char b = byte_at(r, at + 2);
    if (fold) {
        if (a == '\xC5' && b == '\xBF') {
            return 3;
        }
        a = a >= 'A' && a <= 'Z' ? (char)(a + 32) : a;
        b = b >= 'A' && b <= 'Z' ? (char)(b + 32) : b;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
        return 2;
    }
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) {
        return 3;
    }
    return 0;
}

/* The alternatives for white space; the text starts with some.  breaks: `\s*[\r\n]+` comes first.
 */
static size_t white_space(const reader *r, bool breaks)
{
    size_t end = run(r, 0, MG_CLASS_SPACE);
    if (breaks) {
        for (size_t at = end; at > 0; at--) {
            char c = r->text.data[at - 1];
            if (c == '\r' || c == '\n') {
                return at;
            }
        }
    }
    if (end < r->text.size) {
        size_t last = mg_char_before(r->text, end);
        return last > 0 ? last : end;
    }
    return end;
}

/* ` ?X+` for X a class: end of the match, 0 = none. */
static size_t spaced_run(const reader *r, unsigned bits)
{
    size_t begin = byte_at(r, 0) == ' ' ? 1 : 0;
    size_t end = run(r, begin, bits);
    return end > begin ? end : 0;
}

static size_t spaced_symbols(const reader *r)
{
    size_t begin = byte_at(r, 0) == ' ' ? 1 : 0;
    size_t end = run_of_symbols(r, begin);
    return end > begin ? end : 0;
}

static size_t scan_gpt2(const reader *r)
{
    size_t end = contraction(r, 0, false);
    if (end == 0) {
        end = spaced_run(r, MG_CLASS_LETTER);
    }
    if (end == 0) {
        end = spaced_run(r, MG_CLASS_NUMBER);
    }
    if (end == 0) {
        end = spaced_symbols(r);
    }
    return end > 0 ? end : white_space(r, false);
}

/* Up to digits_max numeric characters. */
static size_t digits(const reader *r, int digits_max)
{
    size_t at = 0;
    size_t bytes;
    for (int i = 0; i < digits_max && (class_at(r, at, &bytes) & MG_CLASS_NUMBER) != 0; i++) {
        at += bytes;
    }
    return at;
}

/* `[^\r\n\p{L}\p{N}]?`: bytes of the optional character in front of a word. */
static size_t word_lead(const reader *r)
{
    size_t bytes;
    unsigned class = class_at(r, 0, &bytes);
    char c = byte_at(r, 0);
    bool excluded = (class & (MG_CLASS_LETTER | MG_CLASS_NUMBER)) != 0 || c == '\r' || c == '\n';
    return excluded ? 0 : bytes;
}

static size_t scan_cl100k(const reader *r, int digits_max)
{
    size_t end = contraction(r, 0, true);
    if (end > 0) {
        return end;
    }
    size_t lead = word_lead(r);
    end = run(r, lead, MG_CLASS_LETTER);
    if (end > lead) {
        return end;
    }
    end = digits(r, digits_max);
    if (end > 0) {
        return end;
    }
    end = spaced_symbols(r);
    return end > 0 ? run_of(r, end, "\r\n") : white_space(r, true);
}

/* `U*L+` from begin: end of the match, 0 = none.  The run of U is greedy; L then takes what
 * follows, or, when nothing does, the last character of the run that is also in L. */
static size_t upper_then_lower(const reader *r, size_t begin)
{
    size_t upper_end = run(r, begin, MG_CLASS_UPPER);
    size_t end = run(r, upper_end, MG_CLASS_LOWER);
    if (end > upper_end) {
        return end;
    }
    for (size_t at = upper_end; at > begin;) {
        size_t bytes;
        size_t before = mg_char_before(r->text, at);
        if ((class_at(r, before, &bytes) & MG_CLASS_LOWER) != 0) {
            return at;
        }
        at = before;
    }
    return 0;
}

/* `U+L*` from begin, 0 = none. */
static size_t upper_word(const reader *r, size_t begin)
{
    size_t upper_end = run(r, begin, MG_CLASS_UPPER);
    return upper_end > begin ? run(r, upper_end, MG_CLASS_LOWER) : 0;
}

static size_t scan_tekken(const reader *r, int digits_max, bool contractions)
{
    /* The optional lead is greedy: with it first, then without it. */
    size_t lead = word_lead(r);
    size_t end = upper_then_lower(r, lead);
    if (end == 0 && lead > 0) {
        end = upper_then_lower(r, 0);
    }
    if (end == 0) {
        end = upper_word(r, lead);
    }
    if (end == 0 && lead > 0) {
        end = upper_word(r, 0);
    }
    if (end > 0) {
        return end + (contractions ? contraction(r, end, true) : 0);
    }
    end = digits(r, digits_max);
    if (end > 0) {
        return end;
    }
    end = spaced_symbols(r);
    return end > 0 ? run_of(r, end, "\r\n/") : white_space(r, true);
}

size_t mg_scan_piece(mg_scan_kind kind, const mg_char_classes *classes, mg_str text)
{
    reader r = { classes, text };
    switch (kind) {
    case MG_SCAN_GPT2:
        return scan_gpt2(&r);
    case MG_SCAN_CL100K:
        return scan_cl100k(&r, 3);
    case MG_SCAN_QWEN:
        return scan_cl100k(&r, 1);
    case MG_SCAN_TEKKEN:
        return scan_tekken(&r, 1, false);
    case MG_SCAN_O200K:
        return scan_tekken(&r, 3, true);
    case MG_SCAN_NONE:
        break;
    }
    MG_ASSERT(kind != MG_SCAN_NONE);
    return text.size;
}
