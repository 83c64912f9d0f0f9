/* evolve/explorer.c - see explorer.h.
 *
 * State: the size of the optimiser's bytes as a 64-bit number, those bytes, then the bits'
 * bytes. */
#include "evolve/explorer.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "optim/bernoulli.h"

#define BIT_DEVIATION 0.5 /* of a bit's normal distribution, at the beginning */

static const double bit_values[2] = { 0.0, 1.0 };

struct mg_explorer {
    mg_explorer_kind kind;
    const mg_loop_space *space;
    int64_t bit_count, number_count;
    mg_cma *cma;        /* NULL for NSGA-II */
    mg_nsga2 *nsga;     /* NULL for others */
    mg_niches *niches;  /* NULL for others */
    mg_bernoulli *bits; /* natural gradient with bits, else NULL */
    mg_levels *levels;  /* margin with bits, else NULL: by coordinate */
    bool *sample;       /* (population, bit_count): the bits told to the optimiser */
    bool *relevant;     /* (population, coordinates of cma) */
    bool *drawn;        /* bit_count: scratch */
    double *odds;       /* bit_count: margin and NSGA-II; probability of each bit */
};

/* Arrays of CMA-ES over bits and numbers together. */
typedef struct joined {
    double *start, *scale, *lower, *upper, *covariance;
} joined;

static double *joined_array(const double *numbers, double bit, int64_t bits, int64_t count)
{
    if (numbers == NULL) {
        return NULL;
    }
    double *all = mg_new_array(double, bits + count);
    for (int64_t i = 0; i < bits; i++) {
        all[i] = bit;
    }
    memcpy(all + bits, numbers, (size_t)count * sizeof(double));
    return all;
}

/* Bits as discrete coordinates in front of the numbers.  A bit's mean lies where its first
 * probability comes out. */
static joined join(mg_explorer *s, mg_cma_options *o)
{
    int64_t bits = s->bit_count;
    int64_t n = s->number_count;
    MG_ASSERT(o->kind == MG_CMA_SEP && o->scale != NULL);
    joined all = { .start = joined_array(o->start, 0.0, bits, n),
                   .scale = joined_array(o->scale, BIT_DEVIATION / o->sigma, bits, n),
                   .lower = joined_array(o->lower, 0.0, bits, n),
                   .upper = joined_array(o->upper, 1.0, bits, n),
                   .covariance = joined_array(o->covariance, 1.0, bits, n) };
    s->levels = mg_new_array(mg_levels, bits + n);
    for (int64_t i = 0; i < bits; i++) {
        double odds = s->space->bit_start[i];
        all.start[i] = 0.5 + BIT_DEVIATION * mg_normal_quantile(fmin(fmax(odds, 1e-9), 1.0 - 1e-9));
        s->levels[i] = (mg_levels){ bit_values, 2 };
    }
    o->dimension = bits + n;
    o->start = all.start;
    o->scale = all.scale;
    o->lower = all.lower;
    o->upper = all.upper;
    o->covariance = all.covariance;
    o->levels = s->levels;
    return all;
}

static void joined_release(joined *all)
{
    mg_free(all->start);
    mg_free(all->scale);
    mg_free(all->lower);
    mg_free(all->upper);
    mg_free(all->covariance);
}

/* What the distribution of CMA-ES makes of each bit. */
static void update_odds(mg_explorer *s)
{
    for (int64_t i = 0; s->levels != NULL && i < s->bit_count; i++) {
        double z = (mg_cma_centre(s->cma, i) - 0.5) / mg_cma_deviation(s->cma, i);
        s->odds[i] = 0.5 * erfc(-z / sqrt(2.0));
    }
}

static mg_nsga2_options nsga_options(const mg_explorer *s, const mg_explorer_options *o)
{
    const mg_loop_space *space = s->space;
    return (mg_nsga2_options){ .dimension = space->dimension,
                               .bit_count = space->bit_count,
                               .bits_max = space->bits_max,
                               .bit_start = space->bit_start,
                               .start = space->start,
                               .lower = space->lower,
                               .upper = space->upper,
                               .population = o->cma.population,
                               .objective_count = o->objective_count,
                               .seed = o->cma.seed };
}

