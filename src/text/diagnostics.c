/* text/diagnostics.c - collects the mistakes of one configuration. */
#include "text/diagnostics.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>

void mg_diagnostics_release(mg_diagnostics *diagnostics)
{
    mg_buf_release(&diagnostics->text);
    mg_arena_release(&diagnostics->arena);
    diagnostics->count = 0;
}

/* "FILE:LINE:COL: ", as far as it is known. */
static mg_str prefix(mg_diagnostics *diagnostics, const mg_value *where)
{
    mg_str file = diagnostics->file;
    bool placed = where != NULL && where->line > 0;
    if (file.size == 0) {
        return placed ? mg_arena_printf(&diagnostics->arena, "%d:%d: ", (int)where->line,
                                        (int)where->column)
                      : mg_str_of("");
    }
    return placed ? mg_arena_printf(&diagnostics->arena, "%.*s:%d:%d: ", MG_STR_ARG(file),
                                    (int)where->line, (int)where->column)
                  : mg_arena_printf(&diagnostics->arena, "%.*s: ", MG_STR_ARG(file));
}

static char *format_text(const char *format, va_list args) MG_PRINTF(1, 0);
static char *format_text(const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = mg_new_array(char, (int64_t)(size < 0 ? 0 : size) + 1);
    if (size > 0) {
        vsnprintf(text, (size_t)size + 1, format, args);
    }
    return text;
}

void mg_diagnose(mg_diagnostics *diagnostics, const mg_value *where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (diagnostics->count > 0) {
        mg_buf_add_char(&diagnostics->text, '\n');
    }
    mg_buf_add(&diagnostics->text, prefix(diagnostics, where));
    mg_buf_add_text(&diagnostics->text, text);
    diagnostics->count++;
    mg_free(text);
}

void mg_diagnose_warn(mg_diagnostics *diagnostics, const mg_value *where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    mg_str place = prefix(diagnostics, where);
    mg_warn("%.*s%s", MG_STR_ARG(place), text);
    mg_free(text);
}

static bool has_line(const mg_diagnostics *diagnostics, mg_str wanted)
{
    mg_str rest = mg_buf_view(&diagnostics->text);
    mg_str line;
    while (rest.size > 0 && mg_str_split(&rest, '\n', &line)) {
        if (mg_str_equal(line, wanted)) {
            return true;
        }
    }
    return false;
}

void mg_diagnostics_merge(mg_diagnostics *diagnostics, const mg_diagnostics *other)
{
    mg_str rest = mg_buf_view(&other->text);
    mg_str line;
    while (rest.size > 0 && mg_str_split(&rest, '\n', &line)) {
        if (has_line(diagnostics, line)) {
            continue;
        }
        if (diagnostics->count > 0) {
            mg_buf_add_char(&diagnostics->text, '\n');
        }
        mg_buf_add(&diagnostics->text, line);
        diagnostics->count++;
    }
}

mg_status mg_diagnostics_finish(const mg_diagnostics *diagnostics, mg_error *err)
{
    if (diagnostics->count == 0) {
        return MG_OK;
    }
    mg_str text = mg_buf_view(&diagnostics->text);
    return mg_fail(err, MG_ERR_CONFIG, "%.*s", MG_STR_ARG(text));
}
