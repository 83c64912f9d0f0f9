/* compute/cpu/linear_cpu.c - packing of weights, matrix products and look-ups for the CPU device.
 *
 * A product is cut into tasks of up to MG_LINEAR_ROWS_BLOCK rows by up to MG_LINEAR_COLUMNS_BLOCK
 * columns.  A task walks k in blocks; in each it copies its rows of x to scratch and runs the
 * kernels tile by tile (layouts: kernels_internal.h). */
#include "compute/cpu/nn_cpu_internal.h"

#include <string.h>

#include "compute/cpu/kernels_internal.h"

mg_status mg_packed_bytes_cpu(const mg_weight *weight, size_t *bytes_out, mg_error *err)
{
    *bytes_out = 0;
    if (weight->dtype != MG_F32 && weight->dtype != MG_BF16) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "weights cannot be kept as %s",
                       mg_dtype_name(weight->dtype));
    }
    /* Panels of any instruction set fit: all widths divide the widest. */
    int64_t columns = weight->out_dim;
    if (columns > INT64_MAX - MG_PANEL_COLUMNS_MAX) {
        return mg_fail(err, MG_ERR_MEMORY, "a weight of %lld rows is too large",
                       (long long)columns);
    }
    columns = (columns + MG_PANEL_COLUMNS_MAX - 1) / MG_PANEL_COLUMNS_MAX * MG_PANEL_COLUMNS_MAX;
    bool is_bf16 = weight->dtype == MG_BF16;
    int64_t rows = is_bf16 ? weight->in_dim / 2 + weight->in_dim % 2 : weight->in_dim;
    return mg_size_of(columns, rows, 1, 4, bytes_out, err);
}

/* --- Packing */

typedef struct pack_context {
    const mg_pack_args *args;
    int64_t panel_columns;
    size_t source_bytes; /* of one element */
    mg_stream *stream;
} pack_context;

/* Rows of a panel, each of panel_columns 32-bit words. */
static int64_t panel_rows(const mg_weight *weight)
{
    return weight->dtype == MG_BF16 ? (weight->in_dim + 1) / 2 : weight->in_dim;
}

/* Where row (an output column) of a packed weight begins, counted in 32-bit words. */
static int64_t column_first(const mg_weight *weight, int64_t panel_columns, int64_t row)
{
    return row / panel_columns * panel_columns * panel_rows(weight) + row % panel_columns;
}

static void scatter_f32(float *to, int64_t step, const float *from, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        to[k * step] = from[k];
    }
}

/* Pairs, to words that are step words apart. */
static void scatter_bf16(uint16_t *to, int64_t step, const uint16_t *from, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        to[k / 2 * step * 2 + k % 2] = from[k];
    }
}

/* One panel: its rows in pieces of k that stay in the cache, converted in scratch, then spread. */
static void pack_panel(void *void_context, int64_t index, int worker)
{
    const pack_context *context = (const pack_context *)void_context;
    const mg_pack_args *args = context->args;
    const mg_weight *weight = &args->weight;
    int64_t panel = args->row_first / context->panel_columns + index;
    int64_t first = MG_MAX(args->row_first, panel * context->panel_columns);
    int64_t end = MG_MIN(args->row_first + args->row_count, (panel + 1) * context->panel_columns);
    const int64_t piece = 1024; /* even: pairs stay together */
    void *converted = mg_stream_scratch(context->stream, worker);
    for (int64_t k = 0; k < weight->in_dim; k += piece) {
        int64_t count = MG_MIN(piece, weight->in_dim - k);
        for (int64_t row = first; row < end; row++) {
            int64_t at = column_first(weight, context->panel_columns, row);
            size_t source_at = (size_t)((row - args->row_first) * weight->in_dim + k);
            mg_dtype_convert(converted, weight->dtype,
                             (const char *)args->source + source_at * context->source_bytes,
                             args->source_dtype, count);
            if (weight->dtype == MG_BF16) {
                scatter_bf16((uint16_t *)weight->data + (at + k / 2 * context->panel_columns) * 2,
                             context->panel_columns, (uint16_t *)converted, count);
            } else {
                scatter_f32((float *)weight->data + at + k * context->panel_columns,
                            context->panel_columns, (float *)converted, count);
            }
        }
    }
}

