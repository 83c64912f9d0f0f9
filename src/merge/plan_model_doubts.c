/* merge/plan_model_doubts.c - what models disagree about beside the shapes of their tensors.
 *
 * Every model is compared with the donor, whose configuration and tokenizer the result takes.  What
 * one of them does not say is never a doubt. */
#include <math.h>

#include "base/fs.h"
#include "merge/chat_template.h"
#include "merge/plan_doubts_internal.h"
#include "text/json.h"

#define CONFIG_BYTES_MAX ((size_t)16 << 20)

typedef struct pair {
    const mg_plan *plan;
    mg_str donor_name, name;
    const mg_snapshot *donor, *model;
    mg_buf *out;
    mg_arena *arena;
} pair;

static void doubt_number(const pair *p, const char *what, double model, double donor)
{
    if (model != 0.0 && donor != 0.0 && isfinite(model) && isfinite(donor) && model != donor) {
        mg_buf_printf(p->out,
                      "%.*s: its %s is %.10g, that of %.*s, which the result takes, %.10g\n",
                      MG_STR_ARG(p->name), what, model, MG_STR_ARG(p->donor_name), donor);
    }
}

/* --- config.json ------------------------------------------------------------------------------ */

static void compare_configs(const pair *p)
{
    const mg_model_config *a = &p->model->config;
    const mg_model_config *b = &p->donor->config;
    doubt_number(p, "rope_theta", a->rope.theta, b->rope.theta);
    doubt_number(p, "number of attention heads", (double)a->head_count, (double)b->head_count);
    doubt_number(p, "number of key and value heads", (double)a->kv_head_count,
                 (double)b->kv_head_count);
    doubt_number(p, "head_dim", (double)a->head_dim, (double)b->head_dim);
    doubt_number(p, "norm epsilon", a->norm_epsilon, b->norm_epsilon);
    doubt_number(p, "sliding_window", (double)a->sliding_window, (double)b->sliding_window);
    if (a->rope.kind != b->rope.kind) {
        mg_buf_printf(p->out, "%.*s: its rope_scaling is of another kind than that of %.*s\n",
                      MG_STR_ARG(p->name), MG_STR_ARG(p->donor_name));
    } else if (a->rope.kind != MG_ROPE_DEFAULT) {
        doubt_number(p, "factor of rope_scaling", a->rope.factor, b->rope.factor);
    }
    if (a->activation != b->activation && a->family != MG_FAMILY_UNKNOWN &&
        b->family != MG_FAMILY_UNKNOWN) {
        mg_buf_printf(p->out, "%.*s: its activation is another than that of %.*s\n",
                      MG_STR_ARG(p->name), MG_STR_ARG(p->donor_name));
    }
}

/* --- Tokens ----------------------------------------------------------------------------------- */

static const mg_value *added_record(const mg_token_table *table, mg_str text)
{
    const mg_value *added = &table->records;
    for (int64_t i = 0; added != NULL && added->kind == MG_LIST && i < added->count; i++) {
        const mg_value *content = mg_value_get(&added->items[i], "content");
        if (content != NULL && content->kind == MG_STRING && mg_str_equal(content->string, text)) {
            return &added->items[i];
        }
    }
    return NULL;
}

/* Tokens that both add, with other flags: a union takes those of the first. */
static void compare_flags(const pair *p, const mg_token_table *model, const mg_token_table *donor)
{
    static const char *const flags[] = { "special", "lstrip", "rstrip", "single_word",
                                         "normalized" };
    const mg_value *added = &model->records;
    for (int64_t i = 0; added != NULL && added->kind == MG_LIST && i < added->count; i++) {
        mg_str text = mg_value_get(&added->items[i], "content")->string;
        const mg_value *other = added_record(donor, text);
        for (int64_t f = 0; other != NULL && f < MG_ARRAY_COUNT(flags); f++) {
            const mg_value *a = mg_value_get(&added->items[i], flags[f]);
            const mg_value *b = mg_value_get(other, flags[f]);
            if (a != NULL && b != NULL && a->kind == MG_BOOL && b->kind == MG_BOOL &&
                a->boolean != b->boolean) {
                mg_buf_printf(
                    p->out, "%.*s: special token '%.*s' has %s: %s, in %.*s, whose counts, %s\n",
                    MG_STR_ARG(p->name), MG_STR_ARG(text), flags[f], a->boolean ? "true" : "false",
                    MG_STR_ARG(p->donor_name), b->boolean ? "true" : "false");
                break;
            }
        }
    }
}

