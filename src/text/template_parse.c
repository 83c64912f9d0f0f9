/* text/template_parse.c - expressions of templates, by recursive descent.
 *
 * One function for each level of precedence, from loose to tight: condition, or, and, not, compare,
 * sum, concat, product, power, unary, then postfix, filters and tests (tasks.md 15). */
#include "text/template_internal.h"

#include "base/memory.h"

mg_status mg_tparse_fail(mg_tparser *p, const mg_ttoken *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mg_status status = mg_fail_va(p->err, MG_ERR_FORMAT, format, args);
    va_end(args);
    mg_error_prefix(p->err, "%s:%d:%d", p->t->name, (int)at->line, (int)at->column);
    return status;
}

mg_tnode *mg_tnode_new(mg_tparser *p, mg_tnode_kind kind)
{
    mg_tnode *node = mg_arena_new(&p->t->arena, mg_tnode);
    node->kind = kind;
    node->line = p->token->line;
    node->column = p->token->column;
    return node;
}

/* A node that stands where another one began. */
static mg_tnode *node_at(mg_tparser *p, mg_tnode_kind kind, const mg_tnode *place)
{
    mg_tnode *node = mg_tnode_new(p, kind);
    node->line = place->line;
    node->column = place->column;
    return node;
}

int32_t mg_template_id(mg_template *t, mg_str name)
{
    int64_t known = mg_map_get(&t->ids, name, -1);
    if (known >= 0) {
        return (int32_t)known;
    }
    if (t->name_count == t->name_cap) {
        t->name_cap = t->name_cap == 0 ? 16 : t->name_cap * 2;
        t->names = (mg_str *)mg_memory_resize(t->names, t->name_cap, sizeof(mg_str));
    }
    mg_str kept = mg_arena_copy(&t->arena, name);
    t->names[t->name_count] = kept;
    (void)mg_map_set(&t->ids, kept, t->name_count);
    return t->name_count++;
}

void mg_tnodes_add(mg_tnodes *list, mg_tnode *node)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 8 : list->cap * 2;
        list->items = (mg_tnode **)mg_memory_resize(list->items, list->cap, sizeof(mg_tnode *));
    }
    list->items[list->count++] = node;
}

void mg_tnodes_close(mg_tparser *p, mg_tnodes *list, mg_tnode *into)
{
    if (into != NULL) {
        into->count = list->count;
        into->items = mg_arena_array(&p->t->arena, mg_tnode *, list->count + 1);
        for (int64_t i = 0; i < list->count; i++) {
            into->items[i] = list->items[i];
        }
    }
    mg_free(list->items);
    memset(list, 0, sizeof(*list));
}

bool mg_tparse_is_op(const mg_tparser *p, char op)
{
    return p->token->kind == MG_TOKEN_OPERATOR && p->token->op == op;
}

bool mg_tparse_is_name(const mg_tparser *p, const char *name)
{
    return p->token->kind == MG_TOKEN_NAME && mg_str_is(p->token->text, name);
}

bool mg_tparse_skip_op(mg_tparser *p, char op)
{
    bool is = mg_tparse_is_op(p, op);
    p->token += is ? 1 : 0;
    return is;
}

bool mg_tparse_skip_name(mg_tparser *p, const char *name)
{
    bool is = mg_tparse_is_name(p, name);
    p->token += is ? 1 : 0;
    return is;
}

mg_status mg_tparse_expect_op(mg_tparser *p, char op)
{
    if (!mg_tparse_skip_op(p, op)) {
        return mg_tparse_fail(p, p->token, "expected '%c'", op);
    }
    return MG_OK;
}

static mg_status parse_or(mg_tparser *p, mg_tnode **out);
static mg_status parse_unary(mg_tparser *p, bool with_filter, mg_tnode **out);

static mg_status enter(mg_tparser *p)
{
    if (++p->depth > MG_TEMPLATE_NESTING_MAX) {
        return mg_tparse_fail(p, p->token, "the expression is nested too deeply");
    }
    return MG_OK;
}

static mg_status parse_condition(mg_tparser *p, mg_tnode **out)
{
    MG_TRY(enter(p));
    MG_TRY(parse_or(p, out));
    while (mg_tparse_skip_name(p, "if")) {
        mg_tnode *node = node_at(p, MG_N_CONDITION, *out);
        node->a = *out;
        MG_TRY(parse_or(p, &node->b));
        if (mg_tparse_skip_name(p, "else")) {
            MG_TRY(parse_condition(p, &node->c));
        }
        *out = node;
    }
    p->depth--;
    return MG_OK;
}

