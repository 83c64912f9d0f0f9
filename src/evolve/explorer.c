/* evolve/explorer.c - see explorer.h.
 *
 * State: the size of the optimiser's bytes as a 64-bit number, those bytes, then the bits'
 * bytes. */
#include "evolve/explorer.h"

#include <string.h>

#include "base/memory.h"
#include "optim/bernoulli.h"

struct mg_explorer {
    const mg_loop_space *space;
    int64_t bit_count, number_count;
    mg_cma *cma;
    mg_bernoulli *bits; /* NULL without bits */
    bool *sample;       /* (population, bit_count): the bits told to the optimiser */
    bool *relevant;     /* (population, number_count) */
    bool *drawn;        /* bit_count: scratch */
};

static mg_explorer *explorer_new(const mg_cma_options *options, const mg_loop_space *space)
{
    mg_explorer *s = mg_new(mg_explorer);
    s->space = space;
    s->bit_count = space->bit_count;
    s->number_count = options->dimension;
    MG_ASSERT(s->bit_count + s->number_count == space->dimension);
    return s;
}

/* What depends on the population, once the optimiser is there. */
static void add_bits(mg_explorer *s, uint64_t seed)
{
    if (s->bit_count == 0) {
        return;
    }
    int64_t population = mg_cma_population(s->cma);
    s->bits = mg_bernoulli_create(s->space->bit_start, s->bit_count, seed);
    s->sample = mg_new_array(bool, population * s->bit_count);
    s->relevant = mg_new_array(bool, population * s->number_count);
    s->drawn = mg_new_array(bool, s->bit_count);
}

mg_status mg_explorer_create(const mg_cma_options *options, const mg_loop_space *space,
                             mg_explorer **explorer_out, mg_error *err)
{
    *explorer_out = NULL;
    mg_explorer *s = explorer_new(options, space);
    mg_status status = mg_cma_create(options, &s->cma, err);
    if (status != MG_OK) {
        mg_explorer_destroy(s);
        return status;
    }
    add_bits(s, options->seed);
    *explorer_out = s;
    return MG_OK;
}

mg_status mg_explorer_load(const mg_cma_options *options, const mg_loop_space *space, mg_str state,
                           mg_explorer **explorer_out, mg_error *err)
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
    MG_TRY_OR_DONE(mg_cma_load(options, mg_str_slice(rest, 0, size), &s->cma, err));
    add_bits(s, options->seed);
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
    mg_buf cma = { 0 };
    mg_cma_save(explorer->cma, &cma);
    uint64_t size = cma.size;
    mg_buf_add(out, mg_str_make((const char *)&size, sizeof(size)));
    mg_buf_add(out, mg_buf_view(&cma));
    if (explorer->bits != NULL) {
        mg_bernoulli_save(explorer->bits, out);
    }
    mg_buf_release(&cma);
}

void mg_explorer_destroy(mg_explorer *explorer)
{
    if (explorer != NULL) {
        mg_cma_destroy(explorer->cma);
        mg_bernoulli_destroy(explorer->bits);
        mg_free(explorer->sample);
        mg_free(explorer->relevant);
        mg_free(explorer->drawn);
        mg_free(explorer);
    }
}

int64_t mg_explorer_population(const mg_explorer *explorer)
{
    return mg_cma_population(explorer->cma);
}

void mg_explorer_limit_bits(const mg_loop_space *space, const double *probabilities, double *x)
{
    int64_t set = 0;
    for (int64_t i = 0; i < space->bit_count; i++) {
        set += x[i] != 0.0 ? 1 : 0;
    }
    for (; set > space->bits_max; set--) {
        int64_t least = -1;
        for (int64_t i = 0; i < space->bit_count; i++) { /* equal ones: the later goes first */
            if (x[i] != 0.0 && (least < 0 || probabilities[i] <= probabilities[least])) {
                least = i;
            }
        }
        x[least] = 0.0;
    }
}

void mg_explorer_ask(mg_explorer *s, int64_t k, double *x_out)
{
    mg_cma_ask(s->cma, k, x_out + s->bit_count);
    if (s->bits == NULL) {
        return;
    }
    mg_bernoulli_ask(s->bits, mg_cma_generation(s->cma), k, s->drawn);
    for (int64_t i = 0; i < s->bit_count; i++) {
        x_out[i] = s->drawn[i] ? 1.0 : 0.0;
    }
    mg_explorer_limit_bits(s->space, mg_bernoulli_probabilities(s->bits), x_out);
    for (int64_t i = 0; i < s->bit_count; i++) {
        s->sample[k * s->bit_count + i] = x_out[i] != 0.0;
    }
    for (int64_t i = 0; i < s->number_count; i++) {
        int64_t gate = s->space->gates[i];
        s->relevant[k * s->number_count + i] = gate < 0 || x_out[gate] != 0.0;
    }
}

void mg_explorer_tell(mg_explorer *s, const double *costs, const double *violations)
{
    if (s->bits == NULL) {
        mg_cma_tell(s->cma, costs, violations);
        return;
    }
    const mg_cma_constants *constants = mg_cma_constants_view(s->cma);
    mg_cma_tell_relevant(s->cma, costs, violations, s->relevant);
    mg_bernoulli_tell(s->bits, s->sample, mg_cma_order(s->cma), constants->weights, constants->mu);
}

void mg_explorer_mean(const mg_explorer *s, double *x_out)
{
    mg_cma_mean(s->cma, x_out + s->bit_count);
    if (s->bits == NULL) {
        return;
    }
    const double *q = mg_bernoulli_probabilities(s->bits);
    for (int64_t i = 0; i < s->bit_count; i++) {
        x_out[i] = q[i] > 0.5 ? 1.0 : 0.0;
    }
    mg_explorer_limit_bits(s->space, q, x_out);
}

const double *mg_explorer_probabilities(const mg_explorer *explorer)
{
    return explorer->bits != NULL ? mg_bernoulli_probabilities(explorer->bits) : NULL;
}

double mg_explorer_sigma(const mg_explorer *explorer)
{
    return mg_cma_sigma(explorer->cma);
}

double mg_explorer_learning_rate(const mg_explorer *explorer)
{
    return mg_cma_learning_rate(explorer->cma);
}

const char *mg_explorer_stop(const mg_explorer *explorer)
{
    return mg_cma_stop(explorer->cma);
}
