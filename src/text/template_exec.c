/* text/template_exec.c - runs the statements of a template.
 *
 * Scopes are chains of small tables.  A loop's iteration, a macro's call, a set or filter block and
 * a with block each open one; an if does not.  A macro keeps the scope it was defined in, so it
 * sees the names around its definition and nothing of its caller. */
#include "text/template_internal.h"

#include "base/memory.h"

typedef enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE, FLOW_ERROR } flow;

static flow exec_body(mg_tctx *ctx, const mg_tnode *body);

static flow flow_of(bool ok)
{
    return ok ? FLOW_NEXT : FLOW_ERROR;
}

static mg_tscope *scope_new(mg_tctx *ctx, mg_tscope *parent)
{
    mg_tscope *scope = mg_arena_new(ctx->arena, mg_tscope);
    scope->parent = parent;
    return scope;
}

static void scope_set(mg_tctx *ctx, mg_tscope *scope, int32_t id, mg_tval value)
{
    for (int32_t i = 0; i < scope->count; i++) {
        if (scope->bindings[i].id == id) {
            scope->bindings[i].value = value;
            return;
        }
    }
    if (scope->count == scope->cap) {
        int32_t cap = scope->cap == 0 ? 4 : scope->cap * 2;
        mg_tbinding *wider = mg_arena_array(ctx->arena, mg_tbinding, cap);
        for (int32_t i = 0; i < scope->count; i++) {
            wider[i] = scope->bindings[i];
        }
        scope->bindings = wider;
        scope->cap = cap;
    }
    scope->bindings[scope->count].id = id;
    scope->bindings[scope->count].value = value;
    scope->count++;
}

static bool assign(mg_tctx *ctx, const mg_tnode *target, const mg_tval *value);

static bool assign_member(mg_tctx *ctx, const mg_tnode *target, const mg_tval *value)
{
    mg_tnode name = *target;
    name.kind = MG_N_NAME;
    name.name = ctx->t->names[target->id];
    mg_tval object;
    if (!mg_teval(ctx, &name, &object)) {
        return false;
    }
    if (object.kind != MG_T_NAMESPACE) {
        return mg_tfail(ctx, target, "cannot assign an attribute of a '%s', only of a namespace",
                        mg_ttype_name(&object));
    }
    mg_tmap_set(ctx->arena, object.as.map, mg_tval_str(target->name), *value);
    return true;
}

static bool unpack(mg_tctx *ctx, const mg_tnode *target, const mg_tval *value)
{
    mg_tlist *list;
    if (!mg_titerate(ctx, target, value, &list)) {
        return false;
    }
    if (list->count != target->count) {
        return mg_tfail(ctx, target, "%lld values for %lld names", (long long)list->count,
                        (long long)target->count);
    }
    for (int64_t i = 0; i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        if (!assign(ctx, target->items[i], &item)) {
            return false;
        }
    }
    return true;
}

static bool assign(mg_tctx *ctx, const mg_tnode *target, const mg_tval *value)
{
    if (target->kind == MG_N_TUPLE) {
        return unpack(ctx, target, value);
    }
    if (target->kind == MG_N_MEMBER) {
        return assign_member(ctx, target, value);
    }
    scope_set(ctx, ctx->scope, target->id, *value);
    return true;
}

/* Runs body in scope with its output in *text_out, a string value. */
static bool capture(mg_tctx *ctx, const mg_tnode *body, mg_tscope *scope, mg_tval *text_out)
{
    mg_buf buf = { 0 };
    mg_buf *out = ctx->out;
    mg_tscope *outer = ctx->scope;
    ctx->out = &buf;
    ctx->scope = scope;
    flow result = exec_body(ctx, body);
    ctx->out = out;
    ctx->scope = outer;
    *text_out = mg_tval_take(ctx, &buf);
    return result != FLOW_ERROR;
}

static bool exec_print(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tval value;
    if (!mg_teval(ctx, node->a, &value) || !mg_tprint(ctx, node, ctx->out, &value)) {
        return false;
    }
    if (ctx->out->size > MG_TEMPLATE_OUTPUT_BYTES_MAX) {
        return mg_tfail_status(ctx, node, MG_ERR_LIMIT, "the template writes too much");
    }
    return true;
}