mg_status mg_tparse_expression(mg_tparser *p, bool condition, mg_tnode **out)
{
    if (condition) {
        return parse_condition(p, out);
    }
    MG_TRY(enter(p));
    MG_TRY(parse_or(p, out));
    p->depth--;
    return MG_OK;
}

static mg_status parse_concat(mg_tparser *p, mg_tnode **out);

static mg_status parse_compare(mg_tparser *p, mg_tnode **out);

static mg_status parse_not(mg_tparser *p, mg_tnode **out)
{
    if (!mg_tparse_is_name(p, "not")) {
        return parse_compare(p, out);
    }
    MG_TRY(enter(p));
    mg_tnode *node = mg_tnode_new(p, MG_N_NOT);
    p->token++;
    MG_TRY(parse_not(p, &node->a));
    *out = node;
    p->depth--;
    return MG_OK;
}

static mg_status parse_and(mg_tparser *p, mg_tnode **out)
{
    MG_TRY(parse_not(p, out));
    while (mg_tparse_skip_name(p, "and")) {
        mg_tnode *node = node_at(p, MG_N_AND, *out);
        node->a = *out;
        MG_TRY(parse_not(p, &node->b));
        *out = node;
    }
    return MG_OK;
}

static mg_status parse_or(mg_tparser *p, mg_tnode **out)
{
    MG_TRY(parse_and(p, out));
    while (mg_tparse_skip_name(p, "or")) {
        mg_tnode *node = node_at(p, MG_N_OR, *out);
        node->a = *out;
        MG_TRY(parse_and(p, &node->b));
        *out = node;
    }
    return MG_OK;
}

/* a op b op c ..., from the left; the operators are the characters of ops. */
static mg_status parse_chain(mg_tparser *p, const char *ops,
                             mg_status (*operand)(mg_tparser *, mg_tnode **), mg_tnode **out)
{
    MG_TRY(operand(p, out));
    while (p->token->kind == MG_TOKEN_OPERATOR && strchr(ops, p->token->op) != NULL) {
        mg_tnode *node = mg_tnode_new(p, MG_N_BINARY);
        node->op = p->token->op;
        node->a = *out;
        p->token++;
        MG_TRY(operand(p, &node->b));
        *out = node;
    }
    return MG_OK;
}

static mg_status parse_sum(mg_tparser *p, mg_tnode **out)
{
    return parse_chain(p, "+-", parse_concat, out);
}

/* The comparison operator at the token, consumed; 0 when there is none. */
static char take_comparison(mg_tparser *p)
{
    static const char ops[] = {
        MG_OP_EQUAL, MG_OP_UNEQUAL, MG_OP_AT_LEAST, MG_OP_AT_MOST, '<', '>'
    };
    for (size_t i = 0; i < sizeof(ops); i++) {
        if (mg_tparse_skip_op(p, ops[i])) {
            return ops[i];
        }
    }
    if (mg_tparse_skip_name(p, "in")) {
        return MG_OP_IN;
    }
    if (mg_tparse_is_name(p, "not") && p->token[1].kind == MG_TOKEN_NAME &&
        mg_str_is(p->token[1].text, "in")) {
        p->token += 2;
        return MG_OP_NOT_IN;
    }
    return 0;
}

static mg_status parse_compare(mg_tparser *p, mg_tnode **out)
{
    mg_status status = MG_OK;
    mg_tnodes operands = { 0 };
    mg_buf ops = { 0 };
    MG_TRY_OR_DONE(parse_sum(p, out));
    for (;;) {
        const mg_ttoken *place = p->token;
        char op = take_comparison(p);
        if (op == 0) {
            break;
        }
        mg_tnode *operand = NULL;
        MG_TRY_OR_DONE(parse_sum(p, &operand));
        mg_tnodes_add(&operands, operand);
        mg_buf_add_char(&ops, op);
        if (operands.count == 1) {
            mg_tnode *node = mg_tnode_new(p, MG_N_COMPARE);
            node->line = place->line;
            node->column = place->column;
            node->a = *out;
            *out = node;
        }
    }
    if (operands.count > 0) {
        (*out)->ops = mg_arena_copy(&p->t->arena, mg_buf_view(&ops)).data;
        mg_tnodes_close(p, &operands, *out);
    }

done:
    mg_tnodes_close(p, &operands, NULL);
    mg_buf_release(&ops);
    return status;
}

