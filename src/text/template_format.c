/* text/template_format.c - Python's two ways of formatting: "%d" % x and "{:d}".format(x). */
#include "text/template_internal.h"

#include "text/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WIDTH_MAX 10000
#define PRECISION_MAX 300

/* How one value is laid out; both languages are reduced to it. */
typedef struct layout {
    mg_str fill; /* one character */
    char align;  /* '<' '>' '^' '=' */
    char sign;   /* '-' '+' ' ' */
    bool alternate;
    char grouping; /* ',' or '_' or 0 */
    int64_t width;
    int64_t precision; /* -1 = not given */
    char type;         /* 0 = by the value's kind */
} layout;

static void pad(mg_buf *buf, const layout *l, mg_str sign, mg_str body)
{
    int64_t missing = l->width - mg_utf8_count(sign) - mg_utf8_count(body);
    missing = MG_MAX(missing, 0);
    int64_t left = l->align == '>' ? missing : l->align == '^' ? missing / 2 : 0;
    int64_t middle = l->align == '=' ? missing : 0;
    for (int64_t i = 0; i < left; i++) {
        mg_buf_add(buf, l->fill);
    }
    mg_buf_add(buf, sign);
    for (int64_t i = 0; i < middle; i++) {
        mg_buf_add(buf, l->fill);
    }
    mg_buf_add(buf, body);
    for (int64_t i = left + middle; i < missing; i++) {
        mg_buf_add(buf, l->fill);
    }
}

static void group_digits(mg_buf *out, mg_str digits, char separator, size_t size)
{
    for (size_t i = 0; i < digits.size; i++) {
        if (i > 0 && (digits.size - i) % size == 0) {
            mg_buf_add_char(out, separator);
        }
        mg_buf_add_char(out, digits.data[i]);
    }
}

static const char *sign_text(const layout *l, bool negative)
{
    return negative ? "-" : l->sign == '+' ? "+" : l->sign == ' ' ? " " : "";
}

static void put_int(mg_buf *buf, const layout *l, int64_t value)
{
    char digits[70];
    size_t at = sizeof(digits);
    unsigned base = l->type == 'x' || l->type == 'X' ? 16
                    : l->type == 'o'                 ? 8
                    : l->type == 'b'                 ? 2
                                                     : 10;
    const char *set = l->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    uint64_t rest = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = set[rest % base];
        rest /= base;
    } while (rest > 0);
    mg_buf body = { 0 };
    mg_buf sign = { 0 };
    mg_buf_add_text(&sign, sign_text(l, value < 0));
    if (l->alternate && base != 10) {
        mg_buf_printf(&sign, "0%c", l->type);
    }
    mg_str text = mg_str_make(digits + at, sizeof(digits) - at);
    for (int64_t i = (int64_t)text.size; i < l->precision; i++) {
        mg_buf_add_char(&body, '0');
    }
    if (l->grouping != 0) {
        group_digits(&body, text, l->grouping, base == 10 ? 3 : 4);
    } else {
        mg_buf_add(&body, text);
    }
    pad(buf, l, mg_buf_view(&sign), mg_buf_view(&body));
    mg_buf_release(&body);
    mg_buf_release(&sign);
}

static void put_float(mg_buf *buf, const layout *l, double value)
{
    char text[800];
    bool negative = signbit(value) != 0 && !isnan(value);
    double magnitude = fabs(value);
    bool percent = l->type == '%';
    char type = percent ? 'f' : l->type;
    int precision = (int)(l->precision < 0 ? 6 : MG_MIN(l->precision, PRECISION_MAX));
    magnitude *= percent ? 100.0 : 1.0;
    if (!isfinite(value)) {
        bool upper = type == 'F' || type == 'E' || type == 'G';
        snprintf(text, sizeof(text), "%s",
                 isnan(value) ? (upper ? "NAN" : "nan")
                 : upper      ? "INF"
                              : "inf");
    } else if (type == 'e' || type == 'E') {
        snprintf(text, sizeof(text), type == 'e' ? "%.*e" : "%.*E", precision, magnitude);
    } else if (type == 'g' || type == 'G') {
        snprintf(text, sizeof(text),
                 l->alternate ? (type == 'g' ? "%#.*g" : "%#.*G") : (type == 'g' ? "%.*g" : "%.*G"),
                 precision, magnitude);
    } else {
        snprintf(text, sizeof(text), "%.*f", precision, magnitude);
    }
    mg_buf body = { 0 };
    mg_str digits = mg_str_of(text);
    size_t whole = 0;
    while (whole < digits.size && digits.data[whole] >= '0' && digits.data[whole] <= '9') {
        whole++;
    }
    if (l->grouping != 0 && whole > 0) {
        group_digits(&body, mg_str_slice(digits, 0, whole), l->grouping, 3);
        mg_buf_add(&body, mg_str_slice(digits, whole, digits.size));
    } else {
        mg_buf_add(&body, digits);
    }
    mg_buf_add_text(&body, percent ? "%" : "");
    pad(buf, l, mg_str_of(sign_text(l, negative)), mg_buf_view(&body));
    mg_buf_release(&body);
}