static flow exec_if(mg_tctx *ctx, const mg_tnode *node)
{
    for (int64_t i = 0; i + 1 < node->count; i += 2) {
        mg_tval condition;
        bool truth;
        if (!mg_teval(ctx, node->items[i], &condition) ||
            !mg_ttruth(ctx, node->items[i], &condition, &truth)) {
            return FLOW_ERROR;
        }
        if (truth) {
            return exec_body(ctx, node->items[i + 1]);
        }
    }
    return node->c != NULL ? exec_body(ctx, node->c) : FLOW_NEXT;
}

/* ---- loops ---- */

/* The items for which the loop's own condition holds. */
static bool filter_items(mg_tctx *ctx, const mg_tnode *node, mg_tlist **items)
{
    mg_tscope *outer = ctx->scope;
    mg_tval kept = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, (*items)->count);
    int64_t count = 0;
    bool ok = true;
    for (int64_t i = 0; ok && i < (*items)->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, *items, i);
        mg_tval condition;
        bool truth = false;
        ctx->scope = scope_new(ctx, outer);
        ok = assign(ctx, node->a, &item) && mg_teval(ctx, node->c, &condition) &&
             mg_ttruth(ctx, node->c, &condition, &truth);
        if (ok && truth) {
            kept.as.list->items[count++] = item;
        }
    }
    ctx->scope = outer;
    kept.as.list->count = count;
    *items = kept.as.list;
    return ok;
}

static flow exec_iterations(mg_tctx *ctx, const mg_tnode *node, mg_tloop *loop, int32_t loop_id)
{
    mg_tscope *outer = ctx->scope;
    flow result = FLOW_NEXT;
    mg_tval loop_value = { 0 };
    loop_value.kind = MG_T_LOOP;
    loop_value.as.loop = loop;
    for (; loop->index < loop->items->count; loop->index++) {
        mg_tval item = mg_tlist_item(ctx->arena, loop->items, loop->index);
        ctx->scope = scope_new(ctx, outer);
        scope_set(ctx, ctx->scope, loop_id, loop_value);
        result = assign(ctx, node->a, &item) && mg_tstep(ctx, node, 1)
                     ? exec_body(ctx, node->items[0])
                     : FLOW_ERROR;
        if (result == FLOW_BREAK || result == FLOW_ERROR) {
            break;
        }
    }
    ctx->scope = outer;
    return result == FLOW_ERROR ? FLOW_ERROR : FLOW_NEXT;
}

static flow exec_loop(mg_tctx *ctx, const mg_tnode *node, const mg_tval *iterable, int depth)
{
    mg_tlist *items;
    if (!mg_titerate(ctx, node->b, iterable, &items) ||
        (node->c != NULL && !filter_items(ctx, node, &items))) {
        return FLOW_ERROR;
    }
    if (items->count == 0) {
        if (node->items[1] == NULL) {
            return FLOW_NEXT;
        }
        mg_tscope *outer = ctx->scope;
        ctx->scope = scope_new(ctx, outer);
        flow result = exec_body(ctx, node->items[1]);
        ctx->scope = outer;
        return result;
    }
    mg_tloop *loop = mg_arena_new(ctx->arena, mg_tloop);
    loop->node = node;
    loop->items = items;
    loop->depth = depth;
    loop->scope = ctx->scope;
    return exec_iterations(ctx, node, loop, node->id);
}

static flow exec_for(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tval iterable;
    return mg_teval(ctx, node->b, &iterable) ? exec_loop(ctx, node, &iterable, 0) : FLOW_ERROR;
}

