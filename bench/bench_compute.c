/* bench/bench_compute.c - how near the operations of inference come to what the machine can do.
 *
 * usage: bench_compute [THREADS] [avx2|best]
 * Prints CSV.  Two probes measure the machine in the same run: multiply-adds from registers, and
 * reading a block larger than the caches.  A matrix product is compared with the first, a product
 * of few rows (decoding) with the second.  Every figure is the best of several rounds: other load
 * on the machine can only slow a round down. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/pool.h"
#include "compute/device.h"
#include "compute/ops_nn.h"
#include "probe.h"

typedef struct bench {
    mg_pool *pool;
    const mg_device *device;
    mg_stream *stream;
    mg_isa isa;
    probe machine;
} bench;

static void must(mg_status status, const mg_error *err)
{
    if (status != MG_OK) {
        fprintf(stderr, "bench_compute: %s\n", err->message);
        exit(1);
    }
}

static void *block_of(const bench *b, size_t bytes)
{
    mg_error err;
    void *block = NULL;
    must(b->device->alloc(b->device, bytes, "bench", &block, &err), &err);
    return block;
}

static float *floats_of(const bench *b, int64_t count)
{
    float *block = block_of(b, (size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        block[i] = (float)(i % 17) * 0.01f - 0.08f;
    }
    return block;
}

/* Repeats until a tenth of a second has passed, at least three times; the best time of one call.
 * Short calls are timed a hundred at once. */
#define BEST_SECONDS(seconds, statement)                                                           \
    do {                                                                                           \
        (seconds) = 1e30;                                                                          \
        double began_ = mg_clock_now(NULL);                                                        \
        for (int round_ = 0; round_ < 3 || mg_clock_now(NULL) - began_ < 0.1; round_++) {          \
            int calls_ = (seconds) < 1e-5 ? 100 : 1;                                               \
            double start_ = mg_clock_now(NULL);                                                    \
            for (int call_ = 0; call_ < calls_; call_++) {                                         \
                statement;                                                                         \
            }                                                                                      \
            (seconds) = MG_MIN((seconds), (mg_clock_now(NULL) - start_) / calls_);                 \
        }                                                                                          \
    } while (0)

static void print_row(const bench *b, const char *what, const char *shape, double seconds,
                      double flops, double bytes)
{
    bool is_bf16 = strstr(what, "bf16") != NULL;
    double peak = is_bf16 ? b->machine.flops_bf16 : b->machine.flops;
    printf("%s,%s,%d,%s,%.3f,%.1f,%.3f,%.2f,%.3f\n", what, mg_isa_name(b->isa),
           mg_pool_threads(b->pool), shape, seconds * 1e6, flops / seconds * 1e-9,
           flops / seconds / peak, bytes / seconds * 1e-9, bytes / seconds / b->machine.read_bytes);
    (void)fflush(stdout);
}

static void bench_linear(bench *b, int64_t rows, int64_t out_dim, int64_t in_dim, mg_dtype dtype)
{
    mg_error err;
    mg_weight weight = { NULL, out_dim, in_dim, dtype };
    size_t bytes = 0;
    must(b->device->nn->packed_bytes(&weight, &bytes, &err), &err);
    weight.data = block_of(b, bytes);
    float *source = floats_of(b, out_dim * in_dim);
    mg_pack_args pack = { weight, 0, out_dim, source, MG_F32 };
    must(b->device->nn->pack(b->stream, &pack, &err), &err);
    b->device->free(b->device, source);
    float *x = floats_of(b, rows * in_dim);
    float *out = floats_of(b, rows * out_dim);
    mg_linear_args args = { out, x, weight, NULL, NULL, rows, in_dim, out_dim };
    probe_again(&b->machine);
    double seconds;
    BEST_SECONDS(seconds, must(b->device->nn->linear(b->stream, &args, &err), &err));
    char shape[64];
    snprintf(shape, sizeof(shape), "%lldx%lldx%lld", (long long)rows, (long long)out_dim,
             (long long)in_dim);
    print_row(b, dtype == MG_F32 ? "linear_f32" : "linear_bf16", shape, seconds,
              2.0 * (double)rows * (double)out_dim * (double)in_dim, (double)bytes);
    b->device->free(b->device, weight.data);
    b->device->free(b->device, x);
    b->device->free(b->device, out);
}

/* runs sequences of count queries each, the last of position_count positions. */
static void bench_attention(bench *b, int64_t runs, int64_t count, int64_t position_count,
                            int64_t heads, int64_t kv_heads, int64_t dim)
{
    mg_error err;
    mg_kv kv = { NULL, runs, position_count, kv_heads, dim, MG_F32, NULL, 0 };
    size_t bytes = 0;
    must(b->device->nn->kv_bytes(&kv, &bytes, &err), &err);
    kv.data = block_of(b, bytes);
    memset(kv.data, 0, bytes);
    float *q = floats_of(b, runs * count * heads * dim);
    float *out = floats_of(b, runs * count * heads * dim);
    mg_kv_run *list = block_of(b, (size_t)runs * sizeof(mg_kv_run));
    for (int64_t n = 0; n < runs; n++) {
        mg_kv_run run = { (int32_t)n, (int32_t)(position_count - count), (int32_t)count,
                          (int32_t)(n * count) };
        list[n] = run;
    }
    mg_attention_args args = { .out = out,
                               .q = q,
                               .q_stride = heads * dim,
                               .out_stride = heads * dim,
                               .kv = kv,
                               .heads = heads,
                               .runs = list,
                               .run_count = runs,
                               .rows = runs * count,
                               .run_rows_max = count,
                               .scale = 0.1f };
    probe_again(&b->machine);
    double seconds;
    BEST_SECONDS(seconds, must(b->device->nn->attention(b->stream, &args, &err), &err));
    char shape[96];
    snprintf(shape, sizeof(shape), "%lldx%lld@%lld h%lld/%lld d%lld", (long long)runs,
             (long long)count, (long long)position_count, (long long)heads, (long long)kv_heads,
             (long long)dim);
    double pairs = (double)count * ((double)position_count - (double)(count - 1) / 2.0);
    print_row(b, "attention", shape, seconds, 4.0 * (double)(runs * heads * dim) * pairs,
              (double)bytes);
    b->device->free(b->device, kv.data);
    b->device->free(b->device, q);
    b->device->free(b->device, out);
    b->device->free(b->device, list);
}

