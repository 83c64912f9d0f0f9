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

/* Runs one of the element-wise operations on either device. */
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
                           0.3,
                           0.7,
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
        sources[i].mask = (params[1] & 16) != 0 ? MG_MASK_COUNTER : MG_MASK_ALL;
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
        cmocka_unit_test(sums_are_those_of_the_cpu_but_for_the_last_place),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
