/* base/arena.c - a list of blocks; the newest one is filled from the front. */
#include "base/arena.h"

#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"

#define MG_ARENA_BLOCK_MIN ((size_t)4096)
#define MG_ARENA_BLOCK_MAX ((size_t)1 << 20)
#define MG_ARENA_ALIGNMENT 16

struct mg_arena_block {
    mg_arena_block *previous;
    size_t cap; /* bytes behind this header */
};

static size_t aligned(size_t bytes)
{
    return (bytes + MG_ARENA_ALIGNMENT - 1) / MG_ARENA_ALIGNMENT * MG_ARENA_ALIGNMENT;
}

void mg_arena_release(mg_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    while (arena->head != NULL) {
        mg_arena_block *previous = arena->head->previous;
        mg_free(arena->head);
        arena->head = previous;
    }
    arena->used_bytes = 0;
    arena->total_bytes = 0;
}

void *mg_arena_alloc(mg_arena *arena, int64_t count, size_t element_bytes)
{
    MG_ASSERT(count >= 0);
    size_t bytes = 0;
    MG_ASSERT(mg_size_mul((size_t)count, element_bytes, &bytes) && bytes < SIZE_MAX / 2);
    bytes = aligned(bytes > 0 ? bytes : 1);
    if (arena->head == NULL || arena->head->cap - arena->used_bytes < bytes) {
        size_t cap = arena->head == NULL ? MG_ARENA_BLOCK_MIN : arena->head->cap * 2;
        cap = MG_MIN(cap, MG_ARENA_BLOCK_MAX);
        cap = MG_MAX(cap, bytes);
        size_t header = aligned(sizeof(mg_arena_block));
        mg_arena_block *block = mg_memory_new(1, header + cap);
        block->previous = arena->head;
        block->cap = cap;
        arena->head = block;
        arena->used_bytes = 0;
        arena->total_bytes += header + cap;
    }
    char *start = (char *)arena->head + aligned(sizeof(mg_arena_block));
    void *result = start + arena->used_bytes;
    arena->used_bytes += bytes;
    return result;
}

mg_str mg_arena_copy(mg_arena *arena, mg_str text)
{
    char *copy = mg_arena_array(arena, char, (int64_t)text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    return mg_str_make(copy, text.size);
}

mg_str mg_arena_printf(mg_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    MG_ASSERT(length >= 0);
    char *text = mg_arena_array(arena, char, (int64_t)length + 1);
    (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return mg_str_make(text, (size_t)length);
}
