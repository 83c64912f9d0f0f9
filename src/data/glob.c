/* data/glob.c - data_files patterns: * ? [..] within a name, ** for any number of folders.
 *
 * Names that start with a dot and folders like __this__ are passed over unless the pattern names
 * them. The search is bounded in depth and in the number of files. */
#include "data/glob.h"

#include "base/fs.h"
#include "base/memory.h"

#include <fnmatch.h>
#include <stdlib.h>

#define DEPTH_MAX 32
#define FILES_MAX 100000

typedef struct glob_search {
    mg_arena *arena;
    const char **paths;
    int64_t count;
    int64_t cap;
} glob_search;

bool mg_glob_is_pattern(mg_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr("*?[", text.data[i]) != NULL && text.data[i] != '\0') {
            return true;
        }
    }
    return false;
}

static mg_status add_path(glob_search *search, const char *path, mg_error *err)
{
    if (search->count == FILES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: the pattern matches more than %d files", path,
                       FILES_MAX);
    }
    if (search->count == search->cap) {
        search->cap = search->cap > 0 ? search->cap * 2 : 16;
        search->paths = mg_memory_resize(search->paths, search->cap, sizeof(const char *));
    }
    search->paths[search->count++] = path;
    return MG_OK;
}

static bool is_hidden(mg_str name)
{
    return mg_str_starts(name, ".") ||
           (name.size > 4 && mg_str_starts(name, "__") && mg_str_ends(name, "__"));
}

static mg_status walk(glob_search *search, const char *folder, mg_str pattern, int depth,
                      mg_error *err)
{
    if (depth > DEPTH_MAX) {
        return MG_OK;
    }
    mg_str rest = pattern;
    mg_str part;
    if (!mg_str_split(&rest, '/', &part)) {
        return MG_OK;
    }
    bool last = part.data + part.size == pattern.data + pattern.size;
    bool any_depth = mg_str_is(part, "**");
    mg_str *names;
    int64_t count;
    mg_str glob = mg_arena_copy(search->arena, part);
    if (any_depth && !last) {
        MG_TRY(walk(search, folder, rest, depth + 1, err)); /* ** may stand for no folder */
    }
    if (mg_folder_list(folder, search->arena, &names, &count, NULL) != MG_OK) {
        return MG_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        if (is_hidden(names[i]) && !is_hidden(part)) {
            continue;
        }
        if (!any_depth && fnmatch(glob.data, names[i].data, FNM_PERIOD) != 0) {
            continue;
        }
        mg_str path = mg_path_join(search->arena, folder, names[i].data);
        bool is_folder = mg_path_is_folder(path.data);
        if (is_folder && (any_depth || !last)) {
            MG_TRY(walk(search, path.data, any_depth ? pattern : rest, depth + 1, err));
        } else if (!is_folder && last) {
            MG_TRY(add_path(search, path.data, err));
        }
    }
    return MG_OK;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

mg_status mg_glob(const char *folder, mg_str pattern, mg_arena *arena, const char ***paths_out,
                  int64_t *count_out, mg_error *err)
{
    glob_search search = { .arena = arena };
    const char *root = folder;
    while (mg_str_starts(pattern, "./")) {
        pattern = mg_str_slice(pattern, 2, pattern.size);
    }
    if (mg_str_starts(pattern, "/")) {
        root = "/";
        pattern = mg_str_slice(pattern, 1, pattern.size);
    }
    mg_status status = walk(&search, root, pattern, 0, err);
    if (status == MG_OK && search.count > 0) {
        qsort(search.paths, (size_t)search.count, sizeof(const char *), compare_paths);
    }
    /* "**" can reach a file along two ways: keep one of each. */
    int64_t kept = 0;
    for (int64_t i = 0; i < search.count; i++) {
        if (kept == 0 || strcmp(search.paths[i], search.paths[kept - 1]) != 0) {
            search.paths[kept++] = search.paths[i];
        }
    }
    *paths_out = mg_arena_array(arena, const char *, kept);
    for (int64_t i = 0; i < kept; i++) {
        (*paths_out)[i] = search.paths[i];
    }
    *count_out = kept;
    mg_free(search.paths);
    return status;
}
