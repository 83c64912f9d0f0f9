/* compute/cuda/linear_cuda.cu - matrix products through cuBLASLt, found by dlopen.
 *
 * A packed weight is the row-major matrix itself, (out_dim, in_dim).  To cuBLASLt, which counts by
 * columns, out^T (out_dim, rows) = W (out_dim, in_dim) * x^T (in_dim, rows): W is its first operand,
 * transposed.  bfloat16 weights multiply bfloat16 copies of the rows, accumulated in float32.
 * Algorithms are asked for once for each shape and kept.
 *
 * The library's header is not needed: the few types and values of its stable interface stand here. */
#include <dlfcn.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/cuda_internal.h"

#define MG_BLAS_WORKSPACE_BYTES ((size_t)32 << 20)
#define MG_BLAS_SHAPES 1024 /* a power of two: shapes whose algorithm is remembered */

/* cublasLt.h: opaque handles, enumeration values, and the two structs passed by value or array. */
typedef struct blas_handle blas_handle;
typedef struct blas_desc blas_desc;
typedef struct blas_layout blas_layout;
typedef struct blas_preference blas_preference;
typedef struct blas_algo {
    uint64_t data[8];
} blas_algo;
typedef struct blas_heuristic {
    blas_algo algo;
    size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
} blas_heuristic;

enum {
    BLAS_COMPUTE_32F = 68,
    BLAS_R_32F = 0,
    BLAS_R_16BF = 14,
    BLAS_DESC_TRANSPOSE_A = 3,
    BLAS_DESC_EPILOGUE = 7,
    BLAS_DESC_BIAS = 8,
    BLAS_EPILOGUE_BIAS = 4,
    BLAS_PREFERENCE_WORKSPACE = 1,
    BLAS_PREFERENCE_ALIGN_A = 5, /* then of B, C and D */
    BLAS_TRANSPOSE = 1
};

typedef struct blas_functions {
    int (*create)(blas_handle **);
    int (*destroy)(blas_handle *);
    int (*desc_create)(blas_desc **, int compute, int scale_type);
    int (*desc_destroy)(blas_desc *);
    int (*desc_set)(blas_desc *, int attribute, const void *value, size_t bytes);
    int (*layout_create)(blas_layout **, int type, uint64_t rows, uint64_t columns, int64_t ld);
    int (*layout_destroy)(blas_layout *);
    int (*preference_create)(blas_preference **);
    int (*preference_destroy)(blas_preference *);
    int (*preference_set)(blas_preference *, int attribute, const void *value, size_t bytes);
    int (*heuristic)(blas_handle *, blas_desc *, blas_layout *, blas_layout *, blas_layout *,
                     blas_layout *, blas_preference *, int requested, blas_heuristic *, int *found);
    int (*matmul)(blas_handle *, blas_desc *, const void *alpha, const void *a, blas_layout *,
                  const void *b, blas_layout *, const void *beta, const void *c, blas_layout *,
                  void *d, blas_layout *, const blas_algo *, void *workspace, size_t bytes,
                  cudaStream_t);
} blas_functions;

typedef struct blas_shape {
    int64_t rows, out_dim, in_dim, x_stride, out_stride;
    int64_t form; /* dtype, bias, residual and alignments in one number; 0 = empty */
    blas_algo algo;
} blas_shape;

struct mg_blas {
    void *library;
    blas_functions f;
    blas_handle *handle;
    blas_preference *preference;
    blas_shape shapes[MG_BLAS_SHAPES];
};

