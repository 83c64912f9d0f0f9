/* tests/unit/tensor/test_torch_file.c - PyTorch files against what PyTorch says is in them, and
 * hostile ones. */
#include "base/fs.h"
#include "crc32.h"
#include "support.h"
#include "tensor/torch_file_internal.h"
#include "tensor/torch_pickle_internal.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/torch/"

static const char *shape_of(const mg_view *view)
{
    static char text[128];
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < view->shape.rank; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%lld", i > 0 ? "x" : "",
                                 (long long)view->shape.dims[i]);
    }
    return view->shape.rank > 0 ? text : "-";
}

/* Appends what expected.txt should say about one file. */
static void describe(const char *name, mg_buf *out)
{
    mg_error err;
    mg_arena arena = { 0 };
    mg_torch_file *file;
    assert_ok(mg_torch_file_open(mg_path_join(&arena, GOLDEN, name).data, &file, &err), &err);
    for (int64_t i = 0; i < mg_torch_file_count(file); i++) {
        mg_view view = mg_torch_file_at(file, i);
        mg_buf_printf(out, "%s %.*s %s %s %08x\n", name, MG_STR_ARG(view.name),
                      mg_dtype_name(view.dtype), shape_of(&view),
                      test_crc32(view.data, view.bytes));
    }
    mg_torch_file_close(file);
    mg_arena_release(&arena);
}

static void files_hold_what_the_reference_wrote(void **state)
{
    (void)state;
    static const char *const names[] = { "zip.bin",    "legacy.bin",    "nested.bin",
                                         "module.bin", "protocol3.bin", "protocol4.bin",
                                         "zip64.bin" };
    mg_buf described = { 0 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        describe(names[i], &described);
    }
    mg_error err;
    mg_bytes expected;
    assert_ok(mg_file_read(GOLDEN "expected.txt", 1 << 20, &expected, &err), &err);
    assert_string_equal(described.data, (const char *)expected.data);
    mg_bytes_release(&expected);
    mg_buf_release(&described);
}

static mg_status open_status(const char *path, mg_error *err)
{
    mg_torch_file *file;
    mg_status status = mg_torch_file_open(path, &file, err);
    mg_torch_file_close(file);
    return status;
}

static void code_is_refused_by_name(void **state)
{
    (void)state;
    mg_error err;
    assert_status(open_status(GOLDEN "evil.bin", &err), MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "posix.system"));
    assert_status(open_status(GOLDEN "evil_legacy.bin", &err), MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "posix.system"));
}

static void compressed_archives_are_refused(void **state)
{
    (void)state;
    mg_error err;
    assert_status(open_status(GOLDEN "deflated.bin", &err), MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "compressed"));
    assert_status(open_status(GOLDEN "absent.bin", &err), MG_ERR_NOT_FOUND);
}

/* Parses copies of a file that were cut, or had one byte changed, on exactly fitting heap blocks.
 */
static void parse_damaged(const char *name)
{
    mg_error err;
    mg_arena arena = { 0 };
    mg_bytes bytes;
    assert_ok(mg_file_read(mg_path_join(&arena, GOLDEN, name).data, 1 << 20, &bytes, &err), &err);
    uint32_t chance = 1;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char *copy = (unsigned char *)malloc(bytes.size);
        assert_non_null(copy);
        memcpy(copy, bytes.data, bytes.size);
        mg_torch_file *file;
        mg_status status = mg_torch_file_parse(copy, i, &file, &err);
        assert_true(status != MG_OK || i > 0);
        mg_torch_file_close(file);
        chance = chance * 1664525U + 1013904223U;
        copy[i] = (unsigned char)(chance >> 24);
        if (mg_torch_file_parse(copy, bytes.size, &file, &err) == MG_OK) {
            uint32_t sum = 0;
            for (int64_t t = 0; t < mg_torch_file_count(file); t++) {
                mg_view view = mg_torch_file_at(file, t);
                sum ^= test_crc32(view.data, view.bytes);
            }
            (void)sum; /* all data could be read */
        }
        mg_torch_file_close(file);
        free(copy);
    }
    mg_bytes_release(&bytes);
    mg_arena_release(&arena);
}

static void damaged_files_never_crash(void **state)
{
    (void)state;
    parse_damaged("module.bin");
    parse_damaged("zip64.bin");
    parse_damaged("legacy.bin");
    parse_damaged("nested.bin");
}

static mg_status read_pickle(const char *bytes, size_t size)
{
    mg_error err;
    mg_arena arena = { 0 };
    mg_pickle_value *value;
    size_t used;
    mg_error_clear(&err);
    mg_status status = mg_pickle_read(mg_str_make(bytes, size), &arena, &value, &used, &err);
    assert_true(status == MG_OK || err.message[0] != '\0');
    mg_arena_release(&arena);
    return status;
}
#define PICKLE(text) read_pickle(text, sizeof(text) - 1)

