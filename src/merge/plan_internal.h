/* merge/plan_internal.h - what a plan consists of, for the files of this folder. */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "hub/layout.h"
#include "merge/adapter.h"
#include "merge/method.h"
#include "merge/plan.h"
#include "merge/vocabulary.h"
#include "merge/resident.h"

MG_BEGIN_C

typedef struct mg_plan_input {
    int64_t model; /* index among the plan's models */
    mg_layout_source source;
    int64_t source_index; /* among the slice's sources without the base; -1 = the base */
    mg_str name;          /* of the tensor in that model */
    int64_t stored_rows;  /* of an embedding whose rows move */
    const mg_adapter_target *adapter; /* NULL = the tensor as it is stored */
    double params[MG_METHOD_PARAMS_MAX];
} mg_plan_input;

/* One tensor that mergekit would look for, there or not. */
typedef struct mg_plan_load {
    int64_t model;
    mg_str name;
    mg_str label; /* its name on disk, empty = none */
} mg_plan_load;

typedef enum mg_plan_action {
    MG_PLAN_MERGE,
    MG_PLAN_COPY, /* the only input, as it is */
    MG_PLAN_EQUAL /* not of floats: all inputs must be equal, the first is copied */
} mg_plan_action;

/* One output tensor. */
typedef struct mg_plan_job {
    mg_str name;
    mg_shape shape;
    int64_t count; /* elements */
    mg_plan_action action;
    mg_dtype work;
    mg_dtype out_dtype;
    size_t out_bytes;
    const mg_plan_input *inputs;
    int64_t input_count;
    int64_t base; /* among inputs, -1 = none */
    double params[MG_METHOD_PARAMS_MAX];
    double t;         /* position in its slice */
    mg_str label;     /* largest name on disk: the execution order */
    int64_t order[3]; /* decides between equal labels (plan_order.c) */
    const mg_plan_load *loads;
    int64_t load_count;
    bool embedding; /* its rows belong to tokens */
    bool embeds;    /* so they do, and the plan has a vocabulary */
    bool rows;      /* tokens' rows are put into the order of the plan's vocabulary first */
    bool unties;    /* a head of its own where the donor's is the embedding */
} mg_plan_job;

/* Output layer number -> the layer of the first source, for lists in config.json. */
typedef struct mg_plan_layers {
    const mg_layout_module *module;
    int64_t *source_layer;
    int64_t count;
    bool changed; /* slices were given: the layer count is written to config.json */
} mg_plan_layers;

struct mg_plan {
    mg_arena arena;    /* owns what follows */
    mg_model_set *set; /* borrowed */
    const mg_method *method;
    mg_dtype dtype, out_dtype; /* of the recipe */
    mg_mask_kind mask;
    uint64_t mask_seed;
    mg_rescale_kind rescale;
    mg_order_kind order;
    const mg_layout *layout;
    mg_model_ref *refs; /* in the order of reference, base first */
    mg_snapshot **models;
    int64_t model_count;
    mg_plan_job *jobs; /* in execution order */
    int64_t job_count, job_cap;
    mg_vocabulary *vocabulary; /* NULL = embeddings as they are */
    mg_arena tokenizer_tree;   /* of the vocabulary's tokenizer, until its files are written */
    bool has_chat_template;    /* the recipe says which */
    bool wants_chat_template;  /* it is auto: one of the models' */
    mg_plan_layers *modules;   /* one for each module written */
    int64_t module_count;
};

/* The tokens of a model, with the file's tree or perhaps without; borrowed from the set until it
 * forgets them. */
MG_MUST_CHECK mg_status mg_model_set_tokens(mg_model_set *set, const mg_model_ref *ref, bool tree,
                                            const mg_token_table **tokens_out, mg_error *err);
/* Frees the tree of the vocabulary's tokenizer, whose files are written (plan_vocabulary.c). */
void mg_plan_drop_tokenizer(mg_plan *plan);
/* Frees the tokens of all models; what was got of them is gone. */
void mg_model_set_forget_tokens(mg_model_set *set);
/* What `tokenizer` or `tokenizer_source` of recipe means for plan, whose models and layout are set
 * (plan_vocabulary.c).  Mistakes go to diagnostics. */
MG_MUST_CHECK mg_status mg_plan_build_vocabulary(mg_plan *plan, const mg_recipe *recipe,
                                                 mg_model_set *set, mg_diagnostics *diagnostics,
                                                 mg_error *err);
/* Sorts the jobs, which are in the order of planning, into the order of mergekit's task graph
 * (plan_order.c). */
void mg_plan_order(mg_plan *plan);
/* recipe, of which plan was made, in the form that mergekit records (plan_recipe.c).  It borrows
 * from both and from arena. */
mg_recipe mg_plan_recorded_recipe(const mg_plan *plan, const mg_recipe *recipe, mg_arena *arena);
/* The adapter of a reference that was got before, NULL = none. */
const mg_adapter *mg_model_set_adapter(mg_model_set *set, const mg_model_ref *ref);
/* One of the set's models, sources of tokens among them, that lies, or whose adapter lies, in the
 * folder target (absolute, without links); NULL = none. */
const mg_model_ref *mg_model_set_inside(const mg_model_set *set, mg_str target, mg_arena *arena);
/* The layouts that a model set keeps, for its plans. */
mg_layouts *mg_model_set_layouts(mg_model_set *set);
/* The copies of the set's tensors on device, which has no host memory. */
mg_resident *mg_model_set_resident(mg_model_set *set, const mg_device *device);
/* True unless the latest call had the same what, a text that stays: for notes told once. */
bool mg_model_set_first_time(mg_model_set *set, const char *what);

MG_END_C
