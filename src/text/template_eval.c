/* text/template_eval.c - values of expressions. */
#include "text/template_internal.h"

#include "text/utf8.h"

#include <math.h>
#include <stdio.h>

bool mg_tfail_status(mg_tctx *ctx, const mg_tnode *at, mg_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ctx->status = mg_fail_va(ctx->err, status, format, args);
    va_end(args);
    mg_error_prefix(ctx->err, "%s:%d:%d", ctx->t->name, (int)at->line, (int)at->column);
    return false;
}

bool mg_tfail(mg_tctx *ctx, const mg_tnode *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ctx->status = mg_fail_va(ctx->err, MG_ERR_FORMAT, format, args);
    va_end(args);
    mg_error_prefix(ctx->err, "%s:%d:%d", ctx->t->name, (int)at->line, (int)at->column);
    return false;
}

bool mg_tstep(mg_tctx *ctx, const mg_tnode *at, int64_t steps)
{
    ctx->steps += steps;
    if (ctx->steps > MG_TEMPLATE_STEPS_MAX) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "the template takes too many steps");
    }
    if (ctx->arena->total_bytes > MG_TEMPLATE_MEMORY_BYTES_MAX) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "the template needs too much memory");
    }
    return true;
}

bool mg_tcheck_size(mg_tctx *ctx, const mg_tnode *at, size_t bytes)
{
    if (bytes > MG_TEMPLATE_STRING_BYTES_MAX) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "a string grows too long");
    }
    return mg_tstep(ctx, at, (int64_t)(bytes / 16));
}

/* ---- members ---- */

static const char *owner_name(mg_tctx *ctx, const mg_tval *object)
{
    if (object->kind == MG_T_NULL) {
        return "None";
    }
    return mg_arena_printf(ctx->arena, "%s object", mg_ttype_name(object)).data;
}

static mg_tval bind_method(mg_tctx *ctx, const mg_tval *object, const mg_tnamed *method)
{
    mg_tval v = { 0 };
    v.kind = MG_T_METHOD;
    v.as.bound = mg_arena_new(ctx->arena, mg_tbound);
    v.as.bound->object = *object;
    v.as.bound->method = method;
    return v;
}

/* What Python finds with getattr: methods, and the members of namespaces and loops.  groupby gives
 * pairs whose parts have names; any pair has them here. */
static bool find_member(mg_tctx *ctx, const mg_tval *object, mg_str name, mg_tval *out)
{
    if (object->kind == MG_T_LIST && object->as.list->style == MG_T_STYLE_TUPLE &&
        object->as.list->count == 2 && (mg_str_is(name, "grouper") || mg_str_is(name, "list"))) {
        *out = mg_tlist_item(ctx->arena, object->as.list, mg_str_is(name, "list") ? 1 : 0);
        return true;
    }
    if (object->kind == MG_T_NAMESPACE) {
        mg_tval key = mg_tval_str(name);
        int64_t index = mg_tmap_find(ctx->arena, object->as.map, &key);
        if (index >= 0) {
            *out = object->as.map->values[index];
        }
        return index >= 0;
    }
    if (object->kind == MG_T_LOOP && mg_tloop_attribute(ctx, object->as.loop, name, out)) {
        return true;
    }
    const mg_tnamed *method = mg_tfind_method(object, name);
    if (method != NULL) {
        *out = bind_method(ctx, object, method);
    }
    return method != NULL;
}

