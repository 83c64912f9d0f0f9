/* tests/unit/tensor/test_checkpoint.c - folders of weights: which files count, indexes, damage. */
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "support.h"
#include "tensor/checkpoint.h"
#include "tensor/safetensors.h"

static char root[] = "/tmp/mg-checkpoint-XXXXXX";
static mg_arena names;
static int warnings;

static void count_warnings(void *context, mg_log_level level, const char *message)
{
    (void)context;
    (void)message;
    warnings += level == MG_LOG_WARNING ? 1 : 0;
}

static const char *file_of(const char *folder, const char *name)
{
    mg_error err;
    mg_str path = mg_path_join(&names, root, folder);
    assert_ok(mg_folder_make(path.data, &err), &err);
    return mg_path_join(&names, path.data, name).data;
}

/* A file with one float under each letter of letters, whose value is the letter. */
static void write_letters(const char *path, const char *letters)
{
    mg_view views[16];
    float values[16];
    int64_t count = 0;
    for (; letters[count] != '\0'; count++) {
        values[count] = (float)letters[count];
        mg_view view = { .name = mg_str_make(&letters[count], 1),
                         .data = &values[count],
                         .bytes = sizeof(float),
                         .dtype = MG_F32,
                         .shape = mg_shape_1d(1) };
        views[count] = view;
    }
    mg_error err;
    assert_ok(mg_safetensors_write(path, views, count, &err), &err);
}

static void write_text(const char *path, const char *text)
{
    mg_error err;
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
}

static mg_status open_folder(const char *folder, mg_checkpoint **checkpoint, mg_error *err)
{
    mg_error_clear(err);
    return mg_checkpoint_open(mg_path_join(&names, root, folder).data, checkpoint, err);
}

static void an_index_joins_its_shards(void **state)
{
    (void)state;
    mg_error err;
    mg_checkpoint *checkpoint;
    write_letters(file_of("sharded", "model-00001-of-00002.safetensors"), "cax");
    write_letters(file_of("sharded", "model-00002-of-00002.safetensors"), "b");
    write_text(file_of("sharded", "model.safetensors.index.json"),
               "{\"metadata\":{\"total_size\":12},\"weight_map\":{"
               "\"a\":\"model-00001-of-00002.safetensors\","
               "\"b\":\"model-00002-of-00002.safetensors\","
               "\"c\":\"model-00001-of-00002.safetensors\"}}");
    warnings = 0;
    assert_ok(open_folder("sharded", &checkpoint, &err), &err);
    assert_int_equal(warnings, 1); /* x is not mapped */
    assert_int_equal(mg_checkpoint_count(checkpoint), 3);
    assert_int_equal(mg_checkpoint_bytes(checkpoint), 12);
    for (int i = 0; i < 3; i++) {
        mg_view view = mg_checkpoint_at(checkpoint, i);
        float value;
        memcpy(&value, view.data, sizeof(value));
        assert_true(value == (float)('a' + i) && view.name.data[0] == 'a' + i);
    }
    assert_null(mg_checkpoint_find(checkpoint, mg_str_of("x")));
    mg_checkpoint_close(checkpoint);
}

static void the_single_file_comes_before_an_index(void **state)
{
    (void)state;
    mg_error err;
    mg_checkpoint *checkpoint;
    write_letters(file_of("both", "model.safetensors"), "s");
    write_text(file_of("both", "model.safetensors.index.json"), "{}");
    write_text(file_of("both", "pytorch_model.bin"), "x");
    write_letters(file_of("both", "model.fp16.safetensors"), "f");
    assert_ok(open_folder("both", &checkpoint, &err), &err);
    assert_int_equal(mg_checkpoint_count(checkpoint), 1);
    mg_checkpoint_close(checkpoint);

    write_letters(file_of("variants", "model.fp16.safetensors"), "f");
    write_letters(file_of("variants", "adapter_model.safetensors"), "f");
    assert_status(open_folder("variants", &checkpoint, &err), MG_ERR_NOT_FOUND);
    assert_null(checkpoint);
    assert_status(open_folder("absent", &checkpoint, &err), MG_ERR_NOT_FOUND);
}

