/* tokenizer/tokenizer_config.c - tokenizer_config.json: special tokens, flags, class rules.
 *
 * The rules follow transformers 4.57: the tokens of the file come first, then added_tokens_decoder
 * (else added_tokens.json), then special tokens that are not known yet; some classes then rebuild
 * what is put around a text. */
#include "base/fs.h"
#include "base/memory.h"
#include "text/json.h"
#include "tokenizer/settings_internal.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>

/* What a class does whatever the files say.  NULL in defaults = no such token. */
typedef struct class_rule {
    const char *name;
    bool rebuilds;          /* BOS and EOS come from the flags alone */
    bool add_bos;           /* default of add_bos_token */
    bool sets_prefix_space; /* add_prefix_space defaults to false, not to what the file says */
    const char *defaults[MG_SPECIAL_COUNT];
} class_rule;

#define END_OF_TEXT "<|endoftext|>"

static const class_rule rules[] = {
    { "LlamaTokenizer", true, true, false, { "<s>", "</s>", "<unk>" } },
    { "CodeLlamaTokenizer", true, true, false, { "<s>", "</s>", "<unk>" } },
    { "GemmaTokenizer", true, true, false, { "<bos>", "<eos>", "<unk>", "<pad>" } },
    { "GPTNeoXTokenizer", true, false, true, { END_OF_TEXT, END_OF_TEXT, END_OF_TEXT } },
    { "GPT2Tokenizer", false, false, true, { END_OF_TEXT, END_OF_TEXT, END_OF_TEXT } },
    { "Qwen2Tokenizer", false, false, true, { NULL, END_OF_TEXT, END_OF_TEXT, END_OF_TEXT } },
};

/* The class that transformers picks for a model when nothing names one. */
static const char *const classes_by_model[][2] = {
    { "llama", "LlamaTokenizer" },      { "mistral", "LlamaTokenizer" },
    { "mixtral", "LlamaTokenizer" },    { "phi3", "LlamaTokenizer" },
    { "gemma", "GemmaTokenizer" },      { "gemma2", "GemmaTokenizer" },
    { "gemma3", "GemmaTokenizer" },     { "gemma3_text", "GemmaTokenizer" },
    { "qwen2", "Qwen2Tokenizer" },      { "qwen3", "Qwen2Tokenizer" },
    { "gpt_neox", "GPTNeoXTokenizer" }, { "stablelm", "GPTNeoXTokenizer" },
    { "gpt2", "GPT2Tokenizer" },
};

static const char *const special_keys[MG_SPECIAL_COUNT] = {
    "bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token",
};

/* ---- files ---- */

void mg_tokenizer_config_release(mg_tokenizer_config *config)
{
    if (config != NULL) {
        mg_arena_release(&config->arena);
        memset(config, 0, sizeof(*config));
    }
}

/* A missing file leaves *value_out null. */
static mg_status read_optional(const char *folder, const char *name, mg_arena *arena,
                               mg_value *value_out, mg_error *err)
{
    const char *path = mg_path_join(arena, folder, name).data;
    *value_out = mg_value_null;
    if (!mg_path_is_file(path)) {
        return MG_OK;
    }
    MG_TRY(mg_json_read(path, MG_TOKENIZER_CONFIG_BYTES_MAX, arena, value_out, err));
    if (value_out->kind != MG_MAP) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: must be an object", path);
    }
    return MG_OK;
}

static mg_status find_class(const char *folder, mg_tokenizer_config *config, mg_error *err)
{
    mg_value model;
    mg_str type;
    MG_TRY(mg_setting_str(&config->config, "tokenizer_class", &config->class_name, err));
    if (config->class_name.data == NULL) {
        MG_TRY(read_optional(folder, "config.json", &config->arena, &model, err));
        MG_TRY(mg_setting_str(&model, "tokenizer_class", &config->class_name, err));
        MG_TRY(mg_setting_str(&model, "model_type", &type, err));
        for (int64_t i = 0; i < MG_ARRAY_COUNT(classes_by_model); i++) {
            if (config->class_name.data == NULL && mg_str_is(type, classes_by_model[i][0])) {
                config->class_name = mg_str_of(classes_by_model[i][1]);
            }
        }
    }
    if (mg_str_ends(config->class_name, "Fast")) {
        config->class_name.size -= strlen("Fast");
    }
    return MG_OK;
}

