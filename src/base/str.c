/* base/str.c - views, numbers and the growing buffer. */
#include "base/str.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"

#define MG_NUMBER_BYTES_MAX 400
#define MG_NEAREST_BYTES_MAX 64

bool mg_str_equal(mg_str a, mg_str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool mg_str_is(mg_str s, const char *text)
{
    return mg_str_equal(s, mg_str_of(text));
}

int mg_str_compare(mg_str a, mg_str b)
{
    size_t common = MG_MIN(a.size, b.size);
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

bool mg_str_starts(mg_str s, const char *prefix)
{
    size_t size = strlen(prefix);
    return s.size >= size && (size == 0 || memcmp(s.data, prefix, size) == 0);
}

bool mg_str_ends(mg_str s, const char *suffix)
{
    size_t size = strlen(suffix);
    return s.size >= size && (size == 0 || memcmp(s.data + s.size - size, suffix, size) == 0);
}

int64_t mg_str_find(mg_str s, mg_str needle, size_t from)
{
    if (from > s.size) {
        return -1;
    }
    if (needle.size == 0) {
        return (int64_t)from;
    }
    const char *hit = memmem(s.data + from, s.size - from, needle.data, needle.size);
    return hit == NULL ? -1 : hit - s.data;
}

mg_str mg_str_slice(mg_str s, size_t begin, size_t end)
{
    end = MG_MIN(end, s.size);
    begin = MG_MIN(begin, end);
    return mg_str_make(s.data == NULL ? NULL : s.data + begin, end - begin);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

mg_str mg_str_trim(mg_str s)
{
    size_t begin = 0;
    while (begin < s.size && is_space(s.data[begin])) {
        begin++;
    }
    size_t end = s.size;
    while (end > begin && is_space(s.data[end - 1])) {
        end--;
    }
    return mg_str_slice(s, begin, end);
}

bool mg_str_split(mg_str *rest, char separator, mg_str *part_out)
{
    if (rest->data == NULL) {
        return false;
    }
    const char *hit = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    if (hit == NULL) {
        *part_out = *rest;
        *rest = mg_str_make(NULL, 0);
        return true;
    }
    size_t size = (size_t)(hit - rest->data);
    *part_out = mg_str_make(rest->data, size);
    *rest = mg_str_make(hit + 1, rest->size - size - 1);
    return true;
}

char *mg_str_dup(mg_str s)
{
    char *copy = mg_new_array(char, (int64_t)s.size + 1);
    if (s.size > 0) {
        memcpy(copy, s.data, s.size);
    }
    return copy;
}

/* A NUL-terminated copy for strtoll and strtod; false when s cannot be a number. */
static bool number_text(mg_str s, char text[MG_NUMBER_BYTES_MAX])
{
    if (s.size == 0 || s.size >= MG_NUMBER_BYTES_MAX || is_space(s.data[0])) {
        return false;
    }
    memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    return strlen(text) == s.size;
}

bool mg_str_to_int(mg_str s, int64_t *value_out)
{
    char text[MG_NUMBER_BYTES_MAX];
    if (!number_text(s, text)) {
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end != '\0' || errno != 0) {
        return false;
    }
    *value_out = value;
    return true;
}

bool mg_str_to_double(mg_str s, double *value_out)
{
    char text[MG_NUMBER_BYTES_MAX];
    if (!number_text(s, text) || strpbrk(text, "xXpP(") != NULL) {
        return false;
    }
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0') {
        return false;
    }
    *value_out = value;
    return true;
}

/* Levenshtein distance of two short strings. */
static size_t edit_distance(mg_str a, mg_str b)
{
    size_t row[MG_NEAREST_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t replace = diagonal + (a.data[i - 1] != b.data[j - 1]);
            size_t insert = MG_MIN(row[j], row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = MG_MIN(replace, insert);
        }
    }
    return row[b.size];
}

const char *mg_str_nearest(mg_str s, const char *const *names, int64_t count)
{
    const char *best = NULL;
    size_t best_distance = MG_MAX(s.size / 3, (size_t)1) + 1;
    if (s.size > MG_NEAREST_BYTES_MAX) {
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        mg_str name = mg_str_of(names[i]);
        if (name.size > MG_NEAREST_BYTES_MAX) {
            continue;
        }
        size_t distance = edit_distance(s, name);
        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
    }
    return best;
}

void mg_buf_release(mg_buf *buf)
{
    if (buf != NULL) {
        mg_free(buf->data);
        buf->data = NULL;
        buf->size = 0;
        buf->cap = 0;
    }
}

void mg_buf_clear(mg_buf *buf)
{
    buf->size = 0;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

void mg_buf_reserve(mg_buf *buf, size_t more_bytes)
{
    MG_ASSERT(more_bytes < SIZE_MAX / 4 && buf->size < SIZE_MAX / 4);
    size_t needed = buf->size + more_bytes + 1;
    if (needed <= buf->cap) {
        return;
    }
    size_t cap = MG_MAX(MG_MAX(needed, buf->cap * 2), (size_t)64);
    buf->data = mg_memory_resize(buf->data, (int64_t)cap, 1);
    buf->cap = cap;
    buf->data[buf->size] = '\0';
}

void mg_buf_add(mg_buf *buf, mg_str text)
{
    mg_buf_reserve(buf, text.size);
    if (text.size > 0) {
        memcpy(buf->data + buf->size, text.data, text.size);
    }
    buf->size += text.size;
    buf->data[buf->size] = '\0';
}

void mg_buf_add_text(mg_buf *buf, const char *text)
{
    mg_buf_add(buf, mg_str_of(text));
}

void mg_buf_add_char(mg_buf *buf, char c)
{
    mg_buf_add(buf, mg_str_make(&c, 1));
}

void mg_buf_printf(mg_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    MG_ASSERT(length >= 0);
    mg_buf_reserve(buf, (size_t)length);
    (void)vsnprintf(buf->data + buf->size, (size_t)length + 1, format, again);
    va_end(again);
    buf->size += (size_t)length;
}

/* The fewest significant digits that read back as value, written with exponent.  What fewer than
 * DBL_DIG of them say of a normal number is what DBL_DIG say, but for zeros at the end. */
static int shortest_digits(double value, char *text, size_t bytes)
{
    bool normal = fabs(value) >= DBL_MIN;
    int digits = normal ? DBL_DIG : 1;
    (void)snprintf(text, bytes, "%.*e", digits - 1, value);
    if (normal && strtod(text, NULL) == value) {
        const char *mark = strchr(text, 'e');
        while (digits > 1 && mark[-1] == '0') {
            mark--;
            digits--;
        }
        (void)snprintf(text, bytes, "%.*e", digits - 1, value);
        return digits;
    }
    while (digits < DBL_DECIMAL_DIG && strtod(text, NULL) != value) {
        digits++;
        (void)snprintf(text, bytes, "%.*e", digits - 1, value);
    }
    return digits;
}

void mg_buf_add_double(mg_buf *buf, double value)
{
    if (isnan(value)) {
        mg_buf_add_text(buf, "nan");
        return;
    }
    if (isinf(value)) {
        mg_buf_add_text(buf, value > 0 ? "inf" : "-inf");
        return;
    }
    char text[64];
    int digits = shortest_digits(value, text, sizeof(text));
    const char *mark = strchr(text, 'e');
    int exponent = atoi(mark + 1);
    /* Python's repr: positional for exponents -4 .. 15, with ".0" for whole numbers. */
    if (exponent < -4 || exponent >= 16) {
        mg_buf_add(buf, mg_str_make(text, (size_t)(mark - text)));
        mg_buf_printf(buf, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = MG_MAX(digits - 1 - exponent, 0);
    mg_buf_printf(buf, "%.*f", decimals, value);
    if (decimals == 0) {
        mg_buf_add_text(buf, ".0");
    }
}
