/* evolve/stage.h - one of several searches that follow each other in one store.
 *
 * Each begins with what the one before has found.  They share the sources and their answers; all
 * other candidates are numbered on.  Thread-safety: as store.h. */
#pragma once

#include "base/error.h"
#include "store/store.h"

MG_BEGIN_C

#define MG_STAGES_MAX 4
#define MG_STAGE_KEY_BYTES 64

/* All zero: one search alone. */
typedef struct mg_stage {
    int64_t index;    /* 0 = the first */
    int64_t count;    /* of stages; 0 and 1: this one is all there is */
    int64_t first_id; /* later stages: in the store, of the first candidate that is no source */
    int64_t end_id;   /* the next stage's first_id; 0 = there is none in the store */
} mg_stage;

/* The key of the store under which a stage keeps what a search alone keeps under name:
 * "state/loop", "winner".  The first stage shares all of them but the winner. */
void mg_stage_key(const mg_stage *stage, const char *name, char key_out[MG_STAGE_KEY_BYTES]);
/* The first_id with which the stage of that index was begun; 0 = it was not. */
MG_MUST_CHECK mg_status mg_stage_first_id(mg_store *store, int64_t index, int64_t *first_id_out,
                                          mg_error *err);
/* Begins a later stage, or goes on with it when first_id and origin, a hash of what it begins with,
 * are those with which it was begun.  Otherwise everything that the store has of it and of those
 * behind it is dropped. */
MG_MUST_CHECK mg_status mg_stage_begin(mg_store *store, const mg_stage *stage, const char *origin,
                                       mg_error *err);

MG_END_C
