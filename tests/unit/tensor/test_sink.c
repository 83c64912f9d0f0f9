/* tests/unit/tensor/test_sink.c - shards: their layout, and planned and spooled writing alike. */
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "support.h"
#include "tensor/checkpoint.h"
#include "tensor/safetensors.h"
#include "tensor/sink.h"

static char root[] = "/tmp/mg-sink-XXXXXX";
static mg_arena names;

static const char *folder_of(const char *name)
{
    return mg_path_join(&names, root, name).data;
}

static mg_view spec_of(const char *name, mg_dtype dtype, int64_t count)
{
    mg_view view = { .name = mg_str_of(name), .dtype = dtype, .shape = mg_shape_1d(count) };
    assert_true(mg_dtype_bytes(dtype, count, &view.bytes));
    return view;
}

/* In the order of commits: names and types are not in data order. */
static const struct {
    const char *name;
    mg_dtype dtype;
    int64_t count;
} tensors[] = {
    { "b", MG_BF16, 5 },    { "a", MG_BF16, 3 }, { "z", MG_F32, 2 },  { "empty", MG_F16, 0 },
    { "big", MG_F32, 100 }, { "c", MG_I64, 1 },  { "odd", MG_U8, 7 }, { "d", MG_BF16, 9 },
};
#define TENSOR_COUNT MG_ARRAY_COUNT(tensors)

static void fill(const mg_view *spec, void *data)
{
    unsigned char *bytes = (unsigned char *)data;
    for (size_t i = 0; i < spec->bytes; i++) {
        bytes[i] = (unsigned char)(spec->name.data[0] + (int)i * 7);
    }
}

static void write_all(mg_sink *sink)
{
    mg_error err;
    for (int64_t i = 0; i < TENSOR_COUNT; i++) {
        mg_view spec = spec_of(tensors[i].name, tensors[i].dtype, tensors[i].count);
        void *data;
        assert_ok(sink->ops->reserve(sink, &spec, &data, &err), &err);
        assert_int_equal((uintptr_t)data % 64, 0);
        fill(&spec, data);
        assert_ok(sink->ops->commit(sink, &err), &err);
    }
}

static mg_sink *open_sink(const char *folder, size_t shard_bytes, bool planned)
{
    mg_error err;
    mg_sink *sink;
    if (!planned) {
        assert_ok(mg_sink_shards_open(folder, shard_bytes, &sink, &err), &err);
        return sink;
    }
    mg_view specs[TENSOR_COUNT];
    for (int64_t i = 0; i < TENSOR_COUNT; i++) {
        specs[i] = spec_of(tensors[i].name, tensors[i].dtype, tensors[i].count);
    }
    assert_ok(mg_sink_shards_open_planned(folder, shard_bytes, specs, TENSOR_COUNT, &sink, &err),
              &err);
    return sink;
}

static void write_folder(const char *folder, size_t shard_bytes, bool planned)
{
    mg_error err;
    mg_sink *sink = open_sink(folder, shard_bytes, planned);
    write_all(sink);
    assert_ok(sink->ops->finish(sink, &err), &err);
    mg_sink_close(sink);
}

static void assert_same_file(const char *first, const char *second, mg_str name)
{
    mg_error err;
    mg_bytes a;
    mg_bytes b;
    assert_ok(mg_file_read(mg_path_join(&names, first, name.data).data, 1 << 20, &a, &err), &err);
    assert_ok(mg_file_read(mg_path_join(&names, second, name.data).data, 1 << 20, &b, &err), &err);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    mg_bytes_release(&a);
    mg_bytes_release(&b);
}

static void assert_same_folder(const char *first, const char *second, int64_t count)
{
    mg_error err;
    mg_str *files;
    int64_t file_count;
    assert_ok(mg_folder_list(first, &names, &files, &file_count, &err), &err);
    assert_int_equal(file_count, count);
    for (int64_t i = 0; i < file_count; i++) {
        assert_same_file(first, second, files[i]);
    }
    assert_ok(mg_folder_list(second, &names, &files, &file_count, &err), &err);
    assert_int_equal(file_count, count);
}

static void one_shard_has_no_index(void **state)
{
    (void)state;
    write_folder(folder_of("one-planned"), 0, true);
    write_folder(folder_of("one-spooled"), 0, false);
    assert_same_folder(folder_of("one-planned"), folder_of("one-spooled"), 1);
    assert_true(mg_path_is_file(folder_of("one-planned/model.safetensors")));

    /* The writer of single files gives the same bytes. */
    mg_error err;
    mg_view views[TENSOR_COUNT];
    char data[TENSOR_COUNT][512];
    for (int64_t i = 0; i < TENSOR_COUNT; i++) {
        views[i] = spec_of(tensors[i].name, tensors[i].dtype, tensors[i].count);
        fill(&views[i], data[i]);
        views[i].data = data[i];
    }
    assert_ok(mg_folder_make(folder_of("one-written"), &err), &err);
    assert_ok(
        mg_safetensors_write(folder_of("one-written/model.safetensors"), views, TENSOR_COUNT, &err),
        &err);
    assert_same_folder(folder_of("one-planned"), folder_of("one-written"), 1);
}

