/* compute/cuda/device_cuda.cu - cards, their memory and streams. */
#include "compute/cuda_device.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/cuda_internal.h"
#include "compute/cuda/formula_cuda_internal.h"

#define MG_CUDA_CARDS_MAX 64

typedef struct card {
    mg_device device; /* first, so that a device is its card */
    int index;
    int multiprocessors;
    bool open;
    char name[320];
} card;

static pthread_mutex_t cards_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards opening */
static card cards[MG_CUDA_CARDS_MAX];

mg_status mg_cuda_status(cudaError_t error, const char *what, mg_error *err)
{
    if (error == cudaSuccess) {
        return MG_OK;
    }
    (void)cudaGetLastError(); /* a recoverable error is not met again by the next check */
    mg_status status = error == cudaErrorMemoryAllocation ? MG_ERR_MEMORY : MG_ERR_DEVICE;
    return mg_fail(err, status, "%s: %s", what, cudaGetErrorString(error));
}

mg_status mg_cuda_launched(const char *what, mg_error *err)
{
    return mg_cuda_status(cudaGetLastError(), what, err);
}

int mg_cuda_count(const char **why_out)
{
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        (void)cudaGetLastError();
        count = 0;
    }
    if (why_out != NULL) {
        *why_out = error != cudaSuccess ? cudaGetErrorString(error) : count == 0 ? "no card" : "";
    }
    return MG_MIN(count, MG_CUDA_CARDS_MAX);
}

static mg_status cuda_alloc(const mg_device *device, size_t bytes, const char *what,
                            void **block_out, mg_error *err)
{
    const card *self = (const card *)device;
    *block_out = NULL;
    MG_TRY(mg_cuda_status(cudaSetDevice(self->index), device->name, err));
    void *block = NULL;
    cudaError_t error = cudaMalloc(&block, bytes > 0 ? bytes : 1);
    if (error != cudaSuccess) {
        (void)cudaGetLastError();
        return mg_fail(err, MG_ERR_MEMORY, "%s: no memory for %s (%zu bytes)", device->name, what,
                       bytes);
    }
    error = cudaMemset(block, 0, bytes);
    if (error != cudaSuccess) {
        (void)cudaFree(block);
        return mg_cuda_status(error, what, err);
    }
    *block_out = block;
    return MG_OK;
}

static void cuda_free(const mg_device *device, void *block)
{
    (void)device;
    if (block != NULL) {
        (void)cudaFree(block);
    }
}

/* Uploads of pageable memory are staged by the driver before the call returns: the host side may be
 * reused at once, and nothing waits for the card. */
static mg_status cuda_upload(mg_stream *stream, void *to, const void *from, size_t bytes,
                             mg_error *err)
{
    mg_cuda_twin_drop(stream);
    if (bytes == 0) {
        return MG_OK;
    }
    return mg_cuda_status(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream->handle),
                          "upload", err);
}

static mg_status cuda_download(mg_stream *stream, void *to, const void *from, size_t bytes,
                               mg_error *err)
{
    if (bytes == 0) {
        return MG_OK;
    }
    MG_TRY(mg_cuda_status(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream->handle),
                          "download", err));
    return mg_cuda_status(cudaStreamSynchronize(stream->handle), "download", err);
}

static mg_status cuda_fetch_begin(mg_stream *stream, int place, const void *from, size_t bytes,
                                  mg_error *err)
{
    MG_ASSERT(bytes <= MG_FETCH_BYTES);
    MG_TRY(mg_cuda_status(cudaMemcpyAsync(stream->fetched + place * MG_FETCH_BYTES, from, bytes,
                                          cudaMemcpyDeviceToHost, stream->handle),
                          "download", err));
    return mg_cuda_status(cudaEventRecord(stream->here[place], stream->handle), "download", err);
}

static mg_status cuda_fetch_end(mg_stream *stream, int place, void *to, size_t bytes, mg_error *err)
{
    MG_TRY(mg_cuda_status(cudaEventSynchronize(stream->here[place]), "download", err));
    memcpy(to, stream->fetched + place * MG_FETCH_BYTES, bytes);
    return MG_OK;
}

static void cuda_stream_destroy(mg_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    (void)cudaSetDevice(stream->card);
    (void)cudaStreamSynchronize(stream->handle);
    for (int i = 0; i < MG_CUDA_SEQUENCES; i++) {
        if (stream->sequences[i].graph != NULL) {
            (void)cudaGraphExecDestroy(stream->sequences[i].graph);
        }
    }
    mg_blas_destroy(stream->blas);
    for (int i = 0; i < MG_CUDA_WORKSPACES; i++) {
        (void)cudaFree(stream->workspaces[i].data);
    }
    (void)cudaFreeHost(stream->pinned);
    (void)cudaFreeHost(stream->fetched);
    for (int place = 0; place < 2; place++) {
        if (stream->here[place] != NULL) {
            (void)cudaEventDestroy(stream->here[place]);
        }
    }
    if (stream->handle != NULL) {
        (void)cudaStreamDestroy(stream->handle);
    }
    mg_free(stream);
}

