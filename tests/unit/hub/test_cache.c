/* tests/unit/hub/test_cache.c - model references, the environment, the local cache. */
#include <unistd.h>

#include "base/fs.h"
#include "hub/cache.h"
#include "support.h"

static char root[] = "/tmp/mg-cache-XXXXXX";
#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"

static void references_are_split_and_printed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path, *revision, *lora, *lora_revision;
    } cases[] = {
        { "a", "a", "", "", "" },
        { "owner/name", "owner/name", "", "", "" },
        { "owner/name@rev", "owner/name", "rev", "", "" },
        { "owner/name@refs/pr/1+some/lora@x", "owner/name", "refs/pr/1", "some/lora", "x" },
        { "../a b/c+d", "../a b/c", "", "d", "" },
    };
    mg_arena arena = { 0 };
    mg_error err;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_model_ref ref;
        assert_ok(mg_model_ref_parse(mg_str_of(cases[i].text), &arena, &ref, &err), &err);
        assert_true(mg_str_is(ref.path, cases[i].path));
        assert_true(mg_str_is(ref.revision, cases[i].revision));
        assert_true(mg_str_is(ref.lora_path, cases[i].lora));
        assert_true(mg_str_is(ref.lora_revision, cases[i].lora_revision));
        assert_string_equal(mg_model_ref_text(&ref, &arena).data, cases[i].text);
        mg_model_ref again;
        assert_ok(mg_model_ref_parse(mg_str_of(cases[i].text), &arena, &again, &err), &err);
        assert_true(mg_model_ref_equal(&ref, &again));
        again.override_architecture = mg_str_of("X");
        assert_false(mg_model_ref_equal(&ref, &again));
    }
    mg_arena_release(&arena);
}

static void bad_references_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = { "", "@x", "a@", "a@b@c", "a+b+c", "a+", "+a", "a+b@c@d" };
    mg_arena arena = { 0 };
    mg_error err;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_model_ref ref;
        assert_status(mg_model_ref_parse(mg_str_of(cases[i]), &arena, &ref, &err), MG_ERR_CONFIG);
    }
    mg_model_ref ref;
    assert_status(mg_model_ref_parse(mg_str_make("a\0b", 3), &arena, &ref, &err), MG_ERR_CONFIG);
    mg_arena_release(&arena);
}

/* A fake environment: names and values in turn. */
static const char *const *environment;

static const char *get_fake(const char *name)
{
    for (int i = 0; environment[i] != NULL; i += 2) {
        if (strcmp(environment[i], name) == 0) {
            return environment[i + 1];
        }
    }
    return NULL;
}

static void the_environment_names_the_cache(void **state)
{
    (void)state;
    static const char *const nothing[] = { NULL };
    static const char *const home[] = { "HOME", "/h", NULL };
    static const char *const xdg[] = { "HOME", "/h", "XDG_CACHE_HOME", "/x", NULL };
    static const char *const hf_home[] = { "HOME", "/h",  "HF_HOME", "~/hf/$A-${B}$C", "A", "one",
                                           "B",    "two", NULL };
    static const char *const old[] = { "HUGGINGFACE_HUB_CACHE", "/old", "HF_HOME", "/n", NULL };
    static const char *const first[] = { "HF_HUB_CACHE", "/new", "HUGGINGFACE_HUB_CACHE", "/old",
                                         NULL };
    static const struct {
        const char *const *environment;
        const char *folder;
    } cases[] = {
        { nothing, "" },
        { home, "/h/.cache/huggingface/hub" },
        { xdg, "/x/huggingface/hub" },
        { hf_home, "/h/hf/one-two$C/hub" },
        { old, "/old" },
        { first, "/new" },
    };
    mg_arena arena = { 0 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        environment = cases[i].environment;
        mg_hub hub = mg_hub_from_environment(get_fake, &arena);
        assert_true(mg_str_is(hub.cache_folder, cases[i].folder));
    }
    mg_arena_release(&arena);
}

static void make(const char *path)
{
    mg_error err;
    mg_arena arena = { 0 };
    assert_ok(mg_folder_make(mg_path_join(&arena, root, path).data, &err), &err);
    mg_arena_release(&arena);
}

