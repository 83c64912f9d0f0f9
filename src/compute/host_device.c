/* compute/host_device.c - memory and streams of the host backends. */
#include "compute/device_internal.h"

#include <string.h>

#include "base/memory.h"

mg_status mg_host_alloc(const mg_device *device, size_t bytes, const char *what, void **block_out,
                        mg_error *err)
{
    (void)device;
    return mg_memory_try(bytes, what, block_out, err);
}

void mg_host_free(const mg_device *device, void *block)
{
    (void)device;
    mg_free_aligned(block);
}

mg_status mg_host_copy(mg_stream *stream, void *to, const void *from, size_t bytes, mg_error *err)
{
    (void)stream;
    (void)err;
    if (bytes > 0) {
        memmove(to, from, bytes);
    }
    return MG_OK;
}

mg_status mg_host_fetch_begin(mg_stream *stream, int place, const void *from, size_t bytes,
                              mg_error *err)
{
    MG_ASSERT(bytes <= MG_FETCH_BYTES);
    return mg_host_copy(stream, stream->fetched[place], from, bytes, err);
}

mg_status mg_host_fetch_end(mg_stream *stream, int place, void *to, size_t bytes, mg_error *err)
{
    MG_ASSERT(bytes <= MG_FETCH_BYTES);
    return mg_host_copy(stream, to, stream->fetched[place], bytes, err);
}

mg_status mg_host_stream_create(const mg_device *device, mg_pool *pool, mg_stream **stream_out,
                                mg_error *err)
{
    *stream_out = NULL;
    int workers = mg_pool_threads(pool);
    size_t bytes = 0;
    void *scratch = NULL;
    if (!mg_size_mul((size_t)workers, MG_STREAM_SCRATCH_BYTES, &bytes)) {
        return mg_fail(err, MG_ERR_MEMORY, "too many workers: %d", workers);
    }
    MG_TRY(mg_memory_try(bytes, "scratch of a stream", &scratch, err));
    mg_stream *stream = mg_new(mg_stream);
    stream->device = device;
    stream->pool = pool;
    stream->worker_count = workers;
    stream->scratch = (char *)scratch;
    *stream_out = stream;
    return MG_OK;
}

mg_status mg_host_stream_wait(mg_stream *stream, mg_error *err)
{
    (void)stream;
    (void)err;
    return MG_OK;
}

void mg_host_stream_destroy(mg_stream *stream)
{
    if (stream != NULL) {
        mg_free_aligned(stream->scratch);
        mg_free(stream);
    }
}

mg_status mg_size_of(int64_t a, int64_t b, int64_t c, size_t element_bytes, size_t *bytes_out,
                     mg_error *err)
{
    size_t bytes = element_bytes;
    *bytes_out = 0;
    if (a < 0 || b < 0 || c < 0 || !mg_size_mul(bytes, (size_t)a, &bytes) ||
        !mg_size_mul(bytes, (size_t)b, &bytes) || !mg_size_mul(bytes, (size_t)c, &bytes)) {
        return mg_fail(err, MG_ERR_MEMORY, "a block of %lld x %lld x %lld elements is too large",
                       (long long)a, (long long)b, (long long)c);
    }
    *bytes_out = bytes;
    return MG_OK;
}