mg_status mg_pack_cpu(mg_stream *stream, const mg_pack_args *args, mg_error *err)
{
    (void)err;
    MG_ASSERT(args->row_first >= 0 && args->row_count >= 0 &&
              args->row_count <= args->weight.out_dim - args->row_first);
    if (args->row_count == 0) {
        return MG_OK;
    }
    pack_context context = { .args = args,
                             .panel_columns = mg_stream_kernels(stream)->panel_columns,
                             .source_bytes = (size_t)mg_dtype_bits(args->source_dtype) / 8,
                             .stream = stream };
    int64_t first_panel = args->row_first / context.panel_columns;
    int64_t last_panel = (args->row_first + args->row_count - 1) / context.panel_columns;
    mg_pool *pool =
        args->row_count * args->weight.in_dim < MG_PARALLEL_ELEMENTS_MIN ? NULL : stream->pool;
    mg_pool_run(pool, last_panel - first_panel + 1, pack_panel, &context);
    return MG_OK;
}

/* --- Products */

/* From so many multiply-adds on, finer tasks cost nothing and even out what else the cores do. */
#define PRODUCTS_MANY 1e8

typedef struct linear_context {
    const mg_linear_args *args;
    const mg_cpu_kernels *kernels;
    mg_stream *stream;
    int64_t row_blocks;
    int64_t column_blocks;
    int64_t panels;  /* of the weight */
    int64_t k_block; /* columns of x in MG_LINEAR_K_BLOCK words */
} linear_context;

/* One task's share: rows and panels. */
typedef struct linear_block {
    int64_t row_first;
    int64_t row_count;
    int64_t panel_first;
    int64_t panel_count;
} linear_block;

/* How far a lone tile fetches ahead: the latency of memory at the pace of a few rows. */
#define FETCH_AHEAD_BYTES 4096

/* The kernels of a task and how it walks the weight. */
typedef struct linear_walk {
    const mg_linear_kernels *kernels;
    int64_t k_step;     /* of one row of a panel */
    size_t row_bytes;   /* of one row of a panel */
    size_t panel_bytes; /* of one panel */
    int64_t wide;       /* panels at once, 1 = no wide kernel */
    int64_t k_first;
    int64_t k_count; /* whose rows of x are in scratch */
} linear_walk;

/* The block's rows of x from column k on, k_count columns in pieces of k_block: piece n is a (rows,
 * k_block) matrix of its own behind piece n - 1. */
static void copy_rows(const linear_context *context, const linear_block *block, int64_t k,
                      int64_t k_count, float *a)
{
    const mg_linear_args *args = context->args;
    for (int64_t done = 0; done < k_count; done += context->k_block) {
        int64_t count = MG_MIN(k_count - done, context->k_block);
        for (int64_t r = 0; r < block->row_count; r++) {
            const float *from = args->x + (block->row_first + r) * args->x_stride + k + done;
            if (args->weight.dtype == MG_BF16) {
                context->kernels->round_row(a, from, count);
            } else {
                memcpy(a, from, (size_t)count * sizeof(float));
            }
            a += MG_LINEAR_A_STRIDE;
        }
    }
}

/* All tiles of rows of the block with the panels panel .. panel+count-1; tile holds what they
 * share.  Heights differ by at most one.  Beside its work a tile fetches weights: a lone one those
 * that it will need a little later, of several each its share of the next piece of k, so that
 * memory is never idle. */
static void run_tiles(const linear_context *context, const linear_block *block,
                      const linear_walk *walk, int64_t panel, int64_t count, mg_linear_tile tile)
{
    mg_linear_kernel *const *kernels = count > 1 ? walk->kernels->wide : walk->kernels->single;
    const mg_linear_args *args = context->args;
    int64_t column = panel * context->kernels->panel_columns;
    int64_t rows_max = walk->kernels->rows_max;
    int64_t tiles = (block->row_count + rows_max - 1) / rows_max;
    const float *a = tile.a;
    float *partial = tile.partial;
    tile.bias = args->bias != NULL ? args->bias + column : NULL;
    tile.columns = MG_MIN(args->weight.out_dim - column, count * context->kernels->panel_columns);
    size_t piece_bytes = (size_t)tile.panel_rows * walk->row_bytes;
    tile.ahead = tile.b + (tiles > 1 ? piece_bytes : FETCH_AHEAD_BYTES);
    tile.ahead_step = walk->row_bytes / (size_t)tiles;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t row = mg_piece_first(block->row_count, tiles, t);
        int64_t rows = mg_piece_first(block->row_count, tiles, t + 1) - row;
        int64_t at = (block->row_first + row) * args->out_stride + column;
        tile.a = a + row * MG_LINEAR_A_STRIDE;
        tile.partial = partial + row * MG_LINEAR_COLUMNS_BLOCK;
        tile.out = args->out + at;
        tile.residual = args->residual != NULL ? args->residual + at : NULL;
        kernels[rows](&tile);
        tile.ahead += piece_bytes / (size_t)tiles;
    }
}

