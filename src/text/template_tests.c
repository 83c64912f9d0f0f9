/* text/template_tests.c - what may stand behind "is", and the global functions. */
#include "text/template_internal.h"

#include "text/utf8.h"

#include <time.h>

/* Most tests look at the value alone. */
typedef bool value_test(const mg_tval *value);

static bool no_arguments(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args)
{
    return mg_tbind(ctx, at, args, "the test", NULL, 0, 0, NULL);
}

static bool plain_test(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const mg_targs *args,
                       value_test *holds, mg_tval *out)
{
    *out = mg_tval_bool(holds(value));
    return no_arguments(ctx, at, args);
}

static bool is_defined(const mg_tval *value)
{
    return value->kind != MG_T_UNDEFINED;
}

static bool is_undefined(const mg_tval *value)
{
    return value->kind == MG_T_UNDEFINED;
}

static bool is_none(const mg_tval *value)
{
    return value->kind == MG_T_NULL;
}

static bool is_boolean(const mg_tval *value)
{
    return value->kind == MG_T_BOOL;
}

static bool is_true(const mg_tval *value)
{
    return value->kind == MG_T_BOOL && value->as.boolean;
}

static bool is_false(const mg_tval *value)
{
    return value->kind == MG_T_BOOL && !value->as.boolean;
}

static bool is_integer(const mg_tval *value)
{
    return value->kind == MG_T_INT;
}

static bool is_float(const mg_tval *value)
{
    return value->kind == MG_T_FLOAT;
}

static bool is_string(const mg_tval *value)
{
    return value->kind == MG_T_STRING;
}

static bool is_mapping(const mg_tval *value)
{
    return value->kind == MG_T_MAP;
}

static bool is_sequence(const mg_tval *value)
{
    return value->kind == MG_T_STRING || value->kind == MG_T_MAP ||
           (value->kind == MG_T_UNDEFINED && !value->as.undefined->strict) ||
           (value->kind == MG_T_LIST && value->as.list->style <= MG_T_STYLE_RANGE);
}

static bool is_callable(const mg_tval *value)
{
    return value->kind == MG_T_MACRO || value->kind == MG_T_GLOBAL || value->kind == MG_T_METHOD ||
           value->kind == MG_T_LOOP || value->kind == MG_T_UNDEFINED;
}

#define VALUE_TEST(name, holds)                                                                    \
    static bool test_##name(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args, \
                            mg_tval *out)                                                          \
    {                                                                                              \
        return plain_test(ctx, at, &value, args, holds, out);                                      \
    }

VALUE_TEST(defined, is_defined)
VALUE_TEST(undefined, is_undefined)
VALUE_TEST(none, is_none)
VALUE_TEST(boolean, is_boolean)
VALUE_TEST(true, is_true)
VALUE_TEST(false, is_false)
VALUE_TEST(integer, is_integer)
VALUE_TEST(float, is_float)
VALUE_TEST(number, mg_tval_is_number)
VALUE_TEST(string, is_string)
VALUE_TEST(mapping, is_mapping)
VALUE_TEST(sequence, is_sequence)
VALUE_TEST(callable, is_callable)

static bool test_iterable(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    if (value.kind == MG_T_UNDEFINED && value.as.undefined->strict) {
        return mg_tundefined_fail(ctx, at, &value);
    }
    *out = mg_tval_bool(value.kind == MG_T_STRING || value.kind == MG_T_LIST ||
                        value.kind == MG_T_MAP || value.kind == MG_T_UNDEFINED ||
                        value.kind == MG_T_LOOP);
    return no_arguments(ctx, at, args);
}

/* Whether the cased characters of the text are all of one case, and there is one. */
static bool all_of_case(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, bool lower,
                        mg_tval *out)
{
    mg_str text;
    bool found = false;
    size_t bytes;
    *out = mg_tval_bool(false);
    if (!mg_tstring(ctx, at, value, &text)) {
        return false;
    }
    for (size_t i = 0; i < text.size; i += bytes) {
        int32_t c = mg_utf8_decode(text, i, &bytes);
        if (lower ? mg_unicode_is_upper(c) : mg_unicode_is_lower(c)) {
            return true;
        }
        found = found || (lower ? mg_unicode_is_lower(c) : mg_unicode_is_upper(c));
    }
    *out = mg_tval_bool(found);
    return true;
}

