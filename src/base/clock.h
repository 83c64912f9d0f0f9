/* base/clock.h - time as an argument, so that tests can turn it.
 *
 * Thread-safety: the real clock is shared freely; a fake one belongs to its test. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

typedef struct mg_clock {
    double (*seconds)(void *context); /* monotonic, arbitrary start */
    void *context;
} mg_clock;

mg_clock mg_clock_real(void);
double mg_clock_now(const mg_clock *clock); /* seconds; NULL means the real clock */

MG_END_C
