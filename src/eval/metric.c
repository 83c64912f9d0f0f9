/* eval/metric.c - the table of metrics, and exact_match. */
#include "eval/metric.h"

#include "base/memory.h"
#include "eval/filter.h"
#include "text/utf8.h"

#define ON(type) (1u << (type))
#define GENERATES ON(MG_GENERATE_UNTIL)
#define CHOOSES ON(MG_MULTIPLE_CHOICE)
#define LIKELY ON(MG_LOGLIKELIHOOD)
#define ROLLS ON(MG_LOGLIKELIHOOD_ROLLING)
#define ANY (GENERATES | CHOOSES | LIKELY | ROLLS)

static const struct {
    const char *name;
    mg_metric_kind kind;
    unsigned types; /* output types whose rows give it */
    mg_aggregation aggregation;
    bool higher_is_better;
} metrics[] = {
    { "acc", MG_METRIC_ACC, CHOOSES | LIKELY, MG_AGGREGATE_MEAN, true },
    { "acc_norm", MG_METRIC_ACC_NORM, CHOOSES, MG_AGGREGATE_MEAN, true },
    { "acc_bytes", MG_METRIC_ACC_BYTES, CHOOSES, MG_AGGREGATE_MEAN, true },
    { "acc_mutual_info", MG_METRIC_ACC_MUTUAL_INFO, CHOOSES, MG_AGGREGATE_MEAN, true },
    { "exact_match", MG_METRIC_EXACT_MATCH, GENERATES | CHOOSES, MG_AGGREGATE_MEAN, true },
    { "f1", MG_METRIC_F1, CHOOSES, MG_AGGREGATE_F1, true },
    { "mcc", MG_METRIC_MCC, CHOOSES, MG_AGGREGATE_MCC, true },
    { "brier_score", MG_METRIC_BRIER_SCORE, CHOOSES, MG_AGGREGATE_BRIER_SCORE, false },
    { "likelihood", MG_METRIC_LIKELIHOOD, CHOOSES, MG_AGGREGATE_MEAN, true },
    { "perplexity", MG_METRIC_PERPLEXITY, LIKELY, MG_AGGREGATE_PERPLEXITY, false },
    { "acc_all", MG_METRIC_ACC_ALL, LIKELY, MG_AGGREGATE_ACC_ALL, true },
    { "word_perplexity", MG_METRIC_WORD_PERPLEXITY, ROLLS, MG_AGGREGATE_WEIGHTED_PERPLEXITY,
      false },
    { "byte_perplexity", MG_METRIC_BYTE_PERPLEXITY, ROLLS, MG_AGGREGATE_WEIGHTED_PERPLEXITY,
      false },
    { "bits_per_byte", MG_METRIC_BITS_PER_BYTE, ROLLS, MG_AGGREGATE_BITS_PER_BYTE, false },
    { "bleu", MG_METRIC_PAIR, GENERATES, MG_AGGREGATE_BLEU, true },
    { "chrf", MG_METRIC_PAIR, GENERATES, MG_AGGREGATE_CHRF, true },
    { "chrf++", MG_METRIC_PAIR, GENERATES, MG_AGGREGATE_CHRF_WORDS, true },
    { "ter", MG_METRIC_PAIR, GENERATES, MG_AGGREGATE_TER, false },
    { "bypass", MG_METRIC_BYPASS, ANY, MG_AGGREGATE_BYPASS, true },
};

static const struct {
    const char *name;
    mg_aggregation aggregation;
} aggregations[] = {
    { "mean", MG_AGGREGATE_MEAN },
    { "nanmean", MG_AGGREGATE_NANMEAN },
    { "median", MG_AGGREGATE_MEDIAN },
    { "perplexity", MG_AGGREGATE_PERPLEXITY },
    { "weighted_perplexity", MG_AGGREGATE_WEIGHTED_PERPLEXITY },
    { "bits_per_byte", MG_AGGREGATE_BITS_PER_BYTE },
    { "f1", MG_AGGREGATE_F1 },
    { "matthews_corrcoef", MG_AGGREGATE_MCC },
    { "brier_score", MG_AGGREGATE_BRIER_SCORE },
    { "bypass", MG_AGGREGATE_BYPASS },
    { "bleu", MG_AGGREGATE_BLEU },
    { "chrf", MG_AGGREGATE_CHRF },
    { "chrf++", MG_AGGREGATE_CHRF_WORDS },
    { "ter", MG_AGGREGATE_TER },
};

const char *const *mg_metric_defaults(mg_output_type type)
{
    static const char *const generate[] = { "exact_match", NULL };
    static const char *const choose[] = { "acc", "acc_norm", NULL };
    static const char *const likely[] = { "perplexity", "acc", NULL };
    static const char *const roll[] = { "word_perplexity", "byte_perplexity", "bits_per_byte",
                                        NULL };
    switch (type) {
    case MG_MULTIPLE_CHOICE:
        return choose;
    case MG_LOGLIKELIHOOD:
        return likely;
    case MG_LOGLIKELIHOOD_ROLLING:
        return roll;
    default:
        return generate;
    }
}

mg_status mg_metric_find(mg_str name, mg_output_type type, mg_metric *metric_out, mg_error *err)
{
    const char *names[MG_ARRAY_COUNT(metrics)];
    for (int64_t i = 0; i < MG_ARRAY_COUNT(metrics); i++) {
        names[i] = metrics[i].name;
        if (!mg_str_is(name, metrics[i].name)) {
            continue;
        }
        metric_out->kind = metrics[i].kind;
        metric_out->name = name;
        metric_out->aggregation = metrics[i].aggregation;
        metric_out->higher_is_better = metrics[i].higher_is_better;
        if ((metrics[i].types & ON(type)) == 0) {
            /* As in the harness: answers that are generated go to the aggregation with what was
             * wanted, other types give the metric no values. */
            metric_out->kind = type == MG_GENERATE_UNTIL ? MG_METRIC_PAIR : MG_METRIC_NAMED;
        }
        return MG_OK;
    }
    const char *near = mg_str_nearest(name, names, MG_ARRAY_COUNT(metrics));
    return mg_fail(err, MG_ERR_NOT_FOUND, "unknown metric '%.*s'%s%s%s", MG_STR_ARG(name),
                   near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "");
}