static void put(const char *path, const char *text)
{
    mg_error err;
    mg_arena arena = { 0 };
    assert_ok(mg_file_write_atomic(mg_path_join(&arena, root, path).data, mg_str_of(text), &err),
              &err);
    mg_arena_release(&arena);
}

static mg_status locate(const char *path, const char *revision, mg_arena *arena, mg_str *folder,
                        mg_error *err)
{
    mg_hub hub = { mg_str_of(root) };
    mg_error_clear(err);
    return mg_hub_locate(&hub, mg_str_of(path), mg_str_of(revision), arena, folder, err);
}

static void revisions_lead_to_snapshots(void **state)
{
    (void)state;
    make("models--owner--name/refs/refs/pr");
    make("models--owner--name/snapshots/" COMMIT);
    make("models--owner--name/snapshots/" OTHER);
    put("models--owner--name/refs/main", COMMIT);
    put("models--owner--name/refs/refs/pr/1", OTHER "\n");
    put("models--owner--name/refs/gone", "0000000000000000000000000000000000000000");
    put("models--owner--name/refs/broken", "../../../x");
    mg_arena arena = { 0 };
    mg_error err;
    mg_str folder;
    assert_ok(locate("owner/name", "", &arena, &folder, &err), &err);
    assert_true(mg_str_ends(folder, "/snapshots/" COMMIT));
    assert_ok(locate("owner/name", "main", &arena, &folder, &err), &err);
    assert_ok(locate("owner/name", "refs/pr/1", &arena, &folder, &err), &err);
    assert_true(mg_str_ends(folder, "/snapshots/" OTHER));
    assert_ok(locate("owner/name", OTHER, &arena, &folder, &err), &err);
    assert_true(mg_str_ends(folder, OTHER));
    assert_status(locate("owner/name", "gone", &arena, &folder, &err), MG_ERR_NOT_FOUND);
    assert_status(locate("owner/name", "nowhere", &arena, &folder, &err), MG_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "nowhere"));
    assert_status(locate("owner/name", "broken", &arena, &folder, &err), MG_ERR_FORMAT);
    assert_status(locate("owner/name", "../refs/main", &arena, &folder, &err), MG_ERR_CONFIG);
    assert_status(locate("owner/other", "", &arena, &folder, &err), MG_ERR_NOT_FOUND);
    mg_arena_release(&arena);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = { "",     "/",    "a/b/c",  "a//b",   "..",
                                         "a/..", "-a/b", "a/b-",   "a/.b",   "a--b",
                                         "a b",  "a\\b", "/no/pe", "no/pe/", "é/b" };
    mg_arena arena = { 0 };
    mg_error err;
    mg_str folder;
    assert_int_equal(chdir(root), 0);
    for (int64_t i = 2; i < MG_ARRAY_COUNT(cases); i++) {
        if (strcmp(cases[i], "..") != 0) { /* exists, as a folder */
            assert_status(locate(cases[i], "", &arena, &folder, &err), MG_ERR_NOT_FOUND);
        }
    }
    mg_hub none = { { NULL, 0 } };
    assert_status(mg_hub_locate(&none, mg_str_of("a/b"), mg_str_of(""), &arena, &folder, &err),
                  MG_ERR_NOT_FOUND);
    mg_arena_release(&arena);
}

static void a_local_folder_wins(void **state)
{
    (void)state;
    make("owner/name");
    mg_arena arena = { 0 };
    mg_error err;
    mg_str folder;
    assert_int_equal(chdir(root), 0);
    assert_ok(locate("owner/name", "whatever", &arena, &folder, &err), &err);
    assert_true(mg_str_is(folder, "owner/name"));
    mg_arena_release(&arena);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return mg_folder_remove(root, NULL) == MG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_split_and_printed),
        cmocka_unit_test(bad_references_are_refused),
        cmocka_unit_test(the_environment_names_the_cache),
        cmocka_unit_test(revisions_lead_to_snapshots),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(a_local_folder_wins),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
