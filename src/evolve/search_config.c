/* evolve/search_config.c - reads and checks the file of a search; see config.h.
 *
 * Field tables do the reading; what depends on several fields is checked behind them, so that every
 * mistake of a file is told in one run. */
#include "evolve/search_config.h"

#include <math.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "evolve/searchable.h"
#include "evolve/stage_plan.h"
#include "text/diagnostics.h"
#include "text/fields.h"
#include "text/yaml.h"

#define TASKS_MAX 1000
#define MODELS_MAX 1000
#define ITEMS_MAX 1000000000000

static bool read_ref(const mg_field_context *context, const mg_value *value, void *target)
{
    mg_error err;
    if (value->kind != MG_STRING) {
        mg_diagnose(context->diagnostics, value,
                    "%s is no model reference, expected a folder or "
                    "owner/name",
                    mg_field_show(context->arena, value).data);
        return false;
    }
    if (mg_model_ref_parse(value->string, context->arena, target, &err) != MG_OK) {
        mg_diagnose(context->diagnostics, value, "%s", err.message);
        return false;
    }
    return true;
}

typedef struct ref_list {
    mg_model_ref *items;
    int64_t count;
} ref_list;

static bool read_refs(const mg_field_context *context, const mg_value *value, void *target)
{
    ref_list *list = target;
    if (value->kind != MG_LIST || value->count == 0 || value->count > MODELS_MAX) {
        mg_diagnose(context->diagnostics, value, "'models' must be a list of 1 to %d models",
                    MODELS_MAX);
        return false;
    }
    bool fine = true;
    list->items = mg_arena_array(context->arena, mg_model_ref, value->count);
    list->count = value->count;
    for (int64_t i = 0; i < value->count; i++) {
        fine = read_ref(context, &value->items[i], &list->items[i]) && fine;
    }
    return fine;
}

/* What the tables read into; the public structs are filled from it. */
typedef struct raw_genome {
    ref_list models;
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
} raw_genome;

static const mg_field genome_fields[] = {
    { .name = "models",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(raw_genome, models),
      .required = true,
      .read = read_refs },
    { .name = "merge_method",
      .kind = MG_FIELD_STRING,
      .offset = offsetof(raw_genome, method),
      .has_offset = offsetof(raw_genome, has_method) },
    { .name = "base_model",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(raw_genome, base),
      .has_offset = offsetof(raw_genome, has_base),
      .read = read_ref },
    { .name = "tokenizer_source",
      .kind = MG_FIELD_STRING,
      .offset = offsetof(raw_genome, tokenizer_source) },
    { .name = "layer_granularity",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_genome, layer_granularity),
      .bounded = true,
      .min = -1,
      .max = 100000 },
    { .name = "normalize",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(raw_genome, normalize),
      .has_offset = offsetof(raw_genome, has_normalize) },
    { .name = "allow_negative_weights",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(raw_genome, allow_negative_weights) },
    { .name = "filters", .kind = MG_FIELD_STRINGS, .offset = offsetof(raw_genome, filters) },
    { .name = "smooth", .kind = MG_FIELD_BOOL, .offset = offsetof(raw_genome, smooth) },
};
static const mg_fields genome_table = { "the genome", genome_fields, MG_ARRAY_COUNT(genome_fields),
                                        false };

static const mg_field task_fields[] = {
    { .name = "name",
      .kind = MG_FIELD_TEXT,
      .offset = offsetof(mg_evolve_task, name),
      .required = true },
    { .name = "weight", .kind = MG_FIELD_DOUBLE, .offset = offsetof(mg_evolve_task, weight) },
    { .name = "metric", .kind = MG_FIELD_STRING, .offset = offsetof(mg_evolve_task, metric) },
    { .name = "guard",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(mg_evolve_task, guard),
      .has_offset = offsetof(mg_evolve_task, has_guard) },
};
static const mg_fields task_table = { "a task", task_fields, MG_ARRAY_COUNT(task_fields), false };

/* A list of  NAME  or  {name, weight, metric, guard}. */
static bool read_tasks(const mg_field_context *context, const mg_value *value, void *target)
{
    mg_evolve_tasks *tasks = target;
    if (value->kind != MG_LIST || value->count == 0 || value->count > TASKS_MAX) {
        mg_diagnose(context->diagnostics, value, "'tasks' must be a list of 1 to %d tasks",
                    TASKS_MAX);
        return false;
    }
    bool fine = true;
    mg_evolve_task *items = mg_arena_array(context->arena, mg_evolve_task, value->count);
    for (int64_t i = 0; i < value->count; i++) {
        const mg_value *item = &value->items[i];
        items[i] =
            (mg_evolve_task){ .weight = 1.0, .metric = mg_str_of("acc,none"), .where = item };
        if (item->kind == MG_MAP) {
            fine = mg_fields_read(&task_table, item, &items[i], context) && fine;
        } else if (item->kind == MG_STRING) {
            items[i].name = item->string;
        } else {
            mg_diagnose(context->diagnostics, item,
                        "a task is %s, must be a name or a map with one", mg_kind_name(item->kind));
            fine = false;
        }
    }
    tasks->items = items;
    tasks->count = value->count;
    return fine;
}

