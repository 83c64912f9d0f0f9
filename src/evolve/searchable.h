/* evolve/searchable.h - what the search knows of each merge method: its genes.
 *
 * Thread-safety: immutable. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

MG_BEGIN_C

typedef struct mg_searchable {
    const char *name;
    bool needs_base;
    bool has_density;      /* beside weight */
    bool interpolates;     /* slerp: one gene t instead of weights */
    bool random_masks;     /* recipes carry the seed of the masks */
    bool mergekit;         /* mergekit-evolve knows it */
    bool normalizes;       /* mergekit-evolve's default of `normalize` */
    double density_margin; /* densities keep that far from 0 and 1, as mergekit's method demands */
} mg_searchable;

const mg_searchable *mg_searchable_find(mg_str name); /* NULL = none that can be searched */
const char *mg_searchable_nearest(mg_str name);       /* NULL = none */

MG_END_C
