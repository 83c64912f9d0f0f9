/* evolve/preset.h - named settings of a search, as one table (evolution.md 16).
 *
 * Thread-safety: immutable. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "optim/cmaes.h"

MG_BEGIN_C

typedef enum mg_space { MG_SPACE_PS, MG_SPACE_DFS, MG_SPACE_HYBRID } mg_space;

/* How vectors become recipes. */
typedef enum mg_encoding {
    MG_ENCODING_NATIVE,  /* bounded genes: weight, density, t */
    MG_ENCODING_MERGEKIT /* unbounded; |x| and min(|x|, 1) as mergekit-evolve decodes (merging.md 8)
                          */
} mg_encoding;

/* What decides a path (evolution.md 4.2). */
typedef enum mg_path_encoding {
    MG_PATH_SLOT,       /* a bit and a log factor for each slot */
    MG_PATH_PAPER,      /* numbers alone: a value for each slot, a factor for each pair of layers */
    MG_PATH_NET,        /* bits, and factors by a small network */
    MG_PATH_TRANSITION, /* bits, and a factor for each pair of layers, which only paths across it
                           move */
    MG_PATH_SWITCHES    /* bits alone; the one number, which the optimiser wants, has no meaning */
} mg_path_encoding;

typedef struct mg_preset {
    const char *name;
    const char *summary; /* one line */
    mg_space space;
    mg_encoding encoding;
    mg_path_encoding path_encoding; /* data-flow space */
    double weight_low, weight_high; /* range of weights, native encoding */
    double sigma;                   /* initial step, as a share of the range */
    mg_bound_kind bounds;
    bool estimate; /* scores on all questions are estimated from few (NSGA-II alone) */
    bool niches;   /* M2N2 is the optimiser */
    bool nsga2;    /* the optimiser, where the file names none */
    bool active;
    bool adapt_learning_rate;
    int64_t evaluations; /* budget; 0 = by questions */
    int64_t questions;   /* budget; 0 = by evaluations */
    int64_t items;       /* questions per candidate; 0 = all */
    int64_t rotate;      /* generations after which questions are drawn anew; 0 = never */
    int64_t held_out;    /* questions that the best of each generation and its mean answer, of which
                            the best one is the result; 0 = none */
    int64_t anchors;     /* granularity where the file names none; 0 = all layers together */
    double polish_share; /* of the budget */
    bool best_ever;      /* the best sample is a finalist, not only the mean */
    int64_t restarts;    /* at most */
    int64_t population;  /* 0 = by the number of genes */
    double validate_share;
    bool ignore_stops;   /* spends the whole budget whatever the optimiser thinks */
    double coarse_share; /* of the budget, for genes of the whole model first; 0 = not staged */
    const char *first, *then; /* hybrid: the presets of its two spaces, which say all the rest */
} mg_preset;

extern const mg_preset mg_presets[];
extern const int64_t mg_preset_count;
const mg_preset *mg_preset_find(mg_str name); /* NULL = none */
/* Name nearest to a mistyped one, or NULL. */
const char *mg_preset_nearest(mg_str name);

MG_END_C
