/* eval/aggregate.c - one number from the collected values of a task, and its standard error.
 *
 * A statistic works on an index list, so that the bootstrap can draw rows again without copying
 * them. The bootstrap draws as the harness does: chunk i of 1,000 resamples uses a Mersenne Twister
 * seeded with i, and a resample is n times floor(random() * n). */
#include "base/memory.h"
#include "base/rng.h"
#include "eval/metric.h"
#include "eval/text_metric.h"

#include <math.h>
#include <stdlib.h>

#define CHUNK 1000
#define LABELS_MAX 256
#define CORPUS_ITERATIONS_MAX 100

/* The collected values, taken apart once. */
typedef struct sample {
    mg_aggregation aggregation;
    int64_t count;
    double *first;         /* the number, or the first of a pair */
    double *second;        /* the second of a pair; of brier_score the row's own score */
    mg_text_metric *texts; /* bleu, chrf */
    int64_t labels;        /* mcc: distinct labels, first and second are then their indexes */
} sample;

static mg_status fail_kind(const mg_metric *metric, const mg_value *value, const char *expected,
                           mg_error *err)
{
    return mg_fail(err, MG_ERR_FORMAT, "metric '%.*s': a row gave %s, expected %s",
                   MG_STR_ARG(metric->name), mg_kind_name(value->kind), expected);
}

static bool to_number(const mg_value *value, double *number_out)
{
    if (value->kind == MG_BOOL) {
        *number_out = value->boolean ? 1 : 0;
        return true;
    }
    return mg_value_to_double(value, number_out);
}

static bool is_pair_statistic(mg_aggregation aggregation)
{
    return aggregation == MG_AGGREGATE_WEIGHTED_PERPLEXITY ||
           aggregation == MG_AGGREGATE_BITS_PER_BYTE || aggregation == MG_AGGREGATE_F1 ||
           aggregation == MG_AGGREGATE_MCC;
}

/* [gold, [p, ...]]: sum over k of (p_k - [k = gold])^2. */
static bool brier_row(const mg_value *value, double *score_out)
{
    int64_t gold;
    if (value->kind != MG_LIST || value->count != 2 || !mg_value_to_int(&value->items[0], &gold) ||
        value->items[1].kind != MG_LIST) {
        return false;
    }
    const mg_value *shares = &value->items[1];
    gold = gold < 0 ? gold + shares->count : gold;
    *score_out = 0;
    for (int64_t k = 0; k < shares->count; k++) {
        double p;
        if (!to_number(&shares->items[k], &p)) {
            return false;
        }
        double d = p - (k == gold ? 1 : 0);
        *score_out += d * d;
    }
    return true;
}

static mg_status take_numbers(const mg_metric *metric, const mg_value *const *values, sample *s,
                              mg_error *err)
{
    for (int64_t i = 0; i < s->count; i++) {
        const mg_value *value = values[i];
        if (is_pair_statistic(s->aggregation)) {
            if (value->kind != MG_LIST || value->count != 2 ||
                !to_number(&value->items[0], &s->first[i]) ||
                !to_number(&value->items[1], &s->second[i])) {
                return fail_kind(metric, value, "a pair of numbers", err);
            }
        } else if (s->aggregation == MG_AGGREGATE_BRIER_SCORE) {
            if (!brier_row(value, &s->first[i])) {
                return fail_kind(metric, value, "the right choice and the shares", err);
            }
        } else if (!to_number(value, &s->first[i])) {
            return fail_kind(metric, value, "a number", err);
        }
    }
    return MG_OK;
}

static void release_sample(sample *s)
{
    mg_free(s->first);
    mg_free(s->second);
    mg_text_metric_destroy(s->texts);
}

