/* tests of base/fs.h */
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

static char folder[256]; /* a fresh one for each test */

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/merganser_fs_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int drop_folder(void **state)
{
    (void)state;
    return mg_folder_remove(folder, NULL) != MG_OK;
}

static const char *inside(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void a_pipe_is_never_replaced_by_a_file(void **state)
{
    (void)state;
    mg_error err;
    struct stat now;
    assert_int_equal(mkfifo(inside("pipe"), 0600), 0);
    assert_status(mg_file_write_atomic(inside("pipe"), mg_str_of("x"), &err), MG_ERR_IO);
    assert_non_null(strstr(err.message, "no plain file"));
    assert_int_equal(lstat(inside("pipe"), &now), 0);
    assert_true(S_ISFIFO(now.st_mode));
}

static void a_file_is_written_through_links(void **state)
{
    (void)state;
    mg_error err;
    struct stat now;
    mg_bytes bytes;
    assert_int_equal(mkdir(inside("far"), 0777), 0);
    assert_int_equal(symlink("far/file", inside("first")), 0); /* nothing there yet */
    assert_int_equal(symlink("first", inside("second")), 0);
    assert_int_equal(symlink("round", inside("round")), 0);
    for (int round = 0; round < 2; round++) {
        mg_str text = mg_str_of(round == 0 ? "once" : "again");
        assert_ok(mg_file_write_atomic(inside("second"), text, &err), &err);
        assert_int_equal(lstat(inside("second"), &now), 0);
        assert_true(S_ISLNK(now.st_mode));
        assert_ok(mg_file_read(inside("far/file"), 100, &bytes, &err), &err);
        assert_true(mg_str_equal(mg_str_make((const char *)bytes.data, bytes.size), text));
        mg_bytes_release(&bytes);
    }
    assert_status(mg_file_write_atomic(inside("round"), mg_str_of("x"), &err), MG_ERR_IO);
    assert_non_null(strstr(err.message, "leads nowhere"));
}

static void a_file_reads_back_what_was_written(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes bytes;
    assert_ok(mg_file_write_atomic(inside("a"), mg_str_of("one\n"), &err), &err);
    assert_ok(mg_file_write_atomic(inside("a"), mg_str_of("two\n"), &err), &err);
    assert_ok(mg_file_read(inside("a"), 100, &bytes, &err), &err);
    assert_int_equal(bytes.size, 4);
    assert_string_equal((char *)bytes.data, "two\n");
    mg_bytes_release(&bytes);
    assert_status(mg_file_read(inside("a"), 3, &bytes, &err), MG_ERR_LIMIT);
    assert_status(mg_file_read(inside("b"), 3, &bytes, &err), MG_ERR_NOT_FOUND);
    assert_status(mg_file_read(folder, 3, &bytes, &err), MG_ERR_IO);
}

static void paths_join_and_come_apart(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    assert_string_equal(mg_path_join(&arena, "a/", "b").data, "a/b");
    assert_string_equal(mg_path_join(&arena, "a", "b").data, "a/b");
    assert_string_equal(mg_path_join(&arena, "a", "/b").data, "/b");
    assert_string_equal(mg_path_folder(&arena, "a/b/").data, "a");
    assert_string_equal(mg_path_folder(&arena, "/b").data, "/");
    assert_string_equal(mg_path_folder(&arena, "b").data, ".");
    assert_string_equal(mg_path_name(&arena, "a/b///").data, "b");
    mg_arena_release(&arena);
}

static void a_staged_folder_appears_only_when_finished(void **state)
{
    (void)state;
    mg_error err;
    mg_staging *staging;
    char target[512];
    (void)snprintf(target, sizeof(target), "%s/deep/out", folder);
    assert_ok(mg_staging_open(target, false, &staging, &err), &err);
    char file[600];
    (void)snprintf(file, sizeof(file), "%s/x", mg_staging_path(staging));
    assert_ok(mg_file_write_atomic(file, mg_str_of("x"), &err), &err);
    assert_false(mg_path_exists(target));
    mg_staging_close(staging);
    assert_false(mg_path_exists(target));

    assert_ok(mg_staging_open(target, false, &staging, &err), &err);
    (void)snprintf(file, sizeof(file), "%s/x", mg_staging_path(staging));
    assert_ok(mg_file_write_atomic(file, mg_str_of("x"), &err), &err);
    assert_ok(mg_staging_finish(staging, &err), &err);
    mg_staging_close(staging);
    (void)snprintf(file, sizeof(file), "%s/x", target);
    assert_true(mg_path_is_file(file));
}

static void a_full_target_needs_overwrite_and_is_replaced_whole(void **state)
{
    (void)state;
    mg_error err;
    mg_staging *staging;
    char target[512];
    (void)snprintf(target, sizeof(target), "%s/out", folder);
    assert_ok(mg_folder_make(target, &err), &err);
    assert_ok(mg_file_write_atomic(inside("out/old"), mg_str_of("old"), &err), &err);
    assert_status(mg_staging_open(target, false, &staging, &err), MG_ERR_EXISTS);
    assert_null(staging);
    assert_ok(mg_staging_open(target, true, &staging, &err), &err);
    assert_true(mg_path_is_file(inside("out/old")));
    assert_ok(mg_staging_finish(staging, &err), &err);
    mg_staging_close(staging);
    assert_true(mg_path_is_folder(target));
    assert_false(mg_path_exists(inside("out/old")));
    mg_arena arena = { 0 };
    mg_str *names;
    int64_t count;
    assert_ok(mg_folder_list(folder, &arena, &names, &count, &err), &err);
    assert_int_equal(count, 1); /* no temporary folder is left */
    mg_arena_release(&arena);
}

static void of_two_that_fill_a_target_the_second_is_told(void **state)
{
    (void)state;
    mg_error err;
    mg_staging *stagings[2];
    char target[512];
    char file[600];
    (void)snprintf(target, sizeof(target), "%s/out", folder);
    for (int i = 0; i < 2; i++) {
        assert_ok(mg_staging_open(target, false, &stagings[i], &err), &err);
        (void)snprintf(file, sizeof(file), "%s/%d", mg_staging_path(stagings[i]), i);
        assert_ok(mg_file_write_atomic(file, mg_str_of("x"), &err), &err);
    }
    assert_ok(mg_staging_finish(stagings[0], &err), &err);
    assert_status(mg_staging_finish(stagings[1], &err), MG_ERR_EXISTS);
    mg_staging_close(stagings[0]);
    mg_staging_close(stagings[1]);
    (void)snprintf(file, sizeof(file), "%s/0", target);
    assert_true(mg_path_is_file(file));
    (void)snprintf(file, sizeof(file), "%s/1", target);
    assert_false(mg_path_is_file(file));
}

static void removing_a_folder_does_not_follow_links(void **state)
{
    (void)state;
    mg_error err;
    char victim[512];
    char link_path[512];
    (void)snprintf(victim, sizeof(victim), "%s/victim", folder);
    (void)snprintf(link_path, sizeof(link_path), "%s/doomed/link", folder);
    assert_ok(mg_folder_make(victim, &err), &err);
    assert_ok(mg_file_write_atomic(inside("victim/kept"), mg_str_of("k"), &err), &err);
    assert_ok(mg_folder_make(inside("doomed/a/b"), &err), &err);
    assert_int_equal(symlink(victim, link_path), 0);
    assert_ok(mg_folder_remove(inside("doomed"), &err), &err);
    assert_true(mg_path_is_file(inside("victim/kept")));
    assert_false(mg_path_exists(inside("doomed")));
}

static void an_empty_file_maps_to_nothing(void **state)
{
    (void)state;
    mg_error err;
    mg_mapping mapping;
    assert_ok(mg_file_write_atomic(inside("e"), mg_str_of(""), &err), &err);
    assert_ok(mg_mapping_open(inside("e"), &mapping, &err), &err);
    assert_null(mapping.data);
    mg_mapping_close(&mapping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pipe_is_never_replaced_by_a_file, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(a_file_is_written_through_links, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_file_reads_back_what_was_written, make_folder,
                                        drop_folder),
        cmocka_unit_test(paths_join_and_come_apart),
        cmocka_unit_test_setup_teardown(a_staged_folder_appears_only_when_finished, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(a_full_target_needs_overwrite_and_is_replaced_whole,
                                        make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(of_two_that_fill_a_target_the_second_is_told, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(removing_a_folder_does_not_follow_links, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(an_empty_file_maps_to_nothing, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
