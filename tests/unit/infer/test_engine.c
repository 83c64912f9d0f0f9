/* tests/unit/infer/test_engine.c - answers and scores, whatever the batch, the chunks, the order.
 */
#include "unit/model/tiny.h"

#include <math.h>

#include "base/pool.h"
#include "infer/engine.h"

#define REQUESTS 9
#define NEW_TOKENS 12

typedef struct answer {
    int32_t ids[64];
    int64_t count;
    mg_finish finish;
    int64_t nonfinite_at;
    int64_t calls;
} answer;

typedef struct fixture {
    mg_model *model;
    mg_stream *stream;
    int32_t ids[REQUESTS][TINY_POSITIONS];
    mg_generate_request requests[REQUESTS];
    answer answers[REQUESTS];
    int64_t cancel_after;
    int64_t done;
} fixture;

static void open_fixture(fixture *f, const mg_device *device)
{
    memset(f, 0, sizeof(*f));
    f->model = tiny_model(device, &f->stream);
    uint32_t x = 7;
    for (int64_t i = 0; i < REQUESTS; i++) {
        for (int64_t k = 0; k < TINY_POSITIONS; k++) {
            x = x * 1664525u + 1013904223u;
            f->ids[i][k] = (int32_t)((x >> 8) % TINY_VOCAB);
        }
        f->requests[i].ids = f->ids[i];
        f->requests[i].id_count = 1 + (i * 7) % 31;
        f->requests[i].max_new_tokens = NEW_TOKENS;
        f->requests[i].ignore_eos = true;
    }
}

static void close_fixture(fixture *f)
{
    mg_model_device(f->model)->stream_destroy(f->stream);
    mg_model_destroy(f->model);
}

static bool keep_in_array(void *context, int64_t index, const mg_generation *result)
{
    answer *a = (answer *)context + index;
    a->calls++;
    a->count = result->id_count;
    a->finish = result->finish;
    a->nonfinite_at = result->nonfinite_at;
    assert_true(result->id_count <= 64);
    memcpy(a->ids, result->ids, (size_t)result->id_count * sizeof(int32_t));
    return true;
}

/* An engine of these options gives the answers wanted. */
static void assert_answers(mg_model *model, const mg_engine_options *options,
                           const mg_generate_request *requests, const answer *wanted, int64_t count)
{
    mg_error err;
    mg_engine *engine = NULL;
    answer *seen = mg_new_array(answer, count);
    assert_ok(mg_engine_create(model, NULL, NULL, options, &engine, &err), &err);
    assert_ok(mg_engine_generate(engine, requests, count, keep_in_array, seen, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        assert_memory_equal(&wanted[i], &seen[i], sizeof(answer));
    }
    mg_engine_destroy(engine);
    mg_free(seen);
}

static bool keep_answer(void *context, int64_t index, const mg_generation *result)
{
    fixture *f = (fixture *)context;
    (void)keep_in_array(f->answers, index, result);
    f->done++;
    return f->cancel_after == 0 || f->done < f->cancel_after;
}

typedef struct counted {
    int64_t answers;
    int64_t tokens;
} counted;

static bool count_answer(void *context, int64_t index, const mg_generation *result)
{
    (void)index;
    counted *seen = (counted *)context;
    seen->answers++;
    seen->tokens += result->id_count;
    return true;
}

static mg_status generate(fixture *f, const mg_generate_request *requests, int64_t count,
                          mg_engine_options options, mg_pool *pool, mg_error *err)
{
    mg_engine *engine = NULL;
    memset(f->answers, 0, sizeof(f->answers));
    f->done = 0;
    MG_TRY(mg_engine_create(f->model, NULL, pool, &options, &engine, err));
    mg_status status = mg_engine_generate(engine, requests, count, keep_answer, f, err);
    mg_engine_destroy(engine);
    return status;
}

static void answers_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    static const mg_engine_options choices[] = { { 1, 0, 1, 0 },   { 2, 0, 3, 0 },
                                                 { 3, 0, 64, 0 },  { 9, 0, 7, 0 },
                                                 { 0, 0, 512, 0 }, { 100, 0, 100, 0 } };
    const mg_device *devices[] = { mg_device_ref(), mg_device_cpu(MG_ISA_AVX2),
                                   mg_device_cpu(MG_ISA_AVX512) };
    answer first[REQUESTS];
    mg_pool *pool = mg_pool_create(3);
    for (int64_t d = 0; d < MG_ARRAY_COUNT(devices); d++) {
        fixture f;
        mg_error err;
        open_fixture(&f, devices[d]);
        for (int64_t r = 0; r < REQUESTS; r++) { /* also where draws come from the logits' bits */
            f.requests[r].sampling.temperature = r % 2 == 0 ? 0.0 : 1.5;
            f.requests[r].sampling.seed = 42;
        }
        for (int64_t c = 0; c < MG_ARRAY_COUNT(choices); c++) {
            assert_ok(generate(&f, f.requests, REQUESTS, choices[c], c % 2 ? pool : NULL, &err),
                      &err);
            for (int64_t i = 0; i < REQUESTS; i++) {
                assert_int_equal(f.answers[i].calls, 1);
                assert_int_equal(f.answers[i].count, NEW_TOKENS);
                assert_int_equal(f.answers[i].finish, MG_FINISH_LENGTH);
            }
            if (d == 0 && c == 0) {
                memcpy(first, f.answers, sizeof(first));
            }
            assert_memory_equal(first, f.answers, sizeof(first));
        }
        close_fixture(&f);
    }
    mg_pool_destroy(pool);
}

