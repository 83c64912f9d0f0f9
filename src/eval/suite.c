/* eval/suite.c - expansion of groups and tags.
 *
 * Overrides travel downwards: a task's own keys, then those of the groups around it from the
 * innermost to the outermost, then those that stand beside its name in a list.  They are kept as
 * settings, so that each still knows the file it was written in. */
#include "eval/suite.h"

#include "base/memory.h"
#include "eval/task_internal.h"

#define DEPTH_MAX 16

struct mg_suite {
    mg_arena arena;
    mg_task_index *index;
    mg_python *worker;
    const mg_task_options *options; /* during open only */
    mg_task **tasks;
    int64_t task_count;
    int64_t task_cap;
    mg_group *groups;
    int64_t group_count;
    int64_t group_cap;
};

/* Tasks found and not yet opened: first all names are known, then data is read. */
typedef struct pending {
    mg_str name;
    mg_settings settings;
} pending;

typedef struct expansion {
    mg_suite *suite;
    pending *items;
    int64_t count;
    int64_t cap;
} expansion;

/* A growing list of children. */
typedef struct children {
    int64_t *items;
    int64_t count;
    int64_t cap;
} children;

static void add_child(children *list, int64_t child)
{
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? list->cap * 2 : 16;
        list->items = mg_memory_resize(list->items, list->cap, sizeof(int64_t));
    }
    list->items[list->count++] = child;
}

static bool is_group_key(mg_str key)
{
    static const char *const keys[] = { "group", "group_alias", "task", "aggregate_metric_list",
                                        "metadata" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(keys); i++) {
        if (mg_str_is(key, keys[i])) {
            return true;
        }
    }
    return false;
}

static mg_status add_task(expansion *work, mg_str name, const mg_settings *own,
                          const mg_settings *overrides, children *out, mg_error *err)
{
    for (int64_t i = 0; i < work->count; i++) {
        if (mg_str_equal(work->items[i].name, name)) {
            return mg_fail(err, MG_ERR_CONFIG, "task '%.*s' is asked for twice", MG_STR_ARG(name));
        }
    }
    if (work->count == work->cap) {
        work->cap = work->cap > 0 ? work->cap * 2 : 64;
        work->items = mg_memory_resize(work->items, work->cap, sizeof(pending));
    }
    pending *item = &work->items[work->count];
    *item = (pending){ .name = name };
    mg_settings_merge(&item->settings, &work->suite->arena, own);
    for (int64_t i = 0; i < overrides->count; i++) {
        if (!mg_str_is(overrides->items[i].key, "task")) {
            mg_settings_set(&item->settings, &work->suite->arena, overrides->items[i].key,
                            &overrides->items[i].value, overrides->items[i].file);
        }
    }
    add_child(out, work->count++);
    return MG_OK;
}

static mg_status expand_entry(expansion *work, const mg_task_entry *entry,
                              const mg_settings *overrides, int64_t depth, children *out,
                              mg_error *err);

/* The keys of a mapping in a list, as settings of the file that holds it. */
static mg_settings settings_of(expansion *work, const mg_value *map, mg_str file,
                               const mg_settings *under)
{
    mg_settings settings = { 0 };
    mg_settings_merge(&settings, &work->suite->arena, under);
    for (int64_t i = 0; i < map->count; i++) {
        mg_settings_set(&settings, &work->suite->arena, map->entries[i].key.string,
                        &map->entries[i].value, file);
    }
    return settings;
}

static mg_status expand_group(expansion *work, mg_str name, const mg_settings *settings,
                              const mg_settings *overrides, int64_t depth, children *out,
                              mg_error *err);

static mg_status find_known(expansion *work, mg_str name, const mg_task_entry **entry_out,
                            mg_error *err)
{
    mg_str copy = mg_arena_copy(&work->suite->arena, name);
    return mg_task_index_find(work->suite->index, copy.data, entry_out, err);
}

