/* text/template_value.c - the values of a render: making, comparing, walking and printing them.
 *
 * Everything follows Python: True is 1, 1 == 1.0, strings order by code point, a list never equals
 * a tuple, and str() of a container prints the repr() of its items. */
#include "text/template_internal.h"

#include "text/utf8.h"

#include <math.h>

/* ---- making ---- */

mg_tval mg_tval_bool(bool b)
{
    mg_tval v = { 0 };
    v.kind = MG_T_BOOL;
    v.as.boolean = b;
    return v;
}

mg_tval mg_tval_int(int64_t i)
{
    mg_tval v = { 0 };
    v.kind = MG_T_INT;
    v.as.integer = i;
    return v;
}

mg_tval mg_tval_float(double d)
{
    mg_tval v = { 0 };
    v.kind = MG_T_FLOAT;
    v.as.number = d;
    return v;
}

mg_tval mg_tval_str(mg_str s)
{
    mg_tval v = { 0 };
    v.kind = MG_T_STRING;
    v.as.string = s;
    return v;
}

mg_tval mg_tval_copy_str(mg_tctx *ctx, mg_str s)
{
    return mg_tval_str(mg_arena_copy(ctx->arena, s));
}

mg_tval mg_tval_take(mg_tctx *ctx, mg_buf *buf)
{
    mg_tval v = mg_tval_copy_str(ctx, mg_buf_view(buf));
    mg_buf_release(buf);
    return v;
}

mg_tval mg_tval_list(mg_arena *arena, mg_tstyle style, int64_t count)
{
    mg_tval v = { 0 };
    v.kind = MG_T_LIST;
    v.as.list = mg_arena_new(arena, mg_tlist);
    v.as.list->style = style;
    v.as.list->count = count;
    v.as.list->items = count > 0 ? mg_arena_array(arena, mg_tval, count) : NULL;
    return v;
}

mg_tval mg_tval_pair(mg_arena *arena, mg_tval first, mg_tval second)
{
    mg_tval v = mg_tval_list(arena, MG_T_STYLE_TUPLE, 2);
    v.as.list->items[0] = first;
    v.as.list->items[1] = second;
    return v;
}

static mg_tval new_undefined(mg_tctx *ctx, bool strict, const char *owner, mg_str name)
{
    mg_tval v = { 0 };
    v.kind = MG_T_UNDEFINED;
    v.as.undefined = mg_arena_new(ctx->arena, mg_tundefined);
    v.as.undefined->strict = strict;
    v.as.undefined->owner = owner;
    v.as.undefined->name = name;
    return v;
}

mg_tval mg_tval_undefined(mg_tctx *ctx, const char *owner, mg_str name)
{
    return new_undefined(ctx, ctx->t->profile == MG_TEMPLATE_TASK, owner, name);
}

mg_tval mg_tval_lenient(mg_tctx *ctx, const char *text)
{
    return new_undefined(ctx, false, "", mg_str_of(text));
}

mg_tval mg_tval_of(mg_arena *arena, const mg_value *value)
{
    mg_tval v = { 0 };
    switch (value->kind) {
    case MG_NULL:
        v.kind = MG_T_NULL;
        return v;
    case MG_BOOL:
        return mg_tval_bool(value->boolean);
    case MG_INT:
        return mg_tval_int(value->integer);
    case MG_FLOAT:
        return mg_tval_float(value->number);
    case MG_STRING:
        return mg_tval_str(value->string);
    case MG_LIST:
        v.kind = MG_T_LIST;
        v.as.list = mg_arena_new(arena, mg_tlist);
        v.as.list->count = value->count;
        v.as.list->doc = value->items;
        return v;
    case MG_MAP:
        v.kind = MG_T_MAP;
        v.as.map = mg_arena_new(arena, mg_tmap);
        v.as.map->count = value->count;
        v.as.map->doc = value->entries;
        return v;
    }
    return v;
}

