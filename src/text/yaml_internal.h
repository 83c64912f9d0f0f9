/* text/yaml_internal.h - the type rules of YAML 1.1, shared by the reader and the writer.
 *
 * Thread-safety: pure functions. */
#pragma once

#include "text/value.h"

MG_BEGIN_C

/* Gives the plain scalar in value->string its YAML 1.1 type; strings stay as they are. */
void mg_yaml_resolve(mg_value *value);
/* Whether text matches YAML 1.1's timestamp form. */
bool mg_yaml_is_timestamp(mg_str text);

MG_END_C
