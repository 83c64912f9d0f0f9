/* Encoding and decoding at the edges: what the goldens cannot show. */
#include "support.h"

#include "base/memory.h"
#include "tokenizer/tokenizer_internal.h"

#include <pthread.h>

#define GOLDEN MG_SOURCE_DIR "/tests/golden/tokenizer/"

/* A character model with byte tokens; "ab" is one token. */
static const char small_json[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true,"
    "\"normalized\":false}],\"normalizer\":null,\"pre_tokenizer\":null,\"post_processor\":null,"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":"
    "\"Fuse\"}]},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"<s>\":0,\"a\":1,\"b\":2,\"ab\":3,\"<0xE3>\":4,"
    "\"<0x81>\":5,\"<0x82>\":6,\"<0xff>\":7},\"merges\":[\"a b\"]}}";

static mg_tokenizer *create(const char *json)
{
    mg_error err;
    mg_tokenizer *t;
    assert_ok(mg_tokenizer_create_json(mg_str_of(json), &t, &err), &err);
    return t;
}

static mg_tokenizer *open_golden(const char *folder)
{
    mg_error err;
    mg_tokenizer *t;
    assert_ok(mg_tokenizer_open(folder, &t, &err), &err);
    return t;
}

static void assert_decoded(const mg_tokenizer *t, const int32_t *ids, int64_t count,
                           const char *expected)
{
    mg_buf text = { 0 };
    mg_tokenizer_decode(t, ids, count, false, &text);
    assert_string_equal(mg_buf_view(&text).data, expected);
    mg_buf_release(&text);
}

static void invalid_utf8_is_a_format_error_and_adds_nothing(void **state)
{
    (void)state;
    mg_error err;
    mg_tokenizer *t = create(small_json);
    mg_ids ids = { NULL, 0, 0 };
    mg_ids_add(&ids, 42);
    assert_status(mg_tokenizer_encode(t, mg_str_of("ab\xE3\x81"), true, &ids, &err), MG_ERR_FORMAT);
    assert_int_equal(ids.count, 1);
    assert_ok(mg_tokenizer_encode(t, mg_str_of("ab"), true, &ids, &err), &err);
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.data[0], 42);
    assert_int_equal(ids.data[1], 3);
    mg_ids_release(&ids);
    mg_tokenizer_close(t);
}

static void byte_tokens_become_text_or_replacement_characters(void **state)
{
    (void)state;
    mg_tokenizer *t = create(small_json);
    static const int32_t whole[] = { 4, 5, 6 };
    static const int32_t cut[] = { 4, 1, 5, 6 };
    static const int32_t lower_case[] = { 7 };
    assert_decoded(t, whole, 3, "\xE3\x81\x82");
    assert_decoded(t, whole, 2, "\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_decoded(t, cut, 4,
                   "\xEF\xBF\xBD"
                   "a\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_decoded(t, lower_case, 1, "\xEF\xBF\xBD");
    mg_tokenizer_close(t);
}

static void ids_outside_the_vocabulary_decode_to_nothing(void **state)
{
    (void)state;
    mg_tokenizer *t = create(small_json);
    static const int32_t ids[] = { 3, -1, 8, INT32_MAX, INT32_MIN, 1 };
    assert_decoded(t, ids, 6, "aba");
    assert_decoded(t, NULL, 0, "");
    assert_int_equal(mg_tokenizer_token(t, 8).size, 0);
    assert_int_equal(mg_tokenizer_size(t), 8);
    mg_tokenizer_close(t);
}

static void nul_bytes_are_ordinary_characters(void **state)
{
    (void)state;
    mg_error err;
    mg_buf text = { 0 };
    mg_ids ids = { NULL, 0, 0 };
    mg_tokenizer *t = open_golden(GOLDEN "llama3");
    mg_str nul = mg_str_make("a\0b\0", 4);
    assert_ok(mg_tokenizer_encode(t, nul, false, &ids, &err), &err);
    mg_tokenizer_decode(t, ids.data, ids.count, true, &text);
    assert_int_equal(text.size, 4);
    assert_memory_equal(text.data, nul.data, 4);
    mg_ids_release(&ids);
    mg_buf_release(&text);
    mg_tokenizer_close(t);
}

static void a_long_text_without_spaces_is_encoded(void **state)
{
    (void)state;
    static const char *const kinds[] = { GOLDEN "llama3", GOLDEN "prepend", GOLDEN "unigram",
                                         GOLDEN "mistral-v1" };
    mg_buf text = { 0 };
    for (int i = 0; i < 100000; i++) {
        mg_buf_add_char(&text, (char)('a' + i * 7 % 26));
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        mg_error err;
        mg_ids ids = { NULL, 0, 0 };
        mg_tokenizer *t = open_golden(kinds[i]);
        assert_ok(mg_tokenizer_encode(t, mg_buf_view(&text), false, &ids, &err), &err);
        assert_in_range(ids.count, 10000, 100001);
        mg_ids_release(&ids);
        mg_tokenizer_close(t);
    }
    mg_buf_release(&text);
}

static void unsupported_types_are_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "WordPiece" },
        { "{\"normalizer\":{\"type\":\"Odd\"},\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "Odd" },
        { "{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"},\"model\":{}}", "UnicodeScripts" },
        { "{\"decoder\":{\"type\":\"CTC\"},\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "CTC" },
        { "{\"post_processor\":{\"type\":\"New\"},\"model\":{\"type\":\"BPE\",\"vocab\":{}}}",
          "New" },
        { "{\"version\":\"2.0\",\"model\":{}}", "2.0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"dropout\":0.1}}", "dropout" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_error err;
        mg_tokenizer *t;
        assert_status(mg_tokenizer_create_json(mg_str_of(cases[i][0]), &t, &err),
                      MG_ERR_UNSUPPORTED);
        assert_null(t);
        assert_non_null(strstr(err.message, cases[i][1]));
    }
}