/* Where steps are started before the last one was looked at: ends by id, by length and not at all,
 * texts that come in as others end, and a pool that is too small. */
static void steps_ahead_change_no_answer(void **state)
{
    (void)state;
    enum { MANY = 60 };
    static const mg_engine_options choices[] = {
        { 0, 0, 0, 0 }, { 3, 0, 16, 0 }, { 7, 0, 64, 120 }, { 40, 0, 16, 200 }
    };
    fixture plain;
    fixture ahead;
    mg_error err;
    answer *wanted = mg_new_array(answer, MANY);
    mg_generate_request requests[MANY];
    open_fixture(&plain, mg_device_cpu(MG_ISA_AVX2));
    open_fixture(&ahead, mg_device_ref());
    for (int64_t i = 0; i < MANY; i++) {
        requests[i] = plain.requests[i % REQUESTS];
        requests[i].id_count = 1 + i * 5 % 33;
        requests[i].max_new_tokens = 1 + i * 7 % 15;
        requests[i].ignore_eos = i % 3 == 0;
    }
    assert_ok(generate(&plain, requests, 1, choices[0], NULL, &err), &err);
    int32_t often = plain.answers[0].ids[0];
    plain.model->config.eos_ids[0] = often;
    plain.model->config.eos_ids[1] = TINY_VOCAB - 3;
    plain.model->config.eos_count = 2;
    memcpy(ahead.model->config.eos_ids, plain.model->config.eos_ids, 2 * sizeof(int32_t));
    ahead.model->config.eos_count = 2;
    assert_true(mg_model_can_step(ahead.model, MANY));
    assert_false(mg_model_can_step(plain.model, MANY));
    int64_t ended = 0;
    for (int64_t i = 0; i < MANY; i++) {
        assert_ok(generate(&plain, &requests[i], 1, choices[0], NULL, &err), &err);
        wanted[i] = plain.answers[0];
        ended += wanted[i].finish == MG_FINISH_EOS ? 1 : 0;
    }
    assert_true(ended > 5 && ended < MANY);
    for (int64_t c = 0; c < MG_ARRAY_COUNT(choices); c++) {
        assert_answers(ahead.model, &choices[c], requests, wanted, MANY);
    }
    mg_free(wanted);
    close_fixture(&plain);
    close_fixture(&ahead);
}

/* Texts that take turns in a pool that holds few of them: some are parked and computed anew. */
static void a_small_pool_changes_no_answer(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    answer enough[REQUESTS];
    mg_engine_options options = { 9, 0, 16, 0 };
    open_fixture(&f, mg_device_ref());
    for (int64_t i = 0; i < REQUESTS; i++) { /* and some begin alike */
        memcpy(f.ids[i], f.ids[i % 3], (size_t)(10 * (i % 3)) * sizeof(int32_t));
    }
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    memcpy(enough, f.answers, sizeof(enough));
    for (options.cache_tokens = 1; options.cache_tokens < 400; options.cache_tokens += 37) {
        assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
        assert_memory_equal(enough, f.answers, sizeof(enough));
    }
    close_fixture(&f);
}

/* Texts that were parked leave their slots to texts that begin otherwise, and texts that begin like
 * one whose keys and values were given up do not wait for it. */