typedef struct raw_validate {
    double share;
    bool has_share;
    mg_evolve_tasks tasks;
    bool has_tasks;
} raw_validate;

static const mg_field validate_fields[] = {
    { .name = "share",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(raw_validate, share),
      .has_offset = offsetof(raw_validate, has_share),
      .bounded = true,
      .min = 0.0,
      .max = 0.9 },
    { .name = "tasks",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(raw_validate, tasks),
      .has_offset = offsetof(raw_validate, has_tasks),
      .read = read_tasks },
};
static const mg_fields validate_table = { "the block 'validate'", validate_fields,
                                          MG_ARRAY_COUNT(validate_fields), true };

typedef struct raw_test {
    mg_evolve_tasks tasks;
} raw_test;

static const mg_field test_fields[] = {
    { .name = "tasks",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(raw_test, tasks),
      .required = true,
      .read = read_tasks },
};
static const mg_fields test_table = { "the block 'test'", test_fields, MG_ARRAY_COUNT(test_fields),
                                      true };

/* A number of questions, or the word auto. */
typedef struct raw_items {
    int64_t count;
    bool automatic;
} raw_items;

static bool read_items(const mg_field_context *context, const mg_value *value, void *target)
{
    raw_items *items = target;
    if (value->kind == MG_STRING && mg_str_is(value->string, "auto")) {
        items->automatic = true;
        return true;
    }
    int64_t count = 0;
    if (!mg_value_to_int(value, &count) || count < 1 || count > ITEMS_MAX) {
        mg_diagnose(context->diagnostics, value,
                    "'items' is %s, must be a number of questions from 1 to 1e12, or auto",
                    mg_field_show(context->arena, value).data);
        return false;
    }
    items->count = count;
    return true;
}

typedef struct raw_search {
    int space;
    bool has_space;
    mg_str preset;
    raw_items items;
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
    const mg_value *where_preset;
} raw_search;

static const char *const space_names[] = { "ps", "dfs", "hybrid", NULL };
static const char *const encoding_names[] = { "slot", "paper", "net", "transition", NULL };
static const char *const restart_names[] = { "ipop", "bipop", NULL };
static const char *const restart_from_names[] = { "anywhere", "best", NULL };
static const char *const ends_names[] = { "shared", "own", NULL };
static const char *const mask_seed_names[] = { "run", "genome", NULL };
static const char *const optimiser_names[] = { "auto",  "lra",   "cma",    "sep",
                                               "lm-ma", "nsga2", "switch", NULL };
static const char *const item_control_names[] = { "halves", "uh", NULL };
static const char *const switch_names[] = { "bernoulli", "margin", NULL };

