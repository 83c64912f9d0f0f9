/* base/str.h - string views and a growing text buffer.
 *
 * An mg_str borrows: it is a pointer and a length, may hold NULs and ends when its owner does.
 * Thread-safety: immutable views are shared freely; an mg_buf belongs to one thread. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"

MG_BEGIN_C

typedef struct mg_str {
    const char *data; /* not necessarily NUL-terminated */
    size_t size;      /* bytes */
} mg_str;

/* For printf: "%.*s", MG_STR_ARG(text). */
#define MG_STR_ARG(s)                                                                              \
    (int)((s).size > 0x7fffffff ? 0x7fffffff : (s).size), ((s).data ? (s).data : "")

static inline mg_str mg_str_make(const char *data, size_t size)
{
    mg_str s;
    s.data = data;
    s.size = size;
    return s;
}

/* A view of a C string (NULL gives the empty view). */
static inline mg_str mg_str_of(const char *text)
{
    return mg_str_make(text, text ? strlen(text) : 0);
}

bool mg_str_equal(mg_str a, mg_str b);
bool mg_str_is(mg_str s, const char *text);
int mg_str_compare(mg_str a, mg_str b); /* by bytes, as memcmp: negative, 0, positive */
bool mg_str_starts(mg_str s, const char *prefix);
bool mg_str_ends(mg_str s, const char *suffix);
/* Offset of the first needle in s at or after from, or -1. */
int64_t mg_str_find(mg_str s, mg_str needle, size_t from);
mg_str mg_str_slice(mg_str s, size_t begin, size_t end); /* clamped */
mg_str mg_str_trim(mg_str s);                            /* ASCII white space at both ends */
/* Cuts the text before the first separator off *rest; false when *rest is used up. */
bool mg_str_split(mg_str *rest, char separator, mg_str *part_out);
char *mg_str_dup(mg_str s); /* NUL-terminated copy, end with mg_free */
/* Whole-string numbers as strtoll and strtod read them (locale-free); false on anything else. */
bool mg_str_to_int(mg_str s, int64_t *value_out);
bool mg_str_to_double(mg_str s, double *value_out);

/* The name in names nearest to s by edit distance, or NULL when none is near enough to suggest. */
const char *mg_str_nearest(mg_str s, const char *const *names, int64_t count);

/* A growing text.  Zero-initialised is empty; text always has a NUL behind when not NULL. */
typedef struct mg_buf {
    char *data;
    size_t size; /* bytes used */
    size_t cap;  /* bytes allocated */
} mg_buf;

void mg_buf_release(mg_buf *buf); /* NULL or zeroed is fine */
void mg_buf_clear(mg_buf *buf);   /* keeps the memory */
void mg_buf_reserve(mg_buf *buf, size_t more_bytes);
void mg_buf_add(mg_buf *buf, mg_str text);
void mg_buf_add_text(mg_buf *buf, const char *text);
void mg_buf_add_char(mg_buf *buf, char c);
void mg_buf_printf(mg_buf *buf, const char *format, ...) MG_PRINTF(2, 3);
/* The shortest decimal that reads back as value, as Python's repr prints it ("0.1", "1e-05",
 * "inf"). */
void mg_buf_add_double(mg_buf *buf, double value);
static inline mg_str mg_buf_view(const mg_buf *buf)
{
    return mg_str_make(buf->data ? buf->data : "", buf->size);
}

MG_END_C
