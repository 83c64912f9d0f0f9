/* merge/adapter.c - reading PEFT's LoRA folders and applying them. */
#include "merge/adapter.h"

#include <math.h>

#include "base/fs.h"
#include "base/map.h"
#include "base/memory.h"
#include "compute/ops_mix.h"
#include "tensor/safetensors.h"
#include "text/json.h"

#define ADAPTER_CONFIG_BYTES_MAX ((size_t)4 << 20)
#define ADAPTER_RANK_MAX 65536
/* Rows of a weight that one task changes. */
#define ADAPTER_ROWS 16 /* of a product that are made together */

typedef struct named_target {
    mg_str name; /* of the weight */
    mg_adapter_target target;
} named_target;

struct mg_adapter {
    mg_arena arena;
    mg_safetensors *file;
    mg_value config;
    mg_view *views; /* of the file */
    named_target *targets;
    int64_t count;
    mg_map by_name;
};

void mg_adapter_close(mg_adapter *adapter)
{
    if (adapter == NULL) {
        return;
    }
    mg_map_release(&adapter->by_name);
    mg_safetensors_close(adapter->file);
    mg_arena_release(&adapter->arena);
    mg_free(adapter);
}

static bool flag(const mg_value *config, const char *key)
{
    const mg_value *value = mg_value_get(config, key);
    return value != NULL && value->kind == MG_BOOL && value->boolean;
}

/* Refuses what would need more than W + s * (B * A). */
static mg_status check_config(const mg_value *config, const char *path, mg_error *err)
{
    static const char *const unsupported[] = { "use_dora", "use_qalora", "lora_bias" };
    const mg_value *type = mg_value_get(config, "peft_type");
    if (type == NULL || type->kind != MG_STRING || !mg_str_is(type->string, "LORA")) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: peft_type is not LORA", path);
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(unsupported); i++) {
        if (flag(config, unsupported[i])) {
            return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: '%s' adapters cannot be merged", path,
                           unsupported[i]);
        }
    }
    static const struct {
        const char *key;
        mg_kind kind;
    } kinds[] = { { "use_rslora", MG_BOOL },
                  { "fan_in_fan_out", MG_BOOL },
                  { "rank_pattern", MG_MAP },
                  { "alpha_pattern", MG_MAP },
                  { "bias", MG_STRING } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        const mg_value *value = mg_value_get(config, kinds[i].key);
        if (!mg_value_is_null(value) && value->kind != kinds[i].kind) {
            return mg_fail(err, MG_ERR_FORMAT, "%s: '%s' is %s, must be %s", path, kinds[i].key,
                           mg_kind_name(value->kind), mg_kind_name(kinds[i].kind));
        }
    }
    const mg_value *bias = mg_value_get(config, "bias");
    if (bias != NULL && bias->kind == MG_STRING && !mg_str_is(bias->string, "none")) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: adapters that train biases cannot be merged",
                       path);
    }
    return MG_OK;
}

/* The entry of a pattern map whose key is the module's name or a suffix of it after a dot. */
static const mg_value *pattern_value(const mg_value *config, const char *key, mg_str module)
{
    const mg_value *map = mg_value_get(config, key);
    for (int64_t i = 0; map != NULL && map->kind == MG_MAP && i < map->count; i++) {
        const mg_value *pattern = &map->entries[i].key;
        if (pattern->kind != MG_STRING || pattern->string.size > module.size) {
            continue;
        }
        mg_str tail = mg_str_slice(module, module.size - pattern->string.size, module.size);
        bool whole = tail.size == module.size || module.data[module.size - tail.size - 1] == '.';
        if (whole && mg_str_equal(tail, pattern->string)) {
            return &map->entries[i].value;
        }
    }
    return NULL;
}

static mg_status scale_of(const mg_adapter *adapter, mg_str module, int64_t rank, double *scale_out,
                          mg_error *err)
{
    const mg_value *alpha_value = pattern_value(&adapter->config, "alpha_pattern", module);
    double alpha;
    if (!mg_value_to_double(alpha_value, &alpha) &&
        !mg_value_to_double(mg_value_get(&adapter->config, "lora_alpha"), &alpha)) {
        return mg_fail(err, MG_ERR_FORMAT, "adapter_config.json: 'lora_alpha' must be a number");
    }
    if (!isfinite((float)alpha)) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "adapter_config.json: the alpha of %.*s is %g, must be a finite number",
                       MG_STR_ARG(module), alpha);
    }
    const mg_value *patterns = mg_value_get(&adapter->config, "rank_pattern");
    const mg_value *stated = mg_value_get(&adapter->config, "r");
    int64_t r;
    bool varies = patterns != NULL && patterns->kind == MG_MAP && patterns->count > 0;
    if (stated != NULL && !varies && (!mg_value_to_int(stated, &r) || r != rank)) {
        return mg_fail(
            err, MG_ERR_FORMAT,
            "adapter_config.json: 'r' does not fit the matrices of %.*s, whose rank is %lld",
            MG_STR_ARG(module), (long long)rank);
    }
    bool stable = flag(&adapter->config, "use_rslora");
    *scale_out = stable ? alpha / sqrt((double)rank) : alpha / (double)rank;
    return MG_OK;
}