/* What Python finds with object[key]; false without an error when there is no such item. */
static bool find_item(mg_tctx *ctx, const mg_tval *object, const mg_tval *key, mg_tval *out)
{
    if (object->kind == MG_T_MAP) {
        int64_t index = mg_tmap_find(ctx->arena, object->as.map, key);
        if (index >= 0) {
            *out = mg_tmap_value(ctx->arena, object->as.map, index);
        }
        return index >= 0;
    }
    if (key->kind != MG_T_INT && key->kind != MG_T_BOOL) {
        return false;
    }
    int64_t index = mg_tval_integer(key);
    if (object->kind == MG_T_LIST && object->as.list->style <= MG_T_STYLE_RANGE) {
        const mg_tlist *list = object->as.list;
        index += index < 0 ? list->count : 0;
        if (index < 0 || index >= list->count) {
            return false;
        }
        *out = mg_tlist_item(ctx->arena, list, index);
        return true;
    }
    if (object->kind == MG_T_STRING) {
        mg_str text = object->as.string;
        int64_t count = mg_utf8_count(text);
        index += index < 0 ? count : 0;
        if (index < 0 || index >= count) {
            return false;
        }
        size_t begin = mg_utf8_offset(text, index);
        size_t bytes;
        (void)mg_utf8_decode(text, begin, &bytes);
        *out = mg_tval_str(mg_str_slice(text, begin, begin + bytes));
        return true;
    }
    return false;
}

bool mg_tget_attribute(mg_tctx *ctx, const mg_tnode *at, const mg_tval *object, mg_str name,
                       mg_tval *out)
{
    if (object->kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, object);
    }
    mg_tval key = mg_tval_str(name);
    if (!find_member(ctx, object, name, out) && !find_item(ctx, object, &key, out)) {
        *out = mg_tval_undefined(ctx, owner_name(ctx, object), name);
    }
    return true;
}

bool mg_tget_item(mg_tctx *ctx, const mg_tnode *at, const mg_tval *object, const mg_tval *key,
                  mg_tval *out)
{
    if (object->kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, object);
    }
    if (find_item(ctx, object, key, out)) {
        return true;
    }
    if (key->kind == MG_T_STRING && find_member(ctx, object, key->as.string, out)) {
        return true;
    }
    mg_str name;
    if (key->kind == MG_T_UNDEFINED) {
        name = mg_str_of("");
    } else if (!mg_tstring(ctx, at, key, &name)) {
        return false;
    }
    *out = mg_tval_undefined(ctx, owner_name(ctx, object), name);
    return true;
}

bool mg_tget_path(mg_tctx *ctx, const mg_tnode *at, const mg_tval *object, const mg_tval *path,
                  mg_tval *out)
{
    *out = *object;
    if (path->kind != MG_T_STRING) {
        return mg_tget_item(ctx, at, object, path, out);
    }
    mg_str rest = path->as.string;
    mg_str part;
    while (mg_str_split(&rest, '.', &part)) {
        mg_tval key = mg_tval_str(part);
        int64_t index;
        if (mg_str_to_int(part, &index) && part.data[0] != '-' && part.data[0] != '+') {
            key = mg_tval_int(index);
        }
        mg_tval next;
        if (!mg_tget_item(ctx, at, out, &key, &next)) {
            return false;
        }
        *out = next;
    }
    return true;
}

/* ---- slices ---- */

static bool slice_bound(mg_tctx *ctx, const mg_tnode *node, int64_t *value_out, bool *given_out)
{
    mg_tval v;
    *given_out = false;
    if (node == NULL) {
        return true;
    }
    if (!mg_teval(ctx, node, &v)) {
        return false;
    }
    if (v.kind == MG_T_NULL) {
        return true;
    }
    if (v.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, node, &v);
    }
    if (v.kind != MG_T_INT && v.kind != MG_T_BOOL) {
        return mg_tfail(ctx, node, "a slice needs integers, not '%s'", mg_ttype_name(&v));
    }
    *value_out = mg_tval_integer(&v);
    *given_out = true;
    return true;
}

/* Python's slice.indices: the first index, the step and how many. */
static int64_t slice_indices(int64_t count, const int64_t values[3], const bool given[3],
                             int64_t *first_out)
{
    int64_t step = given[2] ? values[2] : 1;
    int64_t low = step < 0 ? -1 : 0;
    int64_t high = step < 0 ? count - 1 : count;
    int64_t bounds[2] = { step < 0 ? high : low, step < 0 ? low : high };
    for (int i = 0; i < 2; i++) {
        if (given[i]) {
            int64_t v = values[i];
            v = v < 0 ? (v < -count ? low : v + count) : v;
            bounds[i] = v < low ? low : v > high ? high : v;
        }
    }
    *first_out = bounds[0];
    if (step > 0) {
        return bounds[1] > bounds[0] ? (bounds[1] - bounds[0] - 1) / step + 1 : 0;
    }
    /* -(step + 1) + 1 would overflow for the smallest integer only as a whole. */
    uint64_t stride = (uint64_t)0 - (uint64_t)step;
    return bounds[0] > bounds[1] ? (int64_t)((uint64_t)(bounds[0] - bounds[1] - 1) / stride) + 1
                                 : 0;
}

