/* tokenizer/tokenizer.c - opening a tokenizer, text to ids, ids to text.
 *
 * Encoding (tokenizers.md 2): raw added tokens are cut out; what is between is normalised;
 * normalised added tokens are cut out; what is between is pre-tokenised; the model turns each word
 * into ids. Nothing is collected on the way: each stage hands its parts to the next. */
#include "tokenizer/tokenizer.h"

#include "base/fs.h"
#include "base/memory.h"
#include "text/utf8.h"
#include "tokenizer/byte_level_internal.h"
#include "tokenizer/chars_internal.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdatomic.h>

#define TEXT_BYTES_MAX ((size_t)1 << 30)

/* What one encode works with. */
typedef struct encode_scratch {
    mg_buf normal[2];
    mg_pre_scratch pre;
    mg_bpe_scratch bpe;
    mg_unigram_scratch unigram;
    mg_buf mapped;
} encode_scratch;

/* One scratch is kept for the next call; a thread that finds it taken makes its own. */
struct mg_encode_slot {
    _Atomic(encode_scratch *) spare;
};

typedef struct encode_run {
    const mg_tokenizer *tokenizer;
    encode_scratch *scratch;
    mg_ids *ids;
} encode_run;

static void scratch_destroy(encode_scratch *scratch)
{
    if (scratch != NULL) {
        mg_buf_release(&scratch->normal[0]);
        mg_buf_release(&scratch->normal[1]);
        mg_pre_scratch_release(&scratch->pre);
        mg_bpe_scratch_release(&scratch->bpe);
        mg_unigram_scratch_release(&scratch->unigram);
        mg_buf_release(&scratch->mapped);
        mg_free(scratch);
    }
}

/* ---- ids ---- */

void mg_ids_release(mg_ids *ids)
{
    if (ids != NULL) {
        mg_free(ids->data);
        ids->data = NULL;
        ids->count = 0;
        ids->cap = 0;
    }
}

void mg_ids_add(mg_ids *ids, int32_t id)
{
    if (ids->count == ids->cap) {
        ids->cap = MG_MAX(ids->cap * 2, 32);
        ids->data = mg_memory_resize(ids->data, ids->cap, sizeof(int32_t));
    }
    ids->data[ids->count++] = id;
}

static void add_all(mg_ids *ids, const mg_ids *more)
{
    for (int64_t i = 0; i < more->count; i++) {
        mg_ids_add(ids, more->data[i]);
    }
}

/* ---- encoding ---- */

static mg_status encode_model(const encode_run *run, mg_str word, mg_error *err)
{
    const mg_tokenizer *t = run->tokenizer;
    if (t->pretokenizer.raw_bytes) {
        mg_buf_clear(&run->scratch->mapped);
        mg_byte_level_encode(&run->scratch->mapped, word);
        word = mg_buf_view(&run->scratch->mapped);
    }
    if (t->kind == MG_MODEL_UNIGRAM) {
        return mg_unigram_encode(&t->unigram, &run->scratch->unigram, word, run->ids, err);
    }
    return mg_bpe_encode(&t->bpe, &run->scratch->bpe, word, run->ids, err);
}

/* A word that no merge crosses the ends of. */
static mg_status encode_word(const encode_run *run, mg_str word, mg_error *err)
{
    mg_word_cache *cache = run->tokenizer->cache;
    if (word.size > MG_WORD_CACHE_KEY_BYTES) {
        return encode_model(run, word, err);
    }
    uint64_t hash = mg_word_cache_hash(word);
    if (mg_word_cache_get(cache, word, hash, run->ids)) {
        return MG_OK;
    }
    int64_t before = run->ids->count;
    MG_TRY(encode_model(run, word, err));
    int64_t count = run->ids->count - before;
    mg_word_cache_put(cache, word, hash, count > 0 ? run->ids->data + before : NULL, count);
    return MG_OK;
}

