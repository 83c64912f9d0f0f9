/* evolve/search_config.h - the file of a search: mergekit-evolve's, plus optional blocks
 * (interface.md 3.1).
 *
 * Thread-safety: immutable after reading. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "evolve/preset.h"
#include "evolve/stage.h"
#include "hub/cache.h"
#include "optim/restart.h"
#include "text/value.h"

MG_BEGIN_C

/* The block `genome`, as in mergekit-evolve (merging.md 8.1). */
typedef struct mg_genome_config {
    const mg_model_ref *models;
    int64_t model_count;
    mg_str method;
    bool has_base;
    mg_model_ref base;
    mg_str tokenizer_source;   /* empty = none */
    int64_t layer_granularity; /* layers that share genes; 0 = all */
    bool has_normalize, normalize;
    bool allow_negative_weights;
    const mg_str *filters;
    int64_t filter_count;
    bool smooth;
} mg_genome_config;

typedef struct mg_evolve_task {
    mg_str name;
    double weight;
    mg_str metric; /* "acc,none" */
    bool has_guard;
    double guard; /* least score of a candidate that counts as valid */
    const mg_value *where;
} mg_evolve_task;

typedef struct mg_evolve_tasks {
    const mg_evolve_task *items;
    int64_t count;
} mg_evolve_tasks;

typedef enum mg_optimiser_choice {
    MG_OPTIMISER_AUTO, /* full up to 100 genes, diagonal above; learning rates as the preset says */
    MG_OPTIMISER_LRA,
    MG_OPTIMISER_CMA,
    MG_OPTIMISER_SEP,
    MG_OPTIMISER_LM_MA,
    MG_OPTIMISER_NSGA2,
    MG_OPTIMISER_SWITCH, /* diagonal at first, full later */
    MG_OPTIMISER_NICHES  /* by its preset alone */
} mg_optimiser_choice;

/* What decides how many questions a generation answers, with `items: auto` (evolution.md 8). */
typedef enum mg_item_rule {
    MG_ITEMS_BY_HALVES, /* whether two halves of the answers agree */
    MG_ITEMS_BY_RANKS   /* how ranks change on other questions: UH-CMA */
} mg_item_rule;

/* How layers share genes; see evolution.md 3.2. */
typedef enum mg_granularity {
    MG_GRANULARITY_FILE,    /* as genome.layer_granularity and genome.smooth say */
    MG_GRANULARITY_MODEL,   /* all tensors together */
    MG_GRANULARITY_ANCHORS, /* points over depth, linear between them */
    MG_GRANULARITY_BLOCKS   /* embedding, runs of layers, head */
} mg_granularity;

/* Settings of one stage: the block `search`, defaults filled in from the preset. */
typedef struct mg_search_config {
    mg_space space;
    const mg_preset *preset;
    int64_t evaluations;    /* 0 = not limited */
    int64_t questions;      /* 0 = not limited */
    double minutes;         /* 0 = not limited */
    int64_t items;          /* questions per candidate; 0 = all */
    bool items_from_preset; /* then a pool of less than twice as many is used whole */
    bool items_auto;        /* items is where the search begins, and it changes them */
    mg_item_rule item_control;
    bool estimate; /* the questions stand for all of the pool */
    uint64_t seed;
    mg_optimiser_choice optimiser;
    bool switches_by_margin; /* bits are discrete coordinates of CMA-ES, instead of probabilities */
    int64_t population;      /* 0 = default */
    double sigma;            /* share of the range; mergekit encoding: absolute */
    double weight_low, weight_high;
    mg_granularity granularity;
    int64_t granularity_count; /* anchors, or layers of a block */
    bool anchors_from_preset;  /* the file names no granularity */
    bool own_ends;             /* anchors: embedding and head have genes of their own */
    bool own_masks;            /* random masks are drawn anew for each genome */
    bool by_class;             /* attention, MLP and the rest have their own genes */
    double polish_share;
    int64_t restarts;          /* of the optimiser, at most */
    bool restarts_from_preset; /* then only with a budget that is large enough for them */
    mg_restart_kind restart;
    bool restart_near_best;   /* instead of anywhere */
    const mg_str *warm_start; /* folders of earlier runs */
    int64_t warm_start_count;
    int64_t repeats; /* data-flow space: how often the stack of layers is repeated */
    mg_path_encoding path_encoding;
    int64_t rotate;   /* generations after which questions are drawn anew; 0 = never */
    int64_t hops_max; /* longest path; 0 = 1.6 times the layers of the first model */
    double cost_len;  /* what twice as many hops as the first model has layers cost */
    bool tie_breaker; /* equal scores are told apart by the likelihood of reference answers */
} mg_search_config;

/* What a stage begins with, and what it may change. */
typedef enum mg_stage_kind {
    MG_STAGE_SEARCH, /* a space from its own start */
    MG_STAGE_FINER,  /* the parameter space in smaller groups, from the winner */
    MG_STAGE_PATHS,  /* paths through the layers of the winner and of a partner */
    MG_STAGE_REFINE, /* genes and factors of the winning path together, its hops stay */
    MG_STAGE_SCALES, /* factors of the winning path alone */
    MG_STAGE_BOTH    /* switches and factors, from the winning path */
} mg_stage_kind;

typedef struct mg_stage_settings {
    mg_stage_kind kind;
    const char *name;  /* "ps": of files */
    const char *title; /* "parameter space": for people */
    mg_search_config search;
} mg_stage_settings;

typedef struct mg_evolve_config {
    mg_arena arena; /* owns everything below */
    mg_str path;    /* of the file */
    mg_str text;    /* the file */
    mg_genome_config genome;
    mg_evolve_tasks tasks;
    mg_evolve_tasks validate_tasks; /* empty = a share of the tasks' questions */
    double validate_share;
    mg_evolve_tasks test_tasks;
    double limit;        /* 0 = all questions */
    int64_t num_fewshot; /* -1 = as the task says */
    bool random_init;
    bool apply_chat_template;
    bool fewshot_as_multiturn;
    mg_search_config search; /* of the first stage, but space is that of all together */
    mg_stage_settings stages[MG_STAGES_MAX];
    int64_t stage_count; /* at least 1 */
    bool has_partner;
    mg_model_ref partner; /* hybrid: the second stack of layers; else it is chosen */
} mg_evolve_config;

/* What the command line puts over the file. */
typedef struct mg_evolve_overrides {
    int64_t evaluations; /* 0 = as the file says */
    double minutes;      /* 0 = as the file says */
    bool has_seed;
    uint64_t seed;
    double sigma;       /* 0 = as the file says */
    int64_t population; /* 0 = as the file says */
    bool allow_benchmark_tasks;
} mg_evolve_overrides;

/* Reads the file at path.  All mistakes are in err together, each with FILE:LINE:COL.  The caller
 * ends *config_out with mg_evolve_config_release, on failure too.  MG_ERR_CONFIG, MG_ERR_NOT_FOUND.
 */
MG_MUST_CHECK mg_status mg_evolve_config_read(const char *path,
                                              const mg_evolve_overrides *overrides,
                                              mg_evolve_config *config_out, mg_error *err);
void mg_evolve_config_release(mg_evolve_config *config);

MG_END_C
