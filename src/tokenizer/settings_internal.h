/* tokenizer/settings_internal.h - members of JSON objects with their expected kinds.
 *
 * An absent or null member gives the fallback; any other kind is MG_ERR_FORMAT naming the key.
 * Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

MG_MUST_CHECK mg_status mg_setting_bool(const mg_value *map, const char *key, bool fallback,
                                        bool *value_out, mg_error *err);
MG_MUST_CHECK mg_status mg_setting_int(const mg_value *map, const char *key, int64_t fallback,
                                       int64_t *value_out, mg_error *err);
/* The view borrows from the document; its data is NULL when the member is absent. */
MG_MUST_CHECK mg_status mg_setting_str(const mg_value *map, const char *key, mg_str *value_out,
                                       mg_error *err);
/* Absent gives NULL. */
MG_MUST_CHECK mg_status mg_setting_list(const mg_value *map, const char *key,
                                        const mg_value **value_out, mg_error *err);

MG_END_C