/* The sink of the pre-tokeniser. */
static mg_status encode_pre_token(void *context, mg_str word, mg_error *err)
{
    const encode_run *run = context;
    const mg_bpe *bpe = &run->tokenizer->bpe;
    if (run->tokenizer->kind != MG_MODEL_BPE || run->tokenizer->pretokenizer.raw_bytes ||
        !bpe->can_cut) {
        return encode_word(run, word, err);
    }
    while (word.size > 0) {
        size_t bytes = mg_bpe_cut(bpe, word);
        if (bytes == mg_char_bytes(word.data[0])) {
            size_t char_bytes;
            int32_t id = mg_bpe_char_id(bpe, mg_char_decode(word.data, &char_bytes));
            if (id >= 0) {
                mg_ids_add(run->ids, id);
                word = mg_str_slice(word, bytes, word.size);
                continue;
            }
        }
        MG_TRY(encode_word(run, mg_str_slice(word, 0, bytes), err));
        word = mg_str_slice(word, bytes, word.size);
    }
    return MG_OK;
}

/* Text between raw added tokens; first: it is the start of the original text. */
static mg_status encode_piece(encode_run *run, mg_str piece, bool first, mg_error *err)
{
    const mg_tokenizer *t = run->tokenizer;
    mg_str text;
    mg_added_split split = { 0, 0, false };
    mg_str plain;
    const mg_added_token *token;
    bool kept_start;
    MG_TRY(
        mg_normalizer_apply(&t->normalizer, piece, run->scratch->normal, &text, &kept_start, err));
    first = first && kept_start;
    while (mg_added_next(&t->added, &t->added.normal, text, &split, &plain, &token)) {
        MG_TRY(mg_pretokenizer_apply(&t->pretokenizer, &run->scratch->pre, plain,
                                     first && plain.data == text.data, encode_pre_token, run, err));
        if (token != NULL) {
            mg_ids_add(run->ids, token->id);
        }
    }
    return MG_OK;
}

static mg_status encode_text(encode_run *run, mg_str text, mg_error *err)
{
    const mg_tokenizer *t = run->tokenizer;
    mg_added_split split = { 0, 0, false };
    mg_str plain;
    const mg_added_token *token;
    while (mg_added_next(&t->added, &t->added.raw, text, &split, &plain, &token)) {
        if (plain.size > 0) {
            MG_TRY(encode_piece(run, plain, plain.data == text.data, err));
        }
        if (token != NULL) {
            mg_ids_add(run->ids, token->id);
        }
    }
    return MG_OK;
}

mg_status mg_tokenizer_encode(const mg_tokenizer *tokenizer, mg_str text, bool add_special,
                              mg_ids *ids_out, mg_error *err)
{
    int64_t before = ids_out->count;
    if (text.size > TEXT_BYTES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "a text of %zu bytes is too long to encode", text.size);
    }
    if (!mg_utf8_valid(text)) {
        return mg_fail(err, MG_ERR_FORMAT, "the text is not valid UTF-8");
    }
    encode_run run = { tokenizer, atomic_exchange(&tokenizer->slot->spare, NULL), ids_out };
    if (run.scratch == NULL) {
        run.scratch = mg_new(encode_scratch);
    }
    if (add_special) {
        add_all(ids_out, &tokenizer->prefix);
    }
    mg_status status = encode_text(&run, text, err);
    if (add_special) {
        add_all(ids_out, &tokenizer->suffix);
    }
    scratch_destroy(atomic_exchange(&tokenizer->slot->spare, run.scratch));
    if (status != MG_OK) {
        ids_out->count = before;
    }
    return status;
}

/* ---- decoding ---- */

void mg_tokenizer_decode(const mg_tokenizer *tokenizer, const int32_t *ids, int64_t count,
                         bool skip_special, mg_buf *text_out)
{
    mg_token_list tokens;
    size_t from = text_out->size;
    memset(&tokens, 0, sizeof(tokens));
    for (int64_t i = 0; i < count; i++) {
        const mg_added_token *added = mg_added_by_id(&tokenizer->added, ids[i]);
        mg_str token = added != NULL ? added->content : mg_vocab_token(&tokenizer->vocab, ids[i]);
        if (token.data == NULL) {
            continue;
        }
        if (skip_special) {
            const mg_added_token *same = mg_added_by_content(&tokenizer->added, token);
            if (same != NULL && same->special) {
                continue;
            }
        }
        mg_token_list_add(&tokens, token);
    }
    mg_detokenizer_apply(&tokenizer->detokenizer, &tokens, text_out);
    if (tokenizer->clean_up) {
        mg_detokenize_clean_up(text_out, from);
    }
    mg_token_list_release(&tokens);
}

