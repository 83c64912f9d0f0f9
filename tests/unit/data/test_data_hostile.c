/* Data files that ask for far more time or memory than their size allows. */
#include "support.h"

#include "base/arena.h"
#include "base/fs.h"
#include "base/str.h"
#include "data/arrow_internal.h"
#include "data/parquet_internal.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/data/"

static mg_bytes golden(const char *file)
{
    mg_error err;
    mg_bytes bytes;
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "%s", file);
    assert_ok(mg_file_read(path, (size_t)1 << 24, &bytes, &err), &err);
    return bytes;
}

/* The bytes of message number index of an Arrow stream. */
static mg_str arrow_message(const mg_bytes *stream, int index)
{
    const unsigned char *at = stream->data;
    for (int i = 0;; i++) {
        mg_flat flat;
        int64_t body;
        int64_t metadata = mg_arrow_load(at + 4, 4, true);
        assert_true(mg_flat_root(mg_str_make((const char *)at + 8, (size_t)metadata), &flat));
        assert_true(mg_flat_int(&flat, 3, 8, 0, &body));
        if (i == index) {
            return mg_str_make((const char *)at, (size_t)(8 + metadata + body));
        }
        at += 8 + metadata + body;
    }
}

/* Schema, dictionary, batch, delta, batch: the delta again and again, then the batch. */
static void dictionary_deltas_take_linear_room(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes bytes = golden("deltas.arrow");
    mg_buf stream = { 0 };
    mg_table table = { 0 };
    mg_source source = { .name = "f" };
    mg_buf_add(&stream, arrow_message(&bytes, 0));
    mg_buf_add(&stream, arrow_message(&bytes, 1));
    for (int i = 0; i < 60000; i++) {
        mg_buf_add(&stream, arrow_message(&bytes, 3));
    }
    mg_buf_add(&stream, arrow_message(&bytes, 4));
    assert_ok(mg_arrow_rows(mg_buf_view(&stream), &source, &table, &err), &err);
    assert_int_equal(table.count, 2);
    assert_string_equal(table.rows[1].entries[0].value.string.data, "blue");
    mg_table_release(&table);
    mg_buf_release(&stream);
    mg_bytes_release(&bytes);
}

static void buffers_that_overlap_are_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes bytes = golden("overlap.arrow");
    mg_table table = { 0 };
    mg_source source = { .name = "f" };
    mg_str text = mg_str_make((const char *)bytes.data, bytes.size);
    assert_status(mg_arrow_rows(text, &source, &table, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "buffers that overlap"));
    mg_table_release(&table);
    mg_bytes_release(&bytes);
}

static void absurd_times_have_a_text(void **state)
{
    (void)state;
    static const struct {
        int64_t type, unit, value;
        const char *text;
    } cases[] = {
        { MG_ARROW_DATE, 0, 0, "1970-01-01" },
        { MG_ARROW_DATE, 0, -719468, "0000-03-01" },
        { MG_ARROW_DATE, 0, -719469, "0000-02-29" },
        { MG_ARROW_DATE, 1, -1, "1969-12-31" },
        { MG_ARROW_DATE, 0, INT64_MAX, "25252734927768524-07-27" },
        { MG_ARROW_DATE, 0, INT64_MIN, "-25252734927764585-06-07" },
        { MG_ARROW_TIMESTAMP, 3, INT64_MIN, "1677-09-21 00:12:43.145224" },
        { MG_ARROW_TIMESTAMP, 3, INT64_MAX, "2262-04-11 23:47:16.854775" },
        { MG_ARROW_TIMESTAMP, 2, -1, "1969-12-31 23:59:59.999999" },
        { MG_ARROW_TIMESTAMP, 0, INT64_MIN, "-292277022657-01-27 08:29:52" },
    };
    mg_arena arena = { 0 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_value text = mg_arrow_time_text(&arena, cases[i].type, cases[i].unit, cases[i].value);
        assert_string_equal(text.string.data, cases[i].text);
    }
    mg_arena_release(&arena);
}

static mg_status read_chunk(const char *header, size_t size, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_value metadata = mg_value_of_map(&arena, 3);
    mg_parquet_leaf leaf = { .type = MG_PARQUET_INT32 };
    mg_parquet_work work = { .name = "f", .budget = 1000 };
    for (int64_t i = 0; i < metadata.count; i++) { /* type, number of values, place of the data */
        static const int64_t fields[3][2] = { { 1, MG_PARQUET_INT32 }, { 5, 10 }, { 9, 0 } };
        metadata.entries[i].key = mg_value_of_int(fields[i][0]);
        metadata.entries[i].value = mg_value_of_int(fields[i][1]);
    }
    mg_status status =
        mg_parquet_read_chunk(&work, mg_str_make(header, size), &metadata, &leaf, err);
    mg_free(leaf.rep);
    mg_free(leaf.def);
    mg_free(leaf.values);
    mg_free(work.buffers);
    mg_arena_release(&arena);
    return status;
}

