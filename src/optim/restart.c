/* optim/restart.c - see restart.h; names follow evolution.md 7. */
#include "optim/restart.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"

#define POPULATION_MAX 1000000

void mg_restart_init(mg_restart *restart, mg_restart_kind kind, int64_t population, uint64_t seed)
{
    *restart = (mg_restart){ .kind = kind,
                             .seed = seed,
                             .population_first = population,
                             .population = population,
                             .sigma_factor = 1.0,
                             .small = true };
}

static int64_t doubled(int64_t population, int64_t times)
{
    return MG_MIN(population << times, POPULATION_MAX);
}

static void next_large(mg_restart *r)
{
    r->small = false;
    r->doublings++;
    r->population = doubled(r->population_first, r->doublings);
    r->sigma_factor = 1.0;
    r->evaluations_max = 0;
}

static void next_small(mg_restart *r)
{
    mg_rng rng = mg_rng_make(r->seed + (uint64_t)r->index, MG_STREAM_RESTART);
    double u = mg_rng_uniform(&rng);
    double first = (double)r->population_first;
    double large = (double)doubled(r->population_first, r->doublings);
    r->small = true;
    r->population =
        MG_MAX(r->population_first, (int64_t)floor(first * pow(large / (2.0 * first), u * u)));
    r->sigma_factor = pow(10.0, -2.0 * mg_rng_uniform(&rng));
    r->evaluations_max = MG_MAX(r->spent_large_last / 2, 1);
}

void mg_restart_next(mg_restart *r, int64_t evaluations)
{
    MG_ASSERT(r->index < MG_RESTART_MAX);
    r->index++;
    if (r->kind == MG_RESTART_IPOP) {
        r->population = doubled(r->population_first, r->index);
        return;
    }
    if (r->small) {
        r->spent_small += evaluations;
    } else {
        r->spent_large += evaluations;
        r->spent_large_last = evaluations;
    }
    /* Before the first large run there is nothing that a small one could be measured by. */
    if (r->doublings > 0 && r->spent_small < r->spent_large) {
        next_small(r);
    } else {
        next_large(r);
    }
}

void mg_restart_save(const mg_restart *r, mg_buf *out)
{
    mg_buf_printf(out, "%lld %lld %.17g %lld %d %lld %lld %lld %lld", (long long)r->index,
                  (long long)r->population, r->sigma_factor, (long long)r->evaluations_max,
                  r->small ? 1 : 0, (long long)r->doublings, (long long)r->spent_small,
                  (long long)r->spent_large, (long long)r->spent_large_last);
}

mg_status mg_restart_load(mg_restart *r, mg_str state, mg_error *err)
{
    char text[256];
    long long index, population, evaluations, doublings, small_spent, large_spent, large_last;
    double factor;
    int small;
    snprintf(text, sizeof(text), "%.*s", MG_STR_ARG(state));
    int count =
        sscanf(text, "%lld %lld %lf %lld %d %lld %lld %lld %lld", &index, &population, &factor,
               &evaluations, &small, &doublings, &small_spent, &large_spent, &large_last);
    if (count != 9 || index < 0 || index > MG_RESTART_MAX || doublings < 0 || doublings > index ||
        population < r->population_first || population > POPULATION_MAX || !(factor > 0.0) ||
        factor > 1.0 || evaluations < 0 || small_spent < 0 || large_spent < 0 || large_last < 0) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the restarts is damaged");
    }
    r->index = index;
    r->population = population;
    r->sigma_factor = factor;
    r->evaluations_max = evaluations;
    r->small = small != 0;
    r->doublings = doublings;
    r->spent_small = small_spent;
    r->spent_large = large_spent;
    r->spent_large_last = large_last;
    return MG_OK;
}
