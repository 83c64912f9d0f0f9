/* model/weights.c - a model's matrices and vectors, and the sink that fills them.
 *
 * Every tensor of a checkpoint is a slot.  A slot has its place in one matrix or vector: several
 * tensors may share one (q, k and v are one matrix), and one tensor may go to several (fused
 * experts).  Counting what each matrix and vector was given shows what is missing, whichever
 * spelling a file uses. */
#include "model/model_internal.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "compute/ops_mix.h"
#include "tensor/checkpoint.h"

/* Where a slot goes: rows first .. first+count-1 of a matrix, or values of a vector. */
typedef struct mg_place {
    mg_matrix *matrix;
    mg_vector *vector;
    int64_t first;
    int64_t count;
} mg_place;

static mg_place in_matrix(mg_matrix *matrix, int64_t first, int64_t count)
{
    mg_place place = { matrix, NULL, first, count };
    return place;
}

static mg_place in_vector(mg_vector *vector, int64_t first, int64_t count)
{
    mg_place place = { NULL, vector, first, count };
    return place;
}

static mg_place place_of_vector(mg_model *model, const mg_tensor_slot *slot)
{
    const mg_model_config *c = &model->config;
    mg_vector *vectors = slot->layer >= 0 ? model->layers[slot->layer].vectors : NULL;
    int64_t hidden = c->hidden_size;
    int64_t q = c->head_count * c->head_dim;
    int64_t kv = c->kv_head_count * c->head_dim;
    switch (slot->part) {
    case MG_PART_FINAL_NORM:
        return in_vector(&model->final_norm, 0, hidden);
    case MG_PART_FINAL_NORM_BIAS:
        return in_vector(&model->final_norm_bias, 0, hidden);
    case MG_PART_ATTENTION_NORM:
        return in_vector(&vectors[MG_VECTOR_ATTENTION_NORM], 0, hidden);
    case MG_PART_ATTENTION_NORM_BIAS:
        return in_vector(&vectors[MG_VECTOR_ATTENTION_NORM_BIAS], 0, hidden);
    case MG_PART_AFTER_ATTENTION_NORM:
        return in_vector(&vectors[MG_VECTOR_AFTER_ATTENTION_NORM], 0, hidden);
    case MG_PART_MLP_NORM:
        return in_vector(&vectors[MG_VECTOR_MLP_NORM], 0, hidden);
    case MG_PART_MLP_NORM_BIAS:
        return in_vector(&vectors[MG_VECTOR_MLP_NORM_BIAS], 0, hidden);
    case MG_PART_AFTER_MLP_NORM:
        return in_vector(&vectors[MG_VECTOR_AFTER_MLP_NORM], 0, hidden);
    case MG_PART_Q_NORM:
        return in_vector(&vectors[MG_VECTOR_Q_NORM], 0, c->head_dim);
    case MG_PART_K_NORM:
        return in_vector(&vectors[MG_VECTOR_K_NORM], 0, c->head_dim);
    case MG_PART_Q_NORM_OF_HEAD:
        return in_vector(&vectors[MG_VECTOR_Q_NORM], slot->index * c->head_dim, c->head_dim);
    case MG_PART_K_NORM_OF_HEAD:
        return in_vector(&vectors[MG_VECTOR_K_NORM], slot->index * c->head_dim, c->head_dim);
    case MG_PART_Q_BIAS:
        return in_vector(&vectors[MG_VECTOR_QKV_BIAS], 0, q);
    case MG_PART_K_BIAS:
        return in_vector(&vectors[MG_VECTOR_QKV_BIAS], q, kv);
    case MG_PART_V_BIAS:
        return in_vector(&vectors[MG_VECTOR_QKV_BIAS], q + kv, kv);
    case MG_PART_QKV_BY_HEAD_BIAS:
        return in_vector(&vectors[MG_VECTOR_QKV_BIAS], 0, 3 * q);
    case MG_PART_OUT_BIAS:
        return in_vector(&vectors[MG_VECTOR_OUT_BIAS], 0, hidden);
    case MG_PART_GATE_BIAS:
        return in_vector(&vectors[MG_VECTOR_GATE_UP_BIAS], 0, c->intermediate_size);
    case MG_PART_UP_BIAS:
        return in_vector(&vectors[MG_VECTOR_GATE_UP_BIAS],
                         mg_arch_has(model->arch, c, MG_PART_GATE_BIAS) ? c->intermediate_size : 0,
                         c->intermediate_size);
    case MG_PART_DOWN_BIAS:
        return in_vector(&vectors[MG_VECTOR_DOWN_BIAS], 0, hidden);
    default:
        break;
    }
    return in_vector(NULL, 0, 0);
}