mg_status mg_tokenizer_config_read(const char *folder, mg_tokenizer_config *config_out,
                                   mg_error *err)
{
    mg_status status = MG_OK;
    mg_tokenizer_config *c = config_out;
    memset(c, 0, sizeof(*c));
    MG_TRY_OR_DONE(read_optional(folder, "tokenizer_config.json", &c->arena, &c->config, err));
    MG_TRY_OR_DONE(
        read_optional(folder, "special_tokens_map.json", &c->arena, &c->special_map, err));
    MG_TRY_OR_DONE(read_optional(folder, "added_tokens.json", &c->arena, &c->added_tokens, err));
    MG_TRY_OR_DONE(find_class(folder, c, err));

done:
    if (status != MG_OK) {
        mg_tokenizer_config_release(c);
    }
    return status;
}

/* ---- added tokens ---- */

/* A token as a string or as an object with flags; false in *found_out for null and for other kinds.
 */
static mg_status read_token(const mg_value *json, mg_tokenizer *t, mg_added_token *token_out,
                            bool *found_out, mg_error *err)
{
    mg_str content = { NULL, 0 };
    memset(token_out, 0, sizeof(*token_out));
    if (json != NULL && json->kind == MG_STRING) {
        content = json->string;
        token_out->special = true;
    } else if (json != NULL && json->kind == MG_MAP) {
        MG_TRY(mg_setting_str(json, "content", &content, err));
        MG_TRY(mg_setting_bool(json, "special", false, &token_out->special, err));
        MG_TRY(mg_setting_bool(json, "single_word", false, &token_out->single_word, err));
        MG_TRY(mg_setting_bool(json, "lstrip", false, &token_out->lstrip, err));
        MG_TRY(mg_setting_bool(json, "rstrip", false, &token_out->rstrip, err));
        MG_TRY(
            mg_setting_bool(json, "normalized", !token_out->special, &token_out->normalized, err));
    }
    *found_out = content.data != NULL;
    token_out->content = mg_arena_copy(&t->arena, content);
    return MG_OK;
}

static bool is_token(const mg_value *json, mg_str content)
{
    const mg_value *inner = mg_value_get(json, "content");
    const mg_value *text = inner != NULL ? inner : json;
    return text != NULL && text->kind == MG_STRING && mg_str_equal(text->string, content);
}

/* True when the document gives content a role: a named special token or an additional one. */
static bool names_token(const mg_value *document, mg_str content)
{
    const mg_value *more = mg_value_get(document, "additional_special_tokens");
    for (int kind = 0; kind < MG_SPECIAL_COUNT; kind++) {
        if (is_token(mg_value_get(document, special_keys[kind]), content)) {
            return true;
        }
    }
    for (int64_t i = 0; more != NULL && more->kind == MG_LIST && i < more->count; i++) {
        if (is_token(&more->items[i], content)) {
            return true;
        }
    }
    return false;
}

typedef struct numbered {
    int64_t id;
    const mg_entry *entry;
} numbered;

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const numbered *)a)->id;
    int64_t y = ((const numbered *)b)->id;
    return x < y ? -1 : x > y;
}

/* added_tokens_decoder {id text: token} or added_tokens.json {content: id}, in the order of ids. */
static mg_status add_listed(const mg_tokenizer_config *config, mg_tokenizer *t, mg_error *err)
{
    const mg_value *decoder = mg_value_get(&config->config, "added_tokens_decoder");
    bool by_text = decoder == NULL || decoder->kind != MG_MAP;
    const mg_value *map = by_text ? &config->added_tokens : decoder;
    mg_status status = MG_OK;
    int64_t count = map->kind == MG_MAP ? map->count : 0;
    numbered *order = mg_new_array(numbered, count + 1);
    for (int64_t i = 0; i < count; i++) {
        order[i].entry = &map->entries[i];
        if (!(by_text ? mg_value_to_int(&map->entries[i].value, &order[i].id)
                      : mg_str_to_int(map->entries[i].key.string, &order[i].id))) {
            status = mg_fail(err, MG_ERR_FORMAT, "added tokens: an id is not an integer");
            goto done;
        }
    }
    qsort(order, (size_t)count, sizeof(*order), by_id);
    for (int64_t i = 0; i < count; i++) {
        mg_added_token token;
        bool found;
        MG_TRY_OR_DONE(read_token(by_text ? &order[i].entry->key : &order[i].entry->value, t,
                                  &token, &found, err));
        if (by_text && mg_added_by_content(&t->added, token.content) != NULL) {
            continue;
        }
        if (by_text) {
            token.special = names_token(&config->config, token.content) ||
                            names_token(&config->special_map, token.content);
            token.normalized = !token.special;
        }
        if (found) {
            MG_TRY_OR_DONE(mg_tokenizer_add_token(t, token, err));
        }
    }

done:
    mg_free(order);
    return status;
}

/* A special token that is not among the added ones becomes one. */
static mg_status add_special(mg_tokenizer *t, mg_added_token token, mg_error *err)
{
    if (mg_added_by_content(&t->added, token.content) != NULL) {
        return MG_OK;
    }
    token.special = true;
    return mg_tokenizer_add_token(t, token, err);
}

