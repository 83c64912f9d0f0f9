/* merge/sparsify.c - which elements of a difference survive, and how the rest makes up for it.
 *
 * Masks are bits, made by the device where they depend on magnitudes, drawn from the merge's one
 * MT19937 stream where they are random, or left to the device as a Philox counter for the search's
 * own masks.  Rescaling restores the sum of magnitudes that the difference had. */
#include "merge/sparsify_internal.h"

#include <math.h>

#include "base/hash.h"

/* Sums of magnitudes below this are taken for zero and not rescaled. */
#define RESCALE_SUM_MIN 1e-7
/* With Philox masks, densities below this count as weight 0 (evolution.md 3.1). */
#define COUNTER_DENSITY_MIN 0.01

static mg_status mask_bits(mg_job *job, int64_t slot, uint64_t **bits_out, mg_error *err)
{
    size_t words = (size_t)((job->count + 63) / 64);
    void *block;
    MG_TRY(
        mg_job_scratch(job, 0, words * (size_t)job->input_count * sizeof(uint64_t), &block, err));
    *bits_out = (uint64_t *)block + words * (size_t)slot;
    return MG_OK;
}

static mg_mix_input input_from(mg_mix_input input, int64_t first)
{
    input.data = (const char *)input.data + first * (mg_dtype_bits(input.dtype) / 8);
    return input;
}

/* Both sums over elements first .. first+count-1, rounded to sum_dtype. */
static mg_status sum_part(mg_job *job, const mg_mix_source *source, mg_dtype sum_dtype,
                          int64_t first, int64_t count, double sums_out[2], mg_error *err)
{
    const uint64_t *bits = source->mask == MG_MASK_BITS ? source->bits + first / 64 : NULL;
    if (first % 64 != 0) {
        /* The operation's masks begin with a word: shift them into place. */
        void *block;
        int64_t words = (count + 63) / 64;
        int64_t available = (job->count + 63) / 64 - first / 64;
        int shift = (int)(first % 64);
        MG_TRY(mg_job_scratch(job, 5, (size_t)words * sizeof(uint64_t), &block, err));
        uint64_t *shifted = (uint64_t *)block;
        for (int64_t w = 0; w < words; w++) {
            uint64_t next = w + 1 < available ? bits[w + 1] : 0;
            shifted[w] = bits[w] >> shift | next << (64 - shift);
        }
        bits = shifted;
    }
    mg_delta_sum_args sums = { input_from(job->inputs[job->base].x, first),
                               input_from(source->x, first),
                               job->work,
                               sum_dtype == MG_BF16 || sum_dtype == MG_F16,
                               bits,
                               count,
                               &sums_out[0],
                               &sums_out[1],
                               source->counter_tensor,
                               source->counter_source,
                               source->below,
                               job->mask_key };
    MG_TRY(job->device->mix->delta_sum(job->stream, &sums, err));
    sums_out[0] = mg_mix_round(sums_out[0], sum_dtype);
    sums_out[1] = mg_mix_round(sums_out[1], sum_dtype);
    return MG_OK;
}

/* sum_dtype is the type of the masked tensor in the reference, which rounds the two sums, and
 * before that each thread's part of them. */
static mg_status rescale_by_sum(mg_job *job, mg_dtype sum_dtype, mg_mix_source *source,
                                mg_error *err)
{
    float parts[2][MG_MIX_TORCH_THREADS_MAX];
    /* The reference's device sums in an order of its own; float64 has digits to spare. */
    bool shared = job->device->host_memory && sum_dtype != MG_F64;
    int threads = shared ? job->torch_threads : 1;
    int64_t part;
    int part_count = mg_mix_torch_parts(job->count, threads, &part);
    double sums[2];
    for (int i = 0; i < part_count; i++) {
        int64_t count = MG_MIN(part, job->count - i * part);
        MG_TRY(sum_part(job, source, sum_dtype, i * part, count, sums, err));
        parts[0][i] = (float)sums[0];
        parts[1][i] = (float)sums[1];
    }
    for (int k = 0; k < 2 && part_count > 1; k++) {
        sums[k] = (double)mg_mix_torch_join(parts[k], part_count, sum_dtype, threads);
    }
    double all = sums[0];
    double kept = sums[1];
    if (!(all < RESCALE_SUM_MIN) && !(kept < RESCALE_SUM_MIN)) {
        source->rescale = true;
        source->factor = mg_mix_round(all / kept, sum_dtype);
    }
    return MG_OK;
}

static bool is_ranked(const mg_sparsify_args *args)
{
    return (args->sparsifier == MG_SPARSIFY_MAGNITUDE ||
            args->sparsifier == MG_SPARSIFY_OUTLIERS) &&
           args->density < 1.0;
}

/* Which ranks of magnitude a source keeps. */
static mg_status ranks_of(const mg_job *job, const mg_sparsify_args *args, mg_rank_args *rank,
                          mg_error *err)
{
    const double count = (double)job->count;
    if (args->sparsifier == MG_SPARSIFY_MAGNITUDE) {
        rank->descending = true;
        if (args->density > 0.0 && job->count > 0) {
            rank->kept = MG_MAX(1, (int64_t)(args->density * count));
        }
        return MG_OK;
    }
    int64_t top = (int64_t)(args->extra * count);
    if (args->density < 0.0 || args->extra < 0.0 || top > job->count) {
        return mg_fail(err, MG_ERR_CONFIG, "density %g and gamma %g must be in [0, 1]",
                       args->density, args->extra);
    }
    rank->kept = (int64_t)(args->density * count);
    rank->first = MG_MAX(0, job->count - rank->kept - top);
    return MG_OK;
}

