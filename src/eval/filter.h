/* eval/filter.h - pipelines that turn responses into what metrics see (tasks.md 11).
 *
 * A pipeline maps, for each request, the list of its repeated responses through its steps; a step
 * such as take_first ends the list.  Thread-safety: immutable after reading; the python worker is
 * locked. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "eval/python.h"
#include "text/regex.h"
#include "text/value.h"

MG_BEGIN_C

typedef enum mg_filter_kind {
    MG_FILTER_TAKE_FIRST,
    MG_FILTER_TAKE_FIRST_K,
    MG_FILTER_MAJORITY_VOTE,
    MG_FILTER_REGEX,
    MG_FILTER_MULTI_CHOICE_REGEX,
    MG_FILTER_REGEX_POS,
    MG_FILTER_REMOVE_WHITESPACE,
    MG_FILTER_LOWERCASE,
    MG_FILTER_UPPERCASE,
    MG_FILTER_MAP,
    MG_FILTER_FORMAT_SPAN,
    MG_FILTER_CUSTOM /* a class or a function of the user */
} mg_filter_kind;

typedef struct mg_filter_step {
    mg_filter_kind kind;
    mg_regex *regex; /* of the regex kinds, owned */
    int64_t group_select;
    int64_t k; /* take_first_k */
    mg_value fallback;
    const mg_value *mapping; /* map */
    mg_value default_value;
    bool ignore_case, ignore_punctuation;
    mg_regex **ignored; /* regexes_to_ignore, owned */
    int64_t ignored_count;
    mg_function function;      /* custom */
    const mg_value *arguments; /* all keys of the step but `function` */
} mg_filter_step;

typedef struct mg_filter {
    mg_str name;
    mg_filter_step *steps; /* in the task's arena */
    int64_t step_count;
} mg_filter;

/* Whether name is one of the harness's own filters. */
bool mg_filter_is_known(mg_str name);
/* Reads one step with its arguments (a map); step->function is the caller's to set for custom ones.
 * name is the filter's name.  The step ends with mg_filter_step_release also after a failure.
 * MG_ERR_CONFIG names the nearest filter. */
MG_MUST_CHECK mg_status mg_filter_step_read(mg_str name, const mg_value *arguments,
                                            mg_filter_step *step_out, mg_error *err);
void mg_filter_step_release(mg_filter_step *step);

/* Filters count responses in place; docs[i] is the row of responses[i].  Values live in arena. */
MG_MUST_CHECK mg_status mg_filter_apply(const mg_filter *filter, mg_python *python,
                                        const mg_value *const *docs, mg_value *responses,
                                        int64_t count, mg_arena *arena, mg_error *err);

/* text with every match of regex replaced by nothing. */
MG_MUST_CHECK mg_status mg_regex_remove(const mg_regex *regex, mg_buf *text, mg_error *err);

MG_END_C
