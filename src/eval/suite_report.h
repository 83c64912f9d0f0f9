/* eval/suite_report.h - results of a suite as the harness reports them: JSON and a table (tasks.md
 * 13).
 *
 * Thread-safety: functions are independent. */
#pragma once

#include "base/error.h"
#include "base/pool.h"
#include "eval/suite.h"
#include "text/value.h"

MG_BEGIN_C

typedef struct mg_report_options {
    int64_t bootstrap_iterations; /* 100,000 in the harness; 0 = no standard errors */
    mg_pool *pool;                /* may be NULL */
} mg_report_options;

/* {"results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better",
 * "n-samples"}: results holds one mg_task_results per task of the suite.  A task of which items
 * failed has "failed" (a count) and "failure" (the first reason) besides its metrics. */
MG_MUST_CHECK mg_status mg_report_build(const mg_suite *suite, mg_task_results *const *results,
                                        const mg_report_options *options, mg_arena *arena,
                                        mg_value *report_out, mg_error *err);
/* Appends the tables of tasks and of groups. */
void mg_report_table(const mg_value *report, mg_buf *out);

MG_END_C
