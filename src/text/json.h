/* text/json.h - JSON in and out of the document tree.
 *
 * Reading is strict RFC 8259 with a limit on depth and every value's place in the text.  NaN,
 * Infinity and -Infinity are accepted as Python writes them, a byte order mark in front is skipped,
 * integers beyond 64 bits become floats, and NULs in strings are kept.  Thread-safety: functions
 * are independent. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

#define MG_JSON_DEPTH_MAX 200

/* name stands in messages ("FILE:LINE:COL: ...").  The tree lives in arena.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_json_parse(mg_str text, const char *name, mg_arena *arena,
                                      mg_value *value_out, mg_error *err);
/* The same for one line of a file of JSON lines; its number, from 1, stands in messages and places.
 */
MG_MUST_CHECK mg_status mg_json_parse_line(mg_str text, const char *name, int64_t number,
                                           mg_arena *arena, mg_value *value_out, mg_error *err);
MG_MUST_CHECK mg_status mg_json_read(const char *path, size_t bytes_max, mg_arena *arena,
                                     mg_value *value_out, mg_error *err);

typedef struct mg_json_style {
    int indent;   /* spaces; 0 = one line */
    bool ascii;   /* escape everything above U+007E */
    bool sorted;  /* keys by code point */
    bool compact; /* "," and ":" without the space that Python puts behind them */
    /* Override the above where not NULL; an indent_text of "" still breaks lines. */
    const char *indent_text;
    const char *item_separator;
    const char *key_separator;
} mg_json_style;

/* Appends value as Python's json.dumps would with that style (NULL: one line, non-ASCII kept). */
void mg_json_write(mg_buf *buf, const mg_value *value, const mg_json_style *style);
void mg_json_write_str(mg_buf *buf, mg_str text, bool ascii); /* with the quotes */

MG_END_C
