/* text/template_methods.c - the methods of strings, lists and maps.
 *
 * Only those that change nothing: the sandbox of chat templates allows no others. */
#include "text/template_internal.h"

#include "text/utf8.h"

static bool no_arguments(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, const char *what)
{
    return mg_tbind(ctx, at, args, what, NULL, 0, 0, NULL);
}

/* ---- strings ---- */

static bool strip_sides(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_targs *args,
                        bool left, bool right, mg_tval *out)
{
    static const char *const names[] = { "chars" };
    mg_tval a;
    mg_str chars = { 0 };
    if (!mg_tbind(ctx, at, args, "strip", names, 1, 0, &a) ||
        (a.kind != MG_T_ABSENT && a.kind != MG_T_NULL &&
         !mg_targ_str(ctx, at, &a, "chars", &chars))) {
        return false;
    }
    *out = mg_tval_str(mg_ttext_strip(text, chars, left, right));
    return true;
}

static bool method_strip(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    return strip_sides(ctx, at, value.as.string, args, true, true, out);
}

static bool method_lstrip(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    return strip_sides(ctx, at, value.as.string, args, true, false, out);
}

static bool method_rstrip(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    return strip_sides(ctx, at, value.as.string, args, false, true, out);
}

static bool method_lower(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    *out = mg_ttext_lower(ctx, value.as.string);
    return no_arguments(ctx, at, args, "lower");
}

static bool method_upper(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    *out = mg_ttext_upper(ctx, value.as.string);
    return no_arguments(ctx, at, args, "upper");
}

static bool method_capitalize(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    *out = mg_ttext_capitalize(ctx, value.as.string);
    return no_arguments(ctx, at, args, "capitalize");
}

/* str.title: a letter behind a letter is lower, any other one title case. */
static bool method_title(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    mg_str text = value.as.string;
    mg_buf buf = { 0 };
    bool inside = false;
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (inside) {
            mg_unicode_lower(&buf, mg_str_slice(text, i, i + bytes));
        } else {
            mg_unicode_title(&buf, c);
        }
        inside = mg_unicode_is_letter(c);
    }
    *out = mg_tval_take(ctx, &buf);
    return no_arguments(ctx, at, args, "title");
}

static bool method_replace(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    static const char *const names[] = { "old", "new", "count" };
    mg_tval a[3];
    mg_str old;
    mg_str with;
    int64_t count;
    return mg_tbind(ctx, at, args, "replace", names, 3, 2, a) &&
           mg_targ_str(ctx, at, &a[0], "old", &old) && mg_targ_str(ctx, at, &a[1], "new", &with) &&
           mg_targ_int(ctx, at, &a[2], "count", -1, &count) &&
           mg_ttext_replace(ctx, at, value.as.string, old, with, count, out);
}

/* A growing list of strings for split and splitlines. */
typedef struct pieces {
    mg_tval *items;
    int64_t count;
    int64_t cap;
} pieces;

static void add_piece(mg_tctx *ctx, pieces *list, mg_str piece)
{
    if (list->count == list->cap) {
        int64_t cap = list->cap == 0 ? 8 : list->cap * 2;
        mg_tval *wider = mg_arena_array(ctx->arena, mg_tval, cap);
        for (int64_t i = 0; i < list->count; i++) {
            wider[i] = list->items[i];
        }
        list->items = wider;
        list->cap = cap;
    }
    list->items[list->count++] = mg_tval_str(piece);
}

static mg_tval close_pieces(mg_tctx *ctx, const pieces *list)
{
    mg_tval v = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, 0);
    v.as.list->items = list->items;
    v.as.list->count = list->count;
    return v;
}

static size_t next_space(mg_str text, size_t at, bool space)
{
    size_t bytes;
    while (at < text.size &&
           mg_unicode_is_python_space(mg_utf8_decode(text, at, &bytes)) != space) {
        at += bytes;
    }
    return at;
}

static void split_blanks(mg_tctx *ctx, mg_str text, int64_t count_max, pieces *list)
{
    size_t begin = next_space(text, 0, false);
    for (int64_t n = 0; begin < text.size; n++) {
        if (n == count_max) {
            add_piece(ctx, list, mg_str_slice(text, begin, text.size));
            return;
        }
        size_t end = next_space(text, begin, true);
        add_piece(ctx, list, mg_str_slice(text, begin, end));
        begin = next_space(text, end, false);
    }
}

