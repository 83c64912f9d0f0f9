/* recipe/recipe.h - the merge configuration as a typed struct (merging.md 1).
 *
 * recipe_read.c turns YAML into it, recipe_write.c writes it back; the search builds it from
 * genomes. It says what to merge, not how: merge/plan.h resolves it against real models.
 * Thread-safety: immutable once built. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "hub/cache.h"
#include "tensor/dtype.h"
#include "text/diagnostics.h"
#include "text/value.h"

MG_BEGIN_C

/* A number, or a gradient over the position t in a slice (merging.md 1.6). */
typedef struct mg_curve {
    const double *values;
    int64_t count; /* 1 = constant */
} mg_curve;

/* One condition of a setting: applies to tensors whose name contains filter (empty or "*": all). */
typedef struct mg_condition {
    mg_str filter;
    mg_curve curve;
    const mg_value *where; /* place in the file, may be NULL */
} mg_condition;

typedef struct mg_setting {
    mg_str name;                    /* "weight", "density", "t", ... */
    const mg_condition *conditions; /* tried in order */
    int64_t condition_count;
    const mg_value *where;
} mg_setting;

typedef struct mg_settings {
    const mg_setting *items;
    int64_t count;
} mg_settings;

typedef struct mg_recipe_source {
    mg_model_ref model;
    bool has_range; /* false in `models:` form: all layers of that model */
    int64_t layer_begin, layer_end;
    mg_settings settings;
    const mg_value *where;
} mg_recipe_source;

typedef struct mg_recipe_slice {
    const mg_recipe_source *sources;
    int64_t source_count;
    bool has_base;
    mg_model_ref base; /* overrides the global one for this slice */
    mg_settings settings;
    const mg_value *where;
} mg_recipe_slice;

/* One module: `models` (one slice without ranges) or `slices`. */
typedef struct mg_recipe_module {
    mg_str name; /* empty for the top-level models/slices */
    bool explicit_slices;
    const mg_recipe_slice *slices;
    int64_t slice_count;
    mg_settings settings;
    const mg_value *where;
} mg_recipe_module;

typedef enum mg_mask_kind {
    MG_MASK_TORCH, /* mergekit's own stream: MT19937 over the whole merge (merging.md 3.5) */
    MG_MASK_PHILOX /* the search's counter-based masks, nested in density (evolution.md 2) */
} mg_mask_kind;

/* What `rescale: true` means for randomly masked deltas. */
typedef enum mg_rescale_kind {
    MG_RESCALE_DEFAULT, /* l1 with torch masks, density with Philox masks */
    MG_RESCALE_L1,      /* keep the sum of magnitudes of the tensor, as mergekit */
    MG_RESCALE_DENSITY  /* divide by the density (evolution.md 3.1) */
} mg_rescale_kind;

/* Which of several equal magnitudes ranks first, and in which order sums are made. */
typedef enum mg_order_kind {
    MG_ORDER_TORCH, /* as torch has it on the CPU, so that mergekit's bytes come out */
    MG_ORDER_INDEX  /* by index, whatever the device and the number of torch's threads */
} mg_order_kind;

typedef struct mg_recipe {
    mg_str file;           /* for messages; empty when built */
    const mg_value *where; /* the document; this and the other places may be NULL */
    mg_str method;
    const mg_value *method_where;
    bool has_base;
    const mg_value *base_where;
    mg_model_ref base;
    const mg_recipe_module *modules; /* one with an empty name unless `modules:` was used */
    int64_t module_count;
    mg_settings settings;
    mg_dtype dtype;       /* MG_DTYPE_COUNT = as on disk */
    mg_dtype out_dtype;   /* MG_DTYPE_COUNT = as computed */
    mg_str chat_template; /* empty = none */
    const mg_value *chat_template_where;
    const mg_value *tokenizer; /* the `tokenizer` map, or NULL */
    mg_str tokenizer_source;   /* legacy key, empty = none */
    mg_mask_kind mask;         /* block `merganser: {mask: philox, seed: N}` */
    uint64_t mask_seed;
    mg_rescale_kind rescale;  /* `rescale: l1 | density` in that block */
    mg_order_kind order;      /* `order: torch | index` in that block */
    bool truncate_embeddings; /* to the rows of the smallest; a command sets it, no file */
    mg_str text;              /* the YAML as read, for mergekit_config.yml; empty when built */
    mg_str name;              /* document name in several-document files */
    const mg_value *name_where;
} mg_recipe;

/* Reads one document.  Mistakes go to diagnostics (all of them); the recipe lives in arena, which
 * must also hold document.  MG_ERR_CONFIG when there was any mistake. */
MG_MUST_CHECK mg_status mg_recipe_from_value(const mg_value *document, mg_arena *arena,
                                             mg_diagnostics *diagnostics, mg_recipe *recipe_out);
/* Reads the file at path; all mistakes are in err, each with FILE:LINE:COL. */
MG_MUST_CHECK mg_status mg_recipe_read(const char *path, mg_arena *arena, mg_recipe *recipe_out,
                                       mg_error *err);
/* Reads every document of the file at path (`mergekit-multi`), each with its `name`, the last one
 * perhaps without.  *recipes_out lies in arena. */
MG_MUST_CHECK mg_status mg_recipe_read_all(const char *path, mg_arena *arena,
                                           mg_recipe **recipes_out, int64_t *count_out,
                                           mg_error *err);
/* Whether there is a merge method of this name; if not, *nearest_out is the one it may be meant
 * for, or NULL.  The methods themselves are merge/method.h's. */
bool mg_recipe_method_known(mg_str name, const char **nearest_out);
/* Replaces references to models called like one of names by folder/NAME, and sets used[i] for those
 * found.  recipe changes; what it newly points to lives in arena. */
void mg_recipe_relocate(mg_recipe *recipe, const mg_str *names, int64_t count, const char *folder,
                        mg_arena *arena, bool *used);
/* Appends the canonical YAML of a recipe (merging.md 1.10), with the `merganser` block for Philox
 * masks; reading it back gives the same recipe. */
void mg_recipe_write(const mg_recipe *recipe, mg_buf *out);
/* Several recipes as documents of one file, which mg_recipe_read_all reads. */
void mg_recipes_write(const mg_recipe *recipes, int64_t count, mg_buf *out);

/* The setting called name, or NULL. */
const mg_setting *mg_settings_find(const mg_settings *settings, mg_str name);
/* The curve that applies to a tensor: the first condition that matches its name, or NULL. */
const mg_curve *mg_setting_match(const mg_setting *setting, mg_str tensor_name);
/* Value of a curve at t (merging.md 1.6). */
double mg_curve_at(const mg_curve *curve, double t);

MG_END_C
