/* base/compiler.h - the few language extensions that merganser relies on.
 *
 * Everything here also compiles as C++17, because .cu files include our headers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define MG_BEGIN_C extern "C" {
#define MG_END_C }
#else
#define MG_BEGIN_C
#define MG_END_C
#endif

/* The caller must look at the result: used on every function that returns mg_status. */
#define MG_MUST_CHECK __attribute__((warn_unused_result))

/* A printf-like function: argument format_index is the format, first_index the first value
 * (1-based). */
#define MG_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))

#define MG_NORETURN __attribute__((noreturn))
#define MG_LIKELY(x) __builtin_expect(!!(x), 1)
#define MG_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Number of elements of an array (never of a pointer), as int64_t. */
#define MG_ARRAY_COUNT(array) ((int64_t)(sizeof(array) / sizeof((array)[0])))

#define MG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define MG_MAX(a, b) ((a) > (b) ? (a) : (b))
