/* optim/niches.c - see niches.h.
 *
 * State: "MGNICHE" and a NUL, then 64-bit words: a checksum of the options, batches, children, number
 * of members; then for each member its id, violation, vector and scores. */
#include "optim/niches.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"

#define EPSILON 1e-9
#define FILL_CHILDREN_MAX 50 /* of random pairs, while the archive is not full */
#define PARALLEL 1e-6        /* sine of the angle below which the way between two is straight */

static const char magic[8] = "MGNICHE";

struct mg_niches {
    mg_niches_options o; /* its pointers are NULL: copies are below */
    double *sizes, *gram;
    int64_t dimension;
    int64_t batches;  /* told */
    int64_t children; /* told */
    int64_t count;    /* members; one more has room */
    int64_t *ids;
    double *x;          /* (archive + 1, dimension) */
    double *scores;     /* (archive + 1, item_count) */
    double *violations; /* archive + 1 */
    bool drawn;
    double *offspring; /* (batch, dimension) */
};

mg_status mg_niches_create(const mg_niches_options *options, mg_niches **niches_out, mg_error *err)
{
    *niches_out = NULL;
    int64_t archive = options->archive > 0 ? options->archive : MG_NICHES_ARCHIVE;
    int64_t k = options->expert_count;
    if (options->segment_count < 1 || k < 2 || options->item_count < 1 || archive < k) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "an archive of %lld for %lld experts makes no search; at least 2 experts, "
                       "and room for all",
                       (long long)archive, (long long)k);
    }
    mg_niches *s = mg_new(mg_niches);
    s->o = *options;
    s->o.archive = archive;
    s->o.batch = options->batch > 0 ? options->batch : MG_NICHES_BATCH;
    s->dimension = options->segment_count * k;
    s->sizes = mg_new_array(double, options->segment_count);
    s->gram = mg_new_array(double, options->segment_count *k *k);
    memcpy(s->sizes, options->sizes, (size_t)options->segment_count * sizeof(double));
    memcpy(s->gram, options->gram, (size_t)(options->segment_count * k * k) * sizeof(double));
    s->o.sizes = s->o.gram = NULL;
    s->ids = mg_new_array(int64_t, archive + 1);
    s->x = mg_new_array(double, (archive + 1) * s->dimension);
    s->scores = mg_new_array(double, (archive + 1) * options->item_count);
    s->violations = mg_new_array(double, archive + 1);
    s->offspring = mg_new_array(double, s->o.batch * s->dimension);
    *niches_out = s;
    return MG_OK;
}

void mg_niches_destroy(mg_niches *niches)
{
    if (niches != NULL) {
        mg_free(niches->sizes);
        mg_free(niches->gram);
        mg_free(niches->ids);
        mg_free(niches->x);
        mg_free(niches->scores);
        mg_free(niches->violations);
        mg_free(niches->offspring);
        mg_free(niches);
    }
}

int64_t mg_niches_batch(const mg_niches *niches)
{
    return niches->o.batch;
}

/* Right and wrong alone: then a question is worth 1, else the best score on it, and scores count
 * from the worst on it. */
static bool is_binary(const double *scores, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (scores[i] != 0.0 && scores[i] != 1.0) {
            return false;
        }
    }
    return true;
}

/* What an item is worth, shared among those that score on it; its zero to *zero_out. */
static double item_share(const double *scores, int64_t count, int64_t items, int64_t j, bool binary,
                         double *zero_out)
{
    double low = INFINITY;
    double high = -INFINITY;
    double sum = 0.0;
    for (int64_t m = 0; m < count; m++) {
        low = fmin(low, scores[m * items + j]);
        high = fmax(high, scores[m * items + j]);
        sum += scores[m * items + j];
    }
    *zero_out = binary ? 0.0 : low;
    double worth = binary ? 1.0 : high - low;
    return worth / (sum - *zero_out * (double)count + EPSILON);
}

void mg_niches_fitness(const double *scores, int64_t count, int64_t items, double *fitness_out)
{
    bool binary = is_binary(scores, count * items);
    for (int64_t m = 0; m < count; m++) {
        fitness_out[m] = 0.0;
    }
    for (int64_t j = 0; j < items; j++) {
        double zero;
        double share = item_share(scores, count, items, j, binary, &zero);
        for (int64_t m = 0; m < count; m++) {
            fitness_out[m] += (scores[m * items + j] - zero) * share;
        }
    }
}

