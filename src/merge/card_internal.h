/* merge/card_internal.h - README.md of a merged model. */
#pragma once

#include "merge/plan_internal.h"

MG_BEGIN_C

/* Appends the model card (merging.md 2.14).  name is the model's, yaml the recipe as recorded;
 * models in the folder parts, which may be NULL, are called by their names there. */
void mg_card_write(const mg_plan *plan, const mg_recipe *recipe, mg_str name, mg_str yaml,
                   const char *parts, mg_buf *out);

MG_END_C