/* Without a vocabulary of the merge, rows are mixed by number whatever token they belong to. */
static void compare_ids(const pair *p, const mg_token_table *model, const mg_token_table *donor)
{
    int64_t moved = 0, unknown = 0;
    int64_t first_moved = -1, first_unknown = -1;
    for (int64_t id = 0; id < model->id_end; id++) {
        if (model->texts[id].data == NULL) {
            continue;
        }
        int64_t there = mg_map_get(&donor->ids, model->texts[id], -1);
        if (there < 0) {
            first_unknown = unknown++ == 0 ? id : first_unknown;
        } else if (there != id) {
            first_moved = moved++ == 0 ? id : first_moved;
        }
    }
    if (moved > 0) {
        mg_str text = model->texts[first_moved];
        mg_buf_printf(p->out,
                      "%.*s: vocabulary mismatch: %lld of its tokens have another number in %.*s "
                      "('%.*s' is %lld here and %lld there), and rows are merged by number "
                      "('tokenizer: {source: union}' merges them by token)\n",
                      MG_STR_ARG(p->name), (long long)moved, MG_STR_ARG(p->donor_name),
                      MG_STR_ARG(text), (long long)first_moved,
                      (long long)mg_map_get(&donor->ids, text, -1));
    }
    if (unknown > 0) {
        mg_buf_printf(p->out,
                      "%.*s: vocabulary mismatch: %lld of its tokens are not in %.*s, whose "
                      "tokenizer the result takes (the first is '%.*s'; 'tokenizer: {source: "
                      "union}' keeps them)\n",
                      MG_STR_ARG(p->name), (long long)unknown, MG_STR_ARG(p->donor_name),
                      MG_STR_ARG(model->texts[first_unknown]));
    }
}

static bool has_tokenizer_file(const mg_snapshot *model, const char *name, mg_arena *arena)
{
    return mg_path_is_file(mg_path_join(arena, model->folder, name).data);
}

/* Whether rows of the model's embeddings are merged at all. */
static bool gives_embeddings(const mg_plan *plan, int64_t model)
{
    for (int64_t i = 0; i < plan->job_count; i++) {
        for (int64_t k = 0; plan->jobs[i].embedding && k < plan->jobs[i].input_count; k++) {
            if (plan->jobs[i].inputs[k].model == model) {
                return true;
            }
        }
    }
    return false;
}

static void compare_tokens(const pair *p, int64_t index)
{
    const mg_token_table *model;
    const mg_token_table *donor;
    mg_error ignored; /* a broken file is told where it is needed */
    if (!has_tokenizer_file(p->donor, "tokenizer.json", p->arena)) {
        return;
    }
    if (!has_tokenizer_file(p->model, "tokenizer.json", p->arena)) {
        if (!has_tokenizer_file(p->model, "tokenizer.model", p->arena)) {
            mg_buf_printf(p->out,
                          "%.*s: has no tokenizer: its tokens are taken to be those of %.*s\n",
                          MG_STR_ARG(p->name), MG_STR_ARG(p->donor_name));
        }
        return;
    }
    if (mg_model_set_tokens(p->plan->set, &p->plan->refs[index], false, &model, &ignored) !=
            MG_OK ||
        mg_model_set_tokens(p->plan->set, &p->plan->refs[0], false, &donor, &ignored) != MG_OK) {
        return;
    }
    if (p->plan->vocabulary != NULL) {
        compare_flags(p, model, donor);
    } else if (gives_embeddings(p->plan, index)) {
        compare_ids(p, model, donor);
    }
}

/* --- Special tokens --------------------------------------------------------------------------- */

static mg_value read_tokenizer_config(const mg_snapshot *model, mg_arena *arena)
{
    mg_value config = mg_value_null;
    mg_error ignored;
    mg_str path = mg_path_join(arena, model->folder, "tokenizer_config.json");
    if (mg_path_is_file(path.data) &&
        mg_json_read(path.data, CONFIG_BYTES_MAX, arena, &config, &ignored) != MG_OK) {
        config = mg_value_null;
    }
    return config;
}

/* A special token's text: "</s>", or the content of a map. */
static mg_str special_text(const mg_value *config, const char *key)
{
    const mg_value *value = mg_value_get(config, key);
    if (value != NULL && value->kind == MG_MAP) {
        value = mg_value_get(value, "content");
    }
    return value != NULL && value->kind == MG_STRING ? value->string : mg_str_of("");
}

/* Whether a number, or one of a list, is among those of the other. */
static bool holds_any_of(const mg_value *a, const mg_value *b)
{
    if (a->kind == MG_LIST) {
        bool any = false;
        for (int64_t i = 0; i < a->count; i++) {
            any = any || holds_any_of(&a->items[i], b);
        }
        return any;
    }
    return b->kind == MG_LIST ? holds_any_of(b, a) : mg_value_equal(a, b);
}

