/* evolve/stage_plan.h - which stages a search has, and what each may spend.
 *
 * Thread-safety: functions are independent. */
#pragma once

#include "evolve/search_config.h"

MG_BEGIN_C

typedef struct mg_stage_plan {
    mg_space space;
    mg_search_config first; /* settings of the only space, or of a hybrid's parameter space */
    mg_search_config then;  /* hybrid: of its data-flow space */
    bool shares_budget;     /* both hold the budget of the whole search, not each its own */
    bool coarse;            /* genes of the whole model may come first, where the preset says so */
    bool staged_path;       /* data flow: switches, then factors, then both */
    bool refine;            /* hybrid: a last stage for genes and factors together */
} mg_stage_plan;

/* Returns how many; each has its part of the budget. */
int64_t mg_stage_plan_list(const mg_stage_plan *plan, mg_stage_settings stages_out[MG_STAGES_MAX]);

MG_END_C
