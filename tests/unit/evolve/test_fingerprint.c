/* A run is continued over the same facts alone; what differs is named. */
#include "support.h"

#include "base/fs.h"
#include "evolve/fingerprint.h"

static mg_error err;

static void changed_facts_are_named(void **state)
{
    (void)state;
    char folder[] = "/tmp/mg_fp_XXXXXX";
    assert_non_null(mkdtemp(folder));
    mg_store *store = NULL;
    assert_ok(mg_store_open(folder, &store, NULL, &err), &err);
    mg_fingerprint first = { 0 };
    mg_fingerprint_add(&first, "the source mini-ja", "%s", "abc");
    mg_fingerprint_add(&first, "search.seed", "%d", 4);
    mg_fingerprint_add(&first, "task old", "%d", 1);
    assert_ok(mg_fingerprint_check(&first, store, folder, &err), &err);
    assert_ok(mg_fingerprint_check(&first, store, folder, &err), &err);
    mg_fingerprint second = { 0 };
    mg_fingerprint_add(&second, "the source mini-ja", "%s", "abd");
    mg_fingerprint_add(&second, "search.seed", "%d", 4);
    mg_fingerprint_add(&second, "task new", "%d", 1);
    assert_status(mg_fingerprint_check(&second, store, folder, &err), MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "the source mini-ja, task new, task old"));
    assert_null(strstr(err.message, "search.seed"));
    mg_fingerprint_release(&first);
    mg_fingerprint_release(&second);
    mg_store_close(store);
    assert_ok(mg_folder_remove(folder, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_facts_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
