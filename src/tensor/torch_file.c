/* tensor/torch_file.c - a PyTorch checkpoint as a set of views.
 *
 * Since PyTorch 1.6 it is a zip archive of data.pkl and one member for each storage.  Before, it
 * was a row of pickles (magic number, protocol, system, the object, the keys of storages), followed
 * by each storage's element count in 64 bits and its data.  A tensor is a run of a storage; where
 * its strides are not those of a row-major array it is copied into one. */
#include "tensor/torch_file_internal.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "tensor/torch_pickle_internal.h"
#include "tensor/torch_zip_internal.h"
#include "text/utf8.h"

#define PICKLE_BYTES_MAX ((size_t)64 << 20)
#define LEGACY_PROTOCOL 1001

/* 0x1950a86a20f9469cfc6c, as a pickle holds it */
static const char legacy_magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

struct mg_torch_file {
    mg_mapping mapping;
    bool owns_mapping;
    mg_arena arena;
    mg_view *views; /* in name order */
    int64_t count;
    void **copies; /* of tensors with other strides */
    int64_t copy_count;
    size_t copied_bytes;
};

/* The dict that holds the tensors: the object itself, or one level down. */
static const mg_pickle_value *find_state(const mg_pickle_value *object)
{
    static const char *const names[] = { "state_dict", "model" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        const mg_pickle_value *inner = mg_pickle_get(object, names[i]);
        if (inner != NULL && inner->kind == MG_PICKLE_DICT) {
            return inner;
        }
    }
    return object;
}

static bool is_row_major(const mg_torch_tensor *tensor)
{
    int64_t expected = 1;
    for (int i = tensor->shape.rank - 1; i >= 0; i--) {
        if (tensor->shape.dims[i] != 1 && tensor->strides[i] != expected) {
            return false;
        }
        expected *= tensor->shape.dims[i];
    }
    return true;
}

/* Copies the elements of tensor in row-major order, counting through its indexes like an odometer.
 */
static void gather(const mg_torch_tensor *tensor, const unsigned char *from, size_t element_bytes,
                   unsigned char *to)
{
    int64_t index[MG_RANK_MAX] = { 0 };
    int64_t count = mg_shape_count(&tensor->shape);
    int64_t place = 0; /* elements from the tensor's first */
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + (size_t)i * element_bytes, from + (size_t)place * element_bytes, element_bytes);
        for (int d = tensor->shape.rank - 1; d >= 0; d--) {
            place += tensor->strides[d];
            if (++index[d] < tensor->shape.dims[d]) {
                break;
            }
            place -= index[d] * tensor->strides[d];
            index[d] = 0;
        }
    }
}

static mg_status straighten(mg_torch_file *file, const mg_torch_tensor *tensor, mg_view *view,
                            mg_error *err)
{
    /* No true tensor has more elements than its storage, and few are not row-major: a file whose
     * copies outgrow it is an attack on memory. */
    size_t limit = 2 * file->mapping.size;
    if (mg_shape_count(&tensor->shape) > tensor->storage->count ||
        view->bytes > limit - file->copied_bytes) {
        return mg_fail(err, MG_ERR_LIMIT,
                       "tensor '%.*s' repeats its elements by strides, which is not supported",
                       MG_STR_ARG(view->name));
    }
    void *copy;
    MG_TRY(mg_memory_try(view->bytes, "a tensor with other strides", &copy, err));
    file->copied_bytes += view->bytes;
    file->copies = (void **)mg_memory_resize(file->copies, file->copy_count + 1, sizeof(void *));
    file->copies[file->copy_count++] = copy;
    gather(tensor, (const unsigned char *)view->data, (size_t)mg_dtype_bits(view->dtype) / 8,
           (unsigned char *)copy);
    view->data = copy;
    return MG_OK;
}

static mg_status add_tensor(mg_torch_file *file, mg_str name, const mg_torch_tensor *tensor,
                            mg_error *err)
{
    const mg_torch_storage *storage = tensor->storage;
    if (storage->data == NULL) {
        return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s': its storage '%.*s' is missing",
                       MG_STR_ARG(name), MG_STR_ARG(storage->key));
    }
    if (!mg_utf8_valid(name)) {
        return mg_fail(err, MG_ERR_FORMAT, "the name of a tensor is not valid UTF-8");
    }
    mg_view view = { .name = name, .dtype = storage->dtype, .shape = tensor->shape };
    bool sized = mg_dtype_bytes(view.dtype, mg_shape_count(&view.shape), &view.bytes);
    MG_ASSERT(sized); /* the interpreter checked it */
    size_t element_bytes = (size_t)mg_dtype_bits(view.dtype) / 8;
    int64_t begin = view.bytes > 0 ? storage->view_offset + tensor->offset : 0;
    view.data = storage->data + (size_t)begin * element_bytes;
    if (view.bytes > 0 && !is_row_major(tensor)) {
        MG_TRY(straighten(file, tensor, &view, err));
    }
    file->views[file->count++] = view;
    return MG_OK;
}