static void pytorch_files_are_read_alone_and_in_shards(void **state)
{
    (void)state;
    mg_error err;
    mg_checkpoint *checkpoint;
    const char *golden = MG_SOURCE_DIR "/tests/golden/torch/";
    assert_ok(mg_file_copy(mg_path_join(&names, golden, "zip.bin").data,
                           file_of("bin", "pytorch_model.bin"), &err),
              &err);
    assert_ok(open_folder("bin", &checkpoint, &err), &err);
    const mg_view *plain = mg_checkpoint_find(checkpoint, mg_str_of("plain"));
    const mg_view *turned = mg_checkpoint_find(checkpoint, mg_str_of("transposed"));
    assert_int_equal(turned->shape.dims[0], 10);
    assert_memory_equal((const char *)plain->data + 4, (const char *)turned->data + 24, 4);
    assert_ok(mg_checkpoint_prepare(checkpoint, turned, &err), &err);
    mg_checkpoint_forget(checkpoint, turned); /* a copy, which must stay */
    assert_memory_equal((const char *)plain->data + 4, (const char *)turned->data + 24, 4);
    mg_checkpoint_close(checkpoint);

    assert_ok(mg_file_copy(mg_path_join(&names, golden, "module.bin").data,
                           file_of("bins", "pytorch_model-00001-of-00001.bin"), &err),
              &err);
    write_text(file_of("bins", "pytorch_model.bin.index.json"),
               "{\"weight_map\":{\"weight\":\"pytorch_model-00001-of-00001.bin\","
               "\"bias\":\"pytorch_model-00001-of-00001.bin\"}}");
    assert_ok(open_folder("bins", &checkpoint, &err), &err);
    assert_int_equal(mg_checkpoint_count(checkpoint), 2);
    mg_checkpoint_close(checkpoint);
}

static void a_file_opens_by_itself(void **state)
{
    (void)state;
    mg_error err;
    mg_checkpoint *checkpoint;
    const char *path = file_of("alone", "adapter_model.safetensors");
    write_letters(path, "ab");
    assert_ok(mg_checkpoint_open_file(path, &checkpoint, &err), &err);
    assert_int_equal(mg_checkpoint_count(checkpoint), 2);
    mg_checkpoint_close(checkpoint);
    assert_ok(
        mg_checkpoint_open_file(MG_SOURCE_DIR "/tests/golden/torch/legacy.bin", &checkpoint, &err),
        &err);
    assert_non_null(mg_checkpoint_find(checkpoint, mg_str_of("plain")));
    mg_checkpoint_close(checkpoint);
    assert_status(mg_checkpoint_open_file(MG_SOURCE_DIR "/CMakeLists.txt", &checkpoint, &err),
                  MG_ERR_FORMAT);
    assert_status(mg_checkpoint_open_file(root, &checkpoint, &err), MG_ERR_IO);
}

/* Every allocation sized by data may fail: an error each time, and nothing is lost. */
static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    mg_error err;
    mg_checkpoint *checkpoint;
    bool finished = false;
    for (int64_t n = 1; !finished; n++) {
        mg_memory_fail_at(n);
        mg_status status =
            mg_checkpoint_open_file(MG_SOURCE_DIR "/tests/golden/torch/zip.bin", &checkpoint, &err);
        finished = status == MG_OK;
        assert_true(finished || (status == MG_ERR_MEMORY && checkpoint == NULL));
        mg_checkpoint_close(checkpoint);
        assert_true(n < 100);
    }
    finished = false;
    write_letters(file_of("memory", "model.safetensors"), "abc");
    for (int64_t n = 1; !finished; n++) {
        mg_memory_fail_at(n);
        mg_status status = open_folder("memory", &checkpoint, &err);
        finished = status == MG_OK;
        assert_true(finished || (status == MG_ERR_MEMORY && checkpoint == NULL));
        mg_checkpoint_close(checkpoint);
        assert_true(n < 100);
    }
    mg_memory_fail_at(0);
}

