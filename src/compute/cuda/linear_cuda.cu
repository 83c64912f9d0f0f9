/* compute/cuda/linear_cuda.cu - matrix products through cuBLASLt, found by dlopen.
 *
 * A packed weight is the row-major matrix itself, (out_dim, in_dim).  To cuBLASLt, which counts by
 * columns, out^T (out_dim, rows) = W (out_dim, in_dim) * x^T (in_dim, rows): W is its first
 * operand, transposed.  bfloat16 weights multiply bfloat16 copies of the rows, accumulated in
 * float32. Descriptors and algorithms are kept for each shape.  For a class of shapes (rows rounded
 * up) the likeliest algorithms are timed once, on a result of their own: at few rows the first
 * suggestion reads weights noticeably slower than the best one.
 *
 * The library's header is not needed: the few types and values of its stable interface stand here.
 */
#include <dlfcn.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/cuda_internal.h"

#define MG_BLAS_WORKSPACE_BYTES ((size_t)32 << 20)
#define MG_BLAS_SHAPES 1024  /* shapes that are remembered */
#define MG_BLAS_CLASSES 256  /* classes of shapes whose best algorithm is remembered */
#define MG_BLAS_CANDIDATES 8 /* algorithms timed for a class */
#define MG_BLAS_ROUNDS 3

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

/* Descriptors of one product; zeroed is empty. */
typedef struct product {
    blas_desc *desc;
    blas_layout *weight, *x, *out;
} product;

/* What tells one product from another. */
typedef struct shape_key {
    int64_t rows, out_dim, in_dim, x_stride, out_stride;
    int64_t form; /* dtype, bias, residual and alignments in one number; 0 = empty */
} shape_key;

typedef struct blas_shape {
    shape_key key;
    product descriptors;
    blas_algo algo;
} blas_shape;

typedef struct tuned_class {
    shape_key key; /* rows rounded up */
    blas_algo algo;
} tuned_class;

struct mg_blas {
    void *library;
    blas_functions f;
    blas_handle *handle;
    blas_preference *preference;
    cudaEvent_t begin, end;
    blas_shape shapes[MG_BLAS_SHAPES];
    tuned_class classes[MG_BLAS_CLASSES];
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
    MG_TRY_OR_DONE(mg_cuda_status(cudaEventCreate(&blas->begin), "event", err));
    MG_TRY_OR_DONE(mg_cuda_status(cudaEventCreate(&blas->end), "event", err));
    MG_TRY_OR_DONE(blas_status(blas->f.preference_create(&blas->preference),
                               "cublasLtMatmulPreferenceCreate", err));
    MG_TRY_OR_DONE(blas_status(
        blas->f.preference_set(blas->preference, BLAS_PREFERENCE_WORKSPACE, &bytes, sizeof(bytes)),
        "cublasLtMatmulPreferenceSetAttribute", err));
    *blas_out = blas;
    blas = NULL; /* handed over */

done:
    mg_blas_destroy(blas);
    return status;
}

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
    memset(p, 0, sizeof(*p));
}

