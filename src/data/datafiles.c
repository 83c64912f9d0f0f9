/* data/datafiles.c - which files hold a split (tasks.md 4 and 5).
 *
 *   arrow, json, csv, parquet, text   dataset_kwargs.data_files, looked for below the working
 * folder, then below the task's own folder a local folder                    save_to_disk layout,
 * else repository layout owner/name                        prepared cache, else the snapshot in the
 * Hub cache, else its automatic conversion to Parquet, both in repository layout
 *
 * Repository layout: `configs` in the front matter of README.md, else data/SPLIT-NNNNN-of-NNNNN.*,
 * else split words in the names of folders and files, else everything is `train`. */
#include "data/dataset_internal.h"
#include "data/glob.h"

#include "base/fs.h"
#include "text/json.h"
#include "text/yaml.h"

#include <sys/stat.h>

#define STATE_BYTES_MAX ((size_t)64 << 20)
#define README_BYTES_MAX ((size_t)16 << 20)

typedef struct resolver {
    const mg_dataset_args *args;
    mg_arena *arena;
    mg_data_files *files;
    int64_t cap;
    mg_buf seen; /* splits that exist, for the message when the wanted one does not */
} resolver;

static const struct {
    const char *name;
    mg_data_format format;
} loaders[] = {
    { "json", MG_DATA_JSON },       { "csv", MG_DATA_CSV },   { "arrow", MG_DATA_ARROW },
    { "parquet", MG_DATA_PARQUET }, { "text", MG_DATA_TEXT },
};

mg_data_format mg_data_format_of(mg_str name)
{
    static const struct {
        const char *ending;
        mg_data_format format;
    } endings[] = {
        { ".json", MG_DATA_JSON }, { ".jsonl", MG_DATA_JSON },      { ".ndjson", MG_DATA_JSON },
        { ".csv", MG_DATA_CSV },   { ".tsv", MG_DATA_TSV },         { ".arrow", MG_DATA_ARROW },
        { ".txt", MG_DATA_TEXT },  { ".parquet", MG_DATA_PARQUET },
    };
    if (mg_str_ends(name, ".gz")) {
        name.size -= 3;
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(endings); i++) {
        if (mg_str_ends(name, endings[i].ending)) {
            return endings[i].format;
        }
    }
    return MG_DATA_UNKNOWN;
}

static void add_file(resolver *work, const char *path)
{
    mg_data_files *files = work->files;
    if (files->count == work->cap) {
        int64_t cap = work->cap > 0 ? work->cap * 2 : 16;
        const char **more = mg_arena_array(work->arena, const char *, cap);
        for (int64_t i = 0; i < files->count; i++) {
            more[i] = files->paths[i];
        }
        files->paths = more;
        work->cap = cap;
    }
    files->paths[files->count++] = path;
}

static void note_split(resolver *work, mg_str split)
{
    mg_buf_add_text(&work->seen, work->seen.size > 0 ? ", " : "");
    mg_buf_add(&work->seen, split);
}

/* One split that save_to_disk wrote: state.json lists its files in order. */
static mg_status add_saved_split(resolver *work, const char *folder, mg_error *err)
{
    mg_value state;
    mg_str path = mg_path_join(work->arena, folder, "state.json");
    MG_TRY(mg_json_read(path.data, STATE_BYTES_MAX, work->arena, &state, err));
    if (!mg_value_is_null(mg_value_get(&state, "_indices_data_files"))) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%s: _indices_data_files is not supported; save the data set again",
                       path.data);
    }
    const mg_value *files = mg_value_get(&state, "_data_files");
    if (files == NULL || files->kind != MG_LIST) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: no list _data_files", path.data);
    }
    for (int64_t i = 0; i < files->count; i++) {
        const mg_value *name = mg_value_get(&files->items[i], "filename");
        if (name == NULL || name->kind != MG_STRING || mg_str_starts(name->string, "/") ||
            mg_str_find(name->string, mg_str_of(".."), 0) >= 0) {
            return mg_fail(err, MG_ERR_FORMAT, "%s: a wrong file name in _data_files", path.data);
        }
        add_file(work, mg_path_join(work->arena, folder, name->string.data).data);
    }
    work->files->format = MG_DATA_ARROW;
    return MG_OK;
}

static bool has_file(resolver *work, const char *folder, const char *name)
{
    return mg_path_is_file(mg_path_join(work->arena, folder, name).data);
}