static void put_text(mg_buf *buf, const layout *l, mg_str text)
{
    if (l->precision >= 0) {
        text = mg_str_slice(text, 0, mg_utf8_offset(text, l->precision));
    }
    pad(buf, l, mg_str_of(""), text);
}

/* ---- percent ---- */

typedef struct percent {
    mg_tctx *ctx;
    const mg_tnode *at;
    mg_str format;
    size_t i; /* next byte */
    const mg_tval *values;
    int64_t used;
} percent;

static bool next_value(percent *p, mg_tval *out)
{
    const mg_tval *values = p->values;
    bool tuple = values->kind == MG_T_LIST && values->as.list->style == MG_T_STYLE_TUPLE;
    int64_t count = tuple ? values->as.list->count : 1;
    if (p->used >= count) {
        return mg_tfail(p->ctx, p->at, "not enough arguments for format string");
    }
    *out = tuple ? mg_tlist_item(p->ctx->arena, values->as.list, p->used) : *values;
    p->used++;
    return true;
}

static char at_byte(const percent *p)
{
    return p->i < p->format.size ? p->format.data[p->i] : '\0';
}

/* A width or precision: digits or '*'. */
static bool percent_number(percent *p, int64_t *out)
{
    *out = 0;
    if (at_byte(p) == '*') {
        mg_tval v;
        p->i++;
        return next_value(p, &v) && mg_targ_int(p->ctx, p->at, &v, "a width", 0, out);
    }
    while (at_byte(p) >= '0' && at_byte(p) <= '9') {
        *out = MG_MIN(*out * 10 + (at_byte(p) - '0'), WIDTH_MAX + 1);
        p->i++;
    }
    return true;
}

/* Flags, width and precision behind '%'; key_out is set for %(key). */
static bool percent_layout(percent *p, layout *l, mg_str *key_out)
{
    bool left = false;
    bool zero = false;
    *key_out = mg_str_make(NULL, 0);
    if (at_byte(p) == '(') {
        int64_t end = mg_str_find(p->format, mg_str_of(")"), p->i);
        if (end < 0) {
            return mg_tfail(p->ctx, p->at, "incomplete format key");
        }
        *key_out = mg_str_slice(p->format, p->i + 1, (size_t)end);
        p->i = (size_t)end + 1;
    }
    for (; at_byte(p) != '\0' && strchr("-+ #0", at_byte(p)) != NULL; p->i++) {
        char c = at_byte(p);
        left = left || c == '-';
        zero = zero || c == '0';
        l->alternate = l->alternate || c == '#';
        l->sign = c == '+' || (c == ' ' && l->sign != '+') ? c : l->sign;
    }
    if (!percent_number(p, &l->width)) {
        return false;
    }
    if (l->width < 0) {
        left = true;
        l->width = -l->width;
    }
    if (at_byte(p) == '.') {
        p->i++;
        if (!percent_number(p, &l->precision)) {
            return false;
        }
    }
    while (at_byte(p) != '\0' && strchr("hlL", at_byte(p)) != NULL) {
        p->i++;
    }
    if (l->width > WIDTH_MAX || l->precision > WIDTH_MAX) {
        return mg_tfail_status(p->ctx, p->at, MG_ERR_LIMIT, "a format is too wide");
    }
    l->align = left ? '<' : zero ? '=' : '>';
    l->fill = mg_str_of(zero && !left ? "0" : " ");
    return true;
}

