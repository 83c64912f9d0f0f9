/* tensor/view.h - a borrowed look at one tensor: row-major, little-endian, maybe unaligned.
 *
 * Thread-safety: immutable. */
#pragma once

#include "base/compiler.h"
#include "base/str.h"
#include "tensor/dtype.h"

MG_BEGIN_C

#define MG_RANK_MAX 8

typedef struct mg_shape {
    int rank; /* 0 = a scalar: one element */
    int64_t dims[MG_RANK_MAX];
} mg_shape;

int64_t mg_shape_count(const mg_shape *shape); /* elements; checked when the shape was read */
bool mg_shape_equal(const mg_shape *a, const mg_shape *b);
/* "[4096, 32]" into buf, for messages. */
const char *mg_shape_text(const mg_shape *shape, char *buf, size_t buf_bytes);
mg_shape mg_shape_1d(int64_t d0);
mg_shape mg_shape_2d(int64_t d0, int64_t d1);

typedef struct mg_view {
    mg_str name;      /* in its file */
    const void *data; /* possibly unaligned: copy or use unaligned loads */
    size_t bytes;
    mg_dtype dtype;
    mg_shape shape;
} mg_view;

MG_END_C
