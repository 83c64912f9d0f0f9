/* eval/metric.h - what a response is worth, and how the worth of all rows becomes one number
 * (tasks.md 12).
 *
 * A row gives one collected value per metric and filter: a number, or the parts that an aggregation
 * over the whole task needs, as a list.  Thread-safety: immutable after reading. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/pool.h"
#include "eval/python.h"
#include "eval/task.h"
#include "text/regex.h"
#include "text/value.h"

MG_BEGIN_C

typedef enum mg_metric_kind {
    MG_METRIC_NAMED, /* values come from process_results */
    MG_METRIC_ACC,
    MG_METRIC_ACC_NORM,
    MG_METRIC_ACC_BYTES,
    MG_METRIC_ACC_MUTUAL_INFO,
    MG_METRIC_EXACT_MATCH,
    MG_METRIC_F1,
    MG_METRIC_MCC,
    MG_METRIC_BRIER_SCORE,
    MG_METRIC_LIKELIHOOD,
    MG_METRIC_PERPLEXITY,
    MG_METRIC_WORD_PERPLEXITY,
    MG_METRIC_BYTE_PERPLEXITY,
    MG_METRIC_BITS_PER_BYTE,
    MG_METRIC_PAIR, /* bleu, chrf: gold and response go to the aggregation */
    MG_METRIC_ACC_ALL,
    MG_METRIC_BYPASS,
    MG_METRIC_FUNCTION, /* a function of the user */
    MG_METRIC_LIBRARY   /* hf_evaluate */
} mg_metric_kind;

typedef enum mg_aggregation {
    MG_AGGREGATE_MEAN,
    MG_AGGREGATE_NANMEAN,
    MG_AGGREGATE_MEDIAN,
    MG_AGGREGATE_PERPLEXITY,
    MG_AGGREGATE_WEIGHTED_PERPLEXITY,
    MG_AGGREGATE_BITS_PER_BYTE,
    MG_AGGREGATE_F1,
    MG_AGGREGATE_MCC,
    MG_AGGREGATE_BRIER_SCORE,
    MG_AGGREGATE_ACC_ALL,
    MG_AGGREGATE_BYPASS,
    MG_AGGREGATE_BLEU,
    MG_AGGREGATE_CHRF,
    MG_AGGREGATE_CHRF_WORDS,
    MG_AGGREGATE_TER,
    MG_AGGREGATE_FUNCTION
} mg_aggregation;

typedef struct mg_metric {
    mg_metric_kind kind;
    mg_str name;
    mg_function function;      /* MG_METRIC_FUNCTION */
    const mg_value *arguments; /* further keys of the entry, a map or NULL */
    mg_aggregation aggregation;
    mg_function aggregator; /* MG_AGGREGATE_FUNCTION */
    bool higher_is_better;
    /* exact_match */
    bool ignore_case, ignore_punctuation, ignore_numbers;
    mg_regex **ignored; /* regexes_to_ignore, owned */
    int64_t ignored_count;
} mg_metric;

/* The default metrics of an output type: names, ended by NULL. */
const char *const *mg_metric_defaults(mg_output_type type);
/* Fills kind, aggregation and direction of a metric by its name.  MG_ERR_CONFIG with the nearest
 * name, MG_ERR_CONFIG when the metric does not fit the output type. */
MG_MUST_CHECK mg_status mg_metric_find(mg_str name, mg_output_type type, mg_metric *metric_out,
                                       mg_error *err);
/* Whether the `evaluate` package has a metric of that name, which the harness falls back on. */
bool mg_metric_is_in_library(mg_str name);
MG_MUST_CHECK mg_status mg_aggregation_find(mg_str name, mg_aggregation *aggregation_out,
                                            mg_error *err);
/* Reads the options of exact_match from metric->arguments. */
MG_MUST_CHECK mg_status mg_metric_read_options(mg_metric *metric, mg_error *err);
void mg_metric_release(mg_metric *metric);

/* 1 when gold and said are the same under the options of exact_match, else 0. */
MG_MUST_CHECK mg_status mg_exact_match(const mg_metric *metric, mg_str gold, mg_str said,
                                       double *score_out, mg_error *err);

/* One number from count collected values.  MG_ERR_FORMAT names a value of a wrong kind. */
MG_MUST_CHECK mg_status mg_aggregate(const mg_metric *metric, mg_python *python,
                                     const mg_value *const *values, int64_t count,
                                     double *value_out, mg_error *err);
/* The standard error as the harness computes it: s / sqrt(n) for means, the bootstrap where the
 * harness has it, NaN for the rest ("N/A").  iterations 0 gives NaN.  pool may be NULL. */
MG_MUST_CHECK mg_status mg_aggregate_stderr(const mg_metric *metric, const mg_value *const *values,
                                            int64_t count, int64_t iterations, mg_pool *pool,
                                            double *value_out, mg_error *err);

MG_END_C
