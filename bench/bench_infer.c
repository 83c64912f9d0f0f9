/* bench/bench_infer.c - tokens per second of the engine, next to what the machine allows.
 *
 * usage: bench_infer [THREADS] [avx2|best] [mini|llama] [BATCH]
 * Prints CSV.  Two shapes with made-up weights: `mini`, a candidate of the bundled world (126
 * questions of 60 tokens, answers of 40), and `llama`, 245 M parameters (prefill of 4 x 256 tokens,
 * decoding of 1 and of 16 texts).  The limit of a phase is the larger of two times: its
 * multiply-adds at the peak that a probe measures in the same run, and its bytes (weights once a
 * pass, keys and values once a token) at the rate of a read probe.  Figures are the best of several
 * rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/pool.h"
#include "infer/engine.h"
#include "probe.h"

typedef struct bench {
    mg_pool *pool;
    const mg_device *device;
    probe machine;
    int64_t batch_max; /* 0 = all texts of a load together */
} bench;

static void fail_on(mg_status status, const mg_error *err)
{
    if (status != MG_OK) {
        fprintf(stderr, "bench_infer: %s\n", err->message);
        exit(1);
    }
}

/* The names of one layer of the Llama family. */
static const char *const layer_names[] = {
    "input_layernorm.weight",  "post_attention_layernorm.weight",
    "self_attn.q_proj.weight", "self_attn.k_proj.weight",
    "self_attn.v_proj.weight", "self_attn.o_proj.weight",
    "mlp.gate_proj.weight",    "mlp.up_proj.weight",
    "mlp.down_proj.weight",
};

static void give(mg_sink *sink, const char *name, int64_t rows, int64_t columns)
{
    mg_error err;
    mg_view spec;
    void *data = NULL;
    memset(&spec, 0, sizeof(spec));
    spec.name = mg_str_of(name);
    spec.dtype = MG_F32;
    spec.shape = columns > 0 ? mg_shape_2d(rows, columns) : mg_shape_1d(rows);
    int64_t count = mg_shape_count(&spec.shape);
    spec.bytes = (size_t)count * sizeof(float);
    fail_on(sink->ops->reserve(sink, &spec, &data, &err), &err);
    float *values = (float *)data;
    uint32_t x = (uint32_t)rows * 31u + (uint32_t)columns;
    float scale = columns > 0 ? 1.7f / __builtin_sqrtf((float)columns) : 0.0f;
    for (int64_t i = 0; i < count; i++) {
        x = x * 1664525u + 1013904223u;
        values[i] = columns > 0 ? scale * ((float)(x >> 8) / 8388608.0f - 1.0f) : 1.0f;
    }
    fail_on(sink->ops->commit(sink, &err), &err);
}

static void fill(mg_model *model, const mg_model_config *c, mg_stream *stream)
{
    mg_error err;
    mg_sink *sink = mg_model_sink(model, stream);
    int64_t q = c->head_count * c->head_dim;
    int64_t kv = c->kv_head_count * c->head_dim;
    const int64_t rows[] = {
        c->hidden_size,       c->hidden_size, q, kv, kv, c->hidden_size, c->intermediate_size,
        c->intermediate_size, c->hidden_size
    };
    const int64_t columns[] = { 0,
                                0,
                                c->hidden_size,
                                c->hidden_size,
                                c->hidden_size,
                                q,
                                c->hidden_size,
                                c->hidden_size,
                                c->intermediate_size };
    give(sink, "model.embed_tokens.weight", c->vocab_size, c->hidden_size);
    give(sink, "model.norm.weight", c->hidden_size, 0);
    give(sink, "lm_head.weight", c->vocab_size, c->hidden_size);
    for (int64_t layer = 0; layer < c->layer_count; layer++) {
        for (int64_t t = 0; t < MG_ARRAY_COUNT(layer_names); t++) {
            char name[128];
            (void)snprintf(name, sizeof(name), "model.layers.%lld.%s", (long long)layer,
                           layer_names[t]);
            give(sink, name, rows[t], columns[t]);
        }
    }
    fail_on(sink->ops->finish(sink, &err), &err);
}

