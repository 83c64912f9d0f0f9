/* A run is continued over the same facts alone; what differs is named. */
#include "support.h"

#include "base/fs.h"
#include "evolve/fingerprint.h"

static mg_error err;

static char folder[32];
static mg_store *store;

static void open_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/mg_fp_XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_ok(mg_store_open(folder, &store, NULL, &err), &err);
}

static void remove_folder(void)
{
    mg_store_close(store);
    assert_ok(mg_folder_remove(folder, &err), &err);
}

static void changed_facts_are_named(void **state)
{
    (void)state;
    open_folder();
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
    remove_folder();
}

/* One fact alone, checked against what the store has. */
static mg_status check_fact(const char *name, const char *value)
{
    mg_fingerprint facts = { 0 };
    mg_fingerprint_add(&facts, name, "%s", value);
    mg_status status = mg_fingerprint_check(&facts, store, folder, &err);
    mg_fingerprint_release(&facts);
    return status;
}

static void long_facts_differ_in_their_last_character(void **state)
{
    (void)state;
    char value[5000];
    open_folder();
    memset(value, 'x', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    assert_ok(check_fact("genome.filters", value), &err);
    assert_ok(check_fact("genome.filters", value), &err);
    value[sizeof(value) - 2] = 'y';
    assert_status(check_fact("genome.filters", value), MG_ERR_CONFIG);
    remove_folder();
}

static void facts_may_hold_line_ends_and_tabs(void **state)
{
    (void)state;
    open_folder();
    assert_ok(check_fact("genome.filters", "a\tb\nc\\n"), &err);
    assert_ok(check_fact("genome.filters", "a\tb\nc\\n"), &err);
    assert_status(check_fact("genome.filters", "a\tb\nd\\n"), MG_ERR_CONFIG);
    assert_status(check_fact("genome.filters", "a\tb\nc\n"), MG_ERR_CONFIG);
    remove_folder();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_facts_are_named),
        cmocka_unit_test(long_facts_differ_in_their_last_character),
        cmocka_unit_test(facts_may_hold_line_ends_and_tabs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
