/* text/template_filters.c - filters on texts and numbers, and tojson. */
#include "text/template_internal.h"

#include "base/memory.h"
#include "text/json.h"
#include "text/regex.h"
#include "text/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- arguments ---- */

bool mg_tbind(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, const char *what,
              const char *const *names, int64_t count, int64_t required, mg_tval *values_out)
{
    if (args->count > count) {
        return mg_tfail(ctx, at, "%s takes at most %lld arguments, got %lld", what,
                        (long long)count, (long long)args->count);
    }
    for (int64_t i = 0; i < count; i++) {
        memset(&values_out[i], 0, sizeof(values_out[i]));
        if (i < args->count) {
            values_out[i] = args->values[i];
        }
    }
    for (int64_t k = 0; k < args->named_count; k++) {
        int64_t i = 0;
        while (i < count && !mg_str_is(args->names[k], names[i])) {
            i++;
        }
        if (i == count || values_out[i].kind != MG_T_ABSENT) {
            return mg_tfail(ctx, at, "%s got an unexpected argument '%.*s'", what,
                            MG_STR_ARG(args->names[k]));
        }
        values_out[i] = args->named[k];
    }
    for (int64_t i = 0; i < required; i++) {
        if (values_out[i].kind == MG_T_ABSENT) {
            return mg_tfail(ctx, at, "%s lacks its argument '%s'", what, names[i]);
        }
    }
    return true;
}

bool mg_targ_int(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const char *what,
                 int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (value->kind == MG_T_ABSENT) {
        return true;
    }
    if (value->kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, value);
    }
    if (value->kind != MG_T_INT && value->kind != MG_T_BOOL) {
        return mg_tfail(ctx, at, "%s must be an integer, not '%s'", what, mg_ttype_name(value));
    }
    *out = mg_tval_integer(value);
    return true;
}

bool mg_targ_str(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const char *what,
                 mg_str *out)
{
    if (value->kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, value);
    }
    if (value->kind != MG_T_STRING) {
        return mg_tfail(ctx, at, "%s must be a string, not '%s'", what, mg_ttype_name(value));
    }
    *out = value->as.string;
    return true;
}

const mg_tnamed *mg_tfind_named(const mg_tnamed *table, int64_t count, mg_str name)
{
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_is(name, table[i].name)) {
            return &table[i];
        }
    }
    return NULL;
}

static bool no_arguments(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, const char *what)
{
    return mg_tbind(ctx, at, args, what, NULL, 0, 0, NULL);
}

static bool flag(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, bool *out)
{
    *out = false;
    return value->kind == MG_T_ABSENT || mg_ttruth(ctx, at, value, out);
}

/* ---- texts ---- */

