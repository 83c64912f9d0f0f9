/* eval/suite_report.c - the tree of results and its tables. */
#include "eval/suite_report.h"

#include "base/memory.h"
#include "eval/task_internal.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* A map under construction. */
typedef struct builder {
    mg_arena *arena;
    mg_entry *entries;
    int64_t count;
    int64_t cap;
} builder;

static void put(builder *map, mg_str key, mg_value value)
{
    for (int64_t i = 0; i < map->count; i++) {
        if (mg_str_equal(map->entries[i].key.string, key)) {
            map->entries[i].value = value;
            return;
        }
    }
    if (map->count == map->cap) {
        map->cap = map->cap > 0 ? map->cap * 2 : 16;
        map->entries = mg_memory_resize(map->entries, map->cap, sizeof(mg_entry));
    }
    map->entries[map->count].key = mg_value_of_str(map->arena, key);
    map->entries[map->count++].value = value;
}

static mg_value text_value(mg_arena *arena, mg_str text)
{
    return mg_value_of_str(arena, text);
}

static mg_value finish(builder *map)
{
    mg_value value = mg_value_of_map(map->arena, map->count);
    for (int64_t i = 0; i < map->count; i++) {
        value.entries[i] = map->entries[i];
    }
    mg_free(map->entries);
    *map = (builder){ .arena = map->arena };
    return value;
}

static int compare_entries(const void *a, const void *b)
{
    const mg_entry *x = a;
    const mg_entry *y = b;
    return mg_str_compare(x->key.string, y->key.string);
}

static void sort(mg_value *map)
{
    qsort(map->entries, (size_t)map->count, sizeof(mg_entry), compare_entries);
}

/* "acc_stderr,none" of "acc,none". */
static mg_str stderr_key(mg_arena *arena, mg_str key)
{
    int64_t comma = mg_str_find(key, mg_str_of(","), 0);
    size_t end = comma < 0 ? key.size : (size_t)comma;
    mg_str name = mg_str_slice(key, 0, end);
    mg_str rest = mg_str_slice(key, end, key.size);
    return mg_arena_printf(arena, "%.*s_stderr%.*s", MG_STR_ARG(name), MG_STR_ARG(rest));
}

static mg_status add_task_metrics(const mg_task_results *results, const mg_report_options *options,
                                  builder *map, mg_error *err)
{
    mg_arena *arena = map->arena;
    for (int64_t i = 0; i < mg_task_results_metric_count(results); i++) {
        mg_str key = mg_task_results_metric(results, i);
        double value;
        double error;
        if (mg_task_results_value_count(results, i) == 0) {
            continue;
        }
        MG_TRY(mg_task_results_compute(results, i, &value, err));
        MG_TRY(mg_task_results_compute_stderr(results, i, options->bootstrap_iterations,
                                              options->pool, &error, err));
        put(map, key, mg_value_of_double(value));
        put(map, stderr_key(arena, key),
            isnan(error) ? text_value(arena, mg_str_of("N/A")) : mg_value_of_double(error));
    }
    return MG_OK;
}

static int64_t effective_count(const mg_task_results *results)
{
    int64_t most = 0;
    for (int64_t i = 0; i < mg_task_results_metric_count(results); i++) {
        most = MG_MAX(most, mg_task_results_value_count(results, i));
    }
    return most;
}

static mg_status task_entry(const mg_task *task, const mg_task_results *results,
                            const mg_report_options *options, mg_arena *arena, mg_value *entry_out,
                            mg_error *err)
{
    builder map = { .arena = arena };
    put(&map, mg_str_of("name"), text_value(arena, task->name));
    put(&map, mg_str_of("alias"), text_value(arena, task->alias));
    put(&map, mg_str_of("sample_len"), mg_value_of_int(effective_count(results)));
    mg_status status = add_task_metrics(results, options, &map, err);
    if (mg_task_results_failed_count(results) > 0) {
        put(&map, mg_str_of("failed"), mg_value_of_int(mg_task_results_failed_count(results)));
        put(&map, mg_str_of("failure"),
            text_value(arena, mg_str_of(mg_task_results_failure(results))));
    }
    *entry_out = finish(&map);
    return status;
}

