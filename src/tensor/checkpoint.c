/* tensor/checkpoint.c - the weight files of a model folder as one name space.
 *
 * Every file is mapped and its header checked on open.  An index is believed only where its files
 * bear it out: each mapped tensor must be in the file that it is mapped to. */
#include "tensor/checkpoint.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "tensor/digest_internal.h"
#include "tensor/safetensors_internal.h"
#include "tensor/torch_file_internal.h"
#include "text/json.h"

#define INDEX_BYTES_MAX ((size_t)256 << 20)

#define CACHED_PAGES 4096 /* asked about at a time */

/* One opened file: exactly one of the two readers is set. */
typedef struct weight_file {
    mg_str path; /* in the checkpoint's arena */
    mg_safetensors *safetensors;
    mg_torch_file *torch;
    mg_mapping mapping; /* borrowed from the reader */
    dev_t device;
    ino_t inode;
} weight_file;

struct mg_checkpoint {
    mg_arena arena;
    weight_file *files;
    int64_t file_count;
    mg_view *views; /* in name order */
    int64_t count;
    mg_map by_name; /* name -> index in views */
};

static mg_status open_file(mg_checkpoint *checkpoint, const char *folder, mg_str name,
                           bool is_torch, mg_error *err)
{
    weight_file *file = &checkpoint->files[checkpoint->file_count++];
    name = mg_arena_copy(&checkpoint->arena, name); /* with a NUL behind */
    file->path = mg_path_join(&checkpoint->arena, folder, name.data);
    if (is_torch) {
        MG_TRY(mg_torch_file_open(file->path.data, &file->torch, err));
        file->mapping = mg_torch_file_mapping(file->torch);
    } else {
        MG_TRY(mg_safetensors_open(file->path.data, &file->safetensors, err));
        file->mapping = mg_safetensors_mapping(file->safetensors);
    }
    struct stat info;
    if (stat(file->path.data, &info) == 0) {
        file->device = info.st_dev;
        file->inode = info.st_ino;
    }
    return MG_OK;
}

static int64_t file_tensor_count(const weight_file *file)
{
    return file->torch != NULL ? mg_torch_file_count(file->torch)
                               : mg_safetensors_count(file->safetensors);
}

static mg_view file_tensor(const weight_file *file, int64_t index)
{
    return file->torch != NULL ? mg_torch_file_at(file->torch, index)
                               : mg_safetensors_at(file->safetensors, index);
}

static int by_name(const void *a, const void *b)
{
    return mg_str_compare(((const mg_view *)a)->name, ((const mg_view *)b)->name);
}

static mg_status make_views(mg_checkpoint *checkpoint, int64_t cap, mg_error *err)
{
    void *block;
    MG_TRY(
        mg_memory_try((size_t)MG_MAX(cap, 1) * sizeof(mg_view), "a list of tensors", &block, err));
    checkpoint->views = (mg_view *)block;
    return MG_OK;
}

static void index_names(mg_checkpoint *checkpoint)
{
    if (checkpoint->count > 0) {
        qsort(checkpoint->views, (size_t)checkpoint->count, sizeof(mg_view), by_name);
    }
    for (int64_t i = 0; i < checkpoint->count; i++) {
        (void)mg_map_set(&checkpoint->by_name, checkpoint->views[i].name, i);
    }
}

static mg_status open_single(mg_checkpoint *checkpoint, const char *folder, const char *name,
                             bool is_torch, mg_error *err)
{
    checkpoint->files = mg_new(weight_file);
    MG_TRY(open_file(checkpoint, folder, mg_str_of(name), is_torch, err));
    const weight_file *file = &checkpoint->files[0];
    int64_t count = file_tensor_count(file);
    MG_TRY(make_views(checkpoint, count, err));
    for (int64_t i = 0; i < count; i++) {
        checkpoint->views[checkpoint->count++] = file_tensor(file, i);
    }
    index_names(checkpoint);
    return MG_OK;
}