/* One item of a group's task list. */
static mg_status expand_member(expansion *work, mg_str group, const mg_setting *list,
                               const mg_value *member, const mg_settings *overrides, int64_t depth,
                               children *out, mg_error *err)
{
    mg_arena *arena = &work->suite->arena;
    const mg_task_entry *entry;
    if (member->kind == MG_STRING) {
        mg_status status = find_known(work, member->string, &entry, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "group '%.*s'", MG_STR_ARG(group));
            return status;
        }
        return expand_entry(work, entry, overrides, depth, out, err);
    }
    const mg_value *inner = mg_value_get(member, "group");
    const mg_value *task = mg_value_get(member, "task");
    const mg_value *name = inner != NULL ? inner : task;
    if (name == NULL || name->kind != MG_STRING) {
        mg_str where = mg_setting_where(list, member, arena);
        return mg_fail(err, MG_ERR_CONFIG,
                       "%.*s: an entry of group '%.*s' needs the name of a task or a group",
                       MG_STR_ARG(where), MG_STR_ARG(group));
    }
    mg_error unknown;
    mg_status status = find_known(work, name->string, &entry, &unknown);
    if (status != MG_OK && status != MG_ERR_USAGE) {
        *err = unknown;
        return status;
    }
    mg_settings more = settings_of(work, member, list->file, overrides);
    if (status == MG_OK) {
        mg_settings_remove(&more, "group");
        mg_settings_remove(&more, "task");
        return expand_entry(work, entry, &more, depth, out, err);
    }
    mg_str full = mg_arena_printf(arena, "%.*s::%.*s", MG_STR_ARG(group), MG_STR_ARG(name->string));
    if (inner != NULL) {
        mg_settings own = settings_of(work, member, list->file, &(mg_settings){ 0 });
        return expand_group(work, full, &own, overrides, depth, out, err);
    }
    mg_settings none = { 0 };
    return add_task(work, full, &more, &none, out, err);
}

static mg_str *read_filters(mg_arena *arena, const mg_value *value, int64_t *count_out)
{
    *count_out = mg_value_is_null(value) ? 0 : value->kind == MG_LIST ? value->count : 1;
    if (*count_out == 0) {
        return NULL;
    }
    mg_str *filters = mg_arena_array(arena, mg_str, *count_out);
    for (int64_t i = 0; i < *count_out; i++) {
        filters[i] = value->kind == MG_LIST ? value->items[i].string : value->string;
    }
    return filters;
}

static mg_status read_group_metrics(expansion *work, const mg_setting *setting, mg_group *group,
                                    mg_error *err)
{
    mg_arena *arena = &work->suite->arena;
    if (setting == NULL || setting->value.kind == MG_NULL) {
        return MG_OK;
    }
    bool single = setting->value.kind == MG_MAP;
    group->metric_count = single ? 1 : setting->value.count;
    mg_group_metric *metrics = mg_arena_array(arena, mg_group_metric, group->metric_count + 1);
    for (int64_t i = 0; i < group->metric_count; i++) {
        const mg_value *entry = single ? &setting->value : &setting->value.items[i];
        const mg_value *metric = mg_value_get(entry, "metric");
        const mg_value *aggregation = mg_value_get(entry, "aggregation");
        const mg_value *weighted = mg_value_get(entry, "weight_by_size");
        mg_str where = mg_setting_where(setting, entry, arena);
        if (metric == NULL || metric->kind != MG_STRING) {
            return mg_fail(err, MG_ERR_CONFIG,
                           "%.*s: an entry of aggregate_metric_list without 'metric'",
                           MG_STR_ARG(where));
        }
        if (aggregation != NULL && (aggregation->kind != MG_STRING || aggregation->tag.size > 0 ||
                                    !mg_str_is(aggregation->string, "mean"))) {
            return mg_fail(err, MG_ERR_UNSUPPORTED,
                           "%.*s: the aggregation of a group must be 'mean'", MG_STR_ARG(where));
        }
        metrics[i].metric = metric->string;
        metrics[i].weight_by_size =
            weighted == NULL || weighted->kind != MG_BOOL || weighted->boolean;
        metrics[i].filters =
            read_filters(arena, mg_value_get(entry, "filter_list"), &metrics[i].filter_count);
    }
    group->metrics = metrics;
    return MG_OK;
}

