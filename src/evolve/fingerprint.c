/* evolve/fingerprint.c - see fingerprint.h. */
#include "evolve/fingerprint.h"

#include <stdio.h>

#include "base/memory.h"

void mg_fingerprint_release(mg_fingerprint *fingerprint)
{
    mg_buf_release(&fingerprint->text);
}

/* A line is one fact: line ends and tabs inside of it are spelled. */
static void add_spelled(mg_buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\t' || *c == '\\') {
            mg_buf_printf(out, "\\%c", *c == '\n' ? 'n' : *c == '\t' ? 't' : '\\');
        } else {
            mg_buf_add_char(out, *c);
        }
    }
}

void mg_fingerprint_add(mg_fingerprint *fingerprint, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    MG_ASSERT(size >= 0);
    char *value = mg_new_array(char, (int64_t)size + 1);
    va_start(args, format);
    vsnprintf(value, (size_t)size + 1, format, args);
    va_end(args);
    add_spelled(&fingerprint->text, name);
    mg_buf_add_char(&fingerprint->text, '\t');
    add_spelled(&fingerprint->text, value);
    mg_buf_add_char(&fingerprint->text, '\n');
    mg_free(value);
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