bool mg_metric_is_in_library(mg_str name)
{
    static const char *const names[] = {
        "accuracy",    "bertscore",   "bleurt",
        "cer",         "character",   "charcut_mt",
        "code_eval",   "comet",       "coval",
        "cuad",        "frugalscore", "glue",
        "google_bleu", "mae",         "mape",
        "mase",        "mauve",       "matthews_correlation",
        "mean_iou",    "meteor",      "mse",
        "nist_mt",     "pearsonr",    "poseval",
        "precision",   "r_squared",   "recall",
        "roc_auc",     "rouge",       "sacrebleu",
        "sari",        "seqeval",     "smape",
        "spearmanr",   "squad",       "squad_v2",
        "super_glue",  "wer",         "wiki_split",
        "xnli",        "xtreme_s",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        if (mg_str_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

mg_status mg_aggregation_find(mg_str name, mg_aggregation *aggregation_out, mg_error *err)
{
    const char *names[MG_ARRAY_COUNT(aggregations)];
    for (int64_t i = 0; i < MG_ARRAY_COUNT(aggregations); i++) {
        names[i] = aggregations[i].name;
        if (mg_str_is(name, aggregations[i].name)) {
            *aggregation_out = aggregations[i].aggregation;
            return MG_OK;
        }
    }
    const char *near = mg_str_nearest(name, names, MG_ARRAY_COUNT(aggregations));
    return mg_fail(err, MG_ERR_CONFIG, "unknown aggregation '%.*s'%s%s%s", MG_STR_ARG(name),
                   near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "");
}

/* Python's truth of an option, which some files write as text. */
static bool option_is_on(const mg_value *arguments, const char *key)
{
    const mg_value *value = mg_value_get(arguments, key);
    if (mg_value_is_null(value)) {
        return false;
    }
    return value->kind == MG_BOOL     ? value->boolean
           : value->kind == MG_INT    ? value->integer != 0
           : value->kind == MG_STRING ? value->string.size > 0
                                      : true;
}

mg_status mg_metric_read_options(mg_metric *metric, mg_error *err)
{
    metric->ignore_case = option_is_on(metric->arguments, "ignore_case");
    metric->ignore_punctuation = option_is_on(metric->arguments, "ignore_punctuation");
    metric->ignore_numbers = option_is_on(metric->arguments, "ignore_numbers");
    const mg_value *ignored = mg_value_get(metric->arguments, "regexes_to_ignore");
    if (mg_value_is_null(ignored)) {
        return MG_OK;
    }
    if (ignored->kind != MG_LIST) {
        return mg_fail(err, MG_ERR_CONFIG, "regexes_to_ignore is %s, must be a list",
                       mg_kind_name(ignored->kind));
    }
    metric->ignored = mg_new_array(mg_regex *, ignored->count + 1);
    for (int64_t i = 0; i < ignored->count; i++) {
        const mg_value *item = &ignored->items[i];
        mg_str pattern = item->kind == MG_STRING ? item->string : item->source;
        MG_TRY(mg_regex_compile(pattern, MG_REGEX_PYTHON, &metric->ignored[i], err));
        metric->ignored_count++;
    }
    return MG_OK;
}

void mg_metric_release(mg_metric *metric)
{
    for (int64_t i = 0; i < metric->ignored_count; i++) {
        mg_regex_destroy(metric->ignored[i]);
    }
    mg_free(metric->ignored);
    metric->ignored = NULL;
    metric->ignored_count = 0;
}

static bool is_ascii_punctuation(char c)
{
    return c != '\0' && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL;
}

static mg_status normalize(const mg_metric *metric, mg_str text, mg_buf *out, mg_error *err)
{
    mg_buf_clear(out);
    mg_buf_add(out, text);
    for (int64_t i = 0; i < metric->ignored_count; i++) {
        MG_TRY(mg_regex_remove(metric->ignored[i], out, err));
    }
    if (metric->ignore_case) {
        mg_buf lower = { 0 };
        mg_unicode_lower(&lower, mg_buf_view(out));
        mg_buf_clear(out);
        mg_buf_add(out, mg_buf_view(&lower));
        mg_buf_release(&lower);
    }
    if (metric->ignore_punctuation || metric->ignore_numbers) {
        size_t kept = 0;
        for (size_t i = 0; i < out->size; i++) {
            char c = out->data[i];
            bool drop = (metric->ignore_punctuation && is_ascii_punctuation(c)) ||
                        (metric->ignore_numbers && c >= '0' && c <= '9');
            if (!drop) {
                out->data[kept++] = c;
            }
        }
        out->size = kept;
    }
    return MG_OK;
}

mg_status mg_exact_match(const mg_metric *metric, mg_str gold, mg_str said, double *score_out,
                         mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf a = { 0 };
    mg_buf b = { 0 };
    *score_out = 0;
    MG_TRY_OR_DONE(normalize(metric, gold, &a, err));
    MG_TRY_OR_DONE(normalize(metric, said, &b, err));
    *score_out = mg_str_equal(mg_buf_view(&a), mg_buf_view(&b)) ? 1 : 0;

done:
    mg_buf_release(&a);
    mg_buf_release(&b);
    return status;
}