/* Panels panel .. panel+count-1 of the block (counted from its first) over the columns of the walk:
 * the weights are read in one go, the sums wait in scratch between the pieces. */
static void run_panels(const linear_context *context, const linear_block *block,
                       const linear_walk *walk, int64_t panel, int64_t count, float *scratch)
{
    const mg_weight *weight = &context->args->weight;
    float *partial = scratch + MG_LINEAR_ROWS_BLOCK * MG_LINEAR_A_STRIDE;
    bool is_whole = weight->in_dim <= context->k_block; /* then nothing is put there */
    int64_t partial_at = is_whole ? 0 : panel * context->kernels->panel_columns;
    mg_linear_tile tile = { .a = scratch,
                            .b_panel_bytes = walk->panel_bytes,
                            .partial = partial + partial_at,
                            .out_stride = context->args->out_stride };
    const char *b = (const char *)weight->data +
                    (size_t)(block->panel_first + panel) * walk->panel_bytes +
                    (size_t)(walk->k_first / walk->k_step) * walk->row_bytes;
    int64_t done = 0;
    do {
        int64_t k = MG_MIN(walk->k_count - done, context->k_block);
        tile.b = b + (size_t)(done / walk->k_step) * walk->row_bytes;
        tile.panel_rows = (k + walk->k_step - 1) / walk->k_step;
        tile.is_first = walk->k_first + done == 0;
        tile.is_last = walk->k_first + done + k == weight->in_dim;
        run_tiles(context, block, walk, block->panel_first + panel, count, tile);
        tile.a += block->row_count * MG_LINEAR_A_STRIDE;
        done += k;
    } while (done < walk->k_count);
}

static void linear_block_run(const linear_context *context, const linear_block *block,
                             float *scratch)
{
    const mg_weight *weight = &context->args->weight;
    const mg_cpu_kernels *kernels = context->kernels;
    bool is_bf16 = weight->dtype == MG_BF16;
    linear_walk walk = { .kernels = is_bf16 ? &kernels->linear_bf16 : &kernels->linear_f32,
                         .k_step = is_bf16 ? 2 : 1,
                         .row_bytes = (size_t)kernels->panel_columns * 4,
                         .wide = 1 };
    walk.panel_bytes = walk.row_bytes * (size_t)panel_rows(weight);
    if (block->row_count <= walk.kernels->rows_max) {
        walk.wide = MG_MAX(walk.kernels->wide_panels[block->row_count], 1);
    }
    /* The fewer rows, the more columns of x fit into scratch. */
    int64_t k_max = MG_LINEAR_ROWS_BLOCK / block->row_count * context->k_block;
    do {
        walk.k_count = MG_MIN(weight->in_dim - walk.k_first, k_max);
        copy_rows(context, block, walk.k_first, walk.k_count, scratch);
        int64_t panel = 0;
        while (panel < block->panel_count) {
            int64_t count = block->panel_count - panel >= walk.wide ? walk.wide : 1;
            run_panels(context, block, &walk, panel, count, scratch);
            panel += count;
        }
        walk.k_first += walk.k_count;
    } while (walk.k_first < weight->in_dim);
}

static void linear_task(void *void_context, int64_t index, int worker)
{
    const linear_context *context = (const linear_context *)void_context;
    int64_t column_block = index / context->row_blocks;
    int64_t row_block = index % context->row_blocks;
    int64_t rows = context->args->rows;
    linear_block block;
    block.row_first = mg_piece_first(rows, context->row_blocks, row_block);
    block.row_count = mg_piece_first(rows, context->row_blocks, row_block + 1) - block.row_first;
    block.panel_first = mg_piece_first(context->panels, context->column_blocks, column_block);
    block.panel_count = mg_piece_first(context->panels, context->column_blocks, column_block + 1) -
                        block.panel_first;
    linear_block_run(context, &block, (float *)mg_stream_scratch(context->stream, worker));
}

