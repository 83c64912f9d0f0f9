/* base/memory.h - allocation, byte blocks and checked size arithmetic.
 *
 * Small host allocations (mg_new and friends) never return NULL: they end the program in order,
 * with one message.  Anything sized by data goes through the _try functions, whose failure is an
 * error of that one candidate or file.  Thread-safety: as malloc; the test hooks are for one
 * thread. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"

MG_BEGIN_C

/* A zeroed object, or an array of count zeroed elements; the end is mg_free. */
#define mg_new(type) ((type *)mg_memory_new(1, sizeof(type)))
#define mg_new_array(type, count) ((type *)mg_memory_new((count), sizeof(type)))

void *mg_memory_new(int64_t count, size_t element_bytes);
/* Grows or shrinks an array made by mg_new_array; new elements are not zeroed. */
void *mg_memory_resize(void *block, int64_t count, size_t element_bytes);
char *mg_strdup(const char *text);
void mg_free(void *block); /* NULL is fine */

/* bytes of zeroed memory aligned to 64 bytes in *block_out; MG_ERR_MEMORY, naming what, when there
 * is none.  The end is mg_free_aligned. */
MG_MUST_CHECK mg_status mg_memory_try(size_t bytes, const char *what, void **block_out,
                                      mg_error *err);
void mg_free_aligned(void *block); /* NULL is fine */

/* a * b or a + b in *out; false (and *out untouched) when it does not fit. */
MG_MUST_CHECK bool mg_size_mul(size_t a, size_t b, size_t *out);
MG_MUST_CHECK bool mg_size_add(size_t a, size_t b, size_t *out);

/* While forbidden, an allocation on this thread aborts in debug builds: guards the hot loops. */
void mg_memory_forbid(bool forbidden);
/* Test hook: the n-th call of mg_memory_try from now fails (1 = the next); 0 switches it off. */
void mg_memory_fail_at(int64_t n);
/* Bytes that can still be had: what the system has available, less where a limit on the process
 * (ulimit -v) or its container says so; SIZE_MAX where nothing is known. */
size_t mg_memory_free_bytes(void);
/* Test hook: as if no more than bytes were free; SIZE_MAX switches it off. */
void mg_memory_pretend_free(size_t bytes);
/* Largest resident set of the process so far, in bytes. */
size_t mg_memory_peak_bytes(void);

/* A block of bytes on the heap.  data has one more byte than size says, a NUL. */
typedef struct mg_bytes {
    unsigned char *data;
    size_t size;
} mg_bytes;

void mg_bytes_release(mg_bytes *bytes);

MG_END_C