static mg_status load_functions(struct mg_blas *blas, mg_error *err)
{
    static const char *const names[] = { "libcublasLt.so.13", "libcublasLt.so.12",
                                         "libcublasLt.so" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names) && blas->library == NULL; i++) {
        blas->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (blas->library == NULL) {
        return mg_fail(err, MG_ERR_DEVICE,
                       "cuda: libcublasLt.so is not found; install the CUDA libraries or put their "
                       "folder into LD_LIBRARY_PATH");
    }
    const struct {
        const char *name;
        void *target;
    } symbols[] = {
        { "cublasLtCreate", &blas->f.create },
        { "cublasLtDestroy", &blas->f.destroy },
        { "cublasLtMatmulDescCreate", &blas->f.desc_create },
        { "cublasLtMatmulDescDestroy", &blas->f.desc_destroy },
        { "cublasLtMatmulDescSetAttribute", &blas->f.desc_set },
        { "cublasLtMatrixLayoutCreate", &blas->f.layout_create },
        { "cublasLtMatrixLayoutDestroy", &blas->f.layout_destroy },
        { "cublasLtMatmulPreferenceCreate", &blas->f.preference_create },
        { "cublasLtMatmulPreferenceDestroy", &blas->f.preference_destroy },
        { "cublasLtMatmulPreferenceSetAttribute", &blas->f.preference_set },
        { "cublasLtMatmulAlgoGetHeuristic", &blas->f.heuristic },
        { "cublasLtMatmul", &blas->f.matmul },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(symbols); i++) {
        void *symbol = dlsym(blas->library, symbols[i].name);
        if (symbol == NULL) {
            return mg_fail(err, MG_ERR_DEVICE, "cuda: libcublasLt.so lacks %s", symbols[i].name);
        }
        memcpy(symbols[i].target, &symbol, sizeof(symbol));
    }
    return MG_OK;
}

static mg_status blas_status(int code, const char *what, mg_error *err)
{
    return code == 0 ? MG_OK
                     : mg_fail(err, MG_ERR_DEVICE, "cuda: %s failed with status %d", what, code);
}

mg_status mg_blas_create(struct mg_blas **blas_out, mg_error *err)
{
    *blas_out = NULL;
    mg_status status = MG_OK;
    size_t bytes = MG_BLAS_WORKSPACE_BYTES;
    struct mg_blas *blas = mg_new(struct mg_blas);
    MG_TRY_OR_DONE(load_functions(blas, err));
    MG_TRY_OR_DONE(blas_status(blas->f.create(&blas->handle), "cublasLtCreate", err));
    MG_TRY_OR_DONE(blas_status(blas->f.preference_create(&blas->preference),
                               "cublasLtMatmulPreferenceCreate", err));
    MG_TRY_OR_DONE(blas_status(blas->f.preference_set(blas->preference, BLAS_PREFERENCE_WORKSPACE,
                                                      &bytes, sizeof(bytes)),
                               "cublasLtMatmulPreferenceSetAttribute", err));
    *blas_out = blas;
    blas = NULL; /* handed over */

done:
    mg_blas_destroy(blas);
    return status;
}

void mg_blas_destroy(struct mg_blas *blas)
{
    if (blas == NULL) {
        return;
    }
    if (blas->preference != NULL) {
        (void)blas->f.preference_destroy(blas->preference);
    }
    if (blas->handle != NULL) {
        (void)blas->f.destroy(blas->handle);
    }
    if (blas->library != NULL) {
        (void)dlclose(blas->library);
    }
    mg_free(blas);
}

/* Descriptors of one product; zeroed is empty. */
typedef struct product {
    blas_desc *desc;
    blas_layout *weight, *x, *out;
} product;

static void product_release(const struct mg_blas *blas, product *p)
{
    if (p->desc != NULL) {
        (void)blas->f.desc_destroy(p->desc);
    }
    blas_layout *layouts[] = { p->weight, p->x, p->out };
    for (int i = 0; i < 3; i++) {
        if (layouts[i] != NULL) {
            (void)blas->f.layout_destroy(layouts[i]);
        }
    }
}

