/* tests/unit/infer/test_score.c - log-probabilities: shared contexts, chunks, cuts. */
#include "unit/model/tiny.h"

#include <math.h>

#include "infer/engine.h"

#define REQUESTS 12

typedef struct fixture {
    mg_model *model;
    mg_stream *stream;
    int32_t ids[4][64];
    mg_score_request requests[REQUESTS];
    double logprob[REQUESTS];
    float tokens[REQUESTS][16];
    bool greedy[REQUESTS];
    bool failed[REQUESTS];
    int64_t calls[REQUESTS];
} fixture;

static void open_fixture(fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->model = tiny_model(mg_device_cpu(MG_ISA_AVX512), &f->stream);
    uint32_t x = 99;
    for (int64_t i = 0; i < 4; i++) {
        for (int64_t k = 0; k < 64; k++) {
            x = x * 1664525u + 1013904223u;
            f->ids[i][k] = (int32_t)((x >> 8) % TINY_VOCAB);
        }
    }
    for (int64_t i = 0; i < REQUESTS; i++) { /* three contexts, four continuations of each */
        mg_score_request request = { f->ids[i % 3], 5 + 9 * (i % 3), f->ids[3] + 7 * (i / 3),
                                     1 + (i * 5) % 13 };
        f->requests[i] = request;
    }
}

static void close_fixture(fixture *f)
{
    mg_model_device(f->model)->stream_destroy(f->stream);
    mg_model_destroy(f->model);
}

static bool keep(void *context, int64_t index, const mg_score *result)
{
    fixture *f = (fixture *)context;
    f->calls[index]++;
    f->logprob[index] = result->logprob;
    f->greedy[index] = result->is_greedy;
    f->failed[index] = result->failed;
    memcpy(f->tokens[index], result->token_logprobs,
           (size_t)f->requests[index].continuation_count * sizeof(float));
    return true;
}

static void score(fixture *f, int64_t first, int64_t count, mg_engine_options options)
{
    mg_error err;
    mg_engine *engine = NULL;
    fixture part = *f;
    memcpy(part.requests, f->requests + first, (size_t)count * sizeof(mg_score_request));
    assert_ok(mg_engine_create(f->model, NULL, NULL, &options, &engine, &err), &err);
    assert_ok(mg_engine_score(engine, part.requests, count, keep, &part, &err), &err);
    mg_engine_destroy(engine);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(part.calls[i], f->calls[first + i] + 1);
        f->logprob[first + i] = part.logprob[i];
        f->greedy[first + i] = part.greedy[i];
        f->failed[first + i] = part.failed[i];
        memcpy(f->tokens[first + i], part.tokens[i], sizeof(part.tokens[i]));
    }
}

/* From the logits of one plain pass. */
static double plain_logprob(fixture *f, const mg_score_request *request, bool *greedy_out)
{
    mg_error err;
    int32_t tokens[128];
    int64_t rows[128];
    int64_t total = request->context_count + request->continuation_count;
    mg_kv_cache *cache = NULL;
    double sum = 0.0;
    memcpy(tokens, request->context, (size_t)request->context_count * sizeof(int32_t));
    memcpy(tokens + request->context_count, request->continuation,
           (size_t)request->continuation_count * sizeof(int32_t));
    for (int64_t i = 0; i < total; i++) {
        rows[i] = i;
    }
    float *logits = mg_new_array(float, total *TINY_VOCAB);
    mg_run run = { 0, 0, total - 1, 0 };
    assert_ok(mg_kv_cache_create(f->model, 1, total, 0, &cache, &err), &err);
    mg_forward_args args = { cache, tokens, total - 1, &run, 1, rows, total - 1, logits };
    assert_ok(mg_model_forward(f->model, &args, f->stream, &err), &err);
    *greedy_out = true;
    for (int64_t i = request->context_count - 1; i < total - 1; i++) {
        const float *row = logits + i * TINY_VOCAB;
        double mass = 0.0;
        for (int64_t v = 0; v < TINY_VOCAB; v++) {
            mass += exp((double)row[v]);
            *greedy_out = *greedy_out && row[v] <= row[tokens[i + 1]];
        }
        sum += (double)row[tokens[i + 1]] - log(mass);
    }
    mg_kv_cache_destroy(cache);
    mg_free(logits);
    return sum;
}

