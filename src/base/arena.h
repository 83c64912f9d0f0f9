/* base/arena.h - memory for things that die together: a parsed document, a plan, a batch.
 *
 * Allocation moves a pointer; the release frees all at once.  Thread-safety: one thread at a time.
 */
#pragma once

#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_arena_block mg_arena_block;

/* On the caller's stack or inside an object; zero-initialised is empty and ready to use. */
typedef struct mg_arena {
    mg_arena_block *head; /* newest block */
    size_t used_bytes;    /* in the newest block */
    size_t total_bytes;   /* in all blocks */
} mg_arena;

void mg_arena_release(mg_arena *arena); /* NULL or zeroed is fine */

/* count zeroed elements, aligned for any type; never NULL. */
#define mg_arena_new(arena, type) ((type *)mg_arena_alloc((arena), 1, sizeof(type)))
#define mg_arena_array(arena, type, count) ((type *)mg_arena_alloc((arena), (count), sizeof(type)))
void *mg_arena_alloc(mg_arena *arena, int64_t count, size_t element_bytes);

/* Copies with a NUL behind, so that .data is also a C string. */
mg_str mg_arena_copy(mg_arena *arena, mg_str text);
mg_str mg_arena_printf(mg_arena *arena, const char *format, ...) MG_PRINTF(2, 3);

MG_END_C