static mg_status product_init(const struct mg_blas *blas, const mg_linear_args *args,
                              int64_t x_stride, product *p, mg_error *err)
{
    int type = args->weight.dtype == MG_BF16 ? BLAS_R_16BF : BLAS_R_32F;
    int transpose = BLAS_TRANSPOSE;
    uint64_t in_dim = (uint64_t)args->weight.in_dim;
    uint64_t out_dim = (uint64_t)args->weight.out_dim;
    uint64_t rows = (uint64_t)args->rows;
    int code = blas->f.desc_create(&p->desc, BLAS_COMPUTE_32F, BLAS_R_32F);
    if (code == 0) {
        code = blas->f.desc_set(p->desc, BLAS_DESC_TRANSPOSE_A, &transpose, sizeof(transpose));
    }
    if (code == 0 && args->bias != NULL) {
        int epilogue = BLAS_EPILOGUE_BIAS;
        code = blas->f.desc_set(p->desc, BLAS_DESC_EPILOGUE, &epilogue, sizeof(epilogue));
        if (code == 0) {
            code = blas->f.desc_set(p->desc, BLAS_DESC_BIAS, &args->bias, sizeof(args->bias));
        }
    }
    if (code == 0) {
        code = blas->f.layout_create(&p->weight, type, in_dim, out_dim, (int64_t)in_dim);
    }
    if (code == 0) {
        code = blas->f.layout_create(&p->x, type, in_dim, rows, x_stride);
    }
    if (code == 0) {
        code = blas->f.layout_create(&p->out, BLAS_R_32F, out_dim, rows, args->out_stride);
    }
    return blas_status(code, "describing a product", err);
}

static uint64_t shape_hash(const blas_shape *key)
{
    uint64_t h = 0x9E3779B97F4A7C15ull;
    const int64_t parts[] = { key->rows,     key->out_dim,    key->in_dim,
                              key->x_stride, key->out_stride, key->form };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(parts); i++) {
        h = (h ^ (uint64_t)parts[i]) * 0xBF58476D1CE4E5B9ull;
        h ^= h >> 29;
    }
    return h;
}

static bool same_shape(const blas_shape *a, const blas_shape *b)
{
    return a->form == b->form && a->rows == b->rows && a->out_dim == b->out_dim &&
           a->in_dim == b->in_dim && a->x_stride == b->x_stride && a->out_stride == b->out_stride;
}

/* The power of two, at most 256, that a pointer is a multiple of. */
static uint32_t alignment_of(const void *p)
{
    uintptr_t low = (uintptr_t)p & (~(uintptr_t)p + 1);
    return low == 0 || low > 256 ? 256 : (uint32_t)low;
}

/* The remembered algorithm for the shape, asked for when it is new.  operands: weight, x, residual
 * and out, whose alignment decides too. */
static mg_status find_algo(struct mg_blas *blas, const mg_linear_args *args, const product *p,
                           int64_t x_stride, const void *const operands[4], blas_algo *algo_out,
                           mg_error *err)
{
    blas_shape key;
    memset(&key, 0, sizeof(key));
    key.rows = args->rows;
    key.out_dim = args->weight.out_dim;
    key.in_dim = args->weight.in_dim;
    key.x_stride = x_stride;
    key.out_stride = args->out_stride;
    key.form = 1 + (args->weight.dtype == MG_BF16 ? 2 : 0) + (args->bias != NULL ? 4 : 0) +
               (args->residual != NULL ? 8 : 0);
    for (int i = 0; i < 4; i++) {
        key.form = key.form * 512 + alignment_of(operands[i]);
    }
    blas_shape *slot = &blas->shapes[shape_hash(&key) % MG_BLAS_SHAPES];
    if (!same_shape(slot, &key)) {
        blas_heuristic result;
        int found = 0;
        int code = 0;
        for (int i = 0; i < 4 && code == 0; i++) {
            uint32_t alignment = alignment_of(operands[i]);
            code = blas->f.preference_set(blas->preference, BLAS_PREFERENCE_ALIGN_A + i, &alignment,
                                          sizeof(alignment));
        }
        if (code == 0) {
            code = blas->f.heuristic(blas->handle, p->desc, p->weight, p->x, p->out, p->out,
                                     blas->preference, 1, &result, &found);
        }
        MG_TRY(blas_status(code != 0 || found > 0 ? code : -1, "choosing an algorithm", err));
        key.algo = result.algo;
        *slot = key;
    }
    *algo_out = slot->algo;
    return MG_OK;
}