mg_tval mg_tlist_item(mg_arena *arena, const mg_tlist *list, int64_t index)
{
    if (list->items != NULL) {
        return list->items[index];
    }
    return list->doc != NULL ? mg_tval_of(arena, &list->doc[index])
                             : mg_tval_int(list->start + index * list->step);
}

mg_tval mg_tmap_key(mg_arena *arena, const mg_tmap *map, int64_t index)
{
    return map->doc != NULL ? mg_tval_of(arena, &map->doc[index].key) : map->keys[index];
}

mg_tval mg_tmap_value(mg_arena *arena, const mg_tmap *map, int64_t index)
{
    return map->doc != NULL ? mg_tval_of(arena, &map->doc[index].value) : map->values[index];
}

int64_t mg_tmap_find(mg_arena *arena, const mg_tmap *map, const mg_tval *key)
{
    for (int64_t i = 0; i < map->count; i++) {
        if (map->doc != NULL && key->kind == MG_T_STRING) {
            const mg_value *other = &map->doc[i].key;
            if (other->kind == MG_STRING && mg_str_equal(other->string, key->as.string)) {
                return i;
            }
            continue;
        }
        mg_tval other = mg_tmap_key(arena, map, i);
        if (mg_tequal(arena, &other, key)) {
            return i;
        }
    }
    return -1;
}

mg_tmap *mg_tmap_new(mg_arena *arena, int64_t cap)
{
    mg_tmap *map = mg_arena_new(arena, mg_tmap);
    map->cap = MG_MAX(cap, 4);
    map->keys = mg_arena_array(arena, mg_tval, map->cap);
    map->values = mg_arena_array(arena, mg_tval, map->cap);
    return map;
}

void mg_tmap_set(mg_arena *arena, mg_tmap *map, mg_tval key, mg_tval value)
{
    int64_t index = mg_tmap_find(arena, map, &key);
    if (index < 0) {
        if (map->count == map->cap) {
            mg_tmap *wider = mg_tmap_new(arena, map->cap * 2);
            memcpy(wider->keys, map->keys, (size_t)map->count * sizeof(mg_tval));
            memcpy(wider->values, map->values, (size_t)map->count * sizeof(mg_tval));
            wider->count = map->count;
            *map = *wider;
        }
        index = map->count++;
        map->keys[index] = key;
    }
    map->values[index] = value;
}

/* ---- asking ---- */

const char *mg_ttype_name(const mg_tval *value)
{
    static const char *const list_names[] = {
        [MG_T_STYLE_LIST] = "list",          [MG_T_STYLE_TUPLE] = "tuple",
        [MG_T_STYLE_RANGE] = "range",        [MG_T_STYLE_ITEMS] = "dict_items",
        [MG_T_STYLE_KEYS] = "dict_keys",     [MG_T_STYLE_VALUES] = "dict_values",
        [MG_T_STYLE_GENERATOR] = "generator"
    };
    switch (value->kind) {
    case MG_T_ABSENT:
    case MG_T_UNDEFINED:
        return "Undefined";
    case MG_T_NULL:
        return "NoneType";
    case MG_T_BOOL:
        return "bool";
    case MG_T_INT:
        return "int";
    case MG_T_FLOAT:
        return "float";
    case MG_T_STRING:
        return "str";
    case MG_T_LIST:
        return list_names[value->as.list->style];
    case MG_T_MAP:
        return "dict";
    case MG_T_NAMESPACE:
        return "Namespace";
    case MG_T_MACRO:
        return "Macro";
    case MG_T_GLOBAL:
        return "function";
    case MG_T_METHOD:
        return "method";
    case MG_T_LOOP:
        return "LoopContext";
    }
    return "object";
}

bool mg_tval_is_number(const mg_tval *value)
{
    return value->kind == MG_T_BOOL || value->kind == MG_T_INT || value->kind == MG_T_FLOAT;
}

int64_t mg_tval_integer(const mg_tval *value)
{
    return value->kind == MG_T_BOOL ? (int64_t)value->as.boolean : value->as.integer;
}