/* ---- groups ---- */

static bool is_filter_wanted(const mg_group_metric *metric, mg_str filter)
{
    for (int64_t i = 0; i < metric->filter_count; i++) {
        if (mg_str_equal(metric->filters[i], filter)) {
            return true;
        }
    }
    return metric->filters == NULL;
}

/* The value and the standard error of one key over the tasks of a group: pooled over their rows, or
 * of the plain mean of their values. */
static void pool_key(const mg_group *group, const mg_suite *suite, const mg_value *results,
                     mg_str key, bool by_size, builder *map, builder *counts)
{
    double sum = 0;
    double weight = 0;
    double pooled = 0;
    double squares = 0;
    double size_sum = 0;
    double tasks = 0;
    bool has_errors = true;
    mg_str error_key = stderr_key(map->arena, key);
    for (int64_t i = 0; i < group->task_count; i++) {
        const mg_task *task = mg_suite_task(suite, group->tasks[i]);
        const mg_value *entry = mg_value_get_str(results, task->name);
        const mg_value *value = mg_value_get_str(entry, key);
        double v;
        double e = 0;
        int64_t n = 0;
        if (value == NULL || !mg_value_to_double(value, &v)) {
            continue;
        }
        (void)mg_value_to_int(mg_value_get(entry, "sample_len"), &n);
        has_errors = has_errors && mg_value_to_double(mg_value_get_str(entry, error_key), &e);
        sum += v * (by_size ? (double)n : 1);
        weight += by_size ? (double)n : 1;
        pooled += ((double)n - 1) * e * e * (double)n;
        squares += e * e;
        size_sum += (double)n;
        tasks++;
    }
    if (tasks == 0) {
        return;
    }
    double error = by_size ? sqrt(pooled / (size_sum - tasks) / size_sum) : sqrt(squares) / tasks;
    put(map, key, mg_value_of_double(sum / weight));
    put(map, error_key,
        has_errors && isfinite(error) ? mg_value_of_double(error)
                                      : text_value(map->arena, mg_str_of("N/A")));
    put(counts, key, mg_value_of_int((int64_t)size_sum));
}

/* All keys "METRIC,FILTER" that tasks of the group have and the entry asks for. */
static void pool_metric(const mg_group *group, const mg_suite *suite, const mg_value *results,
                        const mg_group_metric *metric, builder *map, builder *counts)
{
    for (int64_t i = 0; i < group->task_count; i++) {
        const mg_value *entry =
            mg_value_get_str(results, mg_suite_task(suite, group->tasks[i])->name);
        for (int64_t k = 0; k < entry->count; k++) {
            mg_str key = entry->entries[k].key.string;
            int64_t comma = mg_str_find(key, mg_str_of(","), 0);
            if (comma >= 0 && mg_str_equal(mg_str_slice(key, 0, (size_t)comma), metric->metric) &&
                is_filter_wanted(metric, mg_str_slice(key, (size_t)comma + 1, key.size))) {
                pool_key(group, suite, results, key, metric->weight_by_size, map, counts);
            }
        }
    }
}

static mg_value group_entry(const mg_suite *suite, const mg_group *group, const mg_value *results,
                            mg_arena *arena)
{
    builder map = { .arena = arena };
    builder counts = { .arena = arena };
    put(&map, mg_str_of("alias"), text_value(arena, group->alias));
    put(&map, mg_str_of("name"), text_value(arena, group->name));
    if (group->metric_count == 0) {
        return finish(&map);
    }
    int64_t samples = 0;
    for (int64_t i = 0; i < group->task_count; i++) {
        const mg_task *task = mg_suite_task(suite, group->tasks[i]);
        int64_t n = 0;
        (void)mg_value_to_int(mg_value_get(mg_value_get_str(results, task->name), "sample_len"),
                              &n);
        samples += n;
    }
    put(&map, mg_str_of("sample_len"), mg_value_of_int(samples));
    for (int64_t m = 0; m < group->metric_count; m++) {
        pool_metric(group, suite, results, &group->metrics[m], &map, &counts);
    }
    put(&map, mg_str_of("sample_count"), finish(&counts));
    return finish(&map);
}