/* ---- opening ---- */

int32_t mg_tokenizer_find(const mg_tokenizer *tokenizer, mg_str content)
{
    const mg_added_token *added = mg_added_by_content(&tokenizer->added, content);
    return added != NULL ? added->id : mg_vocab_id(&tokenizer->vocab, content);
}

mg_status mg_tokenizer_add_token(mg_tokenizer *tokenizer, mg_added_token token, mg_error *err)
{
    token.id = mg_tokenizer_find(tokenizer, token.content);
    if (token.id < 0) {
        /* A list of pieces counts those it has twice, a map of tokens its entries. */
        int64_t next = tokenizer->kind == MG_MODEL_UNIGRAM ? tokenizer->vocab.id_count
                                                           : tokenizer->vocab.count;
        for (int64_t i = 0; i < tokenizer->added.count; i++) {
            next = MG_MAX(next, (int64_t)tokenizer->added.tokens[i].id + 1);
        }
        if (next >= MG_VOCAB_IDS_MAX) {
            return mg_fail(err, MG_ERR_LIMIT, "too many added tokens");
        }
        token.id = (int32_t)next;
    }
    mg_added_set(&tokenizer->added, &token);
    return MG_OK;
}

static mg_tokenizer *create(void)
{
    mg_tokenizer *t = mg_new(mg_tokenizer);
    for (int i = 0; i < MG_SPECIAL_COUNT; i++) {
        t->specials[i].id = -1;
    }
    t->slot = mg_new(mg_encode_slot);
    atomic_init(&t->slot->spare, NULL);
    t->cache = mg_word_cache_create();
    return t;
}

/* What can only be settled when everything is read. */
static mg_status finish(mg_tokenizer *t, mg_error *err)
{
    mg_pretokenizer *pre = &t->pretokenizer;
    pre->raw_bytes = pre->count > 0 && pre->steps[pre->count - 1].kind == MG_PRE_BYTE_LEVEL;
    return mg_added_finish(&t->added, &t->normalizer, err);
}

mg_status mg_tokenizer_create_json(mg_str text, mg_tokenizer **tokenizer_out, mg_error *err)
{
    mg_status status = MG_OK;
    mg_tokenizer *t = create();
    *tokenizer_out = NULL;
    MG_TRY_OR_DONE(mg_tokenizer_read_json_text(t, text, "tokenizer.json", err));
    MG_TRY_OR_DONE(finish(t, err));
    *tokenizer_out = t;
    t = NULL; /* handed over */

done:
    mg_tokenizer_close(t);
    return status;
}

mg_status mg_tokenizer_create_sentencepiece(mg_str bytes, mg_tokenizer **tokenizer_out,
                                            mg_error *err)
{
    mg_status status = MG_OK;
    mg_tokenizer *t = create();
    *tokenizer_out = NULL;
    MG_TRY_OR_DONE(mg_tokenizer_read_sentencepiece_bytes(t, bytes, &mg_value_null, err));
    MG_TRY_OR_DONE(finish(t, err));
    *tokenizer_out = t;
    t = NULL; /* handed over */

done:
    mg_tokenizer_close(t);
    return status;
}

/* The first of the files that is there, in the order of tokenizers.md 1. */
static mg_status read_files(mg_tokenizer *t, const char *folder, mg_tokenizer_config *config,
                            mg_error *err)
{
    const char *json = mg_path_join(&t->arena, folder, "tokenizer.json").data;
    const char *model = mg_path_join(&t->arena, folder, "tokenizer.model").data;
    const char *vocab = mg_path_join(&t->arena, folder, "vocab.json").data;
    const char *merges = mg_path_join(&t->arena, folder, "merges.txt").data;
    if (mg_path_is_file(json)) {
        return mg_tokenizer_read_json(t, json, err);
    }
    if (mg_path_is_file(model)) {
        MG_TRY(mg_tokenizer_read_sentencepiece(t, model, &config->config, err));
        if (config->class_name.size == 0 && t->kind == MG_MODEL_BPE) {
            config->class_name = mg_str_of("LlamaTokenizer");
        }
        return MG_OK;
    }
    if (mg_path_is_file(vocab) && mg_path_is_file(merges)) {
        return mg_tokenizer_read_gpt2(t, vocab, merges, config, err);
    }
    const char *tekken = mg_path_join(&t->arena, folder, "tekken.json").data;
    if (mg_path_is_file(tekken)) {
        return mg_tokenizer_read_tekken(t, tekken, err);
    }
    return mg_fail(err, MG_ERR_NOT_FOUND,
                   "%s: no tokenizer there (tokenizer.json, tokenizer.model, vocab.json and "
                   "merges.txt, or tekken.json)",
                   folder);
}

