/* text/python_literal.c - values from Python literals, as ast.literal_eval reads them. */
#include "text/template.h"

#include "base/memory.h"
#include "text/utf8.h"

#include <stdlib.h>

#define DEPTH_MAX 100

typedef struct reader {
    mg_str text;
    size_t at;
    int depth;
    mg_arena *arena;
} reader;

static bool read_value(reader *r, mg_value *out);

static int peek(const reader *r)
{
    return r->at < r->text.size ? (unsigned char)r->text.data[r->at] : -1;
}

/* White space; line ends count as such only inside brackets. */
static void skip_space(reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\f' ||
           (r->depth > 0 && (peek(r) == '\n' || peek(r) == '\r'))) {
        r->at++;
    }
}

static bool take_word(reader *r, const char *word)
{
    size_t size = strlen(word);
    if (r->text.size - r->at < size || memcmp(r->text.data + r->at, word, size) != 0) {
        return false;
    }
    size_t bytes;
    int32_t next =
        r->at + size < r->text.size ? mg_utf8_decode(r->text, r->at + size, &bytes) : ' ';
    if (next == '_' || mg_unicode_is_word(next)) {
        return false;
    }
    r->at += size;
    return true;
}

static int hex_value(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The escape behind a backslash. */
static bool read_escape(reader *r, mg_buf *buf)
{
    static const char names[] = "\\'\"abfnrtv";
    static const char values[] = "\\'\"\a\b\f\n\r\t\v";
    int c = peek(r);
    const char *found = c > 0 ? strchr(names, c) : NULL;
    if (found != NULL) {
        r->at++;
        mg_buf_add_char(buf, values[found - names]);
        return true;
    }
    if (c == '\n') {
        r->at++;
        return true;
    }
    int64_t code = 0;
    if (c == 'x' || c == 'u' || c == 'U') {
        int digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        r->at++;
        for (int i = 0; i < digits; i++, r->at++) {
            int value = hex_value(peek(r));
            if (value < 0) {
                return false;
            }
            code = code * 16 + value;
        }
    } else if (c >= '0' && c <= '7') {
        for (int i = 0; i < 3 && peek(r) >= '0' && peek(r) <= '7'; i++, r->at++) {
            code = code * 8 + (peek(r) - '0');
        }
    } else {
        mg_buf_add_char(buf, '\\'); /* unknown escapes stay */
        return c >= 0 && c != 'N';
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
        return false;
    }
    char bytes[4];
    mg_buf_add(buf, mg_str_make(bytes, mg_utf8_encode((int32_t)code, bytes)));
    return true;
}

/* One string token at its quote, appended to buf. */
static bool read_quoted(reader *r, bool raw, mg_buf *buf)
{
    char quote = r->text.data[r->at];
    const char triple[4] = { quote, quote, quote, '\0' };
    bool is_triple = mg_str_starts(mg_str_slice(r->text, r->at, r->text.size), triple);
    r->at += is_triple ? 3 : 1;
    for (;;) {
        int c = peek(r);
        if (c < 0 || (!is_triple && (c == '\n' || c == '\r'))) {
            return false;
        }
        if (c == quote) {
            mg_str rest = mg_str_slice(r->text, r->at, r->text.size);
            if (!is_triple || mg_str_starts(rest, triple)) {
                r->at += is_triple ? 3 : 1;
                return true;
            }
        }
        r->at++;
        if (c == '\\' && !raw) {
            if (!read_escape(r, buf)) {
                return false;
            }
            continue;
        }
        mg_buf_add_char(buf, (char)c);
        if (c == '\\' && peek(r) >= 0) {
            mg_buf_add_char(buf, (char)peek(r)); /* a raw string keeps both */
            r->at++;
        }
    }
}

/* Where a string's prefix ends, or -1 when no string begins here; bytes and f-strings are none. */
static int64_t string_begins(const reader *r, bool *raw_out)
{
    size_t at = r->at;
    *raw_out = false;
    if (at < r->text.size && strchr("rRuU", r->text.data[at]) != NULL && r->text.data[at] != '\0') {
        *raw_out = (r->text.data[at] | 0x20) == 'r';
        at++;
    }
    return at < r->text.size && (r->text.data[at] == '"' || r->text.data[at] == '\'') ? (int64_t)at
                                                                                      : -1;
}

static bool read_strings(reader *r, mg_value *out)
{
    mg_buf buf = { 0 };
    bool ok = true;
    bool raw;
    /* Strings side by side are one string. */
    for (int64_t begin = string_begins(r, &raw); ok && begin >= 0; begin = string_begins(r, &raw)) {
        r->at = (size_t)begin;
        ok = read_quoted(r, raw, &buf);
        skip_space(r);
    }
    *out = mg_value_of_str(r->arena, mg_buf_view(&buf));
    mg_buf_release(&buf);
    return ok;
}

/* Digits of base with single underscores between them, copied to out. */
static size_t take_digits(reader *r, int base, char *out, size_t cap)
{
    size_t size = 0;
    while (size + 1 < cap) {
        size_t digit = r->at + (size > 0 && peek(r) == '_' ? 1 : 0);
        int value = digit < r->text.size ? hex_value((unsigned char)r->text.data[digit]) : -1;
        if (value < 0 || value >= base) {
            break;
        }
        out[size++] = r->text.data[digit];
        r->at = digit + 1;
    }
    out[size] = '\0';
    return size;
}

static bool integer_of(const char *digits, int base, mg_value *out)
{
    int64_t value = 0;
    double number = 0.0;
    bool fits = true;
    for (const char *c = digits; *c != '\0'; c++) {
        int digit = hex_value((unsigned char)*c);
        fits = fits && !__builtin_mul_overflow(value, (int64_t)base, &value) &&
               !__builtin_add_overflow(value, (int64_t)digit, &value);
        number = number * base + digit;
    }
    *out = fits ? mg_value_of_int(value)
                : mg_value_of_double(base == 10 ? strtod(digits, NULL) : number);
    return true;
}

static bool read_number(reader *r, mg_value *out)
{
    char text[340];
    size_t begin = r->at;
    if (peek(r) == '0' && r->at + 1 < r->text.size) {
        int prefix = r->text.data[r->at + 1] | 0x20;
        int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
        if (base != 0) {
            r->at += 2;
            return take_digits(r, base, text, sizeof(text)) > 0 && integer_of(text, base, out);
        }
    }
    size_t size = take_digits(r, 10, text, 300);
    bool integral = true;
    bool leading_zero = size > 1 && text[0] == '0' && strspn(text, "0") < size;
    if (peek(r) == '.') {
        integral = false;
        text[size++] = '.';
        r->at++;
        size_t more = take_digits(r, 10, text + size, 300 - MG_MIN(size, 290));
        if (more == 0 && size == 1) {
            return false;
        }
        size += more;
    }
    if ((peek(r) | 0x20) == 'e') {
        size_t back = r->at;
        text[size++] = 'e';
        r->at++;
        if (peek(r) == '+' || peek(r) == '-') {
            text[size++] = (char)peek(r);
            r->at++;
        }
        integral = false;
        if (take_digits(r, 10, text + size, 20) == 0) {
            r->at = back;
            return false;
        }
    }
    if (r->at == begin || (integral && (size == 0 || leading_zero))) {
        return false;
    }
    if (integral) {
        return integer_of(text, 10, out);
    }
    *out = mg_value_of_double(strtod(text, NULL));
    return true;
}

/* A growing list; closed into the arena. */
typedef struct stack {
    mg_value *items;
    int64_t count;
    int64_t cap;
} stack;

static void push(stack *s, const mg_value *value)
{
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 16 : s->cap * 2;
        s->items = (mg_value *)mg_memory_resize(s->items, s->cap, sizeof(mg_value));
    }
    s->items[s->count++] = *value;
}