/* The leaf tasks below children, in order. */
static void collect_tasks(const mg_suite *suite, const children *list, children *tasks)
{
    for (int64_t i = 0; i < list->count; i++) {
        if (list->items[i] >= 0) {
            add_child(tasks, list->items[i]);
            continue;
        }
        const mg_group *inner = &suite->groups[-1 - list->items[i]];
        for (int64_t k = 0; k < inner->task_count; k++) {
            add_child(tasks, inner->tasks[k]);
        }
    }
}

static int64_t *keep_list(mg_arena *arena, const children *list)
{
    int64_t *copy = mg_arena_array(arena, int64_t, list->count + 1);
    for (int64_t i = 0; i < list->count; i++) {
        copy[i] = list->items[i];
    }
    return copy;
}

static int64_t add_group(mg_suite *suite)
{
    if (suite->group_count == suite->group_cap) {
        suite->group_cap = suite->group_cap > 0 ? suite->group_cap * 2 : 8;
        suite->groups = mg_memory_resize(suite->groups, suite->group_cap, sizeof(mg_group));
    }
    suite->groups[suite->group_count] = (mg_group){ 0 };
    return suite->group_count++;
}

static mg_status expand_group(expansion *work, mg_str name, const mg_settings *settings,
                              const mg_settings *overrides, int64_t depth, children *out,
                              mg_error *err)
{
    mg_status status = MG_OK;
    mg_suite *suite = work->suite;
    mg_arena *arena = &suite->arena;
    children own = { 0 };
    children tasks = { 0 };
    mg_settings down = { 0 };
    if (depth > DEPTH_MAX) {
        return mg_fail(err, MG_ERR_CONFIG, "group '%.*s' contains itself", MG_STR_ARG(name));
    }
    int64_t index = add_group(suite);
    for (int64_t i = 0; i < settings->count; i++) {
        if (!is_group_key(settings->items[i].key)) {
            mg_settings_set(&down, arena, settings->items[i].key, &settings->items[i].value,
                            settings->items[i].file);
        }
    }
    mg_settings_merge(&down, arena, overrides);
    const mg_setting *list = mg_settings_get(settings, "task");
    bool single = list != NULL && list->value.kind == MG_STRING;
    int64_t count = list == NULL ? 0 : single ? 1 : list->value.count;
    for (int64_t i = 0; i < count; i++) {
        const mg_value *member = single ? &list->value : &list->value.items[i];
        MG_TRY_OR_DONE(expand_member(work, name, list, member, &down, depth + 1, &own, err));
    }
    collect_tasks(suite, &own, &tasks);
    mg_str alias = mg_settings_text(settings, "group_alias");
    mg_group group = { .name = mg_arena_copy(arena, name) };
    group.alias = alias.size > 0 ? alias : group.name;
    group.children = keep_list(arena, &own);
    group.child_count = own.count;
    group.tasks = keep_list(arena, &tasks);
    group.task_count = tasks.count;
    group.metadata = mg_settings_value(settings, "metadata");
    MG_TRY_OR_DONE(
        read_group_metrics(work, mg_settings_get(settings, "aggregate_metric_list"), &group, err));
    suite->groups[index] = group;
    add_child(out, -1 - index);

done:
    mg_free(own.items);
    mg_free(tasks.items);
    return status;
}

static mg_status expand_entry(expansion *work, const mg_task_entry *entry,
                              const mg_settings *overrides, int64_t depth, children *out,
                              mg_error *err)
{
    if (entry->kind == MG_ENTRY_GROUP) {
        return expand_group(work, entry->name, &entry->settings, overrides, depth, out, err);
    }
    if (entry->kind == MG_ENTRY_TASK) {
        return add_task(work, entry->name, &entry->settings, overrides, out, err);
    }
    for (int64_t i = 0; i < entry->member_count; i++) {
        const mg_task_entry *member;
        MG_TRY(find_known(work, entry->members[i], &member, err));
        MG_TRY(expand_entry(work, member, overrides, depth, out, err));
    }
    return MG_OK;
}

