/* tensor/torch_pickle_internal.h - what a PyTorch pickle says, without running it. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "tensor/view.h"

MG_BEGIN_C

/* A run of elements that tensors are cut from. */
typedef struct mg_torch_storage {
    mg_str key; /* names its data in the file */
    mg_dtype dtype;
    int64_t count; /* elements of the whole storage */
    bool is_view;  /* old files: tensors see only view_count elements from view_offset */
    int64_t view_offset;
    int64_t view_count;
    /* Filled in by the file's reader: */
    const unsigned char *data;
} mg_torch_storage;

typedef struct mg_torch_tensor {
    mg_torch_storage *storage;
    int64_t offset; /* elements */
    mg_shape shape;
    int64_t strides[MG_RANK_MAX]; /* elements */
} mg_torch_tensor;

typedef enum mg_pickle_kind {
    MG_PICKLE_NONE,
    MG_PICKLE_BOOL,
    MG_PICKLE_INT,
    MG_PICKLE_LONG, /* wider than 64 bits: raw little-endian bytes in text */
    MG_PICKLE_FLOAT,
    MG_PICKLE_TEXT, /* text or bytes */
    MG_PICKLE_TUPLE,
    MG_PICKLE_LIST,
    MG_PICKLE_DICT, /* keys and values in turn */
    MG_PICKLE_GLOBAL,
    MG_PICKLE_STORAGE,
    MG_PICKLE_TENSOR,
    MG_PICKLE_OPAQUE /* tolerated and of no interest */
} mg_pickle_kind;

typedef struct mg_pickle_value mg_pickle_value;
struct mg_pickle_value {
    mg_pickle_kind kind;
    int global; /* what MG_PICKLE_GLOBAL is: private to the interpreter */
    mg_dtype dtype;
    union {
        int64_t integer;
        bool boolean;
        double number;
        mg_str text; /* borrowed from the pickle */
        struct {
            mg_pickle_value **items;
            int64_t count; /* a dict has count / 2 pairs */
            int64_t cap;
        } list;
        mg_torch_storage *storage;
        mg_torch_tensor *tensor;
    } u;
};

/* Interprets the pickle at the start of text up to its STOP; *used_out counts its bytes.  Values
 * live in arena and borrow text.  Only a closed list of opcodes and names is known, and none of
 * them runs code. MG_ERR_FORMAT, MG_ERR_UNSUPPORTED (naming what is not allowed), MG_ERR_LIMIT. */
MG_MUST_CHECK mg_status mg_pickle_read(mg_str text, mg_arena *arena, mg_pickle_value **value_out,
                                       size_t *used_out, mg_error *err);

/* The value of a text key in a dict; NULL without one. */
mg_pickle_value *mg_pickle_get(const mg_pickle_value *dict, const char *key);

MG_END_C