static bool test_lower(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    return no_arguments(ctx, at, args) && all_of_case(ctx, at, &value, true, out);
}

static bool test_upper(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    return no_arguments(ctx, at, args) && all_of_case(ctx, at, &value, false, out);
}

static bool one_argument(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, mg_tval *other)
{
    static const char *const names[] = { "other" };
    return mg_tbind(ctx, at, args, "the test", names, 1, 1, other);
}

static bool test_divisibleby(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                             mg_tval *out)
{
    static const char *const names[] = { "num" };
    mg_tval divisor;
    mg_tval rest;
    if (!mg_tbind(ctx, at, args, "divisibleby", names, 1, 1, &divisor) ||
        !mg_tbinary(ctx, at, '%', &value, &divisor, &rest)) {
        return false;
    }
    *out = mg_tval_bool(mg_tval_is_number(&rest) && mg_tval_number(&rest) == 0.0);
    return true;
}

static bool parity(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const mg_targs *args,
                   int64_t wanted, mg_tval *out)
{
    mg_tval two = mg_tval_int(2);
    mg_tval rest;
    if (!no_arguments(ctx, at, args) || !mg_tbinary(ctx, at, '%', value, &two, &rest)) {
        return false;
    }
    *out = mg_tval_bool(mg_tval_is_number(&rest) && mg_tval_number(&rest) == (double)wanted);
    return true;
}

static bool test_odd(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                     mg_tval *out)
{
    return parity(ctx, at, &value, args, 1, out);
}

static bool test_even(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                      mg_tval *out)
{
    return parity(ctx, at, &value, args, 0, out);
}

static bool test_sameas(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    mg_tval other;
    if (!one_argument(ctx, at, args, &other)) {
        return false;
    }
    bool same = value.kind == other.kind;
    if (same && value.kind == MG_T_LIST) {
        const mg_tlist *a = value.as.list;
        const mg_tlist *b = other.as.list;
        same = a == b || (a->doc != NULL && a->doc == b->doc);
    } else if (same && value.kind == MG_T_MAP) {
        const mg_tmap *a = value.as.map;
        const mg_tmap *b = other.as.map;
        same = a == b || (a->doc != NULL && a->doc == b->doc);
    } else if (same) {
        same = mg_tequal(ctx->arena, &value, &other);
    }
    *out = mg_tval_bool(same);
    return true;
}

static bool test_in(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                    mg_tval *out)
{
    mg_tval box;
    bool found;
    if (!one_argument(ctx, at, args, &box) || !mg_tcontains(ctx, at, &box, &value, &found)) {
        return false;
    }
    *out = mg_tval_bool(found);
    return true;
}

static bool equality(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const mg_targs *args,
                     bool wanted, mg_tval *out)
{
    mg_tval other;
    bool equal;
    if (!one_argument(ctx, at, args, &other) || !mg_tequals(ctx, at, value, &other, &equal)) {
        return false;
    }
    *out = mg_tval_bool(equal == wanted);
    return true;
}

static bool test_eq(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                    mg_tval *out)
{
    return equality(ctx, at, &value, args, true, out);
}

static bool test_ne(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                    mg_tval *out)
{
    return equality(ctx, at, &value, args, false, out);
}

static bool order_of(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const mg_targs *args,
                     int *order_out)
{
    mg_tval other;
    return one_argument(ctx, at, args, &other) && mg_tcompare(ctx, at, value, &other, order_out);
}

#define ORDER_TEST(name, holds)                                                                    \
    static bool test_##name(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args, \
                            mg_tval *out)                                                          \
    {                                                                                              \
        int order = 0;                                                                             \
        bool ok = order_of(ctx, at, &value, args, &order);                                         \
        *out = mg_tval_bool(order holds 0);                                                        \
        return ok;                                                                                 \
    }

