/* tests/support.h - what every cmocka test includes, in the order that cmocka needs. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* The expression must give MG_OK; its message is printed otherwise. */
#define assert_ok(expr, err)                                                                       \
    do {                                                                                           \
        mg_error_clear(err);                                                                       \
        mg_status assert_ok_status_ = (expr);                                                      \
        if (assert_ok_status_ != MG_OK) {                                                          \
            fail_msg("%s: %s: %s", #expr, mg_status_name(assert_ok_status_), (err)->message);      \
        }                                                                                          \
    } while (0)

#define assert_status(expr, expected)                                                              \
    do {                                                                                           \
        mg_status assert_status_ = (expr);                                                         \
        if (assert_status_ != (expected)) {                                                        \
            fail_msg("%s: %s, expected %s", #expr, mg_status_name(assert_status_), #expected);     \
        }                                                                                          \
    } while (0)
