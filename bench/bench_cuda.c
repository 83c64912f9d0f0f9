/* bench/bench_cuda.c - a card against its limits, with a 7 B Mistral shape and random weights.
 *
 * usage: bench_cuda [LAYERS [merges]]     fewer layers than 32 make a shorter run; limits are scaled
 * Prints CSV: what, milliseconds, the limit for it from this run's copy bandwidth and the card's
 * matrix rate, and their ratio.  Counted: every weight, key, value and merged element once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "compute/cuda_device.h"
#include "compute/ops_mix.h"
#include "compute/ops_nn.h"
#include "infer/engine.h"
#include "merge/method.h"
#include "model/model.h"

#define HIDDEN 4096
#define INNER 14336
#define VOCAB 32000
#define HEADS 32
#define KV_HEADS 8
#define HEAD_DIM 128
#define POSITIONS 512
#define SLOTS 256
#define NOISE_BYTES ((size_t)HIDDEN * VOCAB * 2)
#define SOURCE_BYTES (4 * NOISE_BYTES) /* tensors are taken from it in turn: no cache holds it */

typedef struct bench {
    const mg_device *device;
    mg_stream *stream;
    int64_t layers;
    uint16_t *noise;     /* NOISE_BYTES of random bfloat16 on the host */
    char *sources[3];    /* device: base and two sources of a merge, SOURCE_BYTES each */
    uint32_t *flag;      /* device: raised by results that are not finite */
    double copy_bytes;   /* per second, read plus written */
    double matrix_flops; /* per second */
} bench;

static void must(mg_status status, const mg_error *err)
{
    if (status != MG_OK) {
        (void)fprintf(stderr, "bench_cuda: %s\n", err->message);
        exit(1);
    }
}

static void wait_for(const bench *b)
{
    mg_error err;
    must(b->device->stream_wait(b->stream, &err), &err);
}

static void *device_block(const bench *b, size_t bytes)
{
    mg_error err;
    void *block = NULL;
    must(b->device->alloc(b->device, bytes, "bench", &block, &err), &err);
    return block;
}

