/* tokenizer/sentencepiece_tokenizer.c - tokenizer.model to a tokenizer.
 *
 * The pipeline is the one that transformers 4.57 converts such a model to: pieces in order, merges
 * derived from the scores, control and user-defined pieces as added tokens.  Spaces and
 * replacements follow SentencePiece's own normaliser. */
#include "base/fs.h"
#include "base/memory.h"
#include "tokenizer/charsmap_internal.h"
#include "tokenizer/chars_internal.h"
#include "tokenizer/sentencepiece_internal.h"
#include "tokenizer/settings_internal.h"
#include "tokenizer/tokenizer_internal.h"

static mg_status fill_vocab(mg_tokenizer *t, const mg_sentencepiece *model, mg_error *err)
{
    for (int64_t i = 0; i < model->count; i++) {
        mg_str text = model->pieces[i].text;
        if (mg_vocab_id(&t->vocab, text) >= 0) {
            return mg_fail(err, MG_ERR_FORMAT, "piece '%.*s' is there twice", MG_STR_ARG(text));
        }
        MG_TRY(mg_vocab_set(&t->vocab, text, i, err));
    }
    return MG_OK;
}

/* The id of the unknown piece. */
static int32_t unknown_of(const mg_sentencepiece *model)
{
    int32_t id = 0;
    while (model->pieces[id].type != MG_PIECE_UNKNOWN) {
        id++;
    }
    return id;
}

static mg_status fill_bpe(mg_tokenizer *t, const mg_sentencepiece *model, mg_error *err)
{
    mg_bpe_options options;
    mg_piece_merge *merges = NULL;
    int64_t count = 0;
    mg_status status = MG_OK;
    memset(&options, 0, sizeof(options));
    options.has_unk = true;
    options.unk_token = mg_arena_copy(&t->arena, model->pieces[unknown_of(model)].text);
    options.fuse_unk = true;
    options.byte_fallback = true;
    t->kind = MG_MODEL_BPE;
    mg_bpe_init(&t->bpe, &t->vocab, &options);
    for (int64_t i = 0; i < model->count; i++) {
        if (model->pieces[i].type == MG_PIECE_UNUSED) {
            return mg_fail(err, MG_ERR_UNSUPPORTED, "unused pieces in a BPE model");
        }
    }
    MG_TRY_OR_DONE(mg_sentencepiece_merges(model, &t->vocab, &merges, &count, err));
    for (int64_t i = 0; i < count; i++) {
        mg_buf joined = { 0 };
        mg_buf_add(&joined, model->pieces[merges[i].left].text);
        mg_buf_add(&joined, model->pieces[merges[i].right].text);
        int32_t id = mg_vocab_id(&t->vocab, mg_buf_view(&joined));
        mg_buf_release(&joined);
        MG_TRY_OR_DONE(
            mg_bpe_add_ranked(&t->bpe, merges[i].left, merges[i].right, id, (int32_t)i, err));
    }
    mg_bpe_finish(&t->bpe);

done:
    mg_free(merges);
    return status;
}

static mg_status fill_unigram(mg_tokenizer *t, const mg_sentencepiece *model, mg_error *err)
{
    mg_unigram *unigram = &t->unigram;
    t->kind = MG_MODEL_UNIGRAM;
    unigram->vocab = &t->vocab;
    unigram->unk_id = unknown_of(model);
    unigram->byte_fallback = model->byte_fallback;
    unigram->single_precision = true;
    unigram->scores = mg_new_array(double, model->count);
    unigram->hidden = mg_new_array(bool, model->count);
    for (int64_t i = 0; i < model->count; i++) {
        unigram->scores[i] = (double)model->pieces[i].score;
        unigram->hidden[i] = model->pieces[i].type != MG_PIECE_NORMAL;
    }
    return mg_unigram_finish(unigram, err);
}

/* Control and user-defined pieces are looked for in the text as it comes. */
static mg_status add_tokens(mg_tokenizer *t, const mg_sentencepiece *model, mg_error *err)
{
    for (int64_t i = 0; i < model->count; i++) {
        const mg_piece *piece = &model->pieces[i];
        if (piece->type == MG_PIECE_CONTROL || piece->type == MG_PIECE_USER_DEFINED) {
            mg_added_token token;
            memset(&token, 0, sizeof(token));
            token.content = mg_arena_copy(&t->arena, piece->text);
            token.special = piece->type == MG_PIECE_CONTROL;
            MG_TRY(mg_tokenizer_add_token(t, token, err));
        }
    }
    return MG_OK;
}