static void split_separator(mg_tctx *ctx, mg_str text, mg_str separator, int64_t count_max,
                            pieces *list)
{
    size_t begin = 0;
    for (int64_t n = 0; n != count_max; n++) {
        int64_t found = mg_str_find(text, separator, begin);
        if (found < 0) {
            break;
        }
        add_piece(ctx, list, mg_str_slice(text, begin, (size_t)found));
        begin = (size_t)found + separator.size;
    }
    add_piece(ctx, list, mg_str_slice(text, begin, text.size));
}

/* The last place of needle that begins before end; -1 when there is none. */
static int64_t find_last(mg_str text, mg_str needle, size_t end)
{
    if (needle.size > end) {
        return -1;
    }
    for (size_t i = end - needle.size + 1; i > 0; i--) {
        if (memcmp(text.data + i - 1, needle.data, needle.size) == 0) {
            return (int64_t)i - 1;
        }
    }
    return -1;
}

/* Pieces from the end; the list comes out reversed. */
static void split_last(mg_tctx *ctx, mg_str text, mg_str separator, bool blanks, int64_t count_max,
                       pieces *list)
{
    size_t end = text.size;
    for (int64_t n = 0; n != count_max; n++) {
        if (blanks) {
            mg_str rest = mg_unicode_trim(mg_str_slice(text, 0, end), false, true);
            size_t begin = rest.size;
            size_t bytes;
            while (begin > 0) {
                size_t before = begin - 1;
                while (before > 0 && ((unsigned char)text.data[before] & 0xC0) == 0x80) {
                    before--;
                }
                if (mg_unicode_is_python_space(mg_utf8_decode(text, before, &bytes))) {
                    break;
                }
                begin = before;
            }
            if (rest.size == 0) {
                return;
            }
            add_piece(ctx, list, mg_str_slice(text, begin, rest.size));
            end = begin;
            continue;
        }
        int64_t found = find_last(text, separator, end);
        if (found < 0) {
            break;
        }
        add_piece(ctx, list, mg_str_slice(text, (size_t)found + separator.size, end));
        end = (size_t)found;
    }
    mg_str rest = mg_str_slice(text, 0, end);
    rest = blanks ? mg_unicode_trim(rest, false, true) : rest;
    if (!blanks || rest.size > 0) {
        add_piece(ctx, list, rest);
    }
}

static bool split(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_targs *args, bool last,
                  mg_tval *out)
{
    static const char *const names[] = { "sep", "maxsplit" };
    mg_tval a[2];
    mg_str separator = mg_str_of("");
    int64_t count_max;
    if (!mg_tbind(ctx, at, args, "split", names, 2, 0, a) ||
        !mg_targ_int(ctx, at, &a[1], "maxsplit", -1, &count_max)) {
        return false;
    }
    bool blanks = a[0].kind == MG_T_ABSENT || a[0].kind == MG_T_NULL;
    if (!blanks && !mg_targ_str(ctx, at, &a[0], "sep", &separator)) {
        return false;
    }
    if (!blanks && separator.size == 0) {
        return mg_tfail(ctx, at, "empty separator");
    }
    pieces list = { 0 };
    count_max = count_max < 0 ? -1 : count_max;
    if (last) {
        split_last(ctx, text, separator, blanks, count_max, &list);
        for (int64_t i = 0; i < list.count / 2; i++) {
            mg_tval swap = list.items[i];
            list.items[i] = list.items[list.count - 1 - i];
            list.items[list.count - 1 - i] = swap;
        }
    } else if (blanks) {
        split_blanks(ctx, text, count_max, &list);
    } else {
        split_separator(ctx, text, separator, count_max, &list);
    }
    *out = close_pieces(ctx, &list);
    return mg_tstep(ctx, at, (int64_t)(text.size / 16) + list.count);
}

static bool method_split(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    return split(ctx, at, value.as.string, args, false, out);
}

static bool method_rsplit(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    return split(ctx, at, value.as.string, args, true, out);
}

