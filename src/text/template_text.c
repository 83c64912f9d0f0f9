/* text/template_text.c - the string algorithms that filters and methods share. */
#include "text/template_internal.h"

#include "base/memory.h"
#include "text/utf8.h"

#include <stdlib.h>

static bool has_code_point(mg_str chars, mg_str one)
{
    return mg_str_find(chars, one, 0) >= 0;
}

mg_str mg_ttext_strip(mg_str text, mg_str chars, bool left, bool right)
{
    if (chars.data == NULL) {
        return mg_unicode_trim(text, left, right);
    }
    size_t begin = 0;
    size_t end = text.size;
    size_t bytes;
    while (left && begin < end) {
        (void)mg_utf8_decode(text, begin, &bytes);
        if (!has_code_point(chars, mg_str_slice(text, begin, begin + bytes))) {
            break;
        }
        begin += bytes;
    }
    while (right && end > begin) {
        size_t last = end - 1;
        while (last > begin && ((unsigned char)text.data[last] & 0xC0) == 0x80) {
            last--;
        }
        if (!has_code_point(chars, mg_str_slice(text, last, end))) {
            break;
        }
        end = last;
    }
    return mg_str_slice(text, begin, end);
}

/* str.replace with an empty old: with stands before every character and at the end. */
static void replace_between(mg_str text, mg_str with, int64_t count, mg_buf *buf)
{
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        (void)mg_utf8_decode(text, i, &bytes);
        if (count != 0) {
            mg_buf_add(buf, with);
            count--;
        }
        mg_buf_add(buf, mg_str_slice(text, i, i + bytes));
    }
    if (count != 0) {
        mg_buf_add(buf, with);
    }
}

bool mg_ttext_replace(mg_tctx *ctx, const mg_tnode *at, mg_str text, mg_str old, mg_str with,
                      int64_t count, mg_tval *out)
{
    /* At worst every byte of text is replaced. */
    size_t worst;
    size_t places = old.size > 0 ? text.size / old.size : text.size + 1;
    if (!mg_size_mul(places, with.size, &worst) ||
        !mg_tcheck_size(ctx, at, MG_MIN(worst, SIZE_MAX / 2) + text.size)) {
        return ctx->status != MG_OK
                   ? false
                   : mg_tfail_status(ctx, at, MG_ERR_LIMIT, "a string grows too long");
    }
    mg_buf buf = { 0 };
    if (old.size == 0) {
        replace_between(text, with, count, &buf);
        *out = mg_tval_take(ctx, &buf);
        return true;
    }
    size_t begin = 0;
    while (count != 0) {
        int64_t found = mg_str_find(text, old, begin);
        if (found < 0) {
            break;
        }
        mg_buf_add(&buf, mg_str_slice(text, begin, (size_t)found));
        mg_buf_add(&buf, with);
        begin = (size_t)found + old.size;
        count--;
    }
    mg_buf_add(&buf, mg_str_slice(text, begin, text.size));
    *out = mg_tval_take(ctx, &buf);
    return true;
}

mg_tval mg_ttext_lower(mg_tctx *ctx, mg_str text)
{
    mg_buf buf = { 0 };
    mg_unicode_lower(&buf, text);
    return mg_tval_take(ctx, &buf);
}

mg_tval mg_ttext_upper(mg_tctx *ctx, mg_str text)
{
    mg_buf buf = { 0 };
    mg_unicode_upper(&buf, text);
    return mg_tval_take(ctx, &buf);
}

mg_tval mg_ttext_capitalize(mg_tctx *ctx, mg_str text)
{
    mg_buf buf = { 0 };
    if (text.size > 0) {
        size_t bytes;
        mg_unicode_title(&buf, mg_utf8_decode(text, 0, &bytes));
        mg_unicode_lower(&buf, mg_str_slice(text, bytes, text.size));
    }
    return mg_tval_take(ctx, &buf);
}

static bool is_line_end(int32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

bool mg_ttext_line(mg_str *rest, mg_str *line_out, mg_str *end_out)
{
    if (rest->size == 0) {
        return false;
    }
    size_t bytes = 0;
    size_t i = 0;
    while (i < rest->size && !is_line_end(mg_utf8_decode(*rest, i, &bytes))) {
        i += bytes;
    }
    size_t end = i;
    if (i < rest->size) {
        bool pair = rest->data[i] == '\r' && i + 1 < rest->size && rest->data[i + 1] == '\n';
        end += pair ? 2 : bytes;
    }
    *line_out = mg_str_slice(*rest, 0, i);
    *end_out = mg_str_slice(*rest, i, end);
    *rest = mg_str_slice(*rest, end, rest->size);
    return true;
}

/* The ASCII form of a number: trimmed, full-width digits made narrow, "_" between digits left out.
 * False when it does not fit or an underscore is misplaced. */
static bool plain_number(mg_str text, char *out, size_t cap)
{
    text = mg_unicode_trim(text, true, true);
    size_t size = 0;
    size_t bytes;
    bool digit_before = false;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        c = c >= 0xFF10 && c <= 0xFF19 ? c - 0xFF10 + '0' : c;
        if (c == '_') {
            char next = i + 1 < text.size ? text.data[i + 1] : ' ';
            bool digit_behind = (next >= '0' && next <= '9') || (unsigned char)next >= 0x80;
            if (!digit_before || !digit_behind) {
                return false;
            }
            digit_before = false;
            continue;
        }
        if (c <= 0 || c > 0x7E || size + 1 >= cap) {
            return false;
        }
        digit_before = c >= '0' && c <= '9';
        out[size++] = (char)c;
    }
    out[size] = '\0';
    return size > 0;
}

bool mg_ttext_int(mg_str text, int base, int64_t *out)
{
    char digits[80];
    if (!plain_number(text, digits, sizeof(digits))) {
        return false;
    }
    const char *p = digits + (digits[0] == '-' || digits[0] == '+' ? 1 : 0);
    if (p[0] == '0' && p[1] != '\0') {
        int prefix = p[1] | 0x20;
        int prefix_base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
        if (prefix_base != 0 && base != 0 && base != prefix_base && base <= 16) {
            return false;
        }
        if (prefix_base != 0 && (base == 0 || base == prefix_base)) {
            base = prefix_base;
            p += 2;
        }
    }
    base = base == 0 ? 10 : base;
    int64_t value = 0;
    bool negative = digits[0] == '-';
    if (*p == '\0') {
        return false;
    }
    for (; *p != '\0'; p++) {
        int digit = *p >= '0' && *p <= '9'                     ? *p - '0'
                    : (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z' ? (*p | 0x20) - 'a' + 10
                                                               : 99;
        if (digit >= base || __builtin_mul_overflow(value, (int64_t)base, &value) ||
            __builtin_sub_overflow(value, (int64_t)digit, &value)) {
            return false;
        }
    }
    if (!negative && value == INT64_MIN) {
        return false;
    }
    *out = negative ? value : -value;
    return true;
}

bool mg_ttext_float(mg_str text, double *out)
{
    char digits[400];
    if (!plain_number(text, digits, sizeof(digits)) || strchr(digits, 'x') != NULL ||
        strchr(digits, 'X') != NULL || strchr(digits, '(') != NULL) {
        return false;
    }
    char *end;
    *out = strtod(digits, &end);
    return *end == '\0';
}
