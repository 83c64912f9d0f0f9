/* eval/task_index.c - the include paths as a table of names.
 *
 * In one include path the first file in path order that defines a name wins; a later include path
 * beats an earlier one.  So the search goes through the roots from the last to the first, and
 * through the files of each from the first to the last. */
#include "eval/task_index.h"

#include "base/fs.h"
#include "base/map.h"
#include "base/memory.h"

#include <fnmatch.h>
#include <stdlib.h>

#define FILE_BYTES_MAX ((size_t)16 << 20)
#define DEPTH_MAX 32
#define FILES_MAX 200000

typedef struct index_file {
    mg_str path;
    int64_t root;
    mg_bytes text; /* read on first use */
    bool is_read;
} index_file;

struct mg_task_index {
    mg_arena arena;
    mg_str *roots;
    int64_t root_count;
    int64_t root_cap;
    index_file *files;
    int64_t file_count;
    int64_t file_cap;
    mg_map known; /* name -> mg_task_entry */
};

static bool is_folder_ignored(mg_str name)
{
    return mg_str_is(name, "__pycache__") || mg_str_is(name, ".ipynb_checkpoints");
}

static mg_status add_file(mg_task_index *index, mg_str path, int64_t root, mg_error *err)
{
    if (index->file_count == FILES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "more than %d task files below the include paths",
                       FILES_MAX);
    }
    if (index->file_count == index->file_cap) {
        index->file_cap = index->file_cap > 0 ? index->file_cap * 2 : 256;
        index->files = mg_memory_resize(index->files, index->file_cap, sizeof(index_file));
    }
    index->files[index->file_count++] = (index_file){ .path = path, .root = root };
    return MG_OK;
}

static mg_status walk(mg_task_index *index, const char *folder, int64_t root, int depth,
                      mg_error *err)
{
    mg_str *names;
    int64_t count;
    if (depth > DEPTH_MAX || mg_folder_list(folder, &index->arena, &names, &count, NULL) != MG_OK) {
        return MG_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        mg_str path = mg_path_join(&index->arena, folder, names[i].data);
        if (mg_str_ends(names[i], ".yaml")) {
            MG_TRY(add_file(index, path, root, err));
        } else if (!is_folder_ignored(names[i]) && mg_path_is_folder(path.data)) {
            MG_TRY(walk(index, path.data, root, depth + 1, err));
        }
    }
    return MG_OK;
}

static int compare_files(const void *a, const void *b)
{
    const index_file *x = a;
    const index_file *y = b;
    if (x->root != y->root) {
        return x->root > y->root ? -1 : 1;
    }
    return mg_str_compare(x->path, y->path);
}

static int64_t add_root(mg_task_index *index, mg_str path)
{
    for (int64_t i = 0; i < index->root_count; i++) {
        if (mg_str_equal(index->roots[i], path)) {
            return i;
        }
    }
    if (index->root_count == index->root_cap) {
        index->root_cap = index->root_cap > 0 ? index->root_cap * 2 : 8;
        index->roots = mg_memory_resize(index->roots, index->root_cap, sizeof(mg_str));
    }
    index->roots[index->root_count] = path;
    return index->root_count++;
}

mg_status mg_task_index_create(const char *const *include_paths, int64_t count,
                               mg_task_index **index_out, mg_error *err)
{
    *index_out = NULL;
    mg_status status = MG_OK;
    mg_task_index *index = mg_new(mg_task_index);
    for (int64_t i = 0; i < count; i++) {
        mg_str path;
        status = mg_path_real(&index->arena, include_paths[i], &path, err);
        if (status == MG_OK && !mg_path_is_folder(path.data)) {
            status = mg_fail(err, MG_ERR_NOT_FOUND, "%s: is no folder", include_paths[i]);
        }
        if (status != MG_OK) {
            mg_error_prefix(err, "include path");
            goto done;
        }
        int64_t known = index->root_count;
        int64_t root = add_root(index, path);
        if (root == known) {
            MG_TRY_OR_DONE(walk(index, path.data, root, 0, err));
        }
    }
    if (index->file_count > 0) {
        qsort(index->files, (size_t)index->file_count, sizeof(index_file), compare_files);
    }
    *index_out = index;
    index = NULL;

done:
    mg_task_index_destroy(index);
    return status;
}

void mg_task_index_destroy(mg_task_index *index)
{
    if (index == NULL) {
        return;
    }
    for (int64_t i = 0; i < index->file_count; i++) {
        mg_bytes_release(&index->files[i].text);
    }
    mg_free(index->files);
    mg_free(index->roots);
    mg_map_release(&index->known);
    mg_arena_release(&index->arena);
    mg_free(index);
}

