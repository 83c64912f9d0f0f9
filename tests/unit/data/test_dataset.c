/* JSON, CSV, text, gzip, patterns, and the folders a data set can lie in. */
#include "support.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fs.h"
#include "data/dataset_internal.h"
#include "data/glob.h"
#include "text/json.h"

typedef mg_status reader_fn(mg_str bytes, const mg_source *source, mg_table *table, mg_error *err);

/* The rows of text as JSON, or the error's message. */
static void assert_rows(reader_fn *reader, const char *text, const char *options,
                        const char *expected)
{
    mg_error err;
    mg_arena arena = { 0 };
    mg_table table = { 0 };
    mg_value kwargs = mg_value_null;
    mg_buf got = { 0 };
    if (options != NULL) {
        assert_ok(mg_json_parse(mg_str_of(options), "options", &arena, &kwargs, &err), &err);
    }
    mg_source source = { .name = "f", .options = options != NULL ? &kwargs : NULL };
    if (reader(mg_str_of(text), &source, &table, &err) == MG_OK) {
        for (int64_t i = 0; i < table.count; i++) {
            mg_json_write(&got, &table.rows[i], NULL);
        }
    } else {
        mg_buf_add_text(&got, err.message);
    }
    assert_string_equal(got.data != NULL ? got.data : "", expected);
    mg_buf_release(&got);
    mg_table_release(&table);
    mg_arena_release(&arena);
}

static void json_lines_give_rows_with_the_union_of_columns(void **state)
{
    (void)state;
    assert_rows(mg_json_rows, "{\"a\": 1}\n\n{\"b\": \"x\", \"a\": 2}\n", NULL,
                "{\"a\": 1, \"b\": null}{\"a\": 2, \"b\": \"x\"}");
    assert_rows(mg_json_rows, "\xef\xbb\xbf{\"a\": [1, {\"k\": null}]}", NULL,
                "{\"a\": [1, {\"k\": null}]}");
    assert_rows(mg_json_rows, "{\"a\": 1}\n{\"a\": 2.5}\n", NULL, "{\"a\": 1.0}{\"a\": 2.5}");
    assert_rows(mg_json_rows, "", NULL, "");
}

static void nested_objects_get_the_keys_of_all_rows(void **state)
{
    (void)state;
    assert_rows(mg_json_rows,
                "{\"m\": {\"a\": 1}}\n{\"m\": {\"b\": [2], \"a\": 3}}\n{\"m\": null}\n", NULL,
                "{\"m\": {\"a\": 1, \"b\": null}}{\"m\": {\"a\": 3, \"b\": [2]}}{\"m\": null}");
    assert_rows(mg_json_rows, "{\"l\": [{\"x\": 1}, {\"y\": 2}]}\n{\"l\": [1.5]}\n{\"l\": []}\n",
                NULL,
                "{\"l\": [{\"x\": 1, \"y\": null}, {\"x\": null, \"y\": 2}]}{\"l\": [1.5]}"
                "{\"l\": []}");
    assert_rows(mg_json_rows, "{\"l\": [[1], [2.5]]}\n{\"l\": [[3]]}\n", NULL,
                "{\"l\": [[1.0], [2.5]]}{\"l\": [[3.0]]}");
}

static void json_documents_are_rows_columns_or_one_member(void **state)
{
    (void)state;
    assert_rows(mg_json_rows, "[{\"a\": 1},\n {\"a\": 2}]", NULL, "{\"a\": 1}{\"a\": 2}");
    assert_rows(mg_json_rows, "[\"x\", \"y\"]", NULL, "{\"text\": \"x\"}{\"text\": \"y\"}");
    assert_rows(mg_json_rows, "{\"a\": [1, 2],\n \"b\": [3, 4]}", NULL,
                "{\"a\": 1, \"b\": 3}{\"a\": 2, \"b\": 4}");
    assert_rows(mg_json_rows, "{\"v\": 1, \"data\": [{\"q\": 2}]}", "{\"field\": \"data\"}",
                "{\"q\": 2}");
    assert_rows(mg_json_rows, "{\"v\": 1}", "{\"field\": \"data\"}",
                "f: no member 'data' in the JSON document");
    assert_rows(mg_json_rows, "7", NULL, "f: the document is an integer, expected rows");
}

static void a_damaged_line_is_named(void **state)
{
    (void)state;
    mg_error err;
    mg_table table = { 0 };
    mg_source source = { .name = "f" };
    assert_status(
        mg_json_rows(mg_str_of("{\"a\": 1}\n{\"a\": 2}\n{\"a\": }\n"), &source, &table, &err),
        MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "f:3:"));
    mg_table_release(&table);
}

