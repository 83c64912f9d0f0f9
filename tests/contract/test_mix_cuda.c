/* tests/contract/test_mix_cuda.c - the operations of compute/ops_mix.h on a card, against ref.
 *
 * Element-wise results and masks must have ref's bits; sums over a tensor may differ in the last
 * place.  Skipped, visibly, where there is no card. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "compute/cuda_device.h"
#include "compute/ops_mix.h"

#define SOURCES 5

static const mg_device *card;
static mg_stream *stream;
static mg_stream *ref_stream;

static int set_up(void **state)
{
    (void)state;
    mg_error err;
    const char *why;
    assert_ok(mg_device_ref()->stream_create(mg_device_ref(), NULL, &ref_stream, &err), &err);
    if (mg_cuda_count(&why) == 0) {
        print_message("SKIPPED: no card to test: %s\n", why);
        return 0;
    }
    assert_ok(mg_device_cuda(0, &card, &err), &err);
    assert_ok(card->stream_create(card, NULL, &stream, &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mg_device_ref()->stream_destroy(ref_stream);
    if (card != NULL) {
        card->stream_destroy(stream);
    }
    return 0;
}

static bool no_card(void)
{
    if (card == NULL) {
        skip();
    }
    return card == NULL;
}

/* A base and fine-tunes of it, in host and in card memory. */
typedef struct tensors {
    void *host[SOURCES + 1];
    void *device[SOURCES + 1];
    mg_dtype dtype;
    int64_t count;
    size_t bytes;
} tensors;

static void *upload(const void *from, size_t bytes)
{
    mg_error err;
    void *block;
    assert_ok(card->alloc(card, bytes, "test", &block, &err), &err);
    assert_ok(card->upload(stream, block, from, bytes, &err), &err);
    return block;
}

static tensors make_tensors(mg_dtype dtype, int64_t count)
{
    tensors t = { { NULL }, { NULL }, dtype, count, 0 };
    assert_true(mg_dtype_bytes(dtype, count, &t.bytes));
    mg_rng rng = mg_rng_make(11, MG_STREAM_ITEMS);
    float *base = mg_new_array(float, count);
    float *x = mg_new_array(float, count);
    for (int64_t i = 0; i < count; i++) {
        base[i] = i % 7 == 6 ? -0.0f : 0.02f * (float)mg_rng_normal(&rng);
    }
    for (int k = 0; k <= SOURCES; k++) {
        for (int64_t i = 0; i < count; i++) {
            float step = (float)(int)(20.0 * mg_rng_uniform(&rng) - 10.0) * 0x1p-12f;
            x[i] = base[i] + (k == 0       ? 0.0f
                              : i % 3 == 0 ? step
                                           : 0.002f * (float)mg_rng_normal(&rng));
        }
        t.host[k] = mg_new_array(char, (int64_t)t.bytes);
        mg_dtype_convert(t.host[k], dtype, x, MG_F32, count);
        t.device[k] = upload(t.host[k], t.bytes);
    }
    mg_free(base);
    mg_free(x);
    return t;
}

static void free_tensors(tensors *t)
{
    for (int k = 0; k <= SOURCES; k++) {
        mg_free(t->host[k]);
        card->free(card, t->device[k]);
    }
}

static mg_mix_input input_of(const tensors *t, int k, bool on_card)
{
    mg_mix_input input = { on_card ? t->device[k] : t->host[k], t->dtype };
    return input;
}

/* One set of bits of two in three elements, in host and in card memory. */
typedef struct mask_bits {
    uint64_t *host;
    void *device;
} mask_bits;

static mask_bits make_bits(int64_t count)
{
    int64_t words = (count + 63) / 64;
    mask_bits bits = { mg_new_array(uint64_t, words), NULL };
    mg_rng rng = mg_rng_make(5, MG_STREAM_ITEMS);
    for (int64_t e = 0; e < count; e++) {
        bits.host[e / 64] |= (uint64_t)(mg_rng_uniform(&rng) < 0.66) << (e % 64);
    }
    bits.device = upload(bits.host, (size_t)words * sizeof(uint64_t));
    return bits;
}

static void free_bits(mask_bits *bits)
{
    mg_free(bits->host);
    card->free(card, bits->device);
}

