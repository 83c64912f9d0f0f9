/* optim/cmaes_state.c - the state of an optimiser as bytes (evolution.md 15).
 *
 * "MGCMA1" and two NULs, then 64-bit little-endian words: kind, n, lambda, a checksum of the
 * options that shape the run, counters, then the doubles of every array in the order of fields()
 * below.  The population under evaluation is not stored: it is a function of the rest; only
 * injected candidates are. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "optim/cmaes_internal.h"

static const char magic[8] = "MGCMA1";

enum { COUNTER_COUNT = 9, FIELD_MAX = 24 };

typedef struct field {
    double *data;
    int64_t count;
} field;

/* Every array of the state; scalars are arrays of one. */
static int64_t fields(mg_cma *cma, field list[FIELD_MAX])
{
    int64_t n = cma->n;
    int64_t square = cma->options.kind == MG_CMA_FULL ? n * n : n;
    const field all[] = {
        { &cma->sigma, 1 },
        { cma->mean, n },
        { cma->stretch, n },
        { cma->p_s, n },
        { cma->p_c, n },
        { cma->c, square },
        { cma->b, n * n },
        { cma->d, n },
        { cma->directions, cma->direction_count * n },
        { cma->rate_mean.e, cma->rate_mean.count },
        { cma->rate_cov.e, cma->rate_cov.count },
        { &cma->rate_mean.v, 1 },
        { &cma->rate_mean.eta, 1 },
        { &cma->rate_cov.v, 1 },
        { &cma->rate_cov.eta, 1 },
        { cma->costs, cma->lambda },
        { cma->history_best, cma->history_count },
        { cma->history_median, cma->history_count },
    };
    int64_t count = 0;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(all); i++) {
        if (all[i].data != NULL) {
            list[count++] = all[i];
        }
    }
    return count;
}

/* Recognises a state that belongs to other options. */
static uint64_t options_check(const mg_cma *cma)
{
    const mg_cma_options *o = &cma->options;
    uint64_t words[] = { (uint64_t)o->kind,   (uint64_t)cma->n, (uint64_t)cma->lambda,
                         (uint64_t)o->bounds, o->active,        o->adapt_learning_rate,
                         o->sep_classic,      o->seed };
    uint64_t hash = mg_hash64(words, sizeof(words), 0);
    hash = mg_hash64(cma->unit, (size_t)cma->n * sizeof(double), hash);
    for (int64_t i = 0; i < cma->n; i++) {
        if (!mg_cma_discrete(cma, i)) {
            continue;
        }
        size_t bytes = (size_t)cma->levels[i].count * sizeof(double);
        hash = mg_hash64(cma->levels[i].values, bytes, hash + 1);
    }
    if (cma->lower != NULL) {
        hash = mg_hash64(cma->lower, (size_t)cma->n * sizeof(double), hash);
        hash = mg_hash64(cma->upper, (size_t)cma->n * sizeof(double), hash);
    }
    return hash;
}

static void add_bytes(mg_buf *out, const void *data, size_t size)
{
    mg_buf_add(out, mg_str_make((const char *)data, size));
}

void mg_cma_save(const mg_cma *cma, mg_buf *out)
{
    mg_cma copy = *cma; /* fields() hands out writable pointers; nothing is written through them */
    int64_t injected_count = 0;
    for (int64_t k = 0; k < cma->lambda; k++) {
        injected_count += cma->injected[k] ? 1 : 0;
    }
    uint64_t counters[COUNTER_COUNT] = {
        (uint64_t)cma->options.kind,  (uint64_t)cma->n,          (uint64_t)cma->lambda,
        options_check(cma),           (uint64_t)cma->generation, (uint64_t)cma->eigen_generation,
        (uint64_t)cma->history_count, (uint64_t)cma->flat_count, (uint64_t)injected_count,
    };
    add_bytes(out, magic, sizeof(magic));
    add_bytes(out, counters, sizeof(counters));
    add_bytes(out, cma->stop, sizeof(cma->stop));
    add_bytes(out, cma->order, (size_t)cma->lambda * sizeof(int64_t));
    field list[FIELD_MAX];
    int64_t count = fields(&copy, list);
    for (int64_t i = 0; i < count; i++) {
        add_bytes(out, list[i].data, (size_t)list[i].count * sizeof(double));
    }
    for (int64_t k = 0; k < cma->lambda; k++) {
        if (cma->injected[k]) {
            add_bytes(out, &k, sizeof(k));
            add_bytes(out, cma->y + k * cma->n, (size_t)cma->n * sizeof(double));
        }
    }
}

/* Cuts size bytes off *rest into data. */
static mg_status take(mg_str *rest, void *data, size_t size, mg_error *err)
{
    if (rest->size < size) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser ends early");
    }
    if (size > 0) {
        memcpy(data, rest->data, size);
    }
    *rest = mg_str_slice(*rest, size, rest->size);
    return MG_OK;
}

