/* The JSON reader against jansson: what jansson takes, it takes with the same value; what it takes
 * and jansson refuses are the extensions that json.h names. */
#include "support.h"

#include <jansson.h>

#include "base/fs.h"
#include "base/rng.h"
#include "text/json.h"

#define CORPUS MG_SOURCE_DIR "/fuzz/corpus/json"

static bool same(const mg_value *ours, const json_t *theirs)
{
    switch (json_typeof(theirs)) {
    case JSON_NULL:
        return ours->kind == MG_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return ours->kind == MG_BOOL && ours->boolean == json_is_true(theirs);
    case JSON_INTEGER:
        return ours->kind == MG_INT && ours->integer == json_integer_value(theirs);
    case JSON_REAL:
        return ours->kind == MG_FLOAT && ours->number == json_real_value(theirs);
    case JSON_STRING:
        return ours->kind == MG_STRING &&
               mg_str_equal(ours->string,
                            mg_str_make(json_string_value(theirs), json_string_length(theirs)));
    case JSON_ARRAY:
        if (ours->kind != MG_LIST || ours->count != (int64_t)json_array_size(theirs)) {
            return false;
        }
        for (int64_t i = 0; i < ours->count; i++) {
            if (!same(&ours->items[i], json_array_get(theirs, (size_t)i))) {
                return false;
            }
        }
        return true;
    case JSON_OBJECT:
        if (ours->kind != MG_MAP || ours->count != (int64_t)json_object_size(theirs)) {
            return false;
        }
        for (int64_t i = 0; i < ours->count; i++) {
            const json_t *value = json_object_get(theirs, ours->entries[i].key.string.data);
            if (value == NULL || !same(&ours->entries[i].value, value)) {
                return false;
            }
        }
        return true;
    }
    return false;
}

/* Whether text holds something that this reader takes beyond jansson. */
static bool extended(mg_str text, const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow ||
           json_error_code(error) == json_error_null_byte_in_key ||
           mg_str_starts(text, "\xEF\xBB\xBF") || mg_str_find(text, mg_str_of("NaN"), 0) >= 0 ||
           mg_str_find(text, mg_str_of("Infinity"), 0) >= 0;
}

static void compare(mg_str text)
{
    mg_arena arena = { 0 };
    mg_value ours;
    mg_error err;
    json_error_t error;
    mg_error_clear(&err);
    mg_status status = mg_json_parse(text, "t", &arena, &ours, &err);
    json_t *theirs = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    bool deep = strstr(err.message, "nested too deeply") != NULL;
    bool agree = theirs != NULL ? deep || (status == MG_OK && same(&ours, theirs))
                                : status != MG_OK || extended(text, &error);
    if (!agree) {
        fail_msg("%.*s: %s %s, jansson: %s", MG_STR_ARG(text), mg_status_name(status), err.message,
                 theirs != NULL ? "taken" : error.text);
    }
    json_decref(theirs);
    mg_arena_release(&arena);
}

static void the_corpus_is_read_as_jansson_reads_it(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_str *names;
    int64_t count;
    mg_error err;
    assert_ok(mg_folder_list(CORPUS, &arena, &names, &count, &err), &err);
    mg_rng rng = mg_rng_make(11, MG_STREAM_TEXT);
    for (int64_t i = 0; i < count; i++) {
        mg_bytes bytes = { 0 };
        const char *path = mg_path_join(&arena, CORPUS, names[i].data).data;
        assert_ok(mg_file_read(path, (size_t)1 << 20, &bytes, &err), &err);
        compare(mg_str_make((const char *)bytes.data, bytes.size));
        /* And with bytes changed at random, mostly to ones that mean something. */
        static const char marks[] = "[]{},:\"\\0123456789.eE+-ntfNI \n\x80\xC3\xED";
        for (int k = 0; k < 300 && bytes.size > 0; k++) {
            size_t at = (size_t)mg_rng_below(&rng, bytes.size);
            unsigned char kept = bytes.data[at];
            bytes.data[at] = (unsigned char)marks[mg_rng_below(&rng, sizeof(marks) - 1)];
            compare(mg_str_make((const char *)bytes.data, bytes.size));
            if (k % 3 != 0) {
                bytes.data[at] = kept;
            }
        }
        mg_bytes_release(&bytes);
    }
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_is_read_as_jansson_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