void mg_niches_attraction(const double *scores, int64_t count, int64_t items, int64_t a,
                          double *attraction_out)
{
    bool binary = is_binary(scores, count * items);
    for (int64_t m = 0; m < count; m++) {
        attraction_out[m] = 0.0;
    }
    for (int64_t j = 0; j < items; j++) {
        double zero;
        double share = item_share(scores, count, items, j, binary, &zero);
        for (int64_t m = 0; m < count; m++) {
            attraction_out[m] += share * fmax(0.0, scores[m * items + j] - scores[a * items + j]);
        }
    }
}

void mg_niches_add_expert(mg_niches *s, int64_t id, int64_t expert, const double *scores)
{
    MG_ASSERT(s->batches == 0 && s->count < s->o.archive && expert < s->o.expert_count);
    double *x = s->x + s->count * s->dimension;
    for (int64_t i = 0; i < s->dimension; i++) {
        x[i] = i % s->o.expert_count == expert ? 1.0 : 0.0;
    }
    memcpy(s->scores + s->count * s->o.item_count, scores,
           (size_t)s->o.item_count * sizeof(double));
    s->violations[s->count] = 0.0;
    s->ids[s->count++] = id;
}

static double inner(const mg_niches *s, const double *a, const double *b)
{
    int64_t k = s->o.expert_count;
    double sum = 0.0;
    for (int64_t g = 0; g < s->o.segment_count; g++) {
        for (int64_t i = 0; i < k; i++) {
            for (int64_t j = 0; j < k; j++) {
                sum += a[g * k + i] * s->gram[(g * k + i) * k + j] * b[g * k + j];
            }
        }
    }
    return sum;
}

/* Factors of slerp at t between vectors of that angle. */
static void slerp_factors(double cosine, double t, double *of_a, double *of_b)
{
    double angle = acos(fmin(fmax(cosine, -1.0), 1.0));
    double sine = sin(angle);
    bool straight = !(sine >= PARALLEL);
    *of_a = straight ? 1.0 - t : sin((1.0 - t) * angle) / sine;
    *of_b = straight ? t : sin(t * angle) / sine;
}

/* The end of a segment nearest to a place among all parameters. */
static int64_t nearest_end(const mg_niches *s, double place)
{
    double end = 0.0;
    double least = fabs(place);
    int64_t best = 0;
    for (int64_t g = 0; g < s->o.segment_count; g++) {
        end += s->sizes[g];
        if (fabs(place - end) < least) {
            least = fabs(place - end);
            best = g + 1;
        }
    }
    return best;
}

static void cross(const mg_niches *s, int64_t a, int64_t b, mg_rng *rng, double *child)
{
    const double *x = s->x + a * s->dimension;
    const double *y = s->x + b * s->dimension;
    double total = 0.0;
    for (int64_t g = 0; g < s->o.segment_count; g++) {
        total += s->sizes[g];
    }
    double w = mg_rng_uniform(rng);
    int64_t split = nearest_end(s, mg_rng_uniform(rng) * total);
    double norms = sqrt(inner(s, x, x) * inner(s, y, y));
    double cosine = norms > 0.0 ? inner(s, x, y) / norms : 1.0;
    double factors[2][2];
    slerp_factors(cosine, w, &factors[0][0], &factors[0][1]);
    slerp_factors(cosine, 1.0 - w, &factors[1][0], &factors[1][1]);
    for (int64_t i = 0; i < s->dimension; i++) {
        const double *f = factors[i / s->o.expert_count < split ? 0 : 1];
        child[i] = f[0] * x[i] + f[1] * y[i];
    }
}

/* An index as probable as its weight; any but except when all weights are 0. */
static int64_t draw_by(const double *weights, int64_t count, int64_t except, mg_rng *rng)
{
    double sum = 0.0;
    double u = mg_rng_uniform(rng);
    for (int64_t i = 0; i < count; i++) {
        sum += i != except ? weights[i] : 0.0;
    }
    if (!(sum > 0.0)) {
        int64_t other = (int64_t)floor(u * (double)(count - (except >= 0 ? 1 : 0)));
        other = MG_MIN(other, count - 1);
        return except >= 0 && other >= except ? other + 1 : other;
    }
    double mark = u * sum;
    int64_t last = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i != except && weights[i] > 0.0) {
            last = i;
            mark -= weights[i];
            if (mark <= 0.0) {
                break;
            }
        }
    }
    return last;
}