/* The masks of all sources whose magnitudes are ranked. */
static mg_status keep_ranked(mg_job *job, const mg_sparsify_args *args, int64_t count,
                             mg_mix_source *sources, mg_error *err)
{
    mg_rank_args ranks[MG_MIX_INPUTS_MAX];
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!is_ranked(&args[i])) {
            continue;
        }
        uint64_t *bits;
        MG_TRY(mask_bits(job, args[i].slot, &bits, err));
        mg_rank_args *rank = &ranks[found++];
        *rank = (mg_rank_args){
            job->inputs[job->base].x, sources[i].x, job->work, false, 0, 0, job->count, bits
        };
        MG_TRY(ranks_of(job, &args[i], rank, err));
        sources[i].mask = MG_MASK_BITS;
        sources[i].bits = bits;
    }
    if (found > 0 && job->order == MG_ORDER_TORCH) {
        return mg_sparsify_ranks(job, ranks, found, err);
    }
    for (int64_t i = 0; i < found; i++) {
        MG_TRY(job->device->mix->rank(job->stream, &ranks[i], err));
    }
    return MG_OK;
}

/* mergekit's masks: one word of the stream for each element, drawn even where all are dropped. */
static mg_status keep_drawn(mg_job *job, double density, mg_mix_source *source, uint64_t *bits,
                            mg_error *err)
{
    if (!(density >= 0.0)) {
        return mg_fail(err, MG_ERR_CONFIG, "density is %g, must not be negative", density);
    }
    double probability = mg_mix_round(density, job->work == MG_BF16 ? MG_BF16 : MG_F32);
    mg_bernoulli_args draw = { job->mt, (uint32_t)ceil(probability * 0x1p24), job->count, bits };
    source->mask = MG_MASK_BITS;
    source->bits = bits;
    return job->device->mix->bernoulli(job->stream, &draw, err);
}

/* The search's masks, which need no memory and no order. */
static void keep_counted(const mg_job *job, const mg_sparsify_args *args, mg_mix_source *source)
{
    uint32_t below;
    if (!mg_mix_counter_below(args->density, &below)) {
        return;
    }
    bool by_density = job->rescale != MG_RESCALE_L1;
    source->mask = MG_MASK_COUNTER;
    source->counter_tensor = (uint32_t)mg_hash64(job->name.data, job->name.size, 0);
    source->counter_source = (uint32_t)job->inputs[args->input].source_index;
    source->below = args->density < COUNTER_DENSITY_MIN ? 0 : below;
    if (args->rescale && by_density && source->below > 0) {
        source->rescale = true;
        source->factor = mg_mix_round(1.0 / args->density, MG_F32);
    }
}

/* The bits of a counter mask, for what needs them ready. */
static void fill_counted(const mg_job *job, const mg_mix_source *source, uint64_t *bits)
{
    memset(bits, 0, (size_t)((job->count + 63) / 64) * sizeof(uint64_t));
    for (int64_t e = 0; e < job->count; e++) {
        bool keep = mg_mix_counter_keeps(job->mask_key, source->counter_tensor,
                                         source->counter_source, source->below, e);
        bits[e / 64] |= (uint64_t)keep << (e % 64);
    }
}

static mg_status sparsify_one(mg_job *job, const mg_sparsify_args *args, mg_mix_source *source,
                              mg_error *err)
{
    if (args->sparsifier == MG_SPARSIFY_NONE || args->density >= 1.0) {
        return MG_OK;
    }
    bool counted = args->sparsifier == MG_SPARSIFY_RANDOM && job->mask == MG_MASK_PHILOX;
    if (counted) {
        keep_counted(job, args, source);
        if (job->rescale != MG_RESCALE_L1 || !args->rescale || source->mask == MG_MASK_ALL) {
            return MG_OK;
        }
    }
    if (counted && !job->device->host_memory) {
        return rescale_by_sum(job, MG_F32, source, err); /* such a device counts as it sums */
    }
    uint64_t *bits;
    MG_TRY(mask_bits(job, args->slot, &bits, err));
    mg_dtype sum_dtype = job->work;
    switch (args->sparsifier) {
    case MG_SPARSIFY_NONE:
    case MG_SPARSIFY_MAGNITUDE:
    case MG_SPARSIFY_OUTLIERS:
        break; /* done by keep_ranked */
    case MG_SPARSIFY_RANDOM:
        if (counted) {
            fill_counted(job, source, bits);
            source->mask = MG_MASK_BITS;
            source->bits = bits;
            sum_dtype = MG_F32;
        } else {
            MG_TRY(keep_drawn(job, args->density, source, bits, err));
            sum_dtype = job->work == MG_BF16 ? MG_BF16 : MG_F32;
        }
        break;
    case MG_SPARSIFY_DELLA:
        MG_TRY(mg_sparsify_della(job, args, source, bits, err));
        sum_dtype = job->work == MG_BF16 ? MG_BF16 : MG_F32;
        break;
    }
    bool rescale = args->rescale && source->mask == MG_MASK_BITS;
    return rescale ? rescale_by_sum(job, sum_dtype, source, err) : MG_OK;
}

mg_status mg_sparsify(mg_job *job, const mg_sparsify_args *args, int64_t count,
                      mg_mix_source *sources, mg_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        sources[i].mask = MG_MASK_ALL;
    }
    MG_TRY(keep_ranked(job, args, count, sources, err));
    for (int64_t i = 0; i < count; i++) {
        MG_TRY(sparsify_one(job, &args[i], &sources[i], err));
    }
    return MG_OK;
}
