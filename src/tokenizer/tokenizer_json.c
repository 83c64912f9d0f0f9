/* tokenizer/tokenizer_json.c - tokenizer.json to a tokenizer.
 *
 * The two large sections go through vocab_json.h, the rest through the document tree. */
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "text/json.h"
#include "text/utf8.h"
#include "tokenizer/settings_internal.h"
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/vocab_json_internal.h"

/* ---- the model ---- */

static mg_status add_merge(void *context, mg_str left, mg_str right, mg_error *err)
{
    return mg_bpe_add_merge(context, left, right, err);
}

static mg_status read_bpe(mg_tokenizer *t, const mg_value *model, const mg_model_sections *sections,
                          mg_error *err)
{
    mg_bpe_options options;
    mg_str unk;
    mg_str prefix;
    mg_str suffix;
    double dropout = 0.0;
    memset(&options, 0, sizeof(options));
    MG_TRY(mg_vocab_read_map(sections->vocab, &t->vocab, err));
    MG_TRY(mg_setting_str(model, "unk_token", &unk, err));
    MG_TRY(mg_setting_str(model, "continuing_subword_prefix", &prefix, err));
    MG_TRY(mg_setting_str(model, "end_of_word_suffix", &suffix, err));
    MG_TRY(mg_setting_bool(model, "fuse_unk", false, &options.fuse_unk, err));
    MG_TRY(mg_setting_bool(model, "byte_fallback", false, &options.byte_fallback, err));
    MG_TRY(mg_setting_bool(model, "ignore_merges", false, &options.ignore_merges, err));
    if (mg_value_to_double(mg_value_get(model, "dropout"), &dropout) && dropout != 0.0) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "model: dropout is not supported");
    }
    options.has_unk = unk.data != NULL;
    options.unk_token = mg_arena_copy(&t->arena, unk);
    options.prefix = mg_arena_copy(&t->arena, prefix);
    options.suffix = mg_arena_copy(&t->arena, suffix);
    t->kind = MG_MODEL_BPE;
    mg_bpe_init(&t->bpe, &t->vocab, &options);
    if (sections->merges.size > 0) {
        MG_TRY(mg_merges_read(sections->merges, add_merge, &t->bpe, err));
    }
    mg_bpe_finish(&t->bpe);
    return MG_OK;
}

static mg_status read_unigram(mg_tokenizer *t, const mg_value *model,
                              const mg_model_sections *sections, mg_error *err)
{
    mg_unigram *unigram = &t->unigram;
    int64_t unk_id;
    unigram->vocab = &t->vocab;
    MG_TRY(mg_vocab_read_pieces(sections->vocab, &t->vocab, &unigram->scores, err));
    MG_TRY(mg_setting_int(model, "unk_id", -1, &unk_id, err));
    MG_TRY(mg_setting_bool(model, "byte_fallback", false, &unigram->byte_fallback, err));
    if (unk_id < -1 || unk_id >= t->vocab.id_count) {
        return mg_fail(err, MG_ERR_FORMAT, "model: unk_id %lld is not in the vocabulary",
                       (long long)unk_id);
    }
    t->kind = MG_MODEL_UNIGRAM;
    unigram->unk_id = (int32_t)unk_id;
    return mg_unigram_finish(unigram, err);
}

static mg_status read_model(mg_tokenizer *t, const mg_value *model,
                            const mg_model_sections *sections, mg_error *err)
{
    mg_str type;
    mg_status status;
    MG_TRY(mg_setting_str(model, "type", &type, err));
    if (sections->vocab.size == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "model: 'vocab' is missing");
    }
    if (mg_str_is(type, "BPE") || (type.data == NULL && sections->merges.size > 0)) {
        status = read_bpe(t, model, sections, err);
    } else if (mg_str_is(type, "Unigram") ||
               (type.data == NULL && sections->vocab.data[0] == '[')) {
        status = read_unigram(t, model, sections, err);
    } else {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "model type '%.*s' is not supported",
                       MG_STR_ARG(type));
    }
    if (status != MG_OK) {
        mg_error_prefix(err, "model");
    }
    return status;
}

/* ---- added tokens ---- */