static int by_name(const void *a, const void *b)
{
    return mg_str_compare(((const mg_view *)a)->name, ((const mg_view *)b)->name);
}

/* Takes every tensor of the state; other entries are settings of a training run. */
static mg_status collect_views(mg_torch_file *file, const mg_pickle_value *object, mg_error *err)
{
    const mg_pickle_value *state = find_state(object);
    if (state->kind != MG_PICKLE_DICT) {
        return mg_fail(err, MG_ERR_FORMAT, "the file holds no dict of tensors");
    }
    void *block;
    MG_TRY(mg_memory_try((size_t)(state->u.list.count / 2 + 1) * sizeof(mg_view),
                         "a list of tensors", &block, err));
    file->views = (mg_view *)block;
    for (int64_t i = 0; i + 1 < state->u.list.count; i += 2) {
        const mg_pickle_value *key = state->u.list.items[i];
        const mg_pickle_value *value = state->u.list.items[i + 1];
        if (key->kind == MG_PICKLE_TEXT && value->kind == MG_PICKLE_TENSOR) {
            MG_TRY(add_tensor(file, key->u.text, value->u.tensor, err));
        }
    }
    if (file->count == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "the file holds no tensors");
    }
    qsort(file->views, (size_t)file->count, sizeof(mg_view), by_name);
    for (int64_t i = 1; i < file->count; i++) {
        if (mg_str_equal(file->views[i - 1].name, file->views[i].name)) {
            return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' is given twice",
                           MG_STR_ARG(file->views[i].name));
        }
    }
    return MG_OK;
}

/* Calls bind for the storage of every tensor of the state. */
typedef mg_status storage_binder(void *context, mg_torch_storage *storage, mg_error *err);

static mg_status bind_storages(const mg_pickle_value *object, storage_binder *bind, void *context,
                               mg_error *err)
{
    const mg_pickle_value *state = find_state(object);
    if (state->kind != MG_PICKLE_DICT) {
        return MG_OK;
    }
    for (int64_t i = 1; i < state->u.list.count; i += 2) {
        const mg_pickle_value *value = state->u.list.items[i];
        if (value->kind == MG_PICKLE_TENSOR && value->u.tensor->storage->data == NULL) {
            MG_TRY(bind(context, value->u.tensor->storage, err));
        }
    }
    return MG_OK;
}

typedef struct zip_context {
    mg_torch_file *file;
    const mg_zip *zip;
    mg_str root; /* folder of the members */
} zip_context;

static mg_str member_name(mg_arena *arena, mg_str root, const char *folder, mg_str name)
{
    return mg_arena_printf(arena, "%.*s/%s%.*s", MG_STR_ARG(root), folder, MG_STR_ARG(name));
}

static mg_status bind_member(void *context, mg_torch_storage *storage, mg_error *err)
{
    const zip_context *c = (const zip_context *)context;
    mg_str name = member_name(&c->file->arena, c->root, "data/", storage->key);
    const mg_zip_entry *entry = mg_zip_find(c->zip, name);
    if (entry == NULL) {
        return mg_fail(err, MG_ERR_FORMAT, "storage '%.*s' is missing", MG_STR_ARG(storage->key));
    }
    size_t bytes;
    if (!mg_dtype_bytes(storage->dtype, storage->count, &bytes) || bytes != entry->bytes) {
        return mg_fail(err, MG_ERR_FORMAT, "storage '%.*s' has %zu bytes, expected %lld of %s",
                       MG_STR_ARG(storage->key), entry->bytes, (long long)storage->count,
                       mg_dtype_name(storage->dtype));
    }
    storage->data = c->file->mapping.data + entry->offset;
    return MG_OK;
}

/* The member ROOT/data.pkl, of which there must be one. */
static const mg_zip_entry *find_pickle(const mg_zip *zip, mg_str *root_out)
{
    const mg_zip_entry *found = NULL;
    for (int64_t i = 0; i < zip->count; i++) {
        mg_str name = zip->entries[i].name;
        if (!mg_str_ends(name, "/data.pkl")) {
            continue;
        }
        mg_str root = mg_str_slice(name, 0, name.size - strlen("/data.pkl"));
        if (memchr(root.data, '/', root.size) != NULL) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = &zip->entries[i];
        *root_out = root;
    }
    return found;
}

