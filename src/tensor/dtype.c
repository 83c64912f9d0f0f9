/* tensor/dtype.c - element types: their names, sizes and conversions.
 *
 * Conversions to 16-bit types go through float, as PyTorch's do: a double is rounded twice. */
#include "tensor/dtype.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static const struct dtype_row {
    const char *name;
    int bits;
} dtype_rows[MG_DTYPE_COUNT] = {
#define DTYPE_ROW(name, text, bits) { text, bits },
    MG_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
};

/* Names in configurations; the first of a type is the one we write. */
static const struct torch_row {
    const char *name;
    mg_dtype dtype;
} torch_rows[] = {
    { "float32", MG_F32 },
    { "float16", MG_F16 },
    { "bfloat16", MG_BF16 },
    { "float64", MG_F64 },
    { "float", MG_F32 },
    { "half", MG_F16 },
    { "double", MG_F64 },
    { "int64", MG_I64 },
    { "int32", MG_I32 },
    { "int16", MG_I16 },
    { "int8", MG_I8 },
    { "uint8", MG_U8 },
    { "uint16", MG_U16 },
    { "uint32", MG_U32 },
    { "uint64", MG_U64 },
    { "long", MG_I64 },
    { "int", MG_I32 },
    { "short", MG_I16 },
    { "bool", MG_BOOLEAN },
    { "complex64", MG_C64 },
    { "float8_e4m3fn", MG_F8_E4M3 },
    { "float8_e5m2", MG_F8_E5M2 },
    { "float8_e4m3fnuz", MG_F8_E4M3FNUZ },
    { "float8_e5m2fnuz", MG_F8_E5M2FNUZ },
    { "float8_e8m0fnu", MG_F8_E8M0 },
};

int mg_dtype_bits(mg_dtype dtype)
{
    MG_ASSERT(dtype < MG_DTYPE_COUNT);
    return dtype_rows[dtype].bits;
}

const char *mg_dtype_name(mg_dtype dtype)
{
    MG_ASSERT(dtype < MG_DTYPE_COUNT);
    return dtype_rows[dtype].name;
}

bool mg_dtype_parse(mg_str name, mg_dtype *dtype_out)
{
    for (int i = 0; i < MG_DTYPE_COUNT; i++) {
        if (mg_str_is(name, dtype_rows[i].name)) {
            *dtype_out = (mg_dtype)i;
            return true;
        }
    }
    return false;
}

bool mg_dtype_parse_torch(mg_str name, mg_dtype *dtype_out)
{
    if (mg_str_starts(name, "torch.")) {
        name = mg_str_slice(name, 6, name.size);
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(torch_rows); i++) {
        if (mg_str_is(name, torch_rows[i].name)) {
            *dtype_out = torch_rows[i].dtype;
            return true;
        }
    }
    return false;
}

const char *mg_dtype_torch_name(mg_dtype dtype)
{
    for (int64_t i = 0; i < MG_ARRAY_COUNT(torch_rows); i++) {
        if (torch_rows[i].dtype == dtype) {
            return torch_rows[i].name;
        }
    }
    return mg_dtype_name(dtype); /* 4 and 6 bit types have no name there */
}

bool mg_dtype_is_float(mg_dtype dtype)
{
    return dtype == MG_F64 || dtype == MG_F32 || dtype == MG_BF16 || dtype == MG_F16;
}

bool mg_dtype_is_number(mg_dtype dtype)
{
    switch (dtype) {
    case MG_F64:
    case MG_F32:
    case MG_BF16:
    case MG_F16:
    case MG_U64:
    case MG_I64:
    case MG_U32:
    case MG_I32:
    case MG_U16:
    case MG_I16:
    case MG_U8:
    case MG_I8:
    case MG_BOOLEAN:
        return true;
    default:
        return false;
    }
}

bool mg_dtype_bytes(mg_dtype dtype, int64_t count, size_t *bytes_out)
{
    size_t bits;
    if (count < 0 || !mg_size_mul((size_t)count, (size_t)mg_dtype_bits(dtype), &bits) ||
        bits % 8 != 0) {
        return false;
    }
    *bytes_out = bits / 8;
    return true;
}