static mg_place place_of(mg_model *model, const mg_tensor_slot *slot)
{
    const mg_model_config *c = &model->config;
    mg_layer *layer = slot->layer >= 0 ? &model->layers[slot->layer] : NULL;
    int64_t hidden = c->hidden_size;
    int64_t inner = c->intermediate_size;
    int64_t q = c->head_count * c->head_dim;
    int64_t kv = c->kv_head_count * c->head_dim;
    switch (slot->part) {
    case MG_PART_EMBEDDING:
        return in_matrix(&model->embedding, 0, c->vocab_size);
    case MG_PART_HEAD:
        return in_matrix(&model->head, 0, c->vocab_size);
    case MG_PART_Q:
        return in_matrix(&layer->matrices[MG_MATRIX_QKV], 0, q);
    case MG_PART_K:
        return in_matrix(&layer->matrices[MG_MATRIX_QKV], q, kv);
    case MG_PART_V:
        return in_matrix(&layer->matrices[MG_MATRIX_QKV], q + kv, kv);
    case MG_PART_QKV:
    case MG_PART_QKV_BY_HEAD:
        return in_matrix(&layer->matrices[MG_MATRIX_QKV], 0, q + 2 * kv);
    case MG_PART_OUT:
        return in_matrix(&layer->matrices[MG_MATRIX_OUT], 0, hidden);
    case MG_PART_GATE:
        return in_matrix(&layer->matrices[MG_MATRIX_GATE_UP], 0, inner);
    case MG_PART_UP:
        return in_matrix(&layer->matrices[MG_MATRIX_GATE_UP],
                         layer->matrices[MG_MATRIX_GATE_UP].weight.out_dim - inner, inner);
    case MG_PART_GATE_UP:
        return in_matrix(&layer->matrices[MG_MATRIX_GATE_UP], 0, 2 * inner);
    case MG_PART_DOWN:
        return in_matrix(&layer->matrices[MG_MATRIX_DOWN], 0, hidden);
    case MG_PART_ROUTER:
        return in_matrix(&layer->matrices[MG_MATRIX_ROUTER], 0, c->expert_count);
    case MG_PART_EXPERT_GATE:
        return in_matrix(&layer->expert_gate_up[slot->index], 0, inner);
    case MG_PART_EXPERT_UP:
        return in_matrix(&layer->expert_gate_up[slot->index], inner, inner);
    case MG_PART_EXPERT_DOWN:
        return in_matrix(&layer->expert_down[slot->index], 0, hidden);
    case MG_PART_EXPERTS_GATE_UP: /* the first of expert_count matrices */
        return in_matrix(layer->expert_gate_up, 0, 2 * inner);
    case MG_PART_EXPERTS_DOWN:
        return in_matrix(layer->expert_down, 0, hidden);
    default:
        return place_of_vector(model, slot);
    }
}

/* Gives matrix its shape; its bytes are counted in model->bytes. */
static mg_status shape_matrix(mg_model *model, mg_matrix *matrix, int64_t out_dim, int64_t in_dim,
                              mg_error *err)
{
    size_t bytes = 0;
    matrix->weight.out_dim = out_dim;
    matrix->weight.in_dim = in_dim;
    matrix->weight.dtype = model->dtype;
    MG_TRY(model->ops->packed_bytes(&matrix->weight, &bytes, err));
    if (!mg_size_add(model->bytes, bytes, &model->bytes)) {
        return mg_fail(err, MG_ERR_MEMORY, "the weights do not fit any memory");
    }
    return MG_OK;
}