double mg_tval_number(const mg_tval *value)
{
    return value->kind == MG_T_FLOAT ? value->as.number : (double)mg_tval_integer(value);
}

static bool list_is_set_like(const mg_tlist *list)
{
    return list->style == MG_T_STYLE_ITEMS || list->style == MG_T_STYLE_KEYS ||
           list->style == MG_T_STYLE_VALUES || list->style == MG_T_STYLE_GENERATOR;
}

static bool equal(mg_arena *arena, const mg_tval *a, const mg_tval *b, int depth);

static bool lists_equal(mg_arena *arena, const mg_tlist *a, const mg_tlist *b, int depth)
{
    if (a == b) {
        return true;
    }
    if (a->style != b->style || a->count != b->count || list_is_set_like(a)) {
        return false;
    }
    for (int64_t i = 0; i < a->count; i++) {
        mg_tval x = mg_tlist_item(arena, a, i);
        mg_tval y = mg_tlist_item(arena, b, i);
        if (!equal(arena, &x, &y, depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool maps_equal(mg_arena *arena, const mg_tmap *a, const mg_tmap *b, int depth)
{
    if (a->count != b->count) {
        return false;
    }
    for (int64_t i = 0; i < a->count; i++) {
        mg_tval key = mg_tmap_key(arena, a, i);
        mg_tval x = mg_tmap_value(arena, a, i);
        int64_t index = mg_tmap_find(arena, b, &key);
        if (index < 0) {
            return false;
        }
        mg_tval y = mg_tmap_value(arena, b, index);
        if (!equal(arena, &x, &y, depth + 1)) {
            return false;
        }
    }
    return true;
}

/* What is nested too deeply equals nothing. */
static bool equal(mg_arena *arena, const mg_tval *a, const mg_tval *b, int depth)
{
    if (depth > MG_TEMPLATE_VALUE_DEPTH_MAX) {
        return false;
    }
    if (mg_tval_is_number(a) && mg_tval_is_number(b)) {
        if (a->kind != MG_T_FLOAT && b->kind != MG_T_FLOAT) {
            return mg_tval_integer(a) == mg_tval_integer(b);
        }
        return mg_tval_number(a) == mg_tval_number(b);
    }
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case MG_T_STRING:
        return mg_str_equal(a->as.string, b->as.string);
    case MG_T_LIST:
        return lists_equal(arena, a->as.list, b->as.list, depth);
    case MG_T_MAP:
        return maps_equal(arena, a->as.map, b->as.map, depth);
    case MG_T_NULL:
    case MG_T_UNDEFINED:
        return true;
    case MG_T_NAMESPACE:
        return a->as.map == b->as.map;
    case MG_T_MACRO:
        return a->as.macro == b->as.macro;
    case MG_T_GLOBAL:
        return a->as.global == b->as.global;
    default:
        return false;
    }
}

bool mg_tequal(mg_arena *arena, const mg_tval *a, const mg_tval *b)
{
    return equal(arena, a, b, 0);
}

bool mg_tundefined_fail(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value)
{
    const mg_tundefined *u = value->as.undefined;
    if (u->owner == NULL) {
        return mg_tfail(ctx, at, "'%.*s' is undefined", MG_STR_ARG(u->name));
    }
    if (u->owner[0] == '\0') {
        return mg_tfail(ctx, at, "%.*s", MG_STR_ARG(u->name));
    }
    return mg_tfail(ctx, at, "'%s' has no attribute '%.*s'", u->owner, MG_STR_ARG(u->name));
}

/* Fails when value is an undefined that must not be used. */
static bool check_strict(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value)
{
    if (value->kind == MG_T_UNDEFINED && value->as.undefined->strict) {
        return mg_tundefined_fail(ctx, at, value);
    }
    return true;
}

bool mg_ttruth(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, bool *out)
{
    switch (value->kind) {
    case MG_T_UNDEFINED:
        *out = false;
        return check_strict(ctx, at, value);
    case MG_T_ABSENT:
    case MG_T_NULL:
        *out = false;
        return true;
    case MG_T_BOOL:
        *out = value->as.boolean;
        return true;
    case MG_T_INT:
        *out = value->as.integer != 0;
        return true;
    case MG_T_FLOAT:
        *out = value->as.number != 0.0;
        return true;
    case MG_T_STRING:
        *out = value->as.string.size > 0;
        return true;
    case MG_T_LIST:
        *out = value->as.list->style == MG_T_STYLE_GENERATOR || value->as.list->count > 0;
        return true;
    case MG_T_MAP:
        *out = value->as.map->count > 0;
        return true;
    default:
        *out = true;
        return true;
    }
}

bool mg_tequals(mg_tctx *ctx, const mg_tnode *at, const mg_tval *a, const mg_tval *b, bool *out)
{
    *out = mg_tequal(ctx->arena, a, b);
    return check_strict(ctx, at, a) && check_strict(ctx, at, b);
}

static bool compare_lists(mg_tctx *ctx, const mg_tnode *at, const mg_tlist *a, const mg_tlist *b,
                          int *out)
{
    for (int64_t i = 0; i < a->count && i < b->count; i++) {
        mg_tval x = mg_tlist_item(ctx->arena, a, i);
        mg_tval y = mg_tlist_item(ctx->arena, b, i);
        if (!mg_tequal(ctx->arena, &x, &y)) {
            if (++ctx->depth > MG_TEMPLATE_DEPTH_MAX) {
                return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "the value is nested too deeply");
            }
            bool ok = mg_tcompare(ctx, at, &x, &y, out);
            ctx->depth--;
            return ok;
        }
    }
    *out = a->count < b->count ? -1 : a->count > b->count ? 1 : 0;
    return true;
}

bool mg_tcompare(mg_tctx *ctx, const mg_tnode *at, const mg_tval *a, const mg_tval *b, int *out)
{
    *out = 0;
    if (a->kind == MG_T_UNDEFINED || b->kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, a->kind == MG_T_UNDEFINED ? a : b);
    }
    if (mg_tval_is_number(a) && mg_tval_is_number(b)) {
        if (a->kind != MG_T_FLOAT && b->kind != MG_T_FLOAT) {
            int64_t x = mg_tval_integer(a);
            int64_t y = mg_tval_integer(b);
            *out = x < y ? -1 : x > y ? 1 : 0;
            return true;
        }
        double x = mg_tval_number(a);
        double y = mg_tval_number(b);
        *out = x < y ? -1 : x > y ? 1 : 0;
        return true;
    }
    if (a->kind == MG_T_STRING && b->kind == MG_T_STRING) {
        *out = mg_str_compare(a->as.string, b->as.string);
        return true;
    }
    if (a->kind == MG_T_LIST && b->kind == MG_T_LIST && a->as.list->style == b->as.list->style &&
        a->as.list->style <= MG_T_STYLE_TUPLE) {
        return compare_lists(ctx, at, a->as.list, b->as.list, out);
    }
    return mg_tfail(ctx, at, "'%s' and '%s' have no order", mg_ttype_name(a), mg_ttype_name(b));
}

bool mg_tcontains(mg_tctx *ctx, const mg_tnode *at, const mg_tval *box, const mg_tval *item,
                  bool *out)
{
    *out = false;
    if (!check_strict(ctx, at, box)) {
        return false;
    }
    if (box->kind == MG_T_STRING) {
        if (item->kind == MG_T_UNDEFINED) {
            return mg_tundefined_fail(ctx, at, item);
        }
        if (item->kind != MG_T_STRING) {
            return mg_tfail(ctx, at, "'in' a string needs a string, not '%s'", mg_ttype_name(item));
        }
        *out = mg_str_find(box->as.string, item->as.string, 0) >= 0;
        return true;
    }
    if (box->kind == MG_T_MAP) {
        if (item->kind == MG_T_MAP ||
            (item->kind == MG_T_LIST && item->as.list->style == MG_T_STYLE_LIST)) {
            return mg_tfail(ctx, at, "unhashable type: '%s'", mg_ttype_name(item));
        }
        *out = mg_tmap_find(ctx->arena, box->as.map, item) >= 0;
        return true;
    }
    mg_tlist *list = NULL;
    if (!mg_titerate(ctx, at, box, &list)) {
        return false;
    }
    for (int64_t i = 0; i < list->count && !*out; i++) {
        mg_tval other = mg_tlist_item(ctx->arena, list, i);
        if (!mg_tequals(ctx, at, &other, item, out) || !mg_tstep(ctx, at, 1)) {
            return false;
        }
    }
    return true;
}

static mg_tlist *characters(mg_tctx *ctx, mg_str text)
{
    int64_t count = mg_utf8_count(text);
    mg_tval v = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, count);
    size_t offset = 0;
    for (int64_t i = 0; i < count; i++) {
        size_t bytes;
        (void)mg_utf8_decode(text, offset, &bytes);
        v.as.list->items[i] = mg_tval_str(mg_str_slice(text, offset, offset + bytes));
        offset += bytes;
    }
    return v.as.list;
}