static void slots_of_parked_texts_serve_others(void **state)
{
    (void)state;
    enum { MANY = 40, LONGEST = 40 };
    fixture f;
    mg_error err;
    mg_generate_request requests[MANY];
    answer *wanted = mg_new_array(answer, MANY);
    int32_t *ids = mg_new_array(int32_t, MANY * LONGEST);
    open_fixture(&f, mg_device_ref());
    uint32_t x = 11;
    for (int64_t i = 0; i < MANY; i++) {
        for (int64_t k = 0; k < LONGEST; k++) {
            x = x * 1664525u + 1013904223u;
            ids[i * LONGEST + k] = (int32_t)((x >> 8) % TINY_VOCAB);
        }
        if (i % 2 == 1) { /* half of them begin like one of four */
            memcpy(ids + i * LONGEST, ids + i % 8 / 2 * LONGEST, 20 * sizeof(int32_t));
        }
        requests[i] = f.requests[0];
        requests[i].ids = ids + i * LONGEST;
        requests[i].id_count = 18 + i * 7 % 23;
        requests[i].max_new_tokens = 1 + i * 11 % 24;
    }
    mg_engine_options options = { 0, 0, 0, 0 };
    for (int64_t i = 0; i < MANY; i++) {
        assert_ok(generate(&f, &requests[i], 1, options, NULL, &err), &err);
        wanted[i] = f.answers[0];
    }
    options.batch_max = 6;
    for (options.cache_tokens = 64; options.cache_tokens < 260; options.cache_tokens += 12) {
        assert_answers(f.model, &options, requests, wanted, MANY);
    }
    mg_free(wanted);
    mg_free(ids);
    close_fixture(&f);
}

/* Three texts and room for two: when the short one has ended the third comes in beside the long one.
 */
static void texts_without_room_come_in_as_others_end(void **state)
{
    (void)state;
    enum { MANY = 3, LONG = 22, SHORT = 4 };
    fixture f;
    mg_error err;
    mg_engine *engine = NULL;
    mg_engine_options options = { MANY, 0, 64, 40 };
    answer seen[MANY] = { 0 };
    open_fixture(&f, mg_device_ref());
    for (int64_t i = 0; i < MANY; i++) {
        f.ids[i][0] = (int32_t)i; /* the order in which they come in */
        f.requests[i].id_count = 16;
        f.requests[i].max_new_tokens = i == 0 ? LONG : SHORT;
    }
    assert_ok(mg_engine_create(f.model, NULL, NULL, &options, &engine, &err), &err);
    assert_ok(mg_engine_generate(engine, f.requests, MANY, keep_in_array, seen, &err), &err);
    assert_in_range(mg_engine_stats_get(engine).decode_steps, LONG - 1, LONG + 1);
    mg_engine_destroy(engine);
    close_fixture(&f);
}

/* --- A device whose memory ends: allocations above a size, or the n-th one, fail. */

static mg_device narrow;
static size_t narrow_bytes;
static int64_t narrow_count; /* allocations until one fails; negative = none */

static mg_status narrow_alloc(const mg_device *device, size_t bytes, const char *what,
                              void **block_out, mg_error *err)
{
    *block_out = NULL;
    if (bytes > narrow_bytes || narrow_count-- == 0) {
        return mg_fail(err, MG_ERR_MEMORY, "no memory for %s", what);
    }
    return mg_device_ref()->alloc(device, bytes, what, block_out, err);
}

static void open_narrow(fixture *f)
{
    narrow = *mg_device_ref();
    narrow.alloc = narrow_alloc;
    narrow_bytes = SIZE_MAX;
    narrow_count = -1;
    open_fixture(f, &narrow);
}

static void short_memory_makes_batches_smaller_and_changes_no_answer(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    answer enough[REQUESTS];
    mg_engine_options options = { 9, 0, 256, 0 };
    open_narrow(&f);
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    memcpy(enough, f.answers, sizeof(enough));
    int64_t tight = 0;
    mg_status status = MG_OK;
    for (narrow_bytes = (size_t)1 << 20; status == MG_OK && narrow_bytes > 16; narrow_bytes /= 2) {
        status = generate(&f, f.requests, REQUESTS, options, NULL, &err);
        if (status == MG_OK) {
            assert_memory_equal(enough, f.answers, sizeof(enough));
            tight++;
        }
    }
    assert_int_equal(status, MG_ERR_MEMORY); /* in the end not even one text fits */
    assert_non_null(strstr(err.message, "no memory"));
    assert_true(tight > 4);
    narrow_bytes = SIZE_MAX;
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    assert_memory_equal(enough, f.answers, sizeof(enough));
    close_fixture(&f);
}

