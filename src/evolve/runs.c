/* evolve/runs.c - what the optimiser's runs look like: its form, its options, where a run begins
 * (evolution.md 6.4, 7). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "optim/bounds.h"
#include "optim/warm.h"

#define FULL_DIMENSION_MAX 100   /* above it the diagonal form */
#define SEP_EVALUATIONS 20       /* fewer evaluations a gene: the diagonal form */
#define SWITCH_DIMENSION_MAX 400 /* above it the diagonal form stays */
#define RESTART_EVALUATIONS 300  /* fewer evaluations a gene: no restart unless asked for */
#define WARM_BIT_MIN 0.02        /* no bit begins more certain than that */
#define RESTART_SPREAD 0.2       /* of the range, around the best so far */

mg_cma_kind mg_loop_choose_kind(const mg_loop *loop)
{
    int64_t n = loop->o->space.dimension;
    if (loop->o->space.bit_count > 0 || loop->o->search->space == MG_SPACE_DFS) {
        return MG_CMA_SEP; /* the only form that knows of numbers without a part */
    }
    switch (loop->o->search->optimiser) {
    case MG_OPTIMISER_SEP:
    case MG_OPTIMISER_SWITCH:
        return MG_CMA_SEP;
    case MG_OPTIMISER_LM_MA:
        return MG_CMA_LM_MA;
    case MG_OPTIMISER_CMA:
        return MG_CMA_FULL;
    case MG_OPTIMISER_AUTO:
    case MG_OPTIMISER_LRA:
    case MG_OPTIMISER_NSGA2:
    case MG_OPTIMISER_NICHES:
        break;
    }
    bool sep = n > FULL_DIMENSION_MAX || loop->evaluations_total < SEP_EVALUATIONS * n;
    return sep ? MG_CMA_SEP : MG_CMA_FULL;
}

void mg_loop_first_run(const mg_loop *loop, mg_restart *restart)
{
    const mg_search_config *search = loop->o->search;
    int64_t n = loop->o->space.dimension - loop->o->space.bit_count;
    int64_t population = search->population > 0 ? search->population : mg_cma_default_population(n);
    if (search->population == 0 && search->optimiser == MG_OPTIMISER_NSGA2) {
        int64_t least = MG_NSGA2_POPULATION_PER_OBJECTIVE * mg_loop_objective_tasks(loop, NULL);
        population = MG_MAX(MG_NSGA2_POPULATION, least);
    }
    mg_restart_init(restart, search->restart, population, search->seed);
}

bool mg_loop_may_restart(const mg_loop *loop, const mg_restart *restart)
{
    const mg_search_config *search = loop->o->search;
    bool affordable = loop->evaluations_total >= RESTART_EVALUATIONS * loop->o->space.dimension;
    return restart->index < search->restarts && (affordable || !search->restarts_from_preset);
}

static void make_options(const mg_loop *loop, mg_cma_kind kind, const mg_restart *restart,
                         const double *start, mg_cma_options *out)
{
    const mg_search_config *search = loop->o->search;
    const mg_preset *preset = search->preset;
    const mg_loop_space *space = &loop->o->space;
    int64_t bits = space->bit_count;
    bool lra = search->optimiser == MG_OPTIMISER_LRA ||
               (preset->adapt_learning_rate && search->optimiser != MG_OPTIMISER_CMA);
    *out = (mg_cma_options){
        .kind = kind,
        .dimension = space->dimension - bits,
        .population = restart->population,
        .start = start + bits,
        .sigma = search->sigma * restart->sigma_factor,
        .scale = space->scale + bits,
        .lower = space->lower != NULL ? space->lower + bits : NULL,
        .upper = space->upper != NULL ? space->upper + bits : NULL,
        .bounds = space->lower != NULL ? preset->bounds : MG_BOUND_NONE,
        .active = preset->active,
        .adapt_learning_rate = lra && kind != MG_CMA_LM_MA,
        .noisy = true,
        .seed = search->seed + 1000003 * (uint64_t)restart->index,
    };
}

/* A restart begins anywhere in the inner 80 % of the box, or close to the best so far; without
 * bounds, at the first start or close to the best. */
static void run_start(mg_loop *loop, const mg_restart *restart, double *start)
{
    const mg_loop_space *space = &loop->o->space;
    size_t bytes = (size_t)space->dimension * sizeof(double);
    memcpy(start, space->start, bytes);
    if (restart->index == 0) {
        return;
    }
    uint64_t seed = loop->o->search->seed + (uint64_t)restart->index;
    mg_rng rng = mg_rng_make(seed, MG_STREAM_TIES);
    const mg_loop_candidate *best = mg_loop_candidate_at(loop, loop->best_id);
    bool near_best = loop->o->search->restart_near_best && best != NULL;
    if (near_best) {
        memcpy(start, best->genome, bytes);
    }
    for (int64_t i = 0; i < space->dimension; i++) {
        if (near_best) {
            start[i] += RESTART_SPREAD * space->scale[i] * mg_rng_normal(&rng);
            start[i] = space->lower != NULL
                           ? mg_bound_clip(start[i], space->lower[i], space->upper[i])
                           : start[i];
        } else if (space->lower != NULL) {
            double range = space->upper[i] - space->lower[i];
            start[i] = space->lower[i] + range * (0.1 + 0.8 * mg_rng_uniform(&rng));
        }
    }
}