static mg_model_config config_of(int64_t vocab, int64_t hidden, int64_t inner, int64_t layers,
                                 int64_t heads, int64_t kv_heads, int64_t head_dim)
{
    mg_model_config c;
    memset(&c, 0, sizeof(c));
    c.architecture = mg_str_of("LlamaForCausalLM");
    c.vocab_size = vocab;
    c.hidden_size = hidden;
    c.intermediate_size = inner;
    c.layer_count = layers;
    c.head_count = heads;
    c.kv_head_count = kv_heads;
    c.head_dim = head_dim;
    c.max_positions = 2048;
    c.norm_epsilon = 1e-5;
    c.rope.theta = 10000.0;
    c.partial_rotary = 1.0;
    c.repetition_penalty = 1.0;
    return c;
}

typedef struct load {
    const char *shape;
    const char *what;
    int64_t texts;
    int64_t prompt;
    int64_t answer;
    int64_t rounds;
} load;

static bool ignore_answer(void *context, int64_t index, const mg_generation *result)
{
    (void)context;
    (void)index;
    (void)result;
    return true;
}

/* Multiply-adds of the matrices for one token, without the head. */
static double body_parameters(const mg_model_config *c)
{
    double q = (double)(c->head_count * c->head_dim);
    double kv = (double)(c->kv_head_count * c->head_dim);
    double hidden = (double)c->hidden_size;
    return (double)c->layer_count *
           (hidden * (2.0 * q + 2.0 * kv) + 3.0 * hidden * (double)c->intermediate_size);
}

static void print_phase(const bench *b, const load *l, const char *dtype, const char *phase,
                        double tokens, double seconds, double limit)
{
    printf("%s,%s,%s,%s,%s,%d,%.0f,%.5f,%.1f,%.1f,%.0f\n", l->shape, l->what, dtype,
           b->device->name, phase, mg_pool_threads(b->pool), tokens, seconds, tokens / seconds,
           tokens / limit, 100.0 * limit / seconds);
}

static void run_load(bench *b, const load *l, const mg_model_config *c, mg_model *model,
                     mg_dtype dtype)
{
    mg_error err;
    mg_engine *engine = NULL;
    mg_engine_options options = { .batch_max = b->batch_max > 0 ? b->batch_max : l->texts };
    mg_generate_request *requests = mg_new_array(mg_generate_request, l->texts);
    int32_t *ids = mg_new_array(int32_t, l->texts * l->prompt);
    uint32_t x = 1;
    for (int64_t i = 0; i < l->texts * l->prompt; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (int32_t)((x >> 8) % (uint32_t)c->vocab_size);
    }
    for (int64_t i = 0; i < l->texts; i++) {
        requests[i].ids = ids + i * l->prompt;
        requests[i].id_count = l->prompt;
        requests[i].max_new_tokens = l->answer;
        requests[i].ignore_eos = true;
    }
    fail_on(mg_engine_create(model, NULL, b->pool, &options, &engine, &err), &err);
    mg_engine_stats best = { 0, 0, 0, 1e9, 1e9, 0 };
    double whole = 1e9;
    for (int64_t round = 0; round < l->rounds; round++) {
        mg_engine_stats_reset(engine);
        double start = mg_clock_now(NULL);
        fail_on(mg_engine_generate(engine, requests, l->texts, ignore_answer, NULL, &err), &err);
        whole = MG_MIN(whole, mg_clock_now(NULL) - start);
        mg_engine_stats stats = mg_engine_stats_get(engine);
        stats.prefill_seconds = MG_MIN(stats.prefill_seconds, best.prefill_seconds);
        stats.decode_seconds = MG_MIN(stats.decode_seconds, best.decode_seconds);
        best = stats;
    }
    probe_again(&b->machine);
    double flops = dtype == MG_BF16 ? b->machine.flops_bf16 : b->machine.flops;
    double head = (double)c->vocab_size * (double)c->hidden_size;
    double weight_bytes = (body_parameters(c) + head) * (dtype == MG_BF16 ? 2.0 : 4.0);
    double kv_bytes = (dtype == MG_BF16 ? 4.0 : 8.0) *
                      (double)(c->layer_count * c->kv_head_count * c->head_dim) *
                      ((double)l->prompt + 0.5 * (double)l->answer);
    double prefill =
        2.0 * (body_parameters(c) * (double)best.prefill_tokens + head * (double)l->texts) / flops;
    double decode = 2.0 * (body_parameters(c) + head) * (double)best.decode_tokens / flops;
    double traffic =
        (weight_bytes * (double)best.decode_steps + kv_bytes * (double)best.decode_tokens) /
        b->machine.read_bytes;
    const char *name = mg_dtype_torch_name(dtype);
    print_phase(b, l, name, "prefill", (double)best.prefill_tokens, best.prefill_seconds, prefill);
    if (best.decode_tokens > 0) {
        print_phase(b, l, name, "decode", (double)best.decode_tokens, best.decode_seconds,
                    MG_MAX(decode, traffic));
        print_phase(b, l, name, "whole", (double)(best.prefill_tokens + best.decode_tokens), whole,
                    prefill + MG_MAX(decode, traffic));
    }
    fflush(stdout);
    mg_engine_destroy(engine);
    mg_free(requests);
    mg_free(ids);
}