static mg_status unary_operand(mg_tparser *p, mg_tnode **out)
{
    return parse_unary(p, true, out);
}

static mg_status parse_power(mg_tparser *p, mg_tnode **out)
{
    static const char ops[] = { MG_OP_POWER, '\0' };
    return parse_chain(p, ops, unary_operand, out);
}

static mg_status parse_product(mg_tparser *p, mg_tnode **out)
{
    static const char ops[] = { '*', '/', '%', MG_OP_FLOOR, '\0' };
    return parse_chain(p, ops, parse_power, out);
}

static mg_status parse_concat(mg_tparser *p, mg_tnode **out)
{
    MG_TRY(parse_product(p, out));
    if (!mg_tparse_is_op(p, '~')) {
        return MG_OK;
    }
    mg_status status = MG_OK;
    mg_tnode *node = node_at(p, MG_N_CONCAT, *out);
    mg_tnodes parts = { 0 };
    mg_tnodes_add(&parts, *out);
    while (mg_tparse_skip_op(p, '~')) {
        mg_tnode *part = NULL;
        MG_TRY_OR_DONE(parse_product(p, &part));
        mg_tnodes_add(&parts, part);
    }
    *out = node;

done:
    mg_tnodes_close(p, &parts, status == MG_OK ? node : NULL);
    return status;
}

static mg_status parse_unary(mg_tparser *p, bool with_filter, mg_tnode **out)
{
    MG_TRY(enter(p));
    if (mg_tparse_is_op(p, '-') || mg_tparse_is_op(p, '+')) {
        mg_tnode *node = mg_tnode_new(p, MG_N_UNARY);
        node->op = p->token->op;
        p->token++;
        MG_TRY(parse_unary(p, false, &node->a));
        *out = node;
    } else {
        MG_TRY(mg_tparse_primary(p, out));
    }
    MG_TRY(mg_tparse_postfix(p, *out, out));
    if (with_filter) {
        MG_TRY(mg_tparse_filters(p, *out, false, out));
    }
    p->depth--;
    return MG_OK;
}

/* Expressions up to close, which is consumed; a comma may stand before it.  With pairs, each one is
 * key : value. */
static mg_status parse_items(mg_tparser *p, char close, bool pairs, mg_tnode *into)
{
    mg_status status = MG_OK;
    mg_tnodes items = { 0 };
    while (!mg_tparse_is_op(p, close)) {
        mg_tnode *item = NULL;
        if (items.count > 0) {
            MG_TRY_OR_DONE(mg_tparse_expect_op(p, ','));
            if (mg_tparse_is_op(p, close)) {
                break;
            }
        }
        MG_TRY_OR_DONE(mg_tparse_expression(p, true, &item));
        mg_tnodes_add(&items, item);
        if (pairs) {
            MG_TRY_OR_DONE(mg_tparse_expect_op(p, ':'));
            MG_TRY_OR_DONE(mg_tparse_expression(p, true, &item));
            mg_tnodes_add(&items, item);
        }
    }
    MG_TRY_OR_DONE(mg_tparse_expect_op(p, close));

done:
    mg_tnodes_close(p, &items, status == MG_OK ? into : NULL);
    return status;
}

static mg_status parse_name(mg_tparser *p, mg_tnode **out)
{
    static const struct {
        const char *lower;
        const char *upper;
        mg_tkind kind;
        bool boolean;
    } constants[] = { { "true", "True", MG_T_BOOL, true },
                      { "false", "False", MG_T_BOOL, false },
                      { "none", "None", MG_T_NULL, false } };
    mg_str name = p->token->text;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(constants); i++) {
        if (mg_str_is(name, constants[i].lower) || mg_str_is(name, constants[i].upper)) {
            *out = mg_tnode_new(p, MG_N_CONST);
            (*out)->value.kind = constants[i].kind;
            (*out)->value.as.boolean = constants[i].boolean;
            p->token++;
            return MG_OK;
        }
    }
    *out = mg_tnode_new(p, MG_N_NAME);
    (*out)->id = mg_template_id(p->t, name);
    (*out)->name = p->t->names[(*out)->id];
    p->uses_rest = p->uses_rest || mg_str_is(name, "varargs") || mg_str_is(name, "kwargs");
    p->token++;
    return MG_OK;
}

