/* base/error.c - status texts and message building. */
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct status_row {
    const char *name;
    int exit_code;
    const char *text;
} status_row;

static const status_row status_rows[] = {
#define STATUS_ROW(name, exit_code, text) { #name, exit_code, text },
    MG_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

static const status_row *row_of(mg_status status)
{
    int64_t index = (int64_t)status;
    MG_ASSERT(index >= 0 && index < MG_ARRAY_COUNT(status_rows));
    return &status_rows[index];
}

/* Ends a message that did not fit with "...", not in the middle of a UTF-8 sequence. */
static void mark_cut(char *message)
{
    size_t end = MG_ERROR_MESSAGE_BYTES - 4;
    while (end > 0 && ((unsigned char)message[end] & 0xC0) == 0x80) {
        end--;
    }
    memcpy(message + end, "...", 4);
}

const char *mg_status_text(mg_status status)
{
    return row_of(status)->text;
}

const char *mg_status_name(mg_status status)
{
    return row_of(status)->name;
}

int mg_status_exit_code(mg_status status)
{
    return row_of(status)->exit_code;
}

mg_status mg_fail_va(mg_error *err, mg_status status, const char *format, va_list args)
{
    if (err != NULL) {
        err->status = status;
        int length = vsnprintf(err->message, sizeof(err->message), format, args);
        if (length >= (int)sizeof(err->message)) {
            mark_cut(err->message);
        }
    }
    return status;
}

mg_status mg_fail(mg_error *err, mg_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)mg_fail_va(err, status, format, args);
    va_end(args);
    return status;
}

void mg_error_prefix(mg_error *err, const char *format, ...)
{
    if (err == NULL) {
        return;
    }
    char old[MG_ERROR_MESSAGE_BYTES];
    memcpy(old, err->message, sizeof(old));
    va_list args;
    va_start(args, format);
    int length = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (length < 0 || length >= (int)sizeof(err->message)) {
        mark_cut(err->message);
        return;
    }
    int total = snprintf(err->message + length, sizeof(err->message) - (size_t)length, ": %s", old);
    if (total >= (int)sizeof(err->message) - length) {
        mark_cut(err->message);
    }
}

void mg_error_clear(mg_error *err)
{
    if (err != NULL) {
        err->status = MG_OK;
        err->message[0] = '\0';
    }
}

void mg_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "merganser: internal error: %s:%d: %s does not hold\n", file, line, condition);
    abort();
}
