/* evolve/gram.h - inner products of models, by layer: angles between merges that are never made
 * (evolution.md 11).
 *
 * Thread-safety: one thread at a time. */
#pragma once

#include "base/pool.h"
#include "merge/plan.h"

MG_BEGIN_C

/* Of the differences of count models from base, one pass over their weights.  Segments are the
 * embedding, each of layers layers, and the rest; sizes_out (layers + 2) are their parameters,
 * gram_out (layers + 2, count, count) their inner products.  Tensors that base or a model has not,
 * or has in another shape, count as equal to base's.  MG_ERR_IO. */
MG_MUST_CHECK mg_status mg_gram_compute(mg_model_set *models, const mg_model_ref *base,
                                        const mg_model_ref *refs, int64_t count, int64_t layers,
                                        mg_pool *pool, double *sizes_out, double *gram_out,
                                        mg_error *err);
/* The segment of a tensor. */
int64_t mg_gram_segment(mg_str tensor, int64_t layers);

MG_END_C