static void parse_strings(mg_tparser *p, mg_tnode **out)
{
    *out = mg_tnode_new(p, MG_N_CONST);
    mg_str text = p->token->text;
    p->token++;
    /* Strings side by side are one string. */
    while (p->token->kind == MG_TOKEN_STRING) {
        text =
            mg_arena_printf(&p->t->arena, "%.*s%.*s", MG_STR_ARG(text), MG_STR_ARG(p->token->text));
        p->token++;
    }
    (*out)->value = mg_tval_str(text);
}

mg_status mg_tparse_primary(mg_tparser *p, mg_tnode **out)
{
    const mg_ttoken *token = p->token;
    switch (token->kind) {
    case MG_TOKEN_NAME:
        return parse_name(p, out);
    case MG_TOKEN_STRING:
        parse_strings(p, out);
        return MG_OK;
    case MG_TOKEN_INT:
        *out = mg_tnode_new(p, MG_N_CONST);
        (*out)->value = mg_tval_int(token->integer);
        p->token++;
        return MG_OK;
    case MG_TOKEN_FLOAT:
        *out = mg_tnode_new(p, MG_N_CONST);
        (*out)->value = mg_tval_float(token->number);
        p->token++;
        return MG_OK;
    case MG_TOKEN_OPERATOR:
        break;
    case MG_TOKEN_PRINT_END:
    case MG_TOKEN_BLOCK_END:
        return mg_tparse_fail(p, token, "an expression is missing before the end of the tag");
    default:
        return mg_tparse_fail(p, token, "expected an expression");
    }
    if (token->op == '(') {
        p->token++;
        if (mg_tparse_is_op(p, ')')) {
            *out = mg_tnode_new(p, MG_N_TUPLE);
        } else {
            MG_TRY(mg_tparse_tuple(p, true, NULL, out));
        }
        return mg_tparse_expect_op(p, ')');
    }
    if (token->op == '[' || token->op == '{') {
        bool map = token->op == '{';
        *out = mg_tnode_new(p, map ? MG_N_DICT : MG_N_LIST);
        p->token++;
        return parse_items(p, map ? '}' : ']', map, *out);
    }
    return mg_tparse_fail(p, token, "expected an expression");
}

static bool tuple_ends(const mg_tparser *p, const char *stop)
{
    return p->token->kind == MG_TOKEN_PRINT_END || p->token->kind == MG_TOKEN_BLOCK_END ||
           mg_tparse_is_op(p, ')') || (stop != NULL && mg_tparse_is_name(p, stop));
}

mg_status mg_tparse_tuple(mg_tparser *p, bool condition, const char *stop, mg_tnode **out)
{
    mg_status status = MG_OK;
    mg_tnode *tuple = NULL;
    mg_tnodes items = { 0 };
    MG_TRY_OR_DONE(mg_tparse_expression(p, condition, out));
    if (!mg_tparse_is_op(p, ',')) {
        return MG_OK;
    }
    tuple = node_at(p, MG_N_TUPLE, *out);
    mg_tnodes_add(&items, *out);
    while (mg_tparse_skip_op(p, ',') && !tuple_ends(p, stop)) {
        mg_tnode *item = NULL;
        MG_TRY_OR_DONE(mg_tparse_expression(p, condition, &item));
        mg_tnodes_add(&items, item);
    }
    *out = tuple;

done:
    mg_tnodes_close(p, &items, status == MG_OK ? tuple : NULL);
    return status;
}

/* One argument of a call; named ones go to named, with their names in order in names. */
static mg_status parse_argument(mg_tparser *p, mg_targuments *arguments, mg_tnodes *values,
                                mg_tnodes *named)
{
    if (mg_tparse_skip_op(p, '*')) {
        return mg_tparse_expression(p, true, &arguments->star);
    }
    if (mg_tparse_skip_op(p, MG_OP_POWER)) {
        return mg_tparse_expression(p, true, &arguments->double_star);
    }
    mg_tnode *value = NULL;
    const mg_ttoken *name = p->token;
    bool is_named =
        name->kind == MG_TOKEN_NAME && name[1].kind == MG_TOKEN_OPERATOR && name[1].op == '=';
    if (is_named) {
        p->token += 2;
        MG_TRY(mg_tparse_expression(p, true, &value));
        mg_tnode *pair = mg_tnode_new(p, MG_N_NAME);
        pair->name = mg_arena_copy(&p->t->arena, name->text);
        pair->a = value;
        mg_tnodes_add(named, pair);
        return MG_OK;
    }
    if (named->count > 0 || arguments->star != NULL || arguments->double_star != NULL) {
        return mg_tparse_fail(p, name, "a positional argument behind a named one");
    }
    MG_TRY(mg_tparse_expression(p, true, &value));
    mg_tnodes_add(values, value);
    return MG_OK;
}

