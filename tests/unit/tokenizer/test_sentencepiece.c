/* SentencePiece model files: the derived merges, and damaged bytes. */
#include "support.h"

#include "base/fs.h"
#include "base/memory.h"
#include "tokenizer/sentencepiece_internal.h"
#include "tokenizer/tokenizer_internal.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/tokenizer"

static mg_str read_model(const char *kind, mg_bytes *bytes)
{
    mg_error err;
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s/tokenizer.model", GOLDEN, kind);
    assert_ok(mg_file_read(path, (size_t)1 << 24, bytes, &err), &err);
    return mg_str_make((const char *)bytes->data, bytes->size);
}

static void a_real_model_has_the_known_number_of_merges(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes bytes;
    mg_sentencepiece model;
    mg_vocab vocab = { 0 };
    mg_piece_merge *merges;
    int64_t count;
    assert_ok(mg_sentencepiece_parse(read_model("mistral-v1", &bytes), &model, &err), &err);
    assert_int_equal(model.count, 32000);
    assert_int_equal(model.kind, MG_SENTENCEPIECE_BPE);
    assert_true(model.byte_fallback && model.add_dummy_prefix);
    assert_false(model.remove_extra_whitespaces);
    for (int64_t i = 0; i < model.count; i++) {
        assert_ok(mg_vocab_set(&vocab, model.pieces[i].text, i, &err), &err);
    }
    assert_ok(mg_sentencepiece_merges(&model, &vocab, &merges, &count, &err), &err);
    assert_int_equal(count, 58980);
    mg_free(merges);
    mg_vocab_release(&vocab);
    mg_sentencepiece_release(&model);
    mg_bytes_release(&bytes);
}

static void a_cut_file_is_an_error_or_a_smaller_model(void **state)
{
    (void)state;
    mg_bytes bytes;
    mg_str whole = read_model("spm_unigram", &bytes);
    for (size_t size = 0; size < whole.size; size += 1 + size / 16) {
        mg_error err;
        mg_tokenizer *t = NULL;
        char *copy = mg_str_dup(mg_str_slice(whole, 0, size));
        mg_status status = mg_tokenizer_create_sentencepiece(mg_str_make(copy, size), &t, &err);
        assert_true((status == MG_OK) == (t != NULL));
        mg_tokenizer_close(t);
        mg_free(copy);
    }
    mg_bytes_release(&bytes);
}

static void changed_bytes_never_crash(void **state)
{
    (void)state;
    mg_bytes bytes;
    mg_str whole = read_model("spm_bpe", &bytes);
    for (size_t at = 0; at < whole.size; at += 97) {
        mg_error err;
        mg_tokenizer *t = NULL;
        char *copy = mg_str_dup(whole);
        copy[at] = (char)(copy[at] ^ 0x41);
        if (mg_tokenizer_create_sentencepiece(mg_str_make(copy, whole.size), &t, &err) == MG_OK) {
            mg_ids ids = { NULL, 0, 0 };
            mg_status status =
                mg_tokenizer_encode(t, mg_str_of("a \xE3\x81\x82 b"), true, &ids, &err);
            assert_true(status == MG_OK || ids.count == 0);
            mg_ids_release(&ids);
        }
        mg_tokenizer_close(t);
        mg_free(copy);
    }
    mg_bytes_release(&bytes);
}

static void word_models_are_refused_by_name(void **state)
{
    (void)state;
    /* one unknown piece "u", and a trainer with model_type 3 */
    static const char model[] = "\x0A\x05\x0A\x01u\x18\x02\x12\x02\x18\x03";
    mg_error err;
    mg_sentencepiece parsed;
    assert_status(mg_sentencepiece_parse(mg_str_make(model, sizeof(model) - 1), &parsed, &err),
                  MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "model type 3"));
}

static void a_model_without_an_unknown_piece_is_a_format_error(void **state)
{
    (void)state;
    static const char model[] = "\x0A\x03\x0A\x01u";
    mg_error err;
    mg_sentencepiece parsed;
    assert_status(mg_sentencepiece_parse(mg_str_make(model, sizeof(model) - 1), &parsed, &err),
                  MG_ERR_FORMAT);
    assert_status(mg_sentencepiece_parse(mg_str_make("", 0), &parsed, &err), MG_ERR_FORMAT);
}

static void huge_pieces_are_refused_before_they_are_split(void **state)
{
    (void)state;
    /* one unknown piece "u", and a piece of 131,072 times "a" with its sizes as varints */
    static const char head[] = "\x0A\x05\x0A\x01u\x18\x02\x0A\x84\x80\x08\x0A\x80\x80\x08";
    mg_error err;
    mg_buf model = { 0 };
    mg_sentencepiece parsed;
    mg_vocab vocab = { 0 };
    mg_piece_merge *merges;
    int64_t count;
    mg_buf_add(&model, mg_str_make(head, sizeof(head) - 1));
    for (int i = 0; i < 131072; i++) {
        mg_buf_add_char(&model, 'a');
    }
    assert_ok(mg_sentencepiece_parse(mg_buf_view(&model), &parsed, &err), &err);
    assert_int_equal(parsed.count, 2);
    for (int64_t i = 0; i < parsed.count; i++) {
        assert_ok(mg_vocab_set(&vocab, parsed.pieces[i].text, i, &err), &err);
    }
    assert_status(mg_sentencepiece_merges(&parsed, &vocab, &merges, &count, &err), MG_ERR_LIMIT);
    assert_non_null(strstr(err.message, "piece 1 has 131072 bytes"));
    mg_vocab_release(&vocab);
    mg_sentencepiece_release(&parsed);
    mg_buf_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_model_has_the_known_number_of_merges),
        cmocka_unit_test(a_cut_file_is_an_error_or_a_smaller_model),
        cmocka_unit_test(changed_bytes_never_crash),
        cmocka_unit_test(word_models_are_refused_by_name),
        cmocka_unit_test(a_model_without_an_unknown_piece_is_a_format_error),
        cmocka_unit_test(huge_pieces_are_refused_before_they_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
