/* evolve/search_config.c - reads and checks the file of a search; see search_config.h.
 *
 * Field tables do the reading (search_file.c); what depends on several fields is checked behind
 * them, so that every mistake of a file is told in one run. */
#include "evolve/search_config.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "evolve/search_config_internal.h"
#include "evolve/searchable.h"
#include "text/yaml.h"

static void check_genome(const mg_value *root, const mg_raw_genome *raw,
                         const mg_searchable *method, mg_diagnostics *diagnostics)
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
static void check_path_genome(const mg_value *root, const mg_raw_genome *raw,
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

/* Members of the niches are linear forms over the sources' differences from their base. */
static void check_niches(const mg_value *root, const mg_raw_file *raw, const mg_preset *preset,
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

static void fill_config(const mg_raw_file *raw, mg_evolve_config *config)
{
    const mg_raw_genome *g = &raw->genome;
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
    mg_raw_file raw = { .apply_chat_template = true,
                        .fewshot_as_multiturn = true,
                        .search = { .repeats = 3 } };
    mg_field_context context = { &config->arena, diagnostics };
    mg_search_file_read(root, &context, &raw);
    fill_config(&raw, config);
    check_benchmarks(&raw.tasks, overrides->allow_benchmark_tasks, diagnostics);
    mg_search_config_fill(root, &raw, overrides, config, diagnostics);
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