static mg_status name_special(const mg_tokenizer_config *config, const class_rule *rule,
                              mg_special_kind kind, mg_tokenizer *t, mg_error *err)
{
    mg_added_token token;
    bool found;
    const mg_value *json = mg_value_get(&config->config, special_keys[kind]);
    if (json == NULL) {
        json = mg_value_get(&config->special_map, special_keys[kind]);
    }
    MG_TRY(read_token(json, t, &token, &found, err));
    if (found && token.content.size > 0) {
        MG_TRY(add_special(t, token, err));
    } else if (json == NULL && rule != NULL && rule->defaults[kind] != NULL &&
               mg_tokenizer_find(t, mg_str_of(rule->defaults[kind])) >= 0) {
        token.content = mg_str_of(rule->defaults[kind]);
        MG_TRY(add_special(t, token, err));
    } else {
        if (json != NULL) {
            t->specials[kind].content = mg_str_make(NULL, 0);
            t->specials[kind].id = -1;
        }
        return MG_OK;
    }
    t->specials[kind].content = token.content;
    t->specials[kind].id = mg_tokenizer_find(t, token.content);
    return MG_OK;
}

static mg_status add_more_specials(const mg_value *config, const char *key, mg_tokenizer *t,
                                   mg_error *err)
{
    const mg_value *list = mg_value_get(config, key);
    int64_t count =
        list == NULL || (list->kind != MG_LIST && list->kind != MG_MAP) ? 0 : list->count;
    for (int64_t i = 0; i < count; i++) {
        mg_added_token token;
        bool found;
        MG_TRY(read_token(list->kind == MG_LIST ? &list->items[i] : &list->entries[i].value, t,
                          &token, &found, err));
        if (found) {
            MG_TRY(add_special(t, token, err));
        }
    }
    return MG_OK;
}

/* ---- class rules ---- */

static mg_status rebuild_around(const mg_tokenizer_config *config, const class_rule *rule,
                                mg_tokenizer *t, mg_error *err)
{
    static const char *const flags[] = { "add_bos_token", "add_eos_token" };
    bool defaults[] = { rule->add_bos, false };
    mg_ids *targets[] = { &t->prefix, &t->suffix };
    for (int i = 0; i < 2; i++) {
        bool add;
        MG_TRY(mg_setting_bool(&config->config, flags[i], defaults[i], &add, err));
        targets[i]->count = 0;
        if (add && t->specials[i].id < 0) {
            return mg_fail(err, MG_ERR_FORMAT, "%s is true, but there is no %s", flags[i],
                           special_keys[i]);
        }
        if (add) {
            mg_ids_add(targets[i], t->specials[i].id);
        }
    }
    return MG_OK;
}

/* add_prefix_space overrides the pre-tokeniser's where that is a single byte-level step. */
static mg_status set_prefix_space(const mg_tokenizer_config *config, const class_rule *rule,
                                  mg_tokenizer *t, mg_error *err)
{
    bool value;
    bool given = !mg_value_is_null(mg_value_get(&config->config, "add_prefix_space"));
    MG_TRY(mg_setting_bool(&config->config, "add_prefix_space", false, &value, err));
    mg_pretokenizer *pre = &t->pretokenizer;
    if (pre->count == 1 && pre->steps[0].kind == MG_PRE_BYTE_LEVEL &&
        (given || (rule != NULL && rule->sets_prefix_space))) {
        pre->steps[0].add_prefix_space = value;
    }
    return MG_OK;
}

mg_status mg_tokenizer_config_apply(const mg_tokenizer_config *config, mg_tokenizer *tokenizer,
                                    mg_error *err)
{
    static const char *const more[] = { "additional_special_tokens", "extra_special_tokens" };
    const class_rule *rule = NULL;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(rules); i++) {
        if (mg_str_is(config->class_name, rules[i].name)) {
            rule = &rules[i];
        }
    }
    MG_TRY(add_listed(config, tokenizer, err));
    for (int kind = 0; kind < MG_SPECIAL_COUNT; kind++) {
        MG_TRY(name_special(config, rule, (mg_special_kind)kind, tokenizer, err));
    }
    for (int i = 0; i < 2; i++) {
        MG_TRY(add_more_specials(&config->config, more[i], tokenizer, err));
        MG_TRY(add_more_specials(&config->special_map, more[i], tokenizer, err));
    }
    if (rule != NULL && rule->rebuilds) {
        MG_TRY(rebuild_around(config, rule, tokenizer, err));
    }
    MG_TRY(set_prefix_space(config, rule, tokenizer, err));
    return mg_setting_bool(&config->config, "clean_up_tokenization_spaces", false,
                           &tokenizer->clean_up, err);
}
