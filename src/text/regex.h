/* text/regex.h - regular expressions through PCRE2, with the dialects that files are written in.
 *
 * A match works under a step and a depth limit; exceeding it is an error, never a silent miss.
 * Thread-safety: a compiled pattern is immutable, share it freely. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

typedef enum mg_regex_dialect {
    MG_REGEX_PYTHON,   /* re: ^ $ are text anchors unless (?m), \d \w \s Unicode (tasks.md 11) */
    MG_REGEX_ONIGURUMA /* tokenizer.json: ^ $ are line anchors (tokenizers.md 5.3) */
} mg_regex_dialect;

typedef struct mg_regex mg_regex;

MG_MUST_CHECK mg_status mg_regex_compile(mg_str pattern, mg_regex_dialect dialect,
                                         mg_regex **regex_out, mg_error *err);
void mg_regex_destroy(mg_regex *regex);          /* NULL is fine */
int mg_regex_group_count(const mg_regex *regex); /* capturing groups, 0 = none */

#define MG_REGEX_GROUPS_MAX 32
typedef struct mg_regex_match {
    int64_t begin[MG_REGEX_GROUPS_MAX]; /* byte offsets; [0] is the whole match; -1 = not set */
    int64_t end[MG_REGEX_GROUPS_MAX];
} mg_regex_match;

/* The leftmost match at or after byte offset from; *found_out tells.  text must be valid UTF-8.
 * MG_ERR_LIMIT when the pattern needs too many steps. */
MG_MUST_CHECK mg_status mg_regex_search(const mg_regex *regex, mg_str text, size_t from,
                                        bool *found_out, mg_regex_match *match_out, mg_error *err);

/* The next match of Python's re.finditer: match_inout holds the previous one and begins as
 * MG_REGEX_MATCH_START.  An empty match may stand behind any other but not twice in one place. */
#define MG_REGEX_MATCH_START                                                                       \
    {                                                                                              \
        { -1 },                                                                                    \
        {                                                                                          \
            -1                                                                                     \
        }                                                                                          \
    }
MG_MUST_CHECK mg_status mg_regex_next(const mg_regex *regex, mg_str text, bool *found_out,
                                      mg_regex_match *match_inout, mg_error *err);
/* Appends text with the first count_max matches (0 = all) replaced, as Python's re.sub does: \\1
 * and
 * \\g<name> in replacement stand for groups.  MG_ERR_FORMAT for a bad replacement. */
MG_MUST_CHECK mg_status mg_regex_replace(const mg_regex *regex, mg_str text, mg_str replacement,
                                         int64_t count_max, mg_buf *buf, mg_error *err);
/* Appends text so that it matches only itself, as Python's re.escape. */
void mg_regex_escape(mg_buf *buf, mg_str text);

MG_END_C
