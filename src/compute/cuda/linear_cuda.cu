/* compute/cuda/linear_cuda.cu - matrix products through cuBLASLt, found by dlopen.
 *
 * A packed weight is the row-major matrix itself, (out_dim, in_dim).  To cuBLASLt, which counts by
 * columns, out^T (out_dim, rows) = W (out_dim, in_dim) * x^T (in_dim, rows): W is its first
 * operand, transposed.  bfloat16 weights multiply bfloat16 copies of the rows, accumulated in
 * float32. Descriptors and algorithms are kept for each shape; the algorithm is cuBLASLt's first
 * suggestion, which depends on the shape alone, so that sums have one order in every process.
 * Products of few rows go to few_cuda.cu.
 *
 * The library's header is not needed: the few types and values of its stable interface stand here.
 */
#include <dlfcn.h>
#include <string.h>

#include "base/memory.h"
#include "compute/cuda/cuda_internal.h"

#define MG_BLAS_WORKSPACE_BYTES ((size_t)32 << 20)
#define MG_BLAS_SHAPES 4096 /* that are remembered */

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

/* One product as cuBLASLt takes it: out = x W^T + bias + residual. */
typedef struct call {
    const mg_weight *weight;
    const void *x; /* (rows, in_dim) in the weight's type */
    int64_t rows;
    int64_t x_stride;
    void *out; /* (rows, out_dim) */
    int64_t out_stride;
    bool narrow_out; /* bfloat16 instead of float32; then without bias and residual */
    const float *bias;
    const float *residual;
} call;

