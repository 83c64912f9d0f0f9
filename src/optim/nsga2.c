/* optim/nsga2.c - see nsga2.h.
 *
 * State: "MGNSGA1" and a NUL, then 64-bit words: a checksum of the options, generation, number of
 * members; then for each member its id, violation, objectives and vector.  Fronts and crowding are
 * functions of these, and so are the children under evaluation. */
#include "optim/nsga2.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "optim/bernoulli.h"
#include "optim/front.h"

#define OBJECTIVES_MAX 16
#define SBX_PAIR 0.9
#define SBX_VARIABLE 0.5
#define SBX_ETA 15.0
#define SBX_SAME 1e-14
#define MUTATION_INDIVIDUAL 0.9
#define MUTATION_ETA 20.0
#define DUPLICATE_DISTANCE 1e-6 /* of the range, in every coordinate */
#define REDRAWS_MAX 10

static const char magic[8] = "MGNSGA1";

/* Members by structure of arrays; the first parent_count are the living. */
struct mg_nsga2 {
    mg_nsga2_options o; /* its pointers are NULL: copies are below */
    double *bit_start, *start, *lower, *upper;
    int64_t generation;
    int64_t parent_count;
    bool drawn;         /* the children of this generation lie behind the parents */
    int64_t *ids;       /* (2 population) and so on */
    double *x;          /* (2 population, dimension) */
    double *objectives; /* (2 population, objective_count) */
    double *violations;
    int64_t *fronts;
    double *crowding;
};

static mg_status check_options(const mg_nsga2_options *o, mg_error *err)
{
    if (o->dimension < 1 || o->population < 4 || o->objective_count < 1 ||
        o->objective_count > OBJECTIVES_MAX) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "%lld genes, a population of %lld and %lld objectives make no search; at "
                       "least 1, 4 and 1, at most %d objectives",
                       (long long)o->dimension, (long long)o->population,
                       (long long)o->objective_count, OBJECTIVES_MAX);
    }
    for (int64_t i = o->bit_count; i < o->dimension; i++) {
        if (o->lower == NULL || o->upper == NULL || !(o->lower[i] < o->upper[i])) {
            return mg_fail(err, MG_ERR_CONFIG, "gene %lld has no range; this search needs one",
                           (long long)i);
        }
    }
    return MG_OK;
}

static double *copy_doubles(const double *from, int64_t count)
{
    double *copy = mg_new_array(double, MG_MAX(count, 1));
    if (from != NULL) {
        memcpy(copy, from, (size_t)count * sizeof(double));
    }
    return copy;
}

mg_status mg_nsga2_create(const mg_nsga2_options *options, mg_nsga2 **nsga_out, mg_error *err)
{
    *nsga_out = NULL;
    MG_TRY(check_options(options, err));
    int64_t n = options->dimension;
    int64_t cap = 2 * options->population;
    mg_nsga2 *s = mg_new(mg_nsga2);
    s->o = *options;
    s->bit_start = copy_doubles(options->bit_start, options->bit_count);
    s->start = copy_doubles(options->start, n);
    s->lower = copy_doubles(options->lower, n);
    s->upper = copy_doubles(options->upper, n);
    s->o.bit_start = s->o.start = s->o.lower = s->o.upper = NULL;
    s->ids = mg_new_array(int64_t, cap);
    s->x = mg_new_array(double, cap *n);
    s->objectives = mg_new_array(double, cap * options->objective_count);
    s->violations = mg_new_array(double, cap);
    s->fronts = mg_new_array(int64_t, cap);
    s->crowding = mg_new_array(double, cap);
    *nsga_out = s;
    return MG_OK;
}

void mg_nsga2_destroy(mg_nsga2 *nsga)
{
    if (nsga != NULL) {
        mg_free(nsga->bit_start);
        mg_free(nsga->start);
        mg_free(nsga->lower);
        mg_free(nsga->upper);
        mg_free(nsga->ids);
        mg_free(nsga->x);
        mg_free(nsga->objectives);
        mg_free(nsga->violations);
        mg_free(nsga->fronts);
        mg_free(nsga->crowding);
        mg_free(nsga);
    }
}

int64_t mg_nsga2_population(const mg_nsga2 *nsga)
{
    return nsga->o.population;
}

int64_t mg_nsga2_generation(const mg_nsga2 *nsga)
{
    return nsga->generation;
}

/* Lower front, then larger crowding, then by chance. */
static int64_t tournament(const mg_nsga2 *s, mg_rng *rng)
{
    int64_t a = (int64_t)mg_rng_below(rng, (uint64_t)s->parent_count);
    int64_t b = (int64_t)mg_rng_below(rng, (uint64_t)s->parent_count);
    if (s->fronts[a] != s->fronts[b]) {
        return s->fronts[a] < s->fronts[b] ? a : b;
    }
    if (s->crowding[a] != s->crowding[b]) {
        return s->crowding[a] > s->crowding[b] ? a : b;
    }
    return mg_rng_uniform(rng) < 0.5 ? a : b;
}