bool mg_tloop_call(mg_tctx *ctx, const mg_tnode *at, mg_tloop *loop, const mg_targs *args,
                   mg_tval *out)
{
    static const char *const names[] = { "iterable" };
    mg_tval iterable;
    if (!loop->node->recursive) {
        return mg_tfail(ctx, at, "only a loop marked 'recursive' can be called");
    }
    if (!mg_tbind(ctx, at, args, "loop", names, 1, 1, &iterable)) {
        return false;
    }
    mg_buf buf = { 0 };
    mg_buf *outer_out = ctx->out;
    mg_tscope *outer = ctx->scope;
    ctx->out = &buf;
    ctx->scope = loop->scope;
    flow result = exec_loop(ctx, loop->node, &iterable, loop->depth + 1);
    ctx->out = outer_out;
    ctx->scope = outer;
    *out = mg_tval_take(ctx, &buf);
    return result != FLOW_ERROR;
}

bool mg_tloop_attribute(mg_tctx *ctx, const mg_tloop *loop, mg_str name, mg_tval *out)
{
    int64_t count = loop->items->count;
    if (mg_str_is(name, "index")) {
        *out = mg_tval_int(loop->index + 1);
    } else if (mg_str_is(name, "index0")) {
        *out = mg_tval_int(loop->index);
    } else if (mg_str_is(name, "revindex")) {
        *out = mg_tval_int(count - loop->index);
    } else if (mg_str_is(name, "revindex0")) {
        *out = mg_tval_int(count - loop->index - 1);
    } else if (mg_str_is(name, "first")) {
        *out = mg_tval_bool(loop->index == 0);
    } else if (mg_str_is(name, "last")) {
        *out = mg_tval_bool(loop->index == count - 1);
    } else if (mg_str_is(name, "length")) {
        *out = mg_tval_int(count);
    } else if (mg_str_is(name, "depth")) {
        *out = mg_tval_int(loop->depth + 1);
    } else if (mg_str_is(name, "depth0")) {
        *out = mg_tval_int(loop->depth);
    } else if (mg_str_is(name, "previtem")) {
        *out = loop->index > 0 ? mg_tlist_item(ctx->arena, loop->items, loop->index - 1)
                               : mg_tval_undefined(ctx, "", mg_str_of("there is no previous item"));
    } else if (mg_str_is(name, "nextitem")) {
        *out = loop->index + 1 < count
                   ? mg_tlist_item(ctx->arena, loop->items, loop->index + 1)
                   : mg_tval_undefined(ctx, "", mg_str_of("there is no next item"));
    } else {
        return false;
    }
    return true;
}

static bool loop_changed(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    mg_tloop *loop = value.as.loop;
    mg_tval now = mg_tval_list(ctx->arena, MG_T_STYLE_TUPLE, args->count);
    (void)at;
    for (int64_t i = 0; i < args->count; i++) {
        now.as.list->items[i] = args->values[i];
    }
    bool same = loop->changed.kind == MG_T_LIST && mg_tequal(ctx->arena, &loop->changed, &now);
    loop->changed = now;
    *out = mg_tval_bool(!same);
    return true;
}

static bool loop_cycle(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    if (args->count == 0) {
        return mg_tfail(ctx, at, "no items for cycling given");
    }
    *out = args->values[value.as.loop->index % args->count];
    return true;
}

const mg_tnamed *mg_tfind_loop_method(mg_str name)
{
    static const mg_tnamed methods[] = { { "changed", loop_changed }, { "cycle", loop_cycle } };
    return mg_tfind_named(methods, MG_ARRAY_COUNT(methods), name);
}

/* ---- macros ---- */

/* Sets the parameter at node->items[index] from the arguments, or its default. */
static bool bind_parameter(mg_tctx *ctx, const mg_tnode *node, int64_t index, const mg_targs *args,
                           bool *taken)
{
    const mg_tnode *name = node->items[2 * index];
    const mg_tnode *fallback = node->items[2 * index + 1];
    mg_tval value = { 0 };
    if (index < args->count) {
        value = args->values[index];
    }
    for (int64_t i = 0; i < args->named_count; i++) {
        if (!taken[i] && mg_str_equal(args->names[i], name->name)) {
            if (index < args->count) {
                return mg_tfail(ctx, name, "macro '%.*s' got two values for '%.*s'",
                                MG_STR_ARG(node->name), MG_STR_ARG(name->name));
            }
            taken[i] = true;
            value = args->named[i];
        }
    }
    if (value.kind == MG_T_ABSENT && fallback != NULL) {
        if (!mg_teval(ctx, fallback, &value)) {
            return false;
        }
    } else if (value.kind == MG_T_ABSENT) {
        value = mg_tval_undefined(ctx, NULL, name->name);
    }
    scope_set(ctx, ctx->scope, name->id, value);
    return true;
}