static mg_status read_added_token(mg_tokenizer *t, const mg_value *json, mg_error *err)
{
    mg_added_token token;
    int64_t id;
    memset(&token, 0, sizeof(token));
    MG_TRY(mg_setting_str(json, "content", &token.content, err));
    MG_TRY(mg_setting_int(json, "id", -1, &id, err));
    MG_TRY(mg_setting_bool(json, "special", false, &token.special, err));
    MG_TRY(mg_setting_bool(json, "single_word", false, &token.single_word, err));
    MG_TRY(mg_setting_bool(json, "lstrip", false, &token.lstrip, err));
    MG_TRY(mg_setting_bool(json, "rstrip", false, &token.rstrip, err));
    MG_TRY(mg_setting_bool(json, "normalized", !token.special, &token.normalized, err));
    token.content = mg_arena_copy(&t->arena, token.content);
    MG_TRY(mg_tokenizer_add_token(t, token, err));
    const mg_added_token *added = mg_added_by_content(&t->added, token.content);
    if (added != NULL && id >= 0 && added->id != id) {
        mg_warn("added token '%.*s' has id %lld in the file, %d by its place",
                MG_STR_ARG(token.content), (long long)id, added->id);
    }
    return MG_OK;
}

/* ---- the post-processor: with one text it comes down to ids in front and behind ---- */

static void add_around(mg_ids *prefix, const mg_ids *front)
{
    mg_ids joined = { NULL, 0, 0 };
    for (int64_t i = 0; i < front->count; i++) {
        mg_ids_add(&joined, front->data[i]);
    }
    for (int64_t i = 0; i < prefix->count; i++) {
        mg_ids_add(&joined, prefix->data[i]);
    }
    mg_ids_release(prefix);
    *prefix = joined;
}

static mg_status add_template_ids(const mg_value *special_tokens, mg_str name, mg_ids *ids,
                                  mg_error *err)
{
    const mg_value *list;
    MG_TRY(mg_setting_list(mg_value_get_str(special_tokens, name), "ids", &list, err));
    if (list == NULL) {
        return mg_fail(err, MG_ERR_FORMAT, "post_processor: special token '%.*s' is not defined",
                       MG_STR_ARG(name));
    }
    for (int64_t i = 0; i < list->count; i++) {
        int64_t id;
        if (!mg_value_to_int(&list->items[i], &id) || id < 0 || id >= MG_VOCAB_IDS_MAX) {
            return mg_fail(err, MG_ERR_FORMAT, "post_processor: wrong id of '%.*s'",
                           MG_STR_ARG(name));
        }
        mg_ids_add(ids, (int32_t)id);
    }
    return MG_OK;
}

static mg_status read_template_pieces(const mg_value *json, mg_ids *front, mg_ids *back,
                                      mg_error *err)
{
    const mg_value *pieces;
    int texts = 0;
    MG_TRY(mg_setting_list(json, "single", &pieces, err));
    for (int64_t i = 0; pieces != NULL && i < pieces->count; i++) {
        mg_str name;
        const mg_value *sequence = mg_value_get(&pieces->items[i], "Sequence");
        MG_TRY(mg_setting_str(sequence, "id", &name, err));
        if (mg_str_is(name, "A")) {
            texts++;
            continue;
        }
        MG_TRY(mg_setting_str(mg_value_get(&pieces->items[i], "SpecialToken"), "id", &name, err));
        MG_TRY(add_template_ids(mg_value_get(json, "special_tokens"), name,
                                texts == 0 ? front : back, err));
    }
    if (texts != 1) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "post_processor: the template of a single text must hold it once");
    }
    return MG_OK;
}

static mg_status read_template(mg_tokenizer *t, const mg_value *json, mg_error *err)
{
    mg_ids front = { NULL, 0, 0 };
    mg_status status = read_template_pieces(json, &front, &t->suffix, err);
    add_around(&t->prefix, &front);
    mg_ids_release(&front);
    return status;
}

