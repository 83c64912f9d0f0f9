/* evolve/loop_internal.h - the state of a running search, shared by the files of the loop.
 *
 * Thread-safety: one thread, but for what evaluate.c's callback touches while others wait for it.
 */
#pragma once

#include "base/map.h"
#include "base/rng.h"
#include "evolve/explorer.h"
#include "evolve/loop.h"
#include "optim/cmaes.h"
#include "optim/restart.h"

MG_BEGIN_C

#define MG_FRONT_PICKS 5    /* of a population, at most, that become finalists */
#define MG_RUN_LABEL "run " /* of the means of the optimiser's earlier runs */

/* Questions with a name under which scores are stored. */
typedef struct mg_item_set {
    const char *name;
    mg_question *questions; /* ascending */
    int64_t count;
} mg_item_set;

typedef struct mg_loop_candidate {
    int64_t id;
    const char *kind; /* "source", "default", "start", "sample", "mean", "polish" */
    mg_str label;
    int64_t generation, place;
    const double *genome; /* NULL for a source */
    int64_t source;       /* index, -1 for merges */
    bool failed;
    mg_str note;
    double search_score;   /* on the set loop->search; NaN = not yet, or failed */
    double likelihood;     /* of the reference answers there, in the mean; 0 = not asked */
    double violation;      /* of guards, there */
    double mark;           /* on the set by which the best so far is told; NaN as above */
    double mark_violation; /* there */
    int64_t twin;          /* the first candidate with this genome; -1 = none before this one */
    int64_t raced;         /* validation questions after which it left the race; 0 = it did not */
} mg_loop_candidate;

/* A score that the store has. */
typedef struct mg_stored_score {
    double value, violation, likelihood;
} mg_stored_score;

/* How many questions a generation answers, where that is left to the search; see control.c. */
typedef struct mg_item_control {
    int64_t *order;  /* (pool.count): indexes into pool, sets are its beginnings */
    double items;    /* of the next generation */
    double smoothed; /* rank changes */
    int64_t told;    /* questions of the generation told last; 0 = none */
    int64_t spent;   /* questions that the optimiser has asked */
    int64_t floor;   /* generations in a row without any signal */
} mg_item_control;

typedef struct mg_loop {
    const mg_loop_options *o;
    mg_arena arena;
    mg_loop_candidate **candidates; /* by id */
    int64_t candidate_count, candidate_cap;
    mg_map genomes; /* bytes of a genome -> id of the first candidate that has it */
    mg_map stored;  /* "ID/SET" -> index of the row in stored_scores */
    mg_stored_score *stored_scores;
    int64_t stored_count, stored_cap;

    mg_item_set pool;     /* all questions of the search part */
    mg_item_set search;   /* those of one candidate: pool, or a part of it; may be drawn anew */
    mg_item_set asked;    /* search, and with a tie-breaker the reference answers to it behind */
    mg_item_set held_out; /* may be empty: of the search part, for snapshots of generations */
    mg_item_set select;   /* may be empty */
    mg_item_set report;   /* may be empty: part of the validation set aside */
    mg_item_set test;     /* may be empty */

    double *source_values; /* (source_count, pool.count): what the sources answered when the run
                              began, NaN = failed */
    mg_item_control control;
    double
        *anchor_weights; /* (pool.count): shares that anchors stand for, 0 = none; NULL without */
    int64_t epoch;       /* how often search has been drawn anew */

    int64_t evaluations_total;          /* budget of the optimiser alone, in candidates */
    int64_t polish_count, polish_first; /* candidates, and questions of their first round */
    int64_t budget;                     /* in candidates, as it was given; 0 = time alone */
    bool counts_all;                    /* references and polish are paid from it */
    int64_t polished;                   /* questions of the polish that are answered */
    int64_t finalists, finalists_done;  /* progress of "sources", "choice" and "test" */
    int64_t evaluations;                /* scored so far, of all kinds, on the search questions */
    int64_t questions;                  /* answered in this process */
    int64_t questions_before;           /* answered in earlier ones */
    int64_t best_id;                    /* -1 = none */
    double best_score, best_violation;
    bool replaying; /* scores of earlier processes come in: the outside hears of the last best only
                     */
    double seconds_before;                    /* spent by earlier processes */
    double seconds_begin;                     /* on the clock */
    mg_loop_candidate *picks[MG_FRONT_PICKS]; /* of the front, for NSGA-II */
    int64_t pick_count;
    double *bit_probabilities; /* of the optimiser at its end; NULL without bits */
    const char *phase;
    int broken;             /* not 0 once write_status is; read by threads at work, atomically */
    mg_status write_status; /* first failure inside a callback */
    mg_error write_error;
} mg_loop;