/* A name in weight_map must be a plain file name: it must not lead out of the folder. */
static bool is_plain_name(mg_str name)
{
    return name.size > 0 && memchr(name.data, '/', name.size) == NULL &&
           memchr(name.data, '\\', name.size) == NULL &&
           memchr(name.data, '\0', name.size) == NULL && mg_str_find(name, mg_str_of(".."), 0) < 0;
}

/* Opens each file that the index names, once, and notes in file_of which file each tensor is mapped
 * to. */
static mg_status open_shards(mg_checkpoint *checkpoint, const char *folder,
                             const mg_value *weight_map, bool is_torch, mg_map *file_of,
                             mg_error *err)
{
    mg_status status = MG_OK;
    mg_map opened = { 0 };
    for (int64_t i = 0; i < weight_map->count; i++) {
        mg_str name = weight_map->entries[i].key.string;
        const mg_value *file = &weight_map->entries[i].value;
        if (file->kind != MG_STRING || !is_plain_name(file->string)) {
            status = mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' is not mapped to a plain file name",
                             MG_STR_ARG(name));
            goto done;
        }
        int64_t index = mg_map_get(&opened, file->string, -1);
        if (index < 0) {
            index = checkpoint->file_count;
            checkpoint->files =
                (weight_file *)mg_memory_resize(checkpoint->files, index + 1, sizeof(weight_file));
            memset(&checkpoint->files[index], 0, sizeof(weight_file));
            MG_TRY_OR_DONE(open_file(checkpoint, folder, file->string, is_torch, err));
            (void)mg_map_set(&opened, file->string, index);
        }
        (void)mg_map_set(file_of, name, index);
    }

done:
    mg_map_release(&opened);
    return status;
}

/* Takes the mapped tensors of every file; all that are mapped must have come up at the end. */
static mg_status collect_views(mg_checkpoint *checkpoint, const mg_value *weight_map,
                               const mg_map *file_of, mg_error *err)
{
    MG_TRY(make_views(checkpoint, weight_map->count, err));
    for (int64_t f = 0; f < checkpoint->file_count; f++) {
        const weight_file *file = &checkpoint->files[f];
        int64_t unmapped = 0;
        int64_t count = file_tensor_count(file);
        for (int64_t i = 0; i < count; i++) {
            mg_view view = file_tensor(file, i);
            if (mg_map_get(file_of, view.name, -1) == f) {
                checkpoint->views[checkpoint->count++] = view;
            } else {
                unmapped++;
            }
        }
        if (unmapped > 0) {
            mg_warn("%s: %lld tensors are not in the index and are ignored", file->path.data,
                    (long long)unmapped);
        }
    }
    index_names(checkpoint);
    for (int64_t i = 0; i < weight_map->count && checkpoint->count < weight_map->count; i++) {
        mg_str name = weight_map->entries[i].key.string;
        if (!mg_map_has(&checkpoint->by_name, name)) {
            return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' is not in %.*s", MG_STR_ARG(name),
                           MG_STR_ARG(weight_map->entries[i].value.string));
        }
    }
    return MG_OK;
}

static mg_status open_index(mg_checkpoint *checkpoint, const char *folder, const char *name,
                            bool is_torch, mg_error *err)
{
    mg_status status = MG_OK;
    mg_map file_of = { 0 };
    mg_arena arena = { 0 };
    mg_value root;
    mg_str path = mg_path_join(&arena, folder, name);
    MG_TRY_OR_DONE(mg_json_read(path.data, INDEX_BYTES_MAX, &arena, &root, err));
    const mg_value *weight_map = mg_value_get(&root, "weight_map");
    if (weight_map == NULL || weight_map->kind != MG_MAP || weight_map->count == 0) {
        status = mg_fail(err, MG_ERR_FORMAT, "%s: no weight_map", path.data);
        goto done;
    }
    status = open_shards(checkpoint, folder, weight_map, is_torch, &file_of, err);
    if (status == MG_OK) {
        status = collect_views(checkpoint, weight_map, &file_of, err);
    }
    if (status != MG_OK) {
        mg_error_prefix(err, "%s", path.data);
    }

done:
    mg_map_release(&file_of);
    mg_arena_release(&arena);
    return status;
}