static bool filter_string(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    mg_str text;
    if (!no_arguments(ctx, at, args, "string") || !mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    *out = mg_tval_str(text);
    return true;
}

static bool filter_trim(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    static const char *const names[] = { "chars" };
    mg_tval a[1];
    if (!mg_tbind(ctx, at, args, "trim", names, 1, 0, a)) {
        return false;
    }
    mg_str text;
    mg_str chars = { 0 };
    if (!mg_tstring(ctx, at, &value, &text) ||
        (a[0].kind > MG_T_NULL && !mg_targ_str(ctx, at, &a[0], "chars", &chars))) {
        return false;
    }
    *out = mg_tval_str(mg_ttext_strip(text, chars, true, true));
    return true;
}

static bool filter_lower(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    mg_str text;
    if (!no_arguments(ctx, at, args, "lower") || !mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    *out = mg_ttext_lower(ctx, text);
    return true;
}

static bool filter_upper(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    mg_str text;
    if (!no_arguments(ctx, at, args, "upper") || !mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    *out = mg_ttext_upper(ctx, text);
    return true;
}

static bool filter_capitalize(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    mg_str text;
    if (!no_arguments(ctx, at, args, "capitalize") || !mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    *out = mg_ttext_capitalize(ctx, text);
    return true;
}

/* Words begin behind white space and any of -({[<. */
static bool filter_title(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    mg_str text;
    mg_buf buf = { 0 };
    if (!no_arguments(ctx, at, args, "title") || !mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    size_t bytes;
    for (size_t i = 0; i < text.size;) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        bool separator = mg_unicode_is_python_space(c) || (c < 0x80 && strchr("-({[<", c) != NULL);
        size_t end = i + bytes;
        if (separator) {
            mg_buf_add(&buf, mg_str_slice(text, i, end));
            i = end;
            continue;
        }
        while (end < text.size) {
            int32_t next = mg_utf8_decode(text, end, &bytes);
            if (mg_unicode_is_python_space(next) ||
                (next > 0 && next < 0x80 && strchr("-({[<", next) != NULL)) {
                break;
            }
            end += bytes;
        }
        mg_str word = mg_str_slice(text, i, end);
        (void)mg_utf8_decode(word, 0, &bytes);
        mg_unicode_upper(&buf, mg_str_slice(word, 0, bytes));
        mg_unicode_lower(&buf, mg_str_slice(word, bytes, word.size));
        i = end;
    }
    *out = mg_tval_take(ctx, &buf);
    return true;
}

static bool filter_replace(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    static const char *const names[] = { "old", "new", "count" };
    mg_tval a[3];
    if (!mg_tbind(ctx, at, args, "replace", names, 3, 2, a)) {
        return false;
    }
    mg_str text;
    mg_str old;
    mg_str with;
    int64_t count = -1;
    if (!mg_tstring(ctx, at, &value, &text) || !mg_tstring(ctx, at, &a[0], &old) ||
        !mg_tstring(ctx, at, &a[1], &with) ||
        (a[2].kind > MG_T_NULL && !mg_targ_int(ctx, at, &a[2], "count", -1, &count))) {
        return false;
    }
    return mg_ttext_replace(ctx, at, text, old, with, count, out);
}

static bool filter_center(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    static const char *const names[] = { "width" };
    mg_tval a[1];
    if (!mg_tbind(ctx, at, args, "center", names, 1, 0, a)) {
        return false;
    }
    mg_str text;
    int64_t width;
    if (!mg_tstring(ctx, at, &value, &text) || !mg_targ_int(ctx, at, &a[0], "width", 80, &width)) {
        return false;
    }
    int64_t pad = width - mg_utf8_count(text);
    if (pad > 0 && !mg_tcheck_size(ctx, at, (size_t)pad)) {
        return false;
    }
    /* str.center puts the odd blank left where both width and the pad are odd. */
    int64_t left = pad <= 0 ? 0 : pad / 2 + (pad & width & 1);
    mg_buf buf = { 0 };
    for (int64_t i = 0; i < pad; i++) {
        if (i == left) {
            mg_buf_add(&buf, text);
        }
        mg_buf_add_char(&buf, ' ');
    }
    if (pad <= left) {
        mg_buf_add(&buf, text);
    }
    *out = mg_tval_take(ctx, &buf);
    return true;
}

static bool filter_indent(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    static const char *const names[] = { "width", "first", "blank" };
    mg_tval a[3];
    if (!mg_tbind(ctx, at, args, "indent", names, 3, 0, a)) {
        return false;
    }
    mg_str rest;
    mg_str line;
    mg_str end;
    bool first;
    bool blank;
    if (!mg_targ_str(ctx, at, &value, "the text of indent", &rest) ||
        !flag(ctx, at, &a[1], &first) || !flag(ctx, at, &a[2], &blank)) {
        return false;
    }
    mg_str indent = mg_str_of("    ");
    if (a[0].kind == MG_T_STRING) {
        indent = a[0].as.string;
    } else if (a[0].kind != MG_T_ABSENT) {
        int64_t width;
        if (!mg_targ_int(ctx, at, &a[0], "width", 4, &width) ||
            !mg_tcheck_size(ctx, at, (size_t)MG_MAX(width, 0))) {
            return false;
        }
        char *blanks = mg_arena_array(ctx->arena, char, MG_MAX(width, 0) + 1);
        memset(blanks, ' ', (size_t)MG_MAX(width, 0));
        indent = mg_str_make(blanks, (size_t)MG_MAX(width, 0));
    }
    mg_buf buf = { 0 };
    bool ok = true;
    mg_buf_add(&buf, first ? indent : mg_str_of(""));
    /* A last line end begins one more line, as Jinja adds one before it splits. */
    bool open = true;
    for (bool begin = true; ok && open; begin = false) {
        line = mg_str_of("");
        end = line;
        open = mg_ttext_line(&rest, &line, &end) && end.size > 0;
        if (!begin) {
            mg_buf_add_char(&buf, '\n');
            mg_buf_add(&buf, line.size > 0 || blank ? indent : mg_str_of(""));
        }
        mg_buf_add(&buf, line);
        ok = mg_tstep(ctx, at, 1) &&
             (buf.size <= MG_TEMPLATE_STRING_BYTES_MAX || mg_tcheck_size(ctx, at, buf.size));
    }
    *out = mg_tval_take(ctx, &buf);
    return ok;
}

static bool filter_truncate(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                            mg_tval *out)
{
    static const char *const names[] = { "length", "killwords", "end", "leeway" };
    mg_tval a[4];
    if (!mg_tbind(ctx, at, args, "truncate", names, 4, 0, a)) {
        return false;
    }
    mg_str text;
    mg_str end = mg_str_of("...");
    int64_t length;
    int64_t leeway;
    bool kill_words;
    if (!mg_tstring(ctx, at, &value, &text) ||
        !mg_targ_int(ctx, at, &a[0], "length", 255, &length) ||
        !flag(ctx, at, &a[1], &kill_words) ||
        (a[2].kind != MG_T_ABSENT && !mg_targ_str(ctx, at, &a[2], "end", &end)) ||
        !mg_targ_int(ctx, at, &a[3], "leeway", 5, &leeway)) {
        return false;
    }
    if (length < mg_utf8_count(end) || leeway < 0) {
        return mg_tfail(ctx, at, "truncate: length is shorter than end, or leeway is negative");
    }
    if (mg_utf8_count(text) - leeway <= length) {
        *out = mg_tval_str(text);
        return true;
    }
    size_t kept = mg_utf8_offset(text, length - mg_utf8_count(end));
    for (size_t i = kept; !kill_words && i > 0; i--) {
        if (text.data[i - 1] == ' ') {
            kept = i - 1;
            break;
        }
    }
    mg_buf buf = { 0 };
    mg_buf_add(&buf, mg_str_slice(text, 0, kept));
    mg_buf_add(&buf, end);
    *out = mg_tval_take(ctx, &buf);
    return true;
}

static bool filter_wordcount(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                             mg_tval *out)
{
    mg_str text;
    int64_t count = 0;
    bool inside = false;
    size_t bytes;
    if (!no_arguments(ctx, at, args, "wordcount") || !mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        bool word = c == '_' || mg_unicode_is_letter(c) || mg_unicode_is_number(c);
        count += word && !inside;
        inside = word;
    }
    *out = mg_tval_int(count);
    return true;
}

static bool filter_escape(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    mg_str text;
    mg_buf buf = { 0 };
    if (!no_arguments(ctx, at, args, "escape") || !mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : NULL;
        if (entity != NULL) {
            mg_buf_add_text(&buf, entity);
        } else {
            mg_buf_add_char(&buf, c);
        }
    }
    *out = mg_tval_take(ctx, &buf);
    return true;
}

/* Values are never escaped here, so marking one as safe changes only that it is a string. */
static bool filter_safe(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    return filter_string(ctx, at, value, args, out);
}

static bool filter_format(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    mg_str text;
    mg_tval values = mg_tval_list(ctx->arena, MG_T_STYLE_TUPLE, args->count);
    if (!mg_tstring(ctx, at, &value, &text)) {
        return false;
    }
    if (args->named_count > 0 && args->count > 0) {
        return mg_tfail(ctx, at, "format takes positional or named arguments, not both");
    }
    for (int64_t i = 0; i < args->count; i++) {
        values.as.list->items[i] = args->values[i];
    }
    if (args->named_count > 0) {
        values.kind = MG_T_MAP;
        values.as.map = mg_tmap_new(ctx->arena, args->named_count);
        for (int64_t i = 0; i < args->named_count; i++) {
            mg_tmap_set(ctx->arena, values.as.map, mg_tval_str(args->names[i]), args->named[i]);
        }
    }
    return mg_tformat_percent(ctx, at, text, &values, out);
}

/* lm-evaluation-harness: re.sub(pattern, repl, text, count). */
static bool filter_regex_replace(mg_tctx *ctx, const mg_tnode *at, mg_tval value,
                                 const mg_targs *args, mg_tval *out)
{
    static const char *const names[] = { "pattern", "repl", "count" };
    mg_tval a[3];
    if (!mg_tbind(ctx, at, args, "regex_replace", names, 3, 2, a)) {
        return false;
    }
    mg_str text;
    mg_str pattern;
    mg_str with;
    int64_t count;
    if (!mg_targ_str(ctx, at, &value, "the text of regex_replace", &text) ||
        !mg_targ_str(ctx, at, &a[0], "pattern", &pattern) ||
        !mg_targ_str(ctx, at, &a[1], "repl", &with) ||
        !mg_targ_int(ctx, at, &a[2], "count", 0, &count)) {
        return false;
    }
    mg_regex *regex = NULL;
    mg_buf buf = { 0 };
    mg_status status = mg_regex_compile(pattern, MG_REGEX_PYTHON, &regex, ctx->err);
    if (status == MG_OK) {
        status = mg_regex_replace(regex, text, with, MG_MAX(count, 0), &buf, ctx->err);
    }
    mg_regex_destroy(regex);
    *out = mg_tval_take(ctx, &buf);
    if (status != MG_OK) {
        ctx->status = status;
        mg_error_prefix(ctx->err, "%s:%d:%d", ctx->t->name, (int)at->line, (int)at->column);
        return false;
    }
    return mg_tcheck_size(ctx, at, out->as.string.size);
}

/* ---- numbers ---- */

static bool filter_abs(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    if (!no_arguments(ctx, at, args, "abs")) {
        return false;
    }
    if (value.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, &value);
    }
    if (!mg_tval_is_number(&value)) {
        return mg_tfail(ctx, at, "abs needs a number, not '%s'", mg_ttype_name(&value));
    }
    if (value.kind == MG_T_FLOAT) {
        *out = mg_tval_float(fabs(value.as.number));
        return true;
    }
    int64_t i = mg_tval_integer(&value);
    if (i == INT64_MIN) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "an integer grows beyond 64 bits");
    }
    *out = mg_tval_int(i < 0 ? -i : i);
    return true;
}

static bool int_of_double(double number, int64_t *out)
{
    double whole = trunc(number);
    if (!(whole >= -9223372036854775808.0 && whole < 9223372036854775808.0)) {
        return false;
    }
    *out = (int64_t)whole;
    return true;
}

static bool filter_int(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    static const char *const names[] = { "default", "base" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "int", names, 2, 0, a)) {
        return false;
    }
    int64_t base;
    int64_t result;
    double number;
    if (!mg_targ_int(ctx, at, &a[1], "base", 10, &base)) {
        return false;
    }
    if (value.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, &value);
    }
    *out = a[0].kind == MG_T_ABSENT ? mg_tval_int(0) : a[0];
    if (base != 0 && (base < 2 || base > 36)) {
        return true;
    }
    bool fits = false;
    if (value.kind == MG_T_STRING) {
        fits = mg_ttext_int(value.as.string, (int)base, &result) ||
               (mg_ttext_float(value.as.string, &number) && int_of_double(number, &result));
    } else if (value.kind == MG_T_FLOAT) {
        fits = int_of_double(value.as.number, &result);
    } else if (mg_tval_is_number(&value)) {
        result = mg_tval_integer(&value);
        fits = true;
    }
    if (fits) {
        *out = mg_tval_int(result);
    }
    return true;
}