static mg_status read_zip(mg_torch_file *file, const mg_zip *zip, mg_error *err)
{
    zip_context context = { file, zip, mg_str_of("") };
    const mg_zip_entry *entry = find_pickle(zip, &context.root);
    if (entry == NULL) {
        return mg_fail(err, MG_ERR_FORMAT, "a zip archive without (one) data.pkl");
    }
    if (entry->bytes > PICKLE_BYTES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "data.pkl has %zu bytes, at most %zu are allowed",
                       entry->bytes, PICKLE_BYTES_MAX);
    }
    const char *bytes = (const char *)file->mapping.data;
    const mg_zip_entry *order =
        mg_zip_find(zip, member_name(&file->arena, context.root, "byteorder", mg_str_of("")));
    if (order != NULL &&
        !mg_str_is(mg_str_trim(mg_str_make(bytes + order->offset, order->bytes)), "little")) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "big-endian data are not supported");
    }
    mg_pickle_value *object;
    size_t used;
    MG_TRY(mg_pickle_read(mg_str_make(bytes + entry->offset, entry->bytes), &file->arena, &object,
                          &used, err));
    MG_TRY(bind_storages(object, bind_member, &context, err));
    return collect_views(file, object, err);
}

/* Storages of the older form, by key.  Views of one storage are records of their own. */
typedef struct legacy_context {
    mg_torch_file *file;
    mg_map offsets; /* key -> where its element count stands in the file */
} legacy_context;

static mg_status bind_legacy(void *context, mg_torch_storage *storage, mg_error *err)
{
    const legacy_context *c = (const legacy_context *)context;
    int64_t offset = mg_map_get(&c->offsets, storage->key, -1);
    if (offset < 0) {
        return mg_fail(err, MG_ERR_FORMAT, "storage '%.*s' is missing", MG_STR_ARG(storage->key));
    }
    const unsigned char *place = c->file->mapping.data + (size_t)offset;
    uint64_t count;
    memcpy(&count, place, sizeof(count));
    if (count != (uint64_t)storage->count) {
        return mg_fail(err, MG_ERR_FORMAT, "storage '%.*s' has %llu elements, expected %lld",
                       MG_STR_ARG(storage->key), (unsigned long long)count,
                       (long long)storage->count);
    }
    storage->data = place + 8;
    return MG_OK;
}

/* Sizes of storages stand only in the pickle: find the one of each key. */
static mg_status note_size(void *context, mg_torch_storage *storage, mg_error *err)
{
    mg_map *sizes = (mg_map *)context;
    size_t bytes;
    if (!mg_dtype_bytes(storage->dtype, storage->count, &bytes) || bytes > INT64_MAX) {
        return mg_fail(err, MG_ERR_FORMAT, "storage '%.*s' is too large", MG_STR_ARG(storage->key));
    }
    int64_t known = mg_map_get(sizes, storage->key, (int64_t)bytes);
    if (known != (int64_t)bytes) {
        return mg_fail(err, MG_ERR_FORMAT, "storage '%.*s' has two sizes",
                       MG_STR_ARG(storage->key));
    }
    (void)mg_map_set(sizes, storage->key, known);
    return MG_OK;
}

/* Walks the data behind the pickles, in the order of the keys. */
static mg_status find_legacy_storages(legacy_context *context, const mg_pickle_value *object,
                                      const mg_pickle_value *keys, size_t offset, mg_error *err)
{
    mg_map sizes = { 0 };
    mg_status status = bind_storages(object, note_size, &sizes, err);
    const mg_mapping *mapping = &context->file->mapping;
    for (int64_t i = 0; i < keys->u.list.count && status == MG_OK; i++) {
        const mg_pickle_value *key = keys->u.list.items[i];
        int64_t bytes = key->kind == MG_PICKLE_TEXT ? mg_map_get(&sizes, key->u.text, -1) : -1;
        if (bytes < 0) {
            /* Without its type its length is not known, so nothing behind it can be found. */
            status = mg_fail(err, MG_ERR_FORMAT, "a storage belongs to no tensor");
            break;
        }
        if (mapping->size - offset < 8 || (uint64_t)bytes > mapping->size - offset - 8) {
            status = mg_fail(err, MG_ERR_FORMAT, "the file ends inside storage '%.*s'",
                             MG_STR_ARG(key->u.text));
            break;
        }
        (void)mg_map_set(&context->offsets, key->u.text, (int64_t)offset);
        offset += 8 + (size_t)bytes;
    }
    mg_map_release(&sizes);
    return status;
}

