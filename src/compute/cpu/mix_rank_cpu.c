/* compute/cpu/mix_rank_cpu.c - masks by rank of magnitude, without sorting.
 *
 * The bits of a magnitude order as the magnitude does, so a rank is found with two histograms: of
 * the upper bits, then of the lower bits inside the one bin that holds the rank.  Elements equal to
 * the value at a boundary are taken in order of their index: blocks count their equals first, so
 * that each knows how many the blocks before it have.
 *
 *   find_boundary (histograms) -> count_equals, only where a boundary divides equals -> write_bits
 */
#include "base/memory.h"
#include "compute/cpu/kernels_internal.h"
#include "compute/cpu/mix_kernels_internal.h"

#define UPPER_BITS 16
#define LOWER_BITS 15
#define BIN_COUNT ((int64_t)1 << UPPER_BITS)

/* Keys below value are in; of those equal to it, the first equals in order of index. */
typedef struct boundary {
    uint32_t value;
    int64_t equals;
    bool split; /* some equals are in, some out */
} boundary;

typedef struct rank_launch {
    mg_stream *stream;
    const mg_mix_kernels *kernels;
    const mg_rank_args *args;
    uint32_t flip; /* key = bits ^ flip: ascending in either direction */
    bool lower;    /* histogram of lower bits, inside the bin upper */
    uint32_t upper;
    boundary from, to;
    int64_t *equals_from, *equals_to; /* by block: in it, then in all before it */
} rank_launch;

/* Loads keys of at most MG_MIX_CHUNK elements. */
static void load_keys(const rank_launch *l, int64_t first, int64_t count, uint32_t *keys)
{
    float magnitudes[MG_MIX_CHUNK] __attribute__((aligned(64)));
    l->kernels->magnitudes(&l->args->x, &l->args->base, l->args->work, first, count, magnitudes);
    memcpy(keys, magnitudes, (size_t)count * sizeof(uint32_t));
    for (int64_t i = 0; i < count; i++) {
        keys[i] ^= l->flip;
    }
}

static void histogram_block(void *context, int64_t block, int worker)
{
    const rank_launch *l = (const rank_launch *)context;
    uint32_t *bins = (uint32_t *)mg_stream_scratch(l->stream, worker);
    uint32_t keys[MG_MIX_CHUNK];
    int64_t end = MG_MIN(l->args->count, (block + 1) * MG_MIX_BLOCK);
    for (int64_t at = block * MG_MIX_BLOCK; at < end; at += MG_MIX_CHUNK) {
        int64_t n = MG_MIN(MG_MIX_CHUNK, end - at);
        load_keys(l, at, n, keys);
        for (int64_t i = 0; i < n; i++) {
            uint32_t upper = keys[i] >> LOWER_BITS;
            if (!l->lower) {
                bins[upper]++;
            } else if (upper == l->upper) {
                bins[keys[i] & ((1u << LOWER_BITS) - 1)]++;
            }
        }
    }
}

static int64_t block_count(int64_t count)
{
    return (count + MG_MIX_BLOCK - 1) / MG_MIX_BLOCK;
}

/* Fills bins with the histogram that l asks for. */
static void histogram(rank_launch *l, int64_t *bins)
{
    mg_stream *stream = l->stream;
    int64_t blocks = block_count(l->args->count);
    int workers = blocks > 1 ? stream->worker_count : 1;
    for (int w = 0; w < workers; w++) {
        memset(mg_stream_scratch(stream, w), 0, (size_t)BIN_COUNT * sizeof(uint32_t));
    }
    mg_pool_run(blocks > 1 ? stream->pool : NULL, blocks, histogram_block, l);
    memset(bins, 0, (size_t)BIN_COUNT * sizeof(int64_t));
    for (int w = 0; w < workers; w++) {
        const uint32_t *part = (const uint32_t *)mg_stream_scratch(stream, w);
        for (int64_t i = 0; i < BIN_COUNT; i++) {
            bins[i] += part[i];
        }
    }
}

/* The bin that holds rank, which becomes the rank inside it. */
static uint32_t find_bin(const int64_t *bins, int64_t *rank)
{
    uint32_t bin = 0;
    while (bin + 1 < BIN_COUNT && *rank >= bins[bin]) {
        *rank -= bins[bin];
        bin++;
    }
    return bin;
}

