/* text/utf8.c - UTF-8 coding by hand, Unicode properties from utf8proc.
 *
 * Case mapping is Python's: full mappings (the German sharp s becomes "SS", U+0130 becomes two code
 * points) and the final form of the Greek sigma at the end of a word. */
#include "text/utf8.h"

#include "base/error.h"
#include "base/memory.h"

#include <utf8proc.h>

#define DECOMPOSED_MAX 32 /* code points that one decomposes into; Unicode needs 18 */
#define MARK_CLASSES 256

/* Code points whose upper case has several code points (SpecialCasing.txt, unconditional). */
typedef struct wide_case {
    int32_t from;
    int32_t to[3]; /* 0 = none */
} wide_case;

static const wide_case wide_upper[] = {
    { 0x00DF, { 0x0053, 0x0053, 0 } },      { 0x0149, { 0x02BC, 0x004E, 0 } },
    { 0x01F0, { 0x004A, 0x030C, 0 } },      { 0x0390, { 0x0399, 0x0308, 0x0301 } },
    { 0x03B0, { 0x03A5, 0x0308, 0x0301 } }, { 0x0587, { 0x0535, 0x0552, 0 } },
    { 0x1E96, { 0x0048, 0x0331, 0 } },      { 0x1E97, { 0x0054, 0x0308, 0 } },
    { 0x1E98, { 0x0057, 0x030A, 0 } },      { 0x1E99, { 0x0059, 0x030A, 0 } },
    { 0x1E9A, { 0x0041, 0x02BE, 0 } },      { 0x1F50, { 0x03A5, 0x0313, 0 } },
    { 0x1F52, { 0x03A5, 0x0313, 0x0300 } }, { 0x1F54, { 0x03A5, 0x0313, 0x0301 } },
    { 0x1F56, { 0x03A5, 0x0313, 0x0342 } }, { 0x1F80, { 0x1F08, 0x0399, 0 } },
    { 0x1F81, { 0x1F09, 0x0399, 0 } },      { 0x1F82, { 0x1F0A, 0x0399, 0 } },
    { 0x1F83, { 0x1F0B, 0x0399, 0 } },      { 0x1F84, { 0x1F0C, 0x0399, 0 } },
    { 0x1F85, { 0x1F0D, 0x0399, 0 } },      { 0x1F86, { 0x1F0E, 0x0399, 0 } },
    { 0x1F87, { 0x1F0F, 0x0399, 0 } },      { 0x1F88, { 0x1F08, 0x0399, 0 } },
    { 0x1F89, { 0x1F09, 0x0399, 0 } },      { 0x1F8A, { 0x1F0A, 0x0399, 0 } },
    { 0x1F8B, { 0x1F0B, 0x0399, 0 } },      { 0x1F8C, { 0x1F0C, 0x0399, 0 } },
    { 0x1F8D, { 0x1F0D, 0x0399, 0 } },      { 0x1F8E, { 0x1F0E, 0x0399, 0 } },
    { 0x1F8F, { 0x1F0F, 0x0399, 0 } },      { 0x1F90, { 0x1F28, 0x0399, 0 } },
    { 0x1F91, { 0x1F29, 0x0399, 0 } },      { 0x1F92, { 0x1F2A, 0x0399, 0 } },
    { 0x1F93, { 0x1F2B, 0x0399, 0 } },      { 0x1F94, { 0x1F2C, 0x0399, 0 } },
    { 0x1F95, { 0x1F2D, 0x0399, 0 } },      { 0x1F96, { 0x1F2E, 0x0399, 0 } },
    { 0x1F97, { 0x1F2F, 0x0399, 0 } },      { 0x1F98, { 0x1F28, 0x0399, 0 } },
    { 0x1F99, { 0x1F29, 0x0399, 0 } },      { 0x1F9A, { 0x1F2A, 0x0399, 0 } },
    { 0x1F9B, { 0x1F2B, 0x0399, 0 } },      { 0x1F9C, { 0x1F2C, 0x0399, 0 } },
    { 0x1F9D, { 0x1F2D, 0x0399, 0 } },      { 0x1F9E, { 0x1F2E, 0x0399, 0 } },
    { 0x1F9F, { 0x1F2F, 0x0399, 0 } },      { 0x1FA0, { 0x1F68, 0x0399, 0 } },
    { 0x1FA1, { 0x1F69, 0x0399, 0 } },      { 0x1FA2, { 0x1F6A, 0x0399, 0 } },
    { 0x1FA3, { 0x1F6B, 0x0399, 0 } },      { 0x1FA4, { 0x1F6C, 0x0399, 0 } },
    { 0x1FA5, { 0x1F6D, 0x0399, 0 } },      { 0x1FA6, { 0x1F6E, 0x0399, 0 } },
    { 0x1FA7, { 0x1F6F, 0x0399, 0 } },      { 0x1FA8, { 0x1F68, 0x0399, 0 } },
    { 0x1FA9, { 0x1F69, 0x0399, 0 } },      { 0x1FAA, { 0x1F6A, 0x0399, 0 } },
    { 0x1FAB, { 0x1F6B, 0x0399, 0 } },      { 0x1FAC, { 0x1F6C, 0x0399, 0 } },
    { 0x1FAD, { 0x1F6D, 0x0399, 0 } },      { 0x1FAE, { 0x1F6E, 0x0399, 0 } },
    { 0x1FAF, { 0x1F6F, 0x0399, 0 } },      { 0x1FB2, { 0x1FBA, 0x0399, 0 } },
    { 0x1FB3, { 0x0391, 0x0399, 0 } },      { 0x1FB4, { 0x0386, 0x0399, 0 } },
    { 0x1FB6, { 0x0391, 0x0342, 0 } },      { 0x1FB7, { 0x0391, 0x0342, 0x0399 } },
    { 0x1FBC, { 0x0391, 0x0399, 0 } },      { 0x1FC2, { 0x1FCA, 0x0399, 0 } },
    { 0x1FC3, { 0x0397, 0x0399, 0 } },      { 0x1FC4, { 0x0389, 0x0399, 0 } },
    { 0x1FC6, { 0x0397, 0x0342, 0 } },      { 0x1FC7, { 0x0397, 0x0342, 0x0399 } },
    { 0x1FCC, { 0x0397, 0x0399, 0 } },      { 0x1FD2, { 0x0399, 0x0308, 0x0300 } },
    { 0x1FD3, { 0x0399, 0x0308, 0x0301 } }, { 0x1FD6, { 0x0399, 0x0342, 0 } },
    { 0x1FD7, { 0x0399, 0x0308, 0x0342 } }, { 0x1FE2, { 0x03A5, 0x0308, 0x0300 } },
    { 0x1FE3, { 0x03A5, 0x0308, 0x0301 } }, { 0x1FE4, { 0x03A1, 0x0313, 0 } },
    { 0x1FE6, { 0x03A5, 0x0342, 0 } },      { 0x1FE7, { 0x03A5, 0x0308, 0x0342 } },
    { 0x1FF2, { 0x1FFA, 0x0399, 0 } },      { 0x1FF3, { 0x03A9, 0x0399, 0 } },
    { 0x1FF4, { 0x038F, 0x0399, 0 } },      { 0x1FF6, { 0x03A9, 0x0342, 0 } },
    { 0x1FF7, { 0x03A9, 0x0342, 0x0399 } }, { 0x1FFC, { 0x03A9, 0x0399, 0 } },
    { 0xFB00, { 0x0046, 0x0046, 0 } },      { 0xFB01, { 0x0046, 0x0049, 0 } },
    { 0xFB02, { 0x0046, 0x004C, 0 } },      { 0xFB03, { 0x0046, 0x0046, 0x0049 } },
    { 0xFB04, { 0x0046, 0x0046, 0x004C } }, { 0xFB05, { 0x0053, 0x0054, 0 } },
    { 0xFB06, { 0x0053, 0x0054, 0 } },      { 0xFB13, { 0x0544, 0x0546, 0 } },
    { 0xFB14, { 0x0544, 0x0535, 0 } },      { 0xFB15, { 0x0544, 0x053B, 0 } },
    { 0xFB16, { 0x054E, 0x0546, 0 } },      { 0xFB17, { 0x0544, 0x053D, 0 } },
};

