/* data/glob.h - files that match a data_files pattern.
 *
 * Thread-safety: functions are independent. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

MG_BEGIN_C

bool mg_glob_is_pattern(mg_str text);
/* The files below folder that match pattern (absolute patterns ignore folder), sorted; they live in
 * arena.  No match is no error: *count_out is 0. */
MG_MUST_CHECK mg_status mg_glob(const char *folder, mg_str pattern, mg_arena *arena,
                                const char ***paths_out, int64_t *count_out, mg_error *err);

MG_END_C
