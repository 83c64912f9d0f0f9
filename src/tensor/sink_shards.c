/* tensor/sink_shards.c - a sink that writes safetensors shards as mergekit lays them out.
 *
 * Tensors fill shards greedily in the order of their commits; inside a shard the data lie by type
 * and name.  A planned sink knows all tensors ahead: it lays every shard out at the start, and each
 * tensor is written once, at its final place.  Without a plan the tensors of a shard go to a spool
 * file in the order they come, and are copied to their places by the kernel when the shard is full.
 * Both keep no more than the tensors in flight in memory: a thread writes while the next tensor is
 * computed.
 *
 * Files carry temporary names until finish, which removes the shards of an earlier run and renames.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/map.h"
#include "base/memory.h"
#include "tensor/safetensors_internal.h"
#include "tensor/sink.h"
#include "tensor/writer_internal.h"
#include "text/json.h"

/* mergekit's name stands here because tools that look at the index know it. */
#define INDEX_VERSION "\"mergekit_version\": \"0.1.5\""

typedef struct shard shard;

typedef struct piece {
    mg_view spec; /* name in the arena, data NULL */
    shard *shard;
    size_t offset; /* in the file being written: the shard, or its spool */
    struct piece *next_in_shard;
} piece;

struct shard {
    mg_str path;       /* temporary name */
    mg_str spool_path; /* empty when planned */
    int fd;            /* of the file that tasks write to: the shard, or its spool; -1 = closed */
    piece *first;      /* in the order of commits */
    piece *last;
    int64_t count;
    size_t bytes;            /* of the tensors */
    mg_buf header;           /* filled by lay_out */
    const mg_view **ordered; /* specs in data order, filled by lay_out */
    piece **ordered_pieces;
    shard *next;
};

typedef struct shards_sink {
    mg_sink base;
    mg_arena arena;
    mg_str folder;
    size_t shard_bytes; /* 0 = no limit */
    mg_writer *writer;
    mg_map names;
    shard *first;
    shard *last;
    int64_t shard_count;
    bool planned;
    piece *reserved; /* between reserve and commit */
    piece *next;     /* planned: the tensor that must come next */
    shard *open;     /* the shard that has begun and not ended */
} shards_sink;

static shard *add_shard(shards_sink *sink)
{
    shard *added = mg_arena_new(&sink->arena, shard);
    added->fd = -1;
    sink->shard_count++;
    added->path = mg_arena_printf(&sink->arena, "%s/model-%lld.safetensors.partial",
                                  sink->folder.data, (long long)sink->shard_count);
    if (!sink->planned) {
        added->spool_path = mg_arena_printf(&sink->arena, "%s/model-%lld.spool", sink->folder.data,
                                            (long long)sink->shard_count);
    }
    if (sink->last != NULL) {
        sink->last->next = added;
    } else {
        sink->first = added;
    }
    sink->last = added;
    return added;
}

/* Adds a tensor to the last shard, or to a new one when it would grow over the limit. */
static mg_status add_piece(shards_sink *sink, const mg_view *spec, piece **piece_out, mg_error *err)
{
    *piece_out = NULL;
    size_t bytes;
    if (!mg_dtype_bytes(spec->dtype, mg_shape_count(&spec->shape), &bytes) ||
        bytes != spec->bytes) {
        return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s': %zu bytes do not fit its shape",
                       MG_STR_ARG(spec->name), spec->bytes);
    }
    piece *added = mg_arena_new(&sink->arena, piece);
    added->spec = *spec;
    added->spec.data = NULL;
    added->spec.name = mg_arena_copy(&sink->arena, spec->name);
    if (!mg_map_set(&sink->names, added->spec.name, 0)) {
        return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' is written twice",
                       MG_STR_ARG(spec->name));
    }
    shard *target = sink->last;
    bool full = target != NULL && target->count > 0 && sink->shard_bytes > 0 &&
                (target->bytes > sink->shard_bytes || bytes > sink->shard_bytes - target->bytes);
    if (target == NULL || full) {
        target = add_shard(sink);
    }
    added->shard = target;
    added->offset = target->bytes; /* right for a spool; lay_out decides for planned shards */
    if (target->last != NULL) {
        target->last->next_in_shard = added;
    } else {
        target->first = added;
    }
    target->last = added;
    target->count++;
    target->bytes += bytes;
    *piece_out = added;
    return MG_OK;
}

