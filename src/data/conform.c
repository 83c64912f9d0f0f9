/* data/conform.c - one shape for all values of a JSON column, as Arrow gives a column one type.
 *
 * The first pass over the rows notes what a column holds at each place: whether floats occur, which
 * keys objects have, in order of appearance.  The second gives every object all keys of its place,
 * null where it has none, and turns integers into floats where both occur.  Places where that would
 * blow the data up (objects used as dictionaries, each entry with a key of its own) stay as they
 * are. */
#include "data/dataset_internal.h"

#define KEYS_MAX 1024
#define ADDED_MAX ((int64_t)1 << 22) /* entries that one place may gain */

typedef struct shape {
    bool floats;
    int64_t maps;     /* objects seen */
    int64_t map_keys; /* keys they have together */
    bool is_open;     /* too many keys: left alone */
    mg_str *keys;
    struct shape **children;
    int64_t count, cap;
    mg_map index; /* key -> place in keys */
    struct shape *element;
} shape;

static void release(shape *s)
{
    if (s == NULL) {
        return;
    }
    for (int64_t i = 0; i < s->count; i++) {
        release(s->children[i]);
    }
    release(s->element);
    mg_map_release(&s->index);
    mg_free(s->keys);
    mg_free(s->children);
    mg_free(s);
}

static shape *child_of(shape *s, mg_str key)
{
    int64_t at = mg_map_get(&s->index, key, -1);
    if (at >= 0) {
        return s->children[at];
    }
    if (s->count == KEYS_MAX) {
        s->is_open = true;
        return NULL;
    }
    if (s->count == s->cap) {
        s->cap = s->cap > 0 ? s->cap * 2 : 8;
        s->keys = mg_memory_resize(s->keys, s->cap, sizeof(mg_str));
        s->children = mg_memory_resize(s->children, s->cap, sizeof(shape *));
    }
    s->keys[s->count] = key; /* lives in the table's arena */
    s->children[s->count] = mg_new(shape);
    mg_map_set(&s->index, key, s->count);
    return s->children[s->count++];
}

static void observe(shape *s, const mg_value *value)
{
    s->floats = s->floats || value->kind == MG_FLOAT;
    if (value->kind == MG_LIST && value->count > 0) {
        s->element = s->element != NULL ? s->element : mg_new(shape);
        for (int64_t i = 0; i < value->count; i++) {
            observe(s->element, &value->items[i]);
        }
    } else if (value->kind == MG_MAP) {
        s->maps++;
        s->map_keys += value->count;
        for (int64_t i = 0; i < value->count && !s->is_open; i++) {
            shape *child = child_of(s, value->entries[i].key.string);
            if (child != NULL) {
                observe(child, &value->entries[i].value);
            }
        }
    }
}

/* Whether the object has exactly the keys of its place, in order. */
static bool fits(const shape *s, const mg_value *map)
{
    for (int64_t i = 0; i < map->count && map->count == s->count; i++) {
        if (!mg_str_equal(map->entries[i].key.string, s->keys[i])) {
            return false;
        }
    }
    return map->count == s->count;
}

static mg_value widen(mg_arena *arena, const shape *s, const mg_value *map)
{
    mg_value whole = mg_value_of_map(arena, s->count);
    for (int64_t i = 0; i < s->count; i++) {
        whole.entries[i].key.kind = MG_STRING;
        whole.entries[i].key.string = s->keys[i];
        whole.entries[i].value = mg_value_null;
    }
    for (int64_t i = 0; i < map->count; i++) {
        int64_t at = mg_map_get(&s->index, map->entries[i].key.string, -1);
        whole.entries[at].value = map->entries[i].value;
    }
    return whole;
}

static void conform(mg_arena *arena, const shape *s, mg_value *value)
{
    if (value->kind == MG_INT && s->floats) {
        *value = mg_value_of_double((double)value->integer);
    } else if (value->kind == MG_LIST) {
        for (int64_t i = 0; i < value->count; i++) {
            conform(arena, s->element, &value->items[i]);
        }
    } else if (value->kind == MG_MAP && !s->is_open &&
               s->maps * s->count - s->map_keys <= ADDED_MAX) {
        if (!fits(s, value)) {
            *value = widen(arena, s, value);
        }
        for (int64_t i = 0; i < value->count; i++) {
            conform(arena, s->children[i], &value->entries[i].value);
        }
    }
}

void mg_table_conform(mg_table *table, int64_t first)
{
    for (int64_t column = 0; column < table->column_count; column++) {
        shape *s = mg_new(shape);
        for (int64_t i = first; i < table->count; i++) {
            observe(s, &table->rows[i].entries[column].value);
        }
        for (int64_t i = first; i < table->count; i++) {
            conform(&table->arena, s, &table->rows[i].entries[column].value);
        }
        release(s);
    }
}
