/* merge/sparsify_internal.h - thinning out a source's difference to the base (merging.md 4.6). */
#pragma once

#include "merge/method.h"

MG_BEGIN_C

typedef enum mg_sparsifier {
    MG_SPARSIFY_NONE,
    MG_SPARSIFY_MAGNITUDE, /* keep the largest */
    MG_SPARSIFY_OUTLIERS,  /* drop the share gamma of the largest, keep the next */
    MG_SPARSIFY_RANDOM,    /* keep each with the probability density */
    MG_SPARSIFY_DELLA      /* keep larger ones with higher probability, row by row */
} mg_sparsifier;

typedef struct mg_sparsify_args {
    mg_sparsifier sparsifier;
    int64_t input; /* of the job */
    int64_t slot;  /* place among the sources: owns the slot-th mask of scratch 0 */
    double density;
    double extra; /* gamma or epsilon */
    bool rescale;
} mg_sparsify_args;

/* Sets masks and rescaling of count sources, whose x are set, as args say of each.  MG_ERR_CONFIG
 * names a parameter that cannot be; MG_ERR_MEMORY. */
MG_MUST_CHECK mg_status mg_sparsify(mg_job *job, const mg_sparsify_args *args, int64_t count,
                                    mg_mix_source *sources, mg_error *err);
/* The masks that mix->rank makes, but among equal magnitudes in the order that torch.sort leaves on
 * the CPU.  float64 and tensors of more than 2^32 elements keep mix->rank's order: lower index
 * first.  MG_ERR_UNSUPPORTED on a device without host memory. */
MG_MUST_CHECK mg_status mg_sparsify_ranks(mg_job *job, const mg_rank_args *ranks, int64_t count,
                                          mg_error *err);
/* The same where work is a 16-bit type and there are less than 2^32 elements. */
MG_MUST_CHECK mg_status mg_sparsify_short_ranks(mg_job *job, const mg_rank_args *ranks,
                                                int64_t count, mg_error *err);
/* The mask of MG_SPARSIFY_DELLA alone, drawn from the merge's stream or, nested in the density, by
 * the search's masks. */
MG_MUST_CHECK mg_status mg_sparsify_della(mg_job *job, const mg_sparsify_args *args,
                                          mg_mix_source *source, uint64_t *bits, mg_error *err);

MG_END_C