ORDER_TEST(lt, <)
ORDER_TEST(le, <=)
ORDER_TEST(gt, >)
ORDER_TEST(ge, >=)

static bool name_exists(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value,
                        const mg_targs *args, bool filter, mg_tval *out)
{
    mg_str name;
    if (!no_arguments(ctx, at, args) || !mg_targ_str(ctx, at, value, "the name", &name)) {
        return false;
    }
    *out = mg_tval_bool((filter ? mg_tfind_filter(ctx->t->profile, name) : mg_tfind_test(name)) !=
                        NULL);
    return true;
}

static bool test_filter(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    return name_exists(ctx, at, &value, args, true, out);
}

static bool test_test(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                      mg_tval *out)
{
    return name_exists(ctx, at, &value, args, false, out);
}

const mg_tnamed *mg_tfind_test(mg_str name)
{
    static const mg_tnamed tests[] = {
        { "boolean", test_boolean },
        { "callable", test_callable },
        { "defined", test_defined },
        { "divisibleby", test_divisibleby },
        { "eq", test_eq },
        { "equalto", test_eq },
        { "==", test_eq },
        { "even", test_even },
        { "false", test_false },
        { "filter", test_filter },
        { "float", test_float },
        { "ge", test_ge },
        { ">=", test_ge },
        { "greaterthan", test_gt },
        { "gt", test_gt },
        { ">", test_gt },
        { "in", test_in },
        { "integer", test_integer },
        { "iterable", test_iterable },
        { "le", test_le },
        { "<=", test_le },
        { "lessthan", test_lt },
        { "lower", test_lower },
        { "lt", test_lt },
        { "<", test_lt },
        { "mapping", test_mapping },
        { "ne", test_ne },
        { "!=", test_ne },
        { "none", test_none },
        { "number", test_number },
        { "odd", test_odd },
        { "sameas", test_sameas },
        { "sequence", test_sequence },
        { "string", test_string },
        { "test", test_test },
        { "true", test_true },
        { "undefined", test_undefined },
        { "upper", test_upper },
    };
    return mg_tfind_named(tests, MG_ARRAY_COUNT(tests), name);
}

/* ---- globals ---- */

static bool global_range(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, mg_tval *out)
{
    int64_t values[3] = { 0, 0, 1 };
    if (args->count < 1 || args->count > 3 || args->named_count > 0) {
        return mg_tfail(ctx, at, "range takes 1 to 3 arguments");
    }
    for (int64_t i = 0; i < args->count; i++) {
        int64_t place = args->count == 1 ? 1 : i;
        if (!mg_targ_int(ctx, at, &args->values[i], "an argument of range", 0, &values[place])) {
            return false;
        }
    }
    if (values[2] == 0) {
        return mg_tfail(ctx, at, "range: the step is zero");
    }
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_RANGE, 0);
    mg_tlist *list = out->as.list;
    bool up = values[2] > 0;
    uint64_t low = (uint64_t)values[up ? 0 : 1];
    uint64_t high = (uint64_t)values[up ? 1 : 0];
    uint64_t stride = up ? (uint64_t)values[2] : (uint64_t)0 - (uint64_t)values[2];
    bool empty = up ? values[0] >= values[1] : values[0] <= values[1];
    uint64_t count = empty ? 0 : (high - low - 1) / stride + 1;
    if (count > MG_TEMPLATE_RANGE_MAX) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "range: more than %d numbers",
                               MG_TEMPLATE_RANGE_MAX);
    }
    list->count = (int64_t)count;
    list->start = values[0];
    list->stop = values[1];
    list->step = values[2];
    return true;
}

