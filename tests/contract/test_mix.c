/* tests/contract/test_mix.c - every operation of compute/ops_mix.h, on every CPU device.
 *
 * A case runs on ref and then on each device, with and without threads: the bits must be equal. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "compute/device.h"
#include "compute/ops_mix.h"
#include "contract/targets.h"

#define TENSORS_MAX 20

/* Tails, whole vectors, more than one chunk, more than one block. */
static const int64_t sizes[] = { 1, 3, 8, 15, 16, 33, 64, 100, 1023, 1024, 5000, 140001 };
static const mg_dtype dtypes[] = { MG_F32, MG_BF16, MG_F16 };

/* Tensors of one case: a base and others near it, as fine-tunes are, with exact zeros and equals.
 */
typedef struct tensors {
    void *data[TENSORS_MAX];
    mg_dtype dtype;
    int64_t count;
} tensors;

static void *new_block(size_t bytes)
{
    mg_error err;
    void *block;
    assert_ok(mg_memory_try(bytes + 64, "test", &block, &err), &err);
    return block;
}

static tensors make_tensors(mg_dtype dtype, int64_t count, uint64_t seed)
{
    tensors t;
    t.dtype = dtype;
    t.count = count;
    mg_rng rng = mg_rng_make(seed, MG_STREAM_ITEMS);
    double *base = mg_new_array(double, count);
    for (int64_t i = 0; i < count; i++) {
        base[i] = 0.02 * mg_rng_normal(&rng);
    }
    for (int k = 0; k < TENSORS_MAX; k++) {
        t.data[k] = new_block((size_t)count * 4);
        for (int64_t i = 0; i < count; i++) {
            double step = (double)(int)(20.0 * mg_rng_uniform(&rng) - 10.0) * 0x1p-12;
            double x = base[i] + (k == 0 ? 0.0 : i % 3 == 0 ? step : 0.002 * mg_rng_normal(&rng));
            char *to = (char *)t.data[k] + (size_t)i * (size_t)(mg_dtype_bits(dtype) / 8);
            mg_dtype_convert(to, dtype, &x, MG_F64, 1);
        }
    }
    mg_free(base);
    return t;
}

static void free_tensors(tensors *t)
{
    for (int k = 0; k < TENSORS_MAX; k++) {
        mg_free_aligned(t->data[k]);
    }
}

static mg_mix_input input_of(const tensors *t, int k)
{
    mg_mix_input input = { t->data[k], t->dtype };
    return input;
}

typedef struct outputs {
    void *data[6];
    size_t bytes;
} outputs;

static outputs make_outputs(size_t bytes)
{
    outputs o;
    o.bytes = bytes;
    for (int i = 0; i < 6; i++) {
        o.data[i] = new_block(bytes);
    }
    return o;
}

/* Every output equals that of ref; then they end. */
static void compare_outputs(outputs *o, const char *what, int64_t count)
{
    for (int64_t i = 1; i < target_count; i++) {
        if (memcmp(o->data[0], o->data[i], o->bytes) != 0) {
            fail_msg("%s of %lld elements on %s differs from ref", what, (long long)count,
                     targets[i].name);
        }
    }
    for (int i = 0; i < 6; i++) {
        mg_free_aligned(o->data[i]);
    }
}

/* All combinations of input, work and output types, over all sizes. */
typedef void case_run(const tensors *t, mg_dtype work, mg_dtype out);

static void for_all_cases(case_run *run)
{
    for (int64_t s = 0; s < MG_ARRAY_COUNT(sizes); s++) {
        bool large = sizes[s] > 10000;
        for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
            tensors t = make_tensors(dtypes[d], sizes[s], (uint64_t)(100 * s + d));
            for (int64_t w = 0; w < MG_ARRAY_COUNT(dtypes); w++) {
                if (large && w != d) {
                    continue;
                }
                for (int64_t o = 0; o < MG_ARRAY_COUNT(dtypes); o++) {
                    if (!large || o == w) {
                        run(&t, dtypes[w], dtypes[o]);
                    }
                }
            }
            free_tensors(&t);
        }
    }
}