static void hostile_pickles_are_refused(void **state)
{
    (void)state;
    assert_int_equal(PICKLE("\x80\x02N."), MG_OK);
    assert_int_equal(PICKLE("\x80\x02}."), MG_OK);
    assert_int_equal(PICKLE(""), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("(."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("N"), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("\x80\x05N."), MG_ERR_UNSUPPORTED);
    assert_int_equal(PICKLE("0."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("2."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("t."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("u."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("(u."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("}(Nu."), MG_ERR_FORMAT);   /* a key without value */
    assert_int_equal(PICKLE("NNa."), MG_ERR_FORMAT);    /* append to None */
    assert_int_equal(PICKLE("(N\x86."), MG_ERR_FORMAT); /* a tuple over a mark */
    assert_int_equal(PICKLE("]]Na)R."), MG_ERR_FORMAT); /* a call of a list */
    assert_int_equal(PICKLE("h\x01."), MG_ERR_FORMAT);  /* an empty memo */
    assert_int_equal(PICKLE("Nr\xff\xff\xff\xff."), MG_ERR_LIMIT);
    assert_int_equal(PICKLE("X\xff\xff\xff\xff."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("U\x05"
                            "abc."),
                     MG_ERR_FORMAT);
    assert_int_equal(PICKLE("NQ."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("i."), MG_ERR_UNSUPPORTED); /* INST */
    assert_int_equal(PICKLE("I1\n."), MG_ERR_UNSUPPORTED);
    assert_int_equal(PICKLE("cos\nsystem\n."), MG_ERR_UNSUPPORTED);
    assert_int_equal(PICKLE("c__builtin__\neval\n."), MG_ERR_UNSUPPORTED);
    assert_int_equal(PICKLE("ctorch\nload\n."), MG_ERR_UNSUPPORTED);
    assert_int_equal(PICKLE("X\x02\0\0\0osX\x06\0\0\0system\x93."), MG_ERR_UNSUPPORTED);
    assert_int_equal(PICKLE("ccollections\nOrderedDict\n)R}b."), MG_OK);
    assert_int_equal(PICKLE("ccollections\nOrderedDict\nN\x85R."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("ctorch\nfloat32\n."), MG_OK);
    assert_int_equal(PICKLE("ctorch._utils\n_rebuild_tensor_v2\n)R."), MG_ERR_FORMAT);
    assert_int_equal(PICKLE("]q\0h\0a."), MG_OK); /* a list that holds itself */
    assert_int_equal(PICKLE("\x8a\x09\1\2\3\4\5\6\7\x08\x09."), MG_OK);
}

static void deep_nesting_and_long_texts_are_bounded(void **state)
{
    (void)state;
    size_t size = (size_t)5 << 20;
    char *bytes = (char *)malloc(size);
    assert_non_null(bytes);
    memset(bytes, '(', size);
    assert_int_equal(read_pickle(bytes, size), MG_ERR_LIMIT);
    memset(bytes, 0x85, size); /* TUPLE1 over and over: as deep as it likes, never recursed into */
    bytes[0] = 'N';
    bytes[size - 1] = '.';
    assert_int_equal(read_pickle(bytes, size), MG_OK);
    free(bytes);
}

/* A state dict with one tensor: storage of count floats, given offset, sizes and strides. */
static mg_status read_tensor_pickle(int count, int offset, int size0, int size1, int stride0,
                                    int stride1)
{
    mg_buf buf = { 0 };
    mg_buf_add_text(&buf, "}U\1wctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\n"
                          "FloatStorage\nU\1"
                          "0U\3"
                          "cpuJ");
    mg_buf_add(&buf, mg_str_make((const char *)&count, 4));
    mg_buf_add_text(&buf, "tQJ");
    mg_buf_add(&buf, mg_str_make((const char *)&offset, 4));
    const int numbers[4] = { size0, size1, stride0, stride1 };
    for (int i = 0; i < 4; i++) {
        mg_buf_add_char(&buf, 'J');
        mg_buf_add(&buf, mg_str_make((const char *)&numbers[i], 4));
        if (i % 2 == 1) {
            mg_buf_add_char(&buf, '\x86');
        }
    }
    mg_buf_add_text(&buf, "\x89}tRs.");
    mg_status status = read_pickle(buf.data, buf.size);
    mg_buf_release(&buf);
    return status;
}

static void tensors_stay_inside_their_storage(void **state)
{
    (void)state;
    assert_int_equal(read_tensor_pickle(6, 0, 2, 3, 3, 1), MG_OK);
    assert_int_equal(read_tensor_pickle(6, 0, 3, 2, 1, 3), MG_OK);
    assert_int_equal(read_tensor_pickle(6, 1, 2, 3, 3, 1), MG_ERR_FORMAT);
    assert_int_equal(read_tensor_pickle(5, 0, 2, 3, 3, 1), MG_ERR_FORMAT);
    assert_int_equal(read_tensor_pickle(6, 6, 0, 3, 3, 1), MG_OK); /* no elements */
    assert_int_equal(read_tensor_pickle(6, -1, 2, 3, 3, 1), MG_ERR_FORMAT);
    assert_int_equal(read_tensor_pickle(6, 0, -2, 3, 3, 1), MG_ERR_FORMAT);
    assert_int_equal(read_tensor_pickle(6, 5, 2, 3, -3, 1), MG_ERR_FORMAT);
    assert_int_equal(read_tensor_pickle(INT32_MAX, 0, 1000, 1000, 0, 1), MG_OK);
    assert_int_equal(read_tensor_pickle(INT32_MAX, 0, INT32_MAX, INT32_MAX, 0, 1), MG_ERR_FORMAT);
    assert_int_equal(read_tensor_pickle(6, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX),
                     MG_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_hold_what_the_reference_wrote),
        cmocka_unit_test(code_is_refused_by_name),
        cmocka_unit_test(compressed_archives_are_refused),
        cmocka_unit_test(damaged_files_never_crash),
        cmocka_unit_test(hostile_pickles_are_refused),
        cmocka_unit_test(deep_nesting_and_long_texts_are_bounded),
        cmocka_unit_test(tensors_stay_inside_their_storage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