static void report(const char *what, double ms, double limit_ms)
{
    printf("%s,%.3f,%.3f,%.2f\n", what, ms, limit_ms, limit_ms > 0.0 ? ms / limit_ms : 0.0);
    (void)fflush(stdout);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of rounds runs of step, in milliseconds. */
static double median_ms(const bench *b, int rounds, void (*step)(void *context), void *context)
{
    double times[64];
    step(context);
    wait_for(b);
    for (int i = 0; i < rounds; i++) {
        double begin = mg_clock_now(NULL);
        step(context);
        wait_for(b);
        times[i] = (mg_clock_now(NULL) - begin) * 1e3;
    }
    qsort(times, (size_t)rounds, sizeof(double), compare_doubles);
    return times[rounds / 2];
}

/* --- Probes and merging: one matrix of 4096 x 14336 at a time, many times over */

typedef struct merge_step {
    const bench *b;
    char *blocks[4]; /* base, two sources, out: rounds x count bfloat16 each */
    int64_t count;
    int rounds;
    bool copy_only;
} merge_step;

static void run_merge(void *context)
{
    const merge_step *step = context;
    mg_error err;
    for (int i = 0; i < step->rounds; i++) {
        size_t at = (size_t)i * (size_t)step->count * 2;
        if (step->copy_only) {
            /* Two blocks in, as bytes: what a copy kernel would move. */
            mg_scale_args args = {
                step->blocks[3] + at, MG_BF16, MG_BF16, { step->blocks[0] + at, MG_BF16 }, 1.0,
                step->count
            };
            must(step->b->device->mix->scale(step->b->stream, &args, &err), &err);
            continue;
        }
        mg_mix_source sources[2];
        memset(sources, 0, sizeof(sources));
        for (int k = 0; k < 2; k++) {
            sources[k].x.data = step->blocks[1 + k] + at;
            sources[k].x.dtype = MG_BF16;
            sources[k].weight = 0.6;
            sources[k].mask = MG_MASK_COUNTER;
            sources[k].counter_tensor = (uint32_t)i;
            sources[k].counter_source = (uint32_t)k;
            sources[k].below = 0x8000u;
            sources[k].rescale = true;
            sources[k].factor = 2.0;
        }
        mg_task_args args;
        memset(&args, 0, sizeof(args));
        args.out = step->blocks[3] + at;
        args.out_dtype = MG_BF16;
        args.work = MG_BF16;
        args.wide = true;
        args.base.data = step->blocks[0] + at;
        args.base.dtype = MG_BF16;
        args.sources = sources;
        args.source_count = 2;
        args.consensus = true;
        args.divisor = 1.0;
        args.lambda = 1.0;
        args.count = step->count;
        must(step->b->device->mix->task(step->b->stream, &args, &err), &err);
    }
}

static void bench_merge(bench *b)
{
    mg_error err;
    merge_step step = { b, { NULL }, (int64_t)HIDDEN * INNER, 16, true };
    size_t bytes = (size_t)step.count * 2 * (size_t)step.rounds;
    for (int k = 0; k < 4; k++) {
        step.blocks[k] = device_block(b, bytes);
        for (size_t at = 0; at < bytes; at += NOISE_BYTES) {
            must(b->device->upload(b->stream, step.blocks[k] + at, b->noise,
                                   MG_MIN(NOISE_BYTES, bytes - at), &err),
                 &err);
        }
    }
    double scale_ms = median_ms(b, 11, run_merge, &step);
    printf("scale kernel as a copy,%.3f,,%.0f GB/s\n", scale_ms,
           2.0 * (double)bytes / scale_ms / 1e6);
    step.copy_only = false;
    double task_ms = median_ms(b, 11, run_merge, &step);
    report("merge dare_ties 2 sources (16 matrices)", task_ms,
           4.0 * (double)bytes / b->copy_bytes * 1e3);
    for (int k = 0; k < 4; k++) {
        b->device->free(b->device, step.blocks[k]);
    }
}

/* --- Every method, as the executor calls it, with the search's masks */

#define METHOD_MATRICES 4

typedef struct method_step {
    const bench *b;
    const mg_method *method;
    char *blocks[4]; /* base, two sources, out: METHOD_MATRICES each */
    mg_job job;
} method_step;

static void run_method(void *context)
{
    method_step *step = context;
    const mg_method *method = step->method;
    mg_error err;
    mg_job_input inputs[3];
    mg_mt19937 mt;
    mg_mt19937_seed(&mt, 1);
    for (int m = 0; m < METHOD_MATRICES; m++) {
        size_t at = (size_t)m * (size_t)step->job.count * 2;
        memset(inputs, 0, sizeof(inputs));
        for (int i = 0; i < 3; i++) {
            inputs[i].x.data = step->blocks[i] + at;
            inputs[i].x.dtype = MG_BF16;
            inputs[i].source_index = i - 1;
            for (int64_t p = 0; p < method->param_count; p++) {
                const mg_method_param *param = &method->params[p];
                bool is_share = strcmp(param->name, "density") == 0;
                inputs[i].params[p] = is_share ? 0.5 : param->required ? 0.4 : param->fallback;
                step->job.params[p] = inputs[i].params[p];
            }
        }
        step->job.inputs = inputs;
        step->job.mt = &mt;
        step->job.out = step->blocks[3] + at;
        must(method->merge(&step->job, &err), &err);
    }
}

static void bench_methods(bench *b)
{
    static const char *const names[] = { "linear",      "slerp",     "task_arithmetic", "ties",
                                         "breadcrumbs", "dare_ties", "della",           "nearswap",
                                         "model_stock", "nuslerp",   "multislerp",      "karcher",
                                         "sce",         "ram" };
    mg_error err;
    method_step step = { .b = b };
    size_t bytes = (size_t)HIDDEN * INNER * 2 * METHOD_MATRICES;
    for (int k = 0; k < 4; k++) {
        step.blocks[k] = device_block(b, bytes);
        for (size_t at = 0; at < bytes; at += NOISE_BYTES - 4096 * (size_t)k) {
            must(b->device->upload(b->stream, step.blocks[k] + at, b->noise,
                                   MG_MIN(NOISE_BYTES, bytes - at), &err),
                 &err);
        }
    }
    for (int i = 0; i < MG_ARRAY_COUNT(names); i++) {
        mg_job *job = &step.job;
        step.method = mg_method_find(mg_str_of(names[i]));
        job->name = mg_str_of("model.layers.0.mlp.up_proj.weight");
        job->shape = mg_shape_2d(INNER, HIDDEN);
        job->count = (int64_t)HIDDEN * INNER;
        job->input_count = step.method->inputs_max == 2 ? 2 : 3;
        job->base = step.method->base == MG_BASE_IGNORED ? -1 : 0;
        job->work = MG_BF16;
        job->out_dtype = MG_BF16;
        job->device = b->device;
        job->stream = b->stream;
        job->mask = MG_MASK_PHILOX;
        job->order = MG_ORDER_INDEX;
        char what[64];
        (void)snprintf(what, sizeof(what), "%s of %d tensors (%d matrices)", names[i],
                       (int)job->input_count, METHOD_MATRICES);
        double ms = median_ms(b, 5, run_method, &step);
        report(what, ms, (double)(job->input_count + 1) * (double)bytes / b->copy_bytes * 1e3);
    }
    mg_job_scratch_release(&step.job);
    for (int k = 0; k < 4; k++) {
        b->device->free(b->device, step.blocks[k]);
    }
}

/* --- The model */

static mg_model *make_model(const bench *b)
{
    mg_error err;
    char folder[] = "/tmp/bench_cuda_XXXXXX";
    char path[64];
    mg_buf text = { 0 };
    mg_model_config config;
    mg_model *model = NULL;
    if (mkdtemp(folder) == NULL) {
        exit(1);
    }
    (void)snprintf(path, sizeof(path), "%s/config.json", folder);
    mg_buf_printf(&text,
                  "{\"architectures\": [\"MistralForCausalLM\"], \"model_type\": \"mistral\", "
                  "\"vocab_size\": %d, \"hidden_size\": %d, \"intermediate_size\": %d, "
                  "\"num_hidden_layers\": %d, \"num_attention_heads\": %d, "
                  "\"num_key_value_heads\": %d, \"max_position_embeddings\": 4096, "
                  "\"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\"}",
                  VOCAB, HIDDEN, INNER, (int)b->layers, HEADS, KV_HEADS);
    must(mg_file_write_atomic(path, mg_buf_view(&text), &err), &err);
    must(mg_model_config_read(folder, true, &config, &err), &err);
    must(mg_model_create(&config, b->device, MG_BF16, &model, &err), &err);
    must(mg_folder_remove(folder, &err), &err);
    mg_model_config_release(&config);
    mg_buf_release(&text);
    return model;
}

static void fill_tensor(const bench *b, mg_sink *sink, const char *name, mg_shape shape)
{
    mg_error err;
    void *data;
    mg_view spec = { mg_str_of(name), NULL, (size_t)mg_shape_count(&shape) * 2, MG_BF16, shape };
    must(sink->ops->reserve(sink, &spec, &data, &err), &err);
    if (shape.rank == 1) {
        for (int64_t i = 0; i < shape.dims[0]; i++) {
            ((uint16_t *)data)[i] = 0x3F80; /* 1 */
        }
    } else {
        memcpy(data, b->noise, spec.bytes);
    }
    must(sink->ops->commit(sink, &err), &err);
}

/* Gives every tensor of the model to fill. */
static void each_tensor(const bench *b, mg_model *model,
                        void (*fill)(const bench *b, mg_sink *sink, const char *name,
                                     mg_shape shape))
{
    static const struct {
        const char *name;
        int64_t rows, columns;
    } matrices[] = {
        { "self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN },
        { "self_attn.k_proj", KV_HEADS * HEAD_DIM, HIDDEN },
        { "self_attn.v_proj", KV_HEADS * HEAD_DIM, HIDDEN },
        { "self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM },
        { "mlp.gate_proj", INNER, HIDDEN },
        { "mlp.up_proj", INNER, HIDDEN },
        { "mlp.down_proj", HIDDEN, INNER },
    };
    mg_error err;
    mg_sink *sink = mg_model_sink(model, b->stream);
    char name[128];
    for (int64_t l = 0; l < b->layers; l++) {
        for (int64_t m = 0; m < MG_ARRAY_COUNT(matrices); m++) {
            (void)snprintf(name, sizeof(name), "model.layers.%d.%s.weight", (int)l,
                           matrices[m].name);
            fill(b, sink, name, mg_shape_2d(matrices[m].rows, matrices[m].columns));
        }
        (void)snprintf(name, sizeof(name), "model.layers.%d.input_layernorm.weight", (int)l);
        fill(b, sink, name, mg_shape_1d(HIDDEN));
        (void)snprintf(name, sizeof(name), "model.layers.%d.post_attention_layernorm.weight",
                       (int)l);
        fill(b, sink, name, mg_shape_1d(HIDDEN));
    }
    fill(b, sink, "model.embed_tokens.weight", mg_shape_2d(VOCAB, HIDDEN));
    fill(b, sink, "model.norm.weight", mg_shape_1d(HIDDEN));
    fill(b, sink, "lm_head.weight", mg_shape_2d(VOCAB, HIDDEN));
    must(sink->ops->finish(sink, &err), &err);
}

typedef struct forward_step {
    const bench *b;
    mg_model *model;
    mg_forward_args args;
    int32_t *ids; /* device: the argmax of each row of logits */
    int32_t host_ids[SLOTS];
} forward_step;

/* A pass, the argmax of its logits, and the ids on the host: what a step of generation waits for.
 */
static void run_forward(void *context)
{
    forward_step *step = context;
    const bench *b = step->b;
    mg_error err;
    must(mg_model_forward(step->model, &step->args, b->stream, &err), &err);
    mg_argmax_args argmax = { step->ids, step->args.logits_out, step->args.logit_count, VOCAB };
    must(b->device->nn->argmax(b->stream, &argmax, &err), &err);
    must(b->device->download(b->stream, step->host_ids, step->ids,
                             (size_t)step->args.logit_count * sizeof(int32_t), &err),
         &err);
}

/* run_count sequences get count tokens each from position first on. */
static void bench_forward(const bench *b, mg_model *model, mg_kv_cache *cache, const char *what,
                          int64_t run_count, int64_t first, int64_t count, int64_t at_once)
{
    double total_ms = 0.0;
    int64_t rows = MG_MIN(at_once, run_count) * count;
    forward_step step = { .b = b, .model = model };
    int32_t *tokens = mg_new_array(int32_t, rows);
    mg_run *runs = mg_new_array(mg_run, run_count);
    int64_t *logit_rows = mg_new_array(int64_t, run_count);
    for (int64_t i = 0; i < rows; i++) {
        tokens[i] = (int32_t)(i * 7919 % VOCAB);
    }
    step.ids = device_block(b, SLOTS * sizeof(int32_t));
    step.args.logits_out = device_block(b, (size_t)SLOTS * VOCAB * sizeof(float));
    for (int64_t begin = 0; begin < run_count; begin += at_once) {
        int64_t part = MG_MIN(at_once, run_count - begin);
        for (int64_t i = 0; i < part; i++) {
            mg_run run = { begin + i, first, count, 0 };
            runs[i] = run;
            logit_rows[i] = (i + 1) * count - 1;
        }
        step.args.cache = cache;
        step.args.tokens = tokens;
        step.args.token_count = part * count;
        step.args.runs = runs;
        step.args.run_count = part;
        step.args.logit_rows = logit_rows;
        step.args.logit_count = part;
        total_ms += median_ms(b, count > 1 ? 3 : 21, run_forward, &step);
    }
    double layer_weights = (double)HIDDEN * (HIDDEN * 2 + KV_HEADS * HEAD_DIM * 2 + INNER * 3);
    double weights = layer_weights * (double)b->layers + (double)HIDDEN * VOCAB;
    double kv_bytes = (double)b->layers * 2 * KV_HEADS * HEAD_DIM * 2 * (double)(first + count) *
                      (double)run_count;
    double flops = 2.0 * (layer_weights * (double)b->layers * (double)(run_count * count) +
                          (double)HIDDEN * VOCAB * (double)run_count);
    /* A decode step reads its weights or multiplies, whichever takes longer, and reads the cache.
     */
    double read_ms = weights * 2 / b->copy_bytes * 1e3;
    double multiply_ms = flops / b->matrix_flops * 1e3;
    double limit =
        MG_MAX(read_ms, multiply_ms) + (count > 1 ? 0.0 : kv_bytes / b->copy_bytes * 1e3);
    report(what, total_ms, limit);
    b->device->free(b->device, step.ids);
    b->device->free(b->device, step.args.logits_out);
    mg_free(tokens);
    mg_free(runs);
    mg_free(logit_rows);
}

/* --- Single operations of a decode step: weights of several layers in turn, so that no cache helps
 */

#define LAYER_SETS 6

typedef struct op_step {
    const bench *b;
    int64_t rows;
    mg_weight weights[4][LAYER_SETS]; /* qkv, out, gate and up, down */
    mg_kv kv[LAYER_SETS];
    float *x, *wide, *tables, *norm;
    int32_t *slots, *positions;
    mg_kv_run *runs;
    float *scratch;
    int which; /* place in the table of names */
} op_step;

static void run_product(const op_step *step, int layer, int matrix)
{
    const bench *b = step->b;
    mg_error err;
    mg_weight w = step->weights[matrix][layer];
    bool adds = matrix == 1; /* to the residual stream */
    mg_linear_args args = { adds ? step->x : step->wide,
                            adds ? step->wide : step->x,
                            w,
                            NULL,
                            adds ? step->x : NULL,
                            step->rows,
                            w.in_dim,
                            w.out_dim };
    must(b->device->nn->linear(b->stream, &args, &err), &err);
}

static void run_mlp(const op_step *step, int layer)
{
    const bench *b = step->b;
    mg_error err;
    mg_mlp_args args = { step->x,
                         step->wide,
                         step->weights[2][layer],
                         step->weights[3][layer],
                         NULL,
                         step->x,
                         step->scratch,
                         step->rows,
                         HIDDEN,
                         HIDDEN,
                         MG_NN_SILU };
    must(b->device->nn->mlp(b->stream, &args, &err), &err);
}

static void run_rotation(const op_step *step, int layer)
{
    const bench *b = step->b;
    const int64_t qkv = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
    mg_error err;
    float *k = step->wide + HEADS * HEAD_DIM;
    mg_rope_store_args args = { { step->wide, step->tables, step->tables, step->positions,
                                  step->rows, qkv, HEADS + KV_HEADS, HEAD_DIM, HEAD_DIM },
                                { step->kv[layer], k, k + KV_HEADS * HEAD_DIM, qkv, step->slots,
                                  step->positions, step->rows } };
    must(b->device->nn->rope_store(b->stream, &args, &err), &err);
}

static void run_attention(const op_step *step, int layer)
{
    const bench *b = step->b;
    mg_error err;
    mg_attention_args args = { .out = step->x,
                               .q = step->wide,
                               .q_stride = (HEADS + 2 * KV_HEADS) * HEAD_DIM,
                               .out_stride = HIDDEN,
                               .kv = step->kv[layer],
                               .heads = HEADS,
                               .runs = step->runs,
                               .run_count = step->rows,
                               .rows = step->rows,
                               .run_rows_max = 1,
                               .scale = 0.088f };
    must(b->device->nn->attention(b->stream, &args, &err), &err);
}

static void run_op(void *context)
{
    op_step *step = context;
    const bench *b = step->b;
    mg_error err;
    for (int l = 0; l < LAYER_SETS; l++) {
        mg_rmsnorm_args norm = { step->wide, step->x, step->norm, step->rows, 1,    HIDDEN,
                                 HIDDEN,     HIDDEN,  1e-5f,      0.0f,       false };
        switch (step->which) {
        case 0:
        case 1:
            run_product(step, l, step->which);
            break;
        case 2:
            run_mlp(step, l);
            break;
        case 3:
            must(b->device->nn->rmsnorm(b->stream, &norm, &err), &err);
            break;
        case 4:
            run_rotation(step, l);
            break;
        default:
            run_attention(step, l);
            break;
        }
    }
}

/* Microseconds of each operation at a batch of rows sequences with a context of 400. */
static void bench_operations(const bench *b, int64_t rows)
{
    static const char *const names[] = { "qkv", "out", "mlp", "norm", "rope", "attention" };
    static const int64_t shapes[4][2] = { { (HEADS + 2 * KV_HEADS) * HEAD_DIM, HIDDEN },
                                          { HIDDEN, HIDDEN },
                                          { 2 * INNER, HIDDEN },
                                          { HIDDEN, INNER } };
    mg_error err;
    op_step step;
    memset(&step, 0, sizeof(step));
    step.b = b;
    step.rows = rows;
    for (int m = 0; m < 4; m++) {
        for (int l = 0; l < LAYER_SETS; l++) {
            mg_weight w = { NULL, shapes[m][0], shapes[m][1], MG_BF16 };
            size_t bytes = (size_t)(w.out_dim * w.in_dim) * 2;
            w.data = device_block(b, bytes);
            must(b->device->upload(b->stream, w.data, b->noise, MG_MIN(bytes, NOISE_BYTES), &err),
                 &err);
            step.weights[m][l] = w;
        }
    }
    for (int l = 0; l < LAYER_SETS; l++) {
        mg_kv kv = { .blocks = SLOTS * POSITIONS / b->device->nn->kv_block,
                     .positions = b->device->nn->kv_block,
                     .kv_heads = KV_HEADS,
                     .head_dim = HEAD_DIM,
                     .dtype = MG_BF16,
                     .table_width = POSITIONS / b->device->nn->kv_block };
        int32_t *table = mg_new_array(int32_t, kv.blocks);
        for (int64_t i = 0; i < kv.blocks; i++) {
            table[i] = (int32_t)i;
        }
        int32_t *device_table = device_block(b, (size_t)kv.blocks * sizeof(int32_t));
        must(b->device->upload(b->stream, device_table, table, (size_t)kv.blocks * sizeof(int32_t),
                               &err),
             &err);
        mg_free(table);
        kv.table = device_table;
        size_t bytes = 0;
        must(b->device->nn->kv_bytes(&kv, &bytes, &err), &err);
        kv.data = device_block(b, bytes);
        step.kv[l] = kv;
    }
    int32_t ints[SLOTS * 6];
    for (int32_t i = 0; i < SLOTS; i++) {
        mg_kv_run run = { i, 400, 1, i };
        ints[i] = i;
        ints[SLOTS + i] = 400;
        memcpy(ints + 2 * SLOTS + 4 * i, &run, sizeof(run));
    }
    int32_t *device_ints = device_block(b, sizeof(ints));
    must(b->device->upload(b->stream, device_ints, ints, sizeof(ints), &err), &err);
    step.slots = device_ints;
    step.positions = device_ints + SLOTS;
    step.runs = (mg_kv_run *)(void *)(device_ints + 2 * SLOTS);
    step.x = device_block(b, (size_t)SLOTS * HIDDEN * 4);
    step.wide = device_block(b, (size_t)SLOTS * 2 * INNER * 4);
    step.tables = device_block(b, (size_t)POSITIONS * HEAD_DIM * 4);
    step.norm = device_block(b, HIDDEN * 4);
    step.scratch = device_block(b, (size_t)SLOTS * 2 * INNER * 4);
    const double elements[] = { (double)(shapes[0][0] * shapes[0][1]),
                                (double)(shapes[1][0] * shapes[1][1]),
                                (double)(shapes[2][0] * shapes[2][1] + shapes[3][0] * shapes[3][1]),
                                0.0,
                                0.0,
                                0.0 };
    for (step.which = 0; step.which < MG_ARRAY_COUNT(names); step.which++) {
        double ms = median_ms(b, 21, run_op, &step);
        double multiply_ms = elements[step.which] * 2 * (double)rows / b->matrix_flops * 1e3;
        double bytes = step.which == 5 ? (double)rows * 401 * KV_HEADS * HEAD_DIM * 4
                                       : elements[step.which] * 2;
        char what[64];
        (void)snprintf(what, sizeof(what), "batch %d: %s", (int)rows, names[step.which]);
        report(what, ms / LAYER_SETS, MG_MAX(bytes / b->copy_bytes * 1e3, multiply_ms));
    }
    for (int m = 0; m < 4; m++) {
        for (int l = 0; l < LAYER_SETS; l++) {
            b->device->free(b->device, step.weights[m][l].data);
        }
    }
    for (int l = 0; l < LAYER_SETS; l++) {
        b->device->free(b->device, step.kv[l].data);
        b->device->free(b->device, (void *)(uintptr_t)step.kv[l].table);
    }
    void *blocks[] = { device_ints, step.x, step.wide, step.tables, step.norm, step.scratch };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(blocks); i++) {
        b->device->free(b->device, blocks[i]);
    }
}

/* --- One candidate: its merge straight into the model, then 250 answers of realistic lengths */

#define ANSWERS 250
#define PROMPT 180
#define ANSWER_MEAN 300
#define ANSWER_MAX 1000

/* As the executor merges on a card: dare_ties of two sources over a base, into the model's sink. */
static void merge_tensor(const bench *b, mg_sink *sink, const char *name, mg_shape shape)
{
    mg_error err;
    void *data;
    int64_t count = mg_shape_count(&shape);
    mg_view spec = { mg_str_of(name), NULL, (size_t)count * 2, MG_BF16, shape };
    static size_t at;
    at = at + spec.bytes > SOURCE_BYTES ? 0 : at;
    must(sink->ops->reserve_on_device(sink, &spec, b->stream, &data, &err), &err);
    mg_mix_source sources[2];
    memset(sources, 0, sizeof(sources));
    for (int k = 0; k < 2; k++) {
        mg_mix_source source = { { b->sources[1 + k] + at, MG_BF16 },
                                 0.4,
                                 MG_MASK_COUNTER,
                                 NULL,
                                 (uint32_t)count,
                                 (uint32_t)k,
                                 0x8000u,
                                 true,
                                 2.0 };
        sources[k] = source;
    }
    mg_task_args args;
    memset(&args, 0, sizeof(args));
    args.out = data;
    args.out_dtype = MG_BF16;
    args.work = MG_BF16;
    args.wide = true;
    args.base.data = b->sources[0] + at;
    args.base.dtype = MG_BF16;
    args.sources = sources;
    args.source_count = 2;
    args.consensus = true;
    args.divisor = 1.0;
    args.lambda = shape.rank == 1 ? 0.0 : 1.0; /* norms stay near what they are */
    args.count = count;
    must(b->device->mix->task(b->stream, &args, &err), &err);
    at += spec.bytes;
    must(sink->ops->commit(sink, &err), &err);
}

static bool take_answer(void *context, int64_t index, const mg_generation *result)
{
    (void)index;
    *(int64_t *)context += result->id_count;
    return true;
}

/* Lengths with a long tail and the wanted mean: exponential behind a minimum, cut at the longest. */
static void draw_lengths(int64_t lengths[ANSWERS])
{
    mg_rng rng = mg_rng_make(7, MG_STREAM_ITEMS);
    for (int i = 0; i < ANSWERS; i++) {
        double u = ((double)mg_rng_word(&rng) + 0.5) / 4294967296.0;
        lengths[i] = MG_MIN((int64_t)(40.0 - (ANSWER_MEAN - 25.0) * log(u)), (int64_t)ANSWER_MAX);
    }
}

/* What the answers cost at least: prefill, then each step with the texts that are left. */
static double answers_limit_ms(const bench *b, const int64_t lengths[ANSWERS])
{
    double layer = (double)HIDDEN * (HIDDEN * 2 + KV_HEADS * HEAD_DIM * 2 + INNER * 3);
    double weights = layer * (double)b->layers + (double)HIDDEN * VOCAB;
    double token_bytes = (double)b->layers * 2 * KV_HEADS * HEAD_DIM * 2;
    double seconds = 2.0 * layer * (double)b->layers * ANSWERS * PROMPT / b->matrix_flops;
    for (int64_t t = 1; t < ANSWER_MAX; t++) {
        double batch = 0.0;
        for (int i = 0; i < ANSWERS; i++) {
            batch += lengths[i] > t ? 1.0 : 0.0;
        }
        double read = weights * 2.0 / b->copy_bytes;
        double multiply = weights * 2.0 * batch / b->matrix_flops;
        seconds += batch > 0.0 ? MG_MAX(read, multiply) +
                                     token_bytes * batch * (double)(PROMPT + t) / b->copy_bytes
                               : 0.0;
    }
    return seconds * 1e3;
}

static void make_sources(bench *b)
{
    mg_error err;
    for (int k = 0; k < 3; k++) {
        b->sources[k] = device_block(b, SOURCE_BYTES);
        for (size_t at = 0; at < SOURCE_BYTES; at += NOISE_BYTES) {
            must(b->device->upload(b->stream, b->sources[k] + at, b->noise, NOISE_BYTES, &err),
                 &err);
        }
    }
    b->flag = device_block(b, sizeof(uint32_t));
}

static void free_sources(bench *b)
{
    for (int k = 0; k < 3; k++) {
        b->device->free(b->device, b->sources[k]);
    }
    b->device->free(b->device, b->flag);
}

/* The merge of one candidate, with its look for values that are not finite; milliseconds. */
static double merge_candidate(const bench *b, mg_model *model)
{
    mg_error err;
    uint32_t raised = 0;
    double begin = mg_clock_now(NULL);
    must(b->device->mix->watch(b->stream, b->flag, &err), &err);
    each_tensor(b, model, merge_tensor);
    must(b->device->mix->watch(b->stream, NULL, &err), &err);
    must(b->device->download(b->stream, &raised, b->flag, sizeof(raised), &err), &err);
    if (raised != 0) {
        (void)fprintf(stderr, "bench_cuda: the merge is not finite\n");
        exit(1);
    }
    return (mg_clock_now(NULL) - begin) * 1e3;
}

static void bench_candidate_merges(bench *b, mg_model *model)
{
    double elements = (double)mg_model_bytes(model) / 2;
    make_sources(b);
    for (int round = 0; round < 4; round++) {
        report("candidate: merge alone", merge_candidate(b, model),
               elements * 8.0 / b->copy_bytes * 1e3);
    }
    free_sources(b);
}

static void bench_candidate(bench *b, mg_model *model)
{
    mg_error err;
    int64_t lengths[ANSWERS];
    int64_t tokens = 0;
    mg_engine *engine = NULL;
    mg_generate_request requests[ANSWERS];
    int32_t *ids = mg_new_array(int32_t, ANSWERS * PROMPT);
    memset(requests, 0, sizeof(requests));
    draw_lengths(lengths);
    make_sources(b);
    for (int i = 0; i < ANSWERS * PROMPT; i++) {
        ids[i] = (int32_t)((int64_t)i * 7919 % VOCAB);
    }
    for (int i = 0; i < ANSWERS; i++) {
        requests[i].ids = ids + (int64_t)i * PROMPT;
        requests[i].id_count = PROMPT;
        requests[i].max_new_tokens = lengths[i];
        requests[i].ignore_eos = true;
    }
    must(mg_engine_create(model, NULL, NULL, NULL, &engine, &err), &err);
    double elements = (double)mg_model_bytes(model) / 2;
    for (int round = 0; round < 2; round++) { /* the second one is what a search sees */
        double begin = mg_clock_now(NULL);
        (void)merge_candidate(b, model);
        double merged = mg_clock_now(NULL);
        mg_engine_stats_reset(engine);
        tokens = 0;
        must(mg_engine_generate(engine, requests, ANSWERS, take_answer, &tokens, &err), &err);
        double end = mg_clock_now(NULL);
        if (round == 1) {
            mg_engine_stats stats = mg_engine_stats_get(engine);
            double merge_limit = elements * 8.0 / b->copy_bytes * 1e3;
            double answer_limit = answers_limit_ms(b, lengths);
            report("candidate: merge", (merged - begin) * 1e3, merge_limit);
            report("candidate: 250 answers", (end - merged) * 1e3, answer_limit);
            report("candidate: host between passes",
                   (end - merged - stats.prefill_seconds - stats.decode_seconds) * 1e3, 0.0);
            report("candidate: whole", (end - begin) * 1e3, merge_limit + answer_limit);
            printf("# %d answers of %d tokens on average, %d decode steps\n", ANSWERS,
                   (int)(tokens / ANSWERS), (int)stats.decode_steps);
        }
    }
    mg_engine_destroy(engine);
    free_sources(b);
    mg_free(ids);
}

int main(int argc, char **argv)
{
    mg_error err;
    bench b = { .layers = argc > 1 ? atoi(argv[1]) : 32 };
    must(mg_device_cuda(0, &b.device, &err), &err);
    must(b.device->stream_create(b.device, NULL, &b.stream, &err), &err);
    b.noise = mg_new_array(uint16_t, (int64_t)(NOISE_BYTES / 2));
    mg_rng rng = mg_rng_make(1, MG_STREAM_ITEMS);
    for (size_t i = 0; i < NOISE_BYTES / 2; i++) {
        /* Normal enough: a sum of four bytes, of standard deviation 0.02. */
        uint32_t word = mg_rng_word(&rng);
        int sum = (int)(word & 255) + (int)(word >> 8 & 255) + (int)(word >> 16 & 255) +
                  (int)(word >> 24) - 510;
        b.noise[i] = mg_bf16_from_f32((float)sum * (0.02f / 148.0f));
    }
    must(mg_cuda_probe(b.device, &b.copy_bytes, &b.matrix_flops, &err), &err);
    printf("# %s: copy %.2f TB/s, bfloat16 products %.0f TFLOP/s, %d layers\n", b.device->name,
           b.copy_bytes / 1e12, b.matrix_flops / 1e12, (int)b.layers);
    printf("what,ms,limit_ms,ratio\n");
    bench_merge(&b);
    bench_methods(&b);
    if (argc > 2) {
        mg_model *target = make_model(&b);
        bench_candidate_merges(&b, target);
        mg_model_destroy(target);
        return 0;
    }
    bench_operations(&b, 8);
    bench_operations(&b, 64);
    bench_operations(&b, 250);
    mg_model *model = make_model(&b);
    each_tensor(&b, model, fill_tensor);
    mg_kv_cache *cache = NULL;
    must(mg_kv_cache_create(model, SLOTS, POSITIONS, 0, &cache, &err), &err);
    bench_forward(&b, model, cache, "prefill 250 x 180", 250, 0, 180, 50);
    bench_forward(&b, model, cache, "fill the cache to 400", 250, 180, 220, 50);
    bench_forward(&b, model, cache, "decode batch 8 context 400", 8, 400, 1, 8);
    bench_forward(&b, model, cache, "decode batch 64 context 400", 64, 400, 1, 64);
    bench_forward(&b, model, cache, "decode batch 250 context 400", 250, 400, 1, 250);
    mg_kv_cache_destroy(cache);
    bench_candidate(&b, model);
    mg_model_destroy(model);
    b.device->stream_destroy(b.stream);
    mg_free(b.noise);
    return 0;
}