static void run_average(const tensors *t, mg_dtype work, mg_dtype out)
{
    mg_error err;
    double weights[4] = { (double)0.3f, (double)-0.7f, (double)1.1f, (double)0.01f };
    mg_mix_input inputs[4] = { input_of(t, 0), input_of(t, 1), input_of(t, 2), input_of(t, 3) };
    outputs o = make_outputs((size_t)t->count * (size_t)(mg_dtype_bits(out) / 8));
    for (int64_t i = 0; i < target_count; i++) {
        mg_average_args args = { o.data[i], out,  work,          inputs,  weights,
                                 4,         true, (double)0.71f, t->count };
        assert_ok(targets[i].device->mix->average(targets[i].stream, &args, &err), &err);
    }
    compare_outputs(&o, "average", t->count);
}

static void averages_have_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_average);
}

static void run_blend(const tensors *t, mg_dtype work, mg_dtype out)
{
    mg_error err;
    outputs o = make_outputs((size_t)t->count * (size_t)(mg_dtype_bits(out) / 8));
    for (int64_t i = 0; i < target_count; i++) {
        mg_blend_args args = { o.data[i],      out,           work,          input_of(t, 0),
                               input_of(t, 1), (double)0.31f, (double)0.75f, t->count };
        assert_ok(targets[i].device->mix->blend(targets[i].stream, &args, &err), &err);
    }
    compare_outputs(&o, "blend", t->count);
}

static void blends_have_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_blend);
}

static void run_scale(const tensors *t, mg_dtype work, mg_dtype out)
{
    mg_error err;
    outputs o = make_outputs((size_t)t->count * (size_t)(mg_dtype_bits(out) / 8));
    for (int64_t i = 0; i < target_count; i++) {
        mg_scale_args args = { o.data[i], out, work, input_of(t, 1), 0.3, t->count };
        assert_ok(targets[i].device->mix->scale(targets[i].stream, &args, &err), &err);
    }
    compare_outputs(&o, "scale", t->count);
}

static void scales_have_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_scale);
}

static uint64_t *random_bits(int64_t count, uint64_t seed)
{
    uint64_t *bits = (uint64_t *)new_block((size_t)((count + 63) / 64) * 8);
    mg_rng rng = mg_rng_make(seed, MG_STREAM_TIES);
    for (int64_t e = 0; e < count; e++) {
        bits[e / 64] |= (uint64_t)(mg_rng_uniform(&rng) < 0.6) << (e % 64);
    }
    return bits;
}

static void run_task_of(const tensors *t, mg_dtype work, mg_dtype out, bool wide, bool consensus,
                        int64_t source_count)
{
    mg_error err;
    uint64_t *bits = random_bits(t->count, 7);
    mg_mix_source sources[TENSORS_MAX];
    memset(sources, 0, sizeof(sources));
    for (int64_t k = 0; k < source_count; k++) {
        mg_mix_source *s = &sources[k];
        s->x = input_of(t, (int)k + 1);
        s->weight = mg_mix_round(0.9 - 0.35 * (double)k, wide ? MG_F32 : work);
        s->mask = k % 3 == 0 ? MG_MASK_ALL : k % 3 == 1 ? MG_MASK_BITS : MG_MASK_COUNTER;
        s->bits = bits;
        s->counter_tensor = 0xfeedbeef;
        s->counter_source = (uint32_t)k;
        (void)mg_mix_counter_below(0.55, &s->below);
        s->rescale = k % 2 == 0;
        s->factor = mg_mix_round(1.7, wide ? MG_F32 : work);
    }
    outputs o = make_outputs((size_t)t->count * (size_t)(mg_dtype_bits(out) / 8));
    for (int64_t i = 0; i < target_count; i++) {
        mg_task_args args;
        memset(&args, 0, sizeof(args));
        args.out = o.data[i];
        args.out_dtype = out;
        args.work = work;
        args.wide = wide;
        args.base = input_of(t, 0);
        args.sources = sources;
        args.source_count = source_count;
        args.consensus = consensus;
        args.normalize = true;
        args.divisor = mg_mix_round(1.3, work);
        args.lambda = 0.7;
        args.key = mg_rng_make(99, MG_STREAM_MASK).key;
        args.count = t->count;
        args.tail = source_count >= 5 ? MG_MIX_TAIL(t->count) : 0;
        assert_ok(targets[i].device->mix->task(targets[i].stream, &args, &err), &err);
    }
    compare_outputs(&o, "task", t->count);
    mg_free_aligned(bits);
}

