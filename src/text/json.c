/* text/json.c - a recursive-descent JSON reader and a writer in the form of Python's json.dumps.
 *
 * Why not jansson, which the tests compare this reader with: it knows neither the place of a value,
 * nor NaN and Infinity (which Mamba configurations and Python's json.dumps write), nor integers
 * beyond 64 bits, and copying its tree into ours would double time and memory of a 17 MB
 * tokenizer.json.
 *
 * One pass over the text.  The items of open lists and maps wait on a stack shared by all levels
 * and move to the arena when their bracket closes, so nothing is sized in advance.  Line and column
 * are counted forward from the last place asked for, which keeps files of one long line linear.
 * Integers beyond 64 bits become floats.  A lone surrogate escape has no UTF-8 form and is an
 * error. */
#include "text/json.h"

#include "base/fs.h"
#include "base/map.h"
#include "base/memory.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>

/* Maps with more entries than this are searched for duplicate keys through a hash. */
#define LINEAR_KEYS_MAX 16

typedef struct parser {
    mg_str text;
    const char *name;
    mg_arena *arena;
    mg_error *err;
    size_t at; /* next byte */
    int depth;
    /* The place that line and column describe. */
    size_t counted;
    int32_t line;
    int32_t column;
    mg_value *stack; /* items of open lists; keys and values of open maps, in turn */
    int64_t stack_count;
    int64_t stack_cap;
    mg_buf scratch; /* a string with escapes */
} parser;

static mg_status parse_value(parser *p, mg_value *value_out);

static void count_to(parser *p, size_t offset)
{
    while (p->counted < offset) {
        unsigned char c = (unsigned char)p->text.data[p->counted++];
        if (c == '\n') {
            p->line++;
            p->column = 1;
        } else if ((c & 0xC0) != 0x80) {
            p->column++;
        }
    }
}

static mg_status fail_at(parser *p, size_t offset, const char *what)
{
    if (offset > p->counted) {
        count_to(p, offset);
    }
    return mg_fail(p->err, MG_ERR_FORMAT, "%s:%d:%d: %s", p->name, (int)p->line, (int)p->column,
                   what);
}

static void skip_space(parser *p)
{
    while (p->at < p->text.size) {
        char c = p->text.data[p->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
            return;
        }
        p->at++;
    }
}

static int peek(const parser *p)
{
    return p->at < p->text.size ? (unsigned char)p->text.data[p->at] : -1;
}

static void push(parser *p, const mg_value *value)
{
    if (p->stack_count == p->stack_cap) {
        p->stack_cap = p->stack_cap == 0 ? 64 : p->stack_cap * 2;
        p->stack = (mg_value *)mg_memory_resize(p->stack, p->stack_cap, sizeof(mg_value));
    }
    p->stack[p->stack_count++] = *value;
}

