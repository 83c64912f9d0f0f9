/* tests/unit/tensor/test_safetensors.c - the header's rules one by one, files, the writer. */
#include <unistd.h>

#include "base/fs.h"
#include "support.h"
#include "tensor/safetensors.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/checkpoint/mixed.safetensors"

static char folder[] = "/tmp/mg-safetensors-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static mg_status check(const char *header, size_t data_bytes)
{
    mg_error err;
    mg_error_clear(&err);
    mg_status status = mg_safetensors_check_header(mg_str_of(header), data_bytes, &err);
    assert_true(status == MG_OK || err.message[0] != '\0');
    return status;
}

#define T(name, dtype, shape, begin, end)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end   \
    "]}"

static void valid_headers_are_read(void **state)
{
    (void)state;
    const struct {
        const char *header;
        size_t data_bytes;
    } cases[] = {
        { "{}", 0 },
        { "{}      \n", 0 },
        { "{\"__metadata__\":{}}", 0 },
        { "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"\\u00e9\\ud83d\\ude00\"}}", 0 },
        { "{" T("a", "F32", "[2,3]", "0", "24") "}", 24 },
        { "{ \"a\" :\t{ \"shape\" : [ ] ,\"data_offsets\":[ 0 , 4 ] , \"dtype\":\"F32\" } }", 4 },
        { "{" T("b", "U8", "[3]", "4", "7") "," T("a", "F32", "[]", "0", "4") "}", 7 },
        { "{" T("a", "F32", "[0,5]", "0", "0") "," T("b", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("b", "U8", "[1]", "0", "1") "," T("a", "F32", "[7,0]", "1", "1") "}", 1 },
        { "{" T("a", "F4", "[4]", "0", "2") "}", 2 },
        { "{" T("a", "U8", "[0,9223372036854775807]", "0", "0") "}", 0 },
        { "{" T("a\\\"\\\\\\/\\b\\f\\n\\r\\t", "U8", "[1]", "0", "1") "}", 1 },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_error err;
        assert_ok(
            mg_safetensors_check_header(mg_str_of(cases[i].header), cases[i].data_bytes, &err),
            &err);
    }
}

static void each_broken_rule_is_a_format_error(void **state)
{
    (void)state;
    const struct {
        const char *header;
        size_t data_bytes;
    } cases[] = {
        { "", 0 },
        { " {}", 0 },
        { "[]", 0 },
        { "{", 0 },
        { "{}x", 0 },
        { "{\"a\"}", 0 },
        { "{\"a\":1}", 0 },
        { "{\"a\":null}", 0 },
        { "{\"a\":{}}", 0 },
        { "{" T("a", "F32", "[1]", "0", "4") ",}", 4 },
        { "{,}", 0 },
        /* members: missing, unknown, repeated, of the wrong kind */
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1 },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1 },
        { "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1 },
        { "{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1 },
        { "{" T("a", "f32", "[1]", "0", "4") "}", 4 },
        { "{" T("a", "F33", "[1]", "0", "4") "}", 4 },
        { "{" T("a", "U8", "1", "0", "1") "}", 1 },
        { "{" T("a", "U8", "[[1]]", "0", "1") "}", 1 },
        /* numbers: negative, fractional, too wide, leading zero */
        { "{" T("a", "U8", "[-1]", "0", "1") "}", 1 },
        { "{" T("a", "U8", "[1.0]", "0", "1") "}", 1 },
        { "{" T("a", "U8", "[1e0]", "0", "1") "}", 1 },
        { "{" T("a", "U8", "[01]", "0", "1") "}", 1 },
        { "{" T("a", "U8", "[18446744073709551616]", "0", "1") "}", 1 },
        { "{" T("a", "U8", "[1]", "0", "18446744073709551615") "}", 1 },
        /* overflowing shapes */
        { "{" T("a", "U8", "[4294967296,4294967296,4294967296]", "0", "0") "}", 0 },
        { "{" T("a", "F32", "[4611686018427387905]", "0", "4") "}", 4 },
        { "{" T("a", "U8", "[9223372036854775808]", "0", "0") "}", 0 },
        { "{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1 },
        /* sizes that do not fit */
        { "{" T("a", "F32", "[1]", "0", "3") "}", 3 },
        { "{" T("a", "F4", "[3]", "0", "2") "}", 2 },
        { "{" T("a", "U8", "[1]", "1", "0") "}", 1 },
        /* holes, overlaps, tails */
        { "{" T("a", "U8", "[1]", "1", "2") "}", 2 },
        { "{" T("a", "U8", "[1]", "0", "1") "," T("b", "U8", "[1]", "2", "3") "}", 3 },
        { "{" T("a", "U8", "[2]", "0", "2") "," T("b", "U8", "[2]", "1", "3") "}", 3 },
        { "{" T("a", "U8", "[1]", "0", "1") "," T("b", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("a", "U8", "[1]", "0", "1") "}", 2 },
        { "{" T("a", "U8", "[2]", "0", "2") "}", 1 },
        { "{}", 1 },
        /* repeated names */
        { "{" T("a", "U8", "[1]", "0", "1") "," T("a", "U8", "[1]", "1", "2") "}", 2 },
        { "{" T("a", "U8", "[1]", "0", "1") "," T("\\u0061", "U8", "[1]", "1", "2") "}", 2 },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0 },
        /* metadata that are no strings */
        { "{\"__metadata__\":{\"a\":1}}", 0 },
        { "{\"__metadata__\":{\"a\":{}}}", 0 },
        { "{\"__metadata__\":null}", 0 },
        /* text: bad UTF-8, escapes, control characters */
        { "{" T("\xff", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("\xc0\x80", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("\\x", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("\\ud800", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("\\udc00", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("\\ud800\\u0041", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("\\u12g4", "U8", "[1]", "0", "1") "}", 1 },
        { "{" T("a\nb", "U8", "[1]", "0", "1") "}", 1 },
        { "{\"a", 0 },
        { "{\"a\\", 0 },
        { "{\"a\\\"", 0 },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        if (check(cases[i].header, cases[i].data_bytes) != MG_ERR_FORMAT) {
            fail_msg("accepted: %s", cases[i].header);
        }
    }
    mg_error err;
    assert_status(mg_safetensors_check_header(mg_str_make("{}\0", 3), 0, &err), MG_ERR_FORMAT);
}

static void write_bytes(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void files_with_a_wrong_length_word_are_refused(void **state)
{
    (void)state;
    static const unsigned char cases[][12] = {
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}' },
        { 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}' },
        { 0x00, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}' }, /* 100,000,000: allowed, not there */
        { 0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}' },
        { 5, 0, 0, 0, 0, 0, 0, 0, '{', '}', ' ', ' ' },
        { 0 },
    };
    mg_error err;
    mg_safetensors *file;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        write_bytes(path_of("bad"), cases[i], sizeof(cases[i]));
        assert_status(mg_safetensors_open(path_of("bad"), &file, &err), MG_ERR_FORMAT);
        assert_null(file);
    }
    write_bytes(path_of("bad"), cases[0], 7);
    assert_status(mg_safetensors_open(path_of("bad"), &file, &err), MG_ERR_FORMAT);
    write_bytes(path_of("bad"), cases[0], 0);
    assert_status(mg_safetensors_open(path_of("bad"), &file, &err), MG_ERR_FORMAT);
    assert_status(mg_safetensors_open(path_of("absent"), &file, &err), MG_ERR_NOT_FOUND);
}

static void every_cut_of_a_file_is_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes bytes;
    assert_ok(mg_file_read(GOLDEN, 1 << 20, &bytes, &err), &err);
    for (size_t size = 0; size < bytes.size; size += 3) {
        mg_safetensors *file;
        write_bytes(path_of("cut"), bytes.data, size);
        assert_status(mg_safetensors_open(path_of("cut"), &file, &err), MG_ERR_FORMAT);
    }
    mg_bytes_release(&bytes);
}

static void a_large_header_is_read_in_time(void **state)
{
    (void)state;
    mg_buf header = { 0 };
    mg_buf_add_text(&header, "{");
    for (int i = 0; i < 100000; i++) {
        mg_buf_printf(&header, "%s" T("t%d", "U8", "[1]", "%d", "%d"), i > 0 ? "," : "", i, i,
                      i + 1);
    }
    mg_buf_add_text(&header, "}");
    mg_error err;
    assert_ok(mg_safetensors_check_header(mg_buf_view(&header), 100000, &err), &err);
    header.data[header.size - 1] = '{';
    assert_status(mg_safetensors_check_header(mg_buf_view(&header), 100000, &err), MG_ERR_FORMAT);
    mg_buf_release(&header);
}

static void tensors_are_found_by_name(void **state)
{
    (void)state;
    mg_error err;
    mg_safetensors *file;
    assert_ok(mg_safetensors_open(GOLDEN, &file, &err), &err);
    assert_int_equal(mg_safetensors_count(file), 14);
    mg_view view;
    assert_ok(mg_safetensors_find(file, mg_str_of("b.f32"), &view, &err), &err);
    assert_int_equal(view.dtype, MG_F32);
    assert_int_equal(view.bytes, 24);
    float last;
    memcpy(&last, (const char *)view.data + 20, sizeof(last));
    assert_true(last == 5.0f);
    assert_ok(mg_safetensors_find(file, mg_str_of("quote\"back\\slash\nline"), &view, &err), &err);
    assert_ok(mg_safetensors_find(file, mg_str_of("f.f64"), &view, &err), &err);
    assert_int_equal(view.shape.rank, 0);
    assert_status(mg_safetensors_find(file, mg_str_of("b"), &view, &err), MG_ERR_NOT_FOUND);
    for (int64_t i = 1; i < mg_safetensors_count(file); i++) {
        assert_true(mg_str_compare(mg_safetensors_at(file, i - 1).name,
                                   mg_safetensors_at(file, i).name) < 0);
    }
    mg_safetensors_close(file);
}

static void the_writer_gives_the_bytes_of_the_reference(void **state)
{
    (void)state;
    mg_error err;
    mg_safetensors *file;
    assert_ok(mg_safetensors_open(GOLDEN, &file, &err), &err);
    mg_view views[32];
    int64_t count = mg_safetensors_count(file);
    for (int64_t i = 0; i < count; i++) {
        views[i] = mg_safetensors_at(file, count - 1 - i);
    }
    char path[256];
    (void)snprintf(path, sizeof(path), "%s", path_of("written"));
    assert_ok(mg_safetensors_write(path, views, count, &err), &err);
    mg_bytes ours;
    mg_bytes theirs;
    assert_ok(mg_file_read(path, 1 << 20, &ours, &err), &err);
    assert_ok(mg_file_read(GOLDEN, 1 << 20, &theirs, &err), &err);
    assert_int_equal(ours.size, theirs.size);
    assert_memory_equal(ours.data, theirs.data, ours.size);
    mg_bytes_release(&ours);
    mg_bytes_release(&theirs);
    views[1] = views[0];
    assert_status(mg_safetensors_write(path_of("twice"), views, 2, &err), MG_ERR_FORMAT);
    assert_false(mg_path_exists(path_of("twice")));
    assert_false(mg_path_exists(path_of("twice.partial")));
    mg_safetensors_close(file);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return mg_folder_remove(folder, NULL) == MG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_headers_are_read),
        cmocka_unit_test(each_broken_rule_is_a_format_error),
        cmocka_unit_test(files_with_a_wrong_length_word_are_refused),
        cmocka_unit_test(every_cut_of_a_file_is_refused),
        cmocka_unit_test(a_large_header_is_read_in_time),
        cmocka_unit_test(tensors_are_found_by_name),
        cmocka_unit_test(the_writer_gives_the_bytes_of_the_reference),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