uint16_t mg_bf16_from_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    if ((bits & 0x7fffffffU) > 0x7f800000U) {
        return (uint16_t)((bits >> 16) |
                          0x0040U); /* stays NaN when its low half held all the bits */
    }
    return (uint16_t)((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

uint16_t mg_f16_from_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint32_t sign = (bits >> 16) & 0x8000U;
    bits &= 0x7fffffffU;
    if (bits > 0x7f800000U) {
        return (uint16_t)(sign | 0x7e00U | ((bits >> 13) & 0x01ffU));
    }
    if (bits >= 0x477ff000U) { /* from 65520 on, the nearest is infinity */
        return (uint16_t)(sign | 0x7c00U);
    }
    if (bits < 0x38800000U) { /* below 2^-14: a subnormal, counted in steps of 2^-24 */
        float magnitude;
        memcpy(&magnitude, &bits, sizeof(magnitude));
        /* At 0.5 one unit in the last place is 2^-24, so that the addition rounds. */
        float shifted = magnitude + 0.5f;
        uint32_t shifted_bits;
        memcpy(&shifted_bits, &shifted, sizeof(shifted_bits));
        return (uint16_t)(sign | (shifted_bits - 0x3f000000U));
    }
    uint32_t rounded = bits + 0x0fffU + ((bits >> 13) & 1U);
    return (uint16_t)(sign | ((rounded - 0x38000000U) >> 13));
}

float mg_f16_to_f32(uint16_t x)
{
    uint32_t sign = (uint32_t)(x & 0x8000U) << 16;
    uint32_t rest = x & 0x7fffU;
    uint32_t bits;
    if (rest >= 0x7c00U) {
        bits = 0x7f800000U | ((rest & 0x03ffU) << 13);
    } else if (rest >= 0x0400U) {
        bits = (rest << 13) + 0x38000000U;
    } else {
        float magnitude = (float)rest * 0x1p-24f;
        memcpy(&bits, &magnitude, sizeof(bits));
    }
    bits |= sign;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Reads count elements as floating point numbers; from may be unaligned. */
#define READ_LOOP(type, expression)                                                                \
    for (int64_t i = 0; i < count; i++) {                                                          \
        type x;                                                                                    \
        memcpy(&x, from + (size_t)i * sizeof(type), sizeof(type));                                 \
        to[i] = (expression);                                                                      \
    }                                                                                              \
    break

static void read_floats(float *to, const unsigned char *from, mg_dtype dtype, int64_t count)
{
    switch (dtype) {
    case MG_F64:
        READ_LOOP(double, (float)x);
    case MG_F32:
        READ_LOOP(float, x);
    case MG_BF16:
        READ_LOOP(uint16_t, mg_bf16_to_f32(x));
    case MG_F16:
        READ_LOOP(uint16_t, mg_f16_to_f32(x));
    case MG_U64:
        READ_LOOP(uint64_t, (float)x);
    case MG_I64:
        READ_LOOP(int64_t, (float)x);
    case MG_U32:
        READ_LOOP(uint32_t, (float)x);
    case MG_I32:
        READ_LOOP(int32_t, (float)x);
    case MG_U16:
        READ_LOOP(uint16_t, (float)x);
    case MG_I16:
        READ_LOOP(int16_t, (float)x);
    case MG_U8:
        READ_LOOP(uint8_t, (float)x);
    case MG_I8:
        READ_LOOP(int8_t, (float)x);
    case MG_BOOLEAN:
        READ_LOOP(uint8_t, x != 0 ? 1.0f : 0.0f);
    default:
        MG_ASSERT(mg_dtype_is_number(dtype));
    }
}

static void read_doubles(double *to, const unsigned char *from, mg_dtype dtype, int64_t count)
{
    switch (dtype) {
    case MG_F64:
        READ_LOOP(double, x);
    case MG_U64:
        READ_LOOP(uint64_t, (double)x);
    case MG_I64:
        READ_LOOP(int64_t, (double)x);
    case MG_U32:
        READ_LOOP(uint32_t, (double)x);
    case MG_I32:
        READ_LOOP(int32_t, (double)x);
    default: { /* all others fit a float exactly */
        for (int64_t i = 0; i < count; i++) {
            float x = 0.0f;
            read_floats(&x, from + (size_t)i * (size_t)(mg_dtype_bits(dtype) / 8), dtype, 1);
            to[i] = (double)x;
        }
    }
    }
}
#undef READ_LOOP

static void write_floats(unsigned char *to, mg_dtype dtype, const float *from, int64_t count)
{
    if (dtype == MG_F32) {
        memcpy(to, from, (size_t)count * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint16_t x = dtype == MG_BF16 ? mg_bf16_from_f32(from[i]) : mg_f16_from_f32(from[i]);
        memcpy(to + (size_t)i * sizeof(x), &x, sizeof(x));
    }
}

#define CONVERT_BLOCK 1024 /* elements; the buffer stays in the first-level cache */

void mg_dtype_convert(void *to, mg_dtype to_dtype, const void *from, mg_dtype from_dtype,
                      int64_t count)
{
    MG_ASSERT(mg_dtype_is_float(to_dtype) && mg_dtype_is_number(from_dtype) && count >= 0);
    size_t to_bytes = (size_t)(mg_dtype_bits(to_dtype) / 8);
    size_t from_bytes = (size_t)(mg_dtype_bits(from_dtype) / 8);
    if (to_dtype == from_dtype) {
        if (count > 0) {
            memcpy(to, from, (size_t)count * to_bytes);
        }
        return;
    }
    float floats[CONVERT_BLOCK];
    double doubles[CONVERT_BLOCK];
    for (int64_t begin = 0; begin < count; begin += CONVERT_BLOCK) {
        int64_t part = MG_MIN(count - begin, CONVERT_BLOCK);
        unsigned char *target = (unsigned char *)to + (size_t)begin * to_bytes;
        const unsigned char *source = (const unsigned char *)from + (size_t)begin * from_bytes;
        if (to_dtype == MG_F64) {
            read_doubles(doubles, source, from_dtype, part);
            memcpy(target, doubles, (size_t)part * sizeof(double));
        } else {
            read_floats(floats, source, from_dtype, part);
            write_floats(target, to_dtype, floats, part);
        }
    }
}
