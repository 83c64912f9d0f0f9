/* base/map.h - a hash map from byte strings to int64_t (an index, or a pointer kept by the caller).
 *
 * Open addressing, keys are borrowed: they must live as long as the map.
 * Thread-safety: lookups may run together; changes need one thread. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_map_slot mg_map_slot;

/* Zero-initialised is empty and ready to use. */
typedef struct mg_map {
    mg_map_slot *slots;
    int64_t count; /* entries */
    int64_t cap;   /* slots, a power of two */
} mg_map;

void mg_map_release(mg_map *map); /* NULL or zeroed is fine */
/* Sets key to value; returns false when key was there already (and is now overwritten). */
bool mg_map_set(mg_map *map, mg_str key, int64_t value);
/* The value of key, or fallback. */
int64_t mg_map_get(const mg_map *map, mg_str key, int64_t fallback);
bool mg_map_has(const mg_map *map, mg_str key);

MG_END_C