/* Runs one of the element-wise operations on either device. */
static uint64_t *test_bits[2]; /* of elementwise tests: on the host, on the card */

typedef mg_status run_function(const tensors *t, bool on_card, void *out, const int *params,
                               mg_error *err);

static void compare(const tensors *t, mg_dtype out_dtype, run_function *run, const int *params)
{
    mg_error err;
    size_t bytes = 0;
    assert_true(mg_dtype_bytes(out_dtype, t->count, &bytes));
    char *expected = mg_new_array(char, (int64_t)bytes);
    char *actual = mg_new_array(char, (int64_t)bytes);
    void *block = upload(actual, bytes);
    assert_ok(run(t, false, expected, params, &err), &err);
    assert_ok(run(t, true, block, params, &err), &err);
    assert_ok(card->download(stream, actual, block, bytes, &err), &err);
    for (size_t i = 0; i < bytes; i++) {
        if (expected[i] != actual[i]) {
            fail_msg("%s of %lld, params %d %d %d: byte %lld differs", mg_dtype_name(t->dtype),
                     (long long)t->count, params[0], params[1], params[2], (long long)i);
        }
    }
    card->free(card, block);
    mg_free(expected);
    mg_free(actual);
}

/* params: sources, divide, out dtype */
static mg_status run_average(const tensors *t, bool on_card, void *out, const int *params,
                             mg_error *err)
{
    static const double weights[] = { 0.3, -0.2, 0.7, 0.11, 0.5 };
    mg_mix_input inputs[SOURCES];
    double rounded[SOURCES];
    for (int i = 0; i < params[0]; i++) {
        inputs[i] = input_of(t, i + 1, on_card);
        rounded[i] = (double)(float)weights[i];
    }
    mg_average_args args = { out,       (mg_dtype)params[2], t->dtype, inputs,  rounded,
                             params[0], params[1] != 0,      1.25,     t->count };
    return on_card ? card->mix->average(stream, &args, err)
                   : mg_device_ref()->mix->average(ref_stream, &args, err);
}

static mg_status run_blend(const tensors *t, bool on_card, void *out, const int *params,
                           mg_error *err)
{
    mg_blend_args args = { out,
                           (mg_dtype)params[2],
                           t->dtype,
                           input_of(t, 0, on_card),
                           input_of(t, 1, on_card),
                           (double)0.3f,
                           (double)0.7f,
                           t->count };
    return on_card ? card->mix->blend(stream, &args, err)
                   : mg_device_ref()->mix->blend(ref_stream, &args, err);
}

/* params: sources, form (bits: consensus, normalize, lambda, wide, mask), out dtype */
static mg_status run_task(const tensors *t, bool on_card, void *out, const int *params,
                          mg_error *err)
{
    static const double weights[] = { 0.5, -0.25, 0.625, 0.125, 0.75 };
    mg_mix_source sources[SOURCES];
    mg_task_args args;
    memset(sources, 0, sizeof(sources));
    memset(&args, 0, sizeof(args));
    for (int i = 0; i < params[0]; i++) {
        sources[i].x = input_of(t, i + 1, on_card);
        sources[i].weight = weights[i];
        bool masked = (params[1] & 16) != 0;
        bool by_bits = masked && i == 1 && params[0] > 2;
        sources[i].mask = by_bits ? MG_MASK_BITS : masked ? MG_MASK_COUNTER : MG_MASK_ALL;
        sources[i].bits = test_bits[on_card];
        sources[i].counter_tensor = 12345;
        sources[i].counter_source = (uint32_t)i;
        sources[i].below = 0x6000u + (uint32_t)i * 0x1000u;
        sources[i].rescale = (params[1] & 16) != 0;
        sources[i].factor = 1.75;
    }
    args.out = out;
    args.out_dtype = (mg_dtype)params[2];
    args.work = t->dtype;
    args.wide = (params[1] & 8) != 0;
    args.base = input_of(t, 0, on_card);
    args.sources = sources;
    args.source_count = params[0];
    args.consensus = (params[1] & 1) != 0;
    args.normalize = (params[1] & 2) != 0;
    args.divisor = 0.875;
    args.lambda = (params[1] & 4) != 0 ? 0.6875 : 1.0;
    args.key = mg_rng_make(99, MG_STREAM_MASK).key;
    args.count = t->count;
    return on_card ? card->mix->task(stream, &args, err)
                   : mg_device_ref()->mix->task(ref_stream, &args, err);
}