static void shards_fill_greedily_in_the_order_of_commits(void **state)
{
    (void)state;
    write_folder(folder_of("many-planned"), 24, true);
    write_folder(folder_of("many-spooled"), 24, false);
    /* 10 + 6 + 8 + 0 | 400 | 8 + 7 | 18 */
    assert_same_folder(folder_of("many-planned"), folder_of("many-spooled"), 5);
    mg_error err;
    mg_bytes index;
    assert_ok(
        mg_file_read(folder_of("many-planned/model.safetensors.index.json"), 1 << 20, &index, &err),
        &err);
    assert_string_equal((const char *)index.data,
                        "{\n"
                        "  \"metadata\": {\n"
                        "    \"total_size\": 457,\n"
                        "    \"mergekit_version\": \"0.1.5\"\n"
                        "  },\n"
                        "  \"weight_map\": {\n"
                        "    \"b\": \"model-00001-of-00004.safetensors\",\n"
                        "    \"a\": \"model-00001-of-00004.safetensors\",\n"
                        "    \"z\": \"model-00001-of-00004.safetensors\",\n"
                        "    \"empty\": \"model-00001-of-00004.safetensors\",\n"
                        "    \"big\": \"model-00002-of-00004.safetensors\",\n"
                        "    \"c\": \"model-00003-of-00004.safetensors\",\n"
                        "    \"odd\": \"model-00003-of-00004.safetensors\",\n"
                        "    \"d\": \"model-00004-of-00004.safetensors\"\n"
                        "  }\n"
                        "}");
    mg_bytes_release(&index);
}

static void what_was_written_reads_back(void **state)
{
    (void)state;
    static const size_t limits[] = { 0, 1, 24, 1000 };
    mg_error err;
    char expected[MG_HASH_TEXT_BYTES];
    mg_sink *hash;
    assert_ok(mg_sink_hash_open(expected, &hash, &err), &err);
    write_all(hash);
    assert_ok(hash->ops->finish(hash, &err), &err);
    mg_sink_close(hash);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(limits); i++) {
        const char *folder = folder_of("back");
        write_folder(folder, limits[i], i % 2 == 0); /* over the files of the round before */
        mg_checkpoint *checkpoint;
        assert_ok(mg_checkpoint_open(folder, &checkpoint, &err), &err);
        assert_int_equal(mg_checkpoint_count(checkpoint), TENSOR_COUNT);
        assert_int_equal(mg_checkpoint_bytes(checkpoint), 457);
        const mg_view *odd = mg_checkpoint_find(checkpoint, mg_str_of("odd"));
        unsigned char filled[7];
        fill(odd, filled);
        assert_memory_equal(odd->data, filled, 7);
        char hashed[MG_HASH_TEXT_BYTES];
        mg_checkpoint_hash(checkpoint, hashed);
        assert_string_equal(hashed, expected);
        mg_checkpoint_close(checkpoint);
    }
}

