/* text/template_lex.c - splits a Jinja template into tokens.
 *
 * Text between tags is trimmed here, so that later stages see only what will be printed:
 *   - "-" at a tag's edge removes all white space on that side, "+" keeps it;
 *   - in the chat profile a block tag or comment at the start of a line takes the blanks before it
 *     away (lstrip_blocks), and the newline behind its end (trim_blocks).
 * Line ends are normalised to "\n" first; the task profile keeps the last one. */
#include "text/template_internal.h"

#include "base/memory.h"
#include "text/utf8.h"

#include <stdlib.h>

typedef struct lexer {
    mg_template *t;
    mg_str source;
    size_t at;
    /* The place that line and column describe. */
    size_t counted;
    int32_t line;
    int32_t column;
    bool line_starting; /* the text at `at` begins a line */
    mg_ttokens *tokens;
    mg_error *err;
} lexer;

static void count_to(lexer *x, size_t offset)
{
    while (x->counted < offset) {
        unsigned char c = (unsigned char)x->source.data[x->counted++];
        if (c == '\n') {
            x->line++;
            x->column = 1;
        } else if ((c & 0xC0) != 0x80) {
            x->column++;
        }
    }
}

static mg_status fail_at(lexer *x, size_t offset, const char *what)
{
    if (offset < x->counted) {
        x->counted = 0;
        x->line = 1;
        x->column = 1;
    }
    count_to(x, offset);
    return mg_fail(x->err, MG_ERR_FORMAT, "%s:%d:%d: %s", x->t->name, (int)x->line, (int)x->column,
                   what);
}

static mg_ttoken *add_token(lexer *x, mg_ttoken_kind kind, size_t offset)
{
    mg_ttokens *tokens = x->tokens;
    if (tokens->count == tokens->cap) {
        tokens->cap = tokens->cap == 0 ? 64 : tokens->cap * 2;
        tokens->items =
            (mg_ttoken *)mg_memory_resize(tokens->items, tokens->cap, sizeof(mg_ttoken));
    }
    mg_ttoken *token = &tokens->items[tokens->count++];
    memset(token, 0, sizeof(*token));
    count_to(x, offset);
    token->kind = kind;
    token->line = x->line;
    token->column = x->column;
    return token;
}

static int peek_at(const lexer *x, size_t offset)
{
    return offset < x->source.size ? (unsigned char)x->source.data[offset] : -1;
}

static bool has(const lexer *x, size_t offset, const char *text)
{
    size_t size = strlen(text);
    return offset + size <= x->source.size && memcmp(x->source.data + offset, text, size) == 0;
}

