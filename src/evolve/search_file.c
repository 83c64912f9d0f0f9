/* evolve/search_file.c - the fields of the file of a search, as tables. */
#include "evolve/search_config_internal.h"

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

static bool read_refs(const mg_field_context *context, const mg_value *value, void *target)
{
    mg_raw_refs *list = target;
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

static const mg_field genome_fields[] = {
    { .name = "models",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(mg_raw_genome, models),
      .required = true,
      .read = read_refs },
    { .name = "merge_method",
      .kind = MG_FIELD_STRING,
      .offset = offsetof(mg_raw_genome, method),
      .has_offset = offsetof(mg_raw_genome, has_method) },
    { .name = "base_model",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(mg_raw_genome, base),
      .has_offset = offsetof(mg_raw_genome, has_base),
      .read = read_ref },
    { .name = "tokenizer_source",
      .kind = MG_FIELD_STRING,
      .offset = offsetof(mg_raw_genome, tokenizer_source) },
    { .name = "layer_granularity",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_genome, layer_granularity),
      .bounded = true,
      .min = -1,
      .max = 100000 },
    { .name = "normalize",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(mg_raw_genome, normalize),
      .has_offset = offsetof(mg_raw_genome, has_normalize) },
    { .name = "allow_negative_weights",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(mg_raw_genome, allow_negative_weights) },
    { .name = "filters", .kind = MG_FIELD_STRINGS, .offset = offsetof(mg_raw_genome, filters) },
    { .name = "smooth", .kind = MG_FIELD_BOOL, .offset = offsetof(mg_raw_genome, smooth) },
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

static const mg_field validate_fields[] = {
    { .name = "share",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(mg_raw_validate, share),
      .has_offset = offsetof(mg_raw_validate, has_share),
      .bounded = true,
      .min = 0.0,
      .max = 0.9 },
    { .name = "tasks",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(mg_raw_validate, tasks),
      .has_offset = offsetof(mg_raw_validate, has_tasks),
      .read = read_tasks },
};
static const mg_fields validate_table = { "the block 'validate'", validate_fields,
                                          MG_ARRAY_COUNT(validate_fields), true };

static const mg_field test_fields[] = {
    { .name = "tasks",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(mg_raw_test, tasks),
      .required = true,
      .read = read_tasks },
};
static const mg_fields test_table = { "the block 'test'", test_fields, MG_ARRAY_COUNT(test_fields),
                                      true };

static bool read_items(const mg_field_context *context, const mg_value *value, void *target)
{
    mg_raw_items *items = target;
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

const char *const mg_space_names[] = { "ps", "dfs", "hybrid", NULL };
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
      .offset = offsetof(mg_raw_search, space),
      .has_offset = offsetof(mg_raw_search, has_space),
      .choices = mg_space_names },
    { .name = "preset", .kind = MG_FIELD_STRING, .offset = offsetof(mg_raw_search, preset) },
    { .name = "evaluations",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_search, evaluations),
      .has_offset = offsetof(mg_raw_search, has_evaluations),
      .bounded = true,
      .min = 1,
      .max = 1e9 },
    { .name = "items",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(mg_raw_search, items),
      .has_offset = offsetof(mg_raw_search, has_items),
      .read = read_items },
    { .name = "item_control",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, item_control),
      .has_offset = offsetof(mg_raw_search, has_item_control),
      .choices = item_control_names },
    { .name = "minutes",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(mg_raw_search, minutes),
      .has_offset = offsetof(mg_raw_search, has_minutes),
      .bounded = true,
      .min = 0.01,
      .max = 1e7 },
    { .name = "seed",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_search, seed),
      .has_offset = offsetof(mg_raw_search, has_seed),
      .bounded = true,
      .min = 0,
      .max = 9007199254740992.0 },
    { .name = "population",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_search, population),
      .bounded = true,
      .min = 4,
      .max = 100000 },
    { .name = "sigma",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(mg_raw_search, sigma),
      .has_offset = offsetof(mg_raw_search, has_sigma),
      .bounded = true,
      .min = 1e-6,
      .max = 10.0 },
    { .name = "polish",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(mg_raw_search, polish),
      .has_offset = offsetof(mg_raw_search, has_polish),
      .bounded = true,
      .min = 0.0,
      .max = 0.9 },
    { .name = "restarts",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_search, restarts),
      .has_offset = offsetof(mg_raw_search, has_restarts),
      .bounded = true,
      .min = 0,
      .max = MG_RESTART_MAX },
    { .name = "restart",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, restart),
      .choices = restart_names },
    { .name = "restart_from",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, restart_from),
      .choices = restart_from_names },
    { .name = "switches",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, switches),
      .has_offset = offsetof(mg_raw_search, has_switches),
      .choices = switch_names },
    { .name = "warm_start",
      .kind = MG_FIELD_STRINGS,
      .offset = offsetof(mg_raw_search, warm_start) },
    { .name = "weights",
      .kind = MG_FIELD_DOUBLES,
      .offset = offsetof(mg_raw_search, weights),
      .bounded = true,
      .min = -100.0,
      .max = 100.0 },
    { .name = "granularity",
      .kind = MG_FIELD_STRINGS,
      .offset = offsetof(mg_raw_search, granularity) },
    { .name = "ends",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, ends),
      .choices = ends_names },
    { .name = "mask_seed",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, mask_seed),
      .choices = mask_seed_names },
    { .name = "repeats",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_search, repeats),
      .bounded = true,
      .min = 1,
      .max = 16 },
    { .name = "rotate",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_search, rotate),
      .has_offset = offsetof(mg_raw_search, has_rotate),
      .bounded = true,
      .min = 0,
      .max = 1000000 },
    { .name = "max_hops",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_search, hops_max),
      .bounded = true,
      .min = 2,
      .max = 1000 },
    { .name = "encoding",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, encoding),
      .has_offset = offsetof(mg_raw_search, has_encoding),
      .choices = encoding_names },
    { .name = "cost_len",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(mg_raw_search, cost_len),
      .bounded = true,
      .min = 0.0,
      .max = 100.0 },
    { .name = "tie_breaker",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(mg_raw_search, tie_breaker) },
    { .name = "partner",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(mg_raw_search, partner),
      .has_offset = offsetof(mg_raw_search, has_partner),
      .read = read_ref },
    { .name = "refine",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(mg_raw_search, refine),
      .has_offset = offsetof(mg_raw_search, has_refine) },
    { .name = "staged",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(mg_raw_search, staged),
      .has_offset = offsetof(mg_raw_search, has_staged) },
    { .name = "optimiser",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(mg_raw_search, optimiser),
      .choices = optimiser_names },
};
static const mg_fields search_table = { "the block 'search'", search_fields,
                                        MG_ARRAY_COUNT(search_fields), true };

