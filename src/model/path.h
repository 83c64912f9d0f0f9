/* model/path.h - a model made of layers of other models: the data flow space (evolution.md 4.1).
 *
 * A path is a list of hops.  Each hop runs one layer of one model behind a factor on the residual
 * stream, with keys and values of its own:
 *
 *   x = embedding of the first model
 *   for each hop:  x = scale * x;  x = layer(x)
 *   logits = head of the first model (its final norm (x))
 *
 * The epsilon of a norm counts in units of the stream as it would be without factors: times the
 * square of their product so far.
 *
 * A path owns no weights: making one is cheap, and many may run at a time over the same models.
 * Thread-safety: as model.h; the models must outlive their paths and not be filled meanwhile. */
#pragma once

#include "model/model.h"

MG_BEGIN_C

#define MG_HOPS_MAX 1024

typedef struct mg_hop {
    int64_t model; /* index into the models */
    int64_t layer; /* of that model */
    float scale;
} mg_hop;

/* The path through models, which are on one device and borrowed.  They must agree in everything but
 * their weights and vocabularies: MG_ERR_UNSUPPORTED names what differs. */
MG_MUST_CHECK mg_status mg_model_create_path(const mg_model *const *models, int64_t model_count,
                                             const mg_hop *hops, int64_t hop_count,
                                             mg_model **model_out, mg_error *err);
/* Whether models of these configurations can share paths, before a weight is read. */
MG_MUST_CHECK mg_status mg_path_check(const mg_model_config *a, const mg_model_config *b,
                                      mg_error *err);
/* Layers of a model, and of its path: one for each hop. */
int64_t mg_model_layers(const mg_model *model);

MG_END_C