static mg_tval slice_string(mg_tctx *ctx, mg_str text, int64_t first, int64_t step, int64_t count)
{
    if (step == 1) {
        size_t begin = mg_utf8_offset(text, first);
        mg_str rest = mg_str_slice(text, begin, text.size);
        return mg_tval_str(mg_str_slice(rest, 0, mg_utf8_offset(rest, count)));
    }
    mg_buf buf = { 0 };
    int64_t total = mg_utf8_count(text);
    size_t *offsets = (size_t *)mg_arena_alloc(ctx->arena, total + 1, sizeof(size_t));
    size_t bytes;
    int64_t index = 0;
    for (size_t i = 0; i < text.size; i += bytes) {
        (void)mg_utf8_decode(text, i, &bytes);
        offsets[index++] = i;
    }
    offsets[total] = text.size;
    for (int64_t i = 0; i < count; i++) {
        int64_t k = first + i * step;
        mg_buf_add(&buf, mg_str_slice(text, offsets[k], offsets[k + 1]));
    }
    return mg_tval_take(ctx, &buf);
}

static bool eval_slice(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval object;
    int64_t values[3] = { 0 };
    bool given[3] = { 0 };
    if (!mg_teval(ctx, node->a, &object)) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (!slice_bound(ctx, node->items[i], &values[i], &given[i])) {
            return false;
        }
    }
    if (object.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, node, &object);
    }
    if (given[2] && values[2] == 0) {
        return mg_tfail(ctx, node, "slice step cannot be zero");
    }
    int64_t step = given[2] ? values[2] : 1;
    int64_t first = 0;
    if (object.kind == MG_T_STRING) {
        if (!mg_tcheck_size(ctx, node, object.as.string.size)) {
            return false;
        }
        int64_t count = slice_indices(mg_utf8_count(object.as.string), values, given, &first);
        *out = slice_string(ctx, object.as.string, first, step, count);
        return true;
    }
    if (object.kind != MG_T_LIST || object.as.list->style > MG_T_STYLE_RANGE) {
        return mg_tfail(ctx, node, "'%s' object cannot be sliced", mg_ttype_name(&object));
    }
    const mg_tlist *list = object.as.list;
    int64_t count = slice_indices(list->count, values, given, &first);
    *out = mg_tval_list(ctx->arena, list->style, count);
    for (int64_t i = 0; i < count; i++) {
        out->as.list->items[i] = mg_tlist_item(ctx->arena, list, first + i * step);
    }
    if (list->style == MG_T_STYLE_RANGE) {
        out->as.list->start = list->start + first * list->step;
        out->as.list->step = list->step * step;
        out->as.list->stop = out->as.list->start + count * out->as.list->step;
    }
    return mg_tstep(ctx, node, count);
}

/* ---- arithmetic ---- */

static bool overflow(mg_tctx *ctx, const mg_tnode *at)
{
    return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "an integer grows beyond 64 bits");
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static bool int_power(mg_tctx *ctx, const mg_tnode *at, int64_t base, int64_t exponent,
                      mg_tval *out)
{
    if (exponent < 0) {
        if (base == 0) {
            return mg_tfail(ctx, at, "zero cannot be raised to a negative power");
        }
        *out = mg_tval_float(pow((double)base, (double)exponent));
        return true;
    }
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
            return overflow(ctx, at);
        }
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
            return overflow(ctx, at);
        }
    }
    *out = mg_tval_int(result);
    return true;
}

