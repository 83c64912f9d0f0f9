/* evolve/search_config_internal.h - the file of a search as it stands, before defaults and checks.
 *
 * Thread-safety: as search_config.h. */
#pragma once

#include "evolve/search_config.h"
#include "text/diagnostics.h"
#include "text/fields.h"

MG_BEGIN_C

typedef struct mg_raw_refs {
    mg_model_ref *items;
    int64_t count;
} mg_raw_refs;

/* What the tables read into; the public structs are filled from it. */
typedef struct mg_raw_genome {
    mg_raw_refs models;
    mg_str method;
    bool has_method;
    mg_model_ref base;
    bool has_base;
    mg_str tokenizer_source;
    int64_t layer_granularity;
    bool normalize, has_normalize;
    bool allow_negative_weights;
    mg_field_list filters;
    bool smooth;
} mg_raw_genome;

typedef struct mg_raw_validate {
    double share;
    bool has_share;
    mg_evolve_tasks tasks;
    bool has_tasks;
} mg_raw_validate;

typedef struct mg_raw_test {
    mg_evolve_tasks tasks;
} mg_raw_test;

/* A number of questions, or the word auto. */
typedef struct mg_raw_items {
    int64_t count;
    bool automatic;
} mg_raw_items;

typedef struct mg_raw_search {
    int space;
    bool has_space;
    mg_str preset;
    mg_raw_items items;
    int64_t evaluations, seed, population, restarts, repeats, hops_max, rotate;
    bool has_rotate, has_evaluations, has_items, has_seed, has_restarts;
    double minutes, sigma, polish, cost_len;
    bool has_minutes, has_sigma, has_polish;
    mg_field_list weights;     /* of double */
    mg_field_list granularity; /* of mg_str */
    mg_field_list warm_start;  /* of mg_str */
    int restart, restart_from, switches, item_control;
    bool has_item_control;
    bool has_switches;
    int ends, mask_seed;
    int optimiser;
    int encoding;
    bool has_encoding;
    mg_model_ref partner;
    bool has_partner, refine, has_refine, staged, has_staged;
    bool tie_breaker;
    const mg_value *where_preset;
} mg_raw_search;

typedef struct mg_raw_file {
    mg_raw_genome genome;
    mg_evolve_tasks tasks;
    double limit;
    int64_t num_fewshot;
    bool has_num_fewshot;
    bool shuffle, random_init, apply_chat_template, fewshot_as_multiturn;
    mg_raw_search search;
    mg_raw_validate validate;
    mg_raw_test test;
    bool has_test;
} mg_raw_file;

extern const char *const mg_space_names[]; /* by mg_space; ends with NULL */

/* search_file.c: the blocks of the file into raw, which holds the defaults of fields that are not
 * there; mistakes go to context->diagnostics. */
void mg_search_file_read(const mg_value *root, const mg_field_context *context, mg_raw_file *raw);

/* search_settings.c: config->search and the stages, from the file, the command line and the
 * presets. */
void mg_search_config_fill(const mg_value *root, const mg_raw_file *raw,
                           const mg_evolve_overrides *overrides, mg_evolve_config *config,
                           mg_diagnostics *diagnostics);

MG_END_C
