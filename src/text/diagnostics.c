/* text/diagnostics.c - collects the mistakes of one configuration. */
#include "text/diagnostics.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>

#define LINE_BYTES_MAX 1000
#define MISTAKES_KEPT_MAX 100
#define WARNINGS_MAX 20
#define MORE_BYTES 64 /* "... and N more mistakes" */

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

/* One line of at most LINE_BYTES_MAX bytes: names and texts from outside may hold anything. */
static mg_str one_line(char *text)
{
    mg_str line = mg_str_of(text);
    if (line.size > LINE_BYTES_MAX) {
        size_t size = LINE_BYTES_MAX;
        while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80) {
            size--; /* in the middle of a character */
        }
        (void)snprintf(text + size, line.size - size, "...");
        line.size = strlen(text);
    }
    for (size_t i = 0; i < line.size; i++) {
        text[i] = text[i] == '\n' ? ' ' : text[i];
    }
    return line;
}

static void add_line(mg_diagnostics *diagnostics, mg_str place, mg_str line)
{
    if (diagnostics->count > 0 && diagnostics->count < MISTAKES_KEPT_MAX) {
        mg_buf_add_char(&diagnostics->text, '\n');
    }
    if (diagnostics->count < MISTAKES_KEPT_MAX) {
        mg_buf_add(&diagnostics->text, place);
        mg_buf_add(&diagnostics->text, line);
    }
    diagnostics->count++;
}

void mg_diagnose(mg_diagnostics *diagnostics, const mg_value *where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    add_line(diagnostics, prefix(diagnostics, where), one_line(text));
    mg_free(text);
}

void mg_diagnose_warn(mg_diagnostics *diagnostics, const mg_value *where, const char *format, ...)
{
    diagnostics->warning_count++;
    if (diagnostics->warning_count > WARNINGS_MAX) {
        if (diagnostics->warning_count == WARNINGS_MAX + 1) {
            mg_warn("%.*s: more warnings like these are not shown", MG_STR_ARG(diagnostics->file));
        }
        return;
    }
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    mg_str place = prefix(diagnostics, where);
    mg_str line = one_line(text);
    mg_warn("%.*s%.*s", MG_STR_ARG(place), MG_STR_ARG(line));
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
        if (!has_line(diagnostics, line)) {
            add_line(diagnostics, mg_str_of(""), line);
        }
    }
}

mg_status mg_diagnostics_finish(const mg_diagnostics *diagnostics, mg_error *err)
{
    if (diagnostics->count == 0) {
        return MG_OK;
    }
    mg_str text = mg_buf_view(&diagnostics->text);
    mg_str rest = text;
    mg_str line;
    size_t size = 0; /* of the lines that are told */
    int64_t told = 0;
    while (rest.size > 0 && mg_str_split(&rest, '\n', &line)) {
        size_t end = (size_t)(line.data - text.data) + line.size;
        if (told > 0 && end + MORE_BYTES > MG_ERROR_MESSAGE_BYTES) {
            break;
        }
        size = end;
        told++;
    }
    if (told == diagnostics->count) {
        return mg_fail(err, MG_ERR_CONFIG, "%.*s", MG_STR_ARG(text));
    }
    return mg_fail(err, MG_ERR_CONFIG, "%.*s\n... and %lld more mistakes", (int)size, text.data,
                   (long long)(diagnostics->count - told));
}
