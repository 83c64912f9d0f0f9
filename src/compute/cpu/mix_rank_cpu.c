/* compute/cpu/mix_rank_cpu.c - masks by rank of magnitude, without sorting.
 *
 * The bits of a magnitude order as the magnitude does, so a rank is found with two histograms: of
 * the upper bits, then of the lower bits inside the one bin that holds the rank (bfloat16 has no
 * lower bits).  Elements equal to the value at a boundary are taken in order of their index: blocks
 * count their equals first, so that each knows how many the blocks before it have.
 *
 *   start_boundary, finish_boundary (histograms) -> count_equals, only where a boundary divides
 *   equals -> write_bits */
#include <math.h>

#include "base/memory.h"
#include "compute/cpu/kernels_internal.h"
#include "compute/cpu/mix_kernels_internal.h"

#define LOWER_BITS 16
#define UPPER_COUNT ((int64_t)1 << 15)
#define LOWER_COUNT ((int64_t)1 << LOWER_BITS)

/* The first rank elements: those beyond the magnitude with these bits, and of those equal to it the
 * first few in order of index. */
typedef struct boundary {
    bool none, every; /* nothing, or all, is in front of it */
    uint32_t value;
    int64_t equals;
    bool split; /* some equals are in front, some behind */
} boundary;

typedef struct rank_launch {
    mg_stream *stream;
    const mg_mix_kernels *kernels;
    const mg_rank_args *args;
    bool lower; /* histogram of lower bits, inside the bin upper */
    uint32_t upper;
    boundary from, to;
    int64_t *equals_from, *equals_to; /* by block: in it, then in all before it */
} rank_launch;

static int64_t block_count(int64_t count)
{
    return (count + MG_MIX_BLOCK - 1) / MG_MIX_BLOCK;
}

/* Magnitudes of at most MG_MIX_CHUNK elements, those of x itself where there is no base. */
static void load_magnitudes(const rank_launch *l, int64_t first, int64_t count, float *out)
{
    const mg_rank_args *args = l->args;
    if (args->base.data != NULL) {
        l->kernels->magnitudes(&args->x, &args->base, args->work, first, count, out);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        out[i] = fabsf(((const float *)args->x.data)[first + i]);
    }
}

/* Bits of the magnitudes of at most MG_MIX_CHUNK elements. */
static void load_bits(const rank_launch *l, int64_t first, int64_t count, uint32_t *bits)
{
    float magnitudes[MG_MIX_CHUNK] __attribute__((aligned(64)));
    load_magnitudes(l, first, count, magnitudes);
    memcpy(bits, magnitudes, (size_t)count * sizeof(uint32_t));
}

/* Neighbours often fall into the same bin: two tables keep their counts apart. */
static void count_upper(const uint32_t *bits, int64_t count, uint32_t *bins)
{
    int64_t i = 0;
    for (; i + 2 <= count; i += 2) {
        bins[bits[i] >> LOWER_BITS]++;
        bins[UPPER_COUNT + (bits[i + 1] >> LOWER_BITS)]++;
    }
    if (i < count) {
        bins[bits[i] >> LOWER_BITS]++;
    }
}

static void histogram_block(void *context, int64_t block, int worker)
{
    const rank_launch *l = (const rank_launch *)context;
    uint32_t *bins = (uint32_t *)mg_stream_scratch(l->stream, worker);
    uint32_t bits[MG_MIX_CHUNK];
    int64_t end = MG_MIN(l->args->count, (block + 1) * MG_MIX_BLOCK);
    for (int64_t at = block * MG_MIX_BLOCK; at < end; at += MG_MIX_CHUNK) {
        int64_t n = MG_MIN(MG_MIX_CHUNK, end - at);
        load_bits(l, at, n, bits);
        if (!l->lower) {
            count_upper(bits, n, bins);
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            if (bits[i] >> LOWER_BITS == l->upper) {
                bins[bits[i] & (LOWER_COUNT - 1)]++;
            }
        }
    }
}

/* The histogram that l asks for, in the first worker's scratch. */
static uint32_t *histogram(rank_launch *l)
{
    mg_stream *stream = l->stream;
    int64_t blocks = block_count(l->args->count);
    int workers = blocks > 1 ? stream->worker_count : 1;
    for (int w = 0; w < workers; w++) {
        memset(mg_stream_scratch(stream, w), 0, (size_t)LOWER_COUNT * sizeof(uint32_t));
    }
    mg_pool_run(blocks > 1 ? stream->pool : NULL, blocks, histogram_block, l);
    uint32_t *bins = (uint32_t *)mg_stream_scratch(stream, 0);
    for (int w = 1; w < workers; w++) {
        const uint32_t *part = (const uint32_t *)mg_stream_scratch(stream, w);
        for (int64_t i = 0; i < LOWER_COUNT; i++) {
            bins[i] += part[i];
        }
    }
    for (int64_t i = 0; i < UPPER_COUNT && !l->lower; i++) {
        bins[i] += bins[UPPER_COUNT + i];
    }
    return bins;
}

/* The bin that holds rank in the asked direction; rank becomes the rank inside it. */
static uint32_t find_bin(const uint32_t *bins, int64_t count, bool descending, int64_t *rank)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t bin = descending ? count - 1 - i : i;
        if (*rank < (int64_t)bins[bin]) {
            return (uint32_t)bin;
        }
        *rank -= bins[bin];
    }
    MG_ASSERT(!"a rank beyond the count");
    return 0;
}

/* The boundary in front of which rank elements are, as far as the upper bits tell; equals is the
 * rank inside their bin. */