bool mg_titerate(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, mg_tlist **out)
{
    *out = NULL;
    switch (value->kind) {
    case MG_T_UNDEFINED:
        *out = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, 0).as.list;
        return check_strict(ctx, at, value);
    case MG_T_STRING:
        if (!mg_tstep(ctx, at, (int64_t)value->as.string.size)) {
            return false;
        }
        *out = characters(ctx, value->as.string);
        return true;
    case MG_T_LIST:
        *out = value->as.list;
        if (value->as.list->style == MG_T_STYLE_GENERATOR) {
            if (value->as.list->consumed) {
                *out = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, 0).as.list;
            }
            value->as.list->consumed = true;
        }
        return mg_tstep(ctx, at, value->as.list->count);
    case MG_T_MAP: {
        const mg_tmap *map = value->as.map;
        mg_tval keys = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, map->count);
        for (int64_t i = 0; i < map->count; i++) {
            keys.as.list->items[i] = mg_tmap_key(ctx->arena, map, i);
        }
        *out = keys.as.list;
        return mg_tstep(ctx, at, map->count);
    }
    default:
        return mg_tfail(ctx, at, "'%s' object is not iterable", mg_ttype_name(value));
    }
}

bool mg_tlength(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, int64_t *out)
{
    *out = 0;
    switch (value->kind) {
    case MG_T_UNDEFINED:
        return check_strict(ctx, at, value);
    case MG_T_STRING:
        *out = mg_utf8_count(value->as.string);
        return true;
    case MG_T_LIST:
        if (value->as.list->style != MG_T_STYLE_GENERATOR) {
            *out = value->as.list->count;
            return true;
        }
        break;
    case MG_T_MAP:
        *out = value->as.map->count;
        return true;
    default:
        break;
    }
    return mg_tfail(ctx, at, "object of type '%s' has no len()", mg_ttype_name(value));
}