static void old_shards_are_removed_at_the_end(void **state)
{
    (void)state;
    mg_error err;
    const char *folder = folder_of("old");
    assert_ok(mg_folder_make(folder, &err), &err);
    static const char *const stale[] = { "model-00001-of-00009.safetensors",
                                         "model.safetensors.index.json" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(stale); i++) {
        assert_ok(
            mg_file_write_atomic(mg_path_join(&names, folder, stale[i]).data, mg_str_of("x"), &err),
            &err);
    }
    assert_ok(mg_file_write_atomic(mg_path_join(&names, folder, "config.json").data,
                                   mg_str_of("{}"), &err),
              &err);
    write_folder(folder, 0, true);
    mg_str *files;
    int64_t count;
    assert_ok(mg_folder_list(folder, &names, &files, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_true(mg_str_is(files[0], "config.json"));
    assert_true(mg_str_is(files[1], "model.safetensors"));
}

static void closing_without_finish_leaves_nothing(void **state)
{
    (void)state;
    for (int planned = 0; planned < 2; planned++) {
        const char *folder = folder_of(planned ? "left-planned" : "left-spooled");
        mg_sink *sink = open_sink(folder, 24, planned != 0);
        write_all(sink);
        mg_sink_close(sink);
        mg_error err;
        mg_str *files;
        int64_t count;
        assert_ok(mg_folder_list(folder, &names, &files, &count, &err), &err);
        assert_int_equal(count, 0);
    }
}

static void unplanned_tensors_are_refused(void **state)
{
    (void)state;
    mg_error err;
    void *data;
    mg_sink *sink = open_sink(folder_of("unplanned"), 0, true);
    mg_view spec = spec_of("a", MG_BF16, 3);
    assert_status(sink->ops->reserve(sink, &spec, &data, &err), MG_ERR_FORMAT);
    spec = spec_of("b", MG_BF16, 6);
    assert_status(sink->ops->reserve(sink, &spec, &data, &err), MG_ERR_FORMAT);
    assert_status(sink->ops->finish(sink, &err), MG_ERR_INTERNAL);
    mg_sink_close(sink);

    assert_ok(mg_sink_shards_open(folder_of("twice"), 0, &sink, &err), &err);
    assert_ok(sink->ops->reserve(sink, &spec, &data, &err), &err);
    fill(&spec, data);
    assert_ok(sink->ops->commit(sink, &err), &err);
    assert_status(sink->ops->reserve(sink, &spec, &data, &err), MG_ERR_FORMAT);
    mg_sink_close(sink);

    assert_ok(mg_sink_shards_open(folder_of("none"), 0, &sink, &err), &err);
    assert_status(sink->ops->finish(sink, &err), MG_ERR_FORMAT);
    mg_sink_close(sink);
}

static void a_failing_disk_is_reported(void **state)
{
    (void)state;
    mg_error err;
    const char *folder = folder_of("full");
    mg_sink *sink = open_sink(folder, 24, true);
    /* A folder stands where the first shard's file should be created. */
    assert_ok(mg_folder_make(folder_of("full/model-1.safetensors.partial"), &err), &err);
    mg_status status = MG_OK;
    for (int64_t i = 0; i < TENSOR_COUNT && status == MG_OK; i++) {
        mg_view spec = spec_of(tensors[i].name, tensors[i].dtype, tensors[i].count);
        void *data;
        status = sink->ops->reserve(sink, &spec, &data, &err);
        if (status == MG_OK) {
            fill(&spec, data);
            status = sink->ops->commit(sink, &err);
        }
    }
    if (status == MG_OK) {
        status = sink->ops->finish(sink, &err);
    }
    assert_int_equal(status, MG_ERR_IO);
    assert_non_null(strstr(err.message, "model-1"));
    mg_sink_close(sink);
}

static void running_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    mg_error err;
    const char *folder = folder_of("memory");
    for (int64_t n = 1; n <= 3; n++) {
        mg_sink *sink = open_sink(folder, 0, true);
        mg_memory_fail_at(n);
        mg_status status = MG_OK;
        for (int64_t i = 0; i < TENSOR_COUNT && status == MG_OK; i++) {
            mg_view spec = spec_of(tensors[i].name, tensors[i].dtype, tensors[i].count);
            void *data;
            status = sink->ops->reserve(sink, &spec, &data, &err);
            if (status == MG_OK) {
                fill(&spec, data);
                status = sink->ops->commit(sink, &err);
            }
        }
        /* How many buffers are made depends on how fast the writer is; the first always is. */
        assert_true(status == MG_ERR_MEMORY || (n > 1 && status == MG_OK));
        mg_memory_fail_at(0);
        mg_sink_close(sink);
        mg_str *files;
        int64_t count;
        assert_ok(mg_folder_list(folder, &names, &files, &count, &err), &err);
        assert_int_equal(count, 0);
    }
}

static void large_tensors_flow_through_two_buffers(void **state)
{
    (void)state;
    mg_error err;
    enum { COUNT = 12 };
    mg_view specs[COUNT];
    char texts[COUNT][8];
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "t%02d", i);
        specs[i] = spec_of(texts[i], MG_F32, (int64_t)(i % 5 + 1) * 300000);
    }
    mg_sink *sink;
    assert_ok(mg_sink_shards_open_planned(folder_of("large"), 5000000, specs, COUNT, &sink, &err),
              &err);
    for (int i = 0; i < COUNT; i++) {
        void *data;
        assert_ok(sink->ops->reserve(sink, &specs[i], &data, &err), &err);
        memset(data, i, specs[i].bytes);
        assert_ok(sink->ops->commit(sink, &err), &err);
    }
    assert_ok(sink->ops->finish(sink, &err), &err);
    mg_sink_close(sink);
    mg_checkpoint *checkpoint;
    assert_ok(mg_checkpoint_open(folder_of("large"), &checkpoint, &err), &err);
    for (int i = 0; i < COUNT; i++) {
        const mg_view *view = mg_checkpoint_find(checkpoint, mg_str_of(texts[i]));
        assert_non_null(view);
        assert_ok(mg_checkpoint_prepare(checkpoint, view, &err), &err);
        assert_int_equal(((const char *)view->data)[0], i);
        assert_int_equal(((const char *)view->data)[view->bytes - 1], i);
        mg_checkpoint_forget(checkpoint, view);
        assert_int_equal(((const char *)view->data)[view->bytes / 2], i);
    }
    mg_checkpoint_close(checkpoint);
}

static int make_folder(void **state)
{
    (void)state;
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
        cmocka_unit_test(one_shard_has_no_index),
        cmocka_unit_test(shards_fill_greedily_in_the_order_of_commits),
        cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(old_shards_are_removed_at_the_end),
        cmocka_unit_test(closing_without_finish_leaves_nothing),
        cmocka_unit_test(unplanned_tensors_are_refused),
        cmocka_unit_test(a_failing_disk_is_reported),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
        cmocka_unit_test(large_tensors_flow_through_two_buffers),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
