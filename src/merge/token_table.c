/* merge/token_table.c - the tokens that a tokenizer.json names. */
#include "base/fs.h"
#include "base/memory.h"
#include "merge/vocabulary.h"
#include "text/json.h"

#define TOKENIZER_BYTES_MAX ((size_t)512 << 20)
#define TOKEN_ID_MAX (1 << 24)

void mg_token_table_release(mg_token_table *table)
{
    if (table != NULL) {
        mg_map_release(&table->ids);
        mg_arena_release(&table->arena);
        mg_arena_release(&table->tree);
        memset(table, 0, sizeof(*table));
    }
}

void mg_token_table_drop_tree(mg_token_table *table)
{
    mg_arena_release(&table->tree);
    table->root = mg_value_null;
}

static mg_status check_id(int64_t id, mg_str text, mg_error *err)
{
    if (id < 0 || id >= TOKEN_ID_MAX) {
        return mg_fail(err, MG_ERR_FORMAT, "token '%.*s' has id %lld", MG_STR_ARG(text),
                       (long long)id);
    }
    return MG_OK;
}

/* Vocabularies are maps from text to id, or, in unigram models, lists of [text, score]. */
static bool vocabulary_entry(const mg_value *vocab, int64_t index, mg_str *text, int64_t *id)
{
    if (vocab->kind == MG_MAP) {
        *text = vocab->entries[index].key.string;
        return mg_value_to_int(&vocab->entries[index].value, id);
    }
    const mg_value *pair = &vocab->items[index];
    *id = index;
    if (pair->kind != MG_LIST || pair->count < 1 || pair->items[0].kind != MG_STRING) {
        return false;
    }
    *text = pair->items[0].string;
    return true;
}

static bool added_entry(const mg_value *record, mg_str *text, int64_t *id)
{
    const mg_value *content = mg_value_get(record, "content");
    if (content == NULL || content->kind != MG_STRING ||
        !mg_value_to_int(mg_value_get(record, "id"), id)) {
        return false;
    }
    *text = content->string;
    return true;
}

static mg_status measure(const mg_value *vocab, const mg_value *added, int64_t *end_out,
                         mg_error *err)
{
    mg_str text;
    int64_t id;
    *end_out = 0;
    for (int64_t i = 0; i < vocab->count; i++) {
        if (!vocabulary_entry(vocab, i, &text, &id)) {
            return mg_fail(err, MG_ERR_FORMAT, "entry %lld of the vocabulary is broken",
                           (long long)i);
        }
        MG_TRY(check_id(id, text, err));
        *end_out = MG_MAX(*end_out, id + 1);
    }
    for (int64_t i = 0; i < added->count; i++) {
        if (!added_entry(&added->items[i], &text, &id)) {
            return mg_fail(err, MG_ERR_FORMAT, "added token %lld is broken", (long long)i);
        }
        MG_TRY(check_id(id, text, err));
        *end_out = MG_MAX(*end_out, id + 1);
    }
    return MG_OK;
}

static void put(mg_token_table *table, mg_str text, int64_t id, bool added)
{
    text = mg_arena_copy(&table->arena, text);
    table->count += mg_map_set(&table->ids, text, id) ? 1 : 0;
    table->texts[id] = text;
    table->added[id] = added;
}

static mg_status fill(mg_token_table *table, mg_error *err)
{
    const mg_value *model = mg_value_get(&table->root, "model");
    const mg_value *vocab = mg_value_get(model, "vocab");
    const mg_value *added = mg_value_get(&table->root, "added_tokens");
    if (vocab == NULL || (vocab->kind != MG_MAP && vocab->kind != MG_LIST)) {
        return mg_fail(err, MG_ERR_FORMAT, "has no vocabulary");
    }
    if (mg_value_is_null(added)) {
        added = &mg_value_null;
    } else if (added->kind != MG_LIST) {
        return mg_fail(err, MG_ERR_FORMAT, "'added_tokens' is %s, must be a list",
                       mg_kind_name(added->kind));
    }
    MG_TRY(measure(vocab, added, &table->id_end, err));
    table->records = mg_value_copy(&table->arena, added);
    table->ordinary = vocab->count;
    table->texts = mg_arena_array(&table->arena, mg_str, table->id_end);
    table->added = mg_arena_array(&table->arena, bool, table->id_end);
    mg_str text = mg_str_of("");
    int64_t id = 0;
    for (int64_t i = 0; i < vocab->count; i++) {
        if (vocabulary_entry(vocab, i, &text, &id)) {
            put(table, text, id, false);
        }
    }
    for (int64_t i = 0; i < added->count; i++) {
        if (added_entry(&added->items[i], &text, &id)) {
            put(table, text, id, true);
        }
    }
    return MG_OK;
}

mg_status mg_token_table_read(const char *folder, mg_token_table *table_out, mg_error *err)
{
    memset(table_out, 0, sizeof(*table_out));
    mg_str path = mg_path_join(&table_out->tree, folder, "tokenizer.json");
    mg_status status =
        mg_json_read(path.data, TOKENIZER_BYTES_MAX, &table_out->tree, &table_out->root, err);
    if (status == MG_OK) {
        status = fill(table_out, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%s", path.data);
        }
    }
    if (status != MG_OK) {
        mg_token_table_release(table_out);
    }
    return status;
}