static bool filter_float(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    static const char *const names[] = { "default" };
    mg_tval a[1];
    if (!mg_tbind(ctx, at, args, "float", names, 1, 0, a)) {
        return false;
    }
    double number = 0.0;
    if (value.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, &value);
    }
    if (mg_tval_is_number(&value)) {
        *out = mg_tval_float(mg_tval_number(&value));
    } else if (value.kind == MG_T_STRING && mg_ttext_float(value.as.string, &number)) {
        *out = mg_tval_float(number);
    } else {
        *out = a[0].kind == MG_T_ABSENT ? mg_tval_float(0.0) : a[0];
    }
    return true;
}

/* round() of Python: the exact binary value, to even on a tie. */
static double round_decimal(double number, int64_t precision)
{
    if (!isfinite(number) || precision > 300) {
        return number;
    }
    if (precision < 0) {
        double unit = pow(10.0, (double)MG_MIN(-precision, 308));
        return rint(number / unit) * unit;
    }
    char text[700];
    snprintf(text, sizeof(text), "%.*f", (int)precision, number);
    return strtod(text, NULL);
}

static bool filter_round(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    static const char *const names[] = { "precision", "method" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "round", names, 2, 0, a)) {
        return false;
    }
    int64_t precision;
    mg_str method = mg_str_of("common");
    if (!mg_targ_int(ctx, at, &a[0], "precision", 0, &precision) ||
        (a[1].kind != MG_T_ABSENT && !mg_targ_str(ctx, at, &a[1], "method", &method))) {
        return false;
    }
    if (value.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, &value);
    }
    if (!mg_tval_is_number(&value)) {
        return mg_tfail(ctx, at, "round needs a number, not '%s'", mg_ttype_name(&value));
    }
    if (mg_str_is(method, "common")) {
        if (value.kind != MG_T_FLOAT && precision >= 0) {
            *out = mg_tval_int(mg_tval_integer(&value));
        } else if (value.kind != MG_T_FLOAT) {
            double rounded = round_decimal(mg_tval_number(&value), precision);
            *out = mg_tval_int((int64_t)rounded);
        } else {
            *out = mg_tval_float(round_decimal(value.as.number, precision));
        }
        return true;
    }
    if (!mg_str_is(method, "ceil") && !mg_str_is(method, "floor")) {
        return mg_tfail(ctx, at, "round: method must be common, ceil or floor");
    }
    double unit = pow(10.0, (double)precision);
    double scaled = mg_tval_number(&value) * unit;
    *out = mg_tval_float((mg_str_is(method, "ceil") ? ceil(scaled) : floor(scaled)) / unit);
    return true;
}