static mg_status cuda_stream_create(const mg_device *device, mg_pool *pool, mg_stream **stream_out,
                                    mg_error *err)
{
    (void)pool;
    *stream_out = NULL;
    const card *self = (const card *)device;
    mg_status status = MG_OK;
    mg_stream *stream = mg_new(mg_stream);
    stream->device = device;
    stream->card = self->index;
    stream->multiprocessors = self->multiprocessors;
    MG_TRY_OR_DONE(mg_cuda_status(cudaSetDevice(self->index), device->name, err));
    /* A blocking stream, so that it is ordered with allocations, which zero on the default one. */
    MG_TRY_OR_DONE(mg_cuda_status(cudaStreamCreate(&stream->handle), "stream", err));
    MG_TRY_OR_DONE(mg_cuda_status(cudaMallocHost(&stream->pinned, MG_CUDA_PINNED_BYTES),
                                  "pinned memory", err));
    MG_TRY_OR_DONE(mg_cuda_status(cudaMallocHost((void **)&stream->fetched, 2 * MG_FETCH_BYTES),
                                  "pinned memory", err));
    for (int place = 0; place < 2; place++) {
        MG_TRY_OR_DONE(mg_cuda_status(
            cudaEventCreateWithFlags(&stream->here[place], cudaEventDisableTiming), "event", err));
    }
    MG_TRY_OR_DONE(mg_blas_create(&stream->blas, err));
    *stream_out = stream;
    stream = NULL; /* handed over */

done:
    cuda_stream_destroy(stream);
    return status;
}

static mg_status cuda_stream_wait(mg_stream *stream, mg_error *err)
{
    return mg_cuda_status(cudaStreamSynchronize(stream->handle), "wait", err);
}

mg_status mg_cuda_workspace_get(mg_stream *stream, mg_cuda_workspace which, size_t bytes,
                                void **block_out, mg_error *err)
{
    mg_cuda_block *block = &stream->workspaces[which];
    if (block->bytes < bytes) {
        if (stream->recording) {
            return mg_fail(err, MG_ERR_INTERNAL, "a workspace grows within a recorded sequence");
        }
        stream->workspace_version++;
        MG_TRY(mg_cuda_status(cudaStreamSynchronize(stream->handle), "workspace", err));
        (void)cudaFree(block->data);
        block->data = NULL;
        block->bytes = 0;
        size_t step = (size_t)1 << 20;
        size_t rounded = (bytes + step - 1) & ~(step - 1);
        MG_TRY(mg_cuda_status(cudaMalloc(&block->data, rounded), "workspace", err));
        block->bytes = rounded;
        MG_TRY(mg_cuda_status(cudaMemsetAsync(block->data, 0, rounded, stream->handle), "workspace",
                              err));
    }
    *block_out = block->data;
    return MG_OK;
}

mg_status mg_cuda_twin_begin(mg_stream *stream, const float *of, int64_t rows, int64_t dim,
                             int64_t stride, __nv_bfloat16 **block_out, mg_error *err)
{
    void *block = NULL;
    stream->twin.of = NULL;
    *block_out = NULL;
    if (dim % 8 != 0) {
        return MG_OK;
    }
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_TWIN, (size_t)(rows * dim) * 2, &block, err));
    stream->twin.of = of;
    stream->twin.rows = rows;
    stream->twin.dim = dim;
    stream->twin.stride = stride;
    *block_out = (__nv_bfloat16 *)block;
    return MG_OK;
}

static void forget_sequence(mg_cuda_sequence *sequence)
{
    if (sequence->graph != NULL) {
        (void)cudaGraphExecDestroy(sequence->graph);
    }
    memset(sequence, 0, sizeof(*sequence));
}

/* First time: the operations run as they are.  Second time: they are recorded, and the record runs.
 * From then on the record runs. */