mg_status mg_checkpoint_open(const char *folder, mg_checkpoint **checkpoint_out, mg_error *err)
{
    static const struct {
        const char *name;
        bool is_index;
        bool is_torch;
    } candidates[] = {
        { "model.safetensors", false, false },
        { "model.safetensors.index.json", true, false },
        { "pytorch_model.bin", false, true },
        { "pytorch_model.bin.index.json", true, true },
    };

    *checkpoint_out = NULL;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(candidates); i++) {
        mg_checkpoint *checkpoint = mg_new(mg_checkpoint);
        mg_str path = mg_path_join(&checkpoint->arena, folder, candidates[i].name);
        if (!mg_path_exists(path.data)) {
            bool dangles = mg_path_is_link(path.data);
            mg_checkpoint_close(checkpoint);
            if (dangles) {
                return mg_fail(err, MG_ERR_NOT_FOUND,
                               "%s/%s: is a link to nothing (an unfinished download?)", folder,
                               candidates[i].name);
            }
            continue;
        }
        mg_status status =
            candidates[i].is_index
                ? open_index(checkpoint, folder, candidates[i].name, candidates[i].is_torch, err)
                : open_single(checkpoint, folder, candidates[i].name, candidates[i].is_torch, err);
        if (status != MG_OK) {
            mg_checkpoint_close(checkpoint);
            return status;
        }
        *checkpoint_out = checkpoint;
        return MG_OK;
    }
    return mg_fail(err, MG_ERR_NOT_FOUND,
                   "%s: no weights: neither model.safetensors nor pytorch_model.bin, nor an index "
                   "of one",
                   folder);
}

/* A zip archive or a pickle; a safetensors file begins with the length of its header. */
static mg_status looks_like_torch(const char *path, bool *is_torch_out, mg_error *err)
{
    mg_mapping mapping;
    MG_TRY(mg_mapping_open(path, &mapping, err));
    *is_torch_out = mapping.size >= 9 && mapping.data[8] != '{' &&
                    (memcmp(mapping.data, "PK\3\4", 4) == 0 || mapping.data[0] == 0x80);
    mg_mapping_close(&mapping);
    return MG_OK;
}

mg_status mg_checkpoint_open_file(const char *path, mg_checkpoint **checkpoint_out, mg_error *err)
{
    *checkpoint_out = NULL;
    bool is_torch = false;
    MG_TRY(looks_like_torch(path, &is_torch, err));
    mg_checkpoint *checkpoint = mg_new(mg_checkpoint);
    /* An absolute or relative path counts from here: the folder is the working one. */
    mg_status status = open_single(checkpoint, ".", path, is_torch, err);
    if (status != MG_OK) {
        mg_checkpoint_close(checkpoint);
        return status;
    }
    *checkpoint_out = checkpoint;
    return MG_OK;
}

void mg_checkpoint_close(mg_checkpoint *checkpoint)
{
    if (checkpoint == NULL) {
        return;
    }
    for (int64_t i = 0; i < checkpoint->file_count; i++) {
        mg_safetensors_close(checkpoint->files[i].safetensors);
        mg_torch_file_close(checkpoint->files[i].torch);
    }
    mg_free(checkpoint->files);
    mg_free_aligned(checkpoint->views);
    mg_map_release(&checkpoint->by_name);
    mg_arena_release(&checkpoint->arena);
    mg_free(checkpoint);
}

int64_t mg_checkpoint_count(const mg_checkpoint *checkpoint)
{
    return checkpoint->count;
}