static mg_status shape_layer(mg_model *model, mg_layer *layer, mg_error *err)
{
    const mg_model_config *c = &model->config;
    int64_t hidden = c->hidden_size;
    int64_t inner = c->intermediate_size;
    int64_t q = c->head_count * c->head_dim;
    int64_t kv = c->kv_head_count * c->head_dim;
    mg_matrix *matrices = layer->matrices;
    MG_TRY(shape_matrix(model, &matrices[MG_MATRIX_QKV], q + 2 * kv, hidden, err));
    MG_TRY(shape_matrix(model, &matrices[MG_MATRIX_OUT], hidden, q, err));
    if (!mg_arch_has(model->arch, c, MG_PART_ROUTER)) {
        bool gated = mg_arch_has(model->arch, c, MG_PART_GATE) ||
                     mg_arch_has(model->arch, c, MG_PART_GATE_UP);
        MG_TRY(shape_matrix(model, &matrices[MG_MATRIX_GATE_UP], gated ? 2 * inner : inner, hidden,
                            err));
        return shape_matrix(model, &matrices[MG_MATRIX_DOWN], hidden, inner, err);
    }
    MG_TRY(shape_matrix(model, &matrices[MG_MATRIX_ROUTER], c->expert_count, hidden, err));
    layer->expert_gate_up = mg_arena_array(&model->arena, mg_matrix, c->expert_count);
    layer->expert_down = mg_arena_array(&model->arena, mg_matrix, c->expert_count);
    for (int64_t e = 0; e < c->expert_count; e++) {
        MG_TRY(shape_matrix(model, &layer->expert_gate_up[e], 2 * inner, hidden, err));
        MG_TRY(shape_matrix(model, &layer->expert_down[e], hidden, inner, err));
    }
    return MG_OK;
}

static mg_status alloc_matrix(mg_model *model, mg_matrix *matrix, mg_error *err)
{
    size_t bytes = 0;
    if (matrix->weight.out_dim == 0) {
        return MG_OK; /* the model has no such part */
    }
    MG_TRY(model->ops->packed_bytes(&matrix->weight, &bytes, err));
    return model->device->alloc(model->device, bytes, "weights", &matrix->weight.data, err);
}

static mg_status alloc_matrices(mg_model *model, mg_error *err)
{
    MG_TRY(alloc_matrix(model, &model->embedding, err));
    MG_TRY(alloc_matrix(model, &model->head, err));
    for (int64_t i = 0; i < model->config.layer_count; i++) {
        mg_layer *layer = &model->layers[i];
        for (int m = 0; m < MG_MATRIX_COUNT; m++) {
            MG_TRY(alloc_matrix(model, &layer->matrices[m], err));
        }
        for (int64_t e = 0; layer->expert_down != NULL && e < model->config.expert_count; e++) {
            MG_TRY(alloc_matrix(model, &layer->expert_gate_up[e], err));
            MG_TRY(alloc_matrix(model, &layer->expert_down[e], err));
        }
    }
    return MG_OK;
}

static double in_unit(size_t bytes, const char **unit_out)
{
    bool is_large = bytes >= 1000000000;
    *unit_out = is_large ? "GB" : "MB";
    return (double)bytes / (is_large ? 1e9 : 1e6);
}

mg_status mg_model_check_memory(const mg_device *device, size_t bytes, const char *what,
                                mg_error *err)
{
    size_t available = device->host_memory ? mg_memory_free_bytes() : SIZE_MAX;
    if (bytes > available) {
        const char *unit = NULL;
        const char *free_unit = NULL;
        double number = in_unit(bytes, &unit);
        double free_number = in_unit(available, &free_unit);
        return mg_fail(err, MG_ERR_MEMORY, "%s take %.2f %s, but only %.2f %s are free", what,
                       number, unit, free_number, free_unit);
    }
    return MG_OK;
}