/* A folder that a task names as a data file, or as the data set itself. */
static mg_status add_saved_folder(resolver *work, const char *folder, bool *done_out, mg_error *err)
{
    *done_out = true;
    if (has_file(work, folder, "dataset_dict.json")) {
        mg_str split =
            mg_path_join(work->arena, folder, mg_arena_copy(work->arena, work->args->split).data);
        if (!has_file(work, split.data, "state.json")) {
            return mg_fail(err, MG_ERR_NOT_FOUND, "%s: no split '%.*s' there", folder,
                           MG_STR_ARG(work->args->split));
        }
        return add_saved_split(work, split.data, err);
    }
    if (has_file(work, folder, "state.json")) {
        return add_saved_split(work, folder, err);
    }
    *done_out = false;
    return MG_OK;
}

/* Adds what one data_files entry names below folder; *found_out is false when there is nothing. */
static mg_status add_entry_below(resolver *work, const char *folder, mg_str entry, bool *found_out,
                                 mg_error *err)
{
    const char **paths;
    int64_t count = 0;
    *found_out = false;
    if (!mg_glob_is_pattern(entry)) {
        mg_str path = mg_arena_copy(work->arena, entry);
        if (strcmp(folder, ".") != 0) {
            path = mg_path_join(work->arena, folder, path.data);
        }
        if (mg_path_is_folder(path.data)) {
            bool done;
            MG_TRY(add_saved_folder(work, path.data, &done, err));
            *found_out = done;
            if (!done) {
                MG_TRY(mg_glob(path.data, mg_str_of("**"), work->arena, &paths, &count, err));
            }
        } else if (mg_path_exists(path.data)) {
            add_file(work, path.data);
            *found_out = true;
            return MG_OK;
        }
    } else {
        MG_TRY(mg_glob(folder, entry, work->arena, &paths, &count, err));
    }
    for (int64_t i = 0; i < count; i++) {
        if (mg_data_format_of(mg_str_of(paths[i])) != MG_DATA_UNKNOWN) {
            add_file(work, paths[i]);
            *found_out = true;
        }
    }
    return MG_OK;
}

static mg_status add_entry(resolver *work, const char *folder, const char *second, mg_str entry,
                           mg_error *err)
{
    bool found;
    if (mg_str_find(entry, mg_str_of("://"), 0) >= 0) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "'%.*s' is on the network; download it and name the file",
                       MG_STR_ARG(entry));
    }
    MG_TRY(add_entry_below(work, folder, entry, &found, err));
    if (!found && second != NULL) {
        MG_TRY(add_entry_below(work, second, entry, &found, err));
    }
    if (!found) {
        return mg_fail(err, MG_ERR_NOT_FOUND, "data file '%.*s' not found below %s%s%s",
                       MG_STR_ARG(entry), strcmp(folder, ".") == 0 ? "the working folder" : folder,
                       second != NULL ? " or " : "", second != NULL ? second : "");
    }
    return MG_OK;
}

static mg_status add_entries(resolver *work, const char *folder, const char *second,
                             const mg_value *entries, mg_error *err)
{
    if (entries->kind == MG_STRING) {
        return add_entry(work, folder, second, entries->string, err);
    }
    if (entries->kind != MG_LIST) {
        return mg_fail(err, MG_ERR_CONFIG, "data_files holds %s, expected a path or a list of them",
                       mg_kind_name(entries->kind));
    }
    for (int64_t i = 0; i < entries->count; i++) {
        MG_TRY(add_entries(work, folder, second, &entries->items[i], err));
    }
    return MG_OK;
}

/* data_files in any of its forms: a path, a list of paths, split -> paths, a list of {split, path}.
 */
static mg_status add_data_files(resolver *work, const char *folder, const char *second,
                                const mg_value *data_files, mg_error *err)
{
    if (data_files->kind == MG_MAP) {
        for (int64_t i = 0; i < data_files->count; i++) {
            note_split(work, data_files->entries[i].key.string);
        }
        const mg_value *entries = mg_value_get_str(data_files, work->args->split);
        return entries == NULL ? MG_OK : add_entries(work, folder, second, entries, err);
    }
    bool by_split =
        data_files->kind == MG_LIST && data_files->count > 0 && data_files->items[0].kind == MG_MAP;
    if (!by_split) {
        note_split(work, mg_str_of("train"));
        return mg_str_is(work->args->split, "train")
                   ? add_entries(work, folder, second, data_files, err)
                   : MG_OK;
    }
    for (int64_t i = 0; i < data_files->count; i++) {
        const mg_value *split = mg_value_get(&data_files->items[i], "split");
        const mg_value *path = mg_value_get(&data_files->items[i], "path");
        if (split == NULL || split->kind != MG_STRING || path == NULL) {
            return mg_fail(err, MG_ERR_CONFIG, "data_files: an entry without split and path");
        }
        note_split(work, split->string);
        if (mg_str_equal(split->string, work->args->split)) {
            MG_TRY(add_entries(work, folder, second, path, err));
        }
    }
    return MG_OK;
}