/* How far a child lies from the middle of its parents, in half their distance. */
static double spread(double beta, double u)
{
    double alpha = 2.0 - pow(beta, -(SBX_ETA + 1.0));
    double base = u <= 1.0 / alpha ? u * alpha : 1.0 / (2.0 - u * alpha);
    return pow(base, 1.0 / (SBX_ETA + 1.0));
}

static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Simulated binary crossover of one number. */
static void cross_number(double low, double high, double *a, double *b, mg_rng *rng)
{
    bool crossed = mg_rng_uniform(rng) < SBX_VARIABLE;
    double u = mg_rng_uniform(rng);
    bool swap = mg_rng_uniform(rng) < 0.5;
    double y1 = fmin(*a, *b);
    double y2 = fmax(*a, *b);
    if (!crossed || y2 - y1 <= SBX_SAME) {
        return;
    }
    double middle = 0.5 * (y1 + y2);
    double half = 0.5 * (y2 - y1);
    double c1 = clip(middle - spread(1.0 + (y1 - low) / half, u) * half, low, high);
    double c2 = clip(middle + spread(1.0 + (high - y2) / half, u) * half, low, high);
    *a = swap ? c2 : c1;
    *b = swap ? c1 : c2;
}

static void cross(const mg_nsga2 *s, double *a, double *b, mg_rng *rng)
{
    bool pair = mg_rng_uniform(rng) < SBX_PAIR;
    for (int64_t i = 0; pair && i < s->o.dimension; i++) {
        if (i >= s->o.bit_count) {
            cross_number(s->lower[i], s->upper[i], &a[i], &b[i], rng);
        } else if (mg_rng_uniform(rng) < 0.5) {
            double swap = a[i];
            a[i] = b[i];
            b[i] = swap;
        }
    }
}

/* Polynomial mutation of numbers; bits flip, one of them on average. */
static void mutate(const mg_nsga2 *s, double *x, mg_rng *rng)
{
    int64_t numbers = s->o.dimension - s->o.bit_count;
    bool touched = mg_rng_uniform(rng) < MUTATION_INDIVIDUAL;
    double share = fmin(0.5, 1.0 / (double)MG_MAX(numbers, 1));
    for (int64_t i = 0; i < s->o.dimension; i++) {
        if (i < s->o.bit_count) {
            bool flip = mg_rng_uniform(rng) * (double)s->o.bit_count < 1.0;
            x[i] = flip ? 1.0 - x[i] : x[i];
            continue;
        }
        bool chosen = mg_rng_uniform(rng) < share;
        double r = mg_rng_uniform(rng);
        if (!touched || !chosen) {
            continue;
        }
        double range = s->upper[i] - s->lower[i];
        double d1 = (x[i] - s->lower[i]) / range;
        double d2 = (s->upper[i] - x[i]) / range;
        double power = MUTATION_ETA + 1.0;
        double q =
            r <= 0.5
                ? pow(2.0 * r + (1.0 - 2.0 * r) * pow(1.0 - d1, power), 1.0 / power) - 1.0
                : 1.0 - pow(2.0 * (1.0 - r) + 2.0 * (r - 0.5) * pow(1.0 - d2, power), 1.0 / power);
        x[i] = clip(x[i] + q * range, s->lower[i], s->upper[i]);
    }
}

static void limit_bits(const mg_nsga2 *s, double *x)
{
    mg_bits_limit(x, s->o.bit_count, s->o.bits_max, s->bit_start);
}

/* Whether x lies where one of the first count members does. */
static bool is_duplicate(const mg_nsga2 *s, const double *x, int64_t count)
{
    int64_t n = s->o.dimension;
    for (int64_t m = 0; m < count; m++) {
        bool same = true;
        for (int64_t i = 0; i < n && same; i++) {
            double range = i < s->o.bit_count ? 1.0 : s->upper[i] - s->lower[i];
            same = fabs(x[i] - s->x[m * n + i]) <= DUPLICATE_DISTANCE * range;
        }
        if (same) {
            return true;
        }
    }
    return false;
}

static void draw_anywhere(const mg_nsga2 *s, double *x, mg_rng *rng)
{
    for (int64_t i = 0; i < s->o.dimension; i++) {
        double u = mg_rng_uniform(rng);
        x[i] = i < s->o.bit_count ? (u < s->bit_start[i] ? 1.0 : 0.0)
                                  : s->lower[i] + u * (s->upper[i] - s->lower[i]);
    }
    limit_bits(s, x);
}

