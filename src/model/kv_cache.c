/* model/kv_cache.c - keys and values of running texts, their rotary tables, the memory of passes.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "model/model_internal.h"

/* Keys and values are kept in the type of the weights. */
static mg_kv kv_of(const mg_model *model, int64_t blocks, int64_t positions)
{
    mg_kv kv = { .blocks = blocks,
                 .positions = positions,
                 .kv_heads = model->config.kv_head_count,
                 .head_dim = model->config.head_dim,
                 .dtype = model->dtype };
    return kv;
}

int64_t mg_kv_block_tokens(const mg_model *model)
{
    return model->ops->kv_block;
}

size_t mg_kv_slot_bytes(const mg_model *model, int64_t position_count)
{
    int64_t block = model->ops->kv_block;
    int64_t rounded = block > 0 ? (position_count + block - 1) / block * block : position_count;
    mg_kv kv = kv_of(model, 1, rounded);
    size_t bytes = 0;
    if (model->ops->kv_bytes(&kv, &bytes, NULL) != MG_OK ||
        !mg_size_mul(bytes, (size_t)model->config.layer_count, &bytes)) {
        return SIZE_MAX;
    }
    return bytes;
}

/* How the cache is cut up: one more slot, of one token, is for rows without a text. */
static mg_kv plan_blocks(mg_kv_cache *cache, int64_t token_count)
{
    const mg_model *model = cache->model;
    int64_t more = mg_model_fills_up(model) ? 1 : 0;
    int64_t block = model->ops->kv_block;
    cache->in_blocks = block > 0;
    if (!cache->in_blocks) {
        return kv_of(model, cache->slots + more, cache->positions);
    }
    int64_t width = (cache->positions + block - 1) / block;
    int64_t most = cache->slots * width;
    int64_t wanted = token_count > 0 ? MG_MAX((token_count + block - 1) / block, width) : most;
    mg_kv kv = kv_of(model, MG_MIN(wanted, most) + more, block);
    kv.table_width = width;
    return kv;
}

/* The books of a cache in blocks, and the device's table. */
static mg_status init_blocks(mg_kv_cache *cache, mg_kv *whole, mg_error *err)
{
    const mg_device *device = cache->model->device;
    int64_t slots = cache->slots + (mg_model_fills_up(cache->model) ? 1 : 0);
    size_t bytes = (size_t)(slots * whole->table_width) * sizeof(int32_t);
    void *table = NULL;
    MG_TRY(device->alloc(device, bytes, "the table of the cache", &table, err));
    cache->table = (int32_t *)table;
    cache->bytes += bytes;
    whole->table = cache->table;
    mg_kv_blocks_init(&cache->blocks, whole->positions, slots, whole->table_width, whole->blocks);
    mg_kv_cache_clear(cache);
    return MG_OK;
}

mg_status mg_kv_cache_create(const mg_model *model, int64_t slot_count, int64_t position_count,
                             int64_t token_count, mg_kv_cache **cache_out, mg_error *err)
{
    *cache_out = NULL;
    mg_status status = MG_OK;
    mg_kv_cache *cache = mg_new(mg_kv_cache);
    const mg_device *device = model->device;
    MG_ASSERT(slot_count > 0 && position_count > 0);
    MG_ASSERT(slot_count <= INT32_MAX && position_count <= INT32_MAX / 2);
    static atomic_uint_fast64_t caches;
    cache->serial = atomic_fetch_add(&caches, 1);
    cache->model = model;
    cache->slots = slot_count;
    cache->positions = position_count;
    cache->layers = mg_new_array(mg_kv, model->config.layer_count);
    mg_kv whole = plan_blocks(cache, token_count);
    size_t bytes = 0;
    MG_TRY_OR_DONE(model->ops->kv_bytes(&whole, &bytes, err));
    size_t total = 0;
    if (!mg_size_mul(bytes, (size_t)model->config.layer_count, &total)) {
        total = SIZE_MAX;
    }
    MG_TRY_OR_DONE(mg_model_check_memory(device, total, "keys and values", err));
    if (cache->in_blocks) {
        MG_TRY_OR_DONE(init_blocks(cache, &whole, err));
    }
    for (int64_t i = 0; i < model->config.layer_count; i++) {
        mg_kv kv = whole;
        MG_TRY_OR_DONE(device->alloc(device, bytes, "keys and values", &kv.data, err));
        cache->layers[i] = kv;
        cache->bytes += bytes;
    }
    MG_TRY_OR_DONE(mg_rope_table_init(&cache->rope, &model->rope, position_count, device, err));
    if (model->arch->local_rope) {
        MG_TRY_OR_DONE(mg_rope_table_init(&cache->rope_local, &model->rope_local, position_count,
                                          device, err));
    }
    cache->bytes += cache->rope.bytes + cache->rope_local.bytes;
    *cache_out = cache;
    cache = NULL; /* handed over */

done:
    mg_kv_cache_destroy(cache);
    return status;
}