/* The `configs` list in the front matter of README.md, or NULL. */
static const mg_value *read_configs(resolver *work, const char *folder)
{
    mg_bytes text = { 0 };
    mg_value *root = mg_arena_new(work->arena, mg_value);
    mg_str path = mg_path_join(work->arena, folder, "README.md");
    const mg_value *configs = NULL;
    if (mg_file_read(path.data, README_BYTES_MAX, &text, NULL) == MG_OK) {
        mg_str all = mg_str_make((const char *)text.data, text.size);
        int64_t end = mg_str_starts(all, "---\n") ? mg_str_find(all, mg_str_of("\n---"), 3) : -1;
        if (end > 0 && mg_yaml_parse(mg_str_slice(all, 4, (size_t)end + 1), path.data, work->arena,
                                     root, NULL) == MG_OK) {
            configs = mg_value_get(root, "configs");
        }
    }
    mg_bytes_release(&text);
    return configs != NULL && configs->kind == MG_LIST && configs->count > 0 ? configs : NULL;
}

static const mg_value *choose_config(resolver *work, const mg_value *configs)
{
    const mg_value *chosen = NULL;
    for (int64_t i = 0; i < configs->count; i++) {
        const mg_value *config = &configs->items[i];
        const mg_value *name = mg_value_get(config, "config_name");
        const mg_value *is_default = mg_value_get(config, "default");
        mg_str text = name != NULL && name->kind == MG_STRING ? name->string : mg_str_of("default");
        if (work->args->name.size > 0 ? mg_str_equal(text, work->args->name)
                                      : (is_default != NULL && is_default->boolean)) {
            return config;
        }
        if (work->args->name.size == 0 && mg_str_is(text, "default")) {
            chosen = config;
        }
    }
    return chosen != NULL || work->args->name.size > 0 || configs->count > 1 ? chosen
                                                                             : &configs->items[0];
}

static mg_status fail_config(resolver *work, const char *folder, const mg_value *configs,
                             mg_error *err)
{
    mg_buf names = { 0 };
    for (int64_t i = 0; i < configs->count; i++) {
        const mg_value *name = mg_value_get(&configs->items[i], "config_name");
        if (name != NULL && name->kind == MG_STRING) {
            mg_buf_printf(&names, "%s%.*s", names.size > 0 ? ", " : "", MG_STR_ARG(name->string));
        }
    }
    mg_status status =
        mg_fail(err, MG_ERR_NOT_FOUND, "%s: no configuration '%.*s'; dataset_name may be: %s",
                folder, MG_STR_ARG(work->args->name), names.size > 0 ? names.data : "");
    mg_buf_release(&names);
    return status;
}