static void name_special(mg_tokenizer *t, const mg_sentencepiece *model, mg_special_kind kind,
                         int32_t id)
{
    if (id >= 0 && id < model->count) {
        t->specials[kind].content = mg_arena_copy(&t->arena, model->pieces[id].text);
        t->specials[kind].id = id;
    }
}

static mg_status set_normalizer(mg_tokenizer *t, const mg_sentencepiece *model, bool prefix,
                                bool legacy, mg_error *err)
{
    bool plain = model->charsmap.size == 0 && !model->remove_extra_whitespaces &&
                 model->escape_whitespaces && !model->whitespace_as_suffix;
    mg_str mark = mg_str_of(MG_METASPACE);
    if (plain && !legacy) {
        mg_pretokenizer_add_metaspace(&t->pretokenizer, mark,
                                      prefix ? MG_PREPEND_FIRST : MG_PREPEND_NEVER, false);
        return MG_OK;
    }
    if (plain) {
        if (prefix) {
            mg_normalizer_add_prepend(&t->normalizer, mark);
        }
        mg_normalizer_add_replace(&t->normalizer, mg_str_of(" "), mark);
        return MG_OK;
    }
    mg_normal_step step;
    memset(&step, 0, sizeof(step));
    step.add_prefix = prefix;
    step.as_suffix = model->whitespace_as_suffix;
    step.squeeze = model->remove_extra_whitespaces;
    step.escape = model->escape_whitespaces;
    if (model->charsmap.size > 0) {
        MG_TRY(mg_charsmap_create(model->charsmap, &step.charsmap, err));
    }
    mg_normalizer_add_sentencepiece(&t->normalizer, &step);
    return MG_OK;
}

static void set_decoder(mg_tokenizer *t, bool prefix, bool squeeze)
{
    mg_decode_step step;
    memset(&step, 0, sizeof(step));
    step.kind = MG_DECODE_REPLACE;
    step.pattern = mg_str_of(MG_METASPACE);
    step.content = mg_str_of(" ");
    mg_detokenizer_add(&t->detokenizer, &step);
    step.kind = MG_DECODE_BYTE_FALLBACK;
    mg_detokenizer_add(&t->detokenizer, &step);
    step.kind = MG_DECODE_FUSE;
    mg_detokenizer_add(&t->detokenizer, &step);
    if (prefix || squeeze) {
        step.kind = MG_DECODE_STRIP;
        step.pattern = mg_str_of(" ");
        step.start = squeeze ? INT64_MAX : 1;
        mg_detokenizer_add(&t->detokenizer, &step);
    }
}

static mg_status fill(mg_tokenizer *t, const mg_sentencepiece *model, const mg_value *config,
                      mg_error *err)
{
    bool prefix;
    bool legacy;
    MG_TRY(mg_setting_bool(config, "add_prefix_space", model->add_dummy_prefix, &prefix, err));
    MG_TRY(mg_setting_bool(config, "legacy", true, &legacy, err));
    MG_TRY(fill_vocab(t, model, err));
    MG_TRY(model->kind == MG_SENTENCEPIECE_BPE ? fill_bpe(t, model, err)
                                               : fill_unigram(t, model, err));
    MG_TRY(set_normalizer(t, model, prefix, legacy, err));
    set_decoder(t, prefix, model->remove_extra_whitespaces);
    name_special(t, model, MG_SPECIAL_UNK, model->unk_id);
    name_special(t, model, MG_SPECIAL_BOS, model->bos_id);
    name_special(t, model, MG_SPECIAL_EOS, model->eos_id);
    name_special(t, model, MG_SPECIAL_PAD, model->pad_id);
    return add_tokens(t, model, err);
}

mg_status mg_tokenizer_read_sentencepiece_bytes(mg_tokenizer *tokenizer, mg_str bytes,
                                                const mg_value *config, mg_error *err)
{
    mg_sentencepiece model;
    MG_TRY(mg_sentencepiece_parse(bytes, &model, err));
    mg_status status = fill(tokenizer, &model, config, err);
    mg_sentencepiece_release(&model);
    return status;
}

mg_status mg_tokenizer_read_sentencepiece(mg_tokenizer *tokenizer, const char *path,
                                          const mg_value *config, mg_error *err)
{
    mg_bytes bytes = { NULL, 0 };
    MG_TRY(mg_file_read(path, MG_TOKENIZER_FILE_BYTES_MAX, &bytes, err));
    mg_status status = mg_tokenizer_read_sentencepiece_bytes(
        tokenizer, mg_str_make((const char *)bytes.data, bytes.size), config, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%s", path);
    }
    mg_bytes_release(&bytes);
    return status;
}