static int hex4(const parser *p, size_t at)
{
    if (p->text.size - at < 4) {
        return -1;
    }
    int value = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = p->text.data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* \uXXXX at p->at (behind the u), with the second half of a surrogate pair. */
static mg_status parse_unicode_escape(parser *p)
{
    int c = hex4(p, p->at);
    if (c < 0) {
        return fail_at(p, p->at, "expected four hexadecimal digits behind \\u");
    }
    p->at += 4;
    if (c >= 0xDC00 && c <= 0xDFFF) {
        return fail_at(p, p->at - 6, "unpaired surrogate");
    }
    if (c >= 0xD800 && c <= 0xDBFF) {
        bool escape = p->text.size - p->at >= 6 && p->text.data[p->at] == '\\' &&
                      p->text.data[p->at + 1] == 'u';
        int low = escape ? hex4(p, p->at + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF) {
            return fail_at(p, p->at - 6, "unpaired surrogate");
        }
        p->at += 6;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    char bytes[4];
    size_t size = mg_utf8_encode(c, bytes);
    mg_buf_add(&p->scratch, mg_str_make(bytes, size));
    return MG_OK;
}

static mg_status parse_escape(parser *p)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    if (c == 'u') {
        p->at++;
        return parse_unicode_escape(p);
    }
    const char *found = c > 0 ? strchr(names, c) : NULL;
    if (found == NULL) {
        return fail_at(p, p->at, "unknown escape in a string");
    }
    mg_buf_add_char(&p->scratch, values[found - names]);
    p->at++;
    return MG_OK;
}

/* The string whose opening quote is at p->at. */
static mg_status parse_string(parser *p, mg_str *string_out)
{
    size_t open = p->at++;
    size_t begin = p->at;
    bool escapes = false;
    for (;;) {
        int c = peek(p);
        if (c < 0) {
            return fail_at(p, open, "string without an end");
        }
        if (c < 0x20) {
            return fail_at(p, p->at, "control character in a string, expected an escape");
        }
        if (c != '"' && c != '\\') {
            p->at++;
            continue;
        }
        mg_str piece = mg_str_slice(p->text, begin, p->at++);
        if (c == '"' && !escapes) {
            *string_out = mg_arena_copy(p->arena, piece);
            return MG_OK;
        }
        if (!escapes) {
            mg_buf_clear(&p->scratch);
            escapes = true;
        }
        mg_buf_add(&p->scratch, piece);
        if (c == '"') {
            *string_out = mg_arena_copy(p->arena, mg_buf_view(&p->scratch));
            return MG_OK;
        }
        MG_TRY(parse_escape(p));
        begin = p->at;
    }
}

static bool take_word(parser *p, const char *word)
{
    size_t size = strlen(word);
    if (p->text.size - p->at < size || memcmp(p->text.data + p->at, word, size) != 0) {
        return false;
    }
    p->at += size;
    return true;
}

static void take_digits(parser *p)
{
    while (peek(p) >= '0' && peek(p) <= '9') {
        p->at++;
    }
}

static mg_status parse_number(parser *p, mg_value *value_out)
{
    size_t begin = p->at;
    bool negative = peek(p) == '-';
    p->at += negative ? 1 : 0;
    if (negative && take_word(p, "Infinity")) {
        value_out->kind = MG_FLOAT;
        value_out->number = -(double)INFINITY;
        return MG_OK;
    }
    size_t digits = p->at;
    take_digits(p);
    size_t digit_count = p->at - digits;
    if (digit_count == 0 || (digit_count > 1 && p->text.data[digits] == '0')) {
        return fail_at(p, begin, "not a number");
    }
    bool integral = true;
    if (peek(p) == '.') {
        integral = false;
        p->at++;
        size_t fraction = p->at;
        take_digits(p);
        if (p->at == fraction) {
            return fail_at(p, begin, "number without digits behind its point");
        }
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        integral = false;
        p->at++;
        p->at += peek(p) == '+' || peek(p) == '-' ? 1 : 0;
        size_t exponent = p->at;
        take_digits(p);
        if (p->at == exponent) {
            return fail_at(p, begin, "number without digits in its exponent");
        }
    }
    mg_str number = mg_str_slice(p->text, begin, p->at);
    if (integral && mg_str_to_int(number, &value_out->integer)) {
        value_out->kind = MG_INT;
        return MG_OK;
    }
    value_out->kind = MG_FLOAT;
    /* The syntax is right, so only the range can be wrong: Python reads that as infinity or zero.
     */
    char *copy = mg_str_dup(number);
    value_out->number = strtod(copy, NULL);
    mg_free(copy);
    return MG_OK;
}

static mg_status parse_list(parser *p, mg_value *value_out)
{
    int64_t base = p->stack_count;
    value_out->kind = MG_LIST;
    p->at++;
    skip_space(p);
    if (peek(p) == ']') {
        p->at++;
        return MG_OK;
    }
    for (;;) {
        mg_value item;
        MG_TRY(parse_value(p, &item));
        push(p, &item);
        skip_space(p);
        int c = peek(p);
        if (c != ',' && c != ']') {
            return fail_at(p, p->at, "expected ',' or ']' in a list");
        }
        p->at++;
        if (c == ']') {
            break;
        }
    }
    value_out->count = p->stack_count - base;
    value_out->items = mg_arena_array(p->arena, mg_value, value_out->count);
    memcpy(value_out->items, p->stack + base, (size_t)value_out->count * sizeof(mg_value));
    p->stack_count = base;
    return MG_OK;
}

/* Moves the entries above base to the arena; a duplicate key keeps its first place and last value.
 */
static void close_map(parser *p, int64_t base, mg_value *value_out)
{
    int64_t count = (p->stack_count - base) / 2;
    mg_entry *entries = mg_arena_array(p->arena, mg_entry, count);
    for (int64_t i = 0; i < count; i++) {
        entries[i].key = p->stack[base + 2 * i];
        entries[i].value = p->stack[base + 2 * i + 1];
    }
    mg_map seen = { 0 };
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        mg_str key = entries[i].key.string;
        int64_t earlier = -1;
        if (count > LINEAR_KEYS_MAX) {
            earlier = mg_map_get(&seen, key, -1);
        } else {
            for (int64_t j = 0; j < kept && earlier < 0; j++) {
                earlier = mg_str_equal(entries[j].key.string, key) ? j : -1;
            }
        }
        if (earlier >= 0) {
            entries[earlier].value = entries[i].value;
            continue;
        }
        if (count > LINEAR_KEYS_MAX) {
            (void)mg_map_set(&seen, key, kept);
        }
        entries[kept++] = entries[i];
    }
    mg_map_release(&seen);
    value_out->count = kept;
    value_out->entries = entries;
    p->stack_count = base;
}