static bool int_binary(mg_tctx *ctx, const mg_tnode *at, char op, int64_t a, int64_t b,
                       mg_tval *out)
{
    int64_t result = 0;
    if ((op == '/' || op == '%' || op == MG_OP_FLOOR) && b == 0) {
        return mg_tfail(ctx, at, "division by zero");
    }
    switch (op) {
    case '+':
        if (__builtin_add_overflow(a, b, &result)) {
            return overflow(ctx, at);
        }
        break;
    case '-':
        if (__builtin_sub_overflow(a, b, &result)) {
            return overflow(ctx, at);
        }
        break;
    case '*':
        if (__builtin_mul_overflow(a, b, &result)) {
            return overflow(ctx, at);
        }
        break;
    case '/':
        *out = mg_tval_float((double)a / (double)b);
        return true;
    case MG_OP_FLOOR:
        if (a == INT64_MIN && b == -1) {
            return overflow(ctx, at);
        }
        result = floor_div(a, b);
        break;
    case '%':
        result = b == -1 ? 0 : a % b;
        result += result != 0 && (result < 0) != (b < 0) ? b : 0;
        break;
    default:
        return int_power(ctx, at, a, b, out);
    }
    *out = mg_tval_int(result);
    return true;
}

static bool float_binary(mg_tctx *ctx, const mg_tnode *at, char op, double a, double b,
                         mg_tval *out)
{
    if ((op == '/' || op == '%' || op == MG_OP_FLOOR) && b == 0.0) {
        return mg_tfail(ctx, at, "division by zero");
    }
    double result = 0.0;
    switch (op) {
    case '+':
        result = a + b;
        break;
    case '-':
        result = a - b;
        break;
    case '*':
        result = a * b;
        break;
    case '/':
        result = a / b;
        break;
    case MG_OP_FLOOR:
    case '%': {
        /* Python's float_divmod: the remainder takes the divisor's sign. */
        double remainder = fmod(a, b);
        double quotient = (a - remainder) / b;
        if (remainder != 0.0 && (remainder < 0.0) != (b < 0.0)) {
            remainder += b;
            quotient -= 1.0;
        }
        double floored = floor(quotient);
        floored += quotient - floored > 0.5 ? 1.0 : 0.0;
        result = op == '%' ? (remainder == 0.0 ? copysign(0.0, b) : remainder) : floored;
        break;
    }
    default:
        if (a == 0.0 && b < 0.0) {
            return mg_tfail(ctx, at, "zero cannot be raised to a negative power");
        }
        result = pow(a, b);
        break;
    }
    *out = mg_tval_float(result);
    return true;
}

static bool repeat(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, int64_t times,
                   mg_tval *out)
{
    times = MG_MAX(times, 0);
    int64_t size = value->kind == MG_T_STRING ? (int64_t)value->as.string.size
                                              : value->as.list->count * (int64_t)sizeof(mg_tval);
    int64_t total;
    if (__builtin_mul_overflow(size, times, &total) || !mg_tcheck_size(ctx, at, (size_t)total)) {
        return ctx->status != MG_OK
                   ? false
                   : mg_tfail_status(ctx, at, MG_ERR_LIMIT, "a value is repeated too often");
    }
    if (value->kind == MG_T_STRING) {
        mg_buf buf = { 0 };
        mg_buf_reserve(&buf, (size_t)total);
        for (int64_t i = 0; size > 0 && i < times; i++) {
            mg_buf_add(&buf, value->as.string);
        }
        *out = mg_tval_take(ctx, &buf);
        return true;
    }
    const mg_tlist *list = value->as.list;
    *out = mg_tval_list(ctx->arena, list->style, list->count * times);
    for (int64_t i = 0; i < out->as.list->count; i++) {
        out->as.list->items[i] = mg_tlist_item(ctx->arena, list, i % list->count);
    }
    return true;
}

static bool join_lists(mg_tctx *ctx, const mg_tnode *at, const mg_tlist *a, const mg_tlist *b,
                       mg_tval *out)
{
    if (!mg_tstep(ctx, at, a->count + b->count)) {
        return false;
    }
    *out = mg_tval_list(ctx->arena, a->style, a->count + b->count);
    for (int64_t i = 0; i < a->count; i++) {
        out->as.list->items[i] = mg_tlist_item(ctx->arena, a, i);
    }
    for (int64_t i = 0; i < b->count; i++) {
        out->as.list->items[a->count + i] = mg_tlist_item(ctx->arena, b, i);
    }
    return true;
}