static mg_status cuda_sequence_begin(mg_stream *stream, uint64_t key, bool *replayed_out,
                                     mg_error *err)
{
    mg_cuda_sequence *sequence = &stream->sequences[key % MG_CUDA_SEQUENCES];
    *replayed_out = false;
    mg_cuda_twin_drop(stream);
    if (!sequence->used || sequence->key != key ||
        (sequence->warm && sequence->workspace_version != stream->workspace_version)) {
        forget_sequence(sequence);
        sequence->used = true;
        sequence->key = key;
    }
    stream->current = (int)(key % MG_CUDA_SEQUENCES);
    if (sequence->graph != NULL) {
        MG_TRY(mg_cuda_status(cudaGraphLaunch(sequence->graph, stream->handle), "replay", err));
        *replayed_out = true;
        return MG_OK;
    }
    if (sequence->warm) {
        MG_TRY(
            mg_cuda_status(cudaStreamBeginCapture(stream->handle, cudaStreamCaptureModeThreadLocal),
                           "record", err));
        stream->recording = true;
    }
    return MG_OK;
}

static mg_status cuda_sequence_end(mg_stream *stream, bool good, mg_error *err)
{
    mg_cuda_sequence *sequence = &stream->sequences[stream->current];
    mg_cuda_twin_drop(stream);
    if (!stream->recording) {
        sequence->warm = good;
        sequence->workspace_version = stream->workspace_version;
        return MG_OK;
    }
    cudaGraph_t graph = NULL;
    stream->recording = false;
    cudaError_t error = cudaStreamEndCapture(stream->handle, &graph);
    if (good && error == cudaSuccess) {
        error = cudaGraphInstantiate(&sequence->graph, graph, 0);
    }
    if (graph != NULL) {
        (void)cudaGraphDestroy(graph);
    }
    if (!good) {
        (void)cudaGetLastError();
        forget_sequence(sequence);
        return MG_OK; /* the caller has the error that matters */
    }
    MG_TRY(mg_cuda_status(error, "record", err));
    return mg_cuda_status(cudaGraphLaunch(sequence->graph, stream->handle), "replay", err);
}

static mg_status open_card(card *self, int index, mg_error *err)
{
    cudaDeviceProp properties;
    char what[32];
    (void)snprintf(what, sizeof(what), "cuda:%d", index);
    MG_TRY(mg_cuda_status(cudaGetDeviceProperties(&properties, index), what, err));
    if (properties.major < 8) {
        return mg_fail(err, MG_ERR_DEVICE,
                       "cuda:%d: %s has compute capability %d.%d, 8.0 or newer is needed", index,
                       properties.name, properties.major, properties.minor);
    }
    (void)snprintf(self->name, sizeof(self->name), "cuda:%d (%s)", index, properties.name);
    self->index = index;
    self->multiprocessors = properties.multiProcessorCount;
    self->device.name = self->name;
    self->device.nn = &mg_nn_ops_cuda;
    self->device.mix = &mg_mix_ops_cuda;
    self->device.formula = &mg_formula_ops_cuda;
    self->device.alloc = cuda_alloc;
    self->device.free = cuda_free;
    self->device.upload = cuda_upload;
    self->device.download = cuda_download;
    self->device.stream_create = cuda_stream_create;
    self->device.stream_wait = cuda_stream_wait;
    self->device.stream_destroy = cuda_stream_destroy;
    self->device.fetch_begin = cuda_fetch_begin;
    self->device.fetch_end = cuda_fetch_end;
    self->device.host_memory = false;
    self->device.memory = mg_cuda_memory;
    self->device.sequence_begin = cuda_sequence_begin;
    self->device.sequence_end = cuda_sequence_end;
    self->open = true;
    return MG_OK;
}

mg_status mg_device_cuda(int index, const mg_device **device_out, mg_error *err)
{
    *device_out = NULL;
    const char *why;
    int count = mg_cuda_count(&why);
    if (count == 0) {
        return mg_fail(err, MG_ERR_DEVICE, "cuda: no working card: %s", why);
    }
    if (index < 0 || index >= count) {
        return mg_fail(err, MG_ERR_DEVICE, "cuda:%d: there are %d cards, 0 to %d", index, count,
                       count - 1);
    }
    (void)pthread_mutex_lock(&cards_mutex);
    card *self = &cards[index];
    mg_status status = self->open ? MG_OK : open_card(self, index, err);
    (void)pthread_mutex_unlock(&cards_mutex);
    if (status == MG_OK) {
        *device_out = &self->device;
    }
    return status;
}

mg_status mg_cuda_memory(const mg_device *device, size_t *free_out, size_t *total_out,
                         mg_error *err)
{
    const card *self = (const card *)device;
    *free_out = 0;
    *total_out = 0;
    MG_TRY(mg_cuda_status(cudaSetDevice(self->index), device->name, err));
    return mg_cuda_status(cudaMemGetInfo(free_out, total_out), device->name, err);
}