static mg_status parse_map(parser *p, mg_value *value_out)
{
    int64_t base = p->stack_count;
    value_out->kind = MG_MAP;
    p->at++;
    skip_space(p);
    if (peek(p) == '}') {
        p->at++;
        return MG_OK;
    }
    for (;;) {
        mg_value key = mg_value_null;
        mg_value value;
        skip_space(p);
        if (peek(p) != '"') {
            return fail_at(p, p->at, "expected a key in double quotes");
        }
        count_to(p, p->at);
        key.kind = MG_STRING;
        key.line = p->line;
        key.column = p->column;
        MG_TRY(parse_string(p, &key.string));
        skip_space(p);
        if (peek(p) != ':') {
            return fail_at(p, p->at, "expected ':' behind a key");
        }
        p->at++;
        MG_TRY(parse_value(p, &value));
        push(p, &key);
        push(p, &value);
        skip_space(p);
        int c = peek(p);
        if (c != ',' && c != '}') {
            return fail_at(p, p->at, "expected ',' or '}' in a map");
        }
        p->at++;
        if (c == '}') {
            break;
        }
    }
    close_map(p, base, value_out);
    return MG_OK;
}

static mg_status parse_word(parser *p, mg_value *value_out)
{
    if (take_word(p, "null")) {
        return MG_OK;
    }
    if (take_word(p, "true")) {
        value_out->kind = MG_BOOL;
        value_out->boolean = true;
        return MG_OK;
    }
    if (take_word(p, "false")) {
        value_out->kind = MG_BOOL;
        return MG_OK;
    }
    if (take_word(p, "NaN")) {
        value_out->kind = MG_FLOAT;
        value_out->number = (double)NAN;
        return MG_OK;
    }
    if (take_word(p, "Infinity")) {
        value_out->kind = MG_FLOAT;
        value_out->number = (double)INFINITY;
        return MG_OK;
    }
    return fail_at(p, p->at,
                   p->at == p->text.size ? "the text ends where a value is expected"
                                         : "expected a value");
}

static mg_status parse_value(parser *p, mg_value *value_out)
{
    skip_space(p);
    *value_out = mg_value_null;
    count_to(p, p->at);
    value_out->line = p->line;
    value_out->column = p->column;
    int c = peek(p);
    switch (c) {
    case '"':
        value_out->kind = MG_STRING;
        return parse_string(p, &value_out->string);
    case '[':
    case '{': {
        if (++p->depth > MG_JSON_DEPTH_MAX) {
            return fail_at(p, p->at, "lists and maps are nested too deeply");
        }
        mg_status status = c == '[' ? parse_list(p, value_out) : parse_map(p, value_out);
        p->depth--;
        return status;
    }
    default:
        return c == '-' || (c >= '0' && c <= '9') ? parse_number(p, value_out)
                                                  : parse_word(p, value_out);
    }
}