/* Rows of x as bfloat16, dense; two values for each thread. */
__global__ static void rows_to_bf16(__nv_bfloat162 *out, const float *x, int64_t half,
                                    int64_t x_stride, int64_t rows)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * half) {
        int64_t row = i / half;
        const float *from = x + row * x_stride + (i % half) * 2;
        out[i] = __floats2bfloat162_rn(from[0], from[1]);
    }
}

__global__ static void rows_to_bf16_odd(__nv_bfloat16 *out, const float *x, int64_t dim,
                                        int64_t padded, int64_t x_stride, int64_t rows)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * dim) {
        out[i / dim * padded + i % dim] = __float2bfloat16_rn(x[i / dim * x_stride + i % dim]);
    }
}

/* A dense bfloat16 copy of the input rows; *stride_out in elements. */
static mg_status convert_rows(mg_stream *stream, const mg_linear_args *args, void **x_out,
                              int64_t *stride_out, mg_error *err)
{
    int64_t dim = args->weight.in_dim;
    const mg_cuda_twin *twin = &stream->twin;
    *stride_out = (dim + 7) / 8 * 8;
    if (twin->of == args->x && twin->rows == args->rows && twin->dim == dim &&
        twin->stride == args->x_stride) {
        *x_out = stream->workspaces[MG_CUDA_WS_TWIN].data;
        return MG_OK;
    }
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_ROWS, (size_t)(args->rows * *stride_out) * 2,
                                 x_out, err));
    if (dim % 8 == 0) {
        int64_t pairs = args->rows * dim / 2;
        rows_to_bf16<<<(unsigned)((pairs + 255) / 256), 256, 0, stream->handle>>>(
            (__nv_bfloat162 *)*x_out, args->x, dim / 2, args->x_stride, args->rows);
    } else {
        int64_t count = args->rows * dim;
        rows_to_bf16_odd<<<(unsigned)((count + 255) / 256), 256, 0, stream->handle>>>(
            (__nv_bfloat16 *)*x_out, args->x, dim, *stride_out, args->x_stride, args->rows);
    }
    return mg_cuda_launched("linear", err);
}

/* A product over nothing: out = residual + bias. */
__global__ static void empty_product_kernel(mg_linear_args args)
{
    int64_t out_dim = args.weight.out_dim;
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < args.rows * out_dim) {
        int64_t at = i / out_dim * args.out_stride + i % out_dim;
        float bias = args.bias != NULL ? args.bias[i % out_dim] : 0;
        args.out[at] = (args.residual != NULL ? args.residual[at] : 0) + bias;
    }
}

