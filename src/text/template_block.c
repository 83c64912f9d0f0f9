/* text/template_block.c - statements of templates: {% for %}, {% if %}, {% set %} and so on. */
#include "text/template_internal.h"

#include "base/memory.h"

static mg_status parse_body(mg_tparser *p, const char *const *ends, mg_tnode **out);
static mg_status parse_block(mg_tparser *p, mg_tnode **out);

static mg_status expect_block_end(mg_tparser *p)
{
    if (p->token->kind != MG_TOKEN_BLOCK_END) {
        return mg_tparse_fail(p, p->token, "expected the end of the tag");
    }
    p->token++;
    return MG_OK;
}

/* The rest of an opening tag, the body, and its only closing tag. */
static mg_status parse_closed_body(mg_tparser *p, const char *end, mg_tnode **out)
{
    const char *const ends[] = { end, NULL };
    MG_TRY(expect_block_end(p));
    MG_TRY(parse_body(p, ends, out));
    p->token++; /* the word that ended it */
    return expect_block_end(p);
}

static mg_status parse_target_name(mg_tparser *p, mg_tnode **out)
{
    if (p->token->kind != MG_TOKEN_NAME) {
        return mg_tparse_fail(p, p->token, "expected a name to assign to");
    }
    static const char *const reserved[] = { "true", "True", "false", "False", "none", "None" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(reserved); i++) {
        if (mg_tparse_is_name(p, reserved[i])) {
            return mg_tparse_fail(p, p->token, "cannot assign to '%s'", reserved[i]);
        }
    }
    mg_tnode *node = mg_tnode_new(p, MG_N_NAME);
    node->id = mg_template_id(p->t, p->token->text);
    node->name = p->t->names[node->id];
    p->token++;
    *out = node;
    return MG_OK;
}

static mg_status parse_target(mg_tparser *p, bool members, mg_tnode **out);

static mg_status parse_one_target(mg_tparser *p, bool members, mg_tnode **out)
{
    if (mg_tparse_skip_op(p, '(')) {
        MG_TRY(parse_target(p, members, out));
        return mg_tparse_expect_op(p, ')');
    }
    MG_TRY(parse_target_name(p, out));
    if (members && mg_tparse_skip_op(p, '.')) {
        if (p->token->kind != MG_TOKEN_NAME) {
            return mg_tparse_fail(p, p->token, "expected a name behind '.'");
        }
        (*out)->kind = MG_N_MEMBER;
        (*out)->name = mg_arena_copy(&p->t->arena, p->token->text);
        p->token++;
    }
    return MG_OK;
}

/* What a value is assigned to: a name, a namespace member, or several with commas. */
static mg_status parse_target(mg_tparser *p, bool members, mg_tnode **out)
{
    mg_status status = MG_OK;
    mg_tnodes items = { 0 };
    mg_tnode *tuple = NULL;
    if (++p->depth > MG_TEMPLATE_NESTING_MAX) {
        return mg_tparse_fail(p, p->token, "the target is nested too deeply");
    }
    MG_TRY_OR_DONE(parse_one_target(p, members, out));
    if (mg_tparse_is_op(p, ',')) {
        tuple = mg_tnode_new(p, MG_N_TUPLE);
        mg_tnodes_add(&items, *out);
        while (mg_tparse_skip_op(p, ',')) {
            mg_tnode *item = NULL;
            if (p->token->kind != MG_TOKEN_NAME && !mg_tparse_is_op(p, '(')) {
                break;
            }
            if (mg_tparse_is_name(p, "in")) {
                break;
            }
            MG_TRY_OR_DONE(parse_one_target(p, members, &item));
            mg_tnodes_add(&items, item);
        }
        *out = tuple;
    }

done:
    p->depth--;
    mg_tnodes_close(p, &items, status == MG_OK ? tuple : NULL);
    return status;
}

static mg_status parse_for(mg_tparser *p, mg_tnode *node)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    MG_TRY(parse_target(p, false, &node->a));
    if (!mg_tparse_skip_name(p, "in")) {
        return mg_tparse_fail(p, p->token, "expected 'in'");
    }
    MG_TRY(mg_tparse_tuple(p, false, "recursive", &node->b));
    if (mg_tparse_skip_name(p, "if")) {
        MG_TRY(mg_tparse_expression(p, true, &node->c));
    }
    node->recursive = mg_tparse_skip_name(p, "recursive");
    MG_TRY(expect_block_end(p));
    node->items = mg_arena_array(&p->t->arena, mg_tnode *, 2);
    node->count = 2;
    node->id = mg_template_id(p->t, mg_str_of("loop"));
    p->loop_depth++;
    MG_TRY(parse_body(p, ends, &node->items[0]));
    p->loop_depth--;
    if (mg_tparse_skip_name(p, "else")) {
        return parse_closed_body(p, "endfor", &node->items[1]);
    }
    p->token++;
    return expect_block_end(p);
}

