/* text/template.c - compiling and rendering templates. */
#include "text/template.h"

#include "base/memory.h"
#include "text/template_internal.h"

mg_status mg_template_compile(mg_str source, const char *name, mg_template_profile profile,
                              mg_template **template_out, mg_error *err)
{
    *template_out = NULL;
    mg_status status = MG_OK;
    mg_ttokens tokens = { 0 };
    mg_template *t = mg_new(mg_template);
    t->profile = profile;
    t->name = mg_arena_copy(&t->arena, mg_str_of(name)).data;
    MG_TRY_OR_DONE(mg_template_lex(t, source, &tokens, err));
    mg_tparser parser = { .t = t, .token = tokens.items, .err = err };
    MG_TRY_OR_DONE(mg_tparse_template(&parser, &t->body));
    *template_out = t;
    t = NULL; /* handed over */

done:
    mg_template_destroy(t);
    mg_free(tokens.items);
    return status;
}

void mg_template_destroy(mg_template *template_)
{
    if (template_ != NULL) {
        mg_map_release(&template_->ids);
        mg_free(template_->names);
        mg_arena_release(&template_->arena);
        mg_free(template_);
    }
}

static void begin(mg_tctx *ctx, const mg_template *t, const mg_value *variables, mg_arena *arena,
                  mg_error *err)
{
    memset(ctx, 0, sizeof(*ctx));
    ctx->t = t;
    ctx->arena = arena;
    ctx->variables = variables;
    ctx->err = err;
    ctx->roots = mg_arena_array(arena, mg_tval, t->name_count + 1);
    ctx->scope = mg_arena_new(arena, mg_tscope);
}

mg_status mg_template_render(const mg_template *template_, const mg_value *variables, int64_t now,
                             mg_buf *out, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_tctx ctx;
    size_t size = out->size;
    begin(&ctx, template_, variables, &arena, err);
    ctx.now = now;
    ctx.out = out;
    if (!mg_texec(&ctx, template_->body)) {
        out->size = size; /* nothing of a failed render stays */
    }
    mg_arena_release(&arena);
    return ctx.status;
}

mg_status mg_template_evaluate(const mg_template *template_, const mg_value *variables,
                               mg_arena *arena, bool *native_out, mg_value *value_out,
                               mg_error *err)
{
    *value_out = mg_value_null;
    const mg_tnode *body = template_->body;
    *native_out = body->count == 1 && body->items[0]->kind == MG_N_PRINT;
    if (!*native_out) {
        return MG_OK;
    }
    mg_arena own = { 0 };
    mg_tctx ctx;
    mg_tval value;
    begin(&ctx, template_, variables, &own, err);
    if (mg_teval(&ctx, body->items[0]->a, &value)) {
        (void)mg_tto_value(&ctx, body->items[0], arena, &value, value_out);
    }
    mg_arena_release(&own);
    return ctx.status;
}

void mg_python_print(mg_buf *buf, const mg_value *value, bool quoted)
{
    mg_arena arena = { 0 };
    if (value->kind == MG_STRING && !quoted) {
        mg_buf_add(buf, value->string);
        return;
    }
    mg_tval v = mg_tval_of(&arena, value);
    (void)mg_trepr(&arena, buf, &v); /* documents are never nested too deeply */
    mg_arena_release(&arena);
}