mg_status mg_cuda_linear(mg_stream *stream, const mg_linear_args *args, mg_error *err)
{
    if (args->rows == 0 || args->weight.out_dim == 0) {
        return MG_OK;
    }
    if (args->weight.in_dim == 0) {
        mg_cuda_twin_drop(stream);
        int64_t count = args->rows * args->weight.out_dim;
        empty_product_kernel<<<(unsigned)((count + 255) / 256), 256, 0, stream->handle>>>(*args);
        return mg_cuda_launched("linear", err);
    }
    struct mg_blas *blas = stream->blas;
    mg_status status = MG_OK;
    product p = { NULL, NULL, NULL, NULL };
    const void *operands[4];
    blas_algo algo;
    const void *x = args->x;
    int64_t x_stride = args->x_stride;
    void *workspace = NULL;
    float one = 1;
    float beta = args->residual != NULL ? 1 : 0;
    const float *residual = args->residual != NULL ? args->residual : args->out;
    if (args->weight.dtype == MG_BF16) {
        void *copy = NULL;
        MG_TRY(convert_rows(stream, args, &copy, &x_stride, err));
        x = copy;
    }
    MG_TRY_OR_DONE(mg_cuda_workspace_get(stream, MG_CUDA_WS_BLAS, MG_BLAS_WORKSPACE_BYTES,
                                         &workspace, err));
    MG_TRY_OR_DONE(product_init(blas, args, x_stride, &p, err));
    operands[0] = args->weight.data;
    operands[1] = x;
    operands[2] = residual;
    operands[3] = args->out;
    MG_TRY_OR_DONE(find_algo(blas, args, &p, x_stride, operands, &algo, err));
    MG_TRY_OR_DONE(blas_status(
        blas->f.matmul(blas->handle, p.desc, &one, args->weight.data, p.weight, x, p.x, &beta,
                       residual, p.out, args->out, p.out, &algo, workspace,
                       MG_BLAS_WORKSPACE_BYTES, stream->handle),
        "cublasLtMatmul", err));

done:
    mg_cuda_twin_drop(stream);
    product_release(blas, &p);
    return status;
}

/* One element of a source in any float type. */
__device__ static float load_source(const void *source, mg_dtype dtype, int64_t i)
{
    switch (dtype) {
    case MG_F64:
        return (float)((const double *)source)[i];
    case MG_F32:
        return ((const float *)source)[i];
    case MG_BF16:
        return __bfloat162float(((const __nv_bfloat16 *)source)[i]);
    default: {
        /* float16 by its bits, without another header */
        unsigned bits = ((const unsigned short *)source)[i];
        float value;
        asm("{ .reg .b16 h; mov.b16 h, %1; cvt.f32.f16 %0, h; }" : "=f"(value) : "h"((unsigned short)bits));
        return value;
    }
    }
}

template <typename T>
__global__ static void pack_kernel(T *out, mg_pack_args args, int64_t count)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        float value = load_source(args.source, args.source_dtype, i);
        out[args.row_first * args.weight.in_dim + i] = (T)value;
    }
}

mg_status mg_cuda_pack(mg_stream *stream, const mg_pack_args *args, mg_error *err)
{
    mg_pack_args pack = *args;
    int64_t count = args->row_count * args->weight.in_dim;
    size_t source_bytes = (size_t)count * (size_t)(mg_dtype_bits(args->source_dtype) / 8);
    if (count == 0) {
        return MG_OK;
    }
    if (args->weight.dtype == args->source_dtype) {
        char *to = (char *)args->weight.data + (size_t)(args->row_first * args->weight.in_dim) *
                                                   (source_bytes / (size_t)count);
        return mg_cuda_status(cudaMemcpyAsync(to, args->source, source_bytes,
                                              cudaMemcpyDeviceToDevice, stream->handle),
                              "pack", err);
    }
    if ((uintptr_t)args->source % 8 != 0) {
        void *aligned = NULL;
        MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_ROWS, source_bytes, &aligned, err));
        MG_TRY(mg_cuda_status(cudaMemcpyAsync(aligned, args->source, source_bytes,
                                              cudaMemcpyDeviceToDevice, stream->handle),
                              "pack", err));
        pack.source = aligned;
    }
    unsigned blocks = (unsigned)((count + 255) / 256);
    if (args->weight.dtype == MG_BF16) {
        pack_kernel<__nv_bfloat16><<<blocks, 256, 0, stream->handle>>>(
            (__nv_bfloat16 *)args->weight.data, pack, count);
    } else {
        pack_kernel<float>
            <<<blocks, 256, 0, stream->handle>>>((float *)args->weight.data, pack, count);
    }
    return mg_cuda_launched("pack", err);
}