static bool filter_default(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    static const char *const names[] = { "default_value", "boolean" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "default", names, 2, 0, a)) {
        return false;
    }
    bool boolean;
    bool truth = true;
    if (!flag(ctx, at, &a[1], &boolean)) {
        return false;
    }
    bool missing = value.kind == MG_T_UNDEFINED;
    if (!missing && boolean && !mg_ttruth(ctx, at, &value, &truth)) {
        return false;
    }
    *out = value;
    if (missing || !truth) {
        *out = a[0].kind == MG_T_ABSENT ? mg_tval_str(mg_str_of("")) : a[0];
    }
    return true;
}

/* ---- tojson ---- */

/* The value as JSON could write it: no views, generators or other objects. */
static bool json_value(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, mg_value *out)
{
    bool plain = value->kind == MG_T_LIST ? value->as.list->style <= MG_T_STYLE_TUPLE
                                          : value->kind > MG_T_UNDEFINED && value->kind <= MG_T_MAP;
    if (!plain) {
        return mg_tfail(ctx, at, "Object of type %s is not JSON serializable",
                        mg_ttype_name(value));
    }
    return mg_tto_value(ctx, at, ctx->arena, value, out);
}

static bool json_indent(mg_tctx *ctx, const mg_tnode *at, const mg_tval *indent,
                        mg_json_style *style)
{
    if (indent->kind == MG_T_ABSENT || indent->kind == MG_T_NULL) {
        return true;
    }
    if (indent->kind == MG_T_STRING) {
        style->indent_text = mg_arena_copy(ctx->arena, indent->as.string).data;
        return true;
    }
    int64_t width;
    if (!mg_targ_int(ctx, at, indent, "indent", 0, &width)) {
        return false;
    }
    width = MG_MIN(MG_MAX(width, 0), 64);
    char *blanks = mg_arena_array(ctx->arena, char, width + 1);
    memset(blanks, ' ', (size_t)width);
    style->indent_text = blanks;
    return true;
}

