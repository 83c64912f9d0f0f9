/* merge/sparsify_short.c - masks by rank of 16-bit magnitudes, with torch's order among equal ones.
 *
 * A range of ranks is what lies below its end without what lies below its begin.  For each such
 * boundary: keys and a count of them, from which follow the key at the boundary and how many
 * elements have it, and then torch's exchanges (torch_order_short.c).  Counting single keys is
 * dear, so a sample says first which keys come into question; should it be wrong, all are counted.
 */
#include "merge/sparsify_internal.h"
#include "merge/torch_order_internal.h"

enum { TRACKS_SLOT = 1, BEGIN_SLOT, TALLY_SLOT, KEYS_SLOT }; /* scratch */

#define SAMPLE_CHUNKS 64
#define SAMPLE_CHUNK 256
#define SAMPLE_SIZE (SAMPLE_CHUNKS * SAMPLE_CHUNK)
/* Keys within this share of the sample around the boundary are counted. */
#define SAMPLE_MARGIN (SAMPLE_SIZE / 32)
/* Smaller tensors are counted whole. */
#define SAMPLED_MIN ((int64_t)1 << 18)
#define BOUNDARIES_MAX (2 * MG_MIX_INPUTS_MAX)

/* The elements whose rank is below a boundary, as a mask. */
typedef struct boundary {
    const mg_rank_args *rank;
    int64_t place;
    uint64_t *bits;
    int64_t equals; /* elements with the key in front of it */
    mg_short_order order;
} boundary;

static mg_status make_keys(mg_job *job, const mg_rank_args *rank, int64_t first, int64_t count,
                           int range[2], uint16_t *keys, int64_t *tally, int64_t *below_out,
                           mg_error *err)
{
    mg_short_keys_args args = { rank->base, rank->x,  rank->work, rank->descending, count,
                                keys,       range[0], range[1],   below_out,        tally };
    args.base.data = (const char *)args.base.data + first * (mg_dtype_bits(args.base.dtype) / 8);
    args.x.data = (const char *)args.x.data + first * (mg_dtype_bits(args.x.dtype) / 8);
    MG_TRY(job->device->mix->short_keys(job->stream, &args, err));
    return job->device->stream_wait(job->stream, err);
}

/* The first key of which, with those below, there are more than rank. */
static int key_of_rank(const int64_t *tally, int count, int64_t *rank)
{
    int key = 0;
    for (; key < count - 1 && *rank >= tally[key]; key++) {
        *rank -= tally[key];
    }
    return key;
}

/* The range of keys in which a sample sees the boundary. */
static mg_status guess_range(mg_job *job, const boundary *b, int64_t *tally, int range[2],
                             mg_error *err)
{
    const int64_t step = job->count / SAMPLE_CHUNKS;
    uint16_t keys[SAMPLE_CHUNK];
    int first_key[2] = { 0, 0 };
    int64_t none;
    memset(tally, 0, MG_SHORT_KEY_COUNT * sizeof(*tally));
    for (int64_t i = 0; i < SAMPLE_CHUNKS; i++) {
        int64_t one;
        MG_TRY(make_keys(job, b->rank, i * step, SAMPLE_CHUNK, first_key, keys, &one, &none, err));
        for (int k = 0; k < SAMPLE_CHUNK; k++) {
            tally[keys[k]]++;
        }
    }
    int64_t place = (int64_t)((double)b->place / (double)job->count * SAMPLE_SIZE);
    int64_t low = MG_MAX(place - SAMPLE_MARGIN, 0);
    int64_t high = MG_MIN(place + SAMPLE_MARGIN, SAMPLE_SIZE - 1);
    range[0] = key_of_rank(tally, MG_SHORT_KEY_COUNT, &low);
    range[1] = key_of_rank(tally, MG_SHORT_KEY_COUNT, &high);
    return MG_OK;
}