static const mg_field search_fields[] = {
    { .name = "space",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, space),
      .has_offset = offsetof(raw_search, has_space),
      .choices = space_names },
    { .name = "preset", .kind = MG_FIELD_STRING, .offset = offsetof(raw_search, preset) },
    { .name = "evaluations",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_search, evaluations),
      .has_offset = offsetof(raw_search, has_evaluations),
      .bounded = true,
      .min = 1,
      .max = 1e9 },
    { .name = "items",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(raw_search, items),
      .has_offset = offsetof(raw_search, has_items),
      .read = read_items },
    { .name = "item_control",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, item_control),
      .has_offset = offsetof(raw_search, has_item_control),
      .choices = item_control_names },
    { .name = "minutes",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(raw_search, minutes),
      .has_offset = offsetof(raw_search, has_minutes),
      .bounded = true,
      .min = 0.01,
      .max = 1e7 },
    { .name = "seed",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_search, seed),
      .has_offset = offsetof(raw_search, has_seed),
      .bounded = true,
      .min = 0,
      .max = 9007199254740992.0 },
    { .name = "population",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_search, population),
      .bounded = true,
      .min = 4,
      .max = 100000 },
    { .name = "sigma",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(raw_search, sigma),
      .has_offset = offsetof(raw_search, has_sigma),
      .bounded = true,
      .min = 1e-6,
      .max = 10.0 },
    { .name = "polish",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(raw_search, polish),
      .has_offset = offsetof(raw_search, has_polish),
      .bounded = true,
      .min = 0.0,
      .max = 0.9 },
    { .name = "restarts",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_search, restarts),
      .has_offset = offsetof(raw_search, has_restarts),
      .bounded = true,
      .min = 0,
      .max = MG_RESTART_MAX },
    { .name = "restart",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, restart),
      .choices = restart_names },
    { .name = "restart_from",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, restart_from),
      .choices = restart_from_names },
    { .name = "switches",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, switches),
      .has_offset = offsetof(raw_search, has_switches),
      .choices = switch_names },
    { .name = "warm_start", .kind = MG_FIELD_STRINGS, .offset = offsetof(raw_search, warm_start) },
    { .name = "weights",
      .kind = MG_FIELD_DOUBLES,
      .offset = offsetof(raw_search, weights),
      .bounded = true,
      .min = -100.0,
      .max = 100.0 },
    { .name = "granularity",
      .kind = MG_FIELD_STRINGS,
      .offset = offsetof(raw_search, granularity) },
    { .name = "ends",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, ends),
      .choices = ends_names },
    { .name = "mask_seed",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, mask_seed),
      .choices = mask_seed_names },
    { .name = "repeats",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_search, repeats),
      .bounded = true,
      .min = 1,
      .max = 16 },
    { .name = "rotate",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_search, rotate),
      .has_offset = offsetof(raw_search, has_rotate),
      .bounded = true,
      .min = 0,
      .max = 1000000 },
    { .name = "max_hops",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_search, hops_max),
      .bounded = true,
      .min = 2,
      .max = 1000 },
    { .name = "encoding",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, encoding),
      .has_offset = offsetof(raw_search, has_encoding),
      .choices = encoding_names },
    { .name = "cost_len",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(raw_search, cost_len),
      .bounded = true,
      .min = 0.0,
      .max = 100.0 },
    { .name = "partner",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(raw_search, partner),
      .has_offset = offsetof(raw_search, has_partner),
      .read = read_ref },
    { .name = "refine",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(raw_search, refine),
      .has_offset = offsetof(raw_search, has_refine) },
    { .name = "staged",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(raw_search, staged),
      .has_offset = offsetof(raw_search, has_staged) },
    { .name = "optimiser",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(raw_search, optimiser),
      .choices = optimiser_names },
};
static const mg_fields search_table = { "the block 'search'", search_fields,
                                        MG_ARRAY_COUNT(search_fields), true };

typedef struct raw_file {
    raw_genome genome;
    mg_evolve_tasks tasks;
    double limit;
    int64_t num_fewshot;
    bool has_num_fewshot;
    bool shuffle, random_init, apply_chat_template, fewshot_as_multiturn;
    raw_search search;
    raw_validate validate;
    raw_test test;
    bool has_test;
} raw_file;

static const mg_field file_fields[] = {
    { .name = "genome",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(raw_file, genome),
      .required = true,
      .table = &genome_table },
    { .name = "tasks",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(raw_file, tasks),
      .required = true,
      .read = read_tasks },
    { .name = "limit",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(raw_file, limit),
      .bounded = true,
      .min = 0.0,
      .max = 1e9 },
    { .name = "num_fewshot",
      .kind = MG_FIELD_INT,
      .offset = offsetof(raw_file, num_fewshot),
      .has_offset = offsetof(raw_file, has_num_fewshot),
      .bounded = true,
      .min = 0,
      .max = 1000 },
    { .name = "shuffle", .kind = MG_FIELD_BOOL, .offset = offsetof(raw_file, shuffle) },
    { .name = "random_init", .kind = MG_FIELD_BOOL, .offset = offsetof(raw_file, random_init) },
    { .name = "apply_chat_template",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(raw_file, apply_chat_template) },
    { .name = "fewshot_as_multiturn",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(raw_file, fewshot_as_multiturn) },
    { .name = "search",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(raw_file, search),
      .table = &search_table },
    { .name = "validate",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(raw_file, validate),
      .table = &validate_table },
    { .name = "test",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(raw_file, test),
      .table = &test_table },
};
static const mg_fields file_table = { "the file", file_fields, MG_ARRAY_COUNT(file_fields), false };