/* The row-wise operations: bytes are what they read and write. */
static void bench_rows(bench *b, int64_t rows, int64_t dim)
{
    mg_error err;
    double seconds;
    double bytes = (double)(rows * dim) * sizeof(float);
    float *x = floats_of(b, rows * 2 * dim);
    float *out = floats_of(b, rows * dim);
    float *weight = floats_of(b, dim);
    char shape[64];
    snprintf(shape, sizeof(shape), "%lldx%lld", (long long)rows, (long long)dim);
    probe_again(&b->machine);
    mg_rmsnorm_args norm = { .out = out,
                             .x = x,
                             .weight = weight,
                             .rows = rows,
                             .groups = 1,
                             .dim = dim,
                             .x_stride = dim,
                             .out_stride = dim,
                             .epsilon = 1e-5f };
    BEST_SECONDS(seconds, must(b->device->nn->rmsnorm(b->stream, &norm, &err), &err));
    print_row(b, "rmsnorm", shape, seconds, 0.0, 2.0 * bytes);
    mg_gate_args gate = { out, x, x + dim, rows, dim, 2 * dim, dim, MG_NN_SILU };
    BEST_SECONDS(seconds, must(b->device->nn->gate(b->stream, &gate, &err), &err));
    print_row(b, "silu_gate", shape, seconds, 0.0, 3.0 * bytes);
    int32_t *ids = block_of(b, (size_t)rows * sizeof(int32_t));
    mg_argmax_args argmax = { ids, x, rows, dim };
    BEST_SECONDS(seconds, must(b->device->nn->argmax(b->stream, &argmax, &err), &err));
    print_row(b, "argmax", shape, seconds, 0.0, bytes);
    b->device->free(b->device, ids);
    b->device->free(b->device, x);
    b->device->free(b->device, out);
    b->device->free(b->device, weight);
}

/* The bundled models: hidden 128, heads 4 of 32, 2 kv heads, ffn 352, vocabulary 1024. */
static void bench_mini(bench *b)
{
    static const int64_t rows[] = { 1, 8, 64, 126, 1000, 8000 };
    static const int64_t shapes[][2] = {
        { 256, 128 }, { 128, 128 }, { 704, 128 }, { 128, 352 }, { 1024, 128 }
    };
    for (int64_t r = 0; r < MG_ARRAY_COUNT(rows); r++) {
        for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
            bench_linear(b, rows[r], shapes[s][0], shapes[s][1], MG_F32);
        }
    }
    bench_attention(b, 126, 1, 90, 4, 2, 32);
    bench_attention(b, 126, 60, 60, 4, 2, 32);
    bench_rows(b, 126, 128);
    bench_rows(b, 126, 352);
    bench_rows(b, 126, 1024);
}

/* Shapes of models of 0.5 and 7 thousand million weights. */
static void bench_large(bench *b)
{
    static const int64_t shapes[][2] = { { 1152, 896 },  { 9728, 896 },   { 896, 4864 },
                                         { 4096, 4096 }, { 14336, 4096 }, { 4096, 14336 } };
    static const int64_t rows[] = { 1, 4, 8, 64, 512 };
    for (int64_t s = 0; s < MG_ARRAY_COUNT(shapes); s++) {
        for (int64_t r = 0; r < MG_ARRAY_COUNT(rows); r++) {
            bench_linear(b, rows[r], shapes[s][0], shapes[s][1], MG_F32);
            bench_linear(b, rows[r], shapes[s][0], shapes[s][1], MG_BF16);
        }
    }
    bench_attention(b, 1, 1, 4096, 32, 8, 128);
    bench_attention(b, 1, 512, 4096, 32, 8, 128);
    bench_attention(b, 16, 1, 2048, 14, 2, 64);
}

int main(int argc, char **argv)
{
    mg_error err;
    bench *b = mg_new(bench);
    b->pool = mg_pool_create(argc > 1 ? atoi(argv[1]) : 1);
    mg_isa isa_max = argc > 2 && strcmp(argv[2], "avx2") == 0 ? MG_ISA_AVX2 : mg_isa_best();
    b->isa = MG_MIN(isa_max, mg_isa_best());
    b->device = mg_device_cpu(isa_max);
    must(b->device->stream_create(b->device, b->pool, &b->stream, &err), &err);
    probe_open(&b->machine, b->pool, b->isa);
    printf("what,isa,threads,shape,microseconds,gflops,of_peak,gbytes,of_read\n");
    printf("probe,%s,%d,,,%.1f,1,%.2f,1\n", mg_isa_name(b->isa), mg_pool_threads(b->pool),
           b->machine.flops * 1e-9, b->machine.read_bytes * 1e-9);
    printf("probe_bf16,%s,%d,,,%.1f,1,,\n", mg_isa_name(b->isa), mg_pool_threads(b->pool),
           b->machine.flops_bf16 * 1e-9);
    bench_mini(b);
    bench_large(b);
    probe_close(&b->machine);
    b->device->stream_destroy(b->stream);
    mg_pool_destroy(b->pool);
    mg_free(b);
    return 0;
}