/* Vectors grow by the slots that point to them, then get their memory. */
static mg_status alloc_vectors(mg_model *model, mg_error *err)
{
    mg_model_filler *filler = &model->filler;
    int64_t longest = 1;
    for (int64_t i = 0; i < filler->slot_count; i++) {
        mg_place place = place_of(model, &filler->slots[i]);
        if (place.vector != NULL) {
            place.vector->count = MG_MAX(place.vector->count, place.first + place.count);
            longest = MG_MAX(longest, place.vector->count);
        }
    }
    for (int64_t i = 0; i < filler->slot_count; i++) {
        mg_place place = place_of(model, &filler->slots[i]);
        if (place.vector != NULL && place.vector->data == NULL) {
            MG_TRY(mg_alloc_floats(model->device, place.vector->count, 1, "weights",
                                   &place.vector->data, &model->bytes, err));
        }
    }
    void *scratch = NULL;
    MG_TRY(mg_memory_try((size_t)longest * 2 * sizeof(float), "weights", &scratch, err));
    filler->scratch = (float *)scratch;
    return MG_OK;
}

mg_status mg_alloc_floats(const mg_device *device, int64_t a, int64_t b, const char *what,
                          float **out, size_t *bytes, mg_error *err)
{
    size_t size = 0;
    void *block = NULL;
    if (!mg_size_mul((size_t)a, (size_t)b, &size) || !mg_size_mul(size, sizeof(float), &size)) {
        return mg_fail(err, MG_ERR_MEMORY, "no memory for %s (%lld x %lld numbers)", what,
                       (long long)a, (long long)b);
    }
    MG_TRY(device->alloc(device, size, what, &block, err));
    *out = (float *)block;
    *bytes += size;
    return MG_OK;
}

mg_status mg_model_allocate(mg_model *model, mg_error *err)
{
    const mg_model_config *c = &model->config;
    mg_model_filler *filler = &model->filler;
    model->layers = mg_arena_array(&model->arena, mg_layer, c->layer_count);
    MG_TRY(shape_matrix(model, &model->embedding, c->vocab_size, c->hidden_size, err));
    if (!c->tie_embeddings) {
        MG_TRY(shape_matrix(model, &model->head, c->vocab_size, c->hidden_size, err));
    }
    for (int64_t i = 0; i < c->layer_count; i++) {
        MG_TRY(shape_layer(model, &model->layers[i], err));
    }
    MG_TRY(mg_model_check_memory(model->device, model->bytes, "the model's weights", err));
    MG_TRY(alloc_matrices(model, err));
    mg_arch_expand(model->arch, c, &model->arena, &filler->slots, &filler->slot_count);
    return alloc_vectors(model, err);
}

void mg_model_release_weights(mg_model *model)
{
    const mg_device *device = model->device;
    for (int64_t i = 0; model->layers != NULL && i < model->config.layer_count; i++) {
        mg_layer *layer = &model->layers[i];
        for (int m = 0; m < MG_MATRIX_COUNT; m++) {
            device->free(device, layer->matrices[m].weight.data);
        }
        for (int v = 0; v < MG_VECTOR_COUNT; v++) {
            device->free(device, layer->vectors[v].data);
        }
        for (int64_t e = 0; layer->expert_down != NULL && e < model->config.expert_count; e++) {
            device->free(device, layer->expert_gate_up[e].weight.data);
            device->free(device, layer->expert_down[e].weight.data);
        }
    }
    if (device != NULL) {
        device->free(device, model->embedding.weight.data);
        device->free(device, model->head.weight.data);
        device->free(device, model->final_norm.data);
        device->free(device, model->final_norm_bias.data);
    }
}

/* ---- filling ---- */

static mg_status pack_rows(mg_model_filler *filler, mg_matrix *matrix, int64_t first, int64_t count,
                           const void *source, mg_dtype dtype, mg_error *err)
{
    mg_pack_args args = { matrix->weight, first, count, source, dtype };
    matrix->filled += count;
    return filler->model->ops->pack(filler->writer, &args, err);
}