static void csv_columns_are_typed_as_a_whole(void **state)
{
    (void)state;
    assert_rows(mg_csv_rows, "a,b,c,d\n1,1.5,True,x\n2,3,False,\n", NULL,
                "{\"a\": 1, \"b\": 1.5, \"c\": true, \"d\": \"x\"}"
                "{\"a\": 2, \"b\": 3.0, \"c\": false, \"d\": null}");
    assert_rows(mg_csv_rows, "a,b\n1,x\n,y\n", NULL,
                "{\"a\": 1.0, \"b\": \"x\"}{\"a\": null, \"b\": \"y\"}");
    assert_rows(mg_csv_rows, "a,b\n1,NA\n\n2,N/A\n3\n", NULL,
                "{\"a\": 1, \"b\": null}{\"a\": 2, \"b\": null}{\"a\": 3, \"b\": null}");
    assert_rows(mg_csv_rows, "a\n1\n1x\n", NULL, "{\"a\": \"1\"}{\"a\": \"1x\"}");
}

static void csv_quotes_hold_separators_quotes_and_newlines(void **state)
{
    (void)state;
    assert_rows(mg_csv_rows, "a,b\r\n\"x, \"\"y\"\"\nz\",2\r\n", NULL,
                "{\"a\": \"x, \\\"y\\\"\\nz\", \"b\": 2}");
    assert_rows(mg_csv_rows, "a,b\n\"x,2\n", NULL, "f:2: a quoted cell is not closed");
    assert_rows(mg_csv_rows, "a,b\n1,2,3\n", NULL, "f:2: 3 cells in a row, expected 2");
}

static void csv_options_name_and_split(void **state)
{
    (void)state;
    assert_rows(mg_csv_rows, "1;\"x\n",
                "{\"sep\": \";\", \"names\": [\"n\", \"t\"], \"quoting\": 3}",
                "{\"n\": 1, \"t\": \"\\\"x\"}");
    assert_rows(mg_csv_rows, "1,2\n", "{\"header\": null}", "{\"0\": 1, \"1\": 2}");
    assert_rows(mg_csv_rows, "a,a\n1,2\n", NULL, "{\"a\": 1, \"a.1\": 2}");
    assert_rows(mg_csv_rows, "a\n1\n", "{\"skiprows\": 1}",
                "f: the csv option 'skiprows' is not supported");
}

static void text_lines_are_rows(void **state)
{
    (void)state;
    assert_rows(mg_text_rows, "one\r\n\nthree", NULL,
                "{\"text\": \"one\"}{\"text\": \"\"}{\"text\": \"three\"}");
    assert_rows(mg_text_rows, "bad \xff", NULL, "f: not valid UTF-8");
}

/* ---- folders ---- */

typedef struct fixture {
    mg_arena arena;
    char root[64];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(fixture));
    strcpy(f->root, "/tmp/mg-data-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    mg_error err;
    assert_ok(mg_folder_remove(f->root, &err), &err);
    mg_arena_release(&f->arena);
    free(f);
    return 0;
}

static void put(fixture *f, const char *name, const char *text)
{
    mg_error err;
    mg_str path = mg_path_join(&f->arena, f->root, name);
    assert_ok(mg_folder_make(mg_path_folder(&f->arena, path.data).data, &err), &err);
    assert_ok(mg_file_write_atomic(path.data, mg_str_of(text), &err), &err);
}

/* Opens and gives "value of the first row's first column/number of rows", or the error. */
static const char *open_split(fixture *f, const char *path, const char *kwargs, const char *split)
{
    mg_error err;
    mg_value options = mg_value_null;
    mg_dataset *dataset;
    mg_hub hub = { mg_arena_printf(&f->arena, "%s/hub", f->root) };
    if (kwargs != NULL) {
        assert_ok(mg_json_parse(mg_str_of(kwargs), "kwargs", &f->arena, &options, &err), &err);
    }
    mg_dataset_args args = { .path = mg_str_of(path),
                             .kwargs = kwargs != NULL ? &options : NULL,
                             .split = mg_str_of(split),
                             .working_folder = f->root,
                             .hub = &hub };
    if (mg_dataset_open(&args, &dataset, &err) != MG_OK) {
        return mg_arena_copy(&f->arena, mg_str_of(err.message)).data;
    }
    mg_buf text = { 0 };
    mg_json_write(&text, &mg_dataset_row(dataset, 0)->entries[0].value, NULL);
    mg_buf_printf(&text, "/%d", (int)mg_dataset_count(dataset));
    const char *copy = mg_arena_copy(&f->arena, mg_buf_view(&text)).data;
    mg_buf_release(&text);
    mg_dataset_close(dataset);
    return copy;
}

