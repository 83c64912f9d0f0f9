/* evolve/tensorboard.h - scalars in TensorBoard's event files.
 *
 * A file is a sequence of records: length (8 bytes, little-endian), its masked CRC-32C, an Event
 * message, its masked CRC-32C.  Thread-safety: one thread at a time. */
#pragma once

#include "base/error.h"

MG_BEGIN_C

typedef struct mg_tensorboard mg_tensorboard;

typedef struct mg_scalar {
    const char *tag; /* "score/best" */
    double value;
} mg_scalar;

/* A new event file in folder, which is made when missing.  time is in seconds since 1970. */
MG_MUST_CHECK mg_status mg_tensorboard_open(const char *folder, double time,
                                            mg_tensorboard **board_out, mg_error *err);
/* Values at one step; they are on disk when it returns. */
MG_MUST_CHECK mg_status mg_tensorboard_add(mg_tensorboard *board, double time, int64_t step,
                                           const mg_scalar *scalars, int64_t count, mg_error *err);
void mg_tensorboard_close(mg_tensorboard *board); /* NULL is fine */

MG_END_C