/* data is device memory, row-major and of the slot's shape. */
static mg_status fill_matrix(mg_model_filler *filler, const mg_tensor_slot *slot, mg_place place,
                             const void *data, mg_dtype dtype, mg_error *err)
{
    const mg_model_config *c = &filler->model->config;
    size_t row_bytes =
        (size_t)(mg_dtype_bits(dtype) / 8) * (size_t)slot->shape.dims[slot->shape.rank - 1];
    const char *bytes = (const char *)data;
    if (slot->part == MG_PART_EXPERTS_GATE_UP || slot->part == MG_PART_EXPERTS_DOWN) {
        for (int64_t e = 0; e < c->expert_count; e++) {
            const char *expert = bytes + (size_t)(e * place.count) * row_bytes;
            MG_TRY(pack_rows(filler, place.matrix + e, 0, place.count, expert, dtype, err));
        }
        return MG_OK;
    }
    if (slot->part == MG_PART_QKV_BY_HEAD) {
        for (int64_t head = 0; head < c->head_count; head++) {
            for (int64_t kind = 0; kind < 3; kind++) {
                int64_t from = (3 * head + kind) * c->head_dim;
                int64_t to = (kind * c->head_count + head) * c->head_dim;
                MG_TRY(pack_rows(filler, place.matrix, to, c->head_dim,
                                 bytes + (size_t)from * row_bytes, dtype, err));
            }
        }
        return MG_OK;
    }
    return pack_rows(filler, place.matrix, place.first, place.count, data, dtype, err);
}

/* The same from device memory: a cast there. */
static mg_status cast_vector(mg_model_filler *filler, mg_place place, const void *data,
                             mg_dtype dtype, mg_error *err)
{
    const mg_model *model = filler->model;
    mg_dtype work = model->dtype == MG_BF16 ? MG_BF16 : MG_F32;
    mg_scale_args args = {
        place.vector->data + place.first, MG_F32, work, { data, dtype }, 1.0, place.count
    };
    place.vector->filled += place.count;
    return model->device->mix->scale(filler->writer, &args, err);
}

/* data is host memory.  Vectors are kept in float32, rounded to the model's dtype. */
static mg_status fill_vector(mg_model_filler *filler, const mg_tensor_slot *slot, mg_place place,
                             const void *data, mg_dtype dtype, mg_error *err)
{
    const mg_model *model = filler->model;
    float *values = filler->scratch;
    float *second = filler->scratch + place.vector->count;
    if (model->dtype == MG_BF16) {
        mg_dtype_convert(second, MG_BF16, data, dtype, place.count);
        mg_dtype_convert(values, MG_F32, second, MG_BF16, place.count);
    } else {
        mg_dtype_convert(values, MG_F32, data, dtype, place.count);
    }
    if (slot->part == MG_PART_QKV_BY_HEAD_BIAS) {
        int64_t heads = model->config.head_count;
        int64_t dim = model->config.head_dim;
        memcpy(second, values, (size_t)place.count * sizeof(float));
        for (int64_t head = 0; head < heads; head++) {
            for (int64_t kind = 0; kind < 3; kind++) {
                memcpy(values + (kind * heads + head) * dim, second + (3 * head + kind) * dim,
                       (size_t)dim * sizeof(float));
            }
        }
    }
    place.vector->filled += place.count;
    return model->device->upload(filler->writer, place.vector->data + place.first, values,
                                 (size_t)place.count * sizeof(float), err);
}

static mg_status count_nonfinite(mg_model_filler *filler, const mg_tensor_slot *slot,
                                 const void *device_data, mg_dtype dtype, mg_error *err)
{
    const mg_model *model = filler->model;
    int64_t count = 0;
    mg_nonfinite_args args = { filler->nonfinite, device_data, mg_shape_count(&slot->shape),
                               dtype };
    MG_TRY(model->ops->nonfinite(filler->stream, &args, err));
    MG_TRY(model->device->download(filler->stream, &count, filler->nonfinite, sizeof(count), err));
    if (count > 0 && filler->bad == NULL) {
        filler->bad = slot;
        filler->bad_count = count;
    }
    return MG_OK;
}