/* Replaces the labels by their indexes among the distinct ones. */
static mg_status index_labels(const mg_metric *metric, sample *s, mg_error *err)
{
    double labels[LABELS_MAX];
    for (int64_t i = 0; i < 2 * s->count; i++) {
        double *at = i < s->count ? &s->first[i] : &s->second[i - s->count];
        int64_t k = 0;
        while (k < s->labels && labels[k] != *at) {
            k++;
        }
        if (k == LABELS_MAX) {
            return mg_fail(err, MG_ERR_LIMIT, "metric '%.*s': more than %d labels",
                           MG_STR_ARG(metric->name), LABELS_MAX);
        }
        if (k == s->labels) {
            labels[s->labels++] = *at;
        }
        *at = (double)k;
    }
    return MG_OK;
}

static bool is_text_statistic(mg_aggregation aggregation)
{
    return aggregation == MG_AGGREGATE_BLEU || aggregation == MG_AGGREGATE_CHRF ||
           aggregation == MG_AGGREGATE_CHRF_WORDS || aggregation == MG_AGGREGATE_TER;
}

static mg_status take_sample(const mg_metric *metric, const mg_value *const *values, int64_t count,
                             sample *s, mg_error *err)
{
    *s = (sample){ .aggregation = metric->aggregation, .count = count };
    if (is_text_statistic(metric->aggregation)) {
        mg_text_metric_kind kind = metric->aggregation == MG_AGGREGATE_BLEU   ? MG_TEXT_BLEU
                                   : metric->aggregation == MG_AGGREGATE_CHRF ? MG_TEXT_CHRF
                                   : metric->aggregation == MG_AGGREGATE_TER  ? MG_TEXT_TER
                                                                              : MG_TEXT_CHRF_WORDS;
        return mg_text_metric_create(kind, values, count, &s->texts, err);
    }
    s->first = mg_new_array(double, count + 1);
    s->second = mg_new_array(double, count + 1);
    MG_TRY(take_numbers(metric, values, s, err));
    return s->aggregation == MG_AGGREGATE_MCC ? index_labels(metric, s, err) : MG_OK;
}

static double f1_of(const sample *s, const int32_t *draw)
{
    double tp = 0;
    double wrong = 0;
    for (int64_t i = 0; i < s->count; i++) {
        int64_t k = draw != NULL ? draw[i] : i;
        bool gold = s->first[k] == 1;
        bool said = s->second[k] == 1;
        tp += gold && said;
        wrong += gold != said;
    }
    return 2 * tp + wrong > 0 ? 2 * tp / (2 * tp + wrong) : 0;
}

