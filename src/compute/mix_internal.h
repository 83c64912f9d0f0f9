/* compute/mix_internal.h - torch's cascade summation, in pieces, for the backends of ops_mix.h.
 *
 * Thread-safety: a cascade belongs to one thread. */
#pragma once

#include "base/compiler.h"
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

/* Where a partition stands (mg_partition_args).  The side that is made is done up to low (left) or
 * from high on (right); on the other side, whose keys stay as they were, only places beyond high
 * (low) have given their keys away.  Tracks of the made side are taken from kept on, of the other
 * side from given on, and written to out on; on the right all three run downwards. */
typedef struct mg_partition_walk {
    int64_t low, high;
    int64_t kept, given, out;
} mg_partition_walk;

/* Where the parts of [first, last) would meet, from low and high on. */
int64_t mg_partition_cut(const uint16_t *keys, uint16_t pivot, int64_t low, int64_t high);
/* Starts a walk, with the pivot's own track. */
mg_partition_walk mg_partition_begin(const mg_partition_args *args, bool left);
/* Goes on to the end of one element after another, and changes args to the side that was made. */
void mg_partition_finish(mg_partition_args *args, bool left, mg_partition_walk walk);
/* Which side to make, as far as the tracked key says; false where only the cut does. */
bool mg_partition_side(const mg_partition_args *args, bool *left_out);
void mg_partition_clear(uint64_t *bits, uint32_t index);

extern const mg_mix_ops mg_mix_ops_ref;
/* The elements from first on, in plain C. */
void mg_mix_task_ref(const mg_task_args *args, int64_t first);

MG_END_C