/* ---- the rest of the tree ---- */

static mg_value version_of(mg_arena *arena, const mg_value *metadata, const char *fallback)
{
    const mg_value *version = mg_value_get(metadata, "version");
    return mg_value_is_null(version) ? text_value(arena, mg_str_of(fallback)) : *version;
}

static mg_value config_of(const mg_task *task, mg_arena *arena)
{
    builder map = { .arena = arena };
    put(&map, mg_str_of("task"), text_value(arena, task->name));
    for (int64_t i = 0; i < task->settings.count; i++) {
        const mg_setting *setting = &task->settings.items[i];
        if (setting->value.kind != MG_NULL && !mg_str_is(setting->key, "task")) {
            put(&map, setting->key, mg_value_copy(arena, &setting->value));
        }
    }
    if (task->output_type == MG_GENERATE_UNTIL) {
        put(&map, mg_str_of("generation_kwargs"), mg_value_copy(arena, &task->generation));
    }
    put(&map, mg_str_of("num_fewshot"), mg_value_of_int(task->fewshot.count));
    return finish(&map);
}

static mg_value directions_of(const mg_task *task, const mg_task_results *results, mg_arena *arena)
{
    builder map = { .arena = arena };
    for (int64_t m = 0; m < task->metric_count; m++) {
        put(&map, task->metrics[m].name, mg_value_of_bool(task->metrics[m].higher_is_better));
    }
    for (int64_t m = 0; m < mg_task_results_metric_count(results); m++) {
        mg_str key = mg_task_results_metric(results, m);
        int64_t comma = mg_str_find(key, mg_str_of(","), 0);
        bool higher;
        if (comma >= 0 && mg_task_results_direction(results, m, &higher)) {
            put(&map, mg_str_slice(key, 0, (size_t)comma), mg_value_of_bool(higher));
        }
    }
    return finish(&map);
}

static mg_value counts_of(const mg_task *task, const mg_task_results *results, mg_arena *arena)
{
    builder map = { .arena = arena };
    put(&map, mg_str_of("original"), mg_value_of_int(mg_task_original_count(task)));
    put(&map, mg_str_of("effective"), mg_value_of_int(effective_count(results)));
    return finish(&map);
}

static mg_value children_of(const mg_suite *suite, const mg_group *group, mg_arena *arena)
{
    mg_value list = mg_value_of_list(arena, group->child_count);
    for (int64_t i = 0; i < group->child_count; i++) {
        int64_t child = group->children[i];
        list.items[i] = text_value(arena, child >= 0 ? mg_suite_task(suite, child)->name
                                                     : mg_suite_group(suite, -1 - child)->name);
    }
    return list;
}

static const mg_value *find(const builder *map, mg_str key)
{
    for (int64_t i = 0; i < map->count; i++) {
        if (mg_str_equal(map->entries[i].key.string, key)) {
            return &map->entries[i].value;
        }
    }
    return NULL;
}

/* The number of examples that all children of a group share, and the directions of all their
 * metrics, null where they differ.  Children come before their groups. */
static void inherit(const mg_suite *suite, const mg_group *group, builder *shots,
                    builder *directions)
{
    builder all = { .arena = directions->arena };
    const mg_value *shared = NULL;
    bool differ = false;
    for (int64_t i = 0; i < group->child_count; i++) {
        int64_t child = group->children[i];
        mg_str name = child >= 0 ? mg_suite_task(suite, child)->name
                                 : mg_suite_group(suite, -1 - child)->name;
        const mg_value *count = find(shots, name);
        differ = differ || (count != NULL && shared != NULL && !mg_value_equal(count, shared));
        shared = count != NULL ? count : shared;
        const mg_value *metrics = find(directions, name);
        for (int64_t k = 0; metrics != NULL && k < metrics->count; k++) {
            const mg_entry *metric = &metrics->entries[k];
            const mg_value *known = find(&all, metric->key.string);
            bool agrees = known == NULL || mg_value_equal(known, &metric->value);
            put(&all, metric->key.string, agrees ? metric->value : mg_value_null);
        }
    }
    if (shared != NULL && !differ) {
        put(shots, group->name, *shared);
    }
    mg_value merged = finish(&all);
    if (merged.count > 0) {
        put(directions, group->name, merged);
    }
}

