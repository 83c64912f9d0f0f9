/* compute/mix_internal.h - torch's cascade summation, in pieces, for the backends of ops_mix.h.
 *
 * Thread-safety: a cascade belongs to one thread. */
#pragma once

#include "base/compiler.h"
#include "compute/device_internal.h"
#include "compute/ops_mix.h"

MG_BEGIN_C

#define MG_MIX_ROW 32 /* four vectors of 8 lanes */
#define MG_MIX_CASCADE_LEVELS 4

/* Zeroed, with power set, it is ready to use. */
typedef struct mg_mix_cascade {
    float level[MG_MIX_CASCADE_LEVELS][MG_MIX_ROW];
    int64_t count; /* rows added */
    int power;     /* a level takes 2^power sums */
} mg_mix_cascade;

/* The power for a sum of row_count rows. */
int mg_mix_cascade_power(int64_t row_count);
void mg_mix_cascade_add(mg_mix_cascade *cascade, const float row[MG_MIX_ROW]);
/* Folds the levels into level 0. */
void mg_mix_cascade_end(mg_mix_cascade *cascade);
/* The whole sum: rest are the elements behind the last whole row. */
float mg_mix_cascade_finish(mg_mix_cascade *cascade, const float *rest, int64_t rest_count,
                            bool half);

extern const mg_mix_ops mg_mix_ops_ref;

MG_END_C