/* The kind of a file by its keys; false when it defines nothing by itself. */
static bool kind_of(const mg_settings *settings, mg_entry_kind *kind_out, mg_str *name_out)
{
    mg_str group = mg_settings_text(settings, "group");
    mg_str task = mg_settings_text(settings, "task");
    /* An old-style file has a group and one task with data: a task with that tag. */
    bool is_group =
        group.size > 0 && !(task.size > 0 && mg_settings_value(settings, "dataset_path"));
    *kind_out = is_group ? MG_ENTRY_GROUP : MG_ENTRY_TASK;
    *name_out = is_group ? group : task;
    return name_out->size > 0;
}

static const mg_task_entry *keep_entry(mg_task_index *index, mg_entry_kind kind, mg_str name,
                                       const mg_settings *settings)
{
    mg_task_entry *entry = mg_arena_new(&index->arena, mg_task_entry);
    entry->kind = kind;
    entry->name = name;
    entry->settings = *settings;
    return entry;
}

static bool holds_text(index_file *file, mg_str text)
{
    if (!file->is_read) {
        file->is_read = true;
        if (mg_file_read(file->path.data, FILE_BYTES_MAX, &file->text, NULL) != MG_OK) {
            file->text = (mg_bytes){ 0 };
        }
    }
    return mg_str_find(mg_str_make((const char *)file->text.data, file->text.size), text, 0) >= 0;
}

/* The task or group called name among the files that hold it (all files with everywhere). */
static const mg_task_entry *find_file_entry(mg_task_index *index, mg_str name, bool everywhere,
                                            mg_error *first_failure)
{
    for (int64_t i = 0; i < index->file_count; i++) {
        index_file *file = &index->files[i];
        if (holds_text(file, name) == everywhere) {
            continue;
        }
        mg_settings settings;
        mg_error failure;
        mg_error_clear(&failure);
        if (mg_settings_read(file->path.data, &index->arena, &settings, &failure) != MG_OK) {
            if (!everywhere && first_failure->status == MG_OK) {
                *first_failure = failure;
            }
            continue;
        }
        mg_entry_kind kind;
        mg_str found;
        if (kind_of(&settings, &kind, &found) && mg_str_equal(found, name)) {
            return keep_entry(index, kind, found, &settings);
        }
    }
    return NULL;
}

static bool has_tag(const mg_settings *settings, mg_str tag)
{
    const char *keys[] = { "tag", "group" };
    for (int k = 0; k < 2; k++) {
        const mg_value *value = mg_settings_value(settings, keys[k]);
        if (value != NULL && value->kind == MG_STRING && mg_str_equal(value->string, tag)) {
            return true;
        }
        for (int64_t i = 0; value != NULL && value->kind == MG_LIST && i < value->count; i++) {
            if (value->items[i].kind == MG_STRING && mg_str_equal(value->items[i].string, tag)) {
                return true;
            }
        }
    }
    return false;
}

/* What file i of the index defines by its own text; false when it cannot be read or has no name. */
static bool read_definition(mg_task_index *index, int64_t i, mg_settings *settings,
                            mg_entry_kind *kind_out, mg_str *name_out)
{
    return mg_settings_read(index->files[i].path.data, &index->arena, settings, NULL) == MG_OK &&
           kind_of(settings, kind_out, name_out);
}

static int compare_names(const void *a, const void *b)
{
    return mg_str_compare(*(const mg_str *)a, *(const mg_str *)b);
}

/* Sorts names and drops those that stand there twice; how many are left. */
static int64_t sort_names(mg_str *names, int64_t count)
{
    int64_t kept = 0;
    if (count > 0) {
        qsort(names, (size_t)count, sizeof(mg_str), compare_names);
    }
    for (int64_t i = 0; i < count; i++) {
        if (kept == 0 || !mg_str_equal(names[i], names[kept - 1])) {
            names[kept++] = names[i];
        }
    }
    return kept;
}

/* All tasks that carry the tag; every file is parsed. */
static const mg_task_entry *find_tag(mg_task_index *index, mg_str tag)
{
    mg_str *names = mg_new_array(mg_str, index->file_count + 1);
    int64_t count = 0;
    for (int64_t i = 0; i < index->file_count; i++) {
        mg_settings settings;
        mg_entry_kind kind;
        mg_str name;
        if (read_definition(index, i, &settings, &kind, &name) && kind == MG_ENTRY_TASK &&
            has_tag(&settings, tag)) {
            names[count++] = name;
        }
    }
    mg_task_entry *entry = NULL;
    if (count > 0) {
        entry = mg_arena_new(&index->arena, mg_task_entry);
        entry->kind = MG_ENTRY_TAG;
        entry->name = mg_arena_copy(&index->arena, tag);
        entry->member_count = sort_names(names, count);
        entry->members = mg_arena_array(&index->arena, mg_str, count);
        memcpy(entry->members, names, (size_t)entry->member_count * sizeof(mg_str));
    }
    mg_free(names);
    return entry;
}