static void draw_first(mg_nsga2 *s, mg_rng *rng)
{
    int64_t n = s->o.dimension;
    memcpy(s->x, s->start, (size_t)n * sizeof(double));
    for (int64_t k = 1; k < s->o.population; k++) {
        draw_anywhere(s, s->x + k * n, rng);
    }
}

/* Children come in pairs; one that repeats a member is drawn again. */
static void draw_children(mg_nsga2 *s, mg_rng *rng)
{
    int64_t n = s->o.dimension;
    size_t bytes = (size_t)n * sizeof(double);
    double *pair = mg_new_array(double, 2 * n);
    int64_t end = s->parent_count + s->o.population;
    int64_t redraws = 0;
    for (int64_t at = s->parent_count; at < end;) {
        memcpy(pair, s->x + tournament(s, rng) * n, bytes);
        memcpy(pair + n, s->x + tournament(s, rng) * n, bytes);
        cross(s, pair, pair + n, rng);
        for (int64_t c = 0; c < 2 && at < end; c++) {
            double *child = pair + c * n;
            mutate(s, child, rng);
            limit_bits(s, child); /* what is told of it is told of these bits */
            if (redraws < REDRAWS_MAX && is_duplicate(s, child, at)) {
                redraws++;
                continue;
            }
            memcpy(s->x + at * n, child, bytes);
            redraws = 0;
            at++;
        }
    }
    mg_free(pair);
}

static void draw_generation(mg_nsga2 *s)
{
    if (s->drawn) {
        return;
    }
    mg_rng rng = mg_rng_make(s->o.seed, MG_STREAM_VARIATION);
    rng.counter = (uint64_t)s->generation << 32;
    if (s->generation == 0) {
        draw_first(s, &rng);
    } else {
        draw_children(s, &rng);
    }
    s->drawn = true;
}

void mg_nsga2_ask(mg_nsga2 *s, int64_t k, double *x_out)
{
    MG_ASSERT(k >= 0 && k < s->o.population);
    draw_generation(s);
    memcpy(x_out, s->x + (s->parent_count + k) * s->o.dimension,
           (size_t)s->o.dimension * sizeof(double));
}

/* Fronts and crowding of the first count members. */
static void grade(mg_nsga2 *s, int64_t count)
{
    int64_t m = s->o.objective_count;
    mg_front_sort(s->objectives, s->violations, count, m, s->fronts);
    mg_front_crowding(s->objectives, s->fronts, count, m, s->crowding);
}

static bool comes_before(const mg_nsga2 *s, int64_t a, int64_t b)
{
    if (s->fronts[a] != s->fronts[b]) {
        return s->fronts[a] < s->fronts[b];
    }
    if (s->crowding[a] != s->crowding[b]) {
        return s->crowding[a] > s->crowding[b];
    }
    return s->ids[a] < s->ids[b];
}

static void *permuted(const void *from, const int64_t *order, int64_t count, int64_t cap,
                      size_t bytes)
{
    char *to = mg_memory_new(cap, bytes);
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + (size_t)i * bytes, (const char *)from + (size_t)order[i] * bytes, bytes);
    }
    return to;
}

/* Keeps the best population of the first count members, in order. */
static void survive(mg_nsga2 *s, int64_t count)
{
    int64_t cap = 2 * s->o.population;
    int64_t *order = mg_new_array(int64_t, cap);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i;
        while (at > 0 && comes_before(s, i, order[at - 1])) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    int64_t kept = MG_MIN(count, s->o.population);
    size_t m_bytes = (size_t)s->o.objective_count * sizeof(double);
    int64_t *ids = permuted(s->ids, order, kept, cap, sizeof(int64_t));
    double *x = permuted(s->x, order, kept, cap, (size_t)s->o.dimension * sizeof(double));
    double *objectives = permuted(s->objectives, order, kept, cap, m_bytes);
    double *violations = permuted(s->violations, order, kept, cap, sizeof(double));
    mg_free(s->ids);
    mg_free(s->x);
    mg_free(s->objectives);
    mg_free(s->violations);
    mg_free(order);
    s->ids = ids;
    s->x = x;
    s->objectives = objectives;
    s->violations = violations;
    s->parent_count = kept;
}

void mg_nsga2_tell(mg_nsga2 *s, int64_t first_id, const double *objectives,
                   const double *violations)
{
    int64_t m = s->o.objective_count;
    int64_t first = s->parent_count;
    draw_generation(s);
    for (int64_t k = 0; k < s->o.population; k++) {
        s->ids[first + k] = first_id + k;
        s->violations[first + k] = violations != NULL ? violations[k] : 0.0;
        for (int64_t o = 0; o < m; o++) {
            double value = objectives[k * m + o];
            s->objectives[(first + k) * m + o] = isnan(value) ? (double)INFINITY : value;
        }
    }
    grade(s, first + s->o.population);
    survive(s, first + s->o.population);
    grade(s, s->parent_count);
    s->drawn = false;
    s->generation++;
}