static bool percent_value(percent *p, layout *l, const mg_tval *v, mg_buf *buf)
{
    mg_str text;
    char type = l->type;
    if (type == 's' || type == 'r' || type == 'a') {
        if (type == 's') {
            if (!mg_tstring(p->ctx, p->at, v, &text)) {
                return false;
            }
        } else {
            mg_buf shown = { 0 };
            (void)mg_trepr(p->ctx->arena, &shown, v);
            text = mg_tval_take(p->ctx, &shown).as.string;
        }
        l->align = l->align == '=' ? '>' : l->align;
        l->fill = mg_str_of(" ");
        put_text(buf, l, text);
        return true;
    }
    if (type == 'c') {
        char bytes[4];
        text = v->kind == MG_T_STRING ? v->as.string : mg_str_of("");
        if (v->kind == MG_T_INT && v->as.integer >= 0 && v->as.integer <= 0x10FFFF &&
            !(v->as.integer >= 0xD800 && v->as.integer <= 0xDFFF)) {
            text = mg_str_make(bytes, mg_utf8_encode((int32_t)v->as.integer, bytes));
        }
        if (mg_utf8_count(text) != 1) {
            return mg_tfail(p->ctx, p->at, "%%c requires int or char");
        }
        put_text(buf, l, text);
        return true;
    }
    if (v->kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(p->ctx, p->at, v);
    }
    bool integral = strchr("diuxXo", type) != NULL;
    if (!mg_tval_is_number(v) || (integral && v->kind == MG_T_FLOAT && strchr("xXo", type))) {
        return mg_tfail(p->ctx, p->at, "%%%c format: a number is required, not %s", type,
                        mg_ttype_name(v));
    }
    if (!integral) {
        put_float(buf, l, mg_tval_number(v));
        return true;
    }
    int64_t integer = 0;
    if (v->kind == MG_T_FLOAT) {
        double whole = trunc(v->as.number);
        if (!(fabs(whole) < 9.2e18)) {
            return mg_tfail_status(p->ctx, p->at, MG_ERR_LIMIT, "an integer grows beyond 64 bits");
        }
        integer = (int64_t)whole;
    } else {
        integer = mg_tval_integer(v);
    }
    put_int(buf, l, integer);
    return true;
}

/* One conversion; p->i is behind '%'. */
static bool percent_one(percent *p, mg_buf *buf)
{
    layout l = { .sign = '-', .precision = -1 };
    mg_str key;
    mg_tval v;
    if (!percent_layout(p, &l, &key)) {
        return false;
    }
    l.type = at_byte(p);
    if (l.type == '\0') {
        return mg_tfail(p->ctx, p->at, "incomplete format");
    }
    p->i++;
    if (l.type == '%') {
        mg_buf_add_char(buf, '%');
        return true;
    }
    if (strchr("srcadiuxXoeEfFgG", l.type) == NULL) {
        return mg_tfail(p->ctx, p->at, "unsupported format character '%c'", l.type);
    }
    if (key.data != NULL) {
        if (p->values->kind != MG_T_MAP) {
            return mg_tfail(p->ctx, p->at, "format requires a mapping");
        }
        mg_tval name = mg_tval_str(key);
        int64_t index = mg_tmap_find(p->ctx->arena, p->values->as.map, &name);
        if (index < 0) {
            return mg_tfail(p->ctx, p->at, "the format's key '%.*s' is missing", MG_STR_ARG(key));
        }
        v = mg_tmap_value(p->ctx->arena, p->values->as.map, index);
        p->used = 1;
    } else if (!next_value(p, &v)) {
        return false;
    }
    return percent_value(p, &l, &v, buf);
}

bool mg_tformat_percent(mg_tctx *ctx, const mg_tnode *at, mg_str format, const mg_tval *values,
                        mg_tval *out)
{
    percent p = { .ctx = ctx, .at = at, .format = format, .values = values };
    mg_buf buf = { 0 };
    bool ok = true;
    while (ok && p.i < format.size) {
        char c = format.data[p.i++];
        if (c == '%') {
            ok = percent_one(&p, &buf) && mg_tstep(ctx, at, 1) && mg_tcheck_size(ctx, at, buf.size);
        } else {
            mg_buf_add_char(&buf, c);
        }
    }
    *out = mg_tval_take(ctx, &buf);
    bool tuple = values->kind == MG_T_LIST && values->as.list->style == MG_T_STYLE_TUPLE;
    bool box = values->kind == MG_T_MAP || values->kind == MG_T_UNDEFINED ||
               (values->kind == MG_T_LIST && !tuple);
    if (ok && !box && p.used < (tuple ? values->as.list->count : 1)) {
        return mg_tfail(ctx, at, "not all arguments converted during string formatting");
    }
    return ok;
}

