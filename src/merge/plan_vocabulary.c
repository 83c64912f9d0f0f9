/* merge/plan_vocabulary.c - the vocabulary of a plan, from the tokenizers of its models. */
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "merge/plan_internal.h"

static int64_t rows_of(const mg_plan *plan, const mg_snapshot *snapshot,
                       const mg_token_table *tokens)
{
    char *key = mg_str_dup(plan->layout->vocab_key);
    int64_t rows = 0;
    if (!mg_value_to_int(mg_value_path(&snapshot->config.root, key), &rows) || rows <= 0) {
        rows = tokens != NULL ? tokens->count : 0;
    }
    mg_free(key);
    return rows;
}

/* The tokenizer of a source that is no part of the merge, or that is not the base. */
static mg_status open_other(const mg_plan *plan, const mg_recipe *recipe, mg_model_set *set,
                            mg_str source, mg_vocabulary_model *other, mg_error *err)
{
    mg_arena arena = { NULL, 0, 0 };
    mg_model_ref ref;
    mg_snapshot *snapshot = NULL;
    (void)recipe;
    mg_status status = mg_model_ref_parse(source, &arena, &ref, err);
    if (status == MG_OK) {
        status = mg_model_set_get(set, &ref, &snapshot, err);
    }
    if (status == MG_OK) {
        status = mg_model_set_tokens(set, &ref, true, &other->tokens, err);
    }
    if (status == MG_OK) {
        other->folder = snapshot->folder;
        other->size = rows_of(plan, snapshot, other->tokens);
    }
    mg_arena_release(&arena);
    return status;
}

/* with_tree: the result starts from the tokenizer of the first model. */
static mg_status list_models(const mg_plan *plan, mg_model_set *set, bool with_tree,
                             mg_vocabulary_model *models, mg_error *err)
{
    for (int64_t i = 0; i < plan->model_count; i++) {
        mg_error missing;
        mg_error_clear(&missing);
        models[i].ref = plan->refs[i];
        models[i].folder = plan->models[i]->folder;
        mg_status status = mg_model_set_tokens(set, &plan->refs[i], with_tree && i == 0,
                                               &models[i].tokens, i == 0 ? err : &missing);
        if (status != MG_OK && i == 0) {
            return status;
        }
        if (status != MG_OK) {
            mg_warn("%s: taken to have the tokens of the first model", missing.message);
        }
        models[i].size = rows_of(plan, plan->models[i], models[i].tokens);
    }
    return MG_OK;
}

/* Old files say "model:PATH" for PATH. */
static mg_str without_prefix(mg_str source)
{
    const char *prefix = "model:";
    char *path = mg_str_dup(source);
    bool old = mg_str_starts(source, prefix) && !mg_path_exists(path);
    mg_free(path);
    return old ? mg_str_slice(source, strlen(prefix), source.size) : source;
}

mg_status mg_plan_build_vocabulary(mg_plan *plan, const mg_recipe *recipe, mg_model_set *set,
                                   mg_diagnostics *diagnostics, mg_error *err)
{
    static const char *const known[] = { "source", "tokens", "pad_to_multiple_of" };
    const mg_value *block = recipe->tokenizer;
    if (block == NULL && recipe->tokenizer_source.size == 0) {
        return MG_OK;
    }
    mg_str source = recipe->tokenizer_source;
    if (block != NULL) {
        const mg_value *given = mg_value_get(block, "source");
        if (!mg_value_is_null(given) && given->kind != MG_STRING) {
            mg_diagnose(diagnostics, given, "'source' must be union, base or a model reference");
            return MG_OK;
        }
        source = mg_value_is_null(given) ? mg_str_of("union") : given->string;
        for (int64_t i = 0; i < block->count; i++) {
            mg_str key = block->entries[i].key.string;
            if (!mg_str_is(key, known[0]) && !mg_str_is(key, known[1]) &&
                !mg_str_is(key, known[2])) {
                mg_diagnose_warn(diagnostics, &block->entries[i].key,
                                 "unknown key '%.*s' is ignored", MG_STR_ARG(key));
            }
        }
    }
    mg_vocabulary_model *models =
        mg_arena_array(&plan->arena, mg_vocabulary_model, plan->model_count);
    mg_vocabulary_model *other = NULL;
    bool from_first = mg_str_is(source, "union") || mg_str_is(source, "base");
    MG_TRY(list_models(plan, set, from_first, models, err));
    if (!from_first) {
        other = mg_arena_new(&plan->arena, mg_vocabulary_model);
        MG_TRY(open_other(plan, recipe, set, without_prefix(source), other, err));
    }
    plan->vocabulary = mg_arena_new(&plan->arena, mg_vocabulary);
    return mg_vocabulary_build(recipe, models, plan->model_count, other, &plan->arena,
                               &plan->tokenizer_tree, diagnostics, plan->vocabulary, err);
}

void mg_plan_drop_tokenizer(mg_plan *plan)
{
    if (plan->vocabulary != NULL) {
        plan->vocabulary->tokenizer = mg_value_null;
    }
    mg_arena_release(&plan->tokenizer_tree);
}