/* The optimiser itself: from state, or new when that is NULL. */
static mg_status open_optimiser(mg_explorer *s, const mg_explorer_options *o, const mg_str *state,
                                mg_error *err)
{
    if (s->kind == MG_EXPLORER_NSGA2) {
        mg_nsga2_options options = nsga_options(s, o);
        return state != NULL ? mg_nsga2_load(&options, *state, &s->nsga, err)
                             : mg_nsga2_create(&options, &s->nsga, err);
    }
    if (s->kind == MG_EXPLORER_NICHES) {
        return state != NULL ? mg_niches_load(&o->niches, *state, &s->niches, err)
                             : mg_niches_create(&o->niches, &s->niches, err);
    }
    mg_cma_options options = o->cma;
    joined all = { 0 };
    if (s->kind == MG_EXPLORER_MARGIN && s->bit_count > 0) {
        all = join(s, &options);
    }
    mg_status status = state != NULL ? mg_cma_load(&options, *state, &s->cma, err)
                                     : mg_cma_create(&options, &s->cma, err);
    joined_release(&all);
    return status;
}

/* What lies beside the optimiser, once it is there. */
static void add_bits(mg_explorer *s, uint64_t seed)
{
    if (s->bit_count == 0) {
        return;
    }
    int64_t population = mg_explorer_population(s);
    bool gradient = s->kind == MG_EXPLORER_GRADIENT;
    s->bits = gradient ? mg_bernoulli_create(s->space->bit_start, s->bit_count, seed) : NULL;
    s->sample = mg_new_array(bool, population * s->bit_count);
    s->relevant = mg_new_array(bool, population * s->space->dimension);
    s->drawn = mg_new_array(bool, s->bit_count);
    s->odds = mg_new_array(double, s->bit_count);
    memcpy(s->odds, s->space->bit_start, (size_t)s->bit_count * sizeof(double));
    update_odds(s);
}

static mg_explorer *explorer_new(const mg_explorer_options *options, const mg_loop_space *space)
{
    mg_explorer *s = mg_new(mg_explorer);
    s->kind = options->kind;
    s->space = space;
    s->bit_count = space->bit_count;
    s->number_count = space->dimension - space->bit_count;
    MG_ASSERT(s->kind == MG_EXPLORER_NSGA2 || s->kind == MG_EXPLORER_NICHES ||
              s->number_count == options->cma.dimension);
    return s;
}

mg_status mg_explorer_create(const mg_explorer_options *options, const mg_loop_space *space,
                             mg_explorer **explorer_out, mg_error *err)
{
    *explorer_out = NULL;
    mg_explorer *s = explorer_new(options, space);
    mg_status status = open_optimiser(s, options, NULL, err);
    if (status != MG_OK) {
        mg_explorer_destroy(s);
        return status;
    }
    add_bits(s, options->cma.seed);
    *explorer_out = s;
    return MG_OK;
}

mg_status mg_explorer_load(const mg_explorer_options *options, const mg_loop_space *space,
                           mg_str state, mg_explorer **explorer_out, mg_error *err)
{
    *explorer_out = NULL;
    uint64_t size = 0;
    if (state.size < sizeof(size)) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser ends early");
    }
    memcpy(&size, state.data, sizeof(size));
    mg_str rest = mg_str_slice(state, sizeof(size), state.size);
    if (size > rest.size) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser ends early");
    }
    mg_status status = MG_OK;
    mg_explorer *s = explorer_new(options, space);
    mg_str bytes = mg_str_slice(rest, 0, size);
    MG_TRY_OR_DONE(open_optimiser(s, options, &bytes, err));
    add_bits(s, options->cma.seed);
    if (s->bits != NULL) {
        MG_TRY_OR_DONE(mg_bernoulli_load(s->bits, mg_str_slice(rest, size, rest.size), err));
    }
    *explorer_out = s;
    s = NULL;