static mg_status check_utf8(parser *p)
{
    size_t bytes;
    if (mg_utf8_valid(p->text)) {
        return MG_OK;
    }
    for (size_t i = 0;; i += bytes) {
        if (mg_utf8_decode(p->text, i, &bytes) < 0) {
            return fail_at(p, i, "not valid UTF-8");
        }
    }
}

mg_status mg_json_parse_line(mg_str text, const char *name, int64_t number, mg_arena *arena,
                             mg_value *value_out, mg_error *err)
{
    *value_out = mg_value_null;
    mg_status status = MG_OK;
    parser p = { .text = text, .name = name, .arena = arena, .err = err, .column = 1 };
    p.line = (int32_t)MG_MIN(number, INT32_MAX / 2);
    if (mg_str_starts(text, "\xEF\xBB\xBF")) {
        p.at = 3;
        p.counted = 3;
    }
    MG_TRY_OR_DONE(check_utf8(&p));
    MG_TRY_OR_DONE(parse_value(&p, value_out));
    skip_space(&p);
    if (p.at < text.size) {
        status = fail_at(&p, p.at, "more text behind the value");
    }

done:
    if (status != MG_OK) {
        *value_out = mg_value_null;
    }
    mg_buf_release(&p.scratch);
    mg_free(p.stack);
    return status;
}

mg_status mg_json_parse(mg_str text, const char *name, mg_arena *arena, mg_value *value_out,
                        mg_error *err)
{
    return mg_json_parse_line(text, name, 1, arena, value_out, err);
}

mg_status mg_json_read(const char *path, size_t bytes_max, mg_arena *arena, mg_value *value_out,
                       mg_error *err)
{
    *value_out = mg_value_null;
    mg_bytes bytes = { 0 };
    MG_TRY(mg_file_read(path, bytes_max, &bytes, err));
    mg_status status = mg_json_parse(mg_str_make((const char *)bytes.data, bytes.size), path, arena,
                                     value_out, err);
    mg_bytes_release(&bytes);
    return status;
}

/* Writing. */

void mg_json_write_str(mg_buf *buf, mg_str text, bool ascii)
{
    mg_buf_add_char(buf, '"');
    size_t begin = 0;
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        unsigned char first = (unsigned char)text.data[i];
        bytes = 1;
        if (first >= 0x20 && first != '"' && first != '\\' && (first < 0x7F || !ascii)) {
            continue;
        }
        int32_t c = mg_utf8_decode(text, i, &bytes);
        mg_buf_add(buf, mg_str_slice(text, begin, i));
        begin = i + bytes;
        static const char named[] = "\"\\\n\r\t\f\b";
        static const char letters[] = "\"\\nrtfb";
        const char *found = c > 0 && c < 0x80 ? strchr(named, c) : NULL;
        if (found != NULL) {
            mg_buf_add_char(buf, '\\');
            mg_buf_add_char(buf, letters[found - named]);
        } else if (c >= 0x10000) {
            mg_buf_printf(buf, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((c - 0x10000) >> 10)),
                          (unsigned)(0xDC00 + ((c - 0x10000) & 0x3FF)));
        } else {
            mg_buf_printf(buf, "\\u%04x", c < 0 ? 0xFFFDu : (unsigned)c);
        }
    }
    mg_buf_add(buf, mg_str_slice(text, begin, text.size));
    mg_buf_add_char(buf, '"');
}

static void write_double(mg_buf *buf, double number)
{
    if (isnan(number)) {
        mg_buf_add_text(buf, "NaN");
    } else if (isinf(number)) {
        mg_buf_add_text(buf, number > 0 ? "Infinity" : "-Infinity");
    } else {
        mg_buf_add_double(buf, number);
    }
}

static void write_key(mg_buf *buf, const mg_value *key, bool ascii)
{
    if (key->kind == MG_STRING) {
        mg_json_write_str(buf, key->string, ascii);
        return;
    }
    /* Python turns other keys into strings; lists and maps cannot be keys. */
    mg_json_style plain = { .ascii = ascii };
    mg_buf_add_char(buf, '"');
    mg_json_write(buf, key, &plain);
    mg_buf_add_char(buf, '"');
}