/* The boundary in front of which rank elements are. */
static boundary find_boundary(rank_launch *l, const int64_t *upper_bins, int64_t *lower_bins,
                              int64_t rank)
{
    boundary b = { 0, 0, false };
    if (rank == 0) {
        return b;
    }
    if (rank >= l->args->count) {
        b.value = UINT32_MAX;
        return b;
    }
    l->lower = true;
    l->upper = find_bin(upper_bins, &rank);
    histogram(l, lower_bins);
    uint32_t lower = find_bin(lower_bins, &rank);
    b.value = l->upper << LOWER_BITS | lower;
    b.equals = rank;
    b.split = rank > 0 && rank < lower_bins[lower];
    return b;
}

static void count_equals_block(void *context, int64_t block, int worker)
{
    const rank_launch *l = (const rank_launch *)context;
    uint32_t keys[MG_MIX_CHUNK];
    int64_t from = 0;
    int64_t to = 0;
    int64_t end = MG_MIN(l->args->count, (block + 1) * MG_MIX_BLOCK);
    (void)worker;
    for (int64_t at = block * MG_MIX_BLOCK; at < end; at += MG_MIX_CHUNK) {
        int64_t n = MG_MIN(MG_MIX_CHUNK, end - at);
        load_keys(l, at, n, keys);
        for (int64_t i = 0; i < n; i++) {
            from += keys[i] == l->from.value;
            to += keys[i] == l->to.value;
        }
    }
    l->equals_from[block] = from;
    l->equals_to[block] = to;
}

/* Counts become sums over the blocks before. */
static void count_before(int64_t *counts, int64_t blocks)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < blocks; i++) {
        int64_t count = counts[i];
        counts[i] = sum;
        sum += count;
    }
}

/* Whether key is in front of b, where seen equals came before it. */
static inline bool is_before(uint32_t key, const boundary *b, int64_t seen)
{
    return key < b->value || (key == b->value && seen < b->equals);
}

static void write_bits_block(void *context, int64_t block, int worker)
{
    const rank_launch *l = (const rank_launch *)context;
    uint32_t keys[MG_MIX_CHUNK];
    int64_t seen_from = l->equals_from[block];
    int64_t seen_to = l->equals_to[block];
    int64_t end = MG_MIN(l->args->count, (block + 1) * MG_MIX_BLOCK);
    (void)worker;
    for (int64_t at = block * MG_MIX_BLOCK; at < end; at += MG_MIX_CHUNK) {
        int64_t n = MG_MIN(MG_MIX_CHUNK, end - at);
        load_keys(l, at, n, keys);
        for (int64_t i = 0; i < n; i += 64) {
            uint64_t word = 0;
            int64_t bits = MG_MIN(64, n - i);
            for (int64_t j = 0; j < bits; j++) {
                uint32_t key = keys[i + j];
                bool in = is_before(key, &l->to, seen_to) && !is_before(key, &l->from, seen_from);
                seen_to += key == l->to.value;
                seen_from += key == l->from.value;
                word |= (uint64_t)in << j;
            }
            l->args->bits[(at + i) / 64] = word;
        }
    }
}

mg_status mg_mix_rank_cpu(mg_stream *stream, const mg_rank_args *args, mg_error *err)
{
    if (args->work == MG_F64 || args->x.dtype == MG_F64 || args->base.dtype == MG_F64) {
        return mg_mix_ops_ref.rank(stream, args, err);
    }
    int64_t blocks = block_count(args->count);
    size_t bytes = (size_t)(2 * BIN_COUNT + 2 * blocks) * sizeof(int64_t);
    void *block;
    MG_TRY(mg_memory_try(bytes, "ranks of a merge", &block, err));
    int64_t *upper_bins = (int64_t *)block;
    int64_t *lower_bins = upper_bins + BIN_COUNT;
    rank_launch l;
    memset(&l, 0, sizeof(l));
    l.stream = stream;
    l.kernels = mg_stream_kernels(stream)->isa == MG_ISA_AVX512 ? &mg_mix_kernels_avx512
                                                                : &mg_mix_kernels_avx2;
    l.args = args;
    l.flip = args->descending ? 0x7fffffffu : 0;
    l.equals_from = lower_bins + BIN_COUNT;
    l.equals_to = l.equals_from + blocks;
    histogram(&l, upper_bins);
    l.from = find_boundary(&l, upper_bins, lower_bins, args->first);
    l.to = find_boundary(&l, upper_bins, lower_bins, args->first + args->kept);
    if (blocks > 1 && (l.from.split || l.to.split)) {
        mg_pool_run(stream->pool, blocks, count_equals_block, &l);
        count_before(l.equals_from, blocks);
        count_before(l.equals_to, blocks);
    }
    mg_pool_run(blocks > 1 ? stream->pool : NULL, blocks, write_bits_block, &l);
    mg_free_aligned(block);
    return MG_OK;
}