#define CODE_POINT_MAX 0x10FFFF

int32_t mg_utf8_decode(mg_str s, size_t offset, size_t *bytes_out)
{
    const unsigned char *p = (const unsigned char *)s.data + offset;
    size_t left = s.size - offset;
    *bytes_out = 1;
    if (p[0] < 0x80) {
        return p[0];
    }
    /* The bounds of the second byte keep out overlong forms, surrogates and values above U+10FFFF
     * (Unicode standard, table 3-7). */
    size_t size;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    int32_t c;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        size = 2;
        c = p[0] & 0x1F;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        size = 3;
        c = p[0] & 0x0F;
        low = p[0] == 0xE0 ? 0xA0 : 0x80;
        high = p[0] == 0xED ? 0x9F : 0xBF;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        size = 4;
        c = p[0] & 0x07;
        low = p[0] == 0xF0 ? 0x90 : 0x80;
        high = p[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return -1;
    }
    for (size_t i = 1; i < size; i++) {
        if (i >= left || p[i] < low || p[i] > high) {
            *bytes_out = i;
            return -1;
        }
        c = (c << 6) | (p[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    *bytes_out = size;
    return c;
}

size_t mg_utf8_encode(int32_t code_point, char out[4])
{
    uint32_t c = (uint32_t)code_point;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | (c >> 12));
        out[1] = (char)(0x80 | ((c >> 6) & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | (c >> 18));
    out[1] = (char)(0x80 | ((c >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((c >> 6) & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* Offset of the first byte at or after from that is not ASCII; eight at a time. */
static size_t skip_ascii(mg_str s, size_t from)
{
    while (from + 8 <= s.size) {
        uint64_t word;
        memcpy(&word, s.data + from, 8);
        if ((word & 0x8080808080808080u) != 0) {
            break;
        }
        from += 8;
    }
    while (from < s.size && (unsigned char)s.data[from] < 0x80) {
        from++;
    }
    return from;
}

bool mg_utf8_valid(mg_str s)
{
    size_t offset = skip_ascii(s, 0);
    while (offset < s.size) {
        size_t bytes;
        if (mg_utf8_decode(s, offset, &bytes) < 0) {
            return false;
        }
        offset = skip_ascii(s, offset + bytes);
    }
    return true;
}

void mg_utf8_repair(mg_buf *buf, mg_str s)
{
    size_t begin = 0;
    size_t offset = skip_ascii(s, 0);
    while (offset < s.size) {
        size_t bytes;
        if (mg_utf8_decode(s, offset, &bytes) < 0) {
            mg_buf_add(buf, mg_str_slice(s, begin, offset));
            mg_buf_add_text(buf, "\xEF\xBF\xBD");
            begin = offset + bytes;
        }
        offset = skip_ascii(s, offset + bytes);
    }
    mg_buf_add(buf, mg_str_slice(s, begin, s.size));
}

int64_t mg_utf8_count(mg_str s)
{
    int64_t count = 0;
    for (size_t i = 0; i < s.size; i++) {
        count += ((unsigned char)s.data[i] & 0xC0) != 0x80;
    }
    return count;
}

size_t mg_utf8_offset(mg_str s, int64_t index)
{
    size_t offset = 0;
    while (index > 0 && offset < s.size) {
        offset++;
        while (offset < s.size && ((unsigned char)s.data[offset] & 0xC0) == 0x80) {
            offset++;
        }
        index--;
    }
    return offset;
}

static utf8proc_category_t category(int32_t c)
{
    return c < 0 || c > CODE_POINT_MAX ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);
}

bool mg_unicode_is_letter(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool mg_unicode_is_number(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool mg_unicode_is_decimal(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

bool mg_unicode_is_mark(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}

bool mg_unicode_is_punctuation(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool mg_unicode_is_white_space(int32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool mg_unicode_is_python_space(int32_t c)
{
    return (c >= 0x1C && c <= 0x1F) || mg_unicode_is_white_space(c);
}

bool mg_unicode_is_word(int32_t c)
{
    return mg_unicode_is_letter(c) || mg_unicode_is_mark(c) || mg_unicode_is_number(c) ||
           category(c) == UTF8PROC_CATEGORY_PC;
}

bool mg_unicode_is_printable(int32_t c)
{
    if (c == ' ') {
        return true;
    }
    switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

bool mg_unicode_is_lower(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LL;
}

bool mg_unicode_is_upper(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LU;
}

static void add_code_point(mg_buf *buf, int32_t c)
{
    char bytes[4];
    size_t size = mg_utf8_encode(c, bytes);
    mg_buf_add(buf, mg_str_make(bytes, size));
}

typedef struct code_points {
    utf8proc_int32_t *items;
    int64_t count;
    int64_t cap;
} code_points;

static void decompose(code_points *points, mg_str text, utf8proc_option_t options)
{
    size_t at = 0;
    int unused = 0; /* of grapheme boundaries, which are not asked for */
    while (at < text.size) {
        size_t bytes;
        int32_t c = mg_utf8_decode(text, at, &bytes);
        at += bytes;
        if (points->cap - points->count < DECOMPOSED_MAX) {
            points->cap = MG_MAX(2 * points->cap, (int64_t)text.size + DECOMPOSED_MAX);
            points->items = (utf8proc_int32_t *)mg_memory_resize(points->items, points->cap,
                                                                 sizeof(utf8proc_int32_t));
        }
        utf8proc_ssize_t more = utf8proc_decompose_char(
            c, points->items + points->count, (utf8proc_ssize_t)(points->cap - points->count),
            options, &unused);
        MG_ASSERT(more >= 0 && more <= DECOMPOSED_MAX); /* the text is valid */
        points->count += (int64_t)more;
    }
}

static int mark_class(utf8proc_int32_t c)
{
    return utf8proc_get_property(c)->combining_class;
}

/* Sorts the marks items[begin..end) by class, equal ones in place, by counting. */
static void order_run(utf8proc_int32_t *items, int64_t begin, int64_t end)
{
    int64_t next[MARK_CLASSES + 1] = { 0 };
    utf8proc_int32_t *sorted = mg_new_array(utf8proc_int32_t, end - begin);
    for (int64_t i = begin; i < end; i++) {
        next[mark_class(items[i]) + 1]++;
    }
    for (int k = 0; k < MARK_CLASSES; k++) {
        next[k + 1] += next[k];
    }
    for (int64_t i = begin; i < end; i++) {
        sorted[next[mark_class(items[i])]++] = items[i];
    }
    memcpy(items + begin, sorted, (size_t)(end - begin) * sizeof(*items));
    mg_free(sorted);
}

/* The canonical order: utf8proc's own sorting takes quadratic time for a long run of marks. */
static void order_marks(code_points *points)
{
    int64_t begin = 0; /* of the run of marks that ends at i */
    bool sorted = true;
    int last = 0;
    for (int64_t i = 0; i <= points->count; i++) {
        int mark = i < points->count ? mark_class(points->items[i]) : 0;
        if (mark == 0) {
            if (!sorted) {
                order_run(points->items, begin, i);
            }
            begin = i + 1;
            sorted = true;
        } else {
            sorted = sorted && mark >= last;
        }
        last = mark;
    }
}

void mg_unicode_normalize(mg_buf *buf, mg_str text, mg_normal_form form)
{
    /* ASCII is its own normal form; so is all that precedes the last ASCII character before the
     * first other one. */
    size_t ascii = skip_ascii(text, 0);
    if (ascii == text.size) {
        mg_buf_add(buf, text);
        return;
    }
    size_t begin = ascii > 0 ? ascii - 1 : 0;
    mg_buf_add(buf, mg_str_slice(text, 0, begin));
    static const int options_of[] = {
        [MG_NFC] = UTF8PROC_COMPOSE,
        [MG_NFD] = UTF8PROC_DECOMPOSE,
        [MG_NFKC] = UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [MG_NFKD] = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    code_points points = { 0 };
    utf8proc_option_t options = (utf8proc_option_t)(UTF8PROC_STABLE | options_of[form]);
    decompose(&points, mg_str_slice(text, begin, text.size), options);
    order_marks(&points);
    points.count =
        (int64_t)utf8proc_normalize_utf32(points.items, (utf8proc_ssize_t)points.count, options);
    for (int64_t i = 0; i < points.count; i++) {
        add_code_point(buf, points.items[i]);
    }
    mg_free(points.items);
}

int32_t mg_unicode_lower_char(int32_t c)
{
    return utf8proc_tolower(c);
}

static bool cased(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

static bool case_ignorable(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
           k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' ||
           c == ':' || c == 0xB7 || c == 0x2018 || c == 0x2019;
}

/* Whether the capital sigma at offset ends a word: a cased letter before it and none behind it,
 * case-ignorable ones skipped. */
static bool sigma_is_final(mg_str text, size_t offset)
{
    bool before = false;
    size_t bytes;
    for (size_t i = offset; i > 0 && !before;) {
        i--;
        while (i > 0 && ((unsigned char)text.data[i] & 0xC0) == 0x80) {
            i--;
        }
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (!case_ignorable(c)) {
            before = cased(c);
            break;
        }
    }
    if (!before) {
        return false;
    }
    for (size_t i = offset + 2; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (!case_ignorable(c)) {
            return !cased(c);
        }
    }
    return true;
}

void mg_unicode_lower(mg_buf *buf, mg_str text)
{
    mg_buf_reserve(buf, text.size);
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (c < 0x80) {
            mg_buf_add_char(buf, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
        } else if (c == 0x130) {
            mg_buf_add_text(buf, "i\xCC\x87");
        } else if (c == 0x3A3) {
            add_code_point(buf, sigma_is_final(text, i) ? 0x3C2 : 0x3C3);
        } else {
            add_code_point(buf, utf8proc_tolower(c));
        }
    }
}

static const wide_case *find_wide_upper(int32_t c)
{
    int64_t low = 0;
    int64_t high = MG_ARRAY_COUNT(wide_upper);
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (wide_upper[middle].from == c) {
            return &wide_upper[middle];
        }
        if (wide_upper[middle].from < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

void mg_unicode_upper(mg_buf *buf, mg_str text)
{
    mg_buf_reserve(buf, text.size);
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (c < 0x80) {
            mg_buf_add_char(buf, (char)(c >= 'a' && c <= 'z' ? c - 32 : c));
            continue;
        }
        const wide_case *wide = find_wide_upper(c);
        if (wide == NULL) {
            add_code_point(buf, utf8proc_toupper(c));
            continue;
        }
        for (int k = 0; k < 3 && wide->to[k] != 0; k++) {
            add_code_point(buf, wide->to[k]);
        }
    }
}

void mg_unicode_title(mg_buf *buf, int32_t c)
{
    const wide_case *wide = find_wide_upper(c);
    int32_t title = utf8proc_totitle(c);
    if (wide == NULL || title != c) {
        add_code_point(buf, title);
        return;
    }
    add_code_point(buf, wide->to[0]);
    for (int k = 1; k < 3 && wide->to[k] != 0; k++) {
        add_code_point(buf, utf8proc_tolower(wide->to[k]));
    }
}

mg_str mg_unicode_trim(mg_str s, bool left, bool right)
{
    size_t begin = 0;
    size_t end = s.size;
    size_t bytes;
    while (left && begin < end) {
        if (!mg_unicode_is_python_space(mg_utf8_decode(s, begin, &bytes))) {
            break;
        }
        begin += bytes;
    }
    while (right && end > begin) {
        size_t last = end - 1;
        while (last > begin && ((unsigned char)s.data[last] & 0xC0) == 0x80) {
            last--;
        }
        if (!mg_unicode_is_python_space(mg_utf8_decode(s, last, &bytes))) {
            break;
        }
        end = last;
    }
    return mg_str_slice(s, begin, end);
}