/* ---- printing ---- */

void mg_trepr_string(mg_buf *buf, mg_str text)
{
    bool single = memchr(text.data != NULL ? text.data : "", '\'', text.size) != NULL;
    bool both = single && memchr(text.data, '"', text.size) != NULL;
    char quote = single && !both ? '"' : '\'';
    mg_buf_add_char(buf, quote);
    size_t bytes;
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (c == quote || c == '\\') {
            mg_buf_add_char(buf, '\\');
            mg_buf_add_char(buf, (char)c);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            mg_buf_add_char(buf, '\\');
            mg_buf_add_char(buf, c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        } else if (mg_unicode_is_printable(c)) {
            mg_buf_add(buf, mg_str_slice(text, i, i + bytes));
        } else if (c < 0x100) {
            mg_buf_printf(buf, "\\x%02x", c < 0 ? 0u : (unsigned)c);
        } else if (c < 0x10000) {
            mg_buf_printf(buf, "\\u%04x", (unsigned)c);
        } else {
            mg_buf_printf(buf, "\\U%08x", (unsigned)c);
        }
    }
    mg_buf_add_char(buf, quote);
}

static bool repr(mg_arena *arena, mg_buf *buf, const mg_tval *value, int depth);

static bool repr_map(mg_arena *arena, mg_buf *buf, const mg_tmap *map, int depth)
{
    mg_buf_add_char(buf, '{');
    for (int64_t i = 0; i < map->count; i++) {
        mg_tval key = mg_tmap_key(arena, map, i);
        mg_tval value = mg_tmap_value(arena, map, i);
        mg_buf_add_text(buf, i > 0 ? ", " : "");
        if (!repr(arena, buf, &key, depth)) {
            return false;
        }
        mg_buf_add_text(buf, ": ");
        if (!repr(arena, buf, &value, depth)) {
            return false;
        }
    }
    mg_buf_add_char(buf, '}');
    return true;
}

