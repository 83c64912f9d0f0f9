/* tokenizer/tekken.c - tekken.json, Mistral's own file (tokenizers.md 10).
 *
 * Byte-pair encoding whose merges are implied: of two neighbours whose bytes together are a token,
 * those with the lowest rank are merged first.  That is the engine of bpe.h with one merge for
 * every split of every token, ranked by the token.  Special tokens take the ids below the ranks. */
#include "base/memory.h"
#include "text/json.h"
#include "tokenizer/base64_internal.h"
#include "tokenizer/byte_level_internal.h"
#include "tokenizer/chars_internal.h"
#include "tokenizer/settings_internal.h"
#include "tokenizer/tokenizer_internal.h"

#define BOS_ID 1
#define EOS_ID 2
#define SPECIALS_MAX 4096
#define BYTES 256 /* tokens of one byte come first */

typedef struct tekken {
    const mg_value *vocab;
    const mg_value *specials; /* NULL in old files */
    mg_str pattern;
    int64_t special_count;
    int64_t token_count; /* of vocab, as far as they are used */
} tekken;

static mg_status read_sizes(const mg_value *json, tekken *k, mg_error *err)
{
    const mg_value *config = mg_value_get(json, "config");
    int64_t size;
    MG_TRY(mg_setting_list(json, "vocab", &k->vocab, err));
    MG_TRY(mg_setting_list(json, "special_tokens", &k->specials, err));
    MG_TRY(mg_setting_str(config, "pattern", &k->pattern, err));
    MG_TRY(mg_setting_int(config, "default_vocab_size", -1, &size, err));
    MG_TRY(mg_setting_int(config, "default_num_special_tokens", -1, &k->special_count, err));
    if (k->vocab == NULL || k->pattern.data == NULL || k->special_count < EOS_ID + 1 ||
        k->special_count > SPECIALS_MAX || size < k->special_count + BYTES ||
        size > MG_VOCAB_IDS_MAX) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "'vocab' and config's pattern, default_vocab_size and "
                       "default_num_special_tokens are needed");
    }
    if (k->specials != NULL && k->specials->count > SPECIALS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "more than %d special tokens", SPECIALS_MAX);
    }
    k->token_count = MG_MIN(size - k->special_count, k->vocab->count);
    return MG_OK;
}

static mg_status read_vocab(const tekken *k, mg_tokenizer *t, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf bytes = { 0 };
    mg_buf token = { 0 };
    for (int64_t i = 0; i < k->token_count; i++) {
        int64_t rank;
        mg_str text;
        MG_TRY_OR_DONE(mg_setting_int(&k->vocab->items[i], "rank", -1, &rank, err));
        MG_TRY_OR_DONE(mg_setting_str(&k->vocab->items[i], "token_bytes", &text, err));
        mg_buf_clear(&bytes);
        mg_buf_clear(&token);
        if (rank != i || !mg_base64_decode(&bytes, text) || bytes.size == 0 ||
            (i < BYTES) != (bytes.size == 1)) {
            status = mg_fail(err, MG_ERR_FORMAT, "vocab: entry %lld is damaged", (long long)i);
            goto done;
        }
        mg_byte_level_encode(&token, mg_buf_view(&bytes));
        MG_TRY_OR_DONE(mg_vocab_set(&t->vocab, mg_buf_view(&token), k->special_count + i, err));
    }
    if (t->vocab.count != k->token_count || k->token_count < BYTES) {
        status = mg_fail(err, MG_ERR_FORMAT, "vocab: a token is missing or there twice");
    }

done:
    mg_buf_release(&bytes);
    mg_buf_release(&token);
    return status;
}