static bool is_sequence(const mg_tval *v)
{
    return v->kind == MG_T_STRING ||
           (v->kind == MG_T_LIST && v->as.list->style <= MG_T_STYLE_TUPLE);
}

static bool join_strings(mg_tctx *ctx, const mg_tnode *at, mg_str a, mg_str b, mg_tval *out)
{
    if (!mg_tcheck_size(ctx, at, a.size + b.size)) {
        return false;
    }
    char *text = mg_arena_array(ctx->arena, char, (int64_t)(a.size + b.size) + 1);
    memcpy(text, a.data != NULL ? a.data : "", a.size);
    memcpy(text + a.size, b.data != NULL ? b.data : "", b.size);
    *out = mg_tval_str(mg_str_make(text, a.size + b.size));
    return true;
}

bool mg_tbinary(mg_tctx *ctx, const mg_tnode *at, char op, const mg_tval *a, const mg_tval *b,
                mg_tval *out)
{
    if (a->kind == MG_T_STRING && op == '%') {
        return mg_tformat_percent(ctx, at, a->as.string, b, out);
    }
    if (a->kind == MG_T_UNDEFINED || b->kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, a->kind == MG_T_UNDEFINED ? a : b);
    }
    if (mg_tval_is_number(a) && mg_tval_is_number(b)) {
        return a->kind == MG_T_FLOAT || b->kind == MG_T_FLOAT
                   ? float_binary(ctx, at, op, mg_tval_number(a), mg_tval_number(b), out)
                   : int_binary(ctx, at, op, mg_tval_integer(a), mg_tval_integer(b), out);
    }
    if (op == '+' && a->kind == MG_T_STRING && b->kind == MG_T_STRING) {
        return join_strings(ctx, at, a->as.string, b->as.string, out);
    }
    if (op == '+' && is_sequence(a) && is_sequence(b) && a->kind == MG_T_LIST &&
        b->kind == MG_T_LIST && a->as.list->style == b->as.list->style) {
        return join_lists(ctx, at, a->as.list, b->as.list, out);
    }
    if (op == '*' && is_sequence(a) && (b->kind == MG_T_INT || b->kind == MG_T_BOOL)) {
        return repeat(ctx, at, a, mg_tval_integer(b), out);
    }
    if (op == '*' && is_sequence(b) && (a->kind == MG_T_INT || a->kind == MG_T_BOOL)) {
        return repeat(ctx, at, b, mg_tval_integer(a), out);
    }
    char shown[3] = { op, '\0', '\0' };
    if (op == MG_OP_FLOOR || op == MG_OP_POWER) {
        shown[0] = shown[1] = op == MG_OP_FLOOR ? '/' : '*';
    }
    return mg_tfail(ctx, at, "'%s' does not work between '%s' and '%s'", shown, mg_ttype_name(a),
                    mg_ttype_name(b));
}

static bool eval_unary(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval v;
    if (!mg_teval(ctx, node->a, &v)) {
        return false;
    }
    if (v.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, node, &v);
    }
    if (!mg_tval_is_number(&v)) {
        return mg_tfail(ctx, node, "'%c' needs a number, not '%s'", node->op, mg_ttype_name(&v));
    }
    bool minus = node->op == '-';
    if (v.kind == MG_T_FLOAT) {
        *out = mg_tval_float(minus ? -v.as.number : v.as.number);
        return true;
    }
    int64_t i = mg_tval_integer(&v);
    if (minus && i == INT64_MIN) {
        return overflow(ctx, node);
    }
    *out = mg_tval_int(minus ? -i : i);
    return true;
}

