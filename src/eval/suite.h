/* eval/suite.h - the tasks and groups that a list of names stands for (tasks.md 2).
 *
 * Groups and tags are expanded, overrides of groups are applied, every task is opened once, and all
 * of them share one python worker.  Thread-safety: as task.h. */
#pragma once

#include "base/error.h"
#include "eval/runner.h"
#include "eval/task.h"

MG_BEGIN_C

typedef struct mg_suite mg_suite;

/* One entry of a group's aggregate_metric_list. */
typedef struct mg_group_metric {
    mg_str metric;
    const mg_str *filters; /* NULL = all that its tasks report */
    int64_t filter_count;
    bool weight_by_size;
} mg_group_metric;

typedef struct mg_group {
    mg_str name, alias;
    const int64_t *tasks; /* indexes of all tasks below it */
    int64_t task_count;
    const int64_t *children; /* tasks as they are, groups as -1 - index; in order */
    int64_t child_count;
    const mg_group_metric *metrics;
    int64_t metric_count;
    const mg_value *metadata; /* NULL = none */
} mg_group;

/* Opens what names stand for; a name may be a pattern with * and ?.  MG_ERR_CONFIG when a task is
 * reached twice. */
MG_MUST_CHECK mg_status mg_suite_open(const char *const *names, int64_t count,
                                      const mg_task_options *options, mg_suite **suite_out,
                                      mg_error *err);
void mg_suite_close(mg_suite *suite); /* NULL is fine */
int64_t mg_suite_task_count(const mg_suite *suite);
mg_task *mg_suite_task(const mg_suite *suite, int64_t index);
int64_t mg_suite_group_count(const mg_suite *suite);
const mg_group *mg_suite_group(const mg_suite *suite, int64_t index);

MG_END_C