mg_status mg_tparse_arguments(mg_tparser *p, mg_targuments **out)
{
    mg_status status = MG_OK;
    mg_targuments *arguments = mg_arena_new(&p->t->arena, mg_targuments);
    mg_tnodes values = { 0 };
    mg_tnodes named = { 0 };
    mg_tnode holder = { 0 };
    MG_TRY_OR_DONE(mg_tparse_expect_op(p, '('));
    for (bool first = true; !mg_tparse_is_op(p, ')'); first = false) {
        if (!first) {
            MG_TRY_OR_DONE(mg_tparse_expect_op(p, ','));
            if (mg_tparse_is_op(p, ')')) {
                break;
            }
        }
        MG_TRY_OR_DONE(parse_argument(p, arguments, &values, &named));
    }
    MG_TRY_OR_DONE(mg_tparse_expect_op(p, ')'));
    arguments->named_count = named.count;
    arguments->names = mg_arena_array(&p->t->arena, mg_str, named.count + 1);
    arguments->named = mg_arena_array(&p->t->arena, mg_tnode *, named.count + 1);
    for (int64_t i = 0; i < named.count; i++) {
        arguments->names[i] = named.items[i]->name;
        arguments->named[i] = named.items[i]->a;
    }
    mg_tnodes_close(p, &values, &holder);
    arguments->values = holder.items;
    arguments->count = holder.count;
    *out = arguments;

done:
    mg_tnodes_close(p, &values, NULL);
    mg_tnodes_close(p, &named, NULL);
    return status;
}

/* What stands between the brackets of x[...]; t->token is behind '['. */
static mg_status parse_subscript(mg_tparser *p, mg_tnode *input, mg_tnode **out)
{
    mg_tnode *parts[3] = { NULL, NULL, NULL };
    int colons = 0;
    const mg_ttoken *begin = p->token;
    while (!mg_tparse_is_op(p, ']')) {
        if (mg_tparse_is_op(p, ':')) {
            if (++colons > 2) {
                return mg_tparse_fail(p, p->token, "a slice has at most two colons");
            }
            p->token++;
            continue;
        }
        if (parts[colons] != NULL) {
            return mg_tparse_fail(p, p->token, "expected ']'");
        }
        MG_TRY(mg_tparse_tuple(p, true, NULL, &parts[colons]));
    }
    if (p->token == begin) {
        return mg_tparse_fail(p, p->token, "expected an index");
    }
    p->token++;
    mg_tnode *node = node_at(p, colons > 0 ? MG_N_SLICE : MG_N_ITEM, input);
    node->a = input;
    node->b = parts[0];
    if (colons > 0) {
        node->items = mg_arena_array(&p->t->arena, mg_tnode *, 3);
        memcpy(node->items, parts, sizeof(parts));
        node->count = 3;
    }
    *out = node;
    return MG_OK;
}

static mg_status parse_member(mg_tparser *p, mg_tnode *input, mg_tnode **out)
{
    mg_tnode *node = node_at(p, MG_N_ATTRIBUTE, input);
    node->a = input;
    if (p->token->kind == MG_TOKEN_NAME) {
        node->name = mg_arena_copy(&p->t->arena, p->token->text);
    } else if (p->token->kind == MG_TOKEN_INT) {
        node->kind = MG_N_ITEM;
        node->b = mg_tnode_new(p, MG_N_CONST);
        node->b->value = mg_tval_int(p->token->integer);
    } else {
        return mg_tparse_fail(p, p->token, "expected a name behind '.'");
    }
    p->token++;
    *out = node;
    return MG_OK;
}

static mg_status parse_call(mg_tparser *p, mg_tnode *input, mg_tnode **out)
{
    mg_tnode *node = node_at(p, MG_N_CALL, input);
    node->a = input;
    MG_TRY(mg_tparse_arguments(p, &node->arguments));
    *out = node;
    return MG_OK;
}