static void scores_are_the_log_softmax_of_a_plain_pass(void **state)
{
    (void)state;
    fixture f;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f);
    score(&f, 0, REQUESTS, options);
    for (int64_t i = 0; i < REQUESTS; i++) {
        bool greedy = false;
        double want = plain_logprob(&f, &f.requests[i], &greedy);
        double sum = 0.0;
        assert_true(fabs(f.logprob[i] - want) < 1e-4);
        assert_int_equal(f.greedy[i], greedy);
        assert_false(f.failed[i]);
        for (int64_t k = 0; k < f.requests[i].continuation_count; k++) {
            sum += (double)f.tokens[i][k];
        }
        assert_true(fabs(sum - f.logprob[i]) < 1e-9);
    }
    close_fixture(&f);
}

static void scores_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    static const mg_engine_options choices[] = { { 1, 0, 4, 0 }, { 2, 0, 1, 0 }, { 8, 0, 512, 0 } };
    fixture alone;
    mg_engine_options single = { 1, 0, 0, 0 };
    open_fixture(&alone);
    for (int64_t i = 0; i < REQUESTS; i++) {
        score(&alone, i, 1, single);
    }
    for (int64_t c = 0; c < MG_ARRAY_COUNT(choices); c++) {
        fixture f = alone;
        score(&f, 0, REQUESTS, choices[c]);
        assert_memory_equal(f.tokens, alone.tokens, sizeof(f.tokens));
        assert_memory_equal(f.logprob, alone.logprob, sizeof(f.logprob));
    }
    close_fixture(&alone);
}

/* Each text rotates by frequencies that follow its own length, so nothing may be shared. */
static void lengths_keep_their_own_rotation(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    fixture alone;
    mg_engine_options single = { 1, 64, 0, 0 };
    mg_engine_options together = { 2, 64, 7, 0 };
    open_fixture(&f);
    mg_model_destroy(f.model);
    mg_model_config config = tiny_config();
    config.rope.kind = MG_ROPE_DYNAMIC;
    config.rope.factor = 2.0;
    config.max_positions = 8;
    assert_ok(mg_model_create(&config, mg_device_cpu(MG_ISA_AVX512), MG_F32, &f.model, &err), &err);
    tiny_fill(f.model, f.stream);
    alone = f;
    for (int64_t i = 0; i < REQUESTS; i++) {
        score(&alone, i, 1, single);
    }
    score(&f, 0, REQUESTS, together);
    assert_memory_equal(f.tokens, alone.tokens, sizeof(f.tokens));
    close_fixture(&f);
}

static void equal_contexts_are_computed_once(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine *engine = NULL;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f);
    assert_ok(mg_engine_create(f.model, NULL, NULL, &options, &engine, &err), &err);
    int64_t inputs = 0; /* contexts once, and one token of them again for each further request */
    for (int64_t i = 0; i < REQUESTS; i++) {
        int64_t count = f.requests[i].continuation_count;
        inputs += count - 1;
        inputs += i < 3 ? f.requests[i].context_count : count > 1 ? 1 : 0;
    }
    assert_ok(mg_engine_score(engine, f.requests, REQUESTS, keep, &f, &err), &err);
    assert_int_equal(mg_engine_stats_get(engine).prefill_tokens, inputs);
    mg_engine_destroy(engine);
    close_fixture(&f);
}

