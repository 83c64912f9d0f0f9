/* Arrow and Parquet files against the rows that pyarrow finds in them (tests/golden/data), and
 * damaged ones. */
#include "support.h"

#include <math.h>

#include "base/arena.h"
#include "base/fs.h"
#include "data/dataset_internal.h"
#include "text/json.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/data/"
#define BYTES_MAX ((size_t)64 << 20)

typedef mg_status reader_fn(mg_str bytes, const mg_source *source, mg_table *table, mg_error *err);

static mg_value rows_of(const char *key, mg_arena *arena)
{
    mg_error err;
    mg_value root;
    assert_ok(mg_json_read(GOLDEN "rows.json", BYTES_MAX, arena, &root, &err), &err);
    return *mg_value_get(&root, key);
}

static bool same(const mg_value *a, const mg_value *b)
{
    if (a->kind == MG_FLOAT && b->kind == MG_FLOAT) {
        return fabs(a->number - b->number) <= 1e-7 * fabs(a->number);
    }
    if (a->kind == MG_LIST && b->kind == MG_LIST && a->count == b->count) {
        for (int64_t i = 0; i < a->count; i++) {
            if (!same(&a->items[i], &b->items[i])) {
                return false;
            }
        }
        return true;
    }
    return mg_value_equal(a, b);
}

static void assert_same_rows(const char *file, reader_fn *reader, const char *key)
{
    mg_error err;
    mg_arena arena = { 0 };
    mg_mapping mapping;
    mg_table table = { 0 };
    mg_source source = { .name = file };
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "%s", file);
    mg_value expected = rows_of(key, &arena);
    assert_ok(mg_mapping_open(path, &mapping, &err), &err);
    mg_str bytes = mg_str_make((const char *)mapping.data, mapping.size);
    assert_ok(reader(bytes, &source, &table, &err), &err);
    assert_int_equal(table.count, expected.count);
    for (int64_t i = 0; i < table.count; i++) {
        const mg_value *row = &expected.items[i];
        assert_int_equal(table.rows[i].count, row->count);
        for (int64_t c = 0; c < row->count; c++) {
            const mg_value *got = mg_value_get_str(&table.rows[i], row->entries[c].key.string);
            if (got == NULL || !same(&row->entries[c].value, got)) {
                mg_buf text = { 0 };
                mg_json_write(&text, &row->entries[c].value, NULL);
                mg_buf_add_text(&text, ", got ");
                mg_json_write(&text, got != NULL ? got : &mg_value_null, NULL);
                fail_msg("%s row %d, %s: expected %s", file, (int)i,
                         row->entries[c].key.string.data, text.data);
            }
        }
    }
    mg_table_release(&table);
    mg_mapping_close(&mapping);
    mg_arena_release(&arena);
}

static void arrow_streams_and_files_are_read(void **state)
{
    (void)state;
    assert_same_rows("stream.arrow", mg_arrow_rows, "fixed");
    assert_same_rows("file.arrow", mg_arrow_rows, "fixed");
    assert_same_rows("zstd.arrow", mg_arrow_rows, "fixed");
    assert_same_rows("lz4.arrow", mg_arrow_rows, "fixed");
    assert_same_rows("view.arrow", mg_arrow_rows, "view");
    assert_same_rows("deltas.arrow", mg_arrow_rows, "deltas");
}

static void parquet_is_read_with_every_codec_and_both_page_versions(void **state)
{
    (void)state;
    assert_same_rows("none.parquet", mg_parquet_rows, "table");
    assert_same_rows("snappy.parquet", mg_parquet_rows, "table");
    assert_same_rows("gzip.parquet", mg_parquet_rows, "table");
    assert_same_rows("zstd.parquet", mg_parquet_rows, "table");
    assert_same_rows("brotli.parquet", mg_parquet_rows, "table");
    assert_same_rows("lz4.parquet", mg_parquet_rows, "table");
    assert_same_rows("v2.parquet", mg_parquet_rows, "table");
}

static void delta_and_split_encodings_of_parquet_are_read(void **state)
{
    (void)state;
    assert_same_rows("delta.parquet", mg_parquet_rows, "long");
    assert_same_rows("split.parquet", mg_parquet_rows, "table");
}

static void decimals_halves_and_times_of_utc_are_read(void **state)
{
    (void)state;
    assert_same_rows("decimal.arrow", mg_arrow_rows, "rare");
    assert_same_rows("decimal.parquet", mg_parquet_rows, "rare");
    assert_same_rows("decimal_int.parquet", mg_parquet_rows, "rare_ints");
}

static void assert_refused(const char *file, reader_fn *reader, const char *word)
{
    mg_error err;
    mg_mapping mapping;
    mg_table table = { 0 };
    mg_source source = { .name = file };
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "%s", file);
    assert_ok(mg_mapping_open(path, &mapping, &err), &err);
    mg_str bytes = mg_str_make((const char *)mapping.data, mapping.size);
    assert_status(reader(bytes, &source, &table, &err), MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, word));
    mg_table_release(&table);
    mg_mapping_close(&mapping);
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    assert_refused("duration.arrow", mg_arrow_rows, "duration");
}

/* Reads every prefix and many files with one byte changed: any answer but a crash is fine. */
static void assert_survives(const char *file, reader_fn *reader)
{
    mg_error err;
    mg_bytes bytes;
    mg_source source = { .name = file };
    char path[512];
    uint32_t noise = 12345;
    snprintf(path, sizeof(path), GOLDEN "%s", file);
    assert_ok(mg_file_read(path, BYTES_MAX, &bytes, &err), &err);
    for (size_t size = 0; size < bytes.size; size += 1 + bytes.size / 150) {
        mg_table table = { 0 };
        (void)!reader(mg_str_make((const char *)bytes.data, size), &source, &table, &err);
        mg_table_release(&table);
    }
    for (int i = 0; i < 400; i++) {
        noise = noise * 1664525 + 1013904223;
        size_t at = noise % bytes.size;
        unsigned char saved = bytes.data[at];
        bytes.data[at] = (unsigned char)(noise >> 24);
        mg_table table = { 0 };
        (void)!reader(mg_str_make((const char *)bytes.data, bytes.size), &source, &table, &err);
        mg_table_release(&table);
        bytes.data[at] = saved;
    }
    mg_bytes_release(&bytes);
}

static void damaged_files_are_errors_not_crashes(void **state)
{
    (void)state;
    assert_survives("stream.arrow", mg_arrow_rows);
    assert_survives("zstd.arrow", mg_arrow_rows);
    assert_survives("view.arrow", mg_arrow_rows);
    assert_survives("snappy.parquet", mg_parquet_rows);
    assert_survives("v2.parquet", mg_parquet_rows);
    assert_survives("delta.parquet", mg_parquet_rows);
    assert_survives("lz4.arrow", mg_arrow_rows);
    assert_survives("decimal.arrow", mg_arrow_rows);
    assert_survives("decimal.parquet", mg_parquet_rows);
    assert_survives("decimal_int.parquet", mg_parquet_rows);
    assert_survives("brotli.parquet", mg_parquet_rows);
    assert_survives("lz4.parquet", mg_parquet_rows);
    assert_survives("split.parquet", mg_parquet_rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrow_streams_and_files_are_read),
        cmocka_unit_test(parquet_is_read_with_every_codec_and_both_page_versions),
        cmocka_unit_test(delta_and_split_encodings_of_parquet_are_read),
        cmocka_unit_test(decimals_halves_and_times_of_utc_are_read),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(damaged_files_are_errors_not_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
