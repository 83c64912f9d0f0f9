/* text/template.h - Jinja templates for tasks and chats (tasks.md 14 and 15).
 *
 * A template is compiled once and rendered with a map of variables.  It can do nothing but compute
 * a text: no files, no imports, no attribute that starts with an underscore; steps, depth and
 * output are limited.  Errors name the template's line and column. Thread-safety: a compiled
 * template is immutable; each render is independent. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

typedef enum mg_template_profile {
    MG_TEMPLATE_TASK, /* strict: printing an unknown name is an error; block trimming off */
    MG_TEMPLATE_CHAT  /* lenient; trim_blocks and lstrip_blocks on */
} mg_template_profile;

typedef struct mg_template mg_template;

/* name stands in messages.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_template_compile(mg_str source, const char *name,
                                            mg_template_profile profile, mg_template **template_out,
                                            mg_error *err);
void mg_template_destroy(mg_template *template_); /* NULL is fine */

/* Appends the text to out.  variables is a map.  now is the time that strftime_now shows, in
 * seconds since 1970 (UTC).  MG_ERR_FORMAT for a mistake of the template, MG_ERR_USER_CODE for
 * raise_exception (its message in err), MG_ERR_LIMIT. */
MG_MUST_CHECK mg_status mg_template_render(const mg_template *template_, const mg_value *variables,
                                           int64_t now, mg_buf *out, mg_error *err);

/* Where the whole template is one {{ expression }}: its native value instead of its text (tasks.md
 * 7, doc_to_choice).  *native_out is false for any other template, and nothing is evaluated then.
 */
MG_MUST_CHECK mg_status mg_template_evaluate(const mg_template *template_,
                                             const mg_value *variables, mg_arena *arena,
                                             bool *native_out, mg_value *value_out, mg_error *err);

/* A Python literal ("['a', 2, None]") as a value; false when text is none (tasks.md 7). */
bool mg_python_literal(mg_str text, mg_arena *arena, mg_value *value_out);
/* Appends what Python's str() (or repr() when quoted) prints for value. */
void mg_python_print(mg_buf *buf, const mg_value *value, bool quoted);

MG_END_C
