/* tensor/view.c - shapes. */
#include "tensor/view.h"

#include <stdio.h>

#include "base/error.h"

int64_t mg_shape_count(const mg_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        count *= shape->dims[i];
    }
    return count;
}

bool mg_shape_equal(const mg_shape *a, const mg_shape *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

const char *mg_shape_text(const mg_shape *shape, char *buf, size_t buf_bytes)
{
    MG_ASSERT(buf_bytes > 0);
    size_t used = 0;
    buf[0] = '\0';
    for (int i = 0; i <= shape->rank && used < buf_bytes; i++) {
        const char *before = i == 0 ? "[" : i < shape->rank ? ", " : "";
        int put = i < shape->rank
                      ? snprintf(buf + used, buf_bytes - used, "%s%lld", before,
                                 (long long)shape->dims[i])
                      : snprintf(buf + used, buf_bytes - used, "%s]", shape->rank > 0 ? "" : "[");
        used += put > 0 ? (size_t)put : 0;
    }
    return buf;
}

mg_shape mg_shape_1d(int64_t d0)
{
    mg_shape shape = { 1, { d0 } };
    return shape;
}

mg_shape mg_shape_2d(int64_t d0, int64_t d1)
{
    mg_shape shape = { 2, { d0, d1 } };
    return shape;
}
