/* tensor/safetensors_write.c - the header of a new file, and one file written at once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "tensor/safetensors_internal.h"
#include "text/json.h"

/* So much is handed to the disk at a time, so that fsync finds little left to do. */
#define WRITE_STEP_BYTES ((size_t)16 << 20)

static mg_status fail_errno(mg_error *err, const char *path, const char *what)
{
    int error = errno;
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    mg_status status = full ? MG_ERR_SPACE : MG_ERR_IO;
    return mg_fail(err, status, "%s: %s: %s", path, what, strerror(error));
}

mg_status mg_write_at(int fd, const char *path, const void *data, size_t size, size_t offset,
                      mg_error *err)
{
    const char *bytes = (const char *)data;
    size_t done = 0;
    while (done < size) {
        size_t step = MG_MIN(size - done, WRITE_STEP_BYTES);
        ssize_t put = pwrite(fd, bytes + done, step, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return fail_errno(err, path, "cannot write");
        }
        /* Only advice: where it is not known, fsync does the work. */
        (void)sync_file_range(fd, (off_t)(offset + done), (off_t)put, SYNC_FILE_RANGE_WRITE);
        done += (size_t)put;
    }
    return MG_OK;
}

mg_status mg_create_file(const char *path, size_t size, int *fd_out, mg_error *err)
{
    *fd_out = -1;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_errno(err, path, "cannot create");
    }
    if (size > 0 && fallocate(fd, 0, 0, (off_t)size) != 0 && (errno == ENOSPC || errno == EDQUOT)) {
        mg_status status = fail_errno(err, path, "no room");
        (void)close(fd);
        (void)unlink(path);
        return status;
    }
    *fd_out = fd;
    return MG_OK;
}

mg_status mg_finish_file(int *fd, const char *path, mg_error *err)
{
    mg_status status = MG_OK;
    if (fsync(*fd) != 0) {
        status = fail_errno(err, path, "cannot write to disk");
    }
    if (close(*fd) != 0 && status == MG_OK) {
        status = fail_errno(err, path, "cannot close");
    }
    *fd = -1;
    return status;
}

mg_status mg_rename_file(const char *from, const char *to, mg_error *err)
{
    if (rename(from, to) != 0) {
        return fail_errno(err, to, "cannot rename to this name");
    }
    return MG_OK;
}

int mg_data_order(const mg_view *a, const mg_view *b)
{
    if (a->dtype != b->dtype) {
        return a->dtype < b->dtype ? -1 : 1;
    }
    return mg_str_compare(a->name, b->name);
}

void mg_header_write(mg_buf *buf, const mg_view *const *ordered, int64_t count)
{
    size_t begin = buf->size;
    mg_buf_add(buf, mg_str_make("\0\0\0\0\0\0\0\0", 8)); /* the length, filled in below */
    mg_buf_add_text(buf, "{\"__metadata__\":{\"format\":\"pt\"}");
    size_t offset = 0;
    for (int64_t i = 0; i < count; i++) {
        const mg_view *view = ordered[i];
        mg_buf_add_char(buf, ',');
        mg_json_write_str(buf, view->name, false);
        mg_buf_printf(buf, ":{\"dtype\":\"%s\",\"shape\":[", mg_dtype_name(view->dtype));
        for (int d = 0; d < view->shape.rank; d++) {
            mg_buf_printf(buf, "%s%lld", d > 0 ? "," : "", (long long)view->shape.dims[d]);
        }
        mg_buf_printf(buf, "],\"data_offsets\":[%zu,%zu]}", offset, offset + view->bytes);
        offset += view->bytes;
    }
    mg_buf_add_char(buf, '}');
    while ((buf->size - begin) % 8 != 0) {
        mg_buf_add_char(buf, ' ');
    }
    uint64_t header_bytes = buf->size - begin - 8;
    for (int i = 0; i < 8; i++) {
        buf->data[begin + (size_t)i] = (char)(unsigned char)(header_bytes >> (8 * i));
    }
}

static int by_data_order(const void *a, const void *b)
{
    return mg_data_order(*(const mg_view *const *)a, *(const mg_view *const *)b);
}

static mg_status write_file(const char *path, const mg_view *const *ordered, int64_t count,
                            mg_str header, mg_error *err)
{
    size_t size = header.size;
    for (int64_t i = 0; i < count; i++) {
        size += ordered[i]->bytes;
    }
    int fd;
    MG_TRY(mg_create_file(path, size, &fd, err));
    mg_status status = mg_write_at(fd, path, header.data, header.size, 0, err);
    size_t offset = header.size;
    for (int64_t i = 0; i < count && status == MG_OK; i++) {
        status = mg_write_at(fd, path, ordered[i]->data, ordered[i]->bytes, offset, err);
        offset += ordered[i]->bytes;
    }
    if (status != MG_OK) {
        (void)close(fd);
        return status;
    }
    return mg_finish_file(&fd, path, err);
}

mg_status mg_safetensors_write(const char *path, const mg_view *tensors, int64_t count,
                               mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf header = { 0 };
    mg_arena arena = { 0 };
    mg_str temporary = mg_arena_printf(&arena, "%s.partial", path);
    const mg_view **ordered = mg_arena_array(&arena, const mg_view *, count);
    for (int64_t i = 0; i < count; i++) {
        ordered[i] = &tensors[i];
    }
    if (count > 0) {
        qsort(ordered, (size_t)count, sizeof(ordered[0]), by_data_order);
    }
    for (int64_t i = 1; i < count; i++) {
        if (mg_data_order(ordered[i - 1], ordered[i]) == 0) {
            status = mg_fail(err, MG_ERR_FORMAT, "%s: tensor '%.*s' is given twice", path,
                             MG_STR_ARG(ordered[i]->name));
            goto done;
        }
    }
    mg_header_write(&header, ordered, count);
    MG_TRY_OR_DONE(write_file(temporary.data, ordered, count, mg_buf_view(&header), err));
    MG_TRY_OR_DONE(mg_rename_file(temporary.data, path, err));

done:
    if (status != MG_OK) {
        (void)unlink(temporary.data);
    }
    mg_buf_release(&header);
    mg_arena_release(&arena);
    return status;
}
