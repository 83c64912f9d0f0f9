/* merge/plan.h - a recipe resolved against real models: a list of tensor jobs (merging.md 2).
 *
 * A plan is built from headers alone and holds every decision: which tensors are written, in which
 * order, from which inputs, with which parameters.  It can be re-weighted for another candidate of
 * a search without opening anything again, as long as models and slices stay the same.
 * Thread-safety: immutable after creation; share it freely. */
#pragma once

#include "base/error.h"
#include "hub/snapshot.h"
#include "recipe/recipe.h"

MG_BEGIN_C

/* The opened models of a recipe, shared by all plans of a search. */
typedef struct mg_model_set mg_model_set;
mg_model_set *mg_model_set_create(const mg_hub *hub);
void mg_model_set_destroy(mg_model_set *set); /* NULL is fine */
/* Opens ref on first use; the snapshot stays the set's.  Of a reference with an adapter it is the
 * base's: plans apply the adapter to each tensor. */
MG_MUST_CHECK mg_status mg_model_set_get(mg_model_set *set, const mg_model_ref *ref,
                                         mg_snapshot **snapshot_out, mg_error *err);

/* Adds the architecture definitions (mergekit's JSON) of every .json file in folder; they win over
 * built-in ones of the same class.  Before any plan is made.  MG_ERR_NOT_FOUND, MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_model_set_read_layouts(mg_model_set *set, const char *folder,
                                                  mg_error *err);

typedef struct mg_plan mg_plan;

/* Resolves recipe; opens its models through set, which must outlive the plan.  All mistakes are in
 * err.  MG_ERR_CONFIG, MG_ERR_NOT_FOUND, MG_ERR_FORMAT, MG_ERR_UNSUPPORTED. */
MG_MUST_CHECK mg_status mg_plan_create(const mg_recipe *recipe, mg_model_set *set,
                                       bool allow_crimes, mg_plan **plan_out, mg_error *err);
void mg_plan_destroy(mg_plan *plan); /* NULL is fine */

int64_t mg_plan_tensor_count(const mg_plan *plan);
/* The index-th output tensor in execution order: name, shape and type as written; data is NULL. */
mg_view mg_plan_tensor(const mg_plan *plan, int64_t index);
size_t mg_plan_output_bytes(const mg_plan *plan);
size_t mg_plan_input_bytes(const mg_plan *plan); /* read by one execution */
/* Memory that one execution for the CPU takes at most beside mapped files, as near as the shapes
 * tell; threads do the work (plan_forecast.c). */
size_t mg_plan_memory_bytes(const mg_plan *plan, int threads);
/* Seconds that it takes, as near as a guess at disks can be: files and arithmetic overlap, and what
 * the system holds in its cache is read fast. */
double mg_plan_seconds(const mg_plan *plan, int threads);
int64_t mg_plan_layer_count(const mg_plan *plan); /* of all modules */
int64_t mg_plan_model_count(const mg_plan *plan); /* that are read */
const char *mg_plan_model_folder(const mg_plan *plan, int64_t index);
/* The folder whose config and tokenizer the result takes (merging.md 2.11). */
const mg_snapshot *mg_plan_donor(const mg_plan *plan);
/* config.json of the result, changed as merging.md 2.11 says; lives in arena. */
mg_value mg_plan_config(const mg_plan *plan, mg_arena *arena);
/* Appends which inputs, weights and method make the tensor called name (for inspect --explain). */
MG_MUST_CHECK mg_status mg_plan_explain(const mg_plan *plan, mg_str name, mg_buf *out,
                                        mg_error *err);
/* The same as one JSON object: name, dtype, shape, action, method, work, t, parameters, inputs. */
MG_MUST_CHECK mg_status mg_plan_explain_json(const mg_plan *plan, mg_str name, mg_buf *out,
                                             mg_error *err);
/* Appends a line for each thing that works but is probably not meant: weights that cancel out,
 * types that differ, a head that is untied. */
void mg_plan_warnings(const mg_plan *plan, mg_buf *out);

MG_END_C