static void compare_special_tokens(const pair *p)
{
    static const char *const keys[] = { "bos_token", "eos_token", "pad_token", "unk_token" };
    static const char *const ids[] = { "bos_token_id", "eos_token_id", "pad_token_id" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(ids); i++) {
        const mg_value *x = mg_value_get(p->model->config.text, ids[i]);
        const mg_value *y = mg_value_get(p->donor->config.text, ids[i]);
        if (!mg_value_is_null(x) && !mg_value_is_null(y) && !holds_any_of(x, y)) {
            mg_buf_printf(
                p->out, "%.*s: special tokens: its config.json has another %s than that of %.*s\n",
                MG_STR_ARG(p->name), ids[i], MG_STR_ARG(p->donor_name));
        }
    }
    mg_value model = read_tokenizer_config(p->model, p->arena);
    mg_value donor = read_tokenizer_config(p->donor, p->arena);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(keys); i++) {
        mg_str x = special_text(&model, keys[i]);
        mg_str y = special_text(&donor, keys[i]);
        if (x.size > 0 && y.size > 0 && !mg_str_equal(x, y)) {
            mg_buf_printf(p->out, "%.*s: special tokens: its %s is '%.*s', that of %.*s '%.*s'\n",
                          MG_STR_ARG(p->name), keys[i], MG_STR_ARG(x), MG_STR_ARG(p->donor_name),
                          MG_STR_ARG(y));
        }
    }
}

/* --- What a model says of itself -------------------------------------------------------------- */

/* A template that the result will not have, though the recipe's key could give it. */
static void compare_chat_templates(const pair *p)
{
    if (!p->plan->has_chat_template && mg_chat_template_of(p->donor->folder, p->arena).size == 0 &&
        mg_chat_template_of(p->model->folder, p->arena).size > 0) {
        mg_buf_printf(p->out,
                      "%.*s: has a chat template, the result takes that of %.*s, which has none "
                      "('chat_template: auto' takes it over)\n",
                      MG_STR_ARG(p->name), MG_STR_ARG(p->donor_name));
    }
}

/* Rows of the input embedding and the number in config.json. */
static void check_rows(const pair *p)
{
    char *key = mg_str_dup(p->plan->layout->vocab_key);
    int64_t said = 0;
    bool says = mg_value_to_int(mg_value_path(&p->model->config.root, key), &said);
    mg_free(key);
    for (int64_t i = 0; i < p->plan->job_count && says; i++) {
        const mg_plan_job *job = &p->plan->jobs[i];
        const mg_view *own =
            job->embedding ? mg_checkpoint_find(p->model->checkpoint, job->name) : NULL;
        if (own != NULL && own->shape.rank == 2 && own->shape.dims[0] != said) {
            mg_buf_printf(p->out,
                          "%.*s: vocabulary mismatch: its config.json says %lld tokens, %.*s has "
                          "%lld rows\n",
                          MG_STR_ARG(p->name), (long long)said, MG_STR_ARG(job->name),
                          (long long)own->shape.dims[0]);
            return;
        }
    }
}

/* Whether the model stores a tensor that ends in suffix. */
static bool stores(const mg_snapshot *model, const char *suffix)
{
    int64_t count = mg_checkpoint_count(model->checkpoint);
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_ends(mg_checkpoint_at(model->checkpoint, i).name, suffix)) {
            return true;
        }
    }
    return false;
}

/* A head of its own that config.json promises and the files lack. */
static void check_head(const pair *p)
{
    const mg_model_config *config = &p->model->config;
    if (config->family != MG_FAMILY_UNKNOWN && !config->tie_embeddings &&
        !stores(p->model, "lm_head.weight") && !stores(p->model, "embed_out.weight")) {
        mg_buf_printf(p->out,
                      "%.*s: missing head: it stores no lm_head.weight, though its config.json "
                      "does not tie it to the embedding\n",
                      MG_STR_ARG(p->name));
    }
}

void mg_plan_model_doubts(const mg_plan *plan, mg_buf *out)
{
    mg_arena arena = { NULL, 0, 0 };
    if (!has_tokenizer_file(plan->models[0], "tokenizer.json", &arena) &&
        !has_tokenizer_file(plan->models[0], "tokenizer.model", &arena)) {
        mg_buf_printf(out, "%.*s: has no tokenizer, and neither will the result\n",
                      MG_STR_ARG(mg_model_ref_text(&plan->refs[0], &arena)));
    }
    bool templates = false;
    for (int64_t i = 0; i < plan->model_count && plan->wants_chat_template; i++) {
        templates = templates || mg_chat_template_of(plan->models[i]->folder, &arena).size > 0;
    }
    if (plan->wants_chat_template && !templates) {
        mg_buf_printf(out, "'chat_template' is auto, and no model has one\n");
    }
    for (int64_t i = 0; i < plan->model_count; i++) {
        pair p = { plan,
                   mg_model_ref_text(&plan->refs[0], &arena),
                   mg_model_ref_text(&plan->refs[i], &arena),
                   plan->models[0],
                   plan->models[i],
                   out,
                   &arena };
        check_rows(&p);
        check_head(&p);
        if (i > 0) {
            compare_configs(&p);
            compare_tokens(&p, i);
            compare_special_tokens(&p);
            compare_chat_templates(&p);
        }
    }
    mg_arena_release(&arena);
}
