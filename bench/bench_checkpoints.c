/* bench/bench_checkpoints.c - synthetic checkpoints for bench/merge, and the floor of merging them.
 *
 *     bench_checkpoints make FOLDER SEED
 *     bench_checkpoints floor THREADS OUT BYTES FILE...
 *
 * `make` writes a checkpoint of 0.5 B parameters in bfloat16 with the shapes of Qwen2.5-0.5B (24
 * layers, 151,936 tokens, tied): normal values of seed 0 everywhere, and for any other seed as much
 * noise on them as a fine-tune leaves.
 *
 * `floor` is what no merge can go below: it reads all FILEs once through mappings, each byte added
 * up, writes BYTES to OUT and syncs it, with THREADS threads that share both. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/rng.h"
#include "tensor/dtype.h"
#include "tensor/safetensors.h"

enum { LAYERS = 24, HIDDEN = 896, INNER = 4864, KEYS = 128, TOKENS = 151936 };

#define TABLE_COUNT ((int64_t)1 << 20)
#define RUN_COUNT ((int64_t)4096) /* elements copied from one place of the table */
#define READ_BLOCK ((size_t)1 << 20)
#define FILES_MAX 16

static void die(const mg_error *err)
{
    (void)fprintf(stderr, "bench_checkpoints: %s\n", err->message);
    exit(4);
}

/* --- make ------------------------------------------------------------------------------------- */

typedef struct maker {
    mg_arena arena;
    mg_view views[LAYERS * 12 + 2];
    int64_t count;
} maker;

static void add(maker *m, const char *name, int64_t rows, int64_t columns)
{
    mg_view *view = &m->views[m->count++];
    view->name = mg_arena_copy(&m->arena, mg_str_of(name));
    view->dtype = MG_BF16;
    view->shape = columns > 0 ? mg_shape_2d(rows, columns) : mg_shape_1d(rows);
    view->bytes = (size_t)(rows * (columns > 0 ? columns : 1)) * 2;
}

static void add_layer(maker *m, int layer)
{
    static const struct {
        const char *name;
        int rows, columns;
    } tensors[] = {
        { "input_layernorm.weight", HIDDEN, 0 },
        { "mlp.down_proj.weight", HIDDEN, INNER },
        { "mlp.gate_proj.weight", INNER, HIDDEN },
        { "mlp.up_proj.weight", INNER, HIDDEN },
        { "post_attention_layernorm.weight", HIDDEN, 0 },
        { "self_attn.k_proj.bias", KEYS, 0 },
        { "self_attn.k_proj.weight", KEYS, HIDDEN },
        { "self_attn.o_proj.weight", HIDDEN, HIDDEN },
        { "self_attn.q_proj.bias", HIDDEN, 0 },
        { "self_attn.q_proj.weight", HIDDEN, HIDDEN },
        { "self_attn.v_proj.bias", KEYS, 0 },
        { "self_attn.v_proj.weight", KEYS, HIDDEN },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(tensors); i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "model.layers.%d.%s", layer, tensors[i].name);
        add(m, name, tensors[i].rows, tensors[i].columns);
    }
}

/* bfloat16 values of a fixed table of normal numbers, and of that table with the seed's noise. */
static uint16_t *make_table(uint64_t seed)
{
    mg_rng base = mg_rng_make(0, MG_STREAM_ITEMS);
    mg_rng noise = mg_rng_make(seed, MG_STREAM_ITEMS);
    uint16_t *table = mg_new_array(uint16_t, TABLE_COUNT + RUN_COUNT);
    for (int64_t i = 0; i < TABLE_COUNT + RUN_COUNT; i++) {
        double value = 0.02 * mg_rng_normal(&base);
        value += seed == 0 ? 0.0 : 0.001 * mg_rng_normal(&noise);
        mg_dtype_convert(&table[i], MG_BF16, &value, MG_F64, 1);
    }
    return table;
}

static void make(const char *folder, uint64_t seed)
{
    mg_error err;
    maker m = { 0 };
    add(&m, "model.embed_tokens.weight", TOKENS, HIDDEN);
    add(&m, "model.norm.weight", HIDDEN, 0);
    for (int layer = 0; layer < LAYERS; layer++) {
        add_layer(&m, layer);
    }
    uint16_t *table = make_table(seed);
    mg_rng places = mg_rng_make(1, MG_STREAM_ITEMS); /* the same for every seed */
    for (int64_t i = 0; i < m.count; i++) {
        void *block;
        if (mg_memory_try(m.views[i].bytes, "a tensor", &block, &err) != MG_OK) {
            die(&err);
        }
        uint16_t *values = (uint16_t *)block;
        int64_t count = (int64_t)(m.views[i].bytes / 2);
        for (int64_t at = 0; at < count; at += RUN_COUNT) {
            int64_t from = (int64_t)mg_rng_below(&places, (uint64_t)TABLE_COUNT);
            memcpy(values + at, table + from, (size_t)MG_MIN(RUN_COUNT, count - at) * 2);
        }
        m.views[i].data = block;
    }
    mg_str path = mg_arena_printf(&m.arena, "%s/model.safetensors", folder);
    if (mg_safetensors_write(path.data, m.views, m.count, &err) != MG_OK) {
        die(&err);
    }
}

