/* merge/method_sce.c - select, calculate, erase (merging.md 4.7; arXiv 2408.07990).
 *
 * Elements in which the models differ most are selected; each model is weighted by the size of its
 * differences; elements against the majority's sign are erased. */
#include "merge/method_internal.h"
#include "merge/method_tools_internal.h"
#include "merge/torch_order_internal.h"

#include <math.h>

enum { PARAM_SELECT_TOPK, PARAM_INT8_MASK };

#define WEIGHT_SUM_MIN 1e-6

static const mg_method_param params[] = {
    { "select_topk", MG_PARAM_FLOAT, MG_PARAM_SHARED, false, 1.0 },
    { "int8_mask", MG_PARAM_BOOL, MG_PARAM_SHARED, false, 0.0 },
};

typedef struct task {
    const mg_job *job;
    float *deltas; /* by model */
    int64_t count; /* models */
    float *variance;
    float *base; /* becomes the result */
    float weights[MG_MIX_INPUTS_MAX];
    const uint64_t *selected; /* NULL = all */
} task;

static void variance_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        s->variance[e] = mg_formula_variance(s->deltas + e, s->job->count, s->count, s->job->work);
    }
}

static double count_nonzero(const void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    int64_t found = 0;
    for (int64_t e = first; e < first + count; e++) {
        found += s->variance[e] != 0.0f;
    }
    return (double)found;
}

static void drop_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        if ((s->selected[e / 64] >> (e % 64) & 1) == 0) {
            for (int64_t k = 0; k < s->count; k++) {
                s->deltas[k * s->job->count + e] *= 0.0f;
            }
        }
    }
}

/* The same from five models on, where torch's order shows. */
static float many_sce(const task *s, int64_t e)
{
    const mg_job *job = s->job;
    const float least = mg_work(job, MG_FORMULA_WEIGHT_MIN);
    float terms[MG_MIX_INPUTS_MAX];
    float kept[MG_MIX_INPUTS_MAX];
    for (int64_t k = 0; k < s->count; k++) {
        terms[k] = s->deltas[k * job->count + e];
    }
    bool positive = mg_tools_model_sum(job, terms, s->count, e) >= 0.0f;
    for (int64_t k = 0; k < s->count; k++) {
        float delta = terms[k];
        kept[k] = (positive ? delta > 0.0f : delta < 0.0f) ? s->weights[k] : 0.0f;
        terms[k] = mg_work(job, delta * kept[k]);
    }
    float sum = mg_tools_model_sum(job, terms, s->count, e);
    float weight = mg_tools_model_sum(job, kept, s->count, e);
    return mg_work(job, s->base[e] + mg_work(job, sum / (weight < least ? least : weight)));
}

static void merge_range(void *context, int64_t first, int64_t count)
{
    const task *s = (const task *)context;
    for (int64_t e = first; e < first + count; e++) {
        if (s->count >= 5) {
            s->base[e] = many_sce(s, e);
            continue;
        }
        s->base[e] = mg_formula_sce(s->deltas + e, s->job->count, s->count, s->base[e], s->weights,
                                    s->job->work);
    }
}

typedef struct item_task {
    const float *variance;
    uint64_t *items;
} item_task;

static void make_items(void *context, int64_t first, int64_t count)
{
    const item_task *t = (const item_task *)context;
    for (int64_t e = first; e < first + count; e++) {
        t->items[e] = (uint64_t)mg_order_key(t->variance[e], true) << 32 | (uint64_t)e;
    }
}

/* The kept elements of largest variance, among equal ones those that torch.topk takes, or those of
 * lower index. */
static mg_status choose(mg_job *job, const float *variance, int64_t kept, uint64_t *bits,
                        mg_error *err)
{
    if (job->order == MG_ORDER_INDEX) {
        mg_mix_input none = { NULL, MG_F32 };
        mg_mix_input x = { variance, MG_F32 };
        mg_rank_args rank = {
            none, x, MG_F32, true, 0, MG_MIN(kept, job->count), job->count, bits
        };
        return job->device->mix->rank(job->stream, &rank, err);
    }
    if (job->count > UINT32_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "select_topk takes tensors of at most 2^32 elements");
    }
    void *block;
    MG_TRY(mg_job_scratch(job, 3, (size_t)job->count * sizeof(uint64_t), &block, err));
    item_task making = { variance, (uint64_t *)block };
    mg_tools_run(job, job->count, MG_MIX_BLOCK, make_items, &making);
    memset(bits, 0, (size_t)((job->count + 63) / 64) * sizeof(uint64_t));
    mg_order_top(making.items, job->count, kept, bits);
    return MG_OK;
}

/* How many elements are kept. */
static int64_t kept_of(double nonzero, double share)
{
    return (int64_t)((float)nonzero * (float)share);
}

