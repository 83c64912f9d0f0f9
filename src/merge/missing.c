/* merge/missing.c - a walk over the document's references. */
#include "merge/missing.h"

#include <stdio.h>
#include <string.h>

#include "text/yaml.h"

#define MG_MISSING_DEPTH_MAX 32

typedef struct search {
    const char *path;
    const mg_hub *hub;
    mg_arena arena;
    mg_error *err;
} search;

static void check_reference(search *s, const mg_value *value)
{
    mg_error why;
    mg_model_ref ref;
    mg_str folder;
    if (value->kind != MG_STRING ||
        mg_model_ref_parse(value->string, &s->arena, &ref, NULL) != MG_OK ||
        mg_hub_locate(s->hub, ref.path, ref.revision, &s->arena, &folder, &why) == MG_OK) {
        return;
    }
    size_t used = strlen(s->err->message);
    if (used + strlen(why.message) + strlen(s->path) + 32 > sizeof(s->err->message)) {
        return; /* half a line helps nobody */
    }
    (void)snprintf(s->err->message + used, sizeof(s->err->message) - used, "\n%s:%d:%d: %s",
                   s->path, value->line, value->column, why.message);
}

static void walk(search *s, const mg_value *value, int depth)
{
    if (depth > MG_MISSING_DEPTH_MAX) {
        return;
    }
    for (int64_t i = 0; value->kind == MG_LIST && i < value->count; i++) {
        walk(s, &value->items[i], depth + 1);
    }
    for (int64_t i = 0; value->kind == MG_MAP && i < value->count; i++) {
        mg_str key = value->entries[i].key.string;
        const mg_value *child = &value->entries[i].value;
        if (mg_str_is(key, "model") || mg_str_is(key, "base_model")) {
            check_reference(s, child);
        }
        for (int64_t k = 0; mg_str_is(key, "models") && child->kind == MG_LIST && k < child->count;
             k++) {
            check_reference(s, &child->items[k]);
        }
        walk(s, child, depth + 1);
    }
}

void mg_add_missing_models(const char *path, const mg_hub *hub, mg_error *err)
{
    search s = { path, hub, { 0 }, err };
    mg_value root;
    if (mg_yaml_read(path, &s.arena, &root, NULL) == MG_OK) {
        walk(&s, &root, 0);
    }
    mg_arena_release(&s.arena);
}