static const mg_field file_fields[] = {
    { .name = "genome",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(mg_raw_file, genome),
      .required = true,
      .table = &genome_table },
    { .name = "tasks",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(mg_raw_file, tasks),
      .required = true,
      .read = read_tasks },
    { .name = "limit",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(mg_raw_file, limit),
      .bounded = true,
      .min = 0.0,
      .max = 1e9 },
    { .name = "num_fewshot",
      .kind = MG_FIELD_INT,
      .offset = offsetof(mg_raw_file, num_fewshot),
      .has_offset = offsetof(mg_raw_file, has_num_fewshot),
      .bounded = true,
      .min = 0,
      .max = 1000 },
    { .name = "shuffle", .kind = MG_FIELD_BOOL, .offset = offsetof(mg_raw_file, shuffle) },
    { .name = "random_init", .kind = MG_FIELD_BOOL, .offset = offsetof(mg_raw_file, random_init) },
    { .name = "apply_chat_template",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(mg_raw_file, apply_chat_template) },
    { .name = "fewshot_as_multiturn",
      .kind = MG_FIELD_BOOL,
      .offset = offsetof(mg_raw_file, fewshot_as_multiturn) },
    { .name = "search",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(mg_raw_file, search),
      .table = &search_table },
    { .name = "validate",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(mg_raw_file, validate),
      .table = &validate_table },
    { .name = "test",
      .kind = MG_FIELD_MAP,
      .offset = offsetof(mg_raw_file, test),
      .table = &test_table },
};
static const mg_fields file_table = { "the file", file_fields, MG_ARRAY_COUNT(file_fields), false };

void mg_search_file_read(const mg_value *root, const mg_field_context *context, mg_raw_file *raw)
{
    (void)mg_fields_read(&file_table, root, raw, context); /* mistakes are in diagnostics */
}