mg_status mg_report_build(const mg_suite *suite, mg_task_results *const *results,
                          const mg_report_options *options, mg_arena *arena, mg_value *report_out,
                          mg_error *err)
{
    mg_status status = MG_OK;
    builder tasks = { .arena = arena };
    builder groups = { .arena = arena };
    builder subtasks = { .arena = arena };
    builder configs = { .arena = arena };
    builder versions = { .arena = arena };
    builder shots = { .arena = arena };
    builder directions = { .arena = arena };
    builder samples = { .arena = arena };
    for (int64_t i = 0; i < mg_suite_task_count(suite); i++) {
        const mg_task *task = mg_suite_task(suite, i);
        mg_value entry;
        MG_TRY_OR_DONE(task_entry(task, results[i], options, arena, &entry, err));
        put(&tasks, task->name, entry);
        put(&configs, task->name, config_of(task, arena));
        put(&versions, task->name, version_of(arena, mg_task_metadata(task), "Yaml"));
        put(&shots, task->name, mg_value_of_int(task->fewshot.count));
        put(&directions, task->name, directions_of(task, results[i], arena));
        put(&samples, task->name, counts_of(task, results[i], arena));
    }
    mg_value leaves = mg_value_of_map(arena, tasks.count);
    for (int64_t i = 0; i < tasks.count; i++) {
        leaves.entries[i] = tasks.entries[i];
    }
    for (int64_t i = 0; i < mg_suite_group_count(suite); i++) {
        const mg_group *group = mg_suite_group(suite, i);
        mg_value entry = group_entry(suite, group, &leaves, arena);
        put(&tasks, group->name, entry);
        if (group->metric_count > 0) {
            put(&groups, group->name, entry);
        }
        put(&subtasks, group->name, children_of(suite, group, arena));
        put(&versions, group->name, version_of(arena, group->metadata, "    N/A"));
    }
    for (int64_t i = mg_suite_group_count(suite); i-- > 0;) {
        inherit(suite, mg_suite_group(suite, i), &shots, &directions);
    }

done:;
    builder root = { .arena = arena };
    builder *const parts[] = { &tasks,    &groups, &subtasks,   &configs,
                               &versions, &shots,  &directions, &samples };
    const char *const keys[] = { "results",  "groups", "group_subtasks",   "configs",
                                 "versions", "n-shot", "higher_is_better", "n-samples" };
    for (int i = 0; i < 8; i++) {
        mg_value part = finish(parts[i]);
        if (i >= 3 && i <= 6) {
            sort(&part);
        }
        if (i != 1 || part.count > 0) {
            put(&root, mg_str_of(keys[i]), part);
        }
    }
    *report_out = finish(&root);
    return status;
}

/* ---- the table ---- */

#define COLUMNS 9

typedef struct table {
    mg_arena arena;
    mg_str (*rows)[COLUMNS];
    int64_t count;
    int64_t cap;
} table;

static const bool right_aligned[COLUMNS] = { false, true, false, true, false,
                                             false, true, false, true };

static void add_table_row(table *t, const mg_str cells[COLUMNS])
{
    if (t->count == t->cap) {
        t->cap = t->cap > 0 ? t->cap * 2 : 32;
        t->rows = mg_memory_resize(t->rows, t->cap, sizeof(*t->rows));
    }
    memcpy(t->rows[t->count++], cells, sizeof(*t->rows));
}