static void data_files_take_paths_lists_splits_and_patterns(void **state)
{
    fixture *f = *state;
    put(f, "a.jsonl", "{\"x\": 1}\n{\"x\": 2}\n");
    put(f, "b.jsonl", "{\"x\": 3}\n");
    put(f, "deep/down/c.jsonl", "{\"x\": 4}\n");
    put(f, ".hidden.jsonl", "{\"x\": 5}\n");
    assert_string_equal(open_split(f, "json", "{\"data_files\": \"a.jsonl\"}", "train"), "1/2");
    assert_string_equal(
        open_split(f, "json", "{\"data_files\": [\"b.jsonl\", \"a.jsonl\"]}", "train"), "3/3");
    assert_string_equal(open_split(f, "json", "{\"data_files\": {\"test\": \"*.jsonl\"}}", "test"),
                        "1/3");
    assert_string_equal(
        open_split(f, "json", "{\"data_files\": {\"test\": \"**/*.jsonl\"}}", "test"), "1/4");
    assert_string_equal(
        open_split(f, "json", "{\"data_files\": [{\"split\": \"dev\", \"path\": \"b.jsonl\"}]}",
                   "dev"),
        "3/1");
}

static void missing_files_splits_and_networks_are_named(void **state)
{
    fixture *f = *state;
    put(f, "a.jsonl", "{\"x\": 1}\n");
    assert_string_equal(open_split(f, "json", "{\"data_files\": {\"test\": \"a.jsonl\"}}", "train"),
                        "data set 'json' has no split 'train'; it has: test");
    assert_non_null(
        strstr(open_split(f, "json", "{\"data_files\": \"none.jsonl\"}", "train"), "none.jsonl"));
    assert_non_null(
        strstr(open_split(f, "json", "{\"data_files\": \"https://example.org/a.jsonl\"}", "train"),
               "network"));
    assert_non_null(strstr(open_split(f, "json", NULL, "train"), "data_files"));
    assert_non_null(strstr(open_split(f, "no/such", NULL, "train"), "Hub cache"));
}

static void folders_are_read_by_their_names(void **state)
{
    fixture *f = *state;
    put(f, "plain/my_train.jsonl", "{\"x\": 1}\n");
    put(f, "plain/my-dev-1.jsonl", "{\"x\": 2}\n");
    put(f, "plain/testing.csv", "x\n3\n");
    put(f, "byfolder/train/part.jsonl", "{\"x\": 4}\n");
    put(f, "byfolder/test/part.jsonl", "{\"x\": 5}\n");
    put(f, "shards/data/odd-00000-of-00002-abc.jsonl", "{\"x\": 6}\n");
    put(f, "shards/data/odd-00001-of-00002-abc.jsonl", "{\"x\": 7}\n");
    put(f, "single/anything.txt", "hello\n");
    assert_string_equal(open_split(f, "plain", NULL, "train"), "1/1");
    assert_string_equal(open_split(f, "plain", NULL, "validation"), "2/1");
    assert_string_equal(open_split(f, "plain", NULL, "test"), "3/1");
    assert_string_equal(open_split(f, "byfolder", NULL, "test"), "5/1");
    assert_string_equal(open_split(f, "shards", NULL, "odd"), "6/2");
    assert_string_equal(open_split(f, "single", NULL, "train"), "\"hello\"/1");
}

static void a_readme_configures_splits(void **state)
{
    fixture *f = *state;
    put(f, "set/README.md",
        "---\nlicense: mit\nconfigs:\n- config_name: en\n  data_files:\n"
        "  - split: test\n    path: en/*.jsonl\n- config_name: ja\n  default: true\n"
        "  data_files: {test: ja.jsonl}\n---\n# Title\n");
    put(f, "set/en/one.jsonl", "{\"x\": 1}\n");
    put(f, "set/ja.jsonl", "{\"x\": 2}\n");
    assert_string_equal(open_split(f, "set", NULL, "test"), "2/1");
    mg_error err;
    mg_dataset *dataset;
    mg_dataset_args args = { .path = mg_str_of("set"),
                             .name = mg_str_of("en"),
                             .split = mg_str_of("test"),
                             .working_folder = f->root };
    assert_ok(mg_dataset_open(&args, &dataset, &err), &err);
    mg_dataset_close(dataset);
    args.name = mg_str_of("fr");
    assert_status(mg_dataset_open(&args, &dataset, &err), MG_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "en, ja"));
}