static void run_shape(bench *b, const mg_model_config *c, const load *loads, int64_t count,
                      mg_dtype dtype)
{
    mg_error err;
    mg_model *model = NULL;
    mg_stream *stream = NULL;
    fail_on(mg_model_create(c, b->device, dtype, &model, &err), &err);
    fail_on(b->device->stream_create(b->device, b->pool, &stream, &err), &err);
    fill(model, c, stream);
    for (int64_t i = 0; i < count; i++) {
        run_load(b, &loads[i], c, model, dtype);
    }
    b->device->stream_destroy(stream);
    mg_model_destroy(model);
}

int main(int argc, char **argv)
{
    static const load mini_loads[] = { { "mini", "candidate", 126, 60, 40, 7 } };
    static const load llama_loads[] = { { "llama", "prefill", 4, 256, 1, 3 },
                                        { "llama", "batch1", 1, 16, 33, 3 },
                                        { "llama", "batch16", 16, 16, 33, 3 } };
    bench b;
    memset(&b, 0, sizeof(b));
    b.batch_max = argc > 4 ? atoi(argv[4]) : 0;
    mg_isa isa = argc > 2 && strcmp(argv[2], "avx2") == 0 ? MG_ISA_AVX2 : mg_isa_best();
    const char *only = argc > 3 ? argv[3] : "";
    b.pool = mg_pool_create(argc > 1 ? atoi(argv[1]) : 0);
    b.device = mg_device_cpu(isa);
    probe_open(&b.machine, b.pool, isa);
    fprintf(stderr, "peak %.1f GFLOP/s, bfloat16 %.1f GFLOP/s, read %.1f GB/s\n",
            b.machine.flops / 1e9, b.machine.flops_bf16 / 1e9, b.machine.read_bytes / 1e9);
    printf("shape,load,dtype,device,phase,threads,tokens,seconds,tokens_per_second,"
           "limit_tokens_per_second,percent_of_limit\n");
    static const mg_dtype dtypes[] = { MG_F32, MG_BF16 };
    for (int64_t d = 0; d < MG_ARRAY_COUNT(dtypes); d++) {
        if (only[0] == '\0' || strcmp(only, "mini") == 0) {
            mg_model_config mini = config_of(1024, 128, 352, 8, 4, 2, 32);
            run_shape(&b, &mini, mini_loads, MG_ARRAY_COUNT(mini_loads), dtypes[d]);
        }
        if (only[0] == '\0' || strcmp(only, "llama") == 0) {
            mg_model_config llama = config_of(32000, 1024, 2816, 16, 16, 4, 64);
            run_shape(&b, &llama, llama_loads, MG_ARRAY_COUNT(llama_loads), dtypes[d]);
        }
    }
    probe_close(&b.machine);
    mg_pool_destroy(b.pool);
    return 0;
}