/* Arguments without a parameter: "caller" of a call block, the rest in varargs and kwargs. */
static bool bind_rest(mg_tctx *ctx, const mg_tnode *node, const mg_targs *args, const bool *taken)
{
    int64_t parameters = node->count / 2;
    int64_t extra = MG_MAX(args->count - parameters, 0);
    if (extra > 0 && !node->takes_rest) {
        return mg_tfail(ctx, node, "macro '%.*s' takes not more than %lld arguments",
                        MG_STR_ARG(node->name), (long long)parameters);
    }
    mg_tval varargs = mg_tval_list(ctx->arena, MG_T_STYLE_TUPLE, extra);
    for (int64_t i = 0; i < extra; i++) {
        varargs.as.list->items[i] = args->values[parameters + i];
    }
    mg_tval kwargs = { 0 };
    kwargs.kind = MG_T_MAP;
    kwargs.as.map = mg_tmap_new(ctx->arena, args->named_count);
    for (int64_t i = 0; i < args->named_count; i++) {
        if (taken[i]) {
            continue;
        }
        if (mg_str_is(args->names[i], "caller")) {
            scope_set(ctx, ctx->scope, (int32_t)mg_map_get(&ctx->t->ids, args->names[i], -1),
                      args->named[i]);
            continue;
        }
        if (!node->takes_rest) {
            return mg_tfail(ctx, node, "macro '%.*s' takes no argument '%.*s'",
                            MG_STR_ARG(node->name), MG_STR_ARG(args->names[i]));
        }
        mg_tmap_set(ctx->arena, kwargs.as.map, mg_tval_str(args->names[i]), args->named[i]);
    }
    int32_t varargs_id = (int32_t)mg_map_get(&ctx->t->ids, mg_str_of("varargs"), -1);
    int32_t kwargs_id = (int32_t)mg_map_get(&ctx->t->ids, mg_str_of("kwargs"), -1);
    if (varargs_id >= 0) {
        scope_set(ctx, ctx->scope, varargs_id, varargs);
    }
    if (kwargs_id >= 0) {
        scope_set(ctx, ctx->scope, kwargs_id, kwargs);
    }
    return true;
}

bool mg_tmacro_call(mg_tctx *ctx, const mg_tnode *at, const mg_tmacro *macro, const mg_targs *args,
                    mg_tval *out)
{
    const mg_tnode *node = macro->node;
    mg_tscope *outer = ctx->scope;
    /* A call costs more stack than an expression. */
    ctx->depth += 5;
    if (ctx->depth > MG_TEMPLATE_DEPTH_MAX) {
        return mg_tfail_status(ctx, at, MG_ERR_LIMIT, "macros call each other too deeply");
    }
    bool *taken = mg_arena_array(ctx->arena, bool, args->named_count + 1);
    ctx->scope = scope_new(ctx, macro->scope);
    bool ok = true;
    for (int64_t i = 0; ok && 2 * i < node->count; i++) {
        ok = bind_parameter(ctx, node, i, args, taken);
    }
    ok = ok && bind_rest(ctx, node, args, taken) && capture(ctx, node->c, ctx->scope, out);
    ctx->scope = outer;
    ctx->depth -= 5;
    return ok;
}

static mg_tval make_macro(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tval v = { 0 };
    v.kind = MG_T_MACRO;
    v.as.macro = mg_arena_new(ctx->arena, mg_tmacro);
    v.as.macro->node = node;
    v.as.macro->scope = ctx->scope;
    return v;
}

