/* evolve/preset.c - the table of presets. */
#include "evolve/preset.h"

#define SIXTH (1.0 / 6.0)

const mg_preset mg_presets[] = {
    { .name = "default",
      .summary = "learning-rate-adapted CMA-ES on 50,000 questions, polished",
      .space = MG_SPACE_PS,
      .encoding = MG_ENCODING_NATIVE,
      .weight_low = 0.0,
      .weight_high = 1.5,
      .sigma = SIXTH,
      .bounds = MG_BOUND_TRANSFORM,
      .active = true,
      .adapt_learning_rate = true,
      .questions = 50000,
      .items = 110,
      .anchors = 3,
      .polish_share = 0.3,
      .validate_share = 0.3 },
    { .name = "quick",
      .summary = "as default on 20,000 questions",
      .space = MG_SPACE_PS,
      .encoding = MG_ENCODING_NATIVE,
      .weight_low = 0.0,
      .weight_high = 1.5,
      .sigma = SIXTH,
      .bounds = MG_BOUND_TRANSFORM,
      .active = true,
      .adapt_learning_rate = true,
      .questions = 20000,
      .items = 70,
      .anchors = 3,
      .polish_share = 0.3,
      .validate_share = 0.3 },
    { .name = "thorough",
      .summary = "as default on 200,000 questions, with one restart",
      .space = MG_SPACE_PS,
      .encoding = MG_ENCODING_NATIVE,
      .weight_low = 0.0,
      .weight_high = 1.5,
      .sigma = SIXTH,
      .bounds = MG_BOUND_TRANSFORM,
      .active = true,
      .adapt_learning_rate = true,
      .questions = 200000,
      .items = 220,
      .anchors = 3,
      .polish_share = 0.3,
      .restarts = 1,
      .validate_share = 0.3 },
    { .name = "paper-ps",
      .summary =
          "the paper's parameter space: 1,000 evaluations on all questions, best sample wins",
      .space = MG_SPACE_PS,
      .encoding = MG_ENCODING_NATIVE,
      .weight_low = 0.0,
      .weight_high = 1.0,
      .sigma = SIXTH,
      .bounds = MG_BOUND_RESAMPLE,
      .evaluations = 1000,
      .best_ever = true,
      .validate_share = 0.3,
      .ignore_stops = true },
    { .name = "front",
      .summary = "NSGA-II: every task of the search an objective of its own, 50,000 questions",
      .space = MG_SPACE_PS,
      .encoding = MG_ENCODING_NATIVE,
      .weight_low = 0.0,
      .weight_high = 1.5,
      .sigma = SIXTH,
      .nsga2 = true,
      .questions = 50000,
      .anchors = 3,
      .validate_share = 0.3 },
    { .name = "dfs",
      .summary = "data-flow space: layers switched by natural gradient, scales by diagonal CMA-ES",
      .space = MG_SPACE_DFS,
      .encoding = MG_ENCODING_NATIVE,
      .sigma = 0.1,
      .bounds = MG_BOUND_TRANSFORM,
      .active = true,
      .questions = 50000,
      .items = 110,
      .polish_share = 0.3,
      .population = 32,
      .rotate = 5,
      .best_ever = true,
      .validate_share = 0.3,
      .ignore_stops = true },
    { .name = "paper-dfs",
      .summary = "the paper's data-flow space: real numbers alone, 100 generations of 128 paths",
      .space = MG_SPACE_DFS,
      .encoding = MG_ENCODING_NATIVE,
      .path_encoding = MG_PATH_PAPER,
      .sigma = 0.1,
      .bounds = MG_BOUND_NONE,
      .evaluations = 12900,
      .items = 200,
      .rotate = 1,
      .held_out = 200,
      .population = 128,
      .validate_share = 0.3,
      .ignore_stops = true },
    { .name = "mergekit",
      .summary = "mergekit-evolve's genome, start, step, population and scoring: 100 evaluations",
      .space = MG_SPACE_PS,
      .encoding = MG_ENCODING_MERGEKIT,
      .sigma = SIXTH,
      .bounds = MG_BOUND_NONE,
      .active = true,
      .evaluations = 100,
      .best_ever = true,
      .ignore_stops = true },
};
const int64_t mg_preset_count = MG_ARRAY_COUNT(mg_presets);

const mg_preset *mg_preset_find(mg_str name)
{
    for (int64_t i = 0; i < mg_preset_count; i++) {
        if (mg_str_is(name, mg_presets[i].name)) {
            return &mg_presets[i];
        }
    }
    return NULL;
}

const char *mg_preset_nearest(mg_str name)
{
    const char *names[MG_ARRAY_COUNT(mg_presets)];
    for (int64_t i = 0; i < mg_preset_count; i++) {
        names[i] = mg_presets[i].name;
    }
    return mg_str_nearest(name, names, mg_preset_count);
}
