/* text/diagnostics.h - all mistakes of one configuration, collected and reported together.
 *
 * Each is one line "FILE:LINE:COL: what is wrong, what was expected".  A hostile file may have
 * millions: a line is cut where it is very long, and behind a limit mistakes are only counted.
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

/* On the caller's stack; zero-initialised is empty. */
typedef struct mg_diagnostics {
    mg_arena arena;
    mg_str file;   /* the name put in front of each line; borrowed */
    int64_t count; /* mistakes; warnings are not counted */
    int64_t warning_count;
    mg_buf text; /* the first mistakes, one a line, without a newline at the end */
} mg_diagnostics;

void mg_diagnostics_release(mg_diagnostics *diagnostics);
/* where gives line and column and may be NULL. */
void mg_diagnose(mg_diagnostics *diagnostics, const mg_value *where, const char *format, ...)
    MG_PRINTF(3, 4);
/* A note for the person (base/log.h) with the same prefix; not a mistake.  Behind a limit one last
 * warning says that there are more. */
void mg_diagnose_warn(mg_diagnostics *diagnostics, const mg_value *where, const char *format, ...)
    MG_PRINTF(3, 4);
/* Adds the mistakes of another that are not there yet. */
void mg_diagnostics_merge(mg_diagnostics *diagnostics, const mg_diagnostics *other);
/* MG_OK without mistakes, else MG_ERR_CONFIG with all of them in err, or as many as it holds and
 * the number of the others. */
MG_MUST_CHECK mg_status mg_diagnostics_finish(const mg_diagnostics *diagnostics, mg_error *err);

MG_END_C
