/* model/rope_internal.h - the angles of rotary position embeddings and their scalings (models.md
 * 4).
 *
 * A plan holds frequencies; a table holds the cosines and sines of positions 0, 1, ... on a device.
 * Thread-safety: a plan is immutable; tables belong to their cache. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "compute/device.h"
#include "hub/config.h"

MG_BEGIN_C

typedef struct mg_rope_plan {
    mg_rope_kind kind;
    int64_t half;            /* frequencies: half the rotary dimension */
    float *frequencies;      /* plain, or scaled where the scaling is fixed; longrope: short */
    float *long_frequencies; /* longrope, for texts longer than switch_length */
    int64_t switch_length;   /* longrope: O;  dynamic: M;  0 = does not look at the length */
    double theta;
    double factor;
    float attention_factor; /* on cosines and sines */
} mg_rope_plan;

/* Frequencies live in arena.  MG_ERR_FORMAT for parameters without sense. */
MG_MUST_CHECK mg_status mg_rope_plan_make(const mg_rope *rope, int64_t rotary_dim,
                                          int64_t max_positions, mg_arena *arena,
                                          mg_rope_plan *plan_out, mg_error *err);
/* The frequencies for a text of that length into out (half). */
void mg_rope_frequencies(const mg_rope_plan *plan, int64_t length, float *out);
/* Cosines and sines of one position. */
void mg_rope_turn(const mg_rope_plan *plan, const float *frequencies, int64_t position,
                  float *cos_out, float *sin_out);

typedef struct mg_rope_table {
    float *cosines; /* (rows, half) in device memory */
    float *sines;
    size_t bytes;
} mg_rope_table;

/* Rows 0 .. positions-1; for longrope another as many for long texts.  Empty for dynamic. */
MG_MUST_CHECK mg_status mg_rope_table_init(mg_rope_table *table, const mg_rope_plan *plan,
                                           int64_t positions, const mg_device *device,
                                           mg_error *err);
void mg_rope_table_release(mg_rope_table *table, const mg_device *device);

MG_END_C