/* Grows *block to bytes; what it held is lost. */
static mg_status grow(const mg_device *device, void **block, size_t *block_bytes, size_t bytes,
                      mg_error *err)
{
    if (bytes <= *block_bytes) {
        return MG_OK;
    }
    device->free(device, *block);
    *block = NULL;
    *block_bytes = 0;
    MG_TRY(device->alloc(device, bytes, "a tensor on its way into the model", block, err));
    *block_bytes = bytes;
    return MG_OK;
}

/* Room for bytes bytes in the host staging. */
static mg_status reserve_host(mg_model_filler *filler, size_t bytes, mg_error *err)
{
    if (bytes > filler->staging_bytes) {
        mg_free_aligned(filler->staging);
        filler->staging = NULL;
        filler->staging_bytes = 0;
        MG_TRY(mg_memory_try(bytes, "a tensor on its way into the model", &filler->staging, err));
        filler->staging_bytes = bytes;
    }
    return MG_OK;
}

/* Takes one tensor from host memory, or from where it was reserved on the device. */
static mg_status fill(mg_model_filler *filler, mg_tensor_slot *slot, const mg_view *view,
                      mg_error *err)
{
    mg_model *model = filler->model;
    const void *device_data = view->data;
    if (slot->filled) {
        return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' was given twice", MG_STR_ARG(slot->name));
    }
    if (filler->on_device) {
        device_data = filler->spec.data;
    } else if (!model->device->host_memory) {
        MG_TRY(grow(model->device, &filler->device_staging, &filler->device_staging_bytes,
                    view->bytes, err));
        MG_TRY(model->device->upload(filler->stream, filler->device_staging, view->data,
                                     view->bytes, err));
        device_data = filler->device_staging;
    }
    if (!filler->on_device) {
        MG_TRY(count_nonfinite(filler, slot, device_data, view->dtype, err));
    }
    mg_place place = place_of(model, slot);
    slot->filled = true;
    if (filler->in_place) {
        place.matrix->filled += place.count;
        return MG_OK;
    }
    if (place.matrix != NULL) {
        return fill_matrix(filler, slot, place, device_data, view->dtype, err);
    }
    if (filler->on_device && slot->part != MG_PART_QKV_BY_HEAD_BIAS) {
        return cast_vector(filler, place, device_data, view->dtype, err);
    }
    if (filler->on_device) {
        MG_TRY(reserve_host(filler, view->bytes, err));
        MG_TRY(model->device->download(filler->writer, filler->staging, device_data, view->bytes,
                                       err));
        return fill_vector(filler, slot, place, filler->staging, view->dtype, err);
    }
    return fill_vector(filler, slot, place, view->data, view->dtype, err);
}

/* The slot that takes a tensor of that name, or NULL. */
static mg_tensor_slot *find_slot(mg_model_filler *filler, mg_str name)
{
    const char *prefix = filler->model->arch->prefix;
    int64_t index = mg_map_get(&filler->by_name, name, -1);
    char inner[512];
    if (index < 0 && prefix != NULL) {
        mg_str cut = name;
        if (mg_str_starts(name, prefix)) { /* language_model.model.layers... */
            cut = mg_str_slice(name, strlen(prefix), name.size);
        } else if (mg_str_starts(name, "model.") && name.size < sizeof(inner)) {
            mg_str rest = mg_str_slice(name, strlen("model."), name.size);
            if (mg_str_starts(rest, prefix)) { /* model.language_model.layers... */
                size_t skipped = strlen(prefix);
                memcpy(inner, "model.", 6);
                memcpy(inner + 6, rest.data + skipped, rest.size - skipped);
                cut = mg_str_make(inner, 6 + rest.size - skipped);
            }
        }
        index = mg_map_get(&filler->by_name, cut, -1);
    }
    return index < 0 ? NULL : &filler->slots[index];
}

