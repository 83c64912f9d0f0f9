/* eval/runner_internal.h - prepared requests, and the rows of one run between answering and
 * scoring.
 *
 * prepare.c makes the requests, runner.c has the engine answer them, score_rows.c turns answers
 * into collected values.  Thread-safety: one thread at a time. */
#pragma once

#include "eval/runner.h"
#include "eval/task_internal.h"

MG_BEGIN_C

/* Token ids of a request: context, then continuation, one after the other in ids. */
typedef struct mg_prepared_request {
    int64_t offset;
    int64_t context_count;
    int64_t continuation_count;
} mg_prepared_request;

struct mg_prepared_task {
    const mg_task *task;
    const mg_tokenizer *tokenizer;
    bool chat;
    int64_t max_length;
    mg_ids ids;
    mg_prepared_request *requests;
    int64_t request_count;
    int64_t request_cap;
    int64_t *first;      /* item_count + 1: the first request of each item */
    bool has_references; /* behind these, one request for each item: its reference answer */
    mg_str *stops;       /* generate_until; in arena */
    int64_t stop_count;
    mg_sampling sampling;
    mg_arena arena;
};

/* One row of a run. */
typedef struct mg_run_row {
    int64_t item;
    mg_value *responses; /* one per request: a list of the repeats */
    int64_t response_count;
    mg_str *texts;    /* generated, or NULL */
    mg_score *scores; /* per request, or NULL */
    bool failed;
    mg_status failure;
    const char *message;
    mg_value **values;  /* one per key; NULL = none */
    mg_value extras;    /* a map, count entries used */
    mg_value *filtered; /* one per filter */
} mg_run_row;

typedef struct mg_eval_run {
    mg_prepared_task *prepared;
    const mg_task *task;
    mg_arena arena;
    mg_run_row *rows;
    int64_t count;
} mg_eval_run;

/* prepare.c: makes the requests of reference answers, once; and that of an item. */
MG_MUST_CHECK mg_status mg_prepare_references(mg_prepared_task *prepared, mg_error *err);
void mg_prepared_reference(const mg_prepared_task *prepared, int64_t item,
                           mg_score_request *request_out);

/* Fills values, extras and filtered of all rows.  A user function that fails on a row marks that
 * row; MG_ERR_USER_CODE when it cannot be run at all. */
MG_MUST_CHECK mg_status mg_score_rows(mg_eval_run *run, mg_error *err);

MG_END_C
