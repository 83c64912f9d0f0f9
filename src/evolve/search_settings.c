/* evolve/search_settings.c - the settings of a search: what the file and the command line say, over
 * what a preset says, and whether it goes together. */
#include <math.h>

#include "evolve/search_config_internal.h"
#include "evolve/stage_plan.h"

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

static void fill_budget(const mg_raw_search *raw, const mg_evolve_overrides *overrides,
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

/* The number of questions of a generation may change only where their scores rank that generation
 * and nothing else. */
static void check_items(const mg_value *block, const mg_raw_search *raw, mg_search_config *search,
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
static void check_population(const mg_value *block, const mg_raw_search *raw,
                             mg_search_config *search, mg_diagnostics *diagnostics)
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
                   { "rotate", raw->has_rotate && raw->rotate > 0 },
                   { "tie_breaker", raw->tie_breaker } };
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
static void fill_settings(const mg_value *block, const mg_raw_search *raw,
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
    search->tie_breaker = raw->tie_breaker;
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

static preset_pair choose_presets(const mg_value *block, const mg_raw_search *raw,
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
                    mg_space_names[preset->space], mg_space_names[space]);
    }
    return pair;
}

static void check_search(const mg_value *block, const mg_raw_search *raw,
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

void mg_search_config_fill(const mg_value *root, const mg_raw_file *raw,
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