static bool compare_one(mg_tctx *ctx, const mg_tnode *node, char op, const mg_tval *a,
                        const mg_tval *b, bool *out)
{
    int order = 0;
    switch (op) {
    case MG_OP_EQUAL:
        return mg_tequals(ctx, node, a, b, out);
    case MG_OP_UNEQUAL:
        if (!mg_tequals(ctx, node, a, b, out)) {
            return false;
        }
        *out = !*out;
        return true;
    case MG_OP_IN:
        return mg_tcontains(ctx, node, b, a, out);
    case MG_OP_NOT_IN:
        if (!mg_tcontains(ctx, node, b, a, out)) {
            return false;
        }
        *out = !*out;
        return true;
    default:
        break;
    }
    if (!mg_tcompare(ctx, node, a, b, &order)) {
        return false;
    }
    bool nan = (a->kind == MG_T_FLOAT && isnan(a->as.number)) ||
               (b->kind == MG_T_FLOAT && isnan(b->as.number));
    bool holds = op == '<'             ? order < 0
                 : op == '>'           ? order > 0
                 : op == MG_OP_AT_MOST ? order <= 0
                                       : order >= 0;
    *out = holds && !nan;
    return true;
}

/* a < b < c: each operand is evaluated once, and the chain ends at the first that does not hold. */
static bool eval_compare(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval left;
    bool holds = true;
    if (!mg_teval(ctx, node->a, &left)) {
        return false;
    }
    for (int64_t i = 0; i < node->count && holds; i++) {
        mg_tval right;
        if (!mg_teval(ctx, node->items[i], &right) ||
            !compare_one(ctx, node, node->ops[i], &left, &right, &holds)) {
            return false;
        }
        left = right;
    }
    *out = mg_tval_bool(holds);
    return true;
}

static bool eval_concat(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_buf buf = { 0 };
    bool ok = true;
    for (int64_t i = 0; ok && i < node->count; i++) {
        mg_tval part;
        ok = mg_teval(ctx, node->items[i], &part) && mg_tprint(ctx, node, &buf, &part) &&
             mg_tcheck_size(ctx, node, buf.size);
    }
    *out = mg_tval_take(ctx, &buf);
    return ok;
}

static bool eval_dict(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    out->kind = MG_T_MAP;
    mg_tmap *map = mg_tmap_new(ctx->arena, node->count / 2);
    for (int64_t i = 0; i + 1 < node->count; i += 2) {
        mg_tval key;
        mg_tval value;
        if (!mg_teval(ctx, node->items[i], &key) || !mg_teval(ctx, node->items[i + 1], &value)) {
            return false;
        }
        if (key.kind == MG_T_MAP ||
            (key.kind == MG_T_LIST && key.as.list->style == MG_T_STYLE_LIST)) {
            return mg_tfail(ctx, node->items[i], "unhashable type: '%s'", mg_ttype_name(&key));
        }
        mg_tmap_set(ctx->arena, map, key, value);
    }
    out->as.map = map;
    return true;
}

static bool eval_list(mg_tctx *ctx, const mg_tnode *node, mg_tstyle style, mg_tval *out)
{
    mg_tval list = mg_tval_list(ctx->arena, style, node->count);
    for (int64_t i = 0; i < node->count; i++) {
        if (!mg_teval(ctx, node->items[i], &list.as.list->items[i])) {
            return false;
        }
    }
    *out = list;
    return true;
}

/* ---- names and calls ---- */

static bool eval_name(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    for (const mg_tscope *scope = ctx->scope; scope != NULL; scope = scope->parent) {
        for (int32_t i = scope->count - 1; i >= 0; i--) {
            if (scope->bindings[i].id == node->id) {
                *out = scope->bindings[i].value;
                return true;
            }
        }
    }
    mg_tval *root = &ctx->roots[node->id];
    if (root->kind == MG_T_ABSENT) {
        const mg_value *variable = mg_value_get_str(ctx->variables, node->name);
        const mg_tglobal *global =
            variable == NULL ? mg_tfind_global(ctx->t->profile, node->name) : NULL;
        if (variable != NULL) {
            *root = mg_tval_of(ctx->arena, variable);
        } else if (global != NULL) {
            root->kind = MG_T_GLOBAL;
            root->as.global = global;
        } else {
            *root = mg_tval_undefined(ctx, NULL, node->name);
        }
    }
    *out = *root;
    return true;
}