static mg_value close_list(reader *r, const stack *s)
{
    mg_value list = mg_value_of_list(r->arena, s->count);
    for (int64_t i = 0; i < s->count; i++) {
        list.items[i] = s->items[i];
    }
    return list;
}

static mg_value close_map(reader *r, const stack *s)
{
    mg_value map = mg_value_of_map(r->arena, s->count / 2);
    int64_t count = 0;
    for (int64_t i = 0; i + 1 < s->count; i += 2) {
        int64_t at = 0;
        while (at < count && !mg_value_equal(&map.entries[at].key, &s->items[i])) {
            at++;
        }
        if (at == count) {
            map.entries[count++].key = s->items[i];
        }
        map.entries[at].value = s->items[i + 1];
    }
    map.count = count;
    return map;
}

/* Whatever opens with a bracket; sets become lists. */
static bool read_items(reader *r, char close, stack *s, bool *is_map, bool *has_comma)
{
    for (;;) {
        mg_value item;
        skip_space(r);
        if (peek(r) == close) {
            r->at++;
            return true;
        }
        if (!read_value(r, &item)) {
            return false;
        }
        push(s, &item);
        skip_space(r);
        if (close == '}' && (s->count == 1 || *is_map) && peek(r) == ':') {
            *is_map = true;
            r->at++;
            skip_space(r);
            if (item.kind == MG_LIST || item.kind == MG_MAP || !read_value(r, &item)) {
                return false;
            }
            push(s, &item);
            skip_space(r);
        } else if (*is_map) {
            return false;
        }
        if (peek(r) == ',') {
            *has_comma = true;
            r->at++;
        } else if (peek(r) != close) {
            return false;
        }
    }
}

