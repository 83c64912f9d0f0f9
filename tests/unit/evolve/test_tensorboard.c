/* Event files: the frame of records, their checksums, and the fields inside. */
#include "support.h"

#include <math.h>

#include "base/fs.h"
#include "evolve/tensorboard.h"

static mg_error err;

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void records_are_framed_and_checksummed(void **state)
{
    (void)state;
    char folder[] = "/tmp/mg_tb_XXXXXX";
    assert_non_null(mkdtemp(folder));
    mg_tensorboard *board = NULL;
    const mg_scalar scalars[2] = { { "score/best", 0.5 }, { "optimiser/sigma", 0.25 } };
    assert_ok(mg_tensorboard_open(folder, 1700000000.0, &board, &err), &err);
    assert_ok(mg_tensorboard_add(board, 1700000001.0, 300, scalars, 2, &err), &err);
    mg_tensorboard_close(board);

    mg_arena arena = { 0 };
    mg_str *names;
    int64_t count;
    mg_bytes file = { 0 };
    assert_ok(mg_folder_list(folder, &arena, &names, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_true(mg_str_starts(names[0], "events.out.tfevents.1700000000."));
    assert_ok(mg_file_read(mg_path_join(&arena, folder, names[0].data).data, 4096, &file, &err),
              &err);
    /* The first record is the same in every file but for its time; TensorFlow's reader checks it.
     */
    assert_int_equal(read_u32(file.data), 24);
    assert_int_equal(read_u32(file.data + 8), 0x224b7fa3u); /* masked CRC-32C of the length 24 */
    assert_memory_equal(file.data + 12 + 9,
                        "\x1a\x0d"
                        "brain.Event:2",
                        15);
    const unsigned char *second = file.data + 12 + 24 + 4;
    size_t length = read_u32(second);
    assert_int_equal(second + 12 + length + 4 - file.data, file.size);
    const unsigned char *event = second + 12;
    assert_memory_equal(event + 9, "\x10\xac\x02", 3); /* step 300 */
    assert_memory_equal(event + 12, "\x2a", 1);        /* the summary */
    assert_memory_equal(event + 14,
                        "\x0a\x11\x0a\x0a"
                        "score/best"
                        "\x15",
                        15);
    float value;
    memcpy(&value, event + 29, sizeof(value));
    assert_true(value == 0.5f);
    mg_bytes_release(&file);
    mg_arena_release(&arena);
    assert_ok(mg_folder_remove(folder, &err), &err);
}

/* Byte for byte what TensorBoard's own writer makes (tests/golden/tensorboard). */
static void files_are_those_of_the_reference(void **state)
{
    (void)state;
    char folder[] = "/tmp/mg_tb_XXXXXX";
    assert_non_null(mkdtemp(folder));
    mg_tensorboard *board = NULL;
    const mg_scalar scalars[2] = { { "score/best", 0.5 }, { "optimiser/sigma", 0.25 } };
    const mg_scalar later[1] = { { "score/best", -1.75 } };
    assert_ok(mg_tensorboard_open(folder, 1700000000.0, &board, &err), &err);
    assert_ok(mg_tensorboard_add(board, 1700000001.5, 300, scalars, 2, &err), &err);
    assert_ok(mg_tensorboard_add(board, 1700000001.5, 70000, later, 1, &err), &err);
    mg_tensorboard_close(board);
    mg_arena arena = { 0 };
    mg_str *names;
    int64_t count;
    mg_bytes file = { 0 };
    mg_bytes golden = { 0 };
    assert_ok(mg_folder_list(folder, &arena, &names, &count, &err), &err);
    assert_ok(mg_file_read(mg_path_join(&arena, folder, names[0].data).data, 4096, &file, &err),
              &err);
    assert_ok(
        mg_file_read(MG_SOURCE_DIR "/tests/golden/tensorboard/events.bin", 4096, &golden, &err),
        &err);
    assert_int_equal(file.size, golden.size);
    assert_memory_equal(file.data, golden.data, golden.size);
    mg_bytes_release(&file);
    mg_bytes_release(&golden);
    mg_arena_release(&arena);
    assert_ok(mg_folder_remove(folder, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_those_of_the_reference),
        cmocka_unit_test(records_are_framed_and_checksummed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
