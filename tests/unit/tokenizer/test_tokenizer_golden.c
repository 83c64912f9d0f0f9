/* Ids and texts equal to the reference's, for every kind of tokenizer in tests/golden/tokenizer. */
#include "support.h"

#include "base/fs.h"
#include "base/memory.h"
#include "text/json.h"
#include "tokenizer/tokenizer.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/tokenizer"

/* Cases are [text, ids, ids with specials, decoded, decoded in full]; null as make.py says. */
enum { TEXT, PLAIN, SPECIAL, DECODED, FULL, FIELDS };

static void check_ids(const mg_value *expected, const mg_ids *ids, const char *kind, int64_t line)
{
    bool equal = expected->count == ids->count;
    for (int64_t i = 0; equal && i < ids->count; i++) {
        equal = expected->items[i].integer == ids->data[i];
    }
    if (!equal) {
        mg_buf got = { 0 };
        for (int64_t i = 0; i < ids->count; i++) {
            mg_buf_printf(&got, " %d", ids->data[i]);
        }
        fail_msg("%s/cases.jsonl:%lld: got%s", kind, (long long)line, got.data);
    }
}

static void check_text(mg_str expected, mg_str got, const char *kind, int64_t line)
{
    if (!mg_str_equal(expected, got)) {
        fail_msg("%s/cases.jsonl:%lld: decoded '%.*s', expected '%.*s'", kind, (long long)line,
                 MG_STR_ARG(got), MG_STR_ARG(expected));
    }
}

static void check_case(const mg_tokenizer *t, const mg_value *c, const char *kind, int64_t line)
{
    mg_error err;
    mg_ids ids = { NULL, 0, 0 };
    mg_buf text = { 0 };
    assert_int_equal(c->count, FIELDS);
    const mg_value *f = c->items;
    const mg_value *special = f[SPECIAL].kind == MG_NULL ? &f[PLAIN] : &f[SPECIAL];
    mg_str decoded = f[DECODED].kind == MG_NULL ? f[TEXT].string : f[DECODED].string;
    if (f[PLAIN].kind != MG_NULL) {
        assert_ok(mg_tokenizer_encode(t, f[TEXT].string, false, &ids, &err), &err);
        check_ids(&f[PLAIN], &ids, kind, line);
    }
    ids.count = 0;
    assert_ok(mg_tokenizer_encode(t, f[TEXT].string, true, &ids, &err), &err);
    check_ids(special, &ids, kind, line);
    mg_tokenizer_decode(t, ids.data, ids.count, true, &text);
    check_text(decoded, mg_buf_view(&text), kind, line);
    if (f[FULL].kind != MG_NULL) {
        mg_buf_clear(&text);
        mg_tokenizer_decode(t, ids.data, ids.count, false, &text);
        check_text(f[FULL].string, mg_buf_view(&text), kind, line);
    }
    mg_buf_release(&text);
    mg_ids_release(&ids);
}

static int64_t check_kind(const char *kind)
{
    mg_error err;
    mg_arena arena = { 0 };
    mg_tokenizer *t;
    mg_bytes bytes;
    mg_str line;
    int64_t count = 0;
    const char *folder = mg_path_join(&arena, GOLDEN, kind).data;
    const char *cases = mg_path_join(&arena, folder, "cases.jsonl").data;
    assert_ok(mg_tokenizer_open(folder, &t, &err), &err);
    assert_ok(mg_file_read(cases, (size_t)16 << 20, &bytes, &err), &err);
    mg_str rest = mg_str_make((const char *)bytes.data, bytes.size);
    while (mg_str_split(&rest, '\n', &line)) {
        mg_value value;
        if (line.size > 0) {
            assert_ok(mg_json_parse(line, kind, &arena, &value, &err), &err);
            check_case(t, &value, kind, ++count);
        }
    }
    mg_bytes_release(&bytes);
    mg_tokenizer_close(t);
    mg_arena_release(&arena);
    return count;
}

static void check_kinds(const char *const *kinds, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        assert_true(check_kind(kinds[i]) > 50);
    }
}

static void byte_level_tokenizers_match_the_library(void **state)
{
    (void)state;
    static const char *const kinds[] = { "gpt2",   "gpt2_prefix", "neox",  "llama3",    "qwen",
                                         "tekken", "o200k",       "flags", "starcoder", "regexes" };
    check_kinds(kinds, MG_ARRAY_COUNT(kinds));
}

static void character_tokenizers_match_the_library(void **state)
{
    (void)state;
    static const char *const kinds[] = { "meta_first", "meta_always", "meta_never", "strip_first",
                                         "prepend",    "gemma",       "lower",      "digits",
                                         "suffix",     "no_unk",      "no_fuse",    "alike" };
    check_kinds(kinds, MG_ARRAY_COUNT(kinds));
}

static void unigram_tokenizers_match_the_library(void **state)
{
    (void)state;
    static const char *const kinds[] = { "unigram", "unigram_bytes" };
    check_kinds(kinds, MG_ARRAY_COUNT(kinds));
}

static void model_files_match_sentencepiece(void **state)
{
    (void)state;
    static const char *const kinds[] = { "spm_unigram", "spm_unigram_bytes", "spm_bpe",
                                         "spm_bpe_suffix" };
    check_kinds(kinds, MG_ARRAY_COUNT(kinds));
}

static void vocabulary_and_merges_files_match_transformers(void **state)
{
    (void)state;
    static const char *const kinds[] = { "files_gpt2", "files_qwen2" };
    check_kinds(kinds, MG_ARRAY_COUNT(kinds));
}

static void a_tekken_file_matches_tiktoken(void **state)
{
    (void)state;
    assert_true(check_kind("tekken_file") > 100);
}

static void a_real_model_file_matches_transformers(void **state)
{
    (void)state;
    assert_true(check_kind("mistral-v1") > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_tokenizers_match_the_library),
        cmocka_unit_test(character_tokenizers_match_the_library),
        cmocka_unit_test(unigram_tokenizers_match_the_library),
        cmocka_unit_test(model_files_match_sentencepiece),
        cmocka_unit_test(vocabulary_and_merges_files_match_transformers),
        cmocka_unit_test(a_tekken_file_matches_tiktoken),
        cmocka_unit_test(a_real_model_file_matches_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