static bool read_bracket(reader *r, mg_value *out)
{
    char open = r->text.data[r->at++];
    char close = (char)(open == '[' ? ']' : open == '(' ? ')' : '}');
    stack s = { 0 };
    bool is_map = false;
    bool has_comma = false;
    bool ok = ++r->depth <= DEPTH_MAX && read_items(r, close, &s, &is_map, &has_comma);
    r->depth--;
    if (ok && open == '(' && s.count == 1 && !has_comma) {
        *out = s.items[0]; /* only parentheses */
    } else if (ok && open == '{' && (is_map || s.count == 0)) {
        *out = close_map(r, &s);
    } else if (ok) {
        *out = close_list(r, &s);
    }
    mg_free(s.items);
    return ok;
}

static bool read_value(reader *r, mg_value *out)
{
    bool raw;
    *out = mg_value_null;
    skip_space(r);
    int c = peek(r);
    if (c == '[' || c == '(' || c == '{') {
        return read_bracket(r, out);
    }
    if (string_begins(r, &raw) >= 0) {
        return read_strings(r, out);
    }
    if (c == '-' || c == '+') {
        r->at++;
        skip_space(r);
        if (peek(r) != '.' && (peek(r) < '0' || peek(r) > '9')) {
            return false;
        }
        if (!read_number(r, out)) {
            return false;
        }
        if (c == '-') {
            out->integer = -out->integer;
            out->number = -out->number;
        }
        return true;
    }
    if (take_word(r, "None")) {
        return true;
    }
    if (take_word(r, "True") || take_word(r, "False")) {
        *out = mg_value_of_bool(r->text.data[r->at - 2] == 'u');
        return true;
    }
    return read_number(r, out);
}

bool mg_python_literal(mg_str text, mg_arena *arena, mg_value *value_out)
{
    *value_out = mg_value_null;
    if (!mg_utf8_valid(text)) {
        return false;
    }
    reader r = { .text = text, .arena = arena };
    stack s = { 0 };
    mg_value value;
    bool ok = read_value(&r, &value);
    skip_space(&r);
    if (ok && peek(&r) == ',') {
        /* A tuple without parentheses. */
        push(&s, &value);
        while (ok && peek(&r) == ',') {
            r.at++;
            skip_space(&r);
            if (peek(&r) < 0 || peek(&r) == '\n') {
                break;
            }
            ok = read_value(&r, &value);
            push(&s, &value);
            skip_space(&r);
        }
        value = close_list(&r, &s);
    }
    mg_free(s.items);
    while (peek(&r) == '\n' || peek(&r) == '\r' || peek(&r) == ' ' || peek(&r) == '\t') {
        r.at++;
    }
    if (!ok || r.at < text.size) {
        return false;
    }
    *value_out = value;
    return true;
}
