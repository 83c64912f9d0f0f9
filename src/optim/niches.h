/* optim/niches.h - M2N2: a small archive in which members live off the questions that few others
 * can answer, and mate with those that answer what they cannot (evolution.md 11).
 *
 * A member is a linear form: for each segment of the parameters a coefficient for each of K
 * experts; inner products of whole vectors follow from Gram matrices of the experts by segment.
 * Steady state in batches: the children of one batch are drawn from the same archive and enter it
 * in the order of their numbers.  All draws are functions of (seed, batch).  Abrantes, Lange, Tang,
 * "Competition and Attraction Improve Model Fusion", arXiv 2508.16204.
 * Thread-safety: one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_NICHES_ARCHIVE 15
#define MG_NICHES_BATCH 5

typedef struct mg_niches_options {
    int64_t segment_count, expert_count; /* a vector is (segment_count, expert_count) */
    const double *sizes;                 /* segment_count: parameters */
    const double *gram; /* (segment_count, expert_count, expert_count): inner products */
    int64_t item_count;
    int64_t archive; /* 0 = MG_NICHES_ARCHIVE */
    int64_t batch;   /* 0 = MG_NICHES_BATCH */
    uint64_t seed;
} mg_niches_options;

typedef struct mg_niches_member {
    int64_t id;
    const double *x;
    const double *scores; /* item_count */
    double violation;
} mg_niches_member;

typedef struct mg_niches mg_niches;

/* MG_ERR_CONFIG when the options make no search. */
MG_MUST_CHECK mg_status mg_niches_create(const mg_niches_options *options, mg_niches **niches_out,
                                         mg_error *err);
void mg_niches_destroy(mg_niches *niches); /* NULL is fine */

/* Puts expert number expert, with its answers, into an archive that has seen no batch. */
void mg_niches_add_expert(mg_niches *niches, int64_t id, int64_t expert, const double *scores);
int64_t mg_niches_batch(const mg_niches *niches);
/* Child k of the present batch. */
void mg_niches_ask(mg_niches *niches, int64_t k, double *x_out);
/* scores (batch, item_count), in [0, 1]; a row that begins with NaN is a child that failed.  More
 * violation loses against less, whatever the scores; violations may be NULL. */
void mg_niches_tell(mg_niches *niches, int64_t first_id, const double *scores,
                    const double *violations);
int64_t mg_niches_member_count(const mg_niches *niches);
/* Best mean score first. */
mg_niches_member mg_niches_member_at(const mg_niches *niches, int64_t index);

/* Fitness of every member of an archive of scores (count, items), as sharing gives it; and how
 * attractive each is to member a (0 for a itself). */
void mg_niches_fitness(const double *scores, int64_t count, int64_t items, double *fitness_out);
void mg_niches_attraction(const double *scores, int64_t count, int64_t items, int64_t a,
                          double *attraction_out);

/* The whole state as bytes, and back.  MG_ERR_FORMAT. */
void mg_niches_save(const mg_niches *niches, mg_buf *out);
MG_MUST_CHECK mg_status mg_niches_load(const mg_niches_options *options, mg_str state,
                                       mg_niches **niches_out, mg_error *err);

MG_END_C