/* --- floor ------------------------------------------------------------------------------------ */

typedef struct floor_task {
    mg_mapping files[FILES_MAX];
    int file_count;
    size_t block_first[FILES_MAX + 1]; /* number of the first read block of a file */
    int fd;
    size_t out_bytes;
    size_t out_blocks;
    uint64_t *sums; /* by worker, so that reading cannot be left out */
    const char *block;
} floor_task;

/* Block after block, an output one in as many input ones as there are. */
static void floor_block(void *context, int64_t index, int worker)
{
    floor_task *task = (floor_task *)context;
    size_t reads = task->block_first[task->file_count];
    size_t at = (size_t)index;
    size_t writes = (at + 1) * task->out_blocks / reads;
    for (size_t w = at * task->out_blocks / reads; w < writes; w++) {
        size_t offset = w * READ_BLOCK;
        size_t size = MG_MIN(READ_BLOCK, task->out_bytes - offset);
        if (pwrite(task->fd, task->block, size, (off_t)offset) != (ssize_t)size) {
            perror("bench_checkpoints: pwrite");
            exit(4);
        }
        (void)sync_file_range(task->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
    }
    int file = 0;
    while (at >= task->block_first[file + 1]) {
        file++;
    }
    size_t offset = (at - task->block_first[file]) * READ_BLOCK;
    size_t words = MG_MIN(READ_BLOCK, task->files[file].size - offset) / sizeof(uint64_t);
    const char *bytes = (const char *)task->files[file].data + offset;
    uint64_t sum = 0;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, bytes + i * sizeof(word), sizeof(word));
        sum += word;
    }
    task->sums[worker * 8] += sum;
}

static void run_floor(floor_task *task, mg_pool *pool, const char *out, char **files)
{
    mg_error err;
    for (int i = 0; i < task->file_count; i++) {
        if (mg_mapping_open(files[i], &task->files[i], &err) != MG_OK) {
            die(&err);
        }
        size_t blocks = (task->files[i].size + READ_BLOCK - 1) / READ_BLOCK;
        task->block_first[i + 1] = task->block_first[i] + blocks;
    }
    task->fd = open(out, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (task->fd < 0) {
        perror(out);
        exit(4);
    }
    (void)fallocate(task->fd, 0, 0, (off_t)task->out_bytes);
    mg_pool_run(pool, (int64_t)task->block_first[task->file_count], floor_block, task);
    if (fsync(task->fd) != 0 || close(task->fd) != 0) {
        perror(out);
        exit(4);
    }
    for (int i = 0; i < task->file_count; i++) {
        mg_mapping_close(&task->files[i]);
    }
    (void)unlink(out);
}

static void measure_floor(int threads, const char *out, size_t bytes, int count, char **files)
{
    mg_pool *pool = mg_pool_create(threads);
    floor_task task = { 0 };
    task.file_count = count;
    task.out_bytes = bytes;
    task.out_blocks = (bytes + READ_BLOCK - 1) / READ_BLOCK;
    task.sums = mg_new_array(uint64_t, 8 * mg_pool_threads(pool));
    char *block = mg_new_array(char, (int64_t)READ_BLOCK);
    memset(block, 1, READ_BLOCK);
    task.block = block;
    run_floor(&task, pool, out, files);
    mg_pool_destroy(pool);
    mg_free(task.sums);
    mg_free(block);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "make") == 0) {
        make(argv[2], strtoull(argv[3], NULL, 10));
        return 0;
    }
    if (argc > 5 && argc <= 5 + FILES_MAX && strcmp(argv[1], "floor") == 0) {
        measure_floor(atoi(argv[2]), argv[3], strtoull(argv[4], NULL, 10), argc - 5, argv + 5);
        return 0;
    }
    (void)fprintf(stderr, "usage: bench_checkpoints make FOLDER SEED\n"
                          "       bench_checkpoints floor THREADS OUT BYTES FILE...\n");
    return 2;
}
