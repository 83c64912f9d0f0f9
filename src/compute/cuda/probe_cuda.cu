/* compute/cuda/probe_cuda.cu - what the card can do: the limits that figures stand next to. */
#include "compute/cuda_device.h"

#include "compute/cuda/cuda_internal.h"

#define COPY_BYTES ((size_t)4 << 30)
#define MATRIX 8192
#define ROUNDS 5

/* Small random values, so that products neither overflow nor run on zeros. */
__global__ static void noise_kernel(float *x, int64_t count, uint32_t seed)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        uint32_t h = ((uint32_t)i ^ seed) * 2654435761u;
        h = (h ^ h >> 15) * 2246822519u;
        x[i] = ((float)(h >> 8) * 0x1p-24f - 0.5f) * 0.1f;
    }
}

typedef struct probe {
    mg_stream *stream;
    void *from;
    void *to;
    cudaEvent_t begin, end;
} probe;

static mg_status elapsed(const probe *p, float *best_ms, mg_error *err)
{
    float ms = 0;
    MG_TRY(mg_cuda_status(cudaEventRecord(p->end, p->stream->handle), "probe", err));
    MG_TRY(mg_cuda_status(cudaEventSynchronize(p->end), "probe", err));
    MG_TRY(mg_cuda_status(cudaEventElapsedTime(&ms, p->begin, p->end), "probe", err));
    *best_ms = *best_ms == 0 ? ms : MG_MIN(*best_ms, ms);
    return MG_OK;
}

static mg_status probe_copy(const probe *p, double *bytes_out, mg_error *err)
{
    float best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        MG_TRY(mg_cuda_status(cudaEventRecord(p->begin, p->stream->handle), "probe", err));
        MG_TRY(mg_cuda_status(cudaMemcpyAsync(p->to, p->from, COPY_BYTES, cudaMemcpyDeviceToDevice,
                                              p->stream->handle),
                              "probe", err));
        MG_TRY(elapsed(p, &best, err));
    }
    *bytes_out = 2.0 * (double)COPY_BYTES / (best * 1e-3);
    return MG_OK;
}

static mg_status probe_product(const probe *p, double *flops_out, mg_error *err)
{
    const int64_t count = (int64_t)MATRIX * MATRIX;
    float *x = (float *)p->from;
    float *out = x + count;
    float best = 0;
    noise_kernel<<<(unsigned)(count / 256), 256, 0, p->stream->handle>>>(x, count, 1);
    mg_pack_args pack = { { p->to, MATRIX, MATRIX, MG_BF16 }, 0, MATRIX, x, MG_F32 };
    MG_TRY(mg_cuda_pack(p->stream, &pack, err));
    mg_linear_args args = { out, x, pack.weight, NULL, NULL, MATRIX, MATRIX, MATRIX };
    for (int i = 0; i < ROUNDS + 1; i++) {
        MG_TRY(mg_cuda_status(cudaEventRecord(p->begin, p->stream->handle), "probe", err));
        MG_TRY(mg_cuda_linear(p->stream, &args, err));
        if (i > 0) {
            MG_TRY(elapsed(p, &best, err));
        }
    }
    *flops_out = 2.0 * MATRIX * (double)count / (best * 1e-3);
    return MG_OK;
}

mg_status mg_cuda_probe(const mg_device *device, double *copy_bytes_out, double *matrix_flops_out,
                        mg_error *err)
{
    mg_status status = MG_OK;
    probe p = { NULL, NULL, NULL, NULL, NULL };
    *copy_bytes_out = 0;
    *matrix_flops_out = 0;
    MG_TRY_OR_DONE(device->stream_create(device, NULL, &p.stream, err));
    MG_TRY_OR_DONE(device->alloc(device, COPY_BYTES, "a probe", &p.from, err));
    MG_TRY_OR_DONE(device->alloc(device, COPY_BYTES, "a probe", &p.to, err));
    MG_TRY_OR_DONE(mg_cuda_status(cudaEventCreate(&p.begin), "probe", err));
    MG_TRY_OR_DONE(mg_cuda_status(cudaEventCreate(&p.end), "probe", err));
    MG_TRY_OR_DONE(probe_copy(&p, copy_bytes_out, err));
    MG_TRY_OR_DONE(probe_product(&p, matrix_flops_out, err));

done:
    if (p.begin != NULL) {
        (void)cudaEventDestroy(p.begin);
    }
    if (p.end != NULL) {
        (void)cudaEventDestroy(p.end);
    }
    device->free(device, p.from);
    device->free(device, p.to);
    device->stream_destroy(p.stream);
    return status;
}
