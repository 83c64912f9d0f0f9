/* text/yaml.h - YAML 1.1 as PyYAML's safe loader reads it (tasks.md 1), through libyaml.
 *
 * Scalars are typed by the YAML 1.1 rules: `1e-5` is a string, `no` is false, 010 is 8.  Anchors,
 * aliases and << merges work, with a limit on what they may expand to.  Local tags such as
 * `!function` are kept in mg_value.tag.  Thread-safety: functions are independent. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

#define MG_YAML_BYTES_MAX ((size_t)16 << 20)

/* The only document of text (an empty one gives null).  MG_ERR_FORMAT with "NAME:LINE:COL: ...". */
MG_MUST_CHECK mg_status mg_yaml_parse(mg_str text, const char *name, mg_arena *arena,
                                      mg_value *value_out, mg_error *err);
/* All documents, as a list. */
MG_MUST_CHECK mg_status mg_yaml_parse_all(mg_str text, const char *name, mg_arena *arena,
                                          mg_value *list_out, mg_error *err);
MG_MUST_CHECK mg_status mg_yaml_read(const char *path, mg_arena *arena, mg_value *value_out,
                                     mg_error *err);

/* Appends value in block style with maps in their order; lists of numbers or booleans in flow
 * style; strings quoted where YAML 1.1 would read them as something else (merging.md 1.10).  Ends
 * with a newline. */
void mg_yaml_write(mg_buf *buf, const mg_value *value);

MG_END_C
