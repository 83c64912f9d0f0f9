/* tokenizer/gpt2_files.c - vocab.json and merges.txt, the files of GPT-2 and Qwen 2 (tokenizers.md
 * 10).
 *
 * Byte-level BPE without an unknown token.  Qwen's classes normalise to NFC and split with their
 * own pattern; all others split as GPT-2 does. */
#include "base/fs.h"
#include "base/memory.h"
#include "text/utf8.h"
#include "tokenizer/settings_internal.h"
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/vocab_json_internal.h"

static mg_status read_text(const char *path, mg_bytes *bytes_out, mg_str *text_out, mg_error *err)
{
    MG_TRY(mg_file_read(path, MG_TOKENIZER_FILE_BYTES_MAX, bytes_out, err));
    *text_out = mg_str_make((const char *)bytes_out->data, bytes_out->size);
    if (!mg_utf8_valid(*text_out)) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: is not valid UTF-8", path);
    }
    return MG_OK;
}

static mg_status read_merges(mg_bpe *bpe, mg_str text, const char *path, mg_error *err)
{
    mg_str line;
    for (int64_t number = 1; mg_str_split(&text, '\n', &line); number++) {
        mg_str right = mg_str_ends(line, "\r") ? mg_str_slice(line, 0, line.size - 1) : line;
        mg_str left;
        if (right.size == 0 || mg_str_starts(right, "#version")) {
            continue;
        }
        if (!mg_str_split(&right, ' ', &left) || right.size == 0) {
            return mg_fail(err, MG_ERR_FORMAT, "%s:%lld: expected two tokens with a space between",
                           path, (long long)number);
        }
        mg_status status = mg_bpe_add_merge(bpe, left, right, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%s:%lld", path, (long long)number);
            return status;
        }
    }
    return MG_OK;
}

static mg_status add_pretokenizer(mg_tokenizer *t, const mg_tokenizer_config *config, mg_error *err)
{
    bool prefix;
    MG_TRY(mg_setting_bool(&config->config, "add_prefix_space", false, &prefix, err));
    if (!mg_str_is(config->class_name, "Qwen2Tokenizer")) {
        return mg_pretokenizer_add_byte_level(&t->pretokenizer, prefix, err);
    }
    mg_normalizer_add_form(&t->normalizer, MG_NFC);
    return mg_pretokenizer_add_split_bytes(&t->pretokenizer,
                                           mg_str_of(mg_scan_pattern(MG_SCAN_QWEN)), prefix, err);
}

mg_status mg_tokenizer_read_gpt2(mg_tokenizer *tokenizer, const char *vocab_path,
                                 const char *merges_path, const mg_tokenizer_config *config,
                                 mg_error *err)
{
    mg_status status = MG_OK;
    mg_bytes vocab_bytes = { NULL, 0 };
    mg_bytes merges_bytes = { NULL, 0 };
    mg_str text;
    mg_bpe_options options;
    mg_decode_step step;
    memset(&options, 0, sizeof(options));
    memset(&step, 0, sizeof(step));
    MG_TRY_OR_DONE(read_text(vocab_path, &vocab_bytes, &text, err));
    status = mg_vocab_read_map(text, &tokenizer->vocab, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%s", vocab_path);
        goto done;
    }
    tokenizer->kind = MG_MODEL_BPE;
    mg_bpe_init(&tokenizer->bpe, &tokenizer->vocab, &options);
    MG_TRY_OR_DONE(read_text(merges_path, &merges_bytes, &text, err));
    MG_TRY_OR_DONE(read_merges(&tokenizer->bpe, text, merges_path, err));
    mg_bpe_finish(&tokenizer->bpe);
    MG_TRY_OR_DONE(add_pretokenizer(tokenizer, config, err));
    step.kind = MG_DECODE_BYTE_LEVEL;
    mg_detokenizer_add(&tokenizer->detokenizer, &step);

done:
    mg_bytes_release(&vocab_bytes);
    mg_bytes_release(&merges_bytes);
    return status;
}