static mg_status parse_if(mg_tparser *p, mg_tnode *node)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    mg_status status = MG_OK;
    mg_tnodes items = { 0 };
    for (;;) {
        mg_tnode *part = NULL;
        MG_TRY_OR_DONE(mg_tparse_tuple(p, false, NULL, &part));
        mg_tnodes_add(&items, part);
        MG_TRY_OR_DONE(expect_block_end(p));
        MG_TRY_OR_DONE(parse_body(p, ends, &part));
        mg_tnodes_add(&items, part);
        if (mg_tparse_skip_name(p, "elif")) {
            continue;
        }
        if (mg_tparse_skip_name(p, "else")) {
            MG_TRY_OR_DONE(parse_closed_body(p, "endif", &node->c));
        } else {
            p->token++;
            MG_TRY_OR_DONE(expect_block_end(p));
        }
        break;
    }

done:
    mg_tnodes_close(p, &items, status == MG_OK ? node : NULL);
    return status;
}

static mg_status parse_set(mg_tparser *p, mg_tnode *node)
{
    MG_TRY(parse_target(p, true, &node->a));
    if (mg_tparse_skip_op(p, '=')) {
        MG_TRY(mg_tparse_tuple(p, true, NULL, &node->b));
        return expect_block_end(p);
    }
    node->kind = MG_N_SET_BLOCK;
    if (mg_tparse_skip_op(p, '|')) {
        MG_TRY(mg_tparse_filters(p, NULL, true, &node->b));
    }
    return parse_closed_body(p, "endset", &node->c);
}

/* "(a, b=1)": pairs of a name and a default (or NULL) in node->items. */
static mg_status parse_parameters(mg_tparser *p, mg_tnode *node)
{
    mg_status status = MG_OK;
    mg_tnodes items = { 0 };
    bool defaults = false;
    MG_TRY_OR_DONE(mg_tparse_expect_op(p, '('));
    while (!mg_tparse_is_op(p, ')')) {
        mg_tnode *name = NULL;
        mg_tnode *fallback = NULL;
        if (items.count > 0) {
            MG_TRY_OR_DONE(mg_tparse_expect_op(p, ','));
        }
        const mg_ttoken *place = p->token;
        MG_TRY_OR_DONE(parse_target_name(p, &name));
        if (mg_tparse_skip_op(p, '=')) {
            defaults = true;
            MG_TRY_OR_DONE(mg_tparse_expression(p, true, &fallback));
        } else if (defaults) {
            status = mg_tparse_fail(p, place, "a parameter without a default behind one with");
            goto done;
        }
        mg_tnodes_add(&items, name);
        mg_tnodes_add(&items, fallback);
    }
    MG_TRY_OR_DONE(mg_tparse_expect_op(p, ')'));

done:
    mg_tnodes_close(p, &items, status == MG_OK ? node : NULL);
    return status;
}

/* A body that runs as a function: loops around it cannot be left from inside. */
static mg_status parse_function_body(mg_tparser *p, const char *end, mg_tnode **out)
{
    int loop_depth = p->loop_depth;
    p->loop_depth = 0;
    MG_TRY(parse_closed_body(p, end, out));
    p->loop_depth = loop_depth;
    return MG_OK;
}

/* The body of a macro or call block, and whether it looks at varargs or kwargs. */
static mg_status parse_macro_body(mg_tparser *p, const char *end, mg_tnode *node)
{
    bool outer = p->uses_rest;
    p->uses_rest = false;
    MG_TRY(parse_function_body(p, end, &node->c));
    node->takes_rest = p->uses_rest;
    p->uses_rest = outer;
    return MG_OK;
}

static mg_status parse_macro(mg_tparser *p, mg_tnode *node)
{
    mg_tnode *name = NULL;
    MG_TRY(parse_target_name(p, &name));
    node->id = name->id;
    node->name = name->name;
    MG_TRY(parse_parameters(p, node));
    return parse_macro_body(p, "endmacro", node);
}

static mg_status parse_call_block(mg_tparser *p, mg_tnode *node)
{
    if (mg_tparse_is_op(p, '(')) {
        MG_TRY(parse_parameters(p, node));
    }
    const mg_ttoken *place = p->token;
    MG_TRY(mg_tparse_expression(p, true, &node->a));
    if (node->a->kind != MG_N_CALL) {
        return mg_tparse_fail(p, place, "expected a call");
    }
    return parse_macro_body(p, "endcall", node);
}

static mg_status parse_with(mg_tparser *p, mg_tnode *node)
{
    mg_status status = MG_OK;
    mg_tnodes items = { 0 };
    while (p->token->kind != MG_TOKEN_BLOCK_END) {
        mg_tnode *part = NULL;
        if (items.count > 0) {
            MG_TRY_OR_DONE(mg_tparse_expect_op(p, ','));
        }
        MG_TRY_OR_DONE(parse_target_name(p, &part));
        mg_tnodes_add(&items, part);
        MG_TRY_OR_DONE(mg_tparse_expect_op(p, '='));
        MG_TRY_OR_DONE(mg_tparse_expression(p, true, &part));
        mg_tnodes_add(&items, part);
    }
    MG_TRY_OR_DONE(parse_closed_body(p, "endwith", &node->c));

done:
    mg_tnodes_close(p, &items, status == MG_OK ? node : NULL);
    return status;
}