mg_view mg_checkpoint_at(const mg_checkpoint *checkpoint, int64_t index)
{
    MG_ASSERT(index >= 0 && index < checkpoint->count);
    return checkpoint->views[index];
}

const mg_view *mg_checkpoint_find(const mg_checkpoint *checkpoint, mg_str name)
{
    int64_t index = mg_map_get(&checkpoint->by_name, name, -1);
    return index < 0 ? NULL : &checkpoint->views[index];
}

size_t mg_checkpoint_bytes(const mg_checkpoint *checkpoint)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < checkpoint->count; i++) {
        bytes += checkpoint->views[i].bytes;
    }
    return bytes;
}

void mg_checkpoint_hash(const mg_checkpoint *checkpoint, char *text_out)
{
    mg_digest digest = { 0 };
    for (int64_t i = 0; i < checkpoint->count; i++) {
        mg_digest_add(&digest, &checkpoint->views[i]);
        mg_checkpoint_forget(checkpoint, &checkpoint->views[i]);
    }
    mg_digest_text(&digest, text_out);
    mg_digest_release(&digest);
}

/* The file whose mapping holds view; NULL for a tensor that was copied. */
static const weight_file *file_of_view(const mg_checkpoint *checkpoint, const mg_view *view)
{
    uintptr_t data = (uintptr_t)view->data;
    for (int64_t i = 0; i < checkpoint->file_count; i++) {
        uintptr_t begin = (uintptr_t)checkpoint->files[i].mapping.data;
        if (data >= begin && data - begin < checkpoint->files[i].mapping.size) {
            return &checkpoint->files[i];
        }
    }
    return NULL;
}

/* Gives advice about the whole pages of view: those it touches, or those it fills. */
static void advise(const mg_view *view, int advice, bool only_filled)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)view->data;
    uintptr_t end = begin + view->bytes;
    begin = only_filled ? (begin + page - 1) / page * page : begin / page * page;
    end = only_filled ? end / page * page : end;
    if (begin < end) {
        (void)madvise((void *)begin, end - begin, advice);
    }
}

mg_status mg_checkpoint_prepare(const mg_checkpoint *checkpoint, const mg_view *view, mg_error *err)
{
    const weight_file *file = file_of_view(checkpoint, view);
    if (file == NULL || view->bytes == 0) {
        return MG_OK;
    }
    struct stat info;
    /* Another file under this name does no harm: the mapping holds on to the old one. */
    if (stat(file->path.data, &info) == 0 && info.st_dev == file->device &&
        info.st_ino == file->inode && (size_t)info.st_size < file->mapping.size) {
        return mg_fail(err, MG_ERR_IO, "%s: has shrunk to %lld bytes since it was opened",
                       file->path.data, (long long)info.st_size);
    }
    advise(view, MADV_WILLNEED, false);
    return MG_OK;
}

size_t mg_checkpoint_cached_bytes(const mg_checkpoint *checkpoint, const mg_view *view)
{
    unsigned char resident[CACHED_PAGES];
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)view->data / page * page;
    uintptr_t end = (uintptr_t)view->data + view->bytes;
    size_t bytes = 0;
    if (file_of_view(checkpoint, view) == NULL) {
        return view->bytes;
    }
    for (uintptr_t at = begin; at < end; at += CACHED_PAGES * page) {
        size_t span = MG_MIN((size_t)(end - at), (size_t)(CACHED_PAGES * page));
        if (mincore((void *)at, span, resident) != 0) {
            return 0;
        }
        for (size_t i = 0; i * page < span; i++) {
            bytes += resident[i] & 1 ? page : 0;
        }
    }
    return MG_MIN(bytes, view->bytes);
}

void mg_checkpoint_forget(const mg_checkpoint *checkpoint, const mg_view *view)
{
    if (file_of_view(checkpoint, view) != NULL) {
        advise(view, MADV_DONTNEED, true);
    }
}