void mg_kv_cache_destroy(mg_kv_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    const mg_device *device = cache->model->device;
    for (int64_t i = 0; i < cache->model->config.layer_count; i++) {
        device->free(device, cache->layers[i].data);
    }
    device->free(device, cache->table);
    mg_kv_blocks_release(&cache->blocks);
    mg_rope_table_release(&cache->rope, device);
    mg_rope_table_release(&cache->rope_local, device);
    mg_workspace_release(&cache->space, cache->model);
    mg_free(cache->layers);
    mg_free(cache);
}

int64_t mg_kv_cache_slots(const mg_kv_cache *cache)
{
    return cache->slots;
}

int64_t mg_kv_cache_positions(const mg_kv_cache *cache)
{
    return cache->positions;
}

size_t mg_kv_cache_bytes(const mg_kv_cache *cache)
{
    return cache->bytes + cache->space.bytes;
}

int64_t mg_kv_cache_tokens(const mg_kv_cache *cache)
{
    const mg_kv_blocks *blocks = &cache->blocks;
    int64_t more = blocks->slot_count - cache->slots; /* the filler's block */
    return cache->in_blocks ? (blocks->block_count - more) * blocks->block_positions
                            : cache->slots * cache->positions;
}

int64_t mg_kv_cache_free_tokens(const mg_kv_cache *cache)
{
    return cache->blocks.spare_count * cache->blocks.block_positions;
}

bool mg_kv_cache_grow(mg_kv_cache *cache, int64_t slot, int64_t position_count)
{
    MG_ASSERT(slot >= 0 && slot < cache->slots && position_count <= cache->positions);
    return !cache->in_blocks || mg_kv_blocks_grow(&cache->blocks, slot, position_count);
}

int64_t mg_kv_cache_slot_tokens(const mg_kv_cache *cache, int64_t slot)
{
    return cache->in_blocks ? cache->blocks.counts[slot] * cache->blocks.block_positions : 0;
}

void mg_kv_cache_drop(mg_kv_cache *cache, int64_t slot)
{
    if (cache->in_blocks) {
        mg_kv_blocks_trim(&cache->blocks, slot, 0);
    }
}

void mg_kv_cache_clear(mg_kv_cache *cache)
{
    for (int64_t slot = 0; slot < cache->slots; slot++) {
        mg_kv_cache_drop(cache, slot);
    }
    if (cache->blocks.slot_count > cache->slots) { /* of rows without a text */
        bool room = mg_kv_blocks_grow(&cache->blocks, cache->slots, 1);
        MG_ASSERT(room);
    }
}

static mg_status copy_start(const mg_kv_cache *cache, int64_t from, int64_t to,
                            int64_t position_count, mg_stream *stream, mg_error *err)
{
    for (int64_t i = 0; i < cache->model->config.layer_count && from != to; i++) {
        mg_kv_copy_args args = { cache->layers[i], from, to, position_count };
        MG_TRY(cache->model->ops->kv_copy(stream, &args, err));
    }
    return MG_OK;
}

mg_status mg_kv_cache_share(mg_kv_cache *cache, int64_t from, int64_t to, int64_t position_count,
                            mg_stream *stream, int64_t *count_out, mg_error *err)
{
    MG_ASSERT(from >= 0 && from < cache->slots && to >= 0 && to < cache->slots);
    MG_ASSERT(position_count >= 0 && position_count <= cache->positions);
    *count_out = position_count;
    if (!cache->in_blocks) {
        return copy_start(cache, from, to, position_count, stream, err);
    }
    mg_kv_block_copy copy;
    *count_out = mg_kv_blocks_share(&cache->blocks, from, to, position_count, &copy);
    return copy.from < 0 ? MG_OK
                         : copy_start(cache, copy.from, copy.to, copy.position_count, stream, err);
}