/* The nearest name among those that files define in their own text, for the message. */
static mg_status fail_unknown(mg_task_index *index, const char *name, const mg_error *failure,
                              mg_error *err)
{
    if (failure->status != MG_OK) {
        return mg_fail(err, failure->status, "%s", failure->message);
    }
    const char **names = mg_new_array(const char *, index->file_count + 1);
    int64_t count = 0;
    for (int64_t i = 0; i < index->file_count && i < 2000; i++) {
        mg_settings settings;
        mg_entry_kind kind;
        mg_str found;
        if (read_definition(index, i, &settings, &kind, &found)) {
            names[count++] = found.data;
        }
    }
    const char *near = mg_str_nearest(mg_str_of(name), names, count);
    mg_status status =
        index->root_count == 0
            ? mg_fail(err, MG_ERR_USAGE,
                      "task '%s' not found: name its YAML file, or its folder with --include-path",
                      name)
            : mg_fail(err, MG_ERR_USAGE, "task '%s' is in none of the %lld files below %s%s%s%s%s",
                      name, (long long)index->file_count, index->roots[0].data,
                      index->root_count > 1 ? " and the other include paths" : "",
                      near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                      near != NULL ? "'?" : "");
    mg_free(names);
    return status;
}

static mg_status find_path(mg_task_index *index, const char *name, const mg_task_entry **entry_out,
                           mg_error *err)
{
    mg_str path;
    mg_settings settings;
    mg_entry_kind kind;
    mg_str found;
    MG_TRY(mg_path_real(&index->arena, name, &path, err));
    MG_TRY(mg_settings_read(path.data, &index->arena, &settings, err));
    if (!kind_of(&settings, &kind, &found)) {
        return mg_fail(err, MG_ERR_CONFIG, "%s: has neither a task nor a group name", name);
    }
    mg_str folder = mg_path_folder(&index->arena, path.data);
    int64_t known = index->root_count;
    int64_t root = add_root(index, folder);
    if (root == known && kind == MG_ENTRY_GROUP) { /* its members lie beside it */
        MG_TRY(walk(index, folder.data, root, DEPTH_MAX, err));
        qsort(index->files, (size_t)index->file_count, sizeof(index_file), compare_files);
    }
    *entry_out = keep_entry(index, kind, found, &settings);
    return MG_OK;
}

mg_status mg_task_index_find(mg_task_index *index, const char *name,
                             const mg_task_entry **entry_out, mg_error *err)
{
    mg_str key = mg_arena_copy(&index->arena, mg_str_of(name));
    mg_error failure;
    mg_error_clear(&failure);
    union {
        int64_t number;
        const mg_task_entry *entry;
    } known = { .number = mg_map_get(&index->known, key, 0) };
    *entry_out = known.entry;
    if (known.entry != NULL) {
        return MG_OK;
    }
    bool is_yaml = mg_str_ends(key, ".yaml") || mg_str_ends(key, ".yml");
    if (is_yaml) {
        MG_TRY(find_path(index, name, entry_out, err));
    } else {
        *entry_out = find_file_entry(index, key, false, &failure);
        if (*entry_out == NULL) {
            *entry_out = find_tag(index, key);
        }
        if (*entry_out == NULL) {
            *entry_out = find_file_entry(index, key, true, &failure);
        }
    }
    if (*entry_out == NULL) {
        return fail_unknown(index, name, &failure, err);
    }
    known.entry = *entry_out;
    mg_map_set(&index->known, key, known.number);
    return MG_OK;
}

void mg_task_index_match(mg_task_index *index, const char *pattern, const mg_str **names_out,
                         int64_t *count_out)
{
    mg_str *names = mg_arena_array(&index->arena, mg_str, index->file_count + 1);
    int64_t count = 0;
    for (int64_t i = 0; i < index->file_count; i++) {
        mg_settings settings;
        mg_entry_kind kind;
        mg_str name;
        if (read_definition(index, i, &settings, &kind, &name) &&
            fnmatch(pattern, name.data, 0) == 0) {
            names[count++] = name;
        }
    }
    *count_out = sort_names(names, count);
    *names_out = names;
}

int64_t mg_task_index_root_count(const mg_task_index *index)
{
    return index->root_count;
}

const char *mg_task_index_root(const mg_task_index *index, int64_t root)
{
    MG_ASSERT(root >= 0 && root < index->root_count);
    return index->roots[root].data;
}

bool mg_task_index_allows(const mg_task_index *index, const char *path)
{
    mg_str text = mg_str_of(path);
    for (int64_t i = 0; i < index->root_count; i++) {
        size_t size = index->roots[i].size;
        if (mg_str_starts(text, index->roots[i].data) &&
            (text.size == size || text.data[size] == '/' || mg_str_is(index->roots[i], "/"))) {
            return true;
        }
    }
    return false;
}