static void check_genome(const mg_value *root, const raw_genome *raw, const mg_searchable *method,
                         mg_diagnostics *diagnostics)
{
    const mg_value *genome = mg_value_get(root, "genome");
    const mg_value *where = mg_value_get(genome, "merge_method");
    if (!raw->has_method) {
        mg_diagnose(diagnostics, genome, "'merge_method' is missing");
        return;
    }
    if (method == NULL) {
        const char *nearest = mg_searchable_nearest(raw->method);
        mg_diagnose(diagnostics, where, "unknown merge method '%.*s' for a search%s%s%s",
                    MG_STR_ARG(raw->method), nearest != NULL ? "; did you mean '" : "",
                    nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
        return;
    }
    if (method->needs_base && !raw->has_base) {
        mg_diagnose(diagnostics, where, "'%s' needs a 'base_model'", method->name);
    }
    if (method->interpolates && (raw->smooth || raw->filters.count > 0)) {
        mg_diagnose(diagnostics, where, "'slerp' cannot be combined with 'smooth' or 'filters'");
    }
    if (method->interpolates && raw->models.count < 2) {
        mg_diagnose(diagnostics, where, "'slerp' needs at least two models");
    }
}

/* In the data-flow space the models are stacks of layers: nothing is weighted. */
static void check_path_genome(const mg_value *root, const raw_genome *raw,
                              mg_diagnostics *diagnostics)
{
    const mg_value *genome = mg_value_get(root, "genome");
    if (raw->has_method && !mg_str_is(raw->method, "passthrough")) {
        mg_diagnose(diagnostics, mg_value_get(genome, "merge_method"),
                    "'merge_method' is '%.*s', must be passthrough or left out in the space 'dfs'",
                    MG_STR_ARG(raw->method));
    }
    if (raw->has_base && raw->models.count > 0 &&
        !mg_model_ref_equal(&raw->base, &raw->models.items[0])) {
        mg_diagnose(diagnostics, mg_value_get(genome, "base_model"),
                    "'base_model' is not the first of 'models', which it is in the space 'dfs'");
    }
    if (raw->smooth || raw->filters.count > 0 || raw->layer_granularity > 0) {
        mg_diagnose(
            diagnostics, genome,
            "'smooth', 'filters' and 'layer_granularity' have no meaning in the space 'dfs'");
    }
}

static const char *const benchmark_prefixes[] = {
    "mmlu",    "hendrycks",  "agieval",  "gsm8k", "hellaswag",  "winogrande",  "arc_",
    "ai2_arc", "truthfulqa", "bigbench", "piqa",  "openbookqa", "leaderboard",
};

/* Searching on a public benchmark's test questions makes its score worthless. */
static void check_benchmarks(const mg_evolve_tasks *tasks, bool allowed,
                             mg_diagnostics *diagnostics)
{
    for (int64_t i = 0; i < tasks->count; i++) {
        mg_str name = tasks->items[i].name;
        bool benchmark = false;
        for (int64_t p = 0; p < MG_ARRAY_COUNT(benchmark_prefixes); p++) {
            benchmark = benchmark || mg_str_starts(name, benchmark_prefixes[p]);
        }
        if (!benchmark || mg_str_ends(name, "_train")) {
            continue;
        }
        if (allowed) {
            mg_diagnose_warn(diagnostics, tasks->items[i].where,
                             "'%.*s' is a public benchmark: its score means nothing after a search "
                             "on it",
                             MG_STR_ARG(name));
        } else {
            mg_diagnose(diagnostics, tasks->items[i].where,
                        "'%.*s' is a public benchmark; search on its training part, or pass "
                        "--i-understand-the-depths-of-the-evils-i-am-unleashing",
                        MG_STR_ARG(name));
        }
    }
}

/* "model", "anchors:A", "blocks:B", "class", or a list of one of the first three and "class". */
static void read_granularity(const mg_value *where, const mg_field_list *list,
                             mg_search_config *search, mg_diagnostics *diagnostics)
{
    const mg_str *items = list->items;
    for (int64_t i = 0; i < list->count; i++) {
        mg_str text = items[i];
        int64_t count = 0;
        if (mg_str_is(text, "class")) {
            search->by_class = true;
        } else if (mg_str_is(text, "model")) {
            search->granularity = MG_GRANULARITY_MODEL;
        } else if (mg_str_starts(text, "anchors:") &&
                   mg_str_to_int(mg_str_slice(text, 8, text.size), &count) && count >= 2 &&
                   count <= 1000) {
            search->granularity = MG_GRANULARITY_ANCHORS;
        } else if (mg_str_starts(text, "blocks:") &&
                   mg_str_to_int(mg_str_slice(text, 7, text.size), &count) && count >= 1 &&
                   count <= 1000) {
            search->granularity = MG_GRANULARITY_BLOCKS;
        } else {
            mg_diagnose(diagnostics, where,
                        "granularity '%.*s' is unknown, expected model, anchors:A (A at least 2), "
                        "blocks:B or class",
                        MG_STR_ARG(text));
        }
        search->granularity_count = count > 0 ? count : search->granularity_count;
    }
}

/* Questions of one candidate for a budget of questions (evolution.md 12.1): adapted learning rates
 * get along with half of what others need. */
static int64_t planned_items(const mg_search_config *search)
{
    double root = sqrt((double)search->questions);
    bool lra = search->optimiser == MG_OPTIMISER_LRA ||
               (search->optimiser == MG_OPTIMISER_AUTO && search->preset->adapt_learning_rate);
    return MG_MAX(llround(lra ? 0.5 * root : root), 50);
}

static void fill_budget(const raw_search *raw, const mg_evolve_overrides *overrides,
                        mg_search_config *search)
{
    const mg_preset *preset = search->preset;
    search->evaluations = raw->has_evaluations ? raw->evaluations : 0;
    search->minutes = raw->has_minutes ? raw->minutes : 0.0;
    if (overrides->evaluations > 0) {
        search->evaluations = overrides->evaluations;
    }
    if (overrides->minutes > 0.0) {
        search->minutes = overrides->minutes;
    }
    bool counted = raw->has_items && !raw->items.automatic;
    search->items = counted ? raw->items.count : preset->items;
    search->items_from_preset = !counted;
    search->items_auto = raw->items.automatic;
    search->item_control = (mg_item_rule)raw->item_control;
    if (search->evaluations == 0 && search->minutes == 0.0) {
        search->evaluations = preset->evaluations;
        search->questions = preset->questions;
        /* The key serves both: alone and large it is the budget of the whole search. */
        if (counted && raw->items.count >= 2000) {
            search->questions = raw->items.count;
            search->evaluations = 0;
            search->items = preset->items;
            search->items_from_preset = true;
        }
    }
    bool as_planned = search->questions == preset->questions && preset->items > 0;
    if (search->questions > 0 && search->items_from_preset && !as_planned) {
        search->items = planned_items(search);
    }
}

/* Members of the niches are linear forms over the sources' differences from their base. */
static void check_niches(const mg_value *root, const raw_file *raw, const mg_preset *preset,
                         mg_diagnostics *diagnostics)
{
    if (!preset->niches) {
        return;
    }
    const mg_value *genome = mg_value_get(root, "genome");
    const mg_value *block = mg_value_get(root, "search");
    if (raw->genome.has_method && !mg_str_is(raw->genome.method, "task_arithmetic")) {
        mg_diagnose(diagnostics, mg_value_get(genome, "merge_method"),
                    "'merge_method' is '%.*s', must be task_arithmetic with the preset 'niches'",
                    MG_STR_ARG(raw->genome.method));
    }
    if (raw->genome.models.count < 2) {
        mg_diagnose(diagnostics, mg_value_get(genome, "models"),
                    "the preset 'niches' needs at least two models");
    }
    if (raw->genome.filters.count > 0 || raw->genome.smooth || raw->genome.layer_granularity > 0 ||
        raw->genome.normalize) {
        mg_diagnose(diagnostics, genome,
                    "'filters', 'smooth', 'layer_granularity' and 'normalize' have no meaning with "
                    "the preset 'niches'");
    }
    const struct {
        const char *name;
        bool given;
    } others[] = { { "granularity", raw->search.granularity.count > 0 },
                   { "weights", raw->search.weights.count > 0 },
                   { "optimiser", raw->search.optimiser != MG_OPTIMISER_AUTO },
                   { "ends", raw->search.ends != 0 },
                   { "items", raw->search.items.automatic } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(others); i++) {
        if (others[i].given) {
            mg_diagnose(diagnostics, mg_value_get(block, others[i].name),
                        "'%s' has no meaning with the preset 'niches'", others[i].name);
        }
    }
}

/* The number of questions of a generation may change only where their scores rank that generation
 * and nothing else. */
static void check_items(const mg_value *block, const raw_search *raw, mg_search_config *search,
                        mg_diagnostics *diagnostics)
{
    if (raw->has_item_control && !search->items_auto) {
        mg_diagnose(diagnostics, mg_value_get(block, "item_control"),
                    "'item_control' belongs to 'items: auto'");
    }
    if (!search->items_auto) {
        return;
    }
    if (raw->has_rotate && raw->rotate > 0) {
        mg_diagnose(diagnostics, mg_value_get(block, "rotate"),
                    "'rotate' and 'items: auto' cannot be combined: both choose the questions");
    }
    if (search->optimiser == MG_OPTIMISER_NSGA2 || search->preset->held_out > 0 ||
        search->preset->encoding == MG_ENCODING_MERGEKIT) {
        mg_diagnose(diagnostics, mg_value_get(block, "items"),
                    "'items: auto' cannot be combined with preset '%s'%s", search->preset->name,
                    search->optimiser == MG_OPTIMISER_NSGA2 ? " and the optimiser 'nsga2'" : "");
    }
    search->rotate = 0;
}

/* A population has no mean: what goes around one has no meaning with it. */
static void check_population(const mg_value *block, const raw_search *raw, mg_search_config *search,
                             mg_diagnostics *diagnostics)
{
    bool niches = search->optimiser == MG_OPTIMISER_NICHES;
    if (search->optimiser != MG_OPTIMISER_NSGA2 && !niches) {
        if (search->estimate) {
            mg_diagnose(diagnostics, mg_value_get(block, "optimiser"),
                        "preset '%s' works with the optimiser 'nsga2' alone", search->preset->name);
        }
        return;
    }
    const struct {
        const char *name;
        bool given;
    } others[] = { { "polish", raw->has_polish && raw->polish > 0.0 },
                   { "restarts", raw->has_restarts && raw->restarts > 0 },
                   { "warm_start", raw->warm_start.count > 0 },
                   { "rotate", raw->has_rotate && raw->rotate > 0 } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(others); i++) {
        if (others[i].given) {
            mg_diagnose(diagnostics, mg_value_get(block, others[i].name),
                        "'%s' belongs to CMA-ES, and the optimiser is '%s'", others[i].name,
                        niches ? "niches" : "nsga2");
        }
    }
    bool ranges = search->preset->encoding == MG_ENCODING_NATIVE &&
                  search->path_encoding == MG_PATH_SLOT && search->preset->held_out == 0;
    if (!ranges && !niches) {
        mg_diagnose(diagnostics, mg_value_get(block, "optimiser"),
                    "'nsga2' needs a range for every gene, which preset '%s' has not",
                    search->preset->name);
    }
    search->polish_share = 0.0;
    search->restarts = 0;
    search->rotate = 0;
}

/* What the file and the command line say, over the defaults of preset. */
static void fill_settings(const mg_value *block, const raw_search *raw,
                          const mg_evolve_overrides *overrides, const mg_preset *preset,
                          const mg_genome_config *genome, mg_search_config *search,
                          mg_diagnostics *diagnostics)
{
    *search = (mg_search_config){ .space = preset->space, .preset = preset };
    search->optimiser = (mg_optimiser_choice)raw->optimiser;
    if (preset->nsga2 && search->optimiser == MG_OPTIMISER_AUTO) {
        search->optimiser = MG_OPTIMISER_NSGA2;
    }
    if (preset->niches) {
        search->optimiser = MG_OPTIMISER_NICHES;
    }
    search->estimate = preset->estimate;
    search->switches_by_margin = raw->switches != 0;
    search->population = raw->population > 0 ? raw->population : preset->population;
    search->population = overrides->population > 0 ? overrides->population : search->population;
    search->sigma = raw->has_sigma ? raw->sigma : preset->sigma;
    search->sigma = overrides->sigma > 0.0 ? overrides->sigma : search->sigma;
    search->seed = raw->has_seed ? (uint64_t)raw->seed : 0;
    search->seed = overrides->has_seed ? overrides->seed : search->seed;
    search->polish_share = raw->has_polish ? raw->polish : preset->polish_share;
    search->restarts = raw->has_restarts ? raw->restarts : preset->restarts;
    search->restarts_from_preset = !raw->has_restarts;
    search->restart = (mg_restart_kind)raw->restart;
    search->restart_near_best = raw->restart_from != 0;
    search->warm_start = raw->warm_start.items;
    search->warm_start_count = raw->warm_start.count;
    search->repeats = raw->repeats;
    search->path_encoding =
        raw->has_encoding ? (mg_path_encoding)raw->encoding : preset->path_encoding;
    search->hops_max = raw->hops_max;
    search->cost_len = raw->cost_len;
    search->rotate = raw->has_rotate ? raw->rotate : preset->rotate;
    search->weight_low = genome->allow_negative_weights ? -0.5 : preset->weight_low;
    search->weight_high = preset->weight_high;
    if (raw->weights.count == 2) {
        const double *range = raw->weights.items;
        search->weight_low = range[0];
        search->weight_high = range[1];
    }
    read_granularity(mg_value_get(block, "granularity"), &raw->granularity, search, diagnostics);
    bool none_named =
        raw->granularity.count == 0 && genome->layer_granularity == 0 && !genome->smooth;
    if (none_named && preset->anchors > 0) {
        search->granularity = MG_GRANULARITY_ANCHORS;
        search->granularity_count = preset->anchors;
        search->anchors_from_preset = true;
    }
    if (preset->niches) { /* a segment is a layer, or one of the ends */
        search->granularity = MG_GRANULARITY_BLOCKS;
        search->granularity_count = 1;
        search->by_class = false;
    }
    search->own_ends = raw->ends == 1;
    search->own_masks = raw->mask_seed == 1;
    check_population(block, raw, search, diagnostics);
    fill_budget(raw, overrides, search);
    check_items(block, raw, search, diagnostics);
}

/* The presets of the parameter space and of the data-flow space; one of them is NULL unless the
 * search is hybrid. */
typedef struct preset_pair {
    mg_space space;
    const mg_preset *first, *then;
} preset_pair;

static preset_pair choose_presets(const mg_value *block, const raw_search *raw,
                                  mg_diagnostics *diagnostics)
{
    static const char *const defaults[] = { "default", "dfs", "hybrid" };
    mg_str name =
        raw->preset.size > 0 ? raw->preset : mg_str_of(defaults[raw->has_space ? raw->space : 0]);
    const mg_preset *preset = mg_preset_find(name);
    if (preset == NULL) {
        const char *nearest = mg_preset_nearest(name);
        mg_diagnose(diagnostics, mg_value_get(block, "preset"), "unknown preset '%.*s'%s%s%s",
                    MG_STR_ARG(name), nearest != NULL ? "; did you mean '" : "",
                    nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
        preset = mg_preset_find(mg_str_of(defaults[raw->has_space ? raw->space : 0]));
    }
    mg_space space = raw->has_space ? (mg_space)raw->space : preset->space;
    preset_pair pair = { space, preset, preset };
    if (preset->space == MG_SPACE_HYBRID) {
        pair.first = mg_preset_find(mg_str_of(preset->first));
        pair.then = mg_preset_find(mg_str_of(preset->then));
    } else if (space == MG_SPACE_HYBRID) { /* a preset of one space, with the other's default */
        bool path = preset->space == MG_SPACE_DFS;
        pair.first = path ? mg_preset_find(mg_str_of(defaults[MG_SPACE_PS])) : preset;
        pair.then = path ? preset : mg_preset_find(mg_str_of(defaults[MG_SPACE_DFS]));
    }
    if (space != MG_SPACE_HYBRID && space != preset->space) {
        mg_diagnose(diagnostics, mg_value_get(block, "preset"),
                    "preset '%s' is one for the space '%s', not for '%s'", preset->name,
                    space_names[preset->space], space_names[space]);
    }
    return pair;
}

static void check_search(const mg_value *block, const raw_search *raw,
                         const mg_evolve_config *config, mg_diagnostics *diagnostics)
{
    const mg_search_config *search = &config->search;
    const mg_preset *preset = search->preset;
    if (raw->weights.count > 0 &&
        (raw->weights.count != 2 || search->weight_low >= search->weight_high)) {
        mg_diagnose(diagnostics, mg_value_get(block, "weights"),
                    "'weights' must be a range [low, high]");
    }
    if (preset->encoding == MG_ENCODING_MERGEKIT &&
        (search->granularity != MG_GRANULARITY_FILE || search->by_class)) {
        mg_diagnose(diagnostics, mg_value_get(block, "granularity"),
                    "preset 'mergekit' takes its granularity from 'genome.layer_granularity'");
    }
    if (search->by_class && config->genome.filter_count > 0) {
        mg_diagnose(diagnostics, mg_value_get(block, "granularity"),
                    "granularity 'class' cannot be combined with 'genome.filters'");
    }
    if (search->own_ends && search->granularity != MG_GRANULARITY_ANCHORS) {
        mg_diagnose(diagnostics, mg_value_get(block, "ends"),
                    "'ends: own' goes with the granularity anchors:A alone");
    }
    if (raw->optimiser == MG_OPTIMISER_SWITCH && config->search.space != MG_SPACE_PS) {
        mg_diagnose(diagnostics, mg_value_get(block, "optimiser"),
                    "the optimiser 'switch' belongs to the space 'ps'");
    }
    if (raw->has_switches && search->space == MG_SPACE_PS) {
        mg_diagnose(diagnostics, mg_value_get(block, "switches"),
                    "'switches' belong to the space 'dfs', and the space is 'ps'");
    }
    if (raw->has_partner && search->space != MG_SPACE_HYBRID) {
        mg_diagnose(diagnostics, mg_value_get(block, "partner"),
                    "'partner' is the second stack of layers in the space 'hybrid'; in the space "
                    "'dfs' that is the second of 'models'");
    }
    if (raw->refine && search->space != MG_SPACE_HYBRID) {
        mg_diagnose(diagnostics, mg_value_get(block, "refine"),
                    "'refine' moves genes and factors together, which only the space 'hybrid' has");
    }
    if (raw->staged && (search->space != MG_SPACE_DFS || search->path_encoding != MG_PATH_SLOT)) {
        mg_diagnose(diagnostics, mg_value_get(block, "staged"),
                    "'staged' is for the space 'dfs' with the encoding 'slot'");
    }
}

static void fill_search(const mg_value *root, const raw_file *raw,
                        const mg_evolve_overrides *overrides, mg_evolve_config *config,
                        mg_diagnostics *diagnostics)
{
    const mg_value *block = mg_value_get(root, "search");
    preset_pair presets = choose_presets(block, &raw->search, diagnostics);
    mg_search_config first;
    mg_search_config then;
    mg_diagnostics again = { .file = diagnostics->file }; /* mostly the same mistakes */
    fill_settings(block, &raw->search, overrides, presets.first, &config->genome, &first,
                  diagnostics);
    fill_settings(block, &raw->search, overrides, presets.then, &config->genome, &then, &again);
    mg_diagnostics_merge(diagnostics, &again);
    mg_diagnostics_release(&again);
    config->search = first;
    config->search.space = presets.space;
    config->partner = raw->search.partner;
    config->has_partner = raw->search.has_partner;
    check_search(block, &raw->search, config, diagnostics);
    bool own_granularity = raw->search.granularity.count > 0 ||
                           config->genome.layer_granularity > 0 || config->genome.smooth;
    /* Else each stage has that of its preset. */
    bool has_budget = first.minutes > 0.0 || raw->search.has_evaluations ||
                      overrides->evaluations > 0 || first.questions > presets.first->questions ||
                      (raw->search.items.count > 0 && first.questions == raw->search.items.count);
    mg_stage_plan plan = { .space = presets.space,
                           .first = first,
                           .then = then,
                           .shares_budget = has_budget,
                           .coarse = !own_granularity,
                           .staged_path = raw->search.staged,
                           .refine = raw->search.refine };
    config->stage_count = mg_stage_plan_list(&plan, config->stages);
}

static void fill_config(const raw_file *raw, mg_evolve_config *config)
{
    const raw_genome *g = &raw->genome;
    config->genome = (mg_genome_config){
        .models = g->models.items,
        .model_count = g->models.count,
        .method = g->method,
        .has_base = g->has_base,
        .base = g->base,
        .tokenizer_source = g->tokenizer_source,
        .layer_granularity = MG_MAX(g->layer_granularity, 0),
        .has_normalize = g->has_normalize,
        .normalize = g->normalize,
        .allow_negative_weights = g->allow_negative_weights,
        .filters = g->filters.items,
        .filter_count = g->filters.count,
        .smooth = g->smooth,
    };
    config->tasks = raw->tasks;
    config->validate_tasks = raw->validate.tasks;
    config->test_tasks = raw->test.tasks;
    config->limit = raw->limit;
    config->num_fewshot = raw->has_num_fewshot ? raw->num_fewshot : -1;
    config->random_init = raw->random_init;
    config->apply_chat_template = raw->apply_chat_template;
    config->fewshot_as_multiturn = raw->fewshot_as_multiturn;
}

static mg_status read_document(const mg_value *root, const mg_evolve_overrides *overrides,
                               mg_evolve_config *config, mg_diagnostics *diagnostics, mg_error *err)
{
    if (root->kind != MG_MAP) {
        mg_diagnose(diagnostics, root, "a search file must be a map with 'genome' and 'tasks'");
        return mg_diagnostics_finish(diagnostics, err);
    }
    raw_file raw = { .apply_chat_template = true,
                     .fewshot_as_multiturn = true,
                     .search = { .repeats = 3 } };
    mg_field_context context = { &config->arena, diagnostics };
    (void)mg_fields_read(&file_table, root, &raw, &context); /* mistakes are in diagnostics */
    fill_config(&raw, config);
    check_benchmarks(&raw.tasks, overrides->allow_benchmark_tasks, diagnostics);
    fill_search(root, &raw, overrides, config, diagnostics);
    if (config->search.space == MG_SPACE_DFS) {
        check_path_genome(root, &raw.genome, diagnostics);
    } else {
        check_genome(root, &raw.genome, mg_searchable_find(raw.genome.method), diagnostics);
        check_niches(root, &raw, config->search.preset, diagnostics);
    }
    config->validate_share =
        raw.validate.has_share ? raw.validate.share : config->search.preset->validate_share;
    if (raw.validate.has_tasks) {
        config->validate_share = 0.0;
        if (raw.validate.has_share) {
            mg_diagnose(diagnostics, mg_value_get(root, "validate"),
                        "'validate' has both 'share' and 'tasks', expected one of them");
        }
    }
    if (raw.shuffle) {
        mg_note("'shuffle' has no effect: the questions of a candidate are drawn from the seed");
    }
    return mg_diagnostics_finish(diagnostics, err);
}

mg_status mg_evolve_config_read(const char *path, const mg_evolve_overrides *overrides,
                                mg_evolve_config *config_out, mg_error *err)
{
    *config_out = (mg_evolve_config){ 0 };
    mg_status status = MG_OK;
    mg_bytes text = { 0 };
    mg_value root;
    mg_diagnostics diagnostics = { 0 };
    config_out->path = mg_arena_copy(&config_out->arena, mg_str_of(path));
    diagnostics.file = config_out->path;
    MG_TRY_OR_DONE(mg_file_read(path, MG_YAML_BYTES_MAX, &text, err));
    config_out->text =
        mg_arena_copy(&config_out->arena, mg_str_make((const char *)text.data, text.size));
    status = mg_yaml_parse(config_out->text, path, &config_out->arena, &root, err);
    if (status != MG_OK) {
        status = status == MG_ERR_FORMAT ? MG_ERR_CONFIG : status; /* the user's mistake */
        goto done;
    }
    MG_TRY_OR_DONE(read_document(&root, overrides, config_out, &diagnostics, err));

done:
    mg_diagnostics_release(&diagnostics);
    mg_bytes_release(&text);
    return status;
}

void mg_evolve_config_release(mg_evolve_config *config)
{
    mg_arena_release(&config->arena);
}
