/* text/regex_internal.h - from the dialects of pattern files to PCRE2's.
 *
 * Thread-safety: pure functions. */
#pragma once

#include "text/regex.h"

MG_BEGIN_C

typedef struct mg_regex_translation {
    mg_buf pattern; /* in PCRE2's syntax; end with mg_buf_release */
    bool ascii;     /* (?a): \d \w \b know only ASCII */
} mg_regex_translation;

/* Rewrites pattern, which must be valid UTF-8, so that PCRE2 with UTF and UCP means the same by it.
 * MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_regex_translate(mg_str pattern, mg_regex_dialect dialect,
                                           mg_regex_translation *translation_out, mg_error *err);
/* Whether PCRE2 knows name as a Unicode script. */
bool mg_regex_is_script(mg_str name);

MG_END_C