/* The slot for a tensor of spec; *slot_out NULL when the model has no use for it. */
static mg_status check_tensor(mg_model_filler *filler, const mg_view *spec,
                              mg_tensor_slot **slot_out, mg_error *err)
{
    mg_tensor_slot *slot = find_slot(filler, spec->name);
    *slot_out = slot;
    if (slot == NULL) {
        bool tied_head = mg_str_ends(spec->name, "lm_head.weight") ||
                         mg_str_ends(spec->name, "embed_out.weight");
        if (!filler->unknown_noted && !tied_head) {
            filler->unknown_noted = true;
            mg_note("the model has no use for tensor '%.*s' (and perhaps others)",
                    MG_STR_ARG(spec->name));
        }
        return MG_OK;
    }
    if (!mg_shape_equal(&spec->shape, &slot->shape)) {
        char got[128];
        char wanted[128];
        return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' has shape %s, expected %s",
                       MG_STR_ARG(spec->name), mg_shape_text(&spec->shape, got, sizeof(got)),
                       mg_shape_text(&slot->shape, wanted, sizeof(wanted)));
    }
    if (!mg_dtype_is_float(spec->dtype)) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "tensor '%.*s' has type %s, which cannot be run",
                       MG_STR_ARG(spec->name), mg_dtype_name(spec->dtype));
    }
    return MG_OK;
}

static mg_status filler_reserve(mg_sink *sink, const mg_view *spec, void **data_out, mg_error *err)
{
    mg_model_filler *filler = (mg_model_filler *)sink;
    *data_out = NULL;
    MG_TRY(check_tensor(filler, spec, &filler->current, err));
    MG_TRY(reserve_host(filler, spec->bytes, err));
    filler->on_device = false;
    filler->in_place = false;
    filler->writer = filler->stream;
    filler->spec = *spec;
    filler->spec.data = filler->staging;
    *data_out = filler->staging;
    return MG_OK;
}

/* Where a tensor can be written straight into its packed weight; NULL = by way of staging. */
static void *packed_place(const mg_model_filler *filler, const mg_tensor_slot *slot, mg_dtype dtype)
{
    mg_model *model = filler->model;
    if (slot == NULL || slot->filled || model->ops->packed_row == NULL ||
        slot->part == MG_PART_QKV_BY_HEAD || slot->part == MG_PART_EXPERTS_GATE_UP ||
        slot->part == MG_PART_EXPERTS_DOWN) {
        return NULL;
    }
    mg_place place = place_of(model, slot);
    bool fits = place.matrix != NULL && place.matrix->weight.dtype == dtype;
    return fits ? model->ops->packed_row(&place.matrix->weight, place.first) : NULL;
}

static mg_status filler_reserve_on_device(mg_sink *sink, const mg_view *spec,
                                          struct mg_stream *writer, void **data_out, mg_error *err)
{
    mg_model_filler *filler = (mg_model_filler *)sink;
    const mg_device *device = filler->model->device;
    if (device->host_memory) {
        return filler_reserve(sink, spec, data_out, err);
    }
    *data_out = NULL;
    MG_TRY(check_tensor(filler, spec, &filler->current, err));
    void *place = packed_place(filler, filler->current, spec->dtype);
    filler->in_place = place != NULL;
    if (place == NULL) {
        MG_TRY(
            grow(device, &filler->device_staging, &filler->device_staging_bytes, spec->bytes, err));
        place = filler->device_staging;
    }
    filler->on_device = true;
    filler->writer = writer;
    filler->spec = *spec;
    filler->spec.data = place;
    *data_out = place;
    return MG_OK;
}

static mg_status filler_commit(mg_sink *sink, mg_error *err)
{
    mg_model_filler *filler = (mg_model_filler *)sink;
    mg_tensor_slot *slot = filler->current;
    filler->current = NULL;
    return slot != NULL ? fill(filler, slot, &filler->spec, err) : MG_OK;
}

static bool complete(const mg_place *place)
{
    return place->matrix != NULL ? place->matrix->filled >= place->matrix->weight.out_dim
                                 : place->vector->filled >= place->vector->count;
}

