/* evolve/loop.h - one search, from references to the winner (evolution.md 1, 12, 13, 15).
 *
 * Phases: sources, default merge and start point; the optimiser's generations; polish around its
 * mean; the choice among finalists on questions that no phase before has seen; the test.  Every
 * phase is a function of the settings and of answers, and every answer goes into the store when it
 * is known: a run that was cut off anywhere and continued ends in the same bytes. It knows vectors,
 * questions and a fitness; it has never heard of models. Thread-safety: one thread at a time; the
 * callbacks come from the fitness's threads, never two at a time. */
#pragma once

#include "base/clock.h"
#include "evolve/fitness.h"
#include "evolve/search_config.h"
#include "evolve/stage.h"
#include "store/store.h"

MG_BEGIN_C

/* What a task's questions are for. */
typedef enum mg_role {
    MG_ROLE_SEARCH, /* the optimiser sees them */
    MG_ROLE_SELECT, /* they choose the winner */
    MG_ROLE_TEST    /* they are answered once, at the end */
} mg_role;

typedef struct mg_loop_task {
    mg_role role;
    double weight;
    bool has_guard;
    double guard; /* a candidate below it counts as worse than any that is not */
} mg_loop_task;

/* The box of the genomes; bounds may be NULL.  The first bit_count coordinates are bits, 0 or 1;
 * the arrays of numbers below hold something there too, which is not used. */
typedef struct mg_loop_space {
    int64_t dimension;
    int64_t bit_count;
    int64_t bits_max;        /* of a candidate that may be set */
    const double *bit_start; /* bit_count: probabilities at the beginning */
    const int64_t *gates;    /* per number: the bit without which it plays no part, -1 = none */
    /* Where several bits decide together: sets those of relevant (dimension - bit_count, all false)
     * whose number plays a part in x.  NULL = the gates say it. */
    void (*played)(const void *context, const double *x, bool *relevant);
    const void *played_context;
    const double *start, *standard; /* standard: the default merge */
    const char *standard_name;      /* "default merge"; NULL = that */
    const double *scale;
    const double *lower, *upper;
} mg_loop_space;

typedef struct mg_loop_progress {
    const char *phase;
    int64_t evaluations, evaluations_total; /* of the budget; total 0 = limited by time alone */
    int64_t beside;    /* evaluated beside the budget, which mergekit's preset spends on samples */
    int64_t finalists; /* 0, or how many answer in the phase "sources", "choice" or "test" */
    int64_t finalists_done;
    int64_t questions; /* answered in this process */
    double best;       /* NaN = none yet */
    double seconds;    /* of this process */
} mg_loop_progress;

/* A score that has just been stored. */
typedef struct mg_loop_record {
    int64_t id;
    const char *kind;
    mg_str label;
    int64_t generation, place;
    const char *item_set;
    bool failed;
    mg_str note;
    double score; /* NaN when failed */
    int64_t items;
    double seconds;
} mg_loop_record;

/* After each generation. */
typedef struct mg_loop_generation {
    int64_t generation, evaluations;
    double best, mean; /* of the generation's scores */
    double best_ever;
    double sigma, learning_rate;
} mg_loop_generation;

/* Vectors as linear forms over the sources: (segment, source), for the preset niches. */
typedef struct mg_niche_space {
    int64_t segment_count;
    const double *sizes; /* segment_count: parameters */
    const double *gram;  /* (segment_count, sources, sources): inner products of the sources */
} mg_niche_space;

typedef struct mg_loop_options {
    mg_loop_space space;
    mg_stage stage;
    const mg_niche_space *niches; /* the preset niches alone */
    const double *warm_points;    /* (warm_count, dimension): the optimiser begins around them */
    int64_t warm_count;           /* 0 = at the start point */
    const mg_search_config *search;
    const mg_loop_task *tasks; /* one for each of fitness->tasks */
    double validate_share;     /* of the search questions; 0 = none, or tasks do it */
    mg_fitness *fitness;
    mg_store *store;
    const mg_clock *clock;
    bool (*stop)(void *context); /* true: park the run; NULL = never */
    /* A merge better than every one before on the search questions: best_config.yaml. */
    mg_status (*improved)(void *context, int64_t id, const double *genome, double score,
                          mg_error *err);
    /* Added to the cost of a sample, and to nothing that is reported; NULL = nothing. */
    double (*penalty)(void *context, const double *genome);
    void (*recorded)(void *context, const mg_loop_record *record);
    void (*generation)(void *context, const mg_loop_generation *generation);
    void (*progress)(void *context, const mg_loop_progress *progress);
    void *context; /* of all of them */
} mg_loop_options;

typedef struct mg_loop_result {
    int64_t winner; /* id of the candidate in the store; a merge */
    int64_t end_id; /* behind the last candidate */
    double gain; /* over the default merge, on validation questions, else on those of the search */
    double violation; /* of guards, beyond that of the default merge; below 0: less than that */
    double seconds;   /* that the stage took, in all processes */
    double *genome;   /* dimension; ends with mg_loop_result_release */
} mg_loop_result;

/* Runs or continues the search in options->store.  MG_ERR_INTERRUPTED when stop said so: the same
 * call continues.  Other failures name what ended the search. */
MG_MUST_CHECK mg_status mg_loop_run(const mg_loop_options *options, mg_loop_result *result_out,
                                    mg_error *err);
void mg_loop_result_release(mg_loop_result *result);

MG_END_C
