/* merge/sparsify_ranks.c - masks by rank of magnitude, with torch's order among equal ones.
 *
 * Which elements are kept is a matter of order only where equal magnitudes stand on both sides of a
 * limit.  In float32 that is seldom so, and the device's mask, which needs no sorting, is tried
 * first; 16-bit types have few magnitudes and ways of their own (sparsify_short.c). */
#include "merge/sparsify_internal.h"
#include "merge/torch_order_internal.h"

#define ITEMS_SLOT 4 /* scratch */

typedef struct item_task {
    const mg_rank_args *rank;
    uint64_t *items;
} item_task;

static bool is_kept(const mg_rank_args *rank, int64_t element)
{
    return (rank->bits[element / 64] >> (element % 64) & 1) != 0;
}

/* Whether a dropped element is equal to the first or the last kept one. */
static bool equals_part(const item_task *task)
{
    const mg_rank_args *rank = task->rank;
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (int64_t e = 0; e < rank->count; e++) {
        if (is_kept(rank, e)) {
            lowest = MG_MIN(lowest, task->items[e] >> 32);
            highest = MG_MAX(highest, task->items[e] >> 32);
        }
    }
    bool found = false;
    for (int64_t e = 0; e < rank->count && !found; e++) {
        uint64_t key = task->items[e] >> 32;
        found = (key == lowest || key == highest) && !is_kept(rank, e);
    }
    return found;
}

/* Orders the items of one mask: each source's exchanges follow one after another, so that sources
 * are what threads share. */
static void order_items(void *context, int64_t index, int worker)
{
    const item_task *task = (const item_task *)context + index;
    const mg_rank_args *rank = task->rank;
    (void)worker;
    if (equals_part(task)) {
        memset(rank->bits, 0, (size_t)((rank->count + 63) / 64) * sizeof(uint64_t));
        mg_order_select(task->items, rank->count, rank->first, rank->kept, rank->bits);
    }
}

mg_status mg_sparsify_ranks(mg_job *job, const mg_rank_args *ranks, int64_t count, mg_error *err)
{
    if (!job->device->host_memory) {
        return mg_fail(
            err, MG_ERR_UNSUPPORTED,
            "mergekit's order among equal magnitudes needs the CPU: use --device cpu, or "
            "'order: index' in the 'merganser' block");
    }
    bool half = job->work == MG_BF16 || job->work == MG_F16;
    bool ordered = job->work == MG_F64 || job->count > UINT32_MAX;
    if (half && !ordered) {
        return mg_sparsify_short_ranks(job, ranks, count, err);
    }
    item_task tasks[MG_MIX_INPUTS_MAX];
    void *items;
    /* As many at a time as there are threads: more would only take more room. */
    int64_t width = MG_MIN(job->pool != NULL ? mg_pool_threads(job->pool) : 1, count);
    size_t bytes = ordered ? 0 : (size_t)job->count * (size_t)width * sizeof(uint64_t);
    MG_TRY(mg_job_scratch(job, ITEMS_SLOT, bytes, &items, err));
    for (int64_t i = 0; i < count;) {
        int64_t open = 0;
        for (; i < count && open < width; i++) {
            MG_TRY(job->device->mix->rank(job->stream, &ranks[i], err));
            MG_TRY(job->device->stream_wait(job->stream, err));
            if (!ordered && ranks[i].kept > 0) {
                tasks[open] = (item_task){ &ranks[i], (uint64_t *)items + open * job->count };
                mg_keys_args keys = { ranks[i].base,       ranks[i].x, job->work,
                                      ranks[i].descending, job->count, tasks[open++].items };
                MG_TRY(job->device->mix->keys(job->stream, &keys, err));
            }
        }
        MG_TRY(job->device->stream_wait(job->stream, err));
        mg_pool_run(open > 1 ? job->pool : NULL, open, order_items, tasks);
    }
    return MG_OK;
}
