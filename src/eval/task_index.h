/* eval/task_index.h - finds tasks, groups and tags by name below the include paths (tasks.md 2).
 *
 * The folders are walked once.  A name is looked for among the files whose text holds it, so that a
 * tree of thousands of files costs a read, not a parse, of each.
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/error.h"
#include "eval/task_settings.h"

MG_BEGIN_C

typedef enum mg_entry_kind { MG_ENTRY_TASK, MG_ENTRY_GROUP, MG_ENTRY_TAG } mg_entry_kind;

/* What a name stands for; it lives as long as the index. */
typedef struct mg_task_entry {
    mg_entry_kind kind;
    mg_str name;
    mg_settings settings; /* of a task or group */
    mg_str *members;      /* of a tag: sorted task names */
    int64_t member_count;
} mg_task_entry;

typedef struct mg_task_index mg_task_index;

/* Walks the folders; one that is missing is an error that names it. */
MG_MUST_CHECK mg_status mg_task_index_create(const char *const *include_paths, int64_t count,
                                             mg_task_index **index_out, mg_error *err);
void mg_task_index_destroy(mg_task_index *index); /* NULL is fine */

/* name may also be the path of a YAML file, whose folder then counts as an include path; the files
 * beside that of a group are searched too.
 * MG_ERR_USAGE names the nearest task, MG_ERR_NOT_FOUND a file that is missing. */
MG_MUST_CHECK mg_status mg_task_index_find(mg_task_index *index, const char *name,
                                           const mg_task_entry **entry_out, mg_error *err);
/* The names of all tasks and groups below the include paths that match a pattern with * and ?,
 * sorted, each once; they live in the index. */
void mg_task_index_match(mg_task_index *index, const char *pattern, const mg_str **names_out,
                         int64_t *count_out);
/* The include paths and the folders of files named by path, resolved. */
int64_t mg_task_index_root_count(const mg_task_index *index);
const char *mg_task_index_root(const mg_task_index *index, int64_t root);
/* Whether the resolved path lies inside one of the roots. */
bool mg_task_index_allows(const mg_task_index *index, const char *path);

MG_END_C