static int compare_keys(const void *a, const void *b)
{
    const mg_entry *x = *(const mg_entry *const *)a;
    const mg_entry *y = *(const mg_entry *const *)b;
    return mg_str_compare(x->key.string, y->key.string);
}

typedef struct writer {
    mg_buf *buf;
    const mg_json_style *style;
    mg_str item_separator;
    mg_str key_separator;
    mg_str indent;
    bool lines;
} writer;

static void write_value(const writer *w, const mg_value *value, int depth);

static void write_break(const writer *w, int depth)
{
    if (w->lines) {
        mg_buf_add_char(w->buf, '\n');
        for (int i = 0; i < depth; i++) {
            mg_buf_add(w->buf, w->indent);
        }
    }
}

static void write_map(const writer *w, const mg_value *value, int depth)
{
    const mg_entry **order = mg_new_array(const mg_entry *, value->count + 1);
    for (int64_t i = 0; i < value->count; i++) {
        order[i] = &value->entries[i];
    }
    if (w->style->sorted) {
        qsort(order, (size_t)value->count, sizeof(*order), compare_keys);
    }
    mg_buf_add_char(w->buf, '{');
    for (int64_t i = 0; i < value->count; i++) {
        if (i > 0) {
            mg_buf_add(w->buf, w->item_separator);
        }
        write_break(w, depth + 1);
        write_key(w->buf, &order[i]->key, w->style->ascii);
        mg_buf_add(w->buf, w->key_separator);
        write_value(w, &order[i]->value, depth + 1);
    }
    write_break(w, depth);
    mg_buf_add_char(w->buf, '}');
    mg_free(order);
}

static void write_value(const writer *w, const mg_value *value, int depth)
{
    switch (value->kind) {
    case MG_NULL:
        mg_buf_add_text(w->buf, "null");
        return;
    case MG_BOOL:
        mg_buf_add_text(w->buf, value->boolean ? "true" : "false");
        return;
    case MG_INT:
        mg_buf_printf(w->buf, "%lld", (long long)value->integer);
        return;
    case MG_FLOAT:
        write_double(w->buf, value->number);
        return;
    case MG_STRING:
        mg_json_write_str(w->buf, value->string, w->style->ascii);
        return;
    case MG_LIST:
        if (value->count == 0) {
            mg_buf_add_text(w->buf, "[]");
            return;
        }
        mg_buf_add_char(w->buf, '[');
        for (int64_t i = 0; i < value->count; i++) {
            if (i > 0) {
                mg_buf_add(w->buf, w->item_separator);
            }
            write_break(w, depth + 1);
            write_value(w, &value->items[i], depth + 1);
        }
        write_break(w, depth);
        mg_buf_add_char(w->buf, ']');
        return;
    case MG_MAP:
        if (value->count == 0) {
            mg_buf_add_text(w->buf, "{}");
            return;
        }
        write_map(w, value, depth);
        return;
    }
}

void mg_json_write(mg_buf *buf, const mg_value *value, const mg_json_style *style)
{
    static const mg_json_style plain = { 0 };
    static const char blanks[] = "                ";
    writer w = { .buf = buf, .style = style == NULL ? &plain : style };
    int indent = MG_MIN(w.style->indent, (int)sizeof(blanks) - 1);
    w.lines = indent > 0 || w.style->indent_text != NULL;
    w.indent = w.style->indent_text != NULL ? mg_str_of(w.style->indent_text)
                                            : mg_str_make(blanks, (size_t)MG_MAX(indent, 0));
    bool tight = w.style->compact;
    w.item_separator = w.style->item_separator != NULL ? mg_str_of(w.style->item_separator)
                                                       : mg_str_of(tight || w.lines ? "," : ", ");
    w.key_separator = w.style->key_separator != NULL ? mg_str_of(w.style->key_separator)
                                                     : mg_str_of(tight ? ":" : ": ");
    write_value(&w, value, 0);
}