/* Columns of a text on a terminal: wide East Asian characters take two. */
static int64_t width_of(mg_str text)
{
    int64_t width = 0;
    size_t bytes;
    for (size_t at = 0; at < text.size; at += bytes) {
        int32_t c = mg_utf8_decode(text, at, &bytes);
        bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                    (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                    (c >= 0x20000 && c <= 0x3fffd);
        width += wide ? 2 : 1;
    }
    return width;
}

static void print_table(const table *t, mg_buf *out)
{
    int64_t widths[COLUMNS] = { 0 };
    for (int64_t r = 0; r < t->count; r++) {
        for (int c = 0; c < COLUMNS; c++) {
            widths[c] =
                MG_MAX(widths[c], MG_MAX(width_of(t->rows[r][c]), right_aligned[c] ? 2 : 3));
        }
    }
    for (int64_t r = 0; r < t->count; r++) {
        for (int c = 0; c < COLUMNS; c++) {
            mg_str text = t->rows[r][c];
            int padding = (int)(widths[c] - width_of(text));
            mg_buf_printf(out, "|%*s%.*s%*s", right_aligned[c] ? padding : 0, "", MG_STR_ARG(text),
                          right_aligned[c] ? 0 : padding, "");
        }
        mg_buf_add_text(out, "|\n");
        for (int c = 0; r == 0 && c < COLUMNS; c++) {
            mg_buf_add_char(out, '|');
            for (int64_t i = 0; i < widths[c]; i++) {
                mg_buf_add_char(out, right_aligned[c] && i + 1 == widths[c] ? ':' : '-');
            }
        }
        mg_buf_add_text(out, r == 0 ? "|\n" : "");
    }
}

static mg_str number_text(mg_arena *arena, const mg_value *value)
{
    double number;
    if (value != NULL && value->kind == MG_STRING) {
        return value->string;
    }
    return mg_value_to_double(value, &number) ? mg_arena_printf(arena, "%.4f", number)
                                              : mg_str_make("", 0);
}

static void add_entry_rows(table *t, const mg_value *report, mg_str name, const mg_value *entry,
                           int64_t depth)
{
    const mg_value *alias = mg_value_get(entry, "alias");
    const mg_value *version = mg_value_get_str(mg_value_get(report, "versions"), name);
    const mg_value *shots = mg_value_get_str(mg_value_get(report, "n-shot"), name);
    const mg_value *higher = mg_value_get_str(mg_value_get(report, "higher_is_better"), name);
    mg_str label = alias != NULL ? alias->string : name;
    mg_str first = depth > 0
                       ? mg_arena_printf(&t->arena, "%*s- %.*s", (int)depth, "", MG_STR_ARG(label))
                       : label;
    mg_buf text = { 0 };
    if (version != NULL) {
        mg_python_print(&text, version, false);
    }
    mg_str version_text = mg_arena_copy(&t->arena, mg_buf_view(&text));
    mg_buf_release(&text);
    mg_str shots_text =
        shots != NULL ? mg_arena_printf(&t->arena, "%" PRId64, shots->integer) : mg_str_make("", 0);
    mg_value sorted = *entry;
    sorted.entries = mg_arena_array(&t->arena, mg_entry, entry->count);
    memcpy(sorted.entries, entry->entries, (size_t)entry->count * sizeof(mg_entry));
    sort(&sorted);
    bool any = false;
    for (int64_t i = 0; i < sorted.count; i++) {
        mg_str key = sorted.entries[i].key.string;
        int64_t comma = mg_str_find(key, mg_str_of(","), 0);
        mg_str metric = mg_str_slice(key, 0, comma < 0 ? 0 : (size_t)comma);
        if (comma < 0 || mg_str_ends(metric, "_stderr")) {
            continue;
        }
        const mg_value *direction = mg_value_get_str(higher, metric);
        const mg_value *error = mg_value_get_str(entry, stderr_key(&t->arena, key));
        const mg_str cells[COLUMNS] = {
            any ? mg_str_make("", 0) : first,
            any ? mg_str_make("", 0) : version_text,
            mg_str_slice(key, (size_t)comma + 1, key.size),
            shots_text,
            metric,
            mg_str_of(mg_value_is_null(direction) ? ""
                      : direction->boolean        ? "↑"
                                                  : "↓"),
            number_text(&t->arena, &sorted.entries[i].value),
            mg_str_of(error != NULL ? "±" : ""),
            error != NULL && error->kind == MG_STRING ? mg_str_of("   N/A")
                                                      : number_text(&t->arena, error),
        };
        add_table_row(t, cells);
        any = true;
    }
}

static int compare_texts(const void *a, const void *b)
{
    return mg_str_compare(*(const mg_str *)a, *(const mg_str *)b);
}

/* The entries of part in the order of the tree: a group, then what is below it, by name. */
static void add_tree(table *t, const mg_value *report, const mg_value *part, mg_str name,
                     int64_t depth, int64_t *seen)
{
    const mg_value *children = mg_value_get_str(mg_value_get(report, "group_subtasks"), name);
    if (depth > 16) {
        return;
    }
    for (int64_t i = 0; i < part->count; i++) {
        if (mg_str_equal(part->entries[i].key.string, name) && seen[i] == 0) {
            seen[i] = 1;
            add_entry_rows(t, report, name, &part->entries[i].value, depth);
        }
    }
    int64_t count = children != NULL ? children->count : 0;
    mg_str *names = mg_arena_array(&t->arena, mg_str, count + 1);
    for (int64_t i = 0; i < count; i++) {
        names[i] = children->items[i].string;
    }
    qsort(names, (size_t)count, sizeof(mg_str), compare_texts);
    for (int64_t i = 0; i < count; i++) {
        add_tree(t, report, part, names[i], depth + 1, seen);
    }
}

static bool has_parent(const mg_value *report, mg_str name)
{
    const mg_value *groups = mg_value_get(report, "group_subtasks");
    for (int64_t g = 0; groups != NULL && g < groups->count; g++) {
        const mg_value *children = &groups->entries[g].value;
        for (int64_t i = 0; i < children->count; i++) {
            if (mg_str_equal(children->items[i].string, name)) {
                return true;
            }
        }
    }
    return false;
}

static void add_part(const mg_value *report, const char *key, const char *title, mg_buf *out)
{
    const mg_value *part = mg_value_get(report, key);
    if (part == NULL || part->count == 0) {
        return;
    }
    table t = { 0 };
    const mg_str head[COLUMNS] = {
        mg_str_of(title),    mg_str_of("Version"), mg_str_of("Filter"),
        mg_str_of("n-shot"), mg_str_of("Metric"),  mg_str_make("", 0),
        mg_str_of("Value"),  mg_str_make("", 0),   mg_str_of("Stderr"),
    };
    add_table_row(&t, head);
    int64_t *seen = mg_new_array(int64_t, part->count);
    const mg_value *groups = mg_value_get(report, "group_subtasks");
    const mg_value *const passes[] = { groups,
                                       part }; /* groups with what is below, then the rest */
    for (int pass = 0; pass < 2; pass++) {
        if (passes[pass] == NULL || passes[pass]->count == 0) {
            continue;
        }
        mg_value tree = mg_value_of_map(&t.arena, passes[pass]->count);
        memcpy(tree.entries, passes[pass]->entries, (size_t)tree.count * sizeof(mg_entry));
        sort(&tree);
        for (int64_t i = 0; i < tree.count; i++) {
            mg_str name = tree.entries[i].key.string;
            if (pass == 1 || !has_parent(report, name)) {
                add_tree(&t, report, part, name, 0, seen);
            }
        }
    }
    if (t.count > 1) { /* nothing below the head where every task failed */
        mg_buf_add_text(out, out->size > 0 ? "\n" : "");
        print_table(&t, out);
    }
    mg_free(seen);
    mg_free(t.rows);
    mg_arena_release(&t.arena);
}

void mg_report_table(const mg_value *report, mg_buf *out)
{
    add_part(report, "results", "Tasks", out);
    add_part(report, "groups", "Groups", out);
}