/* ---- braces ---- */

/* "[[fill]align][sign][#][0][width][grouping][.precision][type]" */
static bool parse_spec(mg_tctx *ctx, const mg_tnode *at, mg_str spec, layout *l)
{
    size_t i = 0;
    size_t bytes = 0;
    if (spec.size > 0) {
        (void)mg_utf8_decode(spec, 0, &bytes);
    }
    if (bytes < spec.size && bytes > 0 && strchr("<>^=", spec.data[bytes]) != NULL) {
        l->fill = mg_str_slice(spec, 0, bytes);
        l->align = spec.data[bytes];
        i = bytes + 1;
    } else if (spec.size > 0 && strchr("<>^=", spec.data[0]) != NULL) {
        l->align = spec.data[0];
        i = 1;
    }
    if (i < spec.size && strchr("+- ", spec.data[i]) != NULL) {
        l->sign = spec.data[i++];
    }
    if (i < spec.size && spec.data[i] == '#') {
        l->alternate = true;
        i++;
    }
    if (i < spec.size && spec.data[i] == '0') {
        if (l->align == 0) {
            l->fill = mg_str_of("0");
            l->align = '=';
        }
        i++;
    }
    for (; i < spec.size && spec.data[i] >= '0' && spec.data[i] <= '9'; i++) {
        l->width = MG_MIN(l->width * 10 + (spec.data[i] - '0'), WIDTH_MAX + 1);
    }
    if (i < spec.size && (spec.data[i] == ',' || spec.data[i] == '_')) {
        l->grouping = spec.data[i++];
    }
    if (i < spec.size && spec.data[i] == '.') {
        l->precision = 0;
        for (i++; i < spec.size && spec.data[i] >= '0' && spec.data[i] <= '9'; i++) {
            l->precision = MG_MIN(l->precision * 10 + (spec.data[i] - '0'), WIDTH_MAX + 1);
        }
    }
    if (i < spec.size) {
        l->type = spec.data[i++];
    }
    if (l->width > WIDTH_MAX || l->precision > WIDTH_MAX) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "a format is too wide");
    }
    if (i < spec.size || (l->type != 0 && strchr("sdnxXobceEfFgG%", l->type) == NULL)) {
        return mg_tfail(ctx, at, "invalid format specifier '%.*s'", MG_STR_ARG(spec));
    }
    return true;
}

static bool brace_value(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, mg_str spec,
                        mg_buf *buf)
{
    layout l = { .fill = mg_str_of(" "), .sign = '-', .precision = -1 };
    mg_str text;
    if (!parse_spec(ctx, at, spec, &l)) {
        return false;
    }
    bool number = value->kind == MG_T_INT || value->kind == MG_T_FLOAT ||
                  (value->kind == MG_T_BOOL && spec.size > 0 && l.type != 0);
    if (!number || l.type == 's') {
        if ((l.type != 0 && l.type != 's') || (number && l.type == 's')) {
            return mg_tfail(ctx, at, "format code '%c' does not fit a '%s'", l.type,
                            mg_ttype_name(value));
        }
        if (!mg_tstring(ctx, at, value, &text)) {
            return false;
        }
        l.align = l.align == 0 ? '<' : l.align;
        put_text(buf, &l, text);
        return true;
    }
    l.align = l.align == 0 ? '>' : l.align;
    bool integral = value->kind != MG_T_FLOAT;
    if (integral && (l.type == 0 || strchr("dnxXob", l.type) != NULL)) {
        l.precision = -1;
        put_int(buf, &l, mg_tval_integer(value));
        return true;
    }
    if (l.type == 0 && l.precision < 0) {
        mg_buf shown = { 0 };
        mg_buf_add_double(&shown, fabs(value->as.number));
        text = mg_tval_take(ctx, &shown).as.string;
        pad(buf, &l, mg_str_of(sign_text(&l, signbit(value->as.number) != 0)), text);
        return true;
    }
    l.type = l.type == 0 || l.type == 'n' ? 'g' : l.type;
    if (strchr("eEfFgG%", l.type) == NULL) {
        return mg_tfail(ctx, at, "format code '%c' does not fit a '%s'", l.type,
                        mg_ttype_name(value));
    }
    put_float(buf, &l, mg_tval_number(value));
    return true;
}