done:
    mg_explorer_destroy(s);
    return status;
}

void mg_explorer_save(const mg_explorer *explorer, mg_buf *out)
{
    mg_buf bytes = { 0 };
    if (explorer->nsga != NULL) {
        mg_nsga2_save(explorer->nsga, &bytes);
    } else if (explorer->niches != NULL) {
        mg_niches_save(explorer->niches, &bytes);
    } else {
        mg_cma_save(explorer->cma, &bytes);
    }
    uint64_t size = bytes.size;
    mg_buf_add(out, mg_str_make((const char *)&size, sizeof(size)));
    mg_buf_add(out, mg_buf_view(&bytes));
    if (explorer->bits != NULL) {
        mg_bernoulli_save(explorer->bits, out);
    }
    mg_buf_release(&bytes);
}

void mg_explorer_destroy(mg_explorer *explorer)
{
    if (explorer != NULL) {
        mg_cma_destroy(explorer->cma);
        mg_nsga2_destroy(explorer->nsga);
        mg_niches_destroy(explorer->niches);
        mg_bernoulli_destroy(explorer->bits);
        mg_free(explorer->levels);
        mg_free(explorer->sample);
        mg_free(explorer->relevant);
        mg_free(explorer->drawn);
        mg_free(explorer->odds);
        mg_free(explorer);
    }
}

int64_t mg_explorer_population(const mg_explorer *explorer)
{
    return explorer->nsga != NULL     ? mg_nsga2_population(explorer->nsga)
           : explorer->niches != NULL ? mg_niches_batch(explorer->niches)
                                      : mg_cma_population(explorer->cma);
}

/* Which numbers play a part in x. */
static void find_relevant(const mg_explorer *s, const double *x, bool *relevant)
{
    if (s->space->played != NULL) {
        memset(relevant, 0, (size_t)s->number_count * sizeof(relevant[0]));
        s->space->played(s->space->played_context, x, relevant);
        return;
    }
    for (int64_t i = 0; i < s->number_count; i++) {
        int64_t gate = s->space->gates[i];
        relevant[i] = gate < 0 || x[gate] != 0.0;
    }
}

/* Bits by natural gradient, numbers by CMA-ES. */
static void ask_gradient(mg_explorer *s, int64_t k, double *x_out)
{
    mg_cma_ask(s->cma, k, x_out + s->bit_count);
    if (s->bits == NULL) {
        return;
    }
    mg_bernoulli_ask(s->bits, mg_cma_generation(s->cma), k, s->drawn);
    for (int64_t i = 0; i < s->bit_count; i++) {
        x_out[i] = s->drawn[i] ? 1.0 : 0.0;
    }
    mg_bits_limit(x_out, s->bit_count, s->space->bits_max, mg_bernoulli_probabilities(s->bits));
    for (int64_t i = 0; i < s->bit_count; i++) {
        s->sample[k * s->bit_count + i] = x_out[i] != 0.0;
    }
    find_relevant(s, x_out, s->relevant + k * s->number_count);
}

/* All by CMA-ES.  A bit that the limit has cleared teaches nothing about itself. */
static void ask_margin(mg_explorer *s, int64_t k, double *x_out)
{
    mg_cma_ask(s->cma, k, x_out);
    bool *relevant = s->relevant + k * s->space->dimension;
    for (int64_t i = 0; i < s->bit_count; i++) {
        s->drawn[i] = x_out[i] != 0.0;
    }
    mg_bits_limit(x_out, s->bit_count, s->space->bits_max, s->odds);
    for (int64_t i = 0; i < s->bit_count; i++) {
        relevant[i] = s->drawn[i] == (x_out[i] != 0.0);
    }
    find_relevant(s, x_out, relevant + s->bit_count);
}