static void choices_of_one_token_cost_one_pass(void **state)
{
    (void)state;
    fixture f;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f);
    for (int64_t i = 0; i < REQUESTS; i++) {
        f.requests[i].continuation_count = 1 + (i == 4);
    }
    fixture alone = f;
    for (int64_t i = 0; i < REQUESTS; i++) {
        score(&alone, i, 1, options);
    }
    score(&f, 0, REQUESTS, options);
    assert_memory_equal(f.tokens, alone.tokens, sizeof(f.tokens));
    assert_memory_equal(f.greedy, alone.greedy, sizeof(f.greedy));
    mg_error err;
    mg_engine *engine = NULL;
    assert_ok(mg_engine_create(f.model, NULL, NULL, &options, &engine, &err), &err);
    assert_ok(mg_engine_score(engine, f.requests, REQUESTS, keep, &f, &err), &err);
    assert_int_equal(mg_engine_stats_get(engine).prefill_tokens, 5 + 14 + 23 + 2);
    mg_engine_destroy(engine);
    close_fixture(&f);
}

static void long_context_is_cut_on_the_left(void **state)
{
    (void)state;
    fixture f;
    mg_engine_options options = { 0, 20, 0, 0 };
    open_fixture(&f);
    mg_score_request whole = { f.ids[0], 40, f.ids[3], 6 };
    mg_score_request cut = { f.ids[0] + 40 - 15, 15, f.ids[3], 6 }; /* 21 tokens, the last unseen */
    f.requests[0] = whole;
    f.requests[1] = cut;
    score(&f, 0, 2, options);
    assert_true(f.logprob[0] == f.logprob[1]);
    close_fixture(&f);
}

static void continuation_without_room_is_refused(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine *engine = NULL;
    mg_engine_options options = { 0, 5, 0, 0 };
    open_fixture(&f);
    f.requests[0].continuation_count = 6;
    assert_ok(mg_engine_create(f.model, NULL, NULL, &options, &engine, &err), &err);
    assert_status(mg_engine_score(engine, f.requests, 1, keep, &f, &err), MG_ERR_LIMIT);
    mg_engine_destroy(engine);
    close_fixture(&f);
}

static void empty_continuation_has_probability_one(void **state)
{
    (void)state;
    fixture f;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f);
    f.requests[0].continuation_count = 0;
    score(&f, 0, REQUESTS, options);
    assert_true(f.logprob[0] == 0.0);
    assert_true(f.greedy[0]);
    close_fixture(&f);
}

static void poisoned_context_fails_alone(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    mg_engine_options options = { 0, 0, 0, 0 };
    open_fixture(&f);
    float row[16];
    for (int64_t k = 0; k < 16; k++) {
        row[k] = NAN;
    }
    int32_t poison = TINY_VOCAB - 1;
    for (int64_t i = 0; i < 4; i++) {
        for (int64_t k = 0; k < 64; k++) {
            f.ids[i][k] = f.ids[i][k] == poison ? 0 : f.ids[i][k];
        }
    }
    f.ids[1][3] = poison;
    mg_pack_args pack = { f.model->embedding.weight, poison, 1, row, MG_F32 };
    assert_ok(f.model->ops->pack(f.stream, &pack, &err), &err);
    score(&f, 0, REQUESTS, options);
    for (int64_t i = 0; i < REQUESTS; i++) {
        assert_int_equal(f.failed[i], i % 3 == 1);
        assert_int_equal(isfinite(f.logprob[i]) != 0, i % 3 != 1);
    }
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_the_log_softmax_of_a_plain_pass),
        cmocka_unit_test(scores_do_not_depend_on_the_batch),
        cmocka_unit_test(lengths_keep_their_own_rotation),
        cmocka_unit_test(equal_contexts_are_computed_once),
        cmocka_unit_test(choices_of_one_token_cost_one_pass),
        cmocka_unit_test(long_context_is_cut_on_the_left),
        cmocka_unit_test(continuation_without_room_is_refused),
        cmocka_unit_test(empty_continuation_has_probability_one),
        cmocka_unit_test(poisoned_context_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