static void run_task(const tensors *t, mg_dtype work, mg_dtype out)
{
    run_task_of(t, work, out, false, false, 3);
    run_task_of(t, work, out, false, true, 3);
    run_task_of(t, work, out, true, true, 4);
    if (t->count < 10000) {
        run_task_of(t, work, out, false, true, 19);
    }
}

static void task_arithmetic_has_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_task);
}

static void run_delta_sum(const tensors *t, mg_dtype work, mg_dtype out)
{
    mg_error err;
    if (out != work) {
        return;
    }
    uint64_t *bits = random_bits(t->count, 8);
    for (int form = 0; form < 4; form++) {
        outputs o = make_outputs(2 * sizeof(double));
        for (int64_t i = 0; i < target_count; i++) {
            double *sums = (double *)o.data[i];
            mg_delta_sum_args args;
            memset(&args, 0, sizeof(args));
            args.base = input_of(t, 0);
            args.x = input_of(t, 1);
            args.work = work;
            args.half = form % 2 != 0;
            args.bits = form < 2 ? bits : NULL;
            args.count = t->count;
            args.all_out = sums;
            args.kept_out = sums + 1;
            args.counter_tensor = 5;
            args.below = 0x7000;
            args.key = mg_rng_make(1, MG_STREAM_MASK).key;
            assert_ok(targets[i].device->mix->delta_sum(targets[i].stream, &args, &err), &err);
        }
        compare_outputs(&o, "delta_sum", t->count);
    }
    mg_free_aligned(bits);
}

static void sums_of_differences_have_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_delta_sum);
}

static void run_rank(const tensors *t, mg_dtype work, mg_dtype out)
{
    mg_error err;
    if (out != work) {
        return;
    }
    const double shares[][2] = { { 0.0, 0.4 }, { 0.3, 0.5 }, { 0.0, 1.0 }, { 0.5, 0.0 } };
    for (int64_t k = 0; k < MG_ARRAY_COUNT(shares); k++) {
        for (int descending = 0; descending < 2; descending++) {
            outputs o = make_outputs((size_t)((t->count + 63) / 64) * 8);
            for (int64_t i = 0; i < target_count; i++) {
                mg_rank_args args = { input_of(t, 0),
                                      input_of(t, 1),
                                      work,
                                      descending != 0,
                                      (int64_t)(shares[k][0] * (double)t->count),
                                      (int64_t)(shares[k][1] * (double)t->count),
                                      t->count,
                                      (uint64_t *)o.data[i] };
                assert_ok(targets[i].device->mix->rank(targets[i].stream, &args, &err), &err);
            }
            compare_outputs(&o, "rank", t->count);
        }
    }
}

/* Rows that lie one after the other, and rows across three planes of columns. */
static void run_row_mask(const tensors *t, mg_dtype work, mg_dtype out)
{
    mg_error err;
    static const int64_t shapes[][2] = { { 7, 1 }, { 100, 1 }, { 1, 1 }, { 5, 40 }, { 0, 1 } };
    if (out != work || t->count > 10000) {
        return;
    }
    for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
        int64_t stride = shapes[s][1];
        int64_t length = shapes[s][0] > 0 ? shapes[s][0] : t->count; /* 0: one row */
        int64_t count = t->count / (length * stride) * length * stride;
        uint32_t *below = mg_new_array(uint32_t, length);
        for (int64_t q = 0; q < length; q++) {
            below[q] = q % 5 == 4 ? 0x10000 : (uint32_t)(0xffff * (q + 1) / (length + 1));
        }
        outputs o = make_outputs((size_t)((count + 63) / 64) * 8);
        for (int64_t i = 0; i < target_count && count > 0; i++) {
            mg_row_mask_args args;
            memset(&args, 0, sizeof(args));
            args.base = input_of(t, 0);
            args.x = input_of(t, 1);
            args.work = work;
            args.length = length;
            args.stride = stride;
            args.below = below;
            args.counter_tensor = 77;
            args.counter_source = 1;
            args.key = mg_rng_make(3, MG_STREAM_MASK).key;
            args.count = count;
            args.bits = (uint64_t *)o.data[i];
            assert_ok(targets[i].device->mix->row_mask(targets[i].stream, &args, &err), &err);
        }
        compare_outputs(&o, "row_mask", count);
        mg_free(below);
    }
}