void mg_explorer_ask(mg_explorer *s, int64_t k, double *x_out)
{
    if (s->niches != NULL) {
        mg_niches_ask(s->niches, k, x_out);
    } else if (s->nsga != NULL) {
        mg_nsga2_ask(s->nsga, k, x_out);
    } else if (s->levels != NULL) {
        ask_margin(s, k, x_out);
    } else {
        ask_gradient(s, k, x_out);
    }
}

void mg_explorer_tell(mg_explorer *s, const mg_explorer_told *told)
{
    if (s->niches != NULL) {
        mg_niches_tell(s->niches, told->first_id, told->answers, told->violations);
        return;
    }
    if (s->nsga != NULL) {
        mg_nsga2_tell(s->nsga, told->first_id, told->objectives, told->violations);
        return;
    }
    if (s->bit_count == 0) {
        mg_cma_tell(s->cma, told->costs, told->violations);
        return;
    }
    mg_cma_tell_relevant(s->cma, told->costs, told->violations, s->relevant);
    if (s->bits != NULL) {
        const mg_cma_constants *constants = mg_cma_constants_view(s->cma);
        mg_bernoulli_tell(s->bits, s->sample, mg_cma_order(s->cma), constants->weights,
                          constants->mu);
    }
    update_odds(s);
}

void mg_explorer_mean(const mg_explorer *s, double *x_out)
{
    if (s->niches != NULL) {
        memcpy(x_out, mg_niches_member_at(s->niches, 0).x,
               (size_t)s->space->dimension * sizeof(double));
    } else if (s->nsga != NULL) {
        bool any = mg_nsga2_member_count(s->nsga) > 0;
        const double *x = any ? mg_nsga2_member_at(s->nsga, 0).x : s->space->start;
        memcpy(x_out, x, (size_t)s->space->dimension * sizeof(double));
    } else if (s->levels != NULL) {
        mg_cma_mean(s->cma, x_out);
    } else {
        mg_cma_mean(s->cma, x_out + s->bit_count);
    }
    for (int64_t i = 0; s->bits != NULL && i < s->bit_count; i++) {
        x_out[i] = mg_bernoulli_probabilities(s->bits)[i] > 0.5 ? 1.0 : 0.0;
    }
    if (s->bit_count > 0) {
        mg_bits_limit(x_out, s->bit_count, s->space->bits_max, mg_explorer_probabilities(s));
    }
}

const double *mg_explorer_probabilities(const mg_explorer *explorer)
{
    return explorer->bits != NULL ? mg_bernoulli_probabilities(explorer->bits) : explorer->odds;
}

double mg_explorer_sigma(const mg_explorer *explorer)
{
    return explorer->cma != NULL ? mg_cma_sigma(explorer->cma) : 0.0;
}

void mg_explorer_scale_step(mg_explorer *explorer, double factor)
{
    mg_cma_scale_step(explorer->cma, factor);
}

double mg_explorer_learning_rate(const mg_explorer *explorer)
{
    return explorer->cma != NULL ? mg_cma_learning_rate(explorer->cma) : 1.0;
}

const char *mg_explorer_stop(const mg_explorer *explorer)
{
    return explorer->cma != NULL ? mg_cma_stop(explorer->cma) : NULL;
}

mg_nsga2 *mg_explorer_nsga2(const mg_explorer *explorer)
{
    return explorer->nsga;
}

mg_niches *mg_explorer_niches(const mg_explorer *explorer)
{
    return explorer->niches;
}

int64_t mg_explorer_generation(const mg_explorer *explorer)
{
    return mg_cma_generation(explorer->cma);
}

mg_status mg_explorer_to_full(mg_explorer *explorer, const mg_explorer_options *options,
                              mg_error *err)
{
    MG_ASSERT(explorer->cma != NULL && explorer->bit_count == 0);
    mg_cma *full = NULL;
    MG_TRY(mg_cma_to_full(explorer->cma, &options->cma, &full, err));
    mg_cma_destroy(explorer->cma);
    explorer->cma = full;
    return MG_OK;
}
