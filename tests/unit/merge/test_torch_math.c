/* tests/unit/merge/test_torch_math.c - last bits of functions and sums, against live torch. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "merge/torch_math_internal.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/merge/torch_math.txt"
#define COUNT_MAX 100000

static mg_bytes golden;

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static bool next_line(mg_str *rest, char line_out[80])
{
    mg_str line;
    if (!mg_str_split(rest, '\n', &line) || line.size == 0) {
        return false;
    }
    assert_true(line.size < 80);
    memcpy(line_out, line.data, line.size);
    line_out[line.size] = '\0';
    return true;
}

static mg_str golden_text(void)
{
    return mg_str_make((const char *)golden.data, golden.size);
}

/* Results that differ; none by more than one unit in the last place. */
static int wrong_results(const char *wanted, float (*function)(float), float low, float high)
{
    char line[80];
    int wrong = 0;
    int seen = 0;
    for (mg_str rest = golden_text(); next_line(&rest, line);) {
        char name[8];
        uint32_t x, y;
        if (sscanf(line, "%7s %x %x", name, &x, &y) != 3 || strcmp(name, wanted) != 0) {
            continue;
        }
        if (float_of(x) < low || float_of(x) > high) {
            continue;
        }
        int64_t apart = (int64_t)bits_of(function(float_of(x))) - (int64_t)y;
        assert_in_range(apart + 1, 0, 2);
        wrong += apart != 0;
        seen++;
    }
    assert_true(seen > 50);
    return wrong;
}

static void sines_round_as_torch_rounds_them(void **state)
{
    (void)state;
    assert_int_equal(wrong_results("sin", mg_torch_sin, -50.0f, 50.0f), 0);
    assert_int_equal(wrong_results("cos", mg_torch_cos, -50.0f, 50.0f), 0);
}

static void arc_cosines_round_as_torch_rounds_them(void **state)
{
    (void)state;
    assert_int_equal(wrong_results("acos", mg_torch_acos, -0.5f, 0.5f), 0);
    assert_true(wrong_results("acos", mg_torch_acos, -1.0f, 1.0f) <= 1);
    assert_true(isnan(mg_torch_acos(1.5f)));
    assert_true(isnan(mg_torch_acos(NAN)));
}

/* As values_of in make_torch_math.py. */
static void make_values(float *values, int64_t count, uint64_t x)
{
    for (int64_t i = 0; i < count; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        values[i] = (float)((int)((x >> 40) % 8192) - 4096) / 4096.0f;
    }
}

static void round_to_half(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        values[i] = mg_f16_to_f32(mg_f16_from_f32(values[i]));
    }
}

static void sums_are_made_in_the_order_of_torch(void **state)
{
    (void)state;
    float *x = mg_new_array(float, COUNT_MAX);
    float *y = mg_new_array(float, COUNT_MAX);
    char line[80];
    int seen = 0;
    for (mg_str rest = golden_text(); next_line(&rest, line);) {
        char name[8];
        long long count;
        int threads;
        uint32_t expected;
        if (strncmp(line, "dot", 3) != 0 && strncmp(line, "sum", 3) != 0 &&
            strncmp(line, "half", 4) != 0) {
            continue;
        }
        assert_int_equal(sscanf(line, "%7s %lld %d %x", name, &count, &threads, &expected), 4);
        assert_in_range(count, 1, COUNT_MAX);
        make_values(x, count, 1);
        make_values(y, count, 2);
        float sum = 0.0f;
        if (strcmp(name, "dot") == 0) {
            sum = mg_torch_dot(x, y, count, threads);
        } else if (strcmp(name, "sum") == 0) {
            sum = mg_mix_torch_total(x, count, MG_F32, threads);
        } else {
            round_to_half(x, count);
            round_to_half(y, count);
            sum = mg_f16_to_f32(mg_f16_from_f32(mg_torch_dot_half(x, y, count)));
        }
        if (bits_of(sum) != expected) {
            fail_msg("%s: got %08x", line, bits_of(sum));
        }
        seen++;
    }
    assert_true(seen > 100);
    mg_free(x);
    mg_free(y);
}

static void columns_are_summed_in_the_order_of_torch(void **state)
{
    (void)state;
    enum { COLUMNS = 40 };
    char line[80];
    int seen = 0;
    for (mg_str rest = golden_text(); next_line(&rest, line);) {
        int tail;
        long long count;
        uint32_t expected;
        if (sscanf(line, "column %d %lld %x", &tail, &count, &expected) != 3) {
            continue;
        }
        float *values = mg_new_array(float, count *COLUMNS);
        make_values(values, count * COLUMNS, 3);
        const float *column = values + (tail != 0 ? COLUMNS - 1 : 0);
        uint32_t actual = bits_of(mg_mix_column_sum(column, COLUMNS, count, tail != 0));
        if (actual != expected) {
            fail_msg("%s: got %08x", line, actual);
        }
        mg_free(values);
        seen++;
    }
    assert_int_equal(seen, 22);
}

int main(void)
{
    mg_error err;
    assert_ok(mg_file_read(GOLDEN, 1 << 20, &golden, &err), &err);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sines_round_as_torch_rounds_them),
        cmocka_unit_test(arc_cosines_round_as_torch_rounds_them),
        cmocka_unit_test(sums_are_made_in_the_order_of_torch),
        cmocka_unit_test(columns_are_summed_in_the_order_of_torch),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mg_bytes_release(&golden);
    return failed;
}