static bool repr_list(mg_arena *arena, mg_buf *buf, const mg_tlist *list, int depth)
{
    static const struct {
        const char *open;
        const char *close;
    } marks[] = { [MG_T_STYLE_LIST] = { "[", "]" },
                  [MG_T_STYLE_TUPLE] = { "(", ")" },
                  [MG_T_STYLE_RANGE] = { "", "" },
                  [MG_T_STYLE_ITEMS] = { "dict_items([", "])" },
                  [MG_T_STYLE_KEYS] = { "dict_keys([", "])" },
                  [MG_T_STYLE_VALUES] = { "dict_values([", "])" },
                  [MG_T_STYLE_GENERATOR] = { "<generator object>", "" } };
    mg_buf_add_text(buf, marks[list->style].open);
    if (list->style == MG_T_STYLE_RANGE) {
        mg_buf_printf(buf, "range(%lld, %lld", (long long)list->start, (long long)list->stop);
        if (list->step != 1) {
            mg_buf_printf(buf, ", %lld", (long long)list->step);
        }
        mg_buf_add_char(buf, ')');
        return true;
    }
    for (int64_t i = 0; list->style != MG_T_STYLE_GENERATOR && i < list->count; i++) {
        mg_tval item = mg_tlist_item(arena, list, i);
        mg_buf_add_text(buf, i > 0 ? ", " : "");
        if (!repr(arena, buf, &item, depth)) {
            return false;
        }
    }
    if (list->style == MG_T_STYLE_TUPLE && list->count == 1) {
        mg_buf_add_char(buf, ',');
    }
    mg_buf_add_text(buf, marks[list->style].close);
    return true;
}

static bool repr(mg_arena *arena, mg_buf *buf, const mg_tval *value, int depth)
{
    if (depth > MG_TEMPLATE_VALUE_DEPTH_MAX || buf->size > MG_TEMPLATE_STRING_BYTES_MAX) {
        return false;
    }
    switch (value->kind) {
    case MG_T_ABSENT:
    case MG_T_UNDEFINED:
        mg_buf_add_text(buf, "Undefined");
        return true;
    case MG_T_NULL:
        mg_buf_add_text(buf, "None");
        return true;
    case MG_T_BOOL:
        mg_buf_add_text(buf, value->as.boolean ? "True" : "False");
        return true;
    case MG_T_INT:
        mg_buf_printf(buf, "%lld", (long long)value->as.integer);
        return true;
    case MG_T_FLOAT:
        mg_buf_add_double(buf, value->as.number);
        return true;
    case MG_T_STRING:
        mg_trepr_string(buf, value->as.string);
        return true;
    case MG_T_LIST:
        return repr_list(arena, buf, value->as.list, depth + 1);
    case MG_T_MAP:
        return repr_map(arena, buf, value->as.map, depth + 1);
    case MG_T_NAMESPACE:
        mg_buf_add_text(buf, "<Namespace>");
        return true;
    default:
        mg_buf_printf(buf, "<%s>", mg_ttype_name(value));
        return true;
    }
}