static const mg_dtype dtypes[] = { MG_F32, MG_BF16, MG_F16 };
static const int64_t counts[] = { 1, 7, 64, 264, 1003, 70016 };

static void elementwise_merges_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    if (no_card()) {
        return;
    }
    for (int64_t d = 0; d < 3; d++) {
        for (int64_t c = 0; c < MG_ARRAY_COUNT(counts); c++) {
            tensors t = make_tensors(dtypes[d], counts[c]);
            mask_bits bits = make_bits(counts[c]);
            test_bits[0] = bits.host;
            test_bits[1] = (uint64_t *)bits.device;
            for (int sources = 1; sources <= SOURCES; sources++) {
                for (int form = 0; form < 32; form++) {
                    int params[] = { sources, form, (int)dtypes[d] };
                    compare(&t, dtypes[d], run_task, params);
                }
                int params[] = { sources, sources % 2, (int)dtypes[d] };
                compare(&t, dtypes[d], run_average, params);
            }
            int params[] = { 2, 0, (int)MG_F32 };
            compare(&t, MG_F32, run_blend, params);
            params[2] = (int)dtypes[d];
            compare(&t, dtypes[d], run_blend, params);
            free_bits(&bits);
            free_tensors(&t);
        }
    }
}

static void ranks_are_those_of_the_cpu(void **state)
{
    (void)state;
    if (no_card()) {
        return;
    }
    mg_error err;
    for (int64_t d = 0; d < 3; d++) {
        for (int64_t c = 0; c < MG_ARRAY_COUNT(counts); c++) {
            tensors t = make_tensors(dtypes[d], counts[c]);
            int64_t words = (t.count + 63) / 64;
            size_t bytes = (size_t)words * sizeof(uint64_t);
            uint64_t *expected = mg_new_array(uint64_t, words);
            uint64_t *actual = mg_new_array(uint64_t, words);
            for (int form = 0; form < 6; form++) {
                int64_t first = form / 2 == 2 ? t.count / 5 : 0;
                int64_t kept = form / 2 == 1 ? t.count : t.count / 2;
                void *block = upload(expected, bytes);
                mg_rank_args args = { input_of(&t, 0, false),
                                      input_of(&t, 1, false),
                                      dtypes[d],
                                      form % 2 == 0,
                                      first,
                                      kept,
                                      t.count,
                                      expected };
                assert_ok(mg_device_ref()->mix->rank(ref_stream, &args, &err), &err);
                args.base = input_of(&t, 0, true);
                args.x = input_of(&t, 1, true);
                args.bits = (uint64_t *)block;
                assert_ok(card->mix->rank(stream, &args, &err), &err);
                assert_ok(card->download(stream, actual, block, bytes, &err), &err);
                assert_memory_equal(actual, expected, bytes);
                card->free(card, block);
            }
            mg_free(expected);
            mg_free(actual);
            free_tensors(&t);
        }
    }
}

static void sums_of_differences_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    if (no_card()) {
        return;
    }
    mg_error err;
    static const int64_t sizes[] = { 1, 7, 15, 31, 64, 264, 1003, 8192, 70016, 300007 };
    for (int64_t d = 0; d < 3; d++) {
        for (int64_t c = 0; c < MG_ARRAY_COUNT(sizes); c++) {
            tensors t = make_tensors(dtypes[d], sizes[c]);
            mask_bits bits = make_bits(sizes[c]);
            for (int form = 0; form < 4; form++) {
                double expected[2];
                double actual[2];
                mg_delta_sum_args args;
                memset(&args, 0, sizeof(args));
                args.base = input_of(&t, 0, false);
                args.x = input_of(&t, 1, false);
                args.work = dtypes[d];
                args.half = form % 2 != 0;
                args.bits = form < 2 ? bits.host : NULL;
                args.count = sizes[c];
                args.all_out = &expected[0];
                args.kept_out = &expected[1];
                args.counter_tensor = 5;
                args.counter_source = 2;
                args.below = 0x7000;
                args.key = mg_rng_make(1, MG_STREAM_MASK).key;
                assert_ok(mg_device_ref()->mix->delta_sum(ref_stream, &args, &err), &err);
                args.base = input_of(&t, 0, true);
                args.x = input_of(&t, 1, true);
                args.bits = form < 2 ? (const uint64_t *)bits.device : NULL;
                args.all_out = &actual[0];
                args.kept_out = &actual[1];
                assert_ok(card->mix->delta_sum(stream, &args, &err), &err);
                assert_memory_equal(actual, expected, sizeof(expected));
            }
            free_bits(&bits);
            free_tensors(&t);
        }
    }
}

