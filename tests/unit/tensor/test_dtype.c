/* tests/unit/tensor/test_dtype.c - element types, conversions, shapes. */
#include <math.h>
#include <stdbool.h>

#include "support.h"
#include "tensor/dtype.h"
#include "tensor/view.h"

static void every_name_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < MG_DTYPE_COUNT; i++) {
        mg_dtype dtype;
        assert_true(mg_dtype_parse(mg_str_of(mg_dtype_name((mg_dtype)i)), &dtype));
        assert_int_equal(dtype, i);
    }
    mg_dtype dtype;
    assert_false(mg_dtype_parse(mg_str_of("f32"), &dtype));
    assert_false(mg_dtype_parse(mg_str_of(""), &dtype));
    assert_true(mg_dtype_parse_torch(mg_str_of("torch.bfloat16"), &dtype));
    assert_int_equal(dtype, MG_BF16);
    assert_string_equal(mg_dtype_torch_name(MG_F16), "float16");
    assert_false(mg_dtype_parse_torch(mg_str_of("torch.torch.float32"), &dtype));
}

static void broken_bytes_and_overflows_are_refused(void **state)
{
    (void)state;
    size_t bytes;
    assert_true(mg_dtype_bytes(MG_F4, 4, &bytes));
    assert_int_equal(bytes, 2);
    assert_false(mg_dtype_bytes(MG_F4, 3, &bytes));
    assert_true(mg_dtype_bytes(MG_F6_E2M3, 4, &bytes));
    assert_int_equal(bytes, 3);
    assert_false(mg_dtype_bytes(MG_F32, INT64_MAX, &bytes));
    assert_false(mg_dtype_bytes(MG_F32, -1, &bytes));
    assert_true(mg_dtype_bytes(MG_C64, 0, &bytes));
    assert_int_equal(bytes, 0);
}

static float f32_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(mg_bf16_from_f32(1.0f), 0x3f80);
    assert_int_equal(mg_bf16_from_f32(f32_of(0x3f808000U)), 0x3f80); /* a tie, to even */
    assert_int_equal(mg_bf16_from_f32(f32_of(0x3f818000U)), 0x3f82); /* a tie, to even */
    assert_int_equal(mg_bf16_from_f32(f32_of(0x3f808001U)), 0x3f81);
    assert_int_equal(mg_bf16_from_f32(3.4e38f), 0x7f80); /* beyond the largest */
    assert_int_equal(mg_bf16_from_f32(-0.0f), 0x8000);
    assert_true(isnan(mg_bf16_to_f32(mg_bf16_from_f32(f32_of(0x7f800001U)))));
}

static void every_half_survives_a_round_trip(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        float value = mg_f16_to_f32((uint16_t)i);
        if (isnan(value)) {
            assert_true(isnan(mg_f16_to_f32(mg_f16_from_f32(value))));
        } else {
            assert_int_equal(mg_f16_from_f32(value), i);
        }
        float other = mg_bf16_to_f32((uint16_t)i);
        if (!isnan(other)) {
            assert_int_equal(mg_bf16_from_f32(other), i);
        }
    }
}

/* Halves as doubles, with 2^16 for infinity: what lies half-way to it rounds there. */
static double half_value(uint16_t half)
{
    uint16_t magnitude = half & 0x7fffU;
    return magnitude == 0x7c00U ? 65536.0 : (double)mg_f16_to_f32(magnitude);
}

static void half_is_the_nearest_and_even_among_two(void **state)
{
    (void)state;
    uint32_t bits = 12345;
    for (int i = 0; i < 1000000; i++) {
        bits = bits * 1664525U + 1013904223U;
        /* Exponents around those of halves, and mantissas that are often ties. */
        uint32_t exponent = 98 + (bits >> 8) % 50;
        uint32_t mantissa = (bits & 3U) == 0 ? (bits >> 4) & 0x7ff000U : (bits >> 3) & 0x7fffffU;
        float value = f32_of((bits & 0x80000000U) | exponent << 23 | mantissa);
        uint16_t half = mg_f16_from_f32(value);
        double exact = fabs((double)value);
        double error = fabs(half_value(half) - exact);
        bool is_largest = (half & 0x7fffU) == 0x7c00U;
        double above =
            is_largest ? (double)INFINITY : fabs(half_value((uint16_t)(half + 1)) - exact);
        double below = (half & 0x7fffU) == 0 ? (double)INFINITY
                                             : fabs(half_value((uint16_t)(half - 1)) - exact);
        bool beyond = is_largest && exact >= 65536.0;
        bool nearest = error < above && error < below;
        bool tie = (half & 1U) == 0 && error <= above && error <= below;
        if (!beyond && !nearest && !tie) {
            fail_msg("%a became %04x", (double)value, half);
        }
        assert_int_equal(half >> 15, signbit(value) != 0);
    }
    assert_int_equal(mg_f16_from_f32(65519.996f), 0x7bff);
    assert_int_equal(mg_f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(mg_f16_from_f32(0x1p-25f), 0); /* a tie, to even */
    assert_int_equal(mg_f16_from_f32(f32_of(0x33000001U)), 1);
}

static void conversion_handles_unaligned_sources_and_integers(void **state)
{
    (void)state;
    unsigned char bytes[1 + 3 * 8];
    int64_t integers[3] = { -1, 0, 16777217 };
    memcpy(bytes + 1, integers, sizeof(integers));
    float floats[3];
    mg_dtype_convert(floats, MG_F32, bytes + 1, MG_I64, 3);
    assert_true(floats[0] == -1.0f && floats[1] == 0.0f && floats[2] == 16777216.0f);
    double doubles[3];
    mg_dtype_convert(doubles, MG_F64, bytes + 1, MG_I64, 3);
    assert_true(doubles[2] == 16777217.0);
    uint8_t flags[3] = { 0, 1, 2 };
    uint16_t halves[3];
    mg_dtype_convert(halves, MG_BF16, flags, MG_BOOLEAN, 3);
    assert_true(halves[0] == 0 && halves[1] == 0x3f80 && halves[2] == 0x3f80);
    mg_dtype_convert(doubles, MG_F64, halves, MG_BF16, 3);
    assert_true(doubles[1] == 1.0);
    mg_dtype_convert(halves, MG_F16, doubles, MG_F64, 3);
    assert_int_equal(halves[1], 0x3c00);
    mg_dtype_convert(halves, MG_F16, NULL, MG_F16, 0);
}

static void shapes_print_as_lists(void **state)
{
    (void)state;
    char text[64];
    mg_shape shape = mg_shape_2d(4096, 32);
    assert_string_equal(mg_shape_text(&shape, text, sizeof(text)), "[4096, 32]");
    assert_int_equal(mg_shape_count(&shape), 131072);
    shape = mg_shape_1d(7);
    assert_string_equal(mg_shape_text(&shape, text, sizeof(text)), "[7]");
    shape.rank = 0;
    assert_string_equal(mg_shape_text(&shape, text, sizeof(text)), "[]");
    assert_int_equal(mg_shape_count(&shape), 1);
    shape = mg_shape_2d(INT64_MAX, INT64_MAX);
    assert_int_equal(strlen(mg_shape_text(&shape, text, 8)), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_reads_back),
        cmocka_unit_test(broken_bytes_and_overflows_are_refused),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(every_half_survives_a_round_trip),
        cmocka_unit_test(half_is_the_nearest_and_even_among_two),
        cmocka_unit_test(conversion_handles_unaligned_sources_and_integers),
        cmocka_unit_test(shapes_print_as_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