static bool method_splitlines(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    static const char *const names[] = { "keepends" };
    mg_tval a;
    bool keep = false;
    if (!mg_tbind(ctx, at, args, "splitlines", names, 1, 0, &a) || !mg_ttruth(ctx, at, &a, &keep)) {
        return false;
    }
    pieces list = { 0 };
    mg_str rest = value.as.string;
    mg_str line;
    mg_str end;
    while (mg_ttext_line(&rest, &line, &end)) {
        add_piece(ctx, &list, mg_str_make(line.data, line.size + (keep ? end.size : 0)));
    }
    *out = close_pieces(ctx, &list);
    return mg_tstep(ctx, at, list.count);
}

static bool partition(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_targs *args,
                      bool last, mg_tval *out)
{
    static const char *const names[] = { "sep" };
    mg_tval a;
    mg_str separator;
    if (!mg_tbind(ctx, at, args, "partition", names, 1, 1, &a) ||
        !mg_targ_str(ctx, at, &a, "sep", &separator)) {
        return false;
    }
    if (separator.size == 0) {
        return mg_tfail(ctx, at, "empty separator");
    }
    int64_t found = last ? find_last(text, separator, text.size) : mg_str_find(text, separator, 0);
    mg_str empty = mg_str_of("");
    mg_str parts[3] = { last ? empty : text, empty, last ? text : empty };
    if (found >= 0) {
        parts[0] = mg_str_slice(text, 0, (size_t)found);
        parts[1] = separator;
        parts[2] = mg_str_slice(text, (size_t)found + separator.size, text.size);
    }
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_TUPLE, 3);
    for (int i = 0; i < 3; i++) {
        out->as.list->items[i] = mg_tval_str(parts[i]);
    }
    return true;
}

static bool method_partition(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                             mg_tval *out)
{
    return partition(ctx, at, value.as.string, args, false, out);
}

static bool method_rpartition(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    return partition(ctx, at, value.as.string, args, true, out);
}

static bool method_str_join(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                            mg_tval *out)
{
    static const char *const names[] = { "iterable" };
    mg_tval a;
    mg_tlist *list;
    if (!mg_tbind(ctx, at, args, "join", names, 1, 1, &a) || !mg_titerate(ctx, at, &a, &list)) {
        return false;
    }
    mg_buf buf = { 0 };
    bool ok = true;
    for (int64_t i = 0; ok && i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        mg_str part;
        ok = mg_targ_str(ctx, at, &item, "an item of join", &part);
        if (ok) {
            mg_buf_add(&buf, i > 0 ? value.as.string : mg_str_of(""));
            mg_buf_add(&buf, part);
            ok = buf.size <= MG_TEMPLATE_STRING_BYTES_MAX || mg_tcheck_size(ctx, at, buf.size);
        }
    }
    *out = mg_tval_take(ctx, &buf);
    return ok;
}

/* The window [start:end] of the arguments at index 1 and 2, in code points; its offset in
 * *begin_out. */
static bool window(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_tval *a, mg_str *out,
                   int64_t *begin_out)
{
    int64_t count = mg_utf8_count(text);
    int64_t bounds[2] = { 0, count };
    for (int i = 0; i < 2; i++) {
        if (a[i].kind != MG_T_NULL &&
            !mg_targ_int(ctx, at, &a[i], "a bound", bounds[i], &bounds[i])) {
            return false;
        }
        bounds[i] += bounds[i] < 0 ? count : 0;
        bounds[i] = MG_MIN(MG_MAX(bounds[i], 0), i == 1 ? count : INT64_MAX);
    }
    *begin_out = bounds[0];
    *out = mg_str_make(NULL, 0);
    if (bounds[0] <= bounds[1]) {
        size_t begin = mg_utf8_offset(text, bounds[0]);
        size_t end = mg_utf8_offset(text, bounds[1]);
        *out = mg_str_make(text.data + begin, end - begin);
    }
    return true;
}

static const char *const find_names[] = { "sub", "start", "end" };