static int by_data_order(const void *a, const void *b)
{
    return mg_data_order(&(*(piece *const *)a)->spec, &(*(piece *const *)b)->spec);
}

/* Decides the data order of a complete shard and makes its header. */
static void lay_out(shards_sink *sink, shard *target)
{
    target->ordered = mg_arena_array(&sink->arena, const mg_view *, target->count);
    target->ordered_pieces = mg_arena_array(&sink->arena, piece *, target->count);
    int64_t count = 0;
    for (piece *each = target->first; each != NULL; each = each->next_in_shard) {
        target->ordered_pieces[count++] = each;
    }
    qsort(target->ordered_pieces, (size_t)count, sizeof(piece *), by_data_order);
    for (int64_t i = 0; i < count; i++) {
        target->ordered[i] = &target->ordered_pieces[i]->spec;
    }
    mg_header_write(&target->header, target->ordered, count);
}

/* Tasks, run by the writer's thread in the order of their submission.  The context of each is
 * complete before it is submitted and is not touched by the caller until the writer has finished.
 */

static mg_status begin_planned(void *context, const void *data, mg_error *err)
{
    (void)data;
    shard *target = (shard *)context;
    MG_TRY(
        mg_create_file(target->path.data, target->header.size + target->bytes, &target->fd, err));
    return mg_write_at(target->fd, target->path.data, target->header.data, target->header.size, 0,
                       err);
}

static mg_status begin_spool(void *context, const void *data, mg_error *err)
{
    (void)data;
    shard *target = (shard *)context;
    return mg_create_file(target->spool_path.data, 0, &target->fd, err);
}

static mg_status write_piece(void *context, const void *data, mg_error *err)
{
    const piece *each = (const piece *)context;
    const char *path =
        each->shard->spool_path.size > 0 ? each->shard->spool_path.data : each->shard->path.data;
    return mg_write_at(each->shard->fd, path, data, each->spec.bytes, each->offset, err);
}

static mg_status end_planned(void *context, const void *data, mg_error *err)
{
    (void)data;
    shard *target = (shard *)context;
    return mg_finish_file(&target->fd, target->path.data, err);
}

/* Copies between files inside the kernel, or through a buffer where the kernel cannot. */
static mg_status copy_range(int from, size_t from_offset, int to, size_t to_offset, size_t bytes,
                            const char *path, mg_error *err)
{
    while (bytes > 0) {
        loff_t in = (loff_t)from_offset;
        loff_t out = (loff_t)to_offset;
        ssize_t got = copy_file_range(from, &in, to, &out, bytes, 0);
        if (got <= 0) {
            char buffer[65536];
            got = pread(from, buffer, MG_MIN(bytes, sizeof(buffer)), (off_t)from_offset);
            if (got <= 0) {
                return mg_fail(err, MG_ERR_IO, "%s: cannot copy from the spool file: %s", path,
                               got < 0 ? strerror(errno) : "it ends too early");
            }
            MG_TRY(mg_write_at(to, path, buffer, (size_t)got, to_offset, err));
        }
        from_offset += (size_t)got;
        to_offset += (size_t)got;
        bytes -= (size_t)got;
    }
    return MG_OK;
}

static mg_status end_spool(void *context, const void *data, mg_error *err)
{
    (void)data;
    shard *target = (shard *)context;
    int spool = target->fd;
    target->fd = -1;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(
        mg_create_file(target->path.data, target->header.size + target->bytes, &target->fd, err));
    MG_TRY_OR_DONE(mg_write_at(target->fd, target->path.data, target->header.data,
                               target->header.size, 0, err));
    size_t offset = target->header.size;
    for (int64_t i = 0; i < target->count; i++) {
        const piece *each = target->ordered_pieces[i];
        MG_TRY_OR_DONE(copy_range(spool, each->offset, target->fd, offset, each->spec.bytes,
                                  target->path.data, err));
        offset += each->spec.bytes;
    }
    MG_TRY_OR_DONE(mg_finish_file(&target->fd, target->path.data, err));

done:
    (void)close(spool);
    (void)unlink(target->spool_path.data);
    return status;
}