static void damaged_documents_are_format_errors(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{",
        "{\"model\":{\"type\":\"BPE\"}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"fuse_unk\":1}}",
        "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":7}}",
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{}},\"model\":{}}",
        "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"},\"model\":{}"
        "}",
        "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"*\"},\"model\":{}}",
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}},\"model\":{}}",
        "{\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0},\"model\":{}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{}},\"post_processor\":{\"type\":"
        "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{}},\"added_tokens\":[{\"content\":3}]}",
        "\xFF",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(texts); i++) {
        mg_error err;
        mg_tokenizer *t;
        mg_status status = mg_tokenizer_create_json(mg_str_of(texts[i]), &t, &err);
        if (status != MG_ERR_FORMAT || t != NULL) {
            fail_msg("%s: %s", texts[i], mg_status_name(status));
        }
    }
}

static void a_pattern_that_backtracks_without_end_is_an_error(void **state)
{
    (void)state;
    mg_error err;
    mg_ids ids = { NULL, 0, 0 };
    mg_buf text = { 0 };
    mg_tokenizer *t = create("{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\","
                             "\"pattern\":{\"Regex\":\"(?:a+)+(?=[^a])\"}},"
                             "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}");
    for (int i = 0; i < 5000; i++) {
        mg_buf_add_char(&text, 'a');
    }
    assert_status(mg_tokenizer_encode(t, mg_buf_view(&text), false, &ids, &err), MG_ERR_LIMIT);
    assert_int_equal(ids.count, 0);
    mg_ids_release(&ids);
    mg_buf_release(&text);
    mg_tokenizer_close(t);
}

static void a_folder_without_tokenizer_files_is_not_found(void **state)
{
    (void)state;
    mg_error err;
    mg_tokenizer *t;
    assert_status(mg_tokenizer_open(MG_SOURCE_DIR "/tests", &t, &err), MG_ERR_NOT_FOUND);
    assert_null(t);
    mg_tokenizer_close(NULL);
    mg_ids_release(NULL);
}

static void code_points_that_the_reference_does_not_know_stay_as_they_are(void **state)
{
    (void)state;
    /* U+08D0 has a combining class since Unicode 14: the marks around it are not sorted past it. */
    static const char text[] = "a\xE0\xA3\x90\xCD\x85\xCC\x96";
    mg_error err;
    mg_normalizer normalizer;
    mg_buf scratch[2] = { { 0 }, { 0 } };
    mg_str out;
    memset(&normalizer, 0, sizeof(normalizer));
    mg_normalizer_add_form(&normalizer, MG_NFC);
    assert_ok(mg_normalizer_apply(&normalizer, mg_str_of(text), scratch, &out, NULL, &err), &err);
    assert_true(mg_str_starts(out, "a\xE0\xA3\x90"));
    mg_buf_release(&scratch[0]);
    mg_buf_release(&scratch[1]);
    mg_normalizer_release(&normalizer);
}