/* Keeps the elements of largest variance; false when none is left. */
static mg_status select_elements(mg_job *job, task *s, bool *any_out, mg_error *err)
{
    const double share = job->params[PARAM_SELECT_TOPK];
    *any_out = false;
    if (share <= 0.0) {
        return MG_OK;
    }
    void *bits;
    double nonzero;
    MG_TRY(mg_tools_floats(job, 2, job->count, &s->variance, err));
    MG_TRY(mg_job_scratch(job, 4, (size_t)((job->count + 63) / 64) * sizeof(uint64_t), &bits, err));
    mg_tools_run(job, job->count, MG_MIX_BLOCK, variance_range, s);
    MG_TRY(mg_tools_sum(job, job->count, count_nonzero, s, &nonzero, err));
    int64_t kept = kept_of(nonzero, share);
    if (kept == 0) {
        return MG_OK;
    }
    MG_TRY(choose(job, s->variance, kept, (uint64_t *)bits, err));
    s->selected = (const uint64_t *)bits;
    mg_tools_run(job, job->count, MG_MIX_BLOCK, drop_range, s);
    *any_out = true;
    return MG_OK;
}

/* Weights from the sums of squares; they add up to 1. */
static void share_weights(const mg_job *job, const float *sums, int64_t count, float *weights)
{
    for (int64_t k = 0; k < count; k++) {
        weights[k] = mg_work(job, sums[k] / (float)job->count);
    }
    float total = mg_work(job, mg_tools_row_total(job, weights, count));
    for (int64_t k = 0; k < count; k++) {
        bool vanishes = fabs((double)total) < WEIGHT_SUM_MIN;
        weights[k] = mg_work(job, vanishes ? 1.0f / (float)count : weights[k] / total);
    }
}

static mg_status set_weights(mg_job *job, task *s, mg_error *err)
{
    float sums[MG_MIX_INPUTS_MAX];
    for (int64_t k = 0; k < s->count; k++) {
        const float *x = s->deltas + k * job->count;
        MG_TRY(mg_tools_product_sum(job, x, x, false, &sums[k], err));
    }
    share_weights(job, sums, s->count, s->weights);
    return MG_OK;
}

/* The same as select_elements, for f. */
static mg_status select_on_device(mg_job *job, mg_formula *f, bool *any_out, mg_error *err)
{
    float *variance;
    void *bits;
    double nonzero = 0.0;
    const double share = job->params[PARAM_SELECT_TOPK];
    *any_out = share >= 1.0;
    if (share <= 0.0 || share >= 1.0) {
        return MG_OK;
    }
    MG_TRY(mg_tools_floats(job, 2, job->count, &variance, err));
    MG_TRY(mg_job_scratch(job, 4, (size_t)((job->count + 63) / 64) * sizeof(uint64_t), &bits, err));
    MG_TRY(mg_tools_apply(job, MG_FORMULA_VARIANCE, f, variance, err));
    mg_formula drafts;
    memset(&drafts, 0, sizeof(drafts));
    drafts.work = MG_F32;
    drafts.input_count = 1;
    drafts.inputs[0].data = variance;
    drafts.inputs[0].dtype = MG_F32;
    drafts.count = job->count;
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_NONZERO, &drafts, false, &nonzero, err));
    int64_t kept = kept_of(nonzero, share);
    *any_out = kept > 0;
    if (kept > 0) {
        MG_TRY(choose(job, variance, kept, (uint64_t *)bits, err));
        f->bits = (const uint64_t *)bits;
    }
    return MG_OK;
}

static mg_status merge_on_device(mg_job *job, const int64_t *others, int64_t count, mg_error *err)
{
    double sums[MG_MIX_INPUTS_MAX];
    float rounded[MG_MIX_INPUTS_MAX];
    bool any;
    mg_formula f = mg_tools_formula(job, others, count, true);
    MG_TRY(select_on_device(job, &f, &any, err));
    if (!any) {
        return mg_job_copy(job, job->base, err);
    }
    MG_TRY(mg_tools_terms(job, MG_FORMULA_SUM_ENERGY, &f, false, sums, err));
    for (int64_t k = 0; k < count; k++) {
        rounded[k] = (float)sums[k];
    }
    share_weights(job, rounded, count, f.weight);
    return mg_tools_apply(job, MG_FORMULA_SCE, &f, NULL, err);
}

static mg_status merge(mg_job *job, mg_error *err)
{
    MG_TRY(mg_tools_check(job, err));
    int64_t others[MG_MIX_INPUTS_MAX];
    task s;
    memset(&s, 0, sizeof(s));
    s.job = job;
    s.count = mg_tools_others(job, others);
    if (s.count == 0) {
        return mg_job_copy(job, job->base, err);
    }
    if (mg_tools_on_device(job)) {
        return merge_on_device(job, others, s.count, err);
    }
    bool any = true;
    MG_TRY(mg_tools_load(job, 0, others, s.count, true, &s.deltas, err));
    MG_TRY(mg_tools_load(job, 1, &job->base, 1, false, &s.base, err));
    if (job->params[PARAM_SELECT_TOPK] < 1.0) {
        MG_TRY(select_elements(job, &s, &any, err));
    }
    if (!any) {
        return mg_job_copy(job, job->base, err);
    }
    MG_TRY(set_weights(job, &s, err));
    mg_tools_run(job, job->count, MG_MIX_BLOCK, merge_range, &s);
    mg_tools_store(job, s.base);
    return MG_OK;
}

const mg_method mg_method_sce = {
    .name = "sce",
    .title = "SCE",
    .link = "https://arxiv.org/abs/2408.07990",
    .base = MG_BASE_REQUIRED,
    .inputs_min = 1,
    .params = params,
    .param_count = MG_ARRAY_COUNT(params),
    .merge = merge,
};