/* The value that a field's name means: "", "0", "name", then ".attribute" and "[key]". */
static bool brace_field(mg_tctx *ctx, const mg_tnode *at, mg_str name, const mg_targs *args,
                        int64_t *next, mg_tval *out)
{
    size_t end = 0;
    while (end < name.size && name.data[end] != '.' && name.data[end] != '[') {
        end++;
    }
    mg_str first = mg_str_slice(name, 0, end);
    int64_t index = -1;
    if (first.size == 0) {
        index = (*next)++;
    }
    if (index >= 0 || mg_str_to_int(first, &index)) {
        if (index < 0 || index >= args->count) {
            return mg_tfail(ctx, at, "format lacks its argument %lld", (long long)index);
        }
        *out = args->values[index];
    } else {
        int64_t i = 0;
        while (i < args->named_count && !mg_str_equal(args->names[i], first)) {
            i++;
        }
        if (i == args->named_count) {
            return mg_tfail(ctx, at, "format lacks its argument '%.*s'", MG_STR_ARG(first));
        }
        *out = args->named[i];
    }
    while (end < name.size) {
        mg_tval object = *out;
        bool bracket = name.data[end] == '[';
        size_t begin = ++end;
        while (end < name.size &&
               (bracket ? name.data[end] != ']' : name.data[end] != '.' && name.data[end] != '[')) {
            end++;
        }
        mg_str part = mg_str_slice(name, begin, end);
        end += bracket ? 1 : 0;
        mg_tval key = mg_tval_str(part);
        if (bracket && mg_str_to_int(part, &index)) {
            key = mg_tval_int(index);
        }
        if (!(bracket ? mg_tget_item(ctx, at, &object, &key, out)
                      : mg_tget_attribute(ctx, at, &object, part, out))) {
            return false;
        }
    }
    return true;
}

/* The field between the braces. */
static bool brace_one(mg_tctx *ctx, const mg_tnode *at, mg_str field, const mg_targs *args,
                      int64_t *next, mg_buf *buf)
{
    mg_str spec = mg_str_of("");
    char conversion = 0;
    int64_t colon = mg_str_find(field, mg_str_of(":"), 0);
    if (colon >= 0) {
        spec = mg_str_slice(field, (size_t)colon + 1, field.size);
        field = mg_str_slice(field, 0, (size_t)colon);
    }
    if (field.size >= 2 && field.data[field.size - 2] == '!') {
        conversion = field.data[field.size - 1];
        field = mg_str_slice(field, 0, field.size - 2);
    }
    mg_tval value;
    if (!brace_field(ctx, at, field, args, next, &value)) {
        return false;
    }
    if (conversion == 'r') {
        mg_buf shown = { 0 };
        (void)mg_trepr(ctx->arena, &shown, &value);
        value = mg_tval_take(ctx, &shown);
    } else if (conversion == 's') {
        mg_str text;
        if (!mg_tstring(ctx, at, &value, &text)) {
            return false;
        }
        value = mg_tval_str(text);
    } else if (conversion != 0) {
        return mg_tfail(ctx, at, "unknown conversion '!%c'", conversion);
    }
    return brace_value(ctx, at, &value, spec, buf);
}

bool mg_tformat_braces(mg_tctx *ctx, const mg_tnode *at, mg_str format, const mg_targs *args,
                       mg_tval *out)
{
    mg_buf buf = { 0 };
    bool ok = true;
    int64_t next = 0;
    for (size_t i = 0; ok && i < format.size;) {
        char c = format.data[i];
        bool twice = i + 1 < format.size && format.data[i + 1] == c;
        if ((c != '{' && c != '}') || twice) {
            mg_buf_add_char(&buf, c);
            i += c == '{' || c == '}' ? 2 : 1;
            continue;
        }
        int64_t end = c == '{' ? mg_str_find(format, mg_str_of("}"), i) : -1;
        if (end < 0) {
            ok = mg_tfail(ctx, at, "single '%c' in a format string", c);
            break;
        }
        ok = brace_one(ctx, at, mg_str_slice(format, i + 1, (size_t)end), args, &next, &buf) &&
             mg_tcheck_size(ctx, at, buf.size);
        i = (size_t)end + 1;
    }
    *out = mg_tval_take(ctx, &buf);
    return ok;
}