static boundary start_boundary(const rank_launch *l, const uint32_t *bins, int64_t rank)
{
    boundary b = { rank <= 0, rank >= l->args->count, 0, 0, false };
    if (b.none || b.every) {
        return b;
    }
    uint32_t upper = find_bin(bins, UPPER_COUNT, l->args->descending, &rank);
    b.value = upper << LOWER_BITS;
    b.equals = rank;
    b.split = rank > 0 && rank < (int64_t)bins[upper];
    return b;
}

/* The same with the lower bits. */
static void finish_boundary(rank_launch *l, boundary *b)
{
    if (b->none || b->every || l->args->work == MG_BF16) {
        return;
    }
    l->lower = true;
    l->upper = b->value >> LOWER_BITS;
    const uint32_t *bins = histogram(l);
    uint32_t lower = find_bin(bins, LOWER_COUNT, l->args->descending, &b->equals);
    b->value |= lower;
    b->split = b->equals > 0 && b->equals < (int64_t)bins[lower];
}

static int64_t count_equals(const rank_launch *l, const float *magnitudes, const boundary *b)
{
    uint64_t beyond, equal;
    l->kernels->compare(magnitudes, b->value, l->args->descending, &beyond, &equal);
    return __builtin_popcountll(equal);
}

static void count_equals_block(void *context, int64_t block, int worker)
{
    const rank_launch *l = (const rank_launch *)context;
    float magnitudes[MG_MIX_CHUNK] __attribute__((aligned(64)));
    int64_t from = 0;
    int64_t to = 0;
    int64_t end = MG_MIN(l->args->count, (block + 1) * MG_MIX_BLOCK);
    (void)worker;
    for (int64_t at = block * MG_MIX_BLOCK; at < end; at += MG_MIX_CHUNK) {
        int64_t n = MG_MIN(MG_MIX_CHUNK, end - at);
        load_magnitudes(l, at, n, magnitudes);
        /* Only the last block has a tail, and nothing comes behind it. */
        for (int64_t i = 0; i + 64 <= n; i += 64) {
            from += l->from.split ? count_equals(l, magnitudes + i, &l->from) : 0;
            to += l->to.split ? count_equals(l, magnitudes + i, &l->to) : 0;
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

/* Which of 64 elements are in front of b; *seen counts the equals so far. */
static uint64_t bits_before(const rank_launch *l, const float *magnitudes, const boundary *b,
                            int64_t *seen)
{
    uint64_t beyond, equal;
    if (b->none || b->every) {
        return b->every ? UINT64_MAX : 0;
    }
    l->kernels->compare(magnitudes, b->value, l->args->descending, &beyond, &equal);
    while (equal != 0 && *seen < b->equals) {
        beyond |= equal & (0 - equal);
        equal &= equal - 1;
        (*seen)++;
    }
    return beyond;
}

static void write_bits_block(void *context, int64_t block, int worker)
{
    const rank_launch *l = (const rank_launch *)context;
    float magnitudes[MG_MIX_CHUNK] __attribute__((aligned(64)));
    int64_t seen_from = l->equals_from[block];
    int64_t seen_to = l->equals_to[block];
    int64_t end = MG_MIN(l->args->count, (block + 1) * MG_MIX_BLOCK);
    (void)worker;
    for (int64_t at = block * MG_MIX_BLOCK; at < end; at += MG_MIX_CHUNK) {
        int64_t n = MG_MIN(MG_MIX_CHUNK, end - at);
        load_magnitudes(l, at, n, magnitudes);
        for (int64_t i = n; i % 64 != 0; i++) {
            magnitudes[i] = 0.0f;
        }
        for (int64_t i = 0; i < n; i += 64) {
            uint64_t word = bits_before(l, magnitudes + i, &l->to, &seen_to) &
                            ~bits_before(l, magnitudes + i, &l->from, &seen_from);
            if (n - i < 64) {
                word &= ((uint64_t)1 << (n - i)) - 1;
            }
            l->args->bits[(at + i) / 64] = word;
        }
    }
}

mg_status mg_mix_rank_cpu(mg_stream *stream, const mg_rank_args *args, mg_error *err)
{
    if (args->work == MG_F64 || args->x.dtype == MG_F64 || args->base.dtype == MG_F64 ||
        args->count > UINT32_MAX) {
        return mg_mix_ops_ref.rank(stream, args, err);
    }
    int64_t blocks = block_count(args->count);
    void *block;
    MG_TRY(mg_memory_try((size_t)(2 * blocks) * sizeof(int64_t), "ranks of a merge", &block, err));
    rank_launch l;
    memset(&l, 0, sizeof(l));
    l.stream = stream;
    l.kernels = mg_stream_kernels(stream)->isa >= MG_ISA_AVX512 ? &mg_mix_kernels_avx512
                                                                : &mg_mix_kernels_avx2;
    l.args = args;
    l.equals_from = (int64_t *)block;
    l.equals_to = l.equals_from + blocks;
    const uint32_t *bins = histogram(&l);
    l.from = start_boundary(&l, bins, args->first);
    l.to = start_boundary(&l, bins, args->first + args->kept);
    finish_boundary(&l, &l.from);
    finish_boundary(&l, &l.to);
    if (blocks > 1 && (l.from.split || l.to.split)) {
        mg_pool_run(stream->pool, blocks, count_equals_block, &l);
        count_before(l.equals_from, blocks);
        count_before(l.equals_to, blocks);
    }
    mg_pool_run(blocks > 1 ? stream->pool : NULL, blocks, write_bits_block, &l);
    mg_free_aligned(block);
    return MG_OK;
}