/* The target of the weight that module names, made when it is new. */
static mg_adapter_target *target_of(mg_adapter *adapter, mg_str module, bool with_suffix)
{
    mg_str name = with_suffix ? mg_arena_printf(&adapter->arena, "%.*s.weight", MG_STR_ARG(module))
                              : mg_arena_copy(&adapter->arena, module);
    int64_t index = mg_map_get(&adapter->by_name, name, -1);
    if (index < 0) {
        index = adapter->count++;
        adapter->targets[index].name = name;
        mg_map_set(&adapter->by_name, name, index);
    }
    return &adapter->targets[index].target;
}

/* Sorts one tensor of the file into its target. */
static mg_status add_tensor(mg_adapter *adapter, const mg_view *view, mg_error *err)
{
    static const struct {
        const char *suffix;
        bool embedding, is_a;
    } kinds[] = { { ".lora_A.weight", false, true },
                  { ".lora_B.weight", false, false },
                  { ".lora_embedding_A", true, true },
                  { ".lora_embedding_B", true, false } };
    mg_str name = view->name;
    if (mg_str_starts(name, "base_model.model.")) {
        name = mg_str_slice(name, strlen("base_model.model."), name.size);
    }
    if (view->shape.rank < 1 || view->shape.rank > 2 || !mg_dtype_is_float(view->dtype)) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%.*s: is no matrix of floating-point numbers",
                       MG_STR_ARG(view->name));
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        if (mg_str_ends(name, kinds[i].suffix)) {
            mg_str module = mg_str_slice(name, 0, name.size - strlen(kinds[i].suffix));
            mg_adapter_target *target = target_of(adapter, module, true);
            *(kinds[i].is_a ? &target->a : &target->b) = view;
            target->embedding = kinds[i].embedding;
            return MG_OK;
        }
    }
    if (mg_str_find(name, mg_str_of("lora_"), 0) >= 0) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%.*s: this kind of adapter tensor is not known",
                       MG_STR_ARG(view->name));
    }
    int64_t layer = mg_str_find(name, mg_str_of(".base_layer."), 0);
    if (layer >= 0) {
        mg_str module = mg_str_slice(name, 0, (size_t)layer);
        target_of(adapter, module, true)->base = view;
        return MG_OK;
    }
    /* What modules_to_save kept whole; some versions leave their wrapper in the name. */
    int64_t wrapper = mg_str_find(name, mg_str_of(".modules_to_save."), 0);
    mg_str module = name;
    if (wrapper >= 0) {
        mg_str tail = mg_str_slice(name, (size_t)wrapper + strlen(".modules_to_save."), name.size);
        module = mg_arena_printf(&adapter->arena, "%.*s.%.*s", (int)wrapper, name.data,
                                 MG_STR_ARG(tail));
    }
    target_of(adapter, module, false)->replacement = view;
    return MG_OK;
}

static mg_status finish_targets(mg_adapter *adapter, mg_error *err)
{
    bool transposed = flag(&adapter->config, "fan_in_fan_out");
    for (int64_t i = 0; i < adapter->count; i++) {
        mg_str name = adapter->targets[i].name;
        mg_adapter_target *target = &adapter->targets[i].target;
        if (target->a == NULL && target->b == NULL && target->base != NULL) {
            target->replacement = target->base;
        }
        if (target->replacement != NULL) {
            continue;
        }
        if (target->a == NULL || target->b == NULL || target->a->shape.rank != 2 ||
            target->b->shape.rank != 2 || target->a->shape.dims[0] != target->b->shape.dims[1] ||
            target->a->shape.dims[0] < 1 || target->a->shape.dims[0] > ADAPTER_RANK_MAX) {
            return mg_fail(err, MG_ERR_FORMAT, "%.*s: the adapter's two matrices do not fit",
                           MG_STR_ARG(name));
        }
        mg_str module = mg_str_slice(name, 0, name.size - strlen(".weight"));
        MG_TRY(scale_of(adapter, module, target->a->shape.dims[0], &target->scale, err));
        target->transposed = transposed && !target->embedding;
    }
    return MG_OK;
}