static void a_damaged_index_is_refused(void **state)
{
    (void)state;
    static const char *const indexes[] = {
        "",
        "[]",
        "{}",
        "{\"weight_map\":{}}",
        "{\"weight_map\":[]}",
        "{\"weight_map\":{\"a\":1}}",
        "{\"weight_map\":{\"a\":\"\"}}",
        "{\"weight_map\":{\"a\":\"../damaged/one.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"/etc/passwd\"}}",
        "{\"weight_map\":{\"a\":\"sub/one.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"sub\\\\one.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"one.safetensors\\u0000\"}}",
        "{\"weight_map\":{\"b\":\"one.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"absent.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"broken.safetensors\"}}",
    };
    mg_error err;
    mg_checkpoint *checkpoint;
    write_letters(file_of("damaged", "one.safetensors"), "a");
    write_text(file_of("damaged", "broken.safetensors"), "12345678{}");
    for (int64_t i = 0; i < MG_ARRAY_COUNT(indexes); i++) {
        write_text(file_of("damaged", "model.safetensors.index.json"), indexes[i]);
        mg_status status = open_folder("damaged", &checkpoint, &err);
        if (status != MG_ERR_FORMAT && status != MG_ERR_NOT_FOUND) {
            fail_msg("%s: %s", indexes[i], mg_status_name(status));
        }
        assert_non_null(strstr(err.message, "index.json"));
        assert_null(checkpoint);
    }
}

static void a_file_that_shrinks_is_noticed(void **state)
{
    (void)state;
    mg_error err;
    mg_checkpoint *checkpoint;
    const char *path = file_of("shrinking", "model.safetensors");
    write_letters(path, "ab");
    assert_ok(open_folder("shrinking", &checkpoint, &err), &err);
    const mg_view *view = mg_checkpoint_find(checkpoint, mg_str_of("b"));
    assert_ok(mg_checkpoint_prepare(checkpoint, view, &err), &err);
    assert_int_equal(truncate(path, 9), 0);
    assert_status(mg_checkpoint_prepare(checkpoint, view, &err), MG_ERR_IO);
    mg_checkpoint_close(checkpoint);
}

static void the_hash_follows_names_types_shapes_and_data(void **state)
{
    (void)state;
    static const char *const contents[] = { "ab", "ac", "a" };
    mg_error err;
    char hashes[4][33];
    for (int64_t i = 0; i < 4; i++) {
        mg_checkpoint *checkpoint;
        write_letters(file_of("hashed", "model.safetensors"), contents[i % 3]);
        assert_ok(open_folder("hashed", &checkpoint, &err), &err);
        mg_checkpoint_hash(checkpoint, hashes[i]);
        mg_checkpoint_close(checkpoint);
    }
    assert_string_equal(hashes[0], hashes[3]);
    assert_string_not_equal(hashes[0], hashes[1]);
    assert_string_not_equal(hashes[0], hashes[2]);
}

static int make_folder(void **state)
{
    (void)state;
    mg_log_install(count_warnings, NULL, MG_LOG_WARNING);
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    mg_arena_release(&names);
    return mg_folder_remove(root, NULL) == MG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_joins_its_shards),
        cmocka_unit_test(the_single_file_comes_before_an_index),
        cmocka_unit_test(pytorch_files_are_read_alone_and_in_shards),
        cmocka_unit_test(a_file_opens_by_itself),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(a_damaged_index_is_refused),
        cmocka_unit_test(a_file_that_shrinks_is_noticed),
        cmocka_unit_test(the_hash_follows_names_types_shapes_and_data),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