/* Matthews correlation from the counts of each label. */
static double mcc_of(const sample *s, const int32_t *draw)
{
    double gold_counts[LABELS_MAX] = { 0 };
    double said_counts[LABELS_MAX] = { 0 };
    double correct = 0;
    double both = 0;
    double golds = 0;
    double saids = 0;
    double n = (double)s->count;
    for (int64_t i = 0; i < s->count; i++) {
        int64_t k = draw != NULL ? draw[i] : i;
        correct += s->first[k] == s->second[k];
        gold_counts[(int64_t)s->first[k]]++;
        said_counts[(int64_t)s->second[k]]++;
    }
    for (int64_t label = 0; label < s->labels; label++) {
        both += gold_counts[label] * said_counts[label];
        golds += gold_counts[label] * gold_counts[label];
        saids += said_counts[label] * said_counts[label];
    }
    double root = sqrt((n * n - saids) * (n * n - golds));
    return root > 0 ? (correct * n - both) / root : 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_of(const sample *s, const int32_t *draw, double *scratch)
{
    for (int64_t i = 0; i < s->count; i++) {
        scratch[i] = s->first[draw != NULL ? draw[i] : i];
    }
    qsort(scratch, (size_t)s->count, sizeof(double), compare_doubles);
    return scratch[s->count / 2];
}

/* The statistic of all rows (draw NULL) or of a resample. */
static double statistic(const sample *s, const int32_t *draw, double *scratch)
{
    double sum = 0;
    double weight = 0;
    int64_t present = 0;
    switch (s->aggregation) {
    case MG_AGGREGATE_F1:
        return f1_of(s, draw);
    case MG_AGGREGATE_MCC:
        return mcc_of(s, draw);
    case MG_AGGREGATE_MEDIAN:
        return median_of(s, draw, scratch);
    case MG_AGGREGATE_BYPASS:
        return 999;
    case MG_AGGREGATE_BLEU:
    case MG_AGGREGATE_CHRF:
    case MG_AGGREGATE_CHRF_WORDS:
    case MG_AGGREGATE_TER:
        return mg_text_metric_value(s->texts, draw);
    default:
        break;
    }
    for (int64_t i = 0; i < s->count; i++) {
        int64_t k = draw != NULL ? draw[i] : i;
        if (s->aggregation == MG_AGGREGATE_NANMEAN && isnan(s->first[k])) {
            continue;
        }
        sum += s->first[k];
        weight += s->second[k];
        present++;
    }
    switch (s->aggregation) {
    case MG_AGGREGATE_PERPLEXITY:
        return exp(-(sum / (double)present));
    case MG_AGGREGATE_WEIGHTED_PERPLEXITY:
        return exp(-(sum / weight));
    case MG_AGGREGATE_BITS_PER_BYTE:
        return -(sum / weight) / log(2);
    default:
        return present > 0 ? sum / (double)present : (double)NAN;
    }
}

/* [is_greedy or score, doc]: a question counts when all its answers are right. */
static mg_status acc_all(const mg_metric *metric, const mg_value *const *values, int64_t count,
                         double *value_out, mg_error *err)
{
    int64_t questions = 0;
    int64_t right = 0;
    for (int64_t i = 0; i < count; i++) {
        const mg_value *idx = values[i]->kind == MG_LIST && values[i]->count == 2
                                  ? mg_value_get(&values[i]->items[1], "idx")
                                  : NULL;
        if (idx == NULL) {
            return fail_kind(metric, values[i], "an answer and its row with `idx`", err);
        }
        bool first = true;
        bool all = true;
        for (int64_t k = 0; k < count; k++) {
            const mg_value *row = &values[k]->items[1];
            const mg_value *other = mg_value_get(row, "idx");
            if (!mg_value_equal(mg_value_get(idx, "paragraph"), mg_value_get(other, "paragraph")) ||
                !mg_value_equal(mg_value_get(idx, "question"), mg_value_get(other, "question"))) {
                continue;
            }
            first = first && k >= i;
            double said = 0;
            int64_t label = 0;
            (void)to_number(&values[k]->items[0], &said);
            (void)mg_value_to_int(mg_value_get(row, "label"), &label);
            all = all && (label == 1) == (said != 0);
        }
        questions += first;
        right += first && all;
    }
    *value_out = questions > 0 ? (double)right / (double)questions : (double)NAN;
    return MG_OK;
}

typedef struct number_reply {
    const mg_metric *metric;
    double value;
} number_reply;

static mg_status take_number(void *context, int64_t index, const mg_value *value,
                             const char *failure, mg_error *err)
{
    (void)index;
    number_reply *reply = context;
    if (failure != NULL) {
        return mg_fail(err, MG_ERR_USER_CODE, "%s", failure);
    }
    if (!to_number(value, &reply->value)) {
        return mg_fail(err, MG_ERR_USER_CODE, "%.*s: returned %s, expected a number",
                       MG_STR_ARG(mg_function_place(&reply->metric->aggregator)),
                       mg_kind_name(value->kind));
    }
    return MG_OK;
}

static mg_status aggregate_by_function(const mg_metric *metric, mg_python *python,
                                       const mg_value *const *values, int64_t count,
                                       double *value_out, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_value calls = mg_value_of_list(&arena, 1);
    number_reply reply = { metric, 0 };
    calls.items[0] = mg_value_of_list(&arena, 1);
    calls.items[0].items[0] = mg_value_of_list(&arena, count);
    for (int64_t i = 0; i < count; i++) {
        calls.items[0].items[0].items[i] = *values[i];
    }
    mg_status status = mg_python_call_many(python, "call_many", &metric->aggregator, &calls, NULL,
                                           take_number, &reply, err);
    *value_out = reply.value;
    mg_arena_release(&arena);
    return status;
}

mg_status mg_aggregate(const mg_metric *metric, mg_python *python, const mg_value *const *values,
                       int64_t count, double *value_out, mg_error *err)
{
    *value_out = (double)NAN;
    if (count == 0) {
        return MG_OK;
    }
    if (metric->aggregation == MG_AGGREGATE_BYPASS) {
        *value_out = 999;
        return MG_OK;
    }
    if (metric->aggregation == MG_AGGREGATE_FUNCTION) {
        return aggregate_by_function(metric, python, values, count, value_out, err);
    }
    if (metric->aggregation == MG_AGGREGATE_ACC_ALL) {
        return acc_all(metric, values, count, value_out, err);
    }
    sample s;
    mg_status status = take_sample(metric, values, count, &s, err);
    if (status == MG_OK) {
        double *scratch = mg_new_array(double, count);
        *value_out = statistic(&s, NULL, scratch);
        mg_free(scratch);
    }
    release_sample(&s);
    return status;
}

typedef struct bootstrap {
    const sample *s;
    int64_t chunk; /* resamples of a chunk */
    double *statistics;
} bootstrap;

static void run_chunk(void *context, int64_t index, int worker)
{
    (void)worker;
    bootstrap *boot = context;
    int64_t n = boot->s->count;
    int32_t *draw = mg_new_array(int32_t, n);
    double *scratch = mg_new_array(double, n);
    mg_mt19937 mt;
    uint32_t key = (uint32_t)index;
    mg_mt19937_seed_array(&mt, &key, 1);
    for (int64_t r = 0; r < boot->chunk; r++) {
        for (int64_t i = 0; i < n; i++) {
            uint32_t high = mg_mt19937_word(&mt) >> 5;
            uint32_t low = mg_mt19937_word(&mt) >> 6;
            double share = ((double)high * 67108864.0 + (double)low) / 9007199254740992.0;
            draw[i] = (int32_t)floor(share * (double)n);
        }
        boot->statistics[index * boot->chunk + r] = statistic(boot->s, draw, scratch);
    }
    mg_free(draw);
    mg_free(scratch);
}

/* The n-1 standard deviation. */
static double deviation(const double *values, int64_t count)
{
    double sum = 0;
    double squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += values[i];
    }
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) {
        squares += (values[i] - mean) * (values[i] - mean);
    }
    return sqrt(squares / (double)(count - 1));
}