static size_t skip_space(const lexer *x, size_t offset)
{
    size_t bytes;
    while (offset < x->source.size &&
           mg_unicode_is_python_space(mg_utf8_decode(x->source, offset, &bytes))) {
        offset += bytes;
    }
    return offset;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* The text before a tag, with what its opening edge takes away. */
static void add_text(lexer *x, size_t begin, size_t end, int sign, bool is_print)
{
    mg_str text = mg_str_slice(x->source, begin, end);
    if (sign == '-') {
        text = mg_unicode_trim(text, false, true);
    } else if (sign != '+' && !is_print && x->t->profile == MG_TEMPLATE_CHAT) {
        size_t line = text.size;
        while (line > 0 && text.data[line - 1] != '\n') {
            line--;
        }
        mg_str blanks = mg_str_slice(text, line, text.size);
        if ((line > 0 || x->line_starting) && mg_unicode_trim(blanks, true, false).size == 0) {
            text = mg_str_slice(text, 0, line);
        }
    }
    if (text.size > 0) {
        add_token(x, MG_TOKEN_TEXT, begin)->text = text;
    }
}

/* Moves behind the end of a block tag or comment at x->at: sign, mark of mark_bytes, then what the
 * closing edge takes away. */
static void end_tag(lexer *x, int sign, size_t mark_bytes)
{
    x->at += mark_bytes + (sign == '-' || sign == '+' ? 1u : 0u);
    x->line_starting = false;
    if (sign == '-') {
        size_t begin = x->at;
        x->at = skip_space(x, x->at);
        x->line_starting = x->at > begin && x->source.data[x->at - 1] == '\n';
    } else if (sign != '+' && x->t->profile == MG_TEMPLATE_CHAT && peek_at(x, x->at) == '\n') {
        x->at++;
        x->line_starting = true;
    }
}

static int sign_at(const lexer *x, size_t offset)
{
    int c = peek_at(x, offset);
    return c == '-' || c == '+' ? c : 0;
}

/* "{#" at begin. */
static mg_status lex_comment(lexer *x, size_t begin)
{
    int64_t end = mg_str_find(x->source, mg_str_of("#}"), begin + 2);
    if (end < 0) {
        return fail_at(x, begin, "comment without an end");
    }
    x->at = (size_t)end;
    int sign = sign_at(x, x->at - 1);
    if (sign != 0 && x->at - 1 >= begin + 2) {
        x->at--;
    } else {
        sign = 0;
    }
    end_tag(x, sign, 2);
    return MG_OK;
}

/* "{% word %}" at offset with any signs; returns the offset behind "word" and its blanks, or 0. */
static size_t match_word_tag(const lexer *x, size_t offset, const char *word)
{
    if (!has(x, offset, "{%")) {
        return 0;
    }
    offset += 2;
    offset += sign_at(x, offset) != 0 ? 1 : 0;
    offset = skip_space(x, offset);
    if (!has(x, offset, word)) {
        return 0;
    }
    return skip_space(x, offset + strlen(word));
}

/* The text of {% raw %} whose closing edge begins at x->at. */
static mg_status lex_raw(lexer *x, size_t begin)
{
    int sign = sign_at(x, x->at);
    x->at += sign != 0 ? 3 : 2;
    if (sign == '-') {
        x->at = skip_space(x, x->at);
    }
    x->line_starting = x->source.data[x->at - 1] == '\n';
    size_t text = x->at;
    for (size_t i = text; i < x->source.size; i++) {
        size_t end = match_word_tag(x, i, "endraw");
        int end_sign = end > 0 ? sign_at(x, end) : 0;
        if (end == 0 || !has(x, end + (end_sign != 0 ? 1 : 0), "%}")) {
            continue;
        }
        add_text(x, text, i, sign_at(x, i + 2), false);
        x->at = end;
        end_tag(x, end_sign, 2);
        return MG_OK;
    }
    return fail_at(x, begin, "'raw' without 'endraw'");
}

static int hex_value(int c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* \xHH, \uHHHH or \UHHHHHHHH whose digits begin at offset. */
static mg_status hex_escape(lexer *x, size_t offset, size_t digits, mg_buf *buf)
{
    int64_t c = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = hex_value(peek_at(x, offset + i));
        if (value < 0) {
            return fail_at(x, offset, "expected hexadecimal digits in an escape");
        }
        c = c * 16 + value;
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return fail_at(x, offset, "an escape that is no Unicode character");
    }
    char bytes[4];
    mg_buf_add(buf, mg_str_make(bytes, mg_utf8_encode((int32_t)c, bytes)));
    return MG_OK;
}

/* One escape of a string; *at is behind the backslash. */
static mg_status lex_escape(lexer *x, size_t *at, mg_buf *buf)
{
    static const char names[] = "\\'\"abfnrtv";
    static const char values[] = "\\'\"\a\b\f\n\r\t\v";
    int c = peek_at(x, *at);
    const char *found = c > 0 ? strchr(names, c) : NULL;
    if (found != NULL) {
        mg_buf_add_char(buf, values[found - names]);
        *at += 1;
        return MG_OK;
    }
    if (c == '\n') {
        *at += 1; /* the line goes on */
        return MG_OK;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
        size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        MG_TRY(hex_escape(x, *at + 1, digits, buf));
        *at += 1 + digits;
        return MG_OK;
    }
    if (c >= '0' && c <= '7') {
        int32_t code = 0;
        for (int i = 0; i < 3 && peek_at(x, *at) >= '0' && peek_at(x, *at) <= '7'; i++) {
            code = code * 8 + (peek_at(x, *at) - '0');
            *at += 1;
        }
        char bytes[4];
        mg_buf_add(buf, mg_str_make(bytes, mg_utf8_encode(code, bytes)));
        return MG_OK;
    }
    if (c == 'N') {
        return fail_at(x, *at, "characters by name are not supported");
    }
    mg_buf_add_char(buf, '\\'); /* unknown escapes stay */
    return MG_OK;
}

static mg_status lex_string(lexer *x)
{
    mg_status status = MG_OK;
    size_t open = x->at;
    char quote = x->source.data[open];
    mg_buf buf = { 0 };
    size_t at = open + 1;
    for (;;) {
        int c = peek_at(x, at);
        if (c < 0) {
            status = fail_at(x, open, "string without an end");
            goto done;
        }
        at++;
        if (c == quote) {
            break;
        }
        if (c == '\\') {
            MG_TRY_OR_DONE(lex_escape(x, &at, &buf));
        } else {
            mg_buf_add_char(&buf, (char)c);
        }
    }
    mg_ttoken *token = add_token(x, MG_TOKEN_STRING, open);
    token->text = mg_arena_copy(&x->t->arena, mg_buf_view(&buf));
    x->at = at;

done:
    mg_buf_release(&buf);
    return status;
}

/* Digits with single underscores between them; returns the offset behind. */
static size_t skip_digits(const lexer *x, size_t at, int base)
{
    for (;;) {
        size_t digit = at + (peek_at(x, at) == '_' ? 1 : 0);
        int value = hex_value(peek_at(x, digit));
        if (value < 0 || value >= base) {
            return at;
        }
        at = digit + 1;
    }
}

static mg_status lex_integer(lexer *x, size_t begin, size_t end, int base)
{
    int64_t value = 0;
    for (size_t i = begin; i < end; i++) {
        int digit = hex_value(peek_at(x, i));
        if (digit < 0) {
            continue; /* an underscore */
        }
        if (__builtin_mul_overflow(value, (int64_t)base, &value) ||
            __builtin_add_overflow(value, (int64_t)digit, &value)) {
            return fail_at(x, x->at, "integer of more than 64 bits");
        }
    }
    add_token(x, MG_TOKEN_INT, x->at)->integer = value;
    x->at = end;
    return MG_OK;
}

static mg_status lex_number(lexer *x)
{
    int prefix = peek_at(x, x->at) == '0' ? peek_at(x, x->at + 1) | 0x20 : 0;
    int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    if (base != 10) {
        size_t end = skip_digits(x, x->at + 2, base);
        if (end > x->at + 2) {
            return lex_integer(x, x->at + 2, end, base);
        }
    }
    size_t end = skip_digits(x, x->at, 10);
    size_t whole = end;
    /* Behind a point there are only indexes: x.0.1 is (x.0).1. */
    if (x->source.data[x->at - 1] == '.') {
        return lex_integer(x, x->at, end, 10);
    }
    if (peek_at(x, end) == '.' && is_digit(peek_at(x, end + 1))) {
        end = skip_digits(x, end + 1, 10);
    }
    if ((peek_at(x, end) | 0x20) == 'e') {
        size_t exponent = end + 1;
        exponent += sign_at(x, exponent) != 0 ? 1 : 0;
        if (is_digit(peek_at(x, exponent))) {
            end = skip_digits(x, exponent, 10);
        }
    }
    if (end == whole) {
        return lex_integer(x, x->at, end, 10);
    }
    mg_buf digits = { 0 };
    for (size_t i = x->at; i < end; i++) {
        if (x->source.data[i] != '_') {
            mg_buf_add_char(&digits, x->source.data[i]);
        }
    }
    add_token(x, MG_TOKEN_FLOAT, x->at)->number = strtod(digits.data, NULL);
    mg_buf_release(&digits);
    x->at = end;
    return MG_OK;
}

static bool name_begins(int32_t c)
{
    return c == '_' ||
           (c > 0x7F ? mg_unicode_is_letter(c) : (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
}

static void lex_name(lexer *x)
{
    size_t end = x->at;
    size_t bytes;
    while (end < x->source.size) {
        int32_t c = mg_utf8_decode(x->source, end, &bytes);
        if (!name_begins(c) && !is_digit(c) && !(c > 0x7F && mg_unicode_is_word(c))) {
            break;
        }
        end += bytes;
    }
    add_token(x, MG_TOKEN_NAME, x->at)->text = mg_str_slice(x->source, x->at, end);
    x->at = end;
}

static mg_status lex_operator(lexer *x)
{
    static const struct {
        const char *text;
        char op;
    } pairs[] = { { "==", MG_OP_EQUAL },   { "!=", MG_OP_UNEQUAL }, { ">=", MG_OP_AT_LEAST },
                  { "<=", MG_OP_AT_MOST }, { "//", MG_OP_FLOOR },   { "**", MG_OP_POWER } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(pairs); i++) {
        if (has(x, x->at, pairs[i].text)) {
            add_token(x, MG_TOKEN_OPERATOR, x->at)->op = pairs[i].op;
            x->at += 2;
            return MG_OK;
        }
    }
    char c = x->source.data[x->at];
    if (c == '\0' || strchr("+-*/%~[](){}<>=.:|,;", c) == NULL) {
        return fail_at(x, x->at, "unexpected character");
    }
    add_token(x, MG_TOKEN_OPERATOR, x->at)->op = c;
    x->at++;
    return MG_OK;
}

/* The inside of a tag up to its end mark ("}}" or "%}"). */
static mg_status lex_inside(lexer *x, size_t begin, bool is_print)
{
    const char *mark = is_print ? "}}" : "%}";
    char open[MG_TEMPLATE_NESTING_MAX]; /* brackets that wait for their partner */
    int open_count = 0;
    size_t bytes;
    for (;;) {
        x->at = skip_space(x, x->at);
        if (x->at >= x->source.size) {
            return fail_at(x, begin, is_print ? "'{{' without '}}'" : "'{%' without '%}'");
        }
        int c = peek_at(x, x->at);
        /* Inside brackets "}}" closes two maps. */
        if (open_count == 0) {
            int sign = sign_at(x, x->at);
            if (is_print && sign == '+') {
                sign = 0;
            }
            if (has(x, x->at + (sign != 0 ? 1 : 0), mark)) {
                add_token(x, is_print ? MG_TOKEN_PRINT_END : MG_TOKEN_BLOCK_END, x->at);
                bool trims = !is_print || sign == '-';
                if (trims) {
                    end_tag(x, sign, 2);
                } else {
                    x->at += 2;
                    x->line_starting = false;
                }
                return MG_OK;
            }
        }
        if (c == '"' || c == '\'') {
            MG_TRY(lex_string(x));
        } else if (is_digit(c)) {
            MG_TRY(lex_number(x));
        } else if (name_begins(mg_utf8_decode(x->source, x->at, &bytes))) {
            lex_name(x);
        } else {
            if (c == '(' || c == '[' || c == '{') {
                if (open_count == MG_TEMPLATE_NESTING_MAX) {
                    return fail_at(x, x->at, "brackets are nested too deeply");
                }
                open[open_count++] = (char)(c == '(' ? ')' : c == '[' ? ']' : '}');
            } else if (c == ')' || c == ']' || c == '}') {
                if (open_count == 0 || open[open_count - 1] != c) {
                    return fail_at(x, x->at, "a bracket closes that was not opened");
                }
                open_count--;
            }
            MG_TRY(lex_operator(x));
        }
    }
}

/* The offset of the next "{{", "{%" or "{#", or the end. */
static size_t find_tag(const lexer *x)
{
    size_t at = x->at;
    while (at + 1 < x->source.size) {
        const char *brace = (const char *)memchr(x->source.data + at, '{', x->source.size - at - 1);
        if (brace == NULL) {
            break;
        }
        at = (size_t)(brace - x->source.data);
        if (brace[1] == '{' || brace[1] == '%' || brace[1] == '#') {
            return at;
        }
        at++;
    }
    return x->source.size;
}

static mg_status lex_all(lexer *x)
{
    while (x->at < x->source.size) {
        size_t begin = find_tag(x);
        if (begin == x->source.size) {
            add_text(x, x->at, begin, '+', false);
            x->at = begin;
            break;
        }
        char mark = x->source.data[begin + 1];
        int sign = sign_at(x, begin + 2);
        add_text(x, x->at, begin, sign, mark == '{');
        size_t raw = match_word_tag(x, begin, "raw");
        if (raw > 0 && has(x, raw + (sign_at(x, raw) == '-' ? 1 : 0), "%}")) {
            x->at = raw;
            MG_TRY(lex_raw(x, begin));
            continue;
        }
        x->at = begin + 2 + (sign != 0 ? 1 : 0);
        if (mark == '#') {
            MG_TRY(lex_comment(x, begin));
            continue;
        }
        add_token(x, mark == '{' ? MG_TOKEN_PRINT_BEGIN : MG_TOKEN_BLOCK_BEGIN, begin);
        MG_TRY(lex_inside(x, begin, mark == '{'));
    }
    add_token(x, MG_TOKEN_END, x->source.size);
    return MG_OK;
}

/* A copy with "\r\n" and "\r" as "\n". */
static mg_str normalize_newlines(mg_arena *arena, mg_str source)
{
    char *out = mg_arena_array(arena, char, (int64_t)source.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < source.size; i++) {
        if (source.data[i] == '\r') {
            out[size++] = '\n';
            i += i + 1 < source.size && source.data[i + 1] == '\n' ? 1 : 0;
        } else {
            out[size++] = source.data[i];
        }
    }
    return mg_str_make(out, size);
}

mg_status mg_template_lex(mg_template *t, mg_str source, mg_ttokens *tokens_out, mg_error *err)
{
    if (source.size > MG_TEMPLATE_SOURCE_BYTES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: a template of %zu bytes, at most %zu are taken",
                       t->name, source.size, MG_TEMPLATE_SOURCE_BYTES_MAX);
    }
    if (!mg_utf8_valid(source)) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: the template is not valid UTF-8", t->name);
    }
    lexer x = { .t = t, .line = 1, .column = 1, .line_starting = true, .err = err };
    x.tokens = tokens_out;
    x.source = normalize_newlines(&t->arena, source);
    if (t->profile == MG_TEMPLATE_CHAT && mg_str_ends(x.source, "\n")) {
        x.source.size--;
    }
    return lex_all(&x);
}