static void end_open_shard(shards_sink *sink)
{
    if (sink->open == NULL) {
        return;
    }
    if (!sink->planned) {
        lay_out(sink, sink->open);
    }
    mg_writer_submit(sink->writer, sink->planned ? end_planned : end_spool, sink->open, false);
    sink->open = NULL;
}

static bool spec_matches(const mg_view *planned, const mg_view *given)
{
    return planned->dtype == given->dtype && mg_str_equal(planned->name, given->name) &&
           mg_shape_equal(&planned->shape, &given->shape);
}

static mg_status shards_reserve(mg_sink *base, const mg_view *spec, void **data_out, mg_error *err)
{
    shards_sink *sink = (shards_sink *)base;
    *data_out = NULL;
    MG_ASSERT(sink->reserved == NULL);
    piece *target = sink->next;
    if (!sink->planned) {
        MG_TRY(add_piece(sink, spec, &target, err));
    } else if (target == NULL || !spec_matches(&target->spec, spec)) {
        return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' is not the one that was planned here",
                       MG_STR_ARG(spec->name));
    }
    if (target->shard != sink->open) {
        end_open_shard(sink);
        sink->open = target->shard;
        mg_writer_submit(sink->writer, sink->planned ? begin_planned : begin_spool, sink->open,
                         false);
    }
    MG_TRY(mg_writer_reserve(sink->writer, target->spec.bytes, data_out, err));
    sink->reserved = target;
    return MG_OK;
}

static mg_status shards_commit(mg_sink *base, mg_error *err)
{
    (void)err; /* what the writer cannot do comes up in the next reserve, or in finish */
    shards_sink *sink = (shards_sink *)base;
    piece *done = sink->reserved;
    MG_ASSERT(done != NULL);
    sink->reserved = NULL;
    mg_writer_submit(sink->writer, write_piece, done, true);
    if (sink->planned) {
        sink->next = done->next_in_shard != NULL ? done->next_in_shard
                     : done->shard->next != NULL ? done->shard->next->first
                                                 : NULL;
    }
    return MG_OK;
}

/* Whether name is one that a writer of shards gives: its files replace all of them. */
static bool is_ours(mg_str name)
{
    if (mg_str_is(name, "model.safetensors") || mg_str_is(name, "model.safetensors.index.json")) {
        return true;
    }
    return mg_str_starts(name, "model-") && mg_str_ends(name, ".safetensors") &&
           mg_str_find(name, mg_str_of("-of-"), 0) >= 0;
}

static mg_status remove_old_files(shards_sink *sink, mg_error *err)
{
    mg_str *names;
    int64_t count;
    MG_TRY(mg_folder_list(sink->folder.data, &sink->arena, &names, &count, err));
    for (int64_t i = 0; i < count; i++) {
        mg_str path = mg_arena_printf(&sink->arena, "%s/%s", sink->folder.data, names[i].data);
        if (is_ours(names[i]) && unlink(path.data) != 0) {
            return mg_fail(err, MG_ERR_IO, "%s: cannot remove: %s", path.data, strerror(errno));
        }
    }
    return MG_OK;
}

static mg_str final_name(shards_sink *sink, int64_t number)
{
    return sink->shard_count == 1
               ? mg_str_of("model.safetensors")
               : mg_arena_printf(&sink->arena, "model-%05lld-of-%05lld.safetensors",
                                 (long long)number, (long long)sink->shard_count);
}

/* The index as Python's json.dump with indent=2 prints it, tensors in the order of commits. */
static mg_status write_index(shards_sink *sink, mg_error *err)
{
    size_t bytes = 0;
    for (const shard *each = sink->first; each != NULL; each = each->next) {
        bytes += each->bytes;
    }
    mg_buf text = { 0 };
    mg_buf_printf(&text, "{\n  \"metadata\": {\n    \"total_size\": %zu,\n    %s\n  },\n", bytes,
                  INDEX_VERSION);
    mg_buf_add_text(&text, "  \"weight_map\": {\n");
    int64_t number = 0;
    const char *separator = "";
    for (const shard *each = sink->first; each != NULL; each = each->next) {
        mg_str file = final_name(sink, ++number);
        for (const piece *tensor = each->first; tensor != NULL; tensor = tensor->next_in_shard) {
            mg_buf_printf(&text, "%s    ", separator);
            mg_json_write_str(&text, tensor->spec.name, true);
            mg_buf_printf(&text, ": \"%.*s\"", MG_STR_ARG(file));
            separator = ",\n";
        }
    }
    mg_buf_add_text(&text, "\n  }\n}");
    mg_str path =
        mg_arena_printf(&sink->arena, "%s/model.safetensors.index.json", sink->folder.data);
    mg_status status = mg_file_write_atomic(path.data, mg_buf_view(&text), err);
    mg_buf_release(&text);
    return status;
}

