/* evolve/report.h - what a search has found, read from its store (interface.md 3.3, evolution.md
 * 13).
 *
 * Works on a finished and on a running search.  Thread-safety: functions are independent. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "evolve/report_front.h"
#include "evolve/stage.h"
#include "optim/stats.h"
#include "store/store.h"

MG_BEGIN_C

typedef struct mg_report_score {
    bool known;
    double value;         /* weighted sum over the tasks of the set */
    mg_interval interval; /* 95 % */
    int64_t items;
} mg_report_score;

typedef struct mg_report_row {
    int64_t id;
    mg_str kind, label; /* "source", "mini-ja" */
    bool failed;
    mg_str note;
    mg_report_score search, held_out, test;
    int64_t
        raced; /* a finalist that left the race: after so many held-out questions; 0 = it did not */
} mg_report_row;

/* The winner against one other, question by question. */
typedef struct mg_report_pair {
    bool known;
    mg_str other; /* label */
    mg_str set;   /* "test", "held-out", "search" */
    int64_t items;
    double difference;               /* of the scores, winner minus other */
    int64_t only_winner, only_other; /* questions that one alone got right; binary answers */
    bool binary; /* and questions that count alike: the paired test is that of the difference */
    double p;    /* mid-p McNemar; NaN when not binary */
    mg_interval interval; /* of the difference, bootstrap, 95 % */
    bool better;          /* significantly */
    bool chosen_by;       /* the winner is the winner by these very questions */
} mg_report_pair;

/* What one of several stages has found, and whether it is better than what it began with. */
typedef struct mg_report_stage {
    mg_str title; /* "parameter space" */
    mg_report_row row;
    mg_report_pair against_before; /* not known for the first */
} mg_report_stage;

typedef struct mg_report {
    bool finished;
    mg_report_row *rows; /* sources, default merge, start, then the winner or the best so far */
    int64_t row_count;
    int64_t winner_index; /* into rows, -1 = none yet */
    int64_t source_count; /* the first rows */
    mg_report_pair against_source, against_default;
    mg_report_row *finalists; /* mean, polished and best samples that met the held-out questions */
    int64_t finalist_count;
    int64_t candidates, failed; /* merges and sources evaluated */
    int64_t questions;          /* answered */
    double seconds;             /* wall clock of a finished run, of work while it runs */
    double work_seconds;        /* of all candidates together */
    int64_t evaluations;        /* of candidates on sets of questions */
    bool thin;                  /* too few held-out and test questions to tell small gains */
    double optimism;            /* winner: score on search questions minus the honest one; NaN */
    double expected_optimism;   /* where no other questions are: of the best of so many; NaN */
    bool
        test_is_report; /* there is no test: the last column is a third of the held-out questions */
    /* Spread of the polished finalists: chi-square of finalists - 1 degrees of freedom; 0 finalists
     * = none. */
    int64_t spread_finalists, spread_items;
    double spread, spread_p;
    double half_out; /* chosen on half of the search questions, scored on the other; NaN = none */
    int64_t half_out_candidates;
    mg_front front;
    mg_report_stage stages[MG_STAGES_MAX]; /* those that have ended */
    int64_t stage_count;                   /* 0 = a search of one stage */
} mg_report;

/* How far the search score of the best of 1,000 lies above its worth when it is measured on so many
 * questions (evolution.md 13.2, a true spread of 2 points). */
double mg_report_expected_optimism(int64_t items);

MG_MUST_CHECK mg_status mg_report_read(mg_store *store, mg_arena *arena, mg_report *report_out,
                                       mg_error *err);

/* The table and the sentences under it, for a terminal.  verbose adds the finalists. */
void mg_report_text(const mg_report *report, bool verbose, mg_buf *out);
/* The same for report.md. */
void mg_report_markdown(const mg_report *report, mg_buf *out);
void mg_report_json(const mg_report *report, mg_buf *out);

MG_END_C