mg_status mg_aggregate_stderr(const mg_metric *metric, const mg_value *const *values, int64_t count,
                              int64_t iterations, mg_pool *pool, double *value_out, mg_error *err)
{
    *value_out = (double)NAN;
    bool boots =
        metric->aggregation == MG_AGGREGATE_MEDIAN || metric->aggregation == MG_AGGREGATE_MCC ||
        metric->aggregation == MG_AGGREGATE_F1 || metric->aggregation == MG_AGGREGATE_PERPLEXITY ||
        metric->aggregation == MG_AGGREGATE_NANMEAN || is_text_statistic(metric->aggregation);
    if (count < 2 || iterations <= 0 || count > INT32_MAX ||
        (!boots && metric->aggregation != MG_AGGREGATE_MEAN)) {
        return MG_OK;
    }
    sample s;
    mg_status status = take_sample(metric, values, count, &s, err);
    if (status == MG_OK && !boots) {
        *value_out = deviation(s.first, count) / sqrt((double)count);
    } else if (status == MG_OK) {
        if (is_text_statistic(metric->aggregation)) {
            iterations = MG_MIN(iterations, CORPUS_ITERATIONS_MAX);
        }
        int64_t chunk = MG_MIN(iterations, CHUNK);
        int64_t chunks = iterations / chunk;
        bootstrap boot = { &s, chunk, mg_new_array(double, chunk *chunks) };
        mg_pool_run(pool, chunks, run_chunk, &boot);
        *value_out = deviation(boot.statistics, chunk * chunks);
        mg_free(boot.statistics);
    }
    release_sample(&s);
    return status;
}