/* The optimiser's part of the run.  When it was finished under another budget, a larger one goes on
 * with it, and what came after it is forgotten. */
typedef struct mg_progress_state {
    mg_cma_kind kind;   /* decided once: a later budget does not change it */
    int64_t generation; /* over all restarts */
    int64_t asked;      /* candidates in told generations */
    int64_t extra;      /* means that were evaluated beside them */
    int64_t run_begin;  /* asked, when the optimiser's present run began */
    mg_restart restart; /* what that run looks like */
    bool finished;      /* the phase is over */
} mg_progress_state;

/* loop_state.c: the store's id of a candidate, and back; -1 = of another stage. */
int64_t mg_loop_store_id(const mg_loop *loop, int64_t id);
int64_t mg_loop_local_id(const mg_loop *loop, int64_t store_id);
/* A value of this stage in the store; an empty one counts as none. */
MG_MUST_CHECK mg_status mg_loop_put_value(mg_loop *loop, const char *name, mg_str value,
                                          mg_error *err);
MG_MUST_CHECK mg_status mg_loop_get_value(mg_loop *loop, const char *name, mg_buf *value_out,
                                          bool *found_out, mg_error *err);
/* The first candidate behind the generations that have been told. */
int64_t mg_loop_next_id(const mg_loop *loop, const mg_progress_state *state);
MG_MUST_CHECK mg_status mg_loop_save_state(mg_loop *loop, const mg_progress_state *state,
                                           const mg_explorer *explorer, mg_error *err);
/* The counters; a search that had ended under another budget goes on, and its end is forgotten. */
MG_MUST_CHECK mg_status mg_loop_load_state(mg_loop *loop, mg_progress_state *state, bool *found_out,
                                           mg_error *err);
/* What the report needs beside candidates: the tasks, and the questions of every set.
 * "set/search" are those that tell which candidate is the best, "set/name" is their set's name. */
MG_MUST_CHECK mg_status mg_loop_store_sets(mg_loop *loop, mg_error *err);
/* Probabilities of the bits around a mean, from which the polish draws: kept with the mean of a run
 * that is over, and taken back into loop->bit_probabilities where the store has them. */
MG_MUST_CHECK mg_status mg_loop_put_bits(mg_loop *loop, const mg_loop_candidate *mean,
                                         const double *probabilities, mg_error *err);
MG_MUST_CHECK mg_status mg_loop_get_bits(mg_loop *loop, const mg_loop_candidate *mean,
                                         mg_error *err);

/* generations.c: how many candidates the optimiser may ask; the rest of the budget is the
 * references' and the polish's. */
void mg_loop_plan_budget(mg_loop *loop);
/* Runs or continues the optimiser to its end; mean (dimension) is what it has found. */
MG_MUST_CHECK mg_status mg_loop_run_optimiser(mg_loop *loop, mg_progress_state *state, double *mean,
                                              mg_error *err);

/* finalists.c: mean, polish and choice. */
MG_MUST_CHECK mg_status mg_loop_finish(mg_loop *loop, const mg_progress_state *state,
                                       const double *mean, mg_loop_candidate **winner_out,
                                       mg_error *err);

/* items.c: fills pool, held_out, select, report and test; then, once the sources have answered,
 * search. */
MG_MUST_CHECK mg_status mg_loop_split_items(mg_loop *loop, mg_error *err);
/* The questions of epoch: a pure function of seed, epoch and source_values. */
void mg_loop_choose_items(mg_loop *loop, int64_t epoch);
/* Whether the epochs differ in their questions at all. */
bool mg_loop_rotates(const mg_loop *loop);
/* The set by which the best so far is told: held_out, or search without it. */
const mg_item_set *mg_loop_judge(const mg_loop *loop);
/* A random order of count things. */
void mg_loop_shuffle(int64_t *order, int64_t count, mg_rng *rng);
int mg_question_compare(const void *a, const void *b);

