/* evolve/fingerprint.c - see fingerprint.h. */
#include "evolve/fingerprint.h"

#include <stdio.h>

#include "base/memory.h"

void mg_fingerprint_release(mg_fingerprint *fingerprint)
{
    mg_buf_release(&fingerprint->text);
}

void mg_fingerprint_add(mg_fingerprint *fingerprint, const char *name, const char *format, ...)
{
    char value[512];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    mg_buf_printf(&fingerprint->text, "%s\t%s\n", name, value);
}

/* The value of name in a list of facts; false when it is not there. */
static bool find_fact(mg_str facts, mg_str name, mg_str *value_out)
{
    mg_str line;
    while (mg_str_split(&facts, '\n', &line)) {
        mg_str key;
        if (line.size > 0 && mg_str_split(&line, '\t', &key) && mg_str_equal(key, name)) {
            *value_out = line;
            return true;
        }
    }
    return false;
}

/* Names facts of a that b lacks or has otherwise; known ones are not named twice. */
static void add_differences(mg_str a, mg_str b, bool only_missing, mg_buf *names)
{
    mg_str line;
    while (mg_str_split(&a, '\n', &line)) {
        mg_str name;
        mg_str other;
        if (line.size == 0 || !mg_str_split(&line, '\t', &name)) {
            continue;
        }
        bool there = find_fact(b, name, &other);
        if (there ? (!only_missing && !mg_str_equal(line, other)) : true) {
            mg_buf_printf(names, "%s%.*s", names->size > 0 ? ", " : "", MG_STR_ARG(name));
        }
    }
}

mg_status mg_fingerprint_check(const mg_fingerprint *fingerprint, mg_store *store,
                               const char *folder, mg_error *err)
{
    mg_buf stored = { 0 };
    mg_buf names = { 0 };
    bool found;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_get(store, "fingerprint", &stored, &found, err));
    if (!found) {
        status = mg_store_put(store, "fingerprint", mg_buf_view(&fingerprint->text), err);
        goto done;
    }
    add_differences(mg_buf_view(&fingerprint->text), mg_buf_view(&stored), false, &names);
    add_differences(mg_buf_view(&stored), mg_buf_view(&fingerprint->text), true, &names);
    if (names.size > 0) {
        status = mg_fail(err, MG_ERR_CONFIG,
                         "%s: the search in this folder cannot be continued, these have changed: "
                         "%.*s; undo the change, or use another --storage-path",
                         folder, MG_STR_ARG(mg_buf_view(&names)));
    }

done:
    mg_buf_release(&stored);
    mg_buf_release(&names);
    return status;
}