static mg_status filler_finish(mg_sink *sink, mg_error *err)
{
    mg_model_filler *filler = (mg_model_filler *)sink;
    for (int64_t i = 0; i < filler->slot_count; i++) {
        const mg_tensor_slot *slot = &filler->slots[i];
        mg_place place = place_of(filler->model, slot);
        if (!slot->filled && !complete(&place)) {
            return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' is missing", MG_STR_ARG(slot->name));
        }
    }
    if (filler->bad != NULL) {
        return mg_fail(err, MG_ERR_NUMERIC, "tensor '%.*s' has %lld %s not finite",
                       MG_STR_ARG(filler->bad->name), (long long)filler->bad_count,
                       filler->bad_count == 1 ? "value that is" : "values that are");
    }
    return filler->model->device->stream_wait(filler->stream, err);
}

static void filler_close(mg_sink *sink)
{
    (void)sink; /* borrowed from the model */
}

static const mg_sink_ops filler_ops = { filler_reserve, filler_commit, filler_finish, filler_close,
                                        filler_reserve_on_device };

mg_status mg_filler_init(mg_model *model, mg_error *err)
{
    mg_model_filler *filler = &model->filler;
    filler->base.ops = &filler_ops;
    filler->model = model;
    for (int64_t i = 0; i < filler->slot_count; i++) {
        (void)mg_map_set(&filler->by_name, filler->slots[i].name, i);
    }
    void *block = NULL;
    MG_TRY(model->device->alloc(model->device, sizeof(int64_t), "weights", &block, err));
    filler->nonfinite = (int64_t *)block;
    return MG_OK;
}

void mg_filler_release(mg_model_filler *filler)
{
    mg_free_aligned(filler->staging);
    mg_free_aligned(filler->scratch);
    if (filler->model != NULL) {
        const mg_device *device = filler->model->device;
        device->free(device, filler->device_staging);
        device->free(device, filler->nonfinite);
    }
    mg_map_release(&filler->by_name);
}

mg_sink *mg_model_sink(mg_model *model, mg_stream *stream)
{
    mg_model_filler *filler = &model->filler;
    filler->stream = stream;
    filler->writer = stream;
    filler->on_device = false;
    filler->in_place = false;
    filler->current = NULL;
    filler->bad = NULL;
    filler->bad_count = 0;
    for (int64_t i = 0; i < filler->slot_count; i++) {
        mg_tensor_slot *slot = &filler->slots[i];
        slot->filled = false;
        mg_place place = place_of(model, slot);
        bool fused = slot->part == MG_PART_EXPERTS_GATE_UP || slot->part == MG_PART_EXPERTS_DOWN;
        for (int64_t e = 0; e < (fused ? model->config.expert_count : 1); e++) {
            if (place.matrix != NULL) {
                place.matrix[e].filled = 0;
            } else {
                place.vector->filled = 0;
            }
        }
    }
    return &filler->base;
}

/* A stored head that a tied model ignores should equal the embedding. */
static void check_tied_head(const mg_model *model, const mg_checkpoint *checkpoint)
{
    const mg_view *head = mg_checkpoint_find(checkpoint, mg_str_of("lm_head.weight"));
    const mg_view *embedding =
        mg_checkpoint_find(checkpoint, mg_str_of("model.embed_tokens.weight"));
    if (model->config.tie_embeddings && head != NULL && embedding != NULL &&
        (head->bytes != embedding->bytes ||
         memcmp(head->data, embedding->data, head->bytes) != 0)) {
        mg_warn("lm_head.weight differs from the embedding, but the model is tied: it is ignored");
    }
}

mg_status mg_model_load(mg_model *model, const mg_checkpoint *checkpoint, mg_stream *stream,
                        mg_error *err)
{
    mg_sink *sink = mg_model_sink(model, stream);
    for (int64_t i = 0; i < mg_checkpoint_count(checkpoint); i++) {
        mg_view view = mg_checkpoint_at(checkpoint, i);
        mg_tensor_slot *slot = NULL;
        MG_TRY(check_tensor(&model->filler, &view, &slot, err));
        if (slot != NULL) {
            MG_TRY(fill(&model->filler, slot, &view, err));
        }
    }
    check_tied_head(model, checkpoint);
    return sink->ops->finish(sink, err);
}