/* A distribution around the points of earlier runs, for the first run: overwrites start, and sigma
 * and covariance of options.  Returns the covariance, which the caller frees. */
static double *warm_options(const mg_loop *loop, double *start, mg_cma_options *options)
{
    const mg_loop_space *space = &loop->o->space;
    int64_t bits = space->bit_count;
    int64_t n = options->dimension;
    int64_t count = loop->o->warm_count;
    bool transform = options->bounds == MG_BOUND_TRANSFORM;
    bool full = options->kind == MG_CMA_FULL;
    double *points = mg_new_array(double, count *n);
    double *mean = mg_new_array(double, n);
    double *covariance = mg_new_array(double, full ? n *n : n);
    for (int64_t p = 0; p < count; p++) {
        for (int64_t i = 0; i < n; i++) {
            double scale = options->scale[i];
            double x = loop->o->warm_points[p * space->dimension + bits + i] / scale;
            double low = transform ? options->lower[i] / scale : 0.0;
            double high = transform ? options->upper[i] / scale : 0.0;
            points[p * n + i] =
                transform ? mg_bound_inverse(mg_bound_clip(x, low, high), low, high) : x;
        }
    }
    mg_warm_start(points, count, n, full, mean, covariance, &options->sigma);
    for (int64_t i = 0; i < n; i++) {
        double scale = options->scale[i];
        double x = transform ? mg_bound_transform(mean[i], options->lower[i] / scale,
                                                  options->upper[i] / scale)
                             : mean[i];
        start[bits + i] = x * scale;
    }
    options->covariance = covariance;
    mg_free(points);
    mg_free(mean);
    return covariance;
}

/* The space with bits as probable as among the points of earlier runs; lives as long as the loop.
 */
static const mg_loop_space *warm_space(mg_loop *loop)
{
    const mg_loop_space *space = &loop->o->space;
    mg_loop_space *warm = mg_arena_new(&loop->arena, mg_loop_space);
    double *odds = mg_arena_array(&loop->arena, double, MG_MAX(space->bit_count, 1));
    for (int64_t i = 0; i < space->bit_count; i++) {
        double set = 0.0;
        for (int64_t p = 0; p < loop->o->warm_count; p++) {
            set += loop->o->warm_points[p * space->dimension + i] != 0.0 ? 1.0 : 0.0;
        }
        odds[i] = fmin(fmax(set / (double)loop->o->warm_count, WARM_BIT_MIN), 1.0 - WARM_BIT_MIN);
    }
    *warm = *space;
    warm->bit_start = odds;
    return warm;
}

static mg_explorer_kind explorer_kind(const mg_search_config *search)
{
    if (search->optimiser == MG_OPTIMISER_NICHES) {
        return MG_EXPLORER_NICHES;
    }
    if (search->optimiser == MG_OPTIMISER_NSGA2) {
        return MG_EXPLORER_NSGA2;
    }
    return search->switches_by_margin ? MG_EXPLORER_MARGIN : MG_EXPLORER_GRADIENT;
}

mg_status mg_loop_open_run(mg_loop *loop, mg_cma_kind kind, const mg_restart *restart, mg_str state,
                           mg_explorer **explorer_out, mg_error *err)
{
    const mg_loop_space *space = &loop->o->space;
    double *start = mg_new_array(double, space->dimension);
    double *covariance = NULL;
    mg_explorer_options options = { .kind = explorer_kind(loop->o->search),
                                    .objective_count = mg_loop_objective_tasks(loop, NULL) };
    run_start(loop, restart, start);
    make_options(loop, kind, restart, start, &options.cma);
    if (options.kind == MG_EXPLORER_NICHES) {
        options.niches = mg_loop_niches_options(loop);
    }
    if (loop->o->warm_count > 0 && restart->index == 0 && state.size == 0) {
        covariance = warm_options(loop, start, &options.cma);
        space = warm_space(loop);
    }
    mg_status status = state.size > 0 ? mg_explorer_load(&options, space, state, explorer_out, err)
                                      : mg_explorer_create(&options, space, explorer_out, err);
    mg_free(covariance);
    if (status == MG_OK && options.kind == MG_EXPLORER_NICHES && state.size == 0) {
        status = mg_loop_add_experts(loop, mg_explorer_niches(*explorer_out), err);
    }
    mg_free(start);
    return status;
}

mg_status mg_loop_switch_form(mg_loop *loop, mg_cma_kind *kind, const mg_restart *restart,
                              mg_explorer *explorer, mg_error *err)
{
    int64_t n = loop->o->space.dimension;
    double population = (double)restart->population;
    if (loop->o->search->optimiser != MG_OPTIMISER_SWITCH || *kind != MG_CMA_SEP ||
        loop->o->space.bit_count > 0 || n > SWITCH_DIMENSION_MAX ||
        (double)mg_explorer_generation(explorer) < 2.0 + 100.0 * (double)n / sqrt(population)) {
        return MG_OK;
    }
    double *start = mg_new_array(double, n);
    mg_explorer_options options = { .kind = MG_EXPLORER_GRADIENT };
    run_start(loop, restart, start);
    make_options(loop, MG_CMA_FULL, restart, start, &options.cma);
    mg_status status = mg_explorer_to_full(explorer, &options, err);
    *kind = status == MG_OK ? MG_CMA_FULL : *kind;
    mg_free(start);
    return status;
}