/* dict(pairs_or_map, key=value): also the members of a new namespace. */
static bool make_map(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, const char *what,
                     mg_tmap **out)
{
    mg_tmap *map = mg_tmap_new(ctx->arena, args->named_count);
    *out = map;
    if (args->count > 1) {
        return mg_tfail(ctx, at, "%s takes at most one positional argument", what);
    }
    if (args->count == 1 && args->values[0].kind == MG_T_MAP) {
        const mg_tmap *from = args->values[0].as.map;
        for (int64_t i = 0; i < from->count; i++) {
            mg_tmap_set(ctx->arena, map, mg_tmap_key(ctx->arena, from, i),
                        mg_tmap_value(ctx->arena, from, i));
        }
    } else if (args->count == 1) {
        mg_tlist *pairs;
        if (!mg_titerate(ctx, at, &args->values[0], &pairs)) {
            return false;
        }
        for (int64_t i = 0; i < pairs->count; i++) {
            mg_tval pair = mg_tlist_item(ctx->arena, pairs, i);
            mg_tlist *parts;
            if (!mg_titerate(ctx, at, &pair, &parts)) {
                return false;
            }
            if (parts->count != 2) {
                return mg_tfail(ctx, at, "%s needs pairs of a key and a value", what);
            }
            mg_tmap_set(ctx->arena, map, mg_tlist_item(ctx->arena, parts, 0),
                        mg_tlist_item(ctx->arena, parts, 1));
        }
    }
    for (int64_t i = 0; i < args->named_count; i++) {
        mg_tmap_set(ctx->arena, map, mg_tval_str(args->names[i]), args->named[i]);
    }
    return mg_tstep(ctx, at, map->count);
}

static bool global_dict(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, mg_tval *out)
{
    out->kind = MG_T_MAP;
    return make_map(ctx, at, args, "dict", &out->as.map);
}

static bool global_namespace(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, mg_tval *out)
{
    out->kind = MG_T_NAMESPACE;
    return make_map(ctx, at, args, "namespace", &out->as.map);
}

static bool global_raise_exception(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args,
                                   mg_tval *out)
{
    static const char *const names[] = { "message" };
    mg_str text;
    if (!mg_tbind(ctx, at, args, "raise_exception", names, 1, 1, out) ||
        !mg_tstring(ctx, at, out, &text)) {
        return false;
    }
    ctx->status = mg_fail(ctx->err, MG_ERR_USER_CODE, "%.*s", MG_STR_ARG(text));
    return false;
}

static bool global_strftime_now(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args,
                                mg_tval *out)
{
    static const char *const names[] = { "format" };
    mg_str format;
    if (!mg_tbind(ctx, at, args, "strftime_now", names, 1, 1, out) ||
        !mg_targ_str(ctx, at, out, "format", &format)) {
        return false;
    }
    if (format.size > 1000) {
        return mg_tfail(ctx, at, "strftime_now: the format is too long");
    }
    time_t now = (time_t)ctx->now;
    struct tm parts;
    char text[4096];
    size_t size = 0;
    /* strftime needs a C string and cannot tell "empty" from "too long": the text before ends in
     * 'x'. */
    mg_str marked = mg_arena_printf(ctx->arena, "%.*sx", MG_STR_ARG(format));
    if (gmtime_r(&now, &parts) != NULL) {
        size = strftime(text, sizeof(text), marked.data, &parts);
    }
    if (size == 0) {
        return mg_tfail(ctx, at, "strftime_now: the format gives too long a text");
    }
    *out = mg_tval_copy_str(ctx, mg_str_make(text, size - 1));
    return true;
}

const mg_tglobal *mg_tfind_global(mg_template_profile profile, mg_str name)
{
    static const mg_tglobal globals[] = {
        { "dict", global_dict },
        { "namespace", global_namespace },
        { "range", global_range },
        /* Chat templates alone have what follows. */
        { "raise_exception", global_raise_exception },
        { "strftime_now", global_strftime_now },
    };
    int64_t count = profile == MG_TEMPLATE_CHAT ? MG_ARRAY_COUNT(globals) : 3;
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_is(name, globals[i].name)) {
            return &globals[i];
        }
    }
    return NULL;
}