static void masks_by_rank_in_rows_have_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_row_mask);
}

static void ranks_have_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_rank);
}

static void run_dot(const tensors *t, mg_dtype work, mg_dtype out)
{
    mg_error err;
    if (out != work) {
        return;
    }
    outputs o = make_outputs(5 * sizeof(double));
    for (int64_t i = 0; i < target_count; i++) {
        double *sums = (double *)o.data[i];
        mg_dot_args args = { input_of(t, 0), input_of(t, 1), work,    t->count,
                             sums,           sums + 1,       sums + 2 };
        assert_ok(targets[i].device->mix->dot(targets[i].stream, &args, &err), &err);
        for (int threads = 1; threads <= 3; threads += 2) {
            mg_angle_args angle = { input_of(t, 0), input_of(t, 1), work,
                                    t->count,       threads,        sums + 3 + threads / 2 };
            assert_ok(targets[i].device->mix->angle(targets[i].stream, &angle, &err), &err);
        }
    }
    compare_outputs(&o, "dot and angle", t->count);
}

static void angles_have_the_bits_of_ref(void **state)
{
    (void)state;
    for_all_cases(run_dot);
}

static void products_of_matrices_have_the_bits_of_ref(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = { { 1, 1, 1 }, { 3, 70, 5 }, { 16, 64, 8 }, { 5, 200, 33 } };
    mg_error err;
    for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
        const int64_t rows = shapes[s][0];
        const int64_t columns = shapes[s][1];
        const int64_t rank = shapes[s][2];
        float *a = mg_new_array(float, rank *columns);
        float *b = mg_new_array(float, rows *rank);
        for (int64_t i = 0; i < rank * columns; i++) {
            a[i] = (float)(i * 7919 % 1009) / 1009.0f - 0.5f;
        }
        for (int64_t i = 0; i < rows * rank; i++) {
            b[i] = (float)(i * 104729 % 1013) / 1013.0f - 0.5f;
        }
        outputs o = make_outputs((size_t)(rows * columns) * sizeof(float));
        for (int64_t i = 0; i < target_count; i++) {
            mg_product_args args = { (float *)o.data[i], b, a, rows, columns, rank };
            assert_ok(targets[i].device->mix->product(targets[i].stream, &args, &err), &err);
        }
        compare_outputs(&o, "product", rows * columns);
        mg_free(a);
        mg_free(b);
    }
}

static void random_masks_have_the_bits_of_ref(void **state)
{
    (void)state;
    mg_error err;
    for (int64_t s = 0; s < MG_ARRAY_COUNT(sizes); s++) {
        outputs o = make_outputs((size_t)((sizes[s] + 63) / 64) * 8);
        for (int64_t i = 0; i < target_count; i++) {
            mg_mt19937 mt;
            mg_mt19937_seed(&mt, 42);
            (void)mg_mt19937_word(&mt); /* start in the middle of the state */
            mg_bernoulli_args args = { &mt, (uint32_t)(0.3 * 0x1p24), sizes[s],
                                       (uint64_t *)o.data[i] };
            assert_ok(targets[i].device->mix->bernoulli(targets[i].stream, &args, &err), &err);
            /* the next draw is in its place too */
            ((uint64_t *)o.data[i])[(sizes[s] - 1) / 64] ^= (uint64_t)mg_mt19937_word(&mt) << 32;
        }
        compare_outputs(&o, "bernoulli", sizes[s]);
    }
}

static void keys_order_as_magnitudes(void **state)
{
    (void)state;
    mg_error err;
    const float nan = NAN;
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        for (int64_t s = 0; s < MG_ARRAY_COUNT(sizes); s++) {
            tensors t = make_tensors(dtypes[d], sizes[s], 6);
            mg_dtype_convert((char *)t.data[1] +
                                 (size_t)(sizes[s] / 2) * (size_t)(mg_dtype_bits(dtypes[d]) / 8),
                             dtypes[d], &nan, MG_F32, 1);
            outputs o = make_outputs((size_t)sizes[s] * sizeof(uint64_t));
            for (int64_t i = 0; i < target_count; i++) {
                mg_keys_args args = { input_of(&t, 0), input_of(&t, 1), dtypes[d],
                                      s % 2 == 0,      sizes[s],        (uint64_t *)o.data[i] };
                assert_ok(targets[i].device->mix->keys(targets[i].stream, &args, &err), &err);
                uint64_t middle = args.items[sizes[s] / 2];
                assert_int_equal(middle >> 32, s % 2 == 0 ? 0x803fffffu : 0x7fc00000u);
                assert_int_equal(middle & UINT32_MAX, sizes[s] / 2);
            }
            compare_outputs(&o, "keys", sizes[s]);
            free_tensors(&t);
        }
    }
}

