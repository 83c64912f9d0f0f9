/* compute/cuda/attention_internal.h - what both attention kernels share: fragments, tiles, results.
 *
 * The query heads that share a key/value head are packed into the rows of one tile: row r of a run
 * is query r / group, head r % group, so that a decode step with grouped heads fills its tile as
 * far as it can. */
#pragma once

#include <math.h>

#include "compute/cuda/cuda_internal.h"

#define WARPS 4
#define THREADS (WARPS * 32)
#define KEYS MG_CUDA_KV_BLOCK /* keys of one tile */

typedef __nv_bfloat16 bf16;

__device__ static inline unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

/* 16 bytes from global to shared memory without waiting; zeros when not present. */
__device__ static inline void copy_async(void *to, const void *from, bool present)
{
    int bytes = present ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes));
}

__device__ static inline void copy_commit(void)
{
    asm volatile("cp.async.commit_group;");
}

template <int PENDING> __device__ static inline void copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING));
}

__device__ static inline void load_matrices(unsigned r[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}

__device__ static inline void load_matrices_transposed(unsigned r[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}

/* c (16 x 8) += a (16 x 16) * b (16 x 8), float32 accumulation. */
__device__ static inline void multiply(float c[4], const unsigned a[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ static inline unsigned pack_pair(float x, float y)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
    return *(unsigned *)&pair;
}

/* Which rows of which run a block works on. */
typedef struct tile {
    mg_kv_run run;
    int kv_head;
    int group;     /* query heads for each key/value head */
    int rows;      /* of the run: count * group */
    int row_first; /* of the block */
    int key_begin; /* a multiple of KEYS */
    int key_end;   /* behind the last key any row sees */
} tile;

/* A thread's two rows of a 16-row fragment: where their queries stand. */
typedef struct fragment_row {
    bool used;
    int position;
    int64_t row; /* of q and out */
    int head;
} fragment_row;

__device__ static fragment_row row_of(const tile *t, int row)
{
    fragment_row f;
    f.used = row < t->rows;
    int query = f.used ? row / t->group : 0;
    f.position = f.used ? t->run.first + query : -1;
    f.row = (int64_t)t->run.row + query;
    f.head = t->kv_head * t->group + (f.used ? row % t->group : 0);
    return f;
}

/* Loads KEYS x D keys (or values, those of the second plane) from position key on, a multiple of
 * KEYS: they lie in one block. */
template <int D>
__device__ static void load_half(bf16 *to, const mg_kv *kv, const tile *t, int key, bool values)
{
    const int chunks = D / 8;
    int64_t base = mg_cuda_kv_row(kv, t->run.slot, t->kv_head, key);
    int64_t plane = kv->blocks * kv->kv_heads * kv->positions * kv->head_dim;
    const bf16 *from = (const bf16 *)kv->data + (values ? plane : 0);
    for (int i = (int)threadIdx.x; i < KEYS * chunks; i += THREADS) {
        int row = i / chunks;
        int d = i % chunks * 8;
        bool present = key + row < t->key_end && d < kv->head_dim;
        int64_t at = present ? (base + row) * kv->head_dim + d : 0;
        copy_async(to + row * (D + 8) + d, from + at, present);
    }
}

/* Fills what the block works on; false when there is nothing to do. */
__device__ static bool find_tile(tile *t, const mg_attention_args *args, int run, int kv_head,
                                 int row_first, int block_rows)
{
    t->run = args->runs[run];
    t->kv_head = kv_head;
    t->group = (int)(args->heads / args->kv.kv_heads);
    t->rows = t->run.count * t->group;
    t->row_first = row_first;
    if (row_first >= t->rows) {
        return false;
    }
    int row_last = min(row_first + block_rows, t->rows) - 1;
    t->key_end = t->run.first + row_last / t->group + 1;
    int low = args->window > 0 ? t->run.first + row_first / t->group - (int)args->window + 1 : 0;
    t->key_begin = max(low, 0) / KEYS * KEYS;
    return true;
}

/* One component of a result, and of its twin where there is one.  Runs may stand in scattered rows;
 * those behind the twin's end have none, and no product reads such a result as it is. */
__device__ static inline void put_result(const mg_attention_args *args, const fragment_row *row,
                                         int d, float x, bf16 *twin)
{
    int64_t dim = args->kv.head_dim;
    args->out[row->row * args->out_stride + row->head * dim + d] = x;
    if (twin != NULL && row->row < args->rows) {
        twin[(row->row * args->heads + row->head) * dim + d] = __float2bfloat16_rn(x);
    }
}
