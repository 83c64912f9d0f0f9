/* text/yaml_write.c - document trees as YAML in block style.
 *
 * Layout as PyYAML's dump: lists under a key are not indented further, maps inside lists begin on
 * the dash's line.  A string is written plain only where YAML 1.1 and 1.2 readers both take it for
 * the same string; else in single quotes, or in double quotes when it needs escapes. */
#include "text/yaml.h"

#include "text/utf8.h"
#include "text/yaml_internal.h"

#include <math.h>

static void write_block(mg_buf *buf, const mg_value *value, int depth, bool in_list);

static void write_indent(mg_buf *buf, int depth)
{
    for (int i = 0; i < depth; i++) {
        mg_buf_add_text(buf, "  ");
    }
}

static void write_double(mg_buf *buf, double number)
{
    if (isnan(number)) {
        mg_buf_add_text(buf, ".nan");
        return;
    }
    if (isinf(number)) {
        mg_buf_add_text(buf, number > 0 ? ".inf" : "-.inf");
        return;
    }
    size_t begin = buf->size;
    mg_buf_add_double(buf, number);
    mg_str text = mg_str_slice(mg_buf_view(buf), begin, buf->size);
    int64_t exponent = mg_str_find(text, mg_str_of("e"), 0);
    if (exponent >= 0 && mg_str_find(text, mg_str_of("."), 0) < 0) {
        /* YAML 1.1 takes 1e-05 for a string: 1.0e-05. */
        char tail[32] = { 0 };
        size_t tail_bytes = MG_MIN(text.size - (size_t)exponent, sizeof(tail) - 1);
        memcpy(tail, text.data + exponent, tail_bytes);
        buf->size = begin + (size_t)exponent;
        mg_buf_add_text(buf, ".0");
        mg_buf_add_text(buf, tail);
    }
}

static bool needs_escape(mg_str text)
{
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (c < 0x20 || c == 0x7F || c == 0xFEFF || !(c == ' ' || mg_unicode_is_printable(c))) {
            return true;
        }
    }
    return false;
}

/* Looks like a number, so that some reader may take it for one. */
static bool number_like(mg_str text)
{
    double number;
    char first = text.data[0];
    return mg_str_to_double(text, &number) || mg_yaml_is_timestamp(text) ||
           (first >= '0' && first <= '9' && mg_str_find(text, mg_str_of(":"), 0) >= 0) ||
           mg_str_starts(text, "0x") || mg_str_starts(text, "0o") || mg_str_starts(text, "0b");
}

static bool plain_is_safe(mg_str text)
{
    static const char indicators[] = "-?:,[]{}#&*!|>'\"%@`=~";
    if (text.size == 0 || strchr(indicators, text.data[0]) != NULL || number_like(text)) {
        return false;
    }
    mg_value resolved = { .kind = MG_STRING, .string = text };
    mg_yaml_resolve(&resolved);
    if (resolved.kind != MG_STRING || mg_str_is(text, "y") || mg_str_is(text, "n") ||
        mg_str_is(text, "Y") || mg_str_is(text, "N") || mg_str_is(text, "<<") ||
        mg_str_starts(text, "...")) {
        return false;
    }
    if (text.data[text.size - 1] == ' ' || text.data[0] == ' ' || text.data[text.size - 1] == ':') {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        bool before_blank = i + 1 < text.size && text.data[i + 1] == ' ';
        bool behind_blank = i > 0 && text.data[i - 1] == ' ';
        if (strchr(",[]{}", text.data[i]) != NULL || (text.data[i] == ':' && before_blank) ||
            (text.data[i] == '#' && behind_blank)) {
            return false;
        }
    }
    return true;
}