static mg_status open_tasks(mg_suite *suite, const expansion *work, mg_error *err)
{
    mg_task_options options = *suite->options;
    suite->worker = mg_task_worker(suite->index, &options);
    options.worker = options.worker != NULL ? options.worker : suite->worker;
    suite->tasks = mg_new_array(mg_task *, work->count + 1);
    for (int64_t i = 0; i < work->count; i++) {
        MG_TRY(mg_task_open_settings(suite->index, work->items[i].name, &work->items[i].settings,
                                     &options, &suite->tasks[i], err));
        suite->task_count++;
    }
    return MG_OK;
}

static bool is_pending(const expansion *work, mg_str name)
{
    for (int64_t i = 0; i < work->count; i++) {
        if (mg_str_equal(work->items[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* A name, or a pattern that stands for all names it matches; what a group has brought already is
 * not asked for again. */
static mg_status expand_name(expansion *work, const char *name, children *roots, mg_error *err)
{
    mg_settings none = { 0 };
    const mg_task_entry *entry;
    const mg_str *names;
    int64_t count;
    bool is_file = mg_str_ends(mg_str_of(name), ".yaml") || mg_str_ends(mg_str_of(name), ".yml");
    if (is_file || strpbrk(name, "*?") == NULL) {
        MG_TRY(mg_task_index_find(work->suite->index, name, &entry, err));
        return expand_entry(work, entry, &none, 0, roots, err);
    }
    mg_task_index_match(work->suite->index, name, &names, &count);
    if (count == 0) {
        return mg_fail(err, MG_ERR_USAGE, "no task below the include paths matches '%s'", name);
    }
    for (int64_t i = 0; i < count; i++) {
        if (!is_pending(work, names[i])) {
            MG_TRY(mg_task_index_find(work->suite->index, names[i].data, &entry, err));
            MG_TRY(expand_entry(work, entry, &none, 0, roots, err));
        }
    }
    return MG_OK;
}

mg_status mg_suite_open(const char *const *names, int64_t count, const mg_task_options *options,
                        mg_suite **suite_out, mg_error *err)
{
    *suite_out = NULL;
    mg_status status = MG_OK;
    mg_suite *suite = mg_new(mg_suite);
    expansion work = { .suite = suite };
    children roots = { 0 };
    suite->options = options;
    MG_TRY_OR_DONE(
        mg_task_index_create(options->include_paths, options->include_count, &suite->index, err));
    for (int64_t i = 0; i < count; i++) {
        MG_TRY_OR_DONE(expand_name(&work, names[i], &roots, err));
    }
    MG_TRY_OR_DONE(open_tasks(suite, &work, err));
    suite->options = NULL;
    *suite_out = suite;
    suite = NULL;

done:
    mg_free(work.items);
    mg_free(roots.items);
    mg_suite_close(suite);
    return status;
}

void mg_suite_close(mg_suite *suite)
{
    if (suite == NULL) {
        return;
    }
    for (int64_t i = 0; i < suite->task_count; i++) {
        mg_task_close(suite->tasks[i]);
    }
    mg_free(suite->tasks);
    mg_free(suite->groups);
    mg_python_destroy(suite->worker);
    mg_task_index_destroy(suite->index);
    mg_arena_release(&suite->arena);
    mg_free(suite);
}

int64_t mg_suite_task_count(const mg_suite *suite)
{
    return suite->task_count;
}

mg_task *mg_suite_task(const mg_suite *suite, int64_t index)
{
    MG_ASSERT(index >= 0 && index < suite->task_count);
    return suite->tasks[index];
}

int64_t mg_suite_group_count(const mg_suite *suite)
{
    return suite->group_count;
}

const mg_group *mg_suite_group(const mg_suite *suite, int64_t index)
{
    MG_ASSERT(index >= 0 && index < suite->group_count);
    return &suite->groups[index];
}