static void draw_batch(mg_niches *s)
{
    if (s->drawn) {
        return;
    }
    MG_ASSERT(s->count >= 2);
    mg_rng rng = mg_rng_make(s->o.seed, MG_STREAM_VARIATION);
    rng.counter = (uint64_t)s->batches << 32;
    double *weights = mg_new_array(double, s->count);
    double *fitness = mg_new_array(double, s->count);
    mg_niches_fitness(s->scores, s->count, s->o.item_count, fitness);
    bool filling = s->count < s->o.archive && s->children < FILL_CHILDREN_MAX;
    for (int64_t k = 0; k < s->o.batch; k++) {
        for (int64_t i = 0; i < s->count; i++) {
            weights[i] = filling ? 1.0 : fitness[i];
        }
        int64_t a = draw_by(weights, s->count, -1, &rng);
        if (!filling) {
            mg_niches_attraction(s->scores, s->count, s->o.item_count, a, weights);
        }
        int64_t b = draw_by(weights, s->count, a, &rng);
        cross(s, a, b, &rng, s->offspring + k * s->dimension);
    }
    mg_free(weights);
    mg_free(fitness);
    s->drawn = true;
}

void mg_niches_ask(mg_niches *s, int64_t k, double *x_out)
{
    MG_ASSERT(k >= 0 && k < s->o.batch);
    draw_batch(s);
    memcpy(x_out, s->offspring + k * s->dimension, (size_t)s->dimension * sizeof(double));
}

/* The member that leaves a full archive: most violation, then least fitness, then the newest. */
static int64_t find_worst(const mg_niches *s)
{
    double *fitness = mg_new_array(double, s->count);
    int64_t worst = 0;
    mg_niches_fitness(s->scores, s->count, s->o.item_count, fitness);
    for (int64_t i = 1; i < s->count; i++) {
        bool more = s->violations[i] > s->violations[worst];
        bool same = s->violations[i] == s->violations[worst];
        worst = more || (same && fitness[i] <= fitness[worst]) ? i : worst;
    }
    mg_free(fitness);
    return worst;
}

static void move_member(mg_niches *s, int64_t to, int64_t from)
{
    int64_t n = s->dimension;
    int64_t items = s->o.item_count;
    s->ids[to] = s->ids[from];
    s->violations[to] = s->violations[from];
    memmove(s->x + to * n, s->x + from * n, (size_t)n * sizeof(double));
    memmove(s->scores + to * items, s->scores + from * items, (size_t)items * sizeof(double));
}

void mg_niches_tell(mg_niches *s, int64_t first_id, const double *scores, const double *violations)
{
    int64_t items = s->o.item_count;
    draw_batch(s);
    for (int64_t k = 0; k < s->o.batch; k++) {
        if (isnan(scores[k * items])) {
            continue;
        }
        s->ids[s->count] = first_id + k;
        s->violations[s->count] = violations != NULL ? violations[k] : 0.0;
        memcpy(s->x + s->count * s->dimension, s->offspring + k * s->dimension,
               (size_t)s->dimension * sizeof(double));
        memcpy(s->scores + s->count * items, scores + k * items, (size_t)items * sizeof(double));
        s->count++;
        if (s->count > s->o.archive) {
            int64_t worst = find_worst(s);
            s->count--;
            if (worst < s->count) {
                move_member(s, worst, s->count);
            }
        }
    }
    s->children += s->o.batch;
    s->batches++;
    s->drawn = false;
}

int64_t mg_niches_member_count(const mg_niches *niches)
{
    return niches->count;
}

static double mean_score(const mg_niches *s, int64_t member)
{
    double sum = 0.0;
    for (int64_t j = 0; j < s->o.item_count; j++) {
        sum += s->scores[member * s->o.item_count + j];
    }
    return sum / (double)s->o.item_count;
}

