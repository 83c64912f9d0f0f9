/* eval/task_settings.h - the keys of a task or group file, includes merged in (tasks.md 1 and 2).
 *
 * Each key remembers the file it was written in: `!function` and messages refer to that one.
 * Thread-safety: one thread at a time while building, immutable afterwards. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

typedef struct mg_setting {
    mg_str key;
    mg_value value;
    mg_str file; /* NUL-terminated path of the YAML file that says it */
} mg_setting;

/* In an arena; zero-initialised is empty. */
typedef struct mg_settings {
    mg_setting *items;
    int64_t count;
    int64_t cap;
} mg_settings;

/* Reads path and what it includes; later keys replace earlier ones whole.  MG_ERR_NOT_FOUND,
 * MG_ERR_FORMAT, MG_ERR_CONFIG for an include cycle. */
MG_MUST_CHECK mg_status mg_settings_read(const char *path, mg_arena *arena,
                                         mg_settings *settings_out, mg_error *err);
/* Sets or replaces a key; the value is not copied. */
void mg_settings_set(mg_settings *settings, mg_arena *arena, mg_str key, const mg_value *value,
                     mg_str file);
void mg_settings_remove(mg_settings *settings, const char *key);
/* Sets all of more, in its order. */
void mg_settings_merge(mg_settings *settings, mg_arena *arena, const mg_settings *more);
const mg_setting *mg_settings_get(const mg_settings *settings, const char *key); /* NULL = absent */
/* The value of a key, NULL when absent or null. */
const mg_value *mg_settings_value(const mg_settings *settings, const char *key);
/* The text of a key, empty when absent or no text. */
mg_str mg_settings_text(const mg_settings *settings, const char *key);
/* "FILE:LINE" of a value of this setting. */
mg_str mg_setting_where(const mg_setting *setting, const mg_value *value, mg_arena *arena);

MG_END_C
