/* base/memory.c - allocation in two kinds: small ones that end the program, large ones that fail.
 */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MG_ALIGNMENT 64

static _Thread_local bool forbidden_here;
static int64_t fail_countdown; /* test hook */

static void check_allowed(void)
{
#ifndef NDEBUG
    MG_ASSERT(!forbidden_here);
#endif
}

MG_NORETURN static void out_of_memory(size_t bytes)
{
    fprintf(stderr, "merganser: out of memory (%zu bytes)\n", bytes);
    _Exit(mg_status_exit_code(MG_ERR_MEMORY));
}

void *mg_memory_new(int64_t count, size_t element_bytes)
{
    check_allowed();
    MG_ASSERT(count >= 0);
    void *block = calloc((size_t)(count > 0 ? count : 1), element_bytes > 0 ? element_bytes : 1);
    if (block == NULL) {
        out_of_memory((size_t)count * element_bytes);
    }
    return block;
}

void *mg_memory_resize(void *block, int64_t count, size_t element_bytes)
{
    check_allowed();
    MG_ASSERT(count >= 0);
    size_t bytes = 0;
    bool fits = mg_size_mul((size_t)count, element_bytes, &bytes);
    void *grown = fits ? realloc(block, bytes > 0 ? bytes : 1) : NULL;
    if (grown == NULL) {
        out_of_memory(bytes);
    }
    return grown;
}

char *mg_strdup(const char *text)
{
    size_t size = strlen(text);
    char *copy = mg_new_array(char, (int64_t)size + 1);
    memcpy(copy, text, size);
    return copy;
}

void mg_free(void *block)
{
    free(block);
}

mg_status mg_memory_try(size_t bytes, const char *what, void **block_out, mg_error *err)
{
    check_allowed();
    *block_out = NULL;
    size_t room = 0;
    if (fail_countdown > 0 && --fail_countdown == 0) {
        return mg_fail(err, MG_ERR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
    }
    /* calloc leaves the zeroing of large blocks to the kernel, page by page as they are used. */
    char *whole = mg_size_add(bytes, 2 * MG_ALIGNMENT, &room) ? calloc(1, room) : NULL;
    if (whole == NULL) {
        return mg_fail(err, MG_ERR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
    }
    char *block = whole + 2 * MG_ALIGNMENT - (uintptr_t)whole % MG_ALIGNMENT;
    memcpy(block - sizeof(whole), &whole, sizeof(whole)); /* for mg_free_aligned */
    *block_out = block;
    return MG_OK;
}

void mg_free_aligned(void *block)
{
    if (block != NULL) {
        char *whole;
        memcpy(&whole, (char *)block - sizeof(whole), sizeof(whole));
        free(whole);
    }
}

bool mg_size_mul(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

bool mg_size_add(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

void mg_memory_forbid(bool forbidden)
{
    forbidden_here = forbidden;
}

void mg_memory_fail_at(int64_t n)
{
    fail_countdown = n;
}

size_t mg_memory_peak_bytes(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (size_t)usage.ru_maxrss * 1024;
}

void mg_bytes_release(mg_bytes *bytes)
{
    if (bytes != NULL) {
        mg_free(bytes->data);
        bytes->data = NULL;
        bytes->size = 0;
    }
}