/* length 0 = one row. */
static void compare_row_masks(const tensors *t, int64_t length, int64_t stride)
{
    mg_error err;
    length = length > 0 ? length : t->count;
    int64_t count = t->count / (length * stride) * length * stride;
    size_t bytes = (size_t)((count + 63) / 64) * sizeof(uint64_t);
    if (count == 0) {
        return;
    }
    uint32_t *below = mg_new_array(uint32_t, length);
    uint64_t *expected = mg_new_array(uint64_t, (count + 63) / 64);
    uint64_t *actual = mg_new_array(uint64_t, (count + 63) / 64);
    for (int64_t q = 0; q < length; q++) {
        below[q] = q % 7 == 6 ? 0x10000 : (uint32_t)(0xffff * (q + 1) / (length + 1));
    }
    void *block = upload(expected, bytes);
    mg_row_mask_args args;
    memset(&args, 0, sizeof(args));
    args.base = input_of(t, 0, false);
    args.x = input_of(t, 1, false);
    args.work = t->dtype;
    args.length = length;
    args.stride = stride;
    args.below = below;
    args.counter_tensor = 77;
    args.counter_source = 1;
    args.key = mg_rng_make(3, MG_STREAM_MASK).key;
    args.count = count;
    args.bits = expected;
    assert_ok(mg_device_ref()->mix->row_mask(ref_stream, &args, &err), &err);
    args.base = input_of(t, 0, true);
    args.x = input_of(t, 1, true);
    args.bits = (uint64_t *)block;
    assert_ok(card->mix->row_mask(stream, &args, &err), &err);
    assert_ok(card->download(stream, actual, block, bytes, &err), &err);
    assert_memory_equal(actual, expected, bytes);
    card->free(card, block);
    mg_free(below);
    mg_free(expected);
    mg_free(actual);
}

/* Rows shorter than a warp, of odd length, of many stretches, across planes, and one that is too
 * long for shared memory. */
static void masks_by_rank_in_rows_are_those_of_the_cpu(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = { { 1, 1 },    { 7, 1 },   { 33, 1 },
                                         { 1003, 1 }, { 64, 40 }, { 0, 1 } };
    if (no_card()) {
        return;
    }
    for (int64_t d = 0; d < 3; d++) {
        for (int64_t c = 0; c < MG_ARRAY_COUNT(counts); c++) {
            tensors t = make_tensors(dtypes[d], counts[c]);
            int64_t first = counts[c] > 1003 ? 2 : 0; /* not tens of thousands of tiny rows */
            for (int64_t s = first; s < MG_ARRAY_COUNT(shapes); s++) {
                compare_row_masks(&t, shapes[s][0], shapes[s][1]);
            }
            free_tensors(&t);
        }
    }
}

/* A task of one source with weight 1, on the card. */
static mg_task_args task_of(const tensors *t, mg_mix_source *source, void *out)
{
    mg_task_args args;
    memset(&args, 0, sizeof(args));
    memset(source, 0, sizeof(*source));
    source->x = input_of(t, 1, true);
    source->weight = 1.0;
    args.out = out;
    args.out_dtype = t->dtype;
    args.work = t->dtype;
    args.wide = true;
    args.base = input_of(t, 0, true);
    args.sources = source;
    args.source_count = 1;
    args.divisor = 1.0;
    args.lambda = 1.0;
    args.count = t->count;
    return args;
}

static bool flag_of(const void *flag)
{
    mg_error err;
    uint32_t value = 7;
    assert_ok(card->download(stream, &value, flag, sizeof(value), &err), &err);
    assert_true(value < 2);
    return value == 1;
}

