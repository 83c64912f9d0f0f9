/* evolve/stage_plan.c - see stage_plan.h.
 *
 *   parameter space     ps                 or, preset thorough:  ps (model)  fine
 *   data flow           dfs                or, staged:           switches  scales  both
 *   hybrid              parameter space    dfs    [refined]
 */
#include "evolve/stage_plan.h"

#include <math.h>

#define PATH_SHARE 0.5   /* of a hybrid's budget */
#define REFINE_SHARE 0.2 /* where there is that stage; of each space's own budget otherwise */
#define SWITCHES_SHARE 0.4
#define SCALES_SHARE 0.3
#define SMALL_SIGMA 0.05 /* 4.4, 5 */
#define WARM_SIGMA 0.5   /* of the first step: a winner is known */

/* share of its budget. */
static mg_search_config part_of(const mg_search_config *search, double share)
{
    mg_search_config part = *search;
    part.evaluations = llround(share * (double)search->evaluations);
    part.questions = llround(share * (double)search->questions);
    part.minutes = share * search->minutes;
    part.evaluations += search->evaluations > 0 && part.evaluations == 0 ? 1 : 0;
    part.questions += search->questions > 0 && part.questions == 0 ? 1 : 0;
    return part;
}

static int64_t add_parameter_space(const mg_stage_plan *plan, double share,
                                   mg_stage_settings *stages)
{
    double coarse = plan->coarse ? plan->first.preset->coarse_share : 0.0;
    int64_t count = 0;
    if (coarse > 0.0) {
        stages[count] = (mg_stage_settings){ MG_STAGE_SEARCH, "ps", "genes of the whole model",
                                             part_of(&plan->first, share * coarse) };
        stages[count].search.granularity = MG_GRANULARITY_MODEL;
        stages[count].search.granularity_count = 0;
        stages[count].search.own_ends = false;
        stages[count].search.restarts = 0;
        stages[count++].search.polish_share = 0.0;
    }
    stages[count] = (mg_stage_settings){ count > 0 ? MG_STAGE_FINER : MG_STAGE_SEARCH,
                                         count > 0 ? "fine" : "ps",
                                         count > 0 ? "finer genes" : "parameter space",
                                         part_of(&plan->first, share * (1.0 - coarse)) };
    stages[count].search.sigma *= count > 0 ? WARM_SIGMA : 1.0;
    return count + 1;
}

static int64_t add_staged_path(const mg_stage_plan *plan, mg_stage_settings *stages)
{
    stages[0] = (mg_stage_settings){ MG_STAGE_SEARCH, "switches", "layers switched",
                                     part_of(&plan->first, SWITCHES_SHARE) };
    stages[0].search.path_encoding = MG_PATH_SWITCHES;
    stages[1] = (mg_stage_settings){ MG_STAGE_SCALES, "scales", "factors of the path",
                                     part_of(&plan->first, SCALES_SHARE) };
    stages[2] = (mg_stage_settings){ MG_STAGE_BOTH, "both", "layers and factors",
                                     part_of(&plan->first, 1.0 - SWITCHES_SHARE - SCALES_SHARE) };
    stages[2].search.sigma = SMALL_SIGMA;
    return 3;
}

int64_t mg_stage_plan_list(const mg_stage_plan *plan, mg_stage_settings stages_out[MG_STAGES_MAX])
{
    if (plan->space == MG_SPACE_PS) {
        return add_parameter_space(plan, 1.0, stages_out);
    }
    if (plan->space == MG_SPACE_DFS) {
        if (plan->staged_path) {
            return add_staged_path(plan, stages_out);
        }
        stages_out[0] = (mg_stage_settings){ MG_STAGE_SEARCH, "dfs", "data flow", plan->first };
        return 1;
    }
    double refine = plan->refine ? REFINE_SHARE : 0.0;
    double both = plan->shares_budget ? 1.0 - refine : 1.0;
    double path = plan->shares_budget ? PATH_SHARE * both : 1.0;
    int64_t count = add_parameter_space(plan, plan->shares_budget ? both - path : 1.0, stages_out);
    stages_out[count++] =
        (mg_stage_settings){ MG_STAGE_PATHS, "dfs", "data flow", part_of(&plan->then, path) };
    if (plan->refine) {
        stages_out[count] = (mg_stage_settings){ MG_STAGE_REFINE, "refined", "genes and factors",
                                                 part_of(&plan->first, refine) };
        stages_out[count].search.space = MG_SPACE_HYBRID;
        stages_out[count].search.restarts = 0;
        stages_out[count++].search.sigma = SMALL_SIGMA;
    }
    return count;
}