/* evaluate.c */
mg_loop_candidate *mg_loop_candidate_at(mg_loop *loop, int64_t id); /* NULL = unknown */
/* The candidate of that id, made when it is new. */
mg_loop_candidate *mg_loop_candidate_make(mg_loop *loop, int64_t id, const char *kind, mg_str label,
                                          int64_t generation, int64_t place, const double *genome,
                                          int64_t source);
MG_MUST_CHECK mg_status mg_loop_load(mg_loop *loop, mg_error *err);
/* Forgets candidates from that id on, here and in the store, with what the end of the search has
 * left for reports when with_end: all or nothing. */
MG_MUST_CHECK mg_status mg_loop_forget_from(mg_loop *loop, int64_t id, bool with_end,
                                            mg_error *err);
/* Answers of every candidate to every question of set, from the store where they are known; failed
 * candidates of earlier processes are tried again when retry_failed. */
MG_MUST_CHECK mg_status mg_loop_evaluate(mg_loop *loop, mg_loop_candidate *const *candidates,
                                         int64_t count, const mg_item_set *set, bool retry_failed,
                                         mg_error *err);
/* Takes the score of a candidate on set over where the store has it, which then has not failed by
 * these questions; asks nothing. */
MG_MUST_CHECK mg_status mg_loop_adopt_stored(mg_loop *loop, mg_loop_candidate *candidate,
                                             const mg_item_set *set, mg_error *err);
/* Forgets scores on loop->search, whose questions change, and the best so far if it hangs on them.
 */
void mg_loop_forget_scores(mg_loop *loop);
/* The stored values of a candidate on set (set->count, NaN = none) and their weighted score. */
MG_MUST_CHECK mg_status mg_loop_values(mg_loop *loop, const mg_loop_candidate *candidate,
                                       const mg_item_set *set, double *values_out, mg_error *err);
/* Weighted sum over the tasks of set of the mean value; NaN when a value is missing. */
double mg_loop_score(const mg_loop *loop, const mg_item_set *set, const double *values);
/* The same over the questions with side[i] == which; tasks that have none there add nothing. */
double mg_loop_half_score(const mg_loop *loop, const mg_item_set *set, const double *values,
                          const bool *side, bool which);
/* Passes the best so far on, unless replaying. */
MG_MUST_CHECK mg_status mg_loop_tell_improved(mg_loop *loop, mg_error *err);
bool mg_loop_stopped(const mg_loop *loop);
double mg_loop_seconds(const mg_loop *loop); /* in all processes */
void mg_loop_show_progress(mg_loop *loop);
MG_MUST_CHECK mg_status mg_loop_event(mg_loop *loop, const char *kind, mg_error *err,
                                      const char *format, ...) MG_PRINTF(4, 5);

/* runs.c: the optimiser's runs, one after another.  The form is decided once; the first run is as
 * settings and preset say. */
mg_cma_kind mg_loop_choose_kind(const mg_loop *loop);
void mg_loop_first_run(const mg_loop *loop, mg_restart *restart);
/* Whether another run may follow the one described. */
bool mg_loop_may_restart(const mg_loop *loop, const mg_restart *restart);
/* The optimiser of that run: from state, or new when that is empty. */
MG_MUST_CHECK mg_status mg_loop_open_run(mg_loop *loop, mg_cma_kind kind, const mg_restart *restart,
                                         mg_str state, mg_explorer **explorer_out, mg_error *err);

/* pareto.c: several tasks as objectives of their own (evolution.md 9).  The tasks of the search
 * that have a weight, to tasks_out (may be NULL); returns how many. */
int64_t mg_loop_objective_tasks(const mg_loop *loop, int64_t *tasks_out);
/* Minus the score on each of them, from the search questions; infinity for a failed candidate. */
MG_MUST_CHECK mg_status mg_loop_objectives(mg_loop *loop, const mg_loop_candidate *candidate,
                                           double *objectives_out, mg_error *err);
/* The picks of the front among finalists_out (at most MG_FRONT_PICKS), and the front into the
 * store's "front": a line for each candidate, its number and which picks it is. */
MG_MUST_CHECK mg_status mg_loop_pick_from_front(mg_loop *loop, const mg_nsga2 *nsga,
                                                mg_loop_candidate **picks_out, int64_t *count_out,
                                                mg_error *err);