static mg_status read_adapter(mg_adapter *adapter, const char *folder, mg_error *err)
{
    mg_str config = mg_path_join(&adapter->arena, folder, "adapter_config.json");
    mg_str weights = mg_path_join(&adapter->arena, folder, "adapter_model.safetensors");
    MG_TRY(mg_json_read(config.data, ADAPTER_CONFIG_BYTES_MAX, &adapter->arena, &adapter->config,
                        err));
    MG_TRY(check_config(&adapter->config, config.data, err));
    MG_TRY(mg_safetensors_open(weights.data, &adapter->file, err));
    int64_t count = mg_safetensors_count(adapter->file);
    adapter->views = mg_arena_array(&adapter->arena, mg_view, count);
    adapter->targets = mg_arena_array(&adapter->arena, named_target, count);
    for (int64_t i = 0; i < count; i++) {
        adapter->views[i] = mg_safetensors_at(adapter->file, i);
        MG_TRY(add_tensor(adapter, &adapter->views[i], err));
    }
    MG_TRY(finish_targets(adapter, err));
    if (adapter->count == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "has no tensors");
    }
    return MG_OK;
}

mg_status mg_adapter_open(const char *folder, mg_adapter **adapter_out, mg_error *err)
{
    *adapter_out = NULL;
    mg_adapter *adapter = mg_new(mg_adapter);
    mg_status status = read_adapter(adapter, folder, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%s", folder);
        mg_adapter_close(adapter);
        return status;
    }
    *adapter_out = adapter;
    return MG_OK;
}

int64_t mg_adapter_target_count(const mg_adapter *adapter)
{
    return adapter->count;
}

mg_str mg_adapter_target_name(const mg_adapter *adapter, int64_t index)
{
    return adapter->targets[index].name;
}

const mg_adapter_target *mg_adapter_find(const mg_adapter *adapter, mg_str name)
{
    int64_t index = mg_map_get(&adapter->by_name, name, -1);
    return index < 0 ? NULL : &adapter->targets[index].target;
}

mg_status mg_adapter_check(const mg_adapter_target *target, const mg_view *weight, mg_error *err)
{
    char text[128];
    const mg_view *instead = target->replacement != NULL ? target->replacement : target->base;
    if (instead != NULL && !mg_shape_equal(&instead->shape, &weight->shape)) {
        weight = instead;
    } else if (target->replacement != NULL) {
        return MG_OK;
    } else if (weight->shape.rank == 2 && mg_dtype_is_float(weight->dtype)) {
        int64_t rows = target->embedding ? target->a->shape.dims[1] : target->b->shape.dims[0];
        int64_t columns = target->embedding ? target->b->shape.dims[0] : target->a->shape.dims[1];
        int row_dim = target->transposed ? 1 : 0;
        if (weight->shape.dims[row_dim] == rows && weight->shape.dims[1 - row_dim] == columns) {
            return MG_OK;
        }
    }
    return mg_fail(err, MG_ERR_FORMAT, "%.*s: the adapter does not fit its shape %s",
                   MG_STR_ARG(weight->name), mg_shape_text(&weight->shape, text, sizeof(text)));
}

/* delta[o, i] = sum over r of b[o, r] * a[r, i], with a row for each r. */
typedef struct apply_task {
    const mg_view *weight;
    mg_dtype dtype; /* of the result: the weight is rounded to it first */
    const mg_device *device;
    mg_stream *stream;
    const float *a; /* (rank, columns) */
    const float *b; /* (rows, rank) */
    float *rooms;   /* by worker: rows of the product, and one of the weight in float64 */
    int64_t rows, columns, rank;
    float scale;
    bool transposed; /* row o of the product is column o of the weight */
    bool rounded;    /* the product is rounded before it is added: embeddings */
    char *out;
} apply_task;

/* An element of the weight, in the type of the result. */
static double weight_at(const apply_task *task, int64_t at)
{
    const mg_dtype stored = task->weight->dtype;
    const size_t element = (size_t)(mg_dtype_bits(stored) / 8);
    char room[sizeof(double)];
    double x;
    mg_dtype_convert(room, task->dtype, (const char *)task->weight->data + (size_t)at * element,
                     stored, 1);
    mg_dtype_convert(&x, MG_F64, room, task->dtype, 1);
    return x;
}

/* Adds a row of changes where the weight's elements lie apart or need more digits. */
static void add_elements(const apply_task *task, int64_t row, const float *changes)
{
    const size_t element = (size_t)(mg_dtype_bits(task->dtype) / 8);
    for (int64_t i = 0; i < task->columns; i++) {
        int64_t at = task->transposed ? i * task->rows + row : row * task->columns + i;
        float sum = (float)(weight_at(task, at) + (double)changes[i]);
        mg_dtype_convert(task->out + (size_t)at * element, task->dtype, &sum, MG_F32, 1);
    }
}