/* str.find, index, rfind, rindex: the code point index of the first or last place; -1 = none. */
static bool find(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_targs *args, bool last,
                 int64_t *out)
{
    mg_tval a[3];
    mg_str needle;
    mg_str part;
    int64_t begin;
    *out = -1;
    if (!mg_tbind(ctx, at, args, "find", find_names, 3, 1, a) ||
        !mg_targ_str(ctx, at, &a[0], "sub", &needle) ||
        !window(ctx, at, text, &a[1], &part, &begin)) {
        return false;
    }
    if (part.data == NULL && text.data != NULL) {
        return true; /* the window is empty because its bounds cross */
    }
    int64_t found = last ? find_last(part, needle, part.size) : mg_str_find(part, needle, 0);
    if (found >= 0) {
        *out = begin + mg_utf8_count(mg_str_slice(part, 0, (size_t)found));
    }
    return true;
}

static bool method_find(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    int64_t index;
    bool ok = find(ctx, at, value.as.string, args, false, &index);
    *out = mg_tval_int(index);
    return ok;
}

static bool method_rfind(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    int64_t index;
    bool ok = find(ctx, at, value.as.string, args, true, &index);
    *out = mg_tval_int(index);
    return ok;
}

static bool method_str_index(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                             mg_tval *out)
{
    int64_t index;
    if (!find(ctx, at, value.as.string, args, false, &index)) {
        return false;
    }
    *out = mg_tval_int(index);
    return index >= 0 || mg_tfail(ctx, at, "substring not found");
}

static bool method_str_rindex(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    int64_t index;
    if (!find(ctx, at, value.as.string, args, true, &index)) {
        return false;
    }
    *out = mg_tval_int(index);
    return index >= 0 || mg_tfail(ctx, at, "substring not found");
}

static bool method_str_count(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                             mg_tval *out)
{
    mg_tval a[3];
    mg_str needle;
    mg_str part;
    int64_t begin;
    int64_t count = 0;
    if (!mg_tbind(ctx, at, args, "count", find_names, 3, 1, a) ||
        !mg_targ_str(ctx, at, &a[0], "sub", &needle) ||
        !window(ctx, at, value.as.string, &a[1], &part, &begin)) {
        return false;
    }
    if (needle.size == 0) {
        count = mg_utf8_count(part) + 1;
    }
    for (size_t i = 0; needle.size > 0; count++) {
        int64_t found = mg_str_find(part, needle, i);
        if (found < 0) {
            break;
        }
        i = (size_t)found + needle.size;
    }
    *out = mg_tval_int(count);
    return true;
}

static bool has_affix(mg_str text, mg_str affix, bool end)
{
    return affix.size <= text.size &&
           mg_str_equal(end ? mg_str_slice(text, text.size - affix.size, text.size)
                            : mg_str_slice(text, 0, affix.size),
                        affix);
}

/* startswith and endswith; the affix may be a tuple of several. */
static bool affix_test(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_targs *args,
                       bool end, mg_tval *out)
{
    static const char *const names[] = { "prefix", "start", "end" };
    mg_tval a[3];
    mg_str part;
    int64_t begin;
    if (!mg_tbind(ctx, at, args, end ? "endswith" : "startswith", names, 3, 1, a) ||
        !window(ctx, at, text, &a[1], &part, &begin)) {
        return false;
    }
    bool crossed = part.data == NULL && text.data != NULL;
    bool found = false;
    bool several = a[0].kind == MG_T_LIST && a[0].as.list->style == MG_T_STYLE_TUPLE;
    int64_t count = several ? a[0].as.list->count : 1;
    for (int64_t i = 0; i < count; i++) {
        mg_tval one = several ? mg_tlist_item(ctx->arena, a[0].as.list, i) : a[0];
        mg_str affix;
        if (!mg_targ_str(ctx, at, &one, "the affix", &affix)) {
            return false;
        }
        found = found || (!crossed && has_affix(part, affix, end));
    }
    *out = mg_tval_bool(found);
    return true;
}

static bool method_startswith(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    return affix_test(ctx, at, value.as.string, args, false, out);
}

static bool method_endswith(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                            mg_tval *out)
{
    return affix_test(ctx, at, value.as.string, args, true, out);
}