/* BertProcessing and RobertaProcessing: [text, id] in front and behind. */
static mg_status read_cls_sep(mg_tokenizer *t, const mg_value *json, mg_error *err)
{
    static const char *const keys[] = { "cls", "sep" };
    int64_t ids[2];
    for (int i = 0; i < 2; i++) {
        const mg_value *pair;
        MG_TRY(mg_setting_list(json, keys[i], &pair, err));
        if (pair == NULL || pair->count != 2 || !mg_value_to_int(&pair->items[1], &ids[i]) ||
            ids[i] < 0 || ids[i] >= MG_VOCAB_IDS_MAX) {
            return mg_fail(err, MG_ERR_FORMAT, "post_processor: '%s' must be [text, id]", keys[i]);
        }
    }
    mg_ids front = { NULL, 0, 0 };
    mg_ids_add(&front, (int32_t)ids[0]);
    add_around(&t->prefix, &front);
    mg_ids_release(&front);
    mg_ids_add(&t->suffix, (int32_t)ids[1]);
    return MG_OK;
}

static mg_status read_post_processor(mg_tokenizer *t, const mg_value *json, mg_error *err)
{
    mg_str type;
    if (mg_value_is_null(json)) {
        return MG_OK;
    }
    MG_TRY(mg_setting_str(json, "type", &type, err));
    if (mg_str_is(type, "Sequence")) {
        const mg_value *steps;
        MG_TRY(mg_setting_list(json, "processors", &steps, err));
        for (int64_t i = 0; steps != NULL && i < steps->count; i++) {
            MG_TRY(read_post_processor(t, &steps->items[i], err));
        }
        return MG_OK;
    }
    if (mg_str_is(type, "TemplateProcessing")) {
        return read_template(t, json, err);
    }
    if (mg_str_is(type, "BertProcessing") || mg_str_is(type, "RobertaProcessing")) {
        return read_cls_sep(t, json, err);
    }
    if (mg_str_is(type, "ByteLevel")) {
        return MG_OK;
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "post_processor type '%.*s' is not supported",
                   MG_STR_ARG(type));
}

/* ---- the whole ---- */

static mg_status read_document(mg_tokenizer *t, const mg_value *json,
                               const mg_model_sections *sections, mg_error *err)
{
    mg_str version;
    const mg_value *tokens;
    if (json->kind != MG_MAP) {
        return mg_fail(err, MG_ERR_FORMAT, "must be an object");
    }
    MG_TRY(mg_setting_str(json, "version", &version, err));
    if (version.data != NULL && !mg_str_is(version, "1.0")) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "version '%.*s' is not supported",
                       MG_STR_ARG(version));
    }
    MG_TRY(mg_normalizer_read(mg_value_get(json, "normalizer"), &t->arena, &t->normalizer, err));
    MG_TRY(mg_pretokenizer_read(mg_value_get(json, "pre_tokenizer"), &t->arena, &t->pretokenizer,
                                err));
    MG_TRY(read_model(t, mg_value_get(json, "model"), sections, err));
    MG_TRY(mg_setting_list(json, "added_tokens", &tokens, err));
    for (int64_t i = 0; tokens != NULL && i < tokens->count; i++) {
        MG_TRY(read_added_token(t, &tokens->items[i], err));
    }
    MG_TRY(read_post_processor(t, mg_value_get(json, "post_processor"), err));
    return mg_detokenizer_read(mg_value_get(json, "decoder"), &t->arena, &t->detokenizer, err);
}

mg_status mg_tokenizer_read_json_text(mg_tokenizer *tokenizer, mg_str text, const char *name,
                                      mg_error *err)
{
    mg_status status = MG_OK;
    mg_model_sections sections;
    mg_arena tree = { NULL, 0, 0 };
    mg_value json;
    memset(&sections, 0, sizeof(sections));
    if (!mg_utf8_valid(text)) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: is not valid UTF-8", name);
    }
    status = mg_model_sections_find(text, &sections, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%s", name);
        goto done;
    }
    MG_TRY_OR_DONE(mg_json_parse(mg_buf_view(&sections.rest), name, &tree, &json, err));
    status = read_document(tokenizer, &json, &sections, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%s", name);
    }

done:
    mg_arena_release(&tree);
    mg_model_sections_release(&sections);
    return status;
}

mg_status mg_tokenizer_read_json(mg_tokenizer *tokenizer, const char *path, mg_error *err)
{
    mg_bytes bytes = { NULL, 0 };
    MG_TRY(mg_file_read(path, MG_TOKENIZER_FILE_BYTES_MAX, &bytes, err));
    mg_status status = mg_tokenizer_read_json_text(
        tokenizer, mg_str_make((const char *)bytes.data, bytes.size), path, err);
    mg_bytes_release(&bytes);
    return status;
}
