/* eval/task_settings.c - task files with their includes. */
#include "eval/task_settings.h"

#include "base/fs.h"
#include "text/yaml.h"

#define INCLUDE_DEPTH_MAX 32

/* The files being read, innermost first: a file that is met again includes itself. */
typedef struct chain {
    mg_str path;
    const struct chain *outer;
    int depth;
} chain;

static int64_t find(const mg_settings *settings, mg_str key)
{
    for (int64_t i = 0; i < settings->count; i++) {
        if (mg_str_equal(settings->items[i].key, key)) {
            return i;
        }
    }
    return -1;
}

void mg_settings_set(mg_settings *settings, mg_arena *arena, mg_str key, const mg_value *value,
                     mg_str file)
{
    int64_t at = find(settings, key);
    if (at < 0) {
        if (settings->count == settings->cap) {
            int64_t cap = settings->cap > 0 ? settings->cap * 2 : 32;
            mg_setting *more = mg_arena_array(arena, mg_setting, cap);
            for (int64_t i = 0; i < settings->count; i++) {
                more[i] = settings->items[i];
            }
            settings->items = more;
            settings->cap = cap;
        }
        at = settings->count++;
        settings->items[at].key = key;
    }
    settings->items[at].value = *value;
    settings->items[at].file = file;
}

void mg_settings_remove(mg_settings *settings, const char *key)
{
    int64_t at = find(settings, mg_str_of(key));
    if (at >= 0) {
        settings->count--;
        for (int64_t i = at; i < settings->count; i++) {
            settings->items[i] = settings->items[i + 1];
        }
    }
}

void mg_settings_merge(mg_settings *settings, mg_arena *arena, const mg_settings *more)
{
    for (int64_t i = 0; i < more->count; i++) {
        mg_settings_set(settings, arena, more->items[i].key, &more->items[i].value,
                        more->items[i].file);
    }
}

const mg_setting *mg_settings_get(const mg_settings *settings, const char *key)
{
    int64_t at = find(settings, mg_str_of(key));
    return at < 0 ? NULL : &settings->items[at];
}

const mg_value *mg_settings_value(const mg_settings *settings, const char *key)
{
    const mg_setting *setting = mg_settings_get(settings, key);
    return setting == NULL || setting->value.kind == MG_NULL ? NULL : &setting->value;
}

mg_str mg_settings_text(const mg_settings *settings, const char *key)
{
    const mg_value *value = mg_settings_value(settings, key);
    return value != NULL && value->kind == MG_STRING ? value->string : mg_str_make("", 0);
}

mg_str mg_setting_where(const mg_setting *setting, const mg_value *value, mg_arena *arena)
{
    int32_t line = value != NULL && value->line > 0 ? value->line : setting->value.line;
    return mg_arena_printf(arena, "%.*s:%d", MG_STR_ARG(setting->file), (int)line);
}

static mg_status read_file(const char *path, mg_arena *arena, const chain *outer,
                           mg_settings *settings_out, mg_error *err);

static mg_status read_include(const mg_value *include, mg_arena *arena, const chain *here,
                              mg_settings *settings, mg_error *err)
{
    mg_settings inner = { 0 };
    if (include->kind != MG_STRING) {
        return mg_fail(err, MG_ERR_CONFIG, "%.*s:%d: include is %s, expected a file name",
                       MG_STR_ARG(here->path), (int)include->line, mg_kind_name(include->kind));
    }
    mg_str folder = mg_path_folder(arena, here->path.data);
    mg_str path = mg_path_join(arena, folder.data, include->string.data);
    mg_status status = read_file(path.data, arena, here, &inner, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%.*s:%d", MG_STR_ARG(here->path), (int)include->line);
        return status;
    }
    mg_settings_remove(&inner, "task_list"); /* it defines tasks of the included file only */
    mg_settings_merge(settings, arena, &inner);
    return MG_OK;
}

static mg_status read_file(const char *path, mg_arena *arena, const chain *outer,
                           mg_settings *settings_out, mg_error *err)
{
    mg_value *root = mg_arena_new(arena, mg_value);
    chain here = { .outer = outer, .depth = outer != NULL ? outer->depth + 1 : 0 };
    MG_TRY(mg_path_real(arena, path, &here.path, err));
    for (const chain *at = outer; at != NULL; at = at->outer) {
        if (mg_str_equal(at->path, here.path) || here.depth > INCLUDE_DEPTH_MAX) {
            return mg_fail(err, MG_ERR_CONFIG, "%s: includes itself", path);
        }
    }
    MG_TRY(mg_yaml_read(here.path.data, arena, root, err));
    if (root->kind != MG_MAP) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: holds %s, expected a mapping", path,
                       mg_kind_name(root->kind));
    }
    const mg_value *include = mg_value_get(root, "include");
    if (include != NULL && include->kind == MG_LIST) {
        for (int64_t i = 0; i < include->count; i++) {
            MG_TRY(read_include(&include->items[i], arena, &here, settings_out, err));
        }
    } else if (!mg_value_is_null(include)) {
        MG_TRY(read_include(include, arena, &here, settings_out, err));
    }
    for (int64_t i = 0; i < root->count; i++) {
        const mg_entry *entry = &root->entries[i];
        if (entry->key.kind == MG_STRING && !mg_str_is(entry->key.string, "include")) {
            mg_settings_set(settings_out, arena, entry->key.string, &entry->value, here.path);
        }
    }
    return MG_OK;
}

mg_status mg_settings_read(const char *path, mg_arena *arena, mg_settings *settings_out,
                           mg_error *err)
{
    *settings_out = (mg_settings){ 0 };
    return read_file(path, arena, NULL, settings_out, err);
}