void mg_blas_destroy(struct mg_blas *blas)
{
    if (blas == NULL) {
        return;
    }
    for (int i = 0; i < MG_BLAS_SHAPES; i++) {
        product_release(blas, &blas->shapes[i].descriptors);
    }
    if (blas->begin != NULL) {
        (void)cudaEventDestroy(blas->begin);
    }
    if (blas->end != NULL) {
        (void)cudaEventDestroy(blas->end);
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

static uint64_t key_hash(const shape_key *key)
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

static bool same_key(const shape_key *a, const shape_key *b)
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

/* Rows rounded up: shapes of one class take the same algorithm. */
static int64_t rows_class(int64_t rows)
{
    int64_t step = rows <= 256 ? 32 : rows <= 4096 ? 512 : 4096;
    return rows <= 16 ? 16 : (rows + step - 1) / step * step;
}

/* One product as cuBLASLt takes it. */
typedef struct call {
    const product *descriptors;
    const void *weight, *x;
    const float *residual;
    float *out;
    float beta;
    void *workspace;
} call;

static int run_call(const mg_stream *stream, const call *c, const blas_algo *algo)
{
    const struct mg_blas *blas = stream->blas;
    const product *p = c->descriptors;
    float one = 1;
    return blas->f.matmul(blas->handle, p->desc, &one, c->weight, p->weight, c->x, p->x, &c->beta,
                          c->residual, p->out, c->out, p->out, algo, c->workspace,
                          MG_BLAS_WORKSPACE_BYTES, stream->handle);
}

static mg_status suggest(struct mg_blas *blas, const call *c, int wanted, blas_heuristic *results,
                         int *found_out, mg_error *err)
{
    const product *p = c->descriptors;
    const void *operands[4] = { c->weight, c->x, c->residual, c->out };
    int code = 0;
    *found_out = 0;
    for (int i = 0; i < 4 && code == 0; i++) {
        uint32_t alignment = alignment_of(operands[i]);
        code = blas->f.preference_set(blas->preference, BLAS_PREFERENCE_ALIGN_A + i, &alignment,
                                      sizeof(alignment));
    }
    if (code == 0) {
        code = blas->f.heuristic(blas->handle, p->desc, p->weight, p->x, p->out, p->out,
                                 blas->preference, wanted, results, found_out);
    }
    return blas_status(code != 0 || *found_out > 0 ? code : -1, "choosing an algorithm", err);
}

/* Milliseconds of the best of a few runs; a failing algorithm takes for ever. */
static float time_algo(const mg_stream *stream, const call *c, const blas_algo *algo)
{
    const struct mg_blas *blas = stream->blas;
    float best = 1e30f;
    for (int i = 0; i < MG_BLAS_ROUNDS; i++) {
        float ms = 1e30f;
        (void)cudaEventRecord(blas->begin, stream->handle);
        int code = run_call(stream, c, algo);
        (void)cudaEventRecord(blas->end, stream->handle);
        if (code != 0 || cudaEventSynchronize(blas->end) != cudaSuccess ||
            cudaEventElapsedTime(&ms, blas->begin, blas->end) != cudaSuccess) {
            (void)cudaGetLastError();
            return 1e30f;
        }
        best = MG_MIN(best, ms);
    }
    return best;
}

/* Times the likeliest algorithms for the call, into a result of their own. */
static mg_status tune(mg_stream *stream, const mg_linear_args *args, const call *c,
                      blas_algo *algo_out, mg_error *err)
{
    blas_heuristic results[MG_BLAS_CANDIDATES];
    int found = 0;
    void *scratch = NULL;
    MG_TRY(suggest(stream->blas, c, MG_BLAS_CANDIDATES, results, &found, err));
    *algo_out = results[0].algo;
    size_t bytes = (size_t)(args->rows * args->out_stride) * sizeof(float);
    if (found == 1 || stream->recording || cudaMalloc(&scratch, bytes) != cudaSuccess) {
        (void)cudaGetLastError(); /* no room to try: the first suggestion it is */
        return MG_OK;
    }
    call trial = *c;
    trial.residual = (const float *)scratch;
    trial.out = (float *)scratch;
    float best = 1e30f;
    (void)cudaMemsetAsync(scratch, 0, bytes, stream->handle);
    for (int i = 0; i < found; i++) {
        float ms = time_algo(stream, &trial, &results[i].algo);
        if (ms < best) {
            best = ms;
            *algo_out = results[i].algo;
        }
    }
    (void)cudaFree(scratch);
    return MG_OK;
}

/* The remembered shape of the call, described and given an algorithm when it is new. */
static mg_status find_shape(mg_stream *stream, const mg_linear_args *args, int64_t x_stride,
                            call *c, blas_shape **shape_out, mg_error *err)
{
    struct mg_blas *blas = stream->blas;
    const void *operands[4] = { c->weight, c->x, c->residual, c->out };
    shape_key key = { args->rows, args->weight.out_dim, args->weight.in_dim,
                      x_stride,   args->out_stride,     0 };
    key.form = 1 + (args->weight.dtype == MG_BF16 ? 2 : 0) + (args->bias != NULL ? 4 : 0) +
               (args->residual != NULL ? 8 : 0);
    for (int i = 0; i < 4; i++) {
        key.form = key.form * 512 + alignment_of(operands[i]);
    }
    blas_shape *shape = &blas->shapes[key_hash(&key) % MG_BLAS_SHAPES];
    *shape_out = shape;
    c->descriptors = &shape->descriptors;
    if (same_key(&shape->key, &key)) {
        return MG_OK;
    }
    product_release(blas, &shape->descriptors);
    memset(shape, 0, sizeof(*shape));
    MG_TRY(product_init(blas, args, x_stride, &shape->descriptors, err));
    shape_key rounded = key;
    rounded.rows = rows_class(key.rows);
    tuned_class *known = &blas->classes[key_hash(&rounded) % MG_BLAS_CLASSES];
    if (!same_key(&known->key, &rounded)) {
        MG_TRY(tune(stream, args, c, &known->algo, err));
        known->key = rounded;
    }
    shape->algo = known->algo;
    shape->key = key;
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
    int64_t x_stride = args->x_stride;
    call c = { NULL, args->weight.data, args->x, args->residual, args->out, 0, NULL };
    blas_shape *shape = NULL;
    if (args->weight.dtype == MG_BF16) {
        void *copy = NULL;
        MG_TRY(convert_rows(stream, args, &copy, &x_stride, err));
        c.x = copy;
    }
    mg_cuda_twin_drop(stream);
    c.beta = args->residual != NULL ? 1 : 0;
    c.residual = args->residual != NULL ? args->residual : args->out;
    MG_TRY(
        mg_cuda_workspace_get(stream, MG_CUDA_WS_BLAS, MG_BLAS_WORKSPACE_BYTES, &c.workspace, err));
    MG_TRY(find_shape(stream, args, x_stride, &c, &shape, err));
    int code = 0;
    if (args->bias != NULL) {
        code = stream->blas->f.desc_set(shape->descriptors.desc, BLAS_DESC_BIAS, &args->bias,
                                        sizeof(args->bias));
    }
    if (code == 0) {
        code = run_call(stream, &c, &shape->algo);
    }
    if (code != 0) {
        /* The class's algorithm does not fit this very shape: ask for one that does. */
        blas_heuristic result;
        int found = 0;
        MG_TRY(suggest(stream->blas, &c, 1, &result, &found, err));
        shape->algo = result.algo;
        code = run_call(stream, &c, &shape->algo);
    }
    return blas_status(code, "cublasLtMatmul", err);
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
        asm("{ .reg .b16 h; mov.b16 h, %1; cvt.f32.f16 %0, h; }"
            : "=f"(value)
            : "h"((unsigned short)bits));
        return value;
    }
    }
}

template <typename T> __global__ static void pack_kernel(T *out, mg_pack_args args, int64_t count)
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
        char *to = (char *)args->weight.data +
                   (size_t)(args->row_first * args->weight.in_dim) * (source_bytes / (size_t)count);
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
        pack_kernel<__nv_bfloat16>
            <<<blocks, 256, 0, stream->handle>>>((__nv_bfloat16 *)args->weight.data, pack, count);
    } else {
        pack_kernel<float>
            <<<blocks, 256, 0, stream->handle>>>((float *)args->weight.data, pack, count);
    }
    return mg_cuda_launched("pack", err);
}
