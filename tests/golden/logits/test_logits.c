/* tests/golden/logits/test_logits.c - the bundled models against transformers (make.py). */
#include "support.h"

#include <math.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/pool.h"
#include "hub/snapshot.h"
#include "infer/engine.h"
#include "text/json.h"

/* Of logits and log-probabilities, and of gaps between tokens that may change places. */
#define TOLERANCE 1e-4
#define TOLERANCE_BF16 0.1
#define CASES_MAX 16

typedef struct bundle {
    const char *name;
    mg_snapshot *snapshot;
    mg_tokenizer *tokenizer;
    mg_model *model;
    mg_pool *pool;
    mg_stream *stream;
    const mg_value *cases[CASES_MAX];
    mg_ids ids[CASES_MAX];
    int64_t count;
    int64_t checked;
    double tolerance;
} bundle;

static mg_arena arena;
static mg_value all_cases;

static void read_ids(const mg_value *list, mg_ids *ids)
{
    for (int64_t i = 0; i < list->count; i++) {
        mg_ids_add(ids, (int32_t)list->items[i].integer);
    }
}

static void bundle_open(bundle *b, const char *name, mg_isa isa, mg_dtype dtype)
{
    mg_error err;
    mg_hub hub = { { NULL, 0 } };
    mg_model_ref ref;
    memset(b, 0, sizeof(*b));
    memset(&ref, 0, sizeof(ref));
    b->name = name;
    b->tolerance = dtype == MG_BF16 ? TOLERANCE_BF16 : TOLERANCE;
    ref.path = mg_arena_printf(&arena, "%s/examples/mini/models/%s", MG_SOURCE_DIR, name);
    const mg_device *device = mg_device_cpu(isa);
    b->pool = mg_pool_create(2);
    assert_ok(mg_snapshot_open(&hub, &ref, true, &b->snapshot, &err), &err);
    assert_ok(mg_tokenizer_open(b->snapshot->folder, &b->tokenizer, &err), &err);
    assert_ok(mg_model_create(&b->snapshot->config, device, dtype, &b->model, &err), &err);
    assert_ok(device->stream_create(device, b->pool, &b->stream, &err), &err);
    assert_ok(mg_model_load(b->model, b->snapshot->checkpoint, b->stream, &err), &err);
    for (int64_t i = 0; i < all_cases.count; i++) {
        const mg_value *one = &all_cases.items[i];
        if (mg_str_is(mg_value_get(one, "model")->string, name)) {
            b->cases[b->count] = one;
            read_ids(mg_value_get(one, "ids"), &b->ids[b->count]);
            b->count++;
        }
    }
    assert_true(b->count > 0);
}

static void bundle_close(bundle *b)
{
    for (int64_t i = 0; i < b->count; i++) {
        mg_ids_release(&b->ids[i]);
    }
    mg_model_device(b->model)->stream_destroy(b->stream);
    mg_model_destroy(b->model);
    mg_tokenizer_close(b->tokenizer);
    mg_snapshot_close(b->snapshot);
    mg_pool_destroy(b->pool);
}

/* Every 16th logit behind the prompt is stored. */
static void check_logits(bundle *b)
{
    mg_error err;
    int64_t vocab = mg_model_vocab(b->model);
    float *logits = mg_new_array(float, vocab);
    mg_kv_cache *cache = NULL;
    assert_ok(mg_kv_cache_create(b->model, 1, 256, 0, &cache, &err), &err);
    for (int64_t i = 0; i < b->count; i++) {
        mg_run run = { 0, 0, b->ids[i].count, 0 };
        int64_t last = run.count - 1;
        mg_forward_args args = { cache, b->ids[i].data, run.count, &run, 1, &last, 1, logits };
        assert_ok(mg_model_forward(b->model, &args, b->stream, &err), &err);
        const mg_value *wanted = mg_value_get(b->cases[i], "logits");
        for (int64_t k = 0; k < wanted->count; k++) {
            double want = 0.0;
            assert_true(mg_value_to_double(&wanted->items[k], &want));
            if (!(fabs((double)logits[16 * k] - want) < b->tolerance)) {
                fail_msg("%s: logit %lld is %.7g, expected %.7g", b->name, (long long)(16 * k),
                         (double)logits[16 * k], want);
            }
        }
    }
    mg_kv_cache_destroy(cache);
    mg_free(logits);
}