/* Adds the items of *list to the positional arguments. */
static bool add_star(mg_tctx *ctx, const mg_tnode *node, mg_targs *args)
{
    mg_tval star;
    mg_tlist *list;
    if (!mg_teval(ctx, node, &star) || !mg_titerate(ctx, node, &star, &list)) {
        return false;
    }
    mg_tval *values = mg_arena_array(ctx->arena, mg_tval, args->count + list->count + 1);
    for (int64_t i = 0; i < args->count; i++) {
        values[i] = args->values[i];
    }
    for (int64_t i = 0; i < list->count; i++) {
        values[args->count + i] = mg_tlist_item(ctx->arena, list, i);
    }
    args->values = values;
    args->count += list->count;
    return true;
}

static bool add_double_star(mg_tctx *ctx, const mg_tnode *node, mg_targs *args)
{
    mg_tval map;
    if (!mg_teval(ctx, node, &map)) {
        return false;
    }
    if (map.kind != MG_T_MAP) {
        return mg_tfail(ctx, node, "'**' needs a map, not '%s'", mg_ttype_name(&map));
    }
    int64_t total = args->named_count + map.as.map->count;
    mg_str *names = mg_arena_array(ctx->arena, mg_str, total + 1);
    mg_tval *named = mg_arena_array(ctx->arena, mg_tval, total + 1);
    for (int64_t i = 0; i < args->named_count; i++) {
        names[i] = args->names[i];
        named[i] = args->named[i];
    }
    for (int64_t i = 0; i < map.as.map->count; i++) {
        mg_tval key = mg_tmap_key(ctx->arena, map.as.map, i);
        if (key.kind != MG_T_STRING) {
            return mg_tfail(ctx, node, "argument names must be strings");
        }
        names[args->named_count + i] = key.as.string;
        named[args->named_count + i] = mg_tmap_value(ctx->arena, map.as.map, i);
    }
    args->names = names;
    args->named = named;
    args->named_count = total;
    return true;
}

bool mg_targuments_eval(mg_tctx *ctx, const mg_targuments *from, mg_targs *out)
{
    memset(out, 0, sizeof(*out));
    if (from == NULL) {
        return true;
    }
    out->count = from->count;
    out->values = from->count > 0 ? mg_arena_array(ctx->arena, mg_tval, from->count) : NULL;
    for (int64_t i = 0; i < from->count; i++) {
        if (!mg_teval(ctx, from->values[i], &out->values[i])) {
            return false;
        }
    }
    out->names = from->names;
    out->named_count = from->named_count;
    out->named =
        from->named_count > 0 ? mg_arena_array(ctx->arena, mg_tval, from->named_count) : NULL;
    for (int64_t i = 0; i < from->named_count; i++) {
        if (!mg_teval(ctx, from->named[i], &out->named[i])) {
            return false;
        }
    }
    return (from->star == NULL || add_star(ctx, from->star, out)) &&
           (from->double_star == NULL || add_double_star(ctx, from->double_star, out));
}

bool mg_tcall(mg_tctx *ctx, const mg_tnode *at, const mg_tval *callee, const mg_targs *args,
              mg_tval *out)
{
    switch (callee->kind) {
    case MG_T_GLOBAL:
        return callee->as.global->call(ctx, at, args, out);
    case MG_T_METHOD:
        return callee->as.bound->method->call(ctx, at, callee->as.bound->object, args, out);
    case MG_T_MACRO:
        return mg_tmacro_call(ctx, at, callee->as.macro, args, out);
    case MG_T_LOOP:
        return mg_tloop_call(ctx, at, callee->as.loop, args, out);
    case MG_T_UNDEFINED:
        return mg_tundefined_fail(ctx, at, callee);
    default:
        return mg_tfail(ctx, at, "'%s' object is not callable", mg_ttype_name(callee));
    }
}

static bool eval_call(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval callee;
    mg_targs args;
    return mg_teval(ctx, node->a, &callee) && mg_targuments_eval(ctx, node->arguments, &args) &&
           mg_tcall(ctx, node, &callee, &args, out);
}

static bool eval_function(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval value;
    mg_targs args;
    return mg_teval(ctx, node->a, &value) && mg_targuments_eval(ctx, node->arguments, &args) &&
           node->function->call(ctx, node, value, &args, out);
}