mg_status mg_tparse_postfix(mg_tparser *p, mg_tnode *input, mg_tnode **out)
{
    *out = input;
    for (;;) {
        if (mg_tparse_skip_op(p, '.')) {
            MG_TRY(parse_member(p, *out, out));
        } else if (mg_tparse_skip_op(p, '[')) {
            MG_TRY(parse_subscript(p, *out, out));
        } else if (mg_tparse_is_op(p, '(')) {
            MG_TRY(parse_call(p, *out, out));
        } else {
            return MG_OK;
        }
    }
}

/* A test's name and arguments; the token is behind "is". */
static mg_status parse_test(mg_tparser *p, mg_tnode *input, mg_tnode **out)
{
    mg_tnode *node = mg_tnode_new(p, MG_N_TEST);
    bool negated = mg_tparse_skip_name(p, "not");
    if (p->token->kind != MG_TOKEN_NAME) {
        return mg_tparse_fail(p, p->token, "expected the name of a test");
    }
    node->a = input;
    node->name = mg_arena_copy(&p->t->arena, p->token->text);
    node->function = mg_tfind_test(node->name);
    if (node->function == NULL) {
        return mg_tparse_fail(p, p->token, "no test named '%.*s'", MG_STR_ARG(node->name));
    }
    p->token++;
    if (mg_tparse_is_name(p, "is")) {
        return mg_tparse_fail(p, p->token, "a test cannot be tested: use parentheses");
    }
    mg_ttoken_kind kind = p->token->kind;
    bool word = kind == MG_TOKEN_NAME && !mg_tparse_is_name(p, "else") &&
                !mg_tparse_is_name(p, "or") && !mg_tparse_is_name(p, "and") &&
                !mg_tparse_is_name(p, "if") && !mg_tparse_is_name(p, "in") &&
                !mg_tparse_is_name(p, "not");
    if (mg_tparse_is_op(p, '(')) {
        MG_TRY(mg_tparse_arguments(p, &node->arguments));
    } else if (word || kind == MG_TOKEN_STRING || kind == MG_TOKEN_INT || kind == MG_TOKEN_FLOAT ||
               mg_tparse_is_op(p, '[') || mg_tparse_is_op(p, '{')) {
        mg_tnode *argument = NULL;
        MG_TRY(mg_tparse_primary(p, &argument));
        MG_TRY(mg_tparse_postfix(p, argument, &argument));
        node->arguments = mg_arena_new(&p->t->arena, mg_targuments);
        node->arguments->values = mg_arena_new(&p->t->arena, mg_tnode *);
        node->arguments->values[0] = argument;
        node->arguments->count = 1;
    }
    *out = node;
    if (negated) {
        *out = node_at(p, MG_N_NOT, node);
        (*out)->a = node;
    }
    return MG_OK;
}

static mg_status parse_filter(mg_tparser *p, mg_tnode *input, mg_tnode **out)
{
    mg_tnode *node = mg_tnode_new(p, MG_N_FILTER);
    if (p->token->kind != MG_TOKEN_NAME) {
        return mg_tparse_fail(p, p->token, "expected the name of a filter");
    }
    node->a = input;
    node->name = mg_arena_copy(&p->t->arena, p->token->text);
    node->function = mg_tfind_filter(p->t->profile, node->name);
    if (node->function == NULL) {
        return mg_tparse_fail(p, p->token, "no filter named '%.*s'", MG_STR_ARG(node->name));
    }
    p->token++;
    if (mg_tparse_is_op(p, '(')) {
        MG_TRY(mg_tparse_arguments(p, &node->arguments));
    }
    *out = node;
    return MG_OK;
}

mg_status mg_tparse_filters(mg_tparser *p, mg_tnode *input, bool begin, mg_tnode **out)
{
    *out = input;
    if (begin) {
        MG_TRY(parse_filter(p, input, out));
    }
    for (;;) {
        if (mg_tparse_skip_op(p, '|')) {
            MG_TRY(parse_filter(p, *out, out));
        } else if (input != NULL && mg_tparse_skip_name(p, "is")) {
            MG_TRY(parse_test(p, *out, out));
        } else if (input != NULL && mg_tparse_is_op(p, '(')) {
            MG_TRY(parse_call(p, *out, out));
        } else {
            return MG_OK;
        }
    }
}