static mg_status parse_loop_control(mg_tparser *p, mg_tnode *node)
{
    if (p->loop_depth == 0) {
        return mg_tparse_fail(p, p->token - 1, "only a loop can be left or continued");
    }
    (void)node;
    return expect_block_end(p);
}

static mg_status parse_filter_block(mg_tparser *p, mg_tnode *node)
{
    MG_TRY(mg_tparse_filters(p, NULL, true, &node->b));
    return parse_closed_body(p, "endfilter", &node->c);
}

/* Marks what the assistant said, for training; here it only shows its body. */
static mg_status parse_generation(mg_tparser *p, mg_tnode *node)
{
    return parse_function_body(p, "endgeneration", &node->c);
}

static mg_status parse_statement(mg_tparser *p, mg_tnode **out)
{
    static const struct {
        const char *word;
        mg_tnode_kind kind;
        mg_status (*parse)(mg_tparser *, mg_tnode *);
        bool chat_only;
    } statements[] = {
        { "for", MG_N_FOR, parse_for, false },
        { "if", MG_N_IF, parse_if, false },
        { "set", MG_N_SET, parse_set, false },
        { "macro", MG_N_MACRO, parse_macro, false },
        { "call", MG_N_CALL_BLOCK, parse_call_block, false },
        { "filter", MG_N_FILTER_BLOCK, parse_filter_block, false },
        { "with", MG_N_WITH, parse_with, false },
        { "break", MG_N_BREAK, parse_loop_control, true },
        { "continue", MG_N_CONTINUE, parse_loop_control, true },
        { "generation", MG_N_WITH, parse_generation, true },
    };
    if (p->token->kind != MG_TOKEN_NAME) {
        return mg_tparse_fail(p, p->token, "expected the name of a tag");
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(statements); i++) {
        bool known = p->t->profile == MG_TEMPLATE_CHAT || !statements[i].chat_only;
        if (known && mg_tparse_is_name(p, statements[i].word)) {
            *out = mg_tnode_new(p, statements[i].kind);
            p->token++;
            return statements[i].parse(p, *out);
        }
    }
    return mg_tparse_fail(p, p->token, "unknown tag '%.*s'", MG_STR_ARG(p->token->text));
}

static mg_status parse_print(mg_tparser *p, mg_tnode **out)
{
    *out = mg_tnode_new(p, MG_N_PRINT);
    p->token++;
    MG_TRY(mg_tparse_tuple(p, true, NULL, &(*out)->a));
    if (p->token->kind != MG_TOKEN_PRINT_END) {
        return mg_tparse_fail(p, p->token, "expected '}}'");
    }
    p->token++;
    return MG_OK;
}

/* Whether the token is one of ends (a list closed by NULL). */
static bool ends_here(const mg_tparser *p, const char *const *ends)
{
    for (; *ends != NULL; ends++) {
        if (mg_tparse_is_name(p, *ends)) {
            return true;
        }
    }
    return false;
}

/* One statement, text or output; the token is no block end of the surrounding body. */
static mg_status parse_block(mg_tparser *p, mg_tnode **out)
{
    if (p->token->kind == MG_TOKEN_TEXT) {
        *out = mg_tnode_new(p, MG_N_TEXT);
        (*out)->name = p->token->text;
        p->token++;
        return MG_OK;
    }
    if (p->token->kind == MG_TOKEN_PRINT_BEGIN) {
        return parse_print(p, out);
    }
    p->token++; /* the opening of the block tag */
    return parse_statement(p, out);
}

/* Statements up to a tag whose word is in ends; stops at that word. */
static mg_status parse_body(mg_tparser *p, const char *const *ends, mg_tnode **out)
{
    mg_status status = MG_OK;
    mg_tnodes items = { 0 };
    const mg_ttoken *begin = p->token;
    *out = mg_tnode_new(p, MG_N_BODY);
    if (++p->depth > MG_TEMPLATE_NESTING_MAX) {
        status = mg_tparse_fail(p, p->token, "blocks are nested too deeply");
        goto done;
    }
    for (;;) {
        mg_tnode *item = NULL;
        if (p->token->kind == MG_TOKEN_END) {
            if (*ends != NULL) {
                status = mg_tparse_fail(p, begin, "the template ends before '%s'",
                                        mg_str_is(mg_str_of(*ends), "elif") ? "endif" : *ends);
            }
            goto done;
        }
        if (p->token->kind == MG_TOKEN_BLOCK_BEGIN) {
            p->token++;
            if (ends_here(p, ends)) {
                goto done;
            }
            p->token--;
        }
        MG_TRY_OR_DONE(parse_block(p, &item));
        mg_tnodes_add(&items, item);
    }

done:
    p->depth--;
    mg_tnodes_close(p, &items, status == MG_OK ? *out : NULL);
    return status;
}

mg_status mg_tparse_template(mg_tparser *p, mg_tnode **out)
{
    static const char *const none[] = { NULL };
    return parse_body(p, none, out);
}