static mg_status check_legacy_start(mg_pickle_value *const parts[5], mg_error *err)
{
    const mg_pickle_value *magic = parts[0];
    if (magic->kind != MG_PICKLE_LONG ||
        !mg_str_equal(magic->u.text, mg_str_make(legacy_magic, sizeof(legacy_magic) - 1))) {
        return mg_fail(err, MG_ERR_FORMAT, "a pickle, but not one of PyTorch");
    }
    if (parts[1]->kind != MG_PICKLE_INT || parts[1]->u.integer != LEGACY_PROTOCOL) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "an unknown version of PyTorch's older file form");
    }
    const mg_pickle_value *little = mg_pickle_get(parts[2], "little_endian");
    if (little != NULL && little->kind == MG_PICKLE_BOOL && !little->u.boolean) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "big-endian data are not supported");
    }
    if (parts[4]->kind != MG_PICKLE_LIST) {
        return mg_fail(err, MG_ERR_FORMAT, "no list of storages");
    }
    return MG_OK;
}

static mg_status read_legacy(mg_torch_file *file, mg_error *err)
{
    mg_pickle_value *parts[5]; /* magic number, protocol, system, object, keys */
    size_t offset = 0;
    for (int i = 0; i < 5; i++) {
        mg_str rest = mg_str_make((const char *)file->mapping.data + offset,
                                  MG_MIN(file->mapping.size - offset, PICKLE_BYTES_MAX));
        size_t used;
        MG_TRY(mg_pickle_read(rest, &file->arena, &parts[i], &used, err));
        offset += used;
    }
    MG_TRY(check_legacy_start(parts, err));
    legacy_context context = { file, { 0 } };
    mg_status status = find_legacy_storages(&context, parts[3], parts[4], offset, err);
    if (status == MG_OK) {
        status = bind_storages(parts[3], bind_legacy, &context, err);
    }
    mg_map_release(&context.offsets);
    MG_TRY(status);
    return collect_views(file, parts[3], err);
}

static mg_status read_any(mg_torch_file *file, mg_error *err)
{
    const unsigned char *data = file->mapping.data;
    size_t size = file->mapping.size;
    if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0) {
        mg_zip zip = { 0 };
        mg_status status = mg_zip_read(data, size, &zip, err);
        if (status == MG_OK) {
            status = read_zip(file, &zip, err);
        }
        mg_zip_release(&zip);
        return status;
    }
    if (size >= 262 && memcmp(data + 257, "ustar", 5) == 0) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "PyTorch's tar form is not supported");
    }
    if (size >= 8 && memcmp(data, "version ", 8) == 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "is a pointer of Git LFS, not the weights: fetch them with git lfs pull");
    }
    if (size < 2 || data[0] != 0x80) {
        return mg_fail(err, MG_ERR_FORMAT, "not a PyTorch file");
    }
    return read_legacy(file, err);
}

mg_status mg_torch_file_open(const char *path, mg_torch_file **file_out, mg_error *err)
{
    *file_out = NULL;
    mg_torch_file *file = mg_new(mg_torch_file);
    file->owns_mapping = true;
    mg_status status = mg_mapping_open(path, &file->mapping, err);
    if (status == MG_OK) {
        status = read_any(file, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%s", path);
        }
    }
    if (status != MG_OK) {
        mg_torch_file_close(file);
        return status;
    }
    *file_out = file;
    return MG_OK;
}

mg_status mg_torch_file_parse(const void *data, size_t size, mg_torch_file **file_out,
                              mg_error *err)
{
    *file_out = NULL;
    mg_torch_file *file = mg_new(mg_torch_file);
    file->mapping.data = (const unsigned char *)data;
    file->mapping.size = size;
    mg_status status = read_any(file, err);
    if (status != MG_OK) {
        mg_torch_file_close(file);
        return status;
    }
    *file_out = file;
    return MG_OK;
}

void mg_torch_file_close(mg_torch_file *file)
{
    if (file == NULL) {
        return;
    }
    for (int64_t i = 0; i < file->copy_count; i++) {
        mg_free_aligned(file->copies[i]);
    }
    mg_free(file->copies);
    mg_free_aligned(file->views);
    mg_arena_release(&file->arena);
    if (file->owns_mapping) {
        mg_mapping_close(&file->mapping);
    }
    mg_free(file);
}

int64_t mg_torch_file_count(const mg_torch_file *file)
{
    return file->count;
}

mg_view mg_torch_file_at(const mg_torch_file *file, int64_t index)
{
    MG_ASSERT(index >= 0 && index < file->count);
    return file->views[index];
}

mg_mapping mg_torch_file_mapping(const mg_torch_file *file)
{
    return file->mapping;
}