mg_status mg_kv_cache_publish(mg_kv_cache *cache, mg_stream *stream, mg_error *err)
{
    mg_kv_blocks *blocks = &cache->blocks;
    size_t bytes = (size_t)blocks->width * sizeof(int32_t);
    for (int64_t slot = 0; slot < blocks->slot_count; slot++) {
        if (blocks->stale[slot]) {
            int64_t at = slot * blocks->width;
            MG_TRY(cache->model->device->upload(stream, cache->table + at, blocks->table + at,
                                                bytes, err));
            blocks->stale[slot] = false;
        }
    }
    return MG_OK;
}

mg_status mg_kv_cache_reserve(mg_kv_cache *cache, int64_t token_count, mg_error *err)
{
    MG_ASSERT(token_count > 0 && token_count <= INT32_MAX / 16);
    if (token_count <= cache->space.tokens_cap) {
        return MG_OK;
    }
    mg_workspace_release(&cache->space, cache->model);
    int64_t rounded = (token_count + 7) / 8 * 8; /* recorded passes fill their rows up */
    return mg_workspace_init(&cache->space, cache->model, rounded, err);
}

mg_status mg_workspace_init(mg_workspace *space, const mg_model *model, int64_t tokens_cap,
                            mg_error *err)
{
    const mg_model_config *c = &model->config;
    const mg_device *device = model->device;
    const char *what = "the memory of a pass";
    int64_t q = c->head_count * c->head_dim;
    int64_t qkv = q + 2 * c->kv_head_count * c->head_dim;
    int64_t inner = c->expert_count > 0 ? 1 : 2 * c->intermediate_size;
    int64_t half = model->rope.kind == MG_ROPE_DYNAMIC ? model->rope.half : 0;
    int64_t rows = tokens_cap;
    mg_status status = MG_OK;
    float *ints = NULL;
    void *host = NULL;
    memset(space, 0, sizeof(*space));

    MG_TRY_OR_DONE(
        mg_alloc_floats(device, rows, c->hidden_size, what, &space->x, &space->bytes, err));
    MG_TRY_OR_DONE(
        mg_alloc_floats(device, rows, c->hidden_size, what, &space->x_out, &space->bytes, err));
    MG_TRY_OR_DONE(
        mg_alloc_floats(device, rows, c->hidden_size, what, &space->normed, &space->bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, rows, qkv, what, &space->qkv, &space->bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, rows, q, what, &space->heads, &space->bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, rows, q, what, &space->heads_out, &space->bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, rows, inner, what, &space->mlp, &space->bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, rows, half, what, &space->turn_cos, &space->bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, rows, half, what, &space->turn_sin, &space->bytes, err));
    MG_TRY_OR_DONE(mg_alloc_floats(device, rows, MG_PASS_INTS, what, &ints, &space->bytes, err));
    space->ints = (int32_t *)ints;
    MG_TRY_OR_DONE(mg_alloc_floats(device, MG_NEXT_ROWS_MAX, 1, what, &ints, &space->bytes, err));
    space->next_index = (int32_t *)ints;
    if (device->host_memory) {
        space->host_ints = space->ints;
    } else {
        MG_TRY_OR_DONE(
            mg_memory_try((size_t)(rows * MG_PASS_INTS) * sizeof(int32_t), what, &host, err));
        space->host_ints = (int32_t *)host;
    }
    MG_TRY_OR_DONE(
        mg_memory_try((size_t)(2 * rows + 1) * (size_t)half * sizeof(float), what, &host, err));
    space->host_turns = (float *)host;
    if (c->expert_count > 0) {
        MG_TRY_OR_DONE(mg_expert_space_create(model, rows, &space->experts, &space->bytes, err));
    }
    space->tokens_cap = tokens_cap;

done:
    if (status != MG_OK) {
        mg_workspace_release(space, model);
    }
    return status;
}

void mg_workspace_release(mg_workspace *space, const mg_model *model)
{
    const mg_device *device = model->device;
    device->free(device, space->x);
    device->free(device, space->x_out);
    device->free(device, space->normed);
    device->free(device, space->qkv);
    device->free(device, space->heads);
    device->free(device, space->heads_out);
    device->free(device, space->mlp);
    device->free(device, space->turn_cos);
    device->free(device, space->turn_sin);
    device->free(device, space->ints);
    device->free(device, space->next_index);
    if (!device->host_memory) {
        mg_free_aligned(space->host_ints);
    }
    mg_free_aligned(space->host_turns);
    mg_expert_space_destroy(space->experts);
    memset(space, 0, sizeof(*space));
}