/* Whether member a comes before b in the order of mg_niches_member_at. */
static bool comes_before(const mg_niches *s, int64_t a, int64_t b)
{
    if (s->violations[a] != s->violations[b]) {
        return s->violations[a] < s->violations[b];
    }
    double mean_a = mean_score(s, a);
    double mean_b = mean_score(s, b);
    return mean_a != mean_b ? mean_a > mean_b : s->ids[a] < s->ids[b];
}

mg_niches_member mg_niches_member_at(const mg_niches *s, int64_t index)
{
    MG_ASSERT(index >= 0 && index < s->count);
    int64_t found = 0;
    for (int64_t m = 0; m < s->count; m++) { /* the archive is small */
        int64_t before = 0;
        for (int64_t other = 0; other < s->count; other++) {
            before += comes_before(s, other, m) ? 1 : 0;
        }
        found = before == index ? m : found;
    }
    return (mg_niches_member){ .id = s->ids[found],
                               .x = s->x + found * s->dimension,
                               .scores = s->scores + found * s->o.item_count,
                               .violation = s->violations[found] };
}

static uint64_t options_check(const mg_niches *s)
{
    uint64_t words[] = { (uint64_t)s->o.segment_count, (uint64_t)s->o.expert_count,
                         (uint64_t)s->o.item_count,    (uint64_t)s->o.archive,
                         (uint64_t)s->o.batch,         s->o.seed };
    return mg_hash64(words, sizeof(words), 0);
}

static void add_bytes(mg_buf *out, const void *data, size_t size)
{
    mg_buf_add(out, mg_str_make((const char *)data, size));
}

void mg_niches_save(const mg_niches *s, mg_buf *out)
{
    uint64_t head[4] = { options_check(s), (uint64_t)s->batches, (uint64_t)s->children,
                         (uint64_t)s->count };
    add_bytes(out, magic, sizeof(magic));
    add_bytes(out, head, sizeof(head));
    add_bytes(out, s->ids, (size_t)s->count * sizeof(int64_t));
    add_bytes(out, s->violations, (size_t)s->count * sizeof(double));
    add_bytes(out, s->x, (size_t)(s->count * s->dimension) * sizeof(double));
    add_bytes(out, s->scores, (size_t)(s->count * s->o.item_count) * sizeof(double));
}

static mg_status read_state(mg_niches *s, mg_str state, mg_error *err)
{
    uint64_t head[4];
    size_t fixed = sizeof(magic) + sizeof(head);
    if (state.size < fixed || memcmp(state.data, magic, sizeof(magic)) != 0) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the archive has an unknown format");
    }
    memcpy(head, state.data + sizeof(magic), sizeof(head));
    if (head[0] != options_check(s)) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the archive belongs to other options");
    }
    size_t member = 16 + 8 * (size_t)(s->dimension + s->o.item_count);
    bool fine = head[1] <= INT32_MAX && head[2] == head[1] * (uint64_t)s->o.batch && head[3] >= 2 &&
                head[3] <= (uint64_t)s->o.archive && state.size == fixed + head[3] * member;
    if (!fine) {
        return mg_fail(err, MG_ERR_FORMAT, "state of the archive is damaged");
    }
    s->batches = (int64_t)head[1];
    s->children = (int64_t)head[2];
    s->count = (int64_t)head[3];
    size_t count = (size_t)s->count;
    struct {
        void *to;
        size_t bytes;
    } parts[] = { { s->ids, 8 * count },
                  { s->violations, 8 * count },
                  { s->x, 8 * count * (size_t)s->dimension },
                  { s->scores, 8 * count * (size_t)s->o.item_count } };
    size_t at = fixed;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(parts); i++) {
        memcpy(parts[i].to, state.data + at, parts[i].bytes);
        at += parts[i].bytes;
    }
    return MG_OK;
}

mg_status mg_niches_load(const mg_niches_options *options, mg_str state, mg_niches **niches_out,
                         mg_error *err)
{
    *niches_out = NULL;
    mg_niches *s = NULL;
    MG_TRY(mg_niches_create(options, &s, err));
    mg_status status = read_state(s, state, err);
    if (status != MG_OK) {
        mg_niches_destroy(s);
        return status;
    }
    *niches_out = s;
    return MG_OK;
}