int64_t mg_nsga2_member_count(const mg_nsga2 *nsga)
{
    return nsga->parent_count;
}

mg_nsga2_member mg_nsga2_member_at(const mg_nsga2 *nsga, int64_t index)
{
    MG_ASSERT(index >= 0 && index < nsga->parent_count);
    return (mg_nsga2_member){ .id = nsga->ids[index],
                              .x = nsga->x + index * nsga->o.dimension,
                              .objectives = nsga->objectives + index * nsga->o.objective_count,
                              .violation = nsga->violations[index],
                              .front = nsga->fronts[index] };
}

void mg_nsga2_revise(mg_nsga2 *s, int64_t index, const double *objectives)
{
    MG_ASSERT(index >= 0 && index < s->parent_count);
    draw_generation(s); /* parents were chosen by what was known */
    memcpy(s->objectives + index * s->o.objective_count, objectives,
           (size_t)s->o.objective_count * sizeof(double));
}

static uint64_t options_check(const mg_nsga2 *s)
{
    uint64_t words[] = { (uint64_t)s->o.dimension, (uint64_t)s->o.bit_count,
                         (uint64_t)s->o.population, (uint64_t)s->o.objective_count, s->o.seed };
    uint64_t hash = mg_hash64(words, sizeof(words), 0);
    hash = mg_hash64(s->lower, (size_t)s->o.dimension * sizeof(double), hash);
    return mg_hash64(s->upper, (size_t)s->o.dimension * sizeof(double), hash);
}

static void add_bytes(mg_buf *out, const void *data, size_t size)
{
    mg_buf_add(out, mg_str_make((const char *)data, size));
}

void mg_nsga2_save(const mg_nsga2 *s, mg_buf *out)
{
    uint64_t head[3] = { options_check(s), (uint64_t)s->generation, (uint64_t)s->parent_count };
    add_bytes(out, magic, sizeof(magic));
    add_bytes(out, head, sizeof(head));
    add_bytes(out, s->ids, (size_t)s->parent_count * sizeof(int64_t));
    add_bytes(out, s->violations, (size_t)s->parent_count * sizeof(double));
    add_bytes(out, s->objectives,
              (size_t)(s->parent_count * s->o.objective_count) * sizeof(double));
    add_bytes(out, s->x, (size_t)(s->parent_count * s->o.dimension) * sizeof(double));
}

static mg_status read_state(mg_nsga2 *s, mg_str state, mg_error *err)
{
    uint64_t head[3];
    size_t fixed = sizeof(magic) + sizeof(head);
    if (state.size < fixed || memcmp(state.data, magic, sizeof(magic)) != 0) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the population has an unknown format");
    }
    memcpy(head, state.data + sizeof(magic), sizeof(head));
    if (head[0] != options_check(s)) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the population belongs to other options");
    }
    size_t member = sizeof(int64_t) + (size_t)(1 + s->o.objective_count + s->o.dimension) * 8;
    uint64_t expected = head[1] == 0 ? 0 : (uint64_t)s->o.population;
    if (head[1] > INT32_MAX || head[2] != expected || state.size != fixed + head[2] * member) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the population has %zu bytes, expected %zu",
                       state.size, fixed + (size_t)expected * member);
    }
    s->generation = (int64_t)head[1];
    s->parent_count = (int64_t)head[2];
    struct {
        void *to;
        size_t bytes;
    } parts[] = { { s->ids, 8 * (size_t)s->parent_count },
                  { s->violations, 8 * (size_t)s->parent_count },
                  { s->objectives, 8 * (size_t)(s->parent_count * s->o.objective_count) },
                  { s->x, 8 * (size_t)(s->parent_count * s->o.dimension) } };
    size_t at = fixed;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(parts); i++) {
        memcpy(parts[i].to, state.data + at, parts[i].bytes);
        at += parts[i].bytes;
    }
    grade(s, s->parent_count);
    return MG_OK;
}

mg_status mg_nsga2_load(const mg_nsga2_options *options, mg_str state, mg_nsga2 **nsga_out,
                        mg_error *err)
{
    *nsga_out = NULL;
    mg_nsga2 *s = NULL;
    MG_TRY(mg_nsga2_create(options, &s, err));
    mg_status status = read_state(s, state, err);
    if (status != MG_OK) {
        mg_nsga2_destroy(s);
        return status;
    }
    *nsga_out = s;
    return MG_OK;
}
