/* base/clock.c - the real clock. */
#include "base/clock.h"

#include <time.h>

static double real_seconds(void *context)
{
    (void)context;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

mg_clock mg_clock_real(void)
{
    mg_clock clock = { real_seconds, NULL };
    return clock;
}

double mg_clock_now(const mg_clock *clock)
{
    return clock == NULL ? real_seconds(NULL) : clock->seconds(clock->context);
}