static void nan_and_infinity_are_found_everywhere(void **state)
{
    (void)state;
    mg_error err;
    const float bad[] = { NAN, INFINITY, -INFINITY };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        const int64_t count = 70001;
        tensors t = make_tensors(dtypes[d], count, 5);
        size_t bytes = (size_t)(mg_dtype_bits(dtypes[d]) / 8);
        for (int64_t i = 0; i < target_count; i++) {
            bool finite = false;
            mg_finite_args args = { input_of(&t, 0), count, &finite };
            assert_ok(targets[i].device->mix->finite(targets[i].stream, &args, &err), &err);
            assert_true(finite);
            const int64_t places[] = { 0, 17, 65536, count - 1 };
            for (int64_t p = 0; p < MG_ARRAY_COUNT(places); p++) {
                char saved[4];
                char *at = (char *)t.data[0] + (size_t)places[p] * bytes;
                memcpy(saved, at, bytes);
                mg_dtype_convert(at, dtypes[d], &bad[p % 3], MG_F32, 1);
                assert_ok(targets[i].device->mix->finite(targets[i].stream, &args, &err), &err);
                assert_false(finite);
                memcpy(at, saved, bytes);
            }
        }
        free_tensors(&t);
    }
}

static void counter_masks_are_nested_in_density(void **state)
{
    (void)state;
    mg_error err;
    const int64_t count = 4096;
    float base[4096] = { 0.0f };
    float ones[4096];
    float low[4096];
    float high[4096];
    for (int64_t i = 0; i < count; i++) {
        ones[i] = 1.0f;
    }
    for (int64_t i = 0; i < target_count; i++) {
        int64_t kept = 0;
        for (int pass = 0; pass < 2; pass++) {
            mg_mix_source source;
            memset(&source, 0, sizeof(source));
            source.x.data = ones;
            source.x.dtype = MG_F32;
            source.weight = 1.0;
            source.mask = MG_MASK_COUNTER;
            assert_true(mg_mix_counter_below(pass == 0 ? 0.3 : 0.5, &source.below));
            mg_task_args args;
            memset(&args, 0, sizeof(args));
            args.out = pass == 0 ? low : high;
            args.out_dtype = MG_F32;
            args.work = MG_F32;
            args.base.data = base;
            args.base.dtype = MG_F32;
            args.sources = &source;
            args.source_count = 1;
            args.lambda = 1.0;
            args.key = mg_rng_make(1, MG_STREAM_MASK).key;
            args.count = count;
            assert_ok(targets[i].device->mix->task(targets[i].stream, &args, &err), &err);
        }
        for (int64_t e = 0; e < count; e++) {
            assert_true(low[e] <= high[e]);
            kept += low[e] > 0.0f;
        }
        assert_in_range(kept, 1100, 1360); /* 0.3 of 4096 is 1229, give or take 4.5 sigma */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_have_the_bits_of_ref),
        cmocka_unit_test(blends_have_the_bits_of_ref),
        cmocka_unit_test(scales_have_the_bits_of_ref),
        cmocka_unit_test(task_arithmetic_has_the_bits_of_ref),
        cmocka_unit_test(sums_of_differences_have_the_bits_of_ref),
        cmocka_unit_test(ranks_have_the_bits_of_ref),
        cmocka_unit_test(masks_by_rank_in_rows_have_the_bits_of_ref),
        cmocka_unit_test(angles_have_the_bits_of_ref),
        cmocka_unit_test(products_of_matrices_have_the_bits_of_ref),
        cmocka_unit_test(random_masks_have_the_bits_of_ref),
        cmocka_unit_test(keys_order_as_magnitudes),
        cmocka_unit_test(nan_and_infinity_are_found_everywhere),
        cmocka_unit_test(counter_masks_are_nested_in_density),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