static bool remove_affix(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_targs *args,
                         bool end, mg_tval *out)
{
    static const char *const names[] = { "affix" };
    mg_tval a;
    mg_str affix;
    if (!mg_tbind(ctx, at, args, end ? "removesuffix" : "removeprefix", names, 1, 1, &a) ||
        !mg_targ_str(ctx, at, &a, "the affix", &affix)) {
        return false;
    }
    size_t cut = has_affix(text, affix, end) ? affix.size : 0;
    *out = mg_tval_str(end ? mg_str_slice(text, 0, text.size - cut)
                           : mg_str_slice(text, cut, text.size));
    return true;
}

static bool method_removeprefix(mg_tctx *ctx, const mg_tnode *at, mg_tval value,
                                const mg_targs *args, mg_tval *out)
{
    return remove_affix(ctx, at, value.as.string, args, false, out);
}

static bool method_removesuffix(mg_tctx *ctx, const mg_tnode *at, mg_tval value,
                                const mg_targs *args, mg_tval *out)
{
    return remove_affix(ctx, at, value.as.string, args, true, out);
}

/* ljust, rjust and zfill: the text padded to width. */
static bool justify(mg_tctx *ctx, const mg_tnode *at, mg_str text, const mg_targs *args,
                    bool text_first, mg_str fill, mg_tval *out)
{
    static const char *const names[] = { "width", "fillchar" };
    mg_tval a[2];
    int64_t width;
    if (!mg_tbind(ctx, at, args, "the method", names, 2, 1, a) ||
        !mg_targ_int(ctx, at, &a[0], "width", 0, &width) ||
        (a[1].kind != MG_T_ABSENT && !mg_targ_str(ctx, at, &a[1], "fillchar", &fill))) {
        return false;
    }
    int64_t pad = width - mg_utf8_count(text);
    if (mg_utf8_count(fill) != 1) {
        return mg_tfail(ctx, at, "the fill character must be exactly one character long");
    }
    if (pad > 0 && !mg_tcheck_size(ctx, at, (size_t)pad)) {
        return false;
    }
    mg_buf buf = { 0 };
    mg_buf_add(&buf, text_first ? text : mg_str_of(""));
    for (int64_t i = 0; i < pad; i++) {
        mg_buf_add(&buf, fill);
    }
    mg_buf_add(&buf, text_first ? mg_str_of("") : text);
    *out = mg_tval_take(ctx, &buf);
    return true;
}

static bool method_ljust(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    return justify(ctx, at, value.as.string, args, true, mg_str_of(" "), out);
}

static bool method_rjust(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    return justify(ctx, at, value.as.string, args, false, mg_str_of(" "), out);
}

static bool method_zfill(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    mg_str text = value.as.string;
    bool sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    mg_tval digits;
    mg_targs shorter = *args;
    mg_tval width;
    if (args->count != 1 || args->values[0].kind != MG_T_INT) {
        return mg_tfail(ctx, at, "zfill needs one integer");
    }
    width = mg_tval_int(args->values[0].as.integer - (sign ? 1 : 0));
    shorter.values = &width;
    if (!justify(ctx, at, mg_str_slice(text, sign ? 1 : 0, text.size), &shorter, false,
                 mg_str_of("0"), &digits)) {
        return false;
    }
    *out = mg_tval_copy_str(ctx, mg_arena_printf(ctx->arena, "%.*s%.*s",
                                                 MG_STR_ARG(mg_str_slice(text, 0, sign ? 1 : 0)),
                                                 MG_STR_ARG(digits.as.string)));
    return true;
}

static bool method_format(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    return mg_tformat_braces(ctx, at, value.as.string, args, out);
}

static bool method_swapcase(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                            mg_tval *out)
{
    mg_str text = value.as.string;
    mg_buf buf = { 0 };
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        mg_str one = mg_str_slice(text, i, i + bytes);
        if (mg_unicode_is_upper(c)) {
            mg_unicode_lower(&buf, one);
        } else if (mg_unicode_is_lower(c)) {
            mg_unicode_upper(&buf, one);
        } else {
            mg_buf_add(&buf, one);
        }
    }
    *out = mg_tval_take(ctx, &buf);
    return no_arguments(ctx, at, args, "swapcase");
}