/* Words that name a split in file and folder names. */
static const char *split_of_word(mg_str word)
{
    static const struct {
        const char *word;
        const char *split;
    } words[] = {
        { "train", "train" },      { "training", "train" }, { "validation", "validation" },
        { "valid", "validation" }, { "dev", "validation" }, { "val", "validation" },
        { "test", "test" },        { "testing", "test" },   { "eval", "test" },
        { "evaluation", "test" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(words); i++) {
        if (mg_str_is(word, words[i].word)) {
            return words[i].split;
        }
    }
    return NULL;
}

/* The split that a name speaks of: a keyword bounded by - . _ space, digits or the ends. */
static const char *split_of_name(mg_str name)
{
    size_t begin = 0;
    for (size_t i = 0; i <= name.size; i++) {
        if (i == name.size || strchr("-._ 0123456789", name.data[i]) != NULL) {
            const char *split = split_of_word(mg_str_slice(name, begin, i));
            if (split != NULL) {
                return split;
            }
            begin = i + 1;
        }
    }
    return NULL;
}

/* The split of data/SPLIT-NNNNN-of-NNNNN*.ext, which may have any name; empty for other names. */
static mg_str split_of_shard(mg_str name)
{
    int64_t of = mg_str_find(name, mg_str_of("-of-"), 0);
    if (of < 7 || name.data[of - 6] != '-') {
        return mg_str_make("", 0);
    }
    for (int64_t i = of - 5; i < of; i++) {
        if (name.data[i] < '0' || name.data[i] > '9') {
            return mg_str_make("", 0);
        }
    }
    return mg_str_slice(name, 0, (size_t)of - 6);
}

/* The split of one file of a repository, from its name, else from the folders above it. */
static const char *split_of_path(mg_arena *arena, mg_str relative, bool names)
{
    mg_str rest = relative;
    mg_str part;
    const char *found = NULL;
    while (mg_str_split(&rest, '/', &part)) {
        bool is_name = part.data + part.size == relative.data + relative.size;
        const char *split = is_name == names ? split_of_name(mg_arena_copy(arena, part)) : NULL;
        found = split != NULL ? split : found;
    }
    return found;
}

/* Files of a repository without configs. */
static mg_status add_by_names(resolver *work, const char *folder, mg_error *err)
{
    const char **paths;
    int64_t count;
    size_t prefix = strlen(folder) + 1;
    bool shards = false;
    bool by_folder = false;
    bool by_name = false;
    MG_TRY(mg_glob(folder, mg_str_of("**"), work->arena, &paths, &count, err));
    for (int64_t i = 0; i < count; i++) {
        mg_str relative = mg_str_of(paths[i] + prefix);
        if (mg_data_format_of(relative) == MG_DATA_UNKNOWN) {
            continue;
        }
        shards = shards || (mg_str_starts(relative, "data/") &&
                            split_of_shard(mg_str_of(relative.data + 5)).size > 0);
        by_folder = by_folder || split_of_path(work->arena, relative, false) != NULL;
        by_name = by_name || split_of_path(work->arena, relative, true) != NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        mg_str relative = mg_str_of(paths[i] + prefix);
        if (mg_data_format_of(relative) == MG_DATA_UNKNOWN) {
            continue;
        }
        const char *word = by_folder ? split_of_path(work->arena, relative, false)
                           : by_name ? split_of_path(work->arena, relative, true)
                                     : "train";
        mg_str split = mg_str_of(word);
        if (shards) {
            split = mg_str_starts(relative, "data/") ? split_of_shard(mg_str_of(relative.data + 5))
                                                     : mg_str_make("", 0);
        }
        if (split.size > 0) {
            note_split(work, split);
        }
        if (split.size > 0 && mg_str_equal(split, work->args->split)) {
            add_file(work, paths[i]);
        }
    }
    return MG_OK;
}

static mg_status add_repository(resolver *work, const char *folder, mg_error *err)
{
    const mg_value *data_files = mg_value_get(work->args->kwargs, "data_files");
    const mg_value *data_dir = mg_value_get(work->args->kwargs, "data_dir");
    if (data_dir != NULL && data_dir->kind == MG_STRING && data_dir->string.size > 0) {
        folder = mg_path_join(work->arena, folder, data_dir->string.data).data;
    }
    if (!mg_value_is_null(data_files)) {
        return add_data_files(work, folder, NULL, data_files, err);
    }
    const mg_value *configs = data_dir == NULL ? read_configs(work, folder) : NULL;
    if (configs == NULL) {
        return add_by_names(work, folder, err);
    }
    const mg_value *config = choose_config(work, configs);
    if (config == NULL) {
        return fail_config(work, folder, configs, err);
    }
    const mg_value *inner = mg_value_get(config, "data_dir");
    if (inner != NULL && inner->kind == MG_STRING) {
        folder = mg_path_join(work->arena, folder, inner->string.data).data;
    }
    const mg_value *files = mg_value_get(config, "data_files");
    return mg_value_is_null(files) ? add_by_names(work, folder, err)
                                   : add_data_files(work, folder, NULL, files, err);
}

/* The part of a path behind its first folders: the configuration in CACHE/NAME/CONFIG/... */
static mg_str config_of(const char *info, const char *cache, mg_str name)
{
    mg_str rest = mg_str_of(info + strlen(cache) + 1 + name.size + 1);
    mg_str config = rest;
    (void)mg_str_split(&rest, '/', &config);
    return config;
}

/* The newest complete folder of the wanted configuration; without a name `default`, or the only one
 * there is.  NULL when there is none. */
static mg_status find_prepared(resolver *work, const char *cache, mg_str name,
                               const char **folder_out, mg_error *err)
{
    const char **infos;
    int64_t count;
    time_t newest = 0;
    mg_str wanted = work->args->name.size > 0 ? work->args->name : mg_str_of("default*");
    mg_str pattern = mg_arena_printf(work->arena, "%.*s/%.*s/*/*/dataset_info.json",
                                     MG_STR_ARG(name), MG_STR_ARG(wanted));
    *folder_out = NULL;
    MG_TRY(mg_glob(cache, pattern, work->arena, &infos, &count, err));
    if (count == 0 && work->args->name.size == 0) {
        pattern = mg_arena_printf(work->arena, "%.*s/*/*/*/dataset_info.json", MG_STR_ARG(name));
        MG_TRY(mg_glob(cache, pattern, work->arena, &infos, &count, err));
        for (int64_t i = 1; i < count; i++) {
            if (!mg_str_equal(config_of(infos[i], cache, name), config_of(infos[0], cache, name))) {
                return MG_OK; /* several: the repository says which is the default */
            }
        }
    }
    for (int64_t i = 0; i < count; i++) {
        mg_str version = mg_path_folder(work->arena, infos[i]);
        struct stat info;
        if (!mg_str_ends(version, ".incomplete") && stat(infos[i], &info) == 0 &&
            (*folder_out == NULL || info.st_mtime > newest)) {
            *folder_out = version.data;
            newest = info.st_mtime;
        }
    }
    return MG_OK;
}

/* Files NAME-SPLIT.arrow in CACHE/owner___name/CONFIG/VERSION/HASH, the newest complete one. */
static mg_status add_prepared(resolver *work, bool *found_out, mg_error *err)
{
    *found_out = false;
    const mg_dataset_args *args = work->args;
    const char *cache = args->prepared_folder;
    if (cache == NULL && args->hub != NULL && args->hub->cache_folder.size > 0) {
        const char *hub = mg_arena_copy(work->arena, args->hub->cache_folder).data;
        mg_str home = mg_path_folder(work->arena, hub);
        cache = mg_path_join(work->arena, home.data, "datasets").data;
    }
    if (cache == NULL) {
        return MG_OK;
    }
    mg_str folder = mg_arena_copy(work->arena, args->path);
    int64_t slash = mg_str_find(folder, mg_str_of("/"), 0);
    mg_str name = slash < 0 ? folder
                            : mg_arena_printf(work->arena, "%.*s___%s", (int)slash, folder.data,
                                              folder.data + slash + 1);
    const char *best;
    MG_TRY(find_prepared(work, cache, name, &best, err));
    for (int pass = 0; best != NULL && pass < 2 && work->files->count == 0; pass++) {
        const char **paths;
        int64_t count;
        mg_str file = mg_arena_printf(work->arena, "*-%.*s%s.arrow", MG_STR_ARG(args->split),
                                      pass == 0 ? "" : "-*-of-*");
        MG_TRY(mg_glob(best, file, work->arena, &paths, &count, err));
        for (int64_t i = 0; i < count; i++) {
            add_file(work, paths[i]);
        }
    }
    *found_out = work->files->count > 0;
    return MG_OK;
}

/* The snapshot folder of a revision in the Hub cache, or NULL. */
static const char *find_snapshot(resolver *work, const char *revision)
{
    const mg_dataset_args *args = work->args;
    mg_str owner = args->path;
    int64_t slash = mg_str_find(owner, mg_str_of("/"), 0);
    mg_str name = slash < 0
                      ? mg_arena_printf(work->arena, "datasets--%.*s", MG_STR_ARG(owner))
                      : mg_arena_printf(work->arena, "datasets--%.*s--%.*s", (int)slash, owner.data,
                                        (int)owner.size - (int)slash - 1, owner.data + slash + 1);
    const char *hub = mg_arena_copy(work->arena, args->hub->cache_folder).data;
    const char *root = mg_path_join(work->arena, hub, name.data).data;
    mg_bytes text = { 0 };
    mg_str ref = mg_arena_printf(work->arena, "%s/refs/%s", root, revision);
    mg_str commit = mg_str_of(revision);
    if (mg_file_read(ref.data, 256, &text, NULL) == MG_OK) {
        commit = mg_arena_copy(work->arena, mg_str_trim(mg_str_make((char *)text.data, text.size)));
        mg_bytes_release(&text);
    }
    mg_str folder = mg_arena_printf(work->arena, "%s/snapshots/%.*s", root, MG_STR_ARG(commit));
    return mg_path_is_folder(folder.data) ? folder.data : NULL;
}

static mg_status add_converted(resolver *work, const char *folder, mg_error *err)
{
    const mg_dataset_args *args = work->args;
    const char **paths;
    int64_t count;
    mg_str config = args->name.size > 0 ? args->name : mg_str_of("default");
    mg_str pattern = mg_arena_printf(work->arena, "%.*s/%.*s/*.parquet", MG_STR_ARG(config),
                                     MG_STR_ARG(args->split));
    MG_TRY(mg_glob(folder, pattern, work->arena, &paths, &count, err));
    for (int64_t i = 0; i < count; i++) {
        add_file(work, paths[i]);
    }
    return MG_OK;
}

static mg_status add_hub(resolver *work, mg_error *err)
{
    const mg_dataset_args *args = work->args;
    bool found;
    MG_TRY(add_prepared(work, &found, err));
    if (found) {
        return MG_OK;
    }
    const mg_value *revision = mg_value_get(args->kwargs, "revision");
    if (args->hub != NULL && args->hub->cache_folder.size > 0) {
        const char *main_folder = find_snapshot(
            work, revision != NULL && revision->kind == MG_STRING ? revision->string.data : "main");
        if (main_folder != NULL) {
            MG_TRY(add_repository(work, main_folder, err));
        }
        const char *converted = find_snapshot(work, "refs/convert/parquet");
        if (work->files->count == 0 && converted != NULL) {
            MG_TRY(add_converted(work, converted, err));
        }
        if (main_folder != NULL || converted != NULL) {
            return MG_OK;
        }
    }
    return mg_fail(err, MG_ERR_NOT_FOUND,
                   "data set '%.*s' is no local folder and not in the Hub cache; fetch it with "
                   "`hf download --repo-type dataset %.*s`",
                   MG_STR_ARG(args->path), MG_STR_ARG(args->path));
}

static mg_status add_loader(resolver *work, const char *folder, mg_error *err)
{
    const mg_dataset_args *args = work->args;
    const mg_value *data_files = mg_value_get(args->kwargs, "data_files");
    const mg_value *data_dir = mg_value_get(args->kwargs, "data_dir");
    const char *second = args->second_folder;
    if (data_dir != NULL && data_dir->kind == MG_STRING) {
        folder = mg_path_join(work->arena, folder, data_dir->string.data).data;
        second =
            second == NULL ? NULL : mg_path_join(work->arena, second, data_dir->string.data).data;
        if (mg_value_is_null(data_files)) {
            const char *there = mg_path_is_folder(folder) || second == NULL ? folder : second;
            return add_by_names(work, there, err);
        }
    }
    if (mg_value_is_null(data_files)) {
        return mg_fail(err, MG_ERR_CONFIG, "dataset_path '%.*s' needs dataset_kwargs.data_files",
                       MG_STR_ARG(args->path));
    }
    return add_data_files(work, folder, second, data_files, err);
}

static mg_status resolve(resolver *work, const char *folder, mg_error *err)
{
    const mg_dataset_args *args = work->args;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(loaders); i++) {
        if (mg_str_is(args->path, loaders[i].name)) {
            work->files->format = loaders[i].format;
            return add_loader(work, folder, err);
        }
    }
    const char *path = mg_arena_copy(work->arena, args->path).data;
    const char *places[] = { folder, args->second_folder };
    for (int i = 0; i < 2; i++) {
        const char *local =
            places[i] == NULL ? NULL : mg_path_join(work->arena, places[i], path).data;
        if (local != NULL && mg_path_is_folder(local)) {
            bool done;
            MG_TRY(add_saved_folder(work, local, &done, err));
            return done ? MG_OK : add_repository(work, local, err);
        }
    }
    return add_hub(work, err);
}

mg_status mg_data_files_resolve(const mg_dataset_args *args, mg_arena *arena,
                                mg_data_files *files_out, mg_error *err)
{
    *files_out = (mg_data_files){ 0 };
    resolver work = { .args = args, .arena = arena, .files = files_out };
    if (args->path.size == 0) {
        return mg_fail(err, MG_ERR_CONFIG, "dataset_path is missing");
    }
    mg_status status =
        resolve(&work, args->working_folder != NULL ? args->working_folder : ".", err);
    if (status == MG_OK && files_out->count == 0) {
        status = mg_fail(err, MG_ERR_NOT_FOUND, "data set '%.*s' has no split '%.*s'%s%s",
                         MG_STR_ARG(args->path), MG_STR_ARG(args->split),
                         work.seen.size > 0 ? "; it has: " : "",
                         work.seen.size > 0 ? work.seen.data : "");
    }
    mg_buf_release(&work.seen);
    return status;
}