/* By the fast and by the general kernel; finite values that become infinite when they are stored
 * count, and nothing is told to a flag that is not watched any more. */
static void results_that_are_not_finite_raise_the_flag(void **state)
{
    (void)state;
    if (no_card()) {
        return;
    }
    mg_error err;
    static const int64_t sizes[] = { 64, 4096, 1003 };
    const float huge = 3e38f;
    for (int64_t d = 0; d < 3; d++) {
        for (int64_t c = 0; c < 3; c++) {
            for (int bad = 0; bad < 3; bad++) {
                tensors t = make_tensors(dtypes[d], sizes[c]);
                mg_mix_source source;
                uint32_t zero = 0;
                void *flag = upload(&zero, sizeof(zero));
                void *out = upload(t.host[0], t.bytes);
                mg_task_args args = task_of(&t, &source, out);
                assert_ok(card->mix->watch(stream, (uint32_t *)flag, &err), &err);
                assert_ok(card->mix->task(stream, &args, &err), &err);
                assert_false(flag_of(flag));
                float x = bad == 0 ? NAN : bad == 1 ? -INFINITY : huge;
                size_t width = t.bytes / (size_t)t.count;
                size_t at = (size_t)(t.count - 1) * width;
                mg_dtype_convert((char *)t.host[1] + at, t.dtype, &x, MG_F32, 1);
                assert_ok(card->upload(stream, t.device[1], t.host[1], t.bytes, &err), &err);
                source.weight = 100.0;
                assert_ok(card->mix->task(stream, &args, &err), &err);
                assert_true(flag_of(flag));
                assert_ok(card->upload(stream, flag, &zero, sizeof(zero), &err), &err);
                mg_scale_args scale = {
                    out, t.dtype, t.dtype, input_of(&t, 1, true), 100.0, t.count
                };
                assert_ok(card->mix->scale(stream, &scale, &err), &err);
                assert_true(flag_of(flag));
                assert_ok(card->upload(stream, flag, &zero, sizeof(zero), &err), &err);
                assert_ok(card->mix->watch(stream, NULL, &err), &err);
                assert_ok(card->mix->scale(stream, &scale, &err), &err);
                assert_false(flag_of(flag));
                card->free(card, flag);
                card->free(card, out);
                free_tensors(&t);
            }
        }
    }
}

static void sums_are_those_of_the_cpu_but_for_the_last_place(void **state)
{
    (void)state;
    if (no_card()) {
        return;
    }
    mg_error err;
    tensors t = make_tensors(MG_BF16, 150001);
    double expected[3];
    double actual[3];
    mg_dot_args dot = { input_of(&t, 0, false), input_of(&t, 1, false), MG_BF16,     t.count,
                        &expected[0],           &expected[1],           &expected[2] };
    assert_ok(mg_device_ref()->mix->dot(ref_stream, &dot, &err), &err);
    mg_dot_args card_dot = { input_of(&t, 0, true),
                             input_of(&t, 1, true),
                             MG_BF16,
                             t.count,
                             &actual[0],
                             &actual[1],
                             &actual[2] };
    assert_ok(card->mix->dot(stream, &card_dot, &err), &err);
    for (int i = 0; i < 3; i++) {
        assert_true(fabs(actual[i] - expected[i]) <= 1e-12 * fabs(expected[i]));
    }
    bool finite = true;
    float bad = NAN;
    mg_finite_args check = { input_of(&t, 2, true), t.count, &finite };
    assert_ok(card->mix->finite(stream, &check, &err), &err);
    assert_true(finite);
    assert_ok(card->upload(stream, (char *)t.device[2] + 4096, &bad, sizeof(bad), &err), &err);
    assert_ok(card->mix->finite(stream, &check, &err), &err);
    assert_false(finite);
    free_tensors(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise_merges_have_the_bits_of_the_cpu),
        cmocka_unit_test(ranks_are_those_of_the_cpu),
        cmocka_unit_test(masks_by_rank_in_rows_are_those_of_the_cpu),
        cmocka_unit_test(sums_of_differences_have_the_bits_of_the_cpu),
        cmocka_unit_test(results_that_are_not_finite_raise_the_flag),
        cmocka_unit_test(sums_are_those_of_the_cpu_but_for_the_last_place),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