/* Page headers: 1 the type, 2 unpacked bytes, 3 packed bytes, 5 or 8 the data page. */
static void pages_with_absurd_numbers_are_errors(void **state)
{
    (void)state;
    mg_error err;
    static const char smallest[] = "\x15\x06\x15\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x15\x00"
                                   "\x5C\x15\x02\x00\x00";
    assert_status(read_chunk(smallest, sizeof(smallest) - 1, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "a page with a wrong size"));
    static const char values[] = "\x15\x00\x15\x00\x15\x00\x2C\x15\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                                 "\xFF\x01\x00\x00";
    assert_status(read_chunk(values, sizeof(values) - 1, &err), MG_ERR_LIMIT);
    static const char most[] = "\x15\x00\x15\x00\x15\x00\x2C\x15\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                               "\xFF\x01\x00\x00";
    assert_status(read_chunk(most, sizeof(most) - 1, &err), MG_ERR_LIMIT);
}

static void empty_structs_take_little_room(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    mg_value value;
    mg_buf bytes = { 0 };
    size_t at = 0;
    mg_buf_add(&bytes, mg_str_make("\x19\xFC\x80\x80\x40", 5)); /* field 1, 1 Mi structs */
    for (int i = 0; i <= 1 << 20; i++) {
        mg_buf_add_char(&bytes, 0);
    }
    assert_true(mg_thrift_read(mg_buf_view(&bytes), &at, &arena, &value));
    assert_int_equal(mg_thrift_get(&value, 1)->count, 1 << 20);
    assert_true(arena.total_bytes < (sizeof(mg_value) + 16) << 20);
    mg_arena_release(&arena);
    at = 0;
    bytes.data[4] = 0x7F; /* 127 << 14 of them, which the bytes do not hold */
    assert_false(mg_thrift_read(mg_buf_view(&bytes), &at, &arena, &value));
    mg_arena_release(&arena);
    mg_buf_release(&bytes);
}

static void wide_headers_over_short_rows_are_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_buf csv = { 0 };
    mg_buf json = { 0 };
    mg_table table = { 0 };
    mg_source source = { .name = "f" };
    for (int i = 0; i < 4000; i++) {
        mg_buf_printf(&csv, "%sc%d", i > 0 ? "," : "", i);
    }
    mg_buf_add_text(&csv, "\n");
    for (int i = 0; i < 5000; i++) {
        mg_buf_add_text(&csv, "1\n");
        mg_buf_add_text(&json, "{\"c\": 1}\n");
    }
    assert_status(mg_csv_rows(mg_buf_view(&csv), &source, &table, &err), MG_ERR_LIMIT);
    assert_non_null(strstr(err.message, "4000 columns"));
    mg_table_release(&table);
    for (int i = 0; i < 4000; i++) {
        mg_buf_printf(&json, "%s\"k%d\": 1", i > 0 ? ", " : "{", i);
    }
    mg_buf_add_text(&json, "}\n");
    assert_status(mg_json_rows(mg_buf_view(&json), &source, &table, &err), MG_ERR_LIMIT);
    assert_non_null(strstr(err.message, "4001 columns"));
    mg_table_release(&table);
    mg_buf_release(&csv);
    mg_buf_release(&json);
}

static void a_header_that_repeats_one_name_takes_linear_time(void **state)
{
    (void)state;
    mg_error err;
    mg_buf csv = { 0 };
    mg_table table = { 0 };
    mg_source source = { .name = "f" };
    mg_buf_add_text(&csv, "a,a.2,a,a");
    for (int i = 4; i < 4096; i++) {
        mg_buf_add_text(&csv, ",a");
    }
    mg_buf_add_text(&csv, "\n1\n");
    assert_ok(mg_csv_rows(mg_buf_view(&csv), &source, &table, &err), &err);
    assert_int_equal(table.column_count, 4096);
    assert_string_equal(table.columns[2].data, "a.1");
    assert_string_equal(table.columns[3].data, "a.3");
    assert_string_equal(table.columns[4095].data, "a.4095");
    mg_table_release(&table);
    mg_buf_clear(&csv);
    for (int i = 0; i < 1000000; i++) {
        mg_buf_add_text(&csv, "a,");
    }
    assert_status(mg_csv_rows(mg_buf_view(&csv), &source, &table, &err), MG_ERR_LIMIT);
    mg_table_release(&table);
    mg_buf_release(&csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dictionary_deltas_take_linear_room),
        cmocka_unit_test(buffers_that_overlap_are_refused),
        cmocka_unit_test(absurd_times_have_a_text),
        cmocka_unit_test(pages_with_absurd_numbers_are_errors),
        cmocka_unit_test(empty_structs_take_little_room),
        cmocka_unit_test(wide_headers_over_short_rows_are_refused),
        cmocka_unit_test(a_header_that_repeats_one_name_takes_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