/* The same where they are a row of 32 bits at most; room takes a row. */
static void add_row(const apply_task *task, int64_t row, const float *changes, float *room)
{
    const mg_dtype dtype = task->dtype;
    const mg_dtype stored = task->weight->dtype;
    const char *from = (const char *)task->weight->data +
                       (size_t)(row * task->columns) * (size_t)(mg_dtype_bits(stored) / 8);
    char *out = task->out + (size_t)(row * task->columns) * (size_t)(mg_dtype_bits(dtype) / 8);
    mg_dtype_convert(out, dtype, from, stored, task->columns);
    mg_dtype_convert(room, MG_F32, out, dtype, task->columns);
    for (int64_t i = 0; i < task->columns; i++) {
        room[i] += changes[i];
    }
    mg_dtype_convert(out, dtype, room, MG_F32, task->columns);
}

static void apply_rows(void *context, int64_t index, int worker)
{
    const apply_task *task = (const apply_task *)context;
    const int64_t first = index * ADAPTER_ROWS;
    const int64_t count = MG_MIN(ADAPTER_ROWS, task->rows - first);
    float *changes = task->rooms + (int64_t)worker * (ADAPTER_ROWS + 2) * task->columns;
    float *room = changes + ADAPTER_ROWS * task->columns;
    mg_product_args product = { changes,       task->b + first * task->rank,
                                task->a,       count,
                                task->columns, task->rank };
    (void)task->device->mix->product(task->stream, &product,
                                     NULL); /* host operations cannot fail */
    for (int64_t o = 0; o < count; o++) {
        float *row = changes + o * task->columns;
        for (int64_t i = 0; i < task->columns; i++) {
            row[i] *= task->scale;
        }
        if (task->rounded) {
            mg_dtype_convert(room, task->dtype, row, MG_F32, task->columns);
            mg_dtype_convert(row, MG_F32, room, task->dtype, task->columns);
        }
        if (task->transposed || task->dtype == MG_F64) {
            add_elements(task, first + o, row);
        } else {
            add_row(task, first + o, row, room);
        }
    }
}

/* from as float32, transposed when asked. */
static void to_floats(const mg_view *from, bool transpose, float *to)
{
    int64_t rows = from->shape.dims[0];
    int64_t columns = from->shape.dims[1];
    if (!transpose) {
        mg_dtype_convert(to, MG_F32, from->data, from->dtype, rows * columns);
        return;
    }
    const size_t element = (size_t)(mg_dtype_bits(from->dtype) / 8);
    for (int64_t i = 0; i < rows * columns; i++) {
        mg_dtype_convert(&to[i % columns * rows + i / columns], MG_F32,
                         (const char *)from->data + (size_t)i * element, from->dtype, 1);
    }
}

mg_status mg_adapter_apply(const mg_adapter_target *target, const mg_view *weight, mg_dtype dtype,
                           const mg_device *device, mg_stream *stream, mg_pool *pool, void *out,
                           mg_error *err)
{
    MG_ASSERT(target->replacement == NULL && device->host_memory);
    /* Of an embedding the product is used transposed: its rows are the columns of a. */
    const mg_view *right = target->embedding ? target->b : target->a;
    const mg_view *left = target->embedding ? target->a : target->b;
    apply_task task;
    memset(&task, 0, sizeof(task));
    task.weight = weight;
    task.dtype = dtype;
    task.rank = target->a->shape.dims[0];
    task.rows = target->embedding ? left->shape.dims[1] : left->shape.dims[0];
    task.columns = target->embedding ? right->shape.dims[0] : right->shape.dims[1];
    task.scale = (float)target->scale;
    task.transposed = target->transposed;
    task.rounded = target->embedding;
    task.out = (char *)out;
    int workers = pool != NULL ? mg_pool_threads(pool) : 1;
    /* The row of the weight may be one of float64. */
    size_t floats = (size_t)(task.rank * (task.rows + task.columns)) +
                    (size_t)workers * (ADAPTER_ROWS + 2) * (size_t)task.columns;
    void *block;
    MG_TRY(mg_memory_try(floats * sizeof(float), "an adapter", &block, err));
    float *a = (float *)block;
    float *b = a + task.rank * task.columns;
    to_floats(right, target->embedding, a);
    to_floats(left, target->embedding, b);
    task.a = a;
    task.b = b;
    task.rooms = b + task.rank * task.rows;
    task.device = device;
    task.stream = stream;
    mg_pool_run(pool, (task.rows + ADAPTER_ROWS - 1) / ADAPTER_ROWS, apply_rows, &task);
    mg_free_aligned(block);
    return MG_OK;
}