static bool check_answer(void *context, int64_t index, const mg_generation *result)
{
    bundle *b = (bundle *)context;
    const mg_value *greedy = mg_value_get(b->cases[index], "greedy");
    const mg_value *gaps = mg_value_get(b->cases[index], "gaps");
    b->checked++;
    for (int64_t i = 0; i < result->id_count; i++) {
        double gap = 0.0;
        assert_true(i < greedy->count && mg_value_to_double(&gaps->items[i], &gap));
        if (result->ids[i] != (int32_t)greedy->items[i].integer) {
            assert_true(gap <= b->tolerance);
            return true;
        }
    }
    bool ended = result->id_count < greedy->count;
    assert_int_equal(result->finish, ended ? MG_FINISH_EOS : MG_FINISH_LENGTH);
    assert_true(mg_str_equal(result->text, mg_value_get(b->cases[index], "text")->string));
    return true;
}

static void check_answers(bundle *b)
{
    mg_error err;
    mg_engine *engine = NULL;
    mg_generate_request requests[CASES_MAX] = { 0 };
    assert_ok(mg_engine_create(b->model, b->tokenizer, b->pool, NULL, &engine, &err), &err);
    for (int64_t i = 0; i < b->count; i++) {
        requests[i].ids = b->ids[i].data;
        requests[i].id_count = b->ids[i].count;
        requests[i].max_new_tokens = 64;
    }
    assert_ok(mg_engine_generate(engine, requests, b->count, check_answer, b, &err), &err);
    assert_int_equal(b->checked, b->count);
    mg_engine_destroy(engine);
}

static bool check_score(void *context, int64_t index, const mg_score *result)
{
    bundle *b = (bundle *)context;
    const mg_value *one = b->cases[index];
    int64_t first = mg_value_get(one, "greedy")->items[0].integer;
    double total = 0.0;
    double logit = 0.0;
    assert_true(mg_value_to_double(mg_value_get(one, "logsumexp"), &total));
    assert_false(result->failed);
    assert_true(result->is_greedy);
    if (first % 16 == 0) { /* only those logits are stored */
        assert_true(mg_value_to_double(&mg_value_get(one, "logits")->items[first / 16], &logit));
        assert_true(fabs((double)result->token_logprobs[0] - (logit - total)) < b->tolerance);
    }
    assert_true(result->logprob <= (double)result->token_logprobs[0]);
    b->checked++;
    return true;
}

static void check_scores(bundle *b)
{
    mg_error err;
    mg_engine *engine = NULL;
    mg_score_request requests[CASES_MAX] = { 0 };
    mg_ids answers[CASES_MAX] = { 0 };
    b->checked = 0;
    assert_ok(mg_engine_create(b->model, b->tokenizer, b->pool, NULL, &engine, &err), &err);
    for (int64_t i = 0; i < b->count; i++) {
        read_ids(mg_value_get(b->cases[i], "greedy"), &answers[i]);
        requests[i].context = b->ids[i].data;
        requests[i].context_count = b->ids[i].count;
        requests[i].continuation = answers[i].data;
        requests[i].continuation_count = answers[i].count;
    }
    assert_ok(mg_engine_score(engine, requests, b->count, check_score, b, &err), &err);
    assert_int_equal(b->checked, b->count);
    for (int64_t i = 0; i < b->count; i++) {
        mg_ids_release(&answers[i]);
    }
    mg_engine_destroy(engine);
}

static const char *const models[] = { "mini-base", "mini-ja", "mini-math-a", "mini-math-b" };

static void bundled_models_agree_with_transformers(void **state)
{
    (void)state;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(models); i++) {
        bundle b;
        bundle_open(&b, models[i], MG_ISA_AVX512, MG_F32);
        check_logits(&b);
        check_answers(&b);
        check_scores(&b);
        bundle_close(&b);
    }
}

static void bundled_models_agree_on_avx2_and_are_near_in_bfloat16(void **state)
{
    (void)state;
    static const mg_dtype dtypes[] = { MG_F32, MG_BF16 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        bundle b;
        bundle_open(&b, models[1], MG_ISA_AVX2, dtypes[d]);
        check_logits(&b);
        check_answers(&b);
        check_scores(&b);
        bundle_close(&b);
    }
}

static int read_cases(void **state)
{
    (void)state;
    mg_error err;
    mg_str path = mg_arena_printf(&arena, "%s/tests/golden/logits/cases.json", MG_SOURCE_DIR);
    assert_ok(mg_json_read(path.data, 1 << 24, &arena, &all_cases, &err), &err);
    return 0;
}

static int release_cases(void **state)
{
    (void)state;
    mg_arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundled_models_agree_with_transformers),
        cmocka_unit_test(bundled_models_agree_on_avx2_and_are_near_in_bfloat16),
    };
    return cmocka_run_group_tests(tests, read_cases, release_cases);
}