static mg_status read_state(mg_cma *cma, mg_str rest, mg_error *err)
{
    char head[sizeof(magic)];
    uint64_t counters[COUNTER_COUNT];
    MG_TRY(take(&rest, head, sizeof(head), err));
    MG_TRY(take(&rest, counters, sizeof(counters), err));
    if (memcmp(head, magic, sizeof(magic)) != 0) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser has an unknown format");
    }
    if (counters[3] != options_check(cma)) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser belongs to other options");
    }
    if (counters[6] > rest.size / sizeof(double) || counters[4] > INT32_MAX ||
        counters[5] > counters[4] || counters[8] > (uint64_t)cma->lambda) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser has impossible counters");
    }
    cma->generation = (int64_t)counters[4];
    cma->eigen_generation = (int64_t)counters[5];
    cma->history_count = cma->history_cap = (int64_t)counters[6];
    cma->flat_count = (int64_t)counters[7];
    if (cma->history_count > 0) {
        cma->history_best = mg_new_array(double, cma->history_count);
        cma->history_median = mg_new_array(double, cma->history_count);
    }
    MG_TRY(take(&rest, cma->stop, sizeof(cma->stop), err));
    cma->stop[sizeof(cma->stop) - 1] = '\0';
    MG_TRY(take(&rest, cma->order, (size_t)cma->lambda * sizeof(int64_t), err));
    field list[FIELD_MAX];
    int64_t count = fields(cma, list);
    for (int64_t i = 0; i < count; i++) {
        MG_TRY(take(&rest, list[i].data, (size_t)list[i].count * sizeof(double), err));
    }
    for (int64_t i = 0; cma->stretch != NULL && i < cma->n; i++) {
        if (!(cma->stretch[i] > 0.0) || !isfinite(cma->stretch[i])) {
            return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser has an impossible stretch");
        }
        cma->scale[i] = cma->unit[i] * cma->stretch[i];
    }
    for (uint64_t i = 0; i < counters[8]; i++) {
        int64_t k = -1;
        MG_TRY(take(&rest, &k, sizeof(k), err));
        if (k < 0 || k >= cma->lambda) {
            return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser has impossible counters");
        }
        MG_TRY(take(&rest, cma->y + k * cma->n, (size_t)cma->n * sizeof(double), err));
        cma->injected[k] = true;
    }
    if (rest.size != 0) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the optimiser has %zu bytes too many",
                       rest.size);
    }
    return MG_OK;
}

/* A smoothed step of the diagonal among the entries of the whole matrix. */
static void copy_rates(mg_cma *full, const mg_cma *cma)
{
    int64_t n = cma->n;
    full->rate_mean.v = cma->rate_mean.v;
    full->rate_mean.eta = cma->rate_mean.eta;
    full->rate_cov.v = cma->rate_cov.v;
    full->rate_cov.eta = cma->rate_cov.eta;
    for (int64_t i = 0; cma->options.adapt_learning_rate && i < n; i++) {
        full->rate_mean.e[i] = cma->rate_mean.e[i];
        full->rate_cov.e[i * n + i] = cma->rate_cov.e[i];
    }
}

mg_status mg_cma_to_full(const mg_cma *cma, const mg_cma_options *options, mg_cma **full_out,
                         mg_error *err)
{
    MG_ASSERT(cma->options.kind == MG_CMA_SEP && options->kind == MG_CMA_FULL);
    MG_ASSERT(!cma->sampled && options->dimension == cma->n);
    MG_TRY(mg_cma_create(options, full_out, err));
    mg_cma *full = *full_out;
    MG_ASSERT(full->lambda == cma->lambda && (full->stretch != NULL) == (cma->stretch != NULL));
    int64_t n = cma->n;
    size_t vector = (size_t)n * sizeof(double);
    full->generation = cma->generation;
    full->sigma = cma->sigma;
    full->flat_count = cma->flat_count;
    memcpy(full->mean, cma->mean, vector);
    memcpy(full->p_s, cma->p_s, vector);
    memcpy(full->p_c, cma->p_c, vector);
    memcpy(full->scale, cma->scale, vector);
    if (cma->stretch != NULL) {
        memcpy(full->stretch, cma->stretch, vector);
    }
    for (int64_t i = 0; i < n; i++) {
        full->c[i * n + i] = cma->c[i];
    }
    mg_cma_decompose(full);
    copy_rates(full, cma);
    memcpy(full->order, cma->order, (size_t)cma->lambda * sizeof(int64_t));
    memcpy(full->costs, cma->costs, (size_t)cma->lambda * sizeof(double));
    return MG_OK;
}

mg_status mg_cma_load(const mg_cma_options *options, mg_str state, mg_cma **cma_out, mg_error *err)
{
    *cma_out = NULL;
    mg_status status = MG_OK;
    mg_cma *cma = NULL;
    MG_TRY_OR_DONE(mg_cma_create(options, &cma, err));
    MG_TRY_OR_DONE(read_state(cma, state, err));
    *cma_out = cma;
    cma = NULL;

done:
    mg_cma_destroy(cma);
    return status;
}