static void any_allocation_may_fail_once(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    answer enough[REQUESTS];
    mg_engine_options options = { 4, 0, 32, 0 };
    open_narrow(&f);
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    memcpy(enough, f.answers, sizeof(enough));
    for (int64_t n = 0; n < 40; n++) {
        narrow_count = n;
        assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
        assert_memory_equal(enough, f.answers, sizeof(enough));
    }
    close_fixture(&f);
}

static void check_shared_prefix(const mg_device *device)
{
    fixture f;
    mg_error err;
    answer alone[REQUESTS];
    mg_engine_options options = { 4, 0, 16, 0 };
    open_fixture(&f, device);
    for (int64_t i = 0; i < REQUESTS; i++) {
        memcpy(f.ids[i], f.ids[0], 20 * sizeof(int32_t));
        f.requests[i].id_count = 21 + i;
    }
    for (int64_t i = 0; i < REQUESTS; i++) {
        assert_ok(generate(&f, &f.requests[i], 1, options, NULL, &err), &err);
        alone[i] = f.answers[0];
    }
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    assert_memory_equal(alone, f.answers, sizeof(alone));
    close_fixture(&f);
}

static void shared_prefix_changes_nothing(void **state)
{
    (void)state;
    check_shared_prefix(mg_device_ref()); /* whose texts have blocks in common */
    check_shared_prefix(mg_device_cpu(MG_ISA_AVX512));
}

/* Two groups with beginnings of their own, in mixed order, and a longer one within the first. */
static void check_groups(const mg_device *device)
{
    fixture f;
    mg_error err;
    answer alone[REQUESTS];
    static const mg_engine_options choices[] = { { 0, 0, 512, 0 },
                                                 { 3, 0, 7, 0 },
                                                 { 1, 0, 64, 0 } };
    mg_engine_options single = { 1, 0, 0, 0 };
    open_fixture(&f, device);
    for (int64_t i = 0; i < REQUESTS; i++) {
        memcpy(f.ids[i], f.ids[i % 2], 20 * sizeof(int32_t));
        f.requests[i].id_count = 20 + 1;
        f.requests[i].max_new_tokens = 4;
    }
    for (int64_t i = 0; i < 6; i += 2) { /* 0, 2 and 4 go on together */
        memcpy(f.ids[i], f.ids[0], 40 * sizeof(int32_t));
        f.requests[i].id_count = 40 + 1;
        f.ids[i][40] = (int32_t)i;
    }
    for (int64_t i = 0; i < REQUESTS; i++) {
        assert_ok(generate(&f, &f.requests[i], 1, single, NULL, &err), &err);
        alone[i] = f.answers[0];
    }
    for (int64_t c = 0; c < MG_ARRAY_COUNT(choices); c++) {
        mg_engine *engine = NULL;
        memset(f.answers, 0, sizeof(f.answers));
        assert_ok(mg_engine_create(f.model, NULL, NULL, &choices[c], &engine, &err), &err);
        assert_ok(mg_engine_generate(engine, f.requests, REQUESTS, keep_answer, &f, &err), &err);
        assert_memory_equal(alone, f.answers, sizeof(alone));
        /* Both beginnings, what follows the first in three texts, and the last token of each; where
         * passes are short, a text may come in the middle of another's and not wait for its end. */
        int64_t once = 20 + 20 + 20 + REQUESTS;
        int64_t tokens = mg_engine_stats_get(engine).prefill_tokens;
        assert_true(tokens == once || (c == 1 && tokens > once && tokens < once + 30));
        mg_engine_destroy(engine);
    }
    close_fixture(&f);
}

static void each_group_computes_its_prefix_once(void **state)
{
    (void)state;
    check_groups(mg_device_ref());
    check_groups(mg_device_cpu(MG_ISA_AVX512));
}