/* The first of the living, best first: as many as are finalists. */
void mg_loop_pick_living(mg_loop *loop, const mg_nsga2 *nsga, mg_loop_candidate **picks_out,
                         int64_t *count_out);

/* archive.c: the niches of M2N2.  Their options; the sources as first members; and what a
 * generation answered, (count, questions of the search). */
mg_niches_options mg_loop_niches_options(const mg_loop *loop);
MG_MUST_CHECK mg_status mg_loop_add_experts(mg_loop *loop, mg_niches *niches, mg_error *err);
MG_MUST_CHECK mg_status mg_loop_answers(mg_loop *loop, mg_loop_candidate *const *candidates,
                                        int64_t count, double *answers_out, mg_error *err);
/* The best merges of the archive, as many as are finalists. */
void mg_loop_pick_from_niches(mg_loop *loop, const mg_niches *niches, mg_loop_candidate **picks_out,
                              int64_t *count_out);

/* anchors.c: few questions that stand for all, when the settings say so.  Chooses wanted of the
 * pool for the set search, from the sources' answers. */
bool mg_loop_estimates(const mg_loop *loop);
void mg_loop_choose_anchors(mg_loop *loop, int64_t wanted);
/* Objectives (count, tasks) of the generation that begins with first_id and of the living, as
 * estimated from all answers so far. */
MG_MUST_CHECK mg_status mg_loop_estimate(mg_loop *loop, mg_nsga2 *nsga, int64_t first_id,
                                         int64_t count, double *objectives, mg_error *err);
/* From now on the set search is the whole pool. */
MG_MUST_CHECK mg_status mg_loop_widen(mg_loop *loop, mg_error *err);

/* control.c, with `items: auto`: questions of the first generation, and of the next one. */
int64_t mg_loop_control_first(const mg_loop *loop);
int64_t mg_loop_control_items(const mg_loop *loop);
/* Makes the order of which sets are beginnings; strata (pool.count) are 0 .. strata_count - 1. */
void mg_loop_control_order(mg_loop *loop, const int64_t *strata, int64_t strata_count);
/* count questions of the order from begin on, to set. */
void mg_loop_control_take(const mg_loop *loop, int64_t begin, int64_t count, mg_item_set *set);
/* After a generation: how many questions the next one answers, and by what its step grows. */
MG_MUST_CHECK mg_status mg_loop_control(mg_loop *loop, int64_t generation,
                                        mg_loop_candidate *const *candidates, const double *costs,
                                        int64_t count, double *sigma_factor, mg_error *err);
/* Whether all questions together have told nothing for long. */
bool mg_loop_control_floor(const mg_loop *loop);
void mg_loop_control_save(const mg_loop *loop, mg_buf *out);
MG_MUST_CHECK mg_status mg_loop_control_load(mg_loop *loop, mg_str state, mg_error *err);

/* With the optimiser `switch`: a full covariance, when it is time; *kind becomes that. */
MG_MUST_CHECK mg_status mg_loop_switch_form(mg_loop *loop, mg_cma_kind *kind,
                                            const mg_restart *restart, mg_explorer *explorer,
                                            mg_error *err);

/* polish.c: plans the polish for its budget (in questions); returns the questions it will ask. */
int64_t mg_loop_plan_polish(mg_loop *loop, int64_t budget);
/* The finalists of the polish around mean (best first), at most two. */
MG_MUST_CHECK mg_status mg_loop_polish(mg_loop *loop, const double *mean, int64_t first_id,
                                       int64_t *next_id, mg_loop_candidate *finalists[2],
                                       int64_t *finalist_count, mg_error *err);

/* choice.c: the winner among finalists; answers select, report and test on the way. */
MG_MUST_CHECK mg_status mg_loop_choose(mg_loop *loop, mg_loop_candidate *const *finalists,
                                       int64_t count, mg_loop_candidate **winner_out,
                                       mg_error *err);

/* half_out.c: without validation questions, what the search's choice is worth: chosen on half of
 * the search questions, scored on the other.  Stored as "half_out". */
MG_MUST_CHECK mg_status mg_loop_half_out(mg_loop *loop, mg_error *err);

MG_END_C