/* Whether text is not empty and holds holds for each of its characters. */
static mg_tval all_characters(mg_str text, bool (*holds)(int32_t))
{
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        if (!holds(mg_utf8_decode(text, i, &bytes))) {
            return mg_tval_bool(false);
        }
    }
    return mg_tval_bool(text.size > 0);
}

/* str.isdigit: decimals, superscripts and circled digits. */
static bool is_digit(int32_t c)
{
    return mg_unicode_is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
           (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
           (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C) ||
           (c >= 0x2488 && c <= 0x2490) || c == 0x24EA || (c >= 0x24F5 && c <= 0x24FD) ||
           c == 0x24FF || (c >= 0x2776 && c <= 0x277E) || (c >= 0x2780 && c <= 0x2788) ||
           (c >= 0x278A && c <= 0x2792);
}

static bool is_alphanumeric(int32_t c)
{
    return mg_unicode_is_letter(c) || mg_unicode_is_number(c);
}

static bool method_isdigit(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    *out = all_characters(value.as.string, is_digit);
    return no_arguments(ctx, at, args, "isdigit");
}

static bool method_isdecimal(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                             mg_tval *out)
{
    *out = all_characters(value.as.string, mg_unicode_is_decimal);
    return no_arguments(ctx, at, args, "isdecimal");
}

static bool method_isnumeric(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                             mg_tval *out)
{
    *out = all_characters(value.as.string, mg_unicode_is_number);
    return no_arguments(ctx, at, args, "isnumeric");
}

static bool method_isalpha(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    *out = all_characters(value.as.string, mg_unicode_is_letter);
    return no_arguments(ctx, at, args, "isalpha");
}

static bool method_isalnum(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    *out = all_characters(value.as.string, is_alphanumeric);
    return no_arguments(ctx, at, args, "isalnum");
}

static bool method_isspace(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    *out = all_characters(value.as.string, mg_unicode_is_python_space);
    return no_arguments(ctx, at, args, "isspace");
}

static bool method_islower(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    const mg_tnamed *test = mg_tfind_test(mg_str_of("lower"));
    return test->call(ctx, at, value, args, out);
}

static bool method_isupper(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    const mg_tnamed *test = mg_tfind_test(mg_str_of("upper"));
    return test->call(ctx, at, value, args, out);
}

/* ---- lists ---- */

static bool method_list_index(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    static const char *const names[] = { "value", "start", "stop" };
    mg_tval a[3];
    mg_tlist *list = value.as.list;
    int64_t start;
    int64_t stop;
    if (!mg_tbind(ctx, at, args, "index", names, 3, 1, a) ||
        !mg_targ_int(ctx, at, &a[1], "start", 0, &start) ||
        !mg_targ_int(ctx, at, &a[2], "stop", list->count, &stop) ||
        !mg_tstep(ctx, at, list->count)) {
        return false;
    }
    start += start < 0 ? list->count : 0;
    stop += stop < 0 ? list->count : 0;
    for (int64_t i = MG_MAX(start, 0); i < MG_MIN(stop, list->count); i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        bool equal;
        if (!mg_tequals(ctx, at, &item, &a[0], &equal)) {
            return false;
        }
        if (equal) {
            *out = mg_tval_int(i);
            return true;
        }
    }
    mg_buf shown = { 0 };
    (void)mg_trepr(ctx->arena, &shown, &a[0]);
    mg_tval text = mg_tval_take(ctx, &shown);
    return mg_tfail(ctx, at, "%.*s is not in list", MG_STR_ARG(text.as.string));
}

static bool method_list_count(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    static const char *const names[] = { "value" };
    mg_tval a;
    int64_t count = 0;
    if (!mg_tbind(ctx, at, args, "count", names, 1, 1, &a)) {
        return false;
    }
    for (int64_t i = 0; i < value.as.list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, value.as.list, i);
        bool equal;
        if (!mg_tequals(ctx, at, &item, &a, &equal) || !mg_tstep(ctx, at, 1)) {
            return false;
        }
        count += equal;
    }
    *out = mg_tval_int(count);
    return true;
}

static bool method_copy(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    *out = value; /* values never change */
    return no_arguments(ctx, at, args, "copy");
}

