/* base/error.h - status codes, error messages and the assertion of contracts.
 *
 * The outside world (files, options, network, drivers) is answered with an mg_status and one line
 * in an mg_error that the caller owns.  A broken contract inside the program is answered with
 * MG_ASSERT. Thread-safety: an mg_error belongs to one thread at a time. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#include "base/compiler.h"

MG_BEGIN_C

/* name, exit code of the program that ends with it (interface.md 1), text */
#define MG_STATUS_LIST(X)                                                                          \
    X(MG_OK, 0, "no error")                                                                        \
    X(MG_FINDINGS, 1, "finished with findings")                                                    \
    X(MG_ERR_USAGE, 2, "wrong usage")                                                              \
    X(MG_ERR_CONFIG, 2, "wrong configuration")                                                     \
    X(MG_ERR_NOT_FOUND, 3, "not found")                                                            \
    X(MG_ERR_FORMAT, 3, "damaged or unknown format")                                               \
    X(MG_ERR_UNSUPPORTED, 3, "not supported")                                                      \
    X(MG_ERR_IO, 3, "input or output failed")                                                      \
    X(MG_ERR_MEMORY, 4, "out of memory")                                                           \
    X(MG_ERR_SPACE, 4, "out of disk space")                                                        \
    X(MG_ERR_DEVICE, 4, "device failed")                                                           \
    X(MG_ERR_NETWORK, 5, "network failed")                                                         \
    X(MG_ERR_INTERRUPTED, 6, "interrupted")                                                        \
    X(MG_ERR_EXISTS, 2, "exists already")                                                          \
    X(MG_ERR_BUSY, 2, "in use by another process")                                                 \
    X(MG_ERR_NUMERIC, 3, "not a finite number")                                                    \
    X(MG_ERR_TIMEOUT, 3, "took too long")                                                          \
    X(MG_ERR_USER_CODE, 3, "user function failed")                                                 \
    X(MG_ERR_LIMIT, 3, "limit exceeded")                                                           \
    X(MG_ERR_INTERNAL, 70, "internal error")

typedef enum mg_status {
#define MG_STATUS_ENUM(name, exit_code, text) name,
    MG_STATUS_LIST(MG_STATUS_ENUM)
#undef MG_STATUS_ENUM
} mg_status;

#define MG_ERROR_MESSAGE_BYTES 2048

/* One line of fact (may hold several lines where a configuration has several mistakes). */
typedef struct mg_error {
    mg_status status;
    char message[MG_ERROR_MESSAGE_BYTES]; /* UTF-8, NUL-terminated, cut with "..." when too long */
} mg_error;

/* The fixed text of a status ("out of memory") and its name ("MG_ERR_MEMORY"). */
const char *mg_status_text(mg_status status);
const char *mg_status_name(mg_status status);
/* The exit code of a program that ends with status. */
int mg_status_exit_code(mg_status status);

/* Fills err (which may be NULL) and returns status, so that callers write `return mg_fail(...)`. */
mg_status mg_fail(mg_error *err, mg_status status, const char *format, ...) MG_PRINTF(3, 4);
mg_status mg_fail_va(mg_error *err, mg_status status, const char *format, va_list args)
    MG_PRINTF(3, 0);

/* Puts context in front of the message: "PREFIX: MESSAGE".  err may be NULL. */
void mg_error_prefix(mg_error *err, const char *format, ...) MG_PRINTF(2, 3);
void mg_error_clear(mg_error *err);

/* Evaluates expr, an mg_status; a failure is returned at once.  Only where nothing is held. */
#define MG_TRY(expr)                                                                               \
    do {                                                                                           \
        mg_status mg_try_status_ = (expr);                                                         \
        if (MG_UNLIKELY(mg_try_status_ != MG_OK)) {                                                \
            return mg_try_status_;                                                                 \
        }                                                                                          \
    } while (0)

/* Evaluates expr into the local `status`; a failure goes to the label `done`. */
#define MG_TRY_OR_DONE(expr)                                                                       \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (MG_UNLIKELY(status != MG_OK)) {                                                        \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

/* A broken contract or an impossible state: on in every build, prints the place and aborts. */
#define MG_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : mg_assert_failed(#condition, __FILE__, __LINE__))
MG_NORETURN void mg_assert_failed(const char *condition, const char *file, int line);

MG_END_C