static bool json_separators(mg_tctx *ctx, const mg_tnode *at, const mg_tval *separators,
                            mg_json_style *style)
{
    if (separators->kind == MG_T_ABSENT || separators->kind == MG_T_NULL) {
        return true;
    }
    mg_tlist *list;
    if (!mg_titerate(ctx, at, separators, &list)) {
        return false;
    }
    mg_str texts[2];
    for (int64_t i = 0; i < 2; i++) {
        mg_tval item = { 0 };
        if (list->count == 2) {
            item = mg_tlist_item(ctx->arena, list, i);
        }
        if (!mg_targ_str(ctx, at, &item, "separators must hold two strings: one", &texts[i])) {
            return false;
        }
    }
    style->item_separator = mg_arena_copy(ctx->arena, texts[0]).data;
    style->key_separator = mg_arena_copy(ctx->arena, texts[1]).data;
    return true;
}

/* The chat profile's tojson is transformers': plain JSON, key order and non-ASCII kept. */
static bool tojson_chat(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value,
                        const mg_targs *args, mg_tval *out)
{
    static const char *const names[] = { "ensure_ascii", "indent", "separators", "sort_keys" };
    mg_tval a[4];
    if (!mg_tbind(ctx, at, args, "tojson", names, 4, 0, a)) {
        return false;
    }
    mg_json_style style = { 0 };
    mg_value plain;
    if (!json_value(ctx, at, value, &plain) || !flag(ctx, at, &a[0], &style.ascii) ||
        !json_indent(ctx, at, &a[1], &style) || !json_separators(ctx, at, &a[2], &style) ||
        !flag(ctx, at, &a[3], &style.sorted)) {
        return false;
    }
    mg_buf buf = { 0 };
    mg_json_write(&buf, &plain, &style);
    *out = mg_tval_take(ctx, &buf);
    return mg_tcheck_size(ctx, at, out->as.string.size);
}