/* ---- maps ---- */

static mg_tval map_view(mg_tctx *ctx, const mg_tmap *map, mg_tstyle style)
{
    mg_tval v = mg_tval_list(ctx->arena, style, map->count);
    for (int64_t i = 0; i < map->count; i++) {
        mg_tval key = mg_tmap_key(ctx->arena, map, i);
        mg_tval item = mg_tmap_value(ctx->arena, map, i);
        v.as.list->items[i] = style == MG_T_STYLE_KEYS     ? key
                              : style == MG_T_STYLE_VALUES ? item
                                                           : mg_tval_pair(ctx->arena, key, item);
    }
    return v;
}

static bool method_items(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    *out = map_view(ctx, value.as.map, MG_T_STYLE_ITEMS);
    return no_arguments(ctx, at, args, "items") && mg_tstep(ctx, at, value.as.map->count);
}

static bool method_keys(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    *out = map_view(ctx, value.as.map, MG_T_STYLE_KEYS);
    return no_arguments(ctx, at, args, "keys") && mg_tstep(ctx, at, value.as.map->count);
}

static bool method_values(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    *out = map_view(ctx, value.as.map, MG_T_STYLE_VALUES);
    return no_arguments(ctx, at, args, "values") && mg_tstep(ctx, at, value.as.map->count);
}

static bool method_get(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    static const char *const names[] = { "key", "default" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "get", names, 2, 1, a)) {
        return false;
    }
    int64_t index = mg_tmap_find(ctx->arena, value.as.map, &a[0]);
    if (index >= 0) {
        *out = mg_tmap_value(ctx->arena, value.as.map, index);
        return true;
    }
    *out = a[1];
    out->kind = a[1].kind == MG_T_ABSENT ? MG_T_NULL : a[1].kind;
    return true;
}

const mg_tnamed *mg_tfind_method(const mg_tval *object, mg_str name)
{
    static const mg_tnamed strings[] = {
        { "capitalize", method_capitalize },
        { "casefold", method_lower },
        { "count", method_str_count },
        { "endswith", method_endswith },
        { "find", method_find },
        { "format", method_format },
        { "index", method_str_index },
        { "isalnum", method_isalnum },
        { "isalpha", method_isalpha },
        { "isdecimal", method_isdecimal },
        { "isdigit", method_isdigit },
        { "islower", method_islower },
        { "isnumeric", method_isnumeric },
        { "isspace", method_isspace },
        { "isupper", method_isupper },
        { "join", method_str_join },
        { "ljust", method_ljust },
        { "lower", method_lower },
        { "lstrip", method_lstrip },
        { "partition", method_partition },
        { "removeprefix", method_removeprefix },
        { "removesuffix", method_removesuffix },
        { "replace", method_replace },
        { "rfind", method_rfind },
        { "rindex", method_str_rindex },
        { "rjust", method_rjust },
        { "rpartition", method_rpartition },
        { "rsplit", method_rsplit },
        { "rstrip", method_rstrip },
        { "split", method_split },
        { "splitlines", method_splitlines },
        { "startswith", method_startswith },
        { "strip", method_strip },
        { "swapcase", method_swapcase },
        { "title", method_title },
        { "upper", method_upper },
        { "zfill", method_zfill },
    };
    static const mg_tnamed lists[] = { { "copy", method_copy },
                                       { "count", method_list_count },
                                       { "index", method_list_index } };
    static const mg_tnamed maps[] = { { "copy", method_copy },
                                      { "get", method_get },
                                      { "items", method_items },
                                      { "keys", method_keys },
                                      { "values", method_values } };
    switch (object->kind) {
    case MG_T_STRING:
        return mg_tfind_named(strings, MG_ARRAY_COUNT(strings), name);
    case MG_T_LIST:
        return object->as.list->style <= MG_T_STYLE_RANGE
                   ? mg_tfind_named(lists, MG_ARRAY_COUNT(lists), name)
                   : NULL;
    case MG_T_MAP:
        return mg_tfind_named(maps, MG_ARRAY_COUNT(maps), name);
    case MG_T_LOOP:
        return mg_tfind_loop_method(name);
    default:
        return NULL;
    }
}