static mg_status shards_finish(mg_sink *base, mg_error *err)
{
    shards_sink *sink = (shards_sink *)base;
    MG_ASSERT(sink->reserved == NULL);
    if (sink->shard_count == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: no tensors to write", sink->folder.data);
    }
    if (sink->planned && sink->next != NULL) {
        return mg_fail(err, MG_ERR_INTERNAL, "tensor '%.*s' was planned and not written",
                       MG_STR_ARG(sink->next->spec.name));
    }
    end_open_shard(sink);
    MG_TRY(mg_writer_finish(sink->writer, err));
    MG_TRY(remove_old_files(sink, err));
    int64_t number = 0;
    for (shard *each = sink->first; each != NULL; each = each->next) {
        mg_str name = final_name(sink, ++number);
        mg_str path = mg_path_join(&sink->arena, sink->folder.data, name.data);
        MG_TRY(mg_rename_file(each->path.data, path.data, err));
        each->path = mg_str_of(""); /* no longer ours to remove */
    }
    return sink->shard_count > 1 ? write_index(sink, err) : MG_OK;
}

static void shards_close(mg_sink *base)
{
    shards_sink *sink = (shards_sink *)base;
    mg_writer_destroy(sink->writer);
    for (shard *each = sink->first; each != NULL; each = each->next) {
        if (each->fd >= 0) {
            (void)close(each->fd);
        }
        if (each->path.size > 0) {
            (void)unlink(each->path.data);
        }
        if (each->spool_path.size > 0) {
            (void)unlink(each->spool_path.data);
        }
        mg_buf_release(&each->header);
    }
    mg_map_release(&sink->names);
    mg_arena_release(&sink->arena);
    mg_free(sink);
}

static const mg_sink_ops shards_ops = { .reserve = shards_reserve,
                                        .commit = shards_commit,
                                        .finish = shards_finish,
                                        .close = shards_close,
                                        NULL };

static mg_status create_sink(const char *folder, size_t shard_bytes, bool planned,
                             shards_sink **sink_out, mg_error *err)
{
    *sink_out = NULL;
    MG_TRY(mg_folder_make(folder, err));
    mg_writer *writer;
    MG_TRY(mg_writer_create(&writer, err));
    shards_sink *sink = mg_new(shards_sink);
    sink->base.ops = &shards_ops;
    sink->folder = mg_arena_copy(&sink->arena, mg_str_of(folder));
    sink->shard_bytes = shard_bytes;
    sink->writer = writer;
    sink->planned = planned;
    *sink_out = sink;
    return MG_OK;
}

mg_status mg_sink_shards_open(const char *folder, size_t shard_bytes, mg_sink **sink_out,
                              mg_error *err)
{
    *sink_out = NULL;
    shards_sink *sink;
    MG_TRY(create_sink(folder, shard_bytes, false, &sink, err));
    *sink_out = &sink->base;
    return MG_OK;
}

mg_status mg_sink_shards_open_planned(const char *folder, size_t shard_bytes, const mg_view *specs,
                                      int64_t count, mg_sink **sink_out, mg_error *err)
{
    *sink_out = NULL;
    shards_sink *sink;
    MG_TRY(create_sink(folder, shard_bytes, true, &sink, err));
    for (int64_t i = 0; i < count; i++) {
        piece *added;
        mg_status status = add_piece(sink, &specs[i], &added, err);
        if (status != MG_OK) {
            shards_close(&sink->base);
            return status;
        }
    }
    for (shard *each = sink->first; each != NULL; each = each->next) {
        lay_out(sink, each);
        size_t offset = each->header.size;
        for (int64_t i = 0; i < each->count; i++) {
            each->ordered_pieces[i]->offset = offset;
            offset += each->ordered_pieces[i]->spec.bytes;
        }
    }
    sink->next = sink->first != NULL ? sink->first->first : NULL;
    *sink_out = &sink->base;
    return MG_OK;
}
