/* tensor/dtype.h - element types and their conversion.
 *
 * Thread-safety: pure functions. */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

/* name in safetensors, bits of one element.  Rank order of the writer: wider first (models.md 7).
 */
#define MG_DTYPE_LIST(X)                                                                           \
    X(MG_U64, "U64", 64)                                                                           \
    X(MG_I64, "I64", 64)                                                                           \
    X(MG_F64, "F64", 64)                                                                           \
    X(MG_C64, "C64", 64)                                                                           \
    X(MG_F32, "F32", 32)                                                                           \
    X(MG_U32, "U32", 32)                                                                           \
    X(MG_I32, "I32", 32)                                                                           \
    X(MG_BF16, "BF16", 16)                                                                         \
    X(MG_F16, "F16", 16)                                                                           \
    X(MG_U16, "U16", 16)                                                                           \
    X(MG_I16, "I16", 16)                                                                           \
    X(MG_F8_E5M2FNUZ, "F8_E5M2FNUZ", 8)                                                            \
    X(MG_F8_E4M3FNUZ, "F8_E4M3FNUZ", 8)                                                            \
    X(MG_F8_E8M0, "F8_E8M0", 8)                                                                    \
    X(MG_F8_E4M3, "F8_E4M3", 8)                                                                    \
    X(MG_F8_E5M2, "F8_E5M2", 8)                                                                    \
    X(MG_I8, "I8", 8)                                                                              \
    X(MG_U8, "U8", 8)                                                                              \
    X(MG_F6_E3M2, "F6_E3M2", 6)                                                                    \
    X(MG_F6_E2M3, "F6_E2M3", 6)                                                                    \
    X(MG_F4, "F4", 4)                                                                              \
    X(MG_BOOLEAN, "BOOL", 8)

typedef enum mg_dtype {
#define MG_DTYPE_ENUM(name, text, bits) name,
    MG_DTYPE_LIST(MG_DTYPE_ENUM)
#undef MG_DTYPE_ENUM
        MG_DTYPE_COUNT
} mg_dtype;

int mg_dtype_bits(mg_dtype dtype);
const char *mg_dtype_name(mg_dtype dtype); /* "BF16" */
bool mg_dtype_parse(mg_str name, mg_dtype *dtype_out);
/* "bfloat16", "torch.float32", ... as configurations write it, and back ("bfloat16"). */
bool mg_dtype_parse_torch(mg_str name, mg_dtype *dtype_out);
const char *mg_dtype_torch_name(mg_dtype dtype);
bool mg_dtype_is_float(mg_dtype dtype);  /* F64, F32, BF16, F16: what merges and runs */
bool mg_dtype_is_number(mg_dtype dtype); /* what mg_dtype_convert reads: those and the integers */

/* Bytes of count elements of dtype; false on overflow or a broken last byte. */
MG_MUST_CHECK bool mg_dtype_bytes(mg_dtype dtype, int64_t count, size_t *bytes_out);

/* Round to nearest even; NaN stays NaN. */
uint16_t mg_bf16_from_f32(float x);
uint16_t mg_f16_from_f32(float x);
float mg_f16_to_f32(uint16_t x);
static inline float mg_bf16_to_f32(uint16_t x)
{
    union {
        uint32_t bits;
        float value;
    } u;
    u.bits = (uint32_t)x << 16;
    return u.value;
}

/* Converts count elements between any of F64, F32, F16, BF16 (and from integers).  from may be
 * unaligned and must not overlap to. */
void mg_dtype_convert(void *to, mg_dtype to_dtype, const void *from, mg_dtype from_dtype,
                      int64_t count);

MG_END_C