mg_status mg_tokenizer_open(const char *folder, mg_tokenizer **tokenizer_out, mg_error *err)
{
    mg_status status = MG_OK;
    mg_tokenizer_config config;
    mg_tokenizer *t = create();
    *tokenizer_out = NULL;
    MG_TRY_OR_DONE(mg_tokenizer_config_read(folder, &config, err));
    MG_TRY_OR_DONE(read_files(t, folder, &config, err));
    MG_TRY_OR_DONE(mg_tokenizer_config_apply(&config, t, err));
    MG_TRY_OR_DONE(mg_chat_templates_read(t, folder, &config.config, err));
    MG_TRY_OR_DONE(finish(t, err));
    *tokenizer_out = t;
    t = NULL; /* handed over */

done:
    mg_tokenizer_config_release(&config);
    mg_tokenizer_close(t);
    return status;
}

void mg_tokenizer_close(mg_tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    mg_chat_templates_release(tokenizer);
    scratch_destroy(atomic_load(&tokenizer->slot->spare));
    mg_free(tokenizer->slot);
    mg_word_cache_destroy(tokenizer->cache);
    mg_ids_release(&tokenizer->prefix);
    mg_ids_release(&tokenizer->suffix);
    mg_added_release(&tokenizer->added);
    mg_normalizer_release(&tokenizer->normalizer);
    mg_pretokenizer_release(&tokenizer->pretokenizer);
    mg_bpe_release(&tokenizer->bpe);
    mg_unigram_release(&tokenizer->unigram);
    mg_vocab_release(&tokenizer->vocab);
    mg_arena_release(&tokenizer->arena);
    mg_free(tokenizer);
}

/* ---- questions ---- */

int64_t mg_tokenizer_size(const mg_tokenizer *tokenizer)
{
    int64_t size = tokenizer->vocab.id_count;
    for (int64_t i = 0; i < tokenizer->added.count; i++) {
        size = MG_MAX(size, (int64_t)tokenizer->added.tokens[i].id + 1);
    }
    return size;
}

int32_t mg_tokenizer_id(const mg_tokenizer *tokenizer, mg_str token)
{
    return mg_tokenizer_find(tokenizer, token);
}

mg_str mg_tokenizer_token(const mg_tokenizer *tokenizer, int32_t id)
{
    const mg_added_token *added = mg_added_by_id(&tokenizer->added, id);
    mg_str token = added != NULL ? added->content : mg_vocab_token(&tokenizer->vocab, id);
    return token.data != NULL ? token : mg_str_make("", 0);
}

int32_t mg_tokenizer_bos(const mg_tokenizer *tokenizer)
{
    return tokenizer->specials[MG_SPECIAL_BOS].id;
}

int32_t mg_tokenizer_eos(const mg_tokenizer *tokenizer)
{
    return tokenizer->specials[MG_SPECIAL_EOS].id;
}

int32_t mg_tokenizer_pad(const mg_tokenizer *tokenizer)
{
    int32_t pad = tokenizer->specials[MG_SPECIAL_PAD].id;
    int32_t unk = tokenizer->specials[MG_SPECIAL_UNK].id;
    return pad >= 0 ? pad : unk >= 0 ? unk : tokenizer->specials[MG_SPECIAL_EOS].id;
}

int32_t mg_tokenizer_prefix(const mg_tokenizer *tokenizer)
{
    int32_t bos = tokenizer->specials[MG_SPECIAL_BOS].id;
    return bos >= 0 ? bos : tokenizer->specials[MG_SPECIAL_EOS].id;
}