static void the_hub_cache_holds_snapshots_conversions_and_prepared_sets(void **state)
{
    fixture *f = *state;
    put(f, "hub/datasets--own--snap/refs/main", "abc\n");
    put(f, "hub/datasets--own--snap/snapshots/abc/test.jsonl", "{\"x\": 1}\n");
    assert_string_equal(open_split(f, "own/snap", NULL, "test"), "1/1");
    mg_error err;
    mg_str from = mg_str_of(MG_SOURCE_DIR "/tests/golden/data/snappy.parquet");
    put(f, "hub/datasets--own--script/refs/refs/convert/parquet", "def");
    put(f, "hub/datasets--own--script/snapshots/def/default/test/x", "");
    mg_str to = mg_path_join(&f->arena, f->root,
                             "hub/datasets--own--script/snapshots/def/default/test/0000.parquet");
    assert_ok(mg_file_copy(from.data, to.data, &err), &err);
    assert_string_equal(open_split(f, "own/script", NULL, "test"), "0/23");
    put(f, "datasets/own___made/default/0.0.0/hash/dataset_info.json", "{}");
    to = mg_path_join(&f->arena, f->root, "datasets/own___made/default/0.0.0/hash/made-test.arrow");
    assert_ok(mg_file_copy(MG_SOURCE_DIR "/tests/golden/data/stream.arrow", to.data, &err), &err);
    assert_string_equal(open_split(f, "own/made", NULL, "test"), "0/23");
    put(f, "datasets/own___named/plain/0.0.0/hash/dataset_info.json", "{}");
    to = mg_path_join(&f->arena, f->root,
                      "datasets/own___named/plain/0.0.0/hash/named-test-00000-of-00001.arrow");
    assert_ok(mg_file_copy(MG_SOURCE_DIR "/tests/golden/data/stream.arrow", to.data, &err), &err);
    assert_string_equal(open_split(f, "own/named", NULL, "test"), "0/23");
}

static void saved_folders_are_opened_by_split_or_as_a_file(void **state)
{
    fixture *f = *state;
    mg_error err;
    const char *state_json = "{\"_data_files\": [{\"filename\": \"data-00000-of-00001.arrow\"}]}";
    put(f, "saved/dataset_dict.json", "{\"splits\": [\"test\"]}");
    put(f, "saved/test/state.json", state_json);
    mg_str to = mg_path_join(&f->arena, f->root, "saved/test/data-00000-of-00001.arrow");
    assert_ok(mg_file_copy(MG_SOURCE_DIR "/tests/golden/data/stream.arrow", to.data, &err), &err);
    assert_string_equal(open_split(f, "saved", NULL, "test"), "0/23");
    assert_string_equal(
        open_split(f, "arrow", "{\"data_files\": {\"test\": \"saved/test\"}}", "test"), "0/23");
    assert_string_equal(open_split(f, "arrow", "{\"data_files\": {\"test\": \"saved\"}}", "test"),
                        "0/23");
    assert_non_null(strstr(open_split(f, "saved", NULL, "train"), "no split 'train'"));
    put(f, "evil/state.json", "{\"_data_files\": [{\"filename\": \"../../etc/passwd\"}]}");
    assert_non_null(strstr(open_split(f, "evil", NULL, "train"), "wrong file name"));
}

static void gzip_is_unpacked_in_all_its_members(void **state)
{
    (void)state;
    static const unsigned char two_members[] = {
        0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x04, 0, 0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0,
        0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x02, 0, 0xf9, 0xef, 0xbe, 0x71, 1, 0, 0, 0,
    };
    mg_error err;
    mg_bytes out;
    mg_str bytes = mg_str_make((const char *)two_members, sizeof(two_members));
    assert_ok(mg_gunzip(bytes, "f", 1 << 20, &out, &err), &err);
    assert_string_equal((char *)out.data, "ab");
    mg_bytes_release(&out);
    bytes.size -= 9;
    assert_status(mg_gunzip(bytes, "f", 1 << 20, &out, &err), MG_ERR_FORMAT);
    bytes.size = sizeof(two_members);
    assert_status(mg_gunzip(bytes, "f", 1, &out, &err), MG_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_give_rows_with_the_union_of_columns),
        cmocka_unit_test(nested_objects_get_the_keys_of_all_rows),
        cmocka_unit_test(json_documents_are_rows_columns_or_one_member),
        cmocka_unit_test(a_damaged_line_is_named),
        cmocka_unit_test(csv_columns_are_typed_as_a_whole),
        cmocka_unit_test(csv_quotes_hold_separators_quotes_and_newlines),
        cmocka_unit_test(csv_options_name_and_split),
        cmocka_unit_test(text_lines_are_rows),
        cmocka_unit_test_setup_teardown(data_files_take_paths_lists_splits_and_patterns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(missing_files_splits_and_networks_are_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(folders_are_read_by_their_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_readme_configures_splits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hub_cache_holds_snapshots_conversions_and_prepared_sets,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(saved_folders_are_opened_by_split_or_as_a_file, set_up,
                                        tear_down),
        cmocka_unit_test(gzip_is_unpacked_in_all_its_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