mg_status mg_linear_cpu(mg_stream *stream, const mg_linear_args *args, mg_error *err)
{
    (void)err;
    const mg_weight *weight = &args->weight;
    if (args->rows == 0 || weight->out_dim == 0) {
        return MG_OK;
    }
    MG_ASSERT(args->rows > 0 && weight->in_dim >= 0 && weight->out_dim > 0);
    linear_context context = { .args = args,
                               .kernels = mg_stream_kernels(stream),
                               .stream = stream };
    int64_t panel_columns = context.kernels->panel_columns;
    context.panels = (weight->out_dim + panel_columns - 1) / panel_columns;
    context.k_block = weight->dtype == MG_BF16 ? MG_LINEAR_K_BLOCK * context.kernels->bf16_per_word
                                               : MG_LINEAR_K_BLOCK;
    /* Unfinished sums limit the columns of a task; where k is one piece there are none. */
    int64_t panels_max =
        weight->in_dim > context.k_block ? MG_LINEAR_COLUMNS_BLOCK / panel_columns : context.panels;
    context.row_blocks = (args->rows + MG_LINEAR_ROWS_BLOCK - 1) / MG_LINEAR_ROWS_BLOCK;
    context.column_blocks = (context.panels + panels_max - 1) / panels_max;
    /* Each worker should find a few tasks of even size, but none so small that hand-over shows. */
    double work = (double)args->rows * (double)weight->out_dim * (double)weight->in_dim;
    int64_t workers = mg_pool_threads(stream->pool);
    bool is_parallel = workers > 1 && work >= MG_PARALLEL_PRODUCTS_MIN;
    if (is_parallel) {
        int64_t each = work >= PRODUCTS_MANY ? 4 : 2;
        int64_t wanted = MG_MIN((int64_t)(work / MG_PARALLEL_PRODUCTS_MIN) + 1, workers * each);
        wanted = (wanted + context.row_blocks - 1) / context.row_blocks;
        context.column_blocks = MG_MIN(MG_MAX(context.column_blocks, wanted), context.panels);
    }
    mg_pool_run(is_parallel ? stream->pool : NULL, context.row_blocks * context.column_blocks,
                linear_task, &context);
    return MG_OK;
}

/* --- Look-ups */

typedef struct rows_context {
    const void *args;
    int64_t panel_columns;
} rows_context;

static void embed_row(const mg_embed_args *args, int64_t panel_columns, int64_t r)
{
    int64_t dim = args->weight.in_dim;
    int32_t id = args->ids[r];
    MG_ASSERT(id >= 0 && id < args->weight.out_dim);
    int64_t first = column_first(&args->weight, panel_columns, id);
    float *out = args->out + r * dim;
    if (args->weight.dtype == MG_BF16) {
        const uint16_t *from = (const uint16_t *)args->weight.data + 2 * first;
        for (int64_t k = 0; k < dim; k++) {
            out[k] = args->scale * mg_bf16_to_f32(from[k / 2 * panel_columns * 2 + k % 2]);
        }
    } else {
        const float *from = (const float *)args->weight.data + first;
        for (int64_t k = 0; k < dim; k++) {
            out[k] = args->scale * from[k * panel_columns];
        }
    }
}

static void embed_task(void *void_context, int64_t index, int worker)
{
    (void)worker;
    const rows_context *context = (const rows_context *)void_context;
    embed_row((const mg_embed_args *)context->args, context->panel_columns, index);
}

mg_status mg_embed_cpu(mg_stream *stream, const mg_embed_args *args, mg_error *err)
{
    (void)err;
    rows_context context = { args, mg_stream_kernels(stream)->panel_columns };
    mg_pool *pool =
        args->rows * args->weight.in_dim < MG_PARALLEL_ELEMENTS_MIN ? NULL : stream->pool;
    mg_pool_run(pool, args->rows, embed_task, &context);
    return MG_OK;
}
