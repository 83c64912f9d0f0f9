/* merge/missing.h - models that a configuration names and that are not there.
 *
 * A file with other mistakes never comes as far as its models; these are told with the rest.
 * Thread-safety: functions are independent. */
#pragma once

#include "base/error.h"
#include "hub/cache.h"

MG_BEGIN_C

/* Adds a line "FILE:LINE:COL: ..." to err, which holds the mistakes of the YAML file at path, for
 * each model that cannot be found: values of `model` and `base_model`, and texts in `models`. */
void mg_add_missing_models(const char *path, const mg_hub *hub, mg_error *err);

MG_END_C
