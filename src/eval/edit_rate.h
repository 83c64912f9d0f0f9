/* eval/edit_rate.h - the edits that translation edit rate counts.
 *
 * TER (Snover et al., AMTA 2006): the fewest insertions, deletions, substitutions and shifts of
 * phrases that turn what was said into what was wanted, found greedily with the limits of Tercom as
 * sacrebleu has them.  Thread-safety: functions are independent. */
#pragma once

#include "base/error.h"

MG_BEGIN_C

/* Words are numbers: equal words, equal numbers.  MG_ERR_LIMIT when both lists are so long that
 * their table has more than 2^27 cells, MG_ERR_MEMORY when there is no room for it. */
MG_MUST_CHECK mg_status mg_edit_count(const int32_t *said, int64_t said_count,
                                      const int32_t *wanted, int64_t wanted_count,
                                      int64_t *edits_out, mg_error *err);

MG_END_C