/* {% call name(arguments) %}body{% endcall %}: the body becomes the argument "caller". */
static bool exec_call_block(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tval callee;
    mg_targs args;
    mg_tval result;
    if (!mg_teval(ctx, node->a->a, &callee) ||
        !mg_targuments_eval(ctx, node->a->arguments, &args)) {
        return false;
    }
    mg_str *names = mg_arena_array(ctx->arena, mg_str, args.named_count + 1);
    mg_tval *named = mg_arena_array(ctx->arena, mg_tval, args.named_count + 1);
    for (int64_t i = 0; i < args.named_count; i++) {
        names[i] = args.names[i];
        named[i] = args.named[i];
    }
    names[args.named_count] = mg_str_of("caller");
    named[args.named_count] = make_macro(ctx, node);
    args.names = names;
    args.named = named;
    args.named_count++;
    return mg_tcall(ctx, node->a, &callee, &args, &result) &&
           mg_tprint(ctx, node, ctx->out, &result);
}

/* ---- other blocks ---- */

static bool exec_set(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tval value;
    return mg_teval(ctx, node->b, &value) && assign(ctx, node->a, &value);
}

static bool exec_set_block(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tval text;
    mg_tval value;
    if (!capture(ctx, node->c, scope_new(ctx, ctx->scope), &text)) {
        return false;
    }
    value = text;
    return (node->b == NULL || mg_tfilters_apply(ctx, node->b, &text, &value)) &&
           assign(ctx, node->a, &value);
}

static bool exec_filter_block(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tval text;
    mg_tval value;
    return capture(ctx, node->c, scope_new(ctx, ctx->scope), &text) &&
           mg_tfilters_apply(ctx, node->b, &text, &value) && mg_tprint(ctx, node, ctx->out, &value);
}

static flow exec_with(mg_tctx *ctx, const mg_tnode *node)
{
    mg_tscope *outer = ctx->scope;
    mg_tscope *scope = scope_new(ctx, outer);
    for (int64_t i = 0; i + 1 < node->count; i += 2) {
        mg_tval value;
        if (!mg_teval(ctx, node->items[i + 1], &value)) {
            return FLOW_ERROR;
        }
        scope_set(ctx, scope, node->items[i]->id, value);
    }
    ctx->scope = scope;
    flow result = exec_body(ctx, node->c);
    ctx->scope = outer;
    return result;
}

static flow exec_node(mg_tctx *ctx, const mg_tnode *node)
{
    switch (node->kind) {
    case MG_N_TEXT:
        mg_buf_add(ctx->out, node->name);
        return FLOW_NEXT;
    case MG_N_PRINT:
        return flow_of(exec_print(ctx, node));
    case MG_N_IF:
        return exec_if(ctx, node);
    case MG_N_FOR:
        return exec_for(ctx, node);
    case MG_N_SET:
        return flow_of(exec_set(ctx, node));
    case MG_N_SET_BLOCK:
        return flow_of(exec_set_block(ctx, node));
    case MG_N_MACRO:
        scope_set(ctx, ctx->scope, node->id, make_macro(ctx, node));
        return FLOW_NEXT;
    case MG_N_CALL_BLOCK:
        return flow_of(exec_call_block(ctx, node));
    case MG_N_FILTER_BLOCK:
        return flow_of(exec_filter_block(ctx, node));
    case MG_N_WITH:
        return exec_with(ctx, node);
    case MG_N_BREAK:
        return FLOW_BREAK;
    case MG_N_CONTINUE:
        return FLOW_CONTINUE;
    default:
        MG_ASSERT(false); /* expressions are no statements */
        return FLOW_ERROR;
    }
}

static flow exec_body(mg_tctx *ctx, const mg_tnode *body)
{
    flow result = FLOW_NEXT;
    if (++ctx->depth > MG_TEMPLATE_DEPTH_MAX) {
        (void)mg_tfail_status(ctx, body, MG_ERR_LIMIT, "the template is nested too deeply");
        return FLOW_ERROR;
    }
    for (int64_t i = 0; result == FLOW_NEXT && i < body->count; i++) {
        result = mg_tstep(ctx, body->items[i], 1) ? exec_node(ctx, body->items[i]) : FLOW_ERROR;
    }
    ctx->depth--;
    return result;
}

bool mg_texec(mg_tctx *ctx, const mg_tnode *body)
{
    return exec_body(ctx, body) != FLOW_ERROR;
}
