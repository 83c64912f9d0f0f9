/* merge/execute.h - runs a plan's jobs into a sink.
 *
 * Tensors stream: at any time one output tensor and its inputs are in use, whatever the model size.
 * The same executor writes files and fills an engine's weights.
 * Thread-safety: independent executions may run together on different pools. */
#pragma once

#include "base/error.h"
#include "base/pool.h"
#include "compute/device.h"
#include "merge/plan.h"
#include "tensor/sink.h"

MG_BEGIN_C

typedef struct mg_execute_options {
    uint64_t seed; /* of mergekit's random stream */
    bool has_seed; /* false: seeded from the system, as mergekit without --random-seed */
    /* Threads of the torch whose sums over whole tensors are followed: torch sums each thread's
     * part and rounds it before it adds the parts.  0 = 1, at most MG_MIX_TORCH_THREADS_MAX.  It
     * says nothing about the threads that do the work. */
    int torch_threads;
    bool allow_nonfinite; /* else a NaN or infinity in a result is MG_ERR_NUMERIC, tensor named */
    /* Called after each tensor with the number done; may be NULL.  false stops: MG_ERR_INTERRUPTED.
     */
    bool (*progress)(void *context, int64_t done, int64_t total);
    void *progress_context;
} mg_execute_options;

/* Runs every job and finishes the sink.  MG_ERR_NUMERIC, MG_ERR_MEMORY, MG_ERR_IO, ... */
MG_MUST_CHECK mg_status mg_plan_execute(const mg_plan *plan, const mg_device *device, mg_pool *pool,
                                        const mg_execute_options *options, mg_sink *sink,
                                        mg_error *err);

/* The whole of `merge CONFIG OUT`: weights, config.json, tokenizer files, model card, recipe, in a
 * folder that appears whole or not at all. */
typedef struct mg_merge_options {
    mg_execute_options execute;
    size_t shard_bytes; /* 0 = one file; mergekit's default is 5e9 */
    bool overwrite;
    bool copy_tokenizer;   /* default true */
    bool write_model_card; /* default true */
    bool allow_crimes;
    const char *parts; /* folder whose models the card calls by their names; NULL = none */
} mg_merge_options;

MG_MUST_CHECK mg_status mg_merge_to_folder(const mg_recipe *recipe, mg_model_set *set,
                                           const mg_device *device, mg_pool *pool,
                                           const mg_merge_options *options, const char *out,
                                           mg_error *err);
/* What such a folder holds beside the weights and the card (config.json, generation_config.json,
 * tokenizer, chat template) into folder, which exists: for a merge that stays in memory. */
MG_MUST_CHECK mg_status mg_merge_describe(const mg_plan *plan, const mg_recipe *recipe,
                                          const char *folder, mg_error *err);
/* Several recipes, of which later ones may use the names of others as models (mergekit-multi).  A
 * named one is written to intermediate/NAME, the one without a name to out, each behind those it
 * needs; a result that is there already is taken as it is when lazy.  out NULL: only what the one
 * without a name needs is made, and that recipe is ready to be planned.  recipes change; arena is
 * theirs.  MG_ERR_CONFIG, before any work, for names that are no plain file names, are used twice
 * or need each other in a circle. */
MG_MUST_CHECK mg_status mg_merge_documents(mg_recipe *recipes, int64_t count, mg_model_set *set,
                                           const mg_device *device, mg_pool *pool,
                                           const mg_merge_options *options,
                                           const char *intermediate, bool lazy, const char *out,
                                           mg_arena *arena, mg_error *err);
/* The same mistakes of names, without a merge; recipes stay as they are. */
MG_MUST_CHECK mg_status mg_check_documents(const mg_recipe *recipes, int64_t count, mg_arena *arena,
                                           mg_error *err);

MG_END_C