/* Makes keys, and finds the one in front of the boundary. */
static mg_status find_limit(mg_job *job, boundary *b, uint16_t *keys, mg_error *err)
{
    void *block;
    int64_t below;
    int range[2] = { 0, MG_SHORT_KEY_COUNT - 1 };
    MG_TRY(mg_job_scratch(job, TALLY_SLOT, MG_SHORT_KEY_COUNT * sizeof(int64_t), &block, err));
    int64_t *tally = (int64_t *)block;
    int64_t inside = 0;
    if (job->count >= SAMPLED_MIN) {
        MG_TRY(guess_range(job, b, tally, range, err));
    }
    MG_TRY(make_keys(job, b->rank, 0, job->count, range, keys, tally, &below, err));
    for (int k = 0; k <= range[1] - range[0]; k++) {
        inside += tally[k];
    }
    if (b->place <= below || b->place > below + inside) {
        range[0] = 0;
        range[1] = MG_SHORT_KEY_COUNT - 1;
        MG_TRY(make_keys(job, b->rank, 0, job->count, range, keys, tally, &below, err));
    }
    int64_t rank = b->place - 1 - below;
    int key = key_of_rank(tally, range[1] - range[0] + 1, &rank);
    b->equals = tally[key];
    b->order = (mg_short_order){
        .device = job->device,
        .stream = job->stream,
        .keys = keys,
        .count = job->count,
        .boundary = b->place,
        .limit = (uint16_t)(range[0] + key),
        .split = rank + 1 < b->equals,
        .bits = b->bits,
    };
    return MG_OK;
}

static void order_boundary(void *context, int64_t index, int worker)
{
    (void)worker;
    mg_order_short_before(&((const boundary *)context)[index].order);
}

/* The masks of a few boundaries, each by a thread: exchanges follow one after another. */
static mg_status order_together(mg_job *job, boundary *boundaries, int64_t count, mg_error *err)
{
    void *keys;
    void *room;
    size_t bytes = 0;
    MG_TRY(mg_job_scratch(job, KEYS_SLOT, (size_t)(job->count * count) * sizeof(uint16_t), &keys,
                          err));
    for (int64_t i = 0; i < count; i++) {
        MG_TRY(find_limit(job, &boundaries[i], (uint16_t *)keys + i * job->count, err));
        bytes += 2 * mg_order_short_room(boundaries[i].equals);
    }
    MG_TRY(mg_job_scratch(job, TRACKS_SLOT, bytes, &room, err));
    char *next = (char *)room;
    for (int64_t i = 0; i < 2 * count; i++) {
        boundaries[i / 2].order.rooms[i % 2] = (uint32_t *)(void *)next;
        next += mg_order_short_room(boundaries[i / 2].equals);
    }
    mg_pool_run(count > 1 ? job->pool : NULL, count, order_boundary, boundaries);
    return MG_OK;
}

/* A mask without elements, one with all, or else a boundary to be found. */
static void add_boundary(const mg_rank_args *rank, int64_t place, uint64_t *bits,
                         boundary *boundaries, int64_t *count)
{
    if (place > 0 && place < rank->count) {
        boundaries[*count] = (boundary){ .rank = rank, .place = place, .bits = bits };
        (*count)++;
        return;
    }
    memset(bits, place > 0 ? 0xff : 0, (size_t)((rank->count + 63) / 64) * sizeof(uint64_t));
    if (place > 0 && rank->count % 64 != 0) {
        bits[rank->count / 64] = (UINT64_C(1) << (rank->count % 64)) - 1;
    }
}

mg_status mg_sparsify_short_ranks(mg_job *job, const mg_rank_args *ranks, int64_t count,
                                  mg_error *err)
{
    boundary boundaries[BOUNDARIES_MAX];
    int64_t boundary_count = 0;
    int64_t begin_count = 0;
    const int64_t words = (job->count + 63) / 64;
    void *block;
    for (int64_t i = 0; i < count; i++) {
        begin_count = ranks[i].first > 0 ? i + 1 : begin_count;
    }
    MG_TRY(mg_job_scratch(job, BEGIN_SLOT, (size_t)(words * begin_count) * sizeof(uint64_t), &block,
                          err));
    uint64_t *begins = (uint64_t *)block;
    for (int64_t i = 0; i < count; i++) {
        const mg_rank_args *rank = &ranks[i];
        add_boundary(rank, rank->first + rank->kept, rank->bits, boundaries, &boundary_count);
        if (rank->first > 0) {
            add_boundary(rank, rank->first, begins + i * words, boundaries, &boundary_count);
        }
    }
    /* As many at a time as there are threads: more would only take more room. */
    const int64_t width = job->pool != NULL ? mg_pool_threads(job->pool) : 1;
    for (int64_t i = 0; i < boundary_count; i += width) {
        MG_TRY(order_together(job, boundaries + i, MG_MIN(width, boundary_count - i), err));
    }
    for (int64_t i = 0; i < count; i++) {
        for (int64_t w = 0; w < words && ranks[i].first > 0; w++) {
            ranks[i].bits[w] &= ~begins[i * words + w];
        }
    }
    return MG_OK;
}
