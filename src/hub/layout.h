/* hub/layout.h - which tensors a model consists of, by architecture (merging.md 2.3, Appendix A).
 *
 * A layout lists modules; a module lists the weights before its layers, the weights of one layer as
 * templates, and the weights behind them.  Names hold the placeholders ${layer_index} and
 * ${num_layers}, each also with +1 or -1; a module's prefix is already in front of every name.
 * Layouts come from a built-in table, from mergekit-style JSON files, or are inferred from the
 * tensor names of the models themselves. Thread-safety: layouts are immutable; an mg_layouts
 * belongs to one thread at a time. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "hub/snapshot.h"
#include "tensor/checkpoint.h"
#include "text/value.h"

MG_BEGIN_C

typedef struct mg_layout_weight {
    mg_str name;           /* template */
    const mg_str *aliases; /* templates of other names of the same tensor, tried after name */
    int64_t alias_count;
    const mg_str *tied; /* templates of tensors that stand in when the weight is not stored */
    int64_t tied_count;
    bool embed;           /* rows belong to tokens */
    bool optional;        /* may be missing from every model */
    mg_dtype force_dtype; /* MG_DTYPE_COUNT = none */
} mg_layout_weight;

typedef struct mg_layout_module {
    mg_str name; /* "default" in layouts of one module */
    const mg_layout_weight *pre;
    int64_t pre_count;
    const mg_layout_weight *layer; /* of one layer: see mg_layout_layer_weights */
    int64_t layer_weight_count;
    const mg_layout_weight *first_layer; /* of the layers below first_layers, where they differ */
    int64_t first_layer_weight_count;
    int64_t first_layers;
    const mg_layout_weight *post;
    int64_t post_count;
    mg_str layer_count_key;    /* dotted key of config.json; empty = fixed_layer_count counts */
    int64_t fixed_layer_count; /* without a key: layers of every model */
} mg_layout_module;

typedef struct mg_layout {
    const mg_str *architectures; /* class names that config.json gives */
    int64_t architecture_count;
    mg_str model_type;
    const mg_layout_module *modules;
    int64_t module_count;
    mg_str vocab_key;       /* dotted key of config.json, "vocab_size" unless stated */
    const mg_str *tagalong; /* extra files to copy beside the weights */
    int64_t tagalong_count;
    bool inferred; /* from tensor names: there is no layer-count key to change */
} mg_layout;

/* All known layouts.  Created with the built-in ones. */
typedef struct mg_layouts mg_layouts;
mg_layouts *mg_layouts_create(void);
void mg_layouts_destroy(mg_layouts *layouts); /* NULL is fine; ends all layouts got from it */
int64_t mg_layouts_count(const mg_layouts *layouts);
const mg_layout *mg_layouts_at(const mg_layouts *layouts, int64_t index);

/* Adds a definition in mergekit's JSON form; it wins over built-in ones of the same class name.
 * MG_ERR_NOT_FOUND, MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_layouts_read(mg_layouts *layouts, const char *path, mg_error *err);
MG_MUST_CHECK mg_status mg_layouts_parse(mg_layouts *layouts, mg_str text, const char *name,
                                         mg_error *err);
/* The same for every .json file of a folder, in the order of their names. */
MG_MUST_CHECK mg_status mg_layouts_read_folder(mg_layouts *layouts, const char *folder,
                                               mg_error *err);

/* The layout of class architecture (config.json's, or a reference's override); where several share
 * the class, model_type decides.  config is config.json: some mixtures of experts are expanded from
 * it.  *layout_out borrows from layouts and is NULL when the class is unknown. */
MG_MUST_CHECK mg_status mg_layouts_find(mg_layouts *layouts, mg_str architecture, mg_str model_type,
                                        const mg_value *config, const mg_layout **layout_out,
                                        mg_error *err);

/* The class that the newest layout for model_type is for; empty when there is none. */
mg_str mg_layouts_class_of_type(const mg_layouts *layouts, mg_str model_type);

/* A layout for models of an unknown class, from the names that they store (merging.md 2.6).  The
 * first snapshot counts as the base.  *layout_out borrows from layouts.  MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_layouts_infer(mg_layouts *layouts, const mg_snapshot *const *snapshots,
                                         int64_t count, const mg_layout **layout_out,
                                         mg_error *err);

bool mg_layout_equal(const mg_layout *a, const mg_layout *b);
/* NULL when the layout has no module of that name. */
const mg_layout_module *mg_layout_module_find(const mg_layout *layout, mg_str name);

/* Layers of a module in a model with this config.json.  MG_ERR_FORMAT when the key is missing. */
MG_MUST_CHECK mg_status mg_layout_layer_count(const mg_layout_module *module,
                                              const mg_value *config, int64_t *count_out,
                                              mg_error *err);
/* The weight templates of layer layer_index. */
const mg_layout_weight *mg_layout_layer_weights(const mg_layout_module *module, int64_t layer_index,
                                                int64_t *count_out);
/* The text of a template; it lives in arena, or is the template where there is nothing to fill in.
 */
mg_str mg_layout_name(mg_str template_, int64_t layer_index, int64_t layer_count, mg_arena *arena);

/* Where one weight of one model lies: the parts' data, one after another, are the tensor.  Nearly
 * always one part; the experts of a mixture stored one by one give several (merging.md 2.8). */
typedef struct mg_layout_source {
    const mg_view *const
        *parts;         /* views borrow from the checkpoint; the array lives in the arena */
    int64_t part_count; /* 0 = the model lacks the weight */
    mg_shape shape;     /* of the whole tensor */
    mg_dtype dtype;
    size_t bytes;
    mg_str label; /* the largest name on disk among the parts: decides the execution order */
    bool tied;    /* found under a tied name only */
} mg_layout_source;

/* Looks for the name, its aliases, its tied names, then for experts to be joined.  A weight that is
 * not there gives part_count 0 and MG_OK.  MG_ERR_FORMAT when experts do not fit each other. */
MG_MUST_CHECK mg_status mg_layout_find_source(const mg_checkpoint *checkpoint,
                                              const mg_layout_weight *weight, int64_t layer_index,
                                              int64_t layer_count, mg_arena *arena,
                                              mg_layout_source *source_out, mg_error *err);

MG_END_C