/* The task profile's tojson is Jinja's own: ASCII, sorted, safe inside HTML. */
static bool tojson_task(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value,
                        const mg_targs *args, mg_tval *out)
{
    static const char *const names[] = { "indent" };
    mg_tval a[1];
    if (!mg_tbind(ctx, at, args, "tojson", names, 1, 0, a)) {
        return false;
    }
    mg_json_style style = { .ascii = true, .sorted = true };
    mg_value plain;
    if (!json_value(ctx, at, value, &plain) || !json_indent(ctx, at, &a[0], &style)) {
        return false;
    }
    mg_buf json = { 0 };
    mg_buf safe = { 0 };
    mg_json_write(&json, &plain, &style);
    for (size_t i = 0; i < json.size; i++) {
        char c = json.data[i];
        if (strchr("<>&'", c) != NULL && c != '\0') {
            mg_buf_printf(&safe, "\\u%04x", (unsigned)c);
        } else {
            mg_buf_add_char(&safe, c);
        }
    }
    mg_buf_release(&json);
    *out = mg_tval_take(ctx, &safe);
    return mg_tcheck_size(ctx, at, out->as.string.size);
}

static bool filter_tojson(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    return ctx->t->profile == MG_TEMPLATE_CHAT ? tojson_chat(ctx, at, &value, args, out)
                                               : tojson_task(ctx, at, &value, args, out);
}

const mg_tnamed *mg_tfind_filter(mg_template_profile profile, mg_str name)
{
    static const mg_tnamed filters[] = {
        { "abs", filter_abs },
        { "capitalize", filter_capitalize },
        { "center", filter_center },
        { "d", filter_default },
        { "default", filter_default },
        { "e", filter_escape },
        { "escape", filter_escape },
        { "float", filter_float },
        { "forceescape", filter_escape },
        { "format", filter_format },
        { "indent", filter_indent },
        { "int", filter_int },
        { "lower", filter_lower },
        { "replace", filter_replace },
        { "round", filter_round },
        { "safe", filter_safe },
        { "string", filter_string },
        { "title", filter_title },
        { "tojson", filter_tojson },
        { "trim", filter_trim },
        { "truncate", filter_truncate },
        { "upper", filter_upper },
        { "wordcount", filter_wordcount },
    };
    static const mg_tnamed task_only[] = { { "regex_replace", filter_regex_replace } };
    const mg_tnamed *found = mg_tfind_named(filters, MG_ARRAY_COUNT(filters), name);
    if (found == NULL && profile == MG_TEMPLATE_TASK) {
        found = mg_tfind_named(task_only, MG_ARRAY_COUNT(task_only), name);
    }
    return found != NULL ? found : mg_tfind_list_filter(name);
}
