/* merge/plan_doubts_internal.h - the parts of mg_plan_warnings, each a line for each doubt. */
#pragma once

#include "merge/plan_internal.h"

MG_BEGIN_C

/* Models that do not go together although their tensors do: tokens, special tokens, heads, rotary
 * and other numbers of their configurations (plan_model_doubts.c). */
void mg_plan_model_doubts(const mg_plan *plan, mg_buf *out);

MG_END_C