bool mg_tfilters_apply(mg_tctx *ctx, const mg_tnode *node, const mg_tval *input, mg_tval *out)
{
    mg_tval value = *input;
    mg_targs args;
    if (node->a != NULL && !mg_tfilters_apply(ctx, node->a, input, &value)) {
        return false;
    }
    return mg_targuments_eval(ctx, node->arguments, &args) &&
           node->function->call(ctx, node, value, &args, out);
}

/* and, or: the operand that decides, as in Python. */
static bool eval_logic(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    bool truth;
    if (!mg_teval(ctx, node->a, out) || !mg_ttruth(ctx, node, out, &truth)) {
        return false;
    }
    return truth == (node->kind == MG_N_OR) || mg_teval(ctx, node->b, out);
}

static bool eval_condition(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval condition;
    bool truth;
    if (!mg_teval(ctx, node->b, &condition) || !mg_ttruth(ctx, node, &condition, &truth)) {
        return false;
    }
    if (truth) {
        return mg_teval(ctx, node->a, out);
    }
    if (node->c != NULL) {
        return mg_teval(ctx, node->c, out);
    }
    *out = mg_tval_lenient(ctx, "the condition was false and there is no else");
    return true;
}

static bool eval_member(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval object;
    mg_tval key;
    if (!mg_teval(ctx, node->a, &object)) {
        return false;
    }
    if (node->kind == MG_N_ATTRIBUTE) {
        return mg_tget_attribute(ctx, node, &object, node->name, out);
    }
    return mg_teval(ctx, node->b, &key) && mg_tget_item(ctx, node, &object, &key, out);
}

static bool eval_not(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    bool truth;
    if (!mg_teval(ctx, node->a, out) || !mg_ttruth(ctx, node, out, &truth)) {
        return false;
    }
    *out = mg_tval_bool(!truth);
    return true;
}

static bool eval_binary(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    mg_tval a;
    mg_tval b;
    return mg_teval(ctx, node->a, &a) && mg_teval(ctx, node->b, &b) &&
           mg_tbinary(ctx, node, node->op, &a, &b, out);
}

static bool eval_kind(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    switch (node->kind) {
    case MG_N_CONST:
        *out = node->value;
        return true;
    case MG_N_NAME:
        return eval_name(ctx, node, out);
    case MG_N_ATTRIBUTE:
    case MG_N_ITEM:
        return eval_member(ctx, node, out);
    case MG_N_SLICE:
        return eval_slice(ctx, node, out);
    case MG_N_CALL:
        return eval_call(ctx, node, out);
    case MG_N_FILTER:
    case MG_N_TEST:
        return eval_function(ctx, node, out);
    case MG_N_LIST:
        return eval_list(ctx, node, MG_T_STYLE_LIST, out);
    case MG_N_TUPLE:
        return eval_list(ctx, node, MG_T_STYLE_TUPLE, out);
    case MG_N_DICT:
        return eval_dict(ctx, node, out);
    case MG_N_UNARY:
        return eval_unary(ctx, node, out);
    case MG_N_BINARY:
        return eval_binary(ctx, node, out);
    case MG_N_AND:
    case MG_N_OR:
        return eval_logic(ctx, node, out);
    case MG_N_NOT:
        return eval_not(ctx, node, out);
    case MG_N_CONDITION:
        return eval_condition(ctx, node, out);
    case MG_N_COMPARE:
        return eval_compare(ctx, node, out);
    case MG_N_CONCAT:
        return eval_concat(ctx, node, out);
    default:
        MG_ASSERT(false); /* statements are no expressions */
        return false;
    }
}

bool mg_teval(mg_tctx *ctx, const mg_tnode *node, mg_tval *out)
{
    memset(out, 0, sizeof(*out));
    if (++ctx->depth > MG_TEMPLATE_DEPTH_MAX) {
        return mg_tfail_status(ctx, node, MG_ERR_LIMIT, "the template is nested too deeply");
    }
    bool ok = mg_tstep(ctx, node, 1) && eval_kind(ctx, node, out);
    ctx->depth--;
    return ok;
}