static void too_many_marks_in_a_row_are_a_limit_error(void **state)
{
    (void)state;
    mg_error err;
    mg_normalizer normalizer;
    mg_buf scratch[2] = { { 0 }, { 0 } };
    mg_buf text = { 0 };
    mg_str out;
    memset(&normalizer, 0, sizeof(normalizer));
    mg_normalizer_add_form(&normalizer, MG_NFD);
    for (int i = 0; i < 40000; i++) {
        mg_buf_add_text(&text, i % 2 == 0 ? "\xCC\x81" : "\xCC\x96");
    }
    assert_status(mg_normalizer_apply(&normalizer, mg_buf_view(&text), scratch, &out, NULL, &err),
                  MG_ERR_LIMIT);
    mg_buf_release(&text);
    mg_buf_release(&scratch[0]);
    mg_buf_release(&scratch[1]);
    mg_normalizer_release(&normalizer);
}

#define THREADS 4
#define TEXTS 60

typedef struct worker {
    const mg_tokenizer *tokenizer;
    mg_ids ids;
} worker;

static void *encode_many(void *context)
{
    worker *w = context;
    for (int i = 0; i < TEXTS; i++) {
        mg_error err;
        char text[64];
        (void)snprintf(text, sizeof(text), "number %d, \xE5\x95\x8F\xE9\xA1\x8C %d words", i % 17,
                       i);
        if (mg_tokenizer_encode(w->tokenizer, mg_str_of(text), true, &w->ids, &err) != MG_OK) {
            mg_ids_add(&w->ids, -1);
        }
    }
    return NULL;
}

static void threads_share_a_tokenizer_and_its_word_cache(void **state)
{
    (void)state;
    mg_tokenizer *t = open_golden(GOLDEN "qwen");
    mg_tokenizer *alone = open_golden(GOLDEN "qwen");
    worker expected = { alone, { NULL, 0, 0 } };
    worker workers[THREADS];
    pthread_t threads[THREADS];
    (void)encode_many(&expected);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){ t, { NULL, 0, 0 } };
        assert_int_equal(pthread_create(&threads[i], NULL, encode_many, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].ids.count, expected.ids.count);
        assert_memory_equal(workers[i].ids.data, expected.ids.data,
                            (size_t)expected.ids.count * sizeof(int32_t));
        mg_ids_release(&workers[i].ids);
    }
    mg_ids_release(&expected.ids);
    mg_tokenizer_close(alone);
    mg_tokenizer_close(t);
}

static void a_full_word_cache_changes_nothing(void **state)
{
    (void)state;
    mg_ids ids = { NULL, 0, 0 };
    mg_word_cache *cache = mg_word_cache_create();
    for (int32_t i = 0; i < 100000; i++) {
        char word[16];
        (void)snprintf(word, sizeof(word), "w%d", i);
        mg_word_cache_put(cache, mg_str_of(word), mg_word_cache_hash(mg_str_of(word)), &i, 1);
    }
    int64_t found = 0;
    for (int32_t i = 0; i < 100000; i++) {
        char word[16];
        (void)snprintf(word, sizeof(word), "w%d", i);
        ids.count = 0;
        if (mg_word_cache_get(cache, mg_str_of(word), mg_word_cache_hash(mg_str_of(word)), &ids)) {
            assert_int_equal(ids.count, 1);
            assert_int_equal(ids.data[0], i);
            found++;
        }
    }
    assert_in_range(found, 30000, 65536);
    mg_ids_release(&ids);
    mg_word_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invalid_utf8_is_a_format_error_and_adds_nothing),
        cmocka_unit_test(byte_tokens_become_text_or_replacement_characters),
        cmocka_unit_test(ids_outside_the_vocabulary_decode_to_nothing),
        cmocka_unit_test(nul_bytes_are_ordinary_characters),
        cmocka_unit_test(a_long_text_without_spaces_is_encoded),
        cmocka_unit_test(unsupported_types_are_named),
        cmocka_unit_test(damaged_documents_are_format_errors),
        cmocka_unit_test(a_pattern_that_backtracks_without_end_is_an_error),
        cmocka_unit_test(a_folder_without_tokenizer_files_is_not_found),
        cmocka_unit_test(code_points_that_the_reference_does_not_know_stay_as_they_are),
        cmocka_unit_test(too_many_marks_in_a_row_are_a_limit_error),
        cmocka_unit_test(threads_share_a_tokenizer_and_its_word_cache),
        cmocka_unit_test(a_full_word_cache_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