bool mg_trepr(mg_arena *arena, mg_buf *buf, const mg_tval *value)
{
    return repr(arena, buf, value, 0);
}

bool mg_tprint(mg_tctx *ctx, const mg_tnode *at, mg_buf *buf, const mg_tval *value)
{
    if (value->kind == MG_T_STRING) {
        mg_buf_add(buf, value->as.string);
        return true;
    }
    if (value->kind == MG_T_UNDEFINED) {
        return check_strict(ctx, at, value);
    }
    return mg_trepr(ctx->arena, buf, value) ||
           mg_tfail_status(ctx, at, MG_ERR_LIMIT, "the value is too large to print");
}

bool mg_tstring(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, mg_str *out)
{
    if (value->kind == MG_T_STRING) {
        *out = value->as.string;
        return true;
    }
    mg_buf buf = { 0 };
    bool ok = mg_tprint(ctx, at, &buf, value);
    *out = mg_arena_copy(ctx->arena, mg_buf_view(&buf));
    mg_buf_release(&buf);
    return ok;
}

/* ---- leaving ---- */

static bool leave_deeper(mg_tctx *ctx, const mg_tnode *at)
{
    if (++ctx->value_depth > MG_TEMPLATE_VALUE_DEPTH_MAX) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "the value is nested too deeply");
    }
    return true;
}

static bool list_to_value(mg_tctx *ctx, const mg_tnode *at, mg_arena *arena, const mg_tlist *list,
                          mg_value *out)
{
    *out = mg_value_of_list(arena, list->count);
    if (!leave_deeper(ctx, at)) {
        return false;
    }
    for (int64_t i = 0; i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        if (!mg_tto_value(ctx, at, arena, &item, &out->items[i])) {
            return false;
        }
    }
    ctx->value_depth--;
    return true;
}

static bool map_to_value(mg_tctx *ctx, const mg_tnode *at, mg_arena *arena, const mg_tmap *map,
                         mg_value *out)
{
    *out = mg_value_of_map(arena, map->count);
    if (!leave_deeper(ctx, at)) {
        return false;
    }
    for (int64_t i = 0; i < map->count; i++) {
        mg_tval key = mg_tmap_key(ctx->arena, map, i);
        mg_tval value = mg_tmap_value(ctx->arena, map, i);
        if (!mg_tto_value(ctx, at, arena, &key, &out->entries[i].key) ||
            !mg_tto_value(ctx, at, arena, &value, &out->entries[i].value)) {
            return false;
        }
    }
    ctx->value_depth--;
    return true;
}

bool mg_tto_value(mg_tctx *ctx, const mg_tnode *at, mg_arena *arena, const mg_tval *value,
                  mg_value *out)
{
    *out = mg_value_null;
    if (!mg_tstep(ctx, at, 1)) {
        return false;
    }
    switch (value->kind) {
    case MG_T_NULL:
        return true;
    case MG_T_BOOL:
        *out = mg_value_of_bool(value->as.boolean);
        return true;
    case MG_T_INT:
        *out = mg_value_of_int(value->as.integer);
        return true;
    case MG_T_FLOAT:
        *out = mg_value_of_double(value->as.number);
        return true;
    case MG_T_STRING:
        *out = mg_value_of_str(arena, value->as.string);
        return true;
    case MG_T_LIST:
        return list_to_value(ctx, at, arena, value->as.list, out);
    case MG_T_MAP:
        return map_to_value(ctx, at, arena, value->as.map, out);
    case MG_T_UNDEFINED:
        return mg_tundefined_fail(ctx, at, value);
    default:
        return mg_tfail(ctx, at, "a '%s' is no plain value", mg_ttype_name(value));
    }
}