static void write_double_quoted(mg_buf *buf, mg_str text)
{
    mg_buf_add_char(buf, '"');
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (c == '"' || c == '\\') {
            mg_buf_printf(buf, "\\%c", (char)c);
        } else if (c == '\n') {
            mg_buf_add_text(buf, "\\n");
        } else if (c == '\t') {
            mg_buf_add_text(buf, "\\t");
        } else if (c == '\r') {
            mg_buf_add_text(buf, "\\r");
        } else if (c == ' ' || (c != 0xFEFF && mg_unicode_is_printable(c))) {
            mg_buf_add(buf, mg_str_slice(text, i, i + bytes));
        } else if (c < 0x100) {
            mg_buf_printf(buf, "\\x%02X", c < 0 ? 0x3Fu : (unsigned)c);
        } else if (c < 0x10000) {
            mg_buf_printf(buf, "\\u%04X", (unsigned)c);
        } else {
            mg_buf_printf(buf, "\\U%08X", (unsigned)c);
        }
    }
    mg_buf_add_char(buf, '"');
}

static void write_string(mg_buf *buf, mg_str text)
{
    if (needs_escape(text)) {
        write_double_quoted(buf, text);
        return;
    }
    if (plain_is_safe(text)) {
        mg_buf_add(buf, text);
        return;
    }
    mg_buf_add_char(buf, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'') {
            mg_buf_add_char(buf, '\'');
        }
        mg_buf_add_char(buf, text.data[i]);
    }
    mg_buf_add_char(buf, '\'');
}

static void write_scalar(mg_buf *buf, const mg_value *value)
{
    if (value->tag.size > 0) {
        mg_buf_add(buf, value->tag);
        mg_buf_add_char(buf, ' ');
    }
    switch (value->kind) {
    case MG_BOOL:
        mg_buf_add_text(buf, value->boolean ? "true" : "false");
        return;
    case MG_INT:
        mg_buf_printf(buf, "%lld", (long long)value->integer);
        return;
    case MG_FLOAT:
        write_double(buf, value->number);
        return;
    case MG_STRING:
        write_string(buf, value->string);
        return;
    default:
        mg_buf_add_text(buf, "null");
        return;
    }
}

static bool is_flow(const mg_value *value)
{
    if (value->kind == MG_MAP) {
        return value->count == 0;
    }
    for (int64_t i = 0; value->kind == MG_LIST && i < value->count; i++) {
        mg_kind kind = value->items[i].kind;
        if (kind != MG_INT && kind != MG_FLOAT && kind != MG_BOOL) {
            return false;
        }
    }
    return true;
}

static void write_flow(mg_buf *buf, const mg_value *value)
{
    if (value->kind == MG_MAP) {
        mg_buf_add_text(buf, "{}");
        return;
    }
    if (value->kind != MG_LIST) {
        write_scalar(buf, value);
        return;
    }
    mg_buf_add_char(buf, '[');
    for (int64_t i = 0; i < value->count; i++) {
        if (i > 0) {
            mg_buf_add_text(buf, ", ");
        }
        write_scalar(buf, &value->items[i]);
    }
    mg_buf_add_char(buf, ']');
}

/* An entry's value behind "key:". */
static void write_entry_value(mg_buf *buf, const mg_value *value, int depth)
{
    if (is_flow(value)) {
        mg_buf_add_char(buf, ' ');
        write_flow(buf, value);
        mg_buf_add_char(buf, '\n');
        return;
    }
    mg_buf_add_char(buf, '\n');
    write_block(buf, value, value->kind == MG_LIST ? depth : depth + 1, false);
}

/* The lines of a block list or map.  in_list: the first line continues one that ends in "- ". */
static void write_block(mg_buf *buf, const mg_value *value, int depth, bool in_list)
{
    for (int64_t i = 0; i < value->count; i++) {
        if (i > 0 || !in_list) {
            write_indent(buf, depth);
        }
        if (value->kind == MG_MAP) {
            write_scalar(buf, &value->entries[i].key);
            mg_buf_add_char(buf, ':');
            write_entry_value(buf, &value->entries[i].value, depth);
        } else if (is_flow(&value->items[i])) {
            mg_buf_add_text(buf, "- ");
            write_flow(buf, &value->items[i]);
            mg_buf_add_char(buf, '\n');
        } else {
            mg_buf_add_text(buf, "- ");
            write_block(buf, &value->items[i], depth + 1, true);
        }
    }
}

void mg_yaml_write(mg_buf *buf, const mg_value *value)
{
    if (is_flow(value)) {
        write_flow(buf, value);
        mg_buf_add_char(buf, '\n');
        return;
    }
    write_block(buf, value, 0, false);
}