static mg_status product_init(const struct mg_blas *blas, const call *c, product *p, mg_error *err)
{
    int type = c->weight->dtype == MG_BF16 ? BLAS_R_16BF : BLAS_R_32F;
    int transpose = BLAS_TRANSPOSE;
    uint64_t in_dim = (uint64_t)c->weight->in_dim;
    uint64_t out_dim = (uint64_t)c->weight->out_dim;
    uint64_t rows = (uint64_t)c->rows;
    int code = blas->f.desc_create(&p->desc, BLAS_COMPUTE_32F, BLAS_R_32F);
    if (code == 0) {
        code = blas->f.desc_set(p->desc, BLAS_DESC_TRANSPOSE_A, &transpose, sizeof(transpose));
    }
    if (code == 0 && c->bias != NULL) {
        int epilogue = BLAS_EPILOGUE_BIAS;
        code = blas->f.desc_set(p->desc, BLAS_DESC_EPILOGUE, &epilogue, sizeof(epilogue));
        if (code == 0) {
            code = blas->f.desc_set(p->desc, BLAS_DESC_BIAS, &c->bias, sizeof(c->bias));
        }
    }
    if (code == 0) {
        code = blas->f.layout_create(&p->weight, type, in_dim, out_dim, (int64_t)in_dim);
    }
    if (code == 0) {
        code = blas->f.layout_create(&p->x, type, in_dim, rows, c->x_stride);
    }
    if (code == 0) {
        code = blas->f.layout_create(&p->out, c->narrow_out ? BLAS_R_16BF : BLAS_R_32F, out_dim,
                                     rows, c->out_stride);
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

/* The matrix that is added, or what stands for it. */
static const void *added_to(const call *c)
{
    return c->residual != NULL ? (const void *)c->residual : c->out;
}

static int run_call(const mg_stream *stream, const call *c, const blas_shape *shape,
                    void *workspace)
{
    const struct mg_blas *blas = stream->blas;
    const product *p = &shape->descriptors;
    float one = 1;
    float beta = c->residual != NULL ? 1 : 0;
    return blas->f.matmul(blas->handle, p->desc, &one, c->weight->data, p->weight, c->x, p->x,
                          &beta, added_to(c), p->out, c->out, p->out, &shape->algo, workspace,
                          MG_BLAS_WORKSPACE_BYTES, stream->handle);
}

static mg_status suggest(struct mg_blas *blas, const call *c, const product *p, blas_algo *algo_out,
                         mg_error *err)
{
    blas_heuristic result;
    int found = 0;
    const void *operands[4] = { c->weight->data, c->x, added_to(c), c->out };
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
    *algo_out = result.algo;
    return MG_OK;
}

/* The remembered shape of the call, described and given an algorithm when it is new. */
static mg_status find_shape(struct mg_blas *blas, const call *c, blas_shape **shape_out,
                            mg_error *err)
{
    const void *operands[4] = { c->weight->data, c->x, added_to(c), c->out };
    shape_key key = {
        c->rows, c->weight->out_dim, c->weight->in_dim, c->x_stride, c->out_stride, 0
    };
    key.form = 1 + (c->weight->dtype == MG_BF16 ? 2 : 0) + (c->bias != NULL ? 4 : 0) +
               (c->residual != NULL ? 8 : 0) + (c->narrow_out ? 16 : 0);
    for (int i = 0; i < 4; i++) {
        key.form = key.form * 512 + alignment_of(operands[i]);
    }
    blas_shape *shape = &blas->shapes[key_hash(&key) % MG_BLAS_SHAPES];
    *shape_out = shape;
    if (same_key(&shape->key, &key)) {
        return MG_OK;
    }
    product_release(blas, &shape->descriptors);
    memset(shape, 0, sizeof(*shape));
    MG_TRY(product_init(blas, c, &shape->descriptors, err));
    MG_TRY(suggest(blas, c, &shape->descriptors, &shape->algo, err));
    shape->key = key;
    return MG_OK;
}

static mg_status multiply(mg_stream *stream, const call *c, mg_error *err)
{
    struct mg_blas *blas = stream->blas;
    blas_shape *shape = NULL;
    void *workspace = NULL;
    MG_TRY(
        mg_cuda_workspace_get(stream, MG_CUDA_WS_BLAS, MG_BLAS_WORKSPACE_BYTES, &workspace, err));
    MG_TRY(find_shape(blas, c, &shape, err));
    int code = 0;
    if (c->bias != NULL) {
        code = blas->f.desc_set(shape->descriptors.desc, BLAS_DESC_BIAS, &c->bias, sizeof(c->bias));
    }
    if (code == 0) {
        code = run_call(stream, c, shape, workspace);
    }
    return blas_status(code, "cublasLtMatmul", err);
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

mg_status mg_cuda_convert_rows(mg_stream *stream, const float *x, int64_t rows, int64_t dim,
                               int64_t x_stride, void **x_out, int64_t *stride_out, mg_error *err)
{
    const mg_cuda_twin *twin = &stream->twin;
    *stride_out = (dim + 7) / 8 * 8;
    if (twin->of == x && twin->rows == rows && twin->dim == dim && twin->stride == x_stride) {
        *x_out = stream->workspaces[MG_CUDA_WS_TWIN].data;
        return MG_OK;
    }
    MG_TRY(mg_cuda_workspace_get(stream, MG_CUDA_WS_ROWS, (size_t)(rows * *stride_out) * 2, x_out,
                                 err));
    if (dim % 8 == 0) {
        int64_t pairs = rows * dim / 2;
        rows_to_bf16<<<(unsigned)((pairs + 255) / 256), 256, 0, stream->handle>>>(
            (__nv_bfloat162 *)*x_out, x, dim / 2, x_stride, rows);
    } else {
        int64_t count = rows * dim;
        rows_to_bf16_odd<<<(unsigned)((count + 255) / 256), 256, 0, stream->handle>>>(
            (__nv_bfloat16 *)*x_out, x, dim, *stride_out, x_stride, rows);
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
    call c = { &args->weight,    args->x, args->rows, args->x_stride, args->out,
               args->out_stride, false,   args->bias, args->residual };
    if (args->weight.dtype == MG_BF16) {
        void *copy = NULL;
        MG_TRY(mg_cuda_convert_rows(stream, args->x, args->rows, args->weight.in_dim,
                                    args->x_stride, &copy, &c.x_stride, err));
        c.x = copy;
        if (mg_cuda_few_fits(&args->weight, args->rows)) {
            mg_cuda_twin_drop(stream);
            return mg_cuda_few_linear(stream, args, (const __nv_bfloat16 *)copy, err);
        }
    }
    mg_cuda_twin_drop(stream);
    return multiply(stream, &c, err);
}

/* Eight components for each thread, from gate | up (rows, 2 * dim) to (rows, dim). */
__global__ static void gate_narrow_kernel(__nv_bfloat16 *out, const __nv_bfloat16 *gate_up, int dim,
                                          mg_nn_activation activation)
{
    int i = (int)(blockIdx.y * blockDim.x + threadIdx.x) * 8;
    if (i >= dim) {
        return;
    }
    const __nv_bfloat16 *from = gate_up + (int64_t)blockIdx.x * 2 * dim + i;
    out += (int64_t)blockIdx.x * dim;
    uint4 gate = *(const uint4 *)from;
    uint4 up = *(const uint4 *)(from + dim);
    const __nv_bfloat162 *x = (const __nv_bfloat162 *)&gate;
    const __nv_bfloat162 *y = (const __nv_bfloat162 *)&up;
    uint4 result;
    __nv_bfloat162 *z = (__nv_bfloat162 *)&result;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        z[k] = __floats2bfloat162_rn(
            mg_cuda_activate(__low2float(x[k]), activation) * __low2float(y[k]),
            mg_cuda_activate(__high2float(x[k]), activation) * __high2float(y[k]));
    }
    *(uint4 *)(out + i) = result;
}

/* The three operations one after the other, in float32. */
static mg_status mlp_in_steps(mg_stream *stream, const mg_mlp_args *args, mg_error *err)
{
    int64_t inner = args->down.in_dim;
    mg_linear_args first = { args->scratch, args->x,    args->gate_up,  NULL,
                             NULL,          args->rows, args->x_stride, 2 * inner };
    mg_gate_args gate = { args->scratch, args->scratch, args->scratch + inner, args->rows, inner,
                          2 * inner,     2 * inner,     args->activation };
    mg_linear_args second = { args->out,      args->scratch, args->down, args->down_bias,
                              args->residual, args->rows,    2 * inner,  args->out_stride };
    MG_TRY(mg_cuda_linear(stream, &first, err));
    MG_TRY(mg_cuda_gate(stream, &gate, err));
    return mg_cuda_linear(stream, &second, err);
}

/* scratch holds gate and up, then their joined result, all in bfloat16. */
mg_status mg_cuda_mlp(mg_stream *stream, const mg_mlp_args *args, mg_error *err)
{
    int64_t rows = args->rows;
    int64_t inner = args->down.in_dim;
    int64_t hidden = args->gate_up.in_dim;
    MG_ASSERT(args->gate_up.out_dim == 2 * inner);
    if (rows == 0) {
        return MG_OK;
    }
    if (args->gate_up.dtype != MG_BF16 || args->down.dtype != MG_BF16 || inner % 8 != 0 ||
        inner == 0 || hidden == 0 || (uintptr_t)args->scratch % 16 != 0) {
        return mlp_in_steps(stream, args, err);
    }
    __nv_bfloat16 *both = (__nv_bfloat16 *)args->scratch;
    __nv_bfloat16 *joined = both + rows * 2 * inner;
    void *x = NULL;
    int64_t x_stride = 0;
    MG_TRY(mg_cuda_convert_rows(stream, args->x, rows, hidden, args->x_stride, &x, &x_stride, err));
    mg_cuda_twin_drop(stream);
    if (mg_cuda_few_fits(&args->gate_up, rows)) {
        MG_TRY(mg_cuda_few_gated(stream, args, (const __nv_bfloat16 *)x, joined, err));
    } else {
        call first = { &args->gate_up, x, rows, x_stride, both, 2 * inner, true, NULL, NULL };
        MG_TRY(multiply(stream, &first, err));
        dim3 grid((unsigned)rows, (unsigned)((inner / 8 + 255) / 256));
        gate_narrow_kernel<<<grid, 256, 0, stream->handle>>>(joined, both, (int)inner,
                                                             args->activation);
        MG_TRY(mg_cuda_launched("mlp", err));
    }
    if (mg_cuda_few_fits(&args->down, rows)) {
        mg_linear_args down = { args->out,      args->x, args->down, args->down_bias,
                                args->residual, rows,    0,          args->out_stride };
        return mg_cuda_few_linear(stream, &down, joined, err);
    }
    call second = { &args->down, joined,          rows,          inner, args->out, args->out_stride,
                    false,       args->down_bias, args->residual };
    return multiply(stream, &second, err);
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
    mg_cuda_twin_drop(stream); /* a kernel stands between this and the product that follows */
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