static mg_status add_merges(mg_tokenizer *t, mg_error *err)
{
    const mg_vocab *vocab = &t->vocab;
    for (int64_t i = BYTES; i < vocab->count; i++) {
        const mg_vocab_entry *entry = &vocab->entries[i];
        mg_str token = mg_str_make(vocab->bytes.data + entry->offset, entry->size);
        for (size_t at = mg_char_bytes(token.data[0]); at < token.size;
             at += mg_char_bytes(token.data[at])) {
            int32_t left = mg_vocab_id(vocab, mg_str_slice(token, 0, at));
            int32_t right = mg_vocab_id(vocab, mg_str_slice(token, at, token.size));
            if (left >= 0 && right >= 0) {
                MG_TRY(mg_bpe_add_ranked(&t->bpe, left, right, entry->id, (int32_t)i, err));
            }
        }
    }
    return MG_OK;
}

/* The name of special token id: the file's, else the filler's. */
static mg_status special_name(const tekken *k, int64_t id, mg_arena *arena, mg_str *name_out,
                              mg_error *err)
{
    static const char *const old_names[] = { "<unk>", "<s>", "</s>", "[INST]", "[/INST]" };
    *name_out = mg_arena_printf(arena, "<SPECIAL_%lld>", (long long)id);
    for (int64_t i = 0; k->specials != NULL && i < k->specials->count; i++) {
        int64_t rank;
        mg_str name;
        MG_TRY(mg_setting_int(&k->specials->items[i], "rank", -1, &rank, err));
        MG_TRY(mg_setting_str(&k->specials->items[i], "token_str", &name, err));
        if (rank == id && name.size > 0) {
            *name_out = mg_arena_copy(arena, name);
            return MG_OK;
        }
    }
    if (k->specials == NULL && id < MG_ARRAY_COUNT(old_names)) {
        *name_out = mg_str_of(old_names[id]);
    }
    return MG_OK;
}

static mg_status add_specials(const tekken *k, mg_tokenizer *t, mg_error *err)
{
    for (int64_t id = 0; id < k->special_count; id++) {
        mg_added_token token;
        memset(&token, 0, sizeof(token));
        MG_TRY(special_name(k, id, &t->arena, &token.content, err));
        token.id = (int32_t)id;
        token.special = true;
        mg_added_set(&t->added, &token);
    }
    static const mg_special_kind kinds[] = { MG_SPECIAL_UNK, MG_SPECIAL_BOS, MG_SPECIAL_EOS };
    for (int32_t id = 0; id < MG_ARRAY_COUNT(kinds); id++) {
        MG_TRY(special_name(k, id, &t->arena, &t->specials[kinds[id]].content, err));
        t->specials[kinds[id]].id = id;
    }
    mg_ids_add(&t->prefix, BOS_ID);
    return MG_OK;
}

static mg_status fill(const mg_value *json, mg_tokenizer *t, mg_error *err)
{
    tekken k;
    mg_bpe_options options;
    mg_decode_step step;
    memset(&k, 0, sizeof(k));
    memset(&options, 0, sizeof(options));
    memset(&step, 0, sizeof(step));
    MG_TRY(read_sizes(json, &k, err));
    MG_TRY(read_vocab(&k, t, err));
    options.ignore_merges = true;
    t->kind = MG_MODEL_BPE;
    mg_bpe_init(&t->bpe, &t->vocab, &options);
    MG_TRY(add_merges(t, err));
    mg_bpe_finish(&t->bpe);
    MG_TRY(mg_pretokenizer_add_split_bytes(&t->pretokenizer, k.pattern, false, err));
    step.kind = MG_DECODE_BYTE_LEVEL;
    mg_detokenizer_add(&t->detokenizer, &step);
    return add_specials(&k, t, err);
}

mg_status mg_tokenizer_read_tekken(mg_tokenizer *tokenizer, const char *path, mg_error *err)
{
    mg_arena tree = { NULL, 0, 0 };
    mg_value json;
    mg_status status = mg_json_read(path, MG_TOKENIZER_FILE_BYTES_MAX, &tree, &json, err);
    if (status == MG_OK) {
        status = fill(&json, tokenizer, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%s", path);
        }
    }
    mg_arena_release(&tree);
    return status;
}