/* Texts of very unequal length: as one ends the next comes in, and no row is spent on the dead. */
static void slots_stay_full_while_requests_wait(void **state)
{
    (void)state;
    enum { MANY = 250, SLOTS = 8 };
    fixture f;
    mg_error err;
    mg_engine *engine = NULL;
    mg_engine_options options = { SLOTS, 0, 16, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    mg_generate_request requests[MANY];
    counted seen = { 0, 0 };
    int64_t tokens = 0;
    for (int64_t i = 0; i < MANY; i++) {
        requests[i] = f.requests[i % REQUESTS];
        requests[i].max_new_tokens = 1 + i * 7 % 23;
        tokens += requests[i].max_new_tokens;
    }
    assert_ok(mg_engine_create(f.model, NULL, NULL, &options, &engine, &err), &err);
    assert_ok(mg_engine_generate(engine, requests, MANY, count_answer, &seen, &err), &err);
    mg_engine_stats stats = mg_engine_stats_get(engine);
    assert_int_equal(seen.answers, MANY);
    assert_int_equal(seen.tokens, tokens);
    assert_int_equal(stats.decode_tokens, tokens - MANY); /* the first comes from the prompt */
    assert_true(stats.decode_tokens > stats.decode_steps * SLOTS * 8 / 10);
    mg_engine_destroy(engine);
    close_fixture(&f);
}

static void long_prompt_is_cut_on_the_left(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    answer whole;
    mg_engine_options options = { 0, 32, 0, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    f.requests[0].ids = f.ids[0] + TINY_POSITIONS - (32 - NEW_TOKENS);
    f.requests[0].id_count = 32 - NEW_TOKENS;
    assert_ok(generate(&f, f.requests, 1, options, NULL, &err), &err);
    whole = f.answers[0];
    f.requests[0].ids = f.ids[0];
    f.requests[0].id_count = TINY_POSITIONS;
    assert_ok(generate(&f, f.requests, 1, options, NULL, &err), &err);
    assert_memory_equal(&whole, &f.answers[0], sizeof(whole));
    /* More tokens wanted than positions: the prompt stays, the answer ends where the room does. */
    f.requests[0].id_count = 30;
    f.requests[0].max_new_tokens = 1000;
    assert_ok(generate(&f, f.requests, 1, options, NULL, &err), &err);
    assert_int_equal(f.answers[0].count, 2);
    assert_int_equal(f.answers[0].finish, MG_FINISH_LENGTH);
    close_fixture(&f);
}

static void eos_ends_an_answer_and_is_left_out(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    assert_ok(generate(&f, f.requests, 1, options, NULL, &err), &err);
    answer open = f.answers[0];
    int64_t at = 0; /* the first occurrence of the token that will be EOS */
    while (open.ids[at] != open.ids[4]) {
        at++;
    }
    f.model->config.eos_ids[0] = TINY_VOCAB - 1;
    f.model->config.eos_ids[1] = open.ids[4];
    f.model->config.eos_count = 2;
    f.requests[0].ignore_eos = false;
    assert_ok(generate(&f, f.requests, 1, options, NULL, &err), &err);
    assert_int_equal(f.answers[0].finish, MG_FINISH_EOS);
    assert_int_equal(f.answers[0].count, at);
    f.requests[0].ignore_eos = true;
    assert_ok(generate(&f, f.requests, 1, options, NULL, &err), &err);
    assert_int_equal(f.answers[0].count, NEW_TOKENS);
    close_fixture(&f);
}

/* One embedding row is infinite: only the texts that hold its token fail. */
static void logits_that_are_not_finite_end_one_request(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f, mg_device_ref());
    int32_t poison = TINY_VOCAB - 2;
    for (int64_t i = 0; i < REQUESTS; i++) {
        for (int64_t k = 0; k < TINY_POSITIONS; k++) {
            f.ids[i][k] = f.ids[i][k] == poison ? 0 : f.ids[i][k];
        }
    }
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    answer healthy[REQUESTS];
    memcpy(healthy, f.answers, sizeof(healthy));
    float row[16];
    for (int64_t k = 0; k < 16; k++) {
        row[k] = INFINITY;
    }
    mg_pack_args pack = { f.model->embedding.weight, poison, 1, row, MG_F32 };
    assert_ok(f.model->ops->pack(f.stream, &pack, &err), &err);
    f.ids[3][2] = poison;
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    for (int64_t i = 0; i < REQUESTS; i++) {
        bool meets = i == 3;
        for (int64_t k = 0; k < healthy[i].count; k++) {
            meets = meets || healthy[i].ids[k] == poison;
        }
        if (i == 3) {
            assert_int_equal(f.answers[i].finish, MG_FINISH_FAILED);
            assert_int_equal(f.answers[i].nonfinite_at, 0);
        } else if (!meets) {
            assert_memory_equal(&f.answers[i], &healthy[i], sizeof(answer));
        }
    }
    close_fixture(&f);
}

static void callback_can_cancel(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine_options options = { 2, 0, 0, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    f.cancel_after = 3;
    assert_status(generate(&f, f.requests, REQUESTS, options, NULL, &err), MG_ERR_INTERRUPTED);
    assert_int_equal(f.done, 3);
    close_fixture(&f);
}

static bool count_down(void *context)
{
    int64_t *left = (int64_t *)context;
    return (*left)-- == 0;
}

static void watcher_can_stop_between_passes(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine *engine = NULL;
    int64_t passes = 5;
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    assert_ok(mg_engine_create(f.model, NULL, NULL, NULL, &engine, &err), &err);
    mg_engine_stop_when(engine, count_down, &passes);
    assert_status(mg_engine_generate(engine, f.requests, REQUESTS, keep_answer, &f, &err),
                  MG_ERR_INTERRUPTED);
    assert_int_equal(f.done, 0);
    mg_engine_stop_when(engine, NULL, NULL);
    assert_ok(mg_engine_generate(engine, f.requests, REQUESTS, keep_answer, &f, &err), &err);
    assert_int_equal(f.done, REQUESTS);
    mg_engine_destroy(engine);
    close_fixture(&f);
}

static void no_requests_are_no_work(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    assert_ok(generate(&f, f.requests, 0, options, NULL, &err), &err);
    assert_int_equal(f.done, 0);
    close_fixture(&f);
}

static void ids_outside_the_vocabulary_are_refused(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    f.requests[2].id_count = 5;
    f.ids[2][4] = TINY_VOCAB;
    assert_status(generate(&f, f.requests, REQUESTS, options, NULL, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "request 2"));
    close_fixture(&f);
}

static void memory_failures_are_errors_not_crashes(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine_options options = { 2, 0, 8, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    int64_t failures = 0;
    for (int64_t n = 1; n < 100; n++) { /* smaller batches survive some of them */
        mg_memory_fail_at(n);
        mg_status status = generate(&f, f.requests, REQUESTS, options, NULL, &err);
        mg_memory_fail_at(0);
        assert_true(status == MG_OK || status == MG_ERR_MEMORY);
        failures += status != MG_OK ? 1 : 0;
    }
    assert_true(failures > 0);
    close_fixture(&f);
}

static void engine_serves_calls_of_any_shape_in_turn(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine *engine = NULL;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f, mg_device_cpu(MG_ISA_AVX512));
    assert_ok(generate(&f, f.requests, REQUESTS, options, NULL, &err), &err);
    answer first[REQUESTS];
    memcpy(first, f.answers, sizeof(first));
    assert_ok(mg_engine_create(f.model, NULL, NULL, &options, &engine, &err), &err);
    static const int64_t counts[] = { 1, REQUESTS, 3, REQUESTS };
    for (int64_t c = 0; c < MG_ARRAY_COUNT(counts); c++) {
        memset(f.answers, 0, sizeof(f.answers));
        assert_ok(mg_engine_generate(engine, f.requests, counts[c], keep_answer, &f, &err), &err);
        assert_memory_equal(first, f.answers, (size_t)counts[c] * sizeof(answer));
    }
    mg_engine_stats stats = mg_engine_stats_get(engine);
    assert_true(stats.prefill_tokens > 0 && stats.decode_tokens > 0 && stats.peak_bytes > 0);
    mg_engine_stats_reset(engine);
    assert_int_equal(mg_engine_stats_get(engine).decode_tokens, 0);
    mg_engine_destroy(engine);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_do_not_depend_on_the_batch),
        cmocka_unit_test(steps_ahead_change_no_answer),
        cmocka_unit_test(a_small_pool_changes_no_answer),
        cmocka_unit_test(slots_of_parked_texts_serve_others),
        cmocka_unit_test(texts_without_room_come_in_as_others_end),
        cmocka_unit_test(short_memory_makes_batches_smaller_and_changes_no_answer),
        cmocka_unit_test(any_allocation_may_fail_once),
        cmocka_unit_test(shared_prefix_changes_nothing),
        cmocka_unit_test(each_group_computes_its_prefix_once),
        cmocka_unit_test(slots_stay_full_while_requests_wait),
        cmocka_unit_test(long_prompt_is_cut_on_the_left),
        cmocka_unit_test(eos_ends_an_answer_and_is_left_out),
        cmocka_unit_test(logits_that_are_not_finite_end_one_request),
        cmocka_unit_test(callback_can_cancel),
        cmocka_unit_test(watcher_can_stop_between_passes),
        cmocka_unit_test(no_requests_are_no_work),
        cmocka_unit_test(ids_outside_the_vocabulary_are_refused),
        cmocka_unit_test(memory_failures_are_errors_not_crashes),
        cmocka_unit_test(engine_serves_calls_of_any_shape_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
